/* SPDX-License-Identifier: MIT */
/* slot.pml - one slot of a client: its outcome reaches whoever waits for it.
 * Kernel and server are one process here: a call is taken; it gets its outcome at the answer, or before it at the deadline, and
 * is let go. What the kernel knows (state, outcome, event) changes under the lock; the client reads the line that is published.
 *
 * Default: asynchronous calls. The client reads the line, notes its event in `handled`, and polls:
 *   IN: event != handled, there is an outcome.  OUT: event != handled, IDLE.
 * Property: it sees the outcome of each call, and then IDLE, or it could not use the slot again.
 * -DSYNC: two threads share the slot, each in CALL; a thread gets EBUSY while the slot is not IDLE or another one waits.
 * Property: each thread returns with the outcome of its own call.
 *
 * Mutants: TWO_STORES (event is stored after state and outcome), EVENT_FIRST (before them), NO_WAITER (SYNC: an IDLE slot may be
 * called although the thread that waited has not fetched the last outcome)
 */
#define C 2             /* calls; with SYNC per thread */

mtype = { IDLE, QUEUED, TAKEN };
mtype state = IDLE;             /* what the kernel knows */
bool outcome;
byte event, call, whose;        /* whose: the call that the outcome belongs to */
bool waiter;
mtype l_state = IDLE;           /* the line */
bool l_outcome;
byte l_event;
byte handled, seen, fin;

inline publish() {
#if defined(TWO_STORES)
	l_state = state; l_outcome = outcome;
	l_event = event
#elif defined(EVENT_FIRST)
	l_event = event;
	l_state = state; l_outcome = outcome
#else
	atomic { l_state = state; l_outcome = outcome; l_event = event }
#endif
}
active proctype Kernel() {
end:	do
	:: atomic { state == QUEUED -> state = TAKEN }; publish();
		if
		:: atomic { outcome = true; whose = call; event++ }; publish();    /* the deadline comes first */
			atomic { state = IDLE; event++ }; publish()
		:: atomic { if :: !outcome -> outcome = true; whose = call; event++ :: else fi; state = IDLE; event++ };
			publish()
		fi
	od
}
#ifndef SYNC
active proctype Client() {
	byte n, e; bool o; mtype s;
	do
	:: n < C ->
		n++;
		atomic { assert(state == IDLE); state = QUEUED; outcome = false; call = n };
		publish();
		do
		/* IN or OUT, as the kernel sees it */
		:: atomic { event != handled && (outcome || state == IDLE) -> skip };
#if defined(TWO_STORES) || defined(EVENT_FIRST)
			s = l_state; o = l_outcome; e = l_event;
#else
			atomic { s = l_state; o = l_outcome; e = l_event };
#endif
			handled = e;
			if :: o && seen < n -> seen = n :: else fi;
			if :: s == IDLE && o -> break :: else fi
		od
	:: else -> break
	od;
	fin++
}
#define THREADS 1
#define CHECK assert(seen == C)
#else
proctype Thread(byte me) {
	byte n, mine;
	do
	:: n < C ->
		n++; mine = 2 * n + me;
#ifdef NO_WAITER
		atomic { state == IDLE ->               /* else EBUSY, try again */
#else
		atomic { state == IDLE && !waiter ->
#endif
			state = QUEUED; outcome = false; call = mine; waiter = true };
		publish();
		atomic { outcome -> waiter = false; assert(whose == mine) }
	:: else -> break
	od;
	fin++
}
init { atomic { run Thread(0); run Thread(1) } }
#define THREADS 2
#define CHECK skip
#endif
active proctype Monitor() {
end_m:	do :: timeout -> assert(fin == THREADS); CHECK; break od
}
