/*
 * sup_admin_cmd.h: what the admin socket can be asked. The table is also what `help` answers and what doc/admin.md lists.
 */
#ifndef SUP_ADMIN_CMD_H
#define SUP_ADMIN_CMD_H

#include "supervisor/sup.h"

struct sup_admin_cmd {
	const char *name;
	bool change; /* only for root and the daemon's own uid */
	const char *args;
	const char *help;
	/* Fill `reply`; 0 or a negative status, then `text` may say why. */
	int (*run)(struct sup *sup, json_t *request, json_t *reply, char *text, size_t cap);
};
extern const struct sup_admin_cmd sup_admin_cmd_table[];
extern const unsigned sup_admin_cmd_count;

/** A sup_admin_answer_fn; `arg` is the struct sup. Main thread only; never waits for a disk. */
json_t *sup_admin_cmd_answer(void *arg, const struct om_peer *peer, json_t *request);

#endif
