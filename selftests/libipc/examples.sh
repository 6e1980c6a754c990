#!/bin/sh
# SPDX-License-Identifier: MIT
# The library's examples, as programs of a user: both roles in one, and each for itself.
files=$(dirname "$0")/files
dir=$(mktemp -d)
cp "$files"/* "$dir"
chmod 755 "$dir"/*
export LD_LIBRARY_PATH="$dir"
count=0
bad=0

# check NAME EXPECTED GOT
check()
{
	count=$((count + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $count - $1"
	else
		printf '# expected:\n%s\n# got:\n%s\n' "$2" "$3"
		echo "not ok $count - $1"
		bad=1
	fi
}

sum="received 1000 messages, sum 499500"
upper=$(printf 'HELLO\nWORLD')

check ring "$sum" "$("$dir/ring" /example-ring 2>&1)"
check call "$upper" "$("$dir/call" /example-call hello world 2>&1)"
echo "what it says" >"$dir/file"
check open "$(cat "$dir/file")" "$("$dir/open" /example-open "$dir/file" 2>&1)"
check 'open: not there' "open: $dir/none: No such file or directory" \
	"$("$dir/open" /example-open "$dir/none" 2>&1)"
check fanout "5 answered, 27 cancelled" "$("$dir/fanout" /example-fanout 5 2>&1)"
says=$(cat "$dir/file")
ip link set lo up 2>/dev/null
expected=$(printf 'by channel: %s\nby socket: %s\n' "$says" "$says" "$says" "$says")
got=$([ -e /proc/net/tcp ] && "$dir/loop" /example-loop "$dir/file" 2>&1)
case $got in
'')	echo '# not run: loop, no TCP in this kernel' ;;
*)	check loop "$expected" "$got" ;;
esac
check usage 2 "$("$dir/ring" >/dev/null 2>&1; echo $?)"
check missing "call: /nobody: timed out" "$("$dir/call" /nobody -c word 2>&1)"

# the programs of the README
"$dir/recv" >"$dir/hellos" &
receiver=$!
"$dir/send"
check 'README: send' 0 $?
wait $receiver
check 'README: recv' "$(printf 'hello\nhello\nhello')" "$(cat "$dir/hellos")"
"$dir/serve" &
server=$!
check 'README: ask' 42 "$("$dir/ask" 2>&1)"
kill $server
rm -r "$dir"
echo "1..$count"
exit $bad
