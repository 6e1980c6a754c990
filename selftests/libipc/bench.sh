#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck shell=dash disable=SC2317 # check runs functions by name
# The benchmark's program with tiny counts: nothing lost, records as documented, counts that are
# known beforehand. No speed is looked at.
dir=$(mktemp -d)
cp "$(dirname "$0")/files/bench" "$(dirname "$0")/files/libipc.so.1" "$dir/"
chmod 755 "$dir/bench"
export LD_LIBRARY_PATH="$dir"
count=0
bad=0

# check NAME COMMAND...
check()
{
	name=$1
	shift
	count=$((count + 1))
	if "$@" >/dev/null 2>"$dir/why"; then
		echo "ok $count - $name"
	else
		sed 's/^/# /' "$dir/why"
		echo "not ok $count - $name"
		bad=1
	fi
}

into() { out=$1; shift; "$@" >"$out"; }

# every FILE FILTER: true for each record
every() { jq -se "length > 0 and all(.[]; $2)" "$1"; }

# syscalls CASE TRANSPORT FILTER: true for the counts of both placements
syscalls()
{
	jq -se --arg c "$1" --arg t "$2" "
		[.[] | select(.case == \$c and .transport == \$t and .batch == 1) | .value]
		| length > 0 and all(.[]; $3)" "$dir/counts"
}

# switches TRANSPORT FILTER: of a round trip on one CPU; a few more are of others' making
switches()
{
	jq -se --arg t "$1" "
		[.[] | select(.transport == \$t and .placement == \"same-cpu\"
			and .metric == \"switches\") | .value]
		| length > 0 and all(.[]; $2)" "$dir/times"
}

check 'nothing is lost, twice or corrupt' into "$dir/times" "$dir/bench" -q
check 'nor while system calls are counted' into "$dir/counts" "$dir/bench" -q -s
for file in times counts; do
	# shellcheck disable=SC2016 # the filter is jq's
	check "$file: the fields of a record" every "$dir/$file" 'keys == (["case", "transport",
		"size", "peers", "batch", "placement", "clock", "metric", "value", "samples",
		"run"] | sort)'
	check "$file: a value, and where it is from" every "$dir/$file" '(.value | type) == "number"
		and .samples > 0 and (.placement == "same-cpu" or .placement == "two-cpus")'
done
check 'a round trip by pipe is four system calls' syscalls rtt pipe '. == 4'
check 'a call and its answer are two' syscalls rtt msgchan-rendezvous '. == 2'
check 'and where both look before they sleep' syscalls rtt msgchan-rendezvous-spin '. == 2'
check 'and two context switches on one CPU' switches msgchan-rendezvous '. >= 1.9 and . < 3'
check 'a message by seqpacket is two' syscalls stream unix-seqpacket '. == 2'
# shellcheck disable=SC2016 # the filter is jq's
check 'a claim of 32 is one' jq -se '[.[] | select(.metric == "syscalls_per_claim") | .value]
	| length > 0 and all(.[]; . <= 1)' "$dir/counts"
case $(uname -r) in
6.[0-6].*)	;;	# commands do not wait there, so there are no batches to measure
*)
	# shellcheck disable=SC2016 # the filter is jq's
	check 'a call in a batch of 32 is less than one' jq -se '[.[] | select(.case == "batch"
		and .batch == 32 and .transport == "msgchan-uring") | .value]
		| length > 0 and all(.[]; . < 1)' "$dir/counts" ;;
esac
check 'a polled round trip is none' syscalls rtt msgchan-ring-polled '. == 0'
check 'a polled message is none' syscalls stream msgchan-ring-polled '. == 0'
rm -r "$dir"
echo "1..$count"
exit $bad
