/*
 * wrk_put_commit.c: COMMIT: the record of an object whose file has its name, and is as durable as promised. The supervisor's verdict
 * is the client's answer. Process objmapper-worker, loop thread; called by wrk_put_batch.c.
 */
#include "common/om_fault.h"
#include "worker/wrk_put_int.h"

static void on_committed(void *arg, const struct om_op_verdict *v)
{
	struct wrk_put *p = arg;

	wrk_put_pace_back(p);
	(void)om_fault(OM_FAULT_PUT_VERDICT);
	if (p->dead) {
		wrk_put_end(p); /* nobody was promised anything */
	} else if (v->status < 0) {
		wrk_put_refused(p, v); /* the supervisor has the file removed */
	} else {
		p->rec.rev = v->rev ? v->rev : p->rec.rev;
		wrk_put_answer(p, 0);
	}
}

void wrk_put_submit(struct wrk_put *p)
{
	if (p->dead) {
		wrk_ring_abort(p->set->w->ring, p->rec.id, 0);
		wrk_put_end(p);
		return;
	}
	p->state = WRK_PUT_SUBMIT;
	if (wrk_ring_commit(p->set->w->ring, &p->rec, on_committed, p, NULL) < 0) {
		/* Only the table of requests can be full, and answers empty it: the reservation waits. Not WAIT: an abort in
		 * between must not free what has an id. */
		wrk_put_later(p, WRK_PUT_RETRY_NS, wrk_put_submit);
		return;
	}
	wrk_put_pace_out(p);
	(void)om_fault(OM_FAULT_PUT_SUBMITTED);
}
