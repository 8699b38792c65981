/*
 * wrk_hint.c: see wrk_hint.h (process objmapper-worker, loop thread). Called by wrk_conn_rx.c and wrk_conn.c.
 */
#include "worker/wrk_hint.h"

#include <fcntl.h>

static unsigned wrk_hints; /* that are on */

/* The wake-up was all. */
static void wrk_hint_ready(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
}

void wrk_hint_init(struct wrk_hint *h)
{
	*h = (struct wrk_hint){ .src = WRK_SRC_INIT(wrk_hint_ready, h), .phase = WRK_HINT_REST, .n = WRK_HINT_TRIAL };
}

static bool wrk_hint_on(struct wrk_loop *loop, struct wrk_hint *h, int sock)
{
	int fd;

	if (wrk_hints >= WRK_HINT_MAX)
		return false;
	fd = fcntl(sock, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (wrk_loop_add(loop, &h->src, fd, EPOLLOUT | EPOLLET) < 0) {
		(void)close(fd);
		return false;
	}
	wrk_hints++;
	return true;
}

void wrk_hint_off(struct wrk_loop *loop, struct wrk_hint *h)
{
	int fd = h->src.fd;

	if (fd < 0)
		return;
	wrk_loop_del(loop, &h->src);
	(void)close(fd);
	wrk_hints--;
}

static void wrk_hint_phase(struct wrk_hint *h, enum wrk_hint_phase phase, uint32_t n)
{
	h->phase = phase;
	h->n = n;
	h->sum_ns = 0;
}

/* @return the phase is over */
static bool wrk_hint_count(struct wrk_hint *h, uint64_t period_ns)
{
	if (h->phase == WRK_HINT_REST || h->phase == WRK_HINT_ON)
		return --h->n == 0;
	h->sum_ns += period_ns;
	return ++h->n == WRK_HINT_TRIAL;
}

static void wrk_hint_next(struct wrk_loop *loop, struct wrk_hint *h, int sock)
{
	switch (h->phase) {
	case WRK_HINT_REST:
	case WRK_HINT_ON:
		wrk_hint_off(loop, h);
		wrk_hint_phase(h, WRK_HINT_PLAIN, 0);
		return;
	case WRK_HINT_PLAIN:
		h->plain_ns = h->sum_ns;
		if (wrk_hint_on(loop, h, sock))
			wrk_hint_phase(h, WRK_HINT_TRY, 0);
		else
			wrk_hint_phase(h, WRK_HINT_REST, WRK_HINT_KEEP);
		return;
	case WRK_HINT_TRY:
		/* a twentieth: less is not worth a wake-up for each answer */
		if (h->sum_ns * WRK_HINT_TRIAL < (h->plain_ns - h->plain_ns / 20) * h->n) {
			wrk_hint_phase(h, WRK_HINT_ON, WRK_HINT_KEEP);
		} else {
			wrk_hint_off(loop, h);
			wrk_hint_phase(h, WRK_HINT_REST, WRK_HINT_KEEP);
		}
		return;
	}
}

/* So much slower, so soon: the rest of the trial would cost more than it tells. */
static bool wrk_hint_vain(const struct wrk_hint *h)
{
	return h->phase == WRK_HINT_TRY && h->n >= WRK_HINT_TRIAL / 4 && h->sum_ns * WRK_HINT_TRIAL > h->plain_ns * h->n / 4 * 5;
}

void wrk_hint_read(struct wrk_loop *loop, struct wrk_hint *h, int sock, uint64_t now_ns)
{
	uint64_t period = now_ns - h->last_ns;

	h->last_ns = now_ns;
	if (period > WRK_HINT_PERIOD_NS) {
		if (++h->slow >= WRK_HINT_SLOW && h->phase != WRK_HINT_REST) {
			wrk_hint_off(loop, h);
			wrk_hint_phase(h, WRK_HINT_REST, WRK_HINT_TRIAL);
		}
		return;
	}
	h->slow = 0;
	if (wrk_hint_count(h, period) || wrk_hint_vain(h))
		wrk_hint_next(loop, h, sock);
}
