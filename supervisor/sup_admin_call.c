/*
 * sup_admin_call.c: what a command of the admin socket is given, and what it answers with: its arguments, the members of its answer, its
 * end. Calls no command.
 */
#include <stdarg.h>

#include "common/om_log.h"
#include "supervisor/sup_admin_cmd.h"

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

int sup_admin_args_check(struct sup_admin_call *call)
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

/* ---- the end of a call ---- */

/* What a change was about, for the log: its first operand. */
static const char *operand(const struct sup_admin_call *call)
{
	const char *at = call->cmd->args;
	struct arg a;

	return next_arg(&at, &a) && !a.flag ? sup_admin_str(call, a.key) : "";
}

json_t *sup_admin_finish(struct sup_admin_call *call, int err)
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

	sup_admin_reply(sup->admin, &ref, sup_admin_finish(call, err));
}
