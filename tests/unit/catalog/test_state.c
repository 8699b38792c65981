/*
 * test_state.c: the state environment: identity, ids, tiers, pending removals, tombstones; and tier markers.
 */
#include "tests/unit/catalog/cat_test.h"
#include "index/cat/idx_state_int.h"
#include "index/cat/idx_tier_mark.h"

#include <fcntl.h>
#include <sys/stat.h>

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

static struct idx_state *open_state(const char *dir)
{
	struct idx_state *st = NULL;

	cat_ok(idx_state_open(dir, &st));
	return st;
}

/* In a transaction of its own. */
static void tomb_add(struct idx_state *st, const uint8_t key[static IDX_STATE_KEY_BYTES], uint8_t tier, uint64_t id)
{
	struct idx_state_txn *txn;

	cat_ok(idx_state_txn_begin(st, false, &txn));
	cat_ok(idx_state_tomb_add(txn, tier, key, id));
	cat_ok(idx_state_txn_commit(txn));
}

static void path_of(const char *dir, const char *name, char ret[static 400])
{
	(void)snprintf(ret, 400, "%s/%s", dir, name);
}

static void state_identity(void **state)
{
	struct idx_state *st = open_state(*state);
	struct idx_identity id = *idx_state_identity(st), none = { 0 };
	char file[400];
	struct stat sb;

	assert_memory_not_equal(&id, &none, sizeof(id));
	assert_memory_not_equal(id.install_id, id.secret, 16);
	idx_state_close(st);
	path_of(*state, "identity", file);
	assert_int_equal(stat(file, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);
	st = open_state(*state);
	assert_memory_equal(idx_state_identity(st), &id, sizeof(id));
	idx_state_close(st);

	assert_int_equal(unlink(file), 0); /* the file lost: made again from the environment */
	st = open_state(*state);
	assert_memory_equal(idx_state_identity(st), &id, sizeof(id));
	idx_state_close(st);
	assert_int_equal(stat(file, &sb), 0);

	cat_test_write_at(*state, "identity", 30, "zzzz", 4); /* damaged: the same */
	st = open_state(*state);
	assert_memory_equal(idx_state_identity(st), &id, sizeof(id));
	idx_state_close(st);

	cat_ok(idx_state_set_aside(*state)); /* the environment lost: kept by the file */
	st = open_state(*state);
	assert_memory_equal(idx_state_identity(st), &id, sizeof(id));
	assert_true(idx_state_recovery(st)->first);
	idx_state_close(st);

	cat_ok(idx_state_set_aside(*state)); /* both: a human's business */
	cat_test_write_at(*state, "identity", 30, "zzzz", 4);
	assert_int_equal(idx_state_open(*state, &st), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(idx_state_open(*state, &st), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(unlink(file), 0); /* who removes the file gets a new installation */
	st = open_state(*state);
	assert_memory_not_equal(idx_state_identity(st), &id, sizeof(id));
	idx_state_close(st);
}

static void state_identity_of_two(void **state)
{
	struct idx_state *st = open_state(*state);
	char *other = cat_test_mkdir(NULL), a[400], b[400];

	idx_state_close(st);
	st = open_state(other);
	idx_state_close(st);
	path_of(other, "identity", a);
	path_of(*state, "identity", b);
	assert_int_equal(rename(a, b), 0);
	assert_int_equal(idx_state_open(*state, &st), -OBJM_STATUS_PRECONDITION_FAILED);
	cat_test_rmdir(other);
}

static void state_ids(void **state)
{
	struct idx_state *st = open_state(*state);
	const struct idx_state_recovery *r = idx_state_recovery(st);
	uint64_t first;

	assert_true(r->first && r->clean && r->oldest_unsettled == 1 && r->block_end == 1);
	cat_ok(idx_state_ids_reserve(st, 100, 0, &first));
	assert_int_equal(first, 1);
	cat_ok(idx_state_ids_reserve(st, 50, 42, &first));
	assert_int_equal(first, 101);
	assert_true(r->first); /* still what was found at the open */
	idx_state_close(st); /* "crash" */

	st = open_state(*state);
	r = idx_state_recovery(st);
	assert_true(!r->first && !r->clean && r->oldest_unsettled == 42 && r->block_end == 151);
	cat_ok(idx_state_ids_reserve(st, 10, r->oldest_unsettled, &first));
	assert_int_equal(first, 151);
	idx_state_close(st); /* again, before it was settled: the range has grown */
	st = open_state(*state);
	r = idx_state_recovery(st);
	assert_true(!r->clean && r->oldest_unsettled == 42 && r->block_end == 161);
	cat_ok(idx_state_ids_reserve(st, 100, 0, &first));
	assert_int_equal(first, 161);
	assert_int_equal(idx_state_clean(st, 300), -OBJM_STATUS_INVALID_REQUEST);
	cat_ok(idx_state_clean(st, 163)); /* two were given out */
	idx_state_close(st);

	st = open_state(*state);
	r = idx_state_recovery(st);
	assert_true(r->clean && r->oldest_unsettled == 163 && r->block_end == 163);
	cat_ok(idx_state_ids_raise(st, 5000));
	cat_ok(idx_state_ids_raise(st, 10)); /* never down */
	cat_ok(idx_state_ids_reserve(st, 1, 9000, &first)); /* an unsettled id beyond the block makes no sense: bounded */
	assert_int_equal(first, 5000);
	assert_int_equal(idx_state_ids_reserve(st, 0, 0, &first), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(idx_state_ids_reserve(st, UINT64_MAX, 0, &first), -OBJM_STATUS_INVALID_REQUEST);
	cat_ok(idx_state_ids_raise(st, UINT64_C(1) << 63));
	assert_int_equal(idx_state_ids_reserve(st, 1, 0, &first), -OBJM_STATUS_LIMIT_EXCEEDED);
	idx_state_close(st);
}

static void state_tiers(void **state)
{
	struct idx_state *st = open_state(*state);
	struct idx_state_tier mem, disk, again, t;
	char name[OM_TIER_NAME_MAX + 8];
	uint8_t key[16] = { 1 };
	struct idx_state_txn *txn;
	uint64_t id;

	cat_ok(idx_state_tier_get(st, "memory", &mem));
	cat_ok(idx_state_tier_get(st, "disk", &disk));
	assert_true(mem.number == 0 && disk.number == 1);
	assert_memory_not_equal(mem.tier_id, disk.tier_id, 16);
	idx_state_close(st);
	st = open_state(*state);
	cat_ok(idx_state_tier_get(st, "disk", &again));
	assert_memory_equal(&disk, &again, sizeof(disk));

	/* Forgetting takes what hangs on the number with it, so that the next tier of this number begins empty. */
	cat_ok(idx_state_txn_begin(st, false, &txn));
	for (uint64_t i = 1; i <= 3; i++)
		cat_ok(idx_state_pending_add(txn, 0, i));
	cat_ok(idx_state_pending_add(txn, 1, 1));
	cat_ok(idx_state_txn_commit(txn));
	tomb_add(st, key, 0, 5);
	cat_ok(idx_state_tier_forget(st, "memory"));
	assert_int_equal(idx_state_tier_forget(st, "memory"), -OBJM_STATUS_NOT_FOUND);
	cat_ok(idx_state_tier_get(st, "new", &t));
	assert_int_equal(t.number, 0);
	assert_int_equal(idx_state_tomb_get_now(st, 0, key, &id), -OBJM_STATUS_NOT_FOUND);

	t.number = 1;
	assert_int_equal(idx_state_tier_bind(st, &t), -OBJM_STATUS_PRECONDITION_FAILED);
	t.number = 9;
	memset(t.tier_id, 7, sizeof(t.tier_id));
	cat_ok(idx_state_tier_bind(st, &t));
	cat_ok(idx_state_tier_get(st, "new", &again));
	assert_memory_equal(&t, &again, sizeof(t));

	for (unsigned i = 2; i < OM_TIERS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "tier-%u", i);
		cat_ok(idx_state_tier_get(st, name, &t));
	}
	assert_int_equal(idx_state_tier_get(st, "one-too-many", &t), -OBJM_STATUS_LIMIT_EXCEEDED);
	assert_int_equal(idx_state_tier_known(st, "one-too-many", &t), 0);
	assert_int_equal(idx_state_tier_known(st, "tier-31", &t), 1);
	assert_int_equal(idx_state_tier_get(st, "", &t), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(idx_state_tier_get(st, "Upper", &t), -OBJM_STATUS_INVALID_REQUEST);
	memset(name, 'a', sizeof(name));
	name[OM_TIER_NAME_MAX] = '\0';
	assert_int_equal(idx_state_tier_get(st, name, &t), -OBJM_STATUS_INVALID_REQUEST);
	idx_state_close(st);
}

static int sum_pending(void *ctx, uint8_t tier, uint64_t id)
{
	(void)tier;
	*(uint64_t *)ctx += id;
	return 0;
}

static void state_pending(void **state)
{
	struct idx_state *st = open_state(*state);
	struct idx_state_txn *txn;
	uint64_t sum = 0;

	cat_ok(idx_state_txn_begin(st, false, &txn));
	for (uint64_t id = 1; id <= 1000; id++)
		for (uint8_t tier = 0; tier < 3; tier++)
			cat_ok(idx_state_pending_add(txn, tier, id * (tier + 1u)));
	cat_ok(idx_state_pending_del(txn, 1, 4));
	cat_ok(idx_state_pending_del(txn, 1, 5)); /* not there */
	cat_ok(idx_state_txn_commit(txn));
	idx_state_close(st);
	st = open_state(*state);
	cat_ok(idx_state_txn_begin(st, true, &txn));
	assert_int_equal(idx_state_pending_has(txn, 1, 2), 1);
	assert_int_equal(idx_state_pending_has(txn, 1, 4), 0);
	assert_int_equal(idx_state_pending_has(txn, 2, 4), 0);
	cat_ok(idx_state_pending_iter(txn, 1, 0, sum_pending, &sum));
	assert_int_equal(sum, 1000 * 1001 - 4);
	sum = 0;
	cat_ok(idx_state_pending_iter(txn, 1, 1000, sum_pending, &sum)); /* 1000, 1002 ... 2000 */
	assert_int_equal(sum, 501 * 1500);
	sum = 0;
	cat_ok(idx_state_pending_iter(txn, 3, 0, sum_pending, &sum));
	assert_int_equal(sum, 0);
	idx_state_txn_abort(txn);
	cat_ok(idx_state_txn_begin(st, false, &txn));
	cat_ok(idx_state_pending_del(txn, 2, 3));
	cat_ok(idx_state_pending_del(txn, 2, 6));
	cat_ok(idx_state_txn_commit(txn));
	cat_ok(idx_state_txn_begin(st, false, &txn)); /* an abort takes it back */
	cat_ok(idx_state_pending_del(txn, 2, 9));
	assert_int_equal(idx_state_pending_has(txn, 2, 9), 0);
	idx_state_txn_abort(txn);
	cat_ok(idx_state_txn_begin(st, true, &txn));
	assert_int_equal(idx_state_pending_has(txn, 2, 9), 1);
	assert_int_equal(idx_state_pending_has(txn, 2, 6), 0);
	assert_true(idx_state_pending_add(txn, 2, 6) < 0); /* a snapshot takes no changes */
	idx_state_txn_abort(txn);
	idx_state_close(st);
}

/* A row that cannot be one: who reads the table is told which. */
static void state_pending_damaged(void **state)
{
	static const unsigned char bad[] = { 1, 0xff, 0xff, 0xff, 0xff };
	struct idx_state *st = open_state(*state);
	struct idx_state_txn *txn;
	uint64_t sum = 0;

	cat_ok(idx_state_txn_begin(st, false, &txn));
	cat_ok(idx_state_pending_add(txn, 1, 7));
	assert_int_equal(idx_cat_seal_put(txn->mdb, st->pending, bad, sizeof(bad), NULL, 0), MDB_SUCCESS);
	cat_ok(idx_state_txn_commit(txn));
	cat_ok(idx_state_txn_begin(st, true, &txn));
	(void)idx_cat_fail(0, "nothing");
	assert_int_equal(idx_state_pending_iter(txn, 1, 0, sum_pending, &sum), -OBJM_STATUS_CORRUPT);
	assert_int_equal(sum, 7);
	assert_non_null(strstr(idx_cat_message(), "tier number 1 has 5 bytes instead of 9"));
	idx_state_txn_abort(txn);
	idx_state_close(st);
}

static int count_tomb(void *ctx, uint8_t tier, const uint8_t key[static IDX_STATE_KEY_BYTES], uint64_t id)
{
	(void)tier;
	assert_int_equal(key[3], id & 0xff);
	++*(unsigned *)ctx;
	return 0;
}

static void state_tombs(void **state)
{
	struct idx_state *st = open_state(*state);
	struct idx_state_txn *txn;
	uint8_t key[16] = { 0 };
	uint64_t id;
	unsigned n = 0;

	tomb_add(st, key, 4, 0x100);
	tomb_add(st, key, 4, 0x200);
	tomb_add(st, key, 4, 0x100); /* never lower */
	cat_ok(idx_state_tomb_get_now(st, 4, key, &id));
	assert_int_equal(id, 0x200);
	assert_int_equal(idx_state_tomb_get_now(st, 5, key, &id), -OBJM_STATUS_NOT_FOUND);
	cat_ok(idx_state_txn_begin(st, false, &txn));
	for (unsigned i = 1; i <= 25000; i++) { /* more than one step of a clear */
		key[0] = (uint8_t)(i >> 16);
		key[1] = (uint8_t)(i >> 8);
		key[3] = (uint8_t)i;
		cat_ok(idx_state_tomb_add(txn, 4, key, i));
	}
	cat_ok(idx_state_tomb_add(txn, 5, key, 25000));
	cat_ok(idx_state_txn_commit(txn));
	cat_ok(idx_state_txn_begin(st, false, &txn));
	cat_ok(idx_state_tomb_del(txn, 4, key));
	cat_ok(idx_state_tomb_del(txn, 4, key));
	assert_int_equal(idx_state_tomb_get(txn, 4, key, &id), -OBJM_STATUS_NOT_FOUND);
	cat_ok(idx_state_tomb_iter(txn, 4, count_tomb, &n));
	assert_int_equal(n, 25000);
	cat_ok(idx_state_txn_commit(txn));
	cat_ok(idx_state_tomb_clear(st, 4, NULL, NULL));
	n = 0;
	cat_ok(idx_state_txn_begin(st, true, &txn));
	cat_ok(idx_state_tomb_iter(txn, 4, count_tomb, &n));
	assert_int_equal(n, 0);
	cat_ok(idx_state_tomb_iter(txn, 5, count_tomb, &n)); /* the neighbour is whole */
	assert_int_equal(n, 1);
	idx_state_txn_abort(txn);
	idx_state_close(st);
}

/* A value whose bytes rot is noticed at the open. */
static void state_damage(void **state)
{
	struct idx_state *st = open_state(*state);
	struct idx_state_txn *txn;
	uint8_t key[16] = { 1 };
	char junk[16] = "junk", kb[17] = { 4, 1 };
	MDB_val k = { sizeof(kb), kb }, v = { sizeof(junk), junk };

	tomb_add(st, key, 4, 5);
	cat_ok(idx_state_txn_begin(st, false, &txn));
	assert_int_equal(mdb_put(txn->mdb, st->tombs, &k, &v, 0), 0);
	cat_ok(idx_state_txn_commit(txn));
	idx_state_close(st);
	assert_int_equal(idx_state_open(*state, &st), -OBJM_STATUS_CORRUPT);
	cat_ok(idx_state_set_aside(*state));
	st = open_state(*state);
	idx_state_close(st);
	assert_int_equal(idx_state_open("/nonexistent", &st), -OBJM_STATUS_NOT_FOUND);
}

/* ---- tier markers ---- */

static void mark_round_trip(void **state)
{
	struct idx_tier_mark m = { { 1, 2, 0xfe }, { 0xab, 0, 9 } }, got;
	OM_AUTO_FD fd = open(*state, O_RDONLY | O_DIRECTORY);
	char line[256] = "", file[400], bad[256];
	struct stat sb;

	assert_int_equal(idx_tier_mark_read(fd, &got), -OBJM_STATUS_NOT_FOUND);
	cat_ok(idx_tier_mark_write(fd, &m, false));
	cat_ok(idx_tier_mark_read(fd, &got));
	assert_memory_equal(&m, &got, sizeof(m));
	m.install_id[5] = 5;
	assert_int_equal(idx_tier_mark_write(fd, &m, false), -OBJM_STATUS_PRECONDITION_FAILED);
	cat_ok(idx_tier_mark_write(fd, &m, true));
	cat_ok(idx_tier_mark_read(fd, &got));
	assert_memory_equal(&m, &got, sizeof(m));
	path_of(*state, IDX_TIER_MARK_NAME, file);
	assert_int_equal(stat(file, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);
	path_of(*state, IDX_TIER_MARK_NAME ".new", file);
	assert_int_equal(stat(file, &sb), -1);

	path_of(*state, IDX_TIER_MARK_NAME, file);
	OM_AUTO_FD mfd = open(file, O_RDWR);
	ssize_t len = read(mfd, line, sizeof(line));
	assert_true(len > 100 && line[len - 1] == '\n');
	for (ssize_t bit = 0; bit < len * 8; bit++) { /* every flipped bit and every other length is refused */
		memcpy(bad, line, sizeof(bad));
		bad[bit / 8] ^= (char)(1 << bit % 8);
		assert_int_equal(pwrite(mfd, bad, (size_t)len, 0), len);
		assert_int_equal(idx_tier_mark_read(fd, &got), -OBJM_STATUS_CORRUPT);
	}
	assert_int_equal(pwrite(mfd, line, (size_t)len, 0), len);
	cat_ok(idx_tier_mark_read(fd, &got));
	assert_int_equal(pwrite(mfd, "x", 1, len), 1);
	assert_int_equal(idx_tier_mark_read(fd, &got), -OBJM_STATUS_CORRUPT);
	for (ssize_t cut = len - 1; cut >= 0; cut--) {
		assert_int_equal(ftruncate(mfd, cut), 0);
		assert_int_equal(idx_tier_mark_read(fd, &got), -OBJM_STATUS_CORRUPT);
	}
	assert_int_equal(unlink(file), 0);
	assert_int_equal(symlink("/etc/passwd", file), 0);
	assert_int_equal(idx_tier_mark_read(fd, &got), -OBJM_STATUS_CORRUPT);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkfifo(file, 0600), 0); /* does not block */
	assert_int_equal(idx_tier_mark_read(fd, &got), -OBJM_STATUS_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(state_identity), T(state_identity_of_two), T(state_ids), T(state_tiers), T(state_pending), T(state_pending_damaged), T(state_tombs),
		T(state_damage), T(mark_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
