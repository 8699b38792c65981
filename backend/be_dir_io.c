/*
 * be_dir_io.c: what the directory driver's files have in common: opening an object, writing all of something, letting a file go.
 * Runs in workers and the lifecycle process; calls none of the driver's other files.
 */
#include "backend/be_dir_int.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "backend/be_how.h"

void be_dir_proc_path(int fd, char ret_path[static BE_DIR_PROC_MAX])
{
	(void)snprintf(ret_path, BE_DIR_PROC_MAX, "/proc/self/fd/%d", fd);
}

int be_dir_write(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EIO;
			return be_dir_errno();
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int open_object(int objects_fd, uint64_t id, enum be_how how, int *ret_fd)
{
	char path[OM_OBJ_PATH_MAX];
	int fd;

	om_obj_path(id, path);
	/* Unless it must not wait, a lease that somebody of our uid took would hold us for up to 45 s. */
	fd = be_how_open(objects_fd, path, how);
	if (fd < 0)
		return errno == EWOULDBLOCK ? -OBJM_STATUS_WOULD_BLOCK : be_dir_errno();
	*ret_fd = fd;
	return 0;
}

int be_dir_open(int objects_fd, uint64_t id, int *ret_fd) { return open_object(objects_fd, id, BE_HOW_NOW, ret_fd); }

int be_dir_open_wait(int objects_fd, uint64_t id, int *ret_fd) { return open_object(objects_fd, id, BE_HOW_WAIT, ret_fd); }

uint64_t be_allocated(const struct be_file *file)
{
	struct stat st;

	return file->fd >= 0 && fstat(file->fd, &st) == 0 ? (uint64_t)st.st_blocks * 512u : 0;
}

/* A temporary name that nobody needs: a worker may not remove it. Its bytes are freed now; empty and read-only says to the
 * sweep that it was given up, where leases do not work. */
static void give_up(const struct be_file *file)
{
	char path[BE_DIR_PROC_MAX];

	be_dir_proc_path(file->fd, path);
	OM_AUTO_FD fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		(void)!ftruncate(fd, 0); /* the sweep comes anyway */
	(void)fchmod(file->fd, 0400);
}

void be_drop(struct be_file *file)
{
	int saved = errno;

	if (file->temp[0] && file->id == 0 && file->fd >= 0)
		give_up(file);
	errno = saved;
	om_close(&file->fd);
	om_close(&file->rwfd);
	*file = BE_FILE_INIT;
}
