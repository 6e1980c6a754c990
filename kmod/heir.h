/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * heir.h - threads that are lent priorities: between heir.c, which has the scheduler make them
 * so urgent, and inherit.c, which says what they are lent.
 */
#ifndef MSGC_HEIR_H
#define MSGC_HEIR_H

#include <linux/rtmutex.h>
#include <linux/sched/prio.h>

#include "txn.h"

struct msgc_tally {			/* how many lend so much */
	u32 nr[MAX_RT_PRIO];
	DECLARE_BITMAP(there, MAX_RT_PRIO);	/* where that is not 0; and bit 0 */
};

struct msgc_heir {
	struct hlist_node node;		/* in heirs */
	struct rcu_head rcu;
	refcount_t ref;			/* held calls, RECV, a server endpoint, `kept`, `todo` */
	struct task_struct *task;	/* referenced; may be dead */
	struct msgc_payers *payers;	/* for what a dead one occupies */

	/* in the `waiting` of the one channel where it is in RECV: that one's lock */
	struct list_head waits;
	struct msgc_loan lent;		/* by the queue of that channel */

	/* msgc_heirs_lock; the bytes are also read without it */
	struct msgc_tally loans, further;
	u8 wanted;			/* the greatest loan */
	u8 may_pass;			/* the greatest that may be lent further */
	struct list_head todo;
	struct msgc_txn *call;		/* that it sleeps for, and passes on to; see pass_on() */
	u32 passing;			/* counts: a sleep begins, what it passes on is looked at */
	u8 passed;			/* to `call`, and that channel was seen to since */

	/* one at a time asks the scheduler; it lends its priority to who has it, as we do */
	struct rt_mutex lock;
	u8 applied;			/* the `wanted` that was seen to, or UNSURE; likewise */
	u8 boost;			/* what we gave it; 0: it is its own; likewise */
	bool hands_off;			/* others changed it */
	bool refused;			/* by the scheduler, which is asked again */
	bool kept;			/* it has a boost, or is to have one: that is a reference */
	bool own_reset;			/* reset on fork; this and below: while boosted */
	u8 own_prio;			/* likewise */
	unsigned int own_policy;
	u64 own_slack;
};

/* Writing to the table of heirs; what is to be done; of each heir, what its comment says. */
extern spinlock_t msgc_heirs_lock;

struct msgc_heir *msgc_heir_get(const struct task_struct *task);
struct msgc_heir *msgc_heir_new(struct msgc_payers *payers);
void msgc_heir_put(struct msgc_heir *h);

/* What one reason lends; under the lock of that channel. */
void msgc_heir_lend(struct msgc_heir *h, struct msgc_loan *lent, struct msgc_loan loan, bool mine);
void msgc_heir_later(struct msgc_heir *h);

/* without spinlocks */
void msgc_heir_apply(struct msgc_heir *h);
void msgc_heir_see_to(struct msgc_heir *h);	/* inherit.c: what it passes on, too */

static inline bool msgc_heir_settled(const struct msgc_heir *h)
{
	/* Pairs with the release in msgc_heir_apply(): then `boost` is what came of it. */
	return smp_load_acquire(&h->applied) == READ_ONCE(h->wanted);
}

/* What a call that it sleeps for is to have of what it is lent. */
static inline u8 msgc_heir_passes(const struct msgc_heir *h)
{
	return min(READ_ONCE(h->boost), READ_ONCE(h->may_pass));
}

static inline bool msgc_heir_has_passed(const struct msgc_heir *h)
{
	return !READ_ONCE(h->call) || READ_ONCE(h->passed) == msgc_heir_passes(h);
}

#endif
