/*
 * om_sd.c: see om_sd.h. Runs in the supervisor only.
 */
#include "common/om_sd.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#if OM_HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>

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

#else
#include <fcntl.h>

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
#endif

/* The protocol of sd_notify(3): one datagram to NOTIFY_SOCKET. Not the library's: that one waits when the manager is busy. */
bool om_sd_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;

	if (len < 2 || len >= sizeof(sa.sun_path))
		return true;
	memcpy(sa.sun_path, path, len);
	if (sa.sun_path[0] == '@')
		sa.sun_path[0] = '\0';
	OM_AUTO_FD fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ssize_t n = fd < 0 ? -1 : sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa,
					 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	return n >= 0 || (errno != EAGAIN && errno != ENOBUFS && errno != EMFILE && errno != ENFILE && errno != ENOMEM);
}

/* One line: what follows a newline would be an assignment of its own. */
static bool say(const char *state, const char *status)
{
	char buf[512];
	int n = snprintf(buf, sizeof(buf), "%s\nSTATUS=%s", state, status);

	for (int i = (int)strlen(state) + 1; i < n && i < (int)sizeof(buf); i++)
		if (buf[i] == '\n')
			buf[i] = ' ';
	return om_sd_notify(buf);
}

bool om_sd_ready(const char *status) { return say("READY=1", status); }
bool om_sd_stopping(const char *status) { return say("STOPPING=1", status); }
bool om_sd_alive(void) { return om_sd_notify("WATCHDOG=1"); }

bool om_sd_reloading(void)
{
	char buf[96];

	(void)snprintf(buf, sizeof(buf), "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(om_now_ns() / 1000u));
	return om_sd_notify(buf);
}

void om_sd_extend(unsigned ms)
{
	char buf[64];

	(void)snprintf(buf, sizeof(buf), "EXTEND_TIMEOUT_USEC=%llu", ms * 1000ull);
	(void)om_sd_notify(buf); /* it is said again and again */
}

/* The protocol of sd_watchdog_enabled(3): WATCHDOG_USEC, and WATCHDOG_PID where it is not for whoever inherits it. */
uint64_t om_sd_watchdog_ns(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	char *end;

	if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid()))
		return 0;
	unsigned long long n = strtoull(usec, &end, 10);
	return *end || n > UINT64_MAX / 1000u ? 0 : (uint64_t)n * 1000u;
}

/* ---- the journal: its native protocol (systemd.io, "Native Journal Protocol"), one datagram a record. Not the library's
 * sd_journal_send(3): that one waits while the journal does not read, and a supervisor that waits serves nobody. */

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

struct record {
	size_t used;
	char room[OM_LOG_TEXT_MAX + OM_LOG_URI_MAX + 1024];
};

/* What does not fit is left out: room is made for the longest. */
static void add(struct record *r, const char *name, const char *value, size_t len)
{
	size_t head = strlen(name);
	bool plain = memchr(value, '\n', len) == NULL;
	char *to = r->room + r->used;

	if (head + len + 10 > sizeof(r->room) - r->used)
		return;
	memcpy(to, name, head);
	to += head;
	if (plain) {
		*to++ = '=';
	} else { /* a length in front, little-endian */
		*to++ = '\n';
		for (unsigned i = 0; i < 8; i++)
			*to++ = (char)((uint64_t)len >> (8 * i));
	}
	memcpy(to, value, len);
	to[len] = '\n';
	r->used = (size_t)(to + len + 1 - r->room);
}

static void add_text(struct record *r, const char *name, const char *value)
{
	if (value && *value)
		add(r, name, value, strlen(value));
}

static void add_u64(struct record *r, const char *name, uint64_t v)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	add_text(r, name, text);
}

static void add_all(struct record *r, enum om_msg id, enum om_log_prio prio, const char *text, const struct om_log_about *a)
{
	add_text(r, "MESSAGE", text);
	add_text(r, "MESSAGE_ID", om_msg_table[id].uuid);
	add_u64(r, "PRIORITY", (uint64_t)prio);
	add_text(r, "OBJM_EVENT", om_msg_table[id].name);
	add_text(r, "OBJM_PROCESS", a->process);
	add_text(r, "OBJM_TIER", a->tier);
	if (a->uri && a->uri_len)
		add(r, "OBJM_URI", a->uri, OM_MIN(a->uri_len, OM_LOG_URI_MAX));
	if (a->id)
		add_u64(r, "OBJM_ID", a->id);
	if (a->client)
		add_u64(r, "OBJM_CLIENT_UID", a->uid);
	if (a->client && a->pid > 0)
		add_u64(r, "OBJM_CLIENT_PID", (uint64_t)a->pid);
	if (a->asked)
		add_u64(r, "OBJM_REQUEST", a->request);
	if (a->timed)
		add_u64(r, "OBJM_DURATION_US", a->duration_us);
}

static int journal_fd = -1;

static void journal_open(void)
{
	journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* 0, or an errno: EAGAIN while it does not read. */
static int journal_send(const struct record *r)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static const struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET };

	(void)pthread_once(&once, journal_open);
	if (journal_fd < 0)
		return EBADF;
	return sendto(journal_fd, r->room, r->used, MSG_NOSIGNAL, (const struct sockaddr *)&sa, sizeof(sa)) < 0 ? errno : 0;
}

void om_sd_journal(enum om_msg id, enum om_log_prio prio, const char *text, void *arg)
{
	static const struct om_log_about nothing;
	static _Atomic unsigned lost;
	unsigned n = atomic_exchange(&lost, 0);
	struct record r = { .used = 0 };
	char line[96];

	(void)arg;
	if (n) {
		(void)snprintf(line, sizeof(line), "%u lines were lost: the journal did not read", n);
		add_all(&r, OM_MSG_NOTE, om_msg_table[OM_MSG_NOTE].prio, line, &nothing);
		if (journal_send(&r) != 0)
			(void)atomic_fetch_add(&lost, n);
		r.used = 0;
	}
	add_all(&r, id, prio, text, om_log_fields());
	int err = journal_send(&r);
	if (err == EAGAIN || err == ENOBUFS)
		(void)atomic_fetch_add(&lost, 1); /* standard error would wait for the same journal */
	else if (err != 0)
		om_log_stderr(id, prio, text, NULL);
}

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
