/* SPDX-License-Identifier: MIT */
/* pattern.h - messages of which every bit, and the length, follow from sender and number. */
#ifndef STRESS_PATTERN_H
#define STRESS_PATTERN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <libipc.h>

#define NUMBER_BITS	40		/* of the cookie: running number below, stream above */
#define NUMBER(cookie)	((cookie) & ((UINT64_C(1) << NUMBER_BITS) - 1))
#define STREAM(cookie)	((uint32_t)((cookie) >> NUMBER_BITS))
#define ODD		UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t scramble(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static inline uint64_t seed_of(uint32_t stream, uint64_t number)
{
	return scramble((((uint64_t)stream << NUMBER_BITS) + number) * ODD);
}

/* Most are small; one in 64 up to 2 KiB, one in 4096 up to an empty ring less a header. */
static inline uint32_t len_of(uint64_t seed, uint64_t ring)
{
	uint64_t most = ring - 32, len = (seed >> 12) % 65;

	if (seed % 64 == 0)
		len = (seed >> 12) % 2049;
	if (seed % 4096 == 0)
		len = (seed >> 12) % (most + 1);
	return (uint32_t)(len < most ? len : most);
}

static inline void fill(struct ipc_msg *msg, uint64_t seed)
{
	uint64_t word = seed;
	uint8_t *data = msg->data;
	uint32_t i = 0;

	for (; i + 8 <= msg->len; i += 8, word += ODD)
		memcpy(data + i, &word, 8);
	if (i < msg->len)
		memcpy(data + i, &word, msg->len - i);
	msg->type = (uint32_t)(seed >> 32);
	msg->format = (uint8_t)seed;
}

static inline bool is_intact(const struct ipc_msg *msg, uint64_t seed, uint64_t ring)
{
	uint64_t word = seed, wrong = 0, there;
	const uint8_t *data = msg->data;
	uint32_t i = 0;

	if (msg->len != len_of(seed, ring) || msg->type != (uint32_t)(seed >> 32) ||
	    msg->format != (uint8_t)seed)
		return false;
	for (; i + 8 <= msg->len; i += 8, word += ODD) {
		memcpy(&there, data + i, 8);
		wrong |= there ^ word;
	}
	return !wrong && !memcmp(data + i, &word, msg->len - i);
}

#endif
