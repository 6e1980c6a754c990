// SPDX-License-Identifier: MIT
/*
 * Every error path once: each command with its first, second, ... n-th allocation or user copy made to fail, until none is left to
 * fail. It has to end in an error that says so, and to leave nothing behind. Needs a kernel with fault injection.
 */
#include "msgc.h"

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ok = fd >= 0 && write(fd, text, strlen(text)) > 0;

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

	for (unsigned int i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
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

	if (pwrite(nth_fd, text, snprintf(text, sizeof(text), "%d", n), 0) < 0)
		abort();
}

/* Has the failure that was asked for happened? Then it is not to come any more. */
static bool failed(void)
{
	char text[16] = { 0 };

	if (pread(nth_fd, text, sizeof(text) - 1, 0) <= 0)
		abort();
	fail_nth(0);
	return !atoi(text);
}

FIXTURE(failnth) {
	int dev, ring, call;
	struct ep tx, rx, client, server;
};

FIXTURE_SETUP(failnth)
{
	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0 || prepare())
		SKIP(return, "no fault injection in this kernel");
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	self->dev = device();
	self->ring = create(self->dev, CREATE(.name = "ring", .ring_max = 8192));
	self->call = create(self->dev, CREATE_CALL(.name = "call", .flags = MSGC_MANY_SERVERS));
	ASSERT_EQ(0, ep_sender(&self->tx, self->ring));
	ASSERT_EQ(0, ep_receiver(&self->rx, self->ring));
	ASSERT_EQ(0, ep_sender(&self->client, self->call));
	ASSERT_EQ(0, ep_receiver(&self->server, self->call));
}

FIXTURE_TEARDOWN(failnth)
{
}

typedef FIXTURE_DATA(failnth) data;

static long run_open_device(data *d)
{
	int fd = device();

	(void)d;
	return fd < 0 ? -errno : fd;
}

static long run_create_ring(data *d)
{
	return create(d->dev, CREATE(.name = "new"));
}

static long run_create_call(data *d)
{
	return create(d->dev, CREATE_CALL(.name = "new", .flags = MSGC_PERSISTENT));
}

static long run_open(data *d)
{
	return open_name(d->dev, "ring", MSGC_READ | MSGC_WRITE);
}

static long run_look(data *d)
{
	return open_name(d->dev, "ring", MSGC_LOOK);
}

static long run_attach_sender(data *d)
{
	return cmd(d->ring, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER));
}

static long run_attach_client(data *d)
{
	return cmd(d->call, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER));
}

static long run_attach_server(data *d)
{
	return cmd(d->call, MSGC_ATTACH, &ATTACH(.role = MSGC_RECEIVER));
}

static long run_list(data *d)
{
	struct msgc_info row[4];
	__u64 cursor = 0;
	long n = rows(d->dev, MSGC_LIST, MSGC_ROW_CHANNEL, row, sizeof(row[0]), 4, &cursor);

	return n == 2 ? 0 : n;
}

static long run_peers(data *d)
{
	struct msgc_peer row[4];
	__u64 cursor = 0;
	long n = rows(d->ring, MSGC_PEERS, MSGC_ROW_ENDPOINT, row, sizeof(row[0]), 4, &cursor);

	return n == 2 ? 0 : n;
}

static long run_info(data *d)
{
	struct msgc_info i = { .size = sizeof(i) };

	return cmd(d->rx.fd, MSGC_INFO, &i);
}

static long run_features(data *d)
{
	struct msgc_features f = { .size = sizeof(f) };

	return cmd(d->dev, MSGC_FEATURES, &f);
}

static long run_evict(data *d)
{
	struct msgc_whom w = { .size = sizeof(w), .peer = 0xfffff001 };
	long ret = cmd(d->ring, MSGC_EVICT, &w);

	return ret == -ENOENT ? 0 : ret;
}

static long run_mmap(data *d)
{
	struct msgc_area *a = &d->rx.at.area[MSGC_DATA];
	void *p = map_area(d->rx.fd, a, PROT_READ);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, a->size);
	return 0;
}

static long run_poll(data *d)
{
	struct pollfd p[] = {
		{ .fd = d->dev, .events = POLLPRI }, { .fd = d->ring, .events = POLLPRI },
		{ .fd = d->rx.fd, .events = POLLIN }, { .fd = d->server.fd, .events = POLLIN },
	};

	return poll(p, 4, 0) < 0 ? -errno : 0;
}

static long run_wait(data *d)
{
	struct msgc_wait w = { .events = MSGC_IN, .kick = d->tx.fd, .deadline = MSGC_NOW };
	long ret = cmd(d->rx.fd, MSGC_WAIT, &w);

	return ret == -EAGAIN ? 0 : ret;
}

static long run_kick(data *d)
{
	return kick(d->tx.fd);
}

/* The three commands of a call in a row: the one that failed is tried again, without a failure, before the next. */
static long run_round_trip(data *d)
{
	struct msgc_call c = { .flags = MSGC_ASYNC, .deadline = MSGC_FOREVER };
	struct msgc_held *held = (struct msgc_held *)d->server.area[MSGC_INBOX];
	struct msgc_recv v = { .deadline = MSGC_NOW };
	long ret = 0, err, e;

	while ((err = cmd(d->client.fd, MSGC_CALL, &c)))
		ret = err;
	while ((e = cmd(d->server.fd, MSGC_RECV, &v)) < 0)
		ret = e;
	while ((err = cmd(d->server.fd, MSGC_REPLY, &(struct msgc_reply){ .call = held[e].call })))
		ret = err;
	return ret;
}

static void undo_close(data *d, long ret)
{
	close(ret);
	unlink_name(d->dev, "new");
}

static const struct {
	const char *name;
	long (*run)(data *d);
	void (*undo)(data *d, long ret);
	int points;		/* at least so many things can fail */
} ops[] = {
	{ "open the device", run_open_device, undo_close, 2 },
	{ "CREATE, ring", run_create_ring, undo_close, 5 },
	{ "CREATE, rendezvous", run_create_call, undo_close, 5 },
	{ "OPEN", run_open, undo_close, 3 },
	{ "OPEN to look", run_look, undo_close, 3 },
	{ "ATTACH, sender", run_attach_sender, undo_close, 8 },
	{ "ATTACH, client", run_attach_client, undo_close, 8 },
	{ "ATTACH, server", run_attach_server, undo_close, 6 },
	{ "LIST", run_list, NULL, 3 },
	{ "PEERS", run_peers, NULL, 3 },
	{ "INFO", run_info, NULL, 2 },
	{ "FEATURES", run_features, NULL, 2 },
	{ "EVICT", run_evict, NULL, 1 },
	{ "mmap", run_mmap, NULL, 1 },
	{ "poll", run_poll, NULL, 0 },
	{ "WAIT", run_wait, NULL, 1 },
	{ "KICK", run_kick, NULL, 1 },
	{ "CALL, RECV, REPLY", run_round_trip, NULL, 3 },
};

TEST_F(failnth, every_command)
{
	for (unsigned int i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		bool more = true;
		int n;

		for (n = 0; more && n < 300; n++) {
			long ret;

			fail_nth(n + 1);
			ret = ops[i].run(self);
			more = failed();
			if (ret >= 0 && ops[i].undo)
				ops[i].undo(self, ret);
			EXPECT_TRUE(ret >= 0 || ret == -ENOMEM || ret == -EFAULT) {
				TH_LOG("%s, failure %d: %ld", ops[i].name, n + 1, ret);
			}
			if (!more)
				EXPECT_LE(0, ret) { TH_LOG("%s without a failure", ops[i].name); }
		}
		EXPECT_LE(ops[i].points, n - 1) { TH_LOG("%s", ops[i].name); }
		EXPECT_FALSE(more) { TH_LOG("%s", ops[i].name); }
	}
	EXPECT_TRUE(until(info(self->ring).senders == 1 && info(self->call).senders == 1));
	EXPECT_EQ(2, info(self->ring).senders + info(self->ring).receivers);
	EXPECT_EQ(2, info(self->call).senders + info(self->call).receivers);
	EXPECT_EQ(-ENOENT, open_name(self->dev, "new", MSGC_READ));
}

TEST_HARNESS_MAIN
