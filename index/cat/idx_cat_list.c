/*
 * idx_cat_list.c: listings: the streams of several tiers merged into one, cut to a prefix, folded at a delimiter. Runs in
 * the supervisor, on catalog reader threads.
 *
 * Everything is steered by one position: a byte string such that all names not greater than it are done. After a common
 * prefix it is the prefix and a byte 0xff, which no URI contains: greater than all that the prefix stands for.
 */
#include "index/cat/idx_cat_list.h"

#include "index/cat/idx_cat_stream.h"

struct list {
	struct idx_cat_stream s[OM_TIERS_MAX];
	unsigned n;
	const struct idx_cat_list_req *req;
	struct idx_cat_list_res *res;
};

static void list_pos_set(struct idx_cat_list_res *res, const char *name, size_t len, bool fold)
{
	memcpy(res->pos, name, len);
	if (fold)
		res->pos[len++] = (char)0xff;
	res->pos_len = (uint16_t)len;
}

/* Bytes of the common prefix that `name` folds into, with the delimiter; 0: it stands for itself. */
static size_t list_fold(const struct idx_cat_list_req *req, const char *name, size_t len)
{
	const char *at;

	if (req->delim_len == 0 || len < req->prefix_len || memcmp(name, req->prefix, req->prefix_len) != 0)
		return 0;
	at = memmem(name + req->prefix_len, len - req->prefix_len, req->delim, req->delim_len);
	return at ? (size_t)(at - name) + req->delim_len : 0;
}

/* Where to begin: the prefix, unless `after` or `pos` are further on. *ret_strict: only what is greater. */
static void list_start(const struct idx_cat_list_req *req, struct idx_cat_list_res *res, bool *ret_strict)
{
	size_t fold = list_fold(req, req->after, req->after_len);

	*ret_strict = false;
	list_pos_set(res, req->prefix, req->prefix_len, false);
	if (req->after_len > 0 && idx_cat_key_cmp(req->after, req->after_len, res->pos, res->pos_len) >= 0) {
		/* A name below a common prefix: the prefix itself is less than it, so nothing below is listed any more. */
		list_pos_set(res, req->after, fold ? fold : req->after_len, fold != 0);
		*ret_strict = true;
	}
	if (req->pos_len > 0 && idx_cat_key_cmp(req->pos, req->pos_len, res->pos, res->pos_len) >= 0) {
		list_pos_set(res, req->pos, req->pos_len, false);
		*ret_strict = true;
	}
}

/* The stream whose record is next and counts; NULL at the end. */
static struct idx_cat_stream *list_winner(struct list *l)
{
	struct idx_cat_stream *best = NULL;

	for (unsigned i = 0; i < l->n; i++) {
		struct idx_cat_stream *s = &l->s[i];
		if (s->end)
			continue;
		int c = best ? idx_cat_key_cmp(s->rec.uri, s->rec.uri_len, best->rec.uri, best->rec.uri_len) : -1;
		if (c < 0 || (c == 0 && idx_cat_rec_wins(&s->rec, &best->rec)))
			best = s;
	}
	return best;
}

/* Every stream behind res->pos. Those at it take one step; those before it (after a fold) search. */
static int list_advance(struct list *l, bool folded)
{
	const struct idx_cat_list_res *res = l->res;

	for (unsigned i = 0; i < l->n; i++) {
		struct idx_cat_stream *s = &l->s[i];
		if (s->end || idx_cat_key_cmp(s->rec.uri, s->rec.uri_len, res->pos, res->pos_len) > 0)
			continue;
		int rc = folded ? idx_cat_stream_seek(s, res->pos, res->pos_len, true) : idx_cat_stream_next(s);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static bool list_visible(const struct idx_cat_list_req *req, const struct om_rec *rec)
{
	if (req->now_s != 0 && rec->expiry_s != 0 && rec->expiry_s <= req->now_s)
		return false;
	return !req->visible || req->visible(req->visible_ctx, rec);
}

static uint64_t list_steps(const struct list *l)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < l->n; i++)
		n += l->s[i].steps;
	return n;
}

static int list_run(struct list *l, idx_cat_list_cb *cb, void *ctx)
{
	const struct idx_cat_list_req *req = l->req;
	struct idx_cat_list_res *res = l->res;
	struct idx_cat_stream *w;

	while ((w = list_winner(l)) != NULL) {
		const struct om_rec rec = w->rec; /* the streams move on before the next turn; the map does not */
		bool folded = false;
		int rc;

		if (rec.uri_len < req->prefix_len || memcmp(rec.uri, req->prefix, req->prefix_len) != 0)
			return 0; /* past the prefix */
		if (list_visible(req, &rec)) {
			size_t fold = list_fold(req, rec.uri, rec.uri_len);
			struct idx_cat_list_item item = { fold != 0, rec.uri, fold ? fold : rec.uri_len, fold ? NULL : &rec };
			if (res->names == req->limit) {
				res->more = true;
				return 0;
			}
			rc = cb(ctx, &item);
			if (rc != 0)
				return rc;
			res->names++;
			folded = fold != 0;
			list_pos_set(res, item.name, item.name_len, folded);
		} else {
			list_pos_set(res, rec.uri, rec.uri_len, false);
		}
		if (req->max_scan != 0 && list_steps(l) >= req->max_scan) {
			res->more = true;
			return 0;
		}
		rc = list_advance(l, folded);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int list_check(unsigned n, const struct idx_cat_list_req *req)
{
	if (n > OM_TIERS_MAX || req->limit == 0)
		return idx_cat_fail(-OBJM_STATUS_INVALID_REQUEST, "a listing of 0 names");
	if (req->prefix_len > OM_URI_MAX || req->after_len > OM_URI_MAX || req->pos_len > IDX_CAT_LIST_POS_MAX ||
	    req->delim_len > IDX_CAT_LIST_DELIM_MAX)
		return idx_cat_fail(-OBJM_STATUS_INVALID_REQUEST, "a prefix, position or delimiter of a listing is too long");
	return 0;
}

int idx_cat_list(struct idx_cat_snap *const *snaps, unsigned n, const struct idx_cat_list_req *req, idx_cat_list_cb *cb,
		 void *ctx, struct idx_cat_list_res *ret_res)
{
	struct idx_cat_list_req own = *req;
	struct list l = { .n = 0, .req = &own, .res = ret_res };
	char pos[IDX_CAT_LIST_POS_MAX];
	bool strict;
	int rc = list_check(n, req);

	if (rc != 0)
		return rc;
	own.prefix = req->prefix_len > 0 ? req->prefix : ""; /* NULL is as good as empty */
	own.after = req->after_len > 0 ? req->after : "";
	own.delim = req->delim_len > 0 ? req->delim : "";
	if (req->pos_len > 0) /* it may well be ret_res->pos */
		own.pos = memcpy(pos, req->pos, req->pos_len);
	ret_res->names = 0;
	ret_res->damaged = 0;
	ret_res->more = false;
	list_start(&own, ret_res, &strict);
	for (; rc == 0 && l.n < n; l.n++) {
		struct idx_cat_stream *s = &l.s[l.n];
		rc = idx_cat_stream_open(s, snaps[l.n]);
		if (rc == 0)
			rc = idx_cat_stream_seek(s, ret_res->pos, ret_res->pos_len, strict);
	}
	if (rc == 0)
		rc = list_run(&l, cb, ctx);
	for (unsigned i = 0; i < l.n; i++) {
		ret_res->damaged += l.s[i].damaged;
		idx_cat_stream_close(&l.s[i]);
	}
	return rc;
}
