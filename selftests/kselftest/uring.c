// SPDX-License-Identifier: MIT
/* io_uring beside the endpoints: polls, one-shot and multishot. */
#include <liburing.h>

#include "msgc.h"

FIXTURE(uring) {
	int chan;
	struct ep tx, rx;
	struct io_uring ring;
};

FIXTURE_SETUP(uring)
{
	int ret = io_uring_queue_init(16, &self->ring, 0);

	if (ret < 0)
		SKIP(return, "no io_uring: %s", strerror(-ret));
	self->chan = create_private(CREATE(.ring_max = 8192));
	ASSERT_EQ(0, ep_receiver(&self->rx, self->chan));
	ASSERT_EQ(0, ep_sender(&self->tx, self->chan));
	rx_sync(&self->rx);
}

FIXTURE_TEARDOWN(uring)
{
	io_uring_queue_exit(&self->ring);
	ep_close(&self->tx);
	ep_close(&self->rx);
	close(self->chan);
}

#define SOON	20000		/* ms, for what must come */

struct result {
	int res;
	unsigned int flags;
	int fd;			/* that was polled */
};

/* The next completion within so many milliseconds, or -ETIME. */
static struct result next(struct io_uring *ring, int ms)
{
	struct __kernel_timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS };
	struct io_uring_cqe *cqe;
	struct result r = { .res = io_uring_wait_cqe_timeout(ring, &cqe, &ts) };

	if (r.res)
		return r;
	r = (struct result){ cqe->res, cqe->flags, (int)cqe->user_data };
	io_uring_cqe_seen(ring, cqe);
	return r;
}

static void arm(struct io_uring *ring, int fd, unsigned int events, bool multishot)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	memset(sqe, 0, sizeof(*sqe));
	if (multishot)
		io_uring_prep_poll_multishot(sqe, fd, events);
	else
		io_uring_prep_poll_add(sqe, fd, events);
	sqe->user_data = (__u64)fd;
	io_uring_submit(ring);
}

/* What several wake-ups for one thing leave behind. */
static void flush(struct io_uring *ring)
{
	while (next(ring, 20).res != -ETIME)
		;
}

/* A receiver whose multishot poll is set before there is anything to hear of. */
static long polled_receiver(struct io_uring *ring, struct ep *r, int chan, unsigned int flags)
{
	long err = ep_attach(r, chan, ATTACH(.role = MSGC_RECEIVER, .flags = flags));

	if (!err)
		arm(ring, r->fd, POLLIN, true);
	return err;
}

TEST_F(uring, poll_once)
{
	arm(&self->ring, self->rx.fd, POLLIN, false);
	EXPECT_EQ(-ETIME, next(&self->ring, 10).res);
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(POLLIN, next(&self->ring, 2000).res);
	EXPECT_EQ(1, rx_drain(&self->rx, 0));
}

/*
 * Each message, drained before the next one, is a completion: the poll lives on though its first
 * look found readiness.
 */
TEST_F(uring, poll_multishot)
{
	arm(&self->ring, self->rx.fd, POLLIN, true);
	for (int n = 0; n < 5; n++) {
		struct result r;

		EXPECT_EQ(-ETIME, next(&self->ring, 2).res);
		tx_send(&self->tx, n, "x", 1);
		r = next(&self->ring, 2000);
		EXPECT_EQ(POLLIN, r.res) { TH_LOG("message %d", n); }
		EXPECT_EQ(IORING_CQE_F_MORE, r.flags & IORING_CQE_F_MORE);
		EXPECT_EQ(1, rx_drain(&self->rx, 0));
	}
}

TEST_F(uring, poll_multishot_ready_at_once)
{
	tx_send(&self->tx, 1, "x", 1);
	arm(&self->ring, self->rx.fd, POLLIN, true);
	for (int n = 0; n < 3; n++) {
		EXPECT_EQ(POLLIN, next(&self->ring, 2000).res) { TH_LOG("message %d", n); }
		EXPECT_EQ(1, rx_drain(&self->rx, 0));
		tx_send(&self->tx, n, "x", 1);
	}
}

TEST_F(uring, multishot_before_any_sender)
{
	int chan = create_private(CREATE(.ring_max = 8192));
	struct ep s, r;

	ASSERT_EQ(0, polled_receiver(&self->ring, &r, chan, 0));
	EXPECT_EQ(-ETIME, next(&self->ring, 10).res);
	ASSERT_EQ(0, ep_sender(&s, chan));
	flush(&self->ring);
	for (int n = 0; n < 3; n++) {
		tx_send(&s, n, "x", 1);
		EXPECT_EQ(POLLIN, next(&self->ring, SOON).res) { TH_LOG("message %d", n); }
		EXPECT_EQ(1, rx_drain(&r, 0));
		flush(&self->ring);
	}
	ep_close(&s);
	ep_close(&r);
	close(chan);
}

/* Everybody's fires, tethered or not. */
TEST_F(uring, multishot_broadcast)
{
	static const unsigned int flags[] = { 0, 0, MSGC_UNTETHERED };
	int chan = create_private(CREATE(.delivery = MSGC_BROADCAST, .ring_max = 8192));
	struct ep s, r[3];

	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, polled_receiver(&self->ring, &r[i], chan, flags[i]));
	ASSERT_EQ(0, ep_sender(&s, chan));
	flush(&self->ring);
	for (int n = 0; n < 3; n++) {
		unsigned int heard = 0;

		tx_send(&s, n, "x", 1);
		for (int k = 0; k < 3; k++) {
			struct result got = next(&self->ring, SOON);

			EXPECT_EQ(POLLIN, got.res) { TH_LOG("message %d", n); }
			for (int i = 0; i < 3; i++)
				heard |= (unsigned int)(got.fd == r[i].fd) << i;
		}
		EXPECT_EQ(7, heard);
		for (int i = 0; i < 3; i++)
			EXPECT_EQ(1, rx_drain(&r[i], 0));
		flush(&self->ring);
	}
	for (int i = 0; i < 3; i++)
		ep_close(&r[i]);
	ep_close(&s);
	close(chan);
}

/* Who claims is told by another mask. */
TEST_F(uring, multishot_balanced)
{
	int chan = create_private(CREATE(.delivery = MSGC_BALANCED, .ring_max = 8192));
	struct msgc_claim c = { .n = 1 };
	struct ep s, r;

	ASSERT_EQ(0, polled_receiver(&self->ring, &r, chan, 0));
	ASSERT_EQ(0, ep_sender(&s, chan));
	flush(&self->ring);
	for (int n = 0; n < 3; n++) {
		tx_send(&s, n, "x", 1);
		EXPECT_EQ(POLLIN, next(&self->ring, SOON).res) { TH_LOG("message %d", n); }
		EXPECT_EQ(1, cmd(r.fd, MSGC_CLAIM, &c));
		flush(&self->ring);
	}
	ep_close(&s);
	ep_close(&r);
	close(chan);
}

/* A standby hears of what its predecessor left once it is promoted, then of all that comes. */
TEST_F(uring, multishot_promoted)
{
	struct result got;
	struct ep heir;

	ASSERT_EQ(0, polled_receiver(&self->ring, &heir, self->chan, MSGC_AS_STANDBY));
	tx_send(&self->tx, 0, "x", 1);
	EXPECT_EQ(-ETIME, next(&self->ring, 20).res);	/* not its turn */
	EXPECT_EQ(0, detach(self->rx.fd));
	got = next(&self->ring, SOON);
	EXPECT_EQ(POLLIN, got.res);
	EXPECT_EQ(IORING_CQE_F_MORE, got.flags & IORING_CQE_F_MORE);
	EXPECT_EQ(1, rx_drain(&heir, 0));
	flush(&self->ring);
	for (int n = 1; n < 4; n++) {
		tx_send(&self->tx, n, "x", 1);
		EXPECT_EQ(POLLIN, next(&self->ring, SOON).res) { TH_LOG("message %d", n); }
		EXPECT_EQ(1, rx_drain(&heir, 0));
		flush(&self->ring);
	}
	ep_close(&heir);
}

/* It was promoted with nothing to hear of: the first message is. */
TEST_F(uring, multishot_promoted_in_silence)
{
	struct ep heir;

	ASSERT_EQ(0, polled_receiver(&self->ring, &heir, self->chan, MSGC_AS_STANDBY));
	EXPECT_EQ(0, detach(self->rx.fd));
	EXPECT_EQ(-ETIME, next(&self->ring, 20).res);
	tx_send(&self->tx, 1, "x", 1);
	EXPECT_EQ(POLLIN, next(&self->ring, SOON).res);
	EXPECT_EQ(1, rx_drain(&heir, 0));
	ep_close(&heir);
}

/* Space, by multishot poll. */
TEST_F(uring, poll_space)
{
	for (int n = 0; n < 3; n++) {
		tx_put(&self->tx, 0, "x", 1);
		tx_publish(&self->tx);
		WRITE_ONCE(tx_control(&self->tx)->need, self->tx.tail);
		if (!n)
			arm(&self->ring, self->tx.fd, POLLOUT, true);
		else
			EXPECT_EQ(0, poll_now(self->tx.fd, POLLOUT));
		EXPECT_EQ(-ETIME, next(&self->ring, 2).res);
		rx_drain(&self->rx, 0);
		EXPECT_EQ(POLLOUT, next(&self->ring, 2000).res) { TH_LOG("round %d", n); }
	}
}

/* Poll of all three kinds of fd needs no more wait heads than io_uring has. */
TEST_F(uring, poll_every_kind)
{
	int dev = device(), e;

	arm(&self->ring, dev, POLLPRI, false);
	EXPECT_EQ(-ETIME, next(&self->ring, 2).res);
	create(dev, CREATE(.name = "uring-poll"));
	EXPECT_EQ(POLLPRI, next(&self->ring, 2000).res);
	poll_now(self->chan, POLLPRI);
	peer(self->chan, 1);
	arm(&self->ring, self->chan, POLLPRI, false);
	EXPECT_EQ(-ETIME, next(&self->ring, 2).res);
	e = cmd(self->chan, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER));
	EXPECT_EQ(POLLPRI, next(&self->ring, 2000).res);
	close(e);
	close(dev);
}

/* A poll that is still armed when the endpoint dies: an answer, no hang and no use after free. */
TEST_F(uring, detach_under_a_poll)
{
	arm(&self->ring, self->rx.fd, POLLIN, true);
	EXPECT_EQ(0, detach(self->rx.fd));
	EXPECT_TRUE(next(&self->ring, 2000).res & POLLERR);
}

TEST_HARNESS_MAIN
