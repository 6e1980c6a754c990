// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "fake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* The thread sanitizer knows memory by its address: there, owner and peers share one view. */
#if defined(__SANITIZE_THREAD__)
#define ONE_VIEW 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ONE_VIEW 1
#endif
#endif
#ifndef ONE_VIEW
#define ONE_VIEW 0
#endif

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

#define set_bits(p, v)		__atomic_fetch_or(p, v, __ATOMIC_SEQ_CST)
#define clear_bits(p, v)	__atomic_fetch_and(p, ~(v), __ATOMIC_SEQ_CST)	/* what was set */

static void die(const char *what)
{
	perror(what);
	exit(2);
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- memory ---- */

static char *reserve_space(size_t size)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	char *space = mmap(NULL, size, PROT_NONE, flags, -1, 0);

	if (space == MAP_FAILED)
		die("mmap");
	return space;
}

static void map_over(char *at, int fd, size_t size, unsigned int times, int prot)
{
	int flags = MAP_FIXED | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);

	for (unsigned int i = 0; i < times; i++)
		if (mmap(at + i * size, size, prot, flags, fd, 0) == MAP_FAILED)
			die("mmap");
}

/* Fresh pages in a window, read-only; the owner's view of them has guards on both sides. */
static char *new_region(char *window, size_t size, unsigned int times, int *fd)
{
	char *own = window;

	*fd = memfd_create("region", 0);
	if (*fd < 0 || ftruncate(*fd, (off_t)size))
		die("memfd");
	map_over(window, *fd, size, times, ONE_VIEW ? PROT_READ | PROT_WRITE : PROT_READ);
	if (!ONE_VIEW) {
		own = reserve_space(times * size + 2 * FAKE_PAGE) + FAKE_PAGE;
		map_over(own, *fd, size, times, PROT_READ | PROT_WRITE);
	}
	return own;
}

static void free_region(char *own, size_t size, int fd)
{
	if (!ONE_VIEW)
		munmap(own - FAKE_PAGE, size + 2 * FAKE_PAGE);
	close(fd);
}

/* ---- lines and predicates; all below with the lock held ---- */

struct msgc_line *line_of_peer(const struct peer *peer)
{
	return (struct msgc_line *)((char *)peer->chan->status + FAKE_PAGE) + peer->index;
}

static struct peer *sender_at(struct chan *chan, uint32_t number)
{
	return chan->peer[chan->max_receivers + number];
}

__u64 *tail_of(const struct peer *sender)
{
	return (__u64 *)(sender->own + MSGC_TAIL_AT(sender->map.number));
}

struct msgc_control *control_of(const struct peer *sender)
{
	return (void *)(sender->own + MSGC_CONTROL_AT(sender->map.number));
}

struct msgc_slot *slot_of(const struct peer *receiver, const struct peer *sender)
{
	return &((struct msgc_slots *)receiver->own)->slot[sender->map.number];
}

static uint64_t clamp(uint64_t value, uint64_t low, uint64_t high)
{
	value = value < low ? low : value > high ? high : value;
	return value & ~31ULL;			/* whatever `high` is: it may be a sender's word */
}

static bool is_departed(const struct msgc_line *line)
{
	return line->state == MSGC_LEFT || line->state == MSGC_DIED;
}

static uint64_t tail_or_end(const struct peer *sender)
{
	const struct msgc_line *line = line_of_peer(sender);

	return is_departed(line) ? line->end : load(tail_of(sender));
}

/* Without a receiver that holds it: what the last one left, or all that is not overwritten. */
static uint64_t smallest_head(const struct peer *sender)
{
	const struct msgc_line *line = line_of_peer(sender);
	uint64_t members = sender->chan->status->tethered & line->receivers;
	uint64_t min = members ? UINT64_MAX : line->head;

	for (uint32_t r = 0; r < sender->chan->max_receivers; r++) {
		const struct msgc_slot *slot;
		uint64_t head = line->head;

		if (!(members >> r & 1))
			continue;
		slot = slot_of(sender->chan->peer[r], sender);
		if (load(&slot->gen) == line->since)
			head = clamp(load(&slot->head), head, tail_or_end(sender));
		min = head < min ? head : min;
	}
	return min;
}

static bool is_writable(const struct peer *sender)
{
	uint64_t tethered = sender->chan->status->tethered;

	return smallest_head(sender) >= load(&control_of(sender)->need) ||
		(tethered && !(tethered & line_of_peer(sender)->receivers));
}

static bool is_readable_from(const struct peer *receiver, const struct peer *sender)
{
	const struct msgc_slot *slot = slot_of(receiver, sender);
	const struct msgc_line *line = line_of_peer(sender);
	uint64_t taken;

	if (!(line->receivers >> receiver->index & 1))
		return false;
	taken = load(&slot->gen) == line->since ? load(&slot->taken) : line->head;
	return taken != tail_or_end(sender);
}

static bool is_hot(const struct chan *chan, uint32_t n)
{
	return chan->status->hot[n / 64] >> n % 64 & 1;
}

/* As the kernel does: of the rings that are not quiet. */
static bool is_readable(const struct peer *receiver)
{
	for (uint32_t n = 0; n < receiver->chan->max_senders; n++) {
		const struct peer *sender = sender_at(receiver->chan, n);

		if (sender && is_hot(receiver->chan, n) && is_readable_from(receiver, sender))
			return true;
	}
	return false;
}

static bool is_untaken(const struct peer *sender)
{
	for (uint32_t r = 0; r < sender->chan->max_receivers; r++)
		if (sender->chan->peer[r] && is_readable_from(sender->chan->peer[r], sender))
			return true;
	return false;
}

static bool is_ended(const struct peer *receiver)
{
	const struct msgc_status *status = receiver->chan->status;
	const struct msgc_line *line = line_of_peer(receiver);

	return line->state == MSGC_LIVE && !(line->flags & MSGC_STAY) && !status->senders &&
		(receiver->found || status->joined > line->since) && !is_readable(receiver);
}

static unsigned int predicates(const struct peer *peer)
{
	if (peer->tx)
		return is_writable(peer) ? MSGC_OUT : 0;
	return (is_readable(peer) ? MSGC_IN : 0U) | (is_ended(peer) ? MSGC_HUP : 0U);
}

static void wake(struct peer *peer)
{
	peer->wakes++;
	pthread_cond_broadcast(&peer->chan->woken);
}

static void arm(struct peer *peer)
{
	if (!peer->tx)
		set_bits(&peer->chan->status->armed, 1ULL << peer->index);
	else
		__atomic_store_n(&line_of_peer(peer)->space_at, load(&control_of(peer)->need),
				 __ATOMIC_SEQ_CST);
}

/* Membership has changed: everybody looks again. */
static void next_generation(struct chan *chan)
{
	__atomic_fetch_add(&chan->status->generation, 1, __ATOMIC_SEQ_CST);
	store(&chan->status->armed, 0ULL);
	for (uint32_t i = 0; i < chan->max_receivers + chan->max_senders; i++)
		if (chan->peer[i])
			wake(chan->peer[i]);
}

/* The pages of a drained or dropped ring go; whoever reads on reads zeros. */
static void revoke_ring(struct peer *sender)
{
	struct chan *chan = sender->chan;
	struct msgc_line *line = line_of_peer(sender);
	uint32_t n = sender->map.number;

	__atomic_store_n(&line->state, MSGC_REVOKED, __ATOMIC_SEQ_CST);
	if (!ONE_VIEW) {
		map_over(chan->data + n * 2 * chan->ring_max, -1, 2 * sender->map.ring, 1,
			 PROT_READ);
		map_over(chan->controls + n * FAKE_PAGE, -1, FAKE_PAGE, 1, PROT_READ);
	}
	chan->peer[sender->index] = NULL;
	chan->freed[sender->index] = ++chan->frees;
	clear_bits(&chan->status->hot[n / 64], 1ULL << n % 64);
	next_generation(chan);
}

static void revoke_drained(struct chan *chan)
{
	for (uint32_t n = 0; n < chan->max_senders; n++) {
		struct peer *sender = sender_at(chan, n);

		if (sender && is_departed(line_of_peer(sender)) &&
		    smallest_head(sender) >= line_of_peer(sender)->end)
			revoke_ring(sender);
	}
}

/* ---- commands ---- */

static void set_hot(struct peer *sender)
{
	uint32_t n = sender->map.number;

	set_bits(&sender->chan->status->hot[n / 64], 1ULL << n % 64);
}

static void kick_receivers(struct peer *sender)
{
	struct chan *chan = sender->chan;

	set_hot(sender);
	for (uint32_t r = 0; r < chan->max_receivers; r++) {
		uint64_t bit = line_of_peer(sender)->receivers & 1ULL << r;

		if (clear_bits(&chan->status->armed, bit) & bit && chan->peer[r])
			wake(chan->peer[r]);
	}
}

static int fake_kick(void *ctx)
{
	struct peer *peer = ctx;
	struct chan *chan = peer->chan;

	pthread_mutex_lock(&chan->lock);
	peer->kicks++;
	if (peer->tx)
		kick_receivers(peer);
	for (uint32_t n = 0; !peer->tx && n < chan->max_senders; n++) {
		struct peer *sender = sender_at(chan, n);

		struct msgc_line *line = sender ? line_of_peer(sender) : NULL;

		if (sender && line->space_at && !is_departed(line) &&
		    smallest_head(sender) >= line->space_at) {
			store(&line->space_at, 0ULL);
			wake(sender);
		}
	}
	revoke_drained(chan);
	pthread_mutex_unlock(&chan->lock);
	return 0;
}

static int sleep_until_woken(struct peer *peer, unsigned int wakes, uint64_t deadline)
{
	struct timespec at = { (time_t)(deadline / 1000000000), (long)(deadline % 1000000000) };
	int err = 0;

	peer->sleeps++;
	while (peer->wakes == wakes && !err) {
		if (deadline == MSGC_FOREVER)
			err = pthread_cond_wait(&peer->chan->woken, &peer->chan->lock);
		else
			err = pthread_cond_timedwait(&peer->chan->woken, &peer->chan->lock, &at);
	}
	return -err;
}

/* Which rings this receiver wishes quiet: cleared, and after a barrier looked at again. */
static void hear_wishes(struct peer *receiver)
{
	const struct msgc_slots *slots = (void *)receiver->own;
	struct chan *chan = receiver->chan;

	for (uint32_t n = 0; chan->status->hot_used && n < chan->max_senders; n++) {
		struct peer *sender = sender_at(chan, n);

		if (!sender || !(load(&slots->quiet[n / 64]) >> n % 64 & 1) || !is_hot(chan, n) ||
		    is_untaken(sender))
			continue;
		clear_bits(&chan->status->hot[n / 64], 1ULL << n % 64);
		if (is_untaken(sender))
			kick_receivers(sender);
	}
}

static int fake_wait(void *ctx, unsigned int events, uint64_t deadline)
{
	struct peer *peer = ctx;
	unsigned int wakes, ready;
	int err = 0;

	pthread_mutex_lock(&peer->chan->lock);
	peer->waits++;
	if (!peer->tx && !peer->dead)
		hear_wishes(peer);
	for (;;) {
		wakes = peer->wakes;				/* join, arm, barrier, look */
		arm(peer);
		ready = peer->dead ? 0 : predicates(peer) & (events | MSGC_HUP);
		if (peer->dead)
			err = -ESHUTDOWN;
		else if (peer->interrupted)
			err = -EINTR;
		if (ready || err)
			break;
		if (deadline == MSGC_NOW)
			err = -EAGAIN;
		else
			err = sleep_until_woken(peer, wakes, deadline);
	}
	if (err == -EINTR) {		/* comes first, as in the kernel */
		peer->interrupted = false;
		ready = 0;
	}
	pthread_mutex_unlock(&peer->chan->lock);
	return ready ? (int)ready : err;
}

unsigned int events_of(struct peer *peer)
{
	int events = fake_wait(peer, peer->tx ? MSGC_OUT : MSGC_IN, MSGC_NOW);

	return events > 0 ? (unsigned int)events : 0;
}

static int fake_refuse(void *ctx, uint32_t id)
{
	struct peer *peer = ctx, *other;
	struct chan *chan = peer->chan;
	uint32_t index = MSGC_INDEX(id);
	int err = -ENOENT;

	pthread_mutex_lock(&chan->lock);
	other = index < chan->max_receivers + chan->max_senders ? chan->peer[index] : NULL;
	if (other && other->map.id == id) {
		struct peer *sender = peer->tx ? peer : other, *receiver = peer->tx ? other : peer;

		peer->refusals++;
		clear_bits(&line_of_peer(sender)->receivers, 1ULL << receiver->index);
		next_generation(chan);
		err = 0;
	}
	pthread_mutex_unlock(&chan->lock);
	return err;
}

static const struct ipc_ring_ops fake_ops = {
	.wait = fake_wait,
	.kick = fake_kick,
	.refuse = fake_refuse,
};

/* ---- joining and leaving ---- */

/* The index that has been free for longest. */
static uint32_t free_index(const struct chan *chan, uint32_t from, uint32_t n)
{
	uint32_t best = UINT32_MAX;

	for (uint32_t i = from; i < from + n; i++)
		if (!chan->peer[i] && (best == UINT32_MAX || chan->freed[i] < chan->freed[best]))
			best = i;
	return best;
}

static struct peer *new_peer(struct chan *chan, uint32_t index)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		die("calloc");
	peer->chan = chan;
	peer->index = index;
	peer->map.status = chan->status;
	peer->map.id = index | ++chan->gen[index] << 12;
	return peer;
}

/* The line as the protocol wants it written: its id first cleared and last set. */
static void publish_line(struct peer *peer, uint8_t shift, uint8_t flags, uint64_t receivers)
{
	struct msgc_line *line = line_of_peer(peer);

	store(&line->id, 0U);
	store(&line->state, (uint8_t)MSGC_LIVE);
	store(&line->ring_shift, shift);
	store(&line->flags, flags);
	store(&line->attempts, (uint8_t)0);
	store(&line->since, peer->chan->status->generation + 1);
	store(&line->space_at, 0ULL);
	store(&line->head, 0ULL);
	store(&line->redo, 0ULL);
	store(&line->end, 0ULL);
	store(&line->receivers, receivers);
	store(&line->id, peer->map.id);
	peer->chan->peer[peer->index] = peer;
}

/* Where nobody has to drain what the departed left, it goes when its place is needed. */
static uint32_t sender_index(struct chan *chan)
{
	uint32_t index = free_index(chan, chan->max_receivers, chan->max_senders);
	bool full = index == UINT32_MAX && chan->status->flags & MSGC_UNTETHERED_ONLY;

	for (uint32_t n = 0; full && n < chan->max_senders; n++) {
		if (!is_departed(line_of_peer(sender_at(chan, n))))
			continue;
		revoke_ring(sender_at(chan, n));
		return chan->max_receivers + n;
	}
	return index;
}

struct peer *join_sender(struct chan *chan, uint64_t ring, unsigned int spin)
{
	struct peer *peer;
	uint32_t n;

	pthread_mutex_lock(&chan->lock);
	peer = new_peer(chan, sender_index(chan));
	n = peer->index - chan->max_receivers;
	peer->map.number = n;
	peer->map.ring = ring;
	peer->map.timed = chan->timed;
	peer->map.data = new_region(chan->data + n * 2 * chan->ring_max, ring, 2, &peer->fd_data);
	peer->own = new_region(chan->controls + n * FAKE_PAGE, FAKE_PAGE, 1, &peer->fd_own);
	peer->own_size = FAKE_PAGE;
	peer->map.own = peer->own;
	peer->map.peer = chan->slots;
	peer->map.peer_stride = chan->slots_size;
	publish_line(peer, (uint8_t)__builtin_ctzll(ring), 0, chan->takers);
	store(&chan->status->joined, chan->status->generation + 1);
	store(&chan->status->senders, chan->status->senders + 1);
	set_hot(peer);
	peer->memory = malloc(ipc_tx_size());
	peer->tx = ipc_tx_init(peer->memory, &peer->map, &fake_ops, peer, spin);
	next_generation(chan);
	pthread_mutex_unlock(&chan->lock);
	return peer;
}

static bool is_tethered(const struct peer *receiver)
{
	return !(line_of_peer(receiver)->flags & MSGC_UNTETHERED);
}

/* The bits of `receivers` first: tethered without one means refused. */
static void take_part(struct peer *receiver)
{
	struct chan *chan = receiver->chan;
	uint64_t bit = 1ULL << receiver->index;

	chan->takers |= bit;
	for (uint32_t n = 0; n < chan->max_senders; n++) {
		if (!sender_at(chan, n))
			continue;
		set_bits(&line_of_peer(sender_at(chan, n))->receivers, bit);
		set_hot(sender_at(chan, n));
	}
	if (is_tethered(receiver))
		store(&chan->status->tethered, chan->status->tethered | bit);
}

/* What ATTACH says to these flags: the state of the line, or 0. */
static uint8_t admission(const struct chan *chan, uint8_t flags)
{
	if (flags & MSGC_UNTETHERED)
		return MSGC_LIVE;
	if (chan->status->flags & MSGC_UNTETHERED_ONLY)
		return 0;
	if (chan->delivery != MSGC_EXCLUSIVE || !chan->status->tethered)
		return MSGC_LIVE;
	return flags & MSGC_AS_STANDBY ? MSGC_STANDBY : 0;
}

static struct peer *new_receiver(struct chan *chan, uint32_t index, uint8_t flags, uint8_t state)
{
	struct peer *peer = new_peer(chan, index);

	peer->map.number = index;
	peer->own = new_region(chan->slots + index * chan->slots_size, chan->slots_size, 1,
			       &peer->fd_own);
	peer->own_size = chan->slots_size;
	peer->map.own = peer->own;
	peer->map.data = chan->data;
	peer->map.data_stride = 2 * chan->ring_max;
	peer->map.peer = chan->controls;
	peer->map.peer_stride = FAKE_PAGE;
	publish_line(peer, 0, flags, 0);
	store(&line_of_peer(peer)->state, state);
	if (state == MSGC_LIVE)
		take_part(peer);
	return peer;
}

static void start_engine(struct peer *peer, uint8_t flags, unsigned int spin)
{
	struct chan *chan = peer->chan;

	if (flags & MSGC_UNTETHERED) {
		peer->memory = malloc(ipc_obs_size(chan->max_senders, peer->map.data_stride));
		peer->obs = ipc_obs_init(peer->memory, &peer->map, &fake_ops, peer, spin);
	} else {
		peer->memory = malloc(ipc_rx_size(chan->max_senders));
		peer->rx = ipc_rx_init(peer->memory, &peer->map, &fake_ops, peer, spin);
	}
}

struct peer *join_receiver(struct chan *chan, uint8_t flags, unsigned int spin)
{
	struct peer *peer = NULL;
	uint32_t index;
	uint8_t state;

	pthread_mutex_lock(&chan->lock);
	state = admission(chan, flags);
	index = free_index(chan, 0, chan->max_receivers);
	if (state && index != UINT32_MAX) {
		peer = new_receiver(chan, index, flags, state);
		for (uint32_t n = 0; n < chan->max_senders; n++)
			if (sender_at(chan, n))
				peer->found = true;
		next_generation(chan);
	}
	pthread_mutex_unlock(&chan->lock);
	if (peer)
		start_engine(peer, flags, spin);
	return peer;
}

/* Where the successor starts with this sender, and what it is told. */
static void settle_pair(struct peer *receiver, struct peer *sender)
{
	struct msgc_line *line = line_of_peer(sender);
	const struct msgc_slot *slot = slot_of(receiver, sender);
	uint64_t base = line->head, redo;

	if (load(&slot->gen) != line->since)
		return;
	base = clamp(load(&slot->head), base, tail_or_end(sender));
	redo = clamp(load(&slot->taken), base, tail_or_end(sender));
	redo = redo > line->redo ? redo : line->redo;
	if (redo <= base)
		store(&line->attempts, (uint8_t)0);
	else
		store(&line->attempts, (uint8_t)(base == line->head ? line->attempts + 1 : 1));
	store(&line->head, base);
	store(&line->redo, redo);
}

/* The standby that has waited longest. */
static void promote(struct chan *chan)
{
	struct peer *best = NULL;

	for (uint32_t r = 0; r < chan->max_receivers; r++) {
		struct peer *peer = chan->peer[r];

		if (peer && line_of_peer(peer)->state == MSGC_STANDBY &&
		    (!best || line_of_peer(peer)->since < line_of_peer(best)->since))
			best = peer;
	}
	if (!best)
		return;
	store(&line_of_peer(best)->state, (uint8_t)MSGC_LIVE);
	take_part(best);
}

static void leave_receiver(struct peer *peer)
{
	struct chan *chan = peer->chan;
	uint64_t bit = 1ULL << peer->index;
	bool successor = chan->delivery == MSGC_EXCLUSIVE && chan->status->tethered & bit;

	chan->takers &= ~bit;
	store(&chan->status->tethered, chan->status->tethered & ~bit);
	for (uint32_t n = 0; n < chan->max_senders; n++) {
		struct peer *sender = sender_at(chan, n);

		if (!sender)
			continue;
		if (successor)
			settle_pair(peer, sender);
		clear_bits(&line_of_peer(sender)->receivers, bit);
	}
	chan->peer[peer->index] = NULL;
	chan->freed[peer->index] = ++chan->frees;
	if (successor)
		promote(chan);
}

static void leave_sender(struct peer *peer)
{
	struct msgc_line *line = line_of_peer(peer);
	uint64_t low = clamp(load(&control_of(peer)->low), 0, load(tail_of(peer)));
	uint64_t head = smallest_head(peer);

	head = head > low ? head : low;
	store(&line->end, clamp(load(tail_of(peer)), head, head + peer->map.ring));
	store(&line->space_at, load(&line->end));
	set_hot(peer);
	store(&peer->chan->status->senders, peer->chan->status->senders - 1);
}

void leave(struct peer *peer, uint8_t state)
{
	struct chan *chan = peer->chan;

	pthread_mutex_lock(&chan->lock);
	peer->dead = true;
	if (peer->tx)
		leave_sender(peer);
	else
		leave_receiver(peer);
	store(&line_of_peer(peer)->state, state);
	next_generation(chan);
	wake(peer);
	revoke_drained(chan);
	pthread_mutex_unlock(&chan->lock);
}

void drop_ring(struct peer *peer)
{
	pthread_mutex_lock(&peer->chan->lock);
	revoke_ring(peer);
	pthread_mutex_unlock(&peer->chan->lock);
}

void peer_free(struct peer *peer)
{
	if (peer->chan->peer[peer->index] == peer)
		peer->chan->peer[peer->index] = NULL;
	if (peer->tx)
		free_region(peer->map.data, 2 * peer->map.ring, peer->fd_data);
	free_region(peer->own, peer->own_size, peer->fd_own);
	free(peer->memory);
	free(peer);
}

static struct chan *chan_of(uint32_t max_senders, uint32_t max_receivers, uint64_t ring_max)
{
	struct chan *chan = calloc(1, sizeof(*chan));
	uint32_t lines = max_receivers + max_senders;
	pthread_condattr_t attr;

	if (!chan)
		die("calloc");
	pthread_mutex_init(&chan->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&chan->woken, &attr);
	chan->max_senders = max_senders;
	chan->max_receivers = max_receivers;
	chan->delivery = MSGC_EXCLUSIVE;
	chan->ring_max = ring_max;
	chan->slots_size = sizeof(struct msgc_slots) + max_senders * sizeof(struct msgc_slot);
	chan->slots_size = (chan->slots_size + FAKE_PAGE - 1) / FAKE_PAGE * FAKE_PAGE;
	chan->status = aligned_alloc(64, FAKE_PAGE + lines * sizeof(struct msgc_line));
	memset(chan->status, 0, FAKE_PAGE + lines * sizeof(struct msgc_line));
	chan->status->delivery = MSGC_EXCLUSIVE;
	chan->status->max_senders = max_senders;
	chan->status->hot_used = max_senders > 64;
	chan->status->max_receivers = chan->max_receivers;
	chan->status->line_off = FAKE_PAGE;
	chan->status->generation = 1;
	chan->data = reserve_space(max_senders * 2 * ring_max);
	chan->controls = reserve_space(max_senders * FAKE_PAGE);
	chan->slots = reserve_space(chan->max_receivers * chan->slots_size);
	chan->peer = calloc(lines, sizeof(*chan->peer));
	chan->gen = calloc(lines, sizeof(*chan->gen));
	chan->freed = calloc(lines, sizeof(*chan->freed));
	return chan;
}

struct chan *chan_new(uint32_t max_senders, uint64_t ring_max)
{
	return chan_of(max_senders, 8, ring_max);
}

struct chan *chan_new_broadcast(uint32_t max_senders, uint64_t ring_max, uint32_t flags)
{
	struct chan *chan = chan_of(max_senders, 64, ring_max);

	chan->delivery = MSGC_BROADCAST;
	chan->status->delivery = MSGC_BROADCAST;
	chan->status->flags = flags;
	return chan;
}

void chan_free(struct chan *chan)
{
	for (uint32_t i = 0; i < chan->max_receivers + chan->max_senders; i++)
		if (chan->peer[i])
			peer_free(chan->peer[i]);
	munmap(chan->data, chan->max_senders * 2 * chan->ring_max);
	munmap(chan->controls, chan->max_senders * FAKE_PAGE);
	munmap(chan->slots, chan->max_receivers * chan->slots_size);
	free(chan->status);
	free(chan->peer);
	free(chan->gen);
	free(chan->freed);
	pthread_cond_destroy(&chan->woken);
	pthread_mutex_destroy(&chan->lock);
	free(chan);
}
