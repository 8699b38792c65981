/*
 * test_tier_trace.c: traces from files, good and bad, and traces made by rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bench/tiering/tier.h"

static int status;
static char message[512];

/* Read `text` as a file. */
static struct tier_trace read_text(const char *text, size_t len, enum tier_format format)
{
	char path[] = "/tmp/test_tier_trace.XXXXXX";
	struct tier_trace t = {0};
	int fd = mkstemp(path);
	FILE *err = fmemopen(message, sizeof(message), "w");

	assert_true(fd >= 0);
	assert_non_null(err);
	message[0] = '\0';
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	(void)close(fd);
	status = tier_trace_read(path, format, err, &t);
	(void)fclose(err);
	(void)unlink(path);
	return t;
}

static struct tier_trace good(const char *text, enum tier_format format)
{
	struct tier_trace t = read_text(text, strlen(text), format);

	assert_int_equal(status, 0);
	return t;
}

static void bad(const char *text, enum tier_format format, const char *says)
{
	struct tier_trace t = read_text(text, strlen(text), format);

	assert_int_equal(status, -OBJM_STATUS_INVALID_REQUEST);
	assert_non_null(strstr(message, says));
	assert_null(t.req);
}

static void expect(struct tier_trace *t, const uint32_t *req, size_t n, const uint64_t *size, uint32_t objects)
{
	assert_int_equal(t->requests, n);
	assert_int_equal(t->objects, objects);
	assert_memory_equal(t->req, req, n * sizeof(*req));
	assert_memory_equal(t->size, size, objects * sizeof(*size));
	tier_trace_fini(t);
}

static void test_csv(void **state)
{
	struct tier_trace t = good("time,key,size\n1,/a,10\r\n2,/b,20\n\n3,/a,10\n4,x,y,5", TIER_CSV);

	(void)state;
	assert_int_equal(t.resized, 0);
	assert_int_equal(t.footprint, 35);
	expect(&t, (uint32_t[]){0, 1, 0, 2}, 4, (uint64_t[]){10, 20, 5}, 3);
	/* another size later on: the first counts; size 0 counts as 1; 7 and 07 are two keys */
	t = good("1,7,10\n2,7,99\n3,07,0\n4,7,10\n", TIER_CSV);
	assert_int_equal(t.resized, 1);
	expect(&t, (uint32_t[]){0, 0, 1, 0}, 4, (uint64_t[]){10, 1}, 2);
	bad("1,a,10\n2,b\n", TIER_CSV, ":2: expected time,key,size");
	bad("1,a,10\n2,b,-3\n", TIER_CSV, ":2: \"-3\" is not a size");
	bad("1,a,10\n2,b,99999999999999999\n", TIER_CSV, ":2: ");
	bad("1,,10\n", TIER_CSV, ":1: the key is empty");
}

static void test_cloudphysics(void **state)
{
	struct tier_trace t = good("version,time,op,size,lbn\n1,5,2a,512,42\n1,5,28,1024,43\n1,6,2a,512,42\n", TIER_CLOUDPHYSICS);

	(void)state;
	expect(&t, (uint32_t[]){0, 1, 0}, 3, (uint64_t[]){512, 1024}, 2);
	bad("1,5,2a,512,42\n1,5,2a,512\n", TIER_CLOUDPHYSICS, ":2: expected version,time,op,size,lbn");
	bad("1,5,2a,512,42,0\n", TIER_CLOUDPHYSICS, ":1: expected");
}

static void test_keys(void **state)
{
	struct tier_trace t = good("4 3 0 1\nfive\n5\n3 2 0 0\n", TIER_KEYS);

	(void)state;
	/* 4 5 6 five 5 3 4 */
	expect(&t, (uint32_t[]){0, 1, 2, 3, 1, 4, 0}, 7, (uint64_t[]){1, 1, 1, 1, 1}, 5);
	bad("1\na 2\n", TIER_KEYS, ":2: expected one key, or a range");
	bad("1 99999999999\n", TIER_KEYS, ":1: a range of 99999999999 keys");
	bad("18446744073709551615 2\n", TIER_KEYS, "too long");
	t = good("", TIER_KEYS);
	assert_int_equal(t.requests, 0);
	tier_trace_fini(&t);
}

static void test_no_text(void **state)
{
	struct tier_trace t = read_text("1\n2\0003\n", 6, TIER_KEYS);

	(void)state;
	assert_int_equal(status, -OBJM_STATUS_INVALID_REQUEST);
	assert_non_null(strstr(message, ":2: a zero byte"));
	assert_int_equal(tier_trace_read("/nonexistent/trace", TIER_KEYS, stderr, &t), -OBJM_STATUS_NOT_FOUND);
}

/* Many keys: the table grows, and no two of them become one. */
static void test_many(void **state)
{
	enum { N = 50000 };
	char *text = malloc(N * 2 * 16), *p = text;
	struct tier_trace t;

	(void)state;
	assert_non_null(text);
	for (unsigned i = 0; i < 2 * N; i++)
		p += sprintf(p, i % 2 ? "k%u\n" : "%u\n", (i / 2) % (N / 2));
	t = read_text(text, (size_t)(p - text), TIER_KEYS);
	free(text);
	assert_int_equal(status, 0);
	assert_int_equal(t.requests, 2 * N);
	assert_int_equal(t.objects, N);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(t.req[i], i);
		assert_int_equal(t.req[N + i], i);
	}
	tier_trace_fini(&t);
}

/* Zipf's law: the most popular of n objects gets 1 / H(n, s) of the requests, the next 2^-s of that. */
static void test_synth(void **state)
{
	struct tier_synth how = {.zipf = 1.0, .objects = 1000, .requests = 200000, .seed = 7};
	struct tier_trace t = {0}, again = {0};
	uint32_t count[1000] = {0}, first = 0, second = 0;

	(void)state;
	assert_int_equal(tier_synth_make(&how, &t), 0);
	assert_int_equal(tier_synth_make(&how, &again), 0);
	assert_int_equal(t.requests, 200000);
	assert_memory_equal(t.req, again.req, t.requests * sizeof(*t.req));
	for (uint64_t i = 0; i < t.requests; i++)
		count[t.req[i]]++;
	for (unsigned i = 0; i < 1000; i++) {
		if (count[i] > first) {
			second = first;
			first = count[i];
		} else if (count[i] > second) {
			second = count[i];
		}
	}
	/* H(1000, 1) = 7.4855; three standard deviations are 460 and 340 */
	assert_in_range(first, 26718 - 460, 26718 + 460);
	assert_in_range(second, 13359 - 340, 13359 + 340);
	tier_trace_fini(&again);
	how.seed = 8;
	assert_int_equal(tier_synth_make(&how, &again), 0);
	assert_memory_not_equal(t.req, again.req, t.requests * sizeof(*t.req));
	tier_trace_fini(&t);
	tier_trace_fini(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_csv),	cmocka_unit_test(test_cloudphysics), cmocka_unit_test(test_keys),
		cmocka_unit_test(test_no_text), cmocka_unit_test(test_many),	     cmocka_unit_test(test_synth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
