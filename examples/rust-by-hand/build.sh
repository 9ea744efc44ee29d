#!/usr/bin/env bash
# Builds rust-by-hand.wasm.
source ../lib.sh
need cargo "rustup from rustup.rs, with Rust 1.95"
[ -n "$(find "$(rustc --print target-libdir --target wasm32-wasip2)" -name 'libstd-*.rlib' 2>/dev/null)" ] ||
    skip "there is no standard library for wasm32-wasip2: run rustup target add wasm32-wasip2"
CARGO_TARGET_DIR=$target/examples/rust-by-hand cargo build --quiet --locked --release --target wasm32-wasip2
cp "$target/examples/rust-by-hand/wasm32-wasip2/release/backups.wasm" rust-by-hand.wasm
