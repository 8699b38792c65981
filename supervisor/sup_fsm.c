/*
 * sup_fsm.c: see sup_fsm.h. In the supervisor's main thread; called by sup_child.c.
 */
#include "supervisor/sup_fsm.h"

#define STEP(action, next) { SUP_ACTION_##action, SUP_STATE_##next }

static const struct sup_step table[SUP_STATE_COUNT][SUP_EVENT_COUNT] = {
	[SUP_STATE_EMPTY] = {
		[SUP_EVENT_START] = STEP(SPAWN, BOOTING),
		[SUP_EVENT_READY] = STEP(BUG, EMPTY),
		[SUP_EVENT_EXITED] = STEP(BUG, EMPTY),
		[SUP_EVENT_FAILED] = STEP(BUG, EMPTY),
		[SUP_EVENT_TIMEOUT] = STEP(NONE, EMPTY),
		[SUP_EVENT_BROKE] = STEP(NONE, EMPTY), /* the engine's complaint came after the end */
		[SUP_EVENT_DRAIN] = STEP(NONE, EMPTY),
		[SUP_EVENT_STOP] = STEP(NONE, EMPTY),
	},
	[SUP_STATE_BOOTING] = {
		[SUP_EVENT_START] = STEP(NONE, BOOTING),
		[SUP_EVENT_READY] = STEP(SERVE, READY),
		[SUP_EVENT_EXITED] = STEP(REPLACE, BACKOFF),
		[SUP_EVENT_FAILED] = STEP(REPLACE, BACKOFF),
		[SUP_EVENT_TIMEOUT] = STEP(KILL, DYING),
		[SUP_EVENT_BROKE] = STEP(KILL, DYING),
		[SUP_EVENT_DRAIN] = STEP(KILL, ENDING), /* it serves nobody yet: nothing to finish */
		[SUP_EVENT_STOP] = STEP(KILL, ENDING),
	},
	[SUP_STATE_READY] = {
		[SUP_EVENT_START] = STEP(NONE, READY),
		[SUP_EVENT_READY] = STEP(KILL, DYING), /* READY is said once */
		[SUP_EVENT_EXITED] = STEP(REPLACE, BACKOFF),
		[SUP_EVENT_FAILED] = STEP(BUG, READY),
		[SUP_EVENT_TIMEOUT] = STEP(NONE, READY), /* this state has no clock */
		[SUP_EVENT_BROKE] = STEP(KILL, DYING),
		[SUP_EVENT_DRAIN] = STEP(DRAIN, DRAINING),
		[SUP_EVENT_STOP] = STEP(KILL, ENDING),
	},
	[SUP_STATE_DRAINING] = {
		[SUP_EVENT_START] = STEP(NONE, DRAINING), /* who wants another one asks again when it has gone */
		[SUP_EVENT_READY] = STEP(KILL, ENDING),
		[SUP_EVENT_EXITED] = STEP(RETIRE, EMPTY),
		[SUP_EVENT_FAILED] = STEP(BUG, DRAINING),
		[SUP_EVENT_TIMEOUT] = STEP(KILL, ENDING),
		[SUP_EVENT_BROKE] = STEP(KILL, ENDING),
		[SUP_EVENT_DRAIN] = STEP(NONE, DRAINING),
		[SUP_EVENT_STOP] = STEP(KILL, ENDING),
	},
	[SUP_STATE_DYING] = {
		[SUP_EVENT_START] = STEP(NONE, DYING),
		[SUP_EVENT_READY] = STEP(NONE, DYING), /* sent before the signal arrived */
		[SUP_EVENT_EXITED] = STEP(REPLACE, BACKOFF),
		[SUP_EVENT_FAILED] = STEP(BUG, DYING),
		[SUP_EVENT_TIMEOUT] = STEP(NONE, DYING),
		[SUP_EVENT_BROKE] = STEP(NONE, DYING),
		[SUP_EVENT_DRAIN] = STEP(NONE, ENDING),
		[SUP_EVENT_STOP] = STEP(NONE, ENDING),
	},
	[SUP_STATE_ENDING] = {
		[SUP_EVENT_START] = STEP(NONE, ENDING),
		[SUP_EVENT_READY] = STEP(NONE, ENDING),
		[SUP_EVENT_EXITED] = STEP(RETIRE, EMPTY),
		[SUP_EVENT_FAILED] = STEP(BUG, ENDING),
		[SUP_EVENT_TIMEOUT] = STEP(NONE, ENDING),
		[SUP_EVENT_BROKE] = STEP(NONE, ENDING),
		[SUP_EVENT_DRAIN] = STEP(NONE, ENDING),
		[SUP_EVENT_STOP] = STEP(NONE, ENDING),
	},
	[SUP_STATE_BACKOFF] = {
		[SUP_EVENT_START] = STEP(NONE, BACKOFF), /* the clock decides */
		[SUP_EVENT_READY] = STEP(BUG, BACKOFF),
		[SUP_EVENT_EXITED] = STEP(BUG, BACKOFF),
		[SUP_EVENT_FAILED] = STEP(BUG, BACKOFF),
		[SUP_EVENT_TIMEOUT] = STEP(SPAWN, BOOTING),
		[SUP_EVENT_BROKE] = STEP(NONE, BACKOFF),
		[SUP_EVENT_DRAIN] = STEP(FORGET, EMPTY),
		[SUP_EVENT_STOP] = STEP(FORGET, EMPTY),
	},
};

struct sup_step sup_fsm_step(enum sup_state state, enum sup_event event)
{
	OM_ASSERT((unsigned)state < SUP_STATE_COUNT && (unsigned)event < SUP_EVENT_COUNT);
	return table[state][event];
}

const char *sup_fsm_state_name(enum sup_state state)
{
	static const char *const names[SUP_STATE_COUNT] = {
#define SUP_STATE_TEXT(name, text, meaning) text,
		SUP_STATE_MAP(SUP_STATE_TEXT)
#undef SUP_STATE_TEXT
	};
	return (unsigned)state < SUP_STATE_COUNT ? names[state] : "?";
}

bool sup_fsm_wanted(enum sup_state state)
{
	return state == SUP_STATE_BOOTING || state == SUP_STATE_READY || state == SUP_STATE_DYING || state == SUP_STATE_BACKOFF;
}

bool sup_fsm_alive(enum sup_state state)
{
	return state != SUP_STATE_EMPTY && state != SUP_STATE_BACKOFF;
}

uint32_t sup_fsm_backoff_ms(unsigned deaths)
{
	uint32_t ms = SUP_BACKOFF_STEP_MS;

	if (deaths <= 1)
		return 0;
	for (unsigned i = 2; i < deaths && ms < SUP_BACKOFF_MAX_MS; i++)
		ms *= 2;
	return OM_MIN(ms, SUP_BACKOFF_MAX_MS);
}
