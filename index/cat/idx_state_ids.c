/*
 * idx_state_ids.c: where object ids come from. Runs in the supervisor: the publisher reserves blocks.
 *
 * The end of a block is on stable storage before the first id of it is given out, so an id is never given out twice; and
 * with the oldest unsettled id it bounds what a recovery has to look at.
 */
#include <inttypes.h>

#include "index/cat/idx_state_int.h"

#define IDS_BLOCK_MAX (UINT64_C(1) << 32)
#define IDS_END_MAX (UINT64_C(1) << 63)

int idx_state_ids_load(struct idx_state_txn *txn, struct idx_state_recovery *ret_recovery)
{
	struct idx_state *st = txn->state;
	const unsigned char *p;
	int mrc = idx_cat_seal_get(txn->mdb, st->meta, IDX_STATE_IDS_KEY, sizeof(IDX_STATE_IDS_KEY) - 1, IDX_STATE_IDS_BYTES, &p);

	if (mrc == MDB_NOTFOUND) {
		*ret_recovery = (struct idx_state_recovery){ .first = true, .clean = true, .oldest_unsettled = 1, .block_end = 1 };
		return 0;
	}
	if (mrc != MDB_SUCCESS)
		return idx_state_broken(txn, mrc, "cannot read the high-water mark of the ids");
	*ret_recovery = (struct idx_state_recovery){
		.block_end = idx_le64(p), .oldest_unsettled = idx_le64(p + 8), .clean = idx_le64(p + 16) == 1,
	};
	if (ret_recovery->block_end == 0 || ret_recovery->block_end > IDS_END_MAX ||
	    ret_recovery->oldest_unsettled > ret_recovery->block_end)
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: the high-water mark of the ids makes no sense", st->env.dir);
	return 0;
}

static int ids_store(struct idx_state_txn *txn, uint64_t end, uint64_t oldest, bool clean)
{
	unsigned char p[IDX_STATE_IDS_BYTES];
	int mrc;

	idx_put64(p, end);
	idx_put64(p + 8, oldest);
	idx_put64(p + 16, clean);
	mrc = idx_cat_seal_put(txn->mdb, txn->state->meta, IDX_STATE_IDS_KEY, sizeof(IDX_STATE_IDS_KEY) - 1, p, sizeof(p));
	return mrc == MDB_SUCCESS ? 0 : idx_state_broken(txn, mrc, "cannot store the high-water mark of the ids");
}

struct ids_arg {
	uint64_t n, oldest, first;
};

static int ids_reserve(struct idx_state_txn *txn, void *arg)
{
	struct ids_arg *a = arg;
	struct idx_state_recovery now = { 0 };
	int rc = idx_state_ids_load(txn, &now);

	if (rc != 0)
		return rc;
	if (a->n > IDS_END_MAX - now.block_end)
		return idx_cat_fail(-OBJM_STATUS_LIMIT_EXCEEDED, "%s: the object ids are used up", txn->state->env.dir);
	a->first = now.block_end;
	return ids_store(txn, now.block_end + a->n, a->oldest ? OM_MIN(a->oldest, now.block_end) : now.block_end, false);
}

int idx_state_ids_reserve(struct idx_state *state, uint64_t n, uint64_t oldest_unsettled, uint64_t *ret_first)
{
	struct ids_arg a = { .n = n, .oldest = oldest_unsettled };
	int rc;

	if (n == 0 || n > IDS_BLOCK_MAX)
		return idx_cat_fail(-OBJM_STATUS_INVALID_REQUEST, "a block of %" PRIu64 " ids", n);
	rc = idx_state_run(state, ids_reserve, &a);
	if (rc == 0)
		*ret_first = a.first;
	return rc;
}

static int ids_raise(struct idx_state_txn *txn, void *arg)
{
	uint64_t floor = *(uint64_t *)arg;
	struct idx_state_recovery now = { 0 };
	int rc = idx_state_ids_load(txn, &now);

	if (rc != 0 || now.block_end >= floor)
		return rc;
	return ids_store(txn, floor, now.oldest_unsettled, now.clean);
}

int idx_state_ids_raise(struct idx_state *state, uint64_t floor)
{
	if (floor > IDS_END_MAX)
		return idx_cat_fail(-OBJM_STATUS_INVALID_REQUEST, "ids up to %" PRIu64 " cannot be passed over", floor);
	return idx_state_run(state, ids_raise, &floor);
}

static int ids_clean(struct idx_state_txn *txn, void *arg)
{
	uint64_t next = *(uint64_t *)arg;
	struct idx_state_recovery now = { 0 };
	int rc = idx_state_ids_load(txn, &now);

	if (rc != 0)
		return rc;
	if (next == 0 || next > now.block_end)
		return idx_cat_fail(-OBJM_STATUS_INVALID_REQUEST, "%s: id %" PRIu64 " is beyond what was reserved", txn->state->env.dir,
				    next);
	return ids_store(txn, next, next, true);
}

int idx_state_clean(struct idx_state *state, uint64_t next_id)
{
	return idx_state_run(state, ids_clean, &next_id);
}
