/*
 * sup_engine_roles.c: the tiers as children get them: rows in the order of speed, and which of them new, ephemeral and cached
 * objects go to. Main loop's thread.
 *
 * Where the configuration names no default tier it is the fastest writable persistent one. The type decides first; among tiers of one
 * type the factor: configured, else measured when the tier was opened. (om_conf_role.c says the same without having measured: what
 * `config --effective` shows.) Workers try further tiers in the order of the rows, so the next is the next slower one.
 */
#include "supervisor/sup_engine_int.h"

struct sup_tier *sup_tier_named(struct sup_engine *e, const char *name)
{
	for (unsigned i = 0; i < e->n_tiers; i++)
		if (!strcmp(e->tiers[i].conf->name, name))
			return &e->tiers[i];
	return NULL;
}

uint8_t sup_engine_tier_no(const struct sup_engine *e, const char *name)
{
	const struct sup_tier *t = sup_tier_named((struct sup_engine *)(uintptr_t)e, name);

	return t ? t->no : OM_TIER_NONE;
}

static bool is_faster(const struct sup_tier *a, const struct sup_tier *b)
{
	double x, y;

	if (a->conf->type != b->conf->type)
		return a->conf->type < b->conf->type;
	x = sup_tier_factor(a);
	y = sup_tier_factor(b);
	return x < y || (!(y < x) && a->ix < b->ix);
}

/* All that have a number, the fastest first. One without never was here: it holds nothing, and nothing can be put there. */
static unsigned in_order(const struct sup_engine *e, const struct sup_tier *ret[static OM_TIERS_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < e->n_tiers; i++) {
		const struct sup_tier *t = &e->tiers[i];
		unsigned at = n;
		if (t->no == OM_TIER_NONE)
			continue;
		for (; at > 0 && is_faster(t, ret[at - 1]); at--)
			ret[at] = ret[at - 1];
		ret[at] = t;
		n++;
	}
	return n;
}

unsigned sup_engine_tiers(const struct sup_engine *e, struct om_boot_tier ret[static OM_TIERS_MAX],
			  int ret_dirs[static OM_TIERS_MAX][2])
{
	pthread_mutex_t *lock = &((struct sup_engine *)(uintptr_t)e)->dirs_lock;
	const struct sup_tier *tiers[OM_TIERS_MAX];

	pthread_mutex_lock(lock);
	unsigned n = in_order(e, tiers);
	for (unsigned i = 0; i < n; i++) {
		const struct sup_tier *t = tiers[i];
		ret[i] = (struct om_boot_tier){
			.capacity_bytes = atomic_load(&t->capacity_bytes), .flags = atomic_load(&t->flags), .caps = t->caps, .tier = t->no,
			.type = t->conf->type, .state = (uint8_t)(t->cat ? sup_tier_state(t) : OM_TIERS_ABSENT),
			.durability = sup_tier_live(t).durability, .draining = atomic_load(&t->draining), .perf_factor = sup_tier_factor(t),
		};
		if (atomic_load(&t->frozen)) /* nothing can come or go */
			ret[i].flags &= ~(uint32_t)(OM_TIERF_WRITABLE | OM_TIERF_MIGRATION_SRC | OM_TIERF_MIGRATION_DST);
		(void)snprintf(ret[i].name, sizeof(ret[i].name), "%s", t->conf->name);
		bool there = ret[i].state != OM_TIERS_ABSENT;
		ret_dirs[i][0] = there ? fcntl(t->objectsfd, F_DUPFD_CLOEXEC, 3) : -1;
		ret_dirs[i][1] = there ? fcntl(t->stagingfd, F_DUPFD_CLOEXEC, 3) : -1;
	}
	pthread_mutex_unlock(lock);
	return n;
}

static uint8_t usual_default(const struct sup_engine *e)
{
	const uint32_t want = OM_TIERF_PERSISTENT | OM_TIERF_WRITABLE;
	const struct sup_tier *tiers[OM_TIERS_MAX];
	unsigned n = in_order(e, tiers);

	for (unsigned i = 0; i < n; i++)
		if ((atomic_load(&tiers[i]->flags) & want) == want)
			return tiers[i]->no;
	return OM_TIER_NONE;
}

void sup_engine_roles(const struct sup_engine *e, uint32_t *ret_default, uint32_t *ret_ephemeral, uint32_t *ret_cache)
{
	uint8_t usual = e->conf->default_tier.given ? OM_TIER_NONE : usual_default(e);

	*ret_default = usual != OM_TIER_NONE ? usual : sup_engine_tier_no(e, e->conf->default_tier.name); /* "": no tier has that name */
	*ret_ephemeral = sup_engine_tier_no(e, e->conf->ephemeral_tier.name);
	*ret_cache = sup_engine_tier_no(e, e->conf->cache_tier.name);
}
