/*
 * test_client_cache.c: the client cache without a server: what it keeps, what it lets go, and that no hit is older than a change
 * that was acknowledged before.
 */
#include "tests/unit/client/client_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>

#include "client/objm_cache.h"
#include "client/objm_priv.h"
#include "index/idx_genw.h"

static struct idx_genw *g;
static struct objm_cache *c;
static int fds_before;

static void fresh(uint32_t max, uint32_t fds, uint64_t bytes)
{
	objm_cache_free(c);
	c = objm_cache_new(max, fds, bytes);
	assert_non_null(c);
	assert_int_equal(objm_cache_attach(c, idx_genw_fd(g)), 0);
}

static int setup(void **state)
{
	(void)state;
	fds_before = open_fds();
	assert_int_equal(idx_genw_new(&g), 0);
	fresh(16, 16, 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	objm_cache_free(c);
	c = NULL;
	idx_genw_free(g);
	assert_int_equal(open_fds(), fds_before);
	return 0;
}

static struct objm_cache_entry *find(const char *uri, uint32_t want)
{
	bool due = false;

	return objm_cache_find(c, uri, strlen(uri), want, &due);
}

static bool hit(const char *uri)
{
	struct objm_cache_entry *e = find(uri, OBJM_CACHE_FD);

	if (e)
		objm_cache_unref(c, e);
	return e;
}

static struct objm_cache_entry *insert(const char *uri, uint64_t id, uint64_t size, uint32_t bucket, uint64_t gen)
{
	struct objm_info info = {.id = id, .size = size, .bucket = bucket, .gen = gen};
	struct objm_cache_entry *e =
		objm_cache_insert(c, uri, strlen(uri), &info, open("/dev/null", O_RDONLY | O_CLOEXEC), NULL, OBJM_CACHE_HAS_FD);

	assert_non_null(e);
	return e;
}

static void keep(const char *uri, uint64_t id, uint64_t size, uint32_t bucket, uint64_t gen)
{
	objm_cache_unref(c, insert(uri, id, size, bucket, gen));
}

static uint64_t id_of(const struct objm_cache_entry *e)
{
	struct objm_info info;

	objm_cache_entry_info(c, e, &info);
	return info.id;
}

static void change(uint32_t bucket)
{
	idx_genw_open(g, bucket);
	idx_genw_close(g, bucket);
}

/* ---------------------------------------------------------------- what is kept */

static void test_hit_and_miss(void **state)
{
	struct objm_cache_entry *e;

	(void)state;
	assert_false(hit("/a"));
	keep("/a", 7, 100, 3, 0);
	e = find("/a", OBJM_CACHE_FD);
	assert_non_null(e);
	assert_int_equal(id_of(e), 7);
	assert_int_equal(e->pub.size, 100);
	assert_true(e->pub.fd >= 0);
	objm_cache_unref(c, e);
	assert_false(hit("/A"));
	assert_false(hit("/a/"));
	assert_null(find("/a", OBJM_CACHE_DATA));
	keep("/a", 8, 50, 3, 0); /* replaces */
	e = find("/a", 0);
	assert_int_equal(id_of(e), 8);
	objm_cache_unref(c, e);
	assert_int_equal(c->count, 1);
	assert_int_equal(c->bytes, 50);
}

static bool hit_of(const char *uri, size_t len)
{
	bool due = false;
	struct objm_cache_entry *e = objm_cache_find(c, uri, len, 0, &due);

	if (e)
		objm_cache_unref(c, e);
	return e;
}

/* Wherever a URI is kept, every byte of it counts, and its length. */
static void test_uris_of_every_length(void **state)
{
	char a[OBJM_URI_MAX + 2];

	(void)state;
	for (size_t len = 1; len <= OBJM_URI_MAX; len = len < 300 ? len + 1 : len * 3 / 2) {
		memset(a, 'x', len + 1);
		a[len] = '\0';
		idx_genw_renew(g); /* all of it takes longer than a table lives by itself */
		keep(a, len, 1, 1, 0);
		assert_true(hit_of(a, len));
		for (size_t i = 0; i < len; i = i < 100 ? i + 1 : i * 3 / 2) {
			a[i] = 'y';
			assert_false(hit_of(a, len));
			a[i] = 'x';
		}
		a[len - 1] = 'y';
		assert_false(hit_of(a, len));
		a[len - 1] = 'x';
		struct objm_cache_entry *e = find(a, 0);
		size_t got;
		assert_memory_equal(objm_cache_uri(c, e, &got), a, len);
		assert_int_equal(got, len);
		objm_cache_unref(c, e);
		objm_cache_drop_all(c);
		assert_false(hit_of(a, len));
	}
}

static void test_a_change_ends_it(void **state)
{
	(void)state;
	keep("/a", 1, 1, 5, 0);
	keep("/b", 2, 1, 6, 0);
	idx_genw_open(g, 5);
	assert_false(hit("/a"));
	idx_genw_close(g, 5);
	assert_false(hit("/a"));
	assert_true(hit("/b"));
	keep("/a", 3, 1, 5, 2);
	assert_true(hit("/a"));
	keep("/c", 4, 1, 6, 1); /* looked up while its bucket changed */
	assert_false(hit("/c"));
	keep("/d", 5, 1, 5, 0); /* looked up before the change, kept after it */
	assert_false(hit("/d"));
}

/* An entry has room for a part of the generation alone; what is said of it is all of it. */
static void test_generations_of_many_bits(void **state)
{
	_Atomic uint64_t *word = &((struct idx_gen_table *)(uintptr_t)idx_genw_table(g))->gen[IDX_GEN_BUCKETS - 1];
	struct objm_info info;
	struct objm_cache_entry *e;

	(void)state;
	atomic_store(word, (UINT64_C(1) << 60) + (UINT64_C(1) << 43));
	keep("/a", 1, 1, IDX_GEN_BUCKETS - 1, atomic_load(word));
	e = find("/a", 0);
	assert_non_null(e);
	objm_cache_entry_info(c, e, &info);
	assert_true(info.gen == atomic_load(word));
	assert_int_equal(info.bucket, IDX_GEN_BUCKETS - 1);
	objm_cache_unref(c, e);
	change(IDX_GEN_BUCKETS - 1);
	assert_false(hit("/a"));
}

/* Hits that look at the group's word alone: neighbours in one group, one of another. */
static void test_a_change_in_the_group(void **state)
{
	const uint32_t far = IDX_GEN_BUCKETS / 2;
	uint32_t before;
	struct objm_cache_entry *e;

	(void)state;
	keep("/a", 1, 1, 5, 0);
	keep("/b", 2, 1, 6, 0);
	keep("/far", 3, 1, far, 0);
	for (int i = 0; i < 3; i++)
		assert_true(hit("/a") && hit("/b") && hit("/far"));
	e = find("/far", 0);
	before = e->proven;
	assert_true(before != OBJM_CACHE_UNPROVEN);
	objm_cache_unref(c, e);
	idx_genw_open(g, 5);
	assert_false(hit("/a"));
	assert_true(hit("/b")); /* compared anew */
	idx_genw_close(g, 5);
	assert_true(hit("/b") && hit("/far"));
	keep("/a", 4, 1, 5, 2);
	assert_true(hit("/a") && hit("/a"));
	change(5);
	assert_false(hit("/a"));
	e = find("/far", 0);
	assert_int_equal(e->proven, before);
	objm_cache_unref(c, e);
	change(far);
	assert_false(hit("/far"));
	assert_true(hit("/b"));
}

/* A supervisor of before there were groups: their words prove nothing. */
static void test_a_table_without_groups(void **state)
{
	struct objm_cache_entry *e;

	(void)state;
	for (uint32_t i = 0; i < IDX_GEN_GROUPS; i++)
		atomic_store(&((struct idx_gen_table *)(uintptr_t)idx_genw_table(g))->group[i], 0);
	keep("/a", 1, 1, 5, 0);
	assert_true(hit("/a") && hit("/a"));
	e = find("/a", 0);
	assert_true(e->proven == OBJM_CACHE_UNPROVEN);
	objm_cache_unref(c, e);
	change(5);
	assert_false(hit("/a"));
}

static void test_everything_is_revoked_at_once(void **state)
{
	(void)state;
	keep("/a", 1, 1, 5, 0);
	keep("/b", 2, 1, 6, 0);
	assert_true(hit("/a") && hit("/b"));
	idx_genw_bump_all(g);
	assert_false(hit("/a"));
	assert_false(hit("/b"));
}

static void test_a_dead_table_proves_nothing(void **state)
{
	const struct idx_gen_table *t = idx_genw_table(g);

	(void)state;
	keep("/a", 1, 1, 5, 0);
	assert_true(hit("/a"));
	/* Not renewed: as a supervisor that was killed leaves it. */
	while (om_coarse_ns() < atomic_load(&t->valid_until_ns))
		;
	assert_false(hit("/a"));
	idx_genw_renew(g);
	keep("/a", 1, 1, 5, 0);
	assert_true(hit("/a"));
	idx_genw_retire(g);
	assert_false(hit("/a"));
}

static void test_another_table_drops_all(void **state)
{
	struct idx_genw *other;

	(void)state;
	assert_int_equal(idx_genw_new(&other), 0);
	keep("/a", 1, 1, 5, 0);
	assert_int_equal(objm_cache_attach(c, idx_genw_fd(g)), 0); /* the same one again: another connection */
	assert_true(hit("/a"));
	assert_int_equal(objm_cache_attach(c, idx_genw_fd(other)), 0);
	assert_false(hit("/a"));
	keep("/a", 1, 1, 5, 0);
	assert_true(hit("/a"));
	assert_int_equal(objm_cache_attach(c, -1), 0);
	assert_false(hit("/a"));
	keep("/a", 1, 1, 5, 0);
	assert_false(hit("/a"));
	assert_int_equal(c->count, 0);
	idx_genw_free(other);
}

static void test_expiry(void **state)
{
	struct objm_info info = {.id = 1, .size = 1, .expiry_s = om_wall_ns() / 1000000000u + 1000};
	struct objm_cache_entry *e;

	(void)state;
	e = objm_cache_insert(c, "/a", 2, &info, open("/dev/null", O_RDONLY | O_CLOEXEC), NULL, OBJM_CACHE_HAS_FD);
	objm_cache_unref(c, e);
	assert_true(hit("/a"));
	info.expiry_s = om_wall_ns() / 1000000000u;
	e = objm_cache_insert(c, "/a", 2, &info, open("/dev/null", O_RDONLY | O_CLOEXEC), NULL, OBJM_CACHE_HAS_FD);
	objm_cache_unref(c, e);
	assert_false(hit("/a"));
}

/* ---------------------------------------------------------------- bounds */

static void test_bounds(void **state)
{
	char uri[32];

	(void)state;
	fresh(16, 8, 1000);
	for (uint64_t i = 0; i < 100; i++) {
		(void)snprintf(uri, sizeof(uri), "/%d", (int)i);
		keep(uri, i + 1, 90, 1, 0);
		assert_true(c->count <= 16 && c->fds <= 8 && c->bytes <= 1000);
		assert_true(hit(uri));
	}
	assert_int_equal(c->fds, 8);
	keep("/large", 1, 1001, 1, 0);
	assert_false(hit("/large"));
	keep("/whole", 1, 1000, 1, 0);
	assert_true(hit("/whole"));
	assert_int_equal(c->count, 1);
	fresh(4, 100, 1 << 20);
	for (uint64_t i = 0; i < 100; i++) {
		(void)snprintf(uri, sizeof(uri), "/%d", (int)i);
		keep(uri, i + 1, 1, 1, 0);
	}
	assert_int_equal(c->count, 4);
	assert_int_equal(open_fds(), fds_before + 4 + 2); /* and the two of the generations' writer */
}

static void test_used_ones_stay(void **state)
{
	char uri[32];

	(void)state;
	keep("/hot", 1, 1, 1, 0);
	for (uint64_t i = 0; i < 200; i++) {
		(void)snprintf(uri, sizeof(uri), "/%d", (int)i);
		keep(uri, i + 1, 1, 1, 0);
		assert_true(hit("/hot"));
	}
}

static void test_borrowed_ones_live(void **state)
{
	struct objm_cache_entry *held[20], *e;
	char uri[32];

	(void)state;
	for (uint64_t i = 0; i < 20; i++) { /* more than it holds: the last four are alone */
		(void)snprintf(uri, sizeof(uri), "/%d", (int)i);
		held[i] = insert(uri, i + 1, 1, 1, 0);
	}
	assert_int_equal(c->count, 16);
	change(1);
	assert_false(hit("/3"));
	assert_int_equal(c->count, 15);
	e = insert("/3", 99, 1, 1, 2);
	objm_cache_drop_all(c);
	assert_int_equal(c->count, 0);
	for (uint64_t i = 0; i < 20; i++) {
		assert_int_equal(id_of(held[i]), i + 1);
		assert_true(fcntl(held[i]->pub.fd, F_GETFD) >= 0);
		objm_cache_unref(c, held[i]);
	}
	assert_int_equal(id_of(e), 99);
	objm_cache_unref(c, e);
	assert_int_equal(open_fds(), fds_before + 2);
}

static void test_sweep_lets_go_of_what_is_stale(void **state)
{
	(void)state;
	keep("/a", 1, 1, 5, 0);
	keep("/b", 2, 1, 6, 0);
	change(5);
	objm_cache_sweep(c, 16);
	assert_int_equal(c->count, 1);
	assert_true(hit("/b"));
}

/* ---------------------------------------------------------------- what is reported */

static void keep_n(uint64_t n)
{
	struct objm_info info = {.id = n + 1, .size = 1, .bucket = 1};
	char uri[32];
	int len = snprintf(uri, sizeof(uri), "/n/%d", (int)n);

	objm_cache_unref(c, objm_cache_insert(c, uri, (size_t)len, &info, -1, NULL, 0));
}

static void hit_n(uint64_t n)
{
	char uri[32];

	(void)snprintf(uri, sizeof(uri), "/n/%d", (int)n);
	idx_genw_renew(g);
	assert_true(hit_of(uri, strlen(uri)));
}

/* What the report has room for, by the object's number. */
static void report(bool *seen)
{
	struct objm s = {.cache = c, .io.sock = -1};

	for (uint32_t i = 0; i < c->touched_count; i++)
		seen[c->rests[c->touched[i]].id - 1] = true;
	objm_cache_report(&s);
	assert_int_equal(c->touched_count, 0);
}

/* More objects are hit than a report has room for: those that were left out have their turn in a later one. */
static void test_every_object_is_reported_some_time(void **state)
{
	enum { OBJECTS = 3 * OBJM_CACHE_TOUCHED_MAX };
	static bool seen[OBJECTS];

	(void)state;
	fresh(OBJECTS, 1, 1 << 20);
	memset(seen, 0, sizeof(seen));
	for (uint64_t i = 0; i < OBJECTS; i++)
		keep_n(i);
	for (uint64_t turn = 0; turn < 3; turn++) {
		for (uint64_t i = 0; i < OBJECTS; i++)
			hit_n((i + turn * OBJM_CACHE_TOUCHED_MAX) % OBJECTS);
		assert_int_equal(c->touched_count, OBJM_CACHE_TOUCHED_MAX);
		report(seen);
	}
	for (uint64_t i = 0; i < OBJECTS; i++)
		assert_true(seen[i]);
}

/* Against a plain array: whatever was put in last and not pushed out is found, with its own id. */
static void test_table_against_a_reference(void **state)
{
	uint64_t last[400] = {0}, random = 1, found = 0;
	char uri[64];

	(void)state;
	fresh(200, 200, 1 << 20);
	for (uint64_t i = 1; i <= 40000; i++) {
		if (i % 256 == 0)
			idx_genw_renew(g); /* a slow machine takes longer for all of them than a lease lasts */
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		unsigned k = (unsigned)(random >> 33) % 400;
		/* Some names are longer than an entry has room for. */
		(void)snprintf(uri, sizeof(uri), k % 3 ? "/%u" : "/a-name-that-does-not-fit-into-the-line/%u", k);
		struct objm_cache_entry *e = find(uri, 0);
		if (e) {
			assert_int_equal(id_of(e), last[k]);
			objm_cache_unref(c, e);
			found++;
		}
		if ((random >> 20) % 4 == 0) {
			change(k);
			last[k] = 0;
		} else if (!e) {
			last[k] = i;
			keep(uri, i, 1, k, idx_gen_load(idx_genw_table(g), k));
		}
	}
	assert_true(found > 5000);
}

/* ---------------------------------------------------------------- two threads that read, one that writes */

#define KEYS 64
static _Atomic uint64_t slot[KEYS], acked[KEYS]; /* what a look-up finds; what has been acknowledged to anyone */
static atomic_bool stop;

/* Two keys to a bucket, two buckets to a group. */
static uint32_t bucket_of(uint32_t k) { return k / 4 * (IDX_GEN_BUCKETS / IDX_GEN_GROUPS + 1) + k / 2 % 2; }

/* The supervisor's order. */
static void *writer(void *arg)
{
	uint64_t n = (uint64_t)(uintptr_t)arg;

	for (uint64_t v = 1; v <= n; v++) {
		uint32_t k = (uint32_t)(v * 7 % KEYS);
		idx_genw_open(g, bucket_of(k));
		atomic_store_explicit(&slot[k], v, memory_order_release);
		idx_genw_close(g, bucket_of(k));
		atomic_store_explicit(&acked[k], v, memory_order_release);
		if (v % 8 == 0)
			(void)sched_yield(); /* time for readers to hit what they have just got */
		if (v % 256 == 0)
			idx_genw_renew(g);
	}
	atomic_store(&stop, true);
	return NULL;
}

/* A client: its cache, and the worker that answers its misses. */
static void *reader(void *arg)
{
	struct objm_cache *own = objm_cache_new(KEYS, 1, 1 << 20);
	uint64_t hits = 0, bad = 0;
	char uri[16];
	bool due;

	OM_ASSERT(own && objm_cache_attach(own, idx_genw_fd(g)) == 0);
	for (uint64_t i = (uint64_t)(uintptr_t)arg; !atomic_load(&stop); i++) {
		uint32_t k = (uint32_t)(i / 4 * 13 % KEYS); /* four times in a row: kept, compared, by its group twice */
		int len = snprintf(uri, sizeof(uri), "/%u", k);
		uint64_t least = atomic_load_explicit(&acked[k], memory_order_acquire), got;
		struct objm_cache_entry *e = objm_cache_find(own, uri, (size_t)len, 0, &due);

		if (e) {
			hits++;
		} else {
			struct objm_info info = {.bucket = bucket_of(k), .size = 1};

			info.gen = idx_gen_load(idx_genw_table(g), bucket_of(k));
			(void)sched_yield(); /* a worker is not always quick; the wrong order of these two shows here */
			info.id = atomic_load_explicit(&slot[k], memory_order_acquire);
			e = objm_cache_insert(own, uri, (size_t)len, &info, -1, NULL, 0);
		}
		struct objm_info info;
		objm_cache_entry_info(own, e, &info);
		got = info.id;
		bad += got < least;
		objm_cache_unref(own, e);
	}
	objm_cache_free(own);
	OM_ASSERT(bad == 0);
	return (void *)(uintptr_t)hits;
}

static void test_no_hit_is_older_than_an_acknowledgement(void **state)
{
	pthread_t r[2], w;
	uintptr_t sum = 0;
	void *hits[2];

	(void)state;
	for (uintptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&r[i], NULL, reader, (void *)i), 0);
	assert_int_equal(pthread_create(&w, NULL, writer, (void *)(uintptr_t)100000), 0);
	assert_int_equal(pthread_join(w, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(r[i], &hits[i]), 0);
		sum += (uintptr_t)hits[i];
	}
	assert_true(sum > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hit_and_miss, setup, teardown),
		cmocka_unit_test_setup_teardown(test_uris_of_every_length, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_change_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_generations_of_many_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_change_in_the_group, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_table_without_groups, setup, teardown),
		cmocka_unit_test_setup_teardown(test_everything_is_revoked_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_dead_table_proves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_table_drops_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_used_ones_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_borrowed_ones_live, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sweep_lets_go_of_what_is_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_object_is_reported_some_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_table_against_a_reference, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_hit_is_older_than_an_acknowledgement, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
