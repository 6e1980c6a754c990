/* SPDX-License-Identifier: MIT */
/*
 * What the verbs of msgchan share: exit codes, errors, arguments, sizes, tables, channels.
 */
#ifndef MSGCHAN_CLI_H
#define MSGCHAN_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/uio.h>
#include <time.h>

#include <linux/msgchan.h>
#include <libipc.h>

/* The exit status of every verb. */
enum {
	ST_OK,
	ST_NOT_FOUND,
	ST_USAGE,
	ST_PERMISSION,
	ST_NO_MODULE,
	ST_TIMEOUT,
	ST_PEER,		/* the peer died, or the outcome of a call is "maybe" */
	ST_LOST,		/* messages were lost */
	ST_FAILED,		/* anything else: busy, exists, over quota, input or output error */
};

#define __printf(text, args) __attribute__((__format__(__printf__, text, args)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct verb {
	const char *name, *alias;
	const char *summary;		/* a line in the list of verbs */
	const char *help;		/* what --help prints */
	int (*run)(int argc, char **argv);
};

extern const struct verb verb_ls, verb_info, verb_who, verb_held, verb_blocked, verb_create,
	verb_rm, verb_wait, verb_evict, verb_send, verb_recv, verb_call, verb_serve, verb_tap,
	verb_hz, verb_lat, verb_doctor;

/* error.c */
extern const char *verb_name;		/* of the running verb, for messages; empty: none yet */
int status_of(int err);
int fail(int err, const char *fmt, ...) __printf(2, 3);
int complain(int status, const char *fmt, ...) __printf(2, 3);
void notice(const char *fmt, ...) __printf(1, 2);
int usage(const char *fmt, ...) __printf(1, 2);
int bad_option(void);
int show_help(const struct verb *verb);

/* args.c: each ends the program with ST_USAGE where the text is no such thing */
#define TIME_FOREVER (~0ULL)
uint64_t size_arg(const char *option, const char *text);
uint64_t time_arg(const char *option, const char *text);
uint64_t number_arg(const char *option, const char *text, uint64_t max);
unsigned int perm_arg(const char *option, const char *text);
uint8_t format_arg(const char *text);
void json_format(FILE *out, uint8_t format);
const char *name_arg(int argc, char **argv, int at);
uint64_t until(uint64_t timeout);

/* units.c */
#define SHOWN 32			/* bytes that are enough for every figure shown */
uint64_t now_ns(void);
struct timespec timespec_of(uint64_t ns);
char *show_size(char *buf, uint64_t bytes);
char *show_time(char *buf, uint64_t ns);
char *show_age(char *buf, uint64_t ns);
char *show_short(char *buf, uint64_t ns);

/* escape.c */
size_t escape(char *to, size_t room, const char *from, size_t len);
size_t escape_bytes(char *to, size_t room, const char *from, size_t len);
void json_text(FILE *out, const char *text, size_t len);
void json_payload(FILE *out, const void *data, size_t len);

/* table.c */
enum {
	COL_NUMBER = 1,			/* a number in JSON, to the right in text */
	COL_CLAIMED = 2,		/* as claimed by the process itself: marked with a * */
	COL_MORE = 4,			/* only shown when asked for */
	COL_ALERT = 8,			/* coloured when it is not 0 */
};

struct column {
	const char *name;
	unsigned int flags;
	const char *help;
};

/* look.c: a verb that prints a table */
struct look {
	const struct verb *verb;
	const struct column *columns;
	unsigned int n_columns;
	/* from the command line */
	bool json, no_headings, bytes;
	const char *shown;		/* --output; NULL: the usual ones */
	uint64_t every;			/* --watch */
};

#define LOOK_HELP \
	"  -o, --output LIST  columns to print, by name; +LIST adds to the usual ones\n" \
	"  -w, --watch TIME   again and again, every TIME (2, 250ms)\n" \
	"  -n, --noheadings   no line of headings\n" \
	"  -b, --bytes        sizes in bytes, ages in nanoseconds\n" \
	"  -J, --json         JSON: keys are the column names in lower case\n" \
	"  -H, --columns      what the columns are\n" \
	"  -h, --help         this text\n"

#define LOOK_OPTIONS \
	{ "help", no_argument, NULL, 'h' }, \
	{ "json", no_argument, NULL, 'J' }, \
	{ "noheadings", no_argument, NULL, 'n' }, \
	{ "output", required_argument, NULL, 'o' }, \
	{ "bytes", no_argument, NULL, 'b' }, \
	{ "watch", required_argument, NULL, 'w' }, \
	{ "columns", no_argument, NULL, 'H' }

struct option;
#define LOOK_ON		(-1)
int look_options(struct look *l, int argc, char **argv);
int look_more_options(struct look *l, int argc, char **argv, const struct option *options,
		      bool (*more)(void *arg, int c), void *arg);
int look(const struct look *l, int (*print)(const struct look *l, void *arg), void *arg);
void look_begin(const struct look *l);
int look_end(const struct look *l);

struct table;

struct table *table_new(const char *name, const struct look *l);
void table_row(struct table *t);
void table_text(struct table *t, unsigned int column, const char *text);
void table_count(struct table *t, unsigned int column, uint64_t n);
void table_calls(struct table *t, unsigned int column, uint64_t n);
void table_size(struct table *t, unsigned int column, uint64_t bytes);
void table_age(struct table *t, unsigned int column, uint64_t ns);
void table_time(struct table *t, unsigned int column, uint64_t ns);
void table_real(struct table *t, unsigned int column, double v);
void table_print(struct table *t);
void table_print_upright(struct table *t);
void table_free(struct table *t);
void columns_help(const struct column *columns, unsigned int n);

/* terminal.c */
bool use_colour(FILE *f);

/* device.c: the kernel's own lists, through the UAPI */
int device_open(void);
int device_list(int dev, struct msgc_info **rows, size_t *n);
int device_look(int dev, const char *name);
int device_look_id(int dev, uint64_t id);
int channel_info(int fd, struct msgc_info *info);
int channel_peers(int fd, struct msgc_peer **rows, size_t *n);
int channel_held(int fd, struct msgc_wait_row **rows, size_t *n);
int channel_waits(int fd, struct msgc_wait_row **rows, size_t *n);
const struct msgc_peer *find_peer(const struct msgc_peer *peers, size_t n, uint32_t id);
int each_channel(int dev, int (*visit)(void *arg, int fd, const char *name), void *arg);
int look_up(const char *name, struct msgc_info *info);

/* circles.c */
struct wait_edge {
	int from, on;			/* a process that waits, and for whom; 0: not known */
	size_t circle;
};

void find_circles(struct wait_edge *edges, size_t n);

/* channels.c: a channel as a row */
extern const struct column channel_columns[];
extern const unsigned int n_channel_columns;
void channel_row(struct table *t, const struct msgc_info *info);
#define WHO_SHOWN (4 * 16 + 16)		/* bytes for comm[pid], escaped */
char *show_who(char *buf, const char *comm, int pid);
const char *show_name(char *buf, const struct msgc_info *info);
bool names_endpoint(const char *text, uint32_t id, const char *comm, int pid);

/* connect.c: the channel that a verb works with, and its place in it */
struct connect {
	const char *name;
	unsigned int rights;		/* IPC_READ, IPC_WRITE */
	uint64_t timeout;		/* of waiting for the name */
	bool may_create, create, wait;
	struct ipc_options options;	/* mode: which is wanted, also of a channel that exists */
};

#define RING_MAX (64U << 20)		/* of what --create makes: who sends pays for its ring */

int connect_channel(const struct connect *c, struct ipc_channel **ch, struct msgc_info *info);
int attach(const char *name, struct ipc_channel *ch, const struct ipc_attach *how,
	   struct ipc_endpoint **ep);
int work_in(const char *name, struct ipc_channel *ch, const struct ipc_attach *how,
	    struct ipc_endpoint **ep, int (*work)(void *arg), void *arg);

/* observe.c: looking on */
struct observing {
	struct connect connect;
	struct ipc_attach how;
	struct ipc_endpoint *ep;
	const char *sender;		/* only this one's; NULL: of all */
	uint64_t every, duration;	/* every: between two looks */
	uint64_t left;			/* messages still wanted */
	uint64_t now, end;		/* of the present look; of the duration */
	uint64_t missed;
	int status;
	void (*message)(struct observing *o, const struct ipc_msg *m);
	int (*looked)(struct observing *o);	/* an exit status ends it */
};

enum {
	OBSERVE_SENDER = 512, OBSERVE_COUNT, OBSERVE_DURATION, OBSERVE_INTERVAL, OBSERVE_WAIT
};

#define OBSERVE_OPTIONS \
	{ "sender", required_argument, NULL, OBSERVE_SENDER }, \
	{ "count", required_argument, NULL, OBSERVE_COUNT }, \
	{ "duration", required_argument, NULL, OBSERVE_DURATION }, \
	{ "interval", required_argument, NULL, OBSERVE_INTERVAL }, \
	{ "wait", no_argument, NULL, OBSERVE_WAIT }

bool observe_option(struct observing *o, int c, const char *arg);
int observe(struct observing *o, const char *name);

/* senders.c: whom a received message is from */
const struct ipc_peer *sender_of(struct ipc_endpoint *ep, uint32_t id);
void tell_refused(const char *name, struct ipc_endpoint *ep, uint32_t id);
void print_message_json(struct ipc_endpoint *ep, const struct ipc_msg *m);

/* stop.c */
void stop_on_signals(struct ipc_endpoint *ep);
void stop_interrupting(void);
int stopped(void);
int wait_ready(int fd, short events, const struct timespec *timeout);
int die_by(int sig);

/* stream.c */
int write_all(int fd, struct iovec *iov, unsigned int n);
ssize_t read_some(int fd, void *buf, size_t room);
int read_whole(int fd, char **data, size_t *len);

/* progress.c */
struct progress {
	uint64_t start, shown, bytes, messages;
	bool enabled;
};

void progress_begin(struct progress *p, bool payload_to_stdout);
void progress_add(struct progress *p, uint64_t messages, uint64_t bytes);
void progress_end(struct progress *p);

/* command.c: results other than the command's own, as of env(1), timeout(1) and the shell */
enum {
	RESULT_TIMEOUT = 124, RESULT_TOO_LONG, RESULT_CANNOT_RUN, RESULT_NO_COMMAND, RESULT_SIGNAL
};

int command_run(char **argv, const struct ipc_msg *req, uint64_t timeout, uint32_t *len);

#endif
