/* SPDX-License-Identifier: MIT */
/* over.pml - overwrite-oldest / untethered receiver: zero-copy look, validate afterwards (seqlock by position).
 * The sender looks at no receiver at all. Stores of the sender may become visible in ANY order (weaker than TSO)
 * unless a write barrier stands between. Record = two words, so tearing shows.
 *   sender: low = n-N+1; WMB; word A, word B; RELEASE; tail = n+1
 *   reader: tail (acquire); A, B; RMB; low > p ? overrun, missed += low-p, p = low : accept
 * Mutants: NO_INTENT (validate against tail), NO_WMB, NO_REL, LOW_FIRST (low read before the payload),
 *   WRAP=m (positions compared modulo m: a reader that sleeps long enough sees garbage as valid)
 * PIN: reader pins p first (store pin; mb; low <= p?), the sender skips... see report; here: sender waits (shows cost)
 */
#ifndef N
#define N 2
#endif
#ifndef K
#define K 6
#endif
byte tail, low, A[N], B[N];
bit pt, pl, pa, pb; byte vt, vl, va, vb, ia;
byte got, missed;
active proctype Bus() {
end:	do
	:: atomic { pt -> tail = vt; pt = 0 }
	:: atomic { pl -> low = vl; pl = 0 }
	:: atomic { pa -> A[ia] = va; pa = 0 }
	:: atomic { pb -> B[ia] = vb; pb = 0 }
	od
}
active proctype Sender() {
	byte n;
	do
	:: n < K ->
		/* same-location order: one pending store per variable */
		if :: n >= N ->
#ifndef NO_INTENT
			atomic { !pl -> vl = n - N + 1; pl = 1 }
#else
			skip
#endif
		   :: else fi;
#ifndef NO_WMB
		!pl && !pt && !pa && !pb;
#endif
		atomic { !pa && !pb -> ia = n % N; va = n + 1; pa = 1; vb = n + 1; pb = 1 };
#ifndef NO_REL
		!pl && !pa && !pb;
#endif
		atomic { !pt -> n++; vt = n; pt = 1 }
	:: else -> break
	od
}
#ifdef WRAP
/* signed distance modulo WRAP */
#define AHEAD(x, p) (((x - p + WRAP) % WRAP) > 0 && ((x - p + WRAP) % WRAP) < WRAP/2)
#else
#define AHEAD(x, p) (x > p)
#endif
active proctype Reader() {
	byte p, a, b, l, t;
	do
	:: p >= K -> break
	:: p < K ->
		t = tail;
		if
		:: t == p -> tail != p                  /* nothing; sleep */
		:: t != p ->
#ifdef LOW_FIRST
			l = low;
#endif
			a = A[p % N]; b = B[p % N];
#ifdef NO_INTENT
			l = tail; if :: l > N -> l = l - N :: else -> l = 0 fi;
#else
#ifndef LOW_FIRST
			l = low;
#endif
#endif
#ifdef WRAP
			if
			:: AHEAD(l % WRAP, p % WRAP) ->
				/* the library knows only the distance modulo WRAP */
				missed = missed + ((l - p) % WRAP); p = p + ((l - p) % WRAP)
			:: else -> assert(a == p + 1 && b == p + 1); p++; got++
			fi;
#else
			if
			:: l > p -> missed = missed + l - p; p = l
			:: else -> assert(a == p + 1 && b == p + 1); p++; got++
			fi;
#endif
			assert(got + missed == p);
			a = 0; b = 0; l = 0; t = 0
		fi
	od
}
