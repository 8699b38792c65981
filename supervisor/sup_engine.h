/*
 * sup_engine.h: the heart of objmapperd: every change of every object passes through here.
 *
 * Owns: the state environment, the tiers' catalogs, the shared index, heat and generation segments, the supervisor's ends
 * of all rings. Its threads: one publisher (takes the rings' messages, keeps the order of each key, writes index and
 * generations, answers), one committer a tier (LMDB group commits), a few catalog readers (look-ups, listings, the build
 * of the index). The calls below come from the main loop's thread only, unless said otherwise; none blocks on a disk
 * after sup_engine_open().
 */
#ifndef SUP_ENGINE_H
#define SUP_ENGINE_H

#include "common/conf/om_conf.h"
#include "common/msg_proc.h"
#include "common/msg_ring_lifecycle.h"

#define SUP_CHILDREN_MAX 257u /* places: 0 is the lifecycle process, 1.. are workers */
#define SUP_CHILD_LIFECYCLE 0u

struct sup_engine;

/* What the engine tells the main loop. Called on engine threads: hand over, do not block, do not call back. */
struct sup_engine_cb {
	/* The child in this place, if it still is the one of this serial, broke a rule of its ring, or was silent: kill it. `why` is static text. */
	void (*kill_child)(void *arg, unsigned place, uint32_t serial, const char *why);
	/*
	 * A new index segment stands: send it to every child (INDEX), collect INDEX_ACK. The descriptors are duplicates and
	 * belong to the callee. heatfd: writable, for the lifecycle process.
	 */
	void (*index_new)(void *arg, uint32_t seq, int index_rofd, int heatfd);
	void *arg;
	/* A tier came or went: what children were told of the tiers is not true any more. May be NULL. */
	void (*tiers_changed)(void *arg);
};

/* What a child needs of the engine for its BOOT. The descriptors are duplicates: the caller sends and closes them. */
struct sup_engine_child {
	int ring_own, ring_peer, kick_peer, kick_self; /* as enum om_boot_fd says */
	int index, gens;
	int heat; /* writable; lifecycle only, else -1 */
	uint32_t index_seq;
	uint32_t serial; /* not 0; another one for each child */
};

struct sup_engine_tier_stat {
	char name[OM_TIER_NAME_MAX];
	const char *path; /* borrowed from the configuration */
	uint8_t tier, type, state;
	uint32_t flags, caps;
	/* used: what objects (as allocated), files still to be removed and the catalog take; promised bytes are not in it */
	uint64_t capacity_bytes, used_bytes, objects;
	uint64_t object_bytes;	 /* sum of the objects' sizes */
	uint64_t reserved_bytes; /* promised to puts and moves under way */
	uint64_t copy_bytes, evictable_bytes, pinned_bytes; /* parts of used */
	uint64_t removal_bytes;	 /* part of used: deleted, and the file is not removed yet */
	/* What the filesystem takes beyond all that, and did not when the tier was opened: deleted objects that clients hold open,
	 * files being written, the filesystem's own. UINT64_MAX: not known (it is not the tier's own filesystem, or a network's) */
	uint64_t unaccounted_bytes;
	double perf_factor;	 /* beside memory's 1: configured, measured at start, or the type's usual one */
	bool rebuilding;
	bool draining; /* by order: takes no new objects */
	bool frozen; /* its filesystem is read-only */
	uint8_t durability; /* enum om_durability */
	uint64_t rebuilt_files; /* so far */
	uint64_t in_bytes, out_bytes; /* of objects that came onto the tier (puts, moves, copies) and left it, since the start */
};

struct sup_engine_stat {
	uint64_t objects, slots, index_bytes; /* index_bytes: index, heat and generations */
	bool complete;
	uint64_t pending_ops, pending_removals, commits, committed_ops;
	uint32_t n_tiers;
	struct sup_engine_tier_stat tiers[OM_TIERS_MAX];
};

/**
 * Open the state environment and the tiers (markers, probes, catalogs), make the segments. Blocks on disks; no threads yet.
 * The caller holds run.lock. `conf` is borrowed until sup_engine_close().
 * A tier that cannot be opened is logged and absent; only a state_dir that cannot be used fails the call.
 * @param adopt  names of tiers, ended by NULL, to take over with whatever is at their paths, though the marker is missing,
 *               damaged or another installation's; their catalogs are made again from the files. Borrowed
 * @return 0 or a negative status, logged
 */
int sup_engine_open(const struct om_conf *conf, const char *const *adopt, const struct sup_engine_cb *cb,
		    struct sup_engine **ret) OM_MUST_USE;

/** Start the threads; from here on children may be added. 0 or a negative status, logged. */
int sup_engine_start(struct sup_engine *e) OM_MUST_USE;

/** Stop: everything taken in is committed and answered, generations are retired, environments closed. NULL is fine. */
void sup_engine_close(struct sup_engine *e);

/** Secret of the index's keys, for BOOT. */
const uint8_t *sup_engine_secret(const struct sup_engine *e);

/**
 * Rows for BOOT, the fastest tier first, and for each tier that is not absent its objects/ and staging/ directories (-1 if absent; the caller closes them).
 * @return number of tiers, at most OM_TIERS_MAX
 */
unsigned sup_engine_tiers(const struct sup_engine *e, struct om_boot_tier ret[static OM_TIERS_MAX],
			  int ret_dirs[static OM_TIERS_MAX][2]);
/** Roles for BOOT: tier numbers or OM_TIER_NONE. */
void sup_engine_roles(const struct sup_engine *e, uint32_t *ret_default, uint32_t *ret_ephemeral, uint32_t *ret_cache);

/** Make the rings of a child that is about to be started in `place`, which must be empty. 0 or negative. */
int sup_engine_child_open(struct sup_engine *e, unsigned place, enum om_role role, struct sup_engine_child *ret) OM_MUST_USE;
/** The child's process has been reaped (or never started): drop its rings, give its reservations back. */
void sup_engine_child_close(struct sup_engine *e, unsigned place);
/** The child uses segment `seq`. When all do, the old one is dropped. */
void sup_engine_index_ack(struct sup_engine *e, unsigned place, uint32_t seq);

/** Renew the time until which clients may trust generations: every 50 ms. Cheap. */
void sup_engine_heartbeat(struct sup_engine *e);

/** What shows the progress of the engine's threads: the publisher and the committers. */
struct sup_pulse;
#define SUP_PULSES_MAX (OM_TIERS_MAX + 1)
unsigned sup_engine_pulses(struct sup_engine *e, struct sup_pulse *ret[static SUP_PULSES_MAX]);

/**
 * Another configuration is in force: capacity, flags, perf_factor, durability and roles of the tiers that are here. `conf` is
 * borrowed from now on instead of the one before.
 */
void sup_engine_conf(struct sup_engine *e, const struct om_conf *conf);

/** Figures for status; never waits for a disk. */
void sup_engine_stat(struct sup_engine *e, struct sup_engine_stat *ret);

/**
 * Make the catalog of a tier again from its files, while serving; returns at once, progress is in sup_engine_stat().
 * @return 0; -NOT_FOUND: no such tier; -UNAVAILABLE: absent; -BUSY: under way already; -STORAGE: an error stopped it:
 *         restart first
 */
int sup_engine_rebuild(struct sup_engine *e, const char *tier) OM_MUST_USE;

/* What a user owns, over all tiers. */
struct sup_engine_owner {
	uint32_t uid; /* OM_UID_NONE: clients over TCP; OM_UID_OLD: not known, from before owners were kept */
	uint64_t objects, bytes;
	uint64_t reserved_bytes; /* promised to puts under way */
	uint64_t max_bytes, max_objects; /* 0: no limit */
};
/** All who own or have reserved anything, who has most first. The caller frees *ret. 0 or -OUT_OF_MEMORY. */
int sup_engine_owners(struct sup_engine *e, struct sup_engine_owner **ret, size_t *ret_n) OM_MUST_USE;

/* ---- questions whose answer comes later ---- */

/* One record of an object, as a tier's catalog has it. */
struct sup_engine_record {
	uint64_t id, size, mtime_ns, expiry_s;
	uint32_t rev, flags; /* enum om_obj_flag */
	uint32_t uid;	     /* the owner */
	uint8_t tier, home;  /* numbers */
	bool serves;	     /* the record that GET answers with */
};

struct sup_engine_answer {
	int status; /* 0 or negative; -TIMEOUT: no answer in time; -UNAVAILABLE: the lifecycle process is not there, or it ended */
	/* of sup_engine_task(): what the lifecycle process wrote; nobody has checked it. Not terminated; NULL: nothing */
	const char *text;
	size_t text_len;
	/* of sup_engine_lookup(), when the status is 0 */
	unsigned n_records;
	struct sup_engine_record records[OM_TIERS_MAX];
	char type[OM_TYPE_MAX + 1]; /* content type */
	uint32_t meta_len;	    /* bytes of custom metadata */
	double heat;		    /* 0..1 */
	uint64_t last_access_s;	    /* since 1970, 0: never seen */
	uint32_t accesses;	    /* decayed */
};

/* Called once for each question, on the main loop's thread, from sup_engine_asks(); `a` is borrowed. */
typedef void sup_engine_done_fn(void *arg, const struct sup_engine_answer *a);

struct sup_engine_task {
	enum om_task_kind kind;
	uint8_t tier; /* number, or OM_TIER_NONE */
	uint64_t arg;
	const char *uri; /* borrowed; NULL: none */
	size_t uri_len;
	uint32_t wait_ms; /* then -TIMEOUT */
};

/** Ask the lifecycle process. @return 0: `done` will be called; -TRY_AGAIN: too many questions are open; -OUT_OF_MEMORY */
int sup_engine_task(struct sup_engine *e, const struct sup_engine_task *task, sup_engine_done_fn *done, void *arg) OM_MUST_USE;
/** Ask a catalog reader for all records of a URI (valid: om_uri_valid()). As sup_engine_task(). */
int sup_engine_lookup(struct sup_engine *e, const char *uri, size_t uri_len, uint32_t wait_ms, sup_engine_done_fn *done,
		      void *arg) OM_MUST_USE;
/** What SET changes for an administrator: flags alone. */
struct sup_engine_set {
	const char *uri; /* valid: om_uri_valid(); borrowed */
	size_t uri_len;
	uint32_t flags_mask, flags; /* enum om_obj_flag: those of the mask become those of `flags`; PINNED and EVICTABLE */
	uint32_t wait_ms;	    /* then -TIMEOUT, though it may still happen */
};
/**
 * Change an object's flags. As sup_engine_task(); the answer's status: 0; -NOT_FOUND; -LIMIT_EXCEEDED: half of its tier is pinned
 * already; -INVALID_REQUEST: EPHEMERAL would change; -UNAVAILABLE, -READ_ONLY, -STORAGE, -NO_SPACE, -TRY_AGAIN.
 */
int sup_engine_set(struct sup_engine *e, const struct sup_engine_set *set, sup_engine_done_fn *done, void *arg) OM_MUST_USE;

/** What clients keep is not true any more (the access rules are others): every generation moves on. After all workers have the
 * new rules. About 2 ms. */
void sup_engine_gens_bump_all(struct sup_engine *e);

/** Readable when answers wait. Borrowed. */
int sup_engine_asks_fd(const struct sup_engine *e);
/** Hand out what has come and give up what is overdue: when the descriptor is readable, and at least once a second. */
void sup_engine_asks(struct sup_engine *e, uint64_t now_ns);
/** A tier that is being drained takes no new objects. 0; -NOT_FOUND. */
int sup_engine_tier_draining(struct sup_engine *e, const char *name, bool on);

enum sup_engine_order {
	SUP_TIER_ADD,	 /* look now whether an absent tier is there, and open it */
	SUP_TIER_ADOPT,	 /* the same, whatever its marker says */
	SUP_TIER_FORGET, /* an absent tier does not come back */
};
/**
 * An order about a tier. As sup_engine_task(), and -NOT_FOUND: no such tier. The answer's text says why not. ADD and ADOPT are
 * answered when its objects are there.
 * @param lost  FORGET: though it may hold objects
 */
int sup_engine_tier_order(struct sup_engine *e, const char *name, enum sup_engine_order order, bool lost, uint32_t wait_ms,
			  sup_engine_done_fn *done, void *arg) OM_MUST_USE;
/** Number of a tier by its name; OM_TIER_NONE: there is none, or it never was here. */
uint8_t sup_engine_tier_no(const struct sup_engine *e, const char *name);

#endif
