# shellcheck shell=bash
# What the setup scripts say and how they stop. Sourced by the other scripts in this folder.

# say LINE...: lines of progress, on standard error so that they never mix with a program's output.
say() {
    printf '%s\n' "$@" >&2
}

# stop LINE...: the reason, then what to do, then exit 1.
stop() {
    printf '\n' >&2
    printf '%s\n' "$@" >&2
    exit 1
}

# run_quietly WHAT COMMAND...: keeps the command's output back, and shows its end only if it fails.
run_quietly() {
    local what=$1 log status=0
    shift
    log=$(mktemp)
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if ((status != 0)); then
        say "$what failed. The end of its output:"
        tail -n 20 "$log" | sed 's/^/    /' >&2
    fi
    rm -f "$log"
    return "$status"
}
