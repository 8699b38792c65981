/*
 * objm_link.c: a session's connection: dialled, greeted, given up; waiting before it is tried again.
 *
 * Runs in clients, on the session's thread. What is asked over it is objm_exchange.c's and objm_call.c's.
 */
#include "client/objm_priv.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define BACKOFF_FIRST_US 500u
#define BACKOFF_MAX_US 100000u

/* ---------------------------------------------------------------- time */

uint64_t objm_retry_until(const objm_t *s)
{
	return om_now_ns() + (uint64_t)s->opt.retry_ms * 1000000u;
}

bool objm_backoff(unsigned n, uint64_t until_ns)
{
	uint64_t now = om_now_ns(), us = BACKOFF_FIRST_US;
	struct timespec ts;

	if (now >= until_ns)
		return false;
	while (n-- > 0 && us < BACKOFF_MAX_US)
		us *= 2;
	/* Clients that lost the same server must not come back in step: the low bits of the clock spread them. */
	us = OM_MIN(us, (uint64_t)BACKOFF_MAX_US);
	us += (now / 1000u) % (us / 2u + 1u);
	us = OM_MIN(us, (until_ns - now) / 1000u + 1u);
	ts = (struct timespec){.tv_sec = 0, .tv_nsec = (long)(us * 1000u)};
	(void)nanosleep(&ts, NULL); /* cut short by a signal: tried a little earlier */
	return true;
}

static int socket_timeout(int sock, uint32_t ms)
{
	struct timeval tv = {.tv_sec = ms / 1000u, .tv_usec = (suseconds_t)(ms % 1000u) * 1000};

	if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
		return -OBJM_STATUS_SYSTEM;
	return 0;
}

/* ---------------------------------------------------------------- connecting */

void objm_disconnect(objm_t *s)
{
	struct objm_io old = s->io;

	objm_io_fini(&s->io);
	om_close(&s->io.sock);
	objm_io_init(&s->io, -1);
	s->touch_id = 0;
	s->st.bytes_sent += old.sent;
	s->st.bytes_received += old.received;
	s->st.fds_received += old.fds_in;
	s->st.fds_lost += old.fds_dropped;
}

/* The status of a connect() that failed. */
static int dial_status(int err)
{
	switch (err) {
	case EACCES:
	case EPERM:
		return -OBJM_STATUS_PERMISSION_DENIED;
	case EMFILE:
	case ENFILE:
		return -OBJM_STATUS_LIMIT_EXCEEDED;
	case ENOMEM:
	case ENOBUFS:
		return -OBJM_STATUS_OUT_OF_MEMORY;
	case EAGAIN:
		return -OBJM_STATUS_TIMEOUT;
	default:
		return -OBJM_STATUS_UNAVAILABLE;
	}
}

/* A connected socket with time-outs. Other transports will be told by the form of the path here. */
static int dial(objm_t *s, int *ret_sock)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	OM_AUTO_FD sock = -1;
	size_t n = strlen(s->path);
	int r, err;

	if (n == 0 || n >= sizeof(addr.sun_path))
		return objm_fail(s, -OBJM_STATUS_INVALID_REQUEST, 
				 "connect: the socket's path has %zu bytes, allowed are 1 to %zu", n, sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, s->path, n + 1);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0 || socket_timeout(sock, s->opt.connect_timeout_ms) < 0) {
		err = errno;
		return objm_fail(s, dial_status(err), "connect: no socket: %s", strerror(err));
	}
	do {
		r = connect(sock, (struct sockaddr *)&addr, sizeof(addr));
	} while (r < 0 && errno == EINTR);
	if (r < 0) {
		err = errno;
		r = objm_fail(s, dial_status(err), "connect %s: %s%s", s->path,
			      err == EAGAIN ? "the server accepts nobody" : strerror(err),
			      err == ENOENT || err == ECONNREFUSED ? " (is objmapperd running?)" : "");
		errno = err;
		return r;
	}
	*ret_sock = om_take_fd(&sock);
	return 0;
}

/* The next message of the server, whole up to its payload; its length is still to be consumed. */
int objm_next_message(objm_t *s, bool greeted, struct om_proto_out *ret_out)
{
	size_t need = 1;
	int n, r;

	for (;;) {
		n = om_proto_out_decode(OM_PROTO_V2, greeted, OM_PROTO_CAP_EXTENSION, objm_io_at(&s->io),
					objm_io_avail(&s->io), ret_out, &need);
		if (n != 0)
			return n;
		r = objm_io_need(&s->io, need);
		if (r < 0)
			return r;
	}
}

static int hello(objm_t *s)
{
	struct om_proto_hello want = {
		.caps = OM_PROTO_CAP_OOO | OM_PROTO_CAP_PIPELINING | OM_PROTO_CAP_EXTENSION, .max_pipeline = 0};
	uint8_t buf[OM_PROTO_HELLO_LEN];
	struct iovec iov = {.iov_base = buf, .iov_len = sizeof(buf)};
	struct om_proto_out out;
	int n, r;

	(void)om_proto_hello_encode(&want, buf, sizeof(buf)); /* the buffer has its size */
	r = objm_io_send(&s->io, &iov, 1, NULL, 0);
	n = r < 0 ? r : objm_next_message(s, false, &out);
	if (n < 0)
		return objm_fail(s, n, "handshake with %s: %s", s->path, objm_status_text(n));
	objm_io_consume(&s->io, (size_t)n);
	if (!(out.u.hello.caps & OM_PROTO_CAP_EXTENSION))
		return objm_fail(s, -OBJM_STATUS_PROTO_CAPABILITY,
				 "handshake with %s: the server does not offer the extension that sessions need", s->path);
	return 0;
}

int objm_link(objm_t *s)
{
	int sock = -1, r = dial(s, &sock);

	if (r < 0)
		return r;
	objm_io_init(&s->io, sock);
	s->io.socket_timeouts = true;
	r = hello(s);
	if (r < 0)
		objm_disconnect(s);
	return r;
}

int objm_link_timeout(objm_t *s, uint32_t ms)
{
	if (socket_timeout(s->io.sock, ms) < 0)
		return objm_fail(s, -OBJM_STATUS_SYSTEM, "connect %s: socket options: %s", s->path, strerror(errno));
	return 0;
}

/*
 * True if the server has closed, or has something to say, while nothing was asked (that it is going, in all likelihood):
 * for a change that must not be repeated that is better known before than after.
 */
bool objm_stale(const objm_t *s)
{
	uint8_t byte;
	ssize_t n;

	if (objm_io_avail(&s->io) > 0)
		return true;
	n = recv(s->io.sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}
