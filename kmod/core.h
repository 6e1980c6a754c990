/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * core.h - the module's objects and who owns them.
 *
 *	registry   the channels of one network namespace, and their names
 *	channel    parameters, the status area, the table of members
 *	endpoint   one attached sender or receiver (client or server): its pages, its identity
 *	owner      a process that has endpoints: with its death they die
 *	payers     the users that an object is charged to
 *
 * References: device file -> registry; channel file -> channel; endpoint file -> endpoint ->
 * channel -> registry. A channel's table holds its members, also dead ones whose ring is not
 * drained; that cycle is cut when the channel's last user (an open file with rights, an
 * endpoint, or persistence) goes.
 *
 * Lock order, outermost first:
 *	registry->lock		mutex	names and ids, users of channels
 *	channel->zapping	mutex	one zap of all peers' windows at a time
 *	channel->members	mutex	attach, death, reaping, the list of open endpoints
 *	endpoint->map_lock	rwsem	faults (inside mmap_lock) against revocation
 *	mapping->i_mmap_rwsem		(unmap_mapping_range)
 *	channel->lock		spin	lines, armed bits, calls: what waiting and waking look at
 *	msgc_heirs_lock		spin	what server threads are lent, and who they are (heir.c)
 *	endpoint->timer_lock, wait queues, users_lock, chain_lock (bound.c)
 * An heir's lock (rt_mutex, heir.c: setting its priority) nests inside nothing, and none
 * of these inside it. owners_lock (mutex, owner.c) nests inside nothing and is dropped before
 * `members` is taken.
 * ->mmap and ->fault never take `members`. Under channel->lock: no user copies, no allocation,
 * no fput.
 */
#ifndef MSGC_CORE_H
#define MSGC_CORE_H

#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <linux/msgchan.h>

#include "compat.h"

#define MSGC_FEATURES_OFFERED	(MSGC_URING_PARKS ? MSGC_F_URING : 0ULL)

/* ---- user.c: quotas ---- */
enum msgc_resource { MSGC_BYTES, MSGC_CHANNELS, MSGC_ENDPOINTS, MSGC_FILES, MSGC_RESOURCES };
struct msgc_user;
struct msgc_payers {
	refcount_t ref;
	unsigned int nr;
	struct msgc_user *user[];
};

struct msgc_payers *msgc_payers_of_current(void);
struct msgc_payers *msgc_payers_get(struct msgc_payers *payers);
void msgc_payers_put(struct msgc_payers *payers);
int msgc_charge(struct msgc_payers *payers, enum msgc_resource what, u64 n);
int msgc_charge_files(struct msgc_payers *payers, u64 n);
void msgc_uncharge(struct msgc_payers *payers, enum msgc_resource what, u64 n);
kuid_t msgc_payer_uid(const struct msgc_payers *payers, unsigned int i);
bool msgc_payers_have(const struct msgc_payers *payers, kuid_t uid);

/* ---- region.c: pages that have one writing party, and every mapping of them ---- */
struct msgc_region {
	struct page **pages;
	unsigned int nr;
};

int msgc_region_alloc(struct msgc_region *region, u64 bytes);
void msgc_region_punch(struct msgc_region *region, u64 offset, u64 bytes);
void msgc_region_free(struct msgc_region *region);
static inline u64 msgc_region_bytes(const struct msgc_region *region)
{
	return (u64)region->nr << PAGE_SHIFT;
}

static inline void *msgc_region_at(const struct msgc_region *region, u64 offset)
{
	return page_address(region->pages[offset >> PAGE_SHIFT]) + offset_in_page(offset);
}

/* ---- registry.c ---- */
struct msgc_registry {
	struct kref ref;
	/* everything below, and `users` and the nodes of its channels */
	struct mutex lock;
	struct rb_root names;
	struct xarray channels;		/* by id */
	/* of the set of names; also read without the lock by poll */
	u64 generation;
	bool dead;			/* its namespace is gone */
	wait_queue_head_t wait;		/* device files that poll */
};

int msgc_registry_init(void);
void msgc_registry_exit(void);
struct msgc_registry *msgc_registry_of_current(void);
void msgc_registry_put(struct msgc_registry *reg);
void msgc_registry_changed(struct msgc_registry *reg);	/* lock held */

/* ---- channel.c ---- */
/* one index of a channel; its line stands in the status area */
struct msgc_member {
	/*
	 * NULL: free, or being reaped. Written under members and lock; read under either or under
	 * a map_lock
	 */
	struct msgc_endpoint *ep;
	u32 gen;			/* of the last id given out */
	/* when and by whom it was freed: counts as his for a while */
	u64 freed_ns;
	struct msgc_payers *freed_by;
	struct list_head free;		/* in channel->free[role], least recently freed first */
};

/* what one reason lends, and what of it the thread that has it may lend further: inherit.c */
struct msgc_loan {
	u8 prio, further;
};

/* what an INHERIT channel lends its server threads: inherit.c; channel->lock */
struct msgc_lent {
	u8 cap;				/* the most; fixed at CREATE */
	struct msgc_loan queue;		/* by the most urgent of the waiting calls */
	bool stale;			/* calls were given up, or a server died, since */
	bool unsettled;			/* perhaps not all is seen to; read without the lock */
	struct list_head waiting;	/* threads in RECV */
	struct list_head taken;		/* held calls, in the order of taking */
};

struct msgc_channel {
	struct kref ref;
	u64 id, created_ns;

	/* registry->lock */
	struct msgc_registry *registry;
	struct rb_node node;		/* in names, while named */
	unsigned int users;		/* files with rights, endpoints' files, persistence */
	bool named, persistent;
	char name[MSGC_NAME];

	/* fixed at CREATE */
	struct msgc_create par;
	struct user_namespace *user_ns;	/* the creator's */
	kuid_t uid;
	kgid_t gid;
	struct pid *creator;
	char comm[TASK_COMM_LEN];
	struct msgc_payers *payers;	/* of the status area */
	struct msgc_region status;
	struct msgc_status *st;		/* its first page */
	u32 nr_members;

	/* membership: attach, death, reaping; `open`, `free`, `fresh` */
	struct mutex members;
	/* endpoints whose file is open: those that may have mappings */
	struct list_head open;
	struct list_head free[2];	/* by role - 1 */
	u32 fresh[2];			/* numbers below were used at some time */
	struct work_struct reap;
	struct mutex zapping;		/* outside of members: the endpoints' `zap` nodes */

	/* lines and header of the status area, and all below; never taken in hard interrupts */
	spinlock_t lock;
	wait_queue_head_t wait;		/* channel files that poll */
	/* ring, a bit per sender: space_at is set */
	DECLARE_BITMAP(sleepers, MSGC_SENDERS);
	u64 takers;			/* ring: bit r, receiver r takes from those not refused */
	bool changed;			/* by a refusal, a promotion: nobody has been told yet */
	/* balanced: see claim.c, walk.c */
	struct list_head claiming;	/* claimers that sleep in CLAIM */
	u32 turn;			/* index of the sender whose turn it is */
	u32 turn_records;
	s64 turn_bytes;
	/* rendezvous: waiting calls, the next one first */
	struct rb_root_cached queue;
	u32 queued, servers;		/* rendezvous: waiting calls, live servers */
	u64 arrivals;			/* rendezvous: CALLs so far */
	/* rendezvous: the thread that alone serves it; also under bound.c's chain_lock */
	struct msgc_bound *bound;
	/* rendezvous: number of calls handed out, part of their id */
	u64 call_gen;
	struct msgc_lent lent;		/* rendezvous */
	u64 skipped, redelivered, kicks;	/* for INFO */

	struct msgc_member member[];	/* receivers first, then senders */
};

int msgc_channel_create(struct msgc_registry *reg, void __user *arg);
int msgc_channel_open(struct msgc_registry *reg, void __user *arg);
int msgc_channel_unlink(struct msgc_registry *reg, void __user *arg);
void msgc_channels_orphan(struct msgc_registry *reg);
struct msgc_channel *msgc_channel_next(struct msgc_registry *reg, u64 after);
bool msgc_channel_may_open(const struct msgc_channel *ch, u32 rights);
bool msgc_channel_may_look(const struct msgc_channel *ch);
bool msgc_channel_may_own(const struct msgc_channel *ch);
bool msgc_channel_may_pry(const struct msgc_channel *ch);
void msgc_channel_put(struct msgc_channel *ch);
void msgc_channel_use(struct msgc_channel *ch);
void msgc_channel_unuse(struct msgc_channel *ch);

static inline bool msgc_is_ring(const struct msgc_channel *ch)
{
	return ch->par.mode == MSGC_RING;
}

static inline bool msgc_inherits(const struct msgc_channel *ch)
{
	return unlikely(ch->par.flags & MSGC_INHERIT);
}

/* ---- uring.c: commands that io_uring has parked at an endpoint ---- */
struct msgc_parking {
	spinlock_t lock;		/* the lists, and the rest but for the counts */
	struct list_head recvs, others;	/* RECVs; WAITs and CLAIMs; for CALLs: msgc_txn.parked */
	u64 soonest;			/* no deadline of CALLs and RECVs is earlier */
	const void *runner;		/* of the first of recvs */
	bool mixed;			/* others may have other runners */
	const void *told;		/* so many RECVs of this runner, or more, were told of */
	atomic_t nr_told;		/* calls, and have not looked */
	atomic_t nr;			/* parked, or about to be */
};

/* ---- endpoint.c ---- */
struct msgc_txn;
struct msgc_hold;
struct msgc_bound;
struct msgc_heir;
struct msgc_endpoint {
	struct kref ref;		/* the file, the channel's table, whoever works on it */
	struct msgc_channel *ch;	/* referenced */
	u32 id, index, number, role, flags;
	u64 since;			/* generation that made it a member */

	/* identity: the attaching process, then */
	struct msgc_owner *owner;
	struct list_head of_owner;	/* owners_lock */
	/* its thread group; whoever else gives commands gets EPERM */
	struct pid *pid;
	kuid_t uid;
	kgid_t gid;
	char comm[TASK_COMM_LEN];
	u64 since_ns;
	struct msgc_payers *payers;
	u64 charged;			/* bytes */

	struct msgc_area area[MSGC_AREAS];
	/* what it pays for; peer: a client's replies */
	struct msgc_region own, inbox, data, peer;
	struct page *scratch;		/* what its writable mappings show once it is dead */
	struct address_space mapping;	/* of its file: its mappings and nobody else's */
	atomic_t mappings;		/* how many, of all areas */
	/* faults (read) against death and revocation (write) */
	struct rw_semaphore map_lock;
	/* written under members and channel->lock: either to read; faults: see death.c */
	bool dead;

	struct completion settled;	/* its death is through */

	struct list_head open;		/* channel->members */
	struct list_head zap;		/* channel->zapping */
	struct msgc_line *line;		/* channel->lock */
	u64 head_seen;			/* sender: greatest head believed so far; channel->lock */
	/* sender: receivers' bits; receiver: nothing; channel->lock */
	u64 refused;
	bool found;			/* receiver: there were rings when it began to take */
	/*
	 * receiver: waits for the seat of an exclusive channel. Set under members, cleared under
	 * channel->lock
	 */
	bool standby;
	u64 until;			/* dead: generation that made it so */
	bool discarded;			/* dead, and what it left is given up; channel->lock */

	wait_queue_head_t wait;
	struct msgc_parking parking;
	atomic_t interrupted;		/* INTERRUPT: the next wait ends */
	struct hrtimer timer;		/* wakes `wait`; armed lazily */
	spinlock_t timer_lock;		/* starting it */
	u64 timer_at;			/* when it will ring; U64_MAX: not armed */
	atomic64_t kicks, needless;
	atomic64_t looks;		/* rendezvous: rounds of spin.c */

	/* rendezvous: channel->lock */
	struct task_struct *thread;	/* spin_ns: the last that waited here */
	u32 partner;			/* id of whom it last dealt with; 0: nobody */
	bool unwoken;			/* client: calls were given up since it was woken */
	u64 shed;			/* dead client: slots whose pages are gone, or going */
	struct msgc_claimer *claimer;	/* balanced receiver */
	struct msgc_walk *walk;		/* sender of a balanced channel */
	struct msgc_txn *txn;		/* client: one per slot */
	struct msgc_hold *hold;		/* server: one per inbox entry */
	u32 nr_holds;			/* server: fixed at attach */
	struct msgc_bound *bound;	/* BOUND server: its thread; fixed at attach */
	u32 free_hold;			/* server: the first free one */
	struct msgc_heir *heir;		/* server, INHERIT: the thread that was last in RECV */
	struct work_struct judge;	/* client, INHERIT: looks for overdue calls */
	/* calls that it holds; client: its calls that a server holds */
	u32 taken;
};

/* What a command waits for, and until when. */
struct msgc_awaited {
	u64 deadline;
	union {
		struct msgc_txn *txn;	/* CALL: its outcome */
		u32 events;		/* WAIT */
	};
};

/* A thread that sleeps in a command, on its stack. */
struct msgc_waiter {
	struct wait_queue_entry entry;	/* in endpoint->wait, whose lock guards the rest */
	struct msgc_awaited want;
	unsigned long since;		/* jiffies */
	u16 what;			/* MSGC_WAITS_xxx */
};

union msgc_hot {			/* the 16 bytes of a command */
	struct msgc_wait wait;
	struct msgc_none none;
	struct msgc_refuse refuse;
	struct msgc_claim claim;
	struct msgc_return give_back;
	struct msgc_call call;
	struct msgc_cancel cancel;
	struct msgc_recv recv;
	struct msgc_reply reply;
};

extern const struct file_operations msgc_endpoint_fops;
int msgc_endpoint_attach(struct msgc_channel *ch, u32 rights, void __user *arg);
void msgc_endpoint_put(struct msgc_endpoint *ep);

static inline bool msgc_is_sender(const struct msgc_endpoint *ep)
{
	return ep->role == MSGC_SENDER;
}

/* ---- death.c: the end of an endpoint, and what becomes of what it leaves ---- */
void msgc_endpoint_die(struct msgc_endpoint *ep, u32 state);
void msgc_reap_later(struct msgc_channel *ch);
void msgc_reap_work(struct work_struct *work);
void msgc_zap_peer_everywhere(struct msgc_endpoint *peer);
void msgc_member_unlink(struct msgc_endpoint *ep);	/* members and channel->lock held */
void msgc_member_vacate(struct msgc_endpoint *ep);
void msgc_members_discard(struct msgc_channel *ch);
bool msgc_make_room(struct msgc_channel *ch, const struct msgc_payers *payers);
int msgc_channel_evict(struct msgc_channel *ch, void __user *arg);

/* ---- owner.c: an endpoint dies with the process that attached it ---- */
int msgc_owner_add(struct msgc_endpoint *ep);
void msgc_owner_remove(struct msgc_endpoint *ep);
bool msgc_owner_exiting(const struct msgc_endpoint *ep);
bool msgc_owner_dead(const struct msgc_endpoint *ep);

/* ---- region.c ---- */
int msgc_mmap(struct file *file, struct vm_area_struct *vma);
void msgc_zap_writable(struct msgc_endpoint *ep);	/* map_lock held for writing */
void msgc_zap_replies(struct msgc_endpoint *client);	/* map_lock held for writing */
void msgc_zap_peer(struct msgc_endpoint *ep, const struct msgc_endpoint *peer);

/* ---- status.c: the kernel-written area; all but init under channel->lock ---- */
u64 msgc_status_bytes(const struct msgc_create *par);
void msgc_status_init(struct msgc_channel *ch);
void msgc_line_publish(struct msgc_endpoint *ep);
void msgc_line_set_state(struct msgc_endpoint *ep, u32 state);
void msgc_generation_bump(struct msgc_channel *ch);	/* and wakes every member */

/* ---- wait.c: sleeping with a deadline, an interrupt and a timer ---- */
u64 __msgc_deadline_to_host(u64 deadline, s64 offset);
u64 __msgc_deadline_to_user(u64 deadline, s64 offset);

/* From the caller's time namespace, most often the initial one. */
static inline u64 msgc_deadline_to_host(u64 deadline)
{
	s64 offset = msgc_timens_offset();

	return likely(!offset && deadline < KTIME_MAX / 2) ? deadline :
	       __msgc_deadline_to_host(deadline, offset);
}

/* To the caller's. */
static inline u64 msgc_deadline_to_user(u64 deadline)
{
	s64 offset = msgc_timens_offset();

	return likely(!offset) ? deadline : __msgc_deadline_to_user(deadline, offset);
}

bool msgc_interrupted(struct msgc_endpoint *ep);
int msgc_wake_waiter(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key);

/* What others may see of it, while it is in the queue (held.c). */
#define MSGC_WAITER(name, for_what, until) {						\
	.entry = {									\
		.private = current,							\
		.func = msgc_wake_waiter,						\
		.entry = LIST_HEAD_INIT((name).entry.entry),				\
	},										\
	.want.deadline = (until),							\
	.since = jiffies,								\
	.what = (for_what),								\
}

static inline bool msgc_is_waiter(const struct wait_queue_entry *entry)
{
	return entry->func == msgc_wake_waiter;
}

int msgc_may_wait(struct msgc_endpoint *ep, u64 deadline);
int msgc_may_sleep(struct msgc_endpoint *ep, u64 deadline);
void msgc_timer_arm(struct msgc_endpoint *ep, u64 deadline);
enum hrtimer_restart msgc_timer_fired(struct hrtimer *timer);
void msgc_wake_all(struct msgc_endpoint *ep);
/* under or after the channel->lock section it is about */
void msgc_wake(struct msgc_endpoint *ep);
void msgc_wake_sync(struct msgc_endpoint *ep);

/*
 * ---- ring.c: readable, writable, end; WAIT, KICK, REFUSE. All but the commands under
 * channel->lock ----
 */
u32 msgc_events(struct msgc_endpoint *ep);		/* of either mode */
void msgc_arm(struct msgc_endpoint *ep);
u64 msgc_ring_tail(struct msgc_endpoint *sender);
u64 msgc_ring_head(struct msgc_endpoint *sender);	/* the smallest; may refuse pairs */
/* who holds its space, if anybody does; may refuse pairs */
struct msgc_endpoint *msgc_ring_laggard(struct msgc_endpoint *sender);
/* bytes taken and not released: of one sender's, above the receiver's head; of all */
u64 msgc_ring_borrowed(struct msgc_endpoint *receiver, struct msgc_endpoint *sender, u64 *head);
u64 msgc_ring_held(struct msgc_endpoint *receiver);
bool msgc_ring_at_end(const struct msgc_endpoint *receiver);
bool msgc_ring_drained(struct msgc_endpoint *sender);	/* of a dead one */
/* after any of the above: tells everybody of refusals */
void msgc_ring_unlock(struct msgc_channel *ch) __releases(&ch->lock);
long msgc_wait(struct msgc_endpoint *ep, union msgc_hot *arg);
long msgc_wait_begin(struct msgc_endpoint *ep, union msgc_hot *arg, struct msgc_awaited *want);
long msgc_wait_look(struct msgc_endpoint *ep, struct msgc_awaited *want, int why);
long msgc_kick(struct msgc_endpoint *ep, union msgc_hot *arg);
long msgc_refuse(struct msgc_endpoint *ep, union msgc_hot *arg);

/* ---- join.c: who takes from whom; under channel->lock, before the generation changes ---- */
void msgc_ring_joined(struct msgc_endpoint *ep);
void msgc_ring_gone(struct msgc_endpoint *ep);		/* a receiver's takeover, a sender's end */
void msgc_ring_unlinked(struct msgc_endpoint *sender);
bool msgc_seat_taken(const struct msgc_channel *ch);	/* of an exclusive channel; or members */
void msgc_ring_promote(struct msgc_channel *ch);

/* ---- claim.c, walk.c: balanced delivery; all but the commands under channel->lock ---- */
int msgc_claims_init(struct msgc_endpoint *ep);		/* before it is visible */
void msgc_claims_free(struct msgc_endpoint *ep);
bool msgc_is_claimer(const struct msgc_endpoint *ep);
u64 msgc_claims_bytes(const struct msgc_endpoint *ep);	/* to be charged for it */
void msgc_claims_arm(struct msgc_endpoint *receiver);
void msgc_claims_kick(struct msgc_endpoint *sender);
void msgc_claims_collect(struct msgc_channel *ch);	/* what receivers have marked as released */
bool msgc_claimable(struct msgc_endpoint *receiver);
void msgc_claims_receiver_gone(struct msgc_endpoint *receiver);
void msgc_claims_forget(struct msgc_endpoint *sender);	/* its ring goes */
bool msgc_claims_full(const struct msgc_endpoint *receiver);
u32 msgc_claims_held(const struct msgc_endpoint *receiver);
u64 msgc_claims_bytes_held(const struct msgc_endpoint *receiver);
struct msgc_endpoint *msgc_claims_laggard(const struct msgc_endpoint *sender);
/* a PEERS row of kind WAIT about one entry; false: it is free */
bool msgc_claims_row(struct msgc_wait_row *row, const struct msgc_endpoint *receiver, u32 entry);
bool msgc_walk_ended(const struct msgc_endpoint *sender);
u64 msgc_walk_cursor(const struct msgc_endpoint *sender);
long msgc_claim(struct msgc_endpoint *ep, union msgc_hot *arg);
long msgc_claim_begin(struct msgc_endpoint *ep, union msgc_hot *arg, struct msgc_awaited *want);
long msgc_claim_look(struct msgc_endpoint *ep, struct msgc_awaited *want, int why);
long msgc_return(struct msgc_endpoint *ep, union msgc_hot *arg);

/* ---- txn.c: rendezvous, the states of a call ---- */
/* allocates txn or hold, before the endpoint is visible */
int msgc_call_init(struct msgc_endpoint *ep);
void msgc_call_free(struct msgc_endpoint *ep);
void msgc_call_joined(struct msgc_endpoint *ep);	/* channel->lock: live now */
void msgc_call_gone(struct msgc_endpoint *ep);		/* channel->lock: dead now */
/* channel->lock: nobody holds a call of this dead client */
u64 msgc_call_taken(const struct msgc_endpoint *ep);	/* channel->lock: a bit per slot */
bool msgc_call_drained(struct msgc_endpoint *ep);
u32 msgc_call_events(struct msgc_endpoint *ep);		/* channel->lock: MSGC_IN, MSGC_OUT */

/* ---- bound.c: threads that alone serve a channel ---- */
int msgc_bound_attach(struct msgc_endpoint *ep);	/* before it is visible */
void msgc_bound_free(struct msgc_endpoint *ep);
bool __msgc_bound_elsewhere(const struct msgc_endpoint *ep);

/* To another thread than this. */
static inline bool msgc_bound_elsewhere(const struct msgc_endpoint *ep)
{
	return ep->bound && __msgc_bound_elsewhere(ep);
}

void msgc_bound_update(struct msgc_channel *ch);	/* channel->lock */

/* ---- spin.c: looking before sleeping ---- */
u64 msgc_spin_bytes(const struct msgc_endpoint *ep);	/* what it may keep */

/* ---- heir.c, inherit.c: server threads as urgent as those who wait for them ---- */
void msgc_inherit_exit(void);
int msgc_inherit_create(struct msgc_channel *ch);
void msgc_inherit_init(struct msgc_endpoint *ep);	/* before it is visible */
void msgc_inherit_free(struct msgc_endpoint *ep);
void msgc_inherit_row(struct msgc_wait_row *row, const struct task_struct *task);
void __msgc_inherit_settle(struct msgc_channel *ch);
void __msgc_inherit_timer(struct msgc_endpoint *client);

/* What the caller has changed under channel->lock, and not left to the work item; may sleep. */
static inline void msgc_inherit_settle(struct msgc_channel *ch)
{
	if (msgc_inherits(ch))
		__msgc_inherit_settle(ch);
}

/* Perhaps something is to be seen to, before this thread goes to sleep. */
static inline bool msgc_inherit_unsettled(const struct msgc_channel *ch)
{
	return msgc_inherits(ch) && READ_ONCE(ch->lent.unsettled);
}

/* An endpoint's timer rang; in softirq. */
static inline void msgc_inherit_timer(struct msgc_endpoint *ep)
{
	if (msgc_inherits(ep->ch) && msgc_is_sender(ep))
		__msgc_inherit_timer(ep);
}

/* ---- call.c: the commands of rendezvous mode ---- */
long msgc_call(struct msgc_endpoint *ep, union msgc_hot *arg);
long msgc_call_begin(struct msgc_endpoint *ep, union msgc_hot *arg, struct msgc_awaited *want);
long msgc_call_look(struct msgc_endpoint *ep, struct msgc_awaited *want, int why);
long msgc_cancel(struct msgc_endpoint *ep, union msgc_hot *arg);
long msgc_recv(struct msgc_endpoint *ep, union msgc_hot *arg);
long msgc_recv_begin(struct msgc_endpoint *ep, union msgc_hot *arg, struct msgc_awaited *want);
long msgc_recv_look(struct msgc_endpoint *ep, struct msgc_awaited *want, int why);
long msgc_reply(struct msgc_endpoint *ep, union msgc_hot *arg);
long msgc_reply_recv(struct msgc_endpoint *ep, union msgc_hot *arg);
long msgc_reply_recv_begin(struct msgc_endpoint *ep, union msgc_hot *arg,
			   struct msgc_awaited *want);
#define msgc_reply_recv_look msgc_recv_look

/* ---- command.c, uring.c: the commands of an endpoint fd, by ioctl and by io_uring ---- */
long msgc_command(struct msgc_endpoint *ep, unsigned int cmd, void __user *uarg);
int msgc_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);
void msgc_parking_init(struct msgc_parking *lot);
void msgc_parked_wake(struct msgc_endpoint *ep);

/* ---- held.c: who holds what ---- */
bool msgc_held_next(struct msgc_channel *ch, u64 *cursor, bool all, struct msgc_wait_row *row);

/* ---- info.c: LIST, INFO, PEERS, fdinfo ---- */
int msgc_list(struct msgc_registry *reg, void __user *arg);
int msgc_info(struct msgc_channel *ch, u32 rights, void __user *arg);
int msgc_peers(struct msgc_channel *ch, void __user *arg);
void msgc_show_channel(struct seq_file *m, struct msgc_channel *ch, u32 rights);
void msgc_show_endpoint(struct seq_file *m, struct msgc_endpoint *ep);

/* ---- main.c ---- */
extern struct workqueue_struct *msgc_wq;
extern struct page *msgc_zero_page;		/* what revoked strides show to readers */
int msgc_copy_in(void *to, size_t known, size_t first, const void __user *from);

#endif
