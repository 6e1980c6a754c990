// SPDX-License-Identifier: MIT
/* Channels and endpoints of libipc, or the reason why there are none; a server. */
#include "library.h"

struct ipc_channel *new_channel(const struct ipc_options *opt)
{
	struct ipc_channel *channel;
	int err = ipc_create(NULL, opt, &channel);

	if (err)
		die("cannot create a channel: %s", ipc_strerror(err));
	return channel;
}

struct ipc_endpoint *new_endpoint(struct ipc_channel *channel, const struct ipc_attach *how)
{
	struct ipc_endpoint *ep;
	int err = ipc_attach(channel, how, &ep);

	if (err)
		die("no endpoint: %s", ipc_strerror(err));
	return ep;
}

void failed(struct ipc_endpoint *ep, int err, const char *what)
{
	char why[256];

	ipc_why(ep, err, why, sizeof(why));
	die("%s: %s", what, why);
}

void serve_calls(struct ipc_endpoint *ep, uint64_t n, uint32_t len,
		 void (*work)(void *with, struct ipc_msg *msg), void *with)
{
	struct ipc_msg msg;

	must(ep, ipc_recv(ep, &msg, 1, IPC_FOREVER), "recv");
	while (--n) {
		work(with, &msg);
		must(ep, ipc_reply_recv(ep, &msg, len, 0, &msg, IPC_FOREVER), "reply_recv");
	}
	work(with, &msg);
	must(ep, ipc_reply(ep, &msg, len, 0), "reply");
}
