// SPDX-License-Identifier: MIT
/*
 * Who may do what: mode bits at OPEN, rights kept in the fd, ownership, overrides, and endpoints
 * that obey one process.
 */
#include <linux/capability.h>

#include "msgc.h"

#define ALICE	1000
#define BOB	1001
#define STAFF	2000

/* Someone who tries one thing, in a process of its own. */
struct actor {
	uid_t uid;
	gid_t gid, group;	/* group: a supplementary one, 0 = none */
	int (*act)(void *arg);
	void *arg;
};

static int actor_main(int sk, void *p)
{
	struct actor *a = p;

	if (setgroups(!!a->group, &a->group) || setresgid(a->gid, a->gid, a->gid) ||
	    setresuid(a->uid, a->uid, a->uid))
		return 1;
	tell(sk, a->act(a->arg));
	return 0;
}

/* What act(arg) returned as that user. */
static int as(uid_t uid, gid_t gid, gid_t group, int (*act)(void *arg), void *arg)
{
	struct actor a = { uid, gid, group, act, arg };
	struct kid k = kid_start(actor_main, &a);
	int ret = hear(k.sk);

	kid_end(&k, 0);
	return ret;
}

FIXTURE(perm) {
	int dev;
};

FIXTURE_SETUP(perm)
{
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	self->dev = device();
	ASSERT_GE(self->dev, 0);
}

FIXTURE_TEARDOWN(perm)
{
	close(self->dev);
}

/* ---- OPEN ---- */

struct attempt {
	const char *name;
	unsigned int rights;
};

static int try_open(void *p)
{
	struct attempt *a = p;
	int ret = open_name(device(), a->name, a->rights);

	return ret < 0 ? ret : 0;
}

#define R	MSGC_READ
#define W	MSGC_WRITE
#define RW	(MSGC_READ | MSGC_WRITE)
#define LOOK	MSGC_LOOK

/* The channel belongs to ALICE and STAFF. */
TEST_F(perm, mode_bits)
{
	static const struct {
		unsigned int perm;
		uid_t uid;
		gid_t gid, group;
		unsigned int rights;
		int want;
	} cases[] = {
		{ 0600, ALICE, ALICE, 0, RW, 0 },
		{ 0600, ALICE, STAFF, 0, RW, 0 },
		{ 0400, ALICE, ALICE, 0, R, 0 },
		{ 0400, ALICE, ALICE, 0, W, -EACCES },
		{ 0400, ALICE, ALICE, 0, RW, -EACCES },
		{ 0200, ALICE, ALICE, 0, W, 0 },
		{ 0200, ALICE, ALICE, 0, R, -EACCES },
		{ 0200, ALICE, ALICE, 0, RW, -EACCES },
		/* the owner's class is the owner's */
		{ 0066, ALICE, STAFF, 0, R, -EACCES },
		{ 0600, BOB, BOB, 0, R, -EACCES },
		{ 0600, BOB, BOB, 0, W, -EACCES },
		{ 0640, BOB, STAFF, 0, R, 0 },
		{ 0640, BOB, STAFF, 0, W, -EACCES },
		{ 0620, BOB, BOB, STAFF, W, 0 },
		{ 0620, BOB, BOB, STAFF, R, -EACCES },
		{ 0606, BOB, BOB, STAFF, R, -EACCES },		/* and the group's the group's */
		{ 0604, BOB, BOB, 0, R, 0 },
		{ 0604, BOB, BOB, 0, W, -EACCES },
		{ 0602, BOB, BOB, 0, W, 0 },
		{ 0602, BOB, BOB, 0, RW, -EACCES },
		{ 0000, ALICE, ALICE, 0, LOOK, 0 },		/* looking: ownership is enough */
		{ 0600, BOB, BOB, 0, LOOK, -EACCES },
		{ 0604, BOB, BOB, 0, LOOK, 0 },
		{ 0000, 0, 0, 0, RW, 0 },			/* CAP_DAC_OVERRIDE */
		{ 0000, 0, 0, 0, LOOK, 0 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct attempt a = { "here", cases[i].rights };
		int chan = create(self->dev, CREATE(.name = "here", .perm = cases[i].perm,
						    .uid = ALICE, .gid = STAFF));

		ASSERT_GE(chan, 0);
		EXPECT_EQ(cases[i].want,
			  as(cases[i].uid, cases[i].gid, cases[i].group, try_open, &a)) {
			TH_LOG("case %u: mode %04o, uid %u, rights %u", i, cases[i].perm,
			       cases[i].uid, a.rights);
		}
		close(chan);
	}
}

static int drop_cap(int cap)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d))
		return -errno;
	d[cap / 32].effective &= ~(1U << cap % 32);
	return syscall(SYS_capset, &h, d) ? -errno : 0;
}

static int open_without_override(void *p)
{
	return drop_cap(CAP_DAC_OVERRIDE) ?: try_open(p);
}

static int unlink_without_fowner(void *p)
{
	return drop_cap(CAP_FOWNER) ?: unlink_name(device(), p);
}

static int enter_userns(void)
{
	return unshare(CLONE_NEWUSER) ? -errno : 0;
}

static int open_in_userns(void *p)
{
	return enter_userns() ?: try_open(p);
}

static int unlink_in_userns(void *p)
{
	return enter_userns() ?: unlink_name(device(), p);
}

/* Root is the capability, and that in the creator's user namespace. */
TEST_F(perm, override)
{
	struct attempt a = { "here", R };
	int chan =
		create(self->dev, CREATE(.name = "here", .perm = 0600, .uid = ALICE, .gid = ALICE));

	ASSERT_GE(chan, 0);
	EXPECT_EQ(0, as(0, 0, 0, try_open, &a));
	EXPECT_EQ(-EACCES, as(0, 0, 0, open_without_override, &a));
	EXPECT_EQ(-EACCES, as(0, 0, 0, open_in_userns, &a));
	a.rights = LOOK;
	EXPECT_EQ(-EACCES, as(0, 0, 0, open_in_userns, &a));
}

static int try_unlink(void *p)
{
	return unlink_name(device(), p);
}

TEST_F(perm, unlink)
{
	int chan =
		create(self->dev, CREATE(.name = "here", .perm = 0666, .uid = ALICE, .gid = STAFF));

	EXPECT_EQ(-EPERM, as(BOB, STAFF, 0, try_unlink, "here"));
	EXPECT_EQ(-EPERM, as(0, 0, 0, unlink_without_fowner, "here"));
	EXPECT_EQ(-EPERM, as(0, 0, 0, unlink_in_userns, "here"));
	EXPECT_STREQ("here", info(chan).name);
	EXPECT_EQ(0, as(ALICE, ALICE, 0, try_unlink, "here"));
	EXPECT_STREQ("", info(chan).name);
	close(chan);
	chan = create(self->dev, CREATE(.name = "here", .uid = ALICE, .gid = STAFF));
	EXPECT_EQ(0, as(0, 0, 0, try_unlink, "here"));
}

/* ---- CREATE: whose it is ---- */

struct ownership {
	__u32 uid, gid;
};

static int try_create(void *p)
{
	struct ownership *o = p;
	int chan = create(device(), CREATE(.uid = o->uid, .gid = o->gid));

	return chan < 0 ? chan : (int)(info(chan).uid * 10000 + info(chan).gid);
}

TEST_F(perm, owner_at_create)
{
	static const struct {
		uid_t uid;
		gid_t gid, group;
		struct ownership o;
		int want;
	} cases[] = {
		{ ALICE, BOB, 0, { ~0U, ~0U }, ALICE * 10000 + BOB },
		{ ALICE, BOB, 0, { ALICE, BOB }, ALICE * 10000 + BOB },
		{ ALICE, BOB, STAFF, { ~0U, STAFF }, ALICE * 10000 + STAFF },
		{ ALICE, ALICE, 0, { ~0U, STAFF }, -EPERM },
		{ ALICE, ALICE, 0, { BOB, ~0U }, -EPERM },
		{ ALICE, ALICE, 0, { 0, ~0U }, -EPERM },
		{ 0, 0, 0, { ALICE, STAFF }, ALICE * 10000 + STAFF },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ownership o = cases[i].o;

		EXPECT_EQ(cases[i].want,
			  as(cases[i].uid, cases[i].gid, cases[i].group, try_create, &o)) {
			TH_LOG("case %u", i);
		}
	}
}

/* ---- rights stay with the fd ---- */

static int min_zero(int ret)
{
	return ret < 0 ? ret : 0;
}

TEST_F(perm, attach_needs_the_right)
{
	static const struct { unsigned int rights, role; int want; } cases[] = {
		{ R, MSGC_RECEIVER, 0 }, { R, MSGC_SENDER, -EACCES }, { W, MSGC_SENDER, 0 },
		{ W, MSGC_RECEIVER, -EACCES }, { RW, MSGC_SENDER, 0 }, { RW, MSGC_RECEIVER, 0 },
	};
	const struct msgc_create modes[] = { CREATE(.name = "ring"), CREATE_CALL(.name = "call") };

	for (int m = 0; m < 2; m++) {
		int chan = create(self->dev, modes[m]);

		for (int i = 0; i < 6; i++) {
			int fd = open_name(self->dev, modes[m].name, cases[i].rights);
			struct msgc_attach at = ATTACH(.role = cases[i].role);
			int e = cmd(fd, MSGC_ATTACH, &at);

			EXPECT_EQ(cases[i].want, min_zero(e)) {
				TH_LOG("%s, case %d", modes[m].name, i);
			}
			close(e);
			close(fd);
		}
		close(chan);
	}
}

static int attach_passed(int sk, void *arg)
{
	int fd = recv_fd(sk);
	struct msgc_attach at = ATTACH(.role = MSGC_RECEIVER);

	(void)arg;
	if (become(BOB, BOB))
		return 1;
	tell(sk, open_name(device(), "here", R));
	tell(sk, cmd(fd, MSGC_ATTACH, &at));
	at = ATTACH(.role = MSGC_SENDER);
	tell(sk, cmd(fd, MSGC_ATTACH, &at));
	hear(sk);
	return 0;
}

/*
 * The fd is the capability: it works for one who could not have opened the name, and for nothing
 * more than it was opened for.
 */
TEST_F(perm, passed_fd)
{
	int chan = create(self->dev, CREATE(.name = "here", .perm = 0600)), fd;
	struct kid k = kid_start(attach_passed, NULL);
	struct msgc_peer row;
	__u64 cursor = 0;

	fd = open_name(self->dev, "here", R);
	EXPECT_EQ(0, send_fd(k.sk, fd));
	EXPECT_EQ(-EACCES, hear(k.sk));
	EXPECT_LE(0, hear(k.sk));
	EXPECT_EQ(-EACCES, hear(k.sk));
	ASSERT_EQ(1, rows(chan, MSGC_PEERS, MSGC_ROW_ENDPOINT, &row, sizeof(row), 1, &cursor));
	EXPECT_EQ(k.pid, row.pid);
	EXPECT_EQ(BOB, row.uid);
	EXPECT_EQ(BOB, row.gid);
	kid_end(&k, 0);
}

/* ---- looking ---- */

static int look_by_id(void *p)
{
	struct msgc_open o = OPEN(.flags = MSGC_LOOK, .id = *(__u64 *)p);
	int fd = cmd(device(), MSGC_OPEN, &o);

	return fd < 0 ? fd : 0;
}

/* An unnamed channel counts as 0600, whatever bits it was given. */
TEST_F(perm, look_at_unnamed)
{
	int chan = create(self->dev, CREATE(.perm = 0666, .uid = ALICE, .gid = STAFF));
	__u64 id = info(chan).id;

	EXPECT_EQ(0, as(ALICE, ALICE, 0, look_by_id, &id));
	EXPECT_EQ(-EACCES, as(BOB, STAFF, 0, look_by_id, &id));
	EXPECT_EQ(0, as(0, 0, 0, look_by_id, &id));
	close(chan);
	chan = create(self->dev, CREATE(.name = "here", .perm = 0604, .uid = ALICE, .gid = STAFF));
	id = info(chan).id;
	EXPECT_EQ(0, as(BOB, BOB, 0, look_by_id, &id));
}

static int listed_senders(void *p)
{
	struct msgc_info row[4];
	__u64 cursor = 0;

	(void)p;
	if (rows(device(), MSGC_LIST, MSGC_ROW_CHANNEL, row, sizeof(row[0]), 4, &cursor) != 1 ||
	    strcmp(row[0].name, "here"))
		return -1;
	return row[0].senders;
}

/* Everybody sees the name, and only who could open it the figures. */
TEST_F(perm, list_figures)
{
	int chan =
		create(self->dev, CREATE(.name = "here", .perm = 0600, .uid = ALICE, .gid = STAFF));

	ASSERT_LE(0, cmd(chan, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER)));
	EXPECT_EQ(1, as(ALICE, ALICE, 0, listed_senders, NULL));
	EXPECT_EQ(0, as(BOB, BOB, 0, listed_senders, NULL));
	EXPECT_EQ(1, as(0, 0, 0, listed_senders, NULL));
}

struct eviction {
	const char *name;
	__u32 id;
};

static int try_evict(void *p)
{
	struct eviction *v = p;
	int fd = open_name(device(), v->name, RW);

	return fd < 0 ? fd : evict(fd, v->id);
}

TEST_F(perm, evict)
{
	int chan =
		create(self->dev, CREATE(.name = "here", .perm = 0666, .uid = ALICE, .gid = ALICE));
	struct eviction v = { .name = "here" };
	struct ep s;

	ASSERT_EQ(0, ep_sender(&s, chan));
	v.id = s.at.id;
	EXPECT_EQ(-EPERM, as(BOB, ALICE, 0, try_evict, &v));
	EXPECT_EQ(MSGC_LIVE, ep_line(&s, s.at.id)->state);
	EXPECT_EQ(0, as(ALICE, ALICE, 0, try_evict, &v));
	EXPECT_NE(MSGC_LIVE, ep_line(&s, s.at.id)->state);
	EXPECT_EQ(-ESHUTDOWN, kick(s.fd));
}

static int leave_undrained(void *p)
{
	struct ep s;

	if (ep_sender(&s, *(int *)p))
		return -1;
	tx_send(&s, 1, "x", 1);
	return s.at.id;
}

/*
 * A departed sender's ring: by the channel's owner, or by the one who pays for it; a live one by
 * the owner alone.
 */
TEST_F(perm, evict_departed)
{
	int chan = create(self->dev, CREATE(.name = "here", .perm = 0666));
	struct eviction v = { .name = "here" };
	struct ep r;

	ASSERT_EQ(0, ep_receiver(&r, chan));
	v.id = as(ALICE, ALICE, 0, leave_undrained, &chan);
	ASSERT_TRUE(until(!ep_status(&r)->senders));
	EXPECT_EQ(-EPERM, as(BOB, BOB, 0, try_evict, &v));
	EXPECT_NE(MSGC_REVOKED, ep_line(&r, v.id)->state);
	EXPECT_EQ(0, as(ALICE, ALICE, 0, try_evict, &v));
	EXPECT_TRUE(until(ep_line(&r, v.id)->state == MSGC_REVOKED));
	v.id = r.at.id;
	EXPECT_EQ(-EPERM, as(ALICE, ALICE, 0, try_evict, &v));
	v.id = as(ALICE, ALICE, 0, leave_undrained, &chan);
	ASSERT_TRUE(until(!ep_status(&r)->senders));
	EXPECT_EQ(0, evict(chan, v.id));
	EXPECT_TRUE(until(ep_line(&r, v.id)->state == MSGC_REVOKED));
}

/* ---- endpoints obey the process that attached them ---- */

static int foreign_commands(int sk, void *p)
{
	static const unsigned long nr[] = { MSGC_WAIT,	 MSGC_KICK,	 MSGC_REFUSE,
					    MSGC_CLAIM,	 MSGC_CALL,	 MSGC_CANCEL,
					    MSGC_RECV,	 MSGC_REPLY,	 MSGC_REPLY_RECV,
					    MSGC_RETURN, MSGC_INTERRUPT, MSGC_DETACH };
	struct ep *e = p;
	unsigned char arg[16];

	for (int i = 0; i < 12; i++) {
		/* wrong in every other way as well: EPERM comes first */
		memset(arg, 0xff, sizeof(arg));
		if (cmd(e->fd, nr[i], arg) != -EPERM)
			return 10 + i;
		if (cmd(e->fd, nr[i], NULL) != -EPERM)
			return 30 + i;
	}
	for (int k = 0; k < MSGC_AREAS; k++)
		if (e->at.area[k].size &&
		    (map_area(e->fd, &e->at.area[k], PROT_READ) != MAP_FAILED || errno != EPERM))
			return 50 + k;
	if (mmap(NULL, PAGE, PROT_READ, MAP_SHARED, e->fd, 0x5000) != MAP_FAILED || errno != EPERM)
		return 60;
	if (poll_now(e->fd, POLLOUT) != POLLOUT)
		return 70;
	if (peer(e->fd, e->at.id).pid != getppid())
		return 71;
	if (info(e->fd).senders != 1)
		return 72;
	(void)sk;
	return 0;
}

TEST_F(perm, forked_child)
{
	int chan = create(self->dev, CREATE());
	struct kid k;
	struct ep s;

	ASSERT_EQ(0, ep_sender(&s, chan));
	k = kid_start(foreign_commands, &s);
	EXPECT_EQ(0, kid_end(&k, 0));
	EXPECT_EQ(MSGC_LIVE, ep_line(&s, s.at.id)->state);
	EXPECT_EQ(0, kick(s.fd));
}

static int foreign_passed(int sk, void *p)
{
	struct ep e = *(struct ep *)p;

	hear(sk);
	e.fd = recv_fd(sk);
	return foreign_commands(sk, &e);
}

/* A passed fd, and a thread of the owner beside it. */
TEST_F(perm, passed_endpoint)
{
	struct runner r = { .nr = MSGC_KICK, .arg = &(struct msgc_none){ .zero = { 0 } } };
	struct ep s;
	struct kid k;
	int chan = create(self->dev, CREATE());

	ASSERT_EQ(0, ep_sender(&s, chan));
	k = kid_start(foreign_passed, &s);
	tell(k.sk, 1);
	EXPECT_EQ(0, send_fd(k.sk, s.fd));
	EXPECT_EQ(0, kid_end(&k, 0));
	r.fd = s.fd;
	ASSERT_EQ(0, pthread_create(&r.thread, NULL, runner_main, &r));
	EXPECT_EQ(0, runner_end(&r));
}

/* The attacher's effective ids, then; what it becomes later changes nothing. */
static int change_ids(int sk, void *p)
{
	int chan = *(int *)p;
	struct msgc_attach at = ATTACH(.role = MSGC_SENDER);

	if (setegid(STAFF) || seteuid(ALICE))
		return 1;
	tell(sk, cmd(chan, MSGC_ATTACH, &at) < 0 ? 0 : (int)at.id);
	if (seteuid(0) || become(BOB, BOB))
		return 2;
	tell(sk, 1);
	hear(sk);
	return 0;
}

TEST_F(perm, identity_at_attach)
{
	int chan = create(self->dev, CREATE());
	struct kid k = kid_start(change_ids, &chan);
	int id = hear(k.sk);

	ASSERT_NE(0, id);
	EXPECT_EQ(1, hear(k.sk));
	EXPECT_EQ(k.pid, peer(chan, id).pid);
	EXPECT_EQ(ALICE, peer(chan, id).uid);
	EXPECT_EQ(STAFF, peer(chan, id).gid);
	EXPECT_EQ(0, kid_end(&k, 0));
}

TEST_F(perm, device_mode)
{
	EXPECT_EQ(0, system("[ \"$(stat -c %a /dev/msgchan)\" = 666 ]"));
}

TEST_HARNESS_MAIN
