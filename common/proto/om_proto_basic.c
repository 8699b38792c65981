/*
 * om_proto_basic.c: messages of versions 1 and 2, both ways, and the entry points that tell one message from another.
 *
 * Runs in workers (what clients send) and in clients (what servers send). Plain functions over the caller's buffer: the
 * structures are those of om_proto.h. Every length is compared as "remaining < wanted" before anything is read.
 */
#include "common/proto/om_proto.h"
#include "common/proto/om_proto_be.h"

#define MAGIC_LEN 4u

/* `n` bytes wanted, `len` there: true when they suffice; else tells the caller how many. */
static bool have(size_t len, size_t n, size_t *ret_need)
{
	if (len >= n)
		return true;
	*ret_need = n;
	return false;
}

int om_proto_first(uint8_t byte)
{
	if (byte == OM_PROTO_T_HELLO)
		return OM_PROTO_V2;
	if (byte >= OM_PROTO_MODE_FDPASS && byte <= OM_PROTO_MODE_SEGMENTED)
		return OM_PROTO_V1;
	return -OBJM_STATUS_PROTO_ERROR;
}

/* ---------------------------------------------------------------- requests */

/* What both versions share: mode, length, URI at `p`, of which `left` bytes are there. `hdr` bytes precede the URI. */
static int req_tail(const uint8_t *uri, size_t hdr, size_t len, uint16_t uri_len, struct om_proto_req *req, size_t *ret_need)
{
	req->status = OBJM_STATUS_OK;
	req->skip = 0;
	req->uri = (const char *)uri;
	req->uri_len = uri_len;
	if (uri_len > OM_URI_MAX) {
		/* Answered from the header alone, so that no buffer has to hold what nobody will look at. */
		req->status = OBJM_STATUS_URI_TOO_LONG;
		req->skip = uri_len;
		req->uri_len = 0;
		return (int)hdr;
	}
	if (!have(len, hdr + uri_len, ret_need))
		return 0;
	if (uri_len == 0)
		req->status = OBJM_STATUS_INVALID_REQUEST;
	else if (om_proto_first(req->mode) != OM_PROTO_V1)
		req->status = OBJM_STATUS_INVALID_MODE;
	return (int)(hdr + uri_len);
}

static int v1_req_decode(const uint8_t *p, size_t len, struct om_proto_req *req, size_t *ret_need)
{
	/* In version 1 the mode is all there is to recognise a message by: another byte means that we are lost. */
	if (om_proto_first(p[0]) != OM_PROTO_V1)
		return -OBJM_STATUS_PROTO_ERROR;
	if (!have(len, OM_PROTO_V1_REQ_HDR, ret_need))
		return 0;
	req->id = 0;
	req->flags = 0;
	req->mode = p[0];
	return req_tail(p + OM_PROTO_V1_REQ_HDR, OM_PROTO_V1_REQ_HDR, len, om_be16_get(p + 1), req, ret_need);
}

static int v2_req_decode(const uint8_t *p, size_t len, struct om_proto_req *req, size_t *ret_need)
{
	if (!have(len, OM_PROTO_V2_REQ_HDR, ret_need))
		return 0;
	req->id = om_be32_get(p + 1);
	req->flags = p[5];
	req->mode = p[6];
	return req_tail(p + OM_PROTO_V2_REQ_HDR, OM_PROTO_V2_REQ_HDR, len, om_be16_get(p + 7), req, ret_need);
}

int om_proto_v1_req_encode(const struct om_proto_req *req, void *buf, size_t cap)
{
	uint8_t *p = buf;

	if (req->uri_len == 0 || req->uri_len > OM_URI_MAX)
		return -OBJM_STATUS_INVALID_REQUEST;
	if (cap < OM_PROTO_V1_REQ_HDR + (size_t)req->uri_len)
		return -OBJM_STATUS_TOO_LARGE;
	p[0] = req->mode;
	om_be16_put(p + 1, req->uri_len);
	memcpy(p + OM_PROTO_V1_REQ_HDR, req->uri, req->uri_len);
	return (int)(OM_PROTO_V1_REQ_HDR + req->uri_len);
}

int om_proto_v2_req_encode(const struct om_proto_req *req, void *buf, size_t cap)
{
	uint8_t *p = buf;

	if (req->uri_len == 0 || req->uri_len > OM_URI_MAX)
		return -OBJM_STATUS_INVALID_REQUEST;
	if (cap < OM_PROTO_V2_REQ_HDR + (size_t)req->uri_len)
		return -OBJM_STATUS_TOO_LARGE;
	p[0] = OM_PROTO_T_REQUEST;
	om_be32_put(p + 1, req->id);
	p[5] = req->flags;
	p[6] = req->mode;
	om_be16_put(p + 7, req->uri_len);
	memcpy(p + OM_PROTO_V2_REQ_HDR, req->uri, req->uri_len);
	return (int)(OM_PROTO_V2_REQ_HDR + req->uri_len);
}

/* ---------------------------------------------------------------- HELLO, CLOSE */

/* HELLO (9 bytes) or HELLO_ACK (10): a wrong byte is found as soon as it is there. */
static int hello_decode(const uint8_t *p, size_t len, size_t whole, struct om_proto_hello *hello, size_t *ret_need)
{
	if (memcmp(p, OM_PROTO_MAGIC, OM_MIN(len, (size_t)MAGIC_LEN)) != 0)
		return -OBJM_STATUS_PROTO_ERROR;
	if (len > MAGIC_LEN && p[MAGIC_LEN] != OM_PROTO_V2)
		return -OBJM_STATUS_PROTO_VERSION;
	if (!have(len, whole, ret_need))
		return 0;
	hello->caps = om_be16_get(p + 5);
	hello->max_pipeline = om_be16_get(p + 7);
	hello->parallelism = whole == OM_PROTO_HELLO_ACK_LEN ? p[9] : 0;
	return (int)whole;
}

static int hello_put(const struct om_proto_hello *hello, size_t whole, uint8_t *p, size_t cap)
{
	if (cap < whole)
		return -OBJM_STATUS_TOO_LARGE;
	memcpy(p, OM_PROTO_MAGIC, MAGIC_LEN);
	p[MAGIC_LEN] = OM_PROTO_V2;
	om_be16_put(p + 5, hello->caps);
	om_be16_put(p + 7, hello->max_pipeline);
	if (whole == OM_PROTO_HELLO_ACK_LEN)
		p[9] = hello->parallelism;
	return (int)whole;
}

int om_proto_hello_encode(const struct om_proto_hello *hello, void *buf, size_t cap)
{
	return hello_put(hello, OM_PROTO_HELLO_LEN, buf, cap);
}

int om_proto_hello_ack_encode(const struct om_proto_hello *ack, void *buf, size_t cap)
{
	return hello_put(ack, OM_PROTO_HELLO_ACK_LEN, buf, cap);
}

static int close_decode(const uint8_t *p, size_t len, uint8_t *ret_reason, size_t *ret_need)
{
	if (!have(len, OM_PROTO_CLOSE_LEN, ret_need))
		return 0;
	*ret_reason = p[1]; /* an unknown reason is as good as "normal" to who is left */
	return (int)OM_PROTO_CLOSE_LEN;
}

static int close_ack_decode(const uint8_t *p, size_t len, uint32_t *ret_outstanding, size_t *ret_need)
{
	if (!have(len, OM_PROTO_CLOSE_ACK_LEN, ret_need))
		return 0;
	if (p[1] != 0)
		return -OBJM_STATUS_PROTO_ERROR;
	*ret_outstanding = om_be32_get(p + 2);
	return (int)OM_PROTO_CLOSE_ACK_LEN;
}

int om_proto_close_encode(uint8_t reason, void *buf, size_t cap)
{
	uint8_t *p = buf;

	if (cap < OM_PROTO_CLOSE_LEN)
		return -OBJM_STATUS_TOO_LARGE;
	p[0] = OM_PROTO_T_CLOSE;
	p[1] = reason;
	return (int)OM_PROTO_CLOSE_LEN;
}

int om_proto_close_ack_encode(uint32_t outstanding, void *buf, size_t cap)
{
	uint8_t *p = buf;

	if (cap < OM_PROTO_CLOSE_ACK_LEN)
		return -OBJM_STATUS_TOO_LARGE;
	p[0] = OM_PROTO_T_CLOSE_ACK;
	p[1] = 0;
	om_be32_put(p + 2, outstanding);
	return (int)OM_PROTO_CLOSE_ACK_LEN;
}

/* ---------------------------------------------------------------- what a server receives */

static int in_v2_decode(bool greeted, uint16_t caps, uint32_t tlv_max, const uint8_t *p, size_t len,
			struct om_proto_in *in, size_t *ret_need)
{
	if (!greeted) {
		in->kind = OM_PROTO_IN_HELLO;
		return hello_decode(p, len, OM_PROTO_HELLO_LEN, &in->u.hello, ret_need);
	}
	switch (p[0]) {
	case OM_PROTO_T_REQUEST:
		in->kind = OM_PROTO_IN_REQUEST;
		return v2_req_decode(p, len, &in->u.req, ret_need);
	case OM_PROTO_T_CLOSE:
		in->kind = OM_PROTO_IN_CLOSE;
		return close_decode(p, len, &in->u.close_reason, ret_need);
	case OM_PROTO_T_CLOSE_ACK:
		in->kind = OM_PROTO_IN_CLOSE_ACK;
		return close_ack_decode(p, len, &in->u.outstanding, ret_need);
	case OM_PROTO_T_EXT:
		if (!(caps & OM_PROTO_CAP_EXTENSION))
			return -OBJM_STATUS_PROTO_CAPABILITY;
		in->kind = OM_PROTO_IN_EXT;
		return om_proto_ext_req_hdr(tlv_max, p, len, &in->u.ext, ret_need);
	default:
		return -OBJM_STATUS_PROTO_ERROR;
	}
}

int om_proto_in_decode(int version, bool greeted, uint16_t caps, uint32_t tlv_max, const void *buf, size_t len,
		       struct om_proto_in *ret_in, size_t *ret_need)
{
	struct om_proto_in in = {0};
	int n;

	if (!have(len, 1, ret_need))
		return 0;
	if (version == OM_PROTO_V1) {
		in.kind = OM_PROTO_IN_REQUEST;
		n = v1_req_decode(buf, len, &in.u.req, ret_need);
	} else {
		n = in_v2_decode(greeted, caps, OM_MIN(tlv_max, OM_PROTO_TLV_MAX), buf, len, &in, ret_need);
	}
	if (n > 0)
		*ret_in = in;
	return n;
}

/* ---------------------------------------------------------------- responses */

static bool meta_valid(const uint8_t *meta, size_t len)
{
	struct om_proto_meta m;
	size_t pos = 0;
	int r;

	while ((r = om_proto_meta_next(meta, len, &pos, &m)) > 0)
		;
	return r == 0;
}

/*
 * status, content length, metadata length at `p`, which is the last part of a header of `hdr` bytes in both versions.
 */
static int resp_tail(const uint8_t *p, size_t hdr, size_t len, struct om_proto_out *out, size_t *ret_need)
{
	struct om_proto_resp *resp = &out->u.resp;

	resp->status = p[0];
	resp->content_len = om_be64_get(p + 1);
	resp->meta_len = om_be16_get(p + 9);
	if (!have(len, hdr + resp->meta_len, ret_need))
		return 0;
	out->meta = p + 11;
	if (!meta_valid(out->meta, resp->meta_len))
		return -OBJM_STATUS_PROTO_ERROR;
	return (int)(hdr + resp->meta_len);
}

static int resp_decode(int version, const uint8_t *p, size_t len, struct om_proto_out *out, size_t *ret_need)
{
	size_t hdr = version == OM_PROTO_V1 ? OM_PROTO_V1_RESP_HDR : OM_PROTO_V2_RESP_HDR;

	out->kind = OM_PROTO_OUT_RESPONSE;
	if (!have(len, hdr, ret_need))
		return 0;
	out->u.resp.id = version == OM_PROTO_V1 ? 0 : om_be32_get(p + 1);
	return resp_tail(p + (hdr - OM_PROTO_V1_RESP_HDR), hdr, len, out, ret_need);
}

int om_proto_v1_resp_encode(const struct om_proto_resp *resp, void *buf, size_t cap)
{
	uint8_t *p = buf;

	if (cap < OM_PROTO_V1_RESP_HDR)
		return -OBJM_STATUS_TOO_LARGE;
	p[0] = resp->status;
	om_be64_put(p + 1, resp->content_len);
	om_be16_put(p + 9, resp->meta_len);
	return (int)OM_PROTO_V1_RESP_HDR;
}

int om_proto_v2_resp_encode(const struct om_proto_resp *resp, void *buf, size_t cap)
{
	uint8_t *p = buf;

	if (cap < OM_PROTO_V2_RESP_HDR)
		return -OBJM_STATUS_TOO_LARGE;
	p[0] = OM_PROTO_T_RESPONSE;
	om_be32_put(p + 1, resp->id);
	p[5] = resp->status;
	om_be64_put(p + 6, resp->content_len);
	om_be16_put(p + 14, resp->meta_len);
	return (int)OM_PROTO_V2_RESP_HDR;
}

int om_proto_error_encode(int version, uint32_t id, uint8_t status, const char *text, void *buf, size_t cap)
{
	size_t hdr = version == OM_PROTO_V1 ? OM_PROTO_V1_RESP_HDR : OM_PROTO_V2_RESP_HDR;
	struct om_proto_resp resp = {.id = id, .status = status};
	struct om_proto_wr wr;
	int n;

	if (cap < hdr)
		return -OBJM_STATUS_TOO_LARGE;
	om_proto_wr_init(&wr, buf, cap);
	wr.len = hdr;
	if (text)
		om_proto_meta_put(&wr, OM_PROTO_META_ERROR, text, strnlen(text, OM_PROTO_ERROR_TEXT_MAX));
	if (wr.err)
		return wr.err;
	resp.meta_len = (uint16_t)(wr.len - hdr);
	n = version == OM_PROTO_V1 ? om_proto_v1_resp_encode(&resp, buf, cap) : om_proto_v2_resp_encode(&resp, buf, cap);
	return n < 0 ? n : (int)wr.len;
}

/* ---------------------------------------------------------------- segmented responses */

int om_proto_seg_resp_encode(const struct om_proto_seg_resp *resp, void *buf, size_t cap)
{
	uint8_t *p = buf;

	if (resp->segs > OM_PROTO_SEGS_MAX)
		return -OBJM_STATUS_INVALID_REQUEST;
	if (cap < OM_PROTO_SEG_RESP_HDR)
		return -OBJM_STATUS_TOO_LARGE;
	p[0] = OM_PROTO_T_SEGMENTED;
	om_be32_put(p + 1, resp->id);
	p[5] = resp->status;
	om_be16_put(p + 6, resp->segs);
	om_be16_put(p + 8, resp->meta_len);
	return (int)OM_PROTO_SEG_RESP_HDR;
}

int om_proto_seg_encode(const struct om_proto_seg *seg, void *buf, size_t cap)
{
	uint8_t *p = buf;

	if (seg->type >= OM_PROTO_SEG_COUNT)
		return -OBJM_STATUS_INVALID_REQUEST;
	if (cap < OM_PROTO_SEG_HDR)
		return -OBJM_STATUS_TOO_LARGE;
	p[0] = seg->type;
	p[1] = seg->flags;
	om_be16_put(p + 2, 0);
	om_be32_put(p + 4, seg->copy_len);
	om_be64_put(p + 8, seg->logical_len);
	om_be64_put(p + 16, seg->storage_off);
	om_be64_put(p + 24, seg->storage_len);
	return (int)OM_PROTO_SEG_HDR;
}

int om_proto_seg_decode(const void *buf, size_t len, struct om_proto_seg *ret_seg)
{
	const uint8_t *p = buf;

	if (len < OM_PROTO_SEG_HDR || p[0] >= OM_PROTO_SEG_COUNT || om_be16_get(p + 2) != 0 ||
	    (p[0] != OM_PROTO_SEG_INLINE && om_be32_get(p + 4) != 0))
		return -OBJM_STATUS_PROTO_ERROR;
	*ret_seg = (struct om_proto_seg){.type = p[0],
					 .flags = p[1],
					 .copy_len = om_be32_get(p + 4),
					 .logical_len = om_be64_get(p + 8),
					 .storage_off = om_be64_get(p + 16),
					 .storage_len = om_be64_get(p + 24)};
	return (int)OM_PROTO_SEG_HDR;
}

static int seg_resp_decode(const uint8_t *p, size_t len, struct om_proto_out *out, size_t *ret_need)
{
	struct om_proto_seg_resp *seg = &out->u.seg;
	struct om_proto_seg one;
	size_t whole, i;
	bool fd = false; /* a segment had a descriptor of its own */

	out->kind = OM_PROTO_OUT_SEGMENTED;
	if (!have(len, OM_PROTO_SEG_RESP_HDR, ret_need))
		return 0;
	seg->id = om_be32_get(p + 1);
	seg->status = p[5];
	seg->segs = om_be16_get(p + 6);
	seg->meta_len = om_be16_get(p + 8);
	if (seg->segs > OM_PROTO_SEGS_MAX)
		return -OBJM_STATUS_PROTO_ERROR;
	whole = OM_PROTO_SEG_RESP_HDR + seg->meta_len + (size_t)seg->segs * OM_PROTO_SEG_HDR;
	if (!have(len, whole, ret_need))
		return 0;
	out->meta = p + OM_PROTO_SEG_RESP_HDR;
	out->segs = out->meta + seg->meta_len;
	if (!meta_valid(out->meta, seg->meta_len))
		return -OBJM_STATUS_PROTO_ERROR;
	for (i = 0; i < seg->segs; i++) {
		if (om_proto_seg_decode(out->segs + i * OM_PROTO_SEG_HDR, OM_PROTO_SEG_HDR, &one) < 0)
			return -OBJM_STATUS_PROTO_ERROR;
		if (one.type != OM_PROTO_SEG_INLINE && (one.flags & OM_PROTO_SEGF_REUSE_FD) && !fd)
			return -OBJM_STATUS_PROTO_ERROR; /* of which one? */
		fd |= one.type != OM_PROTO_SEG_INLINE;
	}
	return (int)whole;
}

/* ---------------------------------------------------------------- what a client receives */

static int out_v2_decode(bool greeted, uint16_t caps, const uint8_t *p, size_t len, struct om_proto_out *out,
			 size_t *ret_need)
{
	if (!greeted) {
		out->kind = OM_PROTO_OUT_HELLO_ACK;
		return hello_decode(p, len, OM_PROTO_HELLO_ACK_LEN, &out->u.hello, ret_need);
	}
	switch (p[0]) {
	case OM_PROTO_T_RESPONSE:
		return resp_decode(OM_PROTO_V2, p, len, out, ret_need);
	case OM_PROTO_T_SEGMENTED:
		if (!(caps & OM_PROTO_CAP_SEGMENTED))
			return -OBJM_STATUS_PROTO_CAPABILITY;
		return seg_resp_decode(p, len, out, ret_need);
	case OM_PROTO_T_CLOSE:
		out->kind = OM_PROTO_OUT_CLOSE;
		return close_decode(p, len, &out->u.close_reason, ret_need);
	case OM_PROTO_T_CLOSE_ACK:
		out->kind = OM_PROTO_OUT_CLOSE_ACK;
		return close_ack_decode(p, len, &out->u.outstanding, ret_need);
	case OM_PROTO_T_EXT:
		if (!(caps & OM_PROTO_CAP_EXTENSION))
			return -OBJM_STATUS_PROTO_CAPABILITY;
		out->kind = OM_PROTO_OUT_EXT;
		return om_proto_ext_resp_hdr(p, len, &out->u.ext, ret_need);
	default:
		return -OBJM_STATUS_PROTO_ERROR;
	}
}

int om_proto_out_decode(int version, bool greeted, uint16_t caps, const void *buf, size_t len,
			struct om_proto_out *ret_out, size_t *ret_need)
{
	struct om_proto_out out = {0};
	int n;

	if (!have(len, 1, ret_need))
		return 0;
	if (version == OM_PROTO_V1)
		n = resp_decode(OM_PROTO_V1, buf, len, &out, ret_need);
	else
		n = out_v2_decode(greeted, caps, buf, len, &out, ret_need);
	if (n > 0)
		*ret_out = out;
	return n;
}
