/*
 * tier_synth.c: traces made by rule instead of read from a file. In objm-tiering.
 *
 * Independent draws by Zipf's law; optionally a share of requests to objects that never come back (a scan), and a ranking
 * that is dealt anew from time to time (drift). Objects are numbered by first request, as in traces from files.
 */
#include "bench/tiering/tier.h"

#include <math.h>

struct draw {
	const struct tier_synth *how;
	double *cumulated;  /* by rank */
	uint32_t *object;   /* of each rank: which of how->objects */
	uint32_t *number;   /* of each of how->objects in the trace; TIER_NONE: not requested yet */
	uint64_t state;
};

static uint64_t below(uint64_t *state, uint64_t n)
{
	return (uint64_t)((unsigned __int128)tier_random(state) * n >> 64);
}

static double unit(uint64_t *state)
{
	return (double)(tier_random(state) >> 11) * 0x1p-53;
}

static uint64_t rank(struct draw *d)
{
	uint64_t low = 0, high = d->how->objects - 1;
	double x = unit(&d->state) * d->cumulated[high];

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (d->cumulated[mid] > x)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static void deal(struct draw *d)
{
	for (uint64_t i = d->how->objects; i > 1; i--) {
		uint64_t j = below(&d->state, i);
		uint32_t t = d->object[i - 1];

		d->object[i - 1] = d->object[j];
		d->object[j] = t;
	}
}

static uint64_t some_size(struct draw *d)
{
	return d->how->spread == 0 ? 1 : (uint64_t)(1024.0 * pow(2.0, unit(&d->state) * d->how->spread));
}

static int fill(struct draw *d, struct tier_trace *t)
{
	const struct tier_synth *how = d->how;
	uint64_t every = how->drift > 0 ? (uint64_t)((double)how->requests / (how->drift + 1)) + 1 : UINT64_MAX;

	for (uint64_t i = 0; i < how->requests; i++) {
		uint32_t known, *number = NULL;

		if (i % every == 0)
			deal(d);
		if (how->scan > 0 && unit(&d->state) < how->scan)
			known = TIER_NONE;
		else
			known = *(number = &d->number[d->object[rank(d)]]);
		if (known == TIER_NONE) {
			known = t->objects;
			if (number)
				*number = known;
		}
		int err = tier_trace_add(t, known, known < t->objects ? t->size[known] : some_size(d));
		if (err < 0)
			return err;
	}
	return 0;
}

int tier_synth_make(const struct tier_synth *how, struct tier_trace *ret_trace)
{
	struct draw d = {.how = how, .state = how->seed};
	struct tier_trace t = {0};
	OM_AUTO_FREE double *cumulated = malloc(how->objects * sizeof(*cumulated));
	OM_AUTO_FREE uint32_t *object = malloc(how->objects * sizeof(*object));
	OM_AUTO_FREE uint32_t *number = malloc(how->objects * sizeof(*number));
	double sum = 0;
	int err;

	if (!cumulated || !object || !number)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	for (uint64_t i = 0; i < how->objects; i++) {
		cumulated[i] = sum += pow((double)(i + 1), -how->zipf);
		object[i] = (uint32_t)i;
		number[i] = TIER_NONE;
	}
	d.cumulated = cumulated;
	d.object = object;
	d.number = number;
	err = fill(&d, &t);
	if (err < 0)
		tier_trace_fini(&t);
	else
		*ret_trace = t;
	return err;
}
