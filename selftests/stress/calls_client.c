// SPDX-License-Identifier: MIT
/*
 * calls_client.c - a process with many client endpoints: calls of every kind, given up in every
 * way, each with a cookie of its own. It believes nothing: an answer has to be the one for its
 * cookie, an outcome has to be one that this call can have, and none may change afterwards.
 */
#include <sched.h>

#include "calls.h"

static struct end_point endpoint[MOST_ENDPOINTS];
static struct flight flight[MOST_ENDPOINTS * SLOTS], *flying[FLIGHTS];
static unsigned int n_flying, most_flying;
static uint64_t random_state;
static unsigned int self, life;
static bool urgent;			/* a real-time process */
static bool by_ring;			/* most of its commands, the rest by ioctl */

static uint32_t below(uint32_t n)
{
	return random_below(&random_state, n);
}

static struct msgc_request *request_of(const struct flight *f)
{
	return (struct msgc_request *)(f->ep->area[MSGC_OWN] + sizeof(struct msgc_own)) + f->slot;
}

static const struct msgc_done *line_of(const struct flight *f)
{
	return (const struct msgc_done *)f->ep->area[MSGC_INBOX] + f->slot;
}

/* State, outcome and event are one word; who has seen it sees the rest. */
static struct msgc_done read_line(const struct flight *f)
{
	const struct msgc_done *line = line_of(f);
	uint64_t head = __atomic_load_n((const uint64_t *)line, __ATOMIC_ACQUIRE);
	struct msgc_done copy = *line;

	memcpy(&copy, &head, sizeof(head));
	return copy;
}

static struct fate *fate_of(const struct flight *f)
{
	return &world->fate[f->cookie];
}

/* ---- what it is told ---- */

static const unsigned char *reply_of(const struct flight *f)
{
	return f->ep->area[MSGC_PEER] + f->slot * PAGE;
}

static void check_reply(const struct flight *f, const struct msgc_done *line,
			const unsigned char *reply)
{
	uint32_t by = atomic_load(&fate_of(f)->by);

	if (!atomic_load(&fate_of(f)->answered))
		FAIL("call %u: an answer that nobody gave", f->cookie);
	if (line->status != status_of(f->cookie) || line->type != by ||
	    line->len != reply_len(f->cookie, by) || line->format != (uint8_t)f->cookie)
		FAIL("call %u: not its answer: status %d, by %u, not %u", f->cookie, line->status,
		     line->type, by);
	if (!has_words(reply, seed_of(2 + by, f->cookie), line->len))
		FAIL("call %u: its answer is changed", f->cookie);
}

static enum end judge_maybe(const struct flight *f, int32_t status)
{
	switch (status) {
	case -ETIMEDOUT:	return MAYBE_IN_TIME;
	case -ECANCELED:	return MAYBE_CANCELED;
	case -EHOSTDOWN:	return MAYBE_NO_SERVER;
	case -EOWNERDEAD:	return MAYBE_DIED;
	}
	FAIL("call %u: perhaps executed, status %d", f->cookie, status);
	return NOT_TOLD;
}

static enum end judge_never(const struct flight *f, int32_t status)
{
	if (atomic_load(&fate_of(f)->seen))
		FAIL("call %u: not executed, but a server has it", f->cookie);
	switch (status) {
	case -ETIMEDOUT:	return NEVER_IN_TIME;
	case -ECANCELED:	return NEVER_CANCELED;
	case -EHOSTDOWN:	return NEVER_NO_SERVER;
	}
	FAIL("call %u: not executed, status %d", f->cookie, status);
	return NOT_TOLD;
}

static enum end judge(const struct flight *f, const struct msgc_done *line,
		      const unsigned char *reply)
{
	if (line->outcome == MSGC_O_NOT_EXECUTED)
		return judge_never(f, line->status);
	if (line->outcome == MSGC_O_MAYBE)
		return judge_maybe(f, line->status);
	EXPECT(line->outcome == MSGC_O_DONE);
	if (f->flags & MSGC_ONEWAY) {
		EXPECT(!line->status && !line->len);
		return SENT;
	}
	check_reply(f, line, reply);
	return ANSWERED;
}

/* Is that an end that this call can have had? */
static void check_reason(const struct flight *f, enum end how)
{
	bool in_time = how == NEVER_IN_TIME || how == MAYBE_IN_TIME;
	bool canceled = how == NEVER_CANCELED || how == MAYBE_CANCELED;

	if (in_time && (f->deadline == MSGC_FOREVER || ipc_in(0) < f->deadline))
		FAIL("call %u: timed out before its deadline", f->cookie);
	/* A one-way message that was queued again is withdrawn although it has its outcome. */
	if (canceled != f->canceled && !(how == SENT && f->canceled))
		FAIL("call %u: canceled or not? outcome %d", f->cookie, how);
	if (how == NEVER_NO_SERVER || how == MAYBE_NO_SERVER)
		EXPECT(f->flags & MSGC_NEED_SERVER);
	if (how == MAYBE_DIED)
		EXPECT(!(now->flags & MSGC_REDELIVER) || now->attempts);
}

void note_end(const struct flight *f, const struct msgc_done *line, const unsigned char *reply)
{
	enum end how;

	if (line->cookie != f->cookie)
		FAIL("call %u: the outcome of call %llu", f->cookie, line->cookie);
	how = judge(f, line, reply);
	check_reason(f, how);
	atomic_store(&fate_of(f)->told, how);
	atomic_fetch_add(&shared->progress, 1);
}

static void land(struct flight *f)
{
	unsigned int i = 0;

	while (flying[i] != f)
		i++;
	flying[i] = flying[--n_flying];
	f->flying = false;
}

/* Of a call by io_uring: it is in its slot, and no longer in a queue of io_uring's. */
static bool has_begun(const struct flight *f)
{
	return read_line(f).cookie == f->cookie;
}

/* The line has an outcome: it is the end, and is noted. */
static void told(struct flight *f, const struct msgc_done *line)
{
	note_end(f, line, reply_of(f));
	f->outcome = line->outcome;
	f->status = line->status;
	if (below(2))
		__atomic_store_n(&request_of(f)->handled, line->event, __ATOMIC_RELAXED);
	land(f);
}

/* True: it has an outcome. Told of it is who knows whether he has canceled it. */
static bool look(struct flight *f)
{
	struct msgc_done line = read_line(f);

	if (line.outcome && !f->in_ring)
		told(f, &line);
	return line.outcome;
}

/* ---- what it does ---- */

static long call(const struct flight *f, uint16_t *flags, uint64_t deadline)
{
	struct msgc_call arg = { .slot = f->slot, .flags = *flags, .deadline = deadline };
	long ret;

	waiting_fd = f->ep->fd;
	ret = command(f->ep->fd, MSGC_CALL, &arg);
	waiting_fd = -1;
	*flags = arg.flags;
	return ret;
}

/* The slot is still a server's: what was told stays, and the slot is not to be had. */
static void try_too_early(struct flight *f)
{
	uint16_t flags = MSGC_ASYNC;
	long ret;

	request_of(f)->len = PAGE + 1;		/* refused, should the server let go just now */
	ret = call(f, &flags, MSGC_FOREVER);
	if (ret != -EBUSY && ret != -EMSGSIZE)
		FAIL("a call in a slot that a server has: %ld", ret);
	atomic_fetch_add(&world->refused_reuse, ret == -EBUSY);
}

/* True: it is the client's again. What it was told last has not changed since. */
static bool is_free(struct flight *f)
{
	struct msgc_done line = read_line(f);

	if (f->in_ring)
		return false;
	if (f->cookie && (line.outcome != f->outcome || line.status != f->status))
		FAIL("call %u: told %u, %d, and later %u, %d", f->cookie, f->outcome, f->status,
		     line.outcome, line.status);
	if (line.state != MSGC_IDLE) {
		if (!below(4))
			try_too_early(f);
		return false;
	}
	if (f->cookie && atomic_load(&fate_of(f)->told) == ANSWERED)
		check_reply(f, &line, reply_of(f));
	return true;
}

static uint16_t random_flags(void)
{
	return (below(4) ? 0 : MSGC_ONEWAY) | (below(2) ? MSGC_ASYNC : 0) |
	       (below(4) ? 0 : MSGC_NEED_SERVER);
}

uint64_t call_deadline(void)
{
	switch (below(8)) {
	case 0:
	case 1:
	case 2:		return ipc_in(below(20000000));
	case 3:		return MSGC_FOREVER;
	default:	return below(8) ? MS(20000) : 1;	/* long ago */
	}
}

static void write_request(const struct flight *f)
{
	uint32_t len = request_len(f->cookie);

	*request_of(f) = (struct msgc_request){
		.len = len, .room = PAGE, .type = life, .format = (uint8_t)f->cookie,
		.cookie = f->cookie, .handled = request_of(f)->handled,
	};
	write_words(f->ep->area[MSGC_DATA] + f->slot * PAGE, seed_of(1, f->cookie), len);
}

void note_call(const struct flight *f)
{
	struct fate *fate = fate_of(f);

	atomic_store(&fate->oneway, !!(f->flags & MSGC_ONEWAY));
	atomic_store(&fate->life, life);
}

static void fly(struct flight *f)
{
	f->flying = true;
	flying[n_flying++] = f;
}

/* Nothing was done. */
static void refused(struct flight *f, enum end how)
{
	EXPECT(how != REFUSED || f->flags & MSGC_NEED_SERVER);
	atomic_store(&fate_of(f)->told, how);
	land(f);
	f->cookie = 0;
}

static void after_call(struct flight *f, long ret, uint16_t flags)
{
	die_if_doomed(self, AFTER_CALL);
	if (ret == -EHOSTDOWN)
		refused(f, REFUSED);
	else if (f->flags & MSGC_ASYNC)
		EXPECT(ret == 0);
	else if (ret == -EINTR)
		EXPECT(flags & MSGC_RESUME);
	else if (ret != f->slot || !look(f))
		FAIL("call %u: returns %ld without an outcome", f->cookie, ret);
}

static void give_call(struct flight *f, enum verb what, const struct msgc_call *arg,
		      enum begins begins)
{
	f->in_ring++;
	f->waited_for |= !(arg->flags & MSGC_ASYNC);
	give(what, (uint32_t)(f - flight), f->ep->fd, MSGC_CALL, arg, begins);
}

static void call_by_ring(struct flight *f)
{
	struct msgc_call arg = { .slot = f->slot, .flags = f->flags, .deadline = f->deadline };

	atomic_fetch_add(&world->calls, 1);
	give_call(f, CALL, &arg, below(8) ? AT_ONCE : IN_WORKER);
	die_if_doomed(self, AFTER_CALL);
}

static void call_as(struct flight *f, uint32_t cookie, uint16_t flags, uint64_t deadline)
{
	long ret;

	f->cookie = cookie;
	f->canceled = false;
	f->flags = flags;
	f->deadline = deadline;
	write_request(f);
	note_call(f);
	fly(f);
	if (by_ring && room_in_ring() && below(8)) {
		call_by_ring(f);
		return;
	}
	ret = call(f, &flags, f->deadline);
	after_call(f, ret, flags);
}

/* False: there are no more calls to make. */
static bool call_anew(struct flight *f)
{
	uint32_t cookie = atomic_fetch_add(&world->cookies, 1);

	if (cookie >= n_calls)
		return false;
	call_as(f, cookie, random_flags(), call_deadline());
	return true;
}

static void cancel(struct flight *f)
{
	struct msgc_cancel arg = {
		.slot = below(2) ? f->slot : 0xffff, .cookie = f->cookie,
	};
	long ret = command(f->ep->fd, MSGC_CANCEL, &arg);

	EXPECT(ret == 0 || ret == -ENOENT);
	f->canceled |= ret == 0;
	if (!look(f))
		FAIL("call %u: CANCEL returned %ld, no outcome", f->cookie, ret);
}

static long resume(struct flight *f, uint64_t deadline)
{
	uint16_t flags = MSGC_RESUME | (f->flags & MSGC_ONEWAY);
	long ret = call(f, &flags, deadline);
	bool over = ret == -EINTR || (ret == -EAGAIN && deadline == MSGC_NOW) ||
		    (ret == -ETIMEDOUT && deadline != MSGC_NOW);

	atomic_fetch_add(&world->resumed, 1);
	if (ret == -EBUSY && f->in_ring)
		return ret;			/* another command waits for it */
	if (ret != f->slot && !over)
		FAIL("call %u: RESUME returns %ld", f->cookie, ret);
	if (!look(f) && ret == f->slot)
		FAIL("call %u: RESUME returns without an outcome", f->cookie);
	return ret;
}

static void attend(struct flight *f)
{
	switch (below(8)) {
	case 0:
		cancel(f);
		break;
	case 1:
		resume(f, MSGC_NOW);
		break;
	case 2:
	case 3:
		look(f);
		break;
	default:
		resume(f, ipc_in(below(5000000)));
		break;
	}
}

/* ---- by io_uring ---- */

static void call_ended(struct flight *f, const struct command_end *end)
{
	bool is_async = end->what == CALL && f->flags & MSGC_ASYNC;

	f->waited_for &= is_async;	/* by a RESUME, perhaps */
	if (end->what == CALL && end->res == -EHOSTDOWN)
		refused(f, REFUSED);
	else if (end->res == -ECANCELED && !has_begun(f))
		refused(f, NOT_BEGUN);
	else if (end->res == -EINTR)
		atomic_fetch_add(&world->interrupted, 1);
	else if (!has_begun(f))
		FAIL("call %u: command %u says %d, but it is not there", f->cookie, end->what,
		     end->res);
	else if (end->what == RESUME && (end->res == -ETIMEDOUT || end->res == -EAGAIN))
		return;
	else if (end->what == RESUME && end->res == -EBUSY && ring_has_thread())
		return;				/* it came while we waited by ioctl */
	else if (end->res != (is_async ? 0 : f->slot) && end->res != -ECANCELED)
		FAIL("call %u: command %u says %d", f->cookie, end->what, end->res);
	else if (!is_async && end->res >= 0 && !look(f))
		FAIL("call %u: command %u ends without an outcome", f->cookie, end->what);
}

/* It says so whatever it canceled: the call may have ended before, or not have been begun. */
static void cancel_ended(struct flight *f, int32_t res)
{
	EXPECT(res == 0 || res == -ENOENT);
	EXPECT(res || f->flying);
	f->canceled |= !res;
}

static void reap_ring(void)
{
	struct command_end end;

	while (next_end(&end)) {
		struct flight *f = &flight[end.of];

		f->in_ring--;
		if (end.what == CANCEL)
			cancel_ended(f, end.res);
		else
			call_ended(f, &end);
		if (f->flying)
			look(f);
	}
}

static void await_ring(uint64_t ns)
{
	wait_in_ring(flight[below(now->endpoints * SLOTS)].ep->fd, ns);
	reap_ring();
}

static void cancel_by_ring(struct flight *f)
{
	struct msgc_cancel arg = {
		.slot = below(2) ? f->slot : 0xffff, .cookie = f->cookie,
	};

	f->in_ring++;
	give(CANCEL, (uint32_t)(f - flight), f->ep->fd, MSGC_CANCEL, &arg, AT_ONCE);
}

static void resume_by_ring(struct flight *f)
{
	struct msgc_call arg = {
		.slot = f->slot, .flags = MSGC_RESUME | (f->flags & MSGC_ONEWAY),
		.deadline = below(4) ? ipc_in(below(20000000)) : below(2) ? MSGC_FOREVER : MSGC_NOW,
	};

	atomic_fetch_add(&world->resumed, 1);
	give_call(f, RESUME, &arg, AT_ONCE);
}

/* Its command went with the ring: soon nothing waits for the call, which goes on. */
static void recover(struct flight *f)
{
	uint64_t deadline = MS(30000);

	while (resume(f, MSGC_NOW) == -EBUSY) {
		if (ipc_in(0) > deadline)
			FAIL("call %u: its ring has gone, and something still waits", f->cookie);
		usleep(1000);
	}
	f->in_ring = 0;
	f->waited_for = false;
	look(f);
}

/* Only where all that is in it waits: it will be known then what became of it. */
static void close_ring(void)
{
	struct command_end gone[MOST_GIVEN];
	unsigned int n;

	hand_in();
	await_ring(0);
	for (unsigned int i = 0; i < n_flying; i++)
		if (flying[i]->in_ring && !has_begun(flying[i]))
			return;
	n = replace_ring(gone);
	while (n--) {
		EXPECT(gone[n].what == CALL || gone[n].what == RESUME);
		recover(&flight[gone[n].of]);
	}
}

/* By ioctl beside the command that waits in the ring, too. */
static void attend_by_ring(struct flight *f)
{
	bool has_room = room_in_ring() && f->in_ring < 3;

	switch (below(8)) {
	case 0:
		if (has_room)
			cancel_by_ring(f);
		break;
	case 1:
		hunt_one();
		break;
	case 2:
		if (has_begun(f))
			attend(f);
		break;
	case 3:
	case 4:
		if (!f->waited_for && has_room && has_begun(f))
			resume_by_ring(f);
		break;
	default:
		await_ring(below(5000000));
		break;
	}
	if (!below(128) && may_close_ring())
		close_ring();
}

/* ---- a life ---- */

/* False: no more calls are to be made. */
static bool step(void)
{
	struct flight *f = &flight[below(now->endpoints * SLOTS)];

	if (!below(32))
		pause_us(below(10000));		/* or servers would always be busy */
	else if (urgent)
		pause_us(below(1000));		/* or nobody else would run */
	if (n_flying && (n_flying == most_flying || below(2))) {
		(by_ring ? attend_by_ring : attend)(flying[below(n_flying)]);
		return true;
	}
	if (!f->flying && f->in_ring)
		await_ring(0);			/* it was refused, and then a CANCEL came */
	else if (!f->flying && is_free(f))
		return call_anew(f);
	sched_yield();
	return true;
}

static void finish(void)
{
	while (n_flying || in_ring()) {
		if (in_ring())
			await_ring(5000000);
		else
			resume(flying[0], shared->deadline);
	}
	for (unsigned int i = 0; i < now->endpoints * SLOTS; i++)
		while (!is_free(&flight[i]))
			usleep(1000);
}

/* When all is quiet: it comes to servers that wait, and nothing else makes them look. */
static void call_a_last_time(void)
{
	struct flight *f = &flight[0];

	call_as(f, n_calls + self, 0, MSGC_FOREVER);
	finish();
	if (atomic_load(&world->fate[n_calls + self].told) != ANSWERED)
		FAIL("call %u, the last of its client, is not answered", f->cookie);
}

/* Where servers inherit that, some are. */
static void become_urgent(void)
{
	struct sched_param p = { .sched_priority = (int)(1 + below(20)) };

	urgent = now->flags & MSGC_INHERIT && below(2);
	if (urgent)
		EXPECT(!sched_setscheduler(0, SCHED_FIFO, &p));
}

void make_calls(bool (*one)(void), void (*end)(void), void (*last)(void))
{
	while (atomic_load(&shared->attached) < now->clients * now->endpoints + now->servers)
		usleep(1000);
	while (!atomic_load(&shared->stop) && one())
		;
	end();
	while (!atomic_load(&shared->stop))
		usleep(1000);			/* it may still be killed */
	pause_us(below(100000));
	last();
}

void client(unsigned int me)
{
	self = me;
	life = begin_life(me, &random_state);
	if (now->rings && !below(4)) {
		batch_client(me, life, &random_state);
		return;
	}
	become_urgent();
	by_ring = now->rings && below(2);
	if (by_ring)
		open_ring(&random_state);
	most_flying = 1 + below(FLIGHTS);
	for (unsigned int i = 0; i < now->endpoints; i++) {
		join(&endpoint[i], MSGC_SENDER, 0, 0);
		for (uint16_t s = 0; s < SLOTS; s++)
			flight[i * SLOTS + s] = (struct flight){ .ep = &endpoint[i], .slot = s };
	}
	make_calls(step, finish, call_a_last_time);
	if (by_ring)
		leave_ring();
	for (unsigned int i = 0; i < now->endpoints; i++)
		leave(&endpoint[i]);
	if (by_ring)
		expect_gone();
}
