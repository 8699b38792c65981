/*
 * sup_child_int.h: the inside of sup_child.h, shared by sup_child.c (processes and their states) and sup_child_ctl.c (their control
 * sockets) and by nobody else. Main thread only; a place and all that it has belongs to sup_child.c.
 */
#ifndef SUP_CHILD_INT_H
#define SUP_CHILD_INT_H

#include "supervisor/sup_child.h"

/* sup_child.c */
/**
 * Something happened to this place: its next state, and what has to be done. May come back in here: an action that fails is an event.
 * @param why  static text, for the log; used where the child is killed for it. NULL: nobody's fault
 */
void sup_child_event(struct sup_place *p, enum sup_event ev, const char *why);

/* sup_child_ctl.c. A child that does not take what it is told is killed: the event has happened when the call returns. */
/** Tell the lifecycle process of a worker's access log, or that it is gone. */
void sup_child_tell_alog(struct sup_children *c, const struct sup_place *worker, bool gone);
/** A new segment of the index; the descriptors are borrowed. The child must confirm it within SUP_CHILD_ACK_MS. */
void sup_child_announce(struct sup_place *p, const struct sup_post_index *ix);
/** Finish what is under way, for at most `ms`, and end. */
void sup_child_tell_drain(struct sup_place *p, uint32_t ms);
/** A sup_ev_fn: the control socket is readable; ev->arg: the place. */
void sup_child_on_ctl(struct sup_ev *ev, uint32_t events);

#endif
