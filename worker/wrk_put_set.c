/*
 * wrk_put_set.c: the table of put sessions and the tiers that they go to: made before the sandbox, freed at the end. Process
 * objmapper-worker, loop thread.
 */
#include "worker/wrk_put_int.h"

static int tiers_init(struct wrk_put_set *s)
{
	for (unsigned i = 0; i < OM_TIERS_MAX; i++) {
		const struct wrk_tier *wt = &s->w->tiers[i];
		struct wrk_put_tier *t = &s->tiers[i];

		t->set = s;
		t->no = (uint8_t)i;
		wrk_put_batch_init(t);
		wrk_put_make_init(t);
		if (!wt->known || wt->objects_fd < 0 || wt->staging_fd < 0)
			continue;
		t->memory = wt->row.type == OM_TIER_MEMORY;
		if (be_dir_init(&t->be, wt->objects_fd, wt->staging_fd, wt->row.caps, s->w->boot.child) < 0)
			return -OBJM_STATUS_SYSTEM;
		if (be_dir_init(&t->behind, wt->objects_fd, wt->staging_fd, wt->row.caps, s->w->boot.child) < 0)
			return -OBJM_STATUS_SYSTEM;
		t->have = true;
	}
	return 0;
}

int wrk_put_new(struct wrk *w, struct wrk_put_set **ret)
{
	struct wrk_put_set *s = calloc(1, sizeof(*s));
	unsigned n = OM_MAX(1u, OM_MIN(w->boot.limits.put_sessions, WRK_PUT_SLOT_MASK));
	int rc;

	if (!s)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	s->w = w;
	s->n_slots = s->n_free = n;
	s->slots = calloc(n, sizeof(struct wrk_put *));
	s->gens = calloc(n, sizeof(uint32_t));
	s->free_slots = calloc(n, sizeof(uint32_t));
	wrk_put_queue_init(&s->answers);
	s->answer_task = WRK_TASK_INIT(wrk_put_answer_all, s);
	wrk_put_watch_init(s);
	if (!s->slots || !s->gens || !s->free_slots) {
		wrk_put_free(s);
		return -OBJM_STATUS_OUT_OF_MEMORY;
	}
	for (unsigned i = 0; i < n; i++)
		s->free_slots[i] = n - 1 - i;
	rc = tiers_init(s);
	if (rc < 0) {
		wrk_put_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

static void end_late(struct wrk_put *p)
{
	p->job.busy = false; /* the pool is gone */
	wrk_put_end(p);
}

void wrk_put_free(struct wrk_put_set *s)
{
	if (!s)
		return;
	for (unsigned i = 0; s->slots && i < s->n_slots; i++)
		if (s->slots[i])
			end_late(s->slots[i]);
	for (unsigned i = 0; i < OM_TIERS_MAX; i++) {
		struct wrk_put_tier *t = &s->tiers[i];
		for (struct wrk_put *p; t->set && (p = wrk_put_queue_take(&t->behind_queue)) != NULL;)
			end_late(p);
		while (t->n_behind > 0)
			end_late(t->behind_batch[--t->n_behind]);
	}
	wrk_task_cancel(&s->w->loop, &s->answer_task);
	wrk_timer_disarm(&s->w->loop, &s->watch);
	for (unsigned i = 0; i < OM_TIERS_MAX; i++) {
		wrk_task_cancel(&s->w->loop, &s->tiers[i].task);
		wrk_task_cancel(&s->w->loop, &s->tiers[i].make_task);
		be_fini(&s->tiers[i].be);
		be_fini(&s->tiers[i].behind);
	}
	for (unsigned i = 0; i < WRK_PUT_UIDS; i++)
		while (s->users[i]) {
			struct wrk_put_user *u = s->users[i];
			s->users[i] = u->next;
			free(u);
		}
	free(s->slots);
	free(s->gens);
	free(s->free_slots);
	free(s);
}
