// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * ring.c - the ring-mode engine: records in place, space, and who has to be woken.
 *
 * Every word that another process may write is read once into a private copy, checked, and only the
 * copy used. An own word is stored, never read back. The barriers are named as in the pictures of
 * ring.h.
 */
#include "ring.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define UNIT		32U		/* records start and end at multiples of this */
#define HEADER		((uint32_t)sizeof(struct msgc_record))
#define SEQ_MASK	((1ULL << 56) - 1)
#define FLAGS_MASK	(~0U << 26)	/* of span_flags: what is not span */
#define SPIN_PROBE	16U		/* looks that are risked though none paid lately */
#define HIWAT_STEPS	64U		/* the high-water mark is exact to this part of the ring */
#define NONE		UINT32_MAX	/* no borrow, no source */

#define MIN(a, b)	((a) < (b) ? (a) : (b))
#define MAX(a, b)	((a) > (b) ? (a) : (b))

#define load(p)			__atomic_load_n(p, __ATOMIC_RELAXED)
#define load_acquire(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
/* Stays behind a full barrier. */
#define load_ordered(p)		__atomic_load_n(p, __ATOMIC_SEQ_CST)
#define store(p, v)		__atomic_store_n(p, v, __ATOMIC_RELAXED)
#define store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
/* Store and full barrier in one locked instruction: half the price of a store and mfence. */
#define store_barrier(p, v)	((void)__atomic_exchange_n(p, v, __ATOMIC_SEQ_CST))

/* ---- common ---- */

/* Looking again before going to sleep, as often as it paid lately. */
struct spin {
	unsigned int max, now;
};

static void spin_init(struct spin *spin, unsigned int max)
{
	spin->max = max;
	spin->now = MIN(max, SPIN_PROBE);
}

static inline void cpu_relax(void)
{
#ifdef __has_builtin
#if __has_builtin(__builtin_ia32_pause)
	__builtin_ia32_pause();
#endif
#endif
}

static bool spin_until(struct spin *spin, bool (*ready)(void *), void *engine)
{
	for (unsigned int i = 0; i < spin->now; i++) {
		if (ready(engine)) {
			spin->now += MIN(spin->now, spin->max - spin->now);
			return true;
		}
		cpu_relax();
	}
	spin->now = MAX(spin->now / 2, MIN(spin->max, SPIN_PROBE));
	return false;
}

static const struct msgc_line *line_of(const struct msgc_status *status, uint32_t index)
{
	const char *lines = (const char *)status + status->line_off;

	return (const void *)(lines + index * sizeof(struct msgc_line));
}

/* An index is given away again: the line's id tells whose it is. */
static bool is_live(const struct msgc_line *line, uint32_t id)
{
	return load_acquire(&line->state) == MSGC_LIVE && load(&line->id) == id;
}

static uint32_t check_word(uint64_t pos, uint32_t span_flags)
{
	return (uint32_t)(pos >> 5) ^ span_flags;
}

/* ---- sender ---- */

enum span_state { OPEN, COMMITTED, ABANDONED };

/* A reservation that is not published: all that its record will say. */
struct span {
	uint64_t pos, cookie;
	uint32_t bytes, len, type;
	uint8_t format;
	enum span_state state;
};

/*
 * Positions, from old to new: everything below `floor` has been released by everybody, so writing
 * is safe below floor + ring; [floor, published) may be read; [published, reserved) is private.
 */
struct ipc_tx {
	struct ipc_ring_map map;
	const struct ipc_ring_ops *ops;
	void *ctx;
	const struct msgc_line *line;		/* own */
	__u64 *tail;
	struct msgc_control *control;
	uint64_t since;				/* generation that made this a member */
	uint64_t floor, published, reserved;
	uint64_t low, need;			/* as they stand in the control page */
	uint64_t hiwat, drops, waits, seq;
	uint64_t first, next;			/* running numbers of the unpublished spans */
	unsigned int committed;			/* of these */
	struct spin spin;
	struct span span[IPC_TX_OPEN];
	/*
	 * A bit per UNIT of the ring: a published record starts here. Rounding to it must be exact
	 * for an honest head, or a successor would begin above what its predecessor has released.
	 */
	uint64_t starts[];
};

size_t ipc_tx_size(uint64_t ring)
{
	return sizeof(struct ipc_tx) + ring / UNIT / 8;
}

struct ipc_tx *ipc_tx_init(void *mem, const struct ipc_ring_map *map,
			   const struct ipc_ring_ops *ops, void *ctx, unsigned int spin)
{
	struct ipc_tx *tx = mem;

	memset(tx, 0, ipc_tx_size(map->ring));
	tx->map = *map;
	tx->ops = ops;
	tx->ctx = ctx;
	tx->line = line_of(map->status, MSGC_INDEX(map->id));
	tx->tail = (__u64 *)((char *)map->own + MSGC_TAIL_AT(map->number));
	tx->control = (void *)((char *)map->own + MSGC_CONTROL_AT(map->number));
	tx->since = tx->line->since;
	spin_init(&tx->spin, spin);
	return tx;
}

static struct span *span_at(struct ipc_tx *tx, uint64_t number)
{
	return &tx->span[number % IPC_TX_OPEN];
}

static void *ring_at(const struct ipc_tx *tx, uint64_t pos)
{
	return (char *)tx->map.data + (pos & (tx->map.ring - 1));
}

static uint64_t unit_of(const struct ipc_tx *tx, uint64_t pos)
{
	return (pos & (tx->map.ring - 1)) / UNIT;
}

static void mark_start(struct ipc_tx *tx, uint64_t pos)
{
	uint64_t unit = unit_of(tx, pos);

	tx->starts[unit / 64] |= 1ULL << (unit % 64);
}

/* The first record start at or above @pos; the tail is one. */
static uint64_t round_to_start(const struct ipc_tx *tx, uint64_t pos)
{
	while (pos < tx->published) {
		uint64_t unit = unit_of(tx, pos);
		uint64_t marks = tx->starts[unit / 64] >> (unit % 64);

		if (marks)
			return MIN(pos + UNIT * (uint64_t)__builtin_ctzll(marks), tx->published);
		pos += UNIT * (64 - unit % 64);
	}
	return tx->published;
}

/* What lies below @floor may be written again. */
static void move_floor(struct ipc_tx *tx, uint64_t floor)
{
	while (tx->floor < floor) {
		uint64_t unit = unit_of(tx, tx->floor);
		uint64_t n = MIN(64 - unit % 64, (floor - tx->floor) / UNIT);

		tx->starts[unit / 64] &= ~(~0ULL >> (64 - n) << (unit % 64));
		tx->floor += n * UNIT;
	}
}

/* Where receiver @r stands. A wrong value may be its fault, or of one who lowered its own tail. */
static int head_of(struct ipc_tx *tx, uint32_t r, uint64_t *head)
{
	const char *window = tx->map.peer;
	const struct msgc_slots *slots = (const void *)(window + r * tx->map.peer_stride);
	const struct msgc_slot *slot = &slots->slot[tx->map.number];
	/* The id before its words: the next owner of this index must not pay for them. */
	uint32_t id = load_acquire(&line_of(tx->map.status, r)->id);
	int err;

	/* Acquire, either way: its reads of our records come before our writes. */
	*head = load_acquire(&tx->line->head);
	if (load_acquire(&slot->gen) == tx->since) {
		*head = load_acquire(&slot->head);
		if (*head % UNIT || *head < tx->floor || *head > tx->published) {
			err = tx->ops->refuse(tx->ctx, id);
			if (err < 0 && err != -ENOENT)
				return err;
			*head = tx->floor;
		}
	}
	return 0;
}

/* The smallest head of those that hold space; without any, what the last of them left behind. */
static int smallest_head(struct ipc_tx *tx, uint64_t *smallest)
{
	uint64_t members = load(&tx->map.status->tethered) & load(&tx->line->receivers);
	uint64_t head, min = members ? tx->published : load_acquire(&tx->line->head);

	for (; members; members &= members - 1) {
		int err = head_of(tx, (uint32_t)__builtin_ctzll(members), &head);

		if (err < 0)
			return err;
		min = MIN(min, head);
	}
	*smallest = MIN(min, tx->published);
	return 0;
}

static void note_depth(struct ipc_tx *tx)
{
	uint64_t depth = tx->published - tx->floor;

	if (depth > tx->hiwat) {
		tx->hiwat = depth;
		store(&tx->control->hiwat, depth);
	}
}

/* Look at the heads and move the floor up to the smallest. */
static int raise_limit(struct ipc_tx *tx)
{
	uint64_t generation, head;
	int err;

	do {
		generation = load_acquire(&tx->map.status->generation);
		err = smallest_head(tx, &head);
		if (err < 0)
			return err;
		if (head <= tx->floor)
			break;
		tx->low = MAX(tx->low, round_to_start(tx, head));
		store_barrier(&tx->control->low, tx->low);		/* x, y: pairs with b */
		/* z */
	} while (load_ordered(&tx->map.status->generation) != generation);
	move_floor(tx, MAX(head, tx->floor));
	note_depth(tx);
	return 0;
}

static void set_need(struct ipc_tx *tx, uint64_t need)
{
	tx->need = need;
	store_release(&tx->control->need, need);
}

/*
 * A tethered receiver takes nothing from this sender, so nobody makes space. One that just joins or
 * leaves must not look like that: the kernel lets a bit of `receivers` stand as long as that of
 * `tethered`, and changes the generation between two owners of one bit.
 */
static bool pair_refused(const struct ipc_tx *tx)
{
	const struct msgc_status *status = tx->map.status;
	uint64_t generation = load_acquire(&status->generation);
	uint64_t before = load_acquire(&status->tethered);
	uint64_t takes = load_acquire(&tx->line->receivers);
	uint64_t after = load_acquire(&status->tethered);

	return (before & after & ~takes) && load(&status->generation) == generation;
}

static bool space_moved(void *engine)
{
	struct ipc_tx *tx = engine;
	uint64_t head;

	return smallest_head(tx, &head) < 0 || head >= tx->need;
}

/* Wait until everything below @need has been released. The kernel's A' to C' are in `wait`. */
static int wait_released(struct ipc_tx *tx, uint64_t need, uint64_t deadline)
{
	int err;

	set_need(tx, need);
	for (;;) {
		err = raise_limit(tx);
		if (err < 0)
			return err;
		if (tx->floor >= need)
			break;
		if (pair_refused(tx))
			return -EPROTO;
		if (deadline == MSGC_NOW)
			return -EAGAIN;
		if (spin_until(&tx->spin, space_moved, tx))
			continue;
		store(&tx->control->waits, ++tx->waits);
		err = tx->ops->wait(tx->ctx, MSGC_OUT, deadline);
		if (err < 0)
			return err;
	}
	set_need(tx, 0);
	return 0;
}

static int make_room(struct ipc_tx *tx, uint64_t need, uint64_t deadline)
{
	int err = raise_limit(tx);

	if (err < 0)
		return err;
	if (tx->floor >= need)
		return 0;
	err = ipc_tx_publish(tx);	/* who sleeps on what he has not published is never woken */
	if (err < 0)
		return err;
	if (need > tx->published)
		return -EBUSY;
	return wait_released(tx, need, deadline);
}

int ipc_tx_reserve(struct ipc_tx *tx, struct ipc_msg *msg, uint32_t len, uint64_t deadline)
{
	uint64_t end;
	struct span *span;
	int err;

	if (len > tx->map.ring - HEADER)
		return -EMSGSIZE;
	if (tx->next - tx->first == IPC_TX_OPEN) {
		err = ipc_tx_publish(tx);
		if (err < 0)
			return err;
		if (tx->next - tx->first == IPC_TX_OPEN)
			return -ENOBUFS;
	}
	end = tx->reserved + HEADER + (len + (UNIT - 1)) / UNIT * UNIT;
	if (end > tx->floor + tx->map.ring) {
		err = make_room(tx, end - tx->map.ring, deadline);
		if (err < 0)
			return err;
	}
	if (tx->need)
		set_need(tx, 0);	/* of an earlier one that failed */
	span = span_at(tx, tx->next);
	*span = (struct span){ .pos = tx->reserved, .bytes = (uint32_t)(end - tx->reserved) };
	msg->data = (char *)ring_at(tx, span->pos) + HEADER;
	msg->len = len;
	msg->cap = len;
	msg->priv[0] = tx->next++;
	msg->priv[1] = (uintptr_t)tx;
	tx->reserved = end;
	return 0;
}

static struct span *find_open(struct ipc_tx *tx, const struct ipc_msg *msg)
{
	struct span *span = span_at(tx, msg->priv[0]);

	if (msg->priv[1] != (uintptr_t)tx || msg->priv[0] < tx->first || msg->priv[0] >= tx->next)
		return NULL;
	return span->state == OPEN ? span : NULL;
}

int ipc_tx_commit(struct ipc_tx *tx, struct ipc_msg *msg)
{
	struct span *span = find_open(tx, msg);

	if (!span)
		return -EINVAL;
	if (msg->len > msg->cap || msg->len > span->bytes - HEADER)
		return -EMSGSIZE;
	span->len = msg->len;
	span->type = msg->type;
	span->format = msg->format;
	span->cookie = msg->cookie;
	span->state = COMMITTED;
	tx->committed++;
	msg->priv[1] = 0;	/* numbers are used again: it names no reservation any more */
	return 0;
}

/* Abandoned space at the end is free again; elsewhere it becomes a PAD. */
static void roll_back(struct ipc_tx *tx)
{
	while (tx->next != tx->first && span_at(tx, tx->next - 1)->state == ABANDONED)
		tx->reserved = span_at(tx, --tx->next)->pos;
}

int ipc_tx_abandon(struct ipc_tx *tx, struct ipc_msg *msg)
{
	struct span *span = find_open(tx, msg);

	if (!span)
		return -EINVAL;
	span->state = ABANDONED;
	msg->priv[1] = 0;
	roll_back(tx);
	return 0;
}

/* In position order: running numbers show the receiver what it missed, so a PAD carries none. */
static void write_record(struct ipc_tx *tx, const struct span *span)
{
	struct msgc_record *record = ring_at(tx, span->pos);
	uint32_t span_flags = span->bytes / UNIT;

	if (span->state == ABANDONED)
		span_flags |= MSGC_R_PAD;
	else
		tx->seq = (tx->seq + 1) & SEQ_MASK;
	*record = (struct msgc_record){
		.len = span->len,
		.span_flags = span_flags,
		.type = span->type,
		.check = check_word(span->pos, span_flags),
		.seq_format = span->state == ABANDONED ? 0 : tx->seq | (uint64_t)span->format << 56,
		.cookie = span->cookie,
	};
	mark_start(tx, span->pos);
}

static uint64_t write_finished(struct ipc_tx *tx)
{
	uint64_t end = tx->published;

	while (tx->first != tx->next) {
		const struct span *span = span_at(tx, tx->first);

		if (span->state == OPEN)
			break;
		if (span->state == COMMITTED)
			tx->committed--;
		write_record(tx, span);
		end += span->bytes;
		tx->first++;
	}
	return end;
}

int ipc_tx_publish(struct ipc_tx *tx)
{
	uint64_t end = write_finished(tx);
	bool moved = end != tx->published;
	int err;

	if (moved) {
		tx->published = end;
		store_barrier(tx->tail, end);		/* 1, 2: pairs with B */
	}
	if (!is_live(tx->line, tx->map.id))
		return -ESHUTDOWN;
	/* 3: read anew each time, or somebody who has joined since is missed. */
	if (moved && (load_ordered(&tx->map.status->armed) & load_ordered(&tx->line->receivers))) {
		err = tx->ops->kick(tx->ctx);
		if (err < 0)
			return err;
	}
	if (end - tx->floor > tx->hiwat + tx->map.ring / HIWAT_STEPS)
		raise_limit(tx);			/* its error is the next reserve's */
	return (int)tx->committed;
}

int ipc_tx_finish(struct ipc_tx *tx)
{
	for (uint64_t n = tx->first; n != tx->next; n++)
		if (span_at(tx, n)->state == OPEN)
			span_at(tx, n)->state = ABANDONED;
	roll_back(tx);
	return ipc_tx_publish(tx);
}

int ipc_tx_drain(struct ipc_tx *tx, uint64_t deadline)
{
	int held = ipc_tx_publish(tx);

	if (held < 0)
		return held;
	if (held > 0)
		return -EBUSY;
	return wait_released(tx, tx->published, deadline);
}

void ipc_tx_dropped(struct ipc_tx *tx, uint64_t n)
{
	tx->drops += n;
	store(&tx->control->drops, tx->drops);
}

/* ---- receiver ---- */

/* A message that the application holds, or a free place for one. */
struct borrow {
	uint64_t pos;			/* of its record */
	uint64_t stamp;			/* unique: tells a released message from the next here */
	uint32_t source;		/* NONE: that ring is gone */
	uint32_t next;			/* younger one of the same source, or the next free place */
	enum { FREE, BORROWED, RELEASED } state;
};

/* What is left of the quantum of one sender. */
struct turn {
	int64_t records, bytes;
};

static const struct turn full_turn = { 32, 65536 };

/* A sender's ring as this receiver sees it. Positions: head <= taken <= tail <= head + ring. */
struct source {
	const struct msgc_line *line;
	const __u64 *tail_word;
	const struct msgc_control *control;
	const char *data;
	struct msgc_slot *slot;		/* own */
	uint32_t id;			/* 0 = none */
	uint32_t accused;		/* id that the application is still to be told, 0 = none */
	bool departed;
	bool refused;			/* nothing more is taken from it */
	bool guilty;			/* refused by us: the kernel is still to be told */
	bool unproved;			/* starts where a predecessor said, which may have lied */
	bool gap;			/* an unknown number of messages is lost here */
	bool touched;			/* head is to be stored */
	uint8_t attempts;
	uint64_t since, ring, redo;
	uint64_t end;			/* of a departed one */
	uint64_t tail, taken, head;
	uint64_t checked;		/* head at the last look at space_at */
	uint64_t seq;			/* next running number, 0 = unknown */
	uint32_t oldest, youngest;	/* borrowed */
};

struct ipc_rx {
	struct ipc_ring_map map;
	const struct ipc_ring_ops *ops;
	void *ctx;
	const struct msgc_line *line;	/* own */
	uint64_t since;			/* generation that made this a member */
	bool stay;			/* for later senders: no end of stream */
	uint32_t max_senders;
	uint64_t generation;		/* of the membership as known here, 0 = to be read again */
	bool had_senders;		/* the stream can have an end */
	uint32_t accused;		/* sources that are */
	uint32_t departed, live;	/* how `order` is divided */
	uint32_t at;			/* in the live part: whose turn it is */
	struct turn turn;
	uint64_t rings;			/* bytes of all rings */
	uint64_t skipped;		/* bytes of PADs taken in this recv */
	uint32_t free, n_free;		/* places for messages */
	uint32_t n_touched;
	uint64_t stamp;
	uint64_t fence;
	struct spin spin;
	struct ipc_rx_counts counts;
	struct source *source;		/* by sender number */
	uint32_t *order;		/* numbers: departed ones first */
	uint32_t *touched;		/* numbers */
	struct borrow borrow[IPC_RX_BORROWED];
};

size_t ipc_rx_size(uint32_t max_senders)
{
	return sizeof(struct ipc_rx) + max_senders * (sizeof(struct source) + 2 * sizeof(uint32_t));
}

/*
 * For when several stores stand before it: one locked instruction on a private line. The compilers
 * turn a fence into mfence, which costs twice as much on x86.
 */
static void full_barrier(struct ipc_rx *rx)
{
	store_barrier(&rx->fence, 1);
}

static void touch(struct ipc_rx *rx, uint32_t n)
{
	if (!rx->source[n].touched)
		rx->touched[rx->n_touched++] = n;
	rx->source[n].touched = true;
}

/* Store the heads that moved; wake those senders whose space they were waiting for. */
static int settle(struct ipc_rx *rx)
{
	bool wanted = false;

	if (!rx->n_touched)
		return 0;
	for (uint32_t i = 0; i < rx->n_touched; i++) {
		struct source *src = &rx->source[rx->touched[i]];

		store_release(&src->slot->head, src->head);		/* 1' */
	}
	full_barrier(rx);						/* 2': pairs with B' */
	for (uint32_t i = 0; i < rx->n_touched; i++) {
		struct source *src = &rx->source[rx->touched[i]];
		uint64_t space_at = load_ordered(&src->line->space_at);	/* 3' */

		if (space_at > src->checked && space_at <= src->head)
			wanted = true;
		src->checked = src->head;
		src->touched = false;
	}
	rx->n_touched = 0;
	return wanted ? rx->ops->kick(rx->ctx) : 0;
}

static void put_borrow(struct ipc_rx *rx, uint32_t i)
{
	rx->borrow[i].state = FREE;
	rx->borrow[i].next = rx->free;
	rx->free = i;
	rx->n_free++;
}

/* What was borrowed from a ring that is gone can still be given back. */
static void orphan_borrowed(struct ipc_rx *rx, struct source *src)
{
	uint32_t i, next;

	for (i = src->oldest; i != NONE; i = next) {
		next = rx->borrow[i].next;
		rx->borrow[i].source = NONE;
		if (rx->borrow[i].state == RELEASED)
			put_borrow(rx, i);
	}
	src->oldest = NONE;
	src->youngest = NONE;
}

static void accuse(struct ipc_rx *rx, struct source *src, bool guilty)
{
	src->refused = true;
	src->guilty = guilty;
	rx->accused += !src->accused;
	src->accused = src->id;
	rx->counts.refused += guilty;
}

static bool has_departed(uint8_t state)
{
	return state == MSGC_LEFT || state == MSGC_DIED;
}

/* A line as one: false while its owner changes, which ends with a new generation. */
static bool read_line(const struct msgc_line *line, struct msgc_line *copy)
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

/* Begin to read a ring: where the last receiver stopped, but not below what is safe to read. */
static void position(struct ipc_rx *rx, uint32_t n, const struct msgc_line *line)
{
	struct source *src = &rx->source[n];
	uint64_t low = load_acquire(&src->control->low);	/* c: the kernel did a and b */
	uint64_t tail = src->departed ? line->end : load_acquire(src->tail_word);

	src->id = line->id;
	src->since = line->since;
	src->ring = 1ULL << line->ring_shift;
	src->redo = line->redo;
	src->attempts = line->attempts;
	src->refused = false;
	src->gap = low > line->head;
	if (low % UNIT || low > tail) {
		low = src->departed ? tail : line->head;	/* its end is the kernel's word */
		if (!src->departed)
			accuse(rx, src, true);
	}
	src->head = MAX(line->head, low);
	src->taken = src->head;
	src->tail = src->head;
	src->unproved = src->head != 0;
	src->seq = src->head ? 0 : 1;
	store(&src->slot->taken, src->taken);
	store(&src->slot->head, src->head);
	store_release(&src->slot->gen, src->since);
	/* This is a release: a sender that filled its ring before anybody came sleeps for it. */
	src->checked = 0;
	touch(rx, n);
}

static void look_at(struct ipc_rx *rx, uint32_t n)
{
	struct source *src = &rx->source[n];
	struct msgc_line line;
	bool there = read_line(src->line, &line);
	bool mine = line.receivers >> MSGC_INDEX(rx->map.id) & 1;

	if (src->id && (!there || src->since != line.since)) {
		orphan_borrowed(rx, src);
		src->id = 0;
	}
	if (!there)
		return;
	src->departed = has_departed(line.state);
	src->end = line.end;
	if (!src->id && mine)
		position(rx, n, &line);
	else if (src->id && !mine && !src->refused)
		accuse(rx, src, false);
}

static void sort_sources(struct ipc_rx *rx)
{
	uint32_t n, live = 0;

	rx->departed = 0;
	rx->rings = 0;
	for (n = 0; n < rx->max_senders; n++)
		if (rx->source[n].id && rx->source[n].departed)
			rx->order[rx->departed++] = n;
	for (n = 0; n < rx->max_senders; n++)
		if (rx->source[n].id && !rx->source[n].departed)
			rx->order[rx->departed + live++] = n;
	for (n = 0; n < rx->departed + live; n++)
		rx->rings += rx->source[rx->order[n]].ring;
	rx->live = live;
	rx->at = live ? rx->at % live : 0;
}

/* Bring the view of the membership up to @generation. */
static int refresh(struct ipc_rx *rx, uint64_t generation)
{
	if (generation == rx->generation)
		return 0;
	if (!is_live(rx->line, rx->map.id))
		return -ESHUTDOWN;
	for (uint32_t n = 0; n < rx->max_senders; n++)
		look_at(rx, n);
	sort_sources(rx);
	rx->generation = generation;
	return 0;
}

struct ipc_rx *ipc_rx_init(void *mem, const struct ipc_ring_map *map,
			   const struct ipc_ring_ops *ops, void *ctx, unsigned int spin)
{
	struct ipc_rx *rx = mem;
	uint32_t n, max = map->status->max_senders;

	memset(rx, 0, ipc_rx_size(max));
	rx->map = *map;
	rx->ops = ops;
	rx->ctx = ctx;
	rx->line = line_of(map->status, MSGC_INDEX(map->id));
	rx->since = rx->line->since;
	rx->stay = rx->line->flags & MSGC_STAY;
	rx->max_senders = max;
	rx->turn = full_turn;
	rx->source = (struct source *)(rx + 1);
	rx->order = (uint32_t *)(rx->source + max);
	rx->touched = rx->order + max;
	spin_init(&rx->spin, spin);
	for (n = 0; n < max; n++) {
		const char *control = (const char *)map->peer + n * map->peer_stride;

		rx->source[n].line = line_of(map->status, map->status->max_receivers + n);
		rx->source[n].tail_word = (const __u64 *)(control + MSGC_TAIL_AT(n));
		rx->source[n].control = (const void *)(control + MSGC_CONTROL_AT(n));
		rx->source[n].data = (const char *)map->data + n * map->data_stride;
		rx->source[n].slot = &((struct msgc_slots *)map->own)->slot[n];
		rx->source[n].oldest = NONE;
		rx->source[n].youngest = NONE;
	}
	rx->free = NONE;
	for (n = IPC_RX_BORROWED; n-- > 0; )
		put_borrow(rx, n);
	refresh(rx, load_acquire(&map->status->generation));
	rx->had_senders = rx->departed + rx->live > 0;
	settle(rx);
	return rx;
}

/* Memory that says nonsense may have been taken away or passed on: nobody's fault then. */
static bool ring_is_gone(struct ipc_rx *rx, const struct source *src)
{
	struct msgc_line line;

	if (read_line(src->line, &line) && line.since == src->since &&
	    has_departed(line.state) == src->departed)
		return false;
	rx->generation = 0;
	return true;
}

/* How far this ring may be read. Of a departed sender the kernel says it. */
static uint64_t look_at_tail(struct ipc_rx *rx, struct source *src)
{
	uint64_t tail;

	if (src->refused)
		return src->taken;
	tail = src->departed ? src->end : load_acquire(src->tail_word);	/* pairs with 1 */
	if (tail == src->tail)
		return tail;
	if (tail % UNIT == 0 && tail > src->tail && tail - src->head <= src->ring) {
		src->tail = tail;
		return tail;
	}
	if (!ring_is_gone(rx, src))
		accuse(rx, src, true);	/* also a dead one: the kernel believed what it left */
	return src->taken;
}

static void read_header(const struct source *src, uint64_t pos, struct msgc_record *copy)
{
	const __u64 *words = (const __u64 *)(src->data + (pos & (src->ring - 1)));
	__u64 header[4];

	/* Acquire: before the line is read again, if it is nonsense. */
	for (int i = 0; i < 4; i++)
		header[i] = load_acquire(&words[i]);
	memcpy(copy, header, sizeof(*copy));
}

static bool header_is_sound(const struct msgc_record *header, uint64_t pos, uint64_t tail)
{
	uint64_t span = MSGC_SPAN(header->span_flags);

	if (header->check != check_word(pos, header->span_flags))
		return false;
	if (header->span_flags & FLAGS_MASK & ~MSGC_R_PAD)
		return false;
	return span >= HEADER && span <= tail - pos &&
		(header->span_flags & MSGC_R_PAD || header->len <= span - HEADER);
}

/* What a predecessor left is no record: go on where one is known to start, blaming nobody. */
static void resume(struct ipc_rx *rx, uint32_t n, uint64_t tail)
{
	struct source *src = &rx->source[n];
	uint64_t low = load_acquire(&src->control->low);

	src->taken = low % UNIT == 0 && low > src->taken && low <= tail ? low : tail;
	src->head = src->taken;
	src->unproved = false;
	src->gap = true;
	rx->counts.lost++;
	touch(rx, n);
}

static void bad_record(struct ipc_rx *rx, uint32_t n, uint64_t tail)
{
	struct source *src = &rx->source[n];

	if (ring_is_gone(rx, src))
		return;
	if (src->unproved)
		resume(rx, n, tail);
	else
		accuse(rx, src, true);
}

static uint64_t count_missed(struct source *src, uint64_t seq)
{
	uint64_t missed = src->seq && seq > src->seq ? seq - src->seq : 0;

	if (src->gap && !missed)
		missed = 1;
	src->gap = false;
	src->seq = seq + 1;
	return missed;
}

static uint32_t get_borrow(struct ipc_rx *rx, uint32_t n, uint64_t pos)
{
	struct source *src = &rx->source[n];
	uint32_t i = rx->free;

	rx->free = rx->borrow[i].next;
	rx->n_free--;
	rx->borrow[i] = (struct borrow){
		.pos = pos, .stamp = ++rx->stamp, .source = n, .next = NONE, .state = BORROWED,
	};
	if (src->oldest == NONE)
		src->oldest = i;
	else
		rx->borrow[src->youngest].next = i;
	src->youngest = i;
	return i;
}

static void hand_out(struct ipc_rx *rx, uint32_t n, uint64_t pos, const struct msgc_record *header,
		     struct ipc_msg *msg)
{
	struct source *src = &rx->source[n];
	uint32_t i = get_borrow(rx, n, pos);
	bool again = pos < src->redo;

	*msg = (struct ipc_msg){
		.data = (void *)(uintptr_t)(src->data + (pos & (src->ring - 1)) + HEADER),
		.len = header->len,
		.cap = header->len,
		.type = header->type,
		.format = (uint8_t)(header->seq_format >> 56),
		.flags = again ? IPC_F_REDELIVERED : 0,
		.attempts = again ? src->attempts : 0,
		.peer = src->id,
		.seq = header->seq_format & SEQ_MASK,
		.cookie = header->cookie,
		.missed = count_missed(src, header->seq_format & SEQ_MASK),
		.priv = { i, rx->borrow[i].stamp, (uintptr_t)rx },
	};
}

/* A PAD is released with what precedes it: at once, where nothing does. */
static void skip_pad(struct ipc_rx *rx, uint32_t n, uint64_t span)
{
	struct source *src = &rx->source[n];

	rx->skipped += span;
	if (src->oldest == NONE) {
		src->head = src->taken;
		touch(rx, n);
	}
}

static bool is_over(const struct turn *turn)
{
	return turn->records <= 0 || turn->bytes <= 0;
}

/* Take up to @max messages from one ring, within its turn. */
static unsigned int take(struct ipc_rx *rx, uint32_t n, struct turn *turn, struct ipc_msg *msgs,
			 unsigned int max)
{
	struct source *src = &rx->source[n];
	uint64_t tail = look_at_tail(rx, src);
	uint64_t was_taken = src->taken;
	unsigned int got = 0;

	while (src->taken != tail && got < max && !is_over(turn)) {
		struct msgc_record header;
		uint64_t pos = src->taken, span;

		read_header(src, pos, &header);
		if (!header_is_sound(&header, pos, tail)) {
			bad_record(rx, n, tail);
			break;
		}
		span = MSGC_SPAN(header.span_flags);
		src->taken += span;
		src->unproved = false;
		turn->records--;
		turn->bytes -= (int64_t)span;
		if (header.span_flags & MSGC_R_PAD)
			skip_pad(rx, n, span);
		else
			hand_out(rx, n, pos, &header, &msgs[got++]);
	}
	/* Before the application sees them: should it die, a successor flags them. */
	if (src->taken != was_taken)
		store_release(&src->slot->taken, src->taken);
	return got;
}

static unsigned int drain_departed(struct ipc_rx *rx, struct ipc_msg *msgs, unsigned int max)
{
	unsigned int got = 0;

	for (uint32_t i = 0; i < rx->departed; i++) {
		const struct source *src = &rx->source[rx->order[i]];
		uint64_t was_taken;

		do {
			struct turn turn = full_turn;

			was_taken = src->taken;
			got += take(rx, rx->order[i], &turn, msgs + got, max - got);
		} while (src->taken != was_taken);
	}
	return got;
}

/* The rings of the departed first, then the living in turn, until all are empty. */
static unsigned int scan(struct ipc_rx *rx, struct ipc_msg *msgs, unsigned int max)
{
	unsigned int got = drain_departed(rx, msgs, max);
	uint32_t idle = 0;

	/* More PADs than all rings hold were published during this very call: enough of them. */
	while (idle < rx->live && got < max && rx->skipped <= rx->rings) {
		uint32_t n = rx->order[rx->departed + rx->at];
		uint64_t was_taken = rx->source[n].taken;

		got += take(rx, n, &rx->turn, msgs + got, max - got);
		idle = rx->source[n].taken == was_taken ? idle + 1 : 0;
		if (got < max || is_over(&rx->turn)) {
			rx->at = (rx->at + 1) % rx->live;
			rx->turn = full_turn;
		}
	}
	return got;
}

/* Tell the application of one sender whose messages have ended here. */
static int report_accused(struct ipc_rx *rx, struct ipc_msg *msg)
{
	struct source *src = rx->source;

	if (!rx->accused)
		return 0;
	while (!src->accused)
		src++;
	*msg = (struct ipc_msg){ .peer = src->accused };
	src->accused = 0;
	rx->accused--;
	if (src->guilty)
		rx->ops->refuse(rx->ctx, msg->peer);	/* whatever that returns: we take no more */
	return -EPROTO;
}

static bool senders_gone(const struct ipc_rx *rx)
{
	const struct msgc_status *status = rx->map.status;

	if (rx->stay || load_acquire(&status->senders))
		return false;
	return rx->had_senders || load(&status->joined) > rx->since;
}

static bool something_moved(void *engine)
{
	struct ipc_rx *rx = engine;

	if (load(&rx->map.status->generation) != rx->generation)
		return true;
	for (uint32_t i = 0; i < rx->live; i++) {
		const struct source *src = &rx->source[rx->order[rx->departed + i]];

		if (!src->refused && load(src->tail_word) != src->taken)
			return true;
	}
	return false;
}

/* One look at everything: messages, or why there are none; -EAGAIN: none yet. */
static int look(struct ipc_rx *rx, struct ipc_msg *msgs, unsigned int max)
{
	uint64_t generation = load_acquire(&rx->map.status->generation);
	int err = refresh(rx, generation);
	unsigned int got;
	bool gone;

	if (err < 0)
		return err;
	err = report_accused(rx, msgs);
	if (err < 0)
		return err;
	gone = senders_gone(rx);	/* before the scan, which then sees their last messages */
	rx->skipped = 0;
	got = scan(rx, msgs, MIN(max, rx->n_free));
	err = settle(rx);
	if (got)
		return (int)got;
	if (err < 0)
		return err;
	err = report_accused(rx, msgs);
	if (err < 0)
		return err;
	if (!rx->n_free)
		return -ENOBUFS;
	if (gone && rx->generation && load_acquire(&rx->map.status->generation) == generation)
		return -EPIPE;
	return -EAGAIN;
}

int ipc_rx_recv(struct ipc_rx *rx, struct ipc_msg *msgs, unsigned int n, uint64_t deadline)
{
	bool spun = false;
	int got;

	if (!n)
		return -EINVAL;
	for (;;) {
		got = look(rx, msgs, n);
		if (got != -EAGAIN || deadline == MSGC_NOW)
			return got;
		/* Not twice in a row: who makes it pay for nothing must not keep us from `wait`. */
		spun = !spun && spin_until(&rx->spin, something_moved, rx);
		if (spun)
			continue;
		got = rx->ops->wait(rx->ctx, MSGC_IN, deadline);
		if (got < 0)
			return got;
		if (got & MSGC_HUP)		/* one left between our attach and our first look */
			rx->had_senders = true;
	}
}

static struct borrow *find_borrowed(struct ipc_rx *rx, const struct ipc_msg *msg)
{
	struct borrow *borrow;

	if (msg->priv[2] != (uintptr_t)rx || msg->priv[0] >= IPC_RX_BORROWED)
		return NULL;
	borrow = &rx->borrow[msg->priv[0]];
	return borrow->state == BORROWED && borrow->stamp == msg->priv[1] ? borrow : NULL;
}

/* The head stays before the oldest that is still held. */
static void release_prefix(struct ipc_rx *rx, uint32_t n)
{
	struct source *src = &rx->source[n];
	uint32_t i = src->oldest;

	if (i == NONE || rx->borrow[i].state != RELEASED)
		return;
	while (i != NONE && rx->borrow[i].state == RELEASED) {
		src->oldest = rx->borrow[i].next;
		put_borrow(rx, i);
		i = src->oldest;
	}
	src->head = i == NONE ? src->taken : rx->borrow[i].pos;
	touch(rx, n);
}

int ipc_rx_release(struct ipc_rx *rx, const struct ipc_msg *msgs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct borrow *borrow = find_borrowed(rx, &msgs[i]);

		if (!borrow) {
			while (i-- > 0)
				rx->borrow[msgs[i].priv[0]].state = BORROWED;
			return -EINVAL;
		}
		borrow->state = RELEASED;
	}
	for (unsigned int i = 0; i < n; i++) {
		struct borrow *borrow = &rx->borrow[msgs[i].priv[0]];

		if (borrow->state != RELEASED)		/* went with an older one */
			continue;
		if (borrow->source == NONE)
			put_borrow(rx, (uint32_t)(borrow - rx->borrow));
		else
			release_prefix(rx, borrow->source);
	}
	return settle(rx);
}

void ipc_rx_counts(const struct ipc_rx *rx, struct ipc_rx_counts *counts)
{
	*counts = rx->counts;
}
