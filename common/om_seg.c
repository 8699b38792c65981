/*
 * om_seg.c: see om_seg.h. Runs in every process of the daemon; the supervisor creates, the others attach.
 */
#include "common/om_seg.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

static int seal(int fd, enum om_seg_kind kind)
{
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	if (kind == OM_SEG_FROZEN)
		seals |= F_SEAL_FUTURE_WRITE; /* the mapping made before stays writable, no later one can be */
	if (fchmod(fd, 0400) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0)
		return -OBJM_STATUS_SYSTEM;
	return 0;
}

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1; older headers lack it */
#endif
#define HUGE_BYTES ((size_t)2 << 20)

/* mmap, but a segment of several huge pages begins on the boundary of one: the kernel backs it with huge pages
 * (MADV_COLLAPSE) only where address and file offset agree. MAP_FAILED like mmap. */
static void *map(int fd, size_t bytes, int prot)
{
	char *room, *base;
	size_t head, page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
	void *p;

	if (bytes < 2 * HUGE_BYTES || bytes > SIZE_MAX - HUGE_BYTES)
		return mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);
	room = (char *)mmap(NULL, whole + HUGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (room == MAP_FAILED)
		return MAP_FAILED;
	head = (HUGE_BYTES - (uintptr_t)room % HUGE_BYTES) % HUGE_BYTES;
	base = room + head;
	p = mmap(base, bytes, prot, MAP_SHARED | MAP_FIXED, fd, 0);
	if (p == MAP_FAILED) {
		int saved = errno;
		(void)munmap(room, whole + HUGE_BYTES);
		errno = saved;
		return MAP_FAILED;
	}
	if (head > 0)
		(void)munmap(room, head);
	(void)munmap(base + whole, HUGE_BYTES - head); /* both lie within what was just mapped */
	return p;
}

static int reopen_readonly(int fd)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

int om_seg_create(const char *name, size_t bytes, enum om_seg_kind kind, struct om_seg *ret)
{
	struct om_seg seg = OM_SEG_INIT;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int err = -OBJM_STATUS_SYSTEM;

	seg.bytes = (bytes + page - 1) / page * page;
	seg.fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (seg.fd < 0 || ftruncate(seg.fd, (off_t)seg.bytes) < 0)
		goto fail;
	seg.base = map(seg.fd, seg.bytes, PROT_READ | PROT_WRITE);
	if (seg.base == MAP_FAILED) {
		seg.base = NULL;
		err = errno == ENOMEM ? -OBJM_STATUS_OUT_OF_MEMORY : -OBJM_STATUS_SYSTEM;
		goto fail;
	}
	seg.rofd = reopen_readonly(seg.fd);
	if (seg.rofd < 0)
		goto fail;
	err = seal(seg.fd, kind);
	if (err < 0)
		goto fail;
	*ret = seg;
	return 0;
fail:;
	int saved = errno;
	om_seg_close(&seg);
	errno = saved;
	return err;
}

int om_seg_attach(int fd, size_t min_bytes, bool writable, struct om_seg *ret)
{
	struct om_seg seg = OM_SEG_INIT;
	struct stat st;
	int mode = fcntl(fd, F_GETFL), seals = fcntl(fd, F_GET_SEALS);

	if (mode < 0 || seals < 0 || fstat(fd, &st) < 0)
		return errno == EINVAL ? -OBJM_STATUS_CORRUPT : -OBJM_STATUS_SYSTEM;
	if (!S_ISREG(st.st_mode) || !(seals & F_SEAL_SHRINK) || st.st_size < 0 || (uint64_t)st.st_size < min_bytes ||
	    (mode & O_ACCMODE) != (writable ? O_RDWR : O_RDONLY))
		return -OBJM_STATUS_CORRUPT;
	seg.bytes = (size_t)st.st_size;
	seg.base = map(fd, seg.bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ);
	if (seg.base == MAP_FAILED)
		return -OBJM_STATUS_SYSTEM;
	*(writable ? &seg.fd : &seg.rofd) = fd;
	*ret = seg;
	return 0;
}

bool om_seg_huge(void *base, size_t bytes, size_t *at, size_t max_bytes)
{
	uintptr_t begin = (uintptr_t)base, first = (begin + *at + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
	uintptr_t end = (begin + bytes) / HUGE_BYTES * HUGE_BYTES;

	if (first >= end)
		return false;
	size_t now = OM_MIN(OM_MAX(max_bytes / HUGE_BYTES * HUGE_BYTES, HUGE_BYTES), (size_t)(end - first));
	/* The kernel takes a range without a single page for a truncated one (EINVAL): one load makes a page in each. */
	for (uintptr_t p = first; p < first + now; p += HUGE_BYTES)
		(void)*(const volatile char *)p;
	if (madvise((void *)first, now, MADV_COLLAPSE) < 0 && errno != EAGAIN) {
		*at = bytes; /* not on this kernel, or no huge page to be had: small pages do */
		return false;
	}
	*at = first + now - begin;
	return first + now < end;
}

void om_seg_close(struct om_seg *seg)
{
	if (seg->base)
		(void)munmap(seg->base, seg->bytes); /* fails only for a range that is no mapping */
	om_close(&seg->fd);
	om_close(&seg->rofd);
	*seg = OM_SEG_INIT;
}
