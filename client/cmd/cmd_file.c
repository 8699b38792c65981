/*
 * cmd_file.c: object bytes to files and pipes.
 *
 * A file that get writes appears whole or not at all: its bytes go to a nameless file (O_TMPFILE; a hidden temporary name where the
 * filesystem has no such thing), which then takes the name. Main thread and the threads of a tree.
 */
#include "client/cmd/cmd.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define CHUNK (1u << 20) /* bytes to one call: progress and signals are looked at in between */
#define NAME_TRIES 100

volatile sig_atomic_t cmd_interrupted;

static void on_signal(int sig)
{
	cmd_interrupted = sig;
}

void cmd_catch_signals(void)
{
	static const int sigs[] = {SIGINT, SIGTERM, SIGHUP};
	/* Once only: whoever presses twice does not want to wait for a clean-up. */
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	for (size_t i = 0; i < OM_ARRAY_SIZE(sigs); i++) {
		struct sigaction old;

		if (sigaction(sigs[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) /* nohup stays nohup */
			(void)sigaction(sigs[i], &sa, NULL);
	}
}

void cmd_reraise(void)
{
	if (cmd_interrupted) {
		(void)signal(cmd_interrupted, SIG_DFL);
		(void)raise(cmd_interrupted);
	}
}

/* One step by read and write: works on everything. Bytes written, 0 at the end of the object, -1 with errno. */
static ssize_t step_plain(int objfd, off_t at, size_t want, int to)
{
	static _Thread_local char buf[65536];
	ssize_t n = pread(objfd, buf, OM_MIN(want, sizeof(buf)), at);

	for (ssize_t done = 0; done < n;) {
		ssize_t w = write(to, buf + done, (size_t)(n - done));

		if (w < 0 && errno == EINTR && !cmd_interrupted)
			continue;
		if (w < 0)
			return -1;
		done += w;
	}
	return n;
}

/* The ways to copy, best first; one that the kernel refuses for this pair of files gives way to the next. */
enum way { WAY_RANGE, WAY_SENDFILE, WAY_PLAIN };

static ssize_t step(enum way *way, int objfd, off_t at, size_t want, int to)
{
	for (;;) {
		off_t pos = at;
		ssize_t n = *way == WAY_RANGE	   ? copy_file_range(objfd, &pos, to, NULL, want, 0)
			    : *way == WAY_SENDFILE ? sendfile(to, objfd, &pos, want)
						   : step_plain(objfd, at, want, to);

		/* Some filesystems answer 0 where they mean "not here". */
		if (*way == WAY_PLAIN || n > 0)
			return n;
		if (n < 0 && (errno == EINTR || errno == ENOSPC || errno == EPIPE || errno == EIO || errno == EFBIG || errno == EDQUOT))
			return n;
		(*way)++;
	}
}

int cmd_copy(int objfd, uint64_t size, int to, struct cmd_progress *progress)
{
	enum way way = WAY_RANGE;
	uint64_t done = 0;

	while (done < size) {
		ssize_t n = step(&way, objfd, (off_t)done, (size_t)OM_MIN(size - done, CHUNK), to);

		if (cmd_interrupted) {
			errno = EINTR;
			return -OBJM_STATUS_SYSTEM;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -OBJM_STATUS_SYSTEM;
		if (n == 0)
			return -OBJM_STATUS_CORRUPT;
		done += (uint64_t)n;
		if (progress)
			cmd_progress_add(progress, (uint64_t)n, 0);
	}
	return 0;
}

/* A name that nobody has, for the moment between link and rename, and for filesystems without O_TMPFILE. */
static void temp_name(char ret_name[static 32])
{
	static _Atomic uint32_t counter;
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	(void)snprintf(ret_name, 32, ".objm-%x-%lx-%x", (unsigned)getpid(), (unsigned long)ts.tv_nsec, atomic_fetch_add(&counter, 1u));
}

/* The file that will become `name`: nameless, or with *ret_temp if that is not empty. -1 with errno. */
static int open_target(int dirfd, char ret_temp[static 32])
{
	int fd = openat(dirfd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);

	ret_temp[0] = '\0';
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL))
		return fd;
	for (int i = 0; i < NAME_TRIES; i++) {
		temp_name(ret_temp);
		fd = openat(dirfd, ret_temp, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0666);
		if (fd >= 0 || errno != EEXIST)
			break;
	}
	if (fd < 0)
		ret_temp[0] = '\0';
	return fd;
}

/* Give the finished file its name. */
static int name_target(int dirfd, int fd, char temp[static 32], const char *name)
{
	char self[40];

	if (!temp[0]) {
		(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
		if (linkat(AT_FDCWD, self, dirfd, name, AT_SYMLINK_FOLLOW) == 0)
			return 0;
		if (errno != EEXIST)
			return -OBJM_STATUS_SYSTEM;
		for (int i = 0;; i++) {
			temp_name(temp);
			if (linkat(AT_FDCWD, self, dirfd, temp, AT_SYMLINK_FOLLOW) == 0)
				break;
			temp[0] = '\0';
			if (errno != EEXIST || i == NAME_TRIES)
				return -OBJM_STATUS_SYSTEM;
		}
	}
	if (renameat(dirfd, temp, dirfd, name) < 0)
		return -OBJM_STATUS_SYSTEM;
	temp[0] = '\0';
	return 0;
}

int cmd_file_replace(int dirfd, const char *name, int objfd, uint64_t size, struct cmd_progress *progress)
{
	char temp[32];
	struct stat st;
	OM_AUTO_FD fd = open_target(dirfd, temp);
	int r = fd < 0 ? -OBJM_STATUS_SYSTEM : 0, err;

	if (r == 0 && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && fchmod(fd, st.st_mode & 0777) < 0)
		r = -OBJM_STATUS_SYSTEM;
	if (r == 0)
		r = cmd_copy(objfd, size, fd, progress);
	if (r == 0)
		r = name_target(dirfd, fd, temp, name);
	/* close() is where some filesystems report that the bytes did not arrive (NFS). */
	err = errno;
	if (fd >= 0 && close(om_take_fd(&fd)) < 0 && r == 0) {
		err = errno;
		r = -OBJM_STATUS_SYSTEM;
	}
	if (temp[0])
		(void)unlinkat(dirfd, temp, 0); /* the first error is the one to report */
	errno = err;
	return r;
}

/* A device, a pipe, /dev/stdout: written in place. */
static int write_special(const char *path, int objfd, uint64_t size, struct cmd_progress *progress)
{
	OM_AUTO_FD fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? -OBJM_STATUS_SYSTEM : cmd_copy(objfd, size, fd, progress);
}

int cmd_file_write(const char *path, int objfd, uint64_t size, struct cmd_progress *progress)
{
	struct stat st;
	/* Through a symbolic link to the file that it means; a path that is not there yet stays as it is. */
	OM_AUTO_FREE char *real = realpath(path, NULL);
	const char *target = real ? real : path, *slash = strrchr(target, '/');
	OM_AUTO_FREE char *dir = slash ? strndup(target, slash == target ? 1 : (size_t)(slash - target)) : strdup(".");
	OM_AUTO_FD dirfd = -1;

	if (!dir)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	if (stat(target, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return -OBJM_STATUS_INVALID_REQUEST;
		if (!S_ISREG(st.st_mode))
			return write_special(target, objfd, size, progress);
	}
	if (*target == '\0' || (slash && slash[1] == '\0')) { /* "" and "missing/" */
		errno = ENOENT;
		return -OBJM_STATUS_SYSTEM;
	}
	dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return -OBJM_STATUS_SYSTEM;
	return cmd_file_replace(dirfd, slash ? slash + 1 : target, objfd, size, progress);
}

bool cmd_path_safe(const char *rel)
{
	if (*rel == '\0')
		return false;
	for (const char *p = rel;; p++) {
		size_t n = strcspn(p, "/");

		if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p += n;
		if (*p == '\0')
			return true;
	}
}

int cmd_path_parent(int dirfd, const char *rel, int *ret_fd, const char **ret_name)
{
	OM_AUTO_FD at = openat(dirfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *slash;

	while (at >= 0 && (slash = strchr(rel, '/'))) {
		char part[256];
		int next;

		if ((size_t)(slash - rel) >= sizeof(part)) {
			errno = ENAMETOOLONG;
			return -OBJM_STATUS_SYSTEM;
		}
		(void)snprintf(part, sizeof(part), "%.*s", (int)(slash - rel), rel);
		if (mkdirat(at, part, 0777) < 0 && errno != EEXIST)
			return -OBJM_STATUS_SYSTEM;
		next = openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		om_close(&at);
		at = next;
		rel = slash + 1;
	}
	if (at < 0)
		return -OBJM_STATUS_SYSTEM;
	*ret_fd = om_take_fd(&at);
	*ret_name = rel;
	return 0;
}
