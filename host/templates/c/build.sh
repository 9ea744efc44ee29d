#!/usr/bin/env bash
# Builds {{name}}.wasm, a core module with its world in a section; the host makes the component.
#
# After a change of wit/world.wit: wit-bindgen c wit --out-dir bindings
# (cargo install --locked wit-bindgen-cli@0.63.0)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# clang where it has a C library for WASI, or else zig, which has one with it.
compiler=()
for clang in clang clang-{24..14}; do
  if command -v "$clang" >/dev/null &&
    echo 'int main(void) { return 0; }' | "$clang" --target=wasm32-wasi -x c - -o /dev/null 2>/dev/null; then
    compiler=("$clang" --target=wasm32-wasi)
    break
  fi
done
if [ ${#compiler[@]} -eq 0 ] && command -v python-zig >/dev/null; then
  compiler=(python-zig cc --target=wasm32-wasi)
fi
if [ ${#compiler[@]} -eq 0 ]; then
  echo "no C compiler for WASI: apt install clang lld wasi-libc libclang-rt-dev-wasm32, or pip install ziglang" >&2
  exit 1
fi
"${compiler[@]}" -mexec-model=reactor -std=c17 -Os -s -Wall -Wextra -Wl,-z,stack-size=65536 \
  job.c bindings/plugin.c bindings/plugin_component_type.o -o {{name}}.wasm
{{schema}}
