// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Ask many, take the first answers: `fanout NAME K` starts 32 servers, each with a channel NAME.n
 * of its own, asks them all at once, and cancels what is left when K have answered. Servers with a
 * number below K are quick here; the others work until they see that nobody waits any more.
 *
 * All 32 calls are one batch: with io_uring that is one system call, and one for each wait.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libipc.h>

#define SERVERS 32

static int fail(const char *what, int err)
{
	fprintf(stderr, "fanout: %s: %s\n", what, ipc_strerror(err));
	return 1;
}

/* ---- a server ---- */

/* A piece of work, again and again: long work looks now and then whether it is still wanted. */
static int work_while_wanted(struct ipc_endpoint *ep, const struct ipc_msg *m)
{
	static const struct timespec piece = { .tv_nsec = 1000000 };
	int gone;

	while (!(gone = ipc_gone(ep, m)))
		nanosleep(&piece, NULL);
	return gone < 0 ? gone : 0;
}

/* Answer with its own number until a one-way message comes. */
static int serve(struct ipc_endpoint *ep, int number, bool quick)
{
	struct ipc_msg m;
	int ret = ipc_recv(ep, &m, 1, IPC_FOREVER);

	while (ret > 0 && !(m.flags & IPC_F_ONEWAY)) {
		if (!quick) {
			ret = work_while_wanted(ep, &m);
			if (ret)
				return ret;
		}
		memcpy(m.reply, &number, sizeof(number));
		ret = ipc_reply_recv(ep, &m, sizeof(number), 0, &m, IPC_FOREVER);
	}
	return ret > 0 ? ipc_release(ep, &m, 1) : ret;
}

static int server(struct ipc_channel *ch, int number, bool quick)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_RECEIVER };
	struct ipc_endpoint *ep;
	int ret = ipc_attach(ch, &how, &ep);

	if (ret)
		return fail("attach", ret);
	ret = serve(ep, number, quick);
	ipc_detach(ep);
	return ret ? fail("serve", ret) : 0;
}

/* ---- the client ---- */

static int ask_all(struct ipc_batch *b, struct ipc_endpoint **ep)
{
	int ret = 0;

	for (unsigned int i = 0; i < SERVERS && !ret; i++) {
		struct ipc_msg m = { .cookie = i };

		ret = ipc_batch_call(b, ep[i], &m, ipc_in(20000000000));
	}
	return ret;
}

/* Takes an outcome: an answer is counted, and given back. */
static void count(struct ipc_done *d, unsigned int *answered, unsigned int *cancelled)
{
	int number;

	if (d->error) {
		*cancelled += d->error == -ECANCELED;
		return;
	}
	memcpy(&number, d->msg.data, sizeof(number));
	*answered += (uint64_t)number == d->msg.cookie;
	ipc_release(d->ep, &d->msg, 1);
}

/* The first @k answers, then the outcomes of the others, of which none is waited for. */
static int first(struct ipc_batch *b, struct ipc_endpoint **ep, unsigned int k)
{
	unsigned int answered = 0, cancelled = 0;
	struct ipc_done d[SERVERS];
	int n;

	for (bool enough = false; (n = ipc_batch_reap(b, d, SERVERS, IPC_FOREVER)) > 0;) {
		for (int i = 0; i < n; i++)
			count(&d[i], &answered, &cancelled);
		for (unsigned int i = 0; answered >= k && !enough && i < SERVERS; i++)
			ipc_batch_cancel(b, ep[i], i);		/* -ENOENT: it has ended */
		enough = answered >= k;
	}
	printf("%u answered, %u cancelled\n", answered, cancelled);
	return n == -ENOENT ? 0 : fail("reap", n);
}

static int client(struct ipc_endpoint **ep, unsigned int k)
{
	struct ipc_batch *b;
	int ret = ipc_batch_open(NULL, &b);

	if (ret)
		return fail("batch", ret);
	ret = ask_all(b, ep);
	ret = ret ? fail("call", ret) : first(b, ep, k);
	ipc_batch_close(b);
	return ret;
}

static int stop(struct ipc_endpoint *ep)
{
	struct ipc_msg m = { .len = 0 };

	return ipc_send(ep, &m, ipc_in(20000000000));
}

static int attach_all(struct ipc_channel **ch, struct ipc_endpoint **ep)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_SENDER };
	int ret = 0;

	for (int i = 0; i < SERVERS && !ret; i++)
		ret = ipc_attach(ch[i], &how, &ep[i]);
	return ret;
}

int main(int argc, char **argv)
{
	struct ipc_options opt = {
		.size = sizeof(opt), .mode = IPC_RENDEZVOUS, .request = 4096, .reply = 4096,
	};
	struct ipc_channel *ch[SERVERS];
	struct ipc_endpoint *ep[SERVERS];
	int k = argc == 3 ? atoi(argv[2]) : 0, ret;

	if (k < 1 || k > SERVERS) {
		fprintf(stderr, "usage: fanout NAME K\n");
		return 2;
	}
	for (int i = 0; i < SERVERS; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s.%d", argv[1], i);
		ret = ipc_create(name, &opt, &ch[i]);
		if (ret)
			return fail(name, ret);
		if (!fork())
			_exit(server(ch[i], i, i < k));
	}
	ret = attach_all(ch, ep);
	ret = ret ? fail("attach", ret) : client(ep, (unsigned int)k);
	for (int i = 0; i < SERVERS; i++)
		stop(ep[i]);
	while (wait(NULL) > 0)
		;
	return ret;
}
