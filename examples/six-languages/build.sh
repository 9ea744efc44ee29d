#!/usr/bin/env bash
# Builds what is missing of the other examples.
source ../lib.sh
for name in rust-by-hand js ts python go c; do
    [ -d "../$name" ] || skip "the example $name is missing"
    [ -e "../$name/$name.wasm" ] || (cd "../$name" && ./build.sh)
done
