#!/usr/bin/env bash
# Adds Inglenook to the desktop's menu for this user, starting from this folder; --remove takes it out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=packaging/setup/report.sh
. packaging/setup/report.sh

data=${XDG_DATA_HOME:-$HOME/.local/share}
entry=$data/applications/inglenook.desktop
icon=$data/icons/hicolor/scalable/apps/inglenook.svg

if [[ ${1-} == --remove ]]; then
    rm -f "$entry" "$icon"
    say "Inglenook is no longer in the menu."
    exit 0
fi
mkdir -p "$(dirname "$entry")" "$(dirname "$icon")"
install -m 644 assets/icons/inglenook.svg "$icon"
# In a desktop entry's Exec a path stands in double quotes with these four characters escaped.
program=$(printf '%s' "$PWD/.venv/bin/inglenook" | sed 's/[\\"`$]/\\&/g')
while IFS= read -r line; do
    [[ $line != Exec=* ]] || line="Exec=\"$program\""
    [[ $line != TryExec=* ]] || line="TryExec=$PWD/.venv/bin/inglenook"
    printf '%s\n' "$line"
done <packaging/inglenook.desktop >"$entry"
if command -v update-desktop-database >/dev/null; then
    update-desktop-database -q "$data/applications" || true
fi
say "Inglenook is in the menu. It starts from $PWD; take it out with: make menu ARGS=--remove"
