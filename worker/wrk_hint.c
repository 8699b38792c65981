/*
 * wrk_hint.c: see wrk_hint.h (process objmapper-worker, loop thread). Called by wrk_conn_rx.c and wrk_conn_set.c.
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
	*h = (struct wrk_hint){ .src = WRK_SRC_INIT(wrk_hint_ready, h), .phase = WRK_HINT_REST, .n = WRK_HINT_BEGIN,
				.keep = WRK_HINT_KEEP_MIN };
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
}

/* @return a block of a trial is whole */
static bool wrk_hint_count(struct wrk_hint *h, uint64_t period_ns)
{
	uint32_t *block = &h->block_ns[h->n / WRK_HINT_BLOCK % WRK_HINT_BLOCKS];

	if (h->n % WRK_HINT_BLOCK == 0)
		*block = 0;
	*block += (uint32_t)period_ns; /* at most WRK_HINT_PERIOD_NS */
	return ++h->n % WRK_HINT_BLOCK == 0;
}

/* The middle one of the blocks that are there. */
static uint32_t wrk_hint_middle(const struct wrk_hint *h)
{
	unsigned blocks = OM_MIN(h->n / WRK_HINT_BLOCK, WRK_HINT_BLOCKS);

	for (unsigned i = 0; i < blocks; i++) {
		unsigned below = 0;

		for (unsigned k = 0; k < blocks; k++)
			below += h->block_ns[k] < h->block_ns[i] || (k < i && h->block_ns[k] == h->block_ns[i]);
		if (below == blocks / 2)
			return h->block_ns[i];
	}
	return 0; /* there is none */
}

/* So much slower, so soon: the rest of the trial would cost more than it tells. */
static bool wrk_hint_vain(const struct wrk_hint *h)
{
	uint32_t much = h->plain_ns + h->plain_ns / 4;

	return h->n == 2 * WRK_HINT_BLOCK && h->block_ns[0] > much && h->block_ns[1] > much;
}

/* Slower by less, which on two CPUs the first reads are at times, too. */
static bool wrk_hint_worse(const struct wrk_hint *h)
{
	return h->n >= WRK_HINT_BLOCKS * WRK_HINT_BLOCK && wrk_hint_middle(h) > h->plain_ns + h->plain_ns / 8;
}

static void wrk_hint_rest(struct wrk_loop *loop, struct wrk_hint *h, uint32_t reads)
{
	wrk_hint_off(loop, h);
	wrk_hint_phase(h, WRK_HINT_REST, reads);
}

/* A twentieth: less is not worth a wake-up for each answer. */
static bool wrk_hint_better(uint32_t hinted_ns, uint32_t plain_ns) { return hinted_ns < plain_ns - plain_ns / 20; }

static void wrk_hint_won(struct wrk_loop *loop, struct wrk_hint *h, int sock)
{
	if (h->src.fd >= 0 || wrk_hint_on(loop, h, sock))
		wrk_hint_phase(h, WRK_HINT_ON, WRK_HINT_KEEP);
	else
		wrk_hint_rest(loop, h, WRK_HINT_KEEP);
}

/* A block without hints is over. Where they were on before, and it shows already that they should be, the rest is spared. */
static void wrk_hint_judge_plain(struct wrk_loop *loop, struct wrk_hint *h, int sock)
{
	if (h->n < WRK_HINT_BLOCKS * WRK_HINT_BLOCK)
		return;
	h->plain_ns = wrk_hint_middle(h);
	if (h->hinted_ns && wrk_hint_better(h->hinted_ns, h->plain_ns)) {
		wrk_hint_won(loop, h, sock);
	} else if (h->n >= WRK_HINT_TRIAL) {
		h->hinted_ns = 0;
		if (wrk_hint_on(loop, h, sock))
			wrk_hint_phase(h, WRK_HINT_TRY, 0);
		else
			wrk_hint_phase(h, WRK_HINT_REST, WRK_HINT_KEEP);
	}
}

/* And one with them. */
static void wrk_hint_judge_try(struct wrk_loop *loop, struct wrk_hint *h, int sock)
{
	uint32_t hinted = wrk_hint_middle(h);

	if (wrk_hint_vain(h)) {
		h->keep = WRK_HINT_KEEP_MIN;
		wrk_hint_rest(loop, h, WRK_HINT_KEEP);
	} else if (h->n >= WRK_HINT_TRIAL && wrk_hint_better(hinted, h->plain_ns)) {
		h->hinted_ns = hinted;
		h->keep = WRK_HINT_KEEP_MIN;
		wrk_hint_won(loop, h, sock);
	} else if (h->n >= WRK_HINT_TRIAL || wrk_hint_worse(h)) {
		wrk_hint_rest(loop, h, h->keep);
		h->keep = OM_MIN(2 * h->keep, WRK_HINT_KEEP);
	}
}

void wrk_hint_read(struct wrk_loop *loop, struct wrk_hint *h, int sock, uint64_t now_ns)
{
	uint64_t period = now_ns - h->last_ns;

	h->last_ns = now_ns;
	if (period > WRK_HINT_PERIOD_NS) {
		if (++h->slow >= WRK_HINT_SLOW && h->phase != WRK_HINT_REST) {
			h->hinted_ns = 0;
			wrk_hint_rest(loop, h, WRK_HINT_BEGIN);
		}
		return;
	}
	h->slow = 0;
	if (h->phase == WRK_HINT_PLAIN || h->phase == WRK_HINT_TRY) {
		if (!wrk_hint_count(h, period))
			return;
		if (h->phase == WRK_HINT_PLAIN)
			wrk_hint_judge_plain(loop, h, sock);
		else
			wrk_hint_judge_try(loop, h, sock);
	} else if (--h->n == 0) {
		wrk_hint_off(loop, h);
		wrk_hint_phase(h, WRK_HINT_PLAIN, 0);
	}
}
