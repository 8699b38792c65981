/*
 * om_conf_check.c: completes a configuration with what follows from other values, and checks what spans several keys.
 *
 * Runs at the end of each reading, called by om_conf_load.c alone. Tiers and roles have files of their own (om_conf_part.h); the other
 * sections are here.
 */
#include "common/conf/om_conf_part.h"

#include "common/om_cpus.h"

/* `low` is to be less than `high`. */
static void check_less(struct om_conf_ctx *ctx, const char *low_key, double low, const char *high_key, double high)
{
	if (low < high || om_conf_key_bad(ctx, OM_CONF_S_lifecycle, 0, low_key) || om_conf_key_bad(ctx, OM_CONF_S_lifecycle, 0, high_key))
		return;
	ERROR(ctx, lifecycle, 0, low_key, "found %g, expected less than %s (%g)", low, high_key, high);
}

static void check_lifecycle(struct om_conf_ctx *ctx)
{
	const struct om_conf_lifecycle *l = &ctx->conf->lifecycle;

	check_less(ctx, "cold_threshold", l->cold_threshold, "hot_threshold", l->hot_threshold);
	check_less(ctx, "evict_target", l->evict_target, "evict_when_full", l->evict_when_full);
}

static void check_workers(struct om_conf_ctx *ctx)
{
	const struct om_conf_thread_pool *tp = &ctx->conf->thread_pool;
	unsigned cpus = om_cpus();

	if (om_conf_key_bad(ctx, OM_CONF_S_thread_pool, 0, "min_workers") || om_conf_key_bad(ctx, OM_CONF_S_thread_pool, 0, "max_workers"))
		return;
	if (tp->max_workers > 0 && tp->max_workers < tp->min_workers)
		ERROR(ctx, thread_pool, 0, "max_workers", "found %u, expected no less than min_workers (%u)", tp->max_workers,
		      tp->min_workers);
	if (tp->min_workers > 2 * cpus && om_conf_key_given(ctx, OM_CONF_S_thread_pool, 0, "min_workers"))
		WARN(ctx, thread_pool, 0, "min_workers", "%u workers for %u CPUs: more than two for each only take turns",
		     tp->min_workers, cpus);
	else if (tp->max_workers > 2 * cpus)
		WARN(ctx, thread_pool, 0, "max_workers", "up to %u workers for %u CPUs: more than two for each only take turns",
		     tp->max_workers, cpus);
}

static void check_listen(struct om_conf_ctx *ctx)
{
	const struct om_conf_listen *l = &ctx->conf->listen;

	/* A path that was refused is empty. */
	if (l->data[0] && strcmp(l->admin, l->data) == 0)
		ERROR(ctx, listen, 0, "admin", "found the path of listen.data, expected a socket of its own");
	if (l->legacy[0] && (strcmp(l->legacy, l->data) == 0 || strcmp(l->legacy, l->admin) == 0))
		ERROR(ctx, listen, 0, "legacy", "found the path of another socket, expected one of its own");
	for (size_t i = 0; i < l->tcp.n; i++)
		if (!l->tcp.v[i].loopback)
			WARN(ctx, listen, 0, "tcp", "%s can be reached from other hosts, and nothing protects the bytes on their way",
			     l->tcp.v[i].text);
	if (l->mode & 0002)
		WARN(ctx, listen, 0, "mode", "every user of this host may connect to the data socket");
	if (l->admin_mode & 0002)
		WARN(ctx, listen, 0, "admin_mode", "every user of this host may connect to the admin socket");
}

static void check_limits(struct om_conf_ctx *ctx)
{
	const struct om_conf_limits *l = &ctx->conf->limits;

	if (l->connections > 0 && l->connections_per_uid > l->connections && om_conf_key_given(ctx, OM_CONF_S_limits, 0, "connections_per_uid"))
		WARN(ctx, limits, 0, "connections_per_uid", "%u never holds: connections is %u", l->connections_per_uid,
		     l->connections);
	if (l->put_sessions > 0 && l->put_sessions_per_uid > l->put_sessions && om_conf_key_given(ctx, OM_CONF_S_limits, 0, "put_sessions_per_uid"))
		WARN(ctx, limits, 0, "put_sessions_per_uid", "%u never holds: put_sessions is %u", l->put_sessions_per_uid,
		     l->put_sessions);
	if (l->idle_timeout_ms > 0 && l->idle_timeout_ms < 1000)
		WARN(ctx, limits, 0, "idle_timeout", "%u ms is short: a number alone is milliseconds", l->idle_timeout_ms);
}

static void check_anyone(struct om_conf_ctx *ctx, const char *key, const struct om_conf_ids *ids, const char *what)
{
	for (size_t i = 0; i < ids->n; i++)
		if (ids->v[i].kind == OM_CONF_ID_ANY)
			WARN(ctx, access, 0, key, "`*`: %s", what);
}

static void check_access(struct om_conf_ctx *ctx)
{
	const struct om_conf_access *a = &ctx->conf->access;

	check_anyone(ctx, "trusted_writers", &a->trusted_writers, "whoever writes an object can change it after its commit");
	check_anyone(ctx, "legacy", &a->legacy, "whoever may open the legacy socket may write and delete on it");
	for (size_t i = 0; i < a->n_rules; i++) {
		const struct om_conf_rule *r = &a->rules[i];
		const struct om_conf_node *node = om_conf_section_node(ctx, OM_CONF_S_rule, i);
		unsigned n = (r->user.kind != OM_CONF_ID_NONE) + (r->group.kind != OM_CONF_ID_NONE) + (r->address.family != 0);

		if (node->bad || om_conf_key_bad(ctx, OM_CONF_S_rule, i, "user") || om_conf_key_bad(ctx, OM_CONF_S_rule, i, "group") ||
		    om_conf_key_bad(ctx, OM_CONF_S_rule, i, "address"))
			continue;
		if (n != 1)
			om_conf_error(ctx, node, NULL, "found %u subjects, expected one of user, group and address", n);
		if (r->group.kind == OM_CONF_ID_ANY || r->group.kind == OM_CONF_ID_SELF)
			ERROR(ctx, rule, i, "group", "found `%s`, expected the name or the number of a group",
			      r->group.kind == OM_CONF_ID_ANY ? "*" : "self");
		if ((r->max_bytes || r->max_objects) && (r->user.kind == OM_CONF_ID_NONE || r->user.kind == OM_CONF_ID_ANY))
			ERROR(ctx, rule, i, r->max_bytes ? "max_bytes" : "max_objects", "found without a `user` by name, uid or `self`; for everybody there is "
			      "limits.%s", r->max_bytes ? "bytes_per_uid" : "objects_per_uid");
		if (r->address.family != 0 && ctx->conf->listen.tcp.n == 0)
			WARN(ctx, rule, i, "address", "this rule never applies: listen.tcp is empty");
		const char *star = strchr(r->prefix, '*');
		if (star && star[1])
			ERROR(ctx, rule, i, "prefix", "found a `*` before its end, expected one only as the last character");
	}
}

void om_conf_check(struct om_conf_ctx *ctx)
{
	om_conf_complete_tiers(ctx);
	if (ctx->oom)
		return;
	om_conf_check_tiers(ctx);
	om_conf_check_roles(ctx);
	check_lifecycle(ctx);
	check_workers(ctx);
	check_listen(ctx);
	check_limits(ctx);
	check_access(ctx);
}
