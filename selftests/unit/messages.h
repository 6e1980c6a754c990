/* SPDX-License-Identifier: MIT */
/* messages.h - messages whose every byte is known from their number, so that any mix-up shows. */
#ifndef UNIT_MESSAGES_H
#define UNIT_MESSAGES_H

#include <string.h>

#include "fake.h"
#include "tap.h"

static inline uint8_t byte_of(uint64_t number, uint32_t at)
{
	return (uint8_t)(number * 131 + at * 7 + (at >> 8));
}

static inline void fill(void *data, uint32_t len, uint64_t number)
{
	for (uint32_t i = 0; i < len; i++)
		((uint8_t *)data)[i] = byte_of(number, i);
}

static inline bool is_filled(const void *data, uint32_t len, uint64_t number)
{
	for (uint32_t i = 0; i < len; i++)
		if (((const uint8_t *)data)[i] != byte_of(number, i))
			return false;
	return true;
}

/* Reserve, fill and commit. The number travels in the cookie, its low bits in type and format. */
static inline int put_until(struct peer *sender, uint32_t len, uint64_t number, uint64_t deadline)
{
	struct ipc_msg msg = { 0 };
	int err = ipc_tx_reserve(sender->tx, &msg, len, deadline);

	if (err < 0)
		return err;
	fill(msg.data, len, number);
	msg.cookie = number;
	msg.type = (uint32_t)number;
	msg.format = (uint8_t)number;
	return ipc_tx_commit(sender->tx, &msg);
}

static inline int put(struct peer *sender, uint32_t len, uint64_t number)
{
	return put_until(sender, len, number, IPC_NOW);
}

static inline int send_one(struct peer *sender, uint32_t len, uint64_t number)
{
	int err = put(sender, len, number);

	return err < 0 ? err : ipc_tx_publish(sender->tx);
}

static inline bool is_number(const struct ipc_msg *msg, uint64_t number)
{
	return msg->cookie == number && msg->type == (uint32_t)number &&
		msg->format == (uint8_t)number && is_filled(msg->data, msg->len, number);
}

static inline int recv_until(struct peer *receiver, struct ipc_msg *msgs, unsigned int n,
			     uint64_t deadline)
{
	if (receiver->obs)
		return ipc_obs_recv(receiver->obs, msgs, n, deadline);
	return ipc_rx_recv(receiver->rx, msgs, n, deadline);
}

static inline int recv_now(struct peer *receiver, struct ipc_msg *msgs, unsigned int n)
{
	return recv_until(receiver, msgs, n, IPC_NOW);
}

static inline int give_back(struct peer *receiver, const struct ipc_msg *msgs, unsigned int n)
{
	if (receiver->obs)
		return ipc_obs_release(receiver->obs, msgs, n);
	return ipc_rx_release(receiver->rx, msgs, n);
}

/* Take one, check it, give it back. Returns recv's result. */
static inline int recv_one(struct peer *receiver, uint64_t number)
{
	struct ipc_msg msg;
	int got = recv_now(receiver, &msg, 1);

	if (got != 1)
		return got;
	CHECK(is_number(&msg, number));
	CHECK_EQ(give_back(receiver, &msg, 1), 0);
	return 1;
}

/* A linear congruential generator: the same on every machine. */
static inline uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 33);
}

#endif
