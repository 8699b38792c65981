/*
 * test_cat_nospace.c: full disks and failing ones. The full ones are small filesystems of our own, so those tests need root
 * and are skipped without.
 */
#include "tests/unit/catalog/cat_test.h"
#include "index/cat/idx_state.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* LMDB syncs with this: the program's own definition goes before libc's. */
static bool sync_fails;
__attribute__((visibility("default"))) int fdatasync(int fd);
__attribute__((visibility("default"))) int fdatasync(int fd)
{
	if (sync_fails) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

struct disk {
	char *dir, *mnt;
	bool mounted;
};

static int setup(void **state)
{
	struct disk *d = calloc(1, sizeof(*d));

	d->dir = cat_test_mkdir(NULL);
	assert_true(asprintf(&d->mnt, "%s/mnt", d->dir) > 0);
	assert_int_equal(mkdir(d->mnt, 0700), 0);
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct disk *d = *state;

	sync_fails = false;
	if (d->mounted)
		(void)umount2(d->mnt, MNT_DETACH);
	free(d->mnt);
	cat_test_rmdir(d->dir);
	free(d);
	return 0;
}

static void mount_tmpfs(struct disk *d, const char *opts)
{
	if (mount("tmpfs", d->mnt, "tmpfs", 0, opts) < 0) {
		print_message("# skipped: cannot mount a tmpfs (%s)\n", strerror(errno));
		skip();
	}
	d->mounted = true;
}

static int mount_ext4(struct disk *d)
{
	char cmd[600];

	(void)snprintf(cmd, sizeof(cmd),
		       "truncate -s 24M %s/img && mkfs.ext4 -q -m 0 %s/img >/dev/null 2>&1 && mount -o loop %s/img %s 2>/dev/null",
		       d->dir, d->dir, d->dir, d->mnt);
	return system(cmd);
}

static struct idx_cat *open_on(struct disk *d, unsigned flags)
{
	struct idx_cat_params p = cat_test_params(d->mnt, 0);
	struct idx_cat *cat;

	p.flags = flags;
	cat_ok(idx_cat_open(&p, &cat));
	return cat;
}

/* Fill until it says NO_SPACE; returns how many were acknowledged. */
static uint64_t fill_up(struct idx_cat *cat, uint64_t from)
{
	char uri[500];
	uint64_t acked = from;
	int rc = 0;

	memset(uri, 'n', sizeof(uri));
	while (rc == 0 && acked < 1000000) {
		struct idx_cat_txn *txn;
		uint64_t id = acked;
		rc = idx_cat_txn_begin(cat, &txn);
		if (rc != 0)
			break;
		for (unsigned i = 0; i < 50 && rc == 0; i++) {
			uri[snprintf(uri, sizeof(uri), "/n/%08" PRIu64, ++id)] = 'n';
			struct om_rec r = cat_test_rec(uri, 450, id, 1, 0);
			rc = idx_cat_txn_put(txn, &r, 0, NULL);
		}
		rc = idx_cat_txn_commit(txn);
		if (rc == 0)
			acked = id;
	}
	assert_int_equal(rc, -OBJM_STATUS_NO_SPACE);
	assert_true(idx_cat_writable(cat)); /* a full disk is not a broken one */
	return acked;
}

static void verify(struct idx_cat *cat, uint64_t from, uint64_t acked)
{
	struct idx_cat_scan_res res;
	struct idx_cat_totals t;
	struct idx_cat_snap *snap;

	cat_ok(idx_cat_snap_open(cat, &snap));
	cat_ok(idx_cat_scan(snap, NULL, NULL, &res));
	cat_ok(idx_cat_snap_totals(snap, &t));
	assert_int_equal(res.totals.objects, acked - from);
	assert_memory_equal(&res.totals, &t, sizeof(t));
	assert_int_equal(res.damaged, 0);
	idx_cat_snap_close(snap);
}

static uint64_t delete_some(struct idx_cat *cat, uint64_t n)
{
	char uri[500];

	memset(uri, 'n', sizeof(uri));
	for (uint64_t id = 1; id <= n; id++) {
		struct idx_cat_txn *txn;
		uri[snprintf(uri, sizeof(uri), "/n/%08" PRIu64, id)] = 'n';
		cat_ok(idx_cat_txn_begin(cat, &txn));
		cat_ok(idx_cat_txn_del(txn, uri, 450, id, NULL));
		cat_ok(idx_cat_txn_commit(txn));
	}
	return n;
}

static void full_disk(struct disk *d, unsigned flags)
{
	struct idx_cat *cat = open_on(d, flags);
	char ballast[400];
	uint64_t acked;

	(void)snprintf(ballast, sizeof(ballast), "%s/ballast", d->mnt);
	OM_AUTO_FD fd = open(ballast, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(posix_fallocate(fd, 0, 1 << 20), 0);
	acked = fill_up(cat, 0);
	assert_true(acked > 1000);
	verify(cat, 0, acked);
	acked = fill_up(cat, acked); /* again, and still nothing is lost */
	verify(cat, 0, acked);
	idx_cat_close(cat); /* cannot even mark itself clean */
	cat = open_on(d, flags | IDX_CAT_READONLY);
	verify(cat, 0, acked);
	idx_cat_close(cat);
	assert_int_equal(ftruncate(fd, 0), 0); /* the ballast goes: deletes work */
	cat = open_on(d, flags);
	uint64_t gone = delete_some(cat, 200);
	verify(cat, gone, acked);
	idx_cat_close(cat);
}

static void nospace_tmpfs(void **state)
{
	struct disk *d = *state;

	mount_tmpfs(d, "size=8m");
	full_disk(d, 0);
}

static void nospace_tmpfs_volatile(void **state)
{
	struct disk *d = *state;

	mount_tmpfs(d, "size=6m");
	full_disk(d, IDX_CAT_VOLATILE);
}

static void nospace_ext4(void **state)
{
	struct disk *d = *state;

	if (geteuid() != 0 || mount_ext4(d) != 0) {
		print_message("# skipped: cannot mount an ext4 image\n");
		skip();
	}
	d->mounted = true;
	full_disk(d, 0);
}

/* Opening on a disk with hardly a page left: refused in words at each size, never SIGBUS, and a later open begins anew. */
static void nospace_open(void **state)
{
	struct disk *d = *state;
	char path[400], sub[300];

	mount_tmpfs(d, "size=2m,nr_inodes=100");
	(void)snprintf(path, sizeof(path), "%s/filler", d->mnt);
	(void)snprintf(sub, sizeof(sub), "%s/state", d->mnt);
	assert_int_equal(mkdir(sub, 0700), 0);
	OM_AUTO_FD fd = open(path, O_CREAT | O_RDWR, 0600);
	for (int left = 0; left < 60; left += 1) {
		struct idx_cat_params p = cat_test_params(d->mnt, 0);
		struct idx_state *st = NULL;
		int status;
		char cmd[900];
		assert_int_equal(posix_fallocate(fd, 0, (2 << 20) - left * 4096 - 8192 > 0 ? (2 << 20) - left * 4096 - 8192 : 1), 0);
		pid_t pid = fork();
		if (pid == 0) {
			struct idx_cat *cat;
			int rc = idx_cat_open(&p, &cat);
			if (rc == 0)
				idx_cat_close(cat);
			if (rc == 0 || rc == -OBJM_STATUS_NO_SPACE)
				rc = idx_state_open(sub, &st);
			idx_state_close(st);
			_exit(rc == 0 ? 0 : -rc);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status)); /* no SIGBUS */
		assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == OBJM_STATUS_NO_SPACE);
		assert_int_equal(ftruncate(fd, 0), 0);
		struct idx_cat *cat;
		cat_ok(idx_cat_open(&p, &cat)); /* with room, whatever was left half-made */
		idx_cat_close(cat);
		cat_ok(idx_state_open(sub, &st));
		idx_state_close(st);
		(void)snprintf(cmd, sizeof(cmd), "rm -rf %s/cat0 %s/*", d->mnt, sub);
		assert_int_equal(system(cmd), 0);
	}
}

/* A failed sync: the transaction is refused and no later one is taken until the catalog is opened again. */
static void failed_sync(void **state)
{
	struct disk *d = *state;
	struct om_rec a = cat_test_rec("/a", 2, 1, 1, 0), b = cat_test_rec("/b", 2, 2, 1, 0), got;
	struct idx_cat *cat = open_on(d, 0);
	struct idx_cat_snap *snap;

	cat_ok(cat_test_put(cat, &a));
	sync_fails = true;
	assert_int_equal(cat_test_put(cat, &b), -OBJM_STATUS_STORAGE);
	sync_fails = false;
	assert_false(idx_cat_writable(cat));
	assert_int_equal(cat_test_put(cat, &b), -OBJM_STATUS_STORAGE); /* not retried into a success */
	cat_ok(idx_cat_snap_open(cat, &snap)); /* reads go on */
	cat_ok(idx_cat_snap_peek(snap, "/a", 2, &got));
	assert_int_equal(idx_cat_snap_peek(snap, "/b", 2, &got), -OBJM_STATUS_NOT_FOUND);
	idx_cat_snap_close(snap);
	idx_cat_close(cat);
	cat = open_on(d, 0);
	cat_ok(cat_test_put(cat, &b));
	idx_cat_close(cat);
}

/* A volatile catalog does not sync at all; a persistent one does, at every commit. */
static void volatile_does_not_sync(void **state)
{
	struct disk *d = *state;
	struct om_rec a = cat_test_rec("/a", 2, 1, 1, 0);
	struct idx_cat *cat = open_on(d, IDX_CAT_VOLATILE);

	sync_fails = true;
	cat_ok(cat_test_put(cat, &a));
	sync_fails = false;
	idx_cat_close(cat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(failed_sync), T(volatile_does_not_sync), T(nospace_tmpfs), T(nospace_tmpfs_volatile), T(nospace_ext4),
		T(nospace_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
