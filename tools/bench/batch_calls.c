// SPDX-License-Identifier: MIT
/* Rounds of calls through the library, one by one and as a batch, and what they carry. */
#include <errno.h>
#include <string.h>

#include "batch.h"

void fill_number(void *data, uint64_t number)
{
	uint64_t *word = data;

	for (unsigned int i = 0; i < SIZE / sizeof(*word); i++)
		word[i] = number;
}

uint64_t read_number(const void *data, size_t size)
{
	const uint64_t *word = data;

	if (size != SIZE)
		die("a message of %zu bytes", size);
	for (unsigned int i = 1; i < SIZE / sizeof(*word); i++)
		if (word[i] != word[0])
			die("a corrupt message");
	return word[0];
}

void round_answered(struct round *round, const void *data, size_t size)
{
	uint64_t n = ~read_number(data, size) - round->first;

	if (n >= CALLS || round->seen & 1U << n)
		die("an answer to nothing, or for the second time");
	round->seen |= 1U << n;
}

void answer(struct ipc_msg *msg)
{
	fill_number(msg->reply, ~read_number(msg->data, msg->len));
}

void open_ring(struct io_uring *ring)
{
	int err = io_uring_queue_init(4 * CALLS, ring, IORING_SETUP_SINGLE_ISSUER |
				      IORING_SETUP_DEFER_TASKRUN);

	if (err == -EINVAL)
		err = io_uring_queue_init(4 * CALLS, ring, 0);
	if (err)
		die_errno(-err, "io_uring");
}

struct ipc_channel *calls_channel(unsigned int slots)
{
	return new_channel(&(struct ipc_options){
		.size = sizeof(struct ipc_options), .mode = IPC_RENDEZVOUS, .slots = slots,
		.request = SIZE, .reply = SIZE,
	});
}

struct ipc_endpoint *calls_endpoint(struct ipc_channel *channel, uint32_t role)
{
	return new_endpoint(channel, &(struct ipc_attach){
		.size = sizeof(struct ipc_attach), .role = role,
		.held = role == IPC_RECEIVER ? 2 * CALLS : 0,
	});
}

struct ipc_batch *new_batch(void)
{
	struct ipc_batch_options opt = {
		.size = sizeof(opt), .capacity = CALLS, .way = IPC_BATCH_URING,
	};
	struct ipc_batch *b;
	int err = ipc_batch_open(&opt, &b);

	if (err)
		die("no batch: %s", ipc_strerror(err));
	return b;
}

bool batches_offered(void)
{
	struct ipc_batch_options opt = { .size = sizeof(opt), .way = IPC_BATCH_URING };
	struct ipc_batch *b;

	if (ipc_batch_open(&opt, &b))
		return false;
	ipc_batch_close(b);
	return true;
}

static void request(struct ipc_endpoint *ep, struct ipc_msg *msg, uint64_t number)
{
	*msg = (struct ipc_msg){ .cookie = number };
	must(ep, ipc_reserve(ep, msg, SIZE, IPC_FOREVER), "reserve");
	fill_number(msg->data, number);
	msg->reply_cap = SIZE;
}

void call_each(struct ipc_endpoint *const *ep, unsigned int n, uint64_t first)
{
	struct round round = { .first = first };

	for (unsigned int i = 0; i < CALLS; i++) {
		struct ipc_msg msg;

		request(ep[i % n], &msg, first + i);
		must(ep[i % n], ipc_call(ep[i % n], &msg, &msg, IPC_FOREVER), "call");
		round_answered(&round, msg.data, msg.len);
		must(ep[i % n], ipc_release(ep[i % n], &msg, 1), "release");
	}
}

void call_batch(struct ipc_batch *b, struct ipc_endpoint *const *ep, unsigned int n,
		uint64_t first)
{
	struct round round = { .first = first };
	struct ipc_done done[CALLS];
	unsigned int left = CALLS;

	for (unsigned int i = 0; i < CALLS; i++) {
		struct ipc_msg msg;

		request(ep[i % n], &msg, first + i);
		must(ep[i % n], ipc_batch_call(b, ep[i % n], &msg, IPC_FOREVER), "batch");
	}
	while (left) {
		int got = ipc_batch_wait(b, left, IPC_FOREVER);

		if (!got)
			got = ipc_batch_reap(b, done, left, IPC_NOW);
		if (got < 0)
			die("reap: %s", ipc_strerror(got));
		for (int i = 0; i < got; i++) {
			must(done[i].ep, done[i].error, "call");
			round_answered(&round, done[i].msg.data, done[i].msg.len);
			must(done[i].ep, ipc_release(done[i].ep, &done[i].msg, 1), "release");
		}
		left -= (unsigned int)got;
	}
}
