// SPDX-License-Identifier: MIT
/* fuzz.c - runs an input as a program; innocent pairs and what they may expect. */
#include "fuzz.h"

#include <errno.h>

#include "hook.h"
#undef __atomic_load_n

#define MAX_STEPS	400U		/* of one input */
#define MAX_READS	1000000U	/* of one step: more is a hang */
#define PENDING		8U
#define SEEDS		64U

static const uint8_t *input;
static size_t left;

static struct action pending[PENDING];
static unsigned int n_pending, done, reads;
static bool acting;			/* actions read words too */

uint8_t next_byte(void)
{
	if (!left)
		return 0;
	left--;
	return *input++;
}

static struct action next_action(void)
{
	struct action action = {
		.kind = (uint8_t)(next_byte() % action_kinds),
		.where = next_byte(),
		.how = next_byte(),
		.value = next_byte(),
	};

	if (action.how % 8 == 7)
		for (int i = 0; i < 7; i++)
			action.value = action.value << 8 | next_byte();
	return action;
}

static void act(const struct action *action)
{
	acting = true;
	done++;
	perform(action);
	acting = false;
}

/* One at a time: the first that is due. */
void fuzz_meanwhile(void)
{
	MUST(++reads < MAX_READS);
	if (acting)
		return;
	for (unsigned int i = 0; i < n_pending; i++) {
		if (pending[i].delay-- == 0) {
			struct action action = pending[i];

			pending[i] = pending[--n_pending];
			act(&action);
			return;
		}
	}
}

void no_more_actions(void)
{
	n_pending = 0;
}

unsigned int actions_done(void)
{
	return done;
}

uint64_t lie(const struct action *action, uint64_t truth)
{
	uint64_t units = 32 * (uint64_t)(int8_t)action->value;

	switch (action->how % 8) {
	case 0:		return truth;
	case 1:		return truth + RING + units;
	case 2:		return truth - RING + units;
	case 3:		return truth + (uint64_t)(int8_t)action->value;
	case 4:		return 32 * action->value;
	case 5:		return ~0ULL - units;
	case 6:		return truth + units;
	default:	return action->value;
	}
}

/* ---- innocent pairs ---- */

/* If it has published, then who was armed has been woken. */
static void check_woken(const struct innocent *in, uint64_t tail)
{
	if (*tail_of(in->tx) != tail)
		MUST(!(in->tx->chan->status->armed & line_of_peer(in->tx)->receivers));
}

void innocent_send(struct innocent *in, uint32_t len)
{
	uint64_t tail = *tail_of(in->tx);
	int err;

	in->len[in->sent % 256] = len;
	err = send_one(in->tx, len, in->sent);
	MUST(err == 0 || err == -EAGAIN);
	in->sent += err == 0;
	check_woken(in, tail);
}

/* An abandoned reservation before a message becomes a PAD. */
void innocent_pad(struct innocent *in)
{
	uint64_t tail = *tail_of(in->tx);
	struct ipc_msg msg = { 0 };
	int err = ipc_tx_reserve(in->tx->tx, &msg, 40, IPC_NOW);

	MUST(err == 0 || err == -EAGAIN);
	if (err < 0)
		return;
	in->len[in->sent % 256] = 0;
	err = put(in->tx, 0, in->sent);
	MUST(err == 0 || err == -EAGAIN || err == -EBUSY);
	in->sent += err == 0;
	MUST(ipc_tx_abandon(in->tx->tx, &msg) == 0);
	MUST(ipc_tx_publish(in->tx->tx) == 0);
	check_woken(in, tail);
}

void innocent_check(struct innocent *in, const struct ipc_msg *msg)
{
	bool again = in->next < in->seen;

	/* It may have been published in this very call, before `sent` counts it. */
	MUST(in->next <= in->sent);
	MUST(msg->seq == in->next + 1 && msg->missed == 0);
	MUST(msg->len == in->len[in->next % 256] && is_number(msg, in->next));
	MUST(msg->flags == (again ? IPC_F_REDELIVERED : 0));
	MUST(!msg->attempts == !again);
	in->next++;
	in->seen = in->next > in->seen ? in->next : in->seen;
}

void innocent_awake(const struct innocent *in, struct peer *receiver)
{
	const struct msgc_line *line = line_of_peer(in->tx);
	unsigned int events = events_of(receiver);	/* it arms, too */

	MUST(line->receivers >> receiver->index & 1);		/* nobody has refused it */
	if (in->next < in->sent)
		MUST(events & MSGC_IN);
	if (slot_of(receiver, in->tx)->head >= line->space_at)
		MUST(!line->space_at);
}

/* ---- what a receiver holds ---- */

void hold_release(struct held *held, struct peer *receiver, unsigned int which)
{
	struct ipc_msg again;

	if (!held->n)
		return;
	which %= held->n;
	again = held->msg[which];
	MUST(give_back(receiver, &again, 1) == 0);
	MUST(give_back(receiver, &again, 1) == -EINVAL);
	held->msg[which] = held->msg[--held->n];
}

void innocent_taken_over(struct innocent *in, const struct held *held)
{
	for (unsigned int i = 0; i < held->n; i++)
		if (held->msg[i].peer == in->tx->map.id && held->msg[i].cookie < in->next)
			in->next = held->msg[i].cookie;
}

/* ---- libFuzzer's side ---- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	left = size;
	n_pending = 0;
	begin();
	for (unsigned int steps = 0; left && steps < MAX_STEPS; steps++) {
		unsigned int kind = next_byte() % (step_kinds + 4);
		struct action action;

		reads = 0;
		if (kind < step_kinds) {
			step(kind);
			continue;
		}
		action = next_action();
		if (kind < step_kinds + 2 && n_pending < PENDING) {
			action.delay = next_byte();
			pending[n_pending++] = action;
		} else {
			act(&action);
		}
	}
	reads = 0;
	end();
	return 0;
}

static void write_seed(const char *folder, unsigned int n)
{
	uint64_t random = n;
	char name[256];
	FILE *file;

	snprintf(name, sizeof(name), "%s/seed-%02u", folder, n);
	file = fopen(name, "w");
	if (!file)
		return;
	for (unsigned int i = 0; i < 16 * (n + 1); i++)
		fputc((int)(next_random(&random) & 255), file);
	fclose(file);
}

/* FUZZ_SEEDS=FOLDER: programs to begin with. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *folder = getenv("FUZZ_SEEDS");

	(void)argc;
	(void)argv;
	for (unsigned int n = 0; folder && n < SEEDS; n++)
		write_seed(folder, n);
	return 0;
}
