/*
 * test_put.c: put sessions against a fake supervisor: the order of the steps, who may write until when, which tier, every end
 * that a session can have, and the bounds.
 */
#include "put_fix.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/om_counter.h"
#include "common/om_fault.h"

static struct put_fix f;
static struct wrk_put_owner trusted, other;
#define S f.w.puts

static int start(unsigned durability, void (*tune)(struct om_proc_boot *))
{
	put_fix_start(&f, durability, tune);
	wrk_put_owner_init(&trusted, 1000);
	wrk_put_owner_init(&other, 2000);
	return 0;
}
static int setup(void **state)
{
	(void)state;
	return start(OM_DUR_SYNC, NULL);
}
static int setup_batch(void **state)
{
	(void)state;
	return start(OM_DUR_BATCH, NULL);
}
static int teardown(void **state)
{
	(void)state;
	(void)unsetenv("OBJM_FAULT");
	wrk_put_owner_close(S, &trusted);
	wrk_put_owner_close(S, &other);
	f.hold = false;
	put_fix_for(&f, 50);
	assert_int_equal(wrk_put_count(S), 0); /* whatever happened: no session is left behind */
	for (unsigned i = 0; i < PUT_FIX_TIERS; i++) {
		assert_int_equal(S->tiers[i].hinted, 0);
		assert_int_equal(S->tiers[i].n_coming, 0);
	}
	assert_int_equal(S->inline_bytes, 0);
	put_fix_stop(&f);
	return 0;
}

static void is(unsigned tier, uint64_t id, const char *bytes)
{
	char buf[256];
	unsigned mode;
	ssize_t n = put_fix_read(&f, tier, id, buf, sizeof(buf), &mode);

	assert_int_equal(n, strlen(bytes));
	assert_memory_equal(buf, bytes, (size_t)n);
	assert_int_equal(mode, 0400);
}

/* ---- the whole way ---- */

static void whole_way(struct wrk_put_owner *o, unsigned flags, unsigned tier)
{
	struct wrk_put_req req = put_fix_req("/name");
	static const unsigned char meta[] = { 1, 0, 1, 'k', 'v' };

	req.flags = flags;
	req.ttl_s = 60;
	req.meta = meta;
	req.meta_len = sizeof(meta);
	int fd = put_fix_begin(&f, o, &req);
	assert_int_equal(f.begun.tier, tier);
	assert_int_equal(write(fd, "hello", 5), 5);
	(void)close(fd);
	assert_int_equal(put_fix_files(&f, tier), 0); /* no name before the commit */
	assert_int_equal(f.prepares, 0);
	assert_int_equal(put_fix_commit(&f, o), 0);
	assert_int_equal(f.done.id, 1);
	assert_int_equal(f.done.rev, 1);
	assert_int_equal(f.done.size, 5);
	assert_int_equal(f.done.tier, tier);
	assert_int_equal(f.last.size, 5);
	assert_int_equal(f.last.flags, flags);
	assert_int_equal(f.last.tier, tier);
	assert_int_equal(f.last.type_len, 10);
	assert_int_equal(f.last.meta_len, sizeof(meta));
	assert_string_equal(f.last_uri, "/name");
	assert_int_equal(f.last.expiry_s, f.last.mtime_ns / 1000000000u + 60);
	assert_int_equal(f.aborts, 0);
	is(tier, 1, "hello");
	assert_null(wrk_put_find(S, o, f.begun.session)); /* it is over */
}

static void test_trusted_disk(void **state)
{
	(void)state;
	whole_way(&trusted, OM_OBJ_PINNED, 1);
	assert_int_equal(f.done.durability, OM_DUR_SYNC);
}
static void test_untrusted_disk(void **state)
{
	(void)state;
	uint64_t copied = om_counter_self->v[OM_C_PUT_COPIED];
	whole_way(&other, 0, 1);
	assert_int_equal(om_counter_self->v[OM_C_PUT_COPIED], copied + 1);
}
static void test_trusted_memory(void **state)
{
	(void)state;
	whole_way(&trusted, OM_OBJ_EPHEMERAL, 0);
	assert_int_equal(f.done.durability, OM_DUR_NONE);
}
static void test_untrusted_memory(void **state)
{
	(void)state;
	whole_way(&other, OM_OBJ_EPHEMERAL | OM_OBJ_EVICTABLE, 0);
}
static void test_batch(void **state)
{
	(void)state;
	whole_way(&trusted, 0, 1);
	assert_int_equal(f.done.durability, OM_DUR_BATCH);
	put_fix_until(&f, &S->n, 0); /* and the sync right behind */
}
static void test_batch_asked_for_more(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");

	(void)state;
	req.durability = OM_DUR_SYNC;
	(void)close(put_fix_begin(&f, &trusted, &req));
	assert_int_equal(put_fix_commit(&f, &trusted), 0);
	assert_int_equal(f.done.durability, OM_DUR_SYNC);
}

/* An untrusted writer that kept a way to write reaches nothing: the committed file is another one. */
static void test_untrusted_kept(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");
	char path[64];

	(void)state;
	int fd = put_fix_begin(&f, &other, &req);
	assert_int_equal(write(fd, "good", 4), 4);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int kept = open(path, O_PATH); /* what the lease does not see; reopened after the commit (this test is the file's owner) */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", kept);
	(void)close(fd);
	assert_int_equal(put_fix_commit(&f, &other), 0);
	fd = open(path, O_WRONLY);
	if (fd >= 0) {
		assert_int_equal(pwrite(fd, "BAD!", 4, 0), 4);
		(void)close(fd);
	}
	(void)close(kept);
	is(1, 1, "good");
}

/* ---- the writer is still there ---- */

static void test_still_open(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");

	(void)state;
	int fd = put_fix_begin(&f, &trusted, &req);
	assert_int_equal(write(fd, "a", 1), 1);
	uint64_t from = om_now_ns();
	assert_int_equal(put_fix_commit(&f, &trusted), -OBJM_STATUS_WRITER_STILL_OPEN);
	assert_true(om_now_ns() - from >= 90000000u); /* commit_wait_ms */
	assert_non_null(strstr(f.text, "open"));
	assert_int_equal(f.prepares, 0);
	assert_int_equal(write(fd, "b", 1), 1); /* the session is still open */
	(void)close(fd);
	assert_int_equal(put_fix_commit(&f, &trusted), 0);
	is(1, 1, "ab");
}

static void test_closed_while_waiting(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");
	const char *text;

	(void)state;
	int fd = put_fix_begin(&f, &other, &req);
	assert_int_equal(write(fd, "abc", 3), 3);
	void *map = mmap(NULL, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	struct wrk_put *p = wrk_put_find(S, &other, f.begun.session);
	assert_int_equal(wrk_put_commit(S, p, put_fix_done, &f, &text), 0);
	assert_int_equal(wrk_put_commit(S, p, put_fix_done, &f, &text), -OBJM_STATUS_TRY_AGAIN); /* one at a time */
	put_fix_for(&f, 20);
	assert_int_equal(f.n_done, 0);
	(void)munmap(map, 3);
	put_fix_until(&f, &f.n_done, 1);
	assert_int_equal(f.done.status, 0);
	is(1, 1, "abc");
}

/* ---- verdicts ---- */

static void begin_write(struct wrk_put_owner *o, const char *uri)
{
	struct wrk_put_req req = put_fix_req(uri);
	int fd = put_fix_begin(&f, o, &req);

	assert_int_equal(write(fd, "x", 1), 1);
	(void)close(fd);
}

static void test_precondition(void **state)
{
	(void)state;
	begin_write(&trusted, "/x");
	f.prepare_status = -OBJM_STATUS_PRECONDITION_FAILED;
	assert_int_equal(put_fix_commit(&f, &trusted), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(f.done.cur_id, 42);
	assert_int_equal(f.done.cur_rev, 7);
	assert_int_equal(f.aborts, 0);
	assert_int_equal(put_fix_files(&f, 1), 0);
	assert_null(wrk_put_find(S, &trusted, f.begun.session));
}

static void test_busy_key(void **state)
{
	(void)state;
	begin_write(&other, "/x");
	f.prepare_busy = 3;
	assert_int_equal(put_fix_commit(&f, &other), 0); /* tried again by itself */
	assert_int_equal(f.prepares, 4);
	is(1, 1, "x");
}

static void test_busy_key_for_long(void **state)
{
	(void)state;
	begin_write(&trusted, "/x");
	f.prepare_busy = 1000000;
	assert_int_equal(put_fix_commit(&f, &trusted), -OBJM_STATUS_TRY_AGAIN);
	assert_non_null(wrk_put_find(S, &trusted, f.begun.session)); /* stays open */
	f.prepare_busy = 0;
	assert_int_equal(put_fix_commit(&f, &trusted), 0);
	is(1, 1, "x");
}

static void test_commit_refused(void **state)
{
	(void)state;
	begin_write(&trusted, "/x");
	f.commit_status = -OBJM_STATUS_STORAGE;
	assert_int_equal(put_fix_commit(&f, &trusted), -OBJM_STATUS_STORAGE);
	assert_int_equal(f.aborts, 0); /* the supervisor has the file removed by itself */
}

/* ---- the client goes ---- */

static void test_gone_while_open(void **state)
{
	(void)state;
	begin_write(&trusted, "/x");
	begin_write(&trusted, "/y");
	assert_int_equal(trusted.n, 2);
	wrk_put_owner_close(S, &trusted);
	assert_int_equal(wrk_put_count(S), 0);
	assert_int_equal(f.prepares, 0);
	assert_int_equal(put_fix_files(&f, 1), 0);
}

static void test_gone_at_each_step(void **state)
{
	const char *text;

	(void)state;
	for (unsigned turns = 0; turns < 12; turns++) {
		unsigned before = f.prepares - f.commits - f.aborts;
		assert_int_equal(before, 0);
		begin_write(turns % 2 ? &trusted : &other, "/x");
		struct wrk_put_owner *o = turns % 2 ? &trusted : &other;
		struct wrk_put *p = wrk_put_find(S, o, f.begun.session);
		assert_int_equal(wrk_put_commit(S, p, put_fix_done, &f, &text), 0);
		f.hold = true; /* PREPARE waits */
		for (unsigned i = 0; i < turns / 2; i++)
			put_fix_for(&f, 1);
		f.hold = turns >= 8;
		for (unsigned i = 0; i + 4 < turns; i++)
			put_fix_for(&f, 1);
		unsigned done = f.n_done;
		wrk_put_owner_close(S, o);
		f.hold = false;
		put_fix_for(&f, 30);
		for (int i = 0; i < 2000 && (wrk_put_count(S) > 0 || f.prepares != f.commits + f.aborts); i++) /* the disk may be slow */
			put_fix_for(&f, 5);
		assert_int_equal(f.n_done, done); /* nobody is told any more */
		assert_int_equal(wrk_put_count(S), 0);
	}
	assert_int_equal(f.prepares, f.commits + f.aborts); /* every reservation came to an end */
}

static void test_abort(void **state)
{
	(void)state;
	begin_write(&trusted, "/x");
	wrk_put_abort(S, wrk_put_find(S, &trusted, f.begun.session));
	assert_null(wrk_put_find(S, &trusted, f.begun.session));
	assert_int_equal(trusted.n, 0);
	/* a number of another connection is no number here */
	begin_write(&trusted, "/x");
	assert_null(wrk_put_find(S, &other, f.begun.session));
	assert_null(wrk_put_find(S, &trusted, f.begun.session + 1));
	assert_null(wrk_put_find(S, &trusted, UINT32_MAX));
}

static void settle(void)
{
	for (int i = 0; i < 10000 && wrk_io_pending(f.w.io); i++)
		put_fix_for(&f, 1);
	assert_int_equal(wrk_io_pending(f.w.io), 0);
}

/* Freeing a large nameless file takes long (its last close does it), a network filesystem may take any time: not in the loop. */
static void test_large_let_go(void **state)
{
	static char buf[1 << 20];
	struct wrk_put_req req = put_fix_req("/large");
	int fd = put_fix_begin(&f, &trusted, &req);

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(write(fd, buf, sizeof(buf)), sizeof(buf));
	(void)close(fd);
	settle();
	wrk_put_abort(S, wrk_put_find(S, &trusted, f.begun.session));
	assert_int_equal(wrk_io_pending(f.w.io), 1);
	assert_int_equal(trusted.n, 0); /* and yet it has ended */
	settle();
	begin_write(&trusted, "/small");
	settle();
	wrk_put_abort(S, wrk_put_find(S, &trusted, f.begun.session));
	assert_int_equal(wrk_io_pending(f.w.io), 0);
	begin_write(&trusted, "/far");
	settle();
	const struct wrk_put *p = wrk_put_find(S, &trusted, f.begun.session);
	uint8_t was = f.w.tiers[p->tier->no].row.type;
	f.w.tiers[p->tier->no].row.type = OM_TIER_NETWORK;
	unsigned no = p->tier->no;
	wrk_put_abort(S, wrk_put_find(S, &trusted, f.begun.session));
	assert_int_equal(wrk_io_pending(f.w.io), 1);
	f.w.tiers[no].row.type = was;
	settle();
}

/* ---- which tier ---- */

static int begin_status(struct wrk_put_owner *o, const struct wrk_put_req *req)
{
	unsigned n = f.n_begun;
	const char *text = "";
	int rc = wrk_put_begin(S, o, req, put_fix_begun, &f, &text);

	if (rc < 0) {
		(void)snprintf(f.text, sizeof(f.text), "%s", text);
		return rc;
	}
	put_fix_until(&f, &f.n_begun, n + 1);
	if (f.begun.status == 0)
		(void)close(f.begun.fd);
	return f.begun.status;
}

static void test_next_tier(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");

	(void)state;
	put_fix_row(&f, 1, 1000, 2000, OM_TIERS_READY);
	req.size_hint = 500;
	assert_int_equal(begin_status(&trusted, &req), 0);
	assert_int_equal(f.begun.tier, 1);
	assert_int_equal(begin_status(&trusted, &req), 0);
	assert_int_equal(f.begun.tier, 1);
	assert_int_equal(begin_status(&trusted, &req), 0); /* what is promised counts */
	assert_int_equal(f.begun.tier, 2);
	put_fix_row(&f, 2, 0, 400, OM_TIERS_READY);
	assert_int_equal(begin_status(&trusted, &req), -OBJM_STATUS_NO_SPACE);
	assert_non_null(strstr(f.text, "disk"));
	assert_non_null(strstr(f.text, "space"));
}

static void test_tier_states(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");

	(void)state;
	put_fix_row(&f, 1, 0, 1 << 30, OM_TIERS_FAILED);
	assert_int_equal(begin_status(&trusted, &req), 0);
	assert_int_equal(f.begun.tier, 2);
	put_fix_row(&f, 2, 0, 1 << 30, OM_TIERS_READONLY);
	assert_int_equal(begin_status(&trusted, &req), -OBJM_STATUS_STORAGE);
	assert_non_null(strstr(f.text, "failed"));
	put_fix_row(&f, 1, 0, 1 << 30, OM_TIERS_REBUILDING); /* writes go on beside a rebuild */
	assert_int_equal(begin_status(&trusted, &req), 0);
	assert_int_equal(f.begun.tier, 1);
}

static void test_ephemeral_never_on_disk(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");

	(void)state;
	req.flags = OM_OBJ_EPHEMERAL;
	put_fix_row(&f, 0, 0, 1000, OM_TIERS_READY);
	req.size_hint = 2000;
	assert_int_equal(begin_status(&trusted, &req), -OBJM_STATUS_NO_SPACE);
	assert_non_null(strstr(f.text, "mem"));
	req.size_hint = 0;
	put_fix_row(&f, 0, 0, 1000, OM_TIERS_ABSENT);
	assert_int_equal(begin_status(&trusted, &req), -OBJM_STATUS_UNAVAILABLE);
}

static void two_memory_tiers(struct om_proc_boot *b)
{
	b->tiers[2].type = OM_TIER_MEMORY;
	b->tiers[2].flags = OM_TIERF_READABLE | OM_TIERF_WRITABLE | OM_TIERF_EPHEMERAL;
}
static int setup_two_memory(void **state)
{
	(void)state;
	return start(OM_DUR_SYNC, two_memory_tiers);
}
/* What does not fit on the first memory tier goes to the next one that takes ephemeral objects. */
static void test_next_memory_tier(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");

	(void)state;
	req.flags = OM_OBJ_EPHEMERAL;
	req.size_hint = 2000;
	assert_int_equal(begin_status(&trusted, &req), 0);
	assert_int_equal(f.begun.tier, 0);
	put_fix_row(&f, 0, 0, 1000, OM_TIERS_READY);
	assert_int_equal(begin_status(&trusted, &req), 0);
	assert_int_equal(f.begun.tier, 2);
	f.w.tiers[2].row.flags &= ~(uint32_t)OM_TIERF_EPHEMERAL; /* as a reload does */
	assert_int_equal(begin_status(&trusted, &req), -OBJM_STATUS_NO_SPACE);
}

static void no_memory_tier(struct om_proc_boot *b)
{
	b->ephemeral_tier = OM_TIER_NONE;
	b->tiers[0].flags &= ~(uint32_t)OM_TIERF_EPHEMERAL;
}
static int setup_no_memory(void **state)
{
	(void)state;
	return start(OM_DUR_SYNC, no_memory_tier);
}
static void test_no_tier_for_ephemeral(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");

	(void)state;
	req.flags = OM_OBJ_EPHEMERAL;
	assert_int_equal(begin_status(&trusted, &req), -OBJM_STATUS_UNAVAILABLE);
	assert_non_null(strstr(f.text, "ephemeral"));
}

/* The filesystem itself has less than the accounts say. */
static void test_promise_of_the_filesystem(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");

	(void)state;
	put_fix_row(&f, 1, 0, 1ull << 60, OM_TIERS_READY);
	put_fix_row(&f, 2, 0, 1ull << 60, OM_TIERS_READY);
	req.size_hint = 1ull << 58;
	assert_int_equal(begin_status(&trusted, &req), -OBJM_STATUS_NO_SPACE);
}

/* ---- bounds ---- */

static void test_bounds(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");
	struct wrk_put_owner more;

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(begin_status(i % 2 ? &trusted : &trusted, &req), 0);
	assert_int_equal(begin_status(&trusted, &req), -OBJM_STATUS_LIMIT_EXCEEDED);
	assert_non_null(strstr(f.text, "put_sessions_per_uid"));
	wrk_put_owner_init(&more, 1000); /* another connection of the same user */
	assert_int_equal(begin_status(&more, &req), -OBJM_STATUS_LIMIT_EXCEEDED);
	assert_int_equal(begin_status(&other, &req), 0);
	wrk_put_owner_close(S, &trusted);
	struct wrk_put_owner many[4];
	for (unsigned i = 0; i < 4; i++) {
		wrk_put_owner_init(&many[i], 5000 + i);
		for (unsigned k = 0; k < 16 && wrk_put_count(S) < 64; k++)
			assert_int_equal(begin_status(&many[i], &req), 0);
	}
	assert_int_equal(begin_status(&other, &req), -OBJM_STATUS_LIMIT_EXCEEDED);
	assert_non_null(strstr(f.text, "limits.put_sessions "));
	for (unsigned i = 0; i < 4; i++)
		wrk_put_owner_close(S, &many[i]);
	assert_int_equal(begin_status(&other, &req), 0);
}

/* Who cuts, and when. */
static _Atomic bool hold_cut;
static _Atomic unsigned cuts, cuts_in_loop;
static pthread_t loop_thread;
int __real_ftruncate64(int fd, off_t len);
int __wrap_ftruncate64(int fd, off_t len);
int __wrap_ftruncate64(int fd, off_t len)
{
	if (len == 0) {
		cuts_in_loop += pthread_equal(pthread_self(), loop_thread) != 0;
		cuts++;
		while (hold_cut)
			(void)usleep(1000);
	}
	return __real_ftruncate64(fd, len);
}

/* One whose file is being cut now. */
static int begin_cut(struct wrk_put_owner *o, const struct wrk_put_req *req)
{
	int fd = put_fix_begin(&f, o, req);

	loop_thread = pthread_self();
	cuts = cuts_in_loop = 0;
	hold_cut = true;
	assert_int_equal(fallocate(fd, 0, 0, (64 << 20) + (1 << 20)), 0);
	for (int i = 0; i < 1000 && !cuts; i++)
		put_fix_for(&f, 10);
	assert_int_equal(cuts, 1);
	return fd;
}

/* Cutting may take long: the loop goes on meanwhile, and whatever is asked of the session waits. */
static void test_cut_elsewhere(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");
	unsigned n = f.n_done;
	const char *text = "";

	(void)state;
	req.size_hint = 4096;
	(void)close(begin_cut(&other, &req));
	assert_int_equal(wrk_put_commit(S, wrk_put_find(S, &other, f.begun.session), put_fix_done, &f, &text), 0);
	put_fix_for(&f, 250);
	assert_int_equal(f.n_done, n);
	assert_int_equal(cuts, 1); /* and it is not cut by two */
	hold_cut = false;
	put_fix_until(&f, &f.n_done, n + 1);
	assert_int_equal(f.done.status, -OBJM_STATUS_TOO_LARGE);
	(void)close(begin_cut(&trusted, &req));
	wrk_put_owner_close(S, &trusted);
	put_fix_for(&f, 50);
	assert_int_equal(wrk_put_count(S), 1); /* it is still being cut */
	hold_cut = false;
	for (int i = 0; i < 1000 && wrk_put_count(S); i++)
		put_fix_for(&f, 10);
	assert_int_equal(wrk_put_count(S), 0);
	assert_int_equal(cuts_in_loop, 0);
}

/* One that takes far more than it announced is cut, told so, and its user refused for a while. */
/* Open sessions are looked at from time to time, and a thread cuts: until it has, at most for ten seconds. */
static void until_cut(int fd)
{
	struct stat st = { .st_size = 1 };

	for (unsigned i = 0; i < 1000 && (st.st_size || st.st_blocks); i++) {
		put_fix_for(&f, 10);
		assert_int_equal(fstat(fd, &st), 0);
	}
	assert_int_equal(st.st_size, 0);
	assert_int_equal(st.st_blocks, 0);
}

static void test_taken_too_much(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");

	(void)state;
	req.size_hint = 4096;
	int fd = put_fix_begin(&f, &other, &req);
	assert_int_equal(fallocate(fd, 0, 0, (64 << 20) + (1 << 20)), 0);
	until_cut(fd);
	assert_int_equal(pwrite(fd, "again", 5, 1 << 20), 5); /* it goes on */
	until_cut(fd);
	(void)close(fd);
	uint32_t session = f.begun.session;
	assert_int_equal(begin_status(&other, &req), -OBJM_STATUS_LIMIT_EXCEEDED);
	assert_int_equal(begin_status(&trusted, &req), 0); /* others are served */
	f.begun.session = session;
	assert_int_equal(put_fix_commit(&f, &other), -OBJM_STATUS_TOO_LARGE);
	assert_non_null(strstr(f.text, "disk"));
	assert_int_equal(f.prepares, 0);
}

static void test_no_room_any_more(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");
	struct stat st;

	(void)state;
	put_fix_row(&f, 1, 0, 1 << 20, OM_TIERS_READY);
	int fd = put_fix_begin(&f, &other, &req); /* no size announced: what there is room for */
	assert_int_equal(fallocate(fd, 0, 0, 512 << 10), 0);
	put_fix_for(&f, 250);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 512 << 10);
	assert_int_equal(fallocate(fd, 0, 0, 2 << 20), 0);
	until_cut(fd);
	(void)close(fd);
}

static int inline_put(struct wrk_put_owner *o, const struct wrk_put_req *req, const char *bytes, size_t len, size_t step)
{
	const char *text = "";
	struct wrk_put *p;
	unsigned n = f.n_done;
	int rc = wrk_put_inline(S, o, req, len, put_fix_done, &f, &p, &text);

	if (rc < 0) {
		(void)snprintf(f.text, sizeof(f.text), "%s", text);
		return rc;
	}
	for (size_t at = 0; at < len; at += step)
		wrk_put_feed(S, p, bytes + at, OM_MIN(step, len - at));
	put_fix_until(&f, &f.n_done, n + 1);
	return f.done.status;
}

/* ---- room that the supervisor promises ---- */

static void test_room(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");

	(void)state;
	/* small ones go without, until there are many of them: 16 MiB here */
	req.size_hint = 10 << 20;
	assert_int_equal(begin_status(&trusted, &req), 0);
	assert_int_equal(f.reserves, 0);
	assert_int_equal(begin_status(&trusted, &req), 0);
	assert_int_equal(f.reserves, 1);
	assert_int_equal(f.last_reserve.bytes, 10 << 20);
	assert_int_equal(f.last_reserve.tier, 1);
	assert_int_equal(f.last_reserve.wait, 0);
	assert_true(f.last_reserve.room != 0);
	/* its PREPARE takes it over; then there is nothing to give back */
	assert_int_equal(put_fix_commit(&f, &trusted), 0);
	assert_int_equal(f.last_room, f.last_reserve.room);
	assert_int_equal(f.releases, 0);
	assert_int_equal(S->tiers[1].hinted, 10 << 20); /* the first one's */
	/* given up: given back */
	req.size_hint = 100 << 20;
	assert_int_equal(begin_status(&trusted, &req), 0);
	assert_int_equal(f.reserves, 2);
	wrk_put_owner_close(S, &trusted);
	put_fix_for(&f, 20);
	assert_int_equal(f.releases, 1);
	assert_int_equal(S->tiers[1].hinted, 0);
}

/* The supervisor knows better than the row in the index: the next tier; and when none has room, the first is waited for. */
static void test_room_elsewhere(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");

	(void)state;
	req.size_hint = 100 << 20;
	f.reserve_status[1] = -OBJM_STATUS_NO_SPACE;
	assert_int_equal(begin_status(&trusted, &req), 0);
	assert_int_equal(f.begun.tier, 2);
	f.reserve_status[2] = -OBJM_STATUS_NO_SPACE;
	f.wait_status = 0;
	assert_int_equal(begin_status(&trusted, &req), 0);
	assert_int_equal(f.begun.tier, 1);
	assert_int_equal(f.last_reserve.wait, 1);
	f.wait_status = -OBJM_STATUS_NO_SPACE;
	assert_int_equal(begin_status(&trusted, &req), -OBJM_STATUS_NO_SPACE);
	assert_non_null(strstr(f.text, "disk has no space for 104857600 bytes"));
	/* the row says so, too: it is waited for all the same; but not for what is larger than the tier */
	put_fix_row(&f, 1, 1ull << 30, 1ull << 30, OM_TIERS_READY);
	put_fix_row(&f, 2, 1ull << 30, 1ull << 30, OM_TIERS_READY);
	f.wait_status = 0;
	assert_int_equal(begin_status(&trusted, &req), 0);
	assert_int_equal(f.begun.tier, 1);
	assert_int_equal(inline_put(&trusted, &req, "hello", 5, 5), 0);
	is(1, f.done.id, "hello");
	unsigned asked = f.reserves;
	req.size_hint = 2ull << 30;
	assert_int_equal(begin_status(&trusted, &req), -OBJM_STATUS_NO_SPACE);
	assert_int_equal(f.reserves, asked);
	/* ephemeral: memory or nothing */
	req.flags = OM_OBJ_EPHEMERAL;
	req.size_hint = 100 << 20;
	f.reserve_status[0] = -OBJM_STATUS_NO_SPACE;
	f.wait_status = -OBJM_STATUS_NO_SPACE;
	assert_int_equal(begin_status(&trusted, &req), -OBJM_STATUS_NO_SPACE);
	assert_int_equal(f.last_reserve.tier, 0);
}

/* One that announced nothing is in the accounts as it grows, and ends where there is no more. */
static void test_room_grows(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");
	struct stat st;

	(void)state;
	int fd = put_fix_begin(&f, &other, &req);
	assert_int_equal(f.reserves, 0);
	assert_int_equal(fallocate(fd, 0, 0, 1 << 20), 0);
	put_fix_for(&f, 250);
	assert_true(f.reserves > 0 && f.last_reserve.bytes >= 1 << 20);
	unsigned asked = f.reserves;
	put_fix_for(&f, 250);
	assert_int_equal(f.reserves, asked); /* it has what it takes */
	f.reserve_status[1] = -OBJM_STATUS_NO_SPACE;
	assert_int_equal(fallocate(fd, 0, 0, 4 << 20), 0);
	put_fix_for(&f, 450);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	(void)close(fd);
	wrk_put_owner_close(S, &other);
	put_fix_for(&f, 20);
	assert_int_equal(f.releases, 1);
}

/* ---- inline ---- */

static void test_inline(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");
	uint64_t copied = om_counter_self->v[OM_C_PUT_COPIED];

	(void)state;
	assert_int_equal(inline_put(&other, &req, "hello", 5, 5), 0);
	is(1, 1, "hello");
	assert_int_equal(inline_put(&other, &req, "hello", 5, 1), 0);
	is(1, 2, "hello");
	assert_int_equal(inline_put(&other, &req, "", 0, 1), 0);
	is(1, 3, "");
	req.flags = OM_OBJ_EPHEMERAL;
	assert_int_equal(inline_put(&other, &req, "memory", 6, 6), 0);
	is(0, 4, "memory");
	assert_int_equal(om_counter_self->v[OM_C_PUT_COPIED], copied); /* no client ever held it */
}

static void test_inline_bounds(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");
	struct wrk_put *p[40];
	const char *text;
	unsigned n = 0;

	(void)state;
	assert_int_equal(inline_put(&other, &req, "", (1 << 20) + 1, 1), -OBJM_STATUS_TOO_LARGE);
	f.w.boot.limits.put_sessions_per_uid = 64;
	while (n < 40 && wrk_put_inline(S, &other, &req, 1 << 20, put_fix_done, &f, &p[n], &text) == 0)
		n++;
	assert_int_equal(n, 32); /* half of WRK_PUT_INLINE_BYTES for one user */
	wrk_put_feed(S, p[0], "abc", 3);
	wrk_put_owner_close(S, &other); /* in the middle of payloads */
	assert_int_equal(wrk_put_count(S), 0);
	assert_int_equal(S->inline_bytes, 0);
}

static void test_many_at_once(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");
	struct wrk_put *p;
	const char *text;

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(wrk_put_inline(S, &trusted, &req, 3, put_fix_done, &f, &p, &text), 0);
		wrk_put_feed(S, p, "abc", 3);
	}
	put_fix_until(&f, &f.n_done, 16);
	assert_int_equal(f.commits, 16);
	assert_int_equal(put_fix_files(&f, 1), 16);
	for (uint64_t id = 1; id <= 16; id++)
		is(1, id, "abc");
}

/* A batch waits for those that are about to join it, but not for ever: here three never hear of the supervisor. */
static void test_gathers(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");
	struct wrk_put_tier *t = &S->tiers[1];
	struct wrk_put *p;
	const char *text;
	uint64_t since;

	(void)state;
	f.keep = 1;
	f.hold = true;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(wrk_put_inline(S, &trusted, &req, 3, put_fix_done, &f, &p, &text), 0);
		wrk_put_feed(S, p, "abc", 3);
	}
	assert_int_equal(t->n_coming, 4);
	put_fix_for(&f, 50);
	f.hold = false;
	since = om_now_ns();
	while (t->n_coming > 3)
		put_fix_for(&f, 0);
	assert_true(t->gather.due_ns != 0 || om_now_ns() - since > WRK_PUT_GATHER_NS);
	put_fix_until(&f, &f.n_done, 1);
	assert_int_equal(f.done.status, 0);
	assert_int_equal(t->n_coming, 3);
	put_fix_let(&f);
	put_fix_until(&f, &f.n_done, 4);
	assert_int_equal(f.commits, 4);
	/* one of two does not wait for the other */
	f.keep = f.prepares + 1;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(wrk_put_inline(S, &trusted, &req, 3, put_fix_done, &f, &p, &text), 0);
		wrk_put_feed(S, p, "abc", 3);
	}
	put_fix_until(&f, &f.n_done, 5);
	put_fix_let(&f);
	put_fix_until(&f, &f.n_done, 6);
}

/* ---- syncs that take long ---- */

#define LONG_NS UINT64_C(10000000000)

static void one_more(unsigned durability)
{
	struct wrk_put_req req = put_fix_req("/x");
	struct wrk_put *p;
	const char *text;

	req.durability = (uint8_t)durability;
	assert_int_equal(wrk_put_inline(S, &trusted, &req, 3, put_fix_done, &f, &p, &text), 0);
	wrk_put_feed(S, p, "abc", 3);
}

/* One put has no verdict yet; syncs take `sync_ns`. */
static struct wrk_put_tier *one_out(uint64_t sync_ns)
{
	struct wrk_put_tier *t = &S->tiers[1];

	f.keep_commits = true;
	one_more(OM_DUR_SYNC);
	put_fix_until(&f, &f.n_kept_commits, 1);
	assert_int_equal(t->n_out, 1);
	assert_true(t->sync_ns > 0); /* it was measured */
	t->sync_ns = sync_ns;
	return t;
}

/* Then a batch waits for the verdicts of the one before it, and for those who had them to come again. */
static void test_slow_sync(void **state)
{
	struct wrk_put_tier *t = one_out(LONG_NS);
	uint64_t since = om_now_ns();

	(void)state;
	one_more(OM_DUR_SYNC);
	put_fix_until(&f, &t->queue.n, 1);
	put_fix_for(&f, 30);
	assert_true(t->queue.n == 1 || om_now_ns() - since >= WRK_PUT_OUT_MAX_NS);
	since = om_now_ns();
	put_fix_let_commits(&f);
	put_fix_until(&f, &f.n_done, 1);
	put_fix_for(&f, 30);
	assert_true(t->queue.n == 1 || om_now_ns() - since >= LONG_NS / 4);
	one_more(OM_DUR_SYNC);
	while (t->n_batch == 0)
		put_fix_for(&f, 0);
	assert_true(t->n_batch == 2 || om_now_ns() - since >= LONG_NS / 4);
	put_fix_until(&f, &f.n_done, 3);
	assert_int_equal(t->n_out, 0);
}

/* But not for ever for verdicts that do not come. */
static void test_slow_sync_bounded(void **state)
{
	struct wrk_put_tier *t = one_out(WRK_PUT_SLOW_NS);

	(void)state;
	one_more(OM_DUR_SYNC);
	put_fix_until(&f, &f.n_kept_commits, 2);
	assert_int_equal(t->n_out, 2);
	put_fix_let_commits(&f);
	put_fix_until(&f, &f.n_done, 2);
	/* nor does the next of one client wait for anybody */
	one_more(OM_DUR_SYNC);
	put_fix_until(&f, &f.n_done, 3);
	t->sync_ns = LONG_NS;
	one_more(OM_DUR_SYNC);
	while (f.n_done < 4) {
		assert_int_equal(t->gather.due_ns, 0);
		put_fix_for(&f, 0);
	}
}

static void never_waits(struct wrk_put_tier *t)
{
	while (f.n_kept_commits < 2) {
		assert_int_equal(t->gather.due_ns, 0);
		put_fix_for(&f, 0);
	}
	put_fix_let_commits(&f);
	put_fix_until(&f, &f.n_done, 2);
}

/* Where syncs are quick one batch is synced while the other is committed. */
static void test_quick_sync(void **state)
{
	struct wrk_put_tier *t = one_out(WRK_PUT_SLOW_NS - 1);

	(void)state;
	one_more(OM_DUR_SYNC);
	never_waits(t);
}

/* Who does not wait for a sync does not wait for anybody's. */
static void test_slow_sync_of_others(void **state)
{
	struct wrk_put_tier *t = one_out(LONG_NS);

	(void)state;
	one_more(OM_DUR_BATCH);
	never_waits(t);
}

/* ---- failing steps ---- */

#if OM_FAULTS
static void fault(const char *text)
{
	assert_int_equal(setenv("OBJM_FAULT", text, 1), 0);
	assert_int_equal(om_fault_init(), 0);
}

static void test_fault_begin(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");

	(void)state;
	fault("put.begun:nospace");
	assert_int_equal(begin_status(&trusted, &req), 0); /* the next tier has room */
	assert_int_equal(f.begun.tier, 2);
	fault("put.begun:error");
	assert_int_equal(begin_status(&trusted, &req), -OBJM_STATUS_STORAGE);
	assert_non_null(strstr(f.text, "disk"));
}

static void test_fault_inline(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");

	(void)state;
	fault("put.begun:nospace");
	assert_int_equal(inline_put(&trusted, &req, "abc", 3, 3), 0);
	is(2, 1, "abc");
}

static void test_fault_steps(void **state)
{
	static const struct {
		const char *fault;
		int status;
		unsigned aborts;
	} rows[] = {
		{ "put.frozen:error", -OBJM_STATUS_STORAGE, 0 },
		{ "put.prepared:error", -OBJM_STATUS_STORAGE, 1 },
		{ "put.linked:error", -OBJM_STATUS_STORAGE, 1 },
		{ "put.linked:nospace", -OBJM_STATUS_NO_SPACE, 1 },
	};

	(void)state;
	for (unsigned i = 0; i < OM_ARRAY_SIZE(rows); i++) {
		unsigned aborts = f.aborts, commits = f.commits;
		begin_write(&other, "/x");
		fault(rows[i].fault);
		assert_int_equal(put_fix_commit(&f, &other), rows[i].status);
		put_fix_for(&f, 5); /* the ABORT */
		assert_int_equal(f.aborts, aborts + rows[i].aborts);
		assert_int_not_equal(f.abort_status, -OBJM_STATUS_STORAGE); /* that would fail the tier */
		assert_int_equal(f.commits, commits);
		begin_write(&other, "/x"); /* the next one is fine */
		assert_int_equal(put_fix_commit(&f, &other), 0);
	}
}

/* A failed sync: the whole batch fails, the supervisor is told, and nothing later is called durable. */
static void test_fault_sync(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");
	struct wrk_put *p;
	const char *text;

	(void)state;
	fault("put.sync:error");
	f.hold = true; /* so that all come in one batch */
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(wrk_put_inline(S, &trusted, &req, 3, put_fix_done, &f, &p, &text), 0);
		wrk_put_feed(S, p, "abc", 3);
	}
	put_fix_for(&f, 100);
	f.hold = false;
	put_fix_until(&f, &f.n_done, 12);
	put_fix_for(&f, 20); /* the last ABORTs */
	assert_int_equal(f.done.status, -OBJM_STATUS_STORAGE);
	assert_int_equal(f.commits, 0);
	assert_int_equal(f.aborts, 12);
	assert_int_equal(f.abort_status, -OBJM_STATUS_STORAGE);
	assert_int_equal(inline_put(&trusted, &req, "abc", 3, 3), -OBJM_STATUS_STORAGE);
	assert_int_equal(f.commits, 0);
}

static void test_fault_sync_behind(void **state)
{
	struct wrk_put_req req = put_fix_req("/x");

	(void)state;
	fault("put.sync:error");
	assert_int_equal(inline_put(&trusted, &req, "abc", 3, 3), 0); /* acknowledged before */
	put_fix_for(&f, 100);
	assert_int_equal(inline_put(&trusted, &req, "abc", 3, 3), -OBJM_STATUS_STORAGE);
	put_fix_for(&f, 20);
	assert_int_equal(f.abort_status, -OBJM_STATUS_STORAGE); /* so the supervisor learns of it */
}
#endif

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
#define B(name) cmocka_unit_test_setup_teardown(test_##name, setup_batch, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(trusted_disk), T(untrusted_disk), T(trusted_memory), T(untrusted_memory), B(batch), B(batch_asked_for_more),
		T(untrusted_kept), T(still_open), T(closed_while_waiting), T(precondition), T(busy_key), T(busy_key_for_long),
		T(commit_refused), T(gone_while_open), T(gone_at_each_step), T(abort), T(large_let_go), T(next_tier), T(tier_states),
		T(ephemeral_never_on_disk), cmocka_unit_test_setup_teardown(test_no_tier_for_ephemeral, setup_no_memory, teardown),
		cmocka_unit_test_setup_teardown(test_next_memory_tier, setup_two_memory, teardown),
		T(promise_of_the_filesystem), T(bounds), T(taken_too_much), T(cut_elsewhere), T(no_room_any_more), T(room), T(room_elsewhere),
		T(room_grows), T(inline), T(inline_bounds),
		T(many_at_once), T(gathers), T(slow_sync), T(slow_sync_bounded), T(quick_sync), B(slow_sync_of_others),
#if OM_FAULTS
		T(fault_begin), T(fault_inline), T(fault_steps), T(fault_sync), B(fault_sync_behind),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
