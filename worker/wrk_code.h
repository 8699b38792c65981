/*
 * wrk_code.h: compressed answers: bytes of objects as blocks, zstd where it pays.
 *
 * Linked by objmapper-worker only. Only peers on TCP that negotiated it get any (doc/protocol.md, 4.6). Whether an answer is
 * compressed is decided before it begins, by a sample of its bytes, so that what does not shrink goes out as ever. All work is
 * done on I/O threads, in a class of its own that leaves threads to everybody else (wrk_io.h); a connection has one block under
 * way, which is made when its socket takes bytes: a peer that does not read makes nothing. Where too much waits already, answers
 * and blocks go out as they are.
 */
#ifndef WRK_CODE_H
#define WRK_CODE_H

#include "worker/wrk_req.h"

#define WRK_CODE_MIN 8192u   /* bytes: shorter answers are never compressed */
#define WRK_CODE_BUSY 128u    /* blocks and samples that wait or are being made, of a worker: no further ones */

/** Loop. What may be granted to the peer of `c` that asks for `caps`: 0 or OM_PROTO_CAP_COMPRESSION. */
uint16_t wrk_code_caps(const struct wrk_conn *c, uint16_t caps);

/** Loop. True: an answer of `len` bytes to this request may be compressed, if the bytes are worth it: wrk_code_sample(). */
bool wrk_code_may(const struct wrk_req *r, uint64_t len);

/**
 * Loop. Look at a sample of the answer, `len` bytes from r->range.off, on an I/O thread (r->job, which is free), then answer with
 * wrk_answer_bytes(), r->coding as it was found. Takes over `fd` if true. @return false: not now, nothing was done
 */
bool wrk_code_sample(struct wrk_req *r, int fd, uint64_t len);

/** Loop. The level for the next block of a connection; 0: as it is. */
int wrk_code_level(const struct wrk *w);

/**
 * I/O thread. One block.
 *
 * @param level  0: as it is
 * @param n      1..OM_PROTO_BLOCK_MAX bytes at `raw`
 * @param ret    room for OM_PROTO_BLOCK_HDR + n bytes: header and bytes
 * @return bytes at `ret`
 */
size_t wrk_code_block(int level, const uint8_t *raw, size_t n, uint8_t *ret);

#endif
