#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
# check-exports.sh LIBRARY MAP: library, map, headers and man pages name the same functions.
set -eu
exported=$(nm -D --defined-only "$1" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort)
mapped=$(sed -n 's/^[[:space:]]*\(ipc_[a-z_]*\);.*/\1/p' "$2" | sort)
dir=$(dirname "$2")
declared=$(sed -n 's/^\(int\|void\|uint32_t\|uint64_t\|const char\) *\*\{0,1\}\(ipc_[a-z_]*\)(.*/\2/p' \
	"$dir/libipc.h" "$dir/libipc_uring.h" | sort)

if [ "$exported" != "$mapped" ] || [ "$declared" != "$mapped" ]; then
	echo "check-exports: library, map and headers name different functions" >&2
	printf 'exported:\n%s\nmapped:\n%s\ndeclared:\n%s\n' "$exported" "$mapped" "$declared" >&2
	exit 1
fi
for name in $mapped; do
	if ! [ -e "$dir/man/$name.3" ]; then
		echo "check-exports: no man page for $name" >&2
		exit 1
	fi
done
