/*
 * test_proto_ext.c: frames and TLVs of the extension: every row of the two tables, and what is malformed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/proto/om_proto.h"

static uint8_t buf[2u << 20];

/* Build a request of `op` from what `fill` puts, and decode it as a server does. */
struct req {
	struct om_proto_wr wr;
	struct om_proto_ext ext;
	size_t at;
};

static void req_open(struct req *r, uint8_t op)
{
	memset(r, 0, sizeof(*r));
	om_proto_wr_init(&r->wr, buf, sizeof(buf));
	r->ext.op = op;
	r->at = om_proto_ext_open(&r->wr);
}

/* A TLV past the writer's own checks. */
static void raw(struct req *r, uint16_t tag, const void *data, size_t len)
{
	uint8_t *p = r->wr.buf + r->wr.len;

	p[0] = (uint8_t)(tag >> 8);
	p[1] = (uint8_t)tag;
	p[2] = (uint8_t)(len >> 8);
	p[3] = (uint8_t)len;
	if (len)
		memcpy(p + 4, data, len);
	r->wr.len += 4 + len;
}

static int req_close(struct req *r, struct om_proto_body *body)
{
	struct om_proto_in in;
	size_t need;
	int n;

	n = om_proto_ext_close(&r->wr, r->at, &r->ext);
	assert_true(n > 0);
	assert_int_equal(om_proto_in_decode(OM_PROTO_V2, true, OM_PROTO_CAP_EXTENSION, OM_PROTO_TLV_MAX, buf, (size_t)n, &in, &need), n);
	return om_proto_req_body_decode(&in.u.ext, body);
}

static const char zeros[OM_PROTO_ENTRY_MAX + 8];
static const char letters[] = "the quick brown fox jumps over the lazy dog, twice over, and once more for the length";

struct row {
	const char *name;
	uint16_t tag;
	size_t min, max;
};
static const struct row rows[] = {
#define ROW(name, tag, kind, member, min, max) {#name, tag, min, max},
	OM_PROTO_TLV_MAP(ROW)
#undef ROW
};

struct op {
	const char *name;
	uint8_t code;
	uint64_t required, allowed;
	bool payload;
};
static const struct op op_rows[] = {
#define ROW(name, code, required, allowed, payload) {#name, code, required, (required) | (allowed), payload},
	OM_PROTO_OP_MAP(ROW)
#undef ROW
};

/* A valid TLV of `tag`, so that a request of any operation can be made complete. */
static void put_valid(struct req *r, uint16_t tag)
{
	uint8_t data[64] = {0};
	size_t i;

	for (i = 0; i < OM_ARRAY_SIZE(rows); i++) {
		if (rows[i].tag != tag)
			continue;
		if (tag == OM_PROTO_TAG_MAX_FDS)
			data[0] = 1;
		raw(r, tag, rows[i].max <= 64 || tag == OM_PROTO_TAG_OBJ ? (void *)data : (void *)letters, OM_MAX(rows[i].min, 1));
	}
}

/* Everything that the operation requires but `without`. */
static void put_required(struct req *r, const struct op *op, uint16_t without)
{
	uint16_t tag;

	for (tag = 1; tag < OM_PROTO_TAG_COUNT; tag++) {
		if ((op->required & (1ull << tag)) && tag != without)
			put_valid(r, tag);
	}
	if (op->code == OM_PROTO_OP_SET && without != OM_PROTO_TAG_TTL_S)
		put_valid(r, OM_PROTO_TAG_TTL_S);
}

static void test_every_op_needs_its_tags(void **state)
{
	struct om_proto_body body;
	struct req r;
	size_t i;
	uint16_t tag;

	(void)state;
	for (i = 0; i < OM_ARRAY_SIZE(op_rows); i++) {
		const struct op *op = &op_rows[i];

		req_open(&r, op->code);
		put_required(&r, op, 0);
		assert_int_equal(req_close(&r, &body), 0);
		for (tag = 1; tag < OM_PROTO_TAG_COUNT; tag++) {
			if (!(op->required & (1ull << tag)))
				continue;
			req_open(&r, op->code);
			put_required(&r, op, tag);
			assert_int_equal(req_close(&r, &body), -OBJM_STATUS_INVALID_REQUEST);
		}
	}
}

static void test_every_op_takes_its_tags_and_no_other(void **state)
{
	struct om_proto_body body;
	struct req r;
	size_t i;
	uint16_t tag;
	int want;

	(void)state;
	for (i = 0; i < OM_ARRAY_SIZE(op_rows); i++) {
		const struct op *op = &op_rows[i];

		for (tag = 1; tag < OM_PROTO_TAG_COUNT; tag++) {
			if ((op->required & (1ull << tag)) || (op->code == OM_PROTO_OP_SET && tag == OM_PROTO_TAG_TTL_S))
				continue;
			req_open(&r, op->code);
			r.ext.flags = OM_PROTO_F_COPY; /* RANGE wants it */
			put_required(&r, op, 0);
			put_valid(&r, tag);
			want = op->allowed & (1ull << tag) ? 0 : -OBJM_STATUS_INVALID_REQUEST;
			assert_int_equal(req_close(&r, &body), want);
			if (want)
				continue;
			assert_true(body.have & (1ull << tag));
			/* Not twice. */
			req_open(&r, op->code);
			r.ext.flags = OM_PROTO_F_COPY;
			put_required(&r, op, 0);
			put_valid(&r, tag);
			put_valid(&r, tag);
			assert_int_equal(req_close(&r, &body), -OBJM_STATUS_INVALID_REQUEST);
		}
	}
}

/* The first operation that takes `tag`. */
static const struct op *taker(uint16_t tag)
{
	size_t i;

	for (i = 0; i < OM_ARRAY_SIZE(op_rows); i++) {
		if (op_rows[i].allowed & (1ull << tag))
			return &op_rows[i];
	}
	return NULL;
}

static void test_every_tag_has_its_lengths(void **state)
{
	struct om_proto_body body;
	struct om_proto_ext ext;
	struct req r;
	size_t i;
	int n, want;

	(void)state;
	for (i = 0; i < OM_ARRAY_SIZE(rows); i++) {
		const size_t lens[] = {rows[i].min, rows[i].max, rows[i].min - 1, rows[i].max + 1};
		const struct op *op = taker(rows[i].tag);
		size_t k;

		for (k = rows[i].min ? 0 : 1; k < 4; k++) {
			if (k == 2 && rows[i].min == 0)
				continue;
			/* In a response. */
			req_open(&r, OM_PROTO_OP_STAT | OM_PROTO_OP_RESPONSE);
			raw(&r, rows[i].tag, zeros, lens[k]);
			n = om_proto_ext_close(&r.wr, r.at, &r.ext);
			ext = r.ext;
			ext.tlv = buf + OM_PROTO_EXT_HDR;
			ext.tlv_len = (uint32_t)n - OM_PROTO_EXT_HDR;
			assert_int_equal(om_proto_resp_body_decode(&ext, &body), k < 2 ? 0 : -OBJM_STATUS_PROTO_ERROR);
			/* Written. */
			req_open(&r, OM_PROTO_OP_STAT);
			om_proto_tlv_put(&r.wr, rows[i].tag, zeros, lens[k]);
			assert_int_equal(r.wr.err, k < 2 ? 0 : -OBJM_STATUS_INVALID_REQUEST);
			/* In a request. */
			if (!op || k < 2)
				continue;
			req_open(&r, op->code);
			r.ext.flags = OM_PROTO_F_COPY;
			put_required(&r, op, rows[i].tag);
			raw(&r, rows[i].tag, zeros, lens[k]);
			want = rows[i].tag == OM_PROTO_TAG_URI && k == 3 ? -OBJM_STATUS_URI_TOO_LONG : -OBJM_STATUS_INVALID_REQUEST;
			assert_int_equal(req_close(&r, &body), want);
		}
	}
}

static void test_tlv_cut_short(void **state)
{
	struct om_proto_body body;
	struct om_proto_ext ext = {.op = OM_PROTO_OP_GET};
	const uint8_t tlv[] = {0, 1, 0, 3, '/', 'a', 'b'};
	uint32_t n;

	(void)state;
	for (n = 0; n <= sizeof(tlv); n++) {
		uint8_t *exact = malloc(n ? n : 1);

		memcpy(exact, tlv, n);
		ext.tlv = exact;
		ext.tlv_len = n;
		assert_int_equal(om_proto_req_body_decode(&ext, &body), n == sizeof(tlv) ? 0 : -OBJM_STATUS_INVALID_REQUEST);
		free(exact);
	}
	/* One byte more is the beginning of another TLV. */
	ext.tlv = (const uint8_t *)"\0\1\0\3/ab\0";
	ext.tlv_len = 8;
	assert_int_equal(om_proto_req_body_decode(&ext, &body), -OBJM_STATUS_INVALID_REQUEST);
}

static void test_unknown_tags(void **state)
{
	const uint16_t unknown[] = {0, OM_PROTO_TAG_COUNT, 63, 64, 65, 0x7fff};
	struct om_proto_body body;
	struct req r;
	size_t i;

	(void)state;
	for (i = 0; i < OM_ARRAY_SIZE(unknown); i++) {
		req_open(&r, OM_PROTO_OP_GET);
		put_valid(&r, OM_PROTO_TAG_URI);
		raw(&r, unknown[i], zeros, 5);
		assert_int_equal(req_close(&r, &body), -OBJM_STATUS_INVALID_REQUEST);
		req_open(&r, OM_PROTO_OP_GET);
		put_valid(&r, OM_PROTO_TAG_URI);
		raw(&r, unknown[i] | OM_PROTO_TAG_OPTIONAL, zeros, 5);
		assert_int_equal(req_close(&r, &body), 0);
	}
}

static void test_values(void **state)
{
	static const struct {
		uint8_t op;
		uint16_t tag;
		const char *data;
		size_t len;
		int want;
	} v[] = {
		{OM_PROTO_OP_PUT_BEGIN, OM_PROTO_TAG_COND, "\2\0\0\0\0\0\0\0\1\0\0\0\0", 13, 0},
		{OM_PROTO_OP_PUT_BEGIN, OM_PROTO_TAG_COND, "\1\0\0\0\0\0\0\0\1\0\0\0\0", 13, 0},
		{OM_PROTO_OP_PUT_BEGIN, OM_PROTO_TAG_COND, "\3\0\0\0\0\0\0\0\1\0\0\0\0", 13, -OBJM_STATUS_INVALID_REQUEST},
		{OM_PROTO_OP_DELETE, OM_PROTO_TAG_COND, "\1\0\0\0\0\0\0\0\1\0\0\0\0", 13, -OBJM_STATUS_INVALID_REQUEST},
		{OM_PROTO_OP_SET, OM_PROTO_TAG_COND, "\1\0\0\0\0\0\0\0\1\0\0\0\0", 13, -OBJM_STATUS_INVALID_REQUEST},
		{OM_PROTO_OP_PUT_BEGIN, OM_PROTO_TAG_DURABILITY, "\2", 1, 0},
		{OM_PROTO_OP_PUT_BEGIN, OM_PROTO_TAG_DURABILITY, "\3", 1, -OBJM_STATUS_INVALID_REQUEST},
		{OM_PROTO_OP_PUT_BEGIN, OM_PROTO_TAG_PUT_FLAGS, "\0\0\0\7", 4, 0},
		{OM_PROTO_OP_PUT_BEGIN, OM_PROTO_TAG_PUT_FLAGS, "\0\0\0\10", 4, -OBJM_STATUS_INVALID_REQUEST},
		{OM_PROTO_OP_ATTACH, OM_PROTO_TAG_MAX_FDS, "\0", 1, -OBJM_STATUS_INVALID_REQUEST},
		{OM_PROTO_OP_ATTACH, OM_PROTO_TAG_MAX_FDS, "\375", 1, 0},
		{OM_PROTO_OP_ATTACH, OM_PROTO_TAG_MAX_FDS, "\376", 1, -OBJM_STATUS_INVALID_REQUEST},
		{OM_PROTO_OP_GET, OM_PROTO_TAG_RANGE, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2", 16, -OBJM_STATUS_INVALID_REQUEST},
	};
	struct om_proto_body body;
	struct req r;
	size_t i;

	(void)state;
	for (i = 0; i < OM_ARRAY_SIZE(v); i++) {
		req_open(&r, v[i].op);
		put_required(&r, &op_rows[v[i].op - 1], 0);
		raw(&r, v[i].tag, v[i].data, v[i].len);
		assert_int_equal(op_rows[v[i].op - 1].code, v[i].op);
		assert_int_equal(req_close(&r, &body), v[i].want);
	}
	/* SET of nothing. */
	req_open(&r, OM_PROTO_OP_SET);
	put_valid(&r, OM_PROTO_TAG_URI);
	assert_int_equal(req_close(&r, &body), -OBJM_STATUS_INVALID_REQUEST);
}

static void test_many_uris(void **state)
{
	struct om_proto_body body;
	struct om_proto_str data;
	struct req r;
	unsigned i, seen = 0;
	size_t pos = 0;
	uint16_t tag;

	(void)state;
	/* As many as there can be, as long as they can be: it fits. */
	req_open(&r, OM_PROTO_OP_GET);
	for (i = 0; i < OM_PROTO_URIS_MAX; i++)
		om_proto_tlv_put(&r.wr, OM_PROTO_TAG_URI, zeros, OM_URI_MAX);
	assert_int_equal(req_close(&r, &body), 0);
	assert_int_equal(body.uris, OM_PROTO_URIS_MAX);
	while (om_proto_tlv_next(buf + OM_PROTO_EXT_HDR, r.wr.len - OM_PROTO_EXT_HDR, &pos, &tag, &data) > 0)
		seen += tag == OM_PROTO_TAG_URI && data.len == OM_URI_MAX;
	assert_int_equal(seen, OM_PROTO_URIS_MAX);

	req_open(&r, OM_PROTO_OP_GET);
	for (i = 0; i <= OM_PROTO_URIS_MAX; i++)
		om_proto_tlv_put(&r.wr, OM_PROTO_TAG_URI, "/u", 2);
	assert_int_equal(req_close(&r, &body), -OBJM_STATUS_LIMIT_EXCEEDED);

	req_open(&r, OM_PROTO_OP_STAT);
	om_proto_tlv_put(&r.wr, OM_PROTO_TAG_URI, "/u", 2);
	om_proto_tlv_put(&r.wr, OM_PROTO_TAG_URI, "/u", 2);
	assert_int_equal(req_close(&r, &body), -OBJM_STATUS_INVALID_REQUEST);
}

static void test_flags_and_payload(void **state)
{
	struct om_proto_body body;
	struct req r;
	size_t i;
	unsigned bit;

	(void)state;
	for (bit = 0; bit < 16; bit++) {
		uint16_t flag = (uint16_t)(1u << bit);

		req_open(&r, OM_PROTO_OP_GET);
		put_valid(&r, OM_PROTO_TAG_URI);
		r.ext.flags = flag;
		assert_int_equal(req_close(&r, &body), flag & (0x01f0 | 0xf000) ? 0 : -OBJM_STATUS_INVALID_REQUEST);
	}
	for (i = 0; i < OM_ARRAY_SIZE(op_rows); i++) {
		req_open(&r, op_rows[i].code);
		put_required(&r, &op_rows[i], 0);
		r.ext.payload_len = 1;
		assert_int_equal(req_close(&r, &body), op_rows[i].payload ? 0 : -OBJM_STATUS_INVALID_REQUEST);
	}
}

static void test_unknown_ops(void **state)
{
	struct om_proto_body body;
	struct om_proto_ext ext = {0};
	unsigned op;

	(void)state;
	for (op = 0; op < 128; op++) {
		bool known = op >= 1 && op <= 13;

		ext.op = (uint8_t)op;
		if (!known)
			assert_int_equal(om_proto_req_body_decode(&ext, &body), -OBJM_STATUS_UNSUPPORTED_OP);
		else
			assert_int_not_equal(om_proto_req_body_decode(&ext, &body), -OBJM_STATUS_UNSUPPORTED_OP);
	}
	assert_string_equal(om_proto_op_name(OM_PROTO_OP_GET | 0x80), "GET");
	assert_string_equal(om_proto_op_name(127), "?");
}

static int in(const uint8_t *p, size_t len, uint32_t tlv_max, struct om_proto_in *ret)
{
	size_t need;

	return om_proto_in_decode(OM_PROTO_V2, true, OM_PROTO_CAP_EXTENSION, tlv_max, p, len, ret, &need);
}

static void test_headers(void **state)
{
	uint8_t h[OM_PROTO_EXT_HDR] = {0x10, 1};
	struct om_proto_in i;
	struct om_proto_out o;
	size_t need, k;
	const struct {
		size_t at;
		uint8_t v;
	} bad[] = {{1, 0x81}, {2, 1}, {3, 1}, {6, 1}, {7, 1}};

	(void)state;
	assert_int_equal(in(h, sizeof(h), 1000, &i), sizeof(h));
	for (k = 0; k < OM_ARRAY_SIZE(bad); k++) {
		uint8_t saved = h[bad[k].at];

		h[bad[k].at] = bad[k].v;
		assert_int_equal(in(h, sizeof(h), 1000, &i), -OBJM_STATUS_PROTO_ERROR);
		h[bad[k].at] = saved;
	}
	/* More TLVs than allowed: said from the header, to be skipped. */
	h[14] = 4;
	assert_int_equal(in(h, sizeof(h), 1023, &i), sizeof(h));
	assert_int_equal(i.u.ext.status, OBJM_STATUS_TOO_LARGE);
	assert_int_equal(i.u.ext.skip, 1024);
	assert_int_equal(i.u.ext.tlv_len, 0);
	assert_int_equal(in(h, sizeof(h), 1024, &i), 0);
	/* Whatever the caller allows, the protocol's own limit holds. */
	memset(h + 12, 0xff, 4);
	assert_int_equal(in(h, sizeof(h), UINT32_MAX, &i), sizeof(h));
	assert_int_equal(i.u.ext.skip, UINT32_MAX);
	/* A server must not: its client gives up. */
	h[1] = 0x81;
	assert_int_equal(om_proto_out_decode(OM_PROTO_V2, true, OM_PROTO_CAP_EXTENSION, h, sizeof(h), &o, &need), -OBJM_STATUS_PROTO_ERROR);
	memset(h + 12, 0, 4);
	assert_int_equal(om_proto_out_decode(OM_PROTO_V2, true, OM_PROTO_CAP_EXTENSION, h, sizeof(h), &o, &need), sizeof(h));
	h[3] = 254; /* descriptors that no message can bring */
	assert_int_equal(om_proto_out_decode(OM_PROTO_V2, true, OM_PROTO_CAP_EXTENSION, h, sizeof(h), &o, &need), -OBJM_STATUS_PROTO_ERROR);
	h[3] = 0;
	h[1] = 1;
	assert_int_equal(om_proto_out_decode(OM_PROTO_V2, true, OM_PROTO_CAP_EXTENSION, h, sizeof(h), &o, &need), -OBJM_STATUS_PROTO_ERROR);
}

static void test_writer_takes_back(void **state)
{
	uint8_t small[OM_PROTO_EXT_HDR + 10];
	struct om_proto_ext ext = {.op = OM_PROTO_OP_PING};
	struct om_proto_wr wr;
	size_t at;

	(void)state;
	om_proto_wr_init(&wr, small, sizeof(small));
	at = om_proto_ext_open(&wr);
	assert_int_equal(om_proto_ext_close(&wr, at, &ext), OM_PROTO_EXT_HDR);
	/* A second one does not fit: the first stays as it was, and the writer is usable. */
	at = om_proto_ext_open(&wr);
	om_proto_tlv_put(&wr, OM_PROTO_TAG_URI, "/a", 2);
	assert_int_equal(om_proto_ext_close(&wr, at, &ext), -OBJM_STATUS_TOO_LARGE);
	assert_int_equal(wr.len, OM_PROTO_EXT_HDR);
	assert_int_equal(wr.err, 0);
	/* Half a frame that does not fit. */
	om_proto_wr_init(&wr, small, sizeof(small));
	at = om_proto_ext_open(&wr);
	om_proto_tlv_put(&wr, OM_PROTO_TAG_URI, "/eleven/by", 10);
	assert_int_equal(om_proto_ext_close(&wr, at, &ext), -OBJM_STATUS_TOO_LARGE);
	assert_int_equal(wr.len, 0);
	/* A body that cannot be told. */
	om_proto_wr_init(&wr, buf, sizeof(buf));
	at = om_proto_ext_open(&wr);
	om_proto_tlv_put(&wr, OM_PROTO_TAG_URI, "", 0);
	assert_int_equal(om_proto_ext_close(&wr, at, &ext), -OBJM_STATUS_INVALID_REQUEST);
	/* More TLVs than a frame may have. */
	at = om_proto_ext_open(&wr);
	while (!wr.err && wr.len < OM_PROTO_TLV_MAX + OM_PROTO_EXT_HDR + 1)
		om_proto_tlv_put(&wr, OM_PROTO_TAG_URI, zeros, OM_URI_MAX);
	assert_int_equal(om_proto_ext_close(&wr, at, &ext), -OBJM_STATUS_TOO_LARGE);
}

static void test_entries(void **state)
{
	struct om_proto_body e = {.have = OM_PROTO_BIT(URI) | OM_PROTO_BIT(OBJ) | OM_PROTO_BIT(TYPE),
				  .uri = {"/x", 2},
				  .type = {"t", 1},
				  .obj = {.id = 5, .size = 6}};
	struct om_proto_body got;
	struct om_proto_str data;
	struct om_proto_wr wr;
	size_t pos = 0;
	uint16_t tag;

	(void)state;
	om_proto_wr_init(&wr, buf, sizeof(buf));
	om_proto_entry_put(&wr, &e);
	om_proto_entry_put(&wr, &e);
	assert_int_equal(wr.err, 0);
	assert_int_equal(om_proto_tlv_next(buf, wr.len, &pos, &tag, &data), 1);
	assert_int_equal(tag, OM_PROTO_TAG_ENTRY);
	assert_int_equal(om_proto_entry_decode(&data, &got), 0);
	assert_int_equal(got.obj.id, 5);
	assert_int_equal(got.obj.size, 6);
	assert_memory_equal(got.uri.p, "/x", 2);
	assert_int_equal(om_proto_tlv_next(buf, wr.len, &pos, &tag, &data), 1);
	assert_int_equal(om_proto_tlv_next(buf, wr.len, &pos, &tag, &data), 0);
	/* Without OBJ, without URI, cut short. */
	data.len--;
	assert_int_equal(om_proto_entry_decode(&data, &got), -OBJM_STATUS_PROTO_ERROR);
	e.have = OM_PROTO_BIT(OBJ);
	om_proto_wr_init(&wr, buf, sizeof(buf));
	om_proto_body_put(&wr, &e);
	data = (struct om_proto_str){(char *)buf, (uint32_t)wr.len};
	assert_int_equal(om_proto_entry_decode(&data, &got), -OBJM_STATUS_PROTO_ERROR);
	/* The longest entry that an object can have fits. */
	e.have = OM_PROTO_BIT(URI) | OM_PROTO_BIT(OBJ) | OM_PROTO_BIT(TYPE);
	e.uri = (struct om_proto_str){zeros, OM_URI_MAX};
	e.type = (struct om_proto_str){zeros, OM_TYPE_MAX};
	om_proto_wr_init(&wr, buf, sizeof(buf));
	om_proto_entry_put(&wr, &e);
	assert_int_equal(wr.err, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_op_needs_its_tags),
		cmocka_unit_test(test_every_op_takes_its_tags_and_no_other),
		cmocka_unit_test(test_every_tag_has_its_lengths),
		cmocka_unit_test(test_tlv_cut_short),
		cmocka_unit_test(test_unknown_tags),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_many_uris),
		cmocka_unit_test(test_flags_and_payload),
		cmocka_unit_test(test_unknown_ops),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_writer_takes_back),
		cmocka_unit_test(test_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
