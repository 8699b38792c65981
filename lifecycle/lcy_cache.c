/*
 * lcy_cache.c: which persistent objects have a copy on the cache tier: lcy_blend.c decides, this file keeps it in step with what
 * is really there. Loop's thread of objmapper-lifecycle.
 *
 * The policy knows objects by slot. What it was told of a slot is remembered beside it (the object's id and size, as they were), so
 * that a slot that changed hands is noticed, and a size does not change under it. When the index has grown, all of this
 * begins anew, from heat and from what state_dir/heat.d still says; so it does when the process was restarted.
 */
#include "lifecycle/lcy.h"

#define WAITS (UINT32_C(1) << 31) /* in page[]: let in, its copy is not made yet */
#define PAGE_SHIFT 12

static uint32_t tag_of(uint64_t id)
{
	uint32_t tag = (uint32_t)id ^ (uint32_t)(id >> 32);
	return tag ? tag : 1;
}

static uint32_t pages_of(uint64_t size)
{
	uint64_t pages = (size + (1u << PAGE_SHIFT) - 1) >> PAGE_SHIFT;
	return (uint32_t)OM_MIN(OM_MAX(pages, 1), WAITS - 1); /* the policy wants 1 at the least; tmpfs takes an inode */
}

static uint64_t size_of(const void *arg, uint32_t slot)
{
	const struct lcy_cache *c = arg;
	return OM_MAX(c->page[slot] & ~WAITS, 1u);
}

static void push(uint32_t *ring, uint32_t *tail, uint32_t head, uint32_t slot)
{
	if (*tail - head < LCY_CACHE_QUEUE)
		ring[(*tail)++ % LCY_CACHE_QUEUE] = slot; /* one that has no room is found by the next scan */
}

static void evicted(void *arg, uint32_t slot)
{
	struct lcy_cache *c = arg;

	if (c->page[slot] & WAITS) { /* it never got its copy: nothing to take away */
		c->page[slot] &= ~WAITS;
		return;
	}
	push(c->gone, &c->g_tail, c->g_head, slot);
}

/* Another policy leads, and has kept this one: it is brought like what is let in. */
static void bring(void *arg, uint32_t slot)
{
	struct lcy_cache *c = arg;

	if (c->q_tail - c->q_head == LCY_CACHE_QUEUE) { /* let in when it is accessed next */
		lcy_blend_drop(c->policy, slot, false);
		return;
	}
	c->page[slot] |= WAITS;
	push(c->queue, &c->q_tail, c->q_head, slot);
}

static void drop_all(struct lcy_cache *c)
{
	lcy_blend_free(c->policy);
	free(c->tag);
	free(c->page);
	free(c->queue);
	free(c->gone);
	memset(c, 0, sizeof(*c));
}

void lcy_cache_reset(struct lcy *l) { drop_all(&l->cache); }

/* What the cache tier may hold of copies, in pages: up to the low mark, without what else lies there. */
static uint64_t capacity_pages(const struct lcy *l)
{
	double cap = (double)lcy_tier_capacity(l, l->boot.cache_tier) * l->boot.lifecycle.evict_target;
	double other = (double)l->plan.cache_other;

	return cap > other ? (uint64_t)(cap - other) >> PAGE_SHIFT : 0;
}

static bool wanted(const struct lcy *l)
{
	return l->boot.cache_tier < OM_TIERS_MAX && lcy_tier_memory(l, l->boot.cache_tier) && l->tiers[l->boot.cache_tier].on &&
	       l->boot.n_tiers > 1;
}

static bool allocate(struct lcy_cache *c, uint64_t slots)
{
	c->tag = calloc(slots, sizeof(*c->tag));
	c->page = calloc(slots, sizeof(*c->page));
	c->queue = calloc(LCY_CACHE_QUEUE, sizeof(*c->queue));
	c->gone = calloc(LCY_CACHE_QUEUE, sizeof(*c->gone));
	return c->tag && c->page && c->queue && c->gone;
}

/* The first whole scan has told how large objects are: the next one seeds. */
static void begin(struct lcy *l)
{
	struct lcy_cache *c = &l->cache;
	uint64_t pages = capacity_pages(l);

	if (!idxr_complete(&l->idx) || pages == 0 || l->plan.last_live == 0 || l->idx.slots > UINT32_MAX - 1 || !allocate(c, l->idx.slots)) {
		drop_all(c);
		return;
	}
	struct lcy_blend_conf conf = { .wanted = bring, .policy = {
		.objects = (uint32_t)l->idx.slots, .capacity = pages, .size = size_of, .evicted = evicted, .arg = c,
		.mean_size = OM_MAX(l->plan.last_bytes / l->plan.last_live >> PAGE_SHIFT, UINT64_C(1)),
	} };
	if (lcy_blend_new(&conf, &c->policy) < 0) {
		drop_all(c);
		om_log(OM_MSG_NOTE, "no memory to choose objects for the cache tier by: no copies are made");
		return;
	}
	c->tier = (uint8_t)l->boot.cache_tier;
	c->slots = (uint32_t)l->idx.slots;
	c->seeding = true;
	lcy_plan_soon(l);
}

void lcy_cache_scanned(struct lcy *l)
{
	struct lcy_cache *c = &l->cache;

	if (c->policy && (!wanted(l) || c->tier != l->boot.cache_tier || c->slots != l->idx.slots))
		drop_all(c);
	if (!wanted(l)) {
		lcy_save_done(l);
		return;
	}
	if (!c->policy) {
		begin(l);
		return;
	}
	if (c->seeding) {
		c->seeding = false;
		lcy_blend_seeded(c->policy, &l->save.old.head.trial);
		lcy_save_done(l);
	}
	lcy_blend_resize(c->policy, capacity_pages(l));
}

/* True if this object may have a copy at all. */
static bool eligible(const struct lcy *l, const struct idx_ent *e)
{
	return e->home < OM_TIERS_MAX && !(e->flags & (OM_OBJ_EPHEMERAL | OM_OBJ_PINNED)) && !lcy_tier_memory(l, e->home) &&
	       !l->tiers[e->home].drain;
}

static bool has_copy(const struct lcy_cache *c, const struct idx_ent *e) { return e->tier == c->tier && e->home != c->tier; }

/* The slot is this object's from now on; what was known of another is forgotten. */
static void own(struct lcy_cache *c, uint32_t slot, const struct idx_ent *e)
{
	uint32_t tag = tag_of(e->id);

	if (c->tag[slot] == tag)
		return;
	if (c->tag[slot])
		lcy_blend_drop(c->policy, slot, true);
	c->tag[slot] = tag;
	c->page[slot] = pages_of(e->size);
}

static void seed(struct lcy *l, uint32_t slot, const struct idx_ent *e, uint64_t now_s)
{
	struct lcy_cache *c = &l->cache;
	struct lcy_policy_memory m = { 0 };
	struct idx_heat_val v;
	const struct lcy_keep_entry *k = lcy_save_known(l, e->id);

	if (k && k->count_q != UINT16_MAX) {
		m.count = lcy_keep_value(k->count_q);
		m.ago = (uint64_t)lcy_keep_value(k->ago_q);
		m.lanes = k->lanes;
		m.sampled = k->sampled != 0;
	} else if (idx_heat_get(&l->heat, slot, now_s, e->since_s, &v) == 0 && v.last_s != 0) {
		/* accesses in between are not known: as if each object had one a minute */
		m.count = OM_MAX(v.count, 1.0);
		m.ago = now_s > v.last_s ? (now_s - v.last_s) / 60 * OM_MAX(l->plan.last_live, UINT64_C(1)) : 0;
	} else {
		return;
	}
	lcy_policy_seed(lcy_blend_ranks(c->policy), slot, &m);
}

void lcy_cache_see(struct lcy *l, uint32_t slot, const struct idx_ent *e, uint64_t now_s)
{
	struct lcy_cache *c = &l->cache;

	if (!c->policy || slot >= c->slots)
		return;
	if (!e || !eligible(l, e)) {
		if (c->tag[slot]) {
			lcy_blend_drop(c->policy, slot, true);
			c->tag[slot] = c->page[slot] = 0;
		}
		if (!e || !has_copy(c, e))
			return;
		push(c->gone, &c->g_tail, c->g_head, slot); /* it may have none any more */
		return;
	}
	own(c, slot, e);
	if (c->seeding)
		seed(l, slot, e, now_s);
	bool there = has_copy(c, e), known = lcy_blend_has(c->policy, slot);
	if (there && !known)
		lcy_blend_put(c->policy, slot);
	else if (!there && known && !(c->page[slot] & WAITS))
		lcy_blend_drop(c->policy, slot, false);
	if (there)
		c->page[slot] &= ~WAITS;
}

void lcy_cache_access(struct lcy *l, uint32_t slot, const struct idx_ent *e, double heat)
{
	struct lcy_cache *c = &l->cache;

	if (!c->policy || c->seeding || slot >= c->slots || !eligible(l, e))
		return;
	/* more than it can be told of in a turn: every n-th, of all objects alike */
	if (++c->told > LCY_POLICY_TURN && c->told % 16 != 0)
		return;
	own(c, slot, e);
	bool has = lcy_blend_has(c->policy, slot);
	if (has || heat <= l->boot.lifecycle.hot_threshold || l->plan.paused) {
		(void)lcy_blend_note(c->policy, slot); /* it counts, but not hot enough is not let in */
		return;
	}
	if (has_copy(c, e)) { /* somebody else made it: by hand */
		lcy_blend_put(c->policy, slot);
		(void)lcy_blend_note(c->policy, slot);
		return;
	}
	if (lcy_blend_access(c->policy, slot) != LCY_POLICY_ADMIT)
		return;
	if (c->q_tail - c->q_head == LCY_CACHE_QUEUE) { /* more than the next cycles could bring there */
		lcy_blend_drop(c->policy, slot, false);
		return;
	}
	c->page[slot] |= WAITS;
	push(c->queue, &c->q_tail, c->q_head, slot);
}

/* The object of a slot as it stands now. False: none that the policy speaks of. */
static bool standing(struct lcy *l, uint32_t slot, struct idxr_slot *ret)
{
	const struct lcy_cache *c = &l->cache;

	return slot < c->slots && c->slots == l->idx.slots && idxr_slot(&l->idx, slot, ret) == 0 && ret->state == IDXR_LIVE;
}

static struct lcy_cand cand_of(uint32_t slot, const struct idx_ent *e)
{
	return (struct lcy_cand){ .id = e->id, .size = e->size, .slot = slot, .from = e->home, .why = LCY_WHY_CACHE };
}

bool lcy_cache_next(struct lcy *l, struct lcy_cand *ret)
{
	struct lcy_cache *c = &l->cache;
	struct idxr_slot s;

	while (c->q_head != c->q_tail) {
		uint32_t slot = c->queue[c->q_head++ % LCY_CACHE_QUEUE];
		if (!(c->page[slot] & WAITS))
			continue; /* out again before its turn */
		if (!standing(l, slot, &s) || tag_of(s.ent.id) != c->tag[slot] || !eligible(l, &s.ent) || has_copy(c, &s.ent)) {
			c->page[slot] &= ~WAITS; /* the next scan sees how it is */
			if (!standing(l, slot, &s) || !has_copy(c, &s.ent))
				lcy_blend_drop(c->policy, slot, false);
			continue;
		}
		*ret = cand_of(slot, &s.ent);
		ret->kind = LCY_JOB_MOVE;
		ret->to = c->tier;
		ret->move_kind = OM_MOVE_COPY;
		return true;
	}
	return false;
}

static void make_drop(const struct lcy_cache *c, struct lcy_cand *cand)
{
	cand->kind = LCY_JOB_DROP;
	cand->from = c->tier;
	cand->drop_why = OM_DROP_COPY;
}

bool lcy_cache_next_gone(struct lcy *l, struct lcy_cand *ret)
{
	struct lcy_cache *c = &l->cache;
	struct idxr_slot s;

	while (c->g_head != c->g_tail) {
		uint32_t slot = c->gone[c->g_head++ % LCY_CACHE_QUEUE];
		if (!standing(l, slot, &s) || !has_copy(c, &s.ent) || (c->policy && lcy_blend_has(c->policy, slot)))
			continue; /* let in again, or gone already */
		*ret = cand_of(slot, &s.ent);
		make_drop(c, ret);
		return true;
	}
	return false;
}

bool lcy_cache_victim(struct lcy *l, struct lcy_cand *ret)
{
	struct lcy_cache *c = &l->cache;
	struct idxr_slot s;
	uint32_t slot;

	while (c->policy && !c->seeding && lcy_blend_victim(c->policy, &slot)) {
		c->page[slot] &= ~WAITS;
		if (!standing(l, slot, &s) || !has_copy(c, &s.ent))
			continue;
		*ret = cand_of(slot, &s.ent);
		make_drop(c, ret);
		ret->why = LCY_WHY_ROOM;
		return true;
	}
	return false;
}

void lcy_cache_there(struct lcy *l, uint32_t slot, uint64_t id, uint64_t size)
{
	struct lcy_cache *c = &l->cache;

	if (!c->policy || slot >= c->slots)
		return;
	if (c->tag[slot] != tag_of(id)) { /* the policy never heard of it */
		if (c->tag[slot])
			lcy_blend_drop(c->policy, slot, true);
		c->tag[slot] = tag_of(id);
		c->page[slot] = pages_of(size);
	}
	c->page[slot] &= ~WAITS;
	if (lcy_blend_has(c->policy, slot))
		return;
	lcy_blend_put(c->policy, slot);
}

void lcy_cache_not_there(struct lcy *l, uint32_t slot, uint64_t id)
{
	struct lcy_cache *c = &l->cache;

	if (!c->policy || slot >= c->slots || c->tag[slot] != tag_of(id))
		return;
	c->page[slot] &= ~WAITS;
	lcy_blend_drop(c->policy, slot, false);
}
