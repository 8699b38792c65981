/*
 * sup_engine_set.c: SET: flags, expiry, content type and metadata of an object change, its bytes and its id stay.
 * Publisher's thread, but for sup_set_merge() (a catalog reader).
 *
 * An op of the key, so nothing else changes the object meanwhile. Its steps:
 *
 *   READ    a catalog reader finds the records that stand; the condition is judged; the new record is made
 *   ATTR    the lifecycle process writes it into the home's file, as durable as the tier is
 *   COMMIT  the home's record, then a cached copy's
 *   then published like any change: the generation is odd from before the first commit until the index has it
 *
 * The file comes first, so that an acknowledged change is in the file whatever happens: a catalog made again from the files
 * has it. A crash between the two leaves a file that is a revision ahead of its record: nobody was told of it, and the next
 * SET writes over it. Between the two commits it leaves a copy that is behind; the home's record counts (idx_cat_rec_wins).
 *
 * A lifecycle process that dies is asked again when the next one is there; what has not been handed over by then waits
 * SUP_SET_WAIT_NS and gives up.
 */
#include "common/om_fault.h"
#include "supervisor/sup_engine_answer.h"
#include "supervisor/sup_engine_ask.h"
#include "supervisor/sup_engine_job.h"
#include "supervisor/sup_engine_room.h"

#define SUP_SET_FLIGHT 64u /* files at the lifecycle process; others wait their turn */
#define SUP_SET_WAIT_NS UINT64_C(5000000000)

struct sup_set {
	struct om_op_set want;
	uint64_t ask; /* of the main loop's question; 0: a worker's request */
	uint64_t cookie, due_ns;
	bool sent;
	struct sup_op *next; /* in e->set_wait */
	/* READ */
	uint32_t tiers;	  /* bit mask of tier indices that hold the version */
	uint64_t cur_id;  /* what stands, for PRECONDITION_FAILED */
	uint32_t cur_rev;
	bool pins; /* it becomes pinned */
	void *text; /* strings of the new record */
};

/* ---- the request ---- */

static void set_free(struct sup_set *set)
{
	if (set)
		free(set->text);
	free(set);
}

static bool shape_ok(const struct om_op_set *m, size_t len)
{
	const char *uri = (const char *)(m + 1);

	return len == sizeof(*m) + (size_t)m->uri_len + m->type_len + m->meta_len && om_uri_valid(uri, m->uri_len) &&
	       m->cond.kind != OM_COND_ABSENT && m->cond.kind < OM_COND_COUNT && m->type_len <= OM_TYPE_MAX &&
	       om_meta_valid(uri + m->uri_len + m->type_len, m->meta_len) && !((m->flags | m->flags_mask) & ~OM_OBJ_FLAGS_ALL);
}

/* 0, or what to answer at once. */
static int submit(struct sup_engine *e, const struct om_op_set *m, unsigned place, uint32_t serial, uint64_t ask)
{
	const char *uri = (const char *)(m + 1);
	struct om_rec rec = { .uri = uri, .uri_len = m->uri_len, .type = uri + m->uri_len, .type_len = m->type_len,
			      .meta = (const unsigned char *)uri + m->uri_len + m->type_len, .meta_len = m->meta_len };
	struct sup_op *op = sup_op_new(SUP_OP_SET, &rec);
	struct sup_key *key;

	if (!op)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	op->set = calloc(1, sizeof(*op->set));
	idx_key_make(sup_engine_secret(e), uri, m->uri_len, &op->ikey);
	key = op->set ? sup_key_find(e, &op->ikey, true) : NULL;
	if (!key || key->n_wait >= SUP_KEY_WAIT_MAX) {
		set_free(op->set);
		free(op);
		if (key)
			sup_key_go(e, key);
		return key ? -OBJM_STATUS_TRY_AGAIN : -OBJM_STATUS_OUT_OF_MEMORY;
	}
	op->set->want = *m;
	op->set->ask = ask;
	op->place = place;
	op->serial = serial;
	op->req = m->hdr.req;
	op->key = key;
	e->n_sets++;
	sup_op_submit(e, op);
	return 0;
}

bool sup_set_take(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_set *m = msg;
	int err;

	if (!shape_ok(m, len))
		return sup_msg_broken(c, "bad SET");
	err = submit(c->e, m, c->place, c->child->serial, 0);
	if (err < 0)
		sup_msg_answer(c, m->hdr.req, err);
	return true;
}

void sup_set_asked(struct sup_engine *e, struct sup_job *job)
{
	int err = submit(e, (const struct om_op_set *)job->msg.bytes, 0, 0, job->msg.hdr.req);

	if (err < 0)
		sup_ask_fail(e, job->msg.hdr.req, err);
	free(job);
}

/* ---- READ ---- */

static void fail(struct sup_engine *e, struct sup_op *op, int status)
{
	op->status = status;
	sup_op_planned(e, op, false);
}

void sup_set_begin(struct sup_engine *e, struct sup_op *op)
{
	struct sup_job *job = calloc(1, sizeof(*job));

	if (!job) {
		fail(e, op, -OBJM_STATUS_OUT_OF_MEMORY);
		return;
	}
	job->kind = SUP_JOB_SET;
	job->ops = op;
	sup_job_queue(e, job);
}

static int judge(const struct om_op_set *w, const struct om_rec *rec)
{
	uint32_t flags = (rec->flags & ~w->flags_mask) | (w->flags & w->flags_mask);

	if (w->cond.kind == OM_COND_VERSION && (w->cond.id != rec->id || (w->cond.rev && w->cond.rev != rec->rev)))
		return -OBJM_STATUS_PRECONDITION_FAILED;
	if ((flags ^ rec->flags) & OM_OBJ_EPHEMERAL)
		return -OBJM_STATUS_INVALID_REQUEST;
	if ((flags ^ rec->flags) & w->flags_keep)
		return -OBJM_STATUS_PERMISSION_DENIED;
	return rec->rev == UINT32_MAX ? -OBJM_STATUS_LIMIT_EXCEEDED : 0;
}

/* The new record, with strings of its own. The request's type and metadata are in op->rec until then. */
static int merge(struct sup_op *op, const struct om_rec *rec)
{
	struct sup_set *set = op->set;
	const struct om_op_set *w = &set->want;
	struct om_rec now = *rec;
	char *to;

	if (w->has_type) {
		now.type = op->rec.type;
		now.type_len = op->rec.type_len;
	}
	if (w->has_meta) {
		now.meta = op->rec.meta;
		now.meta_len = op->rec.meta_len;
	}
	if (w->has_expiry)
		now.expiry_s = w->expiry_s;
	now.flags = (rec->flags & ~w->flags_mask) | (w->flags & w->flags_mask);
	now.rev = rec->rev + 1;
	to = malloc((size_t)now.uri_len + now.type_len + now.meta_len + 1);
	if (!to)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	set->text = to;
	now.uri = memcpy(to, now.uri, now.uri_len);
	to += now.uri_len;
	now.type = now.type_len ? memcpy(to, now.type, now.type_len) : to;
	to += now.type_len;
	now.meta = now.meta_len ? memcpy(to, now.meta, now.meta_len) : (const unsigned char *)to;
	set->pins = (now.flags & OM_OBJ_PINNED) && !(rec->flags & OM_OBJ_PINNED);
	op->rec = now;
	return 0;
}

void sup_set_merge(struct sup_op *op, int status, const struct om_rec *rec, uint32_t tiers)
{
	struct sup_set *set = op->set;

	if (status == -OBJM_STATUS_NOT_FOUND && set->want.cond.kind == OM_COND_VERSION)
		status = -OBJM_STATUS_PRECONDITION_FAILED; /* the version is not there: what stands is nothing */
	if (status == 0) {
		set->cur_id = rec->id;
		set->cur_rev = rec->rev;
		set->tiers = tiers;
		status = judge(&set->want, rec);
	}
	op->status = status < 0 ? status : merge(op, rec);
}

/* ---- ATTR ---- */

static int home_fit(const struct sup_engine *e, const struct sup_op *op)
{
	const struct sup_tier *t = op->rec.home < OM_TIERS_MAX ? e->tier_by_no[op->rec.home] : NULL;

	if (!t || !t->cat)
		return -OBJM_STATUS_UNAVAILABLE;
	switch (sup_tier_state(t)) {
	case OM_TIERS_ABSENT:
		return -OBJM_STATUS_UNAVAILABLE;
	case OM_TIERS_READONLY: /* one that is drained takes no new objects; what holds an object there can still be taken away */
		return sup_tier_drained(t) && !op->set->pins ? 0 : -OBJM_STATUS_READ_ONLY;
	case OM_TIERS_FAILED:
		return -OBJM_STATUS_STORAGE;
	default:
		return op->set->pins ? sup_pin_fits(e, t, op->rec.size) : 0;
	}
}

static void send_attr(struct sup_engine *e, struct sup_op *op)
{
	static union {
		struct om_op_attr m;
		unsigned char bytes[sizeof(struct om_op_attr) + OM_URI_MAX + OM_TYPE_MAX + OM_META_MAX];
	} buf; /* the publisher is one thread */
	const struct om_rec *r = &op->rec;
	const struct sup_tier *t = e->tier_by_no[r->home];
	unsigned char *to = buf.bytes + sizeof(buf.m);

	buf.m = (struct om_op_attr){
		.hdr = { .type = OM_OP_ATTR, .req = op->set->cookie }, .id = r->id, .mtime_ns = r->mtime_ns, .expiry_s = r->expiry_s,
		.flags = r->flags, .rev = r->rev, .tier = t->no, .durable = sup_tier_live(t).durability != OM_DUR_NONE,
		.uri_len = r->uri_len, .type_len = r->type_len, .meta_len = r->meta_len, .uid = r->uid,
	};
	memcpy(to, r->uri, r->uri_len);
	to += r->uri_len;
	if (r->type_len)
		memcpy(to, r->type, r->type_len);
	to += r->type_len;
	if (r->meta_len)
		memcpy(to, r->meta, r->meta_len);
	to += r->meta_len;
	buf.m.hdr.len = (uint32_t)(to - buf.bytes);
	op->set->sent = true;
	sup_pub_answer(e, SUP_CHILD_LIFECYCLE, e->child[SUP_CHILD_LIFECYCLE].serial, buf.bytes, buf.m.hdr.len, false);
}

void sup_set_pump(struct sup_engine *e)
{
	const struct sup_child *c = &e->child[SUP_CHILD_LIFECYCLE];
	bool there = c->on && !c->doomed;
	uint64_t now = e->set_wait ? om_coarse_ns() : 0;
	unsigned flight = 0;

	for (struct sup_op **p = &e->set_wait, *op; (op = *p) && flight < SUP_SET_FLIGHT;) {
		struct sup_set *set = op->set;

		if (set->sent) {
			flight++;
		} else if (there) {
			send_attr(e, op);
			flight++;
		} else if (now >= set->due_ns || atomic_load(&e->stopping)) {
			*p = set->next;
			if (!*p)
				e->set_wait_end = p;
			fail(e, op, -OBJM_STATUS_UNAVAILABLE);
			p = &e->set_wait; /* the end of an op may have begun another */
			flight = 0;
			continue;
		}
		p = &set->next;
	}
}

void sup_set_lost(struct sup_engine *e)
{
	uint64_t due = om_coarse_ns() + SUP_SET_WAIT_NS;

	for (struct sup_op *op = e->set_wait; op; op = op->set->next) {
		op->set->sent = false;
		op->set->due_ns = due;
	}
}

void sup_set_read_done(struct sup_engine *e, struct sup_op *op)
{
	struct sup_set *set = op->set;
	int err = op->status < 0 ? op->status : home_fit(e, op);

	if (err < 0) {
		fail(e, op, err);
		return;
	}
	set->cookie = ++e->set_cookie;
	set->due_ns = om_coarse_ns() + SUP_SET_WAIT_NS;
	set->next = NULL;
	*e->set_wait_end = op;
	e->set_wait_end = &set->next;
	sup_set_pump(e);
}

/* ---- COMMIT ---- */

static void plan(struct sup_engine *e, struct sup_op *op)
{
	struct sup_tier *home = e->tier_by_no[op->rec.home];

	op->prev_id = op->rec.id;
	sup_op_add_stage(op, home, SUP_ACT_SET, true);
	for (unsigned i = 0; i < e->n_tiers; i++)
		if ((op->set->tiers & 1u << i) && &e->tiers[i] != home && e->tiers[i].cat)
			sup_op_add_stage(op, &e->tiers[i], SUP_ACT_SET, false);
}

bool sup_set_attred(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_attred *m = msg;
	struct sup_engine *e = c->e;
	struct sup_op **p = &e->set_wait, *op;

	if (len != sizeof(*m) || m->status > 0)
		return sup_msg_broken(c, "bad ATTRED");
	while (*p && (*p)->set->cookie != m->hdr.req)
		p = &(*p)->set->next;
	op = *p;
	if (!op || !op->set->sent || op->rec.id != m->id)
		return sup_msg_broken(c, "ATTRED without its ATTR");
	*p = op->set->next;
	if (!*p)
		e->set_wait_end = p;
	(void)om_fault(OM_FAULT_SUP_SET_ATTR);
	if (m->status < 0) {
		om_log(OM_MSG_CATALOG, "object %llu: its file on tier %s does not take the new attributes: %s", (unsigned long long)m->id,
		       e->tier_by_no[op->rec.home]->conf->name, om_status_text(m->status));
		fail(e, op, m->status == -OBJM_STATUS_NO_SPACE ? m->status : -OBJM_STATUS_STORAGE);
		return true;
	}
	plan(e, op);
	sup_op_planned(e, op, true);
	return true;
}

int sup_set_publish(struct sup_engine *e, struct sup_op *op)
{
	struct idx_ent ent = {
		.id = op->rec.id, .size = op->rec.size, .mtime_ns = op->rec.mtime_ns, .tier = op->rec.home, .home = op->rec.home,
	};
	struct idx_ent cur;
	int err;

	for (unsigned i = 0; i < e->n_tiers; i++) /* not in the index yet: a copy serves */
		if ((op->set->tiers & 1u << i) && e->tiers[i].no != op->rec.home)
			ent.tier = e->tiers[i].no;
	if (idxw_get(e->index, &op->ikey, &cur, NULL) == 0 && cur.id == op->rec.id)
		ent = cur;
	ent.rev = op->rec.rev;
	ent.flags = (uint16_t)op->rec.flags;
	ent.expiry_s = op->rec.expiry_s;
	err = sup_index_put(e, &op->ikey, &ent);
	if (err == 0)
		sup_op_note(op, OM_CHANGE_SET, &ent);
	return err;
}

void sup_set_end(struct sup_engine *e, struct sup_op *op)
{
	const struct sup_set *set = op->set;

	e->n_sets--;
	if (set->ask)
		sup_ask_fail(e, set->ask, op->status);
	else
		sup_pub_verdict(e, op->place, op->serial, op->req, op->status, op->status ? 0 : op->rec.id, op->rec.rev, set->cur_id,
				set->cur_rev);
	set_free(OM_TAKE_PTR(op->set));
}
