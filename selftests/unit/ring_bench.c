// SPDX-License-Identifier: MIT
/*
 * ring_bench - what a message costs in one thread that nobody waits for, beside a bare ring: one
 * writer, one reader, fixed slots, no header, no check, no barrier. No test: it prints CPU time.
 */
#include "messages.h"

#include <time.h>

#define MESSAGES	2000000U
#define LEN		64U
#define SLOTS		4096U

static struct {
	_Alignas(64) uint64_t tail;
	_Alignas(64) uint64_t head;
	_Alignas(64) char slot[SLOTS][LEN];
} bare;

static uint64_t seen;

/* Of this process only: the machine may be busy. */
static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t bare_ring(unsigned int batch)
{
	uint64_t start = cpu_ns(), head = 0, tail = 0;
	char payload[LEN] = "payload";

	while (head < MESSAGES) {
		for (unsigned int i = 0; i < batch; i++, tail++)
			memcpy(bare.slot[tail % SLOTS], payload, LEN);
		__atomic_store_n(&bare.tail, tail, __ATOMIC_RELEASE);
		while (head < __atomic_load_n(&bare.tail, __ATOMIC_ACQUIRE))
			seen += (uint8_t)bare.slot[head++ % SLOTS][0];
		__atomic_store_n(&bare.head, head, __ATOMIC_RELEASE);
	}
	return cpu_ns() - start;
}

static uint64_t engine(struct peer *tx, struct peer *rx, unsigned int batch)
{
	uint64_t start = cpu_ns(), done = 0;
	char payload[LEN] = "payload";
	struct ipc_msg msg[64] = { 0 };

	while (done < MESSAGES) {
		for (unsigned int i = 0; i < batch; i++) {
			ipc_tx_reserve(tx->tx, &msg[i], LEN, IPC_NOW);
			memcpy(msg[i].data, payload, LEN);
			ipc_tx_commit(tx->tx, &msg[i]);
		}
		ipc_tx_publish(tx->tx);
		ipc_rx_recv(rx->rx, msg, batch, IPC_NOW);
		for (unsigned int i = 0; i < batch; i++)
			seen += *(uint8_t *)msg[i].data;
		ipc_rx_release(rx->rx, msg, batch);
		done += batch;
	}
	return cpu_ns() - start;
}

int main(void)
{
	struct chan *chan = chan_new(1, 1 << 20);
	struct peer *rx = join_receiver(chan, 0, 0);
	struct peer *tx = join_sender(chan, 1 << 20, 0);

	for (unsigned int batch = 1; batch <= 64; batch *= 4) {
		double plain = (double)bare_ring(batch) / MESSAGES;
		double full = (double)engine(tx, rx, batch) / MESSAGES;

		printf("batch %2u: bare ring %5.1f ns, engine %5.1f ns, ratio %.1f\n", batch, plain,
		       full, full / plain);
	}
	chan_free(chan);
	return seen == 0;
}
