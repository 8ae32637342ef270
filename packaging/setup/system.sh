#!/usr/bin/env bash
# System libraries and tools that no Python package can bring, installed by apt where that is allowed.
#
#   system.sh NEED...        NEED: window, tests, compiler, python, pip
#   system.sh --if-possible NEED...   say what is missing and go on instead of stopping
#
# What is there is asked of the dynamic linker and of PATH, not of a package list, so that it costs
# milliseconds and holds on distributions with other package names too.
set -euo pipefail
# shellcheck source=packaging/setup/report.sh
. "$(dirname "${BASH_SOURCE[0]}")/report.sh"

# Qt's libraries: the file the linker must find, and the Debian or Ubuntu package that carries it.
WINDOW_LIBRARIES="
libEGL.so.1 libegl1
libGL.so.1 libgl1
libX11-xcb.so.1 libx11-xcb1
libxkbcommon.so.0 libxkbcommon0
libxkbcommon-x11.so.0 libxkbcommon-x11-0
libxcb-cursor.so.0 libxcb-cursor0
libxcb-icccm.so.4 libxcb-icccm4
libxcb-image.so.0 libxcb-image0
libxcb-keysyms.so.1 libxcb-keysyms1
libxcb-randr.so.0 libxcb-randr0
libxcb-render-util.so.0 libxcb-render-util0
libxcb-shape.so.0 libxcb-shape0
libxcb-sync.so.1 libxcb-sync1
libxcb-xfixes.so.0 libxcb-xfixes0
libxcb-xkb.so.1 libxcb-xkb1
libdbus-1.so.3 libdbus-1-3
libfontconfig.so.1 libfontconfig1
libfreetype.so.6 libfreetype6
libglib-2.0.so.0 libglib2.0-0
"
# The end-to-end tests drive the program in a window on a display of their own.
TEST_TOOLS="
Xvfb xvfb
xauth xauth
xdotool xdotool
strace strace
"
COMPILER_TOOLS="
cc gcc
c++ g++
"

missing=()
packages=()

note_missing() {
    missing+=("$1")
    packages+=("$2")
}

check_libraries() {
    [[ $(uname -s) == Linux ]] || return 0
    local known file package
    known=$({ ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null) || return 0
    while read -r file package; do
        [[ -z $file || $known == *"$file"* ]] || note_missing "$file" "$package"
    done <<<"$1"
}

check_tools() {
    local tool package
    while read -r tool package; do
        [[ -z $tool ]] || command -v "$tool" >/dev/null || note_missing "$tool" "$package"
    done <<<"$1"
}

check_font() {
    [[ $(uname -s) == Linux ]] || return 0
    local folder
    for folder in /usr/share/fonts /usr/local/share/fonts "$HOME/.local/share/fonts" "$HOME/.fonts"; do
        [[ -z $(find -L "$folder" -name '*.[to]tf' -print -quit 2>/dev/null) ]] || return 0
    done
    note_missing "a font" fonts-dejavu-core
}

check() {
    case $1 in
        window)
            check_libraries "$WINDOW_LIBRARIES"
            check_font
            ;;
        tests) [[ $(uname -s) != Linux ]] || check_tools "$TEST_TOOLS" ;;
        compiler)
            # The C headers are a package of their own, which a bare gcc does not bring.
            check_tools "$COMPILER_TOOLS"
            [[ $(uname -s) != Linux || -e /usr/include/stdlib.h ]] || note_missing stdlib.h libc6-dev
            ;;
        python) check_tools "python3 python3" ;;
        pip) python3 -c 'import ensurepip, venv' 2>/dev/null || note_missing "Python's venv" python3-venv ;;
        *) stop "system.sh: unknown need: $1" ;;
    esac
}

apt_get() {
    local as_root=()
    ((EUID == 0)) || as_root=(sudo -n)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -y -q -o DPkg::Lock::Timeout=300 "$@"
}

may_install() {
    command -v apt-get >/dev/null || return 1
    ((EUID == 0)) || sudo -n true 2>/dev/null
}

install_packages() {
    say "Installing from the system's packages: ${packages[*]}"
    local install=(apt_get install --no-install-recommends "${packages[@]}")
    # A machine that has just been set up has no package lists, and old lists name files that are gone.
    if compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null && "${install[@]}" >/dev/null 2>&1 </dev/null; then
        return
    fi
    run_quietly "apt-get update" apt_get update || true
    run_quietly "apt-get install" "${install[@]}"
}

explain() {
    local sudo="sudo "
    ((EUID != 0)) || sudo=
    if command -v apt-get >/dev/null; then
        say "" "Missing on this machine: ${missing[*]}" "To install them, run this line, then the same command again:" \
            "" "    ${sudo}apt-get install --no-install-recommends ${packages[*]}" ""
    else
        say "" "Missing on this machine: ${missing[*]}" \
            "Install the packages that carry them, then run the same command again." \
            "(On Debian and Ubuntu they are called: ${packages[*]})" ""
    fi
}

if_possible=false
if [[ ${1-} == --if-possible ]]; then
    if_possible=true
    shift
fi
for need in "$@"; do
    check "$need"
done
if ((${#missing[@]} == 0)); then
    exit 0
fi
if may_install && install_packages; then
    exit 0
fi
explain
if ! $if_possible; then
    exit 1
fi
say "Going on without: only the window needs them, the terminal does not."
