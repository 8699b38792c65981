/*
 * idx_cat_file.c: the files of an environment, before LMDB sees them. Runs in the supervisor, called when an environment
 * is opened, checked or set aside.
 *
 * LMDB trusts its files: a truncated data file is a SIGBUS, a senseless header a wild pointer, and a lock file that is
 * sparse on a full disk a SIGBUS again when its pages are first written through the mapping. So here: both header
 * pages are checked field by field, the data file is made as long as it says, and the lock file gets real blocks.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "index/cat/idx_cat_int.h"

/* The data format of LMDB 0.9: each of the first two pages is a page header and one of these. */
#define FILE_META_AT 16u
#define FILE_META_MAGIC 0xBEEFC0DEu
#define FILE_META_VERSION 1u
#define FILE_PAGE_META 0x08u
#define FILE_PGNO_NONE UINT64_MAX
#define FILE_DEPTH_MAX 32u
struct file_db {
	uint32_t pad; /* of the first database: the page size */
	uint16_t flags, depth;
	uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};
struct file_meta {
	uint32_t magic, version;
	uint64_t address, mapsize;
	struct file_db dbs[2]; /* free pages, main */
	uint64_t last_pgno, txnid;
};
static_assert(sizeof(struct file_db) == 48 && sizeof(struct file_meta) == 136, "LMDB's layout on 64-bit machines");
static_assert(sizeof(void *) == 8 && sizeof(MDB_val) == 16, "64-bit machines only: the map is 1 TiB");

#define FILE_PAGE_MIN 4096u
#define FILE_PAGE_MAX 65536u
static_assert(IDX_CAT_FILE_MIN_BYTES == 2 * FILE_PAGE_MIN, "a header is two pages");
#define FILE_PAGES_MAX (UINT64_C(1) << 32) /* 16 TiB of 4 KiB pages: no catalog is that large */
/* Pages that were never written at the end of the file: taken and given back by the last transaction. */
#define FILE_SHORT_PAGES_MAX 65536u
#define FILE_SLACK_BYTES (256u << 10)
#define FILE_LOCK_BYTES (64u << 10) /* room for 1,000 readers of 64 bytes, and the header */
static_assert(IDX_CAT_READERS * 64u + 1024u <= FILE_LOCK_BYTES, "LMDB would enlarge the lock file itself, sparsely");

static int file_fail(const char *dir, const char *name, const char *what)
{
	int err = errno;

	return idx_cat_fail(-om_status_errno(err), "%s/%s: cannot %s: %s", dir, name, what, strerror(err));
}

/* A new directory's name is durable only when its parent was synced. */
static int file_dir_make(const char *dir, int *ret_dirfd)
{
	OM_AUTO_FD parent = -1;
	OM_AUTO_FD fd = -1;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		if (errno == ENOENT || errno == ENOTDIR)
			return idx_cat_fail(-OBJM_STATUS_NOT_FOUND, "%s: its parent directory is missing (tier not mounted?)", dir);
		return file_fail(dir, ".", "make the directory");
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return file_fail(dir, ".", "open the directory");
	parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0 || fsync(parent) < 0)
		return file_fail(dir, "..", "sync the directory");
	*ret_dirfd = om_take_fd(&fd);
	return 0;
}

int idx_cat_file_dir(const char *dir, bool readonly, int *ret_dirfd)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && !readonly)
		return file_dir_make(dir, ret_dirfd);
	if (fd < 0)
		return file_fail(dir, ".", "open the directory");
	*ret_dirfd = fd;
	return 0;
}

/* Is the root of a database none, or a page of the file that says of itself that it is a tree page? */
static bool file_root_ok(int fd, uint64_t psize, const struct file_meta *m, const struct file_db *db)
{
	struct {
		uint64_t pgno;
		uint16_t pad, flags;
		uint32_t bounds;
	} page;

	if (db->depth > FILE_DEPTH_MAX)
		return false;
	if (db->root == FILE_PGNO_NONE)
		return db->entries == 0;
	if (db->root < 2 || db->root > m->last_pgno)
		return false;
	if (pread(fd, &page, sizeof(page), (off_t)(db->root * psize)) != (ssize_t)sizeof(page))
		return false;
	return page.pgno == db->root && (page.flags & 3u) != 0; /* branch 1, leaf 2 */
}

static bool file_meta_ok(int fd, uint64_t off, uint32_t psize, struct file_meta *ret_meta)
{
	unsigned char buf[FILE_META_AT + sizeof(struct file_meta)];
	struct file_meta m;
	uint16_t flags;

	if (pread(fd, buf, sizeof(buf), (off_t)off) != (ssize_t)sizeof(buf))
		return false;
	memcpy(&flags, buf + 10, sizeof(flags)); /* page header: number u64, pad u16, flags u16 */
	memcpy(&m, buf + FILE_META_AT, sizeof(m));
	if ((flags & FILE_PAGE_META) == 0 || m.magic != FILE_META_MAGIC || m.version != FILE_META_VERSION)
		return false;
	uint32_t ps = m.dbs[0].pad;
	if (ps < FILE_PAGE_MIN || ps > FILE_PAGE_MAX || (ps & (ps - 1)) != 0 || (psize != 0 && ps != psize))
		return false;
	if (m.last_pgno < 1 || m.last_pgno >= FILE_PAGES_MAX)
		return false;
	*ret_meta = m;
	return true;
}

/* The data file's header, and its length. `size` is that of the regular file behind fd. */
static int file_data_check(int fd, const char *dir, unsigned flags, uint64_t size, bool *ret_short)
{
	bool readonly = (flags & IDX_CAT_READONLY) != 0;
	struct file_meta m[2];

	if (!file_meta_ok(fd, 0, 0, &m[0]) || !file_meta_ok(fd, m[0].dbs[0].pad, m[0].dbs[0].pad, &m[1]))
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s/%s: its header is damaged", dir, IDX_CAT_DATA_NAME);

	const struct file_meta *cur = m[1].txnid > m[0].txnid ? &m[1] : &m[0];
	uint64_t psize = cur->dbs[0].pad, want = (cur->last_pgno + 1) * psize;
	for (unsigned i = 0; i < 2; i++)
		if (!file_root_ok(fd, psize, cur, &cur->dbs[i]))
			return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s/%s: the root of its tree %u is damaged", dir,
					    IDX_CAT_DATA_NAME, i);
	*ret_short = size < want;
	if (size >= want + FILE_SLACK_BYTES)
		return 0;
	if (size < want && want - size > FILE_SHORT_PAGES_MAX * psize)
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s/%s: %" PRIu64 " bytes of %" PRIu64 " are missing", dir,
				    IDX_CAT_DATA_NAME, want - size, want);
	/* A hole of zeros behind the last page: what damage points to there reads as "no such page" and not as SIGBUS. */
	if (!readonly && ftruncate(fd, (off_t)(want + FILE_SLACK_BYTES)) < 0)
		return file_fail(dir, IDX_CAT_DATA_NAME, "extend the file");
	/* (The checker is a process of its own, which may get a SIGBUS.) */
	if (readonly && size < want && (flags & IDX_CAT_ENV_NOLOCK) == 0)
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s/%s: shorter than it says, and may not be extended here", dir,
				    IDX_CAT_DATA_NAME);
	return 0;
}

static int file_data(int dirfd, const char *dir, unsigned flags, bool *ret_exists, bool *ret_short)
{
	bool readonly = (flags & IDX_CAT_READONLY) != 0;
	OM_AUTO_FD fd = openat(dirfd, IDX_CAT_DATA_NAME, (readonly ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	*ret_exists = *ret_short = false;
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 && errno == ELOOP)
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s/%s: is a symbolic link", dir, IDX_CAT_DATA_NAME);
	if (fd < 0 && errno == EISDIR)
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s/%s: is a directory", dir, IDX_CAT_DATA_NAME);
	if (fd < 0)
		return file_fail(dir, IDX_CAT_DATA_NAME, "open the file");
	if (fstat(fd, &st) < 0)
		return file_fail(dir, IDX_CAT_DATA_NAME, "stat the file");
	if (!S_ISREG(st.st_mode))
		return idx_cat_fail(-OBJM_STATUS_CORRUPT, "%s/%s: is not a regular file", dir, IDX_CAT_DATA_NAME);
	if (st.st_size < IDX_CAT_FILE_MIN_BYTES) {
		/* Its creation was cut short (a full disk, a crash): it never held anything. */
		if (!readonly && unlinkat(dirfd, IDX_CAT_DATA_NAME, 0) < 0)
			return file_fail(dir, IDX_CAT_DATA_NAME, "remove the unfinished file");
		return 0;
	}
	*ret_exists = true;
	return file_data_check(fd, dir, flags, (uint64_t)st.st_size, ret_short);
}

/*
 * On btrfs a store into a mapped page wants a new block each time; on a full disk there is none, and the process gets SIGBUS.
 * Only an empty file can be told to write in place. Other filesystems do so anyway and refuse the flag.
 */
static void no_copy_on_write(int fd)
{
	int flags = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
		flags |= FS_NOCOW_FL;
		(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
}

/* The lock file: real blocks to its end, as LMDB writes it through a shared mapping. */
static int file_lock(int dirfd, const char *dir)
{
	static const unsigned char zeros[4096];
	OM_AUTO_FD fd = openat(dirfd, IDX_CAT_LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0)
		return file_fail(dir, IDX_CAT_LOCK_NAME, "open the file");
	if (fstat(fd, &st) < 0)
		return file_fail(dir, IDX_CAT_LOCK_NAME, "stat the file");
	if (!S_ISREG(st.st_mode))
		return idx_cat_fail(-OBJM_STATUS_STORAGE, "%s/%s: is not a regular file; remove it", dir, IDX_CAT_LOCK_NAME);
	if (st.st_size == 0)
		no_copy_on_write(fd);
	for (off_t at = st.st_size; at < (off_t)FILE_LOCK_BYTES;) {
		size_t n = OM_MIN(sizeof(zeros), (size_t)((off_t)FILE_LOCK_BYTES - at));
		ssize_t w = pwrite(fd, zeros, n, at);
		if (w <= 0) {
			int rc = file_fail(dir, IDX_CAT_LOCK_NAME, "write the file");
			(void)ftruncate(fd, 0); /* so that the next try writes all of it */
			return rc;
		}
		at += w;
	}
	return 0;
}

int idx_cat_file_prepare(int dirfd, const char *dir, unsigned flags, bool *ret_exists, bool *ret_short)
{
	bool readonly = (flags & IDX_CAT_READONLY) != 0;
	int rc = file_data(dirfd, dir, flags, ret_exists, ret_short);

	if (rc == 0 && !*ret_exists && readonly)
		return idx_cat_fail(-OBJM_STATUS_NOT_FOUND, "%s: there is no catalog, and none may be made here", dir);
	if (rc == 0 && (flags & IDX_CAT_ENV_NOLOCK) == 0 && !readonly)
		rc = file_lock(dirfd, dir);
	return rc;
}

/* Remove files that earlier calls set aside, except `keep`. */
static void file_drop_bad(int dirfd, const char *keep)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		om_close(&fd);
		return; /* only tidying: the old files stay */
	}
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (strncmp(e->d_name, IDX_CAT_DATA_NAME ".bad-", sizeof(IDX_CAT_DATA_NAME ".bad-") - 1) == 0 &&
		    strcmp(e->d_name, keep) != 0)
			(void)unlinkat(dirfd, e->d_name, 0);
	(void)closedir(d);
}

int idx_cat_file_set_aside(int dirfd, const char *dir)
{
	char bad[sizeof(IDX_CAT_DATA_NAME) + 32];
	struct statvfs vfs;
	struct stat st;

	(void)unlinkat(dirfd, IDX_CAT_LOCK_NAME, 0);
	if (fstatat(dirfd, IDX_CAT_DATA_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return file_fail(dir, IDX_CAT_DATA_NAME, "stat the file");
	} else {
		(void)snprintf(bad, sizeof(bad), IDX_CAT_DATA_NAME ".bad-%" PRIu64, om_wall_ns() / 1000000000u);
		/* The copy is for a human to look at; it may not cost the tier the room that the new catalog needs. */
		bool room = fstatvfs(dirfd, &vfs) == 0 &&
			    (uint64_t)vfs.f_bavail * vfs.f_frsize > 2 * (uint64_t)st.st_blocks * 512u + (UINT64_C(64) << 20);
		if (!room || renameat(dirfd, IDX_CAT_DATA_NAME, dirfd, bad) < 0) {
			bad[0] = '\0';
			if (unlinkat(dirfd, IDX_CAT_DATA_NAME, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) < 0)
				return file_fail(dir, IDX_CAT_DATA_NAME, "remove the damaged file");
		}
		file_drop_bad(dirfd, bad);
	}
	(void)unlinkat(dirfd, IDX_CAT_UNPROVEN_NAME, 0);
	if (fsync(dirfd) < 0)
		return file_fail(dir, ".", "sync the directory");
	return 0;
}

int idx_cat_file_discard(int dirfd, const char *dir)
{
	static const char *const names[] = { IDX_CAT_LOCK_NAME, IDX_CAT_DATA_NAME, IDX_CAT_UNPROVEN_NAME };

	for (size_t i = 0; i < OM_ARRAY_SIZE(names); i++)
		if (unlinkat(dirfd, names[i], 0) < 0 && errno != ENOENT)
			return file_fail(dir, names[i], "remove the file");
	return fsync(dirfd) < 0 ? file_fail(dir, ".", "sync the directory") : 0;
}
