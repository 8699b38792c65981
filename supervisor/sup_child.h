/*
 * sup_child.h: the supervisor's children: one place for the lifecycle process (0) and one for each worker (1..).
 *
 * Main thread only. A place goes through the states of sup_fsm.h; this module carries the actions out: starts processes,
 * gives them what they need (BOOT), checks what they say on their control socket, kills what breaks a rule or is silent,
 * reaps, and replaces with back-off. Nothing a child sends can stop the supervisor: at worst it is killed.
 */
#ifndef SUP_CHILD_H
#define SUP_CHILD_H

#include "supervisor/sup_place.h"

#define SUP_CHILD_BOOT_MS 10000u /* from start to READY */

/**
 * Prepare 1 + max_workers empty places. The engine is opened with sup_post_cb(&c->post).
 * @param exe  by enum om_role; descriptors become ours
 * @return 0; -OBJM_STATUS_OUT_OF_MEMORY; -OBJM_STATUS_SYSTEM, errno says why
 */
int sup_child_init(struct sup_children *c, struct sup_loop *loop, const struct sup_boot_env *env,
		   const struct sup_spawn_exe exe[2], unsigned max_workers) OM_MUST_USE;
/** All places must be empty. */
void sup_child_fini(struct sup_children *c);

/** A child is wanted in this place. */
void sup_child_start(struct sup_children *c, unsigned place);
/** Tell every child what a reload changed (CONF): the configuration, rules and tiers of `env` as they are now. */
void sup_child_conf(struct sup_children *c);
/** Ask a worker who is connected; the answers come to `conns`. False: nobody serves in this place. */
bool sup_child_ask_conns(struct sup_place *p, uint32_t seq);
/** True if none is left that may still answer by what was before the last sup_child_conf(). */
bool sup_child_conf_settled(const struct sup_children *c);
/** Let the child of this place finish and end. */
void sup_child_drain(struct sup_children *c, unsigned place);
/** All of them, now (SIGKILL) or after what they have in hand. */
void sup_child_end_all(struct sup_children *c, bool at_once);
/** Judge the clocks: call at least every 50 ms. */
void sup_child_tick(struct sup_children *c, uint64_t now_ns);
/**
 * Judge progress, once in SUP_PULSE_LOOK_MS: a child that serves and whose loop has not turned for SUP_PULSE_WORKER_MS
 * (SUP_PULSE_LCY_MS) is killed, and replaced.
 * @param span_ns  sup_pulse_span()
 * @return children that should have been killed for it and live: 0 unless this very module is at fault
 */
unsigned sup_child_progress(struct sup_children *c, uint64_t span_ns);

/** Places of this role in this state; SUP_STATE_COUNT: with a process. */
unsigned sup_child_count(const struct sup_children *c, enum om_role role, enum sup_state state);

#endif
