#!/bin/sh
# SPDX-License-Identifier: MIT
# The CLI as a user runs it: who holds what, and putting it out. As root, in the guest, with the module loaded. TAP.
# usage: look.sh [TEST...]     names as in "ok 3 NAME"; default: all

. "${0%/*}/lib.sh"

# A receiver that has taken messages of /t, and cannot write them: $receiver.
stuck_receiver() {
	mkfifo pipe
	msgchan recv /t >pipe 2>err2 &
	receiver=$!
	exec 3<pipe
	soon stuck $receiver
}

holding() {
	[ "$(m held -n "$1" | wc -l)" -gt 0 ]
}

# ---- held ----

held_bytes_of_a_ring() {
	m create --perm 666 /t
	expect 0 m held /t
	silent
	head -c 900000 /dev/zero | msgchan send /t &
	sender=$!
	soon deep /t 900000	# else it takes, and writes, a part of it
	stuck_receiver
	expect 0 m held /t
	is "$(head -n 1 out | xargs)" "HOLDER SENDER RECORDS BYTES OLDEST ATTEMPTS LAG"
	has out "^msgchan\[$receiver\] *msgchan\[$sender\]  *-  *[0-9.]*K  *-  *0  *[0-9.]*K$"
	expect 0 m held -J /t
	is "$(json '.held[0] | "\(.holder) \(.sender) \(.records) \(.oldest) \(.attempts)"')" \
		"msgchan[$receiver] msgchan[$sender] null null 0"
	is "$(json '.held[0] | .bytes >= 65536 and .lag >= .bytes and .lag <= 1048576')" true
	is "$(json '.held[0] | keys_unsorted | join(" ")')" "holder sender records bytes oldest attempts lag"
	expect 0 m held -n -o CHANNEL,HOLDER
	is "$(xargs <out)" "/t msgchan[$receiver]"
	# another user sees nothing of it, and may not look at others' channels
	expect 0 as alice msgchan held -n /t
	silent
	m create /t2
	expect 3 as alice msgchan held /t2
	expect 0 as alice msgchan held -n
	silent
	expect 1 m held /none
	cat <&3 >/dev/null
	ended $sender 0
	expect 0 m held -n
	silent
}

held_calls_have_an_age() {
	m create -m rendezvous --redeliver /t
	msgchan serve /t -- sh -c "$hang" &
	server=$!
	$M call /t 12345 >/dev/null 2>&1 &
	soon holding /t
	sleep 1.1
	expect 0 m held /t
	has out "^msgchan\[$server\]  *msgchan\[[0-9]*\]  *1  *5  *[1-9][0-9]*s  *0  *-$"
	expect 0 m held -J
	is "$(json '.held[0] | "\(.channel) \(.records) \(.bytes) \(.attempts) \(.lag)"')" "/t 1 5 0 null"
	is "$(json '.held[0].oldest | . > 1000000000 and . < 60000000000')" true
	soon hangs
	kill -9 $server
	ended $server 137
	hang_ends
	msgchan serve /t -- sh -c "$hang" &
	server=$!
	soon holding /t
	expect 0 m held -n -o HOLDER,ATTEMPTS /t
	is "$(xargs <out)" "msgchan[$server] 1"
	hang_ends
}

watch_prints_again() {
	m create /t
	for verb in "ls" "info /t" "who /t" "held /t" "blocked /t"; do
		# shellcheck disable=SC2086 # a verb and its argument
		msgchan $verb --watch 200ms >out1 &
		soon twice out1 '^$'
		kill $!
		ended $! 143
		# shellcheck disable=SC2086
		expect 0 m $verb --columns
		has out '^Columns'
	done
}

# ---- evict ----

evict_a_hung_receiver() {
	m create --perm 666 /t
	seq 1 100000 | $M send -l /t &
	sender=$!
	soon waiting_peer /t sender
	stuck_receiver
	expect 3 as alice msgchan evict /t "$receiver"
	said 'only its owner (uid 0)'
	expect 0 m evict /t "msgchan[$receiver]"
	silent
	# what it held comes again, and it finds itself detached
	m recv /t >part 2>err
	said redelivered
	seq "$(head -n 1 part)" 100000 | same - part
	ended $sender 0
	cat <&3 >/dev/null
	ended $receiver 6
	has err2 'detached or evicted'
}

evict_a_hung_server() {
	m create -m rendezvous /t
	msgchan serve /t -- sh -c "$hang" &
	server=$!
	$M call /t x 2>err &
	call=$!
	soon holding /t
	id=$(m held -n -o HOLDERID /t)
	expect 0 m evict /t "$id"
	ended $call 6
	said 'may have been executed'
	hang_ends
	ended $server 6
}

evict_what_a_sender_left() {
	m create --perm 666 /t
	seq 1 1000 | m send --no-drain /t
	expect 0 m who -n -o WHO,STATE /t
	has out 'left$'
	expect 0 m evict /t "$(m who -n -o WHO /t)"
	soon nobody /t
	is "$(m ls -n -o DEPTH | xargs)" 0
	# its own user may as well
	as alice 'seq 1 1000 | msgchan send --no-drain /t'
	id=$(m who -n -o ID /t)
	expect 3 as bob msgchan evict /t "$id"
	expect 0 as alice msgchan evict /t "$id"
	soon nobody /t
}

nobody() {
	[ -z "$(m who -n "$1")" ]
}

evict_says_which() {
	m create /t
	expect 1 m evict /t 'nobody[1]'
	said "no endpoint 'nobody\[1\]'.*msgchan who /t"
	expect 1 m evict /t 4097
	expect 1 m evict /none 1
	expect 2 m evict /t
	expect 2 m evict
	# two of one process: an id is needed
	seq 1 10 | m send --no-drain /t
	seq 1 10 | m send --no-drain /t
	expect 1 m evict /t 0
	for id in $(m who -n -o ID /t); do
		expect 0 m evict /t "$(printf '%#x' "$id")"
	done
	soon nobody /t
}

# ---- blocked ----

# blocked COLUMNS NAME: the cells of all rows, in order of the text.
blocked() {
	m blocked -n -o "$1" "$2" | awk '{ $1 = $1; print }' | sort | xargs
}

# waits COLUMNS NAME TEXT: is so within some seconds; who is just woken is not seen.
waits() {
	for _ in $(seq 100); do
		[ "$(blocked "$1" "$2")" != "$3" ] || return 0
		sleep 0.1
	done
	is "$(blocked "$1" "$2")" "$3"
}

blocked_calls() {
	m create -m rendezvous --perm 666 /t
	expect 0 m blocked
	silent
	$M call /t x >/dev/null 2>&1 &
	call=$!
	waits STATE,ON,CYCLE /t "CALL/queue (no server) -"
	expect 0 m blocked /t
	is "$(head -n 1 out | xargs)" "TID COMM STATE CHANNEL ON SINCE DEADLINE PRIO BOOST CYCLE"
	has out '^ *[0-9][0-9]* msgchan *CALL/queue /t *(no server)  *[0-9.]*m*s  *-  *-  *-  *-$'
	msgchan serve /t -- sh -c "$hang" &
	server=$!
	waits STATE,ON,PID /t "CALL/taken msgchan[$server] $call"
	expect 0 m blocked -J /t
	is "$(json '.blocked | length')" 1
	is "$(json '.blocked[0] | "\(.state) \(.channel) \(.on) \(.deadline) \(.prio) \(.cycle)"')" \
		"CALL/taken /t msgchan[$server] null null null"
	is "$(json '.blocked[0] | .since > 0 and .tid > 0')" true
	# what is held and what waits are two lists
	is "$(m held -n /t | wc -l)" 1
	expect 0 as alice msgchan blocked -n /t
	silent
	expect 1 m blocked /none
	hang_ends
}

blocked_until_a_deadline() {
	m create -m rendezvous /t
	$M call -t 100 /t x >/dev/null 2>&1 &
	waits STATE /t CALL/queue
	expect 0 m blocked -J /t
	is "$(json '.blocked[0].deadline | . > 0 and . < 100000000000')" true
}

blocked_on_a_ring() {
	m create /t
	head -c 3000000 /dev/zero | msgchan send /t &
	sender=$!
	soon waiting_peer /t sender
	stuck_receiver
	waits STATE,ON,PID /t "WAIT/out msgchan[$receiver] $sender"
	cat <&3 >/dev/null
	ended $sender 0
}

# Two servers that call each other wait for ever; others that wait for them are in no circle.
blocked_in_a_circle() {
	m create -m rendezvous /a
	m create -m rendezvous /b
	cp "$programs/circle" . && chmod +x circle
	./circle /a /b &
	circle=$!
	waits CHANNEL,COMM,CYCLE /a "/a circle 1"
	waits CHANNEL,COMM,CYCLE /b "/b circle 1"
	$M call /a x >/dev/null 2>&1 &
	waits CHANNEL,COMM,CYCLE /a "/a circle 1 /a msgchan -"
	kill -9 $circle
}

all="
held_bytes_of_a_ring held_calls_have_an_age watch_prints_again
blocked_calls blocked_until_a_deadline blocked_on_a_ring blocked_in_a_circle
evict_a_hung_receiver evict_a_hung_server evict_what_a_sender_left evict_says_which
"
run_tests "$@"
