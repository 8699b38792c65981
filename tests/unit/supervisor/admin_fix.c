/*
 * admin_fix.c: see admin_fix.h.
 */
#include "admin_fix.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "common/om_log.h"

struct admin_fix w;

int setup(void **state)
{
	const struct sup_sock_perm perm = { .mode = 0600 };
	struct sup_spawn_exe exe[2] = { { -1, "w" }, { -1, "l" } };

	(void)state;
	memset(&w, 0, sizeof(w));
	(void)snprintf(w.dir, sizeof(w.dir), "/tmp/sup-test-admin-XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	(void)snprintf(w.path, sizeof(w.path), "%s/ctl", w.dir);
	assert_int_equal(sup_sock_unix(w.path, &perm, SUP_SOCK_ADMIN, &w.sock), 0);
	w.sup.conf = &w.conf;
	w.sup.engine = (struct sup_engine *)&fake_engine;
	w.sup.started_ns = om_now_ns() - 5000 * MS;
	w.sup.user.uid = geteuid();
	w.sup.notify.ready = true;
	assert_int_equal(sup_loop_init(&w.sup.loop), 0);
	assert_int_equal(sup_child_init(&w.sup.kids, &w.sup.loop, &w.sup.env, exe, 2), 0);
	sup_scale_init(&w.sup.scale, 1, 2, 1000);
	assert_int_equal(sup_admin_open(&w.sup.loop, w.sock.fd, sup_admin_cmd_answer, &w.sup, &w.sup.admin), 0);
	om_log_level(OM_LOG_ERR);
	return 0;
}

int teardown(void **state)
{
	(void)state;
	sup_admin_close(w.sup.admin);
	sup_child_fini(&w.sup.kids);
	sup_loop_fini(&w.sup.loop);
	(void)close(w.sock.fd);
	free(w.sock.name);
	(void)unlink(w.path);
	(void)rmdir(w.dir);
	return 0;
}

int connect_admin(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", w.path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

void turn(unsigned n)
{
	while (n--)
		sup_loop_turn(&w.sup.loop, 1);
}

void say(int fd, const char *s, size_t len)
{
	assert_int_equal(send(fd, s, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* The next line as JSON; NULL at the end of the stream. */
json_t *answer(int fd)
{
	static char buf[1 << 20];
	size_t n = 0;

	for (unsigned i = 0; i < 1000; i++) {
		ssize_t r = recv(fd, buf + n, 1, 0);
		if (r == 0)
			return NULL;
		if (r < 0) {
			turn(1);
			continue;
		}
		i = 0;
		if (buf[n++] == '\n') {
			json_t *j = json_loadb(buf, n, 0, NULL);
			assert_non_null(j);
			return j;
		}
	}
	fail_msg("no answer");
	return NULL;
}

json_t *ask(int fd, const char *line)
{
	say(fd, line, strlen(line));
	return answer(fd);
}

bool ok(json_t *j) { return json_is_true(json_object_get(j, "ok")); }

/* True, and `j` is freed, if it is an error of that status. */
bool is_error(json_t *j, const char *status)
{
	json_t *e = json_object_get(j, "error");
	const char *s = json_string_value(json_object_get(e, "status"));
	bool yes = j && !ok(j) && s && !strcmp(s, status) && json_is_string(json_object_get(e, "text")) &&
		   json_is_string(json_object_get(e, "todo"));
	json_decref(j);
	return yes;
}

