/*
 * test_put_legacy.c: writes by existing clients: the object appears when the last writable descriptor is closed; not when it
 * was never written, not when the client hung up first, not when the writer was killed.
 *
 * The client is a child process: connected over a Unix socket, so that the kernel knows who it is; it gets the descriptor with
 * a higher number than its socket, as every real one does, and so has it closed first when it is killed.
 */
#include "put_fix.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/om_fdpass.h"

static struct put_fix f;
static struct wrk_legacy_owner owner;
static int conn = -1;
static pid_t child;

/* ---- the client ---- */

enum act { A_WRITE = 'w', A_CLOSE = 'c', A_EXIT = 'x', A_MAP = 'm', A_FORK = 'f' };

static int client_recv(int s, char *ret_act, int *ret_fd)
{
	size_t len;
	unsigned n = 0;
	int fd = -1;

	if (om_fdpass_recv(s, ret_act, 1, &len, &fd, 1, &n) < 0)
		return -1;
	if (n > 0)
		*ret_fd = fd;
	return 0;
}

static _Noreturn void client(int s)
{
	int fd = -1;
	char act;

	while (client_recv(s, &act, &fd) == 0) {
		switch (act) {
		case A_WRITE:
			(void)!write(fd, "bytes", 5);
			break;
		case A_CLOSE:
			om_close(&fd);
			break;
		case A_MAP:
			(void)!ftruncate(fd, 4096);
			(void)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
			break;
		case A_FORK:
			if (fork() == 0) {
				(void)close(s);
				(void)usleep(300000);
				(void)!write(fd, "+more", 5);
				_exit(0);
			}
			break;
		case A_EXIT:
			_exit(0);
		default:
			break;
		}
		(void)!send(s, "k", 1, MSG_NOSIGNAL);
	}
	_exit(0);
}

static void tell(char act, int fd)
{
	char ok;

	assert_int_equal(om_fdpass_send(conn, &act, 1, &fd, fd >= 0 ? 1 : 0), 0);
	if (act != A_EXIT)
		assert_int_equal(recv(conn, &ok, 1, 0), 1);
}

static void start_client(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int l = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/s", f.dirs[1]);
	assert_int_equal(bind(l, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(l, 1), 0);
	child = fork();
	if (child == 0) {
		int s = socket(AF_UNIX, SOCK_SEQPACKET, 0);
		(void)connect(s, (struct sockaddr *)&a, sizeof(a));
		(void)syscall(SYS_close_range, 0, (unsigned)s - 1, 0);
		(void)syscall(SYS_close_range, (unsigned)s + 1, ~0u, 0);
		client(s);
	}
	conn = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	assert_true(conn >= 0);
	(void)close(l);
	(void)unlink(a.sun_path);
	wrk_legacy_owner_init(&owner, 1000, conn);
}

/* ---- the connection's side ---- */

static int setup(void **state)
{
	(void)state;
	put_fix_start(&f, OM_DUR_SYNC, NULL);
	start_client();
	return 0;
}

static void hang_up(void)
{
	if (conn < 0)
		return;
	wrk_legacy_owner_close(f.w.legacy, &owner);
	om_close(&conn);
}

/* As wrk_conn_set.c does: turn the loop; when the socket says so, the connection is over. */
static void live(unsigned ms)
{
	uint64_t due = om_now_ns() + ms * UINT64_C(1000000);

	do {
		struct pollfd p = { .fd = conn, .events = POLLRDHUP };
		put_fix_for(&f, 1);
		if (conn >= 0 && poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLRDHUP)))
			hang_up();
	} while (om_now_ns() < due);
}

static int teardown(void **state)
{
	(void)state;
	hang_up();
	if (child > 0) {
		(void)kill(child, SIGKILL);
		(void)waitpid(child, NULL, 0);
		child = 0;
	}
	live(400);
	assert_int_equal(wrk_put_count(f.w.puts), 0);
	put_fix_stop(&f);
	return 0;
}

static void create(const char *uri, bool ephemeral)
{
	unsigned n = f.n_begun;
	const char *text;

	assert_int_equal(wrk_legacy_create(f.w.legacy, &owner, uri, (uint16_t)strlen(uri), ephemeral, put_fix_begun, &f, &text), 0);
	put_fix_until(&f, &f.n_begun, n + 1);
	assert_int_equal(f.begun.status, 0);
	tell('n', f.begun.fd);
	(void)close(f.begun.fd);
}

static void reap(int want_signal)
{
	int st;

	assert_int_equal(waitpid(child, &st, 0), child);
	assert_int_equal(WIFSIGNALED(st) ? WTERMSIG(st) : 0, want_signal);
	child = 0;
}

static void is(unsigned tier, const char *bytes)
{
	char buf[32];
	ssize_t n = put_fix_read(&f, tier, f.last.id, buf, sizeof(buf), NULL);

	assert_int_equal(n, strlen(bytes));
	assert_memory_equal(buf, bytes, (size_t)n);
}

/* ---- */

static void test_written_and_closed(void **state)
{
	(void)state;
	create("/legacy", false);
	tell(A_WRITE, -1);
	live(50);
	assert_int_equal(f.prepares, 0); /* not before the close */
	tell(A_CLOSE, -1);
	put_fix_until(&f, &f.commits, 1);
	assert_string_equal(f.last_uri, "/legacy");
	assert_int_equal(f.last.flags, 0);
	is(1, "bytes");
}

static void test_ephemeral(void **state)
{
	(void)state;
	create("/legacy", true);
	tell(A_WRITE, -1);
	tell(A_CLOSE, -1);
	put_fix_until(&f, &f.commits, 1);
	assert_int_equal(f.last.flags, OM_OBJ_EPHEMERAL);
	is(0, "bytes");
}

static void test_never_written(void **state)
{
	(void)state;
	create("/legacy", false);
	tell(A_CLOSE, -1);
	live(100);
	assert_int_equal(f.prepares, 0);
	assert_int_equal(wrk_put_count(f.w.puts), 0);
}

static void test_killed(void **state)
{
	(void)state;
	create("/legacy", false);
	tell(A_WRITE, -1);
	(void)kill(child, SIGKILL);
	reap(SIGKILL);
	live(300);
	assert_int_equal(f.prepares, 0);
	assert_int_equal(wrk_put_count(f.w.puts), 0);
}

/* Nobody waits for the dead one for a while. */
static void test_killed_and_reaped_late(void **state)
{
	(void)state;
	create("/legacy", false);
	tell(A_WRITE, -1);
	(void)kill(child, SIGKILL);
	live(500);
	reap(SIGKILL);
	live(200);
	assert_int_equal(f.prepares, 0);
	assert_int_equal(wrk_put_count(f.w.puts), 0);
}

static void test_killed_many(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		if (i > 0) {
			hang_up();
			start_client();
		}
		create("/legacy", false);
		tell(A_WRITE, -1);
		if (i % 2)
			live(i);
		(void)kill(child, SIGKILL);
		if (i % 3)
			(void)usleep(i * 200);
		live(i % 5);
		reap(SIGKILL);
		live(60);
		assert_int_equal(f.prepares, 0);
	}
}

static void test_closed_then_ended(void **state)
{
	(void)state;
	create("/legacy", false);
	tell(A_WRITE, -1);
	tell(A_CLOSE, -1);
	tell(A_EXIT, -1); /* at once: the hang-up comes while it settles */
	reap(0);
	live(300);
	assert_int_equal(f.commits, 1);
	is(1, "bytes");
}

static void test_ended_without_close(void **state)
{
	(void)state;
	create("/legacy", false);
	tell(A_WRITE, -1);
	tell(A_EXIT, -1); /* its end closes it, and it ended well */
	reap(0);
	live(300);
	assert_int_equal(f.commits, 1);
	is(1, "bytes");
}

static void test_closed_then_killed_later(void **state)
{
	(void)state;
	create("/legacy", false);
	tell(A_WRITE, -1);
	tell(A_CLOSE, -1);
	for (int i = 0; i < 500 && f.prepares == 0; i++)
		live(10); /* the close has been taken for what it is: from here on the writer does not matter */
	(void)kill(child, SIGKILL);
	reap(SIGKILL);
	for (int i = 0; i < 500 && f.commits == 0; i++)
		live(10);
	assert_int_equal(f.commits, 1); /* it was closed on purpose */
}

static void test_hang_up_before_close(void **state)
{
	(void)state;
	create("/legacy", false);
	tell(A_WRITE, -1);
	hang_up(); /* the server's own, too: idle, drain */
	live(50);
	assert_int_equal(f.prepares, 0);
	assert_int_equal(wrk_put_count(f.w.puts), 0);
}

static void test_mapping_keeps_it(void **state)
{
	(void)state;
	create("/legacy", false);
	tell(A_MAP, -1);
	tell(A_CLOSE, -1);
	live(100);
	assert_int_equal(f.prepares, 0); /* the mapping still writes */
	(void)kill(child, SIGKILL);
	reap(SIGKILL);
	live(100);
	assert_int_equal(f.prepares, 0);
}

static void test_child_keeps_it(void **state)
{
	(void)state;
	create("/legacy", false);
	tell(A_WRITE, -1);
	tell(A_FORK, -1);
	tell(A_CLOSE, -1);
	live(100);
	assert_int_equal(f.prepares, 0);
	live(400); /* the child wrote more and ended */
	assert_int_equal(f.commits, 1);
	is(1, "bytes+more");
}

static void test_two_files(void **state)
{
	(void)state;
	create("/one", false);
	tell(A_WRITE, -1);
	tell(A_CLOSE, -1);
	create("/two", false);
	tell(A_WRITE, -1);
	put_fix_until(&f, &f.commits, 1);
	assert_string_equal(f.last_uri, "/one");
	tell(A_CLOSE, -1);
	put_fix_until(&f, &f.commits, 2);
	assert_string_equal(f.last_uri, "/two");
}

static void test_names(void **state)
{
	const char *uri;
	uint16_t len;

	(void)state;
	assert_true(wrk_legacy_delete_name("/delete/a/b", 11, &uri, &len));
	assert_int_equal(len, 4);
	assert_memory_equal(uri, "/a/b", 4);
	assert_false(wrk_legacy_delete_name("/delete", 7, &uri, &len));
	assert_true(wrk_legacy_delete_name("/deleted", 8, &uri, &len)); /* of d, if there is no /deleted */
	assert_int_equal(len, 1);
	assert_memory_equal(uri, "d", 1);
	assert_false(wrk_legacy_delete_name("/del", 4, &uri, &len));
	assert_true(wrk_legacy_is_list("/list", 5));
	assert_true(wrk_legacy_is_list("/list/a", 7));
	assert_false(wrk_legacy_is_list("/lists", 6));
	assert_non_null(strstr(wrk_legacy_list_text(), "objmctl"));
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(written_and_closed), T(ephemeral), T(never_written), T(killed), T(killed_and_reaped_late), T(killed_many),
		T(closed_then_ended), T(ended_without_close), T(closed_then_killed_later), T(hang_up_before_close),
		T(mapping_keeps_it), T(child_keeps_it), T(two_files), cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
