/*
 * om_proto_int.h: what the files of the codec share. Others include om_proto.h.
 */
#ifndef OM_PROTO_INT_H
#define OM_PROTO_INT_H

#include "common/proto/om_proto.h"

/** True for tag numbers that have a row. */
static inline bool om_proto_tag_known(uint16_t tag) { return tag > 0 && tag < OM_PROTO_TAG_COUNT; }

/** Bytes that the data of a known tag may have. */
void om_proto_tag_lengths(uint16_t tag, uint32_t *ret_min, uint32_t *ret_max);

/** Store one TLV of a known tag: true; false when its length is not one of the tag's. The first of several stays. */
bool om_proto_body_store(struct om_proto_body *body, uint16_t tag, const struct om_proto_str *data);

#endif
