/*
 * sup_admin_object.c: admin commands about objects and the lifecycle process: object, explain, top, migrate and so on. In the
 * supervisor's main thread. A catalog reader or the lifecycle process knows the answer, so all of these are answered later;
 * what the lifecycle process writes is parsed as from a stranger: bounded, an object, and it never says ok or error for us.
 */
#include "supervisor/sup_admin_cmd.h"
#include "supervisor/sup_admin_json.h"
#include "supervisor/sup_drain.h"

#define WAIT_MS 20000u /* for an answer; below SUP_ADMIN_WAIT_MS */
#define TOP_DEFAULT 20u
#define TOP_MAX 1000u

static const struct sup_engine_tier_stat *tier_of(const struct sup_engine_stat *st, uint8_t no)
{
	for (unsigned i = 0; i < st->n_tiers; i++)
		if (st->tiers[i].tier == no && no != OM_TIER_NONE)
			return &st->tiers[i];
	return NULL;
}

static json_t *tier_name(const struct sup_engine_stat *st, uint8_t no)
{
	const struct sup_engine_tier_stat *t = tier_of(st, no);
	return t ? json_string(t->name) : json_null();
}

/* ---- what others answer ---- */

static int say_failed(struct sup_admin_call *call, int status)
{
	if (*call->text)
		return status;
	if (status == -OBJM_STATUS_UNAVAILABLE) {
		call->todo = "try again in a moment"; /* no tier is missing */
		return sup_admin_say(call, status, "the lifecycle process is not there, or has just ended; it is being replaced");
	}
	if (status == -OBJM_STATUS_TIMEOUT)
		return sup_admin_say(call, status, "the lifecycle process has not answered within %u s", WAIT_MS / 1000u);
	if (status == -OBJM_STATUS_TRY_AGAIN)
		return sup_admin_say(call, status, "too many questions are open");
	return status;
}

/* The members of a TASKED into the answer; its own word for what went wrong into call->text. */
static int merge(struct sup_admin_call *call, const struct sup_engine_answer *a)
{
	char why[160] = "";
	json_t *j = a->text_len ? sup_admin_parse(a->text, a->text_len, why, sizeof(why)) : NULL;
	const char *text = json_string_value(json_object_get(j, "text"));
	int status = a->status;

	if (status < 0 && text)
		(void)sup_admin_say(call, status, "%.400s", text);
	if (status == 0 && a->text_len && !j)
		status = sup_admin_say(call, -OBJM_STATUS_INTERNAL, "the answer of the lifecycle process %s", why);
	if (status == 0 && j) {
		(void)json_object_del(j, "error");
		(void)json_object_update_missing(call->reply, j); /* `ok` is there */
	}
	json_decref(j);
	return status < 0 ? say_failed(call, status) : 0;
}

/* Numbers of tiers mean nothing outside: names for them. */
static void name_tiers(const struct sup_engine_stat *st, json_t *o)
{
	static const char *const members[] = { "tier", "home", "from", "to" };

	for (size_t i = 0; i < OM_ARRAY_SIZE(members); i++) {
		const json_t *v = json_object_get(o, members[i]);

		if (json_is_integer(v))
			sup_admin_put(o, members[i], tier_name(st, (uint8_t)OM_MIN(json_integer_value(v), (json_int_t)OM_TIER_NONE)));
	}
}

static void on_task(void *arg, const struct sup_engine_answer *a)
{
	struct sup_admin_call *call = arg;

	sup_admin_done(call, merge(call, a));
}

/* The answer speaks of objects and where they are. */
static void on_objects(void *arg, const struct sup_engine_answer *a)
{
	struct sup_admin_call *call = arg;
	int err = merge(call, a);
	struct sup_engine_stat st = { 0 };
	json_t *o;
	size_t i;

	sup_engine_stat(call->sup->engine, &st);
	name_tiers(&st, call->reply);
	json_array_foreach(json_object_get(call->reply, "objects"), i, o)
		name_tiers(&st, o);
	sup_admin_done(call, err);
}

static int ask(struct sup_admin_call *call, enum om_task_kind kind, uint8_t tier, uint64_t n, const char *uri)
{
	bool objects = kind == OM_TASK_TOP || uri != NULL;
	const struct sup_engine_task t = { .kind = kind, .tier = tier, .arg = n, .uri = uri, .uri_len = uri ? strlen(uri) : 0,
					   .wait_ms = WAIT_MS };
	int err = sup_engine_task(call->sup->engine, &t, objects ? on_objects : on_task, call);

	return err < 0 ? say_failed(call, err) : SUP_ADMIN_LATER;
}

static int check_uri(struct sup_admin_call *call, const char **ret)
{
	const char *uri = sup_admin_str(call, "uri");
	int err = om_uri_check(uri, strlen(uri));

	*ret = uri;
	return err < 0 ? sup_admin_say(call, err, "\"%.64s\" cannot be a URI: 1 to %u bytes", uri, OM_URI_MAX) : 0;
}

static int ask_uri(struct sup_admin_call *call, enum om_task_kind kind)
{
	const char *uri;
	int err = check_uri(call, &uri);

	if (err < 0)
		return err;
	sup_admin_put(call->reply, "uri", json_string(uri));
	return ask(call, kind, OM_TIER_NONE, 0, uri);
}

/* ---- moves ---- */

int sup_admin_run_PROMOTE(struct sup_admin_call *call) { return ask_uri(call, OM_TASK_PROMOTE); }
int sup_admin_run_DEMOTE(struct sup_admin_call *call) { return ask_uri(call, OM_TASK_DEMOTE); }

/* A tier that something can be moved to or from. */
static int find_tier(struct sup_admin_call *call, const char *name, struct sup_engine_tier_stat *ret)
{
	int err = sup_admin_find_tier(call, name, ret);

	if (err < 0)
		return err;
	if (ret->tier == OM_TIER_NONE || ret->state == OM_TIERS_ABSENT)
		return sup_admin_say(call, -OBJM_STATUS_UNAVAILABLE, "tier \"%.64s\" is not there", name);
	return 0;
}

int sup_admin_run_MIGRATE(struct sup_admin_call *call)
{
	struct sup_engine_tier_stat t;
	const char *uri, *name = sup_admin_str(call, "tier");
	int err = check_uri(call, &uri);

	if (err == 0)
		err = find_tier(call, name, &t);
	if (err == 0 && !(t.flags & OM_TIERF_WRITABLE))
		err = sup_admin_say(call, -OBJM_STATUS_READ_ONLY, "tier \"%.64s\" takes no objects (its flags)", name);
	if (err < 0)
		return err;
	sup_admin_put(call->reply, "uri", json_string(uri));
	sup_admin_put(call->reply, "tier", json_string(t.name));
	return ask(call, OM_TASK_MIGRATE, t.tier, 0, uri);
}

/* The lifecycle process moves them; that none are put there any more is ours. */
static void on_drain(void *arg, const struct sup_engine_answer *a)
{
	struct sup_admin_call *call = arg;
	int err = merge(call, a);

	if (err == 0)
		sup_drain_set(call->sup, sup_admin_str(call, "name"), !sup_admin_flag(call, "stop"));
	sup_admin_done(call, err);
}

int sup_admin_run_TIER_DRAIN(struct sup_admin_call *call)
{
	struct sup_engine_tier_stat t;
	bool stop = sup_admin_flag(call, "stop");
	int err = find_tier(call, sup_admin_str(call, "name"), &t);

	if (err < 0)
		return err;
	sup_admin_put(call->reply, "tier", json_string(t.name));
	sup_admin_put(call->reply, "draining", json_boolean(!stop));
	sup_admin_put(call->reply, "objects", sup_admin_num(t.objects));
	const struct sup_engine_task task = { .kind = OM_TASK_DRAIN, .tier = t.tier, .arg = stop ? 0 : 1, .wait_ms = WAIT_MS };
	err = sup_engine_task(call->sup->engine, &task, on_drain, call);
	return err < 0 ? say_failed(call, err) : SUP_ADMIN_LATER;
}

/* ---- pins ---- */

static void on_set(void *arg, const struct sup_engine_answer *a)
{
	struct sup_admin_call *call = arg;
	const char *uri = sup_admin_str(call, "uri");
	int err = a->status;

	if (err == -OBJM_STATUS_NOT_FOUND)
		(void)sup_admin_say(call, err, "there is no object \"%.200s\"", uri);
	else if (err == -OBJM_STATUS_LIMIT_EXCEEDED)
		(void)sup_admin_say(call, err, "half of its tier is pinned already: unpin something, or give the tier more capacity");
	else if (err == -OBJM_STATUS_TIMEOUT)
		(void)sup_admin_say(call, err, "no answer within %u s; it may still happen", WAIT_MS / 1000u);
	sup_admin_done(call, err);
}

static int set_pin(struct sup_admin_call *call, bool pin)
{
	const char *uri;
	int err = check_uri(call, &uri);
	const struct sup_engine_set set = { .uri = uri, .uri_len = strlen(uri), .flags_mask = OM_OBJ_PINNED,
					    .flags = pin ? OM_OBJ_PINNED : 0, .wait_ms = WAIT_MS };

	if (err < 0)
		return err;
	sup_admin_put(call->reply, "uri", json_string(uri));
	sup_admin_put(call->reply, "pinned", json_boolean(pin));
	err = sup_engine_set(call->sup->engine, &set, on_set, call);
	return err < 0 ? say_failed(call, err) : SUP_ADMIN_LATER;
}

int sup_admin_run_PIN(struct sup_admin_call *call) { return set_pin(call, true); }
int sup_admin_run_UNPIN(struct sup_admin_call *call) { return set_pin(call, false); }

/* ---- the lifecycle process ---- */

int sup_admin_run_LIFECYCLE_STATUS(struct sup_admin_call *call) { return ask(call, OM_TASK_STATUS, OM_TIER_NONE, 0, NULL); }

/* A lifecycle process that takes this one's place is told, too. */
static void on_pause(void *arg, const struct sup_engine_answer *a)
{
	struct sup_admin_call *call = arg;
	int err = merge(call, a);

	if (err == 0)
		call->sup->env.paused = json_is_true(json_object_get(call->reply, "paused"));
	sup_admin_done(call, err);
}

static int ask_pause(struct sup_admin_call *call, enum om_task_kind kind)
{
	const struct sup_engine_task t = { .kind = kind, .tier = OM_TIER_NONE, .wait_ms = WAIT_MS };
	int err = sup_engine_task(call->sup->engine, &t, on_pause, call);

	return err < 0 ? say_failed(call, err) : SUP_ADMIN_LATER;
}

int sup_admin_run_LIFECYCLE_PAUSE(struct sup_admin_call *call) { return ask_pause(call, OM_TASK_PAUSE); }
int sup_admin_run_LIFECYCLE_RESUME(struct sup_admin_call *call) { return ask_pause(call, OM_TASK_RESUME); }

int sup_admin_run_LIFECYCLE_SCRUB(struct sup_admin_call *call)
{
	return ask(call, OM_TASK_SCRUB, OM_TIER_NONE, sup_admin_flag(call, "stop") ? 0 : 1, NULL);
}

int sup_admin_run_TOP(struct sup_admin_call *call)
{
	const json_t *v = json_object_get(call->request, "n");
	uint64_t n = v ? (uint64_t)json_integer_value(v) : TOP_DEFAULT;

	if (n < 1 || n > TOP_MAX)
		return sup_admin_say(call, -OBJM_STATUS_INVALID_REQUEST, "top: \"n\" is 1 to %u", TOP_MAX);
	return ask(call, OM_TASK_TOP, OM_TIER_NONE, n, NULL);
}

/* ---- one object ---- */

static json_t *file_path(const struct sup_engine_stat *st, const struct sup_engine_record *r)
{
	const struct sup_engine_tier_stat *t = tier_of(st, r->tier);
	char file[OM_OBJ_PATH_MAX], path[4400];

	if (!t || !t->path)
		return json_null();
	om_obj_path(r->id, file);
	(void)snprintf(path, sizeof(path), "%s/objects/%s", t->path, file);
	return sup_admin_text(path);
}

static json_t *obj_flags(uint32_t flags)
{
	json_t *a = json_array();
#define FLAG(name, text) \
	if (flags & OM_OBJ_##name) \
		(void)json_array_append_new(a, json_string(text));
	OM_OBJ_FLAG_MAP(FLAG)
#undef FLAG
	return a;
}

static json_t *record_json(const struct sup_engine_stat *st, const struct sup_engine_record *r)
{
	json_t *o = json_object();

	sup_admin_put(o, "tier", tier_name(st, r->tier));
	sup_admin_put(o, "home", tier_name(st, r->home));
	sup_admin_put(o, "path", file_path(st, r));
	sup_admin_put(o, "id", sup_admin_num(r->id));
	sup_admin_put(o, "rev", sup_admin_num(r->rev));
	sup_admin_put(o, "serves", json_boolean(r->serves));
	return o;
}

static const struct sup_engine_record *serving(const struct sup_engine_answer *a)
{
	for (unsigned i = 0; i < a->n_records; i++)
		if (a->records[i].serves)
			return &a->records[i];
	return NULL;
}

static void put_object(struct sup_admin_call *call, const struct sup_engine_answer *a, const struct sup_engine_record *r)
{
	struct sup_engine_stat st = { 0 };
	json_t *o = call->reply, *records = json_array();

	sup_engine_stat(call->sup->engine, &st);
	sup_admin_put(o, "uri", json_string(sup_admin_str(call, "uri")));
	sup_admin_put(o, "id", sup_admin_num(r->id));
	sup_admin_put(o, "rev", sup_admin_num(r->rev));
	sup_admin_put(o, "size", sup_admin_num(r->size));
	sup_admin_put(o, "owner_uid", r->uid == OM_UID_NONE || r->uid == OM_UID_OLD ? json_null() : sup_admin_num(r->uid));
	sup_admin_put(o, "mtime_ns", sup_admin_num(r->mtime_ns));
	sup_admin_put(o, "expires_s", r->expiry_s ? sup_admin_num(r->expiry_s) : json_null());
	sup_admin_put(o, "flags", obj_flags(r->flags));
	sup_admin_put(o, "type", sup_admin_text(a->type));
	sup_admin_put(o, "meta_bytes", sup_admin_num(a->meta_len));
	sup_admin_put(o, "tier", tier_name(&st, r->tier));
	sup_admin_put(o, "home", tier_name(&st, r->home));
	sup_admin_put(o, "path", file_path(&st, r));
	sup_admin_put(o, "heat", json_real(a->heat));
	sup_admin_put(o, "accesses", sup_admin_num(a->accesses));
	sup_admin_put(o, "last_access_s", a->last_access_s ? sup_admin_num(a->last_access_s) : json_null());
	for (unsigned i = 0; i < a->n_records; i++)
		(void)json_array_append_new(records, record_json(&st, &a->records[i]));
	sup_admin_put(o, "records", records);
}

static int object_failed(struct sup_admin_call *call, int status)
{
	const char *uri = sup_admin_str(call, "uri");

	if (status == -OBJM_STATUS_NOT_FOUND)
		return sup_admin_say(call, status, "there is no object \"%.200s\"", uri);
	if (status == -OBJM_STATUS_UNAVAILABLE)
		return sup_admin_say(call, status, "\"%.200s\" is not on the tiers that are here; one that may hold it is absent or being "
				     "rebuilt (objmctl tier list)", uri);
	if (status == -OBJM_STATUS_TIMEOUT)
		return sup_admin_say(call, status, "the catalogs have not answered within %u s", WAIT_MS / 1000u);
	return status;
}

static void on_object(void *arg, const struct sup_engine_answer *a)
{
	struct sup_admin_call *call = arg;
	const struct sup_engine_record *r = serving(a);

	if (a->status == 0 && r)
		put_object(call, a, r);
	sup_admin_done(call, a->status < 0 ? object_failed(call, a->status) : r ? 0 : -OBJM_STATUS_INTERNAL);
}

static int look_up(struct sup_admin_call *call, sup_engine_done_fn *done)
{
	const char *uri;
	int err = check_uri(call, &uri);

	if (err == 0)
		err = sup_engine_lookup(call->sup->engine, uri, strlen(uri), WAIT_MS, done, call);
	return err < 0 ? say_failed(call, err) : SUP_ADMIN_LATER;
}

int sup_admin_run_OBJECT(struct sup_admin_call *call) { return look_up(call, on_object); }

/* ---- explain: the records, then the lifecycle process's plans; without these the rest is still worth telling ---- */

static const char *why_here(const struct sup_engine_stat *st, const struct sup_admin_call *call, const struct sup_engine_record *r)
{
	const struct sup_engine_tier_stat *t = tier_of(st, r->tier);
	uint32_t usual, ephemeral, cache;

	sup_engine_roles(call->sup->engine, &usual, &ephemeral, &cache);
	if (r->tier != r->home)
		return "this is a cached copy, its home is kept: it was hot, or somebody asked for it";
	if (r->flags & OM_OBJ_PINNED)
		return "it is pinned: nothing moves it";
	if (r->flags & OM_OBJ_EPHEMERAL)
		return "it is ephemeral: only memory tiers hold such objects";
	if (t && t->tier == usual)
		return "it was put here: the default tier of new objects, or it came back to it";
	return "it was moved or put here: its heat suits this tier, the default tier had no room, or somebody asked for it";
}

static void on_explained(void *arg, const struct sup_engine_answer *a)
{
	struct sup_admin_call *call = arg;
	int err = merge(call, a);

	if (err < 0) {
		sup_admin_put(call->reply, "next", json_null());
		sup_admin_put(call->reply, "next_unknown", sup_admin_text(*call->text ? call->text : om_status_text(err)));
	}
	sup_admin_done(call, 0);
}

static void on_explain(void *arg, const struct sup_engine_answer *a)
{
	struct sup_admin_call *call = arg;
	const struct sup_engine_record *r = serving(a);
	struct sup_engine_stat st = { 0 };
	const char *uri = sup_admin_str(call, "uri");

	if (a->status < 0 || !r) {
		sup_admin_done(call, a->status < 0 ? object_failed(call, a->status) : -OBJM_STATUS_INTERNAL);
		return;
	}
	sup_engine_stat(call->sup->engine, &st);
	put_object(call, a, r);
	sup_admin_put(call->reply, "why", json_string(why_here(&st, call, r)));
	sup_admin_put(call->reply, "readers", sup_admin_readers(call->sup->conf, uri));
	const struct sup_engine_task t = { .kind = OM_TASK_EXPLAIN, .tier = r->tier, .uri = uri, .uri_len = strlen(uri), .wait_ms = 3000 };
	int err = sup_engine_task(call->sup->engine, &t, on_explained, call);
	if (err < 0) {
		const struct sup_engine_answer none = { .status = err };
		on_explained(call, &none);
	}
}

int sup_admin_run_EXPLAIN(struct sup_admin_call *call) { return look_up(call, on_explain); }
