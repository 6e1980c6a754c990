// SPDX-License-Identifier: MIT
/* stress.c - children, a watchdog over them, and the kernel's own figures of their endpoints. */
#include "stress.h"

#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include <linux/msgchan.h>

#define PROGRESS_S	10

struct shared *shared;
static bool is_child;
static unsigned long pauses;

void fail(int line, const char *format, ...)
{
	va_list args;

	if (!atomic_exchange(&shared->failed, true)) {
		int n = snprintf(shared->why, sizeof(shared->why), "line %d: ", line);

		va_start(args, format);
		vsnprintf(shared->why + n, sizeof(shared->why) - (size_t)n, format, args);
		va_end(args);
	}
	if (is_child)
		_exit(1);
}

void *shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return memory;
}

uint64_t number_from(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

uint32_t random_below(uint64_t *state, uint32_t n)
{
	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(*state >> 33) % n;
}

/* ---- children ---- */

void spawn(struct child *child, void (*fn)(unsigned int), unsigned int arg)
{
	pid_t parent = getpid();

	fflush(stdout);
	child->pid = fork();
	if (child->pid)
		return;
	is_child = true;
	pauses = 0;
	/* A parent that is gone watches nobody. */
	alarm(LONGEST_S);
	if (getppid() != parent)
		_exit(1);
	fn(arg);
	_exit(0);
}

unsigned int reap(struct child *children, unsigned int n)
{
	unsigned int live = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct child *child = &children[i];

		if (child->pid && waitpid(child->pid, &child->status, WNOHANG) == child->pid)
			child->pid = 0;
		live += child->pid != 0;
	}
	return live;
}

void end_children(struct child *children, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (!children[i].pid)
			continue;
		kill(children[i].pid, SIGKILL);
		waitpid(children[i].pid, &children[i].status, 0);
		children[i].pid = 0;
	}
}

static int peers(int fd, struct msgc_peer *rows, unsigned int max)
{
	struct msgc_rows cmd = {
		.size = sizeof(cmd), .kind = MSGC_ROW_ENDPOINT, .row_size = sizeof(*rows),
		.max = max, .buf = (uintptr_t)rows,
	};

	return ioctl(fd, MSGC_PEERS, &cmd);
}

static void show_peers(const struct ipc_channel *ch)
{
	struct msgc_peer rows[CHILDREN];
	int n = peers(ipc_channel_fd(ch), rows, CHILDREN);

	for (int i = 0; i < n; i++) {
		printf("# role %u, pid %d, state %u: tail %llu, head %llu, holds %llu;",
		       rows[i].role, rows[i].pid, rows[i].state, rows[i].tail, rows[i].head,
		       rows[i].held_bytes);
		printf(" %llu waits, %llu kicks (%llu needless)\n", rows[i].waits,
		       rows[i].kicks, rows[i].needless);
	}
}

/* Says now and then how far it is. */
bool is_hung(const struct ipc_channel *ch)
{
	static unsigned long last;
	static time_t since, said, began;
	unsigned long now = atomic_load(&shared->progress);
	time_t time = (time_t)(ipc_in(0) / 1000000000);

	if (now != last || !since) {
		last = now;
		since = time;
	}
	began = began ? began : time;
	if (time - said >= PROGRESS_S) {
		printf("# %ld s: progress %lu\n", (long)(time - began), now);
		fflush(stdout);
		said = time;
	}
	if (time - since < (time_t)HANG_S)
		return false;
	printf("# nobody got on for %u s\n", HANG_S);
	show_peers(ch);
	return true;
}

static bool all_succeeded(const struct child *children, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (children[i].status)
			return false;
	return true;
}

bool watch(struct child *children, unsigned int n, const struct ipc_channel *ch)
{
	while (reap(children, n) && !atomic_load(&shared->failed)) {
		if (is_hung(ch)) {
			FAIL("a hang");
			break;
		}
		usleep(10000);
	}
	end_children(children, n);
	if (!atomic_load(&shared->failed) && !all_succeeded(children, n))
		FAIL("a child died");
	return !atomic_load(&shared->failed);
}

/* ---- endpoints ---- */

struct ipc_endpoint *attach(struct ipc_channel *ch, uint32_t role, uint32_t flags, uint64_t ring)
{
	struct ipc_attach how = {
		.size = sizeof(how), .role = role, .flags = flags,
		.ring = role == IPC_SENDER ? ring : 0,
	};
	struct ipc_endpoint *ep = NULL;
	uint64_t deadline = MS(30000);
	int err;

	/* Places of the dead become free a little later. */
	while ((err = ipc_attach(ch, &how, &ep)) == -EUSERS || err == -EBUSY) {
		if (ipc_in(0) > deadline)
			break;
		usleep(1000);
	}
	if (err)
		FAIL("no place: %s", ipc_strerror(err));
	atomic_fetch_add(&shared->attached, 1);
	return ep;
}

/* Sleepers that this process woke: its KICKs, less those that found nobody asleep. */
static unsigned long wakeups_by(const struct ipc_endpoint *ep)
{
	struct msgc_peer rows[CHILDREN];
	int n = peers(ipc_fd(ep), rows, CHILDREN);

	for (int i = 0; i < n; i++)
		if (rows[i].pid == getpid())
			return rows[i].kicks - rows[i].needless;
	return 0;
}

void detach(struct ipc_endpoint *ep, uint32_t role)
{
	struct rusage usage;

	atomic_fetch_add(role == IPC_SENDER ? &shared->woke_receivers : &shared->woke_senders,
			 wakeups_by(ep));
	getrusage(RUSAGE_SELF, &usage);
	atomic_fetch_add(&shared->switches, (unsigned long)usage.ru_nvcsw - pauses);
	ipc_detach(ep);
}

void pause_us(unsigned int us)
{
	pauses++;
	usleep(us);
}
