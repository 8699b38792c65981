/*
 * test_seg.c: segmented responses: what lies inline, what behind the descriptor, how one descriptor serves several segments.
 */
#include "wrk_wire.h"

#include <fcntl.h>

#define CAPS (OM_PROTO_CAP_SEGMENTED | OM_PROTO_CAP_PIPELINING | OM_PROTO_CAP_OOO)

struct answer {
	struct om_proto_seg_resp head;
	struct om_proto_seg seg[OM_PROTO_SEGS_MAX];
	uint8_t meta[1024], bytes[8192];
	size_t inline_len;
	int fd; /* -1: none came */
};

/* Read one answer and check all that the page promises of any. */
static void read_answer(int fd, struct answer *a)
{
	uint8_t hdr[OM_PROTO_SEG_RESP_HDR], seg[OM_PROTO_SEG_HDR];
	uint64_t size = 0, want = 0;
	struct om_proto_meta m;
	size_t pos = 0;

	harness_read(fd, hdr, sizeof(hdr));
	assert_int_equal(hdr[0], OM_PROTO_T_SEGMENTED);
	*a = (struct answer){ .fd = -1 };
	a->head = (struct om_proto_seg_resp){ .id = (uint32_t)wire_be(hdr + 1, 4), .status = hdr[5],
					      .segs = (uint16_t)wire_be(hdr + 6, 2), .meta_len = (uint16_t)wire_be(hdr + 8, 2) };
	assert_true(a->head.segs <= OM_PROTO_SEGS_MAX && a->head.meta_len <= sizeof(a->meta));
	harness_read(fd, a->meta, a->head.meta_len);
	for (unsigned i = 0; i < a->head.segs; i++) {
		struct om_proto_seg *s = &a->seg[i];

		harness_read(fd, seg, sizeof(seg));
		assert_int_equal(om_proto_seg_decode(seg, sizeof(seg), s), OM_PROTO_SEG_HDR);
		assert_int_equal(!!(s->flags & OM_PROTO_SEGF_FIN), i == a->head.segs - 1u);
		size += s->logical_len;
		a->inline_len += s->copy_len;
		if (s->type == OM_PROTO_SEG_INLINE)
			assert_int_equal(s->copy_len, s->logical_len);
		else
			assert_int_equal(s->storage_len, s->logical_len);
	}
	assert_true(a->inline_len <= sizeof(a->bytes));
	harness_read(fd, a->bytes, a->inline_len);
	for (unsigned i = 0; i < a->head.segs; i++) {
		if (a->seg[i].type == OM_PROTO_SEG_INLINE || (a->seg[i].flags & OM_PROTO_SEGF_REUSE_FD))
			continue;
		assert_int_equal(a->fd, -1);
		a->fd = harness_read_fd_byte(fd);
	}
	while (om_proto_meta_next(a->meta, a->head.meta_len, &pos, &m) == 1)
		if (m.type == OM_PROTO_META_SIZE)
			want = om_proto_meta_num(&m);
	if (a->head.status == 0)
		assert_int_equal(size, want);
}

static void ask(int fd, uint32_t id, const char *uri, struct answer *a)
{
	uint8_t req[8192];

	harness_write(fd, req, wire_v2(req, id, 0, '4', uri));
	read_answer(fd, a);
	assert_int_equal(a->head.id, id);
}

static void test_shapes(void **state)
{
	struct harness *h = harness_start(NULL, true);
	int fd = wire_connect(h, CAPS, 0, NULL);
	struct answer a;
	char big[10000], got[10000];

	(void)state;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 300);
	for (unsigned tier = 0; tier < 2; tier++) { /* what was just written is in memory, on a disk too */
		(void)harness_object(h, tier ? "/e1" : "/e0", "", 0, tier);
		(void)harness_object(h, tier ? "/s1" : "/s0", big, 4096, tier);
		(void)harness_object(h, tier ? "/b1" : "/b0", big, sizeof(big), tier);
		ask(fd, 1, tier ? "/e1" : "/e0", &a);
		assert_int_equal(a.head.segs, 1);
		assert_int_equal(a.fd, -1);
		ask(fd, 2, tier ? "/s1" : "/s0", &a);
		assert_int_equal(a.head.segs, 1);
		assert_int_equal(a.fd, -1);
		assert_int_equal(a.inline_len, 4096);
		assert_memory_equal(a.bytes, big, 4096);
		ask(fd, 3, tier ? "/b1" : "/b0", &a);
		assert_int_equal(a.head.segs, 2);
		assert_memory_equal(a.bytes, big, a.inline_len);
		assert_true(a.inline_len > 0);
		assert_int_equal(a.seg[1].storage_off, a.inline_len);
		assert_int_equal(fcntl(a.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
		assert_int_equal(lseek(a.fd, 0, SEEK_CUR), 0); /* a description of its own */
		assert_int_equal(pread(a.fd, got, sizeof(got), (off_t)a.inline_len), sizeof(big) - a.inline_len);
		assert_memory_equal(got, big + a.inline_len, sizeof(big) - a.inline_len);
		(void)close(a.fd);
	}
	(void)close(fd);
	harness_stop(h);
}

/* 3 GiB: one descriptor, several windows; 1 TiB: never more than 64. */
static void test_reuse(void **state)
{
	struct harness *h = harness_start(NULL, true);
	int fd = wire_connect(h, CAPS, 0, NULL);
	struct answer a;
	char byte;

	(void)state;
	(void)harness_sparse(h, "/3g", (3ull << 30) + 7, 1);
	(void)harness_sparse(h, "/1t", 1ull << 40, 1);
	ask(fd, 1, "/3g", &a);
	assert_int_equal(a.head.segs, 4);
	for (unsigned i = 1; i < a.head.segs; i++) {
		assert_int_equal(a.seg[i].type, OM_PROTO_SEG_FD);
		assert_int_equal(!!(a.seg[i].flags & OM_PROTO_SEGF_REUSE_FD), i > 1);
		assert_int_equal(a.seg[i].storage_off, i == 1 ? a.inline_len : a.seg[i - 1].storage_off + a.seg[i - 1].storage_len);
	}
	assert_int_equal(pread(a.fd, &byte, 1, (off_t)(a.seg[3].storage_off + a.seg[3].storage_len - 1)), 1);
	assert_int_equal(byte, 'E');
	(void)close(a.fd);
	ask(fd, 2, "/1t", &a);
	assert_in_range(a.head.segs, 3, OM_PROTO_SEGS_MAX);
	(void)close(a.fd);
	(void)close(fd);
	harness_stop(h);
}

static void test_refusals(void **state)
{
	struct harness *h = harness_start(NULL, true);
	int fd = wire_connect(h, CAPS, 0, NULL), plain = wire_connect(h, OM_PROTO_CAP_OOO, 0, NULL);
	uint8_t req[8192];
	struct wire_resp r;
	struct answer a;

	(void)state;
	(void)harness_object(h, "/o", "o", 1, 0);
	ask(fd, 5, "/none", &a);
	assert_int_equal(a.head.status, OBJM_STATUS_NOT_FOUND);
	assert_int_equal(a.head.segs, 0);
	assert_int_equal(a.meta[0], OM_PROTO_META_ERROR);
	ask(fd, 6, "\xff", &a);
	assert_int_equal(a.head.status, OBJM_STATUS_INVALID_REQUEST);
	harness_write(plain, req, wire_v2(req, 7, 0, '4', "/o")); /* not negotiated: an answer that this peer understands */
	wire_resp(plain, 2, &r);
	assert_int_equal(r.status, OBJM_STATUS_INVALID_MODE);
	(void)close(plain);
	(void)close(fd);
	harness_stop(h);
}

/* On the legacy socket mode 1 creates what is missing; mode 4 does not. */
static void test_legacy(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct om_proto_hello hello = { .caps = CAPS };
	uint8_t buf[32], ack[OM_PROTO_HELLO_ACK_LEN];
	int fd = harness_connect_legacy(h);
	struct answer a;

	(void)state;
	harness_write(fd, buf, (size_t)om_proto_hello_encode(&hello, buf, sizeof(buf)));
	harness_read(fd, ack, sizeof(ack));
	ask(fd, 1, "/none", &a);
	assert_int_equal(a.head.status, OBJM_STATUS_NOT_FOUND);
	(void)close(fd);
	harness_stop(h);
}

/* In order, behind a request that waits, and mixed with the other modes. */
static void test_in_order(void **state)
{
	struct harness *h = harness_start(NULL, false);
	int fd = wire_connect(h, OM_PROTO_CAP_SEGMENTED, 0, NULL);
	uint64_t before = harness_counter(OM_C_LOOKUPS_ASKED);
	char big[5000];
	uint8_t req[8192];
	struct wire_resp r;
	struct answer a;
	size_t n;

	(void)state;
	memset(big, 'b', sizeof(big));
	(void)harness_hidden(h, "/slow", big, sizeof(big), 0);
	(void)harness_object(h, "/big", big, sizeof(big), 1);
	h->sup_hold = true;
	n = wire_v2(req, 1, 0, '4', "/slow");
	n += wire_v2(req + n, 2, 0, '4', "/big");
	n += wire_v2(req + n, 3, 0, '1', "/big");
	harness_write(fd, req, n);
	for (int i = 0; i < 10000 && harness_counter(OM_C_LOOKUPS_ASKED) == before; i++)
		(void)usleep(1000);
	assert_true(harness_quiet(fd, 20));
	h->sup_hold = false;
	for (uint32_t id = 1; id <= 2; id++) {
		read_answer(fd, &a);
		assert_int_equal(a.head.id, id);
		assert_int_equal(pread(a.fd, req, sizeof(req), (off_t)a.inline_len), sizeof(big) - a.inline_len);
		(void)close(a.fd);
	}
	wire_resp(fd, 2, &r);
	assert_int_equal(r.id, 3);
	(void)close(harness_read_fd_byte(fd));
	(void)close(fd);
	harness_stop(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes), cmocka_unit_test(test_reuse),	cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_legacy), cmocka_unit_test(test_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
