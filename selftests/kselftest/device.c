// SPDX-License-Identifier: MIT
/*
 * The device fd: FEATURES, CREATE, OPEN, UNLINK, LIST and poll; and the rules that every cold
 * command keeps.
 */
#include <sys/resource.h>

#include "msgc.h"

/* A namespace of its own for each test: names and LIST are its alone. */
FIXTURE(device) {
	int dev;
};

FIXTURE_SETUP(device)
{
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	self->dev = device();
	ASSERT_GE(self->dev, 0);
}

FIXTURE_TEARDOWN(device)
{
	close(self->dev);
}

/* ---- the struct rules, for every cold command with otherwise valid data ---- */

union cold {
	struct {
		__u32 size, flags;
	};
	struct msgc_features features;
	struct msgc_create create;
	struct msgc_open open;
	struct msgc_rows rows;
	struct msgc_info info;
	struct msgc_whom whom;
	struct msgc_attach attach;
	unsigned char bytes[512];
};

struct cold_command {
	const char *name;
	unsigned long nr;
	unsigned int size;
	bool flags;		/* has flags that go in */
	union cold arg;
};

static struct msgc_info list_row[64];

static const struct cold_command cold_commands[] = {
	{ "FEATURES",
	  MSGC_FEATURES,
	  sizeof(struct msgc_features),
	  true,
	  { .features = { .features = 0 } } },
	{ "CREATE",
	  MSGC_CREATE,
	  sizeof(struct msgc_create),
	  true,
	  { .create = { .mode = MSGC_RING, .delivery = MSGC_EXCLUSIVE, .uid = ~0U, .gid = ~0U } } },
	{ "OPEN",
	  MSGC_OPEN,
	  sizeof(struct msgc_open),
	  true,
	  { .open = { .flags = MSGC_READ, .name = "here" } } },
	{ "LIST",
	  MSGC_LIST,
	  sizeof(struct msgc_rows),
	  false,
	  { .rows = { .kind = MSGC_ROW_CHANNEL,
		      .row_size = sizeof(struct msgc_info),
		      .max = 64 } } },
};

static union cold cold_arg(const struct cold_command *c, unsigned int size)
{
	union cold arg = c->arg;

	arg.size = size;
	if (c->nr == MSGC_LIST)
		arg.rows.buf = (uintptr_t)list_row;
	return arg;
}

TEST_F(device, struct_sizes)
{
	int chan = create(self->dev, CREATE(.name = "here"));

	ASSERT_GE(chan, 0);
	for (int i = 0; i < 4; i++) {
		const struct cold_command *c = &cold_commands[i];
		union cold arg = cold_arg(c, c->size);
		union cold before;
		long ret = cmd(self->dev, c->nr, &arg);

		EXPECT_GE(ret, 0) { TH_LOG("%s", c->name); }
		if (c->nr == MSGC_CREATE || c->nr == MSGC_OPEN)
			close(ret);

		arg = cold_arg(c, c->size - 8);
		before = arg;
		EXPECT_EQ(-EINVAL, cmd(self->dev, c->nr, &arg)) { TH_LOG("%s, short", c->name); }
		EXPECT_EQ(0, memcmp(&before, &arg, sizeof(arg))) { TH_LOG("%s, short", c->name); }

		arg = cold_arg(c, 0);
		EXPECT_EQ(-EINVAL, cmd(self->dev, c->nr, &arg)) { TH_LOG("%s, size 0", c->name); }

		arg = cold_arg(c, c->size + 8);
		ret = cmd(self->dev, c->nr, &arg);
		EXPECT_GE(ret, 0) { TH_LOG("%s, longer", c->name); }
		if (c->nr == MSGC_CREATE || c->nr == MSGC_OPEN)
			close(ret);

		arg = cold_arg(c, c->size + 8);
		arg.bytes[c->size + 7] = 1;
		before = arg;
		EXPECT_EQ(-E2BIG, cmd(self->dev, c->nr, &arg)) { TH_LOG("%s, tail", c->name); }
		EXPECT_EQ(0, memcmp(&before, &arg, sizeof(arg))) { TH_LOG("%s, tail", c->name); }

		EXPECT_EQ(-EFAULT, cmd(self->dev, c->nr, NULL)) { TH_LOG("%s", c->name); }

		if (!c->flags)
			continue;
		arg = cold_arg(c, c->size);
		arg.flags |= 1U << 31;
		before = arg;
		EXPECT_EQ(-EOPNOTSUPP, cmd(self->dev, c->nr, &arg)) {
			TH_LOG("%s, flags", c->name);
		}
		EXPECT_EQ(0, memcmp(&before, &arg, sizeof(arg))) { TH_LOG("%s, flags", c->name); }
	}
}

/* A struct that begins or ends in a page that is not there. */
TEST_F(device, struct_faults)
{
	char *edge =
		mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct msgc_create *c = (void *)(edge + PAGE - 16);

	munmap(edge + PAGE, PAGE);
	c->size = sizeof(*c);
	EXPECT_EQ(-EFAULT, cmd(self->dev, MSGC_CREATE, c));
	EXPECT_EQ(-EFAULT, cmd(self->dev, MSGC_CREATE, edge + PAGE));
}

TEST_F(device, features)
{
	struct msgc_features f = { .size = sizeof(f), .features = 0 };

	EXPECT_EQ(0, cmd(self->dev, MSGC_FEATURES, &f));
	EXPECT_EQ(sizeof(f), f.size);
	EXPECT_EQ(0, f.flags);
	EXPECT_EQ(0, f.features & ~(MSGC_F_URING | MSGC_F_SEAL));
	f.features = ~0ULL;
	EXPECT_EQ(-EINVAL, cmd(self->dev, MSGC_FEATURES, &f));
	EXPECT_EQ(~0ULL, f.features);
}

TEST_F(device, unknown_commands)
{
	struct msgc_create c = CREATE();
	int chan;

	for (unsigned int n = 0x05; n < 0x10; n++)
		EXPECT_EQ(-ENOTTY, cmd(self->dev, MSGC_COLD(n), &c));
	EXPECT_EQ(-ENOTTY, cmd(self->dev, 0, &c));
	EXPECT_EQ(-ENOTTY, cmd(self->dev, _IO(MSGC_IOC + 1, 1), &c));
	EXPECT_EQ(-ENOTTY, cmd(self->dev, _IOW(MSGC_IOC, 0x01, struct msgc_create), &c));

	/* what belongs to the other kinds of fd */
	chan = create(self->dev, c);
	for (unsigned int n = 0x10; n <= 0x13; n++)
		EXPECT_EQ(-ENOTTY, cmd(self->dev, MSGC_COLD(n), &c));
	EXPECT_EQ(-ENOTTY, kick(self->dev));
	for (unsigned int n = 0x00; n <= 0x04; n++)
		EXPECT_EQ(-ENOTTY, cmd(chan, MSGC_COLD(n), &c));
	EXPECT_EQ(-ENOTTY, kick(chan));
	EXPECT_EQ(-ENOTTY, wait_for(chan, MSGC_IN, MSGC_NOW));
}

/* ---- CREATE ---- */

struct create_case {
	const char *what;
	int err;
	struct msgc_create c;
};

static const char name63[MSGC_NAME] =
	"123456789012345678901234567890123456789012345678901234567890123";

TEST_F(device, create_refuses)
{
	const struct create_case cases[] = {
		{ "mode 0", -EINVAL, CREATE(.mode = 0) },
		{ "mode 3", -EOPNOTSUPP, CREATE(.mode = 3) },
		{ "delivery with rendezvous", -EINVAL, CREATE_CALL(.delivery = MSGC_EXCLUSIVE) },
		{ "delivery 4", -EOPNOTSUPP, CREATE(.delivery = 4) },
		{ "untethered only, exclusive", -EINVAL, CREATE(.flags = MSGC_UNTETHERED_ONLY) },
		{ "untethered-only calls", -EINVAL, CREATE_CALL(.flags = MSGC_UNTETHERED_ONLY) },
		{ "inherit in a ring", -EINVAL, CREATE(.flags = MSGC_INHERIT) },
		{ "flag 32", -EOPNOTSUPP, CREATE_CALL(.flags = 32) },
		{ "spin of a ring", -EINVAL, CREATE(.spin_ns = 1) },
		{ "spin beyond a millisecond", -EINVAL, CREATE_CALL(.spin_ns = MSGC_SPIN_NS + 1) },
		{ "many servers of a ring", -EINVAL, CREATE(.flags = MSGC_MANY_SERVERS) },
		{ "redelivery of a ring", -EINVAL, CREATE(.flags = MSGC_REDELIVER) },
		{ "slots of a ring", -EINVAL, CREATE(.slots = 4) },
		{ "request of a ring", -EINVAL, CREATE(.request = 4096) },
		{ "reply of a ring", -EINVAL, CREATE(.reply = 4096) },
		{ "ring size of rendezvous", -EINVAL, CREATE_CALL(.ring_max = 4096) },
		{ "attempts of an exclusive ring", -EINVAL, CREATE(.max_attempts = 3) },
		{ "65536 attempts", -EINVAL, CREATE(.delivery = MSGC_BALANCED,
						    .max_attempts = 65536) },
		{ "65536 attempts at a call", -EINVAL, CREATE_CALL(.flags = MSGC_REDELIVER,
								   .max_attempts = 65536) },
		{ "1025 senders", -EINVAL, CREATE(.max_senders = 1025) },
		{ "65 receivers", -EINVAL, CREATE(.max_receivers = 65) },
		{ "1025 clients", -EINVAL, CREATE_CALL(.max_senders = 1025) },
		{ "2 servers, not many", -EINVAL, CREATE_CALL(.max_receivers = 2) },
		{ "65 slots", -EINVAL, CREATE_CALL(.slots = 65) },
		{ "request above 64 MiB", -EINVAL, CREATE_CALL(.request = (64 << 20) + 1) },
		{ "reply above 64 MiB", -EINVAL, CREATE_CALL(.reply = (64 << 20) + 1) },
		{ "request of 2^64 - 1", -EINVAL, CREATE_CALL(.request = ~0ULL) },
		{ "window above 2 TiB", -EOVERFLOW, CREATE_CALL(.max_senders = 1024, .slots = 64,
								  .request = 64 << 20) },
		{ "ring above 1 GiB", -EINVAL, CREATE(.ring_max = (1ULL << 30) + 1) },
		{ "ring of 2^63 + 1", -EINVAL, CREATE(.ring_max = (1ULL << 63) + 1) },
		{ "pad", -EINVAL, CREATE(.zero = 1) },
		{ "mode bits 01000", -EINVAL, CREATE(.perm = 01000) },
		{ "unknown flag", -EOPNOTSUPP, CREATE(.flags = 1U << 5) },
		{ "space", -EINVAL, CREATE(.name = "a b") },
		{ "0x1f", -EINVAL, CREATE(.name = "a\x1f") },
		{ "0x7f", -EINVAL, CREATE(.name = "\x7f") },
		{ "0x80", -EINVAL, CREATE(.name = "\x80") },
		{ "persistent, unnamed", -EINVAL, CREATE(.flags = MSGC_PERSISTENT) },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct msgc_create c = cases[i].c;

		EXPECT_EQ(cases[i].err, cmd(self->dev, MSGC_CREATE, &c)) {
			TH_LOG("%s", cases[i].what);
		}
		EXPECT_EQ(0, memcmp(&c, &cases[i].c, sizeof(c))) { TH_LOG("%s", cases[i].what); }
	}
}

TEST_F(device, name_without_end)
{
	struct msgc_create c = CREATE();
	struct msgc_open o = OPEN(.flags = MSGC_READ);

	memset(c.name, 'x', sizeof(c.name));
	EXPECT_EQ(-EINVAL, cmd(self->dev, MSGC_CREATE, &c));
	memset(o.name, 'x', sizeof(o.name));
	EXPECT_EQ(-EINVAL, cmd(self->dev, MSGC_OPEN, &o));
	o.flags = 0;
	EXPECT_EQ(-EINVAL, cmd(self->dev, MSGC_UNLINK, &o));
}

TEST_F(device, names)
{
	static const char *const names[] = { "/cam", "camera", "/camera", "cam", "!", "~", name63 };
	int fd[7], count = 7;

	for (int i = 0; i < count; i++) {
		struct msgc_create c = CREATE();

		strcpy(c.name, names[i]);
		fd[i] = create(self->dev, c);
		EXPECT_GE(fd[i], 0) { TH_LOG("%s", names[i]); }
		EXPECT_EQ(-EEXIST, create(self->dev, c)) { TH_LOG("%s", names[i]); }
	}
	for (int i = 0; i < count; i++) {
		int again = open_name(self->dev, names[i], MSGC_READ);
		struct msgc_info a = info(fd[i]), b = info(again);

		EXPECT_STREQ(names[i], b.name);
		EXPECT_EQ(a.id, b.id);
		close(again);
		close(fd[i]);
		EXPECT_EQ(-ENOENT, open_name(self->dev, names[i], MSGC_READ));
	}
}

/* Every figure that CREATE was given, or its default, stands in INFO. */
TEST_F(device, create_ring_info)
{
	struct msgc_info i = { .size = sizeof(i) };
	int chan = create(self->dev, CREATE(.name = "ring", .perm = 0640, .max_senders = 3,
					    .max_receivers = 2, .ring_max = 5000));
	__u64 before = now();

	ASSERT_GE(chan, 0);
	memset(&i, SENTINEL, sizeof(i));
	i.size = sizeof(i);
	i.flags = 0;
	ASSERT_EQ(0, cmd(chan, MSGC_INFO, &i));
	EXPECT_EQ(sizeof(i), i.size);
	EXPECT_EQ(0, i.flags);
	EXPECT_EQ(MSGC_RING, i.mode);
	EXPECT_EQ(MSGC_EXCLUSIVE, i.delivery);
	EXPECT_NE(0, i.id);
	EXPECT_LE(i.created_ns, before);
	EXPECT_GE(i.created_ns + 10000 * MS, before);
	EXPECT_EQ(0, i.uid);
	EXPECT_EQ(0, i.gid);
	EXPECT_EQ(0640, i.perm);
	EXPECT_EQ(MSGC_READ | MSGC_WRITE, i.rights);
	EXPECT_EQ(0, i.senders);
	EXPECT_EQ(0, i.receivers);
	EXPECT_EQ(3, i.max_senders);
	EXPECT_EQ(2, i.max_receivers);
	EXPECT_EQ(0, i.slots);
	EXPECT_EQ(0, i.max_attempts);
	EXPECT_EQ(0, i.waiting);
	EXPECT_EQ(getpid(), i.creator);
	EXPECT_STREQ("device", i.comm);
	EXPECT_EQ(0, i.depth | i.capacity | i.hiwat | i.lost | i.redelivered | i.kicks);
	EXPECT_EQ(8192, i.ring_max);
	EXPECT_EQ(0, i.request | i.reply | i.spin_ns);
	EXPECT_STREQ("ring", i.name);
}

TEST_F(device, create_defaults)
{
	int ring = create(self->dev, (struct msgc_create){ .size = sizeof(struct msgc_create),
							   .mode = MSGC_RING,
							   .uid = ~0U,
							   .gid = ~0U });
	int call = create(self->dev, (struct msgc_create){ .size = sizeof(struct msgc_create),
							   .mode = MSGC_RENDEZVOUS,
							   .uid = ~0U,
							   .gid = ~0U });
	int many = create(self->dev,
			  CREATE_CALL(.flags = MSGC_MANY_SERVERS, .request = 1, .reply = 5000));
	struct msgc_info i;

	ASSERT_GE(ring, 0);
	ASSERT_GE(call, 0);
	ASSERT_GE(many, 0);
	i = info(ring);
	EXPECT_EQ(64, i.max_senders);
	EXPECT_EQ(8, i.max_receivers);
	EXPECT_EQ(MSGC_EXCLUSIVE, i.delivery);
	EXPECT_LE(1 << 20, i.ring_max);
	EXPECT_STREQ("", i.name);
	i = info(call);
	EXPECT_EQ(MSGC_RENDEZVOUS, i.mode);
	EXPECT_EQ(0, i.delivery);
	EXPECT_EQ(64, i.max_senders);
	EXPECT_EQ(1, i.max_receivers);
	EXPECT_EQ(4, i.slots);
	EXPECT_EQ(65536, i.request);
	EXPECT_EQ(65536, i.reply);
	i = info(many);
	EXPECT_EQ(8, i.max_receivers);
	EXPECT_EQ(MSGC_MANY_SERVERS, i.flags);
	EXPECT_EQ(4096, i.request);
	EXPECT_EQ(8192, i.reply);
}

TEST_F(device, ids_are_never_reused)
{
	__u64 last = 0;

	for (int n = 0; n < 20; n++) {
		int chan = create(self->dev, CREATE());
		struct msgc_info i = info(chan);

		EXPECT_GT(i.id, last);
		last = i.id;
		close(chan);
	}
}

/* No fd left: nothing of it stays, not even the name. */
TEST_F(device, no_fd_left)
{
	int chan = create(self->dev, CREATE(.name = "here"));
	struct rlimit few = { 0 }, many;

	ASSERT_GE(chan, 0);
	getrlimit(RLIMIT_NOFILE, &many);
	few.rlim_max = many.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	EXPECT_EQ(-EMFILE, create(self->dev, CREATE(.name = "there")));
	EXPECT_EQ(-EMFILE, create(self->dev, CREATE(.name = "there", .flags = MSGC_PERSISTENT)));
	EXPECT_EQ(-EMFILE, open_name(self->dev, "here", MSGC_READ));
	EXPECT_EQ(-EMFILE, cmd(chan, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER)));
	setrlimit(RLIMIT_NOFILE, &many);
	EXPECT_EQ(-ENOENT, open_name(self->dev, "there", MSGC_READ));
	EXPECT_EQ(0, info(chan).senders);
	EXPECT_LE(0, cmd(chan, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER)));
}

/* ---- OPEN and UNLINK ---- */

TEST_F(device, open_rights)
{
	static const unsigned int rights[] = { MSGC_READ, MSGC_WRITE, MSGC_READ | MSGC_WRITE };
	int chan = create(self->dev, CREATE(.name = "here"));

	for (int i = 0; i < 3; i++) {
		int fd = open_name(self->dev, "here", rights[i]);

		ASSERT_GE(fd, 0);
		EXPECT_EQ(rights[i], info(fd).rights);
		EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
		close(fd);
	}
	EXPECT_EQ(FD_CLOEXEC, fcntl(chan, F_GETFD));
}

TEST_F(device, open_refuses)
{
	struct msgc_open o = OPEN(.flags = MSGC_READ, .name = "here");
	int chan = create(self->dev, CREATE(.name = "here"));
	__u64 id = info(chan).id;

	EXPECT_EQ(-ENOENT, open_name(self->dev, "her", MSGC_READ));
	EXPECT_EQ(-ENOENT, open_name(self->dev, "here2", MSGC_READ));
	EXPECT_EQ(-ENOENT, open_name(self->dev, "here2", MSGC_LOOK));
	EXPECT_EQ(-EINVAL, open_name(self->dev, "", MSGC_READ));
	EXPECT_EQ(-EINVAL, open_name(self->dev, "a b", MSGC_READ));
	EXPECT_EQ(-EINVAL, open_name(self->dev, "here", 0));
	EXPECT_EQ(-EINVAL, open_name(self->dev, "here", MSGC_LOOK | MSGC_READ));
	EXPECT_EQ(-EOPNOTSUPP, open_name(self->dev, "here", MSGC_READ | 8));

	/* by id: to look only, and not beside a name */
	o.id = id;
	EXPECT_EQ(-EINVAL, cmd(self->dev, MSGC_OPEN, &o));
	memset(o.name, 0, sizeof(o.name));
	EXPECT_EQ(-EINVAL, cmd(self->dev, MSGC_OPEN, &o));
	o.flags = MSGC_LOOK;
	o.id = id + 1000;
	EXPECT_EQ(-ENOENT, cmd(self->dev, MSGC_OPEN, &o));
	o.id = id;
	EXPECT_LE(0, cmd(self->dev, MSGC_OPEN, &o));
}

TEST_F(device, unlink)
{
	int chan = create(self->dev, CREATE(.name = "here")), again;
	struct msgc_open o = OPEN(.flags = MSGC_READ, .name = "here");

	EXPECT_EQ(-EINVAL, unlink_name(self->dev, ""));
	EXPECT_EQ(-ENOENT, unlink_name(self->dev, "there"));
	EXPECT_LT(cmd(self->dev, MSGC_UNLINK, &o), 0);		/* flags are OPEN's */
	EXPECT_EQ(0, unlink_name(self->dev, "here"));
	EXPECT_EQ(-ENOENT, unlink_name(self->dev, "here"));
	EXPECT_EQ(-ENOENT, open_name(self->dev, "here", MSGC_READ));

	/* the channel lives on without a name; the name is free */
	EXPECT_STREQ("", info(chan).name);
	again = create(self->dev, CREATE(.name = "here"));
	ASSERT_GE(again, 0);
	EXPECT_NE(info(chan).id, info(again).id);
	EXPECT_LE(0, cmd(chan, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER)));
}

/* A name lives while a channel or endpoint fd does; LOOK does not count. */
TEST_F(device, lifetime)
{
	int chan = create(self->dev, CREATE(.name = "here"));
	int look = open_name(self->dev, "here", MSGC_LOOK), e;
	struct msgc_info i;

	ASSERT_GE(look, 0);
	EXPECT_EQ(0, info(look).rights);
	e = cmd(chan, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER));
	ASSERT_GE(e, 0);
	close(chan);
	chan = open_name(self->dev, "here", MSGC_READ);
	EXPECT_GE(chan, 0);
	close(chan);
	close(e);
	EXPECT_EQ(-ENOENT, open_name(self->dev, "here", MSGC_READ));
	i = (struct msgc_info){ .size = sizeof(i) };
	/* the looker gets an answer or an error, never a fault */
	cmd(look, MSGC_INFO, &i);
}

TEST_F(device, persistent)
{
	int chan = create(self->dev, CREATE(.name = "here", .flags = MSGC_PERSISTENT));
	__u64 id = info(chan).id;

	ASSERT_GE(chan, 0);
	EXPECT_EQ(MSGC_PERSISTENT, info(chan).flags);
	close(chan);
	chan = open_name(self->dev, "here", MSGC_READ);
	ASSERT_GE(chan, 0);
	EXPECT_EQ(id, info(chan).id);
	close(chan);
	EXPECT_EQ(0, unlink_name(self->dev, "here"));
	EXPECT_EQ(-ENOENT, open_name(self->dev, "here", MSGC_READ));
}

/* Looking gives INFO and PEERS, and no endpoint. */
TEST_F(device, look)
{
	int chan = create(self->dev, CREATE());
	struct msgc_open o = OPEN(.flags = MSGC_LOOK, .id = info(chan).id);
	int look = cmd(self->dev, MSGC_OPEN, &o);
	struct msgc_peer row[4];
	__u64 cursor = 0;

	ASSERT_GE(look, 0);
	EXPECT_EQ(info(chan).id, info(look).id);
	EXPECT_EQ(-EACCES, cmd(look, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER)));
	EXPECT_EQ(-EACCES, cmd(look, MSGC_ATTACH, &ATTACH(.role = MSGC_RECEIVER)));
	EXPECT_EQ(0, rows(look, MSGC_PEERS, MSGC_ROW_ENDPOINT, row, sizeof(row[0]), 4, &cursor));
	ASSERT_LE(0, cmd(chan, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER)));
	cursor = 0;
	EXPECT_EQ(1, rows(look, MSGC_PEERS, MSGC_ROW_ENDPOINT, row, sizeof(row[0]), 4, &cursor));
}

/* ---- LIST ---- */

static long list(int dev, void *buf, unsigned int row_size, unsigned int max, __u64 *cursor)
{
	return rows(dev, MSGC_LIST, MSGC_ROW_CHANNEL, buf, row_size, max, cursor);
}

TEST_F(device, list)
{
	static const char *const names[] = { "one", "", "three" };
	struct msgc_info row[8];
	__u64 cursor = 0, id[3];
	int chan[3];

	EXPECT_EQ(0, list(self->dev, row, sizeof(row[0]), 8, &cursor));
	for (int i = 0; i < 3; i++) {
		struct msgc_create c = CREATE();

		strcpy(c.name, names[i]);
		chan[i] = create(self->dev, c);
		id[i] = info(chan[i]).id;
	}
	cursor = 0;
	memset(row, SENTINEL, sizeof(row));
	ASSERT_EQ(3, list(self->dev, row, sizeof(row[0]), 8, &cursor));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(id[i], row[i].id);
		EXPECT_STREQ(names[i], row[i].name);
		EXPECT_EQ(sizeof(row[i]), row[i].size);
		EXPECT_EQ(MSGC_RING, row[i].mode);
	}
	EXPECT_EQ(SENTINEL, ((unsigned char *)&row[3])[0]);
	EXPECT_EQ(0, list(self->dev, row, sizeof(row[0]), 8, &cursor));
}

TEST_F(device, list_resumes)
{
	struct msgc_info row[2];
	__u64 cursor = 0, last = 0, at;
	int chan[9], n = 0;

	for (int i = 0; i < 9; i++)
		chan[i] = create(self->dev, CREATE());
	for (;;) {
		long got = list(self->dev, row, sizeof(row[0]), 2, &cursor);

		ASSERT_GE(got, 0);
		if (!got)
			break;
		ASSERT_LE(got, 2);
		for (int i = 0; i < got; i++) {
			EXPECT_GT(row[i].id, last);
			last = row[i].id;
		}
		n += got;
		/* what went and came between two pages does not disturb it */
		if (n == 4) {
			close(chan[3]);
			close(chan[4]);
			chan[3] = create(self->dev, CREATE());
		}
	}
	EXPECT_EQ(9, n);
	at = cursor;
	EXPECT_EQ(0, list(self->dev, row, sizeof(row[0]), 0, &cursor));
	EXPECT_EQ(at, cursor);
}

TEST_F(device, list_row_size)
{
	unsigned char row[2 * 4096], all[4096];
	struct msgc_info i;
	__u64 cursor = 0;
	int chan = create(self->dev, CREATE(.name = "here"));

	ASSERT_GE(chan, 0);
	memset(row, SENTINEL, sizeof(row));
	ASSERT_EQ(1, list(self->dev, &i, sizeof(i), 1, &cursor));
	cursor = 0;
	ASSERT_EQ(1, list(self->dev, row, 24, 1, &cursor));
	EXPECT_EQ(0, memcmp((char *)&i + 8, row + 8, 16));	/* behind size and flags */
	EXPECT_EQ(SENTINEL, row[24]);
	cursor = 0;
	memset(row, SENTINEL, sizeof(row));
	ASSERT_EQ(1, list(self->dev, row, 1, 1, &cursor));
	EXPECT_EQ(SENTINEL, row[1]);
	cursor = 0;
	memset(all, 0, sizeof(all));
	ASSERT_EQ(1, list(self->dev, row, 4096, 2, &cursor));
	EXPECT_EQ(0, memcmp((char *)&i + 8, row + 8, sizeof(i) - 8));
	EXPECT_EQ(0, memcmp(all, row + sizeof(i), 4096 - sizeof(i)));
	EXPECT_EQ(SENTINEL, row[4096]);
}

TEST_F(device, list_refuses)
{
	struct msgc_info row;
	__u64 cursor = 0;
	int chan = create(self->dev, CREATE());

	ASSERT_GE(chan, 0);
	EXPECT_EQ(-EINVAL, list(self->dev, &row, 0, 1, &cursor));
	EXPECT_EQ(-EINVAL, list(self->dev, &row, 4097, 1, &cursor));
	EXPECT_EQ(-EFAULT, list(self->dev, NULL, sizeof(row), 1, &cursor));
	EXPECT_EQ(0, cursor);
	for (int kind = 0; kind < 5; kind++)
		if (kind != MSGC_ROW_CHANNEL)
			EXPECT_GT(0,
				  rows(self->dev, MSGC_LIST, kind, &row, sizeof(row), 1, &cursor));
}

/* ---- PEERS, on channel and endpoint ---- */

TEST_F(device, peers)
{
	struct ep s, r;
	int chan = create(self->dev, CREATE());
	struct msgc_peer row[4], a, b;
	__u64 cursor = 0;

	ASSERT_EQ(0, ep_receiver(&r, chan));
	ASSERT_EQ(0, ep_sender(&s, chan));
	memset(row, SENTINEL, sizeof(row));
	ASSERT_EQ(2, rows(chan, MSGC_PEERS, MSGC_ROW_ENDPOINT, row, sizeof(row[0]), 4, &cursor));
	a = peer(s.fd, s.at.id);
	b = peer(s.fd, r.at.id);
	EXPECT_EQ(MSGC_SENDER, a.role);
	EXPECT_EQ(MSGC_RECEIVER, b.role);
	EXPECT_EQ(MSGC_LIVE, a.state);
	EXPECT_EQ(getpid(), a.pid);
	EXPECT_EQ(0, a.uid | a.gid);
	EXPECT_EQ(0, a.refused);
	EXPECT_EQ(s.at.ring, a.ring);
	EXPECT_STREQ("device", a.comm);
	EXPECT_EQ(2, info(chan).senders + info(chan).receivers);
	cursor = 0;
	EXPECT_EQ(-EINVAL, rows(chan, MSGC_PEERS, MSGC_ROW_ENDPOINT, row, 0, 4, &cursor));
	EXPECT_EQ(-EINVAL, rows(chan, MSGC_PEERS, MSGC_ROW_ENDPOINT, row, 4097, 4, &cursor));
	EXPECT_EQ(-EFAULT,
		  rows(chan, MSGC_PEERS, MSGC_ROW_ENDPOINT, NULL, sizeof(row[0]), 4, &cursor));
	EXPECT_EQ(-EINVAL,
		  rows(chan, MSGC_PEERS, MSGC_ROW_CHANNEL, row, sizeof(row[0]), 4, &cursor));
	EXPECT_EQ(-EOPNOTSUPP,
		  rows(chan, MSGC_PEERS, MSGC_ROW_WAIT + 1, row, sizeof(row[0]), 4, &cursor));
	EXPECT_EQ(1, rows(chan, MSGC_PEERS, MSGC_ROW_ENDPOINT, row, sizeof(row[0]), 1, &cursor));
	EXPECT_EQ(1, rows(chan, MSGC_PEERS, MSGC_ROW_ENDPOINT, row, sizeof(row[0]), 4, &cursor));
	EXPECT_EQ(0, rows(chan, MSGC_PEERS, MSGC_ROW_ENDPOINT, row, sizeof(row[0]), 4, &cursor));
}

/* ---- fdinfo ---- */

/* Is there a line with this key and value in the fdinfo of fd? */
static bool fdinfo_says(int fd, const char *key, const char *value)
{
	char text[1024] = { 0 }, want[128];
	int info_fd;

	snprintf(want, sizeof(want), "/proc/self/fdinfo/%d", fd);
	info_fd = open(want, O_RDONLY | O_CLOEXEC);
	if (read(info_fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(info_fd);
	snprintf(want, sizeof(want), "\n%s:\t%s\n", key, value);
	return strstr(text, want);
}

TEST_F(device, fdinfo)
{
	int chan = create(self->dev, CREATE(.name = "here"));
	char text[64];
	struct ep s;

	ASSERT_EQ(0, ep_sender(&s, chan));
	snprintf(text, sizeof(text), "%llu here", info(chan).id);
	EXPECT_TRUE(fdinfo_says(chan, "channel", text));
	EXPECT_TRUE(fdinfo_says(chan, "mode", "ring"));
	EXPECT_TRUE(fdinfo_says(chan, "rights", "rw"));
	EXPECT_TRUE(fdinfo_says(s.fd, "channel", text));
	snprintf(text, sizeof(text), "%#x sender", s.at.id);
	EXPECT_TRUE(fdinfo_says(s.fd, "endpoint", text));
	snprintf(text, sizeof(text), "%d", getpid());
	EXPECT_TRUE(fdinfo_says(s.fd, "owner", text));
	EXPECT_EQ(0, detach(s.fd));
	snprintf(text, sizeof(text), "%#x sender dead", s.at.id);
	EXPECT_TRUE(fdinfo_says(s.fd, "endpoint", text));
}

/* ---- poll ---- */

TEST_F(device, poll_names)
{
	int other = device(), chan;
	struct msgc_info row;
	__u64 cursor = 0;

	EXPECT_EQ(0, poll_now(self->dev, POLLPRI));
	chan = create(other, CREATE(.name = "here"));
	EXPECT_EQ(POLLPRI, poll_now(self->dev, POLLPRI | POLLIN));
	EXPECT_EQ(POLLPRI, poll_now(self->dev, POLLPRI));
	ASSERT_EQ(1, list(self->dev, &row, sizeof(row), 1, &cursor));
	EXPECT_EQ(0, poll_now(self->dev, POLLPRI));
	close(chan);
	EXPECT_EQ(POLLPRI, poll_now(self->dev, POLLPRI));
	EXPECT_EQ(-ENOENT, open_name(self->dev, "here", MSGC_READ));
	EXPECT_EQ(0, poll_now(self->dev, POLLPRI));
}

static int create_later(int sk, void *arg)
{
	struct msgc_create c = CREATE();
	int dev = device();

	strcpy(c.name, arg);
	hear(sk);
	usleep(20000);
	create(dev, c);
	hear(sk);
	return 0;
}

/* "Open, and wait until it exists" without a polling loop. */
TEST_F(device, wait_for_a_name)
{
	struct kid k = kid_start(create_later, "soon");

	EXPECT_EQ(-ENOENT, open_name(self->dev, "soon", MSGC_READ));
	tell(k.sk, 1);
	EXPECT_EQ(POLLPRI, poll_ms(self->dev, POLLPRI, 5000));
	EXPECT_LE(0, open_name(self->dev, "soon", MSGC_READ));
	kid_end(&k, 0);
}

TEST_F(device, poll_channel)
{
	int chan = create(self->dev, CREATE()), e;
	struct msgc_peer row;
	__u64 cursor = 0;

	rows(chan, MSGC_PEERS, MSGC_ROW_ENDPOINT, &row, sizeof(row), 1, &cursor);
	EXPECT_EQ(0, poll_now(chan, POLLPRI));
	e = cmd(chan, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER));
	EXPECT_EQ(POLLPRI, poll_now(chan, POLLPRI));
	cursor = 0;
	EXPECT_EQ(1, rows(chan, MSGC_PEERS, MSGC_ROW_ENDPOINT, &row, sizeof(row), 1, &cursor));
	EXPECT_EQ(0, poll_now(chan, POLLPRI));
	close(e);
	EXPECT_EQ(POLLPRI, poll_now(chan, POLLPRI));
}

/* ---- ATTACH ---- */

TEST_F(device, attach_refuses)
{
	const struct {
		const char *what;
		int err;
		struct msgc_attach at;
	} cases[] = {
		{ "no role", -EINVAL, ATTACH(.role = 0) },
		{ "both roles", -EOPNOTSUPP, ATTACH(.role = 3) },
		{ "files of a ring", -EINVAL,
		  ATTACH(.role = MSGC_RECEIVER, .flags = MSGC_TAKES_FILES) },
		{ "files to a ring", -EINVAL,
		  ATTACH(.role = MSGC_SENDER, .flags = MSGC_TAKES_FILES) },
		{ "bound to a ring", -EINVAL, ATTACH(.role = MSGC_RECEIVER, .flags = MSGC_BOUND) },
		{ "unknown flag", -EOPNOTSUPP, ATTACH(.role = MSGC_RECEIVER, .flags = 64) },
		{ "stay as sender", -EINVAL, ATTACH(.role = MSGC_SENDER, .flags = MSGC_STAY) },
		{ "oldest as sender", -EINVAL, ATTACH(.role = MSGC_SENDER, .flags = MSGC_OLDEST) },
		{ "untethered standby", -EINVAL,
		  ATTACH(.role = MSGC_RECEIVER, .flags = MSGC_UNTETHERED | MSGC_AS_STANDBY) },
		{ "ring above the channel's", -EINVAL, ATTACH(.role = MSGC_SENDER, .ring = 65537) },
		{ "ring of 2^64 - 1", -EINVAL, ATTACH(.role = MSGC_SENDER, .ring = ~0ULL) },
		{ "ring of a receiver", -EINVAL, ATTACH(.role = MSGC_RECEIVER, .ring = 4096) },
		{ "held in ring mode", -EINVAL, ATTACH(.role = MSGC_RECEIVER, .held = 1) },
		{ "held of a sender", -EINVAL, ATTACH(.role = MSGC_SENDER, .held = 1) },
	};
	int chan = create(self->dev, CREATE(.max_senders = 1));

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct msgc_attach at = cases[i].at;

		memset(at.area, SENTINEL, sizeof(at.area));
		EXPECT_EQ(cases[i].err, cmd(chan, MSGC_ATTACH, &at)) {
			TH_LOG("%s", cases[i].what);
		}
		EXPECT_EQ(SENTINEL, *(unsigned char *)at.area) { TH_LOG("%s", cases[i].what); }
	}
	EXPECT_EQ(0, info(chan).senders + info(chan).receivers);
}

TEST_F(device, attach_sizes)
{
	int chan = create(self->dev, CREATE());
	struct msgc_attach at = ATTACH(.role = MSGC_SENDER);

	at.size -= 8;
	EXPECT_EQ(-EINVAL, cmd(chan, MSGC_ATTACH, &at));
	at.size = 0;
	EXPECT_EQ(-EINVAL, cmd(chan, MSGC_ATTACH, &at));
	EXPECT_EQ(-EFAULT, cmd(chan, MSGC_ATTACH, NULL));
	EXPECT_EQ(0, info(chan).senders);
}

TEST_F(device, attach_ring_sizes)
{
	static const struct {
		__u64 wanted, granted;
	} cases[] = {
		{ 0, 65536 }, { 1, 4096 }, { 4096, 4096 }, { 4097, 8192 }, { 65535, 65536 },
		{ 65536, 65536 }
	};
	int chan = create(self->dev, CREATE());

	for (int i = 0; i < 6; i++) {
		struct msgc_attach at = ATTACH(.role = MSGC_SENDER, .ring = cases[i].wanted);
		int fd = cmd(chan, MSGC_ATTACH, &at);

		ASSERT_GE(fd, 0);
		EXPECT_EQ(cases[i].granted, at.ring);
		EXPECT_EQ(2 * at.ring, at.area[MSGC_DATA].size);
		EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
		close(fd);
	}
}

TEST_F(device, attach_indices)
{
	int chan = create(self->dev, CREATE(.max_senders = 2, .max_receivers = 2));
	struct ep s[2], r;

	ASSERT_EQ(0, ep_sender(&s[0], chan));
	ASSERT_EQ(0, ep_sender(&s[1], chan));
	EXPECT_EQ(-EUSERS, cmd(chan, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER)));
	ASSERT_EQ(0, ep_receiver(&r, chan));
	EXPECT_EQ(-EBUSY, cmd(chan, MSGC_ATTACH, &ATTACH(.role = MSGC_RECEIVER)));
	for (__u32 n = 0; n < 2; n++) {
		EXPECT_EQ(2 + n, MSGC_INDEX(s[n].at.id));
		EXPECT_EQ(n, s[n].at.number);
		EXPECT_NE(0, MSGC_GEN(s[n].at.id));
		EXPECT_EQ(s[n].at.id, ep_line(&s[n], s[n].at.id)->id);
	}
	EXPECT_EQ(0, MSGC_INDEX(r.at.id));
	EXPECT_EQ(0, r.at.number);
	EXPECT_EQ(2, r.at.max_senders);
	EXPECT_EQ(2, r.at.max_receivers);
	EXPECT_EQ(2, ep_status(&r)->senders);
	EXPECT_EQ(1, ep_status(&r)->tethered);
}

TEST_F(device, commands_of_another_mode)
{
	int chan = create(self->dev, CREATE()), calls = create(self->dev, CREATE_CALL());
	struct ep s, r, c;
	unsigned char arg[16] = { 0 };

	ASSERT_EQ(0, ep_sender(&s, chan));
	ASSERT_EQ(0, ep_receiver(&r, chan));
	EXPECT_EQ(-ENOTTY, cmd(s.fd, MSGC_CALL, arg));
	EXPECT_EQ(-ENOTTY, cmd(s.fd, MSGC_CANCEL, arg));
	EXPECT_EQ(-ENOTTY, cmd(r.fd, MSGC_RECV, arg));
	EXPECT_EQ(-ENOTTY, cmd(r.fd, MSGC_REPLY, arg));
	EXPECT_EQ(-ENOTTY, cmd(r.fd, MSGC_REPLY_RECV, arg));
	EXPECT_EQ(-ENOTTY, cmd(r.fd, MSGC_CLAIM, arg));
	EXPECT_EQ(-ENOTTY, cmd(r.fd, MSGC_RETURN, arg));
	EXPECT_EQ(-ENOTTY, cmd(r.fd, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER)));
	EXPECT_EQ(-ENOTTY, cmd(r.fd, MSGC_CREATE, &CREATE()));
	EXPECT_EQ(-ENOTTY, cmd(r.fd, 0x1234, arg));
	if (!ep_sender(&c, calls)) {
		EXPECT_EQ(-ENOTTY, cmd(c.fd, MSGC_REFUSE, arg));
		EXPECT_EQ(-ENOTTY, cmd(c.fd, MSGC_RECV, arg));
		EXPECT_EQ(-ENOTTY, cmd(c.fd, MSGC_REPLY, arg));
	}
}

TEST_F(device, hot_commands_refuse)
{
	int chan = create(self->dev, CREATE());
	struct msgc_none n = { .zero = { 0, 1 } };
	struct msgc_refuse f = { .peer = 0 };
	struct ep s, r;

	ASSERT_EQ(0, ep_sender(&s, chan));
	ASSERT_EQ(0, ep_receiver(&r, chan));
	EXPECT_EQ(-EINVAL, cmd(s.fd, MSGC_KICK, &n));
	EXPECT_EQ(-EINVAL, cmd(s.fd, MSGC_INTERRUPT, &n));
	EXPECT_EQ(-EINVAL, cmd(s.fd, MSGC_DETACH, &n));
	EXPECT_EQ(-EFAULT, cmd(s.fd, MSGC_KICK, NULL));
	EXPECT_EQ(-EFAULT, cmd(s.fd, MSGC_WAIT, NULL));
	EXPECT_EQ(MSGC_LIVE, ep_line(&s, s.at.id)->state);
	EXPECT_EQ(-EOPNOTSUPP, wait_for(s.fd, 1U << 20, MSGC_NOW));
	EXPECT_EQ(-ENOENT, cmd(r.fd, MSGC_REFUSE, &f));
	f.peer = s.at.id + (1 << 12);
	EXPECT_EQ(-ENOENT, cmd(r.fd, MSGC_REFUSE, &f));
	f.peer = s.at.id;
	f.flags = 1;
	EXPECT_EQ(-EOPNOTSUPP, cmd(r.fd, MSGC_REFUSE, &f));
	f.flags = 0;
	f.zero = 1;
	EXPECT_EQ(-EINVAL, cmd(r.fd, MSGC_REFUSE, &f));
	EXPECT_EQ(0, peer(chan, s.at.id).refused);
	EXPECT_EQ(1, ep_line(&r, s.at.id)->receivers);
}

TEST_F(device, evict_refuses)
{
	int chan = create(self->dev, CREATE());
	struct msgc_whom w = { .size = sizeof(w), .peer = 0x1001 };
	struct ep s;

	ASSERT_EQ(0, ep_sender(&s, chan));
	EXPECT_EQ(-ENOENT, cmd(chan, MSGC_EVICT, &w));
	w.peer = s.at.id + (1 << 12);
	EXPECT_EQ(-ENOENT, cmd(chan, MSGC_EVICT, &w));
	w.peer = s.at.id;
	w.flags = 1;
	EXPECT_EQ(-EOPNOTSUPP, cmd(chan, MSGC_EVICT, &w));
	w.flags = 0;
	w.zero = 1;
	EXPECT_EQ(-EINVAL, cmd(chan, MSGC_EVICT, &w));
	w.zero = 0;
	w.size = 8;
	EXPECT_EQ(-EINVAL, cmd(chan, MSGC_EVICT, &w));
	EXPECT_EQ(MSGC_LIVE, ep_line(&s, s.at.id)->state);
}

TEST_HARNESS_MAIN
