/*
 * sup_drain.h: tiers that are being drained take no new objects, over restarts too. What moves the objects off is the lifecycle
 * process, which is told with its BOOT (struct om_boot_tier).
 *
 * Main thread only. Kept in state_dir/draining, a name a line.
 */
#ifndef SUP_DRAIN_H
#define SUP_DRAIN_H

#include "common/om_base.h"

struct sup;

/** At start, once the engine is open. */
void sup_drain_load(struct sup *sup);
/** From now on (`on`: no new objects). A write of a few bytes that fails is logged: then it holds until the end of the daemon. */
void sup_drain_set(struct sup *sup, const char *tier, bool on);

#endif
