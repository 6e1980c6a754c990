// SPDX-License-Identifier: MIT
/*
 * How endpoints die, and how they do not; what their peers then see; what a successor takes over;
 * indices, and the module itself.
 */
#include <liburing.h>

#include "msgc.h"

FIXTURE(death) {
	int chan;
};

FIXTURE_SETUP(death)
{
	self->chan = create_private(CREATE(.max_senders = 4, .ring_max = 8192));
	ASSERT_GE(self->chan, 0);
}

FIXTURE_TEARDOWN(death)
{
	close(self->chan);
}

static bool dead(const struct ep *seen_by, __u32 id)
{
	struct msgc_line *line = ep_line(seen_by, id);

	return READ_ONCE(line->id) != id || READ_ONCE(line->state) >= MSGC_LEFT;
}

/* ---- the ways of dying: what a sender does after it has published and said its id ---- */

static int last_words(struct ep *s, int sk, int chan)
{
	if (ep_sender(s, chan))
		return -1;
	tx_send(s, 1, "one", 3);
	tx_send(s, 2, "two", 3);
	tell(sk, s->at.id);
	return hear(sk);
}

static int plain(int sk, void *p)
{
	struct ep s;

	if (last_words(&s, sk, *(int *)p) < 0)
		return 1;
	tell(sk, 1);
	hear(sk);
	return 0;
}

static int fd_closed(int sk, void *p)
{
	struct ep s;

	if (last_words(&s, sk, *(int *)p) < 0)
		return 1;
	close(s.fd);
	tell(sk, 1);
	hear(sk);
	return 0;
}

/* A process that keeps what it inherited for longer than any death may take; the test ends it. */
static pid_t bystander(void)
{
	pid_t pid = fork();

	if (!pid) {
		sleep(20);
		_exit(0);
	}
	return pid;
}

static int fork_keeps_fd(int sk, void *p)
{
	struct ep s;

	if (last_words(&s, sk, *(int *)p) < 0)
		return 1;
	tell(sk, bystander());
	hear(sk);
	return 0;
}

static int sleeps_with_files(void *p)
{
	(void)p;
	sleep(20);
	_exit(0);
}

/* Another process shares the file table: its exit, not ours, would flush. */
static int clone_files(int sk, void *p)
{
	static char stack[65536] __attribute__((aligned(16)));
	struct ep s;
	pid_t pid;

	if (last_words(&s, sk, *(int *)p) < 0)
		return 1;
	pid = clone(sleeps_with_files, stack + sizeof(stack), CLONE_FILES | SIGCHLD, NULL);
	tell(sk, pid);
	hear(sk);
	return 0;
}

/* The fd lives only as a registered file of a ring that another process keeps open. */
static int registered(int sk, void *p)
{
	struct io_uring ring;
	struct ep s;

	if (last_words(&s, sk, *(int *)p) < 0)
		return 1;
	if (io_uring_queue_init(4, &ring, 0) || io_uring_register_files(&ring, &s.fd, 1))
		return 2;
	close(s.fd);
	tell(sk, bystander());
	hear(sk);
	return 0;
}

static void *sleeper(void *p)
{
	while (!p)
		pause();
	return p;
}

/* The main thread has gone, another one lives: not dead until that is killed, too. */
static int main_thread_left(int sk, void *p)
{
	struct ep s;
	pthread_t t;

	if (last_words(&s, sk, *(int *)p) < 0)
		return 1;
	pthread_create(&t, NULL, sleeper, NULL);
	tell(sk, 1);
	syscall(SYS_exit, 0);
	return 0;
}

static int asleep_in_wait(int sk, void *p)
{
	struct ep s;

	if (last_words(&s, sk, *(int *)p) < 0)
		return 1;
	WRITE_ONCE(tx_control(&s)->need, s.tail);
	tell(sk, 1);
	wait_for(s.fd, MSGC_OUT, MSGC_FOREVER);
	return 0;
}

static int stopped(int sk, void *p)
{
	struct ep s;

	if (last_words(&s, sk, *(int *)p) < 0)
		return 1;
	tell(sk, 1);
	raise(SIGSTOP);
	hear(sk);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(int sk, void *p);
} ways[] = {
	{ "plain", plain },
	{ "fd closed, mapping kept", fd_closed },
	{ "forked child keeps the fd", fork_keeps_fd },
	{ "CLONE_FILES sibling", clone_files },
	{ "registered file", registered },
	{ "main thread left", main_thread_left },
	{ "asleep in WAIT", asleep_in_wait },
	{ "stopped", stopped },
};

/*
 * In each state: alive before, whatever was done with the fd; dead soon after the kill, as DIED;
 * and nothing of what was published is lost.
 */
TEST_F(death, killed_sender)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		int chan = create_private(CREATE(.ring_max = 8192));
		struct msgc_line *line;
		struct kid k;
		struct ep r;
		int helper;
		__u32 id;

		ASSERT_EQ(0, ep_receiver(&r, chan));
		k = kid_start(ways[i].run, &chan);
		id = hear(k.sk);
		line = ep_line(&r, id);
		tell(k.sk, 1);
		helper = hear(k.sk);	/* the process that it left behind, or 1 */
		EXPECT_LE(1, helper) { TH_LOG("%s", ways[i].name); }
		usleep(20000);
		EXPECT_EQ(MSGC_LIVE, line->state) { TH_LOG("%s: before the kill", ways[i].name); }
		EXPECT_EQ(1, ep_status(&r)->senders) { TH_LOG("%s", ways[i].name); }
		kid_end(&k, SIGKILL);
		EXPECT_TRUE(until(dead(&r, id))) { TH_LOG("%s: after the kill", ways[i].name); }
		EXPECT_EQ(MSGC_DIED, line->state) { TH_LOG("%s", ways[i].name); }
		EXPECT_EQ(0, ep_status(&r)->senders) { TH_LOG("%s", ways[i].name); }
		EXPECT_EQ(2 * span_of(3), line->end) { TH_LOG("%s", ways[i].name); }
		EXPECT_EQ(2, rx_drain(&r, 0)) { TH_LOG("%s", ways[i].name); }
		EXPECT_TRUE(until(line->state == MSGC_REVOKED || !line->id)) {
			TH_LOG("%s", ways[i].name);
		}
		if (helper > 1)
			kill(helper, SIGKILL);
		ep_close(&r);
		close(chan);
	}
}

/* ---- what is not death ---- */

static int leave_and_stay(int sk, void *p)
{
	int dup_fd;
	struct ep s;
	void *moved;
	pid_t pid;

	if (last_words(&s, sk, *(int *)p) < 0)
		return 1;
	dup_fd = dup(s.fd);
	close(dup_fd);
	pid = vfork();
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	pid = fork();
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	munmap(s.area[MSGC_DATA], PAGE);
	moved = mremap(s.area[MSGC_DATA] + PAGE, PAGE, PAGE, MREMAP_MAYMOVE);
	tell(sk, moved != MAP_FAILED && !kick(s.fd));
	hear(sk);
	return 0;
}

/* A dup closed, a vfork and a fork child gone, a mapping split and moved. */
TEST_F(death, not_dead)
{
	struct kid k;
	struct ep r;
	__u32 id;

	ASSERT_EQ(0, ep_receiver(&r, self->chan));
	k = kid_start(leave_and_stay, &self->chan);
	id = hear(k.sk);
	tell(k.sk, 1);
	EXPECT_EQ(1, hear(k.sk));
	EXPECT_FALSE(dead(&r, id));
	kid_end(&k, SIGKILL);
	EXPECT_TRUE(until(dead(&r, id)));
	ep_close(&r);
}

/*
 * exec keeps the owner: an fd that was carried over it still obeys. Without that, the close at
 * exec ends the endpoint.
 */
static int exec_with_fd(int sk, void *p)
{
	char fd[16], to[16];
	struct ep s;

	if (last_words(&s, sk, *(int *)p) < 0)
		return 1;
	fcntl(s.fd, F_SETFD, 0);
	fcntl(sk, F_SETFD, 0);
	snprintf(fd, sizeof(fd), "%d", s.fd);
	snprintf(to, sizeof(to), "%d", sk);
	execl("/proc/self/exe", "death", "--after-exec", fd, to, NULL);
	return 2;
}

static int after_exec(char **argv)
{
	int fd = atoi(argv[2]), sk = atoi(argv[3]);

	tell(sk, kick(fd));
	hear(sk);
	return 0;
}

static int exec_without_fd(int sk, void *p)
{
	struct ep s;

	if (last_words(&s, sk, *(int *)p) < 0)
		return 1;
	fcntl(sk, F_SETFD, 0);
	execl("/bin/sleep", "sleep", "10", NULL);
	return 2;
}

TEST_F(death, exec)
{
	struct kid k;
	struct ep r;
	__u32 id;

	ASSERT_EQ(0, ep_receiver(&r, self->chan));
	k = kid_start(exec_with_fd, &self->chan);
	id = hear(k.sk);
	tell(k.sk, 1);
	EXPECT_EQ(0, hear(k.sk));
	EXPECT_FALSE(dead(&r, id));
	kid_end(&k, SIGKILL);
	EXPECT_TRUE(until(dead(&r, id)));
	EXPECT_EQ(MSGC_DIED, ep_line(&r, id)->state);

	k = kid_start(exec_without_fd, &self->chan);
	id = hear(k.sk);
	tell(k.sk, 1);
	EXPECT_TRUE(until(dead(&r, id)));
	kid_end(&k, SIGKILL);
	ep_close(&r);
}

/* ---- leaving: by close, by DETACH, by EVICT ---- */

TEST_F(death, left_is_not_died)
{
	struct ep s, r;

	ASSERT_EQ(0, ep_receiver(&r, self->chan));
	ASSERT_EQ(0, ep_sender(&s, self->chan));
	tx_send(&s, 1, "x", 1);
	ep_close(&s);
	EXPECT_TRUE(until(dead(&r, s.at.id)));
	EXPECT_EQ(MSGC_LEFT, ep_line(&r, s.at.id)->state);
	EXPECT_EQ(span_of(1), ep_line(&r, s.at.id)->end);
	ASSERT_EQ(0, ep_sender(&s, self->chan));
	tx_send(&s, 1, "x", 1);
	EXPECT_EQ(0, detach(s.fd));
	EXPECT_EQ(MSGC_LEFT, ep_line(&r, s.at.id)->state);
	EXPECT_EQ(-ESHUTDOWN, detach(s.fd));
	EXPECT_EQ(POLLERR, poll_now(s.fd, POLLOUT) & POLLERR);
	ep_close(&s);
	ep_close(&r);
}

/*
 * A close while the mapping stays: the owner lives, so the endpoint does; its last reference goes
 * with the last mapping.
 */
TEST_F(death, unmapped_after_close)
{
	struct ep s, r;

	ASSERT_EQ(0, ep_receiver(&r, self->chan));
	ASSERT_EQ(0, ep_sender(&s, self->chan));
	tx_put(&s, 3, "x", 1);
	close(s.fd);
	tx_publish(&s);
	EXPECT_FALSE(dead(&r, s.at.id));
	EXPECT_EQ(3, rx_take(&r, s.at.number)->type);
	ep_unmap(&s);
	EXPECT_TRUE(until(dead(&r, s.at.id)));
	ep_close(&r);
}

/* The channel's owner takes a hung receiver away; who was asleep in it hears of it. */
TEST_F(death, evict_receiver)
{
	struct msgc_wait w = { .events = MSGC_IN, .kick = -1, .deadline = MSGC_FOREVER };
	struct runner run;
	struct ep s, r, next;

	ASSERT_EQ(0, ep_sender(&s, self->chan));
	ASSERT_EQ(0, ep_receiver(&r, self->chan));
	EXPECT_EQ(-EBUSY, cmd(self->chan, MSGC_ATTACH, &ATTACH(.role = MSGC_RECEIVER)));
	ASSERT_TRUE(runner_start(&run, r.fd, MSGC_WAIT, &w));
	EXPECT_EQ(0, evict(self->chan, r.at.id));
	EXPECT_EQ(-ESHUTDOWN, runner_end(&run));
	EXPECT_TRUE(until(evict(self->chan, r.at.id) == -ENOENT));
	EXPECT_EQ(0, ep_status(&s)->tethered);
	EXPECT_EQ(0, ep_line(&s, s.at.id)->receivers);
	ASSERT_EQ(0, ep_receiver(&next, self->chan));
	EXPECT_NE(r.at.id, next.at.id);
	ep_close(&next);
	ep_close(&r);
	ep_close(&s);
}

/* ---- takeover ---- */

struct receiver_plan {
	int chan, take, release;
};

/* Takes so many records of sender 0, releases so many of these, and waits for its end. */
static int receiver_main(int sk, void *p)
{
	struct receiver_plan *plan = p;
	struct msgc_slot *slot;
	struct ep r;

	if (ep_receiver(&r, plan->chan))
		return 1;
	for (int n = 0; n < plan->take; n++)
		if (!rx_take(&r, 0))
			return 2;
	rx_position(&r, 0);
	slot = rx_slot(&r, 0);
	WRITE_ONCE(slot->head, READ_ONCE(slot->head) + plan->release * span_of(4));
	tell(sk, r.at.id);
	hear(sk);
	return 0;
}

static void kill_receiver(int chan, int take, int release, const struct ep *s)
{
	struct receiver_plan plan = { chan, take, release };
	struct kid k = kid_start(receiver_main, &plan);
	int id = hear(k.sk);

	kid_end(&k, SIGKILL);
	until(dead(s, id));
}

/*
 * base, redo and attempts: after each death of a receiver with so many records taken and released.
 */
TEST_F(death, takeover)
{
	static const struct { int take, release, head, redo, attempts; } steps[] = {
		{ 0, 0, 0, 0, 0 },		/* touched nothing */
		{ 3, 1, 1, 3, 1 },
		{ 2, 0, 1, 3, 2 },		/* the same again: one more attempt; redo stays */
		{ 1, 0, 1, 3, 3 },
		{ 4, 2, 3, 5, 1 },		/* the base moved: attempts begin again */
		{ 1, 1, 4, 5, 1 },
		{ 6, 6, 10, 10, 0 },		/* all released: nothing to do again */
	};
	struct msgc_line *line;
	__u64 span = span_of(4);
	struct ep s, r;

	ASSERT_EQ(0, ep_sender(&s, self->chan));
	line = ep_line(&s, s.at.id);
	for (int n = 0; n < 10; n++)
		tx_send(&s, n, &n, 4);
	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		kill_receiver(self->chan, steps[i].take, steps[i].release, &s);
		EXPECT_EQ(steps[i].head * span, line->head) { TH_LOG("step %u", i); }
		if (steps[i].redo > steps[i].head) {
			EXPECT_EQ(steps[i].redo * span, line->redo) { TH_LOG("step %u", i); }
			EXPECT_EQ(steps[i].attempts, line->attempts) { TH_LOG("step %u", i); }
		} else {
			EXPECT_LE(line->redo, line->head) { TH_LOG("step %u", i); }
		}
	}
	tx_send(&s, 10, "more", 4);
	ASSERT_EQ(0, ep_receiver(&r, self->chan));
	EXPECT_EQ(10, rx_take(&r, 0)->type);
	ep_close(&r);
	ep_close(&s);
}

/*
 * A successor is woken by nothing of its predecessor, finds what that held, and nothing twice that
 * was released.
 */
TEST_F(death, successor)
{
	struct ep s, r;

	ASSERT_EQ(0, ep_sender(&s, self->chan));
	for (int n = 0; n < 5; n++)
		tx_send(&s, n, &n, 4);
	kill_receiver(self->chan, 4, 2, &s);
	ASSERT_EQ(0, ep_receiver(&r, self->chan));
	EXPECT_EQ(MSGC_IN, wait_for(r.fd, MSGC_IN, MSGC_NOW));
	for (__u32 n = 2; n < 5; n++)
		EXPECT_EQ(n, rx_take(&r, 0)->type);
	EXPECT_EQ(NULL, rx_take(&r, 0));
	EXPECT_EQ(4 * span_of(4), rx_line(&r, 0)->redo);
	ep_close(&r);
	ep_close(&s);
}

/*
 * The receiver dies while the sender waits for space: the sender sleeps on, until a successor
 * releases.
 */
TEST_F(death, receiver_dies_with_a_full_ring)
{
	struct msgc_wait w = { .events = MSGC_OUT, .kick = -1, .deadline = MSGC_FOREVER };
	struct runner run;
	struct ep s, r;

	ASSERT_EQ(0, ep_sender(&s, self->chan));
	tx_fill(&s);
	tx_publish(&s);
	WRITE_ONCE(tx_control(&s)->need, PAGE);
	ASSERT_TRUE(runner_start(&run, s.fd, MSGC_WAIT, &w));
	kill_receiver(self->chan, 0, 0, &s);
	EXPECT_TRUE(asleep(getpid(), run.tid));
	EXPECT_FALSE(run.done);
	ASSERT_EQ(0, ep_receiver(&r, self->chan));
	EXPECT_EQ(2, rx_drain(&r, 0));
	EXPECT_EQ(MSGC_OUT, runner_end(&run));
	ep_close(&r);
	ep_close(&s);
}

/*
 * Much has passed that the kernel never looked at, since nobody slept: its end is known exactly
 * nevertheless.
 */
TEST_F(death, end_after_unseen_traffic)
{
	struct ep s, r;

	ASSERT_EQ(0, ep_receiver(&r, self->chan));
	ASSERT_EQ(0, ep_sender(&s, self->chan));
	for (int n = 0; n < 1000; n++) {
		tx_put(&s, n, &n, 4);
		store_release(&tx_tail(&s)->tail, s.tail);
		EXPECT_NE(NULL, rx_take(&r, 0));
		store_release(&rx_slot(&r, 0)->head, rx_slot(&r, 0)->taken);
	}
	tx_put(&s, 1000, "last", 4);
	store_release(&tx_tail(&s)->tail, s.tail);
	ep_close(&s);
	EXPECT_TRUE(until(dead(&r, s.at.id)));
	EXPECT_EQ(1001 * span_of(4), rx_line(&r, 0)->end);
	EXPECT_EQ(1, rx_line(&r, 0)->receivers);
	EXPECT_EQ(MSGC_IN, wait_for(r.fd, MSGC_IN, MSGC_NOW));
	EXPECT_EQ(1000, rx_take(&r, 0)->type);
	rx_release(&r, 0);
	rx_sync(&r);
	EXPECT_EQ(POLLHUP, poll_ms(r.fd, POLLIN, 1000));
	ep_close(&r);
}

/* ---- departed rings, and their indices ---- */

/* Undrained: keeps its index and its charge, until drained or evicted. */
TEST_F(death, undrained_stays)
{
	struct ep s[4], r;

	for (int n = 0; n < 4; n++) {
		ASSERT_EQ(0, ep_sender(&s[n], self->chan));
		tx_send(&s[n], n, "x", 1);
		ep_close(&s[n]);
	}
	EXPECT_EQ(-EUSERS, cmd(self->chan, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER)));
	EXPECT_EQ(0, evict(self->chan, s[1].at.id));
	EXPECT_TRUE(until(ep_sender(&s[1], self->chan) == 0));
	EXPECT_EQ(1, s[1].at.number);
	EXPECT_EQ(-EUSERS, cmd(self->chan, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER)));
	ASSERT_EQ(0, ep_receiver(&r, self->chan));
	EXPECT_EQ(2, rx_take(&r, 2)->type);
	EXPECT_EQ(-EUSERS, cmd(self->chan, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER)));
	rx_release(&r, 2);
	EXPECT_TRUE(until(ep_sender(&s[2], self->chan) == 0));
	EXPECT_EQ(2, s[2].at.number);
	ep_close(&s[1]);
	ep_close(&s[2]);
	ep_close(&r);
}

/* The index freed last is used last; an id never comes back. */
TEST_F(death, index_reuse)
{
	__u32 order[3] = { 2, 0, 1 }, old[4];
	struct ep s[4];

	for (int n = 0; n < 3; n++) {
		ASSERT_EQ(0, ep_sender(&s[n], self->chan));
		old[n] = s[n].at.id;
	}
	ASSERT_EQ(0, ep_sender(&s[3], self->chan));
	for (int n = 0; n < 3; n++) {
		struct msgc_line *line = ep_line(&s[3], old[order[n]]);

		ep_close(&s[order[n]]);
		EXPECT_TRUE(until(line->state == MSGC_REVOKED));
		usleep(5000);
	}
	for (int n = 0; n < 3; n++) {
		struct ep again;

		ASSERT_EQ(0, ep_sender(&again, self->chan));
		EXPECT_EQ(order[n], again.at.number) { TH_LOG("round %d", n); }
		EXPECT_NE(old[order[n]], again.at.id);
		EXPECT_EQ(0, rx_line(&s[3], again.at.number)->head |
				     rx_line(&s[3], again.at.number)->end |
				     rx_line(&s[3], again.at.number)->redo);
		s[order[n]] = again;
	}
	for (int n = 0; n < 4; n++)
		ep_close(&s[n]);
}

/*
 * Asleep in WAIT, and the owner's other endpoints: one process, many endpoints, all dead at once.
 */
static int many_endpoints(int sk, void *p)
{
	struct ep e[4];

	for (int n = 0; n < 4; n++)
		if (ep_sender(&e[n], *(int *)p))
			return 1;
	close(e[1].fd);
	tell(sk, 1);
	wait_for(e[0].fd, MSGC_OUT | MSGC_PRI, MSGC_FOREVER);
	hear(sk);
	return 0;
}

TEST_F(death, all_endpoints_of_a_process)
{
	struct kid k;
	struct ep r;

	ASSERT_EQ(0, ep_receiver(&r, self->chan));
	k = kid_start(many_endpoints, &self->chan);
	EXPECT_EQ(1, hear(k.sk));
	EXPECT_EQ(4, ep_status(&r)->senders);
	kid_end(&k, SIGKILL);
	EXPECT_TRUE(until(!ep_status(&r)->senders));
	rx_sync(&r);
	EXPECT_TRUE(until(poll_now(r.fd, POLLIN) & POLLHUP));
	ep_close(&r);
}

/* Kills at any moment of attach, send, wait and exit: nothing is left behind. */
static int busy_sender(int sk, void *p)
{
	struct ep s;

	for (;;) {
		if (ep_sender(&s, *(int *)p))
			continue;
		tx_send(&s, 1, "x", 1);
		if (wait_for(s.fd, MSGC_OUT, MSGC_NOW) == -EBADF)
			return sk;
		ep_close(&s);
	}
}

TEST_F(death, kill_storm)
{
	struct ep r;

	ASSERT_EQ(0, ep_receiver(&r, self->chan));
	for (int round = 0; round < 30; round++) {
		struct kid k = kid_start(busy_sender, &self->chan);

		usleep(2000 + round * 137);
		kid_end(&k, SIGKILL);
		rx_sync(&r);
		for (int n = 0; n < 4; n++)
			if (READ_ONCE(rx_line(&r, n)->id) &&
			    READ_ONCE(rx_line(&r, n)->state) != MSGC_REVOKED)
				rx_drain(&r, n);
	}
	EXPECT_TRUE(until(!ep_status(&r)->senders));
	usleep(120000);
	for (int n = 0; n < 4; n++) {
		int fd = cmd(self->chan, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER));

		EXPECT_LE(0, fd) { TH_LOG("sender %d", n); }
	}
	ep_close(&r);
}

/* ---- the module ---- */

static long unload(void)
{
	return syscall(SYS_delete_module, "msgchan", O_NONBLOCK) ? -errno : 0;
}

/* Refused while any fd of ours is open, whatever kind. */
TEST(unload_while_busy)
{
	int dev = device(), chan = create(dev, CREATE()),
	    e = cmd(chan, MSGC_ATTACH, &ATTACH(.role = MSGC_SENDER));
	int fds[] = { dev, chan, e };

	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(-EWOULDBLOCK, unload());
		close(fds[i]);
	}
}

/* Persistent channels do not pin the module: they go with it, and it can come back. */
TEST(unload_with_persistent_channel)
{
	int dev = device(), image = open("/lib/modules/msgchan.ko", O_RDONLY | O_CLOEXEC), chan;

	if (image < 0)
		SKIP(return, "no module to load again");
	chan = create(dev, CREATE(.name = "unload", .flags = MSGC_PERSISTENT));
	ASSERT_GE(chan, 0);
	close(chan);
	close(dev);
	ASSERT_TRUE(until(!unload()));
	EXPECT_EQ(-1, device());
	ASSERT_EQ(0, syscall(SYS_finit_module, image, "", 0));
	ASSERT_TRUE(until((dev = device()) >= 0));
	EXPECT_EQ(-ENOENT, open_name(dev, "unload", MSGC_READ));
}

/* One program for both sides of the exec test. */
int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "--after-exec"))
		return after_exec(argv);
	return test_harness_run(argc, argv);
}
