/*
 * idx_state_txn.c: transactions of the state environment, and what its tables share. Runs in the supervisor; any thread.
 */
#include "index/cat/idx_state_int.h"

int idx_state_broken(struct idx_state_txn *txn, int mdb_rc, const char *what)
{
	int status = idx_cat_env_fail(&txn->state->env, mdb_rc, what);

	if (txn->failed == 0)
		txn->failed = status;
	return status;
}

/* ---- transactions ---- */

int idx_state_txn_begin(struct idx_state *state, bool readonly, struct idx_state_txn **ret_txn)
{
	struct idx_state_txn *txn = calloc(1, sizeof(*txn));
	int rc;

	if (!txn)
		return idx_cat_fail(-OBJM_STATUS_OUT_OF_MEMORY, "%s: no memory for a transaction", state->env.dir);
	rc = readonly ? idx_cat_env_read_begin(&state->env, &txn->mdb) : idx_cat_env_write_begin(&state->env, &txn->mdb);
	if (rc != 0) {
		free(txn);
		return rc;
	}
	txn->state = state;
	txn->readonly = readonly;
	*ret_txn = txn;
	return 0;
}

void idx_state_txn_abort(struct idx_state_txn *txn)
{
	if (!txn)
		return;
	if (txn->readonly)
		idx_cat_env_read_end(&txn->state->env, txn->mdb);
	else
		idx_cat_env_write_abort(&txn->state->env, txn->mdb);
	free(txn);
}

int idx_state_txn_commit(struct idx_state_txn *txn)
{
	int rc = txn->failed;

	if (rc != 0 || txn->readonly) {
		idx_state_txn_abort(txn);
		return rc;
	}
	rc = idx_cat_env_write_commit(&txn->state->env, txn->mdb);
	free(txn);
	return rc;
}

int idx_state_run(struct idx_state *state, idx_state_fn *fn, void *arg)
{
	struct idx_state_txn *txn = NULL;
	int rc = idx_state_txn_begin(state, false, &txn);

	if (rc != 0)
		return rc;
	rc = fn(txn, arg);
	if (rc != 0) {
		idx_state_txn_abort(txn);
		return rc;
	}
	return idx_state_txn_commit(txn);
}

/* ---- tables whose keys begin with a tier's number ---- */

int idx_state_walk(struct idx_state_txn *txn, MDB_dbi dbi, const void *from, size_t key_len, idx_state_walk_fn *fn, void *arg)
{
	uint8_t tier = *(const uint8_t *)from;
	MDB_val key = { key_len, (void *)(uintptr_t)from }, val;
	MDB_cursor *cur;
	int rc = 0, mrc;

	if (txn->failed != 0)
		return txn->failed;
	mrc = mdb_cursor_open(txn->mdb, dbi, &cur);
	if (mrc != MDB_SUCCESS)
		return idx_state_broken(txn, mrc, "cannot read a table");
	for (mrc = mdb_cursor_get(cur, &key, &val, MDB_SET_RANGE);
	     rc == 0 && mrc == MDB_SUCCESS && *(const uint8_t *)key.mv_data == tier;
	     mrc = mdb_cursor_get(cur, &key, &val, MDB_NEXT))
		rc = key.mv_size == key_len
			     ? fn(arg, &key, &val)
			     : idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: a key of tier number %u has %zu bytes instead of %zu: it is damaged",
					    txn->state->env.dir, tier, key.mv_size, key_len);
	mdb_cursor_close(cur);
	if (rc == 0 && mrc != MDB_SUCCESS && mrc != MDB_NOTFOUND)
		rc = idx_state_broken(txn, mrc, "cannot read a table");
	return rc;
}

int idx_state_wipe(struct idx_state_txn *txn, MDB_dbi dbi, uint8_t tier, uint64_t max, uint64_t *ret_n)
{
	MDB_val key = { 1, &tier }, val;
	MDB_cursor *cur;
	uint64_t n = 0;
	int mrc;

	if (txn->failed != 0)
		return txn->failed;
	mrc = mdb_cursor_open(txn->mdb, dbi, &cur);
	if (mrc != MDB_SUCCESS)
		return idx_state_broken(txn, mrc, "cannot clear a table");
	mrc = mdb_cursor_get(cur, &key, &val, MDB_SET_RANGE);
	while (mrc == MDB_SUCCESS && n < max && *(const uint8_t *)key.mv_data == tier) {
		mrc = mdb_cursor_del(cur, 0);
		n++;
		if (mrc == MDB_SUCCESS) /* after a delete the cursor stands on the next entry */
			mrc = mdb_cursor_get(cur, &key, &val, MDB_GET_CURRENT);
		if (mrc == EINVAL) /* LMDB's way to say that there is none */
			mrc = MDB_NOTFOUND;
	}
	mdb_cursor_close(cur);
	if (mrc != MDB_SUCCESS && mrc != MDB_NOTFOUND)
		return idx_state_broken(txn, mrc, "cannot clear a table");
	*ret_n = n;
	return 0;
}
