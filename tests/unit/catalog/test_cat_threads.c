/*
 * test_cat_threads.c: readers while a writer commits and the map grows: every snapshot is one state. For TSan too.
 */
#include "tests/unit/catalog/cat_test.h"

#include <inttypes.h>

#define THREADS_READERS 3
#define THREADS_PAIRS 64

static atomic_bool stop_readers;

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

struct reader {
	struct idx_cat *cat;
	unsigned rounds;
	const char *wrong;
};

static int count_names(void *ctx, const struct idx_cat_list_item *item)
{
	(void)item;
	++*(uint64_t *)ctx;
	return 0;
}

/* The writer changes both records of a pair in one transaction: they always agree. */
static const char *check_pairs(struct idx_cat_snap *snap)
{
	char uri[40];
	struct om_rec a, b;

	for (unsigned i = 0; i < THREADS_PAIRS; i++) {
		int ra = idx_cat_snap_peek(snap, uri, (size_t)snprintf(uri, sizeof(uri), "/left/%u", i), &a);
		int rb = idx_cat_snap_peek(snap, uri, (size_t)snprintf(uri, sizeof(uri), "/right/%u", i), &b);
		if (ra != rb || (ra == 0 && (a.size != b.size || a.id + 1 != b.id)))
			return "a pair is torn";
	}
	return NULL;
}

static void *read_on(void *arg)
{
	struct reader *r = arg;
	struct idx_cat_snap *snap = NULL;
	struct idx_cat_list_req q = { .limit = 100000 };
	struct idx_cat_list_res lres;
	struct idx_cat_scan_res res;
	struct idx_cat_totals t;

	while (!atomic_load(&stop_readers) && !r->wrong) {
		uint64_t names = 0;
		if (idx_cat_snap_open(r->cat, &snap) != 0) {
			r->wrong = "no snapshot";
			break;
		}
		r->wrong = check_pairs(snap);
		if (idx_cat_scan(snap, NULL, NULL, &res) != 0 || idx_cat_snap_totals(snap, &t) != 0 ||
		    memcmp(&res.totals, &t, sizeof(t)) != 0)
			r->wrong = "scan and totals differ";
		if (idx_cat_list(&snap, 1, &q, count_names, &names, &lres) != 0 || names != t.objects)
			r->wrong = "listing and totals differ";
		idx_cat_snap_close(snap);
		r->rounds++;
	}
	return NULL;
}

static int write_batch(struct idx_cat *cat, uint64_t *seed, uint64_t *id, uint64_t *grow)
{
	struct idx_cat_txn *txn;
	char uri[600];
	int rc = idx_cat_txn_begin(cat, &txn);

	if (rc != 0)
		return rc;
	for (unsigned n = 0; n < 8 && rc == 0; n++) {
		unsigned i = (unsigned)(cat_test_rnd(seed) % THREADS_PAIRS);
		struct om_rec r = cat_test_rec(uri, (size_t)snprintf(uri, sizeof(uri), "/left/%u", i), ++*id, *seed % 1000, 0);
		rc = idx_cat_txn_put(txn, &r, 0, NULL);
		r.uri_len = (uint16_t)snprintf(uri, sizeof(uri), "/right/%u", i);
		r.id = ++*id;
		if (rc == 0)
			rc = idx_cat_txn_put(txn, &r, 0, NULL);
	}
	memset(uri, 'g', sizeof(uri)); /* and something that makes the file grow: a group of long URIs */
	for (unsigned n = 0; n < 4 && rc == 0; n++) {
		(void)snprintf(uri + 510, sizeof(uri) - 510, "%" PRIu64, ++*grow);
		struct om_rec r = cat_test_rec(uri, strlen(uri), ++*id, 1, 0);
		rc = idx_cat_txn_put(txn, &r, 0, NULL);
	}
	int crc = idx_cat_txn_commit(txn);
	return rc ? rc : crc;
}

static void threads_snapshots(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0);
	struct reader readers[THREADS_READERS] = { 0 };
	pthread_t threads[THREADS_READERS];
	struct idx_cat_info info;
	struct idx_cat *cat;
	uint64_t seed = 9, id = 0, grow = 0, until = om_now_ns() + 3000000000u;
	unsigned full = 0, commits = 0;

	p.flags = IDX_CAT_VOLATILE;
	p.map_bytes = 256 << 10;
	cat_ok(idx_cat_open(&p, &cat));
	for (unsigned i = 0; i < THREADS_READERS; i++) {
		readers[i].cat = cat;
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
	}
	while (om_now_ns() < until && grow < 3000) {
		int rc = write_batch(cat, &seed, &id, &grow);
		full += rc == -OBJM_STATUS_NO_SPACE;
		commits += rc == 0;
		assert_true(rc == 0 || rc == -OBJM_STATUS_NO_SPACE); /* BUSY: the gate did not wait for short snapshots */
	}
	atomic_store(&stop_readers, true);
	for (unsigned i = 0; i < THREADS_READERS; i++) {
		(void)pthread_join(threads[i], NULL);
		if (readers[i].wrong)
			fail_msg("reader %u, round %u: %s (%s)", i, readers[i].rounds, readers[i].wrong, idx_cat_message());
		assert_true(readers[i].rounds > 0);
	}
	idx_cat_info(cat, &info);
	print_message("# %u commits, map full %u times, now %" PRIu64 " bytes, %u rounds of reading\n", commits, full,
		      info.map_bytes, readers[0].rounds);
	assert_true(full > 0 && info.map_bytes > 256 << 10);
	idx_cat_close(cat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(threads_snapshots, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
