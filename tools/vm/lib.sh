# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034 # used by who reads this
# What the scripts of tools/vm share: places, messages, locks.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${BUILD:-$top/build}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/msgchan
me=${0##*/}
PATH=$PATH:/usr/sbin:/sbin	# depmod, modprobe: not in an ordinary user's

# Messages go to stderr: the stdout of these scripts is their result.
say() { printf '%s: %s\n' "$me" "$*" >&2; }
die() { say "$*"; exit 1; }

# lock FILE: one script at a time from here on, until this one exits.
lock()
{
	mkdir -p "$(dirname "$1")"
	exec {lock_fd}>"$1"
	flock -w 2 "$lock_fd" && return
	say "waiting for another run (it holds ${1##*/})"
	flock "$lock_fd"
}

# slot: one of as many machines at a time as there are processors, lest one
# that has to wait for its turn looks like one that hangs.
slot()
{
	local n said=

	while :; do
		for n in $(seq "$(nproc)"); do
			exec {slot_fd}>"$cache/slot-$n.lock"
			flock -n "$slot_fd" && return
			exec {slot_fd}>&-
		done
		[ "$said" ] || say "waiting for one of $(nproc) machines to end"
		said=1
		sleep 1
	done
}

# as_root COMMAND: package lists and packages belong to root.
as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "must be root, or have sudo, to run: $*"
	fi
}
