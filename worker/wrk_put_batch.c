/*
 * wrk_put_batch.c: giving files their names and making them durable, all that wait on a tier at once. Process
 * objmapper-worker; link_run and behind_run on I/O threads, the rest in the loop.
 *
 * A tier has at most one batch under way; what comes meanwhile is the next one. So under load batches grow by themselves and
 * one syncfs carries many puts; when the next one begins is wrk_put_pace.c's; a single client never waits for others. be_link() and be_sync() of one struct be therefore never
 * run at once. Puts that were acknowledged before they were durable (durability batch) are synced by a second job, with a
 * struct be of its own, so that the next acknowledgements do not wait for them.
 */
#include "common/om_counter.h"
#include "common/om_fault.h"
#include "worker/wrk_put_int.h"

static void behind_kick(struct wrk_put_tier *t);

/* ---- the batch ---- */

static int fail_with(struct wrk_put *p, int err)
{
	p->err = err;
	return -om_status_errno(err);
}

/* I/O thread, or the loop. p->status of a failed link is never STORAGE: to the supervisor that means a failed sync. */
static void link_one(struct wrk_put_tier *t, struct wrk_put *p)
{
	p->status = be_link(&t->be, &p->file, p->rec.id, &p->rec);
	p->err = p->status < 0 ? errno : 0;
	if (p->status == 0) {
		int err = om_fault(OM_FAULT_PUT_LINKED);
		if (err != 0)
			p->status = fail_with(p, err);
	}
	if (p->status == -OBJM_STATUS_STORAGE)
		p->status = -OBJM_STATUS_INTERNAL;
}

static void link_run(struct wrk_io_job *job)
{
	struct wrk_put_tier *t = (struct wrk_put_tier *)((char *)job - offsetof(struct wrk_put_tier, job));
	struct be_file *files[WRK_PUT_BATCH_MAX];
	unsigned n = 0;

	t->sync_status = 0;
	for (unsigned i = 0; i < t->n_batch; i++) {
		struct wrk_put *p = t->batch[i];

		p->synced = false;
		if (t->be.failed)
			t->sync_status = -OBJM_STATUS_STORAGE; /* of an earlier sync: no name is given any more */
		else
			link_one(t, p);
		if (t->sync_status == 0 && p->status == 0 && p->sync_now) {
			files[n++] = &p->file;
			p->synced = true;
		}
	}
	t->sync_errno = EIO;
	t->took_ns = 0;
	if (t->sync_status == 0) {
		uint64_t began = om_now_ns();
		t->sync_status = be_sync(&t->be, files, n);
		t->sync_errno = errno;
		t->took_ns = n > 0 ? om_now_ns() - began : 0;
	}
	if (t->sync_status == 0)
		(void)om_fault(OM_FAULT_PUT_DURABLE);
}

static void batch_failed(struct wrk_put *p, int status)
{
	wrk_ring_abort(p->set->w->ring, p->rec.id, status);
	if (p->dead) {
		wrk_put_end(p);
		return;
	}
	p->step = status == -OBJM_STATUS_STORAGE ? "the object cannot be made durable" : "the object's file cannot get its name";
	wrk_put_answer(p, status == -OBJM_STATUS_INTERNAL ? -OBJM_STATUS_STORAGE : status);
}

static void link_done(struct wrk_io_job *job)
{
	struct wrk_put_tier *t = (struct wrk_put_tier *)((char *)job - offsetof(struct wrk_put_tier, job));
	unsigned n = t->n_batch;

	if (t->sync_status < 0)
		om_log(OM_MSG_OBJECT_IO, "tier %s: %u puts cannot be made durable: %s: the tier takes no more writes",
		       t->set->w->tiers[t->no].row.name, n, strerror(t->sync_errno));
	t->n_batch = 0;
	wrk_put_pace_synced(t);
	for (unsigned i = 0; i < n; i++) {
		struct wrk_put *p = t->batch[i];

		if (t->sync_status < 0) {
			p->err = t->sync_errno;
			batch_failed(p, -OBJM_STATUS_STORAGE);
		} else if (p->status < 0 || p->dead) {
			batch_failed(p, p->status);
		} else {
			wrk_put_submit(p);
		}
	}
	if (t->queue.n > 0)
		wrk_task_queue(&t->set->w->loop, &t->task);
}

static void batch_go(void *arg)
{
	struct wrk_put_tier *t = arg;

	if (t->n_batch > 0 || wrk_put_pace_waits(t))
		return; /* link_done(), or who was waited for, comes back here */
	while (t->queue.n > 0 && t->n_batch < WRK_PUT_BATCH_MAX) {
		struct wrk_put *p = wrk_put_queue_take(&t->queue);

		if (!p->dead) {
			p->status = 0;
			p->sync_now = p->durability == OM_DUR_SYNC ||
				      (p->durability == OM_DUR_BATCH && t->behind_queue.n >= WRK_PUT_BEHIND_MAX);
			t->batch[t->n_batch++] = p;
			continue;
		}
		wrk_ring_abort(p->set->w->ring, p->rec.id, 0);
		wrk_put_end(p);
	}
	if (t->n_batch == 0)
		return;
	if (!t->memory && wrk_io_submit(t->set->w->io, WRK_IO_WRITE, &t->job) == 0)
		return;
	link_run(&t->job); /* a memory tier: a link is a few microseconds and nothing is synced */
	link_done(&t->job);
}

void wrk_put_batch_add(struct wrk_put *p)
{
	p->state = WRK_PUT_QUEUED;
	wrk_put_not_coming(p);
	wrk_put_pace_joined(p);
	wrk_put_queue_add(&p->tier->queue, p);
	wrk_task_queue(&p->set->w->loop, &p->tier->task); /* at the end of the turn: what else came in it joins */
}

/* ---- behind ---- */

static void behind_run(struct wrk_io_job *job)
{
	struct wrk_put_tier *t = (struct wrk_put_tier *)((char *)job - offsetof(struct wrk_put_tier, behind_job));
	struct be_file *files[WRK_PUT_BEHIND_MAX];

	for (unsigned i = 0; i < t->n_behind; i++)
		files[i] = &t->behind_batch[i]->file;
	t->behind_status = be_sync(&t->behind, files, t->n_behind);
	t->behind_errno = t->behind_status < 0 ? errno : 0;
}

static void behind_done(struct wrk_io_job *job)
{
	struct wrk_put_tier *t = (struct wrk_put_tier *)((char *)job - offsetof(struct wrk_put_tier, behind_job));
	unsigned n = t->n_behind;

	if (t->behind_status < 0) {
		/* The next batch sees it, fails, and its ABORT tells the supervisor. (t->be is the batch's job's while it runs:
		 * a plain flag that only ever becomes true.) */
		__atomic_store_n(&t->be.failed, true, __ATOMIC_RELAXED);
		om_log(OM_MSG_OBJECT_IO, "tier %s: %u puts that were acknowledged (durability: batch) cannot be made durable: %s: the "
		       "tier takes no more writes; after a crash these objects may be missing or damaged",
		       t->set->w->tiers[t->no].row.name, n, strerror(t->behind_errno));
	}
	t->n_behind = 0;
	for (unsigned i = 0; i < n; i++)
		wrk_put_end(t->behind_batch[i]);
	behind_kick(t);
}

static void behind_kick(struct wrk_put_tier *t)
{
	if (t->n_behind > 0)
		return;
	while (t->behind_queue.n > 0 && t->n_behind < WRK_PUT_BEHIND_MAX)
		t->behind_batch[t->n_behind++] = wrk_put_queue_take(&t->behind_queue);
	if (t->n_behind == 0)
		return;
	if (wrk_io_submit(t->set->w->io, WRK_IO_WRITE, &t->behind_job) < 0) {
		behind_run(&t->behind_job);
		behind_done(&t->behind_job);
	}
}

void wrk_put_behind_add(struct wrk_put *p)
{
	struct wrk_put_tier *t = p->tier;

	wrk_put_release(p);
	p->state = WRK_PUT_BEHIND;
	wrk_put_queue_add(&t->behind_queue, p);
	behind_kick(t);
}

/* ---- */

void wrk_put_batch_init(struct wrk_put_tier *t)
{
	wrk_put_queue_init(&t->queue);
	wrk_put_queue_init(&t->behind_queue);
	t->task = WRK_TASK_INIT(batch_go, t);
	wrk_put_pace_init(t);
	t->job = (struct wrk_io_job){ .run = link_run, .done = link_done };
	t->behind_job = (struct wrk_io_job){ .run = behind_run, .done = behind_done };
}
