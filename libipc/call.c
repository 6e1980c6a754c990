// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The client of a rendezvous channel: its call slots, from reservation to outcome.
 *
 * Two parties say what a slot is doing. The kernel, in its inbox line: who has the memory, and the
 * outcome. We, in `use`: what our application has of it. A slot is free only if both agree.
 *
 * What every call passes through is inline.
 */
#include <string.h>

#include "internal.h"

enum use {
	SLOT_FREE,
	SLOT_RESERVED,
	SLOT_FLYING,		/* called, its outcome not yet taken */
	SLOT_ENTRUSTED,		/* the same, by a batch or an io_uring, which takes it */
	SLOT_ANSWERED,		/* its reply is borrowed */
	SLOT_LEFT,		/* its outcome is taken, but the server has not let go of it */
};

#define SLOTS 64

struct client {
	uint32_t slots;
	uint32_t next;			/* to be looked at first for a free one */
	uint64_t request, reply;	/* bytes of each area, whole pages */
	uint8_t use[SLOTS];
	uint8_t untaken[SLOTS];		/* files that came with the answer, see files.c */
	bool waited[SLOTS];		/* not asynchronous */
};

/* The changing part of an inbox line. The kernel stores it as one word, so it is read as one. */
struct look {
	uint8_t state, outcome, format, flags;
	uint32_t event;
};

_Static_assert(sizeof(struct look) == 8, "one word");

static struct client *client_of(struct ipc_endpoint *ep)
{
	return ep->priv;
}

static struct msgc_request *header(struct ipc_endpoint *ep, uint32_t slot)
{
	struct msgc_own *own = ep->area[MSGC_OWN];

	return (struct msgc_request *)(own + 1) + slot;
}

static const struct msgc_done *line(struct ipc_endpoint *ep, uint32_t slot)
{
	return (const struct msgc_done *)ep->area[MSGC_INBOX] + slot;
}

/* Acquire: pairs with the kernel's release store of this word, which it writes last. */
static struct look look_at(struct ipc_endpoint *ep, uint32_t slot)
{
	uint64_t word = __atomic_load_n((const uint64_t *)line(ep, slot), __ATOMIC_ACQUIRE);
	struct look l;

	memcpy(&l, &word, sizeof(l));
	return l;
}

/* What the kernel's IN and OUT go by: we know of everything up to this event. */
static void handled(struct ipc_endpoint *ep, uint32_t slot, uint32_t event)
{
	__atomic_store_n(&header(ep, slot)->handled, event, __ATOMIC_RELAXED);
}

/* ---- slots ---- */

static bool in_flight(const struct client *c, uint32_t slot)
{
	return c->use[slot] == SLOT_FLYING || c->use[slot] == SLOT_ENTRUSTED;
}

static void free_slot(struct client *c, uint32_t slot)
{
	c->use[slot] = SLOT_FREE;
	c->next = slot;		/* its memory is in the cache */
}

/* Note that the server has let go; events of a slot that is not flying need nothing else. */
static void settle(struct ipc_endpoint *ep, uint32_t slot)
{
	struct client *c = client_of(ep);
	struct look now;

	if (in_flight(c, slot))
		return;
	now = look_at(ep, slot);
	handled(ep, slot, now.event);
	if (c->use[slot] == SLOT_LEFT && now.state == MSGC_IDLE)
		free_slot(c, slot);
}

static bool finished(struct ipc_endpoint *ep, uint32_t slot)
{
	struct look now = look_at(ep, slot);

	return now.event != header(ep, slot)->handled && now.outcome != MSGC_O_NONE;
}

static uint32_t after(const struct client *c, uint32_t slot)
{
	return slot + 1 < c->slots ? slot + 1 : 0;
}

/* A free slot; -EAGAIN: a server is about to let go of one; -EBUSY: the caller has to. */
static int find_free(struct ipc_endpoint *ep)
{
	struct client *c = client_of(ep);
	bool left = false, uncollected = false;

	for (uint32_t n = c->slots, i = c->next; n; n--, i = after(c, i)) {
		settle(ep, i);
		if (c->use[i] == SLOT_FREE) {
			c->next = after(c, i);
			return (int)i;
		}
		left |= c->use[i] == SLOT_LEFT;
		uncollected |= in_flight(c, i) && finished(ep, i);
	}
	/* An uncollected outcome would end every WAIT(OUT) at once: it comes first. */
	return left && !uncollected ? -EAGAIN : -EBUSY;
}

static inline int reserve_slot(struct ipc_endpoint *ep, uint64_t deadline)
{
	int slot, ret;

	for (;;) {
		slot = find_free(ep);
		if (slot != -EAGAIN || deadline == IPC_NOW)
			break;
		ret = ipc_endpoint_wait(ep, MSGC_OUT, deadline);
		if (ret < 0)
			return ret;
	}
	if (slot >= 0)
		client_of(ep)->use[slot] = SLOT_RESERVED;
	return slot;
}

static uintptr_t offset_in(const struct ipc_endpoint *ep, int area, const void *data)
{
	return (uintptr_t)data - (uintptr_t)ep->area[area];
}

/* The slot at @data of an area; -ENOENT: not in this area; -EINVAL: not a slot in this use. */
static int slot_at(struct ipc_endpoint *ep, int area, const void *data, enum use use)
{
	struct client *c = client_of(ep);
	uint64_t size = area == MSGC_DATA ? c->request : c->reply;
	uintptr_t offset = offset_in(ep, area, data);

	if ((uintptr_t)data < (uintptr_t)ep->area[area] || offset >= c->slots * size)
		return -ENOENT;
	if (offset % size || c->use[offset / size] != use)
		return -EINVAL;
	return (int)(offset / size);
}

static void *slot_data(struct ipc_endpoint *ep, int area, uint32_t slot)
{
	struct client *c = client_of(ep);
	uint64_t size = area == MSGC_DATA ? c->request : c->reply;

	return (char *)ep->area[area] + slot * size;
}

static int client_reserve(struct ipc_endpoint *ep, struct ipc_msg *m, uint32_t len,
			  uint64_t deadline)
{
	struct client *c = client_of(ep);
	int slot;

	if (len > c->request)
		return -EMSGSIZE;
	slot = reserve_slot(ep, deadline);
	if (slot < 0)
		return slot;
	m->data = slot_data(ep, MSGC_DATA, (uint32_t)slot);
	m->len = len;
	m->cap = (uint32_t)c->request;
	return 0;
}

static int client_abandon(struct ipc_endpoint *ep, struct ipc_msg *m)
{
	int slot = slot_at(ep, MSGC_DATA, m->data, SLOT_RESERVED);

	if (slot < 0)
		return -EINVAL;
	free_slot(client_of(ep), (uint32_t)slot);
	m->data = NULL;
	return 0;
}

/* ---- calls ---- */

/* The slot of a request: the one that it was reserved in, or a free one with a copy of it. */
static inline int slot_for(struct ipc_endpoint *ep, struct ipc_msg *req, uint64_t deadline)
{
	struct client *c = client_of(ep);
	int slot = slot_at(ep, MSGC_DATA, req->data, SLOT_RESERVED);

	if (slot == -EINVAL)
		return slot;
	if (slot >= 0)
		req->data = NULL;	/* used up, whatever happens */
	if (req->len > c->request || req->reply_cap > c->reply) {
		if (slot >= 0)
			free_slot(c, (uint32_t)slot);
		return -EMSGSIZE;
	}
	if (slot >= 0)
		return slot;
	slot = reserve_slot(ep, deadline);
	if (slot >= 0 && req->len)
		memcpy(slot_data(ep, MSGC_DATA, (uint32_t)slot), req->data, req->len);
	return slot;
}

/* Fill the header; returns the command. */
static inline struct msgc_call compose(struct ipc_endpoint *ep, uint32_t slot,
				       const struct ipc_msg *req, unsigned int flags,
				       uint64_t deadline)
{
	struct client *c = client_of(ep);
	struct msgc_request *h = header(ep, slot);

	h->len = req->len;
	h->room = req->reply_cap ? req->reply_cap : (uint32_t)c->reply;
	h->type = req->type;
	h->format = req->format;
	h->cookie = req->cookie;
	h->nfds = ipc_has_files(req) ? (uint8_t)ipc_files_set(req, h->fds) : 0;
	c->waited[slot] = !(flags & MSGC_ASYNC);
	if (req->flags & IPC_F_NEED_SERVER)
		flags |= MSGC_NEED_SERVER;
	return (struct msgc_call){
		.slot = (uint16_t)slot, .flags = (uint16_t)flags, .deadline = deadline,
	};
}

/* CALL; returns as the command does. */
static inline int post(struct ipc_endpoint *ep, uint32_t slot, const struct ipc_msg *req,
		       unsigned int flags, uint64_t deadline)
{
	struct msgc_call call = compose(ep, slot, req, flags, deadline);

	client_of(ep)->use[slot] = SLOT_FLYING;
	return sys_ioctl(ep->fd, MSGC_CALL, &call);
}

static void borrow_reply(struct ipc_endpoint *ep, uint32_t slot, struct ipc_msg *rep)
{
	struct client *c = client_of(ep);
	uint32_t len = line(ep, slot)->len;

	rep->data = slot_data(ep, MSGC_PEER, slot);
	rep->len = len < c->reply ? len : (uint32_t)c->reply;
	c->untaken[slot] = ipc_files_came(line(ep, slot)->fds);
	c->use[slot] = SLOT_ANSWERED;
}

/* Take the outcome of a finished call. Returns 0 if it is done, else its error. */
static inline int take(struct ipc_endpoint *ep, uint32_t slot, struct ipc_msg *rep)
{
	struct client *c = client_of(ep);
	const struct msgc_done *d = line(ep, slot);
	struct look now = look_at(ep, slot);

	*rep = (struct ipc_msg){
		.type = d->type, .format = now.format, .flags = ipc_msg_flags(now.flags),
		.peer = d->server, .result = d->status, .cookie = d->cookie,
		.outcome = now.outcome,
	};
	handled(ep, slot, now.event);
	if (now.outcome == MSGC_O_DONE && !(now.flags & MSGC_M_ONEWAY))
		borrow_reply(ep, slot, rep);
	else if (now.state == MSGC_IDLE)
		free_slot(c, slot);
	else
		c->use[slot] = SLOT_LEFT;
	return now.outcome == MSGC_O_DONE ? 0 : rep->result;
}

/* A call whose CALL was interrupted has not got the files of its answer yet. */
static void fetch_files(struct ipc_endpoint *ep, uint32_t slot)
{
	struct msgc_call again = {
		.slot = (uint16_t)slot, .flags = MSGC_RESUME, .deadline = MSGC_NOW,
	};

	if (client_of(ep)->waited[slot])
		sys_ioctl(ep->fd, MSGC_CALL, &again);
}

/* CALL returned ret: the call has an outcome; or it goes on without us; or it never began. */
static inline int conclude(struct ipc_endpoint *ep, uint32_t slot, struct ipc_msg *rep, int ret)
{
	/* An interruption is told even where an outcome came with it: else it would be lost. */
	if (ret != -EINTR && finished(ep, slot)) {
		if (ret < 0)
			fetch_files(ep, slot);
		return take(ep, slot, rep);
	}
	*rep = (struct ipc_msg){ .cookie = header(ep, slot)->cookie, .result = ret };
	if (!finished(ep, slot) && look_at(ep, slot).state == MSGC_IDLE) {
		free_slot(client_of(ep), slot);
		rep->outcome = IPC_NOT_EXECUTED;
	}
	return ret;
}

static int not_called(struct ipc_msg *rep, const struct ipc_msg *req, int ret)
{
	*rep = (struct ipc_msg){
		.cookie = req->cookie, .result = ret, .outcome = IPC_NOT_EXECUTED,
	};
	return ret;
}

static int client_call(struct ipc_endpoint *ep, struct ipc_msg *req, struct ipc_msg *rep,
		       uint64_t deadline)
{
	int slot = slot_for(ep, req, deadline);

	if (slot < 0)
		return not_called(rep, req, slot);
	return conclude(ep, (uint32_t)slot, rep, post(ep, (uint32_t)slot, req, 0, deadline));
}

static int client_start(struct ipc_endpoint *ep, struct ipc_msg *req, uint64_t deadline)
{
	int slot = slot_for(ep, req, IPC_NOW);
	int ret;

	if (slot < 0)
		return slot;
	ret = post(ep, (uint32_t)slot, req, MSGC_ASYNC, deadline);
	if (ret < 0)
		free_slot(client_of(ep), (uint32_t)slot);
	return ret;
}

/* The message stays the caller's, except a reservation; only what became of it is told in it. */
static int client_send(struct ipc_endpoint *ep, struct ipc_msg *m, uint64_t deadline)
{
	struct ipc_msg rep;
	int slot = slot_for(ep, m, deadline);
	int ret;

	if (slot < 0)
		ret = not_called(&rep, m, slot);
	else
		ret = conclude(ep, (uint32_t)slot, &rep,
			       post(ep, (uint32_t)slot, m, MSGC_ONEWAY, deadline));
	m->result = rep.result;
	m->outcome = rep.outcome;
	return ret;
}

/* Take up to @n outcomes; counts calls that go on, and sees outcomes that are others' to take. */
static unsigned int sweep(struct ipc_endpoint *ep, struct ipc_msg *rep, unsigned int n,
			  unsigned int *flying, bool *others)
{
	struct client *c = client_of(ep);
	unsigned int got = 0;

	*flying = 0;
	*others = false;
	for (uint32_t i = 0; i < c->slots && got < n; i++) {
		settle(ep, i);
		*others |= c->use[i] == SLOT_ENTRUSTED && finished(ep, i);
		if (c->use[i] != SLOT_FLYING)
			continue;
		if (finished(ep, i)) {
			fetch_files(ep, i);
			take(ep, i, &rep[got++]);
		} else {
			++*flying;
		}
	}
	return got;
}

static int client_collect(struct ipc_endpoint *ep, struct ipc_msg *rep, unsigned int n,
			  uint64_t deadline)
{
	unsigned int flying, got;
	bool others;
	int ret;

	if (!n)
		return -EINVAL;
	for (;;) {
		got = sweep(ep, rep, n, &flying, &others);
		if (got)
			return (int)got;
		if (!flying)
			return -ENOENT;
		if (others)		/* they would end every WAIT(IN) at once */
			return deadline == IPC_NOW ? -EAGAIN : -EBUSY;
		/* Also for IPC_NOW: it is this command that judges overdue calls. */
		ret = ipc_endpoint_wait(ep, MSGC_IN, deadline);
		if (ret < 0)
			return ret;
	}
}

/* ---- calls that are given to the kernel, and whose outcomes are taken, by somebody else ---- */

int ipc_client_prepare(struct ipc_endpoint *ep, struct ipc_msg *req, unsigned int flags,
		       uint64_t deadline, struct msgc_call *call)
{
	int slot = slot_for(ep, req, IPC_NOW);

	if (slot < 0)
		return slot;
	if (deadline == IPC_NOW) {
		free_slot(client_of(ep), (uint32_t)slot);
		return -EINVAL;
	}
	*call = compose(ep, (uint32_t)slot, req, flags, deadline);
	client_of(ep)->use[slot] = SLOT_ENTRUSTED;
	return slot;
}

int ipc_client_resume(struct ipc_endpoint *ep, uint32_t slot)
{
	struct client *c = client_of(ep);

	if (slot >= c->slots || c->use[slot] != SLOT_FLYING)
		return -ENOENT;
	c->use[slot] = SLOT_ENTRUSTED;
	return 0;
}

bool ipc_client_finished(struct ipc_endpoint *ep, uint32_t slot)
{
	return finished(ep, slot);
}

int ipc_client_conclude(struct ipc_endpoint *ep, uint32_t slot, struct ipc_msg *rep, int ret)
{
	struct client *c = client_of(ep);

	if (slot >= c->slots || c->use[slot] != SLOT_ENTRUSTED)
		return -ENOENT;
	c->use[slot] = SLOT_FLYING;		/* unless it is over */
	return conclude(ep, slot, rep, ret);
}

static void free_answer(struct ipc_endpoint *ep, const void *data)
{
	struct client *c = client_of(ep);
	uint32_t slot = (uint32_t)(offset_in(ep, MSGC_PEER, data) / c->reply);

	if (c->untaken[slot])
		ipc_files_close(line(ep, slot)->fds, &c->untaken[slot]);
	free_slot(c, slot);
}

static int client_release(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (m[i].data && slot_at(ep, MSGC_PEER, m[i].data, SLOT_ANSWERED) < 0)
			return -EINVAL;
	for (unsigned int i = 0; i < n; i++) {
		if (m[i].data)
			free_answer(ep, m[i].data);
		m[i].data = NULL;
	}
	return 0;
}

static int client_files(struct ipc_endpoint *ep, const struct ipc_msg *m, struct ipc_files *out)
{
	int slot = slot_at(ep, MSGC_PEER, m->data, SLOT_ANSWERED);

	if (slot < 0)
		return -ENOENT;
	*out = (struct ipc_files){
		.fds = line(ep, (uint32_t)slot)->fds,
		.untaken = &client_of(ep)->untaken[slot],
		.truncated = look_at(ep, (uint32_t)slot).flags & MSGC_M_FDS_TRUNCATED,
	};
	return 0;
}

static int client_finish(struct ipc_endpoint *ep)
{
	struct client *c = client_of(ep);

	for (uint32_t i = 0; i < c->slots; i++)
		ipc_files_close(line(ep, i)->fds, &c->untaken[i]);
	return 0;
}

static size_t client_size(const struct msgc_attach *at)
{
	(void)at;
	return sizeof(struct client);
}

static void client_init(struct ipc_endpoint *ep, const struct msgc_info *info,
			const struct msgc_attach *at, const struct ipc_attach *how)
{
	struct client *c = client_of(ep);
	struct msgc_own *own = ep->area[MSGC_OWN];

	(void)how;
	ep->seen = (uint64_t *)&own->seen;
	c->slots = at->slots < SLOTS ? at->slots : SLOTS;
	c->request = info->request;
	c->reply = info->reply;
}

const struct ipc_kind ipc_client = {
	.prot = {
		[MSGC_STATUS]	= PROT_READ,
		[MSGC_OWN]	= PROT_READ | PROT_WRITE,
		[MSGC_INBOX]	= PROT_READ,
		[MSGC_DATA]	= PROT_READ | PROT_WRITE,
		[MSGC_PEER]	= PROT_READ,
	},
	.size		= client_size,
	.init		= client_init,
	.finish		= client_finish,
	.reserve	= client_reserve,
	.abandon	= client_abandon,
	.send		= client_send,
	.call		= client_call,
	.start		= client_start,
	.collect	= client_collect,
	.release	= client_release,
	.files		= client_files,
};
