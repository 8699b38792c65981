/*
 * test_cat_open.c: opening what is missing, another's, damaged, unfinished; and the named recoveries of LMDB's limits.
 */
#include "tests/unit/catalog/cat_test.h"

#include <dirent.h>
#include <inttypes.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int setup(void **state)
{
	*state = cat_test_mkdir(NULL);
	return 0;
}

static int teardown(void **state)
{
	cat_test_rmdir(*state);
	return 0;
}

static int try_open(const struct idx_cat_params *p, struct idx_cat_info *ret_info)
{
	struct idx_cat *cat = NULL;
	int rc = idx_cat_open(p, &cat);

	if (rc == 0 && ret_info)
		idx_cat_info(cat, ret_info);
	idx_cat_close(cat);
	return rc;
}

static void fill(struct idx_cat *cat, unsigned n)
{
	struct idx_cat_txn *txn = NULL;
	char uri[700];

	memset(uri, 'f', sizeof(uri));
	for (unsigned i = 1; i <= n; i++) {
		int len = snprintf(uri, sizeof(uri), "/fill/%08u", i * 7919 % 1000003);
		struct om_rec r;
		uri[len] = 'f';
		r = cat_test_rec(uri, i % 5 == 0 ? 600 : (size_t)len, i, i, 0);
		if (!txn)
			cat_ok(idx_cat_txn_begin(cat, &txn));
		cat_ok(idx_cat_txn_put(txn, &r, 0, NULL));
		if (i % IDX_CAT_BATCH_MAX == 0) {
			cat_ok(idx_cat_txn_commit(txn));
			txn = NULL;
		}
	}
	if (txn)
		cat_ok(idx_cat_txn_commit(txn));
}

static void open_flags(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0);
	struct idx_cat_info info;
	struct idx_cat_txn *txn;
	struct idx_cat *cat;
	struct stat st;
	char path[300];
	int status;

	cat_ok(try_open(&p, &info));
	assert_true(info.created && info.clean && !info.complete);
	assert_true(info.map_bytes == CAT_TEST_MAP && info.readers_max >= 500);
	(void)snprintf(path, sizeof(path), "%s/data.mdb", p.dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(p.dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);

	cat = cat_test_open(*state, 0);
	cat_ok(idx_cat_txn_begin(cat, &txn));
	cat_ok(idx_cat_txn_complete(txn, true));
	idx_cat_txn_abort(txn);
	idx_cat_info(cat, &info);
	assert_true(!info.created && info.clean && !info.complete);
	cat_ok(idx_cat_txn_begin(cat, &txn));
	cat_ok(idx_cat_txn_complete(txn, true));
	cat_ok(idx_cat_txn_commit(txn));
	idx_cat_info(cat, &info);
	assert_true(info.complete);
	idx_cat_close(cat);

	pid_t pid = fork(); /* a run that ends without closing */
	if (pid == 0)
		_exit(idx_cat_open(&p, &cat) == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(idx_cat_env_suspect(p.dir));
	cat_ok(try_open(&p, &info)); /* looked through by the checker first */
	assert_true(!info.clean && info.complete);
	assert_false(idx_cat_env_suspect(p.dir));
	cat_ok(try_open(&p, &info));
	assert_true(info.clean);
}

static void open_full_map(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0);
	struct idx_cat_info info;

	p.map_bytes = 0;
	cat_ok(try_open(&p, &info));
	assert_true(info.map_bytes <= IDX_CAT_MAP_BYTES && info.map_bytes >= IDX_CAT_MAP_MIN_BYTES);
	assert_true(info.file_bytes < (4u << 20)); /* the terabyte is address space, not disk */
}

static void open_whose(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0), q = p;

	cat_ok(try_open(&p, NULL));
	q.install_id[3] ^= 1;
	assert_int_equal(try_open(&q, NULL), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_non_null(strstr(idx_cat_message(), "installation"));
	q = p;
	q.tier_id[0] ^= 1;
	assert_int_equal(try_open(&q, NULL), -OBJM_STATUS_PRECONDITION_FAILED);
	q = p;
	q.secret[0] ^= 1;
	assert_int_equal(try_open(&q, NULL), -OBJM_STATUS_CORRUPT);
	assert_non_null(strstr(idx_cat_message(), "secret"));
	q = p;
	q.tier = 5;
	assert_int_equal(try_open(&q, NULL), -OBJM_STATUS_CORRUPT);
	cat_ok(try_open(&p, NULL)); /* none of that harmed it */
}

static void open_missing(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0);
	char deep[300], file[300];

	p.flags = IDX_CAT_READONLY;
	assert_int_equal(try_open(&p, NULL), -OBJM_STATUS_NOT_FOUND);
	p.flags = 0;
	(void)snprintf(deep, sizeof(deep), "%s/no/such", (const char *)*state);
	p.dir = deep;
	assert_int_equal(try_open(&p, NULL), -OBJM_STATUS_NOT_FOUND);
	(void)snprintf(file, sizeof(file), "%s/file", (const char *)*state);
	cat_test_write_at(*state, "file", 0, "x", 1);
	p.dir = file;
	assert_true(try_open(&p, NULL) < 0);
	assert_int_equal(idx_cat_set_aside(deep), 0); /* nothing there: nothing to do */
	p = cat_test_params(*state, 0);
	p.tier = OM_TIERS_MAX;
	assert_int_equal(try_open(&p, NULL), -OBJM_STATUS_INVALID_REQUEST);
}

static unsigned count_bad(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += strncmp(e->d_name, "data.mdb.bad-", 13) == 0;
	(void)closedir(d);
	return n;
}

/* Thrown away: nothing of it stays, and what is opened next is new. */
static void open_discarded(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0);
	struct om_rec a = cat_test_rec("/a", 2, 1, 1, 0), got;
	struct idx_cat *cat = cat_test_open(*state, 0);
	struct idx_cat_snap *snap;
	struct idx_cat_info info;
	char missing[300];

	cat_ok(cat_test_put(cat, &a));
	idx_cat_close(cat);
	cat_ok(idx_cat_discard(p.dir));
	cat_ok(idx_cat_discard(p.dir)); /* nothing there: nothing to do */
	cat_ok(idx_cat_open(&p, &cat));
	idx_cat_info(cat, &info);
	assert_true(info.created && !info.complete);
	cat_ok(idx_cat_snap_open(cat, &snap));
	assert_int_equal(idx_cat_snap_peek(snap, "/a", 2, &got), -OBJM_STATUS_NOT_FOUND);
	idx_cat_snap_close(snap);
	idx_cat_close(cat);
	assert_int_equal(count_bad(p.dir), 0);
	(void)snprintf(missing, sizeof(missing), "%s/no/such", (const char *)*state);
	cat_ok(idx_cat_discard(missing));
}

static void open_readonly(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0);
	struct om_rec a = cat_test_rec("/a", 2, 1, 1, 0), got;
	struct idx_cat *cat = cat_test_open(*state, 0);
	struct idx_cat_snap *snap;
	struct idx_cat_txn *txn;

	cat_ok(cat_test_put(cat, &a));
	idx_cat_close(cat);
	p.flags = IDX_CAT_READONLY;
	cat_ok(idx_cat_open(&p, &cat));
	assert_false(idx_cat_writable(cat));
	assert_int_equal(idx_cat_txn_begin(cat, &txn), -OBJM_STATUS_READ_ONLY);
	cat_ok(idx_cat_snap_open(cat, &snap));
	cat_ok(idx_cat_snap_peek(snap, "/a", 2, &got));
	idx_cat_snap_close(snap);
	idx_cat_close(cat);
}

/* ---- damage ---- */

static void recover(const struct idx_cat_params *p)
{
	struct idx_cat_info info;

	cat_ok(idx_cat_set_aside(p->dir));
	assert_int_equal(count_bad(p->dir), 1);
	cat_ok(try_open(p, &info));
	assert_true(info.created && !info.complete); /* to be rebuilt */
}

static void damage_header(void **state)
{
	static const struct { off_t at; unsigned char bytes[8]; } hits[] = {
		{ 16, { 0 } }, /* magic */ { 20, { 9 } }, /* version */ { 40, { 1, 2, 3, 4 } }, /* page size */
		{ 136, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f } }, /* last page */
		{ 4096 + 16, { 0 } }, { 10, { 0, 0 } }, /* page flags */
	};
	struct idx_cat_params p = cat_test_params(*state, 0);

	for (size_t i = 0; i < OM_ARRAY_SIZE(hits); i++) {
		cat_ok(try_open(&p, NULL));
		cat_test_write_at(p.dir, "data.mdb", hits[i].at, hits[i].bytes, 8);
		assert_int_equal(try_open(&p, NULL), -OBJM_STATUS_CORRUPT);
		assert_non_null(strstr(idx_cat_message(), "data.mdb"));
		recover(&p);
	}
}

static void damage_kind(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0);
	char path[300];

	cat_ok(try_open(&p, NULL));
	(void)snprintf(path, sizeof(path), "%s/data.mdb", p.dir);
	assert_int_equal(truncate(path, 100), 0); /* never held anything: made again */
	cat_test_write_at(p.dir, "unproven", 0, "", 0);
	cat_ok(try_open(&p, NULL));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(try_open(&p, NULL), -OBJM_STATUS_CORRUPT);
	cat_ok(idx_cat_set_aside(p.dir));
	cat_ok(try_open(&p, NULL));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(try_open(&p, NULL), -OBJM_STATUS_CORRUPT);
	cat_ok(idx_cat_set_aside(p.dir));
	cat_ok(try_open(&p, NULL));
	/* A lock file of garbage is only a lock file. */
	cat_test_write_at(p.dir, "lock.mdb", 0, "garbage garbage garbage garbage", 31);
	cat_ok(try_open(&p, NULL));
}

/*
 * Damage at random places of the tree: an open with its check gives a catalog that can be read to the end or says CORRUPT.
 * Without the check (as for a large catalog at its first start) the reader may die, but leaves the mark behind. Each
 * reader is a "supervisor" in a child process.
 */
static int child_reads_all(const struct idx_cat_params *p)
{
	struct idx_cat *cat;
	struct idx_cat_snap *snap;
	struct idx_cat_scan_res res;
	int rc = idx_cat_open(p, &cat);

	if (rc == 0)
		rc = idx_cat_snap_open(cat, &snap);
	if (rc == 0)
		rc = idx_cat_scan(snap, NULL, NULL, &res);
	if (rc == 0)
		return res.damaged ? 2 : 0;
	return rc == -OBJM_STATUS_CORRUPT ? 1 : 3;
}

static int run_child(const struct idx_cat_params *p)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)signal(SIGSEGV, SIG_DFL);
		(void)signal(SIGBUS, SIG_DFL);
		(void)signal(SIGABRT, SIG_DFL);
		(void)dup2(open("/dev/null", O_WRONLY), 2);
		_exit(child_reads_all(p));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void damage_tree(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0);
	struct idx_cat *cat = cat_test_open(*state, 0);
	uint64_t seed = 3;
	unsigned crashed = 0, corrupt = 0, records = 0, unhurt = 0;
	struct idx_cat_params unchecked = p; /* as a catalog too large to be checked at every start */
	static char good[4u << 20];
	char path[300];
	ssize_t len;

	unchecked.flags = IDX_CAT_NOCHECK;
	fill(cat, 3000);
	idx_cat_close(cat);
	(void)snprintf(path, sizeof(path), "%s/data.mdb", p.dir);
	OM_AUTO_FD fd = open(path, O_RDWR);
	len = pread(fd, good, sizeof(good), 0);
	assert_true(len > 100000 && len < (ssize_t)sizeof(good));
	for (unsigned round = 0; round < 150; round++) {
		static unsigned char junk[8192];
		size_t n = 1 + cat_test_rnd(&seed) % sizeof(junk);
		off_t at = 8192 + (off_t)(cat_test_rnd(&seed) % (uint64_t)(len - 8192));
		bool zero = round % 3 == 0;
		if (round % 2)
			n = 1 + n % 16; /* a few bytes; else pages */
		for (size_t i = 0; i < n; i++)
			junk[i] = zero ? 0 : (unsigned char)cat_test_rnd(&seed);
		n = OM_MIN(n, (size_t)(len - at));
		assert_int_equal(pwrite(fd, junk, n, at), (ssize_t)n);
		if (round % 10 == 9)
			assert_int_equal(ftruncate(fd, 8192 + at / 2), 0);
		int first = run_child(&unchecked);
		if (first < 0)
			assert_true(idx_cat_env_suspect(p.dir)); /* what the next start of a large one goes by */
		int second = run_child(&p);
		assert_in_range(second, 0, 1);
		crashed += first < 0;
		corrupt += second == 1;
		records += first == 2;
		unhurt += second == 0;
		assert_int_equal(ftruncate(fd, 0), 0); /* restore */
		assert_int_equal(pwrite(fd, good, (size_t)len, 0), len);
		(void)snprintf(path, sizeof(path), "%s/unproven", p.dir);
		(void)unlink(path);
	}
	print_message("# damage: %u crashed at first, %u trees, %u records, %u unhurt\n", crashed, corrupt, records, unhurt);
	assert_true(corrupt > 10 && records > 10 && crashed > 0);
	cat_ok(try_open(&p, NULL));
}

/* The second start after a crash in the tree finds out in a child, even for damage that kills. */
static void damage_kills_once(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0);
	struct idx_cat *cat = cat_test_open(*state, 0);
	static unsigned char junk[65536];
	off_t size;

	fill(cat, 3000);
	idx_cat_close(cat);
	size = cat_test_file_size(p.dir, "data.mdb");
	/* Every page but the first few: numbers and flags kept, node offsets and sizes far outside. */
	for (off_t page = 6; page < size / 4096 - 64; page++) {
		memset(junk, 0xfe, sizeof(junk));
		cat_test_write_at(p.dir, "data.mdb", page * 4096 + 16, junk, 512);
	}
	cat_test_write_at(p.dir, "unproven", 0, "", 0);
	assert_int_equal(try_open(&p, NULL), -OBJM_STATUS_CORRUPT);
	assert_int_equal(idx_cat_check(&p, 60), -OBJM_STATUS_CORRUPT);
	recover(&p);
}

/* A file that lost its end is suspect whatever its size; and what is missing reads as zeros, never as SIGBUS. */
static void damage_truncated(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0);
	struct idx_cat *cat = cat_test_open(*state, 0);
	static char good[4u << 20];
	char path[300];
	ssize_t len;

	fill(cat, 3000);
	idx_cat_close(cat);
	(void)snprintf(path, sizeof(path), "%s/data.mdb", p.dir);
	OM_AUTO_FD fd = open(path, O_RDWR);
	len = pread(fd, good, sizeof(good), 0);
	for (off_t cut = 8192; cut < len; cut += len / 20) {
		p.flags = IDX_CAT_NOCHECK;
		assert_int_equal(ftruncate(fd, cut), 0);
		int rc = run_child(&p);
		assert_true((rc >= 0 && rc <= 2) || rc == -SIGABRT); /* an assertion of LMDB's */
		(void)snprintf(path, sizeof(path), "%s/unproven", p.dir);
		(void)unlink(path);
		assert_int_equal(ftruncate(fd, cut), 0);
		uint64_t last_pgno;
		memcpy(&last_pgno, good + 136, sizeof(last_pgno)); /* where the older or the newer header says that it ends */
		if (cut > 3 * 4096 && (uint64_t)cut < last_pgno * 4096)
			assert_true(idx_cat_env_suspect(p.dir) || try_open(&p, NULL) == -OBJM_STATUS_CORRUPT);
		p.flags = 0;
		assert_in_range(run_child(&p), 0, 1);
		assert_int_equal(pwrite(fd, good, (size_t)len, 0), len);
	}
}

/* Keys out of order in a table whose values prove nothing. */
static void damage_order(void **state)
{
	static const unsigned char was[8] = { 0, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 };
	struct idx_cat_params p = cat_test_params(*state, 0);
	struct idx_cat *cat = cat_test_open(*state, 0);
	static unsigned char file[1u << 20];
	struct idx_cat_txn *txn;
	char path[300];
	unsigned hits = 0;
	ssize_t len;

	cat_ok(idx_cat_txn_begin(cat, &txn));
	for (uint64_t id = 1; id < 50; id++)
		cat_ok(idx_cat_txn_removed_add(txn, idx_be64(was) + id - 10));
	cat_ok(idx_cat_txn_commit(txn));
	idx_cat_close(cat);
	cat_ok(idx_cat_check(&p, 60));
	(void)snprintf(path, sizeof(path), "%s/data.mdb", p.dir);
	OM_AUTO_FD fd = open(path, O_RDWR);
	len = pread(fd, file, sizeof(file), 0);
	for (ssize_t i = 0; i + 8 <= len; i++) {
		if (memcmp(file + i, was, 8) == 0) {
			cat_test_write_at(p.dir, "data.mdb", i, "\x7f", 1);
			hits++;
		}
	}
	assert_true(hits > 0);
	assert_int_equal(try_open(&p, NULL), -OBJM_STATUS_CORRUPT);
	assert_non_null(strstr(idx_cat_message(), "removed"));
}

static void check_good(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0);
	struct idx_cat *cat = cat_test_open(*state, 0);
	struct idx_cat_txn *txn;

	fill(cat, 5000);
	cat_ok(idx_cat_txn_begin(cat, &txn));
	for (uint64_t id = 1; id < 500; id++)
		cat_ok(idx_cat_txn_removed_add(txn, id));
	cat_ok(idx_cat_txn_commit(txn));
	for (unsigned i = 1; i < 300; i++) { /* free pages */
		char uri[32];
		(void)snprintf(uri, sizeof(uri), "/fill/%08u", i * 7919 % 1000003);
		if (i % 5)
			cat_ok(cat_test_del(cat, uri));
	}
	idx_cat_close(cat);
	cat_ok(idx_cat_check(&p, 60));
	p.dir = "/nonexistent/catalog";
	assert_int_equal(idx_cat_check(&p, 60), -OBJM_STATUS_NOT_FOUND);
}

static void set_aside_bounded(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0);

	cat_ok(try_open(&p, NULL));
	cat_test_write_at(p.dir, "data.mdb.bad-1", 0, "old", 3);
	cat_test_write_at(p.dir, "data.mdb.bad-2", 0, "old", 3);
	cat_ok(idx_cat_set_aside(p.dir));
	assert_int_equal(count_bad(p.dir), 1);
	assert_int_equal(cat_test_file_size(p.dir, "data.mdb.bad-1"), -1);
	assert_int_equal(cat_test_file_size(p.dir, "data.mdb"), -1);
}

/* ---- LMDB's limits ---- */

static void limit_map_full(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0);
	struct idx_cat_info info;
	struct idx_cat_snap *snap;
	struct idx_cat_txn *txn;
	struct idx_cat *cat;
	char uri[600];
	uint64_t id = 0, committed = 0;
	struct idx_cat_totals t;
	int rc = 0;
	unsigned full = 0;

	p.map_bytes = 256u << 10;
	cat_ok(idx_cat_open(&p, &cat));
	memset(uri, 'm', sizeof(uri));
	while (id < 4000) {
		cat_ok(idx_cat_txn_begin(cat, &txn)); /* grows first, after a full map */
		for (unsigned i = 0; i < 50 && rc == 0; i++) {
			struct om_rec r;
			uri[snprintf(uri, sizeof(uri), "/map/%08" PRIu64, ++id)] = 'm';
			r = cat_test_rec(uri, 400, id, 1, 0);
			rc = idx_cat_txn_put(txn, &r, 0, NULL);
		}
		if (rc == 0)
			rc = idx_cat_txn_commit(txn);
		else
			assert_int_equal(idx_cat_txn_commit(txn), rc); /* the same failure, and aborted */
		if (rc != 0) {
			assert_int_equal(rc, -OBJM_STATUS_NO_SPACE);
			full++;
			id = committed;
			rc = 0;
		}
		committed = id;
	}
	assert_true(full >= 2);
	idx_cat_info(cat, &info);
	assert_true(info.map_bytes >= (1u << 20));
	cat_ok(idx_cat_snap_open(cat, &snap));
	cat_ok(idx_cat_snap_totals(snap, &t));
	assert_int_equal(t.objects, 4000);
	/* With a snapshot held the map cannot move: BUSY after a while, not a crash. */
	atomic_store(&cat->env.want_grow, true);
	assert_int_equal(idx_cat_txn_begin(cat, &txn), -OBJM_STATUS_BUSY);
	idx_cat_snap_close(snap);
	cat_ok(idx_cat_txn_begin(cat, &txn));
	idx_cat_txn_abort(txn);
	idx_cat_close(cat);
}

/* Another process enlarges the file beyond our map; whoever comes first, reader or writer, adopts its size. */
static void map_resized(const char *dir, bool writer_first)
{
	struct idx_cat_params p = cat_test_params(dir, 0);
	struct idx_cat *cat;
	struct idx_cat_snap *snap;
	struct idx_cat_totals t;
	int status;

	p.map_bytes = 256u << 10;
	cat_ok(idx_cat_open(&p, &cat));
	pid_t pid = fork();
	if (pid == 0) {
		struct idx_cat *other;
		p.map_bytes = 64u << 20;
		p.flags = IDX_CAT_NOCHECK;
		if (idx_cat_open(&p, &other) != 0)
			_exit(1);
		fill(other, 4000);
		idx_cat_close(other);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	struct om_rec r = cat_test_rec("/after", 6, 5000, 1, 0);
	if (writer_first)
		cat_ok(cat_test_put(cat, &r));
	cat_ok(idx_cat_snap_open(cat, &snap));
	cat_ok(idx_cat_snap_totals(snap, &t));
	assert_int_equal(t.objects, 4000 + writer_first);
	idx_cat_snap_close(snap);
	cat_ok(cat_test_put(cat, &r));
	idx_cat_close(cat);
}

static void limit_map_resized(void **state)
{
	map_resized(*state, false);
}

static void limit_map_resized_writer(void **state)
{
	map_resized(*state, true);
}

static void limit_readers(void **state)
{
	struct idx_cat *cat = cat_test_open(*state, 0);
	struct idx_cat_snap **snap;
	struct idx_cat_info info;
	unsigned n = 0, cap;
	int rc = 0;

	idx_cat_info(cat, &info);
	cap = info.readers_max + 1;
	snap = calloc(cap, sizeof(*snap));
	while (n < cap && (rc = idx_cat_snap_open(cat, &snap[n])) == 0)
		n++;
	assert_int_equal(rc, -OBJM_STATUS_LIMIT_EXCEEDED);
	assert_true(n >= 500);
	idx_cat_snap_close(snap[--n]);
	cat_ok(idx_cat_snap_open(cat, &snap[n]));
	n++;
	while (n > 0)
		idx_cat_snap_close(snap[--n]);
	free(snap);
	idx_cat_close(cat);
}

/* Readers of another process that are killed leave slots behind; they are cleared, by hand and when slots run out. */
static void child_holds_snapshots(const struct idx_cat_params *p, int ready, unsigned n)
{
	struct idx_cat_params q = *p;
	struct idx_cat *cat;
	struct idx_cat_snap *snap;

	q.flags = IDX_CAT_READONLY;
	if (idx_cat_open(&q, &cat) != 0)
		_exit(1);
	for (unsigned i = 0; i < n; i++)
		if (idx_cat_snap_open(cat, &snap) != 0)
			_exit(2);
	(void)!write(ready, "x", 1);
	for (;;)
		(void)pause();
}

static void kill_readers(const struct idx_cat_params *p, unsigned n)
{
	int fds[2], status;
	char c;

	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0)
		child_holds_snapshots(p, fds[1], n);
	(void)close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 1);
	(void)close(fds[0]);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void limit_dead_readers(void **state)
{
	struct idx_cat_params p = cat_test_params(*state, 0);
	struct idx_cat *cat = cat_test_open(*state, 0);
	struct idx_cat_snap *snap;
	struct idx_cat_info info;
	off_t before, after;

	kill_readers(&p, 10);
	assert_int_equal(idx_cat_reader_check(cat), 10);
	assert_int_equal(idx_cat_reader_check(cat), 0);
	idx_cat_info(cat, &info);
	for (unsigned i = 0; i < 3; i++) /* more dead ones than there are slots */
		kill_readers(&p, info.readers_max / 2 - 2);
	cat_ok(idx_cat_snap_open(cat, &snap));
	idx_cat_snap_close(snap);
	/* Once they are cleared, pages are used again: the file does not grow for ever. */
	(void)idx_cat_reader_check(cat);
	fill(cat, 300);
	before = cat_test_file_size(p.dir, "data.mdb");
	for (unsigned i = 0; i < 20; i++)
		fill(cat, 300);
	after = cat_test_file_size(p.dir, "data.mdb");
	assert_true(after <= before + (256 << 10));
	idx_cat_close(cat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(open_flags), T(open_full_map), T(open_whose), T(open_missing), T(open_readonly), T(open_discarded), T(damage_header), T(damage_kind),
		T(damage_tree), T(damage_kills_once), T(damage_truncated), T(damage_order),
		T(check_good), T(set_aside_bounded), T(limit_map_full), T(limit_map_resized), T(limit_map_resized_writer),
		T(limit_readers), T(limit_dead_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
