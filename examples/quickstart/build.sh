#!/usr/bin/env bash
# The component is prebuilt, so that the first minute needs no toolchain; `./guests.sh check` builds it from source and
# compares.
source ../lib.sh
[ -e weblog.wasm ] || skip "weblog.wasm is missing: run ./guests.sh rebuild"
