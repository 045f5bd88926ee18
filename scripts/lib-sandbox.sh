# Sourced by those who make nodes (scripts/node, tests/lab/lab), after lib.sh.

# pid_in FILE: the process whose pid and start time are in it, if it lives:
# a pid that was given to someone else meanwhile is not believed.
pid_in()
{
    local pid start now
    read -r pid start 2>/dev/null <"$1" || return 1
    now=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f20)
    [ -n "$start" ] && [ "$start" = "$now" ] && echo "$pid"
}

# is_own_net PID: stop here rather than touch the machine's own network.
is_own_net()
{
    [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ] ||
        die "process $1 has the machine's network: not touching it"
}

# Until descriptor 9 is closed nobody else chooses or makes a link.
lock_nets()
{
    exec 9>/run/lock/cairn-node.lock
    flock 9
}

net_is_free()
{
    ! ip -4 route show table all root "$1.0/24" 2>&- | grep -q . &&
        ! ip -4 route show table all match "$1.0/24" 2>&- | grep -qv ^default
}

no_net="no free 172.24.x.0/24 here (see: ip route)"

# choose_net FILE: a device name and a /24 that nobody has, those in FILE if
# possible; to FILE, and as $dev and $net. Called with the lock held.
choose_net()
{
    local i
    # shellcheck source=/dev/null
    . "$1" 2>/dev/null
    ip link show "${dev:-none}" >/dev/null 2>&1 && dev=
    for ((i = 0; i < 100 && ${#dev} == 0; i++)); do
        ip link show "cairn$i" >/dev/null 2>&1 || dev=cairn$i
    done
    [ -n "$net" ] && ! net_is_free "$net" && net=
    for ((i = 4; i < 250 && ${#net} == 0; i++)); do
        net_is_free "172.24.$i" && net=172.24.$i
    done
    [ -n "$dev" ] && [ -n "$net" ] &&
        printf 'dev=%s\nnet=%s\n' "$dev" "$net" >"$1"
}

