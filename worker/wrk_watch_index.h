/*
 * wrk_watch_index.h: watches by their prefix: which of them a change concerns.
 *
 * Linked by objmapper-worker only; loop thread only. Each prefix that is watched is there once, in an array in bytewise order. All
 * that are a beginning of a URI are beginnings of one another, and the longest of them stands right before the URI's place or is a
 * beginning of what does; so each knows the next shorter one that is watched, too (`outer`), and a change costs a binary search and a
 * step for each prefix that it has, however many others are watched.
 */
#ifndef WRK_WATCH_INDEX_H
#define WRK_WATCH_INDEX_H

#include "common/om_obj.h"

struct wrk_watch_prefix {
	struct wrk_watch_prefix *outer; /* the longest watched one that this one begins with; NULL: none */
	struct wrk_watch_node *first;	/* the watches */
	uint16_t len;
	char text[];
};

/* Member of a watch. */
struct wrk_watch_node {
	struct wrk_watch_node *next, **prevp;
	struct wrk_watch_prefix *prefix; /* NULL: not in the index */
};

struct wrk_watch_index { /* all zero: empty */
	struct wrk_watch_prefix **v;
	size_t n, cap;
};

/** @return 0; -OBJM_STATUS_OUT_OF_MEMORY */
int wrk_watch_index_add(struct wrk_watch_index *ix, struct wrk_watch_node *node, const char *prefix, size_t len) OM_MUST_USE;
/** Fine on one that is not in. Frees the array with the last. */
void wrk_watch_index_del(struct wrk_watch_index *ix, struct wrk_watch_node *node);
/** The longest watched prefix that the URI begins with; the others are reached by `outer`. NULL: none. */
const struct wrk_watch_prefix *wrk_watch_index_find(const struct wrk_watch_index *ix, const char *uri, size_t len);

#endif
