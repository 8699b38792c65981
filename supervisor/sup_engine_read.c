/*
 * sup_engine_read.c: catalog readers: look-ups while the index is being built, full records, listings, and the build
 * itself. A few threads, each with its own snapshots; whatever they find goes to the publisher as mail.
 */
#include "supervisor/sup_engine_ask.h"
#include "supervisor/sup_engine_job.h"
#include "supervisor/sup_engine_mail.h"
#include "supervisor/sup_engine_now.h"
#include "supervisor/sup_engine_recover.h"

/* False: no memory. */
static bool add_answer(struct sup_job *job, const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	struct sup_out *out = malloc(sizeof(*out) + len);
	if (!out)
		return false;
	out->next = NULL;
	out->len = (uint32_t)len;
	unsigned char *to = out->bytes;
	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len)
			memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	*job->answer_end = out;
	job->answer_end = &out->next;
	return true;
}

/* One state of all tiers: no change of several environments is half done while the snapshots are opened. */
static unsigned open_snaps(struct sup_engine *e, struct idx_cat_snap *snaps[static OM_TIERS_MAX], int *ret_err)
{
	unsigned n = 0;

	*ret_err = 0;
	atomic_fetch_add(&e->snap_waiting, 1);
	pthread_mutex_lock(&e->multi_lock);
	while (e->multi_active)
		pthread_cond_wait(&e->multi_wake, &e->multi_lock);
	for (unsigned i = 0; i < e->n_tiers; i++) {
		struct idx_cat *cat = e->tiers[i].hidden ? NULL : e->tiers[i].cat;
		if (!cat)
			continue;
		int err = idx_cat_snap_open(cat, &snaps[n]);
		if (err < 0)
			*ret_err = err;
		else
			n++;
	}
	pthread_mutex_unlock(&e->multi_lock);
	if (atomic_fetch_sub(&e->snap_waiting, 1) == 1)
		sup_mail_tell(e, SUP_MAIL_NUDGE); /* changes that waited for us go on */
	return n;
}

/* The record of a URI in one catalog, unless it was removed while that tier was away. */
static int peek(const struct sup_engine *e, struct idx_cat_snap *snap, const char *uri, size_t len, struct om_rec *ret)
{
	int err = idx_cat_snap_peek(snap, uri, len, ret);

	return err == 0 && sup_recover_gone(e, ret) ? -OBJM_STATUS_NOT_FOUND : err;
}

static bool listed(void *arg, const struct om_rec *rec) { return !sup_recover_gone(arg, rec); }

static void close_snaps(struct idx_cat_snap *const *snaps, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		idx_cat_snap_close(snaps[i]);
}

/* The record of a URI that counts. 0 with a record in the snapshots; -NOT_FOUND; -CORRUPT and the like. */
static int find(const struct sup_engine *e, struct idx_cat_snap *const *snaps, unsigned n, const char *uri, size_t len, struct om_rec *ret)
{
	struct om_rec rec;
	bool have = false;
	int worst = 0;

	for (unsigned i = 0; i < n; i++) {
		int err = peek(e, snaps[i], uri, len, &rec);
		if (err == 0 && (!have || idx_cat_rec_wins(&rec, ret))) {
			*ret = rec;
			have = true;
		} else if (err < 0 && err != -OBJM_STATUS_NOT_FOUND) {
			worst = err;
		}
	}
	if (have)
		return 0;
	return worst ? worst : -OBJM_STATUS_NOT_FOUND;
}

static int miss_status(const struct sup_engine *e, int err)
{
	return err == -OBJM_STATUS_NOT_FOUND && sup_pub_blind(e) ? -OBJM_STATUS_UNAVAILABLE : err;
}

/* Heat of a key, from the segment the lifecycle process writes. */
static void fill_heat(struct sup_engine *e, const char *uri, size_t len, struct om_op_record *rec)
{
	struct idx_key key;
	struct idx_ent ent;
	struct idx_heat_val val;
	uint32_t slot;

	idx_key_make(sup_engine_secret(e), uri, len, &key);
	pthread_mutex_lock(&e->seg_lock);
	if (e->heat.seg.base && idxr_get(&e->heat_idx, &key, &ent, &slot) == 0 &&
	    idx_heat_get(&e->heat, slot, om_wall_ns() / 1000000000u, ent.since_s, &val) == 0) {
		rec->heat_ppm = (uint32_t)(val.heat * 1e6 + 0.5);
		rec->access_count = val.count < 4e9 ? (uint32_t)(val.count + 0.5) : UINT32_MAX;
		rec->last_access_s = val.last_s;
	}
	pthread_mutex_unlock(&e->seg_lock);
}

static void do_lookup(struct sup_engine *e, struct sup_job *job)
{
	const struct om_op_lookup *m = (const void *)job->msg.bytes;
	const char *uri = (const char *)(m + 1);
	struct idx_cat_snap *snaps[OM_TIERS_MAX];
	struct om_rec rec = { 0 };
	int err;
	unsigned n = open_snaps(e, snaps, &err);

	int found = find(e, snaps, n, uri, m->uri_len, &rec);
	if (found == 0 && sup_expired(rec.expiry_s))
		found = -OBJM_STATUS_NOT_FOUND;
	if (found == -OBJM_STATUS_NOT_FOUND)
		found = err < 0 ? err : miss_status(e, found);
	struct om_op_record r = { .hdr = { .type = OM_OP_RECORD, .req = m->hdr.req }, .status = found };
	if (found == 0) {
		r.rev = rec.rev;
		r.id = rec.id;
		r.size = rec.size;
		r.mtime_ns = rec.mtime_ns;
		r.expiry_s = rec.expiry_s;
		r.flags = rec.flags;
		r.tier = rec.tier;
		r.home = rec.home;
		r.type_len = m->full ? rec.type_len : 0;
		r.meta_len = m->full ? rec.meta_len : 0;
		if (m->full)
			fill_heat(e, uri, m->uri_len, &r);
	}
	r.hdr.len = (uint32_t)sizeof(r) + r.type_len + r.meta_len;
	struct iovec iov[] = { { &r, sizeof(r) },
			       { (void *)(uintptr_t)rec.type, r.type_len },
			       { (void *)(uintptr_t)rec.meta, r.meta_len } };
	OM_ASSERT(add_answer(job, iov, 3)); /* a request without an answer would hang its client */
	close_snaps(snaps, n);
}

struct list_ctx {
	struct sup_job *job;
	uint64_t req;
	size_t bytes;
	bool full;
};

static int list_item(void *arg, const struct idx_cat_list_item *item)
{
	struct list_ctx *c = arg;
	const struct om_rec *rec = item->rec;
	struct om_op_entry ent = { .hdr = { .type = OM_OP_ENTRY, .req = c->req }, .is_prefix = item->is_prefix };

	ent.uri_len = (uint16_t)item->name_len;
	if (rec) {
		ent.id = rec->id;
		ent.size = rec->size;
		ent.mtime_ns = rec->mtime_ns;
		ent.expiry_s = rec->expiry_s;
		ent.rev = rec->rev;
		ent.flags = rec->flags;
		ent.tier = rec->tier;
		ent.home = rec->home;
		ent.type_len = rec->type_len;
	}
	ent.hdr.len = (uint32_t)sizeof(ent) + ent.uri_len + ent.type_len;
	if (c->bytes && c->bytes + ent.hdr.len > OM_LIST_BYTES_MAX) {
		c->full = true;
		return -OBJM_STATUS_TOO_LARGE; /* stops here: the caller goes on after the last name given */
	}
	c->bytes += ent.hdr.len;
	struct iovec iov[] = { { &ent, sizeof(ent) },
			       { (void *)(uintptr_t)item->name, item->name_len },
			       { (void *)(uintptr_t)(rec ? rec->type : NULL), ent.type_len } };
	return add_answer(c->job, iov, 3) ? 0 : -OBJM_STATUS_OUT_OF_MEMORY;
}

static void do_list(struct sup_engine *e, struct sup_job *job)
{
	const struct om_op_list *m = (const void *)job->msg.bytes;
	const char *text = (const char *)(m + 1);
	struct idx_cat_snap *snaps[OM_TIERS_MAX];
	struct list_ctx ctx = { .job = job, .req = m->hdr.req };
	struct idx_cat_list_req req = {
		.prefix = text, .prefix_len = m->prefix_len, .after = text + m->prefix_len, .after_len = m->after_len,
		.delim = (const char *)&m->delimiter, .delim_len = m->delimiter ? 1 : 0,
		.limit = OM_MIN(m->limit, OM_LIST_LIMIT_MAX), .now_s = om_wall_s(),
		.visible = atomic_load(&e->tombs_apply) ? listed : NULL, .visible_ctx = e,
	};
	struct idx_cat_list_res *res = calloc(1, sizeof(*res));
	struct om_op_list_end end = { .hdr = { .len = sizeof(end), .type = OM_OP_LIST_END, .req = m->hdr.req } };
	int err = -OBJM_STATUS_OUT_OF_MEMORY;

	if (res) {
		unsigned n = open_snaps(e, snaps, &err);
		if (err == 0)
			err = idx_cat_list(snaps, n, &req, list_item, &ctx, res);
		close_snaps(snaps, n);
	}
	if (ctx.full)
		err = 0;
	end.more = ctx.full || (err == 0 && res && res->more);
	end.status = err == 0 && !end.more && sup_pub_blind(e) ? -OBJM_STATUS_UNAVAILABLE : err;
	free(res);
	struct iovec iov = { &end, sizeof(end) };
	OM_ASSERT(add_answer(job, &iov, 1));
}

/* What stands under the URI of a PREPARE or DELETE, while the index cannot say. */
static void do_resolve(struct sup_engine *e, struct sup_job *job)
{
	const char *uri;
	size_t len;
	struct idx_cat_snap *snaps[OM_TIERS_MAX];
	struct om_rec rec = { 0 };
	int err;

	if (job->msg.hdr.type == OM_OP_PREPARE) {
		const struct om_op_prepare *m = (const void *)job->msg.bytes;
		uri = (const char *)(m + 1);
		len = m->uri_len;
	} else {
		const struct om_op_delete *m = (const void *)job->msg.bytes;
		uri = (const char *)(m + 1);
		len = m->uri_len;
	}
	unsigned n = open_snaps(e, snaps, &err);
	job->status = find(e, snaps, n, uri, len, &rec);
	if (job->status == 0 && !sup_expired(rec.expiry_s)) {
		job->found = true;
		job->uid = rec.uid;
		job->ent = (struct idx_ent){ .id = rec.id, .size = rec.size, .rev = rec.rev, .tier = rec.tier, .home = rec.home };
	} else if (job->status == -OBJM_STATUS_NOT_FOUND) {
		job->status = err;
	}
	close_snaps(snaps, n);
}

/* All records of a URI, for who administers: no merging, what each catalog says. */
static void do_ask(struct sup_engine *e, struct sup_job *job)
{
	const struct om_op_task *m = (const void *)job->msg.bytes;
	const char *uri = (const char *)(m + 1);
	struct idx_cat_snap *snaps[OM_TIERS_MAX];
	struct sup_engine_answer a = { .status = 0 };
	struct om_op_record heat = { .id = 0 };
	struct om_rec rec, best = { .id = 0 };
	unsigned serves = 0;
	int err;
	unsigned n = open_snaps(e, snaps, &err);

	for (unsigned i = 0; i < n; i++) {
		int one = peek(e, snaps[i], uri, m->uri_len, &rec);
		if (one < 0 && one != -OBJM_STATUS_NOT_FOUND)
			err = one;
		if (one < 0)
			continue;
		if (!a.n_records || idx_cat_rec_wins(&rec, &best)) {
			best = rec;
			serves = a.n_records;
		}
		a.records[a.n_records++] = (struct sup_engine_record){
			.id = rec.id, .size = rec.size, .mtime_ns = rec.mtime_ns, .expiry_s = rec.expiry_s, .rev = rec.rev,
			.flags = rec.flags, .uid = rec.uid, .tier = rec.tier, .home = rec.home,
		};
	}
	for (unsigned i = 0; i < a.n_records; i++) /* a cached copy of the version that counts is what GET answers with */
		if (a.records[i].id == best.id && a.records[i].tier != a.records[i].home)
			serves = i;
	if (a.n_records) {
		a.records[serves].serves = true;
		if (best.type_len)
			memcpy(a.type, best.type, OM_MIN((size_t)best.type_len, sizeof(a.type) - 1));
		a.meta_len = best.meta_len;
		fill_heat(e, uri, m->uri_len, &heat);
		a.heat = heat.heat_ppm / 1e6;
		a.last_access_s = heat.last_access_s;
		a.accesses = heat.access_count;
	} else {
		a.status = err < 0 ? err : miss_status(e, -OBJM_STATUS_NOT_FOUND);
	}
	close_snaps(snaps, n);
	sup_ask_answer(e, m->hdr.req, &a);
}

/* The record that a SET changes, and where it is. */
static void do_set(struct sup_engine *e, struct sup_job *job)
{
	struct idx_cat_snap *snaps[OM_TIERS_MAX];
	struct sup_op *op = job->ops;
	struct om_rec rec = { 0 }, other;
	uint32_t tiers = 0;
	int err;
	unsigned n = open_snaps(e, snaps, &err);
	int status = err < 0 ? err : find(e, snaps, n, op->rec.uri, op->rec.uri_len, &rec);

	if (status == 0 && sup_expired(rec.expiry_s))
		status = -OBJM_STATUS_NOT_FOUND;
	status = miss_status(e, status);
	for (unsigned i = 0; status == 0 && i < n; i++)
		if (peek(e, snaps[i], op->rec.uri, op->rec.uri_len, &other) == 0 && other.id == rec.id)
			tiers |= 1u << e->tier_by_no[other.tier]->ix;
	sup_set_merge(op, status, &rec, tiers);
	close_snaps(snaps, n);
}

/* A block of ids, durable before the first of it is given out. */
static void do_ids(struct sup_engine *e, struct sup_job *job)
{
	job->status = idx_state_ids_reserve(e->state, SUP_ID_BLOCK, job->oldest, &job->first_id);
	if (job->status < 0)
		om_log(OM_MSG_CATALOG, "no ids could be reserved, puts wait: %s", idx_cat_message());
}

struct stale_ctx {
	struct sup_engine *e;
	struct sup_job *job;
};

/* The records that lost when the index was built, with their URIs: one op for each. Rare: only after a crash. */
static int stale_rec(void *arg, const struct om_rec *rec)
{
	struct stale_ctx *c = arg;
	struct sup_loser probe = { .id = rec->id, .tier = rec->tier };

	const struct sup_loser *l = bsearch(&probe, c->e->losers, c->e->n_losers, sizeof(probe), sup_loser_cmp);
	if (!l)
		return 0;
	struct sup_op *op = sup_op_new(SUP_OP_STALE, rec);
	if (!op)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	idx_key_make(sup_engine_secret(c->e), rec->uri, rec->uri_len, &op->ikey);
	op->dead = l->dead;
	op->next = c->job->ops;
	c->job->ops = op;
	return 0;
}

static void do_stale(struct sup_engine *e, struct sup_job *job)
{
	struct stale_ctx ctx = { e, job };
	struct idx_cat_scan_res res;
	struct idx_cat_snap *snap;

	for (unsigned i = 0; i < e->n_tiers; i++) {
		if (!e->tiers[i].cat || idx_cat_snap_open(e->tiers[i].cat, &snap) < 0)
			continue;
		(void)idx_cat_scan(snap, stale_rec, &ctx, &res); /* what it misses the next start finds again */
		idx_cat_snap_close(snap);
	}
}

/* Asked inside the transaction that clears them: what is planned later is recorded behind it. */
static bool tombs_idle(void *arg) { return atomic_load(&((struct sup_tier *)arg)->tombs_idle); }

/* Tombstones of tiers that are here and whole, and that met no record at this start. */
static void do_tombs(struct sup_engine *e)
{
	for (unsigned i = 0; i < e->n_tiers; i++) {
		struct sup_tier *t = &e->tiers[i];
		if (t->no == OM_TIER_NONE || !tombs_idle(t))
			continue;
		if (idx_state_tomb_clear(e->state, t->no, tombs_idle, t) < 0)
			om_log(OM_MSG_CATALOG, "tombstones of tier %s cannot be cleared: %s", t->conf->name, idx_cat_message());
	}
}

void *sup_read_main(void *arg)
{
	struct sup_engine *e = arg;
	struct sup_job *job;

	while ((job = sup_job_take(e))) {
		job->answer_end = &job->answer;
		(void)pthread_rwlock_rdlock(&e->cats);
		switch (job->kind) {
		case SUP_JOB_LOOKUP:
			do_lookup(e, job);
			break;
		case SUP_JOB_LIST:
			do_list(e, job);
			break;
		case SUP_JOB_RESOLVE:
			do_resolve(e, job);
			break;
		case SUP_JOB_SET:
			do_set(e, job);
			break;
		case SUP_JOB_IDS:
			do_ids(e, job);
			break;
		case SUP_JOB_TOMBS:
			do_tombs(e);
			break;
		case SUP_JOB_STALE:
			do_stale(e, job);
			break;
		case SUP_JOB_ASK:
			do_ask(e, job);
			break;
		}
		(void)pthread_rwlock_unlock(&e->cats);
		struct sup_mail *mail = sup_mail_new(SUP_MAIL_JOB);
		mail->job = job;
		sup_mail_post(e, mail);
	}
	return NULL;
}
