/*
 * lcy.h: the lifecycle process as a whole: what its parts share.
 *
 * Linked by objmapper-lifecycle only. Threads: the loop (control socket, ring, heat) and, while a tier is scanned, one scan
 * thread that does nothing but read files and send FOUND; both put into the ring, under ring_lock.
 */
#ifndef LCY_H
#define LCY_H

#include <pthread.h>
#include <stdatomic.h>

#include "backend/be.h"
#include "common/msg_proc.h"
#include "common/msg_ring.h"
#include "common/om_ring.h"
#include "index/idx_alog.h"
#include "index/idx_heat.h"
#include "index/idxr.h"

#define LCY_ALOGS_MAX 257u	 /* workers' places */
#define LCY_HEAT_MS 200u	 /* access logs are read this often */
#define LCY_HEAT_BUSY_MS 20u	 /* and this often while a worker logs much: 16,384 entries last for 800,000 accesses a second */
#define LCY_HEAT_COPY 65536u	 /* slots of an old segment copied in a turn */
#define LCY_START_MARGIN_S 10u /* names in staging/ that are younger may be of this run */
#define LCY_SWEEP_MS 1000u	 /* staging/ of tiers without nameless files is looked through this often */
#define LCY_DIRS_YOUNG 16u	 /* id directories so close to the highest id may still get files: they stay, empty or not */
#define LCY_REAP_BATCH 256u	 /* files removed before their directories are synced */

struct lcy_tier {
	bool on;	/* its directories are here */
	struct be be;	/* loop thread: removals */
	struct be scan; /* scan thread: its own, so that the two never share a word */
};

struct lcy_scan {
	struct om_op_scan order;
	struct lcy_scan *next;
};

struct lcy {
	struct om_proc_boot boot;
	int ctl_fd, run_lock_fd;
	struct om_ring ring;
	pthread_mutex_t ring_lock; /* puts; gets are the loop's alone */
	struct lcy_tier tiers[OM_TIERS_MAX]; /* by number */
	bool draining;
	uint64_t sweep_due_ns;

	/* heat (lcy_heat.c); loop thread */
	struct idxr idx, old_idx;
	struct idx_heat heat, old_heat;
	uint64_t copied; /* slots of old_heat already taken over */
	bool copying;
	struct idx_alogr alog[LCY_ALOGS_MAX];
	bool alog_on[LCY_ALOGS_MAX];
	uint64_t heat_due_ns;
	unsigned heat_ms; /* the pause now */

	/* scans (lcy_scan.c) */
	struct lcy_scan *scans, **scans_end; /* orders that wait; loop thread */
	pthread_t scan_thread;
	bool scan_running;
	_Atomic bool scan_ended; /* by the thread, when it is about to return */
	struct lcy_scan *scan_now;
};

/* lcy_files.c: removals. Takes everything the ring holds; scans asked for are queued. False: the ring is broken. */
bool lcy_files_turn(struct lcy *l);
/** Once in LCY_SWEEP_MS: names in staging/ that nobody needs, where files are begun under names (no O_TMPFILE): an object's
 * bytes would outlive its removal under such a name. Workers may not unlink. */
void lcy_files_sweep(struct lcy *l, uint64_t now_ns);

/* lcy_attr.c: a file gets a new attribute (ATTR), and the supervisor is told. */
void lcy_attr(struct lcy *l, const struct om_op_attr *m, size_t len);

/* lcy_scan.c */
void lcy_scan_order(struct lcy *l, const struct om_op_scan *order);
/** Start the next scan when none runs. */
void lcy_scan_turn(struct lcy *l);

/* lcy_heat.c */
void lcy_heat_turn(struct lcy *l, uint64_t now_ns);
/** Take over a new index and its heat; the descriptors are taken on success. 0 or negative. */
int lcy_heat_index(struct lcy *l, int index_fd, int heat_fd) OM_MUST_USE;
int lcy_heat_alog(struct lcy *l, uint32_t child, int fd) OM_MUST_USE;
void lcy_heat_alog_gone(struct lcy *l, uint32_t child);

/* lcy_sandbox.c: after the tiers are open, before the first removal. Logs what could not be done. */
void lcy_sandbox(const struct lcy *l, const int (*dirs)[2], unsigned n);

/** Put a message of `n` pieces; waits, in steps of a millisecond, while the ring is full. Loop and scan thread. */
int lcy_send(struct lcy *l, const struct iovec *iov, int n) OM_MUST_USE;

#endif
