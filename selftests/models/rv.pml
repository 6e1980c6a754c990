/* SPDX-License-Identifier: MIT */
/* rv.pml - rendezvous: the states of a call, its one outcome, and who may touch the slot's memory when; kmod/txn.c without
 * priorities. One client with NSLOT slots and C calls, one-way or not as it likes; servers S0 (not with ALONE) and S1, which
 * dies D times, holding a call or not, and joins again. All transitions happen under one lock (atomic); memory is touched outside.
 * Any wait may end by deadline or CANCEL (not with PATIENT), or by a signal, after which the call is waited for again (RESUME).
 *   REDELIVER, MAXATT=n: the channel redelivers, so often.  NEED: every call needs a server.  DIE: the client may die at any time.
 * Properties: the server reads the same request twice; the client reads its own reply, twice;
 *   an outcome is told once, and stays; told "not executed" => never executed; "perhaps" => a server had it;
 *   nobody is given what its client gave up, nor what a dead client left; each call is executed no oftener than servers died;
 *   a one-way message that was taken is let go by a server, unless too many died of it or its client withdrew it or died;
 *   in the end no slot is busy, and no call waits for a server that it needs.
 * Mutants: NOQUAR (a timeout frees a taken slot; REPLY names the slot), NOQUAR_GEN (REPLY names the call), SEND_TAKEN (a
 *   one-way message's slot is free when it is taken), SIG_DROP (given up while taken: not executed), NOT_STICKY (queued again:
 *   ever_taken forgotten), NOT_CLEARED (ever_taken of the slot's last call), OVERWRITE (a later outcome replaces the first),
 *   SIG_AGAIN (after a signal CALL is begun anew, and refused: "nothing was done"), GIVEN_AGAIN (given up, and redelivered),
 *   DEAD_AGAIN (a dead client's one-way message redelivered), DEAD_QUEUED (its waiting calls stay), ONEWAY_LOST (an outcome
 *   forbids redelivery), NO_COUNT (attempts not counted), NO_GIVE_UP (no server left, and nobody looks at who needs one),
 *   BUSY_LEFT (given up: not let go at the answer)
 */
#ifndef NSLOT
#define NSLOT 1
#endif
#ifndef C
#define C 3
#endif
#ifndef D
#define D 1
#endif
#ifndef MAXATT
#define MAXATT 0
#endif
#ifdef ALONE
#define LASTING	true		/* who died the last time does not come back */
#else
#define LASTING	false
#endif
#define EACH(i)	i : 0 .. NSLOT - 1

mtype = { IDLE, QUEUED, TAKEN };
#define NONE	0
#define DONE	1
#define NOT	2
#define MAYBE	3

/* what the kernel knows of a slot */
mtype st[NSLOT];
byte id[NSLOT], outcome[NSLOT], attempts[NSLOT];
bit ever[NSLOT], oneway[NSLOT];
byte servers;
bit cdead;
/* shared memory */
byte req[NSLOT], rep[NSLOT];
/* what has happened to each call */
byte executed[C + 1], told[C + 1];
bit had[C + 1], over[C + 1];
bit cdone;

inline tell(n, o) {
	assert(!told[n] || told[n] == o);
	assert(o != NOT || !executed[n]);
	assert(o != MAYBE || had[n]);
	told[n] = o
}
inline settle(s, o) {
	if
	:: !outcome[s] -> outcome[s] = o; tell(id[s], o)
	:: else ->
#ifdef OVERWRITE
		outcome[s] = o; tell(id[s], o)
#else
		skip
#endif
	fi
}
inline give_up(s) {
	if
	:: st[s] == QUEUED -> st[s] = IDLE; over[id[s]] = 1; settle(s, (ever[s] -> MAYBE : NOT))
	:: st[s] == TAKEN ->
#ifdef SIG_DROP
		settle(s, NOT)
#else
		settle(s, (ever[s] -> MAYBE : NOT))
#endif
#if defined(NOQUAR) || defined(NOQUAR_GEN)
		; st[s] = IDLE
#endif
	:: else
	fi
}
#ifdef GIVEN_AGAIN
#define NOT_GIVEN_UP(s)	true
#elif defined(ONEWAY_LOST)
#define NOT_GIVEN_UP(s)	!outcome[s]
#else
#define NOT_GIVEN_UP(s)	(!outcome[s] || oneway[s])
#endif
#ifdef DEAD_AGAIN
#define CLIENT_LIVES	true
#else
#define CLIENT_LIVES	!cdead
#endif
#ifdef REDELIVER
#define REDELIVERABLE(s)	(CLIENT_LIVES && NOT_GIVEN_UP(s) && (!MAXATT || attempts[s] < MAXATT))
#else
#define REDELIVERABLE(s)	false
#endif

inline server_died(s, g) {
	if
	:: st[s] == TAKEN && id[s] == g && REDELIVERABLE(s) ->
		st[s] = QUEUED;
#ifndef NO_COUNT
		attempts[s]++;
#endif
#ifdef NOT_STICKY
		ever[s] = 0
#endif
	:: st[s] == TAKEN && id[s] == g && !(REDELIVERABLE(s)) ->
#ifndef ONEWAY_LOST
		over[g] = 1;
#endif
		settle(s, MAYBE);
		st[s] = IDLE
	:: else
	fi
}
inline no_server_left() {
#if defined(NEED) && !defined(NO_GIVE_UP)
	if
	:: !servers -> for (EACH(i)) { if :: st[i] == QUEUED -> give_up(i) :: else fi }
	:: else
	fi
#endif
	skip
}

/* ---- the client ---- */

inline die() {
	atomic {
		cdead = 1;
		for (EACH(i)) {
			if
#ifdef DEAD_QUEUED
			:: st[i] == TAKEN -> give_up(i)
#else
			:: st[i] != IDLE -> give_up(i)
#endif
			:: else
			fi
		}
	}
	goto out
}
inline call(s, n) {
	atomic {
		assert(st[s] == IDLE);
#ifdef NEED
		if
		:: !servers -> told[n] = NOT; outcome[s] = NOT; goto next	/* refused: nothing was done */
		:: else
		fi;
#endif
		st[s] = QUEUED; id[s] = n; outcome[s] = NONE; attempts[s] = 0;
#ifndef NOT_CLEARED
		ever[s] = 0;
#endif
		if :: oneway[s] = 0 :: oneway[s] = 1 fi
	}
}
active proctype Client() {
	byte n, s, a, i;
	bit signalled;
	(servers);
next:	do
	:: n < C ->
		n++; signalled = 0;
		if
		:: atomic { st[0] == IDLE -> s = 0 }
#if NSLOT > 1
		:: atomic { st[1] == IDLE -> s = 1 }
#endif
#ifdef DIE
		:: die()
#endif
		fi;
		req[s] = n;					/* written in place */
		call(s, n);
		do
		:: outcome[s] -> break
		:: !outcome[s] && !signalled -> signalled = 1;
#ifdef SIG_AGAIN
			atomic { tell(n, NOT) }
#endif
#ifndef PATIENT
		:: atomic { !outcome[s] -> give_up(s) }
#endif
#ifdef DIE
		:: die()
#endif
		od;
		assert(outcome[s] == told[n]);
		if
		:: outcome[s] == DONE && !oneway[s] -> a = rep[s]; assert(a == n); assert(rep[s] == a)
		/* a one-way message that waits again may be withdrawn, or not */
		:: atomic { oneway[s] && st[s] == QUEUED && id[s] == n -> give_up(s) }
		:: outcome[s] != DONE || oneway[s]
		fi;
		assert(outcome[s] == told[n])
	:: else -> break
	od;
out:	cdone = 1
}

/* ---- servers ---- */

inline take(slot) {
	st[slot] = TAKEN; ever[slot] = 1; s = slot; g = id[slot]; had[g] = 1;
	assert(!cdead);
	assert(!told[g] || oneway[slot]);
	if
	:: oneway[slot] -> settle(slot, DONE);
#ifdef SEND_TAKEN
		st[slot] = IDLE
#endif
	:: else
	fi
}
inline reply() {
	atomic {
		if
#ifdef NOQUAR
		:: st[s] == TAKEN ->
#else
		:: st[s] == TAKEN && id[s] == g ->
#endif
#ifdef BUSY_LEFT
			if :: !outcome[s] || oneway[s] -> st[s] = IDLE :: else fi;
#else
			st[s] = IDLE;
#endif
			settle(s, DONE); over[g] = 1
#if defined(NOQUAR) || defined(NOQUAR_GEN) || defined(SEND_TAKEN)
		:: else
#endif
		fi
	}
}
#define MOST	(1 + (MAXATT -> MAXATT : D))
inline serve() {
end_s:	do
	:: atomic { st[0] == QUEUED -> take(0) };
		work()
#if NSLOT > 1
	:: atomic { st[1] == QUEUED -> take(1) };
		work()
#endif
	od
}
inline work() {
	a = req[s]; assert(a == g); executed[g]++;
	assert(told[g] != NOT && executed[g] <= MOST);
	assert(req[s] == a);					/* still reading in place */
	if
	:: mortal && deaths < D ->
		atomic { servers--; deaths++; server_died(s, g); no_server_left() };
		if
		:: deaths < D || !LASTING -> atomic { servers++ }
		:: else -> goto out
		fi
	:: true ->
		if :: !oneway[s] -> rep[s] = g :: else fi;	/* written in place */
		reply()
	fi
}
#ifndef ALONE
active proctype S0() {
	byte s, g, a, i, deaths;
	bit mortal = 0;
	atomic { servers++ };
	serve();
out:	skip
}
#endif
active proctype S1() {
	byte s, g, a, i, deaths;
	bit mortal = 1;
	atomic { servers++ };
	serve();
out:	skip
}

init {
	atomic {
		st[0] = IDLE;
#if NSLOT > 1
		st[1] = IDLE;
#endif
	}
	byte i = 1;
end_m:	do
	:: timeout ->
		atomic {
#if defined(ALONE) && !defined(NEED)
			/* its one-way message waits for a server in the only slot, if it pleases */
			assert(cdone || (!servers && st[0] == QUEUED));
#else
			assert(cdone);
#endif
			do
			:: i <= C -> assert(cdead || told[i] || !cdone);
				assert(told[i] != DONE || over[i] || cdead || !servers); i++
			:: else -> break
			od;
			assert(st[0] == IDLE || (st[0] == QUEUED && !servers && !cdead));
#if NSLOT > 1
			assert(st[1] == IDLE || (st[1] == QUEUED && !servers && !cdead));
#endif
		};
		break
	od
}
