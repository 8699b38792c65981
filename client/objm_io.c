/*
 * objm_io.c: bytes and descriptors over a stream socket.
 *
 * Runs in clients, and in servers built with the library. One structure, objm_io, for each socket; called by
 * objm_conn.c, objm_server.c and those of a session. Waits only in wait_for() or, where the socket has time-outs of its own, in the
 * kernel; restarts what a signal interrupted; never raises SIGPIPE; every received descriptor is close-on-exec from
 * birth.
 */
#include "client/objm_io.h"

#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#define IO_BUF_FIRST 32768u /* the answers to one full batch of descriptors, in one receive */
#define IO_REFS_NAP_MS 1 /* pause when the kernel has too many descriptors of ours in flight */

union fd_control {
	struct cmsghdr align;
	char data[CMSG_SPACE(sizeof(int) * OBJM_IO_FDS_MSG)];
};

void objm_io_init(struct objm_io *io, int sock)
{
	memset(io, 0, sizeof(*io));
	io->sock = sock;
}

static void close_queue(struct objm_io *io)
{
	while (io->fd_count > 0)
		(void)close(io->fds[(io->fd_first + --io->fd_count) % OBJM_IO_FDS_QUEUE]);
	io->fd_first = 0;
}

void objm_io_fini(struct objm_io *io)
{
	close_queue(io);
	free(io->buf);
	io->buf = NULL;
	io->cap = io->start = io->end = 0;
}

void objm_io_deadline(struct objm_io *io, uint32_t ms)
{
	io->deadline_ns = ms ? om_now_ns() + (uint64_t)ms * 1000000u : 0;
}

/* Wait for `events`, to the deadline. */
static int wait_for(const struct objm_io *io, short events)
{
	struct pollfd p = {.fd = io->sock, .events = events};
	uint64_t now;
	int ms, r;

	for (;;) {
		ms = -1;
		if (io->deadline_ns) {
			now = om_now_ns();
			if (now >= io->deadline_ns)
				return -OBJM_STATUS_TIMEOUT;
			ms = (int)OM_MIN((io->deadline_ns - now + 999999u) / 1000000u, (uint64_t)INT32_MAX);
		}
		r = poll(&p, 1, ms);
		if (r > 0)
			return 0; /* errors and hang-ups show in the call that follows */
		if (r < 0 && errno != EINTR)
			return -OBJM_STATUS_SYSTEM;
	}
}

/* What to do about a failed send or receive: 0: try again. */
static int io_failed(const struct objm_io *io, short events)
{
	switch (errno) {
	case EINTR:
		if (io->deadline_ns && om_now_ns() >= io->deadline_ns)
			return -OBJM_STATUS_TIMEOUT;
		return 0;
	case EAGAIN:
#if EAGAIN != EWOULDBLOCK
	case EWOULDBLOCK:
#endif
		return io->socket_timeouts ? -OBJM_STATUS_TIMEOUT : wait_for(io, events);
	case ETOOMANYREFS: /* our descriptors wait unread with peers: passes when they read */
		if (io->deadline_ns && om_now_ns() >= io->deadline_ns)
			return -OBJM_STATUS_TIMEOUT;
		(void)poll(NULL, 0, IO_REFS_NAP_MS);
		return 0;
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
		return -OBJM_STATUS_GONE;
	default:
		return -OBJM_STATUS_SYSTEM;
	}
}

/* Drop `n` bytes from the front of a vector. */
static void iov_advance(struct iovec **iov, unsigned *count, size_t n)
{
	while (*count > 0 && n >= (*iov)->iov_len) {
		n -= (*iov)->iov_len;
		(*iov)++;
		(*count)--;
	}
	if (*count > 0) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
		(*iov)->iov_len -= n;
	}
}

static void control_put(struct msghdr *msg, union fd_control *control, const int *fds, unsigned nfds)
{
	struct cmsghdr *c;

	msg->msg_control = control->data;
	msg->msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
	memset(control->data, 0, msg->msg_controllen);
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
}

int objm_io_send(struct objm_io *io, struct iovec *iov, unsigned iovcnt, const int *fds, unsigned nfds)
{
	int flags = MSG_NOSIGNAL | (io->deadline_ns && !io->socket_timeouts ? MSG_DONTWAIT : 0);
	union fd_control control;
	ssize_t n;
	int r;

	if (nfds > OBJM_IO_FDS_MSG)
		return -OBJM_STATUS_INVALID_REQUEST;
	iov_advance(&iov, &iovcnt, 0);
	while (iovcnt > 0 && iov[iovcnt - 1].iov_len == 0)
		iovcnt--;
	while (iovcnt > 0) {
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = iovcnt};

		if (nfds > 0)
			control_put(&msg, &control, fds, nfds);
		if (nfds > 0 || iovcnt > 1)
			n = sendmsg(io->sock, &msg, flags);
		else /* the kernel has less to look at */
			n = send(io->sock, iov->iov_base, iov->iov_len, flags);
		if (n < 0) {
			r = io_failed(io, POLLOUT);
			if (r < 0)
				return r;
			continue;
		}
		nfds = 0; /* they left with the first byte */
		io->sent += (uint64_t)n;
		iov_advance(&iov, &iovcnt, (size_t)n);
	}
	return 0;
}

/* Queue `n` descriptors, for which there is room. */
static void queue_put(struct objm_io *io, const unsigned char *fds, size_t n)
{
	while (n > 0) {
		unsigned at = (io->fd_first + io->fd_count) % OBJM_IO_FDS_QUEUE;
		size_t k = OM_MIN(n, (size_t)(OBJM_IO_FDS_QUEUE - at));

		memcpy(&io->fds[at], fds, k * sizeof(int));
		io->fd_count += (unsigned)k;
		fds += k * sizeof(int);
		n -= k;
	}
}

/* Queue the descriptors of a message; those that cannot be told whose they are, or are too many, are closed. */
static int queue_fds(struct objm_io *io, struct msghdr *msg)
{
	struct cmsghdr *c;
	size_t i, n, fit;
	int fd, r = 0;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		fit = io->fds_lost || r < 0 ? 0 : OM_MIN(n, (size_t)(OBJM_IO_FDS_QUEUE - io->fd_count));
		io->fds_in += n;
		queue_put(io, CMSG_DATA(c), fit);
		if (fit < n && !io->fds_lost)
			r = -OBJM_STATUS_PROTO_ERROR;
		for (i = fit; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			(void)close(fd);
			io->fds_dropped++;
		}
	}
	/* Those that arrived came first, in order, and belong to the first frames: they stay usable. */
	if (msg->msg_flags & MSG_CTRUNC) {
		io->fds_lost = true;
		io->fds_dropped++;
	}
	return r;
}

/* One receive of 1..len bytes. */
static int receive(struct objm_io *io, void *dst, size_t len, size_t *ret_n)
{
	int flags = MSG_CMSG_CLOEXEC | (io->deadline_ns && !io->socket_timeouts ? MSG_DONTWAIT : 0);
	union fd_control control;
	struct iovec iov = {.iov_base = dst, .iov_len = len};
	struct msghdr msg;
	ssize_t n;
	int r;

	for (;;) {
		msg = (struct msghdr){.msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control.data,
				      .msg_controllen = sizeof(control.data)};
		n = recvmsg(io->sock, &msg, flags);
		if (n >= 0)
			break;
		r = io_failed(io, POLLIN);
		if (r < 0)
			return r;
	}
	r = queue_fds(io, &msg);
	if (r < 0)
		return r;
	if (n == 0)
		return -OBJM_STATUS_GONE;
	io->received += (uint64_t)n;
	*ret_n = (size_t)n;
	return 0;
}

/* Room for `n` bytes from start on. */
static int make_room(struct objm_io *io, size_t n)
{
	size_t cap = io->cap ? io->cap : IO_BUF_FIRST;
	uint8_t *p;

	if (io->cap - io->start >= n && io->cap)
		return 0;
	while (cap < n)
		cap *= 2;
	if (cap > io->cap) {
		p = malloc(cap);
		if (!p)
			return -OBJM_STATUS_OUT_OF_MEMORY;
		if (io->end > io->start)
			memcpy(p, io->buf + io->start, io->end - io->start);
		free(io->buf);
		io->buf = p;
		io->cap = cap;
	} else {
		memmove(io->buf, io->buf + io->start, io->end - io->start);
	}
	io->end -= io->start;
	io->start = 0;
	return 0;
}

int objm_io_need(struct objm_io *io, size_t n)
{
	size_t got;
	int r;

	while (objm_io_avail(io) < n) {
		r = make_room(io, n);
		if (r < 0)
			return r;
		r = receive(io, io->buf + io->end, io->cap - io->end, &got);
		if (r < 0)
			return r;
		io->end += got;
	}
	return 0;
}

int objm_io_poll(struct objm_io *io)
{
	struct pollfd p = {.fd = io->sock, .events = POLLIN};
	size_t got;
	int r;

	if (poll(&p, 1, 0) <= 0)
		return 0;
	r = make_room(io, objm_io_avail(io) + 1);
	if (r == 0)
		r = receive(io, io->buf + io->end, io->cap - io->end, &got);
	if (r < 0)
		return r;
	io->end += got;
	return 1;
}

void objm_io_consume(struct objm_io *io, size_t n)
{
	io->start += OM_MIN(n, objm_io_avail(io));
	if (io->start == io->end)
		io->start = io->end = 0;
}

int objm_io_read(struct objm_io *io, void *dst, uint64_t n)
{
	uint8_t *p = dst;
	uint8_t waste[4096];
	size_t part;
	int r;

	part = (size_t)OM_MIN(n, (uint64_t)objm_io_avail(io));
	if (p && part) {
		memcpy(p, objm_io_at(io), part);
		p += part;
	}
	objm_io_consume(io, part);
	for (n -= part; n > 0; n -= part) {
		if (p)
			r = receive(io, p, (size_t)OM_MIN(n, (uint64_t)SSIZE_MAX), &part);
		else
			r = receive(io, waste, (size_t)OM_MIN(n, (uint64_t)sizeof(waste)), &part);
		if (r < 0)
			return r;
		if (p)
			p += part;
	}
	return 0;
}

int objm_io_take_fd(struct objm_io *io, int *ret_fd)
{
	if (io->fd_count == 0)
		return io->fds_lost ? -OBJM_STATUS_LIMIT_EXCEEDED : -OBJM_STATUS_PROTO_ERROR;
	*ret_fd = io->fds[io->fd_first++];
	if (--io->fd_count == 0 || io->fd_first == OBJM_IO_FDS_QUEUE)
		io->fd_first = 0; /* an empty queue begins where it did before: in the processor's cache */
	return 0;
}

void objm_io_settled(struct objm_io *io)
{
	if (objm_io_avail(io) > 0)
		return;
	close_queue(io);
	io->fds_lost = false;
}

int objm_write_all(int fd, const void *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -OBJM_STATUS_SYSTEM;
		p = (const uint8_t *)p + k;
		n -= (size_t)k;
	}
	return 0;
}
