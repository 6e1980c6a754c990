# SPDX-License-Identifier: MIT
# Lengths of C functions: the lines between "{" and "}" in the first column.
#
# Names every one over `limit` lines and exits 1 if there is one; else says
# how many there are, their median, 90th percentile and the longest.

FNR == 1 { start = 0 }
/^[A-Za-z_].*\(/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
/^\{/ { start = FNR }
/^\}/ && start {
	lines = FNR - start - 1
	start = 0
	count[lines]++
	n++
	if (lines > longest) {
		longest = lines
		where = FILENAME ":" name
	}
	if (lines > limit) {
		print FILENAME ":" FNR - lines - 1 ": " name "() has " lines " lines, at most " limit
		bad = 1
	}
}

# The smallest length that at least a share of the functions does not exceed.
function percentile(share,    lines, seen) {
	for (lines = 0; lines <= longest; lines++) {
		seen += count[lines]
		if (seen >= share * n)
			return lines
	}
}

END {
	if (bad)
		exit 1
	printf "%d functions, median %d lines, p90 %d, longest %d: %s\n",
		n, percentile(0.5), percentile(0.9), longest, where
}
