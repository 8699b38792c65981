/*
 * sup_engine_job.h: what the catalog readers have to do. Any thread.
 */
#ifndef SUP_ENGINE_JOB_H
#define SUP_ENGINE_JOB_H

#include "supervisor/sup_engine_int.h"

void sup_job_queue(struct sup_engine *e, struct sup_job *job);
struct sup_job *sup_job_take(struct sup_engine *e); /* waits for one; NULL: stop */

#endif
