// SPDX-License-Identifier: MIT
/*
 * ring_bench - what a message costs through the public functions, on plain memory, beside a bare
 * ring: one writer, one reader, fixed slots, no header, no check, no full barrier. Everybody polls;
 * payloads are written and read in full. No test: it prints the best of many short runs, as the
 * machine may be busy.
 *
 * usage: ring_bench [BATCH]	only the library, in one thread, once (to count instructions)
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"
#include "messages.h"

#define MESSAGES	20000U
#define RUNS		60
#define LEN		64U
#define SLOTS		4096U
#define RING		((uint64_t)SLOTS * LEN)	/* bytes, of either kind */

static const char payload[LEN] = "payload";

/* One writer and one reader, with what each of them knows. */
struct way {
	void (*put)(struct way *way, unsigned int n);
	unsigned int (*take)(struct way *way, unsigned int max);
	struct ipc_endpoint *tx, *rx;
	struct chan *chan;
	uint64_t next, limit, apart0[14];	/* writer's; each on a line of its own */
	uint64_t done, sum, apart1[14];		/* reader's */
	uint64_t tail, apart2[15];
	uint64_t head, apart3[15];
	char slot[SLOTS][LEN];
};

static struct way bare[2], full[2];	/* there and back */

static uint64_t sum_of(const void *data)
{
	const uint64_t *word = data;
	uint64_t sum = 0;

	for (unsigned int i = 0; i < LEN / 8; i++)
		sum += word[i];
	return sum;
}

/* ---- a bare ring ---- */

static void bare_put(struct way *way, unsigned int n)
{
	while (way->next + n > way->limit)
		way->limit = __atomic_load_n(&way->head, __ATOMIC_ACQUIRE) + SLOTS;
	for (unsigned int i = 0; i < n; i++)
		memcpy(way->slot[way->next++ % SLOTS], payload, LEN);
	__atomic_store_n(&way->tail, way->next, __ATOMIC_RELEASE);
}

static unsigned int bare_take(struct way *way, unsigned int max)
{
	uint64_t ready = __atomic_load_n(&way->tail, __ATOMIC_ACQUIRE) - way->done;
	unsigned int n = ready < max ? (unsigned int)ready : max;

	if (!n)
		return 0;
	for (unsigned int i = 0; i < n; i++)
		way->sum += sum_of(way->slot[way->done++ % SLOTS]);
	__atomic_store_n(&way->head, way->done, __ATOMIC_RELEASE);
	return n;
}

/* ---- the library ---- */

static void full_put(struct way *way, unsigned int n)
{
	struct ipc_msg msg = { 0 };

	for (unsigned int i = 0; i < n; i++) {
		while (ipc_reserve(way->tx, &msg, LEN, IPC_NOW))
			;
		memcpy(msg.data, payload, LEN);
		ipc_commit(way->tx, &msg);
	}
	ipc_publish(way->tx);
}

static unsigned int full_take(struct way *way, unsigned int max)
{
	static _Thread_local struct ipc_msg msg[64];
	int got = ipc_recv(way->rx, msg, max, IPC_NOW);

	if (got <= 0)
		return 0;
	for (int i = 0; i < got; i++)
		way->sum += sum_of(msg[i].data);
	ipc_release(way->rx, msg, (unsigned int)got);
	return (unsigned int)got;
}

/* An endpoint as ipc_attach() makes it, on the fake kernel's memory. */
static struct ipc_endpoint *endpoint(const struct ipc_kind *kind, struct peer *peer)
{
	struct msgc_attach at = {
		.id = peer->map.id, .number = peer->map.number, .ring = peer->map.ring,
		.max_senders = peer->chan->max_senders,
		.area[MSGC_DATA].stride = peer->map.data_stride,
		.area[MSGC_PEER].stride = peer->map.peer_stride,
	};
	struct ipc_attach how = { 0 };
	size_t size = FAKE_PAGE + (kind->size(&at) + FAKE_PAGE - 1) / FAKE_PAGE * FAKE_PAGE;
	struct ipc_endpoint *ep = aligned_alloc(FAKE_PAGE, size);

	memset(ep, 0, size);
	ep->fd = -1;
	ep->priv = (char *)ep + FAKE_PAGE;
	ep->area[MSGC_STATUS] = (void *)(uintptr_t)peer->map.status;
	ep->area[MSGC_OWN] = peer->map.own;
	ep->area[MSGC_DATA] = peer->map.data;
	ep->area[MSGC_PEER] = (void *)(uintptr_t)peer->map.peer;
	kind->init(ep, NULL, &at, &how);
	ep->kind = kind;
	return ep;
}

static void way_open(struct way *way, bool library)
{
	struct peer *receiver, *sender;

	*way = (struct way){ .put = bare_put, .take = bare_take };
	if (!library)
		return;
	way->put = full_put;
	way->take = full_take;
	way->chan = chan_new(1, RING);
	receiver = join_receiver(way->chan, 0, 0);
	sender = join_sender(way->chan, RING, 0);
	way->tx = endpoint(&ipc_ring_sender, sender);
	way->rx = endpoint(&ipc_ring_receiver, receiver);
}

/* ---- runs ---- */

static double in_one_thread(struct way *way, unsigned int batch)
{
	uint64_t start = now_ns();

	for (unsigned int n = 0; n < MESSAGES; n += batch) {
		way->put(way, batch);
		way->take(way, batch);
	}
	return (double)(now_ns() - start) / MESSAGES;
}

static void pin(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

struct run {
	struct way *there, *back;	/* back: NULL for one way */
	unsigned int batch;
	unsigned int started;
};

static void take_all(struct way *way, unsigned int n, unsigned int batch)
{
	while (n)
		n -= way->take(way, batch < n ? batch : n);
}

static void *other_end(void *arg)
{
	struct run *run = arg;

	pin(1);
	__atomic_store_n(&run->started, 1, __ATOMIC_SEQ_CST);
	if (!run->back)
		take_all(run->there, MESSAGES, run->batch);
	for (unsigned int n = 0; run->back && n < MESSAGES; n++) {
		take_all(run->there, 1, 1);
		run->back->put(run->back, 1);
	}
	return NULL;
}

/* A message, or a round trip, between two processors. */
static double on_two_cpus(struct way *there, struct way *back, unsigned int batch)
{
	struct run run = { .there = there, .back = back, .batch = batch };
	pthread_t thread;
	uint64_t start;

	pthread_create(&thread, NULL, other_end, &run);
	while (!__atomic_load_n(&run.started, __ATOMIC_SEQ_CST))
		sched_yield();
	start = now_ns();
	for (unsigned int n = 0; n < MESSAGES; n += batch) {
		there->put(there, batch);
		if (back)
			take_all(back, 1, 1);
	}
	pthread_join(thread, NULL);
	return (double)(now_ns() - start) / MESSAGES;
}

static double smaller(double a, double b)
{
	return a && a < b ? a : b;
}

static void print(const char *what, unsigned int batch, double plain, double library)
{
	printf("%-12s batch %2u: bare %6.1f ns, library %6.1f ns, %.2f of bare's speed\n", what,
	       batch, plain, library, plain / library);
}

static double run_once(struct way ways[2], unsigned int batch, bool two, bool round_trip)
{
	if (!two)
		return in_one_thread(&ways[0], batch);
	return on_two_cpus(&ways[0], round_trip ? &ways[1] : NULL, batch);
}

static void compare(const char *what, unsigned int batch, bool two, bool round_trip)
{
	double plain = 0, library = 0;

	for (int i = 0; i < RUNS; i++) {
		plain = smaller(plain, run_once(bare, batch, two, round_trip));
		library = smaller(library, run_once(full, batch, two, round_trip));
	}
	print(what, batch, plain, library);
}

int main(int argc, char **argv)
{
	static const unsigned int batches[] = { 1, 8, 32 };

	for (int i = 0; i < 2; i++) {
		way_open(&bare[i], false);
		way_open(&full[i], true);
	}
	if (argc > 1)
		return in_one_thread(&full[0], (unsigned int)atoi(argv[1])) == 0;
	pin(0);
	for (size_t i = 0; i < sizeof(batches) / sizeof(*batches); i++)
		compare("one thread", batches[i], false, false);
	for (size_t i = 0; i < sizeof(batches) / sizeof(*batches); i++)
		compare("two CPUs", batches[i], true, false);
	compare("round trip", 1, true, true);
	return 0;
}
