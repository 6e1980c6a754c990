// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Ring mode: the engine (tx.c, rx.c) on an endpoint's mappings, with commands for its callbacks. */
#include <string.h>

#include "internal.h"
#include "ring.h"

/* The engine's memory follows this. */
struct ring_priv {
	struct ipc_ring_map map;
	bool *kick;		/* not NULL: who has to be woken is woken by somebody else */
	union {
		struct ipc_tx *tx;
		struct ipc_rx *rx;
		struct ipc_obs *obs;
	};
	_Alignas(64) unsigned char engine[];
};

/*
 * The engine has looked and found nothing, so a deadline that has passed ends the wait: a peer that
 * makes the kernel say yes again and again, for nothing, must not hold anybody beyond it.
 */
static int ring_wait(void *ctx, unsigned int events, uint64_t deadline)
{
	if (deadline != IPC_NOW && deadline != IPC_FOREVER && ipc_in(0) >= deadline)
		return -ETIMEDOUT;
	return ipc_endpoint_wait(ctx, events, deadline);
}

static int ring_kick(void *ctx)
{
	struct ipc_endpoint *ep = ctx;
	struct ring_priv *p = ep->priv;
	struct msgc_none none = { 0 };

	if (p->kick) {
		*p->kick = true;
		return 0;
	}
	return sys_ioctl(ep->fd, MSGC_KICK, &none);
}

static int ring_refuse(void *ctx, uint32_t peer)
{
	struct ipc_endpoint *ep = ctx;
	struct msgc_refuse refuse = { .peer = peer };

	return sys_ioctl(ep->fd, MSGC_REFUSE, &refuse);
}

static const struct ipc_ring_ops ring_ops = {
	.wait	= ring_wait,
	.kick	= ring_kick,
	.refuse	= ring_refuse,
};

void ipc_fill_ring_map(struct ipc_ring_map *map, const struct ipc_endpoint *ep,
		       const struct msgc_attach *at)
{
	*map = (struct ipc_ring_map){
		.status		= ep->area[MSGC_STATUS],
		.own		= ep->area[MSGC_OWN],
		.data		= ep->area[MSGC_DATA],
		.peer		= ep->area[MSGC_PEER],
		.data_stride	= at->area[MSGC_DATA].stride,
		.peer_stride	= at->area[MSGC_PEER].stride,
		.ring		= at->ring,
		.id		= at->id,
		.number		= at->number,
	};
}

/* A look at shared memory and a pause take about this long; the engine counts looks. */
#define LOOK_NS 50

static unsigned int looks(uint64_t spin_ns)
{
	uint64_t n = spin_ns / LOOK_NS;

	if (spin_ns == UINT64_MAX)
		return IPC_SPIN_FOREVER;
	return n < IPC_SPIN_FOREVER ? (unsigned int)n : IPC_SPIN_FOREVER - 1;
}

/* ---- sender ---- */

static struct ipc_tx *tx_of(struct ipc_endpoint *ep)
{
	return ((struct ring_priv *)ep->priv)->tx;
}

static size_t sender_size(const struct msgc_attach *at)
{
	(void)at;
	return sizeof(struct ring_priv) + ipc_tx_size();
}

static void sender_init(struct ipc_endpoint *ep, const struct msgc_info *info,
			const struct msgc_attach *at, const struct ipc_attach *how)
{
	struct ring_priv *p = ep->priv;
	struct msgc_control *control;

	(void)info;
	control = (void *)((char *)ep->area[MSGC_OWN] + MSGC_CONTROL_AT(at->number));
	ep->seen = (uint64_t *)&control->seen;
	ipc_fill_ring_map(&p->map, ep, at);
	p->map.timed = how->flags & IPC_TIMED;
	p->tx = ipc_tx_init(p->engine, &p->map, &ring_ops, ep, looks(how->spin_ns));
}

static int sender_finish(struct ipc_endpoint *ep)
{
	return ipc_tx_finish(tx_of(ep));
}

static int sender_reserve(struct ipc_endpoint *ep, struct ipc_msg *m, uint32_t len,
			  uint64_t deadline)
{
	if (ipc_has_files(m))
		return -EOPNOTSUPP;
	return ipc_tx_reserve(tx_of(ep), m, len, deadline);
}

static int sender_commit(struct ipc_endpoint *ep, struct ipc_msg *m)
{
	return ipc_tx_commit(tx_of(ep), m);
}

static int sender_abandon(struct ipc_endpoint *ep, struct ipc_msg *m)
{
	return ipc_tx_abandon(tx_of(ep), m);
}

static int sender_publish(struct ipc_endpoint *ep)
{
	return ipc_tx_publish(tx_of(ep));
}

int ipc_sender_publish(struct ipc_endpoint *ep, bool *kick)
{
	struct ring_priv *p = ep->priv;
	int ret;

	*kick = false;
	p->kick = kick;
	ret = ipc_tx_publish(p->tx);
	p->kick = NULL;
	return ret;
}

static int sender_send(struct ipc_endpoint *ep, struct ipc_msg *m, uint64_t deadline)
{
	struct ipc_msg record;		/* only what is used of it is set */
	int ret;

	if (ipc_has_files(m))
		return -EOPNOTSUPP;
	ret = ipc_tx_reserve(tx_of(ep), &record, m->len, deadline);
	if (ret < 0)
		return ret;
	record.type = m->type;
	record.format = m->format;
	record.cookie = m->cookie;
	record.time = m->time;
	if (m->len)
		memcpy(record.data, m->data, m->len);
	ret = ipc_tx_commit(tx_of(ep), &record);
	return ret < 0 ? ret : ipc_tx_publish(tx_of(ep));
}

static int sender_drain(struct ipc_endpoint *ep, uint64_t deadline)
{
	return ipc_tx_drain(tx_of(ep), deadline);
}

static int sender_drop(struct ipc_endpoint *ep, uint64_t n)
{
	ipc_tx_dropped(tx_of(ep), n);
	return 0;
}

const struct ipc_kind ipc_ring_sender = {
	.prot = {
		[MSGC_STATUS]	= PROT_READ,
		[MSGC_OWN]	= PROT_READ | PROT_WRITE,
		[MSGC_DATA]	= PROT_READ | PROT_WRITE,
		[MSGC_PEER]	= PROT_READ,
	},
	.size		= sender_size,
	.init		= sender_init,
	.finish		= sender_finish,
	.reserve	= sender_reserve,
	.commit		= sender_commit,
	.abandon	= sender_abandon,
	.publish	= sender_publish,
	.send		= sender_send,
	.drain		= sender_drain,
	.drop		= sender_drop,
};

/* ---- what receivers of both kinds share ---- */

static struct ring_priv *init_receiver_map(struct ipc_endpoint *ep, const struct msgc_attach *at)
{
	struct msgc_slots *slots = ep->area[MSGC_OWN];
	struct ring_priv *p = ep->priv;

	ep->seen = (uint64_t *)&slots->own.seen;
	ipc_fill_ring_map(&p->map, ep, at);
	return p;
}

/* Of messages that are given back. */
static void forget_data(struct ipc_msg *m, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		m[i].data = NULL;
}

#define RECEIVER_PROT {				\
	[MSGC_STATUS]	= PROT_READ,		\
	[MSGC_OWN]	= PROT_READ | PROT_WRITE, \
	[MSGC_DATA]	= PROT_READ,		\
	[MSGC_PEER]	= PROT_READ,		\
}

/* ---- tethered receiver ---- */

static struct ipc_rx *rx_of(struct ipc_endpoint *ep)
{
	return ((struct ring_priv *)ep->priv)->rx;
}

static size_t receiver_size(const struct msgc_attach *at)
{
	return sizeof(struct ring_priv) + ipc_rx_size(at->max_senders);
}

static void receiver_init(struct ipc_endpoint *ep, const struct msgc_info *info,
			  const struct msgc_attach *at, const struct ipc_attach *how)
{
	struct ring_priv *p = init_receiver_map(ep, at);

	(void)info;
	p->rx = ipc_rx_init(p->engine, &p->map, &ring_ops, ep, looks(how->spin_ns));
}

static int receiver_recv(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n,
			 uint64_t deadline)
{
	return ipc_rx_recv(rx_of(ep), m, n, deadline);
}

static int receiver_release(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n)
{
	int ret = ipc_rx_release(rx_of(ep), m, n);

	if (ret == -EINVAL)
		return ret;
	forget_data(m, n);
	return ret;
}

const struct ipc_kind ipc_ring_receiver = {
	.prot		= RECEIVER_PROT,
	.size		= receiver_size,
	.init		= receiver_init,
	.recv		= receiver_recv,
	.release	= receiver_release,
};

/* ---- untethered receiver ---- */

static struct ipc_obs *obs_of(struct ipc_endpoint *ep)
{
	return ((struct ring_priv *)ep->priv)->obs;
}

static size_t observer_size(const struct msgc_attach *at)
{
	return sizeof(struct ring_priv) +
		ipc_obs_size(at->max_senders, at->area[MSGC_DATA].stride);
}

static void observer_init(struct ipc_endpoint *ep, const struct msgc_info *info,
			  const struct msgc_attach *at, const struct ipc_attach *how)
{
	struct ring_priv *p = init_receiver_map(ep, at);

	(void)info;
	p->obs = ipc_obs_init(p->engine, &p->map, &ring_ops, ep, looks(how->spin_ns));
}

static int observer_recv(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n,
			 uint64_t deadline)
{
	return ipc_obs_recv(obs_of(ep), m, n, deadline);
}

static int observer_release(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n)
{
	int ret = ipc_obs_release(obs_of(ep), m, n);

	if (ret < 0)
		return ret;
	forget_data(m, n);
	return 0;
}

const struct ipc_kind ipc_ring_observer = {
	.prot		= RECEIVER_PROT,
	.size		= observer_size,
	.init		= observer_init,
	.recv		= observer_recv,
	.release	= observer_release,
};
