/*
 * sup_roll.h: workers and the lifecycle process replaced one after another, while serving.
 *
 * Main thread only. Needed where a running process cannot be brought to what is now: its sandbox knows the tiers of its start
 * (a tier came, or came back), and some of its tables have their size from then. A new process is started first; once it
 * serves, an old one is drained: it takes no connection any more, finishes what it has, and tells its clients to connect again.
 */
#ifndef SUP_ROLL_H
#define SUP_ROLL_H

#include "common/om_base.h"

#define SUP_ROLL_DRAIN_MS 30000u /* what an old worker has under way may take so long: nobody waits for it */

struct sup;

/** Every process that runs now is to be replaced. Again while it is under way: those started meanwhile, too. */
void sup_roll(struct sup *sup);
/** The next step, if there is one: about four times a second. @return true while it is under way */
bool sup_roll_tick(struct sup *sup);

#endif
