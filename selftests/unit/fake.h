/* SPDX-License-Identifier: MIT */
/*
 * fake.h - a kernel over plain memory: one ring channel, its endpoints engines of this process.
 *
 * It follows the protocol where it concerns the engines: lines and generation, arming, waiting
 * and kicking, space, death, takeover, standbys, refusal, revocation. Whoever sleeps here wakes
 * only when somebody wakes it: a kick that the engine forgets shows as a hang.
 */
#ifndef UNIT_FAKE_H
#define UNIT_FAKE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "ring.h"

#define FAKE_PAGE	4096UL

struct peer;

struct chan {
	pthread_mutex_t lock;		/* what the kernel writes; joining, leaving, sleeping */
	pthread_cond_t woken;
	uint32_t max_senders, max_receivers;
	uint32_t delivery;		/* MSGC_EXCLUSIVE, MSGC_BROADCAST */
	uint64_t takers;		/* a bit per receiver that is no standby */
	uint64_t ring_max, slots_size;
	bool timed;			/* senders that join from now on */
	struct msgc_status *status;
	char *data, *controls, *slots;	/* windows */
	struct peer **peer;		/* by index */
	uint32_t *gen, *freed;		/* by index: of the last id; when it became free */
	uint32_t frees;
};

/* An endpoint with its engine. The counters are the fake kernel's. */
struct peer {
	struct chan *chan;
	struct ipc_ring_map map;
	uint32_t index;
	bool dead;
	bool interrupted;		/* the next wait ends with -EINTR */
	bool found;			/* receiver: there were rings when it joined */
	void *memory;			/* the engine's */
	struct ipc_tx *tx;		/* one of these */
	struct ipc_rx *rx;
	struct ipc_obs *obs;
	char *own;			/* its pages, writable: for hostile tests */
	size_t own_size;
	unsigned int wakes;
	unsigned int waits, sleeps, kicks, refusals;
	int fd_data, fd_own;
};

struct chan *chan_new(uint32_t max_senders, uint64_t ring_max);	/* exclusive, 8 receivers */
/* Broadcast, 64 receivers; flags: MSGC_UNTETHERED_ONLY or 0. */
struct chan *chan_new_broadcast(uint32_t max_senders, uint64_t ring_max, uint32_t flags);
void chan_free(struct chan *chan);	/* with all its endpoints */

struct peer *join_sender(struct chan *chan, uint64_t ring, unsigned int spin);
/* flags: of ATTACH. NULL: there is one already, or tethered ones are not wanted. */
struct peer *join_receiver(struct chan *chan, uint8_t flags, unsigned int spin);
void leave(struct peer *peer, uint8_t state);		/* MSGC_LEFT or MSGC_DIED */
void drop_ring(struct peer *peer);			/* of a departed sender, undrained: EVICT */
void peer_free(struct peer *peer);			/* after leave */

struct msgc_line *line_of_peer(const struct peer *peer);
__u64 *tail_of(const struct peer *sender);
struct msgc_control *control_of(const struct peer *sender);
struct msgc_slot *slot_of(const struct peer *receiver, const struct peer *sender);
unsigned int events_of(struct peer *peer);		/* as poll would report, arming */

uint64_t now_ns(void);

#endif
