/*
 * sup_engine_commit.h: stages go to their committers. Publisher.
 */
#ifndef SUP_ENGINE_COMMIT_H
#define SUP_ENGINE_COMMIT_H

#include "supervisor/sup_engine_int.h"

/* A stage waits for its committer, which looks at it after the next kick, or when it has ended a commit. Publisher. */
void sup_commit_queue(struct sup_tier *t, struct sup_op *op);
/* Wake the committers for which something was queued: before the publisher sleeps, at the latest. Publisher. */
void sup_commit_kick(struct sup_engine *e);
/* A stage goes to its committer (1) or has come back (-1): counted at every tier whose catalog it uses. Publisher. */
void sup_commit_lent(struct sup_op *op, int by);

#endif
