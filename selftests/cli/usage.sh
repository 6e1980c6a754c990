#!/bin/sh
# SPDX-License-Identifier: MIT
# The CLI as a user runs it: help, usage, what is not there. As root, in the guest, with the module loaded. TAP.
# usage: usage.sh [TEST...]     names as in "ok 3 NAME"; default: all

. "${0%/*}/lib.sh"

verbs="ls info who held blocked create rm wait evict send recv call serve tap hz lat doctor"

# ---- help, usage ----

help_of_each_verb() {
	expect 0 m help
	for verb in $verbs; do
		has out "^  $verb "
	done
	for verb in $verbs cat; do
		expect 0 m "$verb" --help
		has out "^Usage: .*msgchan "
		holds ! -s err
	done
	expect 0 m help recv
	has out "^Usage: .*msgchan recv "
	expect 0 m --version
	has out '^msgchan [0-9][0-9.]*$'
}

wrong_usage_is_status_2() {
	expect 2 m
	expect 2 m nonsense
	said "no verb 'nonsense'"
	for verb in $verbs; do
		expect 2 m "$verb" --nonsense
		said "^msgchan $verb: "
		said "Try 'msgchan $verb --help'"
	done
	for verb in info who create rm wait evict send recv call serve tap hz lat; do
		expect 2 m "$verb"
	done
	expect 2 m create "two words"
	expect 2 m create "$(printf '%064d' 0)"
	expect 2 m create ""
	expect 2 m create -m nonsense /t
	expect 2 m create --ring 1Q /t
	expect 2 m create --ring -1 /t
	expect 2 m create --perm 999 /t
	expect 2 m create --senders 0 /t
	expect 2 m create --owner nobody-of-that-name /t
	expect 2 m create --slots 4 /t
	expect 2 m create -m rendezvous --ring 4K /t
	expect 2 m create -m rendezvous --max-attempts 4 /t
	expect 2 m create --spin 50us /t
	expect 2 m create -m rendezvous --spin 2ms /t
	expect 2 m create -m rendezvous --redeliver --max-attempts 65536 /t
	expect 2 m create -d balanced --max-attempts 65536 /t
	expect 2 m wait -t soon /t
	expect 2 m wait -P nobody /t
	expect 2 m send -l -w /t
	expect 2 m send --format 256 /t
	expect 2 m recv -n -1 /t
	expect 2 m serve /t
	expect 2 m serve /t --echo --reply x
	expect 2 m ls /t
	expect 2 m ls -o NAME,NONSENSE
	said NONSENSE
}

# ---- what is not there ----

no_module_is_status_4() {
	mv /dev/msgchan /dev/hidden
	for verb in ls "info /t" "who /t" held "held /t" blocked "blocked /t" "evict /t 1" "create /t" "rm /t" "wait /t" "send /t" "recv /t" "call /t x" "serve -c /t -e" "tap /t" "hz /t" "lat /t"; do
		expect 4 sh -c "msgchan $verb"
		said 'modprobe msgchan'
	done
	expect 4 m doctor
	mv /dev/hidden /dev/msgchan
}

no_channel_is_status_1() {
	for verb in "send /t" "recv /t" "call /t x" "serve /t -e"; do
		expect 1 sh -c "msgchan $verb"
		said "no channel '/t'.*create"
	done
	expect 1 m info /t
	expect 1 m who /t
}

all="
help_of_each_verb wrong_usage_is_status_2 no_module_is_status_4 no_channel_is_status_1
"
run_tests "$@"
