/*
 * wrk_conn_rx.c: client connections (process objmapper-worker, loop thread): reading, and holding back what may not begin yet.
 */
#include "worker/wrk_conn_int.h"

#include <sys/socket.h>

#include "common/om_counter.h"
#include "common/om_fdpass.h"
#include "worker/wrk_decode.h"
#include "worker/wrk_reap.h"
#include "worker/wrk_req.h"
#include "worker/wrk_write.h"

#define WRK_CONN_HINT_NOFILE (16 * WRK_HINT_MAX) /* RLIMIT_NOFILE below which a second descriptor is too dear */

/* ---------------------------------------------------------------- reading */

/* Descriptors that nobody asked for: away with them, not here (their close may block). */
static void wrk_conn_uninvited(struct wrk_conn *c, struct msghdr *h)
{
	for (struct cmsghdr *m = CMSG_FIRSTHDR(h); m; m = CMSG_NXTHDR(h, m)) {
		size_t n = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(m) + i * sizeof(int), sizeof(fd));
			wrk_reap_sent(c->w->reap, c->uid, fd);
		}
		om_count(OM_C_FDS_UNINVITED, n);
	}
}

static ssize_t wrk_conn_recv(struct wrk_conn *c, void *buf, size_t cap)
{
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(int) * OM_FDPASS_MAX)];
	struct iovec iov = { buf, cap };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (!c->fd_cleanup)
		return recv(c->fd, buf, cap, MSG_DONTWAIT);
	h.msg_control = ctl;
	h.msg_controllen = sizeof(ctl);
	n = recvmsg(c->fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n >= 0 && h.msg_controllen)
		wrk_conn_uninvited(c, &h);
	if (n >= 0 && (h.msg_flags & MSG_CTRUNC)) /* more than fit, or we have none free: the kernel has dropped the rest */
		om_count(OM_C_FDS_UNINVITED, 1);
	return n;
}

/* Keep what was not used. `p` may be c->in itself. */
static bool wrk_conn_keep(struct wrk_conn *c, const uint8_t *p, size_t len)
{
	if (len == 0) {
		free(c->in);
		c->in = NULL;
		c->in_len = c->in_cap = 0;
		return true;
	}
	if (c->in && p >= c->in && p < c->in + c->in_cap) {
		memmove(c->in, p, len);
	} else {
		if (c->in_cap < len) {
			uint8_t *in = malloc(len);

			if (!in)
				return false;
			free(c->in);
			c->in = in;
			c->in_cap = len;
		}
		memcpy(c->in, p, len);
	}
	c->in_len = len;
	return true;
}

/* Use `len` bytes at `buf`; what is left over is kept. */
void wrk_conn_use(struct wrk_conn *c, const uint8_t *buf, size_t len)
{
	size_t used;
	bool half;

	c->held = wrk_conn_must_hold(c);
	used = c->held ? 0 : wrk_decode(c, buf, len, wrk_conn_must_hold);
	if (c->state == WRK_CONN_DEAD)
		return;
	if (!wrk_conn_keep(c, used ? buf + used : buf, len - used)) {
		wrk_conn_log(c, OM_MSG_PEER_LIMIT, "out of memory for the request of uid %d: the connection is closed", (int)c->uid);
		wrk_conn_close(c);
		return;
	}
	c->held = wrk_conn_must_hold(c);
	half = c->in_len > 0 || c->payload_left > 0 || c->skip > 0;
	/* A message has its time from its first byte on; a payload is only asked to go on. */
	if (!half || c->held)
		c->half_since_ns = 0;
	else if (!c->half_since_ns || used)
		c->half_since_ns = c->w->loop.now_ns;
}

/* @return false: nothing more to read now */
bool wrk_conn_read(struct wrk_conn *c)
{
	struct wrk_conn_set *s = c->w->conns;
	bool large = c->in_need > sizeof(s->in);
	uint8_t *buf = s->in;
	size_t cap = sizeof(s->in);
	ssize_t n;

	if (wrk_conn_floods(c)) {
		c->held = true;
		return false;
	}
	if (large) { /* a frame above what is read at once: its own buffer, of its own size */
		if (c->in_cap < c->in_need) {
			uint8_t *in = realloc(c->in, c->in_need);

			if (!in) {
				wrk_conn_close(c);
				return false;
			}
			c->in = in;
			c->in_cap = c->in_need;
		}
		buf = c->in;
		cap = c->in_cap;
	} else if (c->in_len) {
		memcpy(buf, c->in, c->in_len);
	}
	OM_ASSERT(c->in_len < cap);
	n = wrk_conn_recv(c, buf + c->in_len, cap - c->in_len);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			wrk_conn_close(c);
		return false;
	}
	if (n == 0) {
		c->eof = true;
		wrk_write_payload_cut(c);
		return false;
	}
	c->active_ns = c->w->loop.now_ns;
	if (wrk_conn_is_unix(c) && s->nofile >= WRK_CONN_HINT_NOFILE)
		wrk_hint_read(&c->w->loop, &c->hint, c->fd, c->active_ns);
	wrk_flight_refresh(&s->flight, &c->flight, WRK_OUT_FDS_MAX);
	wrk_conn_use(c, buf, c->in_len + (size_t)n);
	return c->state == WRK_CONN_OPEN && (size_t)n == cap - c->in_len;
}
