/*
 * sup_engine_stat.c: figures of the engine and what shows that its threads go on; the order to rebuild a catalog, which they tell of. Main
 * loop's thread; never waits for a disk.
 */
#include "supervisor/sup_engine_mail.h"

unsigned sup_engine_pulses(struct sup_engine *e, struct sup_pulse *ret[static SUP_PULSES_MAX])
{
	unsigned n = 0;

	ret[n++] = &e->pulse;
	for (unsigned i = 0; i < e->n_tiers; i++)
		ret[n++] = &e->tiers[i].pulse;
	return n;
}

void sup_engine_stat(struct sup_engine *e, struct sup_engine_stat *ret)
{
	*ret = (struct sup_engine_stat){
		.objects = atomic_load(&e->stat_live), .slots = atomic_load(&e->stat_slots),
		.index_bytes = atomic_load(&e->stat_bytes), .complete = atomic_load(&e->stat_complete),
		.pending_ops = atomic_load(&e->stat_ops), .pending_removals = atomic_load(&e->stat_rm),
		.commits = atomic_load(&e->stat_commits), .committed_ops = atomic_load(&e->stat_committed), .n_tiers = e->n_tiers,
	};
	for (unsigned i = 0; i < e->n_tiers; i++) {
		struct sup_tier *t = &e->tiers[i];
		struct sup_engine_tier_stat *s = &ret->tiers[i];
		(void)snprintf(s->name, sizeof(s->name), "%s", t->conf->name);
		s->path = t->conf->path;
		s->tier = t->no;
		s->type = t->conf->type;
		s->state = (uint8_t)sup_tier_state(t);
		s->flags = atomic_load(&t->flags);
		s->capacity_bytes = atomic_load(&t->capacity_bytes);
		s->used_bytes = atomic_load(&t->stat_used);
		s->object_bytes = atomic_load(&t->used_bytes);
		s->reserved_bytes = atomic_load(&t->stat_reserved);
		s->copy_bytes = atomic_load(&t->stat_copies);
		s->perf_factor = sup_tier_factor(t);
		s->evictable_bytes = atomic_load(&t->stat_evictable);
		s->pinned_bytes = atomic_load(&t->stat_pinned);
		s->removal_bytes = atomic_load(&t->stat_removals);
		pthread_mutex_lock(&e->dirs_lock); /* the publisher takes a tier over that has come back */
		s->caps = t->caps;
		s->unaccounted_bytes = sup_tier_unaccounted(t, s->used_bytes);
		pthread_mutex_unlock(&e->dirs_lock);
		s->objects = atomic_load(&t->objects);
		s->draining = atomic_load(&t->draining);
		s->frozen = s->state != OM_TIERS_ABSENT && atomic_load(&t->frozen);
		s->durability = sup_tier_live(t).durability;
		s->rebuilding = s->state == OM_TIERS_REBUILDING;
		s->rebuilt_files = atomic_load(&t->scan_found);
		s->in_bytes = atomic_load(&t->stat_in);
		s->out_bytes = atomic_load(&t->stat_out);
	}
}

int sup_engine_rebuild(struct sup_engine *e, const char *tier)
{
	struct sup_tier *t = sup_tier_named(e, tier);

	if (!t)
		return -OBJM_STATUS_NOT_FOUND;
	if (!t->cat)
		return -OBJM_STATUS_UNAVAILABLE;
	if (atomic_load(&t->frozen))
		return -OBJM_STATUS_READ_ONLY;
	if (sup_tier_state(t) == OM_TIERS_REBUILDING)
		return -OBJM_STATUS_BUSY;
	if (sup_tier_state(t) == OM_TIERS_FAILED)
		return -OBJM_STATUS_STORAGE; /* an error of its disk is not rebuilt into a success */
	struct sup_mail *mail = sup_mail_new(SUP_MAIL_REBUILD);
	mail->tier = t;
	sup_mail_post(e, mail);
	return 0;
}
