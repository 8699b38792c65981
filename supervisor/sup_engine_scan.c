/*
 * sup_engine_scan.c: the scans by the lifecycle process that find orphans after a crash, or make a catalog again. Publisher's thread.
 */
#include "common/om_counter.h"
#include "supervisor/sup_engine_answer.h"
#include "supervisor/sup_engine_now.h"
#include "supervisor/sup_engine_reap.h"
#include "supervisor/sup_engine_scan.h"
#include "supervisor/sup_engine_settle.h"

/* All catalogs are in the index: now the files can be judged. */
void sup_scan_start(struct sup_engine *e)
{
	bool crashed = !e->recovery.first && !e->recovery.clean && !e->recovered;

	for (unsigned i = 0; i < e->n_tiers; i++) {
		struct sup_tier *t = &e->tiers[i];
		if (!t->cat || t->scan_mode >= 0)
			continue;
		if (t->away || t->back || t->hides || atomic_load(&t->frozen))
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

static void check_end(struct sup_engine *e, struct sup_tier *t)
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
		open |= e->tiers[i].scan_mode >= 0 || !e->tiers[i].cat || e->tiers[i].hides || atomic_load(&e->tiers[i].frozen);
	if (!open)
		e->recovered = true; /* ids are settled up to this run */
}

/* ---- what the lifecycle process finds ---- */

bool sup_scan_take_found(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_found *m = msg;
	const char *uri = (const char *)(m + 1);
	struct sup_tier *t = sup_msg_tier(c->e, m->tier);

	if (len != sizeof(*m) + (size_t)m->uri_len + m->type_len + m->meta_len || !t || (t->scan_mode < 0 && !t->since) || !m->id)
		return sup_msg_broken(c, "bad FOUND");
	if (t->scan_mode < 0)
		return true; /* the tier went while it was looked through */
	if (m->id >= t->scan_to && t->scan_mode == OM_SCAN_REBUILD)
		return true; /* it came after the scan began: whoever put it answers for it */
	if (m->id >= c->e->run_first_id && (sup_res_find(c->e, m->id) || sup_reap_busy(c->e, t, m->id)))
		return true; /* of this run: being put, or being removed */
	if (sup_move_to(c->e, t, m->id))
		return true; /* a move is making it: its end decides */
	atomic_fetch_add(&t->scan_found, 1);
	if (m->uri_len == 0) { /* unreadable: an orphan if it was never acknowledged, else left for a human */
		if (t->scan_mode == OM_SCAN_ORPHANS)
			sup_reap_add(c->e, t, m->id, m->size, SUP_RM_UNSETTLED);
		else
			om_log(OM_MSG_ORPHAN, "tier %s: file %016llx has no readable attribute and is left alone", t->conf->name,
			       (unsigned long long)m->id);
		return true;
	}
	if (!om_uri_valid(uri, m->uri_len) || m->type_len > OM_TYPE_MAX ||
	    !om_meta_valid(uri + m->uri_len + m->type_len, m->meta_len) || (m->flags & ~OM_OBJ_FLAGS_ALL))
		return sup_msg_broken(c, "bad FOUND");
	struct om_rec rec = {
		.id = m->id, .size = m->size, .mtime_ns = m->mtime_ns, .expiry_s = m->expiry_s, .rev = m->rev ? m->rev : 1,
		.flags = m->flags, .uid = m->uid, .tier = m->tier, .home = m->tier, .uri_len = m->uri_len, .type_len = m->type_len,
		.meta_len = m->meta_len, .uri = uri, .type = uri + m->uri_len,
		.meta = (const unsigned char *)uri + m->uri_len + m->type_len,
	};
	struct sup_op *op = sup_op_new(SUP_OP_FOUND, &rec);
	if (op)
		idx_key_make(sup_engine_secret(c->e), uri, m->uri_len, &op->ikey);
	struct sup_key *key = op ? sup_key_find(c->e, &op->ikey, true) : NULL;
	if (!key) {
		free(op);
		om_log(OM_MSG_CATALOG, "tier %s: no memory for the record of file %016llx", t->conf->name, (unsigned long long)m->id);
		return true;
	}
	op->key = key;
	op->insert = t->scan_mode == OM_SCAN_REBUILD;
	t->scan_flight++;
	sup_op_submit(c->e, op);
	return true;
}

bool sup_scan_take_scanned(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_scanned *m = msg;
	struct sup_tier *t = len == sizeof(*m) ? sup_msg_tier(c->e, m->tier) : NULL;

	if (!t || (!t->since && (t->scan_mode < 0 || !t->scan_sent)))
		return sup_msg_broken(c, "bad SCANNED");
	if (t->scan_mode < 0 || !t->scan_sent)
		return true; /* the tier went while it was looked through */
	if (m->status < 0) {
		om_log(OM_MSG_CATALOG, "tier %s: its files could not all be read: %s; trying again", t->conf->name,
		       om_status_text(m->status));
		t->scan_sent = false;
		return true;
	}
	t->scan_done = true;
	check_end(c->e, t);
	return true;
}

int sup_scan_publish(struct sup_engine *e, struct sup_op *op) { return op->stages[0].made ? sup_put_publish(e, op) : 0; }

void sup_scan_end(struct sup_engine *e, struct sup_op *op)
{
	struct sup_tier *t = e->tier_by_no[op->rec.tier];

	t->scan_flight--;
	if (op->status < 0)
		om_log(OM_MSG_CATALOG, "tier %s: the record of object %llu could not be made again: %s", t->conf->name,
		       (unsigned long long)op->rec.id, om_status_text(op->status));
	check_end(e, t);
}
