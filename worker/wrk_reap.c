/*
 * wrk_reap.c: a thread that closes descriptors (process objmapper-worker). See wrk_reap.h. Called by wrk_conn*.c and their
 * neighbours.
 */
#include "worker/wrk_reap.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "common/om_counter.h"

#define WRK_REAP_MIN 1024u
#define WRK_REAP_MOST (1u << 20) /* more open files than anybody allows a process */
#define WRK_REAP_NOBODY UINT16_MAX

struct wrk_reap_entry {
	int fd;
	uint16_t who; /* of `sent`; WRK_REAP_NOBODY */
};
static_assert(WRK_REAP_UIDS <= WRK_REAP_NOBODY, "users are told from nobody");

struct wrk_reap {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t some;
	unsigned head, n, max;
	bool stop;
	uint16_t sent[WRK_REAP_UIDS]; /* of what waits, what users have sent */
	struct wrk_reap_entry waits[];
};

static void *wrk_reap_run(void *arg)
{
	struct wrk_reap *r = arg;

	(void)pthread_mutex_lock(&r->lock);
	while (r->n || !r->stop) {
		struct wrk_reap_entry e;

		if (!r->n) {
			(void)pthread_cond_wait(&r->some, &r->lock);
			continue;
		}
		e = r->waits[r->head];
		(void)pthread_mutex_unlock(&r->lock);
		(void)close(e.fd);
		(void)pthread_mutex_lock(&r->lock);
		/* The entry is kept until it is closed: what blocks in close counts against the bound. */
		r->head = (r->head + 1) % r->max;
		r->n--;
		if (e.who != WRK_REAP_NOBODY)
			r->sent[e.who]--;
	}
	(void)pthread_mutex_unlock(&r->lock);
	return NULL;
}

int wrk_reap_new(struct wrk_reap **ret)
{
	struct rlimit rl = { .rlim_cur = WRK_REAP_MIN };
	struct wrk_reap *r;
	sigset_t all, old;
	unsigned max;
	int rc;

	(void)getrlimit(RLIMIT_NOFILE, &rl);
	max = (unsigned)OM_MIN(OM_MAX(rl.rlim_cur, (rlim_t)WRK_REAP_MIN), (rlim_t)WRK_REAP_MOST);
	r = calloc(1, sizeof(*r) + max * sizeof(r->waits[0])); /* its pages come as they are needed */
	if (!r)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	r->max = max;
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

static void wrk_reap_add(struct wrk_reap *r, struct wrk_reap_entry e)
{
	bool full;

	(void)pthread_mutex_lock(&r->lock);
	full = r->n == r->max;
	if (!full) {
		r->waits[(r->head + r->n) % r->max] = e;
		r->n++;
		if (e.who != WRK_REAP_NOBODY)
			r->sent[e.who]++;
		(void)pthread_cond_signal(&r->some);
	}
	(void)pthread_mutex_unlock(&r->lock);
	if (full) /* not while RLIMIT_NOFILE is what it was at the start */
		(void)close(e.fd);
}

void wrk_reap_fd(struct wrk_reap *r, int fd) { wrk_reap_add(r, (struct wrk_reap_entry){ fd, WRK_REAP_NOBODY }); }

void wrk_reap_sent(struct wrk_reap *r, uint32_t uid, int fd)
{
	wrk_reap_add(r, (struct wrk_reap_entry){ fd, (uint16_t)(uid % WRK_REAP_UIDS) });
}

bool wrk_reap_room(struct wrk_reap *r, uint32_t uid)
{
	bool room;

	(void)pthread_mutex_lock(&r->lock);
	room = r->sent[uid % WRK_REAP_UIDS] + WRK_REAP_MSG_MAX <= WRK_REAP_UID_MAX;
	(void)pthread_mutex_unlock(&r->lock);
	return room;
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
