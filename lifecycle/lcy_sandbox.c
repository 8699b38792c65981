/*
 * lcy_sandbox.c: objmapper-lifecycle narrows itself: of each tier it may read and remove what lies in objects/ and
 * staging/, and make side files there; nothing else anywhere; it makes no sockets, no processes.
 */
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lifecycle/lcy.h"

#define LCY_ACCESS \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_WRITE_FILE /* side files */)

static bool restrict_files(const int (*dirs)[2], unsigned n)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 };
	OM_AUTO_FD ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);

	if (ruleset < 0)
		return false;
	for (unsigned i = 0; i < 2 * n; i++) {
		struct landlock_path_beneath_attr rule = { .allowed_access = LCY_ACCESS, .parent_fd = dirs[i / 2][i % 2] };
		if (rule.parent_fd >= 0 && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
			return false;
	}
	return syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
}

/* What a process has no business with that reads, removes and replaces attributes (fchmod, fsetxattr, rename of a side file). */
static const int refused[] = {
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
	SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4),
	SCMP_SYS(open_by_handle_at), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(bpf), SCMP_SYS(io_uring_setup),
	SCMP_SYS(pidfd_getfd), SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal), SCMP_SYS(unshare), SCMP_SYS(setns),
	SCMP_SYS(chmod), SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(fchown), SCMP_SYS(lchown),
	SCMP_SYS(fchownat),  SCMP_SYS(link), SCMP_SYS(linkat),
	SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(truncate), SCMP_SYS(ftruncate), SCMP_SYS(setxattr),
	SCMP_SYS(lsetxattr), SCMP_SYS(removexattr), SCMP_SYS(lremovexattr),
	SCMP_SYS(kill), SCMP_SYS(tkill), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(keyctl),
};

static bool restrict_calls(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	bool ok = ctx != NULL;

	for (unsigned i = 0; ok && i < OM_ARRAY_SIZE(refused); i++)
		ok = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), refused[i], 0) == 0;
	ok = ok && seccomp_load(ctx) == 0;
	if (ctx)
		seccomp_release(ctx);
	return ok;
}

void lcy_sandbox(const struct lcy *l, const int (*dirs)[2], unsigned n)
{
	(void)l;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		om_log(OM_MSG_SANDBOX, "lifecycle: prctl: %m");
	if (!restrict_files(dirs, n))
		om_log(OM_MSG_SANDBOX, "lifecycle: Landlock is not to be had (%m): files outside of the tiers are protected by their "
		       "permissions alone");
	if (!restrict_calls())
		om_log(OM_MSG_SANDBOX, "lifecycle: the seccomp filter was refused (%m)");
}
