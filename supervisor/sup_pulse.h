/*
 * sup_pulse.h: does every thread of the supervisor, and every child, still make progress? Decides whether systemd's watchdog
 * is fed and which child is killed for its silence.
 *
 * Two parts. A thread of the engine carries a struct sup_pulse and says when it takes work up and when it waits (any thread,
 * two relaxed stores). The main thread looks at all of them and at the children's loop counters a few times a second.
 *
 * A thread that waits for a disk is not stuck: killing the daemon would not make the disk faster, and what lies in memory
 * is served meanwhile. It is recognised by its state in /proc/self/task.
 *
 * Time counts only as far as the main thread itself ran: after the whole machine, or the whole service, has stood still
 * nobody is blamed for it.
 */
#ifndef SUP_PULSE_H
#define SUP_PULSE_H

#include <stdatomic.h>

#include "common/om_base.h"

#define SUP_PULSE_LOOK_MS 250u
#define SUP_PULSE_STUCK_MS 10000u /* a thread of the engine with one piece of work in hand */
#define SUP_PULSE_WORKER_MS 5000u /* a worker's loop, which never blocks and turns at least once a second */
#define SUP_PULSE_LCY_MS 60000u	  /* the lifecycle process removes files in its loop: a disk may be slow */

/* One thread. WRITER: that thread. READER: the main thread. */
struct sup_pulse {
	char name[64];		   /* before tid */
	_Atomic int32_t tid;	   /* 0: it has not begun, or has ended */
	_Atomic uint32_t work;	   /* odd: it has work in hand; another number: another piece of work */
	/* main thread */
	uint32_t seen;
	uint64_t silent_ns, disk_ns; /* with this piece of work; since it was last seen waiting for a disk */
};

/** The calling thread begins, under a name for the log ("committer of tier disk"); ends. */
static inline void sup_pulse_begin(struct sup_pulse *p, const char *what, const char *which)
{
	(void)snprintf(p->name, sizeof(p->name), "%s%s", what, which);
	atomic_store(&p->tid, (int32_t)gettid());
}
static inline void sup_pulse_end(struct sup_pulse *p) { atomic_store(&p->tid, 0); }
/** It takes a piece of work up: the time counts from here. Call it for every piece. */
static inline void sup_pulse_work(struct sup_pulse *p)
{
	atomic_store_explicit(&p->work, (atomic_load_explicit(&p->work, memory_order_relaxed) | 1u) + 2u, memory_order_relaxed);
}
/** It is about to wait for work. */
static inline void sup_pulse_rest(struct sup_pulse *p)
{
	atomic_store_explicit(&p->work, (atomic_load_explicit(&p->work, memory_order_relaxed) | 1u) + 1u, memory_order_relaxed);
}

enum sup_pulse_state {
	SUP_PULSE_FINE,
	SUP_PULSE_SLOW,	 /* too long with one piece of work, and a disk is the reason */
	SUP_PULSE_STUCK, /* too long, and no disk is */
};

/** Kernel's state of a thread of ours ('R', 'S', 'D', ...); 0: no such thread. Exchanged by tests. */
typedef char sup_pulse_state_fn(int32_t tid);
char sup_pulse_thread_state(int32_t tid);

/**
 * Judge threads, once in SUP_PULSE_LOOK_MS.
 * @param span_ns  since the last look, or less: what counts
 * @param ret      a verdict for each
 * A thread that sleeps while another one waits for a disk waits for that one (a lock of LMDB): slow, not stuck.
 */
void sup_pulse_look(struct sup_pulse *const *p, unsigned n, uint64_t span_ns, sup_pulse_state_fn *state_of, enum sup_pulse_state *ret);

/* A counter that must move. */
struct sup_pulse_count {
	uint64_t seen, silent_ns;
};
/** @return how long it has not moved (ns that counted) */
uint64_t sup_pulse_count(struct sup_pulse_count *c, uint64_t value, uint64_t span_ns);

/** What of the time since the last look counts: all of it, but not a pause of the main thread itself. 0 at the first look. */
uint64_t sup_pulse_span(uint64_t *last_ns, uint64_t now_ns);

#endif
