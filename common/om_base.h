/*
 * om_base.h: what every file of the project may use: ownership of descriptors and memory, checks, small helpers.
 *
 * Linked by every program. No state; every function here may be called from any thread.
 */
#ifndef OM_BASE_H
#define OM_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/objm_status.h"

#ifndef static_assert
#define static_assert _Static_assert /* without <assert.h>, whose assert() is not used here */
#endif
#define OM_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
/* One of the two is evaluated twice: no calls that do something, or cost something. */
#define OM_MIN(a, b) ((a) < (b) ? (a) : (b))
#define OM_MAX(a, b) ((a) > (b) ? (a) : (b))
#define OM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define OM_MUST_USE __attribute__((warn_unused_result))
#define OM_LIKELY(x) __builtin_expect(!!(x), 1)
#define OM_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define OM_CACHELINE 64

/* Our own bugs: on in every build; prints and aborts. Never used on data from outside. */
#define OM_ASSERT(cond) ((cond) ? (void)0 : om_assert_fail(#cond, __FILE__, __LINE__, __func__))
_Noreturn void om_assert_fail(const char *cond, const char *file, int line, const char *func);

/* Internal inconsistencies that we survive: false when `cond` is false, after one line in the log. */
#define OM_CHECK(cond) ((cond) ? true : om_check_fail(#cond, __FILE__, __LINE__, __func__))
bool om_check_fail(const char *cond, const char *file, int line, const char *func) OM_MUST_USE;

/* Scope-bound ownership. */
static inline void om_auto_fd(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* nothing can be done about a failed close of what we leave */
}
static inline void om_auto_free(void *p) { free(*(void **)p); }
static inline void om_auto_file(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}
#define OM_AUTO_FD __attribute__((cleanup(om_auto_fd))) int
#define OM_AUTO_FREE __attribute__((cleanup(om_auto_free)))
#define OM_AUTO_FILE __attribute__((cleanup(om_auto_file))) FILE *

/* Move a descriptor or a pointer out of its variable; -1 or NULL stays behind. */
static inline int om_take_fd(int *fd)
{
	int v = *fd;
	*fd = -1;
	return v;
}
#define OM_TAKE_PTR(p) ({ __typeof__(p) om_t_ = (p); (p) = NULL; om_t_; })

/* Close *fd if it is open and leave -1. */
static inline void om_close(int *fd)
{
	om_auto_fd(fd);
	*fd = -1;
}

static inline uint64_t om_now_ns(void) /* CLOCK_MONOTONIC, nanoseconds */
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}
static inline uint64_t om_coarse_ns(void) /* CLOCK_MONOTONIC_COARSE, nanoseconds: 3 to 9 ns to read */
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}
/* CLOCK_REALTIME_COARSE, seconds since 1970: whether an object has expired. One clock for all who ask: the fine one is up to a tick
 * ahead, and an object would be gone for the one and there for the other afterwards. */
static inline uint64_t om_wall_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &t);
	return (uint64_t)t.tv_sec;
}

static inline uint64_t om_wall_ns(void) /* CLOCK_REALTIME, nanoseconds since 1970 */
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Text of a status code ("no such object"), never NULL; negative codes are accepted. */
const char *om_status_text(int status);
/* Name of a status code ("NOT_FOUND"), never NULL. */
const char *om_status_name(int status);
/* What a user can do about it, never NULL. */
const char *om_status_todo(int status);
/* The code of protocol versions 1 and 2 that is nearest to `status` (0..0xff in, 0..0xff out). */
uint8_t om_status_old(uint8_t status);
/* The status (positive) that says best what a failed system call means: ENOSPC and EDQUOT NO_SPACE, ENOENT NOT_FOUND,
 * ENOMEM and EMFILE and ENFILE OUT_OF_MEMORY, EROFS READ_ONLY, EACCES and EPERM PERMISSION_DENIED, else STORAGE. */
int om_status_errno(int err);

#endif
