/*
 * wrk_write.h: what changes the store on a client's behalf: PUT_*, DELETE, and writes of existing clients.
 *
 * Linked by objmapper-worker only; loop thread only. The work is done by wrk_put.h, wrk_legacy.h and the supervisor; here
 * requests become their calls, and their callbacks answers.
 */
#ifndef WRK_WRITE_H
#define WRK_WRITE_H

#include "worker/wrk_req.h"

/* Handlers of operations. `body` is decoded and belongs to the input buffer; each ends the request, now or later. */
void wrk_write_put_begin(struct wrk_req *r, const struct om_proto_body *body);
void wrk_write_put_commit(struct wrk_req *r, const struct om_proto_body *body);
void wrk_write_put_abort(struct wrk_req *r, const struct om_proto_body *body);
/** The payload follows: r->conn->payload becomes `r` unless the PUT was refused. */
void wrk_write_put_inline(struct wrk_req *r, const struct om_proto_body *body, uint64_t payload_len);
void wrk_write_delete(struct wrk_req *r, const struct om_proto_body *body);

/** Bytes of c->payload_left: feed them, or throw them away. @return bytes used (all that are due) */
size_t wrk_write_payload(struct wrk_conn *c, const uint8_t *buf, size_t len);
/** The peer sends no more, and a payload is not complete: refuse its request. Fine when there is none. */
void wrk_write_payload_cut(struct wrk_conn *c);

/**
 * A request on the legacy socket by one who may write. @return true: taken (delete, list: answered now or later);
 * false: an ordinary GET
 */
bool wrk_write_legacy(struct wrk_req *r);
/**
 * A GET found nothing. @return true: there a miss has another meaning, and the request is ended, now or later: "/deletefoo"
 * deletes foo, fdpass begins to write; false: it is a miss
 */
bool wrk_write_legacy_missed(struct wrk_req *r);

#endif
