// SPDX-License-Identifier: MIT
/* Case stream: one sender, one receiver, messages one way as fast as they go. */
#include <stdlib.h>

#include "oneway.h"

static void interleave(size_t size, unsigned int batch, bool two_cpus)
{
	static const struct transport *const all[] = {
		&msgchan_ring, &pipes, &seqpacket, &msgchan_ring_polled, &spsc,
	};
	static struct oneway jobs[ARRAY_SIZE(all)];
	unsigned int n = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
		if (all[i]->polled && !two_cpus)
			continue;
		if (all[i]->max_size && size > all[i]->max_size)
			continue;
		jobs[n++] = (struct oneway){
			.name = "stream", .transport = all[i], .two_cpus = two_cpus,
			.shape = { .size = size, .senders = 1, .batch = batch },
		};
	}
	oneway_measure(jobs, n);
}

void case_stream(void)
{
	static const struct { size_t size; unsigned int batch; } shapes[] = {
		{ 64, 32 }, { 64, 1 }, { 1024, 32 }, { 4096, 1 }, { 65536, 1 }, { 1 << 20, 1 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(shapes); i++) {
		if (shapes[i].size == 64)
			interleave(shapes[i].size, shapes[i].batch, false);
		if (settings.instructions)
			continue;
		if (shapes[i].size == 64 || !settings.count_syscalls)
			interleave(shapes[i].size, shapes[i].batch, true);
	}
}
