/*
 * om_proto_ext.c: frames and TLVs of the extension.
 *
 * Runs in workers and in clients. A table, made from the rows of om_proto.h, says how long the data of a tag are. Bodies are
 * read and written by code that the same rows generate, so that a tag has its layout in one place (get_KIND, put_KIND). What a
 * request must and may contain: om_proto_req.c.
 */
#include "common/proto/om_proto.h"
#include "common/proto/om_proto_be.h"
#include "common/proto/om_proto_int.h"

struct tlv_row {
	uint16_t min;
	uint16_t max;
};
static const struct tlv_row tlvs[OM_PROTO_TAG_COUNT] = {
#define TLV_ROW(name, tag, kind, member, min, max) [tag] = {min, max},
	OM_PROTO_TLV_MAP(TLV_ROW)
#undef TLV_ROW
};
static_assert(OM_PROTO_TAG_COUNT <= 64, "a tag is a bit of om_proto_body.have");

void om_proto_tag_lengths(uint16_t tag, uint32_t *ret_min, uint32_t *ret_max)
{
	*ret_min = tlvs[tag].min;
	*ret_max = tlvs[tag].max;
}

#define COND_LEN 13u
#define RANGE_LEN 16u
#define HEAT_LEN 16u
#define LIMITS_LEN 24u
#define CHANGE_LEN 17u
#define POSITION_LEN 16u
#define TOUCHED_HDR 12u

/* ---------------------------------------------------------------- frame headers */

static void hdr_get(const uint8_t *p, struct om_proto_ext *ext)
{
	*ext = (struct om_proto_ext){.op = p[1],
				     .status = p[2],
				     .nfds = p[3],
				     .flags = om_be16_get(p + 4),
				     .id = om_be32_get(p + 8),
				     .tlv_len = om_be32_get(p + 12),
				     .payload_len = om_be64_get(p + 16),
				     .tlv = p + OM_PROTO_EXT_HDR};
}

int om_proto_ext_req_hdr(uint32_t tlv_max, const uint8_t *buf, size_t len, struct om_proto_ext *ret_ext, size_t *ret_need)
{
	if (len < OM_PROTO_EXT_HDR) {
		*ret_need = OM_PROTO_EXT_HDR;
		return 0;
	}
	hdr_get(buf, ret_ext);
	/* A request has no status, no descriptors, no reserved bits: a peer that sets them speaks something else. */
	if ((ret_ext->op & OM_PROTO_OP_RESPONSE) || ret_ext->status || ret_ext->nfds || om_be16_get(buf + 6))
		return -OBJM_STATUS_PROTO_ERROR;
	if (ret_ext->tlv_len > tlv_max) {
		ret_ext->status = OBJM_STATUS_TOO_LARGE;
		ret_ext->skip = ret_ext->tlv_len;
		ret_ext->tlv_len = 0;
		return (int)OM_PROTO_EXT_HDR;
	}
	if (len - OM_PROTO_EXT_HDR < ret_ext->tlv_len) {
		*ret_need = OM_PROTO_EXT_HDR + ret_ext->tlv_len;
		return 0;
	}
	return (int)(OM_PROTO_EXT_HDR + ret_ext->tlv_len);
}

int om_proto_ext_resp_hdr(const uint8_t *buf, size_t len, struct om_proto_ext *ret_ext, size_t *ret_need)
{
	if (len < OM_PROTO_EXT_HDR) {
		*ret_need = OM_PROTO_EXT_HDR;
		return 0;
	}
	hdr_get(buf, ret_ext);
	if (!(ret_ext->op & OM_PROTO_OP_RESPONSE) || om_be16_get(buf + 6) || ret_ext->tlv_len > OM_PROTO_TLV_MAX)
		return -OBJM_STATUS_PROTO_ERROR;
	if (ret_ext->nfds > OM_PROTO_FDS_MAX)
		return -OBJM_STATUS_PROTO_ERROR;
	if (len - OM_PROTO_EXT_HDR < ret_ext->tlv_len) {
		*ret_need = OM_PROTO_EXT_HDR + ret_ext->tlv_len;
		return 0;
	}
	return (int)(OM_PROTO_EXT_HDR + ret_ext->tlv_len);
}

size_t om_proto_ext_open(struct om_proto_wr *wr)
{
	size_t at = wr->len;

	(void)om_proto_wr_room(wr, OM_PROTO_EXT_HDR); /* its error waits for om_proto_ext_close() */
	return at;
}

int om_proto_ext_close(struct om_proto_wr *wr, size_t at, const struct om_proto_ext *ext)
{
	uint8_t *p = wr->buf + at;
	size_t tlv_len;
	int err = wr->err;

	if (!err && (wr->len < at || wr->len - at < OM_PROTO_EXT_HDR))
		err = -OBJM_STATUS_INVALID_REQUEST;
	tlv_len = err ? 0 : wr->len - at - OM_PROTO_EXT_HDR;
	if (!err && tlv_len > OM_PROTO_TLV_MAX)
		err = -OBJM_STATUS_TOO_LARGE;
	if (err) {
		wr->len = at;
		wr->err = 0;
		return err;
	}
	p[0] = OM_PROTO_T_EXT;
	p[1] = ext->op;
	p[2] = ext->status;
	p[3] = ext->nfds;
	om_be16_put(p + 4, ext->flags);
	om_be16_put(p + 6, 0);
	om_be32_put(p + 8, ext->id);
	om_be32_put(p + 12, (uint32_t)tlv_len);
	om_be64_put(p + 16, ext->payload_len);
	return (int)(OM_PROTO_EXT_HDR + tlv_len);
}

int om_proto_ext_encode(struct om_proto_wr *wr, const struct om_proto_ext *ext, const struct om_proto_body *body)
{
	size_t at = om_proto_ext_open(wr);

	if (body)
		om_proto_body_put(wr, body);
	return om_proto_ext_close(wr, at, ext);
}

/* ---------------------------------------------------------------- TLVs: one layout a kind, both ways */

static void get_STR(const struct om_proto_str *d, struct om_proto_str *ret) { *ret = *d; }
static void get_U8(const struct om_proto_str *d, uint8_t *ret) { *ret = (uint8_t)d->p[0]; }
static void get_U16(const struct om_proto_str *d, uint16_t *ret) { *ret = om_be16_get(d->p); }
static void get_U32(const struct om_proto_str *d, uint32_t *ret) { *ret = om_be32_get(d->p); }
static void get_U64(const struct om_proto_str *d, uint64_t *ret) { *ret = om_be64_get(d->p); }

static void get_OBJ(const struct om_proto_str *d, struct om_proto_obj *ret) { om_proto_obj_get((const uint8_t *)d->p, ret); }

static void get_COND(const struct om_proto_str *d, struct om_proto_cond *ret)
{
	*ret = (struct om_proto_cond){
		.kind = (uint8_t)d->p[0], .id = om_be64_get(d->p + 1), .rev = om_be32_get(d->p + 9)};
}

static void get_RANGE(const struct om_proto_str *d, struct om_proto_range *ret)
{
	*ret = (struct om_proto_range){.off = om_be64_get(d->p), .len = om_be64_get(d->p + 8)};
}

static void get_HEAT(const struct om_proto_str *d, struct om_proto_heat *ret)
{
	*ret = (struct om_proto_heat){.heat_millionths = om_be32_get(d->p),
				      .access_count = om_be32_get(d->p + 4),
				      .last_access_s = om_be64_get(d->p + 8)};
}

static void get_LIMITS(const struct om_proto_str *d, struct om_proto_limits *ret)
{
	const uint8_t *p = (const uint8_t *)d->p;

	*ret = (struct om_proto_limits){.tlv_max = om_be32_get(p),
					.sessions_max = om_be32_get(p + 4),
					.page_max = om_be32_get(p + 8),
					.uris_max = om_be16_get(p + 12),
					.max_fds = p[14],
					.durability = p[15],
					.inline_max = om_be64_get(p + 16)};
}

static void get_POSITION(const struct om_proto_str *d, struct om_proto_position *ret)
{
	*ret = (struct om_proto_position){.epoch = om_be64_get(d->p), .pos = om_be64_get(d->p + 8)};
}

static void get_CHANGE(const struct om_proto_str *d, struct om_proto_changed *ret)
{
	*ret = (struct om_proto_changed){
		.kind = (uint8_t)d->p[0], .at = {.epoch = om_be64_get(d->p + 1), .pos = om_be64_get(d->p + 9)}};
}

static void get_TOUCHED(const struct om_proto_str *d, struct om_proto_touched *ret)
{
	*ret = (struct om_proto_touched){
		.id = om_be64_get(d->p), .count = om_be32_get(d->p + 8), .uri = {d->p + TOUCHED_HDR, d->len - TOUCHED_HDR}};
}

void om_proto_touched_decode(const struct om_proto_str *data, struct om_proto_touched *ret) { get_TOUCHED(data, ret); }

static void put_STR(struct om_proto_wr *wr, uint16_t tag, const struct om_proto_str *v)
{
	om_proto_tlv_put(wr, tag, v->p, v->len);
}
static void put_U8(struct om_proto_wr *wr, uint16_t tag, const uint8_t *v) { om_proto_tlv_put(wr, tag, v, 1); }

static void put_U16(struct om_proto_wr *wr, uint16_t tag, const uint16_t *v)
{
	uint8_t b[2];

	om_be16_put(b, *v);
	om_proto_tlv_put(wr, tag, b, sizeof(b));
}

static void put_U32(struct om_proto_wr *wr, uint16_t tag, const uint32_t *v)
{
	uint8_t b[4];

	om_be32_put(b, *v);
	om_proto_tlv_put(wr, tag, b, sizeof(b));
}

static void put_U64(struct om_proto_wr *wr, uint16_t tag, const uint64_t *v)
{
	uint8_t b[8];

	om_be64_put(b, *v);
	om_proto_tlv_put(wr, tag, b, sizeof(b));
}

static void put_OBJ(struct om_proto_wr *wr, uint16_t tag, const struct om_proto_obj *v)
{
	uint8_t b[OM_PROTO_OBJ_LEN];

	om_proto_obj_put(b, v);
	om_proto_tlv_put(wr, tag, b, sizeof(b));
}

static void put_COND(struct om_proto_wr *wr, uint16_t tag, const struct om_proto_cond *v)
{
	uint8_t b[COND_LEN];

	b[0] = v->kind;
	om_be64_put(b + 1, v->id);
	om_be32_put(b + 9, v->rev);
	om_proto_tlv_put(wr, tag, b, sizeof(b));
}

static void put_RANGE(struct om_proto_wr *wr, uint16_t tag, const struct om_proto_range *v)
{
	uint8_t b[RANGE_LEN];

	om_be64_put(b, v->off);
	om_be64_put(b + 8, v->len);
	om_proto_tlv_put(wr, tag, b, sizeof(b));
}

static void put_HEAT(struct om_proto_wr *wr, uint16_t tag, const struct om_proto_heat *v)
{
	uint8_t b[HEAT_LEN];

	om_be32_put(b, v->heat_millionths);
	om_be32_put(b + 4, v->access_count);
	om_be64_put(b + 8, v->last_access_s);
	om_proto_tlv_put(wr, tag, b, sizeof(b));
}

static void put_LIMITS(struct om_proto_wr *wr, uint16_t tag, const struct om_proto_limits *v)
{
	uint8_t b[LIMITS_LEN];

	om_be32_put(b, v->tlv_max);
	om_be32_put(b + 4, v->sessions_max);
	om_be32_put(b + 8, v->page_max);
	om_be16_put(b + 12, v->uris_max);
	b[14] = v->max_fds;
	b[15] = v->durability;
	om_be64_put(b + 16, v->inline_max);
	om_proto_tlv_put(wr, tag, b, sizeof(b));
}

static void put_POSITION(struct om_proto_wr *wr, uint16_t tag, const struct om_proto_position *v)
{
	uint8_t b[POSITION_LEN];

	om_be64_put(b, v->epoch);
	om_be64_put(b + 8, v->pos);
	om_proto_tlv_put(wr, tag, b, sizeof(b));
}

static void put_CHANGE(struct om_proto_wr *wr, uint16_t tag, const struct om_proto_changed *v)
{
	uint8_t b[CHANGE_LEN];

	b[0] = v->kind;
	om_be64_put(b + 1, v->at.epoch);
	om_be64_put(b + 9, v->at.pos);
	om_proto_tlv_put(wr, tag, b, sizeof(b));
}

static void put_TOUCHED(struct om_proto_wr *wr, uint16_t tag, const struct om_proto_touched *v)
{
	uint8_t b[TOUCHED_HDR + OM_URI_MAX];

	if (v->uri.len < 1 || v->uri.len > OM_URI_MAX) {
		wr->err = wr->err ? wr->err : -OBJM_STATUS_INVALID_REQUEST;
		return;
	}
	om_be64_put(b, v->id);
	om_be32_put(b + 8, v->count);
	memcpy(b + TOUCHED_HDR, v->uri.p, v->uri.len);
	om_proto_tlv_put(wr, tag, b, TOUCHED_HDR + v->uri.len);
}

/* ---------------------------------------------------------------- bodies */

void om_proto_tlv_put(struct om_proto_wr *wr, uint16_t tag, const void *data, size_t len)
{
	uint8_t *p;

	if (wr->err)
		return;
	/* Tags that we do not know come from tests and newer callers: only what a length field can say bounds them. */
	if (tag < OM_PROTO_TAG_COUNT ? len < tlvs[tag].min || len > tlvs[tag].max : len > UINT16_MAX) {
		wr->err = -OBJM_STATUS_INVALID_REQUEST;
		return;
	}
	p = om_proto_wr_room(wr, OM_PROTO_TLV_HDR + len);
	if (!p)
		return;
	om_be16_put(p, tag);
	om_be16_put(p + 2, (uint16_t)len);
	if (len)
		memcpy(p + OM_PROTO_TLV_HDR, data, len);
}

void om_proto_body_put(struct om_proto_wr *wr, const struct om_proto_body *body)
{
#define PUT_ONE(name, tag, kind, member, min, max) \
	if (body->have & OM_PROTO_BIT(name)) \
		put_##kind(wr, tag, &body->member);
	OM_PROTO_TLV_MAP(PUT_ONE)
#undef PUT_ONE
}

void om_proto_entry_put(struct om_proto_wr *wr, const struct om_proto_body *body)
{
	uint8_t *p = om_proto_wr_room(wr, OM_PROTO_TLV_HDR);
	size_t at = wr->len;

	om_proto_body_put(wr, body);
	if (wr->err)
		return;
	if (wr->len - at > OM_PROTO_ENTRY_MAX) {
		wr->err = -OBJM_STATUS_TOO_LARGE;
		return;
	}
	om_be16_put(p, OM_PROTO_TAG_ENTRY);
	om_be16_put(p + 2, (uint16_t)(wr->len - at));
}

int om_proto_tlv_next(const void *tlv, size_t len, size_t *pos, uint16_t *ret_tag, struct om_proto_str *ret_data)
{
	const uint8_t *p = tlv;
	size_t left;
	uint16_t n;

	if (*pos >= len)
		return 0;
	p += *pos;
	left = len - *pos;
	if (left < OM_PROTO_TLV_HDR)
		return -OBJM_STATUS_INVALID_REQUEST;
	n = om_be16_get(p + 2);
	if (left - OM_PROTO_TLV_HDR < n)
		return -OBJM_STATUS_INVALID_REQUEST;
	*ret_tag = om_be16_get(p);
	*ret_data = (struct om_proto_str){(const char *)p + OM_PROTO_TLV_HDR, n};
	*pos += OM_PROTO_TLV_HDR + n;
	return 1;
}

bool om_proto_body_store(struct om_proto_body *body, uint16_t tag, const struct om_proto_str *data)
{
	if (data->len < tlvs[tag].min || data->len > tlvs[tag].max)
		return false;
	if (tag == OM_PROTO_TAG_URI)
		body->uris++;
	if (body->have & (1ull << tag))
		return true;
	body->have |= 1ull << tag;
	switch (tag) {
#define GET_ONE(name, number, kind, member, min, max) \
	case number: \
		get_##kind(data, &body->member); \
		break;
		OM_PROTO_TLV_MAP(GET_ONE)
#undef GET_ONE
	default:
		break;
	}
	return true;
}

static int lenient_decode(const void *tlv, size_t len, struct om_proto_body *ret_body)
{
	struct om_proto_body body = {0};
	struct om_proto_str data;
	size_t pos = 0;
	uint16_t tag;
	int r;

	while ((r = om_proto_tlv_next(tlv, len, &pos, &tag, &data)) > 0) {
		if (om_proto_tag_known(tag) && !om_proto_body_store(&body, tag, &data))
			return -OBJM_STATUS_PROTO_ERROR;
	}
	if (r < 0)
		return -OBJM_STATUS_PROTO_ERROR;
	*ret_body = body;
	return 0;
}

int om_proto_resp_body_decode(const struct om_proto_ext *ext, struct om_proto_body *ret_body)
{
	return lenient_decode(ext->tlv, ext->tlv_len, ret_body);
}

int om_proto_entry_decode(const struct om_proto_str *entry, struct om_proto_body *ret_body)
{
	const uint64_t needs = OM_PROTO_BIT(OBJ) | OM_PROTO_BIT(URI);
	struct om_proto_body body;

	if (lenient_decode(entry->p, entry->len, &body) < 0 || (body.have & needs) != needs)
		return -OBJM_STATUS_PROTO_ERROR;
	*ret_body = body;
	return 0;
}
