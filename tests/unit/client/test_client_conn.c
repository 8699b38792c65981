/*
 * test_client_conn.c: connections: both halves against each other, and the client's half against scripted bytes.
 *
 * Everything runs over a socketpair in one process: what is sent fits the socket's buffer. After each test no
 * descriptor is
 * left over.
 */
#include "tests/unit/client/client_test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "client/objm_io.h"
#include "common/om_base.h"
#include "common/proto/om_proto.h"

static int sv[2]; /* client, server */
static int fds_before;

static int setup(void **state)
{
	(void)state;
	fds_before = open_fds();
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv);
}

static int teardown(void **state)
{
	(void)state;
	close(sv[0]);
	if (sv[1] >= 0)
		close(sv[1]);
	assert_int_equal(open_fds(), fds_before);
	return 0;
}

static int file_with(const char *text)
{
	int fd = memfd_create("t", MFD_CLOEXEC);

	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
	return fd;
}

static void send_raw(const void *p, size_t n) { assert_int_equal(send(sv[1], p, n, MSG_NOSIGNAL), n); }

static void send_raw_fd(const void *p, size_t n, int fd)
{
	union {
		struct cmsghdr align;
		char data[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)p, .iov_len = n};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.data, .msg_controllen = sizeof(control.data)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(sv[1], &msg, MSG_NOSIGNAL), n);
}

static objm_connection_t *client(int version)
{
	objm_connection_t *c = objm_client_create(sv[0], version);

	assert_non_null(c);
	objm_connection_timeout(c, 5000);
	return c;
}

/* A client that has shaken hands: the bytes of the server are scripted. */
static objm_connection_t *client_v2(uint16_t caps)
{
	struct om_proto_hello ack = {.caps = caps, .max_pipeline = 3, .parallelism = 4};
	objm_hello_t want = {.capabilities = caps}, got;
	objm_connection_t *c = client(OBJM_PROTO_V2);
	uint8_t b[32];

	send_raw(b, (size_t)om_proto_hello_ack_encode(&ack, b, sizeof(b)));
	assert_int_equal(objm_client_hello(c, &want, &got), 0);
	assert_int_equal(recv(sv[1], b, sizeof(b), 0), 9);
	assert_int_equal(got.capabilities, caps);
	assert_int_equal(got.max_pipeline, 3);
	assert_int_equal(got.backend_parallelism, 4);
	return c;
}

static void request(objm_connection_t *c, uint32_t id, char mode, const char *uri)
{
	objm_request_t r = {.id = id, .mode = mode, .uri = uri, .uri_len = strlen(uri)};

	assert_int_equal(objm_client_send_request(c, &r), 0);
}

static objm_response_t *response(objm_connection_t *c, uint32_t id, int status)
{
	objm_response_t *resp = NULL;

	assert_int_equal(objm_client_recv_response(c, &resp), 0);
	assert_int_equal(resp->request_id, id);
	assert_int_equal(resp->status, status);
	return resp;
}

/* ---------------------------------------------------------------- both halves */

static void check_fd(objm_response_t *resp, const char *text)
{
	char b[32] = "";

	assert_true(resp->fd >= 0);
	assert_true(fcntl(resp->fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(resp->content_len, 0);
	assert_int_equal(pread(resp->fd, b, sizeof(b), 0), strlen(text));
	assert_string_equal(b, text);
}

/* Receives three requests and answers: a descriptor, bytes, nothing. */
static void serve_three(objm_connection_t *s, uint32_t first_id)
{
	uint8_t meta[64];
	size_t meta_len = 0;
	objm_request_t *req;

	assert_int_equal(objm_metadata_put_number(meta, sizeof(meta), &meta_len, OBJM_META_SIZE, 5), 0);
	assert_int_equal(objm_metadata_put(meta, sizeof(meta), &meta_len, OBJM_META_MIME_TYPE, "a/b", 3), 0);

	assert_int_equal(objm_server_recv_request(s, &req), 0);
	assert_int_equal(req->id, first_id);
	assert_int_equal(req->mode, OBJM_MODE_FDPASS);
	assert_string_equal(req->uri, "/one");
	objm_response_t a = {.request_id = req->id,
			     .status = OBJM_STATUS_OK,
			     .fd = file_with("first"),
			     .metadata = meta,
			     .metadata_len = (uint16_t)meta_len};
	assert_int_equal(objm_server_send_response(s, &a), 0);
	objm_request_free(req);

	assert_int_equal(objm_server_recv_request(s, &req), 0);
	objm_response_t b = {.request_id = req->id, .status = OBJM_STATUS_OK, .fd = -1, .content = (char *)"bytes", .content_len = 5};
	assert_int_equal(objm_server_send_response(s, &b), 0);
	objm_request_free(req);

	assert_int_equal(objm_server_recv_request(s, &req), 0);
	objm_response_t e = {.request_id = req->id, .status = OBJM_STATUS_OK, .fd = -1};
	assert_int_equal(objm_server_send_response(s, &e), 0);
	assert_int_equal(objm_server_send_error(s, req->id + 1, OBJM_STATUS_NO_SPACE, "full"), 0);
	objm_response_t n = {.request_id = req->id + 2, .status = OBJM_STATUS_TRY_AGAIN}; /* fd 0 is not touched */
	assert_int_equal(objm_server_send_response(s, &n), 0);
	objm_request_free(req);
}

static void check_four(objm_connection_t *c, uint32_t first_id)
{
	objm_response_t *r = response(c, first_id, OBJM_STATUS_OK);
	uint64_t v = 0;

	check_fd(r, "first");
	assert_true(objm_metadata_number(r->metadata, r->metadata_len, OBJM_META_SIZE, &v));
	assert_int_equal(v, 5);
	assert_false(objm_metadata_number(r->metadata, r->metadata_len, OBJM_META_MTIME, &v));
	objm_response_free(r);
	r = response(c, first_id + 1, OBJM_STATUS_OK);
	assert_int_equal(r->fd, -1);
	assert_int_equal(r->content_len, 5);
	assert_string_equal(r->content, "bytes");
	objm_response_free(r);
	r = response(c, first_id + 2, OBJM_STATUS_OK); /* empty, with the descriptor of /dev/null */
	check_fd(r, "");
	objm_response_free(r);
	r = response(c, first_id + 3, OBJM_STATUS_STORAGE); /* the nearest old code */
	assert_string_equal(r->error_msg, "full");
	assert_int_equal(r->fd, -1);
	objm_response_free(r);
	objm_response_free(response(c, first_id + 4, OBJM_STATUS_UNAVAILABLE));
}

static void test_v1_both_halves(void **state)
{
	objm_connection_t *c = client(OBJM_PROTO_V1), *s = objm_server_create(sv[1], 0);
	objm_request_t *req;

	(void)state;
	request(c, 77, OBJM_MODE_FDPASS, "/one");
	request(c, 78, OBJM_MODE_COPY, "/two");
	request(c, 79, OBJM_MODE_COPY, "/empty");
	serve_three(s, 0);
	assert_int_equal(objm_connection_version(s), 1);
	check_four(c, 0);
	assert_int_equal(objm_client_close(c, OBJM_CLOSE_NORMAL), 0);
	assert_int_equal(shutdown(sv[0], SHUT_WR), 0);
	assert_int_equal(objm_server_recv_request(s, &req), 1);
	objm_client_destroy(c);
	objm_server_destroy(s);
}

static void test_v2_both_halves(void **state)
{
	objm_connection_t *c = client_v2(OBJM_CAP_OOO_REPLIES), *s;
	uint8_t hello[16];
	struct om_proto_hello h = {.caps = 0xffff};
	objm_request_t *req;

	(void)state;
	s = objm_server_create(sv[1], 0);
	objm_connection_timeout(s, 5000);
	/*
	 * The handshake of this client was scripted: the server gets its own here, and what it answers is thrown
	 * away.
	 */
	assert_int_equal(send(sv[0], hello, (size_t)om_proto_hello_encode(&h, hello, sizeof(hello)), 0), 9);
	assert_int_equal(objm_server_hello(s, NULL, NULL), 0);
	assert_int_equal(recv(sv[0], hello, sizeof(hello), 0), 10);
	assert_memory_equal(hello, "OBJM\2\0\3\0\0\1", 10); /* neither more than asked for nor than can be kept */
	request(c, 10, OBJM_MODE_FDPASS, "/one");
	request(c, 11, OBJM_MODE_COPY, "/two");
	request(c, 12, OBJM_MODE_SPLICE, "/empty");
	serve_three(s, 10);
	check_four(c, 10);
	/* CLOSE: what is still to come is dropped, then the acknowledgement. */
	request(c, 13, OBJM_MODE_FDPASS, "/one");
	assert_int_equal(objm_server_recv_request(s, &req), 0);
	objm_response_t a = {.request_id = 13, .status = OBJM_STATUS_OK, .fd = file_with("late")};
	assert_int_equal(objm_server_send_response(s, &a), 0);
	objm_request_free(req);
	assert_int_equal(objm_server_close_ack(s, 0), 0);
	assert_int_equal(objm_client_close(c, OBJM_CLOSE_NORMAL), 0);
	assert_int_equal(objm_server_recv_request(s, &req), 1);
	assert_int_equal(objm_server_recv_request(s, &req), 1);
	objm_client_destroy(c);
	objm_server_destroy(s);
}

/* Existing clients read the header with read(2), which would throw away a descriptor that came with it. */
static void test_descriptor_comes_in_a_message_of_its_own(void **state)
{
	objm_connection_t *s = objm_server_create(sv[1], OBJM_PROTO_V1);
	objm_response_t a = {.status = OBJM_STATUS_OK, .fd = file_with("mine")};
	union {
		struct cmsghdr align;
		char data[CMSG_SPACE(sizeof(int) * 4)];
	} control = {0};
	char b[32];
	struct iovec iov = {.iov_base = b, .iov_len = sizeof(b)};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.data, .msg_controllen = sizeof(control.data)};
	int fd;

	(void)state;
	assert_int_equal(objm_server_send_response(s, &a), 0);
	assert_int_equal(read(sv[0], b, 11), 11);
	assert_memory_equal(b, "\0\0\0\0\0\0\0\0\0\0\0", 11);
	assert_int_equal(recvmsg(sv[0], &msg, MSG_CMSG_CLOEXEC), 1);
	assert_int_equal(b[0], 'X');
	assert_int_equal(CMSG_FIRSTHDR(&msg)->cmsg_len, CMSG_LEN(sizeof(int))); /* exactly one */
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	assert_int_equal(read(fd, b, sizeof(b)), 4);
	close(fd);
	objm_server_destroy(s);
}

static void test_server_answers_what_the_protocol_refuses(void **state)
{
	static char bytes[3 + 5000 + 3 + 3 + 4];
	objm_connection_t *s = objm_server_create(sv[1], OBJM_PROTO_V1), *c = client(OBJM_PROTO_V1);
	objm_request_t *req;
	objm_response_t *r;

	(void)state;
	objm_connection_timeout(s, 5000);
	memcpy(bytes, "1\x13\x88", 3); /* 5000 bytes of URI */
	memset(bytes + 3, 'u', 5000);
	memcpy(bytes + 5003, "1\0\0" "2\0\1" "x", 7);
	assert_int_equal(send(sv[0], bytes, 5010, 0), 5010);
	assert_int_equal(objm_server_recv_request(s, &req), 0);
	assert_string_equal(req->uri, "x");
	assert_int_equal(req->id, 2);
	objm_request_free(req);
	r = response(c, 0, OBJM_STATUS_URI_TOO_LONG);
	assert_non_null(r->error_msg);
	objm_response_free(r);
	objm_response_free(response(c, 1, OBJM_STATUS_INVALID_REQUEST));
	objm_client_destroy(c);
	objm_server_destroy(s);
}

static void test_server_refuses_garbage(void **state)
{
	objm_connection_t *s = objm_server_create(sv[1], 0);
	objm_request_t *req;

	(void)state;
	objm_connection_timeout(s, 5000);
	assert_int_equal(send(sv[0], "GET / HTTP/1.1", 14, 0), 14);
	assert_int_equal(objm_server_recv_request(s, &req), -OBJM_STATUS_PROTO_ERROR);
	objm_server_destroy(s);
	assert_null(objm_server_create(sv[1], 3));
	assert_null(objm_client_create(sv[0], 0));
}

static void test_server_sees_half_a_request(void **state)
{
	objm_connection_t *s = objm_server_create(sv[1], 0);
	objm_request_t *req;

	(void)state;
	objm_connection_timeout(s, 50);
	assert_int_equal(send(sv[0], "1\0\5/ab", 6, 0), 6);
	assert_int_equal(objm_server_recv_request(s, &req), -OBJM_STATUS_TIMEOUT);
	assert_int_equal(shutdown(sv[0], SHUT_WR), 0);
	assert_int_equal(objm_server_recv_request(s, &req), -OBJM_STATUS_GONE);
	objm_server_destroy(s);
}

/* ---------------------------------------------------------------- scripted */

/* A version 2 response with metadata and 6 bytes of content. */
static size_t full_response(uint8_t *b, size_t cap)
{
	struct om_proto_resp h = {.id = 5, .content_len = 6, .meta_len = 11};
	struct om_proto_wr wr;

	om_proto_wr_init(&wr, b, cap);
	wr.len = (size_t)om_proto_v2_resp_encode(&h, b, cap);
	om_proto_meta_put_u64(&wr, OM_PROTO_META_SIZE, 6);
	memcpy(b + wr.len, "inside", 6);
	return wr.len + 6;
}

static void test_byte_by_byte(void **state)
{
	objm_connection_t *c = client_v2(0);
	uint8_t b[64], x = 'X';
	size_t n = full_response(b, sizeof(b)), i;
	objm_response_t *r;
	struct om_proto_resp h = {.id = 6};
	int fd = file_with("object");

	(void)state;
	for (i = 0; i < n; i++)
		send_raw(b + i, 1);
	n = (size_t)om_proto_v2_resp_encode(&h, b, sizeof(b));
	for (i = 0; i < n; i++)
		send_raw(b + i, 1);
	send_raw_fd(&x, 1, fd);
	r = response(c, 5, 0);
	assert_memory_equal(r->content, "inside", 7);
	objm_response_free(r);
	r = response(c, 6, 0);
	check_fd(r, "object");
	objm_response_free(r);
	close(fd);
	objm_client_destroy(c);
}

static void test_cut_at_every_byte(void **state)
{
	uint8_t b[64];
	size_t whole = full_response(b, sizeof(b)), i;
	objm_response_t *r;

	(void)state;
	for (i = 0; i < whole; i++) {
		objm_connection_t *c = client_v2(0);

		send_raw(b, i);
		close(sv[1]);
		assert_int_equal(objm_client_recv_response(c, &r), -OBJM_STATUS_GONE);
		objm_client_destroy(c);
		close(sv[0]);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	}
}

static void test_descriptor_byte(void **state)
{
	struct om_proto_resp h = {.id = 6};
	objm_connection_t *c = client_v2(0);
	objm_response_t *r;
	uint8_t b[64];
	size_t n = (size_t)om_proto_v2_resp_encode(&h, b, sizeof(b));

	(void)state;
	/* Without a descriptor: a transport that has none. */
	send_raw(b, n);
	send_raw("X", 1);
	r = response(c, 6, 0);
	assert_int_equal(r->fd, -1);
	objm_response_free(r);
	/* Another byte: lost. */
	send_raw(b, n);
	send_raw("Y", 1);
	assert_int_equal(objm_client_recv_response(c, &r), -OBJM_STATUS_PROTO_ERROR);
	objm_client_destroy(c);
}

static void test_descriptor_limit(void **state)
{
	struct om_proto_resp h = {.id = 6};
	objm_connection_t *c = client_v2(0);
	struct rlimit old, low;
	objm_response_t *r;
	uint8_t b[64];
	int fd = file_with("object"), lowest;

	(void)state;
	send_raw(b, (size_t)om_proto_v2_resp_encode(&h, b, sizeof(b)));
	send_raw_fd("X", 1, fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	lowest = dup(fd);
	close(lowest);
	low = (struct rlimit){.rlim_cur = (rlim_t)lowest, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(objm_client_recv_response(c, &r), -OBJM_STATUS_LIMIT_EXCEEDED);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(fd);
	objm_client_destroy(c);
}

static void test_content_beyond_the_limit(void **state)
{
	struct om_proto_resp h = {.id = 6, .content_len = 1001};
	objm_connection_t *c = client_v2(0);
	objm_response_t *r;
	uint8_t b[64];

	(void)state;
	objm_connection_limit(c, 1000);
	send_raw(b, (size_t)om_proto_v2_resp_encode(&h, b, sizeof(b)));
	assert_int_equal(objm_client_recv_response(c, &r), -OBJM_STATUS_TOO_LARGE);
	objm_client_destroy(c);
	/* A length alone allocates nothing: 200 MiB are announced, nothing comes. */
	c = client_v2(0);
	h.content_len = 200u << 20;
	send_raw(b, (size_t)om_proto_v2_resp_encode(&h, b, sizeof(b)));
	objm_connection_timeout(c, 20);
	assert_int_equal(objm_client_recv_response(c, &r), -OBJM_STATUS_TIMEOUT);
	objm_client_destroy(c);
}

static void test_server_says_close(void **state)
{
	struct om_proto_resp h = {.id = 1, .status = OBJM_STATUS_NOT_FOUND};
	objm_connection_t *c = client_v2(0);
	objm_response_t *r;
	uint8_t b[64];

	(void)state;
	send_raw("\3\3", 2);
	send_raw(b, (size_t)om_proto_v2_resp_encode(&h, b, sizeof(b))); /* still owed */
	close(sv[1]);
	sv[1] = -1;
	objm_response_free(response(c, 1, OBJM_STATUS_NOT_FOUND));
	assert_int_equal(objm_client_recv_response(c, &r), -OBJM_STATUS_GONE);
	/* Sending gives an error, not a signal. */
	objm_request_t q = {.id = 1, .mode = '1', .uri = "/x", .uri_len = 2};
	assert_int_equal(objm_client_send_request(c, &q), -OBJM_STATUS_GONE);
	objm_client_destroy(c);
}

static void test_bad_handshakes(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		int want;
	} bad[] = {{"HTTP", 4, -OBJM_STATUS_PROTO_ERROR},
		   {"OBJM\1\0\0\0\0\0", 10, -OBJM_STATUS_PROTO_VERSION},
		   {"OBJM\2\0", 6, -OBJM_STATUS_TIMEOUT}};
	size_t i;

	(void)state;
	for (i = 0; i < OM_ARRAY_SIZE(bad); i++) {
		objm_connection_t *c = client(OBJM_PROTO_V2);
		objm_hello_t h = {.capabilities = 3};

		objm_connection_timeout(c, 30);
		send_raw(bad[i].bytes, bad[i].n);
		assert_int_equal(objm_client_hello(c, &h, NULL), bad[i].want);
		objm_client_destroy(c);
		close(sv[0]);
		close(sv[1]);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	}
}

static void test_misuse(void **state)
{
	objm_connection_t *c = client(OBJM_PROTO_V2), *s = objm_server_create(sv[1], 0);
	objm_request_t q = {.id = 1, .mode = '1', .uri = "/x", .uri_len = 2}, *req;
	objm_response_t *r, resp = {.fd = -1};

	(void)state;
	assert_int_equal(objm_client_send_request(c, &q), -OBJM_STATUS_INVALID_REQUEST); /* before the handshake */
	assert_int_equal(objm_client_recv_response(c, &r), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(objm_server_recv_request(c, &req), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(objm_client_send_request(s, &q), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(objm_server_send_response(s, &resp), -OBJM_STATUS_INVALID_REQUEST); /* to whom? */
	objm_client_destroy(c);
	c = client(OBJM_PROTO_V1);
	q.mode = 'x';
	assert_int_equal(objm_client_send_request(c, &q), -OBJM_STATUS_INVALID_REQUEST);
	q.mode = '1';
	q.uri_len = 0;
	assert_int_equal(objm_client_send_request(c, &q), -OBJM_STATUS_INVALID_REQUEST);
	q.uri_len = 4097;
	assert_int_equal(objm_client_send_request(c, &q), -OBJM_STATUS_URI_TOO_LONG);
	objm_client_destroy(c);
	objm_server_destroy(s);
	objm_client_destroy(NULL);
	objm_response_free(NULL);
	objm_request_free(NULL);
}

static void test_segments(void **state)
{
	struct om_proto_seg_resp h = {.id = 8, .segs = 3};
	struct om_proto_seg seg[3] = {
		{.type = OM_PROTO_SEG_INLINE, .copy_len = 4, .logical_len = 4},
		{.type = OM_PROTO_SEG_FD, .logical_len = 6, .storage_len = 6},
		{.type = OM_PROTO_SEG_FD, .flags = OM_PROTO_SEGF_REUSE_FD | OM_PROTO_SEGF_FIN, .storage_off = 2, .storage_len = 3}};
	objm_connection_t *c = client_v2(OBJM_CAP_SEGMENTED);
	objm_response_t *r;
	uint8_t b[256];
	size_t n, i;
	int fd = file_with("object");
	char t[8] = "";

	(void)state;
	n = (size_t)om_proto_seg_resp_encode(&h, b, sizeof(b));
	for (i = 0; i < 3; i++)
		n += (size_t)om_proto_seg_encode(&seg[i], b + n, sizeof(b) - n);
	memcpy(b + n, "head", 4);
	send_raw(b, n + 4);
	send_raw_fd("X", 1, fd);
	close(fd);
	r = response(c, 8, 0);
	assert_int_equal(r->segment_count, 3);
	assert_memory_equal(r->segments[0].data, "head", 4);
	assert_int_equal(pread(r->segments[1].fd, t, 7, 0), 6);
	assert_string_equal(t, "object");
	assert_int_equal(r->segments[2].fd, -1);
	assert_int_equal(r->segments[2].storage_offset, 2);
	objm_response_free(r);
	objm_client_destroy(c);
}

/* ---------------------------------------------------------------- bytes and descriptors */

static void limit_to_one_more(struct rlimit *old, int *ret_lowest)
{
	struct rlimit low;
	int fd = dup(0);

	close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, old), 0);
	low = (struct rlimit){.rlim_cur = (rlim_t)fd + 1, .rlim_max = old->rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	*ret_lowest = fd;
}

/* Of two descriptors one arrives. Whose a later one is cannot be told any more: it is not given out. */
static void test_nothing_is_mixed_up_after_a_loss(void **state)
{
	int two[2] = {file_with("a"), file_with("b")}, lowest, fd;
	struct iovec iov = {.iov_base = (void *)"12", .iov_len = 2};
	struct objm_io out, in;
	struct rlimit old;

	(void)state;
	objm_io_init(&out, sv[1]);
	objm_io_init(&in, sv[0]);
	assert_int_equal(objm_io_send(&out, &iov, 1, two, 2), 0);
	limit_to_one_more(&old, &lowest);
	assert_int_equal(objm_io_need(&in, 2), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	iov = (struct iovec){.iov_base = (void *)"3", .iov_len = 1};
	assert_int_equal(objm_io_send(&out, &iov, 1, two, 1), 0);
	assert_int_equal(objm_io_need(&in, 3), 0);
	assert_int_equal(objm_io_take_fd(&in, &fd), 0);
	close(fd);
	assert_int_equal(objm_io_take_fd(&in, &fd), -OBJM_STATUS_LIMIT_EXCEEDED);
	objm_io_consume(&in, 3);
	objm_io_settled(&in);
	/* From here on it can. */
	iov = (struct iovec){.iov_base = (void *)"4", .iov_len = 1};
	assert_int_equal(objm_io_send(&out, &iov, 1, two, 1), 0);
	assert_int_equal(objm_io_need(&in, 1), 0);
	assert_int_equal(objm_io_take_fd(&in, &fd), 0);
	close(fd);
	assert_int_equal(objm_io_take_fd(&in, &fd), -OBJM_STATUS_PROTO_ERROR);
	objm_io_fini(&in);
	objm_io_fini(&out);
	close(two[0]);
	close(two[1]);
}

/* Sent in parts, because the peer is slow: the descriptors go once. */
static void test_partial_sends(void **state)
{
	static uint8_t bytes[3u << 20];
	struct iovec iov[3] = {{.iov_base = bytes, .iov_len = 1}, {.iov_base = NULL, .iov_len = 0}, {.iov_base = bytes + 1, .iov_len = sizeof(bytes) - 1}};
	int fd = file_with("a"), status;
	struct objm_io io;
	pid_t pid;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i % 253);
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		uint8_t *got = malloc(sizeof(bytes));

		close(sv[1]);
		objm_io_init(&io, sv[0]);
		for (i = 0; i < sizeof(bytes); i += 4096) {
			if (objm_io_read(&io, got + i, 4096) < 0)
				_exit(1);
		}
		_exit(io.fd_count == 1 && !memcmp(got, bytes, sizeof(bytes)) ? 0 : 2);
	}
	objm_io_init(&io, sv[1]);
	objm_io_deadline(&io, 10000);
	assert_int_equal(objm_io_send(&io, iov, 3, &fd, 1), 0);
	assert_int_equal(io.sent, sizeof(bytes));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fd);
}

static void test_too_many_descriptors(void **state)
{
	int fds[OBJM_IO_FDS_MSG], i, r = 0;
	struct objm_io out, in;

	(void)state;
	for (i = 0; i < (int)OBJM_IO_FDS_MSG; i++)
		fds[i] = sv[0];
	objm_io_init(&out, sv[1]);
	objm_io_init(&in, sv[0]);
	/* A byte with 253 of them, again and again, where a header was to come. */
	for (i = 0; i < 3 && r == 0; i++) {
		struct iovec iov = {.iov_base = (void *)"\x10", .iov_len = 1};

		assert_int_equal(objm_io_send(&out, &iov, 1, fds, OBJM_IO_FDS_MSG), 0);
		r = objm_io_need(&in, (size_t)i + 1);
	}
	assert_int_equal(r, -OBJM_STATUS_PROTO_ERROR);
	assert_int_equal(i, 3);
	objm_io_fini(&in);
	objm_io_fini(&out);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_v1_both_halves),
		T(test_v2_both_halves),
		T(test_descriptor_comes_in_a_message_of_its_own),
		T(test_server_answers_what_the_protocol_refuses),
		T(test_server_refuses_garbage),
		T(test_server_sees_half_a_request),
		T(test_byte_by_byte),
		T(test_cut_at_every_byte),
		T(test_descriptor_byte),
		T(test_descriptor_limit),
		T(test_content_beyond_the_limit),
		T(test_server_says_close),
		T(test_bad_handshakes),
		T(test_misuse),
		T(test_segments),
		T(test_nothing_is_mixed_up_after_a_loss),
		T(test_partial_sends),
		T(test_too_many_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
