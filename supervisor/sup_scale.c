/*
 * sup_scale.c: see sup_scale.h. In the supervisor's main thread; sup_run.c collects the figures and acts.
 */
#include "supervisor/sup_scale.h"

#define MS 1000000u

void sup_scale_init(struct sup_scale *s, uint32_t min, uint32_t max, uint32_t idle_ms)
{
	*s = (struct sup_scale){ .min = min, .max = OM_MAX(min, max), .idle_ms = idle_ms };
}

void sup_scale_forget(struct sup_scale *s, unsigned place)
{
	OM_ASSERT(place < SUP_CHILDREN_MAX);
	s->place[place].known = false;
	s->place[place].idle_since_ns = 0;
}

/* Busy share of a worker since the last look, in millionths; a figure that cannot be is cut. */
static uint64_t busy_ppm(const struct sup_scale *s, const struct sup_scale_row *row, uint64_t span_ns)
{
	uint64_t was = s->place[row->place].busy_ns;
	uint64_t busy = row->busy_ns > was ? OM_MIN(row->busy_ns - was, span_ns) : 0;

	return span_ns ? busy / (span_ns / 1000000u + 1) : 0;
}

enum sup_scale_verdict sup_scale_look(struct sup_scale *s, uint64_t now_ns, const struct sup_scale_row *rows, unsigned n,
				      unsigned wanted, unsigned *ret_place)
{
	uint64_t span = s->last_ns && now_ns > s->last_ns ? now_ns - s->last_ns : 0, sum = 0;
	unsigned measured = 0, idle = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned p = rows[i].place;
		OM_ASSERT(p < SUP_CHILDREN_MAX);
		if (s->place[p].known && span) {
			uint64_t ppm = busy_ppm(s, &rows[i], span);
			bool quiet = ppm < SUP_SCALE_IDLE_PPM && rows[i].connections == 0;
			sum += ppm;
			measured++;
			if (!quiet)
				s->place[p].idle_since_ns = 0;
			else if (!s->place[p].idle_since_ns)
				s->place[p].idle_since_ns = now_ns;
			/* the highest place goes first, so that the low ones stay the permanent ones */
			else if (now_ns - s->place[p].idle_since_ns >= (uint64_t)s->idle_ms * MS && p > idle)
				idle = p;
		}
		s->place[p].known = true;
		s->place[p].busy_ns = rows[i].busy_ns;
	}
	s->last_ns = now_ns;
	if (!measured || sum / measured <= SUP_SCALE_HOT_PPM) {
		s->hot_since_ns = 0;
	} else if (!s->hot_since_ns) {
		s->hot_since_ns = now_ns;
	} else if (now_ns - s->hot_since_ns >= (uint64_t)SUP_SCALE_HOT_MS * MS && wanted < s->max) {
		s->hot_since_ns = 0; /* the next one only after another second of it */
		return SUP_SCALE_MORE;
	}
	/* not one that would be started again at once: the others must be able to carry on without it (its share is about 0) */
	if (idle && wanted > s->min && measured > 1 && sum / (measured - 1) <= SUP_SCALE_HOT_PPM) {
		*ret_place = idle;
		return SUP_SCALE_LESS;
	}
	return SUP_SCALE_STAY;
}
