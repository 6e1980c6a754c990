/* SPDX-License-Identifier: MIT */
/*
 * The payload: every byte of a message is written by fill() and compared by check(), the same code
 * for every transport. It says who sent it and its number, so that a message which is lost,
 * duplicated, corrupted or from elsewhere does not go unnoticed.
 */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include "bench.h"

#define STEP	0x9e3779b97f4a7c15ULL	/* any odd number */

struct source {
	size_t size;
	uint64_t last;		/* first word of the last message; bits 48 and up: the sender */
};

struct sink {
	size_t size;
	unsigned int senders;
	uint64_t count;			/* messages received */
	uint64_t last[MAX_SENDERS];	/* as in source */
};

static inline void source_init(struct source *from, size_t size, unsigned int number)
{
	*from = (struct source){ .size = size, .last = (uint64_t)number << 48 };
}

static inline void sink_init(struct sink *to, size_t size, unsigned int senders)
{
	to->size = size;
	to->senders = senders;
	to->count = 0;
	for (unsigned int i = 0; i < senders; i++)
		to->last[i] = (uint64_t)i << 48;
}

/* The first word goes last: who has seen it may read the rest. */
static inline void fill(struct source *from, void *message)
{
	uint64_t *word = message, first = ++from->last;

	for (size_t i = 1; i < from->size / 8; i++)
		word[i] = first + i * STEP;
	__atomic_store_n(word, first, __ATOMIC_RELEASE);
}

_Noreturn void bad_message(const struct sink *to, const void *message);

static inline void check(struct sink *to, const void *message)
{
	const uint64_t *word = message;
	uint64_t first = __atomic_load_n(word, __ATOMIC_ACQUIRE), wrong = 0;

	if (first >> 48 >= to->senders || first != ++to->last[first >> 48])
		bad_message(to, message);
	for (size_t i = 1; i < to->size / 8; i++)
		wrong |= word[i] ^ (first + i * STEP);
	if (wrong)
		bad_message(to, message);
	to->count++;
}

#endif
