/*
 * test_proto_corpus.c: the fuzz target's corpus, replayed: each input whole, cut at every byte, and with every byte
 * changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>

#include "common/om_base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In memory of exactly this size. It traps where a promise of the codec is broken. */
static void run(const uint8_t *p, size_t n)
{
	uint8_t *exact = malloc(n ? n : 1);

	memcpy(exact, p, n);
	assert_int_equal(LLVMFuzzerTestOneInput(exact, n), 0);
	free(exact);
}

static void replay(const char *path)
{
	OM_AUTO_FILE f = fopen(path, "re");
	static uint8_t b[65536];
	size_t n, i;
	unsigned bit;

	assert_non_null(f);
	n = fread(b, 1, sizeof(b), f);
	for (i = 0; i <= n; i++)
		run(b, i);
	for (i = 0; i < n; i++) {
		for (bit = 0; bit < 8; bit++) {
			b[i] ^= (uint8_t)(1u << bit);
			run(b, n);
			b[i] ^= (uint8_t)(1u << bit);
		}
	}
}

static void test_corpus(void **state)
{
	DIR *d = opendir(CORPUS);
	struct dirent *e;
	char path[4096];
	int files = 0;

	(void)state;
	assert_non_null(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		assert_true(snprintf(path, sizeof(path), "%s/%s", CORPUS, e->d_name) < (int)sizeof(path));
		replay(path);
		files++;
	}
	closedir(d);
	assert_true(files >= 39);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_corpus)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
