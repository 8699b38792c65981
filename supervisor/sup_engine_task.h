/*
 * sup_engine_task.h: tasks of the lifecycle process. Publisher.
 */
#ifndef SUP_ENGINE_TASK_H
#define SUP_ENGINE_TASK_H

#include "supervisor/sup_engine_int.h"

/* Give a TASK to the lifecycle process (takes the job); that process died; it answered (TASKED). */
void sup_task_send(struct sup_engine *e, struct sup_job *job);
void sup_task_lost(struct sup_engine *e);
bool sup_task_take(struct sup_msg *c, const void *msg, size_t len);

#endif
