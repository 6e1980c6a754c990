// SPDX-License-Identifier: MIT
/*
 * Who sent a message: asked once per sender, as the kernel tells it by a walk over all of them.
 */
#include <inttypes.h>

#include "cli.h"

#define INDICES	(MSGC_INDEX(~0U) + 1)

/* Zeros if it is not known, or any more. It stays until another sender has the same index. */
const struct ipc_peer *sender_of(struct ipc_endpoint *ep, uint32_t id)
{
	static struct {
		uint32_t id;
		struct ipc_peer peer;
	} known[INDICES], *k;

	k = &known[MSGC_INDEX(id)];
	if (k->id != id && ipc_peer(ep, id, &k->peer))
		k->peer = (struct ipc_peer){ 0 };
	k->id = id;
	return &k->peer;
}

/* One sender talks nonsense: its traffic has ended, that of the others goes on. */
void tell_refused(const char *name, struct ipc_endpoint *ep, uint32_t id)
{
	const struct ipc_peer *peer = sender_of(ep, id);
	char who[WHO_SHOWN];

	notice("%s: %s broke the protocol; what else it sends is refused", name,
	       show_who(who, peer->comm, peer->pid));
}

void print_message_json(struct ipc_endpoint *ep, const struct ipc_msg *m)
{
	const struct ipc_peer *peer = sender_of(ep, m->peer);
	char comm[4 * sizeof(peer->comm) + 1];
	size_t n = escape(comm, sizeof(comm), peer->comm, sizeof(peer->comm));

	printf("{\"seq\":%" PRIu64 ",\"type\":%" PRIu32 ",\"format\":", m->seq, m->type);
	json_format(stdout, m->format);
	printf(",\"cookie\":%" PRIu64 ",\"time\":%" PRIu64 ",\"len\":%" PRIu32
	       ",\"pid\":%d,\"uid\":%" PRIu32 ",\"comm\":",
	       m->cookie, m->time, m->len, peer->pid, peer->uid);
	json_text(stdout, comm, n);
	printf(",\"redelivered\":%s,\"attempts\":%u,\"missed\":%" PRIu64 ",",
	       m->flags & IPC_F_REDELIVERED ? "true" : "false", m->attempts, m->missed);
	json_payload(stdout, m->data, m->len);
	puts("}");
}
