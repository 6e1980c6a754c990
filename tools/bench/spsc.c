// SPDX-License-Identifier: MIT
/*
 * spsc: the fastest ring that can be had, as a bound: one sender, one receiver, slots of one size,
 * no headers, no checks, nobody sleeps, each side keeps a copy of the other's position.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "payload.h"

struct ring {
	_Alignas(64) uint64_t tail;	/* sender */
	_Alignas(64) uint64_t head;	/* receiver */
	_Alignas(64) char slots[];
};

struct link {
	struct ring *ring;
	size_t bytes, slot, mask;
};

struct end {
	struct ring *ring;
	size_t slot, mask;
	uint64_t own, other;	/* positions */
};

static void *create(const struct shape *shape)
{
	struct link *link = malloc(sizeof(*link));
	size_t slots = 1;

	if (!link)
		die_errno(ENOMEM, "link");
	link->slot = (shape->size + 63) & ~(size_t)63;
	while (2 * slots * link->slot <= ring_bytes(shape))
		slots *= 2;
	link->mask = slots - 1;
	link->bytes = sizeof(struct ring) + slots * link->slot;
	link->ring = new_shared(link->bytes);
	return link;
}

static void destroy(void *of)
{
	struct link *link = of;

	free_shared(link->ring, link->bytes);
	free(link);
}

static void *attach(void *to, bool sender)
{
	const struct link *link = to;
	struct end *end = calloc(1, sizeof(*end));

	(void)sender;
	if (!end)
		die_errno(ENOMEM, "end");
	/* a fork does not copy the page tables of shared memory: no page faults later */
	if (madvise(link->ring, link->bytes, MADV_POPULATE_WRITE))
		die_errno(errno, "madvise");
	end->ring = link->ring;
	end->slot = link->slot;
	end->mask = link->mask;
	return end;
}

static void send_batch(void *of, struct source *from, unsigned int n)
{
	struct end *end = of;
	struct ring *ring = end->ring;

	for (unsigned int i = 0; i < n; i++, end->own++) {
		while (end->own - end->other > end->mask) {
			/* what is full is passed on, or nobody would make room */
			__atomic_store_n(&ring->tail, end->own, __ATOMIC_RELEASE);
			end->other = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
			if (end->own - end->other > end->mask)
				relax();
		}
		fill(from, ring->slots + (end->own & end->mask) * end->slot);
	}
	__atomic_store_n(&ring->tail, end->own, __ATOMIC_RELEASE);
}

static unsigned int recv_batch(void *of, struct sink *to, unsigned int n)
{
	struct end *end = of;
	struct ring *ring = end->ring;
	unsigned int got = 0;

	while (end->own == end->other) {
		end->other = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
		if (end->own == end->other)
			relax();
	}
	for (; got < n && end->own != end->other; got++, end->own++)
		check(to, ring->slots + (end->own & end->mask) * end->slot);
	__atomic_store_n(&ring->head, end->own, __ATOMIC_RELEASE);
	return got;
}

const struct transport spsc = {
	.name		= "spsc",
	.polled		= true,
	.create		= create,
	.destroy	= destroy,
	.attach		= attach,
	.detach		= free,
	.send		= send_batch,
	.recv		= recv_batch,
};
