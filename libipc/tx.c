// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * tx.c - the sender of the ring engine: reserves records in place, publishes them, waits for space.
 *
 * The barriers are named as in the pictures of ring.h.
 */
#include "ring_shared.h"

#define HIWAT_STEPS	64U	/* the high-water mark is exact to this part of the ring */
#define LOSS_STEPS	16U	/* the oldest part of the ring that is overwritten in one go */

enum span_state { OPEN, COMMITTED, ABANDONED };

/* A reservation that is not published: all that its record will say. */
struct span {
	uint64_t pos, cookie;
	uint32_t bytes, len, type;
	uint8_t format;
	enum span_state state;
};

/*
 * Positions, from old to new: everything below `floor` has been released by everybody, or is given
 * up where the oldest is overwritten, so writing is safe below floor + ring; [floor, published) may
 * be read; [published, reserved) is private.
 */
struct ipc_tx {
	struct ipc_ring_map map;
	const struct ipc_ring_ops *ops;
	void *ctx;
	const struct msgc_line *line;		/* own */
	__u64 *tail;
	struct msgc_control *control;
	const __u64 *hot;			/* word with its bit; NULL: not used here */
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
	tx->hot = map->status->hot_used ? &map->status->hot[map->number / 64] : NULL;
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
		/* x, y: pairs with b; for untethered receivers o1, o2: pairs with o7 */
		store_barrier(&tx->control->low, tx->low);
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
 * No tethered receiver takes from this sender, so nobody makes space. One that just joins or
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

	return (before & after) && !(before & takes) && load(&status->generation) == generation;
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

/* Nobody is asked on such a channel. What goes is said before it goes (o1 in observe.c). */
static bool overwrites(const struct ipc_tx *tx)
{
	return tx->map.status->flags & MSGC_UNTETHERED_ONLY;
}

/* Give up the oldest published records, some more than needed: the barrier is paid per step. */
static int overwrite(struct ipc_tx *tx, uint64_t need)
{
	uint64_t step = tx->floor + tx->map.ring / LOSS_STEPS;
	int err = need > tx->published ? ipc_tx_publish(tx) : 0;

	if (err < 0)
		return err;
	if (need > tx->published)
		return -EBUSY;
	note_depth(tx);
	tx->low = round_to_start(tx, MAX(need, step));
	store_barrier(&tx->control->low, tx->low);		/* o1, o2: pairs with o7 */
	move_floor(tx, tx->low);
	return 0;
}

static int make_room(struct ipc_tx *tx, uint64_t need, uint64_t deadline)
{
	int err;

	if (overwrites(tx))
		return overwrite(tx, need);
	err = raise_limit(tx);
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

/*
 * 3: somebody sleeps, or nobody looks at this ring any more. Read anew each time, or who has joined
 * since is missed, or who found the ring empty in the meantime.
 */
static bool wants_kick(const struct ipc_tx *tx)
{
	if (load_ordered(&tx->map.status->armed) & load_ordered(&tx->line->receivers))
		return true;
	return tx->hot && !(load_ordered(tx->hot) >> tx->map.number % 64 & 1);
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
	if (moved && wants_kick(tx)) {
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
	int held;

	if (overwrites(tx))
		return -EOPNOTSUPP;
	held = ipc_tx_publish(tx);
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
