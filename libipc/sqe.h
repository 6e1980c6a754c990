/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* A command of an endpoint as a submission queue entry. */
#ifndef LIBIPC_SQE_H
#define LIBIPC_SQE_H

#include <linux/io_uring.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The 16 bytes of a command, in an entry of 64: older headers have no name for this place. */
#define IPC_SQE_COMMAND	48

_Static_assert(sizeof(struct io_uring_sqe) == 64, "a plain entry");
_Static_assert(offsetof(struct io_uring_sqe, cmd_op) == 8, "of IORING_OP_URING_CMD");

/* All 64 bytes; @arg: a struct of 16. */
static inline void ipc_fill_sqe(struct io_uring_sqe *sqe, int fd, uint32_t command, const void *arg)
{
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = command;
	memcpy((char *)sqe + IPC_SQE_COMMAND, arg, 16);
}

static inline void ipc_fill_nop(struct io_uring_sqe *sqe)
{
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_NOP;
	sqe->fd = -1;
}

#endif
