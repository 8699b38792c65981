/*
 * sup_admin_cmd.h: what the admin socket can be asked. The commands are rows of common/tbl/admin.def; each has its function in
 * sup_admin_status.c, sup_admin_tier.c, sup_admin_object.c or sup_admin_conf.c.
 *
 * Main thread only; no command waits for a disk or another process: what cannot be answered at once is answered later.
 */
#ifndef SUP_ADMIN_CMD_H
#define SUP_ADMIN_CMD_H

#include "supervisor/sup.h"

struct sup_admin_cmd;

/* One request, from its check to its answer. */
struct sup_admin_call {
	struct sup *sup;
	const struct sup_admin_cmd *cmd;
	struct om_peer peer;
	struct sup_admin_ref ref;
	json_t *request; /* checked against `args` */
	json_t *reply;	 /* to be filled */
	char text[512];	 /* of a failure: what, on which object, why; "": the status says it */
	const char *todo; /* what helps, a constant; NULL: what the status says */
	uint8_t tier;	 /* for the command's own use */
};

#define SUP_ADMIN_LATER 1 /* the call is the command's now: sup_admin_done() follows */

/* Fill `reply`: 0; a negative status; or SUP_ADMIN_LATER. */
typedef int sup_admin_run_fn(struct sup_admin_call *call);

struct sup_admin_cmd {
	const char *name;
	const char *words[2]; /* as objmctl has it; the second may be "" */
	bool change;	      /* only for root and the daemon's own uid */
	const char *args;     /* see admin.def */
	const char *help;
	sup_admin_run_fn *run;
};
extern const struct sup_admin_cmd sup_admin_cmd_table[];
extern const unsigned sup_admin_cmd_count;

/** A sup_admin_answer_fn; `arg` is the struct sup. */
json_t *sup_admin_cmd_answer(void *arg, const struct om_peer *peer, json_t *request, struct sup_admin_ref *ref);
/** The end of a call that was answered with SUP_ADMIN_LATER: 0 or a negative status. The call is gone. */
void sup_admin_done(struct sup_admin_call *call, int err);
/** What answers a call that ended with 0 or a negative status: a new reference. The call is gone. */
json_t *sup_admin_finish(struct sup_admin_call *call, int err);
/** Are the members of the request those that the command's `args` say? 0; -INVALID_REQUEST, said. */
int sup_admin_args_check(struct sup_admin_call *call);
/** Members of the arguments of a command for people: "name", "n (a number, may be left out)". */
void sup_admin_args_text(const struct sup_admin_cmd *cmd, char *ret, size_t cap);

/* For the commands. What cannot be stored for want of memory is missing from the answer. */
void sup_admin_put(json_t *o, const char *key, json_t *v);
json_t *sup_admin_num(uint64_t v);
/** A text member that `args` names: never NULL. */
const char *sup_admin_str(const struct sup_admin_call *call, const char *key);
bool sup_admin_flag(const struct sup_admin_call *call, const char *key);
/** call->text by printf; returns `status`. */
int sup_admin_say(struct sup_admin_call *call, int status, const char *fmt, ...) OM_PRINTF(3, 4);
/** -NOT_FOUND, and that no tier has this name. */
int sup_admin_no_tier(struct sup_admin_call *call, const char *name);
/** A tier's figures by name; -NOT_FOUND, said. */
int sup_admin_find_tier(struct sup_admin_call *call, const char *name, struct sup_engine_tier_stat *ret);

#define OM_ADMIN(id, name, word1, word2, change, args, help) sup_admin_run_fn sup_admin_run_##id;
#include "common/tbl/admin.def"
#undef OM_ADMIN

#endif
