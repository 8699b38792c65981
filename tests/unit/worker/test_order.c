/*
 * test_order.c: which answer comes when: requests begun in advance and answered in order, what must not be begun in
 * advance, and what a peer gets that sends garbage behind good requests.
 */
#include "wrk_wire.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/om_counter.h"

/* The supervisor is asked about `n` URIs while it does not answer. */
static void wait_asked(uint64_t before, uint64_t n)
{
	for (int i = 0; i < 10000 && harness_counter(OM_C_LOOKUPS_ASKED) < before + n; i++)
		(void)usleep(1000);
	assert_int_equal(harness_counter(OM_C_LOOKUPS_ASKED), before + n);
}

/* Version 1, and version 2 without OUT_OF_ORDER: all are looked up before the first is known, answers keep their order. */
static void ahead(int version)
{
	struct harness *h = harness_start(NULL, false);
	uint64_t before = harness_counter(OM_C_LOOKUPS_ASKED);
	int fd = version == 1 ? harness_connect(h) : wire_connect(h, OM_PROTO_CAP_PIPELINING, 0, NULL);
	uint8_t buf[8192];
	size_t n = 0;
	char data[64];
	struct wire_resp r;

	(void)harness_object(h, "/hot", "hot", 3, 0);
	h->sup_hold = true;
	for (unsigned i = 0; i < 30; i++) { /* every third one is hot, every third one is asked for its bytes */
		char uri[16];

		(void)snprintf(uri, sizeof(uri), i % 3 == 1 ? "/hot" : "/cold%u", i);
		if (i % 3 != 1)
			(void)harness_hidden(h, uri, uri, strlen(uri), i % 2);
		n += version == 1 ? wire_v1(buf + n, i % 3 == 2 ? '2' : '1', uri) : wire_v2(buf + n, i, 0, i % 3 == 2 ? '2' : '1', uri);
	}
	harness_write(fd, buf, n);
	wait_asked(before, 20);
	assert_true(harness_quiet(fd, 20)); /* the hot ones wait for their turn */
	h->sup_hold = false;
	for (unsigned i = 0; i < 30; i++) {
		wire_resp(fd, version, &r);
		assert_int_equal(r.status, 0);
		assert_int_equal(r.id, version == 1 ? 0 : i);
		(void)snprintf(data, sizeof(data), i % 3 == 1 ? "hot" : "/cold%u", i);
		if (i % 3 == 2) {
			char got[64];

			assert_int_equal(r.content_len, strlen(data));
			harness_read(fd, got, strlen(data));
			assert_memory_equal(got, data, strlen(data));
		} else {
			wire_file(harness_read_fd_byte(fd), data);
		}
	}
	assert_true(harness_quiet(fd, 10));
	(void)close(fd);
	harness_stop(h);
}

static void test_ahead(void **state)
{
	(void)state;
	ahead(1);
	ahead(2);
}

/* ORDERED among others: it waits for all before it, those behind it do not wait for it. */
static void test_ordered_flag(void **state)
{
	struct harness *h = harness_start(NULL, false);
	int fd = wire_connect(h, OM_PROTO_CAP_OOO | OM_PROTO_CAP_PIPELINING, 0, NULL);
	uint8_t buf[8192];
	size_t n;
	struct wire_resp r;

	(void)state;
	(void)harness_hidden(h, "/slow", "slow", 4, 0);
	(void)harness_object(h, "/hot", "hot", 3, 0);
	h->sup_hold = true;
	n = wire_v2(buf, 1, 0, '1', "/slow");
	n += wire_v2(buf + n, 2, OM_PROTO_REQ_ORDERED, '1', "/hot");
	n += wire_v2(buf + n, 3, 0, '1', "/hot");
	n += wire_v2(buf + n, 4, OM_PROTO_REQ_ORDERED, '1', "/none");
	harness_write(fd, buf, n);
	wire_resp(fd, 2, &r);
	assert_int_equal(r.id, 3);
	wire_file(harness_read_fd_byte(fd), "hot");
	assert_true(harness_quiet(fd, 20));
	h->sup_hold = false;
	for (uint32_t id = 1; id <= 4; id++) {
		if (id == 3)
			continue;
		wire_resp(fd, 2, &r);
		assert_int_equal(r.id, id);
		if (id < 3)
			wire_file(harness_read_fd_byte(fd), id == 1 ? "slow" : "hot");
		else
			assert_int_equal(r.status, OBJM_STATUS_NOT_FOUND);
	}
	(void)close(fd);
	harness_stop(h);
}

/* A connection that goes while answers are parked: everything is given back (the leak check looks). */
static void test_parked_and_gone(void **state)
{
	struct harness *h = harness_start(NULL, false);
	uint64_t before = harness_counter(OM_C_LOOKUPS_ASKED);
	uint8_t buf[8192];
	size_t n = 0;
	int fds[5];

	(void)state;
	(void)harness_hidden(h, "/slow", "slow", 4, 0);
	(void)harness_object(h, "/hot", "hot", 3, 0);
	for (int i = 0; i < 5; i++)
		fds[i] = harness_connect(h);
	h->sup_hold = true;
	n = wire_v1(buf, '1', "/slow");
	for (int i = 0; i < 20; i++)
		n += wire_v1(buf + n, i % 2 ? '1' : '2', "/hot");
	for (int i = 0; i < 5; i++) {
		harness_write(fds[i], buf, n);
		wait_asked(before, (uint64_t)i + 1);
		(void)close(fds[i]);
	}
	h->sup_hold = false;
	harness_stop(h);
}

/* Good requests, one of them slow, and then bytes that are none: all are answered, version 2 is told, then the end. */
static void garbage(int version, uint16_t caps)
{
	struct harness *h = harness_start(NULL, false);
	uint64_t bad = harness_counter(OM_C_PEER_BAD);
	int fd = version == 1 ? harness_connect(h) : wire_connect(h, caps, 0, NULL);
	uint8_t buf[8192], close_msg[2];
	size_t n = 0;
	struct wire_resp r;

	(void)harness_hidden(h, "/slow", "slow", 4, 0);
	(void)harness_object(h, "/hot", "hot", 3, 0);
	for (uint32_t i = 0; i < 3; i++)
		n += version == 1 ? wire_v1(buf + n, '1', i == 1 ? "/slow" : "/hot") :
				    wire_v2(buf + n, i, 0, '1', i == 1 ? "/slow" : "/hot");
	buf[n++] = 0xee;
	memset(buf + n, 'z', 1000);
	h->sup_hold = true;
	harness_write(fd, buf, n + 1000);
	for (uint32_t i = 0; i < 3; i++) {
		bool last = i == ((caps & OM_PROTO_CAP_OOO) ? 2u : 1u);

		if (last)
			h->sup_hold = false;
		wire_resp(fd, version, &r);
		assert_int_equal(r.status, 0);
		wire_file(harness_read_fd_byte(fd), r.size == 4 ? "slow" : "hot");
	}
	if (version == 2) {
		harness_read(fd, close_msg, 2);
		assert_memory_equal(close_msg, "\x03\x02", 2);
	}
	assert_true(harness_at_end(fd));
	assert_int_equal(harness_counter(OM_C_PEER_BAD), bad + 1);
	(void)close(fd);
	harness_stop(h);
}

static void test_garbage_behind(void **state)
{
	(void)state;
	garbage(1, 0);
	garbage(2, OM_PROTO_CAP_PIPELINING);
	garbage(2, OM_PROTO_CAP_PIPELINING | OM_PROTO_CAP_OOO);
}

/* One direction is shut down in the middle of a payload: the put is refused, what came before it is answered, and the end. */
static void test_cut_payload(void **state)
{
	struct harness *h = harness_start(NULL, true);
	int fd = wire_connect(h, OM_PROTO_CAP_EXTENSION, 0, NULL);
	struct om_proto_body body = { .have = OM_PROTO_BIT(URI), .uri = { "/cut", 4 } };
	struct om_proto_ext ext = { .op = OM_PROTO_OP_PUT_INLINE, .id = 9, .payload_len = 1000 };
	uint8_t buf[8192], hdr[OM_PROTO_EXT_HDR];
	struct om_proto_wr wr;
	struct wire_resp r;
	size_t n;

	(void)state;
	(void)harness_object(h, "/hot", "hot", 3, 0);
	n = wire_v2(buf, 1, 0, '1', "/hot");
	om_proto_wr_init(&wr, buf + n, sizeof(buf) - n);
	assert_true(om_proto_ext_encode(&wr, &ext, &body) > 0);
	harness_write(fd, buf, n + wr.len + 999);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	wire_resp(fd, 2, &r);
	wire_file(harness_read_fd_byte(fd), "hot");
	harness_read(fd, hdr, sizeof(hdr));
	assert_int_equal(hdr[1], OM_PROTO_OP_PUT_INLINE | OM_PROTO_OP_RESPONSE);
	assert_int_equal(hdr[2], OBJM_STATUS_INVALID_REQUEST);
	harness_read(fd, buf, wire_be(hdr + 12, 4)); /* its text */
	assert_true(harness_at_end(fd));
	assert_int_equal(h->n_objs, 1); /* nothing was put */
	(void)close(fd);
	harness_stop(h);
}

static void short_request(struct om_boot_limits *l) { l->request_timeout_ms = 200; }

/* An answer that nobody reads for limits.request_timeout: the connection is dropped, whatever it is doing. */
static void test_unread(void **state)
{
	struct harness *h = harness_start(short_request, true);
	int fd = harness_connect(h), other = harness_connect(h);
	uint64_t limit = harness_counter(OM_C_PEER_LIMIT);
	char *big = calloc(1, 4u << 20);
	uint8_t req[8192];
	struct wire_resp r;
	ssize_t n;
	size_t got = 0;

	(void)state;
	(void)harness_object(h, "/big", big, 4u << 20, 1);
	harness_write(fd, req, wire_v1(req, '2', "/big"));
	for (int i = 0; i < 10000 && harness_counter(OM_C_PEER_LIMIT) == limit; i++)
		(void)usleep(1000);
	assert_true(harness_counter(OM_C_PEER_LIMIT) > limit);
	harness_write(other, req, wire_v1(req, '2', "/big"));
	wire_resp(other, 1, &r);
	harness_read(other, big, 4u << 20);
	while ((n = read(fd, big, 4u << 20)) > 0)
		got += (size_t)n;
	assert_true(got < 4u << 20); /* cut off */
	free(big);
	(void)close(fd);
	(void)close(other);
	harness_stop(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ahead),	       cmocka_unit_test(test_ordered_flag),
		cmocka_unit_test(test_parked_and_gone), cmocka_unit_test(test_garbage_behind),
		cmocka_unit_test(test_cut_payload),    cmocka_unit_test(test_unread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
