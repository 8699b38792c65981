/*
 * sup.h: the running supervisor, as its main thread sees it.
 *
 * Main thread only; one object a process. sup_run.c owns it; the admin commands read it.
 */
#ifndef SUP_H
#define SUP_H

#include "supervisor/sup_admin.h"
#include "supervisor/sup_child.h"
#include "supervisor/sup_notify.h"
#include "supervisor/sup_rates.h"
#include "supervisor/sup_scale.h"

struct sup {
	struct sup_rates rates; /* of the tiers */
	struct om_conf *conf;
	struct sup_user user; /* who we are now */
	struct sup_socks socks;
	struct sup_boot_env env;
	struct om_seg rules; /* access rules, as the children get them */
	struct sup_engine *engine;
	struct sup_loop loop;
	struct sup_children kids;
	struct sup_scale scale;
	struct sup_admin *admin; /* NULL: none */
	struct sup_reload *reload;
	struct sup_conns *conns; /* a collection of connections under way; NULL: none */
	struct sup_ev signal_ev, timer_ev, asks_ev;
	const char *const *adopt; /* tiers to take over, ended by NULL; borrowed */
	int state_dirfd, heat_dirfd, run_lock, signalfd, timerfd;
	uint32_t max_workers;
	uint64_t started_ns;
	uint64_t scale_due_ns;
	uint64_t give_up_ns; /* while stopping: children that are left then are left behind */
	struct sup_notify notify;
	bool bump;	    /* access has changed: all generations, when the children have confirmed it */
	bool rolling;	    /* sup_roll.h */
	unsigned roll_want; /* workers that there are to be meanwhile */
	bool stopping, at_once;
};

#endif
