/*
 * test_conn.c: connections of a worker, over real sockets: versions 1 and 2 byte for byte, order, limits, bad peers.
 */
#include "wrk_wire.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/om_counter.h"
#include "common/proto/om_proto.h"
#include "worker/wrk_conn_set.h"

/* ---------------------------------------------------------------- version 1 */

static void test_v1_fdpass(void **state)
{
	struct harness *h = harness_start(NULL, true);
	uint8_t req[8192];
	struct wire_resp r;
	int fd = harness_connect(h);
	size_t n = wire_v1(req, '1', "/logo");

	(void)state;
	(void)harness_object(h, "/logo", "hello", 5, 0);
	for (size_t cut = 0; cut <= n; cut++) { /* split at every byte */
		harness_write(fd, req, cut);
		if (cut < n)
			(void)usleep(2000);
		harness_write(fd, req + cut, n - cut);
		wire_resp(fd, 1, &r);
		assert_int_equal(r.status, 0);
		assert_int_equal(r.content_len, 0);
		assert_int_equal(r.size, 5);
		int obj = harness_read_fd_byte(fd);
		assert_int_equal(fcntl(obj, F_GETFL) & O_ACCMODE, O_RDONLY);
		wire_file(obj, "hello");
	}
	assert_true(harness_quiet(fd, 20)); /* nothing too much */
	(void)close(fd);
	harness_stop(h);
}

/* The header's message must not carry the descriptor: read(2) would throw it away. */
static void test_v1_header_alone(void **state)
{
	struct harness *h = harness_start(NULL, true);
	uint8_t req[8192];
	int fd = harness_connect(h);
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(int) * 4)];
	char big[512];
	struct iovec iov = { big, sizeof(big) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };

	(void)state;
	(void)harness_object(h, "/logo", "hello", 5, 1);
	harness_write(fd, req, wire_v1(req, '1', "/logo"));
	(void)usleep(20000);
	m.msg_iov->iov_len = OM_PROTO_V1_RESP_HDR;
	assert_int_equal(recvmsg(fd, &m, 0), OM_PROTO_V1_RESP_HDR);
	assert_null(CMSG_FIRSTHDR(&m));
	harness_read(fd, req, wire_be((uint8_t *)big + 9, 2)); /* metadata */
	wire_file(harness_read_fd_byte(fd), "hello");
	(void)close(fd);
	harness_stop(h);
}

static void test_v1_copy(void **state)
{
	struct harness *h = harness_start(NULL, true);
	uint8_t req[8192];
	char *big = malloc(3u << 20), *got = malloc(3u << 20);
	struct wire_resp r;
	int fd = harness_connect(h);

	(void)state;
	for (size_t i = 0; i < 3u << 20; i++)
		big[i] = (char)(i * 31 >> 8);
	for (unsigned tier = 0; tier < 2; tier++) {
		char uri[32];

		(void)snprintf(uri, sizeof(uri), "/big%u", tier);
		(void)harness_object(h, uri, big, 3u << 20, tier);
		for (char mode = '2'; mode <= '3'; mode++) {
			harness_write(fd, req, wire_v1(req, mode, uri));
			wire_resp(fd, 1, &r);
			assert_int_equal(r.status, 0);
			assert_int_equal(r.content_len, 3u << 20);
			harness_read(fd, got, 3u << 20);
			assert_memory_equal(got, big, 3u << 20);
		}
	}
	/* an empty object: a descriptor byte follows in copy mode too */
	(void)harness_object(h, "/empty", "", 0, 0);
	harness_write(fd, req, wire_v1(req, '2', "/empty"));
	wire_resp(fd, 1, &r);
	assert_int_equal(r.status, 0);
	assert_int_equal(r.content_len, 0);
	wire_file(harness_read_fd_byte(fd), "");
	(void)close(fd);
	free(big);
	free(got);
	harness_stop(h);
}

static void test_v1_errors(void **state)
{
	struct harness *h = harness_start(NULL, true);
	uint8_t req[16384];
	struct wire_resp r;
	int fd = harness_connect(h);

	(void)state;
	(void)harness_object(h, "/a", "A", 1, 0);
	harness_write(fd, req, wire_v1(req, '1', "/none"));
	wire_resp(fd, 1, &r);
	assert_int_equal(r.status, OBJM_STATUS_NOT_FOUND);
	assert_int_equal(r.content_len, 0);
	assert_int_equal(r.meta[0], OM_PROTO_META_ERROR);
	/* too long: its bytes are thrown away, the connection goes on */
	memset(req, 'u', sizeof(req));
	req[0] = '1';
	req[1] = 0x10;
	req[2] = 0x01; /* 4097 */
	harness_write(fd, req, 3 + 4097);
	wire_resp(fd, 1, &r);
	assert_int_equal(r.status, OBJM_STATUS_URI_TOO_LONG);
	harness_write(fd, "1\0\0", 3); /* empty */
	wire_resp(fd, 1, &r);
	assert_int_equal(r.status, OBJM_STATUS_INVALID_REQUEST);
	harness_write(fd, "1\0\2\xc0\x80", 5); /* not UTF-8 */
	wire_resp(fd, 1, &r);
	assert_int_equal(r.status, OBJM_STATUS_INVALID_REQUEST);
	harness_write(fd, req, wire_v1(req, '4', "/a")); /* segmented: not negotiated */
	wire_resp(fd, 1, &r);
	assert_int_equal(r.status, OBJM_STATUS_INVALID_MODE);
	harness_write(fd, req, wire_v1(req, '1', "/delete/a")); /* a name like any other here */
	wire_resp(fd, 1, &r);
	assert_int_equal(r.status, OBJM_STATUS_NOT_FOUND);
	harness_write(fd, req, wire_v1(req, '1', "/a"));
	wire_resp(fd, 1, &r);
	wire_file(harness_read_fd_byte(fd), "A");
	(void)close(fd);
	harness_stop(h);
}

static void test_v1_pipelined(void **state)
{
	struct harness *h = harness_start(NULL, true);
	uint8_t buf[65536];
	size_t n = 0;
	struct wire_resp r;
	int fd = harness_connect(h);

	(void)state;
	for (int i = 0; i < 100; i++) {
		char uri[32], data[32];

		(void)snprintf(uri, sizeof(uri), "/o/%d", i);
		(void)snprintf(data, sizeof(data), "data %d", i);
		if (i % 10 != 9)
			(void)harness_object(h, uri, data, strlen(data), (unsigned)i % 2);
		n += wire_v1(buf + n, '1', uri);
	}
	for (int round = 0; round < 3; round++) {
		harness_write(fd, buf, n);
		for (int i = 0; i < 100; i++) {
			char data[32];

			(void)snprintf(data, sizeof(data), "data %d", i);
			wire_resp(fd, 1, &r);
			if (i % 10 == 9) {
				assert_int_equal(r.status, OBJM_STATUS_NOT_FOUND);
			} else {
				assert_int_equal(r.status, 0);
				wire_file(harness_read_fd_byte(fd), data);
			}
		}
	}
	(void)close(fd);
	harness_stop(h);
}

static void test_bad_first_byte(void **state)
{
	struct harness *h = harness_start(NULL, true);
	uint64_t before = harness_counter(OM_C_PEER_BAD);
	int fd = harness_connect(h);

	(void)state;
	harness_write(fd, "GET / HTTP/1.1\r\n\r\n", 18);
	assert_true(harness_at_end(fd));
	(void)close(fd);
	fd = harness_connect(h);
	harness_write(fd, "OBJM\x07\0\0\0\0", 9); /* HELLO of version 7 */
	assert_true(harness_at_end(fd));
	(void)close(fd);
	assert_int_equal(harness_counter(OM_C_PEER_BAD), before + 2);
	harness_stop(h);
}

/* ---------------------------------------------------------------- version 2 */

static void limit_pipeline(struct om_boot_limits *l) { l->max_pipeline = 64; }

static void test_v2_hello(void **state)
{
	struct harness *h = harness_start(limit_pipeline, true);
	struct om_proto_hello ack;
	int fd = wire_connect(h, 0xffff, 0, &ack);

	(void)state;
	assert_int_equal(ack.caps, OM_PROTO_CAP_OOO | OM_PROTO_CAP_PIPELINING | OM_PROTO_CAP_SEGMENTED | OM_PROTO_CAP_EXTENSION);
	assert_int_equal(ack.max_pipeline, 64);
	(void)close(fd);
	fd = wire_connect(h, OM_PROTO_CAP_PIPELINING, 5, &ack);
	assert_int_equal(ack.caps, OM_PROTO_CAP_PIPELINING);
	assert_int_equal(ack.max_pipeline, 5);
	assert_true(ack.parallelism > 0);
	(void)close(fd);
	harness_stop(h);
}

static void test_v2_split(void **state)
{
	struct harness *h = harness_start(NULL, true);
	uint8_t buf[8192];
	struct om_proto_hello hello = { .caps = OM_PROTO_CAP_PIPELINING };
	size_t n = (size_t)om_proto_hello_encode(&hello, buf, sizeof(buf));
	struct wire_resp r;

	(void)state;
	(void)harness_object(h, "/logo", "hello", 5, 0);
	n += wire_v2(buf + n, 7, 0, '1', "/logo");
	n += wire_v2(buf + n, 8, 0, '2', "/logo");
	for (size_t cut = 1; cut < n; cut++) {
		uint8_t ack[OM_PROTO_HELLO_ACK_LEN], body[5];
		int fd = harness_connect(h);

		harness_write(fd, buf, cut);
		(void)usleep(1000);
		harness_write(fd, buf + cut, n - cut);
		harness_read(fd, ack, sizeof(ack));
		assert_memory_equal(ack, "OBJM\x02", 5);
		wire_resp(fd, 2, &r);
		assert_int_equal(r.id, 7);
		wire_file(harness_read_fd_byte(fd), "hello");
		wire_resp(fd, 2, &r);
		assert_int_equal(r.id, 8);
		assert_int_equal(r.content_len, 5);
		harness_read(fd, body, 5);
		(void)close(fd);
	}
	harness_stop(h);
}

/* Request 1 must be asked of the (held) supervisor; 2 is hot. */
static void order(uint16_t caps, uint8_t flags2, bool expect_overtake)
{
	struct harness *h = harness_start(NULL, false);
	uint8_t buf[8192];
	size_t n;
	struct wire_resp r;
	int fd = wire_connect(h, caps, 0, NULL);

	(void)harness_hidden(h, "/slow", "slow", 4, 0);
	(void)harness_object(h, "/hot", "hot", 3, 0);
	h->sup_hold = true;
	n = wire_v2(buf, 1, 0, '1', "/slow");
	n += wire_v2(buf + n, 2, flags2, '1', "/hot");
	harness_write(fd, buf, n);
	if (expect_overtake) {
		wire_resp(fd, 2, &r);
		assert_int_equal(r.id, 2);
		wire_file(harness_read_fd_byte(fd), "hot");
	}
	assert_true(harness_quiet(fd, 50));
	h->sup_hold = false;
	wire_resp(fd, 2, &r);
	assert_int_equal(r.id, 1);
	wire_file(harness_read_fd_byte(fd), "slow");
	if (!expect_overtake) {
		wire_resp(fd, 2, &r);
		assert_int_equal(r.id, 2);
		wire_file(harness_read_fd_byte(fd), "hot");
	}
	(void)close(fd);
	harness_stop(h);
}

static void test_v2_order(void **state)
{
	(void)state;
	order(OM_PROTO_CAP_PIPELINING, 0, false);
	order(OM_PROTO_CAP_PIPELINING | OM_PROTO_CAP_OOO, 0, true);
	order(OM_PROTO_CAP_PIPELINING | OM_PROTO_CAP_OOO, OM_PROTO_REQ_ORDERED, false);
}

static void test_v2_max_pipeline(void **state)
{
	struct harness *h = harness_start(NULL, false);
	uint8_t buf[65536];
	size_t n = 0;
	bool seen[50] = { 0 };
	int fd = wire_connect(h, OM_PROTO_CAP_PIPELINING | OM_PROTO_CAP_OOO, 4, NULL);

	(void)state;
	for (int i = 0; i < 50; i++) {
		char uri[16];

		(void)snprintf(uri, sizeof(uri), "/p%d", i);
		(void)harness_hidden(h, uri, uri, strlen(uri), 0);
		n += wire_v2(buf + n, (uint32_t)i, 0, '2', uri);
	}
	h->sup_hold = true;
	harness_write(fd, buf, n);
	(void)usleep(50000);
	assert_int_equal(h->lookups, 0);
	h->sup_hold = false;
	for (int i = 0; i < 50; i++) { /* none is dropped */
		struct wire_resp r;
		char data[16], uri[16];

		wire_resp(fd, 2, &r);
		assert_int_equal(r.status, 0);
		assert_true(r.id < 50 && !seen[r.id]);
		seen[r.id] = true;
		harness_read(fd, data, r.content_len);
		(void)snprintf(uri, sizeof(uri), "/p%u", r.id);
		assert_memory_equal(data, uri, strlen(uri));
	}
	(void)close(fd);
	harness_stop(h);
}

static void test_v2_close(void **state)
{
	struct harness *h = harness_start(NULL, false);
	uint8_t buf[8192], ack[OM_PROTO_CLOSE_ACK_LEN];
	size_t n;
	struct wire_resp r;
	int fd = wire_connect(h, OM_PROTO_CAP_OOO, 0, NULL);

	(void)state;
	(void)harness_hidden(h, "/slow", "slow", 4, 0);
	h->sup_hold = true;
	n = wire_v2(buf, 1, 0, '1', "/slow");
	n += (size_t)om_proto_close_encode(0, buf + n, 16);
	harness_write(fd, buf, n);
	assert_true(harness_quiet(fd, 30));
	h->sup_hold = false;
	wire_resp(fd, 2, &r); /* what is outstanding is finished first */
	wire_file(harness_read_fd_byte(fd), "slow");
	harness_read(fd, ack, sizeof(ack));
	assert_memory_equal(ack, "\x04\0\0\0\0\0", 6);
	assert_true(harness_at_end(fd));
	(void)close(fd);
	harness_stop(h);
}

static void drain(struct harness *h)
{
	h->w.draining = true;
	wrk_conn_drain(h->w.conns);
}

static void test_drain(void **state)
{
	struct harness *h = harness_start(NULL, true);
	uint8_t close_msg[2];
	int v2 = wire_connect(h, OM_PROTO_CAP_OOO, 0, NULL), v1 = harness_connect(h);

	(void)state;
	(void)usleep(20000);
	harness_call(h, drain);
	harness_read(v2, close_msg, 2);
	assert_memory_equal(close_msg, "\x03\x03", 2);
	assert_true(harness_at_end(v2));
	assert_true(harness_at_end(v1));
	(void)close(v1);
	(void)close(v2);
	harness_stop(h);
}

/* ---------------------------------------------------------------- descriptions */

/* Two clients that read(2) the same object at the same time, in turns of a few bytes, both get all of it. */
static void test_two_sequential_readers(void **state)
{
	struct harness *h = harness_start(NULL, true);
	uint8_t req[8192];
	char data[1000], got[2][1000];
	size_t n[2] = { 0, 0 };
	int fd[2];
	struct wire_resp r;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7);
	(void)harness_object(h, "/seq", data, sizeof(data), 0);
	for (int k = 0; k < 2; k++) {
		int c = harness_connect(h);

		harness_write(c, req, wire_v1(req, '1', "/seq"));
		wire_resp(c, 1, &r);
		fd[k] = harness_read_fd_byte(c);
		(void)close(c);
	}
	for (int turn = 0; n[0] < sizeof(data) || n[1] < sizeof(data); turn++) {
		int k = turn & 1;
		ssize_t got_n = read(fd[k], got[k] + n[k], OM_MIN((size_t)17, sizeof(data) - n[k]));

		assert_true(got_n > 0 || n[k] == sizeof(data));
		n[k] += (size_t)got_n;
	}
	assert_memory_equal(got[0], data, sizeof(data));
	assert_memory_equal(got[1], data, sizeof(data));
	(void)close(fd[0]);
	(void)close(fd[1]);
	harness_stop(h);
}

static void test_uninvited(void **state)
{
	struct harness *h = harness_start(NULL, true);
	uint8_t req[8192];
	int fd = harness_connect(h), pipes[2], keep[200];
	uint64_t before = harness_counter(OM_C_FDS_UNINVITED);
	struct wire_resp r;
	char byte;

	(void)state;
	(void)harness_object(h, "/logo", "hello", 5, 0);
	assert_int_equal(pipe(pipes), 0);
	for (unsigned i = 0; i < 200; i++)
		keep[i] = pipes[1];
	{
		_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(keep))] = { 0 };
		struct iovec iov = { req, wire_v1(req, '1', "/logo") };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(keep));
		memcpy(CMSG_DATA(c), keep, sizeof(keep));
		assert_int_equal(sendmsg(fd, &m, 0), (ssize_t)iov.iov_len);
	}
	(void)close(pipes[1]);
	wire_resp(fd, 1, &r);
	wire_file(harness_read_fd_byte(fd), "hello");
	assert_int_equal(harness_counter(OM_C_FDS_UNINVITED), before + 200);
	assert_int_equal(read(pipes[0], &byte, 1), 0); /* all copies have been closed */
	(void)close(pipes[0]);
	(void)close(fd);
	harness_stop(h);
}

/* ---------------------------------------------------------------- time and limits */

static void short_times(struct om_boot_limits *l)
{
	l->idle_timeout_ms = 400;
	l->request_timeout_ms = 100;
}

static void test_silence(void **state)
{
	struct harness *h = harness_start(short_times, true);
	uint8_t msg[2];
	uint64_t t = om_now_ns();
	int half = harness_connect(h), v2 = wire_connect(h, 0, 0, NULL), v1 = harness_connect(h);

	(void)state;
	harness_write(half, "1\0\5/l", 5);
	assert_true(harness_at_end(half));
	assert_in_range((om_now_ns() - t) / 1000000, 90, 390);
	harness_read(v2, msg, 2);
	assert_memory_equal(msg, "\x03\x01", 2); /* told before it is dropped */
	assert_true(harness_at_end(v2));
	assert_true(harness_at_end(v1));
	assert_true((om_now_ns() - t) / 1000000 >= 390);
	(void)close(half);
	(void)close(v2);
	(void)close(v1);
	harness_stop(h);
}

static void test_connection_limit(void **state)
{
	struct harness *h = harness_start(NULL, true);
	uint8_t req[8192];
	struct wire_resp r;
	int fd[3], more;

	(void)state;
	h->admit_max = 3;
	(void)harness_object(h, "/a", "A", 1, 0);
	for (int i = 0; i < 3; i++) {
		fd[i] = harness_connect(h);
		harness_write(fd[i], req, wire_v1(req, '1', "/a"));
		wire_resp(fd[i], 1, &r);
		wire_file(harness_read_fd_byte(fd[i]), "A");
	}
	more = harness_connect(h); /* it is told, in the words of its version, and closed */
	harness_write(more, req, wire_v1(req, '1', "/a"));
	wire_resp(more, 1, &r);
	assert_int_equal(r.status, OBJM_STATUS_UNAVAILABLE);
	assert_true(harness_at_end(more));
	(void)close(more);
	more = harness_connect(h); /* one that asks for nothing is closed all the same */
	assert_true(harness_at_end(more));
	(void)close(more);
	(void)close(fd[0]);
	for (int i = 0; i < 500 && h->admitted > 2; i++)
		(void)usleep(10000);
	assert_int_equal(h->admitted, 2);
	more = harness_connect(h);
	harness_write(more, req, wire_v1(req, '1', "/a"));
	wire_resp(more, 1, &r);
	wire_file(harness_read_fd_byte(more), "A");
	(void)close(more);
	(void)close(fd[1]);
	(void)close(fd[2]);
	harness_stop(h);
}

static void few_unread(struct om_boot_limits *l)
{
	l->unread_fds = 128;
	l->queue_bytes = 8192;
}

static void *pump(void *arg) /* 5,000 requests, written as fast as they are taken */
{
	uint8_t req[8192];
	size_t n = wire_v1(req, '1', "/a");

	for (int i = 0; i < 5000; i++)
		if (write(*(int *)arg, req, n) != (ssize_t)n)
			return (void *)1;
	return NULL;
}

/* A client that asks and does not read: it is held back, others are served, and in the end it gets everything. */
static void test_does_not_read(void **state)
{
	struct harness *h = harness_start(few_unread, true);
	uint8_t req[8192];
	struct wire_resp r;
	int lazy = harness_connect(h), other = harness_connect(h);
	pthread_t t;
	void *failed;

	(void)state;
	(void)harness_object(h, "/a", "A", 1, 0);
	assert_int_equal(pthread_create(&t, NULL, pump, &lazy), 0);
	(void)usleep(100000);
	assert_true(harness_counter(OM_C_FDS_SENT) <= 64);
	for (int i = 0; i < 100; i++) {
		harness_write(other, req, wire_v1(req, '1', "/a"));
		wire_resp(other, 1, &r);
		wire_file(harness_read_fd_byte(other), "A");
	}
	for (int i = 0; i < 5000; i++) {
		wire_resp(lazy, 1, &r);
		assert_int_equal(r.status, 0);
		wire_file(harness_read_fd_byte(lazy), "A");
	}
	(void)pthread_join(t, &failed);
	assert_null(failed);
	(void)close(lazy);
	(void)close(other);
	harness_stop(h);
}

/* ---------------------------------------------------------------- look-ups */

static void test_incomplete_index(void **state)
{
	struct harness *h = harness_start(NULL, false);
	uint8_t req[8192];
	struct wire_resp r;
	int fd = harness_connect(h);

	(void)state;
	(void)harness_hidden(h, "/hidden", "found", 5, 1);
	harness_write(fd, req, wire_v1(req, '1', "/hidden"));
	wire_resp(fd, 1, &r);
	assert_int_equal(r.status, 0);
	wire_file(harness_read_fd_byte(fd), "found");
	harness_write(fd, req, wire_v1(req, '1', "/none"));
	wire_resp(fd, 1, &r);
	assert_int_equal(r.status, OBJM_STATUS_NOT_FOUND);
	assert_int_equal(h->lookups, 2);
	(void)close(fd);
	harness_stop(h);
}

static void test_moved_and_gone(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct idxr_tier absent = { .state = OM_TIERS_ABSENT };
	uint8_t req[8192];
	struct wire_resp r;
	int fd = harness_connect(h);
	uint64_t id = harness_object(h, "/lost", "x", 1, 0);

	(void)state;
	h->gone_home = -1;
	harness_unlink(h, id, 0);
	harness_write(fd, req, wire_v1(req, '1', "/lost"));
	wire_resp(fd, 1, &r);
	assert_int_equal(r.status, OBJM_STATUS_NOT_FOUND);
	assert_int_equal(h->gones, 1);
	/* a cached copy: its home has it */
	id = harness_object(h, "/cached", "home", 4, 1);
	harness_index(h, "/cached", id, 4, 0, 0);
	h->gone_home = 1;
	harness_write(fd, req, wire_v1(req, '1', "/cached"));
	wire_resp(fd, 1, &r);
	wire_file(harness_read_fd_byte(fd), "home");
	assert_int_equal(h->gones, 2);
	/* the supervisor sees no way out: it is asked once, and then the client is told */
	id = harness_object(h, "/stuck", "x", 1, 1);
	harness_unlink(h, id, 1);
	harness_write(fd, req, wire_v1(req, '1', "/stuck"));
	wire_resp(fd, 1, &r);
	assert_int_equal(r.status, OBJM_STATUS_STORAGE);
	assert_int_equal(h->gones, 3);
	harness_file(h, id, "y", 1, 1); /* moved: the slot names the other tier */
	harness_index(h, "/lost", id, 1, 1, 0);
	harness_write(fd, req, wire_v1(req, '1', "/lost"));
	wire_resp(fd, 1, &r);
	wire_file(harness_read_fd_byte(fd), "y");
	harness_index(h, "/lost", id, 1, 1, om_wall_ns() / 1000000000u - 1); /* expired */
	harness_write(fd, req, wire_v1(req, '1', "/lost"));
	wire_resp(fd, 1, &r);
	assert_int_equal(r.status, OBJM_STATUS_NOT_FOUND);
	(void)pthread_mutex_lock(&h->lock);
	idxw_tier(h->idx, 1, &absent);
	(void)pthread_mutex_unlock(&h->lock);
	harness_write(fd, req, wire_v1(req, '1', "/none")); /* might be on the tier that is away */
	wire_resp(fd, 1, &r);
	assert_int_equal(r.status, OBJM_STATUS_UNAVAILABLE);
	(void)close(fd);
	harness_stop(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v1_fdpass),
		cmocka_unit_test(test_v1_header_alone),
		cmocka_unit_test(test_v1_copy),
		cmocka_unit_test(test_v1_errors),
		cmocka_unit_test(test_v1_pipelined),
		cmocka_unit_test(test_bad_first_byte),
		cmocka_unit_test(test_v2_hello),
		cmocka_unit_test(test_v2_split),
		cmocka_unit_test(test_v2_order),
		cmocka_unit_test(test_v2_max_pipeline),
		cmocka_unit_test(test_v2_close),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_two_sequential_readers),
		cmocka_unit_test(test_uninvited),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_connection_limit),
		cmocka_unit_test(test_does_not_read),
		cmocka_unit_test(test_incomplete_index),
		cmocka_unit_test(test_moved_and_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
