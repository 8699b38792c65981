/*
 * be_dir_lane.c: where the inodes of new files come from on ext4. Lanes are made by the supervisor (be_dir_prepare) and used by who
 * makes files: workers, on any thread, and the lifecycle process.
 *
 * ext4 takes a new file's inode from the first group of the file system that has a free one, beginning at that of the directory in
 * which the file is made, and there passes over those whose file was deleted within the last minute, one after the other, from the
 * first of the group on. All files made in one directory, and their like deleted again: after some 8,000 deletions in a minute each
 * new file costs 0.8 ms of a processor under a lock, twenty times all else that it takes. So a tier has several directories to make
 * files in, in groups far apart (directories below one with the flag TOPDIR are spread; which of them share a group is tried), and they
 * take turns, of a second where there are enough of them: when that of the first comes again, what was deleted there is no longer
 * recent. What was deleted in the same second is not passed over. So where turns are longer a file is best removed at once; where
 * they are not, when its lane's turn is over (be_removes_late(); the supervisor does it: sup_engine_reap.c).
 */
#include "backend/be_dir_int.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define LANES_MAX 128u /* more than the kernel's minute has seconds */
#define LANE_ROUND_S 64u /* after so long the first has its turn again: more than the kernel's minute */
#define LANE_BYTES (UINT64_C(2) << 30) /* of a file system for each: some groups of inodes */
#define LANE_INODES 2048u /* two files whose inodes are nearer were made in one place */
#define EXT4_MAGIC 0xef53
#define LANE_NAME_MAX 8

static void lane_name(uint32_t lane, char ret_name[static LANE_NAME_MAX])
{
	(void)snprintf(ret_name, LANE_NAME_MAX, "l%03u", lane % 1000);
}

static bool on_ext4(int fd, struct statfs *ret_fs) { return fstatfs(fd, ret_fs) == 0 && (uint32_t)ret_fs->f_type == EXT4_MAGIC; }

uint32_t be_dir_lane_want(int staging_fd)
{
	struct statfs fs;

	if (!on_ext4(staging_fd, &fs))
		return 0;
	uint64_t n = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize / LANE_BYTES;
	return n < 2 ? 0 : (uint32_t)OM_MIN(n, (uint64_t)LANES_MAX);
}

static int lane_tmpfile(int staging_fd, const char *name)
{
	return openat(staging_fd, name, O_TMPFILE | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* The inode that a new file in this lane gets; 0: not known. */
static uint64_t lane_inode(int staging_fd, uint32_t lane)
{
	char name[LANE_NAME_MAX];
	struct stat st;

	lane_name(lane, name);
	OM_AUTO_FD fd = lane_tmpfile(staging_fd, name);
	return fd >= 0 && fstat(fd, &st) == 0 ? st.st_ino : 0;
}

/* A lane in whose place another one's files are made, too, is none: directories in different groups of the file system may share one that
 * is filled first (ext4's flex_bg: 16 groups beside one another do). */
static bool lane_is_new(const uint64_t *inode, uint32_t lane)
{
	for (uint32_t i = 0; i < lane && inode[lane]; i++)
		if (inode[i] && inode[i] + LANE_INODES > inode[lane] && inode[lane] + LANE_INODES > inode[i])
			return false;
	return true;
}

void be_dir_lane_make(int staging_fd, uint32_t lanes)
{
	uint32_t have = be_dir_lane_count(staging_fd), tries = 2 * lanes;
	uint64_t inode[LANES_MAX] = { 0 };
	char name[LANE_NAME_MAX];
	struct statfs fs;
	int flags = 0;

	/* Half of them: there may be no more places. */
	if (lanes == 0 || have > lanes / 2)
		return;
	if (ioctl(staging_fd, FS_IOC_GETFLAGS, &flags) == 0) {
		flags |= FS_TOPDIR_FL;
		(void)ioctl(staging_fd, FS_IOC_SETFLAGS, &flags); /* without it the lanes lie side by side: no worse than none */
	}
	bool ext4 = on_ext4(staging_fd, &fs);
	for (uint32_t i = 0; i < have && ext4; i++)
		inode[i] = lane_inode(staging_fd, i);
	while (have < OM_MIN(lanes, LANES_MAX) && tries-- > 0) {
		lane_name(have, name);
		if (mkdirat(staging_fd, name, 0700) < 0 && errno != EEXIST)
			return;
		inode[have] = ext4 ? lane_inode(staging_fd, have) : 0;
		if (lane_is_new(inode, have) || unlinkat(staging_fd, name, AT_REMOVEDIR) < 0)
			have++;
	}
}

uint32_t be_dir_lane_count(int staging_fd)
{
	char name[LANE_NAME_MAX];
	struct stat st;
	uint32_t n = 0;

	for (; n < LANES_MAX; n++) {
		lane_name(n, name);
		if (fstatat(staging_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
			break;
	}
	return n;
}

/* A turn, in seconds: so long that all lanes have had theirs in LANE_ROUND_S. */
static uint32_t turn_s(uint32_t lanes) { return 1 + (LANE_ROUND_S - 1) / lanes; }

bool be_removes_late(int staging_fd)
{
	uint32_t lanes = be_dir_lane_count(staging_fd);

	return lanes > 0 && turn_s(lanes) == 1;
}

/* Turns change with the kernel's seconds: what is freed in the second in which a file is made can be its inode at once. */
static uint32_t lane_now(uint32_t lanes)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now); /* cannot fail */
	return (uint32_t)((uint64_t)now.tv_sec / turn_s(lanes) % lanes);
}

int be_dir_lane_tmpfile(const struct be *be)
{
	char name[LANE_NAME_MAX];
	int fd = -1;

	if (be->lanes) {
		lane_name(lane_now(be->lanes), name);
		fd = lane_tmpfile(be->staging_fd, name);
		if (fd >= 0 || errno != ENOENT)
			return fd;
	}
	return openat(be->staging_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}
