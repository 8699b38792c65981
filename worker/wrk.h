/*
 * wrk.h: the worker as a whole: what its parts share. One struct wrk to a process, made by wrk_main.c from BOOT.
 *
 * Linked by objmapper-worker only. Fields are set before the first accept and then only changed by the loop's thread;
 * I/O threads may read what is marked (const): it never changes after the start.
 */
#ifndef WRK_H
#define WRK_H

#include "common/msg_proc.h"
#include "common/om_counter.h"
#include "index/idx_alog.h"
#include "index/idx_gen.h"
#include "index/idxr.h"
#include "worker/wrk_loop.h"
#include "worker/wrk_ring.h"

struct wrk_accept;     /* wrk_accept.h */
struct wrk_access_set; /* wrk_access.h */
struct wrk_watch_set;  /* wrk_watch.h */
struct wrk_conn_set;   /* wrk_conn.h */
struct wrk_dirs;       /* wrk_dir.h */
struct wrk_fdcache;    /* wrk_fdcache.h */
struct wrk_io;	       /* wrk_io.h */
struct wrk_put_set;    /* wrk_put.h */
struct wrk_reap;       /* wrk_reap.h */
struct wrk_legacy_set; /* wrk_legacy.h */
struct wrk_small;      /* wrk_small.h */

/* One tier, by number. */
struct wrk_tier {
	bool known;		 /* (const) configured */
	int objects_fd;		 /* (const) directory; -1: the tier is absent */
	int staging_fd;		 /* (const) */
	struct om_boot_tier row; /* (const) its `state` is that of the start; wrk_tier_state() tells the living one */
};

struct wrk {
	struct om_proc_boot boot; /* (const) limits, roles, uids, key secret */
	struct wrk_tier tiers[OM_TIERS_MAX];
	int null_fd; /* (const) /dev/null, opened before the sandbox */
	int gens_fd; /* (const) generation table, read-only: passed to clients that ask for it */
	int run_lock_fd;
	int ctl_fd;
	bool draining;
	uint32_t reqlog_every, reqlog_left; /* of so many requests one is logged, 0: none; until the next one */
	uint64_t drain_due_ns;
	struct wrk_loop loop;
	uint32_t turn_ended[OM_H_COUNT]; /* requests that came and ended in this turn (wrk_req.h) */
	struct idxr idx; /* current index segment; loop thread only */
	const struct idx_gen_table *gens;
	struct idx_alogw alog;
	struct wrk_ring *ring;
	struct wrk_fdcache *fdcache;
	struct wrk_dirs *dirs; /* NULL: none */
	struct wrk_small *small;
	struct wrk_io *io;
	struct wrk_accept *accept;
	struct wrk_conn_set *conns;
	struct wrk_reap *reap;
	struct wrk_put_set *puts;
	struct wrk_legacy_set *legacy;
	struct wrk_access_set *access;
	struct wrk_watch_set *watches;
};

/** Living state of a tier (index header); ABSENT for one that is not configured or whose directories we do not have. */
enum om_tier_state wrk_tier_state(const struct wrk *w, unsigned tier);
/** May clients read what lies there? True also for one that is not known: that fails elsewhere, and says why. */
static inline bool wrk_tier_readable(const struct wrk *w, unsigned tier)
{
	return tier >= OM_TIERS_MAX || !w->tiers[tier].known || (w->tiers[tier].row.flags & OM_TIERF_READABLE);
}
/** True for uids of access.trusted_writers, and of the `legacy` right. */
bool wrk_uid_trusted(const struct wrk *w, uint32_t uid);
bool wrk_uid_legacy(const struct wrk *w, uint32_t uid);

#endif
