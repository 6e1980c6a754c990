// SPDX-License-Identifier: MIT
/*
 * Commands in an io_uring of the test's own: what ipc_prep_...() fills in, and that each, decoded,
 * is what the verb of the same name is. What a kernel before 6.7 cannot do is left out there.
 */
#include <liburing.h>
#include <stdio.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include <libipc_uring.h>
#include <linux/msgchan.h>

#include "common.h"

#define SLOT 4096u
#define SLOTS 2

static struct ipc_channel *ch;
static struct ipc_endpoint *client, *server;
static struct io_uring ring;
static bool parks;		/* commands may wait */

static void set_up(void)
{
	struct ipc_options opt = {
		.size = sizeof(opt), .mode = IPC_RENDEZVOUS, .request = SLOT, .reply = SLOT,
		.slots = SLOTS,
	};

	ch = channel(NULL, &opt);
	client = attach(ch, IPC_SENDER);
	server = attach(ch, IPC_RECEIVER);
	MUST(io_uring_queue_init(16, &ring, 0));
}

static void tear_down(void)
{
	io_uring_queue_exit(&ring);
	ipc_detach(client);
	ipc_detach(server);
	ipc_close(ch);
}

/* Its completion will be known by this tag. */
static struct io_uring_sqe *entry(uint64_t tag, int prepared)
{
	struct io_uring_sqe *sqe = &ring.sq.sqes[(ring.sq.sqe_tail - 1) & *ring.sq.kring_mask];

	CHECK(prepared >= 0);
	CHECK_EQ(sqe->user_data, 0);
	CHECK_EQ(sqe->flags, 0);
	sqe->user_data = tag;
	return sqe;
}

static struct io_uring_sqe *get(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe)
		MUST(-EBUSY);
	memset(sqe, 0xa5, sizeof(*sqe));	/* what was there does not matter */
	return sqe;
}

static void submit(int n)
{
	CHECK_EQ(io_uring_submit(&ring), n);
}

/* The completion that comes next; -ETIME: none comes. */
static int next(uint64_t *tag, int ms)
{
	struct __kernel_timespec ts = {
		.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L,
	};
	struct io_uring_cqe *cqe;
	int ret = io_uring_wait_cqe_timeout(&ring, &cqe, &ts);

	if (ret < 0)
		return ret;
	ret = cqe->res;
	*tag = cqe->user_data;
	io_uring_cqe_seen(&ring, cqe);
	return ret;
}

static int result_of(uint64_t expected)
{
	uint64_t tag = 0;
	int ret = next(&tag, 20000);

	CHECK_EQ(tag, expected);
	return ret;
}

static bool quiet(void)
{
	uint64_t tag;

	return next(&tag, 20) == -ETIME;
}

/* ---- the entries ---- */

struct sqe_bytes {
	unsigned char byte[64];
};

static struct sqe_bytes expected_sqe(int fd, uint32_t command, const void *arg)
{
	struct sqe_bytes b = { { 0 } };

	b.byte[0] = 46;				/* IORING_OP_URING_CMD */
	memcpy(&b.byte[4], &fd, 4);
	memcpy(&b.byte[8], &command, 4);
	memcpy(&b.byte[48], arg, 16);
	return b;
}

#define CHECK_SQE(sqe, ep, command, ...)						\
	do {										\
		struct sqe_bytes want = expected_sqe(ipc_fd(ep), command, &(__VA_ARGS__)); \
											\
		CHECK(!memcmp(&(sqe), &want, sizeof(want)));				\
		memset(&(sqe), 0xa5, sizeof(sqe));					\
	} while (0)

/* All 64 bytes of each. */
static void entries(void)
{
	struct ipc_msg req = { .cookie = 5, .flags = IPC_F_NEED_SERVER }, m;
	struct io_uring_sqe sqe;
	uint64_t when = LONG;
	int call;

	set_up();
	memset(&sqe, 0xa5, sizeof(sqe));
	CHECK_EQ(ipc_prep_wait(&sqe, client, IPC_IN | IPC_OUT, when), 0);
	CHECK_SQE(sqe, client, MSGC_WAIT, (struct msgc_wait){ 5, -1, when });
	CHECK_EQ(ipc_prep_cancel(&sqe, client, 9), 0);
	CHECK_SQE(sqe, client, MSGC_CANCEL, (struct msgc_cancel){ .slot = 0xffff, .cookie = 9 });
	CHECK_EQ(ipc_prep_recv(&sqe, server, when), 0);
	CHECK_SQE(sqe, server, MSGC_RECV, (struct msgc_recv){ .deadline = when });
	call = ipc_prep_call(&sqe, client, &req, when);
	CHECK_EQ(call, 0);
	CHECK_SQE(sqe, client, MSGC_CALL, (struct msgc_call){
		  .flags = MSGC_NEED_SERVER, .deadline = when });
	CHECK_EQ(ipc_cqe_call(client, call, -ECANCELED, &m), -ECANCELED);
	CHECK_EQ(m.outcome, IPC_NOT_EXECUTED);		/* it was never submitted */
	CHECK_EQ(m.cookie, 5);
	CHECK_EQ(ipc_cqe_call(client, call, 0, &m), -ENOENT);
	req.flags = 0;
	call = ipc_prep_send(&sqe, client, &req, when);
	CHECK_SQE(sqe, client, MSGC_CALL, (struct msgc_call){
		  .flags = MSGC_ONEWAY, .deadline = when });
	CHECK_EQ(ipc_cqe_call(client, call, -ECANCELED, &m), -ECANCELED);

	CHECK_EQ(ipc_start(client, &req, when), 0);
	CHECK_EQ(ipc_prep_resume(&sqe, client, 1, when), -ENOENT);
	CHECK_EQ(ipc_prep_resume(&sqe, client, 0, when), 0);
	CHECK_SQE(sqe, client, MSGC_CALL, (struct msgc_call){
		  .flags = MSGC_RESUME, .deadline = when });
	CHECK_EQ(ipc_recv(server, &m, 1, LONG), 1);
	CHECK_EQ(ipc_prep_reply(&sqe, server, &m, 3, -4), 0);
	CHECK_SQE(sqe, server, MSGC_REPLY, (struct msgc_reply){ m.priv[0], 3, -4 });
	CHECK_EQ(ipc_prep_reply_recv(&sqe, server, &m, 3, -4, when), 0);
	CHECK_SQE(sqe, server, MSGC_REPLY_RECV, (struct msgc_reply){ m.priv[0], 3, -4 });
	tear_down();
}

/* An entry that could not be prepared is as it was. */
static void refused(void)
{
	struct ipc_msg req = { .len = SLOT + 1 }, m;
	struct io_uring_sqe sqe, before;

	set_up();
	memset(&sqe, 0xa5, sizeof(sqe));
	before = sqe;
	CHECK_EQ(ipc_prep_call(&sqe, client, &req, LONG), -EMSGSIZE);
	req.len = 0;
	CHECK_EQ(ipc_prep_call(&sqe, client, &req, IPC_NOW), -EINVAL);
	CHECK_EQ(ipc_prep_call(&sqe, server, &req, LONG), -ENOTTY);
	CHECK_EQ(ipc_prep_recv(&sqe, client, LONG), -ENOTTY);
	CHECK_EQ(ipc_prep_claim(&sqe, client, 1, LONG), -ENOTTY);
	CHECK_EQ(ipc_prep_kick(&sqe, client), -ENOTTY);
	CHECK_EQ(ipc_start(client, &req, LONG), 0);
	CHECK_EQ(ipc_start(client, &req, LONG), 0);
	CHECK_EQ(ipc_prep_call(&sqe, client, &req, LONG), -EBUSY);
	CHECK_EQ(ipc_recv(server, &m, 1, LONG), 1);
	CHECK_EQ(ipc_prep_reply(&sqe, server, &m, SLOT + 1, 0), -EMSGSIZE);
	CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);
	CHECK_EQ(ipc_prep_reply(&sqe, server, &m, 0, 0), -ENOENT);
	CHECK_EQ(ipc_prep_reply_recv(&sqe, server, &m, 0, 0, LONG), -ENOENT);
	CHECK(!memcmp(&sqe, &before, sizeof(sqe)));
	tear_down();
}

/* ---- commands that do not wait: on every kernel ---- */

static void at_once(void)
{
	struct ipc_msg req = { .data = "hello", .len = 5, .cookie = 3 }, m, rep;

	set_up();
	entry(1, ipc_prep_recv(get(), server, IPC_NOW));
	submit(1);
	CHECK_EQ(ipc_cqe_recv(server, result_of(1), &m), -EAGAIN);
	CHECK_EQ(ipc_start(client, &req, LONG), 0);
	entry(2, ipc_prep_recv(get(), server, LONG));
	submit(1);
	CHECK_EQ(ipc_cqe_recv(server, result_of(2), &m), 1);
	CHECK_EQ(m.len, 5);
	CHECK(!memcmp(m.data, "hello", 5));
	CHECK_EQ(m.cookie, 3);
	memcpy(m.reply, "HELLO!", 6);
	m.type = 8;
	entry(3, ipc_prep_reply(get(), server, &m, 6, 42));
	submit(1);
	CHECK_EQ(ipc_cqe_reply(server, &m, result_of(3)), 0);
	CHECK(!m.data && !m.reply);
	entry(4, ipc_prep_wait(get(), client, IPC_IN, LONG));
	submit(1);
	CHECK_EQ(ipc_cqe_wait(client, result_of(4)), IPC_IN);
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
	CHECK_EQ(rep.result, 42);
	CHECK_EQ(rep.type, 8);
	CHECK(rep.len == 6 && !memcmp(rep.data, "HELLO!", 6));
	CHECK_EQ(ipc_release(client, &rep, 1), 0);

	entry(5, ipc_prep_cancel(get(), client, 3));
	submit(1);
	CHECK_EQ(result_of(5), -ENOENT);
	CHECK_EQ(ipc_start(client, &req, LONG), 0);
	entry(6, ipc_prep_cancel(get(), client, 3));
	submit(1);
	CHECK_EQ(result_of(6), 0);
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
	CHECK_EQ(rep.result, -ECANCELED);
	tear_down();
}

/* The next request is there already: one command for both. */
static void answer_and_next(void)
{
	struct ipc_msg req = { .cookie = 1 }, m, rep[2];

	set_up();
	CHECK_EQ(ipc_start(client, &req, LONG), 0);
	req.cookie = 2;
	CHECK_EQ(ipc_start(client, &req, LONG), 0);
	CHECK_EQ(ipc_recv(server, &m, 1, LONG), 1);
	entry(1, ipc_prep_reply_recv(get(), server, &m, 0, 7, LONG));
	submit(1);
	CHECK_EQ(ipc_cqe_reply_recv(server, &m, result_of(1), &m), 1);
	CHECK_EQ(m.cookie, 2);
	CHECK(m.data);
	CHECK_EQ(ipc_collect(client, rep, 2, LONG), 1);
	CHECK_EQ(rep[0].cookie, 1);
	CHECK_EQ(rep[0].result, 7);
	tear_down();
}

/* ---- commands that would wait, before 6.7 ---- */

/* Nothing is done by halves. */
static void do_not_wait(void)
{
	struct ipc_msg req = { .cookie = 1 }, m, rep;
	int call;

	set_up();
	entry(1, ipc_prep_recv(get(), server, LONG));
	submit(1);
	CHECK_EQ(ipc_cqe_recv(server, result_of(1), &m), -EAGAIN);
	call = ipc_prep_call(get(), client, &req, LONG);
	entry(2, call);
	submit(1);
	CHECK_EQ(ipc_cqe_call(client, call, result_of(2), &rep), -EOPNOTSUPP);
	CHECK_EQ(rep.outcome, IPC_NOT_EXECUTED);
	CHECK_EQ(ipc_start(client, &req, LONG), 0);
	entry(3, ipc_prep_resume(get(), client, call, LONG));
	submit(1);
	CHECK_EQ(ipc_cqe_call(client, call, result_of(3), &rep), -EAGAIN);
	CHECK_EQ(rep.outcome, IPC_NONE);
	CHECK_EQ(ipc_recv(server, &m, 1, LONG), 1);
	entry(4, ipc_prep_reply_recv(get(), server, &m, 0, 0, LONG));
	submit(1);
	CHECK_EQ(ipc_cqe_reply_recv(server, &m, result_of(4), &rep), -EOPNOTSUPP);
	CHECK(m.data);					/* it did not go out */
	CHECK_EQ(ipc_reply(server, &m, 0, 3), 0);
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
	CHECK_EQ(rep.result, 3);
	tear_down();
}

/* ---- commands that wait ---- */

/* On every kernel a worker waits, if one is asked for. */
static void in_a_worker(void)
{
	struct ipc_msg req = { .cookie = 1 }, m;

	set_up();
	entry(1, ipc_prep_recv(get(), server, LONG))->flags |= IOSQE_ASYNC;
	submit(1);
	CHECK(quiet());
	CHECK_EQ(ipc_start(client, &req, LONG), 0);
	CHECK_EQ(ipc_cqe_recv(server, result_of(1), &m), 1);
	CHECK_EQ(m.cookie, 1);
	tear_down();
}

static void round_trip(void)
{
	struct ipc_msg req = { .data = "ping", .len = 4, .cookie = 9 }, m = { 0 }, rep;
	int call;

	set_up();
	entry(1, ipc_prep_recv(get(), server, IPC_FOREVER));
	submit(1);
	CHECK(quiet());
	call = ipc_prep_call(get(), client, &req, LONG);
	entry(2, call);
	submit(1);
	CHECK_EQ(ipc_cqe_recv(server, result_of(1), &m), 1);
	CHECK_EQ(m.cookie, 9);
	memcpy(m.reply, "pong", 4);
	entry(3, ipc_prep_reply_recv(get(), server, &m, 4, 5, IPC_FOREVER));
	submit(1);
	CHECK_EQ(ipc_cqe_call(client, call, result_of(2), &rep), 0);
	CHECK_EQ(rep.outcome, IPC_DONE);
	CHECK_EQ(rep.result, 5);
	CHECK_EQ(rep.cookie, 9);
	CHECK(rep.len == 4 && !memcmp(rep.data, "pong", 4));
	CHECK_EQ(ipc_release(client, &rep, 1), 0);
	CHECK_EQ(ipc_cqe_call(client, call, 0, &rep), -ENOENT);	/* once */

	call = ipc_prep_send(get(), client, &req, LONG);
	entry(4, call);
	submit(1);
	CHECK_EQ(ipc_cqe_reply_recv(server, &m, result_of(3), &m), 1);
	CHECK(m.flags & IPC_F_ONEWAY);
	CHECK_EQ(ipc_release(server, &m, 1), 0);
	CHECK_EQ(ipc_cqe_call(client, call, result_of(4), &rep), 0);
	CHECK(rep.flags & IPC_F_ONEWAY && !rep.data);
	tear_down();
}

static void how_calls_end(void)
{
	struct ipc_msg req = { .cookie = 1 }, m, rep;
	int call;

	set_up();
	call = ipc_prep_call(get(), client, &req, MS(30));
	entry(1, call);
	submit(1);
	CHECK_EQ(ipc_cqe_call(client, call, result_of(1), &rep), -ETIMEDOUT);
	CHECK_EQ(rep.outcome, IPC_NOT_EXECUTED);
	call = ipc_prep_call(get(), client, &req, LONG);
	entry(2, call);
	submit(1);
	CHECK_EQ(ipc_recv(server, &m, 1, LONG), 1);
	entry(3, ipc_prep_cancel(get(), client, 1));
	submit(1);
	for (int i = 0; i < 2; i++) {			/* in any order */
		uint64_t tag = 0;
		int res = next(&tag, 20000);

		if (tag == 3)
			CHECK_EQ(res, 0);
		else
			CHECK_EQ(ipc_cqe_call(client, call, res, &rep), -ECANCELED);
	}
	CHECK_EQ(rep.outcome, IPC_MAYBE);
	CHECK_EQ(ipc_reply(server, &m, 0, 0), 0);

	/* An interruption ends the command, not the call. */
	call = ipc_prep_call(get(), client, &req, LONG);
	entry(4, call);
	submit(1);
	CHECK_EQ(ipc_recv(server, &m, 1, LONG), 1);
	CHECK_EQ(ipc_interrupt(client), 0);
	CHECK_EQ(ipc_cqe_call(client, call, result_of(4), &rep), -EINTR);
	CHECK_EQ(rep.outcome, IPC_NONE);
	CHECK_EQ(ipc_prep_resume(get(), client, call, MS(30)), call);
	entry(5, call);
	submit(1);
	CHECK_EQ(ipc_cqe_call(client, call, result_of(5), &rep), -ETIMEDOUT);
	CHECK_EQ(rep.outcome, IPC_NONE);		/* the waiting, not the call */
	entry(6, ipc_prep_resume(get(), client, call, LONG));
	submit(1);
	CHECK_EQ(ipc_reply(server, &m, 0, 8), 0);
	CHECK_EQ(ipc_cqe_call(client, call, result_of(6), &rep), 0);
	CHECK_EQ(rep.result, 8);
	tear_down();
}

static void servers_wait(void)
{
	struct ipc_msg m;

	set_up();
	entry(1, ipc_prep_recv(get(), server, MS(30)));
	submit(1);
	CHECK_EQ(ipc_cqe_recv(server, result_of(1), &m), -ETIMEDOUT);
	entry(2, ipc_prep_recv(get(), server, LONG));
	submit(1);
	CHECK_EQ(ipc_interrupt(server), 0);
	CHECK_EQ(ipc_cqe_recv(server, result_of(2), &m), -EINTR);
	entry(3, ipc_prep_wait(get(), server, IPC_IN, MS(30)));
	submit(1);
	CHECK_EQ(ipc_cqe_wait(server, result_of(3)), -ETIMEDOUT);
	entry(4, ipc_prep_recv(get(), server, LONG));
	submit(1);
	ipc_detach(server);
	CHECK_EQ(result_of(4), -ESHUTDOWN);
	server = NULL;
	tear_down();
}

/* A reply without a next request: it has gone out, whatever ends the waiting. */
static void answer_and_nothing(void)
{
	struct ipc_msg req = { .cookie = 1 }, m, next_one;
	int bad;

	set_up();
	CHECK_EQ(ipc_start(client, &req, LONG), 0);
	CHECK_EQ(ipc_recv(server, &m, 1, LONG), 1);
	entry(1, ipc_prep_reply_recv(get(), server, &m, 0, 7, MS(30)));
	submit(1);
	CHECK_EQ(ipc_cqe_reply_recv(server, &m, result_of(1), &next_one), -ETIMEDOUT);
	CHECK(!m.data);
	CHECK_EQ(ipc_collect(client, &m, 1, IPC_NOW), 1);
	CHECK_EQ(m.result, 7);
	CHECK_EQ(ipc_release(client, &m, 1), 0);

	CHECK_EQ(ipc_start(client, &req, LONG), 0);
	CHECK_EQ(ipc_recv(server, &m, 1, LONG), 1);
	bad = open("/dev/null", O_RDONLY);
	CHECK_EQ(ipc_set_fds(&m, &bad, 1), 0);
	close(bad);
	entry(2, ipc_prep_reply_recv(get(), server, &m, 0, 7, LONG));
	submit(1);
	CHECK_EQ(ipc_cqe_reply_recv(server, &m, result_of(2), &next_one), -EBADF);
	CHECK(m.data);					/* it did not go out */
	CHECK_EQ(ipc_set_fds(&m, NULL, 0), 0);
	next_one = m;
	entry(2, ipc_prep_reply_recv(get(), server, &m, 0, 7, LONG));
	CHECK_EQ(ipc_reply(server, &next_one, 0, 9), 0);	/* somebody was faster */
	submit(1);
	CHECK_EQ(ipc_cqe_reply_recv(server, &m, result_of(2), &next_one), -ENOENT);
	tear_down();
}

/* ---- a ring that goes ---- */

/* With a call in it, and a request that nobody saw the server being given. */
static void lost_ring(void)
{
	struct ipc_msg req = { .cookie = 4 }, m, rep;
	struct io_uring_cqe *cqe;
	int call, given;

	set_up();
	entry(1, ipc_prep_recv(get(), server, LONG));
	call = ipc_prep_call(get(), client, &req, LONG);
	entry(2, call);
	submit(2);
	CHECK_EQ(io_uring_wait_cqe(&ring, &cqe), 0);		/* of RECV: not looked at */
	given = cqe->res;
	io_uring_queue_exit(&ring);
	CHECK_EQ(ipc_recv(server, &m, 1, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_cqe_recv(server, -ECANCELED, &m), -ECANCELED);
	CHECK_EQ(ipc_recv(server, &m, 1, IPC_NOW), 1);
	CHECK_EQ(m.cookie, 4);
	CHECK_EQ(ipc_cqe_recv(server, given, &rep), -EAGAIN);	/* seen after all: not twice */
	CHECK_EQ(ipc_cqe_call(client, call, -ECANCELED, &rep), -ECANCELED);
	CHECK_EQ(rep.outcome, IPC_NONE);
	CHECK_EQ(ipc_reply(server, &m, 0, 6), 0);
	CHECK_EQ(ipc_recv(server, &m, 1, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_collect(client, &rep, 1, LONG), 1);
	CHECK_EQ(rep.cookie, 4);
	CHECK_EQ(rep.result, 6);
	MUST(io_uring_queue_init(16, &ring, 0));
	tear_down();
}

/* ---- rings ---- */

static struct ipc_endpoint *sender, *receiver;

static void set_up_ring(uint32_t delivery, uint32_t held)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_RECEIVER, .held = held };
	struct ipc_options opt = {
		.size = sizeof(opt), .mode = IPC_RING, .delivery = delivery,
		.ring_max = 4096,
	};

	ch = channel(NULL, &opt);
	MUST(ipc_attach(ch, &how, &receiver));
	sender = attach(ch, IPC_SENDER);
	MUST(io_uring_queue_init(16, &ring, 0));
}

static void tear_down_ring(void)
{
	io_uring_queue_exit(&ring);
	ipc_detach(sender);
	ipc_detach(receiver);
	ipc_close(ch);
}

static void commit(uint64_t cookie)
{
	struct ipc_msg m = { .cookie = cookie };

	MUST(ipc_reserve(sender, &m, 0, IPC_NOW));
	m.cookie = cookie;
	CHECK_EQ(ipc_commit(sender, &m), 0);
}

static void *wait_for_one(void *arg)
{
	struct ipc_msg m;

	(void)arg;
	CHECK_EQ(ipc_recv(receiver, &m, 1, LONG), 1);
	CHECK_EQ(m.cookie, 1);
	CHECK_EQ(ipc_release(receiver, &m, 1), 0);
	return NULL;
}

/* Who sleeps is woken by the entry; when nobody does, it is none. */
static void kicks(void)
{
	struct msgc_none none = { { 0 } };
	struct io_uring_sqe *sqe;
	struct ipc_msg m;
	pthread_t t;
	int ret;

	set_up_ring(IPC_EXCLUSIVE, 0);
	CHECK_EQ(ipc_recv(receiver, &m, 1, MS(10)), -ETIMEDOUT);
	t = thread(wait_for_one, NULL);
	nap(200);
	commit(1);
	sqe = get();
	ret = ipc_prep_kick(sqe, sender);
	CHECK(ret >= 0);			/* 0: that thread has not begun to sleep */
	if (ret == 1) {
		struct sqe_bytes want = expected_sqe(ipc_fd(sender), MSGC_KICK, &none);

		CHECK(!memcmp(sqe, &want, sizeof(want)));
	}
	submit(1);
	CHECK_EQ(result_of(0), 0);
	pthread_join(t, NULL);
	sqe = get();
	CHECK_EQ(ipc_prep_kick(sqe, sender), 0);	/* nothing was committed */
	CHECK_EQ(sqe->opcode, IORING_OP_NOP);
	submit(1);
	CHECK_EQ(result_of(0), 0);
	tear_down_ring();
}

static void claims(void)
{
	struct io_uring_sqe *sqe;
	struct ipc_msg m[4];

	set_up_ring(IPC_BALANCED, 0);
	for (uint64_t n = 1; n <= 3; n++)
		commit(n);
	CHECK_EQ(ipc_publish(sender), 0);
	sqe = get();
	CHECK_EQ(ipc_prep_claim(sqe, receiver, 0, LONG), -EINVAL);
	entry(1, ipc_prep_claim(sqe, receiver, 2, LONG));
	CHECK_EQ(ipc_recv(receiver, m, 4, IPC_NOW), -EBUSY);
	submit(1);
	CHECK_EQ(ipc_cqe_claim(receiver, result_of(1)), 2);
	CHECK_EQ(ipc_cqe_claim(receiver, 2), -ENOENT);
	sqe = get();
	CHECK_EQ(ipc_prep_claim(sqe, receiver, 2, LONG), -EBUSY);	/* not received yet */
	CHECK_EQ(ipc_recv(receiver, m, 4, IPC_NOW), 2);
	CHECK_EQ(m[0].cookie, 1);
	CHECK_EQ(m[1].cookie, 2);
	CHECK_EQ(ipc_prep_claim(sqe, receiver, 2, LONG), -EBUSY);	/* borrowed */
	CHECK_EQ(ipc_release(receiver, m, 2), 0);

	/* Never submitted: what was released is still to be released, and not given again. */
	CHECK_EQ(ipc_prep_claim(sqe, receiver, 2, LONG), 0);
	CHECK_EQ(ipc_cqe_claim(receiver, -ECANCELED), -ECANCELED);
	entry(2, ipc_prep_claim(sqe, receiver, 4, LONG));
	submit(1);
	CHECK_EQ(ipc_cqe_claim(receiver, result_of(2)), 1);
	CHECK_EQ(ipc_recv(receiver, m, 4, IPC_NOW), 1);
	CHECK_EQ(m[0].cookie, 3);
	CHECK_EQ(ipc_release(receiver, m, 1), 0);
	CHECK_EQ(ipc_recv(receiver, m, 4, IPC_NOW), -EAGAIN);
	CHECK_EQ(ipc_drain(sender, IPC_NOW), 0);			/* nor held for ever */
	tear_down_ring();
}

/* Many times round the ring, so that each entry and each byte is released and used again. */
static void claim_many(uint32_t held)
{
	struct ipc_msg m;

	set_up_ring(IPC_BALANCED, held);
	for (uint64_t n = 1; n <= 1000; n++) {
		entry(n, ipc_prep_claim(get(), receiver, 1, LONG));
		submit(1);
		commit(n);
		CHECK_EQ(ipc_publish(sender), 0);
		CHECK_EQ(ipc_cqe_claim(receiver, result_of(n)), 1);
		CHECK_EQ(ipc_recv(receiver, &m, 1, IPC_NOW), 1);
		CHECK_EQ(m.cookie, n);
		CHECK_EQ(ipc_release(receiver, &m, 1), 0);
		if (atomic_load(&tap_failed))
			break;
	}
	tear_down_ring();
}

static void claims_that_wait(void)
{
	claim_many(0);
	claim_many(1);			/* the entry just released is given again */
}

/* ---- */

static uint64_t features(void)
{
	struct msgc_features f = { .size = sizeof(f) };
	int fd = open("/dev/msgchan", O_RDWR);

	MUST(ioctl(fd, MSGC_FEATURES, &f));
	close(fd);
	return f.features;
}

int main(void)
{
	parks = features() & MSGC_F_URING;
	RUN(entries);
	RUN(refused);
	RUN(at_once);
	RUN(kicks);
	RUN(claims);
	RUN(in_a_worker);
	if (!parks)
		RUN(do_not_wait);
	if (parks) {
		RUN(answer_and_next);
		RUN(round_trip);
		RUN(how_calls_end);
		RUN(servers_wait);
		RUN(answer_and_nothing);
		RUN(lost_ring);
		RUN(claims_that_wait);
	}
	return tap_done();
}
