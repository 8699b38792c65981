/*
 * wrk_get.c: GET and STAT (process objmapper-worker, loop thread; cold opens on an I/O thread).
 *
 *	look up -> (only the supervisor knows: ask it, look again) -> (type, metadata, heat wanted: ask it) -> open -> answer
 *
 * The hot way, a slot of the index and a descriptor of the cache, makes no system call and allocates nothing. A file that is
 * gone when it is opened has been moved or replaced since the slot was read: the slot is read again, WRK_GET_TRIES times. One
 * that is gone although the slot is what it was (its tier's files vanished) is told to the supervisor, which looks itself and
 * has the slot name the home copy, or nothing.
 */
#include "worker/wrk_get.h"

#include <sys/uio.h>

#include "common/om_counter.h"
#include "worker/wrk_answer.h"
#include "worker/wrk_code.h"
#include "worker/wrk_open.h"
#include "worker/wrk_reqlog.h"
#include "worker/wrk_right.h"
#include "worker/wrk_small.h"
#include "worker/wrk_write.h"

#define WRK_GET_TRIES 4u

static void wrk_get_found(struct wrk_req *r);
static void wrk_get_open(struct wrk_req *r);

/* ---------------------------------------------------------------- look-up */

/* A tier that may hold the object is away, so "not found" is not known. */
static bool wrk_get_tier_away(const struct wrk *w)
{
	for (unsigned i = 0; i < OM_TIERS_MAX; i++) {
		struct idxr_tier row;

		if (w->tiers[i].known && idxr_tier(&w->idx, i, &row) == 0 &&
		    (row.state == OM_TIERS_ABSENT || row.state == OM_TIERS_REBUILDING))
			return true;
	}
	return false;
}

static int wrk_get_missing(const struct wrk *w)
{
	return wrk_get_tier_away(w) ? -OBJM_STATUS_UNAVAILABLE : -OBJM_STATUS_NOT_FOUND;
}

static bool wrk_get_expired(const struct idx_ent *e)
{
	return e->expiry_s && e->expiry_s <= om_wall_s();
}

static int wrk_get_result(struct wrk_req *r, int rc)
{
	r->has_slot = rc == 0;
	if (rc == -OBJM_STATUS_NOT_FOUND)
		return wrk_get_missing(r->w);
	if (rc == 0 && wrk_get_expired(&r->ent))
		return -OBJM_STATUS_NOT_FOUND;
	return rc;
}

int wrk_get_lookup(struct wrk_req *r)
{
	if (!r->keyed) {
		idx_key_make(r->w->boot.key_secret, r->uri, r->uri_len, &r->key);
		r->keyed = true;
	}
	r->bucket = idx_key_bucket(&r->key);
	r->gen = idx_gen_load(r->w->gens, r->bucket);
	return wrk_get_result(r, idxr_get(&r->w->idx, &r->key, &r->ent, &r->slot));
}

static void wrk_get_fail(struct wrk_req *r, int status)
{
	if (status == -OBJM_STATUS_NOT_FOUND && wrk_write_legacy_missed(r))
		return;
	if (status == -OBJM_STATUS_UNAVAILABLE)
		wrk_answer_error(r, status, "not available now: a tier that may hold this object is absent or being rebuilt");
	else
		wrk_answer_error(r, status, NULL);
}

/* ---------------------------------------------------------------- asking the supervisor */

static void wrk_get_ent(struct wrk_req *r, const struct om_op_record *rec)
{
	r->has_slot = false;
	r->ent = (struct idx_ent){ .id = rec->id, .size = rec->size, .mtime_ns = rec->mtime_ns, .expiry_s = rec->expiry_s,
				   .rev = rec->rev, .flags = (uint16_t)rec->flags, .tier = rec->tier, .home = rec->home };
}

/* The answer to "where is it", or to "tell me all about it". */
static void wrk_get_record(void *arg, const struct om_op_record *rec, const char *type, const unsigned char *meta)
{
	struct wrk_req *r = arg;
	bool full = r->op == OM_PROTO_OP_STAT || (r->flags & OM_PROTO_F_WANT_META);
	int rc;

	r->ring_req = 0;
	if (full && rec->status == 0) {
		size_t n = (size_t)rec->type_len + rec->meta_len;

		free(r->full);
		r->full = malloc(sizeof(*r->full) + n);
		if (!r->full) {
			wrk_answer_error(r, -OBJM_STATUS_OUT_OF_MEMORY, NULL);
			return;
		}
		*r->full = (struct wrk_req_full){ .heat_ppm = rec->heat_ppm, .access_count = rec->access_count,
						  .last_access_s = rec->last_access_s, .type_len = rec->type_len,
						  .meta_len = rec->meta_len };
		memcpy(r->full->bytes, type, rec->type_len);
		memcpy(r->full->bytes + rec->type_len, meta, rec->meta_len);
	}
	/* A change may have been published between the catalogs' answer and now; the index, if it knows, is newer. */
	rc = wrk_get_lookup(r);
	if (rc == -OBJM_STATUS_BUSY || (rc == 0 && full && rec->status == 0 && rec->id == r->ent.id && rec->rev > r->ent.rev)) {
		rc = rec->status;
		if (rc == 0)
			wrk_get_ent(r, rec);
		if (rc == 0 && wrk_get_expired(&r->ent))
			rc = -OBJM_STATUS_NOT_FOUND;
	}
	if (rc < 0) {
		wrk_get_fail(r, rc);
		return;
	}
	/* What was told is of another version: ask again about this one. */
	if (full && (!r->full || rec->id != r->ent.id || rec->rev != r->ent.rev)) {
		free(r->full);
		r->full = NULL;
	}
	if (full && !r->full && ++r->tries >= WRK_GET_TRIES) {
		wrk_answer_error(r, -OBJM_STATUS_TRY_AGAIN, "the object keeps changing while it is looked up: try again");
		return;
	}
	wrk_get_found(r);
}

static void wrk_get_ask(struct wrk_req *r, bool full)
{
	int rc;

	if (!wrk_answer_later(r))
		return;
	om_count_own(OM_C_LOOKUPS_ASKED, 1);
	rc = wrk_ring_lookup(r->w->ring, r->uri, r->uri_len, full, wrk_get_record, r, &r->ring_req);
	if (rc < 0) {
		r->ring_req = 0;
		wrk_answer_error(r, rc, "too many requests wait for the supervisor: try again");
	}
}

/* ---------------------------------------------------------------- opening */

/* The slot may say something else by now. */
static void wrk_get_again(struct wrk_req *r, int rc)
{
	if (rc == 0)
		wrk_get_found(r);
	else if (rc == -OBJM_STATUS_BUSY)
		wrk_get_ask(r, r->op == OM_PROTO_OP_STAT || (r->flags & OM_PROTO_F_WANT_META));
	else
		wrk_get_fail(r, rc);
}

/* What the supervisor found where a file should have been: whatever it was, the index says it now. */
static void wrk_get_gone_judged(void *arg, const struct om_op_verdict *v)
{
	struct wrk_req *r = arg;

	r->ring_req = 0;
	if (v->status == -OBJM_STATUS_UNAVAILABLE)
		wrk_answer_error(r, v->status, "not available now: the tier that holds this object does not show its files");
	else
		wrk_get_again(r, wrk_get_lookup(r));
}

/* Its file is not there, and the slot is what it was: true when the request goes on elsewhere: with the supervisor's verdict. */
static bool wrk_get_gone(struct wrk_req *r)
{
	if (r->gone_told || !r->has_slot)
		return false;
	r->gone_told = true;
	if (!wrk_answer_later(r))
		return true; /* out of memory, and answered so */
	if (wrk_ring_gone(r->w->ring, r->uri, r->uri_len, r->ent.id, r->ent.tier, wrk_get_gone_judged, r, &r->ring_req) < 0) {
		r->ring_req = 0;
		wrk_answer_error(r, -OBJM_STATUS_TRY_AGAIN, "too many requests wait for the supervisor: try again");
	}
	return true;
}

/* An open has failed. */
static void wrk_get_open_failed(struct wrk_req *r, int status)
{
	int err = errno;

	if (status == -OBJM_STATUS_NOT_FOUND && ++r->tries < WRK_GET_TRIES) {
		const struct idx_ent was = r->ent;
		int rc = wrk_get_lookup(r);

		if (rc == 0 && was.id == r->ent.id && was.tier == r->ent.tier && wrk_get_gone(r))
			return;
		wrk_get_again(r, rc);
		return;
	}
	if (status == -OBJM_STATUS_UNAVAILABLE) {
		wrk_get_fail(r, status);
		return;
	}
	if (err == EMFILE || err == ENFILE)
		wrk_fdcache_shrink(r->w->fdcache, 64); /* the next ones find room */
	struct om_log_about about = wrk_reqlog_about(r);
	om_log_about(OM_MSG_OBJECT_IO, &about, "object %llu on tier %s cannot be opened: %s", (unsigned long long)r->ent.id,
	       r->ent.tier < OM_TIERS_MAX ? r->w->tiers[r->ent.tier].row.name : "?",
	       status == -OBJM_STATUS_NOT_FOUND ? "its file is not there" : strerror(err));
	if (status == -OBJM_STATUS_OUT_OF_MEMORY)
		wrk_answer_error(r, status, "the daemon has no free descriptor now: try again");
	else
		wrk_answer_error(r, -OBJM_STATUS_STORAGE, "the object's file cannot be opened: read the daemon's log");
}

static bool wrk_get_shares(const struct wrk_req *r)
{
	return !r->copy && r->form == WRK_REQ_EXT && r->conn->promise && wrk_fdcache_shareable(r->conn->uid);
}

/* Bytes of the object that the answer has; with a range that begins behind its end none. */
static uint64_t wrk_get_length(const struct wrk_req *r)
{
	uint64_t len = r->ent.size - OM_MIN(r->range.off, r->ent.size);

	return r->range.len ? OM_MIN(len, r->range.len) : len;
}

/* Bytes wanted, and so few that they are copied rather than sent from the file. */
static bool wrk_get_small(const struct wrk_req *r)
{
	return r->copy && r->mode != OM_PROTO_MODE_SPLICE && r->ent.size <= WRK_SMALL_MAX && wrk_get_length(r) > 0;
}

/* Read all of a small object, if that does not wait. */
static bool wrk_get_read(const struct wrk_req *r, int fd, uint8_t buf[static WRK_SMALL_MAX])
{
	bool memory = r->w->tiers[r->ent.tier].row.type == OM_TIER_MEMORY;
	struct iovec iov = { buf, r->ent.size };

	return preadv2(fd, &iov, 1, 0, memory ? 0 : RWF_NOWAIT) == (ssize_t)r->ent.size;
}

static void wrk_get_opened_copy(struct wrk_req *r, int fd)
{
	static uint8_t buf[WRK_SMALL_MAX];

	if (!wrk_get_small(r) || !wrk_get_read(r, fd, buf)) {
		if (!wrk_code_may(r, wrk_get_length(r)) || !wrk_code_sample(r, fd, wrk_get_length(r)))
			wrk_answer_bytes(r, fd, r->range.off, wrk_get_length(r));
		return;
	}
	(void)close(fd);
	wrk_small_put(r->w->small, r->ent.id, buf, r->ent.size, r->w->tiers[r->ent.tier].row.type == OM_TIER_MEMORY);
	wrk_answer_data(r, buf + r->range.off, r->range.off, wrk_get_length(r));
}

/* The file is open: answer. */
static void wrk_get_opened(struct wrk_req *r, int fd)
{
	if (r->has_slot)
		idx_alogw_add(&r->w->alog, r->w->idx.segment, r->slot);
	if (r->copy) {
		wrk_get_opened_copy(r, fd);
		return;
	}
	if (r->mode == OM_PROTO_MODE_SEGMENTED) {
		wrk_answer_seg(r, fd);
		return;
	}
	if (r->conn && wrk_get_shares(r)) {
		struct wrk_fdkey key = { .id = r->ent.id, .uid = r->conn->uid, .tier = r->ent.tier };
		struct wrk_fde *e = wrk_fdcache_wants(r->w->fdcache, &key) ?
					    wrk_fdcache_add(r->w->fdcache, &key, fd, wrk_fdcache_large(r->ent.size)) : NULL;

		if (e) {
			wrk_answer_fd(r, &(struct wrk_out_fd){ .fd = wrk_fdcache_fd(e), .ref = e });
			return;
		}
	}
	wrk_answer_fd(r, &(struct wrk_out_fd){ .fd = fd, .own = true, .large = wrk_fdcache_large(r->ent.size) });
}

static void wrk_get_job_run(struct wrk_io_job *job)
{
	struct wrk_req *r = (struct wrk_req *)((char *)job - offsetof(struct wrk_req, job));

	errno = 0;
	r->job_rc = wrk_open_wait(r->w, r->ent.tier, r->ent.id, &r->job_fd);
	r->job_err = errno;
}

static void wrk_get_job_done(struct wrk_io_job *job)
{
	struct wrk_req *r = (struct wrk_req *)((char *)job - offsetof(struct wrk_req, job));

	if (r->job_rc == 0) {
		wrk_get_opened(r, om_take_fd(&r->job_fd)); /* a connection that is gone: the answer closes it */
		return;
	}
	errno = r->job_err;
	if (r->conn)
		wrk_get_open_failed(r, r->job_rc);
	else
		wrk_req_end(r);
}

/* A tier without the flag `readable` serves nobody; where it holds a copy, the home does. False: it was answered. */
static bool wrk_get_readable(struct wrk_req *r)
{
	if (wrk_tier_readable(r->w, r->ent.tier))
		return true;
	if (r->ent.home < OM_TIERS_MAX && r->ent.home != r->ent.tier && wrk_tier_readable(r->w, r->ent.home)) {
		r->ent.tier = r->ent.home;
		return true;
	}
	wrk_answer_error(r, -OBJM_STATUS_UNAVAILABLE, "not available: the tier that holds this object does not have the flag readable");
	return false;
}

static void wrk_get_open(struct wrk_req *r)
{
	int fd, rc;

	if (!wrk_get_readable(r))
		return;
	if (wrk_get_shares(r)) {
		struct wrk_fdkey key = { .id = r->ent.id, .uid = r->conn->uid, .tier = r->ent.tier };
		struct wrk_fde *e = wrk_fdcache_get(r->w->fdcache, &key);

		if (e) {
			if (r->has_slot)
				idx_alogw_add(&r->w->alog, r->w->idx.segment, r->slot);
			wrk_answer_fd(r, &(struct wrk_out_fd){ .fd = wrk_fdcache_fd(e), .ref = e });
			return;
		}
	}
	if (wrk_get_small(r)) {
		const uint8_t *data = wrk_small_get(r->w->small, r->ent.id, r->ent.size);

		if (data) {
			if (r->has_slot)
				idx_alogw_add(&r->w->alog, r->w->idx.segment, r->slot);
			wrk_answer_data(r, data + r->range.off, r->range.off, wrk_get_length(r));
			return;
		}
	}
	rc = wrk_open_now(r->w, r->ent.tier, r->ent.id, &fd);
	if (rc == 0) {
		wrk_get_opened(r, fd);
		return;
	}
	if (rc != -OBJM_STATUS_WOULD_BLOCK) {
		wrk_get_open_failed(r, rc);
		return;
	}
	if (!wrk_answer_later(r))
		return;
	r->job.run = wrk_get_job_run;
	r->job.done = wrk_get_job_done;
	rc = wrk_io_submit(r->w->io, r->priority ? WRK_IO_URGENT : WRK_IO_READ, &r->job);
	if (rc < 0)
		wrk_answer_error(r, rc, "too many cold objects are being opened: try again");
}

/* ---------------------------------------------------------------- found */

static void wrk_get_stat(struct wrk_req *r)
{
	const struct wrk_req_full *f = r->full;
	struct om_proto_body body = { 0 };

	wrk_answer_obj(r, &body, true);
	if (f->type_len) {
		body.have |= OM_PROTO_BIT(TYPE);
		body.type = (struct om_proto_str){ f->bytes, f->type_len };
	}
	if (f->meta_len) {
		body.have |= OM_PROTO_BIT(META);
		body.meta = (struct om_proto_str){ f->bytes + f->type_len, f->meta_len };
	}
	body.have |= OM_PROTO_BIT(HEAT);
	body.heat = (struct om_proto_heat){ f->heat_ppm, f->access_count, f->last_access_s };
	wrk_answer_body(r, &body, NULL);
}

static void wrk_get_found(struct wrk_req *r)
{
	bool full = r->op == OM_PROTO_OP_STAT || (r->form == WRK_REQ_EXT && (r->flags & OM_PROTO_F_WANT_META));

	if (full && !r->full) {
		wrk_get_ask(r, true);
		return;
	}
	if (r->op == OM_PROTO_OP_STAT) {
		wrk_get_stat(r);
		return;
	}
	if (r->copy && r->range.off > r->ent.size) {
		wrk_answer_error(r, -OBJM_STATUS_RANGE_NOT_SATISFIABLE, NULL);
		return;
	}
	wrk_get_open(r);
}

static void wrk_get_go(struct wrk_req *r, int rc)
{
	if (rc == 0) {
		wrk_get_found(r);
	} else if (rc == -OBJM_STATUS_BUSY) {
		om_count_own(OM_C_INDEX_BUSY, 1);
		wrk_get_ask(r, r->op == OM_PROTO_OP_STAT || (r->form == WRK_REQ_EXT && (r->flags & OM_PROTO_F_WANT_META)));
	} else {
		wrk_get_fail(r, rc);
	}
}

void wrk_get(struct wrk_req *r)
{
	if (om_uri_check(r->uri, r->uri_len) < 0) {
		wrk_answer_error(r, -OBJM_STATUS_INVALID_REQUEST, "the URI is not UTF-8, or contains a zero byte");
		return;
	}
	if (!wrk_right(r, OM_RIGHT_READ, r->uri, r->uri_len))
		return;
	wrk_get_go(r, wrk_get_lookup(r));
}

void wrk_get_many(struct wrk_req **reqs, unsigned n)
{
	struct idx_key keys[IDXR_MANY_MAX];
	struct idx_ent ents[IDXR_MANY_MAX];
	uint32_t slots[IDXR_MANY_MAX];
	struct wrk_conn *c = reqs[0]->conn;
	const struct wrk *w = reqs[0]->w;

	OM_ASSERT(n > 0 && n <= IDXR_MANY_MAX);
	for (unsigned i = 0; i < n; i++) {
		struct wrk_req *r = reqs[i];

		idx_key_make(w->boot.key_secret, r->uri, r->uri_len, &keys[i]);
		idxr_prefetch(&w->idx, &keys[i]);
		r->key = keys[i];
		r->keyed = true;
		r->bucket = idx_key_bucket(&r->key);
		r->gen = idx_gen_load(w->gens, r->bucket); /* before the look-up below */
	}
	idxr_get_many(&w->idx, keys, n, ents, slots);
	for (unsigned i = 0; i < n && c->state != WRK_CONN_DEAD; i++) { /* dead: the rest has been ended */
		struct wrk_req *r = reqs[i];

		if (om_uri_check(r->uri, r->uri_len) < 0) {
			wrk_answer_error(r, -OBJM_STATUS_INVALID_REQUEST, "the URI is not UTF-8, or contains a zero byte");
			continue;
		}
		if (!wrk_right(r, OM_RIGHT_READ, r->uri, r->uri_len))
			continue;
		if (slots[i] == IDXR_NO_SLOT) {
			wrk_get_go(r, wrk_get_lookup(r)); /* why not, or found by now */
			continue;
		}
		r->ent = ents[i];
		r->slot = slots[i];
		wrk_get_go(r, wrk_get_result(r, 0));
	}
}
