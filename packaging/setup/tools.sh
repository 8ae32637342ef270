# shellcheck shell=bash
# Finds uv and a Python that can run Inglenook, and fetches what is absent. Sourced by setup.sh,
# which stands in the repository's root. A name on PATH proves nothing (version switchers put
# stand-ins there that fail in some folders), so every candidate has to run before it is believed.

# What Inglenook asks of a Python: its version, and the parts that a home-made build may lack.
PYTHON_PROBE='
import sys
assert sys.version_info >= (3, 12)
import bz2, ctypes, fcntl, lzma, ssl, zlib, sqlite3
sqlite3.connect(":memory:").execute("create virtual table probe using fts5(text)")
print(sys.executable)
'

# find_uv: prints the path of a uv that runs; installs one into .tools/ where there is none.
find_uv() {
    local candidate
    while IFS= read -r candidate; do
        # Hash checking of build tools came with version 0.5.
        if [[ -x $candidate ]] && uv_is_new_enough "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done < <(printf '%s\n' .tools/bin/uv; type -ap uv; printf '%s\n' "$HOME/.local/bin/uv" "$HOME/.cargo/bin/uv")
    install_uv
    printf '%s\n' .tools/bin/uv
}

uv_is_new_enough() {
    local version
    version=$("$1" --version 2>/dev/null) || return 1
    version=${version#uv }
    version=${version%% *}
    [[ $(printf '%s\n' 0.5.0 "$version" | sort -V | head -n 1) == 0.5.0 ]]
}

install_uv() {
    bash packaging/setup/system.sh python pip || exit 1
    say "Installing uv, which installs Python packages, into .tools/"
    rm -rf .tools
    run_quietly "Creating .tools" python3 -m venv .tools || exit 1
    if ! run_quietly "Installing uv" \
        .tools/bin/python -m pip install --quiet --disable-pip-version-check \
        --require-hashes --only-binary :all: -r packaging/setup/uv.txt; then
        stop "uv could not be installed. Is the package index reachable from this machine?" \
            "With uv already installed (https://docs.astral.sh/uv) and on PATH, this step is not needed."
    fi
}

# use_own_network: where a company's proxy re-signs all traffic, only the system's certificates know it,
# and its package index is often named in pip's configuration alone; uv reads neither by itself.
use_own_network() {
    if [[ -s /etc/ssl/certs/ca-certificates.crt ]]; then
        export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS-1} UV_NATIVE_TLS=${UV_NATIVE_TLS-1}
    fi
    [[ -z ${UV_DEFAULT_INDEX-}${UV_INDEX_URL-} ]] || return 0
    local index=${PIP_INDEX_URL-}
    [[ -n $index ]] || index=$(python3 -m pip config get global.index-url 2>/dev/null) || return 0
    export UV_DEFAULT_INDEX=$index
}

# find_python UV: prints the path of a Python that passes the probe.
find_python() {
    local uv=$1 found
    if [[ -n ${PYTHON-} ]]; then
        probe "$PYTHON" || stop "PYTHON=$PYTHON does not run, is older than 3.12, or lacks ssl, sqlite3 with full-text search, ctypes, bz2 or lzma."
        return
    fi
    probe_known "$uv" && return
    # Newer Debian and Ubuntu releases carry one; older ones do not.
    if command -v apt-get >/dev/null && ((EUID == 0)); then
        for found in python3.12 python3.13 python3.14; do
            if apt-cache show "$found" >/dev/null 2>&1; then
                say "Installing $found from the system's packages"
                run_quietly "apt-get install $found" env DEBIAN_FRONTEND=noninteractive \
                    apt-get -y -q install --no-install-recommends "$found" && probe "$found" && return
            fi
        done
    fi
    say "No Python 3.12 or newer on this machine: uv downloads one (about 30 MB)"
    if run_quietly "Downloading Python" "$uv" python install --no-bin 3.12; then
        probe_known "$uv" && return
    fi
    stop "Inglenook needs Python 3.12 or newer. This machine has none, and none could be downloaded." \
        "Install one (Debian 13: apt install python3.13; Ubuntu 24.04: apt install python3.12;" \
        "elsewhere: https://www.python.org/downloads or pyenv) and run the same command again." \
        "One that is not on PATH can be named: make run PYTHON=/path/to/python3.12"
}

probe() {
    "$1" -c "$PYTHON_PROBE" 2>/dev/null
}

# pyenv_roots: where pyenv keeps its Pythons, by its own variable, its default, and the python3 on PATH.
pyenv_roots() {
    local found
    printf '%s\n' "${PYENV_ROOT:-$HOME/.pyenv}"
    type -ap python3 | while IFS= read -r found; do
        case $found in
            */shims/python3) printf '%s\n' "${found%/shims/python3}" ;;
            */versions/*/bin/python3) printf '%s\n' "${found%/versions/*}" ;;
        esac
    done
}

probe_known() {
    local uv=$1 version candidate
    for version in 3.12 3.13 3.14; do
        while IFS= read -r candidate; do
            probe "$candidate" && return
        done < <(
            type -ap "python$version"
            pyenv_roots | while IFS= read -r root; do
                compgen -G "$root/versions/$version.*/bin/python$version"
            done
            compgen -G "/opt/homebrew/bin/python$version"
            "$uv" python find --no-project --no-python-downloads "$version" 2>/dev/null
        )
    done
    while IFS= read -r candidate; do
        probe "$candidate" && return
    done < <(type -ap python3)
    return 1
}
