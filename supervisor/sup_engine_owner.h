/*
 * sup_engine_owner.h: what users own, and the limits on it (the table: sup_owner_table.h). Publisher, but for what is the main loop's.
 */
#ifndef SUP_ENGINE_OWNER_H
#define SUP_ENGINE_OWNER_H

#include "supervisor/sup_engine_int.h"

/* The limits in force from now on; main loop. */
void sup_owners_conf(struct sup_engine *e, const struct om_conf *conf);
/* Who came over TCP is no user; nor is a number that means something else. */
static inline uint32_t sup_owner_of(uint32_t uid) { return uid == OM_UID_OLD ? OM_UID_NONE : uid; }
/* An idx_cat_owner_cb; arg: struct sup_owned. */
int sup_owned_add(void *arg, const struct idx_cat_owner *owner);
void sup_owned_fini(struct sup_owned *w);
/* From now on the tier holds this; NULL: nothing. */
void sup_owner_tier(struct sup_engine *e, const struct sup_tier *t, const struct sup_owned *owned);
/* May `uid` own `size` bytes more, under a key (NULL: nothing is under way for it) where this stands (NULL: nothing, or it is not known)?
 * What it hits, and the limit. */
enum om_owner_limit sup_owner_fits(struct sup_engine *e, const struct sup_key *key, uint32_t uid, uint64_t size,
				   const struct sup_standing *stands, uint64_t *ret_limit);
/* res->size bytes are promised to `uid`, until the record is committed or the reservation ends. False: no memory. */
bool sup_owner_hold(struct sup_engine *e, struct sup_res *res, uint32_t uid, const struct sup_standing *stands);
void sup_owner_release(struct sup_engine *e, struct sup_res *res);
/* A put session of `uid` reserves so much more; OM_OWNER_OK: it counts until sup_owner_room_end(). */
enum om_owner_limit sup_owner_room(struct sup_engine *e, uint32_t uid, uint64_t more, uint64_t *ret_limit);
void sup_owner_room_end(struct sup_engine *e, uint32_t uid, uint64_t bytes);
/* A stage has been committed; in the order of the tier's commits. */
void sup_owner_stage(struct sup_engine *e, struct sup_op *op);
void sup_owner_move_end(struct sup_engine *e, struct sup_move *m);

#endif
