/*
 * sup_engine_past.c: what a tier that is opened at run time brings along: its ids, what was removed while it was away, its records.
 * On the thread of sup_engine_tierd.c; blocks on the disk. What is found goes to the publisher as ops, at most BACK_AHEAD under way.
 */
#include <sys/stat.h>

#include "common/om_fault.h"
#include "supervisor/sup_engine_mail.h"
#include "supervisor/sup_engine_owner.h"

#define BACK_CHUNK 1024u
#define BACK_AHEAD 8192u

static int any_rec(void *arg, const struct om_rec *rec)
{
	(void)arg, (void)rec;
	return 0; /* the scan itself keeps the highest id */
}

int sup_past_ids(struct sup_engine *e, struct sup_coming *c)
{
	struct idx_cat_scan_res res = { 0 };
	struct idx_cat_snap *snap;

	if (idx_cat_snap_open(c->fresh.cat, &snap) == 0) {
		(void)idx_cat_scan(snap, any_rec, NULL, &res);
		idx_cat_snap_close(snap);
	}
	c->id_floor = sup_tier_dirs_end(c->fresh.rootfd);
	c->id_floor = OM_MAX(c->id_floor, res.max_id + 1);
	return idx_state_ids_raise(e->state, c->id_floor);
}

static int add_tomb(void *arg, uint8_t tier, const uint8_t key[static IDX_STATE_KEY_BYTES], uint64_t id)
{
	struct sup_coming *c = arg;
	struct sup_tomb *v = c->n_tombs % 256 ? c->tombs : realloc(c->tombs, (c->n_tombs + 256) * sizeof(*v));

	if (!v)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	c->tombs = v;
	v += c->n_tombs++;
	*v = (struct sup_tomb){ .key = sup_tomb_key_of(key), .id = id, .tier = tier };
	return 0;
}

static int add_pending(struct sup_coming *c, uint64_t id)
{
	uint64_t *v = c->n_pending % 256 ? c->pending : realloc(c->pending, (c->n_pending + 256) * sizeof(*v));

	if (!v)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	c->pending = v;
	v[c->n_pending++] = id;
	return 0;
}

static int state_pending(void *arg, uint8_t tier, uint64_t id)
{
	(void)tier;
	return add_pending(arg, id);
}

static int cat_pending(void *arg, uint64_t id) { return add_pending(arg, id); }

static int id_cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

int sup_past_read(struct sup_engine *e, struct sup_tier *t, struct sup_coming *c)
{
	struct idx_state_txn *txn;
	struct idx_cat_snap *snap;
	int injected = om_fault(OM_FAULT_TIER_PAST);
	int err = injected ? -om_status_errno(injected) : idx_state_txn_begin(e->state, true, &txn);

	if (err < 0)
		return err;
	err = idx_state_tomb_iter(txn, t->no, add_tomb, c);
	if (err == 0)
		err = idx_state_pending_iter(txn, t->no, 0, state_pending, c);
	idx_state_txn_abort(txn);
	if (err == 0 && t->is_volatile && (err = idx_cat_snap_open(t->cat, &snap)) == 0) {
		err = idx_cat_removed_iter(snap, cat_pending, c);
		idx_cat_snap_close(snap);
	}
	if (c->n_tombs)
		qsort(c->tombs, c->n_tombs, sizeof(*c->tombs), sup_tomb_cmp);
	if (c->n_pending)
		qsort(c->pending, c->n_pending, sizeof(*c->pending), id_cmp);
	c->stands = calloc(c->n_pending + 1, sizeof(*c->stands));
	return err == 0 && !c->stands ? -OBJM_STATUS_OUT_OF_MEMORY : err;
}

void sup_coming_free(struct sup_coming *c)
{
	free(c->tombs);
	free(c->pending);
	free(c->stands);
	sup_owned_fini(&c->fresh.owned);
	free(c);
}

/* ---- its records into the index ---- */

struct reading {
	struct sup_engine *e;
	struct sup_tier *t;
	struct sup_coming *c; /* NULL: only files are looked for */
	struct sup_op *ops;
	unsigned n;
};

static void send_ops(struct reading *r, bool last)
{
	struct sup_mail *m = sup_mail_new(SUP_MAIL_BACK);

	atomic_fetch_add(&r->t->back_flight, r->n);
	m->tier = r->t;
	m->ops = r->ops;
	m->seq = last;
	r->ops = NULL;
	r->n = 0;
	sup_mail_post(r->e, m);
	while (atomic_load(&r->t->back_flight) > BACK_AHEAD && !sup_tierd_stopping(r->e))
		(void)usleep(1000);
}

static int add_op(struct reading *r, enum sup_op_kind kind, const struct om_rec *rec, bool dead)
{
	struct sup_op *op = sup_op_new(kind, rec);

	if (!op)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	idx_key_make(sup_engine_secret(r->e), rec->uri, rec->uri_len, &op->ikey);
	op->dead = dead;
	op->of_back = true;
	op->next = r->ops;
	r->ops = op;
	if (++r->n == BACK_CHUNK)
		send_ops(r, false);
	return sup_tierd_stopping(r->e) ? -OBJM_STATUS_GONE : 0;
}

static int back_rec(void *arg, const struct om_rec *rec)
{
	struct reading *r = arg;
	struct sup_tomb probe = { .tier = rec->tier };

	const uint64_t *pending = r->c->n_pending ? bsearch(&rec->id, r->c->pending, r->c->n_pending, sizeof(rec->id), id_cmp) : NULL;
	if (pending)
		r->c->stands[pending - r->c->pending] = true;
	if (r->c->n_tombs) {
		idx_key_make(sup_engine_secret(r->e), rec->uri, rec->uri_len, &probe.key);
		const struct sup_tomb *tomb = bsearch(&probe, r->c->tombs, r->c->n_tombs, sizeof(probe), sup_tomb_cmp);
		if (tomb && tomb->id >= rec->id) {
			atomic_fetch_or(&r->e->tombs_hit, 1u << r->t->ix);
			return add_op(r, SUP_OP_STALE, rec, true);
		}
	}
	return add_op(r, SUP_OP_BACK, rec, false);
}

static int missing_rec(void *arg, const struct om_rec *rec)
{
	struct reading *r = arg;
	char path[OM_OBJ_PATH_MAX];
	struct stat st;

	om_obj_path(rec->id, path);
	if (fstatat(r->t->objectsfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
		return sup_tierd_stopping(r->e) ? -OBJM_STATUS_GONE : 0;
	return add_op(r, SUP_OP_GONE, rec, false);
}

int sup_past_records(struct sup_engine *e, struct sup_tier *t, struct sup_coming *c)
{
	struct reading r = { .e = e, .t = t, .c = c };
	struct idx_cat_scan_res res = { 0 };
	struct idx_cat_snap *snap;
	int err = idx_cat_snap_open(t->cat, &snap);

	if (err == 0) {
		err = idx_cat_scan(snap, c ? back_rec : missing_rec, &r, &res);
		idx_cat_snap_close(snap);
	}
	if (err < 0 && err != -OBJM_STATUS_GONE)
		om_log(OM_MSG_CATALOG, "tier %s: its catalog cannot be read to the end: %s", t->conf->name, idx_cat_message());
	send_ops(&r, true);
	if (err == 0 && res.damaged)
		sup_mail_tier(e, SUP_MAIL_REBUILD, t, NULL);
	return err;
}
