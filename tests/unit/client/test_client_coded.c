/*
 * test_client_coded.c: compressed content as a client receives it: what is right, and what a hostile server may send. Everything
 * runs over a socketpair in one process: what is sent fits the socket's buffer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <sys/socket.h>
#include <zstd.h>

#include "client/objm.h"
#include "common/om_base.h"
#include "common/proto/om_proto.h"

#define CAPS (OM_PROTO_CAP_COMPRESSION | OM_PROTO_CAP_EXTENSION)

static int sv[2]; /* client, server */
static objm_connection_t *conn;

static void send_raw(const void *p, size_t n) { assert_int_equal(send(sv[1], p, n, MSG_NOSIGNAL), n); }

/* A client that shook hands with a server which grants `caps`. */
static uint16_t greet(uint16_t want, uint16_t caps)
{
	objm_hello_t hello = {.capabilities = want}, agreed;
	struct om_proto_hello ack = {.caps = caps};
	uint8_t b[OM_PROTO_HELLO_ACK_LEN], sent[OM_PROTO_HELLO_LEN];

	conn = objm_client_create(sv[0], OBJM_PROTO_V2);
	objm_connection_timeout(conn, 10000);
	send_raw(b, (size_t)om_proto_hello_ack_encode(&ack, b, sizeof(b)));
	assert_int_equal(objm_client_hello(conn, &hello, &agreed), 0);
	assert_int_equal(recv(sv[1], sent, sizeof(sent), MSG_WAITALL), sizeof(sent));
	assert_int_equal((sent[5] << 8 | sent[6]) & CAPS, want & OBJM_CAP_COMPRESSION ? CAPS : 0);
	return agreed.capabilities;
}

static int setup(void **state)
{
	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return -1;
	assert_int_equal(greet(OBJM_CAP_COMPRESSION, CAPS), OBJM_CAP_COMPRESSION);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	objm_client_destroy(conn);
	close(sv[0]);
	if (sv[1] >= 0)
		close(sv[1]);
	return 0;
}

static void head(uint64_t len, int coding)
{
	struct om_proto_resp resp = {.id = 1, .content_len = len};
	uint8_t b[64];
	struct om_proto_wr wr;

	om_proto_wr_init(&wr, b + OM_PROTO_V2_RESP_HDR, sizeof(b) - OM_PROTO_V2_RESP_HDR);
	om_proto_meta_put_u64(&wr, OM_PROTO_META_SIZE, len);
	if (coding >= 0)
		om_proto_meta_put_u8(&wr, OM_PROTO_META_CODING, (uint8_t)coding);
	resp.meta_len = (uint16_t)wr.len;
	assert_int_equal(om_proto_v2_resp_encode(&resp, b, sizeof(b)), OM_PROTO_V2_RESP_HDR);
	send_raw(b, OM_PROTO_V2_RESP_HDR + wr.len);
}

static void block(uint32_t wire, uint32_t raw, const void *p, size_t n)
{
	uint8_t b[OM_PROTO_BLOCK_HDR];

	om_proto_block_encode(&(struct om_proto_block){wire, raw}, b);
	send_raw(b, sizeof(b));
	if (n)
		send_raw(p, n);
}

/* `n` letters as a zstd frame: its length. */
static size_t letters(uint8_t *frame, size_t cap, char c, size_t n)
{
	static char text[OM_PROTO_BLOCK_MAX + 1];
	size_t k;

	memset(text, c, sizeof(text));
	assert_true(n <= sizeof(text));
	k = ZSTD_compress(frame, cap, text, n, 1);
	assert_false(ZSTD_isError(k));
	return k;
}

static int receive(objm_response_t **ret)
{
	*ret = NULL;
	return objm_client_recv_response(conn, ret);
}

static void expect_letters(const objm_response_t *resp, size_t from, size_t to, char c)
{
	for (size_t i = from; i < to; i++)
		assert_int_equal(((const char *)resp->content)[i], c);
}

static void test_blocks_of_both_kinds(void **state)
{
	uint8_t z[512];
	objm_response_t *resp;
	size_t n;

	(void)state;
	head(OM_PROTO_BLOCK_MAX + 5 + 300, OM_PROTO_CODING_ZSTD);
	n = letters(z, sizeof(z), 'a', OM_PROTO_BLOCK_MAX);
	block((uint32_t)n, OM_PROTO_BLOCK_MAX, z, n);
	block(5, 5, "plain", 5);
	n = letters(z, sizeof(z), 'b', 300);
	block((uint32_t)n, 300, z, n);
	assert_int_equal(receive(&resp), 0);
	assert_int_equal(resp->content_len, OM_PROTO_BLOCK_MAX + 5 + 300);
	expect_letters(resp, 0, OM_PROTO_BLOCK_MAX, 'a');
	assert_memory_equal((char *)resp->content + OM_PROTO_BLOCK_MAX, "plain", 5);
	expect_letters(resp, OM_PROTO_BLOCK_MAX + 5, resp->content_len, 'b');
	assert_int_equal(((char *)resp->content)[resp->content_len], 0);
	objm_response_free(resp);

	head(5, -1); /* the next one comes as it is, and the stream is in step */
	send_raw("hello", 5);
	assert_int_equal(receive(&resp), 0);
	assert_memory_equal(resp->content, "hello", 5);
	objm_response_free(resp);
}

/* A block that comes as it is may be longer than a compressed one, in pieces. */
static void test_long_plain_block(void **state)
{
	static uint8_t bytes[150000];
	objm_response_t *resp;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	head(sizeof(bytes), OM_PROTO_CODING_ZSTD);
	block(sizeof(bytes), sizeof(bytes), bytes, sizeof(bytes));
	assert_int_equal(receive(&resp), 0);
	assert_memory_equal(resp->content, bytes, sizeof(bytes));
	objm_response_free(resp);
}

/* Content that goes to a descriptor: compressed, as it is, and one that cannot be written. */
static void test_to_a_descriptor(void **state)
{
	OM_AUTO_FD fd = memfd_create("content", MFD_CLOEXEC);
	static char got[OM_PROTO_BLOCK_MAX + 1000];
	objm_response_t *resp;
	uint8_t z[512];
	size_t n;

	(void)state;
	head(OM_PROTO_BLOCK_MAX + 5, OM_PROTO_CODING_ZSTD);
	n = letters(z, sizeof(z), 'a', OM_PROTO_BLOCK_MAX);
	block((uint32_t)n, OM_PROTO_BLOCK_MAX, z, n);
	block(5, 5, "plain", 5);
	head(5, -1);
	send_raw("after", 5);
	objm_connection_limit(conn, 100); /* of memory: not asked here */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(objm_client_recv_response_fd(conn, fd, &resp), 0);
		assert_int_equal(resp->content_len, i ? 5 : OM_PROTO_BLOCK_MAX + 5);
		assert_null(resp->content);
		objm_response_free(resp);
	}
	assert_int_equal(pread(fd, got, sizeof(got), 0), OM_PROTO_BLOCK_MAX + 10);
	for (size_t i = 0; i < OM_PROTO_BLOCK_MAX; i++)
		assert_int_equal(got[i], 'a');
	assert_memory_equal(got + OM_PROTO_BLOCK_MAX, "plainafter", 10);

	for (int coding = -1; coding <= OM_PROTO_CODING_ZSTD; coding += 2) {
		assert_int_equal(teardown(NULL), 0);
		assert_int_equal(setup(NULL), 0);
		head(300, coding);
		n = letters(z, sizeof(z), 'b', 300);
		block((uint32_t)n, 300, z, sizeof(z)); /* as it is: 300 bytes of that */
		assert_int_equal(objm_client_recv_response_fd(conn, 10000, &resp), -OBJM_STATUS_SYSTEM);
		assert_int_equal(errno, EBADF);
	}
}

/* What a hostile server sends: refused, and nothing of it is believed. */
static void refused(uint64_t len, int coding, uint32_t wire, uint32_t raw, const void *p, size_t n, int want)
{
	objm_response_t *resp;

	assert_int_equal(teardown(NULL), 0);
	assert_int_equal(setup(NULL), 0);
	head(len, coding);
	block(wire, raw, p, n);
	(void)shutdown(sv[1], SHUT_WR);
	assert_int_equal(receive(&resp), want);
	assert_null(resp);
}

static void test_hostile(void **state)
{
	uint8_t z[512], noise[64];
	size_t n = letters(z, sizeof(z), 'a', 1000);
	const int bad = -OBJM_STATUS_PROTO_ERROR;

	(void)state;
	memset(noise, 0xa5, sizeof(noise));
	refused(1000, 1, (uint32_t)n, 999, z, n, bad);	/* gives more than the header says */
	refused(2000, 1, (uint32_t)n, 1001, z, n, bad); /* gives less */
	refused(999, 1, (uint32_t)n, 1000, z, n, bad);	/* beyond what is due */
	refused(1000, 1, 0, 1000, NULL, 0, bad);
	refused(1000, 1, 0, 0, NULL, 0, bad);
	refused(1000, 1, 1000, 999, z, n, bad);
	refused(1000, 1, sizeof(noise), 1000, noise, sizeof(noise), bad);	  /* no zstd */
	refused(1000, 1, (uint32_t)n - 1, 1000, z, n - 1, bad);			  /* cut short, in step */
	refused(1000, 1, (uint32_t)n, 1000, z, n - 1, -OBJM_STATUS_GONE);	  /* cut short */
	refused(1000, 2, (uint32_t)n, 1000, z, n, bad);				  /* another coding */
	refused(1000, 255, (uint32_t)n, 1000, z, n, bad);
	n = letters(z, sizeof(z), 'a', OM_PROTO_BLOCK_MAX + 1);
	refused(1u << 20, 1, (uint32_t)n, OM_PROTO_BLOCK_MAX + 1, z, n, bad); /* a frame of more than a block may give */
	/* A length beyond what the client takes: at once. One within it: nothing is allocated for what does not come. */
	refused(UINT64_C(1) << 40, 1, (uint32_t)n, 1000, z, n, -OBJM_STATUS_TOO_LARGE);
	refused(200u << 20, 1, 200u << 20, 200u << 20, z, n, -OBJM_STATUS_GONE);
}

/* Not asked for, or not granted: the entry means nothing, the bytes are what they are. */
static void test_not_negotiated(void **state)
{
	static const uint16_t rows[][2] = {{0, CAPS}, {OBJM_CAP_COMPRESSION, OM_PROTO_CAP_EXTENSION}, {0, 0}};
	objm_response_t *resp;

	(void)state;
	for (size_t i = 0; i < OM_ARRAY_SIZE(rows); i++) {
		assert_int_equal(teardown(NULL), 0);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
		assert_int_equal(greet(rows[i][0], rows[i][1]) & OBJM_CAP_COMPRESSION, 0);
		head(5, OM_PROTO_CODING_ZSTD);
		send_raw("plain", 5);
		assert_int_equal(receive(&resp), 0);
		assert_memory_equal(resp->content, "plain", 5);
		objm_response_free(resp);
	}
}

/* Frames of the extension, which comes with it, are not taken. */
static void test_no_frames(void **state)
{
	static const uint8_t ping[24] = {0x10, 0x8d};
	objm_response_t *resp;

	(void)state;
	send_raw(ping, sizeof(ping));
	assert_true(receive(&resp) < 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_blocks_of_both_kinds), T(test_long_plain_block), T(test_to_a_descriptor), T(test_hostile), T(test_not_negotiated), T(test_no_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
