/*
 * lcy_work.c: which piece of work a mover takes next, see lcy_mover.h. Threads of objmapper-lifecycle; everything here is done under the
 * lock of struct lcy_moves.
 *
 * A copy goes from queue to queue: todo (its name is read), copies (allowed), made (it has its name), synced (it is durable); then it is read
 * back and committed. Each step is taken up by whoever is free, a few objects at a time and in the order in which they came: so a disk is read
 * from one end to the other, not in eight places in turn, it is written while others are read and read back, and what was made while one sync was under way
 * is the next one's. One thread makes a tier's files durable at a time: two syncs of one filesystem wait for each other anyway.
 */
#include "lifecycle/lcy_mover.h"

/* What the file is; while its name is not known, nothing. */
static uint64_t size_of(const struct lcy_job *job) { return job->found.rec.size; }

void lcy_jobs_add(struct lcy_jobs *q, struct lcy_job *job)
{
	job->next = NULL;
	*q->last = job;
	q->last = &job->next;
	q->n++;
	q->bytes += size_of(job);
}

static struct lcy_job *take(struct lcy_jobs *q)
{
	struct lcy_job *job = q->first;

	q->first = job->next;
	if (!q->first)
		q->last = &q->first;
	job->next = NULL;
	q->n--;
	q->bytes -= size_of(job);
	return job;
}

static bool yields(struct lcy_moves *m) { return lcy_yield_share(&m->yield) != LCY_YIELD_ALL; }

static bool is_large(const struct lcy_job *job) { return size_of(job) >= LCY_COPY_DIRECT; }

/* From the front, for one and the same tier; at least one. */
static void take_run(struct lcy_jobs *q, struct lcy_batch *b, unsigned files, uint64_t bytes)
{
	uint64_t sum = size_of(q->first);

	b->job[b->n++] = take(q);
	while (b->n < files && q->n && q->first->to == b->job[0]->to && sum < bytes && size_of(q->first) <= bytes - sum) {
		sum += size_of(q->first);
		b->job[b->n++] = take(q);
	}
}

static bool take_names(struct lcy_moves *m, struct lcy_jobs *q, struct lcy_batch *b)
{
	unsigned most = yields(m) ? LCY_YIELD_FILES : LCY_BATCH_NAMES;

	while (b->n < most && q->n)
		b->job[b->n++] = take(q);
	b->work = LCY_WORK_NAMES;
	return b->n > 0;
}

/* Names first, as long as they last: copies gather meanwhile. But what is large does not gain by it, and while clients are served, small
 * batches are what is wanted. */
static bool take_copies(struct lcy_moves *m, struct lcy_batch *b)
{
	unsigned enough = yields(m) ? LCY_YIELD_FILES : LCY_BATCH_FILES;
	struct lcy_jobs *q = &m->copies;

	if (!q->n || m->held >= m->held_max)
		return false;
	b->large = is_large(q->first);
	if (b->large ? m->copying_large >= LCY_LARGE_MOVERS : m->todo.n && q->n < enough)
		return false;
	if (b->large)
		b->job[b->n++] = take(q);
	else
		take_run(q, b, yields(m) ? LCY_YIELD_FILES : LCY_RUN_FILES, LCY_YIELD_BYTES);
	m->held += b->n;
	m->copying += !b->large;
	m->copying_large += b->large;
	b->work = LCY_WORK_COPY;
	return true;
}

static bool waited(const struct lcy_moves *m, unsigned tier)
{
	bool others = m->copying || m->copying_large;

	return !others || om_now_ns() - m->made_ns[tier] >= LCY_SYNC_WAIT_NS;
}

/* @param any  however few they are, if nothing else is to come soon */
static bool take_sync(struct lcy_moves *m, struct lcy_batch *b, bool any)
{
	unsigned enough = yields(m) ? LCY_YIELD_FILES : LCY_SYNC_FILES;
	uint64_t enough_bytes = yields(m) ? LCY_YIELD_BYTES : LCY_SYNC_BYTES;

	for (unsigned i = 0; i < OM_TIERS_MAX; i++) {
		struct lcy_jobs *q = &m->made[i];
		if (!q->n || m->syncing >> i & 1)
			continue;
		if (q->n < enough && q->bytes < enough_bytes && !(any && waited(m, i)))
			continue;
		take_run(q, b, yields(m) ? enough : LCY_BATCH_FILES, yields(m) ? enough_bytes : UINT64_MAX);
		m->made_ns[i] = om_now_ns();
		m->syncing |= 1u << i;
		b->work = LCY_WORK_SYNC;
		return true;
	}
	return false;
}

static bool take_verify(struct lcy_moves *m, struct lcy_batch *b)
{
	if (!m->synced.n)
		return false;
	take_run(&m->synced, b, yields(m) ? LCY_YIELD_FILES : LCY_RUN_FILES, LCY_YIELD_BYTES);
	b->work = LCY_WORK_VERIFY;
	return true;
}

/* What is nearest to its end goes first: it holds descriptors, and room on two tiers. */
static bool take_any(struct lcy_mover *t, struct lcy_batch *b)
{
	struct lcy_moves *m = t->all;

	if (t->names_only)
		return take_names(m, &m->names, b);
	return take_verify(m, b) || take_sync(m, b, false) || take_copies(m, b) || take_names(m, &m->todo, b) || take_sync(m, b, true);
}

static bool made_waits(const struct lcy_moves *m)
{
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		if (m->made[i].n && !(m->syncing >> i & 1))
			return true;
	return false;
}

static void wait_for_more(struct lcy_mover *t)
{
	struct lcy_moves *m = t->all;
	struct timespec until;

	if (t->names_only || !made_waits(m)) {
		(void)pthread_cond_wait(t->names_only ? &m->wake_names : &m->wake, &m->lock);
		return;
	}
	uint64_t at = om_now_ns() + LCY_SYNC_WAIT_NS;
	until = (struct timespec){ .tv_sec = (time_t)(at / 1000000000u), .tv_nsec = (long)(at % 1000000000u) };
	(void)pthread_cond_timedwait(&m->wake, &m->lock, &until);
}

bool lcy_work_take(struct lcy_mover *t, struct lcy_batch *b)
{
	struct lcy_moves *m = t->all;
	bool got = false;

	b->n = 0;
	pthread_mutex_lock(&m->lock);
	while (!atomic_load(&m->stop) && !(got = take_any(t, b)))
		wait_for_more(t);
	pthread_mutex_unlock(&m->lock);
	if (got) {
		b->taken = b->n;
		b->tier = b->job[0]->to;
	}
	return got; /* what was taken when the end comes is freed with the table */
}

static void hand_on(struct lcy_jobs *q, const struct lcy_batch *b)
{
	for (unsigned i = 0; i < b->n; i++)
		lcy_jobs_add(q, b->job[i]);
}

void lcy_work_done(struct lcy_mover *t, struct lcy_batch *b)
{
	struct lcy_moves *m = t->all;
	unsigned to = b->tier;

	if (b->work == LCY_WORK_NAMES)
		return;
	pthread_mutex_lock(&m->lock);
	m->held -= b->work == LCY_WORK_VERIFY ? b->taken : b->taken - b->n;
	if (b->work == LCY_WORK_COPY) {
		m->copying -= !b->large;
		m->copying_large -= b->large;
		if (!m->made[to].n)
			m->made_ns[to] = om_now_ns();
		hand_on(m->tier_memory[to] ? &m->synced : &m->made[to], b);
	} else if (b->work == LCY_WORK_SYNC) {
		m->syncing &= ~(1u << to);
		hand_on(&m->synced, b);
	}
	/* this thread looks again at once; that there is work for a second one is what another may have to be told */
	if (m->synced.n > LCY_RUN_FILES || (m->synced.n && is_large(m->synced.first)))
		pthread_cond_broadcast(&m->wake);
	else
		pthread_cond_signal(&m->wake);
	pthread_mutex_unlock(&m->lock);
}
