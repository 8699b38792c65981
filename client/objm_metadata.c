/*
 * objm_metadata.c: metadata entries of versions 1 and 2, for programs: reading and writing them. No state; any thread.
 */
#include "client/objm_priv.h"

bool objm_metadata_next(const void *metadata, size_t len, size_t *pos, uint8_t *ret_type, const void **ret_data,
			size_t *ret_len)
{
	struct om_proto_meta m;

	if (!metadata || om_proto_meta_next(metadata, len, pos, &m) <= 0)
		return false;
	*ret_type = m.type;
	*ret_data = m.data;
	*ret_len = m.len;
	return true;
}

/* Bytes of a number entry; 0: the type is none. */
static size_t number_width(uint8_t type)
{
	switch (type) {
	case OM_PROTO_META_SIZE:
	case OM_PROTO_META_MTIME:
		return 8;
	case OM_PROTO_META_LATENCY_US:
		return 4;
	case OM_PROTO_META_BACKEND:
		return 1;
	default:
		return 0;
	}
}

bool objm_metadata_number(const void *metadata, size_t len, uint8_t type, uint64_t *ret_value)
{
	struct om_proto_meta m;
	size_t pos = 0;

	while (metadata && om_proto_meta_next(metadata, len, &pos, &m) > 0) {
		if (m.type != type || m.len == 0 || m.len != number_width(type))
			continue;
		*ret_value = om_proto_meta_num(&m);
		return true;
	}
	return false;
}

int objm_metadata_put(void *metadata, size_t cap, size_t *len, uint8_t type, const void *data, size_t data_len)
{
	struct om_proto_wr wr;

	om_proto_wr_init(&wr, metadata, OM_MIN(cap, (size_t)OM_PROTO_META_MAX));
	wr.len = *len;
	if (wr.len > wr.cap)
		return -OBJM_STATUS_TOO_LARGE;
	om_proto_meta_put(&wr, type, data, data_len);
	if (wr.err)
		return wr.err;
	*len = wr.len;
	return 0;
}

int objm_metadata_put_number(void *metadata, size_t cap, size_t *len, uint8_t type, uint64_t value)
{
	size_t width = number_width(type), i;
	uint8_t b[8];

	if (width == 0)
		return -OBJM_STATUS_INVALID_REQUEST;
	for (i = 0; i < width; i++)
		b[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
	return objm_metadata_put(metadata, cap, len, type, b, width);
}
