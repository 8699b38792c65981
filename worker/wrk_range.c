/*
 * wrk_range.c: see wrk_range.h (process objmapper-worker, loop thread). Called by wrk_list.c.
 */
#include "worker/wrk_range.h"

#include "worker/wrk_access.h"

#define WRK_RANGE_BEHIND 0xff /* greater than any byte of a URI */

int wrk_range_cmp(const void *a, size_t a_len, const void *b, size_t b_len)
{
	size_t n = OM_MIN(a_len, b_len);
	int c = n ? memcmp(a, b, n) : 0;

	return c ? c : (a_len > b_len) - (a_len < b_len);
}

static size_t wrk_range_text(const struct wrk_range *g, char ret[static OM_URI_MAX + 1])
{
	if (g->len)
		memcpy(ret, g->p, g->len);
	if (g->slash)
		ret[g->len] = '/';
	return (size_t)g->len + g->slash;
}

/* By text; of two with the same text the wider first. */
static int wrk_range_order(const void *a, const void *b)
{
	const struct wrk_range *x = a, *y = b;
	char tx[OM_URI_MAX + 1], ty[OM_URI_MAX + 1];
	size_t nx = wrk_range_text(x, tx), ny = wrk_range_text(y, ty);
	int c = wrk_range_cmp(tx, nx, ty, ny);

	return c ? c : (int)x->one - (int)y->one;
}

static bool wrk_range_holds(const struct wrk_range *outer, const struct wrk_range *inner)
{
	char to[OM_URI_MAX + 1], ti[OM_URI_MAX + 1];
	size_t no = wrk_range_text(outer, to), ni = wrk_range_text(inner, ti);

	if (outer->one)
		return inner->one && no == ni && memcmp(to, ti, no) == 0;
	return ni >= no && (no == 0 || memcmp(to, ti, no) == 0);
}

int wrk_range_make(const struct wrk_access *a, struct wrk_range **ret)
{
	struct wrk_range *v = calloc(2 * (size_t)a->n + 1, sizeof(*v));
	unsigned n = 0, kept = 0;

	if (!v)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	if (a->everywhere & OM_RIGHT_LIST) {
		v[n++] = (struct wrk_range){ .p = "" };
		*ret = v;
		return (int)n;
	}
	for (unsigned i = 0; i < a->n; i++) {
		const struct om_rule *r = a->rules[i];
		bool whole = !r->open && r->prefix[r->prefix_len - 1] != '/';

		if (!(r->rights & OM_RIGHT_LIST))
			continue;
		v[n++] = (struct wrk_range){ .p = r->prefix, .len = r->prefix_len, .slash = whole };
		if (whole)
			v[n++] = (struct wrk_range){ .p = r->prefix, .len = r->prefix_len, .one = true };
	}
	qsort(v, n, sizeof(*v), wrk_range_order);
	for (unsigned i = 0; i < n; i++) /* sorted, a range stands right before all that it holds */
		if (!kept || !wrk_range_holds(&v[kept - 1], &v[i]))
			v[kept++] = v[i];
	*ret = v;
	return (int)kept;
}

static bool wrk_range_begins(const char *p, size_t len, const char *with, size_t with_len)
{
	return len >= with_len && (with_len == 0 || memcmp(p, with, with_len) == 0);
}

/* Length of the common prefix that all of it folds into: behind the listing's prefix it has the delimiter. */
static size_t wrk_range_fold(const struct wrk_range_ask *ask, size_t prefix_len, uint8_t delimiter)
{
	const char *at;

	if (!delimiter || ask->prefix_len <= prefix_len)
		return 0;
	at = memchr(ask->prefix + prefix_len, delimiter, ask->prefix_len - prefix_len);
	return at ? (size_t)(at - ask->prefix) + 1 : 0;
}

bool wrk_range_cut(const struct wrk_range *g, const char *prefix, size_t prefix_len, uint8_t delimiter, const char *after,
		   size_t after_len, struct wrk_range_ask *ret)
{
	char text[OM_URI_MAX + 1];
	size_t len = wrk_range_text(g, text);

	ret->one = g->one;
	if (wrk_range_begins(text, len, prefix, prefix_len)) {
		memcpy(ret->prefix, text, len);
		ret->prefix_len = (uint16_t)len;
	} else if (!g->one && wrk_range_begins(prefix, prefix_len, text, len)) {
		memcpy(ret->prefix, prefix, prefix_len);
		ret->prefix_len = (uint16_t)prefix_len;
	} else {
		return false;
	}
	if (ret->prefix_len > OM_URI_MAX) /* `/` behind the longest name: there is none below it */
		return false;
	ret->fold_len = (uint16_t)wrk_range_fold(ret, prefix_len, delimiter);
	if (ret->fold_len)
		return wrk_range_cmp(ret->prefix, ret->fold_len, after, after_len) > 0;
	if (wrk_range_cmp(ret->prefix, ret->prefix_len, after, after_len) > 0)
		return true;
	if (ret->one || !wrk_range_begins(after, after_len, ret->prefix, ret->prefix_len))
		return ret->prefix_len == 0 && !ret->one;
	return after_len == ret->prefix_len || (uint8_t)after[ret->prefix_len] != WRK_RANGE_BEHIND;
}

bool wrk_range_pass(const struct wrk_range_ask *ask, unsigned given, char *pos, uint16_t *pos_len)
{
	uint16_t len = ask->fold_len ? ask->fold_len : ask->prefix_len;
	char end[OM_URI_MAX + 1];

	if (ask->fold_len && !given)
		return false;
	memcpy(end, ask->prefix, len);
	if (!ask->one && !ask->fold_len && len < OM_URI_MAX)
		end[len++] = (char)WRK_RANGE_BEHIND;
	if (wrk_range_cmp(end, len, pos, *pos_len) <= 0)
		return false; /* the last name given says it as well */
	memcpy(pos, end, len);
	*pos_len = len;
	return true;
}
