// SPDX-License-Identifier: MIT
/* Channels and endpoints through the library: what each function does, each error. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common.h"

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void create_options(void)
{
	struct {
		struct ipc_options opt;
		uint32_t later;
	} young = { .opt.size = sizeof(young) };
	struct ipc_options opt = { .size = sizeof(opt) };
	struct ipc_channel *ch;

	CHECK_EQ(ipc_create("/c", &opt, &ch), 0);
	ipc_close(ch);
	CHECK_EQ(ipc_create("/c", NULL, &ch), 0);
	ipc_close(ch);
	CHECK_EQ(ipc_create("/c", &young.opt, &ch), 0);
	ipc_close(ch);
	young.later = 1;
	CHECK_EQ(ipc_create("/c", &young.opt, &ch), -E2BIG);
	opt.size = 8;
	CHECK_EQ(ipc_create("/c", &opt, &ch), -EINVAL);
	opt = (struct ipc_options){ .size = sizeof(opt), .mode = 7 };
	CHECK_EQ(ipc_create("/c", &opt, &ch), -EOPNOTSUPP);
	opt = (struct ipc_options){ .size = sizeof(opt), .slots = 4 };	/* of the other mode */
	CHECK_EQ(ipc_create("/c", &opt, &ch), -EINVAL);
	opt = (struct ipc_options){ .size = sizeof(opt), .max_senders = 1025 };
	CHECK_EQ(ipc_create("/c", &opt, &ch), -EINVAL);
	opt = (struct ipc_options){ .size = sizeof(opt), .mode = IPC_RENDEZVOUS,
				    .spin_ns = 1000001 };
	CHECK_EQ(ipc_create("/c", &opt, &ch), -EINVAL);
	opt = (struct ipc_options){ .size = sizeof(opt), .pad = 1 };
	CHECK_EQ(ipc_create("/c", &opt, &ch), -EINVAL);
	opt = (struct ipc_options){ .size = sizeof(opt), .delivery = 4 };
	CHECK_EQ(ipc_create("/c", &opt, &ch), -EOPNOTSUPP);
	opt = (struct ipc_options){ .size = sizeof(opt), .max_attempts = 1 };
	CHECK_EQ(ipc_create("/c", &opt, &ch), -EINVAL);
	opt = (struct ipc_options){ .size = sizeof(opt), .delivery = IPC_EXCLUSIVE,
				    .flags = IPC_UNTETHERED_ONLY };
	CHECK_EQ(ipc_create("/c", &opt, &ch), -EINVAL);
	opt = (struct ipc_options){ .size = sizeof(opt), .flags = IPC_PRIO_INHERIT };
	CHECK_EQ(ipc_create("/c", &opt, &ch), -EINVAL);
	opt = (struct ipc_options){ .size = sizeof(opt), .mode = IPC_RENDEZVOUS, .slots = 64,
				    .max_senders = 1024, .request = 64 << 20, .reply = 64 << 20 };
	CHECK_EQ(ipc_create("/c", &opt, &ch), -EOVERFLOW);
}

static void create_names(void)
{
	static const char long_name[] =
		"/0123456789012345678901234567890123456789012345678901234567890123";
	char most[64];
	struct ipc_channel *ch, *other;

	CHECK_EQ(ipc_create("", NULL, &ch), -EINVAL);
	CHECK_EQ(ipc_create("a b", NULL, &ch), -EINVAL);
	CHECK_EQ(ipc_create("a\377", NULL, &ch), -EINVAL);
	CHECK_EQ(ipc_create(long_name, NULL, &ch), -EINVAL);
	CHECK_EQ(ipc_open(long_name, IPC_READ, IPC_NOW, &ch), -EINVAL);
	memcpy(most, long_name, 63);
	most[63] = 0;
	CHECK_EQ(ipc_create(most, NULL, &ch), 0);
	CHECK_EQ(ipc_create(most, NULL, &other), -EEXIST);
	ipc_close(ch);
	CHECK_EQ(ipc_create(NULL, NULL, &ch), 0);
	CHECK_EQ(ipc_create(NULL, NULL, &other), 0);
	ipc_close(ch);
	ipc_close(other);
	ipc_close(NULL);
}

static void lifetime(void)
{
	struct ipc_options opt = { .size = sizeof(opt), .flags = IPC_PERSISTENT };
	struct ipc_channel *ch, *again;
	struct ipc_endpoint *ep;

	ch = channel("/short", NULL);
	ep = attach(ch, IPC_SENDER);
	ipc_close(ch);
	CHECK_EQ(ipc_open("/short", IPC_READ, IPC_NOW, &again), 0);	/* an endpoint keeps it */
	ipc_close(again);
	ipc_detach(ep);
	CHECK_EQ(ipc_open("/short", IPC_READ, IPC_NOW, &again), -ENOENT);

	ipc_close(channel("/stays", &opt));
	CHECK_EQ(ipc_open("/stays", IPC_READ, IPC_NOW, &ch), 0);
	CHECK_EQ(ipc_unlink("/stays"), 0);
	CHECK_EQ(ipc_unlink("/stays"), -ENOENT);
	CHECK_EQ(ipc_open("/stays", IPC_READ, IPC_NOW, &again), -ENOENT);
	ep = attach(ch, IPC_RECEIVER);		/* who has it open keeps it */
	ipc_detach(ep);
	ipc_close(ch);
	CHECK_EQ(ipc_unlink("bad name"), -EINVAL);
}

static void open_errors(void)
{
	struct ipc_channel *ch, *mine = channel("/o", NULL);
	struct ipc_endpoint *ep;

	CHECK_EQ(ipc_open("/nobody", IPC_READ, IPC_NOW, &ch), -ENOENT);
	CHECK_EQ(ipc_open("/nobody", IPC_READ, MS(50), &ch), -ETIMEDOUT);
	CHECK_EQ(ipc_open("/o", 0, IPC_NOW, &ch), -EINVAL);
	CHECK_EQ(ipc_open("/o", IPC_READ | 8, IPC_NOW, &ch), -EINVAL);
	alarms(30, SA_RESTART);		/* poll is never restarted */
	CHECK_EQ(ipc_open("/nobody", IPC_READ, LONG, &ch), -EINTR);
	alarms(0, 0);
	CHECK_EQ(ipc_open("/o", IPC_READ, IPC_NOW, &ch), 0);
	CHECK_EQ(try_attach(ch, IPC_SENDER, &ep), -EACCES);
	CHECK_EQ(try_attach(ch, IPC_RECEIVER, &ep), 0);
	ipc_detach(ep);
	ipc_close(ch);
	ipc_close(mine);
}

static void *create_late(void *arg)
{
	nap(100);
	ipc_close(channel("/other", NULL));	/* wakes who waits for another one too */
	nap(50);
	*(struct ipc_channel **)arg = channel("/late", NULL);
	return NULL;
}

static void open_waits(void)
{
	struct ipc_channel *ch, *late;
	pthread_t t = thread(create_late, &late);

	CHECK_EQ(ipc_open("/late", IPC_WRITE, LONG, &ch), 0);
	pthread_join(t, NULL);
	ipc_close(ch);
	ipc_close(late);
}

static void as_nobody(void *arg)
{
	struct ipc_channel *ch;
	struct ipc_options opt = { .size = sizeof(opt), .flags = IPC_OWNER, .uid = 0, .gid = 0 };

	(void)arg;
	MUST(setgid(65534));
	MUST(setuid(65534));
	CHECK_EQ(ipc_open("/mine", IPC_READ, IPC_NOW, &ch), -EACCES);
	CHECK_EQ(ipc_unlink("/mine"), -EPERM);
	CHECK_EQ(ipc_open("/public", IPC_WRITE, IPC_NOW, &ch), 0);
	ipc_close(ch);
	CHECK_EQ(ipc_open("/public", IPC_READ, IPC_NOW, &ch), -EACCES);
	CHECK_EQ(ipc_create("/his", &opt, &ch), -EPERM);
	CHECK_EQ(ipc_open("/given", IPC_READ, IPC_NOW, &ch), 0);
	ipc_close(ch);
}

static void rights(void)
{
	struct ipc_options public = { .size = sizeof(public), .perm = 0622 };
	struct ipc_options given = { .size = sizeof(given), .flags = IPC_OWNER, .uid = 65534,
				     .gid = UINT32_MAX };
	struct ipc_channel *a = channel("/mine", NULL), *b = channel("/public", &public);
	struct ipc_channel *c = channel("/given", &given);

	CHECK_EQ(in_child(as_nobody, NULL), 0);
	ipc_close(a);
	ipc_close(b);
	ipc_close(c);
}

static void import(void)
{
	struct ipc_channel *ch = channel(NULL, NULL), *copy;
	struct ipc_endpoint *tx, *rx;
	int fd = dup(ipc_channel_fd(ch)), null = open("/dev/null", O_RDWR);

	CHECK_EQ(ipc_import(fd, &copy), 0);
	CHECK_EQ(ipc_channel_fd(copy), fd);
	tx = attach(copy, IPC_SENDER);
	rx = attach(ch, IPC_RECEIVER);
	CHECK_EQ(ipc_send(tx, &(struct ipc_msg){ .data = (char[]){ 'x' }, .len = 1 }, IPC_NOW), 0);
	CHECK_EQ(ipc_wait(rx, IPC_IN, IPC_NOW), IPC_IN);
	ipc_close(copy);
	CHECK_EQ(ipc_import(fd, &copy), -EBADF);
	CHECK_EQ(ipc_import(null, &copy), -ENOTTY);
	CHECK_EQ(ipc_import(dup(ipc_fd(rx)), &copy), 0);
	CHECK_EQ(try_attach(copy, IPC_SENDER, &tx), -ENOTTY);
	ipc_close(copy);
	close(null);
	ipc_detach(rx);
	ipc_close(ch);
}

static void attach_errors(void)
{
	struct ipc_options opt = { .size = sizeof(opt), .max_senders = 1 };
	struct ipc_channel *ch = channel(NULL, &opt);
	struct ipc_attach how = { .size = sizeof(how) };
	struct ipc_endpoint *tx, *rx, *ep;

	CHECK_EQ(ipc_attach(ch, &how, &ep), -EINVAL);
	how.size = 4;
	CHECK_EQ(ipc_attach(ch, &how, &ep), -EINVAL);
	how = (struct ipc_attach){ .size = sizeof(how), .role = IPC_RECEIVER,
				   .flags = IPC_UNTETHERED | IPC_STANDBY };
	CHECK_EQ(ipc_attach(ch, &how, &ep), -EINVAL);
	how = (struct ipc_attach){ .size = sizeof(how), .role = IPC_SENDER, .ring = 1 << 21 };
	CHECK_EQ(ipc_attach(ch, &how, &ep), -EINVAL);
	tx = attach(ch, IPC_SENDER);
	CHECK_EQ(try_attach(ch, IPC_SENDER, &ep), -EUSERS);
	rx = attach(ch, IPC_RECEIVER);
	CHECK_EQ(try_attach(ch, IPC_RECEIVER, &ep), -EBUSY);
	ipc_detach(tx);
	ipc_detach(rx);
	ipc_detach(NULL);
	ipc_close(ch);
}

/* A client that is to pay for less than its slots cost. */
static void attach_budget(void)
{
	struct ipc_options opt = { .size = sizeof(opt), .mode = IPC_RENDEZVOUS };
	struct ipc_channel *ch = channel(NULL, &opt);
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_SENDER, .ring = 4096 };
	struct ipc_endpoint *ep;

	CHECK_EQ(ipc_attach(ch, &how, &ep), -EDQUOT);
	how.ring = 1 << 20;
	CHECK_EQ(ipc_attach(ch, &how, &ep), 0);
	ipc_detach(ep);
	ipc_close(ch);
}

/* Mapping fails half way: everything is undone, and the place is free again. */
static void attach_undo(void)
{
	struct ipc_options opt = { .size = sizeof(opt), .max_senders = 64, .ring_max = 64 << 20 };
	struct rlimit old, low;
	struct ipc_channel *ch = channel(NULL, &opt);
	struct ipc_endpoint *ep;
	int before = open_fds();

	getrlimit(RLIMIT_AS, &old);
	low = (struct rlimit){ .rlim_cur = 1 << 30, .rlim_max = old.rlim_max };
	setrlimit(RLIMIT_AS, &low);
	for (int i = 0; i < 3; i++)	/* a window of 8 GiB */
		CHECK_EQ(try_attach(ch, IPC_RECEIVER, &ep), -ENOMEM);
	setrlimit(RLIMIT_AS, &old);
	CHECK_EQ(open_fds(), before);
	CHECK_EQ(try_attach(ch, IPC_RECEIVER, &ep), 0);
	ipc_detach(ep);
	CHECK_EQ(open_fds(), before);
	ipc_close(ch);
}

/* Every function on an endpoint. */
static void all_say(struct ipc_endpoint *ep, int err)
{
	struct ipc_msg m = { 0 };
	struct ipc_peer p;

	CHECK_EQ(ipc_fd(ep), err);
	CHECK_EQ(ipc_wait(ep, IPC_IN, IPC_NOW), err);
	CHECK_EQ(ipc_peer(ep, 1, &p), err);
	CHECK_EQ(ipc_interrupt(ep), err);
	CHECK_EQ(ipc_reserve(ep, &m, 1, IPC_NOW), err);
	CHECK_EQ(ipc_commit(ep, &m), err);
	CHECK_EQ(ipc_abandon(ep, &m), err);
	CHECK_EQ(ipc_publish(ep), err);
	CHECK_EQ(ipc_send(ep, &m, IPC_NOW), err);
	CHECK_EQ(ipc_drain(ep, IPC_NOW), err);
	CHECK_EQ(ipc_recv(ep, &m, 1, IPC_NOW), err);
	CHECK_EQ(ipc_release(ep, &m, 1), err);
	CHECK_EQ(ipc_call(ep, &m, &m, IPC_NOW), err);
	CHECK_EQ(ipc_start(ep, &m, IPC_NOW), err);
	CHECK_EQ(ipc_collect(ep, &m, 1, IPC_NOW), err);
	CHECK_EQ(ipc_cancel(ep, 1), err);
	CHECK_EQ(ipc_reply(ep, &m, 0, 0), err);
	CHECK_EQ(ipc_reply_recv(ep, &m, 0, 0, &m, IPC_NOW), err);
	CHECK_EQ(ipc_gone(ep, &m), err);
}

static void forked(void *arg)
{
	struct ipc_endpoint **ep = arg;
	int before = open_fds();

	for (int i = 0; ep[i]; i++) {
		all_say(ep[i], -EPERM);
		ipc_detach(ep[i]);
		CHECK_EQ(open_fds(), --before);
	}
}

static void fork_child(void)
{
	struct ipc_options opt = { .size = sizeof(opt), .mode = IPC_RENDEZVOUS };
	struct ipc_channel *ring = channel(NULL, NULL), *rv = channel(NULL, &opt);
	struct ipc_endpoint *ep[] = {
		attach(ring, IPC_SENDER), attach(ring, IPC_RECEIVER),
		attach(rv, IPC_SENDER), attach(rv, IPC_RECEIVER), NULL,
	};
	struct ipc_msg m = { 0 };

	CHECK_EQ(in_child(forked, ep), 0);
	/* and the parent's are as good as before */
	CHECK_EQ(ipc_send(ep[0], &m, IPC_NOW), 0);
	CHECK_EQ(ipc_recv(ep[1], &m, 1, IPC_NOW), 1);
	CHECK_EQ(ipc_start(ep[2], &(struct ipc_msg){ 0 }, LONG), 0);
	CHECK_EQ(ipc_recv(ep[3], &m, 1, IPC_NOW), 1);
	for (int i = 0; ep[i]; i++)
		ipc_detach(ep[i]);
	ipc_close(ring);
	ipc_close(rv);
}

/* A child that holds a copy of every fd does not keep an endpoint alive. */
static void detach_with_copies(void)
{
	struct ipc_channel *ch = channel(NULL, NULL);
	struct ipc_endpoint *rx = attach(ch, IPC_RECEIVER);
	int status;
	pid_t pid = fork();

	if (!pid) {
		pause();
		_exit(0);
	}
	ipc_detach(rx);
	CHECK_EQ(try_attach(ch, IPC_RECEIVER, &rx), 0);
	ipc_detach(rx);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ipc_close(ch);
}

static void waiting(void)
{
	struct ipc_channel *ch = channel(NULL, NULL);
	struct ipc_endpoint *rx = attach(ch, IPC_RECEIVER), *tx;

	CHECK_EQ(ipc_wait(rx, IPC_IN, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_wait(rx, IPC_IN, MS(30)), -ETIMEDOUT);
	CHECK_EQ(ipc_wait(rx, 0, IPC_NOW), -EINVAL);
	CHECK_EQ(ipc_wait(rx, 1 << 12, IPC_NOW), -EOPNOTSUPP);
	CHECK(ipc_wait(rx, IPC_PEERS, IPC_NOW) == IPC_PEERS);	/* itself */
	CHECK_EQ(ipc_wait(rx, IPC_PEERS, IPC_NOW), -EAGAIN);
	tx = attach(ch, IPC_SENDER);
	CHECK_EQ(ipc_wait(rx, IPC_PEERS, IPC_NOW), IPC_PEERS);
	CHECK_EQ(ipc_wait(rx, IPC_PEERS, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_wait(tx, IPC_OUT, IPC_NOW), IPC_OUT);
	ipc_detach(tx);
	CHECK_EQ(ipc_wait(rx, IPC_PEERS, IPC_NOW), IPC_PEERS | IPC_HUP);
	ipc_detach(rx);
	ipc_close(ch);
}

static void signals(void)
{
	struct ipc_channel *ch = channel(NULL, NULL);
	struct ipc_endpoint *rx = attach(ch, IPC_RECEIVER);

	alarms(30, 0);
	CHECK_EQ(ipc_wait(rx, IPC_IN, LONG), -EINTR);
	alarms(30, SA_RESTART);
	CHECK_EQ(ipc_wait(rx, IPC_IN, MS(200)), -ETIMEDOUT);
	alarms(0, 0);
	ipc_detach(rx);
	ipc_close(ch);
}

static void *interrupt_soon(void *ep)
{
	nap(100);
	return (void *)(intptr_t)ipc_interrupt(ep);
}

static void interrupts(void)
{
	struct ipc_channel *ch = channel(NULL, NULL);
	struct ipc_endpoint *rx = attach(ch, IPC_RECEIVER);
	struct ipc_msg m;
	void *ret;
	pthread_t t;

	CHECK_EQ(ipc_interrupt(rx), 0);
	CHECK_EQ(ipc_wait(rx, IPC_IN, IPC_FOREVER), -EINTR);	/* the next one, */
	CHECK_EQ(ipc_wait(rx, IPC_IN, MS(20)), -ETIMEDOUT);	/* once */
	t = thread(interrupt_soon, rx);
	CHECK_EQ(ipc_recv(rx, &m, 1, IPC_FOREVER), -EINTR);
	pthread_join(t, &ret);
	CHECK(!ret);
	ipc_detach(rx);
	ipc_close(ch);
}

static void peers(void)
{
	struct ipc_channel *ch = channel(NULL, NULL);
	struct ipc_endpoint *rx = attach(ch, IPC_RECEIVER), *tx = attach(ch, IPC_SENDER);
	struct ipc_msg m = { 0 };
	struct ipc_peer p;

	CHECK_EQ(ipc_send(tx, &m, IPC_NOW), 0);
	CHECK_EQ(ipc_recv(rx, &m, 1, IPC_NOW), 1);
	CHECK_EQ(ipc_peer(rx, m.peer, &p), 0);
	CHECK_EQ(p.pid, getpid());
	CHECK_EQ(p.uid, getuid());
	CHECK_EQ(p.gid, getgid());
	CHECK_EQ(p.role, IPC_SENDER);
	CHECK_EQ(p.state, IPC_LIVE);
	CHECK_EQ(p.refused, 0);
	CHECK(!strcmp(p.comm, "channels"));
	ipc_detach(tx);
	CHECK_EQ(ipc_peer(rx, m.peer, &p), 0);	/* its message is still held */
	CHECK_EQ(p.state, IPC_LEFT);
	CHECK_EQ(ipc_peer(rx, 0, &p), -ENOENT);
	CHECK_EQ(ipc_peer(rx, 0xffffffff, &p), -ENOENT);
	ipc_detach(rx);
	ipc_close(ch);
}

static void no_module(void)
{
	struct ipc_channel *ch;

	if (rename("/dev/msgchan", "/dev/msgchan.away"))
		return;
	CHECK_EQ(ipc_create("/c", NULL, &ch), -ENODEV);
	CHECK_EQ(ipc_open("/c", IPC_READ, IPC_FOREVER, &ch), -ENODEV);
	CHECK_EQ(ipc_unlink("/c"), -ENODEV);
	CHECK_EQ(rename("/dev/msgchan.away", "/dev/msgchan"), 0);
}

static void limits_of_fds(void)
{
	struct rlimit old, low;
	struct ipc_channel *mine = channel(NULL, NULL), *ch;
	struct ipc_endpoint *ep;

	getrlimit(RLIMIT_NOFILE, &old);
	low = (struct rlimit){ .rlim_cur = 3, .rlim_max = old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &low);
	CHECK_EQ(ipc_create("/c", NULL, &ch), -EMFILE);
	CHECK_EQ(ipc_open("/c", IPC_READ, IPC_NOW, &ch), -EMFILE);
	CHECK_EQ(try_attach(mine, IPC_SENDER, &ep), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &old);
	ipc_close(mine);
}

static void errno_untouched(void)
{
	struct ipc_channel *ch;

	errno = 4711;
	CHECK_EQ(ipc_open("/nobody", IPC_READ, IPC_NOW, &ch), -ENOENT);
	CHECK_EQ(ipc_open("/nobody", IPC_READ, MS(10), &ch), -ETIMEDOUT);
	CHECK_EQ(ipc_import(-1, &ch), -EBADF);
	CHECK_EQ(errno, 4711);
}

static void texts(void)
{
	CHECK(ipc_in(0) <= ipc_in(1));
	CHECK(ipc_in(IPC_FOREVER) == IPC_FOREVER - 1);
	CHECK(!strcmp(ipc_strerror(-EPIPE), ipc_strerror(EPIPE)));
	CHECK(strstr(ipc_strerror(-EPIPE), "end of stream"));
	CHECK(ipc_strerror(0) && ipc_strerror(-ENOSPC) && ipc_strerror(123456));
}

int main(void)
{
	RUN(create_options);
	RUN(create_names);
	RUN(lifetime);
	RUN(open_errors);
	RUN(open_waits);
	RUN(rights);
	RUN(import);
	RUN(attach_errors);
	RUN(attach_budget);
	RUN(attach_undo);
	RUN(fork_child);
	RUN(detach_with_copies);
	RUN(waiting);
	RUN(signals);
	RUN(interrupts);
	RUN(peers);
	RUN(no_module);
	RUN(limits_of_fds);
	RUN(errno_untouched);
	RUN(texts);
	return tap_done();
}
