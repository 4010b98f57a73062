#!/usr/bin/env bash
# Runs every fuzz target for a number of inputs (not seconds: slow machines test as much as fast ones).
set -euo pipefail
cd "$(dirname "$0")/.."
inputs=${1:-20000x}

git ls-files --cached --others --exclude-standard -- '*_test.go' | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]*' |
	while IFS=: read -r file func; do
		target=${func#func }
		printf 'fuzz: %s in %s, %s inputs\n' "$target" "$(dirname "$file")" "$inputs"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$inputs" "./$(dirname "$file")" </dev/null
	done
