/* SPDX-License-Identifier: MIT */
/* pingpong.pml - combined kick-and-wait between two endpoints, each sender of one ring and receiver of the other.
 * Default = TWO barriers (mb; test peer's flag; arm; mb; recheck). -DONE_MB = arm first, a single barrier serves
 * both directions. Mutants: NO_MB1 (no barrier before the flag test), NO_MB2, FLAG_FIRST (ONE_MB with the flag
 * tested before the barrier). SPIN: side 1 spins in user space (no arming) a while before each sleep. */
#define R 3
byte tail[2], btail[2], taken[2];      /* taken[i]: what i took of the other's ring */
bit wake[2], pend[2], q[2], woken[2];
byte fin;
inline mb(i) { atomic { tail[i] = btail[i]; if :: pend[i] -> wake[i] = 1; pend[i] = 0 :: else fi } }
active proctype Bus() {
end:	do
	:: tail[0] != btail[0] -> tail[0] = btail[0]
	:: tail[1] != btail[1] -> tail[1] = btail[1]
	/* FIFO: the arm was stored after the tail */
	:: atomic { pend[0] && tail[0] == btail[0] -> wake[0] = 1; pend[0] = 0 }
	:: atomic { pend[1] && tail[1] == btail[1] -> wake[1] = 1; pend[1] = 0 }
	od
}
inline kickpeer(i) { if :: wake[1-i] -> wake[1-i] = 0; atomic { if :: q[1-i] -> woken[1-i] = 1 :: else fi } :: else fi }
inline kick_wait(i) {
#ifdef ONE_MB
	atomic { q[i] = 1; woken[i] = 0 };
	pend[i] = 1;
#ifdef FLAG_FIRST
	kickpeer(i); mb(i);
#else
	mb(i); kickpeer(i);
#endif
#else
#ifndef NO_MB1
	mb(i);
#endif
	kickpeer(i);
	atomic { q[i] = 1; woken[i] = 0 };
	pend[i] = 1;
#ifndef NO_MB2
	mb(i);
#endif
#endif


}
proctype Side(byte i) {
	byte n;
	if :: i == 0 -> n = 1; btail[0] = 1 :: else fi;
	do
	:: taken[i] == R -> break
	:: else ->
		/* kick the peer about what was stored before, then wait for its answer */
		kick_wait(i);
w:		if :: tail[1-i] != taken[i] -> q[i] = 0
		   :: else -> woken[i]; atomic { q[i] = 1; woken[i] = 0 }; pend[i] = 1; mb(i); goto w
		fi;
		taken[i]++;
		if :: i == 1 || n < R -> n++; btail[i] = n :: else fi
	od;
	mb(i); kickpeer(i);
	fin++
}
init { atomic { run Side(0); run Side(1) };
end_m:	do :: timeout -> assert(fin == 2); break od }
