/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Message channels between processes: rings and calls in shared memory.
 *
 * A channel is a place to meet, named or not. A process attaches to it as an endpoint: in ring
 * mode as a sender or as the receiver, in rendezvous mode as a client or a server. Messages are
 * written and read in place; the kernel (module msgchan) is entered only to sleep, to wake
 * somebody, or to make and answer a call.
 *
 *	ring		sender    ipc_reserve, ipc_commit, ipc_publish; or ipc_send, which copies
 *			receiver  ipc_recv, ipc_release; of a balanced channel also ipc_return
 *	rendezvous	client    ipc_reserve, then ipc_call, or ipc_start and ipc_collect, or
 *				  ipc_send; ipc_release
 *			server    ipc_recv, then ipc_reply or ipc_reply_recv
 *
 * What holds for all functions, unless said otherwise:
 *
 * Errors. 0 or a count on success, -errno on failure; errno itself is left alone. ipc_strerror()
 * tells what each means. Functions on an endpoint may also return -EPERM: called by a process that
 * did not attach it, such as a forked child (attach after fork and after daemon(3)), or by a thread
 * that did not, to receive from or reply with IPC_BOUND; -ESHUTDOWN:
 * this endpoint is dead, its channel's owner evicted it; -ENOTTY: not possible with an endpoint of
 * this mode or role.
 *
 * Deadlines. Absolute CLOCK_MONOTONIC nanoseconds. IPC_NOW: do not wait, -EAGAIN. IPC_FOREVER:
 * wait. ipc_in(ns) is now + ns. A deadline that passes while waiting gives -ETIMEDOUT.
 *
 * Signals. A wait ends with -EINTR only after a handler installed without SA_RESTART, or by
 * ipc_interrupt().
 *
 * Memory. ipc_attach() allocates and maps everything, nothing is allocated later. Structs are the
 * caller's memory. Sizes are bytes.
 *
 * Threads. A channel may be used by any thread at any time. An endpoint is used by one thread at a
 * time, not always the same; threads that share one lock around it. ipc_cancel() and
 * ipc_interrupt() may be called by any thread and any signal handler at any time while the
 * endpoint is attached. Different endpoints share no state.
 *
 * Growth. A struct that begins with `size` may grow in later versions: set it to sizeof.
 *
 * The manner (small functions, -errno, no hidden thread or state) is liburing's. Lending in place
 * and giving back as acknowledgment are known from iceoryx, the three verbs of a server (receive,
 * reply, both at once) from L4 and QNX.
 */
#ifndef LIBIPC_H
#define LIBIPC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ipc_channel;
struct ipc_endpoint;
struct ipc_batch;

#define IPC_NOW		UINT64_C(0)
#define IPC_FOREVER	UINT64_MAX

/* ipc_options.mode: how messages travel */
enum {
	IPC_RING = 1,		/* a sender writes and goes on, the receiver takes when it likes */
	IPC_RENDEZVOUS		/* a client waits until a server has answered, or taken, it */
};

/* ipc_options.delivery, of rings */
enum {
	IPC_EXCLUSIVE = 1,	/* one receiver at a time; the next one goes on without loss */
	IPC_BROADCAST,		/* every receiver gets every message; the slowest holds space */
	IPC_BALANCED		/* a work queue: each message to one of several receivers */
};

/* ipc_options.flags */
enum {
	IPC_PERSISTENT = 1,		/* stays until ipc_unlink(), also while not open */
	IPC_UNTETHERED_ONLY = 2,	/* broadcast: a full ring overwrites its oldest */
	IPC_MANY_SERVERS = 4,		/* rendezvous: several, who trust each other */
	IPC_REDELIVER = 8,		/* rendezvous: a dying server's calls go to another */
	/*
	 * rendezvous: a server thread is as urgent as the most urgent real-time client that waits
	 * for it: while it waits for a request, or holds one that is not answered. Not between
	 * two calls of the library, not while it polls (answer with ipc_reply_recv()), not for
	 * nice values. At most as urgent as RLIMIT_RTPRIO or CAP_SYS_NICE allowed the creator's
	 * threads then; if that is nothing, -EPERM
	 */
	IPC_PRIO_INHERIT = 16,
	IPC_OWNER = 1 << 30		/* uid and gid are meant; else the owner is the caller */
};

/* ipc_attach.role */
enum {
	IPC_SENDER = 1,		/* ring sender, or client; needs IPC_WRITE */
	IPC_RECEIVER		/* ring receiver, or server; needs IPC_READ */
};

/* ipc_attach.flags */
enum {
	IPC_OLDEST = 1,		/* begin at the oldest message still held; see ipc_recv() */
	IPC_UNTETHERED = 2,	/* ring receiver: holds nobody up, may miss messages */
	IPC_STANDBY = 4,	/* exclusive: waits in ipc_recv() to succeed the receiver */
	IPC_BOUND = 8,		/* server: for this thread alone; see ipc_call(), -EDEADLK */
	IPC_TAKES_FILES = 32,	/* calls: wants the files that come with them, ipc_get_fds() */
	IPC_STAY = 16,		/* ring receiver: no end of stream, as there is none for servers */
	IPC_TIMED = 1 << 16	/* ring sender: its messages carry their time, in 32 bytes more */
};

/* Rights of ipc_open() */
enum {
	IPC_READ = 1,		/* to receive, to serve */
	IPC_WRITE = 2		/* to send, to call */
};

/* Events of ipc_wait(), with the values of POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP */
enum {
	IPC_IN = 1,		/* receiver: a message; server: a request; client: an outcome */
	IPC_PEERS = 2,		/* members came or went since ipc_wait() last told so */
	IPC_OUT = 4,		/* sender, client: the ipc_reserve() that failed would succeed */
	IPC_ERR = 8,		/* this endpoint is dead; told by poll only, unasked */
	IPC_HUP = 16		/* ring receiver: end of stream; told unasked */
};

/* ipc_msg.outcome: what may be assumed about the execution of a call */
enum {
	IPC_NONE,		/* not decided yet */
	IPC_DONE,		/* answered; of a one-way message: taken by a server */
	IPC_NOT_EXECUTED,	/* no server has seen it, or will */
	IPC_MAYBE		/* a server had it: it may have been executed, or may yet be */
};

/* ipc_msg.flags */
enum {
	IPC_F_REDELIVERED = 1,	/* receiver, server: who had it before has died; see attempts */
	IPC_F_NEED_SERVER = 4,	/* set by a client: -EHOSTDOWN at once if no server is attached */
	IPC_F_GONE = 8,		/* server: the client has gone or given up; later: ipc_gone() */
	IPC_F_ONEWAY = 16	/* server: expects no reply; client: outcome of an ipc_send() */
};

/* ipc_peer.state */
enum {
	IPC_LIVE = 1,
	IPC_WAITING,		/* a standby */
	IPC_LEFT,		/* detached, or closed its last fd */
	IPC_DIED,		/* its process ended */
	IPC_REVOKED		/* gone, its memory too */
};

/*
 * ipc_msg.format: what the payload is, for people and programs that look on. A tag: never parsed,
 * never checked, any value travels.
 */
enum {
	IPC_BINARY,
	IPC_TEXT,
	IPC_JSON,
	IPC_XML,
	IPC_CBOR,
	IPC_USER = 128		/* from here on the application's own */
};

/* A channel to be created. 0 in any member is its default. */
struct ipc_options {
	uint32_t size;		/* sizeof(struct ipc_options) */
	uint32_t mode;		/* IPC_RING */
	uint32_t delivery;	/* ring: IPC_EXCLUSIVE, or IPC_BROADCAST where
				 * IPC_UNTETHERED_ONLY; rendezvous: 0
				 */
	uint32_t flags;		/* IPC_PERSISTENT and others */
	uint32_t max_senders;	/* senders or clients at a time: 64, at most 1,024 */
	uint32_t max_receivers;	/* 8, at most 64; servers: 1, with IPC_MANY_SERVERS 8 */
	/*
	 * IPC_REDELIVER, IPC_BALANCED: how many may die holding one call or message, at most
	 * 65,535; any number
	 */
	uint32_t max_attempts;
	uint32_t perm;		/* as of chmod(2), r to receive, w to send: 0600 */
	uint64_t ring_max;	/* ring: the largest a sender may bring, 1 MiB; at most 1 GiB */
	uint64_t request;	/* rendezvous: per slot, in whole pages, 64 KiB; at most 64 MiB */
	uint64_t reply;		/* likewise */
	uint32_t slots;		/* rendezvous: calls in flight per client, 4; at most 64 */
	uint32_t uid, gid;	/* the owner, with IPC_OWNER; UINT32_MAX: the caller's */
	uint32_t pad;		/* 0 */
	/*
	 * rendezvous: how long a wait for a call or an answer looks before it sleeps, at most
	 * 1,000,000: only while the other thread runs on another CPU, and nobody wants this one.
	 * 0: not at all. Worth it where both sides have a CPU and answers take microseconds
	 */
	uint64_t spin_ns;
};

/* How to attach. 0 is the default of all but role. */
struct ipc_attach {
	uint32_t size;		/* sizeof(struct ipc_attach) */
	uint32_t role;		/* IPC_SENDER or IPC_RECEIVER */
	uint32_t flags;		/* IPC_STAY and others */
	/* at a time; server: requests, 16, at most 1,024; balanced: messages, 64, at most 64 */
	uint32_t held;
	uint64_t ring;		/* sender: size of its ring, up to a power of two, 1 MiB (or
				 * ring_max); client: the most to pay for its slots, 64 MiB
				 */
	uint64_t spin_ns;	/* ring: how long, about, a wait looks before it sleeps, at most:
				 * less while that did not pay lately; 0: not at all; UINT64_MAX:
				 * it never sleeps, and asks the kernel every millisecond or so
				 * whether it was interrupted
				 */
};

/*
 * A message, whatever travels. Zero it before its first use; it may be copied and moved.
 *
 * data is memory of the library's where a message was reserved, received or answered, and NULL
 * once that has been committed, called, given back or abandoned. What was received is the sender's
 * own memory, which it can still change: copy before checking what must not change after the
 * check.
 */
struct ipc_msg {
	void	*data;		/* len bytes */
	uint32_t len;		/* 0 is fine */
	uint32_t cap;		/* reserved: most that len may be */
	uint32_t type;		/* the application's, travels along */
	uint8_t	 format;	/* likewise: IPC_BINARY and others */
	uint8_t	 flags;		/* IPC_F_REDELIVERED and others */
	uint16_t attempts;	/* received: how many had it before and died; saturates */
	uint32_t peer;		/* received: from whom; answered: by whom; for ipc_peer() */
	int32_t	 result;	/* of a call: the server's, or -errno where not IPC_DONE */
	uint64_t seq;		/* received from a ring: the sender's running number, from 1 */
	uint64_t cookie;	/* the application's, travels along; an answer has its call's */
	uint64_t time;		/* IPC_TIMED: when it was committed, CLOCK_MONOTONIC ns, or what the
				 * sender had put here; received from others: 0
				 */
	uint64_t missed;	/* received from a ring: lost ones of this sender before it */
	uint64_t deadline;	/* received by a server: the call's, or IPC_FOREVER */
	void	*reply;		/* received by a server: write the reply here */
	uint32_t reply_cap;	/* server: room at reply; client: most wanted, 0: the slot's */
	uint32_t outcome;	/* of a call: IPC_DONE and others */
	uint64_t priv[5];	/* the library's */
};

/* Who an endpoint is, as the kernel saw it attach; ids as seen from here. */
struct ipc_peer {
	int32_t	 pid;		/* 0: not in this pid namespace */
	uint32_t uid, gid;
	uint32_t role;		/* IPC_SENDER, IPC_RECEIVER */
	uint32_t state;		/* IPC_LIVE and others */
	uint32_t refused;	/* peers with which it ended, as one of them wrote nonsense */
	char	 comm[16];	/* command name; any bytes: escape before printing */
	/* These its own library says: a claim. */
	uint64_t lost;		/* messages: ring sender: ipc_drop(); receiver: missed */
	uint64_t waits;		/* ring sender: how often it waited for room */
	uint64_t hiwat;		/* ring sender: most bytes that its ring ever held */
};

/* ipc_batch_options.way, and what ipc_batch_way() returns */
enum {
	IPC_BATCH_URING = 1,	/* io_uring: one system call for all */
	IPC_BATCH_POLL		/* ioctl(2) for each call, poll(2) for all */
};

/* A batch to be opened. 0 in any member but size is its default. */
struct ipc_batch_options {
	uint32_t size;		/* sizeof(struct ipc_batch_options) */
	uint32_t capacity;	/* calls in it that are not reaped: 64, at most 16,384 */
	uint32_t way;		/* only this one; else the best that is possible */
	uint32_t pad;		/* 0 */
};

/* What became of a call of a batch. */
struct ipc_done {
	struct ipc_endpoint *ep;	/* whose call it was */
	int32_t	 error;			/* as ipc_call() returns: 0, or -errno */
	uint32_t pad;
	struct ipc_msg msg;		/* as ipc_call() gives in rep */
};

/* Now + ns, as a deadline; never IPC_FOREVER. */
uint64_t ipc_in(uint64_t ns);

/* ---- channels ---- */

/*
 * Create a channel, with both rights. name: 1 to 63 bytes of 0x21 to 0x7e, seen in this network
 * namespace; NULL: unnamed, to be passed as an fd. opt: NULL for all defaults. The caller has to
 * ipc_close() it.
 *
 * -EEXIST: the name is taken. -EINVAL: wrong name or option. -EOPNOTSUPP: this kernel does not
 * offer an option. -E2BIG: an option that this library does not know. -EPERM: not this owner.
 * -EOVERFLOW: the sizes together are too large. -EDQUOT: a limit of this user. -ENOMEM. -EMFILE,
 * -ENFILE. -ENODEV: the module is not loaded. -EACCES: no right to open /dev/msgchan.
 */
int ipc_create(const char *name, const struct ipc_options *opt, struct ipc_channel **out);

/*
 * Open a channel with rights, IPC_READ, IPC_WRITE or both; waits until it exists.
 *
 * -ENOENT: it does not exist and deadline is IPC_NOW. -ETIMEDOUT. -EINTR: also after a handler with
 * SA_RESTART. -EACCES: its mode bits do not give these rights. -EINVAL: a name that cannot exist,
 * or other rights. -ENODEV, -EACCES, -ENOMEM, -EMFILE, -ENFILE: as ipc_create().
 */
int ipc_open(const char *name, unsigned int rights, uint64_t deadline, struct ipc_channel **out);

/*
 * A channel from an fd that another process passed, with the rights it was opened with. The fd
 * then belongs to the channel; on failure it stays the caller's.
 *
 * -EBADF. -ENOTTY: not of a channel (of an endpoint: ipc_attach() says so). -ENOMEM.
 */
int ipc_import(int fd, struct ipc_channel **out);

/*
 * Take a channel's name away. Who has it open keeps it.
 *
 * -ENOENT: no such name. -EPERM: not the owner. Others as ipc_create().
 */
int ipc_unlink(const char *name);

/* Close a channel; its endpoints live on. NULL is fine. */
void ipc_close(struct ipc_channel *ch);

/* The channel's fd, to pass or to poll (POLLPRI: members came or went). It stays the channel's. */
int ipc_channel_fd(const struct ipc_channel *ch);

/* ---- endpoints ---- */

/*
 * Attach. The endpoint belongs to this process, which pays for its memory, and dies with it. The
 * caller has to ipc_detach() it.
 *
 * -EACCES: the channel was not opened with the right that this role needs. -EBUSY: there is a
 * receiver, and IPC_STANDBY was not asked for. -EUSERS: all places are taken. -EINVAL, -E2BIG,
 * -EOPNOTSUPP: as ipc_create(); -EINVAL also: tethered on an IPC_UNTETHERED_ONLY channel. -EDQUOT:
 * a limit of this user, or the slots cost more than ring allows. -ENOMEM: also by RLIMIT_AS.
 * -EMFILE, -ENFILE. -ENOTTY: ipc_import() was given an endpoint's fd.
 */
int ipc_attach(struct ipc_channel *ch, const struct ipc_attach *how, struct ipc_endpoint **out);

/*
 * Leave. What is committed is published; what is borrowed is handed back: unreleased messages and
 * unanswered requests go to the next receiver or back to their callers. All memory is unmapped, so
 * messages of this endpoint are void. In a forked child it only frees. NULL is fine. No other
 * thread may be using the endpoint.
 */
void ipc_detach(struct ipc_endpoint *ep);

/*
 * The endpoint's fd, for poll, epoll and polls of io_uring; do nothing else with it. After POLLIN
 * call ipc_recv() or ipc_collect() until -EAGAIN. Readiness may be spurious, never missing.
 */
int ipc_fd(const struct ipc_endpoint *ep);

/*
 * Publish what is committed, then wait for any of events: IPC_IN, IPC_OUT, IPC_PEERS; IPC_HUP
 * comes unasked. Returns those that hold, > 0.
 *
 * -EAGAIN, -ETIMEDOUT, -EINTR. -EINVAL: no event. -EOPNOTSUPP: an unknown one.
 */
int ipc_wait(struct ipc_endpoint *ep, unsigned int events, uint64_t deadline);

/* The id by which peers know this endpoint; 0 in a forked child. */
uint32_t ipc_id(const struct ipc_endpoint *ep);

/*
 * Who a peer (ipc_msg.peer), or an endpoint itself (ipc_id()), is or was. -ENOENT: nobody, or
 * forgotten since.
 */
int ipc_peer(struct ipc_endpoint *ep, uint32_t peer, struct ipc_peer *out);

/*
 * The wait that this endpoint is in, or else its next one, returns -EINTR, once. For any thread
 * and any signal handler.
 */
int ipc_interrupt(struct ipc_endpoint *ep);

/* ---- sending ---- */

/*
 * Get room for a message of len bytes: sets data, len and cap of m, and leaves the rest. A sender
 * gets a record of its ring, a client one of its slots. Waits until there is room; a sender
 * publishes what is committed before it waits.
 *
 * -EMSGSIZE: more than a ring less 32 bytes (IPC_TIMED: 64), or a slot, can hold. -EBUSY: waiting
 * cannot help, as the caller itself holds the room: open reservations; on a client also borrowed
 * answers and calls not collected. -ENOBUFS: a sender has 64 reservations behind an open one.
 * -EPROTO: the ring is full and sender and receiver refused each other. -EAGAIN, -ETIMEDOUT,
 * -EINTR.
 */
int ipc_reserve(struct ipc_endpoint *ep, struct ipc_msg *m, uint32_t len, uint64_t deadline);

/*
 * Sender: this record is complete: len, which may have shrunk, type, format and cookie. In any
 * order; it travels with the next ipc_publish(). A client calls instead.
 *
 * -EINVAL: not an open reservation. -EMSGSIZE: len is more than cap; it is still reserved.
 */
int ipc_commit(struct ipc_endpoint *ep, struct ipc_msg *m);

/* Give up a reservation. -EINVAL: not an open one. */
int ipc_abandon(struct ipc_endpoint *ep, struct ipc_msg *m);

/*
 * Sender: let the receiver see what is committed, in the order of reservation. Returns how many
 * committed records an older open reservation holds back.
 */
int ipc_publish(struct ipc_endpoint *ep);

/*
 * Send data, len, type, format and cookie.
 *
 * Sender: copies into the ring and publishes, waiting for room. Returns as ipc_publish(); errors
 * as ipc_reserve().
 *
 * Client: a one-way message; waits until a server has taken it. data is a reservation, which is
 * used up whatever happens, or other memory, which is copied. result and outcome of m say what
 * became of it. Errors as ipc_call(); after -EINTR it is on its way and ipc_collect() tells its
 * outcome.
 */
int ipc_send(struct ipc_endpoint *ep, struct ipc_msg *m, uint64_t deadline);

/*
 * Sender: publish, then wait until the receiver has released everything published so far; waits
 * for a receiver too. This is the acknowledgment of ring mode.
 *
 * -EBUSY: an open reservation holds records back. -EPROTO: as ipc_reserve(). -EOPNOTSUPP: an
 * IPC_UNTETHERED_ONLY channel. -EAGAIN, -ETIMEDOUT, -EINTR.
 */
int ipc_drain(struct ipc_endpoint *ep, uint64_t deadline);

/*
 * Sender: count n messages that it gave up, as there was no room and it would not wait: the
 * ipc_peer.lost that others see. With ipc_reserve(IPC_NOW) this is drop-newest.
 */
int ipc_drop(struct ipc_endpoint *ep, uint64_t n);

/* ---- receiving ---- */

/*
 * Borrow 1 to n messages; returns how many. Waits for the first only. Each stays valid until it is
 * given back, also across further calls. Of a message from a ring only these are set: data, len,
 * cap, type, format, flags, attempts, peer, seq, cookie, time, missed, priv.
 *
 * -EPIPE: receiver: there have been senders, all have left, all is drained. -EPROTO, once for each
 * such sender: the sender m[0].peer and this receiver refused each other, because of what one of
 * them wrote; what was good before has been delivered, other senders go on. -EBUSY: a server or a
 * balanced receiver holds as many as it may. -ENOBUFS: a receiver holds 1,024, or an untethered one
 * too many bytes for the next. -EINVAL: n is 0. -EAGAIN, -ETIMEDOUT, -EINTR.
 *
 * A receiver begins: exclusive, where its predecessor stopped; broadcast and untethered, with what
 * is published after it attached, or with IPC_OLDEST at the oldest that is still there; of senders
 * that attach later it gets everything. A standby gets nothing until it is promoted.
 *
 * Untethered: messages are copies, made by this call. What was overwritten before it was copied
 * is counted in `missed` of the next message of that sender, and never delivered in part. With
 * IPC_NOW the kernel is not entered, so looking now and then costs the senders nothing.
 *
 * Servers get the calls of real-time threads first, by the priority that each had when it called;
 * else in the order in which they came, to which also those return whose server died.
 *
 * Balanced: what a receiver holds when it dies goes to the others, before anything new, flagged
 * IPC_F_REDELIVERED. One call claims a batch from the kernel: ask for many, but not for more than
 * can be worked on soon. End of stream: also while others still hold messages.
 */
int ipc_recv(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n, uint64_t deadline);

/*
 * Give back n borrowed messages, in any order; their data becomes NULL.
 *
 * Receiver: they are acknowledged: their space may be reused, nobody gets them again. (Unless
 * balanced: one counts once all earlier ones of its sender are given back.) Client: answers; their
 * slots are free.
 * Server: one-way messages. Client and server skip messages whose data is NULL already.
 *
 * -EINVAL: one is not borrowed, or wants a reply; nothing was given back.
 */
int ipc_release(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n);

/*
 * Balanced receiver: give a message back unacknowledged, to whoever receives next, with attempts
 * one higher; its data becomes NULL. It counts as if its holder had died: ipc_options.max_attempts.
 *
 * -EINVAL: it is not borrowed. -ENOMEM: it still is.
 */
int ipc_return(struct ipc_endpoint *ep, struct ipc_msg *m);

/* ---- calls ---- */

/*
 * Client: call and wait for the answer. req: data, which is a reservation, used up whatever
 * happens, or other memory, to be copied; len, type, format, cookie; flags: IPC_F_NEED_SERVER or
 * 0; reply_cap.
 *
 * 0: rep is the answer, borrowed until ipc_release(), its result the server's. Else rep->outcome
 * tells what may be assumed, and nothing is borrowed. rep may be req.
 *
 * -ETIMEDOUT, -ECANCELED (ipc_cancel()): IPC_NOT_EXECUTED, or IPC_MAYBE if a server had taken it;
 * its slot is not free before that server lets go. -EOWNERDEAD: a server died holding it,
 * IPC_MAYBE. -EHOSTDOWN: IPC_F_NEED_SERVER and no server. -EINTR: it goes on, IPC_NONE:
 * ipc_collect() waits on for it, ipc_cancel() ends it. -EDEADLK: this thread would wait for itself,
 * since the only server is an IPC_BOUND one of its own, or waits, also over several such servers,
 * for one of its own: IPC_NOT_EXECUTED; or, after a signal handler, IPC_NONE, as with -EINTR; also
 * of ipc_send(), not of ipc_collect(). -EINVAL: deadline is IPC_NOW, or data is a
 * slot but not reserved. -EMSGSIZE: len or reply_cap is more than a slot's. -EBUSY, -ETIMEDOUT: no
 * free slot, as ipc_reserve(); IPC_NOT_EXECUTED.
 */
int ipc_call(struct ipc_endpoint *ep, struct ipc_msg *req, struct ipc_msg *rep, uint64_t deadline);

/*
 * Client: call, and do not wait: IPC_IN tells when there is an outcome, ipc_collect() gets it. The
 * cookie tells calls apart. deadline: of the call, not IPC_NOW.
 *
 * -EAGAIN: no free slot now. -EBUSY, -EHOSTDOWN, -EINVAL, -EMSGSIZE: as ipc_call(). Nothing was
 * called.
 */
int ipc_start(struct ipc_endpoint *ep, struct ipc_msg *req, uint64_t deadline);

/*
 * Client: take 1 to n outcomes of calls (ipc_start(), or interrupted), in any order; returns how
 * many. Waits for the first only; deadline ends the waiting, not the calls. Look at rep->outcome
 * first: if IPC_DONE, it is an answer, borrowed as by ipc_call(), except of an ipc_send().
 *
 * -ENOENT: no call is in flight. -EINVAL: n is 0. -EAGAIN, -ETIMEDOUT, -EINTR.
 */
int ipc_collect(struct ipc_endpoint *ep, struct ipc_msg *rep, unsigned int n, uint64_t deadline);

/*
 * Client: end a call with this cookie, which gets the outcome -ECANCELED, unless it has one
 * already. For any thread and any signal handler. -ENOENT: no such call is in flight.
 */
int ipc_cancel(struct ipc_endpoint *ep, uint64_t cookie);

/*
 * Server: answer a request with len bytes at req->reply and any result. type and format of req are
 * the reply's. Gives req back (also a one-way message: len 0). A client that has gone is no error.
 *
 * -EMSGSIZE: len is more than reply_cap. -ENOENT: req is not held.
 */
int ipc_reply(struct ipc_endpoint *ep, struct ipc_msg *req, uint32_t len, int32_t result);

/*
 * Server: ipc_reply() and ipc_recv() of one message in one system call; returns 1. next may be
 * req.
 *
 * -EAGAIN, -ETIMEDOUT, -EINTR: the reply went out, nothing came: ipc_recv(). -EAGAIN may also mean
 * that other threads have filled the inbox. Any other error: the reply did not go out, except where
 * req->data is NULL.
 */
int ipc_reply_recv(struct ipc_endpoint *ep, struct ipc_msg *req, uint32_t len, int32_t result,
		   struct ipc_msg *next, uint64_t deadline);

/*
 * Let files travel with a message: with the call, the one-way message or the reply that it becomes
 * next, by ipc_call(), ipc_start(), ipc_send(), ipc_reply() or ipc_reply_recv(). fds is copied, the
 * files stay open here and may be closed once that function has returned. They stay set, for one
 * that failed to be tried again, until m is overwritten, or set anew; n 0: none.
 *
 * -EINVAL: more than 8. -EBADF: a negative number. -EOPNOTSUPP: m is of a ring, where files do not
 * travel. The functions above then also return, and nothing was called or answered: -EBADF: a
 * number that is no open file. -EINVAL: an ipc_fd(), or an io_uring file. -ETOOMANYREFS: too many
 * of this user's are on their way (RLIMIT_NOFILE). -ENOMEM. ipc_send() and ipc_reserve() of a
 * sender: -EOPNOTSUPP.
 */
int ipc_set_fds(struct ipc_msg *m, const int *fds, unsigned int n);

/*
 * Take the files that came with a message: a server those of a request, before it is answered or
 * given back; a client those of an answer, before ipc_release(). Returns how many, 0 to 8: new fds,
 * O_CLOEXEC, the caller's to close. Those that nobody took are closed when the message is answered,
 * also if that fails, or given back, or with ipc_detach(). A redelivered request has them again.
 *
 * -EMSGSIZE: more were sent: than n, and it may be tried again; or than came, since this endpoint
 * was attached without IPC_TAKES_FILES, and the library never has any; or this process may have no
 * more open (RLIMIT_NOFILE), or a security module forbids it, or the answer is that of
 * an ipc_start(), with which no files come. None were taken. -ENOENT: m is not held or borrowed.
 * -EOPNOTSUPP: ring mode.
 */
int ipc_get_fds(struct ipc_endpoint *ep, struct ipc_msg *m, int *fds, unsigned int n);

/* Server: 1 if the client of a request has gone or given up, else 0. -ENOENT: req is not held. */
int ipc_gone(struct ipc_endpoint *ep, const struct ipc_msg *req);

/* ---- batches of calls ---- */

/*
 * A batch makes many calls of any clients at a time, and hands out what became of them in the
 * order in which they end. All waiting is in one place, ipc_batch_reap(), and goes by io_uring
 * where that is possible: a system call then starts all calls that were added and waits for
 * outcomes. Where it is not, each call is a system call, and nothing else differs, but that no
 * files come with answers (ipc_get_fds(): -EMSGSIZE). To serve in one loop with sockets and files,
 * or to bring a ring of one's own: libipc_uring.h.
 *
 * A batch, and what it does with endpoints, is for the thread that opened it; others, and forked
 * children, get -EPERM. While an endpoint has calls in a batch do not detach it, and make no calls
 * of it by ipc_start(): waiting would end at once for outcomes of the other kind. ipc_call() is
 * fine. ipc_cancel() works; ipc_interrupt() does not end a wait of a batch.
 */

/*
 * Open a batch. opt: NULL for all defaults. The caller has to ipc_batch_close() it.
 *
 * -EINVAL, -E2BIG: wrong option, one that this library does not know. -ENOMEM, -EMFILE, -ENFILE.
 * With IPC_BATCH_URING also why it is not possible, as ipc_batch_way() tells.
 */
int ipc_batch_open(const struct ipc_batch_options *opt, struct ipc_batch **out);

/*
 * Close a batch. Calls that have no outcome are cancelled, answers not reaped are given back. In a
 * forked child it only frees. NULL is fine.
 */
void ipc_batch_close(struct ipc_batch *b);

/*
 * Which way is in use: IPC_BATCH_URING or IPC_BATCH_POLL; final once a call has been added, since
 * one command is tried then. If why is not NULL, it becomes 0, or why io_uring is not in use:
 * -EPERM, -ENOSYS: it is not there, or forbidden (sysctl kernel.io_uring_disabled, seccomp).
 * -EACCES: a security module forbids its commands. -EOPNOTSUPP: this kernel or module does not
 * offer them (before Linux 6.7). -EAGAIN: it was not asked for. -ENODEV, -EACCES, -ENOENT: the
 * module could not be asked, /dev/msgchan cannot be opened. Others as of io_uring_setup(2).
 */
int ipc_batch_way(const struct ipc_batch *b, int *why);

/*
 * Add a call, as ipc_call() takes it: req->data is a reservation, used up unless it returns
 * -EAGAIN, -EPERM, -ENOTTY or why no command passes, or other memory, copied. No system call, but
 * for the first; it begins with the next ipc_batch_submit() or ipc_batch_reap(). Calls of an
 * endpoint begin in the order in which they were added. deadline: of the call, not IPC_NOW. Files
 * that travel with it must stay open until it has begun.
 *
 * -EAGAIN: the batch holds as many as it can, reap some; or a server is about to let go of the
 * slot that this call needs. -EBUSY: no free slot, as ipc_reserve(): reap, or release answers.
 * -EINVAL, -EMSGSIZE: as ipc_call(). With IPC_BATCH_URING also -EACCES, or why else no command
 * passes. Nothing was added. All other errors of a call are told by ipc_batch_reap().
 */
int ipc_batch_call(struct ipc_batch *b, struct ipc_endpoint *ep, struct ipc_msg *req,
		   uint64_t deadline);

/*
 * Begin the calls that were added, without waiting for outcomes. Returns 0.
 *
 * -EAGAIN, -EBUSY, -EINTR, -ENOMEM: the kernel could not take them all now; they stay added.
 */
int ipc_batch_submit(struct ipc_batch *b);

/*
 * Begin the calls that were added, and take 1 to n outcomes, in any order; returns how many. Waits
 * for the first only; deadline ends the waiting, not the calls. out[i].error and out[i].msg are
 * what ipc_call() would have given: if error is 0, msg is an answer, borrowed until ipc_release().
 *
 * -ENOENT: the batch is empty. -EINVAL: n is 0. -EAGAIN, -ETIMEDOUT. -EINTR: also after a handler
 * with SA_RESTART. -EBUSY, -ENOMEM: as ipc_batch_submit().
 */
int ipc_batch_reap(struct ipc_batch *b, struct ipc_done *out, unsigned int n, uint64_t deadline);

/*
 * Begin the calls that were added, and wait until n outcomes are there to be reaped, or as many as
 * the batch has calls. By io_uring the thread sleeps until then, and is not woken by each of them.
 * Returns 0.
 *
 * -ETIMEDOUT, -EAGAIN, -EINTR: there may be fewer. -ENOENT, -EBUSY, -ENOMEM: as ipc_batch_reap().
 */
int ipc_batch_wait(struct ipc_batch *b, unsigned int n, uint64_t deadline);

/*
 * End a call of this batch with this cookie, unless it has an outcome already: ipc_batch_reap()
 * tells, -ECANCELED, and IPC_NOT_EXECUTED or IPC_MAYBE. By io_uring this goes with the next
 * submission. -ENOENT: there is no such call that goes on.
 */
int ipc_batch_cancel(struct ipc_batch *b, struct ipc_endpoint *ep, uint64_t cookie);

/* ---- when something goes wrong ---- */

/* What an error means, negative or positive: static text, never NULL. */
const char *ipc_strerror(int err);

/*
 * Why a function of ep just returned err: a sentence that names the peer if there is one to blame,
 * such as "channel full: receiver nav[812] holds 61 K". Written to buf as by snprintf;
 * returns the whole length.
 */
int ipc_why(struct ipc_endpoint *ep, int err, char *buf, size_t size);

#ifdef __cplusplus
}
#endif

#endif
