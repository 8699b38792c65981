/*
 * om_fdpass.c: see om_fdpass.h. Used on the control sockets between the supervisor and its children.
 */
#include "common/om_fdpass.h"

#include <sys/socket.h>

union cmsg_room {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * OM_FDPASS_MAX)];
};

static int from_errno(void)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return -OBJM_STATUS_WOULD_BLOCK;
	if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
		return -OBJM_STATUS_GONE;
	return -OBJM_STATUS_SYSTEM;
}

int om_fdpass_send(int sock, const void *buf, size_t len, const int *fds, unsigned nfds)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union cmsg_room room;

	OM_ASSERT(nfds <= OM_FDPASS_MAX && len > 0);
	if (nfds) {
		memset(&room, 0, sizeof(room));
		msg.msg_control = room.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	ssize_t n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	if (n < 0)
		return from_errno();
	return (size_t)n == len ? 0 : -OBJM_STATUS_SYSTEM;
}

/* Collects the descriptors of `msg`; false if there were more than `cap`. */
static bool collect(struct msghdr *msg, int *fds, unsigned cap, unsigned *ret_n)
{
	unsigned n = 0;
	bool fits = true;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (n < cap) {
				fds[n++] = fd;
			} else {
				om_close(&fd);
				fits = false;
			}
		}
	}
	*ret_n = n;
	return fits;
}

int om_fdpass_recv(int sock, void *buf, size_t cap, size_t *ret_len, int *fds, unsigned cap_fds, unsigned *ret_nfds)
{
	union cmsg_room room;
	struct iovec iov = { .iov_base = buf, .iov_len = cap };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room.bytes, .msg_controllen = sizeof(room.bytes)
	};
	unsigned nfds = 0;

	ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return from_errno();
	bool fits = collect(&msg, fds, cap_fds, &nfds);
	if (n == 0 || !fits || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		for (unsigned i = 0; i < nfds; i++)
			om_close(&fds[i]);
		return n == 0 ? -OBJM_STATUS_GONE : -OBJM_STATUS_CORRUPT;
	}
	*ret_len = (size_t)n;
	*ret_nfds = nfds;
	return 0;
}

int om_fdpass_peer(int sock, struct om_peer *ret)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -OBJM_STATUS_SYSTEM;
	*ret = (struct om_peer){ .uid = cred.uid, .gid = cred.gid, .pid = cred.pid };
	return 0;
}
