/*
 * fake_engine.h: an engine that keeps nothing: it gives out descriptors that can be told apart and writes down what it was
 * asked, so that the supervisor's main thread can be tested alone. Linked in place of libengine.
 */
#ifndef FAKE_ENGINE_H
#define FAKE_ENGINE_H

#include "supervisor/sup_engine.h"
#include "supervisor/sup_pulse.h"

#define FAKE_TIERS 3u /* the second one is absent */

extern struct fake_engine {
	bool open[SUP_CHILDREN_MAX];
	unsigned opened, closed, acks, rebuilds;
	uint32_t last_ack, seq;
	uint32_t serial; /* of the child that was opened last */
	int fail_open; /* status of the next child_open */
	struct sup_engine_cb cb;
	struct sup_pulse pulse;
	/* the question that is open: at most one */
	unsigned asked;
	struct sup_engine_task task; /* kind OM_TASK_KINDS: a look-up */
	char uri[OM_URI_MAX + 1];
	sup_engine_done_fn *done; /* NULL: none */
	void *done_arg;
} fake_engine;

/* A memfd with this name: fake_child reads the name back from /proc/self/fd. */
int fake_fd(const char *name);

/* Answer the open question. */
void fake_answer(const struct sup_engine_answer *a);

#endif
