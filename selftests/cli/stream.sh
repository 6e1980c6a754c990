#!/bin/sh
# SPDX-License-Identifier: MIT
# The CLI as a user runs it: send, recv, wait, who. As root, in the guest, with the module loaded. TAP.
# usage: stream.sh [TEST...]     names as in "ok 3 NAME"; default: all

. "${0%/*}/lib.sh"

# ---- send and recv ----

blocks_binary_both_orders() {
	$M recv -c /t >out1 &
	soon waiting_peer /t receiver
	m send /t </bin/busybox
	ended $! 0
	same /bin/busybox out1
	$M send -c /t </bin/busybox &
	soon waiting_peer /t sender
	m recv /t >out2
	ended $! 0
	same /bin/busybox out2
}

# From a pipe, through a ring that is far smaller.
blocks_of_a_pipe() {
	head -c 20000000 /dev/urandom >data
	$M recv -c /t >out1 &
	<data cat | m send -c --ring 64K -B 10K /t
	ended $! 0
	is "$(sha256sum <out1)" "$(sha256sum <data)"
}

block_sizes() {
	head -c 1000 /dev/zero | $M send -c -B 300 /t &
	expect 0 m recv --wait -J /t
	is "$(json .len | xargs)" "300 300 300 100"
	is "$(json .seq | xargs)" "1 2 3 4"
}

lines_stay_lines() {
	{ seq 1 2000; echo; echo; printf 'the end'; } >data
	$M send -l -c /t <data &
	m recv --wait -J /t >out
	is "$(wc -l <out)" 2003
	is "$(jq -j .payload out | sha256sum)" "$(sha256sum <data)"
	$M send -l -c --ring 4K /t <data &
	m recv --wait /t >out1
	same data out1
}

long_lines() {
	{ head -c 300000 /dev/zero | tr '\0' x; echo; echo short; } >data
	$M send -l -c /t <data &
	m recv --wait /t >out1
	same data out1
	m create --ring 64K /t2
	expect 2 m send -l --no-drain /t2 <data
	said 'does not fit the ring'
}

whole_input_is_one_message() {
	head -c 1200000 /dev/urandom >data
	$M recv -c -J /t >out1 &
	m send -c -w /t <data
	ended $! 0
	is "$(jq -r .len out1)" 1200000
	is "$(jq -r .payload_base64 out1 | base64 -d | sha256sum)" "$(sha256sum <data)"
	<data cat | $M send -c -w /t &
	m recv --wait /t >out1
	same data out1
	: | $M send -c -w /t &
	expect 0 m recv --wait -J /t
	is "$(json .len)" 0
	# who sends nothing comes and goes: only a receiver that is there sees the end
	$M recv -c /t >out1 &
	m wait --peer receiver --timeout 50 /t
	m send /t </dev/null
	ended $! 0
	holds ! -s out1
}

tags_and_json() {
	printf 'a "quoted" \\ text\n\ttab é' >data
	$M send -c -w --type 7 --format 3 --cookie 18446744073709551615 /t <data &
	expect 0 m recv --wait -J /t
	is "$(json '"\(.type) \(.format) \(.len) \(.seq) \(.uid) \(.comm) \(.redelivered) \(.attempts) \(.missed)"')" \
		"7 xml $(wc -c <data) 1 0 msgchan false 0 0"
	has out '"cookie":18446744073709551615,'
	holds "$(json .pid)" -gt 1
	is "$(json .payload | sha256sum)" "$({ cat data; echo; } | sha256sum)"
	printf 'cut \303' | $M send -c /t &
	expect 0 m recv --wait -J /t
	is "$(json .payload_base64)" "$(printf 'cut \303' | base64)"
	is "$(json .payload)" null
}

# What an interactive producer writes is received although it has not ended.
nothing_is_delayed() {
	mkfifo pipe
	for how in --lines --block=64K; do
		$M send -c "$how" /t <pipe &
		exec 4>pipe
		echo first >&4
		is "$(m recv --wait -n 1 -t 30 /t)" first
		echo second >&4
		exec 4>&-
		is "$(m recv -t 30 /t)" second
		ended $! 0
	done
}

undrained_stays_in_a_persistent_channel() {
	m create /t
	seq 1 1000 | m send --no-drain /t
	seq 1001 1010 | m send -l --no-drain /t
	expect 0 m who /t
	is "$(grep -c 'sender  *left' out)" 2
	expect 0 m ls --json
	holds "$(json '.channels[0].depth')" -gt 3900
	is "$(json '.channels[0].snd')" 0
	m recv /t >out1
	seq 1 1010 | same - out1
	expect 0 m ls --json
	is "$(json '.channels[0].depth')" 0
}

timeouts_are_status_5() {
	m create --ring 4K /t
	echo data >data
	expect 5 m send -t 0.3 /t <data
	expect 5 m send -t 0.3 --no-drain /t </bin/busybox
	said '/t: '
	m rm /t
	m create /t
	expect 5 m recv -t 0.3 /t
	said 'no message within 300ms'
	expect 5 m recv -t 0 /t
	expect 5 m recv --wait -t 0.3 /none
	said "no channel '/none' appeared"
	expect 5 m wait -t 0.3 /none
	expect 5 m wait -t 0 /none
	expect 5 m wait -t 0.3 --peer sender /t
}

# A full ring holds the sender up, and nothing is lost by that.
full_ring_waits() {
	m create --ring 4K /t
	$M send /t </bin/busybox &
	soon deep /t 2000
	kill -0 $!
	m recv /t >out1
	same /bin/busybox out1
}

count_and_what_is_left() {
	m create /t
	seq 1 10 | m send -l --no-drain /t
	is "$(m recv -n 3 /t | xargs)" "1 2 3"
	is "$(m recv -n 0 /t | wc -c)" 0
	is "$(m recv /t | xargs)" "4 5 6 7 8 9 10"
}

follow_outlives_senders() {
	msgchan recv -c -f /t >out1 &
	pid=$!
	soon waiting_peer /t receiver
	echo one | m send /t
	echo two | m send /t
	kill -0 $pid
	kill $pid
	ended $pid 143
	is "$(xargs <out1)" "one two"
}

several_senders() {
	$M recv -c -f -n 9000 /t >out1 &
	recv=$!
	soon waiting_peer /t receiver
	for s in a b c; do
		seq -f "$s %g" 1 3000 2>/dev/null || seq 1 3000 | sed "s/^/$s /"
	done >all
	for s in a b c; do
		grep "^$s" all | $M send -l /t &
	done
	ended $recv 0
	for s in a b c; do
		grep "^$s" all >want
		grep "^$s" out1 >got
		same want got
	done
}

second_receiver_is_refused() {
	$M recv -c /t >/dev/null &
	soon waiting_peer /t receiver
	expect 8 m recv /t
	said 'msgchan\[[0-9]*\] receives already'
}

# A receiver is stopped by its full output, in the middle, and killed; what it had not released comes again.
killed_receiver_loses_nothing() {
	seq 1 100000 >data
	m create /t
	$M send -l /t <data &
	sender=$!
	mkfifo pipe
	msgchan recv /t >pipe &
	receiver=$!
	exec 3<pipe
	dd bs=1000 count=50 <&3 >part1 2>/dev/null
	soon stuck $receiver
	kill -9 $receiver
	ended $receiver 137
	cat <&3 >>part1
	exec 3<&-
	m recv /t >part2 2>err
	ended $sender 0
	said 'redelivered'
	has part2 '^100000$'
	lacks part2 '^1$'
	# what the kill cut off came again in full
	[ "$(tail -c 1 part1)" = "" ] || sed -i '$d' part1
	sort -nu part1 part2 >got
	same data got
}

consumer_that_ends_early() {
	m create /t
	seq 1 100000 | $M send -l /t &
	{ got=0; msgchan recv /t || got=$?; echo $got >status; } 2>err | head -n 3 >part1
	is "$(cat status)" 141
	holds ! -s err
	is "$(xargs <part1)" "1 2 3"
	m recv /t >part2 2>/dev/null
	is "$(tail -n 1 part2)" 100000
	holds "$(head -n 1 part2)" -lt 50000
	# no gap: from the first of part2 on everything
	seq "$(head -n 1 part2)" 100000 | same - part2
}

full_disk_is_an_error() {
	m create /t
	for how in --lines --whole --block=4K; do
		expect 8 m send $how /t </
		said 'standard input: '
	done
	echo data | m send --no-drain /t
	got=0
	m recv /t 2>err >/dev/full || got=$?
	is $got 8
	said 'not released'
	is "$(m recv /t 2>/dev/null)" data
}

stopped_sender() {
	m create /t
	echo data >data
	for sig in INT TERM; do
		# a background process of a shell ignores SIGINT
		sh -c 'trap - INT; exec msgchan send /t' <data 2>err &
		pid=$!
		soon deep /t 0
		kill -$sig $pid
		ended $pid "$([ $sig = INT ] && echo 130 || echo 143)"
		is "$(m recv /t)" data
	done
	said 'not been received'
	expect 0 m who /t
	lacks out died
}

wait_for_name_and_peer() {
	$M wait -t 10 /t &
	a=$!
	$M wait -t 10 --peer receiver /t &
	b=$!
	$M send --wait /t </bin/busybox &
	c=$!
	sleep 0.3
	m create /t
	ended $a 0
	kill -0 $b
	$M recv /t >out1 &
	ended $b 0
	ended $c 0
	expect 0 m wait /t
	expect 0 as alice msgchan wait /t
	expect 3 as alice msgchan wait --peer sender /t
}

who_tells_identity() {
	m create --perm 666 /t
	as alice "msgchan send /t </bin/busybox" &
	soon waiting_peer /t sender
	expect 0 m who --json /t
	is "$(json '.endpoints[] | "\(.role) \(.state) \(.uid) \(.ring)"')" "sender live 1000 1048576"
	expect 0 m who -o +PID,COMM,TAIL,HEAD --json /t
	is "$(json '.endpoints[] | "\(.comm) \(.tail - .head == .lag) \(.head)"')" "msgchan true 0"
	kill -0 "$(json '.endpoints[].pid')"
	m recv /t >/dev/null
}

all="
blocks_binary_both_orders blocks_of_a_pipe block_sizes lines_stay_lines long_lines
whole_input_is_one_message tags_and_json nothing_is_delayed
undrained_stays_in_a_persistent_channel timeouts_are_status_5 full_ring_waits
count_and_what_is_left follow_outlives_senders several_senders second_receiver_is_refused
killed_receiver_loses_nothing consumer_that_ends_early full_disk_is_an_error stopped_sender
wait_for_name_and_peer who_tells_identity
"
run_tests "$@"
