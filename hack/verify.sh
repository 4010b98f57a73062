#!/usr/bin/env bash
# What a change must pass besides the tests. Every check runs, so that one round shows all there is to mend.
# It compares the tree before and after generating, so it can be run before committing too.
set -euo pipefail
cd "$(dirname "$0")/.."
max_lines=400
failed=()

check() { # name command...
	local name=$1 began=$SECONDS
	shift
	printf 'verify: %s\n' "$name"
	if "$@"; then
		printf 'verify: %s: ok (%d s)\n' "$name" $((SECONDS - began))
	else
		printf 'verify: %s: FAILED (%d s)\n' "$name" $((SECONDS - began))
		failed+=("$name")
	fi
}

# The whole tree, files not yet added included, as a git tree object; the index is left alone.
tree() {
	local index
	index=$(mktemp -u)
	GIT_INDEX_FILE=$index git add --all .
	GIT_INDEX_FILE=$index git write-tree
	rm -f "$index"
}

generated() {
	local before after
	before=$(tree)
	make --no-print-directory generate || return 1
	after=$(tree)
	git --no-pager diff --exit-code "$before" "$after" && return
	echo "generated files are out of date: run 'make generate' and commit what it changes"
	return 1
}

lint() { make --no-print-directory lint; }

alerts() { make --no-print-directory alerts; }
# The chart's life on an API server is a test (make helm-test, make test).
chart() {
	make --no-print-directory bin/tools/helm bin/tools/helm-unittest &&
		bin/tools/helm lint --strict --quiet charts/counterweight &&
		bin/tools/helm-unittest --strict charts/counterweight
}

modules() { go mod tidy -diff; }

written_by_hand() { # Go files, without the generated ones
	git ls-files --cached --others --exclude-standard -- '*.go' |
		while read -r file; do
			if [ -f "$file" ] && ! grep -qm1 '^// Code generated .* DO NOT EDIT\.$' "$file"; then
				printf '%s\n' "$file"
			fi
		done
}

lengths() {
	written_by_hand | xargs wc -l |
		awk -v max=$max_lines '$2 != "total" && $1 > max {print $2 ": " $1 " lines, more than " max; bad = 1} END {exit bad}'
}

papers() { git ls-files --cached --others --exclude-standard -- '*.md'; }

# Relative links in Markdown lead to files that are there.
links() {
	local bad=0 page target
	while read -r page; do
		while read -r target; do
			if [ ! -e "$(dirname "$page")/$target" ]; then
				echo "$page: link to $target, which is not there"
				bad=1
			fi
		done < <(grep -oE '\]\([^)]+\)' "$page" | sed -E 's/^\]\(//; s/\)$//; s/#.*//' | grep -vE '^$|^[a-z]+:' || true)
	done < <(papers)
	return $bad
}

# What the papers tell people to type with make is there: in code, fenced or between backticks.
targets() {
	local bad=0 target
	for target in $(papers | xargs awk '
		/^```/ {fenced = !fenced; next}
		fenced && /^make [a-z]/ {print $2}
		{line = $0; while (match(line, /`make [a-z0-9-]+/)) {print substr(line, RSTART + 6, RLENGTH - 6); line = substr(line, RSTART + RLENGTH)}}' | sort -u); do
		if ! grep -qE "^$target:" Makefile; then
			echo "the papers say 'make $target', the Makefile has no such target"
			bad=1
		fi
	done
	return $bad
}

check "generated files" generated
check "lint" lint
check "alert rules" alerts
check "chart" chart
check "go.mod is tidy" modules
check "Go files of at most $max_lines lines" lengths
check "links in the papers" links
check "make targets in the papers" targets

if [ ${#failed[@]} -gt 0 ]; then
	printf 'verify: FAILED: %s\n' "$(IFS=,; echo "${failed[*]}")"
	exit 1
fi
echo "verify: ok"
