/* lcy_best.c: see lcy_best.h. */
#include "lifecycle/lcy_best.h"

void lcy_best_fini(struct lcy_best *b)
{
	free(b->v);
	*b = (struct lcy_best){ 0 };
}

void lcy_best_clear(struct lcy_best *b, uint32_t max)
{
	if (b->max != max) {
		free(b->v);
		b->v = NULL;
	}
	b->n = 0;
	b->max = max;
}

static void down(struct lcy_best *b, uint32_t i, struct lcy_cand c)
{
	uint32_t child;

	while ((child = 2 * i + 1) < b->n) {
		if (child + 1 < b->n && b->v[child + 1].score < b->v[child].score)
			child++;
		if (!(b->v[child].score < c.score))
			break;
		b->v[i] = b->v[child];
		i = child;
	}
	b->v[i] = c;
}

static void up(struct lcy_best *b, uint32_t i, struct lcy_cand c)
{
	for (; i > 0 && c.score < b->v[(i - 1) / 2].score; i = (i - 1) / 2)
		b->v[i] = b->v[(i - 1) / 2];
	b->v[i] = c;
}

void lcy_best_add(struct lcy_best *b, const struct lcy_cand *cand)
{
	if (!b->v && b->max > 0)
		b->v = malloc(b->max * sizeof(*b->v));
	if (!b->v || !lcy_best_wants(b, cand->score))
		return;
	if (b->n < b->max) {
		b->n++;
		up(b, b->n - 1, *cand);
	} else {
		down(b, 0, *cand);
	}
}

/* Equal ones in the order of their ids: what was put together mostly lies together. */
static int by_score(const void *a, const void *b)
{
	const struct lcy_cand *x = a, *y = b;

	if (x->score > y->score || x->score < y->score)
		return x->score > y->score ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

void lcy_best_sort(struct lcy_best *b)
{
	if (b->n)
		qsort(b->v, b->n, sizeof(*b->v), by_score);
}
