// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * tx.c - the sender of the ring engine: reserves records in place, publishes them, waits for space.
 *
 * The barriers are named as in the pictures of ring.h.
 */
#include "ring_shared.h"

#define HIWAT_STEPS	16U	/* the high-water mark is exact to this part of the ring */
#define LOSS_STEPS	16U	/* the oldest part of the ring that is overwritten in one go */

/*
 * A reservation whose record is not finished, as of it or of an older one something is open: its
 * position, and its state in the bits that every position leaves zero. It ends where the next one
 * begins, or the next one would.
 */
#define OPEN		0U
#define COMMITTED	1U
#define ABANDONED	2U
#define STATE		(UNIT - 1)
#define SPANS		(2 * IPC_TX_OPEN)	/* room for one more than may be */

/*
 * Positions, from old to new: everything below `floor` has been released by everybody, or is given
 * up where the oldest is overwritten, so writing is safe below floor + ring; [floor, published) may
 * be read; [published, finished) are whole records, their running numbers given; [finished,
 * reserved) are spans.
 */
struct ipc_tx {
	/* all that a message needs, on the first lines */
	char *data;
	uint64_t mask;				/* of positions in the ring */
	uint64_t reserved, limit;		/* limit: of it; 0: look closer */
	uint64_t first, next;			/* running numbers of the spans */
	uint64_t finished, seq;
	uint32_t header;			/* bytes before a payload */
	uint32_t held_back;			/* spans committed behind an open one */
	uint64_t published, floor;
	uint64_t look_at;			/* published beyond this: is it a new high water? */
	__u64 *tail;
	const struct msgc_line *line;		/* own */
	const struct msgc_status *status;
	const __u64 *hot;			/* word with its bit; NULL: not used here */

	struct ipc_ring_map map;
	const struct ipc_ring_ops *ops;
	void *ctx;
	struct msgc_control *control;
	uint64_t since;				/* generation that made this a member */
	bool overwrites;			/* the oldest, waiting for nobody */
	uint64_t low, need;			/* as they stand in the control page */
	uint64_t hiwat, drops, waits;
	/* The receiver that held the floor down at this generation: it alone can let it rise. */
	struct {
		uint32_t index;
		uint64_t generation, head;
	} laggard;
	struct spin spin;
	uint64_t span[SPANS];
	uint8_t format[SPANS];			/* of those held back */
};

size_t ipc_tx_size(void)
{
	return sizeof(struct ipc_tx);
}

static void set_limit(struct ipc_tx *tx)
{
	tx->limit = tx->need ? 0 : tx->floor + tx->map.ring;
	tx->look_at = tx->floor + tx->hiwat + tx->map.ring / HIWAT_STEPS;
}

struct ipc_tx *ipc_tx_init(void *mem, const struct ipc_ring_map *map,
			   const struct ipc_ring_ops *ops, void *ctx, unsigned int spin)
{
	struct ipc_tx *tx = mem;

	memset(tx, 0, sizeof(*tx));
	tx->data = map->data;
	tx->mask = map->ring - 1;
	tx->header = HEADER + (map->timed ? (uint32_t)sizeof(struct msgc_ext) : 0);
	tx->map = *map;
	tx->ops = ops;
	tx->ctx = ctx;
	tx->status = map->status;
	tx->line = line_of(map->status, MSGC_INDEX(map->id));
	tx->tail = (__u64 *)((char *)map->own + MSGC_TAIL_AT(map->number));
	tx->control = (void *)((char *)map->own + MSGC_CONTROL_AT(map->number));
	tx->hot = map->status->hot_used ? &map->status->hot[map->number / 64] : NULL;
	tx->since = tx->line->since;
	tx->overwrites = map->status->flags & MSGC_UNTETHERED_ONLY;
	spin_init(&tx->spin, spin);
	set_limit(tx);
	return tx;
}

static inline uint64_t *span_at(struct ipc_tx *tx, uint64_t number)
{
	return &tx->span[number % SPANS];
}

static inline uint32_t state_of(struct ipc_tx *tx, uint64_t number)
{
	return *span_at(tx, number) & STATE;
}

static inline uint64_t start_of(struct ipc_tx *tx, uint64_t number)
{
	return *span_at(tx, number) & ~(uint64_t)STATE;
}

static inline void *ring_at(const struct ipc_tx *tx, uint64_t pos)
{
	return tx->data + (pos & tx->mask);
}

/*
 * The first record start at or above @pos; the tail is one. Found by walking from `low`. Exact
 * for an honest head, or a successor would begin above what its predecessor has released. The
 * records on the way are ours: nobody else writes here, and nobody has overwritten them yet.
 */
static uint64_t round_to_start(const struct ipc_tx *tx, uint64_t pos)
{
	uint64_t start = tx->low, span;

	while (start < MIN(pos, tx->published)) {
		span = MSGC_SPAN(((struct msgc_record *)ring_at(tx, start))->span_flags);
		/* our own process may have written over it, but shall not hang here */
		start += MAX(span, HEADER);
	}
	return MIN(start, tx->published);
}

/* What lies below @floor may be written again. */
static void move_floor(struct ipc_tx *tx, uint64_t floor)
{
	tx->floor = MAX(tx->floor, floor);
	set_limit(tx);
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

/* The kernel owns the head: receivers' slots say nothing, and what they mark only it looks at. */
static bool is_balanced(const struct ipc_tx *tx)
{
	return tx->status->delivery == MSGC_BALANCED;
}

/* Those whose slots say what they have released. */
static uint64_t holders(const struct ipc_tx *tx)
{
	if (is_balanced(tx))
		return 0;
	/* Acquire: what a receiver read that has left comes before our writes. */
	return load_acquire(&tx->status->tethered) & load_acquire(&tx->line->receivers);
}

/* The smallest head of those that hold space; without any, what the last of them left behind. */
static int smallest_head(struct ipc_tx *tx, uint64_t *smallest)
{
	uint64_t members = holders(tx);
	uint64_t head, min = members ? tx->published : load_acquire(&tx->line->head);

	tx->laggard.index = NONE;
	for (; members; members &= members - 1) {
		uint32_t r = (uint32_t)__builtin_ctzll(members);
		int err = head_of(tx, r, &head);

		if (err < 0)
			return err;
		if (head < min || tx->laggard.index == NONE)
			tx->laggard.index = r;
		min = MIN(min, head);
	}
	*smallest = MIN(min, tx->published);
	tx->laggard.head = *smallest;
	return 0;
}

/* While it has not moved, and nobody came or went, the other heads need no look. */
static bool laggard_stays(struct ipc_tx *tx, uint64_t generation)
{
	uint64_t head;

	return tx->laggard.generation == generation && tx->laggard.index != NONE &&
		tx->laggard.head == tx->floor &&
		head_of(tx, tx->laggard.index, &head) == 0 && head <= tx->floor;
}

static void note_depth(struct ipc_tx *tx)
{
	uint64_t depth = tx->published - tx->floor;

	if (depth > tx->hiwat) {
		tx->hiwat = depth;
		store(&tx->control->hiwat, depth);
	}
	set_limit(tx);
}

/* Look at the heads and move the floor up to the smallest. */
static int raise_limit(struct ipc_tx *tx)
{
	uint64_t generation, head;
	int err;

	do {
		generation = load_acquire(&tx->status->generation);
		if (laggard_stays(tx, generation)) {
			head = tx->floor;
			break;
		}
		err = smallest_head(tx, &head);
		if (err < 0)
			return err;
		tx->laggard.generation = generation;
		if (head <= tx->floor)
			break;
		tx->low = round_to_start(tx, head);
		/* x, y: pairs with b; for untethered receivers o1, o2: pairs with o7 */
		store_barrier(&tx->control->low, tx->low);
		/* z */
	} while (load_ordered(&tx->status->generation) != generation);
	move_floor(tx, MAX(head, tx->floor));
	note_depth(tx);
	return 0;
}

static void set_need(struct ipc_tx *tx, uint64_t need)
{
	tx->need = need;
	store_release(&tx->control->need, need);
	set_limit(tx);
}

/*
 * No tethered receiver takes from this sender, so nobody makes space. One that just joins or
 * leaves must not look like that: the kernel lets a bit of `receivers` stand as long as that of
 * `tethered`, and changes the generation between two owners of one bit.
 */
static bool pair_refused(const struct ipc_tx *tx)
{
	const struct msgc_status *status = tx->status;
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

	if (laggard_stays(tx, load_acquire(&tx->status->generation)))
		return false;
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
		if (deadline == MSGC_NOW && !is_balanced(tx))
			return -EAGAIN;
		if (deadline == MSGC_NOW) {
			err = tx->ops->wait(tx->ctx, MSGC_OUT, MSGC_NOW);
		} else {
			if (spin_until(&tx->spin, space_moved, tx))
				continue;
			store(&tx->control->waits, ++tx->waits);
			err = nap(&tx->spin, tx->ops, tx->ctx, MSGC_OUT, deadline);
		}
		if (err < 0)
			return err;
	}
	set_need(tx, 0);
	return 0;
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
	/* Nobody is asked on such a channel. What goes is said before it goes. */
	store_barrier(&tx->control->low, tx->low);		/* o1, o2: pairs with o7 */
	move_floor(tx, tx->low);
	return 0;
}

static int make_room(struct ipc_tx *tx, uint64_t need, uint64_t deadline)
{
	int err;

	if (tx->overwrites)
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

static inline uint64_t bytes_of(const struct ipc_tx *tx, uint32_t len)
{
	return tx->header + ((uint64_t)len + (UNIT - 1)) / UNIT * UNIT;
}

/* There is no room below the limit, or it has to be looked at. */
static int prepare(struct ipc_tx *tx, uint32_t len, uint64_t deadline)
{
	uint64_t end = tx->reserved + bytes_of(tx, len);
	int err = 0;

	if (len > tx->map.ring - tx->header)
		return -EMSGSIZE;
	if (tx->next - tx->first == IPC_TX_OPEN) {
		err = ipc_tx_publish(tx);
		if (err < 0)
			return err;
		if (tx->next - tx->first == IPC_TX_OPEN)
			return -ENOBUFS;
	}
	if (end > tx->floor + tx->map.ring)
		err = make_room(tx, end - tx->map.ring, deadline);
	if (err >= 0 && tx->need)
		set_need(tx, 0);	/* of an earlier one that failed */
	return err;
}

static inline void grant(struct ipc_tx *tx, struct ipc_msg *msg, uint32_t len, uint64_t end)
{
	msg->data = (char *)ring_at(tx, tx->reserved) + tx->header;
	msg->len = len;
	msg->cap = len;
	msg->priv[0] = tx->next++;
	msg->priv[1] = (uintptr_t)tx;
	tx->reserved = end;
	*span_at(tx, tx->next) = end;
}

static slow_path int prepare_and_grant(struct ipc_tx *tx, struct ipc_msg *msg, uint32_t len,
				       uint64_t deadline)
{
	int err = prepare(tx, len, deadline);

	if (err < 0)
		return err;
	grant(tx, msg, len, tx->reserved + bytes_of(tx, len));
	return 0;
}

/* A length beyond the ring is beyond the limit too. */
int ipc_tx_reserve(struct ipc_tx *tx, struct ipc_msg *msg, uint32_t len, uint64_t deadline)
{
	uint64_t end = tx->reserved + bytes_of(tx, len);

	if (unlikely(end > tx->limit || tx->next - tx->first == IPC_TX_OPEN))
		return prepare_and_grant(tx, msg, len, deadline);
	grant(tx, msg, len, end);
	return 0;
}

static inline void write_record(struct ipc_tx *tx, uint64_t pos, uint64_t bytes,
				const struct ipc_msg *msg, uint64_t seq, uint32_t flags)
{
	struct msgc_record *record = ring_at(tx, pos);
	uint32_t span_flags = (uint32_t)(bytes / UNIT) | flags;

	record->len = msg->len;
	record->span_flags = span_flags;
	record->type = msg->type;
	record->check = check_word(pos, span_flags);
	record->seq_format = seq | (uint64_t)msg->format << 56;
	record->cookie = msg->cookie;
}

static inline void finish_first(struct ipc_tx *tx, uint64_t end)
{
	tx->finished = end;
	tx->first++;
}

/* In position order: running numbers show the receiver what it missed. */
static inline uint64_t next_seq(struct ipc_tx *tx)
{
	tx->seq = (tx->seq + 1) & SEQ_MASK;
	return tx->seq;
}

/* What an open one had held back: all but the running number stands there already. */
static void finish_committed(struct ipc_tx *tx)
{
	while (tx->first != tx->next && state_of(tx, tx->first) == COMMITTED) {
		struct msgc_record *record = ring_at(tx, tx->finished);
		uint64_t format = tx->format[tx->first % SPANS];

		record->seq_format = next_seq(tx) | format << 56;
		finish_first(tx, start_of(tx, tx->first + 1));
		tx->held_back--;
	}
}

/* Abandoned between others: a PAD, which carries no number. */
static void finish_abandoned(struct ipc_tx *tx)
{
	uint64_t end = start_of(tx, tx->first + 1);
	struct ipc_msg nothing = { 0 };

	write_record(tx, tx->finished, end - tx->finished, &nothing, 0, MSGC_R_PAD);
	finish_first(tx, end);
}

/* To the oldest that is open. What was abandoned waits for this, as it may yet be rolled back. */
static slow_path void finish_all(struct ipc_tx *tx)
{
	while (tx->first != tx->next && state_of(tx, tx->first) != OPEN) {
		if (state_of(tx, tx->first) == COMMITTED)
			finish_committed(tx);
		else
			finish_abandoned(tx);
	}
}

static inline bool is_open(struct ipc_tx *tx, const struct ipc_msg *msg)
{
	return msg->priv[1] == (uintptr_t)tx &&
		msg->priv[0] - tx->first < tx->next - tx->first &&
		state_of(tx, msg->priv[0]) == OPEN;
}

/* Numbers are used again: it names no reservation any more. */
static inline void forget(struct ipc_msg *msg)
{
	msg->data = NULL;
	msg->priv[1] = 0;
}

/* Not the oldest, or with a time. */
static slow_path int commit_any(struct ipc_tx *tx, struct ipc_msg *msg)
{
	uint64_t number = msg->priv[0], pos, bytes;
	uint32_t flags = 0;

	if (!is_open(tx, msg))
		return -EINVAL;
	pos = start_of(tx, number);
	bytes = start_of(tx, number + 1) - pos;
	if (msg->len > msg->cap || msg->len > bytes - tx->header)
		return -EMSGSIZE;
	if (tx->header != HEADER) {
		struct msgc_ext *ext = (void *)((struct msgc_record *)ring_at(tx, pos) + 1);

		*ext = (struct msgc_ext){ .time = msg->time ? msg->time : monotonic_ns() };
		flags = MSGC_R_EXT;
	}
	write_record(tx, pos, bytes, msg, 0, flags);
	tx->format[number % SPANS] = msg->format;
	*span_at(tx, number) |= COMMITTED;
	tx->held_back++;
	finish_committed(tx);
	forget(msg);
	return 0;
}

/* In the order of reservation, without a time, there is nothing to remember. */
int ipc_tx_commit(struct ipc_tx *tx, struct ipc_msg *msg)
{
	uint64_t pos = tx->finished, end = *span_at(tx, tx->first + 1);
	bool is_first = msg->priv[1] == (uintptr_t)tx && msg->priv[0] == tx->first &&
		tx->first != tx->next && *span_at(tx, tx->first) == (pos | OPEN);

	/* What follows may be open too, or nothing is there; else it is finished with this. */
	if (unlikely(!is_first || end & STATE || tx->header != HEADER))
		return commit_any(tx, msg);
	if (unlikely(msg->len > msg->cap || msg->len > end - pos - HEADER))
		return -EMSGSIZE;
	write_record(tx, pos, end - pos, msg, next_seq(tx), 0);
	finish_first(tx, end);
	forget(msg);
	return 0;
}

/* Abandoned space at the end is free again; elsewhere it becomes a PAD. */
static void roll_back(struct ipc_tx *tx)
{
	while (tx->next != tx->first && state_of(tx, tx->next - 1) == ABANDONED) {
		tx->next--;
		*span_at(tx, tx->next) &= ~(uint64_t)STATE;
		tx->reserved = *span_at(tx, tx->next);
	}
}

int ipc_tx_abandon(struct ipc_tx *tx, struct ipc_msg *msg)
{
	if (!is_open(tx, msg))
		return -EINVAL;
	*span_at(tx, msg->priv[0]) |= ABANDONED;
	forget(msg);
	roll_back(tx);
	return 0;
}

/*
 * 3: somebody sleeps, or nobody looks at this ring any more. Read anew each time, or who has joined
 * since is missed, or who found the ring empty in the meantime.
 */
static inline bool wants_kick(const struct ipc_tx *tx)
{
	if (unlikely(load_ordered(&tx->status->armed) & load_ordered(&tx->line->receivers)))
		return true;
	return tx->hot && !(load_ordered(tx->hot) >> tx->map.number % 64 & 1);
}

/* Make them visible, and wake who sleeps. */
static inline int move_tail(struct ipc_tx *tx)
{
	tx->published = tx->finished;
	store_barrier(tx->tail, tx->published);		/* 1, 2: pairs with B */
	if (unlikely(!is_live(tx->line, tx->map.id)))
		return -ESHUTDOWN;
	return unlikely(wants_kick(tx)) ? tx->ops->kick(tx->ctx) : 0;
}

int ipc_tx_publish(struct ipc_tx *tx)
{
	int err;

	if (unlikely(tx->first != tx->next))
		finish_all(tx);
	if (unlikely(tx->finished == tx->published))
		err = is_live(tx->line, tx->map.id) ? 0 : -ESHUTDOWN;
	else
		err = move_tail(tx);
	if (unlikely(err < 0))
		return err;
	if (unlikely(tx->published > tx->look_at) && !tx->overwrites)
		raise_limit(tx);			/* its error is the next reserve's */
	return (int)tx->held_back;
}

int ipc_tx_finish(struct ipc_tx *tx)
{
	for (uint64_t n = tx->first; n != tx->next; n++)
		if (state_of(tx, n) == OPEN)
			*span_at(tx, n) |= ABANDONED;
	roll_back(tx);
	return ipc_tx_publish(tx);
}

int ipc_tx_drain(struct ipc_tx *tx, uint64_t deadline)
{
	int held;

	if (tx->overwrites)
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
