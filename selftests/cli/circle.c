// SPDX-License-Identifier: MIT
/*
 * circle - two processes, each the server of one channel, that call each other: neither takes the
 * call of the other. For the test of 'msgchan blocked'; ends when it is killed.
 *
 * usage: circle CHANNEL CHANNEL	two rendezvous channels without a server
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#include <libipc.h>

static struct ipc_endpoint *attach(const char *name, unsigned int rights, uint32_t role)
{
	struct ipc_attach how = { .size = sizeof(how), .role = role };
	struct ipc_channel *ch;
	struct ipc_endpoint *ep;
	int err = ipc_open(name, rights, IPC_FOREVER, &ch);

	if (!err)
		err = ipc_attach(ch, &how, &ep);
	if (err) {
		fprintf(stderr, "circle: %s: %s\n", name, ipc_strerror(err));
		exit(1);
	}
	return ep;
}

int main(int argc, char **argv)
{
	struct ipc_msg request = { 0 }, reply = { 0 };
	struct ipc_endpoint *client;
	pid_t child;
	int own;

	if (argc != 3)
		return 2;
	child = fork();
	own = child ? 1 : 2;
	if (!child)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	attach(argv[own], IPC_READ, IPC_RECEIVER);
	client = attach(argv[3 - own], IPC_WRITE, IPC_SENDER);
	if (ipc_reserve(client, &request, 1, IPC_FOREVER))
		return 1;
	return ipc_call(client, &request, &reply, IPC_FOREVER) != 0;
}
