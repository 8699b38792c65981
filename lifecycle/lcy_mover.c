/*
 * lcy_mover.c: what the threads of lcy_move.h do with files. Threads of objmapper-lifecycle; may block as the disks do.
 *
 * A copy becomes the object in this order, each step only after the one before: bytes and attribute whole, name under the id, all
 * of it durable, read back and equal to what the source held, MOVE_COMMIT. So a committed record never names a file that could
 * be lost or wrong.
 */
#include "lifecycle/lcy_mover.h"

#include <sys/resource.h>

#define MOVER_NICE 10 /* a tenth of the processors where requests want all of them: moves make room, and must not stand still */

/* ---- names ---- */

/* The strings of job->found move from the thread's buffer to the job. A name is a few bytes, seldom all that it may be. */
static int keep_names(struct lcy_job *job)
{
	struct om_rec *r = &job->found.rec;
	char *p = malloc((size_t)r->uri_len + r->type_len + r->meta_len + 1);

	free(job->names);
	job->names = p;
	if (!p)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	memcpy(p, r->uri, r->uri_len);
	r->uri = p;
	p += r->uri_len;
	if (r->type_len)
		memcpy(p, r->type, r->type_len);
	r->type = p;
	p += r->type_len;
	if (r->meta_len)
		memcpy(p, r->meta, r->meta_len);
	r->meta = (const unsigned char *)p;
	return 0;
}

static int describe(struct lcy_mover *t, struct lcy_job *job, uint8_t tier)
{
	if (tier >= OM_TIERS_MAX || !t->all->tier_on[tier])
		return -OBJM_STATUS_UNAVAILABLE;
	int rc = be_describe(&t->be[tier], job->id, t->attr, &job->found);
	if (rc == 0 && !job->found.has_attr)
		rc = -OBJM_STATUS_CORRUPT;
	if (rc == 0)
		rc = keep_names(job);
	if (rc < 0) /* what it points to is not ours to keep */
		job->found.rec = (struct om_rec){ 0 };
	return rc;
}

static void read_name(struct lcy_mover *t, struct lcy_job *job)
{
	struct lcy_moves *m = t->all;
	int rc = describe(t, job, job->from);

	if (rc < 0 && job->kind != LCY_JOB_MOVE && job->other != OM_TIER_NONE && describe(t, job, job->other) == 0)
		rc = 0; /* the file is gone or damaged, another of the same object is not: the record can still go */
	if (rc < 0)
		job->by_source = true;
	if (rc < 0 || job->kind == LCY_JOB_NAME) {
		lcy_job_end(m, job, rc);
		return;
	}
	atomic_store(&job->stage, LCY_STAGE_ASKED);
	rc = lcy_job_send(m, job, job->kind == LCY_JOB_MOVE ? OM_OP_MOVE_BEGIN : OM_OP_DROP);
	if (rc < 0)
		lcy_job_end(m, job, rc);
}

/* ---- copies ---- */

static void give_up(struct lcy_mover *t, struct lcy_job *job, int status)
{
	if (lcy_job_send(t->all, job, OM_OP_MOVE_ABORT) < 0)
		status = -OBJM_STATUS_GONE; /* the ring is broken: the supervisor is gone, or about to end us */
	lcy_job_end(t->all, job, status);
}

static void set_copy(struct lcy_mover *t, const struct lcy_job *job)
{
	t->copy.from = &t->be[job->from];
	t->copy.to = &t->be[job->to];
	t->copy.from_memory = t->all->tier_memory[job->from];
	t->copy.to_memory = t->all->tier_memory[job->to];
	t->copy.no_clone = t->no_clone[job->from] >> job->to & 1;
	t->copy.shared = job->shared;
	t->copy.sparse = job->sparse;
	memcpy(t->copy.sum, job->sum, sizeof(t->copy.sum));
}

/* The file of one job up to its name. */
static int make_file(struct lcy_mover *t, struct lcy_job *job)
{
	struct be *to = &t->be[job->to];
	bool reading = false;

	(void)om_fault(OM_FAULT_MOVE_BEGUN);
	set_copy(t, job);
	int rc = lcy_copy_object(&t->copy, job->id, job->found.rec.size, &job->file, &reading);
	job->by_source = rc < 0 && reading;
	job->by_target = rc < 0 && !reading;
	if (rc < 0)
		return rc;
	t->no_clone[job->from] |= (uint32_t)t->copy.no_clone << job->to;
	job->shared = t->copy.shared;
	job->sparse = t->copy.sparse;
	memcpy(job->sum, t->copy.sum, sizeof(job->sum));
	lcy_yield_point(&t->seat);
	rc = be_freeze(to, &job->file, &job->found.rec);
	if (rc == 0 && om_fault(OM_FAULT_MOVE_COPIED) != 0)
		rc = -OBJM_STATUS_STORAGE;
	if (rc == 0)
		rc = be_link(to, &job->file, job->id, &job->found.rec);
	if (rc == 0 && om_fault(OM_FAULT_MOVE_LINKED) != 0)
		rc = -OBJM_STATUS_STORAGE;
	job->by_target = rc < 0;
	return rc;
}

/* Read back. False: the job has ended. */
static bool verify(struct lcy_mover *t, struct lcy_job *job)
{
	int rc = 0;

	set_copy(t, job);
	lcy_yield_point(&t->seat);
	if (!job->shared)
		rc = lcy_copy_verify(&t->copy, job->id, job->found.rec.size);
	be_drop(&job->file);
	if (rc == 0)
		return true;
	job->by_target = true;
	give_up(t, job, rc);
	return false;
}

static void commit(struct lcy_mover *t, struct lcy_job *job)
{
	(void)om_fault(OM_FAULT_MOVE_DURABLE);
	atomic_store(&job->stage, LCY_STAGE_COMMIT);
	int rc = lcy_job_send(t->all, job, OM_OP_MOVE_COMMIT);
	if (rc < 0)
		lcy_job_end(t->all, job, rc);
	else
		(void)om_fault(OM_FAULT_MOVE_SUBMITTED);
}

/*
 * Make, then sync together, then read back, then commit: each step for all of the batch. All go to the same tier. That the commits are
 * asked for together lets the supervisor's committers do them together.
 */
static void copy_batch(struct lcy_mover *t, struct lcy_job **batch, unsigned n)
{
	struct lcy_moves *m = t->all;
	struct be_file *files[LCY_BATCH_FILES];
	unsigned made = 0, good = 0;
	int rc = 0;

	for (unsigned i = 0; i < n; i++) {
		lcy_yield_point(&t->seat);
		rc = make_file(t, batch[i]);
		if (rc < 0) {
			give_up(t, batch[i], rc);
			continue;
		}
		files[made] = &batch[i]->file;
		batch[made++] = batch[i];
	}
	if (made == 0)
		return;
	uint8_t to = batch[0]->to;
	lcy_yield_point(&t->seat);
	rc = m->tier_memory[to] ? 0 : be_sync(&t->be[to], files, made);
	for (unsigned i = 0; i < made; i++) {
		if (rc < 0) {
			batch[i]->by_target = batch[i]->unsynced = true;
			give_up(t, batch[i], rc);
		} else if (verify(t, batch[i])) {
			batch[good++] = batch[i];
		}
	}
	for (unsigned i = 0; i < good; i++)
		commit(t, batch[i]);
}

/* ---- the queues ---- */

static struct lcy_job *take(struct lcy_jobs *q)
{
	struct lcy_job *job = q->first;

	if (job) {
		q->first = job->next;
		if (!q->first)
			q->last = &q->first;
		job->next = NULL;
		q->n--;
	}
	return job;
}

/* Names first, as long as they last: copies gather meanwhile, and go together. But what is large does not gain by it, and while
 * clients are served, small batches are what is wanted. */
static bool copies_now(struct lcy_moves *m)
{
	unsigned enough = lcy_yield_share(&m->yield) != LCY_YIELD_ALL ? LCY_YIELD_FILES : LCY_BATCH_FILES;

	return m->copies.n && (!m->todo.n || m->copies.n >= enough || m->copies.first->found.rec.size >= LCY_COPY_DIRECT);
}

/* Small copies for the same tier, from the front of the queue; half of what is there, so that another thread has work too. */
static unsigned take_copies(struct lcy_moves *m, struct lcy_job **batch)
{
	bool yields = lcy_yield_share(&m->yield) != LCY_YIELD_ALL;
	unsigned most = OM_MIN(OM_MAX(m->copies.n / 2, LCY_BATCH_FILES / 4), yields ? LCY_YIELD_FILES : LCY_BATCH_FILES), n = 1;
	uint64_t bytes, most_bytes = yields ? LCY_YIELD_BYTES : LCY_BATCH_BYTES;

	batch[0] = take(&m->copies);
	bytes = batch[0]->found.rec.size;
	while (n < most && bytes < most_bytes && m->copies.n && m->copies.first->to == batch[0]->to &&
	       m->copies.first->found.rec.size <= most_bytes - bytes) {
		bytes += m->copies.first->found.rec.size;
		batch[n++] = take(&m->copies);
	}
	return n;
}

static unsigned take_names(struct lcy_moves *m, struct lcy_jobs *q, struct lcy_job **batch)
{
	unsigned most = lcy_yield_share(&m->yield) != LCY_YIELD_ALL ? LCY_YIELD_FILES : LCY_BATCH_NAMES, n = 0;

	while (n < most && q->n)
		batch[n++] = take(q);
	return n;
}

/* Waits for work. 0: the end. */
static unsigned take_work(struct lcy_mover *t, struct lcy_job **batch, bool *ret_copies)
{
	struct lcy_moves *m = t->all;
	unsigned n = 0;

	pthread_mutex_lock(&m->lock);
	while (n == 0 && !atomic_load(&m->stop)) {
		*ret_copies = !t->names_only && copies_now(m);
		n = *ret_copies ? take_copies(m, batch) : take_names(m, t->names_only ? &m->names : &m->todo, batch);
		if (n == 0)
			pthread_cond_wait(t->names_only ? &m->wake_names : &m->wake, &m->lock);
	}
	if (atomic_load(&m->stop))
		n = 0; /* what was taken is freed with the table */
	pthread_mutex_unlock(&m->lock);
	return n;
}

void *lcy_mover_main(void *arg)
{
	struct lcy_mover *t = arg;
	struct lcy_job *batch[LCY_BATCH_FILES];
	bool copies = false;
	unsigned n;

	static_assert(LCY_BATCH_NAMES <= LCY_BATCH_FILES, "one array for both");
	if (!t->names_only) /* requests go first: a worker that wakes up does not wait for the end of a copy's turn */
		(void)setpriority(PRIO_PROCESS, (id_t)gettid(), MOVER_NICE);
	while ((n = take_work(t, batch, &copies)) > 0) {
		lcy_yield_enter(&t->seat);
		if (copies)
			copy_batch(t, batch, n);
		for (unsigned i = 0; i < n && !copies; i++) {
			lcy_yield_point(&t->seat);
			read_name(t, batch[i]);
		}
		lcy_yield_leave(&t->seat);
	}
	return NULL;
}
