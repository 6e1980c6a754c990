#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
# check-exports.sh LIBRARY MAP: the library exports exactly the names of its map, and all of its header.
set -eu
exported=$(nm -D --defined-only "$1" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort)
mapped=$(sed -n 's/^[[:space:]]*\(ipc_[a-z_]*\);.*/\1/p' "$2" | sort)
declared=$(sed -n 's/^\(int\|void\|uint64_t\|const char\) *\*\{0,1\}\(ipc_[a-z_]*\)(.*/\2/p' \
	"$(dirname "$2")/libipc.h" | sort)

if [ "$exported" != "$mapped" ] || [ "$declared" != "$mapped" ]; then
	echo "check-exports: library, map and header name different functions" >&2
	printf 'exported:\n%s\nmapped:\n%s\ndeclared:\n%s\n' "$exported" "$mapped" "$declared" >&2
	exit 1
fi
