/*
 * test_proto_basic.c: versions 1 and 2: what is malformed, too long, at its limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/proto/om_proto.h"

static int in_v1(const void *p, size_t len, struct om_proto_in *in, size_t *need)
{
	return om_proto_in_decode(OM_PROTO_V1, false, 0, 0, p, len, in, need);
}
static int in_v2(bool greeted, const void *p, size_t len, struct om_proto_in *in, size_t *need)
{
	return om_proto_in_decode(OM_PROTO_V2, greeted, OM_PROTO_CAP_EXTENSION, OM_PROTO_TLV_MAX, p, len, in, need);
}
static int out_v2(bool greeted, uint16_t caps, const void *p, size_t len, struct om_proto_out *out, size_t *need)
{
	return om_proto_out_decode(OM_PROTO_V2, greeted, caps, p, len, out, need);
}

static void test_first_byte(void **state)
{
	int b;

	(void)state;
	for (b = 0; b < 256; b++) {
		int want = b == 'O' ? OM_PROTO_V2 : b >= '1' && b <= '4' ? OM_PROTO_V1 : -OBJM_STATUS_PROTO_ERROR;
		assert_int_equal(om_proto_first((uint8_t)b), want);
	}
}

static void test_v1_uri_lengths(void **state)
{
	static uint8_t buf[3 + 65535];
	struct om_proto_in in;
	size_t need;

	(void)state;
	memset(buf, 'u', sizeof(buf));
	buf[0] = '1';
	buf[1] = buf[2] = 0;
	assert_int_equal(in_v1(buf, 3, &in, &need), 3);
	assert_int_equal(in.u.req.status, OBJM_STATUS_INVALID_REQUEST);

	buf[1] = 0x10; /* 4096: the longest */
	assert_int_equal(in_v1(buf, 3 + 4095, &in, &need), 0);
	assert_int_equal(need, 3 + 4096);
	assert_int_equal(in_v1(buf, 3 + 4096, &in, &need), 3 + 4096);
	assert_int_equal(in.u.req.status, OBJM_STATUS_OK);
	assert_int_equal(in.u.req.uri_len, 4096);
	assert_ptr_equal(in.u.req.uri, buf + 3);

	buf[2] = 1; /* 4097: answered from the header alone */
	assert_int_equal(in_v1(buf, 3, &in, &need), 3);
	assert_int_equal(in.u.req.status, OBJM_STATUS_URI_TOO_LONG);
	assert_int_equal(in.u.req.skip, 4097);
	assert_int_equal(in.u.req.uri_len, 0);

	buf[1] = buf[2] = 0xff;
	assert_int_equal(in_v1(buf, sizeof(buf), &in, &need), 3);
	assert_int_equal(in.u.req.skip, 65535);
}

static void test_v1_bad_mode(void **state)
{
	struct om_proto_in in;
	size_t need;

	(void)state;
	assert_int_equal(in_v1("5", 1, &in, &need), -OBJM_STATUS_PROTO_ERROR);
	assert_int_equal(in_v1("O\0\1u", 4, &in, &need), -OBJM_STATUS_PROTO_ERROR);
}

static void test_v2_mode_is_answered(void **state)
{
	const uint8_t bad[] = {1, 0, 0, 0, 9, 0xff, 'x', 0, 1, 'u'};
	struct om_proto_in in;
	size_t need;

	(void)state;
	assert_int_equal(in_v2(true, bad, sizeof(bad), &in, &need), sizeof(bad));
	assert_int_equal(in.kind, OM_PROTO_IN_REQUEST);
	assert_int_equal(in.u.req.id, 9);
	assert_int_equal(in.u.req.flags, 0xff);
	assert_int_equal(in.u.req.status, OBJM_STATUS_INVALID_MODE);
}

static void test_hello(void **state)
{
	struct om_proto_in in;
	struct om_proto_out out;
	size_t need;

	(void)state;
	/* Wrong at once, not only when all bytes are there. */
	assert_int_equal(in_v2(false, "OX", 2, &in, &need), -OBJM_STATUS_PROTO_ERROR);
	assert_int_equal(in_v2(false, "\1", 1, &in, &need), -OBJM_STATUS_PROTO_ERROR);
	assert_int_equal(in_v2(false, "OBJM\3", 5, &in, &need), -OBJM_STATUS_PROTO_VERSION);
	assert_int_equal(in_v2(false, "OBJM", 4, &in, &need), 0);
	assert_int_equal(need, OM_PROTO_HELLO_LEN);
	/* Not a second time, and not the other way round. */
	assert_int_equal(in_v2(true, "OBJM\2\0\0\0\0", 9, &in, &need), -OBJM_STATUS_PROTO_ERROR);
	assert_int_equal(out_v2(true, 0, "OBJM\2\0\0\0\0\1", 10, &out, &need), -OBJM_STATUS_PROTO_ERROR);
	assert_int_equal(out_v2(false, 0, "\2", 1, &out, &need), -OBJM_STATUS_PROTO_ERROR);
}

static void test_unknown_types(void **state)
{
	struct om_proto_in in;
	struct om_proto_out out;
	size_t need;
	int b;

	(void)state;
	for (b = 0; b < 256; b++) {
		uint8_t byte = (uint8_t)b;
		bool to_server = b == 1 || b == 3 || b == 4 || b == 0x10;
		bool to_client = b == 2 || b == 3 || b == 4 || b == 5 || b == 0x10;

		assert_int_equal(in_v2(true, &byte, 1, &in, &need), to_server ? 0 : -OBJM_STATUS_PROTO_ERROR);
		assert_int_equal(out_v2(true, 0xffff, &byte, 1, &out, &need), to_client ? 0 : -OBJM_STATUS_PROTO_ERROR);
	}
	/* What was not negotiated. */
	assert_int_equal(om_proto_in_decode(OM_PROTO_V2, true, 0, 100, "\x10", 1, &in, &need), -OBJM_STATUS_PROTO_CAPABILITY);
	assert_int_equal(out_v2(true, 0, "\x10", 1, &out, &need), -OBJM_STATUS_PROTO_CAPABILITY);
	assert_int_equal(out_v2(true, 0, "\5", 1, &out, &need), -OBJM_STATUS_PROTO_CAPABILITY);
}

static void test_nothing_is_written_unless_decoded(void **state)
{
	struct om_proto_in in, before;
	size_t need;

	(void)state;
	memset(&in, 0x5a, sizeof(in));
	memcpy(&before, &in, sizeof(in));
	assert_int_equal(in_v1("1\0\1", 3, &in, &need), 0);
	assert_int_equal(in_v1("x", 1, &in, &need), -OBJM_STATUS_PROTO_ERROR);
	assert_memory_equal(&in, &before, sizeof(in));
}

static void test_metadata(void **state)
{
	uint8_t buf[64];
	struct om_proto_wr wr;
	struct om_proto_meta m;
	size_t pos = 0;

	(void)state;
	om_proto_wr_init(&wr, buf, sizeof(buf));
	om_proto_meta_put_u8(&wr, OM_PROTO_META_BACKEND, 7);
	om_proto_meta_put(&wr, OM_PROTO_META_LATENCY_US, "\0\1\21\160", 4); /* 70000 */
	om_proto_meta_put_u64(&wr, OM_PROTO_META_SIZE, 1ull << 40);
	om_proto_meta_put(&wr, OM_PROTO_META_ETAG, NULL, 0);
	assert_int_equal(wr.err, 0);
	assert_int_equal(om_proto_meta_next(buf, wr.len, &pos, &m), 1);
	assert_int_equal(om_proto_meta_num(&m), 7);
	assert_int_equal(om_proto_meta_next(buf, wr.len, &pos, &m), 1);
	assert_int_equal(om_proto_meta_num(&m), 70000);
	assert_int_equal(om_proto_meta_next(buf, wr.len, &pos, &m), 1);
	assert_true(om_proto_meta_num(&m) == 1ull << 40);
	assert_int_equal(om_proto_meta_next(buf, wr.len, &pos, &m), 1);
	assert_int_equal(m.len, 0);
	assert_int_equal(om_proto_meta_num(&m), 0);
	assert_int_equal(om_proto_meta_next(buf, wr.len, &pos, &m), 0);

	/* Cut short: in a header, in data. */
	pos = 0;
	assert_int_equal(om_proto_meta_next(buf, 2, &pos, &m), -OBJM_STATUS_PROTO_ERROR);
	assert_int_equal(om_proto_meta_next(buf, 3, &pos, &m), -OBJM_STATUS_PROTO_ERROR);
	assert_int_equal(pos, 0);
	/* No room: the error stays. */
	om_proto_wr_init(&wr, buf, 6);
	om_proto_meta_put_u8(&wr, 1, 1);
	om_proto_meta_put_u8(&wr, 1, 1);
	assert_int_equal(wr.err, -OBJM_STATUS_TOO_LARGE);
	om_proto_meta_put(&wr, 1, NULL, 0);
	assert_int_equal(wr.len, 4);
	/* Longer than a length can say. */
	om_proto_wr_init(&wr, buf, sizeof(buf));
	om_proto_meta_put(&wr, 1, buf, 70000);
	assert_int_equal(wr.err, -OBJM_STATUS_TOO_LARGE);
}

static void test_response_with_bad_metadata(void **state)
{
	uint8_t buf[OM_PROTO_V2_RESP_HDR + 4];
	struct om_proto_resp r = {.id = 1, .meta_len = 4};
	struct om_proto_out out;
	size_t need;

	(void)state;
	assert_int_equal(om_proto_v2_resp_encode(&r, buf, sizeof(buf)), OM_PROTO_V2_RESP_HDR);
	memcpy(buf + OM_PROTO_V2_RESP_HDR, "\1\0\2x", 4);
	assert_int_equal(out_v2(true, 0, buf, sizeof(buf), &out, &need), -OBJM_STATUS_PROTO_ERROR);
	memcpy(buf + OM_PROTO_V2_RESP_HDR, "\1\0\1x", 4);
	assert_int_equal(out_v2(true, 0, buf, sizeof(buf), &out, &need), sizeof(buf));
	assert_int_equal(out.u.resp.meta_len, 4);
}

static void test_segments(void **state)
{
	static uint8_t buf[OM_PROTO_SEG_RESP_HDR + 65 * OM_PROTO_SEG_HDR];
	struct om_proto_seg_resp r = {.id = 1, .segs = 64};
	struct om_proto_seg s = {.type = OM_PROTO_SEG_SPLICE};
	struct om_proto_out out;
	size_t need, n, i;

	(void)state;
	n = (size_t)om_proto_seg_resp_encode(&r, buf, sizeof(buf));
	for (i = 0; i < 64; i++)
		n += (size_t)om_proto_seg_encode(&s, buf + n, sizeof(buf) - n);
	assert_int_equal(out_v2(true, 0x10, buf, n, &out, &need), n);
	assert_int_equal(out.u.seg.segs, 64);
	buf[7] = 65;
	assert_int_equal(out_v2(true, 0x10, buf, sizeof(buf), &out, &need), -OBJM_STATUS_PROTO_ERROR);
	buf[7] = 64;
	buf[OM_PROTO_SEG_RESP_HDR + 63 * OM_PROTO_SEG_HDR] = 3; /* no such type */
	assert_int_equal(out_v2(true, 0x10, buf, n, &out, &need), -OBJM_STATUS_PROTO_ERROR);
	buf[OM_PROTO_SEG_RESP_HDR + 63 * OM_PROTO_SEG_HDR] = OM_PROTO_SEG_FD;
	assert_int_equal(out_v2(true, 0x10, buf, n, &out, &need), n);
	buf[OM_PROTO_SEG_RESP_HDR + 63 * OM_PROTO_SEG_HDR + 7] = 1; /* bytes that no descriptor segment has */
	assert_int_equal(out_v2(true, 0x10, buf, n, &out, &need), -OBJM_STATUS_PROTO_ERROR);
	buf[OM_PROTO_SEG_RESP_HDR + 63 * OM_PROTO_SEG_HDR + 7] = 0;
	buf[OM_PROTO_SEG_RESP_HDR + 1] = OM_PROTO_SEGF_REUSE_FD; /* the first: of nothing */
	assert_int_equal(out_v2(true, 0x10, buf, n, &out, &need), -OBJM_STATUS_PROTO_ERROR);
	buf[OM_PROTO_SEG_RESP_HDR + OM_PROTO_SEG_HDR + 1] = OM_PROTO_SEGF_REUSE_FD;
	buf[OM_PROTO_SEG_RESP_HDR + 1] = 0;
	assert_int_equal(out_v2(true, 0x10, buf, n, &out, &need), n);
	r.segs = 65;
	assert_int_equal(om_proto_seg_resp_encode(&r, buf, sizeof(buf)), -OBJM_STATUS_INVALID_REQUEST);
	s.type = 3;
	assert_int_equal(om_proto_seg_encode(&s, buf, sizeof(buf)), -OBJM_STATUS_INVALID_REQUEST);
}

static void test_encoders_have_bounds(void **state)
{
	struct om_proto_req req = {.mode = '1', .uri = "/u", .uri_len = 2};
	struct om_proto_resp resp = {0};
	struct om_proto_hello h = {0};
	uint8_t buf[64];

	(void)state;
	assert_int_equal(om_proto_v1_req_encode(&req, buf, 4), -OBJM_STATUS_TOO_LARGE);
	assert_int_equal(om_proto_v1_req_encode(&req, buf, 5), 5);
	assert_int_equal(om_proto_v2_req_encode(&req, buf, 10), -OBJM_STATUS_TOO_LARGE);
	assert_int_equal(om_proto_v2_req_encode(&req, buf, 11), 11);
	assert_int_equal(om_proto_v1_resp_encode(&resp, buf, 10), -OBJM_STATUS_TOO_LARGE);
	assert_int_equal(om_proto_v2_resp_encode(&resp, buf, 15), -OBJM_STATUS_TOO_LARGE);
	assert_int_equal(om_proto_hello_encode(&h, buf, 8), -OBJM_STATUS_TOO_LARGE);
	assert_int_equal(om_proto_hello_ack_encode(&h, buf, 9), -OBJM_STATUS_TOO_LARGE);
	assert_int_equal(om_proto_close_encode(0, buf, 1), -OBJM_STATUS_TOO_LARGE);
	assert_int_equal(om_proto_close_ack_encode(0, buf, 5), -OBJM_STATUS_TOO_LARGE);
	assert_int_equal(om_proto_error_encode(OM_PROTO_V2, 0, 1, "text", buf, 22), -OBJM_STATUS_TOO_LARGE);
	assert_int_equal(om_proto_error_encode(OM_PROTO_V2, 0, 1, "text", buf, 23), 23);
	assert_int_equal(om_proto_error_encode(OM_PROTO_V2, 0, 1, NULL, buf, 16), 16);
	req.uri_len = 0;
	assert_int_equal(om_proto_v1_req_encode(&req, buf, 64), -OBJM_STATUS_INVALID_REQUEST);
	req.uri_len = OM_URI_MAX + 1;
	assert_int_equal(om_proto_v2_req_encode(&req, buf, 64), -OBJM_STATUS_INVALID_REQUEST);
}

static void test_error_text_is_shortened(void **state)
{
	static char text[3000];
	static uint8_t buf[OM_PROTO_ERROR_RESP_MAX];

	(void)state;
	memset(text, 't', sizeof(text) - 1);
	assert_int_equal(om_proto_error_encode(OM_PROTO_V2, 1, 1, text, buf, sizeof(buf)), OM_PROTO_ERROR_RESP_MAX);
}

static void test_close_ack_reserved(void **state)
{
	struct om_proto_in in;
	size_t need;

	(void)state;
	assert_int_equal(in_v2(true, "\4\0\0\0\0\5", 6, &in, &need), 6);
	assert_int_equal(in.u.outstanding, 5);
	assert_int_equal(in_v2(true, "\4\1\0\0\0\5", 6, &in, &need), -OBJM_STATUS_PROTO_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_byte),
		cmocka_unit_test(test_v1_uri_lengths),
		cmocka_unit_test(test_v1_bad_mode),
		cmocka_unit_test(test_v2_mode_is_answered),
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_unknown_types),
		cmocka_unit_test(test_nothing_is_written_unless_decoded),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_response_with_bad_metadata),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_encoders_have_bounds),
		cmocka_unit_test(test_error_text_is_shortened),
		cmocka_unit_test(test_close_ack_reserved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
