/*
 * be_dir_name.c: names of the directory driver: linking a file in under its id, making it durable, removing it.
 * Link and sync run in workers, removal in the lifecycle process; called through be.h.
 *
 * What "durable" takes: the file (bytes, attribute, mode), its directory (the name) and, when the directory is young, the
 * directory above it. Whether another worker made that directory and has not synced it yet we cannot know, so each process
 * syncs objects/ once for every id directory that it links into (4,096 ids share one).
 */
#include "backend/be_dir_int.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/om_fault.h"

#define TRIES 4

void be_dir_side_path(uint64_t id, char ret_path[static OM_OBJ_PATH_MAX])
{
	om_obj_path(id, ret_path);
	size_t n = strlen(ret_path);
	OM_ASSERT(n + sizeof(BE_DIR_SIDE_SUFFIX) <= OM_OBJ_PATH_MAX);
	memcpy(ret_path + n, BE_DIR_SIDE_SUFFIX, sizeof(BE_DIR_SIDE_SUFFIX));
}

/* ---- which id directories are known to be durable ---- */

static bool dir_known(const struct be *be, uint64_t dir)
{
	for (unsigned i = 0; i < BE_DIRS_KNOWN; i++)
		if (be->dirs_known[i] == dir)
			return true;
	return false;
}

static void dir_learn(struct be *be, uint64_t dir)
{
	if (!dir_known(be, dir))
		be->dirs_known[be->dirs_next++ % BE_DIRS_KNOWN] = dir;
}

static void dir_forget(struct be *be, uint64_t dir)
{
	for (unsigned i = 0; i < BE_DIRS_KNOWN; i++)
		if (be->dirs_known[i] == dir)
			be->dirs_known[i] = UINT64_MAX;
}

static int open_id_dir(const struct be *be, uint64_t dir)
{
	char path[OM_OBJ_PATH_MAX];

	om_obj_dir(dir << OM_OBJ_DIR_SHIFT, path);
	return openat(be->objects_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* ---- link ---- */

/*
 * By the descriptor alone (without privileges: Linux 6.10, for one that this process opened), or through /proc, which walks
 * through four directories. Not being allowed to is ENOENT, just as a missing directory is.
 */
static int link_fd(const struct be *be, int fd, const char *path)
{
	static _Atomic bool by_proc;
	char proc[BE_DIR_PROC_MAX];

	if (!by_proc && linkat(fd, "", be->objects_fd, path, AT_EMPTY_PATH) == 0)
		return 0;
	if (!by_proc && errno != ENOENT)
		return -1;
	be_dir_proc_path(fd, proc);
	if (linkat(AT_FDCWD, proc, be->objects_fd, path, AT_SYMLINK_FOLLOW) < 0)
		return -1;
	by_proc = true;
	return 0;
}

/* Link what `fd` is to `path` below objects/, in the directory of `id`. */
static int link_path(struct be *be, int fd, uint64_t id, const char *path)
{
	char dir[OM_OBJ_PATH_MAX];

	om_obj_dir(id, dir);
	for (unsigned i = 0; i < TRIES; i++) {
		if (link_fd(be, fd, path) == 0)
			return 0;
		if (errno == EEXIST)
			return -OBJM_STATUS_STORAGE; /* ids are never given twice: somebody else wrote here */
		if (errno != ENOENT)
			return be_dir_errno();
		/* Missing, or empty and just removed: then its name is not durable any more either. */
		if (mkdirat(be->objects_fd, dir, 0700) < 0 && errno != EEXIST)
			return be_dir_errno();
		dir_forget(be, id >> OM_OBJ_DIR_SHIFT);
	}
	errno = ENOENT;
	return -OBJM_STATUS_STORAGE;
}

static int sync_one(int fd)
{
	int err = om_fault(OM_FAULT_PUT_SYNC);

	if (err != 0) {
		errno = err;
		return -1;
	}
	return fsync(fd);
}

/* The side file: whole and durable, name included, before the object can have its own name. */
static int link_side(struct be *be, uint64_t id, const struct be_file *file, const struct om_rec *rec)
{
	uint8_t buf[BE_ATTR_MAX];
	char path[OM_OBJ_PATH_MAX];
	struct be_file side;
	struct om_rec r = *rec;
	int rc = be_dir_begin(be, 0, &side);

	if (rc < 0)
		return rc;
	r.size = file->size;
	rc = be_dir_write(side.rwfd, buf, be_attr_encode(&r, buf));
	if (rc == 0 && (fchmod(side.rwfd, 0400) < 0 || fsync(side.rwfd) < 0))
		rc = be_dir_errno();
	if (rc == 0) {
		be_dir_side_path(id, path);
		rc = link_path(be, side.fd, id, path);
		side.id = rc == 0 ? id : 0; /* named: be_drop() leaves its bytes alone */
	}
	if (rc == 0) {
		OM_AUTO_FD dir = open_id_dir(be, id >> OM_OBJ_DIR_SHIFT);
		if (dir < 0 || fsync(dir) < 0)
			rc = be_dir_errno();
	}
	int saved = errno;
	be_drop(&side);
	errno = saved;
	return rc;
}

int be_dir_link(struct be *be, struct be_file *file, uint64_t id, const struct om_rec *rec)
{
	char path[OM_OBJ_PATH_MAX];
	int rc = file->side ? link_side(be, id, file, rec) : 0;

	if (rc < 0)
		return rc;
	om_obj_path(id, path);
	rc = link_path(be, file->fd, id, path);
	if (rc == 0)
		file->id = id;
	return rc;
}

/* ---- sync ---- */

static int sync_fs(struct be *be)
{
	int err = om_fault(OM_FAULT_PUT_SYNC);

	if (err != 0) {
		errno = err;
		return -1;
	}
	return syncfs(be->sync_fd);
}

/* fsync each file, each directory once, and objects/ if one of the directories is not known to be durable. */
static int sync_each(struct be *be, struct be_file *const *files, unsigned n)
{
	uint64_t last = UINT64_MAX;
	bool parent = false;

	for (unsigned i = 0; i < n; i++)
		if (sync_one(files[i]->fd) < 0)
			return -1;
	for (unsigned i = 0; i < n; i++) {
		uint64_t dir = files[i]->id >> OM_OBJ_DIR_SHIFT;
		/* Ids of a batch rise almost always: comparing with the one before finds nearly every repetition. */
		if (dir == last)
			continue;
		last = dir;
		OM_AUTO_FD fd = open_id_dir(be, dir);
		if (fd < 0 || sync_one(fd) < 0)
			return -1;
		parent |= !dir_known(be, dir);
	}
	return parent ? sync_one(be->sync_fd) : 0;
}

int be_dir_sync(struct be *be, struct be_file *const *files, unsigned n)
{
	int rc;

	if (be->failed) {
		errno = EIO;
		return -OBJM_STATUS_STORAGE;
	}
	if (n == 0)
		return 0;
	rc = n >= BE_SYNCFS_MIN && (be->caps & OM_TIERC_SYNCFS) ? sync_fs(be) : sync_each(be, files, n);
	if (rc < 0) {
		/* The kernel tells of a write-back error once and may have dropped the pages: a second try could "succeed". */
		be->failed = true;
		return -OBJM_STATUS_STORAGE;
	}
	for (unsigned i = 0; i < n; i++)
		dir_learn(be, files[i]->id >> OM_OBJ_DIR_SHIFT);
	return 0;
}

/* ---- remove ---- */

static int unlink_path(const struct be *be, const char *path)
{
	return unlinkat(be->objects_fd, path, 0) < 0 && errno != ENOENT ? be_dir_errno() : 0;
}

int be_dir_remove(struct be *be, uint64_t id, struct be_batch *batch)
{
	char path[OM_OBJ_PATH_MAX];
	uint64_t dir = id >> OM_OBJ_DIR_SHIFT;
	unsigned i;
	int rc;

	for (i = 0; i < batch->n && batch->dirs[i] != dir; i++)
		;
	if (i == BE_BATCH_DIRS) {
		rc = be_dir_remove_sync(be, batch);
		if (rc < 0)
			return rc;
		i = 0;
	}
	om_obj_path(id, path);
	rc = unlink_path(be, path);
	if (rc < 0)
		return rc;
	/* The object first: a side file alone is nothing, an object without its side file is a damaged one. */
	be_dir_side_path(id, path);
	rc = unlink_path(be, path);
	if (rc == 0 && i == batch->n)
		batch->dirs[batch->n++] = dir;
	return rc;
}

int be_dir_remove_sync(struct be *be, struct be_batch *batch)
{
	int rc = 0;

	for (unsigned i = 0; i < batch->n; i++) {
		char path[OM_OBJ_PATH_MAX];
		OM_AUTO_FD fd = open_id_dir(be, batch->dirs[i]);

		if (fd < 0 && errno == ENOENT) { /* the directory itself is gone: is that durable? */
			if (fsync(be->sync_fd) < 0)
				rc = be_dir_errno();
			continue;
		}
		if (fd < 0 || fsync(fd) < 0) {
			rc = be_dir_errno();
			continue;
		}
		om_obj_dir(batch->dirs[i] << OM_OBJ_DIR_SHIFT, path);
		if (batch->dirs[i] < be->dirs_done)
			(void)unlinkat(be->objects_fd, path, AT_REMOVEDIR); /* only if it is empty */
	}
	batch->n = 0;
	return rc;
}
