#!/usr/bin/env bash
# Rebuilds and checks the prebuilt components, so that running and testing Clockjack needs no WASM toolchain.
#
#   ./guests.sh rebuild   build every component from source and write guests.lock
#   ./guests.sh check     fail when a component is not what its source gives: for CI
#   ./guests.sh test      the guests' own checks: format, clippy, tests of the SDK and of the quickstart's plugin
#
# `check` compares three things with guests.lock: the hash of the sources, the hash of the component, and, when the
# compiler named there is the one installed, the bytes of a fresh build. Builds do not depend on the folder they happen in.
set -euo pipefail
export LC_ALL=C

# Cargo runs this script in place of rustc while it builds a guest (see `build`). Cargo tells crates of one name apart by a
# hash over their folder, which gets into symbol names and so into the order of functions. Name and version do as well.
if [ -n "${GUESTS_RUSTC_WRAPPER:-}" ]; then
    arguments=()
    for argument in "$@"; do
        case $argument in
        metadata=*) argument="metadata=${CARGO_PKG_NAME:-}-${CARGO_PKG_VERSION:-}-${CARGO_CRATE_NAME:-}" ;;
        esac
        arguments+=("$argument")
    done
    exec "${arguments[@]}"
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
lock=$root/guests.lock
target=wasm32-wasip2
target_dir=${CARGO_TARGET_DIR:-$root/target}/guests

# component | workspace | artifact | the sources that belong to it alone; all of them share guest-sdk
guests() {
    cat <<'TABLE'
examples/quickstart/weblog.wasm|examples/quickstart/weblog|weblog|examples/quickstart/weblog
tests/guests/bench-empty.wasm|tests/guests|bench_empty|tests/guests/bench-empty
tests/guests/bench-real.wasm|tests/guests|bench_real|tests/guests/bench-real
tests/guests/command.wasm|tests/guests|command|tests/guests/command
tests/guests/fetch.wasm|tests/guests|fetch|tests/guests/fetch
tests/guests/hostile.wasm|tests/guests|hostile|tests/guests/hostile
tests/guests/state.wasm|tests/guests|state|tests/guests/state
tests/guests/typed.wasm|tests/guests|typed|tests/guests/typed
tests/guests/witness.wasm|tests/guests|witness|tests/guests/witness
TABLE
}

# The largest component that may be committed: the one that speaks HTTP has 226 KiB, most of it bindings.
component_bytes_max=$((256 * 1024))

say() { printf 'guests: %s\n' "$*"; }
fail() { printf 'guests: error: %s\n' "$*" >&2; exit 1; }

hash_of() { sha256sum "$1" | cut -d' ' -f1; }

# One hash over names and contents of everything that a component is built from.
source_hash() { # workspace, own sources
    (
        cd "$root"
        {
            find guest-sdk/src guest-sdk/macros/src "$2" -type f -not -path '*/target/*' -print
            printf '%s\n' guest-sdk/Cargo.toml guest-sdk/macros/Cargo.toml "$1/Cargo.toml" "$1/Cargo.lock"
        } | sort -u | xargs -d '\n' sha256sum | sha256sum | cut -d' ' -f1
    )
}

# The compiler and the origin of its standard library: both decide about the bytes.
cargo=cargo
rustc=rustc
std=prebuilt
build_flags=()

compiler() { printf '%s, %s std' "$("$rustc" --version)" "$std"; }

has_target() { [ -n "$(find "$("$rustc" --print target-libdir --target "$target")" -name 'libstd-*.rlib' -print -quit 2>/dev/null)" ]; }

# Finds a way to build for the target. Fails with status 1 when there is none, after saying what to install.
find_toolchain() {
    if command -v rustc >/dev/null && has_target; then
        return 0
    fi
    if command -v rustup >/dev/null && rustup target add "$target" && has_target; then
        return 0
    fi
    # Debian packages a compiler with the WASM back end and the sources of std, but no std for this target.
    local usr=${GUESTS_DEBIAN_USR:-/usr} self_contained wasm_ld packages=() missing=()
    self_contained=$usr/lib/rustlib/$target/lib/self-contained
    wasm_ld=$(find "$usr"/lib/llvm-*/bin -name wasm-ld 2>/dev/null | sort -V | tail -n 1)
    { [ -x "$usr/bin/rustc" ] && [ -x "$usr/bin/cargo" ]; } || packages+=(rustc-web cargo-web)
    [ -e "$usr/lib/rustlib/src/rust/library/Cargo.toml" ] || packages+=(rust-web-src)
    [ -n "$(find "$usr"/lib/rustlib/*/bin -name wasm-component-ld 2>/dev/null)" ] || packages+=(rust-web-llvm)
    [ -n "$wasm_ld" ] || packages+=(lld-22)
    [ -e "$usr/lib/wasm32-wasi/libc.a" ] || packages+=(wasi-libc)
    [ ${#packages[@]} -eq 0 ] || missing+=("apt-get update && apt-get install --no-install-recommends ${packages[*]}")
    [ -e "$self_contained/libc.a" ] ||
        missing+=("install -D -t $self_contained $usr/lib/wasm32-wasi/{crt1-command.o,crt1-reactor.o,libc.a}")
    if [ ${#missing[@]} -gt 0 ]; then
        {
            say "there is no standard library for $target"
            say "where rustup reaches its server: rustup target add $target"
            say "on Debian, as root (from bookworm-security on, Rust 1.95 or later):"
            printf '    %s\n' "${missing[@]}"
        } >&2
        return 1
    fi
    cargo=$usr/bin/cargo rustc=$usr/bin/rustc std=own build_flags=(-Zbuild-std=std,panic_abort)
    export RUSTC_BOOTSTRAP=1 PATH="${wasm_ld%/*}:$PATH"
}

# Builds a workspace. No path of this machine gets into the component.
build() { # workspace
    local cargo_home=${CARGO_HOME:-$HOME/.cargo} sep=$'\x1f'
    (
        cd "$root/$1"
        env -u RUSTFLAGS -u CARGO_BUILD_RUSTFLAGS -u RUSTC_WORKSPACE_WRAPPER \
            GUESTS_RUSTC_WRAPPER=1 RUSTC_WRAPPER="$root/guests.sh" RUSTC="$rustc" \
            CARGO_TARGET_DIR="$target_dir" \
            CARGO_INCREMENTAL=0 \
            CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$cargo_home=/cargo${sep}--remap-path-prefix=$root=/clockjack${sep}--remap-path-prefix=$target_dir=/target" \
            "$cargo" build --quiet --locked --release --target "$target" ${build_flags[@]+"${build_flags[@]}"}
    )
}

# Always from nothing: it takes seconds, and cargo does not notice every change of flags.
build_all() {
    rm -rf -- "$target_dir/$target" "$target_dir/release"
    guests | cut -d'|' -f2 | sort -u | while read -r workspace; do
        build "$workspace"
    done
}

artifact() { printf '%s/%s/release/%s.wasm' "$target_dir" "$target" "$1"; }

rebuild() {
    find_toolchain || exit 1
    build_all
    {
        printf '# Written by `./guests.sh rebuild`. A component belongs to its sources only while both hashes hold.\n'
        printf 'compiler = "%s"\n' "$(compiler)"
        guests | while IFS='|' read -r component workspace name sources; do
            local size
            size=$(wc -c <"$(artifact "$name")")
            [ "$size" -le "$component_bytes_max" ] ||
                fail "$component has $size bytes; at most $component_bytes_max may be committed"
            # Written only when changed, so that a plugin under watch is not loaded again for nothing.
            cmp -s "$(artifact "$name")" "$root/$component" || install -m 644 "$(artifact "$name")" "$root/$component"
            printf '\n[[guest]]\ncomponent = "%s"\nsha256 = "%s"\nsources = "%s"\n' \
                "$component" "$(hash_of "$root/$component")" "$(source_hash "$workspace" "$sources")"
            printf 'guests: %7d bytes  %s\n' "$size" "$component" >&2
        done
    } >"$lock.new"
    mv "$lock.new" "$lock"
    say "wrote guests.lock ($(compiler))"
}

# The value of a key in the entry of a component.
locked() { # component, key
    awk -v component="$1" -v key="$2" -F' = ' '
        { gsub(/"/, "", $2) }
        $1 == "component" { found = ($2 == component) }
        found && $1 == key { print $2 }
    ' "$lock"
}

check() {
    [ -e "$lock" ] || fail "guests.lock is missing; run ./guests.sh rebuild and commit what it writes"
    local n_wrong=0 n_guests=0 locked_compiler
    wrong() { printf 'guests: wrong: %s\n' "$*" >&2; n_wrong=$((n_wrong + 1)); }
    while IFS='|' read -r component workspace name sources; do
        n_guests=$((n_guests + 1))
        if [ ! -e "$root/$component" ]; then
            wrong "$component is missing"
            continue
        fi
        [ "$(hash_of "$root/$component")" = "$(locked "$component" sha256)" ] ||
            wrong "$component is not the file that guests.lock names"
        [ "$(source_hash "$workspace" "$sources")" = "$(locked "$component" sources)" ] ||
            wrong "the sources of $component (or guest-sdk, which it uses) changed after it was built"
    done < <(guests)
    locked_compiler=$(sed -n 's/^compiler = "\(.*\)"$/\1/p' "$lock")
    if ! find_toolchain; then
        say "a fresh build was not compared: no toolchain for $target here"
    elif [ "$(compiler)" != "$locked_compiler" ]; then
        say "a fresh build was not compared: the lock is of $locked_compiler, here is $(compiler)"
    else
        build_all
        while IFS='|' read -r component workspace name sources; do
            cmp -s "$(artifact "$name")" "$root/$component" || wrong "a fresh build of $component gives other bytes"
        done < <(guests)
        say "compared with a fresh build by $(compiler)"
    fi
    [ "$n_wrong" -eq 0 ] || fail "$n_wrong problems; run ./guests.sh rebuild and commit what it writes"
    say "$n_guests components are what their sources give"
}

run_tests() {
    local workspace
    for workspace in guest-sdk examples/quickstart/weblog tests/guests; do
        say "$workspace: fmt, clippy, test"
        (
            cd "$root/$workspace"
            export CARGO_TARGET_DIR=$target_dir/native
            cargo fmt --all --check
            cargo clippy --quiet --locked --workspace --all-targets --all-features -- -D warnings
            cargo test --quiet --locked --workspace --all-features
        )
    done
}

case "${1:-}" in
rebuild) rebuild ;;
check) check ;;
test) run_tests ;;
*)
    sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
