// SPDX-License-Identifier: MIT
/*
 * Case memory: what an idle endpoint costs the kernel beyond the pages that it asked for, by the
 * accounts of a memory cgroup, over many endpoints. Page tables and the mappings themselves are
 * counted apart: any mapped memory has them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "library.h"

#define ROOT		"/sys/fs/cgroup"
#define GROUP		ROOT "/msgchan-bench"
#define ENDPOINTS	256U
#define RING		(64U << 10)
#define PAGE		4096U

/* Figures of memory.stat, in bytes. */
struct stat_lines {
	uint64_t kernel, slab, pagetables;
};

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die_errno(errno, "%s", path);
	close(fd);
}

static void take_line(const char *line, const char *key, uint64_t *value)
{
	if (!strncmp(line, key, strlen(key)))
		*value = strtoull(line + strlen(key), NULL, 10);
}

static struct stat_lines read_stat(void)
{
	struct stat_lines found = { 0 };
	char line[128];
	FILE *file = fopen(GROUP "/memory.stat", "re");

	if (!file)
		die_errno(errno, "memory.stat");
	while (fgets(line, sizeof(line), file)) {
		take_line(line, "kernel ", &found.kernel);
		take_line(line, "slab ", &found.slab);
		take_line(line, "pagetables ", &found.pagetables);
	}
	fclose(file);
	return found;
}

static struct ipc_endpoint *attach(struct ipc_channel *channel)
{
	return new_endpoint(channel, &(struct ipc_attach){
		.size = sizeof(struct ipc_attach), .role = IPC_SENDER, .ring = RING,
	});
}

static void record(const char *metric, double bytes, unsigned int run_no)
{
	write_record(&(struct record){
		.name = "memory", .transport = "msgchan-ring", .size = RING, .peers = 1,
		.batch = 1, .metric = metric, .value = bytes / ENDPOINTS, .samples = ENDPOINTS,
		.run = run_no,
	});
}

/* Senders of several channels, as one channel has only so many places. */
static void attach_all(struct process *me)
{
	static struct ipc_endpoint *endpoints[ENDPOINTS];
	struct ipc_channel *channels[ENDPOINTS / 64];
	struct stat_lines before, after;
	uint64_t asked = RING + PAGE;

	write_file(GROUP "/cgroup.procs", "0");
	for (unsigned int i = 0; i < ENDPOINTS / 64; i++)
		channels[i] = new_channel(NULL);
	ipc_detach(attach(channels[0]));	/* what only the first one costs */
	before = read_stat();
	for (unsigned int i = 0; i < ENDPOINTS; i++)
		endpoints[i] = attach(channels[i / 64]);
	after = read_stat();
	record("kernel_bytes", (double)(after.kernel - before.kernel), me->number);
	record("pagetable_bytes", (double)(after.pagetables - before.pagetables), me->number);
	record("slab_bytes", (double)(after.slab - before.slab), me->number);
	record("bytes_beyond_pages", (double)(after.kernel - before.kernel) -
	       (double)(after.pagetables - before.pagetables) - (double)(ENDPOINTS * asked),
	       me->number);
	for (unsigned int i = 0; i < ENDPOINTS; i++)
		ipc_detach(endpoints[i]);
}

void case_memory(void)
{
	if (settings.instructions || settings.count_syscalls)
		return;
	write_file(ROOT "/cgroup.subtree_control", "+memory");
	for (unsigned int r = 0; r < settings.runs; r++) {
		struct process process = { .cpu = SENDER_CPU, .body = attach_all, .number = r };

		if (mkdir(GROUP, 0755) && errno != EEXIST)
			die_errno(errno, GROUP);
		run_processes(&process, 1);
		rmdir(GROUP);
	}
}
