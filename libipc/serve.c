// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The server of a rendezvous channel: requests that it holds, from RECV to REPLY.
 *
 * What the kernel wrote into our inbox is trusted; requests are their clients' memory and are not.
 * Hardly anything is kept here: a request is known by the id of its call, which the kernel checks.
 */
#include <string.h>

#include "internal.h"

struct server {
	uint32_t max_receivers;		/* clients' indices begin here */
	uint64_t request, reply;	/* bytes of each area, whole pages */
	uint64_t request_stride, reply_stride;	/* from client to client */
	uint32_t entries;
	bool unseen;			/* an io_uring went: it may have been given some */
	uint8_t *untaken;		/* files that came with a request, see files.c */
	uint64_t told[];		/* by entry: the last call that the application knows */
};

static struct server *server_of(struct ipc_endpoint *ep)
{
	return ep->priv;
}

/* The id of a call ends in the inbox entry that holds it. */
static uint32_t entry_of(uint64_t call)
{
	return call & 0xffff;
}

static uint64_t *call_id(struct ipc_msg *m)
{
	return &m->priv[0];
}

static const struct msgc_held *held(struct ipc_endpoint *ep, uint32_t entry)
{
	return (const struct msgc_held *)ep->area[MSGC_INBOX] + entry;
}

/* The inbox line of a request that is held; NULL: it is not (any more). */
static const struct msgc_held *held_call(struct ipc_endpoint *ep, const struct ipc_msg *m)
{
	uint64_t call = m->priv[0];
	const struct msgc_held *h;

	if (!call || (entry_of(call) + 1) * sizeof(*h) > ep->area_size[MSGC_INBOX])
		return NULL;
	h = held(ep, entry_of(call));
	return __atomic_load_n(&h->call, __ATOMIC_ACQUIRE) == call ? h : NULL;
}

static uint32_t at_most(uint32_t n, uint64_t limit)
{
	return n < limit ? n : (uint32_t)limit;
}

/* Describe a request that RECV just gave us; unless we died then, and only its files are ours. */
int ipc_server_fill(struct ipc_endpoint *ep, uint32_t entry, struct ipc_msg *m)
{
	struct server *s = server_of(ep);
	const struct msgc_held *h = held(ep, entry);
	uint64_t number = MSGC_INDEX(h->client) - s->max_receivers;
	uint64_t call = h->call;

	s->untaken[entry] = h->nfds;
	s->told[entry] = call;
	if (!call) {
		ipc_files_close(h->fds, &s->untaken[entry]);
		return -ESHUTDOWN;
	}
	*m = (struct ipc_msg){
		.data = (char *)ep->area[MSGC_DATA] + number * s->request_stride +
			h->slot * s->request,
		.len = at_most(h->len, s->request),
		.type = h->type, .format = h->format, .flags = ipc_msg_flags(h->flags),
		.attempts = h->attempts, .peer = h->client, .cookie = h->cookie,
		.deadline = h->deadline,
		.reply = (char *)ep->area[MSGC_PEER] + number * s->reply_stride +
			 h->slot * s->reply,
		.reply_cap = at_most(h->room, s->reply),
	};
	*call_id(m) = call;
	return 0;
}

void ipc_server_gave_back(struct ipc_msg *m)
{
	m->data = NULL;
	m->reply = NULL;
}

static int receive(struct ipc_endpoint *ep, struct ipc_msg *m, uint64_t deadline)
{
	struct msgc_recv r = { .deadline = deadline };
	int entry = sys_ioctl(ep->fd, MSGC_RECV, &r);

	return entry < 0 ? entry : ipc_server_fill(ep, (uint32_t)entry, m);
}

static bool is_told(struct ipc_endpoint *ep, uint32_t entry)
{
	const struct server *s = server_of(ep);
	uint64_t call = __atomic_load_n(&held(ep, entry)->call, __ATOMIC_ACQUIRE);

	return !call || s->told[entry] == call;
}

/* What RECVs of a ring that has gone were given, and nobody has looked at. */
static unsigned int take_unseen(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n)
{
	struct server *s = server_of(ep);
	unsigned int got = 0;

	for (uint32_t i = 0; i < s->entries && got < n; i++)
		if (!is_told(ep, i) && !ipc_server_fill(ep, i, &m[got]))
			got++;
	s->unseen = got;
	return got;
}

static int server_recv(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n,
		       uint64_t deadline)
{
	unsigned int got = 0;
	int ret;

	if (!n)
		return -EINVAL;
	if (server_of(ep)->unseen) {
		got = take_unseen(ep, m, n);
		if (got)
			return (int)got;
	}
	do {
		ret = receive(ep, &m[got], got ? IPC_NOW : deadline);
	} while (ret >= 0 && ++got < n);
	if (got && ret == -EINTR)
		ipc_interrupt(ep);	/* meant for a wait: the next one */
	return got ? (int)got : ret;
}

/* Fill the reply header of a request; what came with it and was not taken is closed. */
int ipc_server_answer(struct ipc_endpoint *ep, const struct ipc_msg *req, uint32_t len)
{
	struct msgc_own *own = ep->area[MSGC_OWN];
	uint32_t entry = entry_of(req->priv[0]);
	struct msgc_answer *a;

	if (!held_call(ep, req))
		return -ENOENT;
	if (len > req->reply_cap)
		return -EMSGSIZE;
	if (server_of(ep)->untaken[entry])
		ipc_files_close(held(ep, entry)->fds, &server_of(ep)->untaken[entry]);
	a = (struct msgc_answer *)(own + 1) + entry;
	a->type = req->type;
	a->format = req->format;
	a->nfds = ipc_has_files(req) ? (uint8_t)ipc_files_set(req, a->fds) : 0;
	return 0;
}

static int server_reply(struct ipc_endpoint *ep, struct ipc_msg *req, uint32_t len,
			int32_t result)
{
	struct msgc_reply r = { .call = *call_id(req), .len = len, .status = result };
	int ret = ipc_server_answer(ep, req, len);

	if (ret)
		return ret;
	ret = sys_ioctl(ep->fd, MSGC_REPLY, &r);
	if (!ret)
		ipc_server_gave_back(req);
	return ret;
}

/* Which results of REPLY_RECV mean that the reply went out. */
static bool replied(int ret, const struct msgc_reply *r)
{
	switch (ret) {
	case -EAGAIN:
	case -ETIMEDOUT:
	case -EINTR:
	case -ECANCELED:
		return true;
	case -ESHUTDOWN:
		return !r->call;
	default:
		return ret >= 0;
	}
}

static int server_reply_recv(struct ipc_endpoint *ep, struct ipc_msg *req, uint32_t len,
			     int32_t result, struct ipc_msg *next, uint64_t deadline)
{
	struct msgc_own *own = ep->area[MSGC_OWN];
	struct msgc_reply r = { .call = *call_id(req), .len = len, .status = result };
	int ret = ipc_server_answer(ep, req, len);

	if (ret)
		return ret;
	own->deadline = deadline;
	ret = sys_ioctl(ep->fd, MSGC_REPLY_RECV, &r);
	if (replied(ret, &r))
		ipc_server_gave_back(req);
	if (ret < 0)
		return ret;
	ret = ipc_server_fill(ep, (uint32_t)ret, next);
	return ret ? ret : 1;
}

bool ipc_server_holds(struct ipc_endpoint *ep, const struct ipc_msg *req)
{
	return held_call(ep, req);
}

/* An entry that a completion names; not if it has been given as unseen already. */
int ipc_server_received(struct ipc_endpoint *ep, int32_t res, struct ipc_msg *m)
{
	struct server *s = server_of(ep);

	if (res == -ECANCELED)
		s->unseen = true;
	if (res < 0)
		return res;
	if ((uint32_t)res >= s->entries)
		return -EINVAL;
	if (s->told[res] && s->told[res] == held(ep, (uint32_t)res)->call)
		return -EAGAIN;
	res = ipc_server_fill(ep, (uint32_t)res, m);
	return res ? res : 1;
}

static bool oneway(struct ipc_endpoint *ep, const struct ipc_msg *m)
{
	const struct msgc_held *h = held_call(ep, m);

	return h && h->flags & MSGC_M_ONEWAY;
}

static int server_release(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n)
{
	int ret = 0;

	for (unsigned int i = 0; i < n; i++)
		if (m[i].data && !oneway(ep, &m[i]))
			return -EINVAL;
	for (unsigned int i = 0; !ret && i < n; i++)
		if (m[i].data)
			ret = server_reply(ep, &m[i], 0, 0);
	return ret;
}

static int server_gone(struct ipc_endpoint *ep, const struct ipc_msg *req)
{
	const struct msgc_held *h = held_call(ep, req);

	if (!h)
		return -ENOENT;
	return !!(__atomic_load_n(&h->flags, __ATOMIC_RELAXED) & MSGC_M_GONE);
}

static int server_files(struct ipc_endpoint *ep, const struct ipc_msg *m, struct ipc_files *out)
{
	const struct msgc_held *h = held_call(ep, m);

	if (!h)
		return -ENOENT;
	*out = (struct ipc_files){
		.fds = h->fds,
		.untaken = &server_of(ep)->untaken[entry_of(m->priv[0])],
		.truncated = __atomic_load_n(&h->flags, __ATOMIC_RELAXED) & MSGC_M_FDS_TRUNCATED,
	};
	return 0;
}

static int server_finish(struct ipc_endpoint *ep)
{
	struct server *s = server_of(ep);

	for (uint32_t i = 0; i < s->entries; i++)
		ipc_files_close(held(ep, i)->fds, &s->untaken[i]);
	return 0;
}

static size_t server_size(const struct msgc_attach *at)
{
	return sizeof(struct server) + at->held * (sizeof(uint64_t) + sizeof(uint8_t));
}

static void server_init(struct ipc_endpoint *ep, const struct msgc_info *info,
			const struct msgc_attach *at, const struct ipc_attach *how)
{
	struct server *s = server_of(ep);
	struct msgc_own *own = ep->area[MSGC_OWN];

	(void)how;
	ep->seen = (uint64_t *)&own->seen;
	s->max_receivers = at->max_receivers;
	s->entries = at->held;
	s->untaken = (uint8_t *)&s->told[at->held];
	s->request = info->request;
	s->reply = info->reply;
	s->request_stride = at->area[MSGC_DATA].stride;
	s->reply_stride = at->area[MSGC_PEER].stride;
}

const struct ipc_kind ipc_server = {
	.prot = {
		[MSGC_STATUS]	= PROT_READ,
		[MSGC_OWN]	= PROT_READ | PROT_WRITE,
		[MSGC_INBOX]	= PROT_READ,
		[MSGC_DATA]	= PROT_READ,
		[MSGC_PEER]	= PROT_READ | PROT_WRITE,
	},
	.size		= server_size,
	.init		= server_init,
	.finish		= server_finish,
	.recv		= server_recv,
	.release	= server_release,
	.reply		= server_reply,
	.reply_recv	= server_reply_recv,
	.gone		= server_gone,
	.files		= server_files,
};
