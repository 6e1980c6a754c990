// SPDX-License-Identifier: MIT
/*
 * One run of a command: a request is its input, its output becomes the reply.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

extern char **environ;

struct command {
	pid_t pid;
	uint64_t deadline;
	int out;			/* its output */
	bool told;			/* to end, as we are to stop */
	bool late;			/* it took too long, and was killed */
};

/* The request as a file: neither side waits for the other, however much they write. */
static int request_file(const struct ipc_msg *req)
{
	struct iovec iov = { .iov_base = req->data, .iov_len = req->len };
	int fd = memfd_create("request", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (write_all(fd, &iov, 1) || lseek(fd, 0, SEEK_SET)) {
		close(fd);
		return -EIO;
	}
	return fd;
}

/*
 * A process group of its own, so that all of a pipeline can be ended; no handler and no ignored
 * SIGPIPE of ours. All our fds are close-on-exec.
 */
static int spawn(char **argv, int in, int out, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t defaults;
	int err;

	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	sigaddset(&defaults, SIGCHLD);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	err = posix_spawnp(pid, argv[0], &files, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -err;
}

/* Starts it, with only our end of the pipe left open here. */
static int start(struct command *c, char **argv, const struct ipc_msg *req)
{
	int in = request_file(req), out[2], err;

	if (in < 0)
		return in;
	if (pipe2(out, O_CLOEXEC)) {
		err = -errno;
		close(in);
		return err;
	}
	err = spawn(argv, in, out[1], &c->pid);
	close(in);
	close(out[1]);
	if (err)
		close(out[0]);
	c->out = out[0];
	return err;
}

static struct timespec *time_left(const struct command *c, struct timespec *left)
{
	uint64_t now = now_ns();

	if (c->deadline == IPC_FOREVER)
		return NULL;
	*left = timespec_of(c->deadline > now ? c->deadline - now : 0);
	return left;
}

/* As wait_ready(), also once a signal has asked to stop: that does not end the time limit. */
static int wait_on(struct command *c, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec left;
	int n;

	do
		n = ppoll(&p, 1, time_left(c, &left), NULL);
	while (n < 0 && errno == EINTR);
	return n;
}

/*
 * Something happens at @fd. Time, or a signal to stop, ends the command, so that it does; once time
 * has, nothing is waited for.
 */
static void wait_for(struct command *c, int fd)
{
	struct timespec left;
	int n = -EINTR;

	if (c->late)
		return;
	if (!c->told)
		n = wait_ready(fd, POLLIN, time_left(c, &left));
	if (n < 0 && !c->told) {
		kill(-c->pid, SIGTERM);
		c->told = true;
	}
	if (n < 0)
		n = wait_on(c, fd);
	if (n == 0) {
		c->late = true;
		kill(-c->pid, SIGKILL);
	}
}

/* A one-way message has no reply: the output goes where ours goes. */
static void pass_on(const struct ipc_msg *req, char *data, size_t len)
{
	struct iovec iov = { .iov_base = data, .iov_len = len };

	if (req->flags & IPC_F_ONEWAY)
		write_all(STDOUT_FILENO, &iov, 1);
}

/* What can be read without waiting. */
static size_t unread(int fd)
{
	int n;

	return !ioctl(fd, FIONREAD, &n) && n > 0 ? (size_t)n : 0;
}

/*
 * All output: what fits into the reply goes there. Returns how much there was. Of a late command,
 * what is there once it was killed: who left its process group may keep the pipe open for ever.
 */
static size_t read_output(struct command *c, const struct ipc_msg *req)
{
	char *reply = req->reply, rest[4096];
	size_t len = 0, end = SIZE_MAX, room, want;
	ssize_t n;

	do {
		wait_for(c, c->out);
		if (c->late && end == SIZE_MAX)
			end = len + unread(c->out);
		room = len < req->reply_cap ? req->reply_cap - len : 0;
		want = room ? room : sizeof(rest);
		want = want < end - len ? want : end - len;
		n = read(c->out, room ? reply + len : rest, want);
		if (n > 0 && !room)
			pass_on(req, rest, (size_t)n);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	return len;
}

/* It may go on without an output. */
static int finish(struct command *c)
{
	int fd = pidfd_open(c->pid, 0), status = 0;
	pid_t pid;

	if (fd >= 0) {
		wait_for(c, fd);
		close(fd);
	}
	do
		pid = waitpid(c->pid, &status, 0);
	while (pid < 0 && errno == EINTR);
	if (c->late)
		return RESULT_TIMEOUT;
	if (pid < 0) {
		notice("its exit status is not known: %s", strerror(errno));
		return RESULT_CANNOT_RUN;
	}
	return WIFSIGNALED(status) ? RESULT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The reply stands at req->reply then, @len bytes; returns the result. */
int command_run(char **argv, const struct ipc_msg *req, uint64_t timeout, uint32_t *len)
{
	struct command c = { .deadline = timeout == TIME_FOREVER ? IPC_FOREVER : ipc_in(timeout) };
	int err = start(&c, argv, req), result;
	size_t n;

	*len = 0;
	if (err) {
		notice("cannot run %s: %s", argv[0], strerror(-err));
		return err == -ENOENT ? RESULT_NO_COMMAND : RESULT_CANNOT_RUN;
	}
	n = read_output(&c, req);
	close(c.out);
	result = finish(&c);
	if (req->flags & IPC_F_ONEWAY)
		return result;
	if (n > req->reply_cap) {
		notice("the output of %s, %zu bytes, is longer than a reply may be, %u bytes",
		       argv[0], n, req->reply_cap);
		return RESULT_TOO_LONG;
	}
	*len = (uint32_t)n;
	return result;
}
