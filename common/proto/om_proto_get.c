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

size_t om_proto_get_answer(uint32_t id, uint16_t flags, int index, const struct om_proto_obj *obj, uint8_t *buf)
{
	uint8_t *p = buf + OM_PROTO_EXT_HDR + OM_PROTO_TLV_HDR;
	size_t len = index < 0 ? OM_PROTO_GET_ANSWER : OM_PROTO_GET_ANSWER_MAX;

	buf[0] = OM_PROTO_T_EXT;
	buf[1] = OM_PROTO_OP_GET | OM_PROTO_OP_RESPONSE;
	buf[2] = OBJM_STATUS_OK;
	buf[3] = 1; /* descriptors */
	om_be16_put(buf + 4, flags);
	om_be16_put(buf + 6, 0);
	om_be32_put(buf + 8, id);
	om_be32_put(buf + 12, (uint32_t)(len - OM_PROTO_EXT_HDR));
	om_be64_put(buf + 16, 0);
	om_be16_put(buf + OM_PROTO_EXT_HDR, OM_PROTO_TAG_OBJ);
	om_be16_put(buf + OM_PROTO_EXT_HDR + 2, OM_PROTO_OBJ_LEN);
	om_proto_obj_put(p, obj);
	if (index < 0)
		return len;
	p += OM_PROTO_OBJ_LEN;
	om_be16_put(p, OM_PROTO_TAG_INDEX);
	om_be16_put(p + 2, 2);
	om_be16_put(p + 4, (uint16_t)index);
	return len;
}

size_t om_proto_get_answer_read(const uint8_t *buf, size_t len, uint32_t id, uint16_t *ret_flags, int *ret_index,
				const uint8_t **ret_obj)
{
	static const uint8_t begin[4] = { OM_PROTO_T_EXT, OM_PROTO_OP_GET | OM_PROTO_OP_RESPONSE, OBJM_STATUS_OK, 1 };
	const uint8_t *p = buf + OM_PROTO_EXT_HDR + OM_PROTO_TLV_HDR;
	uint16_t flags;
	size_t n;

	if (len < OM_PROTO_GET_ANSWER || memcmp(buf, begin, sizeof(begin)) != 0 || om_be16_get(buf + 6) ||
	    om_be32_get(buf + 8) != id || om_be64_get(buf + 16) || om_be16_get(buf + OM_PROTO_EXT_HDR) != OM_PROTO_TAG_OBJ ||
	    om_be16_get(buf + OM_PROTO_EXT_HDR + 2) != OM_PROTO_OBJ_LEN)
		return 0;
	flags = om_be16_get(buf + 4);
	n = OM_PROTO_EXT_HDR + (size_t)om_be32_get(buf + 12);
	if ((flags & ~OM_PROTO_F_MORE) || (n != OM_PROTO_GET_ANSWER && (n != OM_PROTO_GET_ANSWER_MAX || len < n)))
		return 0;
	if (n == OM_PROTO_GET_ANSWER_MAX) {
		if (om_be16_get(p + OM_PROTO_OBJ_LEN) != OM_PROTO_TAG_INDEX || om_be16_get(p + OM_PROTO_OBJ_LEN + 2) != 2)
			return 0;
		*ret_index = om_be16_get(p + OM_PROTO_OBJ_LEN + 4);
	} else {
		*ret_index = -1;
	}
	*ret_flags = flags;
	*ret_obj = p;
	return n;
}

void om_proto_obj_decode(const uint8_t *data, struct om_proto_obj *ret_obj) { om_proto_obj_get(data, ret_obj); }
