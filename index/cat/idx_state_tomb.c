/*
 * idx_state_tomb.c: tombstones: what was deleted or replaced while a tier that may hold it was absent or being rebuilt. Runs
 * in the supervisor. Key: u8 tier | 128-bit key of the index; value: u64 highest id that is removed.
 */
#include "index/cat/idx_state_int.h"

#define TOMB_KEY_BYTES (1u + IDX_STATE_KEY_BYTES)
#define TOMB_CLEAR_STEP 10000u /* entries to a transaction */

static void tomb_key(unsigned char ret[static TOMB_KEY_BYTES], uint8_t tier, const uint8_t key[static IDX_STATE_KEY_BYTES])
{
	ret[0] = tier;
	memcpy(ret + 1, key, IDX_STATE_KEY_BYTES);
}

int idx_state_tomb_get(struct idx_state_txn *txn, uint8_t tier, const uint8_t key[static IDX_STATE_KEY_BYTES],
		       uint64_t *ret_id)
{
	unsigned char k[TOMB_KEY_BYTES];
	const unsigned char *p;
	int mrc;

	if (txn->failed != 0)
		return txn->failed;
	tomb_key(k, tier, key);
	mrc = idx_cat_seal_get(txn->mdb, txn->state->tombs, k, sizeof(k), 8, &p);
	if (mrc == MDB_NOTFOUND)
		return -OBJM_STATUS_NOT_FOUND;
	if (mrc != MDB_SUCCESS)
		return idx_state_broken(txn, mrc, "cannot read a tombstone");
	*ret_id = idx_le64(p);
	return 0;
}

int idx_state_tomb_add(struct idx_state_txn *txn, uint8_t tier, const uint8_t key[static IDX_STATE_KEY_BYTES], uint64_t id)
{
	unsigned char k[TOMB_KEY_BYTES], p[8];
	uint64_t old = 0;
	int rc = idx_state_tomb_get(txn, tier, key, &old), mrc;

	if (rc != 0 && rc != -OBJM_STATUS_NOT_FOUND)
		return rc;
	if (rc == 0 && old >= id)
		return 0;
	tomb_key(k, tier, key);
	idx_put64(p, id);
	mrc = idx_cat_seal_put(txn->mdb, txn->state->tombs, k, sizeof(k), p, sizeof(p));
	return mrc == MDB_SUCCESS ? 0 : idx_state_broken(txn, mrc, "cannot store a tombstone");
}

int idx_state_tomb_del(struct idx_state_txn *txn, uint8_t tier, const uint8_t key[static IDX_STATE_KEY_BYTES])
{
	unsigned char kb[TOMB_KEY_BYTES];
	MDB_val k = { sizeof(kb), kb };
	int mrc;

	if (txn->failed != 0)
		return txn->failed;
	tomb_key(kb, tier, key);
	mrc = mdb_del(txn->mdb, txn->state->tombs, &k, NULL);
	return mrc == MDB_SUCCESS || mrc == MDB_NOTFOUND ? 0 : idx_state_broken(txn, mrc, "cannot delete a tombstone");
}

struct tomb_walk {
	idx_state_tomb_cb *cb;
	void *ctx;
};

static int tomb_each(void *arg, const MDB_val *key, const MDB_val *val)
{
	const struct tomb_walk *w = arg;
	const unsigned char *k = key->mv_data, *p;

	if (!idx_cat_seal_open(key, val, 8, &p))
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "a tombstone is damaged");
	return w->cb(w->ctx, k[0], k + 1, idx_le64(p));
}

int idx_state_tomb_iter(struct idx_state_txn *txn, uint8_t tier, idx_state_tomb_cb *cb, void *ctx)
{
	static const uint8_t least[IDX_STATE_KEY_BYTES];
	struct tomb_walk w = { cb, ctx };
	unsigned char key[TOMB_KEY_BYTES];

	tomb_key(key, tier, least);
	return idx_state_walk(txn, txn->state->tombs, key, sizeof(key), tomb_each, &w);
}

/* ---- one-shots ---- */

int idx_state_tomb_get_now(struct idx_state *state, uint8_t tier, const uint8_t key[static IDX_STATE_KEY_BYTES],
			   uint64_t *ret_id)
{
	struct idx_state_txn *txn;
	int rc = idx_state_txn_begin(state, true, &txn);

	if (rc != 0)
		return rc;
	rc = idx_state_tomb_get(txn, tier, key, ret_id);
	idx_state_txn_abort(txn);
	return rc;
}

struct tomb_clear {
	uint8_t tier;
	uint64_t n;
	bool (*still)(void *arg);
	void *arg;
};

static int tomb_clear(struct idx_state_txn *txn, void *arg)
{
	struct tomb_clear *c = arg;

	c->n = 0;
	if (c->still && !c->still(c->arg))
		return 0;
	return idx_state_wipe(txn, txn->state->tombs, c->tier, TOMB_CLEAR_STEP, &c->n);
}

int idx_state_tomb_clear(struct idx_state *state, uint8_t tier, bool (*still)(void *arg), void *arg)
{
	struct tomb_clear c = { .tier = tier, .n = TOMB_CLEAR_STEP, .still = still, .arg = arg };
	int rc = 0;

	while (rc == 0 && c.n == TOMB_CLEAR_STEP)
		rc = idx_state_run(state, tomb_clear, &c);
	return rc;
}
