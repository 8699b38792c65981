/*
 * sup_engine_ops.h: what is under way inside the engine: changes and their stages, keys, reservations, moves, removals. Part of
 * sup_engine_int.h, which says who the threads are. All of it is the publisher's, but for what is lent to a committer or a reader.
 */
#ifndef SUP_ENGINE_OPS_H
#define SUP_ENGINE_OPS_H

#include "supervisor/sup_engine_tier.h"

struct sup_held;
struct sup_job;
struct sup_msg;
struct sup_set;

/* Is an object with this expiry (seconds since 1970; 0: none) gone for everybody? */
static inline bool sup_expired(uint64_t expiry_s) { return expiry_s && expiry_s <= om_wall_s(); }

/* A key as tombstones have it, and back. */
static inline void sup_tomb_key(const struct idx_key *k, uint8_t ret[static IDX_STATE_KEY_BYTES])
{
	memcpy(ret, &k->lo, 8);
	memcpy(ret + 8, &k->hi, 8);
}

static inline struct idx_key sup_tomb_key_of(const uint8_t key[static IDX_STATE_KEY_BYTES])
{
	struct idx_key k;

	memcpy(&k.lo, key, 8);
	memcpy(&k.hi, key + 8, 8);
	return k;
}

static inline int sup_tomb_cmp(const void *a, const void *b)
{
	const struct sup_tomb *x = a, *y = b;

	if (x->key.lo != y->key.lo)
		return x->key.lo < y->key.lo ? -1 : 1;
	if (x->key.hi != y->key.hi)
		return x->key.hi < y->key.hi ? -1 : 1;
	return (x->tier > y->tier) - (x->tier < y->tier);
}

/* Who owns what stands under a key. */
struct sup_standing {
	uint32_t uid;
	uint64_t size;
};

/* ---- a change ---- */
enum sup_op_kind {
	SUP_OP_PUT,
	SUP_OP_DELETE,
	SUP_OP_FOUND,  /* the lifecycle process found a file */
	SUP_OP_STALE,  /* a crash left an older record on another tier: it goes */
	SUP_OP_SETTLE, /* removals are done */
	SUP_OP_INTENT, /* a move begins: its file is to be removed unless a record names it */
	SUP_OP_MOVE,   /* a move ends: the target's record */
	SUP_OP_DROP,   /* the lifecycle process gives a copy, an expired or an evictable object up */
	SUP_OP_GONE,   /* a file is not there: is it so? */
	SUP_OP_SET,    /* flags, expiry, type, metadata */
	SUP_OP_BACK,   /* a record of a tier that came back: into the index */
	SUP_OP_KINDS
};
enum sup_act { SUP_ACT_PUT, SUP_ACT_DEL, SUP_ACT_FOUND, SUP_ACT_SETTLE, SUP_ACT_TOMB, SUP_ACT_INTENT, SUP_ACT_MOVE, SUP_ACT_GONE, SUP_ACT_SET, SUP_ACT_BACK };

#define SUP_STAGES_MAX (OM_TIERS_MAX + 1u) /* every tier once, and tombstones */
struct sup_stage {
	struct sup_tier *tier;
	enum sup_act act;
	bool expect; /* the index says that the tier holds a record of this URI: none there means a key collision */
	struct idx_cat_old old;
	bool made;  /* FOUND: there was no record, now there is */
	bool stale; /* FOUND: the file is not the one that the record names, or is removed: reap it */
};

struct sup_op {
	struct sup_op *next; /* in the queue that holds it */
	enum sup_op_kind kind;
	unsigned place;
	uint32_t serial; /* of the child; 0: nobody waits for an answer */
	uint64_t req;
	struct idx_key ikey;
	struct sup_key *key;
	bool gen_open, counted_multi;
	bool superseded; /* PUT: a later id of the key was committed first; the file goes, the answer is OK */
	bool insert;	 /* FOUND: make a record (rebuild); else only judge (orphans) */
	bool of_back;	 /* made by the reading of a tier */
	bool of_start;	 /* STALE: found when the index was built, and named by a tombstone */
	bool tomb_counted;
	uint8_t tomb_epoch;
	bool dead;	 /* STALE: a tombstone says that it was removed while its tier was away */
	bool complete;	 /* SETTLE: the tier's catalog is whole now */
	struct om_op_cond cond;
	struct om_rec rec; /* strings behind the struct */
	uint64_t prev_id;  /* of the index when it began; 0: none */
	uint32_t tombs;	   /* bit mask of tier indices: a tombstone for each absent or rebuilding tier */
	uint64_t tomb_id;
	uint64_t *tombs_were; /* malloc'ed: what its key's tombstones said before a commit of this op changed them, by tier index; 0: none */
	int untold;	   /* PUT: its record stands, its tombstones do not: what its client is told; 0: OK */
	unsigned n_stages, stage;
	struct sup_stage stages[SUP_STAGES_MAX];
	int status;
	uint8_t change;	    /* set by who publishes it: enum om_change + 1, 0: nothing that a watcher is told */
	struct idx_ent ent; /* with `change`: what stands now; of a delete, what went (its id at least) */
	struct sup_move *move;	    /* INTENT, MOVE */
	struct sup_set *set;	    /* SET */
	struct sup_tier *home; /* DROP of a copy: where the home record must stand; PUT: where what it replaces must, if not on its own tier */
	uint8_t why;		    /* DROP: enum om_drop_why */
	struct sup_held *held; /* rows of the fill that came while it ran */
	unsigned n_ids; /* SETTLE: removals that are done */
	uint64_t *ids;	/* malloc'ed */
	struct sup_owned owned; /* SETTLE with `complete`: counted again by the committer */
};

/* What a change of one kind does at the steps of its life (sup_engine_op.c); NULL: nothing. */
struct sup_op_life {
	void (*begin)(struct sup_engine *e, struct sup_op *op); /* it plans in steps of its own, and ends in sup_op_planned() */
	/* Its stages, by what the index says now (NULL: nothing). False: it is over already, op->status says how. */
	bool (*plan)(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur);
	int (*publish)(struct sup_engine *e, struct sup_op *op); /* committed: into the index. 0 or the index's status */
	void (*end)(struct sup_engine *e, struct sup_op *op);	 /* published, or failed: the answer */
};
struct sup_op_lives {
	struct sup_op_life of[SUP_OP_KINDS];
	void (*ended)(struct sup_engine *e, struct sup_op *op); /* the last of every change, before it is freed */
};

/* ---- a key that something is under way for ---- */
struct sup_key {
	struct sup_key *hnext;
	struct idx_key ikey;
	struct sup_op *running;
	struct sup_op *wait, **wait_end;
	unsigned n_wait;
	unsigned n_res;	     /* reservations */
	struct sup_res *cond_res; /* the conditional one, which excludes everybody else; NULL: none */
	struct sup_res *credit;	  /* the one that gives back what stands (sup_engine_owner.c); NULL: none */
};

/* ---- an id given out, until its COMMIT, ABORT or the removal of its file ---- */
struct sup_res {
	struct sup_res *hnext;
	struct sup_res *cnext, **cprev; /* list of the child's */
	uint64_t id;
	uint64_t size;
	struct sup_key *key;
	struct sup_tier *tier;
	unsigned place; /* SUP_CHILDREN_MAX: its child is gone */
	bool pins;	 /* counted in the tier's reserved_pins */
	bool committing; /* an op has it */
	bool held, credit; /* counted as a promise to the owner; the owner gets credit_bytes back */
	uint32_t uid;	   /* the owner */
	uint64_t credit_bytes;
};

/*
 * A move under way. Publisher; a committer reads it while an op of it is lent.
 *
 *   begin       begun          ending
 *   INTENT  ->  OPEN       ->  COMMIT  ->  (gone)
 * The intent is a recorded removal of the target's file (in the target's catalog where that is volatile, else in the state
 * environment): void once a record names the file, true for any other end of the move, a crash's included.
 */
enum sup_move_state { SUP_MOVE_INTENT, SUP_MOVE_OPEN, SUP_MOVE_COMMIT };
struct sup_move {
	struct sup_move *hnext;
	struct sup_tier *from, *to;
	struct idx_key ikey;
	uint64_t id, size;
	uint32_t rev;
	uint32_t serial; /* of the lifecycle process that asked */
	uint8_t kind;	 /* enum om_move_kind */
	uint8_t state;	 /* enum sup_move_state */
	bool twice;	 /* its bytes are counted on both tiers; of `uid` */
	uint32_t uid;
	bool lost;	 /* who asked is gone, or gave it up */
};

/* ---- a file to be removed ---- */
enum sup_removal_kind {
	SUP_RM_PENDING,	  /* recorded durably */
	SUP_RM_UNSETTLED, /* found again by its id */
	SUP_RM_VOID,	  /* recorded, but its record still stands */
};
struct sup_removal {
	struct sup_removal *next;
	struct sup_removal *hnext; /* in e->rm_busy, from sup_reap_add() until its record is about to be dropped */
	uint64_t id;
	uint64_t bytes; /* that it takes until it is gone; 0: not known */
	uint64_t since_ns; /* in the list of late ones: coarse time at which it came */
	struct sup_removal **late; /* in that list: what points to it; else NULL */
	struct sup_tier *tier;
	uint8_t kind, tries;
};

/* sup_engine_key.c: the tables of keys and reservations */
struct sup_key *sup_key_find(struct sup_engine *e, const struct idx_key *k, bool make);
void sup_key_drop(struct sup_engine *e, struct sup_key *key); /* forget it, if nothing is under way for it */
bool sup_key_busy(const struct sup_key *key); /* anything is under way for it: a change, a reservation */
struct sup_res *sup_res_find(struct sup_engine *e, uint64_t id);
struct sup_res **sup_res_slot(struct sup_engine *e, uint64_t id); /* where one of this id stands, or would */

/* sup_engine_res.c: reservations */
struct sup_res *sup_res_new(struct sup_engine *e, unsigned place, struct sup_key *key, struct sup_tier *t, uint64_t size,
			    bool conditional);
void sup_res_free(struct sup_engine *e, struct sup_res *res);
/* A reservation ends without a record: its file, if there is one, is removed; the key's queue goes on. */
void sup_res_give_back(struct sup_engine *e, struct sup_res *res);
uint64_t sup_res_oldest(struct sup_engine *e);
/* Does a change or a reservation, of whatever key, name this tier? */
bool sup_key_names(const struct sup_engine *e, const struct sup_tier *t);

/* sup_engine_op.c: ops */
/* Begin what the key's queue allows; forget the key if nothing is left. After a reservation ended. */
void sup_key_go(struct sup_engine *e, struct sup_key *key);
struct sup_op *sup_op_new(enum sup_op_kind kind, const struct om_rec *rec);
void sup_op_submit(struct sup_engine *e, struct sup_op *op);
void sup_op_stage_done(struct sup_engine *e, struct sup_op *op);
void sup_op_retry_held(struct sup_engine *e);
/* What a watcher is told when it is published. */
void sup_op_note(struct sup_op *op, enum om_change change, const struct idx_ent *ent);

/* sup_engine_life.c: the row of each kind */
extern const struct sup_op_lives sup_op_lives;

/* sup_engine_plan.c: plans of struct sup_op_life; and what others are made of. */
bool sup_plan_put(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur);
bool sup_plan_delete(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur);
bool sup_plan_found(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur);
bool sup_plan_stale(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur);
void sup_op_add_stage(struct sup_op *op, struct sup_tier *t, enum sup_act act, bool expect);
/* Stages that delete the key's records on every tier but `but`, copies first and home last. prev NULL: nothing is known. */
void sup_op_plan_deletes(struct sup_engine *e, struct sup_op *op, const struct idx_ent *prev, const struct sup_tier *but);
/* A stage that deletes the cached copy, if there is one: before a change of the home record. */
void sup_op_plan_copy(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur);
/* Tombstones for tiers that may hold the key and cannot be asked now. */
void sup_op_plan_tombs(struct sup_engine *e, struct sup_op *op);
/* A tier whose committer takes what is for the state environment alone; NULL: no tier is there. */
struct sup_tier *sup_op_any_tier(struct sup_engine *e);

/* sup_engine_put.c: of struct sup_op_life */
int sup_put_publish(struct sup_engine *e, struct sup_op *op);
void sup_put_end(struct sup_engine *e, struct sup_op *op);
int sup_delete_publish(struct sup_engine *e, struct sup_op *op);
void sup_delete_end(struct sup_engine *e, struct sup_op *op);

/* sup_engine_move.c: moves and copies between tiers. plan, publish, end: of struct sup_op_life. */
bool sup_move_take_begin(struct sup_msg *c, const void *msg, size_t len);
bool sup_move_take_commit(struct sup_msg *c, const void *msg, size_t len);
bool sup_move_take_abort(struct sup_msg *c, const void *msg, size_t len);
bool sup_move_plan(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur);
int sup_move_publish(struct sup_engine *e, struct sup_op *op);
void sup_move_end(struct sup_engine *e, struct sup_op *op);
void sup_move_end_intent(struct sup_engine *e, struct sup_op *op);
/* Is a move of `id` to this tier under way? Its file belongs to it. */
bool sup_move_to(const struct sup_engine *e, const struct sup_tier *t, uint64_t id);
bool sup_move_names(const struct sup_engine *e, const struct sup_tier *t); /* one from or to it is under way */
void sup_move_lost(struct sup_engine *e); /* the lifecycle process died */
void sup_move_free(struct sup_engine *e);

/* sup_engine_drop.c: copies, expired and evictable objects that go; files that are gone */
bool sup_drop_take(struct sup_msg *c, const void *msg, size_t len);
bool sup_gone_take(struct sup_msg *c, const void *msg, size_t len);
bool sup_drop_plan(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur);
int sup_drop_publish(struct sup_engine *e, struct sup_op *op);
void sup_drop_end(struct sup_engine *e, struct sup_op *op);

/* A planned op begins its stages (`go`), or ends with op->status. */
void sup_op_planned(struct sup_engine *e, struct sup_op *op, bool go);

/*
 * sup_engine_set.c: SET. begin: the op runs. merge: on a reader's thread, with what the catalogs say, in `tiers` a bit for each
 * tier index that holds it; the record's strings are good during the call. read_done: the reader is done.
 */
bool sup_set_take(struct sup_msg *c, const void *msg, size_t len);
void sup_set_asked(struct sup_engine *e, struct sup_job *job); /* the main loop's; takes the job */
void sup_set_begin(struct sup_engine *e, struct sup_op *op);
void sup_set_merge(struct sup_op *op, int status, const struct om_rec *rec, uint32_t tiers);
void sup_set_read_done(struct sup_engine *e, struct sup_op *op);
bool sup_set_attred(struct sup_msg *c, const void *msg, size_t len);
int sup_set_publish(struct sup_engine *e, struct sup_op *op);
void sup_set_end(struct sup_engine *e, struct sup_op *op);
void sup_set_pump(struct sup_engine *e); /* every turn */
void sup_set_lost(struct sup_engine *e); /* the lifecycle process died */

/* sup_engine_apply.c: 0; a status for this op alone; any other, and the batch fails */
struct sup_batch {
	struct sup_tier *t;
	struct sup_op *ops;
	unsigned n;
	bool need_cat, need_state;
	struct idx_cat_txn *cat;
	struct idx_state_txn *state;
};
int sup_apply(struct sup_batch *b, struct sup_op *op);

#endif
