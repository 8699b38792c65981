/*
 * be_dir_scan.c: finding every file of a directory tier again, for rebuilds and orphans. Lifecycle process; called through
 * be.h. One directory of at most 4,096 ids is open at a time, so memory does not grow with the tier.
 */
#include "backend/be_dir_int.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define ATTR_USUAL ((size_t)512)

struct scan {
	struct be *be;
	uint64_t from, to;
	be_scan_fn *fn;
	void *arg;
};

/* The number of an id directory; false: the name is none. */
static bool dir_number(const char *name, uint64_t *ret)
{
	char want[OM_OBJ_PATH_MAX], *end;

	if (strlen(name) < 9 || strspn(name, "0123456789abcdef") != strlen(name))
		return false;
	errno = 0;
	uint64_t n = strtoull(name, &end, 16);
	if (errno != 0 || n > UINT64_MAX >> OM_OBJ_DIR_SHIFT)
		return false;
	om_obj_dir(n << OM_OBJ_DIR_SHIFT, want);
	if (strcmp(want, name) != 0)
		return false;
	*ret = n;
	return true;
}

static ssize_t read_side(int objects_fd, uint64_t id, uint8_t *buf, size_t cap)
{
	char path[OM_OBJ_PATH_MAX];

	be_dir_side_path(id, path);
	OM_AUTO_FD fd = openat(objects_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -1 : pread(fd, buf, cap, 0);
}

/* What the file says of itself, into f; `buf` must outlive f. */
static void read_attr(int objects_fd, int fd, uint8_t *buf, size_t cap, struct be_found *f)
{
	uint64_t id = f->id, size = f->rec.size;
	/* Nearly all are short, and the kernel clears as much memory as it is told that there is. */
	ssize_t n = fgetxattr(fd, BE_ATTR_NAME, buf, OM_MIN(cap, ATTR_USUAL));
	struct om_rec rec;

	if (n < 0 && errno == ERANGE)
		n = fgetxattr(fd, BE_ATTR_NAME, buf, cap);
	if (n < 0)
		n = read_side(objects_fd, id, buf, cap);
	if (n < 0) {
		f->why = "it has no attribute and no side file";
		return;
	}
	if (be_attr_decode(buf, (size_t)n, &rec) < 0) {
		f->why = "its attribute is damaged";
		return;
	}
	if (rec.size != size) {
		f->why = "its length is not the one that its attribute tells";
		return;
	}
	f->rec = rec;
	f->rec.id = id;
	f->has_attr = true;
}

int be_dir_describe_fd(const struct be *be, int fd, uint64_t id, uint8_t *buf, struct be_found *ret)
{
	struct stat st;

	*ret = (struct be_found){ .id = id, .rec.id = id };
	if (fstat(fd, &st) < 0) {
		ret->why = "it cannot be read";
		return be_dir_errno();
	}
	if (!S_ISREG(st.st_mode))
		return -OBJM_STATUS_NOT_FOUND;
	ret->rec.size = (uint64_t)st.st_size;
	ret->rec.mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	read_attr(be->objects_fd, fd, buf, BE_ATTR_MAX, ret);
	return 0;
}

/* @return 0; -OBJM_STATUS_NOT_FOUND: no such file, or none of ours; a status of om_status_errno() */
static int describe(const struct be *be, int dirfd, const char *name, uint64_t id, uint8_t *buf, struct be_found *ret)
{
	OM_AUTO_FD fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		return be_dir_describe_fd(be, fd, id, buf, ret);
	*ret = (struct be_found){ .id = id, .rec.id = id, .why = "it cannot be opened" };
	return be_dir_errno();
}

static int found(struct scan *s, int dirfd, const char *name, uint64_t id)
{
	uint8_t buf[BE_ATTR_MAX];
	struct be_found f;

	/* not there: removed meanwhile */
	return describe(s->be, dirfd, name, id, buf, &f) == -OBJM_STATUS_NOT_FOUND ? 0 : s->fn(s->arg, &f);
}

int be_dir_describe(const struct be *be, uint64_t id, uint8_t *buf, struct be_found *ret)
{
	char path[OM_OBJ_PATH_MAX];

	om_obj_path(id, path);
	return describe(be, be->objects_fd, path, id, buf, ret);
}

/* A side file whose object is not there: half of a PUT that died, or of a removal. Young ones may be half of one that
 * lives. */
static void look_at_side(int dirfd, const char *name)
{
	char object[17];
	struct stat st;
	uint64_t id;

	if (strlen(name) != 16 + sizeof(BE_DIR_SIDE_SUFFIX) - 1)
		return;
	if (strcmp(name + 16, BE_DIR_SIDE_NEW_SUFFIX) == 0) { /* of a change that died; one that lives is younger */
		if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && time(NULL) - st.st_ctime > BE_DIR_OLD_S)
			(void)unlinkat(dirfd, name, 0);
		return;
	}
	if (strcmp(name + 16, BE_DIR_SIDE_SUFFIX) != 0)
		return;
	memcpy(object, name, 16);
	object[16] = '\0';
	if (!om_obj_id(object, &id) || fstatat(dirfd, object, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
		return;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && time(NULL) - st.st_ctime > BE_DIR_OLD_S)
		(void)unlinkat(dirfd, name, 0);
}

/* `fd` becomes the DIR's. */
static int scan_dir(struct scan *s, int fd, uint64_t number, bool *ret_empty)
{
	DIR *dir = fdopendir(fd);
	int rc = 0;

	if (!dir) {
		(void)close(fd);
		return -OBJM_STATUS_OUT_OF_MEMORY;
	}
	*ret_empty = true;
	while (rc == 0) {
		uint64_t id;

		errno = 0;
		struct dirent *e = readdir(dir);
		if (!e) {
			rc = errno ? be_dir_errno() : 0;
			break;
		}
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		*ret_empty = false;
		if (!om_obj_id(e->d_name, &id) || id >> OM_OBJ_DIR_SHIFT != number)
			look_at_side(dirfd(dir), e->d_name);
		else if (id >= s->from && id < s->to)
			rc = found(s, dirfd(dir), e->d_name, id);
	}
	(void)closedir(dir);
	return rc;
}

static int scan_one(struct scan *s, const char *name)
{
	uint64_t number;
	struct stat st;
	bool empty;

	if (!dir_number(name, &number) || s->to == 0 || number > (s->to - 1) >> OM_OBJ_DIR_SHIFT ||
	    number < s->from >> OM_OBJ_DIR_SHIFT)
		return 0;
	int fd = openat(s->be->objects_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : be_dir_errno();
	bool old = fstat(fd, &st) == 0 && time(NULL) - st.st_mtime > BE_DIR_OLD_S;
	int rc = scan_dir(s, fd, number, &empty);
	if (rc == 0 && empty && old && number < s->be->dirs_done)
		(void)unlinkat(s->be->objects_fd, name, AT_REMOVEDIR);
	return rc;
}

int be_dir_scan(struct be *be, uint64_t id_from, uint64_t id_to, be_scan_fn *fn, void *arg)
{
	struct scan s = { .be = be, .from = id_from, .to = id_to, .fn = fn, .arg = arg };
	int fd = openat(be->objects_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *top = fd < 0 ? NULL : fdopendir(fd);

	if (!top) {
		om_close(&fd);
		return be_dir_errno();
	}
	while (rc == 0) {
		errno = 0;
		struct dirent *e = readdir(top);
		if (!e) {
			rc = errno ? be_dir_errno() : 0;
			break;
		}
		rc = scan_one(&s, e->d_name);
	}
	(void)closedir(top);
	return rc;
}
