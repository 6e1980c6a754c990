// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Numbers through a ring: `ring NAME` forks into a sender and a receiver, `ring NAME send` and
 * `ring NAME recv` are one of them each.
 *
 * Attach after fork: an endpoint belongs to the process that attached it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libipc.h>

#define COUNT 1000

static int fail(const char *what, int err)
{
	fprintf(stderr, "ring: %s: %s\n", what, ipc_strerror(err));
	return 1;
}

/* Write each record where it will be read, and publish ten at a time. */
static int sender(struct ipc_channel *ch)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_SENDER };
	struct ipc_endpoint *ep;
	struct ipc_msg m = { 0 };
	int ret = ipc_attach(ch, &how, &ep);

	if (ret)
		return fail("attach", ret);
	for (int i = 0; i < COUNT; i++) {
		ret = ipc_reserve(ep, &m, sizeof(i), IPC_FOREVER);
		if (ret)
			return fail("reserve", ret);
		memcpy(m.data, &i, sizeof(i));
		ipc_commit(ep, &m);
		if (i % 10 == 9)
			ipc_publish(ep);
	}
	ret = ipc_drain(ep, IPC_FOREVER);	/* until the receiver has released them all */
	if (ret)
		return fail("drain", ret);
	ipc_detach(ep);
	return 0;
}

/* Read in place, a few at a time, until all senders have left. */
static int receiver(struct ipc_channel *ch)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_RECEIVER };
	struct ipc_endpoint *ep;
	struct ipc_msg m[16];
	long sum = 0, count = 0;
	int n, ret = ipc_attach(ch, &how, &ep);

	if (ret)
		return fail("attach", ret);
	while ((n = ipc_recv(ep, m, 16, IPC_FOREVER)) > 0) {
		for (int i = 0; i < n; i++) {
			int value;

			memcpy(&value, m[i].data, sizeof(value));
			sum += value;
			count++;
		}
		ipc_release(ep, m, n);
	}
	ipc_detach(ep);
	if (n != -EPIPE)
		return fail("recv", n);
	printf("received %ld messages, sum %ld\n", count, sum);
	return 0;
}

static int run(const char *name, unsigned int right, int (*role)(struct ipc_channel *))
{
	struct ipc_channel *ch;
	int ret = ipc_open(name, right, ipc_in(5000000000), &ch);

	if (ret)
		return fail(name, ret);
	ret = role(ch);
	ipc_close(ch);
	return ret;
}

static int both(const char *name)
{
	struct ipc_options opt = { .size = sizeof(opt), .mode = IPC_RING, .ring_max = 65536 };
	struct ipc_channel *ch;
	int status, ret = ipc_create(name, &opt, &ch);

	if (ret)
		return fail(name, ret);
	if (!fork())
		_exit(run(name, IPC_WRITE, sender));
	ret = run(name, IPC_READ, receiver);
	wait(&status);
	ipc_close(ch);
	return ret || status;
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return both(argv[1]);
	if (argc == 3 && !strcmp(argv[2], "send"))
		return run(argv[1], IPC_WRITE, sender);
	if (argc == 3 && !strcmp(argv[2], "recv"))
		return run(argv[1], IPC_READ, receiver);
	fprintf(stderr, "usage: ring NAME [send|recv]\n");
	return 2;
}
