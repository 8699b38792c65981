/*
 * test_fdcache.c: the descriptor cache: what is found is open and the right object's, whatever others do meanwhile.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <cmocka.h>
#include <urcu/urcu-memb.h>

#include "common/om_counter.h"
#include "worker/wrk_fdcache.h"
#include "worker/wrk_out.h"

#define OBJECTS 64u
#define UIDS 2u
#define MANY 8u /* looked up at once, at most */

static char dir[] = "/tmp/objm-fdcache-XXXXXX";
static ino_t inode[OBJECTS + 1];

static int open_object(uint64_t id)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/%llu", dir, (unsigned long long)id);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int setup(void **state)
{
	struct stat st;

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	for (uint64_t id = 1; id <= OBJECTS; id++) {
		char path[64];
		int fd;

		(void)snprintf(path, sizeof(path), "%s/%llu", dir, (unsigned long long)id);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || fstat(fd, &st) < 0)
			return -1;
		inode[id] = st.st_ino;
		(void)close(fd);
	}
	wrk_fdcache_thread_in();
	return 0;
}

static int teardown(void **state)
{
	char cmd[64];

	(void)state;
	wrk_fdcache_thread_out();
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static bool right(const struct wrk_fde *e, uint64_t id)
{
	struct stat st;

	return fstat(wrk_fdcache_fd(e), &st) == 0 && st.st_ino == inode[id];
}

static struct wrk_fde *get_or_add(struct wrk_fdcache *c, uint64_t id, uint32_t uid)
{
	struct wrk_fdkey key = { .id = id, .uid = uid, .tier = (uint8_t)(id % 3) };
	struct wrk_fde *e = wrk_fdcache_get(c, &key);

	if (!e)
		e = wrk_fdcache_add(c, &key, open_object(id), false);
	return e;
}

static void test_hit(void **state)
{
	struct wrk_fdcache *c;
	struct wrk_fde *a, *b;
	struct wrk_fdkey other = { .id = 1, .uid = 7, .tier = 2 };

	(void)state;
	assert_int_equal(wrk_fdcache_new(8, &c), 0);
	a = get_or_add(c, 1, 7);
	b = get_or_add(c, 1, 7);
	assert_ptr_equal(a, b);
	assert_true(right(a, 1));
	assert_null(wrk_fdcache_get(c, &other)); /* another tier is another entry */
	other = (struct wrk_fdkey){ .id = 1, .uid = 8, .tier = 1 };
	assert_null(wrk_fdcache_get(c, &other)); /* another uid too */
	wrk_fdcache_put(c, a);
	wrk_fdcache_put(c, b);
	wrk_fdcache_shrink(c, 1);
	assert_int_equal(wrk_fdcache_count(c), 0);
	wrk_fdcache_free(c);
	assert_false(wrk_fdcache_shareable(0));
	assert_false(wrk_fdcache_shareable(65534));
	assert_true(wrk_fdcache_shareable(1000));
}

/* The bound holds; SIEVE keeps what is used and gives up what is not. */
static void test_bound(void **state)
{
	struct wrk_fdcache *c;
	struct wrk_fdkey hot = { .id = 1, .uid = 7, .tier = 1 };
	struct wrk_fde *kept;

	(void)state;
	assert_int_equal(wrk_fdcache_new(8, &c), 0);
	wrk_fdcache_put(c, get_or_add(c, 1, 7));
	for (uint64_t id = 2; id <= OBJECTS; id++) {
		struct wrk_fde *e = wrk_fdcache_get(c, &hot);

		assert_non_null(e);
		assert_true(right(e, 1));
		wrk_fdcache_put(c, e);
		wrk_fdcache_put(c, get_or_add(c, id, 7));
		assert_true(wrk_fdcache_count(c) <= 8);
	}
	/* An evicted entry that is still referenced stays open. */
	kept = get_or_add(c, 2, 7);
	wrk_fdcache_shrink(c, 100);
	assert_int_equal(wrk_fdcache_count(c), 0);
	assert_true(right(kept, 2));
	wrk_fdcache_put(c, kept);
	wrk_fdcache_free(c);
}

/* A full cache lets in what is asked for twice, not what a walk over many asks for once. */
static void test_wants(void **state)
{
	struct wrk_fdkey key = { .uid = 7, .tier = 1 };
	struct wrk_fdcache *c;
	unsigned wanted = 0;

	(void)state;
	assert_int_equal(wrk_fdcache_new(16, &c), 0);
	for (key.id = 1; key.id <= 16; key.id++) {
		assert_true(wrk_fdcache_wants(c, &key)); /* there is room */
		wrk_fdcache_put(c, get_or_add(c, key.id, 7));
	}
	for (int round = 0; round < 2; round++)
		for (key.id = 1000; key.id < 2000; key.id++) /* each displaces the mark of another */
			wanted += wrk_fdcache_wants(c, &key);
	assert_true(wanted < 20);
	key.id = 50;
	(void)wrk_fdcache_wants(c, &key);
	assert_true(wrk_fdcache_wants(c, &key));
	key.uid = 8;
	assert_false(wrk_fdcache_wants(c, &key)); /* another entry */
	wrk_fdcache_shrink(c, 1);
	key.id = 51;
	assert_true(wrk_fdcache_wants(c, &key));
	wrk_fdcache_free(c);
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_no_leak(void **state)
{
	struct wrk_fdcache *c;
	int before = open_fds();

	(void)state;
	assert_int_equal(wrk_fdcache_new(16, &c), 0);
	for (int i = 0; i < 1000; i++)
		wrk_fdcache_put(c, get_or_add(c, 1 + (unsigned)i % OBJECTS, (uint32_t)i % 3 + 1));
	wrk_fdcache_free(c);
	assert_int_equal(open_fds(), before);
}

static void test_sweep(void **state)
{
	struct wrk_fdcache *c;
	char path[64];
	struct wrk_fdkey dead = { .id = 5, .uid = 7, .tier = 2 }, alive = { .id = 6, .uid = 7, .tier = 0 };
	struct wrk_fde *e, *held;
	int before;

	(void)state;
	assert_int_equal(wrk_fdcache_new(16, &c), 0);
	for (uint64_t id = 1; id <= 10; id++)
		wrk_fdcache_put(c, get_or_add(c, id, 7));
	(void)snprintf(path, sizeof(path), "%s/5", dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(wrk_fdcache_sweep(c, 4), 0); /* in pieces: 1..4 live */
	assert_int_equal(wrk_fdcache_sweep(c, 100), 1);
	assert_int_equal(wrk_fdcache_sweep(c, 100), 0); /* found already */
	before = open_fds();
	held = wrk_fdcache_get(c, &dead); /* until the loop knows of it */
	assert_non_null(held);
	wrk_fdcache_tidy(c);
	wrk_fdcache_tidy(c);
	assert_int_equal(open_fds(), before);
	assert_int_equal(fcntl(wrk_fdcache_fd(held), F_GETFD), FD_CLOEXEC);
	wrk_fdcache_put(c, held);
	urcu_memb_barrier(); /* what is dead is closed by the helper */
	assert_int_equal(open_fds(), before - 1);
	assert_null(wrk_fdcache_get(c, &dead));
	e = wrk_fdcache_get(c, &alive);
	assert_non_null(e);
	wrk_fdcache_put(c, e);
	wrk_fdcache_free(c);
	(void)close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)); /* for the tests after this one */
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	inode[5] = st.st_ino;
}

/* ---------------------------------------------------------------- threads */

enum { KEPT = 200, GHOSTS = 8 }; /* a ghost is an object without a name */

static struct wrk_fdcache *shared;
static _Atomic bool stop;
static _Atomic unsigned swept;
static ino_t ghost[GHOSTS];
static struct kept {
	struct wrk_fde *e;
	uint64_t id;
	ino_t ino;
} kept[KEPT];

static void *sweeper(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	wrk_fdcache_thread_in();
	while (!stop)
		swept += wrk_fdcache_sweep(shared, 1 + (unsigned)rand_r(&seed) % 30);
	wrk_fdcache_thread_out();
	return NULL;
}

static void let_go(struct kept *k)
{
	struct stat st;

	if (!k->e)
		return;
	assert_int_equal(fstat(wrk_fdcache_fd(k->e), &st), 0);
	assert_int_equal(st.st_ino, k->ino);
	wrk_fdcache_put(shared, k->e);
	k->e = NULL;
}

/* Hold it for a while, in the place of another one. */
static void keep(struct wrk_fde *e, uint64_t id, unsigned at)
{
	let_go(&kept[at % KEPT]);
	kept[at % KEPT] = (struct kept){ e, id, id > OBJECTS ? ghost[id - OBJECTS - 1] : inode[id] };
}

static struct wrk_fde *ghost_or_add(uint64_t id)
{
	struct wrk_fdkey key = { .id = id, .uid = 1 };
	struct wrk_fde *e = wrk_fdcache_get(shared, &key);
	struct stat st;

	if (e)
		return e;
	e = wrk_fdcache_add(shared, &key, open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), false);
	assert_int_equal(fstat(wrk_fdcache_fd(e), &st), 0);
	ghost[id - OBJECTS - 1] = st.st_ino;
	return e;
}

/* A turn of the loop; @return hits */
static unsigned turn(unsigned *seed, unsigned n)
{
	struct wrk_fdkey keys[MANY];
	struct wrk_fde *found[MANY];
	unsigned hits = 0;
	uint64_t id;

	for (unsigned i = 0; i < MANY; i++) {
		id = (unsigned)rand_r(seed) % (OBJECTS + 1); /* 0: to be passed over */
		keys[i] = (struct wrk_fdkey){ .id = id, .uid = (unsigned)rand_r(seed) % UIDS + 1, .tier = (uint8_t)(id % 3) };
	}
	wrk_fdcache_get_many(shared, keys, MANY, found);
	for (unsigned i = 0; i < MANY; i++) {
		if (!found[i])
			continue;
		hits++;
		keep(found[i], keys[i].id, (unsigned)rand_r(seed));
	}
	id = 1 + (unsigned)rand_r(seed) % OBJECTS;
	keep(get_or_add(shared, id, (unsigned)rand_r(seed) % UIDS + 1), id, (unsigned)rand_r(seed));
	if (n % 3 == 0) {
		id = OBJECTS + 1 + (unsigned)rand_r(seed) % GHOSTS;
		keep(ghost_or_add(id), id, (unsigned)rand_r(seed));
	}
	if (n % 64 == 0)
		wrk_fdcache_shrink(shared, 1);
	if (n % 500 == 0)
		wrk_fdcache_shrink(shared, 4);
	if (n % 16 == 0)
		wrk_fdcache_tidy(shared);
	return hits;
}

/* The loop and the sweep at once: every reference is good for the file that it was given for, and nothing stays open. */
static void test_stress(void **state)
{
	uint64_t until = om_now_ns() + (getenv("OBJM_TEST_LONG") ? 20u : 1u) * UINT64_C(1000000000);
	int before = open_fds();
	unsigned seed = 7, hits = 0, n = 0;
	pthread_t t;

	(void)state;
	assert_int_equal(wrk_fdcache_new(24, &shared), 0);
	assert_int_equal(pthread_create(&t, NULL, sweeper, (void *)1), 0);
	while (om_now_ns() < until || swept < 20 || n < 500)
		hits += turn(&seed, ++n);
	stop = true;
	(void)pthread_join(t, NULL);
	assert_true(hits > n / 4); /* 1.3 a turn, however fast the machine is */
	for (unsigned i = 0; i < KEPT; i++)
		let_go(&kept[i]);
	wrk_fdcache_free(shared);
	assert_int_equal(open_fds(), before);
}

/* The last descriptor of a large file that was deleted: closed, and not by who asks. */
static void test_large_close(void **state)
{
	static char buf[1 << 20];
	int before = open_fds();
	struct wrk_fdcache *c;
	char path[80];
	int fd;

	(void)state;
	assert_int_equal(wrk_fdcache_new(8, &c), 0);
	for (unsigned i = 0; i < 3; i++) { /* large and gone; large; small and gone */
		(void)snprintf(path, sizeof(path), "%s/large", dir);
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		for (unsigned n = 0; n < (i == 2 ? 1 : 4); n++)
			assert_int_equal(write(fd, buf, i == 2 ? 100 : sizeof(buf)), i == 2 ? 100 : sizeof(buf));
		if (i != 1)
			assert_int_equal(unlink(path), 0);
		assert_int_equal(wrk_fdcache_close(fd), i == 0);
		(void)unlink(path);
	}
	wrk_fdcache_free(c); /* waits for the grace periods */
	for (int i = 0; i < 10000 && open_fds() != before; i++)
		(void)usleep(1000);
	assert_int_equal(open_fds(), before);
}

/* The same of one that the cache let go, or that never was in it: while we are a reader no grace period ends, and it is open. */
static void test_large_evicted(void **state)
{
	static char buf[2 << 20];
	const struct wrk_fdkey key = { .id = 1000, .uid = 7 };
	struct wrk_fdcache *c;
	char path[80];

	(void)state;
	assert_int_equal(wrk_fdcache_new(8, &c), 0);
	for (unsigned i = 0; i < 3; i++) { /* in the cache; in a queue; said to be small */
		int fd;

		(void)snprintf(path, sizeof(path), "%s/large", dir);
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		assert_int_equal(write(fd, buf, sizeof(buf)), sizeof(buf));
		assert_int_equal(unlink(path), 0);
		urcu_memb_read_lock();
		if (i == 1) {
			wrk_out_fd_drop(c, &(struct wrk_out_fd){ .fd = fd, .own = true, .large = true });
		} else {
			struct wrk_fde *e = wrk_fdcache_add(c, &key, fd, wrk_fdcache_large(i == 0 ? sizeof(buf) : 100));

			wrk_fdcache_shrink(c, 1);
			assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC); /* we have a reference */
			wrk_fdcache_put(c, e);
		}
		assert_int_equal(fcntl(fd, F_GETFD), i < 2 ? FD_CLOEXEC : -1);
		urcu_memb_read_unlock();
		urcu_memb_barrier();
		assert_int_equal(fcntl(fd, F_GETFD), -1);
	}
	wrk_fdcache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hit), cmocka_unit_test(test_bound), cmocka_unit_test(test_wants), cmocka_unit_test(test_no_leak),
		cmocka_unit_test(test_sweep), cmocka_unit_test(test_large_close), cmocka_unit_test(test_large_evicted), cmocka_unit_test(test_stress),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
