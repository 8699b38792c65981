/*
 * sup_engine_msg.c: the messages of the rings, checked and turned into reservations, changes and jobs. Publisher's thread.
 *
 * Nothing here trusts a child: exact lengths, ranges, who may send what. What can be wrong only if the child is broken or
 * taken over costs it its life (false); what a client can cause is answered.
 */
#include "common/om_fault.h"
#include "supervisor/sup_engine_admit.h"
#include "supervisor/sup_engine_answer.h"
#include "supervisor/sup_engine_job.h"
#include "supervisor/sup_engine_msg.h"
#include "supervisor/sup_engine_now.h"
#include "supervisor/sup_engine_owner.h"
#include "supervisor/sup_engine_reap.h"
#include "supervisor/sup_engine_room.h"
#include "supervisor/sup_engine_scan.h"
#include "supervisor/sup_engine_task.h"
#include "supervisor/sup_engine_watch.h"

static bool cond_ok(const struct om_op_cond *cond) { return cond->kind < OM_COND_COUNT; }

/* Judge a precondition against what stands. 0, -PRECONDITION_FAILED. cur NULL: nothing stands. */
static int cond_holds(const struct om_op_cond *cond, const struct idx_ent *cur)
{
	switch (cond->kind) {
	case OM_COND_ABSENT:
		return cur ? -OBJM_STATUS_PRECONDITION_FAILED : 0;
	case OM_COND_VERSION:
		return cur && cur->id == cond->id && (!cond->rev || cond->rev == cur->rev) ? 0 : -OBJM_STATUS_PRECONDITION_FAILED;
	default:
		return 0;
	}
}

static struct sup_job *job_new(struct sup_msg *c, enum sup_job_kind kind, const void *msg, size_t len)
{
	struct sup_job *job = malloc(sizeof(*job));

	if (!job)
		return NULL;
	memset(job, 0, offsetof(struct sup_job, msg));
	job->kind = kind;
	job->place = c->place;
	job->serial = c->child->serial;
	job->len = len;
	memcpy(job->msg.bytes, msg, len);
	return job;
}

/* ---- PREPARE ---- */

static bool ask_reader(struct sup_msg *c, const void *msg, size_t len);

/*
 * The precondition holds or there is none: reserve. `cur` NULL: nothing stands. `stands`: its owner, as a reader found it; NULL: nobody
 * was asked, which is needed only where the user has no room under the limits unless what stands is the user's own.
 */
static void prepare_go(struct sup_msg *c, const struct om_op_prepare *m, const struct idx_ent *cur, const struct sup_standing *stands,
		       bool asked)
{
	struct sup_engine *e = c->e;
	struct idx_key ikey;
	struct sup_tier *t = sup_msg_tier(e, m->tier);
	bool conditional = m->cond.kind != OM_COND_NONE;

	/* A put whose bytes lie there since before the drain began, or before its worker heard of it, is no error of its client's: the
	 * object moves on like all others. */
	int err = sup_msg_tier_fit(t, m->flags, true);
	if (err == 0 && !sup_tier_known_to(t, c->child))
		err = -OBJM_STATUS_UNAVAILABLE; /* what it has of the tier is from before it went: its successor knows better */
	if (err == 0 && (m->flags & OM_OBJ_PINNED))
		err = sup_pin_fits(e, t, m->size);
	if (err == 0 && conditional && !cur && sup_pub_blind(e)) /* that nothing is known to stand proves neither condition */
		err = -OBJM_STATUS_UNAVAILABLE;
	if (err < 0) {
		sup_msg_answer(c, m->hdr.req, err);
		return;
	}
	err = cond_holds(&m->cond, cur);
	if (err < 0) {
		sup_pub_verdict(e, c->place, c->child->serial, m->hdr.req, err, 0, 0, cur ? cur->id : 0, cur ? cur->rev : 0);
		return;
	}
	idx_key_make(sup_engine_secret(e), m + 1, m->uri_len, &ikey);
	struct sup_key *key = sup_key_find(e, &ikey, true);
	if (!key) {
		sup_msg_answer(c, m->hdr.req, -OBJM_STATUS_OUT_OF_MEMORY);
		return;
	}
	/* a condition is judged against what is pending, too: anything under way may change the answer */
	if ((conditional && (key->running || key->wait || key->n_res)) || key->n_wait >= SUP_KEY_WAIT_MAX) {
		sup_msg_answer(c, m->hdr.req, -OBJM_STATUS_TRY_AGAIN);
		sup_key_go(e, key);
		return;
	}
	uint64_t limit;
	enum om_owner_limit hit = sup_owner_fits(e, key, sup_owner_of(m->uid), m->size, stands, &limit);
	if (hit && !asked && (cur || !e->fill_done)) {
		sup_key_go(e, key);
		(void)ask_reader(c, m, m->hdr.len);
		return;
	}
	if (hit) {
		sup_pub_verdict(e, c->place, c->child->serial, m->hdr.req, -OBJM_STATUS_LIMIT_EXCEEDED, 0, 0, limit, hit);
		sup_key_go(e, key);
		return;
	}
	uint64_t has = sup_room_has(e, c->place, m->room, t), want = sup_room_of(m->size), need = want > has ? want - has : 0;
	if (need && !sup_room_fits(e, t, need, c->waited)) {
		if (!sup_room_wait(c, t, need, &m->hdr))
			sup_msg_answer(c, m->hdr.req, -OBJM_STATUS_NO_SPACE);
		sup_key_go(e, key);
		return;
	}
	(void)om_fault(OM_FAULT_SUP_PREPARE);
	sup_room_end(e, c->place, m->room); /* the reservation takes its place */
	struct sup_res *res = sup_res_new(e, c->place, key, t, m->size, conditional);
	if (!res || !sup_owner_hold(e, res, sup_owner_of(m->uid), stands)) {
		sup_msg_answer(c, m->hdr.req, res ? -OBJM_STATUS_OUT_OF_MEMORY : -OBJM_STATUS_TRY_AGAIN);
		if (res)
			sup_res_free(e, res); /* its id is never used */
		sup_key_go(e, key);
		return;
	}
	if (m->flags & OM_OBJ_PINNED) {
		res->pins = true;
		t->reserved_pins += m->size;
	}
	sup_pub_verdict(e, c->place, c->child->serial, m->hdr.req, 0, res->id, 1, cur ? cur->id : 0, cur ? cur->rev : 0);
}

/* The index says what stands, or a reader has to: true when it was asked. */
static bool needs_resolve(struct sup_msg *c, const struct om_op_cond *cond)
{
	return cond->kind != OM_COND_NONE && !c->e->fill_done;
}

static bool ask_reader(struct sup_msg *c, const void *msg, size_t len)
{
	struct sup_job *job = job_new(c, SUP_JOB_RESOLVE, msg, len);

	if (!job)
		sup_msg_answer(c, ((const struct om_op_hdr *)msg)->req, -OBJM_STATUS_OUT_OF_MEMORY);
	else
		sup_job_queue(c->e, job);
	return true;
}

static bool take_prepare(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_prepare *m = msg;
	struct idx_key ikey;
	struct idx_ent cur;

	if (len != sizeof(*m) + m->uri_len || !om_uri_valid(m + 1, m->uri_len) || !cond_ok(&m->cond) ||
	    (m->flags & ~OM_OBJ_FLAGS_ALL))
		return sup_msg_broken(c, "bad PREPARE");
	if (needs_resolve(c, &m->cond))
		return ask_reader(c, msg, len);
	idx_key_make(sup_engine_secret(c->e), m + 1, m->uri_len, &ikey);
	bool have = sup_pub_current(c->e, &ikey, &cur) == 0;
	prepare_go(c, m, have ? &cur : NULL, NULL, false);
	return true;
}

/* ---- COMMIT and ABORT ---- */

static bool take_commit(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_commit *m = msg;
	const char *uri = (const char *)(m + 1);
	struct idx_key ikey;

	if (len != sizeof(*m) + (size_t)m->uri_len + m->type_len + m->meta_len || !om_uri_valid(uri, m->uri_len) ||
	    m->type_len > OM_TYPE_MAX || !om_meta_valid(uri + m->uri_len + m->type_len, m->meta_len) ||
	    (m->flags & ~OM_OBJ_FLAGS_ALL))
		return sup_msg_broken(c, "bad COMMIT");
	idx_key_make(sup_engine_secret(c->e), uri, m->uri_len, &ikey);
	struct sup_res *res = sup_res_find(c->e, m->id);
	if (!res || res->place != c->place || res->committing || !idx_key_equal(&res->key->ikey, &ikey) ||
	    res->tier->no != m->tier || m->size > res->size || ((m->flags & OM_OBJ_PINNED) && !res->pins))
		return sup_msg_broken(c, "COMMIT without its PREPARE");
	if (!sup_tier_known_to(res->tier, c->child)) { /* its file lies where the tier was before it went */
		sup_msg_answer(c, m->hdr.req, -OBJM_STATUS_UNAVAILABLE);
		sup_res_give_back(c->e, res);
		return true;
	}
	struct om_rec rec = {
		.id = m->id, .size = m->size, .mtime_ns = m->mtime_ns, .expiry_s = m->expiry_s, .rev = 1, .flags = m->flags, .uid = res->uid,
		.tier = m->tier, .home = m->tier, .uri_len = m->uri_len, .type_len = m->type_len, .meta_len = m->meta_len,
		.uri = uri, .type = uri + m->uri_len, .meta = (const unsigned char *)uri + m->uri_len + m->type_len,
	};
	struct sup_op *op = sup_op_new(SUP_OP_PUT, &rec);
	if (!op) { /* any verdict but OK ends the reservation and removes the file */
		sup_msg_answer(c, m->hdr.req, -OBJM_STATUS_OUT_OF_MEMORY);
		sup_res_give_back(c->e, res);
		return true;
	}
	res->committing = true;
	op->place = c->place;
	op->serial = c->child->serial;
	op->req = m->hdr.req;
	op->ikey = ikey;
	op->key = res->key;
	sup_op_submit(c->e, op);
	return true;
}

static bool take_abort(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_abort *m = msg;

	if (len != sizeof(*m))
		return sup_msg_broken(c, "bad ABORT");
	struct sup_res *res = sup_res_find(c->e, m->id);
	if (!res || res->place != c->place || res->committing)
		return sup_msg_broken(c, "ABORT without its PREPARE");
	if (m->status == -OBJM_STATUS_STORAGE) {
		sup_tier_fail(res->tier, "a worker could not make an object durable");
		sup_pub_rows(c->e, res->tier);
	}
	sup_res_give_back(c->e, res);
	return true;
}

/* ---- DELETE ---- */

static void delete_go(struct sup_msg *c, const struct om_op_delete *m, const struct idx_ent *cur)
{
	struct sup_engine *e = c->e;
	struct om_rec rec = { .uri = (const char *)(m + 1), .uri_len = m->uri_len };

	if (m->cond.kind == OM_COND_VERSION) {
		int err = cond_holds(&m->cond, cur);
		if (err < 0 && !cur)
			err = sup_pub_blind(e) ? -OBJM_STATUS_UNAVAILABLE : -OBJM_STATUS_NOT_FOUND;
		if (err < 0) {
			sup_pub_verdict(e, c->place, c->child->serial, m->hdr.req, err, 0, 0, cur ? cur->id : 0, cur ? cur->rev : 0);
			return;
		}
	}
	struct sup_op *op = sup_op_new(SUP_OP_DELETE, &rec);
	if (op)
		idx_key_make(sup_engine_secret(e), rec.uri, rec.uri_len, &op->ikey);
	struct sup_key *key = op ? sup_key_find(e, &op->ikey, true) : NULL;
	bool conditional = m->cond.kind != OM_COND_NONE;
	if (!key || (conditional && (key->running || key->wait || key->n_res)) || key->n_wait >= SUP_KEY_WAIT_MAX) {
		sup_msg_answer(c, m->hdr.req, key ? -OBJM_STATUS_TRY_AGAIN : -OBJM_STATUS_OUT_OF_MEMORY);
		free(op);
		if (key)
			sup_key_go(e, key);
		return;
	}
	op->place = c->place;
	op->serial = c->child->serial;
	op->req = m->hdr.req;
	op->key = key;
	sup_op_submit(e, op);
}

static bool take_delete(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_delete *m = msg;
	struct idx_key ikey;
	struct idx_ent cur;

	if (len != sizeof(*m) + m->uri_len || !om_uri_valid(m + 1, m->uri_len) || !cond_ok(&m->cond) ||
	    m->cond.kind == OM_COND_ABSENT)
		return sup_msg_broken(c, "bad DELETE");
	if (needs_resolve(c, &m->cond))
		return ask_reader(c, msg, len);
	idx_key_make(sup_engine_secret(c->e), m + 1, m->uri_len, &ikey);
	bool have = sup_pub_current(c->e, &ikey, &cur) == 0;
	delete_go(c, m, have ? &cur : NULL);
	return true;
}

void sup_msg_resolved(struct sup_engine *e, struct sup_job *job)
{
	struct sup_child *child = &e->child[job->place];
	struct sup_msg c = { .e = e, .place = job->place, .child = child };

	if (!child->on || child->serial != job->serial)
		return;
	if (job->status < 0) {
		sup_msg_answer(&c, job->msg.hdr.req, job->status);
		return;
	}
	/* the index again: a change may have been published since the reader's snapshot */
	struct idx_key ikey;
	struct idx_ent cur;
	const struct om_op_prepare *p = (const void *)job->msg.bytes;
	const struct om_op_delete *d = (const void *)job->msg.bytes;
	bool prepare = job->msg.hdr.type == OM_OP_PREPARE;
	idx_key_make(sup_engine_secret(e), prepare ? (const void *)(p + 1) : (const void *)(d + 1),
		     prepare ? p->uri_len : d->uri_len, &ikey);
	const struct idx_ent *use = job->found ? &job->ent : NULL;
	if (sup_pub_current(e, &ikey, &cur) == 0 && (!use || cur.id >= use->id))
		use = &cur;
	const struct sup_standing stands = { .uid = job->uid, .size = job->ent.size };
	if (prepare) /* the owner of another version than the one that stands now is not known: none is as good as any */
		prepare_go(&c, p, use, job->found && use->id == job->ent.id ? &stands : NULL, true);
	else
		delete_go(&c, d, use);
}

/* ---- reading ---- */

static bool take_lookup(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_lookup *m = msg;

	if (len != sizeof(*m) + m->uri_len || !om_uri_valid(m + 1, m->uri_len))
		return sup_msg_broken(c, "bad LOOKUP");
	struct sup_job *job = job_new(c, SUP_JOB_LOOKUP, msg, len);
	if (job) {
		sup_job_queue(c->e, job);
		return true;
	}
	struct om_op_record r = { .hdr = { .len = sizeof(r), .type = OM_OP_RECORD, .req = m->hdr.req },
				  .status = -OBJM_STATUS_OUT_OF_MEMORY };
	sup_pub_answer(c->e, c->place, c->child->serial, &r, sizeof(r), true);
	return true;
}

static bool take_list(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_list *m = msg;

	if (len != sizeof(*m) + (size_t)m->prefix_len + m->after_len || m->prefix_len > OM_URI_MAX || m->after_len > OM_URI_MAX ||
	    m->limit == 0 || m->limit > OM_LIST_LIMIT_MAX)
		return sup_msg_broken(c, "bad LIST");
	struct sup_job *job = job_new(c, SUP_JOB_LIST, msg, len);
	if (job) {
		sup_job_queue(c->e, job);
		return true;
	}
	struct om_op_list_end end = { .hdr = { .len = sizeof(end), .type = OM_OP_LIST_END, .req = m->hdr.req },
				      .status = -OBJM_STATUS_OUT_OF_MEMORY };
	sup_pub_answer(c->e, c->place, c->child->serial, &end, sizeof(end), true);
	return true;
}

static bool take_reaped(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_reaped *m = msg;
	struct sup_tier *t = len == sizeof(*m) ? sup_msg_tier(c->e, m->tier) : NULL;

	if (!t)
		return sup_msg_broken(c, "bad REAPED");
	sup_reap_done(c->e, t, m->id, m->status);
	return true;
}

static const struct msg_row {
	uint16_t type;
	uint8_t roles;	 /* bit of enum om_role */
	bool answered;	 /* counts as a request that awaits an answer */
	uint16_t fixed; /* least length */
	bool (*take)(struct sup_msg *c, const void *msg, size_t len);
} msg_table[] = {
#define W (1u << OM_ROLE_WORKER)
#define L (1u << OM_ROLE_LIFECYCLE)
	{ OM_OP_PREPARE, W, true, sizeof(struct om_op_prepare), take_prepare },
	{ OM_OP_COMMIT, W, true, sizeof(struct om_op_commit), take_commit },
	{ OM_OP_ABORT, W, false, sizeof(struct om_op_abort), take_abort },
	{ OM_OP_DELETE, W, true, sizeof(struct om_op_delete), take_delete },
	{ OM_OP_SET, W, true, sizeof(struct om_op_set), sup_set_take },
	{ OM_OP_LOOKUP, W | L, true, sizeof(struct om_op_lookup), take_lookup },
	{ OM_OP_LIST, W, true, sizeof(struct om_op_list), take_list },
	{ OM_OP_FOUND, L, false, sizeof(struct om_op_found), sup_scan_take_found },
	{ OM_OP_SCANNED, L, false, sizeof(struct om_op_scanned), sup_scan_take_scanned },
	{ OM_OP_ADMIT, W, true, sizeof(struct om_op_admit), sup_admit_take },
	{ OM_OP_LEAVE, W, false, sizeof(struct om_op_admit), sup_admit_take_leave },
	{ OM_OP_WATCH, W, false, sizeof(struct om_op_watch), sup_watch_take },
	{ OM_OP_ATTRED, L, false, sizeof(struct om_op_attred), sup_set_attred },
	{ OM_OP_REAPED, L, false, sizeof(struct om_op_reaped), take_reaped },
	{ OM_OP_TASKED, L, false, sizeof(struct om_op_tasked), sup_task_take },
	{ OM_OP_RESERVE, W, true, sizeof(struct om_op_reserve), sup_room_take_reserve },
	{ OM_OP_RELEASE, W, false, sizeof(struct om_op_release), sup_room_take_release },
	{ OM_OP_MOVE_BEGIN, L, true, sizeof(struct om_op_move), sup_move_take_begin },
	{ OM_OP_MOVE_COMMIT, L, true, sizeof(struct om_op_move), sup_move_take_commit },
	{ OM_OP_MOVE_ABORT, L, false, sizeof(struct om_op_move), sup_move_take_abort },
	{ OM_OP_DROP, L, true, sizeof(struct om_op_drop), sup_drop_take },
	{ OM_OP_GONE, W | L, true, sizeof(struct om_op_gone), sup_gone_take },
#undef W
#undef L
};

void sup_msg_again(struct sup_engine *e, unsigned place, const void *msg, size_t len)
{
	struct sup_msg c = { .e = e, .place = place, .child = &e->child[place], .waited = true };

	/* it was whole and allowed when it came */
	for (size_t i = 0; i < OM_ARRAY_SIZE(msg_table); i++)
		if (msg_table[i].type == ((const struct om_op_hdr *)msg)->type)
			(void)msg_table[i].take(&c, msg, len);
}

bool sup_msg_take(struct sup_engine *e, unsigned place, const void *msg, size_t len, const char **ret_why)
{
	struct sup_msg c = { .e = e, .place = place, .child = &e->child[place], .why = "unknown message" };
	const struct om_op_hdr *h = msg;

	*ret_why = "short message";
	if (len < sizeof(*h) || h->len != len)
		return false;
	for (size_t i = 0; i < OM_ARRAY_SIZE(msg_table); i++) {
		const struct msg_row *row = &msg_table[i];
		if (row->type != h->type)
			continue;
		if (!(row->roles & 1u << c.child->role) || len < row->fixed)
			break;
		if (row->answered && ++c.child->outstanding > OM_OPS_MAX) {
			c.why = "more unanswered requests than allowed";
			break;
		}
		if (row->take(&c, msg, len))
			return true;
		break;
	}
	*ret_why = c.why;
	return false;
}
