/*
 * sup_admin_cmd.c: see sup_admin_cmd.h. In the supervisor's main thread: finds the command, checks its arguments and who asks,
 * keeps calls whose answer comes later. Names and types of the JSON members are a contract with objmctl and with scripts:
 * doc/admin.md lists them; members may be added, none changes its meaning.
 */
#include "supervisor/sup_admin_cmd.h"

#include <stdarg.h>

#include "common/om_log.h"

const struct sup_admin_cmd sup_admin_cmd_table[] = {
#define OM_ADMIN(id, name, word1, word2, change, args, help) \
	{ name, { word1, word2 }, change, args, help, sup_admin_run_##id },
#include "common/tbl/admin.def"
#undef OM_ADMIN
};
const unsigned sup_admin_cmd_count = OM_ARRAY_SIZE(sup_admin_cmd_table);

/* ---- for the commands ---- */

void sup_admin_put(json_t *o, const char *key, json_t *v) { (void)json_object_set_new(o, key, v); }
json_t *sup_admin_num(uint64_t v) { return json_integer((json_int_t)OM_MIN(v, (uint64_t)INT64_MAX)); }

const char *sup_admin_str(const struct sup_admin_call *call, const char *key)
{
	const char *s = json_string_value(json_object_get(call->request, key));
	return s ? s : "";
}

bool sup_admin_flag(const struct sup_admin_call *call, const char *key)
{
	return json_is_true(json_object_get(call->request, key));
}

int sup_admin_say(struct sup_admin_call *call, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(call->text, sizeof(call->text), fmt, ap);
	va_end(ap);
	return status;
}

int sup_admin_no_tier(struct sup_admin_call *call, const char *name)
{
	call->todo = "objmctl tier list names them";
	return sup_admin_say(call, -OBJM_STATUS_NOT_FOUND, "there is no tier \"%.64s\"", name);
}

int sup_admin_find_tier(struct sup_admin_call *call, const char *name, struct sup_engine_tier_stat *ret)
{
	struct sup_engine_stat st = { 0 };

	sup_engine_stat(call->sup->engine, &st);
	for (unsigned i = 0; i < st.n_tiers; i++) {
		if (strcmp(st.tiers[i].name, name) != 0)
			continue;
		*ret = st.tiers[i];
		return 0;
	}
	return sup_admin_no_tier(call, name);
}

/* ---- arguments ---- */

struct arg {
	char key[32];
	bool flag, number, optional;
};

/* The next one of `args`; false: none. */
static bool next_arg(const char **at, struct arg *ret)
{
	const char *s = *at + strspn(*at, " ");
	size_t len = strcspn(s, " "), key;

	if (!len)
		return false;
	*ret = (struct arg){ .flag = !strncmp(s, "--", 2) };
	if (ret->flag) {
		s += 2;
		len -= 2;
	}
	key = strcspn(s, ": ");
	OM_ASSERT(key < sizeof(ret->key));
	memcpy(ret->key, s, key);
	ret->optional = ret->flag || s[len - 1] == '?';
	ret->number = memchr(s, '#', len) != NULL;
	*at = s + len;
	return true;
}

void sup_admin_args_text(const struct sup_admin_cmd *cmd, char *ret, size_t cap)
{
	const char *at = cmd->args;
	struct arg a;
	size_t n = 0;

	ret[0] = '\0';
	while (next_arg(&at, &a) && n < cap)
		n += (size_t)snprintf(ret + n, cap - n, "%s%s%s", n ? ", " : "", a.key, a.optional ? " (optional)" : "");
}

static int check_args(struct sup_admin_call *call)
{
	const char *at = call->cmd->args, *name = call->cmd->name;
	struct arg a;

	while (next_arg(&at, &a)) {
		const json_t *v = json_object_get(call->request, a.key);
		if (!v && a.optional)
			continue;
		if (!v)
			return sup_admin_say(call, -OBJM_STATUS_INVALID_REQUEST, "%s needs \"%s\"", name, a.key);
		if (a.flag && !json_is_boolean(v))
			return sup_admin_say(call, -OBJM_STATUS_INVALID_REQUEST, "%s: \"%s\" is true or false", name, a.key);
		if (a.number && (!json_is_integer(v) || json_integer_value(v) < 0))
			return sup_admin_say(call, -OBJM_STATUS_INVALID_REQUEST, "%s: \"%s\" is a whole number", name, a.key);
		if (!a.flag && !a.number && (!json_is_string(v) || !json_string_length(v)))
			return sup_admin_say(call, -OBJM_STATUS_INVALID_REQUEST, "%s: \"%s\" is a text, not empty", name, a.key);
	}
	return 0;
}

/* ---- from request to answer ---- */

static const struct sup_admin_cmd *find(const char *name)
{
	for (unsigned i = 0; i < sup_admin_cmd_count; i++)
		if (!strcmp(sup_admin_cmd_table[i].name, name))
			return &sup_admin_cmd_table[i];
	return NULL;
}

/* What a change was about, for the log: its first operand. */
static const char *operand(const struct sup_admin_call *call)
{
	const char *at = call->cmd->args;
	struct arg a;

	return next_arg(&at, &a) && !a.flag ? sup_admin_str(call, a.key) : "";
}

/* The answer; the call is gone. */
static json_t *finish(struct sup_admin_call *call, int err)
{
	json_t *answer;

	if (err == -OBJM_STATUS_BUSY)
		err = -OBJM_STATUS_TRY_AGAIN; /* BUSY is of inside */
	if (call->cmd->change)
		om_log(OM_MSG_ADMIN, "uid %u, pid %d: %s %.200s: %s%s%s", (unsigned)call->peer.uid, (int)call->peer.pid, call->cmd->name,
		       operand(call), err < 0 ? om_status_text(err) : "done", err < 0 && *call->text ? ": " : "",
		       err < 0 ? call->text : "");
	answer = err < 0 ? sup_admin_error(err, *call->text ? call->text : NULL, call->todo) : json_incref(call->reply);
	json_decref(call->request);
	json_decref(call->reply);
	free(call);
	return answer;
}

void sup_admin_done(struct sup_admin_call *call, int err)
{
	struct sup_admin_ref ref = call->ref;
	struct sup *sup = call->sup;

	sup_admin_reply(sup->admin, &ref, finish(call, err));
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
		err = check_args(call);
	if (err == 0)
		err = cmd->run(call);
	if (err == SUP_ADMIN_LATER) {
		ref->later = true;
		return NULL;
	}
	return finish(call, err);
}
