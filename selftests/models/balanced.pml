/* SPDX-License-Identifier: MIT */
/* balanced.pml - work queue: claims through the kernel, wake one receiver at a time, baton passing, death, timeout.
 * One sender publishes M messages, PB per tail store. R receivers claim one at a time; each may stop for ever while
 * holding (SIGSTOP), may die at any point (R0 never does), may leave WAIT by timeout and not come back (R2).
 * Kernel steps are under the channel lock (atomic); tail store is buffered (TSO).
 * Property when nothing moves: no message is claimable while a live receiver sleeps; nothing is lost
 *   (released + held by living + claimable + unpublished == M).
 * Mutants: NO_BATON NO_DEATH_BATON NO_TMO_BATON NO_KMB (arm without barrier) DROP_CLAIM (dead one's claim forgotten)
 */
#ifndef R
#define R 3
#endif
#ifndef M
#define M 3
#endif
#ifndef PB
#define PB 3
#endif
byte tail, btail, cursor, redo;          /* redo: claims returned by the dead */
byte released, holders, deadloss;
bit armed[R], pend[R], q[R], wk[R], dead[R], away[R];
#define CLAIMABLE (redo > 0 || cursor < tail)
active proctype Bus() { byte i;
end:	do
	:: tail != btail -> tail = btail
	:: atomic { pend[0] -> armed[0] = 1; pend[0] = 0 }
	:: atomic { pend[1] -> armed[1] = 1; pend[1] = 0 }
#if R > 2
	:: atomic { pend[2] -> armed[2] = 1; pend[2] = 0 }
#endif
	od }
inline wake_one() {                      /* under the lock */
	if
	:: CLAIMABLE && q[0] && armed[0] && !wk[0] -> armed[0] = 0; wk[0] = 1
	:: CLAIMABLE && q[1] && armed[1] && !wk[1] -> armed[1] = 0; wk[1] = 1
#if R > 2
	:: CLAIMABLE && q[2] && armed[2] && !wk[2] -> armed[2] = 0; wk[2] = 1
	:: !(CLAIMABLE && ((q[0] && armed[0] && !wk[0]) || (q[1] && armed[1] && !wk[1]) || (q[2] && armed[2] && !wk[2]))) -> skip
#else
	:: !(CLAIMABLE && ((q[0] && armed[0] && !wk[0]) || (q[1] && armed[1] && !wk[1]))) -> skip
#endif
	fi
}
#if R > 2
#define ANYARMED (armed[0] || armed[1] || armed[2])
#else
#define ANYARMED (armed[0] || armed[1])
#endif
active proctype Sender() {
	byte n;
	do :: n < M -> n++;
		if :: n % PB == 0 || n == M ->
			btail = n; tail = btail;         /* store, barrier */
			if :: ANYARMED -> atomic { wake_one() } :: !ANYARMED -> skip fi
		   :: else fi
	   :: else -> break od
}
proctype Rx(byte r) {
	bit got;
again:	atomic {                                         /* CLAIM */
		if :: redo > 0 -> redo--; got = 1; holders++
		   :: redo == 0 && cursor < tail -> cursor++; got = 1; holders++
		   :: redo == 0 && cursor >= tail -> got = 0 fi;
#ifndef NO_BATON
		if :: got -> wake_one() :: else fi
#endif
	};
	if :: got ->
		if :: skip                               /* process, RELEASE */
		   :: r != 0 -> away[r] = 1; goto end_stop       /* SIGSTOP while holding */
		   :: r != 0 -> goto die_holding
		fi;
		atomic { holders--; released++; got = 0 };
		goto again
	   :: else fi;
	atomic { q[r] = 1; wk[r] = 0 };
	pend[r] = 1;                                     /* A */
#ifndef NO_KMB
	atomic { if :: pend[r] -> armed[r] = 1; pend[r] = 0 :: else fi };   /* B */
#endif
	if :: CLAIMABLE -> atomic { q[r] = 0; if :: wk[r] -> wk[r] = 0 :: else fi }; goto again    /* C */
	   :: else fi;
	if                                               /* D */
	:: wk[r] ->
		if :: atomic { q[r] = 0; wk[r] = 0 }; goto again
		   :: r != 0 -> goto die_idle            /* killed after it was chosen */
		fi
	:: r == 2 ->                                     /* timeout: may already have been chosen */
		atomic { q[r] = 0; pend[r] = 0; armed[r] = 0; dead[r] = 1;
#ifndef NO_TMO_BATON
		if :: wk[r] -> wk[r] = 0; wake_one() :: else fi
#endif
		}; goto end_stop
	fi;
die_holding:
	atomic { dead[r] = 1; holders--;
#ifdef DROP_CLAIM
		deadloss++;
#else
		redo++;
#endif
		got = 0; armed[r] = 0; q[r] = 0; wk[r] = 0;
#ifndef NO_DEATH_BATON
		wake_one()
#endif
	}; goto end_stop;
die_idle:
	atomic { dead[r] = 1; armed[r] = 0; q[r] = 0; wk[r] = 0;
#ifndef NO_DEATH_BATON
		wake_one()
#endif
	};
end_stop: skip
}
#define SLEEPS(r) (q[r] && !wk[r] && !dead[r])
init {
	byte i; atomic { do :: i < R -> run Rx(i); i++ :: else -> break od };
end_m:	do :: timeout ->
		assert(!(CLAIMABLE && (SLEEPS(0) || SLEEPS(1)
#if R > 2
			|| SLEEPS(2)
#endif
			)));
		assert(released + holders + redo + (tail - cursor) == M);
		break od
}
