/*
 * bench_daemon.c: see bench_daemon.h.
 */
#include "bench/bench_daemon.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define LOG_SHOWN 2000L /* bytes */

/* objmapperd: of --programs; beside this program in a build directory; installed. */
static bool find_program(const struct bench_opts *o, struct bench_daemon *d)
{
	char self[256];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (o->programs)
		return snprintf(d->program, sizeof(d->program), "%s/supervisor/objmapperd", o->programs) < (int)sizeof(d->program) &&
		       access(d->program, X_OK) == 0;
	self[n > 0 ? n : 0] = '\0';
	for (int up = 0; up < 2; up++)
		if ((slash = strrchr(self, '/')))
			*slash = '\0';
	(void)snprintf(d->program, sizeof(d->program), "%s/supervisor/objmapperd", self);
	if (access(d->program, X_OK) < 0)
		(void)snprintf(d->program, sizeof(d->program), "%s/sbin/objmapperd", self);
	return access(d->program, X_OK) == 0;
}

static int write_conf(const struct bench_daemon *d)
{
	FILE *f = fopen(d->conf, "we");

	if (!f)
		return bench_fail("%s: %s", d->conf, strerror(errno));
	fprintf(f,
		"state_dir: %s\nlisten: {data: %s, admin: %s}\n%sthread_pool: {min_workers: 1, max_workers: 1}\n"
		"backends:\n  - {name: disk, type: ssd, path: %s, capacity: 64G}\n",
		d->state, d->data, d->admin, geteuid() == 0 ? "user: root\n" : "", d->tier);
	return fclose(f) == 0 ? BENCH_OK : bench_fail("%s: %s", d->conf, strerror(errno));
}

int bench_daemon_make(const struct bench_opts *o, struct bench_daemon *d)
{
	memset(d, 0, sizeof(*d));
	if (!find_program(o, d))
		return bench_fail("no objmapperd in %s: say --programs DIR, the build directory", o->programs ? o->programs : "this program's directories");
	bool fits = snprintf(d->dir, sizeof(d->dir), "%s/objm-bench-XXXXXX", o->dir ? o->dir : "/var/tmp") <= 80;
	if (!fits || !mkdtemp(d->dir)) {
		d->dir[0] = '\0';
		return bench_fail("--dir %s: %s", o->dir ? o->dir : "/var/tmp", fits ? strerror(errno) : "too long for a socket's path");
	}
	(void)snprintf(d->conf, sizeof(d->conf), "%s/objmapper.yaml", d->dir);
	(void)snprintf(d->data, sizeof(d->data), "%s/d.sock", d->dir);
	(void)snprintf(d->admin, sizeof(d->admin), "%s/a.sock", d->dir);
	(void)snprintf(d->state, sizeof(d->state), "%s/state", d->dir);
	(void)snprintf(d->tier, sizeof(d->tier), "%s/disk", d->dir);
	return write_conf(d);
}

int bench_daemon_spawn(struct bench_daemon *d)
{
	d->pid = fork();
	if (d->pid < 0) {
		d->pid = 0;
		return bench_fail("fork: %s", strerror(errno));
	}
	if (d->pid > 0)
		return BENCH_OK;
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	char log[300];
	(void)snprintf(log, sizeof(log), "%s/log", d->dir);
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	(void)dup2(null, 0);
	(void)dup2(fd, 1);
	(void)dup2(fd, 2);
	(void)execl(d->program, d->program, "--config", d->conf, (char *)NULL);
	_exit(127);
}

int bench_daemon_end(struct bench_daemon *d, int sig)
{
	int status = 0;
	pid_t pid = d->pid;

	d->pid = 0;
	if (pid <= 0)
		return BENCH_OK;
	(void)kill(pid, sig);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (sig == SIGTERM && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		return bench_fail("the daemon did not end cleanly (status %d)", status);
	return BENCH_OK;
}

json_t *bench_daemon_status(const struct bench_daemon *d)
{
	static const char request[] = "{\"cmd\":\"status\"}\n";
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = 5};
	OM_AUTO_FD sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char buf[65536];
	size_t got = 0;
	ssize_t n;

	memcpy(addr.sun_path, d->admin, OM_MIN(strlen(d->admin) + 1, sizeof(addr.sun_path) - 1));
	if (sock < 0 || setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0 || send(sock, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
		return NULL;
	do {
		n = recv(sock, buf + got, sizeof(buf) - got, 0);
		got += n > 0 ? (size_t)n : 0;
	} while (n > 0 && got < sizeof(buf) && !memchr(buf, '\n', got));
	return json_loadb(buf, got, JSON_DISABLE_EOF_CHECK, NULL);
}

void bench_daemon_show_log(const struct bench_daemon *d)
{
	char path[300], line[1024];
	OM_AUTO_FILE f = NULL;

	(void)snprintf(path, sizeof(path), "%s/log", d->dir);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fseek(f, -LOG_SHOWN, SEEK_END) == 0)
		(void)fgets(line, sizeof(line), f); /* from the middle of one */
	else
		rewind(f);
	fputs("objm-bench: the end of the daemon's log:\n", stderr);
	while (fgets(line, sizeof(line), f))
		fputs(line, stderr);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	(void)remove(path); /* what stays is seen by the next look at the directory */
	return 0;
}

void bench_daemon_remove(struct bench_daemon *d)
{
	(void)bench_daemon_end(d, SIGKILL);
	if (d->dir[0])
		(void)nftw(d->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
