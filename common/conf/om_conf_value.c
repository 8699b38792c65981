/*
 * om_conf_value.c: single values: from a node of the tree to a field, and back.
 *
 * Runs wherever a configuration is read or printed. Main structure: the om_conf_ops of each type of OM_CONF_TYPE_MAP,
 * which lie with the functions in om_conf_number.c, om_conf_text.c, om_conf_word.c and om_conf_peer.c. Called by
 * om_conf_load.c, om_conf_check.c and om_conf_print.c.
 */
#include "common/conf/om_conf_value.h"

static const struct om_conf_ops *const ops[OM_CONF_T_COUNT] = {
#define OM_CONF_TYPE_OPS(type, ctype, text) [OM_CONF_T_##type] = &om_conf_ops_##type,
	OM_CONF_TYPE_MAP(OM_CONF_TYPE_OPS)
#undef OM_CONF_TYPE_OPS
};

/* The text inside a field that owns one; NULL for other types. */
static char **owned_text(enum om_conf_type type, void *field)
{
	return ops[type]->owns_text ? (char **)(void *)((char *)field + ops[type]->text_offset) : NULL;
}

bool om_conf_value_init(enum om_conf_type type, void *field)
{
	char **text = owned_text(type, field);

	memset(field, 0, ops[type]->size);
	if (type == OM_CONF_T_ROLE)
		((struct om_conf_role *)field)->tier = OM_TIER_NONE;
	if (text)
		*text = strdup("");
	return !text || *text;
}

void om_conf_value_clear(enum om_conf_type type, void *field)
{
	char **text = owned_text(type, field);

	if (text)
		free(*text);
	if (ops[type]->clear)
		ops[type]->clear(field);
	memset(field, 0, ops[type]->size);
}

size_t om_conf_value_size(enum om_conf_type type) { return ops[type]->size; }
void om_conf_value_print(enum om_conf_type type, const void *field, FILE *out) { ops[type]->print(field, out); }

void om_conf_value_expect(const struct om_conf_row *row, char *ret_text, size_t size)
{
	static const char *const texts[OM_CONF_T_COUNT] = {
#define OM_CONF_TYPE_TEXT(type, ctype, text) text,
		OM_CONF_TYPE_MAP(OM_CONF_TYPE_TEXT)
#undef OM_CONF_TYPE_TEXT
	};
	FILE *out = fmemopen(ret_text, size, "w");

	if (!out) { /* out of memory: the type alone */
		(void)snprintf(ret_text, size, "%s", texts[row->type]);
		return;
	}
	(void)fputs(texts[row->type], out);
	if (om_conf_number_is(row->type)) {
		(void)fputs(", from ", out);
		om_conf_number_print_bound(row->type, row->min, out);
		(void)fputs(" to ", out);
		om_conf_number_print_bound(row->type, row->max, out);
	} else if (row->type == OM_CONF_T_STR && row->min == 0) {
		(void)fprintf(out, " of at most %g bytes", row->max);
	} else if (row->type == OM_CONF_T_STR) {
		(void)fprintf(out, " of %g to %g bytes", row->min, row->max);
	} else if (ops[row->type]->shape == OM_CONF_SHAPE_LIST && row->type != OM_CONF_T_RIGHTS) {
		(void)fprintf(out, ", at most %g", row->max);
	} else if (ops[row->type]->shape == OM_CONF_SHAPE_LIST_OR_AUTO) {
		(void)fputs(", or `auto`", out);
	}
	(void)fclose(out); /* terminates; what does not fit is cut */
	ret_text[size - 1] = 0;
}

/* Report a node that was not accepted. */
static bool reject(struct om_conf_ctx *ctx, const struct om_conf_row *row, struct om_conf_node *node, const char *expect)
{
	char found[400], text[OM_CONF_EXPECT_MAX];

	if (!expect[0]) {
		om_conf_value_expect(row, text, sizeof(text));
		expect = text;
	}
	om_conf_error(ctx, node, NULL, "found %s, expected %s", om_conf_found(node, found, sizeof(found)), expect);
	node->bad = true;
	return false;
}

static bool set_one(struct om_conf_ctx *ctx, const struct om_conf_row *row, struct om_conf_node *node, void *field)
{
	struct om_conf_input in = { .text = node->text, .row = row, .base_dir = ctx->base_dir, .line = node->line };

	if (node->bad)
		return false;
	if (node->kind != OM_CONF_SCALAR || om_conf_node_null(node))
		return reject(ctx, row, node, "");
	if (strlen(node->text) != node->len || om_conf_text_has_control(node->text))
		return reject(ctx, row, node, "a text without control characters");
	if (ops[row->type]->set(&in, field))
		return true;
	if (!in.oom)
		return reject(ctx, row, node, in.expect);
	ctx->oom = true;
	return false;
}

static bool set_list(struct om_conf_ctx *ctx, const struct om_conf_row *row, struct om_conf_node *node, void *field)
{
	char text[OM_CONF_EXPECT_MAX];
	bool ok = true;

	if (om_conf_node_null(node))
		return true;
	if (node->kind != OM_CONF_LIST)
		return reject(ctx, row, node, "");
	if ((double)node->n < row->min || (double)node->n > row->max) {
		(void)snprintf(text, sizeof(text), "%g to %g elements (there are %zu)", row->min, row->max, node->n);
		return reject(ctx, row, node, text);
	}
	for (struct om_conf_node *c = node->first; c; c = c->next)
		ok = set_one(ctx, row, c, field) && ok;
	node->bad = !ok;
	return ok;
}

bool om_conf_value_set(struct om_conf_ctx *ctx, const struct om_conf_row *row, struct om_conf_node *node, void *field)
{
	const struct om_conf_ops *op = ops[row->type];

	if (op->shape == OM_CONF_SHAPE_SCALAR)
		return set_one(ctx, row, node, field);
	om_conf_value_clear(row->type, field); /* a list takes the place of the default */
	if (op->shape == OM_CONF_SHAPE_LIST_OR_AUTO && node->kind == OM_CONF_SCALAR && !node->bad && strcmp(node->text, "auto") == 0)
		return true; /* om_conf_check() decides */
	return set_list(ctx, row, node, field);
}
