/*
 * wrk_answer_int.h: what wrk_answer.c and wrk_answer_seg.c share. Nobody else includes it.
 */
#ifndef WRK_ANSWER_INT_H
#define WRK_ANSWER_INT_H

#include "worker/wrk_answer.h"

/** The answer cannot be queued: the connection is closed, which ends all of its requests, this one too. */
void wrk_answer_lost(struct wrk_req *r);
void wrk_answer_count(const struct wrk_req *r, int status);
/** Metadata of an object for versions 1 and 2; at most WRK_ANSWER_META_MAX bytes. */
void wrk_answer_meta(const struct wrk_req *r, struct om_proto_wr *wr);
#define WRK_ANSWER_META_MAX 192u

#endif
