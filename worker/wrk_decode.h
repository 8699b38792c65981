/*
 * wrk_decode.h: from bytes to messages, in batches, so that the index's cache misses of a batch overlap.
 *
 * Linked by objmapper-worker only; loop thread only.
 */
#ifndef WRK_DECODE_H
#define WRK_DECODE_H

#include "worker/wrk_conn.h"

/* A decoded message; pointers are into the input buffer. */
struct wrk_req_item {
	struct om_proto_in in;
	struct om_proto_body body; /* extension frames */
	int body_rc;		   /* what om_proto_req_body_decode() said */
	bool keyed;		   /* `key` is that of the one URI */
	bool ordered;		   /* its answer must not overtake earlier ones */
	bool light;		   /* may be begun before earlier ones are answered: see wrk_conn.h */
	struct idx_key key;
	size_t start, end; /* in the input */
};

/**
 * Take messages off `buf` and begin them, until `hold` says stop, half a message is left (c->in_need: bytes that it has at
 * least), or the connection is not open any more. Payload and bytes to skip are taken here too.
 * @return bytes used
 */
size_t wrk_decode(struct wrk_conn *c, const uint8_t *buf, size_t len, bool (*hold)(const struct wrk_conn *c));

#endif
