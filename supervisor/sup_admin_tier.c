/*
 * sup_admin_tier.c: admin commands about tiers. In the supervisor's main thread.
 */
#include "supervisor/sup_admin_cmd.h"
#include "supervisor/sup_admin_json.h"

static json_t *flags_json(uint32_t flags)
{
	json_t *a = json_array();

	for (unsigned bit = 1; bit <= OM_TIERF_MIGRATION_DST; bit <<= 1)
		if (flags & bit)
			(void)json_array_append_new(a, json_string(om_conf_tier_flag_name(bit)));
	return a;
}

json_t *sup_admin_tiers(const struct sup_engine_stat *st, bool full)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < st->n_tiers && i < OM_TIERS_MAX; i++) {
		const struct sup_engine_tier_stat *t = &st->tiers[i];
		json_t *o = json_object();
		sup_admin_put(o, "name", sup_admin_text(t->name));
		sup_admin_put(o, "type", json_string(om_tier_type_name(t->type)));
		sup_admin_put(o, "state", json_string(om_tier_state_name(t->state)));
		sup_admin_put(o, "capacity_bytes", sup_admin_num(t->capacity_bytes));
		sup_admin_put(o, "used_bytes", sup_admin_num(t->used_bytes));
		sup_admin_put(o, "objects", sup_admin_num(t->objects));
		if (full) {
			sup_admin_put(o, "object_bytes", sup_admin_num(t->object_bytes));
			sup_admin_put(o, "reserved_bytes", sup_admin_num(t->reserved_bytes));
			sup_admin_put(o, "copy_bytes", sup_admin_num(t->copy_bytes));
			sup_admin_put(o, "evictable_bytes", sup_admin_num(t->evictable_bytes));
			sup_admin_put(o, "pinned_bytes", sup_admin_num(t->pinned_bytes));
			sup_admin_put(o, "removal_bytes", sup_admin_num(t->removal_bytes));
			sup_admin_put(o, "unaccounted_bytes",
				      t->unaccounted_bytes == UINT64_MAX ? json_null() : sup_admin_num(t->unaccounted_bytes));
			sup_admin_put(o, "hard_bound", json_boolean(t->unaccounted_bytes != UINT64_MAX));
			sup_admin_put(o, "perf_factor", json_real(t->perf_factor));
			sup_admin_put(o, "durability", json_string(om_conf_durability_name(t->durability)));
			sup_admin_put(o, "draining", json_boolean(t->draining));
			sup_admin_put(o, "read_only_filesystem", json_boolean(t->frozen));
			sup_admin_put(o, "path", sup_admin_text(t->path ? t->path : ""));
			sup_admin_put(o, "flags", flags_json(t->flags));
			sup_admin_put(o, "rebuild", t->rebuilding ? json_pack("{s:o}", "files", sup_admin_num(t->rebuilt_files)) : json_null());
		}
		(void)json_array_append_new(a, o);
	}
	return a;
}

/* Which tier new, ephemeral and cached objects go to: what is in force, measured factors included. */
static void put_roles(const struct sup *sup, const struct sup_engine_stat *st, json_t *tiers)
{
	static const char *const names[] = { "default", "ephemeral", "cache" };
	uint32_t role[OM_ARRAY_SIZE(names)];

	sup_engine_roles(sup->engine, &role[0], &role[1], &role[2]);
	for (unsigned i = 0; i < st->n_tiers && i < OM_TIERS_MAX; i++) {
		json_t *a = json_array();
		for (unsigned k = 0; k < OM_ARRAY_SIZE(names); k++)
			if (role[k] != OM_TIER_NONE && role[k] == st->tiers[i].tier)
				(void)json_array_append_new(a, json_string(names[k]));
		sup_admin_put(json_array_get(tiers, i), "roles", a);
	}
}

int sup_admin_run_TIER_LIST(struct sup_admin_call *call)
{
	struct sup *sup = call->sup;
	json_t *reply = call->reply;
	struct sup_engine_stat st = { 0 };

	sup_engine_stat(sup->engine, &st);
	json_t *tiers = sup_admin_tiers(&st, true);
	sup_rates_put(sup, tiers);
	put_roles(sup, &st, tiers);
	sup_admin_put(reply, "tiers", tiers);
	return 0;
}

int sup_admin_run_TIER_REBUILD(struct sup_admin_call *call)
{
	const char *name = sup_admin_str(call, "name");
	int err = sup_engine_rebuild(call->sup->engine, name);

	if (err == -OBJM_STATUS_NOT_FOUND)
		return sup_admin_no_tier(call, name);
	if (err == -OBJM_STATUS_UNAVAILABLE)
		return sup_admin_say(call, err, "tier \"%.64s\" is not there", name);
	if (err == -OBJM_STATUS_READ_ONLY)
		return sup_admin_say(call, err, "tier \"%.64s\": its filesystem is read-only, and so is its catalog", name);
	if (err == -OBJM_STATUS_BUSY)
		return sup_admin_say(call, err, "a rebuild of tier \"%.64s\" is under way; objmctl tier list shows its progress", name);
	if (err == 0)
		sup_admin_put(call->reply, "tier", sup_admin_text(name));
	return err;
}

/* ---- tiers that come and go ---- */

#define ORDER_WAIT_MS 20000u

static void on_order(void *arg, const struct sup_engine_answer *a)
{
	struct sup_admin_call *call = arg;
	const char *name = sup_admin_str(call, "name");

	call->todo = ""; /* the texts say what helps; the statuses' own advice is for objects */
	if (a->status < 0 && a->text_len)
		(void)sup_admin_say(call, a->status, "tier \"%.64s\": %.*s", name, (int)OM_MIN(a->text_len, (size_t)300), a->text);
	else if (a->status == -OBJM_STATUS_TIMEOUT)
		(void)sup_admin_say(call, a->status, "tier \"%.64s\": it takes longer than %u s; objmctl tier list shows what comes of it", name,
				    ORDER_WAIT_MS / 1000u);
	sup_admin_done(call, a->status);
}

static int order(struct sup_admin_call *call, enum sup_engine_order what)
{
	const char *name = sup_admin_str(call, "name");
	int err = sup_engine_tier_order(call->sup->engine, name, what, sup_admin_flag(call, "lost"), ORDER_WAIT_MS, on_order, call);

	if (err == -OBJM_STATUS_NOT_FOUND) {
		call->todo = "";
		return sup_admin_say(call, err, "there is no tier \"%.64s\"; a new one goes into %.200s, then reload", name,
				     call->sup->conf->file);
	}
	if (err < 0)
		return err;
	sup_admin_put(call->reply, "tier", sup_admin_text(name));
	return SUP_ADMIN_LATER;
}

int sup_admin_run_TIER_ADD(struct sup_admin_call *call) { return order(call, SUP_TIER_ADD); }
int sup_admin_run_TIER_ADOPT(struct sup_admin_call *call) { return order(call, SUP_TIER_ADOPT); }
int sup_admin_run_TIER_FORGET(struct sup_admin_call *call) { return order(call, SUP_TIER_FORGET); }
