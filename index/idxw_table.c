/*
 * idxw_table.c: one segment of the index from the writer's side, see idxw_table.h; orders and invariants are in
 * idx_layout.h. Runs in the supervisor's publisher thread, called by idxw.c.
 */
#include "index/idxw_table.h"

/* No insert takes an empty slot beyond 31/32 full: probes stay short of absurd, and there is always an empty one to stop at. */
static uint64_t table_limit(const struct idxw_table *t) { return t->slots - t->slots / 32; }

static inline uint64_t own(const _Atomic uint64_t *word) { return atomic_load_explicit(word, memory_order_relaxed); }

static inline void publish(_Atomic uint64_t *word, uint64_t v) { atomic_store_explicit(word, v, memory_order_release); }

static inline uint64_t after(const struct idxw_table *t, uint64_t at) { return at + 1 == t->slots ? 0 : at + 1; }

int idxw_table_init(struct idxw_table *t, uint64_t slots, uint32_t segment)
{
	struct om_seg seg = OM_SEG_INIT;
	int err = om_seg_create("objm-index", idx_seg_bytes(slots), OM_SEG_FROZEN, &seg);

	if (err < 0)
		return err;
	*t = (struct idxw_table){
		.seg = seg,
		.hdr = (struct idx_header *)seg.base,
		.slot = (struct idx_slot *)((char *)seg.base + IDX_HEADER_BYTES),
		.slots = slots,
	};
	t->hdr->magic = IDX_MAGIC;
	t->hdr->layout = IDX_LAYOUT;
	t->hdr->slots = slots;
	t->hdr->segment = segment;
	return 0;
}

void idxw_table_fini(struct idxw_table *t)
{
	if (t->hdr)
		om_seg_close(&t->seg);
	*t = (struct idxw_table){.seg = {.fd = -1, .rofd = -1}};
}

enum idx_slot_state idxw_table_state(const struct idxw_table *t, uint64_t at)
{
	return idx_packed_state(own(&t->slot[at].packed));
}

bool idxw_table_filled(const struct idxw_table *t, uint64_t at)
{
	return (own(&t->slot[at].packed) >> 32) & IDX_FLAG_FILLED;
}

void idxw_table_ent(const struct idxw_table *t, uint64_t at, struct idx_key *ret_key, struct idx_ent *ret_ent)
{
	const struct idx_slot *s = &t->slot[at];
	uint64_t packed = own(&s->packed), word7 = own(&s->expiry), since = word7 >> IDX_EXPIRY_BITS;
	uint8_t home = (packed >> 56) & 0x3f;

	*ret_key = (struct idx_key){.lo = own(&s->key_lo), .hi = own(&s->key_hi)};
	*ret_ent = (struct idx_ent){
		.id = own(&s->id),
		.size = own(&s->size),
		.mtime_ns = own(&s->mtime_ns),
		.expiry_s = word7 & IDX_EXPIRY_MAX,
		.rev = (uint32_t)packed,
		.flags = (uint16_t)(packed >> 32) & IDX_FLAGS_MASK,
		.tier = (uint8_t)(packed >> 48),
		.home = home == IDX_HOME_NONE ? OM_TIER_NONE : home,
		.since_s = since ? IDX_SINCE_BASE_S + since * 60 : 0,
	};
}

void idxw_table_find(const struct idxw_table *t, const struct idx_key *key, struct idxw_place *ret_place)
{
	struct idxw_place p = {.state = IDX_EMPTY};
	uint64_t at = idx_key_home(key, t->slots);

	for (uint64_t i = 0; i < t->slots; i++, at = after(t, at)) {
		const struct idx_slot *s = &t->slot[at];
		enum idx_slot_state state = idxw_table_state(t, at);
		bool same;

		if (state == IDX_EMPTY) {
			if (!p.room && t->live + t->dead < table_limit(t)) {
				p.room = true;
				p.at = at;
			}
			break;
		}
		same = own(&s->key_lo) == key->lo && own(&s->key_hi) == key->hi;
		if (same && state == IDX_LIVE) {
			p = (struct idxw_place){.state = IDX_LIVE, .room = true, .at = at};
			break;
		}
		if (same && p.state == IDX_EMPTY) /* its own tombstone beats any other one: the fill rules need it found */
			p = (struct idxw_place){.state = IDX_DEAD, .room = true, .at = at};
		else if (state == IDX_DEAD && !p.room && !t->filling) {
			p.room = true;
			p.at = at;
		}
	}
	*ret_place = p;
}

static uint64_t pack(const struct idx_ent *ent, enum idx_slot_state state, bool filled)
{
	uint64_t home = ent->home == OM_TIER_NONE ? IDX_HOME_NONE : ent->home;
	uint64_t flags = (ent->flags & IDX_FLAGS_MASK) | (filled ? IDX_FLAG_FILLED : 0);

	return ent->rev | flags << 32 | (uint64_t)ent->tier << 48 | home << 56 | (uint64_t)state << 62;
}

static uint64_t since_now(void)
{
	uint64_t now = (uint64_t)time(NULL);

	return now <= IDX_SINCE_BASE_S ? 0 : OM_MIN((now - IDX_SINCE_BASE_S) / 60, IDX_SINCE_MAX);
}

int idxw_table_plan_put(const struct idxw_table *t, const struct idx_key *key, const struct idx_ent *ent, bool filled,
			struct idxw_plan *ret_plan)
{
	struct idxw_place p;
	uint64_t since;

	idxw_table_find(t, key, &p);
	if (!p.room)
		return -OBJM_STATUS_NO_SPACE;
	if (p.state == IDX_EMPTY)
		since = t->stamped ? since_now() : 0;
	else
		since = own(&t->slot[p.at].expiry) >> IDX_EXPIRY_BITS; /* the same key: its heat stays its own */
	*ret_plan = (struct idxw_plan){
		.slot = &t->slot[p.at],
		.at = p.at,
		.was = idxw_table_state(t, p.at),
		.new_key = p.state == IDX_EMPTY,
		.key = *key,
		.id = ent->id,
		.size = ent->size,
		.mtime_ns = ent->mtime_ns,
		.packed = pack(ent, IDX_LIVE, filled),
		.expiry = OM_MIN(ent->expiry_s, IDX_EXPIRY_MAX) | since << IDX_EXPIRY_BITS,
	};
	return 0;
}

int idxw_table_plan_del(const struct idxw_table *t, const struct idx_key *key, bool keep_absent,
			struct idxw_plan *ret_plan)
{
	struct idxw_place p;
	const struct idx_slot *s;

	*ret_plan = (struct idxw_plan){0};
	idxw_table_find(t, key, &p);
	if (p.state == IDX_DEAD || (p.state == IDX_EMPTY && !keep_absent))
		return -OBJM_STATUS_NOT_FOUND;
	if (!p.room)
		return -OBJM_STATUS_NO_SPACE;
	s = &t->slot[p.at];
	*ret_plan = (struct idxw_plan){
		.slot = &t->slot[p.at],
		.at = p.at,
		.was = idxw_table_state(t, p.at),
		.new_key = p.state == IDX_EMPTY,
		.key = *key,
		.packed = (uint64_t)IDX_DEAD << 62,
		.expiry = own(&s->expiry) & ~IDX_EXPIRY_MAX, /* `since` outlives the object: its key may come back */
	};
	return p.state == IDX_LIVE ? 0 : -OBJM_STATUS_NOT_FOUND;
}

void idxw_plan_lock(const struct idxw_plan *plan)
{
	uint64_t seq;

	if (!plan->slot)
		return;
	seq = own(&plan->slot->seq);
	OM_ASSERT(!(seq & 1)); /* one writer, one change at a time */
	/* Relaxed: each word that follows is stored with release, so whoever sees one of them sees this. */
	atomic_store_explicit(&plan->slot->seq, seq + 1, memory_order_relaxed);
}

void idxw_plan_write(const struct idxw_plan *plan)
{
	struct idx_slot *s = plan->slot;

	if (!s)
		return;
	if (plan->new_key) {
		OM_ASSERT(idx_packed_state(own(&s->packed)) != IDX_LIVE); /* a live slot's key is never rewritten */
		publish(&s->key_lo, plan->key.lo);
		publish(&s->key_hi, plan->key.hi);
	}
	publish(&s->id, plan->id);
	publish(&s->size, plan->size);
	publish(&s->mtime_ns, plan->mtime_ns);
	publish(&s->packed, plan->packed);
	publish(&s->expiry, plan->expiry);
}

void idxw_plan_unlock(const struct idxw_plan *plan)
{
	if (plan->slot)
		publish(&plan->slot->seq, own(&plan->slot->seq) + 1);
}

/* Tombstones that end a run of used slots become empty, from the last one back. */
static void reclaim(struct idxw_table *t, uint64_t at)
{
	while (idxw_table_state(t, at) == IDX_DEAD && idxw_table_state(t, after(t, at)) == IDX_EMPTY) {
		struct idxw_plan empty = {.slot = &t->slot[at], .at = at};

		idxw_plan_lock(&empty);
		idxw_plan_write(&empty);
		idxw_plan_unlock(&empty);
		t->dead--;
		at = at == 0 ? t->slots - 1 : at - 1;
	}
}

void idxw_table_settle(struct idxw_table *t, const struct idxw_plan *plan)
{
	enum idx_slot_state now;

	if (!plan->slot)
		return;
	now = idx_packed_state(plan->packed);
	t->live = t->live + (now == IDX_LIVE) - (plan->was == IDX_LIVE);
	t->dead = t->dead + (now == IDX_DEAD) - (plan->was == IDX_DEAD);
	if (now == IDX_DEAD && !t->filling)
		reclaim(t, plan->at);
	atomic_store_explicit(&t->hdr->live, t->live, memory_order_relaxed);
	atomic_store_explicit(&t->hdr->dead, t->dead, memory_order_relaxed);
}
