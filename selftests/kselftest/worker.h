/* SPDX-License-Identifier: MIT */
/* Threads that live on, and run the commands that they are told to. */
#ifndef MSGC_TEST_WORKER_H
#define MSGC_TEST_WORKER_H

#include <semaphore.h>

#include "call.h"

struct worker {
	pthread_t thread;
	sem_t go, over;
	pid_t tid;
	int fd;
	unsigned long nr;		/* 0: end */
	void *arg;
	volatile bool done;
	long ret;
};

static inline void *worker_main(void *p)
{
	struct worker *w = p;

	w->tid = gettid();
	sem_post(&w->over);
	for (;;) {
		sem_wait(&w->go);
		if (!w->nr)
			return NULL;
		w->ret = cmd(w->fd, w->nr, w->arg);
		w->done = true;
		sem_post(&w->over);
	}
}

static inline void worker_start(struct worker *w)
{
	memset(w, 0, sizeof(*w));
	sem_init(&w->go, 0, 0);
	sem_init(&w->over, 0, 0);
	pthread_create(&w->thread, NULL, worker_main, w);
	sem_wait(&w->over);
}

static inline void begin(struct worker *w, int fd, unsigned long nr, void *arg)
{
	w->fd = fd;
	w->nr = nr;
	w->arg = arg;
	w->done = false;
	sem_post(&w->go);
}

static inline long end(struct worker *w)
{
	sem_wait(&w->over);
	return w->ret;
}

static inline long run(struct worker *w, int fd, unsigned long nr, void *arg)
{
	begin(w, fd, nr, arg);
	return end(w);
}

static inline void worker_stop(struct worker *w)
{
	begin(w, -1, 0, NULL);
	pthread_join(w->thread, NULL);
}

#endif
