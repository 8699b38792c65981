/*
 * wrk_ring_rx.c: answers of the supervisor (process objmapper-worker, loop thread). It is trusted, yet what it sends is checked
 * for shape: exact length, then whose answer it is, then the call. A ring that makes no sense ends the worker.
 */
#include "worker/wrk_ring_int.h"

#define WRK_RING_TURN 512u /* messages taken in one turn; the rest waits for the next */

static bool wrk_ring_take_verdict(struct wrk_ring *r, struct wrk_ring_row *row, size_t len)
{
	const struct om_op_verdict *v = (const void *)r->buf;
	wrk_ring_verdict_fn *fn = row->fn.verdict;
	void *arg = row->arg;

	if (len != sizeof(*v) || v->status > 0 || row->is_list)
		return false;
	if (row->kind == WRK_RING_FORGOTTEN) {
		wrk_ring_give_row(r, row);
		return true;
	}
	if (row->kind != WRK_RING_VERDICT)
		return false;
	wrk_ring_give_row(r, row);
	fn(arg, v);
	return true;
}

static bool wrk_ring_take_record(struct wrk_ring *r, struct wrk_ring_row *row, size_t len)
{
	const struct om_op_record *rec = (const void *)r->buf;
	const char *type = (const char *)(rec + 1);
	wrk_ring_record_fn *fn = row->fn.record;
	void *arg = row->arg;

	if (len < sizeof(*rec) || rec->type_len > OM_TYPE_MAX || rec->meta_len > OM_META_MAX ||
	    len - sizeof(*rec) != (size_t)rec->type_len + rec->meta_len || rec->status > 0 || row->is_list)
		return false;
	if (row->kind == WRK_RING_FORGOTTEN) {
		wrk_ring_give_row(r, row);
		return true;
	}
	if (row->kind != WRK_RING_RECORD)
		return false;
	wrk_ring_give_row(r, row);
	fn(arg, rec, type, (const unsigned char *)type + rec->type_len);
	return true;
}

static bool wrk_ring_take_entry(struct wrk_ring *r, struct wrk_ring_row *row, size_t len)
{
	const struct om_op_entry *e = (const void *)r->buf;
	const char *uri = (const char *)(e + 1);

	if (len < sizeof(*e) || e->uri_len > OM_URI_MAX || e->type_len > OM_TYPE_MAX ||
	    len - sizeof(*e) != (size_t)e->uri_len + e->type_len || !row->is_list)
		return false;
	if (row->kind == WRK_RING_LIST)
		row->fn.list(row->arg, e, uri, uri + e->uri_len, NULL);
	return true;
}

static bool wrk_ring_take_list_end(struct wrk_ring *r, struct wrk_ring_row *row, size_t len)
{
	const struct om_op_list_end *end = (const void *)r->buf;
	wrk_ring_list_fn *fn = row->fn.list;
	bool tell = row->kind == WRK_RING_LIST;
	void *arg = row->arg;

	if (len != sizeof(*end) || end->status > 0 || !row->is_list)
		return false;
	wrk_ring_give_row(r, row);
	if (tell)
		fn(arg, NULL, NULL, NULL, end);
	return true;
}

static void wrk_ring_take(struct wrk_ring *r, size_t len)
{
	static const struct {
		uint16_t type;
		bool (*fn)(struct wrk_ring *r, struct wrk_ring_row *row, size_t len);
	} table[] = {
		{ OM_OP_VERDICT, wrk_ring_take_verdict },
		{ OM_OP_RECORD, wrk_ring_take_record },
		{ OM_OP_ENTRY, wrk_ring_take_entry },
		{ OM_OP_LIST_END, wrk_ring_take_list_end },
	};
	const struct om_op_hdr *hdr = (const void *)r->buf;
	struct wrk_ring_row *row;

	if (len < sizeof(*hdr) || hdr->len != len)
		wrk_ring_broken("length");
	if (hdr->type == OM_OP_CHANGED) {
		const struct om_op_changed *m = (const void *)r->buf;

		if (len < sizeof(*m) || len != sizeof(*m) + m->uri_len || m->change >= OM_CHANGES)
			wrk_ring_broken("change");
		if (r->changed_fn)
			r->changed_fn(r->changed_arg, m, (const char *)(m + 1));
		return;
	}
	row = wrk_ring_row(r, hdr->req);
	for (size_t i = 0; i < OM_ARRAY_SIZE(table); i++) {
		if (table[i].type != hdr->type)
			continue;
		if (!row || !table[i].fn(r, row, len))
			wrk_ring_broken("an answer that nobody asked for");
		return;
	}
	wrk_ring_broken("type");
}

static void wrk_ring_read(struct wrk_ring *r)
{
	r->more = false;
	for (unsigned n = 0; n < WRK_RING_TURN; n++) {
		size_t len;
		int rc = om_ring_get(&r->ring, r->buf, sizeof(r->buf), &len);

		if (rc == -OBJM_STATUS_WOULD_BLOCK)
			break;
		if (rc < 0)
			wrk_ring_broken("record");
		wrk_ring_take(r, len);
		r->more = n + 1 == WRK_RING_TURN;
	}
	if (r->head) /* who has answered has probably read too */
		wrk_ring_flush(r);
}

bool wrk_ring_before_wait(struct wrk_ring *r)
{
	om_ring_kick(&r->ring);
	r->asleep = !r->more && om_ring_sleep(&r->ring);
	return r->asleep;
}

void wrk_ring_after_wait(struct wrk_ring *r)
{
	if (r->asleep)
		om_ring_up(&r->ring);
	r->asleep = false;
	wrk_ring_read(r);
}
