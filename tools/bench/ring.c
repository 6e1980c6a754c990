// SPDX-License-Identifier: MIT
/*
 * msgchan-ring, msgchan-ring-polled: a ring channel through the public API of libipc, messages
 * written and read in place. The first sleeps when there is nothing to do, with the library's
 * default of looking before; the second never sleeps.
 */
#include <errno.h>
#include <stdlib.h>

#include "library.h"
#include "payload.h"

struct link {
	struct ipc_channel *channel;
	struct shape shape;
};

struct end {
	struct ipc_endpoint *ep;
	struct ipc_msg msg[MAX_BATCH];
};

static void *create(const struct shape *shape)
{
	struct ipc_options opt = {
		.size = sizeof(opt),
		.mode = IPC_RING,
		.max_senders = shape->places > 64 ? shape->places : 64,
		.ring_max = ring_bytes(shape),
	};
	struct link *link = malloc(sizeof(*link));

	if (!link)
		die_errno(ENOMEM, "link");
	link->shape = *shape;
	link->channel = new_channel(&opt);
	return link;
}

static void destroy(void *of)
{
	struct link *link = of;

	ipc_close(link->channel);
	free(link);
}

static void *attach(void *to, bool sender)
{
	const struct link *link = to;
	struct ipc_attach how = {
		.size = sizeof(how),
		.role = sender ? IPC_SENDER : IPC_RECEIVER,
		.ring = sender ? ring_bytes(&link->shape) : 0,
	};
	struct end *end = calloc(1, sizeof(*end));

	if (!end)
		die_errno(ENOMEM, "end");
	end->ep = new_endpoint(link->channel, &how);
	return end;
}

static void detach(void *of)
{
	struct end *end = of;

	ipc_detach(end->ep);
	free(end);
}

static inline void reserve(struct end *end, struct ipc_msg *msg, uint32_t size, bool polled)
{
	int err;

	for (;;) {
		err = ipc_reserve(end->ep, msg, size, polled ? IPC_NOW : IPC_FOREVER);
		if (!err)
			return;
		if (err != -EAGAIN)
			failed(end->ep, err, "reserve");
		relax();
	}
}

static inline void send_batch(struct end *end, struct source *from, unsigned int n, bool polled)
{
	struct ipc_msg *msg = end->msg;

	for (unsigned int i = 0; i < n; i++) {
		reserve(end, &msg[i], (uint32_t)from->size, polled);
		fill(from, msg[i].data);
		must(end->ep, ipc_commit(end->ep, &msg[i]), "commit");
	}
	must(end->ep, ipc_publish(end->ep), "publish");
}

static inline unsigned int recv_batch(struct end *end, struct sink *to, unsigned int n, bool polled)
{
	int got;

	while ((got = ipc_recv(end->ep, end->msg, n, polled ? IPC_NOW : IPC_FOREVER)) == -EAGAIN)
		relax();
	must(end->ep, got, "recv");
	for (int i = 0; i < got; i++) {
		if (end->msg[i].len != to->size)
			die("a message of %u bytes", end->msg[i].len);
		check(to, end->msg[i].data);
	}
	must(end->ep, ipc_release(end->ep, end->msg, (unsigned int)got), "release");
	return (unsigned int)got;
}

static void send_sleeping(void *end, struct source *from, unsigned int n)
{
	send_batch(end, from, n, false);
}

static unsigned int recv_sleeping(void *end, struct sink *to, unsigned int n)
{
	return recv_batch(end, to, n, false);
}

static void send_polled(void *end, struct source *from, unsigned int n)
{
	send_batch(end, from, n, true);
}

static unsigned int recv_polled(void *end, struct sink *to, unsigned int n)
{
	return recv_batch(end, to, n, true);
}

const struct transport msgchan_ring = {
	.name		= "msgchan-ring",
	.create		= create,
	.destroy	= destroy,
	.attach		= attach,
	.detach		= detach,
	.send		= send_sleeping,
	.recv		= recv_sleeping,
};

const struct transport msgchan_ring_polled = {
	.name		= "msgchan-ring-polled",
	.polled		= true,
	.create		= create,
	.destroy	= destroy,
	.attach		= attach,
	.detach		= detach,
	.send		= send_polled,
	.recv		= recv_polled,
};

bool ring_offers(unsigned int delivery, unsigned int senders)
{
	struct ipc_options opt = {
		.size = sizeof(opt), .mode = IPC_RING, .delivery = delivery, .max_senders = senders,
	};
	struct ipc_channel *channel;
	int err = ipc_create(NULL, &opt, &channel);

	if (err == -EOPNOTSUPP)
		return false;
	if (err)
		die("cannot create a channel: %s", ipc_strerror(err));
	ipc_close(channel);
	return true;
}
