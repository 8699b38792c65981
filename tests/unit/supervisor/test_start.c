/*
 * test_start.c: what the supervisor takes of its surroundings: sockets (stale, alive, mode, handed over), directories, the
 * lock, limits, users, and what it tells systemd.
 */
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "common/om_log.h"
#include "common/om_sd.h"
#include "supervisor/sup_dir.h"
#include "supervisor/sup_sock.h"

static char dir[40], path[60];
static const struct sup_sock_perm plain = { .mode = 0660, .uid = (uid_t)-1, .gid = (gid_t)-1 };
static const struct sup_owner nobody_in_particular = { 0 };

static int setup(void **state)
{
	(void)state;
	om_log_level((enum om_log_prio)0); /* what is refused is refused silently here */
	(void)umask(0077);
	(void)snprintf(dir, sizeof(dir), "/tmp/sup-test-start-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/sock", dir);
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];
	(void)state;
	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static bool connects(const char *to)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	OM_AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", to);
	return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;
}

/* ---- sockets ---- */

static void test_bind(void **state)
{
	struct sup_sock_perm perm = plain;
	struct sup_sock s, again = { .fd = -1 };
	struct stat st;
	(void)state;

	assert_int_equal(sup_sock_unix(path, &plain, OM_LISTEN_DATA, &s), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660); /* in spite of the umask */
	assert_true(connects(path));
	assert_true(fcntl(s.fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(s.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(sup_sock_unix(path, &plain, OM_LISTEN_DATA, &again), -OBJM_STATUS_BUSY); /* somebody serves there */
	assert_true(connects(path));
	(void)close(s.fd); /* as after a kill: the file stays, nobody accepts */
	assert_false(connects(path));
	perm.mode = 0600;
	assert_int_equal(sup_sock_unix(path, &perm, OM_LISTEN_DATA, &again), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(connects(path));
	(void)close(again.fd);
	free(s.name);
	free(again.name);
}

static void test_full_queue_is_alive(void **state)
{
	struct sup_sock s, other;
	int fd[8];
	(void)state;

	assert_int_equal(sup_sock_unix(path, &plain, OM_LISTEN_DATA, &s), 0);
	assert_int_equal(listen(s.fd, 0), 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(fd); i++) {
		fd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)!connect(fd[i], (struct sockaddr *)&sa, sizeof(sa));
	}
	assert_int_equal(sup_sock_unix(path, &plain, OM_LISTEN_DATA, &other), -OBJM_STATUS_BUSY);
	for (unsigned i = 0; i < OM_ARRAY_SIZE(fd); i++)
		(void)close(fd[i]);
	(void)close(s.fd);
	free(s.name);
}

static void test_what_is_no_socket_stays(void **state)
{
	struct sup_sock s;
	struct stat st;
	char longer[200];
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	(void)state;

	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(sup_sock_unix(path, &plain, OM_LISTEN_DATA, &s), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/tmp/sup-test-nowhere", path), 0); /* nor a link to somewhere else */
	assert_int_equal(sup_sock_unix(path, &plain, OM_LISTEN_DATA, &s), -OBJM_STATUS_INVALID_REQUEST);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(sup_sock_unix(longer, &plain, OM_LISTEN_DATA, &s), -OBJM_STATUS_SYSTEM);
}

static void test_group(void **state)
{
	struct sup_sock_perm perm = plain;
	struct sup_sock s;
	struct stat st;
	gid_t groups[64];
	int n = getgroups(64, groups);
	(void)state;

	perm.chown = true;
	perm.gid = geteuid() == 0 ? 12345 : n > 0 ? groups[n - 1] : getegid();
	assert_int_equal(sup_sock_unix(path, &perm, OM_LISTEN_DATA, &s), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_gid, perm.gid);
	(void)close(s.fd);
	free(s.name);
	if (geteuid() == 0)
		return;
	perm.gid = 0; /* a group that we are not in: refused, and nothing is left behind */
	assert_int_equal(sup_sock_unix(path, &perm, OM_LISTEN_DATA, &s), -OBJM_STATUS_SYSTEM);
	assert_int_equal(lstat(path, &st), -1);
}

static void test_unlink_only_ours(void **state)
{
	struct sup_socks socks = { .n = 2 };
	char second[140];
	struct stat st;
	(void)state;

	(void)snprintf(second, sizeof(second), "%s2", path);
	assert_int_equal(sup_sock_unix(path, &plain, OM_LISTEN_DATA, &socks.v[0]), 0);
	assert_int_equal(sup_sock_unix(second, &plain, SUP_SOCK_ADMIN, &socks.v[1]), 0);
	assert_int_equal(unlink(second), 0);
	int fd = open(second, O_CREAT | O_WRONLY | O_CLOEXEC, 0600); /* somebody put something else there */
	(void)close(fd);
	sup_sock_fini(&socks);
	assert_int_equal(lstat(path, &st), -1);
	assert_int_equal(lstat(second, &st), 0);
}

static void test_tcp(void **state)
{
	struct om_conf_tcp tcp = { .addr_len = sizeof(struct sockaddr_in), .text = (char *)(uintptr_t)"127.0.0.1:0" };
	struct sockaddr_in *in = (struct sockaddr_in *)&tcp.addr;
	struct sup_sock s, other;
	socklen_t len = sizeof(*in);
	(void)state;

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(sup_sock_tcp(&tcp, &s), 0);
	assert_int_equal(getsockname(s.fd, (struct sockaddr *)in, &len), 0);
	assert_int_equal(sup_sock_tcp(&tcp, &other), -OBJM_STATUS_SYSTEM);
	assert_int_equal(errno, EADDRINUSE);
	(void)close(s.fd);
	free(s.name);
}

static void test_handed_over(void **state)
{
	struct sup_socks socks = { 0 };
	struct sup_sock data, admin;
	char second[140];
	char *names[] = { (char *)(uintptr_t)"objmapper.socket", (char *)(uintptr_t)"admin", (char *)(uintptr_t)"mystery",
			  (char *)(uintptr_t)"data", (char *)(uintptr_t)"tcp", (char *)(uintptr_t)"admin" };
	const int first = 700;
	(void)state;

	(void)snprintf(second, sizeof(second), "%s2", path);
	assert_int_equal(sup_sock_unix(path, &plain, OM_LISTEN_DATA, &data), 0);
	assert_int_equal(sup_sock_unix(second, &plain, SUP_SOCK_ADMIN, &admin), 0);
	const int from[] = { data.fd, admin.fd, admin.fd, 0, data.fd, admin.fd }; /* then: a stranger, no socket, not TCP, one too many */
	for (unsigned i = 0; i < OM_ARRAY_SIZE(from); i++)
		assert_int_equal(dup3(from[i], first + (int)i, O_CLOEXEC), first + (int)i);
	sup_sock_adopt(&socks, first, OM_ARRAY_SIZE(from), names);
	assert_int_equal(socks.n, 2);
	assert_int_equal(sup_sock_find(&socks, OM_LISTEN_DATA)->fd, first);
	assert_int_equal(sup_sock_find(&socks, SUP_SOCK_ADMIN)->fd, first + 1);
	assert_null(sup_sock_find(&socks, OM_LISTEN_TCP));
	for (unsigned i = 2; i < OM_ARRAY_SIZE(from); i++)
		assert_int_equal(fcntl(first + (int)i, F_GETFD), -1); /* closed, not kept */
	sup_sock_fini(&socks);
	struct stat st;
	assert_int_equal(lstat(path, &st), 0); /* systemd's path is systemd's */
	(void)close(data.fd);
	(void)close(admin.fd);
	free(data.name);
	free(admin.name);
}

/* ---- directories, lock ---- */

static void test_directories(void **state)
{
	char deep[160], file[160];
	struct stat st;
	(void)state;

	(void)snprintf(deep, sizeof(deep), "%s/a/b//c/", dir);
	assert_int_equal(sup_dir_make(deep, 0750, &nobody_in_particular), 0);
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(chmod(deep, 0711), 0);
	assert_int_equal(sup_dir_make(deep, 0755, &nobody_in_particular), 0); /* what stands stays as it is */
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	(void)snprintf(file, sizeof(file), "%s/a/file", dir);
	(void)close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_true(sup_dir_make(file, 0755, &nobody_in_particular) < 0);
	assert_int_equal(errno, ENOTDIR);
	assert_true(sup_dir_make("relative/path", 0755, &nobody_in_particular) < 0);
	(void)snprintf(deep, sizeof(deep), "%s/p/q/sock", dir);
	assert_int_equal(sup_dir_make_parent(deep, 0700, &nobody_in_particular), 0);
	(void)snprintf(deep, sizeof(deep), "%s/p/q", dir);
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	(void)snprintf(deep, sizeof(deep), "%s/p", dir);
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755); /* others may pass through to what is theirs */
}

static void test_lock(void **state)
{
	int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), lock = -1, second = -1, hold[2], status;
	long holder = -1;
	char name[100], c;
	(void)state;

	assert_int_equal(sup_dir_lock(dirfd, 0, &lock, &holder), 0);
	assert_int_equal(holder, 0);
	assert_int_equal(sup_dir_lock(dirfd, 50, &second, &holder), -OBJM_STATUS_BUSY);
	assert_int_equal(holder, getpid()); /* the message can name it */
	/* a child that inherited the description holds it, too, after we have let go */
	assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		(void)close(hold[1]);
		(void)!read(hold[0], &c, 1);
		_exit(0);
	}
	(void)close(lock);
	(void)close(hold[0]);
	assert_int_equal(sup_dir_lock(dirfd, 50, &second, &holder), -OBJM_STATUS_BUSY);
	(void)close(hold[1]); /* it ends while we wait */
	assert_int_equal(sup_dir_lock(dirfd, 5000, &second, &holder), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(second);
	(void)snprintf(name, sizeof(name), "%s/run.lock", dir);
	assert_int_equal(unlink(name) | symlink("/etc/passwd", name), 0);
	assert_int_equal(sup_dir_lock(dirfd, 0, &second, &holder), -OBJM_STATUS_SYSTEM);
	(void)close(dirfd);
}

/* ---- user, limits ---- */

static void test_user(void **state)
{
	struct sup_user u;
	gid_t gid;
	(void)state;

	assert_int_equal(sup_priv_group("no-such-group-here", &gid), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(sup_priv_group("77", &gid), 0);
	assert_int_equal(gid, 77);
	assert_int_equal(sup_priv_user("", "no-such-user-here", &u), 0);
	assert_true(!u.drop && u.uid == geteuid());
	if (geteuid() != 0) {
		assert_int_equal(sup_priv_user("no-such-user-here", NULL, &u), 0); /* not root: `user` is not looked at */
		return;
	}
	assert_int_equal(sup_priv_user("no-such-user-here", NULL, &u), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(sup_priv_user("root", NULL, &u), 0);
	assert_false(u.drop);
	assert_int_equal(sup_priv_user("54321", NULL, &u), 0);
	assert_true(u.drop && u.uid == 54321 && u.gid == 54321);
	/* for good, and with nothing left of root */
	pid_t pid = fork();
	if (pid == 0) {
		int fd;
		if (sup_priv_borrow(&u) < 0 || geteuid() != 54321 || sup_priv_unborrow(&u) < 0 || geteuid() != 0)
			_exit(1);
		if (sup_priv_drop(&u) < 0 || getuid() != 54321 || getegid() != 54321 || getgroups(0, NULL) != 0)
			_exit(2);
		fd = open("/etc/shadow", O_RDONLY);
		if (fd >= 0 || setuid(0) == 0 || seteuid(0) == 0 || setgroups(0, NULL) == 0)
			_exit(3);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_nofile(void **state)
{
	uint64_t have;
	(void)state;

	pid_t pid = fork();
	if (pid == 0) {
		struct rlimit r = { 64, 256 };
		if (setrlimit(RLIMIT_NOFILE, &r) < 0 || (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0))
			_exit(1);
		if (sup_priv_nofile(200, &have) < 0 || have < 200)
			_exit(2);
		if (sup_priv_nofile(1000, &have) != -OBJM_STATUS_LIMIT_EXCEEDED || have != 256)
			_exit(3); /* as far as it goes */
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- systemd ---- */

static void test_notify(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char buf[256];
	(void)state;

	om_sd_notify("nobody listens"); /* no NOTIFY_SOCKET: nothing happens */
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
	om_sd_notify("READY=1\nSTATUS=2 workers, 2 tiers");
	ssize_t n = recv(fd, buf, sizeof(buf), 0);
	assert_true(n > 0);
	assert_memory_equal(buf, "READY=1\nSTATUS=2 workers, 2 tiers", (size_t)n);
	(void)close(fd);
	om_sd_notify("STOPPING=1"); /* it went away: no error, no signal */
	(void)unsetenv("NOTIFY_SOCKET");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_bind), T(test_full_queue_is_alive), T(test_what_is_no_socket_stays), T(test_group), T(test_unlink_only_ours),
		T(test_tcp),  T(test_handed_over),	   T(test_directories),		    T(test_lock),  T(test_user),
		T(test_nofile), T(test_notify),
	};
	return cmocka_run_group_tests_name("supervisor/start", tests, NULL, NULL);
}
