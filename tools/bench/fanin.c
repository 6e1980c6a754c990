// SPDX-License-Identifier: MIT
/*
 * Case fanin: many senders to one receiver, which sleeps when there is nothing. 1 and 64 that send;
 * and 4 that send, alone and among 1,020 that are attached and silent.
 */
#include "oneway.h"

/* So many that each of 64 senders fills its ring more than once. */
#define MESSAGES	(64 * 4096)

static struct oneway job(unsigned int senders, unsigned int idle, size_t ring)
{
	return (struct oneway){
		.name = "fanin", .transport = &msgchan_ring, .idle = idle, .two_cpus = true,
		.least = MESSAGES,
		.shape = {
			.size = 64, .senders = senders, .batch = MAX_BATCH, .ring = ring,
			.places = senders + idle,
		},
	};
}

void case_fanin(void)
{
	static struct oneway jobs[2];

	if (settings.instructions)
		return;
	jobs[0] = job(1, 0, 256 << 10);
	jobs[1] = job(64, 0, 256 << 10);
	oneway_measure(jobs, 2);
	if (!ring_offers(0, MAX_SENDERS)) {
		say("fanin: skipped 1,024 senders, which this module does not offer");
		return;
	}
	jobs[0] = job(4, 0, 64 << 10);
	jobs[1] = job(4, (settings.smoke ? 128 : MAX_SENDERS) - 4, 64 << 10);
	oneway_measure(jobs, 2);
}
