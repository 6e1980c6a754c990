// SPDX-License-Identifier: MIT
/*
 * A named channel that stays until it is removed.
 */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const char help[] =
	"Usage: msgchan create [OPTIONS] NAME\n\n"
	"Create a channel. It is persistent, as it has to outlive this command: it stays until\n"
	"'msgchan rm NAME', or until its network namespace or the module goes. (Channels that\n"
	"'send -c', 'recv -c' and 'serve -c' make go with their last user.)\n\n"
	"  -m, --mode MODE        ring (default) or rendezvous\n"
	"  -p, --perm MODE        mode bits in octal: r receives or serves, w sends or calls;\n"
	"                         default 0600\n"
	"  -u, --owner USER[:GROUP]  who it belongs to, by name or number; default: you\n"
	"      --senders N        most senders or clients at a time; default 64, at most 1024\n"
	"      --receivers N      most receivers or servers at a time; default 8, at most 64\n"
	"      --persistent       accepted, and always so\n"
	"ring:\n"
	"      --ring SIZE        largest ring that a sender may bring; default 1M\n"
	"  -d, --delivery HOW     exclusive (default): one receiver at a time, the next goes on;\n"
	"                         broadcast: every receiver gets every message; balanced: each\n"
	"                         message goes to one of several receivers\n"
	"      --untethered-only  nobody holds up senders: a full ring overwrites its oldest\n"
	"      --max-attempts N   balanced: receivers that may die of one message; default: any\n"
	"                         number\n"
	"rendezvous:\n"
	"      --slots N          calls in flight per client; default 4\n"
	"      --request-size SIZE  largest request; default 64K (also --request)\n"
	"      --reply-size SIZE  largest reply; default 64K (also --reply)\n"
	"      --many-servers     several servers, which must trust each other\n"
	"      --redeliver        calls of a server that dies go to the next one\n"
	"      --inherit          servers are as urgent as the real-time threads that wait for\n"
	"                         them, at most as your threads may be\n"
	"      --max-attempts N   with --redeliver: servers that may die of one call; default: any\n"
	"                         number\n"
	"      --spin TIME        who waits looks so long before it sleeps, while the other side\n"
	"                         runs on another CPU; at most 1ms; default: not at all\n"
	"  -h, --help             this text\n";

enum {
	O_SENDERS = 256, O_RECEIVERS, O_RING, O_SLOTS, O_REQUEST, O_REPLY, O_ATTEMPTS, O_SPIN,
	O_FLAG = 512			/* and which one: IPC_xxx */
};

static const struct option options[] = {
	{ "mode", required_argument, NULL, 'm' },
	{ "perm", required_argument, NULL, 'p' },
	{ "owner", required_argument, NULL, 'u' },
	{ "senders", required_argument, NULL, O_SENDERS },
	{ "receivers", required_argument, NULL, O_RECEIVERS },
	{ "persistent", no_argument, NULL, O_FLAG | IPC_PERSISTENT },
	{ "ring", required_argument, NULL, O_RING },
	{ "delivery", required_argument, NULL, 'd' },
	{ "untethered-only", no_argument, NULL, O_FLAG | IPC_UNTETHERED_ONLY },
	{ "slots", required_argument, NULL, O_SLOTS },
	{ "request-size", required_argument, NULL, O_REQUEST },
	{ "reply-size", required_argument, NULL, O_REPLY },
	{ "many-servers", no_argument, NULL, O_FLAG | IPC_MANY_SERVERS },
	{ "redeliver", no_argument, NULL, O_FLAG | IPC_REDELIVER },
	{ "inherit", no_argument, NULL, O_FLAG | IPC_PRIO_INHERIT },
	{ "max-attempts", required_argument, NULL, O_ATTEMPTS },
	{ "spin", required_argument, NULL, O_SPIN },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

static uint32_t mode_arg(const char *text)
{
	if (!strcmp(text, "ring"))
		return IPC_RING;
	if (!strcmp(text, "rendezvous"))
		return IPC_RENDEZVOUS;
	exit(usage("--mode: '%s' is neither ring nor rendezvous", text));
}

static uint32_t delivery_arg(const char *text)
{
	static const char *const names[] = {
		[IPC_EXCLUSIVE] = "exclusive", [IPC_BROADCAST] = "broadcast",
		[IPC_BALANCED] = "balanced",
	};

	for (uint32_t i = IPC_EXCLUSIVE; i < ARRAY_SIZE(names); i++)
		if (!strcmp(text, names[i]))
			return i;
	exit(usage("--delivery: '%s' is none of exclusive, broadcast, balanced", text));
}

static uint32_t user_id(const char *text)
{
	const struct passwd *pw = getpwnam(text);

	return pw ? pw->pw_uid : (uint32_t)number_arg("--owner: no user", text, UINT32_MAX - 1);
}

static uint32_t group_id(const char *text)
{
	const struct group *gr = getgrnam(text);

	return gr ? gr->gr_gid : (uint32_t)number_arg("--owner: no group", text, UINT32_MAX - 1);
}

/* USER, USER:GROUP or :GROUP */
static void owner_arg(struct ipc_options *o, char *text)
{
	char *group = strchr(text, ':');

	if (group)
		*group++ = '\0';
	o->flags |= IPC_OWNER;
	o->uid = *text ? user_id(text) : UINT32_MAX;
	o->gid = group && *group ? group_id(group) : UINT32_MAX;
}

/* A 0 would be the default, which is not what was meant. */
static uint32_t limit_arg(const char *option, const char *text, uint32_t most)
{
	uint32_t n = (uint32_t)number_arg(option, text, most);

	if (!n)
		exit(usage("%s: at least 1", option));
	return n;
}

static uint64_t room_arg(const char *option, const char *text)
{
	uint64_t n = size_arg(option, text);

	if (!n)
		exit(usage("%s: at least 1", option));
	return n;
}

static uint64_t spin_arg(const char *text)
{
	uint64_t ns = time_arg("--spin", text);

	if (ns > MSGC_SPIN_NS)
		exit(usage("--spin: at most 1ms"));
	return ns;
}

static bool option(struct ipc_options *o, int c)
{
	switch (c) {
	case 'm':
		o->mode = mode_arg(optarg);
		return true;
	case 'p':
		o->perm = perm_arg("--perm", optarg);
		return true;
	case 'u':
		owner_arg(o, optarg);
		return true;
	case O_SENDERS:
		o->max_senders = limit_arg("--senders", optarg, UINT32_MAX);
		return true;
	case O_RECEIVERS:
		o->max_receivers = limit_arg("--receivers", optarg, UINT32_MAX);
		return true;
	case 'd':
		o->delivery = delivery_arg(optarg);
		return true;
	case O_RING:
		o->ring_max = room_arg("--ring", optarg);
		return true;
	case O_SLOTS:
		o->slots = limit_arg("--slots", optarg, UINT32_MAX);
		return true;
	case O_REQUEST:
		o->request = room_arg("--request-size", optarg);
		return true;
	case O_REPLY:
		o->reply = room_arg("--reply-size", optarg);
		return true;
	case O_ATTEMPTS:
		o->max_attempts = limit_arg("--max-attempts", optarg, UINT16_MAX);
		return true;
	case O_SPIN:
		o->spin_ns = spin_arg(optarg);
		return true;
	default:
		if (c < O_FLAG)
			return false;
		o->flags |= (uint32_t)(c & ~O_FLAG);
		return true;
	}
}

/* The kernel says EINVAL; this says of what. */
static const char *misfit(const struct ipc_options *o)
{
	bool calls = o->slots || o->request || o->reply || o->spin_ns ||
		     o->flags & (IPC_MANY_SERVERS | IPC_REDELIVER | IPC_PRIO_INHERIT);

	if (o->mode == IPC_RING && calls)
		return "an option for --mode rendezvous with --mode ring (see --help)";
	if (o->mode == IPC_RENDEZVOUS && o->ring_max)
		return "--ring is for --mode ring";
	if (o->mode == IPC_RENDEZVOUS && o->delivery)
		return "--delivery is for --mode ring";
	if (o->mode == IPC_RENDEZVOUS && o->flags & IPC_UNTETHERED_ONLY)
		return "--untethered-only is for --mode ring";
	if (o->flags & IPC_UNTETHERED_ONLY && o->delivery && o->delivery != IPC_BROADCAST)
		return "--untethered-only is a --delivery broadcast";
	if (o->max_attempts && !(o->flags & IPC_REDELIVER) && o->delivery != IPC_BALANCED)
		return "--max-attempts is for --redeliver, or --delivery balanced";
	return NULL;
}

/* Which of them this kernel may not offer. */
static const char *refused(const struct ipc_options *o)
{
	if (o->flags & IPC_PRIO_INHERIT)
		return "--inherit";
	if (o->flags & IPC_UNTETHERED_ONLY)
		return "--untethered-only";
	if (o->delivery == IPC_BALANCED)
		return "--delivery balanced";
	if (o->delivery == IPC_BROADCAST)
		return "--delivery broadcast";
	return "one of these options";
}

static int explain(const char *name, const struct ipc_options *o, int err)
{
	switch (-err) {
	case EOPNOTSUPP:
		return complain(ST_FAILED, "%s: this kernel module does not offer %s", name,
				refused(o));
	case EEXIST:
		return complain(ST_FAILED, "%s exists already; 'msgchan rm' would remove it", name);
	case EPERM:
		if (!(o->flags & IPC_OWNER))
			return complain(ST_PERMISSION,
					"%s: --inherit: your own threads may be no real-time ones",
					name);
		return complain(ST_PERMISSION, "%s: you may not give it to that --owner", name);
	case EDQUOT:
		return complain(ST_FAILED,
				"%s: you have all that a user may have ('msgchan doctor' shows limits)",
				name);
	case EINVAL:
		return complain(ST_USAGE,
				"%s: no such sizes or numbers are possible (limits: msgchan(1))",
				name);
	default:
		return fail(err, "%s", name);
	}
}

static int create(const char *name, const struct ipc_options *o)
{
	struct ipc_channel *ch;
	int dev = device_open(), err;

	if (dev < 0)
		return status_of(dev);
	err = ipc_create(name, o, &ch);
	if (err)
		return explain(name, o, err);
	ipc_close(ch);
	return ST_OK;
}

static int run(int argc, char **argv)
{
	struct ipc_options o = {
		.size = sizeof(o), .mode = IPC_RING, .flags = IPC_PERSISTENT, .perm = 0600
	};
	int c;

	while ((c = getopt_long(argc, argv, "m:p:u:d:h", options, NULL)) != -1) {
		if (c == 'h')
			return show_help(&verb_create);
		if (!option(&o, c))
			return bad_option();
	}
	if (misfit(&o))
		return usage("%s", misfit(&o));
	return create(name_arg(argc, argv, optind), &o);
}

const struct verb verb_create = { "create", NULL, "create a channel that stays until it is removed",
				  help, run };
