/*
 * om_conf_load.c: reads a configuration: walks the tree of a file and the table of keys together and fills struct om_conf.
 *
 * Runs in the supervisor at start and reload. Main structures: struct om_conf, struct om_conf_ctx. Called by the
 * supervisor through om_conf.h. It never stops at an error: each is reported, the key keeps its default, and only at the
 * end is the whole refused.
 */
#include "common/conf/om_conf_priv.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

/* Field of a row inside of one section's struct. */
static void *field_of(const struct om_conf_row *row, void *base) { return (char *)base + row->offset; }

/* The struct of a section that stands once. */
static void *section_base(struct om_conf *conf, enum om_conf_section_id section)
{
	return (char *)conf + om_conf_sections[section].offset;
}

static bool section_init(enum om_conf_section_id section, void *base)
{
	bool ok = true;

	for (size_t i = 0; i < om_conf_n_rows; i++) {
		const struct om_conf_row *row = &om_conf_rows[i];
		if (row->section == section && row->kind == OM_CONF_ROW_KEY)
			ok = om_conf_value_init(row->type, field_of(row, base)) && ok;
	}
	return ok;
}

static void section_clear(enum om_conf_section_id section, void *base)
{
	for (size_t i = 0; i < om_conf_n_rows; i++) {
		const struct om_conf_row *row = &om_conf_rows[i];
		if (row->section == section && row->kind == OM_CONF_ROW_KEY)
			om_conf_value_clear(row->type, field_of(row, base));
	}
}

/* A default is written as in a file, and read like one. */
static void set_default(struct om_conf_ctx *ctx, const struct om_conf_row *row, void *base)
{
	struct om_conf_node *node = NULL;

	if (!row->def || !row->def[0])
		return;
	int rc = om_conf_yaml_read(ctx, row->def, strlen(row->def), &node);
	OM_ASSERT(rc == 0 || ctx->oom); /* a test walks the table */
	if (rc == 0 && node) {
		bool ok = om_conf_value_set(ctx, row, node, field_of(row, base));
		OM_ASSERT(ok || ctx->oom);
	}
	om_conf_node_free(node);
}

static void unknown_key(struct om_conf_ctx *ctx, enum om_conf_section_id section, const struct om_conf_node *node)
{
	char near[128], all[1024] = "";
	size_t len = 0;

	om_conf_suggest(section, node->key, near, sizeof(near));
	if (near[0]) {
		om_conf_error(ctx, node, NULL, "found an unknown key, expected perhaps `%s`", near);
		return;
	}
	for (size_t i = 0; i < om_conf_n_rows; i++) {
		const struct om_conf_row *row = &om_conf_rows[i];
		if (row->section == section && row->kind == OM_CONF_ROW_KEY && len < sizeof(all))
			len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", len > 0 ? ", " : "", row->key);
	}
	for (unsigned s = 0; s < OM_CONF_S_COUNT; s++) {
		enum om_conf_section_id up;
		char key[64];
		if (om_conf_section_parent((enum om_conf_section_id)s, &up, key, sizeof(key)) && up == section &&
		    len < sizeof(all))
			len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", len > 0 ? ", " : "", key);
	}
	om_conf_error(ctx, node, NULL, "found an unknown key, expected one of %s", all);
}

static void set_key(struct om_conf_ctx *ctx, const struct om_conf_row *row, const struct om_conf_node *map,
		    struct om_conf_node *node, void *base)
{
	const struct om_conf_row *canonical = om_conf_row_canonical(row);
	struct om_conf_row both = *canonical;

	if (row->kind == OM_CONF_ROW_OBSOLETE) {
		om_conf_warn(ctx, node, NULL, "this key has no effect any more: %s", row->text);
		return;
	}
	if (row != canonical && om_conf_node_child(map, canonical->key)) {
		om_conf_error(ctx, node, NULL, "found it beside `%s`, expected only one of the two", canonical->key);
		return;
	}
	both.type = row->type; /* an alias may count in another unit */
	(void)om_conf_value_set(ctx, &both, node, field_of(canonical, base));
}

static void parse_section(struct om_conf_ctx *ctx, enum om_conf_section_id section, struct om_conf_node *node, void *base);

/* Make n structs of a list section and give them to the configuration, so that om_conf_free() finds them. */
static void *list_new(struct om_conf *conf, enum om_conf_section_id section, size_t n)
{
	size_t size = om_conf_sections[section].size;
	char *v = calloc(n > 0 ? n : 1, size);
	bool ok = v != NULL;

	for (size_t i = 0; v && i < n; i++)
		ok = section_init(section, v + i * size) && ok;
	if (v && section == OM_CONF_S_backend) {
		conf->backends = (struct om_conf_backend *)(void *)v;
		conf->n_backends = n;
	} else if (v) {
		OM_ASSERT(section == OM_CONF_S_rule);
		conf->access.rules = (struct om_conf_rule *)(void *)v;
		conf->access.n_rules = n;
	}
	return ok ? v : NULL;
}

static void parse_list(struct om_conf_ctx *ctx, enum om_conf_section_id section, struct om_conf_node *node)
{
	const struct om_conf_section *s = &om_conf_sections[section];
	char found[400];

	if (om_conf_node_null(node))
		return;
	if (node->kind != OM_CONF_LIST)
		om_conf_error(ctx, node, NULL, "found %s, expected a list of groups of keys",
			      om_conf_found(node, found, sizeof(found)));
	else if (node->n > s->max)
		om_conf_error(ctx, node, NULL, "found %zu elements, expected at most %zu", node->n, s->max);
	if (node->kind != OM_CONF_LIST || node->n > s->max) {
		node->bad = true;
		return;
	}
	char *v = list_new(ctx->conf, section, node->n);
	if (!v) {
		ctx->oom = true;
		return;
	}
	for (struct om_conf_node *c = node->first; c; c = c->next)
		parse_section(ctx, section, c, v + c->index * s->size);
}

static void parse_child(struct om_conf_ctx *ctx, enum om_conf_section_id section, struct om_conf_node *map,
			struct om_conf_node *node, void *base)
{
	const struct om_conf_row *row = om_conf_row_find(section, node->key);
	enum om_conf_section_id child;

	if (row)
		set_key(ctx, row, map, node, base);
	else if (!om_conf_section_child(section, node->key, &child))
		unknown_key(ctx, section, node);
	else if (om_conf_sections[child].list)
		parse_list(ctx, child, node);
	else
		parse_section(ctx, child, node, section_base(ctx->conf, child));
}

/* True if the row's key stands in the map, under whatever name. */
static bool is_given(const struct om_conf_row *row, const struct om_conf_node *map)
{
	if (om_conf_node_child(map, row->key))
		return true;
	for (size_t i = 0; i < om_conf_n_rows; i++) {
		const struct om_conf_row *alias = &om_conf_rows[i];
		if (alias->kind == OM_CONF_ROW_ALIAS && om_conf_row_canonical(alias) == row &&
		    om_conf_node_child(map, alias->key))
			return true;
	}
	return false;
}

static void parse_section(struct om_conf_ctx *ctx, enum om_conf_section_id section, struct om_conf_node *node, void *base)
{
	char text[OM_CONF_EXPECT_MAX];

	if (node && !node->bad && node->kind != OM_CONF_MAP && !om_conf_node_null(node)) {
		om_conf_error(ctx, node, NULL, "found %s, expected a group of keys", om_conf_found(node, (char[400]){ 0 }, 400));
		node->bad = true;
	}
	if (node && node->bad)
		return;
	for (size_t i = 0; i < om_conf_n_rows; i++) {
		const struct om_conf_row *row = &om_conf_rows[i];
		if (row->section != section || row->kind != OM_CONF_ROW_KEY || is_given(row, node))
			continue;
		set_default(ctx, row, base);
		if (!row->def) {
			om_conf_value_expect(row, text, sizeof(text));
			om_conf_error(ctx, node, row->key, "found nothing, expected %s: the key must be given", text);
		}
	}
	for (struct om_conf_node *c = node && node->kind == OM_CONF_MAP ? node->first : NULL; c; c = c->next)
		parse_child(ctx, section, node, c, base);
}

/* Defaults of sections that the file does not have. */
static void parse_absent(struct om_conf_ctx *ctx)
{
	for (unsigned s = 0; s < OM_CONF_S_COUNT; s++) {
		enum om_conf_section_id up;
		char key[64];

		if (!om_conf_sections[s].list &&
		    om_conf_section_parent((enum om_conf_section_id)s, &up, key, sizeof(key)) &&
		    !om_conf_node_child(ctx->root, key))
			parse_section(ctx, (enum om_conf_section_id)s, NULL,
				      section_base(ctx->conf, (enum om_conf_section_id)s));
	}
}

static struct om_conf *conf_new(const char *name)
{
	struct om_conf *conf = calloc(1, sizeof(*conf));
	bool ok = true;

	if (!conf)
		return NULL;
	for (unsigned s = 0; s < OM_CONF_S_COUNT; s++)
		if (!om_conf_sections[s].list)
			ok = section_init((enum om_conf_section_id)s, section_base(conf, (enum om_conf_section_id)s)) && ok;
	conf->file = strdup(name);
	if (ok && conf->file)
		return conf;
	om_conf_free(conf);
	return NULL;
}

void om_conf_free(struct om_conf *conf)
{
	if (!conf)
		return;
	for (size_t i = 0; i < conf->n_backends; i++)
		section_clear(OM_CONF_S_backend, &conf->backends[i]);
	for (size_t i = 0; i < conf->access.n_rules; i++)
		section_clear(OM_CONF_S_rule, &conf->access.rules[i]);
	free(conf->backends);
	free(conf->access.rules);
	for (unsigned s = 0; s < OM_CONF_S_COUNT; s++)
		if (!om_conf_sections[s].list)
			section_clear((enum om_conf_section_id)s, section_base(conf, (enum om_conf_section_id)s));
	free(conf->file);
	free(conf);
}

/* Tree, struct, checks; ctx->conf is the caller's to free. */
static int parse(struct om_conf_ctx *ctx, const char *text, size_t len)
{
	if (len > OM_CONF_FILE_MAX) {
		om_conf_error(ctx, NULL, NULL, "found more than %u bytes, expected a file of at most that", OM_CONF_FILE_MAX);
		return -OBJM_STATUS_TOO_LARGE;
	}
	ctx->conf = conf_new(ctx->name);
	if (!ctx->conf)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	int rc = om_conf_yaml_read(ctx, text, len, &ctx->root);
	if (rc < 0)
		return rc;
	parse_section(ctx, OM_CONF_S_top, ctx->root, ctx->conf);
	parse_absent(ctx);
	if (!ctx->oom && !(ctx->root && ctx->root->bad))
		om_conf_check(ctx);
	if (ctx->oom)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	return ctx->n_errors > 0 ? -OBJM_STATUS_INVALID_REQUEST : 0;
}

int om_conf_parse(const char *text, size_t len, const char *name, const char *base_dir, struct om_conf **ret_conf,
		  struct om_conf_report *rep)
{
	OM_AUTO_FREE char *cwd = getcwd(NULL, 0);
	OM_AUTO_FREE char *base = om_conf_path_join(cwd ? cwd : "/", base_dir ? base_dir : ".");
	struct om_conf_ctx ctx = { .name = name, .base_dir = base, .rep = rep };
	size_t from = rep->n;

	if (!base)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	int rc = parse(&ctx, text, len);
	om_conf_node_free(ctx.root);
	om_conf_report_sort(rep, from);
	if (rc < 0) {
		om_conf_free(ctx.conf);
		return rc;
	}
	*ret_conf = ctx.conf;
	return 0;
}

/* The whole file in memory, one byte more than is allowed at most. */
static int read_file(struct om_conf_ctx *ctx, const char *file, char **ret_text, size_t *ret_len)
{
	OM_AUTO_FD fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	OM_AUTO_FREE char *text = malloc(OM_CONF_FILE_MAX + 1);
	struct stat st;
	size_t len = 0;
	ssize_t n = 0;

	if (!text)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	while (fd >= 0 && len <= OM_CONF_FILE_MAX) {
		n = read(fd, text + len, OM_CONF_FILE_MAX + 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (fd < 0 || n < 0) {
		int err = errno;
		om_conf_error(ctx, NULL, NULL, "cannot read the configuration: %s", strerror(err));
		return -om_status_errno(err);
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IWOTH))
		om_conf_warn(ctx, NULL, NULL, "everyone may write this file: whoever does decides what the daemon does");
	*ret_text = OM_TAKE_PTR(text);
	*ret_len = len;
	return 0;
}

int om_conf_load(const char *file, struct om_conf **ret_conf, struct om_conf_report *rep)
{
	struct om_conf_ctx ctx = { .name = file, .rep = rep };
	OM_AUTO_FREE char *text = NULL, *dir = strdup(file);
	size_t len = 0;

	if (!dir)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	int rc = read_file(&ctx, file, &text, &len);
	if (rc < 0)
		return rc;
	/* The real directory: with a link in its path, ".." would otherwise mean another place than it does in a shell. */
	char *slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = 0;
	OM_AUTO_FREE char *real = realpath(slash ? dir : ".", NULL);
	return om_conf_parse(text, len, file, real ? real : slash ? dir : NULL, ret_conf, rep);
}
