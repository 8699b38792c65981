/*
 * sup_engine_int.h: the engine's inside, shared by sup_engine_*.c and sup_tier.c and by nobody else. Tiers: sup_engine_tier.h; changes,
 * keys, reservations, moves, removals: sup_engine_ops.h.
 *
 * Threads and what each owns:
 *   main loop   calls sup_engine.h; owns nothing here but the children's places and its questions
 *   publisher   everything not marked otherwise: rings, reservations, keys, index, generations, removals
 *   committer   one a tier: the write transactions of that tier's catalog; ops lent to it come back through the inbox
 *   readers     snapshots; jobs lent to them come back through the inbox
 *   filler      reads the catalogs once, at the start, and ends
 *   tierd       opens and closes tiers at run time; what it finds goes to the publisher as mail
 *
 * A change is a struct sup_op. It belongs to the publisher, is lent to one committer at a time (one stage after another:
 * copies and targets first, what is deleted last) and ends in finish() of sup_engine_op.c, which calls what its kind has in sup_engine_life.c. At most one op of a key runs; others wait
 * in the key's queue in the order in which they came.
 */
#ifndef SUP_ENGINE_INT_H
#define SUP_ENGINE_INT_H

#include <fcntl.h>

#include "common/om_cpus.h"
#include "common/om_ring.h"
#include "index/cat/idx_cat_list.h"
#include "index/idx_genw.h"
#include "index/idx_heat.h"
#include "supervisor/sup_engine_ops.h"
#include "supervisor/sup_engine_tier.h"

#define SUP_BATCH_MAX 256u	    /* ops to one commit: more only adds delay */
#define SUP_ID_BLOCK 16384u	    /* ids reserved at once: also bounds the orphan scan after a crash */
#define SUP_TURN_MSGS 256u	    /* ring messages taken from one child in a turn */
#define SUP_OUT_BYTES_MAX (1u << 20) /* answers waiting for room in a child's ring: past it its requests wait */
#define SUP_REAP_WINDOW 512u	    /* removals the lifecycle process works on at once */
#define SUP_REAP_QUEUE_MAX 262144u  /* removals waiting: past it changes wait, not memory */
#define SUP_LATE_FROM 256u	    /* removals in a second from which on they wait until the lane of their file has had its turn */
#define SUP_LATE_NS UINT64_C(2000000000)
#define SUP_LATE_BYTES (UINT64_C(256) << 20) /* that may wait so; at most 1/64 of a tier that takes objects */
#define SUP_KEY_WAIT_MAX 64u	    /* ops waiting for one key: past it TRY_AGAIN */
#define SUP_UNLINK_MAX (UINT64_C(1) << 20) /* bytes of a memory tier's file that is unlinked at once: some 50 us */
#define SUP_READERS 2u
#define SUP_ASKS_MAX 64u /* questions of the main loop that are open */
#define SUP_FILL_CHUNK 256u /* rows that the publisher puts into the index in a turn, between what is asked of it: some 40 us */
#define SUP_FILL_AHEAD 8u
#define SUP_HUGE_FROM (8u << 20)  /* an index of fewer bytes is as fast with small pages */
#define SUP_AHEAD_BYTES (4u << 20) /* of a catalog that is read ahead, at once */
#define SUP_AHEAD_AFTER 30u /* hundredths of a second behind the start */
#define SUP_HUGE_PIECE (32u << 20) /* of it at once */
#define SUP_GROW_STEP 16384u
#define SUP_SETTLE_MS 200u
#define SUP_SETTLE_WANTED_MS 10u /* where a move waits for one of them */
#define SUP_GATHER_MS 3u	    /* so long a commit of moves alone waits for more of them */
#define SUP_GATHER_MORE_MS 20u	    /* and so long where others are being copied */
#define SUP_GATHER_COPIES 64u	    /* with fewer of them the lifecycle process may soon have nothing to copy, so intents do not wait so long */

struct sup_rooms;

/* ---- a child ---- */
struct sup_out {
	struct sup_out *next;
	uint32_t len;
	unsigned char bytes[];
};
struct sup_child {
	bool on;
	enum om_role role;
	uint32_t serial;
	uint32_t index_seq;
	struct om_ring ring;
	struct sup_out *out, **out_end;
	size_t out_bytes;
	unsigned outstanding; /* requests unanswered */
	struct sup_res *res;
	unsigned n_res; /* of them */
	unsigned n_rooms;
	bool watch;	    /* it wants CHANGED */
	uint64_t watch_pos; /* the next one it gets */
	bool doomed; /* it broke a rule: nothing of it is read any more */
};

/* ---- work for the readers ---- */
enum sup_job_kind { SUP_JOB_LOOKUP, SUP_JOB_LIST, SUP_JOB_IDS, SUP_JOB_RESOLVE, SUP_JOB_STALE, SUP_JOB_TOMBS, SUP_JOB_ASK, SUP_JOB_SET };
struct sup_job {
	struct sup_job *next;
	enum sup_job_kind kind;
	unsigned place;
	uint32_t serial;
	/* results */
	int status;
	struct sup_out *answer, **answer_end; /* whole messages in order */
	uint64_t first_id;		      /* IDS */
	uint64_t oldest;
	bool found; /* RESOLVE */
	struct idx_ent ent;
	uint32_t uid; /* RESOLVE: the owner of what was found */
	struct sup_op *ops; /* STALE: one for each loser, chained; SET: the op itself, lent */
	/* the request; last, so that making a job need not clear all of it */
	size_t len;
	union {
		struct om_op_hdr hdr;
		unsigned char bytes[OM_RING_MSG_MAX];
	} msg;
};

/* (tier, id) of a record. */
struct sup_loser {
	uint64_t id;
	uint8_t tier;
	bool dead; /* removed while its tier was away; else a newer record of another tier stands */
};
struct sup_fill_row {
	struct idx_key key;
	struct idx_ent ent;
};
/*
 * A row that the filler read while a change of its key is between commit and publication. Put into the index now, it could
 * show an older version than a catalog reader has already answered with; so it waits for the end of the change.
 */
struct sup_held {
	struct sup_held *next;
	struct sup_fill_row row;
};
struct sup_fill {
	struct sup_fill *next;
	unsigned n;
	bool last;
	struct sup_fill_row rows[SUP_FILL_CHUNK];
};

/* What comes to the publisher from other threads. */
enum sup_mail_kind {
	SUP_MAIL_OPS,
	SUP_MAIL_JOB,
	SUP_MAIL_FILL,
	SUP_MAIL_ATTACH,
	SUP_MAIL_DETACH,
	SUP_MAIL_ACK,
	SUP_MAIL_REBUILD,
	SUP_MAIL_NUDGE,
	SUP_MAIL_TASK,
	SUP_MAIL_SET,
	SUP_MAIL_ROWS, /* tell the workers of all tiers */
	SUP_MAIL_COMING, /* a tier has been opened */
	SUP_MAIL_BACK,	 /* ops of the reading of a tier; seq 1: the last */
	SUP_MAIL_COME,	 /* all of it has been read */
	SUP_MAIL_AWAY,	 /* a tier is not there any more */
	SUP_MAIL_FORGET,
};
struct sup_mail {
	struct sup_mail *next;
	enum sup_mail_kind kind;
	unsigned place;
	uint32_t seq;
	union {
		struct sup_op *ops;
		struct sup_job *job;
		struct sup_fill *fill;
		struct sup_child *child; /* ATTACH: contents are moved */
	};
	struct sup_tier *tier;
	struct sup_coming *coming;
};

#define SUP_KEY_BUCKETS 8192u
#define SUP_RES_BUCKETS 8192u
#define SUP_RM_BUCKETS 8192u
#define SUP_MOVE_BUCKETS 1024u
#define SUP_MOVES_MAX 4096u /* moves under way: past it TRY_AGAIN */

struct sup_engine {
	const struct om_conf *conf; /* main loop: a reload brings another one */
	char *state_dir;	    /* which no reload changes */
	_Atomic uint64_t memory_limit, memory_room; /* sup_cgroup.h: of this process; for each memory tier. UINT64_MAX: any */
	_Atomic uint32_t decay_s;   /* lifecycle.hotness_decay_s */
	struct sup_engine_cb cb;
	const char *const *adopt; /* names of tiers, ended by NULL; borrowed */
	struct idx_state *state;
	struct idx_state_recovery recovery;
	_Atomic unsigned n_tiers;
	struct sup_tier tiers[OM_TIERS_MAX];
	struct sup_tier *_Atomic tier_by_no[OM_TIERS_MAX]; /* publisher; readers look, too */

	/* main loop */
	uint32_t place_serial[SUP_CHILDREN_MAX]; /* 0: empty */
	uint32_t next_serial;
	struct sup_asks *asks; /* sup_engine_task.c */
	struct sup_tierd *tierd; /* sup_engine_tierd.c */
	_Atomic bool tierd_stops;
	pthread_rwlock_t cats;	 /* read: while catalogs are in use; written: to take one away */
	pthread_mutex_t dirs_lock; /* descriptors and capabilities of the tiers, main loop against those who change them */
	uint32_t max_serial;	 /* publisher: of the children attached so far */
	uint32_t epoch;		 /* publisher: raised when a tier comes */
	uint64_t tomb_ops[2];	 /* publisher: changes under way that leave tombstones, by the epoch they were planned in */
	uint64_t id_floor;	 /* publisher: no id below is given out */

	/* segment that new children get; under seg_lock */
	pthread_mutex_t seg_lock;
	int cur_index_fd, cur_heat_fd;
	uint32_t cur_seq;
	struct idx_heat heat; /* read by the readers, with the index view it belongs to */
	struct idxr heat_idx;

	/* publisher */
	pthread_t pub;
	bool pub_on;
	struct sup_pulse pulse;
	int kick_fd;  /* the children's door-bell */
	int inbox_fd; /* other threads' */
	pthread_mutex_t inbox_lock;
	struct sup_mail *inbox, **inbox_end;
	_Atomic bool stopping;
	struct idxw *index;
	struct idx_genw *gens;
	bool trim; /* there was work since memory was given back */
	struct sup_fill *fills;	   /* that have come; SUP_FILL_AHEAD at the most */
	bool fill_done, fill_last; /* misses are final; the last chunk has come */
	unsigned n_held;
	uint32_t grow_seq; /* segment being handed out; 0: none */
	struct om_seg grow_heat;
	struct sup_child child[SUP_CHILDREN_MAX];
	struct sup_key *keys[SUP_KEY_BUCKETS];
	struct sup_res *res[SUP_RES_BUCKETS];
	struct sup_removal *rm_busy[SUP_RM_BUCKETS];
	struct sup_move *moves[SUP_MOVE_BUCKETS];
	struct sup_rooms *rooms;
	_Atomic uint32_t room_wait_ms, rooms_max, full_ppm; /* of the configuration; main loop writes */
	_Atomic unsigned n_moves, n_copying; /* of them those that are SUP_MOVE_OPEN; changed by the publisher; committers read them */
	_Atomic bool gently;	  /* the same: clients are served, says the lifecycle process with each move */
	struct om_place place;	  /* where what is for moves alone is committed meanwhile */
	bool stale_asked; /* leftovers of a crash are being looked up; until then no move begins */
	const struct sup_op_lives *lives; /* sup_engine_life.c */
	uint64_t n_ops; /* under way, waiting included */
	struct sup_watch *watch; /* recent changes */
	struct sup_admit *admit; /* what clients hold */
	struct sup_owners *owners; /* what users own; its own lock */
	uint64_t tasks_out[SUP_ASKS_MAX]; /* cookies of questions that are at the lifecycle process, by place; 0: none */
	uint64_t n_sets; /* of them: SETs, which wait for the lifecycle process */
	struct sup_op *set_wait, **set_wait_end; /* SETs whose file is to be written; at the lifecycle process, or waiting for it */
	uint64_t set_cookie;
	struct sup_op *stalled, **stalled_end;	 /* committed, no room in the index until it has grown */
	struct sup_op *deferred, **deferred_end; /* wait until listings have their snapshots */
	uint64_t id_next, id_end, id2_next, id2_end;
	bool ids_asked;
	struct sup_removal *rm, **rm_end;      /* waiting */
	struct sup_removal *rm_late, **rm_late_end; /* wait for a while first: PENDING ones alone */
	uint64_t late_bytes, late_second;
	_Atomic uint64_t late_ns; /* SUP_LATE_NS; a test has another */
	_Atomic unsigned late_from; /* SUP_LATE_FROM, the same */
	_Atomic uint64_t rm_max;    /* SUP_REAP_QUEUE_MAX, the same */
	unsigned late_now, late_before;	       /* removals that came in this second, and in the one before */
	struct sup_removal *rm_flight;	       /* at the lifecycle process */
	struct sup_removal *rm_failed;	       /* given up until the next start */
	struct sup_removal **recover;	       /* of the last run, sorted: they wait until the catalogs have been read */
	size_t n_recover, cap_recover;
	/* Of the tiers that were here at the start, sorted. Never changed after it, and kept (32 bytes each) to the end: readers may be at it. */
	struct sup_tomb *tombs;
	size_t n_tombs, cap_tombs;
	_Atomic bool tombs_apply; /* what they name still stands in the catalogs: who reads those leaves it out */
	unsigned n_dead; /* changes under way that end that */
	_Atomic uint32_t tombs_hit; /* bit mask of tier indices whose tombstones still met a record */
	struct sup_loser *losers; /* records that lost against a newer one of another tier while the index was built */
	size_t n_losers, cap_losers;
	uint64_t n_rm, n_rm_flight, n_rm_failed;
	uint64_t settle_since_ns; /* 0: nothing to settle */
	bool settle_wanted;	  /* since the last one a move was told to wait for a name */
	uint64_t n_settle;
	struct sup_removal *settle;
	bool raise_ids; /* a tier was bound that the state did not know */
	bool recovered; /* what the last run left is dealt with */
	uint64_t run_first_id;

	/* readers */
	pthread_t reader[SUP_READERS], filler;
	unsigned n_readers;
	bool filler_on;
	pthread_mutex_t job_lock;
	pthread_cond_t job_wake;
	struct sup_job *jobs, **jobs_end;
	unsigned n_jobs;
	pthread_mutex_t fill_lock;
	pthread_cond_t fill_wake;
	unsigned fill_ahead;

	/* changes of several environments against listings' snapshots */
	pthread_mutex_t multi_lock;
	pthread_cond_t multi_wake;
	unsigned multi_active;
	_Atomic unsigned snap_waiting;

	/* figures */
	_Atomic uint64_t stat_ops, stat_rm, stat_commits, stat_committed, stat_live, stat_slots, stat_bytes;
	_Atomic bool stat_complete;
	_Atomic bool filled; /* fill_done, for other threads */

};

/* sup_engine_mail.c: any thread. A letter is its sender's until it is posted, the publisher's (take_mail()) afterwards. */
struct sup_mail *sup_mail_new(enum sup_mail_kind kind); /* zeroed; never NULL */
void sup_mail_post(struct sup_engine *e, struct sup_mail *mail);
void sup_mail_tell(struct sup_engine *e, enum sup_mail_kind kind); /* one that says nothing but its kind */
void sup_mail_tier(struct sup_engine *e, enum sup_mail_kind kind, struct sup_tier *t, struct sup_coming *coming); /* about a tier */
void sup_mails_free(struct sup_mail *mail); /* a list that nobody reads any more: the engine ends */

/* sup_engine_pub.c: the publisher */
void *sup_pub_main(void *arg);

/* sup_engine_answer.c */
/* A ring message, and whose it is. */
struct sup_msg {
	struct sup_engine *e;
	unsigned place;
	struct sup_child *child;
	const char *why; /* static text, when a rule was broken */
	bool waited;	 /* it has waited for room, and now there is */
};
/* Answer a child; `serial` 0 or another: it is gone, nothing happens. Counts the request as answered. */
void sup_pub_answer(struct sup_engine *e, unsigned place, uint32_t serial, const void *msg, size_t len, bool last);
void sup_pub_verdict(struct sup_engine *e, unsigned place, uint32_t serial, uint64_t req, int status, uint64_t id,
		     uint32_t rev, uint64_t cur_id, uint32_t cur_rev);
/* A verdict without a version. */
void sup_msg_answer(struct sup_msg *c, uint64_t req, int status);
/* Says why and returns false. */
bool sup_msg_broken(struct sup_msg *c, const char *why);
/* The child broke a rule, or cannot be answered: nothing of it is read any more, and it is killed. */
void sup_pub_doom(struct sup_engine *e, unsigned place, const char *why);
/* Puts what waits into its ring, as far as there is room, and rings. */
void sup_pub_flush(struct sup_engine *e, unsigned place);

/* sup_engine_now.c */
/* What the index says of a key, expired objects left out: 0, -NOT_FOUND. */
int sup_pub_current(const struct sup_engine *e, const struct idx_key *key, struct idx_ent *ret);
/* True if a tier that may hold anything is absent or being rebuilt: a miss proves nothing. */
bool sup_pub_blind(const struct sup_engine *e);
/* A tier by the number in a message; NULL: there is none of that number. */
struct sup_tier *sup_msg_tier(struct sup_engine *e, uint8_t no);
/* May a tier take a new object with these flags now? `begun`: its bytes lie there already. 0 or a status. */
int sup_msg_tier_fit(const struct sup_tier *t, uint32_t flags, bool begun);

/* sup_engine_msg.c: one ring message; false: the child broke a rule (why in *ret_why) */
/* A message that waited for room: once more, now that there is. */
void sup_msg_again(struct sup_engine *e, unsigned place, const void *msg, size_t len);
bool sup_msg_take(struct sup_engine *e, unsigned place, const void *msg, size_t len, const char **ret_why);
/* A reader has resolved the precondition of a PREPARE or DELETE while the index was being filled. */
void sup_msg_resolved(struct sup_engine *e, struct sup_job *job);

/* sup_engine_commit.c */
void *sup_commit_main(void *arg);
/* A stage waits for its committer, which looks at it after the next kick, or when it has ended a commit. Publisher. */
void sup_commit_queue(struct sup_tier *t, struct sup_op *op);
/* Wake the committers for which something was queued: before the publisher sleeps, at the latest. Publisher. */
void sup_commit_kick(struct sup_engine *e);
/* A stage goes to its committer (1) or has come back (-1): counted at every tier whose catalog it uses. Publisher. */
void sup_commit_lent(struct sup_op *op, int by);

/*
 * sup_engine_watch.c. A change was published: the one place through which all of them come, in the order of publication, before
 * the one who asked is answered. op->rec has the URI; `ent` is op->ent.
 */
void sup_watch_note(struct sup_engine *e, const struct sup_op *op, enum om_change change, const struct idx_ent *ent);

/* sup_engine_admit.c: limits that hold over all workers. OM_ADMIT_OK: it counts until it leaves. */
int sup_admit_new(struct sup_admit **ret) OM_MUST_USE;
void sup_admit_free(struct sup_admit *a);
/* The limits in force from now on; main loop. */
void sup_admit_conf(struct sup_engine *e, const struct om_conf *conf);
void sup_admit_gone(struct sup_engine *e, uint32_t place); /* the child died */
bool sup_admit_take(struct sup_msg *c, const void *msg, size_t len);
bool sup_admit_take_leave(struct sup_msg *c, const void *msg, size_t len);

/* sup_engine_owner.c: what users own, and the limits on it (the table: sup_owner_table.h). */
/* The limits in force from now on; main loop. */
void sup_owners_conf(struct sup_engine *e, const struct om_conf *conf);
/* Who came over TCP is no user; nor is a number that means something else. */
static inline uint32_t sup_owner_of(uint32_t uid) { return uid == OM_UID_OLD ? OM_UID_NONE : uid; }
/* An idx_cat_owner_cb; arg: struct sup_owned. */
int sup_owned_add(void *arg, const struct idx_cat_owner *owner);
void sup_owned_fini(struct sup_owned *w);
/* From now on the tier holds this; NULL: nothing. */
void sup_owner_tier(struct sup_engine *e, const struct sup_tier *t, const struct sup_owned *owned);
/* May `uid` own `size` bytes more, under a key (NULL: nothing is under way for it) where this stands (NULL: nothing, or it is not known)?
 * What it hits, and the limit. */
enum om_owner_limit sup_owner_fits(struct sup_engine *e, const struct sup_key *key, uint32_t uid, uint64_t size,
				   const struct sup_standing *stands, uint64_t *ret_limit);
/* res->size bytes are promised to `uid`, until the record is committed or the reservation ends. False: no memory. */
bool sup_owner_hold(struct sup_engine *e, struct sup_res *res, uint32_t uid, const struct sup_standing *stands);
void sup_owner_release(struct sup_engine *e, struct sup_res *res);
/* A put session of `uid` reserves so much more; OM_OWNER_OK: it counts until sup_owner_room_end(). */
enum om_owner_limit sup_owner_room(struct sup_engine *e, uint32_t uid, uint64_t more, uint64_t *ret_limit);
void sup_owner_room_end(struct sup_engine *e, uint32_t uid, uint64_t bytes);
/* A stage has been committed; in the order of the tier's commits. */
void sup_owner_stage(struct sup_engine *e, struct sup_op *op);
void sup_owner_move_end(struct sup_engine *e, struct sup_move *m);

int sup_watch_new(struct sup_watch **ret) OM_MUST_USE;
void sup_watch_free(struct sup_watch *w);
bool sup_watch_take(struct sup_msg *c, const void *msg, size_t len);
/* There are changes that the child wants and has not got. */
bool sup_watch_behind(const struct sup_engine *e, const struct sup_child *c);
/* Every turn, after the answers. True: more can be given at once. */
bool sup_watch_pump(struct sup_engine *e);

/* sup_engine_room.c: accounts, rooms, who waits; publisher */
int sup_rooms_new(struct sup_rooms **ret);
void sup_rooms_free(struct sup_rooms *r);
/* What the configuration says of room: at open, and when another is in force. Main loop. */
void sup_rooms_conf(struct sup_engine *e, const struct om_conf *conf);
/* Bytes that `size` bytes take: whole pages. */
uint64_t sup_room_of(uint64_t size);
/* All changes of the index come through these: they keep the accounts. Results as of idxw_put(), idxw_del(), idxw_fill(). */
int sup_index_put(struct sup_engine *e, const struct idx_key *key, const struct idx_ent *ent);
int sup_index_del(struct sup_engine *e, const struct idx_key *key);
/* `have`: what the index says of the key; NULL: nothing. */
int sup_index_fill(struct sup_engine *e, const struct idx_key *key, const struct idx_ent *ent, const struct idx_ent *have);
/* Bytes that the tier's objects, files to be removed and catalog take; promises are not in it. */
uint64_t sup_room_used(const struct sup_engine *e, const struct sup_tier *t);
/* Is there room for `bytes` (of sup_room_of) more, and nobody before us who waits for it? waited: we were that one. */
bool sup_room_fits(const struct sup_engine *e, const struct sup_tier *t, uint64_t bytes, bool waited);
/* May `size` bytes more be pinned on the tier? 0, -LIMIT_EXCEEDED. */
int sup_pin_fits(const struct sup_engine *e, const struct sup_tier *t, uint64_t size);
/* Show what the tier holds, and its state, to the children and to status. */
void sup_pub_rows(struct sup_engine *e, struct sup_tier *t);
void sup_room_take(struct sup_engine *e, struct sup_tier *t, uint64_t bytes);
void sup_room_give(struct sup_engine *e, struct sup_tier *t, uint64_t bytes);
/* Bytes that a session's room has on this tier; 0: none. */
uint64_t sup_room_has(struct sup_engine *e, unsigned place, uint32_t no, const struct sup_tier *t);
void sup_room_end(struct sup_engine *e, unsigned place, uint32_t no);
void sup_room_lost(struct sup_engine *e, unsigned place); /* the child is gone */
/* A request that found no room. */
struct sup_waiter {
	struct sup_waiter *next;
	unsigned place;
	uint32_t serial;
	uint64_t req;
	uint64_t need, due_ns;
	size_t len;
	_Alignas(16) unsigned char msg[];
};
/* Put a message off until there are `need` bytes, or the time is over. False: waiting would not help. */
bool sup_room_wait(struct sup_msg *c, struct sup_tier *t, uint64_t need, const struct om_op_hdr *msg);
/* The next request that waited and has its room now: the caller's, who does it and frees it. Those whose time is over are answered. NULL:
 * there is none. */
struct sup_waiter *sup_room_next(struct sup_engine *e);
/* Asks the lifecycle process for room, for those that still wait and for tiers that have become full. */
void sup_room_turn(struct sup_engine *e);
bool sup_room_waited(const struct sup_engine *e); /* somebody waits */
bool sup_room_take_reserve(struct sup_msg *c, const void *msg, size_t len);
bool sup_room_take_release(struct sup_msg *c, const void *msg, size_t len);

/* sup_engine_read.c */
void *sup_read_main(void *arg);

/* sup_engine_job.c: any thread; the job is the readers' */
void sup_job_queue(struct sup_engine *e, struct sup_job *job);
struct sup_job *sup_job_take(struct sup_engine *e); /* waits for one; NULL: stop */

/* sup_engine_fill.c */
void *sup_fill_main(void *arg);
/* Rows have come: they wait for their turn (publisher; takes them). Nothing that is asked of the publisher waits behind them: whatever
 * order rows and changes of a key come in, idxw_fill() lets the change stand. */
void sup_fill_later(struct sup_engine *e, struct sup_fill *f);
/* Puts the rows that came first into the index. False: there are none. Publisher. */
bool sup_fill_turn(struct sup_engine *e);
/* A change has ended: the rows that waited for it. */
void sup_fill_held(struct sup_engine *e, struct sup_op *op);
/* The last row is in and none is held: misses are final from now on. */
void sup_fill_end(struct sup_engine *e);

/* sup_engine_grow.c: one increment; true: there is more to do at once. */
bool sup_grow(struct sup_engine *e);

/* sup_engine_tierd.c. The daemon ends: whatever takes long is given up. Its thread. */
static inline bool sup_tierd_stopping(const struct sup_engine *e) { return atomic_load(&e->tierd_stops); }

/* sup_engine_ask.c: questions of the main loop */
int sup_asks_new(struct sup_asks **ret);
void sup_asks_free(struct sup_asks *q);
/* Main loop: another question; its cookie, which is never 0, or 0: as many are open as may be. */
uint64_t sup_ask_new(struct sup_engine *e, uint32_t wait_ms, sup_engine_done_fn *done, void *arg);
/* Any thread: the answer (copied), or just a status. */
void sup_ask_answer(struct sup_engine *e, uint64_t cookie, const struct sup_engine_answer *a);
void sup_ask_fail(struct sup_engine *e, uint64_t cookie, int status);
void sup_ask_text(struct sup_engine *e, uint64_t cookie, int status, const char *text);

/* sup_engine_task.c. Publisher: give a TASK to the lifecycle process (takes the job); that process died; it answered (TASKED). */
void sup_task_send(struct sup_engine *e, struct sup_job *job);
void sup_task_lost(struct sup_engine *e);
bool sup_task_take(struct sup_msg *c, const void *msg, size_t len);

/* sup_engine_reap.c: removals; publisher */
void sup_reap_add(struct sup_engine *e, struct sup_tier *t, uint64_t id, uint64_t size, enum sup_removal_kind kind);
/* Is the file of (t, id) to be removed, or its removal not yet forgotten? Then its name must not be used. */
bool sup_reap_busy(const struct sup_engine *e, const struct sup_tier *t, uint64_t id);
/* The same, for who wants to use the name: what can be done to have it free soon is done. */
bool sup_reap_wanted(struct sup_engine *e, const struct sup_tier *t, uint64_t id);
/* From now on, until it is taken back: what sup_reap_busy() says of a removal. */
void sup_reap_busy_add(struct sup_engine *e, struct sup_removal *r);
void sup_reap_busy_del(struct sup_engine *e, const struct sup_removal *r);
void sup_reap_push(struct sup_engine *e, struct sup_removal *r); /* it waits for the lifecycle process */
void sup_reap_pump(struct sup_engine *e);
void sup_reap_done(struct sup_engine *e, struct sup_tier *t, uint64_t id, int status);
/* Another lifecycle process: removals that the last one could not do. */
void sup_reap_again(struct sup_engine *e);
void sup_reap_lost(struct sup_engine *e); /* the lifecycle process died */
/* Is a removal of this tier at the lifecycle process? And: the tier is forgotten, with all removals of it that are not. */
bool sup_reap_flies(const struct sup_engine *e, const struct sup_tier *t);
void sup_reap_forget(struct sup_engine *e, struct sup_tier *t);
void sup_reap_free(struct sup_engine *e);

/* sup_engine_settle.c: removals that are done; publisher. One SETTLE for those of one tier; complete: and its catalog is whole. */
void sup_settle_tier(struct sup_engine *e, struct sup_tier *t, bool complete);
/* For all that are due, at most SUP_SETTLE_MS behind; now: for all. */
void sup_settle_due(struct sup_engine *e, bool now);
void sup_settle_end(struct sup_engine *e, struct sup_op *op);

/* sup_engine_recover.c: what the last run left; publisher */
int sup_recover_load(struct sup_engine *e); /* at open */
/* A record names this file: a removal of it never happened. */
void sup_recover_live(struct sup_engine *e, uint8_t tier_no, uint64_t id);
/* Two records of one key met while the index was built: the one with this (tier, id) lost. */
void sup_recover_loser(struct sup_engine *e, uint8_t tier_no, uint64_t id, bool dead);
int sup_loser_cmp(const void *a, const void *b);
/* Was this record removed while its tier was away? */
bool sup_recover_dead(struct sup_engine *e, const struct sup_fill_row *row);
/* The same of a record that a reader found; false once all of them have gone. Any thread. */
bool sup_recover_gone(const struct sup_engine *e, const struct om_rec *rec);
/* All catalogs have been read: what is left of it is dealt with. */
void sup_recover_filled(struct sup_engine *e);
/* The records that tombstones name have been looked for, and what deletes them is on the way (job); one of these changes has ended. */
void sup_recover_found(struct sup_engine *e, struct sup_job *job);
void sup_recover_stale_end(struct sup_engine *e, struct sup_op *op);
/* Tombstones that have done their work are cleared. */
void sup_recover_tombs(struct sup_engine *e);
void sup_recover_free(struct sup_engine *e);

/* sup_engine_scan.c; publisher */
void sup_scan_start(struct sup_engine *e);
void sup_scan_pump(struct sup_engine *e);
void sup_scan_lost(struct sup_engine *e);
bool sup_scan_take_found(struct sup_msg *c, const void *msg, size_t len);
bool sup_scan_take_scanned(struct sup_msg *c, const void *msg, size_t len);
int sup_scan_publish(struct sup_engine *e, struct sup_op *op); /* of FOUND */
void sup_scan_end(struct sup_engine *e, struct sup_op *op);

#endif
