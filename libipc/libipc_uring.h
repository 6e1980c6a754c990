/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Endpoints in an io_uring of the application's own: channels, calls, files and sockets in one
 * event loop, one system call for many messages. Who only wants many calls at a time:
 * ipc_batch_open() in libipc.h.
 *
 *	client	ipc_prep_call, ipc_prep_send, ipc_prep_resume	ipc_cqe_call
 *	server	ipc_prep_recv					ipc_cqe_recv
 *		ipc_prep_reply					ipc_cqe_reply
 *		ipc_prep_reply_recv				ipc_cqe_reply_recv
 *	any	ipc_prep_wait					ipc_cqe_wait
 *	client	ipc_prep_cancel					(0, or -ENOENT as ipc_cancel())
 *	ring	ipc_prep_kick, of a sender			(0)
 *		ipc_prep_claim, of a balanced receiver		ipc_cqe_claim, then ipc_recv()
 *
 * To prepare. ipc_prep_...() fills all 64 bytes of a submission queue entry, user_data and flags
 * being 0: set these afterwards (IOSQE_FIXED_FILE wants another fd too, the index of ipc_fd()). It
 * never submits, and the entry is not looked at again. If it fails (-errno) nothing was done, and
 * the entry is as it was; one that io_uring_get_sqe() gave has to become something then, such as
 * io_uring_prep_nop(). Deadlines end commands themselves; IORING_OP_LINK_TIMEOUT and
 * IORING_OP_ASYNC_CANCEL do not reach a command that waits.
 *
 * To decode. Give ipc_cqe_...() the result `res` of the completion, whatever it is, once for each
 * entry that was prepared: until then what the command is about stays the ring's, a client's slot
 * for instance. They take no system call on success.
 *
 * When a ring goes. Commands that wait end with it, the calls themselves go on. For each command
 * whose completion was not seen, or that was never submitted, decode -ECANCELED, after the ring was
 * closed: a call that goes on then is one for ipc_collect() or ipc_prep_resume(); the requests that
 * a server was given unseen, and the messages of a balanced receiver, ipc_recv() gives first. None
 * is given twice: a completion that comes to light later is -EAGAIN.
 *
 * Results beside those of the verb in libipc.h: -ECANCELED: the ring goes. -EUSERS: 128 commands of
 * this endpoint wait already. -EPERM: a server attached with IPC_BOUND, whose thread alone may
 * serve; or the ring belongs to another process than the endpoint. -ESHUTDOWN: the endpoint died.
 * -EINTR: ipc_interrupt(); signals do not end a command. -EACCES: a security module forbids it.
 *
 * Before Linux 6.7 (the module's FEATURES say so: `msgchan doctor`) commands do not wait. One that
 * would ends with -EAGAIN, and a call or ipc_prep_reply_recv() always with -EOPNOTSUPP; nothing was
 * done then. Poll the endpoint with io_uring_prep_poll_add() instead, use ipc_start() and
 * ipc_prep_reply(). With IOSQE_ASYNC they do wait, in a worker thread, of which there are few
 * (io_uring_register_iowq_max_workers()): as many that wait block all others behind them.
 *
 * Threads. As in libipc.h: one at a time for each endpoint; preparing and decoding are use, what
 * the kernel does with a command in between is not.
 */
#ifndef LIBIPC_URING_H
#define LIBIPC_URING_H

#include <libipc.h>

#ifdef __cplusplus
extern "C" {
#endif

struct io_uring_sqe;

/*
 * As ipc_wait(): publish what is committed, then wait for any of events. Decode: returns the
 * events, > 0, or -errno. For ring senders and receivers, and for servers and clients that mix
 * commands with polling.
 *
 * -ESHUTDOWN: from publishing.
 */
int ipc_prep_wait(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, unsigned int events,
		  uint64_t deadline);
int ipc_cqe_wait(struct ipc_endpoint *ep, int32_t res);

/*
 * Ring sender: ipc_publish(), but who has to be woken is woken by the entry. Returns 1 if that is
 * so, else 0: nobody sleeps, and the entry has become an IORING_OP_NOP, which need not be
 * submitted. The result is 0.
 *
 * -ESHUTDOWN. -ENOTTY.
 */
int ipc_prep_kick(struct io_uring_sqe *sqe, struct ipc_endpoint *ep);

/*
 * Balanced receiver: claim up to n messages, waiting for the first; what has been released counts
 * with it. Decode: returns how many, which ipc_recv() then gives without a system call, or -errno
 * as ipc_recv(). In between ipc_recv() returns -EBUSY.
 *
 * -EBUSY: messages are borrowed: release them first; or one waits already. -EINVAL: n is 0.
 */
int ipc_prep_claim(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, unsigned int n,
		   uint64_t deadline);
int ipc_cqe_claim(struct ipc_endpoint *ep, int32_t res);

/*
 * Client: a call, as by ipc_call(), or a one-way message, as by ipc_send(). Both need a free slot
 * now. Returns its number, 0 to 63, which names the call until it has been decoded: keep it, in
 * user_data for instance. Files that travel with it must stay open until then.
 *
 * -EAGAIN, -EBUSY: no free slot, as ipc_start(). -EINVAL, -EMSGSIZE: as ipc_call(). A reservation,
 * in req->data, is used up, but not if -ENOTTY or -EPERM.
 */
int ipc_prep_call(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, struct ipc_msg *req,
		  uint64_t deadline);
int ipc_prep_send(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, struct ipc_msg *m,
		  uint64_t deadline);

/*
 * Client: wait on for a call that goes on: decoded with the outcome IPC_NONE. deadline ends the
 * waiting, not the call. Returns call.
 *
 * -ENOENT: no such call.
 */
int ipc_prep_resume(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, int call, uint64_t deadline);

/*
 * What became of a call or one-way message: returns and sets rep as ipc_call(), of a one-way
 * message without an answer to borrow. If the outcome is IPC_NONE it goes on: ipc_prep_resume(),
 * or ipc_collect().
 *
 * -ENOENT: there is no such call, or it was decoded before.
 */
int ipc_cqe_call(struct ipc_endpoint *ep, int call, int32_t res, struct ipc_msg *rep);

/* Client: ipc_cancel(). The result is 0, or -ENOENT. */
int ipc_prep_cancel(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, uint64_t cookie);

/*
 * Server: receive one request, which becomes m. Several may wait at a time. Decode: returns 1, or
 * -errno as ipc_recv(); -EAGAIN also where the deadline is IPC_NOW.
 */
int ipc_prep_recv(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, uint64_t deadline);
int ipc_cqe_recv(struct ipc_endpoint *ep, int32_t res, struct ipc_msg *m);

/*
 * Server: answer a request, as ipc_reply(); not a request any more once it was decoded with 0. What
 * it was prepared with must stay as it is until then: the reply's bytes, and its files.
 *
 * -EMSGSIZE, -ENOENT: as ipc_reply().
 */
int ipc_prep_reply(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, struct ipc_msg *req,
		   uint32_t len, int32_t result);
int ipc_cqe_reply(struct ipc_endpoint *ep, struct ipc_msg *req, int32_t res);

/*
 * Server: both in one. next may be req. Decode: returns 1, or -errno; the reply went out if, and
 * only if, req->data is NULL then. deadline: all that are prepared and not yet begun of an endpoint
 * have the last one's.
 *
 * -EMSGSIZE, -ENOENT: as ipc_reply().
 */
int ipc_prep_reply_recv(struct io_uring_sqe *sqe, struct ipc_endpoint *ep, struct ipc_msg *req,
			uint32_t len, int32_t result, uint64_t deadline);
int ipc_cqe_reply_recv(struct ipc_endpoint *ep, struct ipc_msg *req, int32_t res,
		       struct ipc_msg *next);

#ifdef __cplusplus
}
#endif

#endif
