/* What a thread has waited for a processor: the kernel's own account of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/om_base.h"
#include "common/om_cpus.h"
#include "common/om_runq.h"

static _Atomic bool over;
static struct om_place place;

static void *spin(void *arg)
{
	bool bound = false;

	(void)arg;
	om_place_stay(&place, &bound);
	while (!atomic_load(&over))
		;
	return NULL;
}

/* Two that want one and the same processor: one of them waits. */
static void test_waits(void **state)
{
	OM_AUTO_FD dir = om_runq_dir();
	OM_AUTO_FD fd = om_runq_open(dir);
	pthread_t other;
	bool bound = false;

	(void)state;
	if (fd < 0)
		skip(); /* a kernel without such accounts */
	om_place_init(&place);
	assert_int_equal(pthread_create(&other, NULL, spin, NULL), 0);
	om_place_stay(&place, &bound);
	uint64_t was = om_runq_waited(fd), end = om_now_ns() + UINT64_C(30000000000);
	while (om_runq_waited(fd) <= was && om_now_ns() < end)
		;
	uint64_t now = om_runq_waited(fd);
	atomic_store(&over, true);
	assert_int_equal(pthread_join(other, NULL), 0);
	om_place_roam(&place, &bound);
	assert_true(now > was);
}

static void test_none(void **state)
{
	(void)state;
	assert_int_equal(om_runq_open(-1), -1);
	assert_int_equal(om_runq_waited(-1), 0);
	OM_AUTO_FD root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(om_runq_open(root), -1); /* there is no such file */
}

/* What is no account at all, and one that is cut, is nothing; a number that does not fit is the largest. */
static void test_texts(void **state)
{
	static const struct {
		const char *text;
		uint64_t waited;
	} t[] = { { "12 34 5\n", 34 }, { "12", 0 }, { "", 0 }, { "x y", 0 }, { "1 99999999999999999999999 1", UINT64_MAX } };

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(t); i++) {
		char name[] = "/tmp/test_runq.XXXXXX";
		OM_AUTO_FD fd = mkstemp(name);
		assert_true(fd >= 0);
		assert_int_equal(unlink(name), 0);
		assert_int_equal(write(fd, t[i].text, strlen(t[i].text)), strlen(t[i].text));
		assert_true(om_runq_waited(fd) == t[i].waited);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
