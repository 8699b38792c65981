/*
 * wrk_put.c: put sessions: their life, owners, BEGIN, commit asked for, answers. See wrk_put.h; wrk_put_int.h lists the
 * other files of this module. Process objmapper-worker, loop thread; the run functions on I/O threads.
 *
 * A session that nobody wants any more (`dead`) may still be in a job, a batch or the supervisor's hands: it is freed by the
 * step that gets it back. Until then it keeps its place in the table and in the bounds of its user.
 */
#include "worker/wrk_put_int.h"
#include "worker/wrk_ticket.h"

#include "common/om_counter.h"
#include "common/om_fault.h"

/* ---- queues ---- */

void wrk_put_queue_init(struct wrk_put_queue *q) { *q = (struct wrk_put_queue){ .last = &q->first }; }

void wrk_put_queue_add(struct wrk_put_queue *q, struct wrk_put *p)
{
	p->next = NULL;
	*q->last = p;
	q->last = &p->next;
	q->n++;
}

struct wrk_put *wrk_put_queue_take(struct wrk_put_queue *q)
{
	struct wrk_put *p = q->first;

	if (!p)
		return NULL;
	q->first = p->next;
	if (!q->first)
		q->last = &q->first;
	p->next = NULL;
	q->n--;
	return p;
}

/* ---- owners ---- */

void wrk_put_owner_init(struct wrk_put_owner *o, uint32_t uid) { *o = (struct wrk_put_owner){ .uid = uid }; }

static void own(struct wrk_put *p, struct wrk_put_owner *o)
{
	p->owner = o;
	p->next_owned = o->first;
	p->prevp_owned = &o->first;
	if (o->first)
		o->first->prevp_owned = &p->next_owned;
	o->first = p;
	o->n++;
}

void wrk_put_detach(struct wrk_put *p)
{
	if (!p->owner)
		return;
	*p->prevp_owned = p->next_owned;
	if (p->next_owned)
		p->next_owned->prevp_owned = p->prevp_owned;
	p->owner->n--;
	p->owner = NULL;
}

void wrk_put_owner_close(struct wrk_put_set *s, struct wrk_put_owner *o)
{
	while (o->first)
		wrk_put_abort(s, o->first);
}

/* ---- sessions ---- */

int wrk_put_refuse(struct wrk_put_set *s, int status, const char **ret_text)
{
	*ret_text = s->text;
	om_count(OM_C_PUT_FAILED, 1);
	return status;
}

static bool copy_request(struct wrk_put *p, uint32_t uid, const struct wrk_put_req *req)
{
	size_t n = (size_t)req->uri_len + req->type_len + req->meta_len;

	p->text = malloc(n);
	if (!p->text)
		return false;
	memcpy(p->text, req->uri, req->uri_len);
	if (req->type_len > 0)
		memcpy(p->text + req->uri_len, req->type, req->type_len);
	if (req->meta_len > 0)
		memcpy(p->text + req->uri_len + req->type_len, req->meta, req->meta_len);
	p->rec = (struct om_rec){
		.rev = 1, .flags = req->flags & OM_OBJ_FLAGS_ALL, .uid = uid == OM_UID_OLD ? OM_UID_NONE : uid, .uri_len = req->uri_len, .type_len = req->type_len,
		.meta_len = req->meta_len, .uri = p->text, .type = p->text + req->uri_len,
		.meta = (const unsigned char *)p->text + req->uri_len + req->type_len,
	};
	p->cond = (struct om_op_cond){ .id = req->cond_id, .rev = req->cond_rev, .kind = req->cond_kind };
	p->hint = req->size_hint;
	p->ttl_s = req->ttl_s;
	p->durability = req->durability;
	return true;
}

/* The bounds of the table and of the user. @return the user, held; NULL with *ret_status and s->text */
static struct wrk_put_user *admit(struct wrk_put_set *s, uint32_t uid, int *ret_status)
{
	const struct om_boot_limits *l = &s->w->boot.limits;
	struct wrk_put_user *u;

	*ret_status = -OBJM_STATUS_LIMIT_EXCEEDED;
	if (s->n_free == 0) {
		om_count(OM_C_PEER_LIMIT, 1);
		(void)snprintf(s->text, sizeof(s->text), "%u puts are open, the most that limits.put_sessions allows this worker: "
			       "commit or abort some, or try again", s->n);
		return NULL;
	}
	u = wrk_put_user_get(s, uid);
	if (!u) {
		*ret_status = -OBJM_STATUS_OUT_OF_MEMORY;
		(void)snprintf(s->text, sizeof(s->text), "no memory for another put session");
		return NULL;
	}
	if (u->refused_until_ns > om_now_ns()) {
		(void)snprintf(s->text, sizeof(s->text), "puts of uid %u are refused for a while, because one took more space than "
			       "it announced", uid);
	} else if (u->n >= l->put_sessions_per_uid) {
		om_count(OM_C_PEER_LIMIT, 1);
		(void)snprintf(s->text, sizeof(s->text), "uid %u has %u puts open, the most that limits.put_sessions_per_uid "
			       "allows: commit or abort some", uid, u->n);
	} else {
		return u;
	}
	wrk_put_user_put(s, u);
	return NULL;
}

struct wrk_put *wrk_put_session_new(struct wrk_put_set *s, struct wrk_put_owner *o, const struct wrk_put_req *req,
				    int *ret_status)
{
	struct wrk_put_user *u = admit(s, o->uid, ret_status);
	struct wrk_put *p = u ? calloc(1, sizeof(*p)) : NULL;

	if (!u)
		return NULL;
	if (!p || !copy_request(p, o->uid, req)) {
		free(p);
		wrk_put_user_put(s, u);
		*ret_status = -OBJM_STATUS_OUT_OF_MEMORY;
		(void)snprintf(s->text, sizeof(s->text), "no memory for another put session");
		return NULL;
	}
	p->set = s;
	p->user = u;
	u->n++;
	p->file = BE_FILE_INIT;
	p->slot = s->free_slots[--s->n_free];
	s->slots[p->slot] = p;
	s->gens[p->slot]++;
	p->number = p->slot | s->gens[p->slot] << WRK_PUT_SLOT_BITS;
	s->n++;
	own(p, o);
	om_gauge(OM_C_PUT_OPEN, s->n);
	return p;
}

void wrk_put_release(struct wrk_put *p)
{
	struct wrk_put_set *s = p->set;

	if (p->slot == UINT32_MAX)
		return;
	wrk_put_detach(p);
	wrk_put_room_end(p); /* its number is the slot's */
	wrk_ticket_drop(p->ticket);
	p->ticket = NULL;
	s->slots[p->slot] = NULL;
	s->free_slots[s->n_free++] = p->slot;
	p->slot = UINT32_MAX;
	wrk_put_inline_drop(p);
	p->user->n--;
	wrk_put_user_put(s, p->user);
	p->user = NULL;
	wrk_put_unhint(p);
}

#define DROP_BYTES (1u << 20)

/*
 * May letting the file go keep the loop waiting? A network filesystem writes back what is left, or empties the file; of a
 * nameless file all blocks or pages are freed by its last close (tmpfs: 0.1 s for a GiB).
 */
static bool drops_slowly(const struct wrk_put *p)
{
	const struct be_file *f = &p->file;

	if (!p->tier || (f->fd < 0 && f->rwfd < 0) || !p->set->w->io)
		return false;
	return p->set->w->tiers[p->tier->no].row.type == OM_TIER_NETWORK || (!f->id && be_allocated(f) > DROP_BYTES);
}

static void drop_run(struct wrk_io_job *job) { be_drop(&wrk_put_of_job(job)->file); }

static void drop_done(struct wrk_io_job *job) { free(wrk_put_of_job(job)); }

void wrk_put_end(struct wrk_put *p)
{
	struct wrk_put_set *s = p->set;
	bool slow = drops_slowly(p);

	OM_ASSERT(!p->job.busy);
	wrk_put_release(p);
	wrk_timer_disarm(&s->w->loop, &p->timer);
	wrk_put_not_coming(p);
	wrk_put_unchoose(p);
	s->n--;
	om_gauge(OM_C_PUT_OPEN, s->n);
	free(p->text);
	p->job.run = drop_run;
	p->job.done = drop_done;
	if (slow && wrk_io_submit(s->w->io, WRK_IO_WRITE, &p->job) == 0)
		return;
	be_drop(&p->file);
	free(p);
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

unsigned wrk_put_count(const struct wrk_put_set *s) { return s->n; }

/* ---- answers ---- */

const char *wrk_put_text(struct wrk_put *p)
{
	if (p->why[0])
		return p->why;
	if (p->step)
		(void)snprintf(p->why, sizeof(p->why), "%s on tier %s: %s", p->step, wrk_put_tier_name(p),
			       p->err ? strerror(p->err) : om_status_text(p->status));
	else
		(void)snprintf(p->why, sizeof(p->why), "%s", om_status_text(p->status));
	return p->why;
}

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

void wrk_put_answer(struct wrk_put *p, int status)
{
	p->status = status;
	p->state = WRK_PUT_ANSWER;
	wrk_put_not_coming(p);
	wrk_put_queue_add(&p->set->answers, p);
	wrk_task_queue(&p->set->w->loop, &p->set->answer_task);
}

/* ---- steps ---- */

void wrk_put_work(struct wrk_put *p, uint64_t bytes, void (*run)(struct wrk_io_job *), void (*done)(struct wrk_io_job *))
{
	p->job.run = run;
	p->job.done = done;
	if (!(p->tier->memory && bytes <= WRK_PUT_LOOP_BYTES) && wrk_io_submit(p->set->w->io, WRK_IO_WRITE, &p->job) == 0)
		return;
	/* On a memory tier a few microseconds; with a pool that is full to its bound nothing better is left. */
	run(&p->job);
	done(&p->job);
}

static void begin_done(struct wrk_io_job *job);

static void begin_go(struct wrk_put *p)
{
	p->state = WRK_PUT_BEGIN;
	p->must_copy = !wrk_uid_trusted(p->set->w, p->user->uid) || !(p->tier->be.caps & OM_TIERC_LEASE);
	wrk_put_work(p, p->hint, wrk_put_begin_run, begin_done);
}

/* I/O thread, or the loop. */
void wrk_put_begin_run(struct wrk_io_job *job)
{
	struct wrk_put *p = wrk_put_of_job(job);
	int err;

	/* An inline payload is written at once, and by us: reserving first would only cost. */
	p->status = p->is_inline ? be_begin_own(&p->tier->be, &p->file) : be_begin(&p->tier->be, p->hint, &p->file);
	p->err = p->status < 0 ? errno : 0;
	if (p->status < 0)
		return;
	err = om_fault(OM_FAULT_PUT_BEGUN);
	if (err != 0) {
		be_drop(&p->file);
		p->err = err;
		p->status = -om_status_errno(err);
	}
}

bool wrk_put_other_tier(int status)
{
	return status == -OBJM_STATUS_NO_SPACE || status == -OBJM_STATUS_TOO_LARGE || status == -OBJM_STATUS_READ_ONLY;
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

const struct om_rec *wrk_put_rec(const struct wrk_put *p) { return &p->rec; }

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
