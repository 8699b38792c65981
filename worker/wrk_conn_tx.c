/*
 * wrk_conn_tx.c: client connections (process objmapper-worker, loop thread): sending, and what time does to peers that do
 * nothing. Pieces of files that are not in memory are read, or moved to the socket inside the kernel, on an I/O thread
 * (one job a connection), so that the loop never waits for a disk.
 */
#include "worker/wrk_conn_int.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "common/om_counter.h"
#include "worker/wrk_code.h"
#include "worker/wrk_io.h"
#include "worker/wrk_reap.h"

#define WRK_CONN_REFS_NS 5000000u /* the kernel has no room for descriptors in flight: again after this */
#define WRK_CONN_FDS_NS 20000000u /* our own share is used up: again after this, or when the peer reads */
#define WRK_CONN_OUT_KEEP 65536u  /* buffers above this are given back when they are empty */

/* ---------------------------------------------------------------- time */

/* Since when the peer owes us its part: half a message, or an answer that it does not read; 0: it does not. */
static uint64_t wrk_conn_owes(const struct wrk_conn *c)
{
	uint64_t half = c->state == WRK_CONN_OPEN && !c->held ? c->half_since_ns : 0;

	if (half && c->unread_since_ns)
		return OM_MIN(half, c->unread_since_ns);
	return half ? half : c->unread_since_ns;
}

/* When something is to be done about a peer that does nothing; 0: never. */
static uint64_t wrk_conn_due(const struct wrk_conn *c)
{
	const struct om_boot_limits *l = &c->w->boot.limits;
	uint64_t due = 0, owes = wrk_conn_owes(c);

	if (c->refused)
		return c->refused_ns + WRK_CONN_REFUSED_NS;
	if (l->idle_timeout_ms && c->n_reqs == 0 && !wrk_conn_has_sessions(c) && !c->watches)
		due = c->active_ns + (uint64_t)l->idle_timeout_ms * 1000000u;
	if (l->request_timeout_ms && owes) {
		owes += (uint64_t)l->request_timeout_ms * 1000000u;
		due = due ? OM_MIN(due, owes) : owes;
	}
	return due;
}

/* Signs of life do not touch the timer: it fires too early, looks, and is set again. */
void wrk_conn_arm(struct wrk_conn *c)
{
	uint64_t due = wrk_conn_due(c);

	if (due && (!c->timer.due_ns || c->timer.due_ns > due))
		wrk_timer_arm(&c->w->loop, &c->timer, due);
}

void wrk_conn_say_close(struct wrk_conn *c, uint8_t reason)
{
	uint8_t *p;

	if (c->version != OM_PROTO_V2 || !c->greeted || c->close_sent)
		return;
	p = wrk_out_room(&c->out, OM_PROTO_CLOSE_LEN);
	if (p && om_proto_close_encode(reason, p, OM_PROTO_CLOSE_LEN) > 0 &&
	    wrk_out_frame(&c->out, OM_PROTO_CLOSE_LEN, NULL, 0, WRK_OUT_FDS_MAX) == 0)
		c->close_sent = true;
}

void wrk_conn_timer(void *arg)
{
	struct wrk_conn *c = arg;
	uint64_t due = wrk_conn_due(c);
	bool reads;
	const char *what;

	if (!due || due > c->w->loop.now_ns) {
		wrk_conn_arm(c);
		return;
	}
	what = c->unread_since_ns ? "an answer waited unread" : c->half_since_ns && !c->held ? "half a request and then silence" : NULL;
	if (what) {
		om_count(OM_C_PEER_LIMIT, 1);
		wrk_conn_log(c, OM_MSG_PEER_LIMIT, "connection of uid %d closed: %s (limits.request_timeout)", (int)c->uid, what);
	}
	reads = wrk_out_empty(&c->out) && !c->refused;
	wrk_conn_say_close(c, OM_PROTO_CLOSE_TIMEOUT);
	c->state = WRK_CONN_CLOSING;
	if (reads)
		wrk_conn_touch(c);
	else
		wrk_conn_close(c); /* it has not read for all that time */
}

void wrk_conn_tx_timer(void *arg)
{
	struct wrk_conn *c = arg;

	wrk_conn_touch(c);
}

/* ---------------------------------------------------------------- sending */

struct wrk_conn_cold { /* a job on an I/O thread */
	struct wrk_io_job job;
	struct wrk_conn *conn;
	int fd;	  /* duplicates: the connection may close its own meanwhile */
	int sock; /* -1: the bytes are read into data; else they are moved to it inside the kernel */
	uint64_t off;
	size_t want;
	ssize_t got; /* bytes read or moved; negative: none, errno in `err` */
	int err;
	int level;	/* WRK_OUT_CODE: of the block; 0: as it is */
	uint8_t *block; /* then: made of what was read */
	size_t block_len;
	uint8_t data[];
};

static void wrk_conn_cold_run(struct wrk_io_job *job)
{
	struct wrk_conn_cold *k = (struct wrk_conn_cold *)job;

	do
		k->got = pread(k->fd, k->data, k->want, (off_t)k->off);
	while (k->got < 0 && errno == EINTR);
	k->err = errno;
}

/* The socket does not block: what waits is the disk. A short count means that the socket is full. */
static void wrk_conn_splice_run(struct wrk_io_job *job)
{
	struct wrk_conn_cold *k = (struct wrk_conn_cold *)job;
	off_t off = (off_t)k->off;

	do
		k->got = sendfile(k->sock, k->fd, &off, k->want);
	while (k->got < 0 && errno == EINTR);
	k->err = errno;
}

static void wrk_conn_code_run(struct wrk_io_job *job)
{
	struct wrk_conn_cold *k = (struct wrk_conn_cold *)job;

	wrk_conn_cold_run(job);
	if (k->got > 0)
		k->block_len = wrk_code_block(k->level, k->data, (size_t)k->got, k->block);
}

static void wrk_conn_cold_failed(struct wrk_conn *c, const struct wrk_conn_cold *k)
{
	om_log(OM_MSG_OBJECT_IO, "the bytes of an object cannot be read at offset %llu: %s; the connection is closed",
	       (unsigned long long)k->off, k->got == 0 ? "the file is too short" : strerror(k->err));
	wrk_conn_close(c);
}

static void wrk_conn_cold_read(struct wrk_conn *c, const struct wrk_conn_cold *k)
{
	uint8_t *copy = k->got > 0 ? malloc((size_t)k->got) : NULL;

	if (!copy) {
		wrk_conn_cold_failed(c, k);
		return;
	}
	memcpy(copy, k->data, (size_t)k->got);
	wrk_out_cold_done(&c->out, copy, (size_t)k->got);
}

static void wrk_conn_coded(struct wrk_conn *c, struct wrk_conn_cold *k)
{
	if (k->got <= 0) {
		wrk_conn_cold_failed(c, k);
		return;
	}
	om_count_own(OM_C_COMPRESSED_BYTES, (uint64_t)k->got);
	om_count_own(OM_C_COMPRESSED_SENT, k->block_len);
	wrk_out_block(&c->out, OM_TAKE_PTR(k->block), k->block_len, (uint32_t)k->got, k->level > 0);
}

static void wrk_conn_spliced(struct wrk_conn *c, const struct wrk_conn_cold *k)
{
	if (k->got > 0) {
		wrk_out_moved(&c->out, (uint64_t)k->got, false);
		c->active_ns = c->w->loop.now_ns;
		c->unread_since_ns = 0;
	} else if (k->got < 0 && k->err == EINVAL) { /* not a thing that this filesystem, or kernel, can do */
		wrk_out_moved(&c->out, 0, true);
	} else if (k->got < 0 && (k->err == EPIPE || k->err == ECONNRESET)) {
		wrk_conn_close(c);
	} else if (!(k->got < 0 && (k->err == EAGAIN || k->err == ENOBUFS || k->err == ENOMEM))) {
		wrk_conn_cold_failed(c, k);
	}
}

static void wrk_conn_cold_done(struct wrk_io_job *job)
{
	struct wrk_conn_cold *k = (struct wrk_conn_cold *)job;
	struct wrk_conn *c = k->conn;

	c->tx_cold = false;
	if (c->state != WRK_CONN_DEAD && k->sock >= 0)
		wrk_conn_spliced(c, k);
	else if (c->state != WRK_CONN_DEAD && k->job.run == wrk_conn_code_run)
		wrk_conn_coded(c, k);
	else if (c->state != WRK_CONN_DEAD)
		wrk_conn_cold_read(c, k);
	(void)wrk_fdcache_close(k->fd); /* the queue's own may be closed already */
	if (c->fd_cleanup && k->sock >= 0)
		wrk_reap_fd(c->w->reap, k->sock); /* it may be the last one of the connection: see wrk_reap.h */
	else
		om_close(&k->sock);
	free(k->block);
	free(k);
	wrk_conn_touch(c);
}

/* A job for what is next in the queue, with `room` bytes of its own. @return NULL: no memory, no descriptor */
static struct wrk_conn_cold *wrk_conn_cold_new(struct wrk_conn *c, size_t room, void (*run)(struct wrk_io_job *job))
{
	struct wrk_conn_cold *k = malloc(sizeof(*k) + room);
	int fd;

	if (!k)
		return NULL;
	wrk_out_cold(&c->out, &fd, &k->off, &k->want);
	k->conn = c;
	k->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	k->sock = -1;
	k->level = 0;
	k->block = NULL;
	k->job = (struct wrk_io_job){ .run = run, .done = wrk_conn_cold_done };
	if (k->fd >= 0)
		return k;
	free(k);
	return NULL;
}

/* Off it goes, unless it is not `whole`. @return false: not now; k is gone */
static bool wrk_conn_cold_go(struct wrk_conn *c, struct wrk_conn_cold *k, bool whole, enum wrk_io_class cls)
{
	if (whole && wrk_io_submit(c->w->io, cls, &k->job) == 0) {
		c->tx_cold = true;
		return true;
	}
	om_close(&k->fd);
	om_close(&k->sock);
	free(k->block);
	free(k);
	return false;
}

/* Read, or move, what is next on an I/O thread. @return false: not now */
static bool wrk_conn_cold(struct wrk_conn *c, bool splice)
{
	struct wrk_conn_cold *k = wrk_conn_cold_new(c, splice ? 0 : WRK_OUT_CHUNK, splice ? wrk_conn_splice_run : wrk_conn_cold_run);

	if (!k)
		return false;
	if (splice)
		k->sock = fcntl(c->fd, F_DUPFD_CLOEXEC, 3);
	return wrk_conn_cold_go(c, k, !splice || k->sock >= 0, WRK_IO_READ);
}

/* Make the next block on an I/O thread. @return false: not now */
static bool wrk_conn_code(struct wrk_conn *c)
{
	struct wrk_conn_cold *k = wrk_conn_cold_new(c, WRK_OUT_CHUNK, wrk_conn_code_run);

	if (!k)
		return false;
	k->level = wrk_out_block_try(&c->out) ? wrk_code_level(c->w) : 0;
	k->block = malloc(OM_PROTO_BLOCK_HDR + k->want);
	return wrk_conn_cold_go(c, k, k->block != NULL, k->level ? WRK_IO_CODE : WRK_IO_READ);
}

/* Send what can be sent; what remains waits for epoll, a timer or an I/O thread. @return what the socket should wait for */
uint32_t wrk_conn_flush(struct wrk_conn *c)
{
	struct wrk_conn_set *s = c->w->conns;
	uint64_t now = c->w->loop.now_ns, sent;
	unsigned want = wrk_out_fds(&c->out), fds;
	unsigned room = want ? wrk_flight_room(&s->flight, &c->flight, want, wrk_out_next_fds(&c->out), now) : 0;
	enum wrk_out_result res = wrk_out_flush(&c->out, c->fd, room, &fds, &sent);

	wrk_flight_sent(&s->flight, &c->flight, fds);
	om_count_own(OM_C_FDS_SENT, fds);
	if (sent)
		c->active_ns = now;
	c->tx_wait = res != WRK_OUT_DONE;
	if (res != WRK_OUT_FULL && res != WRK_OUT_FDS)
		c->unread_since_ns = 0; /* it is not the peer that we wait for */
	else if (sent || !c->unread_since_ns)
		c->unread_since_ns = now;
	switch (res) {
	case WRK_OUT_DONE:
		if (c->out.cap > WRK_CONN_OUT_KEEP)
			wrk_out_trim(&c->out);
		return 0;
	case WRK_OUT_FULL:
		return EPOLLOUT;
	case WRK_OUT_FDS: /* edge-triggered: the socket is writable; what we wait for is that the peer reads */
		om_count(OM_C_PEER_LIMIT, 1);
		wrk_timer_arm(&c->w->loop, &c->tx_timer, now + WRK_CONN_FDS_NS);
		return EPOLLOUT | EPOLLET;
	case WRK_OUT_REFS:
		om_count(OM_C_PEER_LIMIT, 1);
		wrk_timer_arm(&c->w->loop, &c->tx_timer, now + WRK_CONN_REFS_NS);
		return 0;
	case WRK_OUT_COLD:
	case WRK_OUT_KERNEL:
		if (!wrk_conn_cold(c, res == WRK_OUT_KERNEL))
			wrk_timer_arm(&c->w->loop, &c->tx_timer, now + WRK_CONN_REFS_NS);
		return 0;
	case WRK_OUT_CODE:
		if (!wrk_conn_code(c))
			wrk_timer_arm(&c->w->loop, &c->tx_timer, now + WRK_CONN_REFS_NS);
		return 0;
	case WRK_OUT_YIELD:
		wrk_conn_touch(c);
		return 0;
	case WRK_OUT_SHORT:
		om_log(OM_MSG_OBJECT_IO, "an object's file is shorter than its record says, or cannot be read (%s); the connection of "
		       "uid %d is closed", strerror(errno), (int)c->uid);
		break;
	case WRK_OUT_GONE:
		break;
	}
	wrk_conn_close(c);
	return 0;
}
