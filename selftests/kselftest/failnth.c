// SPDX-License-Identifier: MIT
/*
 * Every error path once: each command with its first, second, ... n-th allocation or user copy
 * made to fail, until none is left to fail. It has to end in an error that says so, and to leave
 * nothing behind. Needs a kernel with fault injection.
 */
#include "call.h"

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC),
	    ok = fd >= 0 && write(fd, text, strlen(text)) > 0;

	close(fd);
	return ok ? 0 : -1;
}

/* Also those allocations may fail that could wait for memory; and quietly. */
static int prepare(void)
{
	static const char *const settings[][2] = {
		{ "failslab/ignore-gfp-wait", "0" },
		{ "failslab/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "0" },
		{ "fail_page_alloc/ignore-gfp-highmem", "0" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_page_alloc/verbose", "0" },
		{ "fail_usercopy/verbose", "0" },
	};
	char path[128];

	for (unsigned int i = 0; i < ARRAY_SIZE(settings); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", settings[i][0]);
		if (write_text(path, settings[i][1]))
			return -1;
	}
	return 0;
}

static int nth_fd;

static void fail_nth(int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	if (pwrite(nth_fd, text, len, 0) != len)
		abort();
}

/*
 * Has the failure that was asked for happened? Then it is not to come any more. One that was still
 * to come may hit the reading or the writing here, which takes its own copies from and to user
 * space.
 */
static bool failed(void)
{
	char text[16] = { 0 };

	if (pread(nth_fd, text, sizeof(text) - 1, 0) <= 0)
		return false;
	if (!atoi(text))
		return true;
	while (pwrite(nth_fd, "0", 1, 0) != 1)
		;
	return false;
}

struct world {
	int dev, ring, call, work, heirs;
	struct ep tx, rx, client, server, giver, worker;
};

FIXTURE(failnth) {
	struct world w;
};

FIXTURE_SETUP(failnth)
{
	struct world *w = &self->w;

	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0 || prepare())
		SKIP(return, "no fault injection in this kernel");
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	w->dev = device();
	w->ring = create(w->dev, CREATE(.name = "ring", .ring_max = 8192));
	w->call = create(w->dev, CREATE_CALL(.name = "call", .flags = MSGC_MANY_SERVERS));
	w->work = create(w->dev, CREATE(.name = "work", .delivery = MSGC_BALANCED));
	w->heirs = create(w->dev, CREATE_CALL(.name = "heirs", .flags = MSGC_INHERIT));
	ASSERT_EQ(0, ep_sender(&w->giver, w->work));
	ASSERT_EQ(0, ep_receiver(&w->worker, w->work));
	ASSERT_EQ(0, ep_sender(&w->tx, w->ring));
	ASSERT_EQ(0, ep_receiver(&w->rx, w->ring));
	ASSERT_EQ(0, ep_attach(&w->client, w->call,
			       ATTACH(.role = MSGC_SENDER, .flags = MSGC_TAKES_FILES)));
	ASSERT_EQ(0, ep_attach(&w->server, w->call,
			       ATTACH(.role = MSGC_RECEIVER, .flags = MSGC_TAKES_FILES)));
}

FIXTURE_TEARDOWN(failnth)
{
}

static long run_open_device(struct world *w)
{
	int fd = device();

	(void)w;
	return fd < 0 ? -errno : fd;
}

static long run_create_ring(struct world *w)
{
	return create(w->dev, CREATE(.name = "new"));
}

static long run_create_call(struct world *w)
{
	return create(w->dev, CREATE_CALL(.name = "new", .flags = MSGC_PERSISTENT));
}

static long run_open(struct world *w)
{
	return open_name(w->dev, "ring", MSGC_READ | MSGC_WRITE);
}

static long run_look(struct world *w)
{
	return open_name(w->dev, "ring", MSGC_LOOK);
}

static long run_attach_sender(struct world *w)
{
	return cmd(w->ring, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER));
}

static long run_attach_client(struct world *w)
{
	return cmd(w->call, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER));
}

static long run_attach_server(struct world *w)
{
	return cmd(w->call, MSGC_ATTACH, &ATTACH(.role = MSGC_RECEIVER, .flags = MSGC_BOUND));
}

static long run_attach_giver(struct world *w)
{
	return cmd(w->work, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER));
}

static long run_attach_worker(struct world *w)
{
	return cmd(w->work, MSGC_ATTACH, &ATTACH(.role = MSGC_RECEIVER));
}

static long run_list(struct world *w)
{
	struct msgc_info row[4];
	__u64 cursor = 0;
	long n = rows(w->dev, MSGC_LIST, MSGC_ROW_CHANNEL, row, sizeof(row[0]), 4, &cursor);

	return n == 4 ? 0 : n;
}

static long run_peers(struct world *w)
{
	struct msgc_peer row[4];
	__u64 cursor = 0;
	long n = rows(w->ring, MSGC_PEERS, MSGC_ROW_ENDPOINT, row, sizeof(row[0]), 4, &cursor);

	return n == 2 ? 0 : n;
}

static long run_info(struct world *w)
{
	struct msgc_info i = { .size = sizeof(i) };

	return cmd(w->rx.fd, MSGC_INFO, &i);
}

static long run_features(struct world *w)
{
	struct msgc_features f = { .size = sizeof(f) };

	return cmd(w->dev, MSGC_FEATURES, &f);
}

static long run_evict(struct world *w)
{
	struct msgc_whom arg = { .size = sizeof(arg), .peer = 0xfffff001 };
	long ret = cmd(w->ring, MSGC_EVICT, &arg);

	return ret == -ENOENT ? 0 : ret;
}

static long run_mmap(struct world *w)
{
	struct msgc_area *a = &w->rx.at.area[MSGC_DATA];
	void *p = map_area(w->rx.fd, a, PROT_READ);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, a->size);
	return 0;
}

static long run_poll(struct world *w)
{
	struct pollfd p[] = {
		{ .fd = w->dev, .events = POLLPRI }, { .fd = w->ring, .events = POLLPRI },
		{ .fd = w->rx.fd, .events = POLLIN }, { .fd = w->server.fd, .events = POLLIN },
	};

	return poll(p, 4, 0) < 0 ? -errno : 0;
}

static long run_wait(struct world *w)
{
	struct msgc_wait arg = { .events = MSGC_IN, .kick = w->tx.fd, .deadline = MSGC_NOW };
	long ret = cmd(w->rx.fd, MSGC_WAIT, &arg);

	return ret == -EAGAIN ? 0 : ret;
}

static long run_kick(struct world *w)
{
	return kick(w->tx.fd);
}

/*
 * The three commands of a call in a row: the one that failed is tried again, without a failure,
 * before the next.
 */
static long run_round_trip(struct world *w)
{
	struct msgc_call c = { .flags = MSGC_ASYNC, .deadline = MSGC_FOREVER };
	struct msgc_held *held = (struct msgc_held *)w->server.area[MSGC_INBOX];
	struct msgc_recv v = { .deadline = MSGC_NOW };
	long ret = 0, err, e;

	while ((err = cmd(w->client.fd, MSGC_CALL, &c)))
		ret = err;
	while ((e = cmd(w->server.fd, MSGC_RECV, &v)) < 0)
		ret = e;
	while ((err = cmd(w->server.fd, MSGC_REPLY, &(struct msgc_reply){ .call = held[e].call })))
		ret = err;
	return ret;
}

/* Ends the wait of a call that goes on, so that its answer can be fetched later. */
static long call_and_leave(struct world *w)
{
	struct msgc_call c = { .deadline = MSGC_FOREVER };
	long ret = 0, err;

	while ((err = none(w->client.fd, MSGC_INTERRUPT)))
		ret = err;
	while ((err = cmd(w->client.fd, MSGC_CALL, &c)) != -EINTR)
		ret = err;
	return ret;
}

/* What came of the two files, and is closed; those that did not must be told of. */
static long fetched(__s32 *fds, __u8 flags)
{
	int n = 0;

	for (; n < MSGC_FDS && fds[n] >= 0; n++)
		close(fds[n]);
	if (n == 2)
		return flags & MSGC_M_FDS_TRUNCATED ? -EPROTO : 0;
	return flags & MSGC_M_FDS_TRUNCATED ? -ENOMEM : -EPROTO;
}

/* The round trip with two files in each direction. */
static long run_files(struct world *w)
{
	struct msgc_request *q = request(&w->client, 0);
	struct msgc_call again = { .flags = MSGC_RESUME, .deadline = MSGC_NOW };
	long ret, err, e;

	*q = (struct msgc_request){ .nfds = 2, .fds = { w->dev, w->ring } };
	ret = call_and_leave(w);
	while ((e = take(&w->server)) < 0)
		ret = e;
	ret = fetched(held(&w->server, e)->fds, held(&w->server, e)->flags) ?: ret;
	*answer(&w->server, e) = (struct msgc_answer){ .nfds = 2, .fds = { w->call, w->work } };
	while ((err = reply(&w->server, e, 0, 0)))
		ret = err;
	*answer(&w->server, e) = (struct msgc_answer){ .nfds = 0 };
	while ((err = cmd(w->client.fd, MSGC_CALL, &again)))
		ret = err;
	ret = fetched(line(&w->client, 0)->fds, line(&w->client, 0)->flags) ?: ret;
	*q = (struct msgc_request){ .nfds = 0 };
	return ret;
}

/* A thread serves without being lent anything where that needs memory which is not there. */
static long run_recv_inherit(struct world *w)
{
	struct msgc_recv v = { .deadline = MSGC_NOW };
	long fd = cmd(w->heirs, MSGC_ATTACH, &ATTACH(.role = MSGC_RECEIVER)), ret = fd, err;

	if (fd < 0)
		return fd;
	while ((err = cmd(fd, MSGC_RECV, &v)) != -EAGAIN)
		ret = err;
	close(fd);
	return ret < 0 ? ret : 0;
}

/*
 * A record is claimed, returned, claimed again and released; each command that failed is tried
 * again. A failed RETURN has returned nothing.
 */
static long run_claim(struct world *w)
{
	const struct msgc_claims *claims = (void *)w->worker.area[MSGC_INBOX];
	struct msgc_claim one = { .n = 1 }, none = { .n = 0 };
	struct msgc_return back = { .id = 0 };
	long ret = 0, err;

	tx_put(&w->giver, 0, NULL, 0);
	tx_publish(&w->giver);
	for (int i = 0; i < 2; i++) {
		while ((err = cmd(w->worker.fd, MSGC_CLAIM, &one)) < 0)
			ret = err;
		back.id = claims->entry[__builtin_ctzll(claims->held)].id;
		while (!i && (err = cmd(w->worker.fd, MSGC_RETURN, &back))) {
			ret = err;
			if (!claims->held)
				return -EPROTO;
		}
	}
	WRITE_ONCE(ep_own(&w->worker)->released, claims->held);
	while ((err = cmd(w->worker.fd, MSGC_CLAIM, &none)))
		ret = err;
	WRITE_ONCE(ep_own(&w->worker)->released, 0);
	return ep_line(&w->giver, w->giver.at.id)->head == w->giver.tail ? ret : -EPROTO;
}

static void undo_close(struct world *w, long ret)
{
	close(ret);
	unlink_name(w->dev, "new");
}

static const struct {
	const char *name;
	long (*run)(struct world *w);
	void (*undo)(struct world *w, long ret);
	int points;		/* at least so many things can fail */
} ops[] = {
	{ "open the device", run_open_device, undo_close, 2 },
	{ "CREATE, ring", run_create_ring, undo_close, 5 },
	{ "CREATE, rendezvous", run_create_call, undo_close, 5 },
	{ "OPEN", run_open, undo_close, 3 },
	{ "OPEN to look", run_look, undo_close, 3 },
	{ "ATTACH, sender", run_attach_sender, undo_close, 8 },
	{ "ATTACH, client", run_attach_client, undo_close, 8 },
	{ "ATTACH, server", run_attach_server, undo_close, 7 },
	{ "ATTACH, balanced sender", run_attach_giver, undo_close, 9 },
	{ "ATTACH, balanced receiver", run_attach_worker, undo_close, 8 + MSGC_CLAIMS },
	{ "LIST", run_list, NULL, 3 },
	{ "PEERS", run_peers, NULL, 3 },
	{ "INFO", run_info, NULL, 1 },
	{ "FEATURES", run_features, NULL, 2 },
	{ "EVICT", run_evict, NULL, 1 },
	{ "mmap", run_mmap, NULL, 1 },
	{ "poll", run_poll, NULL, 0 },
	{ "WAIT", run_wait, NULL, 1 },
	{ "KICK", run_kick, NULL, 1 },
	{ "CALL, RECV, REPLY", run_round_trip, NULL, 3 },
	{ "CALL, RECV, REPLY with files", run_files, NULL, 7 },
	{ "ATTACH, RECV, INHERIT", run_recv_inherit, NULL, 9 },
	{ "CLAIM, RETURN", run_claim, NULL, 5 },
};

TEST_F(failnth, every_command)
{
	struct world *w = &self->w;

	for (unsigned int i = 0; i < ARRAY_SIZE(ops); i++) {
		bool more = true;
		int n;

		for (n = 0; more && n < 300; n++) {
			long ret;

			fail_nth(n + 1);
			ret = ops[i].run(w);
			more = failed();
			if (ret >= 0 && ops[i].undo)
				ops[i].undo(w, ret);
			EXPECT_TRUE(ret >= 0 || ret == -ENOMEM || ret == -EFAULT) {
				TH_LOG("%s, failure %d: %ld", ops[i].name, n + 1, ret);
			}
			if (!more)
				EXPECT_LE(0, ret) { TH_LOG("%s without a failure", ops[i].name); }
		}
		EXPECT_LE(ops[i].points, n - 1) { TH_LOG("%s", ops[i].name); }
		EXPECT_FALSE(more) { TH_LOG("%s", ops[i].name); }
	}
	EXPECT_TRUE(until(info(w->ring).senders == 1 && info(w->call).senders == 1 &&
			  info(w->work).senders == 1));
	EXPECT_EQ(2, info(w->ring).senders + info(w->ring).receivers);
	EXPECT_EQ(2, info(w->call).senders + info(w->call).receivers);
	EXPECT_EQ(2, info(w->work).senders + info(w->work).receivers);
	EXPECT_EQ(-ENOENT, open_name(w->dev, "new", MSGC_READ));
}

TEST_HARNESS_MAIN
