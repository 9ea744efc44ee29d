#!/usr/bin/env bash
# Installs what builds the examples, into `target/tools`, and Debian packages where it may. What is there already stays.
#
# Nothing here is needed to run Clockjack. Without some of it, the examples that need it are skipped.
set -euo pipefail

examples=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=lib.sh
source "$examples/lib.sh"
mkdir -p "$tools"

# Installs Debian packages for a program that is missing, where this user may.
debian() { # program, packages…
    if ! command -v "$1" >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        apt-get update -q && apt-get install --yes --no-install-recommends "${@:2}"
    fi
}

# Whether something was installed from this very list already.
is_current() { # list
    cmp -s "$1" "$tools/$(basename "$1").installed"
}

installed() { # list
    cp "$1" "$tools/$(basename "$1").installed"
}

# JavaScript and TypeScript. No lock file: it would name the registry of whoever wrote it.
debian npm nodejs npm
if ! command -v npm >/dev/null; then
    echo "tools: npm is missing (Debian: nodejs npm); no JavaScript and TypeScript"
elif ! is_current "$examples/package.json"; then
    cp "$examples/package.json" "$tools/package.json"
    (cd "$tools" && npm install --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error)
    installed "$examples/package.json"
fi

# Python, and whatever else has its compiler on PyPI.
debian python3 python3 python3-venv
if ! python3 -m venv --help >/dev/null 2>&1; then
    echo "tools: python3 is missing (Debian: python3 python3-venv); no Python"
elif ! is_current "$examples/requirements.txt"; then
    [ -x "$tools/venv/bin/pip" ] || python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check -r "$examples/requirements.txt"
    installed "$examples/requirements.txt"
fi

# C. Where these packages are not to be had, zig from PyPI does it, and needs half a minute more.
debian clang clang lld wasi-libc libclang-rt-dev-wasm32 || echo "tools: no clang with a C library for WASI; zig does it"

echo "tools: in $tools"
