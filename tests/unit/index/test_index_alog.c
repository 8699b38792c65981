/*
 * test_index_alog.c: access logs: order, sampling, overrun found by the reader, and a worker that writes nonsense.
 */
#include "tests/unit/index/idx_test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include "index/idx_alog.h"

struct pair {
	struct om_seg seg;
	struct idx_alogw w;
	struct idx_alogr r;
};

static void open_pair(struct pair *p, uint32_t every)
{
	assert_int_equal(idx_alog_create(&p->seg), 0);
	assert_int_equal(idx_alogw_attach(dup(p->seg.fd), every, &p->w), 0);
	assert_int_equal(idx_alogr_attach(dup(p->seg.rofd), &p->r), 0);
}

static void close_pair(struct pair *p)
{
	idx_alogw_detach(&p->w);
	idx_alogr_detach(&p->r);
	om_seg_close(&p->seg);
}

static void in_order_and_in_batches(void **state)
{
	struct idx_alog_access a[300];
	struct pair p;

	(void)state;
	open_pair(&p, 1);
	for (uint32_t i = 0; i < IDX_ALOG_BATCH - 1; i++)
		idx_alogw_add(&p.w, 0x10002, i);
	assert_int_equal(idx_alogr_read(&p.r, a, 300), 0); /* not published yet */
	idx_alogw_add(&p.w, 0x10002, IDX_ALOG_BATCH - 1);
	assert_int_equal(idx_alogr_read(&p.r, a, 10), 10);
	assert_int_equal(a[9].slot, 9);
	assert_int_equal(idx_alogr_read(&p.r, a, 300), IDX_ALOG_BATCH - 10);
	assert_true(a[0].slot == 10 && a[0].segment == 2 && a[0].weight == 1);
	idx_alogw_add_n(&p.w, 3, UINT32_MAX, 1000000);
	idx_alogw_add_n(&p.w, 3, 1, 0);
	idx_alogw_flush(&p.w);
	assert_int_equal(idx_alogr_read(&p.r, a, 300), 1);
	assert_true(a[0].slot == UINT32_MAX && a[0].weight == IDX_ALOG_WEIGHT_MAX);
	assert_true(p.r.lost == 0 && p.r.resets == 0);
	close_pair(&p);
}

static void many_are_as_one_by_one(void **state)
{
	static const unsigned parts[] = {1, 0, 62, 3, 64, 130, 253, 7};
	struct idx_alog_access a[IDX_ALOG_CAP];
	uint32_t slots[253], next = 0, seen = 0;
	struct pair p;

	(void)state;
	open_pair(&p, 1);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(parts); i++) {
		for (unsigned j = 0; j < parts[i]; j++)
			slots[j] = next + j;
		idx_alogw_add_many(&p.w, 0x30007, slots, parts[i]);
		next += parts[i];
		for (unsigned j = 0, n = idx_alogr_read(&p.r, a, IDX_ALOG_CAP); j < n; j++, seen++)
			assert_true(a[j].slot == seen && a[j].segment == 7 && a[j].weight == 1);
		assert_int_equal(seen, next - next % IDX_ALOG_BATCH); /* whole batches are published */
	}
	close_pair(&p);
}

static void overrun_is_counted(void **state)
{
	static struct idx_alog_access a[IDX_ALOG_CAP];
	const uint32_t n = 3 * IDX_ALOG_CAP;
	struct pair p;
	unsigned got;

	(void)state;
	open_pair(&p, 1);
	for (uint32_t i = 0; i < n; i++)
		idx_alogw_add(&p.w, 1, i);
	idx_alogw_flush(&p.w);
	got = idx_alogr_read(&p.r, a, IDX_ALOG_CAP);
	assert_int_equal(got, IDX_ALOG_CAP - IDX_ALOG_BATCH);
	assert_int_equal(got + p.r.lost, n);
	for (unsigned i = 0; i < got; i++)
		assert_int_equal(a[i].slot, n - got + i);
	close_pair(&p);
}

static void sampled(bool many)
{
	static const uint32_t slots[40] = {0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4,
					   0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4};
	static struct idx_alog_access a[IDX_ALOG_CAP];
	uint64_t weight[5] = {0}, total = 0;
	const unsigned rounds = 1000000;
	struct pair p;

	open_pair(&p, 16);
	for (unsigned i = 0; i < rounds; i++) { /* five slots in a fixed turn: a fixed gap would favour one */
		if (many && i % 40 == 0)
			idx_alogw_add_many(&p.w, 1, slots, 40);
		else if (!many)
			idx_alogw_add(&p.w, 1, i % 5);
		if (i % 10000 == 0)
			for (unsigned j = 0, n = idx_alogr_read(&p.r, a, IDX_ALOG_CAP); j < n; j++)
				weight[a[j].slot] += a[j].weight;
	}
	idx_alogw_flush(&p.w);
	for (unsigned j = 0, n = idx_alogr_read(&p.r, a, IDX_ALOG_CAP); j < n; j++)
		weight[a[j].slot] += a[j].weight;
	assert_int_equal(p.r.lost, 0);
	for (unsigned i = 0; i < 5; i++) {
		assert_true(weight[i] > rounds / 5 * 95 / 100 && weight[i] < rounds / 5 * 105 / 100);
		total += weight[i];
	}
	assert_true(total > rounds * 98ull / 100 && total < rounds * 102ull / 100);
	close_pair(&p);
}

static void sampling_is_fair(void **state)
{
	(void)state;
	sampled(false);
	sampled(true);
}

static void nonsense_from_a_worker(void **state)
{
	static struct idx_alog_access a[IDX_ALOG_CAP];
	struct pair p;
	struct idx_alog_seg *s;

	(void)state;
	open_pair(&p, 1);
	s = (struct idx_alog_seg *)p.w.seg.base;
	atomic_store(&s->head, 500);
	assert_int_equal(idx_alogr_read(&p.r, a, 1000), 500); /* zeroes: weight is made 1 */
	assert_int_equal(a[0].weight, 1);
	atomic_store(&s->head, 3); /* back */
	assert_int_equal(idx_alogr_read(&p.r, a, 1000), 0);
	assert_int_equal(p.r.resets, 1);
	atomic_store(&s->head, UINT64_MAX - 1);
	assert_true(idx_alogr_read(&p.r, a, IDX_ALOG_CAP) <= IDX_ALOG_CAP);
	atomic_store(&s->head, 1ull << 62);
	assert_true(idx_alogr_read(&p.r, a, IDX_ALOG_CAP) <= IDX_ALOG_CAP);
	s->capacity = 1ull << 40; /* nobody looks again */
	atomic_store(&s->head, (1ull << 62) + 100000);
	assert_true(idx_alogr_read(&p.r, a, IDX_ALOG_CAP) <= IDX_ALOG_CAP);
	close_pair(&p);
	assert_int_equal(idx_alog_create(&p.seg), 0);
	((struct idx_alog_seg *)p.seg.base)->layout++;
	assert_int_equal(idx_alogr_attach(p.seg.rofd, &p.r), -OBJM_STATUS_CORRUPT);
	assert_int_equal(idx_alogw_attach(p.seg.fd, 1, &p.w), -OBJM_STATUS_CORRUPT);
	assert_int_equal(idx_alogw_attach(p.seg.fd, 0, &p.w), -OBJM_STATUS_INVALID_REQUEST);
	om_seg_close(&p.seg);
}

/* A writer that never waits against a reader that is sometimes too slow: what is read is never torn, old or out of order, and
 * read + lost is all there was. Both use one mapping, so that a race detector sees them. */
enum { CHASE = 64 * 100000 };
static void *chase_writer(void *arg)
{
	struct idx_alogw *w = (struct idx_alogw *)arg;

	for (uint32_t i = 0; i < CHASE;) {
		/* What 64 idx_alogw_add_n() do, but faster: a writer that overtakes the reader is what is wanted. */
		for (w->pending = 0; w->pending < IDX_ALOG_BATCH; w->pending++, i++)
			w->batch[w->pending] = i | (uint64_t)(i & 0xffff) << 32 | 1ull << 48;
		idx_alogw_flush(w);
	}
	return NULL;
}

static void chase(void **state)
{
	static struct idx_alog_access a[IDX_ALOG_CAP];
	struct om_seg mine;
	struct pair p;
	pthread_t thread;
	uint64_t got = 0;

	(void)state;
	open_pair(&p, 1);
	mine = p.r.seg;
	p.r.seg.base = p.w.seg.base;
	assert_int_equal(pthread_create(&thread, NULL, chase_writer, &p.w), 0);
	while (got + p.r.lost < CHASE) {
		unsigned n = idx_alogr_read(&p.r, a, 1 + (unsigned)(mix(got) % IDX_ALOG_CAP));

		for (unsigned i = 0; i < n; i++)
			if ((a[i].slot & 0xffff) != a[i].segment || a[i].slot != p.r.pos - n + i)
				fail();
		got += n;
	}
	(void)pthread_join(thread, NULL);
	assert_int_equal(got + p.r.lost, CHASE);
	assert_true(got > 0);
	p.r.seg = mine;
	close_pair(&p);
}

/* The reader is stopped between any two instructions while the writer goes on, up to once round the ring. */
static struct idx_alogw *interrupting;
static uint32_t written;

static void write_some(int sig)
{
	uint32_t n = (uint32_t)(mix(written) % (IDX_ALOG_CAP + 100));

	(void)sig;
	for (; n > 0; n--, written++)
		idx_alogw_add_n(interrupting, written & 0xffff, written, 1);
	/* Stopped itself in the middle of a flush: entries of the next batch are in, the head is not. */
	for (uint32_t i = 0; i < interrupting->pending; i++)
		atomic_store(&((struct idx_alog_seg *)interrupting->seg.base)->entry[(interrupting->head + i) % IDX_ALOG_CAP],
			     interrupting->batch[i]);
}

static void interrupted(void **state)
{
	static struct idx_alog_access a[IDX_ALOG_CAP];
	struct itimerval every = {.it_interval = {.tv_usec = 40}, .it_value = {.tv_usec = 40}}, never = {0};
	struct sigaction act = {.sa_handler = write_some, .sa_flags = SA_RESTART};
	uint64_t got = 0, bad = 0, end = om_now_ns() + 1000000000u;
	struct pair p;

	(void)state;
	open_pair(&p, 1);
	interrupting = &p.w;
	written = 0;
	assert_int_equal(sigaction(SIGALRM, &act, NULL), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
	while (om_now_ns() < end) {
		unsigned n = idx_alogr_read(&p.r, a, IDX_ALOG_CAP);

		for (unsigned i = 0; i < n; i++)
			if ((a[i].slot & 0xffff) != a[i].segment || a[i].slot != (uint32_t)(p.r.pos - n + i))
				bad++;
		got += n;
	}
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	idx_alogw_flush(&p.w);
	got += idx_alogr_read(&p.r, a, IDX_ALOG_CAP);
	assert_int_equal(bad, 0);
	assert_true(got > 0 && p.r.lost > 0);
	assert_int_equal(got + p.r.lost, p.w.head);
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order_and_in_batches),
		cmocka_unit_test(many_are_as_one_by_one),
		cmocka_unit_test(overrun_is_counted),
		cmocka_unit_test(sampling_is_fair),
		cmocka_unit_test(nonsense_from_a_worker),
		cmocka_unit_test(chase),
		cmocka_unit_test(interrupted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
