// SPDX-License-Identifier: MIT
/*
 * Is all there and does it work: a line per check, with what to do where one fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"

#define DEVICE		"/dev/msgchan"
#define MODULE		"/sys/module/msgchan"
#define TRIAL_NS	5000000000ULL	/* for a trial that takes microseconds */

static const char help[] =
	"Usage: msgchan doctor [OPTIONS]\n\n"
	"Check the module, the device, the limits, try a ring and a call between two processes, and\n"
	"tell whether batches of calls go by io_uring.\n"
	"Exit status 0 only if all is well, 4 if the module is not there.\n\n"
	LOOK_HELP;

enum { D_CHECK, D_STATE, D_DETAIL, N_COLUMNS };

static const struct column columns[] = {
	[D_CHECK] = { "CHECK", 0, "what was looked at" },
	[D_STATE] = { "STATE", 0, "ok or FAIL" },
	[D_DETAIL] = { "DETAIL", 0, "what was seen, and what to do" },
};

/* What a check saw. */
struct finding {
	bool failed;
	char detail[256];
};

__printf(3, 4)
static void found(struct finding *f, bool ok, const char *fmt, ...)
{
	va_list args;

	f->failed = !ok;
	va_start(args, fmt);
	vsnprintf(f->detail, sizeof(f->detail), fmt, args);
	va_end(args);
}

/* The first line of a small file. */
static bool read_line(const char *path, char *buf, size_t room)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(buf, (int)room, f);

	if (f)
		fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = '\0';
	return ok;
}

/* ---- what is there ---- */

static void check_kernel(struct finding *f)
{
	struct utsname u;

	uname(&u);
	found(f, true, "%s %s %s", u.sysname, u.release, u.machine);
}

static void check_module(struct finding *f)
{
	char version[64];

	if (access(MODULE, F_OK))
		found(f, false, "not loaded: 'make install' it, then 'modprobe msgchan'");
	else if (read_line(MODULE "/version", version, sizeof(version)))
		found(f, true, "loaded, version %s", version);
	else
		found(f, true, "loaded");
}

static void check_device(struct finding *f)
{
	struct stat st;
	bool open_to_all;
	int fd;

	if (stat(DEVICE, &st)) {
		found(f, false, "no " DEVICE ": load the module; a container must be given it");
		return;
	}
	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		found(f, false, DEVICE " has mode %04o, uid %u: %s; 'chmod 0666 " DEVICE "'",
		      st.st_mode & 0777U, st.st_uid, strerror(errno));
		return;
	}
	close(fd);
	open_to_all = (st.st_mode & 0666) == 0666;
	found(f, open_to_all, DEVICE " has mode %04o%s", st.st_mode & 0777U,
	      open_to_all ? "" : ": other users may not open it; 'chmod 0666 " DEVICE "'");
}

static void check_features(struct finding *f)
{
	struct msgc_features ask = { .size = sizeof(ask) };
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, MSGC_FEATURES, &ask))
		found(f, false, "no answer: %s; are module and command of one release?",
		      strerror(errno));
	else
		found(f, true, "%s%s%s", ask.features & MSGC_F_URING ? "io_uring commands " : "",
		      ask.features & MSGC_F_SEAL ? "sealed payloads" : "",
		      ask.features ? "" : "ring and rendezvous, nothing optional");
	if (fd >= 0)
		close(fd);
}

static void check_limits(struct finding *f)
{
	static const struct { const char *name, *of_zero; } limits[] = {
		{ "max_bytes_per_user", " (an eighth of RAM)" },
		{ "max_channels_per_user", "" },
		{ "max_endpoints_per_user", "" },
	};
	char path[96], value[32], all[200];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		snprintf(path, sizeof(path), MODULE "/parameters/%s", limits[i].name);
		if (!read_line(path, value, sizeof(value))) {
			found(f, false, "cannot read %s: not this release of the module?", path);
			return;
		}
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s %s%s", n ? ", " : "",
				      limits[i].name, value,
				      strcmp(value, "0") ? "" : limits[i].of_zero);
	}
	found(f, true, "%s", all);
}

/* ---- what works: an unnamed channel, and the other side in a child ---- */

typedef int (*side)(struct ipc_endpoint *ep);

static int be(side play, int channel_fd, uint32_t role)
{
	struct ipc_attach how = { .size = sizeof(how), .role = role };
	struct ipc_channel *ch;
	struct ipc_endpoint *ep;
	int err = ipc_import(fcntl(channel_fd, F_DUPFD_CLOEXEC, 3), &ch);

	if (err)
		return err;
	err = ipc_attach(ch, &how, &ep);
	if (!err) {
		err = play(ep);
		ipc_detach(ep);
	}
	ipc_close(ch);
	return err;
}

/* The sending side in a child, whose error is its exit status. */
static int try_both(int channel_fd, side sending, side receiving)
{
	pid_t pid;
	int err, status;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(-be(sending, channel_fd, IPC_SENDER));
	err = be(receiving, channel_fd, IPC_RECEIVER);
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return err ? err : WIFEXITED(status) ? -WEXITSTATUS(status) : -EOWNERDEAD;
}

static void try_mode(struct finding *f, uint32_t mode, side sending, side receiving,
		     const char *what)
{
	struct ipc_options opt = { .size = sizeof(opt), .mode = mode };
	struct ipc_channel *ch;
	uint64_t start = now_ns();
	int err = ipc_create(NULL, &opt, &ch);

	if (!err) {
		err = try_both(ipc_channel_fd(ch), sending, receiving);
		ipc_close(ch);
	}
	if (err)
		found(f, false, "%s: %s; please report it with the last lines of dmesg", what,
		      ipc_strerror(err));
	else
		found(f, true, "%s, in %.1f ms", what, (double)(now_ns() - start) / 1e6);
}

static char ping[5] = "ping", pong[6] = "pong!";

static bool says(const struct ipc_msg *m, const char *text)
{
	return m->len == strlen(text) && !memcmp(m->data, text, m->len);
}

static int send_ping(struct ipc_endpoint *ep)
{
	struct ipc_msg m = { .data = ping, .len = sizeof(ping) - 1 };
	int err = ipc_send(ep, &m, ipc_in(TRIAL_NS));

	return err ? err : ipc_drain(ep, ipc_in(TRIAL_NS));
}

static int take_ping(struct ipc_endpoint *ep, struct ipc_msg *m)
{
	int n = ipc_recv(ep, m, 1, ipc_in(TRIAL_NS));

	return n < 0 ? n : says(m, ping) ? 0 : -EBADMSG;
}

static int recv_ping(struct ipc_endpoint *ep)
{
	struct ipc_msg m = { 0 };
	int n = take_ping(ep, &m);

	if (!n)
		n = ipc_release(ep, &m, 1);
	if (n)
		return n;
	n = ipc_recv(ep, &m, 1, ipc_in(TRIAL_NS));
	return n == -EPIPE ? 0 : n < 0 ? n : -EBADMSG;
}

static int call_ping(struct ipc_endpoint *ep)
{
	struct ipc_msg m = { .data = ping, .len = sizeof(ping) - 1 };
	int err = ipc_call(ep, &m, &m, ipc_in(TRIAL_NS));

	if (err)
		return err;
	err = says(&m, pong) ? 0 : -EBADMSG;
	ipc_release(ep, &m, 1);
	return err;
}

static int serve_ping(struct ipc_endpoint *ep)
{
	struct ipc_msg m = { 0 };
	int err = take_ping(ep, &m);

	if (err)
		return err;
	memcpy(m.reply, pong, sizeof(pong) - 1);
	return ipc_reply(ep, &m, sizeof(pong) - 1, 0);
}

static void check_ring(struct finding *f)
{
	try_mode(f, IPC_RING, send_ping, recv_ping,
		 "a message from one process to another, and the end of the stream");
}

static void check_rendezvous(struct finding *f)
{
	try_mode(f, IPC_RENDEZVOUS, call_ping, serve_ping,
		 "a call from one process to another, and its reply");
}

/* ---- which way batches go ---- */

/* A call, made and served by this process: nothing of it waits for the other side. */
static int try_batch(struct ipc_batch *b, struct ipc_endpoint *client, struct ipc_endpoint *server)
{
	struct ipc_msg m = { .data = ping, .len = sizeof(ping) - 1 };
	struct ipc_done d;
	int err = ipc_batch_call(b, client, &m, ipc_in(TRIAL_NS));

	if (!err)
		err = ipc_batch_submit(b);
	if (!err)
		err = serve_ping(server);
	if (err)
		return err;
	err = ipc_batch_reap(b, &d, 1, ipc_in(TRIAL_NS));
	if (err < 0)
		return err;
	err = d.error ? d.error : says(&d.msg, pong) ? 0 : -EBADMSG;
	ipc_release(client, &d.msg, 1);
	return err;
}

static int attach_both(struct ipc_channel *ch, struct ipc_endpoint **client,
		       struct ipc_endpoint **server)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_SENDER };
	int err = ipc_attach(ch, &how, client);

	if (err)
		return err;
	how.role = IPC_RECEIVER;
	err = ipc_attach(ch, &how, server);
	if (err)
		ipc_detach(*client);
	return err;
}

static int batch_on(struct ipc_channel *ch, int *way, int *why)
{
	struct ipc_endpoint *client, *server;
	struct ipc_batch *b;
	int err = attach_both(ch, &client, &server);

	if (err)
		return err;
	err = ipc_batch_open(NULL, &b);
	if (!err) {
		err = try_batch(b, client, server);
		*way = ipc_batch_way(b, why);
		ipc_batch_close(b);
	}
	ipc_detach(client);
	ipc_detach(server);
	return err;
}

static const char *why_not_uring(int why)
{
	switch (why) {
	case -EPERM:
		return "io_uring is forbidden here, by kernel.io_uring_disabled or seccomp";
	case -EACCES:
		return "a security module forbids commands by io_uring (SELinux: io_uring cmd)";
	case -EOPNOTSUPP:
		return "commands by io_uring need Linux 6.7, and a module that offers them";
	default:
		return ipc_strerror(why);
	}
}

/* To go by poll is no failure: it works, with more system calls. */
static void check_batch(struct finding *f)
{
	struct ipc_options opt = { .size = sizeof(opt), .mode = IPC_RENDEZVOUS };
	struct ipc_channel *ch;
	int way = 0, why = 0, err = ipc_create(NULL, &opt, &ch);

	if (!err) {
		err = batch_on(ch, &way, &why);
		ipc_close(ch);
	}
	if (err)
		found(f, false, "a batch of calls: %s; please report it with the end of dmesg",
		      ipc_strerror(err));
	else if (way == IPC_BATCH_URING)
		found(f, true, "batches of calls go by io_uring");
	else
		found(f, true, "batches of calls go by ioctl and poll: %s", why_not_uring(why));
}

/* ---- the verb ---- */

static const struct {
	const char *name;
	void (*check)(struct finding *f);
	bool needs_device;
} checks[] = {
	{ "kernel", check_kernel, false },
	{ "module", check_module, false },
	{ "device", check_device, false },
	{ "features", check_features, true },
	{ "limits", check_limits, true },
	{ "ring", check_ring, true },
	{ "rendezvous", check_rendezvous, true },
	{ "batch", check_batch, true },
};

static bool report(struct table *t, const char *name, const struct finding *f)
{
	table_row(t);
	table_text(t, D_CHECK, name);
	table_text(t, D_STATE, f->failed ? "FAIL" : "ok");
	table_text(t, D_DETAIL, f->detail);
	return f->failed;
}

static int examine(const struct look *l, void *unused)
{
	struct table *t = table_new("checks", l);
	bool module = !access(DEVICE, F_OK), failed = false;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		struct finding f = { 0 };

		if (!module && checks[i].needs_device)
			continue;
		checks[i].check(&f);
		failed |= report(t, checks[i].name, &f);
	}
	table_print(t);
	table_free(t);
	return !module ? ST_NO_MODULE : failed ? ST_FAILED : ST_OK;
}

static int run(int argc, char **argv)
{
	struct look l = { .verb = &verb_doctor, .columns = columns, .n_columns = N_COLUMNS };
	int status = look_options(&l, argc, argv);

	if (status != LOOK_ON)
		return status;
	if (optind < argc)
		return usage("takes no name");
	return look(&l, examine, NULL);
}

const struct verb verb_doctor = { "doctor", NULL, "check the module, and try it", help, run };
