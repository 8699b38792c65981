/*
 * wrk_put_session.c: one put session: made within its bounds, its steps, its end. Process objmapper-worker, loop thread; the run
 * functions on I/O threads. What it goes through is told in the files above this one, from wrk_put.c on; nothing here calls them.
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

static void on_timer(void *arg)
{
	struct wrk_put *p = arg;

	p->again(p);
}

void wrk_put_later(struct wrk_put *p, uint64_t ns, void (*again)(struct wrk_put *))
{
	p->timer.fn = on_timer;
	p->timer.arg = p;
	p->again = again;
	wrk_put_not_coming(p);
	wrk_timer_arm(&p->set->w->loop, &p->timer, om_now_ns() + ns);
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
