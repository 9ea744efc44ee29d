#!/usr/bin/env bash
# Builds plain-c.wasm, a program of WASI preview 1.
source ../lib.sh
need_wasi_cc
# Zig would reserve 16 MiB of memory for the stack.
"${wasi_cc[@]}" -std=c17 -Os -s -Wall -Wextra -Wl,-z,stack-size=65536 cold-chain.c -o plain-c.wasm
