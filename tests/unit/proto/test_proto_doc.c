/*
 * test_proto_doc.c: every hex dump of doc/protocol.md is what the codec writes and what it reads.
 *
 * A dump is a fenced block "```hex NAME"; `cases` has a row for each name, and the two must match one to one. Each
 * dump is also
 * decoded cut short at every byte (more is needed, never an error) and one byte long (the rest is left alone).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/proto/om_proto.h"

struct dump {
	char name[64];
	uint8_t bytes[4096];
	size_t len;
	bool used;
};
static struct dump dumps[64];
static size_t dump_count;

/* ---------------------------------------------------------------- the page */

static void parse_line(struct dump *d, const char *line)
{
	char *end;
	unsigned long v;

	assert_int_equal(strtoul(line, &end, 16), d->len); /* the offset that the page gives */
	for (line = end;; line = end) {
		while (*line == ' ')
			line++;
		if (*line == ';' || *line == '\n' || *line == '\0')
			return;
		v = strtoul(line, &end, 16);
		assert_int_equal(end - line, 2);
		assert_true(d->len < sizeof(d->bytes));
		d->bytes[d->len++] = (uint8_t)v;
	}
}

static int load(void **state)
{
	OM_AUTO_FILE f = fopen(DOC_PAGE, "re");
	struct dump *d = NULL;
	char line[1024];

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "```hex ", 7)) {
			assert_true(dump_count < OM_ARRAY_SIZE(dumps));
			d = &dumps[dump_count++];
			assert_int_equal(sscanf(line + 7, "%63s", d->name), 1);
		} else if (!strncmp(line, "```", 3)) {
			d = NULL;
		} else if (d) {
			parse_line(d, line);
		}
	}
	return 0;
}

/* ---------------------------------------------------------------- the messages, as the codec writes them */

static const struct om_proto_obj obj = {.id = 0x1234,
					.rev = 3,
					.flags = OM_OBJ_PINNED,
					.size = 4096,
					.mtime_ns = 1700000000123456789u,
					.tier = 1,
					.home = 2,
					.bucket = 77,
					.gen = 1002};

#define STR(s) ((struct om_proto_str){s, sizeof(s) - 1})
#define B(name) OM_PROTO_BIT(name)

static int v1_request(struct om_proto_wr *wr)
{
	struct om_proto_req r = {.mode = OM_PROTO_MODE_FDPASS, .uri = "/logo", .uri_len = 5};
	return om_proto_v1_req_encode(&r, wr->buf, wr->cap);
}

static int v1_response(struct om_proto_wr *wr)
{
	struct om_proto_resp r = {.meta_len = 11};
	wr->len = (size_t)om_proto_v1_resp_encode(&r, wr->buf, wr->cap);
	om_proto_meta_put_u64(wr, OM_PROTO_META_SIZE, 4096);
	return (int)wr->len;
}

static int content(struct om_proto_wr *wr, const char *s)
{
	memcpy(wr->buf + wr->len, s, strlen(s));
	return (int)(wr->len + strlen(s));
}

static int v1_response_copy(struct om_proto_wr *wr)
{
	struct om_proto_resp r = {.content_len = 5};
	wr->len = (size_t)om_proto_v1_resp_encode(&r, wr->buf, wr->cap);
	return content(wr, "hello");
}

static int v1_error(struct om_proto_wr *wr)
{
	return om_proto_error_encode(OM_PROTO_V1, 0, OBJM_STATUS_NOT_FOUND, "no such object", wr->buf, wr->cap);
}

static int fd_byte(struct om_proto_wr *wr)
{
	wr->buf[0] = OM_PROTO_FD_BYTE;
	return 1;
}

static int hello(struct om_proto_wr *wr)
{
	struct om_proto_hello h = {.caps = OM_PROTO_CAP_OOO | OM_PROTO_CAP_PIPELINING | OM_PROTO_CAP_EXTENSION, .max_pipeline = 100};
	return om_proto_hello_encode(&h, wr->buf, wr->cap);
}

static int hello_ack(struct om_proto_wr *wr)
{
	struct om_proto_hello h = {
		.caps = OM_PROTO_CAP_OOO | OM_PROTO_CAP_PIPELINING | OM_PROTO_CAP_EXTENSION, .max_pipeline = 64, .parallelism = 4};
	return om_proto_hello_ack_encode(&h, wr->buf, wr->cap);
}

static int v2_request(struct om_proto_wr *wr)
{
	struct om_proto_req r = {
		.id = 7, .flags = OM_PROTO_REQ_ORDERED, .mode = OM_PROTO_MODE_COPY, .uri = "/logo", .uri_len = 5};
	return om_proto_v2_req_encode(&r, wr->buf, wr->cap);
}

static int v2_response(struct om_proto_wr *wr)
{
	struct om_proto_resp r = {.id = 7, .content_len = 5, .meta_len = 23};
	wr->len = (size_t)om_proto_v2_resp_encode(&r, wr->buf, wr->cap);
	om_proto_meta_put_u64(wr, OM_PROTO_META_MTIME, 1700000000);
	om_proto_meta_put(wr, OM_PROTO_META_TYPE, "image/png", 9);
	return content(wr, "hello");
}

static int v2_error(struct om_proto_wr *wr)
{
	return om_proto_error_encode(OM_PROTO_V2, 8, OBJM_STATUS_URI_TOO_LONG, "URI too long", wr->buf, wr->cap);
}

static int close_msg(struct om_proto_wr *wr) { return om_proto_close_encode(OM_PROTO_CLOSE_NORMAL, wr->buf, wr->cap); }
static int close_ack(struct om_proto_wr *wr) { return om_proto_close_ack_encode(0, wr->buf, wr->cap); }

static int segs(struct om_proto_wr *wr, uint32_t id, const struct om_proto_seg *seg, uint16_t n)
{
	struct om_proto_seg_resp r = {.id = id, .segs = n};

	wr->len = (size_t)om_proto_seg_resp_encode(&r, wr->buf, wr->cap);
	for (uint16_t i = 0; i < n; i++)
		wr->len += (size_t)om_proto_seg_encode(&seg[i], wr->buf + wr->len, wr->cap - wr->len);
	return content(wr, "head");
}

static int segmented(struct om_proto_wr *wr)
{
	static const struct om_proto_seg seg[] = {
		{.type = OM_PROTO_SEG_INLINE, .copy_len = 4, .logical_len = 4},
		{.type = OM_PROTO_SEG_FD, .flags = OM_PROTO_SEGF_FIN, .logical_len = 4096, .storage_off = 4, .storage_len = 4096},
	};
	return segs(wr, 9, seg, 2);
}

static int segmented_reuse(struct om_proto_wr *wr)
{
	static const struct om_proto_seg seg[] = {
		{.type = OM_PROTO_SEG_INLINE, .copy_len = 4, .logical_len = 4},
		{.type = OM_PROTO_SEG_FD, .logical_len = 1u << 30, .storage_off = 4, .storage_len = 1u << 30},
		{.type = OM_PROTO_SEG_FD, .flags = OM_PROTO_SEGF_FIN | OM_PROTO_SEGF_REUSE_FD, .logical_len = 100,
		 .storage_off = 4 + (1u << 30), .storage_len = 100},
	};
	return segs(wr, 10, seg, 3);
}

static int segmented_error(struct om_proto_wr *wr)
{
	struct om_proto_seg_resp r = {.id = 11, .status = OBJM_STATUS_NOT_FOUND, .meta_len = 12};

	wr->len = (size_t)om_proto_seg_resp_encode(&r, wr->buf, wr->cap);
	om_proto_meta_put(wr, OM_PROTO_META_ERROR, "not found", 9);
	return (int)wr->len;
}

/* A frame: its header, its body, its payload. */
static int frame(struct om_proto_wr *wr, struct om_proto_ext ext, const struct om_proto_body *body, const char *payload)
{
	ext.payload_len = payload ? strlen(payload) : 0;
	assert_true(om_proto_ext_encode(wr, &ext, body) > 0);
	return payload ? content(wr, payload) : (int)wr->len;
}

static int get(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(URI), .uri = STR("/logo")};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_GET, .flags = OM_PROTO_F_WANT_META, .id = 1}, &b, NULL);
}

static int get_answer(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(OBJ) | B(TYPE) | B(TIER_NAME) | B(HOME_NAME),
				  .obj = obj,
				  .type = STR("image/png"),
				  .tier_name = STR("nvme"),
				  .home_name = STR("hdd")};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_GET | 0x80, .nfds = 1, .id = 1}, &b, NULL);
}

static int get_many(struct om_proto_wr *wr)
{
	struct om_proto_ext ext = {.op = OM_PROTO_OP_GET, .id = 2};
	size_t at = om_proto_ext_open(wr);
	om_proto_tlv_put(wr, OM_PROTO_TAG_URI, "/a", 2);
	om_proto_tlv_put(wr, OM_PROTO_TAG_URI, "/b", 2);
	return om_proto_ext_close(wr, at, &ext);
}

static int get_many_1(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(OBJ) | B(INDEX), .obj = obj, .index = 0};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_GET | 0x80, .nfds = 1, .flags = OM_PROTO_F_MORE, .id = 2}, &b, NULL);
}

static int get_many_2(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(INDEX) | B(ERROR_TEXT), .index = 1, .error_text = STR("no such object")};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_GET | 0x80, .status = OBJM_STATUS_NOT_FOUND, .id = 2}, &b, NULL);
}

static int get_copy(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(URI) | B(RANGE), .uri = STR("/logo"), .range = {.off = 4090, .len = 0}};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_GET, .flags = OM_PROTO_F_COPY | OM_PROTO_F_WANT_TIME, .id = 3},
		     &b, NULL);
}

static int get_copy_answer(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(OBJ) | B(RANGE) | B(SERVER_NS),
				  .obj = obj,
				  .range = {.off = 4090, .len = 6},
				  .server_ns = 52000};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_GET | 0x80, .id = 3}, &b, "\1\2\3\4\5\6");
}

/* 20,000 letters a, as zstd makes them at level 1, behind the header of their block. */
static int compressed(struct om_proto_wr *wr, uint32_t raw)
{
	static const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x20, 0x4d, 0x4d, 0x00, 0x00,
				       0x10, 0x61, 0x61, 0x01, 0x00, 0x1b, 0xce, 0x0e, 0xb0};
	struct om_proto_block b = {.wire = sizeof(zstd), .raw = raw}, again;

	om_proto_block_encode(&b, wr->buf + wr->len);
	assert_int_equal(om_proto_block_decode(wr->buf + wr->len, raw, &again), 0);
	assert_true(again.wire == b.wire && again.raw == b.raw);
	memcpy(wr->buf + wr->len + OM_PROTO_BLOCK_HDR, zstd, sizeof(zstd));
	return (int)(wr->len + OM_PROTO_BLOCK_HDR + sizeof(zstd));
}
#define COMPRESSED 27u /* bytes of that */

static int hello_compressed(struct om_proto_wr *wr)
{
	struct om_proto_hello h = {.caps = 0x0107, .max_pipeline = 100};
	return om_proto_hello_encode(&h, wr->buf, wr->cap);
}

static int hello_ack_compressed(struct om_proto_wr *wr)
{
	struct om_proto_hello h = {.caps = 0x0107, .max_pipeline = 64, .parallelism = 4};
	return om_proto_hello_ack_encode(&h, wr->buf, wr->cap);
}

static int v2_request_compressed(struct om_proto_wr *wr)
{
	struct om_proto_req r = {.id = 12, .mode = OM_PROTO_MODE_COPY, .uri = "/text", .uri_len = 5};
	return om_proto_v2_req_encode(&r, wr->buf, wr->cap);
}

static int v2_response_compressed(struct om_proto_wr *wr)
{
	struct om_proto_resp r = {.id = 12, .content_len = 20000, .meta_len = 15};
	wr->len = (size_t)om_proto_v2_resp_encode(&r, wr->buf, wr->cap);
	om_proto_meta_put_u64(wr, OM_PROTO_META_SIZE, 20000);
	om_proto_meta_put_u8(wr, OM_PROTO_META_CODING, OM_PROTO_CODING_ZSTD);
	return compressed(wr, 20000);
}

static int get_copy_compressed(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(URI), .uri = STR("/text")};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_GET, .flags = OM_PROTO_F_COPY, .id = 13}, &b, NULL);
}

static int get_copy_compressed_answer(struct om_proto_wr *wr)
{
	struct om_proto_ext ext = {.op = OM_PROTO_OP_GET | 0x80, .id = 13, .payload_len = 20000};
	struct om_proto_body b = {.have = B(OBJ) | B(RANGE) | B(CODING),
				  .obj = {.id = 0x1235, .rev = 1, .size = 20000, .mtime_ns = 1700000000123456789u,
					  .tier = 1, .home = 2, .bucket = 77, .gen = 1002},
				  .range = {.off = 0, .len = 20000},
				  .coding = OM_PROTO_CODING_ZSTD};
	assert_true(om_proto_ext_encode(wr, &ext, &b) > 0);
	return compressed(wr, 20000);
}

static int stat_req(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(URI), .uri = STR("/logo")};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_STAT, .id = 4}, &b, NULL);
}

static int stat_answer(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(OBJ) | B(TYPE) | B(META) | B(TIER_NAME) | B(HOME_NAME) | B(HEAT),
				  .obj = obj,
				  .type = STR("image/png"),
				  .meta = STR("\5\0\2ownerme"),
				  .tier_name = STR("nvme"),
				  .home_name = STR("hdd"),
				  .heat = {.heat_millionths = 250000, .access_count = 12, .last_access_s = 1700000100}};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_STAT | 0x80, .id = 4}, &b, NULL);
}

static int put_begin(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(URI) | B(TYPE) | B(META) | B(SIZE_HINT) | B(PUT_FLAGS) | B(TTL_S) | B(COND) | B(DURABILITY),
				  .uri = STR("/logo"),
				  .type = STR("image/png"),
				  .meta = STR("\5\0\2ownerme"),
				  .size_hint = 1048576,
				  .put_flags = OM_OBJ_PINNED,
				  .ttl_s = 3600,
				  .cond = {.kind = OM_COND_ABSENT},
				  .durability = OM_DUR_SYNC};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_PUT_BEGIN, .id = 5}, &b, NULL);
}

static int put_begin_answer(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(TIER_NAME) | B(SESSION), .tier_name = STR("nvme"), .session = 1};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_PUT_BEGIN | 0x80, .nfds = 1, .id = 5}, &b, NULL);
}

static int put_commit(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(SESSION), .session = 1};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_PUT_COMMIT, .id = 6}, &b, NULL);
}

static int put_commit_answer(struct om_proto_wr *wr)
{
	struct om_proto_body b = {
		.have = B(OBJ) | B(TIER_NAME) | B(DURABILITY), .obj = obj, .tier_name = STR("nvme"), .durability = OM_DUR_SYNC};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_PUT_COMMIT | 0x80, .id = 6}, &b, NULL);
}

static int put_abort(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(SESSION), .session = 2};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_PUT_ABORT, .id = 7}, &b, NULL);
}

static int put_abort_answer(struct om_proto_wr *wr)
{
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_PUT_ABORT | 0x80, .id = 7}, NULL, NULL);
}

static int put_inline(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(URI), .uri = STR("/logo")};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_PUT_INLINE, .id = 8}, &b, "hello");
}

static int put_inline_answer(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(OBJ) | B(DURABILITY), .obj = obj, .durability = OM_DUR_BATCH};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_PUT_INLINE | 0x80, .id = 8}, &b, NULL);
}

static int delete_req(struct om_proto_wr *wr)
{
	struct om_proto_body b = {
		.have = B(URI) | B(COND), .uri = STR("/logo"), .cond = {.kind = OM_COND_VERSION, .id = 0x1234}};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_DELETE, .flags = OM_PROTO_F_ORDERED, .id = 9}, &b, NULL);
}

static int delete_answer(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(ERROR_TEXT), .error_text = STR("precondition failed")};

	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_DELETE | OM_PROTO_OP_RESPONSE, .status = OBJM_STATUS_PRECONDITION_FAILED, .id = 9},
		     &b, NULL);
}

static int list(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(PREFIX) | B(DELIMITER) | B(START_AFTER) | B(LIMIT),
				  .prefix = STR("/img/"),
				  .delimiter = '/',
				  .start_after = STR("/img/a"),
				  .limit = 100};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_LIST, .id = 10}, &b, NULL);
}

static int list_answer(struct om_proto_wr *wr)
{
	struct om_proto_body e = {.have = B(URI) | B(OBJ), .uri = STR("/img/b"), .obj = obj};
	struct om_proto_body tail = {
		.have = B(COMMON_PREFIX) | B(NEXT), .common_prefix = STR("/img/c/"), .next = STR("/img/c/\xf4\x8f\xbf\xbf")};
	struct om_proto_ext ext = {.op = OM_PROTO_OP_LIST | 0x80, .id = 10};
	size_t at = om_proto_ext_open(wr);
	om_proto_entry_put(wr, &e);
	om_proto_body_put(wr, &tail);
	return om_proto_ext_close(wr, at, &ext);
}

static int set(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(URI) | B(PUT_FLAGS), .uri = STR("/logo")};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_SET, .id = 11}, &b, NULL);
}

static int set_answer(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(OBJ), .obj = obj};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_SET | 0x80, .id = 11}, &b, NULL);
}

#define WATCH_EPOCH 0x1122334455667788u

static int watch(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(PREFIX) | B(POSITION), .prefix = STR("/img/"), .position = {WATCH_EPOCH, 41}};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_WATCH, .id = 14}, &b, NULL);
}

static int watch_frame(struct om_proto_wr *wr, struct om_proto_body *b, uint8_t kind, uint64_t pos)
{
	b->have |= B(CHANGE);
	b->change = (struct om_proto_changed){kind, {WATCH_EPOCH, pos}};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_WATCH | 0x80, .flags = OM_PROTO_F_MORE, .id = 14}, b, NULL);
}

static int watch_here(struct om_proto_wr *wr)
{
	struct om_proto_body b = {0};
	return watch_frame(wr, &b, OM_PROTO_CHANGE_HERE, 41);
}

static int watch_put(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(URI) | B(OBJ), .uri = STR("/img/b"), .obj = obj};
	return watch_frame(wr, &b, OM_PROTO_CHANGE_PUT, 43);
}

static int watch_lost(struct om_proto_wr *wr)
{
	struct om_proto_body b = {0};
	return watch_frame(wr, &b, OM_PROTO_CHANGE_LOST, 90);
}

static int touch(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(TOUCHED), .touched = {0x1234, 12, STR("/logo")}};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_TOUCH, .id = 15}, &b, NULL);
}

static int touch_answer(struct om_proto_wr *wr)
{
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_TOUCH | 0x80, .id = 15}, NULL, NULL);
}

static int attach(struct om_proto_wr *wr)
{
	struct om_proto_body b = {
		.have = B(PROMISE) | B(MAX_FDS), .promise = OM_PROTO_PROMISE_POSITIONED, .max_fds = 252};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_ATTACH, .id = 12}, &b, NULL);
}

static int attach_answer(struct om_proto_wr *wr)
{
	struct om_proto_body b = {.have = B(LIMITS),
				  .limits = {.tlv_max = 1048576,
					     .sessions_max = 64,
					     .page_max = 1000,
					     .uris_max = 253,
					     .max_fds = 253,
					     .durability = OM_DUR_SYNC,
					     .inline_max = 1048576}};
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_ATTACH | 0x80, .id = 12}, &b, NULL);
}

static int ping(struct om_proto_wr *wr) { return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_PING, .id = 13}, NULL, NULL); }
static int ping_answer(struct om_proto_wr *wr)
{
	return frame(wr, (struct om_proto_ext){.op = OM_PROTO_OP_PING | 0x80, .id = 13}, NULL, NULL);
}

/* ---------------------------------------------------------------- the rows */

enum way { IN_V1, IN_V2_FIRST, IN_V2, OUT_V1, OUT_V2_FIRST, OUT_V2, NONE };

static const struct doc_case {
	const char *name;
	int (*encode)(struct om_proto_wr *wr);
	enum way way;
	size_t behind; /* bytes of content or payload behind what the decoder consumes */
} cases[] = {
	{"v1-request", v1_request, IN_V1, 0},
	{"v1-response", v1_response, OUT_V1, 0},
	{"fd-byte", fd_byte, NONE, 0},
	{"v1-response-copy", v1_response_copy, OUT_V1, 5},
	{"v1-error", v1_error, OUT_V1, 0},
	{"hello", hello, IN_V2_FIRST, 0},
	{"hello-ack", hello_ack, OUT_V2_FIRST, 0},
	{"v2-request", v2_request, IN_V2, 0},
	{"v2-response", v2_response, OUT_V2, 5},
	{"v2-error", v2_error, OUT_V2, 0},
	{"close", close_msg, IN_V2, 0},
	{"close-ack", close_ack, OUT_V2, 0},
	{"segmented", segmented, OUT_V2, 4},
	{"segmented-reuse", segmented_reuse, OUT_V2, 4},
	{"segmented-error", segmented_error, OUT_V2, 0},
	{"get", get, IN_V2, 0},
	{"get-answer", get_answer, OUT_V2, 0},
	{"get-many", get_many, IN_V2, 0},
	{"get-many-answer-1", get_many_1, OUT_V2, 0},
	{"get-many-answer-2", get_many_2, OUT_V2, 0},
	{"get-copy", get_copy, IN_V2, 0},
	{"get-copy-answer", get_copy_answer, OUT_V2, 6},
	{"hello-compressed", hello_compressed, IN_V2_FIRST, 0},
	{"hello-ack-compressed", hello_ack_compressed, OUT_V2_FIRST, 0},
	{"v2-request-compressed", v2_request_compressed, IN_V2, 0},
	{"v2-response-compressed", v2_response_compressed, OUT_V2, COMPRESSED},
	{"get-copy-compressed", get_copy_compressed, IN_V2, 0},
	{"get-copy-compressed-answer", get_copy_compressed_answer, OUT_V2, COMPRESSED},
	{"stat", stat_req, IN_V2, 0},
	{"stat-answer", stat_answer, OUT_V2, 0},
	{"put-begin", put_begin, IN_V2, 0},
	{"put-begin-answer", put_begin_answer, OUT_V2, 0},
	{"put-commit", put_commit, IN_V2, 0},
	{"put-commit-answer", put_commit_answer, OUT_V2, 0},
	{"put-abort", put_abort, IN_V2, 0},
	{"put-abort-answer", put_abort_answer, OUT_V2, 0},
	{"put-inline", put_inline, IN_V2, 5},
	{"put-inline-answer", put_inline_answer, OUT_V2, 0},
	{"delete", delete_req, IN_V2, 0},
	{"delete-answer", delete_answer, OUT_V2, 0},
	{"list", list, IN_V2, 0},
	{"list-answer", list_answer, OUT_V2, 0},
	{"set", set, IN_V2, 0},
	{"set-answer", set_answer, OUT_V2, 0},
	{"watch", watch, IN_V2, 0},
	{"watch-here", watch_here, OUT_V2, 0},
	{"watch-put", watch_put, OUT_V2, 0},
	{"watch-lost", watch_lost, OUT_V2, 0},
	{"touch", touch, IN_V2, 0},
	{"touch-answer", touch_answer, OUT_V2, 0},
	{"attach", attach, IN_V2, 0},
	{"attach-answer", attach_answer, OUT_V2, 0},
	{"ping", ping, IN_V2, 0},
	{"ping-answer", ping_answer, OUT_V2, 0},
};

static struct dump *dump_of(const char *name)
{
	size_t i;

	for (i = 0; i < dump_count; i++) {
		if (!strcmp(dumps[i].name, name))
			return &dumps[i];
	}
	fail_msg("doc/protocol.md has no dump \"%s\"", name);
	return NULL;
}

static void test_page_is_what_the_codec_writes(void **state)
{
	static uint8_t buf[8192];
	struct om_proto_wr wr;
	struct dump *d;
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < OM_ARRAY_SIZE(cases); i++) {
		d = dump_of(cases[i].name);
		assert_false(d->used);
		d->used = true;
		om_proto_wr_init(&wr, buf, sizeof(buf));
		n = cases[i].encode(&wr);
		if (n != (int)d->len || memcmp(buf, d->bytes, d->len) != 0)
			print_message("# in %s\n", d->name);
		assert_int_equal(n, d->len);
		assert_memory_equal(buf, d->bytes, d->len);
	}
	for (i = 0; i < dump_count; i++) {
		if (!dumps[i].used)
			fail_msg("the dump \"%s\" of doc/protocol.md is not tested", dumps[i].name);
	}
}

static int decode(enum way way, const uint8_t *p, size_t len, struct om_proto_in *in, struct om_proto_out *out, size_t *need)
{
	const uint16_t caps = OM_PROTO_CAP_EXTENSION | OM_PROTO_CAP_SEGMENTED;

	switch (way) {
	case IN_V1:
		return om_proto_in_decode(OM_PROTO_V1, false, 0, 0, p, len, in, need);
	case IN_V2_FIRST:
	case IN_V2:
		return om_proto_in_decode(OM_PROTO_V2, way == IN_V2, caps, OM_PROTO_TLV_MAX, p, len, in, need);
	case OUT_V1:
		return om_proto_out_decode(OM_PROTO_V1, false, 0, p, len, out, need);
	default:
		return om_proto_out_decode(OM_PROTO_V2, way == OUT_V2, caps, p, len, out, need);
	}
}

/* What came out of the decoder, encoded once more, is what went in: nothing is lost on the way. */
static void again(const struct doc_case *c, const struct om_proto_in *in, const struct om_proto_out *out, const struct dump *d)
{
	const struct om_proto_ext *ext = c->way == IN_V2 ? &in->u.ext : &out->u.ext;
	static uint8_t buf[8192];
	struct om_proto_body body;
	struct om_proto_wr wr;

	if (!(c->way == IN_V2 && in->kind == OM_PROTO_IN_EXT) && !(c->way == OUT_V2 && out->kind == OM_PROTO_OUT_EXT))
		return;
	if (c->way == IN_V2)
		assert_int_equal(om_proto_req_body_decode(ext, &body), 0);
	else
		assert_int_equal(om_proto_resp_body_decode(ext, &body), 0);
	if (body.uris > 1)
		return;
	om_proto_wr_init(&wr, buf, sizeof(buf));
	assert_int_equal(om_proto_ext_encode(&wr, ext, &body), d->len - c->behind);
	assert_memory_equal(buf, d->bytes, d->len - c->behind);
}

static void test_page_is_what_the_codec_reads(void **state)
{
	size_t i, n, need, whole;
	uint8_t *exact;

	(void)state;
	for (i = 0; i < OM_ARRAY_SIZE(cases); i++) {
		const struct doc_case *c = &cases[i];
		struct dump *d = dump_of(c->name);
		struct om_proto_in in;
		struct om_proto_out out;

		if (c->way == NONE)
			continue;
		whole = d->len - c->behind;
		for (n = 0; n < whole; n++) {
			/* In memory of exactly this size, so that a sanitizer sees a look behind the end. */
			exact = malloc(n ? n : 1);
			memcpy(exact, d->bytes, n);
			need = 0;
			assert_int_equal(decode(c->way, exact, n, &in, &out, &need), 0);
			assert_true(need > n && need <= whole);
			free(exact);
		}
		assert_int_equal(decode(c->way, d->bytes, whole, &in, &out, &need), whole);
		again(c, &in, &out, d);
		d->bytes[d->len] = 0xff;
		assert_int_equal(decode(c->way, d->bytes, d->len + 1, &in, &out, &need), whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page_is_what_the_codec_writes),
		cmocka_unit_test(test_page_is_what_the_codec_reads),
	};

	return cmocka_run_group_tests(tests, load, NULL);
}
