// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The public verbs: each is handed to the kind of endpoint it is called on, which may not have it. */
#include "internal.h"

/* Leave with the error of a forked child, or of a kind without this verb. */
#define NEED(ep, verb) do {			\
	if (!(ep)->kind)			\
		return -EPERM;			\
	if (!(ep)->kind->verb)			\
		return -ENOTTY;			\
} while (0)

IPC_API int ipc_reserve(struct ipc_endpoint *ep, struct ipc_msg *m, uint32_t len,
			uint64_t deadline)
{
	NEED(ep, reserve);
	return ep->kind->reserve(ep, m, len, deadline);
}

IPC_API int ipc_commit(struct ipc_endpoint *ep, struct ipc_msg *m)
{
	NEED(ep, commit);
	return ep->kind->commit(ep, m);
}

IPC_API int ipc_abandon(struct ipc_endpoint *ep, struct ipc_msg *m)
{
	NEED(ep, abandon);
	return ep->kind->abandon(ep, m);
}

IPC_API int ipc_publish(struct ipc_endpoint *ep)
{
	NEED(ep, publish);
	return ep->kind->publish(ep);
}

IPC_API int ipc_send(struct ipc_endpoint *ep, struct ipc_msg *m, uint64_t deadline)
{
	NEED(ep, send);
	return ep->kind->send(ep, m, deadline);
}

IPC_API int ipc_drain(struct ipc_endpoint *ep, uint64_t deadline)
{
	NEED(ep, drain);
	return ep->kind->drain(ep, deadline);
}

IPC_API int ipc_recv(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n,
		     uint64_t deadline)
{
	NEED(ep, recv);
	return ep->kind->recv(ep, m, n, deadline);
}

IPC_API int ipc_release(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n)
{
	NEED(ep, release);
	return ep->kind->release(ep, m, n);
}

IPC_API int ipc_call(struct ipc_endpoint *ep, struct ipc_msg *req, struct ipc_msg *rep,
		     uint64_t deadline)
{
	NEED(ep, call);
	return ep->kind->call(ep, req, rep, deadline);
}

IPC_API int ipc_start(struct ipc_endpoint *ep, struct ipc_msg *req, uint64_t deadline)
{
	NEED(ep, start);
	return ep->kind->start(ep, req, deadline);
}

IPC_API int ipc_collect(struct ipc_endpoint *ep, struct ipc_msg *rep, unsigned int n,
			uint64_t deadline)
{
	NEED(ep, collect);
	return ep->kind->collect(ep, rep, n, deadline);
}

/* The kernel knows which calls are in flight: nothing of the library is touched. */
IPC_API int ipc_cancel(struct ipc_endpoint *ep, uint64_t cookie)
{
	struct msgc_cancel c = { .slot = 0xffff, .cookie = cookie };

	return ep->kind ? sys_ioctl(ep->fd, MSGC_CANCEL, &c) : -EPERM;
}

IPC_API int ipc_reply(struct ipc_endpoint *ep, struct ipc_msg *req, uint32_t len, int32_t result)
{
	NEED(ep, reply);
	return ep->kind->reply(ep, req, len, result);
}

IPC_API int ipc_reply_recv(struct ipc_endpoint *ep, struct ipc_msg *req, uint32_t len,
			   int32_t result, struct ipc_msg *next, uint64_t deadline)
{
	NEED(ep, reply_recv);
	return ep->kind->reply_recv(ep, req, len, result, next, deadline);
}

IPC_API int ipc_gone(struct ipc_endpoint *ep, const struct ipc_msg *req)
{
	NEED(ep, gone);
	return ep->kind->gone(ep, req);
}
