/*
 * objm_copy.c: the source of a put, and copying it into the object's file.
 *
 * Runs in clients, for objm_put.c. A file is copied by the kernel where that works (a reflink or copy_file_range inside
 * one filesystem, sendfile between two) and by reading and writing where it does not; the last also finds out, after a
 * failure of the others, which side it was.
 */
#include "client/objm_copy.h"

#include <sys/sendfile.h>
#include <sys/stat.h>

#define KERNEL_STEP (16u << 20) /* bytes a system call: how often progress can be told */
#define BUFFER (256u << 10)

void objm_src_mem(struct objm_src *src, const void *data, size_t len)
{
	*src = (struct objm_src){.data = data, .len = len, .fd = -1, .seekable = true, .size = len};
}

void objm_src_fini(struct objm_src *src)
{
	free(src->ahead);
	src->ahead = NULL;
}

static int source_failed(objm_t *s)
{
	int err = errno;

	(void)objm_fail(s, -OBJM_STATUS_SYSTEM, "put: reading the source: %s", strerror(err));
	errno = err;
	return -OBJM_STATUS_SYSTEM;
}

static int target_failed(objm_t *s)
{
	int status;

	switch (errno) {
	case ENOSPC:
	case EDQUOT:
		status = -OBJM_STATUS_NO_SPACE;
		break;
	case EFBIG:
		status = -OBJM_STATUS_TOO_LARGE;
		break;
	default:
		status = -OBJM_STATUS_STORAGE;
	}
	return objm_fail(s, status, "put: writing the object's file: %s", strerror(errno));
}

/* Read some bytes: 0 at the end, -1 on an error. `off` counts for seekable sources. */
static ssize_t src_read(const struct objm_src *src, void *buf, size_t len, off_t off)
{
	ssize_t n;

	do {
		n = src->seekable ? pread(src->fd, buf, len, off) : read(src->fd, buf, len);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* Read the beginning: all of it if it is short. */
static int read_ahead(objm_t *s, struct objm_src *src)
{
	size_t cap = OBJM_INLINE_MAX + 1u;
	ssize_t n = 1;

	src->ahead = malloc(cap);
	if (!src->ahead)
		return objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "put: out of memory");
	src->data = src->ahead;
	while (src->len < cap && n > 0) {
		n = src_read(src, src->ahead + src->len, cap - src->len, src->start + (off_t)src->len);
		if (n < 0)
			return source_failed(s);
		src->len += (size_t)n;
	}
	if (n == 0) { /* that was all: the descriptor is needed no more, and the put can be repeated */
		src->fd = -1;
		src->size = src->len;
		src->seekable = true;
	}
	return 0;
}

int objm_src_fd(objm_t *s, struct objm_src *src, int fd)
{
	struct stat st;

	*src = (struct objm_src){.fd = fd};
	if (fstat(fd, &st) < 0)
		return source_failed(s);
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return source_failed(s);
	}
	src->start = lseek(fd, 0, SEEK_CUR);
	src->seekable = src->start >= 0;
	if (!src->seekable)
		src->start = 0;
	if (S_ISREG(st.st_mode) && src->seekable && st.st_size > src->start)
		src->size = (uint64_t)(st.st_size - src->start);
	/* A size of 0 may be that of a file in /proc, which has bytes all the same. */
	return src->size > OBJM_INLINE_MAX ? 0 : read_ahead(s, src);
}

static void tell(const struct objm_src *src, uint64_t done)
{
	if (src->progress)
		src->progress(src->progress_arg, done, OM_MAX(src->size, done));
}

static int write_all(objm_t *s, int fd, const uint8_t *p, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EIO;
			return target_failed(s);
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int copy_memory(objm_t *s, struct objm_src *src, int fd, uint64_t *done)
{
	size_t step;
	int r;

	while (*done < src->len) {
		step = OM_MIN(src->len - (size_t)*done, (size_t)KERNEL_STEP);
		r = write_all(s, fd, src->data + *done, step);
		if (r < 0)
			return r;
		*done += step;
		tell(src, *done);
	}
	return 0;
}

/* As far as the kernel does it alone; errors and ends are left to copy_read() to find out about. */
static void copy_kernel(const struct objm_src *src, int fd, uint64_t *done)
{
	off_t off = src->start + (off_t)*done;
	ssize_t n;

	while ((n = copy_file_range(src->fd, &off, fd, NULL, KERNEL_STEP, 0)) > 0) {
		*done += (uint64_t)n;
		tell(src, *done);
	}
	while ((n = sendfile(fd, src->fd, &off, KERNEL_STEP)) > 0) {
		*done += (uint64_t)n;
		tell(src, *done);
	}
}

static int copy_read(objm_t *s, struct objm_src *src, int fd, uint64_t *done)
{
	OM_AUTO_FREE uint8_t *buf = malloc(BUFFER);
	ssize_t n;
	int r;

	if (!buf)
		return objm_fail(s, -OBJM_STATUS_OUT_OF_MEMORY, "put: out of memory");
	while ((n = src_read(src, buf, BUFFER, src->start + (off_t)*done)) > 0) {
		if (!src->seekable)
			src->consumed = true;
		r = write_all(s, fd, buf, (size_t)n);
		if (r < 0)
			return r;
		*done += (uint64_t)n;
		tell(src, *done);
	}
	return n < 0 ? source_failed(s) : 0;
}

int objm_src_copy(objm_t *s, struct objm_src *src, int fd)
{
	uint64_t done = 0;
	int r;

	r = copy_memory(s, src, fd, &done);
	if (r < 0 || src->fd < 0)
		return r;
	if (src->seekable)
		copy_kernel(src, fd, &done);
	return copy_read(s, src, fd, &done);
}
