/*
 * test_cat_rec.c: records survive the way into the file and back; anything else is refused.
 */
#include "tests/unit/catalog/cat_test.h"

static const uint8_t secret[IDX_CAT_SECRET_BYTES] = "0123456789abcde";
static const unsigned char meta[] = "\x01\x00\x02" "kvv" "\x02\x00\x00" "k2";

static void rec_equal(const struct om_rec *a, const struct om_rec *b)
{
	assert_true(a->id == b->id && a->size == b->size && a->mtime_ns == b->mtime_ns && a->expiry_s == b->expiry_s);
	assert_true(a->rev == b->rev && a->flags == b->flags && a->uid == b->uid && a->tier == b->tier && a->home == b->home);
	assert_true(a->uri_len == b->uri_len && a->type_len == b->type_len && a->meta_len == b->meta_len);
	assert_memory_equal(a->uri, b->uri, a->uri_len);
	if (a->type_len)
		assert_memory_equal(a->type, b->type, a->type_len);
	if (a->meta_len)
		assert_memory_equal(a->meta, b->meta, a->meta_len);
}

struct enc {
	struct idx_cat_key key;
	size_t len;
	unsigned char val[IDX_CAT_REC_MAX];
};

static void encode(const struct om_rec *rec, struct enc *e)
{
	assert_int_equal(idx_cat_rec_check(rec), 0);
	idx_cat_key_make(rec->uri, rec->uri_len, secret, NULL, &e->key);
	e->len = idx_cat_rec_size(rec);
	assert_true(e->len <= sizeof(e->val));
	idx_cat_rec_encode(rec, e->key.b, e->key.len, e->val);
}

static void rec_round_trip(void **state)
{
	static char uri[OM_URI_MAX];
	uint64_t seed = 7;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t r = cat_test_rnd(&seed);
		static struct enc e;
		struct om_rec in, out;
		in = cat_test_rec(uri, cat_test_uri(&seed, uri), r | 1, cat_test_rnd(&seed), (uint8_t)(r % OM_TIERS_MAX));
		in.home = (uint8_t)((r >> 8) % OM_TIERS_MAX);
		in.flags = (uint32_t)(r >> 16) & OM_OBJ_FLAGS_ALL;
		in.expiry_s = cat_test_rnd(&seed);
		in.rev = (uint32_t)cat_test_rnd(&seed);
		in.uid = i % 4 == 0 ? OM_UID_OLD : i % 4 == 1 ? OM_UID_NONE : (uint32_t)cat_test_rnd(&seed);
		in.type_len = (r & 32) ? 10 : 0;
		if (r & 64) {
			in.meta = meta;
			in.meta_len = sizeof(meta) - 1;
		}
		encode(&in, &e);
		assert_int_equal(idx_cat_rec_decode(e.key.b, e.key.len, e.val, e.len, in.tier, &out), 0);
		rec_equal(&in, &out);
	}
}

/* The stored form is a promise to the next version: these bytes were written by the first one, which knew no owner. */
static void rec_layout(void **state)
{
	static const unsigned char want[] = {
		/* sum */ 0, 0, 0, 0, 0, 0, 0, 0, /* version */ 1, /* home */ 3, /* uri_len */ 0, 0, /* flags */ 5, 0, 0, 0,
		/* id */ 8, 7, 6, 5, 4, 3, 2, 1, /* size */ 0x10, 0x27, 0, 0, 0, 0, 0, 0, /* mtime */ 1, 0, 0, 0, 0, 0, 0, 0x80,
		/* expiry */ 0xff, 0, 0, 0, 0, 0, 0, 0, /* rev */ 2, 0, 0, 1, /* type_len */ 3, 0, /* meta_len */ 6, 0,
		'a', '/', 'b', 1, 0, 2, 'k', 'v', 'v',
	};
	struct om_rec in = { .id = 0x0102030405060708u, .size = 10000, .mtime_ns = 0x8000000000000001u, .expiry_s = 255,
			     .rev = 0x01000002, .flags = 5, .uid = OM_UID_OLD, .tier = 4, .home = 3, .uri_len = 4, .uri = "/abc", .type_len = 3,
			     .type = "a/b", .meta_len = 6, .meta = meta };
	static struct enc e;

	(void)state;
	encode(&in, &e);
	assert_int_equal(e.len, sizeof(want));
	assert_memory_equal(e.val + 8, want + 8, sizeof(want) - 8);
	assert_true(idx_le64(e.val) == 0x1fda33ca4e44a526u);
	/* the second one: the owner between the fixed part and the strings */
	in.uid = 0x0a0b0c0d;
	encode(&in, &e);
	assert_int_equal(e.len, sizeof(want) + 4);
	assert_int_equal(e.val[8], 2);
	assert_memory_equal(e.val + 9, want + 9, 56 - 9);
	assert_memory_equal(e.val + 56, "\x0d\x0c\x0b\x0a", 4);
	assert_memory_equal(e.val + 60, want + 56, sizeof(want) - 56);
}

static void damage(const struct om_rec *in)
{
	static struct enc e;
	struct om_rec out;

	encode(in, &e);
	for (size_t n = 0; n < e.len; n++) { /* every truncation, in memory of exactly that size */
		unsigned char *cut = malloc(n ? n : 1);
		assert_non_null(cut);
		memcpy(cut, e.val, n);
		assert_int_equal(idx_cat_rec_decode(e.key.b, e.key.len, cut, n, in->tier, &out), -OBJM_STATUS_CORRUPT);
		free(cut);
	}
	for (size_t bit = 0; bit < e.len * 8; bit++) {
		e.val[bit / 8] ^= (unsigned char)(1u << bit % 8);
		assert_int_equal(idx_cat_rec_decode(e.key.b, e.key.len, e.val, e.len, in->tier, &out), -OBJM_STATUS_CORRUPT);
		e.val[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	for (size_t bit = 0; bit < e.key.len * 8u; bit++) { /* under another key it is nobody's */
		e.key.b[bit / 8] ^= (unsigned char)(1u << bit % 8);
		assert_int_equal(idx_cat_rec_decode(e.key.b, e.key.len, e.val, e.len, in->tier, &out), -OBJM_STATUS_CORRUPT);
		e.key.b[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	assert_int_equal(idx_cat_rec_decode(e.key.b, e.key.len, e.val, e.len, in->tier, &out), 0);
}

static void rec_damage(void **state)
{
	static char uri[OM_URI_MAX];
	struct om_rec in = cat_test_rec("/some/object", 12, 77, 1234, 2);

	(void)state;
	in.meta = meta;
	in.meta_len = sizeof(meta) - 1;
	damage(&in);
	in.uid = OM_UID_OLD;
	damage(&in);
	in.uid = 1000;
	memset(uri, 'u', sizeof(uri));
	in.uri = uri;
	in.uri_len = 600;
	damage(&in);
}

/* A forger knows the checksum: what is under it is checked all the same. */
static void rec_forged(void **state)
{
	static const struct { size_t at; unsigned char byte; } forgeries[] = {
		{ 8, 3 }, /* version */ { 8, 0 }, { 8, 1 }, /* the version without an owner, with one */ { 9, OM_TIERS_MAX }, /* home */ { 10, 1 }, /* uri_len with a short key */
		{ 12, 8 }, /* unknown flag */ { 15, 1 }, { 52, 11 }, /* type_len */ { 54, 3 }, /* meta_len */
		{ 70, 0 }, /* an empty metadata key */
	};
	static struct enc e;
	struct om_rec in = cat_test_rec("/some/object", 12, 77, 1234, 2), out;

	(void)state;
	in.meta = meta;
	in.meta_len = sizeof(meta) - 1;
	for (size_t i = 0; i < OM_ARRAY_SIZE(forgeries); i++) {
		encode(&in, &e);
		e.val[forgeries[i].at] = forgeries[i].byte;
		idx_put64(e.val, idx_cat_seal_sum(e.key.b, e.key.len, e.val + 8, e.len - 8));
		assert_int_equal(idx_cat_rec_decode(e.key.b, e.key.len, e.val, e.len, 2, &out), -OBJM_STATUS_CORRUPT);
	}
	encode(&in, &e);
	idx_put32(e.val + 56, OM_UID_OLD); /* an owner that is not known has the other form */
	idx_put64(e.val, idx_cat_seal_sum(e.key.b, e.key.len, e.val + 8, e.len - 8));
	assert_int_equal(idx_cat_rec_decode(e.key.b, e.key.len, e.val, e.len, 2, &out), -OBJM_STATUS_CORRUPT);
	encode(&in, &e);
	idx_put64(e.val + 16, 0); /* id 0 */
	idx_put64(e.val, idx_cat_seal_sum(e.key.b, e.key.len, e.val + 8, e.len - 8));
	assert_int_equal(idx_cat_rec_decode(e.key.b, e.key.len, e.val, e.len, 2, &out), -OBJM_STATUS_CORRUPT);
	encode(&in, &e);
	e.key.b[3] = 0xff; /* a key that is no URI */
	idx_put64(e.val, idx_cat_seal_sum(e.key.b, e.key.len, e.val + 8, e.len - 8));
	assert_int_equal(idx_cat_rec_decode(e.key.b, e.key.len, e.val, e.len, 2, &out), -OBJM_STATUS_CORRUPT);
}

static void rec_refused(void **state)
{
	struct om_rec r = cat_test_rec("/a", 2, 1, 1, 0);

	(void)state;
	assert_int_equal(idx_cat_rec_check(&r), 0);
	r.id = 0;
	assert_int_equal(idx_cat_rec_check(&r), -OBJM_STATUS_INVALID_REQUEST);
	r = cat_test_rec("/a", 2, 1, 1, OM_TIERS_MAX);
	assert_int_equal(idx_cat_rec_check(&r), -OBJM_STATUS_INVALID_REQUEST);
	r = cat_test_rec("", 0, 1, 1, 0);
	assert_int_equal(idx_cat_rec_check(&r), -OBJM_STATUS_INVALID_REQUEST);
	r = cat_test_rec("\xff", 1, 1, 1, 0);
	assert_int_equal(idx_cat_rec_check(&r), -OBJM_STATUS_INVALID_REQUEST);
	r = cat_test_rec("/a", 2, 1, 1, 0);
	r.type_len = OM_TYPE_MAX + 1;
	assert_int_equal(idx_cat_rec_check(&r), -OBJM_STATUS_TOO_LARGE);
	r = cat_test_rec("/a", 2, 1, 1, 0);
	r.flags = 8;
	assert_int_equal(idx_cat_rec_check(&r), -OBJM_STATUS_INVALID_REQUEST);
}

static void rec_winner(void **state)
{
	struct om_rec a = cat_test_rec("/a", 2, 5, 1, 0), b = cat_test_rec("/a", 2, 6, 1, 1);

	(void)state;
	assert_false(idx_cat_rec_wins(&a, &b)); /* higher id */
	assert_true(idx_cat_rec_wins(&b, &a));
	b.id = 5;
	b.home = 0; /* b is a copy: the home record wins, though its number is no reason */
	assert_true(idx_cat_rec_wins(&a, &b));
	a.home = 1;
	b.home = 1;
	assert_false(idx_cat_rec_wins(&a, &b)); /* the other way round, against the order of the numbers */
	assert_true(idx_cat_rec_wins(&b, &a));
	a.home = 7;
	b.home = 7;
	b.rev = 2;
	assert_true(idx_cat_rec_wins(&b, &a)); /* two copies: the later revision */
}

/* The quick look at eight bytes a time must see what the slow one sees, wherever it stands. */
static void rec_uri_bytes(void **state)
{
	static const char bad[] = { '\0', (char)0x80, (char)0xff, (char)0xc3 };
	char uri[32];

	(void)state;
	for (size_t len = 1; len < sizeof(uri); len++) {
		for (size_t at = 0; at < len; at++) {
			for (size_t i = 0; i < sizeof(bad); i++) {
				memset(uri, i % 2 ? 0x7f : 0x01, sizeof(uri));
				struct om_rec r = cat_test_rec(uri, len, 1, 1, 0);
				assert_int_equal(idx_cat_rec_check(&r), 0);
				uri[at] = bad[i];
				assert_int_equal(idx_cat_rec_check(&r), -OBJM_STATUS_INVALID_REQUEST);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rec_round_trip), cmocka_unit_test(rec_layout), cmocka_unit_test(rec_damage),
		cmocka_unit_test(rec_forged),	  cmocka_unit_test(rec_refused), cmocka_unit_test(rec_winner),
		cmocka_unit_test(rec_uri_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
