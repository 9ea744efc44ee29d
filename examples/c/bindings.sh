#!/usr/bin/env bash
# Generates the bindings again. Needs: cargo install --locked wit-bindgen-cli@0.63.0, which takes minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
wit-bindgen c ../../wit wit --world acme:certificates/jobs --out-dir bindings
