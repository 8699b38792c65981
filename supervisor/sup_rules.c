/*
 * sup_rules.c: see sup_rules.h. Runs at start and at a reload.
 */
#include "supervisor/sup_rules.h"

#include <netinet/in.h>

static void subject(const struct om_conf_rule *c, struct om_rule *ret)
{
	if (c->address.family) {
		ret->subject = c->address.family == AF_INET ? OM_RULE_NET4 : OM_RULE_NET6;
		ret->net_bits = c->address.prefix_len;
		memcpy(ret->addr, c->address.addr, sizeof(ret->addr));
	} else if (c->user.kind == OM_CONF_ID_ID) {
		ret->subject = OM_RULE_USER;
		ret->id = c->user.id;
	} else if (c->group.kind == OM_CONF_ID_ID) {
		ret->subject = OM_RULE_GROUP;
		ret->id = c->group.id;
	} else {
		ret->subject = OM_RULE_ANY; /* user or group "*" */
	}
}

void sup_rules_one(const struct om_conf_rule *c, struct om_rule *ret)
{
	size_t len = strlen(c->prefix);

	*ret = (struct om_rule){ .rights = c->rights, .prefix = c->prefix };
	subject(c, ret);
	ret->open = len == 0 || c->prefix[len - 1] == '*';
	if (len && ret->open)
		len--;
	ret->prefix_len = (uint16_t)OM_MIN(len, OM_URI_MAX);
}

int sup_rules_seg(const struct om_conf *conf, struct om_seg *ret)
{
	unsigned n = (unsigned)OM_MIN(conf->access.n_rules, OM_RULES_MAX);
	OM_AUTO_FREE struct om_rule *rules = calloc(n ? n : 1, sizeof(*rules));
	int err;

	if (!rules)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	for (unsigned i = 0; i < n; i++)
		sup_rules_one(&conf->access.rules[i], &rules[i]);
	err = om_seg_create("om-rules", om_rules_bytes(rules, n), OM_SEG_FROZEN, ret);
	if (err == 0 && n)
		om_rules_encode(rules, n, ret->base);
	return err;
}
