# Sourced by the scripts: where things are, how they speak.
# Every message that reports a failure ends with what to do about it.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1

# die TEXT...: say why and end.
die()
{
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

need_root()
{
    [ "$(id -u)" = 0 ] || die "must be root: run it with sudo"
}

# Seconds with one decimal since $1, a value of $EPOCHREALTIME.
since()
{
    local us=$((${EPOCHREALTIME/[.,]/} - ${1/[.,]/}))
    printf '%d.%d' $((us / 1000000)) $((us / 100000 % 10))
}

# A row of the progress list: report STATE TEXT START
report()
{
    printf '  %-6s %-40s %6s s\n' "$1" "$2" "$(since "$3")"
}

# step TEXT LOG HINT CMD...: run CMD with its output in LOG; one line when it
# is done, and when it fails the end of LOG and what to do.
step()
{
    local text=$1 log=$2 hint=$3 t0=$EPOCHREALTIME
    shift 3
    mkdir -p "$(dirname "$log")"
    [ -t 1 ] && printf '  %-6s %s\r' ... "$text"
    if "$@" >"$log" 2>&1 </dev/null; then
        report ok "$text" "$t0"
        return 0
    fi
    report FAILED "$text" "$t0"
    tail -n 40 "$log" | sed 's/^/  | /'
    printf '  The whole log: %s\n  %s\n' "$log" "$hint"
    return 1
}

# wait_for SECONDS CMD...: until CMD succeeds; 1 when SECONDS have passed.
wait_for()
{
    local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "${EPOCHREALTIME/[.,]/}" -lt "$end" ] || return 1
        sleep 0.05
    done
}

# Every C file that is ours.
c_files()
{
    git -C "$root" ls-files --cached --others --exclude-standard \
        '*.c' '*.h' | while read -r f; do [ -f "$f" ] && echo "$f"; done
}
