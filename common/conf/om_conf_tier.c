/*
 * om_conf_tier.c: completes tiers: their ids, and what follows from their type; and what others ask of a tier's configuration. No state.
 */
#include "common/conf/om_conf_part.h"

#include <ctype.h>

#include "common/om_fs.h"

static bool is_id(const char *name)
{
	return name[0] && strlen(name) < OM_TIER_NAME_MAX && !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")];
}

static bool id_taken(const struct om_conf *conf, const char *id)
{
	for (size_t i = 0; i < conf->n_backends; i++)
		if (strcmp(conf->backends[i].name, id) == 0)
			return true;
	return false;
}

/* "Memory Cache" -> "memory-cache": what is no letter or digit becomes one dash; none at the ends. */
static void make_id(const char *label, char ret_id[static OM_TIER_NAME_MAX])
{
	size_t len = 0;

	for (; *label && len < OM_TIER_NAME_MAX - 1; label++) {
		unsigned char c = (unsigned char)*label;
		if (c < 0x80 && isalnum(c))
			ret_id[len++] = (char)tolower(c);
		else if (len > 0 && ret_id[len - 1] != '-')
			ret_id[len++] = '-';
	}
	while (len > 0 && ret_id[len - 1] == '-')
		len--;
	ret_id[len] = 0;
	if (len == 0)
		(void)snprintf(ret_id, OM_TIER_NAME_MAX, "tier");
}

static void give_ids(struct om_conf_ctx *ctx)
{
	struct om_conf *conf = ctx->conf;

	/* Names that are ids keep them, wherever they stand. */
	for (size_t i = 0; i < conf->n_backends; i++)
		if (is_id(conf->backends[i].label) && !id_taken(conf, conf->backends[i].label))
			(void)snprintf(conf->backends[i].name, OM_TIER_NAME_MAX, "%s", conf->backends[i].label);
	for (size_t i = 0; i < conf->n_backends; i++) {
		struct om_conf_backend *t = &conf->backends[i];
		char id[OM_TIER_NAME_MAX], base[OM_TIER_NAME_MAX];

		if (t->name[0])
			continue;
		make_id(t->label, base);
		(void)snprintf(id, sizeof(id), "%s", base);
		for (unsigned k = 2; id_taken(conf, id); k++)
			(void)snprintf(id, sizeof(id), "%.*s-%u", (int)OM_TIER_NAME_MAX - 5, base, k);
		(void)snprintf(t->name, sizeof(t->name), "%s", id);
		if (strcmp(id, base) != 0 && !om_conf_key_bad(ctx, OM_CONF_S_backend, i, "name"))
			WARN(ctx, backend, i, "name", "this tier gets the id `%s`, which changes when tiers before it do; "
			     "a name of [a-z0-9-] would be kept", id);
	}
}

#define FLAGS_ALL \
	(OM_TIERF_READABLE | OM_TIERF_WRITABLE | OM_TIERF_MIGRATION_SRC | OM_TIERF_MIGRATION_DST)

#define CATALOG "catalog" /* below the tier's path */

static void complete_tier(struct om_conf_ctx *ctx, size_t i)
{
	struct om_conf_backend *t = &ctx->conf->backends[i];
	bool memory = t->type == OM_TIER_MEMORY;

	if (!om_conf_key_given(ctx, OM_CONF_S_backend, i, "flags"))
		t->flags = FLAGS_ALL | (memory ? OM_TIERF_EPHEMERAL : 0);
	if (!memory)
		t->flags |= OM_TIERF_PERSISTENT; /* a disk's files outlive a reboot, whether the list says so or not */
	if (!om_conf_key_given(ctx, OM_CONF_S_backend, i, "durability"))
		t->durability = memory ? OM_DUR_NONE : OM_DUR_SYNC;
	if (!om_conf_key_given(ctx, OM_CONF_S_backend, i, "persist_index"))
		t->persist_index = !memory;
	t->index_given = t->index_path[0] != '\0';
	if (t->index_given || !t->path[0])
		return;
	const char *base = t->type == OM_TIER_NETWORK ? ctx->conf->state_dir : t->path;
	char *path = om_conf_path_join(base, t->type == OM_TIER_NETWORK ? t->name : CATALOG);
	if (!path) {
		ctx->oom = true;
		return;
	}
	free(t->index_path);
	t->index_path = path;
}

const char *om_conf_catalog_dir(const char *state_dir, const struct om_conf_backend *tier, char *buf, size_t cap)
{
	if (tier->index_given || !om_fs_remote(tier->path))
		return tier->index_path;
	(void)snprintf(buf, cap, "%s/%s", state_dir, tier->name);
	return buf;
}

double om_conf_perf_factor(const struct om_conf_backend *tier)
{
	static const double usual[OM_TIER_TYPE_COUNT] = { 1, 3, 10, 80, 500 };

	return tier->perf_factor > 0 ? tier->perf_factor : usual[tier->type < OM_TIER_TYPE_COUNT ? tier->type : 0];
}

const struct om_conf_backend *om_conf_find_tier(const struct om_conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_backends; i++)
		if (strcmp(conf->backends[i].name, name) == 0)
			return &conf->backends[i];
	for (size_t i = 0; i < conf->n_backends; i++)
		if (strcmp(conf->backends[i].label, name) == 0)
			return &conf->backends[i];
	return NULL;
}

uint32_t om_conf_max_workers(const struct om_conf *conf, unsigned cpus)
{
	const struct om_conf_thread_pool *tp = &conf->thread_pool;

	return tp->max_workers > 0 ? tp->max_workers : OM_MAX(tp->min_workers, 2 * OM_MAX(cpus, 1u));
}

void om_conf_complete_tiers(struct om_conf_ctx *ctx)
{
	give_ids(ctx);
	for (size_t i = 0; i < ctx->conf->n_backends; i++)
		complete_tier(ctx, i);
}
