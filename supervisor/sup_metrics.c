/*
 * sup_metrics.c: see sup_metrics.h. Called by the admin command `metrics` and by --dump-tables.
 *
 * Forms: https://github.com/OpenObservability/OpenMetrics (1.0) and Prometheus's text format 0.0.4. They differ in how a
 * counter's family is called, in units, and in the last line.
 */
#include "supervisor/sup_metrics.h"

#include <ctype.h>

#include "common/om_log.h"

#define NS_PER_S 1e9

struct out {
	FILE *f;
	enum sup_metrics_form form;
};

/* A counter whose unit is nanoseconds is shown in seconds, the base unit. */
static bool in_ns(const struct om_counter_info *c) { return !strcmp(c->unit, "ns"); }

static void counter_name(const struct om_counter_info *c, char *ret, size_t cap)
{
	size_t n = (size_t)snprintf(ret, cap, "objmapper_%s", c->name);

	for (size_t i = 0; i < n; i++)
		ret[i] = (char)tolower((unsigned char)ret[i]);
	if (in_ns(c) && n >= 3)
		(void)snprintf(ret + n - 3, cap - (n - 3), "_seconds");
}

/* HELP and TYPE of a family; `total`: a counter. */
static void family(struct out *o, const char *name, const char *type, const char *help)
{
	const char *suffix = o->form == SUP_METRICS_PROMETHEUS && !strcmp(type, "counter") ? "_total" : "";

	if (o->form == SUP_METRICS_PROMETHEUS && !strcmp(type, "info"))
		suffix = "_info", type = "gauge";
	fprintf(o->f, "# TYPE %s%s %s\n", name, suffix, type);
	size_t n = strlen(name);
	if (o->form == SUP_METRICS_OPEN && n > 8 && !strcmp(name + n - 8, "_seconds"))
		fprintf(o->f, "# UNIT %s seconds\n", name);
	if (o->form == SUP_METRICS_OPEN && n > 6 && !strcmp(name + n - 6, "_bytes"))
		fprintf(o->f, "# UNIT %s bytes\n", name);
	fprintf(o->f, "# HELP %s%s %s\n", name, suffix, help);
}

/* ---- counters and histograms ---- */

static void counters(struct out *o, const struct sup *sup)
{
	for (unsigned i = 0; i < OM_C_COUNT; i++) {
		const struct om_counter_info *c = &om_counter_table[i];
		uint64_t v = sup->kids.ended[i] + atomic_load_explicit(&om_counter_self->v[i], memory_order_relaxed);
		char name[96];

		for (unsigned n = 0; n < sup->kids.n; n++)
			if (sup->kids.place[n].pid)
				v += om_counter_read(&sup->kids.place[n].counters, (enum om_counter)i);
		counter_name(c, name, sizeof(name));
		family(o, name, c->gauge ? "gauge" : "counter", c->help);
		if (in_ns(c))
			fprintf(o->f, "%s%s %.9f\n", name, c->gauge ? "" : "_total", (double)v / NS_PER_S);
		else
			fprintf(o->f, "%s%s %llu\n", name, c->gauge ? "" : "_total", (unsigned long long)v);
	}
}

static void hist_sum(const struct sup *sup, enum om_hist h, struct om_hist_sum *sum)
{
	*sum = sup->kids.ended_hist[h];
	om_hist_own(h, sum);
	for (unsigned n = 0; n < sup->kids.n; n++)
		if (sup->kids.place[n].pid)
			om_hist_read(&sup->kids.place[n].counters, h, sum);
}

static void hists(struct out *o, const struct sup *sup)
{
	for (unsigned h = 0; h < OM_H_COUNT; h++) {
		const struct om_hist_info *info = &om_hist_table[h];
		struct om_hist_sum sum;
		uint64_t n = 0;
		char name[96];

		(void)snprintf(name, sizeof(name), "objmapper_%s_seconds", info->family);
		if (h == 0 || strcmp(info->family, om_hist_table[h - 1].family) != 0)
			family(o, name, "histogram", info->help);
		hist_sum(sup, (enum om_hist)h, &sum);
		for (unsigned k = 0; k < OM_HIST_BUCKETS; k++) {
			n += sum.bucket[k];
			fprintf(o->f, "%s_bucket{op=\"%s\",le=\"", name, info->label);
			if (k + 1 < OM_HIST_BUCKETS)
				fprintf(o->f, "%.6f", (double)(UINT64_C(1) << k) / 1e6);
			else
				fputs("+Inf", o->f);
			fprintf(o->f, "\"} %llu\n", (unsigned long long)n);
		}
		fprintf(o->f, "%s_sum{op=\"%s\"} %.9f\n%s_count{op=\"%s\"} %llu\n", name, info->label, (double)sum.ns / NS_PER_S, name,
			info->label, (unsigned long long)n);
	}
}

/* ---- tiers ---- */

struct tier_row {
	const char *name, *help;
	bool total; /* a counter */
	uint64_t (*get)(const struct sup *sup, const struct sup_engine_tier_stat *t);
};

static void tier_family(struct out *o, const struct sup *sup, const struct sup_engine_stat *st, const struct tier_row *r)
{
	family(o, r->name, r->total ? "counter" : "gauge", r->help);
	for (unsigned i = 0; i < st->n_tiers && i < OM_TIERS_MAX; i++)
		fprintf(o->f, "%s%s{tier=\"%s\",type=\"%s\"} %llu\n", r->name, r->total ? "_total" : "", st->tiers[i].name,
			om_tier_type_name(st->tiers[i].type), (unsigned long long)r->get(sup, &st->tiers[i]));
}

static uint64_t tier_capacity(const struct sup *sup, const struct sup_engine_tier_stat *t) { return (void)sup, t->capacity_bytes; }
static uint64_t tier_used(const struct sup *sup, const struct sup_engine_tier_stat *t) { return (void)sup, t->used_bytes; }
static uint64_t tier_objects(const struct sup *sup, const struct sup_engine_tier_stat *t) { return (void)sup, t->objects; }
static uint64_t tier_rebuilding(const struct sup *sup, const struct sup_engine_tier_stat *t) { return (void)sup, t->rebuilding; }
static uint64_t tier_in(const struct sup *sup, const struct sup_engine_tier_stat *t) { return (void)sup, t->in_bytes; }
static uint64_t tier_out(const struct sup *sup, const struct sup_engine_tier_stat *t) { return (void)sup, t->out_bytes; }
static uint64_t tier_gets(const struct sup *sup, const struct sup_engine_tier_stat *t) { return sup_rates_gets(sup, t->tier); }

static const struct tier_row tier_rows[] = {
	{ "objmapper_tier_capacity_bytes", "what the tier may hold", false, tier_capacity },
	{ "objmapper_tier_used_bytes", "what it holds", false, tier_used },
	{ "objmapper_tier_objects", "its records", false, tier_objects },
	{ "objmapper_tier_rebuilding", "1 while its catalog is made again from its files", false, tier_rebuilding },
	{ "objmapper_tier_in_bytes", "bytes of objects that came onto it: puts, moves, copies", true, tier_in },
	{ "objmapper_tier_out_bytes", "bytes of objects that left it", true, tier_out },
	{ "objmapper_tier_gets", "GETs answered from it", true, tier_gets },
};
#define TIER_STATE "objmapper_tier_state"
#define TIER_STATE_HELP "1 for the state that the tier is in"

static void tiers(struct out *o, const struct sup *sup, const struct sup_engine_stat *st)
{
	for (unsigned r = 0; r < OM_ARRAY_SIZE(tier_rows); r++)
		tier_family(o, sup, st, &tier_rows[r]);
	family(o, TIER_STATE, "gauge", TIER_STATE_HELP);
	for (unsigned i = 0; i < st->n_tiers && i < OM_TIERS_MAX; i++)
		for (unsigned s = 0; s < OM_TIERS_COUNT; s++)
			fprintf(o->f, TIER_STATE "{tier=\"%s\",state=\"%s\"} %d\n", st->tiers[i].name, om_tier_state_name(s),
				st->tiers[i].state == s);
}

/* ---- the daemon ---- */

static uint64_t daemon_up(const struct sup *sup, const struct sup_engine_stat *st)
{
	(void)st;
	return sup->notify.ready && !sup->stopping;
}
static uint64_t daemon_age(const struct sup *sup, const struct sup_engine_stat *st)
{
	(void)st;
	return (om_now_ns() - sup->started_ns) / 1000000000u;
}
static uint64_t daemon_workers(const struct sup *sup, const struct sup_engine_stat *st)
{
	(void)st;
	return sup_child_count(&sup->kids, OM_ROLE_WORKER, SUP_STATE_READY);
}
static uint64_t daemon_restarts(const struct sup *sup, const struct sup_engine_stat *st)
{
	uint64_t n = 0;

	(void)st;
	for (unsigned i = 0; i < sup->kids.n; i++)
		n += sup->kids.place[i].restarts;
	return n;
}
static uint64_t index_objects(const struct sup *sup, const struct sup_engine_stat *st) { return (void)sup, st->objects; }
static uint64_t index_slots(const struct sup *sup, const struct sup_engine_stat *st) { return (void)sup, st->slots; }
static uint64_t index_bytes(const struct sup *sup, const struct sup_engine_stat *st) { return (void)sup, st->index_bytes; }
static uint64_t index_complete(const struct sup *sup, const struct sup_engine_stat *st) { return (void)sup, st->complete; }
static uint64_t pending_ops(const struct sup *sup, const struct sup_engine_stat *st) { return (void)sup, st->pending_ops; }
static uint64_t pending_rm(const struct sup *sup, const struct sup_engine_stat *st) { return (void)sup, st->pending_removals; }

static const struct daemon_row {
	const char *name, *type, *help;
	uint64_t (*get)(const struct sup *sup, const struct sup_engine_stat *st);
} daemon_rows[] = {
	{ "objmapper_ready", "gauge", "1 when requests are answered", daemon_up },
	{ "objmapper_uptime_seconds", "gauge", "since the supervisor started", daemon_age },
	{ "objmapper_workers", "gauge", "workers that serve", daemon_workers },
	{ "objmapper_child_restarts", "counter", "processes that died and were replaced", daemon_restarts },
	{ "objmapper_index_objects", "gauge", "objects in the index", index_objects },
	{ "objmapper_index_slots", "gauge", "slots of the index", index_slots },
	{ "objmapper_index_memory_bytes", "gauge", "shared memory of index, heat and generations", index_bytes },
	{ "objmapper_index_complete", "gauge", "1 when a miss needs no look into the catalogs", index_complete },
	{ "objmapper_changes_pending", "gauge", "changes under way in the supervisor", pending_ops },
	{ "objmapper_removals_pending", "gauge", "files that no record names any more and that are still to be removed", pending_rm },
};

static void figures(struct out *o, const struct sup *sup, const struct sup_engine_stat *st)
{
	family(o, "objmapper_build", "info", "the version that runs");
	fputs("objmapper_build_info{version=\"" OM_VERSION "\"} 1\n", o->f);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(daemon_rows); i++) {
		const struct daemon_row *r = &daemon_rows[i];
		family(o, r->name, r->type, r->help);
		fprintf(o->f, "%s%s %llu\n", r->name, strcmp(r->type, "counter") ? "" : "_total", (unsigned long long)r->get(sup, st));
	}
}

char *sup_metrics_text(const struct sup *sup, enum sup_metrics_form form)
{
	struct sup_engine_stat st = { 0 };
	char *text = NULL;
	size_t len = 0;
	struct out o = { .f = open_memstream(&text, &len), .form = form };

	if (!o.f)
		return NULL;
	sup_engine_stat(sup->engine, &st);
	figures(&o, sup, &st);
	tiers(&o, sup, &st);
	counters(&o, sup);
	hists(&o, sup);
	if (form == SUP_METRICS_OPEN)
		fputs("# EOF\n", o.f);
	bool bad = ferror(o.f) != 0;
	if (fclose(o.f) != 0 || bad) {
		free(text);
		return NULL;
	}
	return text;
}

void sup_metrics_dump(FILE *out)
{
	fputs("\n## Metrics\n\n| name | type | labels | what |\n| --- | --- | --- | --- |\n"
	      "| `objmapper_build_info` | info | version | the version that runs |\n", out);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(daemon_rows); i++)
		fprintf(out, "| `%s%s` | %s | | %s |\n", daemon_rows[i].name, strcmp(daemon_rows[i].type, "counter") ? "" : "_total",
			daemon_rows[i].type, daemon_rows[i].help);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(tier_rows); i++)
		fprintf(out, "| `%s%s` | %s | tier, type | %s |\n", tier_rows[i].name, tier_rows[i].total ? "_total" : "",
			tier_rows[i].total ? "counter" : "gauge", tier_rows[i].help);
	fputs("| `" TIER_STATE "` | gauge | tier, state | " TIER_STATE_HELP " |\n", out);
	for (unsigned i = 0; i < OM_C_COUNT; i++) {
		char name[96];
		counter_name(&om_counter_table[i], name, sizeof(name));
		fprintf(out, "| `%s%s` | %s | | %s |\n", name, om_counter_table[i].gauge ? "" : "_total",
			om_counter_table[i].gauge ? "gauge" : "counter", om_counter_table[i].help);
	}
	for (unsigned h = 0; h < OM_H_COUNT; h++)
		if (*om_hist_table[h].help)
			fprintf(out, "| `objmapper_%s_seconds` | histogram | op | %s |\n", om_hist_table[h].family, om_hist_table[h].help);
}
