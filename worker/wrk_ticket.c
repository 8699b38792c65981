/*
 * wrk_ticket.c: see wrk_ticket.h (process objmapper-worker, loop thread). Called by wrk_conn_set.c and wrk_put.c.
 */
#include "worker/wrk_ticket.h"

struct wrk_ticket {
	struct wrk *w;
	wrk_ticket_fn *fn; /* NULL: dropped while it was asked for */
	void *arg;
	enum om_admit what;
	uint32_t uid;
	bool asked, admitted;
};

static void wrk_ticket_verdict(void *arg, const struct om_op_verdict *v)
{
	struct wrk_ticket *t = arg;

	t->asked = false;
	t->admitted = v->status == 0;
	if (!t->fn)
		wrk_ticket_drop(t);
	else
		t->fn(t->arg, v->status == 0 ? OM_ADMIT_OK : v->cur_rev == OM_ADMIT_LIMIT_UID ? OM_ADMIT_LIMIT_UID : OM_ADMIT_LIMIT_ALL);
}

struct wrk_ticket *wrk_ticket_new(struct wrk *w, enum om_admit what, uint32_t uid, wrk_ticket_fn *fn, void *arg)
{
	struct wrk_ticket *t = malloc(sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct wrk_ticket){ .w = w, .fn = fn, .arg = arg, .what = what, .uid = uid, .asked = true };
	if (wrk_ring_enter(w->ring, what, uid, wrk_ticket_verdict, t) == 0)
		return t;
	free(t);
	return NULL;
}

void wrk_ticket_drop(struct wrk_ticket *t)
{
	if (!t)
		return;
	if (t->asked) {
		t->fn = NULL; /* goes with its verdict */
		return;
	}
	if (t->admitted)
		wrk_ring_leave(t->w->ring, t->what, t->uid);
	free(t);
}
