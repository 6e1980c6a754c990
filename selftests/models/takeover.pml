/* SPDX-License-Identifier: MIT */
/* takeover.pml - exclusive delivery: a receiver dies anywhere, a successor takes over.
 * Receiver per message: store taken = p+1; process p; (release, maybe out of order:) head = contiguous prefix.
 * ->release (after the last mapping is gone): base = clamp(head, base, tail), redo = clamp(taken, base, tail);
 * successor starts at base; messages in [base, redo) are flagged. B messages are borrowed at once.
 * Properties: every message is processed and acknowledged; a message processed a second time is flagged; not flagged only if never processed.
 * Mutants: TAKEN_LATE (taken stored after processing), HEAD_EARLY (released before processed),
 *   FROM_TAKEN (successor starts at taken: at most once), OOO (out-of-order release moves head over a hole)
 */
#ifndef M
#define M 4
#endif
#ifndef B
#define B 2
#endif
byte taken, head, base, redo, count[M], gen;
bit rel[M], acked[M];
inline process(i) { assert(count[i] == 0 || i < redo); count[i]++ }
inline maybe_die() { if :: gen < 2 -> goto die :: skip fi }
active proctype Receiver() {
	byte p, n, i;
start:	p = base; n = 0;
	do
	:: head < M ->
		/* borrow up to B */
		n = 0;
		do :: n < B && p < M ->
#ifndef TAKEN_LATE
			taken = p + 1;
#endif
			maybe_die();
#ifdef HEAD_EARLY
			head = p + 1;
			maybe_die();
#endif
			process(p);
			maybe_die();
#ifdef TAKEN_LATE
			taken = p + 1;
#endif
			p++; n++
		   :: else -> break od;
		/* release in any order */
		do :: n > 0 ->
			if :: !rel[p-1] && p > head -> i = p - 1
			   :: p - 2 >= head && p >= 2 && !rel[p-2] -> i = p - 2
			   :: else -> break fi;
			rel[i] = 1; acked[i] = 1; n--;
			maybe_die();
#ifdef OOO
			if :: i + 1 > head -> head = i + 1 :: else fi;
#else
			do :: head < M && rel[head] -> head++ :: else -> break od;
#endif
			maybe_die()
		   :: else -> break od
	:: else -> break
	od; goto out;
die:	atomic { gen++;
		base = (head > base -> head : base);
		redo = (taken > redo -> taken : redo);
#ifdef FROM_TAKEN
		base = (taken > base -> taken : base);
#endif
		head = base; taken = base; i = 0;
		do :: i < M -> rel[i] = 0; i++ :: else -> break od; i = 0; p = 0; n = 0 };
	goto start;
out:	i = 0; do :: i < M -> assert(count[i] >= 1 && acked[i]); i++ :: else -> break od
}
