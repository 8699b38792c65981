/*
 * test_fdpass.c: om_fdpass: descriptors arrive close-on-exec and are the same files; whatever goes wrong leaves none open.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/om_fdpass.h"

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

struct sock {
	int a, b;
};
static struct sock pair_of(int type)
{
	int s[2];
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s), 0);
	return (struct sock){ s[0], s[1] };
}
static void pair_close(struct sock *s)
{
	om_close(&s->a);
	om_close(&s->b);
}

static void test_round_trip(void **state)
{
	struct sock s = pair_of(SOCK_SEQPACKET);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), fds[OM_FDPASS_MAX], got[OM_FDPASS_MAX];
	struct stat st;
	char buf[16];
	size_t len;
	unsigned n;
	(void)state;

	for (unsigned i = 0; i < OM_FDPASS_MAX; i++)
		fds[i] = null;
	static const unsigned counts[] = { 0, 1, 2, OM_FDPASS_MAX };
	for (unsigned c = 0; c < OM_ARRAY_SIZE(counts); c++) {
		assert_int_equal(om_fdpass_send(s.a, "hi", 2, fds, counts[c]), 0);
		assert_int_equal(om_fdpass_recv(s.b, buf, sizeof(buf), &len, got, OM_FDPASS_MAX, &n), 0);
		assert_int_equal(len, 2);
		assert_int_equal(n, counts[c]);
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(fcntl(got[i], F_GETFD), FD_CLOEXEC);
			assert_int_equal(fstat(got[i], &st), 0);
			assert_true(S_ISCHR(st.st_mode));
			om_close(&got[i]);
		}
	}
	assert_int_equal(om_fdpass_recv(s.b, buf, sizeof(buf), &len, got, 1, &n), -OBJM_STATUS_WOULD_BLOCK);
	om_close(&null);
	pair_close(&s);
}

static void test_refused_leaves_nothing(void **state)
{
	struct sock s = pair_of(SOCK_SEQPACKET);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), got[4], fds[4] = { null, null, null, null };
	unsigned before = open_fds(), n = 0;
	char buf[4];
	size_t len = 0;
	(void)state;

	assert_int_equal(om_fdpass_send(s.a, "hi", 2, fds, 4), 0); /* more than wanted */
	assert_int_equal(om_fdpass_recv(s.b, buf, sizeof(buf), &len, got, 3, &n), -OBJM_STATUS_CORRUPT);
	assert_int_equal(om_fdpass_send(s.a, "hi", 2, fds, 1), 0); /* none wanted */
	assert_int_equal(om_fdpass_recv(s.b, buf, sizeof(buf), &len, NULL, 0, &n), -OBJM_STATUS_CORRUPT);
	assert_int_equal(om_fdpass_send(s.a, "too long", 8, fds, 2), 0);
	assert_int_equal(om_fdpass_recv(s.b, buf, sizeof(buf), &len, got, 4, &n), -OBJM_STATUS_CORRUPT);
	assert_int_equal(open_fds(), before);
	assert_int_equal(len, 0); /* outputs are written on success only */
	om_close(&s.a);
	assert_int_equal(om_fdpass_recv(s.b, buf, sizeof(buf), &len, got, 4, &n), -OBJM_STATUS_GONE);
	assert_int_equal(om_fdpass_send(s.b, "hi", 2, NULL, 0), -OBJM_STATUS_GONE); /* and no SIGPIPE */
	om_close(&null);
	pair_close(&s);
}

static void test_full(void **state)
{
	struct sock s = pair_of(SOCK_SEQPACKET);
	char buf[4096] = { 0 };
	unsigned sent = 0;
	int err;
	(void)state;

	while ((err = om_fdpass_send(s.a, buf, sizeof(buf), NULL, 0)) == 0 && sent < 100000)
		sent++;
	assert_int_equal(err, -OBJM_STATUS_WOULD_BLOCK);
	pair_close(&s);
}

static void test_peer(void **state)
{
	struct sock s = pair_of(SOCK_STREAM);
	struct om_peer peer;
	(void)state;

	assert_int_equal(om_fdpass_peer(s.a, &peer), 0);
	assert_int_equal(peer.uid, geteuid());
	assert_int_equal(peer.pid, getpid());
	assert_int_equal(om_fdpass_peer(-1, &peer), -OBJM_STATUS_SYSTEM);
	pair_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refused_leaves_nothing),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_peer),
	};
	return cmocka_run_group_tests_name("common/fdpass", tests, NULL, NULL);
}
