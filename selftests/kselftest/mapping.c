// SPDX-License-Identifier: MIT
/*
 * Who may map what: one writing party per page, exact sizes, windows by strides, and what a
 * revoked mapping shows.
 */
#include <setjmp.h>
#include <sys/uio.h>

#include "msgc.h"

/* ---- touching memory that may not be there ---- */

static __thread sigjmp_buf fault_env;

static void fault_handler(int sig)
{
	siglongjmp(fault_env, sig);
}

/* 0, or the signal that the access raised. */
static int touch(volatile unsigned char *p, int value)
{
	struct sigaction sa = { .sa_handler = fault_handler };
	int sig;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sig = sigsetjmp(fault_env, 1);
	if (sig)
		return sig;
	if (value < 0)
		(void)*p;
	else
		*p = value;
	return 0;
}

static int try_read(void *p)
{
	return touch(p, -1);
}

static int try_write(void *p)
{
	return touch(p, 0x77);
}

/* ---- a channel of each mode with an endpoint of each role ---- */

FIXTURE(mapping) {
	int chan;
	struct ep tx, rx;
};

FIXTURE_VARIANT(mapping) {
	bool call;
};

FIXTURE_VARIANT_ADD(mapping, ring) {
	.call = false,
};

FIXTURE_VARIANT_ADD(mapping, call) {
	.call = true,
};

FIXTURE_SETUP(mapping)
{
	self->chan = create_private(variant->call ? CREATE_CALL(.max_senders = 5) :
						    CREATE(.max_senders = 5));
	ASSERT_GE(self->chan, 0);
	ASSERT_EQ(0, ep_receiver(&self->rx, self->chan));
	ASSERT_EQ(0, ep_sender(&self->tx, self->chan));
}

FIXTURE_TEARDOWN(mapping)
{
	ep_close(&self->tx);
	ep_close(&self->rx);
	close(self->chan);
}

/* Runs the body for every area of both endpoints: e, k, a. */
#define for_each_area(e, k, a)						\
	for (struct ep *e = &self->rx; e; e = e == &self->rx ? &self->tx : NULL)	\
		for (int k = 0; k < MSGC_AREAS; k++)			\
			for (struct msgc_area *a = &e->at.area[k]; a && a->size; a = NULL)

static int map_errno(int fd, __u64 offset, __u64 size, int prot, int flags)
{
	void *p = mmap(NULL, size, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, size);
	return 0;
}

/* Is a mapping of this area with this protection refused? */
static bool refused(int fd, const struct msgc_area *a, int prot)
{
	return map_errno(fd, a->offset, a->size, prot, MAP_SHARED) == -EACCES;
}

/* The areas are the header's: at k << 41, of the sizes that the documented layouts have. */
TEST_F(mapping, layout)
{
	const struct ep *tx = &self->tx, *rx = &self->rx;
	int inbox = variant->call ? MSGC_AREAS : MSGC_INBOX;

	for (int k = 0; k < MSGC_AREAS; k++) {
		if (k == inbox)
			continue;
		EXPECT_EQ((__u64)k << 41, tx->at.area[k].offset);
		EXPECT_EQ((__u64)k << 41, rx->at.area[k].offset);
		EXPECT_EQ(0, tx->at.area[k].size % PAGE);
		EXPECT_LT(0, tx->at.area[k].size);
		EXPECT_LT(0, rx->at.area[k].size);
	}
	for (int k = MSGC_STATUS; k <= MSGC_INBOX; k++)
		EXPECT_EQ(0, tx->at.area[k].stride | rx->at.area[k].stride);
	EXPECT_EQ(tx->at.area[MSGC_STATUS].size, rx->at.area[MSGC_STATUS].size);
	EXPECT_EQ(5 * rx->at.area[MSGC_DATA].stride, rx->at.area[MSGC_DATA].size);
	EXPECT_EQ(5 * rx->at.area[MSGC_PEER].stride, rx->at.area[MSGC_PEER].size);
	if (variant->call) {
		EXPECT_EQ(4 * PAGE, tx->at.area[MSGC_DATA].size);
		EXPECT_EQ(4 * PAGE, tx->at.area[MSGC_PEER].size);
		EXPECT_EQ(PAGE, tx->at.area[MSGC_INBOX].size);
		EXPECT_EQ(4, tx->at.slots);
	} else {
		EXPECT_EQ(0, tx->at.area[MSGC_INBOX].size | rx->at.area[MSGC_INBOX].size);
		EXPECT_EQ(2 * 65536, rx->at.area[MSGC_DATA].stride);
		EXPECT_EQ(2 * 65536, tx->at.area[MSGC_DATA].size);
	}
}

TEST_F(mapping, wrong_size_or_offset)
{
	for_each_area(e, k, a) {
		EXPECT_EQ(-EINVAL,
			  map_errno(e->fd, a->offset, a->size + PAGE, PROT_READ, MAP_SHARED)) {
			TH_LOG("area %d, larger", k);
		}
		EXPECT_EQ(-EINVAL,
			  map_errno(e->fd, a->offset + PAGE, a->size, PROT_READ, MAP_SHARED)) {
			TH_LOG("area %d, moved", k);
		}
		if (a->size > PAGE && !a->stride) {
			EXPECT_EQ(-EINVAL, map_errno(e->fd, a->offset, a->size - PAGE, PROT_READ,
						     MAP_SHARED)) {
				TH_LOG("area %d, smaller", k);
			}
			EXPECT_EQ(-EINVAL, map_errno(e->fd, a->offset + PAGE, a->size - PAGE,
						     PROT_READ, MAP_SHARED)) {
				TH_LOG("area %d, its end", k);
			}
		}
	}
	EXPECT_EQ(-EINVAL, map_errno(self->tx.fd, 5ULL << 41, PAGE, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EINVAL, map_errno(self->tx.fd, 1ULL << 62, PAGE, PROT_READ, MAP_SHARED));
	if (!variant->call)
		EXPECT_EQ(-EINVAL, map_errno(self->tx.fd, (__u64)MSGC_INBOX << 41, PAGE, PROT_READ,
					     MAP_SHARED));
}

TEST_F(mapping, windows_by_strides)
{
	for_each_area(e, k, a) {
		__u64 s = a->stride;

		if (!s)
			continue;
		EXPECT_EQ(0, map_errno(e->fd, a->offset, s, PROT_READ, MAP_SHARED)) {
			TH_LOG("area %d", k);
		}
		if (a->size >= 4 * s) {
			EXPECT_EQ(0, map_errno(e->fd, a->offset + s, 2 * s, PROT_READ, MAP_SHARED));
			EXPECT_EQ(0, map_errno(e->fd, a->offset + 3 * s, a->size - 3 * s, PROT_READ,
					       MAP_SHARED));
		}
		EXPECT_EQ(-EINVAL,
			  map_errno(e->fd, a->offset + a->size - s, 2 * s, PROT_READ, MAP_SHARED));
		EXPECT_EQ(-EINVAL, map_errno(e->fd, a->offset + a->size, s, PROT_READ, MAP_SHARED));
		if (s > PAGE) {
			EXPECT_EQ(-EINVAL,
				  map_errno(e->fd, a->offset, s - PAGE, PROT_READ, MAP_SHARED));
			EXPECT_EQ(-EINVAL,
				  map_errno(e->fd, a->offset + PAGE, s, PROT_READ, MAP_SHARED));
		}
	}
}

/*
 * Read-only means it: not by mmap, not by mprotect, not by a second mapping beside a writable one.
 */
TEST_F(mapping, read_only)
{
	for_each_area(e, k, a) {
		void *p = e->area[k];

		if (area_writable(e->at.role, variant->call, k))
			continue;
		EXPECT_TRUE(refused(e->fd, a, PROT_READ | PROT_WRITE)) {
			TH_LOG("area %d", k);
		}
		EXPECT_TRUE(refused(e->fd, a, PROT_WRITE));
		EXPECT_EQ(-1, mprotect(p, a->size, PROT_READ | PROT_WRITE)) {
			TH_LOG("area %d", k);
		}
		EXPECT_EQ(EACCES, errno);
		EXPECT_EQ(SIGSEGV, try_write(p)) { TH_LOG("area %d", k); }
	}
}

TEST_F(mapping, never_executable)
{
	for_each_area(e, k, a) {
		int err = map_errno(e->fd, a->offset, a->size, PROT_READ | PROT_EXEC, MAP_SHARED);

		/* newer kernels have no executable files there, and say so before they ask us */
		EXPECT_TRUE(err == -EACCES || err == -EPERM) { TH_LOG("area %d: %d", k, err); }
		EXPECT_EQ(-1, mprotect(e->area[k], a->size, PROT_READ | PROT_EXEC)) {
			TH_LOG("area %d", k);
		}
		EXPECT_EQ(EACCES, errno);
	}
}

TEST_F(mapping, never_private)
{
	static const int prots[] = { PROT_READ, PROT_READ | PROT_WRITE };

	for_each_area(e, k, a) {
		for (int i = 0; i < 2; i++)
			EXPECT_EQ(-EINVAL,
				  map_errno(e->fd, a->offset, a->size, prots[i], MAP_PRIVATE)) {
				TH_LOG("area %d", k);
			}
	}
}

TEST_F(mapping, no_growth)
{
	for_each_area(e, k, a) {
		EXPECT_EQ(MAP_FAILED, mremap(e->area[k], a->size, a->size + PAGE, MREMAP_MAYMOVE)) {
			TH_LOG("area %d", k);
		}
	}
}

/* Writes to read-only areas by the ways around the page tables. */
TEST_F(mapping, no_way_around)
{
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	char evil[8] = "\xee\xee\xee\xee\xee\xee\xee";

	ASSERT_GE(mem, 0);
	for_each_area(e, k, a) {
		struct iovec from = { evil, sizeof(evil) }, to = { e->area[k], sizeof(evil) };
		unsigned char before[8];

		if (area_writable(e->at.role, variant->call, k) || try_read(e->area[k]))
			continue;
		memcpy(before, e->area[k], 8);
		EXPECT_GT(0, pwrite(mem, evil, sizeof(evil), (uintptr_t)e->area[k])) {
			TH_LOG("area %d", k);
		}
		EXPECT_GT(0, process_vm_writev(getpid(), &from, 1, &to, 1, 0)) {
			TH_LOG("area %d", k);
		}
		EXPECT_EQ(0, memcmp(before, e->area[k], 8)) { TH_LOG("area %d", k); }
	}
	close(mem);
}

/* The file operations that an endpoint does not have. */
TEST_F(mapping, not_a_file)
{
	char buf[8] = { 0 };
	int fd = self->tx.fd;

	EXPECT_GT(0, read(fd, buf, sizeof(buf)));
	EXPECT_GT(0, write(fd, buf, sizeof(buf)));
	EXPECT_GT(0, ftruncate(fd, 0));
	EXPECT_GT(0, fallocate(fd, 0, 0, PAGE));
	EXPECT_GT(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	madvise(self->tx.area[MSGC_DATA], PAGE, MADV_REMOVE);
	madvise(self->tx.area[MSGC_DATA], PAGE, MADV_DONTNEED);
	madvise(self->tx.area[MSGC_DATA], PAGE, MADV_PAGEOUT);
	posix_fadvise(fd, 0, PAGE, POSIX_FADV_DONTNEED);
	fsync(fd);
	EXPECT_EQ(0, kick(fd) == -ENOTTY ? 0 : kick(fd));
}

/* What was written stays when the pages are given back, and shows in every mapping of the area. */
TEST_F(mapping, shared_and_kept)
{
	volatile unsigned char *p = self->tx.area[MSGC_DATA];
	struct msgc_area *a = &self->tx.at.area[MSGC_DATA];
	volatile unsigned char *second = map_area(self->tx.fd, a, PROT_READ | PROT_WRITE);

	ASSERT_NE(MAP_FAILED, second);
	p[100] = 42;
	EXPECT_EQ(42, second[100]);
	madvise((void *)p, a->size, MADV_DONTNEED);
	EXPECT_EQ(42, p[100]);
	munmap((void *)p, a->size);
	EXPECT_EQ(42, second[100]);
	EXPECT_EQ(42, self->rx.area[MSGC_DATA][100]);
	self->tx.area[MSGC_DATA] = (void *)second;
}

/* Fresh memory is zero, also where others have written before. */
TEST_F(mapping, zeroed)
{
	for (int round = 0; round < 3; round++) {
		unsigned char *p = self->tx.area[MSGC_DATA];
		__u64 size = self->tx.at.area[MSGC_DATA].size, n;

		for (n = 0; n < size && !p[n]; n++)
			;
		EXPECT_EQ(size, n);
		memset(p, 0xdd, size);
		ep_close(&self->tx);
		ASSERT_EQ(0, ep_sender(&self->tx, self->chan));
	}
}

/* A stride that never had an owner: SIGBUS. One that has had one, or has one: never. */
TEST_F(mapping, empty_strides)
{
	static const int windows[] = { MSGC_DATA, MSGC_PEER };

	for (int i = 0; i < 2; i++) {
		unsigned char *w = self->rx.area[windows[i]];
		__u64 s = self->rx.at.area[windows[i]].stride;

		EXPECT_EQ(0, try_read(w)) { TH_LOG("area %d", windows[i]); }
		EXPECT_EQ(SIGBUS, try_read(w + s)) { TH_LOG("area %d", windows[i]); }
		EXPECT_EQ(SIGBUS, try_read(w + 4 * s)) { TH_LOG("area %d", windows[i]); }
	}
}

static int child_reads(int sk, void *p)
{
	(void)sk;
	return try_read(p);
}

TEST_F(mapping, not_inherited)
{
	for_each_area(e, k, a) {
		struct kid kid;

		(void)a;
		kid = kid_start(child_reads, e->area[k]);
		EXPECT_EQ(SIGSEGV, kid_end(&kid, 0)) { TH_LOG("area %d", k); }
	}
}

/* ---- ring mode alone ---- */

FIXTURE(ring) {
	int chan;
	struct ep tx, rx;
};

FIXTURE_SETUP(ring)
{
	self->chan = create_private(CREATE(.max_senders = 4, .ring_max = 8192));
	ASSERT_EQ(0, ep_receiver(&self->rx, self->chan));
	ASSERT_EQ(0, ep_sender(&self->tx, self->chan));
}

FIXTURE_TEARDOWN(ring)
{
	ep_close(&self->rx);
	close(self->chan);
}

TEST_F(ring, mapped_twice)
{
	/* volatile: the compiler takes different addresses for different memory */
	volatile unsigned char *d = self->tx.area[MSGC_DATA], *w = self->rx.area[MSGC_DATA];

	for (unsigned int pos = 0; pos < 8192; pos += 512) {
		d[pos] = pos / 512 + 1;
		EXPECT_EQ(pos / 512 + 1, d[pos + 8192]);
		EXPECT_EQ(pos / 512 + 1, w[pos]);
		EXPECT_EQ(pos / 512 + 1, w[pos + 8192]);
	}
	/* a value that lies over the end */
	*(volatile __u64 *)(d + 8188) = 0x1122334455667788ULL;
	EXPECT_EQ(0x11223344, *(volatile __u32 *)d);
}

/*
 * A ring smaller than the channel's largest: beyond it the window has nothing, and nothing of
 * anybody else's.
 */
TEST_F(ring, smaller_ring_in_the_window)
{
	struct ep s;
	volatile unsigned char *w;

	ASSERT_EQ(0, ep_attach(&s, self->chan, ATTACH(.role = MSGC_SENDER, .ring = 4096)));
	w = self->rx.area[MSGC_DATA] + s.at.number * self->rx.at.area[MSGC_DATA].stride;
	s.area[MSGC_DATA][5] = 9;
	EXPECT_EQ(9, w[5]);
	EXPECT_EQ(9, w[4096 + 5]);
	EXPECT_EQ(0, w[8192]);
}

/*
 * Drained and left: the pages are taken from the receiver's windows, which then read as zeros, now
 * and on later faults.
 */
TEST_F(ring, zeros_after_revocation)
{
	volatile unsigned char *w = self->rx.area[MSGC_DATA];
	unsigned char *c = self->rx.area[MSGC_PEER];
	struct msgc_line *line = rx_line(&self->rx, 0);

	memset(self->tx.area[MSGC_DATA], 0xcc, 8192);
	EXPECT_EQ(0xcc, w[100]);
	EXPECT_EQ(0, detach(self->tx.fd));
	EXPECT_TRUE(until(line->state == MSGC_REVOKED || !line->id));
	EXPECT_TRUE(until(!w[100]));
	for (int pos = 0; pos < 2 * 8192; pos += 512)
		EXPECT_EQ(0, w[pos]);
	EXPECT_EQ(0, try_read(c));
	madvise((void *)w, 2 * 8192, MADV_DONTNEED);
	EXPECT_EQ(0, try_read((void *)(w + 4096)));
	EXPECT_EQ(0, w[4096]);
	ep_close(&self->tx);
}

/* A new owner of the index: its pages, not the zeros that were mapped before. */
TEST_F(ring, reused_index_shows_the_new_ring)
{
	volatile unsigned char *w = self->rx.area[MSGC_DATA];
	struct ep s[4];
	int n;

	ep_close(&self->tx);
	ASSERT_TRUE(until(rx_line(&self->rx, 0)->state != MSGC_LIVE));
	usleep(20000);
	EXPECT_EQ(0, try_read((void *)w));
	for (n = 0; n < 4; n++) {
		ASSERT_EQ(0, ep_sender(&s[n], self->chan));
		s[n].area[MSGC_DATA][0] = 0x40 + s[n].at.number;
	}
	for (n = 0; n < 4; n++)
		EXPECT_EQ(0x40 + n, w[n * self->rx.at.area[MSGC_DATA].stride]);
	for (n = 0; n < 4; n++)
		ep_close(&s[n]);
}

/*
 * Keeps a sender's mapping over fork, against the default: the child may write for as long as the
 * owner lives, and not after.
 */
static int heir(int sk, void *p)
{
	struct ep *s = p;

	tell(sk, try_write(s->area[MSGC_DATA] + 1000));
	hear(sk);		/* the owner is dead now */
	tell(sk, touch(s->area[MSGC_DATA] + 2000, 0x66));
	tell(sk, touch(s->area[MSGC_OWN] + MSGC_TAIL_AT(s->at.number), 0x66));
	tell(sk, s->area[MSGC_DATA][2000]);
	hear(sk);
	return 0;
}

struct legacy {
	int chan, to_heir;
};

static int testator(int sk, void *p)
{
	struct legacy *l = p;
	struct ep s;

	if (ep_sender(&s, l->chan))
		return 1;
	if (madvise(s.area[MSGC_DATA], s.at.area[MSGC_DATA].size, MADV_DOFORK) ||
	    madvise(s.area[MSGC_OWN], s.at.area[MSGC_OWN].size, MADV_DOFORK)) {
		tell(sk, -errno);
		return 0;
	}
	tx_send(&s, 5, "legacy", 7);
	if (!fork())
		_exit(heir(l->to_heir, &s));
	tell(sk, s.at.number);
	hear(sk);
	return 0;
}

TEST_F(ring, heirs_write_into_scratch)
{
	struct legacy l = { .chan = self->chan };
	const volatile unsigned char *w;
	struct kid k;
	int sk[2], n;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sk));
	l.to_heir = sk[1];
	k = kid_start(testator, &l);
	n = hear(k.sk);
	if (n == -EINVAL)
		SKIP(return, "this kernel lets nobody inherit such memory");
	ASSERT_GE(n, 0);
	w = rx_ring(&self->rx, n);
	EXPECT_EQ(0, hear(sk[0]));
	EXPECT_EQ(0x77, w[1000]);
	kid_end(&k, SIGKILL);
	ASSERT_TRUE(until(rx_line(&self->rx, n)->state == MSGC_DIED));
	tell(sk[0], 1);
	EXPECT_EQ(0, hear(sk[0]));
	EXPECT_EQ(0, hear(sk[0]));
	EXPECT_EQ(0x66, hear(sk[0]));
	EXPECT_EQ(0, w[2000]);
	EXPECT_EQ(span_of(7), rx_tail(&self->rx, n));
	EXPECT_EQ(5, rx_take(&self->rx, n)->type);
	tell(sk[0], 1);
	close(sk[0]);
}

/* The same for an evicted owner that writes on: it hits its own scratch, and no fault. */
TEST_F(ring, evicted_writer)
{
	unsigned char *d = self->tx.area[MSGC_DATA];
	const volatile unsigned char *w = rx_ring(&self->rx, 0);

	tx_send(&self->tx, 5, "kept", 5);
	EXPECT_EQ(0, evict(self->chan, self->tx.at.id));
	EXPECT_EQ(0, touch(d + 3000, 0x55));
	EXPECT_EQ(0, touch(d + 8192 + 4500, 0x55));
	tx_tail(&self->tx)->tail = 4096;
	EXPECT_EQ(0, w[3000]);
	EXPECT_EQ(0, w[4500]);
	EXPECT_EQ(span_of(5), rx_tail(&self->rx, 0));
	EXPECT_EQ(-ESHUTDOWN, kick(self->tx.fd));
	EXPECT_EQ(-ESHUTDOWN,
		  map_errno(self->tx.fd, self->tx.at.area[MSGC_DATA].offset,
			    self->tx.at.area[MSGC_DATA].size, PROT_READ | PROT_WRITE, MAP_SHARED));
	ep_close(&self->tx);
}

/*
 * The 32-bit way and mlockall: windows stay usable whatever is mapped of them, in any order,
 * unmapped in pieces.
 */
TEST_F(ring, split_and_move)
{
	struct msgc_area *a = &self->rx.at.area[MSGC_DATA];
	volatile unsigned char *one = mmap(NULL, a->stride, PROT_READ, MAP_SHARED, self->rx.fd,
					   a->offset),
			       *moved;

	ASSERT_NE(MAP_FAILED, one);
	self->tx.area[MSGC_DATA][4096] = 3;
	EXPECT_EQ(3, one[4096]);
	munmap((void *)one, PAGE);
	EXPECT_EQ(3, one[4096]);
	moved = mremap((void *)(one + PAGE), PAGE, PAGE, MREMAP_MAYMOVE);
	EXPECT_NE(MAP_FAILED, moved);
	EXPECT_EQ(3, moved[0]);
	EXPECT_EQ(MSGC_LIVE, rx_line(&self->rx, 0)->state);
	ep_unmap(&self->rx);
	EXPECT_EQ(0, kick(self->rx.fd));
	EXPECT_EQ(MSGC_LIVE, ep_line(&self->tx, self->rx.at.id)->state);
}

/* Every stride by itself, and some: then no more, be it by mmap or by splitting. */
TEST_F(ring, bounded)
{
	const struct msgc_area *a = &self->rx.at.area[MSGC_STATUS];
	unsigned int most = 64 + 2 * self->rx.at.max_senders, n = 0;
	unsigned char *p[1024], *last;

	ep_unmap(&self->rx);
	while (n < 1024 && (p[n] = map_area(self->rx.fd, a, PROT_READ)) != MAP_FAILED)
		n++;
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(most, n);
	EXPECT_EQ(0, munmap(p[--n], a->size));
	last = map_area(self->rx.fd, &self->rx.at.area[MSGC_DATA], PROT_READ);
	ASSERT_NE(MAP_FAILED, last);
	EXPECT_EQ(-1, munmap(last, PAGE));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(-1, mprotect(last + PAGE, PAGE, PROT_NONE));
	EXPECT_EQ(0, munmap(p[--n], a->size));
	EXPECT_EQ(0, munmap(last, PAGE));
	p[n] = map_area(self->rx.fd, a, PROT_READ);
	EXPECT_NE(MAP_FAILED, p[n]);
	EXPECT_EQ(MAP_FAILED, map_area(self->rx.fd, a, PROT_READ));
}

static void *reader(void *p)
{
	struct ep *r = p;
	long seen = 0;

	for (__u32 n = 0; READ_ONCE(r->seq) == 0; n = (n + 1) % 4)
		if (!touch((unsigned char *)rx_ring(r, n) + (seen++ / 4 % 4) * PAGE, -1))
			sched_yield();
	return (void *)seen;
}

/*
 * Fault and revocation race, many times: a stale byte of a departed sender must never be read
 * after the revocation, be it mapped before (every other time) or while that goes on.
 */
TEST_F(ring, fault_against_revocation)
{
	pthread_t t;

	ASSERT_EQ(0, pthread_create(&t, NULL, reader, &self->rx));
	for (int round = 0; round < 60; round++) {
		const volatile unsigned char *first;
		struct ep s;

		ASSERT_EQ(0, ep_sender(&s, self->chan));
		memset(s.area[MSGC_DATA], 0xbb, 8192);
		first = rx_ring(&self->rx, s.at.number);
		if (round % 2)
			EXPECT_EQ(0xbb, *first);
		ep_close(&s);
		ASSERT_TRUE(until(*first != 0xbb)) { TH_LOG("round %d", round); }
	}
	WRITE_ONCE(self->rx.seq, 1);
	pthread_join(t, NULL);
}

/*
 * ATTACH whose answer cannot be written, while a peer looks at the stride: nothing is left of it,
 * and nobody has seen it.
 */
TEST_F(ring, attach_without_answer)
{
	struct msgc_attach *at =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	__u64 before = ep_status(&self->rx)->senders;
	pthread_t t;

	*at = ATTACH(.role = MSGC_SENDER);
	mprotect(at, PAGE, PROT_READ);
	ASSERT_EQ(0, pthread_create(&t, NULL, reader, &self->rx));
	for (int round = 0; round < 100; round++)
		EXPECT_EQ(-EFAULT, cmd(self->chan, MSGC_ATTACH, at));
	WRITE_ONCE(self->rx.seq, 1);
	pthread_join(t, NULL);
	EXPECT_EQ(before, ep_status(&self->rx)->senders);
	EXPECT_EQ(before, info(self->chan).senders);
	ep_close(&self->tx);
	for (int n = 0; n < 4; n++) {
		struct ep s;

		EXPECT_TRUE(until(!ep_sender(&s, self->chan))) { TH_LOG("sender %d", n); }
	}
}

TEST_HARNESS_MAIN
