/*
 * sup_tier_bound.c: whose room a tier's filesystem is, and what that takes beyond the tier's objects. No state of its own.
 *
 * A tier has a hard bound where nothing else takes its room: the tier's directory is a whole filesystem, or all that lies on one, or has
 * a quota of its own (by project: statvfs() then shows the quota as the filesystem's size, on ext4 and XFS alike). What looks like a
 * mount and shares its room with others is none: a directory that is bind-mounted, a subvolume.
 */
#include <dirent.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "supervisor/sup_engine_int.h"

#define UP_MAX 64u /* directories between a mount and the tier */

/* Nothing lies in the directory but `child`, and what mkfs puts there. One that cannot be read may hold anything. */
static bool only_child(int dirfd, const struct stat *child)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	bool only = true;

	if (!dir) {
		om_close(&fd);
		return false;
	}
	for (struct dirent *d; only && (d = readdir(dir));) {
		struct stat st;
		if (strcmp(d->d_name, ".") && strcmp(d->d_name, "..") && strcmp(d->d_name, "lost+found"))
			only = fstatat(dirfd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == child->st_dev && st.st_ino == child->st_ino;
	}
	(void)closedir(dir);
	return only;
}

/* Is it the root of a mount that shows a whole filesystem? */
static bool whole_mount(int fd)
{
	OM_AUTO_FREE char *line = NULL;
	struct statx sx;
	size_t cap = 0;
	bool whole = false;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &sx) < 0 || !(sx.stx_mask & STATX_MNT_ID) || !(sx.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return false;
	FILE *f = fopen("/proc/self/mountinfo", "re");
	while (f && !whole && getline(&line, &cap, f) > 0) { /* mount's id, parent's, device, what of the filesystem is its root */
		unsigned long long id;
		int at = 0;
		whole = sscanf(line, "%llu %*u %*s %n", &id, &at) == 1 && at > 0 && id == sx.stx_mnt_id && !strncmp(line + at, "/ ", 2);
	}
	if (f)
		(void)fclose(f);
	return whole;
}

bool sup_tier_alone(const struct sup_tier *t)
{
	struct stat st, up;
	struct statvfs ours, all;
	bool alone = true;
	OM_AUTO_FD at = openat(t->rootfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (t->conf->type == OM_TIER_NETWORK || at < 0 || fstat(at, &st) < 0 || fstatvfs(at, &ours) < 0)
		return false;
	for (unsigned i = 0; i < UP_MAX; i++) {
		OM_AUTO_FD above = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (above < 0 || fstat(above, &up) < 0)
			return false; /* nothing can be said of what lies there */
		if (up.st_dev != st.st_dev || up.st_ino == st.st_ino)
			break;
		alone = alone && only_child(above, &st);
		st = up;
		om_close(&at);
		at = om_take_fd(&above);
	}
	if (fstatvfs(at, &all) == 0 && (uint64_t)ours.f_blocks * ours.f_frsize < (uint64_t)all.f_blocks * all.f_frsize)
		return true; /* a quota */
	return alone && whole_mount(at);
}

static uint64_t fs_taken(const struct sup_tier *t)
{
	struct statvfs vfs;

	return fstatvfs(t->rootfd, &vfs) < 0 ? 0 : (uint64_t)(vfs.f_blocks - vfs.f_bfree) * vfs.f_frsize;
}

void sup_tier_base(struct sup_tier *t)
{
	uint64_t ours = atomic_load(&t->used_bytes) + 2048 * atomic_load(&t->objects) + atomic_load(&t->cat_bytes), all = fs_taken(t);

	atomic_store(&t->own_fs, sup_tier_alone(t));
	t->base_bytes = all > ours ? all - ours : 0;
}

uint64_t sup_tier_unaccounted(const struct sup_tier *t, uint64_t used)
{
	uint64_t known = used + t->base_bytes, all;

	if (!atomic_load(&t->own_fs) || t->rootfd < 0)
		return UINT64_MAX;
	all = fs_taken(t);
	return all > known ? all - known : 0;
}
