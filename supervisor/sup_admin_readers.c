/*
 * sup_admin_readers.c: who may read an object, from the access rules, in words. In the supervisor's main thread.
 */
#include "supervisor/sup_admin_json.h"

#include <arpa/inet.h>

#include "supervisor/sup_rules.h"

/* As the workers judge: one place says what a prefix covers. */
static bool covers(const struct om_conf_rule *c, const char *uri)
{
	struct om_rule r;

	sup_rules_one(c, &r);
	return om_rule_covers(&r, uri, strlen(uri));
}

static void id_text(const char *what, const struct om_conf_id *id, char *ret, size_t cap)
{
	if (id->kind == OM_CONF_ID_ANY)
		(void)snprintf(ret, cap, "every %s on a Unix socket", what);
	else if (id->kind == OM_CONF_ID_SELF)
		(void)snprintf(ret, cap, "the daemon's own uid");
	else if (id->name && *id->name)
		(void)snprintf(ret, cap, "%s %.100s (%u)", what, id->name, (unsigned)id->id);
	else
		(void)snprintf(ret, cap, "%s %u", what, (unsigned)id->id);
}

static void subject(const struct om_conf_rule *r, char *ret, size_t cap)
{
	char addr[INET6_ADDRSTRLEN] = "?";

	if (r->user.kind != OM_CONF_ID_NONE) {
		id_text("user", &r->user, ret, cap);
	} else if (r->group.kind != OM_CONF_ID_NONE) {
		id_text("group", &r->group, ret, cap);
	} else {
		(void)inet_ntop(r->address.family, r->address.addr, addr, sizeof(addr));
		(void)snprintf(ret, cap, "TCP peers of %s/%u", addr, r->address.prefix_len);
	}
}

json_t *sup_admin_readers(const struct om_conf *conf, const char *uri)
{
	json_t *a = json_array();
	char text[192];

	(void)json_array_append_new(a, json_string("root and the daemon's own uid"));
	if (!conf->access.n_rules)
		(void)json_array_append_new(a, json_string("whoever may open the data socket (there are no access rules)"));
	for (size_t i = 0; i < conf->access.n_rules; i++) {
		const struct om_conf_rule *r = &conf->access.rules[i];
		if (!(r->rights & OM_RIGHT_READ) || !covers(r, uri))
			continue;
		subject(r, text, sizeof(text));
		(void)json_array_append_new(a, sup_admin_text(text));
	}
	return a;
}
