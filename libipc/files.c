// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Files that travel with calls and replies.
 *
 * Those to be sent stand in the message: priv[4] to priv[1], two numbers each, the upper half
 * first, plus one, so that a zeroed message has none. Rings use priv[0] to priv[2].
 *
 * Those that came stand in the kernel's line of the call. Until the caller has taken them they are
 * the library's to close: `untaken` of the client or server counts them.
 */
#include "internal.h"

static unsigned int shift_of(unsigned int i)
{
	return i % 2 ? 0 : 32;
}

unsigned int ipc_files_set(const struct ipc_msg *m, int32_t *fds)
{
	unsigned int n;

	for (n = 0; n < MSGC_FDS; n++) {
		uint32_t number = (uint32_t)(m->priv[4 - n / 2] >> shift_of(n));

		if (!number)
			break;
		fds[n] = (int32_t)(number - 1);
	}
	return n;
}

/* Its place in a ring would be lost. */
static bool is_of_ring(const struct ipc_msg *m)
{
	return m->data && m->priv[1] && !ipc_has_files(m);
}

IPC_API int ipc_set_fds(struct ipc_msg *m, const int *fds, unsigned int n)
{
	if (n > MSGC_FDS)
		return -EINVAL;
	if (is_of_ring(m))
		return -EOPNOTSUPP;
	for (unsigned int i = 0; i < n; i++)
		if (fds[i] < 0)
			return -EBADF;
	for (unsigned int i = 1; i <= 4; i++)
		m->priv[i] = 0;
	for (unsigned int i = 0; i < n; i++)
		m->priv[4 - i / 2] |= ((uint64_t)(uint32_t)fds[i] + 1) << shift_of(i);
	return 0;
}

uint8_t ipc_files_came(const int32_t *fds)
{
	uint8_t n = 0;

	while (n < MSGC_FDS && fds[n] >= 0)
		n++;
	return n;
}

void ipc_files_close(const int32_t *fds, uint8_t *untaken)
{
	for (; *untaken; --*untaken)
		sys_close(fds[*untaken - 1]);
}

/* All or none: half of what was sent is of no use, and nobody else would close it. */
IPC_API int ipc_get_fds(struct ipc_endpoint *ep, struct ipc_msg *m, int *fds, unsigned int n)
{
	struct ipc_files f;
	unsigned int count;
	int ret;

	if (!ep->kind)
		return -EPERM;
	if (!ep->kind->files)
		return -EOPNOTSUPP;
	ret = ep->kind->files(ep, m, &f);
	if (ret)
		return ret;
	count = *f.untaken;
	if (f.truncated || count > n)
		return -EMSGSIZE;
	for (unsigned int i = 0; i < count; i++)
		fds[i] = f.fds[i];
	*f.untaken = 0;
	return (int)count;
}
