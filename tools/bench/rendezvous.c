// SPDX-License-Identifier: MIT
/*
 * msgchan-rendezvous, msgchan-rendezvous-spin: calls through the public API of libipc, request and
 * reply written and read in place. A round trip is one ipc_call() of the client and one
 * ipc_reply_recv() of the server, with a deadline that is never reached. Who waits sleeps; of the
 * second, it looks before, as long as the kernel lets it.
 */
#include <errno.h>
#include <stdlib.h>

#include "library.h"
#include "payload.h"

#define DEADLINE UINT64_C(600000000000)	/* ns: longer than any run may take */
#define SPIN 1000000			/* ns */

struct end {
	struct ipc_endpoint *ep;
	struct ipc_msg msg;		/* client: the call; server: the request that it has */
	uint64_t deadline;
};

static struct ipc_channel *channel_for(const struct shape *shape, uint64_t spin_ns)
{
	return new_channel(&(struct ipc_options){
		.size = sizeof(struct ipc_options), .mode = IPC_RENDEZVOUS,
		.request = shape->size, .reply = shape->size, .spin_ns = spin_ns,
		.max_senders = shape->places > 64 ? shape->places : 64,
	});
}

static void *create(const struct shape *shape)
{
	return channel_for(shape, 0);
}

static void *create_spinning(const struct shape *shape)
{
	return channel_for(shape, SPIN);
}

static void destroy(void *channel)
{
	ipc_close(channel);
}

static void *attach(void *channel, bool sender)
{
	struct end *end = calloc(1, sizeof(*end));

	if (!end)
		die_errno(ENOMEM, "end");
	end->ep = new_endpoint(channel, &(struct ipc_attach){
		.size = sizeof(struct ipc_attach), .role = sender ? IPC_SENDER : IPC_RECEIVER,
	});
	end->deadline = ipc_in(DEADLINE);
	return end;
}

static void detach(void *of)
{
	struct end *end = of;

	ipc_detach(end->ep);
	free(end);
}

static void call(void *of, struct source *from, struct sink *to)
{
	struct end *end = of;
	struct ipc_endpoint *ep = end->ep;
	struct ipc_msg *msg = &end->msg;

	must(ep, ipc_reserve(ep, msg, (uint32_t)from->size, end->deadline), "reserve");
	msg->reply_cap = (uint32_t)to->size;
	fill(from, msg->data);
	must(ep, ipc_call(ep, msg, msg, end->deadline), "call");
	if (msg->len != to->size)
		die("an answer of %u bytes", msg->len);
	check(to, msg->data);
	must(ep, ipc_release(ep, msg, 1), "release");
}

static void serve(void *of, struct sink *to, struct source *from, bool last)
{
	struct end *end = of;
	struct ipc_endpoint *ep = end->ep;
	struct ipc_msg *msg = &end->msg;
	uint32_t len = (uint32_t)from->size;

	if (!msg->data)
		must(ep, ipc_recv(ep, msg, 1, end->deadline), "recv");
	if (msg->len != to->size)
		die("a request of %u bytes", msg->len);
	check(to, msg->data);
	fill(from, msg->reply);
	if (last)
		must(ep, ipc_reply(ep, msg, len, 0), "reply");
	else
		must(ep, ipc_reply_recv(ep, msg, len, 0, msg, end->deadline), "reply_recv");
}

const struct transport msgchan_rendezvous = {
	.name		= "msgchan-rendezvous",
	.create		= create,
	.destroy	= destroy,
	.attach		= attach,
	.detach		= detach,
	.call		= call,
	.serve		= serve,
};

const struct transport msgchan_rendezvous_spin = {
	.name		= "msgchan-rendezvous-spin",
	.polled		= true,
	.create		= create_spinning,
	.destroy	= destroy,
	.attach		= attach,
	.detach		= detach,
	.call		= call,
	.serve		= serve,
};
