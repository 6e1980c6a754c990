#!/bin/sh
# SPDX-License-Identifier: MIT
# The CLI as a user runs it: several receivers, and looking on. As root, in the guest, with the module loaded. TAP.
# usage: observe.sh [TEST...]     names as in "ok 3 NAME"; default: all

. "${0%/*}/lib.sh"

receivers() {
	[ "$(m ls -n -o RCV | xargs)" = "$1" ]
}

senders() {
	[ "$(m ls -n -o SND | xargs)" = "$1" ]
}

# ---- several receivers ----

broadcast_is_for_everybody() {
	m create -d broadcast /t
	expect 0 m info -J /t
	is "$(json '.channels[0].delivery')" broadcast
	for i in 1 2 3; do
		$M recv /t >out$i &
	done
	soon receivers 3
	seq 1 20000 >data
	m send -l /t <data
	soon receivers 0
	for i in 1 2 3; do
		same data out$i
	done
}

oldest_begins_with_what_is_there() {
	m create -d broadcast --ring 64K /t
	seq 1 10 | m send -l --no-drain /t
	is "$(m recv -n 10 --oldest /t | xargs)" "1 2 3 4 5 6 7 8 9 10"
	expect 5 m recv -t 0.3 /t
}

standby_goes_on() {
	m create /t
	mkfifo pipe
	$M send -l /t <pipe &
	sender=$!
	exec 4>pipe
	msgchan recv /t >out1 4>&- &
	first=$!
	soon waiting_peer /t receiver
	$M recv --standby /t >out2 4>&- &
	second=$!
	soon standing /t
	echo one >&4
	soon has out1 one
	soon released /t	# else the next one gets it again
	kill -9 $first
	echo two >&4
	exec 4>&-
	ended $second 0
	ended $sender 0
	is "$(xargs <out2)" two
	m rm /t
	m create -d broadcast /t
	expect 2 m recv --standby /t
	said 'exclusive delivery'
	expect 2 m recv --standby --untethered /t
}

released() {
	is "$(m who -n -b -o ROLE,LAG "$1" | grep sender | xargs)" "sender 0"
}

standing() {
	m who -n -o STATE "$1" | grep -q standby
}

# ---- nobody waits ----

full_ring_overwrites() {
	m create --untethered-only --ring 4K /t
	expect 2 m recv /t
	said -- '--untethered'
	seq 1 10000 | m send -l /t
	expect 0 m recv --untethered --oldest -t 1 /t
	is "$(tail -n 1 out)" 10000
	holds "$(wc -l <out)" -lt 200
	expect 2 m create --untethered-only -d balanced /t2
}

drop_newest() {
	m create --ring 4K /t
	seq 1 1000 >data
	expect 7 m send -l --drop --no-drain -t 1 /t <data
	said '[0-9]* messages were dropped'
	lost=$(sed 's/.*: \([0-9]*\) messages.*/\1/' err)
	expect 0 m ls -J
	is "$(json '.channels[0].lost')" "$lost"
	expect 0 m who -J /t
	is "$(json '.endpoints[0].lost')" "$lost"
	m recv /t >out1
	is "$(wc -l <out1)" $((1000 - lost))
	head -n 50 data >want
	head -n 50 out1 | same - want
	m create -m rendezvous /t2
	expect 2 m send --drop /t2
}

# ---- tap ----

tap_consumes_nothing() {
	m create /t
	msgchan recv /t >out1 &
	recv=$!
	soon waiting_peer /t receiver
	$M tap -n 5 /t >tapped &
	tap=$!
	$M tap -r /t >raw &
	raw=$!
	soon receivers 3
	is "$(m who -n -o ROLE /t | sort | xargs)" "observer observer receiver"
	expect 8 m recv /t
	said "msgchan\[$recv\] receives already"
	seq 1 10 >data
	mkfifo pipe
	$M send -l /t <pipe &
	exec 4>pipe
	cat data >&4
	soon same data raw	# it is looked at before it goes
	ended $tap 0
	exec 4>&-
	ended $recv 0
	same data out1
	ended $raw 0
	same data raw
	is "$(wc -l <tapped)" 5
	has tapped '^msgchan\[[0-9]*\]  *5  *2  5\\x0a$'
}

tap_tells_what_there_is() {
	m create /t
	printf 'a \033[31m "quoted" é' | m send -w --no-drain --type 7 --format json --cookie 5 /t
	expect 0 m tap --oldest /t
	has out '  a \\x1b\[31m "quoted" \\xc3\\xa9$'
	expect 0 m tap --oldest -J /t
	is "$(json '"\(.type) \(.format) \(.cookie) \(.seq) \(.missed) \(.comm)"')" "7 json 5 1 0 msgchan"
	is "$(json .payload)" "$(printf 'a \033[31m "quoted" é')"
	who=$(m who -n -o ROLE,WHO /t | awk '$1 == "sender" { print $2 }')
	expect 0 m tap --oldest -s "$who" /t
	is "$(wc -l <out)" 1
	expect 0 m tap --oldest -s 'nobody[1]' /t
	silent
	expect 0 m tap --oldest -d 0.2 -f /t
	is "$(wc -l <out)" 1
	# still there
	m recv /t >out1
	is "$(wc -c <out1)" 19
	expect 2 m tap -J -r /t
	m create -m rendezvous /t2
	expect 2 m tap /t2
	said 'rendezvous channel'
}

tap_says_what_it_missed() {
	m create --untethered-only --ring 4K /t
	$M tap -i 300ms /t >tapped 2>err &
	tap=$!
	soon receivers 1
	mkfifo pipe
	$M send -l /t <pipe &
	exec 4>pipe
	seq 1 20000 >&4
	soon has tapped ' 20000\\x0a$'
	exec 4>&-
	ended $tap 7
	said 'messages were missed'
	has tapped '^msgchan\[[0-9]*\]  *[0-9]* missed$'
	# what is shown and what is missed is all
	seen=$(grep -vc missed tapped)
	is $((seen + $(awk '/missed$/ { n += $2 } END { print n }' tapped))) 20000
}

# ---- hz ----

# Until the test ends.
ticks() {
	while echo tick; do
		sleep 0.05
	done
}

hz_counts() {
	m create /t
	$M recv -f /t >/dev/null &
	soon waiting_peer /t receiver
	ticks | $M send -l --no-drain /t &
	soon waiting_peer /t sender
	expect 0 m hz --watch 3s --duration 6s -J /t
	jq -s . out >all
	# the first of them is of 3 s at least
	is "$(jq '[.[].rates[0].sender] | unique | join(" ")' all)" '"all"'
	is "$(jq '.[0].rates[0] | .messages > 1 and .rate > 0 and .rate < .messages / 2' all)" true
	is "$(jq '.[0].rates[0] | .max >= .min and .max > 0 and .stddev <= .max and .["bytes/s"] > 0' all)" true
	expect 0 m hz --each --count 3 --watch 10m /t
	has out '^msgchan\[[0-9]*\]  *3 '
	m create /t2
	expect 0 m hz --duration 300ms /t2
	has out '^no new messages for '
}

# ---- lat ----

lat_needs_timestamps() {
	m create /t
	$M recv -f /t >/dev/null &
	soon waiting_peer /t receiver
	ticks | $M send -l --no-drain /t &
	soon waiting_peer /t sender
	expect 8 m lat --count 5 /t
	said 'none of 5 messages has a timestamp: .*--timestamp'
	expect 8 m lat --duration 100ms --sender 'nobody[1]' /t
	said 'no message was seen'
	m create -m rendezvous /t2
	expect 2 m send --timestamp /t2
	expect 2 m lat /t2
}

lat_measures() {
	m create /t
	$M recv -f /t >/dev/null &
	soon waiting_peer /t receiver
	ticks | $M send -l --no-drain --timestamp /t &
	soon waiting_peer /t sender
	expect 0 m lat --count 20 -J /t
	is "$(json '.latencies[0] | "\(.messages) \(.untimed) \(.missed)"')" "20 0 0"
	is "$(json '.latencies[0] | .min > 0 and .min <= .p50 and .p50 <= .p90 and .p90 <= .p99')" true
	is "$(json '.latencies[0] | .p99 <= .["p99.9"] and .["p99.9"] <= .max and .max < 60000000000')" true
	# it cannot see earlier than it looks: of ticks 50 ms apart, the first waits longest
	expect 0 m lat --count 20 --interval 1s -J /t
	is "$(json '.latencies[0] | .max > 100000000 and .min <= .p50 and .p50 <= .max')" true
	expect 0 m hz --count 5 -J -o +TIMED /t
	is "$(jq -s '[.[].rates[0].timed] | add' out)" 5
	expect 0 m tap -n 1 -J /t
	holds "$(json .time)" -gt 0
	# a sender without
	ticks | $M send -l --no-drain /t &
	soon senders 2
	expect 0 m lat --count 30 /t
	said 'carried no timestamp'
}

all="
broadcast_is_for_everybody oldest_begins_with_what_is_there standby_goes_on full_ring_overwrites drop_newest
tap_consumes_nothing tap_tells_what_there_is tap_says_what_it_missed hz_counts
lat_needs_timestamps lat_measures
"
run_tests "$@"
