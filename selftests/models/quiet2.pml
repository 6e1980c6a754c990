/* SPDX-License-Identifier: MIT */
/* quiet2.pml - one sender's ring, two broadcast receivers, one hot bit; a wish of either clears it.
 * FIX: after clearing, set again if any receiver has tail != taken; FIXKICK: as a KICK does, waking the armed.
 * Sequentially consistent: already enough to fail. */
byte tail, taken[2]; bit hot = 1, armed[2], q[2], wk[2]; bit sdone;
inline kick() { hot = 1; if :: armed[0] -> armed[0] = 0; if :: q[0] -> wk[0] = 1 :: else fi :: else fi;
	if :: armed[1] -> armed[1] = 0; if :: q[1] -> wk[1] = 1 :: else fi :: else fi }
active proctype S() { byte n;
	do :: n < 2 -> n++; tail = n;
		if :: armed[0] || armed[1] || !hot -> atomic { kick() } :: else fi
	:: else -> break od; sdone = 1 }
proctype R(byte r) {
again:	if :: hot && tail != taken[r] -> taken[r]++; goto again
	   :: !(hot && tail != taken[r]) -> skip fi;
	/* WAIT: join, arm, take over the wish, look at hot rings only */
	atomic { q[r] = 1; wk[r] = 0 }; armed[r] = 1;
	if :: hot && tail == taken[r] -> hot = 0;
#ifdef FIX
		if :: tail != taken[0] || tail != taken[1] ->
#ifdef FIXKICK
			atomic { kick() }
#else
			hot = 1
#endif
		   :: else fi
#else
		if :: tail != taken[r] -> hot = 1 :: else fi
#endif
	   :: else fi;
	if :: hot && tail != taken[r] -> q[r] = 0; goto again :: else fi;
end_s:	wk[r]; atomic { q[r] = 0; wk[r] = 0 }; goto again }
init { atomic { run R(0); run R(1) };
end_m:	do :: timeout -> assert(sdone && taken[0] == tail && taken[1] == tail); break od }
