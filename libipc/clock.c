// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Deadlines. */
#include "internal.h"

IPC_API uint64_t ipc_in(uint64_t ns)
{
	uint64_t now = sys_now();

	return ns < IPC_FOREVER - 1 - now ? now + ns : IPC_FOREVER - 1;
}
