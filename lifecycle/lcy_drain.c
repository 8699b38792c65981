/*
 * lcy_drain.c: tiers that everything moves off. Loop's thread of objmapper-lifecycle. The supervisor remembers which they are, over
 * restarts too, and says so with BOOT.
 */
#include "lifecycle/lcy_task.h"

void lcy_drain_set(struct lcy *l, unsigned tier, bool on)
{
	struct lcy_tier *t = &l->tiers[tier];

	if (t->drain == on) { /* asked again: what could go nowhere a while ago may be able to now */
		if (on && t->drain_idle > 0)
			lcy_plan_soon(l);
		return;
	}
	t->drain = on;
	t->drained = t->drained_bytes = t->drain_stuck = t->drain_seen = t->drain_again_ns = 0;
	t->drain_idle = t->drain_looks = 0;
	lcy_plan_soon(l);
}

void lcy_drain_resume(struct lcy *l)
{
	for (unsigned i = 0; i < l->boot.n_tiers; i++) {
		const struct om_boot_tier *row = &l->boot.tiers[i];
		if (row->tier < OM_TIERS_MAX && row->draining) {
			l->tiers[row->tier].drain = true;
			om_log(OM_MSG_NOTE, "tier %s: its drain goes on", row->name);
		}
	}
}
