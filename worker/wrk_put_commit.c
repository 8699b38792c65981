/*
 * wrk_put_commit.c: from the client's commit to the supervisor's verdict. Process objmapper-worker, loop thread; freeze_run on
 * an I/O thread. wrk_put_batch.c has the part in the middle, where files get their names.
 *
 *	freeze   lease (a writer still open: again for commit_wait_ms), copy if the writer is not trusted, attribute, 0400
 *	PREPARE  precondition, reservation, id
 *	         (batch: link, sync)
 *	COMMIT   the record; the verdict is the client's answer
 *
 * Once it is frozen a session never goes back: TRY_AGAIN leaves it open, but another commit begins at PREPARE.
 */
#include "common/om_counter.h"
#include "common/om_fault.h"
#include "worker/wrk_put_int.h"

#define WAIT_FIRST_NS 2000000u

static void on_timer(void *arg)
{
	struct wrk_put *p = arg;

	p->again(p);
}

static void later(struct wrk_put *p, uint64_t ns, void (*again)(struct wrk_put *))
{
	p->timer.fn = on_timer;
	p->timer.arg = p;
	p->again = again;
	wrk_put_not_coming(p);
	wrk_timer_arm(&p->set->w->loop, &p->timer, om_now_ns() + ns);
}

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
			later(p, WAIT_FIRST_NS, wrk_put_freeze);
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

static const char *verdict_why(int status)
{
	switch (status) {
	case -OBJM_STATUS_PRECONDITION_FAILED:
		return "the condition does not hold: another version of the object stands (or none)";
	case -OBJM_STATUS_TRY_AGAIN:
		return "another change of the same object is under way: commit again";
	case -OBJM_STATUS_NO_SPACE:
		return "the tier has no space for the object, and none became free in time: delete objects, or try again";
	case -OBJM_STATUS_LIMIT_EXCEEDED:
		return "pinned objects may take half of a tier, and do";
	case -OBJM_STATUS_COLLISION:
		return "the URI's key is that of another URI: choose another one";
	default:
		return NULL;
	}
}

/* A user, as who reads the text knows him. */
static void user_text(uint32_t uid, char *ret, size_t cap)
{
	if (uid == OM_UID_NONE)
		(void)snprintf(ret, cap, "what came over TCP");
	else
		(void)snprintf(ret, cap, "uid %u", uid);
}

bool wrk_put_owner_limit(struct wrk_put *p, const struct om_op_verdict *v)
{
	unsigned long long limit = v->cur_id;
	char who[32];

	if (v->status != -OBJM_STATUS_LIMIT_EXCEEDED || v->cur_rev == OM_OWNER_OK)
		return false;
	om_count(OM_C_OWNER_LIMIT, 1);
	user_text(p->rec.uid, who, sizeof(who));
	switch (v->cur_rev) {
	case OM_OWNER_BYTES:
		(void)snprintf(p->why, sizeof(p->why), "%s: all objects together may have %llu bytes (limits.bytes_per_uid, or max_bytes of a "
			       "rule): with this one they would have more: delete some", who, limit);
		break;
	case OM_OWNER_OBJECTS:
		(void)snprintf(p->why, sizeof(p->why), "%s: %llu objects are as many as there may be (limits.objects_per_uid, or max_objects "
			       "of a rule): delete some", who, limit);
		break;
	case OM_OWNER_ROOM:
		(void)snprintf(p->why, sizeof(p->why), "%s: open puts may reserve %llu bytes together (limits.bytes_per_uid, or max_bytes of a "
			       "rule): commit or abort some", who, limit);
		break;
	default:
		(void)snprintf(p->why, sizeof(p->why), "%s: objects are owned by %llu users already, the most there may be", who, limit);
	}
	return true;
}

static void refused(struct wrk_put *p, const struct om_op_verdict *v)
{
	const char *why = verdict_why(v->status);

	p->err = 0;
	if (wrk_put_owner_limit(p, v)) {
		wrk_put_answer(p, v->status);
		return;
	}
	p->cur_id = v->cur_id;
	p->cur_rev = v->cur_rev;
	if (why)
		(void)snprintf(p->why, sizeof(p->why), "%s", why);
	else
		p->step = "the change was refused";
	wrk_put_answer(p, v->status);
}

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
	later(p, WRK_PUT_RETRY_NS, again);
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
		refused(p, v);
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

/* ---- COMMIT ---- */

static void on_committed(void *arg, const struct om_op_verdict *v)
{
	struct wrk_put *p = arg;

	wrk_put_pace_back(p);
	(void)om_fault(OM_FAULT_PUT_VERDICT);
	if (p->dead) {
		wrk_put_end(p); /* nobody was promised anything */
	} else if (v->status < 0) {
		refused(p, v); /* the supervisor has the file removed */
	} else {
		p->rec.rev = v->rev ? v->rev : p->rec.rev;
		wrk_put_answer(p, 0);
	}
}

void wrk_put_submit(struct wrk_put *p)
{
	if (p->dead) {
		wrk_ring_abort(p->set->w->ring, p->rec.id, 0);
		wrk_put_end(p);
		return;
	}
	p->state = WRK_PUT_SUBMIT;
	if (wrk_ring_commit(p->set->w->ring, &p->rec, on_committed, p, NULL) < 0) {
		/* Only the table of requests can be full, and answers empty it: the reservation waits. Not WAIT: an abort in
		 * between must not free what has an id. */
		later(p, WRK_PUT_RETRY_NS, wrk_put_submit);
		return;
	}
	wrk_put_pace_out(p);
	(void)om_fault(OM_FAULT_PUT_SUBMITTED);
}
