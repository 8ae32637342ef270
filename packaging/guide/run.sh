#!/usr/bin/env bash
# Train the built-in guide model again: corpus in, assets/guide.gguf and assets/guide.md out.
#
#   packaging/guide/run.sh                 minutes on a data-centre GPU with some processors beside it
#   packaging/guide/run.sh --minutes 600   hours without a GPU, in smaller batches:
#                                          --n-question-tokens 4096 --n-talk-tokens 2048
#   packaging/guide/run.sh --fresh         forget the training that was begun
#
# A run that was stopped goes on from its last checkpoint. Training has an environment of its own
# (.venv-guide, about 1 GB); the evaluation uses the app's (.venv, made by `make install`).
# GUIDE_PYTHON names the Python to train with, 3.10 or newer, where the one found does not serve.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
here=$root/packaging/guide
work=$here/work
trainer=$root/.venv-guide/bin/python
app=$root/.venv/bin/python

find_python() {
  local name
  for name in "${GUIDE_PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    if [[ -n $name ]] && "$name" -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  echo "No Python 3.10 or newer found. Name one: GUIDE_PYTHON=/path/to/python3 make guide" >&2
  return 1
}

make_environment() {
  local stamp=$root/.venv-guide/requirements.txt
  cmp -s "$here/requirements.txt" "$stamp" && return
  local python
  python=$(find_python)
  echo "Preparing .venv-guide with $("$python" --version)"
  "$python" -m venv --clear "$root/.venv-guide"
  "$trainer" -m pip install --quiet --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$stamp"
}

options=()
for option in "$@"; do
  if [[ $option == --fresh ]]; then rm -rf "$work"; else options+=("$option"); fi
done

if [[ ! -x $app ]] || ! "$app" -c 'import llama_cpp' 2>/dev/null; then
  echo "The evaluation runs in the app's environment, which is missing: run 'make install' first." >&2
  exit 1
fi
make_environment

cd "$here"
export OMP_WAIT_POLICY=passive PYTHONDONTWRITEBYTECODE=1
nice -n 5 "$trainer" -m recipe.train --corpus corpus --work "$work" "${options[@]}"
"$trainer" -m recipe.lean --corpus corpus --work "$work"
"$trainer" -m recipe.convert --work "$work" --out "$root/assets/guide.gguf"
"$trainer" -m recipe.reference --work "$work"
"$app" -m recipe.verify --work "$work" --gguf "$root/assets/guide.gguf"
"$app" -m recipe.evaluate --gguf "$root/assets/guide.gguf" --corpus corpus --work "$work"
"$app" -m recipe.card --corpus corpus --work "$work" --out "$root/assets/guide.md"
echo "Done: assets/guide.gguf and assets/guide.md"
