#!/usr/bin/env bash
# Builds {{name}}.wasm: the interpreter with app.py and what it imports, 18 MB.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
if ! command -v componentize-py >/dev/null; then
  echo "componentize-py is missing: pip install -r requirements.txt" >&2
  exit 1
fi
componentize-py --quiet --wit-path wit --world plugin componentize app -o {{name}}.wasm
{{schema}}
