/*
 * sup_place.h: a place for a child, and its control socket: what the child is told, and what it says. Below sup_child.h, which starts
 * and ends processes. Main thread only.
 *
 * Nothing in here decides about a child's life: what went wrong is returned, and is an event (sup_fsm.h) for who called.
 */
#ifndef SUP_PLACE_H
#define SUP_PLACE_H

#include "common/om_hist.h"
#include "supervisor/sup_boot.h"
#include "supervisor/sup_fsm.h"
#include "supervisor/sup_loop.h"
#include "supervisor/sup_post.h"
#include "supervisor/sup_pulse.h"
#include "supervisor/sup_spawn.h"

#define SUP_CHILD_ACK_MS 1000u /* from INDEX to INDEX_ACK; from a closed control socket to the end */

struct sup_children;

struct sup_place {
	struct sup_children *all;
	unsigned no;
	enum om_role role;
	enum sup_state state;

	uint32_t serial;    /* the engine's number of this process; 0: none yet */
	pid_t pid;	    /* 0: no process */
	int pidfd, ctl;	    /* -1 */
	struct sup_ev pid_ev, ctl_ev;
	struct om_seg counters, alog; /* of this process; alog: workers only */
	uint32_t index_seq, index_want; /* confirmed; announced */

	uint32_t generation; /* processes ever started here */
	uint32_t restarts;   /* of those, replacements of one that died */
	unsigned deaths;     /* in a row */
	uint64_t started_ns, ready_ns; /* of this process; 0: not yet */
	uint32_t conf_want, conf_seq; /* CONF sent; confirmed */
	uint64_t conf_due_ns; /* it must have been confirmed by then; 0: none */
	uint32_t epoch;	     /* of sup_children when it was started: an older one knows less */
	uint32_t drain_ms;   /* time to finish when it is drained; 0: drain_timeout */
	uint64_t due_ns;     /* the state's clock; 0: none */
	uint64_t ack_due_ns; /* the child must have answered by then; 0: none */
	const char *ack_why; /* what it did not do */
	struct sup_pulse_count turns; /* of its loop */
	const char *killed_why; /* NULL: we did not kill it */
};

struct sup_children {
	struct sup_loop *loop;
	const struct sup_boot_env *env;
	struct sup_spawn_exe exe[2]; /* by enum om_role */
	struct sup_post post;
	struct sup_ev post_ev;
	unsigned n; /* places */
	uint32_t epoch; /* see sup_roll.h */
	uint32_t conf_seq; /* of the last CONF */
	struct sup_place *place;
	uint64_t ended[OM_C_COUNT]; /* what processes that have ended had counted (not the levels) */
	struct om_hist_sum ended_hist[OM_H_COUNT];
	uint64_t ended_gets[OM_TIERS_MAX];
	void (*changed)(void *arg, struct sup_place *place); /* after a change of state; may be NULL */
	void (*conns)(void *arg, struct sup_place *place, const struct om_proc_conns *m); /* an answer; may be NULL */
	void (*tiers_changed)(void *arg); /* tiers have come or gone; may be NULL */
	void *changed_arg;
};

/** "worker 3", "lifecycle". */
void sup_place_name(const struct sup_place *p, char ret[static 32]);

/* ---- what it is told. NULL, or why the child is as good as stuck: static text. One that has gone is no fault: its end is about to
 * be seen. Nothing happens where there is no child to be told. ---- */

/** The lifecycle process, of a worker's access log, or that it is gone. */
const char *sup_place_tell_alog(struct sup_place *lifecycle, const struct sup_place *worker, bool gone) OM_MUST_USE;
/** A new segment of the index; the descriptors are borrowed. To be confirmed within SUP_CHILD_ACK_MS. */
const char *sup_place_tell_index(struct sup_place *p, const struct sup_post_index *ix) OM_MUST_USE;
/** What a reload changed, numbered m->seq; the header is filled in here. To be confirmed within SUP_CHILD_ACK_MS. */
const char *sup_place_tell_conf(struct sup_place *p, struct om_proc_conf *m, int rules_fd) OM_MUST_USE;
/** Who is connected? */
const char *sup_place_tell_conns(struct sup_place *p, uint32_t seq) OM_MUST_USE;
/** Finish what is under way, for at most `ms`, and end. */
const char *sup_place_tell_drain(struct sup_place *p, uint32_t ms) OM_MUST_USE;

/* ---- what it says ---- */

enum sup_heard {
	SUP_HEARD_ALL,	 /* nothing more is there now */
	SUP_HEARD_ONE,	 /* and was dealt with */
	SUP_HEARD_READY, /* the child serves */
	SUP_HEARD_END,	 /* it has closed its socket */
	SUP_HEARD_WRONG, /* it broke a rule: *ret_why, static text */
};
/** Take one message from its control socket. */
enum sup_heard sup_place_hear(struct sup_place *p, const char **ret_why) OM_MUST_USE;

#endif
