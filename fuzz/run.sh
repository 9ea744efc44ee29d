#!/usr/bin/env bash
# Runs the fuzz targets of the pure crate, each for some seconds: fuzz/run.sh [SECONDS] [TARGET…]
#
# Begins with the inputs in fuzz/corpus, which are kept with the sources; what is found beside them goes into target/fuzz,
# from where `KEEP=1` takes the smallest set that covers the same into the corpus. An input that breaks something is
# written to target/fuzz/broken, and the run fails. The loader and the conversion of arguments need the engine and have a
# runner of their own: `cargo test -p clockjack-sandbox --test fuzz -- --seconds 60`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
seconds=${1:-60}
shift || true
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    targets=(manifest trigger_text trigger_tree egress)
fi
command -v c++ >/dev/null || { echo "fuzz: libFuzzer needs a C++ compiler: install g++" >&2; exit 4; }

out=${CARGO_TARGET_DIR:-$here/../target}/fuzz
mkdir -p "$out/broken"
out=$(cd "$out" && pwd -P)
# What libFuzzer sees its way by; these options need no nightly compiler. With a target named, build scripts are left alone.
host=$(rustc -vV | sed -n 's/^host: //p')
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS="--cfg fuzzing $coverage" CARGO_TARGET_DIR=$out/build \
    cargo build --release --locked --target "$host" --manifest-path "$here/Cargo.toml"
programs=$out/build/$host/release
failed=()
for target in "${targets[@]}"; do
    corpus=$here/corpus/$target found=$out/$target
    mkdir -p "$corpus" "$found"
    printf '\n== fuzz %s for %s s\n' "$target" "$seconds"
    status=0
    # Half a minute for one input is a hang.
    "$programs/$target" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=4096 -max_len=8192 \
        -print_final_stats=1 -artifact_prefix="$out/broken/$target-" "$found" "$corpus" >"$found.log" 2>&1 || status=$?
    grep -E '^stat::number_of_executed_units|DONE|INITED' "$found.log" || true
    if [ "$status" -ne 0 ]; then
        tail -n 60 "$found.log"
        failed+=("$target")
    elif [ -n "${KEEP:-}" ]; then
        "$programs/$target" -merge=1 -max_len=8192 "$corpus" "$found" >>"$found.log" 2>&1
    fi
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "fuzz: broken: ${failed[*]}; the inputs are in $out/broken" >&2
    exit 1
fi
