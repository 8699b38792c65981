/*
 * test_cat_list.c: listings over several tiers against a model that sorts an array.
 */
#include "tests/unit/catalog/cat_test.h"
#include "index/cat/idx_cat_stream.h"

#define LIST_TIERS 3
#define LIST_OBJECTS 900

struct obj {
	char *uri;
	size_t len;
	uint64_t id, expiry;
	uint8_t tier, home;
};

struct world {
	char *dir;
	struct idx_cat *cat[LIST_TIERS];
	struct idx_cat_snap *snap[LIST_TIERS];
	struct obj obj[LIST_OBJECTS * LIST_TIERS];
	unsigned n;
	/* the winners, sorted: what a listing of everything has to give */
	const struct obj *win[LIST_OBJECTS * LIST_TIERS];
	unsigned n_win;
};

static int obj_cmp(const void *a, const void *b)
{
	const struct obj *x = *(const struct obj *const *)a, *y = *(const struct obj *const *)b;
	int c = idx_cat_key_cmp(x->uri, x->len, y->uri, y->len);

	if (c != 0)
		return c;
	if (x->id != y->id)
		return x->id > y->id ? -1 : 1;
	return (x->home == x->tier) ? -1 : 1;
}

/* A URI of a small world: short paths, and long ones that share 495 bytes. */
static size_t world_uri(uint64_t *seed, char *u)
{
	uint64_t r = cat_test_rnd(seed);
	size_t len = 0;

	if (r % 4 == 0) {
		memset(u, 'L', 480 + (r >> 4) % 20);
		len = 480 + (r >> 4) % 20;
		for (unsigned n = (unsigned)(r >> 12) % 24; n > 0; n--)
			u[len++] = "/ab\x01"[cat_test_rnd(seed) % 4];
		return len;
	}
	for (unsigned n = 1 + (unsigned)(r >> 4) % 8; n > 0; n--)
		u[len++] = "/ab.\x01~"[cat_test_rnd(seed) % 6];
	return len;
}

static void world_fill(struct world *w, uint64_t seed)
{
	uint64_t id = 100;
	char buf[600];

	for (unsigned i = 0; i < LIST_OBJECTS; i++) {
		size_t len = world_uri(&seed, buf);
		uint64_t r = cat_test_rnd(&seed);
		unsigned copies = 1 + (unsigned)(r % 8 == 0) + (unsigned)(r % 64 == 0);
		bool dup = false;
		for (unsigned j = 0; j < w->n && !dup; j++)
			dup = w->obj[j].len == len && memcmp(w->obj[j].uri, buf, len) == 0;
		for (unsigned c = 0; c < copies && !dup; c++) {
			struct obj *o = &w->obj[w->n++];
			o->uri = memcpy(malloc(len), buf, len);
			o->len = len;
			o->tier = (uint8_t)((r >> 8) + c) % LIST_TIERS;
			/* Equal ids: a copy and its home; else the greater wins. */
			o->id = (r >> 20) % 2 ? ++id : id;
			o->home = (r >> 20) % 2 ? o->tier : (uint8_t)((r >> 8) % LIST_TIERS);
			o->expiry = (r >> 24) % 10 == 0 ? 50 : 0;
			struct om_rec rec = cat_test_rec(o->uri, o->len, o->id, c, o->tier);
			rec.home = o->home;
			rec.expiry_s = o->expiry;
			cat_ok(cat_test_put(w->cat[o->tier], &rec));
		}
		id++;
	}
}

static void world_sort(struct world *w)
{
	for (unsigned i = 0; i < w->n; i++)
		w->win[i] = &w->obj[i];
	qsort(w->win, w->n, sizeof(w->win[0]), obj_cmp);
	w->n_win = 0;
	for (unsigned i = 0; i < w->n; i++)
		if (w->n_win == 0 || w->win[i]->len != w->win[w->n_win - 1]->len ||
		    memcmp(w->win[i]->uri, w->win[w->n_win - 1]->uri, w->win[i]->len) != 0)
			w->win[w->n_win++] = w->win[i];
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->dir = cat_test_mkdir(NULL);
	for (uint8_t t = 0; t < LIST_TIERS; t++) {
		struct idx_cat_params p = cat_test_params(w->dir, t);
		p.flags = IDX_CAT_VOLATILE; /* many small commits */
		cat_ok(idx_cat_open(&p, &w->cat[t]));
	}
	world_fill(w, 11);
	world_sort(w);
	for (uint8_t t = 0; t < LIST_TIERS; t++)
		cat_ok(idx_cat_snap_open(w->cat[t], &w->snap[t]));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (uint8_t t = 0; t < LIST_TIERS; t++) {
		idx_cat_snap_close(w->snap[t]);
		idx_cat_close(w->cat[t]);
	}
	for (unsigned i = 0; i < w->n; i++)
		free(w->obj[i].uri);
	cat_test_rmdir(w->dir);
	free(w);
	return 0;
}

/* ---- what a listing must give: names one after another ---- */

struct name {
	char s[OM_URI_MAX];
	size_t len;
	bool prefix;
	uint64_t id;
};

struct names {
	struct name *v;
	unsigned n;
};

static void names_add(struct names *l, const char *s, size_t len, bool prefix, uint64_t id)
{
	if ((l->n & (l->n - 1)) == 0) {
		l->v = realloc(l->v, sizeof(*l->v) * (l->n ? 2 * l->n : 1));
		assert_non_null(l->v);
	}
	memcpy(l->v[l->n].s, s, len);
	l->v[l->n].len = len;
	l->v[l->n].prefix = prefix;
	l->v[l->n++].id = id;
}

static void names_model(const struct world *w, const struct idx_cat_list_req *q, struct names *out)
{
	for (unsigned i = 0; i < w->n_win; i++) {
		const struct obj *o = w->win[i];
		const char *d = NULL;
		size_t len = o->len;
		if (q->prefix_len && (o->len < q->prefix_len || memcmp(o->uri, q->prefix, q->prefix_len) != 0))
			continue;
		if (q->now_s && o->expiry && o->expiry <= q->now_s)
			continue;
		if (q->delim_len)
			d = memmem(o->uri + q->prefix_len, o->len - q->prefix_len, q->delim, q->delim_len);
		if (d)
			len = (size_t)(d - o->uri) + q->delim_len;
		if (q->after_len && idx_cat_key_cmp(o->uri, len, q->after, q->after_len) <= 0)
			continue;
		if (d && out->n && out->v[out->n - 1].prefix && out->v[out->n - 1].len == len &&
		    memcmp(out->v[out->n - 1].s, o->uri, len) == 0)
			continue;
		names_add(out, o->uri, len, d != NULL, d ? 0 : o->id);
	}
}

static int collect(void *ctx, const struct idx_cat_list_item *item)
{
	names_add(ctx, item->name, item->name_len, item->is_prefix, item->is_prefix ? 0 : item->rec->id);
	assert_int_equal(item->is_prefix, item->rec == NULL);
	return 0;
}

static void names_compare(const struct names *want, const struct names *got)
{
	for (unsigned i = 0; i < OM_MIN(want->n, got->n); i++) {
		assert_int_equal(want->v[i].len, got->v[i].len);
		assert_memory_equal(want->v[i].s, got->v[i].s, want->v[i].len);
		assert_int_equal(want->v[i].prefix, got->v[i].prefix);
		assert_int_equal(want->v[i].id, got->v[i].id);
	}
	assert_int_equal(want->n, got->n);
}

/* The whole listing, page by page: by position, or (restart) by the last name as `after`. */
static void list_all(struct world *w, struct idx_cat_list_req q, bool restart, struct names *out)
{
	struct idx_cat_list_res res = { .more = true };
	unsigned calls = 0;

	while (res.more) {
		unsigned before = out->n;
		cat_ok(idx_cat_list(w->snap, LIST_TIERS, &q, collect, out, &res));
		assert_int_equal(res.names, out->n - before);
		assert_true(res.names <= q.limit);
		assert_true(++calls < 100000);
		if (q.max_scan == 0 && res.more)
			assert_int_equal(res.names, q.limit);
		if (restart && out->n) {
			q.after = out->v[out->n - 1].s;
			q.after_len = out->v[out->n - 1].len;
		} else if (!restart) {
			q.pos = res.pos;
			q.pos_len = res.pos_len;
		}
	}
	assert_int_equal(res.damaged, 0);
}

static void list_against_model(struct world *w, const struct idx_cat_list_req *q)
{
	for (unsigned restart = 0; restart < 2; restart++) {
		struct names want = { 0 }, got = { 0 };
		struct idx_cat_list_req r = *q;
		if (restart)
			r.max_scan = 0; /* an `after` does not say how far an empty page came */
		names_model(w, &r, &want);
		list_all(w, r, restart, &got);
		names_compare(&want, &got);
		free(want.v);
		free(got.v);
	}
}

static void list_everything(void **state)
{
	struct idx_cat_list_req q = { .limit = 1000000 };

	list_against_model(*state, &q);
	q.limit = 1;
	list_against_model(*state, &q);
	q.limit = 100;
	q.now_s = 60;
	list_against_model(*state, &q);
}

static void list_random(void **state)
{
	struct world *w = *state;
	uint64_t seed = 5;

	for (unsigned i = 0; i < 1500; i++) {
		char prefix[600], after[600];
		uint64_t r = cat_test_rnd(&seed);
		struct idx_cat_list_req q = { .prefix = prefix, .after = after, .delim = r & 1 ? "/" : "ab" };
		size_t len = world_uri(&seed, prefix);
		q.prefix_len = (r >> 1) % 3 == 0 ? len : (r >> 3) % 3;
		q.after_len = (r >> 5) % 3 == 0 ? world_uri(&seed, after) : 0;
		if ((r >> 7) % 4 == 0) { /* an existing name, whole or cut */
			const struct obj *o = w->win[(r >> 9) % w->n_win];
			memcpy(after, o->uri, o->len);
			q.after_len = (r >> 30) % 2 ? o->len : 1 + (r >> 32) % o->len;
		}
		if ((r >> 40) % 4 == 0) {
			const struct obj *o = w->win[(r >> 44) % w->n_win];
			memcpy(prefix, o->uri, o->len);
			q.prefix_len = (r >> 60) % 2 ? o->len : (r >> 32) % (o->len + 1);
		}
		q.delim_len = (r >> 20) % 2 ? strlen(q.delim) : 0;
		q.limit = (r >> 21) % 4 == 0 ? 1 + (uint32_t)((r >> 24) % 3) : 1 + (uint32_t)((r >> 24) % 200);
		q.now_s = (r >> 22) % 2 ? 60 : 0;
		q.max_scan = (r >> 50) % 3 == 0 ? 1 + (r >> 52) % 50 : 0;
		list_against_model(w, &q);
	}
}

/* The pages of a group: with a page of a few members the group is read again and again, and the order is the same. */
static void list_small_pages(void **state)
{
	struct world *w = *state;

	for (size_t page = 1; page < 40; page = page * 3 + 1) {
		for (uint8_t t = 0; t < LIST_TIERS; t++) {
			struct idx_cat_stream s;
			const struct obj *all[LIST_OBJECTS * LIST_TIERS];
			unsigned n = 0, at = 0;
			for (unsigned i = 0; i < w->n; i++)
				if (w->obj[i].tier == t)
					all[n++] = &w->obj[i];
			qsort(all, n, sizeof(all[0]), obj_cmp);
			cat_ok(idx_cat_stream_open(&s, w->snap[t]));
			s.page_max = page;
			cat_ok(idx_cat_stream_seek(&s, "", 0, false));
			for (; !s.end; at++) {
				assert_true(at < n);
				assert_int_equal(s.rec.uri_len, all[at]->len);
				assert_memory_equal(s.rec.uri, all[at]->uri, all[at]->len);
				assert_true(s.page_cap <= page);
				cat_ok(idx_cat_stream_next(&s));
			}
			assert_int_equal(at, n);
			idx_cat_stream_close(&s);
		}
	}
}

static bool only_even(void *ctx, const struct om_rec *rec)
{
	(void)ctx;
	return rec->id % 2 == 0;
}

static void list_visible(void **state)
{
	struct world *w = *state;
	struct idx_cat_list_req q = { .limit = 10, .visible = only_even };
	struct names got = { 0 };
	unsigned want = 0;

	for (unsigned i = 0; i < w->n_win; i++)
		want += w->win[i]->id % 2 == 0;
	list_all(w, q, false, &got);
	assert_int_equal(got.n, want);
	free(got.v);
}

static int stop(void *ctx, const struct idx_cat_list_item *item)
{
	(void)ctx;
	(void)item;
	return -OBJM_STATUS_GONE;
}

static void list_refused(void **state)
{
	struct world *w = *state;
	struct idx_cat_list_req q = { .limit = 0 };
	struct idx_cat_list_res res;

	assert_int_equal(idx_cat_list(w->snap, LIST_TIERS, &q, collect, NULL, &res), -OBJM_STATUS_INVALID_REQUEST);
	q.limit = 5;
	assert_int_equal(idx_cat_list(w->snap, LIST_TIERS, &q, stop, NULL, &res), -OBJM_STATUS_GONE);
	q.prefix_len = OM_URI_MAX + 1;
	assert_int_equal(idx_cat_list(w->snap, LIST_TIERS, &q, stop, NULL, &res), -OBJM_STATUS_INVALID_REQUEST);
	q = (struct idx_cat_list_req){ .limit = 5 };
	cat_ok(idx_cat_list(w->snap, 0, &q, stop, NULL, &res)); /* no tiers, no names */
	assert_false(res.more);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_everything), cmocka_unit_test(list_random),  cmocka_unit_test(list_small_pages),
		cmocka_unit_test(list_visible),	   cmocka_unit_test(list_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
