/*
 * wrk_answer.h: answers, in the words of the version that the peer speaks.
 *
 * Linked by objmapper-worker only; loop thread only. Each call queues one answer in the connection's output and ends the
 * request (a group: when its last part was answered). On a request whose connection is gone it only ends the request,
 * and gives descriptors back. If memory is short the connection is closed: no request is ever left without answer or end.
 */
#ifndef WRK_ANSWER_H
#define WRK_ANSWER_H

#include "worker/wrk_req.h"

/** An error. `status` negative; `text` NULL: that of the status. Codes of the extension are mapped for older peers. */
void wrk_answer_error(struct wrk_req *r, int status, const char *text);

/** Its answer comes later: wrk_req_wait(). @return false: out of memory, and answered so */
bool wrk_answer_later(struct wrk_req *r);

/** A GET with a descriptor: r->ent says of what. Takes over what `fd` says it owns. */
void wrk_answer_fd(struct wrk_req *r, const struct wrk_out_fd *fd);

/** A GET with `len` bytes from `off`, coded as r->coding says: takes over `fd`, a description of the answer's own. */
void wrk_answer_bytes(struct wrk_req *r, int fd, uint64_t off, uint64_t len);

/** A GET of mode 4: a small head inline, the rest as segments of `fd`, a description of the answer's own, which is taken over. */
void wrk_answer_seg(struct wrk_req *r, int fd);

/** The same, when the `len` bytes (at least 1) are there: `data` is copied. */
void wrk_answer_data(struct wrk_req *r, const void *data, uint64_t off, size_t len);

/** Extension: an answer made of TLVs (`body` may be NULL) and at most one descriptor (NULL: none; taken over). */
void wrk_answer_body(struct wrk_req *r, struct om_proto_body *body, const struct wrk_out_fd *fd);

/** Extension: `len` bytes of TLVs that are ready; `more`: the request goes on (it is not ended). */
void wrk_answer_tlvs(struct wrk_req *r, const void *tlv, size_t len, bool more);

/** Fill OBJ, and with `names` TIER_NAME and HOME_NAME, from r->ent. */
void wrk_answer_obj(const struct wrk_req *r, struct om_proto_body *body, bool names);

#endif
