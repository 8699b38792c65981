/*
 * sup_admin.c: see sup_admin.h. In the supervisor's main thread, beside everything that keeps the daemon alive: so each
 * connection has one bounded input line, at most one answer that waits, and a bounded number of requests a turn.
 */
#include "supervisor/sup_admin.h"

#include <sys/socket.h>

#define MS 1000000u
#define TURN 16 /* requests of one connection in a turn */

struct conn {
	struct sup_admin *a;
	struct sup_ev ev; /* fd -1: this place is free */
	struct om_peer peer;
	char *in; /* SUP_ADMIN_LINE bytes */
	size_t in_len;
	char *out; /* NULL: no answer waits */
	size_t out_len, out_off;
	bool eof;  /* the peer sends no more */
	bool last; /* close when the answer is out */
	bool waiting; /* for an answer that comes later: of `ref`, until `wait_due_ns` */
	struct sup_admin_ref ref; /* of the last request */
	uint64_t wait_due_ns;
	uint64_t active_ns;
};

struct sup_admin {
	struct sup_loop *loop;
	struct sup_ev listen_ev;
	sup_admin_answer_fn *answer;
	void *arg;
	uint32_t self_uid;
	uint64_t serial; /* of requests */
	struct conn conn[SUP_ADMIN_CONNS];
};

json_t *sup_admin_text(const char *s)
{
	json_t *t = json_string(s);
	char plain[256];
	size_t n = 0;

	if (t)
		return t;
	for (; *s && n + 1 < sizeof(plain); s++)
		plain[n++] = (unsigned char)*s < 0x80 ? *s : '?';
	plain[n] = '\0';
	return json_string(plain);
}

json_t *sup_admin_error(int status, const char *text, const char *todo)
{
	/* "Malformed" is for programs; a text that says what is wrong says it better. */
	if (!todo)
		todo = text && (status == OBJM_STATUS_INVALID_REQUEST || status == -OBJM_STATUS_INVALID_REQUEST) ? "" : om_status_todo(status);
	return json_pack("{s:b, s:{s:s, s:o, s:s}}", "ok", 0, "error", "status", om_status_name(status), "text",
			 sup_admin_text(text ? text : om_status_text(status)), "todo", todo);
}

static void drop(struct conn *c)
{
	int fd = c->ev.fd;

	if (fd < 0)
		return;
	sup_loop_del(c->a->loop, &c->ev);
	om_close(&fd);
	free(c->out);
	free(c->in);
	c->out = c->in = NULL;
}

/* Brackets inside each other, strings left out; the parser recurses, so this is looked at before it runs. */
static bool too_deep(const char *line, size_t len)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		char ch = line[i];
		if (quoted && ch == '\\')
			i++;
		else if (ch == '"')
			quoted = !quoted;
		else if (!quoted && (ch == '{' || ch == '[') && ++depth > SUP_ADMIN_DEPTH)
			return true;
		else if (!quoted && (ch == '}' || ch == ']') && depth)
			depth--;
	}
	return false;
}

json_t *sup_admin_parse(const char *text, size_t len, char *ret_why, size_t cap)
{
	json_error_t je;

	if (too_deep(text, len)) {
		(void)snprintf(ret_why, cap, "is nested too deeply");
		return NULL;
	}
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
	if (!j) {
		(void)snprintf(ret_why, cap, "is not JSON: %s", je.text);
		return NULL;
	}
	if (!json_is_object(j)) {
		(void)snprintf(ret_why, cap, "is not a JSON object");
		json_decref(j);
		return NULL;
	}
	return j;
}

static json_t *judge(struct conn *c, const char *line, size_t len)
{
	char why[160], text[192];
	json_t *req = sup_admin_parse(line, len, why, sizeof(why));

	c->ref = (struct sup_admin_ref){ .conn = (unsigned)(c - c->a->conn), .serial = ++c->a->serial };
	if (!req) {
		(void)snprintf(text, sizeof(text), "the request %s", why);
		return sup_admin_error(OBJM_STATUS_INVALID_REQUEST, text, NULL);
	}
	json_t *reply = c->a->answer(c->a->arg, &c->peer, req, &c->ref);
	json_decref(req);
	c->waiting = c->ref.later;
	c->wait_due_ns = om_now_ns() + (uint64_t)SUP_ADMIN_WAIT_MS * MS;
	return reply;
}

/* Queue an answer. False: no memory for it, the connection is closed. */
static bool reply(struct conn *c, json_t *answer)
{
	size_t len = answer ? json_dumpb(answer, NULL, 0, JSON_COMPACT) : 0;
	char *out = len ? malloc(len + 1) : NULL;

	if (out && json_dumpb(answer, out, len, JSON_COMPACT) == len) {
		out[len] = '\n';
		c->out = out;
		c->out_len = len + 1;
		c->out_off = 0;
	} else {
		free(out);
		drop(c);
		out = NULL;
	}
	json_decref(answer);
	return out != NULL;
}

/* Send what waits. False: the connection is closed. */
static bool flush(struct conn *c)
{
	while (c->out) {
		ssize_t n = send(c->ev.fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0) {
			drop(c);
			return false;
		}
		c->active_ns = om_now_ns();
		c->out_off += (size_t)n;
		if (c->out_off < c->out_len)
			continue;
		free(c->out);
		c->out = NULL;
	}
	return true;
}

/* Length of the first line with its newline; at the end of the stream what is left counts as one; 0: none yet. */
static size_t line_len(const struct conn *c)
{
	const char *nl = memchr(c->in, '\n', c->in_len);

	if (nl)
		return (size_t)(nl - c->in) + 1;
	return c->eof ? c->in_len : 0;
}

static bool blank(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r\n", s[i]))
			return false;
	return true;
}

/* Answer what has arrived, as far as the peer reads. False: the connection is closed. */
static bool work(struct conn *c)
{
	for (int i = 0; i < TURN && !c->out && !c->last && !c->waiting; i++) {
		size_t len = line_len(c);
		json_t *answer = NULL;
		if (len == 0) {
			if (c->in_len < SUP_ADMIN_LINE)
				break;
			c->last = true; /* where the next request begins cannot be known */
			answer = sup_admin_error(OBJM_STATUS_TOO_LARGE, "a request has at most 32768 bytes", NULL);
			if (!answer) {
				drop(c);
				return false;
			}
		} else if (!blank(c->in, len)) {
			answer = judge(c, c->in, len);
			if (!answer && !c->waiting) { /* no memory even for an error */
				drop(c);
				return false;
			}
		}
		if (answer && !reply(c, answer))
			return false;
		if (len) {
			c->in_len -= len;
			memmove(c->in, c->in + len, c->in_len);
		}
		if (!flush(c))
			return false;
	}
	if (!c->out && !c->waiting && (c->last || (c->eof && c->in_len == 0))) {
		drop(c);
		return false;
	}
	return true;
}

/* False: the connection is closed. */
static bool receive(struct conn *c)
{
	if (c->eof || c->in_len == SUP_ADMIN_LINE)
		return true;
	ssize_t n = recv(c->ev.fd, c->in + c->in_len, SUP_ADMIN_LINE - c->in_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n < 0) {
		drop(c);
		return false;
	}
	c->eof = n == 0;
	c->in_len += (size_t)n;
	c->active_ns = om_now_ns();
	return true;
}

/* Wait for what brings this connection on. A descriptor that waits for nothing still tells of its end (EPOLLHUP). */
static void want(struct conn *c)
{
	if (c->waiting && !c->out)
		sup_loop_mod(c->a->loop, &c->ev, 0);
	else /* lines that wait for their turn have no event of their own: a writable socket brings us back */
		sup_loop_mod(c->a->loop, &c->ev, c->out || line_len(c) ? EPOLLOUT : EPOLLIN);
}

static void on_conn(struct sup_ev *ev, uint32_t events)
{
	struct conn *c = ev->arg;

	if ((events & EPOLLERR) != 0 || (c->waiting && (events & EPOLLHUP) != 0)) {
		drop(c);
		return;
	}
	if (!flush(c) || (!c->out && !c->waiting && !receive(c)) || !work(c))
		return;
	want(c);
}

static void answer_waiting(struct conn *c, json_t *answer)
{
	c->waiting = false;
	c->active_ns = om_now_ns();
	if (reply(c, answer) && flush(c) && work(c))
		want(c);
}

void sup_admin_reply(struct sup_admin *a, const struct sup_admin_ref *ref, json_t *answer)
{
	struct conn *c = a ? &a->conn[ref->conn % SUP_ADMIN_CONNS] : NULL;

	if (!c || c->ev.fd < 0 || !c->waiting || c->ref.serial != ref->serial) {
		json_decref(answer); /* its peer has gone */
		return;
	}
	answer_waiting(c, answer);
}

/* A free place; with none, the one that has been silent longest goes, an operator's own last. */
static struct conn *place(struct sup_admin *a)
{
	struct conn *victim = NULL;

	for (unsigned i = 0; i < SUP_ADMIN_CONNS; i++) {
		struct conn *c = &a->conn[i];
		if (c->ev.fd < 0)
			return c;
		bool own = c->peer.uid == 0 || c->peer.uid == a->self_uid;
		bool victim_own = victim && (victim->peer.uid == 0 || victim->peer.uid == a->self_uid);
		if (!victim || (victim_own && !own) || (victim_own == own && c->active_ns < victim->active_ns))
			victim = c;
	}
	drop(victim);
	return victim;
}

static void on_listen(struct sup_ev *ev, uint32_t events)
{
	struct sup_admin *a = ev->arg;
	struct om_peer peer;

	(void)events;
	OM_AUTO_FD fd = accept4(ev->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 || om_fdpass_peer(fd, &peer) < 0)
		return; /* the peer has gone, or descriptors ran out for a moment: level-triggered, we come back */
	struct conn *c = place(a);
	*c = (struct conn){ .a = a, .ev = { .fd = -1 }, .in = malloc(SUP_ADMIN_LINE), .peer = peer, .active_ns = om_now_ns() };
	if (c->in && sup_loop_add(a->loop, &c->ev, fd, EPOLLIN, on_conn, c) == 0) {
		(void)om_take_fd(&fd);
		return;
	}
	free(c->in);
	c->in = NULL;
}

int sup_admin_open(struct sup_loop *loop, int listenfd, sup_admin_answer_fn *answer, void *arg, struct sup_admin **ret)
{
	struct sup_admin *a = calloc(1, sizeof(*a));

	if (!a)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	a->loop = loop;
	a->answer = answer;
	a->arg = arg;
	a->self_uid = geteuid();
	for (unsigned i = 0; i < SUP_ADMIN_CONNS; i++)
		a->conn[i].ev.fd = -1;
	int err = sup_loop_add(loop, &a->listen_ev, listenfd, EPOLLIN, on_listen, a);
	if (err < 0) {
		free(a);
		return err;
	}
	*ret = a;
	return 0;
}

void sup_admin_close(struct sup_admin *a)
{
	if (!a)
		return;
	sup_loop_del(a->loop, &a->listen_ev);
	for (unsigned i = 0; i < SUP_ADMIN_CONNS; i++)
		drop(&a->conn[i]);
	free(a);
}

void sup_admin_tick(struct sup_admin *a, uint64_t now_ns)
{
	for (unsigned i = 0; i < SUP_ADMIN_CONNS; i++) {
		struct conn *c = &a->conn[i];
		if (c->ev.fd < 0)
			continue;
		if (c->waiting) {
			if (now_ns >= c->wait_due_ns)
				answer_waiting(c, sup_admin_error(OBJM_STATUS_TIMEOUT, "what was asked has not been answered in time", NULL));
			continue;
		}
		/* requests that wait, wait for room towards the peer: it does not read */
		uint64_t limit = (uint64_t)(c->out || line_len(c) ? SUP_ADMIN_STUCK_MS : SUP_ADMIN_IDLE_MS) * MS;
		if (now_ns > c->active_ns && now_ns - c->active_ns >= limit)
			drop(c);
	}
}
