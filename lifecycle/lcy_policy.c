/*
 * lcy_policy.c: which objects belong on a fast tier. Pure code, for the lifecycle process and for objm-tiering.
 *
 * The policy has a lane (lcy_lane.h) for the real tier and, over every R-th object, one for each pair (H, M) of the table.
 */
#include "lifecycle/lcy_lane.h"
#include "lifecycle/lcy_policy.h"

#include <math.h>

#define LANE_TARGET 2048u     /* objects on a sampled tier, about */
#define WINDOW 4.0	      /* hits are judged over about so many accesses for each object on the tier */
#define WINDOW_MIN 512.0
#define CHECKS 16.0	      /* in a window */
#define BETTER 0.002	      /* by which a pair must beat the one that decides: objects and bytes hit, each a ratio */
#define RESCALE 1.25f	      /* change of n after which ranks are computed anew */
#ifndef CLOCK_MAX /* a test lets it run out early */
#define CLOCK_MAX (UINT32_C(1) << 31)
#endif
#define CLOCK_BACK (CLOCK_MAX / 2)

/* The pairs; `forget`: an object that left starts over when it comes back. Chosen by measurement: doc/tiering.md. */
static const struct lcy_lane_rule rules[] = {
	{0.5f, 0, false}, {2, 0, false},  {2, 1.01f, false},  {2, 2.01f, false},  {4, 0, false},  {4, 1.01f, false},
	{8, 0, false},	  {8, 1.01f, false}, {32, 0, false},  {32, 1.01f, false}, {32, 2.01f, false}, {128, 0, false},
	{128, 1.01f, false}, {1024, 1.01f, false}, {2, 0, true}, {32, 0, true},
};
#define RULES OM_ARRAY_SIZE(rules)
#define RULE_FIRST 6u /* the middle: 8, 0 */

struct lcy_policy {
	struct lcy_policy_conf conf;
	struct lcy_lane real;
	uint32_t *last;
	uint32_t now;

	struct lcy_lane sampled[RULES];
	uint32_t *sample_last;
	uint32_t step, phase, samples; /* every step-th object, beginning with `phase` */
	double asked, bytes_asked;     /* of late, decayed */
	double until_check;
	uint32_t seeds, seeds_known; /* sampled objects seeded; those of them that were sampled before */
	float scale; /* n when ranks were computed */
	unsigned deciding;
	uint32_t victim[LCY_POLICY_VICTIMS];
};

/* ---------------------------------------------------------------- the policy */

static struct lcy_lane_sizes all_of(const struct lcy_policy *p)
{
	return (struct lcy_lane_sizes){.conf = &p->conf, .step = 1};
}

static bool is_sampled(const struct lcy_policy *p, uint32_t obj)
{
	return obj % p->step == p->phase && obj / p->step < p->samples;
}

static int init_lanes(struct lcy_policy *p)
{
	uint64_t fit = OM_MAX(p->conf.capacity / p->conf.mean_size, 1);
	uint64_t step = OM_MAX(fit / LANE_TARGET, (p->conf.objects + UINT64_C(1) * LCY_POLICY_SAMPLE - 1) / LCY_POLICY_SAMPLE);

	p->step = (uint32_t)OM_MIN(OM_MAX(step, 1), p->conf.objects);
	p->phase = p->step / 2;
	p->samples = OM_MIN((p->conf.objects - p->phase + p->step - 1) / p->step, LCY_POLICY_SAMPLE);
	p->scale = (float)OM_MIN(fit, p->conf.objects);
	p->until_check = WINDOW_MIN / CHECKS;
	p->deciding = RULE_FIRST;
	p->last = calloc(p->conf.objects, sizeof(*p->last));
	p->sample_last = calloc(p->samples, sizeof(*p->sample_last));
	if (!p->last || !p->sample_last || lcy_lane_init(&p->real, rules[p->deciding], p->conf.objects, p->conf.capacity, p->last) < 0)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	for (unsigned i = 0; i < RULES; i++) {
		if (lcy_lane_init(&p->sampled[i], rules[i], p->samples, OM_MAX(p->conf.capacity / p->step, 1), p->sample_last) < 0)
			return -OBJM_STATUS_OUT_OF_MEMORY;
		lcy_lane_scale(&p->sampled[i], p->scale);
	}
	lcy_lane_scale(&p->real, p->scale);
	return 0;
}

int lcy_policy_new(const struct lcy_policy_conf *conf, struct lcy_policy **ret_policy)
{
	struct lcy_policy *p;

	if (conf->objects == 0 || conf->objects > UINT32_MAX - 1 || conf->capacity == 0 || conf->mean_size == 0 || !conf->size)
		return -OBJM_STATUS_INVALID_REQUEST;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	p->conf = *conf;
	int err = init_lanes(p);
	if (err < 0) {
		lcy_policy_free(p);
		return err;
	}
	*ret_policy = p;
	return 0;
}

void lcy_policy_free(struct lcy_policy *p)
{
	if (!p)
		return;
	lcy_lane_fini(&p->real);
	for (unsigned i = 0; i < RULES; i++)
		lcy_lane_fini(&p->sampled[i]);
	free(p->last);
	free(p->sample_last);
	free(p);
}

/* Times are 32 bits: when they run out, all go back, and what is older than that is as old as can be. */
static void clock_back(struct lcy_policy *p)
{
	for (uint32_t i = 0; i < p->conf.objects; i++)
		p->last[i] = p->last[i] > CLOCK_BACK ? p->last[i] - CLOCK_BACK : 0;
	for (uint32_t i = 0; i < p->samples; i++)
		p->sample_last[i] = p->sample_last[i] > CLOCK_BACK ? p->sample_last[i] - CLOCK_BACK : 0;
	p->now -= CLOCK_BACK;
	lcy_lane_reorder(&p->real);
	for (unsigned i = 0; i < RULES; i++)
		lcy_lane_reorder(&p->sampled[i]);
}

/* How many objects the tier holds has changed much: H counts in such numbers. Only a tier that is nearly full tells. */
static void follow_scale(struct lcy_policy *p)
{
	float n = (float)p->real.count;

	if (p->real.used < p->real.capacity - p->real.capacity / 8 || n < 1 || (n < p->scale * RESCALE && p->scale < n * RESCALE))
		return;
	p->scale = n;
	lcy_lane_scale(&p->real, n);
	for (unsigned i = 0; i < RULES; i++)
		lcy_lane_scale(&p->sampled[i], n);
}

static double score(const struct lcy_policy *p, unsigned i)
{
	return p->sampled[i].hits / p->asked + p->sampled[i].bytes / p->bytes_asked;
}

/* Let the pair decide that was best of late. */
static void choose(struct lcy_policy *p)
{
	double window = OM_MAX(WINDOW * (double)p->scale / p->step, WINDOW_MIN);
	double keep = exp(-1.0 / CHECKS);
	unsigned best = p->deciding;

	for (unsigned i = 0; i < RULES; i++)
		if (score(p, i) > score(p, best) + (best == p->deciding ? BETTER : 0))
			best = i;
	if (best != p->deciding) {
		p->deciding = best;
		p->real.rule = rules[best];
		lcy_lane_scale(&p->real, p->scale);
	}
	p->asked *= keep;
	p->bytes_asked *= keep;
	for (unsigned i = 0; i < RULES; i++) {
		p->sampled[i].hits *= keep;
		p->sampled[i].bytes *= keep;
	}
	p->until_check = window / CHECKS;
	follow_scale(p);
}

/* The same access on all sampled tiers. */
static void sample_access(struct lcy_policy *p, uint32_t obj, uint64_t size)
{
	struct lcy_lane_sizes s = {.conf = &p->conf, .step = p->step, .phase = p->phase};
	unsigned n;

	obj /= p->step;
	for (unsigned i = 0; i < RULES; i++)
		lcy_lane_count(&p->sampled[i], obj, p->now);
	p->sample_last[obj] = p->now;
	for (unsigned i = 0; i < RULES; i++) {
		struct lcy_lane *l = &p->sampled[i];

		if (lcy_lane_access(l, &s, obj, size, p->victim, &n) == LCY_POLICY_HIT) {
			l->hits += 1;
			l->bytes += (double)size;
		}
	}
	p->asked += 1;
	p->bytes_asked += (double)size;
	p->until_check -= 1;
	if (p->until_check <= 0)
		choose(p);
}

/* The access itself, before it is judged. */
static uint64_t count_access(struct lcy_policy *p, uint32_t obj)
{
	const struct lcy_lane_sizes s = all_of(p);
	uint64_t size = lcy_lane_size(&s, obj);

	OM_ASSERT(obj < p->conf.objects);
	if (++p->now == CLOCK_MAX)
		clock_back(p);
	if (is_sampled(p, obj))
		sample_access(p, obj, size);
	lcy_lane_count(&p->real, obj, p->now);
	p->last[obj] = p->now;
	return size;
}

static void tell_evicted(struct lcy_policy *p, unsigned n)
{
	for (unsigned i = 0; i < n && p->conf.evicted; i++)
		p->conf.evicted(p->conf.arg, p->victim[i]);
}

enum lcy_policy_verdict lcy_policy_access(struct lcy_policy *p, uint32_t obj)
{
	const struct lcy_lane_sizes s = all_of(p);
	uint64_t size = count_access(p, obj);
	unsigned n;
	enum lcy_policy_verdict verdict = lcy_lane_access(&p->real, &s, obj, size, p->victim, &n);

	tell_evicted(p, n);
	return verdict;
}

bool lcy_policy_note(struct lcy_policy *p, uint32_t obj)
{
	(void)count_access(p, obj);
	return lcy_lane_touch(&p->real, obj);
}

void lcy_policy_put(struct lcy_policy *p, uint32_t obj)
{
	const struct lcy_lane_sizes s = all_of(p);

	OM_ASSERT(obj < p->conf.objects);
	if (lcy_lane_has(&p->real, obj))
		return;
	if (p->real.log_count[obj] < 0)
		p->real.log_count[obj] = 0; /* it was worth bringing there once */
	if (lcy_lane_add(&p->real, obj))
		p->real.used += lcy_lane_size(&s, obj);
}

bool lcy_policy_victim(struct lcy_policy *p, uint32_t *ret_obj)
{
	const struct lcy_lane_sizes s = all_of(p);

	if (p->real.count == 0)
		return false;
	*ret_obj = p->real.heap[0];
	lcy_lane_drop(&p->real, &s, *ret_obj, false);
	return true;
}

void lcy_policy_resize(struct lcy_policy *p, uint64_t capacity)
{
	uint32_t obj;

	p->conf.capacity = OM_MAX(capacity, 1);
	p->real.capacity = p->conf.capacity;
	/* what the sampled tiers hold too much of leaves them with the next that is let in */
	for (unsigned i = 0; i < RULES; i++)
		p->sampled[i].capacity = OM_MAX(p->conf.capacity / p->step, 1);
	while (p->real.used > p->real.capacity && lcy_policy_victim(p, &obj))
		if (p->conf.evicted)
			p->conf.evicted(p->conf.arg, obj);
}

bool lcy_policy_recall(const struct lcy_policy *p, uint32_t obj, struct lcy_policy_memory *ret)
{
	OM_ASSERT(obj < p->conf.objects);
	if (p->real.log_count[obj] < 0)
		return false;
	ret->count = exp2((double)p->real.log_count[obj]);
	ret->ago = p->now - p->last[obj];
	ret->sampled = is_sampled(p, obj);
	ret->lanes = 0;
	for (unsigned i = 0; ret->sampled && i < RULES; i++)
		ret->lanes |= (uint32_t)lcy_lane_has(&p->sampled[i], obj / p->step) << i;
	return true;
}

/* A sampled object was on this sampled tier. The heap is set in order by lcy_policy_seeded(). */
static void lane_put(const struct lcy_policy *p, struct lcy_lane *l, uint32_t obj)
{
	const struct lcy_lane_sizes s = {.conf = &p->conf, .step = p->step, .phase = p->phase};
	uint64_t size = lcy_lane_size(&s, obj);

	if (!lcy_lane_has(l, obj) && l->capacity - l->used >= size && lcy_lane_add(l, obj))
		l->used += size;
}

void lcy_policy_seed(struct lcy_policy *p, uint32_t obj, const struct lcy_policy_memory *memory)
{
	uint32_t ago = (uint32_t)OM_MIN(memory->ago, CLOCK_BACK - 1);
	float log_count = (float)log2(OM_MIN(OM_MAX(memory->count, 1.0), 1e9));

	OM_ASSERT(obj < p->conf.objects);
	if (p->now == 0)
		p->now = CLOCK_BACK; /* so that the past has room */
	p->last[obj] = p->now - ago;
	p->real.log_count[obj] = log_count;
	if (!is_sampled(p, obj))
		return;
	p->sample_last[obj / p->step] = p->last[obj];
	p->seeds++;
	p->seeds_known += memory->sampled;
	for (unsigned i = 0; i < RULES; i++) {
		bool there = memory->sampled && memory->lanes >> i & 1;
		if (!rules[i].forget || there) /* that one knows only what is on its tier */
			p->sampled[i].log_count[obj / p->step] = log_count;
		if (there)
			lane_put(p, &p->sampled[i], obj / p->step);
	}
}

/* A sampled tier as it would be: the objects of the highest rank. */
static void fill_lane(struct lcy_policy *p, struct lcy_lane *l)
{
	const struct lcy_lane_sizes s = {.conf = &p->conf, .step = p->step, .phase = p->phase};

	for (uint32_t obj = 0; obj < p->samples; obj++) {
		unsigned n;

		if (l->log_count[obj] >= 0 && !lcy_lane_has(l, obj))
			(void)lcy_lane_access(l, &s, obj, lcy_lane_size(&s, obj), p->victim, &n); /* one that stays away stays away */
	}
}

static bool is_score(double v) { return v >= 0 && v < 1e18; }

/* Scores may come from a file. */
static void resume_trial(struct lcy_policy *p, const struct lcy_policy_trial *t)
{
	bool ok = t->pairs == RULES && t->deciding < RULES && t->scale >= 1 && t->scale < 1e10 && is_score(t->asked) && is_score(t->until_check) &&
		  is_score(t->bytes_asked);

	for (unsigned i = 0; ok && i < RULES; i++)
		ok = is_score(t->hits[i]) && is_score(t->bytes[i]);
	if (!ok)
		return;
	p->deciding = t->deciding;
	p->real.rule = rules[t->deciding];
	p->scale = (float)OM_MIN(t->scale, (double)p->conf.objects);
	p->asked = t->asked;
	p->bytes_asked = t->bytes_asked;
	p->until_check = OM_MIN(t->until_check, OM_MAX(WINDOW * (double)p->scale / p->step, WINDOW_MIN) / CHECKS);
	for (unsigned i = 0; i < RULES; i++) {
		p->sampled[i].hits = t->hits[i];
		p->sampled[i].bytes = t->bytes[i];
	}
}

void lcy_policy_seeded(struct lcy_policy *p, const struct lcy_policy_trial *trial)
{
	resume_trial(p, trial);
	lcy_lane_scale(&p->real, p->scale);
	for (unsigned i = 0; i < RULES; i++) {
		lcy_lane_scale(&p->sampled[i], p->scale);
		/* where the samples are others than before, the best that can be had */
		if (p->seeds_known < p->seeds / 2)
			fill_lane(p, &p->sampled[i]);
	}
}

void lcy_policy_trial(const struct lcy_policy *p, struct lcy_policy_trial *ret)
{
	static_assert(RULES <= LCY_POLICY_PAIRS_MAX, "a place for each pair");
	*ret = (struct lcy_policy_trial){.pairs = RULES, .deciding = p->deciding, .scale = (double)p->scale, .asked = p->asked,
					 .bytes_asked = p->bytes_asked, .until_check = p->until_check};
	for (unsigned i = 0; i < RULES; i++) {
		ret->hits[i] = p->sampled[i].hits;
		ret->bytes[i] = p->sampled[i].bytes;
	}
}

void lcy_policy_drop(struct lcy_policy *p, uint32_t obj, bool history)
{
	const struct lcy_lane_sizes s = all_of(p), sampled = {.conf = &p->conf, .step = p->step, .phase = p->phase};

	OM_ASSERT(obj < p->conf.objects);
	lcy_lane_drop(&p->real, &s, obj, history);
	if (history && is_sampled(p, obj))
		for (unsigned i = 0; i < RULES; i++)
			lcy_lane_drop(&p->sampled[i], &sampled, obj / p->step, true);
}

bool lcy_policy_has(const struct lcy_policy *p, uint32_t obj)
{
	return obj < p->conf.objects && lcy_lane_has(&p->real, obj);
}

uint64_t lcy_policy_used(const struct lcy_policy *p)
{
	return p->real.used;
}

void lcy_policy_now(const struct lcy_policy *p, double *ret_half_life, double *ret_margin)
{
	*ret_half_life = (double)p->real.rule.half_life;
	*ret_margin = (double)p->real.rule.margin;
}
