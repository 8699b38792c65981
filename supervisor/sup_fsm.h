/*
 * sup_fsm.h: the life of a child as a table: every state, every event, what is done and what comes next.
 *
 * Pure: no descriptor, no clock, no process. supervisor/sup_child.c carries the actions out; doc/admin.md shows the
 * states; tests/unit/supervisor/test_fsm.c walks every cell.
 */
#ifndef SUP_FSM_H
#define SUP_FSM_H

#include "common/om_base.h"

/* X(NAME, "name in status", "meaning") */
#define SUP_STATE_MAP(X) \
	X(EMPTY, "empty", "no process and none is wanted") \
	X(BOOTING, "starting", "started, not READY yet; killed after 10 s") \
	X(READY, "ready", "serving") \
	X(DRAINING, "draining", "finishes what it has, then ends by itself; killed after drain_timeout") \
	X(DYING, "dying", "killed, not yet reaped; is replaced") \
	X(ENDING, "ending", "killed, not yet reaped; is not replaced") \
	X(BACKOFF, "waiting", "died; its replacement waits for its time")

enum sup_state {
#define SUP_STATE_ENUM(name, text, meaning) SUP_STATE_##name,
	SUP_STATE_MAP(SUP_STATE_ENUM)
#undef SUP_STATE_ENUM
	SUP_STATE_COUNT
};

enum sup_event {
	SUP_EVENT_START,   /* a child is wanted here */
	SUP_EVENT_READY,   /* the child sent READY */
	SUP_EVENT_EXITED,  /* its process has been reaped */
	SUP_EVENT_FAILED,  /* it could not be started at all */
	SUP_EVENT_TIMEOUT, /* the state's time is up */
	SUP_EVENT_BROKE,   /* it broke a rule, or was silent */
	SUP_EVENT_DRAIN,   /* it is wanted no more */
	SUP_EVENT_STOP,	   /* it is wanted no more, at once */
	SUP_EVENT_COUNT
};

enum sup_action {
	SUP_ACTION_NONE,
	SUP_ACTION_SPAWN,   /* start a process and send BOOT */
	SUP_ACTION_SERVE,   /* it counts as serving from now on */
	SUP_ACTION_DRAIN,   /* send DRAIN, start the drain clock */
	SUP_ACTION_KILL,    /* SIGKILL, wait for the end */
	SUP_ACTION_REPLACE, /* give its things back, start the back-off clock */
	SUP_ACTION_RETIRE,  /* give its things back */
	SUP_ACTION_FORGET,  /* no process, no things: only the clock stops */
	SUP_ACTION_BUG,	    /* cannot happen: our own bug, logged */
	SUP_ACTION_COUNT
};

struct sup_step {
	enum sup_action action;
	enum sup_state next;
};

/** What `event` means in `state`. Both must be in range (OM_ASSERT). */
struct sup_step sup_fsm_step(enum sup_state state, enum sup_event event);

const char *sup_fsm_state_name(enum sup_state state);

/** True if a process of this place exists or will exist again by itself. */
bool sup_fsm_wanted(enum sup_state state);
/** True if there is a process. */
bool sup_fsm_alive(enum sup_state state);

#define SUP_BACKOFF_STEP_MS 100u
#define SUP_BACKOFF_MAX_MS 5000u
#define SUP_GOOD_LIFE_MS 10000u /* a child that lived so long after READY starts the count anew */

/** Wait before the replacement of a child, after `deaths` deaths in a row (1..) without a good life between them: 0 for the
 * first, then 100 ms, doubling up to 5 s. */
uint32_t sup_fsm_backoff_ms(unsigned deaths);

#endif
