/*
 * lcy_task.h: what the lifecycle process answers an administrator: the members of its JSON texts (msg_ring_lifecycle.h, TASK, TASKED).
 *
 * With a status other than 0 there is one member, "text": why. In TOP, MIGRATE, PROMOTE and DEMOTE the supervisor puts the names of tiers for their numbers; members are
 * added in later versions, never changed.
 *
 * STATUS   {"paused": bool, "cycle": n so far, "next_cycle_ms": n, "scanning": bool, "scan_ms": of the last whole one, "objects": seen by it,
 *	     "jobs": moves and drops under way, "waiting": found and not begun, "budget": moves this cycle may still begin,
 *	     "bandwidth": bytes a second or 0, "moved_up", "moved_down", "cached", "dropped", "expired", "failed", "refused": since the
 *	     process began, "moved_bytes",
 *	     "policy": {"active": bool, "leader": which policy decides (lcy_blend.h), "objects_let_in": bytes' worth in 4 KiB, "half_life", "margin", "waiting": copies to be made} or null,
 *	     "yield": {"active": moves give way now, "why": "serving", "room" (a put waits for it), "idle" or "off", "share": of one thread's time or
 *			null, "rested_ms": since the process began},
 *	     "scrub": what SCRUB answers,
 *	     "heat": {"saved_s": age of the file in seconds or null},
 *	     "tiers": [{"tier": number, "name", "used", "capacity", "objects", "inbound", "outbound": bytes under way, "need": bytes that must go,
 *			"fails": in a row, "dead": bool, "drain": bool}],
 *	     "drains": [{"tier", "name", "objects_left", "bytes_left", "moved", "moved_bytes", "stuck": objects that can go nowhere as of the last look,
 *	                 "looks": how many there were, "done": bool, "objects_per_s", "bytes_per_s": in the last minute, or null,
 *	                 "left_s": seconds at that pace, or null, "yields": moves give way to clients now}]}
 * TOP      {"objects": [{"uri", "id", "size", "tier", "home", "heat", "accesses", "last_access": seconds since 1970}], hottest first}
 * EXPLAIN  {"id", "size", "tier", "home", "heat", "accesses", "last_access", "pinned", "ephemeral", "evictable", "expires": or 0,
 *	     "copy": bool, "why": a sentence, "next": a sentence, "working": a sentence or null,
 *	     "damaged": what a scrub found wrong with its home, or null}
 * MIGRATE, PROMOTE, DEMOTE
 *	    {"state": "done"|"under way"|"there", "from", "to", "kind": "home"|"copy"|"drop", "id", "size"}
 * DRAIN    one of "drains" above
 * PAUSE, RESUME  {"paused": bool}
 * SCRUB    {"days": lifecycle.scrub_days, "bad": objects in the list of those that were found bad,
 *	     "tiers": [{"name", "now": it does not wait, "done": 0..1 of this pass, "objects", "bytes": read in it, "damaged", "unreadable",
 *	                "no_sum": have no checksum, "began": seconds since 1970, "last_ended", "last_objects", "last_bad": of the pass before, or null}]}
 */
#ifndef LCY_TASK_H
#define LCY_TASK_H

#include <jansson.h>

#include "lifecycle/lcy.h"

/** The slot of a URI. @return 0; NOT_FOUND; UNAVAILABLE: the index is not complete */
int lcy_task_find(struct lcy *l, const char *uri, size_t len, uint32_t *ret_slot, struct idx_ent *ret_ent) OM_MUST_USE;

/* lcy_tell.c */
json_t *lcy_tell_status(struct lcy *l);
json_t *lcy_tell_drain(const struct lcy *l, unsigned tier);
json_t *lcy_tell_scrub(const struct lcy *l);
json_t *lcy_tell_explain(struct lcy *l, uint32_t slot, const struct idx_ent *ent);

/* lcy_drain.c */
/** Begin or end to move everything off a tier. */
void lcy_drain_set(struct lcy *l, unsigned tier, bool on);
/** At start: go on with what BOOT says is being drained. */
void lcy_drain_resume(struct lcy *l);
/** Each turn: how far drains are is noted now and then. */
void lcy_drain_turn(struct lcy *l);
/** What a drain has moved in a second, over the last minute. False: that cannot be said (yet). */
bool lcy_drain_pace(const struct lcy_tier *t, uint64_t now_ns, double *ret_objects, double *ret_bytes);
/** How long the rest takes at that pace, seconds: by its bytes while large ones are moved (they go first), else by its objects. UINT64_MAX: no end is
 * in sight. */
uint64_t lcy_drain_left_s(double objects_per_s, double bytes_per_s, uint64_t objects, uint64_t bytes);

#endif
