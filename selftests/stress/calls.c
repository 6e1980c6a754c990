// SPDX-License-Identifier: MIT
/*
 * calls - a thousand clients and their servers, signalled and killed at any time, and what became
 * of each call.
 *
 * STRESS_CALLS: how many in all (default: few enough for some seconds); kills in proportion.
 * STRESS_SEED: what the children's choices follow from; it is printed. SLOW: less.
 *
 * Every call has a cookie of its own, which is its place in memory of this test: there its client
 * notes that it is made, each server that it has it, before anything else, and what it answers,
 * before it does, and the client again what it was told. In the end, for all calls:
 *
 *	made = answered + failed, by outcome + made by a client that was killed
 *	one that was not executed, or refused, was seen by no server
 *	one that is answered has the answer of a server that had it: the client checks every byte
 *	none was seen more than once, or once more than servers died
 *	one that is perhaps executed, or one-way and sent, was seen, but for as many as were taken
 *	by a server that was killed before it could note them: at most one each, or as many as it
 *	had RECVs in its ring
 *	one that its server saw as given up was not answered; one that was answered did not end
 *	by its server's death
 *	in the end, when all is quiet, a last call of each client is answered
 *
 * Where there are rings, many of the processes give most of their commands by io_uring, several at
 * a time, and cancel some, and now and then close the ring with what waits in it. Each command
 * completes once, or goes with its ring. A ring that was closed keeps no endpoint. Rings are plain
 * ones, deferring ones, and some with a thread of their own (SQPOLL); in some files are registered;
 * answers are linked to RECVs. A quarter of the clients are the library's: they make their calls in
 * batches.
 *
 * And nothing is left: calls, endpoints, quotas, files, memory, priorities.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "calls.h"

#define MANY	(MSGC_MANY_SERVERS | MSGC_REDELIVER)

static const struct plan plans[] = {
	{ "1024 clients, one server", 16, 64, 1, 0, 0, false, 15, 500 },
	{ "1024 clients, four servers, redelivery", 16, 64, 4, MANY, 0, false, 15, 500 },
	{ "1024 clients, four servers, two attempts", 16, 64, 4, MANY, 1, false, 5, 500 },
	{ "killed all the time, one server", 16, 1, 1, 0, 0, false, 5, 50 },
	{ "killed all the time, one server, redelivery",
	  16, 1, 1, MSGC_REDELIVER, 0, false, 5, 50 },
	{ "killed all the time, four servers, redelivery", 16, 1, 4, MANY, 0, false, 10, 50 },
	{ "64 clients, four servers that inherit",
	  16, 4, 4, MANY | MSGC_INHERIT, 0, false, 10, 300 },
	{ "by io_uring and ioctl, 1024 clients, four servers, two attempts",
	  16, 64, 4, MANY, 1, true, 10, 500 },
	{ "by io_uring and ioctl, killed all the time, one server", 16, 1, 1, 0, 0, true, 10, 50 },
	{ "by io_uring and ioctl, killed all the time, four servers, redelivery",
	  16, 1, 4, MANY, 0, true, 10, 50 },
	{ "by io_uring and ioctl, 64 clients, four servers that inherit",
	  16, 4, 4, MANY | MSGC_INHERIT, 0, true, 5, 300 },
};

const struct plan *now;
struct world *world;
struct ipc_channel *ch;
unsigned int n_calls;
volatile int waiting_fd = -1;

static struct child child[PROCESSES];		/* servers first */
static bool *was_killed;			/* by life */
static unsigned int killed[2];			/* servers, clients */
static unsigned int most_clients;		/* endpoints that were there at a time */
static unsigned int on_their_way;		/* calls, at most, to servers that were killed */

/* ---- endpoints ---- */

long command(int fd, unsigned long nr, void *arg)
{
	long ret = ioctl(fd, nr, arg);

	return ret < 0 ? -errno : ret;
}

static void map(struct end_point *ep, int k, bool writable)
{
	const struct msgc_area *a = &ep->at.area[k];

	ep->area[k] = mmap(NULL, a->size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED,
			   ep->fd, (off_t)a->offset);
	if (ep->area[k] == MAP_FAILED)
		FAIL("mmap of area %d: %s", k, strerror(errno));
}

/* Places of the dead become free a little later. */
void join(struct end_point *ep, uint32_t role, uint32_t flags, uint32_t most_held)
{
	long fd;

	do {
		ep->at = (struct msgc_attach){
			.size = sizeof(ep->at), .role = role, .flags = flags, .held = most_held,
		};
		fd = command(ipc_channel_fd(ch), MSGC_ATTACH, &ep->at);
		if (fd == -EUSERS || fd == -EBUSY)
			usleep(1000);
	} while ((fd == -EUSERS || fd == -EBUSY) && ipc_in(0) < shared->deadline);
	if (fd < 0)
		FAIL("attach: %ld", fd);
	ep->fd = (int)fd;
	map(ep, MSGC_OWN, true);
	map(ep, MSGC_INBOX, false);
	map(ep, MSGC_DATA, role == MSGC_SENDER);
	map(ep, MSGC_PEER, role == MSGC_RECEIVER);
	atomic_fetch_add(&shared->attached, 1);
}

void leave(struct end_point *ep)
{
	for (int k = MSGC_OWN; k < MSGC_AREAS; k++)
		munmap(ep->area[k], ep->at.area[k].size);
	close(ep->fd);
}

static bool is_there(pid_t pid)
{
	struct msgc_peer row[64];
	struct msgc_rows peers = {
		.size = sizeof(peers), .kind = MSGC_ROW_ENDPOINT, .row_size = sizeof(*row),
		.max = 64, .buf = (uintptr_t)row,
	};
	long n;

	while ((n = command(ipc_channel_fd(ch), MSGC_PEERS, &peers)) > 0)
		for (long i = 0; i < n; i++)
			if (row[i].pid == pid)
				return true;
	EXPECT(!n);
	return false;
}

/* All fds are closed. A command that still waited somewhere would keep the endpoint. */
void expect_gone(void)
{
	uint64_t deadline = MS(30000);

	while (is_there(getpid())) {
		if (ipc_in(0) > deadline)
			FAIL("closed, and it is still there");
		usleep(1000);
	}
}

unsigned int begin_life(unsigned int me, uint64_t *random)
{
	unsigned int life = atomic_fetch_add(&world->lives, 1) + 1;

	atomic_store(&world->life_of[me], life);
	*random = scramble(world->seed + life * ODD);
	return life;
}

void die_if_doomed(unsigned int me, unsigned int point)
{
	if (atomic_load(&world->doomed[me]) == point)
		raise(SIGKILL);
}

/* One kind of signal restarts what it interrupts, another does not; some come by INTERRUPT. */
static void on_signal(int sig)
{
	static unsigned int n;
	struct msgc_none nothing = { .zero = { 0, 0 } };
	int error = errno;

	if (sig == SIGUSR1 && n++ % 8 == 0 && waiting_fd >= 0)
		ioctl(waiting_fd, MSGC_INTERRUPT, &nothing);
	errno = error;
}

static void handle_signals(void)
{
	struct sigaction restarts = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct sigaction ends = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &restarts, NULL);
	sigaction(SIGUSR2, &ends, NULL);
}

/* ---- children ---- */

static bool is_server(unsigned int i)
{
	return i < now->servers;
}

static void start(unsigned int i)
{
	atomic_store(&world->doomed[i], ALIVE);
	atomic_store(&world->life_of[i], 0);
	spawn(&child[i], is_server(i) ? server : client, i);
}

static bool has_ended(pid_t pid)
{
	siginfo_t what = { .si_pid = 0 };

	return waitid(P_PID, (id_t)pid, &what, WEXITED | WNOHANG | WNOWAIT) || what.si_pid;
}

/* To die where it hurts, if it gets there soon; else wherever it is. */
static void doom(unsigned int i, uint64_t *random)
{
	unsigned int points = is_server(i) ? AFTER_CALL - AFTER_RECV : 1;
	unsigned int first = is_server(i) ? AFTER_RECV : AFTER_CALL;

	atomic_store(&world->doomed[i], (unsigned char)(first + random_below(random, points)));
}

static void await_doom(unsigned int i)
{
	uint64_t deadline = MS(20);

	while (ipc_in(0) < deadline && !has_ended(child[i].pid))
		usleep(200);
}

static void end_by_force(unsigned int i)
{
	kill(child[i].pid, SIGKILL);
	waitpid(child[i].pid, &child[i].status, 0);
	/* One that had failed before is no victim. */
	if (!WIFSIGNALED(child[i].status))
		FAIL("a child ended by itself");
	child[i].status = 0;
	was_killed[atomic_load(&world->life_of[i])] = true;
	killed[!is_server(i)]++;
	on_their_way += atomic_exchange(&world->receiving[i], 0);
}

static void kill_one(unsigned int i, uint64_t *random)
{
	if (random_below(random, 2)) {
		doom(i, random);
		await_doom(i);
	}
	end_by_force(i);
	start(i);
}

/* A call that one of them takes is delivered again to the next, which dies of it too. */
static void kill_all_servers(void)
{
	for (unsigned int i = 0; i < now->servers; i++)
		atomic_store(&world->doomed[i], AFTER_NOTE);
	for (unsigned int i = 0; i < now->servers; i++)
		await_doom(i);
	for (unsigned int i = 0; i < now->servers; i++)
		end_by_force(i);
	for (unsigned int i = 0; i < now->servers; i++)
		start(i);
}

/* How many that were. */
static unsigned int kill_some(uint64_t *random)
{
	if (!random_below(random, 8)) {
		kill_all_servers();
		return now->servers;
	}
	if (random_below(random, 2))
		kill_one(random_below(random, now->servers), random);
	else
		kill_one(now->servers + random_below(random, now->clients), random);
	return 1;
}

/* A server as often as a client, though they are fewer. */
static void signal_one(uint64_t *random)
{
	unsigned int among = now->servers + (random_below(random, 2) ? now->clients : 0);
	unsigned int i = random_below(random, among);

	kill(child[i].pid, random_below(random, 2) ? SIGUSR1 : SIGUSR2);
}

static void count_clients(void)
{
	struct msgc_info info = { .size = sizeof(info) };

	EXPECT(command(ipc_channel_fd(ch), MSGC_INFO, &info) == 0);
	most_clients = info.senders > most_clients ? info.senders : most_clients;
}

/* A kill each time that so many calls more have been made; signals all the time. */
static void disturb(unsigned int kills)
{
	uint64_t random = world->seed;
	unsigned int n = 1, made;

	do {
		usleep(random_below(&random, 1000));
		signal_one(&random);
		if (is_hung(ch))
			FAIL("a hang");
		made = atomic_load(&world->cookies);
		if (made >= (uint64_t)n_calls * n / (kills + 1) && n <= kills) {
			count_clients();
			n += kill_some(&random);
		}
	} while ((n <= kills || made < n_calls) && !atomic_load(&shared->failed));
}

/* Clients first, when they know the ends of their calls; then servers, when they hold nothing. */
static void finish(void)
{
	atomic_store(&shared->stop, true);
	watch(child + now->servers, now->clients, ch);
	atomic_store(&world->drained, true);
	watch(child, now->servers, ch);
}

/* ---- accounts ---- */

struct account {
	unsigned long end[ENDS];
	unsigned long by_killed, by_killed_seen;	/* clients */
	unsigned long unnoted;		/* taken by a server that died before it could say so */
	unsigned long again;		/* times that a call was seen once more */
};

static const char *const names[ENDS] = {
	[ANSWERED] = "answered", [SENT] = "one-way, taken",
	[NEVER_IN_TIME] = "not executed, deadline", [NEVER_CANCELED] = "not executed, canceled",
	[NEVER_NO_SERVER] = "not executed, no server",
	[MAYBE_IN_TIME] = "perhaps executed, deadline",
	[MAYBE_CANCELED] = "perhaps executed, canceled",
	[MAYBE_NO_SERVER] = "perhaps executed, no server",
	[MAYBE_DIED] = "perhaps executed, its server died", [REFUSED] = "refused, no server",
	[NOT_BEGUN] = "not begun, canceled in io_uring",
};

static bool surely_not(enum end how)
{
	return how == NEVER_IN_TIME || how == NEVER_CANCELED || how == NEVER_NO_SERVER ||
	       how == REFUSED || how == NOT_BEGUN;
}

/* True if this is a contradiction: nothing that a client was told by a correct kernel. */
static bool contradicts(const struct fate *fate)
{
	enum end how = atomic_load(&fate->told);
	unsigned int seen = atomic_load(&fate->seen);
	bool oneway = atomic_load(&fate->oneway);

	if (surely_not(how) && seen)
		return true;
	if ((how == ANSWERED && oneway) || (how == SENT && !oneway))
		return true;
	if (how == ANSWERED && (!atomic_load(&fate->answered) || atomic_load(&fate->gone)))
		return true;
	if (how == MAYBE_DIED && atomic_load(&fate->replied))
		return true;
	return atomic_load(&fate->replied) > 1 ||
	       (!(now->flags & MSGC_REDELIVER) && seen > 1) ||
	       (now->attempts && seen > now->attempts + 1);
}

static void account_for(struct account *a, unsigned int cookie)
{
	const struct fate *fate = &world->fate[cookie];
	enum end how = atomic_load(&fate->told);
	unsigned int seen = atomic_load(&fate->seen);
	bool client_died = was_killed[atomic_load(&fate->life)];

	if (contradicts(fate))
		FAIL("call %u: %s; seen by %u, answered by %u, %u times%s", cookie,
		     names[how] ? names[how] : "nothing told", seen, atomic_load(&fate->answered),
		     atomic_load(&fate->replied), atomic_load(&fate->gone) ? ", seen as gone" : "");
	a->end[how]++;
	a->again += seen ? seen - 1 : 0;
	if (how == NOT_TOLD && !client_died)
		FAIL("call %u: its client lives, and was told nothing", cookie);
	if (how == NOT_TOLD) {
		a->by_killed++;
		a->by_killed_seen += seen != 0;
	} else if (!surely_not(how) && !seen) {
		a->unnoted++;
	}
}

/* A process that ends in peace has seen all its commands complete, and each of them once. */
static unsigned int given_by_killed(void)
{
	return atomic_load(&world->given) - atomic_load(&world->completed) -
	       atomic_load(&world->went_with_ring);
}

static void print_rings(void)
{
	printf("# by io_uring: %u calls and %u answers; commands: %u = %u completed + %u went with",
	       atomic_load(&world->calls), atomic_load(&world->answers), atomic_load(&world->given),
	       atomic_load(&world->completed), atomic_load(&world->went_with_ring));
	printf(" one of %u rings + %u with a process; %u interrupted\n",
	       atomic_load(&world->closed), given_by_killed(), atomic_load(&world->interrupted));
	printf("# rings with a thread: %u; commands with a registered file: %u, linked: %u\n",
	       atomic_load(&world->polled), atomic_load(&world->fixed),
	       atomic_load(&world->linked));
	printf("# in batches: %u calls by io_uring, %u by ioctl and poll\n",
	       atomic_load(&world->batched[0]), atomic_load(&world->batched[1]));
}

static void print_account(const struct account *a, unsigned int made)
{
	printf("# made %u calls =\n", made);
	for (unsigned int how = NOT_TOLD + 1; how < ENDS; how++)
		printf("#   %9lu %s\n", a->end[how], names[how]);
	printf("#   %9lu by clients that were killed (a server had %lu)\n", a->by_killed,
	       a->by_killed_seen);
	printf("# delivered again %u; taken, but not noted any more %lu; RESUMEs %u\n",
	       atomic_load(&world->again), a->unnoted, atomic_load(&world->resumed));
	printf("# client endpoints: %lu in all, up to %u at a time\n",
	       atomic_load(&shared->attached) - killed[0] - now->servers, most_clients);
	printf("# EBUSY: from CALL %u, from RECV %u; killed: %u servers, %u clients\n",
	       atomic_load(&world->refused_reuse), atomic_load(&world->recv_busy), killed[0],
	       killed[1]);
	if (now->rings)
		print_rings();
}

/* Cookies that were given to a client that died before it could note anything are no calls. */
static void account(void)
{
	struct msgc_info info = { .size = sizeof(info) };
	unsigned int made = 0;
	struct account a = { 0 };
	unsigned long sum = 0;

	for (unsigned int cookie = 1; cookie < FATES; cookie++) {
		if (!atomic_load(&world->fate[cookie].life))
			continue;
		made++;
		account_for(&a, cookie);
	}
	for (unsigned int how = 0; how < ENDS; how++)
		sum += a.end[how];
	print_account(&a, made);
	EXPECT(sum == made && a.end[NOT_TOLD] == a.by_killed);
	EXPECT(given_by_killed() <= (killed[0] + killed[1]) * MOST_GIVEN);
	if (a.unnoted > on_their_way)
		FAIL("%lu calls were perhaps executed, and no server had them", a.unnoted);
	EXPECT(command(ipc_channel_fd(ch), MSGC_INFO, &info) == 0);
	if (info.redelivered < a.again || info.redelivered > killed[0] * MOST_HELD)
		FAIL("%llu were delivered again, %lu seen again", info.redelivered, a.again);
}

/* ---- what is left ---- */

static bool nothing_is_left(struct msgc_info *info)
{
	struct msgc_peer row;
	struct msgc_wait_row wait;
	struct msgc_rows peers = {
		.size = sizeof(peers), .kind = MSGC_ROW_ENDPOINT, .row_size = sizeof(row),
		.max = 1, .buf = (uintptr_t)&row,
	};
	struct msgc_rows waits = {
		.size = sizeof(waits), .kind = MSGC_ROW_WAIT, .row_size = sizeof(wait),
		.max = 1, .buf = (uintptr_t)&wait,
	};
	int fd = ipc_channel_fd(ch);

	*info = (struct msgc_info){ .size = sizeof(*info) };
	EXPECT(command(fd, MSGC_INFO, info) == 0);
	return !info->senders && !info->receivers && !info->depth && !info->waiting &&
	       !command(fd, MSGC_PEERS, &peers) && !command(fd, MSGC_PEERS, &waits);
}

/* The dead are reaped a little later. */
static void check_nothing_is_left(void)
{
	uint64_t deadline = MS(30000);
	struct msgc_info info;

	while (!nothing_is_left(&info)) {
		if (ipc_in(0) > deadline) {
			FAIL("left: %u clients, %u servers, %llu calls, %u waiting; or rows",
			     info.senders, info.receivers, info.depth, info.waiting);
			return;
		}
		usleep(1000);
	}
}

static unsigned long first_number(const char *path)
{
	char text[64] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	EXPECT(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtoul(text, NULL, 10);
}

static void set_number(const char *path, unsigned long number)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%lu", number);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	EXPECT(fd >= 0 && write(fd, text, (size_t)len) == len);
	close(fd);
}

/* A channel with one client, by this user: is there room for them in his quotas? */
static bool can_have_one(void)
{
	struct ipc_options opt = { .size = sizeof(opt), .mode = IPC_RENDEZVOUS };
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_SENDER };
	struct ipc_channel *one;
	struct ipc_endpoint *ep;
	bool can;

	if (ipc_create(NULL, &opt, &one))
		return false;
	can = !ipc_attach(one, &how, &ep);
	if (can)
		ipc_detach(ep);
	ipc_close(one);
	return can;
}

/* What the last one had is given back a little later. */
static bool soon_can_have_one(void)
{
	unsigned int n = 100;

	while (n && !can_have_one()) {
		usleep(1000);
		n--;
	}
	return n;
}

static const char *const limits[] = {
	"/sys/module/msgchan/parameters/max_bytes_per_user",
	"/sys/module/msgchan/parameters/max_channels_per_user",
	"/sys/module/msgchan/parameters/max_endpoints_per_user",
};

#define LIMITS	(sizeof(limits) / sizeof(*limits))

/* The least limit with which one more is possible says how much is in use. */
static unsigned long least_limit(const char *path)
{
	unsigned long before = first_number(path), low = 0, high = UINT64_C(1) << 30;

	while (high - low > 1) {
		unsigned long middle = low + (high - low) / 2;

		set_number(path, middle);
		if (soon_can_have_one())
			high = middle;
		else
			low = middle;
	}
	set_number(path, before);
	return high;
}

/* What all the parts together have to leave as it was. */
struct used {
	unsigned long least[LIMITS];
	unsigned long files;
	unsigned long pages;		/* free */
};

static struct used look_at_used(void)
{
	struct used used;

	for (unsigned int i = 0; i < LIMITS; i++)
		used.least[i] = least_limit(limits[i]);
	used.files = first_number("/proc/sys/fs/file-nr");
	used.pages = (unsigned long)sysconf(_SC_AVPHYS_PAGES);
	return used;
}

/*
 * Quotas exactly; less, where somebody before us was slow to give back. Files are counted with some
 * slack by the kernel, and memory is also used by others; but each of those killed had 64 files and
 * 2 MiB.
 */
static bool is_as_before(const struct used *before)
{
	uint64_t deadline = MS(10000);
	struct used used;
	bool same;

	do {
		same = true;
		used = look_at_used();
		for (unsigned int i = 0; i < LIMITS; i++)
			same = same && used.least[i] <= before->least[i];
		same = same && used.files < before->files + 256;
		same = same && used.pages + (64 << 20) / PAGE > before->pages;
	} while (!same && ipc_in(0) < deadline);
	for (unsigned int i = 0; i < LIMITS; i++)
		printf("# %s that suffices: before %lu, after %lu\n", strrchr(limits[i], '/') + 1,
		       before->least[i], used.least[i]);
	printf("# files: before %lu, after %lu; free pages: before %lu, after %lu\n",
	       before->files, used.files, before->pages, used.pages);
	return same;
}

/* ---- a part ---- */

static void create(void)
{
	struct ipc_options opt = {
		.size = sizeof(opt), .mode = IPC_RENDEZVOUS, .max_senders = MSGC_SENDERS,
		.max_receivers = now->servers, .slots = SLOTS, .request = PAGE,
		.reply = PAGE, .max_attempts = now->attempts, .flags = now->flags,
	};
	int err = ipc_create(NULL, &opt, &ch);

	if (err) {
		fprintf(stderr, "no channel: %s\n", ipc_strerror(err));
		exit(1);
	}
}

static bool run(const struct plan *plan, uint64_t calls, uint64_t seed)
{
	unsigned int kills = (unsigned int)(calls * plan->share / 100 / plan->calls_per_kill);
	uint64_t began = ipc_in(0);

	n_calls = (unsigned int)(calls * plan->share / 100) + 1;
	now = plan;
	memset(shared, 0, sizeof(*shared));
	memset(killed, 0, sizeof(killed));
	on_their_way = 0;
	most_clients = 0;
	shared->deadline = MS(LONGEST_S * 1000);
	world = shared_memory(sizeof(*world) + FATES * sizeof(struct fate));
	world->seed = seed;
	atomic_store(&world->cookies, 1);	/* 0 is none */
	was_killed = calloc(kills + 2 * PROCESSES + 1, sizeof(*was_killed));
	create();
	for (unsigned int i = 0; i < now->servers + now->clients; i++)
		start(i);
	disturb(kills);
	finish();
	account();
	if (!atomic_load(&shared->failed))
		check_nothing_is_left();
	ipc_close(ch);
	free(was_killed);
	munmap(world, sizeof(*world) + FATES * sizeof(struct fate));
	printf("# %s: %lu s\n", now->name, (unsigned long)((ipc_in(0) - began) / 1000000000));
	if (atomic_load(&shared->failed))
		printf("# %s\n", shared->why);
	return !atomic_load(&shared->failed);
}

/* Where each attach is slow, as many of them take minutes. */
static struct plan for_this_machine(struct plan plan)
{
	if (getenv("SLOW") && plan.endpoints > 8)
		plan.endpoints = 8;
	return plan;
}

/* Before Linux 6.7 there is nothing that io_uring could do for such processes. */
static bool can_park(void)
{
	struct msgc_features f = { .size = sizeof(f) };
	int dev = open("/dev/msgchan", O_RDWR | O_CLOEXEC);

	EXPECT(dev >= 0 && command(dev, MSGC_FEATURES, &f) == 0);
	close(dev);
	return f.features & MSGC_F_URING;
}

int main(void)
{
	uint64_t calls = number_from("STRESS_CALLS", getenv("SLOW") ? 3000 : 12000);
	uint64_t seed = number_from("STRESS_SEED", ipc_in(0));
	unsigned int n = sizeof(plans) / sizeof(*plans), bad = 0;
	struct used before;
	bool ok;

	shared = shared_memory(sizeof(*shared));
	handle_signals();
	printf("1..%u\n# STRESS_SEED=%lu\n", n + 1, (unsigned long)seed);
	before = look_at_used();
	for (unsigned int i = 0; i < n; i++) {
		struct plan plan = for_this_machine(plans[i]);

		if (plan.rings && !can_park()) {
			printf("ok %u - %s # SKIP commands do not wait there\n", i + 1, plan.name);
			continue;
		}
		ok = run(&plan, calls, seed);
		printf("%s %u - %s\n", ok ? "ok" : "not ok", i + 1, plan.name);
		fflush(stdout);
		bad += !ok;
	}
	ok = is_as_before(&before);
	printf("%s %u - quotas, files and memory are as before\n", ok ? "ok" : "not ok", n + 1);
	return bad || !ok ? 1 : 0;
}
