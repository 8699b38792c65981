/*
 * om_conf_yaml.c: makes a tree of a YAML or JSON text.
 *
 * Runs wherever a configuration is read. Main structure: struct om_conf_node. Called by om_conf_load.c (and for the table's
 * defaults, which are written as in a file). libyaml does the syntax; events are taken one by one, so that every bound
 * (depth, nodes, elements) holds before anything is built. Anchors, aliases and tags are refused: a configuration needs
 * none, and they are how a small file becomes a huge or a circular one.
 */
#include "common/conf/om_conf_priv.h"

#include <yaml.h>

struct reader {
	struct om_conf_ctx *ctx;
	yaml_parser_t parser;
	size_t n_nodes;
};

static int out_of_memory(struct reader *r)
{
	r->ctx->oom = true;
	return -OBJM_STATUS_OUT_OF_MEMORY;
}

static int refuse(struct reader *r, const yaml_mark_t *mark, const char *what)
{
	om_conf_say_at(r->ctx, true, (unsigned)mark->line + 1, (unsigned)mark->column + 1, "", "%s", what);
	return -OBJM_STATUS_INVALID_REQUEST;
}

/* The next event; a syntax error is reported with its line. */
static int next_event(struct reader *r, yaml_event_t *ev)
{
	const yaml_parser_t *p = &r->parser;

	if (yaml_parser_parse(&r->parser, ev))
		return 0;
	if (p->error == YAML_MEMORY_ERROR)
		return out_of_memory(r);
	if (p->error == YAML_READER_ERROR) {
		/* The reader knows the byte, not the line: it reads ahead. */
		om_conf_say_at(r->ctx, true, (unsigned)p->mark.line + 1, 0, "",
			       "not readable as UTF-8 text at byte %zu: %s", p->problem_offset,
			       p->problem ? p->problem : "unknown");
		return -OBJM_STATUS_INVALID_REQUEST;
	}
	om_conf_say_at(r->ctx, true, (unsigned)p->problem_mark.line + 1, (unsigned)p->problem_mark.column + 1, "",
		       "not YAML: %s%s%s", p->context ? p->context : "", p->context ? ": " : "",
		       p->problem ? p->problem : "unknown problem");
	return -OBJM_STATUS_INVALID_REQUEST;
}

static struct om_conf_node *node_new(struct reader *r, enum om_conf_kind kind, const yaml_mark_t *mark)
{
	struct om_conf_node *node = calloc(1, sizeof(*node));

	if (!node) {
		r->ctx->oom = true;
		return NULL;
	}
	node->kind = kind;
	node->line = (unsigned)mark->line + 1;
	node->column = (unsigned)mark->column + 1;
	r->n_nodes++;
	return node;
}

/* What an event may not carry; reported, the node itself is still read. */
static void check_properties(struct reader *r, const yaml_event_t *ev)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		anchor = ev->data.scalar.anchor;
		tag = ev->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = ev->data.sequence_start.anchor;
		tag = ev->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = ev->data.mapping_start.anchor;
		tag = ev->data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (anchor)
		(void)refuse(r, &ev->start_mark, "found an anchor (&name), expected a value: anchors and aliases are refused");
	if (tag)
		(void)refuse(r, &ev->start_mark, "found a tag (!name), expected a value: tags are refused");
}

/* Where a node will stand: set before its children are read, so that their messages have the whole key. */
struct place {
	struct om_conf_node *parent;
	char *key; /* owned; NULL outside of maps */
	yaml_mark_t mark; /* of the key, where a reader looks */
	unsigned depth;
};

static int read_node(struct reader *r, yaml_event_t *ev, struct place *place, struct om_conf_node **ret_node);

static void append(struct om_conf_node *parent, struct om_conf_node *child)
{
	parent->n++;
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

/* A child is part of its map unless its key stands there already. */
static void append_unique(struct reader *r, struct om_conf_node *map, struct om_conf_node *child)
{
	const struct om_conf_node *old = om_conf_node_child(map, child->key);

	if (!old) {
		append(map, child);
		return;
	}
	om_conf_error(r->ctx, child, NULL, "found the same key a second time, expected it once; the first is in line %u",
		      old->line);
	om_conf_node_free(child);
}

/* Read a key: an event of a map that is not its end. */
static int read_key(struct reader *r, const yaml_event_t *ev, char **ret_key)
{
	if (ev->type != YAML_SCALAR_EVENT)
		return refuse(r, &ev->start_mark, "found a list, a group of keys or an alias as a key, expected a text");
	check_properties(r, ev);
	if (strlen((const char *)ev->data.scalar.value) != ev->data.scalar.length)
		return refuse(r, &ev->start_mark, "found a key with a NUL byte, expected a text");
	*ret_key = strdup((const char *)ev->data.scalar.value);
	return *ret_key ? 0 : out_of_memory(r);
}

/* One child: in a map its key first. The event stays the caller's, except for a key's, which is replaced. */
static int read_child(struct reader *r, struct om_conf_node *node, yaml_event_t *ev, unsigned depth)
{
	struct place place = { .parent = node, .mark = ev->start_mark, .depth = depth + 1 };
	struct om_conf_node *child = NULL;
	int rc = 0;

	if (node->n >= OM_CONF_CHILDREN_MAX)
		return refuse(r, &place.mark, "found more than 2048 elements in one list or group, expected fewer");
	if (node->kind == OM_CONF_MAP) {
		rc = read_key(r, ev, &place.key);
		if (rc == 0) {
			yaml_event_delete(ev);
			rc = next_event(r, ev);
		}
	}
	if (rc == 0)
		rc = read_node(r, ev, &place, &child);
	free(place.key); /* unless the child took it */
	if (rc < 0)
		return rc;
	if (child->key)
		append_unique(r, node, child);
	else
		append(node, child);
	return 0;
}

static int read_children(struct reader *r, struct om_conf_node *node, unsigned depth)
{
	yaml_event_type_t end = node->kind == OM_CONF_MAP ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;

	for (;;) {
		yaml_event_t ev;
		int rc = next_event(r, &ev);

		if (rc < 0)
			return rc;
		bool is_end = ev.type == end;
		if (!is_end)
			rc = read_child(r, node, &ev, depth);
		yaml_event_delete(&ev); /* one that could not be read is empty */
		if (rc < 0 || is_end)
			return rc;
	}
}

static int read_scalar(struct reader *r, const yaml_event_t *ev, struct om_conf_node *node)
{
	node->len = ev->data.scalar.length;
	node->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	node->text = malloc(node->len + 1);
	if (!node->text)
		return out_of_memory(r);
	memcpy(node->text, ev->data.scalar.value, node->len);
	node->text[node->len] = 0;
	return 0;
}

/* Make a node of the event and what follows it. The event stays the caller's. */
static int read_node(struct reader *r, yaml_event_t *ev, struct place *place, struct om_conf_node **ret_node)
{
	enum om_conf_kind kind = ev->type == YAML_MAPPING_START_EVENT	 ? OM_CONF_MAP :
				 ev->type == YAML_SEQUENCE_START_EVENT ? OM_CONF_LIST :
									 OM_CONF_SCALAR;
	int rc;

	if (place->depth > OM_CONF_DEPTH_MAX)
		return refuse(r, &ev->start_mark, "found values nested more than 12 deep, expected fewer");
	if (r->n_nodes >= OM_CONF_NODES_MAX)
		return refuse(r, &ev->start_mark, "found more than 65536 values in one file, expected fewer");
	struct om_conf_node *node = node_new(r, kind, &place->mark);
	if (!node)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	node->parent = place->parent;
	node->index = place->parent ? place->parent->n : 0;
	node->key = OM_TAKE_PTR(place->key);
	check_properties(r, ev);
	if (ev->type == YAML_ALIAS_EVENT) {
		(void)refuse(r, &ev->start_mark, "found an alias (*name), expected a value: anchors and aliases are refused");
		node->bad = true;
		node->text = strdup("");
		rc = node->text ? 0 : out_of_memory(r);
	} else if (kind == OM_CONF_SCALAR) {
		rc = read_scalar(r, ev, node);
	} else {
		rc = read_children(r, node, place->depth);
	}
	if (rc < 0) {
		om_conf_node_free(node);
		return rc;
	}
	*ret_node = node;
	return 0;
}

/* The stream: at most one document. */
static int read_stream(struct reader *r, struct om_conf_node **root)
{
	for (;;) {
		yaml_event_t ev;
		int rc = next_event(r, &ev);
		if (rc < 0)
			return rc;
		yaml_event_type_t type = ev.type;
		if (type == YAML_DOCUMENT_START_EVENT && *root)
			rc = refuse(r, &ev.start_mark, "found a second document, expected one");
		else if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT ||
			 type == YAML_MAPPING_START_EVENT || type == YAML_ALIAS_EVENT)
			rc = read_node(r, &ev, &(struct place){ .mark = ev.start_mark }, root);
		yaml_event_delete(&ev);
		if (rc < 0 || type == YAML_STREAM_END_EVENT)
			return rc;
	}
}

int om_conf_yaml_read(struct om_conf_ctx *ctx, const char *text, size_t len, struct om_conf_node **ret_root)
{
	struct reader r = { .ctx = ctx };
	struct om_conf_node *root = NULL;

	if (!yaml_parser_initialize(&r.parser))
		return out_of_memory(&r);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	int rc = read_stream(&r, &root);
	yaml_parser_delete(&r.parser);
	if (rc < 0) {
		om_conf_node_free(root);
		return rc;
	}
	*ret_root = root;
	return 0;
}
