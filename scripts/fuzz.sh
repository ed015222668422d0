#!/usr/bin/env bash
# Runs every fuzz target of the repository, one after the other, each for the
# given time or number of executions (10m unless told), but for those in folders
# that match the second argument, a regular expression. It stops at the first
# finding; go test then tells the input, which it has left in testdata/fuzz.
#
# CI passes a number, as 1000x. Up to Go 1.26, a target whose time is up may fail
# with "context deadline exceeded" though nothing was found (go.dev/issue/75804).
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
budget=${1:-10m}
without=${2:-^$}

# Prints "directory target" for each target. Only packages that have any are
# built; go test knows which of them the build tags leave.
targets() {
	local dir list
	grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -r -n1 dirname | sort -u | grep -vE -e "$without" | while read -r dir; do
		list=$(cd "$dir" && go test -list '^Fuzz' .)
		awk -v dir="$dir" '/^Fuzz/ { print dir, $1 }' <<<"$list"
	done
}

found=$(targets)
if [ -z "$found" ]; then
	echo 'no fuzz target found' >&2
	exit 1
fi

while read -r dir target; do
	printf '\n== %s %s (%s)\n' "$dir" "$target" "$(date +%T)"
	(cd "$dir" && go test -run '^$' -fuzz "^$target\$" -fuzztime "$budget" -fuzzminimizetime 10x .) </dev/null
done <<<"$found"
