/*
 * sup_post.h: what the engine's threads tell the main loop: a letter box with an eventfd.
 *
 * Nothing is allocated and nothing can be refused: one slot a child for "kill it", one for the newest index segment.
 */
#ifndef SUP_POST_H
#define SUP_POST_H

#include <pthread.h>

#include "supervisor/sup_engine.h"

struct sup_post_index {
	uint32_t seq;
	int index_rofd, heatfd; /* -1, -1: none */
};

struct sup_post_kill {
	unsigned place;
	uint32_t serial; /* of the child that it is about */
	const char *why; /* static text; NULL: none */
};

struct sup_post {
	int wakefd; /* eventfd: readable when there is something */
	pthread_mutex_t lock;
	struct sup_post_index index;
	bool tiers; /* they have changed */
	struct sup_post_kill kill[SUP_CHILDREN_MAX];
};

/** 0 or -OBJM_STATUS_SYSTEM, errno says why. */
int sup_post_init(struct sup_post *post) OM_MUST_USE;
void sup_post_fini(struct sup_post *post);

/** Callbacks for sup_engine_open(); any thread calls them, none blocks. `post` is borrowed until sup_engine_close(). */
struct sup_engine_cb sup_post_cb(struct sup_post *post);

/** Take a new segment: its descriptors are the caller's. False: none. Main thread. */
bool sup_post_take_index(struct sup_post *post, struct sup_post_index *ret);
/** True if tiers have come or gone since the last call. Main thread. */
bool sup_post_take_tiers(struct sup_post *post);
/** Take one complaint; it is void unless the child in that place still is the one of this serial. False: none. Main thread. */
bool sup_post_take_kill(struct sup_post *post, struct sup_post_kill *ret);
/** Empty the eventfd: before taking. Main thread. */
void sup_post_awake(struct sup_post *post);

#endif
