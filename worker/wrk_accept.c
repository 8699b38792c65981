/*
 * wrk_accept.c: accept (process objmapper-worker, loop thread). Called by wrk_main.c.
 *
 * Out of descriptors: the connection at the head of the queue would make the listener ready for ever. So one descriptor is
 * kept in reserve: it is given up to accept and close that connection, and listening pauses for a while.
 */
#include "worker/wrk_accept.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/om_counter.h"
#include "worker/wrk_conn_set.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

#define WRK_ACCEPT_TURN 2		/* connections to one wake-up: the rest wake the next worker, or this one again */
#define WRK_ACCEPT_PAUSE_NS 100000000u

struct wrk_listener {
	struct wrk_accept *accept;
	struct wrk_src src;
	int fd;
	enum om_listen_kind kind;
	bool passrights; /* peers can send descriptors */
};

struct wrk_accept {
	struct wrk *w;
	unsigned n;
	int reserve_fd;
	bool stopped;
	struct wrk_timer pause;
	struct wrk_listener l[OM_LISTEN_MAX];
};

static void wrk_accept_pause(struct wrk_accept *a)
{
	for (unsigned i = 0; i < a->n; i++)
		wrk_loop_del(&a->w->loop, &a->l[i].src);
	wrk_timer_arm(&a->w->loop, &a->pause, a->w->loop.now_ns + WRK_ACCEPT_PAUSE_NS);
}

static void wrk_accept_out_of_fds(struct wrk_accept *a, int listenfd)
{
	int err = errno;
	int fd;

	om_close(&a->reserve_fd);
	fd = accept4(listenfd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		(void)close(fd);
	a->reserve_fd = fcntl(a->w->null_fd, F_DUPFD_CLOEXEC, 0);
	om_count(OM_C_REFUSED, 1);
	om_log(OM_MSG_PEER_LIMIT, "a connection was refused: %s: raise LimitNOFILE= or lower max_open_fds", strerror(err));
	wrk_accept_pause(a);
}

/*
 * Goes to the end of the listener's queue of waiters. The kernel wakes the first of them (EPOLLEXCLUSIVE), so without this
 * one worker would get every connection as long as it keeps up, and the others none.
 */
static void wrk_accept_requeue(struct wrk_listener *l)
{
	struct wrk_accept *a = l->accept;

	if (l->src.fd < 0)
		return; /* paused or stopped meanwhile */
	wrk_loop_del(&a->w->loop, &l->src);
	if (wrk_loop_add(&a->w->loop, &l->src, l->fd, EPOLLIN | EPOLLEXCLUSIVE) < 0)
		wrk_timer_arm(&a->w->loop, &a->pause, a->w->loop.now_ns + WRK_ACCEPT_PAUSE_NS);
}

static void wrk_accept_ready(void *arg, uint32_t events)
{
	struct wrk_listener *l = arg;

	(void)events;
	if (wrk_conn_full(l->accept->w->conns)) { /* another worker takes it, at its next look; when all are full it waits in the backlog */
		wrk_accept_pause(l->accept);
		return;
	}
	for (int i = 0; i < WRK_ACCEPT_TURN && l->src.fd >= 0; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		int one = 1;

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE)
				wrk_accept_out_of_fds(l->accept, l->fd);
			else if (errno == ENOMEM || errno == ENOBUFS)
				wrk_accept_pause(l->accept);
			else if (errno == EINTR || errno == ECONNABORTED)
				continue;
			break;
		}
		if (l->kind == OM_LISTEN_TCP) /* answers are whole when they are sent: nothing to wait for */
			(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		(void)wrk_conn_new(l->accept->w, fd, l->kind, l->passrights);
	}
	if (wrk_conn_full(l->accept->w->conns) && l->src.fd >= 0)
		wrk_accept_pause(l->accept); /* it must not be woken in the place of one that has room */
	else
		wrk_accept_requeue(l);
}

void wrk_accept_look(struct wrk_accept *a)
{
	for (unsigned i = 0; i < a->n && !a->stopped; i++)
		wrk_accept_requeue(&a->l[i]);
}

int wrk_accept_start(struct wrk_accept *a)
{
	for (unsigned i = 0; i < a->n && !a->stopped; i++)
		if (a->l[i].src.fd < 0 &&
		    wrk_loop_add(&a->w->loop, &a->l[i].src, a->l[i].fd, EPOLLIN | EPOLLEXCLUSIVE) < 0)
			return -OBJM_STATUS_SYSTEM;
	return 0;
}

static void wrk_accept_resume(void *arg)
{
	struct wrk_accept *a = arg;

	if (wrk_conn_full(a->w->conns) || wrk_accept_start(a) < 0)
		wrk_timer_arm(&a->w->loop, &a->pause, a->w->loop.now_ns + WRK_ACCEPT_PAUSE_NS);
}

void wrk_accept_stop(struct wrk_accept *a)
{
	a->stopped = true;
	wrk_timer_disarm(&a->w->loop, &a->pause);
	for (unsigned i = 0; i < a->n; i++) {
		wrk_loop_del(&a->w->loop, &a->l[i].src);
		om_close(&a->l[i].fd);
	}
	a->n = 0;
}

bool wrk_accept_passes(int fd, enum om_listen_kind kind)
{
	int on = 1;
	socklen_t len = sizeof(on);

	/* The supervisor switched it off where the kernel can; accepted sockets inherit it. */
	return kind != OM_LISTEN_TCP && !(getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &on, &len) == 0 && on == 0);
}

void wrk_accept_add(struct wrk_accept *a, int fd, enum om_listen_kind kind)
{
	struct wrk_listener *l = &a->l[a->n];

	OM_ASSERT(a->n < OM_LISTEN_MAX);
	*l = (struct wrk_listener){ .accept = a, .fd = fd, .kind = kind };
	l->src = WRK_SRC_INIT(wrk_accept_ready, l);
	l->passrights = wrk_accept_passes(fd, kind);
	a->n++;
}

int wrk_accept_new(struct wrk *w, struct wrk_accept **ret)
{
	struct wrk_accept *a = calloc(1, sizeof(*a));

	if (!a)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	a->w = w;
	a->pause = WRK_TIMER_INIT(wrk_accept_resume, a);
	a->reserve_fd = fcntl(w->null_fd, F_DUPFD_CLOEXEC, 0);
	*ret = a;
	return 0;
}

void wrk_accept_free(struct wrk_accept *a)
{
	if (!a)
		return;
	wrk_accept_stop(a);
	om_close(&a->reserve_fd);
	free(a);
}
