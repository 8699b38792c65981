/*
 * be_perf.c: how slow a tier's storage is beside memory, measured once, at start. Supervisor; called through be.h.
 */
#include "backend/be_dir_int.h"

#include <fcntl.h>
#include <sys/mman.h>

#define PIECE ((size_t)65536)
#define PIECES 16u
#define READS 8u /* enough for a median, and 0.1 s on a disk that turns */

/* Median time of a read of a piece, in an order that no read-ahead guesses; nanoseconds, 0: it could not be read. */
static uint64_t median_ns(int fd, void *buf)
{
	uint64_t ns[READS] = { 0 };

	for (unsigned i = 0; i < READS; i++) {
		off_t at = (off_t)((i * 7 + 3) % PIECES * PIECE);
		uint64_t began = om_now_ns();
		if (pread(fd, buf, PIECE, at) != (ssize_t)PIECE)
			return 0;
		uint64_t took = om_now_ns() - began;
		unsigned k = i;
		for (; k > 0 && ns[k - 1] > took; k--)
			ns[k] = ns[k - 1];
		ns[k] = took;
	}
	return ns[READS / 2];
}

static bool fill(int fd, const void *buf)
{
	for (unsigned i = 0; i < PIECES; i++)
		if (be_dir_write(fd, buf, PIECE) < 0)
			return false;
	return true;
}

int be_measure(int root_fd, double *ret_factor)
{
	OM_AUTO_FREE void *buf = aligned_alloc(4096, PIECE);
	OM_AUTO_FD mem = memfd_create("objm-measure", MFD_CLOEXEC), rw = openat(root_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[BE_DIR_PROC_MAX];

	if (!buf || mem < 0)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	if (rw < 0)
		return be_dir_errno();
	memset(buf, 0x5a, PIECE);
	if (!fill(mem, buf) || !fill(rw, buf) || fdatasync(rw) < 0)
		return be_dir_errno();
	be_dir_proc_path(rw, path);
	OM_AUTO_FD fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0) { /* no way past the page cache but to empty it */
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return be_dir_errno();
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	}
	uint64_t memory = median_ns(mem, buf), disk = median_ns(fd, buf);
	if (memory == 0 || disk == 0)
		return -OBJM_STATUS_STORAGE;
	*ret_factor = OM_MIN(OM_MAX((double)disk / (double)memory, 1.0), 1000000.0);
	return 0;
}
