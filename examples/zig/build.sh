#!/usr/bin/env bash
# Builds zig.wasm, a core module with its world in a section; the host makes the component.
source ../lib.sh
need_zig
python-zig build-exe -target wasm32-freestanding -O ReleaseSmall -fstrip -fno-entry -rdynamic --stack 65536 \
    src/rota.zig component_type.o -femit-bin=zig.wasm
