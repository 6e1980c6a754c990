/* SPDX-License-Identifier: MIT */
/* wake.pml - arm/recheck/sleep against publish/barrier/check/kick, one receiver endpoint.
 * TSO store buffers: a user or kernel plain store is first only "pending"; Bus makes it visible at any time,
 * mb() at once. Threads of the endpoint: WAIT sleepers, a poll(0) caller, an edge-triggered epoll.
 * Property: whenever nothing can move any more (timeout), no published message is left untaken while
 * somebody of the endpoint still listens.
 * Mutants by -D: NO_SMB NO_RMB NO_RECHECK CHECK_FIRST LATE_QUEUE CLEAR_LATE DISARM ET_FAST WAKE_ONE REL_HEAD KW_NOMB
 * KEYED: KICK uses wake_up_poll(EPOLLIN), the waiter is a multishot io_uring poll (6.1, 6.12, 7.3 alike).
 * DIE: a sender may be killed between store and kick; then ->release kicks (mutant DIE_SILENT: it does not).
 */
#ifndef NS
#define NS 2            /* senders */
#endif
#ifndef K
#define K 2             /* messages per sender */
#endif
#ifndef NW
#define NW 1            /* WAIT threads */
#endif
#ifndef NP
#define NP 0            /* poll(0) threads, two calls each */
#endif
#ifndef NE
#define NE 0            /* edge-triggered epoll threads */
#endif
#define NT (NW+NP+NE)

byte tail[NS], btail[NS];       /* memory, sender's own view (store buffer) */
byte taken[NS];                 /* next to take: receiver's region */
byte head[NS];                  /* released (only REL_HEAD looks at it) */
bit  wake;                      /* status page */
bit  pend[NT+1];                /* thread's store wake=1 still in its buffer */
bit  q[NT+1], woken[NT+1];      /* wait queue */
bit  isep[NT+1], ready[NT+1];
bit  gone[NT+1];                /* thread no longer listens */
byte done;                      /* senders finished */

#define UNTAKEN (tail[0] != taken[0] || (NS > 1 && tail[NS-1] != taken[NS-1]))
#ifdef REL_HEAD
#define READABLE (tail[0] != head[0] || (NS > 1 && tail[NS-1] != head[NS-1]))
#else
#define READABLE UNTAKEN
#endif

inline arm(t)   { pend[t] = 1 }
inline mb_r(t)  { atomic { if :: pend[t] -> wake = 1; pend[t] = 0 :: else fi } }
inline mb_s(s)  { tail[s] = btail[s] }

inline wake_all() {
	atomic { k = 0;
	do :: k < NT -> if :: q[k] && isep[k] -> ready[k] = 1
	                   :: q[k] && !isep[k] -> woken[k] = 1
	                   :: else fi; k++
	   :: else -> break od; k = 0 }
}
inline wake_one() {
	atomic { k = 0;
	do :: k < NT -> if :: q[k] && !isep[k] && !woken[k] -> woken[k] = 1; break
	                   :: else fi; k++
	   :: else -> break od; k = 0 }
}
inline kick() {
#ifdef CLEAR_LATE
	wake_all(); wake = 0
#else
#ifdef WAKE_ONE
	atomic { wake = 0; wake_one() }
#else
	wake = 0; wake_all()            /* two steps on purpose: anything may happen in between */
#endif
#endif
}

active proctype Bus() {
	byte i;
end:	do
	:: tail[0] != btail[0] -> tail[0] = btail[0]
#if NS > 1
	:: tail[1] != btail[1] -> tail[1] = btail[1]
#endif
	:: atomic { pend[0] -> wake = 1; pend[0] = 0 }
#if NT > 1
	:: atomic { pend[1] -> wake = 1; pend[1] = 0 }
#endif
#if NT > 2
	:: atomic { pend[2] -> wake = 1; pend[2] = 0 }
#endif
	od
}

proctype Sender(byte s) {
	byte n, k;
	do
	:: n < K ->
		n++; btail[s] = n;                      /* 1 */
#ifdef KW_NOMB
		/* kernel decides (kick-and-wait), without a barrier of its own */
#else
#ifndef NO_SMB
		mb_s(s);                                /* 2 */
#endif
#endif
#ifdef DIE
		if :: skip ->                           /* killed between the store and the kick */
			mb_s(s);
#ifndef DIE_SILENT
			kick();                         /* ->release wakes everybody who is armed */
#endif
			break
		   :: skip fi;
#endif
		if :: wake -> kick()                    /* 3 */
		   :: !wake -> skip fi
	:: else -> break
	od;
	done++
}

/* take one if there is one; sets got */
inline take() {
	atomic {
	got = 0;
	if :: tail[0] != taken[0] -> taken[0]++; got = 1
	   :: NS > 1 && tail[NS-1] != taken[NS-1] -> taken[NS-1]++; got = 1
	   :: !UNTAKEN -> got = 0
	fi }
}

proctype Waiter(byte t; byte quota) {           /* quota: leaves after so many, 0 = never */
	bit got; byte n;
again:	take();
	if :: got -> n++;
		if :: quota && n >= quota -> atomic { gone[t] = 1; goto out }
		   :: else -> goto again fi
	   :: else fi;
#ifndef LATE_QUEUE
	atomic { q[t] = 1; woken[t] = 0 };              /* 0: join the queue (locks) */
#endif
#ifdef CHECK_FIRST
	if :: READABLE -> q[t] = 0; goto again :: else fi;
	arm(t); mb_r(t);
#else
	arm(t);                                         /* A */
#ifndef NO_RMB
	mb_r(t);                                        /* B */
#endif
#ifndef NO_RECHECK
	if :: READABLE ->                               /* C */
#ifdef REL_HEAD
		assert(UNTAKEN);        /* returned although there is nothing to take: would spin */
#endif
		q[t] = 0;
#ifdef DISARM
		wake = 0;
#endif
		goto again
	   :: else fi;
#endif
#endif
#ifdef LATE_QUEUE
	atomic { q[t] = 1; woken[t] = 0 };
#endif
end_sleep:
	woken[t];                                       /* D */
	atomic { q[t] = 0; woken[t] = 0 }
	goto again;
out:	skip
}

proctype Poll0(byte t) {                        /* poll with timeout 0, never sleeps */
	byte i; bit got;
	do :: i < 2 -> i++;
		arm(t); mb_r(t);
		if :: READABLE ->
#ifdef DISARM
			wake = 0;
#endif
			take()
		   :: else fi
	   :: else -> break od;
	gone[t] = 1
}

inline ep_poll(t) {                             /* ->poll as epoll calls it */
#ifdef ET_FAST
	if :: READABLE -> m = 1
	   :: else -> arm(t); mb_r(t); if :: READABLE -> m = 1 :: else -> m = 0 fi fi
#else
	arm(t); mb_r(t);
	if :: READABLE -> m = 1 :: else -> m = 0 fi
#endif
}
proctype EpollET(byte t) {
	bit m, got;
	atomic { q[t] = 1; isep[t] = 1 };
	ep_poll(t); if :: m -> ready[t] = 1 :: else fi;
loop:
end_wait:
	atomic { ready[t] -> ready[t] = 0 };
#ifndef KEYED                   /* io_uring multishot poll woken WITH a key posts its CQE without calling ->poll */
	ep_poll(t);
	if :: !m -> goto loop :: else fi;
#endif
	do :: take(); if :: got :: else -> break fi od;    /* drain to EAGAIN */
	goto loop
}

#if defined(WAKE_ONE) || defined(LEAVE)
#define QUOTA (t == 0 -> 1 : 0)
#else
#define QUOTA 0
#endif

init {
	byte t, s;
	atomic {
		s = 0; do :: s < NS -> run Sender(s); s++ :: else -> break od;
		t = 0;
		do :: t < NW -> run Waiter(t, QUOTA); t++ :: else -> break od;
		do :: t < NW + NP -> run Poll0(t); t++ :: else -> break od;
		do :: t < NT -> run EpollET(t); t++ :: else -> break od
	};
end_m:	do :: timeout ->
		assert(done == NS);
		assert(!UNTAKEN);
		break
	od
}
