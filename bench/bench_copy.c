/*
 * bench_copy.c: objmapper's copy mode: version 2 of the protocol, the bytes come through the socket. Pipelined as the other
 * systems are: the requests of a batch in one send.
 */
#include "bench/bench_wire.h"
#include "client/objm.h"
#include "common/proto/om_proto.h"

struct handle {
	const struct bench_opts *o;
	struct bench_wire *w;
	bool said;
};

static void shut(void *p)
{
	struct handle *h = p;

	bench_wire_close(h->w);
	free(h);
}

static bool hello(struct bench_wire *w)
{
	struct om_proto_hello want = {.caps = OM_PROTO_CAP_PIPELINING};
	uint8_t buf[OM_PROTO_HELLO_LEN];
	const char *ack;

	bench_wire_put(w, buf, (size_t)om_proto_hello_encode(&want, buf, sizeof(buf)));
	if (!bench_wire_flush(w))
		return false;
	ack = bench_wire_take(w, OM_PROTO_HELLO_ACK_LEN);
	return (ack && memcmp(ack, "OBJM", 4) == 0) || bench_wire_broken("handshake");
}

static void *start(const struct bench_opts *o, unsigned thread)
{
	struct handle *h = calloc(1, sizeof(*h));

	(void)thread;
	if (!h) {
		(void)bench_fail("out of memory");
		return NULL;
	}
	h->o = o;
	h->w = bench_wire_open(bench_socket(o));
	if (!h->w || !hello(h->w)) {
		shut(h);
		return NULL;
	}
	return h;
}

static bool answer(struct handle *h, struct bench_result *r)
{
	const uint8_t *head = (const uint8_t *)bench_wire_take(h->w, OM_PROTO_V2_RESP_HDR);
	uint8_t status;

	if (!head || head[0] != 0x02)
		return bench_wire_broken("get --copy");
	status = head[5];
	uint16_t meta_len = (uint16_t)(head[14] << 8 | head[15]);
	uint64_t size = 0;

	for (int i = 6; i < 14; i++)
		size = size << 8 | head[i];
	if (!bench_wire_body(h->w, meta_len, false) || !bench_wire_body(h->w, om_proto_resp_fd(status, size) ? 1 : size, h->o->read))
		return bench_wire_broken("get --copy");
	if (status == OBJM_STATUS_OK) {
		r->ops++;
		r->bytes += size;
		return true;
	}
	r->errors++;
	if (!h->said)
		(void)bench_fail("get --copy: %s", objm_status_text(status));
	h->said = true;
	return true;
}

static bool get(void *p, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	struct handle *h = p;
	uint8_t buf[OM_PROTO_V2_REQ_HDR + BENCH_URI_MAX];

	for (unsigned i = 0; i < n; i++) {
		struct om_proto_req req = {
			.id = i, .mode = OBJM_MODE_COPY, .uri = items[i].uri, .uri_len = (uint16_t)items[i].uri_len};

		bench_wire_put(h->w, buf, (size_t)om_proto_v2_req_encode(&req, buf, sizeof(buf)));
	}
	if (!bench_wire_flush(h->w))
		return false;
	for (unsigned i = 0; i < n; i++)
		if (!answer(h, r))
			return false;
	return true;
}

const struct bench_driver bench_objm_copy = {.name = "copy", .open = start, .get = get, .close = shut};
