// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The public verbs: each is handed to its endpoint's kind, which may not have it. */
#include "internal.h"

/* Why an endpoint does not do what it was asked for. */
static int no_verb(const struct ipc_endpoint *ep)
{
	return ep->kind ? -ENOTTY : -EPERM;
}

IPC_API int ipc_reserve(struct ipc_endpoint *ep, struct ipc_msg *m, uint32_t len,
			uint64_t deadline)
{
	if (!ep->kind || !ep->kind->reserve)
		return no_verb(ep);
	return ep->kind->reserve(ep, m, len, deadline);
}

IPC_API int ipc_commit(struct ipc_endpoint *ep, struct ipc_msg *m)
{
	if (!ep->kind || !ep->kind->commit)
		return no_verb(ep);
	return ep->kind->commit(ep, m);
}

IPC_API int ipc_abandon(struct ipc_endpoint *ep, struct ipc_msg *m)
{
	if (!ep->kind || !ep->kind->abandon)
		return no_verb(ep);
	return ep->kind->abandon(ep, m);
}

IPC_API int ipc_publish(struct ipc_endpoint *ep)
{
	if (!ep->kind || !ep->kind->publish)
		return no_verb(ep);
	return ep->kind->publish(ep);
}

IPC_API int ipc_send(struct ipc_endpoint *ep, struct ipc_msg *m, uint64_t deadline)
{
	if (!ep->kind || !ep->kind->send)
		return no_verb(ep);
	return ep->kind->send(ep, m, deadline);
}

IPC_API int ipc_drain(struct ipc_endpoint *ep, uint64_t deadline)
{
	if (!ep->kind || !ep->kind->drain)
		return no_verb(ep);
	return ep->kind->drain(ep, deadline);
}

IPC_API int ipc_drop(struct ipc_endpoint *ep, uint64_t n)
{
	if (!ep->kind || !ep->kind->drop)
		return no_verb(ep);
	return ep->kind->drop(ep, n);
}

IPC_API int ipc_recv(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n,
		     uint64_t deadline)
{
	if (!ep->kind || !ep->kind->recv)
		return no_verb(ep);
	return ep->kind->recv(ep, m, n, deadline);
}

IPC_API int ipc_release(struct ipc_endpoint *ep, struct ipc_msg *m, unsigned int n)
{
	if (!ep->kind || !ep->kind->release)
		return no_verb(ep);
	return ep->kind->release(ep, m, n);
}

IPC_API int ipc_return(struct ipc_endpoint *ep, struct ipc_msg *m)
{
	if (!ep->kind || !ep->kind->give_back)
		return no_verb(ep);
	return ep->kind->give_back(ep, m);
}

IPC_API int ipc_call(struct ipc_endpoint *ep, struct ipc_msg *req, struct ipc_msg *rep,
		     uint64_t deadline)
{
	if (!ep->kind || !ep->kind->call)
		return no_verb(ep);
	return ep->kind->call(ep, req, rep, deadline);
}

IPC_API int ipc_start(struct ipc_endpoint *ep, struct ipc_msg *req, uint64_t deadline)
{
	if (!ep->kind || !ep->kind->start)
		return no_verb(ep);
	return ep->kind->start(ep, req, deadline);
}

IPC_API int ipc_collect(struct ipc_endpoint *ep, struct ipc_msg *rep, unsigned int n,
			uint64_t deadline)
{
	if (!ep->kind || !ep->kind->collect)
		return no_verb(ep);
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
	if (!ep->kind || !ep->kind->reply)
		return no_verb(ep);
	return ep->kind->reply(ep, req, len, result);
}

IPC_API int ipc_reply_recv(struct ipc_endpoint *ep, struct ipc_msg *req, uint32_t len,
			   int32_t result, struct ipc_msg *next, uint64_t deadline)
{
	if (!ep->kind || !ep->kind->reply_recv)
		return no_verb(ep);
	return ep->kind->reply_recv(ep, req, len, result, next, deadline);
}

IPC_API int ipc_gone(struct ipc_endpoint *ep, const struct ipc_msg *req)
{
	if (!ep->kind || !ep->kind->gone)
		return no_verb(ep);
	return ep->kind->gone(ep, req);
}
