// SPDX-License-Identifier: MIT
/*
 * io_uring beside the endpoints: polls, one-shot and multishot, and commands that are not offered
 * yet.
 */
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

struct result {
	int res;
	unsigned int flags;
};

/* The next completion within so many milliseconds, or -ETIME. */
static struct result next(struct io_uring *ring, int ms)
{
	struct __kernel_timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS };
	struct io_uring_cqe *cqe;
	struct result r = { .res = io_uring_wait_cqe_timeout(ring, &cqe, &ts) };

	if (r.res)
		return r;
	r = (struct result){ cqe->res, cqe->flags };
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
	io_uring_submit(ring);
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

/* Not offered yet: refused, and not taken for something else. */
TEST_F(uring, commands_are_refused)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = self->rx.fd;
	sqe->off = (__u32)MSGC_KICK;
	io_uring_submit(&self->ring);
	EXPECT_GT(0, next(&self->ring, 2000).res);
}

TEST_HARNESS_MAIN
