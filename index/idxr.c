/*
 * idxr.c: reading the shared index, see idxr.h; the orders are in idx_layout.h. Runs in workers, in the lifecycle process
 * and in the supervisor's reading threads. Holds no state but the mapping.
 */
#include "index/idxr.h"

#include "common/om_seg.h"
#include "index/idx_layout.h"

/* The words 1..7 of a slot, read consistently. */
struct words {
	uint64_t key_lo, key_hi, id, size, mtime_ns, packed, expiry;
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static inline const struct idx_header *header(const struct idxr *idx) { return (const struct idx_header *)idx->base; }

static inline const struct idx_slot *slot_at(const struct idxr *idx, uint64_t n)
{
	return (const struct idx_slot *)((const char *)idx->base + IDX_HEADER_BYTES) + n;
}

static inline uint64_t acquire(const _Atomic uint64_t *word) { return atomic_load_explicit(word, memory_order_acquire); }

/* False: odd or changing for IDX_READ_TRIES tries. */
static inline bool slot_read(const struct idx_slot *s, struct words *w)
{
	for (unsigned i = 0; i < IDX_READ_TRIES; i++) {
		uint64_t seq = acquire(&s->seq);

		if (OM_LIKELY(!(seq & 1))) {
			w->key_lo = acquire(&s->key_lo);
			w->key_hi = acquire(&s->key_hi);
			w->id = acquire(&s->id);
			w->size = acquire(&s->size);
			w->mtime_ns = acquire(&s->mtime_ns);
			w->packed = acquire(&s->packed);
			w->expiry = acquire(&s->expiry);
			/* Relaxed is enough: the acquires above keep this load behind them, and if one of them read a word of a
			 * later write, the odd seq that came before that word is visible here. */
			if (OM_LIKELY(atomic_load_explicit(&s->seq, memory_order_relaxed) == seq))
				return true;
		}
		relax();
	}
	return false;
}

static void ent_decode(const struct words *w, struct idx_ent *ret)
{
	uint8_t home = (w->packed >> 56) & 0x3f;
	uint64_t since = w->expiry >> IDX_EXPIRY_BITS;

	ret->id = w->id;
	ret->size = w->size;
	ret->mtime_ns = w->mtime_ns;
	ret->expiry_s = w->expiry & IDX_EXPIRY_MAX;
	ret->rev = (uint32_t)w->packed;
	ret->flags = (uint16_t)(w->packed >> 32) & IDX_FLAGS_MASK;
	ret->tier = (uint8_t)(w->packed >> 48);
	ret->home = home == IDX_HOME_NONE ? OM_TIER_NONE : home;
	ret->since_s = since ? IDX_SINCE_BASE_S + since * 60 : 0;
}

int idxr_attach(int fd, struct idxr *ret_idx)
{
	struct om_seg seg = OM_SEG_INIT;
	const struct idx_header *h;
	int err = om_seg_attach(fd, IDX_HEADER_BYTES, false, &seg);

	if (err < 0)
		return err;
	h = (const struct idx_header *)seg.base;
	if (h->magic != IDX_MAGIC || h->layout != IDX_LAYOUT || h->slots == 0 || h->slots > IDX_SLOTS_MAX ||
	    h->segment == 0 || h->segment > UINT32_MAX || seg.bytes < idx_seg_bytes(h->slots)) {
		seg.rofd = -1; /* stays the caller's */
		om_seg_close(&seg);
		return -OBJM_STATUS_CORRUPT;
	}
	*ret_idx = (struct idxr){
		.base = seg.base, .bytes = seg.bytes, .slots = h->slots, .segment = (uint32_t)h->segment};
	om_close(&seg.rofd);
	return 0;
}

void idxr_detach(struct idxr *idx)
{
	struct om_seg seg = OM_SEG_INIT;

	seg.base = (void *)(uintptr_t)idx->base;
	seg.bytes = idx->bytes;
	om_seg_close(&seg);
	*idx = IDXR_INIT;
}

bool idxr_complete(const struct idxr *idx) { return acquire(&header(idx)->complete) != 0; }

static inline int get(const struct idxr *idx, const struct idx_key *key, struct idx_ent *ret_ent, uint32_t *ret_slot)
{
	/* Before the search: an index completed while we searched does not make our miss a final one. */
	bool complete = idxr_complete(idx);
	uint64_t n = idx_key_home(key, idx->slots);
	struct words w;

	for (uint64_t i = 0; i < idx->slots; i++) {
		enum idx_slot_state state;

		if (OM_UNLIKELY(!slot_read(slot_at(idx, n), &w)))
			return -OBJM_STATUS_BUSY;
		state = idx_packed_state(w.packed);
		if (state == IDX_LIVE && w.key_lo == key->lo && w.key_hi == key->hi) {
			if (ret_ent)
				ent_decode(&w, ret_ent);
			if (ret_slot)
				*ret_slot = (uint32_t)n;
			return 0;
		}
		if (state == IDX_EMPTY)
			break;
		if (++n == idx->slots)
			n = 0;
	}
	return complete ? -OBJM_STATUS_NOT_FOUND : -OBJM_STATUS_BUSY;
}

int idxr_get(const struct idxr *idx, const struct idx_key *key, struct idx_ent *ret_ent, uint32_t *ret_slot)
{
	return get(idx, key, ret_ent, ret_slot);
}

void idxr_get_many(const struct idxr *idx, const struct idx_key *keys, unsigned n, struct idx_ent *ret_ents, uint32_t *ret_slots)
{
	for (unsigned i = 0; i < n; i++)
		if (get(idx, &keys[i], &ret_ents[i], &ret_slots[i]) < 0)
			ret_slots[i] = IDXR_NO_SLOT;
}

void idxr_prefetch(const struct idxr *idx, const struct idx_key *key)
{
	__builtin_prefetch(slot_at(idx, idx_key_home(key, idx->slots)), 0, 3);
}

int idxr_slot(const struct idxr *idx, uint64_t n, struct idxr_slot *ret_slot)
{
	static const enum idxr_state states[] = {
		[IDX_EMPTY] = IDXR_EMPTY, [IDX_LIVE] = IDXR_LIVE, [IDX_DEAD] = IDXR_DEAD, [IDX_STATE_COUNT] = IDXR_EMPTY};
	struct words w;

	if (n >= idx->slots)
		return -OBJM_STATUS_INVALID_REQUEST;
	if (!slot_read(slot_at(idx, n), &w))
		return -OBJM_STATUS_BUSY;
	ret_slot->state = states[idx_packed_state(w.packed)];
	ret_slot->key = (struct idx_key){.lo = w.key_lo, .hi = w.key_hi};
	ent_decode(&w, &ret_slot->ent);
	return 0;
}

int idxr_tier(const struct idxr *idx, unsigned tier, struct idxr_tier *ret_tier)
{
	const struct idx_tier_row *row;

	if (tier >= OM_TIERS_MAX)
		return -OBJM_STATUS_INVALID_REQUEST;
	row = &header(idx)->tiers[tier];
	ret_tier->state = (enum om_tier_state)acquire(&row->state);
	ret_tier->used_bytes = acquire(&row->used_bytes);
	ret_tier->capacity_bytes = acquire(&row->capacity_bytes);
	ret_tier->objects = acquire(&row->objects);
	return 0;
}
