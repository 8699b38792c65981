/*
 * om_runq.h: how long a thread has waited for a processor while it was ready to run, as the kernel counts it (proc(5), schedstat). Linked
 * by all; any thread. A kernel without such accounts, or a /proc that is not there: no descriptor, and nobody has waited.
 */
#ifndef OM_RUNQ_H
#define OM_RUNQ_H

#include <stdbool.h>
#include <stdint.h>

/** The directory in which om_runq_open() looks, of this process. Before a sandbox narrows what may be opened. A descriptor, or -1 */
int om_runq_dir(void);
/** The calling thread's own account. A descriptor, or -1; any thread of the process may read it. */
int om_runq_open(int dirfd);
/** Nanoseconds that it has waited so far, since it was made; 0: that cannot be told. */
uint64_t om_runq_waited(int fd);

#endif
