# shellcheck shell=bash
# What the build scripts of the examples share. Each one begins with `source ../lib.sh`, in its own folder.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
target=$(cd "$root" && mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd -P)
# Where tools.sh puts what it installs. It comes first, so that the versions are those of the lists here.
tools=$target/tools
export PATH="$tools/node_modules/.bin:$tools/venv/bin:$tools/bin:$PATH"

# Ends the script as "skipped": something is not on this machine.
skip() { # what is missing, and what to do
    printf '%s\n' "$*" >&2
    exit 77
}

# Wants a program.
need() { # program, the package that has it
    command -v "$1" >/dev/null || skip "$1 is missing: run examples/tools.sh, or install $2"
}

# Puts the world of the example (`wit/`) together with the packages that it may name, in `target/wit`.
wit() {
    rm -rf target/wit
    mkdir -p target/wit/deps/clockjack target/wit/deps/filesystem
    cp wit/*.wit target/wit/
    cp "$root"/wit/*.wit target/wit/deps/clockjack/
    cp "$root"/examples/wit/filesystem.wit target/wit/deps/filesystem/
}

# Wants a compiler of C for WASI, and puts it in `wasi_cc`: clang where it has a C library for WASI, or else zig, which has
# one with it and builds it first.
need_wasi_cc() {
    local clang
    for clang in clang clang-{24..14}; do
        wasi_cc=("$clang" --target=wasm32-wasi)
        if command -v "$clang" >/dev/null &&
            echo 'int main(void) { return 0; }' | "${wasi_cc[@]}" -x c - -o /dev/null 2>/dev/null; then
            return
        fi
    done
    need_zig
    wasi_cc=(python-zig cc --target=wasm32-wasi)
}

need_zig() {
    need python-zig "ziglang 0.17.0 from PyPI"
    export ZIG_GLOBAL_CACHE_DIR=$target/examples/zig ZIG_LOCAL_CACHE_DIR=$target/examples/zig
}
