// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Who is at the other end, and who keeps us waiting: rows of PEERS, as facts and as a sentence. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* A walk over the rows of a channel, a few at a time. */
#define ROWS 16

struct walk {
	struct msgc_rows rows;
	unsigned int next, got;
	struct msgc_peer row[ROWS];
};

static void walk_begin(struct walk *w)
{
	memset(w, 0, sizeof(*w));
	w->rows.size = sizeof(w->rows);
	w->rows.kind = MSGC_ROW_ENDPOINT;
	w->rows.row_size = sizeof(w->row[0]);
	w->rows.max = ROWS;
	w->rows.buf = (uintptr_t)w->row;
}

/* The next row; 0, or -ENOENT after the last one, or another error. */
static int walk_next(struct ipc_endpoint *ep, struct walk *w, const struct msgc_peer **row)
{
	int ret;

	if (w->next == w->got) {
		ret = sys_ioctl(ep->fd, MSGC_PEERS, &w->rows);
		if (ret <= 0)
			return ret ? ret : -ENOENT;
		w->got = (unsigned int)ret;
		w->next = 0;
	}
	*row = &w->row[w->next++];
	return 0;
}

static int find_peer(struct ipc_endpoint *ep, uint32_t id, struct msgc_peer *out)
{
	const struct msgc_peer *row;
	struct walk w;
	int ret;

	walk_begin(&w);
	do {
		ret = walk_next(ep, &w, &row);
	} while (!ret && row->id != id);
	if (!ret)
		*out = *row;
	return ret;
}

IPC_API int ipc_peer(struct ipc_endpoint *ep, uint32_t peer, struct ipc_peer *out)
{
	struct msgc_peer p;
	int ret;

	if (!ep->kind)
		return -EPERM;
	ret = find_peer(ep, peer, &p);
	if (ret)
		return ret;
	*out = (struct ipc_peer){
		.pid = p.pid, .uid = p.uid, .gid = p.gid,
		.role = p.role, .state = p.state, .refused = p.refused,
		.lost = p.lost, .waits = p.waits, .hiwat = p.hiwat,
	};
	memcpy(out->comm, p.comm, sizeof(out->comm));
	out->comm[sizeof(out->comm) - 1] = 0;
	return 0;
}

/* ---- why ---- */

/* "nav[812]", with whatever a terminal could not print as '?'. */
static void print_who(char *to, size_t size, const char comm[16], int pid)
{
	char name[16];
	size_t i;

	for (i = 0; i < sizeof(name) - 1 && comm[i]; i++)
		name[i] = comm[i] > ' ' && comm[i] < 127 ? comm[i] : '?';
	name[i] = 0;
	snprintf(to, size, "%s[%d]", i ? name : "?", pid);
}

static void print_bytes(char *to, size_t size, uint64_t n)
{
	static const char unit[] = "BKMGT";
	unsigned int u = 0;

	while (n >= 10240 && unit[u + 1]) {
		n /= 1024;
		u++;
	}
	snprintf(to, size, "%" PRIu64 " %c", n, unit[u]);
}

static int why_full(struct ipc_endpoint *ep, char *buf, size_t size)
{
	char who[40], bytes[24];
	struct msgc_peer me, p;

	if (find_peer(ep, ep->id, &me))
		return 0;
	print_bytes(bytes, sizeof(bytes), me.tail - me.head);
	if (!me.laggard || find_peer(ep, me.laggard, &p))
		return snprintf(buf, size, "channel full: %s wait for a receiver", bytes);
	print_who(who, sizeof(who), p.comm, p.pid);
	return snprintf(buf, size, "channel full: receiver %s holds %s", who, bytes);
}

static int why_empty(struct ipc_endpoint *ep, char *buf, size_t size)
{
	const struct msgc_status *st = ep->area[MSGC_STATUS];
	uint32_t n = __atomic_load_n(&st->senders, __ATOMIC_RELAXED);

	if (!n)
		return snprintf(buf, size, "no message: no sender is attached");
	return snprintf(buf, size, "no message from %u attached sender%s", n, n == 1 ? "" : "s");
}

/* A live server of this channel, by which a call could be held up. */
static int why_unanswered(struct ipc_endpoint *ep, char *buf, size_t size)
{
	const struct msgc_peer *row;
	struct walk w;
	char who[40];

	walk_begin(&w);
	while (!walk_next(ep, &w, &row)) {
		if (row->role != MSGC_RECEIVER || row->state != MSGC_LIVE)
			continue;
		print_who(who, sizeof(who), row->comm, row->pid);
		return snprintf(buf, size, "no answer: server %s is attached and holds %u call%s",
				who, row->held, row->held == 1 ? "" : "s");
	}
	return snprintf(buf, size, "no answer: no server is attached");
}

static bool waited(int err)
{
	return err == EAGAIN || err == ETIMEDOUT || err == EBUSY;
}

IPC_API int ipc_why(struct ipc_endpoint *ep, int err, char *buf, size_t size)
{
	int ret = 0;

	err = err < 0 ? -err : err;
	if (ep->kind == &ipc_ring_sender && waited(err) && err != EBUSY)
		ret = why_full(ep, buf, size);
	else if ((ep->kind == &ipc_ring_receiver || ep->kind == &ipc_ring_observer) && waited(err))
		ret = why_empty(ep, buf, size);
	else if (ep->kind == &ipc_client && (waited(err) || err == EHOSTDOWN))
		ret = why_unanswered(ep, buf, size);
	return ret ? ret : snprintf(buf, size, "%s", ipc_strerror(err));
}
