/* lcy_mover.h: between lcy_move.c and lcy_mover.c; nobody else includes it. */
#ifndef LCY_MOVER_H
#define LCY_MOVER_H

#include "common/om_fault.h"
#include "lifecycle/lcy_move.h"

/** A thread's whole life; arg: struct lcy_mover. */
void *lcy_mover_main(void *arg);
/** To the end of a queue; under its lock. */
void lcy_jobs_add(struct lcy_jobs *q, struct lcy_job *job);
/** Hand a job back to the loop. Any thread that holds it. */
void lcy_job_end(struct lcy_moves *m, struct lcy_job *job, int status);
/** MOVE_BEGIN, MOVE_COMMIT, MOVE_ABORT or DROP of the job. The stage is set before: the answer may be here at once. */
int lcy_job_send(struct lcy_moves *m, struct lcy_job *job, uint16_t type) OM_MUST_USE;

#endif
