// SPDX-License-Identifier: MIT
/*
 * As many senders as there can be, of which a few send: order, turns, quiet rings, what the idle
 * ones cost, and the end of the stream.
 *
 * SLOW, in the environment: fewer of them, where it takes long to attach one. All tests share one
 * channel; every fourth sender says nothing before everybody does.
 */
#include <stdio.h>
#include <sys/ioctl.h>

#include <linux/msgchan.h>

#include "common.h"

#define MOST		1024u		/* senders */
#define FEW		128u		/* still more than do without quiet rings */
#define RING		16384u
#define BUSY		8u		/* senders that send, where not all do */
#define TURN		32u		/* messages of one sender, then it is the next one's turn */

static unsigned int senders;
static struct ipc_channel *ch;
static struct ipc_endpoint *rx, *tx[MOST];
static uint32_t id[MOST];
static uint64_t sent[MOST], taken[MOST];

static struct ipc_endpoint *attach_sender(void)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_SENDER, .ring = RING };
	struct ipc_endpoint *ep;

	MUST(ipc_attach(ch, &how, &ep));
	return ep;
}

static void set_up(void)
{
	struct rlimit files = { .rlim_cur = 4096, .rlim_max = 4096 };
	struct ipc_options opt = { .size = sizeof(opt), .ring_max = RING };

	senders = getenv("SLOW") ? FEW : MOST;
	opt.max_senders = senders;
	MUST(setrlimit(RLIMIT_NOFILE, &files));
	ch = channel(NULL, &opt);
	rx = attach(ch, IPC_RECEIVER);
	for (unsigned int s = 0; s < senders; s++) {
		tx[s] = attach_sender();
		id[s] = ipc_id(tx[s]);
	}
}

/* Some from every part; none that is a fourth one. */
static unsigned int busy(unsigned int i)
{
	return i * (senders / BUSY) + i % 3;
}

static bool is_idle(unsigned int s)
{
	return s % 4 == 3;
}

static int send_next(unsigned int s, uint64_t deadline)
{
	struct ipc_msg m = { .data = &s, .len = sizeof(s), .type = s, .cookie = sent[s] };

	sent[s]++;
	return ipc_send(tx[s], &m, deadline);
}

/* One sender's messages in its order, none lost or twice, and it is who it says. Returns who. */
static unsigned int check(const struct ipc_msg *m)
{
	unsigned int s = m->type < senders ? m->type : 0;

	CHECK_EQ(m->type, s);
	CHECK_EQ(m->peer, id[s]);
	CHECK_EQ(*(unsigned int *)m->data, s);
	CHECK_EQ(m->cookie, taken[s]);
	CHECK_EQ(m->seq, taken[s] + 1);
	CHECK_EQ(m->missed, 0);
	CHECK_EQ(m->flags, 0);
	taken[s]++;
	return s;
}

/* Take what there is, up to n; returns recv's result. */
static int take(unsigned int n, uint64_t deadline)
{
	struct ipc_msg m[64];
	int got = ipc_recv(rx, m, n, deadline);

	for (int i = 0; i < got; i++)
		check(&m[i]);
	if (got > 0)
		CHECK_EQ(ipc_release(rx, m, (unsigned int)got), 0);
	return got;
}

/* The kernel's figures of a sender. */
static struct msgc_peer row_of(unsigned int s)
{
	static struct msgc_peer row[64];
	struct msgc_rows rows = {
		.size = sizeof(rows), .kind = MSGC_ROW_ENDPOINT, .row_size = sizeof(row[0]),
		.max = 64, .buf = (uintptr_t)row,
	};
	int n;

	while ((n = ioctl(ipc_channel_fd(ch), MSGC_PEERS, &rows)) > 0)
		for (int i = 0; i < n; i++)
			if (row[i].id == id[s])
				return row[i];
	CHECK(!"every sender has a row");
	return (struct msgc_peer){ 0 };
}

static struct msgc_info figures(void)
{
	struct msgc_info info = { .size = sizeof(info) };

	MUST(ioctl(ipc_channel_fd(ch), MSGC_INFO, &info));
	return info;
}

/*
 * Look until all rings are found empty for long, then wait: they are quiet afterwards. What ends
 * the wait must not be the time, which a slow machine may have used up before it.
 */
static void fall_quiet(void)
{
	for (int i = 0; i < 10; i++)
		CHECK_EQ(take(1, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_interrupt(rx), 0);
	CHECK_EQ(take(1, IPC_FOREVER), -EINTR);
}

static void all_places_are_taken(void)
{
	struct ipc_endpoint *ep;

	CHECK_EQ(figures().senders, senders);
	CHECK_EQ(try_attach(ch, IPC_SENDER, &ep), -EUSERS);
}

/* Nobody who has something waits while another gets more than a turn. */
static void turns(void)
{
	enum { EACH = 200 };
	uint64_t left = BUSY * EACH;
	struct ipc_msg m[64];

	for (unsigned int k = 0; k < EACH; k++)
		for (unsigned int i = 0; i < BUSY; i++)
			CHECK_EQ(send_next(busy(i), IPC_NOW), 0);
	for (unsigned int n = 1; left; n = n % 64 + 1) {
		int got = ipc_recv(rx, m, n, IPC_NOW);

		CHECK(got > 0);
		if (got <= 0)
			return;
		for (int k = 0; k < got; k++) {
			unsigned int s = check(&m[k]);

			for (unsigned int i = 0; i < BUSY; i++)
				CHECK(taken[busy(i)] == EACH || taken[s] <= taken[busy(i)] + TURN);
		}
		CHECK_EQ(ipc_release(rx, m, (unsigned int)got), 0);
		left -= (uint64_t)got;
	}
	CHECK_EQ(take(1, IPC_NOW), -EAGAIN);
}

/* Its sender has to say so when it publishes, once for all that follows. */
static void quiet_rings(void)
{
	unsigned int s = busy(BUSY - 1);
	uint64_t before = row_of(s).kicks;

	fall_quiet();
	CHECK_EQ(send_next(busy(0), IPC_NOW), 0);	/* and uses up what that sleep had armed */
	for (int i = 0; i < 5; i++)
		CHECK_EQ(send_next(s, IPC_NOW), 0);
	CHECK_EQ(row_of(s).kicks, before + 1);
	CHECK_EQ(take(64, IPC_NOW), 6);
	CHECK_EQ(take(64, IPC_NOW), -EAGAIN);
	CHECK_EQ(send_next(s, IPC_NOW), 0);
	CHECK_EQ(row_of(s).kicks, before + 1);
	CHECK_EQ(take(64, IPC_NOW), 1);
}

static void *send_when_it_sleeps(void *arg)
{
	nap(50);
	return (void *)(intptr_t)send_next(*(unsigned int *)arg, IPC_NOW);
}

/* Each of them is the only one that is not quiet, when the receiver has gone to sleep. */
static void a_quiet_one_wakes(void)
{
	for (unsigned int i = 0; i < BUSY; i++) {
		unsigned int s = busy(i);
		pthread_t t;
		void *ret;

		fall_quiet();
		t = thread(send_when_it_sleeps, &s);
		CHECK_EQ(take(64, LONG), 1);
		pthread_join(t, &ret);
		CHECK_EQ((intptr_t)ret, 0);
	}
}

/* A receiver that always finds something: once it has said who is idle, nobody kicks any more. */
static void the_idle_cost_nothing(void)
{
	uint64_t before = 0;

	for (unsigned int i = 0; i < 4000; i++) {
		if (i == 2000)
			before = figures().kicks;
		CHECK_EQ(send_next(busy(i % 2), IPC_NOW), 0);
		CHECK_EQ(take(64, IPC_NOW), 1);
	}
	CHECK_EQ(figures().kicks, before);
}

/* ---- in threads ---- */

#define THREADS	3u
#define BURST	2u

static unsigned int bursts;

/* Bursts from the senders of one thread, in no order, and pauses in which all fall quiet. */
static void *send_bursts(void *arg)
{
	unsigned int mine = (unsigned int)(uintptr_t)arg, seed = mine;

	for (unsigned int i = 0; i < bursts; i++) {
		unsigned int s = rand_r(&seed) % (senders / 4) * 4 + mine;

		for (unsigned int k = 0; k < BURST; k++)
			CHECK_EQ(send_next(s, LONG), 0);
		if (rand_r(&seed) % 16 == 0)
			usleep(rand_r(&seed) % 3000);
	}
	return NULL;
}

static void nobody_sleeps_on(void)
{
	unsigned int left;
	pthread_t t[THREADS];

	bursts = getenv("SLOW") ? 300 : 3000;
	left = THREADS * bursts * BURST;
	for (uintptr_t i = 0; i < THREADS; i++)
		t[i] = thread(send_bursts, (void *)i);
	while (left) {
		int got = take(16, LONG);

		CHECK(got > 0);
		if (got <= 0)
			break;
		left -= (unsigned int)got;
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(take(1, IPC_NOW), -EAGAIN);
	for (unsigned int s = 0; s < senders; s++)
		CHECK_EQ(taken[s], sent[s]);
}

/* All of the above, and who never sent was never looked for. */
static void the_idle_never_kicked(void)
{
	for (unsigned int s = 0; s < senders; s += senders / 16 + 1) {
		unsigned int idle = s | 3;

		CHECK(is_idle(idle));
		CHECK_EQ(row_of(idle).kicks, 0);
		CHECK_EQ(row_of(idle).tail, 0);
	}
	CHECK_EQ(figures().depth, 0);
}

/* Everybody is heard, also who was idle so far. */
static void all_at_once(void)
{
	unsigned int got = 0;
	int n;

	fall_quiet();
	for (int k = 0; k < 2; k++)
		for (unsigned int s = 0; s < senders; s++)
			CHECK_EQ(send_next(s, IPC_NOW), 0);
	for (; (n = take(64, IPC_NOW)) > 0; got += (unsigned int)n)
		;
	CHECK_EQ(n, -EAGAIN);
	CHECK_EQ(got, 2 * senders);
	CHECK_EQ(figures().depth, 0);
}

/* ---- the end of the stream ---- */

static void leave(unsigned int s)
{
	ipc_detach(tx[s]);
	tx[s] = NULL;
}

/* The last two have something to say yet: no end before it is taken. */
static void all_leave(void)
{
	unsigned int one = senders / 2, last = senders - 1;

	for (unsigned int s = 0; s < senders; s++)
		if (s != one && s != last)
			leave(s);
	CHECK_EQ(figures().senders, 2);
	CHECK_EQ(take(1, IPC_NOW), -EAGAIN);
	for (int k = 0; k < 3; k++) {
		CHECK_EQ(send_next(one, IPC_NOW), 0);
		CHECK_EQ(send_next(last, IPC_NOW), 0);
	}
	leave(one);
	CHECK_EQ(take(4, IPC_NOW), 4);
	CHECK_EQ(taken[one], sent[one]);	/* who has left comes first */
	leave(last);
	CHECK_EQ(take(4, IPC_NOW), 2);
	CHECK_EQ(ipc_wait(rx, IPC_IN, LONG), IPC_HUP);
	CHECK_EQ(take(1, IPC_FOREVER), -EPIPE);
}

static void send_and_die(void *arg)
{
	struct ipc_msg m = { .data = arg, .len = sizeof(unsigned int), .cookie = 77 };

	CHECK_EQ(ipc_send(attach_sender(), &m, IPC_NOW), 0);
	if (!atomic_load(&tap_failed))
		raise(SIGKILL);
}

/* In a place that another had, and killed. */
static void and_one_more_is_killed(void)
{
	int status = in_child(send_and_die, &senders);
	struct ipc_msg m;

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK_EQ(ipc_recv(rx, &m, 1, LONG), 1);
	CHECK_EQ(m.cookie, 77);
	CHECK_EQ(m.seq, 1);
	CHECK_EQ(ipc_release(rx, &m, 1), 0);
	CHECK_EQ(take(1, LONG), -EPIPE);
}

int main(void)
{
	set_up();
	RUN(all_places_are_taken);
	RUN(turns);
	RUN(quiet_rings);
	RUN(a_quiet_one_wakes);
	RUN(the_idle_cost_nothing);
	RUN(nobody_sleeps_on);
	RUN(the_idle_never_kicked);
	RUN(all_at_once);
	RUN(all_leave);
	RUN(and_one_more_is_killed);
	ipc_detach(rx);
	ipc_close(ch);
	return tap_done();
}
