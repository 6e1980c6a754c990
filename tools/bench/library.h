/* SPDX-License-Identifier: MIT */
/* libipc as the benchmark uses it: what it refuses ends the program, with the reason. */
#ifndef LIBRARY_H
#define LIBRARY_H

#include <libipc.h>

#include "bench.h"

struct ipc_channel *new_channel(const struct ipc_options *opt);
struct ipc_endpoint *new_endpoint(struct ipc_channel *channel, const struct ipc_attach *how);

_Noreturn void failed(struct ipc_endpoint *ep, int err, const char *what);

/* Serves so many calls by ioctl; to each the answer is what work() has made, @len bytes. */
void serve_calls(struct ipc_endpoint *ep, uint64_t n, uint32_t len,
		 void (*work)(void *with, struct ipc_msg *msg), void *with);

static inline void must(struct ipc_endpoint *ep, int ret, const char *what)
{
	if (ret < 0)
		failed(ep, ret, what);
}

#endif
