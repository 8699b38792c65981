/*
 * be_dir_attr.c: changing what a committed file says of itself (SET). Lifecycle process; called through be.h.
 *
 * Old or new, never half: an extended attribute is replaced as a whole by the filesystem, a side file by rename(2). Where an
 * attribute no longer fits, the side file comes first and the attribute goes after it; where it fits again, the attribute comes
 * first. The attribute counts while there is one (be_dir_scan.c), so at each point in between one whole state is read.
 */
#include "backend/be_dir_int.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define SIDE_NEW_SUFFIX BE_DIR_SIDE_NEW_SUFFIX

/* The kernel asks the inode's mode, not the descriptor's: for the moment of the change it is the owner's to write. */
static int set_xattr(int fd, const void *buf, size_t len)
{
	int rc;

	if (fchmod(fd, 0600) < 0)
		return -1;
	rc = buf ? fsetxattr(fd, BE_ATTR_NAME, buf, len, 0) : fremovexattr(fd, BE_ATTR_NAME);
	int saved = errno;
	if (fchmod(fd, 0400) < 0)
		return -1;
	errno = saved;
	return rc;
}

static void side_names(uint64_t id, char path[static OM_OBJ_PATH_MAX], char fresh[static OM_OBJ_PATH_MAX])
{
	size_t n;

	be_dir_side_path(id, path);
	om_obj_path(id, fresh);
	n = strlen(fresh);
	memcpy(fresh + n, SIDE_NEW_SUFFIX, sizeof(SIDE_NEW_SUFFIX));
}

static int sync_dir(const struct be *be, uint64_t id)
{
	char path[OM_OBJ_PATH_MAX];

	om_obj_dir(id, path);
	OM_AUTO_FD dir = openat(be->objects_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return dir < 0 || fsync(dir) < 0 ? be_dir_errno() : 0;
}

/* The side file, whole and on stable storage before it has its name. */
static int put_side(const struct be *be, uint64_t id, const void *buf, size_t len, bool durable)
{
	char path[OM_OBJ_PATH_MAX], fresh[OM_OBJ_PATH_MAX];
	int rc;

	side_names(id, path, fresh);
	(void)unlinkat(be->objects_fd, fresh, 0); /* of a try that died */
	OM_AUTO_FD fd = openat(be->objects_fd, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return be_dir_errno();
	rc = be_dir_write(fd, buf, len);
	if (rc == 0 && (fchmod(fd, 0400) < 0 || (durable && fsync(fd) < 0)))
		rc = be_dir_errno();
	if (rc == 0 && renameat(be->objects_fd, fresh, be->objects_fd, path) < 0)
		rc = be_dir_errno();
	if (rc < 0) {
		int saved = errno;
		(void)unlinkat(be->objects_fd, fresh, 0);
		errno = saved;
		return rc;
	}
	return durable ? sync_dir(be, id) : 0;
}

static void drop_side(const struct be *be, uint64_t id)
{
	char path[OM_OBJ_PATH_MAX], fresh[OM_OBJ_PATH_MAX];

	side_names(id, path, fresh);
	(void)unlinkat(be->objects_fd, path, 0); /* none, usually; one that stays is not read while there is an attribute */
}

static bool too_big(int err) { return err == ENOSPC || err == E2BIG || err == ERANGE || err == EOPNOTSUPP; }

int be_dir_attr(const struct be *be, uint64_t id, const struct om_rec *rec, enum be_when when)
{
	uint8_t buf[BE_ATTR_MAX], was[BE_ATTR_MAX];
	struct om_rec r = *rec;
	struct be_found found;
	struct stat st;
	OM_AUTO_FD fd = -1;
	int rc = be_dir_open_wait(be->objects_fd, id, &fd);

	if (rc < 0)
		return rc;
	if (fstat(fd, &st) < 0)
		return be_dir_errno();
	r.size = (uint64_t)st.st_size;
	r.sum = NULL;
	if (be_dir_describe_fd(be, fd, id, was, &found) == 0 && found.has_attr)
		r.sum = found.rec.sum;
	size_t len = be_attr_encode(&r, buf);
	if ((be->caps & OM_TIERC_XATTR) && set_xattr(fd, buf, len) == 0) {
		if (when == BE_NOW && fsync(fd) < 0)
			return be_dir_errno();
		if (when != BE_LATER) /* else it stays until the object goes: its name must not be gone before the attribute is durable */
			drop_side(be, id);
		return 0;
	}
	if ((be->caps & OM_TIERC_XATTR) && !too_big(errno))
		return be_dir_errno();
	/* not later: a name that is durable before its bytes are would be a damaged side file */
	bool durable = when != BE_NEVER;
	rc = put_side(be, id, buf, len, durable);
	if (rc < 0 || !(be->caps & OM_TIERC_XATTR))
		return rc;
	if (set_xattr(fd, NULL, 0) < 0 && errno != ENODATA)
		return be_dir_errno();
	return durable && fsync(fd) < 0 ? be_dir_errno() : 0;
}

int be_dir_attr_sync(struct be *be)
{
	if (be->failed) {
		errno = EIO;
		return -OBJM_STATUS_STORAGE;
	}
	if (syncfs(be->sync_fd) == 0)
		return 0;
	be->failed = true; /* the kernel tells of an error once: see be_dir_sync() */
	return -OBJM_STATUS_STORAGE;
}
