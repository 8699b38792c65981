/*
 * test_cat_txn.c: the write and read sides of one catalog against a model: puts, deletes, totals, collisions, reopening.
 */
#include "tests/unit/catalog/cat_test.h"

static int setup(void **state)
{
	*state = cat_test_mkdir(NULL);
	return 0;
}

static int teardown(void **state)
{
	cat_test_rmdir(*state);
	return 0;
}

static void txn_basics(void **state)
{
	struct idx_cat *cat = cat_test_open_memory(*state, 1);
	struct om_rec a = cat_test_rec("/a", 2, 10, 100, 1), got;
	struct idx_cat_totals t;
	struct idx_cat_old old;
	struct idx_cat_txn *txn;
	struct idx_cat_snap *before, *snap;

	cat_ok(idx_cat_snap_open(cat, &before));
	cat_ok(idx_cat_txn_begin(cat, &txn));
	cat_ok(idx_cat_txn_put(txn, &a, 0, &old));
	assert_false(old.existed);
	cat_ok(idx_cat_txn_get(txn, "/a", 2, &got)); /* seen inside */
	assert_int_equal(got.size, 100);
	assert_int_equal(idx_cat_txn_get(txn, "/b", 2, &got), -OBJM_STATUS_NOT_FOUND);
	cat_ok(idx_cat_txn_commit(txn));
	assert_int_equal(idx_cat_snap_peek(before, "/a", 2, &got), -OBJM_STATUS_NOT_FOUND); /* a snapshot stands still */
	cat_ok(idx_cat_snap_open(cat, &snap));
	cat_ok(idx_cat_snap_peek(snap, "/a", 2, &got));
	assert_int_equal(got.id, 10);
	assert_int_equal(got.tier, 1);

	a.id = 11;
	a.size = 7;
	a.home = 2; /* now a copy */
	cat_ok(idx_cat_txn_begin(cat, &txn));
	cat_ok(idx_cat_txn_put(txn, &a, 0, &old));
	assert_true(old.existed && old.id == 10 && old.size == 100 && old.home == 1 && !old.damaged);
	idx_cat_txn_totals(txn, &t);
	assert_true(t.objects == 1 && t.bytes == 7 && t.copies == 1 && t.copy_bytes == 7);
	assert_int_equal(idx_cat_txn_put(txn, &a, IDX_CAT_PUT_NEWER, NULL), -OBJM_STATUS_PRECONDITION_FAILED);
	a.rev++;
	cat_ok(idx_cat_txn_put(txn, &a, IDX_CAT_PUT_NEWER, NULL));
	assert_int_equal(idx_cat_txn_del(txn, "/a", 2, 10, NULL), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(idx_cat_txn_del(txn, "/b", 2, 0, NULL), -OBJM_STATUS_NOT_FOUND);
	a.tier = 2;
	assert_int_equal(idx_cat_txn_put(txn, &a, 0, NULL), -OBJM_STATUS_INVALID_REQUEST);
	cat_ok(idx_cat_txn_del(txn, "/a", 2, 11, &old)); /* refusals left the transaction usable */
	assert_true(old.id == 11 && old.rev == 2);
	cat_ok(idx_cat_txn_commit(txn));
	idx_cat_snap_close(snap);
	cat_ok(idx_cat_snap_open(cat, &snap));
	cat_ok(idx_cat_snap_totals(snap, &t));
	assert_true(t.objects == 0 && t.bytes == 0 && t.copies == 0 && t.copy_bytes == 0);
	idx_cat_snap_close(before);
	idx_cat_snap_close(snap);
	idx_cat_close(cat);
}

/* What may only ever be in memory cannot be recorded anywhere else, whoever asks, with whatever flags of the put. */
static void txn_memory_only(void **state)
{
	struct idx_cat *cat = cat_test_open(*state, 1);
	struct om_rec rec = cat_test_rec("/e", 2, 10, 100, 1);
	struct idx_cat_txn *txn;
	struct idx_cat_totals t;

	cat_ok(idx_cat_txn_begin(cat, &txn));
	rec.flags = OM_OBJ_EPHEMERAL;
	assert_int_equal(idx_cat_txn_put(txn, &rec, 0, NULL), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(idx_cat_txn_put(txn, &rec, IDX_CAT_PUT_NEWER, NULL), -OBJM_STATUS_INVALID_REQUEST);
	rec.flags = 0;
	rec.home = 2; /* a cached copy */
	assert_int_equal(idx_cat_txn_put(txn, &rec, 0, NULL), -OBJM_STATUS_INVALID_REQUEST);
	rec.home = 1;
	cat_ok(idx_cat_txn_put(txn, &rec, 0, NULL));
	rec.flags = OM_OBJ_EPHEMERAL; /* not over one that stands, either */
	rec.rev++;
	assert_int_equal(idx_cat_txn_put(txn, &rec, 0, NULL), -OBJM_STATUS_INVALID_REQUEST);
	cat_ok(idx_cat_txn_commit(txn));
	struct idx_cat_snap *snap;
	cat_ok(idx_cat_snap_open(cat, &snap));
	cat_ok(idx_cat_snap_totals(snap, &t));
	assert_true(t.objects == 1 && t.copies == 0);
	cat_ok(idx_cat_snap_peek(snap, "/e", 2, &rec));
	assert_int_equal(rec.flags, 0);
	idx_cat_snap_close(snap);
	idx_cat_close(cat);
}

static int sum_ids(void *ctx, uint64_t id)
{
	uint64_t *v = ctx;

	assert_true(id > v[1]); /* ascending */
	v[1] = id;
	v[0] += id;
	return 0;
}

static void txn_abort(void **state)
{
	struct idx_cat *cat = cat_test_open(*state, 0);
	struct om_rec a = cat_test_rec("/a", 2, 1, 5, 0), got;
	struct idx_cat_totals t;
	struct idx_cat_txn *txn;
	struct idx_cat_snap *snap;
	uint64_t sum[2] = { 0, 0 };

	cat_ok(idx_cat_txn_begin(cat, &txn));
	cat_ok(idx_cat_txn_put(txn, &a, 0, NULL));
	cat_ok(idx_cat_txn_removed_add(txn, 9));
	idx_cat_txn_abort(txn);
	cat_ok(idx_cat_snap_open(cat, &snap));
	assert_int_equal(idx_cat_snap_peek(snap, "/a", 2, &got), -OBJM_STATUS_NOT_FOUND);
	cat_ok(idx_cat_removed_iter(snap, sum_ids, sum));
	assert_int_equal(sum[0], 0);
	cat_ok(idx_cat_snap_totals(snap, &t));
	assert_int_equal(t.objects, 0);
	idx_cat_snap_close(snap);
	idx_cat_close(cat);
}

static void txn_removed(void **state)
{
	struct idx_cat *cat = cat_test_open(*state, 0);
	struct idx_cat_txn *txn;
	struct idx_cat_snap *snap;
	uint64_t sum[2] = { 0, 0 };

	cat_ok(idx_cat_txn_begin(cat, &txn));
	for (uint64_t id = 1000; id > 0; id--)
		cat_ok(idx_cat_txn_removed_add(txn, id * 300));
	cat_ok(idx_cat_txn_removed_add(txn, 300)); /* twice is once */
	cat_ok(idx_cat_txn_removed_del(txn, 600));
	cat_ok(idx_cat_txn_removed_del(txn, 601)); /* not there */
	cat_ok(idx_cat_txn_commit(txn));
	idx_cat_close(cat);
	cat = cat_test_open(*state, 0);
	cat_ok(idx_cat_snap_open(cat, &snap));
	cat_ok(idx_cat_removed_iter(snap, sum_ids, sum));
	assert_int_equal(sum[0], 300u * (1000u * 1001u / 2) - 600);
	idx_cat_snap_close(snap);
	idx_cat_close(cat);
}

static void hash_all_equal(const void *uri, size_t len, const uint8_t secret[static IDX_CAT_SECRET_BYTES],
			   uint8_t ret_hash[static IDX_CAT_HASH_BYTES])
{
	(void)uri;
	(void)len;
	(void)secret;
	memset(ret_hash, 0x5a, IDX_CAT_HASH_BYTES);
}

static void txn_collision(void **state)
{
	struct idx_cat *cat = cat_test_open(*state, 0);
	char a[600], b[600], c[600];
	struct om_rec ra, rb, rc, got;
	struct idx_cat_totals t;
	struct idx_cat_txn *txn;

	idx_cat_test_hash(cat, hash_all_equal);
	memset(a, 'a', sizeof(a));
	memcpy(b, a, sizeof(a));
	b[599] = 'b';
	memcpy(c, a, sizeof(a));
	c[0] = 'c'; /* another prefix: no collision */
	ra = cat_test_rec(a, 600, 1, 1, 0);
	rb = cat_test_rec(b, 600, 2, 1, 0);
	rc = cat_test_rec(c, 600, 3, 1, 0);
	cat_ok(cat_test_put(cat, &ra));
	assert_int_equal(cat_test_put(cat, &rb), -OBJM_STATUS_COLLISION);
	assert_non_null(strstr(idx_cat_message(), "one key"));
	cat_ok(cat_test_put(cat, &rc));
	cat_ok(idx_cat_txn_begin(cat, &txn));
	assert_int_equal(idx_cat_txn_get(txn, b, 600, &got), -OBJM_STATUS_NOT_FOUND); /* not a's record */
	assert_int_equal(idx_cat_txn_del(txn, b, 600, 0, NULL), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(idx_cat_txn_put(txn, &rb, 0, NULL), -OBJM_STATUS_COLLISION);
	ra.id = 4;
	cat_ok(idx_cat_txn_put(txn, &ra, 0, NULL)); /* the transaction goes on */
	idx_cat_txn_totals(txn, &t);
	assert_int_equal(t.objects, 2);
	cat_ok(idx_cat_txn_commit(txn));
	idx_cat_close(cat);
}

/* ---- random operations against a model ---- */

#define MODEL_URIS 400

struct model {
	char *uri[MODEL_URIS];
	size_t len[MODEL_URIS];
	uint64_t id[MODEL_URIS], size[MODEL_URIS]; /* id 0: absent */
	uint32_t uid[MODEL_URIS];
	uint8_t home[MODEL_URIS];
};

static void model_totals(const struct model *m, struct idx_cat_totals *t)
{
	*t = (struct idx_cat_totals){ 0 };
	for (unsigned i = 0; i < MODEL_URIS; i++)
		if (m->id[i])
			idx_cat_totals_add(t, m->size[i], m->home[i] != 3);
}

#define MODEL_UIDS 7u
static uint32_t model_uid(uint64_t r) { return r % MODEL_UIDS == 0 ? OM_UID_OLD : r % MODEL_UIDS == 1 ? OM_UID_NONE : 1000 + (uint32_t)(r % MODEL_UIDS); }

struct model_owners {
	const struct model *m;
	uint64_t objects;
	unsigned seen;
};

static int check_owner(void *ctx, const struct idx_cat_owner *o)
{
	struct model_owners *c = ctx;
	uint64_t objects = 0, bytes = 0;

	for (unsigned i = 0; i < MODEL_URIS; i++)
		if (c->m->id[i] && c->m->home[i] == 3 && c->m->uid[i] == o->uid) {
			objects++;
			bytes += c->m->size[i];
		}
	assert_int_equal(o->objects, objects);
	assert_int_equal(o->bytes, bytes);
	assert_true(objects > 0); /* who has nothing has no row */
	c->objects += objects;
	c->seen++;
	return 0;
}

static void check_owners(const struct model *m, const struct idx_cat_totals *t, const struct model_owners *c)
{
	(void)m;
	assert_int_equal(c->objects, t->objects - t->copies); /* nobody is left out */
	assert_true(c->seen <= MODEL_UIDS);
}

static int count_rec(void *ctx, const struct om_rec *rec)
{
	const struct model *m = ctx;

	for (unsigned i = 0; i < MODEL_URIS; i++)
		if (m->len[i] == rec->uri_len && memcmp(m->uri[i], rec->uri, rec->uri_len) == 0 && m->id[i] == rec->id)
			return 0;
	return -1;
}

static void model_check(struct idx_cat *cat, struct model *m)
{
	struct idx_cat_totals want, got;
	struct idx_cat_scan_res res;
	struct idx_cat_snap *snap;
	struct idx_cat_txn *txn;
	struct om_rec rec;
	uint64_t max_id = 0;

	model_totals(m, &want);
	cat_ok(idx_cat_snap_open(cat, &snap));
	cat_ok(idx_cat_snap_totals(snap, &got));
	assert_memory_equal(&want, &got, sizeof(want));
	struct model_owners owners = { .m = m };
	cat_ok(idx_cat_snap_owners(snap, check_owner, &owners));
	check_owners(m, &want, &owners);
	cat_ok(idx_cat_scan(snap, count_rec, m, &res));
	assert_memory_equal(&want, &res.totals, sizeof(want));
	assert_int_equal(res.damaged, 0);
	for (unsigned i = 0; i < MODEL_URIS; i++) {
		int rc = idx_cat_snap_peek(snap, m->uri[i], m->len[i], &rec);
		max_id = OM_MAX(max_id, m->id[i]);
		assert_int_equal(rc, m->id[i] ? 0 : -OBJM_STATUS_NOT_FOUND);
		if (rc == 0)
			assert_true(rec.id == m->id[i] && rec.size == m->size[i] && rec.home == m->home[i] && rec.uid == m->uid[i]);
	}
	assert_int_equal(res.max_id, max_id);
	idx_cat_snap_close(snap);
	cat_ok(idx_cat_txn_begin(cat, &txn));
	assert_int_equal(idx_cat_txn_recount(txn), 0);
	owners = (struct model_owners){ .m = m };
	cat_ok(idx_cat_txn_owners(txn, check_owner, &owners));
	check_owners(m, &want, &owners);
	idx_cat_txn_abort(txn);
}

static void model_op(struct idx_cat_txn *txn, struct model *m, uint64_t *seed, uint64_t *next_id)
{
	uint64_t r = cat_test_rnd(seed);
	unsigned i = (unsigned)(r % MODEL_URIS);
	struct idx_cat_old old;

	if ((r >> 32) % 3 == 0) {
		int rc = idx_cat_txn_del(txn, m->uri[i], m->len[i], 0, &old);
		assert_int_equal(rc, m->id[i] ? 0 : -OBJM_STATUS_NOT_FOUND);
		if (rc == 0)
			assert_true(old.id == m->id[i] && old.size == m->size[i] && old.uid == m->uid[i]);
		m->id[i] = 0;
		return;
	}
	struct om_rec rec = cat_test_rec(m->uri[i], m->len[i], ++*next_id, r >> 40, 3);
	rec.home = (uint8_t)(2 + (r >> 36) % 2);
	rec.uid = model_uid(cat_test_rnd(seed));
	cat_ok(idx_cat_txn_put(txn, &rec, 0, &old));
	assert_int_equal(old.existed, m->id[i] != 0);
	m->id[i] = rec.id;
	m->size[i] = rec.size;
	m->home[i] = rec.home;
	m->uid[i] = rec.uid;
}

static void txn_model(void **state)
{
	static char buf[OM_URI_MAX];
	struct model m = { 0 }, saved;
	struct idx_cat *cat = cat_test_open_memory(*state, 3);
	uint64_t seed = 42, next_id = 0;
	struct idx_cat_txn *txn;

	for (unsigned i = 0; i < MODEL_URIS; i++) { /* distinct URIs */
		bool again;
		do {
			m.len[i] = cat_test_uri(&seed, buf);
			again = false;
			for (unsigned j = 0; j < i && !again; j++)
				again = m.len[i] == m.len[j] && memcmp(buf, m.uri[j], m.len[j]) == 0;
		} while (again);
		m.uri[i] = memcpy(malloc(m.len[i]), buf, m.len[i]);
	}
	for (unsigned round = 0; round < 60; round++) {
		saved = m;
		cat_ok(idx_cat_txn_begin(cat, &txn));
		for (unsigned n = 0; n < IDX_CAT_BATCH_MAX; n++)
			model_op(txn, &m, &seed, &next_id);
		if (cat_test_rnd(&seed) % 4 == 0) {
			idx_cat_txn_abort(txn);
			m = saved;
		} else {
			cat_ok(idx_cat_txn_commit(txn));
		}
		if (cat_test_rnd(&seed) % 8 == 0) {
			idx_cat_close(cat);
			cat = cat_test_open_memory(*state, 3);
		}
		model_check(cat, &m);
	}
	idx_cat_close(cat);
	for (unsigned i = 0; i < MODEL_URIS; i++)
		free(m.uri[i]);
}

/* A step-wise scan sees the same as a whole one, and a callback can end it. */
static int stop_at(void *ctx, const struct om_rec *rec)
{
	(void)rec;
	return --*(int *)ctx == 0 ? 77 : 0;
}

static void txn_scan_steps(void **state)
{
	struct idx_cat *cat = cat_test_open(*state, 0);
	struct idx_cat_scan_res res;
	struct idx_cat_snap *snap;
	struct idx_cat_txn *txn;
	char uri[32];
	int left = 10;

	cat_ok(idx_cat_txn_begin(cat, &txn));
	for (unsigned i = 1; i <= 1000; i++) {
		struct om_rec r = cat_test_rec(uri, (size_t)snprintf(uri, sizeof(uri), "/o/%u", i), i, i, 0);
		cat_ok(idx_cat_txn_put(txn, &r, 0, NULL));
	}
	cat_ok(idx_cat_txn_commit(txn));
	cat_ok(idx_cat_snap_open(cat, &snap));
	cat_ok(idx_cat_scan(snap, NULL, NULL, &res));
	assert_true(res.totals.objects == 1000 && res.totals.bytes == 500500 && res.max_id == 1000);
	assert_int_equal(idx_cat_scan(snap, stop_at, &left, NULL), 77);
	idx_cat_snap_close(snap);
	idx_cat_close(cat);
}

/* A record whose bytes rot: reads say so, scans leave it out, a change gets over it, a recount mends the totals. */
static void txn_damaged_record(void **state)
{
	struct idx_cat *cat = cat_test_open(*state, 0);
	struct om_rec a = cat_test_rec("/a", 2, 1, 100, 0), b = cat_test_rec("/b", 2, 2, 10, 0), got;
	struct idx_cat_old old;
	struct idx_cat_scan_res res;
	struct idx_cat_totals t;
	struct idx_cat_txn *txn;
	struct idx_cat_snap *snap;
	char junk[60] = "not a record", name[] = "/a";
	MDB_val k = { 2, name }, v = { sizeof(junk), junk };

	cat_ok(cat_test_put(cat, &a));
	cat_ok(cat_test_put(cat, &b));
	cat_ok(idx_cat_txn_begin(cat, &txn));
	assert_int_equal(mdb_put(txn->mdb, cat->objects, &k, &v, 0), 0);
	cat_ok(idx_cat_txn_commit(txn));
	cat_ok(idx_cat_snap_open(cat, &snap));
	assert_int_equal(idx_cat_snap_peek(snap, "/a", 2, &got), -OBJM_STATUS_CORRUPT);
	cat_ok(idx_cat_snap_peek(snap, "/b", 2, &got));
	cat_ok(idx_cat_scan(snap, NULL, NULL, &res));
	assert_true(res.damaged == 1 && res.totals.objects == 1);
	idx_cat_snap_close(snap);
	cat_ok(idx_cat_txn_begin(cat, &txn));
	assert_int_equal(idx_cat_txn_get(txn, "/a", 2, &got), -OBJM_STATUS_CORRUPT);
	cat_ok(idx_cat_txn_put(txn, &a, IDX_CAT_PUT_NEWER, &old));
	assert_true(old.existed && old.damaged);
	idx_cat_txn_totals(txn, &t);
	assert_true(t.objects == 2 && t.bytes == 210); /* off by the lost size */
	assert_int_equal(idx_cat_txn_recount(txn), 1);
	idx_cat_txn_totals(txn, &t);
	assert_true(t.objects == 2 && t.bytes == 110);
	cat_ok(idx_cat_txn_commit(txn));
	idx_cat_close(cat);
}

static int sum_owner(void *ctx, const struct idx_cat_owner *o)
{
	struct idx_cat_owner *rows = ctx;

	rows[o->uid == OM_UID_OLD ? 2 : o->uid == 1001].uid = o->uid;
	rows[o->uid == OM_UID_OLD ? 2 : o->uid == 1001].objects = o->objects;
	rows[o->uid == OM_UID_OLD ? 2 : o->uid == 1001].bytes = o->bytes;
	return 0;
}

static void owners_are(struct idx_cat *cat, uint64_t first, uint64_t second, uint64_t old)
{
	struct idx_cat_owner rows[3] = { { 0 } };
	struct idx_cat_snap *snap;

	cat_ok(idx_cat_snap_open(cat, &snap));
	cat_ok(idx_cat_snap_owners(snap, sum_owner, rows));
	idx_cat_snap_close(snap);
	assert_int_equal(rows[0].bytes, first);
	assert_int_equal(rows[1].bytes, second);
	assert_int_equal(rows[2].bytes, old);
}

/*
 * Owners: a catalog from before there were any opens as it is, and what it has is nobody's; a replace takes from one and gives to
 * another; a record that rots leaves its owner's row too large, and only a recount puts that right; so does a row that rots.
 */
static void txn_owners(void **state)
{
	struct idx_cat *cat = cat_test_open(*state, 0);
	struct om_rec a = cat_test_rec("/a", 2, 1, 100, 0), b = cat_test_rec("/b", 2, 2, 10, 0);
	char junk[60] = "not a record", name[] = "/b";
	unsigned char row[] = { 'o', 'w', 'n', 'e', 'r', 0, 0, 0x03, 0xe8 };
	MDB_val k = { 2, name }, v = { sizeof(junk), junk }, rk = { sizeof(row), row };
	struct idx_cat_txn *txn;
	struct idx_cat_snap *snap;
	struct idx_cat_owner rows[3];

	a.uid = b.uid = OM_UID_OLD;
	cat_ok(cat_test_put(cat, &a));
	cat_ok(cat_test_put(cat, &b));
	owners_are(cat, 0, 0, 110);
	cat_ok(idx_cat_txn_begin(cat, &txn)); /* no row is kept of it */
	MDB_stat before, after;
	assert_int_equal(mdb_stat(txn->mdb, cat->meta, &before), 0);
	idx_cat_txn_abort(txn);
	a.id = 3;
	a.uid = 1000;
	cat_ok(cat_test_put(cat, &a));
	owners_are(cat, 100, 0, 10);
	a.id = 4;
	a.uid = 1001;
	a.size = 7;
	cat_ok(cat_test_put(cat, &a));
	owners_are(cat, 0, 7, 10);
	b.id = 5;
	b.uid = 1000;
	cat_ok(cat_test_put(cat, &b));
	idx_cat_close(cat);
	cat = cat_test_open(*state, 0);
	owners_are(cat, 10, 7, 0);
	cat_ok(cat_test_del(cat, "/a"));
	owners_are(cat, 10, 0, 0);
	cat_ok(idx_cat_txn_begin(cat, &txn));
	assert_int_equal(mdb_put(txn->mdb, cat->objects, &k, &v, 0), 0);
	cat_ok(idx_cat_txn_commit(txn));
	cat_ok(cat_test_put(cat, &b));
	owners_are(cat, 20, 0, 0);
	cat_ok(idx_cat_txn_begin(cat, &txn));
	assert_int_equal(idx_cat_txn_recount(txn), 1);
	cat_ok(idx_cat_txn_commit(txn));
	owners_are(cat, 10, 0, 0);
	cat_ok(idx_cat_txn_begin(cat, &txn));
	assert_int_equal(mdb_put(txn->mdb, cat->meta, &rk, &v, 0), 0);
	cat_ok(idx_cat_txn_commit(txn));
	cat_ok(idx_cat_snap_open(cat, &snap));
	assert_int_equal(idx_cat_snap_owners(snap, sum_owner, rows), -OBJM_STATUS_CORRUPT);
	idx_cat_snap_close(snap);
	cat_ok(idx_cat_txn_begin(cat, &txn));
	(void)!idx_cat_txn_recount(txn);
	cat_ok(idx_cat_txn_commit(txn));
	owners_are(cat, 10, 0, 0);
	cat_ok(cat_test_del(cat, "/b"));
	cat_ok(idx_cat_txn_begin(cat, &txn));
	assert_int_equal(mdb_stat(txn->mdb, cat->meta, &after), 0);
	idx_cat_txn_abort(txn);
	assert_int_equal(before.ms_entries, after.ms_entries); /* who has nothing has no row */
	idx_cat_close(cat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(txn_owners, setup, teardown),
		cmocka_unit_test_setup_teardown(txn_basics, setup, teardown),
		cmocka_unit_test_setup_teardown(txn_memory_only, setup, teardown),
		cmocka_unit_test_setup_teardown(txn_abort, setup, teardown),
		cmocka_unit_test_setup_teardown(txn_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(txn_collision, setup, teardown),
		cmocka_unit_test_setup_teardown(txn_model, setup, teardown),
		cmocka_unit_test_setup_teardown(txn_scan_steps, setup, teardown),
		cmocka_unit_test_setup_teardown(txn_damaged_record, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
