// SPDX-License-Identifier: GPL-2.0-only
/*
 * channel.c - a channel: created, opened by name with rights that its fd keeps, unlinked; and
 * the channel fd.
 */
#include <linux/anon_inodes.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "core.h"

#define RING_DEFAULT	SZ_1M
#define RING_MOST	SZ_1G
#define SLOT_DEFAULT	SZ_64K
#define SLOT_MOST	SZ_64M
#define WINDOW_MOST	BIT_ULL(MSGC_AREA_SHIFT)

struct msgc_channel_file {
	struct msgc_channel *ch;	/* referenced; used, if there are rights */
	u32 rights;
	u64 seen;			/* generation at the last PEERS */
};

static atomic64_t last_id;

/* ---- parameters ---- */

static int check_name(const char *name)
{
	size_t len = strnlen(name, MSGC_NAME), i;

	if (len == MSGC_NAME)
		return -EINVAL;
	for (i = 0; i < len; i++)
		if (name[i] < 0x21 || name[i] > 0x7e)
			return -EINVAL;
	return memchr_inv(name + len, 0, MSGC_NAME - len) ? -EINVAL : 0;
}

static bool window_fits(u64 stride, u32 n)
{
	return stride * n <= WINDOW_MOST;	/* stride <= 4 GiB, n <= 1024 */
}

static int check_ring(struct msgc_create *par)
{
	bool overwrites = par->flags & MSGC_UNTETHERED_ONLY;

	if (par->slots || par->request || par->reply || par->spin_ns ||
	    (par->flags & (MSGC_MANY_SERVERS | MSGC_REDELIVER | MSGC_INHERIT)))
		return -EINVAL;
	par->delivery = par->delivery ?: overwrites ? MSGC_BROADCAST : MSGC_EXCLUSIVE;
	par->max_senders = par->max_senders ?: 64;
	par->max_receivers = par->max_receivers ?: 8;
	par->ring_max = par->ring_max ?: RING_DEFAULT;
	if (par->max_senders > MSGC_SENDERS || par->max_receivers > MSGC_RECEIVERS ||
	    par->ring_max > RING_MOST || (overwrites && par->delivery != MSGC_BROADCAST))
		return -EINVAL;
	if (par->max_attempts && par->delivery != MSGC_BALANCED)
		return -EINVAL;
	if (par->delivery > MSGC_BALANCED)
		return -EOPNOTSUPP;
	par->ring_max = max_t(u64, roundup_pow_of_two(par->ring_max), PAGE_SIZE);
	return window_fits(2 * par->ring_max, par->max_senders) ? 0 : -EOVERFLOW;
}

static int check_rendezvous(struct msgc_create *par)
{
	u32 servers = par->flags & MSGC_MANY_SERVERS ? 8 : 1;

	if (par->delivery || par->ring_max || (par->flags & MSGC_UNTETHERED_ONLY) ||
	    (par->max_attempts && !(par->flags & MSGC_REDELIVER)))
		return -EINVAL;
	par->max_senders = par->max_senders ?: 64;
	par->max_receivers = par->max_receivers ?: servers;
	par->slots = par->slots ?: 4;
	par->request = par->request ?: SLOT_DEFAULT;
	par->reply = par->reply ?: SLOT_DEFAULT;
	if (par->max_senders > MSGC_SENDERS || par->max_receivers > MSGC_RECEIVERS ||
	    (servers == 1 && par->max_receivers > 1) ||
	    par->slots > MSGC_SLOTS || par->request > SLOT_MOST || par->reply > SLOT_MOST ||
	    par->spin_ns > MSGC_SPIN_NS)
		return -EINVAL;
	par->request = PAGE_ALIGN(par->request);
	par->reply = PAGE_ALIGN(par->reply);
	if (!window_fits(par->slots * max(par->request, par->reply), par->max_senders))
		return -EOVERFLOW;
	return 0;
}

static int check_create(struct msgc_create *par)
{
	if (par->flags & ~(MSGC_PERSISTENT | MSGC_UNTETHERED_ONLY | MSGC_MANY_SERVERS |
			   MSGC_REDELIVER | MSGC_INHERIT))
		return -EOPNOTSUPP;
	if (par->zero || (par->perm & ~0777) || check_name(par->name) ||
	    (!par->name[0] && (par->flags & MSGC_PERSISTENT)))
		return -EINVAL;
	if (par->max_attempts > MSGC_ATTEMPTS)	/* the counters stay there: it would never be */
		return -EINVAL;
	switch (par->mode) {
	case 0:
		return -EINVAL;
	case MSGC_RING:
		return check_ring(par);
	case MSGC_RENDEZVOUS:
		return check_rendezvous(par);
	default:
		return -EOPNOTSUPP;
	}
}

/* Who owns it: by default the caller; else by the rules of chown(2). */
static int take_owner(struct msgc_channel *ch)
{
	struct user_namespace *ns = current_user_ns();
	const struct msgc_create *par = &ch->par;

	ch->uid = par->uid == ~0U ? current_euid() : make_kuid(ns, par->uid);
	ch->gid = par->gid == ~0U ? current_egid() : make_kgid(ns, par->gid);
	if (!uid_valid(ch->uid) || !gid_valid(ch->gid))
		return -EINVAL;
	if ((!uid_eq(ch->uid, current_euid()) || !in_egroup_p(ch->gid)) &&
	    !ns_capable(ns, CAP_CHOWN))
		return -EPERM;
	return 0;
}

/* ---- rights ---- */

static bool may_override(const struct msgc_channel *ch, int cap)
{
	return kuid_has_mapping(ch->user_ns, ch->uid) && kgid_has_mapping(ch->user_ns, ch->gid) &&
	       ns_capable(ch->user_ns, cap);
}

/* As open(2): the first class that fits decides. A channel without a name counts as 0600. */
bool msgc_channel_may_open(const struct msgc_channel *ch, u32 rights)
{
	u32 perm = READ_ONCE(ch->named) ? ch->par.perm : 0600;
	u32 want = (rights & MSGC_READ ? 4 : 0) | (rights & MSGC_WRITE ? 2 : 0);

	if (uid_eq(current_euid(), ch->uid))
		perm >>= 6;
	else if (in_egroup_p(ch->gid))
		perm >>= 3;
	return (perm & want) == want || may_override(ch, CAP_DAC_OVERRIDE);
}

bool msgc_channel_may_own(const struct msgc_channel *ch)
{
	return uid_eq(current_euid(), ch->uid) || may_override(ch, CAP_FOWNER);
}

/* What threads of other users do. */
bool msgc_channel_may_pry(const struct msgc_channel *ch)
{
	return msgc_channel_may_own(ch) || may_override(ch, CAP_SYS_PTRACE);
}

bool msgc_channel_may_look(const struct msgc_channel *ch)
{
	return msgc_channel_may_own(ch) || msgc_channel_may_open(ch, MSGC_READ) ||
	       msgc_channel_may_open(ch, MSGC_WRITE);
}

/* ---- the object ---- */

static void channel_free(struct kref *ref)
{
	struct msgc_channel *ch = container_of(ref, struct msgc_channel, ref);
	u32 i;

	for (i = 0; i < ch->nr_members; i++)
		msgc_payers_put(ch->member[i].freed_by);
	msgc_uncharge(ch->payers, MSGC_BYTES, msgc_region_bytes(&ch->status));
	msgc_uncharge(ch->payers, MSGC_CHANNELS, 1);
	msgc_region_free(&ch->status);
	msgc_payers_put(ch->payers);
	put_pid(ch->creator);
	put_user_ns(ch->user_ns);
	msgc_registry_put(ch->registry);
	mutex_destroy(&ch->members);
	mutex_destroy(&ch->zapping);
	kvfree(ch);
}

void msgc_channel_put(struct msgc_channel *ch)
{
	kref_put(&ch->ref, channel_free);
}

static void channel_init(struct msgc_channel *ch, struct msgc_registry *reg,
			 const struct msgc_create *par)
{
	kref_init(&ch->ref);
	kref_get(&reg->ref);
	ch->registry = reg;
	ch->par = *par;
	ch->id = atomic64_inc_return(&last_id);
	ch->created_ns = ktime_get_ns();
	ch->nr_members = par->max_senders + par->max_receivers;
	ch->user_ns = get_user_ns(current_user_ns());
	ch->creator = get_pid(task_tgid(current));
	get_task_comm(ch->comm, current);
	strscpy(ch->name, par->name, sizeof(ch->name));
	mutex_init(&ch->members);
	mutex_init(&ch->zapping);
	spin_lock_init(&ch->lock);
	init_waitqueue_head(&ch->wait);
	INIT_LIST_HEAD(&ch->open);
	INIT_LIST_HEAD(&ch->free[0]);
	INIT_LIST_HEAD(&ch->free[1]);
	ch->queue = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&ch->claiming);
	INIT_WORK(&ch->reap, msgc_reap_work);
}

/* Charged and with its status area, or not at all. */
static int channel_pay(struct msgc_channel *ch)
{
	u64 bytes = msgc_status_bytes(&ch->par);
	int err;

	ch->payers = msgc_payers_of_current();
	if (IS_ERR(ch->payers))
		return PTR_ERR(ch->payers);
	err = msgc_charge(ch->payers, MSGC_CHANNELS, 1);
	if (err)
		goto put;
	err = msgc_charge(ch->payers, MSGC_BYTES, bytes);
	if (err)
		goto uncharge_channel;
	err = msgc_region_alloc(&ch->status, bytes);
	if (err)
		goto uncharge_bytes;
	msgc_status_init(ch);
	return 0;

uncharge_bytes:
	msgc_uncharge(ch->payers, MSGC_BYTES, bytes);
uncharge_channel:
	msgc_uncharge(ch->payers, MSGC_CHANNELS, 1);
put:
	msgc_payers_put(ch->payers);
	return err;
}

static struct msgc_channel *channel_alloc(struct msgc_registry *reg, const struct msgc_create *par)
{
	struct msgc_channel *ch;
	int err;

	ch = kvzalloc(struct_size(ch, member, par->max_senders + par->max_receivers),
		      GFP_KERNEL_ACCOUNT);
	if (!ch)
		return ERR_PTR(-ENOMEM);
	channel_init(ch, reg, par);
	err = take_owner(ch) ?: msgc_inherit_create(ch) ?: channel_pay(ch);
	if (!err)
		return ch;
	put_pid(ch->creator);
	put_user_ns(ch->user_ns);
	msgc_registry_put(reg);
	kvfree(ch);
	return ERR_PTR(err);
}

/* ---- names; all under registry->lock ---- */

static struct msgc_channel *name_find(struct msgc_registry *reg, const char *name)
{
	struct rb_node *node = reg->names.rb_node;

	while (node) {
		struct msgc_channel *ch = rb_entry(node, struct msgc_channel, node);
		int cmp = strcmp(name, ch->name);

		if (!cmp)
			return ch;
		node = cmp < 0 ? node->rb_left : node->rb_right;
	}
	return NULL;
}

static int name_insert(struct msgc_registry *reg, struct msgc_channel *ch)
{
	struct rb_node **link = &reg->names.rb_node, *parent = NULL;

	while (*link) {
		int cmp = strcmp(ch->name, rb_entry(*link, struct msgc_channel, node)->name);

		if (!cmp)
			return -EEXIST;
		parent = *link;
		link = cmp < 0 ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&ch->node, parent, link);
	rb_insert_color(&ch->node, &reg->names);
	WRITE_ONCE(ch->named, true);
	return 0;
}

static void name_remove(struct msgc_channel *ch)
{
	if (!ch->named)
		return;
	rb_erase(&ch->node, &ch->registry->names);
	WRITE_ONCE(ch->named, false);
	ch->name[0] = 0;
	msgc_registry_changed(ch->registry);
}

/*
 * Makes it visible: by id to LIST, and by name if it has one. The registry holds a reference
 * for as long as it is used.
 */
static int channel_register(struct msgc_channel *ch)
{
	struct msgc_registry *reg = ch->registry;
	int err;

	err = xa_reserve(&reg->channels, ch->id, GFP_KERNEL_ACCOUNT);	/* none under the lock */
	if (err)
		return err;
	mutex_lock(&reg->lock);
	err = reg->dead ? -ENODEV : ch->name[0] ? name_insert(reg, ch) : 0;
	if (err) {
		xa_release(&reg->channels, ch->id);
		goto unlock;
	}
	xa_store(&reg->channels, ch->id, ch, 0);	/* where it was reserved: cannot fail */
	if (ch->named)
		msgc_registry_changed(reg);
	if (ch->par.flags & MSGC_PERSISTENT) {
		ch->persistent = true;
		ch->users++;
	}
unlock:
	mutex_unlock(&reg->lock);
	return err;
}

void msgc_channel_use(struct msgc_channel *ch)
{
	mutex_lock(&ch->registry->lock);
	ch->users++;
	mutex_unlock(&ch->registry->lock);
}

/*
 * With the last user it leaves the registry and gives up what dead members left in it;
 * observers may still hold the object.
 */
void msgc_channel_unuse(struct msgc_channel *ch)
{
	struct msgc_registry *reg = ch->registry;
	bool last;

	mutex_lock(&reg->lock);
	last = !--ch->users;
	if (last) {
		name_remove(ch);
		xa_erase(&reg->channels, ch->id);
	}
	mutex_unlock(&reg->lock);
	if (last) {
		msgc_members_discard(ch);
		msgc_channel_put(ch);
	}
}

/* The next channel of the registry with a greater id, referenced; NULL: no more. */
struct msgc_channel *msgc_channel_next(struct msgc_registry *reg, u64 after)
{
	unsigned long index = after;
	struct msgc_channel *ch;

	mutex_lock(&reg->lock);
	ch = xa_find_after(&reg->channels, &index, ULONG_MAX, XA_PRESENT);
	if (ch)
		kref_get(&ch->ref);
	mutex_unlock(&reg->lock);
	return ch;
}

/* Takes away its name and, if it was persistent, that use of it. */
static void channel_unlink(struct msgc_channel *ch)
{
	bool persistent;

	mutex_lock(&ch->registry->lock);
	name_remove(ch);
	persistent = ch->persistent;
	ch->persistent = false;
	mutex_unlock(&ch->registry->lock);
	if (persistent)
		msgc_channel_unuse(ch);
}

void msgc_channels_orphan(struct msgc_registry *reg)
{
	struct msgc_channel *ch;
	u64 id = 0;

	while ((ch = msgc_channel_next(reg, id))) {
		id = ch->id;
		channel_unlink(ch);
		msgc_channel_put(ch);
	}
}

/* ---- the channel fd ---- */

static int channel_release(struct inode *inode, struct file *file)
{
	struct msgc_channel_file *cf = file->private_data;

	if (cf->rights)
		msgc_channel_unuse(cf->ch);
	msgc_channel_put(cf->ch);
	kfree(cf);
	return 0;
}

static __poll_t channel_poll(struct file *file, struct poll_table_struct *pt)
{
	struct msgc_channel_file *cf = file->private_data;

	poll_wait(file, &cf->ch->wait, pt);
	/*
	 * Pairs with the one in msgc_generation_bump(): either this sees the change or that one
	 * sees the waiter.
	 */
	smp_mb();
	return READ_ONCE(cf->ch->st->generation) != READ_ONCE(cf->seen) ? EPOLLPRI : 0;
}

static long channel_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct msgc_channel_file *cf = file->private_data;
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case MSGC_ATTACH:
		return msgc_endpoint_attach(cf->ch, cf->rights, uarg);
	case MSGC_INFO:
		return msgc_info(cf->ch, cf->rights, uarg);
	case MSGC_PEERS:
		WRITE_ONCE(cf->seen, READ_ONCE(cf->ch->st->generation));
		return msgc_peers(cf->ch, uarg);
	case MSGC_EVICT:
		return msgc_channel_evict(cf->ch, uarg);
	default:
		return -ENOTTY;
	}
}

static void channel_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct msgc_channel_file *cf = file->private_data;

	msgc_show_channel(m, cf->ch, cf->rights);
}

static const struct file_operations channel_fops = {
	.owner = THIS_MODULE,
	.release = channel_release,
	.poll = channel_poll,
	.unlocked_ioctl = channel_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = channel_show_fdinfo,
};

/*
 * Takes over the caller's reference and, with rights, the caller's use. The file's mode is what
 * shows in /proc; `rights` decides.
 */
static struct file *channel_file(struct msgc_channel *ch, u32 rights)
{
	struct msgc_channel_file *cf = kzalloc(sizeof(*cf), GFP_KERNEL_ACCOUNT);
	struct file *file;

	if (!cf)
		return ERR_PTR(-ENOMEM);
	cf->ch = ch;
	cf->rights = rights;
	cf->seen = READ_ONCE(ch->st->generation);
	file = anon_inode_getfile("[msgchan-channel]", &channel_fops, cf, O_RDWR);
	if (IS_ERR(file))
		kfree(cf);
	return file;
}

/* ---- commands of the device ---- */

int msgc_channel_create(struct msgc_registry *reg, void __user *arg)
{
	struct msgc_create par;
	struct msgc_channel *ch;
	struct file *file;
	int fd, err;

	err = msgc_copy_in(&par, sizeof(par), sizeof(par), arg) ?: check_create(&par);
	if (err)
		return err;
	ch = channel_alloc(reg, &par);
	if (IS_ERR(ch))
		return PTR_ERR(ch);
	ch->users = 1;
	kref_get(&ch->ref);		/* one for the registry, one for the file */

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		err = fd;
		goto unuse;
	}
	file = channel_file(ch, MSGC_READ | MSGC_WRITE);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto put_fd;
	}
	err = channel_register(ch);
	if (err) {
		put_unused_fd(fd);
		fput(file);
		return err;
	}
	fd_install(fd, file);
	return fd;

put_fd:
	put_unused_fd(fd);
unuse:
	msgc_channel_unuse(ch);
	msgc_channel_put(ch);
	return err;
}

static int copy_open(struct msgc_open *open, const void __user *arg, u32 flags)
{
	int err = msgc_copy_in(open, sizeof(*open), sizeof(*open), arg);

	if (err)
		return err;
	if (open->flags & ~flags)
		return -EOPNOTSUPP;
	return check_name(open->name) || !open->id == !open->name[0] ? -EINVAL : 0;
}

static int open_rights(const struct msgc_channel *ch, u32 flags)
{
	bool may = flags & MSGC_LOOK ? msgc_channel_may_look(ch) : msgc_channel_may_open(ch, flags);

	return may ? 0 : -EACCES;
}

/* Finds and checks it, and takes a reference and, with rights, a use. */
static struct msgc_channel *channel_get(struct msgc_registry *reg, const struct msgc_open *open)
{
	struct msgc_channel *ch;
	int err = -ENOENT;

	mutex_lock(&reg->lock);
	ch = open->id ? xa_load(&reg->channels, open->id) : name_find(reg, open->name);
	if (ch)
		err = open_rights(ch, open->flags);
	if (!err) {
		kref_get(&ch->ref);
		if (!(open->flags & MSGC_LOOK))
			ch->users++;
	}
	mutex_unlock(&reg->lock);
	return err ? ERR_PTR(err) : ch;
}

int msgc_channel_open(struct msgc_registry *reg, void __user *arg)
{
	struct msgc_channel *ch;
	struct msgc_open open;
	struct file *file;
	u32 rights;
	int fd, err;

	err = copy_open(&open, arg, MSGC_READ | MSGC_WRITE | MSGC_LOOK);
	if (err)
		return err;
	rights = open.flags & ~MSGC_LOOK;
	if (!rights == !(open.flags & MSGC_LOOK) || (open.id && rights))
		return -EINVAL;
	ch = channel_get(reg, &open);
	if (IS_ERR(ch))
		return PTR_ERR(ch);
	fd = get_unused_fd_flags(O_CLOEXEC);
	file = fd < 0 ? ERR_PTR(fd) : channel_file(ch, rights);
	if (!IS_ERR(file)) {
		fd_install(fd, file);
		return fd;
	}
	if (fd >= 0)
		put_unused_fd(fd);
	if (rights)
		msgc_channel_unuse(ch);
	msgc_channel_put(ch);
	return PTR_ERR(file);
}

int msgc_channel_unlink(struct msgc_registry *reg, void __user *arg)
{
	struct msgc_channel *ch;
	struct msgc_open open;
	int err;

	err = copy_open(&open, arg, 0);
	if (err)
		return err;
	if (open.id)
		return -EINVAL;
	mutex_lock(&reg->lock);
	err = reg->dead ? -ENODEV : 0;
	ch = err ? NULL : name_find(reg, open.name);
	if (ch)
		kref_get(&ch->ref);
	mutex_unlock(&reg->lock);
	if (!ch)
		return err ?: -ENOENT;
	err = msgc_channel_may_own(ch) ? 0 : -EPERM;
	if (!err)
		channel_unlink(ch);
	msgc_channel_put(ch);
	return err;
}
