/*
 * lcy_tiers.c: what tiers can give and take, and how moves have done on them of late. Loop's thread of objmapper-lifecycle.
 *
 * Tiers of one kind form a ladder: memory tiers one, all others another. Nothing steps from one ladder to the other: a persistent
 * object gets a copy on memory, an ephemeral one never leaves it.
 */
#include "lifecycle/lcy.h"

#define BACK_OFF_MS 1000u
#define BACK_OFF_MAX 8u /* doublings: about four minutes */

const struct om_boot_tier *lcy_tier_row(const struct lcy *l, unsigned no)
{
	for (unsigned i = 0; i < l->boot.n_tiers; i++)
		if (l->boot.tiers[i].tier == no)
			return &l->boot.tiers[i];
	return NULL;
}

const char *lcy_tier_name(const struct lcy *l, unsigned no)
{
	const struct om_boot_tier *row = lcy_tier_row(l, no);

	return row ? row->name : "?";
}

bool lcy_tier_memory(const struct lcy *l, unsigned no)
{
	const struct om_boot_tier *row = lcy_tier_row(l, no);

	return row && row->type == OM_TIER_MEMORY;
}

bool lcy_tier_ephemeral(const struct lcy *l, unsigned no)
{
	const struct om_boot_tier *row = lcy_tier_row(l, no);

	return row && row->type == OM_TIER_MEMORY && (row->flags & OM_TIERF_EPHEMERAL);
}

bool lcy_tier_faster(const struct lcy *l, unsigned a, unsigned b)
{
	const struct om_boot_tier *x = lcy_tier_row(l, a), *y = lcy_tier_row(l, b);

	if (!x || !y || a == b)
		return false;
	if (x->type != y->type)
		return x->type < y->type;
	if (x->perf_factor < y->perf_factor || x->perf_factor > y->perf_factor)
		return x->perf_factor < y->perf_factor;
	return a < b; /* of two alike the first: a ladder needs an order */
}

/* Bytes on it, what is on its way there included, each once. */
static uint64_t used(const struct lcy *l, unsigned no)
{
	struct idxr_tier t;

	return idxr_tier(&l->idx, no, &t) < 0 ? 0 : t.used_bytes + l->tiers[no].asked_for;
}

uint64_t lcy_tier_capacity(const struct lcy *l, unsigned no)
{
	struct idxr_tier t;

	return idxr_tier(&l->idx, no, &t) < 0 ? 0 : t.capacity_bytes;
}

static enum om_tier_state state_of(const struct lcy *l, unsigned no)
{
	struct idxr_tier t;

	return no < OM_TIERS_MAX && l->tiers[no].on && idxr_tier(&l->idx, no, &t) == 0 ? t.state : OM_TIERS_ABSENT;
}

bool lcy_tier_gives(const struct lcy *l, unsigned no, bool copy)
{
	const struct om_boot_tier *row = lcy_tier_row(l, no);
	enum om_tier_state s = state_of(l, no);

	if (!row || (s != OM_TIERS_READY && s != OM_TIERS_READONLY && s != OM_TIERS_FAILED))
		return false;
	if (copy)
		return true;
	/* its record has to go afterwards */
	return s == OM_TIERS_READY && (row->flags & OM_TIERF_MIGRATION_SRC) && (row->flags & OM_TIERF_WRITABLE);
}

int lcy_tier_takes(const struct lcy *l, unsigned no, uint64_t bytes, double share, bool copy, uint64_t now_ns)
{
	const struct om_boot_tier *row = lcy_tier_row(l, no);
	const struct lcy_tier *t;

	if (!row || state_of(l, no) == OM_TIERS_ABSENT || state_of(l, no) == OM_TIERS_REBUILDING)
		return -OBJM_STATUS_UNAVAILABLE;
	t = &l->tiers[no];
	if (state_of(l, no) != OM_TIERS_READY || !(row->flags & OM_TIERF_WRITABLE) || (!copy && !(row->flags & OM_TIERF_MIGRATION_DST)) ||
	    t->drain)
		return -OBJM_STATUS_READ_ONLY;
	if (copy && !(row->flags & OM_TIERF_READABLE))
		return -OBJM_STATUS_READ_ONLY; /* a copy that nobody may read serves nobody */
	if (t->dead)
		return -OBJM_STATUS_STORAGE;
	if (now_ns < t->again_ns)
		return -OBJM_STATUS_TRY_AGAIN;
	double limit = (double)lcy_tier_capacity(l, no) * share;
	return (double)used(l, no) + (double)bytes <= limit ? 0 : -OBJM_STATUS_NO_SPACE;
}

/* The best of those on the same ladder that `want` says yes to. */
static unsigned choose(const struct lcy *l, unsigned from, uint64_t bytes, double share, int dir, uint64_t now_ns)
{
	unsigned best = OM_TIER_NONE;

	for (unsigned i = 0; i < l->boot.n_tiers; i++) {
		unsigned no = l->boot.tiers[i].tier;
		if (no == from || lcy_tier_memory(l, no) != lcy_tier_memory(l, from))
			continue;
		/* homes on memory are those of ephemeral objects */
		if (lcy_tier_memory(l, no) && !lcy_tier_ephemeral(l, no))
			continue;
		if ((dir > 0 && !lcy_tier_faster(l, no, from)) || (dir < 0 && !lcy_tier_faster(l, from, no)))
			continue;
		if (lcy_tier_takes(l, no, bytes, share, false, now_ns) < 0)
			continue;
		/* the fastest; also of the slower ones: one step, not all the way down */
		if (best == OM_TIER_NONE || lcy_tier_faster(l, no, best))
			best = no;
	}
	return best;
}

unsigned lcy_tier_up(const struct lcy *l, unsigned from, uint64_t bytes, uint64_t now_ns)
{
	/* up to the low mark: room is made above the high one, so nothing comes up only to be pushed down again */
	return choose(l, from, bytes, l->boot.lifecycle.evict_target, 1, now_ns);
}

unsigned lcy_tier_down(const struct lcy *l, unsigned from, uint64_t bytes, uint64_t now_ns)
{
	return choose(l, from, bytes, l->boot.lifecycle.evict_when_full, -1, now_ns);
}

unsigned lcy_tier_any(const struct lcy *l, unsigned from, uint64_t bytes, uint64_t now_ns)
{
	return choose(l, from, bytes, l->boot.lifecycle.evict_when_full, 0, now_ns);
}

void lcy_tier_failed(struct lcy *l, unsigned no, int status, bool as_target, uint64_t now_ns)
{
	struct lcy_tier *t = &l->tiers[no];

	t->again_ns = now_ns + ((uint64_t)BACK_OFF_MS << OM_MIN(t->fails, BACK_OFF_MAX)) * UINT64_C(1000000);
	if (t->fails++ == 0)
		om_log(OM_MSG_MOVE_FAILED, "tier %s: moves %s it fail: %s; they are tried again, ever more seldom", lcy_tier_name(l, no),
		       as_target ? "to" : "from", om_status_text(status));
}

void lcy_tier_dead(struct lcy *l, unsigned no)
{
	if (l->tiers[no].dead)
		return;
	l->tiers[no].dead = true;
	om_log(OM_MSG_MOVE_FAILED, "tier %s: what was moved to it could not be made durable: nothing is moved to it any more; check the disk, "
	       "then restart the daemon", lcy_tier_name(l, no));
}

void lcy_tier_worked(struct lcy *l, unsigned no)
{
	struct lcy_tier *t = &l->tiers[no];
	const struct om_boot_tier *row = lcy_tier_row(l, no);

	if (t->fails > 0 && row)
		om_log(OM_MSG_MOVE_AGAIN, "tier %s: moves work again", row->name);
	t->fails = 0;
	t->again_ns = 0;
}

/* Bytes above the goal: what leaves is as good as gone; what comes has been allowed for. */
static double excess(const struct lcy *l, unsigned no, double *ret_capacity)
{
	const struct om_boot_lifecycle *c = &l->boot.lifecycle;
	const struct lcy_tier *t = &l->tiers[no];
	struct idxr_tier row;

	*ret_capacity = 0;
	if (!t->on || idxr_tier(&l->idx, no, &row) < 0 || row.capacity_bytes == 0)
		return 0;
	double cap = (double)row.capacity_bytes, asked = (double)t->asked;
	double used = (double)row.used_bytes - (double)OM_MIN(row.used_bytes, t->outbound + t->leaving);
	/* down to the low mark with what is asked for; something larger than that gets what it needs */
	double goal = asked <= cap * c->evict_target ? cap * c->evict_target : cap;
	*ret_capacity = cap;
	return used + asked - goal;
}

void lcy_tier_settle(struct lcy *l, unsigned no)
{
	struct lcy_tier *t = &l->tiers[no];
	double cap, over = excess(l, no, &cap);
	const struct om_boot_lifecycle *c = &l->boot.lifecycle;
	double goal = (double)t->asked <= cap * c->evict_target ? cap * c->evict_target : cap;

	if (t->leaving && l->now_ns - t->leaving_ns > LCY_LEAVING_MS * UINT64_C(1000000)) {
		t->leaving = 0;
		over = excess(l, no, &cap);
	}
	if (over + goal > cap * c->evict_when_full)
		t->over = true;
	if (over <= 0) { /* what was asked for is there or on its way: who asked will ask again should it not be enough */
		t->over = false;
		t->asked = 0;
	}
}

uint64_t lcy_tier_need(const struct lcy *l, unsigned no)
{
	double cap, over = excess(l, no, &cap);

	return l->tiers[no].over && over > 0 ? (uint64_t)over : 0;
}
