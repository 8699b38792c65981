/*
 * idx_cat_txn.c: the write side of a catalog: one transaction, up to some hundred changes, one commit. Runs in the
 * supervisor: the tier's committer thread, and a rebuild's (each waits for the other's transaction to end).
 *
 * The running totals are read at the begin, kept in the handle and written with the commit, so they are always those of
 * exactly the committed records. What the transaction changes of its owners' rows is noted and goes into them with the commit.
 */
#include <inttypes.h>

#include "common/om_text.h"
#include "index/cat/idx_cat_int.h"

int idx_cat_txn_begin(struct idx_cat *cat, struct idx_cat_txn **ret_txn)
{
	struct idx_cat_txn *txn = &cat->txn;
	MDB_txn *mdb;
	int rc = idx_cat_env_write_begin(&cat->env, &mdb);

	if (rc != 0)
		return rc;
	/* From here on the one handle is ours. */
	*txn = (struct idx_cat_txn){ .cat = cat, .mdb = mdb };
	cat->owners.n = 0;
	rc = idx_cat_totals_read(&cat->env, mdb, cat->meta, &txn->totals);
	if (rc != 0) {
		idx_cat_env_write_abort(&cat->env, mdb);
		return rc;
	}
	*ret_txn = txn;
	return 0;
}

/* LMDB refused: nothing more can be done in this transaction. */
static int txn_broken(struct idx_cat_txn *txn, int mdb_rc, const char *what)
{
	int status = idx_cat_env_fail(&txn->cat->env, mdb_rc, what);

	if (txn->failed == 0)
		txn->failed = status;
	return status;
}

void idx_cat_txn_abort(struct idx_cat_txn *txn)
{
	if (txn)
		idx_cat_env_write_abort(&txn->cat->env, txn->mdb);
}

int idx_cat_txn_commit(struct idx_cat_txn *txn)
{
	struct idx_cat *cat = txn->cat;

	if (txn->failed == 0 && txn->totals_changed) {
		int mrc = idx_cat_totals_write(txn->mdb, cat->meta, &txn->totals);
		if (mrc != MDB_SUCCESS)
			(void)txn_broken(txn, mrc, "cannot write its totals");
	}
	if (txn->failed == 0 && cat->owners.n) {
		int mrc = idx_cat_owners_write(txn->mdb, cat->meta, &cat->owners);
		if (mrc != MDB_SUCCESS)
			(void)txn_broken(txn, mrc, "cannot write what its owners have");
	}
	if (txn->failed != 0) {
		int failed = txn->failed;
		idx_cat_txn_abort(txn);
		return failed;
	}
	/* The handle is the next one's as soon as the commit lets go of the lock: copy what is needed after it. */
	bool complete_set = txn->complete_set, complete = txn->complete;
	int rc = idx_cat_env_write_commit(&cat->env, txn->mdb);
	if (rc == 0 && complete_set)
		atomic_store(&cat->complete, complete);
	return rc;
}

/* What stands in the entry that was found for `uri`. COLLISION: a record of another URI. */
static int txn_old(struct idx_cat_txn *txn, const struct idx_cat_key *key, const MDB_val *val, const char *uri,
		   size_t uri_len, struct idx_cat_old *old)
{
	struct idx_cat *cat = txn->cat;
	struct om_rec rec;

	*old = (struct idx_cat_old){ .existed = true };
	if (idx_cat_rec_decode(key->b, key->len, val->mv_data, val->mv_size, cat->tier, &rec) != 0) {
		old->damaged = true;
		return 0;
	}
	if (rec.uri_len != uri_len || memcmp(rec.uri, uri, uri_len) != 0) {
		OM_AUTO_FREE char *there = om_text_quote(rec.uri, OM_MIN(rec.uri_len, (uint16_t)120));
		return idx_cat_fail(-OBJM_STATUS_COLLISION, "%s: two URIs have one key: '%s...' (%u bytes, id %" PRIu64
				    ") and another of %zu bytes with the same first %u", cat->env.dir, there ? there : "?",
				    rec.uri_len, rec.id, uri_len, IDX_CAT_KEY_RAW_MAX);
	}
	old->id = rec.id;
	old->rev = rec.rev;
	old->size = rec.size;
	old->home = rec.home;
	old->uid = rec.uid;
	return 0;
}

/* Look for what a change replaces. 0: *old says; the key is made. */
static int txn_find(struct idx_cat_txn *txn, const char *uri, size_t uri_len, struct idx_cat_key *key,
		    struct idx_cat_old *old)
{
	MDB_val val;
	int mrc;

	if (txn->failed != 0)
		return txn->failed;
	*old = (struct idx_cat_old){ 0 };
	mrc = idx_cat_lookup(txn->cat, txn->mdb, uri, uri_len, key, &val);
	if (mrc == MDB_NOTFOUND)
		return 0;
	if (mrc != MDB_SUCCESS)
		return txn_broken(txn, mrc, "cannot read a record");
	return txn_old(txn, key, &val, uri, uri_len, old);
}

/* A home record that came or goes is its owner's. */
static int txn_owner(struct idx_cat_txn *txn, uint32_t uid, uint64_t size, bool come)
{
	if (idx_cat_owner_note(&txn->cat->owners, uid, size, come))
		return 0;
	txn->failed = idx_cat_fail(-OBJM_STATUS_OUT_OF_MEMORY, "%s: no memory for what its owners have", txn->cat->env.dir);
	return txn->failed;
}

static int txn_forget_old(struct idx_cat_txn *txn, const struct idx_cat_old *old)
{
	if (old->existed) {
		/* A damaged record's size is not known: the totals are off by it until they are counted again. */
		idx_cat_totals_sub(&txn->totals, old->size, !old->damaged && old->home != txn->cat->tier);
		txn->totals_changed = true;
	}
	if (!old->existed || old->damaged || old->home != txn->cat->tier)
		return 0;
	return txn_owner(txn, old->uid, old->size, false);
}

/*
 * The one place through which every record of a catalog goes: a put, a change, a move, a rebuild. So an ephemeral object cannot
 * get onto a persistent tier, and a cached copy only onto a memory tier, whoever asks for it and whatever he checked before.
 */
static bool txn_fits(const struct idx_cat *cat, const struct om_rec *rec)
{
	bool is_volatile = cat->env.flags & IDX_CAT_VOLATILE;

	if (rec->tier != cat->tier)
		return false;
	return is_volatile || (!(rec->flags & OM_OBJ_EPHEMERAL) && rec->home == rec->tier);
}

int idx_cat_txn_put(struct idx_cat_txn *txn, const struct om_rec *rec, unsigned flags, struct idx_cat_old *ret_old)
{
	unsigned char buf[IDX_CAT_REC_MAX];
	struct idx_cat_old old;
	struct idx_cat_key key;
	MDB_val k, v;
	int rc = idx_cat_rec_check(rec), mrc;

	if (rc == 0 && !txn_fits(txn->cat, rec))
		rc = -OBJM_STATUS_INVALID_REQUEST;
	if (rc != 0)
		return idx_cat_fail(rc, "%s: a record (id %" PRIu64 ") that cannot be stored was refused", txn->cat->env.dir, rec->id);
	rc = txn_find(txn, rec->uri, rec->uri_len, &key, &old);
	if (rc != 0)
		return rc;
	if ((flags & IDX_CAT_PUT_NEWER) && old.existed && !old.damaged &&
	    (old.id > rec->id || (old.id == rec->id && old.rev >= rec->rev)))
		return idx_cat_fail(-OBJM_STATUS_PRECONDITION_FAILED, "%s: there is a record as new as this one", txn->cat->env.dir);
	v.mv_size = idx_cat_rec_size(rec);
	v.mv_data = buf;
	idx_cat_rec_encode(rec, key.b, key.len, buf);
	k.mv_size = key.len;
	k.mv_data = key.b;
	mrc = mdb_put(txn->mdb, txn->cat->objects, &k, &v, 0);
	if (mrc != MDB_SUCCESS)
		return txn_broken(txn, mrc, "cannot store a record");
	rc = txn_forget_old(txn, &old);
	if (rc == 0 && rec->home == rec->tier)
		rc = txn_owner(txn, rec->uid, rec->size, true);
	if (rc != 0)
		return rc;
	idx_cat_totals_add(&txn->totals, rec->size, rec->home != rec->tier);
	txn->totals_changed = true;
	if (ret_old)
		*ret_old = old;
	return 0;
}

int idx_cat_txn_del(struct idx_cat_txn *txn, const char *uri, size_t uri_len, uint64_t id, struct idx_cat_old *ret_old)
{
	struct idx_cat_old old;
	struct idx_cat_key key;
	MDB_val k;
	int rc = om_uri_check(uri, uri_len), mrc;

	if (rc != 0)
		return idx_cat_fail(rc, "%s: not a URI", txn->cat->env.dir);
	rc = txn_find(txn, uri, uri_len, &key, &old);
	if (rc == -OBJM_STATUS_COLLISION) /* the other URI's record stands there: this one has none */
		return idx_cat_fail(-OBJM_STATUS_NOT_FOUND, "%s: no such record", txn->cat->env.dir);
	if (rc != 0)
		return rc;
	if (!old.existed)
		return idx_cat_fail(-OBJM_STATUS_NOT_FOUND, "%s: no such record", txn->cat->env.dir);
	/* A damaged record can not prove that it is the wrong one; whoever deletes by id gets rid of it too. */
	if (id != 0 && !old.damaged && old.id != id)
		return idx_cat_fail(-OBJM_STATUS_PRECONDITION_FAILED, "%s: the record has id %" PRIu64 ", not %" PRIu64,
				    txn->cat->env.dir, old.id, id);
	k.mv_size = key.len;
	k.mv_data = key.b;
	mrc = mdb_del(txn->mdb, txn->cat->objects, &k, NULL);
	if (mrc != MDB_SUCCESS)
		return txn_broken(txn, mrc, "cannot delete a record");
	rc = txn_forget_old(txn, &old);
	if (rc != 0)
		return rc;
	if (ret_old)
		*ret_old = old;
	return 0;
}

int idx_cat_txn_get(struct idx_cat_txn *txn, const char *uri, size_t uri_len, struct om_rec *ret_rec)
{
	struct idx_cat_key key;
	MDB_val val;
	int rc = om_uri_check(uri, uri_len), mrc;

	if (rc != 0)
		return idx_cat_fail(rc, "%s: not a URI", txn->cat->env.dir);
	if (txn->failed != 0)
		return txn->failed;
	mrc = idx_cat_lookup(txn->cat, txn->mdb, uri, uri_len, &key, &val);
	if (mrc == MDB_NOTFOUND)
		return idx_cat_fail(-OBJM_STATUS_NOT_FOUND, "%s: no such record", txn->cat->env.dir);
	if (mrc != MDB_SUCCESS)
		return txn_broken(txn, mrc, "cannot read a record");
	return idx_cat_found(txn->cat, &key, &val, uri, uri_len, ret_rec);
}

void idx_cat_txn_totals(const struct idx_cat_txn *txn, struct idx_cat_totals *ret_totals)
{
	*ret_totals = txn->totals;
}

int idx_cat_txn_owners(struct idx_cat_txn *txn, idx_cat_owner_cb *cb, void *ctx)
{
	struct idx_cat *cat = txn->cat;

	OM_ASSERT(cat->owners.n == 0);
	return txn->failed != 0 ? txn->failed : idx_cat_owners_list(&cat->env, txn->mdb, cat->meta, &txn->totals, cb, ctx);
}

int idx_cat_txn_recount(struct idx_cat_txn *txn)
{
	struct idx_cat_totals t = { 0 };
	struct idx_cat *cat = txn->cat;
	MDB_cursor *cur;
	MDB_val key, val;
	struct om_rec rec;
	int mrc;

	if (txn->failed != 0)
		return txn->failed;
	mrc = mdb_cursor_open(txn->mdb, cat->objects, &cur);
	if (mrc != MDB_SUCCESS)
		return txn_broken(txn, mrc, "cannot count its records");
	cat->owners.n = 0; /* noted so far, and in the records by now */
	while ((mrc = mdb_cursor_get(cur, &key, &val, MDB_NEXT)) == MDB_SUCCESS && txn->failed == 0) {
		if (idx_cat_rec_decode(key.mv_data, key.mv_size, val.mv_data, val.mv_size, cat->tier, &rec) != 0) {
			t.objects++; /* damaged: there, of unknown size; txn_forget_old counts it the same way */
			continue;
		}
		idx_cat_totals_add(&t, rec.size, rec.home != rec.tier);
		if (rec.home == rec.tier)
			(void)txn_owner(txn, rec.uid, rec.size, true); /* sticky */
	}
	mdb_cursor_close(cur);
	if (txn->failed != 0)
		return txn->failed;
	if (mrc != MDB_NOTFOUND)
		return txn_broken(txn, mrc, "cannot count its records");
	mrc = idx_cat_owners_replace(txn->mdb, cat->meta, &cat->owners);
	cat->owners.n = 0; /* the commit has nothing to add */
	if (mrc != MDB_SUCCESS)
		return txn_broken(txn, mrc, "cannot write what its owners have");
	if (t.objects == txn->totals.objects && t.bytes == txn->totals.bytes && t.copies == txn->totals.copies &&
	    t.copy_bytes == txn->totals.copy_bytes)
		return 0;
	txn->totals = t;
	txn->totals_changed = true;
	return 1;
}

int idx_cat_txn_complete(struct idx_cat_txn *txn, bool complete)
{
	int mrc;

	if (txn->failed != 0)
		return txn->failed;
	mrc = idx_cat_flags_write(txn->mdb, txn->cat->meta, false, complete);
	if (mrc != MDB_SUCCESS)
		return txn_broken(txn, mrc, "cannot write its flags");
	txn->complete_set = true;
	txn->complete = complete;
	return 0;
}

int idx_cat_txn_removed_add(struct idx_cat_txn *txn, uint64_t id)
{
	unsigned char kb[8];
	MDB_val k = { sizeof(kb), kb }, v = { 0, kb };
	int mrc;

	if (txn->failed != 0)
		return txn->failed;
	idx_put64be(kb, id);
	mrc = mdb_put(txn->mdb, txn->cat->removed, &k, &v, 0);
	return mrc == MDB_SUCCESS ? 0 : txn_broken(txn, mrc, "cannot note a removal");
}

int idx_cat_txn_removed_del(struct idx_cat_txn *txn, uint64_t id)
{
	unsigned char kb[8];
	MDB_val k = { sizeof(kb), kb };
	int mrc;

	if (txn->failed != 0)
		return txn->failed;
	idx_put64be(kb, id);
	mrc = mdb_del(txn->mdb, txn->cat->removed, &k, NULL);
	return mrc == MDB_SUCCESS || mrc == MDB_NOTFOUND ? 0 : txn_broken(txn, mrc, "cannot clear a removal");
}
