/*
 * cmd_pool.c: the same job for many objects on several sessions at once.
 *
 * A durable put waits for the disk; several at a time wait together, because the daemon commits them as one group. The main
 * thread fills a bounded queue, each thread takes from it with a session of its own. One failure is counted and the others go on, except where
 * it would be the same for all (no daemon, no space): then the pool stops.
 */
#include "client/cmd/cmd.h"

#include <pthread.h>

#define QUEUE_MAX 1024

struct cmd_pool {
	struct cmd_ctx *ctx;
	cmd_job_fn *fn;
	void *arg;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t filled, drained;
	struct cmd_job queue[QUEUE_MAX];
	size_t head, count;
	bool closed, stopped;
	uint64_t done, failed;
	unsigned threads;
	pthread_t thread[CMD_JOBS_MAX];
};

static void job_free(struct cmd_job *job)
{
	free(job->uri);
	free(job->path);
}

/* Next job: false when there will be none. */
static bool take_job(struct cmd_pool *pool, struct cmd_job *ret_job)
{
	bool got;

	(void)pthread_mutex_lock(&pool->lock);
	while (pool->count == 0 && !pool->closed && !pool->stopped)
		(void)pthread_cond_wait(&pool->filled, &pool->lock);
	got = pool->count > 0 && !pool->stopped;
	if (got) {
		*ret_job = pool->queue[pool->head];
		pool->head = (pool->head + 1) % QUEUE_MAX;
		pool->count--;
		(void)pthread_cond_signal(&pool->drained);
	}
	(void)pthread_mutex_unlock(&pool->lock);
	return got;
}

static void count_job(struct cmd_pool *pool, int result, bool stop)
{
	(void)pthread_mutex_lock(&pool->lock);
	if (result == CMD_OK)
		pool->done++;
	else
		pool->failed++;
	if (stop && !pool->stopped) {
		pool->stopped = true;
		(void)pthread_cond_broadcast(&pool->filled);
		(void)pthread_cond_broadcast(&pool->drained);
	}
	(void)pthread_mutex_unlock(&pool->lock);
}

static void *run_jobs(void *arg)
{
	struct cmd_pool *pool = arg;
	objm_t *s = NULL;
	struct cmd_job job;

	while (take_job(pool, &job)) {
		bool stop = false;
		int r = CMD_FAILED;

		if (!s && !(s = cmd_connect(&pool->ctx->opts)))
			stop = true;
		else
			r = pool->fn(pool->ctx, s, &job, pool->arg, &stop);
		job_free(&job);
		count_job(pool, r, stop || cmd_interrupted);
	}
	objm_close(s);
	return NULL;
}

struct cmd_pool *cmd_pool_open(struct cmd_ctx *ctx, cmd_job_fn *fn, void *arg)
{
	struct cmd_pool *pool = calloc(1, sizeof(*pool));

	if (!pool) {
		(void)cmd_fail(ctx->cmd->name, NULL, "out of memory");
		return NULL;
	}
	pool->ctx = ctx;
	pool->fn = fn;
	pool->arg = arg;
	(void)pthread_mutex_init(&pool->lock, NULL); /* none of the three can fail on Linux */
	(void)pthread_cond_init(&pool->filled, NULL);
	(void)pthread_cond_init(&pool->drained, NULL);
	while (pool->threads < ctx->opts.jobs && pthread_create(&pool->thread[pool->threads], NULL, run_jobs, pool) == 0)
		pool->threads++;
	if (pool->threads == 0) {
		free(pool);
		(void)cmd_fail(ctx->cmd->name, NULL, "cannot start a thread: %s", strerror(EAGAIN));
		return NULL;
	}
	return pool;
}

bool cmd_pool_add(struct cmd_pool *pool, char *uri, char *path, uint64_t size)
{
	struct cmd_job job = {uri, path, size};
	bool ok;

	(void)pthread_mutex_lock(&pool->lock);
	while (pool->count == QUEUE_MAX && !pool->stopped)
		(void)pthread_cond_wait(&pool->drained, &pool->lock);
	ok = !pool->stopped && uri;
	if (ok) {
		pool->queue[(pool->head + pool->count++) % QUEUE_MAX] = job;
		(void)pthread_cond_signal(&pool->filled);
	} else if (!uri) {
		pool->failed++;
	}
	(void)pthread_mutex_unlock(&pool->lock);
	if (!ok)
		job_free(&job);
	return ok;
}

int cmd_pool_close(struct cmd_pool *pool, uint64_t *ret_done)
{
	int r;

	(void)pthread_mutex_lock(&pool->lock);
	pool->closed = true;
	(void)pthread_cond_broadcast(&pool->filled);
	(void)pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->threads; i++)
		(void)pthread_join(pool->thread[i], NULL);
	for (; pool->count > 0; pool->count--) {
		job_free(&pool->queue[pool->head]);
		pool->head = (pool->head + 1) % QUEUE_MAX;
	}
	r = pool->failed > 0 || pool->stopped ? CMD_FAILED : CMD_OK;
	if (pool->stopped && !cmd_interrupted)
		(void)cmd_fail(pool->ctx->cmd->name, NULL, "stopped early: every further object would fail the same way");
	if (ret_done)
		*ret_done = pool->done;
	(void)pthread_cond_destroy(&pool->filled);
	(void)pthread_cond_destroy(&pool->drained);
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool);
	return r;
}

bool cmd_status_stops(int status)
{
	return status == -OBJM_STATUS_UNAVAILABLE || status == -OBJM_STATUS_TIMEOUT || status == -OBJM_STATUS_NO_SPACE ||
	       status == -OBJM_STATUS_READ_ONLY || status == -OBJM_STATUS_OUT_OF_MEMORY;
}
