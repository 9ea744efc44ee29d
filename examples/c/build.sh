#!/usr/bin/env bash
# Builds c.wasm, a core module with its world in a section; the host makes the component.
source ../lib.sh
need_wasi_cc
# Zig would reserve 16 MiB of memory for the stack.
"${wasi_cc[@]}" -mexec-model=reactor -std=c17 -Os -s -Wall -Wextra -Wl,-z,stack-size=65536 \
    src/jobs.c src/certificate.c bindings/jobs.c bindings/jobs_component_type.o -o c.wasm
