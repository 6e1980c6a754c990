// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * observe.c - the engine's untethered receiver: holds nobody up, and is told what it missed.
 *
 * No sender looks at it for space, so a record may be overwritten while it is being read. Hence
 * copies, delivered only if nothing had begun to change them (selftests/models/over.pml):
 *
 *	sender, tx.c					untethered receiver
 *	o1  store `low`, above what goes		o4  load `tail` (acquire)
 *	o2  write barrier				o5  copy the record
 *	o3  overwrite; store `tail` (release)		o6  read barrier
 *							o7  low <= pos: the copy is whole
 *
 * If o5 saw anything of o3, o7 sees the `low` of o1. The line is read after that: memory that was
 * taken away reads as zeros, also as a `low` of 0, but the kernel has stored REVOKED before.
 */
#include "ring_shared.h"

#define CHUNK		65536U		/* copied between two looks at `low` */
#define PLACE		64U		/* copies start and end at multiples of this */
#define TURN_RECORDS	32U		/* taken from one sender before the next has its turn */
#define TURN_BYTES	65536U
#define OVERRUNS	64U		/* in one recv, before it says that there is nothing */
#define HEADERS		64U		/* skipped to get ahead of a sender that is faster */

/* What became of a record while it was copied. */
enum fate {
	WHOLE,		/* nothing */
	OVERRUN,	/* it was, or may have been, overwritten */
	GONE,		/* its sender's memory was taken away */
	BAD,		/* its sender wrote nonsense */
	NO_ROOM,	/* nothing, but the arena is full */
};

/* A sender's ring as it is seen here. */
struct view {
	const struct msgc_line *line;
	const __u64 *tail_word;
	const struct msgc_control *control;
	const char *data;
	struct msgc_slot *slot;		/* own; its head is never stored */
	uint32_t id;			/* 0 = none */
	uint32_t accused;		/* id that the application is still to be told, 0 = none */
	bool departed;
	bool refused;			/* nothing more is taken from it */
	bool guilty;			/* refused by us: the kernel is still to be told */
	bool hasty;			/* overrun again before anything was delivered */
	uint64_t since, ring;
	uint64_t end;			/* of a departed one */
	uint64_t tail, low;		/* as last seen */
	uint64_t taken;
	uint64_t seq, seq_pos;		/* next running number and where; 0 = unknown */
};

/* A message that the application holds, by its number. */
struct copy {
	uint64_t end;			/* of its place in the arena */
	bool released;
};

struct ipc_obs {
	struct ipc_ring_map map;
	const struct ipc_ring_ops *ops;
	void *ctx;
	const struct msgc_line *line;	/* own */
	struct msgc_own *own;
	uint64_t since;			/* generation that made this a member */
	bool stay, oldest;		/* as asked for at ATTACH */
	bool had_senders;		/* the stream can have an end */
	uint32_t max_senders;
	uint32_t at;			/* whose turn it is */
	uint32_t accused;		/* views that are */
	uint64_t generation;		/* of the membership as known here, 0 = to be read again */
	uint64_t rings;			/* bytes of all rings */
	uint64_t skipped;		/* bytes of PADs taken in this recv */
	unsigned int overruns;		/* in this recv */
	bool full;			/* a message of this recv found no room in the arena */
	uint64_t missed;		/* messages, ever */
	struct spin spin;
	/*
	 * The arena: places [from, to), which may go round its end, belong to the copies
	 * [first, next). All are free when none is held.
	 */
	char *arena;
	uint64_t arena_size, from, to;
	uint64_t first, next;
	struct copy copy[IPC_RX_BORROWED];
	struct view view[];		/* by sender number */
};

static size_t arena_offset(uint32_t max_senders)
{
	size_t size = sizeof(struct ipc_obs) + max_senders * sizeof(struct view);

	return (size + (PLACE - 1)) & ~(size_t)(PLACE - 1);
}

size_t ipc_obs_size(uint32_t max_senders, uint64_t data_stride)
{
	return arena_offset(max_senders) + PLACE + data_stride;
}

/* ---- the arena ---- */

static uint64_t held(const struct ipc_obs *obs)
{
	return obs->next - obs->first;
}

static struct copy *copy_at(struct ipc_obs *obs, uint64_t number)
{
	return &obs->copy[number % IPC_RX_BORROWED];
}

/* Room for @len bytes behind the youngest copy, or at the start; NULL: too much is held. */
static char *get_place(struct ipc_obs *obs, uint32_t len)
{
	uint64_t size = ((uint64_t)MAX(len, 1U) + (PLACE - 1)) & ~(uint64_t)(PLACE - 1);
	bool around = held(obs) && obs->to <= obs->from;
	uint64_t at = obs->to;

	if (held(obs) == IPC_RX_BORROWED)
		return NULL;
	if (!around && size > obs->arena_size - at) {
		at = 0;
		around = held(obs);
	}
	if (around && size > obs->from - at)
		return NULL;
	obs->to = at + size;
	return obs->arena + at;
}

static void free_oldest(struct ipc_obs *obs)
{
	while (held(obs) && copy_at(obs, obs->first)->released)
		obs->from = copy_at(obs, obs->first++)->end;
	if (!held(obs)) {
		obs->from = 0;		/* the same few pages again, if little is held */
		obs->to = 0;
	}
}

static struct copy *find_held(struct ipc_obs *obs, const struct ipc_msg *msg)
{
	uint64_t number = msg->priv[0];

	if (msg->priv[1] != (uintptr_t)obs || number < obs->first || number >= obs->next)
		return NULL;
	return copy_at(obs, number)->released ? NULL : copy_at(obs, number);
}

int ipc_obs_release(struct ipc_obs *obs, const struct ipc_msg *msgs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct copy *copy = find_held(obs, &msgs[i]);

		if (!copy) {
			while (i-- > 0)
				copy_at(obs, msgs[i].priv[0])->released = false;
			return -EINVAL;
		}
		copy->released = true;
	}
	free_oldest(obs);
	return 0;
}

/* ---- what may be believed of a ring ---- */

static void accuse(struct ipc_obs *obs, struct view *v, bool guilty)
{
	v->refused = true;
	v->guilty = guilty;
	obs->accused += !v->accused;
	v->accused = v->id;
}

/* The state first: while an index changes hands, its new owner's may stand beside the old id. */
static bool is_gone(const struct view *v)
{
	return load_acquire(&v->line->state) == MSGC_REVOKED ||
		load_acquire(&v->line->id) != v->id || load_acquire(&v->line->since) != v->since;
}

/* May what was read at or above @pos be believed? The loads that read it were acquire: o6. */
static enum fate fate_of(struct view *v, uint64_t pos)
{
	uint64_t low = load_acquire(&v->control->low);		/* o7: pairs with o1, o2 */

	if (is_gone(v))
		return GONE;
	if (low % UNIT || low < v->low)
		return BAD;
	v->low = low;
	return low > pos ? OVERRUN : WHOLE;
}

/*
 * How far the ring is published. A sender stores `low` before it writes beyond low + ring, so with
 * the tail read first, tail - low is never more.
 */
static enum fate look_at_tail(struct view *v)
{
	uint64_t tail = v->departed ? v->end : load_acquire(v->tail_word);	/* o4 */
	enum fate fate;

	if (tail == v->tail)
		return v->low > v->taken ? OVERRUN : WHOLE;
	fate = fate_of(v, v->taken);
	if (fate > OVERRUN)
		return fate;
	if (tail % UNIT || tail < v->tail || (tail > v->low && tail - v->low > v->ring))
		return BAD;
	v->tail = tail;
	return fate;
}

/* Eight bytes at a time, so that no word is torn; @bytes is rounded up to that. */
MAY_RACE static void copy_words(void *to, const void *from, size_t bytes)
{
	const uint64_t *src = from;
	uint64_t *dst = to;

	for (size_t i = 0; i < (bytes + 7) / 8; i++)
		dst[i] = load_acquire(&src[i]);			/* o5, o6 */
}

static const char *record_at(const struct view *v, uint64_t pos)
{
	return v->data + (pos & (v->ring - 1));
}

/* The header at @pos, if it is one and the sender has not touched it. */
static enum fate copy_header(struct view *v, uint64_t pos, struct msgc_record *header)
{
	enum fate fate;

	copy_words(header, record_at(v, pos), sizeof(*header));
	fate = fate_of(v, pos);
	return fate == WHOLE && !header_is_sound(header, pos, v->tail) ? BAD : fate;
}

/* In pieces: of a large one that is overwritten, the rest need not be copied. */
static enum fate copy_payload(struct view *v, const struct msgc_record *header, char *to)
{
	const char *from = record_at(v, v->taken) + header_bytes(header);
	uint32_t at = 0, n;
	enum fate fate;

	do {
		n = MIN(header->len - at, CHUNK);
		copy_words(to + at, from + at, n);
		fate = fate_of(v, v->taken);
		at += n;
	} while (at < header->len && fate == WHOLE);
	return fate;
}

/* Good if the payload that is copied after it is. */
static uint64_t read_time(const struct view *v, const struct msgc_record *header)
{
	struct msgc_ext ext = { 0 };

	if (header->span_flags & MSGC_R_EXT)
		copy_words(&ext, record_at(v, v->taken) + HEADER, sizeof(ext));
	return ext.time;
}

/* ---- taking ---- */

static void add_missed(struct ipc_obs *obs, uint64_t n)
{
	obs->missed += n;
	store(&obs->own->missed, obs->missed);
}

/* Running numbers say it, within what fits between the two records. */
static uint64_t count_missed(struct ipc_obs *obs, struct view *v, uint64_t seq, uint64_t pos)
{
	uint64_t missed = 0;

	if (v->seq && seq > v->seq)
		missed = MIN(seq - v->seq, (pos - v->seq_pos) / UNIT);
	if (missed)
		add_missed(obs, missed);
	return missed;
}

static void hand_out(struct ipc_obs *obs, struct view *v, const struct msgc_record *header,
		     uint64_t time, char *data, struct ipc_msg *msg)
{
	uint64_t seq = header->seq_format & SEQ_MASK;

	*msg = (struct ipc_msg){
		.data = data,
		.len = header->len,
		.cap = header->len,
		.type = header->type,
		.format = (uint8_t)(header->seq_format >> 56),
		.peer = v->id,
		.seq = seq,
		.cookie = header->cookie,
		.time = time,
		.missed = count_missed(obs, v, seq, v->taken),
		.priv = { obs->next, (uintptr_t)obs },
	};
	*copy_at(obs, obs->next++) = (struct copy){ .end = obs->to };
	v->seq = seq + 1;
	v->seq_pos = v->taken + MSGC_SPAN(header->span_flags);
}

/* Copy the record at `taken`, and pass it: *@got counts messages. */
static enum fate take_record(struct ipc_obs *obs, struct view *v, struct ipc_msg *msg,
			     unsigned int *got)
{
	uint64_t to = obs->to;
	struct msgc_record header;
	enum fate fate = copy_header(v, v->taken, &header);
	uint64_t time;
	char *place;

	if (fate != WHOLE)
		return fate;
	if (header.span_flags & MSGC_R_PAD) {
		obs->skipped += MSGC_SPAN(header.span_flags);
	} else {
		place = get_place(obs, header.len);
		if (!place)
			return NO_ROOM;
		time = read_time(v, &header);
		fate = copy_payload(v, &header, place);
		if (fate != WHOLE) {
			obs->to = to;
			return fate;
		}
		hand_out(obs, v, &header, time, place, msg);
		v->hasty = false;
		++*got;
	}
	v->taken += MSGC_SPAN(header.span_flags);
	return WHOLE;
}

/*
 * Half way from @low to the tail, by the headers between: what lies at @low would be overwritten
 * again before it is copied. The last record is never skipped: there may be none after it for long.
 */
static uint64_t ahead_of(struct view *v, uint64_t low)
{
	uint64_t pos = low, middle = low + (v->tail - low) / 2;
	struct msgc_record header;

	for (unsigned int i = 0; i < HEADERS && pos < middle; i++) {
		if (copy_header(v, pos, &header) != WHOLE)
			return low;
		if (MSGC_SPAN(header.span_flags) == v->tail - pos)
			break;
		pos += MSGC_SPAN(header.span_flags);
	}
	return pos;
}

/* Begin again where a record is known to start. The tail is read after `low`, so not below it. */
static enum fate resume(struct ipc_obs *obs, struct view *v)
{
	uint64_t low = v->low;
	enum fate fate = look_at_tail(v);

	if (fate > OVERRUN)
		return fate;
	if (low > v->tail)
		return BAD;
	v->taken = v->hasty ? ahead_of(v, low) : low;
	v->hasty = true;
	obs->overruns++;
	return WHOLE;
}

/* Up to @max messages of one ring, within its turn. */
static unsigned int take(struct ipc_obs *obs, struct view *v, struct ipc_msg *msgs,
			 unsigned int max)
{
	uint64_t was_taken = v->taken, from = v->taken;
	unsigned int got = 0, records = 0;
	enum fate fate = look_at_tail(v);

	do {
		if (fate == OVERRUN) {
			fate = resume(obs, v);
			from = v->taken;
		} else if (fate == WHOLE && v->taken != v->tail) {
			fate = take_record(obs, v, &msgs[got], &got);
		}
		records++;
	} while (fate <= OVERRUN && v->taken != v->tail && got < max &&
		 records < TURN_RECORDS && v->taken - from < TURN_BYTES);
	if (fate == GONE)
		obs->generation = 0;
	else if (fate == BAD)
		accuse(obs, v, true);
	obs->full |= fate == NO_ROOM;
	if (v->taken != was_taken)
		store_release(&v->slot->taken, v->taken);
	return got;
}

/* Some more of each ring in turn, until all are empty. */
static unsigned int scan(struct ipc_obs *obs, struct ipc_msg *msgs, unsigned int max)
{
	unsigned int got = 0;
	uint32_t idle = 0;

	obs->skipped = 0;
	obs->overruns = 0;
	obs->full = false;
	/* Beyond these, there was nothing but PADs, or nobody can read so fast: let others run. */
	while (idle < obs->max_senders && got < max && obs->skipped <= obs->rings &&
	       obs->overruns < OVERRUNS) {
		struct view *v = &obs->view[obs->at];
		uint64_t was_taken = v->taken;

		if (v->id && !v->refused)
			got += take(obs, v, msgs + got, max - got);
		idle = v->taken == was_taken ? idle + 1 : 0;
		obs->at = (obs->at + 1) % obs->max_senders;
	}
	return got;
}

/* ---- membership ---- */

/* At the oldest that is held, or now; a ring that is younger than we are: at its start. */
static void position(struct ipc_obs *obs, struct view *v, const struct msgc_line *line)
{
	bool younger = line->since > obs->since;
	uint64_t low = load_acquire(&v->control->low);
	uint64_t tail = v->departed ? line->end : load_acquire(v->tail_word);

	v->id = line->id;
	v->since = line->since;
	v->ring = 1ULL << line->ring_shift;
	v->refused = false;
	v->hasty = false;
	v->low = 0;
	v->tail = younger ? 0 : obs->oldest ? low : tail;
	if (v->tail % UNIT || v->tail > tail) {
		v->tail = tail & ~(uint64_t)(UNIT - 1);
		if (!is_gone(v))
			accuse(obs, v, true);
	}
	v->taken = v->tail;
	v->seq = v->taken ? 0 : 1;
	v->seq_pos = v->taken;
	store(&v->slot->taken, v->taken);
	store_release(&v->slot->gen, v->since);
}

static void look_at(struct ipc_obs *obs, struct view *v)
{
	struct msgc_line line;
	bool there = read_line(v->line, &line);
	bool mine = line.receivers >> MSGC_INDEX(obs->map.id) & 1;

	if (v->id && (!there || v->since != line.since)) {
		/* Of what was not read, nobody knows how many. A REVOKED line says end. */
		if (!v->refused && v->taken != (v->since == line.since ? line.end : v->tail))
			add_missed(obs, 1);
		v->id = 0;
	}
	if (!there)
		return;
	v->departed = has_departed(line.state);
	v->end = line.end;
	if (!v->id && mine)
		position(obs, v, &line);
	else if (v->id && !mine && !v->refused)
		accuse(obs, v, false);
}

/* Bring the view of the membership up to @generation. */
static int refresh(struct ipc_obs *obs, uint64_t generation)
{
	if (generation == obs->generation)
		return 0;
	if (!is_live(obs->line, obs->map.id))
		return -ESHUTDOWN;
	obs->rings = 0;
	for (uint32_t n = 0; n < obs->max_senders; n++) {
		look_at(obs, &obs->view[n]);
		obs->rings += obs->view[n].id ? obs->view[n].ring : 0;
	}
	obs->had_senders |= obs->rings > 0;
	obs->generation = generation;
	return 0;
}

struct ipc_obs *ipc_obs_init(void *mem, const struct ipc_ring_map *map,
			     const struct ipc_ring_ops *ops, void *ctx, unsigned int spin)
{
	uint32_t max = map->status->max_senders;
	uintptr_t arena = (uintptr_t)mem + arena_offset(max) + (PLACE - 1);
	struct ipc_obs *obs = mem;

	memset(obs, 0, arena_offset(max));
	obs->map = *map;
	obs->ops = ops;
	obs->ctx = ctx;
	obs->line = line_of(map->status, MSGC_INDEX(map->id));
	obs->own = &((struct msgc_slots *)map->own)->own;
	obs->since = obs->line->since;
	obs->stay = obs->line->flags & MSGC_STAY;
	obs->oldest = obs->line->flags & MSGC_OLDEST;
	obs->max_senders = max;
	obs->arena = (char *)(arena & ~(uintptr_t)(PLACE - 1));
	obs->arena_size = map->data_stride;
	spin_init(&obs->spin, spin);
	for (uint32_t n = 0; n < max; n++) {
		const char *control = (const char *)map->peer + n * map->peer_stride;
		struct view *v = &obs->view[n];

		v->line = line_of(map->status, map->status->max_receivers + n);
		v->tail_word = (const __u64 *)(control + MSGC_TAIL_AT(n));
		v->control = (const void *)(control + MSGC_CONTROL_AT(n));
		v->data = (const char *)map->data + n * map->data_stride;
		v->slot = &((struct msgc_slots *)map->own)->slot[n];
	}
	refresh(obs, load_acquire(&map->status->generation));
	return obs;
}

/* ---- receiving ---- */

/* Tell the application of one sender whose messages have ended here. */
static int report_accused(struct ipc_obs *obs, struct ipc_msg *msg)
{
	struct view *v = obs->view;

	if (!obs->accused)
		return 0;
	while (!v->accused)
		v++;
	*msg = (struct ipc_msg){ .peer = v->accused };
	v->accused = 0;
	obs->accused--;
	if (v->guilty)
		obs->ops->refuse(obs->ctx, msg->peer);	/* whatever that returns */
	return -EPROTO;
}

static bool senders_gone(const struct ipc_obs *obs)
{
	const struct msgc_status *status = obs->map.status;

	if (obs->stay || load_acquire(&status->senders))
		return false;
	return obs->had_senders || load(&status->joined) > obs->since;
}

static bool something_moved(void *engine)
{
	struct ipc_obs *obs = engine;

	if (load(&obs->map.status->generation) != obs->generation)
		return true;
	for (uint32_t n = 0; n < obs->max_senders; n++) {
		const struct view *v = &obs->view[n];

		if (v->id && !v->refused && !v->departed && load(v->tail_word) != v->taken)
			return true;
	}
	return false;
}

/* One look at everything: messages, or why there are none; -EAGAIN: none yet. */
static int look(struct ipc_obs *obs, struct ipc_msg *msgs, unsigned int max)
{
	uint64_t generation = load_acquire(&obs->map.status->generation);
	int err = refresh(obs, generation);
	unsigned int got;
	bool gone;

	if (err < 0)
		return err;
	err = report_accused(obs, msgs);
	if (err < 0)
		return err;
	gone = senders_gone(obs);	/* before the scan, which then sees their last messages */
	got = scan(obs, msgs, max);
	if (got)
		return (int)got;
	err = report_accused(obs, msgs);
	if (err < 0)
		return err;
	if (obs->full)
		return -ENOBUFS;
	if (gone && obs->generation && load_acquire(&obs->map.status->generation) == generation)
		return -EPIPE;
	return -EAGAIN;
}

int ipc_obs_recv(struct ipc_obs *obs, struct ipc_msg *msgs, unsigned int n, uint64_t deadline)
{
	bool spun = false;
	int got;

	if (!n)
		return -EINVAL;
	for (;;) {
		got = look(obs, msgs, n);
		if (got != -EAGAIN || deadline == MSGC_NOW)
			return got;
		/* Not twice in a row: who makes it pay for nothing must not keep us from `wait`. */
		spun = !spun && spin_until(&obs->spin, something_moved, obs);
		if (spun)
			continue;
		got = nap(&obs->spin, obs->ops, obs->ctx, MSGC_IN, deadline);
		if (got < 0)
			return got;
		if (got & MSGC_HUP)		/* one left between our attach and our first look */
			obs->had_senders = true;
	}
}

uint64_t ipc_obs_missed(const struct ipc_obs *obs)
{
	return obs->missed;
}
