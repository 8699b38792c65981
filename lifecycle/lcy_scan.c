/*
 * lcy_scan.c: a tier's files are reported to the supervisor, which makes a lost catalog again or finds orphans.
 * A scan runs in a thread of its own, one at a time: a walk over millions of files must not hold removals up.
 */
#include <sys/eventfd.h>

#include "common/om_counter.h"
#include "common/om_fault.h"
#include "lifecycle/lcy.h"

void lcy_scan_order(struct lcy *l, const struct om_op_scan *order)
{
	struct lcy_scan *s = calloc(1, sizeof(*s));

	OM_ASSERT(s); /* the supervisor starts another of us, and asks again */
	s->order = *order;
	*l->scans_end = s;
	l->scans_end = &s->next;
}

struct scan_ctx {
	struct lcy *l;
	const struct om_op_scan *order;
	uint64_t files;
};

static int report(void *arg, const struct be_found *f)
{
	struct scan_ctx *c = arg;
	const struct om_rec *r = &f->rec;
	struct om_op_found m = {
		.hdr = { .type = OM_OP_FOUND, .req = c->order->hdr.req }, .id = f->id, .size = r->size, .mtime_ns = r->mtime_ns,
		.tier = c->order->tier,
	};

	int injected = om_fault(OM_FAULT_SCAN_FILE);
	if (injected)
		return -om_status_errno(injected);
	if (f->has_attr) {
		m.expiry_s = r->expiry_s;
		m.flags = r->flags;
		m.rev = r->rev;
		m.uid = r->uid;
		m.uri_len = r->uri_len;
		m.type_len = r->type_len;
		m.meta_len = r->meta_len;
	}
	m.hdr.len = (uint32_t)sizeof(m) + m.uri_len + m.type_len + m.meta_len;
	struct iovec iov[] = { { &m, sizeof(m) },
			       { (void *)(uintptr_t)r->uri, m.uri_len },
			       { (void *)(uintptr_t)r->type, m.type_len },
			       { (void *)(uintptr_t)r->meta, m.meta_len } };
	c->files++;
	om_count(OM_C_SCANNED, 1);
	return c->l->send(c->l, iov, 4);
}

static void *scan_main(void *arg)
{
	struct lcy *l = arg;
	const struct om_op_scan *o = &l->scan_now->order;
	struct scan_ctx c = { .l = l, .order = o };
	int err = o->tier < OM_TIERS_MAX && l->tiers[o->tier].on ?
			  be_scan(&l->tiers[o->tier].scan, o->id_from, o->id_to, report, &c) :
			  -OBJM_STATUS_UNAVAILABLE;
	struct om_op_scanned m = { .hdr = { .len = sizeof(m), .type = OM_OP_SCANNED, .req = o->hdr.req }, .files = c.files,
				   .status = err, .tier = o->tier };
	struct iovec iov = { &m, sizeof(m) };

	if (l->send(l, &iov, 1) < 0)
		om_log(OM_MSG_NOTE, "lifecycle: the end of a scan could not be told: the ring is broken"); /* the loop sees it too */
	atomic_store(&l->scan_ended, true);
	(void)eventfd_write(l->ring.kick_self, 1); /* the loop starts the next one */
	return NULL;
}

void lcy_scan_turn(struct lcy *l)
{
	if (l->scan_running && atomic_load(&l->scan_ended)) {
		(void)pthread_join(l->scan_thread, NULL);
		l->scan_running = false;
		free(l->scan_now);
		l->scan_now = NULL;
	}
	if (l->scan_running || !l->scans)
		return;
	struct lcy_scan *s = l->scans;
	l->scans = s->next;
	if (!l->scans)
		l->scans_end = &l->scans;
	l->scan_now = s;
	atomic_store(&l->scan_ended, false);
	if (pthread_create(&l->scan_thread, NULL, scan_main, l) == 0) {
		l->scan_running = true;
		return;
	}
	l->scan_now = NULL;
	s->next = l->scans; /* no memory for a thread now: at a later turn */
	l->scans = s;
	if (!s->next)
		l->scans_end = &s->next;
}
