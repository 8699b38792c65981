/*
 * test_ext.c: the extension on a worker's connections: descriptors riding on frames, sharing, pages, puts, refusals.
 */
#include "wrk_harness.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/proto/om_proto.h"
#include "worker/wrk_access.h"
#include "worker/wrk_conn_set.h"

struct client {
	int fd;
	uint8_t buf[1 << 20];
	size_t len, used;
	int fds[1024];
	unsigned n_fds, fd_at;
	unsigned max_in_message;
};

static struct client *ext_connect(struct harness *h)
{
	struct client *c = calloc(1, sizeof(*c));
	struct om_proto_hello hello = { .caps = 0xffff };
	uint8_t b[32], ack[OM_PROTO_HELLO_ACK_LEN];

	c->fd = harness_connect(h);
	harness_write(c->fd, b, (size_t)om_proto_hello_encode(&hello, b, sizeof(b)));
	harness_read(c->fd, ack, sizeof(ack));
	return c;
}

static void ext_close(struct client *c)
{
	while (c->fd_at < c->n_fds)
		(void)close(c->fds[c->fd_at++]);
	(void)close(c->fd);
	free(c);
}

static void ext_send(struct client *c, uint8_t op, uint32_t id, uint16_t flags, struct om_proto_body *body, const void *payload,
		     size_t payload_len)
{
	static uint8_t buf[1 << 17];
	struct om_proto_ext ext = { .op = op, .id = id, .flags = flags, .payload_len = payload_len };
	struct om_proto_wr wr;

	om_proto_wr_init(&wr, buf, sizeof(buf));
	assert_true(om_proto_ext_encode(&wr, &ext, body) > 0);
	harness_write(c->fd, buf, wr.len);
	harness_write(c->fd, payload, payload_len);
}

static void ext_more(struct client *c)
{
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(int) * 253)];
	struct iovec iov = { c->buf + c->len, sizeof(c->buf) - c->len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	ssize_t n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	assert_true(n > 0);
	assert_int_equal(m.msg_flags & MSG_CTRUNC, 0);
	c->len += (size_t)n;
	if (c->fd_at == c->n_fds)
		c->fd_at = c->n_fds = 0;
	if (h) {
		unsigned k = (unsigned)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		memcpy(c->fds + c->n_fds, CMSG_DATA(h), k * sizeof(int));
		c->n_fds += k;
		c->max_in_message = OM_MAX(c->max_in_message, k);
	}
}

/* The next frame; its payload is left to ext_payload(). */
static void ext_recv(struct client *c, struct om_proto_ext *ext, struct om_proto_body *body)
{
	struct om_proto_out out;
	size_t need;
	int n;

	if (c->used == c->len)
		c->used = c->len = 0;
	while ((n = om_proto_out_decode(2, true, OM_PROTO_CAP_EXTENSION, c->buf + c->used, c->len - c->used, &out, &need)) == 0)
		ext_more(c);
	assert_true(n > 0);
	assert_int_equal(out.kind, OM_PROTO_OUT_EXT);
	*ext = out.u.ext;
	assert_int_equal(om_proto_resp_body_decode(ext, body), 0);
	c->used += (size_t)n;
	assert_true(c->n_fds - c->fd_at >= ext->nfds); /* a frame's descriptors are there with its header */
}

static int ext_fd(struct client *c) { return c->fds[c->fd_at++]; }

static void ext_payload(struct client *c, void *p, size_t n)
{
	while (c->len - c->used < n)
		ext_more(c);
	memcpy(p, c->buf + c->used, n);
	c->used += n;
}

static struct om_proto_body uri_body(const char *uri)
{
	return (struct om_proto_body){ .have = OM_PROTO_BIT(URI), .uri = { uri, (uint32_t)strlen(uri) } };
}

static void attach(struct client *c, uint8_t promise, uint8_t max_fds, uint16_t flags)
{
	struct om_proto_body b = { .have = OM_PROTO_BIT(PROMISE) | OM_PROTO_BIT(MAX_FDS), .promise = promise, .max_fds = max_fds };
	struct om_proto_ext ext;

	ext_send(c, OM_PROTO_OP_ATTACH, 1, flags, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, 0);
	assert_true(b.have & OM_PROTO_BIT(LIMITS));
	assert_int_equal(b.limits.uris_max, 253);
	assert_int_equal(b.limits.inline_max, 1u << 20);
}

/* The open file description is the same: what one seeks the other sees. */
static bool shared(int a, int b)
{
	bool same;

	assert_int_equal(lseek(a, 3, SEEK_SET), 3);
	same = lseek(b, 0, SEEK_CUR) == 3;
	(void)lseek(a, 0, SEEK_SET);
	return same;
}

static int get(struct client *c, const char *uri)
{
	struct om_proto_body b = uri_body(uri);
	struct om_proto_ext ext;

	ext_send(c, OM_PROTO_OP_GET, 2, 0, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, 0);
	assert_int_equal(ext.nfds, 1);
	return ext_fd(c);
}

/* Run as another uid than root: root never shares. The harness's process is both ends, so the uid is made up. */
static void fake_uid(struct harness *h);

static void test_sharing(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct client *a = ext_connect(h), *b = ext_connect(h), *c = ext_connect(h);
	int fa, fb, fc;

	(void)state;
	(void)harness_object(h, "/o", "0123456789", 10, 0);
	attach(a, OM_PROTO_PROMISE_POSITIONED, 253, 0);
	attach(b, OM_PROTO_PROMISE_POSITIONED, 253, 0);
	attach(c, 0, 253, 0);
	fa = get(a, "/o");
	fb = get(b, "/o");
	assert_int_equal(shared(fa, fb), getuid() != 0 && getuid() != 65534);
	(void)close(fa);
	(void)close(fb);
	harness_call(h, fake_uid); /* all connections become those of uid 1000 */
	fa = get(a, "/o");
	fb = get(b, "/o");
	fc = get(c, "/o"); /* has not promised: a description of its own */
	assert_true(shared(fa, fb));
	assert_false(shared(fa, fc));
	assert_true(harness_counter(OM_C_FD_CACHE_HIT) >= 1);
	(void)close(fa);
	(void)close(fb);
	(void)close(fc);
	ext_close(a);
	ext_close(b);
	ext_close(c);
	harness_stop(h);
}

static void get_many(struct harness *h, struct client *c, unsigned n, unsigned missing_every)
{
	static uint8_t buf[1 << 16];
	struct om_proto_ext ext = { .op = OM_PROTO_OP_GET, .id = 77 };
	struct om_proto_body b;
	struct om_proto_wr wr;
	size_t at;
	bool seen[253] = { 0 };

	(void)h;
	om_proto_wr_init(&wr, buf, sizeof(buf));
	at = om_proto_ext_open(&wr);
	for (unsigned i = 0; i < n; i++) {
		char uri[32];

		(void)snprintf(uri, sizeof(uri), i % missing_every == missing_every - 1 ? "/none/%u" : "/m/%u", i);
		om_proto_tlv_put(&wr, OM_PROTO_TAG_URI, uri, strlen(uri));
	}
	assert_true(om_proto_ext_close(&wr, at, &ext) > 0);
	harness_write(c->fd, buf, wr.len);
	for (unsigned i = 0; i < n; i++) {
		ext_recv(c, &ext, &b);
		assert_int_equal(ext.id, 77);
		assert_true(b.have & OM_PROTO_BIT(INDEX));
		assert_true(b.index < n && !seen[b.index]);
		seen[b.index] = true;
		assert_int_equal((ext.flags & OM_PROTO_F_MORE) != 0, i + 1 < n);
		if (b.index % missing_every == missing_every - 1) {
			assert_int_equal(ext.status, OBJM_STATUS_NOT_FOUND);
		} else {
			struct stat st;
			int fd = ext_fd(c);

			assert_int_equal(ext.status, 0);
			assert_int_equal(fstat(fd, &st), 0);
			assert_int_equal(st.st_size, b.index + 1);
			assert_int_equal(b.obj.size, b.index + 1);
			assert_int_equal(b.obj.gen & 1, 0);
			(void)close(fd);
		}
	}
}

/* Objects /m/0 .. of 1 .. n bytes, every other one on the slow tier. */
static void many(struct harness *h, unsigned n)
{
	char data[256], uri[32];

	memset(data, 'd', sizeof(data));
	assert_in_range(n, 1, sizeof(data));
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(uri, sizeof(uri), "/m/%u", i);
		(void)harness_object(h, uri, data, i + 1, i % 2);
	}
}

static void test_get_many(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct client *c = ext_connect(h), *few = ext_connect(h);

	(void)state;
	many(h, 253);
	attach(c, 1, 253, 0);
	get_many(h, c, 253, 10);
	assert_true(c->max_in_message > 8); /* many responses, one message */
	attach(few, 1, 5, 0);
	get_many(h, few, 60, 7);
	assert_true(few->max_in_message <= 5);
	ext_close(c);
	ext_close(few);
	harness_stop(h);
}

/* Every connection's peer is thought to run on another CPU (wrk_hint.h). */
static void fake_apart(struct harness *h)
{
	uint64_t now = h->w.loop.now_ns;

	for (struct wrk_conn *c = wrk_conn_first(h->w.conns); c; c = c->next) {
		for (unsigned i = 0; i <= WRK_HINT_BEGIN + WRK_HINT_TRIAL; i++)
			wrk_hint_read(&h->w.loop, &c->hint, c->fd, now += 1000);
		assert_true(wrk_hint_apart(&c->hint));
	}
}

/* As test_get_many(), by the short way: in part, as a whole, and what it must leave to the long way. */
static void test_hot_many(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct client *c = ext_connect(h);
	uint64_t hits;

	(void)state;
	many(h, 253);
	attach(c, 1, 253, 0);
	harness_call(h, fake_uid);
	get_many(h, c, 30, 1000); /* none is in the cache (of 64), then these are */
	hits = harness_counter(OM_C_FD_CACHE_HIT);
	get_many(h, c, 60, 1000);
	assert_int_equal(harness_counter(OM_C_FD_CACHE_HIT), hits + 30);
	c->max_in_message = 0;
	get_many(h, c, 60, 1000);
	assert_int_equal(harness_counter(OM_C_FD_CACHE_HIT), hits + 30 + 60);
	assert_int_equal(c->max_in_message, 60);
	get_many(h, c, 253, 1000);
	get_many(h, c, 253, 3); /* every third is missing: the group says so */
	harness_call(h, fake_apart);
	c->max_in_message = 0;
	get_many(h, c, 253, 3); /* parts leave when they are ready */
	get_many(h, c, 253, 1000);
	assert_in_range(c->max_in_message, 1, 32);
	ext_close(c);
	harness_stop(h);
}

/* `n` GETs of one in one write, every fifth of something that is not there, with a PING and one with a flag between them. */
static unsigned pipeline(struct client *c, unsigned n)
{
	unsigned ok = 0;
	static uint8_t buf[1 << 16];
	struct om_proto_ext ext;
	struct om_proto_body b;
	struct om_proto_wr wr;
	bool seen[1024] = { 0 };

	om_proto_wr_init(&wr, buf, sizeof(buf));
	for (unsigned i = 0; i < n; i++) {
		char uri[32];

		(void)snprintf(uri, sizeof(uri), i % 5 == 4 ? "/none/%u" : "/m/%u", i % 50);
		b = uri_body(uri);
		ext = (struct om_proto_ext){ .op = OM_PROTO_OP_GET, .id = i, .flags = i % 9 == 0 ? OM_PROTO_F_WANT_TIME : 0 };
		if (i % 31 == 30) {
			ext.op = OM_PROTO_OP_PING;
			b.have = 0;
		}
		assert_true(om_proto_ext_encode(&wr, &ext, &b) > 0);
	}
	harness_write(c->fd, buf, wr.len);
	for (unsigned i = 0; i < n; i++) {
		struct stat st;
		int fd;

		ext_recv(c, &ext, &b);
		assert_true(ext.id < n && !seen[ext.id]);
		seen[ext.id] = true;
		if (ext.id % 31 == 30) {
			assert_int_equal(ext.op, OM_PROTO_OP_PING | OM_PROTO_OP_RESPONSE);
			continue;
		}
		assert_int_equal(ext.status, ext.id % 5 == 4 ? OBJM_STATUS_NOT_FOUND : OBJM_STATUS_OK);
		assert_int_equal((b.have & OM_PROTO_BIT(SERVER_NS)) != 0, ext.id % 9 == 0);
		if (ext.status)
			continue;
		fd = ext_fd(c);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, ext.id % 50 + 1);
		assert_int_equal(b.obj.size, ext.id % 50 + 1);
		assert_int_equal(b.obj.gen & 1, 0);
		assert_int_equal(b.obj.tier, ext.id % 2);
		(void)close(fd);
		ok++;
	}
	return ok;
}

static void test_hot_pipeline(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct client *c = ext_connect(h);
	uint64_t hits, opened;
	unsigned ok;

	(void)state;
	many(h, 50);
	attach(c, 1, 253, 0);
	harness_call(h, fake_uid);
	for (unsigned round = 0; round < 10; round++)
		(void)pipeline(c, 400);
	hits = harness_counter(OM_C_FD_CACHE_HIT);
	opened = harness_counter(OM_C_FD_CACHE_MISS);
	c->max_in_message = 0;
	ok = pipeline(c, 400); /* more than are sent before the rest is begun */
	assert_int_equal(harness_counter(OM_C_FD_CACHE_MISS), opened);
	assert_int_equal(harness_counter(OM_C_FD_CACHE_HIT), hits + ok);
	assert_true(c->max_in_message >= 32);
	ext_close(c);
	harness_stop(h);
}

/* Of every 7 requests one is logged, however they are answered. */
static void count_access(enum om_msg id, enum om_log_prio prio, const char *text, void *arg)
{
	(void)prio;
	(void)text;
	*(unsigned *)arg += id == OM_MSG_ACCESS;
}
static void log_some(struct harness *h) { h->w.reqlog_every = h->w.reqlog_left = 7; }

static void test_hot_logged(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct client *c = ext_connect(h);
	unsigned n = 0, logged = 0;

	(void)state;
	many(h, 60);
	attach(c, 1, 253, 0);
	harness_call(h, fake_uid);
	get_many(h, c, 60, 1000);
	om_log_sink(count_access, &logged);
	harness_call(h, log_some);
	for (; n < 70; n++)
		(void)close(get(c, "/m/1"));
	assert_int_equal(logged, 10);
	get_many(h, c, 5, 1000); /* in part of a round */
	get_many(h, c, 60, 1000);
	harness_call(h, fake_uid); /* the last one's end is over */
	assert_int_equal(logged, 10 + 65 / 7);
	om_log_sink(NULL, NULL);
	ext_close(c);
	harness_stop(h);
}

/* The rules decide on the short way, too: one that takes the right away while the descriptor is in the cache. */
static const struct wrk_access *rights_before;
static void no_rights(struct harness *h)
{
	static const struct wrk_access none;

	rights_before = wrk_conn_first(h->w.conns)->access;
	wrk_conn_first(h->w.conns)->access = &none;
}
static void rights_again(struct harness *h) { wrk_conn_first(h->w.conns)->access = rights_before; }

static void test_hot_rights(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct client *c = ext_connect(h);
	struct om_proto_body b = uri_body("/o");
	struct om_proto_ext ext;

	(void)state;
	(void)harness_object(h, "/o", "0123456789", 10, 0);
	attach(c, 1, 253, 0);
	harness_call(h, fake_uid);
	(void)close(get(c, "/o"));
	(void)close(get(c, "/o"));
	assert_int_equal(harness_counter(OM_C_FD_CACHE_HIT), 1);
	harness_call(h, no_rights);
	ext_send(c, OM_PROTO_OP_GET, 3, 0, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, OBJM_STATUS_PERMISSION_DENIED);
	assert_int_equal(ext.nfds, 0);
	harness_call(h, rights_again); /* the connection gives it back */
	ext_close(c);
	harness_stop(h);
}

static void test_copy_range(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct client *c = ext_connect(h);
	struct om_proto_body b = uri_body("/r");
	struct om_proto_ext ext;
	char got[16];

	(void)state;
	(void)harness_object(h, "/r", "0123456789", 10, 1);
	b.have |= OM_PROTO_BIT(RANGE);
	b.range = (struct om_proto_range){ 4, 3 };
	ext_send(c, OM_PROTO_OP_GET, 1, OM_PROTO_F_COPY | OM_PROTO_F_WANT_TIME, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.payload_len, 3);
	assert_int_equal(b.range.off, 4);
	assert_int_equal(b.range.len, 3);
	assert_true(b.have & OM_PROTO_BIT(SERVER_NS));
	ext_payload(c, got, 3);
	assert_memory_equal(got, "456", 3);
	b = uri_body("/r");
	b.have |= OM_PROTO_BIT(RANGE);
	b.range = (struct om_proto_range){ 8, UINT64_MAX };
	ext_send(c, OM_PROTO_OP_GET, 2, OM_PROTO_F_COPY, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.payload_len, 2);
	ext_payload(c, got, 2);
	b = uri_body("/r");
	b.have |= OM_PROTO_BIT(RANGE);
	b.range = (struct om_proto_range){ 11, 0 };
	ext_send(c, OM_PROTO_OP_GET, 3, OM_PROTO_F_COPY, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, OBJM_STATUS_RANGE_NOT_SATISFIABLE);
	ext_close(c);
	harness_stop(h);
}

static void copy_is(struct client *c, const char *uri, uint64_t off, uint64_t len, const char *want)
{
	struct om_proto_body b = uri_body(uri);
	struct om_proto_ext ext;
	char got[64];

	b.have |= OM_PROTO_BIT(RANGE);
	b.range = (struct om_proto_range){ off, len };
	ext_send(c, OM_PROTO_OP_GET, 1, OM_PROTO_F_COPY, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, 0);
	assert_int_equal(ext.payload_len, strlen(want));
	ext_payload(c, got, strlen(want));
	assert_memory_equal(got, want, strlen(want));
}

/* Small objects' bytes are kept when they are asked for again: no file is needed then; new bytes are a new object. */
static void test_copy_small(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct client *c = ext_connect(h);

	(void)state;
	for (unsigned tier = 0; tier < 2; tier++) {
		uint64_t id = harness_object(h, "/s", "0123456789", 10, tier), sent = harness_counter(OM_C_BYTES_SENT);

		copy_is(c, "/s", 0, 0, "0123456789");
		copy_is(c, "/s", 2, 3, "234");
		assert_int_equal(harness_counter(OM_C_BYTES_SENT), sent + 13);
		copy_is(c, "/s", 10, 0, "");
		harness_unlink(h, id, tier);
		copy_is(c, "/s", 0, 0, "0123456789"); /* kept: the file is not looked at */
		copy_is(c, "/s", 9, 5, "9");
		(void)harness_object(h, "/s", "abc", 3, tier);
		copy_is(c, "/s", 0, 0, "abc");
		copy_is(c, "/s", 0, 0, "abc");
		copy_is(c, "/s", 1, 0, "bc");
	}
	ext_close(c);
	harness_stop(h);
}

static void test_stat_delete_list(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct client *c = ext_connect(h);
	struct om_proto_body b = uri_body("/l/001");
	struct om_proto_ext ext;
	unsigned n = 0, pages = 0;
	char after[64] = "";

	(void)state;
	for (unsigned i = 0; i < 2500; i++) {
		char uri[32];

		(void)snprintf(uri, sizeof(uri), "/l/%03u", i);
		if (i < 1000)
			(void)harness_object(h, uri, "x", 1, 0);
		else
			h->objs[h->n_objs++] = (struct harness_obj){ .uri = "/m", .live = true };
	}
	ext_send(c, OM_PROTO_OP_STAT, 5, 0, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, 0);
	assert_int_equal(ext.nfds, 0);
	assert_int_equal(b.type.len, 9);
	assert_memory_equal(b.tier_name.p, "mem", 3);
	assert_int_equal(b.heat.heat_millionths, 250000);
	for (bool more = true; more; pages++) {
		size_t pos = 0;
		uint16_t tag;
		struct om_proto_str s;

		b = (struct om_proto_body){ .have = OM_PROTO_BIT(PREFIX) | OM_PROTO_BIT(START_AFTER) | OM_PROTO_BIT(LIMIT),
					    .prefix = { "/l/", 3 }, .start_after = { after, (uint32_t)strlen(after) }, .limit = 300 };
		ext_send(c, OM_PROTO_OP_LIST, 6, 0, &b, NULL, 0);
		do {
			ext_recv(c, &ext, &b);
			assert_int_equal(ext.status, 0);
			for (pos = 0; om_proto_tlv_next(ext.tlv, ext.tlv_len, &pos, &tag, &s) == 1;)
				n += tag == OM_PROTO_TAG_ENTRY;
		} while (ext.flags & OM_PROTO_F_MORE);
		more = b.have & OM_PROTO_BIT(NEXT);
		if (more) {
			memcpy(after, b.next.p, b.next.len);
			after[b.next.len] = 0;
		}
	}
	assert_int_equal(n, 1000);
	assert_int_equal(pages, 4);
	b = uri_body("/l/001");
	ext_send(c, OM_PROTO_OP_DELETE, 7, 0, &b, NULL, 0);
	b = uri_body("/l/001");
	ext_send(c, OM_PROTO_OP_GET, 8, OM_PROTO_F_ORDERED, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.id, 7);
	assert_int_equal(ext.status, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.id, 8);
	assert_int_equal(ext.status, OBJM_STATUS_NOT_FOUND);
	ext_close(c);
	harness_stop(h);
}

static void test_puts(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct client *c = ext_connect(h);
	struct om_proto_body b = uri_body("/in");
	struct om_proto_ext ext;
	static char data[300000], got[300000];
	uint32_t session;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 13 >> 3);
	ext_send(c, OM_PROTO_OP_PUT_INLINE, 1, 0, &b, data, sizeof(data));
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, 0);
	assert_int_equal(b.obj.size, sizeof(data));
	fd = get(c, "/in");
	assert_int_equal(read(fd, got, sizeof(got)), sizeof(got));
	assert_memory_equal(got, data, sizeof(data));
	(void)close(fd);
	/* empty */
	b = uri_body("/empty");
	ext_send(c, OM_PROTO_OP_PUT_INLINE, 2, 0, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, 0);
	/* too large: refused, its bytes are read and thrown away, the connection goes on */
	{
		char *big = calloc(1, (1u << 20) + 1);

		b = uri_body("/big");
		ext_send(c, OM_PROTO_OP_PUT_INLINE, 3, 0, &b, big, (1u << 20) + 1);
		ext_recv(c, &ext, &b);
		assert_int_equal(ext.status, OBJM_STATUS_TOO_LARGE);
		free(big);
	}
	/* begin, write, commit */
	b = uri_body("/begun");
	ext_send(c, OM_PROTO_OP_PUT_BEGIN, 4, 0, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, 0);
	session = b.session;
	fd = ext_fd(c);
	assert_int_equal(write(fd, "whole", 5), 5);
	b = (struct om_proto_body){ .have = OM_PROTO_BIT(SESSION), .session = session };
	ext_send(c, OM_PROTO_OP_PUT_COMMIT, 5, 0, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, OBJM_STATUS_WRITER_STILL_OPEN);
	(void)close(fd);
	b = (struct om_proto_body){ .have = OM_PROTO_BIT(SESSION), .session = session };
	ext_send(c, OM_PROTO_OP_PUT_COMMIT, 6, 0, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, 0);
	assert_int_equal(b.obj.size, 5);
	fd = get(c, "/begun");
	assert_int_equal(read(fd, got, 10), 5);
	(void)close(fd);
	b = (struct om_proto_body){ .have = OM_PROTO_BIT(SESSION), .session = session };
	ext_send(c, OM_PROTO_OP_PUT_ABORT, 7, 0, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, OBJM_STATUS_NO_SESSION);
	ext_close(c);
	harness_stop(h);
}

/* Who may not commit any more when he comes to it has no session any more either: it would keep its room and its place. */
static void test_put_denied(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct client *c = ext_connect(h);
	struct om_proto_body b = uri_body("/begun");
	struct om_proto_ext ext;
	uint32_t session;

	(void)state;
	ext_send(c, OM_PROTO_OP_PUT_BEGIN, 1, 0, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, 0);
	session = b.session;
	(void)close(ext_fd(c));
	assert_int_equal(harness_counter(OM_C_PUT_OPEN), 1);
	harness_call(h, no_rights);
	b = (struct om_proto_body){ .have = OM_PROTO_BIT(SESSION), .session = session };
	ext_send(c, OM_PROTO_OP_PUT_COMMIT, 2, 0, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, OBJM_STATUS_PERMISSION_DENIED);
	assert_non_null(memmem(b.error_text.p, b.error_text.len, "`write`", 7));
	assert_int_equal(harness_counter(OM_C_PUT_OPEN), 0);
	harness_call(h, rights_again);
	b = (struct om_proto_body){ .have = OM_PROTO_BIT(SESSION), .session = session };
	ext_send(c, OM_PROTO_OP_PUT_COMMIT, 3, 0, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, OBJM_STATUS_NO_SESSION);
	ext_close(c);
	harness_stop(h);
}

/* An inline put on a connection that keeps the order must not wait for itself. */
static void test_put_in_order(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct om_proto_hello hello = { .caps = OM_PROTO_CAP_EXTENSION };
	struct client *c = calloc(1, sizeof(*c));
	struct om_proto_body b = uri_body("/in");
	struct om_proto_ext ext;
	uint8_t buf[32], ack[OM_PROTO_HELLO_ACK_LEN];

	(void)state;
	c->fd = harness_connect(h);
	harness_write(c->fd, buf, (size_t)om_proto_hello_encode(&hello, buf, sizeof(buf)));
	harness_read(c->fd, ack, sizeof(ack));
	for (uint32_t i = 0; i < 20; i++) {
		b = uri_body("/in");
		ext_send(c, OM_PROTO_OP_PUT_INLINE, i, 0, &b, "payload", 7);
	}
	for (uint32_t i = 0; i < 20; i++) {
		ext_recv(c, &ext, &b);
		assert_int_equal(ext.id, i);
		assert_int_equal(ext.status, 0);
	}
	ext_close(c);
	harness_stop(h);
}

/* A client that goes away in every state of a put leaves nothing behind that hurts. */
static void test_put_and_gone(void **state)
{
	struct harness *h = harness_start(NULL, true);

	(void)state;
	for (int i = 0; i < 60; i++) {
		struct client *c = ext_connect(h);
		struct om_proto_body b = uri_body("/gone");

		if (i % 3 == 0) {
			ext_send(c, OM_PROTO_OP_PUT_BEGIN, 4, 0, &b, NULL, 0);
		} else if (i % 3 == 1) {
			ext_send(c, OM_PROTO_OP_PUT_INLINE, 4, 0, &b, "payload", 7);
		} else {
			uint8_t half[64];
			struct om_proto_ext ext = { .op = OM_PROTO_OP_PUT_INLINE, .payload_len = 1000 };
			struct om_proto_wr wr;

			om_proto_wr_init(&wr, half, sizeof(half));
			assert_true(om_proto_ext_encode(&wr, &ext, &b) > 0);
			harness_write(c->fd, half, wr.len);
			harness_write(c->fd, "half", 4);
		}
		if (i % 2)
			(void)usleep(1000);
		ext_close(c);
	}
	for (int i = 0; i < 200 && harness_counter(OM_C_CONNECTIONS); i++)
		(void)usleep(10000);
	assert_int_equal(harness_counter(OM_C_CONNECTIONS), 0);
	harness_stop(h);
}

static void test_refusals(void **state)
{
	struct harness *h = harness_start(NULL, true);
	struct client *c = ext_connect(h);
	struct om_proto_body b = { 0 };
	struct om_proto_ext ext;
	static char zeros[70000];
	uint8_t frame[OM_PROTO_EXT_HDR] = { 0x10, OM_PROTO_OP_GET };

	(void)state;
	(void)harness_object(h, "/o", "0123456789", 10, 0);
	ext_send(c, 77, 1, 0, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, OBJM_STATUS_UNSUPPORTED_OP);
	frame[12 + 1] = 1; /* tlv_len 65,537 + ... : above frame_bytes; read and thrown away */
	frame[15] = 0x01;
	harness_write(c->fd, frame, sizeof(frame));
	harness_write(c->fd, zeros, 65537);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, OBJM_STATUS_TOO_LARGE);
	b = uri_body("/o");
	ext_send(c, OM_PROTO_OP_GET, 2, 0, &b, "unasked payload", 15);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, OBJM_STATUS_INVALID_REQUEST);
	b = uri_body("\xff\xfe");
	ext_send(c, OM_PROTO_OP_GET, 3, 0, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.status, OBJM_STATUS_INVALID_REQUEST);
	b = (struct om_proto_body){ 0 };
	ext_send(c, OM_PROTO_OP_PING, 4, 0, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.id, 4);
	assert_int_equal(ext.status, 0);
	b = (struct om_proto_body){ .have = OM_PROTO_BIT(PROMISE), .promise = 1 };
	ext_send(c, OM_PROTO_OP_ATTACH, 5, OM_PROTO_F_WANT_TABLE, &b, NULL, 0);
	ext_recv(c, &ext, &b);
	assert_int_equal(ext.nfds, 1);
	{
		const struct idx_gen_table *t = NULL;
		int fd = ext_fd(c);

		assert_int_equal(idx_gen_map(fd, &t), 0);
		idx_gen_unmap(t);
		(void)close(fd);
	}
	ext_close(c);
	harness_stop(h);
}

static void fake_uid(struct harness *h)
{
	struct wrk_conn *c = NULL;

	/* Every connection's source is in the loop; the test's connections are the only ones. */
	for (c = wrk_conn_first(h->w.conns); c; c = c->next)
		c->uid = 1000;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sharing), cmocka_unit_test(test_get_many), cmocka_unit_test(test_hot_many),
		cmocka_unit_test(test_hot_pipeline), cmocka_unit_test(test_hot_rights), cmocka_unit_test(test_hot_logged), cmocka_unit_test(test_copy_range), cmocka_unit_test(test_copy_small),
		cmocka_unit_test(test_stat_delete_list), cmocka_unit_test(test_puts), cmocka_unit_test(test_put_denied), cmocka_unit_test(test_put_in_order),
		cmocka_unit_test(test_put_and_gone), cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
