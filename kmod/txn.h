/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * txn.h - a client's slot with the call in it, a server's inbox entry, and the transitions of
 * txn.c that the commands of call.c are made of. Under channel->lock where nothing else is said.
 */
#ifndef MSGC_TXN_H
#define MSGC_TXN_H

#include "core.h"

#define MSGC_UNSEEN	U64_MAX		/* no call id, there are fewer entries */

struct msgc_files;
struct msgc_parked;

struct msgc_txn {			/* a slot and the call in it: channel->lock */
	struct rb_node place;		/* QUEUED: in channel->queue */
	struct msgc_endpoint *client;
	struct msgc_endpoint *server;	/* while TAKEN */
	struct msgc_request *request;	/* the client's line for it; the client writes */
	struct msgc_done *done;		/* likewise; the kernel writes */
	struct msgc_request req;	/* the client's header, but for its fds; IDLE: anything */
	struct msgc_bound *bound;	/* the thread that sleeps for it, if that serves alone */
	struct msgc_parked *parked;	/* CALL by io_uring; or NULL: client->parking.lock */
	struct msgc_files *files;	/* of the request, until it ends; NULL: none */
	struct msgc_files *got;		/* of the reply, until they are installed */
	/* INHERIT, while TAKEN: the thread that took it; or NULL. Also read without the lock */
	struct msgc_heir *heir;
	struct list_head lends;		/* with an heir: in channel->lent.taken */
	u64 deadline;			/* the host's time */
	u64 arrival;			/* number of the CALL: its place among those of its prio */
	unsigned long taken_at;		/* jiffies, by the server that has it; for people */
	union {				/* as the client's line begins */
		struct {
			u8 state, outcome;
			u8 format;	/* of the reply */
			u8 marks;	/* MSGC_M_xxx, but for GONE */
			u32 event;
		};
		u64 head;
	};
	u32 attempts;
	/* flags: of CALL; entry: in the server's inbox */
	u16 slot, flags, entry;
	/* of the caller then, as msgc_held.prio says it; INHERIT: with what he is lent since */
	u8 prio;
	u8 base;			/* likewise, without that */
	struct msgc_loan lent;		/* to the heir */
	bool shares;			/* the heir is lent what the queue lends, too */
	bool ever_taken;
	bool waiter;			/* somebody waits for the outcome, or installs its files */
	bool with_fds;			/* files of the last reply are in `got`, or in the line */
};

struct msgc_hold {			/* an inbox entry: channel->lock */
	struct msgc_txn *txn;		/* NULL: free */
	struct msgc_held *line;		/* the server's for it; the kernel writes */
	struct msgc_answer *answer;	/* likewise; the server writes */
	u64 id;				/* or MSGC_UNSEEN: its files are being installed */
	u32 next;			/* free: the next free one */
};

int msgc_txn_read_request(struct msgc_txn *txn);
/* NULL: no such entry. Without channel->lock, under which all but its lines is looked at. */
struct msgc_hold *msgc_hold_of(const struct msgc_endpoint *server, u64 id);
void msgc_txn_publish(struct msgc_txn *txn);
void msgc_call_wake(struct msgc_endpoint *ep, bool handoff);
void msgc_call_wake_servers(struct msgc_channel *ch, bool handoff);
u8 msgc_task_prio(const struct task_struct *task);
u8 msgc_call_prio(void);		/* without channel->lock */
void msgc_txn_enqueue(struct msgc_txn *txn);
void msgc_txn_requeue(struct msgc_txn *txn, u8 prio);
void msgc_txn_settle(struct msgc_txn *txn, u8 outcome, s32 status);
void msgc_txn_give_up(struct msgc_txn *txn, int err);
void msgc_call_wake_client(struct msgc_endpoint *client);
bool msgc_txn_overdue(struct msgc_txn *txn);
bool msgc_txn_judge(struct msgc_txn *txn);
struct msgc_txn *msgc_txn_first_waiting(struct msgc_channel *ch);
/* files: to be installed by the caller, after channel->lock; NULL: none */
u32 msgc_txn_take(struct msgc_endpoint *server, struct msgc_txn *txn, struct msgc_files **files);
void msgc_txn_show(struct msgc_endpoint *server, u32 entry);
void msgc_txn_let_go(struct msgc_txn *txn);

/* ---- uring.c ---- */
void __msgc_parked_settled(struct msgc_txn *txn);

/* Its outcome is published. Under channel->lock, as parking is: one that is not seen will look. */
static inline void msgc_parked_settled(struct msgc_txn *txn)
{
	if (READ_ONCE(txn->parked))
		__msgc_parked_settled(txn);
}

/* ---- spin.c ---- */
bool msgc_spin(struct msgc_endpoint *ep, const struct msgc_txn *txn, u64 deadline);
void msgc_spin_free(struct msgc_endpoint *ep);

/* ---- files.c: what travels with it ---- */
struct msgc_files *msgc_files_get(const struct msgc_endpoint *ep, const s32 *fds, u32 n);
struct msgc_files *msgc_files_ref(struct msgc_files *files);
unsigned int msgc_files_nr(const struct msgc_files *files);
void msgc_files_put(struct msgc_files *files);		/* without any lock */
void msgc_files_drop(struct msgc_files **of_call);
void msgc_files_begin(struct msgc_txn *txn, struct msgc_files *files);
void msgc_files_answer(struct msgc_txn *txn, struct msgc_files **reply,
		       struct msgc_files **request);
void msgc_files_clear(struct msgc_held *held);
/* without channel->lock */
void msgc_files_receive(struct msgc_endpoint *server, u32 entry, struct msgc_files *files);
void msgc_files_collect(struct msgc_txn *txn, struct msgc_files *files);

/* ---- bound.c ---- */
int msgc_bound_wait(struct msgc_txn *txn);	/* -EDEADLK */
void msgc_bound_done(struct msgc_txn *txn);

/* ---- heir.c, inherit.c ---- */
void __msgc_inherit_queued(struct msgc_txn *txn);
void __msgc_inherit_taken(struct msgc_txn *txn);
void __msgc_inherit_untaken(struct msgc_txn *txn);
void __msgc_inherit_gave_up(struct msgc_txn *txn);
void __msgc_inherit_all_gave_up(struct msgc_channel *ch);
void __msgc_inherit_begin(struct msgc_endpoint *server);
void __msgc_inherit_end(struct msgc_endpoint *server);
u8 __msgc_inherit_own(u8 prio);
void __msgc_inherit_sleep(struct msgc_txn *txn);
void __msgc_inherit_woken(struct msgc_txn *txn);

/*
 * After the transition, under channel->lock; msgc_inherit_settle() follows, but for the last, which
 * msgc_inherit_all_gave_up() does.
 */
static inline void msgc_inherit_queued(struct msgc_txn *txn)
{
	if (msgc_inherits(txn->client->ch))
		__msgc_inherit_queued(txn);
}

static inline void msgc_inherit_taken(struct msgc_txn *txn)
{
	if (msgc_inherits(txn->client->ch))
		__msgc_inherit_taken(txn);
}

static inline void msgc_inherit_untaken(struct msgc_txn *txn)
{
	if (msgc_inherits(txn->client->ch))
		__msgc_inherit_untaken(txn);
}

static inline void msgc_inherit_gave_up(struct msgc_txn *txn)
{
	if (msgc_inherits(txn->client->ch))
		__msgc_inherit_gave_up(txn);
}

static inline void msgc_inherit_all_gave_up(struct msgc_channel *ch)
{
	if (msgc_inherits(ch))
		__msgc_inherit_all_gave_up(ch);
}

/*
 * Around RECV, and around the sleep in CALL, without locks, but for the last: channel->lock. A
 * worker of io_uring is not the thread that serves.
 */
static inline void msgc_inherit_begin(struct msgc_endpoint *server)
{
	if (msgc_inherits(server->ch) && !(current->flags & PF_IO_WORKER))
		__msgc_inherit_begin(server);
}

static inline void msgc_inherit_end(struct msgc_endpoint *server)
{
	if (msgc_inherits(server->ch))
		__msgc_inherit_end(server);
}

static inline void msgc_inherit_sleep(struct msgc_txn *txn)
{
	if (msgc_inherits(txn->client->ch))
		__msgc_inherit_sleep(txn);
}

static inline void msgc_inherit_woken(struct msgc_txn *txn)
{
	if (msgc_inherits(txn->client->ch))
		__msgc_inherit_woken(txn);
}

/* How urgent a call of the calling thread is, whose priority is given. */
static inline u8 msgc_inherit_own(const struct msgc_channel *ch, u8 prio)
{
	return msgc_inherits(ch) ? __msgc_inherit_own(prio) : prio;
}

#endif
