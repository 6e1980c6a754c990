// SPDX-License-Identifier: MIT
/*
 * Case calls: what a call costs that should not depend on it: the size of what it passes, from 64 B
 * to 1 MiB both ways, and how many other clients of the channel do nothing. Nobody touches the
 * payload: what is measured is the kernel's part and the library's. On one CPU.
 */
#include "library.h"
#include "rounds.h"

#define SMALL	64U
#define LARGE	(1U << 20)
#define IDLE	1000U		/* clients */

static struct ipc_channel *channel;	/* of the present run */

static struct ipc_endpoint *attach(uint32_t role)
{
	return new_endpoint(channel, &(struct ipc_attach){
		.size = sizeof(struct ipc_attach), .role = role,
	});
}

struct caller {
	struct ipc_endpoint *ep;
	uint32_t size;
};

static void make_call(void *of, uint64_t number)
{
	const struct caller *c = of;
	struct ipc_endpoint *ep = c->ep;
	struct ipc_msg msg = { .cookie = number };

	must(ep, ipc_reserve(ep, &msg, c->size, IPC_FOREVER), "reserve");
	msg.reply_cap = c->size;
	must(ep, ipc_call(ep, &msg, &msg, IPC_FOREVER), "call");
	if (msg.len != c->size)
		die("an answer of %u bytes", msg.len);
	must(ep, ipc_release(ep, &msg, 1), "release");
}

static void client(struct process *me)
{
	const struct rounds *r = me->job;
	unsigned int n_idle = r->record.peers - 2;
	struct caller c = { .size = (uint32_t)r->record.size };
	struct ipc_endpoint *idle[IDLE];

	for (unsigned int i = 0; i < n_idle; i++)
		idle[i] = attach(IPC_SENDER);
	c.ep = attach(IPC_SENDER);
	make_rounds(me, make_call, &c);
	ipc_detach(c.ep);
	for (unsigned int i = 0; i < n_idle; i++)
		ipc_detach(idle[i]);
}

static void leave(void *with, struct ipc_msg *msg)
{
	(void)with;
	(void)msg;
}

static void server(struct process *me)
{
	const struct rounds *r = me->job;
	struct ipc_endpoint *ep = attach(IPC_RECEIVER);

	meet(me);
	serve_calls(ep, all_rounds(r), (uint32_t)r->record.size, leave, NULL);
	meet(me);
	ipc_detach(ep);
}

static void run(struct rounds *r)
{
	channel = new_channel(&(struct ipc_options){
		.size = sizeof(struct ipc_options), .mode = IPC_RENDEZVOUS, .max_senders = 1024,
		.slots = 1, .request = r->record.size, .reply = r->record.size,
	});
	run_rounds(r, client, server, 1);
	ipc_close(channel);
}

static struct rounds rounds(size_t size, unsigned int idle)
{
	return (struct rounds){
		.record = {
			.name = "calls", .transport = "msgchan-rendezvous", .size = size,
			.peers = 2 + idle, .batch = 1,
		},
		.run = run, .ops = 1,
	};
}

void case_calls(void)
{
	struct rounds r[] = { rounds(SMALL, 0), rounds(LARGE, 0), rounds(SMALL, IDLE) };

	if (!settings.count_syscalls)
		measure_rounds(r, ARRAY_SIZE(r));
}
