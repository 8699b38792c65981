/*
 * wrk_req.c: requests: their structures, their order, their end (process objmapper-worker, loop thread). Called by all that
 * begins or answers them.
 */
#include "worker/wrk_req.h"

#include "common/om_hist.h"
#include "worker/wrk_reqlog.h"
#include "worker/wrk_ring.h"

static struct wrk_req *wrk_req_spare;
static unsigned wrk_req_spares;

struct wrk_req *wrk_req_new(struct wrk_conn *c)
{
	struct wrk_req *r = wrk_req_spare;

	if (r) {
		wrk_req_spare = r->next;
		wrk_req_spares--;
	} else {
		r = malloc(sizeof(*r));
		if (!r) {
			wrk_conn_log(c, OM_MSG_PEER_LIMIT, "out of memory for a request of uid %d: the connection is closed", (int)c->uid);
			wrk_conn_close(c);
			return NULL;
		}
	}
	*r = (struct wrk_req){ .conn = c, .w = c->w, .index = -1, .job_fd = -1, .turn_ns = c->w->loop.now_ns };
	r->next = c->reqs;
	if (c->reqs)
		c->reqs->prev = r;
	else
		c->reqs_oldest = r;
	c->reqs = r;
	return r;
}

static void wrk_req_count(struct wrk_req *r)
{
	if (r->counted || !r->conn)
		return;
	r->counted = true;
	r->conn->n_reqs++;
	r->conn->n_heavy += r->heavy;
}

bool wrk_req_wait(struct wrk_req *r)
{
	if (!r->uri_owned && r->uri_len) {
		char *copy = malloc(r->uri_len);

		if (!copy)
			return false;
		memcpy(copy, r->uri, r->uri_len);
		r->uri = copy;
		r->uri_owned = true;
	}
	wrk_req_count(r);
	return true;
}

static void wrk_req_unlink(struct wrk_req *r)
{
	struct wrk_conn *c = r->conn;

	if (!c)
		return;
	if (r->prev)
		r->prev->next = r->next;
	else
		c->reqs = r->next;
	if (r->next)
		r->next->prev = r->prev;
	else
		c->reqs_oldest = r->prev;
	if (r->counted) {
		c->n_reqs--;
		c->n_heavy -= r->heavy;
	}
	if (r->parked) {
		c->parked_held -= wrk_out_held(r->stage);
		c->parked_bytes -= wrk_out_bytes(r->stage);
	}
	c->n_lists -= r->page != NULL;
	if (c->payload == r)
		c->payload = NULL; /* the rest of it is thrown away */
	r->conn = NULL;
}

static void wrk_req_free(struct wrk_req *r)
{
	if (r->uri_owned)
		free((void *)(uintptr_t)r->uri);
	free(r->full);
	free(r->list.buf);
	free(r->last);
	if (r->page)
		r->page_free(r);
	if (r->stage) {
		wrk_out_fini(r->stage);
		free(r->stage);
	}
	if (wrk_req_spares >= WRK_REQ_SPARE_MAX) {
		free(r);
		return;
	}
	r->next = wrk_req_spare;
	wrk_req_spare = r;
	wrk_req_spares++;
}

bool wrk_req_stage(struct wrk_req *r)
{
	r->stage = malloc(sizeof(*r->stage));
	if (!r->stage) {
		wrk_conn_close(r->conn);
		return false;
	}
	wrk_out_init(r->stage, r->w->fdcache);
	return true;
}

static void wrk_req_park(struct wrk_req *r)
{
	struct wrk_conn *c = r->conn;

	wrk_req_count(r);
	r->parked = true;
	c->parked_held += wrk_out_held(r->stage);
	c->parked_bytes += wrk_out_bytes(r->stage);
	wrk_conn_touch(c);
}

static enum om_hist wrk_req_hist(const struct wrk_req *r)
{
	switch (r->op) {
	case OM_PROTO_OP_GET: return OM_H_GET;
	case OM_PROTO_OP_STAT: return OM_H_STAT;
	case OM_PROTO_OP_LIST: return OM_H_LIST;
	case OM_PROTO_OP_PUT_INLINE:
	case OM_PROTO_OP_PUT_COMMIT: return OM_H_PUT;
	case OM_PROTO_OP_DELETE: return OM_H_DELETE;
	default: return OM_H_OTHER;
	}
}

/* How long it took. Those that end in the turn in which they came are counted at its end, with one look at the clock. */
static void wrk_req_clock(const struct wrk_req *r)
{
	struct wrk *w = r->w;

	if (r->index >= 0 || !r->conn)
		return; /* part of a group; or nobody is there any more */
	if (r->turn_ns == w->loop.now_ns)
		w->turn_ended[wrk_req_hist(r)]++;
	else
		om_hist_add(wrk_req_hist(r), om_now_ns() - r->turn_ns, 1);
}

void wrk_req_turn(struct wrk *w, uint64_t now_ns)
{
	for (unsigned h = 0; h < OM_H_COUNT; h++) {
		if (!w->turn_ended[h])
			continue;
		om_hist_add((enum om_hist)h, now_ns - w->loop.now_ns, w->turn_ended[h]);
		w->turn_ended[h] = 0;
	}
}

/* The oldest request has ended: answers whose turn it is leave. What is next and not done goes on without a stage. */
static void wrk_req_release(struct wrk_conn *c)
{
	struct wrk_req *r;

	while (c->state != WRK_CONN_DEAD && (r = c->reqs_oldest) && r->stage) {
		struct wrk_out *stage = r->stage;
		bool parked = r->parked;

		if (parked) {
			wrk_req_clock(r);
			wrk_req_unlink(r);
		}
		r->stage = NULL;
		if (wrk_out_move(&c->out, stage) < 0) {
			wrk_conn_log(c, OM_MSG_PEER_LIMIT, "out of memory for an answer to uid %d: the connection is closed", (int)c->uid);
			wrk_conn_close(c);
		}
		wrk_out_fini(stage);
		free(stage);
		if (!parked)
			return;
		wrk_req_free(r);
	}
}

void wrk_req_end(struct wrk_req *r)
{
	struct wrk_req *group = r->group;
	struct wrk_conn *c = r->conn;
	bool oldest = c && c->reqs_oldest == r;

	OM_ASSERT(!r->job.busy && !r->ring_req && !r->parked);
	wrk_reqlog(r);
	if (c && r->stage) { /* it is not the oldest, or it had none any more */
		wrk_req_park(r);
		return;
	}
	if (c)
		wrk_conn_touch(c);
	wrk_req_clock(r);
	wrk_req_unlink(r);
	wrk_req_free(r);
	if (group && --group->left == 0)
		wrk_req_end(group);
	if (oldest)
		wrk_req_release(c);
}

void wrk_req_conn_gone(struct wrk_conn *c)
{
	struct wrk_req *r, *left = NULL;

	while ((r = c->reqs)) {
		wrk_req_unlink(r);
		if (r->ring_req)
			wrk_ring_forget(r->w->ring, r->ring_req);
		r->ring_req = 0;
		r->parked = false;
		if (r->job.busy || r->left) { /* ends with its job; a group with its last part */
			r->next = NULL;
			continue;
		}
		r->next = left;
		left = r;
	}
	while ((r = left)) { /* nobody will call back about these */
		left = r->next;
		wrk_req_end(r);
	}
}

void wrk_req_fini(void)
{
	while (wrk_req_spare) {
		struct wrk_req *r = wrk_req_spare;

		wrk_req_spare = r->next;
		free(r);
	}
	wrk_req_spares = 0;
}
