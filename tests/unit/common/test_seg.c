/*
 * test_seg.c: om_seg: what the holder of a read-only descriptor can not do, what a holder of the writable one of a frozen
 * segment can not do, and what om_seg_attach() refuses. Attacks are made from this process and uid: the seals hold there.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/om_seg.h"

static int reopen(int fd, int flags)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

static bool maps_writable(int fd, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return false;
	(void)munmap(p, bytes);
	return true;
}

static void test_frozen(void **state)
{
	struct om_seg seg;
	(void)state;

	assert_int_equal(om_seg_create("test", 5000, OM_SEG_FROZEN, &seg), 0);
	assert_int_equal(seg.bytes % 4096, 0);
	*(volatile char *)seg.base = 'x'; /* the first mapping writes */
	const int fds[] = { seg.rofd, seg.fd, reopen(seg.rofd, O_RDWR), reopen(seg.fd, O_RDWR) };
	for (unsigned i = 0; i < OM_ARRAY_SIZE(fds); i++) {
		if (fds[i] < 0)
			continue; /* refused at once: an unprivileged uid */
		assert_false(maps_writable(fds[i], seg.bytes));
		assert_int_equal(pwrite(fds[i], "y", 1, 0), -1);
		assert_int_equal(ftruncate(fds[i], 0), -1);
		assert_int_equal(ftruncate(fds[i], 1 << 20), -1);
		assert_int_equal(fcntl(fds[i], F_ADD_SEALS, F_SEAL_WRITE), -1); /* nobody seals our own writes away */
	}
	void *ro = mmap(NULL, seg.bytes, PROT_READ, MAP_SHARED, seg.rofd, 0);
	assert_ptr_not_equal(ro, MAP_FAILED);
	assert_int_equal(mprotect(ro, seg.bytes, PROT_READ | PROT_WRITE), -1);
	assert_int_equal(*(volatile char *)ro, 'x');
	(void)munmap(ro, seg.bytes);
	if (fds[2] >= 0)
		(void)close(fds[2]);
	if (fds[3] >= 0)
		(void)close(fds[3]);
	om_seg_close(&seg);
	om_seg_close(&seg); /* twice is fine */
}

static void test_shared(void **state)
{
	struct om_seg seg, rd, wr;
	struct stat st;
	(void)state;

	assert_int_equal(om_seg_create("test", 4096, OM_SEG_SHARED, &seg), 0);
	assert_int_equal(fstat(seg.fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(ftruncate(seg.fd, 0), -1);
	assert_int_equal(fcntl(seg.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(om_seg_attach(dup(seg.rofd), 4096, false, &rd), 0);
	assert_int_equal(om_seg_attach(dup(seg.fd), 4096, true, &wr), 0);
	*(volatile char *)wr.base = 'w';
	assert_int_equal(*(volatile char *)rd.base, 'w');
	assert_false(maps_writable(seg.rofd, 4096));
	om_seg_close(&rd);
	om_seg_close(&wr);
	om_seg_close(&seg);
}

static void test_attach_refuses(void **state)
{
	struct om_seg seg, got = OM_SEG_INIT;
	char name[] = "/tmp/om-test-seg-XXXXXX";
	int plain = memfd_create("plain", MFD_CLOEXEC | MFD_ALLOW_SEALING), file = mkstemp(name), pipefd[2];
	(void)state;

	assert_true(plain >= 0 && file >= 0 && pipe(pipefd) == 0);
	assert_int_equal(ftruncate(plain, 8192) | ftruncate(file, 8192), 0);
	assert_int_equal(om_seg_create("test", 4096, OM_SEG_SHARED, &seg), 0);
	assert_int_equal(om_seg_attach(plain, 4096, true, &got), -OBJM_STATUS_CORRUPT); /* could be cut under us */
	assert_int_equal(om_seg_attach(file, 4096, true, &got), -OBJM_STATUS_CORRUPT);
	assert_true(om_seg_attach(pipefd[0], 1, false, &got) < 0);
	assert_true(om_seg_attach(-1, 1, false, &got) < 0);
	assert_int_equal(om_seg_attach(seg.rofd, 8192, false, &got), -OBJM_STATUS_CORRUPT); /* too short */
	assert_int_equal(om_seg_attach(seg.rofd, 4096, true, &got), -OBJM_STATUS_CORRUPT);
	assert_int_equal(om_seg_attach(seg.fd, 4096, false, &got), -OBJM_STATUS_CORRUPT); /* a reader must not be able to write */
	assert_null(got.base);
	assert_int_equal(got.fd, -1);
	(void)close(plain);
	(void)close(file);
	(void)close(pipefd[0]);
	(void)close(pipefd[1]);
	(void)unlink(name);
	om_seg_close(&seg);
}

static void test_large_is_aligned(void **state)
{
	struct om_seg seg, rd;
	(void)state;

	assert_int_equal(om_seg_create("test", ((size_t)8 << 20) + 4096, OM_SEG_FROZEN, &seg), 0);
	assert_int_equal((uintptr_t)seg.base % ((size_t)2 << 20), 0);
	((volatile char *)seg.base)[seg.bytes - 1] = 'e';
	assert_int_equal(om_seg_attach(dup(seg.rofd), 1, false, &rd), 0);
	assert_int_equal(((volatile char *)rd.base)[rd.bytes - 1], 'e');
	om_seg_close(&rd);
	om_seg_close(&seg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frozen),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_attach_refuses),
		cmocka_unit_test(test_large_is_aligned),
	};
	return cmocka_run_group_tests_name("common/seg", tests, NULL, NULL);
}
