/*
 * sup_admin_cmd.c: see sup_admin_cmd.h. In the supervisor's main thread. Names and types of the JSON members are a
 * contract with objmctl and with scripts: doc/admin.md lists them; members may be added, none changes its meaning.
 */
#include "supervisor/sup_admin_cmd.h"

#include <ctype.h>

#include "common/om_log.h"
#include "supervisor/sup_metrics.h"

#define NS_PER_S 1000000000u

/* A member; what cannot be stored for want of memory is missing, and the answer says so by failing as a whole. */
static void put(json_t *o, const char *key, json_t *v) { (void)json_object_set_new(o, key, v); }
static json_t *num(uint64_t v) { return json_integer((json_int_t)OM_MIN(v, (uint64_t)INT64_MAX)); }
static uint64_t age_s(uint64_t since_ns)
{
	uint64_t now = om_now_ns();
	return since_ns && now > since_ns ? (now - since_ns) / NS_PER_S : 0;
}

static json_t *child_json(const struct sup_place *p)
{
	json_t *o = json_object();

	put(o, "place", num(p->no));
	put(o, "pid", num((uint64_t)p->pid));
	put(o, "age_s", num(p->pid ? age_s(p->started_ns) : 0));
	put(o, "state", json_string(sup_fsm_state_name(p->state)));
	put(o, "restarts", num(p->restarts));
	if (p->role == OM_ROLE_WORKER) {
		put(o, "connections", num(om_counter_read(&p->counters, OM_C_CONNECTIONS)));
		put(o, "requests", num(om_counter_read(&p->counters, OM_C_REQUESTS)));
	}
	return o;
}

static json_t *workers_json(const struct sup *sup)
{
	json_t *a = json_array();

	for (unsigned i = 1; i < sup->kids.n; i++)
		if (sup->kids.place[i].state != SUP_STATE_EMPTY)
			(void)json_array_append_new(a, child_json(&sup->kids.place[i]));
	return a;
}

static json_t *flags_json(uint32_t flags)
{
	json_t *a = json_array();

	for (unsigned bit = 1; bit <= OM_TIERF_MIGRATION_DST; bit <<= 1)
		if (flags & bit)
			(void)json_array_append_new(a, json_string(om_conf_tier_flag_name(bit)));
	return a;
}

static json_t *tiers_json(const struct sup_engine_stat *st, bool full)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < st->n_tiers && i < OM_TIERS_MAX; i++) {
		const struct sup_engine_tier_stat *t = &st->tiers[i];
		json_t *o = json_object();
		put(o, "name", sup_admin_text(t->name));
		put(o, "type", json_string(om_tier_type_name(t->type)));
		put(o, "state", json_string(om_tier_state_name(t->state)));
		put(o, "capacity_bytes", num(t->capacity_bytes));
		put(o, "used_bytes", num(t->used_bytes));
		put(o, "objects", num(t->objects));
		if (full) {
			put(o, "path", sup_admin_text(t->path ? t->path : ""));
			put(o, "flags", flags_json(t->flags));
			put(o, "rebuild", t->rebuilding ? json_pack("{s:o}", "files", num(t->rebuilt_files)) : json_null());
		}
		(void)json_array_append_new(a, o);
	}
	return a;
}

static int run_status(struct sup *sup, json_t *request, json_t *reply, char *text, size_t cap)
{
	struct sup_engine_stat st = { 0 };
	json_t *s = json_object(), *ix = json_object();

	(void)request, (void)text, (void)cap;
	sup_engine_stat(sup->engine, &st);
	put(s, "pid", num((uint64_t)getpid()));
	put(s, "version", json_string(OM_VERSION));
	put(s, "uid", num(sup->user.uid));
	put(s, "state", json_string(sup->stopping ? "stopping" : sup->notify.ready ? "ready" : "starting"));
	put(reply, "supervisor", s);
	put(reply, "uptime_s", num(age_s(sup->started_ns)));
	put(reply, "workers", workers_json(sup));
	put(reply, "lifecycle", child_json(&sup->kids.place[SUP_CHILD_LIFECYCLE]));
	put(ix, "objects", num(st.objects));
	put(ix, "slots", num(st.slots));
	put(ix, "bytes", num(st.index_bytes));
	put(ix, "complete", json_boolean(st.complete));
	put(reply, "index", ix);
	put(reply, "tiers", tiers_json(&st, false));
	put(reply, "pending_ops", num(st.pending_ops));
	put(reply, "pending_removals", num(st.pending_removals));
	put(reply, "commits", num(st.commits));
	put(reply, "committed_ops", num(st.committed_ops));
	return 0;
}

static int run_tier_list(struct sup *sup, json_t *request, json_t *reply, char *text, size_t cap)
{
	struct sup_engine_stat st = { 0 };

	(void)request, (void)text, (void)cap;
	sup_engine_stat(sup->engine, &st);
	put(reply, "tiers", tiers_json(&st, true));
	return 0;
}

static int run_tier_rebuild(struct sup *sup, json_t *request, json_t *reply, char *text, size_t cap)
{
	const char *name = json_string_value(json_object_get(request, "name"));

	if (!name || !*name) {
		(void)snprintf(text, cap, "tier-rebuild needs \"name\", a tier's name");
		return -OBJM_STATUS_INVALID_REQUEST;
	}
	int err = sup_engine_rebuild(sup->engine, name);
	if (err == -OBJM_STATUS_NOT_FOUND)
		(void)snprintf(text, cap, "there is no tier \"%.64s\"; tier-list names them", name);
	else if (err == -OBJM_STATUS_UNAVAILABLE)
		(void)snprintf(text, cap, "tier \"%.64s\" is not there", name);
	else if (err == -OBJM_STATUS_BUSY)
		(void)snprintf(text, cap, "a rebuild of tier \"%.64s\" is under way; tier-list shows its progress", name);
	else if (err == 0)
		put(reply, "tier", sup_admin_text(name));
	return err == -OBJM_STATUS_BUSY ? -OBJM_STATUS_TRY_AGAIN : err; /* BUSY is of inside */
}

static int run_workers(struct sup *sup, json_t *request, json_t *reply, char *text, size_t cap)
{
	(void)request, (void)text, (void)cap;
	put(reply, "workers", workers_json(sup));
	put(reply, "min", num(sup->scale.min));
	put(reply, "max", num(sup->scale.max));
	return 0;
}

static void put_counter(json_t *o, unsigned i, uint64_t v)
{
	char name[64];
	size_t n = 0;

	for (const char *s = om_counter_table[i].name; *s && n + 1 < sizeof(name); s++)
		name[n++] = (char)tolower((unsigned char)*s);
	name[n] = '\0';
	put(o, name, num(v));
}

/* The counters of one process; added up in `total`. */
static json_t *counters_json(const uint64_t v[static OM_C_COUNT], uint64_t total[static OM_C_COUNT])
{
	json_t *o = json_object();

	for (unsigned i = 0; i < OM_C_COUNT; i++) {
		total[i] += v[i];
		put_counter(o, i, v[i]);
	}
	return o;
}

static int run_counters(struct sup *sup, json_t *request, json_t *reply, char *text, size_t cap)
{
	uint64_t total[OM_C_COUNT], v[OM_C_COUNT];
	json_t *workers = json_array(), *sum = json_object();

	(void)request, (void)text, (void)cap;
	/* what has ended still counts: a replaced worker must not make a total go back */
	memcpy(total, sup->kids.ended, sizeof(total));
	for (unsigned i = 0; i < OM_C_COUNT; i++)
		v[i] = atomic_load_explicit(&om_counter_self->v[i], memory_order_relaxed);
	put(reply, "supervisor", counters_json(v, total));
	for (unsigned n = 0; n < sup->kids.n; n++) {
		const struct sup_place *p = &sup->kids.place[n];
		if (!p->pid)
			continue;
		for (unsigned i = 0; i < OM_C_COUNT; i++)
			v[i] = om_counter_read(&p->counters, (enum om_counter)i);
		json_t *o = counters_json(v, total);
		if (p->role == OM_ROLE_LIFECYCLE)
			put(reply, "lifecycle", o);
		else
			(void)json_array_append_new(workers, json_pack("{s:o, s:o, s:o}", "place", num(p->no), "pid",
								       num((uint64_t)p->pid), "counters", o));
	}
	put(reply, "workers", workers);
	for (unsigned i = 0; i < OM_C_COUNT; i++)
		put_counter(sum, i, total[i]);
	put(reply, "total", sum);
	return 0;
}

static int run_metrics(struct sup *sup, json_t *request, json_t *reply, char *text, size_t cap)
{
	const char *form = json_string_value(json_object_get(request, "format"));

	if (form && strcmp(form, "openmetrics") != 0 && strcmp(form, "prometheus") != 0) {
		(void)snprintf(text, cap, "there is no format \"%.32s\": openmetrics or prometheus", form);
		return -OBJM_STATUS_INVALID_REQUEST;
	}
	OM_AUTO_FREE char *metrics =
		sup_metrics_text(sup, form && *form == 'p' ? SUP_METRICS_PROMETHEUS : SUP_METRICS_OPEN);
	if (!metrics)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	put(reply, "text", sup_admin_text(metrics));
	return 0;
}

static int run_ping(struct sup *sup, json_t *request, json_t *reply, char *text, size_t cap)
{
	(void)request, (void)text, (void)cap;
	put(reply, "pid", num((uint64_t)getpid()));
	put(reply, "ready", json_boolean(sup->notify.ready && !sup->stopping));
	return 0;
}

static int run_help(struct sup *sup, json_t *request, json_t *reply, char *text, size_t cap)
{
	json_t *a = json_array();

	(void)sup, (void)request, (void)text, (void)cap;
	for (unsigned i = 0; i < sup_admin_cmd_count; i++) {
		const struct sup_admin_cmd *c = &sup_admin_cmd_table[i];
		(void)json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:b}", "cmd", c->name, "args", c->args, "help", c->help,
							 "change", c->change));
	}
	put(reply, "commands", a);
	return 0;
}

const struct sup_admin_cmd sup_admin_cmd_table[] = {
	{ "counters", false, "", "statistics: of each process and in all", run_counters },
	{ "help", false, "", "this list", run_help },
	{ "metrics", false, "format", "all figures as OpenMetrics text, or Prometheus's", run_metrics },
	{ "ping", false, "", "does the supervisor answer, is the daemon ready", run_ping },
	{ "status", false, "", "processes, index, tiers", run_status },
	{ "tier-list", false, "", "the tiers: state, capacity, objects, progress of a rebuild", run_tier_list },
	{ "tier-rebuild", true, "name", "make a tier's catalog again from its files, while serving", run_tier_rebuild },
	{ "workers", false, "", "the workers, and how many there may be", run_workers },
};
const unsigned sup_admin_cmd_count = OM_ARRAY_SIZE(sup_admin_cmd_table);

static const struct sup_admin_cmd *find(const char *name)
{
	for (unsigned i = 0; i < sup_admin_cmd_count; i++)
		if (!strcmp(sup_admin_cmd_table[i].name, name))
			return &sup_admin_cmd_table[i];
	return NULL;
}

json_t *sup_admin_cmd_answer(void *arg, const struct om_peer *peer, json_t *request)
{
	struct sup *sup = arg;
	const char *name = json_string_value(json_object_get(request, "cmd"));
	char text[256] = "";

	if (!name)
		return sup_admin_error(OBJM_STATUS_INVALID_REQUEST, "the request has no \"cmd\"; {\"cmd\":\"help\"} lists them");
	const struct sup_admin_cmd *cmd = find(name);
	if (!cmd) {
		(void)snprintf(text, sizeof(text), "there is no command \"%.64s\"; {\"cmd\":\"help\"} lists them", name);
		return sup_admin_error(OBJM_STATUS_UNSUPPORTED_OP, text);
	}
	if (cmd->change && peer->uid != 0 && peer->uid != sup->user.uid) {
		(void)snprintf(text, sizeof(text), "%s is for root and uid %u, the daemon's own; you are uid %u", cmd->name,
			       (unsigned)sup->user.uid, (unsigned)peer->uid);
		return sup_admin_error(OBJM_STATUS_PERMISSION_DENIED, text);
	}
	json_t *reply = json_object();
	put(reply, "ok", json_true());
	int err = cmd->run(sup, request, reply, text, sizeof(text));
	if (cmd->change) {
		const char *what = json_string_value(json_object_get(request, "name"));
		om_log(OM_MSG_ADMIN, "uid %u, pid %d: %s %s: %s", (unsigned)peer->uid, (int)peer->pid, cmd->name, what ? what : "",
		       err < 0 ? om_status_text(err) : "done");
	}
	if (err < 0) {
		json_decref(reply);
		return sup_admin_error(err, *text ? text : NULL);
	}
	return reply;
}
