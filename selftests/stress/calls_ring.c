// SPDX-License-Identifier: MIT
/*
 * calls_ring.c - the ring of a client or server: commands by io_uring, each of which completes
 * once, or goes with its ring. There are several kinds of rings.
 *
 * A command has a user_data of its own. What completes has to be one that was given and has not
 * completed; and whoever ends in peace has seen the completions of all.
 */
#include <liburing.h>
#include <sched.h>

#include "calls.h"

#define INDEX(data)	((data) % MOST_GIVEN)
#define MOST_FDS	128		/* that are registered */

struct given {
	uint64_t data;			/* user_data; 0: none */
	uint32_t of;
	uint8_t what;
	bool in_worker, hunted;		/* begun by a worker; it was asked to cancel that one */
};

static struct io_uring ring;
static struct given given[MOST_GIVEN];
static unsigned int n_given, setup;
static bool registers;			/* files, each in the place of its own number */
static bool registered[MOST_FDS];
static uint64_t serial, *random_state;

static uint32_t below(uint32_t n)
{
	return random_below(random_state, n);
}

static void open_it(void)
{
	struct io_uring_params p = { .flags = setup, .sq_thread_idle = 1 };
	int err = io_uring_queue_init_params(MOST_GIVEN, &ring, &p);

	if (!err && registers)
		err = io_uring_register_files_sparse(&ring, MOST_FDS);
	if (err)
		FAIL("no ring: %s", strerror(-err));
	memset(registered, 0, sizeof(registered));
}

/*
 * Of some processes one whose completions come only when it looks for them; of few one with a
 * thread that takes the commands, since that spins.
 */
void open_ring(uint64_t *random)
{
	random_state = random;
	setup = below(2) ? IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN :
		below(4) ? 0 : IORING_SETUP_SQPOLL;
	registers = below(2);
	atomic_fetch_add(&world->polled, setup == IORING_SETUP_SQPOLL);
	open_it();
}

unsigned int in_ring(void)
{
	return n_given;
}

/* ---- to give commands ---- */

bool ring_has_thread(void)
{
	return setup & IORING_SETUP_SQPOLL;
}

/* Nothing is taken in part, but for want of memory. */
void hand_in(void)
{
	while (io_uring_sq_ready(&ring)) {
		int ret = io_uring_submit(&ring);

		if (ret < 0 && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY)
			FAIL("submit: %s", strerror(-ret));
		if (ring_has_thread())
			sched_yield();
	}
}

static struct io_uring_sqe *next_sqe(struct given g)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	unsigned int i = 0;

	if (!sqe) {
		hand_in();
		sqe = io_uring_get_sqe(&ring);
	}
	while (given[i].data)
		i++;
	g.data = ++serial * MOST_GIVEN + i;
	given[i] = g;
	n_given++;
	atomic_fetch_add(&world->given, 1);
	memset(sqe, 0, sizeof(*sqe));
	sqe->user_data = g.data;
	return sqe;
}

unsigned int room_in_ring(void)
{
	return MOST_GIVEN - n_given;
}

static void use_registered(struct io_uring_sqe *sqe, int fd)
{
	if (!registered[fd] && io_uring_register_files_update(&ring, (unsigned int)fd, &fd, 1) != 1)
		FAIL("file %d cannot be registered", fd);
	registered[fd] = true;
	sqe->flags |= IOSQE_FIXED_FILE;
	atomic_fetch_add(&world->fixed, 1);
}

void give(enum verb what, uint32_t of, int fd, uint32_t nr, const void *arg, enum begins begins)
{
	struct io_uring_sqe *sqe = next_sqe((struct given){
		.of = of, .what = (uint8_t)what, .in_worker = begins == IN_WORKER,
	});

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->flags = begins == IN_WORKER ? IOSQE_ASYNC : begins == LINKED ? IOSQE_IO_LINK : 0;
	sqe->fd = fd;
	sqe->off = nr;
	memcpy(&sqe->addr3, arg, 16);
	if (registers && fd < MOST_FDS)
		use_registered(sqe, fd);
	atomic_fetch_add(&world->linked, begins == LINKED);
	if (begins != LINKED && below(2))
		hand_in();
}

/* It finds what a worker has not begun, but nothing that waits. */
void hunt_one(void)
{
	struct given *victim = &given[below(MOST_GIVEN)];
	uint64_t data = victim->data;
	struct io_uring_sqe *sqe;

	if (!data || !room_in_ring())
		return;
	victim->hunted = true;
	sqe = next_sqe((struct given){ .what = HUNT });
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = data;
}

/* ---- what became of them ---- */

static void check_end(const struct given *g, int32_t res)
{
	if (g->what == HUNT)
		EXPECT(!res || res == -ENOENT || res == -EALREADY);
	else if (res == -ECANCELED && !(g->in_worker && g->hunted))
		FAIL("command %d of %u was canceled, and the ring is still there", g->what, g->of);
}

/* The next completion that is there, but for those of hunters. */
bool next_end(struct command_end *end)
{
	struct io_uring_cqe *cqe;
	struct given g;

	do {
		if (io_uring_peek_cqe(&ring, &cqe))
			return false;
		g = given[INDEX(cqe->user_data)];
		if (!g.data || g.data != cqe->user_data)
			FAIL("command %lu completes, but is not in the ring, %d", g.data, cqe->res);
		*end = (struct command_end){ .what = g.what, .of = g.of, .res = cqe->res };
		given[INDEX(g.data)].data = 0;
		n_given--;
		io_uring_cqe_seen(&ring, cqe);
		atomic_fetch_add(&world->completed, 1);
		check_end(&g, end->res);
	} while (g.what == HUNT);
	return true;
}

/* Hands in what was given; a signal may INTERRUPT one of those that wait at this endpoint. */
void wait_in_ring(int fd, uint64_t ns)
{
	struct __kernel_timespec ts = { .tv_nsec = (long long)ns };
	struct io_uring_cqe *cqe;
	int ret;

	waiting_fd = fd;
	if (ns)
		ret = io_uring_submit_and_wait_timeout(&ring, &cqe, 1, &ts, NULL);
	else
		ret = io_uring_submit_and_get_events(&ring);
	waiting_fd = -1;
	if (ret < 0 && ret != -ETIME && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY)
		FAIL("ring: %s", strerror(-ret));
}

/* ---- its end ---- */

/*
 * 6.12 has a check, with lockdep only, that it fails itself if a deferring ring with commands that
 * wait is closed by a thread that lives on.
 */
bool may_close_ring(void)
{
	return !(setup & IORING_SETUP_DEFER_TASKRUN) || access("/proc/lockdep_stats", F_OK);
}

/* What the commands were about that go with it; another ring takes its place. */
unsigned int replace_ring(struct command_end *gone)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < MOST_GIVEN; i++) {
		if (!given[i].data)
			continue;
		gone[n++] = (struct command_end){ .what = given[i].what, .of = given[i].of };
		given[i].data = 0;
	}
	atomic_fetch_add(&world->closed, 1);
	atomic_fetch_add(&world->went_with_ring, n);
	n_given = 0;
	io_uring_queue_exit(&ring);
	open_it();
	return n;
}

/* All have completed, and nothing comes after them. */
void leave_ring(void)
{
	struct command_end end;

	EXPECT(!n_given);
	wait_in_ring(-1, 0);
	EXPECT(!next_end(&end) && !io_uring_cq_has_overflow(&ring));
	io_uring_queue_exit(&ring);
}
