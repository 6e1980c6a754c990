/* SPDX-License-Identifier: MIT */
/* space.pml - one sender, one receiver, ring of N slots, both may sleep: data (wakeR) and space (wakeS).
 * The receiver releases lazily: `rel` is private, `head` is what the sender sees; publishing head and looking at
 * wakeS (FLUSH) is done every B releases and at the moments chosen by -D:
 *   default       FLUSH = store head; mb; look at wakeS. Done before every WAIT (nothing more to take)
 *   KERN_FLUSH    user only stores head before WAIT; the kernel, having armed and fenced, looks at wakeS itself
 * Mutants: NO_FLUSH (head stays private when running dry), NO_LOOK (head stored, wakeS not looked at),
 *   NO_FENCE (stored and looked at without barrier), NO_PUB (sender waits for space holding unpublished records),
 *   PAUSE_LAZY (receiver stops calling the library for good after a lazy release; HELD property below)
 * Sender publishes every PB messages. Property: nobody is left asleep: all M messages arrive.
 */
#ifndef N
#define N 2
#endif
#ifndef M
#define M 5
#endif
#ifndef B
#define B 2
#endif
#ifndef PB
#define PB 1
#endif
byte tail, btail, head, bhead;
bit wakeR, pendR, qR, wkR;     /* receiver armed / its wait queue */
bit wakeS, pendS, qS, wkS;
byte got;
bit rpaused, sdone;
inline mbS() { atomic { tail = btail; if :: pendS -> wakeS = 1; pendS = 0 :: else fi } }
inline mbR() { atomic { head = bhead; if :: pendR -> wakeR = 1; pendR = 0 :: else fi } }
inline kickR() { if :: wakeR -> wakeR = 0; atomic { if :: qR -> wkR = 1 :: else fi } :: else fi }
inline kickS() { if :: wakeS -> wakeS = 0; atomic { if :: qS -> wkS = 1 :: else fi } :: else fi }
active proctype Bus() {
end:	do
	:: tail != btail -> tail = btail
	:: atomic { pendS && tail == btail -> wakeS = 1; pendS = 0 }
	:: head != bhead -> head = bhead
	:: atomic { pendR && head == bhead -> wakeR = 1; pendR = 0 }
	od
}
active proctype Sender() {
	byte n, unp;
	do
	:: n < M ->
again:		if
		:: n - head < N -> skip                 /* space */
		:: else ->
#ifndef NO_PUB
			if :: unp -> btail = n; mbS(); kickR(); unp = 0 :: else fi;
#endif
			atomic { qS = 1; wkS = 0 };
			pendS = 1; mbS();
			if :: n - head < N -> qS = 0
			   :: else ->
end_s:				wkS; atomic { qS = 0; wkS = 0 }
			fi;
			goto again
		fi;
		n++; unp++;
		if :: unp == PB || n == M -> btail = n; mbS(); kickR(); unp = 0 :: else fi
	:: else -> break
	od;
	sdone = 1
}
active proctype Receiver() {
	byte rel, lazy;
	do
	:: got == M -> break
	:: got < M ->
		if
		:: tail != rel ->                       /* take and release one */
			assert(tail - rel <= N);
			rel++; got++; lazy++;
			if :: lazy == B -> lazy = 0; bhead = rel;
#ifndef NO_LOOK
				mbR(); kickS()
#endif
			   :: else fi
#ifdef PAUSE_LAZY
			; if :: rpaused = 1; goto out :: skip fi   /* the application goes away */
#endif
		:: else ->                              /* ran dry */
#ifndef NO_FLUSH
			if :: lazy -> lazy = 0; bhead = rel;
#if !defined(KERN_FLUSH) && !defined(NO_LOOK)
#ifndef NO_FENCE
				mbR();
#endif
				kickS()
#endif
			   :: else fi;
#endif
			atomic { qR = 1; wkR = 0 };
			pendR = 1; mbR();               /* WAIT: arm, fence */
#ifdef KERN_FLUSH
			kickS();
#endif
			if :: tail != rel -> qR = 0
			   :: else ->
end_r:				wkR; atomic { qR = 0; wkR = 0 }
			fi
		fi
	od;
	bhead = rel; mbR(); kickS();
out:	skip
}
init {
end_m:	do :: timeout ->
#ifdef PAUSE_LAZY
		assert(sdone || !(qS && btail - got < N)) ; break   /* asleep although the space is released */
#else
		assert(got == M && sdone); break
#endif
	od
}
