#!/bin/bash
# SPDX-License-Identifier: MIT
# check.sh MODEL TITLE ok|bad [-DNAME[=VALUE]...]: check one configuration with SPIN and compare with what is expected.
#
# Prints one line that begins with PASS, FAIL or SKIP; exit 0, 1 or 4. The folder of a failed check is kept and named.
# PAN_CFLAGS adds options for compiling the verifier, as does a line "verifier: OPTIONS" in the model; PAN_MEM (MiB) limits
# the memory of one verifier.
set -u
cd "$(dirname "$0")" || exit 1
model=$PWD/$1 title=$2 want=$3
shift 3

verdict() {
	printf '%-4s %-58s %s\n' "$1" "$title" "$2"
}

command -v spin >/dev/null || { verdict SKIP "spin is not installed (tools/deps.sh installs it)"; exit 4; }

parent=$(realpath -m "${BUILD:-../../build}")/selftests/models
mkdir -p "$parent" && dir=$(mktemp -d "$parent/${model##*/}.XXXXXX") && cd "$dir" || exit 1
start=$SECONDS

# The verifier ends with an error for a model that violates its assertions: only what it printed counts.
# The options are lists.
cflags="-DSAFETY -DCOLLAPSE -DMEMLIM=${PAN_MEM:-4000} ${PAN_CFLAGS:-} $(sed -n 's/^ \* verifier: //p' "$model")"
# shellcheck disable=SC2086
if ! { spin -a "$@" "$model" && gcc -O1 -w $cflags -o pan pan.c; } >build.log 2>&1; then
	verdict FAIL "does not build, see $dir/build.log"
	exit 1
fi
./pan -m1000000 -E >pan.log 2>&1

# A violated assertion is what a mutant has to show, not some other error of the verifier.
if grep -q 'assertion violated' pan.log; then
	got=bad
elif grep -qiE 'search not completed|max search depth too small|out of memory' pan.log; then
	got=incomplete
elif grep -q 'errors: 0' pan.log; then
	got=ok
else
	got=error
fi

states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
memory=$(sed -n 's/^ *\([0-9.]*\).*total actual memory usage.*/\1/p' pan.log)
figures="$got, ${states:-?} states, ${memory%.*} MiB, $((SECONDS - start)) s"
if [ $got = "$want" ]; then
	verdict PASS "$figures"
	rm -rf "$dir"
	exit 0
fi
verdict FAIL "$figures: expected $want (incomplete: out of memory or depth), see $dir (trail: pan -r)"
exit 1
