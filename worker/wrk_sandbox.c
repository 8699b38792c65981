/*
 * wrk_sandbox.c: Landlock and seccomp of a worker (process objmapper-worker, at start, called by wrk_main.c).
 *
 * Two walls, because neither is enough: Landlock says which files can be opened, whatever the call; seccomp says which
 * calls can be made, whatever the file: it stops what Landlock does not look at (chmod, sockets, other processes).
 * The list of calls was taken from strace of a worker under load (glibc 2.36; gets, puts of all kinds, legacy writes, bad peers),
 * with what glibc and the sanitizers use on rare paths, and narrowed by argument where an argument makes the difference.
 */
#include "worker/wrk_sandbox.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "backend/be_how.h"
#include "worker/wrk_accept.h"
#include "worker/wrk_io.h"
#include "worker/wrk_legacy.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WRK_SANDBOX_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WRK_SANDBOX_SANITIZER 1
#endif
#endif
#ifndef WRK_SANDBOX_SANITIZER
#define WRK_SANDBOX_SANITIZER 0
#endif

/* ---------------------------------------------------------------- files */

/* Newer than the headers of Debian 12. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* ABI 3 */
#endif
#define WRK_SANDBOX_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#define WRK_SANDBOX_NET_ALL 3ULL	   /* ABI 4: bind and connect TCP */
#define WRK_SANDBOX_SCOPE_ALL 3ULL	   /* ABI 6: abstract sockets and signals of others */

struct wrk_sandbox_attr { /* struct landlock_ruleset_attr as of ABI 6 */
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

#define WRK_SANDBOX_OBJECTS \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR /* to sync a directory */ | \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REFER)
#define WRK_SANDBOX_STAGING \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_TRUNCATE)

static int wrk_sandbox_allow(int ruleset, int dirfd, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = dirfd };

	return (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

/*
 * Truncation is left to seccomp where that suffices. Landlock asks at every open, one for reading too, whether the file may be truncated
 * later; objects may not, so it climbs from the file to the root of the file system in search of a rule: 0.65 to 1.2 us, a third of what an
 * open takes. An object can be truncated
 *	by a descriptor for writing		Landlock gives none below objects/, and such a file cannot be linked to staging/
 *	by truncate(), open(), creat()		not in the table
 *	by openat() with O_TRUNC		refused by that argument
 *	by openat2() with O_TRUNC		refused unless its structure is one of be_how.h, which nobody can change
 * So without the last (no mseal()), or without seccomp, Landlock goes on to look after it.
 */
static bool wrk_sandbox_truncate_by_calls;

/*
 * Reading is left to seccomp, too, where no descriptors come from outside: Landlock's walk from the file to objects/ is a sixth of what
 * an open takes (its look at the file itself misses the processor's caches). A file could be opened for reading
 *	by openat2()			one of the structures of be_how.h: below a directory that is open here. Of those there are, besides what
 *					the supervisor gave us (objects/, staging/), only such as Landlock lets us read: below these two
 *	below the current directory	refused: the number of a descriptor is not negative
 *	by openat(), O_DIRECTORY	a directory: that is Landlock's to judge
 *	by openat(), also for writing	Landlock's, too
 *	by openat(), O_PATH		refused: a directory that nobody judged; openat2() would read below it
 *	by openat(), else		refused, unless the path is one of be_how.h: what is open here already is opened once more
 * A peer that sends us a directory could have us read below it, so where that is possible (before Linux 6.16) Landlock judges reading.
 */
static bool wrk_sandbox_read_by_calls;

static bool wrk_sandbox_filters(void)
{
	uint32_t action = SECCOMP_RET_ERRNO;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/* What to refuse by default under this kernel's Landlock, and the length of the structure that it takes. */
static size_t wrk_sandbox_attr(int abi, struct wrk_sandbox_attr *attr)
{
	*attr = (struct wrk_sandbox_attr){ .fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 };
	if (abi >= 2)
		attr->fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3 && !wrk_sandbox_truncate_by_calls)
		attr->fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (wrk_sandbox_read_by_calls)
		attr->fs &= ~(uint64_t)LANDLOCK_ACCESS_FS_READ_FILE;
	if (abi >= 5)
		attr->fs |= WRK_SANDBOX_IOCTL_DEV;
	if (abi >= 4)
		attr->net = WRK_SANDBOX_NET_ALL;
	if (abi >= 6)
		attr->scoped = WRK_SANDBOX_SCOPE_ALL;
	return abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
}

static int wrk_sandbox_landlock(const struct wrk *w, int abi)
{
	struct wrk_sandbox_attr attr;
	size_t len = wrk_sandbox_attr(abi, &attr);
	OM_AUTO_FD ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, len, 0);

	if (ruleset < 0)
		return -OBJM_STATUS_SYSTEM;
	for (unsigned i = 0; i < OM_TIERS_MAX; i++) {
		const struct wrk_tier *t = &w->tiers[i];

		if (t->known && t->objects_fd >= 0 &&
		    (wrk_sandbox_allow(ruleset, t->objects_fd, WRK_SANDBOX_OBJECTS & attr.fs) < 0 ||
		     wrk_sandbox_allow(ruleset, t->staging_fd, WRK_SANDBOX_STAGING & attr.fs) < 0))
			return -OBJM_STATUS_SYSTEM;
	}
	return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -OBJM_STATUS_SYSTEM : 0;
}

static bool wrk_sandbox_passed(const struct wrk *w, const int *listeners)
{
	for (uint32_t i = 0; i < w->boot.n_listen; i++)
		if (wrk_accept_passes(listeners[i], (enum om_listen_kind)w->boot.listen_kind[i]))
			return true;
	return false;
}

/* What seccomp will look after, decided before Landlock is told the rest. */
static void wrk_sandbox_share(const struct wrk *w, const int *listeners)
{
	unsigned threads = 1 + OM_MIN(OM_MAX(w->boot.limits.io_threads, 1u), WRK_IO_THREADS_MAX);

	wrk_sandbox_truncate_by_calls = wrk_sandbox_filters() && be_how_pin(threads);
	wrk_sandbox_read_by_calls = wrk_sandbox_truncate_by_calls && !wrk_sandbox_passed(w, listeners);
	if (wrk_sandbox_read_by_calls)
		be_how_confine();
}

int wrk_sandbox_files(const struct wrk *w, const int *listeners)
{
	int abi;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
		om_log(OM_MSG_SANDBOX, "cannot give up new privileges: %s: the worker runs without a sandbox", strerror(errno));
		return -OBJM_STATUS_SYSTEM;
	}
	abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 2) {
		/* ABI 1 would refuse to link a file from staging/ into objects/: of no use here. */
		om_log(OM_MSG_SANDBOX, "this kernel has no usable Landlock (%s): files outside of the tiers are protected by their "
		       "permissions alone", abi < 0 ? strerror(errno) : "ABI 1");
		return -OBJM_STATUS_UNSUPPORTED_OP;
	}
	wrk_sandbox_share(w, listeners);
	if (wrk_sandbox_landlock(w, abi) < 0) {
		om_log(OM_MSG_SANDBOX, "Landlock refused the rules: %s: files outside of the tiers are protected by their "
		       "permissions alone", strerror(errno));
		return -OBJM_STATUS_SYSTEM;
	}
	return 0;
}

/* ---------------------------------------------------------------- calls */

/* Allowed with any arguments. */
static const int wrk_sandbox_allowed[] = {
	/* connections, the ring's bells, the loop */
	SCMP_SYS(accept4), SCMP_SYS(recvmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg),
	SCMP_SYS(sendto), SCMP_SYS(getsockopt), SCMP_SYS(getpeername), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl),
	SCMP_SYS(timerfd_settime), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close),
	/* objects: Landlock says which */
	SCMP_SYS(linkat), SCMP_SYS(mkdirat), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
	SCMP_SYS(statx), SCMP_SYS(fstatfs), SCMP_SYS(fallocate), SCMP_SYS(ftruncate), SCMP_SYS(fsync),
	SCMP_SYS(fdatasync), SCMP_SYS(syncfs), SCMP_SYS(sync_file_range), SCMP_SYS(fsetxattr), SCMP_SYS(fgetxattr),
	SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(preadv2), SCMP_SYS(pwrite64), SCMP_SYS(copy_file_range),
	SCMP_SYS(sendfile), SCMP_SYS(splice), SCMP_SYS(lseek), SCMP_SYS(fadvise64), SCMP_SYS(inotify_init1), SCMP_SYS(inotify_add_watch),
	SCMP_SYS(inotify_rm_watch), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getdents64),
	/* memory, threads, time, signals of our own */
	SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(futex), SCMP_SYS(membarrier),
	SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(getpid),
	SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall),
	SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(getrlimit),
};

/* Nobody calls these by mistake. */
static const int wrk_sandbox_killed[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
	SCMP_SYS(open_by_handle_at), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(bpf),
	SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(kexec_load), SCMP_SYS(userfaultfd), SCMP_SYS(keyctl),
	SCMP_SYS(io_uring_setup), SCMP_SYS(perf_event_open), SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(pidfd_getfd),
};

/* Allowed when one argument is this: a taken-over worker must not be able to, for example, make a shared listener block
 * (F_SETFL), attach a filter to it (setsockopt) or give a committed file another mode. */
struct wrk_sandbox_arg {
	int call;
	struct scmp_arg_cmp cmp;
};

static int wrk_sandbox_args(scmp_filter_ctx ctx)
{
	const struct wrk_sandbox_arg rows[] = {
		{ SCMP_SYS(fchmod), SCMP_A1(SCMP_CMP_EQ, 0400) },
		{ SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, F_DUPFD_CLOEXEC) },
		{ SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, F_GETFD) },
		{ SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, F_SETFD) },
		{ SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, F_GETFL) },
		{ SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, F_SETLEASE) },
		{ SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, F_GETLEASE) },
		{ SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, F_GET_SEALS) },
		{ SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, FICLONE) },
		{ SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, SIOCOUTQ) },
		{ SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, FIONREAD) },
		{ SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, WRK_LEGACY_PIDFD_GET_INFO) },
		{ SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, WRK_LEGACY_PIDFD_GET_INFO_MM) },
		{ SCMP_SYS(setsockopt), SCMP_A1(SCMP_CMP_EQ, IPPROTO_TCP) },
		{ SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) },
		{ SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) },
		{ SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME) },
		{ SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0) }, /* read only */
		{ SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()) }, /* abort() */
		{ SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM | CLONE_SIGHAND,
					   CLONE_THREAD | CLONE_VM | CLONE_SIGHAND) },
	};

	for (size_t i = 0; i < OM_ARRAY_SIZE(rows); i++)
		if (seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, rows[i].call, 1, &rows[i].cmp) < 0)
			return -1;
	/* Its flags lie in memory that a filter can not look at; glibc falls back to clone. */
	return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* What is not Landlock's to judge is told from pages that cannot change. A descriptor is not negative: AT_FDCWD is. */
static int wrk_sandbox_openat2(scmp_filter_ctx ctx)
{
	const scmp_datum_t mask = be_how_mask(), first = (scmp_datum_t)(uintptr_t)be_how_first();
	const struct scmp_arg_cmp how[] = { SCMP_A2(SCMP_CMP_MASKED_EQ, mask, first), SCMP_A3(SCMP_CMP_EQ, be_how_bytes()),
					    SCMP_A0(SCMP_CMP_MASKED_EQ, 1u << 31, 0) };

	return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat2), wrk_sandbox_truncate_by_calls ? 3 : 0, how);
}

static int wrk_sandbox_openat(scmp_filter_ctx ctx)
{
	static const uint32_t never = O_TRUNC | O_PATH;
	const struct scmp_arg_cmp any = SCMP_A2(SCMP_CMP_MASKED_EQ, never, 0);
	const struct scmp_arg_cmp landlocked[] = { SCMP_A2(SCMP_CMP_MASKED_EQ, never | O_DIRECTORY, O_DIRECTORY),
						   SCMP_A2(SCMP_CMP_MASKED_EQ, never | O_ACCMODE, O_WRONLY),
						   SCMP_A2(SCMP_CMP_MASKED_EQ, never | O_ACCMODE, O_RDWR) };
	const struct scmp_arg_cmp again[] = { any, SCMP_A1(SCMP_CMP_MASKED_EQ, be_how_path_mask(), (scmp_datum_t)(uintptr_t)be_how_path()) };

	if (!wrk_sandbox_read_by_calls)
		return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, &any);
	for (size_t i = 0; i < OM_ARRAY_SIZE(landlocked); i++)
		if (seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, &landlocked[i]) < 0)
			return -1;
	if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(dup3), 0) < 0)
		return -1;
	return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), OM_ARRAY_SIZE(again), again);
}

static int wrk_sandbox_rules(scmp_filter_ctx ctx)
{
	/* Under a sanitizer a report may want to start its symbolizer: let it fail and report without. */
	uint32_t worst = WRK_SANDBOX_SANITIZER ? SCMP_ACT_ERRNO(EACCES) : SCMP_ACT_KILL_PROCESS;

	/*
	 * By priority, not as a tree: the kernel remembers what is allowed whatever its arguments are, so that the filter itself runs
	 * for the others alone, and of those one is called for each object.
	 *
	 * Another table of calls (x32, 32 bits): the process, not the thread alone, of which the others would wait for ever.
	 */
	if (seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1) < 0 || seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 1) < 0 ||
	    seccomp_syscall_priority(ctx, SCMP_SYS(openat), 254) < 0 ||
	    seccomp_syscall_priority(ctx, SCMP_SYS(openat2), wrk_sandbox_read_by_calls ? 255 : 253) < 0 ||
	    seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, worst) < 0)
		return -1;
	for (size_t i = 0; i < OM_ARRAY_SIZE(wrk_sandbox_allowed); i++)
		if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, wrk_sandbox_allowed[i], 0) < 0)
			return -1;
	for (size_t i = 0; i < OM_ARRAY_SIZE(wrk_sandbox_killed); i++)
		if (seccomp_rule_add(ctx, worst, wrk_sandbox_killed[i], 0) < 0)
			return -1;
	return wrk_sandbox_openat2(ctx) < 0 || wrk_sandbox_openat(ctx) < 0 ? -1 : wrk_sandbox_args(ctx);
}

int wrk_sandbox_calls(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc = ctx ? wrk_sandbox_rules(ctx) : -1;

	if (rc == 0) {
		rc = seccomp_load(ctx);
		errno = rc < 0 ? -rc : 0;
	}
	if (ctx)
		seccomp_release(ctx);
	if (rc == 0)
		return 0;
	om_log(OM_MSG_SANDBOX, "the filter of system calls could not be loaded: %s: the worker %s", strerror(errno),
	       wrk_sandbox_truncate_by_calls ? "ends: without it objects could be truncated, and other files read" : "runs without it");
	return wrk_sandbox_truncate_by_calls ? -OBJM_STATUS_SYSTEM : -OBJM_STATUS_UNSUPPORTED_OP;
}
