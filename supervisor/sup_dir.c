/*
 * sup_dir.c: see sup_dir.h. In the supervisor, at start.
 *
 * Started as root, the directories may lie below one that the daemon's user owns. So nothing here follows a symbolic link
 * in what it makes, and what is made gets its owner through a descriptor, not through its name.
 */
#include "supervisor/sup_dir.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>

#define LOCK_NAME "run.lock"
#define PARENT_MODE 0755u

/* Make one directory and give it its owner and mode: 0, or -1 with errno. It may exist already. */
static int make_one(const char *path, uint32_t mode, const struct sup_owner *owner)
{
	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : -1;
	OM_AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || (owner->change && fchown(fd, owner->uid, owner->gid) < 0))
		return -1;
	return fchmod(fd, mode);
}

static bool is_dir(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return false;
	}
	return true;
}

int sup_dir_make(const char *path, uint32_t mode, const struct sup_owner *owner)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(part) || path[0] != '/') {
		errno = len >= sizeof(part) ? ENAMETOOLONG : EINVAL;
		return -OBJM_STATUS_SYSTEM;
	}
	if (is_dir(path))
		return 0;
	while (len > 1 && path[len - 1] == '/')
		len--;
	memcpy(part, path, len);
	part[len] = '\0';
	for (char *p = part + 1; p; ) {
		p = strchr(p, '/');
		if (p)
			*p = '\0';
		/* a parent may come to hold a socket as well: only the directory itself is closed to others */
		if (!is_dir(part) && (errno != ENOENT || make_one(part, p ? PARENT_MODE : mode, owner) < 0))
			return -OBJM_STATUS_SYSTEM;
		if (p)
			*p++ = '/';
	}
	return is_dir(path) ? 0 : -OBJM_STATUS_SYSTEM;
}

int sup_dir_make_parent(const char *path, uint32_t mode, const struct sup_owner *owner)
{
	const char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return 0;
	OM_AUTO_FREE char *dir = strndup(path, (size_t)(slash - path));
	return dir ? sup_dir_make(dir, mode, owner) : -OBJM_STATUS_OUT_OF_MEMORY;
}

static long read_pid(int fd)
{
	char text[24];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	long pid = strtol(text, NULL, 10);
	return pid > 0 ? pid : 0;
}

int sup_dir_lock(int state_dirfd, unsigned wait_ms, int *ret_fd, long *ret_holder)
{
	const struct timespec nap = { .tv_nsec = 10000000 };
	uint64_t until = om_now_ns() + (uint64_t)wait_ms * 1000000u;
	struct stat st;
	char text[24];

	*ret_holder = 0;
	OM_AUTO_FD fd = openat(state_dirfd, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -OBJM_STATUS_SYSTEM;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return -OBJM_STATUS_SYSTEM;
	}
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -OBJM_STATUS_SYSTEM;
		*ret_holder = read_pid(fd);
		if (om_now_ns() >= until)
			return -OBJM_STATUS_BUSY;
		(void)nanosleep(&nap, NULL); /* woken early: it just looks again */
	}
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	/* only for a successor's message: that it could not be written (full disk) changes nothing */
	(void)!ftruncate(fd, 0);
	(void)!pwrite(fd, text, (size_t)n, 0);
	*ret_fd = om_take_fd(&fd);
	return 0;
}
