/*
 * om_conf_node.c: the tree of a file, once it is made: finding, asking, freeing its nodes.
 *
 * Runs wherever a configuration is read. Called by the other files of the configuration.
 */
#include "common/conf/om_conf_priv.h"

void om_conf_node_free(struct om_conf_node *node)
{
	if (!node)
		return;
	for (struct om_conf_node *c = node->first, *next; c; c = next) {
		next = c->next;
		om_conf_node_free(c);
	}
	free(node->text);
	free(node->key);
	free(node);
}

struct om_conf_node *om_conf_node_child(const struct om_conf_node *node, const char *key)
{
	if (!node || node->kind != OM_CONF_MAP)
		return NULL;
	for (struct om_conf_node *c = node->first; c; c = c->next)
		if (strcmp(c->key, key) == 0)
			return c;
	return NULL;
}

bool om_conf_node_null(const struct om_conf_node *node)
{
	return node->kind == OM_CONF_SCALAR && node->plain &&
	       (node->len == 0 || strcmp(node->text, "~") == 0 || strcasecmp(node->text, "null") == 0);
}
