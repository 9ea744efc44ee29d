#!/usr/bin/env bash
# Checks the types and builds {{name}}.wasm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
PATH="$PWD/node_modules/.bin:$PATH"
for tool in tsc esbuild componentize-qjs; do
  if ! command -v "$tool" >/dev/null; then
    echo "$tool is missing: npm install" >&2
    exit 1
  fi
done
tsc --project .
esbuild job.ts --bundle --format=esm --platform=neutral '--external:clockjack:*' '--external:wasi:*' \
  --log-level=warning --outfile=build/job.js
componentize-qjs --js build/job.js --wit wit --world plugin --sync -o {{name}}.wasm
{{schema}}
