/*
 * idx_state_move.c: moves between tiers that are under way. Runs in the supervisor. Key: u64 id, big-endian; value:
 * u32 rev | u8 from | u8 to | u8 kind | u8 0.
 */
#include "index/cat/idx_state_int.h"

#define MOVE_BYTES 8u

int idx_state_move_put(struct idx_state_txn *txn, const struct idx_state_move *move)
{
	unsigned char key[8], p[MOVE_BYTES] = { 0 };
	int mrc;

	if (txn->failed != 0)
		return txn->failed;
	if (move->from >= OM_TIERS_MAX || move->to >= OM_TIERS_MAX || move->id == 0)
		return idx_cat_fail(-OBJM_STATUS_INVALID_REQUEST, "a move that cannot be");
	idx_put64be(key, move->id);
	idx_put32(p, move->rev);
	p[4] = move->from;
	p[5] = move->to;
	p[6] = move->kind;
	mrc = idx_cat_seal_put(txn->mdb, txn->state->moves, key, sizeof(key), p, sizeof(p));
	return mrc == MDB_SUCCESS ? 0 : idx_state_broken(txn, mrc, "cannot store a move");
}

int idx_state_move_del(struct idx_state_txn *txn, uint64_t id)
{
	unsigned char kb[8];
	MDB_val k = { sizeof(kb), kb };
	int mrc;

	if (txn->failed != 0)
		return txn->failed;
	idx_put64be(kb, id);
	mrc = mdb_del(txn->mdb, txn->state->moves, &k, NULL);
	return mrc == MDB_SUCCESS || mrc == MDB_NOTFOUND ? 0 : idx_state_broken(txn, mrc, "cannot delete a move");
}

static int move_decode(struct idx_state_txn *txn, const MDB_val *key, const MDB_val *val, struct idx_state_move *ret_move)
{
	const unsigned char *p;

	if (key->mv_size != 8 || !idx_cat_seal_open(key, val, MOVE_BYTES, &p) || p[4] >= OM_TIERS_MAX || p[5] >= OM_TIERS_MAX)
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: its table of moves is damaged", txn->state->env.dir);
	*ret_move = (struct idx_state_move){
		.id = idx_be64(key->mv_data), .rev = idx_le32(p), .from = p[4], .to = p[5], .kind = p[6],
	};
	return 0;
}

int idx_state_move_iter(struct idx_state_txn *txn, idx_state_move_cb *cb, void *ctx)
{
	struct idx_state_move move;
	MDB_cursor *cur;
	MDB_val key, val;
	int rc = 0, mrc;

	if (txn->failed != 0)
		return txn->failed;
	mrc = mdb_cursor_open(txn->mdb, txn->state->moves, &cur);
	if (mrc != MDB_SUCCESS)
		return idx_state_broken(txn, mrc, "cannot read the moves");
	while (rc == 0 && (mrc = mdb_cursor_get(cur, &key, &val, MDB_NEXT)) == MDB_SUCCESS) {
		rc = move_decode(txn, &key, &val, &move);
		if (rc == 0)
			rc = cb(ctx, &move);
	}
	mdb_cursor_close(cur);
	if (rc == 0 && mrc != MDB_NOTFOUND)
		rc = idx_state_broken(txn, mrc, "cannot read the moves");
	return rc;
}
