/*
 * sup_admin_conf.c: admin commands about the configuration and the end: reload, set, log-level, config, shutdown. In the
 * supervisor's main thread.
 */
#include <signal.h>

#include "common/conf/om_conf_diff.h"
#include "supervisor/sup_admin_cmd.h"
#include "supervisor/sup_reload.h"

static void on_reloaded(void *arg, int status, const char *text, json_t *result)
{
	struct sup_admin_call *call = arg;

	if (status < 0)
		(void)sup_admin_say(call, status, "%s", text);
	else
		(void)json_object_update_missing(call->reply, result);
	sup_admin_done(call, status);
}

static int begun(struct sup_admin_call *call, int err)
{
	if (err == -OBJM_STATUS_TRY_AGAIN)
		return sup_admin_say(call, err, "another reload is under way");
	if (err == -OBJM_STATUS_INVALID_REQUEST)
		return sup_admin_say(call, err, "the daemon was started without a configuration file (--embedded): use set");
	return err < 0 ? err : SUP_ADMIN_LATER;
}

int sup_admin_run_RELOAD(struct sup_admin_call *call) { return begun(call, sup_reload_file(call->sup, on_reloaded, call)); }

int sup_admin_run_SET(struct sup_admin_call *call)
{
	return begun(call, sup_reload_key(call->sup, sup_admin_str(call, "key"), sup_admin_str(call, "value"), on_reloaded, call));
}

int sup_admin_run_LOG_LEVEL(struct sup_admin_call *call)
{
	return begun(call, sup_reload_key(call->sup, "log.level", sup_admin_str(call, "level"), on_reloaded, call));
}

struct listing {
	json_t *keys;
	const json_t *overrides;
	bool all;
};

static void list_key(void *arg, const char *key, bool live, const char *was, const char *is)
{
	struct listing *l = arg;

	if (!l->all && !strcmp(was, is))
		return;
	(void)json_array_append_new(l->keys, json_pack("{s:o, s:o, s:o, s:b, s:b}", "key", sup_admin_text(key), "value",
						       sup_admin_text(is), "default", sup_admin_text(was), "live", live, "set",
						       json_object_get(l->overrides, key) != NULL));
}

int sup_admin_run_CONFIG(struct sup_admin_call *call)
{
	struct listing l = { .keys = json_array(), .overrides = sup_reload_overrides(call->sup),
			     .all = sup_admin_flag(call, "effective") };
	int err = om_conf_each(call->sup->conf, list_key, &l);

	sup_admin_put(call->reply, "file", sup_admin_text(call->sup->conf->file));
	sup_admin_put(call->reply, "keys", l.keys);
	return err;
}

int sup_admin_run_SHUTDOWN(struct sup_admin_call *call)
{
	bool drain = sup_admin_flag(call, "drain");

	/* a signal to ourselves: the answer leaves before the next turn looks at it */
	if (kill(getpid(), SIGTERM) < 0 || (!drain && kill(getpid(), SIGINT) < 0))
		return sup_admin_say(call, -OBJM_STATUS_SYSTEM, "%s", strerror(errno));
	sup_admin_put(call->reply, "drain", json_boolean(drain));
	sup_admin_put(call->reply, "pid", sup_admin_num((uint64_t)getpid()));
	return 0;
}
