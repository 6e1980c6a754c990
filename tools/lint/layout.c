// SPDX-License-Identifier: MIT
/*
 * layout.c - the layout of the kernel ABI, written down a second time.
 *
 * 32- and 64-bit callers share it, and it never changes. Nothing runs here: tools/lint/run compiles
 * this with -m64 and -m32.
 */
#include <linux/msgchan.h>
#include <stddef.h>

#define SIZE(type, size) \
	_Static_assert(sizeof(struct type) == (size), "size of struct " #type)
#define AT(type, field, offset) \
	_Static_assert(offsetof(struct type, field) == (offset), "place of " #type "." #field)
#define NUMBER(name, value) \
	_Static_assert((name) == (value), "value of " #name)

/* Cold commands: the sizes of the first version. They may grow at the end. */
SIZE(msgc_features, 16);
AT(msgc_features, features, 8);

SIZE(msgc_create, 144);
AT(msgc_create, size, 0);
AT(msgc_create, flags, 4);
AT(msgc_create, uid, 16);
AT(msgc_create, zero, 28);
AT(msgc_create, max_senders, 32);
AT(msgc_create, ring_max, 48);
AT(msgc_create, spin_ns, 72);
AT(msgc_create, name, 80);

SIZE(msgc_open, 80);
AT(msgc_open, id, 8);
AT(msgc_open, name, 16);

SIZE(msgc_rows, 32);
AT(msgc_rows, buf, 16);
AT(msgc_rows, cursor, 24);

SIZE(msgc_info, 256);
AT(msgc_info, id, 16);
AT(msgc_info, uid, 32);
AT(msgc_info, senders, 48);
AT(msgc_info, creator, 76);
AT(msgc_info, comm, 80);
AT(msgc_info, depth, 96);
AT(msgc_info, missed, 144);
AT(msgc_info, spin_ns, 184);
AT(msgc_info, name, 192);

SIZE(msgc_peer, 144);
AT(msgc_peer, pid, 16);
AT(msgc_peer, tail, 32);
AT(msgc_peer, since_ns, 112);
AT(msgc_peer, held, 120);
AT(msgc_peer, comm, 128);

SIZE(msgc_wait_row, 80);
AT(msgc_wait_row, tid, 16);
AT(msgc_wait_row, since_ns, 32);
AT(msgc_wait_row, comm, 64);

SIZE(msgc_whom, 16);
AT(msgc_whom, peer, 8);

SIZE(msgc_area, 24);
SIZE(msgc_attach, 168);
AT(msgc_attach, held, 12);
AT(msgc_attach, ring, 16);
AT(msgc_attach, id, 24);
AT(msgc_attach, pad, 44);
AT(msgc_attach, area, 48);

/* Hot commands: 16 bytes, what a plain SQE carries. */
SIZE(msgc_wait, 16);
AT(msgc_wait, deadline, 8);
SIZE(msgc_none, 16);
SIZE(msgc_refuse, 16);
SIZE(msgc_claim, 16);
SIZE(msgc_call, 16);
AT(msgc_call, flags, 2);
AT(msgc_call, deadline, 8);
SIZE(msgc_cancel, 16);
AT(msgc_cancel, cookie, 8);
SIZE(msgc_recv, 16);
AT(msgc_recv, deadline, 8);
SIZE(msgc_reply, 16);
AT(msgc_reply, len, 8);
AT(msgc_reply, status, 12);
SIZE(msgc_return, 16);

/* Shared memory: words that different parties write are on lines of their own. */
SIZE(msgc_status, 320);
AT(msgc_status, line_off, 24);
AT(msgc_status, generation, 64);
AT(msgc_status, tethered, 72);
AT(msgc_status, senders, 80);
AT(msgc_status, joined, 88);
AT(msgc_status, armed, 128);
AT(msgc_status, hot, 192);

SIZE(msgc_line, 64);
AT(msgc_line, state, 4);
AT(msgc_line, since, 8);
AT(msgc_line, space_at, 16);
AT(msgc_line, head, 24);
AT(msgc_line, redo, 32);
AT(msgc_line, end, 40);
AT(msgc_line, receivers, 48);
AT(msgc_line, sealed, 56);

SIZE(msgc_own, 64);
AT(msgc_own, released, 8);
AT(msgc_own, deadline, 16);
AT(msgc_own, missed, 24);
SIZE(msgc_tail, 64);
SIZE(msgc_control, 64);
AT(msgc_control, low, 8);
AT(msgc_control, need, 16);
SIZE(msgc_slot, 64);
AT(msgc_slot, head, 8);
AT(msgc_slot, gen, 16);
SIZE(msgc_slots, 256);
AT(msgc_slots, quiet, 64);
AT(msgc_slots, slot, 256);

SIZE(msgc_record, 32);
AT(msgc_record, span_flags, 4);
AT(msgc_record, check, 12);
AT(msgc_record, seq_format, 16);
AT(msgc_record, cookie, 24);
SIZE(msgc_ext, 32);

SIZE(msgc_entry, 32);
AT(msgc_entry, attempts, 24);
SIZE(msgc_claims, 64);
AT(msgc_claims, entry, 64);

SIZE(msgc_request, 64);
AT(msgc_request, format, 12);
AT(msgc_request, cookie, 16);
AT(msgc_request, handled, 24);
AT(msgc_request, fds, 32);
SIZE(msgc_done, 128);
AT(msgc_done, event, 4);
AT(msgc_done, status, 8);
AT(msgc_done, cookie, 24);
AT(msgc_done, fds, 64);
SIZE(msgc_held, 128);
AT(msgc_held, client, 24);
AT(msgc_held, slot, 40);
AT(msgc_held, format, 44);
AT(msgc_held, prio, 48);
AT(msgc_held, fds, 64);
SIZE(msgc_answer, 64);
AT(msgc_answer, fds, 8);

/* Numbers: a hot command's carries its size, a cold one's does not. */
NUMBER(MSGC_FEATURES, 0xbc00U);
NUMBER(MSGC_ATTACH, 0xbc10U);
NUMBER(MSGC_WAIT, 0x4010bc20U);
NUMBER(MSGC_CALL, 0xc010bc24U);
NUMBER(MSGC_REPLY, 0x4010bc27U);
NUMBER(MSGC_REPLY_RECV, 0xc010bc28U);
NUMBER(MSGC_DETACH, 0x4010bc2bU);
