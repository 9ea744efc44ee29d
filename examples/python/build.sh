#!/usr/bin/env bash
# Builds python.wasm: the interpreter with job.py and what it imports, 18 MB.
source ../lib.sh
need componentize-py "componentize-py 0.25.1 from PyPI"
wit
componentize-py --quiet --wit-path target/wit --world orders componentize job -o python.wasm
