/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * ring.h - the ring-mode engine: what sender and receiver agree on in shared memory.
 *
 * The engine makes no system call and allocates nothing. It sleeps, wakes and refuses through three
 * callbacks, and lives in memory that its caller gives it, so that the same source runs in the
 * library and over plain memory in the unit tests. One thread at a time per engine.
 *
 * Sleeping and waking. The letters and numbers are named at each barrier in tx.c and rx.c:
 *
 *	receiver, in the kernel's WAIT and poll		sender, ipc_tx_publish()
 *	A  set its bit in `armed`			1  store the records, then `tail`
 *	B  full barrier					2  full barrier
 *	C  tail != taken: do not sleep			3  armed & line.receivers: kick
 *
 * Either C sees the tail of 1, or 3 sees the bit of A. With more than 64 senders a receiver looks
 * only at the rings whose bit in `hot` is set, and step 3 kicks also where it is clear: the kernel
 * clears it, on a wish that WAIT hears, sees after a barrier that the ring is empty, and sets it at
 * a kick. The same with the roles swapped, for space:
 *
 *	sender, in the kernel's WAIT and poll		receiver, ipc_rx_release()
 *	A' copy `need` to line.space_at			1' store every `head` that moved
 *	B' full barrier					2' full barrier, one for all of them
 *	C' smallest head >= need: do not sleep		3' checked < space_at <= head: kick
 *
 * And for joining, between a sender that reuses space and a receiver that starts to read:
 *
 *	receiver that joins				sender, raise_limit()
 *	a  the kernel: membership, then generation	x  read the heads, store `low`
 *	b  the kernel: full barrier			y  full barrier
 *	c  read `low`, start at or above it		z  generation unchanged: raise the limit
 *
 * Either z sees the generation of a and begins again, or c sees the `low` of x. On an exclusive
 * channel the start at or above `low` is found in takeover.c.
 */
#ifndef IPC_RING_H
#define IPC_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/msgchan.h>

#include "libipc.h"

#define IPC_TX_OPEN	64	/* reservations of one sender from its oldest open one on */
#define IPC_SPIN_FOREVER UINT32_MAX	/* `spin`: never sleep; deadlines, interrupts count */
#define IPC_RX_BORROWED	1024	/* messages that one receiver may hold */

/* What the engine cannot do itself. All return -errno on failure. */
struct ipc_ring_ops {
	/*
	 * Sleep until one of the MSGC_ events, as the command WAIT: returns the events, > 0.
	 * -EAGAIN where deadline is MSGC_NOW, -ETIMEDOUT, -EINTR, -ESHUTDOWN.
	 */
	int (*wait)(void *ctx, unsigned int events, uint64_t deadline);
	int (*kick)(void *ctx);
	int (*refuse)(void *ctx, uint32_t peer);	/* -ENOENT: that peer has left */
};

/* What ATTACH granted, as the caller mapped it. It outlives the engine. */
struct ipc_ring_map {
	const struct msgc_status *status;
	void		*own;		/* sender: control page; receiver: slots */
	void		*data;		/* sender: its records, mapped twice; receiver: window */
	const void	*peer;		/* window: receivers' slots, or senders' control pages */
	uint64_t	data_stride;	/* receiver only */
	uint64_t	peer_stride;
	uint64_t	ring;		/* sender only: bytes, a power of two */
	uint32_t	id, number;	/* of this endpoint */
	bool		timed;		/* sender: every record carries the time of its commit */
};

struct ipc_tx;		/* a sender */
struct ipc_rx;		/* a tethered receiver */
struct ipc_obs;		/* an untethered one */

/*
 * Bytes of memory for an engine, and the engine in it: `mem` is aligned as malloc aligns. Nothing
 * needs undoing: the caller frees `mem` when it is done. `spin`: how often to look again before
 * sleeping, at most; 0 = never. rx_init notes the senders that it finds, for the end of the stream.
 */
size_t ipc_tx_size(void);
size_t ipc_rx_size(uint32_t max_senders);
struct ipc_tx *ipc_tx_init(void *mem, const struct ipc_ring_map *map,
			   const struct ipc_ring_ops *ops, void *ctx, unsigned int spin);
struct ipc_rx *ipc_rx_init(void *mem, const struct ipc_ring_map *map,
			   const struct ipc_ring_ops *ops, void *ctx, unsigned int spin);

/*
 * Room for a message of `len` bytes: sets data, len, cap and priv of `msg`, nothing else. What is
 * finished is published before it sleeps. -EMSGSIZE: longer than the ring less a header. -ENOBUFS:
 * IPC_TX_OPEN reservations stand behind one that is open. -EBUSY: own open reservations are in the
 * way, waiting cannot help. -EAGAIN (IPC_NOW), -ETIMEDOUT: full; POLLOUT then says when this length
 * would fit. -EPROTO: full, and all receivers have refused this sender, or were refused. -EINTR,
 * -ESHUTDOWN. On an UNTETHERED_ONLY channel the oldest goes instead: never full.
 */
int ipc_tx_reserve(struct ipc_tx *tx, struct ipc_msg *msg, uint32_t len, uint64_t deadline);

/*
 * In any order; reads len, type, format and cookie, and time where the sender is timed: 0 is now.
 * `data` becomes NULL. -EINVAL: not reserved here, or finished before. -EMSGSIZE: len was raised
 * above cap; still reserved.
 */
int ipc_tx_commit(struct ipc_tx *tx, struct ipc_msg *msg);
int ipc_tx_abandon(struct ipc_tx *tx, struct ipc_msg *msg);	/* -EINVAL as above */

/*
 * Returns how many committed records an older open reservation holds back. -ESHUTDOWN: detached or
 * evicted, nobody reads this ring any more. Other errors are kick's: it is published nevertheless.
 */
int ipc_tx_publish(struct ipc_tx *tx);

/* Before detaching: abandon what is open, publish the rest. Errors as publish's. */
int ipc_tx_finish(struct ipc_tx *tx);

/*
 * Publish, then wait until every tethered receiver has released all of it. -EBUSY: an open
 * reservation holds committed records back. -EOPNOTSUPP: an UNTETHERED_ONLY channel. Other errors
 * as reserve's.
 */
int ipc_tx_drain(struct ipc_tx *tx, uint64_t deadline);

/* Count messages that the caller gives up, for want of space. */
void ipc_tx_dropped(struct ipc_tx *tx, uint64_t n);

/*
 * Borrow 1 to n messages; each stays where it is until it is released. Returns how many.
 * -EPIPE: end of stream. -EPROTO, once for each: the pair with the sender msgs[0].peer is refused,
 * because of what it wrote, or by it; all that was good before has been delivered. -ENOBUFS:
 * IPC_RX_BORROWED messages are held. -EINVAL: n is 0. -EAGAIN (IPC_NOW), -ETIMEDOUT, -EINTR,
 * -ESHUTDOWN. `missed` counts lost messages; after a takeover from a receiver that had not stopped
 * at a record it is at least 1, nobody being able to count.
 */
int ipc_rx_recv(struct ipc_rx *rx, struct ipc_msg *msgs, unsigned int n, uint64_t deadline);

/*
 * In any order. -EINVAL: one of them is not borrowed here, or named twice; nothing was released.
 * Other errors are kick's: they are released nevertheless.
 */
int ipc_rx_release(struct ipc_rx *rx, const struct ipc_msg *msgs, unsigned int n);

struct ipc_rx_counts {
	uint64_t refused;	/* senders refused for what they wrote */
	uint64_t lost;		/* rings not left at a record: see `missed` */
};

void ipc_rx_counts(const struct ipc_rx *rx, struct ipc_rx_counts *counts);

/*
 * The untethered receiver: as above, but what it hands out are copies in `mem`, of which it touches
 * no more than is held; OLDEST and STAY are read from its line. -ENOBUFS: IPC_RX_BORROWED
 * messages, or too many bytes for the next one, are held; twice data_stride is enough for any one.
 * `missed` counts exactly what was overwritten, and goes into the own page, with 1 more for each
 * ring that went before all of it was read. Never a system call where deadline is IPC_NOW, but to
 * refuse.
 */
size_t ipc_obs_size(uint32_t max_senders, uint64_t data_stride);
struct ipc_obs *ipc_obs_init(void *mem, const struct ipc_ring_map *map,
			     const struct ipc_ring_ops *ops, void *ctx, unsigned int spin);
int ipc_obs_recv(struct ipc_obs *obs, struct ipc_msg *msgs, unsigned int n, uint64_t deadline);
int ipc_obs_release(struct ipc_obs *obs, const struct ipc_msg *msgs, unsigned int n);
uint64_t ipc_obs_missed(const struct ipc_obs *obs);	/* messages, ever */

#endif
