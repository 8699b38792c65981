/*
 * test_index_seal.c: a process that holds only the read-only descriptor of the index tries everything to write it: as the
 * same uid, as another one and, where the test runs as root, as root.
 */
#include "tests/unit/index/idx_test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "index/idx_genw.h"

/* Each attempt is true when it was refused. */
static bool map_writable(int fd) { return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED; }

static bool make_writable(int fd)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	return p != MAP_FAILED && mprotect(p, 4096, PROT_READ | PROT_WRITE) < 0 && munmap(p, 4096) == 0;
}

/* /proc/self/mem writes to private mappings whatever their protection; not to shared ones. */
static bool through_proc_mem(int fd)
{
	char *p = (char *)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	bool refused = p != MAP_FAILED && (mem < 0 || pwrite(mem, "x", 1, (off_t)(uintptr_t)p) < 0);

	if (mem >= 0)
		close(mem);
	return refused;
}

static bool writes(int fd)
{
	struct iovec v = {.iov_base = (char[]){"x"}, .iov_len = 1};

	return write(fd, "x", 1) < 0 && pwrite(fd, "x", 1, 0) < 0 && pwritev(fd, &v, 1, 0) < 0 && ftruncate(fd, 0) < 0 &&
	       ftruncate(fd, 1 << 30) < 0 && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) < 0;
}

/* A new writable description, if it can be had at all, is worth nothing. */
static bool reopen(int fd)
{
	char path[64];
	int fd2;
	bool refused;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd2 = open(path, O_RDWR | O_CLOEXEC);
	if (fd2 < 0)
		return truncate(path, 0) < 0;
	refused = map_writable(fd2) && writes(fd2) && truncate(path, 0) < 0;
	close(fd2);
	return refused;
}

static bool chmod_and_reopen(int fd)
{
	(void)fchmod(fd, 0666); /* the owner may; the seals do not care */
	return reopen(fd);
}

static bool reseal(int fd) { return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0; }

static const struct {
	const char *what;
	bool (*refused)(int fd);
} attempts[] = {
	{"mmap PROT_WRITE", map_writable}, {"mprotect PROT_WRITE", make_writable},  {"write, truncate, punch", writes},
	{"/proc/self/mem", through_proc_mem}, {"reopen O_RDWR", reopen}, {"fchmod, then reopen", chmod_and_reopen},
	{"another seal", reseal},
};

/* In a child: true if every attempt is refused. */
static bool all_refused(int rofd, uid_t uid)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int failed = 0;

		if (uid != geteuid() && (setgid(65534) < 0 || setuid(uid) < 0))
			_exit(99);
		(void)prctl(PR_SET_DUMPABLE, 1); /* or /proc/self is closed to us and nothing is tried */
		for (unsigned i = 0; i < OM_ARRAY_SIZE(attempts); i++)
			if (!attempts[i].refused(rofd)) {
				(void)fprintf(stderr, "# uid %u: %s was possible\n", (unsigned)uid, attempts[i].what);
				failed++;
			}
		_exit(failed);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void attack(int rofd)
{
	struct stat before, after;

	assert_int_equal(fstat(rofd, &before), 0);
	assert_int_equal(before.st_mode & 07777, 0400);
	assert_true(all_refused(rofd, geteuid()));
	if (geteuid() == 0)
		assert_true(all_refused(rofd, 65534));
	assert_int_equal(fstat(rofd, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
}

static void index_can_not_be_written(void **state)
{
	struct idxw *w = index_new(0, true);
	struct idx_key k = key_any(1);
	struct idx_ent e = ent_of(77);
	struct idxr r;

	(void)state;
	assert_int_equal(idxw_put(w, &k, &e), 0);
	attack(idxw_fd(w));
	/* The writer's mapping, made before the seal, still works. */
	e = ent_of(78);
	assert_int_equal(idxw_put(w, &k, &e), 0);
	r = reader_of(idxw_fd(w));
	assert_int_equal(idxr_get(&r, &k, &e, NULL), 0);
	assert_true(e.id == 78 && ent_whole(&e));
	idxr_detach(&r);
	idxw_free(w);
}

static void generations_can_not_be_written(void **state)
{
	struct idx_genw *g = NULL;

	(void)state;
	assert_int_equal(idx_genw_new(&g), 0);
	attack(idx_genw_fd(g));
	idx_genw_open(g, 0);
	assert_int_equal(idx_gen_load(idx_genw_table(g), 0), 1);
	idx_genw_free(g);
}

/* The attempts are real: on a segment without the seal they work. */
static void attempts_work_on_an_unsealed_segment(void **state)
{
	int fd = memfd_create("objm-test", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 8192), 0);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(attempts); i++)
		/* Two never work: no seals were allowed here, and the kernel forces no write into a shared mapping. */
		if (attempts[i].refused != reseal && attempts[i].refused != through_proc_mem)
			assert_false(attempts[i].refused(fd));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(index_can_not_be_written),
		cmocka_unit_test(generations_can_not_be_written),
		cmocka_unit_test(attempts_work_on_an_unsealed_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
