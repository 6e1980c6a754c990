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

#define MOST	20000U		/* rounds of a run */

struct job {
	const struct way *way;
	bool two_cpus;
	struct ipc_channel *channel;
	int fd[2];
	uint64_t rounds, warm_up;
	uint64_t *samples;		/* of ticks(), a round each; shared */
	struct process process[2];	/* client and server */
};

struct way {
	const char *name;
	unsigned int batch;
	void (*client)(struct process *me);
	void (*server)(struct process *me);
};

/* ---- what every client does ---- */

static void make_rounds(struct process *me, void (*one)(void *with, uint64_t first), void *with)
{
	const struct job *job = me->job;
	uint64_t first = 0;

	meet(me);
	for (uint64_t i = 0; i < job->warm_up; i++, first += CALLS)
		one(with, first);
	start(me);
	for (uint64_t i = 0; i < job->rounds; i++, first += CALLS) {
		uint64_t begin = ticks();

		one(with, first);
		job->samples[i] = ticks() - begin;
	}
	stop(me);
	meet(me);
}

static uint64_t all_calls(const struct job *job)
{
	return (job->warm_up + job->rounds) * CALLS;
}

/* ---- by ioctl ---- */

static void one_by_one(void *with, uint64_t first)
{
	struct ipc_endpoint *ep = with;

	call_each(&ep, 1, first);
}

static void ioctl_client(struct process *me)
{
	const struct job *job = me->job;
	struct ipc_endpoint *ep = calls_endpoint(job->channel, IPC_SENDER);

	make_rounds(me, one_by_one, ep);
	ipc_detach(ep);
}

static void ioctl_server(struct process *me)
{
	const struct job *job = me->job;
	struct ipc_endpoint *ep = calls_endpoint(job->channel, IPC_RECEIVER);
	uint64_t served, all = all_calls(job);
	struct ipc_msg msg;

	meet(me);
	must(ep, ipc_recv(ep, &msg, 1, IPC_FOREVER), "recv");
	for (served = 0; served < all - 1; served++) {
		if (served == job->warm_up * CALLS)
			start(me);
		answer(&msg);
		must(ep, ipc_reply_recv(ep, &msg, SIZE, 0, &msg, IPC_FOREVER), "reply_recv");
	}
	answer(&msg);
	must(ep, ipc_reply(ep, &msg, SIZE, 0), "reply");
	stop(me);
	meet(me);
	ipc_detach(ep);
}

/* ---- by io_uring ---- */

struct batcher {
	struct ipc_batch *batch;
	struct ipc_endpoint *ep;
};

static void as_batch(void *with, uint64_t first)
{
	const struct batcher *by = with;

	call_batch(by->batch, &by->ep, 1, first);
}

static void uring_client(struct process *me)
{
	const struct job *job = me->job;
	struct batcher by = { new_batch(), calls_endpoint(job->channel, IPC_SENDER) };

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
	const struct job *job = me->job;
	struct ipc_endpoint *ep = calls_endpoint(job->channel, IPC_RECEIVER);
	uint64_t taken = 0, replies = 0, all = all_calls(job);
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
			if (taken++ == job->warm_up * CALLS)
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

static void over_sockets(void *with, uint64_t first)
{
	struct round round = { .first = first };
	struct sockets *s = with;
	unsigned int left = 2 * CALLS;

	for (unsigned int i = 0; i < CALLS; i++) {
		fill_number(s->out[i], first + i);
		send_from(s, i);
		recv_into(s, i);
	}
	for (; left; left--) {
		uint64_t i = next_of(s);

		if (i != SENT)
			round_answered(&round, s->in[i], SIZE);
	}
}

static struct sockets *sockets_open(const struct job *job, int end)
{
	struct sockets *s = calloc(1, sizeof(*s));

	if (!s)
		die_errno(ENOMEM, "sockets");
	open_ring(&s->ring);
	s->fd = job->fd[end];
	return s;
}

static void sockets_close(struct sockets *s)
{
	io_uring_queue_exit(&s->ring);
	free(s);
}

static void unix_client(struct process *me)
{
	struct sockets *s = sockets_open(me->job, 0);

	make_rounds(me, over_sockets, s);
	sockets_close(s);
}

/* Its own answer to one has been sent when the client asks anew: a buffer is free by then. */
static void unix_server(struct process *me)
{
	const struct job *job = me->job;
	struct sockets *s = sockets_open(job, 1);
	uint64_t taken = 0, sent = 0, all = all_calls(job);

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
		if (taken++ == job->warm_up * CALLS)
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

static uint64_t run(void *of, uint64_t rounds)
{
	struct job *job = of;

	job->rounds = rounds;
	job->warm_up = rounds / 8 + 1;
	job->channel = calls_channel(CALLS);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, job->fd))
		die_errno(errno, "socketpair");
	job->process[0] = (struct process){
		.cpu = SENDER_CPU, .body = job->way->client, .job = job,
	};
	job->process[1] = (struct process){
		.cpu = job->two_cpus ? RECEIVER_CPU : SENDER_CPU, .body = job->way->server,
		.job = job,
	};
	run_processes(job->process, 2);
	close(job->fd[0]);
	close(job->fd[1]);
	ipc_close(job->channel);
	return job->process[0].report.ns;
}

static void record(const struct job *job, unsigned int run_no, const char *metric, double value)
{
	write_record(&(struct record){
		.name = "batch", .transport = job->way->name, .size = SIZE, .peers = 2,
		.batch = job->way->batch, .two_cpus = job->two_cpus, .metric = metric,
		.value = value, .samples = job->rounds * CALLS, .run = run_no,
	});
}

static void report(struct job *job, unsigned int run_no)
{
	const struct report *c = &job->process[0].report, *s = &job->process[1].report;
	double calls = (double)(job->rounds * CALLS), ns;

	if (settings.count_syscalls) {
		record(job, run_no, "syscalls", (double)(c->syscalls + s->syscalls) / calls);
		return;
	}
	record(job, run_no, "switches", (double)(c->switches + s->switches) / calls);
	ns = (double)median(job->samples, job->rounds) / CALLS * (double)c->ns / (double)c->ticks;
	if (settings.instructions)
		record(job, run_no, "instructions", ns / 2);
	else
		record(job, run_no, "ns_p50", ns);
}

static void placement(bool two_cpus)
{
	struct job jobs[ARRAY_SIZE(ways)] = { 0 };

	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
		jobs[i] = (struct job){
			.way = &ways[i], .two_cpus = two_cpus,
			.samples = new_shared(MOST * sizeof(uint64_t)),
		};
		jobs[i].rounds = calibrate(run, &jobs[i], MOST);
	}
	for (unsigned int r = 0; r < settings.runs; r++)
		for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++) {
			if (two_cpus)
				run_quietly(run, &jobs[i], jobs[i].rounds);
			else
				run(&jobs[i], jobs[i].rounds);
			report(&jobs[i], r);
		}
	for (unsigned int i = 0; i < ARRAY_SIZE(ways); i++)
		free_shared(jobs[i].samples, MOST * sizeof(uint64_t));
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
