/* SPDX-License-Identifier: MIT */
/* bcast.pml - broadcast, lossless ("tethered" receivers hold space): membership change against reuse of space.
 * verifier: -DNOREDUCE
 * TSO: every CPU has a FIFO store buffer (a channel), drained by Bus at any time; mb() = wait until it is empty.
 * R0 is a member from the start. R1 joins at any time. With -DLEAVE R0 leaves at any time and a new receiver takes
 * over index 0 (ABA). Property: a tethered receiver never finds a record overwritten, also while it is borrowed.
 *
 * Sender variants (how it raises its private limit "may write positions < limit"):
 *   V1  literal design: generation is looked at after the publish barrier only
 *   V2  read heads; mb; look at generation; unchanged -> use
 *   V3  read heads; store low; mb; look at generation; unchanged -> use      (low is in the sender's page)
 * Start of a joiner: START_NOW (tail), START_MIN (min of the other members' heads), START_LOW (sender's low)
 * Mutants: NO_PUBMB NO_GEN NO_JMB ABSENT (unpositioned member ignored) NO_LOWMB ABA (cached heads survive a change)
 */
#ifndef N
#define N 2
#endif
#ifndef K
#define K 4
#endif
#if !defined(V2) && !defined(V3)
#define V1
#endif
#define TAIL 0
#define LOW 1
#define GEN 2
#define MEM 3          /* + index 0..1 -> 3,4 */
#define HEAD 5         /* 5,6 */
#define POS 7          /* 7,8 */
#define DATA 9         /* 9.. */
byte mem[9+N];
chan sb = [4] of { byte, byte };       /* sender's CPU */
chan jb = [6] of { byte, byte };       /* joining CPU (kernel part, then the receiver itself): R1 */
chan r0 = [6] of { byte, byte };       /* R0's CPU */
byte dgen; bit up;                             /* kernel's own (locked) idea of gen */

active proctype Bus() {
	byte a, v;
end:	do
	:: atomic { sb ? a, v -> mem[a] = v; a = 0; v = 0 }
	:: atomic { jb ? a, v -> mem[a] = v; a = 0; v = 0 }
	:: atomic { r0 ? a, v -> mem[a] = v; a = 0; v = 0 }
	od
}
#define mb(b) empty(b)

active proctype Sender() provided (up) {
	byte n, limit = N, g, m, h, i, c[2];
	bit know[2], blocked;
	know[0] = 1;
	do
	:: n < K ->
		do                                      /* reserve */
		:: n < limit -> break
		:: else ->
refresh:		m = 255; blocked = 0; i = 0;
			do
			:: i < 2 ->
				if
				:: know[i] && mem[POS+i] ->
					h = mem[HEAD+i];
					if :: h > c[i] -> c[i] = h :: else fi;  /* never trust a head that moves back */
					if :: c[i] < m -> m = c[i] :: else fi
				:: know[i] && !mem[POS+i] ->
#ifndef ABSENT
					blocked = 1
#else
					skip
#endif
				:: else fi;
				i++
			:: else -> break
			od;
			h = 0; i = 0;
			if :: m == 255 -> blocked = 1 :: else fi;  /* nobody: keep for the first one */
#ifdef V3
			if :: !blocked && m > 0 -> sb ! LOW, m :: else fi;
#ifndef NO_LOWMB
			mb(sb);
#endif
#endif
#ifdef V2
			mb(sb);
#endif
#if defined(V2) || defined(V3)
			if
			:: mem[GEN] != g ->
reload:				atomic { g = mem[GEN]; know[0] = mem[MEM]; know[1] = mem[MEM+1];
#ifndef ABA
				c[0] = 0; c[1] = 0;
#endif
				m = 0; h = 0 };
				goto refresh
			:: else fi;
#endif
			if :: !blocked && m + N > limit -> limit = m + N
			   :: else fi;
			m = 0
		od;
		sb ! DATA + (n % N), n + 100;           /* write in place */
		n++;
		sb ! TAIL, n;                           /* 1: publish */
#ifndef NO_PUBMB
		mb(sb);                                 /* 2 */
#endif
#ifndef NO_GEN
		if                                      /* 3: generation, together with the wake flags */
		:: mem[GEN] != g ->
			atomic { g = mem[GEN]; know[0] = mem[MEM]; know[1] = mem[MEM+1];
#ifndef ABA
			c[0] = 0; c[1] = 0
#endif
			}
		:: else fi
#endif
	:: else -> break
	od
}

inline consume(idx, buf) {                      /* borrow, look twice, release */
	do
	:: p >= K -> break
	:: left0 && idx == 0 && !second -> break
	:: p < K && mem[TAIL] > p ->
		assert(mem[DATA + (p % N)] == p + 100);
		assert(mem[DATA + (p % N)] == p + 100);
		p++;
		buf ! HEAD + idx, p
	od
}
inline join(idx, buf, other) {
	/* kernel: fresh zeroed page, then member, generation, barrier */
	buf ! POS + idx, 0; buf ! HEAD + idx, 0;
	buf ! MEM + idx, 1;
	atomic { dgen++; buf ! GEN, dgen };
#ifndef NO_JMB
	mb(buf);
#endif
#ifdef START_MIN
	if :: mem[MEM+other] && mem[POS+other] -> p = mem[HEAD+other]
	   :: else -> p = mem[LOW] fi;
#else
#ifdef START_LOW
	p = mem[LOW];
#else
	p = mem[TAIL];
#endif
#endif
	buf ! HEAD + idx, p;
	buf ! POS + idx, 1
}
bit left0;
active proctype R0() provided (up) {
	byte p; bit second;
	consume(0, r0);
#ifdef LEAVE
	if :: left0 ->
		/* ->release: not a member any more; same index given to a newcomer */
		r0 ! MEM, 0; atomic { dgen++; r0 ! GEN, dgen }; mb(r0);
		p = 0; second = 1;
		join(0, r0, 1);
		consume(0, r0)
	   :: else fi
#endif
}
#ifdef LEAVE
active proctype Quit() provided (up) { left0 = 1 }
#endif
#ifndef NOJOIN
active proctype R1() provided (up) {
	byte p; bit second;
	join(1, jb, 0);
	consume(1, jb)
}
#endif
init { atomic { mem[MEM] = 1; mem[POS] = 1; up = 1 } }
