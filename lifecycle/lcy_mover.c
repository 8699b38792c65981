/*
 * lcy_mover.c: what the threads of lcy_move.h do with files. Threads of objmapper-lifecycle; may block as the disks do.
 *
 * A copy becomes the object in this order, each step only after the one before: bytes and attribute whole, name under the id, all
 * of it durable, read back and equal to what the source held, MOVE_COMMIT. So a committed record never names a file that could
 * be lost or wrong.
 */
#include "lifecycle/lcy_mover.h"

#include <sched.h>
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
	if (r->sum)
		r->sum = memcpy(job->was, r->sum, sizeof(job->was));
	return 0;
}

/* The source of a move is opened once, if it is to be copied soon: while clients are served that may take a while, and what they delete
 * meanwhile would not give its room back. */
static bool keeps_open(struct lcy_moves *m, const struct lcy_job *job)
{
	return job->kind == LCY_JOB_MOVE && lcy_yield_share(&m->yield) == LCY_YIELD_ALL && atomic_load(&m->n_open) < m->open_max;
}

static int describe(struct lcy_mover *t, struct lcy_job *job, uint8_t tier)
{
	struct lcy_moves *m = t->all;
	int rc;

	if (tier >= OM_TIERS_MAX || !m->tier_on[tier])
		return -OBJM_STATUS_UNAVAILABLE;
	if (keeps_open(m, job) && be_open(&t->be[tier], job->id, &job->source_fd) == 0) {
		atomic_fetch_add(&m->n_open, 1);
		rc = be_describe_fd(&t->be[tier], job->source_fd, job->id, t->attr, &job->found);
	} else {
		rc = be_describe(&t->be[tier], job->id, t->attr, &job->found);
	}
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
	lcy_job_kick(t->all); /* the step may go on for long */
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
	t->copy.was = job->found.rec.sum;
	memcpy(t->copy.sum, job->sum, sizeof(t->copy.sum));
}

/* The file of one job up to its name. */
static int make_file(struct lcy_mover *t, struct lcy_job *job)
{
	struct be *to = &t->be[job->to];
	bool reading = false;

	(void)om_fault(OM_FAULT_MOVE_BEGUN);
	set_copy(t, job);
	if (job->source_fd >= 0)
		atomic_fetch_sub(&t->all->n_open, 1);
	t->copy.from_fd = om_take_fd(&job->source_fd);
	int rc = lcy_copy_object(&t->copy, job->id, job->found.rec.size, &job->file, &reading);
	job->by_source = rc < 0 && reading;
	job->by_target = rc < 0 && !reading;
	if (rc < 0)
		return rc;
	t->no_clone[job->from] |= (uint32_t)t->copy.no_clone << job->to;
	job->shared = t->copy.shared;
	job->sparse = t->copy.sparse;
	memcpy(job->sum, t->copy.sum, sizeof(job->sum));
	job->found.rec.sum = t->copy.has_sum ? job->sum : NULL;
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
		rc = lcy_copy_verify(&t->copy, &job->file, job->id, job->found.rec.size);
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

/* ---- the steps ---- */

static void read_names(struct lcy_mover *t, struct lcy_batch *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		lcy_yield_point(&t->seat);
		read_name(t, b->job[i]);
		if (i % LCY_KICK_NAMES == LCY_KICK_NAMES - 1 && !t->seat.held)
			lcy_job_kick(t->all); /* at full speed: else they are committed together */
	}
}

static void copy_files(struct lcy_mover *t, struct lcy_batch *b)
{
	unsigned made = 0;

	for (unsigned i = 0; i < b->n; i++) {
		lcy_yield_point(&t->seat);
		int rc = make_file(t, b->job[i]);
		if (rc < 0)
			give_up(t, b->job[i], rc);
		else
			b->job[made++] = b->job[i];
	}
	b->n = made;
}

static void sync_files(struct lcy_mover *t, struct lcy_batch *b)
{
	struct be_file *files[LCY_BATCH_FILES];

	for (unsigned i = 0; i < b->n; i++)
		files[i] = &b->job[i]->file;
	lcy_yield_point(&t->seat);
	int rc = be_sync(&t->be[b->tier], files, b->n);
	if (rc == 0)
		return;
	for (unsigned i = 0; i < b->n; i++) {
		b->job[i]->by_target = b->job[i]->unsynced = true;
		give_up(t, b->job[i], rc);
	}
	b->n = 0;
}

/* That the commits of what was read back together are asked for together lets the supervisor's committers do them together. */
static void finish_files(struct lcy_mover *t, struct lcy_batch *b)
{
	unsigned good = 0;

	for (unsigned i = 0; i < b->n; i++)
		if (verify(t, b->job[i]))
			b->job[good++] = b->job[i];
	for (unsigned i = 0; i < good; i++)
		commit(t, b->job[i]);
	b->n = 0;
}

void *lcy_mover_main(void *arg)
{
	static void (*const step[])(struct lcy_mover *, struct lcy_batch *) = {
		[LCY_WORK_NAMES] = read_names, [LCY_WORK_COPY] = copy_files, [LCY_WORK_SYNC] = sync_files, [LCY_WORK_VERIFY] = finish_files,
	};
	struct lcy_mover *t = arg;
	struct lcy_batch b;

	static_assert(LCY_BATCH_NAMES <= LCY_BATCH_FILES && LCY_YIELD_FILES <= LCY_BATCH_FILES, "one array for all");
	if (!t->names_only) /* requests go first: a worker that wakes up does not wait for the end of a copy's turn */
		(void)setpriority(PRIO_PROCESS, (id_t)gettid(), MOVER_NICE);
	(void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 }); /* and a mover that wakes up interrupts nobody */
	lcy_yield_open(&t->seat);
	while (lcy_work_take(t, &b)) {
		lcy_yield_enter(&t->seat);
		step[b.work](t, &b);
		lcy_job_kick(t->all); /* once for all: to wake it for each of them costs as much as what it then does */
		lcy_yield_leave(&t->seat);
		lcy_work_done(t, &b);
	}
	lcy_yield_quit(&t->seat);
	return NULL;
}
