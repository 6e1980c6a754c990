// SPDX-License-Identifier: MIT
/*
 * flow - very many messages between processes: none lost, duplicated, reordered or changed.
 *
 * STRESS_MESSAGES: how many in all (default: few enough for a few seconds). Sizes, batches and
 * pauses are random; every byte is checked. How many messages woke a sleeper is counted by the
 * kernel, not assumed.
 */
#include <poll.h>
#include <sched.h>

#include "stress.h"

#define SENDERS		16U
#define RECEIVERS	8U
#define BATCH		64U

enum how { BY_RECV, BY_POLL };

struct topology {
	const char *name;
	unsigned int senders, receivers;
	uint32_t delivery, flags;	/* flags: of the receivers' ATTACH */
	uint64_t ring;
	unsigned int share;		/* of all, in 1/1000; what is not built everywhere: more */
	unsigned int batch;		/* most to publish at once */
	unsigned int one_pause_in;	/* batches, of each side */
	enum how how;
	bool in_turn;			/* on one CPU: the receiver sleeps after each batch */
};

static const struct topology topologies[] = {
	{ "one to one, batches", 1, 1, IPC_EXCLUSIVE, 0, 1 << 18, 858, 64, 8192, BY_RECV, false },
	{ "one to one, one by one in turn", 1, 1, IPC_EXCLUSIVE, 0, 1 << 16, 12, 1, 1024,
	  BY_RECV, true },
	{ "one to one, polled", 1, 1, IPC_EXCLUSIVE, 0, 1 << 16, 5, 4, 1024, BY_POLL, false },
	{ "one to one, a ring too small", 1, 1, IPC_EXCLUSIVE, 0, 4096, 15, 16, 1024, BY_RECV,
	  false },
	{ "eight to one", 8, 1, IPC_EXCLUSIVE, 0, 1 << 16, 100, 64, 1024, BY_RECV, false },
	{ "sixteen to one, polled", 16, 1, IPC_EXCLUSIVE, 0, 1 << 14, 10, 8, 256, BY_POLL, false },
	{ "one to four, broadcast", 1, 4, IPC_BROADCAST, 0, 1 << 16, 20, 64, 1024, BY_RECV, false },
	{ "four to four, broadcast", 4, 4, IPC_BROADCAST, 0, 1 << 16, 10, 16, 256, BY_RECV, false },
	{ "two to four, untethered", 2, 4, IPC_BROADCAST, IPC_UNTETHERED, 1 << 16, 10, 64, 64,
	  BY_RECV, false },
	{ "four to four, balanced", 4, 4, IPC_BALANCED, 0, 1 << 16, 10, 16, 256, BY_RECV, false },
};

static const struct topology *now;
static struct ipc_channel *ch;
static uint64_t per_sender;
static atomic_uchar *got_bits;			/* balanced: a bit for each message */

static void maybe_pause(uint64_t *random)
{
	if (!random_below(random, now->one_pause_in))
		pause_us(random_below(random, 2000));
}

/* ---- senders ---- */

static void stay_on_one_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	EXPECT(sched_setaffinity(0, sizeof(set), &set) == 0);
}

/* It takes all that there is, and sleeps. Now and then the sender sleeps too, until it has. */
static void let_receiver_run(struct ipc_endpoint *ep, uint64_t *random)
{
	if (random_below(random, 16))
		sched_yield();
	else
		EXPECT(ipc_drain(ep, shared->deadline) == 0);
}

static void put(struct ipc_endpoint *ep, uint32_t stream, uint64_t number)
{
	uint64_t seed = seed_of(stream, number);
	struct ipc_msg msg = { 0 };
	int err = ipc_reserve(ep, &msg, len_of(seed, now->ring), shared->deadline);

	if (err)
		FAIL("reserve %lu: %s", (unsigned long)number, ipc_strerror(err));
	fill(&msg, seed);
	msg.cookie = (uint64_t)stream << NUMBER_BITS | number;
	EXPECT(ipc_commit(ep, &msg) == 0);
}

static void put_and_abandon(struct ipc_endpoint *ep, uint32_t stream, uint64_t number)
{
	struct ipc_msg pad = { 0 };
	int err = ipc_reserve(ep, &pad, 40, IPC_NOW);

	if (err) {
		EXPECT(err == -EAGAIN);
		return put(ep, stream, number);
	}
	EXPECT(ipc_abandon(ep, &pad) == 0);
	put(ep, stream, number);
}

static void sender(unsigned int me)
{
	struct ipc_endpoint *ep = attach(ch, IPC_SENDER, 0, now->ring);
	uint64_t random = me, sent = 0;

	if (now->in_turn)
		stay_on_one_cpu();
	while (atomic_load(&shared->attached) < now->senders + now->receivers)
		usleep(1000);
	while (sent < per_sender) {
		uint64_t n = 1 + random_below(&random, now->batch);

		n = n < per_sender - sent ? n : per_sender - sent;
		if (!random_below(&random, 16))
			put_and_abandon(ep, me, sent++), n--;
		while (n-- > 0)
			put(ep, me, sent++);
		EXPECT(ipc_publish(ep) == 0);
		if (now->in_turn)
			let_receiver_run(ep, &random);
		maybe_pause(&random);
	}
	if (!(now->flags & IPC_UNTETHERED))
		EXPECT(ipc_drain(ep, shared->deadline) == 0);
	detach(ep, IPC_SENDER);
}

/* ---- receivers ---- */

static uint64_t next[SENDERS], missed;
static uint32_t ids[SENDERS];

static void check_once(uint32_t stream, uint64_t number)
{
	uint64_t at = stream * per_sender + number;
	unsigned char bit = (unsigned char)(1U << at % 8);

	if (atomic_fetch_or(&got_bits[at / 8], bit) & bit)
		FAIL("message %lu of sender %u came twice", (unsigned long)number, stream);
}

static void check(const struct ipc_msg *msg)
{
	uint32_t stream = STREAM(msg->cookie);
	uint64_t number = NUMBER(msg->cookie);

	if (stream >= now->senders || number >= per_sender)
		FAIL("no message was ever like this: cookie %lx", (unsigned long)msg->cookie);
	if (!is_intact(msg, seed_of(stream, number), now->ring))
		FAIL("message %lu of sender %u is changed", (unsigned long)number, stream);
	if (ids[stream] && ids[stream] != msg->peer)
		FAIL("message %lu of sender %u came from another", (unsigned long)number, stream);
	ids[stream] = msg->peer;
	EXPECT(!(msg->flags & IPC_F_REDELIVERED) && msg->seq == number + 1);
	if (now->delivery == IPC_BALANCED) {
		EXPECT(number >= next[stream]);
		check_once(stream, number);
	} else if (number != next[stream] + msg->missed) {
		FAIL("message %lu of sender %u where %lu was due, %lu missed",
		     (unsigned long)number, stream, (unsigned long)next[stream],
		     (unsigned long)msg->missed);
	}
	if (!(now->flags & IPC_UNTETHERED))
		EXPECT(!msg->missed);
	missed += msg->missed;
	next[stream] = number + 1;
}

static bool is_unchanged(const struct ipc_msg *msg)
{
	return is_intact(msg, seed_of(STREAM(msg->cookie), NUMBER(msg->cookie)), now->ring);
}

/* As a whole, or one after the other: from behind, or from the front, when the rest must stay. */
static void release(struct ipc_endpoint *ep, struct ipc_msg *msg, unsigned int n, uint64_t *random)
{
	uint32_t way = random_below(random, 64);

	if (way > 1) {
		EXPECT(ipc_release(ep, msg, n) == 0);
		return;
	}
	for (unsigned int i = 0; i < n; i++) {
		struct ipc_msg *next_one = way ? &msg[i] : &msg[n - 1 - i];

		if (way)
			sched_yield();
		if (!is_unchanged(next_one))
			FAIL("a message changed while it was held");
		EXPECT(ipc_release(ep, next_one, 1) == 0);
	}
}

static int take(struct ipc_endpoint *ep, struct ipc_msg *msg, unsigned int n)
{
	struct pollfd fd = { .fd = ipc_fd(ep), .events = POLLIN };
	int got = ipc_recv(ep, msg, n, now->how == BY_POLL ? IPC_NOW : shared->deadline);

	if (got != -EAGAIN)
		return got;
	EXPECT(poll(&fd, 1, 1000 * (int)HANG_S) == 1);
	return 0;
}

static void receiver(unsigned int me)
{
	struct ipc_endpoint *ep = attach(ch, IPC_RECEIVER, now->flags, 0);
	uint64_t random = 1000 + me, sum = 0;
	struct ipc_msg msg[BATCH];
	int got;

	if (now->in_turn)
		stay_on_one_cpu();
	while ((got = take(ep, msg, 1 + random_below(&random, BATCH))) >= 0) {
		for (int i = 0; i < got; i++)
			check(&msg[i]);
		if (got)
			release(ep, msg, (unsigned int)got, &random);
		sum += (uint64_t)got;
		atomic_fetch_add(&shared->progress, (unsigned long)got);
		maybe_pause(&random);
	}
	if (got != -EPIPE)
		FAIL("recv: %s", ipc_strerror(got));
	for (unsigned int s = 0; s < now->senders && now->delivery != IPC_BALANCED; s++)
		if (now->flags & IPC_UNTETHERED)
			EXPECT(next[s] <= per_sender);
		else if (next[s] != per_sender)
			FAIL("sender %u: %lu of %lu came", s, (unsigned long)next[s],
			     (unsigned long)per_sender);
	atomic_fetch_add(&shared->received, sum);
	atomic_fetch_add(&shared->missed, missed);
	detach(ep, IPC_RECEIVER);
}

/* ---- a run ---- */

/* False: this kernel or library does not offer it. */
static bool is_offered(void)
{
	struct ipc_options opt = {
		.size = sizeof(opt), .delivery = now->delivery, .ring_max = now->ring,
		.max_receivers = RECEIVERS,
		/* Else the ring is held for a tethered one to come, and full. */
		.flags = now->flags & IPC_UNTETHERED ? IPC_UNTETHERED_ONLY : 0,
	};
	struct ipc_attach how = {
		.size = sizeof(how), .role = IPC_RECEIVER, .flags = now->flags,
	};
	struct ipc_endpoint *ep;
	int err = ipc_create(NULL, &opt, &ch);

	if (!err) {
		err = ipc_attach(ch, &how, &ep);
		if (!err)
			ipc_detach(ep);
		else
			ipc_close(ch);
	}
	if (err && err != -EOPNOTSUPP)
		FAIL("create, attach: %s", ipc_strerror(err));
	return !err;
}

static void check_sums(void)
{
	uint64_t sent = per_sender * now->senders;
	uint64_t copies = now->delivery == IPC_BROADCAST ? now->receivers : 1;
	unsigned long received = atomic_load(&shared->received);

	if (now->flags & IPC_UNTETHERED)
		EXPECT(received <= sent * copies);
	else
		EXPECT(received == sent * copies && !atomic_load(&shared->missed));
}

static void run(const struct topology *topology, uint64_t messages, unsigned int point)
{
	struct child child[SENDERS + RECEIVERS] = { 0 };
	unsigned int n = topology->senders + topology->receivers;
	uint64_t copies = topology->delivery == IPC_BROADCAST ? topology->receivers : 1;
	uint64_t began = ipc_in(0);

	memset(shared, 0, sizeof(*shared));
	shared->deadline = MS(LONGEST_S * 1000);
	now = topology;
	per_sender = messages * now->share / 1000 / copies / now->senders;
	if (!is_offered()) {
		printf("ok %u - %s # SKIP not offered\n", point, now->name);
		return;
	}
	got_bits = shared_memory(per_sender * now->senders / 8 + 1);
	for (unsigned int i = 0; i < n; i++)
		if (i < now->receivers)
			spawn(&child[i], receiver, i);
		else
			spawn(&child[i], sender, i - now->receivers);
	if (watch(child, n, ch))
		check_sums();
	ipc_close(ch);
	printf("# %s: %lu received, %lu missed;", now->name, atomic_load(&shared->received),
	       atomic_load(&shared->missed));
	printf(" woken: %lu receivers, %lu senders; %lu switches, %lu s\n",
	       atomic_load(&shared->woke_receivers), atomic_load(&shared->woke_senders),
	       atomic_load(&shared->switches),
	       (unsigned long)((ipc_in(0) - began) / 1000000000));
	if (atomic_load(&shared->failed))
		printf("# %s\n", shared->why);
	printf("%s %u - %s\n", atomic_load(&shared->failed) ? "not ok" : "ok", point, now->name);
	fflush(stdout);
}

int main(void)
{
	uint64_t messages = number_from("STRESS_MESSAGES", 200000);
	unsigned long received = 0, woken = 0;
	unsigned int n = sizeof(topologies) / sizeof(*topologies), bad = 0;
	bool slept;

	shared = shared_memory(sizeof(*shared));
	printf("1..%u\n", n + 1);
	for (unsigned int i = 0; i < n; i++) {
		run(&topologies[i], messages, i + 1);
		received += atomic_load(&shared->received);
		woken += atomic_load(&shared->woke_receivers);
		bad += atomic_load(&shared->failed);
	}
	printf("# in all %lu messages received; %lu of them woke a receiver\n", received, woken);
	slept = woken >= messages / 1000;
	printf("%s %u - one message in a thousand woke its receiver\n", slept ? "ok" : "not ok",
	       n + 1);
	return bad || !slept ? 1 : 0;
}
