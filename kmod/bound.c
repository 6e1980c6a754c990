// SPDX-License-Identifier: GPL-2.0-only
/*
 * bound.c - threads that alone serve a channel (BOUND), and the call that would wait for itself.
 *
 * A channel with one live server endpoint, attached BOUND, points to the thread that attached it:
 * nobody else takes its calls or answers them. Such a thread points to the call for whose outcome
 * it sleeps. So who waits for whom is one path, and EDEADLK is for the call with which it would
 * come back to where it began:
 *
 *	thread --call--> slot -> its channel --bound--> thread --call--> ...
 *
 * Only a thread to which a path leads can close a cycle: other callers are asked nothing but
 * whether they are in the table. chain_lock makes all paths stand still; what is on one that leads
 * to the caller can end by a deadline, a signal, CANCEL, a death, or another server's coming, but
 * not by an answer from anybody who is there.
 */
#include <linux/hashtable.h>
#include <linux/pid.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "txn.h"

#define DEPTH	16		/* threads that a path is followed over */

struct msgc_bound {
	struct hlist_node node;		/* in threads */
	struct rcu_head rcu;
	refcount_t ref;			/* its endpoints, and the call that it waits for */
	struct pid *pid;		/* of the thread */
	const struct msgc_txn *call;	/* chain_lock */
};

/* By pid; entries whose last reference went are as good as gone. Read under RCU. */
static DEFINE_HASHTABLE(threads, 10);
/* Writing to `threads`; every msgc_bound's `call`; every channel's `bound`; nr_threads. */
static DEFINE_SPINLOCK(chain_lock);
/* In the table. Read without the lock by threads that only ask for themselves. */
static unsigned int nr_threads;

/* The calling thread's. */
static struct msgc_bound *bound_get(void)
{
	struct pid *pid = task_pid(current);
	struct msgc_bound *b;

	if (!READ_ONCE(nr_threads))
		return NULL;
	rcu_read_lock();
	hash_for_each_possible_rcu(threads, b, node, (unsigned long)pid)
		if (b->pid == pid && refcount_inc_not_zero(&b->ref))
			break;
	rcu_read_unlock();
	return b;
}

static void bound_put(struct msgc_bound *b)
{
	if (!refcount_dec_and_test(&b->ref))
		return;
	spin_lock(&chain_lock);
	hash_del_rcu(&b->node);
	WRITE_ONCE(nr_threads, nr_threads - 1);
	spin_unlock(&chain_lock);
	put_pid(b->pid);
	kfree_rcu(b, rcu);
}

/* A new BOUND server is the calling thread's. */
int msgc_bound_attach(struct msgc_endpoint *ep)
{
	struct msgc_bound *b = bound_get();

	if (!b) {
		b = kzalloc(sizeof(*b), GFP_KERNEL_ACCOUNT);
		if (!b)
			return -ENOMEM;
		refcount_set(&b->ref, 1);
		b->pid = get_pid(task_pid(current));
		spin_lock(&chain_lock);
		hash_add_rcu(threads, &b->node, (unsigned long)b->pid);
		WRITE_ONCE(nr_threads, nr_threads + 1);
		spin_unlock(&chain_lock);
	}
	ep->bound = b;
	return 0;
}

void msgc_bound_free(struct msgc_endpoint *ep)
{
	if (ep->bound)
		bound_put(ep->bound);
}

bool __msgc_bound_elsewhere(const struct msgc_endpoint *ep)
{
	return ep->bound->pid != task_pid(current);
}

/* After a server came or went. The dead are still in the table, and may be counted yet. */
void msgc_bound_update(struct msgc_channel *ch)
{
	struct msgc_bound *only = NULL;
	u32 i;

	lockdep_assert_held(&ch->lock);
	for (i = 0; ch->servers == 1 && i < ch->par.max_receivers; i++) {
		const struct msgc_endpoint *ep = ch->member[i].ep;

		if (ep && ep->since && !ep->dead)
			only = ep->bound;
	}
	spin_lock(&chain_lock);
	ch->bound = only;
	spin_unlock(&chain_lock);
}

static bool leads_to(const struct msgc_txn *txn, const struct msgc_bound *me)
{
	int depth;

	for (depth = 0; txn && depth < DEPTH; depth++) {
		const struct msgc_bound *b = txn->client->ch->bound;

		if (b == me)
			return true;
		txn = b ? b->call : NULL;
	}
	return false;
}

/* The calling thread is about to sleep for the outcome of this call. */
int msgc_bound_wait(struct msgc_txn *txn)
{
	struct msgc_bound *me;
	bool cycle;

	lockdep_assert_held(&txn->client->ch->lock);
	me = bound_get();
	if (!me)
		return 0;
	spin_lock(&chain_lock);
	cycle = leads_to(txn, me);
	if (!cycle)
		me->call = txn;
	spin_unlock(&chain_lock);
	if (cycle) {
		bound_put(me);
		return -EDEADLK;
	}
	txn->bound = me;
	return 0;
}

/* It has an outcome, or its thread waits no longer. */
void msgc_bound_done(struct msgc_txn *txn)
{
	struct msgc_bound *b = txn->bound;

	lockdep_assert_held(&txn->client->ch->lock);
	if (!b)
		return;
	txn->bound = NULL;
	spin_lock(&chain_lock);
	b->call = NULL;
	spin_unlock(&chain_lock);
	bound_put(b);
}
