/* lcy_mover.h: between lcy_move.c, lcy_mover.c and lcy_work.c; nobody else includes it. */
#ifndef LCY_MOVER_H
#define LCY_MOVER_H

#include "common/om_fault.h"
#include "lifecycle/lcy_move.h"

/** A thread's whole life; arg: struct lcy_mover. */
void *lcy_mover_main(void *arg);
enum lcy_work { LCY_WORK_NAMES, LCY_WORK_COPY, LCY_WORK_SYNC, LCY_WORK_VERIFY };

/* What a thread does next. All but names: for one tier. */
struct lcy_batch {
	enum lcy_work work;
	struct lcy_job *job[LCY_BATCH_FILES];
	unsigned n;	/* lcy_work_done(): those that go on to the next step */
	unsigned taken; /* lcy_work_take()'s n */
	uint8_t tier;	/* the target of all */
	bool large;	/* COPY: one, of LCY_COPY_DIRECT or more */
};
/** Waits for work. False: the end. */
bool lcy_work_take(struct lcy_mover *t, struct lcy_batch *b);
/** The step is done; the jobs that are still in the batch go on. */
void lcy_work_done(struct lcy_mover *t, struct lcy_batch *b);

/** To the end of a queue; under its lock. */
void lcy_jobs_add(struct lcy_jobs *q, struct lcy_job *job);
/** Hand a job back to the loop. Any thread that holds it. */
void lcy_job_end(struct lcy_moves *m, struct lcy_job *job, int status);
/** MOVE_BEGIN, MOVE_COMMIT, MOVE_ABORT or DROP of the job. The stage is set before: the answer may be here at once. */
int lcy_job_send(struct lcy_moves *m, struct lcy_job *job, uint16_t type) OM_MUST_USE;
/** And now the supervisor should look at what was sent. */
static inline void lcy_job_kick(struct lcy_moves *m)
{
	if (m->conf.kick)
		m->conf.kick(m->conf.arg);
}

#endif
