/*
 * test_watch.c: WATCH in a worker: what each watch is told of the one feed, where it begins and goes on, what is lost, who does not
 * read. The feed is the test's.
 */
#include "wrk_harness.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "common/proto/om_proto.h"
#include "worker/wrk_access.h"
#include "worker/wrk_conn_set.h"
#include "worker/wrk_watch.h"

#define EPOCH 77u

struct client {
	int fd;
	uint8_t buf[1 << 18];
	size_t len, used;
};

static struct harness *h;

static struct client *connect_caps(uint16_t caps)
{
	struct client *c = calloc(1, sizeof(*c));
	struct om_proto_hello hello = { .caps = caps };
	uint8_t b[32], ack[OM_PROTO_HELLO_ACK_LEN];

	c->fd = harness_connect(h);
	harness_write(c->fd, b, (size_t)om_proto_hello_encode(&hello, b, sizeof(b)));
	harness_read(c->fd, ack, sizeof(ack));
	return c;
}

static void end(struct client *c)
{
	(void)close(c->fd);
	free(c);
}

static void send_watch(struct client *c, uint32_t id, const char *prefix, uint64_t epoch, uint64_t pos)
{
	struct om_proto_ext ext = { .op = OM_PROTO_OP_WATCH, .id = id };
	struct om_proto_body b = { .have = 0 };
	uint8_t buf[512];
	struct om_proto_wr wr;

	if (prefix) {
		b.have |= OM_PROTO_BIT(PREFIX);
		b.prefix = (struct om_proto_str){ prefix, (uint32_t)strlen(prefix) };
	}
	if (epoch) {
		b.have |= OM_PROTO_BIT(POSITION);
		b.position = (struct om_proto_position){ epoch, pos };
	}
	om_proto_wr_init(&wr, buf, sizeof(buf));
	assert_true(om_proto_ext_encode(&wr, &ext, &b) > 0);
	harness_write(c->fd, buf, wr.len);
}

static void get_frame(struct client *c, struct om_proto_ext *ext, struct om_proto_body *body)
{
	struct om_proto_out out;
	size_t need;
	int n;

	if (c->used) {
		memmove(c->buf, c->buf + c->used, c->len - c->used);
		c->len -= c->used;
		c->used = 0;
	}
	while ((n = om_proto_out_decode(2, true, OM_PROTO_CAP_EXTENSION, c->buf, c->len, &out, &need)) == 0) {
		ssize_t r = recv(c->fd, c->buf + c->len, sizeof(c->buf) - c->len, 0);
		assert_true(r > 0);
		c->len += (size_t)r;
	}
	assert_true(n > 0);
	assert_int_equal(out.kind, OM_PROTO_OUT_EXT);
	*ext = out.u.ext;
	assert_int_equal(om_proto_resp_body_decode(ext, body), 0);
	c->used = (size_t)n;
}

/* The next frame says this; uri NULL: it names none. */
#define SAYS(c, id_, kind_, pos_, uri_) \
	do { \
		struct om_proto_ext e_; \
		struct om_proto_body b_; \
		const char *want_ = (uri_); \
		get_frame(c, &e_, &b_); \
		assert_int_equal(e_.status, 0); \
		assert_int_equal(e_.id, id_); \
		assert_true(e_.flags & OM_PROTO_F_MORE); \
		assert_int_equal(b_.change.kind, kind_); \
		assert_int_equal(b_.change.at.epoch, EPOCH); \
		assert_int_equal(b_.change.at.pos, pos_); \
		assert_int_equal((b_.have & OM_PROTO_BIT(URI)) != 0, want_ != NULL); \
		if (want_) { \
			assert_int_equal(b_.uri.len, strlen(want_)); \
			assert_memory_equal(b_.uri.p, want_, b_.uri.len); \
		} \
	} while (0)

static void here(uint64_t pos)
{
	const struct om_op_changed m = { .epoch = EPOCH, .pos = pos, .change = OM_CHANGE_HERE };

	harness_changed(h, &m, NULL);
}

static void change(enum om_change what, uint64_t pos, const char *uri)
{
	const struct om_op_changed m = { .epoch = EPOCH, .pos = pos, .id = 1000 + pos, .rev = 1, .size = 5, .change = (uint8_t)what };

	harness_changed(h, &m, uri);
}

static void refused(struct client *c, int status)
{
	struct om_proto_ext e;
	struct om_proto_body b;

	get_frame(c, &e, &b);
	assert_int_equal(e.status, -status);
	assert_false(e.flags & OM_PROTO_F_MORE);
}

static int setup(void **state)
{
	(void)state;
	h = harness_start(NULL, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	harness_stop(h);
	return 0;
}

/* ---- */

static void test_prefix_and_kinds(void **state)
{
	struct client *c = connect_caps(0xffff), *d = connect_caps(0xffff);

	(void)state;
	send_watch(c, 5, "/a", 0, 0);
	struct om_op_watch w = harness_watch(h, 1);
	assert_true(w.on && w.from == UINT64_MAX);
	here(10);
	SAYS(c, 5, OM_PROTO_CHANGE_HERE, 10, NULL);
	change(OM_CHANGE_PUT, 11, "/a/1");
	change(OM_CHANGE_PUT, 12, "/b/1");
	change(OM_CHANGE_PUT, 13, "/");
	change(OM_CHANGE_DELETE, 14, "/a");
	change(OM_CHANGE_SET, 15, "/ab");
	change(OM_CHANGE_MOVED, 16, "/a/1");
	SAYS(c, 5, OM_PROTO_CHANGE_PUT, 11, "/a/1");
	SAYS(c, 5, OM_PROTO_CHANGE_DELETE, 14, "/a");
	SAYS(c, 5, OM_PROTO_CHANGE_SET, 15, "/ab");
	SAYS(c, 5, OM_PROTO_CHANGE_MOVED, 16, "/a/1");
	/* another one joins the feed as it is, behind all that came, and without asking again */
	send_watch(d, 9, NULL, 0, 0);
	SAYS(d, 9, OM_PROTO_CHANGE_HERE, 16, NULL);
	change(OM_CHANGE_PUT, 17, "/b");
	SAYS(d, 9, OM_PROTO_CHANGE_PUT, 17, "/b");
	change(OM_CHANGE_LOST, 20, NULL);
	SAYS(c, 5, OM_PROTO_CHANGE_LOST, 20, NULL);
	SAYS(d, 9, OM_PROTO_CHANGE_LOST, 20, NULL);
	assert_int_equal(harness_watch(h, 1).on, 1);
	assert_int_equal(h->watches, 1);
	end(c);
	end(d); /* nobody watches: no feed */
	w = harness_watch(h, 2);
	assert_int_equal(w.on, 0);
}

static void test_resume(void **state)
{
	struct client *c = connect_caps(0xffff), *d = connect_caps(0xffff), *old = connect_caps(0xffff);

	(void)state;
	send_watch(c, 1, NULL, 0, 0);
	(void)harness_watch(h, 1);
	here(100);
	SAYS(c, 1, OM_PROTO_CHANGE_HERE, 100, NULL);
	change(OM_CHANGE_PUT, 101, "/x");
	SAYS(c, 1, OM_PROTO_CHANGE_PUT, 101, "/x");
	/* it was here before: the feed is set back for it, and the first one does not hear things twice */
	send_watch(d, 2, NULL, EPOCH, 90);
	struct om_op_watch w = harness_watch(h, 2);
	assert_true(w.on && w.from == 90);
	here(90);
	SAYS(d, 2, OM_PROTO_CHANGE_HERE, 90, NULL);
	change(OM_CHANGE_PUT, 91, "/w");
	change(OM_CHANGE_PUT, 101, "/x");
	change(OM_CHANGE_PUT, 102, "/y");
	SAYS(d, 2, OM_PROTO_CHANGE_PUT, 91, "/w");
	SAYS(d, 2, OM_PROTO_CHANGE_PUT, 101, "/x");
	SAYS(d, 2, OM_PROTO_CHANGE_PUT, 102, "/y");
	SAYS(c, 1, OM_PROTO_CHANGE_PUT, 102, "/y");
	/* a position of another run: from now on, and told so */
	send_watch(old, 3, NULL, EPOCH + 1, 5);
	SAYS(old, 3, OM_PROTO_CHANGE_HERE, 102, NULL);
	SAYS(old, 3, OM_PROTO_CHANGE_LOST, 102, NULL);
	/* one that asks for a place while the feed is being caught up on waits for its turn */
	send_watch(old, 4, NULL, EPOCH, 95);
	w = harness_watch(h, 3);
	assert_int_equal(w.from, 95);
	send_watch(old, 5, NULL, EPOCH, 80);
	here(95);
	SAYS(old, 4, OM_PROTO_CHANGE_HERE, 95, NULL);
	change(OM_CHANGE_PUT, 101, "/x");
	SAYS(old, 4, OM_PROTO_CHANGE_PUT, 101, "/x");
	assert_int_equal(h->watches, 3);
	change(OM_CHANGE_PUT, 102, "/y"); /* caught up */
	SAYS(old, 4, OM_PROTO_CHANGE_PUT, 102, "/y");
	w = harness_watch(h, 4);
	assert_int_equal(w.from, 80);
	end(c);
	end(d);
	end(old);
}

static void test_refusals(void **state)
{
	struct client *c = connect_caps(OM_PROTO_CAP_EXTENSION), *d = connect_caps(0xffff);

	(void)state;
	send_watch(c, 1, NULL, 0, 0); /* answers in order: nothing behind it could be answered */
	refused(c, -OBJM_STATUS_PROTO_CAPABILITY);
	for (uint32_t i = 0; i < WRK_WATCH_CONN_MAX; i++)
		send_watch(d, i, NULL, 0, 0);
	(void)harness_watch(h, 1);
	here(1);
	for (uint32_t i = 0; i < WRK_WATCH_CONN_MAX; i++) {
		struct om_proto_ext e;
		struct om_proto_body b;
		get_frame(d, &e, &b);
		assert_int_equal(b.change.kind, OM_PROTO_CHANGE_HERE);
	}
	send_watch(d, 99, NULL, 0, 0);
	refused(d, -OBJM_STATUS_LIMIT_EXCEEDED);
	assert_int_equal(harness_counter(OM_C_WATCHES), WRK_WATCH_CONN_MAX);
	end(c);
	end(d);
	for (int i = 0; i < 10000 && harness_counter(OM_C_WATCHES); i++)
		(void)usleep(1000);
	assert_int_equal(harness_counter(OM_C_WATCHES), 0);
}

/* Watches of one user are counted over all workers, by the supervisor: it refuses, and is told when one ends. */
static void test_limit(void **state)
{
	struct client *c = connect_caps(0xffff), *d = connect_caps(0xffff), *gone = connect_caps(0xffff);

	(void)state;
	h->watch_max = 2;
	send_watch(c, 1, "/a", 0, 0);
	(void)harness_watch(h, 1);
	here(1);
	SAYS(c, 1, OM_PROTO_CHANGE_HERE, 1, NULL);
	send_watch(d, 2, "/a", 0, 0);
	SAYS(d, 2, OM_PROTO_CHANGE_HERE, 1, NULL);
	send_watch(d, 3, "/a", 0, 0);
	refused(d, -OBJM_STATUS_LIMIT_EXCEEDED);
	change(OM_CHANGE_PUT, 2, "/a");
	SAYS(c, 1, OM_PROTO_CHANGE_PUT, 2, "/a");
	SAYS(d, 2, OM_PROTO_CHANGE_PUT, 2, "/a"); /* once */
	h->sup_hold = true; /* one that goes before the verdict leaves nothing behind */
	send_watch(gone, 4, "/a", 0, 0);
	(void)usleep(10000);
	end(gone);
	h->sup_hold = false;
	end(c);
	for (int i = 0; i < 10000 && h->watching != 1; i++)
		(void)usleep(1000);
	assert_int_equal(h->watching, 1);
	send_watch(d, 5, "/b", 0, 0);
	SAYS(d, 5, OM_PROTO_CHANGE_HERE, 2, NULL);
	change(OM_CHANGE_PUT, 3, "/b");
	SAYS(d, 5, OM_PROTO_CHANGE_PUT, 3, "/b");
	end(d);
}

/*
 * A watch that changes do not concern has passed them all the same: what the feed repeats for others, and loses on the way, is
 * nothing to it; and one that fell behind asks for no more than it missed.
 */
static void test_passed_over(void **state)
{
	struct client *c = connect_caps(0xffff), *d = connect_caps(0xffff);

	(void)state;
	send_watch(c, 1, "/quiet", 0, 0);
	(void)harness_watch(h, 1);
	here(10);
	SAYS(c, 1, OM_PROTO_CHANGE_HERE, 10, NULL);
	for (uint64_t p = 11; p <= 50; p++)
		change(OM_CHANGE_PUT, p, "/loud");
	send_watch(d, 2, NULL, EPOCH, 12);
	assert_int_equal(harness_watch(h, 2).from, 12);
	here(12);
	SAYS(d, 2, OM_PROTO_CHANGE_HERE, 12, NULL);
	change(OM_CHANGE_LOST, 30, NULL); /* for who stood at 12 */
	SAYS(d, 2, OM_PROTO_CHANGE_LOST, 30, NULL);
	send_watch(d, 3, "/quiet", EPOCH, 40); /* joins while the feed catches up: behind 40, nothing from before */
	SAYS(d, 3, OM_PROTO_CHANGE_HERE, 40, NULL);
	change(OM_CHANGE_PUT, 35, "/quiet/35");
	SAYS(d, 2, OM_PROTO_CHANGE_PUT, 35, "/quiet/35");
	change(OM_CHANGE_PUT, 45, "/quiet/45");
	for (unsigned i = 0; i < 2; i++) { /* both of the second connection, in whatever order; not the first one's */
		struct om_proto_ext e;
		struct om_proto_body b;
		get_frame(d, &e, &b);
		assert_int_equal(b.change.at.pos, 45);
	}
	change(OM_CHANGE_PUT, 50, "/loud");
	SAYS(d, 2, OM_PROTO_CHANGE_PUT, 50, "/loud");
	change(OM_CHANGE_PUT, 51, "/quiet/51");
	SAYS(c, 1, OM_PROTO_CHANGE_PUT, 51, "/quiet/51"); /* nothing was lost, nothing came again */
	change(OM_CHANGE_LOST, 60, NULL); /* this one is everybody's */
	SAYS(c, 1, OM_PROTO_CHANGE_LOST, 60, NULL);
	end(c);
	end(d);
}

/* What a peer may not list it is not told of, also when the rules change while it watches. */
static const struct wrk_access *rights_before;
static struct om_rule only_a = { .rights = OM_RIGHT_LIST, .prefix = "/a", .prefix_len = 2 };
static const struct om_rule *const only_rules[] = { &only_a };
static const struct wrk_access only = { .somewhere = OM_RIGHT_LIST, .n = 1, .rules = only_rules }, none;

static void narrow(struct harness *x)
{
	rights_before = wrk_conn_first(x->w.conns)->access;
	wrk_conn_first(x->w.conns)->access = &only;
}
static void nothing(struct harness *x) { wrk_conn_first(x->w.conns)->access = &none; }
static void back(struct harness *x) { wrk_conn_first(x->w.conns)->access = rights_before; }

static void test_rights(void **state)
{
	struct client *c = connect_caps(0xffff);

	(void)state;
	send_watch(c, 1, NULL, 0, 0);
	(void)harness_watch(h, 1);
	here(0);
	SAYS(c, 1, OM_PROTO_CHANGE_HERE, 0, NULL);
	harness_call(h, narrow);
	change(OM_CHANGE_PUT, 1, "/b");
	change(OM_CHANGE_PUT, 2, "/a/x");
	change(OM_CHANGE_PUT, 3, "/ab");
	change(OM_CHANGE_DELETE, 4, "/a");
	SAYS(c, 1, OM_PROTO_CHANGE_PUT, 2, "/a/x");
	SAYS(c, 1, OM_PROTO_CHANGE_DELETE, 4, "/a");
	harness_call(h, nothing);
	send_watch(c, 2, NULL, 0, 0);
	refused(c, -OBJM_STATUS_PERMISSION_DENIED);
	harness_call(h, back);
	end(c);
}

/* One that does not read is passed by, and goes on behind what it was told last once it has read. */
static void test_does_not_read(void **state)
{
	struct client *slow = connect_caps(0xffff), *c = connect_caps(0xffff);
	struct om_op_watch w = { .on = 0 };
	char uri[2048];
	uint64_t pos = 0, told = 0;

	(void)state;
	memset(uri, 'u', sizeof(uri) - 1);
	uri[0] = '/';
	uri[sizeof(uri) - 1] = '\0';
	send_watch(slow, 1, NULL, 0, 0);
	(void)harness_watch(h, 1);
	here(0);
	SAYS(slow, 1, OM_PROTO_CHANGE_HERE, 0, NULL);
	send_watch(c, 2, NULL, 0, 0);
	SAYS(c, 2, OM_PROTO_CHANGE_HERE, 0, NULL);
	uint64_t held = harness_counter(OM_C_PEER_LIMIT);
	while (harness_counter(OM_C_PEER_LIMIT) == held) {
		change(OM_CHANGE_PUT, ++pos, uri);
		SAYS(c, 2, OM_PROTO_CHANGE_PUT, pos, uri); /* the other one is told all the while */
		assert_true(pos < 100000);
	}
	change(OM_CHANGE_PUT, ++pos, uri);
	SAYS(c, 2, OM_PROTO_CHANGE_PUT, pos, uri);
	while (h->watches == 1) { /* it reads: when its queue is empty the feed is set back for it */
		struct om_proto_ext e;
		struct om_proto_body b;
		get_frame(slow, &e, &b);
		assert_int_equal(b.change.kind, OM_PROTO_CHANGE_PUT);
		assert_int_equal(b.change.at.pos, ++told);
		if (told + 2 >= pos)
			break;
	}
	w = harness_watch(h, 2);
	assert_true(w.on && w.from >= told && w.from < pos - 1);
	uint64_t from = w.from;
	while (told < from) {
		struct om_proto_ext e;
		struct om_proto_body b;
		get_frame(slow, &e, &b);
		assert_int_equal(b.change.at.pos, ++told);
	}
	here(from);
	for (uint64_t p = from + 1; p <= pos; p++)
		change(OM_CHANGE_PUT, p, uri);
	for (uint64_t p = from + 1; p <= pos; p++)
		SAYS(slow, 1, OM_PROTO_CHANGE_PUT, p, uri); /* nothing is missing, and no second HERE */
	change(OM_CHANGE_PUT, ++pos, "/end");
	SAYS(slow, 1, OM_PROTO_CHANGE_PUT, pos, "/end");
	SAYS(c, 2, OM_PROTO_CHANGE_PUT, pos, "/end"); /* and nothing came twice */
	end(slow);
	end(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_prefix_and_kinds), T(test_resume), T(test_passed_over), T(test_limit), T(test_refusals), T(test_rights), T(test_does_not_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
