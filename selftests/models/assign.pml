/* SPDX-License-Identifier: MIT */
/* assign.pml - balanced delivery, alternative: the waker ASSIGNS the message to the waiter it wakes (claim at wake),
 * so that a chosen receiver which is stopped (SIGSTOP) merely holds one message and nobody else is starved.
 * WAKE_ONLY = balanced.pml's rule (chosen waiter must still claim): starves others if the chosen one is stopped.
 * BUDGET: the waker walks over so much only (claim.c: 32 headers) and wakes the other sleepers to walk on themselves.
 * Mutants: WAKE_ONLY, NO_LOOP (KICK assigns only one of several), STINGY (as BUDGET, but the others are not woken)
 */
#define R 3
#ifndef M
#define M 3
#endif
#ifndef PB
#define PB 3
#endif
byte tail, cursor, redo, released, holders;
bit armed[R], q[R], wk[R], given[R];
#define CLAIMABLE (redo > 0 || cursor < tail)
#define SLEEPS(r) (q[r] && armed[r] && !wk[r])
#define ANY (SLEEPS(0) || SLEEPS(1) || SLEEPS(2))
inline grab() { if :: redo > 0 -> redo-- :: else -> cursor++ fi; holders++ }
inline choose(i) { armed[i] = 0; wk[i] = 1;
#ifndef WAKE_ONLY
	grab(); given[i] = 1
#endif
}
inline hand_out() {
	do
	:: CLAIMABLE && SLEEPS(0) -> choose(0);
#if defined(WAKE_ONLY) || defined(NO_LOOP)
		break
#endif
	:: CLAIMABLE && SLEEPS(1) -> choose(1);
#if defined(WAKE_ONLY) || defined(NO_LOOP)
		break
#endif
	:: CLAIMABLE && SLEEPS(2) -> choose(2);
#if defined(WAKE_ONLY) || defined(NO_LOOP)
		break
#endif
	:: !(CLAIMABLE && ANY) -> break
	od }
inline wake(i) { if :: SLEEPS(i) -> armed[i] = 0; wk[i] = 1 :: else fi }
inline hand_one() {
	if
	:: CLAIMABLE && SLEEPS(0) -> choose(0)
	:: CLAIMABLE && SLEEPS(1) -> choose(1)
	:: CLAIMABLE && SLEEPS(2) -> choose(2)
	:: !(CLAIMABLE && ANY) -> skip
	fi;
#ifndef STINGY
	if :: CLAIMABLE -> wake(0); wake(1); wake(2) :: else fi
#endif
	}
#ifdef BUDGET
#define hand_out hand_one
#endif
active proctype Sender() { byte n;
	do :: n < M -> n++;
		if :: n % PB == 0 || n == M -> tail = n; if :: armed[0] || armed[1] || armed[2] -> atomic { hand_out() } :: else fi
		   :: else fi
	   :: else -> break od }
proctype Rx(byte r) { bit got;
again:	atomic { got = 0; if :: CLAIMABLE -> grab(); got = 1 :: else fi;
#ifdef WAKE_ONLY
		if :: got -> hand_out() :: else fi
#endif
	};
work:	if :: got ->
		if :: skip :: r != 0 -> goto end_stop :: r != 0 -> goto die fi;
		atomic { holders--; released++; got = 0 }; goto again
	   :: else fi;
	atomic { q[r] = 1; wk[r] = 0 }; armed[r] = 1;
	if :: CLAIMABLE && !wk[r] -> atomic { if :: !wk[r] -> q[r] = 0; armed[r] = 0; goto again :: else fi } :: else fi;
	if
	:: wk[r] ->
		if :: r != 0 -> goto end_stop           /* stopped right after it was chosen */
		   :: skip fi;
		atomic { q[r] = 0; wk[r] = 0; if :: given[r] -> given[r] = 0; got = 1 :: else fi };
		if :: got -> goto work :: else -> goto again fi
	:: r == 2 -> atomic {                           /* timeout */
		q[r] = 0; armed[r] = 0;
		if :: given[r] -> given[r] = 0; got = 1 :: else fi
		}; if :: got -> goto work :: else -> goto gone fi
	fi;
die:	atomic { holders--; redo++; got = 0; hand_out() };
gone:	skip;
end_stop: skip }
init { byte i; atomic { do :: i < R -> run Rx(i); i++ :: else -> break od };
end_m:	do :: timeout -> assert(!(CLAIMABLE && ANY));
		assert(released + holders + redo + (tail - cursor) == M);
		break od }
