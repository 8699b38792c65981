/*
 * wrk_conf.c: see wrk_conf.h. Process objmapper-worker, loop thread, called by wrk_ctl.c.
 */
#include "worker/wrk_conf.h"

#include <limits.h>

#include "worker/wrk_access.h"
#include "worker/wrk_conn_set.h"
#include "worker/wrk_fdcache.h"
#include "worker/wrk_reqlog.h"
#include "worker/wrk_small.h"

/* I/O threads read names and types of tiers, which do not change; the rest is the loop's own. */
static void wrk_conf_tier(struct wrk *w, const struct om_boot_tier *row)
{
	struct wrk_tier *t = &w->tiers[row->tier];

	if (!t->known)
		return; /* it came after this worker: its successor serves it */
	if ((t->row.flags & OM_TIERF_READABLE) && !(row->flags & OM_TIERF_READABLE)) {
		/* nothing that was opened or read there before is handed out any more: of all tiers, for it happens seldom */
		wrk_fdcache_shrink(w->fdcache, UINT_MAX);
		wrk_small_clear(w->small);
	}
	t->row.capacity_bytes = row->capacity_bytes;
	t->row.flags = row->flags;
	t->row.durability = row->durability;
	t->row.perf_factor = row->perf_factor;
}

void wrk_conf_apply(struct wrk *w, const struct om_proc_live *live, int rules_fd)
{
	w->boot.live = *live;
	for (uint32_t i = 0; i < live->n_tiers; i++)
		wrk_conf_tier(w, &live->tiers[i]);
	om_log_level((enum om_log_prio)live->log_level);
	wrk_reqlog_set(w, live->access_log_ppm);
	wrk_conn_limits(w->conns, &w->boot.limits);
	wrk_loop_busy_poll(&w->loop, w->boot.limits.busy_poll_us);
	int rc = wrk_access_load(w, rules_fd);
	if (rc < 0) {
		om_log(OM_MSG_CONFIG, "worker %u cannot read the new access rules: %s: it ends, and another takes its place",
		       w->boot.child, om_status_text(rc));
		_exit(1);
	}
	wrk_conn_access(w->conns);
}
