/*
 * sup_engine_int.h: the engine's inside, shared by sup_engine_*.c and sup_tier.c and by nobody else: what it is made of. Tiers:
 * sup_engine_tier.h; changes, keys, reservations, moves, removals: sup_engine_ops.h. What else a file offers is in the header of its name.
 *
 * Its files call downwards only:
 *   life          sup_engine.c; _life: what each kind of change does at the steps of _op
 *   main loop     _tiers (a reload), _task, _child, _stat
 *   publisher     _pub (turns), _msg (ring messages), _tiers (coming and going), _fill
 *   changes       _put, _move, _set, _drop, _scan, _settle, _recover; _res; below them _op: the steps of all
 *   below them    _plan, _key, _commit, _reap, _room, _owner, _watch, _admit, _answer, _now
 *   other threads _read, _tierd and _past, _apply (of a committer); _ask, _job and _mail between the threads
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
 * copies and targets first, what is deleted last) and ends in finish() of sup_engine_op.c, which calls what its kind has in
 * sup_engine_life.c. At most one op of a key runs; others wait in the key's queue in the order in which they came.
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

/* The threads; sup_engine.c and sup_engine_tiers.c start them. Argument: the engine; of a committer: its tier. */
void *sup_pub_main(void *arg);
void *sup_commit_main(void *arg);
void *sup_read_main(void *arg);
void *sup_fill_main(void *arg);

/* The daemon ends: whatever takes long is given up. The thread of sup_engine_tierd.c. */
static inline bool sup_tierd_stopping(const struct sup_engine *e) { return atomic_load(&e->tierd_stops); }

/* sup_engine_grow.c: one increment; true: there is more to do at once. Publisher. */
bool sup_grow(struct sup_engine *e);

#endif
