// SPDX-License-Identifier: MIT
/*
 * A file through a ring channel, in records of mixed sizes:
 *
 *	stream send CHANNEL FILE
 *	stream recv CHANNEL FILE [PAUSE]
 *
 * Each record's cookie is its offset in the file, and an empty record of another type marks the
 * end. So a receiver that follows one which was killed writes what it gets a second time over the
 * same place, and knows whether anything is missing. PAUSE: microseconds to sit on each batch,
 * for those who want to watch.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"

#define BATCH 16

enum { DATA, END };	/* ipc_msg.type */

struct file {
	const char *name;
	int fd;
	uint64_t size;
};

static struct file open_file(const char *name, int flags)
{
	struct file f = { .name = name, .fd = open(name, flags | O_CLOEXEC, 0644) };
	struct stat st;

	if (f.fd < 0 || fstat(f.fd, &st))
		die(errno, "%s", name);
	f.size = (uint64_t)st.st_size;
	return f;
}

/* ---- sending ---- */

/* 1 byte to 256 KiB, as many of each power of two; the same sequence every time. */
static uint32_t next_size(void)
{
	static uint32_t x = 2463534242;

	/* xorshift, by G. Marsaglia */
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return 1 + (x >> 8) % (1u << x % 19);
}

static void read_all(const struct file *f, char *to, size_t len, uint64_t from)
{
	while (len) {
		ssize_t n = pread(f->fd, to, len, (off_t)from);

		if (n <= 0)
			die(n ? errno : 0, "%s: cannot read at %" PRIu64, f->name, from);
		to += n;
		from += (uint64_t)n;
		len -= (size_t)n;
	}
}

/* Straight from the file into the ring: that is where the receiver will read it. */
static void send_record(struct ipc_endpoint *ep, const struct file *f, struct ipc_msg *m,
			uint32_t len)
{
	int err = ipc_reserve(ep, m, len, limit());

	if (err)
		die_of(ep, err, "reserve");
	read_all(f, m->data, len, m->cookie);
	err = ipc_commit(ep, m);
	if (!err)
		err = ipc_publish(ep);
	if (err)
		die_of(ep, err, "publish");
}

static void send_file(struct ipc_endpoint *ep, const struct file *f)
{
	struct ipc_msg m = { .type = DATA };
	uint64_t records = 0;
	int err;

	while (m.cookie < f->size) {
		uint64_t left = f->size - m.cookie;
		uint32_t len = next_size();

		if (len > left)
			len = (uint32_t)left;
		send_record(ep, f, &m, len);
		m.cookie += len;
		records++;
	}
	m.type = END;
	send_record(ep, f, &m, 0);
	err = ipc_drain(ep, limit());
	if (err)
		die_of(ep, err, "drain");
	printf("sent and acknowledged: %" PRIu64 " records, %" PRIu64 " bytes\n", records, f->size);
}

/* ---- receiving ---- */

struct received {
	uint64_t records, bytes, redelivered;
	uint64_t next;		/* the offset that is due */
	bool started, ended;
};

static void write_all(const struct file *f, const char *from, size_t len, uint64_t to)
{
	while (len) {
		ssize_t n = pwrite(f->fd, from, len, (off_t)to);

		if (n < 0)
			die(errno, "%s: cannot write at %" PRIu64, f->name, to);
		from += n;
		to += (uint64_t)n;
		len -= (size_t)n;
	}
}

/*
 * A first record may lie anywhere in what a predecessor has written, the others follow one
 * another: everything else is a loss.
 */
static void expect(const struct received *r, const struct file *f, const struct ipc_msg *m)
{
	if (m->missed)
		die(0, "%" PRIu64 " records are missing before offset %" PRIu64, m->missed,
		    m->cookie);
	if (r->started ? m->cookie != r->next : m->cookie > f->size)
		die(0, "a record of offset %" PRIu64 " where %" PRIu64 " was due", m->cookie,
		    r->started ? r->next : f->size);
}

static void take(struct received *r, const struct file *f, const struct ipc_msg *m)
{
	expect(r, f, m);
	write_all(f, m->data, m->len, m->cookie);
	r->next = m->cookie + m->len;
	r->started = true;
	r->redelivered += !!(m->flags & IPC_F_REDELIVERED);
	if (m->type == END) {
		r->ended = true;
		return;
	}
	r->records++;
	r->bytes += m->len;
}

static void receive_file(struct ipc_endpoint *ep, const struct file *f, useconds_t pause)
{
	struct received r = { 0 };
	struct ipc_msg m[BATCH];
	int n, err;

	while ((n = ipc_recv(ep, m, BATCH, limit())) > 0) {
		for (int i = 0; i < n; i++)
			take(&r, f, &m[i]);
		if (pause)
			usleep(pause);
		err = ipc_release(ep, m, (unsigned int)n);
		if (err)
			die_of(ep, err, "release");
	}
	if (n != -EPIPE)
		die_of(ep, n, "receive");
	if (!r.ended)
		die(0, "the stream ended at %" PRIu64 ", without its end mark", r.next);
	printf("received: %" PRIu64 " records, %" PRIu64 " bytes; %" PRIu64 " redelivered\n",
	       r.records, r.bytes, r.redelivered);
}

int main(int argc, char **argv)
{
	struct ipc_endpoint *ep;
	struct file f;

	if (argc == 4 && !strcmp(argv[1], "send")) {
		f = open_file(argv[3], O_RDONLY);
		ep = join(argv[2], IPC_SENDER);
		send_file(ep, &f);
	} else if ((argc == 4 || argc == 5) && !strcmp(argv[1], "recv")) {
		f = open_file(argv[3], O_WRONLY | O_CREAT);
		ep = join(argv[2], IPC_RECEIVER);
		receive_file(ep, &f, argc == 5 ? (useconds_t)strtoul(argv[4], NULL, 10) : 0);
	} else {
		fprintf(stderr, "usage: stream send|recv CHANNEL FILE [PAUSE]\n");
		return 2;
	}
	ipc_detach(ep);
	close(f.fd);
	return 0;
}
