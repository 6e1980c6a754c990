# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the CLI's test programs share: each sets `all`, the names of its tests, defines them, and calls run_tests "$@".
#
# A test is a function, run by a subshell in a folder of its own that ends at the first command which fails; what that
# says is its diagnosis. A failing [ or a ! says nothing: use the helpers. Needs msgchan and jq in PATH, users alice and
# bob (1000, 1001), and sleep with fractions.

# m VERB...: msgchan, which must not hang. $M VERB... & in the background, where $! has to be msgchan itself.
M="timeout 120 msgchan"
m() {
	timeout 120 msgchan "$@"
}

# expect STATUS COMMAND...: what it prints is then in out and err.
expect() {
	want=$1
	shift
	got=0
	"$@" >out 2>err || got=$?
	[ "$got" -eq "$want" ] || {
		echo "exit status $got instead of $want: $*"
		sed 's/^/stdout: /' out | head -n 5
		sed 's/^/stderr: /' err | head -n 5
		return 1
	}
}

# said PATTERN: on standard error, of the last expect.
said() {
	has err "$1"
}

# Neither output has anything.
silent() {
	cat out err >both
	is "$(cat both)" ""
}

# has FILE PATTERN
has() {
	grep -q -e "$2" "$1" || {
		echo "'$2' is not in $1: $(head -c 500 "$1")"
		return 1
	}
}

# holds A -gt B
holds() {
	[ "$@" ] || {
		echo "not so: $*"
		return 1
	}
}

# lacks FILE PATTERN
lacks() {
	[ -e "$1" ] || return 1
	if grep -q -e "$2" "$1"; then
		echo "'$2' is in $1: $(head -c 500 "$1")"
		return 1
	fi
}

# same FILE FILE
same() {
	cmp "$1" "$2" || return 1
}

# is A B
is() {
	[ "$1" = "$2" ] || {
		echo "'$1' instead of '$2'"
		return 1
	}
}

# json FILTER: of the last expect's output.
json() {
	jq -r "$1" out
}

# soon COMMAND...: becomes true within some seconds.
soon() {
	tries=100
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || {
			echo "not so after 10 s: $*"
			return 1
		}
		sleep 0.1
	done
}

# ended PID STATUS: a child ends so.
ended() {
	got=0
	wait "$1" || got=$?
	is "$got" "$2"
}

as() {
	user=$1
	shift
	su "$user" -s /bin/sh -c "$*"
}

waiting_peer() {
	m wait -t 0 -P "$2" "$1"
}

# deep NAME BYTES: more than that lies in it.
deep() {
	[ "$(m ls -n -b -o NAME,DEPTH | awk -v name="$1" '$1 == name { print $2 }')" -gt "$2" ]
}

# stuck PID: it waits in a write, for somebody to read its full pipe.
stuck() {
	grep -q pipe_write "/proc/$1/wchan"
}

# twice FILE PATTERN: in two lines at least.
twice() {
	[ "$(grep -c -e "$2" "$1")" -ge 2 ]
}

# A command for serve that answers only when hang_ends: it has begun when it has told its pid.
hang='echo $$ >pid; exec sleep 100'
hangs() {
	test -s pid
}

hang_ends() {
	soon hangs
	kill "$(cat pid)"
	rm pid
}

# ---- running the tests ----

# Nothing of one test is left for the next.
clean() {
	[ ! -e /dev/hidden ] || mv /dev/hidden /dev/msgchan
	chmod 666 /dev/msgchan
	msgchan ls -n -o NAME | grep -v '^#' | while read -r name; do
		msgchan rm -f "$name"
	done
}

seconds() {
	cut -d. -f1 /proc/uptime
}

kill_jobs() {
	for job in $(jobs -p); do
		{ kill -9 "$job" && wait "$job"; } 2>/dev/null || true
	done
}

# run_one NAME: what it leaves running ends with it.
run_one() {
	number=$((number + 1))
	begin=$(seconds)
	mkdir "$dir/$1"
	(
		cd "$dir/$1" || exit 1
		trap kill_jobs EXIT
		set -e
		"$1"
	) >"$dir/log" 2>&1
	status=$?
	if [ $status -eq 0 ]; then
		echo "ok $number $1"
	else
		echo "not ok $number $1"
		sed 's/^/# /' "$dir/log" | tail -n 12
		failed=$((failed + 1))
	fi
	echo "# $(($(seconds) - begin)) s"
	clean
	rm -rf "${dir:?}/$1"
}

# run_tests [NAME...]: those, or all. For the tests: $programs, the folder of this program.
run_tests() {
	number=0
	failed=0
	dir=$(mktemp -d)
	# shellcheck disable=SC2034 # the tests use it
	programs=$(cd "${0%/*}" && pwd)
	for need in msgchan jq; do
		command -v "$need" >/dev/null || {
			echo "Bail out! $need is missing"
			exit 1
		}
	done
	# shellcheck disable=SC2048,SC2154 # a list; the program sets it
	for test in ${*:-$all}; do
		run_one "$test"
	done
	echo "1..$number"
	rm -rf "$dir"
	[ $failed -eq 0 ]
}
