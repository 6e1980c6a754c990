/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/* msgchan: the whole kernel ABI, a draft. One layout for 32- and 64-bit callers. Rules: protocol.md, abi.md. */
#ifndef _UAPI_LINUX_MSGCHAN_H
#define _UAPI_LINUX_MSGCHAN_H
#include <linux/ioctl.h>
#include <linux/types.h>

#define MSGC_NAME		64		/* with the final NUL; empty = unnamed */
#define MSGC_RECEIVERS		64
#define MSGC_SENDERS		1024
#define MSGC_FDS		8
#define MSGC_SLOTS		64		/* per client */
#define MSGC_HELD		1024		/* entries of a server */
#define MSGC_ALIGN		32		/* records and positions */
#define MSGC_AREA_SHIFT		41		/* area k is mapped at offset k << 41 */
#define MSGC_NOW		0ULL		/* deadlines: absolute CLOCK_MONOTONIC ns; 0: -EAGAIN, passed: -ETIMEDOUT */
#define MSGC_FOREVER		(~0ULL)
/* endpoint id, never 0: index = line in the status area, receivers 0.., senders from max_receivers on; generation >= 1 */
#define MSGC_INDEX(id)		((id) & 0xfffU)
#define MSGC_GEN(id)		((id) >> 12)

/* features, a query: what is not offered is refused with EOPNOTSUPP where it is asked for */
#define MSGC_F_URING		(1ULL << 0)	/* waiting commands may be parked */
#define MSGC_F_SEAL		(1ULL << 1)

enum { MSGC_RING = 1, MSGC_RENDEZVOUS };			/* mode */
enum { MSGC_EXCLUSIVE = 1, MSGC_BROADCAST, MSGC_BALANCED };	/* delivery; rendezvous: 0 */
enum { MSGC_SENDER = 1, MSGC_RECEIVER };			/* role: sender = client, receiver = server */
enum { MSGC_FREE, MSGC_LIVE, MSGC_STANDBY, MSGC_LEFT, MSGC_DIED, MSGC_REVOKED };	/* state of an endpoint */
enum { MSGC_IDLE, MSGC_QUEUED, MSGC_TAKEN };			/* state of a slot: who has its memory */
enum { MSGC_O_NONE, MSGC_O_DONE, MSGC_O_NOT_EXECUTED, MSGC_O_MAYBE };	/* outcome; letting go of the slot leaves it */
enum { MSGC_IN = 1, MSGC_PRI = 2, MSGC_OUT = 4, MSGC_ERR = 8, MSGC_HUP = 16 };	/* = POLLxxx; ERR: this endpoint is dead */
/* create flags */
enum { MSGC_PERSISTENT = 1, MSGC_UNTETHERED_ONLY = 2, MSGC_MANY_SERVERS = 4, MSGC_REDELIVER = 8, MSGC_INHERIT = 16 };
/* attach flags, also in msgc_line.flags */
enum { MSGC_OLDEST = 1, MSGC_UNTETHERED = 2, MSGC_AS_STANDBY = 4, MSGC_BOUND = 8, MSGC_STAY = 16 };
/* open flags: rights; LOOK: neither, by name or id, for INFO, PEERS and the owner's commands; does not keep the channel */
enum { MSGC_READ = 1, MSGC_WRITE = 2, MSGC_LOOK = 4 };
/* call flags; NEED_SERVER: EHOSTDOWN instead of waiting for one; RESUME: wait on for a call in flight */
enum { MSGC_ONEWAY = 1, MSGC_ASYNC = 2, MSGC_NEED_SERVER = 4, MSGC_RESUME = 8 };
/* message flags: inbox lines */
enum { MSGC_M_ONEWAY = 1, MSGC_M_GONE = 2, MSGC_M_REDELIVERED = 4, MSGC_M_FDS_TRUNCATED = 8 };

/* ---- cold commands: size first, unknown tail, flags and pads must be zero ---- */
struct msgc_features { __u32 size, flags; __aligned_u64 features; };	/* out */

struct msgc_create {				/* returns a channel fd with both rights */
	__u32 size, flags, mode, delivery;
	__u32 uid, gid, perm, zero;		/* uid, gid ~0: the caller's */
	__u32 max_senders, max_receivers, max_attempts, slots;	/* slots: per client */
	__aligned_u64 ring_max, request, reply, spin_ns;	/* request, reply: bytes per slot, rounded up to pages */
	char name[MSGC_NAME];
};

struct msgc_open { __u32 size, flags; __aligned_u64 id; char name[MSGC_NAME]; };	/* OPEN, UNLINK */

enum { MSGC_ROW_CHANNEL = 1, MSGC_ROW_ENDPOINT, MSGC_ROW_WAIT };
struct msgc_rows {				/* LIST (device), PEERS (channel, endpoint); returns how many rows */
	__u32 size, kind, row_size, max;	/* rows are cut or zero-filled to row_size */
	__aligned_u64 buf, cursor;		/* cursor: 0 first, then as returned */
};

struct msgc_info {				/* LIST row; INFO on channel and endpoint. Figures 0 where the caller could not open */
	__u32 size, flags, mode, delivery;
	__aligned_u64 id, created_ns;		/* id: unique since load, never reused: how unnamed channels are named */
	__u32 uid, gid, perm, rights;
	__u32 senders, receivers, max_senders, max_receivers, slots, max_attempts, waiting;
	__s32 creator; char comm[16];		/* as they were, for OWNER in ls */
	__aligned_u64 depth, capacity, hiwat, lost, redelivered, kicks, ring_max, request, reply, spin_ns;
	char name[MSGC_NAME];
};

struct msgc_peer {				/* PEERS row */
	__u32 id, role, state, flags;
	__s32 pid; __u32 uid, gid, refused;	/* translated to the reader's namespaces; refused: number of pairs */
	__aligned_u64 tail, head, ring, hiwat, lost, redelivered, kicks, needless, waits, held_bytes, since_ns;
	__u32 held, laggard;			/* receiver that holds this sender's space */
	char comm[16];
};

struct msgc_wait_row {				/* PEERS row, kind WAIT: who waits for whom, who holds what */
	__u32 endpoint, on, call_state, attempts;
	__s32 tid, prio, boost; __u32 slot;
	__aligned_u64 since_ns, deadline, position, bytes;
	char comm[16];
};

struct msgc_whom { __u32 size, flags, peer, zero; };		/* EVICT: a hung holder, or a departed sender's ring */

/* What an endpoint maps, through its own fd: area k at offset k << 41, exactly `size` bytes; a window (stride != 0) whole, or any
 * whole number of strides. A window holds peer n's at n * stride, n counted within its role; filled by faults.
 *	    sender		receiver		client			server
 * STATUS   kernel, RO		.			.			.
 * OWN	    control page, RW	slots, RW		slot headers, RW	reply headers, RW
 * INBOX    -			claims, RO (balanced)	a line a slot, RO	a line an entry, RO
 * DATA	    records twice, RW	window: records, RO	requests, RW		window: requests, RO
 * PEER	    window: slots, RO	window: controls, RO	replies, RO		window: replies, RW */
enum { MSGC_STATUS, MSGC_OWN, MSGC_INBOX, MSGC_DATA, MSGC_PEER, MSGC_AREAS };
struct msgc_area { __aligned_u64 offset, size, stride; };
struct msgc_attach {				/* returns an endpoint fd */
	__u32 size, flags, role, held;		/* held: entries of server or balanced receiver */
	__aligned_u64 ring;			/* in: wanted (client: the most it will pay for its slots); out: granted */
	__u32 id, number;			/* out; number: index within its role */
	__u32 max_senders, max_receivers, slots, pad;	/* out */
	struct msgc_area area[MSGC_AREAS];	/* out */
};

/* ---- hot commands: 16 bytes, the same by ioctl and in the SQE; ioctl's value and CQE.res are the result ---- */
struct msgc_wait { __u32 events; __s32 kick; __aligned_u64 deadline; };		/* kick: fd or -1. -> events */
struct msgc_none { __aligned_u64 zero[2]; };					/* KICK, INTERRUPT, DETACH -> 0 */
struct msgc_refuse { __u32 peer, flags; __aligned_u64 zero; };			/* by either side of the pair -> 0 */
struct msgc_claim { __u32 n, flags; __aligned_u64 deadline; };			/* mask: msgc_own.released -> claims given */
struct msgc_call { __u16 slot, flags; __u32 zero; __aligned_u64 deadline; };	/* -> slot, see its line; ASYNC: 0 */
struct msgc_cancel { __u16 slot, flags; __u32 zero; __aligned_u64 cookie; };	/* slot 0xffff: any; cookie must match -> 0 */
struct msgc_recv { __u32 flags, zero; __aligned_u64 deadline; };		/* -> inbox entry */
struct msgc_reply { __aligned_u64 call; __u32 len; __s32 status; };		/* REPLY -> 0, REPLY_RECV -> entry; call 0: only receive */
struct msgc_return { __aligned_u64 id; __u32 flags, zero; };			/* a claim -> 0 */

#define MSGC_IOC		0xBC	/* to be reserved */
#define MSGC_COLD(n)		_IO(MSGC_IOC, n)	/* no size in the number: the structs grow */
#define MSGC_FEATURES		MSGC_COLD(0x00)
#define MSGC_CREATE		MSGC_COLD(0x01)
#define MSGC_OPEN		MSGC_COLD(0x02)
#define MSGC_UNLINK		MSGC_COLD(0x03)
#define MSGC_LIST		MSGC_COLD(0x04)
#define MSGC_ATTACH		MSGC_COLD(0x10)
#define MSGC_INFO		MSGC_COLD(0x11)
#define MSGC_PEERS		MSGC_COLD(0x12)	/* channel and endpoint */
#define MSGC_EVICT		MSGC_COLD(0x13)
#define MSGC_WAIT		_IOW(MSGC_IOC, 0x20, struct msgc_wait)
#define MSGC_KICK		_IOW(MSGC_IOC, 0x21, struct msgc_none)
#define MSGC_REFUSE		_IOW(MSGC_IOC, 0x22, struct msgc_refuse)
#define MSGC_CLAIM		_IOW(MSGC_IOC, 0x23, struct msgc_claim)
#define MSGC_CALL		_IOWR(MSGC_IOC, 0x24, struct msgc_call)	/* RESUME set before a restart */
#define MSGC_CANCEL		_IOW(MSGC_IOC, 0x25, struct msgc_cancel)
#define MSGC_RECV		_IOW(MSGC_IOC, 0x26, struct msgc_recv)
#define MSGC_REPLY		_IOW(MSGC_IOC, 0x27, struct msgc_reply)
#define MSGC_REPLY_RECV		_IOWR(MSGC_IOC, 0x28, struct msgc_reply)	/* call cleared before a restart */
#define MSGC_RETURN		_IOW(MSGC_IOC, 0x29, struct msgc_return)
#define MSGC_INTERRUPT		_IOW(MSGC_IOC, 0x2a, struct msgc_none)
#define MSGC_DETACH		_IOW(MSGC_IOC, 0x2b, struct msgc_none)

/* ---- shared memory. Every struct has one writer ---- */
struct msgc_status {				/* kernel; start of STATUS */
	__u32 mode, delivery, flags, max_senders, max_receivers, slots, line_off, hot_used;
	__u32 zero[8];
	__aligned_u64 generation;		/* of the membership */
	__aligned_u64 tethered;			/* bit per receiver, positioned or not */
	__u32 senders, zero1;			/* live ones */
	__aligned_u64 joined;			/* generation at which the last sender joined: end of stream */
	__aligned_u64 zero2[4];
	__aligned_u64 armed, zero3[7];		/* bit r: receiver r wants a KICK */
	__aligned_u64 hot[MSGC_SENDERS / 64];	/* bit n: sender n; 0 = quiet for every receiver */
};
struct msgc_line {				/* kernel; per endpoint, at line_off + 64 * index */
	__u32 id;				/* written last; 0 = none */
	__u8 state, ring_shift, flags, attempts;	/* log2 of the ring; of [head, redo), saturates */
	__aligned_u64 since;			/* generation that made it a member */
	__aligned_u64 space_at;			/* sender: sleeps for this head, 0 = none; departed: its end */
	__aligned_u64 head;			/* balanced: the head; exclusive: base of the last takeover */
	__aligned_u64 redo;			/* exclusive: below this, redelivered */
	__aligned_u64 end;			/* departed: final tail, checked by the kernel */
	__aligned_u64 receivers;		/* bit r: r takes from this sender (not standby, not refused) */
	__aligned_u64 sealed;
};
struct msgc_own {				/* owner; first line of a receiver's, client's and server's OWN; sender: msgc_control */
	__aligned_u64 seen;			/* generation handled: PRI while it differs */
	__aligned_u64 released;			/* balanced: entries that the next CLAIM releases */
	__aligned_u64 deadline;			/* server: of REPLY_RECV's receive half, read once when it begins */
	__aligned_u64 zero[5];
};
struct msgc_tail { __aligned_u64 tail, zero[7]; };			/* sender n: control page, line n mod 64 */
struct msgc_control { __aligned_u64 seen, low, need, drops, hiwat, waits, zero[2]; };	/* the line 2 after it, mod 64 */
#define MSGC_TAIL_AT(n)		(64U * ((n) & 63U))
#define MSGC_CONTROL_AT(n)	(64U * (((n) + 2U) & 63U))
struct msgc_slot { __aligned_u64 taken, head, gen, zero[5]; };	/* receiver, per sender; gen: the sender's since */
struct msgc_slots {				/* receiver's OWN */
	struct msgc_own own;
	__aligned_u64 quiet[MSGC_SENDERS / 64], zero[8];
	struct msgc_slot slot[];		/* by sender number */
};

struct msgc_record {				/* sender; at a multiple of 32 */
	__u32 len, span_flags, type, check;	/* check = (__u32)(pos >> 5) ^ span_flags */
	__aligned_u64 seq_format, cookie;	/* seq: 56 bits below, format: 8 above */
};
#define MSGC_SPAN(sf)		((__u64)((sf) & 0x3ffffffU) << 5)
#define MSGC_R_PAD		(1U << 26)
#define MSGC_R_EXT		(1U << 27)
#define MSGC_R_SEALED		(1U << 28)
struct msgc_ext { __aligned_u64 time, zero[3]; };

struct msgc_entry {				/* kernel; balanced receiver's INBOX, after the line `held` */
	__aligned_u64 id, pos;			/* id: entry 16 bits below, generation 48 */
	__u32 sender, span;			/* bytes */
	__u16 attempts, flags; __u32 zero;
};
struct msgc_claims { __aligned_u64 held, zero[7]; struct msgc_entry entry[]; };	/* held: a bit per entry */

struct msgc_request {				/* client; OWN, after msgc_own, per slot */
	__u32 len, room, type; __u8 format, nfds; __u16 zero;
	__aligned_u64 cookie;
	__u32 handled, zero1;			/* last msgc_done.event handled: IN and OUT while it differs */
	__s32 fds[MSGC_FDS];
};
struct msgc_done {				/* kernel; client's INBOX, per slot */
	__u8 state, outcome, format, flags;	/* one 32-bit store, last */
	__u32 event;				/* counts outcomes and lettings-go */
	__s32 status; __u32 len;		/* status: the server's, or -errno where outcome is not DONE */
	__u32 type, server;
	__aligned_u64 cookie, zero[4];
	__s32 fds[MSGC_FDS]; __aligned_u64 zero1[4];	/* -1: none. A second line: the first is the hot one */
};
struct msgc_held {				/* kernel; server's INBOX, per entry: 128 bytes */
	__aligned_u64 call, cookie, deadline;	/* call: entry 16 bits below, generation 48; 0 = not held */
	__u32 client, len, room, type;
	__u16 slot, attempts; __u8 format, flags, nfds, zero;
	__s32 prio; __u32 zero1; __aligned_u64 zero2;
	__s32 fds[MSGC_FDS]; __aligned_u64 zero3[4];
};
struct msgc_answer { __u32 type; __u8 format, nfds; __u16 zero; __s32 fds[MSGC_FDS]; __aligned_u64 zero1[3]; };	/* server; OWN, per entry */

/* Errors: abi.md 1. REPLY_RECV: the reply went out if the error is EAGAIN, ETIMEDOUT, EINTR or ECANCELED; after ESHUTDOWN only a zeroed
 * `call` tells; after any other nothing was done. */
#endif
