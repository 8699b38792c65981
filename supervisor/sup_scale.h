/*
 * sup_scale.h: how many workers there should be: a decision from figures, without a process or a clock of its own.
 *
 * Main thread only. Figures come from the workers' own counter blocks; a worker that lies gets at most max_workers
 * started or itself retired.
 */
#ifndef SUP_SCALE_H
#define SUP_SCALE_H

#include "supervisor/sup_engine.h"

#define SUP_SCALE_PERIOD_MS 250u
#define SUP_SCALE_HOT_PPM 700000u  /* mean busy share above which another worker is wanted ... */
#define SUP_SCALE_HOT_MS 1000u	   /* ... when it lasts so long */
#define SUP_SCALE_IDLE_PPM 50000u  /* busy share below which a worker counts as idle */

struct sup_scale_row {
	unsigned place;
	uint64_t busy_ns;     /* BUSY_NS of its block */
	uint64_t connections; /* CONNECTIONS of its block */
};

struct sup_scale {
	uint32_t min, max, idle_ms;
	uint64_t last_ns;      /* of the last look; 0: none */
	uint64_t hot_since_ns; /* 0: not hot */
	struct {
		bool known; /* `busy_ns` is of the last look and of this process */
		uint64_t busy_ns;
		uint64_t idle_since_ns; /* 0: not idle */
	} place[SUP_CHILDREN_MAX];
};

enum sup_scale_verdict { SUP_SCALE_STAY, SUP_SCALE_MORE, SUP_SCALE_LESS };

void sup_scale_init(struct sup_scale *s, uint32_t min, uint32_t max, uint32_t idle_ms);
/** Another process is in this place now: what is known of it does not hold any more. */
void sup_scale_forget(struct sup_scale *s, unsigned place);

/**
 * One look.
 * @param now_ns   om_now_ns()
 * @param rows     the workers that are READY
 * @param wanted   workers that exist or will again by themselves, those in `rows` included; without those being retired
 * @param ret_place with SUP_SCALE_LESS: which one to drain
 */
enum sup_scale_verdict sup_scale_look(struct sup_scale *s, uint64_t now_ns, const struct sup_scale_row *rows, unsigned n,
				      unsigned wanted, unsigned *ret_place);

#endif
