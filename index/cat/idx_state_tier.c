/*
 * idx_state_tier.c: names, numbers and ids of tiers. Runs in the supervisor, at start and at reloads.
 *
 * A tier's number is in records (home), slots and tombstones, so it stays with its name until the tier is forgotten by
 * command. Value of a name: u8 number | tier id.
 */
#include <sys/random.h>

#include "index/cat/idx_state_int.h"

#define TIER_BYTES (1u + IDX_CAT_ID_BYTES)
#define TIER_WIPE_STEP 10000u

static bool tier_name_ok(const char *name)
{
	size_t n = strnlen(name, OM_TIER_NAME_MAX);

	return n > 0 && n < OM_TIER_NAME_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static int tier_decode(struct idx_state_txn *txn, const MDB_val *key, const MDB_val *val, struct idx_state_tier *ret_tier)
{
	struct idx_state_tier t = { 0 };
	const unsigned char *p;

	if (key->mv_size >= OM_TIER_NAME_MAX || !idx_cat_seal_open(key, val, TIER_BYTES, &p) || p[0] >= OM_TIERS_MAX)
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: its table of tiers is damaged", txn->state->env.dir);
	memcpy(t.name, key->mv_data, key->mv_size);
	t.number = p[0];
	memcpy(t.tier_id, p + 1, sizeof(t.tier_id));
	*ret_tier = t;
	return 0;
}

static int tier_find(struct idx_state_txn *txn, const char *name, struct idx_state_tier *ret_tier)
{
	MDB_val key = { strlen(name), (void *)(uintptr_t)name }, val;
	int mrc = mdb_get(txn->mdb, txn->state->tiers, &key, &val);

	if (mrc == MDB_NOTFOUND)
		return idx_cat_fail(-OBJM_STATUS_NOT_FOUND, "no tier has ever been called '%s'", name);
	if (mrc != MDB_SUCCESS)
		return idx_state_broken(txn, mrc, "cannot read a tier's number");
	return tier_decode(txn, &key, &val, ret_tier);
}

static int tier_each(struct idx_state_txn *txn, idx_state_tier_cb *cb, void *ctx)
{
	struct idx_state_tier t = { 0 };
	MDB_cursor *cur;
	MDB_val key, val;
	int rc = 0, mrc = mdb_cursor_open(txn->mdb, txn->state->tiers, &cur);

	if (mrc != MDB_SUCCESS)
		return idx_state_broken(txn, mrc, "cannot read the table of tiers");
	while (rc == 0 && (mrc = mdb_cursor_get(cur, &key, &val, MDB_NEXT)) == MDB_SUCCESS) {
		rc = tier_decode(txn, &key, &val, &t);
		if (rc == 0)
			rc = cb(ctx, &t);
	}
	mdb_cursor_close(cur);
	if (rc == 0 && mrc != MDB_NOTFOUND)
		rc = idx_state_broken(txn, mrc, "cannot read the table of tiers");
	return rc;
}

static int tier_store(struct idx_state_txn *txn, const struct idx_state_tier *t)
{
	unsigned char p[TIER_BYTES];
	int mrc;

	p[0] = t->number;
	memcpy(p + 1, t->tier_id, sizeof(t->tier_id));
	mrc = idx_cat_seal_put(txn->mdb, txn->state->tiers, t->name, strlen(t->name), p, sizeof(p));
	return mrc == MDB_SUCCESS ? 0 : idx_state_broken(txn, mrc, "cannot store a tier's number");
}

static int tier_mark_used(void *ctx, const struct idx_state_tier *t)
{
	*(uint64_t *)ctx |= UINT64_C(1) << t->number;
	return 0;
}

static int tier_new(struct idx_state_txn *txn, const char *name, struct idx_state_tier *t)
{
	uint64_t used = 0;
	int rc = tier_each(txn, tier_mark_used, &used);

	if (rc != 0)
		return rc;
	memset(t, 0, sizeof(*t));
	while (t->number < OM_TIERS_MAX && (used >> t->number & 1))
		t->number++;
	if (t->number == OM_TIERS_MAX)
		return idx_cat_fail(-OBJM_STATUS_LIMIT_EXCEEDED, "no number left for tier '%s': all %u are taken by tiers in use or not "
				    "yet forgotten", name, OM_TIERS_MAX);
	(void)snprintf(t->name, sizeof(t->name), "%s", name);
	if (getrandom(t->tier_id, sizeof(t->tier_id), 0) != (ssize_t)sizeof(t->tier_id))
		return idx_cat_fail(-OBJM_STATUS_SYSTEM, "no random bytes for tier '%s': %s", name, strerror(errno));
	return tier_store(txn, t);
}

static int tier_get(struct idx_state_txn *txn, void *arg)
{
	struct idx_state_tier *t = arg; /* in: the name */
	char name[OM_TIER_NAME_MAX];
	int rc;

	memcpy(name, t->name, sizeof(name));
	rc = tier_find(txn, name, t);
	return rc == -OBJM_STATUS_NOT_FOUND ? tier_new(txn, name, t) : rc;
}

int idx_state_tier_get(struct idx_state *state, const char *name, struct idx_state_tier *ret_tier)
{
	struct idx_state_tier t = { 0 };
	int rc;

	if (!tier_name_ok(name))
		return idx_cat_fail(-OBJM_STATUS_INVALID_REQUEST, "not a name for a tier: 1 to %u of a-z 0-9 -", OM_TIER_NAME_MAX - 1);
	(void)snprintf(t.name, sizeof(t.name), "%s", name);
	rc = idx_state_run(state, tier_get, &t);
	if (rc == 0)
		*ret_tier = t;
	return rc;
}

struct tier_clash {
	const struct idx_state_tier *tier;
	bool found;
};

static int tier_find_clash(void *ctx, const struct idx_state_tier *t)
{
	struct tier_clash *c = ctx;

	c->found |= t->number == c->tier->number && strcmp(t->name, c->tier->name) != 0;
	return 0;
}

static int tier_bind(struct idx_state_txn *txn, void *arg)
{
	struct tier_clash c = { .tier = arg };
	int rc = tier_each(txn, tier_find_clash, &c);

	if (rc != 0)
		return rc;
	if (c.found)
		return idx_cat_fail(-OBJM_STATUS_PRECONDITION_FAILED, "tier '%s': its number %u is another tier's", c.tier->name,
				    c.tier->number);
	return tier_store(txn, c.tier);
}

int idx_state_tier_bind(struct idx_state *state, const struct idx_state_tier *tier)
{
	struct idx_state_tier t = *tier;

	if (!tier_name_ok(t.name) || t.number >= OM_TIERS_MAX)
		return idx_cat_fail(-OBJM_STATUS_INVALID_REQUEST, "not a name or number for a tier");
	return idx_state_run(state, tier_bind, &t);
}

int idx_state_tier_iter(struct idx_state *state, idx_state_tier_cb *cb, void *ctx)
{
	struct idx_state_txn *txn;
	int rc = idx_state_txn_begin(state, true, &txn);

	if (rc != 0)
		return rc;
	rc = tier_each(txn, cb, ctx);
	idx_state_txn_abort(txn);
	return rc;
}

/* ---- forgetting: what hangs on the number first, the number last ---- */

struct tier_forget {
	char name[OM_TIER_NAME_MAX];
	bool more;
};

static int tier_forget_step(struct idx_state_txn *txn, void *arg)
{
	struct tier_forget *f = arg;
	struct idx_state_tier t = { 0 };
	uint64_t pending = 0, tombs = 0;
	int rc = tier_find(txn, f->name, &t), mrc;

	if (rc == 0)
		rc = idx_state_wipe(txn, txn->state->pending, t.number, TIER_WIPE_STEP, &pending);
	if (rc == 0)
		rc = idx_state_wipe(txn, txn->state->tombs, t.number, TIER_WIPE_STEP, &tombs);
	if (rc != 0)
		return rc;
	f->more = pending == TIER_WIPE_STEP || tombs == TIER_WIPE_STEP;
	if (f->more)
		return 0;
	MDB_val key = { strlen(f->name), f->name };
	mrc = mdb_del(txn->mdb, txn->state->tiers, &key, NULL);
	return mrc == MDB_SUCCESS ? 0 : idx_state_broken(txn, mrc, "cannot forget a tier");
}

int idx_state_tier_forget(struct idx_state *state, const char *name)
{
	struct tier_forget f = { .more = true };
	int rc = 0;

	if (!tier_name_ok(name))
		return idx_cat_fail(-OBJM_STATUS_NOT_FOUND, "not a name of a tier");
	(void)snprintf(f.name, sizeof(f.name), "%s", name);
	while (rc == 0 && f.more)
		rc = idx_state_run(state, tier_forget_step, &f);
	return rc;
}

int idx_state_tier_known(struct idx_state *state, const char *name, struct idx_state_tier *ret_tier)
{
	struct idx_state_txn *txn;
	int rc = idx_state_txn_begin(state, true, &txn);

	if (rc != 0)
		return rc;
	rc = tier_find(txn, name, ret_tier);
	idx_state_txn_abort(txn);
	return rc == 0 ? 1 : rc == -OBJM_STATUS_NOT_FOUND ? 0 : rc;
}
