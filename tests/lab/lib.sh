# Sourced by the laboratory's scripts: a bare node for a proof, which is taken
# down however the proof ends. KEEP=1 leaves it up, to look around.
. scripts/lib.sh

# with_node NAME: start it. A proof that fails leaves its logs in build/log.
with_node()
{
    lab_node=$1
    need_root
    scripts/node --name "$lab_node" down --wipe
    trap end_node EXIT
    trap 'exit 130' INT TERM
    scripts/node --name "$lab_node" up --bare || exit
    . "build/node/$lab_node/choices"
}

end_node()
{
    local status=$? kept=build/log/$lab_node-node
    rm -rf "$kept"
    if [ $status != 0 ]; then
        mkdir -p build/log
        cp -r "build/node/$lab_node/fs/var/log" "$kept" 2>/dev/null &&
            echo "The node's logs: $kept"
    fi
    [ -n "$KEEP" ] || scripts/node --name "$lab_node" down --wipe
    exit $status
}
