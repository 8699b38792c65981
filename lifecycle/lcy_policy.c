/*
 * lcy_policy.c: which objects belong on a fast tier. Pure code, for the lifecycle process and for objm-tiering.
 *
 * A `lane` is one tier of some capacity under one pair (H, M): a heap of the objects on it, the least rank first. The
 * policy has one for the real tier and, over every R-th object, one for each pair of the table. Ranks are not stored: they
 * follow from the count, the time of the last access and H, so that changing H means no more than setting up a heap again.
 */
#include "lifecycle/lcy_policy.h"

#include <math.h>

#define NOT_HERE UINT32_MAX
#define COUNT_LIFE 16.0f      /* half-life of counts, in times H */
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
static const struct rule {
	float half_life, margin;
	bool forget;
} rules[] = {
	{0.5f, 0, false}, {2, 0, false},  {2, 1.01f, false},  {2, 2.01f, false},  {4, 0, false},  {4, 1.01f, false},
	{8, 0, false},	  {8, 1.01f, false}, {32, 0, false},  {32, 1.01f, false}, {32, 2.01f, false}, {128, 0, false},
	{128, 1.01f, false}, {1024, 1.01f, false}, {2, 0, true}, {32, 0, true},
};
#define RULES OM_ARRAY_SIZE(rules)
#define RULE_FIRST 6u /* the middle: 8, 0 */

struct lane {
	struct rule rule;
	double per_rank; /* 1 / (H * n) */
	float per_count; /* the same for the decay of counts */
	uint64_t used, capacity;
	uint32_t count, heap_room;
	uint32_t *heap; /* objects of the lane */
	uint32_t *pos;	/* by object: place in the heap or NOT_HERE */
	float *log_count; /* by object: log2 of the decayed count as of the last access; below 0: never accessed */
	const uint32_t *last; /* by object: time of the last access */
	double hits, bytes; /* of late, decayed */
};

struct lcy_policy {
	struct lcy_policy_conf conf;
	struct lane real;
	uint32_t *last;
	uint32_t now;

	struct lane sampled[RULES];
	uint32_t *sample_last;
	uint32_t step, phase, samples; /* every step-th object, beginning with `phase` */
	double asked, bytes_asked;     /* of late, decayed */
	double until_check;
	uint32_t seeds, seeds_known; /* sampled objects seeded; those of them that were sampled before */
	float scale; /* n when ranks were computed */
	unsigned deciding;
	uint32_t victim[LCY_POLICY_VICTIMS];
};

/* ---------------------------------------------------------------- the heap of a lane */

static inline double rank_of(const struct lane *l, uint32_t obj)
{
	return (double)l->last[obj] * l->per_rank + (double)l->log_count[obj];
}

/* Equal ranks: the one accessed longer ago first. */
static inline bool goes_before(const struct lane *l, uint32_t a, uint32_t b)
{
	double ra = rank_of(l, a), rb = rank_of(l, b);

	return ra < rb || (!(rb < ra) && l->last[a] < l->last[b]);
}

static inline void place(struct lane *l, uint32_t i, uint32_t obj)
{
	l->heap[i] = obj;
	l->pos[obj] = i;
}

static void settle(struct lane *l, uint32_t i, uint32_t obj)
{
	uint32_t child;

	while (i > 0 && goes_before(l, obj, l->heap[(i - 1) / 2])) {
		place(l, i, l->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	while ((child = 2 * i + 1) < l->count) {
		if (child + 1 < l->count && goes_before(l, l->heap[child + 1], l->heap[child]))
			child++;
		if (!goes_before(l, l->heap[child], obj))
			break;
		place(l, i, l->heap[child]);
		i = child;
	}
	place(l, i, obj);
}

static bool heap_insert(struct lane *l, uint32_t obj)
{
	if (l->count == l->heap_room) {
		uint32_t room = l->heap_room ? l->heap_room * 2 : 1024;
		uint32_t *heap = realloc(l->heap, room * sizeof(*heap));

		if (!heap)
			return false;
		l->heap = heap;
		l->heap_room = room;
	}
	settle(l, l->count++, obj);
	return true;
}

static void heap_remove(struct lane *l, uint32_t obj)
{
	uint32_t i = l->pos[obj], last = l->heap[--l->count];

	l->pos[obj] = NOT_HERE;
	if (last != obj)
		settle(l, i, last);
}

/* All ranks have changed. */
static void heap_rebuild(struct lane *l)
{
	for (uint32_t i = l->count / 2; i-- > 0;)
		settle(l, i, l->heap[i]);
}

/* ---------------------------------------------------------------- a lane */

static int lane_init(struct lane *l, struct rule rule, uint32_t objects, uint64_t capacity, const uint32_t *last)
{
	l->rule = rule;
	l->capacity = capacity;
	l->last = last;
	l->pos = malloc(objects * sizeof(*l->pos));
	l->log_count = malloc(objects * sizeof(*l->log_count));
	if (!l->pos || !l->log_count)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	for (uint32_t i = 0; i < objects; i++) {
		l->pos[i] = NOT_HERE;
		l->log_count[i] = -1;
	}
	return 0;
}

static void lane_fini(struct lane *l)
{
	free(l->heap);
	free(l->pos);
	free(l->log_count);
}

static void lane_scale(struct lane *l, float n)
{
	l->per_rank = 1.0 / ((double)l->rule.half_life * (double)n);
	l->per_count = (float)l->per_rank / COUNT_LIFE;
	heap_rebuild(l);
}

/* Count an access at `now`; the caller sets `last` after all lanes have. */
static void lane_count(struct lane *l, uint32_t obj, uint32_t now)
{
	float was = l->log_count[obj];

	if (was < 0 || (l->rule.forget && l->pos[obj] == NOT_HERE))
		l->log_count[obj] = 0;
	else
		l->log_count[obj] = log2f(1.0f + exp2f(was - (float)(now - l->last[obj]) * l->per_count));
}

struct sizes {
	const struct lcy_policy_conf *conf;
	uint32_t step, phase; /* an object of the lane is number obj * step + phase outside */
};

static uint64_t size_of(const struct sizes *s, uint32_t obj)
{
	return OM_MAX(s->conf->size(s->conf->arg, obj * s->step + s->phase), 1);
}

/*
 * Take out what has to go for an object that is not there: into `victim`, *ret_n of them. False, and nothing has changed:
 * one of them is worth as much as the newcomer, or they would be too many.
 */
static bool lane_make_room(struct lane *l, const struct sizes *s, uint32_t obj, uint64_t size, uint32_t *victim, unsigned *ret_n)
{
	double limit = rank_of(l, obj) - (double)l->rule.margin;
	uint64_t used = l->used;
	unsigned n = 0;

	while (l->capacity - used < size) {
		uint32_t least = l->heap[0];

		if (n == LCY_POLICY_VICTIMS || !(rank_of(l, least) < limit)) {
			while (n > 0)
				settle(l, l->count++, victim[--n]);
			return false;
		}
		heap_remove(l, least);
		used -= size_of(s, least);
		victim[n++] = least;
	}
	l->used = used;
	*ret_n = n;
	return true;
}

/* An access that has been counted. */
static enum lcy_policy_verdict lane_access(struct lane *l, const struct sizes *s, uint32_t obj, uint64_t size, uint32_t *victim,
					   unsigned *ret_n)
{
	*ret_n = 0;
	if (l->pos[obj] != NOT_HERE) {
		settle(l, l->pos[obj], obj);
		return LCY_POLICY_HIT;
	}
	if (size > l->capacity || !lane_make_room(l, s, obj, size, victim, ret_n))
		return LCY_POLICY_REJECT;
	if (!heap_insert(l, obj)) /* no memory to remember it: then it stays where it is, and the victims are gone */
		return LCY_POLICY_REJECT;
	l->used += size;
	return LCY_POLICY_ADMIT;
}

static void lane_drop(struct lane *l, const struct sizes *s, uint32_t obj, bool history)
{
	if (l->pos[obj] != NOT_HERE) {
		heap_remove(l, obj);
		l->used -= size_of(s, obj);
	}
	if (history)
		l->log_count[obj] = -1;
}

/* ---------------------------------------------------------------- the policy */

static struct sizes all_of(const struct lcy_policy *p)
{
	return (struct sizes){.conf = &p->conf, .step = 1};
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
	if (!p->last || !p->sample_last || lane_init(&p->real, rules[p->deciding], p->conf.objects, p->conf.capacity, p->last) < 0)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	for (unsigned i = 0; i < RULES; i++) {
		if (lane_init(&p->sampled[i], rules[i], p->samples, OM_MAX(p->conf.capacity / p->step, 1), p->sample_last) < 0)
			return -OBJM_STATUS_OUT_OF_MEMORY;
		lane_scale(&p->sampled[i], p->scale);
	}
	lane_scale(&p->real, p->scale);
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
	lane_fini(&p->real);
	for (unsigned i = 0; i < RULES; i++)
		lane_fini(&p->sampled[i]);
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
	heap_rebuild(&p->real);
	for (unsigned i = 0; i < RULES; i++)
		heap_rebuild(&p->sampled[i]);
}

/* How many objects the tier holds has changed much: H counts in such numbers. Only a tier that is nearly full tells. */
static void follow_scale(struct lcy_policy *p)
{
	float n = (float)p->real.count;

	if (p->real.used < p->real.capacity - p->real.capacity / 8 || n < 1 || (n < p->scale * RESCALE && p->scale < n * RESCALE))
		return;
	p->scale = n;
	lane_scale(&p->real, n);
	for (unsigned i = 0; i < RULES; i++)
		lane_scale(&p->sampled[i], n);
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
		lane_scale(&p->real, p->scale);
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
	struct sizes s = {.conf = &p->conf, .step = p->step, .phase = p->phase};
	unsigned n;

	obj /= p->step;
	for (unsigned i = 0; i < RULES; i++)
		lane_count(&p->sampled[i], obj, p->now);
	p->sample_last[obj] = p->now;
	for (unsigned i = 0; i < RULES; i++) {
		struct lane *l = &p->sampled[i];

		if (lane_access(l, &s, obj, size, p->victim, &n) == LCY_POLICY_HIT) {
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
	const struct sizes s = all_of(p);
	uint64_t size = size_of(&s, obj);

	OM_ASSERT(obj < p->conf.objects);
	if (++p->now == CLOCK_MAX)
		clock_back(p);
	if (is_sampled(p, obj))
		sample_access(p, obj, size);
	lane_count(&p->real, obj, p->now);
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
	const struct sizes s = all_of(p);
	uint64_t size = count_access(p, obj);
	unsigned n;
	enum lcy_policy_verdict verdict = lane_access(&p->real, &s, obj, size, p->victim, &n);

	tell_evicted(p, n);
	return verdict;
}

bool lcy_policy_note(struct lcy_policy *p, uint32_t obj)
{
	(void)count_access(p, obj);
	if (p->real.pos[obj] == NOT_HERE)
		return false;
	settle(&p->real, p->real.pos[obj], obj);
	return true;
}

void lcy_policy_put(struct lcy_policy *p, uint32_t obj)
{
	const struct sizes s = all_of(p);

	OM_ASSERT(obj < p->conf.objects);
	if (p->real.pos[obj] != NOT_HERE)
		return;
	if (p->real.log_count[obj] < 0)
		p->real.log_count[obj] = 0; /* it was worth bringing there once */
	if (heap_insert(&p->real, obj))
		p->real.used += size_of(&s, obj);
}

bool lcy_policy_victim(struct lcy_policy *p, uint32_t *ret_obj)
{
	const struct sizes s = all_of(p);

	if (p->real.count == 0)
		return false;
	*ret_obj = p->real.heap[0];
	lane_drop(&p->real, &s, *ret_obj, false);
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
		ret->lanes |= (uint32_t)(p->sampled[i].pos[obj / p->step] != NOT_HERE) << i;
	return true;
}

/* A sampled object was on this sampled tier. The heap is set in order by lcy_policy_seeded(). */
static void lane_put(const struct lcy_policy *p, struct lane *l, uint32_t obj)
{
	const struct sizes s = {.conf = &p->conf, .step = p->step, .phase = p->phase};
	uint64_t size = size_of(&s, obj);

	if (l->pos[obj] == NOT_HERE && l->capacity - l->used >= size && heap_insert(l, obj))
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
static void fill_lane(struct lcy_policy *p, struct lane *l)
{
	const struct sizes s = {.conf = &p->conf, .step = p->step, .phase = p->phase};

	for (uint32_t obj = 0; obj < p->samples; obj++) {
		unsigned n;

		if (l->log_count[obj] >= 0 && l->pos[obj] == NOT_HERE)
			(void)lane_access(l, &s, obj, size_of(&s, obj), p->victim, &n); /* one that stays away stays away */
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
	lane_scale(&p->real, p->scale);
	for (unsigned i = 0; i < RULES; i++) {
		lane_scale(&p->sampled[i], p->scale);
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
	const struct sizes s = all_of(p), sampled = {.conf = &p->conf, .step = p->step, .phase = p->phase};

	OM_ASSERT(obj < p->conf.objects);
	lane_drop(&p->real, &s, obj, history);
	if (history && is_sampled(p, obj))
		for (unsigned i = 0; i < RULES; i++)
			lane_drop(&p->sampled[i], &sampled, obj / p->step, true);
}

bool lcy_policy_has(const struct lcy_policy *p, uint32_t obj)
{
	return obj < p->conf.objects && p->real.pos[obj] != NOT_HERE;
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
