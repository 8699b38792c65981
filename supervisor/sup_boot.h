/*
 * sup_boot.h: the BOOT message: all that a child is given, made from the configuration and the engine.
 *
 * Main thread only; no system call.
 */
#ifndef SUP_BOOT_H
#define SUP_BOOT_H

#include "common/om_fdpass.h"
#include "supervisor/sup_engine.h"
#include "supervisor/sup_sock.h"

/* What is the same for all children; borrowed for as long as children are started. */
struct sup_boot_env {
	const struct om_conf *conf; /* ids looked up */
	struct sup_engine *engine;
	const struct sup_socks *socks;
	int run_lock;
	int heat_dir; /* of the lifecycle process; 0 or less: there is none */
	bool paused; /* by an administrator: each lifecycle process is told, until one says resume or the daemon ends */
	int rules_fd; /* the access rules, read-only and sealed */
	uint64_t nofile; /* open files that a process may have */
	unsigned max_workers;
};

/* What is this child's. */
struct sup_boot_child {
	enum om_role role;
	uint32_t place, generation;
	const struct sup_engine_child *engine;
	int counters; /* writable */
	int own_seg;  /* worker: its access log, writable; lifecycle: unused (the engine's heat) */
};

/** Fill the message. @param ret_fds  descriptors in the order of msg_proc.h; OM_FDPASS_MAX of room: borrowed, but for the tiers'
 * directories, which sup_boot_done() closes once they are sent. */
void sup_boot_fill(const struct sup_boot_env *env, const struct sup_boot_child *child, struct om_proc_boot *ret,
		   int ret_fds[static OM_FDPASS_MAX], unsigned *ret_nfds);

void sup_boot_done(const struct om_proc_boot *boot, int fds[static OM_FDPASS_MAX], unsigned nfds);

/** What a reload may change, of the configuration and the engine as they are now. @param ret_dirs  as sup_engine_tiers() */
void sup_boot_live(const struct sup_boot_env *env, struct om_proc_live *ret, int ret_dirs[static OM_TIERS_MAX][2]);

#endif
