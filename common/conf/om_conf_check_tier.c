/*
 * om_conf_check_tier.c: checks tiers, each by itself and against the others. No state.
 */
#include "common/conf/om_conf_part.h"

/* True if path is dir or lies in it; both are absolute and without "." or "..". */
static bool lies_in(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (len == 1) /* "/" */
		return true;
	return strncmp(path, dir, len) == 0 && (path[len] == 0 || path[len] == '/');
}

static void check_pair(struct om_conf_ctx *ctx, size_t i, size_t k)
{
	const struct om_conf_backend *a = &ctx->conf->backends[i], *b = &ctx->conf->backends[k];

	if (a->label[0] && strcmp(a->label, b->label) == 0)
		ERROR(ctx, backend, k, "name", "found `%s` a second time, expected a name of its own (backends[%zu] has it)",
		      b->label, i);
	if (!a->path[0] || !b->path[0])
		return; /* one of them was already reported */
	if (strcmp(a->path, b->path) == 0)
		ERROR(ctx, backend, k, "path", "found the path of backends[%zu], expected a directory of its own", i);
	else if (lies_in(b->path, a->path))
		ERROR(ctx, backend, k, "path", "found a path inside of backends[%zu] (%s), expected one outside of every other tier",
		      i, a->path);
	else if (lies_in(a->path, b->path))
		ERROR(ctx, backend, i, "path", "found a path inside of backends[%zu] (%s), expected one outside of every other tier",
		      k, b->path);
	else if (strcmp(a->index_path, b->index_path) == 0)
		ERROR(ctx, backend, k, "index_path", "found the index_path of backends[%zu], expected a directory of its own", i);
}

/* What the supervisor keeps in state_dir by itself; a catalog of a network filesystem's tier lies there under the tier's name. */
static void check_name(struct om_conf_ctx *ctx, size_t i)
{
	static const char *const kept[] = { "state", "identity", "draining", "read-only" };

	for (size_t k = 0; k < OM_ARRAY_SIZE(kept); k++)
		if (strcmp(ctx->conf->backends[i].name, kept[k]) == 0)
			ERROR(ctx, backend, i, "name", "found `%s`, which is something else in state_dir, expected another name", kept[k]);
}

static void check_paths(struct om_conf_ctx *ctx, size_t i)
{
	const struct om_conf *conf = ctx->conf;
	const struct om_conf_backend *t = &conf->backends[i];

	if (!t->path[0] || om_conf_key_bad(ctx, OM_CONF_S_top, 0, "state_dir"))
		return;
	if (strcmp(t->path, "/") == 0)
		ERROR(ctx, backend, i, "path", "found `/`, expected a directory for this tier alone");
	if (strcmp(t->index_path, t->path) == 0)
		ERROR(ctx, backend, i, "index_path", "found the tier's own path, expected a directory of its own (default: %s/catalog)",
		      t->path);
	if (strcmp(t->path, conf->state_dir) == 0)
		ERROR(ctx, backend, i, "path", "found the state_dir, expected a directory of its own");
	else if (strcmp(t->index_path, conf->state_dir) == 0)
		ERROR(ctx, backend, i, "index_path", "found the state_dir, expected a directory of its own");
	else if (lies_in(conf->state_dir, t->path))
		ERROR(ctx, top, 0, "state_dir", "found a path inside of backends[%zu] (%s), expected one outside of every tier", i,
		      t->path);
}

static void check_flags(struct om_conf_ctx *ctx, size_t i)
{
	const struct om_conf_backend *t = &ctx->conf->backends[i];
	const char *type = om_tier_type_name(t->type);
	bool enter = t->flags & (OM_TIERF_WRITABLE | OM_TIERF_MIGRATION_DST), leave = t->flags & OM_TIERF_MIGRATION_SRC;

	if (t->type == OM_TIER_MEMORY && (t->flags & OM_TIERF_PERSISTENT))
		ERROR(ctx, backend, i, "flags", "found `persistent`, expected flags of a memory tier: memory is gone after a reboot");
	if (t->type != OM_TIER_MEMORY && (t->flags & OM_TIERF_EPHEMERAL))
		ERROR(ctx, backend, i, "flags", "found `ephemeral`, expected flags of a %s tier: ephemeral objects never reach a disk",
		      type);
	if (!(t->flags & OM_TIERF_READABLE))
		WARN(ctx, backend, i, "flags", "without `readable` no object of this tier can be read");
	if (!enter)
		WARN(ctx, backend, i, "flags", "nothing can enter this tier: neither `writable` nor `migration_dst`");
	if (ctx->conf->n_backends < 2)
		return; /* there is nowhere to move to */
	if (!leave && !(t->flags & OM_TIERF_MIGRATION_DST))
		WARN(ctx, backend, i, "flags", "objects are never moved into or out of this tier: neither `migration_dst` nor "
		     "`migration_src`");
	else if (!leave)
		WARN(ctx, backend, i, "flags", "nothing can leave this tier when it is full or gets hot: no `migration_src`");
}

static void check_tier(struct om_conf_ctx *ctx, size_t i)
{
	const struct om_conf_backend *t = &ctx->conf->backends[i];
	bool memory = t->type == OM_TIER_MEMORY;

	check_name(ctx, i);
	check_paths(ctx, i);
	if (om_conf_key_bad(ctx, OM_CONF_S_backend, i, "type"))
		return; /* what follows depends on the type */
	if (!om_conf_key_bad(ctx, OM_CONF_S_backend, i, "flags"))
		check_flags(ctx, i);
	if (memory && om_conf_key_given(ctx, OM_CONF_S_backend, i, "durability") && t->durability != OM_DUR_NONE)
		WARN(ctx, backend, i, "durability", "%s costs time on a memory tier and saves nothing: memory is gone after a reboot",
		     om_conf_durability_name(t->durability));
	if (!memory && t->durability == OM_DUR_NONE && !om_conf_key_bad(ctx, OM_CONF_S_backend, i, "durability"))
		WARN(ctx, backend, i, "durability", "with `none` a power cut can take puts that were acknowledged");
	if (!memory && !t->persist_index && !om_conf_key_bad(ctx, OM_CONF_S_backend, i, "persist_index"))
		WARN(ctx, backend, i, "persist_index", "without it the catalog is made again from the files at every start");
	if (t->allow_swap)
		WARN(ctx, backend, i, "allow_swap", memory ? "ephemeral bytes may reach a swap device, where they outlive a reboot" :
							      "only memory tiers have to do with swap");
	if (t->capacity.pct > 95)
		WARN(ctx, backend, i, "capacity", "above 95%% the filesystem may be full before the tier is");
}

void om_conf_check_tiers(struct om_conf_ctx *ctx)
{
	const struct om_conf *conf = ctx->conf;
	size_t n_memory = 0;

	for (size_t i = 0; i < conf->n_backends; i++) {
		const struct om_conf_node *node = om_conf_section_node(ctx, OM_CONF_S_backend, i);
		if (!node || node->bad)
			continue;
		n_memory += conf->backends[i].type == OM_TIER_MEMORY;
		check_tier(ctx, i);
		for (size_t k = i + 1; k < conf->n_backends; k++)
			if (!om_conf_section_node(ctx, OM_CONF_S_backend, k)->bad)
				check_pair(ctx, i, k);
	}
	const struct om_conf_node *list = om_conf_node_child(ctx->root, "backends");
	if (conf->n_backends == 0) {
		if (!list || !list->bad)
			om_conf_error(ctx, list ? list : ctx->root, list ? NULL : "backends",
				      "found no tier, expected a list of at least one: {name, type, path, capacity}");
	} else if (om_conf_tiers_known(ctx) && n_memory == 0) {
		om_conf_warn(ctx, list, NULL, "no tier is of type memory: ephemeral objects are refused and nothing is cached");
	} else if (om_conf_tiers_known(ctx) && n_memory == conf->n_backends) {
		om_conf_warn(ctx, list, NULL, "no tier is persistent: all objects are gone after a reboot");
	}
}
