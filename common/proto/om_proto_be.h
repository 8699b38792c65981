/*
 * om_proto_be.h: big-endian numbers at unaligned addresses. Inside the codec only.
 */
#ifndef OM_PROTO_BE_H
#define OM_PROTO_BE_H

#include <endian.h>

#include "common/om_base.h"
#include "common/proto/om_proto.h"

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

/* The 64 bytes of OBJ. */
#define OM_PROTO_OBJ_LEN 64u
static inline void om_proto_obj_put(uint8_t *b, const struct om_proto_obj *v)
{
	om_be64_put(b, v->id);
	om_be32_put(b + 8, v->rev);
	om_be32_put(b + 12, v->flags);
	om_be64_put(b + 16, v->size);
	om_be64_put(b + 24, v->mtime_ns);
	om_be64_put(b + 32, v->expiry_s);
	b[40] = v->tier;
	b[41] = v->home;
	om_be16_put(b + 42, 0);
	om_be32_put(b + 44, v->bucket);
	om_be64_put(b + 48, v->gen);
	om_be64_put(b + 56, 0);
}

static inline void om_proto_obj_get(const uint8_t *p, struct om_proto_obj *ret)
{
	*ret = (struct om_proto_obj){.id = om_be64_get(p),
				     .rev = om_be32_get(p + 8),
				     .flags = om_be32_get(p + 12),
				     .size = om_be64_get(p + 16),
				     .mtime_ns = om_be64_get(p + 24),
				     .expiry_s = om_be64_get(p + 32),
				     .tier = p[40],
				     .home = p[41],
				     .bucket = om_be32_get(p + 44),
				     .gen = om_be64_get(p + 48)};
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
