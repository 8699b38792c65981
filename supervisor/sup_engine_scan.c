/*
 * sup_engine_scan.c: the scans by the lifecycle process that find orphans after a crash, or make a catalog again. Publisher's thread.
 */
#include "common/om_counter.h"
#include "supervisor/sup_engine_int.h"

/* All catalogs are in the index: now the files can be judged. */
void sup_scan_start(struct sup_engine *e)
{
	bool crashed = !e->recovery.first && !e->recovery.clean && !e->recovered;

	for (unsigned i = 0; i < e->n_tiers; i++) {
		struct sup_tier *t = &e->tiers[i];
		if (!t->cat || t->scan_mode >= 0)
			continue;
		if (t->away || t->back)
			continue;
		if (t->owes_rebuild) {
			t->scan_to = e->id_next; /* what is put from now on is nobody's to find */
			t->scan_mode = OM_SCAN_REBUILD;
			om_log(OM_MSG_REBUILD, "tier %s: its catalog is being made again from its files", t->conf->name);
		} else if (crashed) {
			t->scan_mode = OM_SCAN_ORPHANS;
		}
		t->scan_sent = t->scan_done = false;
		atomic_store(&t->scan_found, 0);
	}
	if (!crashed)
		e->recovered = true;
	sup_scan_pump(e);
}

void sup_scan_pump(struct sup_engine *e)
{
	struct sup_child *c = &e->child[SUP_CHILD_LIFECYCLE];

	for (unsigned i = 0; i < e->n_tiers && c->on && !c->doomed; i++) {
		struct sup_tier *t = &e->tiers[i];
		if (t->scan_mode < 0 || t->scan_sent || !sup_tier_known_to(t, c))
			continue;
		bool rebuild = t->scan_mode == OM_SCAN_REBUILD;
		struct om_op_scan m = {
			.hdr = { .len = sizeof(m), .type = OM_OP_SCAN, .req = i }, .tier = t->no, .mode = (uint8_t)t->scan_mode,
			.id_from = rebuild ? 1 : e->recovery.oldest_unsettled,
			.id_to = rebuild ? t->scan_to : e->recovery.block_end,
		};
		t->scan_sent = true;
		t->scan_done = false;
		sup_pub_answer(e, SUP_CHILD_LIFECYCLE, c->serial, &m, sizeof(m), false);
	}
}

void sup_scan_lost(struct sup_engine *e)
{
	for (unsigned i = 0; i < e->n_tiers; i++)
		if (!e->tiers[i].scan_done)
			e->tiers[i].scan_sent = false; /* from the start again: finding a file twice changes nothing */
}

void sup_scan_check_end(struct sup_engine *e, struct sup_tier *t)
{
	bool open = false;

	if (t->scan_mode < 0 || !t->scan_done || t->scan_flight)
		return;
	uint64_t found = atomic_load(&t->scan_found);
	if (t->scan_mode == OM_SCAN_REBUILD)
		sup_settle_tier(e, t, true); /* end_settle() says so when it is recorded */
	else if (found)
		om_log(OM_MSG_ORPHAN, "tier %s: %llu files of the last run's end were looked at", t->conf->name,
		       (unsigned long long)found);
	t->scan_mode = -1;
	for (unsigned i = 0; i < e->n_tiers; i++)
		open |= e->tiers[i].scan_mode >= 0 || !e->tiers[i].cat;
	if (!open)
		e->recovered = true; /* ids are settled up to this run */
}
