/*
 * sup_admin_cmd.c: see sup_admin_cmd.h. The table of commands: finds the one that is asked for and checks who asks. It calls
 * the commands; what they call is in sup_admin_call.c. Names and types of the JSON members are a contract with objmctl and with scripts:
 * doc/admin.md lists them; members may be added, none changes its meaning.
 */
#include "supervisor/sup_admin_cmd.h"

const struct sup_admin_cmd sup_admin_cmd_table[] = {
#define OM_ADMIN(id, name, word1, word2, change, args, help) \
	{ name, { word1, word2 }, change, args, help, sup_admin_run_##id },
#include "common/tbl/admin.def"
#undef OM_ADMIN
};
const unsigned sup_admin_cmd_count = OM_ARRAY_SIZE(sup_admin_cmd_table);

/* ---- from request to answer ---- */

static const struct sup_admin_cmd *find(const char *name)
{
	for (unsigned i = 0; i < sup_admin_cmd_count; i++)
		if (!strcmp(sup_admin_cmd_table[i].name, name))
			return &sup_admin_cmd_table[i];
	return NULL;
}

static int may(struct sup_admin_call *call)
{
	if (!call->cmd->change || call->peer.uid == 0 || call->peer.uid == call->sup->user.uid)
		return 0;
	return sup_admin_say(call, -OBJM_STATUS_PERMISSION_DENIED, "%s is for root and uid %u, the daemon's own; you are uid %u",
			     call->cmd->name, (unsigned)call->sup->user.uid, (unsigned)call->peer.uid);
}

json_t *sup_admin_cmd_answer(void *arg, const struct om_peer *peer, json_t *request, struct sup_admin_ref *ref)
{
	const char *name = json_string_value(json_object_get(request, "cmd"));
	char text[160];

	if (!name)
		return sup_admin_error(OBJM_STATUS_INVALID_REQUEST, "the request has no \"cmd\"; {\"cmd\":\"help\"} lists them", NULL);
	const struct sup_admin_cmd *cmd = find(name);
	if (!cmd) {
		(void)snprintf(text, sizeof(text), "there is no command \"%.64s\"; {\"cmd\":\"help\"} lists them", name);
		return sup_admin_error(OBJM_STATUS_UNSUPPORTED_OP, text, NULL);
	}
	struct sup_admin_call *call = calloc(1, sizeof(*call));
	if (!call)
		return sup_admin_error(OBJM_STATUS_OUT_OF_MEMORY, NULL, NULL);
	*call = (struct sup_admin_call){ .sup = arg, .cmd = cmd, .peer = *peer, .ref = *ref, .request = json_incref(request),
					 .reply = json_object() };
	sup_admin_put(call->reply, "ok", json_true());
	sup_admin_put(call->reply, "api", sup_admin_num(SUP_ADMIN_API));
	int err = may(call);
	if (err == 0)
		err = sup_admin_args_check(call);
	if (err == 0)
		err = cmd->run(call);
	if (err == SUP_ADMIN_LATER) {
		ref->later = true;
		return NULL;
	}
	return sup_admin_finish(call, err);
}

int sup_admin_run_HELP(struct sup_admin_call *call)
{
	json_t *reply = call->reply;
	json_t *a = json_array();

	for (unsigned i = 0; i < sup_admin_cmd_count; i++) {
		const struct sup_admin_cmd *c = &sup_admin_cmd_table[i];
		(void)json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:b}", "cmd", c->name, "args", c->args, "help", c->help,
							 "change", c->change));
	}
	sup_admin_put(reply, "commands", a);
	return 0;
}
