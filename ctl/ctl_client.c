/*
 * ctl_client.c: one question to the supervisor, one answer, with a deadline.
 */
#include "ctl/ctl.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "common/om_text.h"

/* `path`: the socket, if that is what the message is about; else NULL. */
static int fail_as(int status, const char *path, const char *what, const char *todo)
{
	OM_AUTO_FREE char *q_path = path ? om_text_quote(path, strlen(path)) : NULL;
	OM_AUTO_FREE char *q_what = om_text_quote(what, strlen(what));

	fprintf(stderr, "objmctl: %s%s%s%s%s\n", q_path ? q_path : "", path ? ": " : "", q_what ? q_what : "out of memory", *todo ? "; " : "", todo);
	return status;
}

static int fail(const char *path, const char *what, const char *todo) { return fail_as(CTL_FAILED, path, what, todo); }

static const char *todo_of(int err)
{
	switch (err) {
	case ENOENT:
	case ECONNREFUSED:
		return "no daemon listens there: start it with \"systemctl start objmapper\" or \"./tools/run\", or name its admin "
		       "socket with -s or $OBJMCTL_SOCKET";
	case EACCES:
	case EPERM: return "the socket's owner, group and mode say who may ask";
	case EAGAIN: return "the daemon takes no more questions now, try again";
	default: return "";
	}
}

static int dial(const char *path, int *ret_fd)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = CTL_TIMEOUT_S};
	OM_AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path))
		return fail(path, "the path is too long for a socket", "a socket's path has at most 107 bytes");
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0 ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return fail_as(errno == EACCES || errno == EPERM ? CTL_DENIED : CTL_UNREACHABLE, path, strerror(errno), todo_of(errno));
	*ret_fd = om_take_fd(&fd);
	return CTL_OK;
}

static int send_line(int fd, const char *path, json_t *request)
{
	OM_AUTO_FREE char *text = json_dumps(request, JSON_COMPACT);
	OM_AUTO_FREE char *line = NULL;
	size_t len, done = 0;

	if (!text || asprintf(&line, "%s\n", text) < 0)
		return fail(path, "out of memory", "");
	for (len = strlen(line); done < len;) {
		ssize_t n = send(fd, line + done, len - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(path, strerror(errno), "");
		done += (size_t)n;
	}
	return CTL_OK;
}

/* The answer's line, without its end, in memory of its own. */
static int receive_line(int fd, const char *path, char **ret_line)
{
	OM_AUTO_FREE char *buf = NULL;
	size_t len = 0, cap = 0;

	for (;;) {
		ssize_t n;
		char *more, *end;

		if (len + 1 >= cap) {
			cap = cap ? cap * 2 : 65536;
			if (cap > CTL_REPLY_MAX || !(more = realloc(buf, cap)))
				return fail(path, "the answer is too long", "is this an admin socket of objmapperd?");
			buf = more;
		}
		n = recv(fd, buf + len, cap - len - 1, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(path, errno == EAGAIN ? "no answer in time" : strerror(errno), "read the daemon's log");
		if (n == 0)
			return fail(path, "the daemon closed the connection without an answer", "read the daemon's log");
		end = memchr(buf + len, '\n', (size_t)n);
		len += (size_t)n;
		if (end) {
			*end = '\0';
			*ret_line = OM_TAKE_PTR(buf);
			return CTL_OK;
		}
	}
}

/* An answer that says no: about what was asked, not about the socket. */
static int refused(const json_t *reply)
{
	const json_t *error = json_object_get(reply, "error");
	const char *text = json_string_value(json_object_get(error, "text"));
	const char *todo = json_string_value(json_object_get(error, "todo"));
	const char *status = json_string_value(json_object_get(error, "status"));
	OM_AUTO_FREE char *quoted = todo ? om_text_quote(todo, strlen(todo)) : NULL;

	return fail_as(status && strcmp(status, "PERMISSION_DENIED") == 0 ? CTL_DENIED : CTL_FAILED, NULL, text ? text : status ? status : "the daemon refused, without a reason", quoted ? quoted : "");
}

int ctl_ask(const char *socket_path, json_t *request, json_t **ret_reply)
{
	OM_AUTO_FREE char *line = NULL;
	OM_AUTO_FD fd = -1;
	json_t *reply;
	int r = dial(socket_path, &fd);

	if (r == CTL_OK)
		r = send_line(fd, socket_path, request);
	if (r == CTL_OK)
		r = receive_line(fd, socket_path, &line);
	if (r != CTL_OK)
		return r;
	reply = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(reply))
		r = fail(socket_path, "the answer is no JSON object", "is this an admin socket of objmapperd?");
	else if (!json_is_true(json_object_get(reply, "ok")))
		r = refused(reply);
	if (r != CTL_OK) {
		json_decref(reply);
		return r;
	}
	*ret_reply = reply;
	return CTL_OK;
}
