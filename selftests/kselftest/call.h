/* SPDX-License-Identifier: MIT */
/* How the tests of calls speak to the module: one command at a time. */
#ifndef MSGC_TEST_CALL_H
#define MSGC_TEST_CALL_H

#include "msgc.h"

/* ---- where things are ---- */

static inline struct msgc_request *request(const struct ep *c, int slot)
{
	return (struct msgc_request *)(c->area[MSGC_OWN] + sizeof(struct msgc_own)) + slot;
}

static inline struct msgc_done *line(const struct ep *c, int slot)
{
	return (struct msgc_done *)c->area[MSGC_INBOX] + slot;
}

static inline struct msgc_held *held(const struct ep *s, int entry)
{
	return (struct msgc_held *)s->area[MSGC_INBOX] + entry;
}

static inline struct msgc_answer *answer(const struct ep *s, int entry)
{
	return (struct msgc_answer *)(s->area[MSGC_OWN] + sizeof(struct msgc_own)) + entry;
}

static inline unsigned char *request_data(const struct ep *c, int slot)
{
	return c->area[MSGC_DATA] + slot * PAGE;
}

static inline unsigned char *reply_data(const struct ep *c, int slot)
{
	return c->area[MSGC_PEER] + slot * PAGE;
}

/* The same as a server sees them. */
static inline unsigned char *seen_request(const struct ep *s, int client, int slot)
{
	return s->area[MSGC_DATA] + client * s->at.area[MSGC_DATA].stride + slot * PAGE;
}

static inline unsigned char *seen_reply(const struct ep *s, int client, int slot)
{
	return s->area[MSGC_PEER] + client * s->at.area[MSGC_PEER].stride + slot * PAGE;
}

/* ---- commands ---- */

static inline long call(const struct ep *c, int slot, int flags, __u64 deadline)
{
	struct msgc_call arg = { .slot = slot, .flags = flags, .deadline = deadline };

	return cmd(c->fd, MSGC_CALL, &arg);
}

/* Starts a call that nobody waits for. */
static inline long start(const struct ep *c, int slot, __u64 deadline)
{
	return call(c, slot, MSGC_ASYNC, deadline);
}

static inline long resume(const struct ep *c, int slot, __u64 deadline)
{
	return call(c, slot, MSGC_RESUME, deadline);
}

static inline long cancel(const struct ep *c, int slot, __u64 cookie)
{
	struct msgc_cancel arg = { .slot = slot, .cookie = cookie };

	return cmd(c->fd, MSGC_CANCEL, &arg);
}

static inline long receive(const struct ep *s, __u64 deadline)
{
	struct msgc_recv arg = { .deadline = deadline };

	return cmd(s->fd, MSGC_RECV, &arg);
}

/* What is there already, and only that. */
static inline long take(const struct ep *s)
{
	return receive(s, MSGC_NOW);
}

static inline long reply_id(const struct ep *s, __u64 id, __u32 len, __s32 status)
{
	struct msgc_reply arg = { .call = id, .len = len, .status = status };

	return cmd(s->fd, MSGC_REPLY, &arg);
}

static inline long reply(const struct ep *s, int entry, __u32 len, __s32 status)
{
	return reply_id(s, held(s, entry)->call, len, status);
}

/* What a client's line says, in one number that reads well when it differs. */
#define SAYS(state, outcome, status)	((state) * 1000000 + (outcome) * 100000 + -(status))
#define IDLE	MSGC_IDLE
#define QUEUED	MSGC_QUEUED
#define TAKEN	MSGC_TAKEN
#define NOTHING	MSGC_O_NONE
#define DONE	MSGC_O_DONE
#define NOT_EXECUTED MSGC_O_NOT_EXECUTED
#define MAYBE	MSGC_O_MAYBE

static inline int says(const struct ep *c, int slot)
{
	struct msgc_done *d = line(c, slot);

	return SAYS(READ_ONCE(d->state), READ_ONCE(d->outcome), READ_ONCE(d->status));
}

/*
 * Starts a call with a deadline, which is to pass while it is held: the entry where. On a slow
 * machine it may pass before; then another one is started.
 */
static inline long take_in_time(const struct ep *c, int slot, const struct ep *s)
{
	long entry = -EAGAIN;

	for (unsigned int ms = 5; entry == -EAGAIN && ms < 10000; ms *= 2)
		entry = start(c, slot, in_ms(ms)) ?: take(s);
	return entry;
}

/* ---- servers that die while they hold calls ---- */

struct doomed {
	int chan, takes;
};

static inline int doomed_server(int sk, void *p)
{
	struct doomed *d = p;
	struct ep s;

	if (ep_receiver(&s, d->chan))
		return 1;
	for (int n = 0; n < d->takes; n++)
		if (receive(&s, in_ms(5000)) < 0)
			return 2;
	tell(sk, s.at.id);
	hear(sk);
	return 0;
}

static inline struct kid server_that_took(int chan, int takes)
{
	struct doomed d = { chan, takes };
	struct kid k = kid_start(doomed_server, &d);

	hear(k.sk);
	return k;
}

/* Lets a server take so many calls and die; its channel has noticed when this returns. */
static inline void die_holding(int chan, int takes)
{
	struct kid k = server_that_took(chan, takes);

	kid_end(&k, SIGKILL);
	until(!info(chan).receivers);
}

#endif
