#!/bin/bash
# SPDX-License-Identifier: MIT
# all.sh [MODEL...]: check every configuration (of the models named), mutants included; exit 1 if one result is not the expected one.
#
# JOBS verifiers run at a time (default: one per CPU). PAN_CFLAGS=-DNOREDUCE for the paranoid run.
set -u
cd "$(dirname "$0")" || exit 1
jobs=${JOBS:-$(nproc)}

for model; do
	[ -f "$model.pml" ] || { echo "all.sh: no model '$model' here; there are: $(basename -s .pml ./*.pml | xargs)" >&2; exit 2; }
done

# One that outgrows the memory at hand fails and says so, it does not swap. Not divided by jobs: all but one need little.
free=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)
export PAN_MEM=${PAN_MEM:-$((free / 1536))}

# The lines of the models named.
selected() {
	local only=" $* " model line
	while read -r line; do
		model=${line%% *}
		case $line in
		''|'#'*) continue ;;
		esac
		if [ $# = 0 ] || [[ $only = *" $model "* ]]; then
			echo "$line"
		fi
	done <configurations
}

# One line of the file "configurations".
check() {
	local model title want definitions
	IFS='|' read -r model title want definitions <<<"${1// | /|}"
	# The definitions are a list of options.
	# shellcheck disable=SC2086
	./check.sh "$model.pml" "$title" "$want" $definitions
}

check_all() {
	local line
	while read -r line; do
		while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
			wait -n
		done
		check "$line" &
	done
	wait
}

# Numbers the results and sums them up. A check that ended without a word counts as failed.
report() {
	local total=$1 n=0 passed=0 skipped=0 verdict rest
	while read -r verdict rest; do
		n=$((n + 1))
		printf '%s [%3d/%d] %s\n' "$verdict" $n "$total" "$rest"
		case $verdict in
		PASS) passed=$((passed + 1)) ;;
		SKIP) skipped=$((skipped + 1)) ;;
		esac
	done
	echo "$passed passed, $((total - passed - skipped)) failed, $skipped skipped"
	[ $((passed + skipped)) = "$total" ]
}

list=$(selected "$@")
check_all <<<"$list" | report "$(wc -l <<<"$list")"
