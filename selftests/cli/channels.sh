#!/bin/sh
# SPDX-License-Identifier: MIT
# The CLI as a user runs it: channels, permission, doctor. As root, in the guest, with the module loaded. TAP.
# usage: channels.sh [TEST...]     names as in "ok 3 NAME"; default: all

. "${0%/*}/lib.sh"

# ---- channels ----

create_list_remove() {
	expect 0 m create /t
	silent
	expect 8 m create /t
	said 'exists already'
	expect 0 m ls
	has out '^/t  *ring  *exclusive '
	expect 0 m info /t
	has out '^NAME *  */t$'
	expect 0 m rm /t
	expect 1 m info /t
	expect 1 m rm /t
	said "no channel '/t'"
	expect 0 m rm -f /t
	m create /t2
	expect 1 m rm /t /t2
	expect 1 m info /t2
}

options_of_a_ring() {
	m create --perm 640 --owner alice:users --ring 5000 --senders 3 --receivers 2 /t
	expect 0 m info --json /t
	is "$(json '.channels[0] | "\(.mode) \(.delivery) \(.perm) \(.uid) \(.gid) \(.ringmax) \(.maxsnd) \(.maxrcv) \(.flags)"')" \
		"ring exclusive 0640 1000 100 8192 3 2 persistent"
	expect 2 m create --ring 2G /t2
	expect 2 m create --senders 100000 /t2
}

options_of_a_rendezvous() {
	m create -m rendezvous --slots 2 --request 1 --reply-size 8K --many-servers --redeliver --inherit --max-attempts 3 --spin 50us /t
	expect 0 m info --json /t
	is "$(json '.channels[0] | "\(.mode) \(.slots) \(.request) \(.reply) \(.attempts) \(.spin) \(.ringmax) \(.flags)"')" \
		"rendezvous 2 4096 8192 3 50000 null persistent,many-servers,redeliver,inherit"
	expect 0 m info /t
	has out '^REPLY  *8K$'
	has out '^LOST\*  *0$'
}

columns_and_json_of_ls() {
	m create /t
	expect 0 m ls --json
	is "$(json '.channels[] | select(.name == "/t") | keys_unsorted | join(" ")')" \
		"name mode delivery owner snd rcv depth cap hiwat lost redeliv blocked age"
	is "$(json '.channels[] | select(.name == "/t") | [.snd, .depth, .age] | map(type) | unique | join(" ")')" number
	expect 0 m ls
	is "$(head -n 1 out | tr -s ' ')" "NAME MODE DELIVERY OWNER SND RCV DEPTH CAP HIWAT* LOST* REDELIV BLOCKED AGE"
	expect 0 m ls -n -o name,PERM
	has out '^/t  *0600$'
	expect 0 m ls -o +ID
	head -n 1 out | grep -q 'AGE *ID$'
	expect 0 m ls -b -n -o NAME,AGE
	holds "$(awk '$1 == "/t" { print $2 }' out)" -gt 100000
	msgchan ls --watch 0.2 >out1 &
	soon twice out1 '^/t '
	kill $!
	ended $! 143
}

# rm takes the name; the channel lives on with who has it open.
unnamed_channels_go_by_number() {
	$M recv -c /t >/dev/null &
	soon waiting_peer /t receiver
	id=$(m ls -n -o NAME,ID | awk '$1 == "/t" { print $2 }')
	m rm /t
	expect 0 m ls
	has out "^#$id  *ring "
	expect 0 m info "#$id"
	expect 0 m who "#$id"
	has out 'msgchan\[[0-9]*\]  *receiver  *live'
	expect 1 m info "#999999999"
}

many_channels_are_all_listed() {
	n=0
	while [ $n -lt 66 ]; do
		msgchan create "/t$n"
		n=$((n + 1))
	done
	expect 0 m ls -n -o NAME
	is "$(grep -c '^/t' out)" 66
	m ls -n -o NAME | xargs msgchan rm
}

names_and_comms_are_harmless() {
	evil=$(printf 'e\033[31m\\vil')
	cp "$(command -v msgchan)" "./$evil"
	"./$evil" create '/t"%s'
	expect 0 m ls
	lacks out "$(printf '\033')"
	has out '^/t"%s .*e\\x1b\[31m\\x5cvil\['
	expect 0 m ls --json
	is "$(json '.channels[].name')" '/t"%s'
	json '.channels[].owner' | grep -q '^e\\x1b\[31m'
}

# ---- permission, doctor ----

permission_is_status_3() {
	m create --perm 0600 /t
	for verb in "send /t" "recv /t" "info /t" "who /t" "rm /t"; do
		expect 3 as alice "msgchan $verb"
		said /t
	done
	expect 3 as alice msgchan send /t
	said 'uid 0, gid 0, its mode is 0600'
	expect 0 as alice msgchan ls --json
	is "$(json '.channels[] | "\(.name) \(.owner[:7]) \(.snd) \(.depth)"')" "/t msgchan null null"
	expect 3 as alice msgchan create --owner bob /t2
	m rm /t
	m create --perm 0622 /t
	expect 0 as alice "echo hello | msgchan send --no-drain /t"
	expect 3 as alice msgchan recv /t
	is "$(m recv -n 1 -t 5 /t)" hello
	m rm /t
	m create -m rendezvous --owner alice /t
	expect 0 as alice msgchan info /t
	expect 3 as bob msgchan call /t x
	expect 0 as alice msgchan rm /t
}

device_of_root_alone_is_status_3() {
	chmod 600 /dev/msgchan
	expect 3 as alice msgchan ls
	expect 8 as alice msgchan doctor
	chmod 666 /dev/msgchan
	expect 0 as alice msgchan ls
}

doctor_finds_all_well() {
	expect 0 m doctor
	has out "max_bytes_per_user 0 (an eighth of RAM), "
	lacks out FAIL
	is "$(awk 'NR > 1 { print $1 }' out | xargs)" "kernel module device features limits ring rendezvous batch"
	expect 0 m doctor --json
	is "$(json '[.checks[].state] | unique | join(" ")')" ok
	expect 0 as alice msgchan doctor
}

doctor_tells_how_batches_go() {
	expect 0 m doctor
	has out "batches of calls go by"
	[ -w /proc/sys/kernel/io_uring_disabled ] || return 0
	echo 2 >/proc/sys/kernel/io_uring_disabled
	expect 0 m doctor
	echo 0 >/proc/sys/kernel/io_uring_disabled
	has out "batches of calls go by ioctl and poll: "
}

all="
create_list_remove options_of_a_ring options_of_a_rendezvous columns_and_json_of_ls
unnamed_channels_go_by_number many_channels_are_all_listed names_and_comms_are_harmless
permission_is_status_3 device_of_root_alone_is_status_3 doctor_finds_all_well doctor_tells_how_batches_go
"
run_tests "$@"
