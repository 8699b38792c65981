/*
 * wrk_decode.h: from bytes to messages, in batches, so that the index's cache misses of a batch overlap.
 *
 * Linked by objmapper-worker only; loop thread only.
 */
#ifndef WRK_DECODE_H
#define WRK_DECODE_H

#include "worker/wrk_conn.h"

#define WRK_DECODE_BATCH 64u /* messages decoded at once */

/* A decoded message; pointers are into the input buffer. */
struct wrk_req_item {
	struct om_proto_in in;
	unsigned plain;		 /* extension: a GET of that many URIs and nothing else (om_proto_get_uris()); else 0 */
	struct om_proto_str uri; /* plain: the first of them */
	bool found;		 /* plain, of one: `ent`, `slot` and `gen` say of what (wrk_hot.h) */
	struct wrk_fde *fde;	 /* found, and its descriptor is in the cache: a reference; else NULL */
	struct idx_ent ent;
	uint32_t slot;
	uint64_t gen;		 /* loaded before the look-up */
	const uint8_t *done;	 /* plain, of several: those answered already are not 0; NULL: none */
	bool keyed;		   /* `key` is that of the one URI */
	bool ordered;		   /* its answer must not overtake earlier ones */
	bool light;		   /* may be begun before earlier ones are answered: see wrk_conn.h */
	struct idx_key key;
	size_t start, end; /* in the input */
	struct om_proto_body body; /* extension frames, when they are begun the long way */
	int body_rc;		   /* what om_proto_req_body_decode() said */
};

/**
 * Take messages off `buf` and begin them, until `hold` says stop, half a message is left (c->in_need: bytes that it has at
 * least), or the connection is not open any more. Payload and bytes to skip are taken here too.
 * @return bytes used
 */
size_t wrk_decode(struct wrk_conn *c, const uint8_t *buf, size_t len, bool (*hold)(const struct wrk_conn *c));

#endif
