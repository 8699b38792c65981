/*
 * om_conf_check.c: completes a configuration with what follows from other values, and checks what spans several keys.
 *
 * Runs at the end of each reading. Main structure: struct om_conf_ctx, with the tree still there, so that every message
 * has its line. Called by om_conf_load.c alone. A key that was already reported is not reported again as a part of something
 * larger. Errors are what cannot work; warnings are what works and is probably not meant.
 */
#include "common/conf/om_conf_priv.h"

#include <ctype.h>
#include <sched.h>
#include <stdarg.h>

/* ---- where a value stands in the file ---- */

/* The node of a section, or of its element i; NULL: not in the file. */
static struct om_conf_node *section_node(const struct om_conf_ctx *ctx, enum om_conf_section_id section, size_t i)
{
	enum om_conf_section_id up;
	char key[64];

	if (!om_conf_section_parent(section, &up, key, sizeof(key)))
		return ctx->root;
	struct om_conf_node *node = om_conf_node_child(section_node(ctx, up, 0), key);
	if (!node || !om_conf_sections[section].list)
		return node;
	if (node->kind != OM_CONF_LIST)
		return NULL;
	node = node->first;
	while (node && i-- > 0)
		node = node->next;
	return node;
}

/* The node of a key, under whatever name; NULL: not in the file. */
static struct om_conf_node *key_node(const struct om_conf_ctx *ctx, enum om_conf_section_id section, size_t i, const char *key)
{
	struct om_conf_node *map = section_node(ctx, section, i);
	struct om_conf_node *node = om_conf_node_child(map, key);

	for (size_t r = 0; !node && r < om_conf_n_rows; r++) {
		const struct om_conf_row *row = &om_conf_rows[r];
		if (row->section == section && row->kind == OM_CONF_ROW_ALIAS && strcmp(row->canonical, key) == 0)
			node = om_conf_node_child(map, row->key);
	}
	return node;
}

static bool is_bad(const struct om_conf_ctx *ctx, enum om_conf_section_id section, size_t i, const char *key)
{
	const struct om_conf_node *map = section_node(ctx, section, i), *node = key_node(ctx, section, i, key);

	return (map && map->bad) || (node && node->bad);
}

/* In the file, and not as `auto`. */
static bool is_given(const struct om_conf_ctx *ctx, enum om_conf_section_id section, size_t i, const char *key)
{
	const struct om_conf_node *node = key_node(ctx, section, i, key);

	return node && !(node->kind == OM_CONF_SCALAR && strcmp(node->text, "auto") == 0);
}

/* Say something of a key: at its line, or its section's, or the file. */
#define SAY(ctx, error, section, i, key, ...) \
	do { \
		const struct om_conf_node *say_at_ = key_node(ctx, section, i, key); \
		if (say_at_) \
			om_conf_say(ctx, error, say_at_, NULL, __VA_ARGS__); \
		else if (section_node(ctx, section, i)) \
			om_conf_say(ctx, error, section_node(ctx, section, i), key, __VA_ARGS__); \
		else \
			say_nowhere(ctx, error, section, key, __VA_ARGS__); \
	} while (0)
#define ERROR(ctx, section, i, key, ...) SAY(ctx, true, OM_CONF_S_##section, i, key, __VA_ARGS__)
#define WARN(ctx, section, i, key, ...) SAY(ctx, false, OM_CONF_S_##section, i, key, __VA_ARGS__)

/* Of a section that the file does not have. */
OM_PRINTF(5, 6)
static void say_nowhere(struct om_conf_ctx *ctx, bool error, enum om_conf_section_id section, const char *key,
			const char *fmt, ...)
{
	char path[OM_CONF_KEY_MAX];
	OM_AUTO_FREE char *text = NULL;
	const char *s = om_conf_sections[section].path;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	(void)snprintf(path, sizeof(path), "%s%s%s", s, s[0] ? "." : "", key);
	if (text)
		om_conf_say(ctx, error, NULL, path, "%s", text);
	else
		ctx->oom = true;
}

/* ---- tiers: ids and what follows from the type ---- */

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
		if (strcmp(id, base) != 0 && !is_bad(ctx, OM_CONF_S_backend, i, "name"))
			WARN(ctx, backend, i, "name", "this tier gets the id `%s`, which changes when tiers before it do; "
			     "a name of [a-z0-9-] would be kept", id);
	}
}

#define FLAGS_ALL \
	(OM_TIERF_READABLE | OM_TIERF_WRITABLE | OM_TIERF_MIGRATION_SRC | OM_TIERF_MIGRATION_DST)

static void complete_tier(struct om_conf_ctx *ctx, size_t i)
{
	struct om_conf_backend *t = &ctx->conf->backends[i];
	bool memory = t->type == OM_TIER_MEMORY;

	if (!is_given(ctx, OM_CONF_S_backend, i, "flags"))
		t->flags = FLAGS_ALL | (memory ? OM_TIERF_EPHEMERAL : 0);
	if (!memory)
		t->flags |= OM_TIERF_PERSISTENT; /* a disk's files outlive a reboot, whether the list says so or not */
	if (!is_given(ctx, OM_CONF_S_backend, i, "durability"))
		t->durability = memory ? OM_DUR_NONE : OM_DUR_SYNC;
	if (!is_given(ctx, OM_CONF_S_backend, i, "persist_index"))
		t->persist_index = !memory;
	if (t->index_path[0] || !t->path[0])
		return;
	const char *base = t->type == OM_TIER_NETWORK ? ctx->conf->state_dir : t->path;
	char *path = om_conf_path_join(base, t->type == OM_TIER_NETWORK ? t->name : "catalog");
	if (!path) {
		ctx->oom = true;
		return;
	}
	free(t->index_path);
	t->index_path = path;
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

/* ---- roles ---- */

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

/* Every tier's type and flags could be read: else nothing is said of what follows from them. */
static bool tiers_known(const struct om_conf_ctx *ctx)
{
	for (size_t i = 0; i < ctx->conf->n_backends; i++)
		if (!key_node(ctx, OM_CONF_S_backend, i, "type") || is_bad(ctx, OM_CONF_S_backend, i, "type") ||
		    is_bad(ctx, OM_CONF_S_backend, i, "flags"))
			return false;
	return true;
}

static void check_roles(struct om_conf_ctx *ctx)
{
	struct om_conf *conf = ctx->conf;
	const struct om_conf_backend *b = conf->backends;
	unsigned usual = fastest(conf, OM_TIERF_PERSISTENT | OM_TIERF_WRITABLE);

	give_role(ctx, "default_tier", &conf->default_tier, usual != OM_TIER_NONE ? usual : fastest(conf, OM_TIERF_WRITABLE));
	give_role(ctx, "ephemeral_tier", &conf->ephemeral_tier, first_memory(conf, OM_TIERF_EPHEMERAL | OM_TIERF_WRITABLE));
	give_role(ctx, "cache_tier", &conf->cache_tier, first_memory(conf, 0));
	if (!tiers_known(ctx))
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
	if (conf->cache_tier.tier != OM_TIER_NONE && is_given(ctx, OM_CONF_S_top, 0, "cache_tier")) {
		if (conf->cache_tier.tier == conf->default_tier.tier)
			WARN(ctx, top, 0, "cache_tier", "`%s` is the default tier too: nothing is ever copied into it",
			     conf->cache_tier.name);
		else if (!has_flags(&b[conf->cache_tier.tier], OM_TIERF_MIGRATION_DST))
			WARN(ctx, top, 0, "cache_tier", "`%s` lacks the flag `migration_dst`: nothing is ever copied into it",
			     conf->cache_tier.name);
	}
}

/* ---- tiers against each other ---- */

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

static void check_paths(struct om_conf_ctx *ctx, size_t i)
{
	const struct om_conf *conf = ctx->conf;
	const struct om_conf_backend *t = &conf->backends[i];

	if (!t->path[0] || is_bad(ctx, OM_CONF_S_top, 0, "state_dir"))
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

	check_paths(ctx, i);
	if (is_bad(ctx, OM_CONF_S_backend, i, "type"))
		return; /* what follows depends on the type */
	if (!is_bad(ctx, OM_CONF_S_backend, i, "flags"))
		check_flags(ctx, i);
	if (memory && is_given(ctx, OM_CONF_S_backend, i, "durability") && t->durability != OM_DUR_NONE)
		WARN(ctx, backend, i, "durability", "%s costs time on a memory tier and saves nothing: memory is gone after a reboot",
		     om_conf_durability_name(t->durability));
	if (!memory && t->durability == OM_DUR_NONE && !is_bad(ctx, OM_CONF_S_backend, i, "durability"))
		WARN(ctx, backend, i, "durability", "with `none` a power cut can take puts that were acknowledged");
	if (!memory && !t->persist_index && !is_bad(ctx, OM_CONF_S_backend, i, "persist_index"))
		WARN(ctx, backend, i, "persist_index", "without it the catalog is made again from the files at every start");
	if (t->allow_swap)
		WARN(ctx, backend, i, "allow_swap", memory ? "ephemeral bytes may reach a swap device, where they outlive a reboot" :
							      "only memory tiers have to do with swap");
	if (t->capacity.pct > 95)
		WARN(ctx, backend, i, "capacity", "above 95%% the filesystem may be full before the tier is");
}

static void check_tiers(struct om_conf_ctx *ctx)
{
	const struct om_conf *conf = ctx->conf;
	size_t n_memory = 0;

	for (size_t i = 0; i < conf->n_backends; i++) {
		const struct om_conf_node *node = section_node(ctx, OM_CONF_S_backend, i);
		if (!node || node->bad)
			continue;
		n_memory += conf->backends[i].type == OM_TIER_MEMORY;
		check_tier(ctx, i);
		for (size_t k = i + 1; k < conf->n_backends; k++)
			if (!section_node(ctx, OM_CONF_S_backend, k)->bad)
				check_pair(ctx, i, k);
	}
	const struct om_conf_node *list = om_conf_node_child(ctx->root, "backends");
	if (conf->n_backends == 0) {
		if (!list || !list->bad)
			om_conf_error(ctx, list ? list : ctx->root, list ? NULL : "backends",
				      "found no tier, expected a list of at least one: {name, type, path, capacity}");
	} else if (tiers_known(ctx) && n_memory == 0) {
		om_conf_warn(ctx, list, NULL, "no tier is of type memory: ephemeral objects are refused and nothing is cached");
	} else if (tiers_known(ctx) && n_memory == conf->n_backends) {
		om_conf_warn(ctx, list, NULL, "no tier is persistent: all objects are gone after a reboot");
	}
}

/* ---- the other sections ---- */

/* `low` is to be less than `high`. */
static void check_less(struct om_conf_ctx *ctx, const char *low_key, double low, const char *high_key, double high)
{
	if (low < high || is_bad(ctx, OM_CONF_S_lifecycle, 0, low_key) || is_bad(ctx, OM_CONF_S_lifecycle, 0, high_key))
		return;
	ERROR(ctx, lifecycle, 0, low_key, "found %g, expected less than %s (%g)", low, high_key, high);
}

static void check_lifecycle(struct om_conf_ctx *ctx)
{
	const struct om_conf_lifecycle *l = &ctx->conf->lifecycle;

	check_less(ctx, "cold_threshold", l->cold_threshold, "hot_threshold", l->hot_threshold);
	check_less(ctx, "evict_target", l->evict_target, "evict_when_full", l->evict_when_full);
}

static unsigned cpus_allowed(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (unsigned)CPU_COUNT(&set);
	long n = sysconf(_SC_NPROCESSORS_ONLN); /* more CPUs than the set has room for */
	return n > 0 ? (unsigned)n : 1;
}

static void check_workers(struct om_conf_ctx *ctx)
{
	const struct om_conf_thread_pool *tp = &ctx->conf->thread_pool;
	unsigned cpus = cpus_allowed();

	if (is_bad(ctx, OM_CONF_S_thread_pool, 0, "min_workers") || is_bad(ctx, OM_CONF_S_thread_pool, 0, "max_workers"))
		return;
	if (tp->max_workers > 0 && tp->max_workers < tp->min_workers)
		ERROR(ctx, thread_pool, 0, "max_workers", "found %u, expected no less than min_workers (%u)", tp->max_workers,
		      tp->min_workers);
	if (tp->min_workers > 2 * cpus && is_given(ctx, OM_CONF_S_thread_pool, 0, "min_workers"))
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

	if (l->connections > 0 && l->connections_per_uid > l->connections && is_given(ctx, OM_CONF_S_limits, 0, "connections_per_uid"))
		WARN(ctx, limits, 0, "connections_per_uid", "%u never holds: connections is %u", l->connections_per_uid,
		     l->connections);
	if (l->put_sessions > 0 && l->put_sessions_per_uid > l->put_sessions && is_given(ctx, OM_CONF_S_limits, 0, "put_sessions_per_uid"))
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
		const struct om_conf_node *node = section_node(ctx, OM_CONF_S_rule, i);
		unsigned n = (r->user.kind != OM_CONF_ID_NONE) + (r->group.kind != OM_CONF_ID_NONE) + (r->address.family != 0);

		if (node->bad || is_bad(ctx, OM_CONF_S_rule, i, "user") || is_bad(ctx, OM_CONF_S_rule, i, "group") ||
		    is_bad(ctx, OM_CONF_S_rule, i, "address"))
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
	give_ids(ctx);
	for (size_t i = 0; i < ctx->conf->n_backends; i++)
		complete_tier(ctx, i);
	if (ctx->oom)
		return;
	check_tiers(ctx);
	check_roles(ctx);
	check_lifecycle(ctx);
	check_workers(ctx);
	check_listen(ctx);
	check_limits(ctx);
	check_access(ctx);
}
