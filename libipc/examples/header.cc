// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
// The public header in C++17, beside the System V headers that own names beginning with IPC_ too.
#include <sys/ipc.h>
#include <sys/msg.h>

#include <libipc.h>

static_assert(sizeof(ipc_msg) == 128, "the same layout as in C");

int main()
{
	struct ipc_attach how = {};
	struct ipc_peer who = {};
	ipc_options opt = {};
	ipc_channel *ch = nullptr;

	opt.size = 4;	// shorter than any version: refused before the kernel is asked
	how.size = sizeof how;
	return ipc_create("/x", &opt, &ch) < 0 && IPC_CREAT && !who.pid ? 0 : 1;
}
