/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * libipc.h - channels of msgchan: rings and calls in shared memory.
 */
#ifndef LIBIPC_H
#define LIBIPC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ipc_channel;
struct ipc_endpoint;

#define IPC_NOW		0ULL
#define IPC_FOREVER	(~0ULL)

enum { IPC_RING = 1, IPC_RENDEZVOUS };
enum { IPC_EXCLUSIVE = 1, IPC_BROADCAST, IPC_BALANCED };
enum {
	IPC_PERSISTENT = 1,
	IPC_UNTETHERED_ONLY = 2,
	IPC_MANY_SERVERS = 4,
	IPC_REDELIVER = 8,
	IPC_PRIO_INHERIT = 16,
	IPC_OWNER = 1 << 30,
};
enum { IPC_SENDER = 1, IPC_RECEIVER };
enum { IPC_OLDEST = 1, IPC_UNTETHERED = 2, IPC_STANDBY = 4, IPC_BOUND = 8, IPC_STAY = 16 };
enum { IPC_READ = 1, IPC_WRITE = 2 };
enum { IPC_IN = 1, IPC_PEERS = 2, IPC_OUT = 4, IPC_ERR = 8, IPC_HUP = 16 };
enum { IPC_NONE, IPC_DONE, IPC_NOT_EXECUTED, IPC_MAYBE };
enum { IPC_F_REDELIVERED = 1, IPC_F_NEED_SERVER = 4, IPC_F_GONE = 8, IPC_F_ONEWAY = 16 };
enum { IPC_LIVE = 1, IPC_WAITING, IPC_LEFT, IPC_DIED, IPC_REVOKED };

struct ipc_options {
	uint32_t size, mode;
	uint32_t delivery;
	uint32_t flags;
	uint32_t max_senders, max_receivers, max_attempts, perm;
	uint64_t ring_max;
	uint64_t request, reply;
	uint32_t slots;
	uint32_t uid, gid;
	uint32_t pad;
	uint64_t spin_ns;
};

struct ipc_attach {
	uint32_t size, role;
	uint32_t flags;
	uint32_t held;
	uint64_t ring;
	uint64_t spin_ns;
};

struct ipc_msg {
	void     *data;
	uint32_t  len, cap;
	uint32_t  type;
	uint8_t   format, flags;
	uint16_t  attempts;
	uint32_t  peer;
	int32_t   result;
	uint64_t  seq, cookie, time;
	uint64_t  missed;
	uint64_t  deadline;
	void     *reply;
	uint32_t  reply_cap, outcome;
	uint64_t  priv[5];
};

struct ipc_peer {
	int32_t  pid;
	uint32_t uid, gid, role, state, refused;
	char     comm[16];
};

uint64_t ipc_in(uint64_t ns);

int  ipc_create(const char *name, const struct ipc_options *opt, struct ipc_channel **out);
int  ipc_open(const char *name, unsigned rights, uint64_t deadline, struct ipc_channel **out);
int  ipc_import(int fd, struct ipc_channel **out);
int  ipc_unlink(const char *name);
void ipc_close(struct ipc_channel *ch);
int  ipc_channel_fd(const struct ipc_channel *ch);

int  ipc_attach(struct ipc_channel *ch, const struct ipc_attach *how, struct ipc_endpoint **out);
void ipc_detach(struct ipc_endpoint *ep);
int  ipc_fd(const struct ipc_endpoint *ep);
int  ipc_wait(struct ipc_endpoint *ep, unsigned events, uint64_t deadline);
int  ipc_peer(struct ipc_endpoint *ep, uint32_t peer, struct ipc_peer *out);
int  ipc_interrupt(struct ipc_endpoint *ep);

int  ipc_reserve(struct ipc_endpoint *ep, struct ipc_msg *m, uint32_t len, uint64_t deadline);
int  ipc_commit(struct ipc_endpoint *ep, struct ipc_msg *m);
int  ipc_abandon(struct ipc_endpoint *ep, struct ipc_msg *m);
int  ipc_publish(struct ipc_endpoint *ep);
int  ipc_send(struct ipc_endpoint *ep, struct ipc_msg *m, uint64_t deadline);
int  ipc_drain(struct ipc_endpoint *ep, uint64_t deadline);

int  ipc_recv(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned n, uint64_t deadline);
int  ipc_release(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned n);

int  ipc_call(struct ipc_endpoint *ep, struct ipc_msg *req, struct ipc_msg *rep, uint64_t deadline);
int  ipc_start(struct ipc_endpoint *ep, struct ipc_msg *req, uint64_t deadline);
int  ipc_collect(struct ipc_endpoint *ep, struct ipc_msg *rep, unsigned n, uint64_t deadline);
int  ipc_cancel(struct ipc_endpoint *ep, uint64_t cookie);
int  ipc_reply(struct ipc_endpoint *ep, struct ipc_msg *req, uint32_t len, int32_t result);
int  ipc_reply_recv(struct ipc_endpoint *ep, struct ipc_msg *req, uint32_t len, int32_t result,
		    struct ipc_msg *next, uint64_t deadline);
int  ipc_gone(struct ipc_endpoint *ep, const struct ipc_msg *req);

const char *ipc_strerror(int err);
int  ipc_why(struct ipc_endpoint *ep, int err, char *buf, size_t size);

#ifdef __cplusplus
}
#endif

#endif
