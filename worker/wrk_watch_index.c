/*
 * wrk_watch_index.c: see wrk_watch_index.h (process objmapper-worker, loop thread). Called by wrk_watch.c.
 */
#include "worker/wrk_watch_index.h"

static size_t wrk_watch_common(const struct wrk_watch_prefix *p, const char *text, size_t len)
{
	size_t most = OM_MIN((size_t)p->len, len), n = 0;

	while (n < most && p->text[n] == text[n])
		n++;
	return n;
}

static bool wrk_watch_begins(const struct wrk_watch_prefix *p, const char *with, size_t len)
{
	return p->len >= len && (len == 0 || memcmp(p->text, with, len) == 0);
}

/* How many stand before the text, the text itself among them if it is there. */
static size_t wrk_watch_place(const struct wrk_watch_index *ix, const char *text, size_t len)
{
	size_t lo = 0, hi = ix->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2, most = OM_MIN((size_t)ix->v[mid]->len, len);
		int c = most ? memcmp(ix->v[mid]->text, text, most) : 0;

		if (c < 0 || (c == 0 && ix->v[mid]->len <= len))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Of what is before the `at`-th, the longest that the text begins with. */
static struct wrk_watch_prefix *wrk_watch_longest(const struct wrk_watch_index *ix, size_t at, const char *text, size_t len)
{
	struct wrk_watch_prefix *p = at ? ix->v[at - 1] : NULL;
	size_t common = p ? wrk_watch_common(p, text, len) : 0;

	while (p && p->len > common)
		p = p->outer;
	return p;
}

const struct wrk_watch_prefix *wrk_watch_index_find(const struct wrk_watch_index *ix, const char *uri, size_t len)
{
	return wrk_watch_longest(ix, wrk_watch_place(ix, uri, len), uri, len);
}

static bool wrk_watch_index_grow(struct wrk_watch_index *ix)
{
	size_t cap = ix->cap ? ix->cap * 2 : 16;
	void *v;

	if (ix->n < ix->cap)
		return true;
	v = realloc(ix->v, cap * sizeof(ix->v[0]));
	if (!v)
		return false;
	ix->v = v;
	ix->cap = cap;
	return true;
}

/* Those from the `at`-th on that begin with `p` and had `was` around them have `is`. */
static void wrk_watch_index_outer(struct wrk_watch_index *ix, size_t at, const struct wrk_watch_prefix *p,
				  const struct wrk_watch_prefix *was, struct wrk_watch_prefix *is)
{
	for (; at < ix->n && wrk_watch_begins(ix->v[at], p->text, p->len); at++)
		if (ix->v[at]->outer == was)
			ix->v[at]->outer = is;
}

static struct wrk_watch_prefix *wrk_watch_index_new(struct wrk_watch_index *ix, size_t at, const char *text, size_t len)
{
	struct wrk_watch_prefix *p = wrk_watch_index_grow(ix) ? malloc(sizeof(*p) + len) : NULL;

	if (!p)
		return NULL;
	*p = (struct wrk_watch_prefix){ .outer = wrk_watch_longest(ix, at, text, len), .len = (uint16_t)len };
	if (len)
		memcpy(p->text, text, len);
	wrk_watch_index_outer(ix, at, p, p->outer, p);
	memmove(ix->v + at + 1, ix->v + at, (ix->n - at) * sizeof(ix->v[0]));
	ix->v[at] = p;
	ix->n++;
	return p;
}

int wrk_watch_index_add(struct wrk_watch_index *ix, struct wrk_watch_node *node, const char *prefix, size_t len)
{
	size_t at = wrk_watch_place(ix, prefix, len);
	struct wrk_watch_prefix *p = at ? ix->v[at - 1] : NULL;

	OM_ASSERT(len <= OM_URI_MAX);
	if (!p || p->len != len || !wrk_watch_begins(p, prefix, len))
		p = wrk_watch_index_new(ix, at, prefix, len);
	if (!p)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	*node = (struct wrk_watch_node){ .next = p->first, .prevp = &p->first, .prefix = p };
	if (p->first)
		p->first->prevp = &node->next;
	p->first = node;
	return 0;
}

void wrk_watch_index_del(struct wrk_watch_index *ix, struct wrk_watch_node *node)
{
	struct wrk_watch_prefix *p = node->prefix;
	size_t at;

	if (!p)
		return;
	*node->prevp = node->next;
	if (node->next)
		node->next->prevp = node->prevp;
	*node = (struct wrk_watch_node){ 0 };
	if (p->first)
		return;
	at = wrk_watch_place(ix, p->text, p->len);
	OM_ASSERT(at > 0 && ix->v[at - 1] == p);
	wrk_watch_index_outer(ix, at, p, p, p->outer);
	memmove(ix->v + at - 1, ix->v + at, (ix->n - at) * sizeof(ix->v[0]));
	ix->n--;
	free(p);
	if (ix->n)
		return;
	free(ix->v);
	*ix = (struct wrk_watch_index){ 0 };
}
