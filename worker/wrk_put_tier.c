/*
 * wrk_put_tier.c: which tier takes a put. Process objmapper-worker, loop thread.
 *
 * What is known of a tier's room: the supervisor's row in the index header (its accounts), the filesystem's own word (at
 * most 100 ms old), and what this worker has promised to sessions that are open. The supervisor checks again at PREPARE.
 */
#include "worker/wrk_put_int.h"

/* ---- room ---- */

static uint64_t fs_room(struct wrk_put_tier *t)
{
	uint64_t now = om_now_ns();

	/* A network filesystem may keep us waiting: its limit shows when it is met. */
	if (t->set->w->tiers[t->no].row.type == OM_TIER_NETWORK)
		return UINT64_MAX;
	if (t->usage_at_ns == 0 || now - t->usage_at_ns >= WRK_PUT_ROOM_NS) {
		if (be_usage(&t->be, &t->usage) < 0)
			t->usage.avail_bytes = UINT64_MAX;
		t->usage_at_ns = now;
	}
	return t->usage.avail_bytes;
}

/* Bytes that can still be written there, as far as is known. */
static uint64_t avail(struct wrk_put_tier *t)
{
	struct idxr_tier row;
	uint64_t room;

	if (idxr_tier(&t->set->w->idx, t->no, &row) < 0)
		return 0;
	room = row.capacity_bytes > row.used_bytes ? row.capacity_bytes - row.used_bytes : 0;
	return OM_MIN(room, fs_room(t));
}

/* ---- choosing ---- */

struct choice {
	struct wrk_put *p;
	struct wrk_put_tier *found;
	int status; /* of the first candidate that did not take it */
};

static void no(struct choice *c, int status, unsigned tier, const char *why)
{
	if (c->status != 0)
		return;
	c->status = status;
	(void)snprintf(c->p->why, sizeof(c->p->why), "tier %s %s", c->p->set->w->tiers[tier].row.name, why);
}

/* Does tier number `i` take it? */
static bool try_tier(struct choice *c, unsigned i)
{
	struct wrk_put_set *s = c->p->set;
	struct wrk_put_tier *t = i < OM_TIERS_MAX ? &s->tiers[i] : NULL;
	enum om_tier_state state;
	char why[192], what[48] = "a new object";

	if (!t || !s->w->tiers[i].known || (c->p->tried & 1u << i))
		return false;
	c->p->tried |= 1u << i;
	state = t->have ? wrk_tier_state(s->w, i) : OM_TIERS_ABSENT;
	if (state != OM_TIERS_READY && state != OM_TIERS_REBUILDING) {
		(void)snprintf(why, sizeof(why), "takes no writes: it is %s",
			       state == OM_TIERS_READONLY ? "being drained, or read-only (objmctl tier list)" : om_tier_state_name(state));
		no(c, state == OM_TIERS_READONLY ? -OBJM_STATUS_READ_ONLY :
		      state == OM_TIERS_FAILED	 ? -OBJM_STATUS_STORAGE :
						   -OBJM_STATUS_UNAVAILABLE, i, why);
		return false;
	}
	if (!(s->w->tiers[i].row.flags & OM_TIERF_WRITABLE)) {
		no(c, -OBJM_STATUS_READ_ONLY, i, "is read-only");
		return false;
	}
	uint64_t room = avail(t);
	if (room <= t->hinted || room - t->hinted < OM_MAX(c->p->hint, (uint64_t)1)) {
		if (c->p->hint)
			(void)snprintf(what, sizeof(what), "%llu bytes", (unsigned long long)c->p->hint);
		(void)snprintf(why, sizeof(why), "has no space for %s: %llu of %llu bytes are free, %llu of them promised to other puts",
			       what, (unsigned long long)room,
			       (unsigned long long)s->w->tiers[i].row.capacity_bytes, (unsigned long long)t->hinted);
		no(c, -OBJM_STATUS_NO_SPACE, i, why);
		if (!c->p->full && c->p->hint <= s->w->tiers[i].row.capacity_bytes)
			c->p->full = t; /* room may be made */
		return false;
	}
	c->found = t;
	return true;
}

static void choose_ephemeral(struct choice *c)
{
	const struct om_proc_boot *b = &c->p->set->w->boot;
	const struct wrk_tier *tiers = c->p->set->w->tiers;

	/* Only ever memory, and no way out to a disk: an ephemeral object that does not fit is refused. */
	if (b->ephemeral_tier < OM_TIERS_MAX && tiers[b->ephemeral_tier].row.type == OM_TIER_MEMORY && try_tier(c, b->ephemeral_tier))
		return;
	/* the fastest first; not by the flags of the start, which a reload may have changed */
	for (unsigned i = 0; i < b->n_tiers && i < OM_TIERS_MAX && !c->found; i++) {
		unsigned no = b->tiers[i].tier;
		if (no < OM_TIERS_MAX && tiers[no].row.type == OM_TIER_MEMORY && (tiers[no].row.flags & OM_TIERF_EPHEMERAL))
			(void)try_tier(c, no);
	}
}

static void choose_persistent(struct choice *c)
{
	const struct om_proc_boot *b = &c->p->set->w->boot;

	if (try_tier(c, b->default_tier))
		return;
	for (unsigned i = 0; i < b->n_tiers && i < OM_TIERS_MAX && !c->found; i++)
		if ((b->tiers[i].flags & OM_TIERF_PERSISTENT) && (b->tiers[i].flags & OM_TIERF_WRITABLE))
			(void)try_tier(c, b->tiers[i].tier);
}

void wrk_put_use_tier(struct wrk_put *p, struct wrk_put_tier *t)
{
	const struct om_boot_tier *row = &p->set->w->tiers[t->no].row;

	OM_ASSERT(!p->tier);
	p->tier = t;
	t->hinted += p->hint;
	p->in_hinted = true;
	p->rec.tier = p->rec.home = t->no;
	if (p->durability >= OM_DUR_COUNT || p->durability < row->durability)
		p->durability = row->durability; /* nobody gets less than the tier promises */
	if (t->memory)
		p->durability = OM_DUR_NONE; /* there is nothing to be had */
}

int wrk_put_choose(struct wrk_put *p)
{
	struct choice c = { .p = p };

	OM_ASSERT(!p->tier);
	if (p->rec.flags & OM_OBJ_EPHEMERAL)
		choose_ephemeral(&c);
	else
		choose_persistent(&c);
	if (c.found) {
		p->why[0] = '\0';
		wrk_put_use_tier(p, c.found);
		return 0;
	}
	if (c.status == 0) {
		c.status = -OBJM_STATUS_UNAVAILABLE;
		(void)snprintf(p->why, sizeof(p->why), "no tier takes %s objects", p->rec.flags & OM_OBJ_EPHEMERAL ? "ephemeral" :
			       "new");
	}
	return c.status;
}
