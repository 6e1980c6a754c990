/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what the fuzz targets share: an input is a little program of what everybody does.
 *
 * A step is one of the victim's calls, or an action of somebody else: at once, or delayed until the
 * victim has read so many words of shared memory (hook.h). Nobody ever sleeps, so a run is the same
 * each time. Every region lies between pages that cannot be touched.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "../unit/messages.h"

#define RING	4096U

/* What does not hold is a finding: libFuzzer keeps the input. */
#define MUST(cond)								\
	do {									\
		if (!(cond)) {							\
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);	\
			abort();						\
		}								\
	} while (0)

/* What somebody other than the victim does. `kind` is the target's; the rest are its arguments. */
struct action {
	uint8_t kind, where, how;
	unsigned int delay;		/* reads of the victim's before it happens */
	uint64_t value;
};

/* ---- of the target ---- */

extern const unsigned int action_kinds, step_kinds;

void begin(void);
void step(unsigned int kind);
void perform(const struct action *action);
void end(void);			/* all that must hold when nobody lies any more */

/* ---- of fuzz.c ---- */

uint8_t next_byte(void);		/* of the input; 0 after its end */
void no_more_actions(void);
unsigned int actions_done(void);	/* so far; tells whether one came between */

/* A position that a liar might write: near to what it should be, or anything. */
uint64_t lie(const struct action *action, uint64_t truth);

/* ---- an innocent pair: all that its sender sends arrives, in order, once, unchanged ---- */

struct innocent {
	struct peer *tx;
	uint64_t sent, next, seen;	/* next to come; highest ever handed out */
	uint32_t len[256];		/* of message n, at n % 256 */
};

void innocent_send(struct innocent *in, uint32_t len);
void innocent_pad(struct innocent *in);
void innocent_check(struct innocent *in, const struct ipc_msg *msg);
/* Nobody sleeps who has something to do. */
void innocent_awake(const struct innocent *in, struct peer *receiver);

/* ---- what a receiver holds ---- */

#define HOLD	64U

struct held {
	struct ipc_msg msg[HOLD];
	unsigned int n;
};

void hold_release(struct held *held, struct peer *receiver, unsigned int which);
/* The receiver has died: from where will this sender's messages come again? */
void innocent_taken_over(struct innocent *in, const struct held *held);

/* ---- what libFuzzer calls ---- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#endif
