/*
 * wrk_answer_seg.c: segmented responses (process objmapper-worker, loop thread). Called by wrk_get.c and wrk_answer.c.
 *
 * The first page goes inline if it lies in memory, so that a reader of small objects, or of headers, needs no descriptor's
 * system calls. The rest is one descriptor, told in windows of a size that can be mapped one at a time; all but the first
 * reuse the descriptor.
 */
#include "worker/wrk_answer_int.h"

#include <sys/uio.h>

#define WRK_ANSWER_SEG_HEAD 4096u	    /* inline at most: a page, so that what follows begins at one */
#define WRK_ANSWER_SEG_WINDOW (1ull << 30) /* bytes to a segment, more if 64 of them do not reach */

struct wrk_answer_seg {
	uint8_t head[WRK_ANSWER_SEG_HEAD];
	size_t head_len;
	struct om_proto_seg seg[OM_PROTO_SEGS_MAX];
	uint16_t n;
};

/* The beginning of the file, if that needs no disk. */
static size_t wrk_answer_seg_head(int fd, uint64_t size, uint8_t *buf)
{
	struct iovec iov = { buf, (size_t)OM_MIN(size, (uint64_t)WRK_ANSWER_SEG_HEAD) };
	ssize_t n = preadv2(fd, &iov, 1, 0, RWF_NOWAIT);

	return n == (ssize_t)iov.iov_len ? iov.iov_len : 0;
}

static void wrk_answer_seg_plan(struct wrk_answer_seg *s, int fd, uint64_t size)
{
	uint64_t at, window = WRK_ANSWER_SEG_WINDOW;

	s->n = 0;
	s->head_len = wrk_answer_seg_head(fd, size, s->head);
	at = s->head_len;
	if (s->head_len || size == 0)
		s->seg[s->n++] = (struct om_proto_seg){ .type = OM_PROTO_SEG_INLINE, .copy_len = (uint32_t)s->head_len,
							.logical_len = s->head_len };
	while ((size - at) / window >= OM_PROTO_SEGS_MAX - 2)
		window *= 2;
	while (at < size) {
		uint64_t len = OM_MIN(window, size - at);

		s->seg[s->n++] = (struct om_proto_seg){ .type = OM_PROTO_SEG_FD, .flags = at == s->head_len ? 0 : OM_PROTO_SEGF_REUSE_FD,
							.logical_len = len, .storage_off = at, .storage_len = len };
		at += len;
	}
	s->seg[s->n - 1].flags |= OM_PROTO_SEGF_FIN;
}

/* Header, metadata, segment headers, inline bytes. @return false: no memory */
static bool wrk_answer_seg_queue(struct wrk_req *r, const struct wrk_answer_seg *s)
{
	size_t cap = OM_PROTO_SEG_RESP_HDR + WRK_ANSWER_META_MAX + s->n * (size_t)OM_PROTO_SEG_HDR + s->head_len;
	uint8_t *p = wrk_out_room(wrk_req_out(r), cap);
	struct om_proto_seg_resp resp = { .id = r->id, .segs = s->n };
	struct om_proto_wr wr;
	size_t at;

	if (!p)
		return false;
	om_proto_wr_init(&wr, p + OM_PROTO_SEG_RESP_HDR, WRK_ANSWER_META_MAX);
	wrk_answer_meta(r, &wr);
	OM_ASSERT(wr.err == 0);
	resp.meta_len = (uint16_t)wr.len;
	OM_ASSERT(om_proto_seg_resp_encode(&resp, p, cap) == (int)OM_PROTO_SEG_RESP_HDR);
	at = OM_PROTO_SEG_RESP_HDR + wr.len;
	for (unsigned i = 0; i < s->n; i++, at += OM_PROTO_SEG_HDR)
		OM_ASSERT(om_proto_seg_encode(&s->seg[i], p + at, cap - at) == (int)OM_PROTO_SEG_HDR);
	memcpy(p + at, s->head, s->head_len);
	return wrk_out_frame(wrk_req_out(r), at + s->head_len, NULL, 0, WRK_OUT_FDS_MAX) == 0;
}

void wrk_answer_seg(struct wrk_req *r, int fd)
{
	struct wrk_out_fd out = { .fd = fd, .own = true, .large = wrk_fdcache_large(r->ent.size) };
	struct wrk_answer_seg s;
	bool ok;

	wrk_answer_count(r, 0);
	r->copied = true;
	r->bytes = r->ent.size;
	if (!r->conn) {
		(void)wrk_fdcache_close(fd);
		wrk_req_end(r);
		return;
	}
	wrk_answer_seg_plan(&s, fd, r->ent.size);
	ok = wrk_answer_seg_queue(r, &s);
	if (ok && s.head_len < r->ent.size) {
		ok = wrk_out_fd_byte(wrk_req_out(r), &out) == 0;
		fd = ok ? -1 : fd;
	}
	if (fd >= 0)
		(void)wrk_fdcache_close(fd);
	if (ok)
		wrk_req_end(r);
	else
		wrk_answer_lost(r);
}
