/*
 * om_fault.h: places where a test can make a process die, fail or stall.
 *
 * Compiled in with -Dfaults (default in every build type but release). OBJM_FAULT=point[:action[:nth]] in the environment
 * of objmapperd, inherited by its children:
 *   kill (default)  the process kills itself with SIGKILL
 *   error           the step fails as if the kernel had said EIO
 *   nospace         the step fails as if the kernel had said ENOSPC
 *   stall           the thread sleeps for 10 s (once); get.open: an I/O thread of the worker, never its loop
 * nth: act at the nth time only (default 1). An action happens once in a process, and the supervisor gives the variable
 * to its first children only, not to those that replace them. Points are rows of common/tbl/fault.def;
 * `objmapperd --list-faults` prints them.
 */
#ifndef OM_FAULT_H
#define OM_FAULT_H

#include "common/om_base.h"

enum om_fault {
#define OM_FAULT_POINT(name, text, where) OM_FAULT_##name,
#include "common/tbl/fault.def"
#undef OM_FAULT_POINT
	OM_FAULT_COUNT
};

struct om_fault_info {
	const char *text; /* "put.linked" */
	const char *where;
};
extern const struct om_fault_info om_fault_table[OM_FAULT_COUNT];

/** Read OBJM_FAULT once, at start, before threads. 0; -INVALID_REQUEST: no such point or action (say so and end). */
int om_fault_init(void) OM_MUST_USE;

#if OM_FAULTS
/** 0: go on. A positive errno: behave as if the step had failed with it. May not return. Any thread. */
int om_fault(enum om_fault point);
/** True while `point` is armed to stall: a caller that must not sleep hands the step to a thread that may. Any thread. */
bool om_fault_stalls(enum om_fault point);
#else
static inline int om_fault(enum om_fault point)
{
	(void)point;
	return 0;
}
static inline bool om_fault_stalls(enum om_fault point)
{
	(void)point;
	return false;
}
#endif

#endif
