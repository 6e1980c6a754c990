/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What the library's files share: the two handles, and the verbs that each kind of endpoint has. */
#ifndef LIBIPC_INTERNAL_H
#define LIBIPC_INTERNAL_H

#include <linux/msgchan.h>

#include "libipc.h"
#include "sys.h"

#define IPC_API __attribute__((visibility("default")))

struct ipc_channel {
	int fd;
	struct msgc_info info;		/* as of opening: only what never changes is used */
};

/* Files that came with a message: their numbers, and how many of them are still the library's. */
struct ipc_files {
	const int32_t *fds;
	uint8_t *untaken;
	bool truncated;		/* others did not come */
};

/* A kind of endpoint: a mode and a role. A verb that it does not have is NULL. */
struct ipc_kind {
	uint8_t prot[MSGC_AREAS];	/* of its mappings */
	size_t (*size)(const struct msgc_attach *at);	/* of ep->priv */
	void (*init)(struct ipc_endpoint *ep, const struct msgc_info *info,
		     const struct msgc_attach *at, const struct ipc_attach *how);
	int (*finish)(struct ipc_endpoint *ep);		/* before detaching */

	int (*reserve)(struct ipc_endpoint *ep, struct ipc_msg *m, uint32_t len,
		       uint64_t deadline);
	int (*commit)(struct ipc_endpoint *ep, struct ipc_msg *m);
	int (*abandon)(struct ipc_endpoint *ep, struct ipc_msg *m);
	int (*publish)(struct ipc_endpoint *ep);
	int (*send)(struct ipc_endpoint *ep, struct ipc_msg *m, uint64_t deadline);
	int (*drain)(struct ipc_endpoint *ep, uint64_t deadline);
	int (*drop)(struct ipc_endpoint *ep, uint64_t n);
	int (*recv)(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n,
		    uint64_t deadline);
	int (*release)(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n);
	int (*give_back)(struct ipc_endpoint *ep, struct ipc_msg *m);
	int (*call)(struct ipc_endpoint *ep, struct ipc_msg *req, struct ipc_msg *rep,
		    uint64_t deadline);
	int (*start)(struct ipc_endpoint *ep, struct ipc_msg *req, uint64_t deadline);
	int (*collect)(struct ipc_endpoint *ep, struct ipc_msg *rep, unsigned int n,
		       uint64_t deadline);
	int (*reply)(struct ipc_endpoint *ep, struct ipc_msg *req, uint32_t len,
		     int32_t result);
	int (*reply_recv)(struct ipc_endpoint *ep, struct ipc_msg *req, uint32_t len,
			  int32_t result, struct ipc_msg *next, uint64_t deadline);
	int (*gone)(struct ipc_endpoint *ep, const struct ipc_msg *req);
	int (*files)(struct ipc_endpoint *ep, const struct ipc_msg *m, struct ipc_files *out);
};

extern const struct ipc_kind ipc_ring_sender, ipc_ring_receiver, ipc_ring_observer,
	ipc_balanced_receiver,
	ipc_client, ipc_server;

/*
 * An endpoint. It lies in memory that reads as zeros in a forked child, so that `kind` is NULL
 * there: the only mark of a process that did not attach.
 */
struct ipc_endpoint {
	const struct ipc_kind *kind;
	int		fd;
	uint32_t	id;
	void		*area[MSGC_AREAS];	/* NULL: this kind has no such area */
	size_t		area_size[MSGC_AREAS];
	uint64_t	*seen;			/* its word: the generation it was told of */
	void		*priv;			/* the kind's own */
};

/* Is it an endpoint of this kind, and ours? */
static inline int ipc_must_be(const struct ipc_endpoint *ep, const struct ipc_kind *kind)
{
	return ep->kind == kind ? 0 : ep->kind ? -ENOTTY : -EPERM;
}

/*
 * Calls of a client by way of others. Prepare fills a slot and the command, and returns the slot:
 * it stays that other's until conclude, which is told how the command ended, or once it has
 * finished. Resume entrusts a call again that was concluded and goes on.
 */
int ipc_client_prepare(struct ipc_endpoint *ep, struct ipc_msg *req, unsigned int flags,
		       uint64_t deadline, struct msgc_call *call);
int ipc_client_resume(struct ipc_endpoint *ep, uint32_t slot);
bool ipc_client_finished(struct ipc_endpoint *ep, uint32_t slot);
int ipc_client_conclude(struct ipc_endpoint *ep, uint32_t slot, struct ipc_msg *rep, int ret);

/*
 * Requests of a server by way of others: the header of a reply, for REPLY; what RECV gave, 0 or an
 * error, or what a completion says, as ipc_recv() would.
 */
int ipc_server_answer(struct ipc_endpoint *ep, const struct ipc_msg *req, uint32_t len);
int ipc_server_fill(struct ipc_endpoint *ep, uint32_t entry, struct ipc_msg *m);
int ipc_server_received(struct ipc_endpoint *ep, int32_t res, struct ipc_msg *m);
bool ipc_server_holds(struct ipc_endpoint *ep, const struct ipc_msg *req);
void ipc_server_gave_back(struct ipc_msg *req);

/* A CLAIM of a balanced receiver by way of others; conclude whatever became of it. */
int ipc_claims_entrust(struct ipc_endpoint *ep, unsigned int n, struct msgc_claim *arg,
		       uint64_t deadline);
int ipc_claims_conclude(struct ipc_endpoint *ep, int32_t res);

/* Publish, without waking anybody: *kick says whether somebody has to be. */
int ipc_sender_publish(struct ipc_endpoint *ep, bool *kick);

/* ipc_wait() in two halves. */
int ipc_wait_begin(struct ipc_endpoint *ep);
int ipc_wait_end(struct ipc_endpoint *ep, int ret);

/* The command WAIT, without a kick. Returns events, > 0; -ESHUTDOWN once the endpoint is dead. */
int ipc_endpoint_wait(struct ipc_endpoint *ep, unsigned int events, uint64_t deadline);

/* Where the engine finds what ATTACH granted. */
struct ipc_ring_map;
void ipc_fill_ring_map(struct ipc_ring_map *map, const struct ipc_endpoint *ep,
		       const struct msgc_attach *at);

/* The flags of a message, from those of an inbox line. */
static inline uint8_t ipc_msg_flags(uint8_t line)
{
	return (uint8_t)((line & MSGC_M_REDELIVERED ? IPC_F_REDELIVERED : 0) |
			 (line & MSGC_M_GONE ? IPC_F_GONE : 0) |
			 (line & MSGC_M_ONEWAY ? IPC_F_ONEWAY : 0));
}

/* Of files to be sent with it (ipc_set_fds()): are there any; their numbers, and how many. */
static inline bool ipc_has_files(const struct ipc_msg *m)
{
	return m->priv[4] >> 32;
}

unsigned int ipc_files_set(const struct ipc_msg *m, int32_t *fds);

/* Of files that came: how many; to close those that nobody took. */
uint8_t ipc_files_came(const int32_t *fds);
void ipc_files_close(const int32_t *fds, uint8_t *untaken);

/*
 * Copy a struct that starts with its size and may be younger or older than this library:
 * -EINVAL shorter than @min, -E2BIG something set that is not known here.
 */
int ipc_copy_sized(void *to, size_t size, const void *from, size_t min);

#endif
