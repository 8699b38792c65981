/*
 * om_sd.c: see om_sd.h. Runs in the supervisor only.
 */
#include "common/om_sd.h"

#include <sys/stat.h>

#if OM_HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

static_assert(OM_SD_FD_FIRST == SD_LISTEN_FDS_START, "systemd's first descriptor");

int om_sd_listen_fds(char ***ret_names)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);

	if (n < 0) {
		errno = -n;
		return -OBJM_STATUS_SYSTEM;
	}
	*ret_names = names;
	return n;
}

void om_sd_notify(const char *state)
{
	(void)sd_notify(0, state); /* a manager that does not listen is no error of ours */
}

void om_sd_journal(enum om_msg id, enum om_log_prio prio, const char *text, void *arg)
{
	(void)arg;
	if (sd_journal_send("MESSAGE=%s", text, "MESSAGE_ID=%s", om_msg_table[id].uuid, "PRIORITY=%i", (int)prio,
			    "OBJM_EVENT=%s", om_msg_table[id].name, NULL) < 0)
		om_log_stderr(id, prio, text, NULL);
}

#else
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The protocol of sd_listen_fds_with_names(3): LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES. */
int om_sd_listen_fds(char ***ret_names)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
	long n = fds ? strtol(fds, NULL, 10) : 0;

	*ret_names = NULL;
	if (!pid || strtol(pid, NULL, 10) != (long)getpid() || n <= 0 || n > 64)
		return 0;
	char **list = calloc((size_t)n + 1, sizeof(*list));
	if (!list)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	for (long i = 0; i < n; i++) {
		size_t len = names ? strcspn(names, ":") : 0;
		list[i] = names ? strndup(names, len) : strdup("unknown");
		names = names && names[len] ? names + len + 1 : NULL;
		(void)fcntl(OM_SD_FD_FIRST + (int)i, F_SETFD, FD_CLOEXEC);
	}
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	*ret_names = list;
	return (int)n;
}

/* The protocol of sd_notify(3): one datagram to NOTIFY_SOCKET. */
void om_sd_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;

	if (len < 2 || len >= sizeof(sa.sun_path))
		return;
	memcpy(sa.sun_path, path, len);
	if (sa.sun_path[0] == '@')
		sa.sun_path[0] = '\0';
	OM_AUTO_FD fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

void om_sd_journal(enum om_msg id, enum om_log_prio prio, const char *text, void *arg)
{
	om_log_stderr(id, prio, text, arg);
}
#endif

void om_sd_names_free(char **names, int n)
{
	for (int i = 0; names && i < n; i++)
		free(names[i]);
	free(names);
}

bool om_sd_under_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == dev && st.st_ino == ino;
}
