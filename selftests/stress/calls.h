/* SPDX-License-Identifier: MIT */
/* calls.h - what the parent, the clients and the servers of the stress of calls have in common. */
#ifndef STRESS_CALLS_H
#define STRESS_CALLS_H

#include <linux/msgchan.h>

#include "stress.h"

#define PAGE		4096U
#define SLOTS		2U		/* of each client endpoint */
#define PROCESSES	24U		/* at most, of clients and of servers */
#define SERVERS		4U
#define MOST_HELD	16U		/* calls, by one server */

/* How a call ended, as its client was told; as far as it lived to be told. */
enum end {
	NOT_TOLD,
	ANSWERED,
	SENT,				/* a one-way message that a server took */
	NEVER_IN_TIME,			/* NOT_EXECUTED by ETIMEDOUT, ... */
	NEVER_CANCELED,
	NEVER_NO_SERVER,
	MAYBE_IN_TIME,			/* MAYBE by ETIMEDOUT, ... */
	MAYBE_CANCELED,
	MAYBE_NO_SERVER,
	MAYBE_DIED,
	REFUSED,			/* CALL failed: nothing was done */
	NOT_BEGUN,			/* its command was canceled before it came to that */
	ENDS
};

/* What is known of one call, in memory that outlives its client and its servers. */
struct fate {
	atomic_uint life;		/* of its client; 0: never made */
	atomic_ushort by;		/* life of the server that answers, or tried to */
	atomic_uchar oneway, told;	/* told: enum end */
	atomic_uchar seen;		/* by how many servers, each before anything else */
	atomic_uchar answered;		/* how often; each before it is given */
	atomic_uchar replied;		/* how often REPLY has returned */
	atomic_uchar gone;		/* a server that held it saw that its client had given up */
};

struct plan {				/* a part of the test */
	const char *name;
	unsigned int clients, endpoints, servers;	/* processes; endpoints of each client */
	uint32_t flags, attempts;
	bool rings;			/* many of them give their commands by io_uring */
	unsigned int share;		/* of all calls, in percent */
	unsigned int calls_per_kill;
};

/* Where a child that is doomed kills itself. */
enum { ALIVE, AFTER_RECV, AFTER_NOTE, BEFORE_REPLY, AFTER_REPLY, AFTER_CALL, POINTS };

struct world {				/* shared by all processes of a part */
	uint64_t seed;			/* of all random choices of the children */
	atomic_uint cookies, lives;	/* given so far; lives count from 1 */
	atomic_uint life_of[PROCESSES];	/* of each child; 0: it has not begun */
	atomic_bool drained;		/* the clients have gone: servers may end */
	atomic_uchar doomed[PROCESSES];	/* where that child is to die */
	atomic_uint recv_busy, resumed, again;	/* how often it came to that */
	atomic_uint refused_reuse;	/* CALL on a slot that a server had not let go */
	/* of each server: calls that may be on their way to it, and are not noted yet */
	atomic_uint receiving[PROCESSES];
	/* commands by io_uring; calls and answers among them */
	atomic_uint given, completed, went_with_ring, closed, calls, answers, interrupted;
	atomic_uint polled, fixed, linked;	/* rings with a thread; commands */
	atomic_uint batched[2];		/* calls by batches that go by io_uring, by poll */
	struct fate fate[];		/* by cookie */
};

extern const struct plan *now;
extern struct world *world;
extern struct ipc_channel *ch;
extern unsigned int n_calls;		/* made at random, with the cookies below; then the last */
#define FATES	(n_calls + PROCESSES)

/* ---- an endpoint, by the UAPI alone ---- */

struct end_point {
	int fd;
	struct msgc_attach at;
	unsigned char *area[MSGC_AREAS];
};

long command(int fd, unsigned long nr, void *arg);	/* result, or -errno */
void join(struct end_point *ep, uint32_t role, uint32_t flags, uint32_t held);
void leave(struct end_point *ep);
void expect_gone(void);			/* who has left with all of them */
extern volatile int waiting_fd;		/* which a signal handler may INTERRUPT; -1: none */
unsigned int begin_life(unsigned int me, uint64_t *random);
void die_if_doomed(unsigned int me, unsigned int point);

/* ---- its commands by io_uring ---- */

/* LINKED: the next one that is given begins when it has completed, and not if it fails. */
enum begins { AT_ONCE, IN_WORKER, LINKED };
enum verb { HUNT, CALL, RESUME, CANCEL, RECV, REPLY, REPLY_RECV };

struct command_end {
	uint8_t what;			/* enum verb */
	uint32_t of;			/* as it was given */
	int32_t res;
};

#define MOST_GIVEN	64U		/* commands in the ring at a time */

void open_ring(uint64_t *random);
unsigned int in_ring(void);		/* how many have not completed */
unsigned int room_in_ring(void);
void give(enum verb what, uint32_t of, int fd, uint32_t nr, const void *arg, enum begins begins);
bool ring_has_thread(void);		/* it takes commands when it likes */
void hunt_one(void);			/* by IORING_OP_ASYNC_CANCEL */
void hand_in(void);
void wait_in_ring(int fd, uint64_t ns);
bool next_end(struct command_end *end);
bool may_close_ring(void);
unsigned int replace_ring(struct command_end *gone);
void leave_ring(void);

/* ---- what requests and replies contain, and how to tell that they do ---- */

static inline uint32_t request_len(uint32_t cookie)
{
	return 8 * (1 + (uint32_t)(seed_of(1, cookie) >> 8) % 24);
}

static inline uint32_t reply_len(uint32_t cookie, uint32_t by)
{
	return 8 * (1 + (uint32_t)(seed_of(2 + by, cookie) >> 8) % 24);
}

static inline int32_t status_of(uint32_t cookie)
{
	return (int32_t)seed_of(0, cookie);
}

static inline void write_words(unsigned char *at, uint64_t seed, uint32_t len)
{
	for (uint32_t i = 0; i < len; i += 8, seed += ODD)
		memcpy(at + i, &seed, 8);
}

static inline bool has_words(const unsigned char *at, uint64_t seed, uint32_t len)
{
	uint64_t wrong = 0, there;

	for (uint32_t i = 0; i < len; i += 8, seed += ODD) {
		memcpy(&there, at + i, 8);
		wrong |= there ^ seed;
	}
	return !wrong;
}

/* ---- clients ---- */

#define MOST_ENDPOINTS	64U
#define FLIGHTS		16U		/* calls in flight at a time */

/* A slot, and the call in it; or one of a batch: down to deadline. */
struct flight {
	uint32_t cookie;		/* 0: none yet */
	uint16_t flags, slot;
	bool flying, canceled;
	uint64_t deadline;
	struct end_point *ep;
	uint8_t in_ring;		/* commands that are about it; of these there waits: */
	bool waited_for;
	uint8_t outcome;		/* as told, of the last call */
	int32_t status;
};

uint64_t call_deadline(void);		/* a random one */
void note_call(const struct flight *f);
/* It is one that this call can have, with the answer to it if there is one. */
void note_end(const struct flight *f, const struct msgc_done *line, const unsigned char *reply);
/*
 * What a client does once it has attached: one() until it says false or all shall stop, end() for
 * what is in flight, and last() a call when nobody is killed any more.
 */
void make_calls(bool (*one)(void), void (*end)(void), void (*last)(void));
void batch_client(unsigned int me, unsigned int life, uint64_t *random);
void client(unsigned int me);
void server(unsigned int me);

#endif
