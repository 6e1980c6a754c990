// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Batches of calls: what does not depend on the way in which they get to the kernel. */
#include <string.h>

#include "batch.h"

#define CAPACITY	64U
#define MOST		16384U
#define CANCEL_NS	10000000	/* between two attempts to end everything */

/* ---- lists ---- */

/* The last one that was used comes first: those in use stay few. */
static void free_entry(struct ipc_batch *b, uint32_t i)
{
	b->entry[i].next = b->first[FREE];
	b->first[FREE] = i;
	b->count[FREE]++;
	b->entry[i].state = FREE;
}

static void end_entry(struct ipc_batch *b, uint32_t i, int32_t res)
{
	b->entry[i].res = res;
	ipc_batch_append(b, i, ENDED);
}

void ipc_batch_called_ended(struct ipc_batch *b, uint32_t i, int32_t res)
{
	b->count[CALLED]--;
	end_entry(b, i, res);
}

void ipc_batch_first_ended(struct ipc_batch *b, int32_t res)
{
	end_entry(b, ipc_batch_pop(b, ADDED), res);
}

/* Out of the middle of the ADDED. */
static void withdraw(struct ipc_batch *b, uint32_t i)
{
	uint32_t before = b->first[ADDED];

	if (before == i) {
		ipc_batch_first_ended(b, -ECANCELED);
		return;
	}
	while (b->entry[before].next != i)
		before = b->entry[before].next;
	b->entry[before].next = b->entry[i].next;
	if (b->last[ADDED] == i)
		b->last[ADDED] = before;
	b->count[ADDED]--;
	end_entry(b, i, -ECANCELED);
}

static void init_lists(struct ipc_batch *b)
{
	for (uint32_t i = b->capacity; i--;)
		free_entry(b, i);
}

/* ---- memory ---- */

struct kept {
	size_t size;		/* of the whole mapping */
	struct io_uring ring;	/* with ring_fd < 0: none */
};

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static struct kept *kept_of(struct ipc_batch *b)
{
	return (struct kept *)((char *)b - page_size());
}

/* All of it at once: nothing is allocated later. NULL: no memory. */
static struct ipc_batch *memory(uint32_t capacity)
{
	size_t page = page_size(), entries = capacity * sizeof(struct entry);
	size_t members = capacity * sizeof(struct member), fds = capacity * sizeof(struct pollfd);
	size_t wiped = sizeof(struct ipc_batch) + entries + members + fds;
	struct ipc_batch *b;
	void *base;

	wiped = (wiped + page - 1) & ~(page - 1);
	if (sys_mmap(&base, page + wiped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0))
		return NULL;
	b = (void *)((char *)base + page);
	kept_of(b)->size = page + wiped;
	kept_of(b)->ring.ring_fd = -1;
	if (madvise(b, wiped, MADV_WIPEONFORK)) {
		sys_munmap(base, page + wiped);
		return NULL;
	}
	b->capacity = capacity;
	b->member = (void *)((char *)(b + 1) + entries);
	b->fds = (void *)((char *)b->member + members);
	return b;
}

static void close_ring(struct ipc_batch *b)
{
	struct kept *kept = kept_of(b);

	if (kept->ring.ring_fd >= 0)
		io_uring_queue_exit(&kept->ring);
	kept->ring.ring_fd = -1;
}

static void free_memory(struct ipc_batch *b)
{
	struct kept *kept = kept_of(b);

	close_ring(b);
	sys_munmap(kept, kept->size);
}

/* ---- the way ---- */

static void use_poll(struct ipc_batch *b, int why)
{
	close_ring(b);
	b->ring = NULL;
	b->way = &ipc_way_poll;
	b->why = why;
}

/* Does the module park commands? */
static int ask_module(void)
{
	struct msgc_features f = { .size = sizeof(f) };
	int ret, fd = sys_open("/dev/msgchan", O_RDWR);

	if (fd < 0)
		return fd;
	ret = sys_ioctl(fd, MSGC_FEATURES, &f);
	sys_close(fd);
	return ret ? ret : f.features & MSGC_F_URING ? 0 : -EOPNOTSUPP;
}

static void choose_way(struct ipc_batch *b, uint32_t asked)
{
	struct io_uring *ring = &kept_of(b)->ring;
	int why = asked == IPC_BATCH_POLL ? -EAGAIN : ask_module();

	if (!why)
		why = ipc_batch_ring_open(ring, b->capacity);
	if (why) {
		use_poll(b, why);
		return;
	}
	b->ring = ring;
	b->way = &ipc_way_uring;
}

/* A security module is asked for each command: before the first one matters, a harmless one. */
static int try_way(struct ipc_batch *b, const struct ipc_endpoint *ep)
{
	int ret = 0;

	if (b->way == &ipc_way_uring)
		ret = ipc_batch_ring_try(b->ring, ep);
	if (ret && b->only_uring)
		return ret;
	if (ret)
		use_poll(b, ret);
	b->tried = true;
	return 0;
}

/* ---- to open and close ---- */

static int check_options(const struct ipc_batch_options *opt, struct ipc_batch_options *o)
{
	int ret = opt ? ipc_copy_sized(o, sizeof(*o), opt, sizeof(*o)) : 0;

	if (ret)
		return ret;
	if (!o->capacity)
		o->capacity = CAPACITY;
	return o->capacity > MOST || o->way > IPC_BATCH_POLL || o->pad ? -EINVAL : 0;
}

IPC_API int ipc_batch_open(const struct ipc_batch_options *opt, struct ipc_batch **out)
{
	struct ipc_batch_options o = { 0 };
	struct ipc_batch *b;
	int ret = check_options(opt, &o);

	if (ret)
		return ret;
	b = memory(o.capacity);
	if (!b)
		return -ENOMEM;
	init_lists(b);
	b->thread = pthread_self();
	b->only_uring = o.way == IPC_BATCH_URING;
	choose_way(b, o.way);
	if (b->only_uring && b->why) {
		ret = b->why;
		free_memory(b);
		return ret;
	}
	*out = b;
	return 0;
}

/* The outcome of what has ended, as of an ipc_call(); its slot is no longer the batch's. */
static int conclude(struct ipc_batch *b, uint32_t i, struct ipc_msg *msg)
{
	struct entry *e = &b->entry[i];
	int ret = ipc_client_conclude(e->ep, e->call.slot, msg, e->res);

	e->ep = NULL;
	free_entry(b, i);
	return ret;
}

static unsigned int take_ended(struct ipc_batch *b, struct ipc_done *out, unsigned int n)
{
	unsigned int got = 0;

	while (got < n && b->count[ENDED]) {
		uint32_t i = ipc_batch_pop(b, ENDED);
		struct ipc_done *d = &out[got++];

		d->ep = b->entry[i].ep;
		d->error = conclude(b, i, &d->msg);
		d->pad = 0;
	}
	return got;
}

int ipc_batch_cancel_now(const struct entry *e)
{
	struct msgc_cancel c = { .slot = e->call.slot, .cookie = e->cookie };

	return sys_ioctl(e->ep->fd, MSGC_CANCEL, &c);
}

/* The kernel has the call, also where its wait was interrupted and is to be resumed. */
static bool has_begun(const struct entry *e)
{
	return e->state == CALLED || (e->state == ADDED && e->call.flags & MSGC_RESUME);
}

static void cancel_begun(struct ipc_batch *b)
{
	for (uint32_t i = 0; i < b->used; i++)
		if (has_begun(&b->entry[i]))
			ipc_batch_cancel_now(&b->entry[i]);
}

/*
 * What is cancelled has an outcome at once, but the ring has to tell, too. Again and again, for a
 * call that the kernel had not been able to take before.
 */
static void drain(struct ipc_batch *b)
{
	int ret = 0;

	while (b->count[CALLED] || b->count[ADDED]) {
		cancel_begun(b);
		ret = b->way->wait(b, 1, ipc_in(CANCEL_NS));
		if (ret && ret != -EINTR && ret != -ETIMEDOUT)
			return;
	}
}

static void withdraw_all(struct ipc_batch *b)
{
	for (uint32_t i = 0; i < b->used; i++)
		if (b->entry[i].state == ADDED && !has_begun(&b->entry[i]))
			withdraw(b, i);
}

static void give_up(struct ipc_batch *b)
{
	for (uint32_t i = 0; i < b->used; i++)
		if (b->entry[i].state == CALLED)
			ipc_batch_called_ended(b, i, -ESHUTDOWN);
	while (b->count[ADDED])
		ipc_batch_first_ended(b, -ESHUTDOWN);
}

static void drop_all(struct ipc_batch *b)
{
	withdraw_all(b);
	drain(b);
	give_up(b);
	while (b->count[ENDED]) {
		struct ipc_done d;

		take_ended(b, &d, 1);
		if (!d.error)
			ipc_release(d.ep, &d.msg, 1);
	}
}

IPC_API void ipc_batch_close(struct ipc_batch *b)
{
	if (!b)
		return;
	if (b->way)
		drop_all(b);
	free_memory(b);
}

IPC_API int ipc_batch_way(const struct ipc_batch *b, int *why)
{
	if (!b->way)
		return -EPERM;
	if (why)
		*why = b->why;
	return b->way == &ipc_way_uring ? IPC_BATCH_URING : IPC_BATCH_POLL;
}

/* ---- calls ---- */

static bool is_ours(const struct ipc_batch *b)
{
	return b->way && pthread_equal(b->thread, pthread_self());
}

static void add_first_free(struct ipc_batch *b)
{
	uint32_t i = ipc_batch_pop(b, FREE);

	if (i >= b->used)
		b->used = i + 1;
	ipc_batch_append(b, i, ADDED);
}

IPC_API int ipc_batch_call(struct ipc_batch *b, struct ipc_endpoint *ep, struct ipc_msg *req,
			   uint64_t deadline)
{
	int ret = is_ours(b) ? ipc_must_be(ep, &ipc_client) : -EPERM;
	struct entry *e = &b->entry[b->first[FREE]];

	if (!ret && !b->count[FREE])
		ret = -EAGAIN;
	if (!ret && !b->tried)
		ret = try_way(b, ep);
	if (ret)
		return ret;
	ret = ipc_client_prepare(ep, req, b->way->flags, deadline, &e->call);
	if (ret < 0)
		return ret;
	e->ep = ep;
	e->cookie = req->cookie;
	e->forgotten = false;
	add_first_free(b);
	return 0;
}

IPC_API int ipc_batch_submit(struct ipc_batch *b)
{
	if (!is_ours(b))
		return -EPERM;
	return b->count[ADDED] ? b->way->submit(b) : 0;
}

IPC_API int ipc_batch_reap(struct ipc_batch *b, struct ipc_done *out, unsigned int n,
			   uint64_t deadline)
{
	int ret = 0;

	if (!is_ours(b))
		return -EPERM;
	if (!n)
		return -EINVAL;
	if (!b->count[ENDED] && !b->count[CALLED] && !b->count[ADDED])
		return -ENOENT;
	/* What is there already is not waited for, but what was added begins. */
	if (b->count[ADDED] || !b->count[ENDED])
		ret = b->way->wait(b, 1, b->count[ENDED] ? IPC_NOW : deadline);
	return b->count[ENDED] ? (int)take_ended(b, out, n) : ret;
}

IPC_API int ipc_batch_wait(struct ipc_batch *b, unsigned int n, uint64_t deadline)
{
	uint32_t all;
	int ret = 0;

	if (!is_ours(b))
		return -EPERM;
	all = b->count[ENDED] + b->count[CALLED] + b->count[ADDED];
	if (!all)
		return -ENOENT;
	if (n > all)
		n = all;
	if (b->count[ADDED] && b->count[ENDED] >= n)
		return b->way->submit(b);
	while (!ret && b->count[ENDED] < n)
		ret = b->way->wait(b, n - b->count[ENDED], deadline);
	return ret;
}

/* Not below `used`: there is none. */
static uint32_t find(const struct ipc_batch *b, const struct ipc_endpoint *ep, uint64_t cookie)
{
	uint32_t i;

	for (i = 0; i < b->used; i++) {
		const struct entry *e = &b->entry[i];

		if ((e->state == ADDED || e->state == CALLED) && e->ep == ep &&
		    e->cookie == cookie && !e->forgotten)
			break;
	}
	return i;
}

IPC_API int ipc_batch_cancel(struct ipc_batch *b, struct ipc_endpoint *ep, uint64_t cookie)
{
	uint32_t i;

	if (!is_ours(b))
		return -EPERM;
	i = find(b, ep, cookie);
	if (i >= b->used)
		return -ENOENT;
	if (!has_begun(&b->entry[i])) {
		withdraw(b, i);
		return 0;
	}
	b->entry[i].forgotten = true;
	return b->way->cancel(b, i);
}
