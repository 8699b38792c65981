/*
 * lcy_files.c: files that no record names are removed, in batches: unlink each, sync each directory once, then answer.
 * Runs on the loop's thread of objmapper-lifecycle.
 */
#include "common/om_fault.h"
#include "lifecycle/lcy.h"

static bool tier_ok(const struct lcy *l, uint8_t no) { return no < OM_TIERS_MAX && l->tiers[no].on; }

/* Directories far below an id that is in use get no files any more: be_remove_sync() may remove them when they are empty. A
 * late file makes its directory again. */
static void learn_id(struct be *be, uint64_t id)
{
	uint64_t dir = id >> OM_OBJ_DIR_SHIFT;

	if (dir > LCY_DIRS_YOUNG && dir - LCY_DIRS_YOUNG > be->dirs_done)
		be->dirs_done = dir - LCY_DIRS_YOUNG;
}

static void remove_all(struct lcy *l, struct lcy_reaps *b)
{
	struct be_batch dirs[OM_TIERS_MAX];
	int synced[OM_TIERS_MAX] = { 0 };
	bool used[OM_TIERS_MAX] = { false };

	for (unsigned i = 0; i < b->n; i++) {
		uint8_t no = b->order[i].tier;
		if (!tier_ok(l, no)) {
			b->status[i] = -OBJM_STATUS_UNAVAILABLE;
			continue;
		}
		if (!used[no])
			dirs[no].n = 0;
		used[no] = true;
		learn_id(&l->tiers[no].be, b->order[i].id);
		b->status[i] = be_remove(&l->tiers[no].be, b->order[i].id, &dirs[no]);
	}
	(void)om_fault(OM_FAULT_REAP_UNLINKED);
	for (unsigned no = 0; no < OM_TIERS_MAX; no++)
		if (used[no])
			synced[no] = be_remove_sync(&l->tiers[no].be, &dirs[no]);
	/* a name counts as gone only once its directory is on stable storage */
	for (unsigned i = 0; i < b->n; i++)
		if (b->status[i] == 0)
			b->status[i] = synced[b->order[i].tier];
}

static bool answer_all(struct lcy *l, const struct lcy_reaps *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		struct om_op_reaped m = { .hdr = { .len = sizeof(m), .type = OM_OP_REAPED, .req = b->order[i].hdr.req },
					  .id = b->order[i].id, .status = b->status[i], .tier = b->order[i].tier };
		struct iovec iov = { &m, sizeof(m) };
		if (l->send(l, &iov, 1) < 0)
			return false;
	}
	return true;
}

bool lcy_files_remove(struct lcy *l, struct lcy_reaps *b)
{
	lcy_yield_begin(&l->seat);
	remove_all(l, b);
	lcy_yield_charge(&l->seat);
	bool ok = answer_all(l, b);
	b->n = 0;
	return ok;
}

void lcy_files_sweep(struct lcy *l, uint64_t now_ns)
{
	if (now_ns < l->sweep_due_ns)
		return;
	l->sweep_due_ns = now_ns + LCY_SWEEP_MS * UINT64_C(1000000);
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		if (l->tiers[i].on && !(l->tiers[i].be.caps & OM_TIERC_TMPFILE))
			(void)be_dir_sweep_staging(&l->tiers[i].be, 0);
}
