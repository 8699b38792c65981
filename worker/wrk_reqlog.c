/*
 * wrk_reqlog.c: see wrk_reqlog.h. Called when a request ends (wrk_req.c) and by whoever logs about one.
 */
#include "worker/wrk_reqlog.h"

#include "common/om_log.h"

struct om_log_about wrk_reqlog_about(const struct wrk_req *r)
{
	struct om_log_about a = { 0 };

	if (r->conn)
		a = wrk_conn_about(r->conn);
	a.uri = r->uri_len ? r->uri : NULL;
	a.uri_len = r->uri_len;
	a.request = r->id;
	a.asked = true;
	if (r->ent.id) {
		a.id = r->ent.id;
		a.tier = r->ent.tier < OM_TIERS_MAX && r->w->tiers[r->ent.tier].known ? r->w->tiers[r->ent.tier].row.name : NULL;
	}
	return a;
}

void wrk_reqlog_set(struct wrk *w, uint32_t ppm)
{
	w->reqlog_every = ppm ? (1000000u + ppm / 2) / ppm : 0;
	w->reqlog_left = w->reqlog_every;
}

void wrk_reqlog_sampled(const struct wrk_req *r)
{
	struct om_log_about a = wrk_reqlog_about(r);
	bool get = r->op == OM_PROTO_OP_GET, ok = r->status == 0;

	r->w->reqlog_left = r->w->reqlog_every;
	if (r->left)
		return; /* a group: its parts are logged */
	a.timed = true;
	a.duration_us = (om_now_ns() - r->turn_ns) / 1000u;
	om_log_about(OM_MSG_ACCESS, &a, "%s %.*s: %s%s, %llu bytes, %llu us, uid %d pid %d", om_proto_op_name(r->op),
		     a.uri_len ? (int)OM_MIN(a.uri_len, 512u) : 1, a.uri_len ? a.uri : "-", ok ? "OK" : om_status_text(-(int)r->status),
		     !get || !ok ? "" : r->copied ? " as bytes" : " as a descriptor",
		     (unsigned long long)(r->copied ? r->bytes : get && ok ? r->ent.size : 0), (unsigned long long)a.duration_us,
		     a.client ? (int)a.uid : -1, a.client ? (int)a.pid : -1);
}
