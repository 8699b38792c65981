/*
 * om_conf_role.c: which tier is the default one, the one for ephemeral objects, the cache: those that the file names, else the usual ones. No state.
 */
#include "common/conf/om_conf_part.h"

static bool has_flags(const struct om_conf_backend *t, uint32_t flags) { return (t->flags & flags) == flags; }

/* Types are declared from the fastest to the slowest; among one type the factor decides, then the file's order. */
static bool is_faster(const struct om_conf_backend *a, const struct om_conf_backend *b)
{
	return a->type != b->type ? a->type < b->type : om_conf_perf_factor(a) < om_conf_perf_factor(b);
}

static unsigned fastest(const struct om_conf *conf, uint32_t flags)
{
	unsigned best = OM_TIER_NONE;

	for (size_t i = 0; i < conf->n_backends; i++)
		if (has_flags(&conf->backends[i], flags) &&
		    (best == OM_TIER_NONE || is_faster(&conf->backends[i], &conf->backends[best])))
			best = (unsigned)i;
	return best;
}

static unsigned first_memory(const struct om_conf *conf, uint32_t flags)
{
	for (size_t i = 0; i < conf->n_backends; i++)
		if (conf->backends[i].type == OM_TIER_MEMORY && has_flags(&conf->backends[i], flags))
			return (unsigned)i;
	return OM_TIER_NONE;
}

/* Give a role to the tier that the file names, or to `usual`. */
static void give_role(struct om_conf_ctx *ctx, const char *key, struct om_conf_role *role, unsigned usual)
{
	const struct om_conf *conf = ctx->conf;

	role->tier = usual;
	role->given = role->name[0] != '\0';
	if (role->given) {
		const struct om_conf_backend *t = om_conf_find_tier(conf, role->name);
		role->tier = t ? (unsigned)(t - conf->backends) : OM_TIER_NONE;
		if (!t && conf->n_backends > 0)
			ERROR(ctx, top, 0, key, "found `%s`, expected the name of one of the tiers (backends[].name)", role->name);
	}
	if (role->tier == OM_TIER_NONE)
		return;
	char *name = strdup(conf->backends[role->tier].name);
	if (!name) {
		ctx->oom = true;
		return;
	}
	free(role->name);
	role->name = name;
}

void om_conf_check_roles(struct om_conf_ctx *ctx)
{
	struct om_conf *conf = ctx->conf;
	const struct om_conf_backend *b = conf->backends;
	unsigned usual = fastest(conf, OM_TIERF_PERSISTENT | OM_TIERF_WRITABLE);

	give_role(ctx, "default_tier", &conf->default_tier, usual != OM_TIER_NONE ? usual : fastest(conf, OM_TIERF_WRITABLE));
	give_role(ctx, "ephemeral_tier", &conf->ephemeral_tier, first_memory(conf, OM_TIERF_EPHEMERAL | OM_TIERF_WRITABLE));
	give_role(ctx, "cache_tier", &conf->cache_tier, first_memory(conf, 0));
	if (!om_conf_tiers_known(ctx))
		return;
	if (conf->default_tier.tier == OM_TIER_NONE) {
		if (!conf->default_tier.name[0] && conf->n_backends > 0)
			WARN(ctx, top, 0, "default_tier", "no tier is writable: nothing can be stored");
	} else if (!has_flags(&b[conf->default_tier.tier], OM_TIERF_WRITABLE)) {
		ERROR(ctx, top, 0, "default_tier", "found `%s`, expected a tier that is writable", conf->default_tier.name);
	} else if (!has_flags(&b[conf->default_tier.tier], OM_TIERF_PERSISTENT)) {
		WARN(ctx, top, 0, "default_tier", "`%s` is not persistent: objects are gone after a reboot",
		     conf->default_tier.name);
	}
	if (conf->ephemeral_tier.tier != OM_TIER_NONE &&
	    !(b[conf->ephemeral_tier.tier].type == OM_TIER_MEMORY &&
	      has_flags(&b[conf->ephemeral_tier.tier], OM_TIERF_EPHEMERAL | OM_TIERF_WRITABLE)))
		ERROR(ctx, top, 0, "ephemeral_tier", "found `%s`, expected a writable memory tier with the flag `ephemeral`",
		      conf->ephemeral_tier.name);
	if (conf->cache_tier.tier != OM_TIER_NONE && om_conf_key_given(ctx, OM_CONF_S_top, 0, "cache_tier")) {
		if (conf->cache_tier.tier == conf->default_tier.tier)
			WARN(ctx, top, 0, "cache_tier", "`%s` is the default tier too: nothing is ever copied into it",
			     conf->cache_tier.name);
		else if (!has_flags(&b[conf->cache_tier.tier], OM_TIERF_MIGRATION_DST))
			WARN(ctx, top, 0, "cache_tier", "`%s` lacks the flag `migration_dst`: nothing is ever copied into it",
			     conf->cache_tier.name);
	}
}
