/*
 * idx_line.c: one-line identity files (see the header). Runs in the supervisor.
 *
 * Reading builds the only line that the values found could have been written as and compares: nothing is half-parsed.
 */
#include "index/cat/idx_line.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <xxhash.h>

/* Length of the line with its newline, 0 if it does not fit. */
static size_t line_make(char *buf, size_t cap, const char *head, const char *const *names, const uint8_t *const *values, size_t n)
{
	int at = snprintf(buf, cap, "%s", head);

	for (size_t i = 0; i < n && at >= 0 && (size_t)at < cap; i++) {
		at += snprintf(buf + at, cap - (size_t)at, " %s=", names[i]);
		for (size_t b = 0; b < IDX_LINE_VALUE_BYTES && (size_t)at < cap; b++)
			at += snprintf(buf + at, cap - (size_t)at, "%02x", values[i][b]);
	}
	if (at < 0 || (size_t)at >= cap)
		return 0;
	at += snprintf(buf + at, cap - (size_t)at, " sum=%016" PRIx64 "\n", (uint64_t)XXH3_64bits(buf, (size_t)at));
	return (size_t)at < cap ? (size_t)at : 0;
}

static int line_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool line_value(const char *line, const char *name, uint8_t *ret_value)
{
	char tag[40];
	const char *p;

	(void)snprintf(tag, sizeof(tag), " %s=", name);
	p = strstr(line, tag);
	if (!p || strlen(p) < strlen(tag) + 2 * IDX_LINE_VALUE_BYTES)
		return false;
	p += strlen(tag);
	for (size_t i = 0; i < IDX_LINE_VALUE_BYTES; i++) {
		int hi = line_hex(p[2 * i]), lo = line_hex(p[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return false;
		ret_value[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

int idx_line_read(int dirfd, const char *file, const char *head, const char *const *names, uint8_t *const *ret_values, size_t n)
{
	OM_AUTO_FD fd = openat(dirfd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint8_t found[4][IDX_LINE_VALUE_BYTES];
	const uint8_t *values[4] = { found[0], found[1], found[2], found[3] };
	char line[IDX_LINE_MAX] = "", want[IDX_LINE_MAX];
	struct stat st;
	ssize_t len;

	OM_ASSERT(n <= OM_ARRAY_SIZE(found));
	if (fd < 0)
		return errno == ELOOP ? -OBJM_STATUS_CORRUPT : -om_status_errno(errno);
	if (fstat(fd, &st) < 0)
		return -om_status_errno(errno);
	if (!S_ISREG(st.st_mode))
		return -OBJM_STATUS_CORRUPT;
	len = read(fd, line, sizeof(line) - 1);
	if (len < 0)
		return -om_status_errno(errno);
	for (size_t i = 0; i < n; i++)
		if (!line_value(line, names[i], found[i]))
			return -OBJM_STATUS_CORRUPT;
	if (line_make(want, sizeof(want), head, names, values, n) != (size_t)len || memcmp(line, want, (size_t)len) != 0)
		return -OBJM_STATUS_CORRUPT;
	for (size_t i = 0; i < n; i++)
		memcpy(ret_values[i], found[i], IDX_LINE_VALUE_BYTES);
	return 0;
}

/* The line in a synced temporary file. */
static int line_put(int dirfd, const char *tmp, const char *line, size_t len)
{
	OM_AUTO_FD fd = -1;

	(void)unlinkat(dirfd, tmp, 0); /* of an earlier try that crashed */
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -om_status_errno(errno);
	ssize_t w = write(fd, line, len);
	if (w >= 0 && (size_t)w != len)
		errno = ENOSPC; /* a short write to a regular file */
	if (w < 0 || (size_t)w != len || fsync(fd) < 0)
		return -om_status_errno(errno);
	return 0;
}

int idx_line_write(int dirfd, const char *file, const char *head, const char *const *names, const uint8_t *const *values,
		   size_t n, bool replace)
{
	char line[IDX_LINE_MAX], tmp[64];
	size_t len = line_make(line, sizeof(line), head, names, values, n);
	int rc, err = 0;

	OM_ASSERT(len > 0);
	(void)snprintf(tmp, sizeof(tmp), "%s.new", file);
	rc = line_put(dirfd, tmp, line, len);
	if (rc == 0 && (replace ? renameat(dirfd, tmp, dirfd, file) : linkat(dirfd, tmp, dirfd, file, 0)) < 0)
		rc = errno == EEXIST ? -OBJM_STATUS_PRECONDITION_FAILED : -om_status_errno(errno);
	if (rc == 0 && fsync(dirfd) < 0)
		rc = -om_status_errno(errno);
	err = errno;
	(void)unlinkat(dirfd, tmp, 0); /* renamed: already gone */
	errno = err;
	explicit_bzero(line, sizeof(line)); /* it may hold a secret */
	return rc;
}
