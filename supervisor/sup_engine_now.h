/*
 * sup_engine_now.h: what the index and the tiers say now. Publisher; readers too, where it is said.
 */
#ifndef SUP_ENGINE_NOW_H
#define SUP_ENGINE_NOW_H

#include "supervisor/sup_engine_int.h"

/* What the index says of a key, expired objects left out: 0, -NOT_FOUND. */
int sup_pub_current(const struct sup_engine *e, const struct idx_key *key, struct idx_ent *ret);
/* True if a tier that may hold anything is absent or being rebuilt: a miss proves nothing. */
bool sup_pub_blind(const struct sup_engine *e);
/* A tier by the number in a message; NULL: there is none of that number. */
struct sup_tier *sup_msg_tier(struct sup_engine *e, uint8_t no);
/* May a tier take a new object with these flags now? `begun`: its bytes lie there already. 0 or a status. */
int sup_msg_tier_fit(const struct sup_tier *t, uint32_t flags, bool begun);

#endif
