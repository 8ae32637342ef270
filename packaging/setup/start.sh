#!/usr/bin/env bash
# Opens Inglenook for `make run`, in a window where there is a display and in the terminal where not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=packaging/setup/report.sh
. packaging/setup/report.sh

if [[ -n ${DISPLAY-}${WAYLAND_DISPLAY-} || $(uname -s) == Darwin || -n ${QT_QPA_PLATFORM-} ]]; then
    exec .venv/bin/inglenook "$@"
fi
say "There is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set), so no window can open."
if [[ -t 0 ]]; then
    say "Starting the same conversation in this terminal: .venv/bin/inglenook run" ""
    exec .venv/bin/inglenook run "$@"
fi
say "The same conversation runs in a terminal: .venv/bin/inglenook run"
