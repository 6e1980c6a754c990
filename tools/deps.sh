#!/bin/bash
# SPDX-License-Identifier: MIT
# Installs the Debian packages that a part of this repository needs.
#
# usage: tools/deps.sh [GROUP]...	build, vm, check, demo, debug, verify,
#				fuzz, lint (default: all)
#
# Does nothing, and at once, when they are there.  No kernel is among them: see
# tools/vm/kernel.  Other than on Debian it says what is missing.

set -euo pipefail

# group, package, what for
list()
{
	cat <<-END
	build	gcc		compiler
	build	make		builds everything
	build	libc6-dev	C library
	build	pkg-config	finds the libraries below
	build	liburing-dev	io_uring in libipc and its tests
	build	libsmartcols-dev	tables of the CLI
	vm	make		builds the module
	vm	gcc-12		the compiler that Debian's kernels were built with
	vm	qemu-system-x86	the machine
	vm	busybox-static	the guest's commands
	vm	cpio		packs the guest's file system
	vm	kmod		depmod and modprobe, for the guest's drivers
	vm	pahole		type information of modules
	vm	libelf-dev	Debian's kbuild tools are linked with it
	vm	libssl-dev	the same
	vm	xz-utils	unpacks kernel packages
	debug	bc		building a kernel
	debug	bison		building a kernel
	debug	flex		building a kernel
	debug	libelf-dev	building a kernel
	debug	libssl-dev	building a kernel
	debug	xz-utils	unpacks the kernel's source
	verify	spin		checks the models
	check	jq		the CLI tests read its JSON
	check	secilc		compiles a policy for SELinux
	demo	netbase		/etc/services, which the demo looks things up in
	fuzz	make		builds it
	fuzz	clang		libFuzzer's compiler
	fuzz	libclang-rt-dev	libFuzzer, sanitizers
	lint	sparse		address spaces and locks in the module
	lint	shellcheck	the scripts
	lint	codespell	the texts
	lint	clang		its warnings
	lint	g++		libipc.h in C++
	lint	gcc-multilib	the layout of the ABI for 32-bit programs
	lint	perl		checkpatch
	lint	python3		checkpatch calls spdxcheck
	END
}

# missing PACKAGE...: which of them dpkg does not know as installed.
missing()
{
	# shellcheck disable=SC2016 # the format is dpkg's
	dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null |
		awk '$1 == "ii" { print $2 }' | sort -u |
		comm -13 - <(printf '%s\n' "$@" | sort -u)
}

groups=${*:-build vm check demo debug verify fuzz lint}
mapfile -t wanted < <(list | awk -v groups=" $groups " \
	'index(groups, " " $1 " ") { print $2 }')
[ ${#wanted[@]} -gt 0 ] || { echo "usage: $0 [GROUP]..." >&2; exit 2; }
command -v dpkg-query >/dev/null || {
	echo "deps: not a Debian system; have these yourself: ${wanted[*]}" >&2
	exit 0
}
mapfile -t need < <(missing "${wanted[@]}")
[ ${#need[@]} -gt 0 ] || exit 0

echo "deps: installing what is missing:" >&2
list | while read -r _ package why; do
	case " ${need[*]} " in
	*" $package "*)	printf '  %-18s %s\n' "$package" "$why" >&2 ;;
	esac
done
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y
	-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
$as_root "${apt[@]}" update >&2
$as_root "${apt[@]}" install --no-install-recommends "${need[@]}" >&2
