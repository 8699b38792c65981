/*
 * be_how.c: see be_how.h. Runs in workers (loop and I/O threads) and in the lifecycle process.
 */
#include "backend/be_how.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20 /* Linux 5.12 */
#endif

#ifndef SYS_mseal
#define SYS_mseal 462 /* Linux 6.10; the same number everywhere */
#endif

#define FLAGS (O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
#define BELOW (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
#define PAGE 4096u
#define STRIDE 64u /* bytes from one structure to the next */
#define PATH 32u   /* and from path to path */

static const struct open_how hows[BE_HOW_COUNT] = {
	[BE_HOW_CACHED] = { .flags = FLAGS | O_NONBLOCK, .resolve = BELOW | RESOLVE_CACHED },
	[BE_HOW_NOW] = { .flags = FLAGS | O_NONBLOCK, .resolve = BELOW },
	[BE_HOW_WAIT] = { .flags = FLAGS, .resolve = BELOW },
};

/* Full: whatever address the filter lets through is that of something good. */
struct pages {
	union {
		struct open_how how;
		char room[STRIDE];
	} at[PAGE / STRIDE];
	char path[PAGE / PATH][PATH];
};
static_assert(sizeof(struct pages) == 2 * PAGE && PAGE / PATH == BE_HOW_THREADS_MAX, "two pages, full");
static_assert(sizeof(struct open_how) <= STRIDE, "a structure has room");

static const struct pages *pinned; /* cannot change */
static bool confined;
static int spare = -1;			   /* of /dev/null: what stands in a number that is not in use */
static int numbers[BE_HOW_THREADS_MAX];
static unsigned numbers_n;
static atomic_uint threads_seen;
static _Thread_local unsigned thread; /* 1..: has numbers[thread - 1]; 0: not seen yet */

static void numbers_give_back(void)
{
	while (numbers_n > 0)
		om_close(&numbers[--numbers_n]);
	om_close(&spare);
}

static bool numbers_take(unsigned n)
{
	spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (; spare >= 0 && numbers_n < n; numbers_n++) {
		numbers[numbers_n] = fcntl(spare, F_DUPFD_CLOEXEC, 0);
		if (numbers[numbers_n] < 0)
			break;
	}
	if (spare >= 0 && numbers_n == n)
		return true;
	numbers_give_back();
	return false;
}

static void fill(struct pages *p)
{
	for (unsigned i = 0; i < OM_ARRAY_SIZE(p->at); i++)
		p->at[i].how = hows[i % BE_HOW_COUNT];
	for (unsigned i = 0; i < OM_ARRAY_SIZE(p->path); i++)
		(void)snprintf(p->path[i], PATH, "/proc/self/fd/%d", numbers[i % numbers_n]);
}

bool be_how_pin(unsigned threads)
{
	struct pages *p;

	if (pinned)
		return true;
	OM_ASSERT(threads >= 1 && threads <= BE_HOW_THREADS_MAX);
	if (sysconf(_SC_PAGESIZE) != PAGE || !numbers_take(threads))
		return false;
	p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED) {
		fill(p);
		if (mprotect(p, sizeof(*p), PROT_READ) == 0 && syscall(SYS_mseal, p, sizeof(*p), 0) == 0) {
			pinned = p;
			return true;
		}
		(void)munmap(p, sizeof(*p));
	}
	numbers_give_back();
	return false;
}

void be_how_confine(void)
{
	OM_ASSERT(pinned);
	confined = true;
}

bool be_how_confined(void) { return confined; }

const void *be_how_first(void) { return pinned; }
uint64_t be_how_mask(void) { return ~(uint64_t)(PAGE - STRIDE); }
size_t be_how_bytes(void) { return sizeof(struct open_how); }
const char *be_how_path(void) { return pinned ? pinned->path[0] : NULL; }
uint64_t be_how_path_mask(void) { return ~(uint64_t)(PAGE - PATH); }

int be_how_open(int dirfd, const char *path, enum be_how how)
{
	/* Not openat(): in a process with threads glibc looks around each call of it for threads that are cancelled. */
	if (!confined && how != BE_HOW_CACHED)
		return (int)syscall(SYS_openat, dirfd, path, (int)hows[how].flags, 0);
	return (int)syscall(SYS_openat2, dirfd, path, pinned ? &pinned->at[how].how : &hows[how], sizeof(struct open_how));
}

/* The file takes the place of this thread's number for a moment: the kernel looks up what stands there, not what it was called. */
static int reopen_confined(int fd)
{
	int got, err, number;

	if (thread == 0)
		thread = atomic_fetch_add_explicit(&threads_seen, 1, memory_order_relaxed) + 1;
	OM_ASSERT(thread <= numbers_n);
	number = numbers[thread - 1];
	if (dup3(fd, number, O_CLOEXEC) < 0)
		return -1;
	got = (int)syscall(SYS_openat, AT_FDCWD, pinned->path[thread - 1], O_RDONLY | O_CLOEXEC, 0);
	err = errno;
	/* What is left there counts as somebody who writes to the file: nothing could ever be committed. */
	OM_ASSERT(dup3(spare, number, O_CLOEXEC) == number);
	errno = err;
	return got;
}

int be_how_reopen(int fd)
{
	char path[PATH];

	if (confined)
		return reopen_confined(fd);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}
