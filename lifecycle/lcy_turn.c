/*
 * lcy_turn.c: who hears of what in a turn of the loop. Loop's thread of objmapper-lifecycle. Above those who look (lcy_plan.c, lcy_scrub.c), act
 * (lcy_act.c) and answer (lcy_task.c), so that none of them need know the others.
 */
#include "lifecycle/lcy.h"

void lcy_turn(struct lcy *l)
{
	struct lcy_cand bad;

	if (lcy_plan_turn(l)) {
		lcy_cache_scanned(l);
		lcy_act_scanned(l, l->now_ns);
		lcy_task_scanned(l);
	}
	lcy_act_turn(l);
	if (lcy_scrub_turn(l, &bad))
		(void)!lcy_act_start(l, &bad, NULL); /* one that is busy is found by the next pass */
}

void lcy_turn_ended(void *arg, struct lcy_job *job)
{
	lcy_act_ended(arg, job);
	lcy_task_ended(arg, job);
}
