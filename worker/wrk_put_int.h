/*
 * wrk_put_int.h: what the files of the put sessions share. Others include wrk_put.h.
 *
 * Each file calls only those below it:
 *
 * wrk_put_set.c      the table of sessions, the tiers: made and freed
 * wrk_put_inline.c   bytes that come in the request
 * wrk_put.c          what clients ask: begin, commit, abort; answers
 * wrk_put_make.c     the files of small ones, several to a job
 * wrk_put_watch.c    open sessions that take more than they may
 * wrk_put_freeze.c   the commit begins: freeze, PREPARE
 * wrk_put_batch.c    link and sync, a batch of a tier at a time
 * wrk_put_commit.c   COMMIT
 * wrk_put_room.c     room that the supervisor promises
 * wrk_put_tier.c     which tier takes it
 * wrk_put_verdict.c  what a refusal says
 * wrk_put_session.c  a session: made, its steps, its end
 * wrk_put_hold.c     what it holds, and gives back
 * wrk_put_pace.c     when the next batch begins
 *
 * All in the loop, but for the run functions of jobs (named ..._run), which touch the session that they were given, its
 * tier's struct be, and nothing else.
 */
#ifndef WRK_PUT_INT_H
#define WRK_PUT_INT_H

#include "backend/be.h"
#include "worker/wrk_io.h"
#include "worker/wrk_put.h"

#define WRK_PUT_BATCH_MAX 256u	      /* commits of one tier made durable together; more only adds delay */
#define WRK_PUT_BEHIND_MAX 1024u      /* acknowledged and not yet synced (durability batch): then commits wait for the sync */
#define WRK_PUT_GATHER_NS 1000000u    /* so long a batch waits at most for puts that are about to join it */
#define WRK_PUT_SLOW_NS 3000000u      /* a sync that takes so long, whatever it carries: see wrk_put_pace.c */
#define WRK_PUT_OUT_MAX_NS 200000000u /* so long a batch waits at most for the verdicts of the one before it */
#define WRK_PUT_MAKE_MAX 16u	      /* files made in one job; more of them come to a batch all at once, and nothing is left for the next */
#define WRK_PUT_MAKE_JOBS 2u
#define WRK_PUT_MAKE_BYTES (64u << 10) /* a payload above it has a job of its own */
#define WRK_PUT_LOOP_BYTES (256u << 10) /* on memory tiers, work of up to so many bytes is done in the loop */
#define WRK_PUT_RETRY_NS 5000000u     /* a ring or a key that is busy */
#define WRK_PUT_RETRY_MAX_NS 1000000000u
#define WRK_PUT_WATCH_NS 100000000u
#define WRK_PUT_TIGHT_NS 10000000u /* where a tier has less room than WRK_PUT_TIGHT_BYTES, and not too many puts are open */
#define WRK_PUT_TIGHT_BYTES (256ull << 20)
#define WRK_PUT_TIGHT_MAX 256u
#define WRK_PUT_SLACK (64ull << 20) /* beyond the announced size, before a session is cut */
#define WRK_PUT_REFUSE_NS 30000000000ull
#define WRK_PUT_ROOM_NS 100000000u /* how long the room of a filesystem is believed */
#define WRK_PUT_SLOT_BITS 20 /* of a session's number; above them, how often the slot was used */
#define WRK_PUT_SLOT_MASK ((1u << WRK_PUT_SLOT_BITS) - 1)
#define WRK_PUT_UIDS 256u	   /* buckets of the table of users */

enum wrk_put_state {
	WRK_PUT_ROOM,	/* RESERVE sent */
	WRK_PUT_BEGIN,	/* the file is being made (job) */
	WRK_PUT_OPEN,	/* the client writes */
	WRK_PUT_FEED,	/* inline: the payload comes */
	WRK_PUT_CUT,	/* it took too much: lives to say so; cut by a job, again and again */
	WRK_PUT_WORK,	/* inline write, freeze (job) */
	WRK_PUT_WAIT,	/* timer: writer still open, ring or key busy */
	WRK_PUT_ASK,	/* PREPARE sent */
	WRK_PUT_QUEUED, /* has an id; waits for its tier's batch, or is in it */
	WRK_PUT_SUBMIT, /* COMMIT sent */
	WRK_PUT_ANSWER, /* the answer goes out at the end of the turn */
	WRK_PUT_BEHIND, /* answered; waits for its sync, or is in it */
	WRK_PUT_STATES
};

struct wrk_put_user { /* bounds of one uid */
	struct wrk_put_user *next;
	uint32_t uid;
	unsigned n;
	uint64_t inline_bytes;
	uint64_t refused_until_ns;
};

struct wrk_put_queue {
	struct wrk_put *first, **last;
	unsigned n;
};

struct wrk_put_tier;
struct wrk_put_make {
	struct wrk_put_tier *tier;
	struct wrk_io_job job;
	struct wrk_put *batch[WRK_PUT_MAKE_MAX];
	unsigned n; /* 0: not under way */
};

struct wrk_put_tier {
	struct wrk_put_set *set;
	bool have;
	bool memory;
	uint8_t no;
	struct be be;	  /* begin, freeze (any thread); link, sync (the batch's job) */
	struct be behind; /* sync of what was acknowledged before (its own job) */
	uint64_t hinted;  /* bytes announced by sessions that the supervisor does not know of */
	struct be_usage usage;
	uint64_t usage_at_ns;
	struct wrk_put_queue queue, behind_queue, make_queue;
	struct wrk_task task, make_task;
	struct wrk_put_make make[WRK_PUT_MAKE_JOBS];
	struct wrk_io_job job, behind_job;
	struct wrk_put *batch[WRK_PUT_BATCH_MAX], *behind_batch[WRK_PUT_BEHIND_MAX];
	unsigned n_batch, n_behind;
	unsigned n_coming; /* puts that a sync waits for and that will soon be in `queue` */
	unsigned n_out;	   /* synced puts whose COMMIT has no verdict yet */
	unsigned n_back;   /* puts that had theirs, less those that have come since */
	uint64_t back_ns;  /* when the last of them had it */
	uint64_t sync_ns;  /* what a sync takes at least, of late; 0: none yet */
	uint64_t took_ns;  /* the batch's */
	uint64_t wait_ns;  /* since when the next batch waits; 0: it does not */
	bool hurry;	   /* there are puts in `queue` that wait for no sync: not because of a slow one */
	struct wrk_timer gather; /* armed: the next batch waits */
	int sync_status; /* of the batch */
	int sync_errno;
	int behind_status, behind_errno;
};

struct wrk_put_set {
	struct wrk *w;
	struct wrk_put **slots; /* limits.put_sessions */
	uint32_t *gens;		/* how often a slot was used: in the session's number */
	uint32_t *free_slots;
	unsigned n_slots, n_free, n;
	uint64_t inline_bytes;
	struct wrk_put_user *users[WRK_PUT_UIDS];
	struct wrk_put_queue answers;
	struct wrk_task answer_task;
	struct wrk_timer watch;
	struct wrk_put_tier tiers[OM_TIERS_MAX];
	char text[512]; /* of a refusal */
};

struct wrk_put {
	struct wrk_put_set *set;
	struct wrk_put_owner *owner; /* NULL: closed, aborted or detached */
	struct wrk_put *next_owned, **prevp_owned;
	struct wrk_put *next; /* in a queue */
	struct wrk_put_user *user;
	struct wrk_put_tier *tier;
	uint32_t slot; /* UINT32_MAX: given back */
	uint32_t number;
	uint32_t tried; /* tiers, bits */
	struct wrk_put_tier *coming; /* whose next batch it will soon join (n_coming); NULL: none */
	struct wrk_put_tier *full; /* the first that would take it, had it the room */
	void (*room_go)(struct wrk_put *p); /* what comes when there is room */
	uint64_t room_bytes; /* the supervisor's promise; 0: none */
	uint64_t grow_bytes, grow_req; /* asked for while it writes; req 0: not */
	uint8_t state;	/* enum wrk_put_state */
	bool dead;	/* nobody wants it: it ends at the next step that may end */
	bool is_inline;
	bool in_hinted;	 /* p->hint is part of its tier's `hinted` */
	bool room_asked; /* there may be a room of its number: it must end */
	bool room_wait;	 /* it waits for room, or has waited */
	bool grow_refused;
	bool begun; /* BEGIN was answered: answers are done_fn's from here on */
	bool frozen;
	bool must_copy;
	bool ticket_wait;      /* no verdict yet */
	bool begin_ready;      /* the file is made: the verdict is all that is missing */
	uint8_t ticket_limit;  /* enum om_admit_limit */
	struct wrk_ticket *ticket; /* its place under the limits of all workers */
	bool copied;
	bool commit_asked;
	bool sync_now; /* before the answer */
	bool is_out;   /* counted in its tier's n_out */
	bool synced;
	uint8_t durability;
	struct om_op_cond cond;
	uint64_t hint;
	uint64_t ttl_s;
	struct be_file file;
	struct om_rec rec; /* uri, type, meta point into `text` */
	char *text;
	char *buf; /* inline payload */
	uint64_t len, fed;
	wrk_put_begun_fn *begun_fn;
	wrk_put_done_fn *done_fn;
	void *arg;
	struct wrk_io_job job;
	struct wrk_timer timer;
	void (*again)(struct wrk_put *p); /* what the timer does */
	uint64_t commit_due_ns;
	uint64_t retry_due_ns;
	int status;
	int freeze_status; /* inline: of the freeze in the same job */
	int err; /* errno of the failed step, 0: none */
	const char *step; /* what failed: "writing", ...; NULL: nothing to say */
	uint64_t cur_id;
	uint32_t cur_rev;
	char why[400];
};

/* wrk_put.c */
void wrk_put_answer_all(void *set); /* the task at the end of a turn */

/* wrk_put_session.c */
void wrk_put_end(struct wrk_put *p); /* the last of a session: frees everything */
void wrk_put_release(struct wrk_put *p); /* gives back its place in the table and in the bounds of its user */
void wrk_put_answer(struct wrk_put *p, int status); /* queue the answer; the session ends, or opens again, with it */
/** A session within its bounds. @return NULL: refused, *ret_status and s->text say why */
struct wrk_put *wrk_put_session_new(struct wrk_put_set *s, struct wrk_put_owner *o, const struct wrk_put_req *req,
				    int *ret_status);
int wrk_put_refuse(struct wrk_put_set *s, int status, const char **ret_text);
void wrk_put_begin_run(struct wrk_io_job *job); /* makes the file: p->status, p->err, p->file */
bool wrk_put_other_tier(int status);		/* a failure for which another tier may be better */
const char *wrk_put_text(struct wrk_put *p);	/* p->why, made of p->step and p->err when it is empty */
void wrk_put_detach(struct wrk_put *p); /* its owner lets go of it: it goes on by itself */
void wrk_put_queue_init(struct wrk_put_queue *q);
void wrk_put_queue_add(struct wrk_put_queue *q, struct wrk_put *p);
struct wrk_put *wrk_put_queue_take(struct wrk_put_queue *q);
/** Run a step now (memory tiers, little work) or on the I/O pool; then done() either way. */
void wrk_put_work(struct wrk_put *p, uint64_t bytes, void (*run)(struct wrk_io_job *), void (*done)(struct wrk_io_job *));
void wrk_put_later(struct wrk_put *p, uint64_t ns, void (*again)(struct wrk_put *)); /* its next step, after so long */
static inline struct wrk_put *wrk_put_of_job(struct wrk_io_job *job)
{
	return (struct wrk_put *)((char *)job - offsetof(struct wrk_put, job));
}

/* wrk_put_make.c */
void wrk_put_make_init(struct wrk_put_tier *t);
void wrk_put_make_add(struct wrk_put *p); /* p->job.run and .done are set: run on an I/O thread, with others */

/* wrk_put_tier.c */
/** Choose the tier for p (not one of p->tried) and account for it. @return 0; a status, p->why says more */
int wrk_put_choose(struct wrk_put *p);
/** p goes to this tier. */
void wrk_put_use_tier(struct wrk_put *p, struct wrk_put_tier *t);

/* wrk_put_hold.c */
void wrk_put_unchoose(struct wrk_put *p); /* its tier, and all that it holds there; fine without one */
/** The supervisor knows of p's bytes from now on, or p is over: they are no part of `hinted` any more. */
void wrk_put_unhint(struct wrk_put *p);
const char *wrk_put_tier_name(const struct wrk_put *p);
void wrk_put_room_end(struct wrk_put *p);   /* given back; fine without one */
uint32_t wrk_put_room_no(const struct wrk_put *p); /* for its PREPARE; 0: it has none */
void wrk_put_room_taken(struct wrk_put *p); /* its PREPARE has it */
void wrk_put_inline_drop(struct wrk_put *p); /* the payload is not needed any more; fine without one */
struct wrk_put_user *wrk_put_user_get(struct wrk_put_set *s, uint32_t uid); /* NULL: out of memory */
void wrk_put_user_put(struct wrk_put_set *s, struct wrk_put_user *u);

/* wrk_put_room.c */
/** Get room for p->hint on the tier chosen (status 0), on another, or by waiting (status: why none was chosen); then go(p). Else p
 * is answered. Not to be called from inside the call that makes p known. */
void wrk_put_room(struct wrk_put *p, int status, void (*go)(struct wrk_put *));
void wrk_put_room_grow(struct wrk_put *p, uint64_t bytes); /* it takes so many now */

/* wrk_put_verdict.c */
/** Was it refused because its user owns too much? Then p->why says so, and it is counted. */
bool wrk_put_owner_limit(struct wrk_put *p, const struct om_op_verdict *v);
void wrk_put_refused(struct wrk_put *p, const struct om_op_verdict *v); /* answers p, and says why */

/* wrk_put_freeze.c */
void wrk_put_freeze(struct wrk_put *p);	 /* the commit begins, or begins again */
int wrk_put_freeze_now(struct wrk_put *p); /* the work of it, on the caller's thread: 0 or a status, p->err its errno */
void wrk_put_freeze_done(struct wrk_put *p); /* loop: how it went is p->status */

/* wrk_put_commit.c */
void wrk_put_submit(struct wrk_put *p); /* linked and durable */

/* wrk_put_batch.c */
void wrk_put_batch_init(struct wrk_put_tier *t);
void wrk_put_batch_add(struct wrk_put *p);  /* has an id: link it, make it durable */
void wrk_put_behind_add(struct wrk_put *p); /* acknowledged: sync it; p is not the caller's any more */

/* wrk_put_pace.c */
void wrk_put_coming(struct wrk_put *p);	    /* it will soon join its tier's next batch, if nothing comes between */
void wrk_put_not_coming(struct wrk_put *p); /* it has joined, or something came between; fine at any time */
bool wrk_put_pace_waits(struct wrk_put_tier *t); /* the next batch had better wait: t->task is queued when something has changed */
void wrk_put_pace_synced(struct wrk_put_tier *t); /* a batch's sync took t->took_ns */
void wrk_put_pace_joined(struct wrk_put *p);	  /* it joins its tier's queue */
void wrk_put_pace_out(struct wrk_put *p);	  /* its COMMIT goes out */
void wrk_put_pace_back(struct wrk_put *p);	  /* its verdict has come; fine when it was not out */
void wrk_put_pace_init(struct wrk_put_tier *t);

/* wrk_put_watch.c */
void wrk_put_watch(struct wrk_put_set *s); /* a session is open: look at it from time to time */
void wrk_put_watch_init(struct wrk_put_set *s);

#endif
