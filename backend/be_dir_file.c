/*
 * be_dir_file.c: files of the directory driver before they have a name: begin, copy, lease, freeze, cut.
 * Runs in workers, on I/O threads and (memory tiers) in the loop; called through be.h.
 *
 * Why the read-only descriptor is opened before the client has the file: a description reports the write-back errors that
 * came up since it was opened, so ours sees all of the client's. Why no writable one is kept: the lease would be refused.
 */
#include "backend/be_dir_int.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "backend/be_how.h"

#define TRIES 8
#define COPY_CHUNK ((size_t)256 << 10)
#define TRIM_BYTES 65536u /* reserved beyond the end: from here on it is given back */

/* ---- begin ---- */

static int make_temp(const struct be *be, char *ret_name, size_t name_len)
{
	for (unsigned i = 0; i < TRIES; i++) {
		uint64_t r;

		if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
			return -1;
		(void)snprintf(ret_name, name_len, "w%x-%llx-%016llx", be->who,
			       (unsigned long long)(om_wall_ns() / 1000000000u), (unsigned long long)r);
		int fd = openat(be->staging_fd, ret_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return -1;
}

static int reopen_for_writing(int fd)
{
	char path[BE_DIR_PROC_MAX];

	be_dir_proc_path(fd, path);
	return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
}

/* Bytes that are promised are there: a writer that maps the file must not meet SIGBUS for want of them. */
static int reserve(int fd, uint64_t bytes)
{
	if (bytes == 0)
		return 0;
	if (bytes > INT64_MAX)
		return -OBJM_STATUS_TOO_LARGE;
	for (unsigned i = 0; i < TRIES; i++) {
		if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == 0)
			return 0;
		if (errno == EOPNOTSUPP || errno == ENOSYS)
			return 0; /* this filesystem cannot promise */
		if (errno == EFBIG)
			return -OBJM_STATUS_TOO_LARGE;
		if (errno != EINTR)
			break;
	}
	return be_dir_errno();
}

/* The new file, writable. @return 0 with ret_file->rwfd, or a status */
static int create(const struct be *be, struct be_file *ret_file)
{
	*ret_file = BE_FILE_INIT;
	if (be->caps & OM_TIERC_TMPFILE)
		ret_file->rwfd = be_dir_lane_tmpfile(be);
	else
		ret_file->rwfd = make_temp(be, ret_file->temp, sizeof(ret_file->temp));
	return ret_file->rwfd < 0 ? be_dir_errno() : 0;
}

int be_dir_begin_own(const struct be *be, struct be_file *ret_file)
{
	struct be_file f;
	int rc = create(be, &f);

	if (rc < 0)
		return rc;
	f.fd = om_take_fd(&f.rwfd);
	f.own = true;
	*ret_file = f;
	return 0;
}

int be_dir_begin(const struct be *be, uint64_t size_hint, struct be_file *ret_file)
{
	struct be_file f;
	int rc = create(be, &f);

	if (rc < 0)
		return rc;
	rc = reserve(f.rwfd, size_hint);
	if (rc == 0) {
		f.fd = be_how_reopen(f.rwfd);
		rc = f.fd < 0 ? be_dir_errno() : 0;
	}
	if (rc < 0) {
		int saved = errno;
		be_drop(&f);
		errno = saved;
		return rc;
	}
	*ret_file = f;
	return 0;
}

/*
 * ---- copy ----
 *
 * Read and written, never FICLONE nor copy_file_range() (which shares blocks where it can): pages that the writer keeps
 * pinned are still the first file's, and what is written into them later reaches its blocks without the filesystem being
 * asked; XFS then writes over blocks that both files share. (Shown by tests/attack/attack_fuse on XFS.)
 */

static int copy_by_hand(int from, int to, uint64_t at, uint64_t size)
{
	OM_AUTO_FREE char *buf = malloc(COPY_CHUNK);

	if (!buf)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	if (lseek(to, (off_t)at, SEEK_SET) < 0)
		return be_dir_errno();
	while (at < size) {
		ssize_t n = pread(from, buf, OM_MIN(COPY_CHUNK, size - at), (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EIO; /* it was cut under us */
			return be_dir_errno();
		}
		int rc = be_dir_write(to, buf, (size_t)n);
		if (rc < 0)
			return rc;
		at += (uint64_t)n;
	}
	return 0;
}

int be_dir_copy(const struct be *be, const struct be_file *from, struct be_file *ret_file)
{
	struct be_file f;
	struct stat st;
	int rc;

	if (fstat(from->fd, &st) < 0)
		return be_dir_errno();
	rc = be_dir_begin(be, 0, &f);
	if (rc < 0)
		return rc;
	rc = reserve(f.rwfd, (uint64_t)st.st_size);
	if (rc == 0)
		rc = copy_by_hand(from->fd, f.rwfd, 0, (uint64_t)st.st_size);
	om_close(&f.rwfd);
	if (rc < 0) {
		int saved = errno;
		be_drop(&f);
		errno = saved;
		return rc;
	}
	*ret_file = f;
	return 0;
}

/* ---- clone: between committed files of our own, which nobody can write any more ---- */

int be_dir_clone(const struct be *be, int from_fd, struct be_file *ret_file)
{
	struct be_file f;
	int rc = be_dir_begin(be, 0, &f);

	if (rc < 0)
		return rc;
	if (ioctl(f.rwfd, FICLONE, from_fd) < 0) {
		int saved = errno;
		rc = om_status_errno(saved) == OBJM_STATUS_NO_SPACE ? -OBJM_STATUS_NO_SPACE : -OBJM_STATUS_UNSUPPORTED_OP;
		be_drop(&f);
		errno = saved;
		return rc;
	}
	om_close(&f.rwfd);
	*ret_file = f;
	return 0;
}

bool be_sum_get_old(int fd, uint8_t ret_sum[static BE_SUM_BYTES])
{
	return fgetxattr(fd, BE_SUM_NAME, ret_sum, BE_SUM_BYTES) == (ssize_t)BE_SUM_BYTES;
}

/* ---- lease and freeze ---- */

/* A read lease: 0 taken, 1 this filesystem has none (and the tier's probe said so), or a status. */
static int lease_take(const struct be *be, int fd)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
		return 0;
	if (errno == EAGAIN)
		return -OBJM_STATUS_WRITER_STILL_OPEN;
	return be->caps & OM_TIERC_LEASE ? -OBJM_STATUS_STORAGE : 1;
}

static void lease_drop(int fd)
{
	int saved = errno;

	(void)fcntl(fd, F_SETLEASE, F_UNLCK); /* it goes with the descriptor at the latest */
	errno = saved;
}

int be_dir_quiet(const struct be *be, const struct be_file *file)
{
	int rc;

	if (file->own)
		return 0;
	rc = lease_take(be, file->fd);
	if (rc == 0)
		lease_drop(file->fd);
	return rc < 0 ? rc : 0;
}

/* Give back what was reserved beyond the end. Before the lease: opening for writing would have to break our own. */
static void trim(const struct be_file *file)
{
	struct stat st;

	if (fstat(file->fd, &st) < 0 || (uint64_t)st.st_blocks * 512u <= (uint64_t)st.st_size + TRIM_BYTES)
		return;
	OM_AUTO_FD fd = reopen_for_writing(file->fd);
	if (fd >= 0)
		(void)!ftruncate(fd, st.st_size); /* space that stays reserved is no fault of the object's */
}

static int set_attr(const struct be *be, struct be_file *file, const struct om_rec *rec)
{
	uint8_t buf[BE_ATTR_MAX];
	struct om_rec r = *rec;

	r.size = file->size;
	file->side = !(be->caps & OM_TIERC_XATTR);
	if (file->side || fsetxattr(file->fd, BE_ATTR_NAME, buf, be_attr_encode(&r, buf), 0) == 0)
		return 0;
	/* "No space" is how ext4 says that it is too big; a disk that is full will say so again to the side file. */
	if (errno != ENOSPC && errno != E2BIG && errno != ERANGE && errno != EOPNOTSUPP)
		return be_dir_errno();
	file->side = true;
	return 0;
}

static int freeze_leased(const struct be *be, struct be_file *file, const struct om_rec *rec)
{
	struct stat st;
	int rc;

	if (fstat(file->fd, &st) < 0)
		return be_dir_errno();
	file->size = (uint64_t)st.st_size;
	rc = set_attr(be, file, rec);
	if (rc < 0)
		return rc;
	return fchmod(file->fd, 0400) < 0 ? be_dir_errno() : 0;
}

int be_dir_freeze(const struct be *be, struct be_file *file, const struct om_rec *rec)
{
	int rc;

	if (file->own)
		return freeze_leased(be, file, rec);
	rc = be_dir_quiet(be, file);
	if (rc < 0)
		return rc;
	trim(file);
	int lease = lease_take(be, file->fd);
	if (lease < 0)
		return lease;
	rc = freeze_leased(be, file, rec);
	if (lease == 0)
		lease_drop(file->fd);
	return rc;
}

int be_dir_cut(const struct be *be, struct be_file *file)
{
	OM_AUTO_FD fd = reopen_for_writing(file->fd);

	(void)be;
	return fd < 0 || ftruncate(fd, 0) < 0 ? be_dir_errno() : 0;
}
