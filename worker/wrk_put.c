/*
 * wrk_put.c: what clients ask of put sessions, and are answered: BEGIN, commit, abort, the end of their owner. See wrk_put.h;
 * wrk_put_int.h lists the other files of this module. Process objmapper-worker, loop thread.
 */
#include "worker/wrk_put_int.h"
#include "worker/wrk_ticket.h"

#include "common/om_counter.h"

/* ---- owners, sessions ---- */

void wrk_put_owner_init(struct wrk_put_owner *o, uint32_t uid) { *o = (struct wrk_put_owner){ .uid = uid }; }

void wrk_put_owner_close(struct wrk_put_set *s, struct wrk_put_owner *o)
{
	while (o->first)
		wrk_put_abort(s, o->first);
}

void wrk_put_abort(struct wrk_put_set *s, struct wrk_put *p)
{
	(void)s;
	wrk_put_detach(p);
	p->dead = true;
	p->begun_fn = NULL;
	p->done_fn = NULL;
	/* Nobody else holds it in these states; in the others, and while it is being cut, the step that gets it back sees `dead`. */
	if (!p->job.busy && (p->state == WRK_PUT_OPEN || p->state == WRK_PUT_FEED || p->state == WRK_PUT_CUT || p->state == WRK_PUT_WAIT))
		wrk_put_end(p);
}

struct wrk_put *wrk_put_find(struct wrk_put_set *s, const struct wrk_put_owner *o, uint32_t session)
{
	uint32_t slot = session & WRK_PUT_SLOT_MASK;
	struct wrk_put *p = slot < s->n_slots ? s->slots[slot] : NULL;

	return p && p->number == session && p->owner == o && !p->is_inline ? p : NULL;
}

const struct om_rec *wrk_put_rec(const struct wrk_put *p) { return &p->rec; }

unsigned wrk_put_count(const struct wrk_put_set *s) { return s->n; }

/* ---- answers ---- */

static void answer_begun(struct wrk_put *p)
{
	struct wrk_put_begun b = {
		.status = p->status, .session = p->number, .fd = -1, .tier = p->tier ? p->tier->no : OM_TIER_NONE,
	};
	wrk_put_begun_fn *fn = p->begun_fn;
	void *arg = p->arg;

	if (p->status < 0) {
		b.text = wrk_put_text(p);
		om_count(OM_C_PUT_FAILED, 1);
		fn(arg, &b);
		if (!p->dead) /* fn may have closed its connection */
			wrk_put_detach(p);
		wrk_put_end(p);
		return;
	}
	om_count(OM_C_PUT_BEGUN, 1);
	p->begun = true;
	p->state = WRK_PUT_OPEN;
	b.fd = om_take_fd(&p->file.rwfd);
	wrk_put_watch(p->set);
	fn(arg, &b); /* p may be gone after this */
}

static void answer_done(struct wrk_put *p)
{
	struct wrk_put_done d = {
		.status = p->status, .session = p->number, .id = p->rec.id, .size = p->file.size, .mtime_ns = p->rec.mtime_ns,
		.expiry_s = p->rec.expiry_s, .rev = p->rec.rev, .flags = p->rec.flags,
		.tier = p->tier ? p->tier->no : OM_TIER_NONE, .durability = p->durability, .cur_id = p->cur_id,
		.cur_rev = p->cur_rev,
	};
	wrk_put_done_fn *fn = p->done_fn;
	bool again = (d.status == -OBJM_STATUS_WRITER_STILL_OPEN || d.status == -OBJM_STATUS_TRY_AGAIN) && !p->is_inline;
	void *arg = p->arg;
	char text[sizeof(p->why)] = "";

	om_count(d.status < 0 ? OM_C_PUT_FAILED : OM_C_PUT_DONE, 1);
	if (d.status < 0) {
		(void)snprintf(text, sizeof(text), "%s", wrk_put_text(p));
		d.text = text;
	}
	p->commit_asked = false;
	p->why[0] = '\0';
	p->step = NULL;
	if (again) {
		p->state = WRK_PUT_OPEN;
		if (!p->frozen)
			wrk_put_watch(p->set);
	} else {
		if (d.status == 0 && !p->synced && p->durability == OM_DUR_BATCH)
			wrk_put_behind_add(p);
		else
			wrk_put_end(p);
	}
	fn(arg, &d);
}

void wrk_put_answer_all(void *arg)
{
	struct wrk_put_set *s = arg;

	/* Those queued meanwhile have their turn in the next run: an owner that puts again at once must not hold the loop. */
	for (unsigned n = s->answers.n; n > 0; n--) {
		struct wrk_put *p = wrk_put_queue_take(&s->answers);

		if (p->dead) {
			wrk_put_end(p);
		} else if (p->begun || p->is_inline) {
			answer_done(p);
		} else {
			answer_begun(p);
		}
	}
	if (s->answers.n > 0)
		wrk_task_queue(&s->w->loop, &s->answer_task);
}

/* ---- BEGIN ---- */

static void begin_done(struct wrk_io_job *job);

static void begin_go(struct wrk_put *p)
{
	p->state = WRK_PUT_BEGIN;
	p->must_copy = !wrk_uid_trusted(p->set->w, p->user->uid) || !(p->tier->be.caps & OM_TIERC_LEASE);
	wrk_put_work(p, p->hint, wrk_put_begin_run, begin_done);
}

static void begin_failed(struct wrk_put *p)
{
	int status = p->status;
	char why[sizeof(p->why)];

	p->step = "a file cannot be begun";
	(void)snprintf(why, sizeof(why), "%s", wrk_put_text(p));
	if (wrk_put_other_tier(status)) {
		wrk_put_unchoose(p);
		p->why[0] = '\0';
		if (wrk_put_choose(p) == 0) {
			p->step = NULL;
			wrk_put_room(p, 0, begin_go);
			return;
		}
	}
	(void)snprintf(p->why, sizeof(p->why), "%s", why);
	wrk_put_answer(p, status);
}

static void begin_answer(struct wrk_put *p)
{
	p->begin_ready = false;
	if (p->ticket_limit == OM_ADMIT_OK) {
		wrk_put_answer(p, 0);
		return;
	}
	om_count(OM_C_PEER_LIMIT, 1);
	(void)snprintf(p->why, sizeof(p->why), p->ticket_limit == OM_ADMIT_LIMIT_UID ?
		"uid %u has as many puts open as limits.put_sessions_per_uid allows: commit or abort some" :
		"uid %u cannot begin a put: as many are open as limits.put_sessions allows: commit or abort some, or try again", p->user->uid);
	wrk_put_answer(p, -OBJM_STATUS_LIMIT_EXCEEDED);
}

static void begin_done(struct wrk_io_job *job)
{
	struct wrk_put *p = wrk_put_of_job(job);

	if (p->dead)
		wrk_put_end(p);
	else if (p->status < 0)
		begin_failed(p);
	else if (p->ticket_wait)
		p->begin_ready = true;
	else
		begin_answer(p);
}

/* The verdict of the supervisor, which counts open puts over all workers: it comes while the file is being made, or after. */
static void begin_ticket(void *arg, unsigned limit)
{
	struct wrk_put *p = arg;

	p->ticket_wait = false;
	p->ticket_limit = (uint8_t)limit;
	if (p->begin_ready && p->dead)
		wrk_put_end(p);
	else if (p->begin_ready)
		begin_answer(p);
}

int wrk_put_begin(struct wrk_put_set *s, struct wrk_put_owner *o, const struct wrk_put_req *req, wrk_put_begun_fn *fn,
		  void *arg, const char **ret_text)
{
	int status;
	struct wrk_put *p = wrk_put_session_new(s, o, req, &status);

	if (!p)
		return wrk_put_refuse(s, status, ret_text);
	status = wrk_put_choose(p);
	if (status < 0 && !(status == -OBJM_STATUS_NO_SPACE && p->full)) {
		(void)snprintf(s->text, sizeof(s->text), "%s", p->why);
		wrk_put_end(p);
		return wrk_put_refuse(s, status, ret_text);
	}
	p->begun_fn = fn;
	p->arg = arg;
	p->ticket = wrk_ticket_new(s->w, OM_ADMIT_PUT, o->uid, begin_ticket, p);
	p->ticket_wait = p->ticket != NULL; /* without one: the ring is full, and this worker's own bounds must do */
	wrk_put_room(p, status, begin_go);
	return 0;
}

/* ---- commit ---- */

int wrk_put_commit(struct wrk_put_set *s, struct wrk_put *p, wrk_put_done_fn *fn, void *arg, const char **ret_text)
{
	if (p->commit_asked || !p->begun || (p->state != WRK_PUT_OPEN && p->state != WRK_PUT_CUT)) {
		(void)snprintf(s->text, sizeof(s->text), "a commit of this put is under way already");
		return wrk_put_refuse(s, -OBJM_STATUS_TRY_AGAIN, ret_text);
	}
	p->commit_asked = true;
	p->done_fn = fn;
	p->arg = arg;
	p->commit_due_ns = om_now_ns() + s->w->boot.limits.commit_wait_ms * UINT64_C(1000000);
	if (p->state != WRK_PUT_CUT)
		wrk_put_freeze(p);
	else if (!p->job.busy) /* else when it has been cut */
		wrk_put_answer(p, -OBJM_STATUS_TOO_LARGE); /* p->why was set when it was */
	return 0;
}
