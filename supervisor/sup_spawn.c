/*
 * sup_spawn.c: see sup_spawn.h. In the supervisor's main thread, while the engine's threads run: between fork and exec only
 * async-signal-safe calls are made, on data that was made ready before.
 */
#include "supervisor/sup_spawn.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/msg_proc.h"

#ifndef OM_LIBEXECDIR
#define OM_LIBEXECDIR "/usr/libexec/objmapper"
#endif
#define EXE_FD (OM_PROC_FD + 1)

static const char *const passed_on[] = { "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS", "OBJM_FAULT" };

static int try(const char *dir, const char *name, struct sup_spawn_exe *ret, char *path, size_t cap)
{
	if ((size_t)snprintf(path, cap, "%s/%s", dir, name) >= cap) {
		errno = ENAMETOOLONG;
		return -OBJM_STATUS_SYSTEM;
	}
	OM_AUTO_FD fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || access(path, X_OK) < 0)
		return errno == ENOENT ? -OBJM_STATUS_NOT_FOUND : -OBJM_STATUS_SYSTEM;
	*ret = (struct sup_spawn_exe){ .name = name };
	ret->fd = om_take_fd(&fd);
	return 0;
}

int sup_spawn_find(const char *folder, const char *name, struct sup_spawn_exe *ret, char *ret_path, size_t cap)
{
	char self[PATH_MAX], dir[PATH_MAX + 64];
	const char *env = getenv("OBJM_LIBEXEC");

	if (env && *env)
		return try(env, name, ret, ret_path, cap);
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = '\0';
		char *slash = strrchr(self, '/');
		if (slash) {
			*slash = '\0';
			(void)snprintf(dir, sizeof(dir), "%s/../%s", self, folder);
			int err = try(dir, name, ret, ret_path, cap);
			if (err != -OBJM_STATUS_NOT_FOUND)
				return err;
		}
	}
	return try(OM_LIBEXECDIR, name, ret, ret_path, cap);
}

/* "NAME=value" of the variables that a child may see; what getenv() gives stays where it is. */
static void make_env(bool faults, char **envp, char *room, size_t cap)
{
	size_t n = 0, used = 0;

	for (size_t i = 0; i < OM_ARRAY_SIZE(passed_on); i++) {
		const char *v = getenv(passed_on[i]);
		if (!v || (!faults && !strcmp(passed_on[i], "OBJM_FAULT")))
			continue;
		int len = snprintf(room + used, cap - used, "%s=%s", passed_on[i], v);
		if (len < 0 || (size_t)len >= cap - used)
			continue; /* longer than any sane one */
		envp[n++] = room + used;
		used += (size_t)len + 1;
	}
	envp[n] = NULL;
}

/* In the child, after fork. */
_Noreturn static void become(int exefd, int ctl, int nullfd, pid_t parent, char *const *argv, char *const *envp)
{
	static const char failed[] = "<3>objmapperd: a child's program cannot be executed\n";
	sigset_t none;

	(void)sigemptyset(&none);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(126); /* the supervisor died before the line above could take effect */
	(void)setpgid(0, 0);
	/* both may stand in each other's place: first out of the way, then to their numbers */
	int e = fcntl(exefd, F_DUPFD_CLOEXEC, EXE_FD + 1), c = fcntl(ctl, F_DUPFD_CLOEXEC, EXE_FD + 1);
	if (e < 0 || c < 0 || dup2(nullfd, STDIN_FILENO) < 0 || dup2(c, OM_PROC_FD) < 0 ||
	    dup3(e, EXE_FD, O_CLOEXEC) < 0 || close_range(EXE_FD + 1, ~0u, 0) < 0)
		_exit(126);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)syscall(SYS_execveat, EXE_FD, "", argv, envp, AT_EMPTY_PATH);
	(void)!write(STDERR_FILENO, failed, sizeof(failed) - 1);
	_exit(127);
}

int sup_spawn(const struct sup_spawn_exe *exe, bool faults, struct sup_spawned *ret)
{
	char *argv[2] = { (char *)(uintptr_t)exe->name, NULL }, *envp[OM_ARRAY_SIZE(passed_on) + 1], room[8192];
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -OBJM_STATUS_SYSTEM;
	OM_AUTO_FD ours = pair[0];
	OM_AUTO_FD theirs = pair[1];
	OM_AUTO_FD nullfd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (nullfd < 0 || fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
		return -OBJM_STATUS_SYSTEM;
	make_env(faults, envp, room, sizeof(room));
	pid_t parent = getpid(), pid = fork();
	if (pid < 0)
		return -OBJM_STATUS_SYSTEM;
	if (pid == 0)
		become(exe->fd, theirs, nullfd, parent, argv, envp);
	int pidfd = pidfd_open(pid, 0); /* close-on-exec; it is our child and unreaped: the number is its own */
	if (pidfd < 0) {
		int why = errno;
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		errno = why;
		return -OBJM_STATUS_SYSTEM;
	}
	*ret = (struct sup_spawned){ .pid = pid, .pidfd = pidfd };
	ret->ctl = om_take_fd(&ours);
	return 0;
}

int sup_spawn_reap(int pidfd)
{
	siginfo_t si = { 0 };

	if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &si, WEXITED | WNOHANG) < 0 || si.si_pid == 0)
		return -1;
	if (si.si_code == CLD_EXITED)
		return (si.si_status & 0xff) << 8;
	return (si.si_status & 0x7f) | (si.si_code == CLD_DUMPED ? 0x80 : 0);
}

void sup_spawn_why(int wait_status, char *ret, size_t cap)
{
	if (WIFSIGNALED(wait_status))
		(void)snprintf(ret, cap, "killed by signal %d (%s)%s", WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)),
			       WCOREDUMP(wait_status) ? ", core dumped" : "");
	else
		(void)snprintf(ret, cap, "exit status %d", WEXITSTATUS(wait_status));
}
