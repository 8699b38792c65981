/*
 * test_sys.c: each system call that a connection lives by fails once, at each of its first times, with each errno that it can
 * have. What passes (no room, interrupted) must not show; after what does not pass the connection ends, and nothing is left
 * over: every request gets its answer or a close. The calls are wrapped by the linker: see meson.build.
 */
#include "wrk_wire.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "worker/wrk_conn_set.h"

#define TIMES 6

enum call { SENDMSG, SENDMMSG, SEND, SENDFILE, RECVMSG, ACCEPT4, PREADV2, PREAD, CALLS };
static const char *const names[] = { "sendmsg", "sendmmsg", "send", "sendfile", "recvmsg", "accept4", "preadv2", "pread" };

static struct {
	pthread_t tester; /* whose calls are let through */
	_Atomic int call, left, err;
	_Atomic unsigned struck;
} inject = { .call = -1 };

static bool strikes(enum call call)
{
	if (inject.call != (int)call || pthread_equal(pthread_self(), inject.tester) || atomic_fetch_sub(&inject.left, 1) != 1)
		return false;
	inject.struck++;
	errno = inject.err;
	return true;
}

/* While pread is the one to fail, nothing is in memory: it is what reads then. */
static bool cold(void)
{
	if (inject.call == PREAD && !pthread_equal(pthread_self(), inject.tester))
		errno = EAGAIN;
	return inject.call == PREAD && !pthread_equal(pthread_self(), inject.tester);
}

#define WRAP(type, name, call, params, args) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params { return strikes(call) || ((call) == PREADV2 && cold()) ? -1 : __real_##name args; }

WRAP(ssize_t, sendmsg, SENDMSG, (int s, const struct msghdr *m, int f), (s, m, f))
WRAP(int, sendmmsg, SENDMMSG, (int s, struct mmsghdr *m, unsigned n, int f), (s, m, n, f))
WRAP(ssize_t, send, SEND, (int s, const void *p, size_t n, int f), (s, p, n, f))
WRAP(ssize_t, sendfile64, SENDFILE, (int o, int i, off_t *off, size_t n), (o, i, off, n))
WRAP(ssize_t, recvmsg, RECVMSG, (int s, struct msghdr *m, int f), (s, m, f))
WRAP(int, accept4, ACCEPT4, (int s, struct sockaddr *a, socklen_t *l, int f), (s, a, l, f))
WRAP(ssize_t, preadv64v2, PREADV2, (int d, const struct iovec *v, int n, off_t off, int f), (d, v, n, off, f))
WRAP(ssize_t, pread64, PREAD, (int d, void *p, size_t n, off_t off), (d, p, n, off))

/* ---------------------------------------------------------------- a dialogue that may be cut off */

static bool take(int fd, void *p, size_t n)
{
	while (n) {
		ssize_t k = read(fd, p, n);

		if (k == 0 || (k < 0 && (errno == ECONNRESET || errno == EPIPE)))
			return false;
		assert_true(k > 0); /* a time-out: neither an answer nor a close */
		p = (char *)p + k;
		n -= (size_t)k;
	}
	return true;
}

static bool take_fd(int fd)
{
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(int) * 4)];
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	int got;

	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return false;
	assert_int_equal(n, 1);
	assert_int_equal(byte, 'X');
	assert_non_null(CMSG_FIRSTHDR(&m));
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(got));
	(void)close(got);
	return true;
}

static bool answer(int fd, uint32_t id, uint8_t want, bool with_fd, uint64_t content)
{
	uint8_t hdr[OM_PROTO_V2_RESP_HDR], meta[2048];
	static char body[300000];

	if (!take(fd, hdr, sizeof(hdr)) || !take(fd, meta, wire_be(hdr + 14, 2)))
		return false;
	assert_int_equal(hdr[0], OM_PROTO_T_RESPONSE);
	assert_int_equal(wire_be(hdr + 1, 4), id);
	assert_int_equal(hdr[5], want);
	assert_int_equal(wire_be(hdr + 6, 8), content);
	return with_fd ? take_fd(fd) : take(fd, body, content);
}

/* @return true: all was answered */
static bool dialogue(struct harness *h)
{
	static const char *const uris[] = { "/a", "/none", "/a" };
	uint8_t buf[8192], ack[OM_PROTO_HELLO_ACK_LEN];
	struct om_proto_hello hello = { .caps = OM_PROTO_CAP_PIPELINING };
	int fd = harness_connect(h);
	size_t n = (size_t)om_proto_hello_encode(&hello, buf, sizeof(buf));
	bool ok = true;

	for (uint32_t i = 0; i < 3; i++)
		n += wire_v2(buf + n, i, 0, '1', uris[i]);
	for (uint32_t i = 3; i < 7; i++)
		n += wire_v2(buf + n, i, 0, i % 2 ? '2' : '3', i < 5 ? "/mem" : "/disk");
	ok = send(fd, buf, n, MSG_NOSIGNAL) == (ssize_t)n && take(fd, ack, sizeof(ack));
	for (uint32_t i = 0; ok && i < 3; i++)
		ok = answer(fd, i, i == 1 ? OBJM_STATUS_NOT_FOUND : 0, i != 1, 0);
	for (uint32_t i = 3; ok && i < 7; i++)
		ok = answer(fd, i, 0, false, 300000);
	if (ok) {
		(void)send(fd, "\3\0", 2, MSG_NOSIGNAL);
		ok = take(fd, buf, 6);
	}
	(void)close(fd);
	return ok;
}

/* ---------------------------------------------------------------- */

static _Atomic unsigned conns;
static void count_conns(struct harness *h) { conns = wrk_conn_count(h->w.conns); }

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static void nothing_left(struct harness *h, unsigned fds)
{
	for (int i = 0; i < 10000; i++) {
		harness_call(h, count_conns);
		if (conns == 0 && count_fds() <= fds)
			return;
		(void)usleep(1000);
	}
	fail_msg("%u connections, %u descriptors of %u are left", conns, count_fds(), fds);
}

static bool passes(enum call call, int err)
{
	if (call == PREADV2 || call == PREAD)
		return err == EAGAIN || err == EINTR;
	if (call == SENDFILE && err == EINVAL) /* a filesystem that can not: its bytes are copied */
		return true;
	return err == EAGAIN || err == EINTR || err == ENOBUFS || err == ENOMEM || err == ETOOMANYREFS || err == ECONNABORTED;
}

static void test_each_fails(void **state)
{
	static const int errs[] = { EAGAIN, EINTR, ENOBUFS, ENOMEM, ETOOMANYREFS, EPIPE, ECONNRESET, ECONNABORTED, EMFILE, EIO, EINVAL };
	static const struct {
		enum call call;
		unsigned errs; /* bits, as above */
	} cases[] = { { SENDMSG, 0x7f },  { SENDMMSG, 0x7f }, { SEND, 0x6f }, { SENDFILE, 0x66f },
		      { RECVMSG, 0x40 | 3 }, { ACCEPT4, 0x18e & ~0x80u }, { PREADV2, 0x203 }, { PREAD, 0x202 } };
	struct harness *h = harness_start(NULL, true);
	char *big = calloc(1, 300000);
	unsigned fds, struck = 0;

	(void)state;
	(void)harness_object(h, "/a", "A", 1, 0);
	(void)harness_object(h, "/mem", big, 300000, 0);
	(void)harness_object(h, "/disk", big, 300000, 1);
	inject.tester = pthread_self();
	assert_true(dialogue(h));
	nothing_left(h, 1000);
	fds = count_fds();
	for (size_t c = 0; c < OM_ARRAY_SIZE(cases); c++) {
		unsigned first = struck;

		for (unsigned e = 0; e < OM_ARRAY_SIZE(errs); e++) {
			if (!(cases[c].errs & 1u << e))
				continue;
			for (int nth = 1; nth <= TIMES; nth++) {
				unsigned before = inject.struck;
				bool whole;

				inject.err = errs[e];
				inject.left = nth;
				inject.call = (int)cases[c].call;
				whole = dialogue(h);
				inject.call = -1;
				if (!whole && (inject.struck == before || passes(cases[c].call, errs[e])))
					fail_msg("%s, %s at time %d: the connection ended", names[cases[c].call], strerror(errs[e]), nth);
				nothing_left(h, fds);
				struck += inject.struck - before;
			}
		}
		print_message("# %s: %u failures\n", names[cases[c].call], struck - first);
		assert_true(struck > first);
	}
	assert_true(struck > 100);
	assert_true(dialogue(h));
	free(big);
	harness_stop(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_each_fails) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
