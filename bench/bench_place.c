/*
 * bench_place.c: which CPU who runs on.
 */
#include <dirent.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bench/bench.h"

static int pin_task(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(tid, sizeof(set), &set);
}

int bench_pin(int cpu)
{
	return cpu < 0 ? 0 : pin_task(0, cpu);
}

/* The process that listens at a socket: the kernel says who called listen(). */
static pid_t listener_of(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ucred cred;
	socklen_t len = sizeof(cred);
	OM_AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(addr.sun_path))
		return -1;
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -1;
	return cred.pid;
}

/* Every thread of one process; false if there was none that could be bound. */
static bool pin_process(pid_t pid, int cpu)
{
	char path[64];
	struct dirent *e;
	bool any = false;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.' && pin_task((pid_t)strtol(e->d_name, NULL, 10), cpu) == 0)
			any = true;
	if (dir)
		(void)closedir(dir);
	return any;
}

/* Children of a process that are wanted: all, or objmapper's workers (the kernel cuts names at 15 characters). */
static unsigned pin_children(pid_t parent, int cpu, bool workers_only)
{
	char path[64], comm[32] = "";
	unsigned pinned = 0;
	FILE *children;
	pid_t child;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	children = fopen(path, "re");
	while (children && fscanf(children, "%d", &child) == 1) {
		OM_AUTO_FILE f = NULL;

		(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)child);
		f = fopen(path, "re");
		if (!workers_only || (f && fgets(comm, sizeof(comm), f) && strncmp(comm, "objmapper-worke", 15) == 0))
			pinned += pin_process(child, cpu);
	}
	if (children)
		(void)fclose(children);
	return pinned;
}

int bench_pin_server(const char *socket_path, int cpu, bool workers_only)
{
	pid_t listener = listener_of(socket_path);
	unsigned pinned = 0;

	if (listener <= 0)
		return bench_fail("--server-cpu: nobody listens at %s", socket_path);
	pinned = pin_children(listener, cpu, workers_only);
	if (!workers_only)
		pinned += pin_process(listener, cpu);
	return pinned ? BENCH_OK : bench_fail("--server-cpu: nothing of process %d could be bound to CPU %d", (int)listener, cpu);
}
