// SPDX-License-Identifier: MIT
/* calls_batch.c - a client that makes its calls in a batch of the library's, by either way. */
#include "calls.h"

static struct ipc_endpoint *endpoint[MOST_ENDPOINTS];
static struct ipc_batch *batch;
static struct flight flight[FLIGHTS];
static unsigned int self, life, way, most_flying;
static uint64_t *random_state;

static uint32_t below(uint32_t n)
{
	return random_below(random_state, n);
}

static struct ipc_endpoint *any_endpoint(void)
{
	return endpoint[below(now->endpoints)];
}

/* ---- how calls end ---- */

static struct flight *flight_of(uint64_t cookie)
{
	for (unsigned int i = 0; i < FLIGHTS; i++)
		if (flight[i].flying && flight[i].cookie == cookie)
			return &flight[i];
	FAIL("call %lu ends, and is not in the batch", (unsigned long)cookie);
	return NULL;
}

/* Cancelling was asked for, perhaps too late. */
static void ended(struct ipc_done *d)
{
	struct flight *f = flight_of(d->msg.cookie);
	struct msgc_done line = {
		.cookie = d->msg.cookie, .outcome = (uint8_t)d->msg.outcome,
		.status = d->msg.result, .len = d->msg.len, .type = d->msg.type,
		.format = d->msg.format,
	};

	EXPECT(d->msg.outcome != IPC_NONE && !d->error == (d->msg.outcome == IPC_DONE));
	f->canceled &= d->error == -ECANCELED;
	note_end(f, &line, d->msg.data);
	f->flying = false;
	if (!d->error)
		EXPECT(!ipc_release(d->ep, &d->msg, 1));
}

/* Done, or an error that says: later, or never mind. */
static void expect_one_of(int ret)
{
	if (ret < 0 && ret != -ENOENT && ret != -EAGAIN && ret != -ETIMEDOUT && ret != -EINTR &&
	    ret != -EBUSY)
		FAIL("a batch: %s", ipc_strerror(ret));
}

/* A signal may INTERRUPT an endpoint, which is no concern of a batch. False: it is empty. */
static bool reap_some(uint64_t deadline)
{
	struct ipc_done done[4];
	int n;

	waiting_fd = ipc_fd(any_endpoint());
	n = ipc_batch_reap(batch, done, 1 + below(4), deadline);
	waiting_fd = -1;
	expect_one_of(n);
	for (int i = 0; i < n; i++)
		ended(&done[i]);
	return n != -ENOENT;
}

/* ---- calls ---- */

/* Slots may all be in the batch, or a server's still. */
static void add(const struct flight *f)
{
	uint64_t words[PAGE / 8];
	struct ipc_msg m = {
		.data = words, .len = request_len(f->cookie), .type = life,
		.format = (uint8_t)f->cookie, .cookie = f->cookie,
		.flags = f->flags & MSGC_NEED_SERVER ? IPC_F_NEED_SERVER : 0,
	};
	int err;

	write_words((unsigned char *)words, seed_of(1, f->cookie), m.len);
	while ((err = ipc_batch_call(batch, any_endpoint(), &m, f->deadline))) {
		EXPECT(err == -EBUSY || err == -EAGAIN);
		if (!reap_some(ipc_in(1000000)))
			usleep(1000);
	}
	atomic_fetch_add(&world->batched[way - IPC_BATCH_URING], 1);
}

static void call_as(struct flight *f, uint32_t cookie, uint16_t flags, uint64_t deadline)
{
	*f = (struct flight){ .cookie = cookie, .flags = flags, .deadline = deadline };
	note_call(f);
	f->flying = true;
	add(f);
	if (below(2))				/* else with the next ones, or when it is reaped */
		expect_one_of(ipc_batch_submit(batch));
	die_if_doomed(self, AFTER_CALL);
}

static void cancel(struct flight *f)
{
	int err = -ENOENT;

	for (unsigned int i = 0; i < now->endpoints && err == -ENOENT; i++)
		err = ipc_batch_cancel(batch, endpoint[i], f->cookie);
	EXPECT(!err || err == -ENOENT);
	f->canceled |= !err;
}

/* False: there are no more calls to make. */
static bool step(void)
{
	struct flight *f = &flight[below(most_flying)];
	uint32_t cookie;

	if (!below(32))
		pause_us(below(10000));
	if (f->flying) {
		if (below(8))
			reap_some(below(4) ? ipc_in(below(5000000)) : IPC_NOW);
		else
			cancel(f);
		return true;
	}
	cookie = atomic_fetch_add(&world->cookies, 1);
	if (cookie >= n_calls)
		return false;
	call_as(f, cookie, below(4) ? 0 : MSGC_NEED_SERVER, call_deadline());
	return true;
}

static void finish(void)
{
	while (reap_some(ipc_in(50000000)))
		if (!below(8))
			expect_one_of(ipc_batch_wait(batch, FLIGHTS, ipc_in(50000000)));
}

static void call_a_last_time(void)
{
	call_as(&flight[0], n_calls + self, 0, IPC_FOREVER);
	finish();
	if (atomic_load(&world->fate[n_calls + self].told) != ANSWERED)
		FAIL("call %u, the last of its client, is not answered", n_calls + self);
}

/* ---- a life ---- */

static void attach_all(void)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_SENDER };
	int err;

	for (unsigned int i = 0; i < now->endpoints; i++) {
		/* Places of the dead become free a little later. */
		while ((err = ipc_attach(ch, &how, &endpoint[i])) == -EUSERS &&
		       ipc_in(0) < shared->deadline)
			usleep(1000);
		if (err)
			FAIL("attach: %s", ipc_strerror(err));
		atomic_fetch_add(&shared->attached, 1);
	}
}

static void open_batch(void)
{
	struct ipc_batch_options opt = { .size = sizeof(opt), .capacity = most_flying };
	int err;

	way = below(2) ? IPC_BATCH_URING : IPC_BATCH_POLL;
	opt.way = way;
	err = ipc_batch_open(&opt, &batch);
	if (err)
		FAIL("no batch: %s", ipc_strerror(err));
}

void batch_client(unsigned int me, unsigned int its_life, uint64_t *random)
{
	self = me;
	life = its_life;
	random_state = random;
	most_flying = 1 + below(FLIGHTS);
	attach_all();
	open_batch();
	make_calls(step, finish, call_a_last_time);
	ipc_batch_close(batch);
	for (unsigned int i = 0; i < now->endpoints; i++)
		ipc_detach(endpoint[i]);
	expect_gone();
}
