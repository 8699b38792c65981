/*
 * om_fs.c: see om_fs.h. In the supervisor, when a tier is opened and for objmctl doctor.
 */
#include "common/om_fs.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#define CIFS_MAGIC 0xff534d42u
#define SMB2_MAGIC 0xfe534d42u

/* Of the path, or of the nearest parent that exists. */
static bool fs_of(const char *path, struct statfs *ret)
{
	char dir[4400];

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
		return false;
	for (;;) {
		if (statfs(dir, ret) == 0)
			return true;
		char *slash = strrchr(dir, '/');
		if (errno != ENOENT || !slash || slash == dir)
			return false;
		*slash = '\0';
	}
}

const char *om_fs_remote(const char *path)
{
	struct statfs fs;

	if (!fs_of(path, &fs))
		return NULL;
	switch ((uint32_t)fs.f_type) {
	case NFS_SUPER_MAGIC:
		return "NFS";
	case CIFS_MAGIC:
		return "CIFS";
	case SMB2_MAGIC:
	case SMB_SUPER_MAGIC:
		return "SMB";
	case FUSE_SUPER_MAGIC:
		return "FUSE";
	default:
		return NULL;
	}
}
