/*
 * lcy_move.c: the table of jobs and the way of a job between loop, threads and supervisor, see lcy_move.h. What the threads do
 * with files is in lcy_mover.c.
 */
#include <sys/mman.h>
#include <sys/resource.h>

#include "common/om_cpus.h"
#include "lifecycle/lcy_mover.h"

/* A quarter for each of the two: a small configuration has few, and a file that cannot be opened is a move that fails. */
static void bound_files(struct lcy_moves *m)
{
	struct rlimit files;
	rlim_t quarter = getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur / 4 : 64;

	m->open_max = (unsigned)OM_MIN(quarter, (rlim_t)LCY_OPEN_MAX);
	m->held_max = (unsigned)OM_MAX(OM_MIN(quarter, (rlim_t)LCY_HELD_FILES), 1u);
}

void lcy_moves_init(struct lcy_moves *m, const struct lcy_moves_conf *conf)
{
	pthread_condattr_t attr;

	memset(m, 0, sizeof(*m));
	m->conf = *conf;
	bound_files(m);
	for (struct lcy_jobs *const *q = (struct lcy_jobs *const[]){ &m->allowed, &m->todo, &m->copies, &m->synced, &m->names, &m->done, NULL }; *q; q++)
		(*q)->last = &(*q)->first;
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		m->made[i].last = &m->made[i].first;
	lcy_yield_init(&m->yield, om_cpus());
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&m->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_cond_init(&m->wake_names, NULL);
}

int lcy_moves_tier(struct lcy_moves *m, uint8_t no, int objects_fd, int staging_fd, uint32_t caps, bool memory)
{
	OM_ASSERT(no < OM_TIERS_MAX);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(m->mover); i++) {
		/* `who` tells the names in staging/ apart; 0 to 3 are the loop's, the scan's, the attributes' and the scrub's */
		int err = be_dir_init(&m->mover[i].be[no], objects_fd, staging_fd, caps, 0x10000u + i);
		if (err < 0)
			return err;
	}
	m->tier_on[no] = true;
	m->tier_memory[no] = memory;
	return 0;
}

int lcy_moves_start(struct lcy_moves *m)
{
	for (unsigned i = 0; i < OM_ARRAY_SIZE(m->mover); i++) {
		struct lcy_mover *t = &m->mover[i];
		t->all = m;
		t->names_only = i == LCY_MOVERS;
		t->seat.all = &m->yield;
		t->copy.rate = &m->rate;
		t->copy.seat = &t->seat;
		t->copy.stop = &m->stop;
		t->copy.from_fd = -1;
		t->copy.buf = aligned_alloc(LCY_COPY_ALIGN, LCY_COPY_ALIGN);
		if (!t->copy.buf)
			return -OBJM_STATUS_OUT_OF_MEMORY;
		(void)madvise(t->copy.buf, LCY_COPY_ALIGN, MADV_HUGEPAGE); /* a kernel that has none does without */
		if (pthread_create(&t->thread, NULL, lcy_mover_main, t) != 0)
			return -OBJM_STATUS_OUT_OF_MEMORY;
		t->on = true;
	}
	return 0;
}

static void job_fini(struct lcy_moves *m, struct lcy_job *job)
{
	be_drop(&job->file);
	if (job->source_fd >= 0)
		atomic_fetch_sub(&m->n_open, 1);
	om_close(&job->source_fd);
	free(job->names);
	free(job);
}

void lcy_moves_stop(struct lcy_moves *m)
{
	pthread_mutex_lock(&m->lock);
	atomic_store(&m->stop, true);
	pthread_cond_broadcast(&m->wake);
	pthread_cond_broadcast(&m->wake_names);
	pthread_mutex_unlock(&m->lock);
	lcy_yield_stop(&m->yield);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(m->mover); i++) {
		struct lcy_mover *t = &m->mover[i];
		if (t->on)
			(void)pthread_join(t->thread, NULL);
		free(t->copy.buf);
		for (unsigned k = 0; k < OM_TIERS_MAX; k++)
			be_fini(&t->be[k]);
	}
	for (unsigned i = 0; i < LCY_JOBS_MAX; i++)
		if (m->job[i])
			job_fini(m, m->job[i]);
	lcy_yield_fini(&m->yield);
	pthread_mutex_destroy(&m->lock);
	pthread_cond_destroy(&m->wake);
	pthread_cond_destroy(&m->wake_names);
}

struct lcy_job *lcy_moves_new(struct lcy_moves *m)
{
	if (m->n_jobs == LCY_JOBS_MAX)
		return NULL;
	struct lcy_job *job = calloc(1, sizeof(*job));
	if (!job)
		return NULL;
	job->file = BE_FILE_INIT;
	job->source_fd = -1;
	job->other = OM_TIER_NONE;
	while (m->job[job->at])
		job->at++;
	m->job[job->at] = job;
	/* the place, and a number that a late answer to an earlier job of that place does not have */
	m->req[job->at] = (uint64_t)++m->serial << 16 | job->at;
	m->n_jobs++;
	return job;
}

void lcy_moves_free(struct lcy_moves *m, struct lcy_job *job)
{
	m->job[job->at] = NULL;
	m->n_jobs--;
	job_fini(m, job);
}

/* The names of a move are the movers' work where a slow disk has to be asked: drops make room, and do not wait behind it. */
void lcy_moves_go(struct lcy_moves *m, struct lcy_job *job)
{
	bool apart = job->kind != LCY_JOB_MOVE || m->tier_memory[job->from];

	atomic_store(&job->stage, LCY_STAGE_NAME);
	pthread_mutex_lock(&m->lock);
	lcy_jobs_add(apart ? &m->names : &m->todo, job);
	pthread_cond_signal(apart ? &m->wake_names : &m->wake);
	pthread_mutex_unlock(&m->lock);
}

void lcy_moves_allowed(struct lcy_moves *m)
{
	if (!m->allowed.n)
		return;
	pthread_mutex_lock(&m->lock);
	*m->copies.last = m->allowed.first;
	m->copies.last = m->allowed.last;
	m->copies.n += m->allowed.n;
	m->copies.bytes += m->allowed.bytes;
	pthread_cond_broadcast(&m->wake);
	pthread_mutex_unlock(&m->lock);
	m->allowed = (struct lcy_jobs){ .last = &m->allowed.first };
}

struct lcy_job *lcy_moves_find(const struct lcy_moves *m, uint64_t id)
{
	for (unsigned i = 0; i < LCY_JOBS_MAX; i++)
		if (m->job[i] && m->job[i]->id == id && m->job[i]->kind != LCY_JOB_NAME)
			return m->job[i];
	return NULL;
}

void lcy_job_end(struct lcy_moves *m, struct lcy_job *job, int status)
{
	job->status = status;
	atomic_store(&job->stage, LCY_STAGE_ENDED);
	pthread_mutex_lock(&m->lock);
	bool first = !m->done.n;
	lcy_jobs_add(&m->done, job);
	pthread_mutex_unlock(&m->lock);
	if (first) /* else the loop has been woken, and has not looked yet */
		m->conf.wake(m->conf.arg);
}

int lcy_job_send(struct lcy_moves *m, struct lcy_job *job, uint16_t type)
{
	struct om_op_hdr hdr = { .type = type, .req = m->req[job->at] };
	const struct om_rec *r = &job->found.rec;
	union {
		struct om_op_hdr hdr;
		struct om_op_move move;
		struct om_op_drop drop;
	} u;
	size_t fixed;

	memset(&u, 0, sizeof(u));
	if (type == OM_OP_DROP) {
		fixed = sizeof(u.drop);
		u.drop = (struct om_op_drop){ .id = job->id, .rev = job->rev, .tier = job->from, .why = job->drop_why,
					      .uri_len = r->uri_len };
	} else {
		fixed = sizeof(u.move);
		u.move = (struct om_op_move){ .id = job->id, .size = job->size, .rev = job->rev, .from = job->from, .to = job->to,
					      .kind = job->move_kind, .gently = lcy_yield_share(&m->yield) != LCY_YIELD_ALL,
					      .uri_len = r->uri_len };
	}
	u.hdr = hdr;
	u.hdr.len = (uint32_t)(fixed + r->uri_len);
	struct iovec iov[2] = { { &u, fixed }, { (void *)(uintptr_t)r->uri, r->uri_len } };
	return m->conf.send(m->conf.arg, iov, 2);
}

bool lcy_moves_verdict(struct lcy_moves *m, const struct om_op_verdict *v)
{
	unsigned at = (unsigned)(v->hdr.req & 0xffff);
	struct lcy_job *job = at < LCY_JOBS_MAX ? m->job[at] : NULL;

	if (!job || m->req[at] != v->hdr.req)
		return false;
	int stage = atomic_load(&job->stage);
	if (stage == LCY_STAGE_ASKED && job->kind == LCY_JOB_MOVE && v->status == 0) {
		job->begun = true;
		if (m->conf.begun)
			m->conf.begun(m->conf.arg, job);
		atomic_store(&job->stage, LCY_STAGE_COPY);
		lcy_jobs_add(&m->allowed, job);
		return true;
	}
	if (stage != LCY_STAGE_ASKED && stage != LCY_STAGE_COMMIT)
		return false;
	if (stage == LCY_STAGE_COMMIT)
		(void)om_fault(OM_FAULT_MOVE_VERDICT);
	job->asked = true;
	lcy_job_end(m, job, v->status);
	return true;
}

void lcy_moves_turn(struct lcy_moves *m)
{
	pthread_mutex_lock(&m->lock);
	struct lcy_job *job = m->done.first;
	m->done = (struct lcy_jobs){ .last = &m->done.first };
	pthread_mutex_unlock(&m->lock);
	while (job) {
		struct lcy_job *next = job->next;
		m->conf.ended(m->conf.arg, job);
		lcy_moves_free(m, job);
		job = next;
	}
}
