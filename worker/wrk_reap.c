/*
 * wrk_reap.c: a thread that closes descriptors (process objmapper-worker). See wrk_reap.h. Called by wrk_conn.c.
 */
#include "worker/wrk_reap.h"

#include <pthread.h>
#include <signal.h>

#include "common/om_counter.h"

struct wrk_reap {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t some;
	unsigned head, n;
	bool stop;
	int fds[WRK_REAP_MAX];
};

static void *wrk_reap_run(void *arg)
{
	struct wrk_reap *r = arg;

	(void)pthread_mutex_lock(&r->lock);
	while (r->n || !r->stop) {
		int fd;

		if (!r->n) {
			(void)pthread_cond_wait(&r->some, &r->lock);
			continue;
		}
		fd = r->fds[r->head];
		(void)pthread_mutex_unlock(&r->lock);
		(void)close(fd);
		(void)pthread_mutex_lock(&r->lock);
		/* The entry is kept until it is closed: what blocks in close counts against the bound. */
		r->head = (r->head + 1) % WRK_REAP_MAX;
		r->n--;
	}
	(void)pthread_mutex_unlock(&r->lock);
	return NULL;
}

int wrk_reap_new(struct wrk_reap **ret)
{
	struct wrk_reap *r = calloc(1, sizeof(*r));
	sigset_t all, old;
	int rc;

	if (!r)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)pthread_cond_init(&r->some, NULL);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old); /* inherited by the thread: signals are the loop's */
	rc = pthread_create(&r->thread, NULL, wrk_reap_run, r);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc) {
		free(r);
		return -OBJM_STATUS_OUT_OF_MEMORY;
	}
	*ret = r;
	return 0;
}

void wrk_reap_fd(struct wrk_reap *r, int fd)
{
	bool full;

	(void)pthread_mutex_lock(&r->lock);
	full = r->n == WRK_REAP_MAX;
	if (!full) {
		r->fds[(r->head + r->n) % WRK_REAP_MAX] = fd;
		r->n++;
		(void)pthread_cond_signal(&r->some);
	}
	(void)pthread_mutex_unlock(&r->lock);
	if (full)
		(void)close(fd);
}

void wrk_reap_free(struct wrk_reap *r)
{
	if (!r)
		return;
	(void)pthread_mutex_lock(&r->lock);
	r->stop = true;
	(void)pthread_cond_signal(&r->some);
	(void)pthread_mutex_unlock(&r->lock);
	(void)pthread_join(r->thread, NULL);
	(void)pthread_cond_destroy(&r->some);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}
