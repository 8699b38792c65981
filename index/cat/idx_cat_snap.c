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
	snap->active = true;
	*ret_snap = snap;
	return 0;
}

void idx_cat_snap_reset(struct idx_cat_snap *snap)
{
	if (!snap->active)
		return;
	snap->active = false;
	idx_cat_env_read_park(&snap->cat->env, snap->mdb);
}

int idx_cat_snap_renew(struct idx_cat_snap *snap)
{
	int rc;

	OM_ASSERT(!snap->active);
	rc = idx_cat_env_read_renew(&snap->cat->env, snap->mdb);
	snap->active = rc == 0;
	return rc;
}

void idx_cat_snap_close(struct idx_cat_snap *snap)
{
	if (!snap)
		return;
	idx_cat_env_read_end(&snap->cat->env, snap->mdb, snap->active);
	free(snap);
}

struct idx_cat *idx_cat_snap_cat(const struct idx_cat_snap *snap)
{
	return snap->cat;
}

int idx_cat_snap_peek(struct idx_cat_snap *snap, const char *uri, size_t uri_len, struct om_rec *ret_rec)
{
	struct idx_cat *cat = snap->cat;
	struct idx_cat_key key;
	MDB_val val;
	int rc = om_uri_check(uri, uri_len), mrc;

	OM_ASSERT(snap->active);
	if (rc != 0)
		return idx_cat_fail(rc, "%s: not a URI", cat->env.dir);
	mrc = idx_cat_lookup(cat, snap->mdb, uri, uri_len, &key, &val);
	if (mrc == MDB_NOTFOUND)
		return -OBJM_STATUS_NOT_FOUND; /* the common case: no text is made for it */
	if (mrc != MDB_SUCCESS)
		return idx_cat_env_fail(&cat->env, mrc, "cannot read a record");
	return idx_cat_found(cat, &key, &val, uri, uri_len, ret_rec);
}

int idx_cat_snap_get(struct idx_cat_snap *snap, const char *uri, size_t uri_len, struct om_rec **ret_rec)
{
	struct om_rec rec;
	int rc = idx_cat_snap_peek(snap, uri, uri_len, &rec);

	return rc == 0 ? idx_cat_rec_copy(&rec, ret_rec) : rc;
}

int idx_cat_snap_totals(struct idx_cat_snap *snap, struct idx_cat_totals *ret_totals)
{
	OM_ASSERT(snap->active);
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

	OM_ASSERT(snap->active);
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

int idx_cat_removed_has(struct idx_cat_snap *snap, uint64_t id)
{
	unsigned char kb[8];
	MDB_val k = { sizeof(kb), kb }, v;
	int mrc;

	OM_ASSERT(snap->active);
	idx_put64be(kb, id);
	mrc = mdb_get(snap->mdb, snap->cat->removed, &k, &v);
	if (mrc == MDB_NOTFOUND)
		return 0;
	return mrc == MDB_SUCCESS ? 1 : idx_cat_env_fail(&snap->cat->env, mrc, "cannot read its pending removals");
}
