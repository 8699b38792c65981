/*
 * test_index_gen.c: generations: odd while a change is under way, what a client may keep, when a table is dead.
 */
#include "tests/unit/index/idx_test.h"

#include <pthread.h>

#include "common/om_seg.h"
#include "index/idx_genw.h"
#include "index/idx_key.h"

static void odd_while_under_way(void **state)
{
	struct idx_genw *g = NULL;
	const struct idx_gen_table *t = NULL;
	uint64_t before, during;

	(void)state;
	assert_int_equal(idx_genw_new(&g), 0);
	assert_int_equal(idx_gen_map(idx_genw_fd(g), &t), 0); /* as a client does */
	assert_true(t->epoch != 0);
	before = idx_gen_load(t, 7);
	assert_true(idx_gen_keepable(before) && idx_gen_valid(t, 7, before));
	idx_genw_open(g, 7);
	during = idx_gen_load(t, 7);
	assert_false(idx_gen_keepable(during));
	assert_false(idx_gen_valid(t, 7, before));
	assert_false(idx_gen_valid(t, 7, during)); /* equal, but odd */
	idx_genw_open(g, 7);
	assert_int_equal(idx_gen_load(t, 7), during); /* the second of two changes under way */
	idx_genw_close(g, 7);
	assert_int_equal(idx_gen_load(t, 7), during);
	idx_genw_close(g, 7);
	assert_int_equal(idx_gen_load(t, 7), before + 2);
	assert_false(idx_gen_valid(t, 7, before));
	assert_true(idx_gen_valid(t, 7, before + 2));
	assert_true(idx_gen_valid(t, 8, 0)); /* the neighbour never moved */
	assert_true(idx_gen_valid(t, IDX_GEN_BUCKETS - 1, 0));
	idx_gen_unmap(t);
	idx_genw_free(g);
}

/* One word stands for many buckets: it moves once the bucket is odd, and no other one does. */
static void a_group_says_that_something_moved(void **state)
{
	const uint32_t last = IDX_GEN_BUCKETS / IDX_GEN_GROUPS; /* the last one of the first group */
	const struct idx_gen_table *t;
	struct idx_genw *g = NULL;

	(void)state;
	assert_int_equal(idx_gen_group(last), 0);
	assert_int_equal(idx_gen_group(last + 1), 1);
	assert_int_equal(idx_gen_group(IDX_GEN_BUCKETS - 1), IDX_GEN_GROUPS - 1);
	assert_int_equal(idx_genw_new(&g), 0);
	t = idx_genw_table(g);
	idx_genw_open(g, last);
	assert_int_equal(idx_gen_group_load(t, 0), 2);
	idx_genw_open(g, last); /* odd already */
	idx_genw_close(g, last);
	idx_genw_close(g, last);
	assert_int_equal(idx_gen_group_load(t, last), 2);
	assert_int_equal(idx_gen_group_load(t, last + 1), 1);
	idx_genw_bump_all(g);
	for (uint32_t i = 0; i < IDX_GEN_GROUPS; i++)
		assert_int_equal(atomic_load(&t->group[i]), i == 0 ? 3 : 2);
	idx_genw_free(g);
}

/* A word that would come to a value that it has had stands for nothing from then on. */
static void a_group_never_comes_round(void **state)
{
	struct idx_genw *g = NULL;
	struct idx_gen_table *t;

	(void)state;
	assert_int_equal(idx_genw_new(&g), 0);
	t = (struct idx_gen_table *)(uintptr_t)idx_genw_table(g);
	atomic_store(&t->group[0], IDX_GEN_GROUP_LAST - 1);
	for (unsigned i = 0; i < 4; i++) {
		idx_genw_open(g, 0);
		idx_genw_close(g, 0);
		assert_int_equal(idx_gen_group_load(t, 0), i == 0 ? IDX_GEN_GROUP_LAST : 0);
	}
	idx_genw_bump_all(g);
	assert_int_equal(idx_gen_group_load(t, 0), 0);
	idx_genw_free(g);
}

static void bump_all_moves_every_bucket(void **state)
{
	struct idx_genw *g = NULL;
	const struct idx_gen_table *t;

	(void)state;
	assert_int_equal(idx_genw_new(&g), 0);
	t = idx_genw_table(g);
	idx_genw_open(g, 3);
	idx_genw_bump_all(g);
	assert_int_equal(idx_gen_load(t, 3), 1);
	idx_genw_close(g, 3);
	for (uint32_t b = 0; b < IDX_GEN_BUCKETS; b++)
		if (idx_gen_valid(t, b, 0) || !idx_gen_keepable(idx_gen_load(t, b)))
			fail();
	idx_genw_free(g);
}

static void dies_by_silence_and_by_retiring(void **state)
{
	struct idx_genw *g = NULL;
	const struct idx_gen_table *t = NULL;
	uint64_t end;

	(void)state;
	assert_int_equal(idx_genw_new(&g), 0);
	assert_int_equal(idx_gen_map(idx_genw_fd(g), &t), 0);
	end = om_now_ns() + 3 * IDX_GEN_VALID_NS / 2;
	while (om_now_ns() < end) { /* renewed: alive beyond its first validity */
		idx_genw_renew(g);
		assert_true(idx_gen_valid(t, 1, 0));
		usleep(20000);
	}
	usleep((useconds_t)(IDX_GEN_SUCCESSOR_WAIT_NS / 1000)); /* silent: dead when a successor stops waiting */
	assert_false(idx_gen_valid(t, 1, 0));
	idx_genw_renew(g);
	assert_true(idx_gen_valid(t, 1, 0));
	idx_genw_retire(g);
	assert_false(idx_gen_valid(t, 1, 0));
	idx_genw_renew(g); /* retired is for ever */
	assert_false(idx_gen_valid(t, 1, 0));
	idx_genw_free(g);
	assert_false(idx_gen_alive(t)); /* the client's mapping outlives the writer's */
	idx_gen_unmap(t);
}

static void map_refuses(void **state)
{
	struct om_seg seg;
	const struct idx_gen_table *t = NULL;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		size_t bytes = sizeof(struct idx_gen_table) - (i == 4 ? 4096 : 0);
		struct idx_gen_table *h;

		assert_int_equal(om_seg_create("objm-test", bytes, OM_SEG_FROZEN, &seg), 0);
		h = (struct idx_gen_table *)seg.base;
		h->magic = IDX_GEN_MAGIC + (i == 1);
		h->layout = IDX_GEN_LAYOUT + (i == 2);
		h->buckets = IDX_GEN_BUCKETS / (i == 3 ? 2 : 1);
		h->epoch = 1;
		assert_int_equal(idx_gen_map(seg.rofd, &t), i == 0 ? 0 : -OBJM_STATUS_CORRUPT);
		if (i == 0)
			idx_gen_unmap(t);
		om_seg_close(&seg);
	}
	assert_int_equal(idx_gen_map(STDIN_FILENO, &t) < 0, 1);
}

/* The whole promise, with threads: after a change was acknowledged no cached hit gives the version before it. The object's
 * "version" stands in an index slot; the reader caches what it read there, under the generation loaded before. */
enum { ROUNDS = 200000 };
struct promise {
	struct idx_genw *g;
	struct idxw *w;
	struct idxr view;
	_Atomic uint64_t acked;
	_Atomic bool stop;
	uint64_t hits, stale, misses;
};

static void *cached_reader(void *arg)
{
	struct promise *p = (struct promise *)arg;
	const struct idx_gen_table *t = idx_genw_table(p->g);
	struct idx_key k = key_any(0);
	uint64_t kept_gen = 1, kept_version = 0; /* odd: nothing kept */
	uint32_t b = idx_key_bucket(&k);

	while (!atomic_load_explicit(&p->stop, memory_order_relaxed)) {
		uint64_t acked = atomic_load_explicit(&p->acked, memory_order_acquire);
		struct idx_ent e;

		if (idx_gen_valid(t, b, kept_gen)) {
			p->hits++;
			p->stale += kept_version < acked;
			continue;
		}
		p->misses++;
		kept_gen = idx_gen_load(t, b);
		if (idxr_get(&p->view, &k, &e, NULL) < 0)
			kept_gen = 1;
		else
			kept_version = e.id;
	}
	return NULL;
}

static void no_stale_hit_after_an_acknowledgement(void **state)
{
	struct promise p[2] = {0};
	pthread_t thread[2];
	struct idx_key k = key_any(0);
	uint32_t b = idx_key_bucket(&k);

	(void)state;
	p[0].w = index_new(0, true);
	assert_int_equal(idx_genw_new(&p[0].g), 0);
	struct idx_ent first = ent_of(1);
	assert_int_equal(idxw_put(p[0].w, &k, &first), 0);
	idxw_view(p[0].w, &p[0].view);
	p[1].g = p[0].g;
	p[1].w = p[0].w;
	p[1].view = p[0].view;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, cached_reader, &p[i]), 0);
	for (uint64_t v = 2; v < ROUNDS; v++) {
		struct idx_ent e = ent_of(v);

		idx_genw_open(p[0].g, b);
		(void)idxw_put(p[0].w, &k, &e);
		idx_genw_close(p[0].g, b);
		for (unsigned i = 0; i < 2; i++)
			atomic_store_explicit(&p[i].acked, v, memory_order_release);
		if (v % 64 == 0) {
			idx_genw_renew(p[0].g);
			usleep(1); /* so that hits happen between changes on few processors too */
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		atomic_store_explicit(&p[i].stop, true, memory_order_relaxed);
		(void)pthread_join(thread[i], NULL);
		assert_true(p[i].hits > 0 && p[i].misses > 0);
		assert_int_equal(p[i].stale, 0);
	}
	idx_genw_free(p[0].g);
	idxw_free(p[0].w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(odd_while_under_way),
		cmocka_unit_test(a_group_says_that_something_moved),
		cmocka_unit_test(a_group_never_comes_round),
		cmocka_unit_test(bump_all_moves_every_bucket),
		cmocka_unit_test(dies_by_silence_and_by_retiring),
		cmocka_unit_test(map_refuses),
		cmocka_unit_test(no_stale_hit_after_an_acknowledgement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
