/*
 * sup_engine_room.h: accounts, rooms, who waits. Publisher, but for what is the main loop's.
 */
#ifndef SUP_ENGINE_ROOM_H
#define SUP_ENGINE_ROOM_H

#include "supervisor/sup_engine_int.h"

int sup_rooms_new(struct sup_rooms **ret);
void sup_rooms_free(struct sup_rooms *r);
/* What the configuration says of room: at open, and when another is in force. Main loop. */
void sup_rooms_conf(struct sup_engine *e, const struct om_conf *conf);
/* Bytes that `size` bytes take: whole pages. */
uint64_t sup_room_of(uint64_t size);
/* All changes of the index come through these: they keep the accounts. Results as of idxw_put(), idxw_del(), idxw_fill(). */
int sup_index_put(struct sup_engine *e, const struct idx_key *key, const struct idx_ent *ent);
int sup_index_del(struct sup_engine *e, const struct idx_key *key);
/* `have`: what the index says of the key; NULL: nothing. */
int sup_index_fill(struct sup_engine *e, const struct idx_key *key, const struct idx_ent *ent, const struct idx_ent *have);
/* Bytes that the tier's objects, files to be removed and catalog take; promises are not in it. */
uint64_t sup_room_used(const struct sup_engine *e, const struct sup_tier *t);
/* Is there room for `bytes` (of sup_room_of) more, and nobody before us who waits for it? waited: we were that one. */
bool sup_room_fits(const struct sup_engine *e, const struct sup_tier *t, uint64_t bytes, bool waited);
/* May `size` bytes more be pinned on the tier? 0, -LIMIT_EXCEEDED. */
int sup_pin_fits(const struct sup_engine *e, const struct sup_tier *t, uint64_t size);
/* Show what the tier holds, and its state, to the children and to status. */
void sup_pub_rows(struct sup_engine *e, struct sup_tier *t);
void sup_room_take(struct sup_engine *e, struct sup_tier *t, uint64_t bytes);
void sup_room_give(struct sup_engine *e, struct sup_tier *t, uint64_t bytes);
/* Bytes that a session's room has on this tier; 0: none. */
uint64_t sup_room_has(struct sup_engine *e, unsigned place, uint32_t no, const struct sup_tier *t);
void sup_room_end(struct sup_engine *e, unsigned place, uint32_t no);
void sup_room_lost(struct sup_engine *e, unsigned place); /* the child is gone */
/* A request that found no room. */
struct sup_waiter {
	struct sup_waiter *next;
	unsigned place;
	uint32_t serial;
	uint64_t req;
	uint64_t need, due_ns;
	size_t len;
	_Alignas(16) unsigned char msg[];
};
/* Put a message off until there are `need` bytes, or the time is over. False: waiting would not help. */
bool sup_room_wait(struct sup_msg *c, struct sup_tier *t, uint64_t need, const struct om_op_hdr *msg);
/* The next request that waited and has its room now: the caller's, who does it and frees it. Those whose time is over are answered. NULL:
 * there is none. */
struct sup_waiter *sup_room_next(struct sup_engine *e);
/* Asks the lifecycle process for room, for those that still wait and for tiers that have become full. */
void sup_room_turn(struct sup_engine *e);
bool sup_room_waited(const struct sup_engine *e); /* somebody waits */
bool sup_room_take_reserve(struct sup_msg *c, const void *msg, size_t len);
bool sup_room_take_release(struct sup_msg *c, const void *msg, size_t len);

#endif
