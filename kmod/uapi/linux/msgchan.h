/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * msgchan: the whole kernel ABI of message channels. One layout for 32- and 64-bit callers.
 *
 * Three kinds of fd: the device (/dev/msgchan), a channel (CREATE, OPEN), an endpoint (ATTACH).
 * Any thread may give any command. docs/abi.md says what the commands mean together,
 * docs/protocol.md how processes use the shared memory.
 *
 * Every command may fail with
 *	EFAULT		the struct cannot be read or written
 *	ENOTTY		no such command on this kind of fd, or for this endpoint's mode and role
 *	EINVAL		a field is wrong; a pad is not zero; a struct shorter than its first version
 *	E2BIG		bytes beyond the struct that this kernel knows are not zero
 *	EOPNOTSUPP	a flag or value that this kernel does not know or does not offer: (later)
 *	ENOMEM, EINTR	no memory; killed while it was being fetched
 * and every endpoint command but INFO and PEERS with
 *	EPERM		the caller is not the process that attached, or with BOUND not the thread,
 *			before any other error
 *	ESHUTDOWN	the endpoint is dead: detached or evicted
 */
#ifndef _UAPI_LINUX_MSGCHAN_H
#define _UAPI_LINUX_MSGCHAN_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* bytes of a name with the final NUL; the rest zero; empty = unnamed */
#define MSGC_NAME	64
#define MSGC_RECEIVERS	64	/* most receivers (servers) of a channel */
#define MSGC_SENDERS	1024	/* most senders (clients) of a channel */
#define MSGC_SLOTS	64	/* most calls in flight of a client */
#define MSGC_HELD	1024	/* most calls a server endpoint may hold */
#define MSGC_CLAIMS	64	/* most records a balanced receiver may hold */
#define MSGC_ATTEMPTS	65535	/* most max_attempts: what is counted */
#define MSGC_SPIN_NS	1000000	/* greatest spin_ns */
#define MSGC_FDS	8	/* most files with a call or reply */
#define MSGC_ALIGN	32	/* records and positions in a ring */

/*
 * Deadlines are absolute CLOCK_MONOTONIC nanoseconds of the caller's time namespace. MSGC_NOW:
 * do not wait, -EAGAIN instead. A deadline that passes: -ETIMEDOUT. A signal ends a wait with
 * EINTR, or restarts it (SA_RESTART).
 */
#define MSGC_NOW	0ULL
#define MSGC_FOREVER	(~0ULL)

/*
 * Endpoint ids are never 0: 12 bits of index (its line in the status area; receivers from 0,
 * senders from max_receivers on) and 20 bits of generation. The number of an endpoint is its
 * index within its role.
 */
#define MSGC_INDEX(id)	((id) & 0xfffU)
#define MSGC_GEN(id)	((id) >> 12)

/* Bits of msgc_features.features: what this kernel offers beyond the base. */
#define MSGC_F_URING	(1ULL << 0)	/* commands that wait may be given by io_uring */
#define MSGC_F_SEAL	(1ULL << 1)	/* sealed payloads (later) */

/* Mode of a channel. */
enum { MSGC_RING = 1, MSGC_RENDEZVOUS };
/*
 * Delivery of a ring channel; 0 = EXCLUSIVE, with UNTETHERED_ONLY BROADCAST. BALANCED: each record
 * to one of several receivers. Rendezvous: 0.
 */
enum { MSGC_EXCLUSIVE = 1, MSGC_BROADCAST, MSGC_BALANCED };
/* Role of an endpoint: a sender is a client, a receiver a server, of a rendezvous channel. */
enum { MSGC_SENDER = 1, MSGC_RECEIVER };
/*
 * State of an endpoint. LEFT: it detached or was closed; DIED: with its process, or evicted;
 * REVOKED: gone, and what it left too. STANDBY: of an exclusive channel, while another receives.
 */
enum { MSGC_FREE, MSGC_LIVE, MSGC_STANDBY, MSGC_LEFT, MSGC_DIED, MSGC_REVOKED };
/*
 * State of a slot: who has its memory. QUEUED and TAKEN: busy, also after its caller has been
 * told an outcome.
 */
enum { MSGC_IDLE, MSGC_QUEUED, MSGC_TAKEN };
/* Outcome of a call: answered; surely not executed; perhaps executed. */
enum { MSGC_O_NONE, MSGC_O_DONE, MSGC_O_NOT_EXECUTED, MSGC_O_MAYBE };

/*
 * Events, with the values of POLLxxx. Sender: OUT, the reserve that failed (msgc_control.need)
 * would succeed, or none failed. Receiver: IN, something to take; HUP, there were senders, all
 * have left, all is taken. Client: IN, an outcome not handled; OUT, a slot let go and not
 * handled. Server: IN, a call waits. All: PRI, the membership is not the one in `seen`; ERR,
 * dead.
 */
enum { MSGC_IN = 1, MSGC_PRI = 2, MSGC_OUT = 4, MSGC_ERR = 8, MSGC_HUP = 16 };

/*
 * Flags of CREATE. PERSISTENT: until it is unlinked, its network namespace ends or the module
 * is unloaded, else until its last fd is closed. Rendezvous: MANY_SERVERS: more than one server
 * endpoint at a time. REDELIVER: a dead server's calls go to another. Ring, BROADCAST:
 * UNTETHERED_ONLY: nobody holds space, the oldest is overwritten. Rendezvous: INHERIT: a server
 * thread is at least as urgent as the most urgent SCHED_FIFO or RR thread that waits for it: while
 * it holds that one's call, or is in RECV or REPLY_RECV and the next to take it, or nobody is there
 * and it holds another call. Not beyond the creator's RLIMIT_RTPRIO then, unless it had
 * CAP_SYS_NICE. SCHED_DEADLINE threads lend 99, others nothing. Meanwhile the thread has
 * SCHED_RESET_ON_FORK; what others then make of its policy stays.
 */
enum {
	MSGC_PERSISTENT = 1, MSGC_UNTETHERED_ONLY = 2, MSGC_MANY_SERVERS = 4, MSGC_REDELIVER = 8,
	MSGC_INHERIT = 16,
};

/*
 * Flags of ATTACH. Receivers: STAY: outlasts the end of the stream. Ring receivers: UNTETHERED:
 * holds no space, and may miss messages; beside whatever other receivers there are. OLDEST: begins
 * at what is still there, not now (it does so itself; of an exclusive channel it always does).
 * AS_STANDBY: of an exclusive channel; where there is a receiver, waits to follow it.
 * BOUND: a server whose RECV, REPLY and REPLY_RECV are for the attaching thread alone, so that
 * -EDEADLK can be told: see CALL. If that thread ends before its process, nobody serves any more
 * until the endpoint is detached, closed or evicted.
 * TAKES_FILES: client or server: files that come with replies, or requests, are installed; else
 * they are dropped, MSGC_M_FDS_TRUNCATED, and the process has nothing to do with them.
 */
enum {
	MSGC_OLDEST = 1, MSGC_UNTETHERED = 2, MSGC_AS_STANDBY = 4, MSGC_BOUND = 8, MSGC_STAY = 16,
	MSGC_TAKES_FILES = 32
};

/*
 * Flags of OPEN, the rights of the fd: READ to receive or serve, WRITE to send or call. LOOK
 * alone: neither; for INFO, PEERS and EVICT; does not keep the channel.
 */
enum { MSGC_READ = 1, MSGC_WRITE = 2, MSGC_LOOK = 4 };

/*
 * Flags of CALL. ONEWAY: over as soon as a server has taken it. ASYNC: return 0 at once.
 * NEED_SERVER: -EHOSTDOWN instead of waiting for a server. RESUME: wait for the call that is in
 * flight.
 */
enum { MSGC_ONEWAY = 1, MSGC_ASYNC = 2, MSGC_NEED_SERVER = 4, MSGC_RESUME = 8 };

/*
 * Flags of messages in inboxes. GONE: nobody waits for the reply any more. FDS_TRUNCATED: not all
 * of its files came.
 */
enum { MSGC_M_ONEWAY = 1, MSGC_M_GONE = 2, MSGC_M_REDELIVERED = 4, MSGC_M_FDS_TRUNCATED = 8 };

/* ---- cold commands: size first (sizeof), it may grow; pads must be zero ---- */

/* Device, FEATURES -> 0. In: features must be 0. Out: what this kernel offers. */
struct msgc_features { __u32 size, flags; __aligned_u64 features; };

/*
 * Device, CREATE -> a channel fd with both rights, O_CLOEXEC. Zeros are defaults: senders 64,
 * receivers 8 (one server unless MANY_SERVERS), ring_max 1 MiB (at most 1 GiB), slots 4,
 * request and reply 64 KiB (at most 64 MiB), max_attempts without end. Names are bytes 0x21 to
 * 0x7e, per network namespace. The status area is charged to the caller. EEXIST: name taken.
 * EPERM: owner or group that chown(2) would refuse; INHERIT, and the caller has neither
 * CAP_SYS_NICE nor an RLIMIT_RTPRIO. EDQUOT: too many channels or bytes of this
 * user. EOVERFLOW: a window of more than 2 TiB. ENODEV: the network namespace is gone. EMFILE,
 * ENFILE.
 */
struct msgc_create {
	__u32 size, flags, mode, delivery;
	/* uid, gid: ~0 the caller's; perm: as chmod(2), at most 0777 */
	__u32 uid, gid, perm, zero;
	__u32 max_senders, max_receivers;
	/*
	 * REDELIVER, BALANCED: so many may die holding it, or RETURN it, at most MSGC_ATTEMPTS;
	 * 0: any number
	 */
	__u32 max_attempts;
	__u32 slots;				/* rendezvous: calls in flight per client */
	/* ring: the largest ring; rounded up to a power of two */
	__aligned_u64 ring_max;
	/* rendezvous: bytes per slot; rounded up to pages */
	__aligned_u64 request, reply;
	/*
	 * rendezvous: how long CALL, RECV and REPLY_RECV look before they sleep, at most
	 * MSGC_SPIN_NS; 0: not at all. They do so only while the thread that was last dealt with
	 * runs, or is being woken, on another CPU, and nobody else wants this one
	 */
	__aligned_u64 spin_ns;
	char name[MSGC_NAME];
};

/*
 * Device, OPEN -> a channel fd, O_CLOEXEC. By name, or with LOOK by name or id. ENOENT. EACCES:
 * the mode bits (an unnamed channel counts as 0600). ENODEV. EMFILE, ENFILE. Device, UNLINK ->
 * 0. By name; flags 0; the channel lives on for those who have it. ENOENT. EPERM: not the
 * owner. ENODEV.
 */
struct msgc_open { __u32 size, flags; __aligned_u64 id; char name[MSGC_NAME]; };

/*
 * LIST (device, kind CHANNEL: msgc_info), PEERS (channel and endpoint, kind ENDPOINT:
 * msgc_peer; WAIT: msgc_wait_row) -> rows written. Fewer than `max`: that was all. ENODEV (LIST).
 */
enum { MSGC_ROW_CHANNEL = 1, MSGC_ROW_ENDPOINT, MSGC_ROW_WAIT };
struct msgc_rows {
	__u32 size, kind;
	__u32 row_size;		/* 1 to 4096: rows are cut, or filled with zeros, to it */
	__u32 max;
	__aligned_u64 buf;	/* the caller's, max * row_size bytes */
	__aligned_u64 cursor;	/* 0 first, then as returned */
};

/*
 * INFO (channel and endpoint) -> 0, and LIST's row; all out but size. Parameters and figures
 * are 0 in LIST where the caller could not look. Ring: depth, capacity, redelivered in bytes;
 * rendezvous: in calls. hiwat and lost are senders' claims.
 */
struct msgc_info {
	__u32 size, flags, mode, delivery;
	__aligned_u64 id;		/* unique since the module was loaded */
	__aligned_u64 created_ns;
	__u32 uid, gid, perm, rights;	/* rights: of this fd */
	__u32 senders, receivers;	/* live */
	__u32 max_senders, max_receivers, slots, max_attempts;
	__u32 waiting;			/* senders that sleep for space; calls not taken yet */
	__s32 creator;			/* pid, and its name, then */
	char comm[16];
	__aligned_u64 depth, capacity, hiwat, lost, redelivered, kicks;
	__aligned_u64 missed;			/* messages that receivers lost: their claims */
	__aligned_u64 skipped;			/* given up after max_attempts: records, calls */
	__aligned_u64 ring_max, request, reply, spin_ns;
	char name[MSGC_NAME];
};

/*
 * PEERS row: a live endpoint, or a dead one that left something. Identities as in the reader's
 * namespaces.
 */
struct msgc_peer {
	__u32 id, role, state, flags;
	__s32 pid;
	__u32 uid, gid;
	__u32 refused;			/* sender: pairs */
	__aligned_u64 tail, head, ring;	/* sender */
	__aligned_u64 hiwat;		/* sender: its claim */
	__aligned_u64 lost;		/* dropped by a sender, missed by a receiver: its claim */
	__aligned_u64 redelivered;	/* (later) */
	__aligned_u64 kicks, needless;	/* its KICKs, and those that woke nobody */
	__aligned_u64 waits;		/* sender: its claim */
	__aligned_u64 held_bytes;	/* ring receiver: taken and not released */
	__aligned_u64 since_ns;
	/* calls or records that it holds; of a client: that servers hold */
	__u32 held;
	__u32 laggard;			/* sender: id of the receiver that holds its space */
	char comm[16];
};

/*
 * PEERS row, kind WAIT: what somebody holds, or a thread that sleeps in a command. Endpoints of
 * other users only for the channel's owner and with CAP_SYS_PTRACE. HELD_RING: of a sender's ring,
 * taken and not released. HELD_CALL: taken by a server. HELD_CLAIM: an entry of a balanced
 * receiver. WAITS_xxx: in CALL, RECV or REPLY_RECV, WAIT, CLAIM; at most 1,024 threads of an
 * endpoint. Who sleeps in poll(2) or in io_uring is not seen here.
 */
enum {
	MSGC_HELD_RING = 1, MSGC_HELD_CALL, MSGC_HELD_CLAIM,
	MSGC_WAITS_OUTCOME, MSGC_WAITS_CALL, MSGC_WAITS_EVENT, MSGC_WAITS_CLAIM
};

struct msgc_wait_row {
	/*
	 * Who holds or waits; whose, or for whom. OUTCOME: the server that has the call, or the
	 * only one; EVENT of a sender: the receiver that holds its space; 0: nobody, or anybody
	 */
	__u32 endpoint, on;
	__u16 what, call_state;		/* as above; of calls: MSGC_QUEUED, MSGC_TAKEN */
	__u32 attempts;			/* held: holders that died of it */
	__s32 tid;			/* who holds: the process; who waits: the thread */
	__s32 prio;			/* who waits: its own, as in msgc_held */
	__s32 boost;			/* who waits: the greater one that INHERIT gave it; 0 */
	__u32 slot;			/* call: the client's; EVENT: the events, MSGC_IN... */
	__aligned_u64 since_ns;		/* 0: not known, as of RING; else to some milliseconds */
	__aligned_u64 deadline;		/* call, waits; MSGC_FOREVER */
	__aligned_u64 position, bytes;	/* RING, CLAIM: where, how much; CALL: 0, of the request */
	char comm[16];
};

/*
 * Channel, EVICT -> 0. A live endpoint dies, by the channel's owner; what a departed sender
 * left in its ring is given up, by the owner or by the user who pays for it. ENOENT. EPERM.
 */
struct msgc_whom { __u32 size, flags, peer, zero; };

/*
 * What an endpoint maps through its own fd, MAP_SHARED: area k at offset k << 41, exactly
 * `size` bytes; a window (stride != 0) whole, or any whole number of strides. A window shows
 * peer n at n * stride, n its number.
 *
 *	   sender		receiver		client			server
 * STATUS  kernel, RO		.			.			.
 * OWN	   control page, RW	slots, RW		slot headers, RW	reply headers, RW
 * INBOX   -			balanced: claims, RO	a line a slot, RO	a line an entry, RO
 * DATA	   records twice, RW	window: records, RO	requests, RW		window: requests, RO
 * PEER	   window: slots, RO	window: controls, RO	replies, RO		window: replies, RW
 *
 * mmap: EPERM not the owner, EACCES not granted (PROT_EXEC never is; newer kernels say EPERM to
 * that before they ask), EINVAL other range, private, ENOMEM more than 64 mappings and one for each
 * stride (also where munmap and mprotect would split one). SIGBUS: a stride that never had an
 * owner.
 */
enum { MSGC_STATUS, MSGC_OWN, MSGC_INBOX, MSGC_DATA, MSGC_PEER, MSGC_AREAS };
#define MSGC_AREA_SHIFT	41
struct msgc_area { __aligned_u64 offset, size, stride; };

/*
 * Channel, ATTACH -> an endpoint fd, O_CLOEXEC. It belongs to the calling process and dies with
 * it. Its memory is charged to the caller. EACCES: the fd lacks the right. EINVAL: a flag
 * of another role, mode or delivery. EBUSY: an exclusive channel has a receiver, or there is the
 * one server. EUSERS: no index free. EDQUOT: too many endpoints or bytes of
 * this user, more than half of the indices, or a client's slots cost more than `ring`. EMFILE,
 * ENFILE.
 */
struct msgc_attach {
	__u32 size, flags, role;
	/* server: calls it may hold, 0 = 16; balanced receiver: records, 0 = 64. Out: granted */
	__u32 held;
	/*
	 * sender: bytes, 0 = 1 MiB or ring_max; client: the most it will pay, 0 = 64 MiB. Out:
	 * granted
	 */
	__aligned_u64 ring;
	__u32 id, number;	/* this and the rest: out */
	__u32 max_senders, max_receivers, slots, pad;
	struct msgc_area area[MSGC_AREAS];
};

/*
 * ---- hot commands: 16 bytes. Result: the ioctl's value ----
 *
 * By io_uring: IORING_OP_URING_CMD on an endpoint fd, also a registered one; cmd_op is the ioctl's
 * number, the 16 bytes stand in the SQE's `cmd`, and cqe.res is the result, as by ioctl. Links go
 * on after any result that is no error. Nothing is written back, and no signal ends or restarts
 * anything. Refused: DETACH, and rings with IOPOLL (EOPNOTSUPP); RECV, REPLY and REPLY_RECV of a
 * BOUND server, and rings of other processes than the one that attached (EPERM).
 *
 * With MSGC_F_URING a command that has to wait is parked: its thread goes on. It is ended by what
 * it waits for, its deadline, INTERRUPT (one of those parked), DETACH or EVICT, and with ECANCELED
 * by the end of its thread or ring, but not by IORING_OP_ASYNC_CANCEL or a linked timeout. A call
 * of which that becomes true goes on: RESUME, or CANCEL. ECANCELED does not tell whether a command
 * was begun: a line of the inbox does. EUSERS: 128 commands of this endpoint are parked. CLAIM
 * also ends with EINTR where it has found nothing but PADs for long. Files are installed before
 * the completion. A parked command keeps the endpoint's file open.
 *
 * Without MSGC_F_URING (before 6.7): what would have to wait fails, RECV, WAIT, CLAIM and RESUME
 * with EAGAIN, CALL without ASYNC and REPLY_RECV with EOPNOTSUPP, unless it was sent to a worker
 * thread (IOSQE_ASYNC), where it blocks.
 */

/*
 * Files go with a request, at CALL, and with an answer, at REPLY: those that msgc_request and
 * msgc_answer name are the caller's then, as with SCM_RIGHTS, and stay open there. Whoever takes
 * the message, in RECV or REPLY_RECV, or has its outcome, in CALL or RESUME, gets new fds of its
 * own, O_CLOEXEC, to be closed by it: as many as it may have (RLIMIT_NOFILE, security modules), the
 * rest is dropped, with FDS_TRUNCATED. Their numbers stand in the line before RECV's id, and before
 * CALL returns. A call that is delivered again brings them again. Those of an answer wait for
 * RESUME if a signal ended the CALL, at most until the slot's next call; the answer to an ASYNC
 * call drops them, with FDS_TRUNCATED; and so does, without, one that nobody waits for.
 *
 * CALL and REPLY, REPLY_RECV fail with, and have done nothing:
 *	EBADF		a number that is no open file of the caller
 *	EINVAL		more than MSGC_FDS; an endpoint or an io_uring file
 *	ETOOMANYREFS	this user has more in flight than the caller may have open (RLIMIT_NOFILE;
 *			not with CAP_SYS_RESOURCE or CAP_SYS_ADMIN): those of requests until their
 *			calls end, of answers until they are taken
 *	ENOMEM
 */

/*
 * WAIT -> the events that hold, of those wanted, and HUP and ERR. kick: another ring endpoint
 * of the caller, to be kicked once it waits itself, or -1. EAGAIN, ETIMEDOUT, EINTR. EBADF:
 * kick is no such endpoint.
 */
struct msgc_wait { __u32 events; __s32 kick; __aligned_u64 deadline; };
/*
 * KICK -> 0: sender, wakes the armed receivers; receiver, the senders whose space_at is reached.
 * INTERRUPT -> 0: the present or next wait of this endpoint ends with EINTR, once.
 * DETACH -> 0: the endpoint dies, whatever copies of its fd exist.
 */
struct msgc_none { __aligned_u64 zero[2]; };
/* REFUSE -> 0: ends the traffic of a pair, by either side. ENOENT. */
struct msgc_refuse { __u32 peer, flags; __aligned_u64 zero; };
/*
 * CALL -> the slot, once the call has an outcome: its line tells which; ASYNC -> 0. EBUSY: the
 * slot is busy, or has a waiter. EINVAL: deadline 0 without RESUME. EMSGSIZE: len or room
 * beyond the slot. EHOSTDOWN. ENOENT: nothing to resume. EINTR: the call goes on, RESUME is set
 * here. RESUME's own deadline: EAGAIN, ETIMEDOUT. EDEADLK: the calling thread would sleep for
 * itself. It has a BOUND server; the channel's one server is BOUND, to this thread or to one that
 * sleeps in such a CALL itself, and so on back to this thread, over at most 16 threads. Whatever
 * the deadlines; a call in flight (RESUME, or a plain CALL that a signal restarted) goes on.
 */
struct msgc_call { __u16 slot, flags; __u32 zero; __aligned_u64 deadline; };
/* CANCEL -> 0. Slot 0xffff: any. ENOENT: no call in flight with that cookie. */
struct msgc_cancel { __u16 slot, flags; __u32 zero; __aligned_u64 cookie; };
/*
 * RECV -> an entry of the inbox, of those calls that wait the one of the greatest msgc_held.prio,
 * of these the first that came (a call that is delivered again came when it first came). EBUSY:
 * all entries are held. EAGAIN, ETIMEDOUT, EINTR. msgc_held.call is 0 in the entry if the endpoint
 * died while the call's files were being opened: only these are the caller's.
 */
struct msgc_recv { __u32 flags, zero; __aligned_u64 deadline; };
/*
 * REPLY -> 0, also lets a one-way call go. REPLY_RECV -> the next entry; call 0: only receive;
 * its deadline: msgc_own.deadline. ENOENT: no call held with this id. EMSGSIZE: more than its
 * room. REPLY_RECV's reply went out if the error is EAGAIN (also where RECV would say EBUSY),
 * ETIMEDOUT or EINTR, or if `call` has become 0; else nothing was done.
 */
struct msgc_reply { __aligned_u64 call; __u32 len; __s32 status; };
/*
 * CLAIM, a balanced receiver's -> how many records were claimed now, at most n: the new bits of
 * msgc_claims.held. First it releases what msgc_own.released says, also if it fails then; n 0:
 * only that, -> 0, also beside a thread that waits here, but not between that thread's return and
 * its clearing of those bits in `released`: what it was given would be released unseen. It waits
 * for the first one only. EBUSY: all entries are held; or another thread is in it. EPIPE: there
 * were senders, all have left, nothing is left to claim. EPROTO: since the last CLAIM a sender's
 * ring was found to be none; its line.receivers lacks the bit. EAGAIN, ETIMEDOUT, EINTR.
 */
struct msgc_claim { __u32 n, flags; __aligned_u64 deadline; };
/*
 * RETURN -> 0: an entry goes to who claims of its sender next, with attempts + 1. ENOENT: it is not
 * held.
 */
struct msgc_return { __aligned_u64 id; __u32 flags, zero; };

#define MSGC_IOC	0xBC
#define MSGC_COLD(n)	_IO(MSGC_IOC, n)	/* no size in the number: the structs grow */
#define MSGC_FEATURES	MSGC_COLD(0x00)
#define MSGC_CREATE	MSGC_COLD(0x01)
#define MSGC_OPEN	MSGC_COLD(0x02)
#define MSGC_UNLINK	MSGC_COLD(0x03)
#define MSGC_LIST	MSGC_COLD(0x04)
#define MSGC_ATTACH	MSGC_COLD(0x10)
#define MSGC_INFO	MSGC_COLD(0x11)
#define MSGC_PEERS	MSGC_COLD(0x12)
#define MSGC_EVICT	MSGC_COLD(0x13)
#define MSGC_WAIT	_IOW(MSGC_IOC, 0x20, struct msgc_wait)
#define MSGC_KICK	_IOW(MSGC_IOC, 0x21, struct msgc_none)
#define MSGC_REFUSE	_IOW(MSGC_IOC, 0x22, struct msgc_refuse)
#define MSGC_CLAIM	_IOW(MSGC_IOC, 0x23, struct msgc_claim)
#define MSGC_CALL	_IOWR(MSGC_IOC, 0x24, struct msgc_call)
#define MSGC_CANCEL	_IOW(MSGC_IOC, 0x25, struct msgc_cancel)
#define MSGC_RECV	_IOW(MSGC_IOC, 0x26, struct msgc_recv)
#define MSGC_REPLY	_IOW(MSGC_IOC, 0x27, struct msgc_reply)
#define MSGC_REPLY_RECV	_IOWR(MSGC_IOC, 0x28, struct msgc_reply)
#define MSGC_RETURN	_IOW(MSGC_IOC, 0x29, struct msgc_return)
#define MSGC_INTERRUPT	_IOW(MSGC_IOC, 0x2a, struct msgc_none)
#define MSGC_DETACH	_IOW(MSGC_IOC, 0x2b, struct msgc_none)

/*
 * ---- shared memory. Every struct has one writer; words of other parties are read once and
 * believed only within bounds ----
 */

struct msgc_status {			/* kernel; start of STATUS */
	__u32 mode, delivery, flags, max_senders, max_receivers, slots;
	__u32 line_off;			/* of line 0 */
	__u32 hot_used;			/* ring for more than 64 senders: `hot` counts */
	__u32 zero[8];
	__aligned_u64 generation;	/* of the membership */
	__aligned_u64 tethered;		/* bit per receiver, positioned or not */
	__u32 senders, zero1;		/* live ones */
	/* generation at which the last sender joined: end of stream */
	__aligned_u64 joined;
	__aligned_u64 zero2[4];
	__aligned_u64 armed, zero3[7];	/* bit r: receiver r wants a KICK */
	/*
	 * bit n: sender n; 0 = quiet: no receiver looks at its ring, it must KICK after its next
	 * publish
	 */
	__aligned_u64 hot[MSGC_SENDERS / 64];
};

struct msgc_line {			/* kernel; per endpoint, at line_off + 64 * index */
	__u32 id;			/* written last, read before and after the rest; 0 = none */
	__u8 state;
	__u8 ring_shift;		/* sender: log2 of the ring */
	__u8 flags;			/* of ATTACH */
	/* of [head, redo): receivers that died holding it; saturates */
	__u8 attempts;
	__aligned_u64 since;		/* generation that made it a member */
	/* sender: sleeps for this head, 0 = none; departed: its end */
	__aligned_u64 space_at;
	/* sender: where the last takeover starts; balanced: the head itself */
	__aligned_u64 head;
	__aligned_u64 redo;		/* sender: below this, redelivered */
	__aligned_u64 end;		/* departed sender: final tail */
	__aligned_u64 receivers;	/* sender: bit r, r takes from it (not refused) */
	__aligned_u64 sealed;		/* (later) */
};

/* owner; first line of a receiver's, client's, server's OWN */
struct msgc_own {
	__aligned_u64 seen;		/* generation handled: PRI while it differs */
	/*
	 * balanced receiver: bit e, entry e is released. Read by CLAIM, which ignores bits of free
	 * entries; clear them after it. Also read when a sender goes to sleep for space, or by
	 * CLAIM beside another, but for bits that were set when the entry was given and not seen
	 * clear since
	 */
	__aligned_u64 released;
	/* server: of REPLY_RECV's receive half, read once when it begins */
	__aligned_u64 deadline;
	__aligned_u64 missed;		/* ring receiver: messages lost to it; for people */
	__aligned_u64 zero[4];
};

/* sender n: control page, at MSGC_TAIL_AT(n) */
struct msgc_tail { __aligned_u64 tail, zero[7]; };
struct msgc_control {			/* sender n: control page, at MSGC_CONTROL_AT(n) */
	__aligned_u64 seen;		/* as in msgc_own */
	__aligned_u64 low;		/* nothing below is safe to read */
	/* head that a failed reserve, or drain, requires; 0 = none */
	__aligned_u64 need;
	__aligned_u64 drops, hiwat, waits;	/* for people */
	__aligned_u64 zero[2];
};

#define MSGC_TAIL_AT(n)		(64U * ((n) & 63U))
#define MSGC_CONTROL_AT(n)	(64U * (((n) + 2U) & 63U))

struct msgc_slot {			/* receiver; per sender */
	__aligned_u64 taken;		/* next to take */
	__aligned_u64 head;		/* everything below is released */
	/* the sender's `since` that these belong to; else not positioned */
	__aligned_u64 gen;
	__aligned_u64 zero[5];
};

struct msgc_slots {			/* receiver's OWN */
	struct msgc_own own;
	__aligned_u64 quiet[MSGC_SENDERS / 64];	/* rings wished quiet: heard in WAIT */
	__aligned_u64 zero[8];
	struct msgc_slot slot[];	/* by sender number */
};

struct msgc_record {			/* sender; at a multiple of MSGC_ALIGN, payload behind it */
	__u32 len;			/* payload bytes */
	/* span with header, in units of 32 bytes: 26 bits; MSGC_R_xxx */
	__u32 span_flags;
	__u32 type;			/* the application's */
	__u32 check;			/* (__u32)(position >> 5) ^ span_flags */
	__aligned_u64 seq_format;	/* running number: 56 bits below; format tag: 8 above */
	__aligned_u64 cookie;		/* the application's */
};

#define MSGC_SPAN(sf)	((__u64)((sf) & 0x3ffffffU) << 5)
#define MSGC_R_PAD	(1U << 26)	/* nothing in it */
#define MSGC_R_EXT	(1U << 27)	/* a msgc_ext stands before the payload */
#define MSGC_R_SEALED	(1U << 28)	/* (later) */
struct msgc_ext { __aligned_u64 time, zero[3]; };	/* time: of commit, CLOCK_MONOTONIC ns */

struct msgc_entry {			/* a record that a balanced receiver holds */
	__aligned_u64 id;		/* for RETURN; grows in the order of claiming; 0 = free */
	__aligned_u64 pos;		/* of the header */
	__u32 sender, span;		/* span: bytes, with the header */
	__u16 attempts;			/* who died holding it, or returned it; saturates */
	__u16 flags;			/* MSGC_M_REDELIVERED */
	__u32 zero;
};

struct msgc_claims {			/* kernel; balanced receiver's INBOX */
	__aligned_u64 held, zero[7];	/* bit e: entry e */
	struct msgc_entry entry[];	/* as many as granted */
};

/* client; OWN, after msgc_own, per slot; read once, at CALL */
struct msgc_request {
	__u32 len, room;		/* bytes of the request; bytes that the reply may have */
	/* type, format: the application's; nfds: of fds, with the request */
	__u32 type; __u8 format, nfds; __u16 zero;
	__aligned_u64 cookie;		/* the application's; names the call to CANCEL */
	/* last msgc_done.event handled: IN and OUT while it differs */
	__u32 handled, zero1;
	__s32 fds[MSGC_FDS];		/* of the caller; behind nfds: anything */
};

struct msgc_done {			/* kernel; client's INBOX, per slot */
	__u8 state, outcome, format, flags;	/* these and event: one 64-bit store, last */
	__u32 event;			/* counts outcomes and lettings-go */
	__s32 status;			/* the server's; -errno where the outcome is not DONE */
	__u32 len;			/* bytes of the reply */
	__u32 type, server;		/* of the reply, and who gave it */
	__aligned_u64 cookie, zero[4];
	/* of the reply, once CALL has returned; -1: none */
	__s32 fds[MSGC_FDS]; __aligned_u64 zero1[4];
};

struct msgc_held {			/* kernel; server's INBOX, per entry */
	/* for REPLY: entry 16 bits below, generation 48; 0 = not held */
	__aligned_u64 call;
	__aligned_u64 cookie, deadline;
	__u32 client, len, room, type;
	__u16 slot, attempts; __u8 format, flags, nfds, zero;
	/* of the thread that called, then: 1 to 99 SCHED_FIFO and RR, 100 SCHED_DEADLINE, else 0 */
	__s32 prio; __u32 zero1; __aligned_u64 zero2;
	__s32 fds[MSGC_FDS]; __aligned_u64 zero3[4];	/* nfds of the request; -1: none */
};

struct msgc_answer {			/* server; OWN, after msgc_own, per entry */
	__u32 type; __u8 format, nfds; __u16 zero;
	__s32 fds[MSGC_FDS]; __aligned_u64 zero1[3];	/* as in msgc_request */
};

#endif
