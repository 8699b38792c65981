/*
 * sup_loop.h: the supervisor's event loop: descriptors, and what to call when they are ready.
 *
 * Main thread only. The owner of a struct sup_ev keeps it where it is until sup_loop_del(); after that call its function
 * is not called any more, not even for events that have already been fetched.
 */
#ifndef SUP_LOOP_H
#define SUP_LOOP_H

#include <sys/epoll.h>

#include "common/om_base.h"

#define SUP_LOOP_BATCH 64

struct sup_ev;
/* `events`: EPOLLIN and so on. May add and delete any event, its own included. */
typedef void sup_ev_fn(struct sup_ev *ev, uint32_t events);

struct sup_ev {
	int fd; /* borrowed; -1: not in a loop */
	sup_ev_fn *fn;
	void *arg;
};

struct sup_loop {
	int epfd;
	int n; /* events fetched and not yet handled start at `next` */
	int next;
	struct epoll_event batch[SUP_LOOP_BATCH];
};

/** 0 or -OBJM_STATUS_SYSTEM, errno says why. */
int sup_loop_init(struct sup_loop *loop) OM_MUST_USE;
void sup_loop_fini(struct sup_loop *loop);

/** Call `fn` when `fd` is ready for `events` (level-triggered). 0 or -OBJM_STATUS_SYSTEM, errno says why. */
int sup_loop_add(struct sup_loop *loop, struct sup_ev *ev, int fd, uint32_t events, sup_ev_fn *fn, void *arg) OM_MUST_USE;
/** Wait for other events. */
void sup_loop_mod(struct sup_loop *loop, struct sup_ev *ev, uint32_t events);
/** Fine on an event that was never added (fd -1). The descriptor stays open: delete before closing it. */
void sup_loop_del(struct sup_loop *loop, struct sup_ev *ev);

/** Wait for at most `timeout_ms` (-1: for ever) and call what is ready. */
void sup_loop_turn(struct sup_loop *loop, int timeout_ms);

#endif
