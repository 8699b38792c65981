/*
 * objm_cache_report.c: telling the server which objects the client cache answered (TOUCH), so that what is hot in a client does
 * not grow cold on its tier.
 *
 * Runs in clients, on the session's thread, now and then out of a hit: nothing here waits. One report is under way at a time;
 * its answer is taken when the next report is due, or before the next request. What cannot be sent at once is not sent.
 */
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "client/objm_cache.h"
#include "client/objm_priv.h"

#define REPORT_BYTES 60000u /* of a frame: below what every server takes */

/* The answer of the report under way, if it is at the front of what was received. False: something else is. */
static bool take_answer(objm_t *s, bool *ret_more)
{
	struct om_proto_out out;
	size_t need;
	int n = om_proto_out_decode(OM_PROTO_V2, true, OM_PROTO_CAP_EXTENSION, objm_io_at(&s->io), objm_io_avail(&s->io), &out, &need);

	*ret_more = n == 0;
	if (n <= 0 || out.kind != OM_PROTO_OUT_EXT || out.u.ext.id != s->touch_id || out.u.ext.payload_len || out.u.ext.nfds)
		return n == 0;
	objm_io_consume(&s->io, (size_t)n);
	s->st.responses++;
	s->touch_id = 0;
	return true;
}

/* Without waiting. False: still under way. */
static bool answered(objm_t *s)
{
	bool more = true;

	if (s->touch_id == 0)
		return true;
	if (objm_io_avail(&s->io) > 0 && !take_answer(s, &more))
		return false; /* the server takes its leave: the next request finds out */
	while (s->touch_id != 0 && more) {
		if (objm_io_poll(&s->io) <= 0 || !take_answer(s, &more))
			return false;
	}
	return s->touch_id == 0;
}

void objm_cache_settle(objm_t *s)
{
	struct om_proto_out out;
	int n;

	while (s->touch_id != 0 && s->io.sock >= 0) {
		n = objm_next_message(s, true, &out);
		if (n < 0 || (out.kind == OM_PROTO_OUT_EXT && (out.u.ext.id != s->touch_id || out.u.ext.payload_len || out.u.ext.nfds))) {
			objm_disconnect(s); /* lost, or not to be followed: the request goes to a new connection */
			return;
		}
		if (out.kind == OM_PROTO_OUT_EXT)
			s->touch_id = 0;
		else
			s->leaving = true;
		objm_io_consume(&s->io, (size_t)n);
		s->st.responses++;
	}
}

/* The frame in s->tx: its length; 0: there is nothing to say. Counts start anew for what is in it. */
static size_t build(objm_t *s, uint64_t *ret_hits)
{
	struct om_proto_ext ext = {.op = OM_PROTO_OP_TOUCH, .id = s->next_id};
	struct objm_cache *c = s->cache;
	uint8_t data[12 + OM_URI_MAX];
	struct om_proto_wr wr;
	size_t at;

	if (s->tx_cap < REPORT_BYTES + sizeof(data) + 64) {
		uint8_t *p = realloc(s->tx, REPORT_BYTES + sizeof(data) + 64);

		if (!p)
			return 0;
		s->tx = p;
		s->tx_cap = REPORT_BYTES + sizeof(data) + 64;
	}
	om_proto_wr_init(&wr, s->tx, s->tx_cap);
	at = om_proto_ext_open(&wr);
	*ret_hits = 0;
	for (uint32_t i = 0; i < c->touched_count && wr.len < REPORT_BYTES; i++) {
		struct objm_cache_entry *e = &c->entries[c->touched[i]];
		const struct objm_cache_rest *r = &c->rests[c->touched[i]];
		const char *uri;
		size_t len;

		if (e->touches == 0 || e->len == 0)
			continue; /* its place has gone to another object */
		for (int b = 0; b < 8; b++)
			data[b] = (uint8_t)(r->id >> (56 - 8 * b));
		data[8] = data[9] = 0;
		data[10] = (uint8_t)(e->touches >> 8);
		data[11] = (uint8_t)e->touches;
		uri = objm_cache_uri(c, e, &len);
		memcpy(data + 12, uri, len);
		om_proto_tlv_put(&wr, OM_PROTO_TAG_TOUCHED, data, (uint32_t)(12u + len));
		*ret_hits += e->touches;
		e->touches = 0;
	}
	if (*ret_hits == 0 || om_proto_ext_close(&wr, at, &ext) < 0)
		return 0;
	return wr.len;
}

static void send_report(objm_t *s)
{
	uint64_t hits = 0;
	size_t len = build(s, &hits);
	ssize_t n;

	if (len == 0)
		return;
	n = send(s->io.sock, s->tx, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)len) {
		objm_disconnect(s); /* half a frame, or nobody there */
		return;
	}
	s->io.sent += len;
	s->st.requests++;
	s->cache->reported += hits;
	s->touch_id = s->next_id++;
	if (s->next_id == 0) /* 0 means none */
		s->next_id = 1;
}

void objm_cache_report(objm_t *s)
{
	struct objm_cache *c = s->cache;
	int unsent = 0;

	c->report_at_ns = om_coarse_ns() + (uint64_t)s->opt.cache_report_ms * 1000000u;
	/* Into an empty socket, so that the frame goes in one piece. */
	if (c->touched_count > 0 && s->io.sock >= 0 && !s->leaving && s->next_id != 0 && answered(s) && ioctl(s->io.sock, SIOCOUTQ, &unsent) == 0 &&
	    unsent == 0)
		send_report(s);
	for (uint32_t i = 0; i < c->touched_count; i++)
		c->entries[c->touched[i]].touches = 0;
	c->touched_count = 0;
}
