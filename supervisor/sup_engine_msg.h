/*
 * sup_engine_msg.h: ring messages of children. Publisher. False: the child broke a rule.
 */
#ifndef SUP_ENGINE_MSG_H
#define SUP_ENGINE_MSG_H

#include "supervisor/sup_engine_int.h"

/* A message that waited for room: once more, now that there is. */
void sup_msg_again(struct sup_engine *e, unsigned place, const void *msg, size_t len);
bool sup_msg_take(struct sup_engine *e, unsigned place, const void *msg, size_t len, const char **ret_why);
/* A reader has resolved the precondition of a PREPARE or DELETE while the index was being filled. */
void sup_msg_resolved(struct sup_engine *e, struct sup_job *job);

#endif
