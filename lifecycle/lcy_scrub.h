/*
 * lcy_scrub.h: objects that nobody moves are read now and then, and compared with what their files and the index say of them.
 *
 * Linked by objmapper-lifecycle and its tests. Decided on the loop's thread (lcy_scrub.c, lcy_scrub_judge.c); files are read by one
 * thread of its own (lcy_scrub_look.c), one object at a time. Nothing is changed or removed here: a cached copy that is damaged while its
 * home is whole becomes a candidate for a drop; of anything else there is a line in the log, a count and an entry in a list.
 *
 * PASS     of a tier: every object whose home it is, in rising order of ids, which is about the order in which they lie on the disk. The
 *	    position is the id of the last one. Which come next is found along with the scans of lcy_plan.c, LCY_SCRUB_BATCH at a time.
 * PACE     a pass takes lifecycle.scrub_days; each object's share of that is its share of what there is to read (its bytes and
 *	    LCY_SCRUB_EACH for finding it). Time in which the process does not run, or is paused, does not count; up to LCY_SCRUB_LATE_NS
 *	    of what was missed otherwise is caught up with. At once: a pass that an administrator asks for, at the pace of moves.
 * STATE    position, counts and the objects that were found bad are kept in state_dir/heat.d (lcy_scrub_keep.c).
 */
#ifndef LCY_SCRUB_H
#define LCY_SCRUB_H

#include "lifecycle/lcy_best.h"

#define LCY_SCRUB_BATCH 8192u
#define LCY_SCRUB_EACH 65536u /* bytes' worth of work that an object takes beside its bytes */
#define LCY_SCRUB_LATE_NS UINT64_C(3600000000000)
#define LCY_SCRUB_AGAIN_NS UINT64_C(1000000000) /* what looks damaged is looked at twice, so far apart */
#define LCY_SCRUB_KEEP_S 300u /* the state is written this often */
#define LCY_SCRUB_BAD_MAX 256u /* objects in the list; more are only counted and logged */
#define LCY_SCRUB_MAGIC 0x31627263736d626fu

enum lcy_scrub_found {
	LCY_SCRUB_GOOD,
	LCY_SCRUB_NO_SUM,     /* it could be read; nothing says what its bytes were */
	LCY_SCRUB_DAMAGED,
	LCY_SCRUB_UNREADABLE, /* its disk, or its permissions, would not let us */
	LCY_SCRUB_LATER,      /* it could not be looked at now */
	LCY_SCRUB_NONE,	      /* there is no such file to look at */
};
/* What is wrong: the number is kept in a file. */
enum lcy_scrub_what {
	LCY_SCRUB_BYTES = 1, LCY_SCRUB_SIZE, LCY_SCRUB_ATTR, LCY_SCRUB_NAME, LCY_SCRUB_OLD, LCY_SCRUB_MISSING, LCY_SCRUB_READ, LCY_SCRUB_WHATS
};

/* ---- lcy_scrub_look.c: one object's files. Blocks as the disks do; touches nothing but its arguments. ---- */

struct lcy_scrub_file {
	const struct be *be; /* NULL: none */
	uint8_t tier;
	bool memory;
	/* told: */
	uint8_t found, what; /* enums above */
	int status;	     /* UNREADABLE: negative */
	const char *why;     /* ATTR: a text that lives for ever, or NULL */
	char *uri;	     /* malloc'ed; what it says that it is called; NULL: nothing */
	uint16_t uri_len;
};
enum { LCY_SCRUB_HOME, LCY_SCRUB_COPY, LCY_SCRUB_FILES };
struct lcy_scrub_job {
	uint64_t id, size; /* as the index has them */
	uint32_t rev, slot;
	struct lcy_scrub_file file[LCY_SCRUB_FILES];
};
/** Look at all files of the job. @param copy  buf, rate, seat, stop, hold are set; @param attr  BE_ATTR_MAX bytes to work in */
void lcy_scrub_look(struct lcy_copy *copy, struct lcy_scrub_job *job, uint8_t attr[static BE_ATTR_MAX]);
/** Free what was told. */
void lcy_scrub_job_fini(struct lcy_scrub_job *job);

/* ---- lcy_scrub_keep.c: the state ---- */

struct lcy_scrub_sums {
	uint64_t objects, bytes;
	uint64_t damaged, unreadable, no_sum;
	uint64_t began_s, ended_s; /* since 1970; 0: not yet */
};
struct lcy_scrub_row { /* of a tier, by number */
	char name[OM_TIER_NAME_MAX]; /* what was kept for another tier is not this one's */
	uint64_t pos;	    /* id; everything up to it was looked at in this pass */
	uint64_t waited_ns; /* since the last object was due */
	struct lcy_scrub_sums cur, last; /* this pass, the one before */
	uint32_t now; /* this pass goes on without waiting */
	uint32_t pad;
};
struct lcy_scrub_bad {
	uint64_t id, seen_s; /* since 1970 */
	uint8_t tier, what;  /* enum lcy_scrub_what */
	uint8_t pad[6];
};
/* The file as it is, host byte order: it stays on its machine. Two names take turns, and the newest whole one counts. */
struct lcy_scrub_state {
	uint64_t magic, sum, seq; /* sum: XXH3-64 of all of it with a sum of 0 */
	uint32_t n_bad, pad;
	struct lcy_scrub_row row[OM_TIERS_MAX];
	struct lcy_scrub_bad bad[LCY_SCRUB_BAD_MAX];
};
static_assert(sizeof(struct lcy_scrub_row) == 168 && sizeof(struct lcy_scrub_bad) == 24, "layout of the file");

/** @return 0; -OBJM_STATUS_NOT_FOUND: there is none that is whole, *ret is all zero */
int lcy_scrub_read(int dirfd, struct lcy_scrub_state *ret);
/** Write it as the newest; magic, sum and seq are set here. @param sync  and make it durable. @return 0; a status of om_status_errno() */
int lcy_scrub_write(int dirfd, struct lcy_scrub_state *state, bool sync) OM_MUST_USE;

/* ---- the pace: pure ---- */

static inline double lcy_scrub_cost(uint64_t bytes) { return (double)bytes + LCY_SCRUB_EACH; }
/** How long after the one before an object of `bytes` is due, of `total` that a pass of `days` has to read. */
uint64_t lcy_scrub_share(uint32_t days, uint64_t bytes, double total);
/** Time that is left over when an object that was due after `share_ns` is begun after `waited_ns`. */
uint64_t lcy_scrub_left(uint64_t waited_ns, uint64_t share_ns);

/* ---- the module's part of struct lcy ---- */

struct lcy_scrub_tier {
	struct lcy_best found, batch; /* being collected; the next ones, `at` the first of them */
	uint32_t at;
	bool collect;
	uint64_t from; /* the position when the scan that collects began */
	double total, total_now; /* what there is to read, by the last scan; counted so far */
	unsigned fails; /* in a row */
	uint64_t again_ns;
};
struct lcy_scrub {
	struct lcy_scrub_state state;
	struct lcy_scrub_tier tier[OM_TIERS_MAX];
	uint64_t seen_ns; /* the turn before */
	uint64_t save_ns; /* the state is written then; 0: nothing has changed */
	unsigned look;	  /* 1: job is being looked at the first time; 2: the second */
	uint64_t again_ns; /* job waits for its second look; 0: it does not */
	bool void_job;	  /* the index is another one: its slot means nothing */
	unsigned tries;	  /* looks at one object that came to nothing */
	/* the thread's, while `busy`; else the loop's */
	bool on, busy, writes;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool asked; /* under lock */
	_Atomic bool done, stop, hold;
	struct lcy_scrub_job job;
	struct lcy_scrub_state out;
	int out_status, said;
	struct lcy_copy copy;
	struct lcy_yield_seat seat;
	uint8_t attr[BE_ATTR_MAX];
};

#endif
