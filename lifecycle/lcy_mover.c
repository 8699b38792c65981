/*
 * lcy_mover.c: what the threads of lcy_move.h do with files. Threads of objmapper-lifecycle; may block as the disks do.
 *
 * A copy becomes the object in this order, each step only after the one before: bytes and attribute whole, name under the id, all
 * of it durable, read back and equal to what the source held, MOVE_COMMIT. So a committed record never names a file that could
 * be lost or wrong.
 */
#include "lifecycle/lcy_mover.h"

/* ---- names ---- */

static int describe(struct lcy_mover *t, struct lcy_job *job, uint8_t tier)
{
	if (tier >= OM_TIERS_MAX || !t->all->tier_on[tier])
		return -OBJM_STATUS_UNAVAILABLE;
	int rc = be_describe(&t->be[tier], job->id, job->attr, &job->found);
	if (rc == 0 && !job->found.has_attr)
		rc = -OBJM_STATUS_CORRUPT;
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
	t->copy.shared = job->shared;
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
	job->shared = t->copy.shared;
	memcpy(job->sum, t->copy.sum, sizeof(job->sum));
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

static void commit(struct lcy_mover *t, struct lcy_job *job)
{
	int rc = 0;

	set_copy(t, job);
	if (!job->shared)
		rc = lcy_copy_verify(&t->copy, job->id, job->found.rec.size);
	be_drop(&job->file);
	if (rc < 0) {
		job->by_target = true;
		give_up(t, job, rc);
		return;
	}
	(void)om_fault(OM_FAULT_MOVE_DURABLE);
	atomic_store(&job->stage, LCY_STAGE_COMMIT);
	rc = lcy_job_send(t->all, job, OM_OP_MOVE_COMMIT);
	if (rc < 0)
		lcy_job_end(t->all, job, rc);
	else
		(void)om_fault(OM_FAULT_MOVE_SUBMITTED);
}

/* Make, then sync together, then verify and commit each. All go to the same tier. */
static void copy_batch(struct lcy_mover *t, struct lcy_job **batch, unsigned n)
{
	struct lcy_moves *m = t->all;
	struct be_file *files[LCY_BATCH_FILES];
	unsigned made = 0;
	int rc = 0;

	for (unsigned i = 0; i < n; i++) {
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
	rc = m->tier_memory[to] ? 0 : be_sync(&t->be[to], files, made);
	for (unsigned i = 0; i < made; i++) {
		if (rc < 0) {
			batch[i]->by_target = batch[i]->unsynced = true;
			give_up(t, batch[i], rc);
		} else {
			commit(t, batch[i]);
		}
	}
}

/* ---- the queue ---- */

static struct lcy_job *take(struct lcy_job **head, struct lcy_job ***end)
{
	struct lcy_job *job = *head;

	if (job) {
		*head = job->next;
		if (!*head)
			*end = head;
		job->next = NULL;
	}
	return job;
}

/* More small copies for the same tier, from the front of the queue. Under lock. */
static unsigned take_batch(struct lcy_moves *m, struct lcy_job **batch)
{
	uint64_t bytes = batch[0]->found.rec.size;
	unsigned n = 1;

	if (atomic_load(&batch[0]->stage) != LCY_STAGE_COPY)
		return 1;
	while (n < LCY_BATCH_FILES && m->todo && atomic_load(&m->todo->stage) == LCY_STAGE_COPY && m->todo->to == batch[0]->to &&
	       m->todo->found.rec.size < LCY_BATCH_BYTES && (bytes += m->todo->found.rec.size) <= LCY_BATCH_BYTES)
		batch[n++] = take(&m->todo, &m->todo_end);
	return n;
}

void *lcy_mover_main(void *arg)
{
	struct lcy_mover *t = arg;
	struct lcy_moves *m = t->all;
	struct lcy_job *batch[LCY_BATCH_FILES];

	for (;;) {
		unsigned n = 1;
		pthread_mutex_lock(&m->lock);
		for (;;) {
			if (atomic_load(&m->stop))
				break;
			batch[0] = t->names_only ? take(&m->names, &m->names_end) : take(&m->todo, &m->todo_end);
			if (batch[0])
				break;
			pthread_cond_wait(&m->wake, &m->lock);
		}
		if (!atomic_load(&m->stop) && !t->names_only)
			n = take_batch(m, batch);
		pthread_mutex_unlock(&m->lock);
		if (atomic_load(&m->stop))
			return NULL; /* what it holds is freed with the table */
		if (atomic_load(&batch[0]->stage) == LCY_STAGE_COPY)
			copy_batch(t, batch, n);
		else
			read_name(t, batch[0]);
	}
}
