/*
 * wrk_code.c: see wrk_code.h (process objmapper-worker; loop thread and I/O threads, as each function says). Called by wrk_get.c
 * (samples) and wrk_conn_tx.c (blocks).
 *
 * Contexts of zstd are kept in a list under a mutex: there are never more than threads that compress at once.
 */
#include "worker/wrk_code.h"

#include <pthread.h>
#if OM_HAVE_ZSTD
#include <zstd.h>
#endif

#include "common/om_counter.h"
#include "worker/wrk_answer.h"

#define WRK_CODE_SAMPLE 8192u /* bytes, from the beginning and from the middle */

static_assert(WRK_OUT_CHUNK <= OM_PROTO_BLOCK_MAX, "what is read at once makes one block");

/* What `n` bytes must shrink to, to be worth the peer's work. */
static size_t wrk_code_worth(size_t n) { return n - n / 8; }

#if OM_HAVE_ZSTD

struct wrk_code_ctx {
	struct wrk_code_ctx *next;
	ZSTD_CCtx *zstd;
};
static struct wrk_code_ctx *wrk_code_spare;
static pthread_mutex_t wrk_code_lock = PTHREAD_MUTEX_INITIALIZER;

static struct wrk_code_ctx *wrk_code_take(void)
{
	struct wrk_code_ctx *x;

	(void)pthread_mutex_lock(&wrk_code_lock);
	x = wrk_code_spare;
	if (x)
		wrk_code_spare = x->next;
	(void)pthread_mutex_unlock(&wrk_code_lock);
	if (x)
		return x;
	x = calloc(1, sizeof(*x));
	if (x)
		x->zstd = ZSTD_createCCtx();
	if (x && x->zstd)
		return x;
	free(x);
	return NULL;
}

static void wrk_code_give(struct wrk_code_ctx *x)
{
	(void)pthread_mutex_lock(&wrk_code_lock);
	x->next = wrk_code_spare;
	wrk_code_spare = x;
	(void)pthread_mutex_unlock(&wrk_code_lock);
}

/* At most `cap` bytes of zstd; 0: they do not fit, or there is no memory. */
static size_t wrk_code_zstd(int level, const void *raw, size_t n, void *ret, size_t cap)
{
	struct wrk_code_ctx *x = wrk_code_take();
	size_t k;

	if (!x)
		return 0;
	k = ZSTD_compressCCtx(x->zstd, ret, cap, raw, n, level);
	wrk_code_give(x);
	return ZSTD_isError(k) ? 0 : k;
}

#else

static size_t wrk_code_zstd(int level, const void *raw, size_t n, void *ret, size_t cap)
{
	(void)level, (void)raw, (void)n, (void)ret, (void)cap;
	return 0;
}

#endif

size_t wrk_code_block(int level, const uint8_t *raw, size_t n, uint8_t *ret)
{
	struct om_proto_block b = { .wire = (uint32_t)n, .raw = (uint32_t)n };
	size_t k = level ? wrk_code_zstd(level, raw, n, ret + OM_PROTO_BLOCK_HDR, wrk_code_worth(n)) : 0;

	OM_ASSERT(n > 0 && n <= OM_PROTO_BLOCK_MAX && k < n);
	if (k)
		b.wire = (uint32_t)k;
	else
		memcpy(ret + OM_PROTO_BLOCK_HDR, raw, n);
	om_proto_block_encode(&b, ret);
	return OM_PROTO_BLOCK_HDR + b.wire;
}

/* ---------------------------------------------------------------- what may be */

static int wrk_code_conf(const struct wrk *w) { return OM_HAVE_ZSTD ? (int)w->boot.limits.compression : 0; }

uint16_t wrk_code_caps(const struct wrk_conn *c, uint16_t caps)
{
	bool ours = !wrk_conn_is_unix(c) && wrk_code_conf(c->w) > 0 && (caps & OM_PROTO_CAP_EXTENSION);

	return ours ? caps & OM_PROTO_CAP_COMPRESSION : 0;
}

int wrk_code_level(const struct wrk *w)
{
	return wrk_io_under_way(w->io, WRK_IO_CODE) < WRK_CODE_BUSY ? wrk_code_conf(w) : 0;
}

bool wrk_code_may(const struct wrk_req *r, uint64_t len)
{
	bool copy = r->form == WRK_REQ_EXT ? r->copy : r->mode == OM_PROTO_MODE_COPY;

	return copy && len > WRK_CODE_MIN && r->conn && (r->conn->caps & OM_PROTO_CAP_COMPRESSION) && wrk_code_level(r->w) > 0;
}

/* ---------------------------------------------------------------- samples */

/* In the request, whose job it is: one that is under way keeps the request alive when its connection goes (wrk_req_conn_gone). */
static struct wrk_req *wrk_code_req(struct wrk_io_job *job) { return (struct wrk_req *)((char *)job - offsetof(struct wrk_req, job)); }

static void wrk_code_sample_run(struct wrk_io_job *job)
{
	struct wrk_req *r = wrk_code_req(job);
	uint8_t raw[2 * WRK_CODE_SAMPLE], coded[sizeof(raw)];
	size_t n = (size_t)OM_MIN(r->bytes, (uint64_t)sizeof(raw)), head = OM_MIN(n, (size_t)WRK_CODE_SAMPLE);
	uint64_t mid = r->bytes <= sizeof(raw) ? head : r->bytes / 2;
	bool pays = pread(r->job_fd, raw, head, (off_t)r->range.off) == (ssize_t)head &&
		    (n == head || pread(r->job_fd, raw + head, n - head, (off_t)(r->range.off + mid)) == (ssize_t)(n - head)) &&
		    wrk_code_zstd(r->job_rc, raw, n, coded, wrk_code_worth(n)) > 0;

	r->coding = pays ? OM_PROTO_CODING_ZSTD : OM_PROTO_CODING_NONE;
}

static void wrk_code_sample_done(struct wrk_io_job *job)
{
	struct wrk_req *r = wrk_code_req(job);

	if (r->coding && r->conn)
		om_count_own(OM_C_COMPRESSED, 1);
	wrk_answer_bytes(r, om_take_fd(&r->job_fd), r->range.off, r->bytes);
}

bool wrk_code_sample(struct wrk_req *r, int fd, uint64_t len)
{
	if (!wrk_answer_later(r)) { /* answered so, and ended */
		(void)close(fd);
		return true;
	}
	r->job.run = wrk_code_sample_run;
	r->job.done = wrk_code_sample_done;
	r->job_fd = fd;
	r->job_rc = wrk_code_level(r->w);
	r->bytes = len;
	if (wrk_io_submit(r->w->io, WRK_IO_CODE, &r->job) == 0)
		return true;
	r->job_fd = -1;
	return false;
}
