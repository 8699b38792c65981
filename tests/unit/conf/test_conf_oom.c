/*
 * test_conf_oom.c: every single allocation of a reading fails once: it must end with OUT_OF_MEMORY, or with the same
 * result as without the failure, never with a crash or a configuration that lacks something.
 *
 * The program's own malloc family stands before the C library's, so that strdup, asprintf and libyaml are covered. Under a
 * sanitizer, which has its own, the test is skipped.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OM_OWN_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define OM_OWN_MALLOC 0
#endif
#endif
#ifndef OM_OWN_MALLOC
#define OM_OWN_MALLOC 1
#endif

#include <stdio.h>

#if OM_OWN_MALLOC
#include "conf_test.h"

static long until_failure = -1; /* allocations that still work; -1: all */

static bool fails(void)
{
	if (until_failure < 0)
		return false;
	if (until_failure-- > 0)
		return false;
	until_failure = -1; /* one failure, then all is well: nobody may rely on a second one */
	errno = ENOMEM;
	return true;
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
#define EXPORT __attribute__((visibility("default"))) /* so that the C library and libyaml call ours */
EXPORT void *malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }
EXPORT void *calloc(size_t n, size_t size) { return fails() ? NULL : __libc_calloc(n, size); }
EXPORT void *realloc(void *p, size_t size) { return fails() ? NULL : __libc_realloc(p, size); }

/* What is read, and what must come of it. */
static const char good[] = TIERS "listen: {tcp: [7070], legacy: legacy.sock}\naccess: {trusted_writers: [self, root, x], "
				 "rules: [{user: x, rights: [read]}]}\ndefault_tier: d\nuser: \"\xc3\xb6\"\n";
static const char bad[] = "backends: [{name: a, type: floppy, path: /d}]\nuser: [1]\nlisten: {dada: 1, tcp: [x]}\n";

static void every_allocation(const char *text, int rc_without)
{
	struct om_conf *whole = NULL;
	struct om_conf_report rep = { 0 };
	char *expect = NULL;
	long n = 0;

	if (rc_without == 0) {
		assert_int_equal(om_conf_parse(text, strlen(text), "t", "/base", &whole, &rep), 0);
		expect = to_text(whole, NULL);
	}
	for (;; n++) {
		struct om_conf *conf = NULL;
		om_conf_report_free(&rep);
		until_failure = n;
		int rc = om_conf_parse(text, strlen(text), "t", "/base", &conf, &rep);
		bool reached = until_failure == -1;
		until_failure = -1;
		if (!reached)
			assert_int_equal(rc, rc_without);
		else if (rc != rc_without)
			assert_int_equal(rc, -OBJM_STATUS_OUT_OF_MEMORY);
		assert_true((rc == 0) == (conf != NULL));
		char *messages = to_text(NULL, &rep);
		assert_null(strstr(messages, "(null)"));
		free(messages);
		if (conf) {
			char *got = to_text(conf, NULL);
			assert_string_equal(got, expect);
			free(got);
		}
		om_conf_free(conf);
		if (!reached)
			break;
	}
	assert_true(n > 100);
	om_conf_report_free(&rep);
	om_conf_free(whole);
	free(expect);
}

static void test_good_file(void **state)
{
	(void)state;
	every_allocation(good, 0);
}

static void test_bad_file(void **state)
{
	(void)state;
	every_allocation(bad, -OBJM_STATUS_INVALID_REQUEST);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_good_file), cmocka_unit_test(test_bad_file) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
	(void)puts("1..0 # SKIP a sanitizer has its own malloc"); /* cmocka's own skip counts as a failure in TAP */
	return 0;
}
#endif
