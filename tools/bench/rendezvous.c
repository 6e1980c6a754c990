// SPDX-License-Identifier: MIT
/*
 * msgchan-rendezvous: calls through the public API of libipc, request and reply written and read
 * in place. A round trip is one ipc_call() of the client and one ipc_reply_recv() of the server,
 * with a deadline that is never reached.
 */
#include <errno.h>
#include <stdlib.h>

#include <libipc.h>

#include "payload.h"

#define DEADLINE UINT64_C(600000000000)	/* ns: longer than any run may take */

struct link {
	struct ipc_channel *channel;
};

struct end {
	struct ipc_endpoint *ep;
	struct ipc_msg msg;		/* client: the call; server: the request that it has */
	uint64_t deadline;
};

static void *create(const struct shape *shape)
{
	struct ipc_options opt = {
		.size = sizeof(opt), .mode = IPC_RENDEZVOUS,
		.request = shape->size, .reply = shape->size,
		.max_senders = shape->places > 64 ? shape->places : 64,
	};
	struct link *link = malloc(sizeof(*link));
	int err;

	if (!link)
		die_errno(ENOMEM, "link");
	err = ipc_create(NULL, &opt, &link->channel);
	if (err)
		die("no channel: %s", ipc_strerror(err));
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
		.size = sizeof(how), .role = sender ? IPC_SENDER : IPC_RECEIVER,
	};
	struct end *end = calloc(1, sizeof(*end));
	int err;

	if (!end)
		die_errno(ENOMEM, "end");
	err = ipc_attach(link->channel, &how, &end->ep);
	if (err)
		die("no endpoint: %s", ipc_strerror(err));
	end->deadline = ipc_in(DEADLINE);
	return end;
}

static void detach(void *of)
{
	struct end *end = of;

	ipc_detach(end->ep);
	free(end);
}

static inline void must(struct end *end, int ret, const char *what)
{
	char why[256];

	if (ret >= 0)
		return;
	ipc_why(end->ep, ret, why, sizeof(why));
	die("%s: %s", what, why);
}

static void call(void *of, struct source *from, struct sink *to)
{
	struct end *end = of;
	struct ipc_msg *msg = &end->msg;

	must(end, ipc_reserve(end->ep, msg, (uint32_t)from->size, end->deadline), "reserve");
	msg->reply_cap = (uint32_t)to->size;
	fill(from, msg->data);
	must(end, ipc_call(end->ep, msg, msg, end->deadline), "call");
	if (msg->len != to->size)
		die("an answer of %u bytes", msg->len);
	check(to, msg->data);
	must(end, ipc_release(end->ep, msg, 1), "release");
}

static void serve(void *of, struct sink *to, struct source *from, bool last)
{
	struct end *end = of;
	struct ipc_msg *msg = &end->msg;
	uint32_t len = (uint32_t)from->size;

	if (!msg->data)
		must(end, ipc_recv(end->ep, msg, 1, end->deadline), "recv");
	if (msg->len != to->size)
		die("a request of %u bytes", msg->len);
	check(to, msg->data);
	fill(from, msg->reply);
	if (last)
		must(end, ipc_reply(end->ep, msg, len, 0), "reply");
	else
		must(end, ipc_reply_recv(end->ep, msg, len, 0, msg, end->deadline), "reply_recv");
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
