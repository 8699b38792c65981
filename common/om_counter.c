/*
 * om_counter.c: see om_counter.h. Runs in every process; a process without a block of its own counts into a private one.
 */
#include "common/om_counter.h"

const struct om_counter_info om_counter_table[OM_C_COUNT] = {
#define COUNTER false
#define GAUGE true
#define OM_COUNTER(name, unit, kind, help) { #name, unit, kind, help },
#include "common/tbl/counter.def"
#undef OM_COUNTER
#undef COUNTER
#undef GAUGE
};

static struct om_counter_block private_block;
struct om_counter_block *om_counter_self = &private_block;

int om_counter_create(struct om_seg *ret)
{
	int err = om_seg_create("om-counters", sizeof(struct om_counter_block), OM_SEG_SHARED, ret);
	if (err < 0)
		return err;
	struct om_counter_block *b = ret->base;
	b->magic = OM_COUNTER_MAGIC;
	b->layout = OM_COUNTER_LAYOUT;
	b->count = OM_C_COUNT;
	return 0;
}

int om_counter_use(const struct om_seg *seg)
{
	struct om_counter_block *b = seg->base;

	if (seg->bytes < sizeof(*b) || b->magic != OM_COUNTER_MAGIC || b->layout != OM_COUNTER_LAYOUT || b->count != OM_C_COUNT)
		return -OBJM_STATUS_CORRUPT;
	om_counter_self = b;
	return 0;
}

uint64_t om_counter_read(const struct om_seg *seg, enum om_counter c)
{
	const struct om_counter_block *b = seg->base;

	if (!b || seg->bytes < offsetof(struct om_counter_block, v) + ((size_t)c + 1) * sizeof(b->v[0]))
		return 0;
	return atomic_load_explicit(&b->v[c], memory_order_relaxed);
}

uint64_t om_counter_tier(const struct om_seg *seg, unsigned tier)
{
	const struct om_counter_block *b = seg->base;

	return b && seg->bytes >= sizeof(*b) && tier < OM_TIERS_MAX ?
		       atomic_load_explicit(&b->tier_gets[tier], memory_order_relaxed) : 0;
}
