// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* What each error means here, for people. */
#include <string.h>

#include "internal.h"

static const struct {
	int err;
	const char *text;
} texts[] = {
	{ 0,		"success" },
	{ EPERM,	"not the process that attached, or not the owner" },
	{ ENOENT,	"no such channel, peer or call" },
	{ EINTR,	"interrupted" },
	{ E2BIG,	"an option that this version does not know" },
	{ EBADF,	"no such file descriptor" },
	{ EAGAIN,	"would have to wait" },
	{ ENOMEM,	"not enough memory" },
	{ EACCES,	"permission denied, by mode bits or a security module" },
	{ EBUSY,	"in use: give back what you hold, or wait for the other to leave" },
	{ EEXIST,	"a channel of this name exists" },
	{ ENODEV,	"the kernel module msgchan is not loaded" },
	{ EINVAL,	"invalid argument" },
	{ ENFILE,	"too many open files in the system" },
	{ EMFILE,	"too many open files in this process" },
	{ ENOTTY,	"not possible with an endpoint of this mode or role" },
	{ EPIPE,	"end of stream: all senders have left" },
	{ EDEADLK,	"this call would wait for itself" },
	{ EOVERFLOW,	"the sizes together are too large" },
	{ EOPNOTSUPP,	"not offered by this kernel module" },
	{ EMSGSIZE,	"message larger than its place" },
	{ EPROTO,	"a peer wrote nonsense: its traffic with us has ended" },
	{ EUSERS,	"all places on this channel are taken" },
	{ ENOBUFS,	"too many messages held or reserved at a time" },
	{ ESHUTDOWN,	"this endpoint was detached or evicted" },
	{ ETOOMANYREFS,	"too many files on their way" },
	{ ETIMEDOUT,	"timed out" },
	{ EHOSTDOWN,	"no server is attached" },
	{ EDQUOT,	"limit of this user reached" },
	{ ECANCELED,	"canceled" },
	{ EOWNERDEAD,	"the server died while it held the call" },
	{ -1, NULL },
};

IPC_API const char *ipc_strerror(int err)
{
	const char *text;

	err = err < 0 ? -err : err;
	for (unsigned int i = 0; texts[i].text; i++)
		if (texts[i].err == err)
			return texts[i].text;
	text = strerrordesc_np(err);
	return text ? text : "unknown error";
}
