/*
 * test_ring.c: om_ring: order and content, wrap-around, room, sleeping and waking, two threads under load (run it under
 * TSan), and a peer that lies in every field that it can write.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "common/om_ring.h"

#define STRESS 300000u

/* Two ends in one process: each attaches to the other's segment as a child would. */
struct pair {
	struct om_ring a, b;
	struct om_seg seg_a, seg_b; /* as made: writable views for the hostile tests */
};

static struct om_seg peer_view(const struct om_seg *made)
{
	struct om_seg seg;
	assert_int_equal(om_seg_attach(dup(made->rofd), sizeof(struct om_ring_hdr), false, &seg), 0);
	return seg;
}

static void pair_open(struct pair *p)
{
	struct om_seg own_a, own_b;
	int kick_a = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), kick_b = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	assert_int_equal(om_ring_seg_create("test-a", OM_RING_BYTES, &p->seg_a), 0);
	assert_int_equal(om_ring_seg_create("test-b", OM_RING_BYTES, &p->seg_b), 0);
	assert_int_equal(om_seg_attach(dup(p->seg_a.fd), sizeof(struct om_ring_hdr), true, &own_a), 0);
	assert_int_equal(om_seg_attach(dup(p->seg_b.fd), sizeof(struct om_ring_hdr), true, &own_b), 0);
	assert_int_equal(om_ring_init(&p->a, own_a, peer_view(&p->seg_b), dup(kick_b), kick_a), 0);
	assert_int_equal(om_ring_init(&p->b, own_b, peer_view(&p->seg_a), dup(kick_a), kick_b), 0);
}

static void pair_close(struct pair *p)
{
	om_ring_fini(&p->a);
	om_ring_fini(&p->b);
	om_seg_close(&p->seg_a);
	om_seg_close(&p->seg_b);
}

static int put(struct om_ring *r, const void *buf, size_t len)
{
	const struct iovec iov[2] = { { (void *)(uintptr_t)buf, len / 2 }, { (char *)(uintptr_t)buf + len / 2, len - len / 2 } };
	return om_ring_put(r, iov, 2);
}

static void pattern(unsigned char *buf, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (unsigned char)(seed * 31 + i * 7);
}

static void test_order_and_content(void **state)
{
	struct pair p;
	static unsigned char out[OM_RING_MSG_MAX], in[OM_RING_MSG_MAX];
	size_t len;
	(void)state;

	pair_open(&p);
	assert_int_equal(om_ring_get(&p.b, in, sizeof(in), &len), -OBJM_STATUS_WOULD_BLOCK);
	/* far more than the area holds, in every length modulo 8: the end of the area is met at many offsets */
	for (uint32_t i = 0; i < 20000; i++) {
		size_t n = 1 + i * 37 % 4000;
		pattern(out, n, i);
		assert_int_equal(put(&p.a, out, n), 0);
		if (i % 3 == 0)
			continue; /* two at a time are in the ring */
		for (uint32_t k = i % 3 == 1 ? i - 1 : i; k <= i; k++) {
			size_t want = 1 + k * 37 % 4000;
			assert_int_equal(om_ring_get(&p.b, in, sizeof(in), &len), 0);
			pattern(out, want, k);
			assert_int_equal(len, want);
			assert_memory_equal(in, out, want);
		}
	}
	pair_close(&p);
}

static void test_limits(void **state)
{
	struct pair p;
	static unsigned char buf[OM_RING_MSG_MAX + 1];
	size_t len, n = 0;
	(void)state;

	pair_open(&p);
	assert_int_equal(put(&p.a, buf, sizeof(buf)), -OBJM_STATUS_TOO_LARGE);
	assert_int_equal(om_ring_put(&p.a, NULL, 0), -OBJM_STATUS_TOO_LARGE); /* a message has at least a byte */
	while (put(&p.a, buf, OM_RING_MSG_MAX) == 0)
		n++;
	assert_true(n >= OM_RING_BYTES / (OM_RING_MSG_MAX + 8) - 1);
	assert_int_equal(put(&p.a, buf, OM_RING_MSG_MAX), -OBJM_STATUS_WOULD_BLOCK);
	assert_int_equal(om_ring_get(&p.b, buf, sizeof(buf), &len), 0);
	assert_int_equal(put(&p.a, buf, OM_RING_MSG_MAX), 0); /* room again */
	while (n--)
		assert_int_equal(om_ring_get(&p.b, buf, sizeof(buf), &len), 0);
	assert_int_equal(om_ring_get(&p.b, buf, sizeof(buf), &len), -OBJM_STATUS_WOULD_BLOCK);
	pair_close(&p);
}

static bool kicked(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	return poll(&pfd, 1, 0) == 1;
}

static void test_sleep_and_kick(void **state)
{
	struct pair p;
	char buf[OM_RING_MSG_MAX];
	size_t len;
	(void)state;

	pair_open(&p);
	/* an awake consumer is not kicked */
	assert_int_equal(put(&p.a, "hello", 5), 0);
	om_ring_kick(&p.a);
	assert_false(kicked(p.b.kick_self));
	/* one with something to read does not sleep */
	assert_false(om_ring_sleep(&p.b));
	assert_int_equal(om_ring_get(&p.b, buf, sizeof(buf), &len), 0);
	assert_true(om_ring_sleep(&p.b));
	/* a sleeper is kicked once a batch, and not without a message */
	om_ring_kick(&p.a);
	assert_false(kicked(p.b.kick_self));
	assert_int_equal(put(&p.a, "x", 1), 0);
	assert_int_equal(put(&p.a, "y", 1), 0);
	om_ring_kick(&p.a);
	assert_true(kicked(p.b.kick_self));
	om_ring_awake(&p.b);
	assert_false(kicked(p.b.kick_self));
	pair_close(&p);
}

/* ---- two threads ---- */

struct word {
	uint32_t n, inverse;
};

static void *producer(void *arg)
{
	struct om_ring *r = arg;
	unsigned char buf[512];

	for (uint32_t i = 0; i < STRESS;) {
		struct word w = { i, ~i };
		size_t len = sizeof(w) + i * 13 % 400;
		memset(buf, (int)(i & 0xff), len);
		memcpy(buf, &w, sizeof(w));
		int err = put(r, buf, len);
		if (err == 0)
			i++;
		else if (err != -OBJM_STATUS_WOULD_BLOCK)
			return (void *)(uintptr_t)1;
		if (err < 0 || i % 7 == 0)
			om_ring_kick(r);
		if (err < 0)
			(void)usleep(10);
	}
	om_ring_kick(r);
	return NULL;
}

/*
 * Both ends on the same addresses: a race detector knows two mappings of one page as two memories, and would see nothing.
 * om_ring_fini() must not unmap them twice.
 */
static void share_mappings(struct pair *p)
{
	om_seg_close(&p->a.peer);
	om_seg_close(&p->b.peer);
	p->a.peer = (struct om_seg){ .base = p->b.own.base, .bytes = p->b.own.bytes, .fd = -1, .rofd = -1 };
	p->b.peer = (struct om_seg){ .base = p->a.own.base, .bytes = p->a.own.bytes, .fd = -1, .rofd = -1 };
}

static void test_two_threads(void **state)
{
	struct pair p;
	pthread_t t;
	void *bad;
	static unsigned char buf[OM_RING_MSG_MAX];
	size_t len;
	unsigned slept = 0;
	(void)state;

	pair_open(&p);
	share_mappings(&p);
	assert_int_equal(pthread_create(&t, NULL, producer, &p.a), 0);
	for (uint32_t i = 0; i < STRESS;) {
		struct word w;
		int err = om_ring_get(&p.b, buf, sizeof(buf), &len);
		if (err == -OBJM_STATUS_WOULD_BLOCK) {
			struct pollfd pfd = { .fd = p.b.kick_self, .events = POLLIN };
			if (!om_ring_sleep(&p.b))
				continue;
			slept++;
			/* a lost kick would leave us here: the producer goes on kicking only when it has published */
			assert_int_equal(poll(&pfd, 1, 20000), 1);
			om_ring_awake(&p.b);
			continue;
		}
		assert_int_equal(err, 0);
		memcpy(&w, buf, sizeof(w));
		assert_int_equal(w.n, i);
		assert_int_equal(w.inverse, ~i);
		assert_int_equal(len, sizeof(w) + i * 13 % 400);
		for (size_t k = sizeof(w); k < len; k++)
			assert_int_equal(buf[k], i & 0xff);
		i++;
	}
	pthread_join(t, &bad);
	assert_null(bad);
	print_message("# slept %u times\n", slept);
	p.a.peer = p.b.peer = OM_SEG_INIT;
	pair_close(&p);
}

/* ---- a peer that lies ---- */

static struct om_ring_hdr *hdr(struct om_seg *seg) { return seg->base; }
static void set_len(struct om_seg *seg, uint64_t at, uint32_t len)
{
	memcpy((char *)seg->base + sizeof(struct om_ring_hdr) + at, &len, sizeof(len));
}

static void test_hostile_producer(void **state)
{
	static const uint64_t tails[] = { 1, 7, OM_RING_BYTES + 8, OM_RING_BYTES * 2, UINT64_MAX, UINT64_MAX - 7, UINT64_C(1) << 63 };
	static const uint32_t lens[] = { 0, OM_RING_MSG_MAX + 1, OM_RING_BYTES, 0x7fffffff, 0xfffffff0, 0xffffffff };
	char buf[OM_RING_MSG_MAX];
	size_t len;
	(void)state;

	for (unsigned i = 0; i < OM_ARRAY_SIZE(tails); i++) { /* a tail that cannot be */
		struct pair p;
		pair_open(&p);
		atomic_store(&hdr(&p.seg_a)->tail, tails[i]);
		assert_int_equal(om_ring_get(&p.b, buf, sizeof(buf), &len), -OBJM_STATUS_CORRUPT);
		pair_close(&p);
	}
	for (unsigned i = 0; i < OM_ARRAY_SIZE(lens); i++) { /* a length that cannot be; the last one: padding at the start */
		struct pair p;
		pair_open(&p);
		set_len(&p.seg_a, 0, lens[i]);
		atomic_store(&hdr(&p.seg_a)->tail, OM_RING_BYTES);
		assert_int_equal(om_ring_get(&p.b, buf, sizeof(buf), &len), -OBJM_STATUS_CORRUPT);
		pair_close(&p);
	}
	struct pair p;
	pair_open(&p); /* a record longer than what is published */
	set_len(&p.seg_a, 0, 100);
	atomic_store(&hdr(&p.seg_a)->tail, 64);
	assert_int_equal(om_ring_get(&p.b, buf, sizeof(buf), &len), -OBJM_STATUS_CORRUPT);
	pair_close(&p);

	pair_open(&p); /* a tail that goes back below what was read */
	assert_int_equal(put(&p.a, "abc", 3), 0);
	assert_int_equal(om_ring_get(&p.b, buf, sizeof(buf), &len), 0);
	atomic_store(&hdr(&p.seg_a)->tail, 8);
	assert_int_equal(om_ring_get(&p.b, buf, sizeof(buf), &len), -OBJM_STATUS_CORRUPT);
	pair_close(&p);

	pair_open(&p); /* padding after which nothing comes: the reader must not run on */
	assert_int_equal(put(&p.a, "abcdefgh", 8), 0);
	assert_int_equal(om_ring_get(&p.b, buf, sizeof(buf), &len), 0);
	set_len(&p.seg_a, 16, 0xffffffff);
	atomic_store(&hdr(&p.seg_a)->tail, 32);
	assert_int_equal(om_ring_get(&p.b, buf, sizeof(buf), &len), -OBJM_STATUS_CORRUPT);
	pair_close(&p);
}

static void test_hostile_consumer(void **state)
{
	static const uint64_t heads[] = { 1000000, UINT64_MAX, UINT64_C(1) << 63 };
	struct pair p;
	char buf[1024] = { 0 };
	(void)state;

	for (unsigned i = 0; i < OM_ARRAY_SIZE(heads); i++) { /* it says that it read what was never written */
		pair_open(&p);
		assert_int_equal(put(&p.a, buf, sizeof(buf)), 0);
		atomic_store(&hdr(&p.seg_b)->head, heads[i]);
		assert_int_equal(put(&p.a, buf, sizeof(buf)), -OBJM_STATUS_CORRUPT);
		pair_close(&p);
	}
}

static void test_header_is_checked(void **state)
{
	struct om_seg good, bad;
	struct om_ring r;
	(void)state;

	assert_int_equal(om_ring_seg_create("test-good", OM_RING_BYTES, &good), 0);
	assert_int_equal(om_seg_create("test-bad", 4096, OM_SEG_SHARED, &bad), 0);
	assert_int_equal(om_ring_init(&r, good, bad, -1, -1), -OBJM_STATUS_CORRUPT);
	hdr(&bad)->magic = OM_RING_MAGIC;
	hdr(&bad)->data_bytes = OM_RING_BYTES; /* more than the segment has */
	assert_int_equal(om_ring_init(&r, good, bad, -1, -1), -OBJM_STATUS_CORRUPT);
	hdr(&good)->data_bytes = OM_RING_BYTES / 2; /* the peer may not choose the size */
	assert_int_equal(om_ring_init(&r, bad, good, -1, -1), -OBJM_STATUS_CORRUPT);
	om_seg_close(&good);
	om_seg_close(&bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_content), cmocka_unit_test(test_limits),	cmocka_unit_test(test_sleep_and_kick),
		cmocka_unit_test(test_two_threads),	  cmocka_unit_test(test_hostile_producer),
		cmocka_unit_test(test_hostile_consumer),  cmocka_unit_test(test_header_is_checked),
	};
	return cmocka_run_group_tests_name("common/ring", tests, NULL, NULL);
}
