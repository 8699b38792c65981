/*
 * test_cat_crash.c: a process that commits and is killed at any moment: what it was told is committed is there, whole, and
 * what was not is there whole or not at all.
 */
#include "tests/unit/catalog/cat_test.h"
#include "index/cat/idx_state.h"

#include <signal.h>
#include <sys/wait.h>

#define CRASH_ROUNDS 100
#define CRASH_BATCH 20

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

/* Batch b of a round: CRASH_BATCH records, some of them with long URIs; and the first of the batch before is deleted. */
static size_t crash_uri(unsigned round, unsigned b, unsigned i, char uri[static 700])
{
	int len = snprintf(uri, 700, "/round/%u/batch/%u/%u", round, b, i);

	if (i % 4 == 1) {
		memset(uri + len, 'x', 600);
		return (size_t)len + 600;
	}
	return (size_t)len;
}

static int crash_commit(struct idx_cat *cat, unsigned round, unsigned b)
{
	struct idx_cat_txn *txn;
	char uri[700];
	int rc = idx_cat_txn_begin(cat, &txn);

	for (unsigned i = 0; i < CRASH_BATCH && rc == 0; i++) {
		size_t len = crash_uri(round, b, i, uri);
		struct om_rec r = cat_test_rec(uri, len, (uint64_t)round << 32 | b << 8 | (i + 1), i, 0);
		rc = idx_cat_txn_put(txn, &r, 0, NULL);
	}
	if (rc == 0 && b > 0)
		rc = idx_cat_txn_del(txn, uri, crash_uri(round, b - 1, 0, uri), 0, NULL);
	return rc == 0 ? idx_cat_txn_commit(txn) : rc;
}

static void crash_child(const char *dir, unsigned round, int ack)
{
	struct idx_cat_params p = cat_test_params(dir, 0);
	struct idx_state *st;
	struct idx_cat *cat;
	uint64_t first;

	if (idx_cat_open(&p, &cat) != 0 || idx_state_open(dir, &st) != 0)
		_exit(1);
	for (unsigned b = 0;; b++) {
		if (idx_state_ids_reserve(st, 10, 0, &first) != 0 || crash_commit(cat, round, b) != 0)
			_exit(2);
		if (write(ack, &first, sizeof(first)) != (ssize_t)sizeof(first))
			_exit(3);
	}
}

/* Batches of this round that are whole; fails on one that is not. */
static unsigned crash_verify(struct idx_cat_snap *snap, unsigned round, unsigned acked)
{
	char uri[700];
	struct om_rec r;
	unsigned b = 0;

	for (;; b++) {
		unsigned have = 0;
		for (unsigned i = 1; i < CRASH_BATCH; i++) {
			size_t len = crash_uri(round, b, i, uri);
			int rc = idx_cat_snap_peek(snap, uri, len, &r);
			have += rc == 0;
			assert_true(rc == 0 || rc == -OBJM_STATUS_NOT_FOUND);
			if (rc == 0)
				assert_int_equal(r.size, i);
		}
		if (have == 0)
			break;
		assert_int_equal(have, CRASH_BATCH - 1);
		if (b > 0) /* deleted by this batch */
			assert_int_equal(idx_cat_snap_peek(snap, uri, crash_uri(round, b - 1, 0, uri), &r), -OBJM_STATUS_NOT_FOUND);
	}
	assert_in_range(b, acked, acked + 1);
	return b;
}

static void crash_kill(void **state)
{
	const char *dir = *state;
	struct idx_cat_scan_res res;
	struct idx_cat_totals totals;
	uint64_t seed = 17, highest = 0;
	unsigned batches = 0;

	for (unsigned round = 1; round <= CRASH_ROUNDS; round++) {
		int fds[2], status;
		uint64_t first;
		unsigned acked = 0;

		assert_int_equal(pipe(fds), 0);
		pid_t pid = fork();
		if (pid == 0)
			crash_child(dir, round, fds[1]);
		(void)close(fds[1]);
		/* Killed after a few acknowledgements and a random moment more; some rounds while it opens. */
		unsigned want = (unsigned)(cat_test_rnd(&seed) % 8);
		while (acked < want && read(fds[0], &first, sizeof(first)) == (ssize_t)sizeof(first)) {
			assert_true(first > highest); /* ids never come twice, whatever died */
			highest = first + 9;
			acked++;
		}
		(void)usleep((useconds_t)(cat_test_rnd(&seed) % 3000));
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status)); /* it did not fail by itself */
		while (read(fds[0], &first, sizeof(first)) == (ssize_t)sizeof(first)) {
			assert_true(first > highest);
			highest = first + 9;
			acked++;
		}
		(void)close(fds[0]);

		struct idx_cat *cat = cat_test_open(dir, 0);
		struct idx_cat_snap *snap;
		cat_ok(idx_cat_snap_open(cat, &snap));
		batches += crash_verify(snap, round, acked);
		cat_ok(idx_cat_scan(snap, NULL, NULL, &res));
		cat_ok(idx_cat_snap_totals(snap, &totals));
		assert_memory_equal(&res.totals, &totals, sizeof(totals));
		assert_int_equal(res.damaged, 0);
		idx_cat_snap_close(snap);
		idx_cat_close(cat);
	}
	print_message("# %u batches survived %u kills\n", batches, CRASH_ROUNDS);
	assert_true(batches > CRASH_ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(crash_kill, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
