/*
 * idx_cat_stream.c: one snapshot's records in URI order (see the header). Runs in the supervisor, under listings.
 *
 * The cursor always stands on the entry that was looked at last; in a group, wherever the collecting left it.
 */
#include "index/cat/idx_cat_stream.h"

#define STREAM_PAGE_FIRST 64u

int idx_cat_stream_open(struct idx_cat_stream *s, struct idx_cat_snap *snap)
{
	int mrc;

	*s = (struct idx_cat_stream){ .snap = snap, .end = true, .page_max = IDX_CAT_STREAM_PAGE };
	mrc = mdb_cursor_open(snap->mdb, snap->cat->objects, &s->cur);
	return mrc == MDB_SUCCESS ? 0 : idx_cat_env_fail(&snap->cat->env, mrc, "cannot list its records");
}

void idx_cat_stream_close(struct idx_cat_stream *s)
{
	if (s->cur)
		mdb_cursor_close(s->cur);
	free(s->page);
	*s = (struct idx_cat_stream){ .end = true };
}

/* ---- the page of a group: a heap with the greatest URI on top while collecting, then sorted ---- */

static int member_cmp(const void *a, const void *b)
{
	const struct idx_cat_member *x = a, *y = b;

	return idx_cat_key_cmp(x->uri, x->uri_len, y->uri, y->uri_len);
}

static void page_swap(struct idx_cat_member *a, struct idx_cat_member *b)
{
	struct idx_cat_member t = *a;

	*a = *b;
	*b = t;
}

static void page_sift_up(struct idx_cat_member *p, size_t i)
{
	for (; i > 0 && member_cmp(&p[i], &p[(i - 1) / 2]) > 0; i = (i - 1) / 2)
		page_swap(&p[i], &p[(i - 1) / 2]);
}

static void page_sift_down(struct idx_cat_member *p, size_t n)
{
	for (size_t i = 0;;) {
		size_t big = i, l = 2 * i + 1, r = l + 1;
		if (l < n && member_cmp(&p[l], &p[big]) > 0)
			big = l;
		if (r < n && member_cmp(&p[r], &p[big]) > 0)
			big = r;
		if (big == i)
			return;
		page_swap(&p[i], &p[big]);
		i = big;
	}
}

static int page_add(struct idx_cat_stream *s, const struct idx_cat_member *m)
{
	if (s->page_len == s->page_max) {
		s->page_more = true;
		if (member_cmp(m, &s->page[0]) < 0) {
			s->page[0] = *m;
			page_sift_down(s->page, s->page_len);
		}
		return 0;
	}
	if (s->page_len == s->page_cap) {
		size_t cap = s->page_cap ? OM_MIN(s->page_cap * 2, s->page_max) : OM_MIN(STREAM_PAGE_FIRST, s->page_max);
		struct idx_cat_member *p = reallocarray(s->page, cap, sizeof(*p));
		if (!p)
			return idx_cat_fail(-OBJM_STATUS_OUT_OF_MEMORY, "no memory to sort a group of long URIs");
		s->page = p;
		s->page_cap = cap;
	}
	s->page[s->page_len++] = *m;
	page_sift_up(s->page, s->page_len - 1);
	return 0;
}

/* ---- decoding ---- */

/* The record of an entry, if it is one; else it is counted as damaged. */
static bool stream_decode(struct idx_cat_stream *s, const MDB_val *key, const MDB_val *val, struct om_rec *rec)
{
	s->steps++;
	if (idx_cat_rec_decode(key->mv_data, key->mv_size, val->mv_data, val->mv_size, s->snap->cat->tier, rec) == 0 &&
	    idx_cat_key_matches(s->snap->cat, key, rec))
		return true;
	s->damaged++;
	return false;
}

static bool stream_beyond(const struct om_rec *rec, const char *pos, size_t pos_len, bool strict)
{
	int c = idx_cat_key_cmp(rec->uri, rec->uri_len, pos, pos_len);

	return strict ? c > 0 : c >= 0;
}

static bool stream_in_group(const struct idx_cat_stream *s, const MDB_val *key)
{
	return key->mv_size == IDX_CAT_KEY_MAX && memcmp(key->mv_data, s->group_key, IDX_CAT_KEY_RAW_MAX) == 0;
}

/* ---- moving ---- */

/* The page's current member becomes the record. */
static int stream_take(struct idx_cat_stream *s)
{
	const struct idx_cat_member *m = &s->page[s->page_at];

	/* It was right while collecting, and the map stands still: only a disk that gives other bytes now can fail here. */
	if (idx_cat_rec_decode(m->key, IDX_CAT_KEY_MAX, m->val, m->val_len, s->snap->cat->tier, &s->rec) != 0)
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: a record changed while it was read: check the disk",
				    s->snap->cat->env.dir);
	s->end = false;
	return 0;
}

/* Collect from the group that the cursor stands at the first entry of. Afterwards the cursor is behind the group, or at
 * the end (*ret_mrc); *key, *val are what stands there. */
static int stream_collect(struct idx_cat_stream *s, MDB_val *key, MDB_val *val, const char *pos, size_t pos_len, bool strict,
			  int *ret_mrc)
{
	struct om_rec rec;
	int mrc = MDB_SUCCESS;

	s->group_key = key->mv_data;
	s->page_len = s->page_at = 0;
	s->page_more = false;
	while (mrc == MDB_SUCCESS && stream_in_group(s, key)) {
		if (stream_decode(s, key, val, &rec) && stream_beyond(&rec, pos, pos_len, strict)) {
			struct idx_cat_member m = { rec.uri, rec.uri_len, (uint32_t)val->mv_size, key->mv_data, val->mv_data };
			int rc = page_add(s, &m);
			if (rc != 0)
				return rc;
		}
		mrc = mdb_cursor_get(s->cur, key, val, MDB_NEXT);
	}
	*ret_mrc = mrc;
	if (s->page_len == 0)
		s->group_key = NULL;
	else
		qsort(s->page, s->page_len, sizeof(*s->page), member_cmp);
	return 0;
}

/* From the entry that the cursor stands on (mrc, key, val as it was got) to the first record beyond `pos`. */
static int stream_settle(struct idx_cat_stream *s, int mrc, MDB_val *key, MDB_val *val, const char *pos, size_t pos_len,
			 bool strict)
{
	s->end = true;
	s->group_key = NULL;
	while (mrc == MDB_SUCCESS) {
		if (key->mv_size == IDX_CAT_KEY_MAX) {
			int rc = stream_collect(s, key, val, pos, pos_len, strict, &mrc);
			if (rc != 0)
				return rc;
			if (s->group_key)
				return stream_take(s);
			continue;
		}
		if (stream_decode(s, key, val, &s->rec) && stream_beyond(&s->rec, pos, pos_len, strict)) {
			s->end = false;
			return 0;
		}
		mrc = mdb_cursor_get(s->cur, key, val, MDB_NEXT);
	}
	return mrc == MDB_NOTFOUND ? 0 : idx_cat_env_fail(&s->snap->cat->env, mrc, "cannot list its records");
}

int idx_cat_stream_seek(struct idx_cat_stream *s, const char *pos, size_t pos_len, bool strict)
{
	MDB_val key = { OM_MIN(pos_len, (size_t)IDX_CAT_KEY_RAW_MAX), (void *)(uintptr_t)pos }, val;
	int mrc = mdb_cursor_get(s->cur, &key, &val, pos_len == 0 ? MDB_FIRST : MDB_SET_RANGE);

	return stream_settle(s, mrc, &key, &val, pos, pos_len, strict);
}

/* Behind the group: its members beyond the page, if there are any, else the entry after its greatest possible key. */
static int stream_next_page(struct idx_cat_stream *s)
{
	unsigned char last[IDX_CAT_KEY_MAX];
	const struct idx_cat_member *m = &s->page[s->page_len - 1];
	MDB_val key = { sizeof(last), last }, val;
	int mrc;

	if (s->page_more)
		return idx_cat_stream_seek(s, m->uri, m->uri_len, true);
	memcpy(last, s->group_key, IDX_CAT_KEY_RAW_MAX);
	memset(last + IDX_CAT_KEY_RAW_MAX, 0xff, IDX_CAT_HASH_BYTES);
	mrc = mdb_cursor_get(s->cur, &key, &val, MDB_SET_RANGE);
	if (mrc == MDB_SUCCESS && stream_in_group(s, &key))
		mrc = mdb_cursor_get(s->cur, &key, &val, MDB_NEXT);
	return stream_settle(s, mrc, &key, &val, "", 0, false);
}

int idx_cat_stream_next(struct idx_cat_stream *s)
{
	MDB_val key, val;

	OM_ASSERT(!s->end);
	if (s->group_key) {
		return ++s->page_at < s->page_len ? stream_take(s) : stream_next_page(s);
	}
	int mrc = mdb_cursor_get(s->cur, &key, &val, MDB_NEXT);
	return stream_settle(s, mrc, &key, &val, "", 0, false);
}
