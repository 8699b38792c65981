/*
 * om_proto_meta.c: metadata entries of version 1 and 2 responses, headers of compressed blocks, and the bounded writer that all
 * of the codec uses.
 *
 * Runs in workers and in clients; called by the other files of the codec, by workers when they answer, and by libobjm.
 */
#include "common/proto/om_proto.h"
#include "common/proto/om_proto_be.h"

#define META_HDR 3u /* type u8 | length u16 */

uint8_t *om_proto_wr_room(struct om_proto_wr *wr, size_t n)
{
	uint8_t *p;

	if (wr->err)
		return NULL;
	if (wr->cap - wr->len < n) {
		wr->err = -OBJM_STATUS_TOO_LARGE;
		return NULL;
	}
	p = wr->buf + wr->len;
	wr->len += n;
	return p;
}

void om_proto_meta_put(struct om_proto_wr *wr, uint8_t type, const void *data, size_t len)
{
	uint8_t *p;

	/* The response's header counts all metadata in 16 bits. */
	if (!wr->err && len > OM_PROTO_META_MAX - META_HDR) {
		wr->err = -OBJM_STATUS_TOO_LARGE;
		return;
	}
	p = om_proto_wr_room(wr, META_HDR + len);
	if (!p)
		return;
	p[0] = type;
	om_be16_put(p + 1, (uint16_t)len);
	if (len)
		memcpy(p + META_HDR, data, len);
}

void om_proto_meta_put_u8(struct om_proto_wr *wr, uint8_t type, uint8_t v)
{
	om_proto_meta_put(wr, type, &v, 1);
}

void om_proto_meta_put_u64(struct om_proto_wr *wr, uint8_t type, uint64_t v)
{
	uint8_t b[8];

	om_be64_put(b, v);
	om_proto_meta_put(wr, type, b, sizeof(b));
}

void om_proto_block_encode(const struct om_proto_block *b, uint8_t *buf)
{
	om_be32_put(buf, b->wire);
	om_be32_put(buf + 4, b->raw);
}

int om_proto_block_decode(const uint8_t *buf, uint64_t left, struct om_proto_block *ret)
{
	struct om_proto_block b = {.wire = om_be32_get(buf), .raw = om_be32_get(buf + 4)};

	if (b.wire == 0 || b.wire > b.raw || b.raw > left || (b.wire < b.raw && b.raw > OM_PROTO_BLOCK_MAX))
		return -OBJM_STATUS_PROTO_ERROR;
	*ret = b;
	return 0;
}

int om_proto_meta_next(const void *meta, size_t len, size_t *pos, struct om_proto_meta *ret_entry)
{
	const uint8_t *p = meta;
	size_t left;
	uint16_t n;

	if (*pos >= len)
		return 0;
	p += *pos;
	left = len - *pos;
	if (left < META_HDR)
		return -OBJM_STATUS_PROTO_ERROR;
	n = om_be16_get(p + 1);
	if (left - META_HDR < n)
		return -OBJM_STATUS_PROTO_ERROR;
	*ret_entry = (struct om_proto_meta){.type = p[0], .len = n, .data = p + META_HDR};
	*pos += META_HDR + n;
	return 1;
}

uint64_t om_proto_meta_num(const struct om_proto_meta *entry)
{
	switch (entry->len) {
	case 1:
		return entry->data[0];
	case 2:
		return om_be16_get(entry->data);
	case 4:
		return om_be32_get(entry->data);
	case 8:
		return om_be64_get(entry->data);
	default:
		return 0;
	}
}
