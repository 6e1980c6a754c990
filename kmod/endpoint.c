// SPDX-License-Identifier: GPL-2.0-only
/*
 * endpoint.c - one attached sender or receiver (client or server): ATTACH, and the endpoint fd
 * with its commands.
 */
#include <linux/anon_inodes.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/pid.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "core.h"

#define PAY_DEFAULT	SZ_64M		/* the most a client pays for its slots unless it says so */
#define HELD_DEFAULT	16
#define FREED_COUNTS_NS	(100 * NSEC_PER_MSEC)

/* ---- what it asks for ---- */

static int check_ring_size(const struct msgc_channel *ch, struct msgc_attach *want)
{
	if (want->ring > ch->par.ring_max)
		return -EINVAL;
	want->ring = want->ring ?: min_t(u64, SZ_1M, ch->par.ring_max);
	want->ring = max_t(u64, roundup_pow_of_two(want->ring), PAGE_SIZE);
	return 0;
}

static bool sender_flags_fit(const struct msgc_channel *ch, u32 flags)
{
	return !(flags & ~(msgc_is_ring(ch) ? 0 : MSGC_TAKES_FILES));
}

/* Of a receiver; server or not. */
static bool flags_fit(const struct msgc_channel *ch, u32 flags)
{
	if (!msgc_is_ring(ch))
		return !(flags & ~(MSGC_STAY | MSGC_BOUND | MSGC_TAKES_FILES));
	if (flags & (MSGC_BOUND | MSGC_TAKES_FILES))
		return false;
	if (flags & MSGC_AS_STANDBY)
		return ch->par.delivery == MSGC_EXCLUSIVE && !(flags & MSGC_UNTETHERED);
	return (flags & MSGC_UNTETHERED) || !(ch->par.flags & MSGC_UNTETHERED_ONLY);
}

/* Servers and balanced receivers have entries. */
static int check_held(const struct msgc_channel *ch, struct msgc_attach *want)
{
	u32 most = 0, usual = 0;

	if (want->role == MSGC_RECEIVER && !msgc_is_ring(ch)) {
		most = MSGC_HELD;
		usual = HELD_DEFAULT;
	} else if (want->role == MSGC_RECEIVER && ch->par.delivery == MSGC_BALANCED &&
		   !(want->flags & MSGC_UNTETHERED)) {
		most = MSGC_CLAIMS;
		usual = MSGC_CLAIMS;
	}
	if (want->held > most)
		return -EINVAL;
	want->held = want->held ?: usual;
	return 0;
}

static int check_attach(const struct msgc_channel *ch, u32 rights, struct msgc_attach *want)
{
	bool sends = want->role == MSGC_SENDER;
	int err;

	if (want->flags &
	    ~(MSGC_OLDEST | MSGC_UNTETHERED | MSGC_AS_STANDBY | MSGC_BOUND | MSGC_STAY |
	      MSGC_TAKES_FILES))
		return -EOPNOTSUPP;
	if (want->role != MSGC_SENDER && want->role != MSGC_RECEIVER)
		return want->role ? -EOPNOTSUPP : -EINVAL;
	if (!(rights & (sends ? MSGC_WRITE : MSGC_READ)))
		return -EACCES;
	if (!sends && want->ring)
		return -EINVAL;
	if (!(sends ? sender_flags_fit(ch, want->flags) : flags_fit(ch, want->flags)))
		return -EINVAL;
	err = check_held(ch, want);
	if (err)
		return err;
	return sends && msgc_is_ring(ch) ? check_ring_size(ch, want) : 0;
}

/* ---- its areas: the table in the UAPI header ---- */

static void set_area(struct msgc_endpoint *ep, unsigned int k, u64 size, u64 stride)
{
	ep->area[k] = (struct msgc_area){
		.offset = size ? (u64)k << MSGC_AREA_SHIFT : 0, .size = size, .stride = stride,
	};
}

static u64 receiver_own_bytes(const struct msgc_create *par)
{
	return PAGE_ALIGN(sizeof(struct msgc_slots) + par->max_senders * sizeof(struct msgc_slot));
}

/* A balanced receiver's inbox; others have none. */
static u64 claims_bytes(u32 held)
{
	return held ? PAGE_ALIGN(sizeof(struct msgc_claims) + held * sizeof(struct msgc_entry)) : 0;
}

static void set_ring_areas(struct msgc_endpoint *ep, u64 ring, u32 held)
{
	const struct msgc_create *par = &ep->ch->par;

	if (msgc_is_sender(ep)) {
		set_area(ep, MSGC_OWN, PAGE_SIZE, 0);
		set_area(ep, MSGC_DATA, 2 * ring, 0);
		set_area(ep, MSGC_PEER, receiver_own_bytes(par) * par->max_receivers,
			 receiver_own_bytes(par));
	} else {
		set_area(ep, MSGC_OWN, receiver_own_bytes(par), 0);
		set_area(ep, MSGC_INBOX, claims_bytes(held), 0);
		set_area(ep, MSGC_DATA, 2 * par->ring_max * par->max_senders, 2 * par->ring_max);
		set_area(ep, MSGC_PEER, PAGE_SIZE * par->max_senders, PAGE_SIZE);
	}
}

static void set_call_areas(struct msgc_endpoint *ep, u32 held)
{
	const struct msgc_create *par = &ep->ch->par;
	u64 requests = par->slots * par->request, replies = par->slots * par->reply;

	if (msgc_is_sender(ep)) {
		set_area(ep, MSGC_OWN,
			 PAGE_ALIGN(sizeof(struct msgc_own) +
				    par->slots * sizeof(struct msgc_request)),
			 0);
		set_area(ep, MSGC_INBOX, PAGE_ALIGN(par->slots * sizeof(struct msgc_done)), 0);
		set_area(ep, MSGC_DATA, requests, 0);
		set_area(ep, MSGC_PEER, replies, 0);
	} else {
		set_area(ep, MSGC_OWN,
			 PAGE_ALIGN(sizeof(struct msgc_own) + held * sizeof(struct msgc_answer)),
			 0);
		set_area(ep, MSGC_INBOX, PAGE_ALIGN(held * sizeof(struct msgc_held)), 0);
		set_area(ep, MSGC_DATA, requests * par->max_senders, requests);
		set_area(ep, MSGC_PEER, replies * par->max_senders, replies);
	}
}

/* ---- the object ---- */

static void endpoint_free(struct kref *ref)
{
	struct msgc_endpoint *ep = container_of(ref, struct msgc_endpoint, ref);

	WARN_ON_ONCE(atomic_read(&ep->parking.nr));
	msgc_claims_free(ep);
	msgc_call_free(ep);
	msgc_region_free(&ep->own);
	msgc_region_free(&ep->inbox);
	msgc_region_free(&ep->data);
	msgc_region_free(&ep->peer);
	if (ep->scratch)
		put_page(ep->scratch);
	if (ep->payers) {
		msgc_uncharge(ep->payers, MSGC_BYTES, ep->charged);
		msgc_uncharge(ep->payers, MSGC_ENDPOINTS, 1);
		msgc_payers_put(ep->payers);
	}
	put_pid(ep->pid);
	msgc_channel_put(ep->ch);
	kfree(ep);
}

void msgc_endpoint_put(struct msgc_endpoint *ep)
{
	kref_put(&ep->ref, endpoint_free);
}

static struct msgc_endpoint *endpoint_new(struct msgc_channel *ch, const struct msgc_attach *want)
{
	struct msgc_endpoint *ep = kzalloc(sizeof(*ep), GFP_KERNEL_ACCOUNT);

	if (!ep)
		return NULL;
	kref_init(&ep->ref);
	kref_get(&ch->ref);
	ep->ch = ch;
	ep->role = want->role;
	ep->flags = want->flags;
	ep->nr_holds = want->held;
	ep->pid = get_pid(task_tgid(current));
	current_euid_egid(&ep->uid, &ep->gid);
	get_task_comm(ep->comm, current);
	address_space_init_once(&ep->mapping);
	init_rwsem(&ep->map_lock);
	init_completion(&ep->settled);
	INIT_LIST_HEAD(&ep->open);
	init_waitqueue_head(&ep->wait);
	msgc_parking_init(&ep->parking);
	spin_lock_init(&ep->timer_lock);
	ep->timer_at = U64_MAX;
	msgc_hrtimer_setup(&ep->timer, msgc_timer_fired, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_SOFT);
	set_area(ep, MSGC_STATUS, msgc_region_bytes(&ch->status), 0);
	if (msgc_is_ring(ch))
		set_ring_areas(ep, want->ring, want->held);
	else
		set_call_areas(ep, want->held);
	return ep;
}

/*
 * Whoever attaches pays for what it writes, and a client for its replies; all pages are there
 * before anybody sees it.
 */
static u64 bytes_to_pay(const struct msgc_endpoint *ep, u64 *data, u64 *peer)
{
	*data = *peer = 0;
	if (msgc_is_sender(ep)) {
		*data = msgc_is_ring(ep->ch) ? ep->area[MSGC_DATA].size / 2 :
					       ep->area[MSGC_DATA].size;
		*peer = msgc_is_ring(ep->ch) ? 0 : ep->area[MSGC_PEER].size;
	}
	return ep->area[MSGC_OWN].size + ep->area[MSGC_INBOX].size + *data + *peer + PAGE_SIZE +
	       msgc_claims_bytes(ep) + msgc_spin_bytes(ep);
}

static int endpoint_charge(struct msgc_endpoint *ep, u64 bytes)
{
	struct msgc_payers *payers = msgc_payers_of_current();
	int err;

	if (IS_ERR(payers))
		return PTR_ERR(payers);
	err = msgc_charge(payers, MSGC_ENDPOINTS, 1);
	if (err)
		goto put;
	err = msgc_charge(payers, MSGC_BYTES, bytes);
	if (err)
		goto uncharge;
	ep->payers = payers;
	ep->charged = bytes;
	return 0;

uncharge:
	msgc_uncharge(payers, MSGC_ENDPOINTS, 1);
put:
	msgc_payers_put(payers);
	return err;
}

/* What is there already on an error, endpoint_free() frees. */
static int endpoint_pay(struct msgc_endpoint *ep, u64 most)
{
	u64 data, peer, bytes = bytes_to_pay(ep, &data, &peer);
	int err;

	if (most && bytes > most)
		return -EDQUOT;
	err = endpoint_charge(ep, bytes);
	if (err == -EDQUOT) {
		flush_work(&ep->ch->reap);	/* what was closed just now is given back first */
		err = endpoint_charge(ep, bytes);
	}
	if (err)
		return err;
	ep->scratch = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!ep->scratch)
		return -ENOMEM;
	err = msgc_region_alloc(&ep->own, ep->area[MSGC_OWN].size) ?:
	      msgc_region_alloc(&ep->inbox, ep->area[MSGC_INBOX].size) ?:
	      msgc_region_alloc(&ep->data, data) ?:
	      msgc_region_alloc(&ep->peer, peer);
	if (err)
		return err;
	return msgc_is_ring(ep->ch) ? msgc_claims_init(ep) : msgc_call_init(ep);
}

/* ---- an index; all under members ---- */

static bool holds_index(const struct msgc_member *m, kuid_t uid, bool lately)
{
	if (m->ep)
		return msgc_payers_have(m->ep->payers, uid);
	return lately && m->freed_by && ktime_get_ns() - m->freed_ns < FREED_COUNTS_NS &&
	       msgc_payers_have(m->freed_by, uid);
}

/*
 * Others than the channel's owner: at most half of a role's indices, rounded up, also counting
 * what they freed just now.
 */
static bool within_share(const struct msgc_endpoint *ep, u32 base, u32 max)
{
	const struct msgc_channel *ch = ep->ch;
	u32 share = (max + 1) / 2, i, u, n;

	for (u = 0; u < ep->payers->nr; u++) {
		kuid_t uid = msgc_payer_uid(ep->payers, u);

		if (uid_eq(uid, ch->uid))
			continue;
		for (i = 0, n = 0; i < max; i++)
			n += holds_index(&ch->member[base + i], uid, share < max);
		if (n >= share)
			return false;
	}
	return true;
}

/* One at a time, unless the channel was made for many. */
static bool server_there(const struct msgc_channel *ch)
{
	u32 i;

	for (i = 0; i < ch->par.max_receivers; i++) {
		const struct msgc_endpoint *other = ch->member[i].ep;

		if (other && (!other->since || other->line->state == MSGC_LIVE))
			return true;	/* or dead, and what it leaves is not settled yet */
	}
	return false;
}

/* A standby has one in any case; msgc_ring_joined() gives it the seat if that is free. */
static bool has_place(struct msgc_endpoint *ep)
{
	const struct msgc_channel *ch = ep->ch;

	if (msgc_is_sender(ep) || (ep->flags & MSGC_UNTETHERED))
		return true;
	if (!msgc_is_ring(ch))
		return (ch->par.flags & MSGC_MANY_SERVERS) || !server_there(ch);
	ep->standby = ep->flags & MSGC_AS_STANDBY;
	return ep->standby || !msgc_seat_taken(ch);
}

static int pick_index(struct msgc_endpoint *ep, u32 *index)
{
	struct msgc_channel *ch = ep->ch;
	u32 base = msgc_is_sender(ep) ? ch->par.max_receivers : 0;
	u32 max = msgc_is_sender(ep) ? ch->par.max_senders : ch->par.max_receivers;
	struct list_head *free = &ch->free[ep->role - 1];
	struct msgc_member *m;

	if (!has_place(ep))
		return -EBUSY;
	if (!within_share(ep, base, max))
		return -EDQUOT;
	m = list_first_entry_or_null(free, struct msgc_member, free);
	if (m) {
		list_del(&m->free);
		*index = m - ch->member;
		return 0;
	}
	if (ch->fresh[ep->role - 1] == max)
		return -EUSERS;
	*index = base + ch->fresh[ep->role - 1];
	return 0;
}

/*
 * From here on faults of peers find its pages; nobody looks for them before its line is
 * published. Returns 1 for a used index.
 */
static int enter_table(struct msgc_endpoint *ep)
{
	struct msgc_channel *ch = ep->ch;
	struct msgc_member *m;
	bool used = false;
	u32 index;
	int err;

	mutex_lock(&ch->members);
	err = pick_index(ep, &index);
	if (err)
		goto unlock;
	m = &ch->member[index];
	used = m->gen != 0;
	m->gen = m->gen % 0xfffff + 1;
	ep->index = index;
	ep->number = msgc_is_sender(ep) ? index - ch->par.max_receivers : index;
	ep->id = index | m->gen << 12;
	kref_get(&ep->ref);		/* the table's */
	spin_lock(&ch->lock);
	smp_store_release(&m->ep, ep);	/* pairs with the load in window_page() */
	spin_unlock(&ch->lock);
	if (!used)			/* after its pages: the first fault of a peer finds them */
		smp_store_release(&ch->fresh[ep->role - 1], ch->fresh[ep->role - 1] + 1);
unlock:
	mutex_unlock(&ch->members);
	return err ?: used;
}

/* Peers may have its pages in a fault, or mapped: as the reaper does it. */
static void leave_table(struct msgc_endpoint *ep)
{
	struct msgc_channel *ch = ep->ch;

	mutex_lock(&ch->members);
	spin_lock(&ch->lock);
	msgc_member_unlink(ep);
	if (msgc_is_ring(ch))
		msgc_ring_promote(ch);	/* who came meanwhile took this one for the receiver */
	msgc_ring_unlock(ch);
	mutex_unlock(&ch->members);
	msgc_member_vacate(ep);
}

/*
 * An index whose owner is dead and finished is free as soon as the reaper has run; until then it
 * counts for its user's share as well. Where nothing is kept for anybody, what a dead sender left
 * goes when its index is needed; of the caller's share it counts for a while yet.
 */
static int take_index(struct msgc_endpoint *ep)
{
	int err = enter_table(ep);

	if (err == -EUSERS || err == -EDQUOT) {
		flush_work(&ep->ch->reap);
		err = enter_table(ep);
	}
	if ((err == -EUSERS && msgc_make_room(ep->ch, NULL)) ||
	    (err == -EDQUOT && msgc_make_room(ep->ch, ep->payers))) {
		flush_work(&ep->ch->reap);
		err = enter_table(ep);
	}
	if (err > 0)
		msgc_zap_peer_everywhere(ep);	/* zeros may be mapped where its pages belong now */
	return min(err, 0);
}

/* It becomes a member: its line, what its mode does, the generation, a barrier. */
static void publish(struct msgc_endpoint *ep)
{
	struct msgc_channel *ch = ep->ch;

	mutex_lock(&ch->members);
	spin_lock(&ch->lock);
	ep->since = ch->st->generation + 1;
	ep->since_ns = ktime_get_ns();
	msgc_line_publish(ep);
	if (msgc_is_ring(ch))
		msgc_ring_joined(ep);
	else
		msgc_call_joined(ep);
	msgc_generation_bump(ch);
	spin_unlock(&ch->lock);
	mutex_unlock(&ch->members);
}

/* ---- ATTACH ---- */

/*
 * Takes over the reference. Its mappings are the endpoint's own, so that taking them away
 * touches nobody else's.
 */
static struct file *endpoint_file(struct msgc_endpoint *ep)
{
	struct file *file =
		anon_inode_getfile("[msgchan-endpoint]", &msgc_endpoint_fops, ep, O_RDWR);

	if (IS_ERR(file))
		return file;
	ep->mapping.host = file_inode(file);
	ep->mapping.a_ops = &empty_aops;
	file->f_mapping = &ep->mapping;
	msgc_channel_use(ep->ch);
	mutex_lock(&ep->ch->members);
	list_add_tail(&ep->open, &ep->ch->open);
	mutex_unlock(&ep->ch->members);
	return file;
}

static int copy_attach_out(const struct msgc_endpoint *ep, struct msgc_attach *want,
			   void __user *arg)
{
	const struct msgc_create *par = &ep->ch->par;

	want->size = sizeof(*want);
	if (!msgc_is_ring(ep->ch))
		want->ring = msgc_is_sender(ep) ? ep->charged : 0;
	want->id = ep->id;
	want->number = ep->number;
	want->max_senders = par->max_senders;
	want->max_receivers = par->max_receivers;
	want->slots = par->slots;
	want->pad = 0;
	memcpy(want->area, ep->area, sizeof(want->area));
	return copy_to_user(arg, want, sizeof(*want)) ? -EFAULT : 0;
}

/* fd_install() comes last: whatever fails before it undoes everything. */
static int attach_as(struct msgc_endpoint *ep, struct file *file, struct msgc_attach *want,
		     void __user *arg)
{
	int fd, err;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	err = msgc_owner_add(ep);
	if (err)
		goto put_fd;
	err = take_index(ep);
	if (err)
		goto put_fd;
	err = copy_attach_out(ep, want, arg);
	if (err)
		goto leave;
	publish(ep);
	fd_install(fd, file);
	return fd;

leave:
	leave_table(ep);
put_fd:
	put_unused_fd(fd);
	return err;
}

int msgc_endpoint_attach(struct msgc_channel *ch, u32 rights, void __user *arg)
{
	struct msgc_endpoint *ep;
	struct msgc_attach want;
	struct file *file;
	u64 most;
	int ret;

	ret = msgc_copy_in(&want, sizeof(want), sizeof(want), arg);
	if (ret)
		return ret;
	ret = check_attach(ch, rights, &want);
	if (ret)
		return ret;
	most = want.role == MSGC_SENDER && !msgc_is_ring(ch) ? want.ring ?: PAY_DEFAULT : 0;
	ep = endpoint_new(ch, &want);
	if (!ep)
		return -ENOMEM;
	ret = endpoint_pay(ep, most);
	if (ret)
		goto put;
	file = endpoint_file(ep);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		goto put;
	}
	ret = attach_as(ep, file, &want, arg);
	if (ret < 0)
		fput(file);
	return ret;
put:
	msgc_endpoint_put(ep);
	return ret;
}

/* ---- the fd ---- */

static int endpoint_flush(struct file *file, fl_owner_t id)
{
	struct msgc_endpoint *ep = file->private_data;

	if (msgc_owner_exiting(ep))
		msgc_endpoint_die(ep, MSGC_DIED);
	return 0;
}

static int endpoint_release(struct inode *inode, struct file *file)
{
	struct msgc_endpoint *ep = file->private_data;
	struct msgc_channel *ch = ep->ch;

	msgc_endpoint_die(ep, msgc_owner_dead(ep) ? MSGC_DIED : MSGC_LEFT);
	msgc_owner_remove(ep);
	mutex_lock(&ch->members);
	list_del(&ep->open);
	mutex_unlock(&ch->members);
	hrtimer_cancel(&ep->timer);
	msgc_channel_unuse(ch);
	msgc_endpoint_put(ep);
	return 0;
}

static __poll_t endpoint_poll(struct file *file, struct poll_table_struct *pt)
{
	struct msgc_endpoint *ep = file->private_data;
	u32 events;

	poll_wait(file, &ep->wait, pt);	/* 0 */
	spin_lock(&ep->ch->lock);
	msgc_arm(ep);			/* A: also when it is going to report readiness */
	smp_mb();			/* B: pairs with 2 of libipc/ring.h */
	events = msgc_events(ep);	/* C */
	msgc_ring_unlock(ep->ch);
	return (__force __poll_t)events;	/* the same bits */
}

static long endpoint_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct msgc_endpoint *ep = file->private_data;
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case MSGC_INFO:
		return msgc_info(ep->ch, msgc_is_sender(ep) ? MSGC_WRITE : MSGC_READ, uarg);
	case MSGC_PEERS:
		return msgc_peers(ep->ch, uarg);
	default:
		return msgc_command(ep, cmd, uarg);
	}
}

static void endpoint_show_fdinfo(struct seq_file *m, struct file *file)
{
	msgc_show_endpoint(m, file->private_data);
}

const struct file_operations msgc_endpoint_fops = {
	.owner = THIS_MODULE,
	.flush = endpoint_flush,
	.release = endpoint_release,
	.poll = endpoint_poll,
	.mmap = msgc_mmap,
	.unlocked_ioctl = endpoint_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.uring_cmd = msgc_uring_cmd,
	.show_fdinfo = endpoint_show_fdinfo,
};
