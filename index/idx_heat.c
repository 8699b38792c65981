/*
 * idx_heat.c: heat of slots, see idx_heat.h for the formula. Written by the lifecycle process (one thread), read by the
 * supervisor, which trusts nothing in it: sizes are checked once at attach, values are made sane when used.
 */
#include "index/idx_heat.h"

#include <math.h>

#define LAST_MAX 65535u
#define LAST_MOVE 60000u  /* minutes: the epoch is moved when now is this far from it ... */
#define LAST_AFTER 32768u /* ... so that now is this far from the new one: 22 days of exact last accesses stay */
#define AHEAD_MAX 20000u  /* minutes: so far ahead of now a word can always say a minute */
#define Q_MAX 65535u
#define GET_TRIES 100

static struct idx_heat_header *header(const struct idx_heat *h) { return (struct idx_heat_header *)h->seg.base; }

static _Atomic uint32_t *word_at(const struct idx_heat *h, uint64_t slot)
{
	return (_Atomic uint32_t *)(void *)((char *)h->seg.base + IDX_HEAT_HEADER_BYTES) + slot;
}

static uint64_t own(const _Atomic uint64_t *word) { return atomic_load_explicit(word, memory_order_relaxed); }

/* In the past, so that restored and copied heat has room, and now is never minute 0, which means "never". */
static uint64_t epoch_for(uint64_t now_min) { return now_min > LAST_AFTER ? now_min - LAST_AFTER : 0; }

static bool params_ok(uint32_t half_life_s, double reference)
{
	return half_life_s > 0 && reference >= 0.001 && reference <= 1e9;
}

int idx_heat_create(uint64_t slots, uint32_t segment, uint32_t half_life_s, double reference, uint64_t now_s,
		    struct om_seg *ret_seg)
{
	struct om_seg seg = OM_SEG_INIT;
	struct idx_heat_header *h;
	int err;

	if (!params_ok(half_life_s, reference) || slots == 0 || slots > UINT32_MAX)
		return -OBJM_STATUS_INVALID_REQUEST;
	err = om_seg_create("objm-heat", IDX_HEAT_HEADER_BYTES + slots * 4, OM_SEG_SHARED, &seg);
	if (err < 0)
		return err;
	h = (struct idx_heat_header *)seg.base;
	h->magic = IDX_HEAT_MAGIC;
	h->layout = IDX_HEAT_LAYOUT;
	h->slots = slots;
	h->segment = segment;
	h->half_life_s = half_life_s;
	h->reference_milli = (uint64_t)(reference * 1000 + 0.5);
	h->epoch_min = epoch_for(now_s / 60);
	*ret_seg = seg;
	return 0;
}

int idx_heat_attach(int fd, bool writable, struct idx_heat *ret_heat)
{
	struct om_seg seg = OM_SEG_INIT;
	const struct idx_heat_header *h;
	uint64_t slots;
	int err = om_seg_attach(fd, IDX_HEAT_HEADER_BYTES, writable, &seg);

	if (err < 0)
		return err;
	h = (const struct idx_heat_header *)seg.base;
	slots = h->slots;
	if (h->magic != IDX_HEAT_MAGIC || h->layout != IDX_HEAT_LAYOUT || slots == 0 || slots > UINT32_MAX ||
	    (seg.bytes - IDX_HEAT_HEADER_BYTES) / 4 < slots) {
		seg.fd = seg.rofd = -1; /* stays the caller's */
		om_seg_close(&seg);
		return -OBJM_STATUS_CORRUPT;
	}
	*ret_heat = (struct idx_heat){
		.seg = seg, .slots = slots, .segment = (uint32_t)h->segment, .rng = (uint32_t)om_now_ns() | 1};
	return 0;
}

void idx_heat_detach(struct idx_heat *heat)
{
	om_seg_close(&heat->seg);
	*heat = IDX_HEAT_INIT;
}

int idx_heat_tune(struct idx_heat *heat, uint32_t half_life_s, double reference)
{
	if (!params_ok(half_life_s, reference))
		return -OBJM_STATUS_INVALID_REQUEST;
	atomic_store_explicit(&header(heat)->half_life_s, half_life_s, memory_order_relaxed);
	atomic_store_explicit(&header(heat)->reference_milli, (uint64_t)(reference * 1000 + 0.5), memory_order_relaxed);
	return 0;
}

static double q_count(uint32_t q) { return exp2(q / IDX_HEAT_SCALE) - 1; }

/* Rounded to one of the two neighbours, at random, so that the expected count is `count`: a rounding that always went the
 * same way would never let a hot slot grow by single accesses. */
static uint32_t count_q(struct idx_heat *heat, double count)
{
	double x = IDX_HEAT_SCALE * log2(1 + count), low = floor(x), below, above;

	if (x >= Q_MAX)
		return Q_MAX;
	below = q_count((uint32_t)low);
	above = q_count((uint32_t)low + 1);
	heat->rng ^= heat->rng << 13;
	heat->rng ^= heat->rng >> 17;
	heat->rng ^= heat->rng << 5;
	return (uint32_t)low + ((count - below) / (above - below) * 4294967296.0 > heat->rng);
}

/* What is left of `count` after so many minutes. */
static double decayed(const struct idx_heat *heat, double count, uint64_t minutes)
{
	uint64_t half_life_s = own(&header(heat)->half_life_s);

	return count * exp2(-(double)minutes * 60 / (double)OM_MAX(half_life_s, (uint64_t)1));
}

static uint64_t minutes_since(uint64_t now_min, uint64_t last_min) { return now_min > last_min ? now_min - last_min : 0; }

static void store(struct idx_heat *heat, uint64_t slot, uint32_t q, uint64_t last)
{
	/* Release for the sake of a sweep; on its own a word needs no order. */
	atomic_store_explicit(word_at(heat, slot), q ? q | (uint32_t)last << 16 : 0, memory_order_release);
}

/* Writer: count and minute (since 1970) of a slot, without decay; 0 and 0: cold. */
static void load(const struct idx_heat *heat, uint64_t slot, double *ret_count, uint64_t *ret_last_min)
{
	uint32_t word = atomic_load_explicit(word_at(heat, slot), memory_order_relaxed);

	*ret_count = q_count(word & 0xffff);
	*ret_last_min = word ? own(&header(heat)->epoch_min) + (word >> 16) : 0;
}

/* Move the epoch so that `now_min` has room: some 20 milliseconds for ten million slots, every 19 days, or when the clock
 * was put right by weeks. */
static void move_epoch(struct idx_heat *heat, uint64_t now_min)
{
	struct idx_heat_header *h = header(heat);
	uint64_t old = own(&h->epoch_min), new = epoch_for(now_min), sweep = own(&h->sweep);

	atomic_store_explicit(&h->sweep, sweep + 1, memory_order_relaxed); /* the releases below follow it */
	for (uint64_t i = 0; i < heat->slots; i++) {
		uint32_t word = atomic_load_explicit(word_at(heat, i), memory_order_relaxed);
		uint64_t last = OM_MIN(old + (word >> 16), now_min); /* what was later than now was a wrong clock's */

		if (word == 0)
			continue;
		if (last > new)
			store(heat, i, word & 0xffff, last - new);
		else /* too long ago to say when: as if at the oldest minute, with what is left by then */
			store(heat, i, count_q(heat, decayed(heat, q_count(word & 0xffff), new + 1 - last)), 1);
	}
	atomic_store_explicit(&h->epoch_min, new, memory_order_release);
	atomic_store_explicit(&h->sweep, sweep + 2, memory_order_release);
}

/* A minute since 1970 as one since the epoch, within 1..LAST_MAX. */
static uint64_t relative(const struct idx_heat *heat, uint64_t min)
{
	uint64_t epoch = own(&header(heat)->epoch_min);

	return min <= epoch ? 1 : OM_MIN(min - epoch, (uint64_t)LAST_MAX);
}

int idx_heat_set(struct idx_heat *heat, uint64_t slot, double count, uint64_t last_s)
{
	uint64_t epoch = own(&header(heat)->epoch_min), last_min = last_s / 60;

	if (slot >= heat->slots || !(count >= 0))
		return -OBJM_STATUS_INVALID_REQUEST;
	if (last_min <= epoch) { /* before what a word can say */
		count = decayed(heat, count, epoch + 1 - last_min);
		last_min = epoch + 1;
	} else if (last_min - epoch > LAST_MOVE) {
		move_epoch(heat, last_min);
	}
	store(heat, slot, count_q(heat, count), relative(heat, last_min));
	return 0;
}

/*
 * The minute from which accesses of a slot are those of its key. A clock that was put back leaves it ahead of now: accesses then count as of that
 * minute, or they would count as those of the key before until the clock is there again.
 */
static uint64_t first_min(uint64_t since_s, uint64_t now_min)
{
	uint64_t min = since_s / 60;

	return min <= now_min + AHEAD_MAX ? min : 0;
}

int idx_heat_touch(struct idx_heat *heat, uint64_t slot, uint32_t n, uint64_t now_s, uint64_t since_s)
{
	uint64_t now_min = now_s / 60, first = first_min(since_s, now_min), at = OM_MAX(now_min, first), last_min, epoch;
	double count;

	if (slot >= heat->slots)
		return -OBJM_STATUS_INVALID_REQUEST;
	epoch = own(&header(heat)->epoch_min);
	if (now_min > epoch + LAST_MOVE || now_min < epoch || at > epoch + LAST_MAX)
		move_epoch(heat, now_min);
	load(heat, slot, &count, &last_min);
	if (last_min < first)
		count = 0; /* of the key that had this slot before */
	count = decayed(heat, count, minutes_since(now_min, last_min)) + n;
	store(heat, slot, count_q(heat, count), relative(heat, at));
	return 0;
}

int idx_heat_get(const struct idx_heat *heat, uint64_t slot, uint64_t now_s, uint64_t since_s,
		 struct idx_heat_val *ret_val)
{
	const struct idx_heat_header *h = header(heat);
	double reference = (double)own(&h->reference_milli) / 1000;

	if (slot >= heat->slots)
		return -OBJM_STATUS_INVALID_REQUEST;
	for (int i = 0; i < GET_TRIES; i++) {
		uint64_t sweep = atomic_load_explicit(&h->sweep, memory_order_acquire);
		uint32_t word = atomic_load_explicit(word_at(heat, slot), memory_order_acquire);
		uint64_t last_min = atomic_load_explicit(&h->epoch_min, memory_order_acquire) + (word >> 16);
		double count;

		if ((sweep & 1) || atomic_load_explicit(&h->sweep, memory_order_relaxed) != sweep)
			continue;
		if (word == 0 || last_min < first_min(since_s, now_s / 60)) {
			*ret_val = (struct idx_heat_val){0};
			return 0;
		}
		count = decayed(heat, q_count(word & 0xffff), minutes_since(now_s / 60, last_min));
		*ret_val = (struct idx_heat_val){
			.count = count,
			.heat = count / (count + OM_MAX(reference, 0.001)),
			.last_s = OM_MIN(last_min, now_s / 60) * 60,
		};
		return 0;
	}
	return -OBJM_STATUS_BUSY;
}

/* Add what the old segment knew of a key to what the new one has heard since. */
static void copy_one(struct idx_heat *new_heat, uint64_t slot, double old_count, uint64_t old_min)
{
	double count;
	uint64_t last_min;

	load(new_heat, slot, &count, &last_min);
	if (last_min >= old_min)
		count += decayed(new_heat, old_count, last_min - old_min);
	else
		count = decayed(new_heat, count, old_min - last_min) + old_count;
	(void)idx_heat_set(new_heat, slot, count, OM_MAX(last_min, old_min) * 60); /* slot and count are in range */
}

uint64_t idx_heat_copy(const struct idx_heat *old_heat, const struct idxr *old_idx, struct idx_heat *new_heat,
		       const struct idxr *new_idx, uint64_t from, uint64_t n)
{
	uint64_t end = OM_MIN(old_heat->slots, old_idx->slots), copied = 0;

	for (uint64_t i = from; i < end && i - from < n; i++) {
		struct idxr_slot s;
		double count;
		uint64_t last_min;
		uint32_t slot;

		load(old_heat, i, &count, &last_min);
		if (last_min == 0 || idxr_slot(old_idx, i, &s) < 0 || s.state != IDXR_LIVE || last_min < s.ent.since_s / 60)
			continue;
		if (idxr_get(new_idx, &s.key, NULL, &slot) < 0 || slot >= new_heat->slots)
			continue;
		copy_one(new_heat, slot, count, last_min);
		copied++;
	}
	return copied;
}
