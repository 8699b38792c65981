/*
 * lcy_move.h: jobs of the lifecycle process that touch files and end in a word of the supervisor: moves, copies, drops.
 *
 * Linked by objmapper-lifecycle and its tests. Jobs are made, started and ended on the loop's thread; what blocks is done by
 * threads of this module: LCY_MOVERS that copy, and one that only reads names for drops, so that room can be made while a large
 * object is on its way.
 *
 *	job      thread                                     then
 *	MOVE     reads URI and attribute of the source      MOVE_BEGIN; on its verdict
 *		 copies, links; syncs with others; reads back (any   MOVE_COMMIT; on its verdict: ended
 *		 mover does the next step: lcy_work.c)
 *	DROP     reads the URI                              DROP; on its verdict: ended
 *	NAME     reads the URI                              ended
 *
 * A job that cannot go on after MOVE_BEGIN was allowed says MOVE_ABORT. A process that dies says nothing: the supervisor has
 * recorded the intent and cleans up.
 */
#ifndef LCY_MOVE_H
#define LCY_MOVE_H

#include <pthread.h>
#include <sys/uio.h>

#include "common/msg_ring_lifecycle.h"
#include "lifecycle/lcy_copy.h"

#define LCY_JOBS_MAX 2048u	  /* under way at once, at the most: some are named, others copied, others committed */
#define LCY_MOVERS 8u
#define LCY_BATCH_FILES 256u	  /* copies that are made durable together, at most */
#define LCY_BATCH_NAMES 32u	  /* names that are read, then asked for together */
#define LCY_KICK_NAMES 8u	  /* of them, so that the first copies begin soon: each time the supervisor is woken */
#define LCY_RUN_FILES 16u	  /* small ones that one thread copies, or reads back, in a row */
#define LCY_LARGE_MOVERS 3u	  /* threads that copy large ones at once: one that reads, writes, waits for each keeps two disks busy */
#define LCY_SYNC_FILES 128u	  /* copies, or bytes of them, from which on they are made durable without waiting for more */
#define LCY_SYNC_BYTES (UINT64_C(16) << 20)
#define LCY_SYNC_WAIT_NS UINT64_C(100000000) /* so long fewer wait while others are being copied */
#define LCY_OPEN_MAX 1024u	  /* sources that stay open from the reading of their name to their copy, at most */
#define LCY_HELD_FILES 512u	  /* copies begun and not committed, at most: each holds a descriptor */

enum lcy_job_kind { LCY_JOB_MOVE, LCY_JOB_DROP, LCY_JOB_NAME };
/* Why: what is done when it has ended depends on it. */
enum lcy_why { LCY_WHY_CYCLE, LCY_WHY_CACHE, LCY_WHY_ROOM, LCY_WHY_EXPIRED, LCY_WHY_DRAIN, LCY_WHY_TASK, LCY_WHYS };

enum lcy_stage { LCY_STAGE_NAME, LCY_STAGE_ASKED, LCY_STAGE_COPY, LCY_STAGE_COMMIT, LCY_STAGE_ENDED };

struct lcy_job {
	struct lcy_job *next; /* in the queue that holds it */
	/* set by who makes it */
	enum lcy_job_kind kind;
	enum lcy_why why;
	uint64_t id, size;
	uint32_t rev;
	uint32_t slot;	   /* where the index had it */
	uint8_t from;	   /* MOVE: its home; DROP, NAME: the tier whose record it is */
	uint8_t to;	   /* MOVE */
	uint8_t other;	   /* a second tier that may know its URI, or OM_TIER_NONE */
	uint8_t move_kind; /* enum om_move_kind */
	uint8_t drop_why;  /* enum om_drop_why */
	void *arg;	   /* the maker's */
	/* when it has ended */
	int status;    /* 0 or negative */
	bool by_source; /* the source could not be read, or is damaged */
	bool by_target; /* the target could not be written */
	bool unsynced;	/* and it was the sync that failed */
	bool asked;	/* the supervisor said no (or yes): the status is its word */
	/* the module's */
	uint32_t at; /* in the table */
	_Atomic int stage;
	bool begun; /* MOVE_BEGIN was allowed: it must be committed or aborted */
	char *names; /* strings of `found`; NULL: it has none */
	struct be_found found; /* what the file says of itself */
	int source_fd; /* MOVE: the source, if it is open; -1 */
	struct be_file file;
	uint8_t was[BE_SUM_BYTES]; /* found.rec.sum points here, if there is one */
	uint8_t sum[BE_SUM_BYTES];
	bool shared, sparse;
};

/* Jobs in the order in which they came. */
struct lcy_jobs {
	struct lcy_job *first, **last;
	unsigned n;
	uint64_t bytes;
};

struct lcy_moves;
struct lcy_mover {
	struct lcy_moves *all;
	pthread_t thread;
	bool on, names_only;
	struct be be[OM_TIERS_MAX]; /* of its own: link and sync are one thread's */
	uint32_t no_clone[OM_TIERS_MAX]; /* by source, a bit for each target: they share no blocks */
	struct lcy_copy copy;
	struct lcy_yield_seat seat;
	uint8_t attr[BE_ATTR_MAX]; /* being read */
};

struct lcy_moves_conf {
	/** Put a message into the ring; any thread. Who reads it need not be woken before kick(). 0 or negative. */
	int (*send)(void *arg, const struct iovec *iov, int n);
	/** What was sent is to be looked at; any thread. NULL: send() does that */
	void (*kick)(void *arg);
	/** MOVE_BEGIN was allowed: from here on its room is in the supervisor's figures; loop's thread. NULL: nothing */
	void (*begun)(void *arg, const struct lcy_job *job);
	/** Wake the loop: jobs have ended; any thread. */
	void (*wake)(void *arg);
	/** A job has ended; loop's thread, from lcy_moves_turn(). It is freed afterwards. */
	void (*ended)(void *arg, struct lcy_job *job);
	void *arg;
};

struct lcy_moves {
	struct lcy_moves_conf conf;
	bool tier_on[OM_TIERS_MAX], tier_memory[OM_TIERS_MAX];
	struct lcy_mover mover[LCY_MOVERS + 1];
	struct lcy_rate rate;
	struct lcy_yield yield;
	_Atomic bool stop;
	_Atomic unsigned n_open; /* jobs with a source_fd */
	unsigned open_max, held_max; /* LCY_OPEN_MAX, LCY_HELD_FILES, or what the limit of open files leaves of them */
	/* loop's thread */
	struct lcy_job *job[LCY_JOBS_MAX];
	uint32_t serial;
	uint64_t req[LCY_JOBS_MAX];
	unsigned n_jobs;
	struct lcy_jobs allowed; /* by verdicts; lcy_moves_allowed() gives them to the movers */
	/* under lock */
	pthread_mutex_t lock;
	pthread_cond_t wake, wake_names;
	struct lcy_jobs todo;	/* names for movers: of moves from a disk */
	struct lcy_jobs copies; /* for movers */
	struct lcy_jobs made[OM_TIERS_MAX]; /* by target: copied, to be made durable */
	struct lcy_jobs synced; /* durable, to be read back and committed */
	uint64_t made_ns[OM_TIERS_MAX]; /* CLOCK_MONOTONIC: the first of `made` came, at the latest */
	uint32_t syncing; /* tiers that a thread makes durable now */
	unsigned copying, copying_large; /* threads */
	unsigned held; /* jobs from their copy to their commit */
	struct lcy_jobs names;	/* for the thread that only reads names */
	struct lcy_jobs done;
};

void lcy_moves_init(struct lcy_moves *m, const struct lcy_moves_conf *conf);
/** A tier; its directories are borrowed for good. Before start. 0 or negative */
int lcy_moves_tier(struct lcy_moves *m, uint8_t no, int objects_fd, int staging_fd, uint32_t caps, bool memory) OM_MUST_USE;
/** Start the threads. 0 or negative */
int lcy_moves_start(struct lcy_moves *m) OM_MUST_USE;
/** End the threads: jobs under way are left as they are. For tests; the process itself just ends. */
void lcy_moves_stop(struct lcy_moves *m);

/** A new job, all zero but `other`; NULL: too many are under way, or no memory. */
struct lcy_job *lcy_moves_new(struct lcy_moves *m);
/** Give back one that was not started. */
void lcy_moves_free(struct lcy_moves *m, struct lcy_job *job);
void lcy_moves_go(struct lcy_moves *m, struct lcy_job *job);
/** The job that works on this object now; NULL: none. */
struct lcy_job *lcy_moves_find(const struct lcy_moves *m, uint64_t id);
/** A verdict from the supervisor. False: it answers nothing that was asked. A copy that it allows waits for lcy_moves_allowed(). */
bool lcy_moves_verdict(struct lcy_moves *m, const struct om_op_verdict *v);
/** The copies that verdicts have allowed begin, all that came together at once: what is copied together is made durable together. */
void lcy_moves_allowed(struct lcy_moves *m);
/** Jobs that have ended are handed to conf.ended(). */
void lcy_moves_turn(struct lcy_moves *m);

#endif
