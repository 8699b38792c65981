/*
 * test_bytes.c: copy and splice, on both kinds of tiers: objects of no byte, one byte, 5 GiB; what a reader that stops costs
 * the others; that the worker's memory does not follow the object's size.
 *
 * 5 GiB go through splice from disk; with OBJM_TEST_LONG through all four ways.
 */
#include "wrk_wire.h"

#include <fcntl.h>
#include <sys/resource.h>

#define GIB (1ull << 30)

static void ask(int fd, char mode, const char *uri, uint64_t size)
{
	uint8_t req[8192];
	struct wire_resp r;

	harness_write(fd, req, wire_v1(req, mode, uri));
	wire_resp(fd, 1, &r);
	assert_int_equal(r.status, 0);
	assert_int_equal(r.content_len, size);
	assert_int_equal(r.size, size);
}

static void test_small(void **state)
{
	struct harness *h = harness_start(NULL, true);
	int fd = harness_connect(h);
	char byte;

	(void)state;
	for (unsigned tier = 0; tier < 2; tier++) {
		char empty[16], one[16];

		(void)snprintf(empty, sizeof(empty), "/empty%u", tier);
		(void)snprintf(one, sizeof(one), "/one%u", tier);
		(void)harness_object(h, empty, "", 0, tier);
		(void)harness_object(h, one, "1", 1, tier);
		for (char mode = '2'; mode <= '3'; mode++) {
			ask(fd, mode, empty, 0);
			wire_file(harness_read_fd_byte(fd), "");
			ask(fd, mode, one, 1);
			harness_read(fd, &byte, 1);
			assert_int_equal(byte, '1');
		}
	}
	assert_true(harness_quiet(fd, 10));
	(void)close(fd);
	harness_stop(h);
}

/* Bytes [at, at + n) of harness_sparse(). */
static void check(const uint8_t *p, uint64_t at, size_t n, uint64_t size)
{
	static const uint8_t zero[4096];
	static const struct {
		uint64_t at;
		const char *text;
	} marks[] = { { 0, "head" }, { 4 * GIB, "4GiB" } };

	for (size_t i = 0; i < OM_ARRAY_SIZE(marks); i++)
		for (size_t k = 0; k < 4; k++)
			if (marks[i].at + k >= at && marks[i].at + k < at + n)
				assert_int_equal(p[marks[i].at + k - at], marks[i].text[k]);
	if (at + n == size)
		assert_int_equal(p[n - 1], 'E');
	if (at > 4 && n > 4200 && !(at <= 4 * GIB + 4 && at + n > 4 * GIB))
		assert_memory_equal(p, zero, sizeof(zero));
}

static void huge(struct harness *h, unsigned tier, char mode)
{
	uint64_t size = 5 * GIB + 12345;
	int fd = harness_connect(h), small = harness_connect(h);
	uint8_t *buf = malloc(1u << 20);
	struct rusage before, after;
	char uri[16], hot;

	(void)snprintf(uri, sizeof(uri), "/huge%u%c", tier, mode);
	(void)harness_sparse(h, uri, size, tier);
	(void)harness_object(h, uri + 1, "s", 1, 0);
	(void)getrusage(RUSAGE_SELF, &before);
	ask(fd, mode, uri, size);
	for (uint64_t at = 0; at < size;) {
		ssize_t n = read(fd, buf, (size_t)OM_MIN(size - at, (uint64_t)1 << 20));

		assert_true(n > 0);
		check(buf, at, (size_t)n, size);
		if (at / GIB != (at + (uint64_t)n) / GIB) { /* others are answered meanwhile */
			ask(small, '2', uri + 1, 1);
			harness_read(small, &hot, 1);
		}
		at += (uint64_t)n;
	}
	assert_true(harness_quiet(fd, 10));
	(void)getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024); /* KiB; a sanitizer keeps what was freed for a while */
	free(buf);
	(void)close(fd);
	(void)close(small);
}

static void test_huge(void **state)
{
	struct harness *h = harness_start(NULL, true);

	(void)state;
	huge(h, 1, '3');
	if (getenv("OBJM_TEST_LONG")) {
		huge(h, 0, '2');
		huge(h, 0, '3');
		huge(h, 1, '2');
	}
	harness_stop(h);
}

/* Readers that stop in the middle of a large object, in both modes, and more of them than there are I/O threads. */
static void test_stopped_readers(void **state)
{
	struct harness *h = harness_start(NULL, true);
	int stopped[16], other = harness_connect(h);
	uint64_t size = 8u << 20;
	uint8_t *buf = malloc(size), byte;
	struct wire_resp r;
	uint8_t req[8192];

	(void)state;
	(void)harness_sparse(h, "/large", size, 1);
	(void)harness_object(h, "/small", "s", 1, 1);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(stopped); i++) {
		stopped[i] = harness_connect(h);
		ask(stopped[i], i % 2 ? '2' : '3', "/large", size);
		harness_read(stopped[i], buf, 1000 + i);
	}
	for (int i = 0; i < 200; i++) {
		ask(other, i % 2 ? '2' : '3', "/small", 1);
		harness_read(other, &byte, 1);
		harness_write(other, req, wire_v1(req, '1', "/small"));
		wire_resp(other, 1, &r);
		wire_file(harness_read_fd_byte(other), "s");
	}
	for (unsigned i = 0; i < OM_ARRAY_SIZE(stopped); i++) { /* half of them go on and get the rest, half of them leave */
		if (i < OM_ARRAY_SIZE(stopped) / 2) {
			harness_read(stopped[i], buf, size - 1000 - i);
			check(buf, 1000 + i, size - 1000 - i, size);
			ask(stopped[i], '2', "/small", 1);
			harness_read(stopped[i], &byte, 1);
		}
		(void)close(stopped[i]);
	}
	free(buf);
	(void)close(other);
	harness_stop(h);
}

/* A file that is shorter than its record says: the connection ends, since the length has been told. */
static void test_short_file(void **state)
{
	struct harness *h = harness_start(NULL, true);
	char buf[64];

	(void)state;
	for (unsigned tier = 0; tier < 2; tier++) {
		for (char mode = '2'; mode <= '3'; mode++) {
			char uri[16];
			int fd = harness_connect(h);
			uint64_t id;

			(void)snprintf(uri, sizeof(uri), "/short%u%c", tier, mode);
			id = harness_object(h, uri, "only this", 9, tier);
			harness_index(h, uri, id, 5000, tier, 0);
			ask(fd, mode, uri, 5000);
			harness_read(fd, buf, 9);
			assert_true(harness_at_end(fd));
			(void)close(fd);
		}
	}
	harness_stop(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_stopped_readers),
		cmocka_unit_test(test_short_file),
		cmocka_unit_test(test_huge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
