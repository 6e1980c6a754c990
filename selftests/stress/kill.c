// SPDX-License-Identifier: MIT
/*
 * kill - senders and receivers that are killed at any time, and what is left of their messages.
 *
 * STRESS_KILLS: how many in all (default: few enough for a few seconds). Each process that is
 * killed is followed by another; each life of a sender is a stream of its own, numbered from 0.
 *
 * Journals in memory of this test say what the dead had done. A sender notes `begun` before it
 * commits and `published` after it has published: what is published for certain, or perhaps, lies
 * between, never more than one batch apart. A receiver notes `taken` when it has received,
 * `releasing` before it releases, and `released` after. What must hold, for each stream:
 *
 *	published <= number of messages released in the end <= begun: none dropped, none held
 *	a successor begins in [released, releasing] of its predecessor, and skips nothing
 *	what was taken before is flagged as redelivered; other messages are not, but for one batch
 *	that the predecessor may have been given when it died
 *
 * On balanced channels each message has a fate of its own instead of the latter two:
 *
 *	what was released for certain never comes again; what was taken before is flagged, and has
 *	had at least as many attempts as receivers have noted, at most those that it may have
 *	fresh messages of one sender come to each receiver in order
 *	what was published and not released is what the kernel says that it gave up
 */
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <linux/msgchan.h>

#include "stress.h"

#define SENDERS		4U
#define RECEIVERS	3U
#define BATCH		32U
#define RING		16384U
#define LIFE		32768U		/* balanced: most messages of one life of a sender */

struct journal {
	atomic_ulong begun, published;			/* counts, as are all of these */
	atomic_ulong taken, releasing, released;
};

/* What became of one message. */
enum { RELEASING = 1, RELEASED = 2 };
struct fate {
	atomic_uchar taken;		/* how often, up to 255 */
	atomic_uchar how;		/* perhaps, for certain */
};

struct delivery {
	const char *name;
	uint32_t delivery;
	unsigned int receivers, spared;	/* the first ones, who are not killed */
	uint32_t attempts;		/* max_attempts */
};

static const struct delivery deliveries[] = {
	{ "killed senders and receivers, exclusive", IPC_EXCLUSIVE, 1, 0, 0 },
	{ "killed senders and receivers, broadcast", IPC_BROADCAST, RECEIVERS, 1, 0 },
	{ "killed senders and receivers, balanced", IPC_BALANCED, RECEIVERS, 0, 0 },
	{ "killed senders and receivers, balanced, two attempts", IPC_BALANCED, RECEIVERS, 0, 1 },
};

static const struct delivery *now;
static struct ipc_channel *ch;
static struct journal *journal;
static struct fate *fates;		/* balanced: LIFE of each stream */
static unsigned int streams;		/* begun so far */
static atomic_bool *drained;		/* no sender is left: receivers end when all is taken */

static bool is_balanced(void)
{
	return now->delivery == IPC_BALANCED;
}

static struct fate *fate_of(uint32_t stream, uint64_t number)
{
	return &fates[(uint64_t)stream * LIFE + number];
}

static void raise_to(atomic_ulong *count, unsigned long to)
{
	if (atomic_load(count) < to)
		atomic_store(count, to);
}

/* ---- senders ---- */

static void put(struct ipc_endpoint *ep, unsigned int stream, uint64_t number)
{
	uint64_t seed = seed_of(stream, number);
	struct ipc_msg msg = { 0 };
	int err = ipc_reserve(ep, &msg, len_of(seed, RING), shared->deadline);

	if (err)
		FAIL("reserve: %s", ipc_strerror(err));
	fill(&msg, seed);
	msg.cookie = (uint64_t)stream << NUMBER_BITS | number;
	atomic_store(&journal[stream].begun, number + 1);	/* a later reserve may publish it */
	EXPECT(ipc_commit(ep, &msg) == 0);
}

static void sender(unsigned int stream)
{
	struct ipc_endpoint *ep = attach(ch, IPC_SENDER, 0, RING);
	uint64_t random = stream, number = 0;

	while (!atomic_load(&shared->stop)) {
		if (is_balanced() && number + BATCH > LIFE) {
			usleep(1000);		/* until it is killed */
			continue;
		}
		for (unsigned int n = 1 + random_below(&random, BATCH); n > 0; n--)
			put(ep, stream, number++);
		EXPECT(ipc_publish(ep) == 0);
		atomic_store(&journal[stream].published, number);
		if (!random_below(&random, 64))
			pause_us(random_below(&random, 2000));
	}
	detach(ep, IPC_SENDER);
}

/* ---- receivers ---- */

/* What a receiver knows of a stream. */
struct view {
	bool known;
	uint64_t next, taken_before;
};

static struct view *views;
static bool keeps_journal;		/* broadcast: the one who is never killed */

static void check_first(struct view *view, const struct journal *j, uint64_t number)
{
	view->known = true;
	view->next = number;
	if (!keeps_journal)
		return;
	view->taken_before = atomic_load(&j->taken);
	if (number < atomic_load(&j->released) || number > atomic_load(&j->releasing))
		FAIL("begins at %lu, but %lu to %lu were released", (unsigned long)number,
		     atomic_load(&j->released), atomic_load(&j->releasing));
}

static void check_flag(const struct view *view, const struct ipc_msg *msg, uint64_t number)
{
	bool again = msg->flags & IPC_F_REDELIVERED;

	EXPECT(!again == !msg->attempts);
	if (!again)
		EXPECT(number >= view->taken_before);
	else
		EXPECT(now->delivery == IPC_EXCLUSIVE && number < view->taken_before + BATCH);
	if (again)
		atomic_fetch_add(&shared->redelivered, 1);
}

/* Balanced: nobody else has it now, so nobody else writes its fate. */
static void check_fate(const struct ipc_msg *msg, uint32_t stream, uint64_t number)
{
	bool again = msg->flags & IPC_F_REDELIVERED;
	struct fate *fate = fate_of(stream, number);
	unsigned int before = atomic_load(&fate->taken);
	struct view *view = &views[stream];

	if (atomic_load(&fate->how) & RELEASED)
		FAIL("message %lu of stream %u comes after its release", (unsigned long)number,
		     stream);
	EXPECT(!again == !msg->attempts);
	if (msg->attempts < before || (now->attempts && msg->attempts > now->attempts))
		FAIL("message %lu of stream %u has %u attempts, was taken %u times",
		     (unsigned long)number, stream, msg->attempts, before);
	atomic_store(&fate->taken, before + (before < 255));
	if (again) {
		atomic_fetch_add(&shared->redelivered, 1);
		return;
	}
	EXPECT(number >= view->next);
	view->next = number + 1;
}

static void check(const struct ipc_msg *msg)
{
	uint32_t stream = STREAM(msg->cookie);
	uint64_t number = NUMBER(msg->cookie);
	struct view *view = &views[stream];
	struct journal *j = &journal[stream];

	if (!is_intact(msg, seed_of(stream, number), RING))
		FAIL("message %lu of stream %u is changed", (unsigned long)number, stream);
	EXPECT(number < atomic_load(&j->begun) && msg->seq == number + 1);
	if (is_balanced()) {
		check_fate(msg, stream, number);
		return;
	}
	if (!view->known)
		check_first(view, j, number);
	else
		EXPECT(!msg->missed);
	if (number != view->next)
		FAIL("message %lu of stream %u where %lu was due", (unsigned long)number, stream,
		     (unsigned long)view->next);
	check_flag(view, msg, number);
	view->next++;
	if (keeps_journal)
		raise_to(&j->taken, number + 1);
}

static void note(uint64_t cookie, unsigned char how)
{
	struct journal *j = &journal[STREAM(cookie)];

	if (is_balanced())
		atomic_fetch_or(&fate_of(STREAM(cookie), NUMBER(cookie))->how, how);
	else if (keeps_journal)
		raise_to(how == RELEASING ? &j->releasing : &j->released, NUMBER(cookie) + 1);
}

static void release(struct ipc_endpoint *ep, struct ipc_msg *msg, unsigned int n)
{
	uint64_t cookie[BATCH];

	for (unsigned int i = 0; i < n; i++) {
		cookie[i] = msg[i].cookie;
		note(cookie[i], RELEASING);
	}
	EXPECT(ipc_release(ep, msg, n) == 0);
	for (unsigned int i = 0; i < n; i++)
		note(cookie[i], RELEASED);
}

/* Balanced: now and then as if it had died of the first, more often of one that comes again. */
static int give_back(struct ipc_endpoint *ep, struct ipc_msg *msg, int n, uint64_t *random)
{
	if (!is_balanced() || random_below(random, msg[0].attempts ? 4 : 64))
		return n;
	EXPECT(ipc_return(ep, &msg[0]) == 0);
	atomic_fetch_add(&shared->returned, 1);
	msg[0] = msg[n - 1];
	return n - 1;
}

/* True: there is, and will be, nothing more. */
static bool is_over(int got)
{
	if (got != -EPIPE && got != -ETIMEDOUT)
		FAIL("recv: %s", ipc_strerror(got));
	if (atomic_load(drained))
		return true;
	usleep(1000);			/* all senders are dead, the next ones not yet here */
	return false;
}

/* Takes, and releases in two parts, so that it often dies holding something. */
static void receiver(unsigned int me)
{
	struct ipc_endpoint *ep = attach(ch, IPC_RECEIVER, 0, 0);
	uint64_t random = (uint64_t)getpid();
	struct ipc_msg msg[BATCH];

	keeps_journal = me < now->spared || now->delivery == IPC_EXCLUSIVE;
	atomic_fetch_add(&shared->attached, 1);
	for (;;) {
		bool last = atomic_load(drained);
		int got = ipc_recv(ep, msg, 1 + random_below(&random, BATCH), MS(100));
		unsigned int part;

		if (got < 0) {
			if (is_over(got) && last)
				break;
			continue;
		}
		for (int i = 0; i < got; i++)
			check(&msg[i]);
		got = give_back(ep, msg, got, &random);
		part = random_below(&random, (uint32_t)got + 1);
		if (part)
			release(ep, msg, part);
		if (!random_below(&random, is_balanced() ? 4 : 64))
			pause_us(random_below(&random, 2000));
		if (part < (unsigned int)got)
			release(ep, msg + part, (unsigned int)got - part);
		atomic_fetch_add(&shared->progress, (unsigned long)got);
	}
	detach(ep, IPC_RECEIVER);
}

/* ---- the killer ---- */

static struct child child[RECEIVERS + SENDERS];	/* receivers first */
static unsigned int killed[2];			/* receivers, senders */

static void start(unsigned int i)
{
	if (i < RECEIVERS)
		spawn(&child[i], receiver, i);
	else
		spawn(&child[i], sender, streams++);
}

static void kill_one(unsigned int i)
{
	kill(child[i].pid, SIGKILL);
	waitpid(child[i].pid, &child[i].status, 0);
	/* One that had failed before is no victim. */
	if (!WIFSIGNALED(child[i].status))
		FAIL("a child ended by itself");
	child[i].status = 0;
	killed[i >= RECEIVERS]++;
	start(i);
}

static unsigned int pick(uint64_t *random)
{
	unsigned int may_die = now->receivers - now->spared;

	if (may_die && random_below(random, 2))
		return now->spared + random_below(random, may_die);
	return RECEIVERS + random_below(random, SENDERS);
}

static void kill_some(uint64_t kills)
{
	uint64_t random = 1;

	while (kills > 0 && !atomic_load(&shared->failed)) {
		usleep(random_below(&random, 40000));
		if (is_hung(ch))
			FAIL("a hang");
		kill_one(pick(&random));
		kills--;
	}
}

/* Senders first; then receivers take what is left. */
static void finish(void)
{
	atomic_store(&shared->stop, true);
	watch(child + RECEIVERS, SENDERS, ch);
	atomic_store(drained, true);
	watch(child, RECEIVERS, ch);
}

static void check_nothing_is_left(void)
{
	struct msgc_info info = { .size = sizeof(info) };

	EXPECT(ioctl(ipc_channel_fd(ch), MSGC_INFO, &info) == 0);
	if (info.depth || info.lost || info.senders)
		FAIL("left: %llu bytes, %llu lost, %u senders", info.depth, info.lost,
		     info.senders);
}

static void account(void)
{
	unsigned long published = 0, begun = 0, released = 0;

	for (unsigned int s = 0; s < streams; s++) {
		const struct journal *j = &journal[s];
		unsigned long n = atomic_load(&j->released), perhaps = atomic_load(&j->releasing);

		/* Who died releasing had a successor, unless there was nothing more to come. */
		if (perhaps < atomic_load(&j->published) || n > atomic_load(&j->begun))
			FAIL("stream %u: published %lu to %lu, released %lu to %lu", s,
			     atomic_load(&j->published), atomic_load(&j->begun), n, perhaps);
		published += atomic_load(&j->published);
		begun += atomic_load(&j->begun);
		released += perhaps;
	}
	printf("# published %lu (and perhaps %lu more) = released %lu + dropped 0 + held 0;",
	       published, begun - published, released);
	printf(" redelivered %lu\n", atomic_load(&shared->redelivered));
}

/* Balanced: what is neither released nor still there was given up, and the kernel counts it. */
static void account_each(void)
{
	unsigned long published = 0, released = 0, perhaps = 0, lost = 0, unborn = 0;
	struct msgc_info info = { .size = sizeof(info) };

	EXPECT(ioctl(ipc_channel_fd(ch), MSGC_INFO, &info) == 0);
	for (unsigned int s = 0; s < streams; s++) {
		const struct journal *j = &journal[s];

		published += atomic_load(&j->published);
		for (unsigned long n = 0; n < atomic_load(&j->begun); n++) {
			const struct fate *fate = fate_of(s, n);
			unsigned char how = atomic_load(&fate->how);

			EXPECT(!now->attempts || atomic_load(&fate->taken) <= now->attempts + 1);
			released += how & RELEASED ? 1 : 0;
			perhaps += how == RELEASING;
			lost += !how && n < atomic_load(&j->published);
			unborn += !how && n >= atomic_load(&j->published);
		}
	}
	EXPECT(now->attempts || !info.skipped);
	if (info.skipped < lost || info.skipped > lost + perhaps + unborn)
		FAIL("%lu are lost (and perhaps %lu more), %lu were given up", lost,
		     perhaps + unborn, (unsigned long)info.skipped);
	printf("# published %lu (and perhaps more) = released %lu (and perhaps %lu more)",
	       published, released, perhaps);
	printf(" + dropped %lu + held 0; redelivered %lu, returned %lu\n",
	       (unsigned long)info.skipped, atomic_load(&shared->redelivered),
	       atomic_load(&shared->returned));
}

static bool is_offered(void)
{
	struct ipc_options opt = {
		.size = sizeof(opt), .delivery = now->delivery, .ring_max = RING,
		.max_senders = 64, .max_attempts = now->attempts,
	};
	int err = ipc_create(NULL, &opt, &ch);

	if (err && err != -EOPNOTSUPP)
		FAIL("create: %s", ipc_strerror(err));
	return !err;
}

static void run(const struct delivery *delivery, uint64_t kills, unsigned int point)
{
	size_t most = kills + SENDERS + 1;

	memset(shared, 0, sizeof(*shared));
	shared->deadline = MS(LONGEST_S * 1000);
	memset(child, 0, sizeof(child));
	memset(killed, 0, sizeof(killed));
	now = delivery;
	streams = 0;
	if (!is_offered()) {
		printf("ok %u - %s # SKIP not offered\n", point, now->name);
		return;
	}
	journal = shared_memory(most * sizeof(*journal));
	drained = shared_memory(sizeof(*drained));
	fates = is_balanced() ? shared_memory(most * LIFE * sizeof(*fates)) : NULL;
	views = calloc(most, sizeof(*views));
	for (unsigned int i = 0; i < now->receivers; i++)
		start(i);
	while (atomic_load(&shared->attached) < now->receivers && !atomic_load(&shared->failed))
		usleep(1000);
	for (unsigned int i = 0; i < SENDERS; i++)
		start(RECEIVERS + i);
	kill_some(kills);
	finish();
	if (!atomic_load(&shared->failed))
		check_nothing_is_left();
	if (is_balanced())
		account_each();
	else
		account();
	printf("# killed: %u receivers, %u senders\n", killed[0], killed[1]);
	ipc_close(ch);
	free(views);
	if (atomic_load(&shared->failed))
		printf("# %s\n", shared->why);
	printf("%s %u - %s\n", atomic_load(&shared->failed) ? "not ok" : "ok", point, now->name);
	fflush(stdout);
}

int main(void)
{
	uint64_t kills = number_from("STRESS_KILLS", 60);
	unsigned int n = sizeof(deliveries) / sizeof(*deliveries), bad = 0;

	shared = shared_memory(sizeof(*shared));
	printf("1..%u\n", n);
	for (unsigned int i = 0; i < n; i++) {
		run(&deliveries[i], kills, i + 1);
		bad += atomic_load(&shared->failed);
	}
	return bad ? 1 : 0;
}
