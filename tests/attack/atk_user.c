/*
 * atk_user.c: become another user, for good or in a child.
 */
#include "tests/attack/atk.h"

#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

int atk_user_become(uid_t uid)
{
	if (geteuid() == uid)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	/* The change made us undumpable, which gives /proc/self to root: reopening through it would then fail for that reason
	 * and prove nothing. */
	if (prctl(PR_SET_DUMPABLE, 1L) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0)
		return -errno;
	return 0;
}

int atk_user_run(uid_t uid, int (*fn)(void *arg), void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return 100;
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, (long)SIGKILL);
		int r = atk_user_become(uid) < 0 ? 100 : fn(arg);
		(void)fflush(stdout);
		_exit(r);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 100;
	return WEXITSTATUS(status);
}
