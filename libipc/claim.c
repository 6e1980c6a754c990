// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * claim.c - the receiver of a balanced channel: claims a batch from the kernel with one system
 * call, and releases by setting bits in its own page.
 *
 * The kernel says where a record stands and how long it is; the header is only compared with that.
 * Releasing is eager without a system call: the bits stand where the kernel looks before a sender
 * goes to sleep for space, and a sender that sleeps already is seen here (the pictures in ring.h
 * and kmod/claim.c):
 *
 *	sender, in the kernel's WAIT and poll		receiver, release_marked()
 *	A' copy `need` to line.space_at			1' set the bits in `released`
 *	B' full barrier					2' full barrier
 *	C' collect released bits, look at the head	3' line.space_at? -> CLAIM
 */
#include "internal.h"
#include "ring_shared.h"

#define ENTRIES MSGC_CLAIMS

struct claims {
	struct ipc_ring_map map;
	struct msgc_own *own;
	const struct msgc_claims *inbox;
	uint32_t max_senders, max_receivers, nr;
	uint64_t generation;	/* of the membership as looked at last */
	/* masks of entries; held here: as the kernel said last */
	uint64_t held;
	uint64_t lent;		/* of these: the application has it */
	uint64_t released;	/* as it stands in the own page */
	uint64_t unwatched;	/* the kernel does not look at their bits but in CLAIM */
	/* claimed and not lent yet, in the order of claiming */
	uint8_t fresh[ENTRIES], at, end;
	bool entrusted;		/* a CLAIM is an io_uring's */
	uint64_t id[ENTRIES];	/* of what was given last */
	uint32_t told[];	/* by sender number: whose end the application knows of */
};

static struct claims *claims_of(struct ipc_endpoint *ep)
{
	return ep->priv;
}

static size_t claims_size(const struct msgc_attach *at)
{
	return sizeof(struct claims) + at->max_senders * sizeof(uint32_t);
}

static void claims_init(struct ipc_endpoint *ep, const struct msgc_info *info,
			const struct msgc_attach *at, const struct ipc_attach *how)
{
	struct claims *c = ep->priv;

	(void)info;
	(void)how;
	ipc_fill_ring_map(&c->map, ep, at);
	c->own = ep->area[MSGC_OWN];
	c->inbox = ep->area[MSGC_INBOX];
	c->max_senders = at->max_senders;
	c->max_receivers = at->max_receivers;
	c->nr = at->held;
	ep->seen = (uint64_t *)&c->own->seen;
}

static uint32_t number_of(const struct claims *c, uint32_t sender)
{
	return MSGC_INDEX(sender) - c->max_receivers;
}

/* ---- who has been refused ---- */

static bool takes_from(const struct claims *c, const struct msgc_line *line)
{
	return line->receivers >> c->map.number & 1;
}

/* Once for each sender that takes no part any more: by its own fault, by ours or by its wish. */
static int report_refused(struct claims *c, struct ipc_msg *m)
{
	uint64_t generation = load_acquire(&c->map.status->generation);
	struct msgc_line line;

	if (generation == c->generation)
		return 0;
	for (uint32_t n = 0; n < c->max_senders; n++) {
		if (!read_line(line_of(c->map.status, c->max_receivers + n), &line))
			continue;
		/* One that is just joining has a later `since`: its line is not complete. */
		if (line.since > generation || takes_from(c, &line) || c->told[n] == line.id)
			continue;
		c->told[n] = line.id;
		*m = (struct ipc_msg){ .peer = line.id };
		return -EPROTO;
	}
	c->generation = generation;
	return 0;
}

/* ---- claiming ---- */

/* What the kernel gave, as its numbers run. */
static void queue_fresh(struct claims *c, uint64_t mask)
{
	for (; mask; mask &= mask - 1) {
		uint8_t entry = (uint8_t)__builtin_ctzll(mask), i = c->end++;

		c->id[entry] = c->inbox->entry[entry].id;
		for (; i && c->inbox->entry[c->fresh[i - 1]].id > c->inbox->entry[entry].id; i--)
			c->fresh[i] = c->fresh[i - 1];
		c->fresh[i] = entry;
	}
}

/* Release what is marked, and claim up to @n: with nothing left in `fresh`, or n = 0. */
static int claim(struct ipc_endpoint *ep, uint32_t n, uint64_t deadline)
{
	struct claims *c = claims_of(ep);
	struct msgc_claim arg = { .n = n, .deadline = deadline };
	int ret = sys_ioctl(ep->fd, MSGC_CLAIM, &arg);
	uint64_t told = c->released, held, given;

	if (ret == -EPERM || ret == -ESHUTDOWN)
		return ret;
	held = load_acquire(&c->inbox->held);
	given = n ? held & ~(c->held & ~told) : 0;
	c->released = 0;
	store(&c->own->released, 0);
	c->held = held;
	c->unwatched = (c->unwatched & held & ~given) | (given & told);
	if (n) {
		c->at = 0;
		c->end = 0;
		queue_fresh(c, given);
	}
	return ret;
}

static uint64_t bit(uint32_t entry)
{
	return UINT64_C(1) << entry;
}

/* Goes with the next CLAIM, or when the kernel looks: nobody sleeps for this one. */
static void drop(struct claims *c, uint32_t entry)
{
	c->released |= bit(entry);
	store(&c->own->released, c->released);
}

/* When it was sent, if it says so. */
static uint64_t record_time(const char *record, const struct msgc_record *header)
{
	const struct msgc_ext *ext = (const void *)(record + HEADER);

	return header->span_flags & MSGC_R_EXT ? load(&ext->time) : 0;
}

/* Lend the record of an entry; false: its ring is gone, or its header not what the kernel saw. */
static bool lend(struct ipc_endpoint *ep, uint32_t i, struct ipc_msg *m)
{
	struct claims *c = claims_of(ep);
	const struct msgc_entry *entry = &c->inbox->entry[i];
	uint32_t n = number_of(c, entry->sender);
	const struct msgc_line *words = line_of(c->map.status, MSGC_INDEX(entry->sender));
	const char *data = (const char *)c->map.data + n * c->map.data_stride;
	const char *record;
	struct msgc_record header;
	struct msgc_line line, again;

	if (!read_line(words, &line) || line.id != entry->sender)
		return false;
	read_header(data, 1ULL << line.ring_shift, entry->pos, &header);
	if (!header_is_sound(&header, entry->pos, entry->pos + entry->span) ||
	    MSGC_SPAN(header.span_flags) != entry->span || header.span_flags & MSGC_R_PAD) {
		struct msgc_refuse refuse = { .peer = entry->sender };

		if (read_line(words, &again) && again.id == entry->sender)
			sys_ioctl(ep->fd, MSGC_REFUSE, &refuse);
		return false;
	}
	c->lent |= bit(i);
	record = data + (entry->pos & ((1ULL << line.ring_shift) - 1));
	*m = (struct ipc_msg){
		.data = (void *)(uintptr_t)(record + header_bytes(&header)),
		.len = header.len,
		.cap = header.len,
		.type = header.type,
		.format = (uint8_t)(header.seq_format >> 56),
		.flags = ipc_msg_flags((uint8_t)entry->flags),
		.attempts = entry->attempts,
		.peer = entry->sender,
		.seq = header.seq_format & SEQ_MASK,
		.cookie = header.cookie,
		.time = record_time(record, &header),
		.priv = { i, entry->id, (uintptr_t)c },
	};
	return true;
}

static unsigned int lend_fresh(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n)
{
	struct claims *c = claims_of(ep);
	unsigned int got = 0;

	while (c->at != c->end && got < n) {
		uint8_t entry = c->fresh[c->at++];

		if (lend(ep, entry, &m[got]))
			got++;
		else
			drop(c, entry);
	}
	return got;
}

static int claims_recv(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n,
		       uint64_t deadline)
{
	struct claims *c = claims_of(ep);
	unsigned int got;
	int ret;

	if (!n)
		return -EINVAL;
	for (;;) {
		got = lend_fresh(ep, m, n);
		if (got)
			return (int)got;
		if (c->entrusted)
			return -EBUSY;
		ret = report_refused(c, m);
		if (ret)
			return ret;
		ret = claim(ep, MIN(n, c->nr), deadline);
		if (ret < 0 && ret != -EPROTO)	/* that one says whom, above */
			return ret;
	}
}

/* ---- claiming by io_uring ---- */

/*
 * While it is on its way nothing may be released: between the kernel's giving an entry again and
 * our clearing of its bit, another CLAIM would take that bit for the new one's. So nothing may be
 * lent.
 */
int ipc_claims_entrust(struct ipc_endpoint *ep, unsigned int n, struct msgc_claim *arg,
		       uint64_t deadline)
{
	struct claims *c = claims_of(ep);

	if (!n)
		return -EINVAL;
	if (c->entrusted || c->lent || c->at != c->end)
		return -EBUSY;
	*arg = (struct msgc_claim){ .n = MIN(n, c->nr), .deadline = deadline };
	c->entrusted = true;
	return 0;
}

/* Held, and not as it was: whether the command has run at all need not be known. */
static uint64_t given_since(const struct claims *c, uint64_t held)
{
	uint64_t given = held & ~c->held;

	for (uint64_t mask = held & c->held; mask; mask &= mask - 1) {
		uint32_t entry = (uint32_t)__builtin_ctzll(mask);

		if (c->inbox->entry[entry].id != c->id[entry])
			given |= bit(entry);
	}
	return given;
}

int ipc_claims_conclude(struct ipc_endpoint *ep, int32_t res)
{
	struct claims *c = claims_of(ep);
	uint64_t held = load_acquire(&c->inbox->held), told = c->released, given;

	if (!c->entrusted)
		return -ENOENT;
	c->entrusted = false;
	given = given_since(c, held);
	c->unwatched = (c->unwatched & held & ~given) | (given & told);
	c->released = told & held & ~given;
	store(&c->own->released, c->released);
	c->held = held;
	c->at = 0;
	c->end = 0;
	queue_fresh(c, given);
	return res;
}

/* ---- giving back ---- */

static bool is_lent(const struct claims *c, const struct ipc_msg *m)
{
	uint64_t i = m->priv[0];

	return m->priv[2] == (uintptr_t)c && i < ENTRIES && c->lent & bit((uint32_t)i) &&
		c->id[i] == m->priv[1];
}

/* Does a sender of one of these sleep for space? The dead do not: their ring goes later. */
static bool wanted(const struct claims *c, const struct ipc_msg *m, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct msgc_line *line = line_of(c->map.status, MSGC_INDEX(m[i].peer));

		if (load_ordered(&line->space_at) > load(&line->head) &&
		    load(&line->state) == MSGC_LIVE)
			return true;
	}
	return false;
}

static int release_marked(struct ipc_endpoint *ep, const struct ipc_msg *m, unsigned int n,
			  uint64_t mask)
{
	struct claims *c = claims_of(ep);

	c->released |= mask;
	store_barrier(&c->own->released, c->released);	/* 1', 2': pairs with B' */
	if (mask & c->unwatched || wanted(c, m, n))	/* 3' */
		return claim(ep, 0, IPC_NOW);
	return 0;
}

static int claims_release(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n)
{
	struct claims *c = claims_of(ep);
	uint64_t mask = 0;
	int ret;

	for (unsigned int i = 0; i < n; i++) {
		if (!is_lent(c, &m[i]) || mask & bit((uint32_t)m[i].priv[0]))
			return -EINVAL;
		mask |= bit((uint32_t)m[i].priv[0]);
	}
	if (!mask)
		return 0;
	c->lent &= ~mask;
	ret = release_marked(ep, m, n, mask);
	for (unsigned int i = 0; i < n; i++)
		m[i].data = NULL;
	return ret;
}

static int claims_give_back(struct ipc_endpoint *ep, struct ipc_msg *m)
{
	struct claims *c = claims_of(ep);
	struct msgc_return arg = { .id = m->priv[1] };
	int ret;

	if (!is_lent(c, m))
		return -EINVAL;
	ret = sys_ioctl(ep->fd, MSGC_RETURN, &arg);
	if (ret < 0)
		return ret;
	c->lent &= ~bit((uint32_t)m->priv[0]);
	c->held &= ~bit((uint32_t)m->priv[0]);
	m->data = NULL;
	return 0;
}

const struct ipc_kind ipc_balanced_receiver = {
	.prot = {
		[MSGC_STATUS]	= PROT_READ,
		[MSGC_OWN]	= PROT_READ | PROT_WRITE,
		[MSGC_INBOX]	= PROT_READ,
		[MSGC_DATA]	= PROT_READ,
	},
	.size		= claims_size,
	.init		= claims_init,
	.recv		= claims_recv,
	.release	= claims_release,
	.give_back	= claims_give_back,
};
