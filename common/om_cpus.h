/*
 * om_cpus.h: how many processors there are for us, and the one of them that is for what nobody waits for. Linked by all; any thread.
 */
#ifndef OM_CPUS_H
#define OM_CPUS_H

#include <sched.h>
#include <stdbool.h>

/** Processors that this process may run on (its affinity), 1 or more; where that cannot be told, those that are online. */
unsigned om_cpus(void);

/*
 * While clients are served, what is done for moves is done on one processor, whoever does it: the last of those that we may use. The processes
 * of a daemon inherit their affinity from one another, so they mean the same one without telling each other. (Why: lifecycle/lcy_yield.h.)
 */
struct om_place {
	cpu_set_t any, one; /* those that there were when it was made; the last of them */
	bool two;	    /* there are two or more: else nobody is bound to anything */
};
void om_place_init(struct om_place *p);
/** The calling thread stays on the one, or goes where it likes again. `bound`, the thread's own, says which, so that it costs nothing to
 * say what is so already. Where the kernel refuses (other processors are ours by now; a filter of calls) it runs where the kernel wants. */
void om_place_stay(const struct om_place *p, bool *bound);
void om_place_roam(const struct om_place *p, bool *bound);

#endif
