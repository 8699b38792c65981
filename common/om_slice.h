/*
 * om_slice.h: how long a thread's turns on a processor are. Linked by supervisor and worker; any thread, for itself.
 */
#ifndef OM_SLICE_H
#define OM_SLICE_H

#include "common/om_base.h"

#define OM_SLICE_LONG_US 100000u /* the longest that the kernel takes */

/**
 * Ask for turns of `us` microseconds (100 to 100,000; 0: what the kernel gives to all). It takes no share of the processor from
 * anybody and gives none: a thread of long turns is one that lets those who wake up and have shorter ones go first at once, instead
 * of at the end of its turn, and makes up for it later.
 *
 * Linux 6.12 and later (no privilege is needed); older ones do not listen, and nothing is said about it.
 */
void om_slice(uint32_t us);

#endif
