// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * rx.c - the tethered receiver of the ring engine: borrows records in place and releases them.
 *
 * The barriers are named as in the pictures of ring.h.
 */
#include "borrow.h"
#include "ring_shared.h"

#define WORDS		(MSGC_SENDERS / 64)	/* of a bit per sender */
#define EMPTY_LOOKS	8U	/* a ring found empty so often in a row is wished quiet */
#define WASTED_LOOKS	1024U	/* at such rings: then a system call that hears wishes is cheaper */

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
	bool gap;			/* an unknown number of messages is lost here */
	bool touched;			/* head is to be stored */
	uint8_t attempts;
	uint8_t empty;			/* looks in a row that found nothing, up to EMPTY_LOOKS */
	uint64_t since, ring, redo;
	uint64_t end;			/* of a departed one */
	uint64_t tail, taken, head;
	uint64_t checked;		/* head at the last look at space_at */
	uint64_t seq;			/* next running number, 0 = unknown */
	struct chain borrowed;
};

struct ipc_rx {
	struct ipc_ring_map map;
	const struct ipc_ring_ops *ops;
	void *ctx;
	const struct msgc_line *line;	/* own */
	uint64_t since;			/* generation that made this a member */
	bool stay;			/* for later senders: no end of stream */
	bool oldest;			/* broadcast: from the oldest that is held, not from now */
	bool standby;			/* takes nothing until it is promoted */
	uint32_t max_senders;
	uint64_t generation;		/* of the membership as known here, 0 = to be read again */
	bool had_senders;		/* the stream can have an end */
	uint32_t accused;		/* sources that are */
	uint32_t sources, n_departed;
	uint64_t departed[WORDS], live[WORDS];	/* a bit per sender; live: and not refused */
	const __u64 *hot;		/* a bit per sender: not quiet; NULL: not used here */
	struct source *only;		/* the one ring there is, live: no turns; NULL: not so */
	uint32_t wasted;		/* looks at rings that are wished quiet */
	uint32_t at;			/* number: whose turn it is */
	struct turn turn;		/* what is left of it */
	bool more;			/* in this round a ring was left before its end */
	uint64_t rings;			/* bytes of all rings */
	uint64_t skipped;		/* bytes of PADs taken in this recv */
	uint32_t n_touched;
	uint64_t fence;
	struct spin spin;
	struct ipc_rx_counts counts;
	struct source *source;		/* by sender number */
	uint32_t *touched;		/* numbers */
	struct places places;		/* for messages */
};

size_t ipc_rx_size(uint32_t max_senders)
{
	return sizeof(struct ipc_rx) + max_senders * (sizeof(struct source) + sizeof(uint32_t));
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

static void accuse(struct ipc_rx *rx, struct source *src, bool guilty)
{
	uint32_t n = (uint32_t)(src - rx->source);

	rx->live[n / 64] &= ~(1ULL << n % 64);
	rx->only = NULL;
	src->refused = true;
	src->guilty = guilty;
	rx->accused += !src->accused;
	src->accused = src->id;
	rx->counts.refused += guilty;
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

/*
 * Where to begin with a ring: where the last receiver stopped; with broadcast delivery now, or at
 * the oldest that is held, and a ring that is younger than we are at its start. False: what its
 * sender wrote cannot be.
 */
static bool start_of(const struct ipc_rx *rx, const struct source *src,
		     const struct msgc_line *line, uint64_t *start)
{
	uint64_t low, tail;

	if (rx->map.status->delivery != MSGC_BROADCAST)
		return ipc_takeover_start(line, src->control, src->tail_word, src->data, start);
	low = load_acquire(&src->control->low);		/* c: the kernel did a and b */
	tail = tail_now(line, src->tail_word);
	*start = rx->oldest || line->since > rx->since ? low : tail;
	return low % UNIT == 0 && low <= tail && *start % UNIT == 0;
}

static void position(struct ipc_rx *rx, uint32_t n, const struct msgc_line *line)
{
	struct source *src = &rx->source[n];
	bool exclusive = rx->map.status->delivery != MSGC_BROADCAST;
	bool sound = start_of(rx, src, line, &src->head);

	src->since = line->since;
	if (!sound && ring_is_gone(rx, src))
		return;				/* a new generation follows */
	src->id = line->id;
	src->ring = 1ULL << line->ring_shift;
	src->redo = line->redo;
	src->attempts = line->attempts;
	src->refused = false;
	src->gap = sound && exclusive && src->head != line->head;
	rx->counts.lost += src->gap;
	if (!sound) {
		src->head = src->departed ? line->end : line->head;
		accuse(rx, src, true);
	}
	src->taken = src->head;
	src->tail = src->head;
	src->seq = src->head ? 0 : 1;
	store(&src->slot->taken, src->taken);
	store(&src->slot->head, src->head);
	store_release(&src->slot->gen, src->since);
	/* This is a release: a sender that filled its ring before anybody came sleeps for it. */
	src->checked = 0;
	touch(rx, n);
}

/* A line that says what is known already: most of many do, whenever one sender comes or goes. */
static bool is_unchanged(const struct ipc_rx *rx, const struct source *src)
{
	uint8_t state = load_acquire(&src->line->state);

	if (!src->id)
		return !load(&src->line->id);
	return load(&src->line->since) == src->since &&
		(src->departed ? has_departed(state) : state == MSGC_LIVE) &&
		(src->refused || load(&src->line->receivers) >> MSGC_INDEX(rx->map.id) & 1);
}

static void look_at(struct ipc_rx *rx, uint32_t n)
{
	struct source *src = &rx->source[n];
	struct msgc_line line;
	bool there, mine;

	if (is_unchanged(rx, src))
		return;
	there = read_line(src->line, &line);
	mine = line.receivers >> MSGC_INDEX(rx->map.id) & 1;
	if (src->id && (!there || src->since != line.since)) {
		orphan(&rx->places, &src->borrowed);
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
	struct source *live = NULL;

	rx->sources = 0;
	rx->n_departed = 0;
	rx->rings = 0;
	memset(rx->departed, 0, sizeof(rx->departed));
	memset(rx->live, 0, sizeof(rx->live));
	for (uint32_t n = 0; n < rx->max_senders; n++) {
		struct source *src = &rx->source[n];

		if (!src->id)
			continue;
		rx->sources++;
		rx->rings += src->ring;
		rx->n_departed += src->departed;
		if (src->departed) {
			rx->departed[n / 64] |= 1ULL << n % 64;
		} else if (!src->refused) {
			rx->live[n / 64] |= 1ULL << n % 64;
			live = src;
		}
	}
	rx->only = rx->sources == 1 && !rx->accused && !rx->hot ? live : NULL;
}

/* It is promoted by a change of its line's state, then a new generation. */
static bool is_standby(const struct ipc_rx *rx)
{
	return load_acquire(&rx->line->state) == MSGC_STANDBY && load(&rx->line->id) == rx->map.id;
}

/* Bring the view of the membership up to @generation. */
static int refresh(struct ipc_rx *rx, uint64_t generation)
{
	rx->standby = is_standby(rx);		/* first: it may be promoted right now */
	if (!rx->standby && !is_live(rx->line, rx->map.id))
		return -ESHUTDOWN;
	for (uint32_t n = 0; n < rx->max_senders; n++)
		look_at(rx, n);
	sort_sources(rx);
	/* Again: of one that is evicted meanwhile, the senders' lines say the end and no fault. */
	if (!rx->standby && !is_live(rx->line, rx->map.id))
		return -ESHUTDOWN;
	rx->had_senders |= rx->sources > 0;
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
	rx->oldest = rx->line->flags & MSGC_OLDEST;
	rx->max_senders = max;
	rx->turn = full_turn;
	rx->source = (struct source *)(rx + 1);
	rx->touched = (uint32_t *)(rx->source + max);
	rx->hot = map->status->hot_used ? map->status->hot : NULL;
	spin_init(&rx->spin, spin);
	for (n = 0; n < max; n++) {
		const char *control = (const char *)map->peer + n * map->peer_stride;

		rx->source[n].line = line_of(map->status, map->status->max_receivers + n);
		rx->source[n].tail_word = (const __u64 *)(control + MSGC_TAIL_AT(n));
		rx->source[n].control = (const void *)(control + MSGC_CONTROL_AT(n));
		rx->source[n].data = (const char *)map->data + n * map->data_stride;
		rx->source[n].slot = &((struct msgc_slots *)map->own)->slot[n];
		rx->source[n].borrowed.oldest = NONE;
	}
	places_init(&rx->places);
	refresh(rx, load_acquire(&map->status->generation));
	settle(rx);
	return rx;
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

static slow_path uint64_t count_missed(struct source *src, uint64_t seq)
{
	uint64_t missed = src->seq && seq > src->seq ? seq - src->seq : 0;

	if (src->gap && !missed)
		missed = 1;
	src->gap = false;
	src->seq = seq + 1;
	return missed;
}

static inline void hand_out(struct source *src, uint64_t pos, const struct msgc_record *header,
			    uint32_t before, struct ipc_msg *msg)
{
	uint64_t seq = header->seq_format & SEQ_MASK;

	msg->data = (void *)(uintptr_t)(src->data + (pos & (src->ring - 1)) + before);
	msg->len = header->len;
	msg->cap = header->len;
	msg->type = header->type;
	msg->format = (uint8_t)(header->seq_format >> 56);
	msg->flags = 0;
	msg->attempts = 0;
	msg->peer = src->id;
	msg->seq = seq;
	msg->cookie = header->cookie;
	msg->time = 0;
	msg->missed = 0;
	if (unlikely(pos < src->redo)) {
		msg->flags = IPC_F_REDELIVERED;
		msg->attempts = src->attempts;
	}
	if (unlikely(seq != src->seq || src->gap))
		msg->missed = count_missed(src, seq);
	else
		src->seq++;
}

/* Up to @max records that are nothing but header and payload, and begin below @end. */
static own_frame unsigned int take_plain(struct ipc_rx *rx, uint32_t n, struct ipc_msg *msgs,
					 unsigned int max, uint64_t end, uint64_t tail)
{
	struct source *src = &rx->source[n];
	uint64_t pos = src->taken;
	uint32_t last = NONE, next = rx->places.free;
	unsigned int got;

	for (got = 0; got < max && pos < end; got++) {
		struct msgc_record header;

		read_header(src->data, src->ring, pos, &header);
		if (unlikely(!header_is_plain(&header, pos, tail)))
			break;
		hand_out(src, pos, &header, HEADER, &msgs[got]);
		last = next;
		next = lend(&rx->places, last, n, pos, rx, &msgs[got]);
		pos += MSGC_SPAN(header.span_flags);
	}
	if (got) {
		lengthen(&rx->places, &src->borrowed, last, next, got);
		src->taken = pos;
	}
	return got;
}

/* A PAD is released with what precedes it: at once, where nothing does. */
static void skip_pad(struct ipc_rx *rx, uint32_t n, uint64_t span)
{
	struct source *src = &rx->source[n];

	rx->skipped += span;
	if (src->borrowed.oldest == NONE) {
		src->head = src->taken;
		touch(rx, n);
	}
}

/* The next record is a PAD, or has a time, or is none. Returns messages, or -1 for the last. */
static slow_path int take_special(struct ipc_rx *rx, uint32_t n, struct ipc_msg *msg, uint64_t tail)
{
	struct source *src = &rx->source[n];
	uint64_t pos = src->taken, span;
	struct msgc_record header;
	const struct msgc_ext *ext;
	uint32_t place, next;

	read_header(src->data, src->ring, pos, &header);
	if (!header_is_sound(&header, pos, tail)) {
		if (!ring_is_gone(rx, src))
			accuse(rx, src, true);
		return -1;
	}
	span = MSGC_SPAN(header.span_flags);
	src->taken += span;
	if (header.span_flags & MSGC_R_PAD) {
		skip_pad(rx, n, span);
		return 0;
	}
	hand_out(src, pos, &header, header_bytes(&header), msg);
	if (header.span_flags & MSGC_R_EXT) {
		ext = (const void *)((const char *)msg->data - sizeof(*ext));
		msg->time = load(&ext->time);
	}
	place = rx->places.free;
	next = lend(&rx->places, place, n, pos, rx, msg);
	lengthen(&rx->places, &src->borrowed, place, next, 1);
	return 1;
}

static bool is_over(const struct turn *turn)
{
	return turn->records <= 0 || turn->bytes <= 0;
}

/* Take up to @max messages from one ring, within its turn. @all: it has no more. */
static unsigned int take(struct ipc_rx *rx, uint32_t n, struct turn *turn, struct ipc_msg *msgs,
			 unsigned int max, bool *all)
{
	struct source *src = &rx->source[n];
	uint64_t tail = look_at_tail(rx, src), was_taken = src->taken;
	unsigned int got = 0;

	while (src->taken != tail && got < max && !is_over(turn)) {
		uint64_t pos = src->taken, stop = pos + (uint64_t)turn->bytes;
		unsigned int few = (unsigned int)MIN((int64_t)(max - got), turn->records);
		int more = (int)take_plain(rx, n, msgs + got, few, MIN(stop, tail), tail);

		if (!more) {
			more = take_special(rx, n, msgs + got, tail);
			if (more < 0)
				break;
			turn->records -= !more;		/* a PAD */
		}
		got += (unsigned int)more;
		turn->records -= more;
		turn->bytes -= (int64_t)(src->taken - pos);
	}
	*all = src->taken == tail || src->taken == was_taken;
	/* Before the application sees them: should it die, a successor flags them. */
	if (src->taken != was_taken)
		store_release(&src->slot->taken, src->taken);
	return got;
}

static unsigned int drain(struct ipc_rx *rx, uint32_t n, struct ipc_msg *msgs, unsigned int max)
{
	unsigned int got = 0;
	bool all;

	do {
		struct turn turn = full_turn;

		got += take(rx, n, &turn, msgs + got, max - got, &all);
	} while (!all);
	return got;
}

static unsigned int drain_departed(struct ipc_rx *rx, struct ipc_msg *msgs, unsigned int max)
{
	unsigned int got = 0;

	for (uint32_t n = 0; n < rx->max_senders; n += 64)
		for (uint64_t left = rx->departed[n / 64]; left; left &= left - 1) {
			uint32_t source = n + (uint32_t)__builtin_ctzll(left);

			got += drain(rx, source, msgs + got, max - got);
		}
	return got;
}

/* ---- the living: whose turn it is, and whom to pass over ---- */

/* The first ring from number @n to below @end that may have something, NONE: none. */
static inline uint32_t next_hot(const struct ipc_rx *rx, uint32_t n, uint32_t end)
{
	for (; n < end; n = (n | 63) + 1) {
		uint64_t set = rx->live[n / 64];

		/* Acquire: the tail comes before the bit, which its sender's KICK sets (hot.c). */
		if (rx->hot)
			set &= load_acquire(&rx->hot[n / 64]);
		set >>= n % 64;
		if (set) {
			n += (uint32_t)__builtin_ctzll(set);
			return n < end ? n : NONE;
		}
	}
	return NONE;
}

static void note_empty(struct ipc_rx *rx, struct source *src)
{
	if (src->empty < EMPTY_LOOKS)
		src->empty++;
	else
		rx->wasted++;
}

/* Only a hint, and cheap: take() reads the tail again and judges it. */
static inline bool looks_empty(const struct source *src)
{
	return load(src->tail_word) == src->taken;
}

/* What one ring has, within what is left of its turn. */
static unsigned int visit(struct ipc_rx *rx, uint32_t n, struct ipc_msg *msgs, unsigned int max)
{
	struct source *src = &rx->source[n];
	unsigned int got;
	bool all;

	if (n != rx->at)
		rx->turn = full_turn;
	rx->at = n;
	got = take(rx, n, &rx->turn, msgs, max, &all);
	src->empty = 0;
	rx->more |= !all;
	if (got < max || is_over(&rx->turn)) {
		rx->at = n + 1 < rx->max_senders ? n + 1 : 0;
		rx->turn = full_turn;
	}
	return got;
}

/* Deficit round robin: once over the rings of the living, from the one whose turn it is. */
static unsigned int go_round(struct ipc_rx *rx, struct ipc_msg *msgs, unsigned int max)
{
	uint32_t first = rx->at, n = first, end = rx->max_senders;
	unsigned int got = 0;

	while (got < max) {
		n = next_hot(rx, n, end);
		if (n == NONE) {
			if (end == first || !first)
				break;
			n = 0;
			end = first;
			continue;
		}
		if (looks_empty(&rx->source[n]))
			note_empty(rx, &rx->source[n]);
		else
			got += visit(rx, n, msgs + got, max - got);
		n++;
	}
	return got;
}

/* The rings of the departed first, then the living in turn, until all are empty. */
static unsigned int scan(struct ipc_rx *rx, struct ipc_msg *msgs, unsigned int max)
{
	unsigned int got = rx->n_departed ? drain_departed(rx, msgs, max) : 0;

	/* More PADs than all rings hold were published during this very call: enough of them. */
	do {
		rx->more = false;
		got += go_round(rx, msgs + got, max - got);
	} while (rx->more && got < max && rx->skipped <= rx->rings);
	return got;
}

/* Wish those rings quiet that are hot for nothing: long empty, or not read here any more. */
static void wish_quiet(struct ipc_rx *rx)
{
	struct msgc_slots *slots = rx->map.own;

	rx->wasted = 0;
	for (uint32_t n = 0; rx->hot && n < rx->max_senders; n += 64) {
		uint64_t wish = load(&rx->hot[n / 64]), left = wish & rx->live[n / 64];

		for (; left; left &= left - 1)
			if (rx->source[n + (uint32_t)__builtin_ctzll(left)].empty < EMPTY_LOOKS)
				wish &= ~(left & -left);
		store(&slots->quiet[n / 64], wish);
	}
}

/*
 * A receiver that always finds something, or sleeps in poll, never comes to WAIT, which hears the
 * wishes. What that returns the next look will see, but for an INTERRUPT, which is used up.
 */
static int hush(struct ipc_rx *rx)
{
	wish_quiet(rx);
	return rx->ops->wait(rx->ctx, MSGC_IN, MSGC_NOW);
}

/* Tell the application of one sender whose messages have ended here. */
static int report_accused(struct ipc_rx *rx, struct ipc_msg *msg)
{
	struct source *src = rx->source;

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

	if (rx->stay || rx->standby || load_acquire(&status->senders))
		return false;
	return rx->had_senders || load(&status->joined) > rx->since;
}

static bool something_moved(void *engine)
{
	struct ipc_rx *rx = engine;

	if (load(&rx->map.status->generation) != rx->generation)
		return true;
	for (uint32_t n = 0; (n = next_hot(rx, n, rx->max_senders)) != NONE; n++)
		if (load(rx->source[n].tail_word) != rx->source[n].taken)
			return true;
	return false;
}

/*
 * While there is one ring, and it is live, nobody's turn is to be kept and no stream can end.
 * Returns messages, -EAGAIN, or 0: a PAD, a time, or something wrong.
 */
static inline int look_at_only(struct ipc_rx *rx, struct ipc_msg *msgs, unsigned int max)
{
	struct source *src = rx->only;
	unsigned int got;
	uint64_t tail;

	if (looks_empty(src))
		return -EAGAIN;
	tail = look_at_tail(rx, src);
	got = take_plain(rx, (uint32_t)(src - rx->source), msgs, max, tail, tail);
	/* As in take(). */
	if (got)
		store_release(&src->slot->taken, src->taken);
	return (int)got;
}

/* One look at everything: messages, or why there are none; -EAGAIN: none yet. */
static int look(struct ipc_rx *rx, struct ipc_msg *msgs, unsigned int max)
{
	uint64_t generation = load_acquire(&rx->map.status->generation);
	unsigned int got;
	bool gone;
	int err;

	if (likely(generation == rx->generation && rx->only && rx->places.n_free)) {
		err = look_at_only(rx, msgs, MIN(max, rx->places.n_free));
		if (err)
			return err;
	}
	err = unlikely(generation != rx->generation) ? refresh(rx, generation) : 0;
	if (err < 0)
		return err;
	if (unlikely(rx->accused))
		return report_accused(rx, msgs);
	gone = senders_gone(rx);	/* before the scan, which then sees their last messages */
	rx->skipped = 0;
	got = scan(rx, msgs, MIN(max, rx->places.n_free));
	err = rx->n_touched ? settle(rx) : 0;
	if (got)
		return (int)got;
	if (err < 0)
		return err;
	if (unlikely(rx->accused))
		return report_accused(rx, msgs);
	if (!rx->places.n_free)
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
		if (rx->wasted >= WASTED_LOOKS && rx->hot && hush(rx) == -EINTR)
			return -EINTR;
		got = look(rx, msgs, n);
		if (got != -EAGAIN || deadline == MSGC_NOW)
			return got;
		/* Not twice in a row: who makes it pay for nothing must not keep us from `wait`. */
		spun = !spun && spin_until(&rx->spin, something_moved, rx);
		if (spun)
			continue;
		wish_quiet(rx);
		got = nap(&rx->spin, rx->ops, rx->ctx, MSGC_IN, deadline);
		if (got < 0)
			return got;
		if (got & MSGC_HUP)		/* one left between our attach and our first look */
			rx->had_senders = true;
	}
}

/* The head stays before the oldest that is still held. */
static void release_prefix(struct ipc_rx *rx, uint32_t n)
{
	struct source *src = &rx->source[n];
	uint32_t oldest;

	if (!shorten(&rx->places, &src->borrowed))
		return;
	oldest = src->borrowed.oldest;
	src->head = oldest == NONE ? src->taken : rx->places.borrow[oldest].pos;
	touch(rx, n);
}

/* Of several sources, or of one that is gone. */
static void release_each(struct ipc_rx *rx, const struct ipc_msg *msgs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct borrow *borrow = place_of(&rx->places, &msgs[i]);

		if (borrow->source == NONE)
			put_place(&rx->places, (uint32_t)(borrow - rx->places.borrow));
		else
			release_prefix(rx, borrow->source);
	}
}

static slow_path int take_back_release(struct ipc_rx *rx, const struct ipc_msg *msgs,
				       unsigned int n)
{
	while (n-- > 0)
		place_of(&rx->places, &msgs[n])->stamp = msgs[n].priv[0];
	return -EINVAL;
}

int ipc_rx_release(struct ipc_rx *rx, const struct ipc_msg *msgs, unsigned int n)
{
	uint32_t source = n ? place_of(&rx->places, msgs)->source : NONE, others = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct borrow *borrow = place_of(&rx->places, &msgs[i]);

		if (unlikely(msgs[i].priv[1] != (uintptr_t)rx || borrow->stamp != msgs[i].priv[0]))
			return take_back_release(rx, msgs, i);
		borrow->stamp = 0;
		others |= borrow->source ^ source;
	}
	if (likely(!others && source != NONE))
		release_prefix(rx, source);
	else
		release_each(rx, msgs, n);
	return settle(rx);
}

void ipc_rx_counts(const struct ipc_rx *rx, struct ipc_rx_counts *counts)
{
	*counts = rx->counts;
}
