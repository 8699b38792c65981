/*
 * plainfs.c: a FUSE filesystem that shows a directory and lacks what a poor filesystem lacks: nameless files, user attributes,
 * fallocate. For the scenario tests of such tiers: plainfs DIRECTORY MOUNTPOINT; stays in the foreground. Root only.
 */
#define FUSE_USE_VERSION 31
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int base; /* the directory shown */

static const char *rel(const char *path) { return path[1] ? path + 1 : "."; }
static int ret(int rc) { return rc < 0 ? -errno : 0; }

static void *p_init(struct fuse_conn_info *conn, struct fuse_config *cfg)
{
	(void)conn;
	cfg->use_ino = 1;
	cfg->hard_remove = 1;
	cfg->nullpath_ok = 1;
	return NULL;
}

static int p_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	return ret(fi ? fstat((int)fi->fh, st) : fstatat(base, rel(path), st, AT_SYMLINK_NOFOLLOW));
}

static int owned(const char *path)
{
	const struct fuse_context *c = fuse_get_context();

	return ret(fchownat(base, rel(path), c->uid, c->gid, AT_SYMLINK_NOFOLLOW));
}

static int p_mkdir(const char *path, mode_t mode)
{
	return mkdirat(base, rel(path), mode) < 0 ? -errno : owned(path);
}
static int p_unlink(const char *path) { return ret(unlinkat(base, rel(path), 0)); }
static int p_rmdir(const char *path) { return ret(unlinkat(base, rel(path), AT_REMOVEDIR)); }
static int p_link(const char *from, const char *to) { return ret(linkat(base, rel(from), base, rel(to), 0)); }

static int p_rename(const char *from, const char *to, unsigned flags)
{
	return flags ? -EINVAL : ret(renameat(base, rel(from), base, rel(to)));
}

static int p_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	return ret(fi ? fchmod((int)fi->fh, mode) : fchmodat(base, rel(path), mode, 0));
}

static int p_chown(const char *path, uid_t uid, gid_t gid, struct fuse_file_info *fi)
{
	return ret(fi ? fchown((int)fi->fh, uid, gid) : fchownat(base, rel(path), uid, gid, AT_SYMLINK_NOFOLLOW));
}

static int p_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	if (fi)
		return ret(ftruncate((int)fi->fh, size));
	int fd = openat(base, rel(path), O_WRONLY | O_CLOEXEC), rc;
	if (fd < 0)
		return -errno;
	rc = ret(ftruncate(fd, size));
	(void)close(fd);
	return rc;
}

static int p_open(const char *path, struct fuse_file_info *fi)
{
	int fd = openat(base, rel(path), (fi->flags & (O_ACCMODE | O_TRUNC)) | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	return 0;
}

static int p_opendir(const char *path, struct fuse_file_info *fi)
{
	int fd = openat(base, rel(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	return 0;
}

static int p_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
	int fd = openat(base, rel(path), (fi->flags & (O_ACCMODE | O_EXCL)) | O_CREAT | O_CLOEXEC, mode);

	if (fd < 0)
		return -errno;
	fi->fh = (uint64_t)fd;
	return owned(path);
}

static int p_read(const char *path, char *buf, size_t n, off_t off, struct fuse_file_info *fi)
{
	ssize_t r = pread((int)fi->fh, buf, n, off);

	(void)path;
	return r < 0 ? -errno : (int)r;
}

static int p_write(const char *path, const char *buf, size_t n, off_t off, struct fuse_file_info *fi)
{
	ssize_t r = pwrite((int)fi->fh, buf, n, off);

	(void)path;
	return r < 0 ? -errno : (int)r;
}

static int p_statfs(const char *path, struct statvfs *st)
{
	if (fstatvfs(base, st) < 0)
		return -errno;
	if (getenv("PLAINFS_QUOTA") && path[1]) /* what a project's quota looks like */
		st->f_bfree = st->f_bavail = st->f_blocks = strtoull(getenv("PLAINFS_QUOTA"), NULL, 10) / st->f_frsize;
	return 0;
}

static int p_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	return ret(close((int)fi->fh));
}

static int p_fsync(const char *path, int data, struct fuse_file_info *fi)
{
	(void)path;
	return ret(data ? fdatasync((int)fi->fh) : fsync((int)fi->fh));
}

static int p_fsyncdir(const char *path, int data, struct fuse_file_info *fi)
{
	(void)path;
	(void)data;
	(void)fi;
	return 0;
}

static int p_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t off, struct fuse_file_info *fi,
		     enum fuse_readdir_flags flags)
{
	int fd = openat((int)fi->fh, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	(void)path;
	(void)off;
	(void)flags;
	if (!d)
		return -errno;
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (fill(buf, e->d_name, NULL, 0, 0))
			break;
	(void)closedir(d);
	return 0;
}

static const struct fuse_operations ops = {
	.init = p_init,	      .getattr = p_getattr, .mkdir = p_mkdir, .unlink = p_unlink, .rmdir = p_rmdir, .link = p_link,
	.rename = p_rename,   .chmod = p_chmod,	    .chown = p_chown, .truncate = p_truncate, .open = p_open, .create = p_create, .read = p_read,
	.write = p_write,     .statfs = p_statfs,   .release = p_release, .fsync = p_fsync, .fsyncdir = p_fsyncdir,
	.opendir = p_opendir, .releasedir = p_release, .readdir = p_readdir,
};

int main(int argc, char **argv)
{
	char foreground[] = "-f", one_thread[] = "-s", o[] = "-o", options[] = "allow_other,default_permissions";
	char *fuse_argv[] = { argv[0], NULL, foreground, one_thread, o, options, NULL };

	if (argc != 3 || (base = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		(void)fprintf(stderr, "usage: plainfs DIRECTORY MOUNTPOINT\n");
		return 2;
	}
	(void)umask(0);
	fuse_argv[1] = argv[2];
	return fuse_main(6, fuse_argv, &ops, NULL);
}
