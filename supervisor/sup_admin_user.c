/*
 * sup_admin_user.c: the admin command about users: what each owns and how much it may be. In the supervisor's main thread.
 */
#include "supervisor/sup_admin_cmd.h"
#include "supervisor/sup_admin_json.h"

#define LISTED_MAX 1000u

static json_t *limit(uint64_t v) { return v ? sup_admin_num(v) : json_null(); }

static json_t *user_json(const struct sup_engine_owner *u)
{
	json_t *o = json_object();
	bool is_user = u->uid != OM_UID_NONE && u->uid != OM_UID_OLD;

	sup_admin_put(o, "uid", is_user ? sup_admin_num(u->uid) : json_null());
	sup_admin_put(o, "who", json_string(is_user ? "user" : u->uid == OM_UID_NONE ? "tcp" : "unknown"));
	sup_admin_put(o, "objects", sup_admin_num(u->objects));
	sup_admin_put(o, "bytes", sup_admin_num(u->bytes));
	sup_admin_put(o, "reserved_bytes", sup_admin_num(u->reserved_bytes));
	sup_admin_put(o, "max_objects", limit(u->max_objects));
	sup_admin_put(o, "max_bytes", limit(u->max_bytes));
	return o;
}

int sup_admin_run_USERS(struct sup_admin_call *call)
{
	const json_t *uid = json_object_get(call->request, "uid");
	struct sup_engine_owner *v;
	json_t *a = json_array();
	size_t n, listed = 0;
	int err = sup_engine_owners(call->sup->engine, &v, &n);

	if (err < 0) {
		json_decref(a);
		return err;
	}
	for (size_t i = 0; i < n && listed < LISTED_MAX; i++) {
		if (uid && (uint64_t)json_integer_value(uid) != v[i].uid)
			continue;
		(void)json_array_append_new(a, user_json(&v[i]));
		listed++;
	}
	free(v);
	sup_admin_put(call->reply, "users", a);
	sup_admin_put(call->reply, "complete", json_boolean(uid || listed == n));
	return 0;
}
