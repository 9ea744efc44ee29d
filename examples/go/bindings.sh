#!/usr/bin/env bash
# Generates the bindings again. Needs: cargo install --locked wit-bindgen-cli@0.63.0, which takes minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
mkdir -p target
wit-bindgen go ../../wit wit --world acme:traffic/jobs --out-dir target/go
cp -r target/go/wit_exports.go target/go/wit_world target/go/clockjack_job_* .
# The linker of Go takes no objects. So the section with the world is taken out of the object that the bindings of C have,
# between 24 bytes of empty sections and 57 bytes for linkers; build.sh puts it behind the module.
wit-bindgen c ../../wit wit --world acme:traffic/jobs --out-dir target/c
tail -c +25 target/c/jobs_component_type.o | head -c -57 >world.section
