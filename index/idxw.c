/*
 * idxw.c: the only writer of the shared index, see idxw.h. Runs in the supervisor's publisher thread. A struct idxw is the
 * current segment and, while it grows, the next one; idxw_table.c does what concerns one segment.
 *
 * Growth needs no snapshot: the copier reads the current segment as it is at that moment, in the thread that makes the
 * changes. A slot that it has passed is kept up to date by the changes themselves, which go to both segments.
 */
#include "index/idxw.h"

#include "index/idxw_table.h"

#define LARGE_SLOTS (1u << 20)

struct idxw {
	struct idxw_table cur;
	struct idxw_table next; /* unused while IDXW_STEADY */
	enum idxw_state state;
	bool next_full; /* a change did not fit into `next`, which is therefore worthless */
	uint64_t copied; /* slots of `cur` that have been copied */
	uint32_t segment; /* the last number given out */
	uint64_t pinned[OM_TIERS_MAX]; /* bytes, by home */
};

static bool has_next(const struct idxw *w) { return w->state != IDXW_STEADY && !w->next_full; }

int idxw_new(uint64_t objects, struct idxw **ret_w)
{
	struct idxw *w;
	int err;

	if (objects > IDX_SLOTS_MAX / 4 * 3)
		return -OBJM_STATUS_TOO_LARGE;
	w = (struct idxw *)calloc(1, sizeof(*w));
	if (!w)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	w->segment = 1;
	err = idxw_table_init(&w->cur, idx_slots_for(objects), w->segment);
	if (err < 0) {
		free(w);
		return err;
	}
	w->cur.filling = true;
	*ret_w = w;
	return 0;
}

void idxw_free(struct idxw *w)
{
	if (!w)
		return;
	idxw_table_fini(&w->cur);
	idxw_table_fini(&w->next);
	free(w);
}

int idxw_fd(const struct idxw *w) { return w->cur.seg.rofd; }

void idxw_view(const struct idxw *w, struct idxr *ret_idx)
{
	const struct idxw_table *t = w->state == IDXW_SWITCHING ? &w->next : &w->cur;

	*ret_idx = (struct idxr){
		.base = t->seg.base, .bytes = t->seg.bytes, .slots = t->slots, .segment = (uint32_t)t->hdr->segment};
}

enum idxw_state idxw_state(const struct idxw *w) { return w->state; }

void idxw_stat(const struct idxw *w, struct idxr_stat *ret_stat)
{
	*ret_stat = (struct idxr_stat){
		.slots = w->cur.slots,
		.live = w->cur.live,
		.dead = w->cur.dead,
		.bytes = w->cur.seg.bytes,
		.segment = (uint32_t)w->cur.hdr->segment,
		.complete = !w->cur.filling,
	};
}

/* Make a change in one or both segments. Both slots are locked before either is released: whoever has seen the change in
 * one segment finds it, or waits for it, in the other. */
static void apply(struct idxw *w, const struct idxw_plan *cur, const struct idxw_plan *next)
{
	idxw_plan_lock(cur);
	idxw_plan_lock(next);
	idxw_plan_write(cur);
	idxw_plan_write(next);
	idxw_plan_unlock(cur);
	idxw_plan_unlock(next);
	idxw_table_settle(&w->cur, cur);
	if (next->slot)
		idxw_table_settle(&w->next, next);
}

/* What a plan for `next` that did not work out means: nothing for readers while copying, a refusal once they map it. */
static int next_failed(struct idxw *w)
{
	if (w->state == IDXW_SWITCHING)
		return -OBJM_STATUS_NO_SPACE;
	w->next_full = true;
	return 0;
}

static int put(struct idxw *w, const struct idx_key *key, const struct idx_ent *ent, bool filled)
{
	struct idxw_plan cur, next = {0};
	int err = idxw_table_plan_put(&w->cur, key, ent, filled, &cur);

	if (err == 0 && has_next(w) && idxw_table_plan_put(&w->next, key, ent, filled, &next) < 0)
		err = next_failed(w);
	if (err == 0)
		apply(w, &cur, &next);
	return err;
}

static bool ent_ok(const struct idx_ent *ent)
{
	return ent->tier < OM_TIERS_MAX && (ent->home < OM_TIERS_MAX || ent->home == OM_TIER_NONE) &&
	       (ent->flags & ~OM_OBJ_FLAGS_ALL) == 0;
}

/* What was and what is in a slot; NULL: nothing. */
static void count_pinned(struct idxw *w, const struct idx_ent *was, const struct idx_ent *now)
{
	if (was && (was->flags & OM_OBJ_PINNED) && was->home < OM_TIERS_MAX)
		w->pinned[was->home] -= was->size;
	if (now && (now->flags & OM_OBJ_PINNED) && now->home < OM_TIERS_MAX)
		w->pinned[now->home] += now->size;
}

uint64_t idxw_pinned(const struct idxw *w, unsigned home) { return home < OM_TIERS_MAX ? w->pinned[home] : 0; }

int idxw_put(struct idxw *w, const struct idx_key *key, const struct idx_ent *ent)
{
	struct idx_ent was = {0};
	bool had = idxw_get(w, key, &was, NULL) == 0;
	int err = ent_ok(ent) ? put(w, key, ent, false) : -OBJM_STATUS_INVALID_REQUEST;

	if (err == 0)
		count_pinned(w, had ? &was : NULL, ent);
	return err;
}

int idxw_del(struct idxw *w, const struct idx_key *key)
{
	struct idxw_plan cur, next = {0};
	struct idx_ent was = {0};
	bool had = idxw_get(w, key, &was, NULL) == 0;
	int found = idxw_table_plan_del(&w->cur, key, w->cur.filling, &cur), err;

	if (found == -OBJM_STATUS_NO_SPACE)
		return found;
	if (has_next(w)) {
		err = idxw_table_plan_del(&w->next, key, w->next.filling, &next);
		if (err == -OBJM_STATUS_NO_SPACE && next_failed(w) < 0)
			return err;
	}
	apply(w, &cur, &next);
	count_pinned(w, had ? &was : NULL, NULL);
	return found;
}

int idxw_get(const struct idxw *w, const struct idx_key *key, struct idx_ent *ret_ent, uint32_t *ret_slot)
{
	struct idxw_place p;
	struct idx_key same;
	struct idx_ent ent;

	idxw_table_find(&w->cur, key, &p);
	if (p.state != IDX_LIVE)
		return -OBJM_STATUS_NOT_FOUND;
	idxw_table_ent(&w->cur, p.at, &same, &ent);
	if (ret_ent)
		*ret_ent = ent;
	if (ret_slot)
		*ret_slot = (uint32_t)p.at;
	return 0;
}

void idxw_prefetch(const struct idxw *w, const struct idx_key *key)
{
	__builtin_prefetch(&w->cur.slot[idx_key_home(key, w->cur.slots)], 1, 3);
	if (has_next(w))
		__builtin_prefetch(&w->next.slot[idx_key_home(key, w->next.slots)], 1, 3);
}

/* Two catalogs have a record of one key: the entry that both together mean. */
static struct idx_ent merge(const struct idx_ent *a, const struct idx_ent *b)
{
	const struct idx_ent *home, *copy;
	struct idx_ent ret;

	if (a->id != b->id)
		return a->id > b->id ? *a : *b;
	if (a->tier == a->home && b->tier == b->home) /* a move that a crash cut short: as idx_cat_rec_wins() decides */
		return a->rev > b->rev || (a->rev == b->rev && a->tier <= b->tier) ? *a : *b;
	home = a->tier == a->home ? a : b;
	copy = home == a ? b : a;
	ret = *home;
	ret.tier = copy->tier; /* a copy is made to be served */
	return ret;
}

int idxw_fill(struct idxw *w, const struct idx_key *key, const struct idx_ent *ent)
{
	struct idxw_place p;
	struct idx_key same;
	struct idx_ent there, merged;
	int err;

	OM_ASSERT(w->cur.filling);
	if (!ent_ok(ent))
		return -OBJM_STATUS_INVALID_REQUEST;
	idxw_table_find(&w->cur, key, &p);
	if (p.state == IDX_EMPTY) {
		err = put(w, key, ent, true);
		if (err == 0)
			count_pinned(w, NULL, ent);
		return err;
	}
	if (p.state == IDX_DEAD || !idxw_table_filled(&w->cur, p.at))
		return -OBJM_STATUS_PRECONDITION_FAILED;
	idxw_table_ent(&w->cur, p.at, &same, &there);
	merged = merge(&there, ent);
	err = put(w, key, &merged, true);
	if (err == 0)
		count_pinned(w, &there, &merged);
	return err;
}

/* A miss in this segment is final. Release: every slot of the fill is visible to whoever sees this. */
static void publish_complete(struct idxw_table *t)
{
	t->stamped = true;
	atomic_store_explicit(&t->hdr->complete, 1, memory_order_release);
}

void idxw_fill_done(struct idxw *w)
{
	OM_ASSERT(w->cur.filling);
	w->cur.filling = false;
	publish_complete(&w->cur);
	w->next.filling = false;
	if (w->state == IDXW_SWITCHING) /* while copying, `next` is not complete; idxw_grow_done() says when */
		publish_complete(&w->next);
}

/* True if a rebuild at the same size gives back enough: tombstones fill the table, not objects. */
static bool mostly_dead(const struct idxw_table *t) { return t->live <= t->slots * 68 / 100; }

bool idxw_want_grow(const struct idxw *w)
{
	const struct idxw_table *t = &w->cur;

	return w->state == IDXW_STEADY && t->live + t->dead > t->slots * 85 / 100 &&
	       (t->slots < IDX_SLOTS_MAX || mostly_dead(t));
}

uint64_t idxw_grow_slots(const struct idxw *w)
{
	const struct idxw_table *t = &w->cur;

	/* A large one by less: then its slots are between 0.76 and 0.85 taken whatever its number of objects, 80 to 90 bytes an object. */
	return mostly_dead(t) ? t->slots : OM_MIN(t->slots + t->slots / (t->slots < LARGE_SLOTS ? 4 : 8), (uint64_t)IDX_SLOTS_MAX);
}

uint64_t idxw_each(struct idxw *w, uint64_t from, uint64_t n, idxw_each_fn *fn, void *ctx)
{
	uint64_t to = n < w->cur.slots - OM_MIN(from, w->cur.slots) ? from + n : w->cur.slots;
	struct idx_key key;
	struct idx_ent ent;

	for (uint64_t at = from; at < to; at++) {
		if (idxw_table_state(&w->cur, at) != IDX_LIVE)
			continue;
		idxw_table_ent(&w->cur, at, &key, &ent);
		fn(ctx, &key, &ent);
	}
	return to < w->cur.slots ? to : 0;
}

int idxw_grow_begin(struct idxw *w)
{
	int err;

	OM_ASSERT(w->state == IDXW_STEADY);
	if (w->segment == UINT32_MAX)
		return -OBJM_STATUS_TOO_LARGE;
	err = idxw_table_init(&w->next, idxw_grow_slots(w), w->segment + 1);
	if (err < 0)
		return err;
	w->segment++;
	w->next.filling = w->cur.filling;
	for (unsigned i = 0; i < OM_TIERS_MAX; i++) {
		struct idx_tier_row *from = &w->cur.hdr->tiers[i], *to = &w->next.hdr->tiers[i];

		atomic_store_explicit(&to->state, from->state, memory_order_relaxed);
		atomic_store_explicit(&to->used_bytes, from->used_bytes, memory_order_relaxed);
		atomic_store_explicit(&to->capacity_bytes, from->capacity_bytes, memory_order_relaxed);
		atomic_store_explicit(&to->objects, from->objects, memory_order_relaxed);
	}
	w->copied = 0;
	w->next_full = false;
	w->state = IDXW_COPYING;
	return 0;
}

/* Bring slot `at` over, unless a change has done so already. */
static int copy_slot(struct idxw *w, uint64_t at)
{
	enum idx_slot_state state = idxw_table_state(&w->cur, at);
	struct idxw_plan plan;
	struct idxw_place p;
	struct idx_key key;
	struct idx_ent ent;
	int err;

	if (state == IDX_EMPTY || (state == IDX_DEAD && !w->cur.filling))
		return 0;
	idxw_table_ent(&w->cur, at, &key, &ent);
	idxw_table_find(&w->next, &key, &p);
	if (p.state != IDX_EMPTY)
		return 0;
	if (state == IDX_LIVE)
		err = idxw_table_plan_put(&w->next, &key, &ent, w->cur.filling && idxw_table_filled(&w->cur, at), &plan);
	else
		err = idxw_table_plan_del(&w->next, &key, true, &plan);
	if (err == -OBJM_STATUS_NO_SPACE)
		return err;
	idxw_plan_lock(&plan);
	idxw_plan_write(&plan);
	idxw_plan_unlock(&plan);
	idxw_table_settle(&w->next, &plan);
	return 0;
}

/* The copies' homes are nearly in the order of the slots, so the target's lines come in by hardware prefetch. */
int idxw_grow_step(struct idxw *w, uint64_t n, uint64_t *ret_left)
{
	OM_ASSERT(w->state == IDXW_COPYING);
	for (; n > 0 && w->copied < w->cur.slots && !w->next_full; n--, w->copied++)
		if (copy_slot(w, w->copied) < 0)
			w->next_full = true;
	if (w->next_full)
		return -OBJM_STATUS_NO_SPACE;
	*ret_left = w->cur.slots - w->copied;
	return 0;
}

int idxw_grow_done(struct idxw *w)
{
	OM_ASSERT(w->state == IDXW_COPYING && w->copied == w->cur.slots && !w->next_full);
	w->state = IDXW_SWITCHING;
	if (!w->cur.filling)
		publish_complete(&w->next);
	return w->next.seg.rofd;
}

void idxw_grow_finish(struct idxw *w)
{
	OM_ASSERT(w->state == IDXW_SWITCHING);
	idxw_table_fini(&w->cur);
	w->cur = w->next;
	w->next = (struct idxw_table){.seg = OM_SEG_INIT};
	w->state = IDXW_STEADY;
}

void idxw_grow_abort(struct idxw *w)
{
	OM_ASSERT(w->state == IDXW_COPYING);
	idxw_table_fini(&w->next);
	w->next_full = false;
	w->state = IDXW_STEADY;
}

static void tier_write(struct idxw_table *t, unsigned tier, const struct idxr_tier *row)
{
	struct idx_tier_row *r = &t->hdr->tiers[tier];

	atomic_store_explicit(&r->used_bytes, row->used_bytes, memory_order_release);
	atomic_store_explicit(&r->capacity_bytes, row->capacity_bytes, memory_order_release);
	atomic_store_explicit(&r->objects, row->objects, memory_order_release);
	/* Last: who sees a tier become ready sees its capacity. */
	atomic_store_explicit(&r->state, (uint64_t)row->state, memory_order_release);
}

void idxw_tier(struct idxw *w, unsigned tier, const struct idxr_tier *row)
{
	OM_ASSERT(tier < OM_TIERS_MAX);
	tier_write(&w->cur, tier, row);
	if (w->state != IDXW_STEADY)
		tier_write(&w->next, tier, row);
}

bool idxw_collapse(struct idxw *w, size_t max_bytes)
{
	struct idxw_table *t = w->state == IDXW_STEADY ? &w->cur : &w->next;

	return om_seg_huge(t->seg.base, t->seg.bytes, &t->collapsed, max_bytes);
}
