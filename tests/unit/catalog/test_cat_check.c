/*
 * test_cat_check.c: how the checker's end is read. What it read may kill it, and is damaged then; who kills it from outside says nothing
 * about what it read, and nothing may be set aside for that.
 */
#include "tests/unit/catalog/cat_test.h"

#include <signal.h>
#include <unistd.h>

#include "index/cat/idx_cat_int.h"

static int setup(void **state)
{
	struct idx_cat *cat;

	*state = cat_test_mkdir(NULL);
	cat = cat_test_open(*state, 0);
	idx_cat_close(cat);
	return 0;
}

static int teardown(void **state)
{
	cat_test_rmdir(*state);
	return 0;
}

enum end { END_WELL, END_BAD, END_KILLED, END_TERMINATED, END_SEGV, END_BUS, END_EXIT };

static int end_as_told(struct idx_cat_env *env, MDB_txn *txn, const void *arg)
{
	(void)txn;
	switch (*(const enum end *)arg) {
	case END_WELL:
		return 0;
	case END_BAD:
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s: so it was said", env->dir);
	case END_KILLED:
		return raise(SIGKILL);
	case END_TERMINATED:
		(void)signal(SIGTERM, SIG_DFL);
		return raise(SIGTERM);
	case END_SEGV:
		return raise(SIGSEGV);
	case END_BUS:
		return raise(SIGBUS);
	default:
		_exit(1);
	}
}

static void check_ends(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0);
	const struct {
		enum end end;
		int rc;
		const char *text;
	} rows[] = {
		{ END_WELL, 0, NULL },
		{ END_BAD, -OBJM_STATUS_CORRUPT, "so it was said" },
		{ END_KILLED, -OBJM_STATUS_SYSTEM, "was killed before it was done (signal 9)" },
		{ END_TERMINATED, -OBJM_STATUS_SYSTEM, "was killed before it was done (signal 15)" },
		{ END_SEGV, -OBJM_STATUS_CORRUPT, "died of it (signal 11)" },
		{ END_BUS, -OBJM_STATUS_CORRUPT, "died of it (signal 7)" },
		{ END_EXIT, -OBJM_STATUS_CORRUPT, "died of it (exit status 1)" },
	};

	for (size_t i = 0; i < OM_ARRAY_SIZE(rows); i++) {
		assert_int_equal(idx_cat_check_run(p.dir, 60, end_as_told, &rows[i].end), rows[i].rc);
		if (rows[i].text)
			assert_non_null(strstr(idx_cat_message(), rows[i].text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(check_ends, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
