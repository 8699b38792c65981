/* Moves, copies and drops against a fake supervisor: three kinds of tier, errors at each step, damage, holes, the page cache. */
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "be_store.h"
#include "be_test.h"
#include "lifecycle/lcy_move.h"

enum { DISK, SSD, MEM, STORE, TIERS };

/* What the lifecycle process sent, as the supervisor would see it. */
struct sent {
	uint16_t type;
	uint64_t req, id, size;
	uint32_t rev;
	uint8_t from, to, kind, why;
	char uri[OM_URI_MAX + 1];
};

#define SENT_MAX 2048u /* said and not read yet */

struct fix {
	struct be_test tier[3];
	struct be_store store;
	struct lcy_moves m;
	int wakefd;
	pthread_mutex_t lock;
	struct sent sent[SENT_MAX];
	unsigned n_sent, taken;
	/* ended jobs */
	unsigned ended;
	int status[256];
	bool by_source, by_target;
	char name[OM_URI_MAX + 1];
};

static int fake_send(void *arg, const struct iovec *iov, int n)
{
	struct fix *f = arg;
	const struct om_op_hdr *h = iov[0].iov_base;

	assert_int_equal(n, 2);
	assert_int_equal(h->len, iov[0].iov_len + iov[1].iov_len);
	pthread_mutex_lock(&f->lock);
	struct sent *s = &f->sent[f->n_sent++ % SENT_MAX];
	*s = (struct sent){ .type = h->type, .req = h->req };
	if (h->type == OM_OP_DROP) {
		const struct om_op_drop *d = iov[0].iov_base;
		assert_int_equal(iov[0].iov_len, sizeof(*d));
		s->id = d->id;
		s->rev = d->rev;
		s->from = d->tier;
		s->why = d->why;
	} else {
		const struct om_op_move *mv = iov[0].iov_base;
		assert_int_equal(iov[0].iov_len, sizeof(*mv));
		s->id = mv->id;
		s->rev = mv->rev;
		s->size = mv->size;
		s->from = mv->from;
		s->to = mv->to;
		s->kind = mv->kind;
	}
	memcpy(s->uri, iov[1].iov_base, iov[1].iov_len);
	pthread_mutex_unlock(&f->lock);
	return 0; /* nobody is woken: what is never kicked for is waited for in vain */
}

static void fake_wake(void *arg) { (void)eventfd_write(((struct fix *)arg)->wakefd, 1); }

static void fake_ended(void *arg, struct lcy_job *job)
{
	struct fix *f = arg;

	f->status[f->ended++ % 256] = job->status;
	f->by_source = job->by_source;
	f->by_target = job->by_target;
	if (job->status == 0 && job->kind == LCY_JOB_NAME)
		(void)snprintf(f->name, sizeof(f->name), "%.*s", (int)job->found.rec.uri_len, job->found.rec.uri);
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct lcy_moves_conf conf = { .send = fake_send, .kick = fake_wake, .wake = fake_wake, .ended = fake_ended, .arg = f };

	be_test_open(&f->tier[DISK], NULL, OM_TIER_HDD, 0);
	be_test_open(&f->tier[SSD], NULL, OM_TIER_SSD, 0);
	be_test_open(&f->tier[MEM], "/dev/shm", OM_TIER_MEMORY, 0);
	f->wakefd = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&f->lock, NULL);
	lcy_moves_init(&f->m, &conf);
	for (uint8_t i = 0; i < 3; i++)
		assert_int_equal(lcy_moves_tier(&f->m, i, f->tier[i].objects_fd, f->tier[i].staging_fd, f->tier[i].be.caps, i == MEM), 0);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(f->m.mover); i++)
		be_store_init(&f->m.mover[i].be[STORE], &f->store);
	f->m.tier_on[STORE] = true;
	assert_int_equal(lcy_moves_start(&f->m), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	lcy_moves_stop(&f->m);
	for (unsigned i = 0; i < 3; i++)
		be_test_close(&f->tier[i]);
	be_store_fini(&f->store);
	om_close(&f->wakefd);
	free(f);
	return 0;
}

static struct rlimit files;

/* The same where few files may be open. */
static int setup_few(void **state)
{
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	struct rlimit few = { 256, files.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	return setup(state);
}

static int teardown_few(void **state)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	return teardown(state);
}

static void wait_some(struct fix *f)
{
	struct pollfd p = { .fd = f->wakefd, .events = POLLIN };
	eventfd_t v;

	assert_int_equal(poll(&p, 1, 30000), 1);
	(void)eventfd_read(f->wakefd, &v);
}

/* The next message of the lifecycle process. */
static struct sent *next_sent(struct fix *f)
{
	for (;;) {
		pthread_mutex_lock(&f->lock);
		bool there = f->taken < f->n_sent;
		pthread_mutex_unlock(&f->lock);
		if (there)
			return &f->sent[f->taken++ % SENT_MAX];
		wait_some(f);
	}
}

static void verdict(struct fix *f, const struct sent *s, int status)
{
	struct om_op_verdict v = { .hdr = { .len = sizeof(v), .type = OM_OP_VERDICT, .req = s->req }, .status = status };

	assert_true(lcy_moves_verdict(&f->m, &v));
	lcy_moves_allowed(&f->m);
}

static void wait_ended(struct fix *f, unsigned n)
{
	while (lcy_moves_turn(&f->m), f->ended < n)
		wait_some(f);
	assert_int_equal(f->ended, n);
}

static struct lcy_job *move_job(struct fix *f, uint64_t id, uint8_t from, uint8_t to, uint8_t kind)
{
	struct lcy_job *job = lcy_moves_new(&f->m);

	assert_non_null(job);
	job->kind = LCY_JOB_MOVE;
	job->id = id;
	job->rev = 3;
	job->size = 5;
	job->from = from;
	job->to = to;
	job->move_kind = kind;
	return job;
}

/* The supervisor allows and commits; the status that the job ends with. */
static int play(struct fix *f, struct lcy_job *job)
{
	unsigned n = f->ended + 1;
	uint8_t from = job->from, to = job->to, kind = job->move_kind;
	uint64_t id = job->id;

	lcy_moves_go(&f->m, job);
	struct sent *s = next_sent(f);
	assert_int_equal(s->type, OM_OP_MOVE_BEGIN);
	assert_int_equal(s->id, id);
	assert_int_equal(s->rev, 3);
	assert_int_equal(s->from, from);
	assert_int_equal(s->to, to);
	assert_int_equal(s->kind, kind);
	verdict(f, s, 0);
	s = next_sent(f);
	if (s->type == OM_OP_MOVE_COMMIT)
		verdict(f, s, 0);
	else
		assert_int_equal(s->type, OM_OP_MOVE_ABORT);
	wait_ended(f, n);
	return f->status[(n - 1) % 256];
}

static void put_sized(struct be_test *t, uint64_t id, const void *bytes, size_t n, const char *uri)
{
	struct om_rec rec = be_test_rec(uri);
	struct be_file file;

	assert_int_equal(be_begin(&t->be, n, &file), 0);
	assert_int_equal(pwrite(file.rwfd, bytes, n, 0), n);
	om_close(&file.rwfd);
	assert_int_equal(be_freeze(&t->be, &file, &rec), 0);
	assert_int_equal(be_link(&t->be, &file, id, &rec), 0);
	be_drop(&file);
}

static void same_attr(struct be *be, uint64_t id, const char *uri)
{
	struct om_rec want = be_test_rec(uri);
	uint8_t buf[BE_ATTR_MAX];
	struct be_found found;

	assert_int_equal(be_describe(be, id, buf, &found), 0);
	assert_true(found.has_attr);
	assert_int_equal(found.rec.uri_len, strlen(uri));
	assert_memory_equal(found.rec.uri, uri, strlen(uri));
	assert_int_equal(found.rec.flags, want.flags);
	assert_int_equal(found.rec.mtime_ns, want.mtime_ns);
	assert_int_equal(found.rec.expiry_s, want.expiry_s);
	assert_int_equal(found.rec.meta_len, want.meta_len);
	assert_memory_equal(found.rec.type, want.type, want.type_len);
}

static void test_every_pair(void **state)
{
	struct fix *f = *state;
	struct om_rec rec = be_test_rec("/o/1");
	uint64_t id = 5000;

	for (uint8_t from = 0; from < TIERS; from++) {
		for (uint8_t to = 0; to < TIERS; to++) {
			struct be *src = &f->m.mover[0].be[from], *dst = &f->m.mover[0].be[to];
			struct be_file file;
			char buf[8];
			int fd, old;

			if (from == to)
				continue;
			id++;
			assert_int_equal(be_begin(src, 5, &file), 0);
			assert_int_equal(pwrite(file.rwfd, "hello", 5, 0), 5);
			om_close(&file.rwfd);
			assert_int_equal(be_freeze(src, &file, &rec), 0);
			assert_int_equal(be_link(src, &file, id, &rec), 0);
			be_drop(&file);
			assert_int_equal(be_open(src, id, &old), 0);
			assert_int_equal(play(f, move_job(f, id, from, to, OM_MOVE_HOME)), 0);
			assert_int_equal(be_open(dst, id, &fd), 0);
			assert_int_equal(pread(fd, buf, 8, 0), 5);
			assert_memory_equal(buf, "hello", 5);
			same_attr(dst, id, "/o/1");
			om_close(&fd);
			/* the source is the supervisor's to remove; a descriptor of it stays good */
			struct be_batch b = { 0 };
			assert_int_equal(be_remove(src, id, &b), 0);
			assert_int_equal(be_remove_sync(src, &b), 0);
			assert_int_equal(pread(old, buf, 8, 0), 5);
			om_close(&old);
		}
	}
	/* nothing is left of the work */
	assert_int_equal(be_test_entries(&f->tier[DISK], "staging"), 0);
	assert_int_equal(be_test_entries(&f->tier[MEM], "staging"), 0);
}

static void all_sizes(struct fix *f)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, LCY_COPY_DIRECT - 1, LCY_COPY_DIRECT, LCY_COPY_DIRECT + 1,
					LCY_COPY_CHUNK, LCY_COPY_CHUNK + 4096, 3 * LCY_COPY_CHUNK + 4095 };
	size_t max = 4 * LCY_COPY_CHUNK;
	unsigned char *bytes = malloc(max), *back = malloc(max);

	for (size_t i = 0; i < max; i++)
		bytes[i] = (unsigned char)(i * 2654435761u >> 13);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(sizes); i++) {
		for (uint8_t to = SSD; to <= MEM; to++) {
			uint64_t id = 100 + i * 2 + to;
			int fd;
			put_sized(&f->tier[DISK], id, bytes, sizes[i], "/size");
			assert_int_equal(play(f, move_job(f, id, DISK, to, OM_MOVE_COPY)), 0);
			assert_int_equal(be_open(&f->tier[to].be, id, &fd), 0);
			struct stat st;
			assert_int_equal(fstat(fd, &st), 0);
			assert_int_equal(st.st_size, sizes[i]);
			assert_int_equal(st.st_mode & 07777, 0400);
			assert_int_equal(pread(fd, back, max, 0), sizes[i]);
			assert_memory_equal(back, bytes, sizes[i]);
			om_close(&fd);
		}
	}
	free(bytes);
	free(back);
}

static void test_sizes(void **state) { all_sizes(*state); }

/* In small pieces with rests in between: the same files. */
static void test_while_serving(void **state)
{
	struct fix *f = *state;

	lcy_yield_conf(&f->m.yield, 0.4 / f->m.yield.cpus);
	lcy_yield_turn(&f->m.yield, 0, LCY_YIELD_FEW, false);
	assert_int_equal(lcy_yield_share(&f->m.yield), 400);
	all_sizes(f);
	assert_true(f->m.yield.rested_ns > 0);
	assert_true(f->m.yield.turns > 0);
}

static void test_sparse(void **state)
{
	struct fix *f = *state;
	struct om_rec rec = be_test_rec("/sparse");
	const off_t size = 64 << 20, at[] = { 0, 5 << 20, (40 << 20) + 123 };
	struct be_file file;
	struct stat st;
	char buf[4];
	int fd;

	assert_int_equal(be_begin(&f->tier[DISK].be, 0, &file), 0);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(at); i++)
		assert_int_equal(pwrite(file.rwfd, "data", 4, at[i]), 4);
	assert_int_equal(ftruncate(file.rwfd, size), 0);
	om_close(&file.rwfd);
	assert_int_equal(be_freeze(&f->tier[DISK].be, &file, &rec), 0);
	assert_int_equal(be_link(&f->tier[DISK].be, &file, 9, &rec), 0);
	be_drop(&file);
	for (uint8_t to = SSD; to <= MEM; to++) {
		assert_int_equal(play(f, move_job(f, 9, DISK, to, OM_MOVE_HOME)), 0);
		assert_int_equal(be_open(&f->tier[to].be, 9, &fd), 0);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, size);
		assert_true(st.st_blocks * 512 < 1 << 20); /* holes stay holes */
		for (unsigned i = 0; i < OM_ARRAY_SIZE(at); i++) {
			assert_int_equal(pread(fd, buf, 4, at[i]), 4);
			assert_memory_equal(buf, "data", 4);
		}
		assert_int_equal(pread(fd, buf, 4, size - 4), 4);
		assert_memory_equal(buf, "\0\0\0\0", 4);
		om_close(&fd);
	}
}

/* Many small ones: they share their syncs; each is asked for and committed by itself. More than may be open at once go through, too. */
static void test_many(void **state)
{
	struct fix *f = *state;
	enum { N = LCY_HELD_FILES + 100 };
	char bytes[32];

	static_assert(N <= LCY_JOBS_MAX, "all of them are under way");

	for (unsigned i = 0; i < N; i++) {
		(void)snprintf(bytes, sizeof(bytes), "object %u", i);
		put_sized(&f->tier[SSD], 200 + i, bytes, strlen(bytes), "/many");
		lcy_moves_go(&f->m, move_job(f, 200 + i, SSD, DISK, OM_MOVE_HOME));
	}
	for (unsigned begun = 0, committed = 0; committed < N;) {
		struct sent *s = next_sent(f);
		begun += s->type == OM_OP_MOVE_BEGIN;
		committed += s->type == OM_OP_MOVE_COMMIT;
		assert_true(begun >= committed);
		if (s->type == OM_OP_MOVE_COMMIT) {
			(void)snprintf(bytes, sizeof(bytes), "object %u", (unsigned)(s->id - 200));
			assert_true(be_test_is(&f->tier[DISK], s->id, bytes)); /* it is there before it is committed */
		}
		verdict(f, s, 0);
	}
	wait_ended(f, N);
	assert_int_equal(f->m.n_jobs, 0);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(f->status); i++)
		assert_int_equal(f->status[i], 0);
}

static void test_refused(void **state)
{
	struct fix *f = *state;

	put_sized(&f->tier[DISK], 9, "hello", 5, "/o");
	lcy_moves_go(&f->m, move_job(f, 9, DISK, SSD, OM_MOVE_HOME));
	struct sent *s = next_sent(f);
	assert_string_equal(s->uri, "/o");
	verdict(f, s, -OBJM_STATUS_PRECONDITION_FAILED);
	wait_ended(f, 1);
	assert_int_equal(f->status[0], -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(f->n_sent, 1); /* nothing to abort */
	assert_false(be_test_is(&f->tier[SSD], 9, NULL));
	/* a verdict for what is over, or was never asked, answers nothing */
	struct om_op_verdict v = { .hdr = { .req = s->req } };
	assert_false(lcy_moves_verdict(&f->m, &v));
	v.hdr.req = UINT64_MAX;
	assert_false(lcy_moves_verdict(&f->m, &v));

	/* refused at the commit: the copy stays for the supervisor to remove, nothing is aborted twice */
	lcy_moves_go(&f->m, move_job(f, 9, DISK, SSD, OM_MOVE_HOME));
	verdict(f, next_sent(f), 0);
	s = next_sent(f);
	assert_int_equal(s->type, OM_OP_MOVE_COMMIT);
	verdict(f, s, -OBJM_STATUS_PRECONDITION_FAILED);
	wait_ended(f, 2);
	assert_int_equal(f->n_sent, 3);
}

static struct sent *begin_and_remove(struct fix *f, uint64_t id)
{
	struct be_batch b = { 0 };

	put_sized(&f->tier[DISK], id, "hello", 5, "/o");
	lcy_moves_go(&f->m, move_job(f, id, DISK, SSD, OM_MOVE_HOME));
	struct sent *s = next_sent(f);
	assert_int_equal(be_remove(&f->tier[DISK].be, id, &b), 0);
	return s;
}

static void test_source_gone(void **state)
{
	struct fix *f = *state;

	lcy_moves_go(&f->m, move_job(f, 77, DISK, SSD, OM_MOVE_HOME));
	wait_ended(f, 1);
	assert_int_equal(f->status[0], -OBJM_STATUS_NOT_FOUND);
	assert_true(f->by_source);
	assert_int_equal(f->n_sent, 0);
	/* between MOVE_BEGIN and the copy: what is held open is carried on, the supervisor judges whether it still counts */
	struct sent *s = begin_and_remove(f, 78);
	assert_int_equal(f->m.n_open, 1);
	verdict(f, s, 0);
	s = next_sent(f);
	assert_int_equal(s->type, OM_OP_MOVE_COMMIT);
	verdict(f, s, -OBJM_STATUS_PRECONDITION_FAILED);
	wait_ended(f, 2);
	assert_true(be_test_is(&f->tier[SSD], 78, "hello"));
	assert_int_equal(f->m.n_open, 0);
	/* refused: it does not stay open */
	s = begin_and_remove(f, 79);
	verdict(f, s, -OBJM_STATUS_PRECONDITION_FAILED);
	wait_ended(f, 3);
	assert_int_equal(f->m.n_open, 0);
	/* while clients are served nothing is held open, so that what they delete gives its room back */
	lcy_yield_conf(&f->m.yield, 0.4 / f->m.yield.cpus);
	lcy_yield_turn(&f->m.yield, 0, LCY_YIELD_FEW, false);
	s = begin_and_remove(f, 80);
	assert_int_equal(f->m.n_open, 0);
	verdict(f, s, 0);
	s = next_sent(f);
	assert_int_equal(s->type, OM_OP_MOVE_ABORT);
	wait_ended(f, 4);
	assert_int_equal(f->status[3], -OBJM_STATUS_NOT_FOUND);
	assert_true(f->by_source && !f->by_target);
}

/* XXH3-128 of "hello", canonical (xxhsum -H2) */
static const uint8_t hello_sum[BE_SUM_BYTES] = { 0xb5, 0xe9, 0xc1, 0xad, 0x07, 0x1b, 0x3e, 0x7f, 0xc7, 0x79, 0xcf, 0xaa, 0x5e, 0x52, 0x38, 0x18 };

/* Bytes that changed since the last move are not carried on. */
static void test_source_damaged(void **state)
{
	struct fix *f = *state;
	uint8_t buf[BE_ATTR_MAX];
	struct be_found found;
	int fd;

	put_sized(&f->tier[DISK], 9, "hello", 5, "/o");
	assert_int_equal(play(f, move_job(f, 9, DISK, MEM, OM_MOVE_COPY)), 0); /* a clone of a file that has none would have none */
	assert_int_equal(play(f, move_job(f, 9, MEM, SSD, OM_MOVE_HOME)), 0);
	assert_int_equal(be_describe(&f->tier[SSD].be, 9, buf, &found), 0);
	assert_true(found.has_attr);
	assert_non_null(found.rec.sum);
	assert_memory_equal(found.rec.sum, hello_sum, sizeof(hello_sum));
	assert_int_equal(be_attr_replace(&f->tier[SSD].be, 9, &(struct om_rec){ .rev = 4, .uri = "/o", .uri_len = 2 }, BE_NOW), 0); /* told something else, it keeps it */
	char path[512];
	(void)snprintf(path, sizeof(path), "%s/objects/000000000/0000000000000009", f->tier[SSD].path);
	assert_int_equal(chmod(path, 0600), 0);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "jello", 5, 0), 5);
	om_close(&fd);
	assert_int_equal(be_remove(&f->tier[MEM].be, 9, &(struct be_batch){ 0 }), 0);
	assert_int_equal(play(f, move_job(f, 9, SSD, MEM, OM_MOVE_COPY)), -OBJM_STATUS_CORRUPT);
	assert_true(f->by_source && !f->by_target);
	assert_false(be_test_is(&f->tier[MEM], 9, NULL));
}

/* The same of a file that has the sum in an attribute of its own, as it was kept before. */
static void test_source_damaged_old(void **state)
{
	struct fix *f = *state;
	uint8_t sum[BE_SUM_BYTES];
	char path[512];

	memcpy(sum, hello_sum, sizeof(sum));
	for (uint64_t id = 10; id <= 11; id++) {
		put_sized(&f->tier[DISK], id, "hello", 5, "/o");
		(void)snprintf(path, sizeof(path), "%s/objects/000000000/%016llx", f->tier[DISK].path, (unsigned long long)id);
		assert_int_equal(chmod(path, 0600), 0);
		assert_int_equal(setxattr(path, BE_SUM_NAME, sum, sizeof(sum), 0), 0);
		assert_int_equal(play(f, move_job(f, id, DISK, MEM, OM_MOVE_COPY)), id == 10 ? 0 : -OBJM_STATUS_CORRUPT);
		sum[0] ^= 1;
	}
}

static void test_target_fails(void **state)
{
	struct fix *f = *state;

	put_sized(&f->tier[DISK], 9, "hello", 5, "/o");
	f->store.fail = ENOSPC;
	assert_int_equal(play(f, move_job(f, 9, DISK, STORE, OM_MOVE_HOME)), -OBJM_STATUS_NO_SPACE);
	assert_true(f->by_target && !f->by_source);
	f->store.fail = EIO;
	assert_int_equal(play(f, move_job(f, 9, DISK, STORE, OM_MOVE_HOME)), -OBJM_STATUS_STORAGE);
	assert_true(f->by_target);
	/* an id whose file is there already: never written over */
	put_sized(&f->tier[SSD], 9, "other", 5, "/o");
	assert_int_equal(play(f, move_job(f, 9, DISK, SSD, OM_MOVE_HOME)), -OBJM_STATUS_STORAGE);
	assert_true(be_test_is(&f->tier[SSD], 9, "other"));
	/* and it works again */
	assert_int_equal(play(f, move_job(f, 9, DISK, STORE, OM_MOVE_HOME)), 0);
}

/* What the target reads back differs: it is not committed. */
static void test_target_damaged(void **state)
{
	struct fix *f = *state;

	put_sized(&f->tier[DISK], 9, "hello", 5, "/o");
	f->store.damage = true;
	assert_int_equal(play(f, move_job(f, 9, DISK, STORE, OM_MOVE_HOME)), -OBJM_STATUS_CORRUPT);
	assert_true(f->by_target && !f->by_source);
	assert_int_equal(f->sent[f->n_sent - 1].type, OM_OP_MOVE_ABORT);
	assert_true(be_test_is(&f->tier[DISK], 9, "hello"));
}

static void test_drop(void **state)
{
	struct fix *f = *state;

	put_sized(&f->tier[MEM], 9, "hello", 5, "/copy");
	put_sized(&f->tier[DISK], 10, "hello", 5, "/home");
	for (uint64_t id = 9; id <= 11; id++) {
		struct lcy_job *job = lcy_moves_new(&f->m);
		job->kind = LCY_JOB_DROP;
		job->id = id;
		job->rev = 4;
		job->from = MEM;
		job->other = DISK; /* 10: the copy's file is gone, its home knows the name */
		job->drop_why = OM_DROP_COPY;
		lcy_moves_go(&f->m, job);
		if (id == 11)
			break; /* nobody knows its name */
		struct sent *s = next_sent(f);
		assert_int_equal(s->type, OM_OP_DROP);
		assert_int_equal(s->id, id);
		assert_int_equal(s->rev, 4);
		assert_int_equal(s->from, MEM);
		assert_int_equal(s->why, OM_DROP_COPY);
		assert_string_equal(s->uri, id == 9 ? "/copy" : "/home");
		verdict(f, s, 0);
		wait_ended(f, (unsigned)(id - 8));
	}
	wait_ended(f, 3);
	assert_int_equal(f->status[2], -OBJM_STATUS_NOT_FOUND);
	struct lcy_job *job = lcy_moves_new(&f->m);
	job->kind = LCY_JOB_NAME;
	job->id = 10;
	job->from = DISK;
	lcy_moves_go(&f->m, job);
	wait_ended(f, 4);
	assert_string_equal(f->name, "/home");
}

static unsigned pages_cached(struct be_test *t, uint64_t id, size_t size)
{
	unsigned char vec[4096];
	unsigned n = 0;
	int fd;

	assert_int_equal(be_open(&t->be, id, &fd), 0);
	void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED && size / 4096 <= sizeof(vec));
	assert_int_equal(mincore(map, size, vec), 0);
	for (size_t i = 0; i < size / 4096; i++)
		n += vec[i] & 1;
	(void)munmap(map, size);
	om_close(&fd);
	return n;
}

/* A demotion leaves nothing in the page cache: neither of a large object nor of a small one. */
static void test_page_cache(void **state)
{
	struct fix *f = *state;
	size_t large = 8 << 20, small = 64 << 10;
	unsigned char *bytes = calloc(1, large);

	memset(bytes, 7, large);
	put_sized(&f->tier[SSD], 9, bytes, large, "/large");
	put_sized(&f->tier[SSD], 10, bytes, small, "/small");
	assert_int_equal(play(f, move_job(f, 9, SSD, DISK, OM_MOVE_HOME)), 0);
	assert_int_equal(play(f, move_job(f, 10, SSD, DISK, OM_MOVE_HOME)), 0);
	free(bytes);
	/* cachestat and mincore see what readahead of others may add; a tenth is far from all */
	assert_true(pages_cached(&f->tier[DISK], 9, large) < large / 4096 / 10);
	assert_true(pages_cached(&f->tier[DISK], 10, small) < small / 4096 / 2);
}

/* Nor does it change the inodes that it reads: each would be a transaction of the filesystem. */
static void test_no_trace(void **state)
{
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } }; /* atime before mtime: any other reading sets it */
	static const size_t sizes[] = { 5, LCY_COPY_DIRECT };
	struct fix *f = *state;
	unsigned char *bytes = calloc(1, LCY_COPY_DIRECT);

	for (uint64_t i = 0; i < OM_ARRAY_SIZE(sizes); i++) {
		struct stat st;
		int from, to;
		put_sized(&f->tier[SSD], 9 + i, bytes, sizes[i], "/o");
		assert_int_equal(be_open(&f->tier[SSD].be, 9 + i, &from), 0);
		assert_int_equal(futimens(from, old), 0);
		assert_int_equal(play(f, move_job(f, 9 + i, SSD, DISK, OM_MOVE_HOME)), 0);
		assert_int_equal(fstat(from, &st), 0);
		assert_int_equal(st.st_atim.tv_sec, 1000);
		assert_int_equal(be_open(&f->tier[DISK].be, 9 + i, &to), 0);
		assert_int_equal(fstat(to, &st), 0);
		assert_true(st.st_atim.tv_sec < st.st_mtim.tv_sec || (st.st_atim.tv_sec == st.st_mtim.tv_sec && st.st_atim.tv_nsec <= st.st_mtim.tv_nsec));
		om_close(&from);
		om_close(&to);
	}
	free(bytes);
}

static void test_rate(void **state)
{
	struct lcy_rate r = { 0 };
	uint64_t t0 = om_now_ns();

	(void)state;
	lcy_rate_take(&r, UINT64_MAX / 4); /* no bound, no wait */
	atomic_store(&r.per_s, 10 << 20);
	for (unsigned i = 0; i < 4; i++)
		lcy_rate_take(&r, 1 << 20);
	assert_true(om_now_ns() - t0 >= 350000000u); /* 4 MiB at 10 MiB a second */
}

/* What a move copies is taken from lifecycle.bandwidth. */
static void test_moves_take_from_the_rate(void **state)
{
	struct fix *f = *state;
	char bytes[100] = "some";

	put_sized(&f->tier[SSD], 9, bytes, sizeof(bytes), "/a");
	put_sized(&f->tier[SSD], 10, bytes, sizeof(bytes), "/b");
	assert_int_equal(play(f, move_job(f, 9, SSD, MEM, OM_MOVE_COPY)), 0);
	assert_true(atomic_load(&f->m.rate.free_ns) == 0); /* no bound */
	atomic_store(&f->m.rate.per_s, UINT64_C(1) << 40);
	assert_int_equal(play(f, move_job(f, 10, SSD, MEM, OM_MOVE_COPY)), 0);
	assert_true(atomic_load(&f->m.rate.free_ns) > 0);
}

static void test_bound(void **state)
{
	struct fix *f = *state;
	struct lcy_job *jobs[LCY_JOBS_MAX];

	for (unsigned i = 0; i < LCY_JOBS_MAX; i++) {
		jobs[i] = lcy_moves_new(&f->m);
		assert_non_null(jobs[i]);
		jobs[i]->id = i + 1;
	}
	assert_null(lcy_moves_new(&f->m));
	assert_ptr_equal(lcy_moves_find(&f->m, 5), jobs[4]);
	for (unsigned i = 0; i < LCY_JOBS_MAX; i++)
		lcy_moves_free(&f->m, jobs[i]);
	assert_null(lcy_moves_find(&f->m, 5));
	assert_int_equal(f->m.n_jobs, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_every_pair), T(test_sizes), T(test_while_serving), T(test_sparse), T(test_many),
		cmocka_unit_test_setup_teardown(test_many, setup_few, teardown_few), T(test_refused), T(test_source_gone),
		T(test_source_damaged), T(test_source_damaged_old), T(test_target_fails), T(test_target_damaged), T(test_drop), T(test_page_cache), T(test_no_trace), cmocka_unit_test(test_rate), T(test_moves_take_from_the_rate), T(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
