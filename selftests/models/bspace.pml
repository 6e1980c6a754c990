/* SPDX-License-Identifier: MIT */
/* bspace.pml - waiting for space with a POSITION instead of a flag: the kernel publishes space_at = the head position
 * that the sleeping sender needs (0 = nobody waits). Two tethered receivers; the sender needs the minimum of both.
 * Receiver: store head; mb; s = space_at; if (s != 0 && checked < s && head >= s) KICK; checked = head  (crossing)
 * KICK (locked): satisfied (both heads >= need)? space_at = 0, wake : leave it armed.
 * DIE: receiver 1 may die between its head store and the kick: ->release removes it and kicks.
 * Mutants: NO_FENCE; CLEAR (KICK clears although not satisfied); DIE_SILENT; CROSS_OLD (crossing tested against the
 *   last stored instead of the last CHECKED head, with lazy stores in between)
 */
#ifndef N
#define N 2
#endif
#ifndef M
#define M 4
#endif
#ifndef B
#define B 1
#endif
byte tail, head[2], bhead[2], space_at, vsp; bit psp, qS, wk, gone1, sdone;
byte need;
#define MINH ((gone1 || head[0] < head[1]) -> head[0] : head[1])
active proctype Bus() {
end:	do
	:: head[0] != bhead[0] -> head[0] = bhead[0]
	:: head[1] != bhead[1] -> head[1] = bhead[1]
	:: atomic { psp -> space_at = vsp; psp = 0 }
	od }
inline kick() { atomic {
	if :: space_at != 0 || psp ->
		if :: MINH >= need -> space_at = 0; psp = 0; if :: qS -> wk = 1 :: else fi
		   :: else ->
#ifdef CLEAR
			space_at = 0
#else
			skip
#endif
		fi
	   :: else fi } }
active proctype Sender() {
	do
	:: tail < M ->
again:		if
		:: tail - MINH < N -> tail++            /* publish; receivers poll the tail here */
		:: else ->
			atomic { qS = 1; wk = 0; need = tail - N + 1 };
			atomic { vsp = need; psp = 1 };
			atomic { if :: psp -> space_at = vsp; psp = 0 :: else fi };     /* barrier */
			if :: MINH >= need -> atomic { qS = 0; space_at = 0 }
			   :: else -> wk; atomic { qS = 0; wk = 0 }
			fi; goto again
		fi
	:: else -> break
	od; sdone = 1 }
proctype Rx(byte r) {
	byte h, checked, lazy, s, prev;
	do
	:: h < M ->
		tail > h;
		prev = h; h++; lazy++; bhead[r] = h;            /* store the head each time ... */
		if :: lazy == B || (tail == h) ->               /* ... look at the waiter per batch and when dry */
			lazy = 0;
#ifdef DIE
			if :: r == 1 -> atomic { head[1] = bhead[1]; gone1 = 1 };
#ifndef DIE_SILENT
				kick();
#endif
				goto out
			   :: skip fi;
#endif
#ifndef NO_FENCE
			head[r] = bhead[r];
#endif
			s = space_at;
#ifdef CROSS_OLD
			if :: s != 0 && prev < s && h >= s -> kick() :: else fi;
#else
			if :: s != 0 && checked < s && h >= s -> kick() :: else fi;
#endif
			checked = h
		   :: else fi
	:: else -> break
	od;
out:	skip }
init { atomic { run Rx(0); run Rx(1) };
end_m:	do :: timeout -> assert(sdone); break od }
