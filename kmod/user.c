// SPDX-License-Identifier: GPL-2.0-only
/*
 * user.c - quotas: what each user may have of bytes, channels, endpoints and files in flight.
 *
 * Counted by the real kuid of whoever creates or attaches and, for ids of user namespaces, by
 * the owner of each namespace up to the initial one: otherwise a user would have as many quotas
 * as he can map ids.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/hashtable.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include "core.h"

struct msgc_user {
	struct hlist_node node;
	kuid_t uid;
	unsigned int refs;		/* payers that name it */
	u64 used[MSGC_RESOURCES];
};

static DEFINE_HASHTABLE(users, 6);
static DEFINE_SPINLOCK(users_lock);	/* the table, and refs and used of each user */

static unsigned long max_bytes_per_user;
module_param(max_bytes_per_user, ulong, 0644);
MODULE_PARM_DESC(max_bytes_per_user, "bytes of regions and status areas a user may hold (0: an eighth of RAM)");
static unsigned int max_channels_per_user = 1024;
module_param(max_channels_per_user, uint, 0644);
MODULE_PARM_DESC(max_channels_per_user, "channels a user may have created");
static unsigned int max_endpoints_per_user = 4096;
module_param(max_endpoints_per_user, uint, 0644);
MODULE_PARM_DESC(max_endpoints_per_user, "endpoints a user may have attached, undrained dead ones included");

static u64 limit_of(enum msgc_resource what)
{
	unsigned long bytes = READ_ONCE(max_bytes_per_user);

	switch (what) {
	case MSGC_BYTES:
		return bytes ?: (u64)(totalram_pages() / 8) << PAGE_SHIFT;
	case MSGC_CHANNELS:
		return READ_ONCE(max_channels_per_user);
	default:
		return READ_ONCE(max_endpoints_per_user);
	}
}

static struct msgc_user *user_find_locked(kuid_t uid)
{
	struct msgc_user *user;

	hash_for_each_possible(users, user, node, __kuid_val(uid))
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

static struct msgc_user *user_get(kuid_t uid)
{
	struct msgc_user *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	struct msgc_user *user;

	spin_lock(&users_lock);
	user = user_find_locked(uid);
	if (!user && fresh) {
		user = fresh;
		fresh = NULL;
		user->uid = uid;
		hash_add(users, &user->node, __kuid_val(uid));
	}
	if (user)
		user->refs++;
	spin_unlock(&users_lock);
	kfree(fresh);
	return user;
}

static void user_put(struct msgc_user *user)
{
	bool last;

	spin_lock(&users_lock);
	last = !--user->refs;
	if (last)
		hash_del(&user->node);
	spin_unlock(&users_lock);
	if (last)
		kfree(user);
}

static int payers_add(struct msgc_payers *payers, kuid_t uid)
{
	struct msgc_user *user;

	if (msgc_payers_have(payers, uid))
		return 0;
	user = user_get(uid);
	if (!user)
		return -ENOMEM;
	payers->user[payers->nr++] = user;
	return 0;
}

/* The real uid of the caller, then the owners of its user namespace and of that one's ancestors. */
struct msgc_payers *msgc_payers_of_current(void)
{
	struct user_namespace *ns = current_user_ns();
	struct msgc_payers *payers;
	unsigned int depth = ns->level + 1;
	int err;

	payers = kzalloc(struct_size(payers, user, depth), GFP_KERNEL_ACCOUNT);
	if (!payers)
		return ERR_PTR(-ENOMEM);
	refcount_set(&payers->ref, 1);

	err = payers_add(payers, current_uid());
	for (; !err && ns->parent; ns = ns->parent)
		err = payers_add(payers, ns->owner);
	if (err) {
		msgc_payers_put(payers);
		return ERR_PTR(err);
	}
	return payers;
}

struct msgc_payers *msgc_payers_get(struct msgc_payers *payers)
{
	refcount_inc(&payers->ref);
	return payers;
}

void msgc_payers_put(struct msgc_payers *payers)
{
	if (!payers || !refcount_dec_and_test(&payers->ref))
		return;
	while (payers->nr)
		user_put(payers->user[--payers->nr]);
	kfree(payers);
}

bool msgc_payers_have(const struct msgc_payers *payers, kuid_t uid)
{
	unsigned int i;

	for (i = 0; i < payers->nr; i++)
		if (uid_eq(payers->user[i]->uid, uid))
			return true;
	return false;
}

kuid_t msgc_payer_uid(const struct msgc_payers *payers, unsigned int i)
{
	return payers->user[i]->uid;
}

/*
 * Of files only the first pays, as with AF_UNIX: the limit is each process's own, and one namespace
 * could use up the other's.
 */
static unsigned int nr_charged(const struct msgc_payers *payers, enum msgc_resource what)
{
	return what == MSGC_FILES ? 1 : payers->nr;
}

/* All or nothing: -EDQUOT if one of them has too much already. */
static int charge(struct msgc_payers *payers, enum msgc_resource what, u64 n, u64 limit)
{
	unsigned int i, nr = nr_charged(payers, what);
	int err = 0;

	spin_lock(&users_lock);
	for (i = 0; i < nr && !err; i++)
		if (n > limit || payers->user[i]->used[what] > limit - n)
			err = -EDQUOT;
	for (i = 0; i < nr && !err; i++)
		payers->user[i]->used[what] += n;
	spin_unlock(&users_lock);
	return err;
}

int msgc_charge(struct msgc_payers *payers, enum msgc_resource what, u64 n)
{
	return charge(payers, what, n, limit_of(what));
}

/* As of AF_UNIX: so many as the caller may have open, unless it has a capability. */
int msgc_charge_files(struct msgc_payers *payers, u64 n)
{
	int err = charge(payers, MSGC_FILES, n, rlimit(RLIMIT_NOFILE));

	if (err && (capable(CAP_SYS_RESOURCE) || capable(CAP_SYS_ADMIN)))
		err = charge(payers, MSGC_FILES, n, U64_MAX);
	return err ? -ETOOMANYREFS : 0;
}

void msgc_uncharge(struct msgc_payers *payers, enum msgc_resource what, u64 n)
{
	unsigned int i;

	spin_lock(&users_lock);
	for (i = 0; i < nr_charged(payers, what); i++)
		payers->user[i]->used[what] -= n;
	spin_unlock(&users_lock);
}
