/*
 * sup_roll.c: see sup_roll.h. In the supervisor's main thread, from its tick.
 */
#include "supervisor/sup_roll.h"

#include "common/om_log.h"
#include "supervisor/sup.h"

void sup_roll(struct sup *sup)
{
	sup->kids.epoch++;
	sup->roll_want = 0;
	for (unsigned i = 1; i < sup->kids.n; i++)
		sup->roll_want += sup_fsm_wanted(sup->kids.place[i].state);
	sup->rolling = true;
	om_log(OM_MSG_NOTE, "the processes are replaced one after another, so that they know what has changed");
}

static bool old(const struct sup *sup, const struct sup_place *p) { return p->epoch != sup->kids.epoch; }

/* The lifecycle process serves nobody: it ends first, then the next one starts. True: done. */
static bool roll_lifecycle(struct sup *sup)
{
	struct sup_place *p = &sup->kids.place[SUP_CHILD_LIFECYCLE];

	if (p->state == SUP_STATE_EMPTY)
		sup_child_start(&sup->kids, SUP_CHILD_LIFECYCLE);
	else if (p->state == SUP_STATE_READY && old(sup, p))
		sup_child_drain(&sup->kids, SUP_CHILD_LIFECYCLE);
	return p->state == SUP_STATE_READY && !old(sup, p);
}

struct count {
	unsigned ready, coming; /* coming: started, not READY yet, or waiting to be started again */
	unsigned empty, victim; /* places; 0: none */
};

static struct count count(const struct sup *sup)
{
	struct count c = { 0 };

	for (unsigned i = sup->kids.n - 1; i > SUP_CHILD_LIFECYCLE; i--) {
		const struct sup_place *p = &sup->kids.place[i];
		if (p->state == SUP_STATE_EMPTY)
			c.empty = i;
		else if (p->state == SUP_STATE_READY)
			c.ready++;
		else if (sup_fsm_wanted(p->state))
			c.coming++;
		if (p->state == SUP_STATE_READY && old(sup, p))
			c.victim = i;
	}
	return c;
}

bool sup_roll_tick(struct sup *sup)
{
	if (!sup->rolling || sup->stopping)
		return false;
	bool lifecycle = roll_lifecycle(sup);
	struct count c = count(sup);
	if (!c.victim && lifecycle && c.coming == 0) {
		sup->rolling = false;
		return false;
	}
	if (!c.victim || c.coming)
		return true;
	if (c.ready > sup->roll_want || !c.empty) {
		sup->kids.place[c.victim].drain_ms = SUP_ROLL_DRAIN_MS;
		sup_child_drain(&sup->kids, c.victim);
	} else {
		sup_child_start(&sup->kids, c.empty);
	}
	return true;
}
