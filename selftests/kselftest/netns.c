// SPDX-License-Identifier: MIT
/*
 * Names belong to a network namespace and go with it; identities and quotas are translated between
 * user namespaces.
 */
#include "msgc.h"

/*
 * A process in a network namespace of its own: hands over a device fd and a channel fd from there,
 * then waits to be told to go.
 */
static int in_new_netns(int sk, void *arg)
{
	int dev, chan;

	(void)arg;
	if (unshare(CLONE_NEWNET))
		return 1;
	dev = device();
	chan = create(dev, CREATE(.name = "here", .flags = MSGC_PERSISTENT));
	if (chan < 0 || send_fd(sk, dev) || send_fd(sk, chan))
		return 2;
	hear(sk);
	return 0;
}

FIXTURE(netns) {
	struct kid k;
	int dev, chan;		/* there */
	int mine;		/* a device fd here */
};

FIXTURE_SETUP(netns)
{
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	self->mine = device();
	self->k = kid_start(in_new_netns, NULL);
	self->dev = recv_fd(self->k.sk);
	self->chan = recv_fd(self->k.sk);
	ASSERT_GE(self->dev, 0);
	ASSERT_GE(self->chan, 0);
}

FIXTURE_TEARDOWN(netns)
{
	if (self->k.pid)
		kid_end(&self->k, SIGKILL);
}

static void leave(struct kid *k)
{
	kid_end(k, SIGKILL);
	k->pid = 0;
}

TEST_F(netns, names_are_apart)
{
	struct msgc_info row[2];
	__u64 cursor = 0;
	int here;

	EXPECT_EQ(-ENOENT, open_name(self->mine, "here", MSGC_READ));
	EXPECT_EQ(0, poll_now(self->mine, POLLPRI));
	here = create(self->mine, CREATE(.name = "here"));
	ASSERT_GE(here, 0);
	EXPECT_NE(info(here).id, info(self->chan).id);
	ASSERT_EQ(1,
		  rows(self->mine, MSGC_LIST, MSGC_ROW_CHANNEL, row, sizeof(row[0]), 2, &cursor));
	EXPECT_EQ(info(here).id, row[0].id);
	/* an id is no way around it */
	EXPECT_EQ(-ENOENT,
		  cmd(self->mine, MSGC_OPEN, &OPEN(.flags = MSGC_LOOK, .id = info(self->chan).id)));
	/* the namespace is that of the device's opener, whoever uses the fd */
	EXPECT_EQ(-EEXIST, create(self->dev, CREATE(.name = "here")));
	EXPECT_EQ(info(self->chan).id, info(open_name(self->dev, "here", MSGC_READ)).id);
}

static bool is_dead(int dev)
{
	return poll_now(dev, POLLPRI) & POLLHUP;
}

TEST_F(netns, dead_namespace)
{
	struct msgc_info row[2];
	__u64 cursor = 0;

	EXPECT_FALSE(is_dead(self->dev));
	leave(&self->k);
	ASSERT_TRUE(until(is_dead(self->dev)));
	EXPECT_EQ(POLLHUP | POLLPRI, poll_now(self->dev, POLLPRI));
	EXPECT_EQ(-ENODEV, open_name(self->dev, "here", MSGC_READ));
	EXPECT_EQ(-ENODEV, create(self->dev, CREATE(.name = "here")));
	EXPECT_EQ(-ENODEV, create(self->dev, CREATE()));
	EXPECT_EQ(-ENODEV, unlink_name(self->dev, "here"));
	EXPECT_EQ(-ENODEV,
		  rows(self->dev, MSGC_LIST, MSGC_ROW_CHANNEL, row, sizeof(row[0]), 2, &cursor));
	EXPECT_EQ(-ENODEV,
		  cmd(self->dev, MSGC_OPEN, &OPEN(.flags = MSGC_LOOK, .id = info(self->chan).id)));
}

/* Attached endpoints, and the channel fd, live on as unnamed. */
TEST_F(netns, dead_namespace_channel)
{
	struct ep s, r;

	ASSERT_EQ(0, ep_sender(&s, self->chan));
	leave(&self->k);
	ASSERT_TRUE(until(is_dead(self->dev)));
	EXPECT_TRUE(until(!info(self->chan).name[0]));
	ASSERT_EQ(0, ep_receiver(&r, self->chan));
	tx_send(&s, 7, "still", 5);
	EXPECT_EQ(7, rx_take(&r, 0)->type);
}

static void *poll_device(void *p)
{
	return (void *)(long)poll_ms(*(int *)p, POLLPRI, 10000);
}

TEST_F(netns, death_wakes_pollers)
{
	pthread_t t;
	void *ret;

	open_name(self->dev, "there", MSGC_READ);		/* sees everything so far */
	ASSERT_EQ(0, pthread_create(&t, NULL, poll_device, &self->dev));
	usleep(20000);
	leave(&self->k);
	pthread_join(t, &ret);
	EXPECT_TRUE((long)ret & POLLHUP);
}

/* Namespaces come and go while somebody sleeps on their devices. */
TEST(namespaces_come_and_go)
{
	for (int n = 0; n < 5; n++) {
		struct kid k = kid_start(in_new_netns, NULL);
		int dev = recv_fd(k.sk), chan = recv_fd(k.sk);

		ASSERT_GE(dev, 0);
		if (n & 1)
			close(dev);
		kid_end(&k, SIGKILL);
		if (!(n & 1))
			close(dev);
		close(chan);
	}
}

/* ---- user namespaces ---- */

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC),
	    ok = fd >= 0 && write(fd, text, strlen(text)) > 0;

	close(fd);
	return ok ? 0 : -1;
}

/* Maps ten ids, from 100000 on, into a child that has made a user namespace. */
static int map_ids(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	if (write_file(path, "0 100000 10"))
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	return write_file(path, "0 100000 10");
}

static int attach_in_userns(int sk, void *p)
{
	struct msgc_attach at = ATTACH(.role = MSGC_SENDER);
	struct msgc_peer row[2];
	int chan = *(int *)p;
	__u64 cursor = 0;

	if (unshare(CLONE_NEWUSER))
		return 1;
	tell(sk, 1);
	hear(sk);
	if (become(3, 4) || cmd(chan, MSGC_ATTACH, &at) < 0)
		return 2;
	if (rows(chan, MSGC_PEERS, MSGC_ROW_ENDPOINT, row, sizeof(row[0]), 2, &cursor) != 2)
		return 3;
	for (int i = 0; i < 2; i++)
		tell(sk, row[i].id == at.id ? row[i].uid * 10 + row[i].gid : row[i].uid);
	tell(sk, at.id);
	hear(sk);
	return 0;
}

/* Ids as the reader's namespace knows them: the overflow id where it does not. */
TEST(userns_identity)
{
	int chan = create_private(CREATE()), a, b, id;
	struct kid k;
	struct ep r;

	ASSERT_EQ(0, ep_receiver(&r, chan));
	k = kid_start(attach_in_userns, &chan);
	ASSERT_EQ(1, hear(k.sk));
	ASSERT_EQ(0, map_ids(k.pid));
	tell(k.sk, 1);
	a = hear(k.sk);
	b = hear(k.sk);
	id = hear(k.sk);
	EXPECT_EQ(65534 + 34, a + b);
	EXPECT_EQ(100003, peer(chan, id).uid);
	EXPECT_EQ(100004, peer(chan, id).gid);
	EXPECT_EQ(0, kid_end(&k, 0));
}

static int attach_in_pidns(int sk, void *p)
{
	struct msgc_attach at = ATTACH(.role = MSGC_SENDER);
	int chan = *(int *)p;
	struct msgc_peer row[2];
	__u64 cursor = 0;

	if (cmd(chan, MSGC_ATTACH, &at) < 0 ||
	    rows(chan, MSGC_PEERS, MSGC_ROW_ENDPOINT, row, sizeof(row[0]), 2, &cursor) != 2)
		return 1;
	for (int i = 0; i < 2; i++)
		tell(sk, row[i].pid);
	tell(sk, info(chan).creator);
	tell(sk, at.id);
	hear(sk);
	return 0;
}

static int into_pidns(int sk, void *p)
{
	struct kid k;

	if (unshare(CLONE_NEWPID))
		return 1;
	k = kid_start(attach_in_pidns, p);
	for (int i = 0; i < 4; i++)
		tell(sk, hear(k.sk));
	tell(sk, k.pid);
	hear(sk);
	return kid_end(&k, 0);
}

/* Likewise process ids: 0 for who is not there. */
TEST(pidns_identity)
{
	int chan = create_private(CREATE()), sum, id;
	struct kid k;
	struct ep r;

	ASSERT_EQ(0, ep_receiver(&r, chan));
	k = kid_start(into_pidns, &chan);
	sum = hear(k.sk);
	sum += hear(k.sk);
	EXPECT_EQ(1, sum);
	EXPECT_EQ(0, hear(k.sk));
	id = hear(k.sk);
	EXPECT_EQ(hear(k.sk), peer(chan, id).pid);
	EXPECT_EQ(0, kid_end(&k, 0));
}

static int count_in_userns(int sk, void *arg)
{
	int chan;

	(void)arg;
	if (become(1000, 1000) || unshare(CLONE_NEWUSER))
		return 1;
	tell(sk, 1);
	hear(sk);
	/* each id creates one channel and leaves it open with the next id */
	for (int id = 9; id > 0; id--) {
		if (setresuid(id, id, 0))
			return 2;
		chan = create_private(CREATE());
		tell(sk, chan < 0 ? chan : 1);
		if (setresuid(0, 0, 0))
			return 3;
	}
	hear(sk);
	return 0;
}

#define CHANNELS "/sys/module/msgchan/parameters/max_channels_per_user"

/* Ten ids inside are one user outside. */
TEST(userns_quota)
{
	struct kid k = kid_start(count_in_userns, NULL);
	int made = 0, refused = 0;

	ASSERT_EQ(1, hear(k.sk));
	ASSERT_EQ(0, map_ids(k.pid));
	ASSERT_EQ(0, write_file(CHANNELS, "4"));
	tell(k.sk, 1);
	for (int n = 0; n < 9; n++) {
		int ret = hear(k.sk);

		made += ret == 1;
		refused += ret == -EDQUOT;
	}
	write_file(CHANNELS, "1024");
	EXPECT_EQ(4, made);
	EXPECT_EQ(5, refused);
	EXPECT_EQ(0, kid_end(&k, 0));
}

TEST_HARNESS_MAIN
