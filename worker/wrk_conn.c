/*
 * wrk_conn.c: client connections (process objmapper-worker, loop thread): reading, holding back, sending, time, the end.
 *
 * Input is read into one buffer of the whole worker; what cannot be used yet (half a message, or messages that must wait)
 * is kept in a buffer of the connection's own, of just that size. Requests are decoded in batches (wrk_decode.c) and done
 * by wrk_req.c and its neighbours, which queue answers in c->out and call wrk_conn_touch(); everything is sent once, at the
 * end of the turn. A connection that is closed stays a valid structure until then, so no caller is left with a dangling one.
 */
#include "worker/wrk_conn.h"

#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/om_counter.h"
#include "common/om_fdpass.h"
#include "worker/wrk_decode.h"
#include "worker/wrk_io.h"
#include "worker/wrk_reap.h"
#include "worker/wrk_req.h"

#define WRK_CONN_IN_BYTES 131072u	    /* read at once */
#define WRK_CONN_UIDS 256u		    /* buckets */
#define WRK_CONN_OUT_MSGS 4096u		    /* queued messages past which no request is begun */
#define WRK_CONN_REFS_NS 5000000u	    /* the kernel has no room for descriptors in flight: again after this */
#define WRK_CONN_FDS_NS 20000000u	    /* our own share is used up: again after this, or when the peer reads */
#define WRK_CONN_BURST 64u		    /* descriptors opened before the first of them is sent */
#define WRK_CONN_OUT_KEEP 65536u	    /* buffers above this are given back when they are empty */

struct wrk_conn_set {
	struct wrk *w;
	struct wrk_conn *head;
	unsigned n, max, max_per_uid;
	unsigned nofile; /* RLIMIT_NOFILE at the start */
	size_t queue_bytes;
	unsigned held_fds, held_max; /* descriptors that answers which could not leave keep open, of all connections */
	struct wrk_flight_set flight;
	struct wrk_uid *uids[WRK_CONN_UIDS];
	uint8_t in[WRK_CONN_IN_BYTES];
};

/* ---------------------------------------------------------------- peers */

static struct wrk_uid *wrk_conn_uid_get(struct wrk_conn_set *s, uint32_t uid)
{
	struct wrk_uid **head = &s->uids[uid % WRK_CONN_UIDS], *u;

	for (u = *head; u; u = u->next)
		if (u->uid == uid)
			return u;
	u = calloc(1, sizeof(*u));
	if (u) {
		u->uid = uid;
		u->next = *head;
		*head = u;
	}
	return u;
}

static void wrk_conn_uid_put(struct wrk_conn_set *s, struct wrk_uid *u)
{
	struct wrk_uid **at = &s->uids[u->uid % WRK_CONN_UIDS];

	if (u->conns)
		return;
	OM_ASSERT(u->flight == 0);
	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	free(u);
}

/* ---------------------------------------------------------------- closing */

/* A TCP connection closed over unread input is reset, and the peer may then never see its last answers. */
static void wrk_conn_swallow(struct wrk_conn *c)
{
	for (int i = 0; i < 16 && recv(c->fd, c->w->conns->in, sizeof(c->w->conns->in), MSG_DONTWAIT) > 0; i++)
		;
}

static void wrk_conn_close_fd(struct wrk_conn *c)
{
	wrk_flight_gone(&c->w->conns->flight, &c->flight);
	if (c->kind == OM_LISTEN_TCP)
		wrk_conn_swallow(c);
	if (c->fd_cleanup && c->w->reap)
		wrk_reap_fd(c->w->reap, c->fd);
	else
		(void)close(c->fd);
	c->fd = -1;
}

/* What the queue keeps open counts in the set. */
static void wrk_conn_count_held(struct wrk_conn *c)
{
	unsigned held = wrk_out_held(&c->out) + c->parked_held;

	c->w->conns->held_fds += held - c->held_fds;
	c->held_fds = held;
}

void wrk_conn_close(struct wrk_conn *c)
{
	struct wrk_conn_set *s = c->w->conns;

	if (c->state == WRK_CONN_DEAD)
		return;
	c->state = WRK_CONN_DEAD;
	wrk_loop_del(&c->w->loop, &c->src);
	wrk_timer_disarm(&c->w->loop, &c->timer);
	wrk_timer_disarm(&c->w->loop, &c->tx_timer);
	wrk_put_owner_close(c->w->puts, &c->puts);
	if (c->kind == OM_LISTEN_LEGACY)
		wrk_legacy_owner_close(c->w->legacy, &c->legacy);
	wrk_req_conn_gone(c);
	wrk_out_fini(&c->out);
	wrk_conn_count_held(c);
	wrk_conn_close_fd(c);
	if (c->prev)
		c->prev->next = c->next;
	else
		s->head = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->n--;
	c->uid_row->conns--;
	wrk_conn_uid_put(s, c->uid_row);
	om_gauge(OM_C_CONNECTIONS, s->n);
	wrk_task_queue(&c->w->loop, &c->task);
}

static void wrk_conn_free(struct wrk_conn *c)
{
	if (c->tx_cold) /* an I/O thread still has a job of this connection: its end comes back here */
		return;
	wrk_task_cancel(&c->w->loop, &c->task);
	free(c->in);
	free(c);
}

void wrk_conn_bad(struct wrk_conn *c, const char *why)
{
	if (c->state == WRK_CONN_DEAD)
		return;
	om_count(OM_C_PEER_BAD, 1);
	om_log(OM_MSG_PEER_BAD, "connection of uid %d closed: %s", (int)c->uid, why);
	c->bad = true;
	c->state = WRK_CONN_CLOSING;
	wrk_conn_touch(c);
}

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

	if (l->idle_timeout_ms && c->n_reqs == 0 && !wrk_conn_has_sessions(c))
		due = c->active_ns + (uint64_t)l->idle_timeout_ms * 1000000u;
	if (l->request_timeout_ms && owes) {
		owes += (uint64_t)l->request_timeout_ms * 1000000u;
		due = due ? OM_MIN(due, owes) : owes;
	}
	return due;
}

/* Signs of life do not touch the timer: it fires too early, looks, and is set again. */
static void wrk_conn_arm(struct wrk_conn *c)
{
	uint64_t due = wrk_conn_due(c);

	if (due && (!c->timer.due_ns || c->timer.due_ns > due))
		wrk_timer_arm(&c->w->loop, &c->timer, due);
}

static void wrk_conn_say_close(struct wrk_conn *c, uint8_t reason)
{
	uint8_t *p;

	if (c->version != OM_PROTO_V2 || !c->greeted || c->close_sent)
		return;
	p = wrk_out_room(&c->out, OM_PROTO_CLOSE_LEN);
	if (p && om_proto_close_encode(reason, p, OM_PROTO_CLOSE_LEN) > 0 &&
	    wrk_out_frame(&c->out, OM_PROTO_CLOSE_LEN, NULL, 0, WRK_OUT_FDS_MAX) == 0)
		c->close_sent = true;
}

static void wrk_conn_timer(void *arg)
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
		om_log(OM_MSG_PEER_LIMIT, "connection of uid %d closed: %s (limits.request_timeout)", (int)c->uid, what);
	}
	reads = wrk_out_empty(&c->out);
	wrk_conn_say_close(c, OM_PROTO_CLOSE_TIMEOUT);
	c->state = WRK_CONN_CLOSING;
	if (reads)
		wrk_conn_touch(c);
	else
		wrk_conn_close(c); /* it has not read for all that time */
}

static void wrk_conn_tx_timer(void *arg)
{
	struct wrk_conn *c = arg;

	wrk_conn_touch(c);
}

/* ---------------------------------------------------------------- sending */

struct wrk_conn_cold { /* a read on an I/O thread */
	struct wrk_io_job job;
	struct wrk_conn *conn;
	int fd; /* duplicate: the connection may close its own meanwhile */
	uint64_t off;
	size_t want;
	ssize_t got;
	int err;
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

static void wrk_conn_cold_done(struct wrk_io_job *job)
{
	struct wrk_conn_cold *k = (struct wrk_conn_cold *)job;
	struct wrk_conn *c = k->conn;
	uint8_t *copy = NULL;

	c->tx_cold = false;
	if (c->state != WRK_CONN_DEAD) {
		copy = k->got > 0 ? malloc((size_t)k->got) : NULL;
		if (copy) {
			memcpy(copy, k->data, (size_t)k->got);
			wrk_out_cold_done(&c->out, copy, (size_t)k->got);
		} else {
			om_log(OM_MSG_OBJECT_IO, "the bytes of an object cannot be read at offset %llu: %s; the connection is closed",
			       (unsigned long long)k->off, k->got == 0 ? "the file is too short" : strerror(k->err));
			wrk_conn_close(c);
		}
	}
	(void)close(k->fd);
	free(k);
	wrk_conn_touch(c);
}

static bool wrk_conn_read_cold(struct wrk_conn *c)
{
	struct wrk_conn_cold *k = malloc(sizeof(*k) + WRK_OUT_CHUNK);
	int fd;

	if (!k)
		return false;
	wrk_out_cold(&c->out, &fd, &k->off, &k->want);
	k->conn = c;
	k->fd = dup(fd);
	k->job = (struct wrk_io_job){ .run = wrk_conn_cold_run, .done = wrk_conn_cold_done };
	if (k->fd < 0 || wrk_io_submit(c->w->io, WRK_IO_READ, &k->job) < 0) {
		om_close(&k->fd);
		free(k);
		return false;
	}
	c->tx_cold = true;
	return true;
}

/* Send what can be sent; what remains waits for epoll, a timer or an I/O thread. @return what the socket should wait for */
static uint32_t wrk_conn_flush(struct wrk_conn *c)
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
		if (!wrk_conn_read_cold(c))
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

unsigned wrk_conn_max_fds(const struct wrk_conn *c)
{
	return OM_MIN((unsigned)c->max_fds, wrk_flight_ready(&c->w->conns->flight, &c->flight));
}

/* ---------------------------------------------------------------- reading */

/* Descriptors that answers in the queue may keep open: a burst, or one at a time when many connections do not read. */
static unsigned wrk_conn_burst(const struct wrk_conn *c)
{
	const struct wrk_conn_set *s = c->w->conns;

	if (s->held_fds >= s->held_max)
		return 1;
	return OM_MIN(wrk_flight_ready(&s->flight, &c->flight), WRK_CONN_BURST);
}

/* No further request is begun while this is true. */
static bool wrk_conn_must_hold(const struct wrk_conn *c)
{
	const struct wrk_conn_set *s = c->w->conns;

	if (c->skip || c->payload_left) /* the rest of a request that has begun */
		return false;
	return (c->max_pipeline && c->n_reqs >= c->max_pipeline) || c->n_reqs >= WRK_REQ_CONN_MAX ||
	       (wrk_conn_in_order(c) && c->n_reqs >= wrk_conn_burst(c)) || /* each may end up as a descriptor that waits */
	       wrk_out_bytes(&c->out) + c->parked_bytes > s->queue_bytes ||
	       (c->tx_wait && wrk_out_held(&c->out) > 0) || wrk_out_held(&c->out) + c->parked_held >= wrk_conn_burst(c) ||
	       wrk_out_msgs(&c->out) > WRK_CONN_OUT_MSGS ||
	       (c->order_wait && c->n_reqs > 0) || wrk_ring_full(c->w->ring);
}

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
			wrk_reap_fd(c->w->reap, fd);
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
	if (p >= c->in && p < c->in + c->in_cap && c->in) {
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
static void wrk_conn_use(struct wrk_conn *c, const uint8_t *buf, size_t len)
{
	size_t used;
	bool half;

	c->held = wrk_conn_must_hold(c);
	used = c->held ? 0 : wrk_decode(c, buf, len, wrk_conn_must_hold);
	if (c->state == WRK_CONN_DEAD)
		return;
	if (!wrk_conn_keep(c, buf + used, len - used)) {
		om_log(OM_MSG_PEER_LIMIT, "out of memory for the request of uid %d: the connection is closed", (int)c->uid);
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
static bool wrk_conn_read(struct wrk_conn *c)
{
	struct wrk_conn_set *s = c->w->conns;
	bool large = c->in_need > sizeof(s->in);
	uint8_t *buf = s->in;
	size_t cap = sizeof(s->in);
	ssize_t n;

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
		return false;
	}
	c->active_ns = c->w->loop.now_ns;
	wrk_conn_use(c, buf, c->in_len + (size_t)n);
	return c->state == WRK_CONN_OPEN && (size_t)n == cap - c->in_len;
}

/* ---------------------------------------------------------------- the end of a turn */

static void wrk_conn_say_last(struct wrk_conn *c)
{
	uint8_t *p;

	if (c->bad)
		wrk_conn_say_close(c, OM_PROTO_CLOSE_ERROR);
	if (!c->close_rcvd || c->ack_sent)
		return;
	p = wrk_out_room(&c->out, OM_PROTO_CLOSE_ACK_LEN);
	c->ack_sent = true;
	if (!p || om_proto_close_ack_encode(c->n_reqs, p, OM_PROTO_CLOSE_ACK_LEN) < 0 ||
	    wrk_out_frame(&c->out, OM_PROTO_CLOSE_ACK_LEN, NULL, 0, WRK_OUT_FDS_MAX) < 0)
		wrk_conn_close(c);
}

/* Nothing is owed, nothing will come. */
static bool wrk_conn_finished(const struct wrk_conn *c)
{
	if (c->n_reqs || (c->state == WRK_CONN_OPEN && !c->eof))
		return false;
	return c->state == WRK_CONN_CLOSING || !c->held;
}

static void wrk_conn_go_on(void *arg)
{
	struct wrk_conn *c = arg;
	uint32_t events = 0;

	if (c->state == WRK_CONN_DEAD) {
		wrk_conn_free(c);
		return;
	}
	if (c->state == WRK_CONN_OPEN && c->held && !wrk_conn_must_hold(c))
		wrk_conn_use(c, c->in, c->in_len);
	if (c->state != WRK_CONN_DEAD && !c->tx_cold && !wrk_out_empty(&c->out))
		events = wrk_conn_flush(c);
	if (c->w->draining && c->state == WRK_CONN_OPEN && !wrk_conn_has_sessions(c) && !c->payload_left && !c->held)
		c->state = WRK_CONN_CLOSING;
	if (c->state != WRK_CONN_DEAD && wrk_conn_finished(c)) {
		wrk_conn_say_last(c);
		if (c->state != WRK_CONN_DEAD && !c->tx_cold && !wrk_out_empty(&c->out))
			events = wrk_conn_flush(c);
		if (c->state != WRK_CONN_DEAD && wrk_out_empty(&c->out))
			wrk_conn_close(c);
	}
	if (c->state == WRK_CONN_DEAD)
		return;
	wrk_conn_count_held(c);
	if (c->held && !wrk_conn_must_hold(c)) /* the flush has made room */
		wrk_conn_touch(c);
	if (c->state == WRK_CONN_OPEN && !c->held && !c->eof && !(events & EPOLLET))
		events |= EPOLLIN;
	wrk_loop_mod(&c->w->loop, &c->src, events);
	wrk_conn_arm(c);
}

void wrk_conn_touch(struct wrk_conn *c)
{
	wrk_task_queue(&c->w->loop, &c->task);
}

static void wrk_conn_ready(void *arg, uint32_t events)
{
	struct wrk_conn *c = arg;
	bool reading = c->state == WRK_CONN_OPEN && !c->held && !c->eof;

	if ((events & (EPOLLHUP | EPOLLERR)) && !(reading && (events & EPOLLIN))) {
		wrk_conn_close(c); /* nobody is left to read an answer */
		return;
	}
	if (reading && (events & EPOLLIN))
		(void)wrk_conn_read(c);
	/* A peer that is quite gone: requests that were whole have been begun, their answers have no reader. */
	if (c->state != WRK_CONN_DEAD && (events & (EPOLLHUP | EPOLLERR)) && c->eof) {
		wrk_conn_close(c);
		return;
	}
	wrk_conn_go_on(c); /* at once: what is waiting to leave keeps descriptors open */
}

/* ---------------------------------------------------------------- life */

static bool wrk_conn_admit(struct wrk_conn_set *s, const struct wrk_uid *u)
{
	const char *which = NULL;

	if (s->n >= s->max)
		which = "limits.connections";
	else if (u->uid != UINT32_MAX && u->conns >= s->max_per_uid)
		which = "limits.connections_per_uid";
	if (!which)
		return true;
	om_count(OM_C_REFUSED, 1);
	om_log(OM_MSG_PEER_LIMIT, "a connection of uid %d was refused: %s", (int)u->uid, which);
	return false;
}

static struct wrk_conn *wrk_conn_alloc(struct wrk *w, int fd, enum om_listen_kind kind, struct wrk_uid *u, bool fd_cleanup)
{
	struct wrk_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->w = w;
	c->fd = fd;
	c->kind = kind;
	c->uid = u->uid;
	c->uid_row = u;
	c->fd_cleanup = fd_cleanup;
	c->max_fds = OM_PROTO_FDS_MAX;
	c->active_ns = w->loop.now_ns;
	c->src = WRK_SRC_INIT(wrk_conn_ready, c);
	c->timer = WRK_TIMER_INIT(wrk_conn_timer, c);
	c->tx_timer = WRK_TIMER_INIT(wrk_conn_tx_timer, c);
	c->task = WRK_TASK_INIT(wrk_conn_go_on, c);
	c->flight = (struct wrk_flight){ .sock = fd, .uid = u };
	wrk_out_init(&c->out, w->fdcache);
	wrk_put_owner_init(&c->puts, u->uid);
	wrk_legacy_owner_init(&c->legacy, u->uid, fd);
	if (wrk_loop_add(&w->loop, &c->src, fd, EPOLLIN) < 0) {
		free(c);
		return NULL;
	}
	return c;
}

struct wrk_conn *wrk_conn_new(struct wrk *w, int fd, enum om_listen_kind kind, bool fd_cleanup)
{
	struct wrk_conn_set *s = w->conns;
	struct om_peer peer = { .uid = UINT32_MAX };
	struct wrk_conn *c = NULL;
	struct wrk_uid *u;

	om_count_own(OM_C_ACCEPTED, 1);
	if (kind != OM_LISTEN_TCP && om_fdpass_peer(fd, &peer) < 0)
		peer.uid = UINT32_MAX; /* trusted with nothing */
	u = wrk_conn_uid_get(s, peer.uid);
	if (u && wrk_conn_admit(s, u))
		c = wrk_conn_alloc(w, fd, kind, u, fd_cleanup);
	if (!c) {
		if (u)
			wrk_conn_uid_put(s, u);
		(void)close(fd);
		return NULL;
	}
	u->conns++;
	c->next = s->head;
	if (s->head)
		s->head->prev = c;
	s->head = c;
	s->n++;
	om_gauge(OM_C_CONNECTIONS, s->n);
	wrk_conn_arm(c);
	return c;
}

void wrk_conn_drain(struct wrk_conn_set *s)
{
	struct wrk_conn *c = s->head, *next;

	for (; c; c = next) {
		next = c->next;
		if (c->state != WRK_CONN_OPEN)
			continue;
		if (!c->held && !c->eof)
			(void)wrk_conn_read(c); /* what it has asked already is answered */
		if (c->state != WRK_CONN_OPEN)
			continue;
		wrk_conn_say_close(c, OM_PROTO_CLOSE_SHUTDOWN);
		wrk_conn_touch(c); /* one with an open put may go on until it is committed; drain_ms bounds that */
	}
}

void wrk_conn_wake_all(struct wrk_conn_set *s)
{
	for (struct wrk_conn *c = s->head; c; c = c->next)
		if (c->held)
			wrk_conn_touch(c);
}

unsigned wrk_conn_count(const struct wrk_conn_set *s) { return s->n; }
struct wrk_conn *wrk_conn_first(const struct wrk_conn_set *s) { return s->head; }

void wrk_conn_limits(struct wrk_conn_set *s, const struct om_boot_limits *l)
{
	s->max = OM_MIN(l->connections ? l->connections : UINT32_MAX, s->nofile / 4);
	s->max_per_uid = l->connections_per_uid ? l->connections_per_uid : UINT32_MAX;
	s->queue_bytes = l->queue_bytes ? l->queue_bytes : 1u << 20;
	wrk_flight_limit(&s->flight, l->conn_unread_fds);
}

int wrk_conn_set_new(struct wrk *w, struct wrk_conn_set **ret)
{
	const struct om_boot_limits *l = &w->boot.limits;
	struct wrk_conn_set *s = calloc(1, sizeof(*s));
	struct rlimit rl;
	unsigned budget = l->unread_fds;

	if (!s)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		rl.rlim_cur = 1024;
	rl.rlim_cur = OM_MIN(rl.rlim_cur, (rlim_t)1 << 30); /* none */
	if (!budget)
		budget = (unsigned)rl.rlim_cur / 2;
	s->w = w;
	s->nofile = (unsigned)rl.rlim_cur;
	s->held_max = s->nofile / 16;
	wrk_flight_init(&s->flight, budget, l->conn_unread_fds);
	wrk_conn_limits(s, l);
	*ret = s;
	return 0;
}

void wrk_conn_set_free(struct wrk_conn_set *s)
{
	if (!s)
		return;
	while (s->head) {
		struct wrk_conn *c = s->head;

		wrk_conn_close(c);
		wrk_conn_free(c);
	}
	free(s);
}
