#!/bin/sh
# SPDX-License-Identifier: MIT
# Batches of calls where SELinux forbids commands by io_uring, or may, and does not.

# shellcheck source-path=SCRIPTDIR source=../cli/lib.sh
. "${0%/*}/../cli/lib.sh"

selinux=/sys/fs/selinux

# From now on nobody leaves the policy, not even root.
enforce_policy() {
	mount -t selinuxfs selinuxfs $selinux &&
		cat "${0%/*}/policy" >$selinux/load &&
		echo 1 >$selinux/enforce &&
		[ "$(cat $selinux/enforce)" = 1 ]
}

# commands_may_pass 0|1
commands_may_pass() {
	echo "$1" >$selinux/booleans/uring_commands
	echo 1 >$selinux/commit_pending_bools
}

batch_passes() {
	batch >out || {
		grep -e '^not ok' -e '^Bail' -e '^#.*:' out
		return 1
	}
}

granted_they_go_by_io_uring() {
	commands_may_pass 1
	expect 0 m doctor
	has out "batches of calls go by io_uring$"
	batch_passes
	has out "^# by io_uring"
}

forbidden_they_go_by_ioctl_and_poll() {
	commands_may_pass 0
	expect 0 m doctor
	has out "batches of calls go by ioctl and poll: a security module forbids .*SELinux"
	batch_passes
	has out "^# not by io_uring: permission denied,"
}

enforce_policy || {
	echo "Bail out! no policy is in force"
	exit 1
}
all="granted_they_go_by_io_uring forbidden_they_go_by_ioctl_and_poll"
run_tests "$@"
