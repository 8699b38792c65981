/*
 * test_proto_get.c: the short way of a GET says what the long way says, byte for byte and case for case.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/proto/om_proto.h"

static uint8_t buf[1u << 20];

static void test_answer(void **state)
{
	static const int indexes[] = { -1, 0, 1, 252 };
	static const uint16_t flags[] = { 0, OM_PROTO_F_MORE };
	struct om_proto_obj obj = { .id = 0x0102030405060708u, .size = 0xf1f2f3f4f5f6f7f8u, .mtime_ns = 1, .expiry_s = 0xffffffffffu,
				    .gen = 0xfffffffffffffffeu, .rev = 0x81828384u, .flags = 0x91929394u, .bucket = 0xa1a2a3a4u,
				    .tier = 0xfe, .home = 0xff };

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(indexes); i++) {
		for (size_t f = 0; f < OM_ARRAY_SIZE(flags); f++) {
			struct om_proto_ext ext = { .op = OM_PROTO_OP_GET | OM_PROTO_OP_RESPONSE, .nfds = 1, .flags = flags[f],
						    .id = 0xdeadbeefu };
			struct om_proto_body body = { .have = OM_PROTO_BIT(OBJ), .obj = obj };
			uint8_t quick[OM_PROTO_GET_ANSWER_MAX];
			struct om_proto_wr wr;
			int n;

			if (indexes[i] >= 0) {
				body.have |= OM_PROTO_BIT(INDEX);
				body.index = (uint16_t)indexes[i];
			}
			om_proto_wr_init(&wr, buf, sizeof(buf));
			n = om_proto_ext_encode(&wr, &ext, &body);
			assert_int_equal(n, indexes[i] < 0 ? OM_PROTO_GET_ANSWER : OM_PROTO_GET_ANSWER_MAX);
			assert_int_equal(om_proto_get_answer(ext.id, flags[f], indexes[i], &obj, quick), n);
			assert_memory_equal(quick, buf, (size_t)n);
		}
	}
}

/* Whatever the short way takes, the long way takes and says the same of it. @return what the short way said */
static size_t read_both(const uint8_t *p, size_t len, uint32_t id)
{
	const uint8_t *data = NULL;
	struct om_proto_obj obj;
	struct om_proto_body body;
	struct om_proto_out out;
	uint16_t flags = 0xffff;
	size_t need, n;
	int index = -2;

	n = om_proto_get_answer_read(p, len, id, &flags, &index, &data);
	if (n == 0)
		return 0;
	assert_in_range(n, 1, len);
	assert_true(data >= p && (size_t)(data - p) <= n - OM_PROTO_OBJ_BYTES);
	om_proto_obj_decode(data, &obj);
	assert_int_equal(om_proto_out_decode(OM_PROTO_V2, true, OM_PROTO_CAP_EXTENSION, p, len, &out, &need), n);
	assert_int_equal(out.kind, OM_PROTO_OUT_EXT);
	assert_int_equal(out.u.ext.op, OM_PROTO_OP_GET | OM_PROTO_OP_RESPONSE);
	assert_int_equal(out.u.ext.status, OBJM_STATUS_OK);
	assert_int_equal(out.u.ext.nfds, 1);
	assert_int_equal(out.u.ext.flags, flags);
	assert_int_equal(out.u.ext.id, id);
	assert_int_equal(out.u.ext.payload_len, 0);
	assert_int_equal(om_proto_resp_body_decode(&out.u.ext, &body), 0);
	assert_int_equal(body.have, OM_PROTO_BIT(OBJ) | (index >= 0 ? OM_PROTO_BIT(INDEX) : 0));
	assert_int_equal(index >= 0 ? body.index : -1, index);
	assert_true(body.obj.id == obj.id && body.obj.size == obj.size && body.obj.mtime_ns == obj.mtime_ns &&
		    body.obj.expiry_s == obj.expiry_s && body.obj.gen == obj.gen && body.obj.rev == obj.rev &&
		    body.obj.flags == obj.flags && body.obj.bucket == obj.bucket && body.obj.tier == obj.tier &&
		    body.obj.home == obj.home);
	return n;
}

static void test_answer_read(void **state)
{
	static const int indexes[] = { -1, 0, 252, 65535 };
	const struct om_proto_obj obj = { .id = 0x0102030405060708u, .size = 0xf1f2f3f4f5f6f7f8u, .mtime_ns = 1, .expiry_s = 2,
					  .gen = 4, .rev = 0x81828384u, .flags = 5, .bucket = 0xa1a2a3a4u, .tier = 3, .home = 9 };
	uint8_t frame[OM_PROTO_GET_ANSWER_MAX + 8] = { 0 };

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(indexes); i++) {
		size_t n = om_proto_get_answer(77, OM_PROTO_F_MORE, indexes[i], &obj, frame);

		assert_int_equal(read_both(frame, sizeof(frame), 77), n);
		assert_int_equal(read_both(frame, n, 77), n);
		for (size_t cut = 0; cut < n; cut++)
			assert_int_equal(read_both(frame, cut, 77), 0);
		assert_int_equal(read_both(frame, n, 78), 0);
		for (size_t bit = 0; bit < 8 * n; bit++) { /* every bit wrong once */
			frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
			(void)read_both(frame, sizeof(frame), 77);
			if (bit < 8 * OM_PROTO_EXT_HDR && bit != 5 * 8) /* all of the header counts, but for MORE */
				assert_int_equal(read_both(frame, sizeof(frame), 77), 0);
			frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
}

/* URIs in one go are the same bytes, and the same refusals, as one TLV after the other. */
static void test_uris_put(void **state)
{
	static const uint32_t lens[] = { 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 255, OM_URI_MAX, 0, OM_URI_MAX + 1 };
	static uint8_t one[8192], all[8192];
	struct om_proto_str uris[OM_ARRAY_SIZE(lens)];

	(void)state;
	for (uint32_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7 + i / 256);
	for (size_t from = 0; from < OM_ARRAY_SIZE(lens); from++) {
		for (size_t cap = 0; cap < sizeof(one); cap = cap < 100 ? cap + 1 : cap * 5 / 4) {
			struct om_proto_wr a, b;
			size_t n = 0;

			for (size_t i = from; i < OM_ARRAY_SIZE(lens); i++)
				uris[n++] = (struct om_proto_str){ (const char *)buf + 4096 * i, lens[i] };
			memset(one, 0x5a, sizeof(one));
			memset(all, 0x5a, sizeof(all));
			om_proto_wr_init(&a, one, cap);
			om_proto_wr_init(&b, all, cap);
			a.len = b.len = OM_MIN(cap, (size_t)3);
			for (size_t i = 0; i < n; i++)
				om_proto_tlv_put(&a, OM_PROTO_TAG_URI, uris[i].p, uris[i].len);
			om_proto_uris_put(&b, uris, n);
			assert_int_equal(a.err, b.err);
			assert_int_equal(a.len, b.len);
			assert_memory_equal(one, all, sizeof(one)); /* nothing behind the end either */
			om_proto_uris_put(&b, uris, n); /* an error stays */
			assert_int_equal(a.err, b.err);
			assert_int_equal(a.len, b.len);
		}
	}
}

struct tlv {
	uint16_t tag;
	uint32_t len;
};

/* Build a request from TLVs; what the short way says of it, after having compared that with the long way. */
static unsigned both(struct om_proto_ext ext, const struct tlv *tlvs, size_t n, size_t cut)
{
	static struct om_proto_str uris[OM_PROTO_URIS_MAX];
	struct om_proto_body body;
	struct om_proto_str data;
	size_t len = 0, pos = 0;
	unsigned short_way, k = 0;
	uint16_t tag;
	int rc;

	for (size_t i = 0; i < n; i++) {
		buf[len] = (uint8_t)(tlvs[i].tag >> 8);
		buf[len + 1] = (uint8_t)tlvs[i].tag;
		buf[len + 2] = (uint8_t)(tlvs[i].len >> 8);
		buf[len + 3] = (uint8_t)tlvs[i].len;
		memset(buf + len + 4, 'a' + (int)(i % 26), tlvs[i].len);
		len += 4 + tlvs[i].len;
	}
	ext.tlv = buf;
	ext.tlv_len = (uint32_t)(len - cut);
	short_way = om_proto_get_uris(&ext, uris, OM_PROTO_URIS_MAX);
	rc = om_proto_req_body_decode(&ext, &body);
	if (!short_way)
		return 0;
	assert_int_equal(rc, 0);
	assert_int_equal(body.have, OM_PROTO_BIT(URI));
	assert_int_equal(body.uris, short_way);
	while (om_proto_tlv_next(ext.tlv, ext.tlv_len, &pos, &tag, &data) > 0) {
		assert_ptr_equal(uris[k].p, data.p);
		assert_int_equal(uris[k].len, data.len);
		k++;
	}
	assert_int_equal(k, short_way);
	return short_way;
}

static void test_uris(void **state)
{
	const struct om_proto_ext get = { .op = OM_PROTO_OP_GET };
	struct om_proto_ext other;
	struct tlv many[OM_PROTO_URIS_MAX + 1];

	(void)state;
	assert_int_equal(both(get, (struct tlv[]){ { 1, 1 } }, 1, 0), 1);
	assert_int_equal(both(get, (struct tlv[]){ { 1, OM_URI_MAX } }, 1, 0), 1);
	assert_int_equal(both(get, (struct tlv[]){ { 1, 5 }, { 1, 9 }, { 1, 1 } }, 3, 0), 3);
	for (size_t i = 0; i < OM_ARRAY_SIZE(many); i++)
		many[i] = (struct tlv){ 1, 3 };
	assert_int_equal(both(get, many, OM_PROTO_URIS_MAX, 0), OM_PROTO_URIS_MAX);
	assert_int_equal(both(get, many, OM_PROTO_URIS_MAX + 1, 0), 0);
	/* None, empty, too long, cut, and what is no URI. */
	assert_int_equal(both(get, NULL, 0, 0), 0);
	assert_int_equal(both(get, (struct tlv[]){ { 1, 0 } }, 1, 0), 0);
	assert_int_equal(both(get, (struct tlv[]){ { 1, OM_URI_MAX + 1 } }, 1, 0), 0);
	for (size_t cut = 1; cut < 13; cut++)
		if (cut != 9) /* there the second ends where the first begins */
			assert_int_equal(both(get, (struct tlv[]){ { 1, 5 }, { 1, 5 } }, 2, cut), 0);
	assert_int_equal(both(get, (struct tlv[]){ { 1, 5 }, { OM_PROTO_TAG_RANGE, 16 } }, 2, 0), 0);
	assert_int_equal(both(get, (struct tlv[]){ { 0x8001, 5 } }, 1, 0), 0);
	/* What asks for more than the short way gives. */
	other = get;
	for (unsigned bit = 0; bit < 16; bit++) {
		other.flags = (uint16_t)(1u << bit);
		assert_int_equal(both(other, (struct tlv[]){ { 1, 5 } }, 1, 0), 0);
	}
	other = get;
	other.payload_len = 1;
	assert_int_equal(both(other, (struct tlv[]){ { 1, 5 } }, 1, 0), 0);
	other = get;
	other.status = OBJM_STATUS_TOO_LARGE;
	assert_int_equal(both(other, (struct tlv[]){ { 1, 5 } }, 1, 0), 0);
	for (uint8_t op = 0; op < OM_PROTO_OP_COUNT; op++) {
		other = (struct om_proto_ext){ .op = op };
		assert_int_equal(both(other, (struct tlv[]){ { 1, 5 } }, 1, 0), op == OM_PROTO_OP_GET);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_answer_read),
		cmocka_unit_test(test_uris_put),
		cmocka_unit_test(test_uris),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
