/*
 * sup_conns.h: admin command connections: the workers are asked who is connected, and their answers put together.
 *
 * Main thread only. One collection at a time; a worker that does not answer within SUP_CONNS_MS is left out.
 */
#ifndef SUP_CONNS_H
#define SUP_CONNS_H

#include "supervisor/sup_child.h"

struct sup;

#define SUP_CONNS_MS 2000u

/** A message of a worker; `arg` is the struct sup. */
void sup_conns_take(void *arg, struct sup_place *place, const struct om_proc_conns *m);
/** Give up waiting for who is too late. */
void sup_conns_tick(struct sup *sup, uint64_t now_ns);

#endif
