// SPDX-License-Identifier: MIT
/*
 * What a hostile peer may write, at rest and while others work: the pair suffers, and nobody else;
 * least of all the kernel.
 */
#include "msgc.h"

FIXTURE(hostile) {
	int chan;
	struct ep bad, good, rx;
};

FIXTURE_SETUP(hostile)
{
	self->chan = create_private(CREATE(.max_senders = 4, .ring_max = 8192));
	ASSERT_EQ(0, ep_receiver(&self->rx, self->chan));
	ASSERT_EQ(0, ep_sender(&self->bad, self->chan));
	ASSERT_EQ(0, ep_sender(&self->good, self->chan));
	rx_sync(&self->rx);
}

FIXTURE_TEARDOWN(hostile)
{
	ep_close(&self->bad);
	ep_close(&self->good);
	ep_close(&self->rx);
	close(self->chan);
}

static const __u64 evil[] = {
	1,
	8,
	31,
	32,
	33,
	4096,
	8192,
	8193,
	8224,
	16384,
	1ULL << 31,
	1ULL << 32,
	1ULL << 47,
	1ULL << 63,
	(1ULL << 63) - 1,
	~0ULL,
	~0ULL - 31,
	0xdeadbeefdeadbeefULL,
	0x8080808080808080ULL,
};

#define EVILS	ARRAY_SIZE(evil)

/*
 * Does a message still get through from good to rx, and is the kernel's view of that pair intact?
 */
static bool good_pair_works(struct ep *good, struct ep *rx)
{
	const struct msgc_record *r;

	tx_send(good, 77, "good", 4);
	if (!(wait_for(rx->fd, MSGC_IN, in_ms(1000)) & MSGC_IN))
		return false;
	r = rx_take(rx, good->at.number);
	if (!r || r->type != 77)
		return false;
	rx_release(rx, good->at.number);
	return ep_line(good, good->at.id)->receivers == 1;
}

/* Everything that makes the kernel look at the words of both sides. */
static void look_everywhere(int chan, struct ep *s, struct ep *r)
{
	struct msgc_peer row[8];
	__u64 cursor = 0;

	poll_now(r->fd, POLLIN | POLLPRI);
	poll_now(s->fd, POLLOUT | POLLPRI);
	wait_for(r->fd, MSGC_IN | MSGC_PRI, MSGC_NOW);
	wait_for(s->fd, MSGC_OUT, MSGC_NOW);
	kick(s->fd);
	kick(r->fd);
	rows(chan, MSGC_PEERS, MSGC_ROW_ENDPOINT, row, sizeof(row[0]), 8, &cursor);
	info(chan);
}

/* Each word that a sender owns, with each value. */
TEST_F(hostile, sender_words)
{
	for (unsigned int i = 0; i < EVILS; i++) {
		struct msgc_control *c = tx_control(&self->bad);
		__u64 *words[] = { &tx_tail(&self->bad)->tail,
				   &c->low,
				   &c->need,
				   &c->seen,
				   &c->drops,
				   &c->hiwat,
				   &c->waits };

		for (int w = 0; w < 7; w++) {
			__u64 was = *words[w];

			WRITE_ONCE(*words[w], evil[i]);
			look_everywhere(self->chan, &self->bad, &self->rx);
			EXPECT_TRUE(good_pair_works(&self->good, &self->rx)) {
				TH_LOG("word %d, value %u", w, i);
			}
			WRITE_ONCE(*words[w], was);
		}
	}
	EXPECT_EQ(1, ep_status(&self->rx)->tethered);
}

/*
 * Each word that a receiver owns. The other senders' space does not depend on the pair that it
 * lies to.
 */
TEST_F(hostile, receiver_words)
{
	struct msgc_slot *slot = rx_slot(&self->rx, self->bad.at.number);

	tx_send(&self->bad, 1, "x", 1);
	for (unsigned int i = 0; i < EVILS; i++) {
		__u64 *words[] = { &slot->taken, &slot->head, &slot->gen, &ep_own(&self->rx)->seen,
				   &ep_own(&self->rx)->released };

		for (int w = 0; w < 5; w++) {
			__u64 was = *words[w];

			WRITE_ONCE(*words[w], evil[i]);
			WRITE_ONCE(tx_control(&self->bad)->need, self->bad.tail);
			look_everywhere(self->chan, &self->bad, &self->rx);
			WRITE_ONCE(*words[w], was);
			WRITE_ONCE(tx_control(&self->bad)->need, 0);
		}
	}
	EXPECT_EQ(1, ep_status(&self->rx)->tethered);
	EXPECT_EQ(1, ep_line(&self->rx, self->good.at.id)->receivers);
}

/*
 * A head beyond the tail opens no space: it is clamped, and the pair refused, with the tethered
 * mask as it was.
 */
TEST_F(hostile, head_beyond_tail)
{
	struct msgc_slot *slot = rx_slot(&self->rx, self->bad.at.number);

	tx_fill(&self->bad);
	tx_publish(&self->bad);
	WRITE_ONCE(tx_control(&self->bad)->need, PAGE);
	EXPECT_EQ(-EAGAIN, wait_for(self->bad.fd, MSGC_OUT, MSGC_NOW));
	WRITE_ONCE(slot->head, self->bad.tail + 64);
	wait_for(self->bad.fd, MSGC_OUT, MSGC_NOW);
	EXPECT_EQ(0, ep_line(&self->bad, self->bad.at.id)->receivers);
	EXPECT_EQ(1, peer(self->chan, self->bad.at.id).refused);
	EXPECT_EQ(1, ep_status(&self->rx)->tethered);
	EXPECT_TRUE(good_pair_works(&self->good, &self->rx));
}

/* What was released stays released: a head that goes back ends the pair. */
TEST_F(hostile, head_back)
{
	struct msgc_slot *slot = rx_slot(&self->rx, self->bad.at.number);

	tx_fill(&self->bad);
	tx_publish(&self->bad);
	WRITE_ONCE(tx_control(&self->bad)->need, PAGE);
	WRITE_ONCE(slot->head, self->bad.tail);
	EXPECT_EQ(MSGC_OUT, wait_for(self->bad.fd, MSGC_OUT, MSGC_NOW));
	WRITE_ONCE(slot->head, self->bad.tail - 64);
	wait_for(self->bad.fd, MSGC_OUT, MSGC_NOW);
	EXPECT_EQ(0, ep_line(&self->bad, self->bad.at.id)->receivers);
	EXPECT_EQ(1, peer(self->chan, self->bad.at.id).refused);
	EXPECT_TRUE(good_pair_works(&self->good, &self->rx));
}

/* Dying with evil words: end, base and redo are clamped into the ring, aligned, and in order. */
TEST_F(hostile, dying_words)
{
	for (unsigned int i = 0; i < EVILS; i++) {
		int chan = create_private(CREATE(.ring_max = 8192));
		struct msgc_line *line;
		struct ep s, r;

		ASSERT_EQ(0, ep_receiver(&r, chan));
		ASSERT_EQ(0, ep_sender(&s, chan));
		line = ep_line(&s, s.at.id);
		tx_send(&s, 1, "x", 1);
		rx_take(&r, 0);
		rx_slot(&r, 0)->taken = evil[i];
		rx_slot(&r, 0)->head = evil[EVILS - 1 - i];
		ep_close(&r);
		ASSERT_EQ(0, ep_receiver(&r, chan));
		EXPECT_LE(line->head, s.tail) { TH_LOG("value %u", i); }
		EXPECT_EQ(0, line->head % 32) { TH_LOG("value %u", i); }
		EXPECT_LE(line->redo, s.tail) { TH_LOG("value %u", i); }
		EXPECT_EQ(0, line->redo % 32) { TH_LOG("value %u", i); }

		tx_tail(&s)->tail = evil[i];
		ep_close(&s);
		line = ep_line(&r, s.at.id);
		EXPECT_LE(line->end, 8192 + line->head) { TH_LOG("value %u", i); }
		EXPECT_EQ(0, line->end % 32) { TH_LOG("value %u", i); }
		evict(chan, s.at.id);
		ep_close(&r);
		close(chan);
	}
}

/* ---- the same by a racing thread ---- */

struct scribbler {
	__u64 *word[8];
	int count;
	volatile bool stop;
};

static void *scribble(void *p)
{
	struct scribbler *s = p;
	unsigned int x = 1;

	while (!s->stop) {
		x = x * 1664525 + 1013904223;
		WRITE_ONCE(*s->word[(x >> 8) % s->count],
			   (x >> 16) % 4 ? evil[(x >> 20) % EVILS] : (x >> 20) % 9000);
	}
	return NULL;
}

static void race(int chan, struct ep *s, struct ep *r, struct scribbler *scribbler, int rounds)
{
	pthread_t t;

	pthread_create(&t, NULL, scribble, scribbler);
	while (rounds--)
		look_everywhere(chan, s, r);
	scribbler->stop = true;
	pthread_join(t, NULL);
}

TEST_F(hostile, racing_sender)
{
	struct msgc_control *c = tx_control(&self->bad);
	struct scribbler s = { { &tx_tail(&self->bad)->tail, &c->low, &c->need, &c->seen },
			       4,
			       false };

	race(self->chan, &self->bad, &self->rx, &s, 400);
	EXPECT_TRUE(good_pair_works(&self->good, &self->rx));
	EXPECT_EQ(1, ep_status(&self->rx)->tethered);
}

TEST_F(hostile, racing_receiver)
{
	struct msgc_slot *slot = rx_slot(&self->rx, self->bad.at.number);
	struct scribbler s = { { &slot->taken, &slot->head, &slot->gen, &ep_own(&self->rx)->seen },
			       4,
			       false };

	tx_send(&self->bad, 1, "x", 1);
	race(self->chan, &self->bad, &self->rx, &s, 400);
	EXPECT_EQ(1, ep_line(&self->rx, self->good.at.id)->receivers);
	EXPECT_EQ(1, ep_status(&self->rx)->tethered);
}

/* Both sides scribble until they die of it, with the words still changing. */
TEST_F(hostile, racing_death)
{
	for (int round = 0; round < 20; round++) {
		int chan = create_private(CREATE(.ring_max = 8192));
		struct ep s, r;
		struct scribbler b;
		pthread_t t;

		ASSERT_EQ(0, ep_receiver(&r, chan));
		ASSERT_EQ(0, ep_sender(&s, chan));
		b = (struct scribbler){ { &tx_tail(&s)->tail, &tx_control(&s)->need,
					  &rx_slot(&r, 0)->taken, &rx_slot(&r, 0)->head,
					  &rx_slot(&r, 0)->gen },
					5,
					false };
		pthread_create(&t, NULL, scribble, &b);
		look_everywhere(chan, &s, &r);
		if (round & 1) {
			detach(s.fd);
			detach(r.fd);
		} else {
			detach(r.fd);
			evict(chan, s.at.id);
		}
		b.stop = true;
		pthread_join(t, NULL);
		EXPECT_EQ(0, ep_line(&s, s.at.id)->end % 32);
		ep_close(&s);
		ep_close(&r);
		close(chan);
	}
}

/* ---- rendezvous: the client's headers, the server's ---- */

static void *call_on(void *p)
{
	struct ep *c = p;

	while (!READ_ONCE(c->seq))
		for (int slot = 0; slot < 4; slot++) {
			struct msgc_call call = { .slot = slot, .deadline = in_ms(1) };
			struct msgc_cancel cancel = { .slot = 0xffff };

			cmd(c->fd, MSGC_CALL, &call);
			cmd(c->fd, MSGC_CANCEL, &cancel);
		}
	return NULL;
}

TEST_F(hostile, racing_client)
{
	int chan = create_private(CREATE_CALL(.request = PAGE, .reply = PAGE));
	struct msgc_recv recv = { .deadline = MSGC_NOW };
	struct ep server, client, bystander;
	struct msgc_request *req;
	struct scribbler s;
	pthread_t caller, t;

	ASSERT_EQ(0, ep_receiver(&server, chan));
	ASSERT_EQ(0, ep_sender(&client, chan));
	ASSERT_EQ(0, ep_sender(&bystander, chan));
	req = (void *)(client.area[MSGC_OWN] + sizeof(struct msgc_own));
	s = (struct scribbler){ { (void *)&req[0].len, (void *)&req[0].type, &req[0].cookie,
				  (void *)&req[0].handled, (void *)&req[1].len, &req[1].cookie,
				  (void *)&req[2].len, &ep_own(&client)->seen },
				8,
				false };
	pthread_create(&t, NULL, scribble, &s);
	pthread_create(&caller, NULL, call_on, &client);
	for (int n = 0; n < 300; n++) {
		long entry = cmd(server.fd, MSGC_RECV, &recv);
		struct msgc_held *held;
		struct msgc_reply reply = { .status = n };

		poll_now(client.fd, POLLIN | POLLOUT);
		poll_now(server.fd, POLLIN);
		if (entry < 0)
			continue;
		held = (struct msgc_held *)server.area[MSGC_INBOX] + entry;
		EXPECT_LE(held->len, PAGE);
		EXPECT_LE(held->room, PAGE);
		reply.call = held->call;
		EXPECT_EQ(0, cmd(server.fd, MSGC_REPLY, &reply));
	}
	WRITE_ONCE(client.seq, 1);
	s.stop = true;
	pthread_join(caller, NULL);
	pthread_join(t, NULL);
	ep_close(&client);

	/* and the other client is served */
	EXPECT_EQ(0, cmd(bystander.fd, MSGC_CALL,
			 &(struct msgc_call){ .flags = MSGC_ASYNC, .deadline = MSGC_FOREVER }));
	EXPECT_TRUE(until(poll_now(server.fd, POLLIN) == POLLIN));
	EXPECT_LE(0, cmd(server.fd, MSGC_RECV, &recv));
	ep_close(&server);
	ep_close(&bystander);
}

/* A server whose answers change while REPLY reads them. */
TEST_F(hostile, racing_server)
{
	int chan = create_private(CREATE_CALL(.slots = 4));
	struct msgc_answer *answer;
	struct msgc_done *done;
	struct scribbler s;
	struct ep server, client;
	pthread_t t;
	int answered = 0;

	ASSERT_EQ(0, ep_receiver(&server, chan));
	ASSERT_EQ(0, ep_sender(&client, chan));
	((struct msgc_request *)(client.area[MSGC_OWN] + sizeof(struct msgc_own)))->room = PAGE;
	answer = (void *)(server.area[MSGC_OWN] + sizeof(struct msgc_own));
	done = (struct msgc_done *)client.area[MSGC_INBOX];
	s = (struct scribbler){
		{ (void *)answer, (void *)&answer->fds, &ep_own(&server)->deadline }, 3, false
	};
	pthread_create(&t, NULL, scribble, &s);
	for (int n = 0; n < 300; n++) {
		struct msgc_call c = { .flags = MSGC_ASYNC, .deadline = MSGC_FOREVER };
		struct msgc_recv v = { .deadline = MSGC_NOW };
		struct msgc_held *held = (struct msgc_held *)server.area[MSGC_INBOX];
		long e, ret;

		ASSERT_EQ(0, cmd(client.fd, MSGC_CALL, &c));
		e = cmd(server.fd, MSGC_RECV, &v);
		ASSERT_GE(e, 0);
		do {
			ret = cmd(server.fd, MSGC_REPLY,
				  &(struct msgc_reply){ .call = held[e].call, .len = n });
			EXPECT_TRUE(!ret || ret == -EINVAL || ret == -EBADF);
		} while (ret);
		answered += done->outcome == MSGC_O_DONE && (int)done->len == n;
	}
	EXPECT_EQ(300, answered);
	s.stop = true;
	pthread_join(t, NULL);
	ep_close(&server);
	ep_close(&client);
}

TEST_HARNESS_MAIN
