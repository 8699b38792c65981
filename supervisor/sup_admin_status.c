/*
 * sup_admin_status.c: admin commands that look at the daemon as a whole: status, workers, counters, ping. In the
 * supervisor's main thread.
 */
#include <ctype.h>

#include "supervisor/sup_admin_cmd.h"
#include "supervisor/sup_admin_json.h"
#include "supervisor/sup_metrics.h"

#define NS_PER_S 1000000000u

static uint64_t age_s(uint64_t since_ns)
{
	uint64_t now = om_now_ns();
	return since_ns && now > since_ns ? (now - since_ns) / NS_PER_S : 0;
}

static json_t *child_json(const struct sup_place *p)
{
	json_t *o = json_object();

	sup_admin_put(o, "place", sup_admin_num(p->no));
	sup_admin_put(o, "pid", sup_admin_num((uint64_t)p->pid));
	sup_admin_put(o, "age_s", sup_admin_num(p->pid ? age_s(p->started_ns) : 0));
	sup_admin_put(o, "state", json_string(sup_fsm_state_name(p->state)));
	sup_admin_put(o, "restarts", sup_admin_num(p->restarts));
	if (p->role == OM_ROLE_WORKER) {
		sup_admin_put(o, "connections", sup_admin_num(om_counter_read(&p->counters, OM_C_CONNECTIONS)));
		sup_admin_put(o, "requests", sup_admin_num(om_counter_read(&p->counters, OM_C_REQUESTS)));
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

int sup_admin_run_STATUS(struct sup_admin_call *call)
{
	struct sup *sup = call->sup;
	json_t *reply = call->reply;
	struct sup_engine_stat st = { 0 };
	json_t *s = json_object(), *ix = json_object();

	sup_engine_stat(sup->engine, &st);
	sup_admin_put(s, "pid", sup_admin_num((uint64_t)getpid()));
	sup_admin_put(s, "version", json_string(OM_VERSION));
	sup_admin_put(s, "uid", sup_admin_num(sup->user.uid));
	sup_admin_put(s, "state", json_string(sup->stopping ? "stopping" : sup->notify.ready ? "ready" : "starting"));
	sup_admin_put(reply, "supervisor", s);
	sup_admin_put(reply, "uptime_s", sup_admin_num(age_s(sup->started_ns)));
	sup_admin_put(reply, "workers", workers_json(sup));
	sup_admin_put(reply, "lifecycle", child_json(&sup->kids.place[SUP_CHILD_LIFECYCLE]));
	sup_admin_put(ix, "objects", sup_admin_num(st.objects));
	sup_admin_put(ix, "slots", sup_admin_num(st.slots));
	sup_admin_put(ix, "bytes", sup_admin_num(st.index_bytes));
	sup_admin_put(ix, "complete", json_boolean(st.complete));
	sup_admin_put(reply, "index", ix);
	sup_admin_put(reply, "tiers", sup_admin_tiers(&st, false));
	sup_admin_put(reply, "pending_ops", sup_admin_num(st.pending_ops));
	sup_admin_put(reply, "pending_removals", sup_admin_num(st.pending_removals));
	sup_admin_put(reply, "commits", sup_admin_num(st.commits));
	sup_admin_put(reply, "committed_ops", sup_admin_num(st.committed_ops));
	return 0;
}

int sup_admin_run_WORKERS(struct sup_admin_call *call)
{
	struct sup *sup = call->sup;
	json_t *reply = call->reply;
	sup_admin_put(reply, "workers", workers_json(sup));
	sup_admin_put(reply, "min", sup_admin_num(sup->scale.min));
	sup_admin_put(reply, "max", sup_admin_num(sup->scale.max));
	return 0;
}

static void put_counter(json_t *o, unsigned i, uint64_t v)
{
	char name[64];
	size_t n = 0;

	for (const char *s = om_counter_table[i].name; *s && n + 1 < sizeof(name); s++)
		name[n++] = (char)tolower((unsigned char)*s);
	name[n] = '\0';
	sup_admin_put(o, name, sup_admin_num(v));
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

int sup_admin_run_COUNTERS(struct sup_admin_call *call)
{
	struct sup *sup = call->sup;
	json_t *reply = call->reply;
	uint64_t total[OM_C_COUNT], v[OM_C_COUNT];
	json_t *workers = json_array(), *sum = json_object();

	/* what has ended still counts: a replaced worker must not make a total go back */
	memcpy(total, sup->kids.ended, sizeof(total));
	for (unsigned i = 0; i < OM_C_COUNT; i++)
		v[i] = atomic_load_explicit(&om_counter_self->v[i], memory_order_relaxed);
	sup_admin_put(reply, "supervisor", counters_json(v, total));
	for (unsigned n = 0; n < sup->kids.n; n++) {
		const struct sup_place *p = &sup->kids.place[n];
		if (!p->pid)
			continue;
		for (unsigned i = 0; i < OM_C_COUNT; i++)
			v[i] = om_counter_read(&p->counters, (enum om_counter)i);
		json_t *o = counters_json(v, total);
		if (p->role == OM_ROLE_LIFECYCLE)
			sup_admin_put(reply, "lifecycle", o);
		else
			(void)json_array_append_new(workers, json_pack("{s:o, s:o, s:o}", "place", sup_admin_num(p->no), "pid",
								       sup_admin_num((uint64_t)p->pid), "counters", o));
	}
	sup_admin_put(reply, "workers", workers);
	for (unsigned i = 0; i < OM_C_COUNT; i++)
		put_counter(sum, i, total[i]);
	sup_admin_put(reply, "total", sum);
	return 0;
}

int sup_admin_run_METRICS(struct sup_admin_call *call)
{
	const char *form = sup_admin_str(call, "format");

	if (*form && strcmp(form, "openmetrics") != 0 && strcmp(form, "prometheus") != 0)
		return sup_admin_say(call, -OBJM_STATUS_INVALID_REQUEST, "there is no format \"%.32s\": openmetrics or prometheus", form);
	OM_AUTO_FREE char *metrics = sup_metrics_text(call->sup, *form == 'p' ? SUP_METRICS_PROMETHEUS : SUP_METRICS_OPEN);
	if (!metrics)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	sup_admin_put(call->reply, "text", sup_admin_text(metrics));
	return 0;
}

int sup_admin_run_PING(struct sup_admin_call *call)
{
	struct sup *sup = call->sup;
	json_t *reply = call->reply;
	sup_admin_put(reply, "pid", sup_admin_num((uint64_t)getpid()));
	sup_admin_put(reply, "ready", json_boolean(sup->notify.ready && !sup->stopping));
	return 0;
}
