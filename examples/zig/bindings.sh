#!/usr/bin/env bash
# Generates the world's object again. Needs: cargo install --locked wit-bindgen-cli@0.63.0, which takes minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
mkdir -p target
wit-bindgen c ../../wit wit --world acme:rota/jobs --out-dir target
cp target/jobs_component_type.o component_type.o
