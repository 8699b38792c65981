/*
 * om_proto_be.h: big-endian numbers at unaligned addresses. Inside the codec only.
 */
#ifndef OM_PROTO_BE_H
#define OM_PROTO_BE_H

#include <endian.h>

#include "common/om_base.h"

static inline uint16_t om_be16_get(const void *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}
static inline uint32_t om_be32_get(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}
static inline uint64_t om_be64_get(const void *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}
static inline void om_be16_put(void *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
}
static inline void om_be32_put(void *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}
static inline void om_be64_put(void *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

/* Room for `n` bytes in a writer, or NULL after having set its error. */
struct om_proto_wr;
uint8_t *om_proto_wr_room(struct om_proto_wr *wr, size_t n);

/*
 * For om_proto_basic.c: headers of extension frames (om_proto_ext.c). Results as those of the decoders in om_proto.h.
 */
struct om_proto_ext;
int om_proto_ext_req_hdr(uint32_t tlv_max, const uint8_t *buf, size_t len, struct om_proto_ext *ret_ext, size_t *ret_need);
int om_proto_ext_resp_hdr(const uint8_t *buf, size_t len, struct om_proto_ext *ret_ext, size_t *ret_need);

#endif
