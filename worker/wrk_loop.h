/*
 * wrk_loop.h: the worker's one event loop: epoll sources, timers, tasks at the end of a turn.
 *
 * Linked by objmapper-worker only. Everything here belongs to the loop's thread; no call may come from an I/O thread.
 * Nothing allocates after wrk_loop_init(): sources, timers and tasks are members of their owners' structures.
 *
 * A turn: wait; the ready sources in the kernel's order; timers that are due; tasks (in the order in which they were
 * queued; one queued by a task runs in the same turn, at most WRK_LOOP_TASKS_MAX); then the hook before the next wait.
 */
#ifndef WRK_LOOP_H
#define WRK_LOOP_H

#include <sys/epoll.h>

#include "common/om_base.h"

#define WRK_LOOP_EVENTS 128	 /* taken from the kernel at once */
#define WRK_LOOP_TASKS_MAX 65536 /* in one turn, then the sources get their turn */
#define WRK_LOOP_REST_MAX 64u	 /* waits that sleep at once after looks in vain */

/* A descriptor in the loop. The owner fills fn and arg; the descriptor stays the owner's. */
struct wrk_src {
	void (*fn)(void *arg, uint32_t events);
	void *arg;
	int fd;		 /* -1: not in the loop */
	uint32_t events; /* what it is registered for */
};
#define WRK_SRC_INIT(f, a) ((struct wrk_src){ .fn = (f), .arg = (a), .fd = -1 })

/* One shot; re-arming an armed timer moves it. */
struct wrk_timer {
	void (*fn)(void *arg);
	void *arg;
	uint64_t due_ns; /* CLOCK_MONOTONIC; 0: not armed */
	struct wrk_timer *child, *sibling, *prev; /* pairing heap */
};
#define WRK_TIMER_INIT(f, a) ((struct wrk_timer){ .fn = (f), .arg = (a) })

/* Work for the end of the turn: what wants to be done once for a batch. Queueing a queued task does nothing. */
struct wrk_task {
	void (*fn)(void *arg);
	void *arg;
	struct wrk_task *next, **prevp; /* prevp NULL: not queued */
};
#define WRK_TASK_INIT(f, a) ((struct wrk_task){ .fn = (f), .arg = (a) })

struct wrk_loop {
	int epfd;
	uint64_t now_ns; /* CLOCK_MONOTONIC at the start of this turn: good enough for timeouts */
	struct wrk_timer *timers;
	struct wrk_src alarm; /* a timerfd of the loop's own */
	uint64_t alarm_ns;    /* what it is set for; 0: nothing */
	struct wrk_task *tasks, **tasks_tail;
	struct epoll_event ev[WRK_LOOP_EVENTS];
	int ev_n, ev_i; /* events of this turn that are still to be handed out */
	bool stop;
	uint64_t spin_ns;	       /* look for so long before sleeping; 0: not at all */
	unsigned spin_vain, spin_rest; /* looks in a row that found nothing; waits that sleep at once before the next look */
	/* Before each wait: true lets the loop sleep, false makes it poll once and come back. May be NULL. */
	bool (*before_wait)(void *arg);
	void (*after_wait)(void *arg);
	void *hook_arg;
};

/** @return 0; -OBJM_STATUS_SYSTEM, errno says why */
int wrk_loop_init(struct wrk_loop *loop) OM_MUST_USE;
void wrk_loop_fini(struct wrk_loop *loop);

/**
 * Look for events for `us` microseconds before each sleep; 0: sleep at once. Adaptive: each look in vain doubles the number of waits
 * that sleep at once, up to WRK_LOOP_REST_MAX. Others who want the CPU are let in between looks, and when one was there, it is the
 * same as a look in vain, and more: where the CPU is shared, looking takes from those for whom we wait.
 */
void wrk_loop_busy_poll(struct wrk_loop *loop, unsigned us);

/** Register `fd` for `events` (EPOLLIN, ...). @return 0; -OBJM_STATUS_SYSTEM, errno says why */
int wrk_loop_add(struct wrk_loop *loop, struct wrk_src *src, int fd, uint32_t events) OM_MUST_USE;
/** Change what it waits for; no system call when nothing changes. */
void wrk_loop_mod(struct wrk_loop *loop, struct wrk_src *src, uint32_t events);
/** Take it out; events of this turn not yet handed out are dropped. Call it before closing fd. Fine on one not in. */
void wrk_loop_del(struct wrk_loop *loop, struct wrk_src *src);

void wrk_timer_arm(struct wrk_loop *loop, struct wrk_timer *t, uint64_t due_ns);
void wrk_timer_disarm(struct wrk_loop *loop, struct wrk_timer *t);

void wrk_task_queue(struct wrk_loop *loop, struct wrk_task *task);
void wrk_task_cancel(struct wrk_loop *loop, struct wrk_task *task);

/** One turn; waits at most `max_ms` (-1: until something happens). */
void wrk_loop_turn(struct wrk_loop *loop, int max_ms);
/** Turns until loop->stop is set. */
void wrk_loop_run(struct wrk_loop *loop);

#endif
