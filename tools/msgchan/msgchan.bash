# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Completion of msgchan(1) for bash: verbs, the options that each verb's --help names, channels.

_msgchan()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local verb=${COMP_WORDS[1]} words

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		words="$(msgchan help 2>/dev/null | awk '/^  [a-z]/ { print $1 }') help --version"
	elif [[ $cur = -* ]]; then
		words=$(msgchan "$verb" --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]*')
	elif [[ $verb = evict && $COMP_CWORD -gt 2 && $prev != -* ]]; then
		words=$(msgchan who --noheadings --output WHO "$prev" 2>/dev/null)
	else
		case $prev in
		-m|--mode)	words="ring rendezvous" ;;
		-d|--delivery)	words="exclusive broadcast balanced" ;;
		--format)	words="binary text json xml cbor" ;;
		-P|--peer)	words="sender receiver client server" ;;
		help)		words=$(msgchan help 2>/dev/null | awk '/^  [a-z]/ { print $1 }') ;;
		*)		words=$(msgchan ls --noheadings --output NAME 2>/dev/null) ;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _msgchan msgchan
