/*
 * lcy_sandbox.c: objmapper-lifecycle narrows itself: of each tier it may read and remove what lies in objects/ and staging/, and
 * make files in staging/ that are linked into objects/ (moves), and side files there (SET); it may write files of its own in
 * state_dir/heat.d, and read what the kernel says of its own threads; nothing else anywhere; no sockets, no processes.
 */
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lifecycle/lcy.h"

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* ABI 3 */
#endif

#define LCY_REMOVE \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR)
#define LCY_OBJECTS \
	(LCY_REMOVE | LANDLOCK_ACCESS_FS_WRITE_FILE /* side files */ | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | \
	 LANDLOCK_ACCESS_FS_REFER)
#define LCY_STAGING \
	(LCY_REMOVE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_TRUNCATE)
#define LCY_HEAT \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_TRUNCATE)

static bool allow(int ruleset, int dirfd, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = dirfd };

	return dirfd < 0 || syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

static bool restrict_files(const struct lcy *l, const int (*dirs)[2], unsigned n)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 };
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 2)
		return false; /* ABI 1 would refuse to link a file from staging/ into objects/ */
	attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
	OM_AUTO_FD ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);
	if (ruleset < 0)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (!allow(ruleset, dirs[i][0], LCY_OBJECTS & attr.handled_access_fs) ||
		    !allow(ruleset, dirs[i][1], LCY_STAGING & attr.handled_access_fs))
			return false;
	if (!allow(ruleset, l->save.dirfd, LCY_HEAT & attr.handled_access_fs) ||
	    !allow(ruleset, l->moves.yield.tasks_fd, LANDLOCK_ACCESS_FS_READ_FILE))
		return false;
	return syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
}

/* What a process has no business with that reads, copies, links, unlinks files and replaces attributes (fchmod, fsetxattr, rename of a
 * side file). */
static const int refused[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
	SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4),
	SCMP_SYS(open_by_handle_at), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(bpf), SCMP_SYS(io_uring_setup),
	SCMP_SYS(pidfd_getfd), SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal), SCMP_SYS(unshare), SCMP_SYS(setns),
	SCMP_SYS(chmod), SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(fchown), SCMP_SYS(lchown),
	SCMP_SYS(fchownat), SCMP_SYS(link),
	SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(truncate), SCMP_SYS(setxattr),
	SCMP_SYS(lsetxattr), SCMP_SYS(removexattr), SCMP_SYS(lremovexattr),
	SCMP_SYS(kill), SCMP_SYS(tkill), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(keyctl),
};

static bool restrict_calls(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	bool ok = ctx != NULL;

	for (unsigned i = 0; ok && i < OM_ARRAY_SIZE(refused); i++)
		ok = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), refused[i], 0) == 0;
	/* a copy becomes read-only, and for the moment of a SET the owner's to write; nothing becomes anything else */
	ok = ok && seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fchmod), 1, SCMP_A1(SCMP_CMP_GT, 0600)) == 0;
	ok = ok && seccomp_load(ctx) == 0;
	if (ctx)
		seccomp_release(ctx);
	return ok;
}

void lcy_sandbox(const struct lcy *l, const int (*dirs)[2], unsigned n)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		om_log(OM_MSG_SANDBOX, "lifecycle: prctl: %m");
	if (!restrict_files(l, dirs, n))
		om_log(OM_MSG_SANDBOX, "lifecycle: Landlock is not to be had (%m): files outside of the tiers are protected by their "
		       "permissions alone");
	if (!restrict_calls())
		om_log(OM_MSG_SANDBOX, "lifecycle: the seccomp filter was refused (%m)");
}
