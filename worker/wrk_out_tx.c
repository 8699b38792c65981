/*
 * wrk_out_tx.c: the output queue of a connection is sent (process objmapper-worker, loop thread). See wrk_out.h. Called by
 * wrk_conn_tx.c.
 */
#include "worker/wrk_out_int.h"

#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/om_counter.h"

#define WRK_OUT_BATCH 64u /* messages to one sendmmsg */
#define WRK_OUT_AHEAD 8u
#define WRK_OUT_PLAIN_MAX 15u /* blocks to one attempt at compressing that fails */

/* Give the next `n` descriptors back. Their entries have left the first cache while the kernel took them: several come at once. */
static void wrk_out_drop_all(struct wrk_out *o, unsigned n)
{
	const struct wrk_out_fd *fds;

	if (n == 0) /* and perhaps no array */
		return;
	fds = &o->fds[o->fd_start];
	for (unsigned i = 0; i < OM_MIN(n, WRK_OUT_AHEAD); i++)
		__builtin_prefetch(fds[i].ref, 1);
	for (unsigned i = 0; i < n; i++) {
		if (i + WRK_OUT_AHEAD < n)
			__builtin_prefetch(fds[i + WRK_OUT_AHEAD].ref, 1);
		wrk_out_fd_drop(o->cache, &fds[i]);
	}
}

/* Take a message that has left, or `n` bytes of it, off the front. */
static void wrk_out_sent(struct wrk_out *o, struct wrk_out_msg *m, uint32_t n, unsigned *ret_fds)
{
	if (!m->started) {
		m->started = true;
		wrk_out_drop_all(o, m->nfds);
		o->fd_start += m->nfds;
		*ret_fds += m->nfds;
		m->nfds = 0;
	}
	o->start += n;
	m->len -= n;
	if (m->len == 0)
		o->m_start++;
}

static void wrk_out_rewind(struct wrk_out *o)
{
	if (!wrk_out_empty(o))
		return;
	OM_ASSERT(o->start == o->end && o->fd_start == o->fd_end);
	o->start = o->end = 0;
	o->fd_start = o->fd_end = 0;
	o->m_start = o->m_end = 0;
}

static enum wrk_out_result wrk_out_error(void)
{
	switch (errno) {
	case EAGAIN:
	case EINTR:
		return WRK_OUT_FULL;
	case ETOOMANYREFS:
	case ENOBUFS:
	case ENOMEM:
		return WRK_OUT_REFS;
	default:
		return WRK_OUT_GONE; /* EPIPE, ECONNRESET and whatever else: nothing can be sent on this socket */
	}
}

/* One sendmmsg worth of messages, up to the first file. */
struct wrk_out_batch {
	struct mmsghdr hdr[WRK_OUT_BATCH];
	struct iovec iov[WRK_OUT_BATCH];
	_Alignas(struct cmsghdr) char ctl[WRK_OUT_BATCH][CMSG_SPACE(sizeof(int) * WRK_OUT_FDS_MAX)];
};

static void wrk_out_control(struct wrk_out_batch *b, unsigned n, const struct wrk_out_fd *fds, unsigned nfds)
{
	struct msghdr *h = &b->hdr[n].msg_hdr;
	struct cmsghdr *c;

	h->msg_control = b->ctl[n];
	h->msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
	c = CMSG_FIRSTHDR(h);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
	for (unsigned i = 0; i < nfds; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &fds[i].fd, sizeof(int));
}

static unsigned wrk_out_gather(struct wrk_out *o, struct wrk_out_batch *b, unsigned fd_room, bool *ret_short_of_fds)
{
	size_t at = o->start;
	unsigned fd_at = o->fd_start, n = 0;

	*ret_short_of_fds = false;
	for (unsigned i = o->m_start; i < o->m_end && n < WRK_OUT_BATCH && !o->msgs[i].file; i++, n++) {
		const struct wrk_out_msg *m = &o->msgs[i];

		if (m->nfds > fd_room) {
			*ret_short_of_fds = true;
			break;
		}
		fd_room -= m->nfds;
		b->iov[n] = (struct iovec){ o->buf + at, m->len };
		b->hdr[n] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &b->iov[n], .msg_iovlen = 1 } };
		if (m->nfds)
			wrk_out_control(b, n, o->fds + fd_at, m->nfds);
		at += m->len;
		fd_at += m->nfds;
	}
	return n;
}

static enum wrk_out_result wrk_out_flush_msgs(struct wrk_out *o, int sock, unsigned fd_room, unsigned *ret_fds,
					      uint64_t *ret_sent)
{
	static struct wrk_out_batch b; /* 70 KiB; the loop's thread alone comes here */
	bool short_of_fds;
	unsigned n = wrk_out_gather(o, &b, fd_room, &short_of_fds);
	int k;

	if (n == 0)
		return WRK_OUT_FDS;
	k = n == 1 ? (int)sendmsg(sock, &b.hdr[0].msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL) :
		     sendmmsg(sock, b.hdr, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (k < 0)
		return wrk_out_error();
	if (n == 1) {
		b.hdr[0].msg_len = (unsigned)k;
		k = 1;
	}
	for (int i = 0; i < k; i++) {
		struct wrk_out_msg *m = &o->msgs[o->m_start];

		*ret_sent += b.hdr[i].msg_len;
		wrk_out_sent(o, m, b.hdr[i].msg_len, ret_fds);
		if (m->len)
			return WRK_OUT_FULL;
	}
	/* A partly sent batch hides its error: the next call gets it. */
	return WRK_OUT_DONE;
}

/* Bytes of the file at the front have left. */
static void wrk_out_file_sent(struct wrk_out *o, struct wrk_out_msg *m, uint64_t n)
{
	OM_ASSERT(m->file && n <= m->left);
	om_count_own(OM_C_BYTES_SENT, n);
	m->off += n;
	m->left -= n;
	if (m->left)
		return;
	(void)wrk_fdcache_close(m->fd);
	o->files--;
	o->m_start++;
}

/* sendfile of a file whose bytes lie in memory. */
static ssize_t wrk_out_send_hot(struct wrk_out_msg *m, int sock, size_t want)
{
	off_t off = (off_t)m->off;
	ssize_t n = sendfile(sock, m->fd, &off, want);

	if (n < 0 && errno == EINVAL) { /* this filesystem can not */
		m->how = WRK_OUT_COPY;
		errno = EINTR; /* come again */
	}
	return n;
}

/* What an I/O thread has read. */
static ssize_t wrk_out_send_cold(struct wrk_out *o, int sock, size_t want)
{
	ssize_t n = send(sock, o->cold + o->cold_at, OM_MIN(o->cold_len - o->cold_at, want), MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return n;
	o->cold_at += (size_t)n;
	if (o->cold_at == o->cold_len) {
		free(o->cold);
		o->cold = NULL;
	}
	return n;
}

static bool wrk_out_writable(int sock)
{
	struct pollfd p = { .fd = sock, .events = POLLOUT };

	return poll(&p, 1, 0) > 0;
}

/* Send up to a chunk of the file at the front. */
static enum wrk_out_result wrk_out_flush_file(struct wrk_out *o, int sock, uint64_t *ret_sent)
{
	static uint8_t chunk[WRK_OUT_CHUNK];
	struct wrk_out_msg *m = &o->msgs[o->m_start];
	size_t want = (size_t)OM_MIN(m->left, (uint64_t)WRK_OUT_CHUNK);
	ssize_t n;

	if (o->cold) {
		n = wrk_out_send_cold(o, sock, m->how == WRK_OUT_CODED ? SIZE_MAX : want);
	} else if (m->how == WRK_OUT_SPLICE || m->how == WRK_OUT_CODED) {
		return !wrk_out_writable(sock) ? WRK_OUT_FULL : m->how == WRK_OUT_SPLICE ? WRK_OUT_KERNEL : WRK_OUT_CODE;
	} else if (m->how == WRK_OUT_HOT) {
		n = wrk_out_send_hot(m, sock, want);
		if (n == 0)
			return WRK_OUT_SHORT;
	} else {
		struct iovec iov = { chunk, want };
		ssize_t have = preadv2(m->fd, &iov, 1, (off_t)m->off, RWF_NOWAIT);

		if (have < 0)
			return errno == EAGAIN || errno == EOPNOTSUPP || errno == EINTR ? WRK_OUT_COLD : WRK_OUT_SHORT;
		if (have == 0)
			return WRK_OUT_SHORT;
		n = send(sock, chunk, (size_t)have, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	if (n < 0)
		return errno == EIO ? WRK_OUT_SHORT : errno == EINTR ? WRK_OUT_YIELD : wrk_out_error();
	*ret_sent += (uint64_t)n;
	if (m->how != WRK_OUT_CODED)
		wrk_out_file_sent(o, m, (uint64_t)n);
	else if (!o->cold) /* the block has left */
		wrk_out_file_sent(o, m, o->cold_raw);
	return WRK_OUT_DONE;
}

void wrk_out_moved(struct wrk_out *o, uint64_t n, bool copy)
{
	struct wrk_out_msg *m = &o->msgs[o->m_start];

	OM_ASSERT(!wrk_out_empty(o) && m->how == WRK_OUT_SPLICE);
	if (copy)
		m->how = WRK_OUT_COPY;
	wrk_out_file_sent(o, m, n);
	wrk_out_rewind(o);
}

enum wrk_out_result wrk_out_flush(struct wrk_out *o, int sock, unsigned fd_room, unsigned *ret_fds, uint64_t *ret_sent)
{
	enum wrk_out_result res = WRK_OUT_DONE;

	*ret_fds = 0;
	*ret_sent = 0;
	while (res == WRK_OUT_DONE && !wrk_out_empty(o)) {
		if (o->msgs[o->m_start].file) {
			if (*ret_sent >= WRK_OUT_TURN)
				return WRK_OUT_YIELD;
			res = wrk_out_flush_file(o, sock, ret_sent);
		} else {
			res = wrk_out_flush_msgs(o, sock, fd_room - *ret_fds, ret_fds, ret_sent);
		}
	}
	wrk_out_rewind(o);
	return res;
}

void wrk_out_cold(const struct wrk_out *o, int *ret_fd, uint64_t *ret_off, size_t *ret_len)
{
	const struct wrk_out_msg *m = &o->msgs[o->m_start];

	OM_ASSERT(!wrk_out_empty(o) && m->file && !o->cold);
	*ret_fd = m->fd;
	*ret_off = m->off;
	*ret_len = (size_t)OM_MIN(m->left, (uint64_t)(m->how == WRK_OUT_SPLICE ? WRK_OUT_TURN : WRK_OUT_CHUNK));
}

bool wrk_out_block_try(const struct wrk_out *o) { return o->msgs[o->m_start].plain == 0; }

void wrk_out_block(struct wrk_out *o, uint8_t *buf, size_t len, uint32_t raw, bool tried)
{
	struct wrk_out_msg *m = &o->msgs[o->m_start];

	OM_ASSERT(!wrk_out_empty(o) && m->how == WRK_OUT_CODED && raw > 0 && raw <= m->left);
	if (!tried)
		m->plain -= m->plain > 0;
	else if (len < raw)
		m->plain_run = 0;
	else
		m->plain = m->plain_run = (uint8_t)OM_MIN(2u * m->plain_run + 1u, WRK_OUT_PLAIN_MAX);
	wrk_out_cold_done(o, buf, len);
	o->cold_raw = raw;
}

void wrk_out_cold_done(struct wrk_out *o, uint8_t *buf, size_t len)
{
	OM_ASSERT(!o->cold && len > 0);
	o->cold = buf;
	o->cold_at = 0;
	o->cold_len = len;
}
