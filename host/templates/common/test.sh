#!/usr/bin/env bash
# Builds, tests, checks the manifest, and runs the job as the manifest says.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
./build.sh
{{unit_tests}}
clockjack check
result=$(clockjack exec --job hello -o json)
if ! grep -q '"output": "hello world"' <<<"$result"; then
  printf 'the job `hello` gave something else:\n%s\n' "$result" >&2
  exit 1
fi
echo "all is well"
