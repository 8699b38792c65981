/*
 * sup_engine_tiers.c: tiers at run time: what a reload changes of them. Main loop's thread.
 */
#include "supervisor/sup_engine_int.h"

int sup_tiers_slot(struct sup_engine *e, const struct om_conf_backend *conf)
{
	unsigned ix = e->n_tiers;
	struct sup_tier *t = &e->tiers[ix];

	if (ix == OM_TIERS_MAX)
		return -OBJM_STATUS_LIMIT_EXCEEDED;
	t->e = e;
	t->ix = ix;
	t->no = OM_TIER_NONE;
	t->rootfd = t->objectsfd = t->stagingfd = -1;
	t->scan_mode = -1;
	t->todo_end = &t->todo;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->wake, NULL);
	int err = sup_tier_conf(t, conf);
	if (err == 0)
		e->n_tiers = ix + 1;
	return err;
}

static struct sup_tier *find(struct sup_engine *e, const char *name)
{
	for (unsigned i = 0; i < e->n_tiers; i++)
		if (!strcmp(e->tiers[i].conf->name, name))
			return &e->tiers[i];
	return NULL;
}

/* Read-only or not follows the flags, as long as nothing else decides about the tier's state. */
static void follow_flags(struct sup_tier *t)
{
	int ready = OM_TIERS_READY, readonly = OM_TIERS_READONLY;

	if (atomic_load(&t->flags) & OM_TIERF_WRITABLE)
		(void)atomic_compare_exchange_strong(&t->state, &readonly, OM_TIERS_READY);
	else
		(void)atomic_compare_exchange_strong(&t->state, &ready, OM_TIERS_READONLY);
}

static void tier_conf(struct sup_tier *t, const struct om_conf_backend *b)
{
	t->own.capacity = b->capacity;
	t->own.perf_factor = b->perf_factor;
	t->own.durability = b->durability;
	t->own.flags = b->flags;
	atomic_store(&t->flags, b->flags);
	atomic_store(&t->capacity_bytes, sup_tier_capacity(t, &b->capacity));
	follow_flags(t);
}

/* Without memory for a letter of 40 bytes the process ends elsewhere, too. */
static void tell(struct sup_engine *e, enum sup_mail_kind kind)
{
	struct sup_mail *mail = calloc(1, sizeof(*mail));

	OM_ASSERT(mail);
	mail->kind = kind;
	sup_mail_post(e, mail);
}

void sup_engine_conf(struct sup_engine *e, const struct om_conf *conf)
{
	e->conf = conf;
	atomic_store(&e->decay_s, conf->lifecycle.hotness_decay_s);
	sup_rooms_conf(e, conf);
	for (size_t i = 0; i < conf->n_backends; i++) {
		struct sup_tier *t = find(e, conf->backends[i].name);
		if (t)
			tier_conf(t, &conf->backends[i]);
	}
	tell(e, SUP_MAIL_ROWS); /* the publisher tells the workers */
}
