/* SPDX-License-Identifier: MIT */
/*
 * hook.h - included before the engine's sources: peers may act before each word that it reads.
 *
 * The engine reads shared memory by this builtin only. So what another process might do at the same
 * time becomes part of the input, at an exact place, and can be repeated.
 */
#ifndef FUZZ_HOOK_H
#define FUZZ_HOOK_H

void fuzz_meanwhile(void);

#define __atomic_load_n(p, order)	(fuzz_meanwhile(), __atomic_load_n(p, order))

#endif
