/*
 * idx_cat_scan.c: all records of a snapshot, one after the other, without copying: what the shared index is built from.
 * Runs in the supervisor. Having read everything once also proves the environment (idx_cat_env_proven).
 */
#include <inttypes.h>

#include "index/cat/idx_cat_int.h"

struct idx_cat_scan {
	struct idx_cat_snap *snap;
	MDB_cursor *cur;
	MDB_val prev; /* key before; in the map, which stands still while the snapshot is open */
	uint64_t entries, expected;
	struct idx_cat_scan_res res;
};

/* A tree whose keys do not ascend, or that has more entries than it says, goes in circles or has lost a branch. */
static int scan_tree_check(struct idx_cat_scan *scan, const MDB_val *key)
{
	bool ordered = !scan->prev.mv_data ||
		       idx_cat_key_cmp(scan->prev.mv_data, scan->prev.mv_size, key->mv_data, key->mv_size) < 0;

	scan->prev = *key;
	if (++scan->entries <= scan->expected && ordered)
		return 0;
	return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: its tree is damaged at entry %" PRIu64 " of %" PRIu64,
			    scan->snap->cat->env.dir, scan->entries, scan->expected);
}

static int scan_end(struct idx_cat_scan *scan, int mrc)
{
	struct idx_cat_env *env = &scan->snap->cat->env;

	if (mrc != MDB_NOTFOUND)
		return idx_cat_env_fail(env, mrc, "cannot scan its records");
	if (scan->entries != scan->expected)
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: its tree ends after %" PRIu64 " of %" PRIu64 " entries", env->dir,
				    scan->entries, scan->expected);
	idx_cat_env_proven(env);
	return 0;
}

static int scan_all(struct idx_cat_scan *scan, idx_cat_rec_cb *cb, void *ctx)
{
	struct idx_cat *cat = scan->snap->cat;
	struct om_rec rec;
	MDB_val key, val;
	int rc = 0;

	while (rc == 0) {
		int mrc = mdb_cursor_get(scan->cur, &key, &val, MDB_NEXT);
		if (mrc != MDB_SUCCESS)
			return scan_end(scan, mrc);
		rc = scan_tree_check(scan, &key);
		if (rc != 0)
			return rc;
		if (idx_cat_rec_decode(key.mv_data, key.mv_size, val.mv_data, val.mv_size, cat->tier, &rec) != 0 ||
		    !idx_cat_key_matches(cat, &key, &rec)) {
			scan->res.damaged++;
			continue;
		}
		idx_cat_totals_add(&scan->res.totals, rec.size, rec.home != rec.tier);
		scan->res.max_id = OM_MAX(scan->res.max_id, rec.id);
		rc = cb ? cb(ctx, &rec) : 0;
	}
	return rc;
}

int idx_cat_scan(struct idx_cat_snap *snap, idx_cat_rec_cb *cb, void *ctx, struct idx_cat_scan_res *ret_res)
{
	struct idx_cat_scan scan = { .snap = snap };
	MDB_stat st;
	int rc, mrc = mdb_stat(snap->mdb, snap->cat->objects, &st);

	if (mrc == MDB_SUCCESS)
		mrc = mdb_cursor_open(snap->mdb, snap->cat->objects, &scan.cur);
	if (mrc != MDB_SUCCESS)
		return idx_cat_env_fail(&snap->cat->env, mrc, "cannot scan its records");
	scan.expected = st.ms_entries;
	rc = scan_all(&scan, cb, ctx);
	if (rc == 0 && ret_res)
		*ret_res = scan.res;
	mdb_cursor_close(scan.cur);
	return rc;
}
