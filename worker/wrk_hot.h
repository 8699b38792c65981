/*
 * wrk_hot.h: the short way of a GET: asked through the extension, with nothing but URIs, by a peer that shares descriptors, for
 * objects whose slot is in the index and whose descriptor is in the cache, or can be opened at once.
 *
 * Linked by objmapper-worker only; loop thread only. What is in the cache takes no system call, no allocation, no lock, and
 * nothing takes a struct wrk_req: a batch is looked up together (slots, generations and descriptors of all are on their way before
 * the first is touched) and its answers are queued together. Whatever is not that simple goes the long way (wrk_get.c), which says
 * the same; whatever decides there whether a GET may be answered decides here, too: wrk_hot_open() and wrk_hot_may().
 */
#ifndef WRK_HOT_H
#define WRK_HOT_H

#include "worker/wrk_decode.h"

/** Look up the plain items among `n` (items[].plain) whose keys are made: those that the index knows are `found`. */
void wrk_hot_find(struct wrk_conn *c, struct wrk_req_item *items, unsigned n);
/**
 * Answer the first of `n` items, as many in a row as are hot and may be queued now. A plain GET of several URIs counts as one: its
 * hot ones are answered, and if others are left it is not counted and has `done`.
 * @return how many; 0: the first goes the long way. The connection may have been closed
 */
unsigned wrk_hot_answer(struct wrk_conn *c, struct wrk_req_item *items, unsigned n);
/** Give back what was found and not answered. */
void wrk_hot_drop(struct wrk_conn *c, struct wrk_req_item *items, unsigned n);

#endif
