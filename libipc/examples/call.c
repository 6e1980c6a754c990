// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A service that turns words into upper case: `call NAME WORD...` forks into a server and a client,
 * `call NAME -s` is only the server, for one client, `call NAME -c WORD...` only the client.
 *
 * Attach after fork: an endpoint belongs to the process that attached it.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libipc.h>

static int fail(const char *what, int err)
{
	fprintf(stderr, "call: %s: %s\n", what, ipc_strerror(err));
	return 1;
}

/* Answer in place until a message without a word comes: each turn is one system call. */
static int server(struct ipc_channel *ch)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_RECEIVER };
	struct ipc_endpoint *ep;
	struct ipc_msg m;
	int ret = ipc_attach(ch, &how, &ep);

	if (ret)
		return fail("attach", ret);
	ret = ipc_recv(ep, &m, 1, IPC_FOREVER);
	while (ret > 0 && m.len) {
		const char *word = m.data;
		char *upper = m.reply;
		uint32_t len = m.len < m.reply_cap ? m.len : m.reply_cap;

		for (uint32_t i = 0; i < len; i++)
			upper[i] = (char)toupper((unsigned char)word[i]);
		ret = ipc_reply_recv(ep, &m, len, 0, &m, IPC_FOREVER);
	}
	if (ret > 0)
		ret = ipc_release(ep, &m, 1);	/* one-way: nothing to answer */
	ipc_detach(ep);
	return ret < 0 ? fail("serve", ret) : 0;
}

/* Ask for each word, then tell the server to stop. */
static int client(struct ipc_channel *ch, char **words)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_SENDER };
	struct ipc_endpoint *ep;
	struct ipc_msg m = { 0 };
	int ret = ipc_attach(ch, &how, &ep);

	if (ret)
		return fail("attach", ret);
	for (; *words; words++) {
		uint32_t len = (uint32_t)strlen(*words);

		ret = ipc_reserve(ep, &m, len, IPC_FOREVER);
		if (ret)
			return fail("reserve", ret);
		memcpy(m.data, *words, len);
		ret = ipc_call(ep, &m, &m, ipc_in(5000000000));
		if (ret)
			return fail("call", ret);
		printf("%.*s\n", (int)m.len, (const char *)m.data);
		ipc_release(ep, &m, 1);
	}
	m.len = 0;
	ret = ipc_send(ep, &m, ipc_in(5000000000));
	ipc_detach(ep);
	return ret ? fail("send", ret) : 0;
}

static int run(const char *name, char **words)
{
	struct ipc_channel *ch;
	int ret = ipc_open(name, words ? IPC_WRITE : IPC_READ, ipc_in(5000000000), &ch);

	if (ret)
		return fail(name, ret);
	ret = words ? client(ch, words) : server(ch);
	ipc_close(ch);
	return ret;
}

static int both(const char *name, char **words)
{
	struct ipc_options opt = {
		.size = sizeof(opt), .mode = IPC_RENDEZVOUS, .request = 4096, .reply = 4096,
	};
	struct ipc_channel *ch;
	int status, ret = ipc_create(name, &opt, &ch);

	if (ret)
		return fail(name, ret);
	if (!fork())
		_exit(run(name, NULL));
	ret = run(name, words);
	wait(&status);
	ipc_close(ch);
	return ret || status;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[2], "-s"))
		return run(argv[1], NULL);
	if (argc > 3 && !strcmp(argv[2], "-c"))
		return run(argv[1], argv + 3);
	if (argc > 2)
		return both(argv[1], argv + 2);
	fprintf(stderr, "usage: call NAME [-c] WORD... | call NAME -s\n");
	return 2;
}
