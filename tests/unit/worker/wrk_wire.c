/*
 * wrk_wire.c: see wrk_wire.h.
 */
#include "wrk_wire.h"

size_t wire_v1(uint8_t *buf, char mode, const char *uri)
{
	struct om_proto_req q = { .mode = (uint8_t)mode, .uri = uri, .uri_len = (uint16_t)strlen(uri) };
	int n = om_proto_v1_req_encode(&q, buf, 8192);

	assert_true(n > 0);
	return (size_t)n;
}

size_t wire_v2(uint8_t *buf, uint32_t id, uint8_t flags, char mode, const char *uri)
{
	struct om_proto_req q = { .id = id, .flags = flags, .mode = (uint8_t)mode, .uri = uri, .uri_len = (uint16_t)strlen(uri) };
	int n = om_proto_v2_req_encode(&q, buf, 8192);

	assert_true(n > 0);
	return (size_t)n;
}

uint64_t wire_be(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

void wire_resp(int fd, int version, struct wire_resp *r)
{
	uint8_t h[OM_PROTO_V2_RESP_HDR], *p = h;
	struct om_proto_meta m;
	size_t pos = 0;

	harness_read(fd, h, version == 1 ? OM_PROTO_V1_RESP_HDR : OM_PROTO_V2_RESP_HDR);
	r->id = 0;
	r->size = 0;
	if (version == 2) {
		assert_int_equal(p[0], OM_PROTO_T_RESPONSE);
		r->id = (uint32_t)wire_be(p + 1, 4);
		p += 5;
	}
	r->status = p[0];
	r->content_len = wire_be(p + 1, 8);
	r->meta_len = (uint16_t)wire_be(p + 9, 2);
	assert_true(r->meta_len <= sizeof(r->meta));
	harness_read(fd, r->meta, r->meta_len);
	while (om_proto_meta_next(r->meta, r->meta_len, &pos, &m) == 1)
		if (m.type == OM_PROTO_META_SIZE)
			r->size = om_proto_meta_num(&m);
}

void wire_file(int fd, const char *want)
{
	char buf[256];
	ssize_t n = read(fd, buf, sizeof(buf));

	assert_int_equal(n, strlen(want));
	assert_memory_equal(buf, want, strlen(want));
	(void)close(fd);
}

int wire_connect(struct harness *h, uint16_t caps, uint16_t pipeline, struct om_proto_hello *ret)
{
	uint8_t buf[32], ack[OM_PROTO_HELLO_ACK_LEN];
	struct om_proto_hello hello = { .caps = caps, .max_pipeline = pipeline };
	struct om_proto_out out;
	size_t need;
	int fd = harness_connect(h), n = om_proto_hello_encode(&hello, buf, sizeof(buf));

	harness_write(fd, buf, (size_t)n);
	harness_read(fd, ack, sizeof(ack));
	assert_int_equal(om_proto_out_decode(2, false, 0, ack, sizeof(ack), &out, &need), sizeof(ack));
	if (ret)
		*ret = out.u.hello;
	return fd;
}
