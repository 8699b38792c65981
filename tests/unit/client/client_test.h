/*
 * client_test.h: what the tests of libobjm begin and end with: the headers that cmocka wants, no descriptor left over, and a
 * session with a fake server of its own. Included once by a test program.
 */
#ifndef CLIENT_TEST_H
#define CLIENT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>

#include "client/objm.h"

/** Descriptors of this process; the one that it takes to count them is among them. */
static inline int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

#ifdef CLIENT_TEST_FAKE
#include "tests/unit/client/fake_server.h"

static struct fake *f;
static objm_t *s;
static int fds_before;

/** A server, and a session with it: what a set-up returns. @param o  NULL: the library's own */
static inline int fake_begin(const struct objm_options *o)
{
	f = fake_start();
	fds_before = open_fds();
	return objm_open(f->path, o, &s);
}

/* The tear-down of all of them. */
static inline int fake_end(void **state)
{
	(void)state;
	objm_close(s);
	s = NULL;
	assert_int_equal(open_fds(), fds_before);
	fake_stop(f);
	return 0;
}

#define OK(call) \
	do { \
		if ((call) < 0) \
			fail_msg("%s: %s", #call, objm_error(s)); \
	} while (0)
#endif

#endif
