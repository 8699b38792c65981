/*
 * test_client_exec.c: a program that a client runs gets none of what the library holds: its connection, descriptors of objects,
 * the cache's, the writable one of a put. One that leaked would keep a deleted object's space, or a put open, for as long as the
 * program runs.
 */
#define CLIENT_TEST_FAKE
#include "tests/unit/client/client_test.h"

#include <sys/wait.h>

static char before[4096];

/* What a program that is run now has open: where its descriptors lead. */
static void seen_by_child(char ret[static 4096])
{
	int out[2];
	size_t n = 0;
	ssize_t k;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(out[1], STDOUT_FILENO);
		(void)close(out[0]);
		(void)close(out[1]);
		(void)execl("/bin/sh", "sh", "-c", "for f in /proc/$$/fd/*; do echo ${f##*/} $(readlink $f | sed 's/:.*//'); done", (char *)NULL);
		_exit(127);
	}
	(void)close(out[1]);
	while ((k = read(out[0], ret + n, 4095 - n)) > 0)
		n += (size_t)k;
	ret[n] = '\0';
	(void)close(out[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(n > 0);
}

static int setup(void **state)
{
	struct objm_options o = OBJM_OPTIONS_INIT;

	(void)state;
	o.promise = OBJM_PROMISE_POSITIONED;
	o.cache_objects = 10;
	return fake_begin(&o);
}

static void test_nothing_is_handed_on(void **state)
{
	const struct objm_cached *kept;
	struct objm_result many[2];
	const char *uris[] = {"/a", "/a"};
	objm_put_t *put;
	char after[4096];
	int fd;

	(void)state;
	OK(objm_put_buf(s, "/a", "bytes", 5, NULL, NULL));
	OK(objm_get(s, "/a", 0, NULL, &fd));
	OK(objm_get_many(s, uris, 2, 0, many));
	OK(objm_cache_get(s, "/a", 0, OBJM_CACHE_FD, &kept));
	OK(objm_put_begin(s, "/b", NULL, &put));
	assert_true(fd >= 0 && many[0].fd >= 0 && many[1].fd >= 0 && objm_put_writefd(put) >= 0);
	seen_by_child(after);
	assert_string_equal(after, before);
	objm_put_abort(put);
	objm_cache_release(s, kept);
	(void)close(many[0].fd);
	(void)close(many[1].fd);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_nothing_is_handed_on, setup, fake_end)};

	seen_by_child(before); /* what whoever runs us left open is none of ours */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
