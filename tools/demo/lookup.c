// SPDX-License-Identifier: MIT
/*
 * A rendezvous service that looks up ports in /etc/services, and clients that compare each answer
 * with their own look-up:
 *
 *	lookup serve CHANNEL
 *	lookup ask CHANNEL SECONDS
 *
 * A request is "NAME/PROTOCOL", the answer "PORT NAME ALIAS...", its result 0 or -ENOENT. A client
 * asks for every entry and for one name that does not exist, over and over for SECONDS, and at
 * least once. Where a server died holding a call its outcome is "maybe"; looking up twice does no
 * harm, so the client asks again.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>

#include "common.h"

#define ANSWER 512	/* longest answer */

/* The service's entry as text; its length, or -ENOENT. */
static int look_up(const char *name, const char *protocol, char *to, size_t room)
{
	const struct servent *s = getservbyname(name, protocol);
	size_t n;

	if (!s)
		return -ENOENT;
	n = (size_t)snprintf(to, room, "%u %s", ntohs((uint16_t)s->s_port), s->s_name);
	for (char **alias = s->s_aliases; *alias && n < room; alias++)
		n += (size_t)snprintf(to + n, room - n, " %s", *alias);
	return n < room ? (int)n : -EMSGSIZE;
}

/* ---- server ---- */

/* The request is the client's memory, which it can still change: look at a copy. */
static int answer(const struct ipc_msg *m)
{
	char request[256];
	char *slash;

	if (m->len >= sizeof(request))
		return -EMSGSIZE;
	memcpy(request, m->data, m->len);
	request[m->len] = '\0';
	slash = strchr(request, '/');
	if (!slash)
		return -EINVAL;
	*slash = '\0';
	return look_up(request, slash + 1, m->reply, m->reply_cap);
}

static void serve(struct ipc_endpoint *ep)
{
	struct ipc_msg m = { 0 };
	int n = ipc_recv(ep, &m, 1, IPC_FOREVER);

	while (n > 0) {
		int len = answer(&m);

		n = ipc_reply_recv(ep, &m, len < 0 ? 0 : (uint32_t)len, len < 0 ? len : 0, &m,
				   IPC_FOREVER);
	}
	die_of(ep, n, "serve");
}

/* ---- client ---- */

struct tally {
	unsigned long asked, right, told;	/* told: that the server died */
};

/* Asks until there is an answer; returns its length or the service's error. */
static int ask(struct ipc_endpoint *ep, struct tally *t, const char *request, char *to, size_t room)
{
	struct ipc_msg m;
	int len, err;

	do {
		m = (struct ipc_msg){ .data = (char *)request, .len = (uint32_t)strlen(request) };
		err = ipc_call(ep, &m, &m, limit());
		if (err == -EOWNERDEAD && m.outcome == IPC_MAYBE)
			t->told++;
		else if (err || m.outcome != IPC_DONE)
			die(err, "call for %s, outcome %u", request, m.outcome);
	} while (err);

	len = m.result < 0 ? m.result : (int)m.len;
	if (len >= 0 && m.len <= room)
		memcpy(to, m.data, m.len);
	err = ipc_release(ep, &m, 1);
	if (err)
		die_of(ep, err, "release");
	return len;
}

static void compare(struct ipc_endpoint *ep, struct tally *t, const char *name,
		    const char *protocol)
{
	char request[256], own[ANSWER], theirs[ANSWER];
	int own_len, len;

	snprintf(request, sizeof(request), "%s/%s", name, protocol);
	own_len = look_up(name, protocol, own, sizeof(own));
	len = ask(ep, t, request, theirs, sizeof(theirs));
	t->asked++;
	if (len == own_len && (len < 0 || !memcmp(own, theirs, (size_t)len)))
		t->right++;
	else
		fprintf(stderr, "lookup: wrong answer for %s\n", request);
}

/*
 * The names are copied first: going through the file and looking up in it share one
 * position in libc.
 */
struct name {
	char name[64], protocol[16];
};

static struct name *all_names(size_t *n)
{
	struct name *names = NULL;
	const struct servent *s;

	setservent(0);
	for (*n = 0; (s = getservent()); ++*n) {
		names = reallocarray(names, *n + 1, sizeof(*names));
		if (!names)
			die(ENOMEM, "names");
		snprintf(names[*n].name, sizeof(names->name), "%s", s->s_name);
		snprintf(names[*n].protocol, sizeof(names->protocol), "%s", s->s_proto);
	}
	endservent();
	if (!*n)
		die(0, "/etc/services is missing or empty");
	return names;
}

static int ask_all(struct ipc_endpoint *ep, uint64_t until)
{
	struct tally t = { 0 };
	size_t n;
	struct name *names = all_names(&n);

	do {
		for (size_t i = 0; i < n; i++)
			compare(ep, &t, names[i].name, names[i].protocol);
		compare(ep, &t, "no-such-service", "tcp");
	} while (ipc_in(0) < until);
	free(names);
	printf("client: %lu look-ups, %lu right, %lu times told that the server died\n",
	       t.asked, t.right, t.told);
	return t.asked == t.right ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct ipc_endpoint *ep;
	int status;

	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(join(argv[2], IPC_RECEIVER));
	if (argc != 4 || strcmp(argv[1], "ask")) {
		fprintf(stderr, "usage: lookup serve CHANNEL | lookup ask CHANNEL SECONDS\n");
		return 2;
	}
	ep = join(argv[2], IPC_SENDER);
	status = ask_all(ep, ipc_in(SECONDS(strtoul(argv[3], NULL, 10))));
	ipc_detach(ep);
	return status;
}
