/*
 * om_runq.c: see om_runq.h. A file of three numbers: nanoseconds on a processor, nanoseconds ready and not on one, turns.
 */
#include "common/om_runq.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int om_runq_dir(void) { return open("/proc/self/task", O_PATH | O_DIRECTORY | O_CLOEXEC); }

int om_runq_open(int dirfd)
{
	char name[64];

	if (dirfd < 0)
		return -1;
	(void)snprintf(name, sizeof(name), "%ld/schedstat", (long)gettid());
	return openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

uint64_t om_runq_waited(int fd)
{
	char text[96], *end;
	ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = 0;
	(void)strtoull(text, &end, 10);
	return strtoull(end, NULL, 10);
}
