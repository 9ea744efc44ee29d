#!/usr/bin/env bash
# Builds state.wasm.
source ../lib.sh
need componentize-qjs "componentize-qjs 0.4.5 from npm"
wit
componentize-qjs --js job.js --module-root .. --wit target/wit --world watch --sync -o state.wasm
