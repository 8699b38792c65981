/*
 * test_client_session.c: sessions against a server that does what it should: every call, its options and its errors.
 */
#define CLIENT_TEST_FAKE
#include "tests/unit/client/client_test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>



static int setup(void **state)
{
	(void)state;
	return fake_begin(NULL);
}

static char *pattern(size_t n)
{
	char *p = malloc(n + 1);
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (char)(i * 7 + i / 251);
	p[n] = '\0';
	return p;
}

/* The object has exactly these bytes, however it is read. */
static void check(const char *uri, const void *bytes, size_t n)
{
	struct objm_info info;
	struct objm_map map;
	size_t got;
	void *p;
	int fd;

	OK(objm_read_alloc(s, uri, 1u << 30, &p, &got, &info));
	assert_int_equal(got, n);
	assert_int_equal(info.size, n);
	assert_memory_equal(p, bytes, n);
	free(p);
	OK(objm_get_map(s, uri, &map));
	assert_int_equal(map.size, n);
	assert_non_null(map.data);
	if (n)
		assert_memory_equal(map.data, bytes, n);
	objm_unmap(&map);
	objm_unmap(&map);
	OK(objm_get(s, uri, 0, &info, &fd));
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
}

static void test_put_buf_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 65536, 65537, 3u << 20};
	size_t i;

	(void)state;
	for (i = 0; i < OM_ARRAY_SIZE(sizes); i++) {
		char *p = pattern(sizes[i]);
		struct objm_info info;

		OK(objm_put_buf(s, "/o", p, sizes[i], NULL, &info));
		assert_int_equal(info.size, sizes[i]);
		assert_int_equal(info.id, i + 1);
		assert_int_equal(info.rev, 1);
		assert_int_equal(info.durability, OBJM_DURABILITY_SYNC);
		assert_string_equal(info.tier_name, "mem");
		check("/o", p, sizes[i]);
		free(p);
	}
	assert_int_equal(f->begun, 2); /* small ones go inside the request */
}

static void progress(void *arg, uint64_t done, uint64_t total)
{
	uint64_t *p = arg;

	assert_true(done > p[0] && done <= total);
	p[0] = done;
	p[1] = total;
}

static void test_put_file_and_fd(void **state)
{
	static const size_t sizes[] = {0, 10, 65536, 65537, 40u << 20};
	struct objm_put_options o = OBJM_PUT_OPTIONS_INIT;
	char path[128];
	size_t i;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/file", f->dir);
	for (i = 0; i < OM_ARRAY_SIZE(sizes); i++) {
		char *p = pattern(sizes[i]);
		int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		uint64_t told[2] = {0, 0};

		assert_int_equal(write(fd, p, sizes[i]), sizes[i]);
		o.progress = progress;
		o.progress_arg = told;
		OK(objm_put_file(s, "/f", path, sizes[i] ? &o : NULL, NULL));
		assert_int_equal(told[0], sizes[i]);
		assert_int_equal(told[1], sizes[i]);
		check("/f", p, sizes[i]);
		/* From the present offset, which stays. */
		if (sizes[i] > 3) {
			assert_int_equal(lseek(fd, 3, SEEK_SET), 3);
			OK(objm_put_fd(s, "/g", fd, NULL, NULL));
			assert_int_equal(lseek(fd, 0, SEEK_CUR), 3);
			check("/g", p + 3, sizes[i] - 3);
		}
		close(fd);
		free(p);
	}
	unlink(path);
	assert_int_equal(objm_put_file(s, "/f", path, NULL, NULL), -OBJM_STATUS_SYSTEM);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(objm_error(s), path));
	assert_int_equal(objm_put_file(s, "/f", "/", NULL, NULL), -OBJM_STATUS_SYSTEM);
	assert_int_equal(errno, EISDIR);
}

static void test_put_of_a_file_without_a_size(void **state)
{
	char text[65536];
	size_t n;
	void *p;
	FILE *file = fopen("/proc/self/status", "re");

	(void)state;
	OK(objm_put_file(s, "/proc", "/proc/self/status", NULL, NULL));
	n = fread(text, 1, 6, file);
	fclose(file);
	OK(objm_read_alloc(s, "/proc", 1u << 20, &p, &n, NULL));
	assert_true(n > 100);
	assert_memory_equal(p, text, 6);
	free(p);
}

/* A pipe that a child fills. */
static int pipe_with(const char *p, size_t n, pid_t *ret_child)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	(void)fflush(NULL);
	*ret_child = fork();
	if (*ret_child == 0) {
		size_t at = 0;
		ssize_t k;

		while (at < n && (k = write(fds[1], p + at, OM_MIN(n - at, 5000u))) > 0)
			at += (size_t)k;
		_exit(0);
	}
	close(fds[1]);
	return fds[0];
}

static void test_put_of_a_pipe(void **state)
{
	static const size_t sizes[] = {0, 100, 65536, 65537, 1000000};
	size_t i;

	(void)state;
	for (i = 0; i < OM_ARRAY_SIZE(sizes); i++) {
		char *p = pattern(sizes[i]);
		pid_t child;
		int fd = pipe_with(p, sizes[i], &child), status;

		OK(objm_put_fd(s, "/pipe", fd, NULL, NULL));
		check("/pipe", p, sizes[i]);
		close(fd);
		assert_int_equal(waitpid(child, &status, 0), child);
		free(p);
	}
}

static void test_put_options_and_stat(void **state)
{
	const struct objm_meta meta[] = {{"owner", "me", 2}, {"empty", NULL, 0}, {"bin", "\0\1\2", 3}};
	struct objm_put_options o = OBJM_PUT_OPTIONS_INIT;
	struct objm_stat *st;
	struct objm_info info;
	int fd;

	(void)state;
	o.flags = OBJM_PINNED | OBJM_EPHEMERAL;
	o.ttl_s = 60;
	o.type = "image/png";
	o.meta = meta;
	o.meta_count = 3;
	o.durability = OBJM_DURABILITY_NONE;
	OK(objm_put_buf(s, "/m", "x", 1, &o, NULL));
	OK(objm_stat(s, "/m", &st));
	assert_int_equal(st->info.flags, OBJM_PINNED | OBJM_EPHEMERAL);
	assert_int_equal(st->info.expiry_s, 2000000060u);
	assert_string_equal(st->type, "image/png");
	assert_int_equal(st->meta_count, 3);
	assert_string_equal(st->meta[0].key, "owner");
	assert_string_equal(st->meta[0].value, "me");
	assert_int_equal(st->meta[1].value_len, 0);
	assert_memory_equal(st->meta[2].value, "\0\1\2", 4);
	assert_string_equal(st->info.tier_name, "mem");
	assert_string_equal(st->info.home_name, "disk");
	assert_true(st->heat > 0.49 && st->heat < 0.51);
	assert_int_equal(st->access_count, 3);
	objm_stat_free(st);
	/* Names and times only when asked for. */
	OK(objm_get(s, "/m", OBJM_WANT_META | OBJM_WANT_TIME, &info, &fd));
	close(fd);
	assert_string_equal(info.home_name, "disk");
	assert_int_equal(info.server_ns, 4711);
	OK(objm_get(s, "/m", 0, &info, &fd));
	close(fd);
	assert_string_equal(info.home_name, "");
	assert_int_equal(info.server_ns, 0);
	assert_int_equal(objm_stat(s, "/none", &st), -OBJM_STATUS_NOT_FOUND);
}

static void test_bad_arguments(void **state)
{
	struct objm_put_options o = OBJM_PUT_OPTIONS_INIT;
	struct objm_set_options set = OBJM_SET_OPTIONS_INIT;
	struct objm_meta many[65], big = {"k", NULL, 5000};
	char uri[4098], type[300];
	int fd, i;

	(void)state;
	memset(uri, 'u', sizeof(uri) - 1);
	uri[4097] = '\0';
	assert_int_equal(objm_get(s, uri, 0, NULL, &fd), -OBJM_STATUS_URI_TOO_LONG);
	assert_int_equal(objm_get(s, "", 0, NULL, &fd), -OBJM_STATUS_INVALID_REQUEST);
	uri[4096] = '\0';
	assert_int_equal(objm_get(s, uri, 0, NULL, &fd), -OBJM_STATUS_NOT_FOUND);
	assert_true(strlen(objm_error(s)) < 700);
	memset(type, 't', sizeof(type) - 1);
	type[299] = '\0';
	o.type = type;
	assert_int_equal(objm_put_buf(s, "/x", "", 0, &o, NULL), -OBJM_STATUS_INVALID_REQUEST);
	o.type = NULL;
	for (i = 0; i < 65; i++)
		many[i] = (struct objm_meta){"k", "v", 1};
	o.meta = many;
	o.meta_count = 65;
	assert_int_equal(objm_put_buf(s, "/x", "", 0, &o, NULL), -OBJM_STATUS_INVALID_REQUEST);
	o.meta = &big;
	o.meta_count = 1;
	big.value = pattern(5000);
	assert_int_equal(objm_put_buf(s, "/x", "", 0, &o, NULL), -OBJM_STATUS_INVALID_REQUEST);
	free((void *)big.value);
	big = (struct objm_meta){"", "v", 1};
	assert_int_equal(objm_put_buf(s, "/x", "", 0, &o, NULL), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(objm_set(s, "/x", &set, NULL), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(f->applied, 0);
}

static void test_conditions(void **state)
{
	struct objm_put_options o = OBJM_PUT_OPTIONS_INIT;
	struct objm_cond cond = {OBJM_COND_VERSION, 0, 0};
	struct objm_info info;
	char *big = pattern(100000);

	(void)state;
	o.cond.kind = OBJM_COND_ABSENT;
	OK(objm_put_buf(s, "/c", "1", 1, &o, &info));
	assert_int_equal(objm_put_buf(s, "/c", "2", 1, &o, NULL), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(objm_put_buf(s, "/c", big, 100000, &o, NULL), -OBJM_STATUS_PRECONDITION_FAILED);
	o.cond = (struct objm_cond){OBJM_COND_VERSION, info.id, info.rev};
	OK(objm_put_buf(s, "/c", big, 100000, &o, &info));
	assert_int_equal(objm_put_buf(s, "/c", "3", 1, &o, NULL), -OBJM_STATUS_PRECONDITION_FAILED);
	check("/c", big, 100000);
	free(big);
	cond.id = info.id + 1;
	assert_int_equal(objm_delete(s, "/c", &cond), -OBJM_STATUS_PRECONDITION_FAILED);
	cond.id = info.id;
	OK(objm_delete(s, "/c", &cond));
	assert_int_equal(objm_delete(s, "/c", NULL), -OBJM_STATUS_NOT_FOUND);
}

static void test_set(void **state)
{
	struct objm_set_options o = OBJM_SET_OPTIONS_INIT;
	const struct objm_meta meta = {"k", "v", 1};
	struct objm_info before, after;
	struct objm_stat *st;

	(void)state;
	OK(objm_put_buf(s, "/s", "x", 1, NULL, &before));
	o.which = OBJM_SET_FLAGS | OBJM_SET_TYPE | OBJM_SET_META | OBJM_SET_TTL;
	o.flags = OBJM_PINNED;
	o.type = "a/b";
	o.meta = &meta;
	o.meta_count = 1;
	o.ttl_s = 5;
	o.cond = (struct objm_cond){OBJM_COND_VERSION, before.id, before.rev};
	OK(objm_set(s, "/s", &o, &after));
	assert_int_equal(after.id, before.id);
	assert_int_equal(after.rev, before.rev + 1);
	assert_int_equal(objm_set(s, "/s", &o, &after), -OBJM_STATUS_PRECONDITION_FAILED);
	OK(objm_stat(s, "/s", &st));
	assert_int_equal(st->info.flags, OBJM_PINNED);
	assert_string_equal(st->type, "a/b");
	assert_int_equal(st->meta_count, 1);
	objm_stat_free(st);
	/* To nothing again. */
	memset(&o.cond, 0, sizeof(o.cond));
	o.which = OBJM_SET_META | OBJM_SET_TYPE;
	o.meta_count = 0;
	o.type = NULL;
	OK(objm_set(s, "/s", &o, NULL));
	OK(objm_stat(s, "/s", &st));
	assert_string_equal(st->type, "");
	assert_int_equal(st->meta_count, 0);
	assert_int_equal(st->info.flags, OBJM_PINNED);
	objm_stat_free(st);
}

static void test_put_in_steps(void **state)
{
	struct objm_put_options o = OBJM_PUT_OPTIONS_INIT;
	struct objm_info info;
	objm_put_t *put, *other;
	int fd, copy;

	(void)state;
	o.size_hint = 100;
	OK(objm_put_begin(s, "/steps", &o, &put));
	fd = objm_put_writefd(put);
	assert_int_equal(pwrite(fd, "hello", 5, 0), 5);
	assert_int_equal(objm_get(s, "/steps", 0, NULL, &copy), -OBJM_STATUS_NOT_FOUND); /* nobody sees it yet */
	/* Two at once. */
	OK(objm_put_begin(s, "/other", NULL, &other));
	assert_int_equal(pwrite(objm_put_writefd(other), "other", 5, 0), 5);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(objm_put_commit(put, &info), -OBJM_STATUS_WRITER_STILL_OPEN);
	assert_int_equal(objm_put_writefd(put), -1);
	close(copy);
	OK(objm_put_commit(put, &info));
	assert_int_equal(info.size, 5);
	check("/steps", "hello", 5);
	objm_put_abort(other);
	assert_int_equal(f->aborted, 1);
	assert_int_equal(objm_get(s, "/other", 0, NULL, &copy), -OBJM_STATUS_NOT_FOUND);
	objm_put_abort(NULL);
}

static void test_read_into_a_buffer(void **state)
{
	char b[10] = "zzzzzzzzz";
	size_t n = 99;
	void *p;

	(void)state;
	OK(objm_put_buf(s, "/r", "12345", 5, NULL, NULL));
	assert_int_equal(objm_read(s, "/r", b, 4, &n, NULL), -OBJM_STATUS_TOO_LARGE);
	assert_int_equal(n, 99);
	assert_string_equal(b, "zzzzzzzzz");
	assert_non_null(strstr(objm_error(s), "5 bytes"));
	OK(objm_read(s, "/r", b, 5, &n, NULL));
	assert_int_equal(n, 5);
	assert_memory_equal(b, "12345z", 6);
	assert_int_equal(objm_read_alloc(s, "/r", 4, &p, &n, NULL), -OBJM_STATUS_TOO_LARGE);
}

/* A result says nothing of what lay in its memory before. */
static void written_in_full(const struct objm_result *r)
{
	static const struct objm_info none;
	struct objm_info rest = r->info;

	if (r->status == 0) {
		assert_true(rest.id != 0 && rest.mtime_ns != 0 && rest.rev != 0);
		rest.id = rest.size = rest.mtime_ns = rest.gen = 0;
		rest.rev = rest.bucket = 0;
		rest.tier = rest.home = 0;
	} else {
		assert_int_equal(r->fd, -1);
	}
	assert_memory_equal(&rest, &none, sizeof(none));
}

static void test_get_many(void **state)
{
	enum { N = 600 };
	static char names[N][16];
	static const char *uris[N];
	static struct objm_result res[N];
	int i;

	(void)state;
	for (i = 0; i < N; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "/%d", i);
		uris[i] = names[i];
		if (i % 3)
			OK(objm_put_buf(s, names[i], names[i], strlen(names[i]), NULL, NULL));
	}
	uris[5] = "";
	memset(res, 0x5a, sizeof(res));
	OK(objm_get_many(s, uris, N, 0, res));
	assert_int_equal(f->frames_in_get_max, 253);
	for (i = 0; i < N; i++) {
		char b[16] = "";

		written_in_full(&res[i]);
		if (i == 5) {
			assert_int_equal(res[i].status, -OBJM_STATUS_INVALID_REQUEST);
			assert_int_equal(res[i].fd, -1);
		} else if (i % 3 == 0) {
			assert_int_equal(res[i].status, -OBJM_STATUS_NOT_FOUND);
			assert_int_equal(res[i].fd, -1);
		} else {
			assert_int_equal(res[i].status, 0);
			assert_int_equal(pread(res[i].fd, b, sizeof(b), 0), strlen(names[i]));
			assert_string_equal(b, names[i]); /* each has its own */
			close(res[i].fd);
		}
	}
	OK(objm_get_many(s, uris, 0, 0, res));
	memset(res, 0x5a, sizeof(res));
	OK(objm_get_many(s, uris + 1, 1, 0, res));
	written_in_full(&res[0]);
	close(res[0].fd);
	/* A server that takes fewer. */
	f->uris_max = 1;
	objm_close(s);
	OK(objm_open(f->path, NULL, &s));
	OK(objm_get_many(s, uris + 1, 2, 0, res));
	close(res[0].fd);
	close(res[1].fd);
}

static int count(const struct objm_list_options *o, const char *first, const char *last)
{
	const struct objm_entry *e;
	objm_list_t *l;
	char prev[64] = "";
	int n = 0, r;

	OK(objm_list_open(s, o, &l));
	while ((r = objm_list_next(l, &e)) > 0) {
		assert_true(strcmp(e->uri, prev) > 0);
		if (n++ == 0)
			assert_string_equal(e->uri, first);
		(void)snprintf(prev, sizeof(prev), "%s", e->uri);
		/* Other calls in between do no harm. */
		if (n == 4)
			OK(objm_ping(s));
	}
	assert_int_equal(r, 0);
	assert_int_equal(objm_list_next(l, &e), 0);
	if (n)
		assert_string_equal(prev, last);
	objm_list_close(l);
	return n;
}

static void test_list(void **state)
{
	struct objm_list_options o = OBJM_LIST_OPTIONS_INIT;
	struct objm_put_options p = OBJM_PUT_OPTIONS_INIT;
	const struct objm_entry *e;
	objm_list_t *l;
	char uri[32];
	int i;

	(void)state;
	assert_int_equal(count(NULL, "", ""), 0);
	p.type = "text/plain";
	for (i = 0; i < 50; i++) {
		(void)snprintf(uri, sizeof(uri), i < 40 ? "/dir/%c/%02d" : "/top/%c%02d", 'a' + i % 4, i);
		OK(objm_put_buf(s, uri, uri, (size_t)i % 7, &p, NULL));
	}
	assert_int_equal(count(NULL, "/dir/a/00", "/top/d47"), 50);
	o.page = 1;
	assert_int_equal(count(&o, "/dir/a/00", "/top/d47"), 50);
	o.page = 7;
	assert_int_equal(count(&o, "/dir/a/00", "/top/d47"), 50);
	o.prefix = "/top/";
	assert_int_equal(count(&o, "/top/a40", "/top/d47"), 10);
	o.start_after = "/top/a44";
	assert_int_equal(count(&o, "/top/a48", "/top/d47"), 8);
	o.start_after = NULL;
	o.prefix = "/none";
	assert_int_equal(count(&o, "", ""), 0);
	o.prefix = "/dir/";
	o.delimiter = '/';
	o.page = 1;
	assert_int_equal(count(&o, "/dir/a/", "/dir/d/"), 4);

	o = (struct objm_list_options)OBJM_LIST_OPTIONS_INIT;
	o.flags = OBJM_WANT_META;
	OK(objm_list_open(s, &o, &l));
	assert_int_equal(objm_list_next(l, &e), 1);
	assert_string_equal(e->type, "text/plain");
	assert_int_equal(e->info.size, 0);
	assert_false(e->is_prefix);
	objm_list_close(l);
	objm_list_close(NULL);
}

static void test_messages(void **state)
{
	int fd;

	(void)state;
	assert_string_equal(objm_error(s), "no error");
	assert_int_equal(objm_get(s, "/a\33[31m\xc3\xa9\xc2\x85\xff", 0, NULL, &fd), -OBJM_STATUS_NOT_FOUND);
	assert_string_equal(objm_error(s), "GET /a\\x1b[31m\xc3\xa9\\xc2\\x85\\xff: no such object");
	/* The server's own words are quoted too. */
	f->refuse_op = OM_PROTO_OP_STAT;
	f->refuse_status = OBJM_STATUS_PERMISSION_DENIED;
	f->refuse_count = 1;
	struct objm_stat *st;
	assert_int_equal(objm_stat(s, "/a", &st), -OBJM_STATUS_PERMISSION_DENIED);
	assert_string_equal(objm_error(s), "STAT /a: permission denied (said the fake server\\x1b[2J)");
	assert_string_equal(objm_status_name(-OBJM_STATUS_NOT_FOUND), "NOT_FOUND");
	assert_string_equal(objm_status_text(OBJM_STATUS_NOT_FOUND), "no such object");
	assert_string_equal(objm_status_name(0x7e), "UNKNOWN");
}

static void test_stats(void **state)
{
	struct objm_stats st;
	int fd;

	(void)state;
	OK(objm_put_buf(s, "/x", "1", 1, NULL, NULL));
	OK(objm_get(s, "/x", 0, NULL, &fd));
	close(fd);
	assert_true(objm_get(s, "/y", 0, NULL, &fd) < 0);
	objm_stats(s, &st);
	assert_int_equal(st.calls, 3);
	assert_int_equal(st.errors, 1);
	assert_int_equal(st.requests, 4); /* ATTACH is one */
	assert_int_equal(st.responses, 4);
	assert_int_equal(st.fds_received, 1);
	assert_int_equal(st.retries, 0);
	assert_int_equal(st.reconnects, 0);
	assert_true(st.bytes_sent > 100 && st.bytes_received > 100);
}

static void test_open_errors(void **state)
{
	struct objm_options o = OBJM_OPTIONS_INIT;
	char path[200];
	objm_t *t;

	(void)state;
	assert_int_equal(objm_open("/nonexistent/socket", NULL, &t), -OBJM_STATUS_UNAVAILABLE);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(objm_error(NULL), "/nonexistent/socket"));
	memset(path, 'p', sizeof(path) - 1);
	path[199] = '\0';
	assert_int_equal(objm_open(path, NULL, &t), -OBJM_STATUS_INVALID_REQUEST);
	o.max_fds = 254;
	assert_int_equal(objm_open(f->path, &o, &t), -OBJM_STATUS_INVALID_REQUEST);
	o.max_fds = 0;
	o.promise = 0x80;
	assert_int_equal(objm_open(f->path, &o, &t), -OBJM_STATUS_INVALID_REQUEST);
	/* The environment's. */
	assert_int_equal(setenv("OBJM_SOCKET", "/nonexistent/env", 1), 0);
	assert_int_equal(objm_open(NULL, NULL, &t), -OBJM_STATUS_UNAVAILABLE);
	assert_non_null(strstr(objm_error(NULL), "/nonexistent/env"));
	unsetenv("OBJM_SOCKET");
	objm_close(NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, fake_end)
	const struct CMUnitTest tests[] = {
		T(test_put_buf_sizes),
		T(test_put_file_and_fd),
		T(test_put_of_a_file_without_a_size),
		T(test_put_of_a_pipe),
		T(test_put_options_and_stat),
		T(test_bad_arguments),
		T(test_conditions),
		T(test_set),
		T(test_put_in_steps),
		T(test_read_into_a_buffer),
		T(test_get_many),
		T(test_list),
		T(test_messages),
		T(test_stats),
		T(test_open_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
