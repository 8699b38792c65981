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
	t->drain_idle = t->drain_looks = t->drain_pace.n = 0;
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

static void note(struct lcy_tier *t, uint64_t now_ns)
{
	struct lcy_pace *p = &t->drain_pace;
	unsigned at = p->n++ % LCY_PACE_NOTES;

	p->at_ns[at] = now_ns;
	p->objects[at] = t->drained;
	p->bytes[at] = t->drained_bytes;
}

void lcy_drain_turn(struct lcy *l)
{
	for (unsigned i = 0; i < OM_TIERS_MAX; i++) {
		struct lcy_tier *t = &l->tiers[i];
		const struct lcy_pace *p = &t->drain_pace;
		if (t->drain && (p->n == 0 || l->now_ns - p->at_ns[(p->n - 1) % LCY_PACE_NOTES] >= LCY_PACE_MS * UINT64_C(1000000)))
			note(t, l->now_ns);
	}
}

bool lcy_drain_pace(const struct lcy_tier *t, uint64_t now_ns, double *ret_objects, double *ret_bytes)
{
	const struct lcy_pace *p = &t->drain_pace;
	unsigned first = p->n > LCY_PACE_NOTES ? p->n % LCY_PACE_NOTES : 0;

	if (!t->drain || p->n == 0 || now_ns - p->at_ns[first] < LCY_PACE_LEAST_MS * UINT64_C(1000000))
		return false;
	double s = (double)(now_ns - p->at_ns[first]) / 1e9;
	*ret_objects = (double)(t->drained - p->objects[first]) / s;
	*ret_bytes = (double)(t->drained_bytes - p->bytes[first]) / s;
	return true;
}

uint64_t lcy_drain_left_s(double objects_per_s, double bytes_per_s, uint64_t objects, uint64_t bytes)
{
	if (objects_per_s <= 0)
		return UINT64_MAX;
	bool large = bytes_per_s / objects_per_s >= LCY_COPY_DIRECT;
	double s = large ? (double)bytes / bytes_per_s : (double)objects / objects_per_s;
	return s < 1e9 ? (uint64_t)(s + 0.5) : UINT64_MAX;
}
