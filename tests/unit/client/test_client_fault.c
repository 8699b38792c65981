/*
 * test_client_fault.c: sessions against a server that cuts, stalls, lies, refuses and dies.
 *
 * Every fault ends in one of two ways: the call succeeds because it was repeated, or it fails with an error that says
 * what is
 * known. Nothing hangs, nothing is applied twice, no descriptor is left over.
 */
#define CLIENT_TEST_FAKE
#include "tests/unit/client/client_test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>



static struct objm_options patience(uint32_t retry_ms, uint32_t call_ms)
{
	struct objm_options o = OBJM_OPTIONS_INIT;

	o.retry_ms = retry_ms;
	o.call_timeout_ms = call_ms;
	return o;
}

static int session(uint32_t retry_ms, uint32_t call_ms)
{
	struct objm_options o = patience(retry_ms, call_ms);

	return objm_open(f->path, &o, &s);
}

static int setup(void **state)
{
	struct objm_options o = patience(3000, 3000);

	(void)state;
	return fake_begin(&o);
}

static void new_session(void)
{
	objm_close(s);
	s = NULL;
	if (session(3000, 3000) < 0)
		fail_msg("%s", objm_error(NULL));
}

/* ---------------------------------------------------------------- in pieces */

static char big[200000];

/* Every call once, with what it has to give. */
static void all_calls(void)
{
	const char *uris[] = {"/a", "/none", "/b"};
	struct objm_result res[3];
	const struct objm_entry *e;
	struct objm_stat *st;
	objm_list_t *l;
	objm_put_t *put;
	char b[32];
	size_t n;
	int fd, r, count = 0;

	OK(objm_put_buf(s, "/a", "small", 5, NULL, NULL));
	OK(objm_put_buf(s, "/b", big, sizeof(big), NULL, NULL));
	OK(objm_put_begin(s, "/c", NULL, &put));
	assert_int_equal(write(objm_put_writefd(put), "steps", 5), 5);
	OK(objm_put_commit(put, NULL));
	OK(objm_get(s, "/a", 0, NULL, &fd));
	assert_int_equal(pread(fd, b, sizeof(b), 0), 5);
	close(fd);
	memset(res, 1, sizeof(res)); /* what lies there before counts for nothing */
	OK(objm_get_many(s, uris, 3, 0, res));
	assert_int_equal(res[1].status, -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(pread(res[0].fd, b, sizeof(b), 0), 5);
	assert_int_equal(pread(res[2].fd, b, 1, sizeof(big) - 1), 1);
	close(res[0].fd);
	close(res[2].fd);
	OK(objm_read(s, "/c", b, sizeof(b), &n, NULL));
	assert_memory_equal(b, "steps", 5);
	OK(objm_stat(s, "/b", &st));
	assert_int_equal(st->info.size, sizeof(big));
	objm_stat_free(st);
	OK(objm_list_open(s, NULL, &l));
	while ((r = objm_list_next(l, &e)) > 0)
		count++;
	assert_int_equal(r, 0);
	assert_int_equal(count, 3);
	objm_list_close(l);
	OK(objm_delete(s, "/c", NULL));
}

static void test_answers_in_pieces(void **state)
{
	static const int chunks[] = {1, 2, 3, 7, 23, 24, 25, 64};
	size_t i;

	(void)state;
	for (i = 0; i < OM_ARRAY_SIZE(chunks); i++) {
		f->chunk = chunks[i];
		new_session();
		all_calls();
	}
}

/* ---------------------------------------------------------------- cut */

/* The connection is cut after `at` bytes: once; the call that was under way succeeds on the next. */
static void cut_once(int at)
{
	f->cut_after = at;
	f->cut_conns = 1;
}

static void test_reads_survive_a_cut_at_every_byte(void **state)
{
	const char *uris[] = {"/a", "/none", "/a"};
	int at, fd, r;

	(void)state;
	OK(objm_put_buf(s, "/a", "bytes", 5, NULL, NULL));
	for (at = 58; at < 500; at++) { /* the handshake takes 10 + 52 bytes */
		struct objm_result res[3];
		const struct objm_entry *e;
		struct objm_stat *st;
		objm_list_t *l;

		f->cut_conns = 0;
		new_session();
		cut_once(at);
		OK(objm_get(s, "/a", 0, NULL, &fd));
		close(fd);
		memset(res, at % 2, sizeof(res));
		OK(objm_get_many(s, uris, 3, 0, res));
		assert_int_equal(res[0].status, 0);
		assert_int_equal(res[1].status, -OBJM_STATUS_NOT_FOUND);
		assert_int_equal(res[2].status, 0);
		close(res[0].fd);
		close(res[2].fd);
		OK(objm_stat(s, "/a", &st));
		objm_stat_free(st);
		OK(objm_list_open(s, NULL, &l));
		r = objm_list_next(l, &e);
		assert_int_equal(r, 1);
		assert_string_equal(e->uri, "/a");
		objm_list_close(l);
	}
}

static void test_handshake_cut_at_every_byte(void **state)
{
	int at, fd;

	(void)state;
	OK(objm_put_buf(s, "/a", "bytes", 5, NULL, NULL));
	for (at = 0; at < 62; at++) {
		objm_close(s);
		s = NULL;
		cut_once(at);
		/* A server that takes the connection and leaves within the handshake is restarting: opening repeats ... */
		assert_int_equal(session(3000, 3000), 0);
		/* ... and so does a call that has to reconnect. */
		f->die_op = OM_PROTO_OP_GET;
		f->die_count = 1;
		cut_once(1000000);
		OK(objm_ping(s));
		cut_once(at);
		OK(objm_get(s, "/a", 0, NULL, &fd));
		close(fd);
		f->cut_conns = 0;
	}
}

static void test_puts_survive_a_cut_at_every_byte(void **state)
{
	struct objm_info info;
	char *p;
	size_t n;
	int at;

	(void)state;
	for (at = 62; at < 300; at += 3) {
		f->cut_conns = 0;
		new_session();
		cut_once(at);
		OK(objm_put_buf(s, "/small", "small", 5, NULL, &info));
		OK(objm_put_buf(s, "/big", big, sizeof(big), NULL, &info));
		f->cut_conns = 0;
		OK(objm_read_alloc(s, "/big", 1u << 20, (void **)&p, &n, NULL));
		assert_int_equal(n, sizeof(big));
		assert_memory_equal(p, big, sizeof(big));
		free(p);
	}
}

/* With a condition: applied once or not at all, and the answer says so or says that it does not know. */
static void test_conditional_puts_are_not_repeated(void **state)
{
	struct objm_put_options o = OBJM_PUT_OPTIONS_INIT;
	int at, r, before, unknown = 0, known = 0;
	char uri[32];
	size_t len;

	(void)state;
	o.cond.kind = OBJM_COND_ABSENT;
	for (at = 62; at < 320; at += 2) {
		f->cut_conns = 0;
		new_session();
		len = at % 4 ? 5 : sizeof(big);
		(void)snprintf(uri, sizeof(uri), "/%d", at);
		before = f->applied;
		cut_once(at);
		r = objm_put_buf(s, uri, big, len, &o, NULL);
		if (r < 0) {
			assert_int_equal(r, -OBJM_STATUS_TIMEOUT);
			assert_non_null(strstr(objm_error(s), "outcome unknown"));
			unknown++;
		} else {
			assert_int_equal(f->applied, before + 1);
			known++;
		}
		assert_true(f->applied <= before + 1);
	}
	assert_true(unknown > 10 && known > 10);
}

static void test_delete_that_was_already_done(void **state)
{
	struct objm_cond cond = {OBJM_COND_VERSION, 0, 0};
	struct objm_info info;

	(void)state;
	OK(objm_put_buf(s, "/d", "x", 1, NULL, &info));
	f->die_op = OM_PROTO_OP_DELETE;
	f->die_applied = 1;
	f->die_count = 1;
	OK(objm_delete(s, "/d", NULL)); /* the second try finds nothing: the first did it */
	OK(objm_put_buf(s, "/d", "x", 1, NULL, &info));
	cond.id = info.id;
	f->die_count = 1;
	assert_int_equal(objm_delete(s, "/d", &cond), -OBJM_STATUS_TIMEOUT);
	/* On a connection that is known to be lost nothing was sent: no doubt then. */
	OK(objm_put_buf(s, "/d", "x", 1, NULL, &info));
	cond.id = info.id;
	fake_restart(f);
	assert_int_equal(objm_delete(s, "/d", &cond), -OBJM_STATUS_NOT_FOUND); /* the new server has no objects */
}

static void test_put_in_steps_loses_its_connection(void **state)
{
	objm_put_t *put, *second;
	char bytes[64];
	size_t n;

	(void)state;
	OK(objm_put_begin(s, "/p", NULL, &put));
	assert_int_equal(write(objm_put_writefd(put), "first", 5), 5);
	fake_restart(f);
	/* The next one has the same number, on another connection: neither is taken for the other. */
	OK(objm_put_begin(s, "/q", NULL, &second));
	assert_int_equal(write(objm_put_writefd(second), "second", 6), 6);
	OK(objm_put_commit(put, NULL)); /* it began again, from what had been written */
	assert_int_equal(f->aborted, 0);
	OK(objm_put_commit(second, NULL));
	OK(objm_read(s, "/p", bytes, sizeof(bytes), &n, NULL));
	assert_int_equal(n, 5);
	assert_memory_equal(bytes, "first", 5);
	OK(objm_read(s, "/q", bytes, sizeof(bytes), &n, NULL));
	assert_int_equal(n, 6);
	assert_memory_equal(bytes, "second", 6);
	/* With nothing in between. */
	OK(objm_put_begin(s, "/p", NULL, &put));
	assert_int_equal(write(objm_put_writefd(put), "third", 5), 5);
	fake_restart(f);
	assert_true(objm_put_writefd(put) >= 0);
	OK(objm_put_commit(put, NULL));
	OK(objm_read(s, "/p", bytes, sizeof(bytes), &n, NULL));
	assert_memory_equal(bytes, "third", 5);
	/* Lost before the answer. */
	OK(objm_put_begin(s, "/p", NULL, &put));
	f->die_op = OM_PROTO_OP_PUT_COMMIT;
	f->die_count = 1;
	assert_int_equal(objm_put_commit(put, NULL), -OBJM_STATUS_TIMEOUT);
	objm_put_abort(put);
}

static void test_pipe_cannot_begin_again(void **state)
{
	int fds[2], status;
	pid_t child;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		if (write(fds[1], big, sizeof(big)) < 0)
			_exit(1);
		_exit(0);
	}
	close(fds[1]);
	f->die_op = OM_PROTO_OP_PUT_COMMIT;
	f->die_count = 1;
	assert_int_equal(objm_put_fd(s, "/pipe", fds[0], NULL, NULL), -OBJM_STATUS_UNAVAILABLE);
	assert_non_null(strstr(objm_error(s), "second time"));
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
}

/* ---------------------------------------------------------------- not now, never, gone */

static void test_busy_is_repeated(void **state)
{
	static const int statuses[] = {OBJM_STATUS_UNAVAILABLE, OBJM_STATUS_TRY_AGAIN};
	struct objm_put_options o = OBJM_PUT_OPTIONS_INIT;
	struct objm_stats st;
	size_t i;

	(void)state;
	o.cond.kind = OBJM_COND_ABSENT;
	for (i = 0; i < 2; i++) {
		f->refuse_op = OM_PROTO_OP_PUT_INLINE;
		f->refuse_status = statuses[i];
		f->refuse_count = 3;
		OK(objm_put_buf(s, i ? "/x" : "/y", "1", 1, &o, NULL)); /* it was not applied: conditional or not */
		f->refuse_op = OM_PROTO_OP_GET;
		f->refuse_count = 3;
		const char *uris[] = {"/y", "/y"};
		struct objm_result res[2];
		OK(objm_get_many(s, uris, 2, 0, res));
		close(res[0].fd);
		close(res[1].fd);
	}
	objm_stats(s, &st);
	assert_int_equal(st.retries, 12);
	assert_int_equal(st.reconnects, 0);
	/* Others are not. */
	f->refuse_op = OM_PROTO_OP_PING;
	f->refuse_status = OBJM_STATUS_NO_SPACE;
	f->refuse_count = 1;
	assert_int_equal(objm_ping(s), -OBJM_STATUS_NO_SPACE);
}

static void test_retries_have_an_end(void **state)
{
	uint64_t t = om_now_ns();

	(void)state;
	objm_close(s);
	assert_int_equal(session(200, 3000), 0);
	f->refuse_op = OM_PROTO_OP_PING;
	f->refuse_status = OBJM_STATUS_UNAVAILABLE;
	f->refuse_count = 1000000;
	assert_int_equal(objm_ping(s), -OBJM_STATUS_UNAVAILABLE);
	t = (om_now_ns() - t) / 1000000u;
	assert_true(t >= 150 && t < 2000);
	objm_close(s);
	assert_int_equal(session(OBJM_NO_RETRY, 3000), 0);
	f->refuse_count = 1;
	assert_int_equal(objm_ping(s), -OBJM_STATUS_UNAVAILABLE);
	assert_int_equal(f->refuse_count, 0);
}

static void test_server_that_never_answers(void **state)
{
	uint64_t t;

	(void)state;
	objm_close(s);
	assert_int_equal(session(3000, 100), 0);
	f->stall_op = OM_PROTO_OP_PING;
	t = om_now_ns();
	assert_int_equal(objm_ping(s), -OBJM_STATUS_TIMEOUT);
	t = (om_now_ns() - t) / 1000000u;
	assert_true(t >= 90 && t < 1500);
	f->stall_op = 0;
	OK(objm_ping(s)); /* on a new connection: a late answer cannot be mistaken */
}

static void on_alarm(int sig) { (void)sig; }

static void test_signals_do_not_disturb(void **state)
{
	struct itimerval every = {.it_interval = {0, 500}, .it_value = {0, 500}}, off = {0};
	struct sigaction sa = {.sa_handler = on_alarm}, old; /* no SA_RESTART: every call is interrupted */

	(void)state;
	assert_int_equal(sigaction(SIGALRM, &sa, &old), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
	all_calls();
	assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
}

static void test_server_restarts(void **state)
{
	struct objm_stats st;
	int i;

	(void)state;
	for (i = 0; i < 5; i++) {
		fake_restart(f);
		OK(objm_put_buf(s, "/r", "x", 1, NULL, NULL));
	}
	objm_stats(s, &st);
	assert_int_equal(st.reconnects, 5);
}

/*
 * A server that takes leave: what it owes still counts, what comes next goes to the next connection, without any
 * doubt.
 */
static void test_server_takes_leave(void **state)
{
	struct objm_put_options o = OBJM_PUT_OPTIONS_INIT;
	struct objm_stats st;

	(void)state;
	o.cond.kind = OBJM_COND_ABSENT;
	f->say_close = 1;
	OK(objm_ping(s));
	OK(objm_put_buf(s, "/1", "x", 1, &o, NULL));
	f->close_behind = 1;
	OK(objm_ping(s));
	OK(objm_put_buf(s, "/2", "x", 1, &o, NULL));
	f->close_behind = 1;
	f->chunk = 24; /* the answer's header comes alone, CLOSE behind it */
	OK(objm_ping(s));
	while (f->leaves < 3)
		(void)poll(NULL, 0, 1); /* until CLOSE is there */
	OK(objm_put_buf(s, "/3", "x", 1, &o, NULL));
	objm_stats(s, &st);
	assert_int_equal(st.reconnects, 3);
	assert_int_equal(st.errors, 0);
}

static void test_listing_is_cut_between_its_frames(void **state)
{
	const struct objm_entry *e;
	objm_list_t *l;
	char uri[16];
	int i, at, n, r;

	(void)state;
	for (i = 0; i < 10; i++) {
		(void)snprintf(uri, sizeof(uri), "/%d", i);
		OK(objm_put_buf(s, uri, "x", 1, NULL, NULL));
	}
	for (at = 80; at < 1000; at += 30) {
		f->cut_conns = 0;
		new_session();
		cut_once(at);
		OK(objm_list_open(s, NULL, &l));
		for (n = 0; (r = objm_list_next(l, &e)) > 0; n++)
			assert_int_equal(e->uri[1], '0' + n);
		assert_int_equal(r, 0);
		assert_int_equal(n, 10);
		objm_list_close(l);
	}
}

static void test_server_that_is_gone(void **state)
{
	uint64_t t;
	int fd;

	(void)state;
	objm_close(s);
	assert_int_equal(session(200, 3000), 0);
	(void)kill(f->pid, SIGSTOP);
	unlink(f->path);
	(void)kill(f->pid, SIGCONT);
	f->die_op = OM_PROTO_OP_GET;
	f->die_count = 1;
	t = om_now_ns();
	assert_int_equal(objm_get(s, "/a", 0, NULL, &fd), -OBJM_STATUS_UNAVAILABLE);
	assert_true(om_now_ns() - t < 2000000000u);
	assert_non_null(strstr(objm_error(s), "objmapperd"));
}

/* ---------------------------------------------------------------- lies */

static void test_no_extension(void **state)
{
	objm_t *t;

	(void)state;
	f->no_extension = 1;
	objm_close(s);
	s = NULL;
	assert_int_equal(objm_open(f->path, NULL, &t), -OBJM_STATUS_PROTO_CAPABILITY);
	assert_non_null(strstr(objm_error(NULL), "extension"));
}

static void test_garbage(void **state)
{
	struct objm_stat *st;

	(void)state;
	f->garbage_op = OM_PROTO_OP_STAT;
	assert_int_equal(objm_stat(s, "/a", &st), -OBJM_STATUS_PROTO_ERROR);
	OK(objm_ping(s));
}

static void test_descriptors_that_do_not_add_up(void **state)
{
	int fd = -1;

	(void)state;
	OK(objm_put_buf(s, "/a", "x", 1, NULL, NULL));
	f->no_fd = 1;
	assert_int_equal(objm_get(s, "/a", 0, NULL, &fd), -OBJM_STATUS_PROTO_ERROR);
	assert_int_equal(fd, -1);
	f->no_fd = 0;
	f->surplus_fd = 1; /* closed, and not taken for the next answer's */
	for (int i = 0; i < 10; i++) {
		char b[4];

		OK(objm_get(s, "/a", 0, NULL, &fd));
		assert_int_equal(pread(fd, b, 4, 0), 1);
		close(fd);
	}
}

/* The lowest free descriptor: what was lost stays below it. */
static int lowest_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* Answers whose INDEX names nobody, or somebody twice, are refused, and no descriptor stays behind. */
static void test_wrong_index(void **state)
{
	const char *uris[] = {"/a", "/b", "/c"};
	struct objm_result res[3];
	int i, before;

	(void)state;
	for (i = 0; i < 3; i++)
		OK(objm_put_buf(s, uris[i], uris[i], 2, NULL, NULL));
	OK(objm_get_many(s, uris, 3, 0, res));
	for (i = 0; i < 3; i++)
		close(res[i].fd);
	f->index_off = 1;
	memset(res, 0x5a, sizeof(res));
	assert_int_equal(objm_get_many(s, uris, 3, 0, res), -OBJM_STATUS_PROTO_ERROR);
	for (i = 0; i < 3; i++) { /* the first two answers went to the second and third name */
		assert_int_equal(res[i].status, i == 0 ? -OBJM_STATUS_PROTO_ERROR : 0);
		assert_int_equal(res[i].fd >= 0, i != 0);
		if (res[i].fd >= 0)
			close(res[i].fd);
	}
	f->index_off = 0;
	f->index_same = 1;
	OK(objm_ping(s));
	before = lowest_fd();
	memset(res, 0x5a, sizeof(res));
	assert_int_equal(objm_get_many(s, uris, 3, 0, res), -OBJM_STATUS_PROTO_ERROR);
	assert_non_null(strstr(objm_error(s), "without an answer"));
	for (i = 0; i < 3; i++)
		assert_true(i ? res[i].status == -OBJM_STATUS_PROTO_ERROR && res[i].fd == -1 && res[i].info.id == 0 : res[i].status == 0);
	close(res[0].fd);
	assert_int_equal(lowest_fd(), before);
	f->index_same = 0;
	OK(objm_get_many(s, uris, 3, 0, res));
	for (i = 0; i < 3; i++)
		close(res[i].fd);
}

static void test_listing_that_goes_in_circles(void **state)
{
	const struct objm_entry *e;
	objm_list_t *l;
	int i, r = 1;

	(void)state;
	OK(objm_put_buf(s, "/a", "x", 1, NULL, NULL));
	f->list_loop = 1;
	OK(objm_list_open(s, NULL, &l));
	for (i = 0; i < 10 && r > 0; i++)
		r = objm_list_next(l, &e);
	assert_int_equal(r, -OBJM_STATUS_PROTO_ERROR);
	assert_int_equal(objm_list_next(l, &e), 0);
	objm_list_close(l);
}

/* ---------------------------------------------------------------- limits of this process */

static void test_descriptor_limit(void **state)
{
	const char *uris[20];
	struct objm_result res[20];
	struct rlimit old, low;
	objm_put_t *put;
	int i, fd, lowest, good = 0, room = 0;

	(void)state;
	OK(objm_put_buf(s, "/a", "x", 1, NULL, NULL));
	for (i = 0; i < 20; i++)
		uris[i] = "/a";
	lowest = dup(0);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)lowest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	/* An error that says what is wrong, on a connection that goes on. */
	assert_int_equal(objm_get(s, "/a", 0, NULL, &fd), -OBJM_STATUS_LIMIT_EXCEEDED);
	assert_non_null(strstr(objm_error(s), "ulimit"));
	OK(objm_ping(s));
	assert_int_equal(objm_put_begin(s, "/p", NULL, &put), -OBJM_STATUS_LIMIT_EXCEEDED);
	assert_int_equal(f->aborted, 1); /* the server does not keep what nobody can write */
	low.rlim_cur = (rlim_t)lowest + 8;
	for (i = lowest; i < lowest + 8; i++)
		room += fcntl(i, F_GETFD) < 0;
	assert_true(room > 2 && room < 20);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	OK(objm_get_many(s, uris, 20, 0, res));
	for (i = 0; i < 20; i++) {
		if (res[i].status == 0) {
			assert_int_equal(i, good); /* the first ones, and theirs */
			good++;
			close(res[i].fd);
		} else {
			assert_int_equal(res[i].status, -OBJM_STATUS_LIMIT_EXCEEDED);
			assert_int_equal(res[i].fd, -1);
		}
	}
	assert_int_equal(good, room);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	OK(objm_get(s, "/a", 0, NULL, &fd));
	close(fd);
	assert_int_equal(f->connections, 1);
}

static bool ours[256]; /* descriptors that whoever started this program had open */

static void test_descriptors_are_not_inherited(void **state)
{
	objm_put_t *put;
	int fd, seen = 0;

	(void)state;
	OK(objm_put_begin(s, "/p", NULL, &put));
	for (fd = 0; fd < (int)OM_ARRAY_SIZE(ours); fd++) {
		if (ours[fd] || fcntl(fd, F_GETFD) < 0)
			continue;
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		seen++;
	}
	assert_int_equal(seen, 2); /* the socket and the writable file */
	objm_put_abort(put);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, fake_end)
	const struct CMUnitTest tests[] = {
		T(test_answers_in_pieces),
		T(test_reads_survive_a_cut_at_every_byte),
		T(test_handshake_cut_at_every_byte),
		T(test_puts_survive_a_cut_at_every_byte),
		T(test_conditional_puts_are_not_repeated),
		T(test_delete_that_was_already_done),
		T(test_put_in_steps_loses_its_connection),
		T(test_pipe_cannot_begin_again),
		T(test_busy_is_repeated),
		T(test_retries_have_an_end),
		T(test_server_that_never_answers),
		T(test_signals_do_not_disturb),
		T(test_server_restarts),
		T(test_server_takes_leave),
		T(test_listing_is_cut_between_its_frames),
		T(test_server_that_is_gone),
		T(test_no_extension),
		T(test_garbage),
		T(test_descriptors_that_do_not_add_up),
		T(test_wrong_index),
		T(test_listing_that_goes_in_circles),
		T(test_descriptor_limit),
		T(test_descriptors_are_not_inherited),
	};

	for (size_t i = 0; i < OM_ARRAY_SIZE(ours); i++)
		ours[i] = fcntl((int)i, F_GETFD) >= 0;
	memset(big, 'B', sizeof(big));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
