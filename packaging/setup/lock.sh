#!/usr/bin/env bash
# Chooses the newest versions that pyproject.toml allows and pins them, with hashes and no addresses.
#
#   lock.sh [--upgrade-package NAME]...   without arguments everything moves to its newest version
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=packaging/setup/report.sh
. packaging/setup/report.sh
# shellcheck source=packaging/setup/tools.sh
. packaging/setup/tools.sh

uv=$(find_uv) || exit 1
use_own_network
upgrade=("$@")
((${#upgrade[@]} > 0)) || upgrade=(--upgrade)

# compile OUTPUT INPUT...
compile() {
    local output=$1
    shift
    say "Pinning $output"
    "$uv" pip compile --quiet --universal --python-version 3.12 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
        "${upgrade[@]}" --output-file "$output" "$@" >/dev/null
}

compile packaging/constraints.txt pyproject.toml --group dev
compile packaging/setup/build.txt --group build
compile packaging/setup/uv.txt --group bootstrap
