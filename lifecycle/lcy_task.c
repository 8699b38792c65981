/*
 * lcy_task.c: orders of an administrator (TASK) and their answers. Loop's thread of objmapper-lifecycle. The members of the answers
 * are listed in lcy_task.h, and made in lcy_tell.c.
 */
#include "lifecycle/lcy_task.h"

#include <stdarg.h>

#include "common/om_text.h"
#include "index/idx_key.h"


/* Names of the hottest objects, while they are being read. */
struct lcy_top {
	unsigned n, named;
	struct {
		struct lcy_job *job;
		uint64_t id;
		uint32_t slot;
		char *uri;
	} row[LCY_TOP_MAX];
};

/* ---- answers ---- */

/* Answer a task; takes `doc` (NULL: no memory, which is told). */
static void answer(struct lcy *l, uint64_t req, int status, json_t *doc)
{
	OM_AUTO_FREE char *text = doc ? json_dumps(doc, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;

	json_decref(doc);
	if (!text || strlen(text) > OM_TASKED_TEXT_MAX) {
		status = text ? -OBJM_STATUS_TOO_LARGE : -OBJM_STATUS_OUT_OF_MEMORY;
		free(text);
		text = strdup(status == -OBJM_STATUS_TOO_LARGE ? "{\"text\":\"the answer is too long\"}" : "{\"text\":\"out of memory\"}");
	}
	struct om_op_tasked m = { .hdr = { .type = OM_OP_TASKED, .req = req }, .status = status };
	m.text_len = text ? (uint32_t)strlen(text) : 0;
	m.hdr.len = (uint32_t)sizeof(m) + m.text_len;
	struct iovec iov[2] = { { &m, sizeof(m) }, { text, m.text_len } };
	(void)!l->send(l, iov, 2); /* a broken ring is seen by the loop */
}

/* Answer that it cannot be done. */
static void OM_PRINTF(4, 5) refuse(struct lcy *l, uint64_t req, int status, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	answer(l, req, status, json_pack("{s:s}", "text", text));
}

/* ---- those that wait ---- */

static struct lcy_ask *ask_new(struct lcy *l, const struct om_op_task *m)
{
	for (unsigned i = 0; i < LCY_ASKS_MAX; i++) {
		struct lcy_ask *a = &l->ask[i];
		if (a->req)
			continue;
		*a = (struct lcy_ask){ .req = m->hdr.req, .kind = m->kind, .due_ns = l->now_ns + LCY_ASK_MS * UINT64_C(1000000) };
		return a;
	}
	return NULL;
}

static void ask_end(struct lcy_ask *a)
{
	if (a->top)
		for (unsigned i = 0; i < a->top->n; i++)
			free(a->top->row[i].uri);
	free(a->top);
	*a = (struct lcy_ask){ 0 };
}

/* ---- finding ---- */

int lcy_task_find(struct lcy *l, const char *uri, size_t len, uint32_t *ret_slot, struct idx_ent *ret_ent)
{
	struct idx_key key;

	idx_key_make(l->boot.key_secret, uri, len, &key);
	int err = idxr_get(&l->idx, &key, ret_ent, ret_slot);
	return err == -OBJM_STATUS_BUSY ? -OBJM_STATUS_UNAVAILABLE : err;
}

/* ---- TOP ---- */

static void top_answer(struct lcy *l, struct lcy_ask *a)
{
	json_t *doc = json_pack("{s:[]}", "objects"), *list = json_object_get(doc, "objects");
	uint64_t now_s = l->now_s;
	size_t room = OM_TASKED_TEXT_MAX - 64;

	for (unsigned i = 0; i < a->top->n; i++) {
		struct idxr_slot s;
		struct idx_heat_val v;
		const char *uri = a->top->row[i].uri;
		uint32_t slot = a->top->row[i].slot;
		if (!uri || idxr_slot(&l->idx, slot, &s) < 0 || s.state != IDXR_LIVE || s.ent.id != a->top->row[i].id ||
		    idx_heat_get(&l->heat, slot, now_s, s.ent.since_s, &v) < 0)
			continue; /* gone since */
		json_t *row = json_pack("{s:s%, s:I, s:I, s:I, s:I, s:f, s:I, s:I}", "uri", uri, strlen(uri), "id", (json_int_t)s.ent.id, "size",
					(json_int_t)s.ent.size, "tier", (json_int_t)s.ent.tier, "home", (json_int_t)s.ent.home, "heat",
					v.heat, "accesses", (json_int_t)(v.count + 0.5), "last_access", (json_int_t)v.last_s);
		OM_AUTO_FREE char *text = row ? json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
		if (!text || strlen(text) + 1 > room) { /* as many as one answer holds */
			json_decref(row);
			break;
		}
		room -= strlen(text) + 1;
		(void)json_array_append_new(list, row);
	}
	answer(l, a->req, 0, doc);
	ask_end(a);
}

/* The scan has told which; now their names. */
static void top_names(struct lcy *l, struct lcy_ask *a, uint64_t want)
{
	const struct lcy_best *b = &l->plan.top;
	struct idxr_slot s;

	a->top = calloc(1, sizeof(*a->top));
	for (uint32_t i = 0; a->top && i < b->n && a->top->n < want; i++) {
		struct lcy_job *job;
		if (idxr_slot(&l->idx, b->v[i].slot, &s) < 0 || s.state != IDXR_LIVE || s.ent.id != b->v[i].id)
			continue;
		job = lcy_moves_new(&l->moves);
		if (!job)
			break;
		job->kind = LCY_JOB_NAME;
		job->id = s.ent.id;
		job->from = s.ent.tier;
		job->other = s.ent.home != s.ent.tier ? s.ent.home : OM_TIER_NONE;
		a->top->row[a->top->n].id = s.ent.id;
		a->top->row[a->top->n].slot = b->v[i].slot;
		a->top->row[a->top->n++].job = job;
		lcy_moves_go(&l->moves, job);
	}
	if (!a->top)
		refuse(l, a->req, -OBJM_STATUS_OUT_OF_MEMORY, "out of memory");
	if (!a->top)
		ask_end(a);
	else if (a->top->n == 0)
		top_answer(l, a);
}

static void task_top(struct lcy *l, const struct om_op_task *m, const char *uri)
{
	struct lcy_ask *a = ask_new(l, m);

	(void)uri;
	if (!a) {
		refuse(l, m->hdr.req, -OBJM_STATUS_TRY_AGAIN, "too many tasks wait");
		return;
	}
	a->want = OM_MIN(m->arg ? m->arg : 10, LCY_TOP_MAX);
	lcy_plan_soon(l); /* what was seen at the last cycle may be old */
	a->scan_ns = l->now_ns;
}

void lcy_task_scanned(struct lcy *l)
{
	for (unsigned i = 0; i < LCY_ASKS_MAX; i++) {
		struct lcy_ask *a = &l->ask[i];
		if (a->req && a->kind == OM_TASK_TOP && !a->top && a->scan_ns <= l->plan.started_ns)
			top_names(l, a, a->want);
	}
}

/* ---- moves by hand ---- */

static const char *kind_name(const struct lcy_job *job)
{
	return job->kind == LCY_JOB_DROP ? "drop" : job->move_kind == OM_MOVE_COPY ? "copy" : "home";
}

static json_t *move_doc(const struct lcy_job *job, const char *state)
{
	return json_pack("{s:s, s:I, s:I, s:s, s:I, s:I}", "state", state, "from", (json_int_t)job->from, "to",
			 (json_int_t)(job->to < OM_TIERS_MAX ? job->to : job->other), "kind", kind_name(job), "id", (json_int_t)job->id, "size",
			 (json_int_t)job->size);
}

static const char *why_not(int status)
{
	switch (-status) {
	case OBJM_STATUS_UNAVAILABLE: return "it is absent or being rebuilt";
	case OBJM_STATUS_READ_ONLY: return "it takes nothing: it is read-only, being drained, or has no flag migration_dst (for a copy: readable)";
	case OBJM_STATUS_STORAGE: return "its disk reported an error";
	case OBJM_STATUS_TRY_AGAIN: return "moves to it failed a moment ago";
	case OBJM_STATUS_NO_SPACE: return "it has no room";
	default: return om_status_text(status);
	}
}

/* True if it was answered: it cannot be, or it is there. */
static bool check_target(struct lcy *l, const struct om_op_task *m, const struct idx_ent *e, unsigned to, bool copy)
{
	if (!lcy_tier_row(l, to)) {
		refuse(l, m->hdr.req, -OBJM_STATUS_NOT_FOUND, "there is no such tier");
		return true;
	}
	if (e->home == to || (copy && e->tier == to)) {
		answer(l, m->hdr.req, 0,
				json_pack("{s:s, s:I, s:I, s:s, s:I, s:I}", "state", "there", "from", (json_int_t)e->home, "to", (json_int_t)to, "kind",
					  copy ? "copy" : "home", "id", (json_int_t)e->id, "size", (json_int_t)e->size));
		return true;
	}
	if (e->flags & OM_OBJ_PINNED) {
		refuse(l, m->hdr.req, -OBJM_STATUS_INVALID_REQUEST, "it is pinned to tier %s: unpin it first", lcy_tier_name(l, e->home));
		return true;
	}
	if ((e->flags & OM_OBJ_EPHEMERAL) && !lcy_tier_ephemeral(l, to)) {
		refuse(l, m->hdr.req, -OBJM_STATUS_INVALID_REQUEST, lcy_tier_memory(l, to) ? "it is ephemeral, and tier %s has no flag ephemeral" :
				"it is ephemeral: it never leaves memory, and tier %s is none", lcy_tier_name(l, to));
		return true;
	}
	if (!lcy_tier_gives(l, e->home, copy)) {
		refuse(l, m->hdr.req, -OBJM_STATUS_READ_ONLY, "tier %s gives nothing away: it is absent, read-only, or has no flag migration_src",
				lcy_tier_name(l, e->home));
		return true;
	}
	int err = lcy_tier_takes(l, to, e->size, 1.0, copy, l->now_ns);
	if (err < 0)
		refuse(l, m->hdr.req, err, "tier %s cannot take it: %s", lcy_tier_name(l, to), why_not(err));
	return err < 0;
}

static void begin_move(struct lcy *l, const struct om_op_task *m, const struct lcy_cand *c)
{
	struct lcy_ask *a = ask_new(l, m);
	struct lcy_job *job = NULL;

	if (!a) {
		refuse(l, m->hdr.req, -OBJM_STATUS_TRY_AGAIN, "too many tasks wait");
		return;
	}
	int err = lcy_act_start(l, c, &job);
	if (err < 0) {
		ask_end(a);
		refuse(l, m->hdr.req, err, err == -OBJM_STATUS_TRY_AGAIN ? "it is being moved already, or too many are" :
										  "it changed this moment");
		return;
	}
	a->job = job;
	a->cand = *c;
}

static void move_to(struct lcy *l, const struct om_op_task *m, uint32_t slot, const struct idx_ent *e, unsigned to)
{
	bool copy = lcy_tier_memory(l, to) && !(e->flags & OM_OBJ_EPHEMERAL);

	if (check_target(l, m, e, to, copy))
		return;
	struct lcy_cand c = { .id = e->id, .size = e->size, .slot = slot, .kind = LCY_JOB_MOVE, .why = LCY_WHY_TASK, .from = e->home,
			      .to = (uint8_t)to, .move_kind = copy ? OM_MOVE_COPY : OM_MOVE_HOME };
	begin_move(l, m, &c);
}

/* The object of a task. True if it is there; else it was answered. */
static bool named(struct lcy *l, const struct om_op_task *m, const char *uri, uint32_t *ret_slot, struct idx_ent *ret_ent)
{
	int err = m->uri_len ? lcy_task_find(l, uri, m->uri_len, ret_slot, ret_ent) : -OBJM_STATUS_INVALID_REQUEST;

	if (err < 0)
		refuse(l, m->hdr.req, err, err == -OBJM_STATUS_NOT_FOUND ? "there is no such object" :
					err == -OBJM_STATUS_UNAVAILABLE ? "the index is being built: try again" : "no URI was given");
	return err == 0;
}

static void task_migrate(struct lcy *l, const struct om_op_task *m, const char *uri)
{
	struct idx_ent e;
	uint32_t slot;

	if (named(l, m, uri, &slot, &e))
		move_to(l, m, slot, &e, m->tier);
}

static void task_promote(struct lcy *l, const struct om_op_task *m, const char *uri)
{
	unsigned best = OM_TIER_NONE;
	struct idx_ent e;
	uint32_t slot;

	if (!named(l, m, uri, &slot, &e))
		return;
	/* the slowest of the faster ones: the next step; memory is a step for a persistent object too, as a copy */
	for (unsigned i = 0; i < l->boot.n_tiers; i++) {
		unsigned no = l->boot.tiers[i].tier;
		if (!lcy_tier_faster(l, no, e.tier) || ((e.flags & OM_OBJ_EPHEMERAL) && !lcy_tier_ephemeral(l, no)))
			continue;
		if (best == OM_TIER_NONE || lcy_tier_faster(l, best, no))
			best = no;
	}
	if (best == OM_TIER_NONE)
		refuse(l, m->hdr.req, -OBJM_STATUS_INVALID_REQUEST, "there is no faster tier than %s", lcy_tier_name(l, e.tier));
	else
		move_to(l, m, slot, &e, best);
}

static void task_demote(struct lcy *l, const struct om_op_task *m, const char *uri)
{
	unsigned best = OM_TIER_NONE;
	struct idx_ent e;
	uint32_t slot;

	if (!named(l, m, uri, &slot, &e))
		return;
	if (e.tier != e.home) { /* the copy goes */
		struct lcy_cand c = { .id = e.id, .size = e.size, .slot = slot, .kind = LCY_JOB_DROP, .why = LCY_WHY_TASK, .from = e.tier,
				      .drop_why = OM_DROP_COPY };
		begin_move(l, m, &c);
		return;
	}
	for (unsigned i = 0; i < l->boot.n_tiers; i++) {
		unsigned no = l->boot.tiers[i].tier;
		if (!lcy_tier_faster(l, e.home, no) || lcy_tier_memory(l, no) != lcy_tier_memory(l, e.home) ||
		    ((e.flags & OM_OBJ_EPHEMERAL) && !lcy_tier_ephemeral(l, no)))
			continue;
		if (best == OM_TIER_NONE || lcy_tier_faster(l, no, best))
			best = no;
	}
	if (best == OM_TIER_NONE)
		refuse(l, m->hdr.req, -OBJM_STATUS_INVALID_REQUEST, "there is no slower tier than %s that it may go to",
				lcy_tier_name(l, e.home));
	else
		move_to(l, m, slot, &e, best);
}

/*
 * Something else of the object is under way, or its older file there is still on its way out: whoever asked need not ask again. Once
 * more it is tried as long as the object is what it was.
 */
static bool move_again(struct lcy *l, struct lcy_ask *a, const struct lcy_job *job)
{
	if (job->status != -OBJM_STATUS_TRY_AGAIN || !job->asked || l->now_ns >= a->due_ns)
		return false;
	a->job = NULL;
	a->again_ns = l->now_ns + LCY_ASK_AGAIN_MS * UINT64_C(1000000);
	return true;
}

static void move_retry(struct lcy *l, struct lcy_ask *a)
{
	struct lcy_job *job = NULL;
	int err = lcy_act_start(l, &a->cand, &job);

	a->again_ns = err == -OBJM_STATUS_TRY_AGAIN ? l->now_ns + LCY_ASK_AGAIN_MS * UINT64_C(1000000) : 0;
	a->job = job;
	if (err == 0 || a->again_ns)
		return;
	refuse(l, a->req, err, "it changed this moment");
	ask_end(a);
}

static void move_ended(struct lcy *l, struct lcy_ask *a, const struct lcy_job *job)
{
	if (move_again(l, a, job))
		return;
	if (job->status == 0) {
		answer(l, a->req, 0, move_doc(job, "done"));
	} else {
		const char *who = job->by_source ? lcy_tier_name(l, job->from) : job->by_target ? lcy_tier_name(l, job->to) : NULL;
		refuse(l, a->req, job->status, "it was not moved: %s%s%s", who ? who : "", who ? ": " : "", om_status_text(job->status));
	}
	ask_end(a);
}

void lcy_task_ended(struct lcy *l, const struct lcy_job *job)
{
	for (unsigned i = 0; i < LCY_ASKS_MAX; i++) {
		struct lcy_ask *a = &l->ask[i];
		if (a->req && a->job == job) {
			move_ended(l, a, job);
			return;
		}
		for (unsigned k = 0; a->req && a->top && k < a->top->n; k++) {
			if (a->top->row[k].job != job)
				continue;
			a->top->row[k].job = NULL;
			if (job->status == 0)
				a->top->row[k].uri = strndup(job->found.rec.uri, job->found.rec.uri_len);
			if (++a->top->named == a->top->n)
				top_answer(l, a);
			return;
		}
	}
}

/* ---- the others ---- */

static void task_status(struct lcy *l, const struct om_op_task *m, const char *uri)
{
	(void)uri;
	answer(l, m->hdr.req, 0, lcy_tell_status(l));
}

static void task_explain(struct lcy *l, const struct om_op_task *m, const char *uri)
{
	struct idx_ent e;
	uint32_t slot;

	if (named(l, m, uri, &slot, &e))
		answer(l, m->hdr.req, 0, lcy_tell_explain(l, slot, &e));
}

static void task_drain(struct lcy *l, const struct om_op_task *m, const char *uri)
{
	(void)uri;
	if (!lcy_tier_row(l, m->tier)) {
		refuse(l, m->hdr.req, -OBJM_STATUS_NOT_FOUND, "there is no such tier");
		return;
	}
	lcy_drain_set(l, m->tier, m->arg != 0);
	answer(l, m->hdr.req, 0, lcy_tell_drain(l, m->tier));
}

static void task_pause(struct lcy *l, const struct om_op_task *m, const char *uri)
{
	(void)uri;
	l->plan.paused = m->kind == OM_TASK_PAUSE;
	if (!l->plan.paused)
		lcy_plan_soon(l);
	answer(l, m->hdr.req, 0, json_pack("{s:b}", "paused", (int)l->plan.paused));
}

static void task_scrub(struct lcy *l, const struct om_op_task *m, const char *uri)
{
	(void)uri;
	lcy_scrub_now(l, m->arg != 0);
	answer(l, m->hdr.req, 0, lcy_tell_scrub(l));
}

void lcy_task_order(struct lcy *l, const struct om_op_task *m, const char *uri)
{
	static void (*const by_kind[OM_TASK_KINDS])(struct lcy *, const struct om_op_task *, const char *) = {
		[OM_TASK_STATUS] = task_status,	  [OM_TASK_TOP] = task_top,	    [OM_TASK_EXPLAIN] = task_explain,
		[OM_TASK_MIGRATE] = task_migrate, [OM_TASK_PROMOTE] = task_promote, [OM_TASK_DEMOTE] = task_demote,
		[OM_TASK_DRAIN] = task_drain,	  [OM_TASK_PAUSE] = task_pause,	    [OM_TASK_RESUME] = task_pause,
		[OM_TASK_SCRUB] = task_scrub,
	};

	if (m->kind < OM_TASK_KINDS && by_kind[m->kind])
		by_kind[m->kind](l, m, uri);
	else
		refuse(l, m->hdr.req, -OBJM_STATUS_UNSUPPORTED_OP, "the lifecycle process does not know this task");
}

void lcy_task_turn(struct lcy *l)
{
	lcy_drain_turn(l);
	for (unsigned i = 0; i < LCY_ASKS_MAX; i++) {
		struct lcy_ask *a = &l->ask[i];
		if (a->req && a->again_ns && l->now_ns >= a->again_ns && l->now_ns < a->due_ns)
			move_retry(l, a);
		if (!a->req || l->now_ns < a->due_ns)
			continue;
		if (a->job)
			answer(l, a->req, 0, move_doc(a->job, "under way"));
		else if (a->top)
			top_answer(l, a);
		else if (a->again_ns)
			refuse(l, a->req, -OBJM_STATUS_TRY_AGAIN, "it was not moved: something else of it is under way all the time: try again");
		else
			refuse(l, a->req, -OBJM_STATUS_TIMEOUT, "the objects are still being looked at: try again");
		ask_end(a);
	}
}
