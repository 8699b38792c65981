/*
 * om_cpus.h: how many processors there are for us. Linked by all; any thread.
 */
#ifndef OM_CPUS_H
#define OM_CPUS_H

/** Processors that this process may run on (its affinity), 1 or more; where that cannot be told, those that are online. */
unsigned om_cpus(void);

#endif
