#!/bin/sh
# SPDX-License-Identifier: MIT
# The CLI as a user runs it: call and serve. As root, in the guest, with the module loaded. TAP.
# usage: calls.sh [TEST...]     names as in "ok 3 NAME"; default: all

# shellcheck disable=SC2016 # the commands of servers expand their variables themselves
. "${0%/*}/lib.sh"

# ---- call and serve ----

echo_text_command() {
	m create -m rendezvous /t
	head -c 65536 /dev/urandom >data
	$M serve /t --echo -n 2 &
	is "$(m call /t two words)" "two words"
	m call /t <data >out1
	same data out1
	ended $! 0
	$M serve /t --reply 'always this' -n 1 &
	is "$(m call /t </dev/null)" "always this"
	ended $! 0
	$M serve /t -n 3 -- tr a-z A-Z &
	is "$(m call /t shout)" SHOUT
	expect 0 m call -J --type 9 --cookie 5 /t json
	is "$(json '"\(.result) \(.type) \(.cookie) \(.payload)"')" "0 9 5 JSON"
	is "$(head -c 60000 /dev/zero | tr '\0' a | m call /t | sha256sum)" "$(head -c 60000 /dev/zero | tr '\0' A | sha256sum)"
	ended $! 0
}

command_knows_who_calls() {
	$M serve -c /t -n 1 -- sh -c 'echo $MSGCHAN_TYPE $MSGCHAN_UID $MSGCHAN_ATTEMPTS; cat /proc/$MSGCHAN_PID/comm' &
	m call --wait --type 42 /t x >out1
	is "$(xargs <out1)" "42 0 0 msgchan"
}

results_of_commands() {
	m create -m rendezvous --reply-size 4K /t
	msgchan serve /t -- sh -c 'read -r line; eval "$line"' 2>log &
	server=$!
	expect 8 m call /t 'echo partly; exit 3'
	is "$(cat out)" partly
	said 'status 3'
	expect 8 m call -J /t 'exit 3'
	is "$(json .result)" 3
	expect 0 m call /t 'head -c 4096 /dev/zero'
	is "$(wc -c <out)" 4096
	expect 8 m call /t 'head -c 4097 /dev/zero'
	said 'status 125'
	holds ! -s out
	has log '4097 bytes'
	expect 8 m call /t 'kill -9 $$'
	said 'status 137'
	expect 0 m call /t 'echo still here'
	kill $server
	ended $server 0
	msgchan serve /t -n 1 -t 1 -- sh -c 'sleep 20 | sleep 20' &
	expect 8 m call /t x
	said 'status 124'
	ended $! 0
	msgchan serve /t -n 1 -- /no/such/command 2>log &
	expect 8 m call /t x
	said 'status 127'
	ended $! 0
	msgchan serve /t -n 1 -- /etc/passwd 2>log &
	expect 8 m call /t x
	said 'status 126'
}

too_long_request() {
	m create -m rendezvous --request-size 4K /t
	$M serve /t -e &
	soon waiting_peer /t server
	head -c 4097 /dev/zero >data
	expect 2 m call /t <data
	said 'longer than'
	head -c 4096 /dev/zero >data
	expect 0 m call /t <data
	same data out
}

calls_by_line_in_order() {
	m create -m rendezvous --many-servers --slots 8 /t
	# every tenth answer is slow, so that others overtake it
	for _ in 1 2 3; do
		$M serve /t -- sh -c 'read -r n; case $n in *0) sleep 0.2 ;; esac; echo "$n!"' &
	done
	soon waiting_peer /t server
	seq 1 60 >data
	m call -l /t <data >out1
	sed 's/$/!/' data | same - out1
}

many_calls() {
	$M serve -c /t --echo &
	seq 1 5000 >data
	m call --wait -l /t <data >out1
	same data out1
}

first_failure_ends_the_lines() {
	$M serve -c /t -- sh -c 'read -r n; echo $n; [ $n != 3 ]' &
	soon waiting_peer /t server
	seq 1 1000 >data
	expect 8 m call -l /t <data
	said 'line 3: .*status 1'
	is "$(head -n 3 out | xargs)" "1 2 3"
	holds "$(wc -l <out)" -lt 10
}

calls_without_a_server() {
	m create -m rendezvous /t
	expect 5 m call -t 0.3 /t x
	said 'not executed'
	expect 5 m call -t 0 /t x
	expect 6 m call --need-server /t x
	said 'not executed'
	expect 1 m call --need-server /none x
}

calls_that_may_have_been_executed() {
	m create -m rendezvous /t
	msgchan serve /t -- sh -c "$hang" &
	server=$!
	soon waiting_peer /t server
	expect 6 m call -t 3 /t x
	said 'may have been executed'
	soon hangs
	kill -9 $server
	ended $server 137
	hang_ends
	msgchan serve /t -- sh -c "$hang" &
	server=$!
	$M call /t x 2>err &
	call=$!
	soon hangs
	kill -9 $server
	ended $call 6
	said 'may have been executed'
	hang_ends
}

redelivered_call() {
	m create -m rendezvous --many-servers --redeliver /t
	msgchan serve /t -- sh -c "$hang" &
	server=$!
	$M call /t x >out1 &
	call=$!
	soon hangs
	$M serve /t -n 1 -- sh -c 'echo attempts $MSGCHAN_ATTEMPTS' &
	kill -9 $server
	ended $call 0
	is "$(cat out1)" "attempts 1"
	hang_ends
}

serve_ends_cleanly() {
	for sig in TERM INT; do
		# a background process of a shell ignores SIGINT
		sh -c 'trap - INT; exec msgchan serve -c /t -- sh -c "$1"' - "$hang" &
		pid=$!
		$M call --wait /t x 2>err &
		call=$!
		soon hangs
		kill -$sig $pid
		ended $pid 0
		ended $call 8
		said 'status 143'
		holds ! -e "/proc/$(cat pid)"
		rm pid
	done
}

# A command that closes its output and goes on is held to its time as well.
command_without_output() {
	m create -m rendezvous /t
	$M serve /t -t 1 -n 1 -- sh -c 'exec >&- 2>&-; sleep 20' &
	expect 8 m call /t x
	said 'status 124'
}

one_way_messages() {
	m create -m rendezvous --request-size 4K /t
	$M serve /t -n 3 -- cat >out1 &
	soon waiting_peer /t server
	seq 1 3 | m send -l /t
	ended $! 0
	is "$(xargs <out1)" "1 2 3"
	$M recv -n 2 /t >out1 &
	is "$(m call /t request | wc -c)" 0
	head -c 4000 /dev/zero | m send /t
	ended $! 0
	is "$(wc -c <out1)" 4007
	expect 5 m send -t 0.3 /t <out1
}

wrong_mode() {
	m create /t
	expect 2 m call /t x
	said 'ring channel'
	expect 2 m serve /t -e
	said "'msgchan send'"
}

only_the_server() {
	is "$(m who -n -o ROLE "$1" | xargs)" server
}

endpoints_survive_commands() {
	$M serve -c /t -- cat &
	soon waiting_peer /t server
	n=0
	while [ $n -lt 10 ]; do
		is "$(m call /t $n)" $n
		n=$((n + 1))
	done
	soon only_the_server /t
}

all="
echo_text_command command_knows_who_calls results_of_commands too_long_request
calls_by_line_in_order many_calls first_failure_ends_the_lines calls_without_a_server
calls_that_may_have_been_executed redelivered_call serve_ends_cleanly command_without_output one_way_messages
wrong_mode endpoints_survive_commands
"
run_tests "$@"
