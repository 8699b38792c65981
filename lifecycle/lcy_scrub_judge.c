/*
 * lcy_scrub_judge.c: what comes of an object that was read, see lcy_scrub.h. Loop's thread of objmapper-lifecycle.
 *
 * What does not fit is damage only if the index said the same before and after: an object that was deleted, replaced, moved or set
 * meanwhile is another one. And what looks damaged is looked at twice, so that a change that is half done at the first time is not taken
 * for it. That something cannot be read needs no second time: the kernel has tried more than once.
 */
#include "common/om_counter.h"
#include "common/om_text.h"
#include "lifecycle/lcy.h"

#define SECOND UINT64_C(1000000000)
#define BACK_OFF_MAX 8u /* doublings of a second */
#define TRIES 60u	/* looks at one object, then it is passed over */

/* ---- the list ---- */

const struct lcy_scrub_bad *lcy_scrub_bad(const struct lcy *l, uint64_t id)
{
	const struct lcy_scrub_state *st = &l->scrub.state;

	for (uint32_t i = 0; i < st->n_bad; i++)
		if (st->bad[i].id == id)
			return &st->bad[i];
	return NULL;
}

static void list(struct lcy *l, uint64_t id, unsigned tier, unsigned what)
{
	struct lcy_scrub_state *st = &l->scrub.state;
	uint32_t at = 0;

	while (at < st->n_bad && st->bad[at].id != id)
		at++;
	if (!what) {
		if (at < st->n_bad)
			st->bad[at] = st->bad[--st->n_bad];
		return;
	}
	if (at == LCY_SCRUB_BAD_MAX)
		return;
	st->n_bad += at == st->n_bad;
	st->bad[at] = (struct lcy_scrub_bad){ .id = id, .seen_s = l->now_s, .tier = (uint8_t)tier, .what = (uint8_t)what };
}

const char *lcy_scrub_text(unsigned what)
{
	static const char *const text[LCY_SCRUB_WHATS] = {
		[LCY_SCRUB_BYTES] = "its bytes differ from their checksum",
		[LCY_SCRUB_SIZE] = "its file has another length",
		[LCY_SCRUB_ATTR] = "its file's attribute is missing or damaged",
		[LCY_SCRUB_NAME] = "its file says that it is another object",
		[LCY_SCRUB_OLD] = "its file's attribute is older than the catalog's record",
		[LCY_SCRUB_MISSING] = "its file is not there",
		[LCY_SCRUB_READ] = "its file cannot be read",
	};

	return what < LCY_SCRUB_WHATS && text[what] ? text[what] : "it is damaged";
}

/* ---- saying it ---- */

static bool is_bad(const struct lcy_scrub_file *f) { return f->found == LCY_SCRUB_DAMAGED || f->found == LCY_SCRUB_UNREADABLE; }
static bool is_whole(const struct lcy_scrub_file *f) { return f->found == LCY_SCRUB_GOOD || f->found == LCY_SCRUB_NO_SUM; }

/* Whose name is the object's: a file that is another's has a wrong one. */
static const struct lcy_scrub_file *name_of(const struct lcy_scrub_job *job)
{
	for (unsigned i = 0; i < LCY_SCRUB_FILES; i++)
		if (job->file[i].uri && job->file[i].what != LCY_SCRUB_NAME)
			return &job->file[i];
	return NULL;
}

static void say(const struct lcy *l, const struct lcy_scrub_job *job, const struct lcy_scrub_file *f, const char *then)
{
	const struct lcy_scrub_file *named = name_of(job);
	OM_AUTO_FREE char *uri = named ? om_text_quote(named->uri, named->uri_len) : NULL;
	struct om_log_about about = { .tier = lcy_tier_name(l, f->tier), .id = job->id };
	char path[OM_OBJ_PATH_MAX];

	if (named) {
		about.uri = named->uri;
		about.uri_len = named->uri_len;
	}
	om_obj_path(job->id, path);
	om_log_about(OM_MSG_DAMAGED, &about, "tier %s: %s %s (id %llu, file objects/%s): %s%s%s; %s", lcy_tier_name(l, f->tier),
		     f == &job->file[LCY_SCRUB_COPY] ? "the cached copy of" : "object", uri ? uri : "of unknown name", (unsigned long long)job->id, path,
		     f->why ? f->why : lcy_scrub_text(f->what), f->status < 0 ? ": " : "", f->status < 0 ? om_status_text(f->status) : "", then);
}

static void say_home(const struct lcy *l, const struct lcy_scrub_job *job)
{
	const struct lcy_scrub_file *copy = &job->file[LCY_SCRUB_COPY];
	char then[256];

	if (copy->found == LCY_SCRUB_GOOD)
		(void)snprintf(then, sizeof(then), "its copy on tier %s is whole and is what is served: get it and put it again, before the daemon is stopped",
			       lcy_tier_name(l, copy->tier));
	else
		(void)snprintf(then, sizeof(then), "it stays where it is%s: put it again or delete it, and check the disk",
			       is_bad(copy) ? ", and its cached copy is no better" : "");
	say(l, job, &job->file[LCY_SCRUB_HOME], then);
}

/* ---- judging ---- */

/* Does the index still say what it said when the object was handed out? */
static bool stands(const struct lcy *l, const struct lcy_scrub_job *job)
{
	const struct lcy_scrub_file *home = &job->file[LCY_SCRUB_HOME], *copy = &job->file[LCY_SCRUB_COPY];
	struct idxr_slot sl;

	return !l->scrub.void_job && idxr_slot(&l->idx, job->slot, &sl) == 0 && sl.state == IDXR_LIVE && sl.ent.id == job->id &&
	       sl.ent.rev == job->rev && sl.ent.home == home->tier && sl.ent.tier == (copy->be ? copy->tier : home->tier) &&
	       lcy_scrub_tier_is(l, home->tier);
}

/* The name that a file tells leads to this slot, or the file is another object's. */
static void check_name(const struct lcy *l, const struct lcy_scrub_job *job, struct lcy_scrub_file *f)
{
	struct idx_key key;
	uint32_t slot;

	if (!f->uri || !is_whole(f))
		return;
	idx_key_make(l->boot.key_secret, f->uri, f->uri_len, &key);
	int err = idxr_get(&l->idx, &key, NULL, &slot);
	if (err == -OBJM_STATUS_NOT_FOUND || (err == 0 && slot != job->slot)) {
		f->found = LCY_SCRUB_DAMAGED;
		f->what = LCY_SCRUB_NAME;
	}
}

static void count(struct lcy *l, const struct lcy_scrub_job *job)
{
	const struct lcy_scrub_file *home = &job->file[LCY_SCRUB_HOME];
	struct lcy_scrub_sums *c = &l->scrub.state.row[home->tier].cur;
	bool unreadable = home->found == LCY_SCRUB_UNREADABLE, damaged = home->found == LCY_SCRUB_DAMAGED;

	c->objects++;
	c->bytes += job->size;
	c->damaged += damaged;
	c->unreadable += unreadable;
	c->no_sum += home->found == LCY_SCRUB_NO_SUM;
	om_count(OM_C_SCRUBBED, 1);
	om_count(OM_C_SCRUBBED_BYTES, job->size);
	om_count(OM_C_SCRUB_DAMAGED, damaged);
	om_count(OM_C_SCRUB_UNREADABLE, unreadable);
}

/* A disk that fails is not asked again and again. */
static void back_off(struct lcy *l, const struct lcy_scrub_file *home)
{
	struct lcy_scrub_tier *t = &l->scrub.tier[home->tier];

	if (home->found != LCY_SCRUB_UNREADABLE) {
		t->fails = 0;
		return;
	}
	t->again_ns = l->now_ns + (SECOND << OM_MIN(t->fails, BACK_OFF_MAX));
	t->fails++;
}

/* Not now: it is the next one again, if the batch is still the one that it came from. */
static void put_back(struct lcy *l, const struct lcy_scrub_job *job)
{
	unsigned no = job->file[LCY_SCRUB_HOME].tier;
	struct lcy_scrub_tier *t = &l->scrub.tier[no];
	struct lcy_scrub_row *r = &l->scrub.state.row[no];

	if (t->at > 0 && t->batch.v[t->at - 1].id == job->id)
		t->at--;
	if (!r->now) /* it need not wait for its time again */
		r->waited_ns += lcy_scrub_share(l->boot.lifecycle.scrub_days, job->size, t->total);
	t->again_ns = l->now_ns + SECOND;
}

static void finish(struct lcy *l, const struct lcy_scrub_job *job)
{
	const struct lcy_scrub_file *home = &job->file[LCY_SCRUB_HOME];

	count(l, job);
	back_off(l, home);
	list(l, job->id, home->tier, is_bad(home) ? home->what : 0);
	if (!is_bad(home))
		return;
	say_home(l, job);
	lcy_scrub_soon(l);
}

/* The copy is to go, its home serves. (Where the home is no better nothing is done: there may be no other copy.) Then the object is looked at
 * once more: a drop that came to nothing would leave a copy that is served. */
static void drop_copy(struct lcy *l, const struct lcy_scrub_job *job, struct lcy_cand *ret_drop)
{
	const struct lcy_scrub_file *copy = &job->file[LCY_SCRUB_COPY];

	om_count(OM_C_SCRUB_COPIES, 1);
	say(l, job, copy, "it is dropped, and its home serves");
	*ret_drop = (struct lcy_cand){ .id = job->id, .size = job->size, .slot = job->slot, .kind = LCY_JOB_DROP, .why = LCY_WHY_CACHE,
				       .from = copy->tier, .drop_why = OM_DROP_COPY };
}

/* What is next for the job. */
enum then { PASS_OVER, LOOK_AGAIN, PUT_BACK, DROP_COPY, FINISH };

static enum then judge(struct lcy *l, struct lcy_scrub_job *job)
{
	struct lcy_scrub *s = &l->scrub;
	struct lcy_scrub_file *home = &job->file[LCY_SCRUB_HOME], *copy = &job->file[LCY_SCRUB_COPY];

	if (!stands(l, job))
		return PASS_OVER;
	check_name(l, job, home);
	check_name(l, job, copy);
	if (home->found == LCY_SCRUB_LATER)
		return s->tries++ < TRIES ? PUT_BACK : PASS_OVER;
	if (s->look == 1 && (home->found == LCY_SCRUB_DAMAGED || copy->found == LCY_SCRUB_DAMAGED))
		return LOOK_AGAIN;
	return is_bad(copy) && is_whole(home) && s->tries++ < TRIES ? DROP_COPY : FINISH;
}

bool lcy_scrub_judge(struct lcy *l, struct lcy_cand *ret_drop)
{
	struct lcy_scrub *s = &l->scrub;
	struct lcy_scrub_job *job = &s->job;
	struct lcy_scrub_row *r = &s->state.row[job->file[LCY_SCRUB_HOME].tier];
	enum then then = judge(l, job);

	if (then == LOOK_AGAIN) {
		s->again_ns = l->now_ns + LCY_SCRUB_AGAIN_NS;
		return false;
	}
	if (then == FINISH)
		finish(l, job);
	if (then == DROP_COPY)
		drop_copy(l, job, ret_drop);
	if (then == PUT_BACK || then == DROP_COPY) {
		put_back(l, job);
	} else if (!s->void_job) {
		s->tries = 0;
		r->pos = OM_MAX(r->pos, job->id);
	}
	lcy_scrub_job_fini(job);
	s->look = 0;
	return then == DROP_COPY;
}
