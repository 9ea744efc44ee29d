#!/usr/bin/env bash
# Builds {{name}}.wasm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
PATH="$PWD/node_modules/.bin:$PATH"
if ! command -v componentize-qjs >/dev/null; then
  echo "componentize-qjs is missing: npm install" >&2
  exit 1
fi
componentize-qjs --js job.js --module-root . --wit wit --world plugin --sync -o {{name}}.wasm
{{schema}}
