// SPDX-License-Identifier: GPL-2.0-only
/*
 * info.c - what can be seen from outside: LIST, INFO, PEERS and fdinfo. Identities are
 * translated to the reader's namespaces.
 *
 * Rows are made under a lock and copied without one; a reader's page fault holds up nobody.
 * Figures that stand in an endpoint's own page (hiwat, drops, waits; missed) are its claim, and
 * the header says so.
 */
#include <linux/cred.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/pid_namespace.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "core.h"

static s32 pid_for_reader(struct pid *pid)
{
	return pid_nr_ns(pid, task_active_pid_ns(current));
}

/* ---- a channel ---- */

static u64 ring_size(const struct msgc_endpoint *sender)
{
	return msgc_region_bytes(&sender->data);
}

static u64 depth_of(struct msgc_endpoint *sender)
{
	u64 head = msgc_ring_head(sender), tail = msgc_ring_tail(sender);

	return tail - head <= ring_size(sender) ? tail - head : 0;
}

static const struct msgc_control *claims_of(const struct msgc_endpoint *sender)
{
	return msgc_region_at(&sender->own, MSGC_CONTROL_AT(sender->number));
}

static void add_sender(struct msgc_info *info, struct msgc_endpoint *sender)
{
	const struct msgc_control *claims = claims_of(sender);

	info->depth += depth_of(sender);
	info->capacity += ring_size(sender);
	info->hiwat = max(info->hiwat, READ_ONCE(claims->hiwat));
	info->lost += READ_ONCE(claims->drops);
	info->waiting += !sender->dead && sender->line->space_at;
}

static u64 missed_by(const struct msgc_endpoint *receiver)
{
	const struct msgc_own *claims = msgc_region_at(&receiver->own, 0);

	return READ_ONCE(claims->missed);
}

/* 64 members from @i on: a sender's head is the smallest of up to 64. */
static void add_some(struct msgc_info *info, struct msgc_channel *ch, u32 i)
{
	u32 end = min(i + 64, ch->nr_members);

	spin_lock(&ch->lock);
	for (; i < end; i++) {
		struct msgc_endpoint *ep = ch->member[i].ep;

		if (!ep || !ep->since)
			continue;
		if (msgc_is_sender(ep))
			add_sender(info, ep);
		else
			info->missed += missed_by(ep);
	}
	msgc_ring_unlock(ch);
}

/* The sums over the rings are no picture of one moment: their senders write on in any case. */
static void add_rings(struct msgc_info *info, struct msgc_channel *ch)
{
	u32 i;

	for (i = 0; i < ch->nr_members; i += 64) {
		add_some(info, ch, i);
		cond_resched();
	}
}

/* channel->lock held. */
static void fill_figures(struct msgc_info *info, struct msgc_channel *ch)
{
	u32 i;

	msgc_claims_collect(ch);
	for (i = 0; i < ch->nr_members; i++) {
		const struct msgc_endpoint *ep = ch->member[i].ep;

		if (!ep || !ep->since)
			continue;
		info->senders += msgc_is_sender(ep) && !ep->dead;
		info->receivers += !msgc_is_sender(ep) && !ep->dead;
	}
	if (!msgc_is_ring(ch)) {
		info->depth = ch->queued;
		info->waiting = ch->queued;
		info->capacity = (u64)info->senders * ch->par.slots;
	}
	info->skipped = ch->skipped;
	info->redelivered = ch->redelivered;
	info->kicks = ch->kicks;
}

static void fill_identity(struct msgc_info *info, const struct msgc_channel *ch)
{
	struct user_namespace *ns = current_user_ns();

	info->size = sizeof(*info);
	info->id = ch->id;
	info->flags = ch->par.flags;
	info->mode = ch->par.mode;
	info->delivery = ch->par.delivery;
	info->created_ns = msgc_deadline_to_user(ch->created_ns);
	info->uid = from_kuid_munged(ns, ch->uid);
	info->gid = from_kgid_munged(ns, ch->gid);
	info->perm = ch->par.perm;
	info->creator = pid_for_reader(ch->creator);
	memcpy(info->comm, ch->comm, sizeof(info->comm));
}

static void fill_parameters(struct msgc_info *info, const struct msgc_channel *ch)
{
	info->max_senders = ch->par.max_senders;
	info->max_receivers = ch->par.max_receivers;
	info->slots = ch->par.slots;
	info->max_attempts = ch->par.max_attempts;
	info->ring_max = ch->par.ring_max;
	info->request = ch->par.request;
	info->reply = ch->par.reply;
	info->spin_ns = ch->par.spin_ns;
}

/* `may`: figures too. */
static void fill_info(struct msgc_info *info, struct msgc_channel *ch, bool may)
{
	memset(info, 0, sizeof(*info));
	mutex_lock(&ch->registry->lock);
	memcpy(info->name, ch->name, sizeof(info->name));
	mutex_unlock(&ch->registry->lock);
	fill_identity(info, ch);
	if (!may)
		return;
	fill_parameters(info, ch);
	spin_lock(&ch->lock);
	fill_figures(info, ch);
	msgc_ring_unlock(ch);
	if (msgc_is_ring(ch))
		add_rings(info, ch);
}

int msgc_info(struct msgc_channel *ch, u32 rights, void __user *arg)
{
	struct msgc_info info;
	u32 size;

	if (get_user(size, (u32 __user *)arg))
		return -EFAULT;
	if (size < sizeof(info))
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	fill_info(&info, ch, true);
	info.rights = rights;
	if (copy_to_user(arg, &info, sizeof(info)))
		return -EFAULT;
	/* A later, longer struct: what this kernel does not know is 0. */
	if (clear_user(arg + sizeof(info), size - sizeof(info)))
		return -EFAULT;
	return 0;
}

/* ---- rows ---- */

/* `kinds`: a bit for each. */
static int copy_rows_in(struct msgc_rows *rows, const void __user *arg, u32 kinds)
{
	int err = msgc_copy_in(rows, sizeof(*rows), sizeof(*rows), arg);

	if (err)
		return err;
	if (rows->kind > MSGC_ROW_WAIT)
		return -EOPNOTSUPP;
	if (!(kinds & BIT(rows->kind)))
		return -EINVAL;
	return rows->row_size < 1 || rows->row_size > PAGE_SIZE ? -EINVAL : 0;
}

/* Row n, cut or filled with zeros to the size that the caller knows. */
static int copy_row_out(const struct msgc_rows *rows, u32 n, const void *row, size_t size)
{
	char __user *to = (char __user *)u64_to_user_ptr(rows->buf) + (size_t)n * rows->row_size;
	size_t known = min_t(size_t, size, rows->row_size);

	if (copy_to_user(to, row, known) || clear_user(to + known, rows->row_size - known))
		return -EFAULT;
	return 0;
}

static int copy_rows_out(const struct msgc_rows *rows, void __user *arg, u32 n)
{
	struct msgc_rows __user *to = arg;

	return put_user(rows->cursor, &to->cursor) ? -EFAULT : n;
}

/* The cursor is the id of the last channel returned. */
int msgc_list(struct msgc_registry *reg, void __user *arg)
{
	struct msgc_channel *ch;
	struct msgc_rows rows;
	struct msgc_info info;
	u32 n;
	int err;

	err = copy_rows_in(&rows, arg, BIT(MSGC_ROW_CHANNEL));
	for (n = 0; !err && n < min_t(u32, rows.max, INT_MAX); n++) {
		ch = msgc_channel_next(reg, rows.cursor);
		if (!ch)
			break;
		fill_info(&info, ch, msgc_channel_may_look(ch));
		err = copy_row_out(&rows, n, &info, sizeof(info));
		rows.cursor = info.id;
		msgc_channel_put(ch);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return err ?: copy_rows_out(&rows, arg, n);
}

static void fill_sender(struct msgc_peer *row, struct msgc_endpoint *ep)
{
	const struct msgc_control *claims = claims_of(ep);
	struct msgc_endpoint *laggard = msgc_ring_laggard(ep);

	row->ring = ring_size(ep);
	row->tail = msgc_ring_tail(ep);
	row->head = msgc_ring_head(ep);
	row->hiwat = READ_ONCE(claims->hiwat);
	row->lost = READ_ONCE(claims->drops);
	row->waits = READ_ONCE(claims->waits);
	row->refused = hweight64(ep->refused);
	row->laggard = laggard ? laggard->id : 0;
}

/* channel->lock held. */
static void fill_peer(struct msgc_peer *row, struct msgc_endpoint *ep)
{
	memset(row, 0, sizeof(*row));
	row->id = ep->id;
	row->role = ep->role;
	row->state = ep->line->state;
	row->flags = ep->flags;
	row->kicks = atomic64_read(&ep->kicks);
	row->needless = atomic64_read(&ep->needless);
	row->since_ns = ep->since_ns;
	row->held = ep->claimer ? msgc_claims_held(ep) : ep->taken;
	memcpy(row->comm, ep->comm, sizeof(row->comm));
	if (!msgc_is_ring(ep->ch))
		return;
	if (msgc_is_sender(ep)) {
		fill_sender(row, ep);
	} else {
		row->held_bytes = msgc_ring_held(ep);
		row->lost = missed_by(ep);
	}
}

/* The member at or after `index`; false: none. */
static bool next_peer(struct msgc_channel *ch, u64 *index, struct msgc_peer *row)
{
	struct msgc_endpoint *ep = NULL;

	spin_lock(&ch->lock);
	while (!ep && *index < ch->nr_members) {
		ep = ch->member[(*index)++].ep;
		if (ep && !ep->since)
			ep = NULL;
	}
	if (ep) {
		msgc_claims_collect(ch);
		fill_peer(row, ep);
		kref_get(&ep->ref);
	}
	msgc_ring_unlock(ch);
	if (!ep)
		return false;
	row->pid = pid_for_reader(ep->pid);
	row->uid = from_kuid_munged(current_user_ns(), ep->uid);
	row->gid = from_kgid_munged(current_user_ns(), ep->gid);
	row->since_ns = msgc_deadline_to_user(row->since_ns);
	msgc_endpoint_put(ep);
	return true;
}

/* The cursor is the next index. */
static int endpoint_rows(struct msgc_channel *ch, struct msgc_rows *rows, u32 *n)
{
	struct msgc_peer row;
	int err = 0;

	while (!err && *n < rows->max && next_peer(ch, &rows->cursor, &row))
		err = copy_row_out(rows, (*n)++, &row, sizeof(row));
	return err;
}

static int wait_rows(struct msgc_channel *ch, struct msgc_rows *rows, u32 *n)
{
	bool all = msgc_channel_may_pry(ch);
	struct msgc_wait_row row;
	int err = 0;

	while (!err && *n < rows->max && msgc_held_next(ch, &rows->cursor, all, &row))
		err = copy_row_out(rows, (*n)++, &row, sizeof(row));
	return err;
}

int msgc_peers(struct msgc_channel *ch, void __user *arg)
{
	struct msgc_rows rows;
	u32 n = 0;
	int err;

	err = copy_rows_in(&rows, arg, BIT(MSGC_ROW_ENDPOINT) | BIT(MSGC_ROW_WAIT));
	if (err)
		return err;
	if (rows.kind == MSGC_ROW_ENDPOINT)
		err = endpoint_rows(ch, &rows, &n);
	else
		err = wait_rows(ch, &rows, &n);
	return err ?: copy_rows_out(&rows, arg, n);
}

/* ---- fdinfo ---- */

void msgc_show_channel(struct seq_file *m, struct msgc_channel *ch, u32 rights)
{
	mutex_lock(&ch->registry->lock);
	seq_printf(m, "channel:\t%llu %s\n", ch->id, ch->name);
	mutex_unlock(&ch->registry->lock);
	seq_printf(m, "mode:\t%s\n", msgc_is_ring(ch) ? "ring" : "rendezvous");
	seq_printf(m, "rights:\t%s%s\n", rights & MSGC_READ ? "r" : "-",
		   rights & MSGC_WRITE ? "w" : "-");
}

void msgc_show_endpoint(struct seq_file *m, struct msgc_endpoint *ep)
{
	msgc_show_channel(m, ep->ch, msgc_is_sender(ep) ? MSGC_WRITE : MSGC_READ);
	seq_printf(m, "endpoint:\t%#x %s%s\n", ep->id, msgc_is_sender(ep) ? "sender" : "receiver",
		   READ_ONCE(ep->dead) ? " dead" : "");
	seq_printf(m, "owner:\t%d\n", pid_for_reader(ep->pid));
	seq_printf(m, "bytes:\t%llu\n", ep->charged);
	seq_printf(m, "kicks:\t%lld\nneedless:\t%lld\n", atomic64_read(&ep->kicks),
		   atomic64_read(&ep->needless));
	seq_printf(m, "looks:\t%lld\n", atomic64_read(&ep->looks));
}
