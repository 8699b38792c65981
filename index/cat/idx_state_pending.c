/*
 * idx_state_pending.c: pending removals of persistent tiers: ids whose record is gone and whose file may still be there.
 * Runs in the supervisor: committers add them with a delete, the reaper's confirmations take them away, and a rebuild
 * asks for each file that it finds. Key: u8 tier | u64 id, big-endian; the value is only a checksum.
 */
#include "index/cat/idx_state_int.h"

#define PENDING_KEY_BYTES 9u

static void pending_key(unsigned char key[static PENDING_KEY_BYTES], uint8_t tier, uint64_t id)
{
	key[0] = tier;
	idx_put64be(key + 1, id);
}

int idx_state_pending_add(struct idx_state_txn *txn, uint8_t tier, uint64_t id)
{
	unsigned char key[PENDING_KEY_BYTES];
	int mrc;

	if (txn->failed != 0)
		return txn->failed;
	pending_key(key, tier, id);
	mrc = idx_cat_seal_put(txn->mdb, txn->state->pending, key, sizeof(key), NULL, 0);
	return mrc == MDB_SUCCESS ? 0 : idx_state_broken(txn, mrc, "cannot note a removal");
}

int idx_state_pending_del(struct idx_state_txn *txn, uint8_t tier, uint64_t id)
{
	unsigned char key[PENDING_KEY_BYTES];
	MDB_val k = { sizeof(key), key };
	int mrc;

	if (txn->failed != 0)
		return txn->failed;
	pending_key(key, tier, id);
	mrc = mdb_del(txn->mdb, txn->state->pending, &k, NULL);
	return mrc == MDB_SUCCESS || mrc == MDB_NOTFOUND ? 0 : idx_state_broken(txn, mrc, "cannot clear a removal");
}

int idx_state_pending_has(struct idx_state_txn *txn, uint8_t tier, uint64_t id)
{
	unsigned char key[PENDING_KEY_BYTES];
	MDB_val k = { sizeof(key), key }, v;
	int mrc;

	if (txn->failed != 0)
		return txn->failed;
	pending_key(key, tier, id);
	mrc = mdb_get(txn->mdb, txn->state->pending, &k, &v);
	if (mrc == MDB_NOTFOUND)
		return 0;
	return mrc == MDB_SUCCESS ? 1 : idx_state_broken(txn, mrc, "cannot read the pending removals");
}

struct pending_walk {
	idx_state_pending_cb *cb;
	void *ctx;
};

static int pending_each(void *arg, const MDB_val *key, const MDB_val *val)
{
	const struct pending_walk *w = arg;
	const unsigned char *k = key->mv_data;

	(void)val;
	return w->cb(w->ctx, k[0], idx_be64(k + 1));
}

int idx_state_pending_iter(struct idx_state_txn *txn, uint8_t tier, uint64_t from, idx_state_pending_cb *cb, void *ctx)
{
	struct pending_walk w = { cb, ctx };
	unsigned char key[PENDING_KEY_BYTES];

	pending_key(key, tier, from);
	return idx_state_walk(txn, txn->state->pending, key, sizeof(key), pending_each, &w);
}

#define PENDING_CLEAR_STEP 10000u

struct pending_clear {
	uint8_t tier;
	uint64_t n;
};

static int pending_clear(struct idx_state_txn *txn, void *arg)
{
	struct pending_clear *c = arg;

	c->n = 0;
	return idx_state_wipe(txn, txn->state->pending, c->tier, PENDING_CLEAR_STEP, &c->n);
}

int idx_state_pending_clear(struct idx_state *state, uint8_t tier)
{
	struct pending_clear c = { .tier = tier, .n = PENDING_CLEAR_STEP };
	int rc = 0;

	while (rc == 0 && c.n == PENDING_CLEAR_STEP)
		rc = idx_state_run(state, pending_clear, &c);
	return rc;
}
