/*
 * million_proc.c: what the daemon's processes weigh, from /proc.
 */
#include "tests/torture/million.h"

#include <dirent.h>
#include <ftw.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

pid_t million_proc_find(const char *socket_path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t len = sizeof(peer);
	OM_AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", socket_path);
	/* The peer's credentials are those of who called listen(): the supervisor. */
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		fprintf(stderr, "million: %s: %s\n", socket_path, strerror(errno));
		return -1;
	}
	return peer.pid;
}

static int count_fds(pid_t pid)
{
	char path[64];
	DIR *d;
	int n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	if (!d)
		return -1;
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n - 2; /* "." and ".." */
}

static bool sample_one(pid_t pid, struct million_proc *ret)
{
	char path[64], line[256];
	struct million_proc p = {.pid = pid};

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	OM_AUTO_FILE f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		(void)sscanf(line, "Name: %15s", p.name);
		(void)sscanf(line, "RssAnon: %lu", &p.anon_kib);
		(void)sscanf(line, "RssFile: %lu", &p.file_kib);
		(void)sscanf(line, "RssShmem: %lu", &p.shmem_kib);
	}
	p.fds = count_fds(pid);
	*ret = p;
	return true;
}

void million_proc_sample(pid_t supervisor, struct million_sample *ret)
{
	char path[64];
	DIR *d;
	struct dirent *e;

	*ret = (struct million_sample){0};
	ret->n = sample_one(supervisor, &ret->procs[0]);
	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)supervisor);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		char children[512];
		int pid;

		(void)snprintf(children, sizeof(children), "%s/%s/children", path, e->d_name);
		OM_AUTO_FILE f = fopen(children, "re");
		while (f && ret->n < MILLION_PROCS_MAX && fscanf(f, "%d", &pid) == 1)
			ret->n += sample_one(pid, &ret->procs[ret->n]);
	}
	if (d)
		(void)closedir(d);
}

void million_proc_print(const struct million_sample *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		const struct million_proc *p = &s->procs[i];

		printf("    %-15s %7d  anon %8.1f MiB  file %8.1f MiB  shm %8.1f MiB  fds %d\n", p->name, (int)p->pid, (double)p->anon_kib / 1024,
		       (double)p->file_kib / 1024, (double)p->shmem_kib / 1024, p->fds);
	}
}

static bool is_worker(const struct million_proc *p)
{
	return strncmp(p->name, "objmapper-worke", 15) == 0; /* the kernel keeps 15 characters */
}

uint64_t million_proc_worker_anon_kib(const struct million_sample *s)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < s->n; i++)
		if (is_worker(&s->procs[i]))
			most = OM_MAX(most, s->procs[i].anon_kib);
	return most;
}

int million_proc_worker_fds(const struct million_sample *s)
{
	int most = -1;

	for (unsigned i = 0; i < s->n; i++)
		if (is_worker(&s->procs[i]))
			most = OM_MAX(most, s->procs[i].fds);
	return most;
}

static uint64_t files_seen; /* nftw() has no argument to pass */

static int see_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)st;
	(void)ftw;
	files_seen += type == FTW_F || type == FTW_NS;
	return 0;
}

uint64_t million_proc_files(const char *dir)
{
	files_seen = 0;
	return nftw(dir, see_file, 16, FTW_PHYS) < 0 ? UINT64_MAX : files_seen;
}
