/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * libipc.h - message channels between processes: rings and calls in shared memory (module msgchan).
 *
 * A *channel* is a place to meet, named or not.  A process attaches to it as an *endpoint*: in ring mode as a sender or
 * as the receiver, in rendezvous mode as a client or a server.  Messages are written and read in place; the kernel is
 * entered only to sleep, to wake somebody, or to make and answer a call.
 *
 *	ring		sender    ipc_reserve, ipc_commit, ipc_publish (or ipc_send, which copies)
 *			receiver  ipc_recv, ipc_release
 *	rendezvous	client    ipc_reserve, then ipc_call, ipc_start + ipc_collect, or ipc_send; ipc_release
 *			server    ipc_recv, then ipc_reply or ipc_reply_recv (one-way messages: ipc_release)
 *
 * Rules that hold for everything below, unless said otherwise:
 *
 * Errors	0 or a count on success, -errno on failure; errno is left alone.  ipc_strerror() explains each value.
 *		Every function that takes an endpoint may return -EPERM (called by a process that did not attach it, for
 *		example a forked child: attach after fork and after daemon(3)), -ESHUTDOWN (this endpoint is dead: its
 *		process detached it or the channel's owner evicted it) and -ENOTTY (not possible with an endpoint of this
 *		mode or role).
 * Deadlines	absolute CLOCK_MONOTONIC nanoseconds.  IPC_NOW tries once (-EAGAIN instead of waiting), IPC_FOREVER
 *		waits; ipc_in(ns) is now + ns.  A deadline that passes while waiting gives -ETIMEDOUT.
 * Signals	a wait ends with -EINTR only after a handler installed without SA_RESTART, or by ipc_interrupt().
 * Memory	attaching allocates and maps everything; nothing is allocated afterwards.  Structs are the caller's.
 *		Sizes are bytes.
 * Threads	a channel may be used by any thread at any time.  An endpoint is used by one thread at a time, not always
 *		the same one; threads that share one put a lock around it.  ipc_cancel() and ipc_interrupt() are the
 *		exceptions: any thread, any signal handler, at any time before ipc_detach().  Endpoints share no state.
 * Growth	structs whose first member is `size` may grow: set it to sizeof; members that this library does not know
 *		must be zero (-E2BIG).
 *
 * The manner (small functions, -errno, caller's structs, no hidden threads or global state) is that of liburing; borrowing in
 * place and giving back as acknowledgement is that of iceoryx's loans; RECV, REPLY and both in one are those of L4 and QNX.
 */
#ifndef LIBIPC_H
#define LIBIPC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ipc_channel;		/* opaque */
struct ipc_endpoint;		/* opaque */

#define IPC_NOW		UINT64_C(0)
#define IPC_FOREVER	UINT64_MAX

/* ipc_options.mode: how messages travel. */
enum {
	IPC_RING = 1,		/* a sender writes and goes on; the receiver takes when it likes */
	IPC_RENDEZVOUS		/* a client calls and waits for the answer, or sends and waits until it is taken */
};

/* ipc_options.delivery of a ring channel. */
enum {
	IPC_EXCLUSIVE = 1,	/* one receiver at a time, which a successor may follow without loss */
	IPC_BROADCAST,		/* reserved: -EOPNOTSUPP */
	IPC_BALANCED		/* reserved: -EOPNOTSUPP */
};

/* ipc_options.flags */
enum {
	IPC_PERSISTENT = 1,		/* the name stays until ipc_unlink(), not only until the last fd is closed */
	IPC_UNTETHERED_ONLY = 2,	/* reserved: -EOPNOTSUPP */
	IPC_MANY_SERVERS = 4,		/* rendezvous: several server endpoints; they must trust each other */
	IPC_REDELIVER = 8,		/* rendezvous: a dying server's calls go to the next one, not back as -EOWNERDEAD */
	IPC_PRIO_INHERIT = 16,		/* reserved: -EOPNOTSUPP */
	IPC_OWNER = 1 << 30		/* ipc_options.uid and gid are meant; else the owner is the caller */
};

/* ipc_attach.role: of a ring / of a rendezvous channel. */
enum {
	IPC_SENDER = 1,		/* sender / client; needs IPC_WRITE */
	IPC_RECEIVER		/* receiver / server; needs IPC_READ */
};

/* ipc_attach.flags */
enum {
	IPC_OLDEST = 1,		/* reserved: -EOPNOTSUPP */
	IPC_UNTETHERED = 2,	/* reserved: -EOPNOTSUPP */
	IPC_STANDBY = 4,	/* reserved: -EOPNOTSUPP */
	IPC_BOUND = 8,		/* reserved: -EOPNOTSUPP */
	IPC_STAY = 16		/* ring receiver: no end of stream, wait for new senders (servers always do) */
};

/* Rights of ipc_open(). */
enum {
	IPC_READ = 1,		/* receive, serve */
	IPC_WRITE = 2		/* send, call */
};

/* Events of ipc_wait(), with the values of POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP. */
enum {
	IPC_IN = 1,		/* receiver: a message; server: a request; client: an outcome to collect */
	IPC_PEERS = 2,		/* members came or went since ipc_wait() last said so */
	IPC_OUT = 4,		/* sender, client: the ipc_reserve() that failed would succeed now */
	IPC_ERR = 8,		/* this endpoint is dead; reported unasked */
	IPC_HUP = 16		/* ring receiver: end of stream; reported unasked */
};

/* ipc_msg.outcome of a call: what may be assumed about its execution. */
enum {
	IPC_NONE,		/* not known yet, or nothing was called */
	IPC_DONE,		/* answered; one-way: taken by a server */
	IPC_NOT_EXECUTED,	/* no server has seen it or will see it */
	IPC_MAYBE		/* a server had it: it may have been executed, or may yet be */
};

/* ipc_msg.flags */
enum {
	IPC_F_REDELIVERED = 1,	/* received: an earlier receiver (server) had it and died, see `attempts` */
	IPC_F_NEED_SERVER = 4,	/* calling: -EHOSTDOWN at once if no server is attached, instead of waiting for one */
	IPC_F_GONE = 8,		/* server: the client has gone or given up; later: ipc_gone() */
	IPC_F_ONEWAY = 16	/* server: expects no reply; ipc_release() it.  client: the outcome of an ipc_send() */
};

/* ipc_peer.state */
enum {
	IPC_LIVE = 1,
	IPC_LEFT = 3,		/* detached, or its last fd was closed */
	IPC_DIED,		/* its process ended, or it was evicted */
	IPC_REVOKED		/* gone, and its memory too */
};

/* What ipc_create() makes.  Zero in any member means its default. */
struct ipc_options {
	uint32_t size;			/* sizeof(struct ipc_options) */
	uint32_t mode;			/* IPC_RING (default) or IPC_RENDEZVOUS */
	uint32_t delivery;		/* ring: IPC_EXCLUSIVE (default); rendezvous: 0 */
	uint32_t flags;			/* IPC_PERSISTENT and others */
	uint32_t max_senders;		/* senders or clients at a time: default 64, at most 64 (clients: 1,024) */
	uint32_t max_receivers;		/* receivers or servers: default 8, at most 64 (one server without IPC_MANY_SERVERS) */
	uint32_t max_attempts;		/* IPC_REDELIVER: servers that may die holding one call; 0: any number */
	uint32_t perm;			/* mode bits of the name as of chmod(2), r receives, w sends; default 0600 */
	uint64_t ring_max;		/* ring: largest ring that a sender may bring; default 1 MiB, at most 1 GiB */
	uint64_t request, reply;	/* rendezvous: bytes per slot, default 64 KiB, at most 64 MiB, rounded up to pages */
	uint32_t slots;			/* rendezvous: calls in flight per client; default 4, at most 64 */
	uint32_t uid, gid;		/* owner, with IPC_OWNER; UINT32_MAX: the caller's */
	uint32_t pad;			/* 0 */
	uint64_t spin_ns;		/* reserved for calls that spin: 0 */
};

/* How ipc_attach() attaches. */
struct ipc_attach {
	uint32_t size;			/* sizeof(struct ipc_attach) */
	uint32_t role;			/* IPC_SENDER or IPC_RECEIVER */
	uint32_t flags;			/* IPC_STAY or 0 */
	uint32_t held;			/* server: requests that it may hold at a time; default 16, at most 1,024 */
	uint64_t ring;			/* ring sender: ring size, rounded up to a power of two; default 1 MiB or the channel's
					 * largest.  client: the most memory that it will pay for its slots; default 64 MiB */
	uint64_t spin_ns;		/* ring: how long a wait may look at memory before it sleeps; 0: not at all */
};

/*
 * A message: one type for everything that travels.  The struct is the caller's memory, may be copied and moved, and must be
 * zeroed before its first use.  What each member means:
 *
 *		sent, called, replied			received, collected
 */
struct ipc_msg {
	void    *data;		/* ipc_reserve(): write here		read-only: the sender's own memory, which it could
				 * ipc_send(), ipc_call(): or any	still change: copy before you check.
				 * memory, to be copied			NULL: nothing is borrowed (any more) */
	uint32_t len;		/* bytes of payload, 0 is fine		bytes of payload */
	uint32_t cap;		/* bytes reserved			- */
	uint32_t type;		/* the application's			as sent */
	uint8_t  format;	/* the application's			as sent */
	uint8_t  flags;		/* IPC_F_NEED_SERVER or 0		IPC_F_REDELIVERED and others */
	uint16_t attempts;	/* -					receivers that died holding it before, saturates */
	uint32_t peer;		/* -					id of the sender, the client, or the server that
				 *					answered: for ipc_peer() */
	int32_t  result;	/* -					of a call: the server's, or -errno where outcome is
				 *					not IPC_DONE */
	uint64_t seq;		/* -					ring: the sender's running number, from 1 */
	uint64_t cookie;	/* the application's			as sent; of a call: the call's */
	uint64_t time;		/* ring: CLOCK_MONOTONIC ns or 0	as sent, if it was */
	uint64_t missed;	/* -					ring: messages of this sender lost before this one */
	uint64_t deadline;	/* -					server: of the call, IPC_FOREVER if none */
	void    *reply;		/* -					server: write the reply here */
	uint32_t reply_cap;	/* call: room for the reply, 0: all	server: bytes at `reply` */
	uint32_t outcome;	/* -					of a call: IPC_DONE and others */
	uint64_t priv[5];	/* the library's; leave alone */
};

/* Who an endpoint is, as ipc_peer() tells.  Taken by the kernel when it attached; ids as seen from here. */
struct ipc_peer {
	int32_t  pid;		/* 0: not visible from this pid namespace */
	uint32_t uid, gid;
	uint32_t role;		/* IPC_SENDER, IPC_RECEIVER */
	uint32_t state;		/* IPC_LIVE and others */
	uint32_t refused;	/* peers with which its traffic ended because one of the two wrote nonsense */
	char     comm[16];	/* command name, NUL-terminated; may hold any bytes: escape before printing */
};

/* Now + @ns as a deadline; saturates below IPC_FOREVER. */
uint64_t ipc_in(uint64_t ns);

/* ---- channels ---------------------------------------------------------------------------------------------------------- */

/*
 * Create a channel, with both rights.  @name: 1 to 63 bytes of 0x21 to 0x7e, seen in this network namespace; NULL: unnamed,
 * reached by passing its fd.  @opt: NULL for a ring with all defaults.  *@out is the caller's to ipc_close().
 *
 * -EEXIST the name is taken.  -EINVAL a name or an option is wrong.  -EOPNOTSUPP the kernel does not offer an option.
 * -E2BIG @opt has members that this library does not know.  -EPERM uid or gid may not be chosen so.  -EOVERFLOW the
 * sizes together are too large.  -EDQUOT too many channels or too much memory of this user.  -ENOMEM.  -EMFILE, -ENFILE.
 * -ENODEV the module msgchan is not loaded.  -EACCES /dev/msgchan may not be opened.
 */
int ipc_create(const char *name, const struct ipc_options *opt, struct ipc_channel **out);

/*
 * Open the channel @name with @rights (IPC_READ, IPC_WRITE or both), waiting until it exists.
 *
 * -ENOENT it does not exist and @deadline was IPC_NOW.  -ETIMEDOUT it did not appear in time.  -EACCES its mode bits do not
 * give these rights.  -EINVAL a name that cannot exist, or no rights.  -EINTR.  -ENODEV, -EACCES, -ENOMEM, -EMFILE, -ENFILE
 * as ipc_create().
 */
int ipc_open(const char *name, unsigned rights, uint64_t deadline, struct ipc_channel **out);

/*
 * Make a channel of a channel fd that was received from another process, with the rights that it was opened with.  From then on
 * the fd belongs to the channel; on failure it stays the caller's.
 *
 * -EBADF no fd.  -ENOTTY not an fd of a channel.  -ENOMEM.
 */
int ipc_import(int fd, struct ipc_channel **out);

/*
 * Take a name away; who has the channel open keeps it.  -ENOENT no such name.  -EPERM not the channel's owner.  -EINVAL,
 * -ENODEV, -EACCES, -EMFILE, -ENFILE as ipc_create().
 */
int ipc_unlink(const char *name);

/* Close a channel; its endpoints live on.  NULL is fine. */
void ipc_close(struct ipc_channel *ch);

/* The channel's fd, to be passed to another process or polled (POLLPRI: members came or went).  Owned by the channel. */
int ipc_channel_fd(const struct ipc_channel *ch);

/* ---- endpoints --------------------------------------------------------------------------------------------------------- */

/*
 * Attach to a channel as what @how says.  The endpoint belongs to this process and dies with it; *@out is the caller's to
 * ipc_detach().  Its memory is charged to this process.
 *
 * -EACCES the channel was not opened with the right for this role.  -EBUSY there is a receiver already (it may die: try
 * again, or wait for IPC_PEERS).  -EUSERS all places are taken.  -EINVAL, -E2BIG, -EOPNOTSUPP as ipc_create().  -EDQUOT a limit of
 * this user, or more slot memory than @how->ring.  -ENOMEM, also by RLIMIT_AS.  -EMFILE, -ENFILE.  -ENOTTY ipc_import() was
 * given an endpoint's fd.
 */
int ipc_attach(struct ipc_channel *ch, const struct ipc_attach *how, struct ipc_endpoint **out);

/*
 * Leave: publishes what is committed, hands back what is borrowed (unreleased messages and unanswered calls go to a successor or
 * to their callers), unmaps and frees everything, so all ipc_msg of this endpoint are void.  In a forked child it only frees.
 * NULL is fine.  No other thread may be using the endpoint.
 */
void ipc_detach(struct ipc_endpoint *ep);

/*
 * The endpoint's fd, for poll, epoll and io_uring's polls; owned by the endpoint.  After IPC_IN call ipc_recv() or ipc_collect() until
 * -EAGAIN.  Readiness may be spurious, never missing.  Use poll(2) and its kin on it only, and never close it.
 */
int ipc_fd(const struct ipc_endpoint *ep);

/*
 * Wait for any of @events (IPC_IN and others; IPC_ERR and IPC_HUP are always waited for); publishes what is committed first.
 * Returns the events that hold, more than 0.  -EAGAIN, -ETIMEDOUT, -EINTR.  -EINVAL unknown events.
 */
int ipc_wait(struct ipc_endpoint *ep, unsigned events, uint64_t deadline);

/* Who @peer (an ipc_msg.peer) is or was.  -ENOENT not known any more.  -EACCES the channel does not tell. */
int ipc_peer(struct ipc_endpoint *ep, uint32_t peer, struct ipc_peer *out);

/*
 * Make the wait that this endpoint is in, or else its next one, return -EINTR, once.  Any thread, any signal handler.
 */
int ipc_interrupt(struct ipc_endpoint *ep);

/* ---- sending ----------------------------------------------------------------------------------------------------------- */

/*
 * Get room for a message of up to @len bytes: m->data, m->cap; all other members are reset.  A ring sender gets a record of its ring,
 * a client one of its call slots.  Waits until there is room; a ring sender publishes what is committed before it waits.
 * The room is the caller's until ipc_commit() or ipc_abandon(), or, on a client, ipc_call(), ipc_start() or ipc_send().
 *
 * -EMSGSIZE more than a ring or a slot can ever hold.  -EBUSY waiting cannot help, as the caller itself holds the room: open
 * reservations; on a client also borrowed replies and calls in flight or not yet collected.  -EAGAIN, -ETIMEDOUT, -EINTR.
 */
int ipc_reserve(struct ipc_endpoint *ep, struct ipc_msg *m, uint32_t len, uint64_t deadline);

/*
 * Ring sender: the record is complete, with m->len (which may have shrunk), type, format, cookie and time; in any order.
 * It travels with the next ipc_publish().  -EINVAL not an open reservation.  -EMSGSIZE m->len is more than m->cap.
 */
int ipc_commit(struct ipc_endpoint *ep, struct ipc_msg *m);

/* Give a reservation back unused.  -EINVAL not an open reservation. */
int ipc_abandon(struct ipc_endpoint *ep, struct ipc_msg *m);

/*
 * Ring sender: let the receiver see all records committed so far, in order of their reservation.  Returns how many committed records
 * an older, open reservation still holds back.
 */
int ipc_publish(struct ipc_endpoint *ep);

/*
 * Send a message: m->data, len, type, format, cookie (and time).
 * Ring sender: reserve, copy, commit and publish.  Returns as ipc_reserve() and ipc_publish() do.
 * Client: a one-way message.  m->data is a reservation of ipc_reserve(), or other memory, which is copied into a free slot
 * (with the errors of ipc_reserve()); waits until a server has taken it.  m->result and m->outcome say what became of it.  Errors as
 * ipc_call(); after -EINTR it is still on its way and ipc_collect() tells its outcome.
 */
int ipc_send(struct ipc_endpoint *ep, struct ipc_msg *m, uint64_t deadline);

/*
 * Ring sender: publish, then wait until everything published so far has been released: the receiver's acknowledgement.  Waits
 * also while there is no receiver.  -EBUSY an open reservation holds records back.  -EAGAIN, -ETIMEDOUT, -EINTR.
 */
int ipc_drain(struct ipc_endpoint *ep, uint64_t deadline);

/* ---- receiving --------------------------------------------------------------------------------------------------------- */

/*
 * Borrow 1 to @n messages into m[0..]; returns how many.  Waits for the first only.  They stay valid until they are released
 * (server: answered), in any order, also across further ipc_recv().
 *
 * -EPIPE ring: there have been senders, all have left, everything is drained (not with IPC_STAY).  -EPROTO ring: the sender
 * m[0].peer wrote nonsense; its traffic to this receiver has ended, go on with the others.  -EBUSY server: it holds as many requests as
 * it may.  -EINVAL @n is 0.  -EAGAIN, -ETIMEDOUT, -EINTR.
 */
int ipc_recv(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned n, uint64_t deadline);

/*
 * Give back @n borrowed messages; their data becomes NULL.
 * Ring receiver: acknowledges them, their space may be reused, and no successor gets them again (a message is acknowledged once all
 * earlier ones of its sender are).  Client: the replies' slots are free again.  Server: one-way messages only.
 *
 * -EINVAL m[i] is not borrowed, or is a call that wants a reply; those before it have been given back.
 */
int ipc_release(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned n);

/* ---- calls ------------------------------------------------------------------------------------------------------------- */

/*
 * Client: call, and wait for the answer.  @req: as ipc_send(); req->reply_cap bounds the reply, 0: the slot's whole.
 * On 0, @rep is the answer, borrowed until ipc_release(); rep->result is the server's.  On every error but -EINTR nothing is
 * borrowed, a reservation in @req has been used up, and rep->outcome says what may be assumed.  @rep may be @req.
 *
 * -ETIMEDOUT, -ECANCELED (by ipc_cancel()): IPC_NOT_EXECUTED, or IPC_MAYBE once a server had taken it.  The slot of a call
 * that a server still has is not free before it lets go.
 * -EOWNERDEAD the server died holding it (IPC_MAYBE).  -EHOSTDOWN IPC_F_NEED_SERVER and no server, or the last one left.
 * -EINTR the call goes on: ipc_collect() waits on for it, ipc_cancel() ends it.
 * -EINVAL @deadline is IPC_NOW: no call can be answered at once.  -EMSGSIZE longer than the slot, or a reply_cap that is.
 * -EBUSY, -ETIMEDOUT: no free slot, as ipc_reserve() (IPC_NOT_EXECUTED).
 */
int ipc_call(struct ipc_endpoint *ep, struct ipc_msg *req, struct ipc_msg *rep, uint64_t deadline);

/*
 * Client: call, without waiting for the answer: ipc_collect() gets it, IPC_IN announces it.  @deadline is the call's.  @req->cookie
 * tells the calls apart.  Does not wait for a slot: -EAGAIN.  Other errors as ipc_call(), all meaning that nothing was called.
 */
int ipc_start(struct ipc_endpoint *ep, struct ipc_msg *req, uint64_t deadline);

/*
 * Client: take the outcomes of 1 to @n finished calls, of ipc_start() or interrupted ones, in any order; returns how many.  Waits
 * for the first only, no longer than @deadline, which does not end any call.  For each: rep->cookie, outcome, result; where the
 * outcome is IPC_DONE of a call, the answer is borrowed as with ipc_call().
 *
 * -ENOENT no call is in flight.  -EINVAL @n is 0.  -EAGAIN, -ETIMEDOUT, -EINTR.
 */
int ipc_collect(struct ipc_endpoint *ep, struct ipc_msg *rep, unsigned n, uint64_t deadline);

/*
 * Client: end the call with this cookie; it then has the outcome -ECANCELED, which whoever waits for it gets.  Success wins if it came
 * first.  Any thread, any signal handler.  -ENOENT no call with this cookie is in flight.
 */
int ipc_cancel(struct ipc_endpoint *ep, uint64_t cookie);

/*
 * Server: answer @req with @len bytes, written at req->reply before, with req->type and format (change them if they differ) and
 * @result, any number.  Gives @req back, one-way messages too (@len 0).  A client that has gone is no error.
 *
 * -EMSGSIZE @len is more than req->reply_cap.  -ENOENT @req is not held (any more).
 */
int ipc_reply(struct ipc_endpoint *ep, struct ipc_msg *req, uint32_t len, int32_t result);

/*
 * Server: ipc_reply(), then ipc_recv() of one message, in one system call; returns 1.  @next may be @req.
 *
 * -EAGAIN, -ETIMEDOUT, -EINTR, -ECANCELED: the reply went out, nothing was received: go on with ipc_recv().  Any other error: the
 * reply did not go out, except -ESHUTDOWN, where only req->data, NULL if it did, tells.
 */
int ipc_reply_recv(struct ipc_endpoint *ep, struct ipc_msg *req, uint32_t len, int32_t result,
		   struct ipc_msg *next, uint64_t deadline);

/* Server: 1 if the client of @req has gone or given up, 0 if it still waits.  -ENOENT @req is not held. */
int ipc_gone(struct ipc_endpoint *ep, const struct ipc_msg *req);

/* ---- when something went wrong ----------------------------------------------------------------------------------------- */

/* A sentence for an error of this library, @err negative or positive; static, never NULL.  Any thread. */
const char *ipc_strerror(int err);

/*
 * Why @err (just returned by a function of @ep, negative or positive): a sentence that names the peer, such as
 * "channel full: receiver nav[812] holds 61 K since 3 s", or that of ipc_strerror() where no more is known.  Cut to
 * @size bytes with the NUL; returns the whole length.
 */
int ipc_why(struct ipc_endpoint *ep, int err, char *buf, size_t size);

#ifdef __cplusplus
}
#endif

#endif
