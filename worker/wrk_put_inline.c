/*
 * wrk_put_inline.c: puts whose bytes come in the request: collected in memory, within bounds, then written and frozen in one
 * step. Process objmapper-worker, loop thread; inline_run on an I/O thread.
 */
#include "common/om_counter.h"
#include "worker/wrk_put_int.h"

static void inline_done(struct wrk_io_job *job);

static int write_all(int fd, const char *buf, uint64_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, buf, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -om_status_errno(n < 0 ? errno : EIO);
		buf += n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* I/O thread, or the loop. The bytes never were in a client's hands: no lease is needed, no copy, and it is frozen at once. */
static void inline_run(struct wrk_io_job *job)
{
	struct wrk_put *p = wrk_put_of_job(job);

	wrk_put_begin_run(job);
	if (p->status < 0)
		return;
	p->status = write_all(p->file.fd, p->buf, p->len);
	p->err = p->status < 0 ? errno : 0;
	if (p->status < 0)
		be_drop(&p->file);
	else
		p->freeze_status = wrk_put_freeze_now(p);
}

static void inline_go(struct wrk_put *p)
{
	if (!p->tier) { /* no tier had the room when it came */
		wrk_put_room(p, -OBJM_STATUS_NO_SPACE, inline_go);
		return;
	}
	p->state = WRK_PUT_WORK;
	p->commit_due_ns = om_now_ns() + p->set->w->boot.limits.commit_wait_ms * UINT64_C(1000000);
	if (p->tier->memory || p->len > WRK_PUT_MAKE_BYTES) {
		wrk_put_work(p, p->len, inline_run, inline_done);
		return;
	}
	p->job.run = inline_run;
	p->job.done = inline_done;
	wrk_put_make_add(p);
}

static void inline_done(struct wrk_io_job *job)
{
	struct wrk_put *p = wrk_put_of_job(job);
	int status = p->status;

	if (p->dead) {
		wrk_put_end(p);
	} else if (status == 0) {
		wrk_put_inline_drop(p);
		p->status = p->freeze_status;
		wrk_put_freeze_done(p);
	} else {
		p->step = "the bytes cannot be written";
		(void)wrk_put_text(p);
		if (wrk_put_other_tier(status)) {
			char why[sizeof(p->why)];
			memcpy(why, p->why, sizeof(why));
			wrk_put_unchoose(p);
			if (wrk_put_choose(p) == 0) {
				p->why[0] = '\0';
				inline_go(p);
				return;
			}
			memcpy(p->why, why, sizeof(why));
		}
		wrk_put_answer(p, status);
	}
}

/* Room for the payload, or a status with s->text. */
static int inline_admit(struct wrk_put_set *s, struct wrk_put *p, uint64_t len)
{
	if (len > s->w->boot.limits.inline_bytes) {
		(void)snprintf(s->text, sizeof(s->text), "%llu bytes are more than an inline put may have (%u): put through a "
			       "descriptor", (unsigned long long)len, s->w->boot.limits.inline_bytes);
		return -OBJM_STATUS_TOO_LARGE;
	}
	if (WRK_PUT_INLINE_BYTES - s->inline_bytes < len ||
	    (p->user->inline_bytes > 0 && WRK_PUT_INLINE_BYTES / 2 - OM_MIN(p->user->inline_bytes, WRK_PUT_INLINE_BYTES / 2) < len)) {
		om_count(OM_C_PEER_LIMIT, 1);
		(void)snprintf(s->text, sizeof(s->text), "too many inline puts at once: try again, or put through a descriptor");
		return -OBJM_STATUS_TRY_AGAIN;
	}
	p->buf = malloc(len ? len : 1); /* touched only as bytes come */
	if (!p->buf) {
		(void)snprintf(s->text, sizeof(s->text), "no memory for an inline put");
		return -OBJM_STATUS_OUT_OF_MEMORY;
	}
	p->len = len;
	s->inline_bytes += len;
	p->user->inline_bytes += len;
	return 0;
}

int wrk_put_inline(struct wrk_put_set *s, struct wrk_put_owner *o, const struct wrk_put_req *req, uint64_t payload_len,
		   wrk_put_done_fn *fn, void *arg, struct wrk_put **ret_put, const char **ret_text)
{
	int status;
	struct wrk_put *p = wrk_put_session_new(s, o, req, &status);

	if (!p)
		return wrk_put_refuse(s, status, ret_text);
	p->is_inline = true;
	p->hint = payload_len;
	status = inline_admit(s, p, payload_len);
	if (status == 0) {
		status = wrk_put_choose(p);
		if (status == -OBJM_STATUS_NO_SPACE && p->full)
			status = 0; /* it waits for room once its bytes are here */
		else if (status < 0)
			(void)snprintf(s->text, sizeof(s->text), "%s", p->why);
	}
	if (status < 0) {
		wrk_put_end(p);
		return wrk_put_refuse(s, status, ret_text);
	}
	p->done_fn = fn;
	p->arg = arg;
	p->state = WRK_PUT_FEED;
	*ret_put = p;
	if (payload_len == 0)
		inline_go(p);
	return 0;
}

void wrk_put_feed(struct wrk_put_set *s, struct wrk_put *p, const void *data, size_t len)
{
	(void)s;
	OM_ASSERT(p->state == WRK_PUT_FEED && len <= p->len - p->fed);
	memcpy(p->buf + p->fed, data, len);
	p->fed += len;
	if (p->fed == p->len && len > 0)
		inline_go(p);
}

