#!/usr/bin/env bash
# Checks the types and builds ts.wasm.
source ../lib.sh
need tsc "typescript 5.9.3 from npm"
need esbuild "esbuild 0.28.2 from npm"
need componentize-qjs "componentize-qjs 0.4.5 from npm"
wit
tsc --project .
esbuild job.ts --bundle --format=esm --platform=neutral '--external:clockjack:*' '--external:wasi:*' \
    --log-level=warning --outfile=target/job.js
componentize-qjs --js target/job.js --wit target/wit --world certificates --sync -o ts.wasm
