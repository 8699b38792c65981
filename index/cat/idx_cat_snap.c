/*
 * idx_cat_snap.c: snapshots of a catalog: point look-ups and totals. Runs in the supervisor, on catalog reader threads and
 * wherever a listing or a build of the index is made; each snapshot belongs to one thread at a time.
 */
#include "index/cat/idx_cat_int.h"

int idx_cat_snap_open(struct idx_cat *cat, struct idx_cat_snap **ret_snap)
{
	struct idx_cat_snap *snap = calloc(1, sizeof(*snap));
	int rc;

	if (!snap)
		return idx_cat_fail(-OBJM_STATUS_OUT_OF_MEMORY, "%s: no memory for a snapshot", cat->env.dir);
	rc = idx_cat_env_read_begin(&cat->env, &snap->mdb);
	if (rc != 0) {
		free(snap);
		return rc;
	}
	snap->cat = cat;
	*ret_snap = snap;
	return 0;
}

void idx_cat_snap_close(struct idx_cat_snap *snap)
{
	if (!snap)
		return;
	idx_cat_env_read_end(&snap->cat->env, snap->mdb);
	free(snap);
}

int idx_cat_snap_peek(struct idx_cat_snap *snap, const char *uri, size_t uri_len, struct om_rec *ret_rec)
{
	struct idx_cat *cat = snap->cat;
	struct idx_cat_key key;
	MDB_val val;
	int rc = om_uri_check(uri, uri_len), mrc;

	if (rc != 0)
		return idx_cat_fail(rc, "%s: not a URI", cat->env.dir);
	mrc = idx_cat_lookup(cat, snap->mdb, uri, uri_len, &key, &val);
	if (mrc == MDB_NOTFOUND)
		return -OBJM_STATUS_NOT_FOUND; /* the common case: no text is made for it */
	if (mrc != MDB_SUCCESS)
		return idx_cat_env_fail(&cat->env, mrc, "cannot read a record");
	return idx_cat_found(cat, &key, &val, uri, uri_len, ret_rec);
}

int idx_cat_snap_totals(struct idx_cat_snap *snap, struct idx_cat_totals *ret_totals)
{
	return idx_cat_totals_read(&snap->cat->env, snap->mdb, snap->cat->meta, ret_totals);
}

int idx_cat_snap_owners(struct idx_cat_snap *snap, idx_cat_owner_cb *cb, void *ctx)
{
	struct idx_cat_totals totals;
	int rc = idx_cat_snap_totals(snap, &totals);

	return rc == 0 ? idx_cat_owners_list(&snap->cat->env, snap->mdb, snap->cat->meta, &totals, cb, ctx) : rc;
}

int idx_cat_removed_iter(struct idx_cat_snap *snap, idx_cat_id_cb *cb, void *ctx)
{
	struct idx_cat *cat = snap->cat;
	MDB_cursor *cur;
	MDB_val key, val;
	int mrc, rc = 0;

	mrc = mdb_cursor_open(snap->mdb, cat->removed, &cur);
	if (mrc != MDB_SUCCESS)
		return idx_cat_env_fail(&cat->env, mrc, "cannot read its pending removals");
	while (rc == 0 && (mrc = mdb_cursor_get(cur, &key, &val, MDB_NEXT)) == MDB_SUCCESS)
		/* A damaged entry only means a file that the next scrub finds: pass over it. */
		if (key.mv_size == 8)
			rc = cb(ctx, idx_be64(key.mv_data));
	mdb_cursor_close(cur);
	if (rc == 0 && mrc != MDB_NOTFOUND)
		rc = idx_cat_env_fail(&cat->env, mrc, "cannot read its pending removals");
	return rc;
}
