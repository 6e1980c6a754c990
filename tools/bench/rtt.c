// SPDX-License-Identifier: MIT
/* Case rtt: one message there and one back, closed loop, two processes; every round is timed. */
#include "payload.h"
#include "rounds.h"

#define SIZE	64U

/* The link of the present run, which is two one-way links where a round trip is two operations. */
static void *there, *back;

/* Both directions of a process: one end, where a round trip is one operation. */
struct ends {
	const struct transport *t;
	void *out, *in;
};

static struct ends attach(const struct transport *t, bool is_client)
{
	struct ends ends = { .t = t };

	if (t->call) {
		ends.out = t->attach(there, is_client);
	} else {
		ends.out = t->attach(is_client ? there : back, true);
		ends.in = t->attach(is_client ? back : there, false);
	}
	return ends;
}

static void detach(struct ends *ends)
{
	ends->t->detach(ends->out);
	if (ends->in)
		ends->t->detach(ends->in);
}

struct caller {
	struct ends ends;
	struct source from;
	struct sink to;
};

static void ping(void *of, uint64_t number)
{
	struct caller *c = of;
	const struct transport *t = c->ends.t;

	(void)number;
	if (t->call) {
		t->call(c->ends.out, &c->from, &c->to);
	} else {
		t->send(c->ends.out, &c->from, 1);
		t->recv(c->ends.in, &c->to, 1);
	}
}

static void pong(const struct ends *ends, struct sink *to, struct source *from, bool last)
{
	if (ends->t->serve) {
		ends->t->serve(ends->out, to, from, last);
	} else {
		ends->t->recv(ends->in, to, 1);
		ends->t->send(ends->out, from, 1);
	}
}

static void client(struct process *me)
{
	const struct rounds *r = me->job;
	struct caller c = { .ends = attach(r->how, true) };

	source_init(&c.from, SIZE, 0);
	sink_init(&c.to, SIZE, 1);
	make_rounds(me, ping, &c);
	detach(&c.ends);
}

static void server(struct process *me)
{
	const struct rounds *r = me->job;
	uint64_t all = all_rounds(r);
	struct ends ends = attach(r->how, false);
	struct source from;
	struct sink to;

	source_init(&from, SIZE, 0);
	sink_init(&to, SIZE, 1);
	meet(me);
	for (uint64_t i = 0; i < all; i++) {
		if (i == r->warm_up)
			start(me);
		pong(&ends, &to, &from, i == all - 1);
	}
	stop(me);
	meet(me);
	detach(&ends);
}

static void run(struct rounds *r)
{
	static const struct shape shape = { .size = SIZE, .senders = 1, .batch = 1 };
	const struct transport *t = r->how;

	there = t->create(&shape);
	back = t->call ? NULL : t->create(&shape);
	run_rounds(r, client, server, 1);
	t->destroy(there);
	if (back)
		t->destroy(back);
}

static void placement(bool two_cpus)
{
	static const struct transport *const all[] = {
		&msgchan_rendezvous, &msgchan_ring, &pipes, &seqpacket, &eventfd_shm, &binder,
		&msgchan_rendezvous_spin, &msgchan_ring_polled, &spin,
	};
	struct rounds r[ARRAY_SIZE(all)];
	unsigned int n = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
		if ((all[i]->polled && !two_cpus) || (all[i] == &binder && !binder_offered()))
			continue;
		r[n++] = (struct rounds){
			.record = {
				.name = "rtt", .transport = all[i]->name, .size = SIZE,
				.peers = 2, .batch = 1, .two_cpus = two_cpus,
			},
			.how = all[i], .run = run, .ops = 1,
		};
	}
	measure_rounds(r, n);
}

void case_rtt(void)
{
	placement(false);
	if (!settings.instructions)
		placement(true);
}
