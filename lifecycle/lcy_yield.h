/*
 * lcy_yield.h: moves give way while clients are served.
 *
 * Linked by objmapper-lifecycle and its tests (liblcymove). Two parts: what is decided (lcy_yield_turn(), loop's thread, by what it is told
 * and the time alone), and how threads that move keep to it (struct lcy_yield_seat, one to a thread).
 *
 * Why not priorities: a thread that copies is in the kernel nearly all of its time, and so are the threads of the kernel that work for it
 * (write-back, journals, loop devices), whose priority is not ours to set. A kernel that is not built to be preempted goes on with such
 * work to its end, or to the next tick, whoever else has become ready; once that happens on every processor, a request waits for
 * milliseconds. So while somebody is served one thread moves at a time, in small pieces, and rests after each in proportion to the time
 * that it took: on a processor, or asleep while the kernel and the disk work for it. What it waited for a processor is nobody's work and is
 * not rested for, where the kernel tells it (om_runq.h): else a machine that is busy would punish moves for being busy. (Measured: doc/tiering.md.)
 *
 * And it stays on one processor, the last of those that it may use: else it is now on this one, now on that, and whoever is woken, or whose
 * timer has run out, finds the processor that it was on taken, behind a call into the kernel. Of two processors one is then always free of
 * moves, and those who are served soon keep to it. Who moves at full speed goes where he likes.
 *
 * SHARE  thousandths of the time, of one thread, that moves take together; 1000: one thread without rests. LCY_YIELD_ALL: no bound, all
 *        threads at once. Never 0, and no rest is longer than LCY_YIELD_REST_NS: what is to be moved is moved in the end.
 */
#ifndef LCY_YIELD_H
#define LCY_YIELD_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/om_cpus.h"
#include "common/om_obj.h"

#define LCY_YIELD_ALL UINT32_MAX
#define LCY_YIELD_HOLD_NS UINT64_C(1000000000) /* after the last requests */
#define LCY_YIELD_FEW 4u /* fewer in LCY_YIELD_HOLD_NS are a monitor, or a person: nobody is served. Half as many keep it so. */
#define LCY_YIELD_PIECE_NS 15000u	       /* work that is shorter gets no rest of its own: going to sleep costs, too */
#define LCY_YIELD_REST_NS UINT64_C(50000000)
#define LCY_YIELD_SEAT_NS UINT64_C(5000000000) /* then another thread that waits has its turn: large ones end one by one, not all late */
#define LCY_YIELD_LOOK_MS 5u /* at full speed so often the loop has to look whether somebody is served: else the first requests suffer */
#define LCY_YIELD_CHUNK ((size_t)64 << 10)   /* bytes of a large object in one call: fewer make more calls, which cost most of the time */
#define LCY_YIELD_SYNC ((uint64_t)2 << 20)   /* of a large object, then they are written out: not all of it at its end */
#define LCY_YIELD_FILES 64u		     /* small objects that are named, and made durable, together: two catalogs and journals commit then */
#define LCY_YIELD_BYTES (UINT64_C(1) << 20)

enum lcy_yield_why {
	LCY_YIELD_OFF,	   /* the configuration says so */
	LCY_YIELD_NOBODY,  /* nobody is served */
	LCY_YIELD_ROOM,	   /* somebody waits for room, which moves make */
	LCY_YIELD_SERVING, /* they give way */
};

struct lcy_yield {
	_Atomic uint32_t share;
	/* loop's thread */
	enum lcy_yield_why why;
	uint32_t serving; /* the share while somebody is served */
	unsigned cpus;
	bool seen;	  /* requests, ever */
	uint64_t asked_ns; /* when there were enough of them the last time */
	uint64_t from, from_ns; /* counted since */
	/* under lock */
	pthread_mutex_t lock;
	pthread_cond_t seat, rest;
	bool taken, stop;
	unsigned waiting;
	uint64_t turns; /* times that the seat was taken */
	uint64_t seat_ns; /* LCY_YIELD_SEAT_NS; tests have less time */
	uint64_t free_ns; /* the next piece may begin */
	_Atomic uint64_t rested_ns; /* in all */
	struct om_place place; /* from the beginning on */
	_Atomic unsigned opened; /* seats whose account is open, or cannot be */
	int tasks_fd; /* om_runq_dir(), borrowed; -1: what was waited is not known */
};

/** `cpus` that this machine has, 1 or more. Whoever has an om_runq_dir() puts it into y->tasks_fd before the first thread works. */
void lcy_yield_init(struct lcy_yield *y, unsigned cpus);
void lcy_yield_fini(struct lcy_yield *y);
/** What part of all processors' time (0..1) moves may take while clients are served; 1: they do not give way. Loop's thread. */
void lcy_yield_conf(struct lcy_yield *y, double part);
/**
 * Decide. Loop's thread, each turn.
 * @param asked  requests that the workers have met so far: LCY_YIELD_FEW in a second say that somebody is served
 * @param room   a put waits for room
 */
void lcy_yield_turn(struct lcy_yield *y, uint64_t now_ns, uint64_t asked, bool room);
static inline uint32_t lcy_yield_share(struct lcy_yield *y) { return atomic_load_explicit(&y->share, memory_order_relaxed); }
/** Moves are not bound now: the loop has to look often whether that is still right. */
static inline bool lcy_yield_watch(struct lcy_yield *y) { return lcy_yield_share(y) == LCY_YIELD_ALL && y->why == LCY_YIELD_NOBODY; }
/** "off", "nobody is served", ... */
const char *lcy_yield_text(const struct lcy_yield *y);
/** How long to rest after a piece that took so long. */
uint64_t lcy_yield_rest(uint32_t share, uint64_t took_ns);
/** Threads that wait go on and never wait again. */
void lcy_yield_stop(struct lcy_yield *y);
/* A thread's place: one of them works at a time. Its own; all zero but `all` at first. */
struct lcy_yield_seat {
	struct lcy_yield *all;
	bool held, stays; /* the thread is bound to one processor */
	bool looked;	  /* runq_fd is what om_runq_open() gave */
	int runq_fd;
	uint64_t since_ns, waited_ns, got_ns; /* the piece began, and what the thread had waited by then */
};
/** The seat's thread opens what it keeps open for it, once; else that comes with its first piece of work. */
void lcy_yield_open(struct lcy_yield_seat *s);
/** Wait until `n` threads have done that: from then on no descriptor comes because of a seat. */
void lcy_yield_opened(struct lcy_yield *y, unsigned n);
/** Work begins: waits for its turn, if moves give way now. */
void lcy_yield_enter(struct lcy_yield_seat *s);
/** Between two calls into the kernel: rests, if that is due. Often called; at full speed nearly free. */
void lcy_yield_point(struct lcy_yield_seat *s);
/** Work ends, or waits for something else. */
void lcy_yield_leave(struct lcy_yield_seat *s);
/** A thread that never takes the seat does something for moves between the two: moves rest for it. */
void lcy_yield_begin(struct lcy_yield_seat *s);
void lcy_yield_charge(struct lcy_yield_seat *s);
/** The thread is about to end; it has no seat. */
void lcy_yield_quit(struct lcy_yield_seat *s);

#endif
