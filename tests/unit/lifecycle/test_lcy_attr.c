/*
 * test_lcy_attr.c: new attributes of files (ATTR): many at once, on a disk and on tmpfs; what cannot be is answered; the loop's thread
 * does not wait for any of it.
 */
#include "be_test.h"
#include "lifecycle/lcy.h"

#define N 64u

static struct fix {
	struct lcy l; /* first: send() gets it */
	struct be_test tier[2];
	pthread_mutex_t gate; /* held: nobody gets an answer out */
	pthread_mutex_t lock;
	pthread_cond_t told;
	unsigned n;
	int status[2 * N + 8]; /* by request; 1: not answered */
} f;

static int send_attred(struct lcy *l, const struct iovec *iov, int n)
{
	const struct om_op_attred *m = iov[0].iov_base;

	(void)l;
	assert_int_equal(n, 1);
	assert_int_equal(m->hdr.type, OM_OP_ATTRED);
	pthread_mutex_lock(&f.gate);
	pthread_mutex_unlock(&f.gate);
	pthread_mutex_lock(&f.lock);
	assert_true(m->hdr.req < OM_ARRAY_SIZE(f.status) && f.status[m->hdr.req] == 1); /* once */
	f.status[m->hdr.req] = m->status;
	f.n++;
	pthread_cond_broadcast(&f.told);
	pthread_mutex_unlock(&f.lock);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	f.l.send = send_attred;
	pthread_mutex_init(&f.gate, NULL);
	pthread_mutex_init(&f.lock, NULL);
	pthread_cond_init(&f.told, NULL);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(f.status); i++)
		f.status[i] = 1;
	for (unsigned i = 0; i < 2; i++) {
		be_test_open(&f.tier[i], i ? "/dev/shm" : NULL, i ? OM_TIER_MEMORY : OM_TIER_SSD, 0);
		assert_int_equal(be_dir_init(&f.l.tiers[i].attr, f.tier[i].objects_fd, f.tier[i].staging_fd, f.tier[i].be.caps, 2), 0);
		f.l.tiers[i].on = true;
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lcy_attr_stop(&f.l);
	for (unsigned i = 0; i < 2; i++) {
		be_fini(&f.l.tiers[i].attr);
		be_test_close(&f.tier[i]);
	}
	return 0;
}

static void order(uint64_t req, unsigned tier, uint64_t id, const char *uri, const char *type, size_t cut)
{
	union {
		struct om_op_attr m;
		char bytes[512];
	} u = { .m = { .hdr = { .type = OM_OP_ATTR, .req = req }, .id = id, .mtime_ns = 9, .flags = OM_OBJ_PINNED, .rev = 7,
		       .tier = (uint8_t)tier, .durable = tier == 0, .uri_len = (uint16_t)strlen(uri), .type_len = (uint16_t)strlen(type) } };

	memcpy(u.bytes + sizeof(u.m), uri, strlen(uri));
	memcpy(u.bytes + sizeof(u.m) + strlen(uri), type, strlen(type));
	lcy_attr(&f.l, &u.m, sizeof(u.m) + strlen(uri) + strlen(type) - cut);
}

static void wait_told(unsigned n)
{
	pthread_mutex_lock(&f.lock);
	while (f.n < n)
		pthread_cond_wait(&f.told, &f.lock);
	pthread_mutex_unlock(&f.lock);
}

static void check_file(unsigned tier, uint64_t id, const char *uri, const char *type)
{
	uint8_t buf[BE_ATTR_MAX];
	struct be_found found;

	assert_int_equal(be_describe(&f.tier[tier].be, id, buf, &found), 0);
	assert_true(found.has_attr);
	assert_int_equal(found.rec.rev, 7);
	assert_int_equal(found.rec.flags, OM_OBJ_PINNED);
	assert_int_equal(found.rec.uri_len, strlen(uri));
	assert_memory_equal(found.rec.uri, uri, strlen(uri));
	assert_int_equal(found.rec.type_len, strlen(type));
	assert_memory_equal(found.rec.type, type, strlen(type));
	assert_true(be_test_is(&f.tier[tier], id, "bytes"));
}

static void test_many_at_once(void **state)
{
	char uri[32];

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		(void)snprintf(uri, sizeof(uri), "/a/%u", i);
		struct om_rec rec = be_test_rec(uri);
		be_test_put(&f.tier[i % 2], i + 1, "bytes", &rec);
	}
	pthread_mutex_lock(&f.gate); /* from here on nothing can be answered: who waited for it would wait for ever */
	for (unsigned i = 0; i < N; i++) {
		(void)snprintf(uri, sizeof(uri), "/a/%u", i);
		order(i, i % 2, i + 1, uri, "new/type", 0);
	}
	assert_int_equal(f.n, 0);
	pthread_mutex_unlock(&f.gate);
	wait_told(N);
	for (unsigned i = 0; i < N; i++) {
		(void)snprintf(uri, sizeof(uri), "/a/%u", i);
		assert_int_equal(f.status[i], 0);
		check_file(i % 2, i + 1, uri, "new/type");
	}
}

/* One that cannot be does not take the others of its batch along. */
static void test_what_cannot_be(void **state)
{
	struct om_rec rec = be_test_rec("/x");

	(void)state;
	be_test_put(&f.tier[0], 1, "bytes", &rec);
	order(0, 5, 1, "/x", "t", 0); /* a tier that is not there */
	assert_int_equal(f.status[0], -OBJM_STATUS_UNAVAILABLE);
	order(1, 0, 1, "/x", "tt", 1); /* shorter than it says */
	assert_int_equal(f.status[1], -OBJM_STATUS_INVALID_REQUEST);
	pthread_mutex_lock(&f.gate);
	for (unsigned i = 0; i < 10; i++)
		order(2 + i, 0, 100 + i, "/x", "t", 0); /* no such files */
	order(12, 0, 1, "/x", "t", 0);
	pthread_mutex_unlock(&f.gate);
	wait_told(13);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(f.status[2 + i], -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(f.status[12], 0);
	check_file(0, 1, "/x", "t");
}

/* No more is kept than the supervisor may have under way. Without a thread to take it away, here. */
static void test_bounded(void **state)
{
	(void)state;
	f.l.attrs.on = true;
	f.l.attrs.last = &f.l.attrs.first;
	pthread_mutex_init(&f.l.attrs.lock, NULL);
	pthread_cond_init(&f.l.attrs.wake, NULL);
	for (unsigned i = 0; i < N; i++)
		order(i, 0, i + 1, "/x", "t", 0);
	assert_int_equal(f.n, 0);
	order(N, 0, N + 1, "/x", "t", 0);
	assert_int_equal(f.status[N], -OBJM_STATUS_LIMIT_EXCEEDED);
	f.l.attrs.on = false;
	while (f.l.attrs.first) {
		void *o = f.l.attrs.first;
		memcpy(&f.l.attrs.first, o, sizeof(void *)); /* its first member is the next */
		free(o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		T(test_many_at_once),
		T(test_what_cannot_be),
		T(test_bounded),
	};
	return cmocka_run_group_tests_name("lifecycle/attr", tests, NULL, NULL);
}
