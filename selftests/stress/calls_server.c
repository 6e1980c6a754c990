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
	if (line->cookie >= n_calls || !atomic_load(&fate->life))
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

static void after_receive(long ret)
{
	if (ret >= 0)
		note(ret);
	else if (ret == -EBUSY)
		atomic_fetch_add(&world->recv_busy, 1);
	else
		EXPECT(ret == -EAGAIN || ret == -ETIMEDOUT || ret == -EINTR);
	EXPECT(ret != -EBUSY || n_held == ep.at.held);
}

static uint64_t random_deadline(void)
{
	return n_held ? (below(4) ? MSGC_NOW : ipc_in(below(1000000))) : ipc_in(below(50000000));
}

static void receive(void)
{
	struct msgc_recv arg = { .deadline = random_deadline() };
	long ret;

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
	waiting_fd = ep.fd;
	ret = command(ep.fd, MSGC_REPLY_RECV, arg);
	waiting_fd = -1;
	EXPECT(ret != -EBUSY);
	if (ret >= 0)
		note(ret);
	else if (ret != -EAGAIN && ret != -ETIMEDOUT && ret != -EINTR)
		FAIL("call %u: REPLY_RECV returns %ld", cookie, ret);
	note_replied(cookie);
}

static void answer(void)
{
	unsigned int i = below(n_held);
	struct hold h = held[i];
	struct msgc_reply arg = { .call = h.call, .status = h.oneway ? 0 : status_of(h.cookie) };

	held[i] = held[--n_held];
	arg.len = write_answer(&h);
	note_answer(&h);
	if (below(2)) {
		reply_and_receive(&h, &arg);
		return;
	}
	EXPECT(command(ep.fd, MSGC_REPLY, &arg) == 0);
	note_replied(h.cookie);
}

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
	join(&ep, MSGC_RECEIVER, below(2) ? MSGC_BOUND : 0, 1 + below(MOST_HELD));
	while (!atomic_load(&world->drained) || n_held) {
		if (!below(64))
			pause_us(below(3000));
		if (n_held && (n_held == ep.at.held ? below(8) : !below(3)))
			answer();
		else
			receive();
	}
	expect_nothing_lent();
	leave(&ep);
}
