/*
 * wrk_io.h: a small pool of threads for whatever may block: cold opens and reads, copies, fsync.
 *
 * Linked by objmapper-worker only. Jobs are members of their owners' structures: nothing is allocated. A job's run() is
 * called in a thread of the pool, with all signals blocked; it must touch neither ring, loop nor connections. Then its done()
 * is called in the loop. Order between jobs is not kept.
 *
 * Four classes: WRK_IO_URGENT, answers to requests with PRIORITY, before others, but no more than WRK_IO_URGENT_RUN in a row
 * while others wait (anybody may say that he is in a hurry); WRK_IO_READ, answers that somebody waits for; WRK_IO_WRITE, syncs and copies, which may take long; WRK_IO_CODE,
 * compression, on half of the threads at most. The last two together leave at least one thread to the readers (if there are two
 * or more).
 */
#ifndef WRK_IO_H
#define WRK_IO_H

#include "worker/wrk_loop.h"

#define WRK_IO_QUEUE_MAX 16384u /* jobs of a class that wait or run */
#define WRK_IO_THREADS_MAX 64u
#define WRK_IO_URGENT_RUN 3u

struct wrk_io;

enum wrk_io_class { WRK_IO_URGENT, WRK_IO_READ, WRK_IO_WRITE, WRK_IO_CODE, WRK_IO_CLASS_COUNT };

/* The owner fills run and done and keeps the job alive until done() was called. */
struct wrk_io_job {
	void (*run)(struct wrk_io_job *job);  /* I/O thread */
	void (*done)(struct wrk_io_job *job); /* loop; the job may be submitted again or freed from inside */
	struct wrk_io_job *next;	      /* the pool's */
	uint8_t cls;			      /* the pool's */
	bool busy;			      /* submitted, done() not yet called; the pool's; loop thread only */
};

/**
 * Start `threads` (1..WRK_IO_THREADS_MAX) threads. Before the sandbox, or after it if clone() is allowed.
 * @param thread_in, thread_out  called in each thread at its start and end (liburcu's registration); may be NULL
 * @return 0; -OBJM_STATUS_OUT_OF_MEMORY; -OBJM_STATUS_SYSTEM, errno says why
 */
int wrk_io_new(struct wrk_loop *loop, unsigned threads, void (*thread_in)(void), void (*thread_out)(void),
	       struct wrk_io **ret) OM_MUST_USE;
/** Runs what is queued to its end, ends the threads, calls no done() any more. Fine on NULL. */
void wrk_io_free(struct wrk_io *io);

/** Loop thread. @return 0; -OBJM_STATUS_TRY_AGAIN: WRK_IO_QUEUE_MAX jobs of this class are under way, nothing was submitted */
int wrk_io_submit(struct wrk_io *io, enum wrk_io_class cls, struct wrk_io_job *job) OM_MUST_USE;

/** Jobs submitted whose done() was not called yet; of a class, of all. */
unsigned wrk_io_under_way(const struct wrk_io *io, enum wrk_io_class cls);
unsigned wrk_io_pending(const struct wrk_io *io);

#endif
