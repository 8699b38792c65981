/*
 * idx_cat_owner.c: what each user owns on a tier, kept in the catalog beside the totals and committed with the records, so that
 * the sums are those of exactly the committed records, at once after a start. Runs in the supervisor.
 *
 * One row an owner that has anything. Objects from before owners were kept have no row: theirs is what the totals have beyond
 * the rows. So a catalog of that time opens as it is.
 */
#include "index/cat/idx_cat_int.h"

#define KEY_TEXT "owner"
#define KEY_TEXT_BYTES (sizeof(KEY_TEXT) - 1)
#define KEY_BYTES (KEY_TEXT_BYTES + 4)
#define ROW_BYTES 16u

static void row_key(uint32_t uid, unsigned char ret[static KEY_BYTES])
{
	memcpy(ret, KEY_TEXT, KEY_TEXT_BYTES);
	for (unsigned i = 0; i < 4; i++)
		ret[KEY_TEXT_BYTES + i] = (unsigned char)(uid >> (24 - 8 * i));
}

static bool is_row(const MDB_val *key) { return key->mv_size == KEY_BYTES && memcmp(key->mv_data, KEY_TEXT, KEY_TEXT_BYTES) == 0; }

static uint32_t row_uid(const MDB_val *key)
{
	const unsigned char *p = (const unsigned char *)key->mv_data + KEY_TEXT_BYTES;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- noting ---- */

static struct idx_cat_owner_by *find(struct idx_cat_owners *o, uint32_t uid)
{
	if (o->last < o->n && o->v[o->last].uid == uid)
		return &o->v[o->last]; /* most batches are one user's */
	for (size_t i = 0; i < o->n; i++)
		if (o->v[i].uid == uid) {
			o->last = i;
			return &o->v[i];
		}
	if (o->n == o->cap) {
		size_t cap = o->cap ? 2 * o->cap : 16;
		struct idx_cat_owner_by *v = realloc(o->v, cap * sizeof(*v));
		if (!v)
			return NULL;
		o->v = v;
		o->cap = cap;
	}
	o->last = o->n;
	o->v[o->n] = (struct idx_cat_owner_by){ .uid = uid };
	return &o->v[o->n++];
}

bool idx_cat_owner_note(struct idx_cat_owners *o, uint32_t uid, uint64_t size, bool come)
{
	struct idx_cat_owner_by *by;

	if (uid == OM_UID_OLD)
		return true;
	by = find(o, uid);
	if (!by)
		return false;
	by->objects += come ? 1 : UINT64_MAX;
	by->bytes += come ? size : -size;
	return true;
}

/* ---- rows ---- */

/* Rows that damage made wrong do not wrap around (idx_cat_txn_recount puts them right). */
static uint64_t moved(uint64_t was, uint64_t by)
{
	uint64_t down = -by;

	return by <= INT64_MAX ? was + by : was - OM_MIN(was, down);
}

static int row_put(MDB_txn *txn, MDB_dbi meta, uint32_t uid, uint64_t objects, uint64_t bytes)
{
	unsigned char key[KEY_BYTES], row[ROW_BYTES];
	MDB_val k = { sizeof(key), key };

	row_key(uid, key);
	if (!objects && !bytes) {
		int rc = mdb_del(txn, meta, &k, NULL);
		return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
	}
	idx_put64(row, objects);
	idx_put64(row + 8, bytes);
	return idx_cat_seal_put(txn, meta, key, sizeof(key), row, sizeof(row));
}

int idx_cat_owners_write(MDB_txn *txn, MDB_dbi meta, const struct idx_cat_owners *o)
{
	int rc = MDB_SUCCESS;

	for (size_t i = 0; i < o->n && rc == MDB_SUCCESS; i++) {
		const struct idx_cat_owner_by *by = &o->v[i];
		unsigned char key[KEY_BYTES];
		const unsigned char *p = NULL;

		if (!by->objects && !by->bytes)
			continue;
		row_key(by->uid, key);
		rc = idx_cat_seal_get(txn, meta, key, sizeof(key), ROW_BYTES, &p);
		if (rc == MDB_SUCCESS)
			rc = row_put(txn, meta, by->uid, moved(idx_le64(p), by->objects), moved(idx_le64(p + 8), by->bytes));
		else if (rc == MDB_NOTFOUND)
			rc = row_put(txn, meta, by->uid, moved(0, by->objects), moved(0, by->bytes));
	}
	return rc;
}

int idx_cat_owners_replace(MDB_txn *txn, MDB_dbi meta, const struct idx_cat_owners *o)
{
	MDB_cursor *cur = NULL;
	MDB_val key, val;
	int rc = mdb_cursor_open(txn, meta, &cur);

	while (rc == MDB_SUCCESS) {
		key = (MDB_val){ KEY_TEXT_BYTES, (void *)(uintptr_t)KEY_TEXT };
		rc = mdb_cursor_get(cur, &key, &val, MDB_SET_RANGE);
		if (rc != MDB_SUCCESS || !is_row(&key))
			break;
		rc = mdb_cursor_del(cur, 0);
	}
	mdb_cursor_close(cur); /* NULL is fine */
	return rc == MDB_SUCCESS || rc == MDB_NOTFOUND ? idx_cat_owners_write(txn, meta, o) : rc;
}

int idx_cat_owners_list(struct idx_cat_env *env, MDB_txn *txn, MDB_dbi meta, const struct idx_cat_totals *totals,
			idx_cat_owner_cb *cb, void *ctx)
{
	struct idx_cat_owner rest = { OM_UID_OLD, totals->objects - OM_MIN(totals->copies, totals->objects),
				      totals->bytes - OM_MIN(totals->copy_bytes, totals->bytes) };
	MDB_val key = { KEY_TEXT_BYTES, (void *)(uintptr_t)KEY_TEXT }, val;
	MDB_cursor *cur;
	int rc = 0, mrc = mdb_cursor_open(txn, meta, &cur);

	if (mrc != MDB_SUCCESS)
		return idx_cat_env_fail(env, mrc, "cannot read what its owners have");
	mrc = mdb_cursor_get(cur, &key, &val, MDB_SET_RANGE);
	for (; mrc == MDB_SUCCESS && is_row(&key) && rc == 0; mrc = mdb_cursor_get(cur, &key, &val, MDB_NEXT)) {
		const unsigned char *p;
		if (!idx_cat_seal_open(&key, &val, ROW_BYTES, &p)) {
			mrc = MDB_CORRUPTED;
			break;
		}
		struct idx_cat_owner o = { row_uid(&key), idx_le64(p), idx_le64(p + 8) };
		rest.objects -= OM_MIN(rest.objects, o.objects);
		rest.bytes -= OM_MIN(rest.bytes, o.bytes);
		rc = cb(ctx, &o);
	}
	mdb_cursor_close(cur);
	if (rc != 0)
		return rc;
	if (mrc != MDB_SUCCESS && mrc != MDB_NOTFOUND)
		return idx_cat_env_fail(env, mrc, "cannot read what its owners have");
	return rest.objects || rest.bytes ? cb(ctx, &rest) : 0;
}
