// SPDX-License-Identifier: MIT
/*
 * calls_server.c - a server that holds several calls, answers them in any order, and notes in
 * memory that outlives it what it has seen, and what it answers before it does.
 */
#include <sched.h>

#include "calls.h"

struct hold {
	long entry;
	uint64_t call;
	uint32_t cookie, number, slot, len;
	bool oneway;
};

static struct end_point ep;
static struct hold held[MOST_HELD];
static unsigned int n_held, self, life;
static uint64_t random_state;
static bool by_ring;			/* most of its commands, the rest by ioctl */
static unsigned int n_parked, most_parked;	/* RECVs and REPLY_RECVs in the ring */
static bool trusts;			/* what it has parked: it looks at nothing else */
static bool lost_some;			/* a ring has gone, and RECVs with it */
static uint64_t noted[MOST_HELD];	/* of each entry, the last call */

static uint32_t below(uint32_t n)
{
	return random_below(&random_state, n);
}

static struct msgc_held *line_of(long entry)
{
	return (struct msgc_held *)ep.area[MSGC_INBOX] + entry;
}

static const unsigned char *request_of(const struct hold *h)
{
	return ep.area[MSGC_DATA] + h->number * ep.at.area[MSGC_DATA].stride + h->slot * PAGE;
}

/* ---- taking ---- */

/* So many have had it before: they all died, or it would not be here. */
static void check_attempts(uint32_t cookie, const struct msgc_held *line, unsigned int before)
{
	bool again = line->flags & MSGC_M_REDELIVERED;

	if (line->attempts < before)
		FAIL("call %u: seen %u times, but attempt %u", cookie, before, line->attempts);
	EXPECT(again == !!line->attempts);
	EXPECT(!line->attempts || now->flags & MSGC_REDELIVER);
	EXPECT(!now->attempts || line->attempts <= now->attempts);
	atomic_fetch_add(&world->again, again);
}

static void check_request(const struct hold *h)
{
	if (!has_words(request_of(h), seed_of(1, h->cookie), h->len))
		FAIL("call %u: its request is changed", h->cookie);
}

/* The first thing that is done with a call is to note that it is here. */
static void note(long entry)
{
	const struct msgc_held *line = line_of(entry);
	uint32_t cookie = (uint32_t)line->cookie;
	struct fate *fate = &world->fate[cookie];
	struct hold *h = &held[n_held++];
	unsigned int before;

	die_if_doomed(self, AFTER_RECV);
	noted[entry] = line->call;
	if (line->cookie >= FATES || !atomic_load(&fate->life))
		FAIL("a call that nobody made: %llu", line->cookie);
	/* Told of its end already: that must have come since it was taken. */
	if (atomic_load(&fate->told) && !atomic_load(&fate->oneway))
		EXPECT(__atomic_load_n(&line->flags, __ATOMIC_ACQUIRE) & MSGC_M_GONE);
	before = atomic_fetch_add(&fate->seen, 1);
	die_if_doomed(self, AFTER_NOTE);
	*h = (struct hold){
		.entry = entry, .call = line->call, .cookie = cookie, .slot = line->slot,
		.number = MSGC_INDEX(line->client) - ep.at.max_receivers, .len = line->len,
		.oneway = line->flags & MSGC_M_ONEWAY,
	};
	EXPECT(h->oneway == atomic_load(&fate->oneway) && h->len == request_len(cookie));
	EXPECT((uint64_t)entry == (h->call & 0xffff) && line->format == (uint8_t)cookie);
	EXPECT(line->type == atomic_load(&fate->life));
	check_attempts(cookie, line, before);
	check_request(h);
}

/* A call is there, of which a completion was not seen, or has not been yet. */
static bool is_new(long entry)
{
	uint64_t call = __atomic_load_n(&line_of(entry)->call, __ATOMIC_ACQUIRE);

	return call && call != noted[entry];
}

/* Where commands were lost with a ring, another one's completion may come later than its call. */
static void take(long entry)
{
	if (is_new(entry)) {
		note(entry);
		atomic_fetch_sub(&world->receiving[self], 1);
	} else if (!lost_some) {
		FAIL("entry %ld is received once more", entry);
	}
}

static void after_receive(long ret)
{
	if (ret >= 0) {
		take(ret);
		return;
	}
	atomic_fetch_sub(&world->receiving[self], 1);
	if (ret == -EBUSY)
		atomic_fetch_add(&world->recv_busy, 1);
	else
		EXPECT(ret == -EAGAIN || ret == -ETIMEDOUT || ret == -EINTR);
	EXPECT(ret != -EBUSY || n_held == ep.at.held || by_ring);
}

static uint64_t random_deadline(void)
{
	return n_held ? (below(4) ? MSGC_NOW : ipc_in(below(1000000))) : ipc_in(below(50000000));
}

/* Of what waits in a ring, while its thread does something else. */
static uint64_t long_deadline(void)
{
	if (trusts)
		return MSGC_FOREVER;
	return below(4) ? MSGC_FOREVER : below(4) ? ipc_in(below(50000000)) : MSGC_NOW;
}

static void receive(void)
{
	struct msgc_recv arg = { .deadline = random_deadline() };
	long ret;

	atomic_fetch_add(&world->receiving[self], 1);
	waiting_fd = ep.fd;
	ret = command(ep.fd, MSGC_RECV, &arg);
	waiting_fd = -1;
	after_receive(ret);
}

/* ---- answering ---- */

static uint32_t write_answer(const struct hold *h)
{
	uint32_t len = reply_len(h->cookie, life);
	struct msgc_answer *head =
		(struct msgc_answer *)(ep.area[MSGC_OWN] + sizeof(struct msgc_own)) + h->entry;
	unsigned char *to = ep.area[MSGC_PEER] + h->number * ep.at.area[MSGC_PEER].stride;

	*head = (struct msgc_answer){ .type = life, .format = (uint8_t)h->cookie };
	if (h->oneway)
		return 0;
	write_words(to + h->slot * PAGE, seed_of(2 + life, h->cookie), len);
	return len;
}

static void note_answer(const struct hold *h)
{
	struct fate *fate = &world->fate[h->cookie];

	check_request(h);
	if (!h->oneway && line_of(h->entry)->flags & MSGC_M_GONE)
		atomic_store(&fate->gone, 1);
	atomic_store(&fate->by, (unsigned short)life);
	atomic_fetch_add(&fate->answered, 1);
	die_if_doomed(self, BEFORE_REPLY);
}

/* The reply is out. The next call may stand in its entry already. */
static void note_replied(uint32_t cookie)
{
	atomic_fetch_add(&world->fate[cookie].replied, 1);
	atomic_fetch_add(&shared->progress, 1);
	die_if_doomed(self, AFTER_REPLY);
}

/* Either half can have happened when it returns. */
static void reply_and_receive(const struct hold *h, struct msgc_reply *arg)
{
	struct msgc_own *own = (struct msgc_own *)ep.area[MSGC_OWN];
	uint32_t cookie = h->cookie;
	long ret;

	own->deadline = random_deadline();
	atomic_fetch_add(&world->receiving[self], 1);
	waiting_fd = ep.fd;
	ret = command(ep.fd, MSGC_REPLY_RECV, arg);
	waiting_fd = -1;
	EXPECT(ret != -EBUSY);
	after_receive(ret);
	note_replied(cookie);
}

static void park_recv(enum begins begins)
{
	struct msgc_recv arg = { .deadline = long_deadline() };

	n_parked++;
	atomic_fetch_add(&world->receiving[self], 1);
	give(RECV, 0, ep.fd, MSGC_RECV, &arg, begins);
}

/* Its bytes stay as they are until it has completed: nobody else has the entry before that. */
static void answer_by_ring(const struct hold *h, const struct msgc_reply *arg)
{
	struct msgc_own *own = (struct msgc_own *)ep.area[MSGC_OWN];

	atomic_fetch_add(&world->answers, 1);
	if (!below(4) && room_in_ring() > 1) {
		give(REPLY, h->cookie, ep.fd, MSGC_REPLY, arg, LINKED);
		park_recv(AT_ONCE);
		return;
	}
	if (below(2)) {
		give(REPLY, h->cookie, ep.fd, MSGC_REPLY, arg, AT_ONCE);
		return;
	}
	own->deadline = long_deadline();
	n_parked++;
	atomic_fetch_add(&world->receiving[self], 1);
	give(REPLY_RECV, h->cookie, ep.fd, MSGC_REPLY_RECV, arg, AT_ONCE);
}

static void answer(void)
{
	unsigned int i = below(n_held);
	struct hold h = held[i];
	struct msgc_reply arg = { .call = h.call, .status = h.oneway ? 0 : status_of(h.cookie) };

	held[i] = held[--n_held];
	arg.len = write_answer(&h);
	note_answer(&h);
	if (by_ring && room_in_ring() && below(8)) {
		answer_by_ring(&h, &arg);
		return;
	}
	if (below(2)) {
		reply_and_receive(&h, &arg);
		return;
	}
	EXPECT(command(ep.fd, MSGC_REPLY, &arg) == 0);
	note_replied(h.cookie);
}

/* ---- by io_uring ---- */

static void command_ended(const struct command_end *end)
{
	if (end->what == REPLY) {
		EXPECT(!end->res);
		note_replied(end->of);
		return;
	}
	n_parked--;
	if (end->res == -EINTR)
		atomic_fetch_add(&world->interrupted, 1);
	if (end->what == RECV && end->res == -ECANCELED)
		atomic_fetch_sub(&world->receiving[self], 1);
	else
		after_receive(end->res);
	if (end->what == REPLY_RECV)
		note_replied(end->of);
}

static void reap_ring(void)
{
	struct command_end end;

	while (next_end(&end))
		command_ended(&end);
}

static void await_ring(uint64_t ns)
{
	wait_in_ring(ep.fd, ns);
	reap_ring();
}

/* More than can be taken, now and then. */
static void park_some(void)
{
	while (n_parked < most_parked && room_in_ring() &&
	       (n_held + n_parked < ep.at.held || !below(8)))
		park_recv(below(8) ? AT_ONCE : IN_WORKER);
}

/* Replies do not wait; what waits in the ring may take another call before it is gone. */
static void close_ring(void)
{
	struct command_end gone[MOST_GIVEN];
	unsigned int n;

	hand_in();
	await_ring(0);
	n = replace_ring(gone);
	lost_some |= n != 0;
	n_parked = 0;
	while (n--) {
		EXPECT(gone[n].what == RECV || gone[n].what == REPLY_RECV);
		if (gone[n].what == REPLY_RECV)
			note_replied(gone[n].of);
	}
}

static void find_lost(void)
{
	for (unsigned int i = 0; i < ep.at.held; i++)
		if (is_new(i))
			take(i);
}

/* If it is not told of a call, nobody takes it. */
static void trust_in_ring(void)
{
	park_some();
	wait_in_ring(-1, n_held ? below(1000000) : 500000000);
	reap_ring();
}

static void receive_by_ring(void)
{
	if (trusts) {
		trust_in_ring();
		return;
	}
	if (lost_some)
		find_lost();
	if (!below(16))
		hunt_one();
	park_some();
	if (!below(128) && may_close_ring())
		close_ring();
	if (below(8))
		await_ring(n_held ? below(1000000) : below(50000000));
	else
		receive();
}

/* What waits in it ends with it, or each by an INTERRUPT. */
static void empty_ring(void)
{
	struct msgc_none nothing = { .zero = { 0, 0 } };

	park_some();
	if (below(4) && may_close_ring())
		close_ring();
	while (in_ring()) {
		EXPECT(command(ep.fd, MSGC_INTERRUPT, &nothing) == 0);
		await_ring(1000000);
	}
	leave_ring();
	EXPECT(!n_held);
}

/* ---- a life ---- */

/* Of what it was lent, when nobody can wait for it any more. */
static void expect_nothing_lent(void)
{
	uint64_t deadline = MS(30000);

	while (sched_getscheduler(0) != SCHED_OTHER && ipc_in(0) < deadline)
		usleep(1000);
	EXPECT(sched_getscheduler(0) == SCHED_OTHER);
}

void server(unsigned int me)
{
	self = me;
	life = begin_life(me, &random_state);
	by_ring = now->rings && below(now->servers > 1 ? 2 : 8);
	/* of the only one it shows in the end whether it is told of all */
	trusts = by_ring && !below(now->servers > 1 ? 4 : 2);
	join(&ep, MSGC_RECEIVER, !by_ring && below(2) ? MSGC_BOUND : 0, 1 + below(MOST_HELD));
	most_parked = 1 + below(below(2) ? ep.at.held : 2);
	if (by_ring)
		open_ring(&random_state);
	while (!atomic_load(&world->drained) || n_held) {
		if (!below(64))
			pause_us(below(3000));
		if (n_held && (n_held == ep.at.held ? below(8) : !below(3)))
			answer();
		else if (by_ring)
			receive_by_ring();
		else
			receive();
	}
	if (by_ring)
		empty_ring();
	expect_nothing_lent();
	leave(&ep);
	if (by_ring)
		expect_gone();
}
