/*
 * slow_disk.c: objm-slow-disk MOUNT IMAGE DELAY: a disk whose flush takes as long as one says, of which bench/compare makes a loop device.
 *
 * A FUSE filesystem with one file, MOUNT/disk, that has IMAGE's bytes (an open file of IMAGE's size, best on a tmpfs). What is written
 * goes to the kernel's cache and from there to IMAGE; a flush, which a loop device asks for as fsync, waits for as many microseconds as
 * DELAY says, a file with a number that is read at each flush. Nothing is made durable: what is measured is waiting. While it
 * flushes it does nothing else, as a disk without queued flushes (the kernel holds the file's lock, too).
 * Runs in the foreground until MOUNT is unmounted.
 */
#define FUSE_USE_VERSION 34
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME "disk"
#define INO_DISK 2
#define KEPT_S 86400.0 /* nothing of names and attributes changes */
#define WRITE_MAX (1u << 20)
#define DELAY_MAX_US 1000000ul

static int image, delay;
static uint64_t image_size;

static bool attributes(fuse_ino_t ino, struct stat *ret)
{
	*ret = (struct stat){.st_ino = ino, .st_nlink = 1, .st_blksize = 4096};
	if (ino == FUSE_ROOT_ID)
		ret->st_mode = S_IFDIR | 0700;
	else
		ret->st_mode = S_IFREG | 0600;
	ret->st_size = ino == INO_DISK ? (off_t)image_size : 0;
	return ino == FUSE_ROOT_ID || ino == INO_DISK;
}

static void do_init(void *arg, struct fuse_conn_info *conn)
{
	(void)arg;
	conn->want |= conn->capable & FUSE_CAP_WRITEBACK_CACHE;
	conn->max_write = WRITE_MAX;
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = {.ino = INO_DISK, .attr_timeout = KEPT_S, .entry_timeout = KEPT_S};

	if (parent != FUSE_ROOT_ID || strcmp(name, NAME) != 0 || !attributes(INO_DISK, &e.attr))
		(void)fuse_reply_err(req, ENOENT);
	else
		(void)fuse_reply_entry(req, &e);
}

static void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	if (attributes(ino, &st))
		(void)fuse_reply_attr(req, &st, KEPT_S);
	else
		(void)fuse_reply_err(req, ENOENT);
}

/* The kernel tells when something was written last. Nobody wants to know. */
static void do_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	(void)attr;
	if (to_set & FUSE_SET_ATTR_SIZE)
		(void)fuse_reply_err(req, EPERM);
	else
		do_getattr(req, ino, fi);
}

static void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->keep_cache = 1;
	if (ino == INO_DISK)
		(void)fuse_reply_open(req, fi);
	else
		(void)fuse_reply_err(req, EISDIR);
}

static void do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fuse_bufvec v = FUSE_BUFVEC_INIT(size);

	(void)ino;
	(void)fi;
	v.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	v.buf[0].fd = image;
	v.buf[0].pos = off;
	(void)fuse_reply_data(req, &v, 0);
}

static void do_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	ssize_t n = pwrite(image, buf, size, off);

	(void)ino;
	(void)fi;
	if (n < 0)
		(void)fuse_reply_err(req, errno);
	else
		(void)fuse_reply_write(req, (size_t)n);
}

static void do_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	char text[16] = "";
	struct timespec ts;
	unsigned long us;

	(void)ino;
	(void)datasync;
	(void)fi;
	if (pread(delay, text, sizeof(text) - 1, 0) < 0) {
		(void)fuse_reply_err(req, errno);
		return;
	}
	us = strtoul(text, NULL, 10);
	us = us < DELAY_MAX_US ? us : DELAY_MAX_US;
	ts = (struct timespec){.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000 * 1000)};
	while (us && nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
	(void)fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops OPS = {
	.init = do_init,
	.lookup = do_lookup,
	.getattr = do_getattr,
	.setattr = do_setattr,
	.open = do_open,
	.read = do_read,
	.write = do_write,
	.fsync = do_fsync,
};

static int serve(char *self, const char *mount)
{
	char *argv[] = {self, (char[]){"-ofsname=objm-slow-disk,nodev,nosuid"}, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);
	struct fuse_session *se = fuse_session_new(&args, &OPS, sizeof(OPS), NULL);
	int r = -1;

	if (se && fuse_set_signal_handlers(se) == 0) {
		if (fuse_session_mount(se, mount) == 0) {
			r = fuse_session_loop(se); /* one thread: one thing after the other */
			fuse_session_unmount(se);
		}
		fuse_remove_signal_handlers(se);
	}
	if (se)
		fuse_session_destroy(se);
	fuse_opt_free_args(&args);
	return r;
}

int main(int argc, char **argv)
{
	struct stat st;

	if (argc != 4) {
		fputs("usage: objm-slow-disk MOUNT IMAGE DELAY\n", stderr);
		return 2;
	}
	image = open(argv[2], O_RDWR | O_CLOEXEC);
	if (image < 0 || fstat(image, &st) < 0) {
		fprintf(stderr, "objm-slow-disk: %s: %s\n", argv[2], strerror(errno));
		return 1;
	}
	image_size = (uint64_t)st.st_size;
	delay = open(argv[3], O_RDONLY | O_CLOEXEC);
	if (delay < 0) {
		fprintf(stderr, "objm-slow-disk: %s: %s\n", argv[3], strerror(errno));
		return 1;
	}
	return serve(argv[0], argv[1]) < 0 ? 1 : 0; /* libfuse has said why */
}
