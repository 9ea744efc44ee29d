#!/bin/sh
# Stands in place of rustc: adds what libFuzzer sees its way by. These options need no nightly compiler. Build scripts and
# macros run on their own and are left alone.
case "$*" in
*--crate-type\ proc-macro*|*--crate-name\ build_script_build*) exec "$@" ;;
esac
exec "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
