/* SPDX-License-Identifier: GPL-2.0-only */
/* compat.h - the only file that knows kernel versions: what 6.12 calls it, for 6.1 to 7.x. */
#ifndef MSGC_COMPAT_H
#define MSGC_COMPAT_H

#include <linux/file.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/nsproxy.h>
#include <linux/time_namespace.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#include <linux/io_uring.h>
#include <linux/io_uring_types.h>
#else
#include <linux/io_uring/cmd.h>
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "msgchan needs Linux 6.1 or later"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define vm_flags_set(vma, flags)	((vma)->vm_flags |= (flags))
#define vm_flags_clear(vma, flags)	((vma)->vm_flags &= ~(flags))
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline void msgc_hrtimer_setup(struct hrtimer *timer,
				      enum hrtimer_restart (*fn)(struct hrtimer *), clockid_t clock,
				      enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
}
#else
#define msgc_hrtimer_setup hrtimer_setup
#endif

/* A new number for it in the caller's table; asks the security modules. */
static inline int msgc_receive_fd(struct file *file, unsigned int flags)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	return receive_fd(file, flags);
#else
	return receive_fd(file, NULL, flags);
#endif
}

/* The length of its turns that a thread of a normal policy has asked for; 0: it has not. */
static inline u64 msgc_custom_slice(const struct task_struct *task)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	return task->se.custom_slice ? task->se.slice : 0;
#else
	return 0;
#endif
}

/* ---- io_uring ---- */

struct msgc_payload {		/* of a submission entry */
	u64 word[2];
};

static inline const struct msgc_payload *msgc_uring_payload(const struct io_uring_cmd *cmd)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	return cmd->cmd;
#else
	return (const void *)cmd->sqe->cmd;	/* io_uring_sqe_cmd() has changed since */
#endif
}

static inline void msgc_uring_done(struct io_uring_cmd *cmd, long ret, unsigned int issue_flags)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
	io_uring_cmd_done(cmd, ret, 0, issue_flags);
#else
	io_uring_cmd_done(cmd, ret, issue_flags);
#endif
}

/* Parking needs the core's cancellation, which came with 6.7. */
#define MSGC_URING_PARKS (LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0))

#if MSGC_URING_PARKS

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define msgc_uring_task(cmd)		(cmd_to_io_kiocb(cmd)->task)
#else
#define msgc_uring_task(cmd)		io_uring_cmd_get_task(cmd)
#endif

/* What must be entered for task work to run: the ring, or any system call of the thread. */
static inline const void *msgc_uring_runner(struct io_uring_cmd *cmd)
{
	const struct io_ring_ctx *ring = cmd_to_io_kiocb(cmd)->ctx;

	return ring->flags & IORING_SETUP_DEFER_TASKRUN ? (const void *)ring : msgc_uring_task(cmd);
}

/* 6.12 refuses commands there; later kernels do not, and nobody who waits there hears of them. */
#define msgc_uring_is_iopoll(cmd)	(cmd_to_io_kiocb(cmd)->ctx->flags & IORING_SETUP_IOPOLL)

#define msgc_uring_mark_cancelable(cmd, flags)	io_uring_cmd_mark_cancelable(cmd, flags)
#define msgc_uring_is_cancel(flags)	((flags) & IO_URING_F_CANCEL)
#define msgc_uring_in_task(cmd, fn)	io_uring_cmd_complete_in_task(cmd, fn)
/* A thread that waits for several completions is not woken before there are as many. */
#define msgc_uring_in_task_lazy(cmd, fn) io_uring_cmd_do_in_task_lazy(cmd, fn)

/* As the core has it from 6.19 on; a flag of 6.12's tells the same, but not in each 6.12. */
static inline bool msgc_uring_is_dead(struct io_uring_cmd *cmd)
{
	return current->flags & (PF_EXITING | PF_KTHREAD) ||
	       percpu_ref_is_dying(&cmd_to_io_kiocb(cmd)->ctx->refs);
}

#else

#define msgc_uring_runner(cmd)		((void)(cmd), NULL)
#define msgc_uring_is_iopoll(cmd)	((void)(cmd), false)	/* the core refuses them */
#define msgc_uring_mark_cancelable(cmd, flags)	((void)(cmd), (void)(flags))
#define msgc_uring_is_cancel(flags)	((void)(flags), false)
#define msgc_uring_in_task(cmd, fn)	((void)(cmd), (void)(fn))
#define msgc_uring_in_task_lazy(cmd, fn) ((void)(cmd), (void)(fn))
#define msgc_uring_is_dead(cmd)		((void)(cmd), true)

#endif

/*
 * Task work NAME: fn(cmd, issue_flags, dead). Dead: it is not the command's own thread that runs
 * it, or that or the ring is about to end.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
#define MSGC_URING_TASK_WORK(name, fn)						\
static void name(struct io_uring_cmd *cmd, unsigned int issue_flags)		\
{										\
	fn(cmd, issue_flags, msgc_uring_is_dead(cmd));				\
}
#else
#define MSGC_URING_TASK_WORK(name, fn)						\
static void name(struct io_tw_req req, io_tw_token_t tw)			\
{										\
	fn(io_uring_cmd_from_tw(req), IO_URING_CMD_TASK_WORK_ISSUE_FLAGS, tw.cancel); \
}
#endif

/*
 * What the time namespace of the caller adds to CLOCK_MONOTONIC; the core's own translation is
 * not exported before 7.3.
 */
static inline s64 msgc_timens_offset(void)
{
#ifdef CONFIG_TIME_NS
	const struct timespec64 *offset = &current->nsproxy->time_ns->offsets.monotonic;

	return likely(!(offset->tv_sec | offset->tv_nsec)) ? 0 : timespec64_to_ns(offset);
#else
	return 0;
#endif
}

#endif
