// SPDX-License-Identifier: MIT
/*
 * Who pays: per-user limits, the half-of-the-indices rule and the memory cgroup; and that
 * everything comes back.
 */
#include <sys/mount.h>
#include <sys/stat.h>

#include "msgc.h"

#define ALICE	1000
#define BOB	1001

static const char *const parameter[] = {
	"/sys/module/msgchan/parameters/max_endpoints_per_user",
	"/sys/module/msgchan/parameters/max_channels_per_user",
	"/sys/module/msgchan/parameters/max_bytes_per_user",
};

enum { ENDPOINTS, CHANNELS, BYTES };

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret;

	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static long long read_number(const char *path)
{
	char buf[32] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, buf, sizeof(buf) - 1) <= 0)
		buf[0] = 0;
	close(fd);
	return buf[0] ? atoll(buf) : -1;
}

static int limit(int which, unsigned long long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", value);
	return write_text(parameter[which], text);
}

FIXTURE(quota) {
	long long before[3];
};

FIXTURE_SETUP(quota)
{
	for (int i = 0; i < 3; i++) {
		self->before[i] = read_number(parameter[i]);
		ASSERT_GE(self->before[i], 0);
	}
}

FIXTURE_TEARDOWN(quota)
{
	for (int i = 0; i < 3; i++)
		limit(i, self->before[i]);
}

TEST_F(quota, parameters)
{
	EXPECT_EQ(4096, self->before[ENDPOINTS]);
	EXPECT_EQ(1024, self->before[CHANNELS]);
	EXPECT_EQ(0, self->before[BYTES]);		/* an eighth of RAM */
	for (int i = 0; i < 3; i++) {
		struct stat st;

		EXPECT_EQ(0, stat(parameter[i], &st));
		EXPECT_EQ(0644, st.st_mode & 0777);
	}
}

static int attach_size(__u64 ring)
{
	int chan = create_private(CREATE(.ring_max = ring)), e;
	struct msgc_attach at = ATTACH(.role = MSGC_SENDER, .ring = ring);

	e = cmd(chan, MSGC_ATTACH, &at);
	close(e);
	close(chan);
	return e < 0 ? e : 0;
}

/* The default: an eighth of RAM fits, the next larger ring does not. */
TEST_F(quota, an_eighth_of_ram)
{
	__u64 eighth = sysconf(_SC_PHYS_PAGES) * PAGE / 8, ring = 1 << 20;

	while (ring <= eighth)
		ring *= 2;
	EXPECT_EQ(-EDQUOT, attach_size(ring));
	EXPECT_EQ(0, attach_size(ring / 2));
}

/* Makes up to max things; how many worked, and that the next failed with EDQUOT. */
static int until_refused(int (*make)(void *arg), void *arg, int *fd, int max)
{
	int n;

	for (n = 0; n < max; n++) {
		fd[n] = make(arg);
		if (fd[n] < 0)
			return fd[n] == -EDQUOT ? n : fd[n];
	}
	return n;
}

static int make_channel(void *arg)
{
	(void)arg;
	return create_private(CREATE());
}

static int make_endpoint(void *arg)
{
	struct msgc_attach at = ATTACH(.role = MSGC_SENDER, .ring = 4096);

	return cmd(*(int *)arg, MSGC_ATTACH, &at);
}

/* What was given back may come back in a worker, a moment later. */
static int make_soon(int (*make)(void *arg), void *arg)
{
	int fd;

	until((fd = make(arg)) != -EDQUOT);
	return fd;
}

/* Five, and the sixth not. */
static int make_five(int (*make)(void *arg), void *arg, int *fd)
{
	for (int i = 0; i < 5; i++) {
		fd[i] = make_soon(make, arg);
		if (fd[i] < 0)
			return fd[i];
	}
	return make(arg) == -EDQUOT ? 0 : -EEXIST;
}

/*
 * As ALICE: five, and the sixth not; one given back, one more; then all given back and all again,
 * often.
 */
static int up_to_the_limit(int (*make)(void *arg), void *arg)
{
	int fd[5];

	if (make_five(make, arg, fd))
		return 10;
	close(fd[2]);
	fd[2] = make_soon(make, arg);
	if (fd[2] < 0)
		return 11;
	if (make(arg) != -EDQUOT)
		return 12;
	for (int round = 0; round < 30; round++) {
		for (int i = 0; i < 5; i++)
			close(fd[i]);
		if (make_five(make, arg, fd))
			return 13;
	}
	return 0;
}

static int channels_as_alice(int sk, void *arg)
{
	(void)sk;
	return become(ALICE, ALICE) ? 1 : up_to_the_limit(make_channel, arg);
}

static int endpoints_as_alice(int sk, void *arg)
{
	int chan;

	(void)sk;
	(void)arg;
	if (become(ALICE, ALICE))
		return 1;
	chan = create_private(CREATE());
	return up_to_the_limit(make_endpoint, &chan);
}

TEST_F(quota, channels)
{
	struct kid k;

	ASSERT_EQ(0, limit(CHANNELS, 5));
	for (int round = 0; round < 2; round++) {
		k = kid_start(channels_as_alice, NULL);
		EXPECT_EQ(0, kid_end(&k, 0));
	}
}

TEST_F(quota, endpoints)
{
	struct kid k;

	ASSERT_EQ(0, limit(ENDPOINTS, 5));
	for (int round = 0; round < 2; round++) {
		k = kid_start(endpoints_as_alice, NULL);
		EXPECT_EQ(0, kid_end(&k, 0));
	}
}

/* One user's limit is not another's. */
TEST_F(quota, users_apart)
{
	struct kid a, b;

	ASSERT_EQ(0, limit(CHANNELS, 5));
	a = kid_start(channels_as_alice, NULL);
	EXPECT_EQ(0, kid_end(&a, 0));
	for (int i = 0; i < 6; i++)
		create_private(CREATE());
	b = kid_start(channels_as_alice, NULL);
	EXPECT_EQ(0, kid_end(&b, 0));
}

/* ---- memory ---- */

static int make_ring(void *arg)
{
	struct msgc_attach at = ATTACH(.role = MSGC_SENDER, .ring = 512 << 10);

	return cmd(*(int *)arg, MSGC_ATTACH, &at);
}

/* The limit is 2 MiB: three rings of half a MiB with their control pages, and not four. */
static int bytes_as_alice(int sk, void *arg)
{
	int chan, fd[8];

	(void)sk;
	(void)arg;
	if (become(ALICE, ALICE))
		return 1;
	chan = create_private(CREATE(.ring_max = 512 << 10));
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 3; i++) {
			fd[i] = make_soon(make_ring, &chan);
			if (fd[i] < 0)
				return 10 + round;
		}
		if (make_ring(&chan) != -EDQUOT)
			return 20 + round;
		for (int i = 0; i < 3; i++)
			close(fd[i]);
	}
	return 0;
}

TEST_F(quota, bytes)
{
	struct kid k;

	ASSERT_EQ(0, limit(BYTES, 2 << 20));
	for (int round = 0; round < 2; round++) {
		k = kid_start(bytes_as_alice, NULL);
		EXPECT_EQ(0, kid_end(&k, 0));
	}
}

static int bytes_of_status(int sk, void *arg)
{
	(void)sk;
	(void)arg;
	if (become(ALICE, ALICE))
		return 1;
	return create_private(CREATE()) == -EDQUOT ? 0 : 2;
}

/* The creator pays for the status area. */
TEST_F(quota, bytes_of_status)
{
	struct kid k;

	ASSERT_EQ(0, limit(BYTES, 1));
	k = kid_start(bytes_of_status, NULL);
	EXPECT_EQ(0, kid_end(&k, 0));
}

static int make_client(void *arg)
{
	struct msgc_attach at = ATTACH(.role = MSGC_SENDER);

	return cmd(*(int *)arg, MSGC_ATTACH, &at);
}

/* Status areas of 8 KiB, then clients of 44 KiB, come and go: all together more than 256 KiB. */
static int bytes_come_back(int sk, void *arg)
{
	int chan, fd;

	(void)sk;
	(void)arg;
	if (become(ALICE, ALICE))
		return 1;
	chan = create_private(CREATE_CALL(.request = PAGE, .reply = PAGE));
	for (int round = 0; round < 40; round++) {
		fd = make_soon(make_channel, NULL);
		if (fd < 0)
			return 2;
		close(fd);
	}
	for (int round = 0; round < 20; round++) {
		fd = make_soon(make_client, &chan);
		if (fd < 0)
			return 3;
		close(fd);
	}
	return 0;
}

TEST_F(quota, bytes_come_back)
{
	struct kid k;

	ASSERT_EQ(0, limit(BYTES, 256 << 10));
	k = kid_start(bytes_come_back, NULL);
	EXPECT_EQ(0, kid_end(&k, 0));
}

/* A client says at ATTACH what it will pay for its slots. */
TEST_F(quota, client_ceiling)
{
	int chan = create_private(CREATE_CALL(.request = 1 << 20, .reply = 1 << 20));
	struct msgc_attach at = ATTACH(.role = MSGC_SENDER, .ring = 4 << 20);

	ASSERT_GE(chan, 0);
	EXPECT_EQ(-EDQUOT, cmd(chan, MSGC_ATTACH, &at));
	EXPECT_EQ(0, info(chan).senders);
	at.ring = 16 << 20;
	EXPECT_LE(0, cmd(chan, MSGC_ATTACH, &at));
	/* the default is 64 MiB */
	chan = create_private(CREATE_CALL(.request = 16 << 20, .reply = 16 << 20));
	at = ATTACH(.role = MSGC_SENDER);
	EXPECT_EQ(-EDQUOT, cmd(chan, MSGC_ATTACH, &at));
}

/* ---- what a killed process held comes back too ---- */

static int make_half(void *arg)
{
	(void)arg;
	return create_private(CREATE(.ring_max = 512 << 10));
}

/* The last references of the process before may fall in a worker, a little later. */
static int hold_all(int sk, void *arg)
{
	int chan, fd[8], n;

	(void)arg;
	if (become(ALICE, ALICE))
		return 1;
	chan = make_soon(make_half, NULL);
	if (chan < 0)
		return 1;
	for (int tries = 0; tries < 500; tries++) {
		n = until_refused(make_ring, &chan, fd, 8);
		if (n < 0 || n >= 3)
			break;
		while (n > 0)
			close(fd[--n]);
		usleep(10000);
	}
	tell(sk, n);
	hear(sk);
	return 0;
}

/* Keeps the user known, and his counts with him, while other processes of his come and go. */
static int hold_one(int sk, void *arg)
{
	(void)arg;
	if (become(ALICE, ALICE))
		return 1;
	tell(sk, create_private(CREATE()));
	hear(sk);
	return 0;
}

TEST_F(quota, killed)
{
	struct kid one = kid_start(hold_one, NULL);

	ASSERT_LE(0, hear(one.sk));
	ASSERT_EQ(0, limit(BYTES, 2 << 20));
	ASSERT_EQ(0, limit(ENDPOINTS, 3));
	ASSERT_EQ(0, limit(CHANNELS, 2));
	for (int round = 0; round < 10; round++) {
		struct kid k = kid_start(hold_all, NULL);

		EXPECT_EQ(3, hear(k.sk)) { TH_LOG("round %d", round); }
		kid_end(&k, SIGKILL);
	}
	kid_end(&one, 0);
}

/* ---- at most half of the indices for a user who is not the channel's owner ---- */

struct half {
	int chan, role, all;
};

static int attach_member(void *p)
{
	struct half *h = p;
	struct msgc_attach at = ATTACH(.role = h->role);

	return cmd(h->chan, MSGC_ATTACH, &at);
}

static int half_as_alice(int sk, void *p)
{
	struct half *h = p;
	int fd[8], n, ret = 0;
	__u64 freed;

	(void)sk;
	if (become(ALICE, ALICE))
		return 1;
	for (n = 0; n < 8; n++) {
		fd[n] = attach_member(h);
		if (fd[n] < 0)
			break;
	}
	if (n != (h->all + 1) / 2 || fd[n] != -EDQUOT)
		return 100 + n;
	/* an index that he freed counts as his for another 100 ms */
	freed = now();
	close(fd[0]);
	ret = attach_member(h);
	if (ret != -EDQUOT && now() - freed < 80 * MS)
		return 3;
	usleep(150000);
	if (ret < 0)
		ret = make_soon(attach_member, h);
	return ret < 0 ? 4 : 0;
}

TEST_F(quota, half_of_the_senders)
{
	for (int all = 3; all <= 4; all++) {
		int chan = create_private(CREATE(.max_senders = all)), fd[8], n;
		struct half h = { chan, MSGC_SENDER, all };
		struct kid k = kid_start(half_as_alice, &h);

		EXPECT_EQ(0, kid_end(&k, 0)) { TH_LOG("%d senders", all); }
		usleep(120000);
		/* the owner may have them all */
		for (n = 0; n < 8; n++) {
			fd[n] = make_endpoint(&chan);
			if (fd[n] < 0)
				break;
		}
		EXPECT_EQ(all, n);
		EXPECT_EQ(-EUSERS, fd[n]);
	}
}

TEST_F(quota, half_of_the_servers)
{
	int chan = create_private(CREATE_CALL(.flags = MSGC_MANY_SERVERS, .max_receivers = 4));
	struct half h = { chan, MSGC_RECEIVER, 4 };
	struct kid k = kid_start(half_as_alice, &h);

	EXPECT_EQ(0, kid_end(&k, 0));
}

/* ---- the memory cgroup ---- */

#define CG	"/tmp/msgchan-cgroup"

FIXTURE(cgroup) {
	bool ready;
};

FIXTURE_SETUP(cgroup)
{
	mkdir(CG, 0755);
	if (mount("none", CG, "cgroup2", 0, NULL) ||
	    write_text(CG "/cgroup.subtree_control", "+memory") ||
	    (mkdir(CG "/test", 0755) && errno != EEXIST))
		SKIP(return, "no memory cgroup: errno %d", errno);
	self->ready = read_number(CG "/test/memory.current") >= 0;
}

FIXTURE_TEARDOWN(cgroup)
{
	rmdir(CG "/test");
	umount2(CG, MNT_DETACH);
	rmdir(CG);
}

static int in_cgroup(int sk, void *p)
{
	__u64 ring = *(__u64 *)p;
	int chan = create_private(CREATE(.ring_max = ring)), e;
	struct msgc_attach at = ATTACH(.role = MSGC_SENDER, .ring = ring);

	if (write_text(CG "/test/cgroup.procs", "0"))
		return 1;
	tell(sk, 1);
	hear(sk);
	e = cmd(chan, MSGC_ATTACH, &at);
	tell(sk, e < 0 ? e : 0);
	hear(sk);
	close(e);
	tell(sk, 1);
	hear(sk);
	return 0;
}

static long long charged(void)
{
	return read_number(CG "/test/memory.current");
}

TEST_F(cgroup, charge)
{
	__u64 ring = 8 << 20;
	struct kid k = kid_start(in_cgroup, &ring);
	long long before;

	ASSERT_TRUE(self->ready);
	ASSERT_EQ(1, hear(k.sk));
	before = charged();
	tell(k.sk, 1);
	EXPECT_EQ(0, hear(k.sk));
	EXPECT_GE(charged() - before, (long long)ring);
	EXPECT_LE(charged() - before, (long long)ring + (1 << 20));
	tell(k.sk, 1);
	EXPECT_EQ(1, hear(k.sk));
	EXPECT_TRUE(until(charged() - before < 1 << 20));
	kid_end(&k, SIGKILL);
	usleep(10000);
}

/* More than the cgroup has: an error, and nobody is killed for it. */
TEST_F(cgroup, limit)
{
	__u64 ring = 32 << 20;
	struct kid k = kid_start(in_cgroup, &ring);

	ASSERT_TRUE(self->ready);
	ASSERT_EQ(1, hear(k.sk));
	ASSERT_EQ(0, write_text(CG "/test/memory.max", "8388608"));
	tell(k.sk, 1);
	EXPECT_EQ(-ENOMEM, hear(k.sk));
	tell(k.sk, 1);
	EXPECT_EQ(1, hear(k.sk));
	EXPECT_TRUE(until(charged() < 4 << 20));
	kid_end(&k, SIGKILL);
	usleep(10000);
}

TEST_HARNESS_MAIN
