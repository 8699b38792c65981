/*
 * sup_engine_tier.h: a tier inside the engine: what it is, what it holds, its coming and going. Part of sup_engine_int.h, which says who
 * the threads are; a member that names none is the publisher's, or never changes once the tier is open.
 */
#ifndef SUP_ENGINE_TIER_H
#define SUP_ENGINE_TIER_H

#include <pthread.h>
#include <stdatomic.h>

#include "backend/be.h"
#include "index/cat/idx_cat.h"
#include "index/cat/idx_state.h"
#include "index/idxw.h"
#include "supervisor/sup_engine.h"
#include "supervisor/sup_pulse.h"

struct sup_child;
struct sup_mail;
struct sup_op;

/* What the objects of a tier take, as allocated, in bytes (sup_engine_room.c). */
struct sup_acct {
	uint64_t bytes; /* of all that the index names there */
	uint64_t copies, evictable, pinned; /* parts of it */
	uint64_t removals; /* files without a record that are still there */
};

/* What each owner has on a tier, as its catalog says. */
struct sup_owned {
	struct idx_cat_owner *v;
	size_t n, cap;
};

/* ---- a tier ---- */
struct sup_tier;
/* How slow the tier is: configured, else measured, else its type's usual factor. Any thread. */
double sup_tier_factor(const struct sup_tier *t);

/* What a reload changes of a tier, beside its flags. Whole or not at all: sup_tier_live(). */
struct sup_tier_live {
	struct om_conf_capacity capacity;
	double perf_factor;
	uint8_t durability; /* enum om_durability */
};

/* Why a tier may hold a record that the index does not know. */
enum sup_dirty {
	SUP_DIRTY_LEFT = 1 << 0,   /* it could not be deleted; until the next start */
	SUP_DIRTY_LOSERS = 1 << 1, /* a crash left it; until its op is on the way */
};
struct sup_tier {
	struct sup_engine *e;
	const struct om_conf_backend *conf; /* own copy: what never changes: name, label, paths, type, allow_swap */
	struct om_conf_backend own;
	pthread_mutex_t live_lock; /* of the three below, and of capacity_bytes, which follows from them */
	struct sup_tier_live live;
	uint64_t whole_bytes;	/* of the filesystem, when it was opened; 0: not known */
	_Atomic uint32_t flags; /* enum om_tier_flag; use this, not conf->flags */
	unsigned ix;			    /* in e->tiers and in the configuration */
	_Atomic uint8_t no;		    /* number: persistent, in records; OM_TIER_NONE: it never was here */
	bool is_volatile;		    /* memory tier: its catalog goes with its objects. Never changes */
	_Atomic int state;		    /* enum om_tier_state */
	uint32_t caps;
	_Atomic double measured; /* how slow it is beside memory; 0: not measured (configured, memory, or no room to) */
	int rootfd, objectsfd, stagingfd;
	_Atomic bool late; /* many removals wait for their time: be_removes_late() */
	struct be be; /* memory tier: publisher; its small files are unlinked here */
	struct idx_cat *_Atomic cat; /* NULL: absent. Used under e->cats, but by the publisher, which only asks whether it is there */
	_Atomic uint64_t capacity_bytes; /* written under live_lock */
	_Atomic bool own_fs;	 /* sup_tier_alone(), as of the last look */
	uint64_t base_bytes;	 /* what the filesystem took at start that is not the tier's */
	_Atomic uint64_t used_bytes, objects;
	uint64_t reserved_bytes; /* publisher: promised: PREPAREs, moves, rooms */
	uint64_t reserved_pins; /* of them: of PREPAREs with PINNED */
	_Atomic uint64_t cat_bytes;		  /* its catalog's file, where that lies on the tier */
	struct sup_acct acct;			  /* publisher */
	_Atomic uint64_t stat_in, stat_out; /* bytes of objects that came and went */
	_Atomic uint64_t stat_used, stat_reserved, stat_copies, stat_evictable, stat_pinned, stat_removals; /* for figures */
	bool is_twin;		 /* absent: its directory is another tier's */
	bool owes_rebuild;	 /* its catalog is not complete */
	_Atomic bool hides;	 /* absent, or its catalog could not be read to the end, and it may hold objects: a miss proves nothing */
	uint8_t dirty;		 /* publisher: enum sup_dirty: deletes look here, too */
	_Atomic bool has_tombs;	 /* the state environment has tombstones for it: a move here takes the object's away */
	_Atomic bool tombs_idle; /* none has been planned since all of them were known to have done their work (sup_recover_tombs()) */
	bool ballast;		 /* committer: the file is there */

	/* coming and going at run time (sup_engine_tiers.c, sup_engine_tierd.c) */
	_Atomic int phase;	 /* enum sup_phase */
	_Atomic bool attached;	 /* publisher: whatever was planned while it was away has been recorded */
	_Atomic bool hidden;	 /* its catalog still has what was removed while it was away: readers leave it out */
	_Atomic bool draining;	 /* by order: takes no new objects */
	_Atomic bool forgotten;	 /* by order: not looked for any more */
	_Atomic bool frozen;	 /* its filesystem is read-only; its catalog is a copy (sup_tier_ro.c). Changes only while it comes */
	_Atomic uint64_t back_flight; /* ops of the reading under way */
	bool turns;		 /* tierd: it goes to be opened again at once */
	bool away;		 /* publisher: nothing is lent to its committer any more */
	bool closing, coming, back, back_last; /* publisher */
	unsigned lent;		 /* publisher: ops at the committer */
	uint32_t since;		 /* publisher: children with a lower serial do not have its directories */
	bool purging, purge_again, verify; /* publisher */
	bool parting;		 /* publisher: forgotten; its number goes when nothing names it */
	uint64_t purge_at, purge_lost;
	uint32_t purge_seg;
	bool adopt;		 /* of a fresh one: take over whatever is there */
	char why[256];		 /* of a fresh one: why it could not be opened */
	struct sup_owned owned;	 /* from its opening until the publisher has it */

	/* rebuild and orphan scan; publisher */
	uint64_t scan_to; /* files from this id on are not judged: they came later */
	bool scan_sent, scan_done;
	int scan_mode;	      /* enum om_scan_mode, -1: none */
	uint64_t scan_flight; /* FOUND ops under way */
	_Atomic uint64_t scan_found;

	/* committer */
	pthread_t thread;
	bool thread_on;
	struct sup_pulse pulse;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct sup_op *todo, **todo_end;
	unsigned n_todo, n_urgent, n_intents; /* ops there; of them those that a client may wait for, and beginnings of moves */
	bool stop;
	bool more; /* queued since the last kick; publisher */
};

enum sup_phase { SUP_PHASE_ABSENT, SUP_PHASE_COMING, SUP_PHASE_PRESENT, SUP_PHASE_LEAVING };

/* What was removed while a tier was away: records of this key up to this id. */
struct sup_tomb {
	struct idx_key key;
	uint64_t id;
	uint8_t tier;
};

/* A tier that has been opened at run time, on its way to the publisher. */
struct sup_coming {
	struct sup_tier fresh; /* what was opened moves to the tier; the rest is unused */
	uint64_t id_floor;     /* no id below may be given out; 0: as before */
	struct sup_tomb *tombs; /* sorted */
	size_t n_tombs;
	uint64_t *pending; /* ids of removals, sorted */
	bool *stands;	   /* of each of them: a record names it, so it never happened */
	size_t n_pending;
};
enum sup_order { SUP_ORDER_OPEN, SUP_ORDER_ADOPT, SUP_ORDER_FORGET, SUP_ORDER_CLOSE, SUP_ORDER_VERIFY };

/* sup_tier.c: the end of the highest id directory below a tier's root: no file of it has an id from there on. 0: none, or it cannot be
 * read. Blocks on the disk. */
uint64_t sup_tier_dirs_end(int rootfd);
/* sup_tier.c: open a tier; logs. After it either cat is not NULL or the state is ABSENT. */
void sup_tier_open(struct sup_engine *e, struct sup_tier *t);
void sup_tier_close(struct sup_tier *t);
/* What never changes of a tier's configuration, with own copies of its strings, and the rest as sup_tier_live_set(). 0 or -OUT_OF_MEMORY. */
int sup_tier_conf(struct sup_tier *t, const struct om_conf_backend *conf);
/* Any thread: what the configuration in force says. */
struct sup_tier_live sup_tier_live(const struct sup_tier *t);
/* Main loop: another configuration is in force; the capacity follows. */
void sup_tier_live_set(struct sup_tier *t, const struct om_conf_backend *conf);
/* Any thread: its filesystem has so many bytes; the capacity follows. */
void sup_tier_sized(struct sup_tier *t, uint64_t whole_bytes);
/* How much a memory tier may hold beside the processes, by the control group's limit: main loop. */
void sup_tier_memory(struct sup_engine *e, const struct om_conf *conf);
/* Any thread. */
static inline int sup_tier_state(const struct sup_tier *t) { return atomic_load_explicit(&t->state, memory_order_relaxed); }
static inline bool sup_tier_may_write(const struct sup_tier *t)
{
	return (atomic_load(&t->flags) & OM_TIERF_WRITABLE) && !atomic_load(&t->frozen);
}
/* It takes no new objects for no other reason than that it is being drained. */
static inline bool sup_tier_drained(const struct sup_tier *t) { return sup_tier_may_write(t) && atomic_load(&t->draining); }
static inline bool sup_tier_writable(const struct sup_tier *t) { return sup_tier_may_write(t) && !atomic_load(&t->draining); }
void sup_tier_fail(struct sup_tier *t, const char *why);
/* Give the ballast file up: true if there was one. Committer. */
bool sup_tier_ballast_drop(struct sup_tier *t);
/* What its catalog's file takes on the tier's filesystem, for the accounts. Main loop at start, then the committer. */
void sup_tier_catalog_size(struct sup_tier *t);
/*
 * sup_tier_bound.c. Does nothing else take the room of the tier's filesystem? Reads the directories above its root: blocks on disks; at
 * start and by the thread that looks after tiers. What its filesystem takes from now on that is not the tier's: when it is opened, last.
 */
bool sup_tier_alone(const struct sup_tier *t);
void sup_tier_base(struct sup_tier *t);
/* Bytes that the filesystem takes beyond `used`, and did not at start; UINT64_MAX: cannot be known. Main loop. */
uint64_t sup_tier_unaccounted(const struct sup_tier *t, uint64_t used);

/* sup_tier_ro.c: is its filesystem read-only, by what it says (costs nothing) or by trying? Copy its catalog to state_dir (ret_dir), or say why not; such a copy goes. Blocks on disks. */
#define SUP_RO_DIR_MAX OM_CONF_DIR_MAX
bool sup_tier_ro_said(int rootfd);
bool sup_tier_ro_tried(int rootfd);
bool sup_tier_ro_catalog(const struct sup_engine *e, const struct sup_tier *t, char ret_dir[static SUP_RO_DIR_MAX], char *why, size_t cap);
void sup_tier_ro_drop(const struct sup_engine *e, const struct sup_tier *t);

/* sup_engine_roles.c: by its name; NULL: there is none. Main loop. */
struct sup_tier *sup_tier_named(struct sup_engine *e, const char *name);

/* sup_engine_tiers.c: tiers at run time. Make the next place of e->tiers for this configuration, its tier not open yet. */
int sup_tiers_slot(struct sup_engine *e, const struct om_conf_backend *conf);
/* Publisher: mail about tiers; each turn (true: there is more to do at once); a change of theirs has ended. */
void sup_tiers_mail(struct sup_engine *e, struct sup_mail *mail);
bool sup_tiers_turn(struct sup_engine *e);
bool sup_back_plan(struct sup_engine *e, struct sup_op *op, const struct idx_ent *cur);
int sup_back_publish(struct sup_engine *e, struct sup_op *op);
void sup_back_end(struct sup_engine *e, struct sup_op *op);
/* Does this child have the tier's directories as they are now? */
bool sup_tier_known_to(const struct sup_tier *t, const struct sup_child *c);

/* sup_engine_tierd.c: the thread for what blocks */
int sup_tierd_start(struct sup_engine *e); /* 0 or an errno */
void sup_tierd_stop(struct sup_engine *e);
/* Any thread. cookie: of a question, 0: none */
void sup_tierd_order(struct sup_engine *e, enum sup_order kind, struct sup_tier *t, bool lost, uint64_t cookie);

/*
 * sup_engine_past.c: what a tier brings along; thread of sup_engine_tierd.c. 0 or a status.
 * ids: the state did not know it: no id of a record or file on it may ever be given out. read: what was removed while it was away,
 * and files that were still to be removed when it left. records: all of them as ops; c NULL: those whose file is missing, as GONE.
 */
int sup_past_ids(struct sup_engine *e, struct sup_coming *c);
int sup_past_read(struct sup_engine *e, struct sup_tier *t, struct sup_coming *c);
int sup_past_records(struct sup_engine *e, struct sup_tier *t, struct sup_coming *c);
void sup_coming_free(struct sup_coming *c);

#endif
