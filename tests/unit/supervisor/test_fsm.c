/*
 * test_fsm.c: the life of a child: every cell of the table, what must hold for all of them, the back-off; and the decision
 * how many workers there are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "supervisor/sup_fsm.h"
#include "supervisor/sup_scale.h"

#define MS UINT64_C(1000000)

/* The table once more, short: action letter and next state's letter. A change of sup_fsm.c must be made here as well. */
static const char states[] = "EBRDYNW";	    /* Empty Booting Ready Draining dYing eNding Waiting */
static const char actions[] = ".SVDKPRF!"; /* none Spawn serVe Drain Kill rePlace Retire Forget bug */
static const char *const expected[SUP_STATE_COUNT] = {
	/* START READY EXITED FAILED TIMEOUT BROKE DRAIN STOP */
	"SB !E !E !E .E .E .E .E",
	".B VR PW PW KY KY KN KN",
	".R KY PW !R .R KY DD KN",
	".D KN RE !D KN KN .D KN",
	".Y .Y PW !Y .Y .Y .N .N",
	".N .N RE !N .N .N .N .N",
	".W !W !W !W SB .W FE FE",
};

static void test_every_cell(void **state)
{
	(void)state;
	assert_int_equal(sizeof(states) - 1, SUP_STATE_COUNT);
	assert_int_equal(sizeof(actions) - 1, SUP_ACTION_COUNT);
	for (unsigned s = 0; s < SUP_STATE_COUNT; s++) {
		for (unsigned e = 0; e < SUP_EVENT_COUNT; e++) {
			struct sup_step step = sup_fsm_step((enum sup_state)s, (enum sup_event)e);
			const char *want = expected[s] + 3 * (size_t)e;
			if (actions[step.action] != want[0] || states[step.next] != want[1])
				fail_msg("%s, event %u: %c%c, expected %c%c", sup_fsm_state_name((enum sup_state)s), e, actions[step.action],
					 states[step.next], want[0], want[1]);
		}
	}
}

static void test_invariants(void **state)
{
	(void)state;
	for (unsigned s = 0; s < SUP_STATE_COUNT; s++) {
		bool alive = sup_fsm_alive((enum sup_state)s);
		for (unsigned e = 0; e < SUP_EVENT_COUNT; e++) {
			struct sup_step step = sup_fsm_step((enum sup_state)s, (enum sup_event)e);
			bool next_alive = sup_fsm_alive(step.next);
			/* a process appears by SPAWN only, and is gone only when it was reaped or never started */
			assert_int_equal(!alive && next_alive, step.action == SUP_ACTION_SPAWN);
			if (alive && !next_alive)
				assert_true(e == SUP_EVENT_EXITED || e == SUP_EVENT_FAILED);
			if (step.action == SUP_ACTION_KILL)
				assert_true(alive && next_alive);
			if (alive && e == SUP_EVENT_EXITED)
				assert_true(step.action == SUP_ACTION_REPLACE || step.action == SUP_ACTION_RETIRE);
			/* once it is wanted no more, nothing but a START brings it back */
			if (!sup_fsm_wanted((enum sup_state)s) && e != SUP_EVENT_START)
				assert_false(sup_fsm_wanted(step.next));
		}
		/* told to end, every place gets empty, whatever it was */
		enum sup_state at = sup_fsm_step((enum sup_state)s, SUP_EVENT_STOP).next;
		if (sup_fsm_alive(at))
			at = sup_fsm_step(at, SUP_EVENT_EXITED).next;
		assert_int_equal(at, SUP_STATE_EMPTY);
	}
}

static void test_backoff(void **state)
{
	static const uint32_t want[] = { 0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000 };
	(void)state;

	for (unsigned i = 0; i < OM_ARRAY_SIZE(want); i++)
		assert_int_equal(sup_fsm_backoff_ms(i), want[i]);
	assert_int_equal(sup_fsm_backoff_ms(1000000), 5000);
}

/* ---- how many workers ---- */

struct world {
	struct sup_scale s;
	struct sup_scale_row row[4];
	uint64_t now;
};

static enum sup_scale_verdict look(struct world *w, unsigned n, unsigned pct, unsigned *place)
{
	w->now += 250 * MS;
	for (unsigned i = 0; i < n; i++) {
		w->row[i].place = i + 1;
		w->row[i].busy_ns += 250 * MS * pct / 100;
	}
	return sup_scale_look(&w->s, w->now, w->row, n, n, place);
}

static void test_more_when_busy(void **state)
{
	struct world w = { .now = 1000 * MS };
	unsigned place, looks = 0;
	(void)state;

	sup_scale_init(&w.s, 2, 4, 1000);
	while (look(&w, 2, 90, &place) == SUP_SCALE_STAY)
		assert_true(++looks < 20);
	assert_in_range(looks, 4, 6); /* a second of it, not a moment */
	for (looks = 0; look(&w, 3, 90, &place) == SUP_SCALE_STAY; looks++)
		assert_true(looks < 20);
	assert_in_range(looks, 3, 6); /* the next one only after another second */
	for (looks = 0; looks < 20; looks++)
		assert_int_equal(look(&w, 4, 100, &place), SUP_SCALE_STAY); /* max_workers */
	sup_scale_init(&w.s, 2, 4, 1000);
	for (looks = 0; looks < 20; looks++)
		assert_int_equal(look(&w, 2, looks % 3 ? 90 : 10, &place), SUP_SCALE_STAY); /* bursts are none */
}

static void test_less_when_idle(void **state)
{
	struct world w = { .now = 1000 * MS };
	unsigned place = 0, looks = 0;
	(void)state;

	sup_scale_init(&w.s, 2, 4, 1000);
	w.row[2].connections = 1; /* place 3 has a client: place 4 goes, then nobody but 2 or 1 could */
	while (look(&w, 4, 0, &place) == SUP_SCALE_STAY)
		assert_true(++looks < 20);
	assert_int_equal(place, 4);
	assert_in_range(looks, 4, 6);
	assert_int_equal(look(&w, 3, 0, &place), SUP_SCALE_LESS);
	assert_int_equal(place, 2);
	for (looks = 0; looks < 20; looks++)
		assert_int_equal(look(&w, 2, 0, &place), SUP_SCALE_STAY); /* min_workers */
}

static void test_no_flapping(void **state)
{
	struct world w = { .now = 1000 * MS };
	unsigned place;
	(void)state;

	sup_scale_init(&w.s, 1, 4, 1000);
	w.row[0].connections = 6; /* all clients hang on place 1; place 2 came for them and waits for the next ones */
	for (unsigned i = 0; i < 40; i++) {
		w.row[0].busy_ns += 250 * MS;
		assert_int_equal(look(&w, 2, 0, &place), SUP_SCALE_STAY);
	}
	unsigned looks = 0;
	while (look(&w, 2, 0, &place) == SUP_SCALE_STAY) /* the load is gone: so may it be */
		assert_true(++looks < 20);
	assert_int_equal(place, 2);
}

static void test_figures_that_lie(void **state)
{
	struct world w = { .now = 1000 * MS };
	unsigned place;
	(void)state;

	sup_scale_init(&w.s, 1, 2, 1000);
	w.row[0].place = 1;
	for (unsigned i = 0; i < 50; i++) { /* jumps, goes back, overflows: never more than "busy all the time" */
		w.now += 250 * MS;
		w.row[0].busy_ns = i % 2 ? UINT64_MAX : 0;
		(void)sup_scale_look(&w.s, w.now, w.row, 1, 1, &place);
	}
	(void)sup_scale_look(&w.s, w.now, w.row, 1, 1, &place); /* no time has passed */
	sup_scale_forget(&w.s, 1); /* a new process: what the old one had counted is not its own */
	w.row[0].busy_ns = 0;
	assert_int_equal(sup_scale_look(&w.s, w.now + 250 * MS, w.row, 1, 1, &place), SUP_SCALE_STAY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cell),     cmocka_unit_test(test_invariants),     cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_more_when_busy), cmocka_unit_test(test_less_when_idle), cmocka_unit_test(test_no_flapping),
		cmocka_unit_test(test_figures_that_lie),
	};
	return cmocka_run_group_tests_name("supervisor/fsm", tests, NULL, NULL);
}
