// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A channel, a TCP socket and a file in one io_uring: `loop NAME FILE` forks into a server, which
 * hands out the file to whoever calls it by the channel or connects to it on the loopback, and a
 * client that does both. Each turn of the server's loop is one system call, for all three.
 *
 * For a call the file is read straight into the client's reply area; nobody copies it once more.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libipc_uring.h>

/* What has ended: user_data of an entry. One of each is on its way at most. */
enum {
	CALL_CAME, CHANNEL_READY, FILE_READ_FOR_CALL, ANSWERED,
	CONNECTED, FILE_READ_FOR_SOCKET, SENT,
};

struct server {
	struct io_uring ring;
	struct ipc_endpoint *ep;
	struct ipc_msg call;		/* being answered */
	int file, listener, socket;
	char text[4096];		/* on its way to the socket */
	int result;			/* < 0: an error; > 0: it was told to stop */
};

static int fail(const char *what, int err)
{
	fprintf(stderr, "loop: %s: %s\n", what, ipc_strerror(err));
	return 1;
}

/* The queue has room for one of each. */
static struct io_uring_sqe *entry(struct server *s)
{
	return io_uring_get_sqe(&s->ring);
}

/* ---- the channel ---- */

static void await_call(struct server *s)
{
	struct io_uring_sqe *sqe = entry(s);

	s->result = ipc_prep_recv(sqe, s->ep, IPC_FOREVER);
	sqe->user_data = CALL_CAME;
}

/* Before Linux 6.7 a command does not wait; a poll does. */
static void await_channel(struct server *s)
{
	struct io_uring_sqe *sqe = entry(s);

	io_uring_prep_poll_add(sqe, ipc_fd(s->ep), POLLIN);
	sqe->user_data = CHANNEL_READY;
}

static void call_came(struct server *s, int res)
{
	struct io_uring_sqe *sqe;
	int ret = ipc_cqe_recv(s->ep, res, &s->call);

	if (ret == -EAGAIN) {
		await_channel(s);
	} else if (ret < 0) {
		s->result = ret;
	} else if (s->call.flags & IPC_F_ONEWAY) {
		ipc_release(s->ep, &s->call, 1);
		s->result = 1;
	} else {
		sqe = entry(s);
		io_uring_prep_read(sqe, s->file, s->call.reply, s->call.reply_cap, 0);
		sqe->user_data = FILE_READ_FOR_CALL;
	}
}

static void answer(struct server *s, int res)
{
	struct io_uring_sqe *sqe = entry(s);

	s->result = ipc_prep_reply(sqe, s->ep, &s->call, res > 0 ? (uint32_t)res : 0,
				   res < 0 ? res : 0);
	sqe->user_data = ANSWERED;
}

static void answered(struct server *s, int res)
{
	s->result = ipc_cqe_reply(s->ep, &s->call, res);
	if (!s->result)
		await_call(s);
}

/* ---- the socket ---- */

static void await_connection(struct server *s)
{
	struct io_uring_sqe *sqe = entry(s);

	io_uring_prep_accept(sqe, s->listener, NULL, NULL, SOCK_CLOEXEC);
	sqe->user_data = CONNECTED;
}

static void connected(struct server *s, int res)
{
	struct io_uring_sqe *sqe = entry(s);

	s->socket = res;
	if (res < 0)
		s->result = res;
	io_uring_prep_read(sqe, s->file, s->text, sizeof(s->text), 0);
	sqe->user_data = FILE_READ_FOR_SOCKET;
}

static void send_text(struct server *s, int res)
{
	struct io_uring_sqe *sqe = entry(s);

	io_uring_prep_send(sqe, s->socket, s->text, res > 0 ? (size_t)res : 0, MSG_NOSIGNAL);
	sqe->user_data = SENT;
}

/* A client that has gone is no error. */
static void sent(struct server *s)
{
	close(s->socket);
	await_connection(s);
}

/* ---- the loop ---- */

static void turn(struct server *s, uint64_t what, int res)
{
	switch (what) {
	case CALL_CAME:
		return call_came(s, res);
	case CHANNEL_READY:
		return await_call(s);
	case FILE_READ_FOR_CALL:
		return answer(s, res);
	case ANSWERED:
		return answered(s, res);
	case CONNECTED:
		return connected(s, res);
	case FILE_READ_FOR_SOCKET:
		return send_text(s, res);
	case SENT:
		return sent(s);
	}
}

static int loop(struct server *s)
{
	struct io_uring_cqe *cqe;
	int ret;

	await_call(s);
	await_connection(s);
	while (!s->result) {
		ret = io_uring_submit_and_wait(&s->ring, 1);
		if (ret < 0 && ret != -EINTR)
			return ret;
		while (!s->result && !io_uring_peek_cqe(&s->ring, &cqe)) {
			uint64_t what = cqe->user_data;
			int res = cqe->res;

			io_uring_cqe_seen(&s->ring, cqe);
			turn(s, what, res);
		}
	}
	return s->result < 0 ? s->result : 0;
}

static int server(struct ipc_channel *ch, int listener, const char *path)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_RECEIVER };
	struct server s = { .listener = listener, .file = open(path, O_RDONLY | O_CLOEXEC) };
	int ret = io_uring_queue_init(8, &s.ring, 0);

	if (ret < 0)
		return fail("io_uring", ret);
	ret = ipc_attach(ch, &how, &s.ep);
	if (ret)
		return fail("attach", ret);
	ret = loop(&s);
	io_uring_queue_exit(&s.ring);
	ipc_detach(s.ep);
	return ret ? fail("serve", ret) : 0;
}

/* ---- the client ---- */

static int by_channel(struct ipc_endpoint *ep)
{
	struct ipc_msg m = { .len = 0 };
	int ret = ipc_call(ep, &m, &m, ipc_in(20000000000));

	if (ret)
		return fail("call", ret);
	if (m.result)
		return fail("the server's file", m.result);
	printf("by channel: %.*s", (int)m.len, (const char *)m.data);
	return ipc_release(ep, &m, 1);
}

static int by_socket(int listener)
{
	struct sockaddr_in addr;
	socklen_t size = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[4096];
	ssize_t n;

	if (getsockname(listener, (struct sockaddr *)&addr, &size) ||
	    connect(fd, (struct sockaddr *)&addr, size))
		return fail("connect", errno);
	printf("by socket: ");
	while ((n = read(fd, text, sizeof(text))) > 0)
		printf("%.*s", (int)n, text);
	close(fd);
	return 0;
}

static int client(struct ipc_channel *ch, int listener)
{
	struct ipc_attach how = { .size = sizeof(how), .role = IPC_SENDER };
	struct ipc_msg stop = { .len = 0 };
	struct ipc_endpoint *ep;
	int ret = ipc_attach(ch, &how, &ep);

	if (ret)
		return fail("attach", ret);
	for (int i = 0; i < 2 && !ret; i++)
		ret = by_channel(ep) || by_socket(listener);
	ipc_send(ep, &stop, ipc_in(20000000000));
	ipc_detach(ep);
	return ret;
}

static int listen_on_loopback(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 8))
		return -errno;
	return fd;
}

int main(int argc, char **argv)
{
	struct ipc_options opt = { .size = sizeof(opt), .mode = IPC_RENDEZVOUS, .reply = 4096 };
	struct ipc_channel *ch;
	int status, listener, ret;

	if (argc != 3) {
		fprintf(stderr, "usage: loop NAME FILE\n");
		return 2;
	}
	listener = listen_on_loopback();
	if (listener < 0)
		return fail("listen", listener);
	ret = ipc_create(argv[1], &opt, &ch);
	if (ret)
		return fail(argv[1], ret);
	if (!fork())
		_exit(server(ch, listener, argv[2]));
	ret = client(ch, listener);
	wait(&status);
	ipc_close(ch);
	return ret || status;
}
