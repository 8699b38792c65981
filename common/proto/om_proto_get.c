/*
 * om_proto_get.c: GET through the extension, the short way: no table, no struct om_proto_body. Runs in workers and
 * in clients.
 *
 * At 64 requests to a batch the long way costs as much as the kernel's part of passing the descriptors. What it does is
 * compared with the long way by tests/unit/proto/test_proto_get.c.
 */
#include "common/proto/om_proto.h"
#include "common/proto/om_proto_be.h"

unsigned om_proto_get_uris(const struct om_proto_ext *ext, struct om_proto_str *ret_uris, unsigned max)
{
	const uint8_t *p = ext->tlv;
	size_t left = ext->tlv_len;
	unsigned n = 0;

	if (ext->op != OM_PROTO_OP_GET || ext->status != OBJM_STATUS_OK || ext->flags || ext->payload_len)
		return 0;
	while (left > 0) {
		uint16_t len;

		if (n == max || left < OM_PROTO_TLV_HDR || om_be16_get(p) != OM_PROTO_TAG_URI)
			return 0;
		len = om_be16_get(p + 2);
		if (len == 0 || len > OM_URI_MAX || left - OM_PROTO_TLV_HDR < len)
			return 0;
		ret_uris[n++] = (struct om_proto_str){ (const char *)p + OM_PROTO_TLV_HDR, len };
		p += OM_PROTO_TLV_HDR + len;
		left -= OM_PROTO_TLV_HDR + (size_t)len;
	}
	return n;
}

/* Names are short: what they cost is the call. */
static inline void copy(uint8_t *to, const char *from, size_t n)
{
	uint64_t a, b;
	uint32_t c, d;

	if (n >= 8 && n <= 16) {
		memcpy(&a, from, 8);
		memcpy(&b, from + n - 8, 8);
		memcpy(to, &a, 8);
		memcpy(to + n - 8, &b, 8);
	} else if (n >= 4 && n < 8) {
		memcpy(&c, from, 4);
		memcpy(&d, from + n - 4, 4);
		memcpy(to, &c, 4);
		memcpy(to + n - 4, &d, 4);
	} else {
		memcpy(to, from, n);
	}
}

void om_proto_uris_put(struct om_proto_wr *wr, const struct om_proto_str *uris, size_t n)
{
	uint8_t *p = wr->err ? NULL : wr->buf + wr->len, *end = wr->buf + wr->cap;
	size_t i;

	for (i = 0; p && i < n; i++) {
		size_t len = uris[i].len;

		if (len == 0 || len > OM_URI_MAX || (size_t)(end - p) < OM_PROTO_TLV_HDR + len)
			break;
		om_be32_put(p, (uint32_t)OM_PROTO_TAG_URI << 16 | (uint32_t)len);
		copy(p + OM_PROTO_TLV_HDR, uris[i].p, len);
		p += OM_PROTO_TLV_HDR + len;
	}
	if (p)
		wr->len = (size_t)(p - wr->buf);
	if (p && i < n)
		om_proto_tlv_put(wr, OM_PROTO_TAG_URI, uris[i].p, uris[i].len); /* says why not */
}

/*
 * The head of an answer in numbers: type, operation, status, descriptors, flags, 0 in the first eight bytes; id and length in the
 * next; no payload; the tag and the length of OBJ.
 */
#define HEAD ((uint64_t)OM_PROTO_T_EXT << 56 | (uint64_t)(OM_PROTO_OP_GET | OM_PROTO_OP_RESPONSE) << 48 | \
	      (uint64_t)OBJM_STATUS_OK << 40 | UINT64_C(1) << 32)
#define HEAD_FLAGS(flags) ((uint64_t)(flags) << 16)
#define HEAD_OBJ ((uint32_t)OM_PROTO_TAG_OBJ << 16 | OM_PROTO_OBJ_LEN)
#define TAIL_INDEX ((uint32_t)OM_PROTO_TAG_INDEX << 16 | 2u)

size_t om_proto_get_answer(uint32_t id, uint16_t flags, int index, const struct om_proto_obj *obj, uint8_t *buf)
{
	uint8_t *p = buf + OM_PROTO_EXT_HDR + OM_PROTO_TLV_HDR;
	size_t len = index < 0 ? OM_PROTO_GET_ANSWER : OM_PROTO_GET_ANSWER_MAX;

	om_be64_put(buf, HEAD | HEAD_FLAGS(flags));
	om_be64_put(buf + 8, (uint64_t)id << 32 | (len - OM_PROTO_EXT_HDR));
	om_be64_put(buf + 16, 0);
	om_be32_put(buf + OM_PROTO_EXT_HDR, HEAD_OBJ);
	om_proto_obj_put(p, obj);
	if (index < 0)
		return len;
	p += OM_PROTO_OBJ_LEN;
	om_be32_put(p, TAIL_INDEX);
	om_be16_put(p + 4, (uint16_t)index);
	return len;
}

size_t om_proto_get_answer_read(const uint8_t *buf, size_t len, uint32_t id, uint16_t *ret_flags, int *ret_index,
				const uint8_t **ret_obj)
{
	const uint8_t *p = buf + OM_PROTO_EXT_HDR + OM_PROTO_TLV_HDR;
	uint64_t head, rest;
	size_t n;

	if (len < OM_PROTO_GET_ANSWER)
		return 0;
	head = om_be64_get(buf);
	rest = om_be64_get(buf + 8);
	if ((head & ~HEAD_FLAGS(OM_PROTO_F_MORE)) != HEAD || rest >> 32 != id || om_be64_get(buf + 16) ||
	    om_be32_get(buf + OM_PROTO_EXT_HDR) != HEAD_OBJ)
		return 0;
	n = OM_PROTO_EXT_HDR + (size_t)(uint32_t)rest;
	if (n != OM_PROTO_GET_ANSWER && (n != OM_PROTO_GET_ANSWER_MAX || len < n))
		return 0;
	if (n == OM_PROTO_GET_ANSWER_MAX) {
		if (om_be32_get(p + OM_PROTO_OBJ_LEN) != TAIL_INDEX)
			return 0;
		*ret_index = om_be16_get(p + OM_PROTO_OBJ_LEN + 4);
	} else {
		*ret_index = -1;
	}
	*ret_flags = head == HEAD ? 0 : OM_PROTO_F_MORE;
	*ret_obj = p;
	return n;
}

void om_proto_obj_decode(const uint8_t *data, struct om_proto_obj *ret_obj) { om_proto_obj_get(data, ret_obj); }
