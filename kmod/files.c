// SPDX-License-Identifier: GPL-2.0-only
/*
 * files.c - files that travel with calls and replies.
 *
 * What one message carries is one msgc_files: got in the sender's context before channel->lock is
 * taken, installed in the receiver's context after it was dropped, as both may sleep. In between it
 * belongs to the call:
 *
 *	txn->files	the request's, until the call ends: a server that dies leaves them to the
 *			next one
 *	txn->got	the reply's, until the thread that waits has them; it may come with RESUME.
 *			Else they go with the slot's next call, or with the client
 *
 * Who installs has a reference of its own, so the call may end meanwhile. Nobody else sees the
 * message before its numbers stand in the line: RECV has taken the call, but the entry has no id
 * yet; the slot keeps its waiter.
 *
 * No cycle keeps itself alive. Files hang on a call, a call on a client's endpoint, and that dies
 * with its process, whoever still has its file (owner.c): be it a socket in whose queue it is, and
 * which is sent in the call. Endpoints themselves are refused, they are of no use to anybody else;
 * devices and channels are not, for they refer to no endpoint.
 *
 * The last fput() may be long in coming back, and calls whatever it likes: it is never called under
 * a lock. That of a thread takes place when it returns to user space; so REPLY_RECV, which may
 * sleep first, would keep open what others wait to see closed. A call's files are left to a work
 * item.
 *
 * Who did not ask for files (TAKES_FILES) gets none, nor has to close any: close(), too, can be as
 * long as the sender likes.
 */
#include <linux/capability.h>
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/llist.h>
#include <linux/magic.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "txn.h"

struct msgc_files {
	refcount_t ref;
	unsigned int nr;
	struct msgc_payers *payers;	/* of the sender: charged for as long as this lives */
	struct llist_node dropped;	/* no call has it any more */
	struct file *file[MSGC_FDS];
};

static void put_dropped(struct work_struct *work);

static LLIST_HEAD(dropped);
static DECLARE_WORK(drop_work, put_dropped);

void msgc_files_put(struct msgc_files *files)
{
	unsigned int i;

	if (!refcount_dec_and_test(&files->ref))
		return;
	for (i = 0; i < files->nr; i++)
		fput(files->file[i]);
	msgc_uncharge(files->payers, MSGC_FILES, files->nr);
	msgc_payers_put(files->payers);
	kfree(files);
}

static void put_dropped(struct work_struct *work)
{
	struct msgc_files *files, *next;

	llist_for_each_entry_safe(files, next, llist_del_all(&dropped), dropped) {
		msgc_files_put(files);
		cond_resched();
	}
}

/* The call's reference is put soon. Only that: the node is for one. */
void msgc_files_drop(struct msgc_files **of_call)
{
	struct msgc_files *files = *of_call;

	*of_call = NULL;
	if (files && llist_add(&files->dropped, &dropped))
		queue_work(msgc_wq, &drop_work);
}

/* ---- sending ---- */

/*
 * As net/core/scm.c has it since 6.7. There a function of the core tells, which is exported to no
 * module; the name of an anonymous inode is the kernel's choice and nobody else's.
 */
static bool is_uring(const struct file *file)
{
	const struct dentry *dentry = file->f_path.dentry;

	return dentry->d_sb->s_magic == ANON_INODE_FS_MAGIC &&
	       !strcmp(dentry->d_name.name, "[io_uring]");
}

/* Files of its own kind, O_PATH ones included. */
static int add_file(struct msgc_files *files, s32 fd)
{
	struct file *file = fd < 0 ? NULL : fget_raw(fd);

	if (!file)
		return -EBADF;
	files->file[files->nr++] = file;
	return file->f_op == &msgc_endpoint_fops || is_uring(file) ? -EINVAL : 0;
}

static int charge(struct msgc_payers *payers, u32 n)
{
	int err = msgc_charge_files(payers, n);

	if (err) {
		flush_work(&drop_work);		/* what was given up just now does not count */
		err = msgc_charge_files(payers, n);
	}
	return err;
}

/*
 * The caller's files with these numbers, for a message of its endpoint. The numbers may be changing
 * meanwhile: each is read once.
 */
struct msgc_files *msgc_files_get(const struct msgc_endpoint *ep, const s32 *fds, u32 n)
{
	struct msgc_files *files;
	int err;
	u32 i;

	if (n > MSGC_FDS)
		return ERR_PTR(-EINVAL);
	files = kzalloc(sizeof(*files), GFP_KERNEL_ACCOUNT);
	if (!files)
		return ERR_PTR(-ENOMEM);
	refcount_set(&files->ref, 1);
	for (i = 0, err = 0; i < n && !err; i++)
		err = add_file(files, READ_ONCE(fds[i]));
	if (!err)
		err = charge(ep->payers, n);
	if (!err) {
		files->payers = msgc_payers_get(ep->payers);
		return files;
	}
	while (files->nr)
		fput(files->file[--files->nr]);
	kfree(files);
	return ERR_PTR(err);
}

unsigned int msgc_files_nr(const struct msgc_files *files)
{
	return files->nr;
}

struct msgc_files *msgc_files_ref(struct msgc_files *files)
{
	refcount_inc(&files->ref);
	return files;
}

/* ---- receiving ---- */

/* As many as the caller may have open, in order. Says how many; the other numbers are -1. */
static unsigned int install(const struct msgc_files *files, s32 *fds)
{
	unsigned int n;

	memset(fds, 0xff, MSGC_FDS * sizeof(*fds));
	for (n = 0; n < files->nr; n++) {
		int fd = msgc_receive_fd(files->file[n], O_CLOEXEC);

		if (fd < 0)
			break;
		fds[n] = fd;
	}
	return n;
}

/*
 * RECV took a call into this entry; now the server may see it. If the server has died meanwhile, it
 * holds nothing any more, and finds nothing but the numbers.
 */
void msgc_files_receive(struct msgc_endpoint *server, u32 entry, struct msgc_files *files)
{
	struct msgc_held *held = server->hold[entry].line;
	s32 fds[MSGC_FDS];
	unsigned int n = install(files, fds);

	spin_lock(&server->ch->lock);
	memcpy(held->fds, fds, sizeof(fds));
	held->nfds = n;
	if (n < files->nr)
		WRITE_ONCE(held->flags, held->flags | MSGC_M_FDS_TRUNCATED);
	if (server->hold[entry].txn)
		msgc_txn_show(server, entry);
	spin_unlock(&server->ch->lock);
	msgc_files_put(files);
}

/* CALL has an outcome, and these came with it: they were the slot's, which has a waiter still. */
void msgc_files_collect(struct msgc_txn *txn, struct msgc_files *files)
{
	struct msgc_channel *ch = txn->client->ch;
	s32 fds[MSGC_FDS];
	unsigned int n = install(files, fds);

	spin_lock(&ch->lock);
	memcpy(txn->done->fds, fds, sizeof(fds));
	if (n < files->nr)
		txn->marks |= MSGC_M_FDS_TRUNCATED;
	txn->with_fds = true;
	txn->waiter = false;
	msgc_txn_publish(txn);
	spin_unlock(&ch->lock);
	msgc_files_put(files);
}

/* ---- of a call; all under channel->lock ---- */

/* A new one: nothing is left of the last one on this slot. */
void msgc_files_begin(struct msgc_txn *txn, struct msgc_files *files)
{
	lockdep_assert_held(&txn->client->ch->lock);
	msgc_files_drop(&txn->got);
	memset(txn->done->fds, 0xff, sizeof_field(struct msgc_done, fds));
	txn->with_fds = false;
	txn->files = files;
}

/*
 * It is being answered. What the caller has to put is left in @reply and @request. Nobody waits for
 * the files of an asynchronous call; who has an outcome already is not told of any.
 */
void msgc_files_answer(struct msgc_txn *txn, struct msgc_files **reply,
		       struct msgc_files **request)
{
	lockdep_assert_held(&txn->client->ch->lock);
	*request = txn->files;
	txn->files = NULL;
	if (!*reply || txn->outcome)
		return;
	if (txn->flags & MSGC_ASYNC || !(txn->client->flags & MSGC_TAKES_FILES)) {
		txn->marks |= MSGC_M_FDS_TRUNCATED;
		return;
	}
	txn->got = *reply;
	txn->with_fds = true;
	*reply = NULL;
}

/* An entry's line, when it is free again. */
void msgc_files_clear(struct msgc_held *held)
{
	memset(held->fds, 0xff, sizeof(held->fds));
	held->nfds = 0;
}
