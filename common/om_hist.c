/*
 * om_hist.c: see om_hist.h. Runs in every process.
 */
#include "common/om_hist.h"

const struct om_hist_info om_hist_table[OM_H_COUNT] = {
#define OM_HIST(name, family, label, help) { family, label, help },
#include "common/tbl/hist.def"
#undef OM_HIST
};

static void add(const struct om_hist_row *r, struct om_hist_sum *sum)
{
	for (unsigned k = 0; k < OM_HIST_BUCKETS; k++)
		sum->bucket[k] += atomic_load_explicit(&r->bucket[k], memory_order_relaxed);
	sum->ns += atomic_load_explicit(&r->ns, memory_order_relaxed);
}

void om_hist_read(const struct om_seg *seg, enum om_hist h, struct om_hist_sum *sum)
{
	const struct om_counter_block *b = seg->base;

	if (b && seg->bytes >= sizeof(*b))
		add(&b->hist[h], sum);
}

void om_hist_own(enum om_hist h, struct om_hist_sum *sum) { add(&om_counter_self->hist[h], sum); }
