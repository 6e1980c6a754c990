// SPDX-License-Identifier: MIT
/*
 * Case batch: 32 calls and their answers, to one server: one after the other by ioctl; all at a
 * time by io_uring, on both sides; and by io_uring as messages over a pair of AF_UNIX sockets.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libipc_uring.h>

#include "batch.h"
#include "rounds.h"

/* Of the present run. */
static struct ipc_channel *channel;
static int sockets_fd[2];

struct way {
	const char *name;
	unsigned int batch;
	void (*client)(struct process *me);
	void (*server)(struct process *me);
};

static uint64_t all_calls(const struct rounds *r)
{
	return all_rounds(r) * CALLS;
}

/* ---- by ioctl ---- */

static void one_by_one(void *with, uint64_t number)
{
	struct ipc_endpoint *ep = with;

	call_each(&ep, 1, number * CALLS);
}

static void ioctl_client(struct process *me)
{
	struct ipc_endpoint *ep = calls_endpoint(channel, IPC_SENDER);

	make_rounds(me, one_by_one, ep);
	ipc_detach(ep);
}

struct serving {
	struct process *me;
	uint64_t warm_up;		/* calls still to come before it is measured */
};

static void answer_counted(void *with, struct ipc_msg *msg)
{
	struct serving *s = with;

	if (!s->warm_up--)
		start(s->me);
	answer(msg);
}

static void ioctl_server(struct process *me)
{
	const struct rounds *r = me->job;
	struct ipc_endpoint *ep = calls_endpoint(channel, IPC_RECEIVER);
	struct serving s = { me, r->warm_up * CALLS };

	meet(me);
	serve_calls(ep, all_calls(r), SIZE, answer_counted, &s);
	stop(me);
	meet(me);
	ipc_detach(ep);
}

/* ---- by io_uring ---- */

struct batcher {
	struct ipc_batch *batch;
	struct ipc_endpoint *ep;
};

static void as_batch(void *with, uint64_t number)
{
	const struct batcher *by = with;

	call_batch(by->batch, &by->ep, 1, number * CALLS);
}

static void uring_client(struct process *me)
{
	struct batcher by = { new_batch(), calls_endpoint(channel, IPC_SENDER) };

	make_rounds(me, as_batch, &by);
	ipc_batch_close(by.batch);
	ipc_detach(by.ep);
}

/* Answers one, and receives the next in its place; after the last ones nothing comes. */
static void serve_next(struct io_uring *ring, struct ipc_endpoint *ep, struct ipc_msg *msg,
		       uint64_t number, bool more)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	answer(msg);
	if (more)
		must(ep, ipc_prep_reply_recv(sqe, ep, msg, SIZE, 0, IPC_FOREVER), "reply_recv");
	else
		must(ep, ipc_prep_reply(sqe, ep, msg, SIZE, 0), "reply");
	sqe->user_data = number;
}

static void uring_server(struct process *me)
{
	const struct rounds *r = me->job;
	struct ipc_endpoint *ep = calls_endpoint(channel, IPC_RECEIVER);
	uint64_t taken = 0, replies = 0, all = all_calls(r);
	bool last[CALLS] = { false };
	struct ipc_msg msg[CALLS];
	struct io_uring ring;
	struct io_uring_cqe *cqe;

	open_ring(&ring);
	for (unsigned int i = 0; i < CALLS; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		msg[i] = (struct ipc_msg){ 0 };
		must(ep, ipc_prep_recv(sqe, ep, IPC_FOREVER), "recv");
		sqe->user_data = i;
	}
	io_uring_submit(&ring);
	meet(me);
	while (replies < CALLS) {
		int err = io_uring_submit_and_wait(&ring, 1);

		if (err < 0)
			die_errno(-err, "io_uring");
		while (!io_uring_peek_cqe(&ring, &cqe)) {
			uint64_t i = cqe->user_data;
			int32_t res = cqe->res;

			io_uring_cqe_seen(&ring, cqe);
			if (last[i]) {
				must(ep, ipc_cqe_reply(ep, &msg[i], res), "reply");
				replies++;
				continue;
			}
			must(ep, msg[i].data ? ipc_cqe_reply_recv(ep, &msg[i], res, &msg[i]) :
					       ipc_cqe_recv(ep, res, &msg[i]), "recv");
			if (taken++ == r->warm_up * CALLS)
				start(me);
			last[i] = taken > all - CALLS;
			serve_next(&ring, ep, &msg[i], i, !last[i]);
		}
	}
	stop(me);
	meet(me);
	io_uring_queue_exit(&ring);
	ipc_detach(ep);
}

/* ---- the same over sockets ---- */

struct sockets {
	struct io_uring ring;
	int fd;
	uint64_t in[CALLS][SIZE / 8], out[CALLS][SIZE / 8];
};

#define SENT	UINT64_MAX

static void recv_into(struct sockets *s, uint64_t i)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

	io_uring_prep_recv(sqe, s->fd, s->in[i], SIZE, 0);
	sqe->user_data = i;
}

static void send_from(struct sockets *s, uint64_t i)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);

	io_uring_prep_send(sqe, s->fd, s->out[i], SIZE, 0);
	sqe->user_data = SENT;
}

/* The next completion of a recv(), or SENT. */
static uint64_t next_of(struct sockets *s)
{
	struct io_uring_cqe *cqe;
	uint64_t i;

	if (io_uring_peek_cqe(&s->ring, &cqe)) {
		int err = io_uring_submit_and_wait(&s->ring, 1);

		if (err < 0 || io_uring_peek_cqe(&s->ring, &cqe))
			die("io_uring: nothing came");
	}
	if (cqe->res != (int)SIZE)
		die_errno(-cqe->res, "a message over sockets");
	i = cqe->user_data;
	io_uring_cqe_seen(&s->ring, cqe);
	return i;
}

static void over_sockets(void *with, uint64_t number)
{
	struct round round = { .first = number * CALLS };
	struct sockets *s = with;
	unsigned int left = 2 * CALLS;

	for (unsigned int i = 0; i < CALLS; i++) {
		fill_number(s->out[i], round.first + i);
		send_from(s, i);
		recv_into(s, i);
	}
	for (; left; left--) {
		uint64_t i = next_of(s);

		if (i != SENT)
			round_answered(&round, s->in[i], SIZE);
	}
}

static struct sockets *sockets_open(int end)
{
	struct sockets *s = calloc(1, sizeof(*s));

	if (!s)
		die_errno(ENOMEM, "sockets");
	open_ring(&s->ring);
	s->fd = sockets_fd[end];
	return s;
}

static void sockets_close(struct sockets *s)
{
	io_uring_queue_exit(&s->ring);
	free(s);
}

static void unix_client(struct process *me)
{
	struct sockets *s = sockets_open(0);

	make_rounds(me, over_sockets, s);
	sockets_close(s);
}

/* Its own answer to one has been sent when the client asks anew: a buffer is free by then. */
static void unix_server(struct process *me)
{
	const struct rounds *r = me->job;
	struct sockets *s = sockets_open(1);
	uint64_t taken = 0, sent = 0, all = all_calls(r);

	for (unsigned int i = 0; i < CALLS; i++)
		recv_into(s, i);
	io_uring_submit(&s->ring);
	meet(me);
	while (sent < all) {
		uint64_t i = next_of(s);

		if (i == SENT) {
			sent++;
			continue;
		}
		if (taken++ == r->warm_up * CALLS)
			start(me);
		fill_number(s->out[i], ~read_number(s->in[i], SIZE));
		send_from(s, i);
		if (taken <= all - CALLS)
			recv_into(s, i);
	}
	stop(me);
	meet(me);
	sockets_close(s);
}

/* ---- the case ---- */

static const struct way ways[] = {
	{ "msgchan-rendezvous", 1, ioctl_client, ioctl_server },
	{ "msgchan-uring", CALLS, uring_client, uring_server },
	{ "io-uring-unix", CALLS, unix_client, unix_server },
};

static void run(struct rounds *r)
{
	const struct way *way = r->how;

	channel = calls_channel(CALLS);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets_fd))
		die_errno(errno, "socketpair");
	run_rounds(r, way->client, way->server, 1);
	close(sockets_fd[0]);
	close(sockets_fd[1]);
	ipc_close(channel);
}

static void placement(bool two_cpus)
{
	struct rounds r[ARRAY_SIZE(ways)];

	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++)
		r[i] = (struct rounds){
			.record = {
				.name = "batch", .transport = ways[i].name, .size = SIZE,
				.peers = 2, .batch = ways[i].batch, .two_cpus = two_cpus,
			},
			.how = &ways[i], .run = run, .ops = CALLS,
		};
	measure_rounds(r, ARRAY_SIZE(ways));
}

void case_batch(void)
{
	if (!batches_offered()) {
		say("batch: no commands by io_uring here");
		return;
	}
	placement(false);
	if (!settings.instructions)
		placement(true);
}
