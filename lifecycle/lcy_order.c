/*
 * lcy_order.c: what the supervisor sends over the ring, to whom it belongs. Loop's thread of objmapper-lifecycle.
 *
 * The supervisor is trusted, but what arrives is checked as anything that crosses a process: length, fields, then the handler.
 */
#include "lifecycle/lcy.h"

static bool take_verdict(struct lcy *l, const void *m)
{
	(void)lcy_moves_verdict(&l->moves, m); /* one that comes too late answers a job that is over */
	return true;
}

static bool take_room(struct lcy *l, const void *m)
{
	lcy_act_room(l, m);
	return true;
}

static bool take_scan(struct lcy *l, const void *m)
{
	lcy_scan_order(l, m);
	return true;
}

static bool take_attr(struct lcy *l, const void *m)
{
	const struct om_op_attr *a = m;

	lcy_attr(l, a, a->hdr.len);
	return true;
}

static bool take_task(struct lcy *l, const void *m)
{
	const struct om_op_task *t = m;

	if (t->uri_len > OM_URI_MAX || t->hdr.len != sizeof(*t) + t->uri_len)
		return false;
	lcy_task_order(l, t, (const char *)(t + 1));
	return true;
}

static const struct {
	uint16_t type;
	bool exact; /* nothing follows the fixed part */
	size_t fixed;
	bool (*take)(struct lcy *l, const void *m);
} orders[] = {
	{ OM_OP_VERDICT, true, sizeof(struct om_op_verdict), take_verdict },
	{ OM_OP_ROOM, true, sizeof(struct om_op_room), take_room },
	{ OM_OP_SCAN, true, sizeof(struct om_op_scan), take_scan },
	{ OM_OP_ATTR, false, sizeof(struct om_op_attr), take_attr },
	{ OM_OP_TASK, false, sizeof(struct om_op_task), take_task },
};

void lcy_order(struct lcy *l, const struct om_op_hdr *m, size_t len)
{
	bool known = false;

	for (unsigned i = 0; i < OM_ARRAY_SIZE(orders); i++)
		if (orders[i].type == m->type && m->len == len && (orders[i].exact ? len == orders[i].fixed : len >= orders[i].fixed))
			known = orders[i].take(l, m);
	if (!OM_CHECK(known)) /* an order that does not exist, or is malformed: counted, and passed over */
		return;
}

/* Fills the batch from the ring; other orders are dealt with on the side. 0 or negative: the ring is broken. */
static int collect(struct lcy *l, struct lcy_reaps *b)
{
	static union {
		struct om_op_hdr hdr;
		struct om_op_reap reap;
		unsigned char bytes[OM_RING_MSG_MAX];
	} m; /* the loop is one thread */
	size_t len;
	int err = 0;

	while (b->n < LCY_REAP_BATCH) {
		err = om_ring_get(&l->ring, m.bytes, sizeof(m.bytes), &len);
		if (err < 0)
			break;
		if (len >= sizeof(m.hdr) && m.hdr.type == OM_OP_REAP && len == sizeof(m.reap)) {
			if (b->n == 0)
				b->due_ns = om_now_ns() + LCY_REAP_WAIT_MS * UINT64_C(1000000);
			b->order[b->n++] = m.reap;
		} else if (len >= sizeof(m.hdr)) {
			lcy_order(l, &m.hdr, len);
		}
	}
	return err == -OBJM_STATUS_WOULD_BLOCK ? 0 : err;
}

bool lcy_order_turn(struct lcy *l)
{
	struct lcy_reaps *b = &l->reaps;
	bool full;

	do {
		if (collect(l, b) < 0)
			return false;
		lcy_moves_allowed(&l->moves);
		full = b->n == LCY_REAP_BATCH;
		if (b->n && (full || l->draining || om_now_ns() >= b->due_ns) && !lcy_files_remove(l, b))
			return false;
	} while (full);
	return true;
}
