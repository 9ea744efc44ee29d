#!/usr/bin/env bash
# Builds {{name}}.wasm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
if ! [ -d "$(rustc --print target-libdir --target wasm32-wasip2)" ]; then
  echo "Rust has no standard library for wasm32-wasip2: rustup target add wasm32-wasip2" >&2
  exit 1
fi
cargo build --quiet --release --target wasm32-wasip2
cp "${CARGO_TARGET_DIR:-target}/wasm32-wasip2/release/{{snake}}.wasm" {{name}}.wasm
{{schema}}
