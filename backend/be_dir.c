/*
 * be_dir.c: the driver of tmpfs and directory tiers: the tier itself, what staging/ still holds.
 * Runs in workers and the lifecycle process; called through be.h.
 */
#include "backend/be_dir_int.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define GIVEN_UP_S 10
#define FROZEN_S 120

static int dir_open(const struct be *be, uint64_t id, int *ret_fd) { return be_dir_open(be->objects_fd, id, ret_fd); }

static int dir_usage(const struct be *be, struct be_usage *ret)
{
	struct statvfs v;

	if (fstatvfs(be->objects_fd, &v) < 0)
		return be_dir_errno();
	ret->total_bytes = (uint64_t)v.f_blocks * v.f_frsize;
	/* No inode is no room; a filesystem that makes them as it needs them says 0 of 0. */
	ret->avail_bytes = v.f_files && !v.f_favail ? 0 : (uint64_t)v.f_bavail * v.f_frsize;
	return 0;
}

static const struct be_ops dir_ops = {
	.name = "dir",
	.here = true,
	.open = dir_open,
	.begin = be_dir_begin,
	.begin_own = be_dir_begin_own,
	.copy = be_dir_copy,
	.quiet = be_dir_quiet,
	.freeze = be_dir_freeze,
	.link = be_dir_link,
	.sync = be_dir_sync,
	.cut = be_dir_cut,
	.remove = be_dir_remove,
	.remove_sync = be_dir_remove_sync,
	.scan = be_dir_scan,
	.usage = dir_usage,
	.attr = be_dir_attr,
	.attr_sync = be_dir_attr_sync,
	.describe = be_dir_describe,
	.describe_fd = be_dir_describe_fd,
	.clone = be_dir_clone,
};

int be_dir_init(struct be *be, int objects_fd, int staging_fd, uint32_t caps, uint32_t who)
{
	int fd = openat(objects_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -OBJM_STATUS_SYSTEM;
	*be = (struct be){
		.ops = &dir_ops, .caps = caps, .who = who, .objects_fd = objects_fd, .staging_fd = staging_fd, .sync_fd = fd,
		.lanes = caps & OM_TIERC_TMPFILE ? be_dir_lane_count(staging_fd) : 0,
	};
	for (unsigned i = 0; i < BE_DIRS_KNOWN; i++)
		be->dirs_known[i] = UINT64_MAX;
	return 0;
}

void be_fini(struct be *be)
{
	if (be->ops)
		om_close(&be->sync_fd);
	be->ops = NULL;
}

static int prepare(int root_fd, const char *name)
{
	if (mkdirat(root_fd, name, 0700) < 0 && errno != EEXIST)
		return -1;
	return openat(root_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int be_dir_prepare(int root_fd, int *ret_objects_fd, int *ret_staging_fd)
{
	OM_AUTO_FD objects = prepare(root_fd, "objects");
	OM_AUTO_FD staging = objects < 0 ? -1 : prepare(root_fd, "staging");

	if (objects < 0 || staging < 0)
		return -OBJM_STATUS_SYSTEM;
	be_dir_lane_make(staging, be_dir_lane_want(staging));
	*ret_objects_fd = om_take_fd(&objects);
	*ret_staging_fd = om_take_fd(&staging);
	return 0;
}

/* ---- staging/ ---- */

/* When the name was given (make_temp() in be_dir_file.c), seconds since 1970; 0: it is no such name. */
static uint64_t staging_time(const char *name)
{
	unsigned long long at;
	unsigned who;

	return sscanf(name, "w%x-%llx-", &who, &at) == 2 ? at : 0;
}

/*
 * True if the name `name` in staging/ is of no use to anybody: its file has its real name too; or no process has it open (a
 * write lease is granted only to who is alone); or, where leases do not work, it was given up (be_drop) or frozen so long ago
 * that it never gets its real name.
 */
static bool staging_unused(int staging_fd, const char *name)
{
	struct stat st;
	OM_AUTO_FD fd = openat(staging_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	if (st.st_nlink > 1)
		return true;
	if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0) {
		(void)fcntl(fd, F_SETLEASE, F_UNLCK); /* goes with the descriptor anyway */
		return true;
	}
	return errno != EAGAIN && (st.st_mode & 0777) == 0400 &&
	       time(NULL) - st.st_ctime > (st.st_size == 0 ? GIVEN_UP_S : FROZEN_S);
}

unsigned be_dir_sweep_staging(const struct be *be, uint64_t before_s)
{
	int fd = openat(be->staging_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	unsigned n = 0;

	if (!dir) {
		om_close(&fd);
		return 0;
	}
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if ((staging_time(e->d_name) < before_s || staging_unused(be->staging_fd, e->d_name)) && unlinkat(be->staging_fd, e->d_name, 0) == 0)
			n++;
	}
	(void)closedir(dir);
	return n;
}
