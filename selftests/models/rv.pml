/* SPDX-License-Identifier: MIT */
/* rv.pml - rendezvous: reuse of request/reply slots after timeout, signal, one-way send; late replies.
 * One client with NSLOT slots and C calls, two servers; S1 may die while holding (redelivery to S0, or EOWNERDEAD).
 * Kernel state per slot: FREE QUEUED TAKEN ABANDONED REPLIED, changed under the lock (atomic); id = generation.
 *   timeout in QUEUED: withdrawn -> FREE, "not executed".  timeout in TAKEN: ABANDONED, slot stays busy until the
 *   server replies or dies ("may have been executed").  REPLIED wins over timeout.
 * Properties: server reads the same request twice (nobody rewrites it under it); client reads its own reply, twice;
 *   told "not executed" => never executed; each call completes once.
 * Mutants: NOQUAR (ABANDONED slot is free at once, cookie without generation), NOQUAR_GEN (same, cookie with
 *   generation), SEND_TAKEN (one-way send frees the slot when taken), SIG_DROP (signal in TAKEN reported as not executed),
 *   NOT_STICKY (redelivered, back in the queue, timed out: reported as not executed although the dead server had it)
 */
#ifndef NSLOT
#define NSLOT 1
#endif
#ifndef C
#define C 3
#endif
mtype = { FREE, QUEUED, TAKEN, ABANDONED, REPLIED };
mtype st[NSLOT]; byte id[NSLOT]; byte req[NSLOT], rep[NSLOT];
byte executed[C+1], told_no[C+1], completed[C+1];
bit cdone, s1dead, ever[NSLOT];       /* ever: taken once, sticky over redelivery */
#define EXEC(i) executed[i]++; assert(!told_no[i])
active proctype Client() {
	(st[NSLOT-1] != 0);
	byte n, s, a;
	do
	:: n < C -> n++;
		if                                              /* library picks a slot the kernel calls free */
		:: atomic { st[0] == FREE -> s = 0 }
#if NSLOT > 1
		:: atomic { st[1] == FREE -> s = 1 }
#endif
		fi;
		req[s] = n;                                     /* write in place */
		atomic { st[s] = QUEUED; id[s] = n; ever[s] = 0 };
#ifdef ONEWAY
		/* send: completes when taken */
		(st[s] != QUEUED);
		completed[n]++;
#ifdef SEND_TAKEN
		atomic { if :: st[s] == TAKEN && id[s] == n -> st[s] = FREE :: else fi }
#else
		/* slot becomes free only when the server has released it */
		skip
#endif
#else
		if
		:: atomic { st[s] == REPLIED && id[s] == n -> completed[n]++ };
			a = rep[s]; assert(a == n); assert(rep[s] == a);
			st[s] = FREE                            /* reply released */
		:: atomic { st[s] == FREE -> completed[n]++ }   /* EOWNERDEAD */
		:: atomic { st[s] == QUEUED -> st[s] = FREE; completed[n]++;
#ifdef NOT_STICKY
			told_no[n] = 1; assert(!executed[n])
#else
			if :: !ever[s] -> told_no[n] = 1; assert(!executed[n]) :: else fi
#endif
			}
		:: atomic { st[s] == TAKEN -> completed[n]++;   /* timeout or abandoned after a signal */
#ifdef SIG_DROP
			told_no[n] = 1;
#endif
#if defined(NOQUAR) || defined(NOQUAR_GEN)
			st[s] = FREE
#else
			st[s] = ABANDONED
#endif
			}
		fi
#endif
	:: else -> break
	od;
	cdone = 1
}
inline serve(me) {
	if
	:: atomic { st[0] == QUEUED -> st[0] = TAKEN; ever[0] = 1; s = 0; g = id[0] }
#if NSLOT > 1
	:: atomic { st[1] == QUEUED -> st[1] = TAKEN; ever[1] = 1; s = 1; g = id[1] }
#endif
	:: cdone -> goto out
	fi;
	a = req[s]; EXEC(g);
	assert(a == g);
	assert(req[s] == a);                                    /* still reading in place */
	if
	:: me == 1 ->                                           /* killed while it holds the call */
		atomic { s1dead = 1;
			if
			:: st[s] == TAKEN && id[s] == g ->
#ifdef EOWNERDEAD
				st[s] = FREE
#else
				st[s] = QUEUED                  /* redelivered */
#endif
			:: st[s] == ABANDONED && id[s] == g -> st[s] = FREE
			:: else fi }; goto out
	:: skip
	fi;
#ifdef ONEWAY
	atomic { if :: st[s] == TAKEN && id[s] == g -> st[s] = FREE :: else fi }
#else
	rep[s] = g;                                             /* reply written in place */
	atomic {                                                /* REPLY(cookie) */
		if
#ifdef NOQUAR
		:: st[s] == TAKEN -> st[s] = REPLIED            /* cookie = slot only */
#else
		:: st[s] == TAKEN && id[s] == g -> st[s] = REPLIED
#endif
		:: st[s] == ABANDONED && id[s] == g -> st[s] = FREE
		:: else -> skip                                 /* client gone: not an error of reply_recv */
		fi }
#endif
}
active proctype S0() { byte s, g, a;
	do :: serve(0) od;
out:	skip }
active proctype S1() { byte s, g, a;
	do :: serve(1) od;
out:	skip }
init { atomic { st[0] = FREE;
#if NSLOT > 1
	st[1] = FREE;
#endif
	}
end_m:	do :: timeout ->
		byte i = 1;
		assert(cdone);
		do :: i <= C -> assert(completed[i] == 1); i++ :: else -> break od; break od }
