/* SPDX-License-Identifier: MIT */
/*
 * How the tests speak to the module: thin wrappers over the UAPI header, with no library between a
 * test and the kernel.
 */
#ifndef MSGC_TEST_H
#define MSGC_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/msgchan.h>
#include "kselftest_harness.h"

#define MS		1000000ULL
#define SENTINEL	0xa5
#define PAGE		4096UL

#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v)	__atomic_store_n(&(x), v, __ATOMIC_RELAXED)
#define load_acquire(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define full_barrier()		__atomic_thread_fence(__ATOMIC_SEQ_CST)

/* Does the condition become true? The limit is for machines that stand still now and then. */
#define until(cond)							\
({									\
	int __n = 20000;						\
									\
	while (!(cond) && --__n)					\
		usleep(1000);						\
	__n > 0;							\
})

/* ---- commands: the result, or -errno ---- */

static inline long cmd(int fd, unsigned long nr, void *arg)
{
	long ret = ioctl(fd, nr, arg);

	return ret < 0 ? -errno : ret;
}

static inline __u64 now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 * MS + ts.tv_nsec;
}

static inline __u64 in_ms(unsigned int ms)
{
	return now() + ms * MS;
}

static inline int device(void)
{
	return open("/dev/msgchan", O_RDWR | O_CLOEXEC);
}

/* A valid CREATE; what a test wants otherwise follows as designated initialisers. */
#define CREATE(...)							\
	(struct msgc_create){ .size = sizeof(struct msgc_create),	\
			      .mode = MSGC_RING,			\
			      .delivery = MSGC_EXCLUSIVE,		\
			      .uid = ~0U, .gid = ~0U, .perm = 0600,	\
			      .ring_max = 65536, __VA_ARGS__ }
#define CREATE_CALL(...)						\
	CREATE(.mode = MSGC_RENDEZVOUS, .delivery = 0, .ring_max = 0,	\
	       .slots = 4, .request = PAGE, .reply = PAGE, __VA_ARGS__)
#define OPEN(...)							\
	(struct msgc_open){ .size = sizeof(struct msgc_open), __VA_ARGS__ }
#define ATTACH(...)							\
	(struct msgc_attach){ .size = sizeof(struct msgc_attach), __VA_ARGS__ }

static inline int create(int dev, struct msgc_create c)
{
	return cmd(dev, MSGC_CREATE, &c);
}

/* A channel that nobody else can see. */
static inline int create_private(struct msgc_create c)
{
	int dev = device(), ret = create(dev, c);

	close(dev);
	return ret;
}

static inline int open_name(int dev, const char *name, unsigned int flags)
{
	struct msgc_open o = OPEN(.flags = flags);

	memcpy(o.name, name, strnlen(name, sizeof(o.name)));
	return cmd(dev, MSGC_OPEN, &o);
}

static inline int unlink_name(int dev, const char *name)
{
	struct msgc_open o = OPEN(.flags = 0);

	memcpy(o.name, name, strnlen(name, sizeof(o.name)));
	return cmd(dev, MSGC_UNLINK, &o);
}

static inline struct msgc_info info(int fd)
{
	struct msgc_info i = { .size = sizeof(i) };

	if (cmd(fd, MSGC_INFO, &i) < 0)
		memset(&i, 0, sizeof(i));
	return i;
}

static inline long rows(int fd, unsigned long nr, int kind, void *buf, unsigned int row_size,
			unsigned int max, __u64 *cursor)
{
	struct msgc_rows r = {
		.size = sizeof(r), .kind = kind, .row_size = row_size, .max = max,
		.buf = (uintptr_t)buf, .cursor = *cursor
	};
	long ret = cmd(fd, nr, &r);

	*cursor = r.cursor;
	return ret;
}

/* The PEERS row of one endpoint, zeroed if there is none. */
static inline struct msgc_peer peer(int fd, __u32 id)
{
	static struct msgc_peer row[256];
	struct msgc_peer none = { .id = 0 };
	__u64 cursor = 0;
	long n = rows(fd, MSGC_PEERS, MSGC_ROW_ENDPOINT, row, sizeof(row[0]), 256, &cursor);

	while (n-- > 0)
		if (row[n].id == id)
			return row[n];
	return none;
}

static inline long evict(int chan, __u32 id)
{
	struct msgc_whom w = { .size = sizeof(w), .peer = id };

	return cmd(chan, MSGC_EVICT, &w);
}

static inline long none(int fd, unsigned long nr)
{
	struct msgc_none n = { .zero = { 0, 0 } };

	return cmd(fd, nr, &n);
}

static inline long kick(int fd)
{
	return none(fd, MSGC_KICK);
}

static inline long detach(int fd)
{
	return none(fd, MSGC_DETACH);
}

static inline long wait_for(int fd, __u32 events, __u64 deadline)
{
	struct msgc_wait w = { .events = events, .kick = -1, .deadline = deadline };

	return cmd(fd, MSGC_WAIT, &w);
}

static inline int poll_now(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	poll(&p, 1, 0);
	return p.revents;
}

static inline int poll_ms(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	poll(&p, 1, ms);
	return p.revents;
}

/* ---- endpoints with everything mapped ---- */

struct ep {
	int fd;
	struct msgc_attach at;
	unsigned char *area[MSGC_AREAS];
	__u64 tail, seq;		/* a sender's private position */
};

static inline bool area_writable(__u32 role, bool call, int k)
{
	bool sender = role == MSGC_SENDER;

	return k == MSGC_OWN || (k == MSGC_DATA && sender) || (k == MSGC_PEER && call && !sender);
}

static inline void *map_area(int fd, const struct msgc_area *a, int prot)
{
	return mmap(NULL, a->size, prot, MAP_SHARED, fd, a->offset);
}

static inline long ep_map(struct ep *e)
{
	bool call;

	e->area[MSGC_STATUS] = map_area(e->fd, &e->at.area[MSGC_STATUS], PROT_READ);
	if (e->area[MSGC_STATUS] == MAP_FAILED)
		return -errno;
	call = ((struct msgc_status *)e->area[MSGC_STATUS])->mode == MSGC_RENDEZVOUS;
	for (int k = MSGC_OWN; k < MSGC_AREAS; k++) {
		int prot = PROT_READ | (area_writable(e->at.role, call, k) ? PROT_WRITE : 0);

		if (!e->at.area[k].size)
			continue;
		e->area[k] = map_area(e->fd, &e->at.area[k], prot);
		if (e->area[k] == MAP_FAILED)
			return -errno;
	}
	return 0;
}

static inline long ep_attach(struct ep *e, int chan, struct msgc_attach at)
{
	memset(e, 0, sizeof(*e));
	e->at = at;
	e->fd = cmd(chan, MSGC_ATTACH, &e->at);
	return e->fd < 0 ? e->fd : ep_map(e);
}

static inline long ep_sender(struct ep *e, int chan)
{
	return ep_attach(e, chan, ATTACH(.role = MSGC_SENDER));
}

static inline long ep_receiver(struct ep *e, int chan)
{
	return ep_attach(e, chan, ATTACH(.role = MSGC_RECEIVER));
}

static inline void ep_unmap(struct ep *e)
{
	for (int k = 0; k < MSGC_AREAS; k++)
		if (e->area[k])
			munmap(e->area[k], e->at.area[k].size);
	memset(e->area, 0, sizeof(e->area));
}

static inline void ep_close(struct ep *e)
{
	ep_unmap(e);
	close(e->fd);
}

static inline struct msgc_status *ep_status(const struct ep *e)
{
	return (struct msgc_status *)e->area[MSGC_STATUS];
}

static inline struct msgc_line *ep_line(const struct ep *e, __u32 id)
{
	return (struct msgc_line *)(e->area[MSGC_STATUS] + ep_status(e)->line_off) + MSGC_INDEX(id);
}

static inline struct msgc_own *ep_own(const struct ep *e)
{
	return (struct msgc_own *)e->area[MSGC_OWN];
}

/* ---- ring mode, one record at a time ---- */

static inline struct msgc_tail *tx_tail(const struct ep *s)
{
	return (struct msgc_tail *)(s->area[MSGC_OWN] + MSGC_TAIL_AT(s->at.number));
}

static inline struct msgc_control *tx_control(const struct ep *s)
{
	return (struct msgc_control *)(s->area[MSGC_OWN] + MSGC_CONTROL_AT(s->at.number));
}

static inline __u64 span_of(__u32 len)
{
	return (sizeof(struct msgc_record) + len + 31) & ~31ULL;
}

/* Writes a record behind the private tail; the caller has made sure of the space. */
static inline void tx_put(struct ep *s, __u32 type, const void *data, __u32 len)
{
	__u64 span = span_of(len);
	struct msgc_record *r = (void *)(s->area[MSGC_DATA] + (s->tail & (s->at.ring - 1)));

	r->len = len;
	r->span_flags = span >> 5;
	r->type = type;
	r->check = (__u32)(s->tail >> 5) ^ r->span_flags;
	r->seq_format = s->seq++;
	r->cookie = 0;
	if (len)
		memcpy(r + 1, data, len);
	s->tail += span;
}

/* Steps 1 to 3 of the wake protocol, without the KICK itself: must one follow? */
static inline bool tx_publish(struct ep *s)
{
	__u64 armed, mine;

	store_release(&tx_tail(s)->tail, s->tail);
	full_barrier();			/* pairs with the one in WAIT and ->poll */
	armed = READ_ONCE(ep_status(s)->armed);
	mine = READ_ONCE(ep_line(s, s->at.id)->receivers);
	return armed & mine;
}

static inline void tx_send(struct ep *s, __u32 type, const void *data, __u32 len)
{
	tx_put(s, type, data, len);
	if (tx_publish(s))
		kick(s->fd);
}

/* Fills the ring with records of one page each, unpublished. */
static inline void tx_fill(struct ep *s)
{
	static const char zeros[PAGE - sizeof(struct msgc_record)];

	for (__u64 n = s->at.ring / PAGE; n; n--)
		tx_put(s, 0, zeros, sizeof(zeros));
}

static inline struct msgc_slot *rx_slot(const struct ep *r, __u32 n)
{
	return &((struct msgc_slots *)r->area[MSGC_OWN])->slot[n];
}

static inline struct msgc_line *rx_line(const struct ep *r, __u32 n)
{
	return ep_line(r, r->at.max_receivers + n);
}

static inline __u64 rx_tail(const struct ep *r, __u32 n)
{
	struct msgc_tail *t =
		(void *)(r->area[MSGC_PEER] + n * r->at.area[MSGC_PEER].stride + MSGC_TAIL_AT(n));

	return load_acquire(&t->tail);
}

static inline const unsigned char *rx_ring(const struct ep *r, __u32 n)
{
	return r->area[MSGC_DATA] + n * r->at.area[MSGC_DATA].stride;
}

/* Takes up a position on sender n's ring: gen last, and then a look, since that is a release. */
static inline void rx_start(const struct ep *r, __u32 n, __u64 pos)
{
	struct msgc_slot *slot = rx_slot(r, n);
	struct msgc_line *line = rx_line(r, n);

	WRITE_ONCE(slot->taken, pos);
	WRITE_ONCE(slot->head, pos);
	store_release(&slot->gen, READ_ONCE(line->since));
	/* pairs with the one between space_at and the look at the heads */
	full_barrier();
	if (READ_ONCE(line->space_at))
		kick(r->fd);
}

/* Where a receiver of an exclusive channel starts, unless it has. */
static inline void rx_position(const struct ep *r, __u32 n)
{
	struct msgc_line *line = rx_line(r, n);

	if (READ_ONCE(rx_slot(r, n)->gen) != READ_ONCE(line->since))
		rx_start(r, n, READ_ONCE(line->head));
}

/*
 * Handles whatever changed in the membership: positions on every live ring, then says so in
 * `seen`.
 */
static inline void rx_sync(const struct ep *r)
{
	__u64 gen = load_acquire(&ep_status(r)->generation);

	for (__u32 n = 0; n < r->at.max_senders; n++)
		if (READ_ONCE(rx_line(r, n)->id))
			rx_position(r, n);
	WRITE_ONCE(ep_own(r)->seen, gen);
}

/* Borrows sender n's next record, or NULL. */
static inline const struct msgc_record *rx_take(const struct ep *r, __u32 n)
{
	struct msgc_slot *slot = rx_slot(r, n);
	__u64 size = 1ULL << READ_ONCE(rx_line(r, n)->ring_shift), pos;
	const struct msgc_record *rec;

	rx_position(r, n);
	pos = READ_ONCE(slot->taken);
	if (rx_tail(r, n) == pos)
		return NULL;
	rec = (const void *)(rx_ring(r, n) + (pos & (size - 1)));
	WRITE_ONCE(slot->taken, pos + MSGC_SPAN(rec->span_flags));
	return rec;
}

/* Releases everything taken from sender n. */
static inline void rx_release(const struct ep *r, __u32 n)
{
	struct msgc_slot *slot = rx_slot(r, n);
	__u64 was = READ_ONCE(slot->head), head = READ_ONCE(slot->taken), at;

	store_release(&slot->head, head);
	/* pairs with the one between space_at and the look at the heads */
	full_barrier();
	at = READ_ONCE(rx_line(r, n)->space_at);
	if (at > was && at <= head)
		kick(r->fd);
}

/* Takes and releases all that sender n has published; how many records that was. */
static inline int rx_drain(const struct ep *r, __u32 n)
{
	int count = 0;

	while (rx_take(r, n))
		count++;
	rx_release(r, n);
	return count;
}

/* ---- other processes and threads ---- */

struct kid {
	pid_t pid;
	int sk;
};

/* Runs fn(socket to the parent, arg) in a forked child, whose exit status is fn's result. */
static inline struct kid kid_start(int (*fn)(int sk, void *arg), void *arg)
{
	struct kid k;
	int sk[2];

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sk);
	k.pid = fork();
	if (!k.pid) {
		close(sk[0]);
		_exit(fn(sk[1], arg));
	}
	close(sk[1]);
	k.sk = sk[0];
	return k;
}

static inline int tell(int sk, int value)
{
	return send(sk, &value, sizeof(value), MSG_NOSIGNAL) == sizeof(value);
}

/* The other side's next number; INT_MIN if it has gone, or says nothing for long. */
static inline int hear(int sk)
{
	int value;

	if (!poll_ms(sk, POLLIN, 200000) || read(sk, &value, sizeof(value)) != sizeof(value))
		return -0x7fffffff - 1;
	return value;
}

static inline int kid_end(struct kid *k, int sig)
{
	int status;

	if (sig)
		kill(k->pid, sig);
	close(k->sk);
	if (waitpid(k->pid, &status, 0) != k->pid)
		return -ECHILD;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline int send_fd(int sk, int fd)
{
	union { struct cmsghdr h; char buf[CMSG_SPACE(sizeof(int))]; } c = { .buf = { 0 } };
	struct iovec v = { .iov_base = "f", .iov_len = 1 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = c.buf,
			    .msg_controllen = sizeof(c.buf) };

	c.h.cmsg_level = SOL_SOCKET;
	c.h.cmsg_type = SCM_RIGHTS;
	c.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
	return sendmsg(sk, &m, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static inline int recv_fd(int sk)
{
	union { struct cmsghdr h; char buf[CMSG_SPACE(sizeof(int))]; } c;
	char byte;
	struct iovec v = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = c.buf,
			    .msg_controllen = sizeof(c.buf) };
	int fd;

	if (recvmsg(sk, &m, MSG_CMSG_CLOEXEC) != 1 || m.msg_controllen < CMSG_LEN(sizeof(int)))
		return -EBADF;
	memcpy(&fd, CMSG_DATA(&c.h), sizeof(fd));
	return fd;
}

/* A thread that runs one command and keeps its result. */
struct runner {
	pthread_t thread;
	volatile pid_t tid;
	volatile bool done;
	volatile long ret;
	int fd;
	unsigned long nr;
	void *arg;
};

static inline void *runner_main(void *p)
{
	struct runner *r = p;

	r->tid = gettid();
	r->ret = cmd(r->fd, r->nr, r->arg);
	r->done = true;
	return NULL;
}

static inline char task_state(pid_t pid, pid_t tid)
{
	char path[64], buf[256], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	buf[n > 0 ? n : 0] = 0;
	p = strrchr(buf, ')');
	return p ? p[2] : 0;
}

/*
 * Sleeping, and still so a moment later: not on its way into or out of something else. A change of
 * the membership may wake it at just that moment, to look: so three times.
 */
static inline bool asleep(pid_t pid, pid_t tid)
{
	for (int i = 0; i < 3; i++) {
		until(strchr("S", task_state(pid, tid)));	/* or nothing: it has gone */
		usleep(3000);
		if (task_state(pid, tid) == 'S')
			return true;
	}
	return false;
}

static inline bool runner_sleeps(const struct runner *r)
{
	return asleep(getpid(), r->tid) && !r->done;
}

/* Starts the command in a thread and shows that it sleeps there. */
static inline bool runner_start(struct runner *r, int fd, unsigned long nr, void *arg)
{
	*r = (struct runner){ .fd = fd, .nr = nr, .arg = arg };
	if (pthread_create(&r->thread, NULL, runner_main, r))
		return false;
	return until(r->tid) && runner_sleeps(r);
}

/* The command's result; -ETIME if it does not return. */
static inline long runner_end(struct runner *r)
{
	if (!until(r->done))
		return -ETIME;
	pthread_join(r->thread, NULL);
	return r->ret;
}

/* Becomes an ordinary user for good, or in a child. */
static inline int become(uid_t uid, gid_t gid)
{
	return setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid) ? -errno :
											    0;
}

#endif
