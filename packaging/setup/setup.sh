#!/usr/bin/env bash
# Prepares everything that a make target needs; when all is there it says nothing and takes milliseconds.
#
#   setup.sh run|install|test|check
#
# run and install want the window's libraries if they can be had (the terminal needs none of them), test
# wants them and its own tools for certain, check wants neither those nor the compiled inference engine.
# Read from the environment: BACKEND (auto, cpu, vulkan, cuda, metal; the last one named stays until
# another is), PYTHON (the one to build .venv with), JOBS (files compiled at a time).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=packaging/setup/report.sh
. packaging/setup/report.sh
# shellcheck source=packaging/setup/tools.sh
. packaging/setup/tools.sh

# fingerprint: one line that changes when anything that the environment was made from changes.
fingerprint() {
    {
        pwd
        printf '%s\n' "$BACKEND" "${CMAKE_ARGS-}"
        # A home folder may move to a machine whose processor lacks what the engine was compiled for.
        grep -m 1 -E '^(flags|Features)' /proc/cpuinfo 2>/dev/null || uname -mp
        cat pyproject.toml packaging/constraints.txt packaging/setup/*.*
    } | cksum
}

install_system_libraries() {
    case $1 in
        test) bash packaging/setup/system.sh window tests ;;
        run)
            if [[ -n ${DISPLAY-}${WAYLAND_DISPLAY-} ]]; then
                bash packaging/setup/system.sh window
            else
                bash packaging/setup/system.sh --if-possible window
            fi
            ;;
        install) bash packaging/setup/system.sh --if-possible window ;;
    esac
}

create_environment() {
    local uv=$1 python
    if [[ -x .venv/bin/python ]] && probe .venv/bin/python >/dev/null; then
        return
    fi
    python=$(find_python "$uv") || exit 1
    say "Creating the environment in .venv with $("$python" --version)"
    rm -rf .venv
    run_quietly "Creating .venv" "$uv" venv --no-project --python "$python" .venv || exit 1
}

main() {
    local purpose=${1:-run} level=full ready print uv
    [[ $purpose != check ]] || level=lint
    install_system_libraries "$purpose"
    if [[ -z ${BACKEND-} && -f .venv/backend ]]; then
        BACKEND=$(<.venv/backend)
    fi
    export BACKEND=${BACKEND:-auto}
    print=$(fingerprint)
    for ready in .venv/ready-full .venv/ready-"$level"; do
        if [[ -x .venv/bin/python && -f $ready && $(<"$ready") == "$print" ]]; then
            return
        fi
    done
    uv=$(find_uv) || exit 1
    use_own_network
    create_environment "$uv"
    # No standard input, so that nothing below can wait for an answer.
    UV=$uv .venv/bin/python packaging/setup/environment.py "$level" </dev/null
    [[ $level == lint ]] || printf '%s\n' "$BACKEND" >.venv/backend
    printf '%s\n' "$print" >.venv/ready-"$level"
}

main "$@"
