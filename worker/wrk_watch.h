/*
 * wrk_watch.h: WATCH: clients are told of changes as they happen.
 *
 * Linked by objmapper-worker only; loop thread only. The supervisor gives each worker that asks one feed of all changes, in
 * their order (msg_ring.h, CHANGED); here each watch takes from it what lies below its prefix and what its peer may list.
 *
 *	state	 meaning							left by
 *	NEW	 may this user have one more?				the supervisor's verdict
 *	ASKED	 waits for the feed to begin, or to be set back to where it wants to go on	HERE
 *	ON	 gets changes
 *	BEHIND	 its connection does not read: changes pass it by			its output is empty: ASKED
 *
 * A slow watch so loses nothing that the supervisor still holds; what has given way there is told LOST.
 *
 * A watch that goes on at an old position needs the feed to be set back: those that follow meanwhile see changes again that
 * they had, and pass over them. One setting back at a time, and none before the last has caught up, so nobody can hold the
 * others up by asking for old positions over and over.
 *
 * A change costs by the watches that it concerns (wrk_watch_index.h): those that it does not are not even touched. What such a watch has
 * passed over follows from where the feed stands.
 *
 * Bounds: WRK_WATCH_CONN_MAX watches a connection, limits.watches_per_uid a user over all workers; what waits for a connection that does not read, half of limits.queue_bytes.
 */
#ifndef WRK_WATCH_H
#define WRK_WATCH_H

#include "worker/wrk_req.h"

#define WRK_WATCH_CONN_MAX 16u

struct wrk_watch_set;

int wrk_watch_set_new(struct wrk *w, struct wrk_watch_set **ret) OM_MUST_USE;
void wrk_watch_set_free(struct wrk_watch_set *s);

/** Begin a watch. Ends the request: its further frames are the watch's. */
void wrk_watch(struct wrk_req *r, const struct om_proto_body *body);
/** The connection closes. */
void wrk_watch_conn_gone(struct wrk_conn *c);
/** Its output is empty: watches that fell behind go on. */
void wrk_watch_room(struct wrk_conn *c);

#endif
