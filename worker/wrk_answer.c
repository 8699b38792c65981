/*
 * wrk_answer.c: encoding answers into a connection's output queue (process objmapper-worker, loop thread).
 *
 * Versions 1 and 2: header and metadata, then the descriptor byte as a message of its own: existing clients read the header
 * with read(2), which would throw a descriptor away. The extension: frames; their descriptors ride on the first byte of the
 * message that many frames share.
 */
#include "worker/wrk_answer_int.h"

#include "common/om_counter.h"

#define WRK_ANSWER_HEAD_MAX 256u /* header and metadata of an OK answer of versions 1 and 2 */
#define WRK_ANSWER_FRAME_MAX 2048u /* frame without what is variable and large */

/* The answer cannot be queued: the peer must not wait for ever. Ends all requests of the connection, this one too. */
void wrk_answer_lost(struct wrk_req *r)
{
	wrk_conn_log(r->conn, OM_MSG_PEER_LIMIT, "out of memory for an answer to uid %d: the connection is closed", (int)r->conn->uid);
	wrk_conn_close(r->conn);
}

void wrk_answer_count(const struct wrk_req *r, int status)
{
	if (r->op == OM_PROTO_OP_GET && status == 0)
		om_count_tier(r->ent.tier, 1);
	if (r->op == OM_PROTO_OP_GET)
		om_count_own(status == 0 ? OM_C_GET_HIT : status == -OBJM_STATUS_NOT_FOUND ? OM_C_GET_MISS : OM_C_GET_ERROR, 1);
}

/* ---------------------------------------------------------------- extension */

/* What a part of a group, or WANT_TIME, adds. */
static void wrk_answer_extras(const struct wrk_req *r, struct om_proto_body *body)
{
	if (r->index >= 0) {
		body->have |= OM_PROTO_BIT(INDEX);
		body->index = (uint16_t)r->index;
	}
	if (r->flags & OM_PROTO_F_WANT_TIME) {
		body->have |= OM_PROTO_BIT(SERVER_NS);
		body->server_ns = (uint32_t)OM_MIN(om_now_ns() - r->t0_ns, (uint64_t)UINT32_MAX);
	}
}

static struct om_proto_ext wrk_answer_head(const struct wrk_req *r, int status)
{
	struct om_proto_ext ext = { .op = r->op | OM_PROTO_OP_RESPONSE, .status = (uint8_t)-status, .id = r->id };

	if (r->group && r->group->left > 1)
		ext.flags = OM_PROTO_F_MORE;
	return ext;
}

/* One frame, whole but for its payload. @return false: lost, the request is ended and `fd` not taken */
static bool wrk_answer_frame(struct wrk_req *r, int status, struct om_proto_body *body, uint64_t payload_len,
			     const struct wrk_out_fd *fd)
{
	struct om_proto_ext ext = wrk_answer_head(r, status);
	struct om_proto_body none = { 0 };
	struct om_proto_wr wr;
	size_t cap = WRK_ANSWER_FRAME_MAX;
	uint8_t *p;
	int n;

	if (!body)
		body = &none;
	wrk_answer_extras(r, body);
	if (body->have & OM_PROTO_BIT(META))
		cap += body->meta.len;
	ext.nfds = fd ? 1 : 0;
	ext.payload_len = payload_len;
	p = wrk_out_room(wrk_req_out(r), cap);
	n = -OBJM_STATUS_OUT_OF_MEMORY;
	if (p) {
		om_proto_wr_init(&wr, p, cap);
		n = om_proto_ext_encode(&wr, &ext, body);
	}
	if (n > 0 && wrk_out_frame(wrk_req_out(r), (size_t)n, fd, fd ? 1 : 0, wrk_conn_max_fds(r->conn)) == 0)
		return true;
	OM_ASSERT(n < 0 ? n == -OBJM_STATUS_OUT_OF_MEMORY : true); /* what we encode fits what we reserved */
	wrk_answer_lost(r);
	return false;
}

static void wrk_answer_name(const struct wrk *w, unsigned tier, struct om_proto_str *str, uint64_t bit, uint64_t *have)
{
	if (tier >= OM_TIERS_MAX || !w->tiers[tier].known)
		return;
	str->p = w->tiers[tier].row.name;
	str->len = (uint32_t)strnlen(str->p, OM_TIER_NAME_MAX - 1);
	*have |= bit;
}

void wrk_answer_obj(const struct wrk_req *r, struct om_proto_body *body, bool names)
{
	const struct idx_ent *e = &r->ent;

	body->have |= OM_PROTO_BIT(OBJ);
	body->obj = (struct om_proto_obj){ .id = e->id, .size = e->size, .mtime_ns = e->mtime_ns, .expiry_s = e->expiry_s,
					   .gen = r->gen, .rev = e->rev, .flags = e->flags, .bucket = r->bucket,
					   .tier = e->tier, .home = e->home };
	if (names) {
		wrk_answer_name(r->w, e->tier, &body->tier_name, OM_PROTO_BIT(TIER_NAME), &body->have);
		wrk_answer_name(r->w, e->home, &body->home_name, OM_PROTO_BIT(HOME_NAME), &body->have);
	}
}

/* What GET tells of an object. */
static void wrk_answer_get_body(const struct wrk_req *r, struct om_proto_body *body)
{
	*body = (struct om_proto_body){ 0 };
	wrk_answer_obj(r, body, r->flags & OM_PROTO_F_WANT_META);
	if (r->full && r->full->type_len) {
		body->have |= OM_PROTO_BIT(TYPE);
		body->type = (struct om_proto_str){ r->full->bytes, r->full->type_len };
	}
	if (r->full && r->full->meta_len) {
		body->have |= OM_PROTO_BIT(META);
		body->meta = (struct om_proto_str){ r->full->bytes + r->full->type_len, r->full->meta_len };
	}
}

void wrk_answer_body(struct wrk_req *r, struct om_proto_body *body, const struct wrk_out_fd *fd)
{
	struct wrk *w = r->w;

	if (!r->conn || wrk_answer_frame(r, 0, body, 0, fd)) {
		if (fd && !r->conn)
			wrk_out_fd_drop(w->fdcache, fd);
		wrk_req_end(r);
	} else if (fd) {
		wrk_out_fd_drop(w->fdcache, fd);
	}
}

void wrk_answer_tlvs(struct wrk_req *r, const void *tlv, size_t len, bool more)
{
	struct om_proto_ext ext = wrk_answer_head(r, 0);
	struct om_proto_wr wr;
	size_t cap = OM_PROTO_EXT_HDR + len + 64, at;
	struct om_proto_body extra = { 0 };
	uint8_t *p;
	int n;

	if (!r->conn) {
		if (!more)
			wrk_req_end(r);
		return;
	}
	if (more)
		ext.flags |= OM_PROTO_F_MORE;
	else
		wrk_answer_extras(r, &extra);
	p = wrk_out_room(wrk_req_out(r), cap);
	if (!p) {
		wrk_answer_lost(r);
		return;
	}
	om_proto_wr_init(&wr, p, cap);
	at = om_proto_ext_open(&wr);
	OM_ASSERT(wr.cap - wr.len >= len);
	memcpy(wr.buf + wr.len, tlv, len);
	wr.len += len;
	om_proto_body_put(&wr, &extra);
	n = om_proto_ext_close(&wr, at, &ext);
	OM_ASSERT(n > 0);
	if (wrk_out_frame(wrk_req_out(r), (size_t)n, NULL, 0, WRK_OUT_FDS_MAX) < 0)
		wrk_answer_lost(r);
	else if (!more)
		wrk_req_end(r);
	else
		wrk_conn_touch(r->conn);
}

/* ---------------------------------------------------------------- versions 1 and 2 */

/* size, mtime, etag, backend; type where it is known */
void wrk_answer_meta(const struct wrk_req *r, struct om_proto_wr *wr)
{
	char etag[40];
	size_t n = om_hex_put(etag, r->ent.id, 1);

	etag[n++] = '-';
	n += om_hex_put(etag + n, r->ent.rev, 1);

	om_proto_meta_put_u64(wr, OM_PROTO_META_SIZE, r->ent.size);
	om_proto_meta_put_u64(wr, OM_PROTO_META_MTIME, r->ent.mtime_ns / 1000000000u);
	om_proto_meta_put(wr, OM_PROTO_META_ETAG, etag, n);
	om_proto_meta_put_u8(wr, OM_PROTO_META_BACKEND, r->ent.tier);
}

/* The header of an OK answer, with metadata if `object`. @return false: lost */
static bool wrk_answer_old_ok(struct wrk_req *r, uint64_t content_len, bool object)
{
	uint8_t *p = wrk_out_room(wrk_req_out(r), WRK_ANSWER_HEAD_MAX);
	size_t hdr = r->form == OM_PROTO_V1 ? OM_PROTO_V1_RESP_HDR : OM_PROTO_V2_RESP_HDR;
	struct om_proto_resp resp = { .id = r->id, .status = OBJM_STATUS_OK, .content_len = content_len };
	struct om_proto_wr wr;
	int n;

	if (!p) {
		wrk_answer_lost(r);
		return false;
	}
	om_proto_wr_init(&wr, p + hdr, WRK_ANSWER_HEAD_MAX - hdr);
	if (object)
		wrk_answer_meta(r, &wr);
	if (r->coding)
		om_proto_meta_put_u8(&wr, OM_PROTO_META_CODING, r->coding);
	OM_ASSERT(wr.err == 0);
	resp.meta_len = (uint16_t)wr.len;
	n = r->form == OM_PROTO_V1 ? om_proto_v1_resp_encode(&resp, p, hdr) : om_proto_v2_resp_encode(&resp, p, hdr);
	OM_ASSERT(n == (int)hdr);
	if (wrk_out_frame(wrk_req_out(r), hdr + wr.len, NULL, 0, WRK_OUT_FDS_MAX) == 0)
		return true;
	wrk_answer_lost(r);
	return false;
}

/* ---------------------------------------------------------------- both */

/* In the form of a segmented response, whose peer reads no other. */
static void wrk_answer_error_seg(struct wrk_req *r, uint8_t status, const char *text)
{
	struct om_proto_seg_resp resp = { .id = r->id, .status = status };
	size_t cap = OM_PROTO_SEG_RESP_HDR + 3 + OM_PROTO_ERROR_TEXT_MAX;
	uint8_t *p = wrk_out_room(wrk_req_out(r), cap);
	struct om_proto_wr wr;

	if (p) {
		om_proto_wr_init(&wr, p + OM_PROTO_SEG_RESP_HDR, cap - OM_PROTO_SEG_RESP_HDR);
		om_proto_meta_put(&wr, OM_PROTO_META_ERROR, text, strnlen(text, OM_PROTO_ERROR_TEXT_MAX));
		OM_ASSERT(wr.err == 0);
		resp.meta_len = (uint16_t)wr.len;
		OM_ASSERT(om_proto_seg_resp_encode(&resp, p, cap) == (int)OM_PROTO_SEG_RESP_HDR);
	}
	if (!p || wrk_out_frame(wrk_req_out(r), OM_PROTO_SEG_RESP_HDR + wr.len, NULL, 0, WRK_OUT_FDS_MAX) < 0)
		wrk_answer_lost(r);
	else
		wrk_req_end(r);
}

void wrk_answer_error(struct wrk_req *r, int status, const char *text)
{
	uint8_t *p;
	int n;

	OM_ASSERT(status < 0);
	if (status <= -0x80) /* codes that never leave a process */
		status = -(int)om_status_old((uint8_t)-status);
	wrk_answer_count(r, status);
	r->status = (uint8_t)-status;
	if (r->form != WRK_REQ_EXT && status == -OBJM_STATUS_PERMISSION_DENIED)
		status = -OBJM_STATUS_NOT_FOUND, text = NULL; /* told as if it did not exist, in each byte */
	if (!text)
		text = om_status_text(status);
	if (!r->conn) {
		wrk_req_end(r);
		return;
	}
	if (r->form == WRK_REQ_EXT) {
		struct om_proto_body body = { .have = OM_PROTO_BIT(ERROR_TEXT),
					      .error_text = { text, (uint32_t)strnlen(text, OM_PROTO_ERROR_TEXT_MAX) } };

		if (wrk_answer_frame(r, status, &body, 0, NULL))
			wrk_req_end(r);
		return;
	}
	if (r->mode == OM_PROTO_MODE_SEGMENTED && (r->conn->caps & OM_PROTO_CAP_SEGMENTED)) {
		wrk_answer_error_seg(r, om_status_old((uint8_t)-status), text);
		return;
	}
	p = wrk_out_room(wrk_req_out(r), OM_PROTO_ERROR_RESP_MAX);
	n = p ? om_proto_error_encode(r->form, r->id, om_status_old((uint8_t)-status), text, p, OM_PROTO_ERROR_RESP_MAX) : -1;
	if (n < 0 || wrk_out_frame(wrk_req_out(r), (size_t)n, NULL, 0, WRK_OUT_FDS_MAX) < 0)
		wrk_answer_lost(r);
	else
		wrk_req_end(r);
}

bool wrk_answer_later(struct wrk_req *r)
{
	if (wrk_req_wait(r))
		return true;
	wrk_answer_error(r, -OBJM_STATUS_OUT_OF_MEMORY, NULL);
	return false;
}

static void wrk_answer_plain_byte(struct wrk_req *r)
{
	uint8_t *p = wrk_out_room(wrk_req_out(r), 1);

	if (p)
		*p = OM_PROTO_FD_BYTE;
	if (p && wrk_out_frame(wrk_req_out(r), 1, NULL, 0, WRK_OUT_FDS_MAX) == 0)
		wrk_req_end(r);
	else
		wrk_answer_lost(r);
}

/* Header queued, descriptor not: the peer cannot be told any more. */
static void wrk_answer_fd_old(struct wrk_req *r, const struct wrk_out_fd *fd)
{
	struct wrk_conn *c = r->conn;

	if (!wrk_answer_old_ok(r, 0, r->ent.id != 0)) {
		wrk_out_fd_drop(c->w->fdcache, fd);
		return;
	}
	if (!wrk_conn_is_unix(c)) { /* an empty object: the byte comes, so that framing is the same, and nothing with it */
		wrk_out_fd_drop(c->w->fdcache, fd);
		wrk_answer_plain_byte(r);
		return;
	}
	if (wrk_out_fd_byte(wrk_req_out(r), fd) == 0) {
		wrk_req_end(r);
		return;
	}
	wrk_out_fd_drop(c->w->fdcache, fd);
	wrk_answer_lost(r);
}

void wrk_answer_fd(struct wrk_req *r, const struct wrk_out_fd *fd)
{
	struct om_proto_body body;

	wrk_answer_count(r, 0);
	if (r->form == WRK_REQ_EXT) {
		wrk_answer_get_body(r, &body);
		wrk_answer_body(r, &body, fd);
		return;
	}
	if (r->conn) {
		wrk_answer_fd_old(r, fd);
		return;
	}
	wrk_out_fd_drop(r->w->fdcache, fd);
	wrk_req_end(r);
}

/* Header, or frame, in front of `len` bytes that follow. */
static bool wrk_answer_bytes_head(struct wrk_req *r, uint64_t off, uint64_t len)
{
	struct om_proto_body body;

	if (r->form != WRK_REQ_EXT)
		return wrk_answer_old_ok(r, len, true);
	wrk_answer_get_body(r, &body);
	body.have |= OM_PROTO_BIT(RANGE);
	body.range = (struct om_proto_range){ off, len };
	if (r->coding)
		body.have |= OM_PROTO_BIT(CODING);
	body.coding = r->coding;
	return wrk_answer_frame(r, 0, &body, len, NULL);
}

void wrk_answer_data(struct wrk_req *r, const void *data, uint64_t off, size_t len)
{
	struct wrk_out *o;
	uint8_t *p;

	wrk_answer_count(r, 0);
	r->copied = true;
	r->bytes = len;
	if (!r->conn) {
		wrk_req_end(r);
		return;
	}
	if (!wrk_answer_bytes_head(r, off, len))
		return;
	o = wrk_req_out(r);
	p = wrk_out_room(o, len);
	if (p)
		memcpy(p, data, len);
	if (!p || wrk_out_frame(o, len, NULL, 0, WRK_OUT_FDS_MAX) < 0) {
		wrk_answer_lost(r);
		return;
	}
	om_count_own(OM_C_BYTES_SENT, len);
	wrk_req_end(r);
}

void wrk_answer_bytes(struct wrk_req *r, int fd, uint64_t off, uint64_t len)
{
	enum wrk_out_how how = r->coding ? WRK_OUT_CODED :
			       r->w->tiers[r->ent.tier].row.type == OM_TIER_MEMORY ? WRK_OUT_HOT :
			       r->mode == OM_PROTO_MODE_SPLICE ? WRK_OUT_SPLICE : WRK_OUT_COPY;

	if (len == 0 && r->form != WRK_REQ_EXT) { /* existing clients wait for a descriptor byte then */
		wrk_answer_fd(r, &(struct wrk_out_fd){ .fd = fd, .own = true });
		return;
	}
	wrk_answer_count(r, 0);
	r->copied = true;
	r->bytes = len;
	if (!r->conn) {
		(void)wrk_fdcache_close(fd);
		wrk_req_end(r);
		return;
	}
	if (!wrk_answer_bytes_head(r, off, len)) { /* lost: the request is gone */
		(void)wrk_fdcache_close(fd);
		return;
	}
	if (len == 0) {
		(void)wrk_fdcache_close(fd);
		wrk_req_end(r);
	} else if (wrk_out_file(wrk_req_out(r), fd, off, len, how) == 0) {
		wrk_req_end(r);
	} else {
		(void)wrk_fdcache_close(fd);
		wrk_answer_lost(r);
	}
}
