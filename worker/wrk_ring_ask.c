/*
 * wrk_ring_ask.c: the messages that a worker sends to the supervisor (process objmapper-worker, loop thread). See wrk_ring.h.
 */
#include "worker/wrk_ring_int.h"

#define WRK_RING_PIECE(p, n) ((struct iovec){ (void *)(uintptr_t)(p), (n) })

static void wrk_ring_hdr(struct om_op_hdr *hdr, uint16_t type, uint64_t req, const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	*hdr = (struct om_op_hdr){ .len = (uint32_t)len, .type = type, .req = req };
}

/* A message that is answered: put its header right, note who takes the answer, send it. LIMIT_EXCEEDED and the like as wrk_ring_admit(). */
static int wrk_ring_ask(struct wrk_ring *r, struct om_op_hdr *hdr, enum om_op op, struct iovec *iov, int n, enum wrk_ring_kind kind,
			union wrk_ring_fn fn, void *arg, uint64_t *ret_req)
{
	struct wrk_ring_row *row;
	uint64_t req;
	int rc = wrk_ring_admit(r, WRK_RING_ROOM_OPS / 2, true);

	if (rc < 0)
		return rc;
	req = wrk_ring_take_row(r, kind, arg, &row);
	row->fn = fn;
	wrk_ring_hdr(hdr, op, req, iov, n);
	wrk_ring_send(r, iov, n);
	if (ret_req)
		*ret_req = req;
	return 0;
}

int wrk_ring_prepare(struct wrk_ring *r, const struct wrk_ring_prepare *p, wrk_ring_verdict_fn *fn, void *arg,
		     uint64_t *ret_req)
{
	struct om_op_prepare m = { .cond = { .id = p->cond_id, .rev = p->cond_rev, .kind = p->cond_kind },
				   .size = p->size, .flags = p->flags, .uid = p->uid, .tier = p->tier,
				   .uri_len = p->uri_len, .room = p->room };
	struct iovec iov[] = { WRK_RING_PIECE(&m, sizeof(m)), WRK_RING_PIECE(p->uri, p->uri_len) };

	return wrk_ring_ask(r, &m.hdr, OM_OP_PREPARE, iov, OM_ARRAY_SIZE(iov), WRK_RING_VERDICT, (union wrk_ring_fn){ .verdict = fn }, arg, ret_req);
}

int wrk_ring_commit(struct wrk_ring *r, const struct om_rec *rec, wrk_ring_verdict_fn *fn, void *arg, uint64_t *ret_req)
{
	struct om_op_commit m = { .id = rec->id, .size = rec->size, .mtime_ns = rec->mtime_ns, .expiry_s = rec->expiry_s,
				  .flags = rec->flags, .tier = rec->tier, .uri_len = rec->uri_len,
				  .type_len = rec->type_len, .meta_len = rec->meta_len };
	struct iovec iov[] = { WRK_RING_PIECE(&m, sizeof(m)), WRK_RING_PIECE(rec->uri, rec->uri_len),
			       WRK_RING_PIECE(rec->type, rec->type_len), WRK_RING_PIECE(rec->meta, rec->meta_len) };
	struct wrk_ring_row *row;
	uint64_t req;
	int rc = wrk_ring_admit(r, 0, false);

	if (rc < 0)
		return rc;
	req = wrk_ring_take_row(r, WRK_RING_VERDICT, arg, &row);
	row->fn.verdict = fn;
	wrk_ring_hdr(&m.hdr, OM_OP_COMMIT, req, iov, OM_ARRAY_SIZE(iov));
	wrk_ring_send(r, iov, OM_ARRAY_SIZE(iov));
	if (ret_req)
		*ret_req = req;
	return 0;
}

void wrk_ring_abort(struct wrk_ring *r, uint64_t id, int status)
{
	struct om_op_abort m = { .id = id, .status = status };
	struct iovec iov = WRK_RING_PIECE(&m, sizeof(m));

	wrk_ring_hdr(&m.hdr, OM_OP_ABORT, 0, &iov, 1);
	wrk_ring_send(r, &iov, 1);
}

int wrk_ring_enter(struct wrk_ring *r, enum om_admit what, uint32_t uid, wrk_ring_verdict_fn *fn, void *arg)
{
	struct om_op_admit m = { .uid = uid, .what = (uint8_t)what };
	struct iovec iov = WRK_RING_PIECE(&m, sizeof(m));
	struct wrk_ring_row *row;
	int rc = wrk_ring_admit(r, 0, false);

	if (rc < 0)
		return rc;
	wrk_ring_hdr(&m.hdr, OM_OP_ADMIT, wrk_ring_take_row(r, WRK_RING_VERDICT, arg, &row), &iov, 1);
	row->fn.verdict = fn;
	wrk_ring_send(r, &iov, 1);
	return 0;
}

void wrk_ring_leave(struct wrk_ring *r, enum om_admit what, uint32_t uid)
{
	struct om_op_admit m = { .uid = uid, .what = (uint8_t)what };
	struct iovec iov = WRK_RING_PIECE(&m, sizeof(m));

	wrk_ring_hdr(&m.hdr, OM_OP_LEAVE, 0, &iov, 1);
	wrk_ring_send(r, &iov, 1);
}

void wrk_ring_on_change(struct wrk_ring *r, wrk_ring_changed_fn *fn, void *arg)
{
	r->changed_fn = fn;
	r->changed_arg = arg;
}

void wrk_ring_watch(struct wrk_ring *r, bool on, uint64_t from)
{
	struct om_op_watch m = { .from = from, .on = on };
	struct iovec iov = WRK_RING_PIECE(&m, sizeof(m));

	wrk_ring_hdr(&m.hdr, OM_OP_WATCH, 0, &iov, 1);
	wrk_ring_send(r, &iov, 1);
}

int wrk_ring_delete(struct wrk_ring *r, const char *uri, uint16_t uri_len, uint8_t cond_kind, uint64_t cond_id,
		    uint32_t cond_rev, wrk_ring_verdict_fn *fn, void *arg, uint64_t *ret_req)
{
	struct om_op_delete m = { .cond = { .id = cond_id, .rev = cond_rev, .kind = cond_kind }, .uri_len = uri_len };
	struct iovec iov[] = { WRK_RING_PIECE(&m, sizeof(m)), WRK_RING_PIECE(uri, uri_len) };

	return wrk_ring_ask(r, &m.hdr, OM_OP_DELETE, iov, OM_ARRAY_SIZE(iov), WRK_RING_VERDICT, (union wrk_ring_fn){ .verdict = fn }, arg, ret_req);
}

int wrk_ring_set(struct wrk_ring *r, const struct wrk_ring_set *s, wrk_ring_verdict_fn *fn, void *arg, uint64_t *ret_req)
{
	struct om_op_set m = { .cond = s->cond, .expiry_s = s->expiry_s, .flags_mask = s->flags_mask, .flags = s->flags,
			       .flags_keep = s->flags_keep, .has_type = s->has_type, .has_meta = s->has_meta,
			       .has_expiry = s->has_expiry, .uri_len = s->uri_len, .type_len = s->type_len, .meta_len = s->meta_len };
	struct iovec iov[] = { WRK_RING_PIECE(&m, sizeof(m)), WRK_RING_PIECE(s->uri, s->uri_len),
			       WRK_RING_PIECE(s->type, s->type_len), WRK_RING_PIECE(s->meta, s->meta_len) };

	return wrk_ring_ask(r, &m.hdr, OM_OP_SET, iov, OM_ARRAY_SIZE(iov), WRK_RING_VERDICT, (union wrk_ring_fn){ .verdict = fn }, arg, ret_req);
}

int wrk_ring_lookup(struct wrk_ring *r, const char *uri, uint16_t uri_len, bool full, wrk_ring_record_fn *fn, void *arg,
		    uint64_t *ret_req)
{
	struct om_op_lookup m = { .uri_len = uri_len, .full = full };
	struct iovec iov[] = { WRK_RING_PIECE(&m, sizeof(m)), WRK_RING_PIECE(uri, uri_len) };

	return wrk_ring_ask(r, &m.hdr, OM_OP_LOOKUP, iov, OM_ARRAY_SIZE(iov), WRK_RING_RECORD, (union wrk_ring_fn){ .record = fn }, arg, ret_req);
}

int wrk_ring_reserve(struct wrk_ring *r, uint32_t room, uint64_t bytes, uint8_t tier, uint32_t uid, uint32_t flags, bool wait,
		     wrk_ring_verdict_fn *fn, void *arg, uint64_t *ret_req)
{
	struct om_op_reserve m = { .bytes = bytes, .room = room, .flags = flags, .tier = tier, .wait = wait, .uid = uid };
	struct iovec iov = WRK_RING_PIECE(&m, sizeof(m));

	return wrk_ring_ask(r, &m.hdr, OM_OP_RESERVE, &iov, 1, WRK_RING_VERDICT, (union wrk_ring_fn){ .verdict = fn }, arg, ret_req);
}

void wrk_ring_release(struct wrk_ring *r, uint32_t room)
{
	struct om_op_release m = { .room = room };
	struct iovec iov = WRK_RING_PIECE(&m, sizeof(m));

	wrk_ring_hdr(&m.hdr, OM_OP_RELEASE, 0, &iov, 1);
	wrk_ring_send(r, &iov, 1);
}

int wrk_ring_gone(struct wrk_ring *r, const char *uri, uint16_t uri_len, uint64_t id, uint8_t tier, wrk_ring_verdict_fn *fn,
		  void *arg, uint64_t *ret_req)
{
	struct om_op_gone m = { .id = id, .tier = tier, .uri_len = uri_len };
	struct iovec iov[] = { WRK_RING_PIECE(&m, sizeof(m)), WRK_RING_PIECE(uri, uri_len) };

	return wrk_ring_ask(r, &m.hdr, OM_OP_GONE, iov, OM_ARRAY_SIZE(iov), WRK_RING_VERDICT, (union wrk_ring_fn){ .verdict = fn }, arg, ret_req);
}

int wrk_ring_list(struct wrk_ring *r, const char *prefix, uint16_t prefix_len, const char *after, uint16_t after_len,
		  uint8_t delimiter, uint32_t limit, wrk_ring_list_fn *fn, void *arg, uint64_t *ret_req)
{
	struct om_op_list m = { .limit = OM_MIN(OM_MAX(limit, 1u), OM_LIST_LIMIT_MAX), .prefix_len = prefix_len,
				.after_len = after_len, .delimiter = delimiter };
	struct iovec iov[] = { WRK_RING_PIECE(&m, sizeof(m)), WRK_RING_PIECE(prefix, prefix_len),
			       WRK_RING_PIECE(after, after_len) };
	struct wrk_ring_row *row;
	uint64_t req;
	int rc = wrk_ring_admit(r, WRK_RING_ROOM_OPS / 2, true);

	if (rc < 0)
		return rc;
	req = wrk_ring_take_row(r, WRK_RING_LIST, arg, &row);
	row->fn.list = fn;
	wrk_ring_hdr(&m.hdr, OM_OP_LIST, req, iov, OM_ARRAY_SIZE(iov));
	wrk_ring_send(r, iov, OM_ARRAY_SIZE(iov));
	if (ret_req)
		*ret_req = req;
	return 0;
}
