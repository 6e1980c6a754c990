// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Commands in an io_uring of the application's: each is prepared, and its completion decoded, by
 * the code that gives the same command by ioctl, in two halves.
 */
#include "internal.h"
#include "libipc_uring.h"
#include "sqe.h"

/* ---- any endpoint ---- */

IPC_API int ipc_prep_wait(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, unsigned int events,
			  uint64_t deadline)
{
	struct msgc_wait w = { .events = events, .kick = -1, .deadline = deadline };
	int ret = ipc_wait_begin(ep);

	if (!ret)
		ipc_fill_sqe(sqe, ep->fd, MSGC_WAIT, &w);
	return ret;
}

IPC_API int ipc_cqe_wait(struct ipc_endpoint *ep, int32_t res)
{
	return ep->kind ? ipc_wait_end(ep, res) : -EPERM;
}

/* ---- rings ---- */

IPC_API int ipc_prep_kick(struct io_uring_sqe *sqe, struct ipc_endpoint *ep)
{
	int ret = ipc_must_be(ep, &ipc_ring_sender);
	struct msgc_none none = { 0 };
	bool kick;

	if (ret)
		return ret;
	ret = ipc_sender_publish(ep, &kick);
	if (ret < 0)
		return ret;
	ipc_fill_sqe(sqe, ep->fd, MSGC_KICK, &none);
	if (!kick)
		ipc_fill_nop(sqe);
	return kick;
}

IPC_API int ipc_prep_claim(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, unsigned int n,
			   uint64_t deadline)
{
	int ret = ipc_must_be(ep, &ipc_balanced_receiver);
	struct msgc_claim arg;

	if (!ret)
		ret = ipc_claims_entrust(ep, n, &arg, deadline);
	if (!ret)
		ipc_fill_sqe(sqe, ep->fd, MSGC_CLAIM, &arg);
	return ret;
}

IPC_API int ipc_cqe_claim(struct ipc_endpoint *ep, int32_t res)
{
	int ret = ipc_must_be(ep, &ipc_balanced_receiver);

	return ret ? ret : ipc_claims_conclude(ep, res);
}

/* ---- clients ---- */

static int prep_call(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, struct ipc_msg *req,
		     unsigned int flags, uint64_t deadline)
{
	int ret = ipc_must_be(ep, &ipc_client);
	struct msgc_call call;

	if (!ret)
		ret = ipc_client_prepare(ep, req, flags, deadline, &call);
	if (ret >= 0)
		ipc_fill_sqe(sqe, ep->fd, MSGC_CALL, &call);
	return ret;
}

IPC_API int ipc_prep_call(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, struct ipc_msg *req,
			  uint64_t deadline)
{
	return prep_call(sqe, ep, req, 0, deadline);
}

IPC_API int ipc_prep_send(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, struct ipc_msg *m,
			  uint64_t deadline)
{
	return prep_call(sqe, ep, m, MSGC_ONEWAY, deadline);
}

IPC_API int ipc_prep_resume(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, int call,
			    uint64_t deadline)
{
	struct msgc_call c = {
		.slot = (uint16_t)call, .flags = MSGC_RESUME, .deadline = deadline,
	};
	int ret = ipc_must_be(ep, &ipc_client);

	if (!ret)
		ret = ipc_client_resume(ep, (uint32_t)call);
	if (ret)
		return ret;
	ipc_fill_sqe(sqe, ep->fd, MSGC_CALL, &c);
	return call;
}

IPC_API int ipc_cqe_call(struct ipc_endpoint *ep, int call, int32_t res, struct ipc_msg *rep)
{
	int ret = ipc_must_be(ep, &ipc_client);

	return ret ? ret : ipc_client_conclude(ep, (uint32_t)call, rep, res);
}

IPC_API int ipc_prep_cancel(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, uint64_t cookie)
{
	struct msgc_cancel c = { .slot = 0xffff, .cookie = cookie };
	int ret = ipc_must_be(ep, &ipc_client);

	if (!ret)
		ipc_fill_sqe(sqe, ep->fd, MSGC_CANCEL, &c);
	return ret;
}

/* ---- servers ---- */

IPC_API int ipc_prep_recv(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, uint64_t deadline)
{
	struct msgc_recv r = { .deadline = deadline };
	int ret = ipc_must_be(ep, &ipc_server);

	if (!ret)
		ipc_fill_sqe(sqe, ep->fd, MSGC_RECV, &r);
	return ret;
}

IPC_API int ipc_cqe_recv(struct ipc_endpoint *ep, int32_t res, struct ipc_msg *m)
{
	int ret = ipc_must_be(ep, &ipc_server);

	return ret ? ret : ipc_server_received(ep, res, m);
}

static int prep_reply(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, struct ipc_msg *req,
		      uint32_t len, int32_t result, uint32_t command)
{
	struct msgc_reply r = { .call = req->priv[0], .len = len, .status = result };
	int ret = ipc_must_be(ep, &ipc_server);

	if (!ret)
		ret = ipc_server_answer(ep, req, len);
	if (!ret)
		ipc_fill_sqe(sqe, ep->fd, command, &r);
	return ret;
}

IPC_API int ipc_prep_reply(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, struct ipc_msg *req,
			   uint32_t len, int32_t result)
{
	return prep_reply(sqe, ep, req, len, result, MSGC_REPLY);
}

/* The errors of REPLY_RECV do not tell whether the reply went out; the inbox does. */
static void note_reply(struct ipc_endpoint *ep, struct ipc_msg *req)
{
	if (!ipc_server_holds(ep, req))
		ipc_server_gave_back(req);
}

IPC_API int ipc_cqe_reply(struct ipc_endpoint *ep, struct ipc_msg *req, int32_t res)
{
	int ret = ipc_must_be(ep, &ipc_server);

	if (ret)
		return ret;
	note_reply(ep, req);
	return res;
}

IPC_API int ipc_prep_reply_recv(struct io_uring_sqe *sqe, struct ipc_endpoint *ep,
				struct ipc_msg *req, uint32_t len, int32_t result,
				uint64_t deadline)
{
	int ret = prep_reply(sqe, ep, req, len, result, MSGC_REPLY_RECV);

	if (!ret)
		((struct msgc_own *)ep->area[MSGC_OWN])->deadline = deadline;
	return ret;
}

IPC_API int ipc_cqe_reply_recv(struct ipc_endpoint *ep, struct ipc_msg *req, int32_t res,
			       struct ipc_msg *next)
{
	int ret = ipc_must_be(ep, &ipc_server);

	if (ret)
		return ret;
	note_reply(ep, req);
	return ipc_server_received(ep, res, next);
}
