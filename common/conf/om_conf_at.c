/*
 * om_conf_at.c: where a value stands in the file, for who completes and checks a configuration: see om_conf_part.h. No state.
 */
#include "common/conf/om_conf_part.h"

#include <stdarg.h>

struct om_conf_node *om_conf_section_node(const struct om_conf_ctx *ctx, enum om_conf_section_id section, size_t i)
{
	enum om_conf_section_id up;
	char key[64];

	if (!om_conf_section_parent(section, &up, key, sizeof(key)))
		return ctx->root;
	struct om_conf_node *node = om_conf_node_child(om_conf_section_node(ctx, up, 0), key);
	if (!node || !om_conf_sections[section].list)
		return node;
	if (node->kind != OM_CONF_LIST)
		return NULL;
	node = node->first;
	while (node && i-- > 0)
		node = node->next;
	return node;
}

struct om_conf_node *om_conf_key_node(const struct om_conf_ctx *ctx, enum om_conf_section_id section, size_t i, const char *key)
{
	struct om_conf_node *map = om_conf_section_node(ctx, section, i);
	struct om_conf_node *node = om_conf_node_child(map, key);

	for (size_t r = 0; !node && r < om_conf_n_rows; r++) {
		const struct om_conf_row *row = &om_conf_rows[r];
		if (row->section == section && row->kind == OM_CONF_ROW_ALIAS && strcmp(row->canonical, key) == 0)
			node = om_conf_node_child(map, row->key);
	}
	return node;
}

bool om_conf_key_bad(const struct om_conf_ctx *ctx, enum om_conf_section_id section, size_t i, const char *key)
{
	const struct om_conf_node *map = om_conf_section_node(ctx, section, i), *node = om_conf_key_node(ctx, section, i, key);

	return (map && map->bad) || (node && node->bad);
}

bool om_conf_key_given(const struct om_conf_ctx *ctx, enum om_conf_section_id section, size_t i, const char *key)
{
	const struct om_conf_node *node = om_conf_key_node(ctx, section, i, key);

	return node && !(node->kind == OM_CONF_SCALAR && strcmp(node->text, "auto") == 0);
}

void om_conf_say_nowhere(struct om_conf_ctx *ctx, bool error, enum om_conf_section_id section, const char *key, const char *fmt, ...)
{
	char path[OM_CONF_KEY_MAX];
	OM_AUTO_FREE char *text = NULL;
	const char *s = om_conf_sections[section].path;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	(void)snprintf(path, sizeof(path), "%s%s%s", s, s[0] ? "." : "", key);
	if (text)
		om_conf_say(ctx, error, NULL, path, "%s", text);
	else
		ctx->oom = true;
}

bool om_conf_tiers_known(const struct om_conf_ctx *ctx)
{
	for (size_t i = 0; i < ctx->conf->n_backends; i++)
		if (!om_conf_key_node(ctx, OM_CONF_S_backend, i, "type") || om_conf_key_bad(ctx, OM_CONF_S_backend, i, "type") ||
		    om_conf_key_bad(ctx, OM_CONF_S_backend, i, "flags"))
			return false;
	return true;
}
