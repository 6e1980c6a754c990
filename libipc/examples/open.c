// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A service that opens files for its client: `open NAME FILE...` forks into a server and a client;
 * each file is asked for by its path, and comes as a descriptor with the answer. What such a server
 * adds is its own right to open them, and its own opinion who may have what.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libipc.h>

static int fail(const char *what, int err)
{
	fprintf(stderr, "open: %s: %s\n", what, ipc_strerror(err));
	return 1;
}

/* The request is the client's memory: copied before it is used. */
static int open_for(const struct ipc_msg *m)
{
	char path[256];

	if (m->len >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, m->data, m->len);
	path[m->len] = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* The answer is the file, or why there is none. Ends with a message without a path. */
static int serve(struct ipc_endpoint *ep)
{
	struct ipc_msg m;
	int ret = ipc_recv(ep, &m, 1, IPC_FOREVER);

	while (ret > 0 && m.len) {
		int fd = open_for(&m);

		if (fd >= 0)
			ipc_set_fds(&m, &fd, 1);
		ret = ipc_reply(ep, &m, 0, fd < 0 ? fd : 0);
		if (fd >= 0)
			close(fd);		/* it is on its way */
		if (!ret)
			ret = ipc_recv(ep, &m, 1, IPC_FOREVER);
	}
	return ret > 0 ? ipc_release(ep, &m, 1) : ret;
}

static void show(int fd)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	fflush(stdout);
}

/* Returns as ipc_call(); what the server could not open is told, and is no error. */
static int ask(struct ipc_endpoint *ep, char *path)
{
	struct ipc_msg m = { .data = path, .len = (uint32_t)strlen(path) };
	int fd, ret = ipc_call(ep, &m, &m, ipc_in(5000000000));

	if (ret)
		return ret;
	ret = ipc_get_fds(ep, &m, &fd, 1);
	if (ret == 1) {
		show(fd);
		close(fd);
	} else {
		fprintf(stderr, "open: %s: %s\n", path,
			ret ? ipc_strerror(ret) : strerror(-m.result));
	}
	return ipc_release(ep, &m, 1);
}

static int ask_for_all(struct ipc_endpoint *ep, char **paths)
{
	struct ipc_msg stop = { .len = 0 };
	int ret = 0;

	for (; *paths && !ret; paths++)
		ret = ask(ep, *paths);
	return ret ? ret : ipc_send(ep, &stop, ipc_in(5000000000));
}

/* Attach after fork: an endpoint belongs to the process that attached it. */
static int run(struct ipc_channel *ch, char **paths)
{
	struct ipc_attach how = {
		.size = sizeof(how), .role = paths ? IPC_SENDER : IPC_RECEIVER,
		.flags = IPC_TAKES_FILES,
	};
	struct ipc_endpoint *ep;
	int ret = ipc_attach(ch, &how, &ep);

	if (ret)
		return fail("attach", ret);
	ret = paths ? ask_for_all(ep, paths) : serve(ep);
	ipc_detach(ep);
	return ret ? fail(paths ? "ask" : "serve", ret) : 0;
}

int main(int argc, char **argv)
{
	struct ipc_options opt = { .size = sizeof(opt), .mode = IPC_RENDEZVOUS };
	struct ipc_channel *ch;
	int status, ret;

	if (argc < 3) {
		fprintf(stderr, "usage: open NAME FILE...\n");
		return 2;
	}
	ret = ipc_create(argv[1], &opt, &ch);
	if (ret)
		return fail(argv[1], ret);
	if (!fork())
		_exit(run(ch, NULL));
	ret = run(ch, argv + 2);
	wait(&status);
	ipc_close(ch);
	return ret || status;
}
