/*
 * wrk_put_freeze.c: from the client's commit to the object's id. Process objmapper-worker, loop thread; freeze_run on an I/O
 * thread. Then come wrk_put_batch.c, where files get their names, and wrk_put_commit.c.
 *
 *	freeze   lease (a writer still open: again for commit_wait_ms), copy if the writer is not trusted, attribute, 0400
 *	PREPARE  precondition, reservation, id
 *
 * Once it is frozen a session never goes back: TRY_AGAIN leaves it open, but another commit begins at PREPARE.
 */
#include "common/om_counter.h"
#include "common/om_fault.h"
#include "worker/wrk_put_int.h"

#define WAIT_FIRST_NS 2000000u

/* ---- freeze ---- */

/* Replace the file by a copy that no client ever held. */
static int take_copy(struct wrk_put *p)
{
	struct be_file copy;
	int rc = be_copy(&p->tier->be, &p->file, &copy);

	if (rc < 0)
		return rc;
	be_drop(&p->file);
	p->file = copy;
	p->copied = true;
	return 0;
}

static void stamp(struct wrk_put *p)
{
	p->rec.mtime_ns = om_wall_ns();
	p->rec.expiry_s = p->ttl_s ? p->rec.mtime_ns / 1000000000u + p->ttl_s : 0;
}

int wrk_put_freeze_now(struct wrk_put *p)
{
	int status = be_quiet(&p->tier->be, &p->file), err;

	if (status == 0 && p->must_copy && !p->copied)
		status = take_copy(p);
	if (status == 0) {
		stamp(p);
		status = be_freeze(&p->tier->be, &p->file, &p->rec);
	}
	p->err = status < 0 ? errno : 0;
	if (status < 0)
		return status;
	err = om_fault(OM_FAULT_PUT_FROZEN);
	p->err = err;
	return err ? -om_status_errno(err) : 0;
}

/* I/O thread, or the loop. */
static void freeze_run(struct wrk_io_job *job)
{
	struct wrk_put *p = wrk_put_of_job(job);

	p->status = wrk_put_freeze_now(p);
}

static void freeze_done(struct wrk_io_job *job)
{
	struct wrk_put *p = wrk_put_of_job(job);

	if (p->dead)
		wrk_put_end(p);
	else
		wrk_put_freeze_done(p);
}

static void prepare(struct wrk_put *p); /* frozen: PREPARE */

void wrk_put_freeze_done(struct wrk_put *p)
{
	if (p->status == 0) {
		p->frozen = true;
		if (p->copied)
			om_count(OM_C_PUT_COPIED, 1);
		prepare(p);
		return;
	}
	if (p->status == -OBJM_STATUS_WRITER_STILL_OPEN) {
		/* Closing is often under way: a descriptor in flight, a child that forked. */
		if (om_now_ns() < p->commit_due_ns) {
			p->state = WRK_PUT_WAIT;
			wrk_put_later(p, WAIT_FIRST_NS, wrk_put_freeze);
			return;
		}
		(void)snprintf(p->why, sizeof(p->why), "the object's writable descriptor, or a shared writable mapping of it, is still "
			       "open somewhere (a forked child, a thread that writes?): close it and commit again");
		wrk_put_answer(p, p->status);
		return;
	}
	p->step = "the object's file cannot be completed";
	if (p->status == -OBJM_STATUS_STORAGE)
		om_log_about(OM_MSG_OBJECT_IO, &(struct om_log_about){ .uri = p->rec.uri, .uri_len = p->rec.uri_len, .tier = wrk_put_tier_name(p) },
			     "tier %s: the file of a put cannot be completed: %s", wrk_put_tier_name(p),
		       strerror(p->err));
	wrk_put_answer(p, p->status);
}

void wrk_put_freeze(struct wrk_put *p)
{
	struct be_file *f = &p->file;

	p->state = WRK_PUT_WORK;
	if (p->frozen) {
		prepare(p);
		return;
	}
	om_close(&f->rwfd); /* one that was never passed on */
	/* A copy takes as long as its bytes; without one it is a handful of system calls. */
	wrk_put_work(p, p->must_copy ? be_allocated(f) : 0, freeze_run, freeze_done);
}

/* ---- PREPARE ---- */

/* The ring or the key is busy: again soon, for a while. False: long enough. */
static bool again_soon(struct wrk_put *p, void (*again)(struct wrk_put *))
{
	uint64_t now = om_now_ns();

	if (p->retry_due_ns == 0)
		p->retry_due_ns = now + WRK_PUT_RETRY_MAX_NS;
	if (now >= p->retry_due_ns) {
		p->retry_due_ns = 0;
		return false;
	}
	p->state = WRK_PUT_WAIT;
	wrk_put_later(p, WRK_PUT_RETRY_NS, again);
	return true;
}

static void on_prepared(void *arg, const struct om_op_verdict *v)
{
	struct wrk_put *p = arg;
	int err = 0;

	if (v->status == 0 && (p->dead || (err = om_fault(OM_FAULT_PUT_PREPARED)) != 0)) {
		wrk_ring_abort(p->set->w->ring, v->id, 0);
		if (!p->dead) {
			p->err = err;
			p->step = "the object cannot get its name";
			wrk_put_answer(p, -om_status_errno(err));
			return;
		}
	}
	if (p->dead) {
		wrk_put_end(p);
		return;
	}
	if (v->status == -OBJM_STATUS_TRY_AGAIN && again_soon(p, prepare))
		return;
	if (v->status < 0) {
		wrk_put_refused(p, v);
		return;
	}
	p->retry_due_ns = 0;
	wrk_put_room_taken(p);
	p->rec.id = v->id;
	p->rec.rev = v->rev ? v->rev : 1;
	wrk_put_batch_add(p);
}

static void prepare(struct wrk_put *p)
{
	struct wrk_ring_prepare m = {
		.uri = p->rec.uri, .uri_len = p->rec.uri_len, .tier = p->tier->no, .cond_kind = p->cond.kind,
		.cond_id = p->cond.id, .cond_rev = p->cond.rev, .flags = p->rec.flags, .uid = p->rec.uid,
		.size = p->file.size, .room = wrk_put_room_no(p),
	};

	p->rec.size = p->file.size;
	p->state = WRK_PUT_ASK;
	if (wrk_ring_prepare(p->set->w->ring, &m, on_prepared, p, NULL) == 0)
		return;
	if (again_soon(p, prepare))
		return;
	(void)snprintf(p->why, sizeof(p->why), "too many changes are under way: commit again");
	wrk_put_answer(p, -OBJM_STATUS_TRY_AGAIN);
}
