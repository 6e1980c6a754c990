// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * takeover.c - where a successor begins to read a ring: at a record of the sender's own, whatever
 * its predecessor said.
 *
 * That a record starts at line.head has only the predecessor's word for it. In the middle of a
 * payload may stand what looks like records, chosen by a friend of its, and then rubbish: read from
 * there, the sender would answer for all that. But `low` is a start that the sender itself named,
 * and from there to the tail everything stands as it was written; so the successor walks from
 * header to header up to line.head, or beyond. A liar loses messages, and forges none.
 *
 * It costs a look at each record from `low` on, once per takeover; that is little where the sender
 * raised `low` lately, which it does at the latest when it comes to the end of its space.
 */
#include "ring_shared.h"

/*
 * An honest sender raises `low` twice at most meanwhile: by a head that it had read before the
 * takeover, and up to line.head, as nobody has released more.
 */
#define WALKS	3U

/* Its words in order, and before `low` is read again: the sender may be overwriting it. */
MAY_RACE static void read_old_header(const void *from, struct msgc_record *header)
{
	const __u64 *word = from;
	__u64 copy[4];

	for (int i = 0; i < 4; i++)
		copy[i] = load_acquire(&word[i]);
	memcpy(header, copy, sizeof(*header));
}

/* From @pos to the first start not below line.head. False: on the way something is no record. */
static bool walk(const struct msgc_line *line, const char *data, uint64_t tail, uint64_t *pos)
{
	uint64_t ring = 1ULL << line->ring_shift;
	struct msgc_record header;

	if (*pos < line->head && line->head - *pos > ring)
		return false;
	while (*pos < line->head) {
		read_old_header(data + (*pos & (ring - 1)), &header);
		if (!header_is_sound(&header, *pos, tail))
			return false;
		*pos += MSGC_SPAN(header.span_flags);
	}
	return true;
}

bool ipc_takeover_start(const struct msgc_line *line, const struct msgc_control *control,
			const __u64 *tail_word, const char *data, uint64_t *start)
{
	uint64_t low, next = load_acquire(&control->low);	/* c: the kernel did a and b */

	for (unsigned int i = 0; i < WALKS; i++) {
		uint64_t tail = tail_now(line, tail_word);
		bool sound;

		low = next;
		*start = low;
		sound = low % UNIT == 0 && low <= tail && walk(line, data, tail, start);
		/* After the headers: pairs with x, y, which come before it overwrites any. */
		next = load_acquire(&control->low);
		if (next == low)
			return sound;
	}
	return false;
}
