/* SPDX-License-Identifier: MIT */
/* join.pml - ring of N, no tethered member; the sender fills it and sleeps for space; the first receiver joins at "now" and positions
 * itself. FIX: positioning is a release: after gen, full barrier, look at space_at, KICK. MASK: the sender caches "my receivers" and
 * refreshes it only where it looks at the generation (raising the limit). */
byte tail, limit = N, head, taken; bit member, pos, space_at, sw, armed, q, rw, sdone; byte space;
inline rkick() { atomic { if :: armed -> armed = 0; if :: q -> rw = 1 :: else fi :: else fi } }
active proctype S() { byte n; bit mine;
	do :: n < M ->
		do :: n < limit -> break
		:: else -> mine = member;
			if :: member && pos && head + N > limit -> limit = head + N
			   :: else ->
				atomic { sw = 0; space_at = 1 };
				if :: member && pos && head + N > limit -> space_at = 0
				   :: else -> sw; space_at = 0 fi fi
		od;
		n++; tail = n;
#ifdef MASK
		if :: mine && armed -> rkick() :: else fi
#else
		if :: armed -> rkick() :: else fi
#endif
	:: else -> break od; sdone = 1 }
active proctype R() { byte p;
	member = 1; p = tail; taken = p; head = p; pos = 1;
#ifdef FIX
	if :: space_at -> atomic { space_at = 0; sw = 1 } :: else fi;
#endif
	do :: p < M ->
		if :: tail > p -> p++; taken = p; head = p; if :: space_at -> sw = 1 :: else fi
		   :: else -> atomic { q = 1; rw = 0 }; armed = 1;
			if :: tail > p -> q = 0 :: else -> rw; q = 0 fi fi
	:: else -> break od }
init {
end_m:	do :: timeout -> assert(sdone && taken == M); break od }
