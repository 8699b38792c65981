/*
 * lcy.h: the lifecycle process as a whole: what its parts share.
 *
 * Linked by objmapper-lifecycle and its tests. Threads: the loop (control socket, ring, heat, decisions); movers (lcy_move.h),
 * which copy; one that gives files new attributes, once that was asked for; one that writes heat to state_dir now and then; one that reads
 * what a scrub is to check; and, while a tier is scanned, one scan thread that does nothing but read files and send FOUND. All put into the ring, under ring_lock. Everything below is the loop's alone unless it
 * says otherwise.
 *
 *	lcy_main.c	BOOT, control messages, the loop
 *	lcy_order.c	what the ring brings, to whom it belongs
 *	lcy_files.c	removals        lcy_scan.c  scans for rebuilds and orphans
 *	lcy_attr.c	new attributes of files
 *	lcy_heat.c	access logs into heat
 *	lcy_save.c	heat over a restart (file: lcy_keep.c)
 *	lcy_scrub.c	objects that nobody moves are read and checked now and then (lcy_scrub.h)
 *	lcy_tiers.c	what a tier can take, and how it has done of late
 *	lcy_cache.c	which objects have a copy on the cache tier (lcy_blend.c decides)
 *	lcy_plan.c	the cycle: all objects looked at, in slices; candidates (lcy_best.c)
 *	lcy_act.c	candidates become jobs (lcy_move.c), jobs end
 *	lcy_task.c	what an administrator asks
 *	lcy_turn.c	who hears of a whole scan, and of a job's end
 */
#ifndef LCY_H
#define LCY_H

#include <pthread.h>
#include <stdatomic.h>

#include "backend/be.h"
#include "common/msg_proc.h"
#include "common/msg_ring_lifecycle.h"
#include "common/om_ring.h"
#include "index/idx_alog.h"
#include "index/idx_heat.h"
#include "index/idxr.h"
#include "lifecycle/lcy_best.h"
#include "lifecycle/lcy_keep.h"
#include "lifecycle/lcy_move.h"
#include "lifecycle/lcy_blend.h"
#include "lifecycle/lcy_scrub.h"

#define LCY_ALOGS_MAX 257u	 /* workers' places */
#define LCY_HEAT_MS 200u	 /* access logs are read this often */
#define LCY_HEAT_BUSY_MS 20u	 /* at most, while workers log much: 16,384 entries last for 800,000 accesses a second */
#define LCY_HEAT_LOOK 64u	 /* entries of one log that a look should find: some 50 us of work, which requests may have to wait for */
#define LCY_HEAT_COPY 65536u	 /* slots of an old segment copied in a turn */
#define LCY_START_MARGIN_S 10u /* names in staging/ that are younger may be of this run */
#define LCY_SWEEP_MS 1000u	 /* staging/ of tiers without nameless files is looked through this often */
#define LCY_DIRS_YOUNG 16u	 /* id directories so close to the highest id may still get files: they stay, empty or not */
#define LCY_REAP_BATCH 256u	 /* files removed before their directories are synced */
#define LCY_REAP_WAIT_MS 5u	 /* so long the first of a batch waits for more */

#define LCY_SLICE 16384u	  /* slots looked at in a turn: about a millisecond */
#define LCY_ROOM_MAX 4096u	  /* candidates to make room on a tier, from one scan */
#define LCY_EXPIRED_MAX 4096u	  /* expired objects found in one scan */
#define LCY_DRAIN_MAX 4096u	  /* objects of a drain, from one scan */
#define LCY_PACE_MS 5000u	  /* so often it is noted how far a drain is, and so many of these tell its pace: a minute */
#define LCY_PACE_NOTES 12u
#define LCY_PACE_LEAST_MS 2000u	  /* a pace of less is none yet */
#define LCY_TOP_MAX 100u	  /* objects that TOP can tell */
#define LCY_RECENT (1u << 16)	  /* objects remembered because they moved or failed of late */
#define LCY_JOBS_SPARE 64u	  /* jobs kept free for making room and for tasks */
#define LCY_LEAVING_MS 250u	  /* after so long the tier's figure tells of what left it */
#define LCY_KEEP_S 300u		  /* heat is written this often */
#define LCY_CACHE_QUEUE 8192u	  /* objects let in by the policy that wait for their copy */
#define LCY_POLICY_TURN 20000u	  /* accesses that the policy is told of between two turns; of more, every n-th */
#define LCY_ASKS_MAX 64u	  /* tasks that wait for something */
#define LCY_ASK_AGAIN_MS 30u	  /* so long after it was told that the name or the key is busy a move by hand is tried again */
#define LCY_ASK_MS 8000u	  /* after so long one is answered "under way" */

/* How far a drain was, in turn: the last LCY_PACE_NOTES of `n` notes. */
struct lcy_pace {
	uint64_t at_ns[LCY_PACE_NOTES], objects[LCY_PACE_NOTES], bytes[LCY_PACE_NOTES];
	unsigned n;
};

struct lcy_tier {
	bool on;	/* its directories are here */
	struct be be;	/* loop thread: removals */
	struct be scan; /* scan thread: its own, so that no two share a word */
	struct be attr; /* the thread of lcy_attr.c */
	struct be scrub; /* the thread of lcy_scrub.c */
	/* decisions */
	uint64_t inbound, outbound; /* bytes of jobs under way to it and off it */
	uint64_t asked_for;	    /* of `inbound`: not allowed yet, so not in the supervisor's figures either */
	uint64_t leaving, leaving_ns; /* bytes that just left: the supervisor's figure follows when their files are gone */
	unsigned fails;		    /* in a row */
	uint64_t again_ns;	    /* no moves there before */
	bool dead;		    /* a sync failed: no target until the process is a new one */
	bool drain;		    /* everything moves off */
	uint64_t drained, drained_bytes, drain_stuck, drain_stuck_now; /* since the drain began; what can go nowhere: of the last scan, and of the one under way */
	uint64_t drain_again_ns, drain_seen; /* the next look at what is left; `drained` at the last one */
	unsigned drain_idle;	    /* looks in a row that moved nothing */
	unsigned drain_looks;	    /* since the drain, or the process, began */
	struct lcy_pace drain_pace;
	uint64_t asked;		    /* ROOM: bytes that somebody waits for */
	bool hurry;		    /* and what makes that room is still under way: moves do not give way to requests */
	bool over;		    /* above the high mark, and not down at the low one yet */
	bool room_now;		    /* room is being made: candidates of the last scan are under way */
	uint64_t room_freed;	    /* by them */
	uint64_t room_again_ns;	    /* nothing could be freed: not before */
};

/* Removals that are gathered: a batch has one sync for each directory. */
struct lcy_reaps {
	struct om_op_reap order[LCY_REAP_BATCH];
	int status[LCY_REAP_BATCH];
	unsigned n;
	uint64_t due_ns; /* when they are made, however few they are */
};

struct lcy_scan {
	struct om_op_scan order;
	struct lcy_scan *next;
};

/* An object that moved, or failed to, of late. */
struct lcy_recent {
	uint64_t id;
	uint32_t until_s; /* low 32 bits of the time since 1970 */
	int8_t dir;	  /* 1: went up; -1: went down; 0: nothing is done with it */
};

struct lcy_attr_order;
struct lcy_attrs {
	pthread_t thread;
	bool on;
	/* under lock */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct lcy_attr_order *first, **last;
	unsigned n;
	bool stop;
};

struct lcy_plan {
	bool paused;
	bool scanning, want; /* a scan runs; another is wanted at once */
	bool cycle;	     /* this scan ends in a cycle: moves may follow */
	uint64_t due_ns;     /* next cycle */
	uint64_t at;	     /* next slot */
	uint64_t started_ns, took_ns;
	uint64_t live, bytes; /* counted so far */
	uint64_t last_live, last_bytes, cache_other; /* of the last whole scan; bytes on the cache tier that are no copies */
	uint64_t cache_other_now;
	uint64_t cycles;
	uint32_t room_tiers; /* bits: candidates are collected for these */
	struct lcy_best up, down, expired, drain, top, top_now;
	struct lcy_best room[OM_TIERS_MAX];
	uint64_t top_ns; /* when `top` was made; 0: never */
	struct lcy_cand *acts; /* what the last scan found, in the order in which it is done */
	uint32_t n_acts, next_act, acts_room;
	uint32_t budget; /* moves that this cycle may still begin */
	struct lcy_recent recent[LCY_RECENT];
	uint64_t moved_up, moved_down, cached, dropped, expired_n, failed, refused;
	uint64_t moved_bytes;
};

struct lcy_cache {
	struct lcy_blend *policy; /* NULL: none (yet) */
	uint8_t tier;		   /* that it is for */
	uint32_t slots;
	uint32_t *tag;	/* by slot: low 32 bits of the id that the policy knows there; 0: none */
	uint32_t *page; /* by slot: size in 4 KiB; LCY_CACHE_WAITS: it waits for its copy */
	uint32_t *queue; /* slots that wait, LCY_CACHE_QUEUE of them */
	uint32_t q_head, q_tail;
	uint32_t *gone; /* slots whose copy goes, LCY_CACHE_QUEUE of them */
	uint32_t g_head, g_tail;
	bool seeding;
	uint64_t told, skip; /* accesses since the last turn */
};

/* What was read at start is used twice: a scan restores heat, the next one seeds the policy. */
enum lcy_save_stage { LCY_SAVE_NONE, LCY_SAVE_HEAT, LCY_SAVE_POLICY };

struct lcy_save {
	int dirfd; /* -1: none */
	struct lcy_keep old; /* read at start; entry NULL once it is used up */
	enum lcy_save_stage stage;
	bool restoring, again; /* this scan restores; one before was cut off while it did */
	unsigned spare_scans;
	uint64_t due_ns, seq;
	bool collecting;
	struct lcy_keep now;
	double least; /* counts below are not kept */
	uint64_t over; /* entries that had no room */
	pthread_t thread;
	bool writing;
	_Atomic bool written;
	_Atomic int status;
	int said; /* the status that was logged last */
};

struct lcy_ask {
	uint64_t req; /* 0: free */
	uint64_t due_ns;
	uint8_t kind;	 /* enum om_task_kind */
	struct lcy_job *job; /* MIGRATE, PROMOTE, DEMOTE, EXPLAIN; NULL: it waits for a scan or for names (TOP) */
	struct lcy_top *top;
	struct lcy_cand cand; /* MIGRATE, PROMOTE, DEMOTE: what was asked for, and when it is tried once more (0: it is under way) */
	uint64_t again_ns;
	uint64_t want, scan_ns; /* TOP: how many; a scan that began later tells */
};

struct lcy {
	struct om_proc_boot boot;
	int ctl_fd, run_lock_fd;
	struct om_ring ring;
	pthread_mutex_t ring_lock; /* puts; gets are the loop's alone */
	struct lcy_tier tiers[OM_TIERS_MAX]; /* by number */
	bool draining;
	uint64_t now_ns, now_s; /* CLOCK_MONOTONIC and since 1970, as of this turn of the loop */
	uint64_t sweep_due_ns;

	/* heat (lcy_heat.c) */
	struct idxr idx, old_idx;
	struct idx_heat heat, old_heat;
	uint64_t copied; /* slots of old_heat already taken over */
	bool copying;
	struct idx_alogr alog[LCY_ALOGS_MAX];
	bool alog_on[LCY_ALOGS_MAX];
	uint64_t heat_due_ns;
	unsigned heat_ms; /* the pause now */

	/* scans (lcy_scan.c) */
	struct lcy_scan *scans, **scans_end; /* orders that wait */
	pthread_t scan_thread;
	bool scan_running;
	_Atomic bool scan_ended; /* by the thread, when it is about to return */
	struct lcy_scan *scan_now;

	struct lcy_attrs attrs; /* lcy_attr.c */
	struct lcy_reaps reaps;
	struct lcy_yield_seat seat; /* the loop's: never taken, removals are charged to it */

	/* decisions */
	struct lcy_moves moves;
	struct lcy_plan plan;
	struct lcy_cache cache;
	struct lcy_save save;
	struct lcy_scrub scrub;
	struct lcy_ask ask[LCY_ASKS_MAX];
	/* where answers go; lcy_main.c: the ring */
	int (*send)(struct lcy *l, const struct iovec *iov, int n);
};

/* lcy_order.c: takes everything the ring holds. False: the ring is broken. */
bool lcy_order_turn(struct lcy *l);
/** One message of the supervisor that is no REAP; what cannot be is ignored and counted as an inconsistency. */
void lcy_order(struct lcy *l, const struct om_op_hdr *m, size_t len);

/* lcy_files.c: removals. */
/** Remove them, then answer each; the batch is empty afterwards. False: the ring is broken. */
bool lcy_files_remove(struct lcy *l, struct lcy_reaps *b);
/** Once in LCY_SWEEP_MS: names in staging/ that nobody needs, where files are begun under names (no O_TMPFILE): an object's
 * bytes would outlive its removal under such a name. Workers may not unlink. */
void lcy_files_sweep(struct lcy *l, uint64_t now_ns);

/* lcy_attr.c: a file gets a new attribute (ATTR), and the supervisor is told, now or when its thread has done it. */
void lcy_attr(struct lcy *l, const struct om_op_attr *m, size_t len);
/** End its thread; what waits is dropped. For tests; the process itself just ends. */
void lcy_attr_stop(struct lcy *l);

/* lcy_scan.c */
void lcy_scan_order(struct lcy *l, const struct om_op_scan *order);
/** Start the next scan when none runs. */
void lcy_scan_turn(struct lcy *l);

/* lcy_heat.c */
void lcy_heat_turn(struct lcy *l, uint64_t now_ns);
/** How long until the next look at the access logs, of which the fullest had `found` entries after a pause of `pause_ms`. */
unsigned lcy_heat_pause(unsigned pause_ms, unsigned found);
/** Take over a new index and its heat; the descriptors are taken on success. 0 or negative. */
int lcy_heat_index(struct lcy *l, int index_fd, int heat_fd) OM_MUST_USE;
int lcy_heat_alog(struct lcy *l, uint32_t child, int fd) OM_MUST_USE;
void lcy_heat_alog_gone(struct lcy *l, uint32_t child);
/** Requests that workers have met; changes, up or down, when one has met another, comes or goes. */
uint64_t lcy_heat_asked(const struct lcy *l);

/* lcy_save.c */
/** Take over the directory; what an earlier run kept there is read if this is the first process of the daemon's run. */
void lcy_save_init(struct lcy *l, int dirfd, bool first);
/** An object that a scan meets: what was kept of it becomes its heat; what it has is collected. */
void lcy_save_see(struct lcy *l, uint32_t slot, const struct idx_ent *ent, uint64_t now_s);
/** A scan begins or has ended (`whole`: it met every object). */
void lcy_save_begin(struct lcy *l, uint64_t now_ns);
void lcy_save_end(struct lcy *l, bool whole);
void lcy_save_turn(struct lcy *l);
/** The process is about to end: write what there is, for at most about `ms`. */
void lcy_save_last(struct lcy *l, unsigned ms);
void lcy_save_fini(struct lcy *l);
/** The policy is seeded, or there will be none: what an earlier run kept is given back. */
void lcy_save_done(struct lcy *l);
/** What an earlier run knew of an object; NULL: nothing, or it is over. */
const struct lcy_keep_entry *lcy_save_known(const struct lcy *l, uint64_t id);

/* lcy_scrub.c */
/** After lcy_save_init(): what an earlier run knew is read. */
void lcy_scrub_init(struct lcy *l);
/** The thread that reads, in advance; else it comes with the first object. False: not now. */
bool lcy_scrub_start(struct lcy *l);
/** A scan begins; an object that it meets, whose home is a tier; it has ended (`whole`: it met every object). */
void lcy_scrub_scan(struct lcy *l);
void lcy_scrub_see(struct lcy *l, uint32_t slot, const struct idx_ent *ent);
void lcy_scrub_scanned(struct lcy *l, bool whole);
/** The index is another one. */
void lcy_scrub_forget(struct lcy *l);
/** Once in a turn of the loop. True: the copy in *ret_drop is damaged and its home is not: it is to go. */
bool lcy_scrub_turn(struct lcy *l, struct lcy_cand *ret_drop) OM_MUST_USE;
/** Read every object, beginning now (or, where that goes on already, still); false: at the usual pace again. */
void lcy_scrub_now(struct lcy *l, bool on);
/** Is the tier one whose objects are read? */
bool lcy_scrub_tier_is(const struct lcy *l, unsigned no);
/** What changed is written within a second or so. */
void lcy_scrub_soon(struct lcy *l);
/** The process is about to end: write how far it is. */
void lcy_scrub_last(struct lcy *l);
/** For tests; the process itself just ends. */
void lcy_scrub_fini(struct lcy *l);

/* lcy_scrub_judge.c */
/** The job has been read: counted, said. As lcy_scrub_turn(). */
bool lcy_scrub_judge(struct lcy *l, struct lcy_cand *ret_drop) OM_MUST_USE;
/** What was found wrong with an object's home; NULL: nothing. */
const struct lcy_scrub_bad *lcy_scrub_bad(const struct lcy *l, uint64_t id);
/** enum lcy_scrub_what as a sentence. */
const char *lcy_scrub_text(unsigned what);

/* lcy_tiers.c */
/** The tier's row; NULL: there is none of that number. Its name, "?" then. */
const struct om_boot_tier *lcy_tier_row(const struct lcy *l, unsigned no);
const char *lcy_tier_name(const struct lcy *l, unsigned no);
bool lcy_tier_memory(const struct lcy *l, unsigned no);
/** A memory tier that takes ephemeral objects. */
bool lcy_tier_ephemeral(const struct lcy *l, unsigned no);
/** True if a is the faster of two tiers. */
bool lcy_tier_faster(const struct lcy *l, unsigned a, unsigned b);
uint64_t lcy_tier_capacity(const struct lcy *l, unsigned no);
/** True if moves may read from it: it is ready or read-only, here, and (but for copies) a migration_src. */
bool lcy_tier_gives(const struct lcy *l, unsigned no, bool copy);
/** 0 if `bytes` may go there now, keeping it at or below `share` of its capacity; else why not: UNAVAILABLE, READ_ONLY, NO_SPACE, ... */
int lcy_tier_takes(const struct lcy *l, unsigned no, uint64_t bytes, double share, bool copy, uint64_t now_ns);
/**
 * The tier of the same kind (memory or persistent) that an object on `from` would go to: up, the fastest of the faster ones
 * with room; down, the next slower one with room. OM_TIER_NONE: none.
 */
unsigned lcy_tier_up(const struct lcy *l, unsigned from, uint64_t bytes, uint64_t now_ns);
unsigned lcy_tier_down(const struct lcy *l, unsigned from, uint64_t bytes, uint64_t now_ns);
/** Anywhere of the same kind, the fastest with room: for a drain. */
unsigned lcy_tier_any(const struct lcy *l, unsigned from, uint64_t bytes, uint64_t now_ns);
/** Moves to or from it failed, or went well: back-off, one line of the log for each change. */
void lcy_tier_failed(struct lcy *l, unsigned no, int status, bool as_target, uint64_t now_ns);
/** A sync failed there: what the kernel forgot it does not tell again, so it is no target any more. */
void lcy_tier_dead(struct lcy *l, unsigned no);
void lcy_tier_worked(struct lcy *l, unsigned no);
/** Each turn: is it above the high-water mark, or down at the low one again? */
void lcy_tier_settle(struct lcy *l, unsigned no);
/** Bytes that have to go from it now: from above the high-water mark, or asked for, down to the low one. */
uint64_t lcy_tier_need(const struct lcy *l, unsigned no);

/* lcy_cache.c */
/** An access of a persistent object, counted in its heat already. */
void lcy_cache_access(struct lcy *l, uint32_t slot, const struct idx_ent *ent, double heat);
/** An object that a scan meets (ent NULL: an empty slot). */
void lcy_cache_see(struct lcy *l, uint32_t slot, const struct idx_ent *ent, uint64_t now_s);
/** A scan has met every object: the policy can be made, or resized. */
void lcy_cache_scanned(struct lcy *l);
/** The index, the cache tier or the like is another one: begin anew. */
void lcy_cache_reset(struct lcy *l);
/** The next object that is to get its copy. False: none waits */
bool lcy_cache_next(struct lcy *l, struct lcy_cand *ret);
/** The next copy that is to go, in favour of others. False: none */
bool lcy_cache_next_gone(struct lcy *l, struct lcy_cand *ret);
/** The copy that is worth least. False: the policy knows none */
bool lcy_cache_victim(struct lcy *l, struct lcy_cand *ret);
/** A copy was made (by whomever), or is not there (any more). */
void lcy_cache_there(struct lcy *l, uint32_t slot, uint64_t id, uint64_t size);
void lcy_cache_not_there(struct lcy *l, uint32_t slot, uint64_t id);

/* lcy_plan.c */
void lcy_plan_init(struct lcy *l);
void lcy_plan_fini(struct lcy *l);
/** A slice of the scan that runs; begin one when it is time. True: it was the last slice, what it found is in l->plan (lcy_turn.c). */
bool lcy_plan_turn(struct lcy *l) OM_MUST_USE;
/** Look at everything as soon as possible. */
static inline void lcy_plan_soon(struct lcy *l) { l->plan.want = true; }
/** The index is another one: what was found in the old one means nothing. */
void lcy_plan_forget(struct lcy *l);
/** May the object be moved in this direction now (1 up, -1 down)? */
bool lcy_plan_rested(const struct lcy *l, uint64_t id, int dir, uint64_t now_s);
void lcy_plan_rest(struct lcy *l, uint64_t id, int dir, uint64_t until_s);
/** What would be done with an object in a cycle: false: nothing. Used by the scan, and by EXPLAIN. */
bool lcy_plan_judge(const struct lcy *l, uint32_t slot, const struct idx_ent *ent, double heat, uint64_t now_ns, uint64_t now_s,
		    struct lcy_cand *ret);

/* lcy_act.c */
/** A whole scan is over: what it found becomes the list of what is done. */
void lcy_act_scanned(struct lcy *l, uint64_t now_ns);
/** Start what can be started. */
void lcy_act_turn(struct lcy *l);
/** Start one thing now, if it still holds. @return 0; -PRECONDITION_FAILED: the object is another, or elsewhere; -TRY_AGAIN: it is being
 * worked on, or too much is under way */
int lcy_act_start(struct lcy *l, const struct lcy_cand *c, struct lcy_job **ret_job) OM_MUST_USE;
/** Do moves give way now? Each turn. */
void lcy_act_yield(struct lcy *l);
/** Somebody waits for room (ROOM). */
void lcy_act_room(struct lcy *l, const struct om_op_room *m);
/** A job has ended: the accounts, and what becomes of its object. */
void lcy_act_ended(struct lcy *l, struct lcy_job *job);
/** conf.begun of lcy_move.h; arg: struct lcy. */
void lcy_act_begun(void *arg, const struct lcy_job *job);

/* lcy_task.c */
void lcy_task_order(struct lcy *l, const struct om_op_task *m, const char *uri);
void lcy_task_ended(struct lcy *l, const struct lcy_job *job);
/** Those that waited for a scan or for long enough are answered. */
void lcy_task_turn(struct lcy *l);
void lcy_task_scanned(struct lcy *l);

/* lcy_turn.c */
/** Decisions, once in a turn of the loop: look, and act on what was found. */
void lcy_turn(struct lcy *l);
/** conf.ended of lcy_move.h; arg: struct lcy. */
void lcy_turn_ended(void *arg, struct lcy_job *job);

/* lcy_main.c, lcy_conf.c */
/** Thresholds, rates and tiers are others now (BOOT, CONF). */
void lcy_conf_applied(struct lcy *l);

/* lcy_sandbox.c: after the tiers are open, before the first removal. Logs what could not be done. */
void lcy_sandbox(const struct lcy *l, const int (*dirs)[2], unsigned n);

/** Put a message of `n` pieces; waits, in steps of a millisecond, while the ring is full. Any thread. */
int lcy_send(struct lcy *l, const struct iovec *iov, int n) OM_MUST_USE;

#endif
