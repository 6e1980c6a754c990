/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * ring_shared.h - what sender and receivers of the engine share: how to load and store words that
 * another process reads or writes, what a line and a record header look like, and spinning.
 *
 * Every word that another process may write is read once into a private copy, checked, and only the
 * copy used. An own word is stored, never read back.
 */
#ifndef IPC_RING_SHARED_H
#define IPC_RING_SHARED_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "ring.h"

#define UNIT		32U		/* records start and end at multiples of this */
#define HEADER		((uint32_t)sizeof(struct msgc_record))
#define SEQ_MASK	((1ULL << 56) - 1)
#define FLAGS_MASK	(~0U << 26)	/* of span_flags: what is not span */
#define NONE		UINT32_MAX	/* no index */
#define SPIN_ROUND	16384U		/* looks between two questions to the kernel */
#define SPIN_PROBE	16U		/* looks that are risked though none paid lately */

#define MIN(a, b)	((a) < (b) ? (a) : (b))
#define MAX(a, b)	((a) > (b) ? (a) : (b))

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
/* Kept out of the way of what each message passes through. */
#define slow_path	__attribute__((noinline, cold))
/* What runs per message has the registers to itself. */
#define own_frame	__attribute__((noinline))

#define load(p)			__atomic_load_n(p, __ATOMIC_RELAXED)
#define load_acquire(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
/* Stays behind a full barrier. */
#define load_ordered(p)		__atomic_load_n(p, __ATOMIC_SEQ_CST)
#define store(p, v)		__atomic_store_n(p, v, __ATOMIC_RELAXED)
#define store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
/* Store and full barrier in one locked instruction: half the price of a store and mfence. */
#define store_barrier(p, v)	((void)__atomic_exchange_n(p, v, __ATOMIC_SEQ_CST))

static inline uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Looking again before going to sleep, as often as it paid lately. */
struct spin {
	unsigned int max, now;		/* max: IPC_SPIN_FOREVER: never to sleep */
};

static inline void spin_init(struct spin *spin, unsigned int max)
{
	spin->max = max;
	spin->now = max == IPC_SPIN_FOREVER ? SPIN_ROUND : MIN(max, SPIN_PROBE);
}

static inline void cpu_relax(void)
{
#ifdef __has_builtin
#if __has_builtin(__builtin_ia32_pause)
	__builtin_ia32_pause();
#endif
#endif
}

static inline bool spin_until(struct spin *spin, bool (*ready)(void *), void *engine)
{
	for (unsigned int i = 0; i < spin->now; i++) {
		if (ready(engine)) {
			if (spin->max != IPC_SPIN_FOREVER)
				spin->now += MIN(spin->now, spin->max - spin->now);
			return true;
		}
		cpu_relax();
	}
	if (spin->max != IPC_SPIN_FOREVER)
		spin->now = MAX(spin->now / 2, MIN(spin->max, SPIN_PROBE));
	return false;
}

/* Sleep, as the callback `wait`; who never sleeps only hears whether it should stop: 0 if not. */
static inline int nap(const struct spin *spin, const struct ipc_ring_ops *ops, void *ctx,
		      unsigned int events, uint64_t deadline)
{
	int ret;

	if (spin->max != IPC_SPIN_FOREVER)
		return ops->wait(ctx, events, deadline);
	ret = ops->wait(ctx, events, MSGC_NOW);
	if (ret != -EAGAIN)
		return ret;
	return deadline != MSGC_FOREVER && monotonic_ns() >= deadline ? -ETIMEDOUT : 0;
}

static inline const struct msgc_line *line_of(const struct msgc_status *status, uint32_t index)
{
	const char *lines = (const char *)status + status->line_off;

	return (const void *)(lines + index * sizeof(struct msgc_line));
}

/* An index is given away again: the line's id tells whose it is. */
static inline bool is_live(const struct msgc_line *line, uint32_t id)
{
	return load_acquire(&line->state) == MSGC_LIVE && load(&line->id) == id;
}

static inline uint32_t check_word(uint64_t pos, uint32_t span_flags)
{
	return (uint32_t)(pos >> 5) ^ span_flags;
}

static inline bool has_departed(uint8_t state)
{
	return state == MSGC_LEFT || state == MSGC_DIED;
}

/* A line as one: false while its owner changes, which ends with a new generation. */
static inline bool read_line(const struct msgc_line *line, struct msgc_line *copy)
{
	*copy = (struct msgc_line){
		.id = load_acquire(&line->id),
		.state = load_acquire(&line->state),	/* before `end`, which is stored first */
		.ring_shift = load_acquire(&line->ring_shift),
		.attempts = load_acquire(&line->attempts),
		.since = load_acquire(&line->since),
		.head = load_acquire(&line->head),
		.redo = load_acquire(&line->redo),
		.end = load_acquire(&line->end),
		.receivers = load_acquire(&line->receivers),
	};
	return copy->id && load(&line->id) == copy->id &&
		(copy->state == MSGC_LIVE || has_departed(copy->state));
}

/* How far a ring may be read. Of a departed sender the kernel says it. @line: a copy. */
static inline uint64_t tail_now(const struct msgc_line *line, const __u64 *tail_word)
{
	return has_departed(line->state) ? line->end : load_acquire(tail_word);	/* pairs with 1 */
}

/* Reads that race with the sender by design: the thread sanitizer must not look at them. */
#ifdef __SANITIZE_THREAD__
#define MAY_RACE __attribute__((no_sanitize("thread")))
#else
#define MAY_RACE
#endif

/* A record's header, each word once, into a private copy. */
static inline void read_header(const char *data, uint64_t ring, uint64_t pos,
			       struct msgc_record *copy)
{
	const struct msgc_record *record = (const void *)(data + (pos & (ring - 1)));

	/* Acquire: before the line is read again, if it is nonsense. */
	copy->len = load_acquire(&record->len);
	copy->span_flags = load_acquire(&record->span_flags);
	copy->type = load_acquire(&record->type);
	copy->check = load_acquire(&record->check);
	copy->seq_format = load_acquire(&record->seq_format);
	copy->cookie = load_acquire(&record->cookie);
}

/* Header and payload, nothing else. (Any flag makes the span longer than every ring.) */
static inline bool header_is_plain(const struct msgc_record *header, uint64_t pos, uint64_t tail)
{
	uint64_t span = (uint64_t)header->span_flags * UNIT;

	return header->check == check_word(pos, header->span_flags) && span <= tail - pos &&
		(uint64_t)header->len + HEADER <= span;
}

/* Where the payload begins. */
static inline uint32_t header_bytes(const struct msgc_record *header)
{
	return HEADER + (header->span_flags & MSGC_R_EXT ? (uint32_t)sizeof(struct msgc_ext) : 0);
}

/* A record of any kind: plain, with a time, or a PAD. */
static inline bool header_is_sound(const struct msgc_record *header, uint64_t pos, uint64_t tail)
{
	uint32_t flags = header->span_flags & FLAGS_MASK;
	uint64_t span = MSGC_SPAN(header->span_flags);

	if (header->check != check_word(pos, header->span_flags))
		return false;
	if (span < HEADER || span > tail - pos)
		return false;
	if (flags == MSGC_R_PAD)
		return true;
	return !(flags & ~MSGC_R_EXT) && (uint64_t)header->len + header_bytes(header) <= span;
}

/*
 * Where the successor on an exclusive channel starts: a record start, line.head unless that is none
 * or below `low`. @line: a copy. False: no honest sender wrote such words.
 */
bool ipc_takeover_start(const struct msgc_line *line, const struct msgc_control *control,
			const __u64 *tail_word, const char *data, uint64_t *start);

#endif
