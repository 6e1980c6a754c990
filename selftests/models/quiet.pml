/* SPDX-License-Identifier: MIT */
/* quiet.pml - proposed: receive cost independent of idle senders. Kernel-written bitmap hot[s]:
 *   1 = the receiver scans ring s;  0 = quiet: after its publish barrier the sender must KICK.
 * Sender: store tail; mb; if (wake || !hot[me]) KICK.   KICK (locked): hot[me] = 1; if wake: wake = 0, wake all.
 * Receiver scans only rings with hot[s] == 1. QUIET(s): hot[s] = 0; mb; tail[s] != taken[s] ? hot[s] = 1.
 * WAIT: join queue; wake = 1; mb; any ACTIVE ring non-empty ? return : sleep.   (quiet rings are not looked at)
 * Mutants: NO_QRECHECK NO_QMB NO_SMB KICK_NOACT (kick wakes but does not set the bit) SEND_WAKEONLY (sender looks at
 * wake only)
 */
#ifndef K
#define K 2
#endif
byte tail[2], btail[2], taken[2];
bit hot[2], wake, q, wk;
bit pendw, pendq[2];              /* receiver CPU: stores wake=1 / hot[s]=0 not yet visible (FIFO among them) */
byte done;
inline mb_r() { atomic {
	if :: pendq[0] -> hot[0] = 0; pendq[0] = 0 :: else fi;
	if :: pendq[1] -> hot[1] = 0; pendq[1] = 0 :: else fi;
	if :: pendw -> wake = 1; pendw = 0 :: else fi } }
active proctype Bus() {
end:	do
	:: tail[0] != btail[0] -> tail[0] = btail[0]
	:: tail[1] != btail[1] -> tail[1] = btail[1]
	:: atomic { pendq[0] -> hot[0] = 0; pendq[0] = 0 }
	:: atomic { pendq[1] -> hot[1] = 0; pendq[1] = 0 }
	:: atomic { pendw && !pendq[0] && !pendq[1] -> wake = 1; pendw = 0 }
	od }
proctype Sender(byte s) {
	byte n; bit w;
	do :: n < K -> n++; btail[s] = n;
#ifndef NO_SMB
		tail[s] = btail[s];
#endif
		w = wake;                                  /* two separate loads */
#ifdef SEND_WAKEONLY
		if :: w ->
#else
		if :: w || !hot[s] ->
#endif
			atomic {
#ifndef KICK_NOACT
				hot[s] = 1;
#endif
				if :: wake -> wake = 0; if :: q -> wk = 1 :: else fi :: else fi }
		   :: else fi
	   :: else -> break od;
	done++
}
active proctype Rx() {
	byte s;
again:	if
	:: hot[0] && tail[0] != taken[0] -> taken[0]++; goto again
	:: hot[1] && tail[1] != taken[1] -> taken[1]++; goto again
	:: hot[0] && tail[0] == taken[0] -> s = 0; goto quiet
	:: hot[1] && tail[1] == taken[1] -> s = 1; goto quiet
	:: !(hot[0] && tail[0] != taken[0]) && !(hot[1] && tail[1] != taken[1]) -> goto wait
	fi;
quiet:	pendq[s] = 1;
#ifndef NO_QMB
	mb_r();
#endif
#ifndef NO_QRECHECK
	/* kernel, locked: the pending store is ours, so a later store of 1 comes after it */
	if :: tail[s] != taken[s] -> atomic { if :: pendq[s] -> pendq[s] = 0 :: else fi; hot[s] = 1 }
	   :: else fi;
#endif
	goto again;
wait:	atomic { q = 1; wk = 0 };
	pendw = 1; mb_r();
	if :: (hot[0] && tail[0] != taken[0]) || (hot[1] && tail[1] != taken[1]) -> q = 0; goto again
	   :: else fi;
end_sleep:
	wk; atomic { q = 0; wk = 0 }; goto again
}
init { atomic { hot[0] = 1; hot[1] = 1; run Sender(0); run Sender(1) };
end_m:	do :: timeout -> assert(done == 2); assert(tail[0] == taken[0] && tail[1] == taken[1]); break od }
