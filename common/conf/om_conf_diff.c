/*
 * om_conf_diff.c: see om_conf_diff.h. In the supervisor, at a reload and for objmctl config and set. Values are compared as they are
 * printed: what cannot be told apart in a file is the same.
 */
#include "common/conf/om_conf_diff.h"

#include "common/conf/om_conf_priv.h"


struct walk {
	om_conf_key_fn *fn;
	void *arg;
	bool all; /* each key with its default, not only what differs */
	bool oom;
};

static const void *section_base(const struct om_conf *conf, enum om_conf_section_id s)
{
	return (const char *)conf + om_conf_sections[s].offset;
}

static char *printed(const struct om_conf_row *row, const void *base)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	om_conf_value_print(row->type, (const char *)base + row->offset, f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* Rows of one section; `was` NULL: compare with nothing. */
static void walk_rows(struct walk *w, enum om_conf_section_id section, const char *path, const void *was, const void *is)
{
	char key[OM_CONF_KEY_MAX];

	for (size_t i = 0; i < om_conf_n_rows; i++) {
		const struct om_conf_row *row = &om_conf_rows[i];
		if (row->section != section || row->kind != OM_CONF_ROW_KEY)
			continue;
		OM_AUTO_FREE char *b = printed(row, is);
		OM_AUTO_FREE char *a = w->all ? strdup(row->def ? row->def : "") : printed(row, was);
		if (!a || !b) {
			w->oom = true;
			return;
		}
		(void)snprintf(key, sizeof(key), "%s%s%s", path, *path ? "." : "", row->key);
		if (w->all || strcmp(a, b) != 0)
			w->fn(w->arg, key, row->live, a, b);
	}
}

/* All rules as one text: their number may differ, and a reload takes all or none. */
static char *rules_text(const struct om_conf *conf)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	(void)fputc('[', f);
	for (size_t i = 0; i < conf->access.n_rules; i++) {
		bool first = true;
		(void)fputs(i ? ", {" : "{", f);
		for (size_t k = 0; k < om_conf_n_rows; k++) {
			const struct om_conf_row *row = &om_conf_rows[k];
			if (row->section != OM_CONF_S_rule || row->kind != OM_CONF_ROW_KEY)
				continue;
			OM_AUTO_FREE char *v = printed(row, &conf->access.rules[i]);
			if (!v || !strcmp(v, "\"\"") || !strcmp(v, "0")) /* a subject that is not this rule's, no limit */
				continue;
			(void)fprintf(f, "%s%s: %s", first ? "" : ", ", row->key, v);
			first = false;
		}
		(void)fputc('}', f);
	}
	(void)fputc(']', f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static void walk_rules(struct walk *w, const struct om_conf *was, const struct om_conf *is)
{
	OM_AUTO_FREE char *a = was ? rules_text(was) : strdup("[]");
	OM_AUTO_FREE char *b = rules_text(is);

	if (!a || !b)
		w->oom = true;
	else if (w->all || strcmp(a, b) != 0)
		w->fn(w->arg, "access.rules", true, a, b);
}

static const struct om_conf_backend *same_tier(const struct om_conf *conf, const char *name)
{
	for (size_t i = 0; conf && i < conf->n_backends; i++)
		if (!strcmp(conf->backends[i].name, name))
			return &conf->backends[i];
	return NULL;
}

static void walk_tiers(struct walk *w, const struct om_conf *was, const struct om_conf *is)
{
	char path[OM_TIER_NAME_MAX + 16];

	for (size_t i = 0; i < is->n_backends; i++) {
		const struct om_conf_backend *t = &is->backends[i], *old = same_tier(was, t->name);
		(void)snprintf(path, sizeof(path), "backends[%s]", t->name);
		if (old || w->all)
			walk_rows(w, OM_CONF_S_backend, path, old, t);
		else
			w->fn(w->arg, path, true, "absent", "present");
	}
	for (size_t i = 0; was && i < was->n_backends; i++) {
		if (same_tier(is, was->backends[i].name))
			continue;
		(void)snprintf(path, sizeof(path), "backends[%s]", was->backends[i].name);
		w->fn(w->arg, path, false, "present", "absent");
	}
}

static int walk(struct walk *w, const struct om_conf *was, const struct om_conf *is)
{
	walk_rows(w, OM_CONF_S_top, "", was, is);
	for (unsigned s = 0; s < OM_CONF_S_COUNT; s++) {
		enum om_conf_section_id id = (enum om_conf_section_id)s;
		if (om_conf_sections[s].list || s == OM_CONF_S_top)
			continue;
		walk_rows(w, id, om_conf_sections[s].path, was ? section_base(was, id) : NULL, section_base(is, id));
		if (s == OM_CONF_S_access)
			walk_rules(w, was, is);
	}
	walk_tiers(w, was, is);
	return w->oom ? -OBJM_STATUS_OUT_OF_MEMORY : 0;
}

int om_conf_diff(const struct om_conf *was, const struct om_conf *is, om_conf_key_fn *fn, void *arg)
{
	struct walk w = { .fn = fn, .arg = arg };
	return walk(&w, was, is);
}

int om_conf_each(const struct om_conf *conf, om_conf_key_fn *fn, void *arg)
{
	struct walk w = { .fn = fn, .arg = arg, .all = true };
	return walk(&w, NULL, conf);
}

/* ---- keeping what needs a restart ---- */

static void swap_rows(enum om_conf_section_id section, void *a, void *b)
{
	unsigned char tmp[256];

	for (size_t i = 0; i < om_conf_n_rows; i++) {
		const struct om_conf_row *row = &om_conf_rows[i];
		if (row->section != section || row->kind != OM_CONF_ROW_KEY || row->live)
			continue;
		size_t n = om_conf_value_size(row->type);
		OM_ASSERT(n <= sizeof(tmp));
		memcpy(tmp, (char *)a + row->offset, n);
		memcpy((char *)a + row->offset, (char *)b + row->offset, n);
		memcpy((char *)b + row->offset, tmp, n);
	}
}

/* Tiers that `is` lacks move over, behind its own: their indices there stay what they are. */
static int take_tiers(struct om_conf *was, struct om_conf *is)
{
	size_t more = 0, kept = 0;

	for (size_t i = 0; i < was->n_backends; i++)
		more += same_tier(is, was->backends[i].name) == NULL;
	if (is->n_backends + more > OM_TIERS_MAX)
		return -OBJM_STATUS_LIMIT_EXCEEDED;
	struct om_conf_backend *v = more ? realloc(is->backends, (is->n_backends + more) * sizeof(*v)) : is->backends;
	if (!v)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	is->backends = v;
	for (size_t i = 0; i < was->n_backends; i++) {
		if (same_tier(is, was->backends[i].name))
			was->backends[kept++] = was->backends[i];
		else
			is->backends[is->n_backends++] = was->backends[i];
	}
	was->n_backends = kept;
	return 0;
}

int om_conf_keep(struct om_conf *was, struct om_conf *is)
{
	int err = take_tiers(was, is);

	if (err < 0)
		return err;
	for (unsigned s = 0; s < OM_CONF_S_COUNT; s++)
		if (!om_conf_sections[s].list)
			swap_rows((enum om_conf_section_id)s, (char *)was + om_conf_sections[s].offset,
				  (char *)is + om_conf_sections[s].offset);
	for (size_t i = 0; i < is->n_backends; i++) {
		struct om_conf_backend *t = &is->backends[i];
		struct om_conf_backend *old = (struct om_conf_backend *)(uintptr_t)same_tier(was, t->name);
		if (!old)
			continue;
		swap_rows(OM_CONF_S_backend, old, t);
		bool given = old->index_given; /* goes with index_path */
		old->index_given = t->index_given;
		t->index_given = given;
	}
	return 0;
}

/* ---- one key ---- */

struct find {
	const char *key;
	bool found, live;
};

static void find_key(void *arg, const char *key, bool live, const char *was, const char *is)
{
	struct find *f = arg;

	(void)was, (void)is;
	if (strcmp(key, f->key) != 0)
		return;
	f->found = true;
	f->live = live;
}

static bool one_line(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || (*s == ' ' && s[1] == '#'))
			return false;
	return true;
}

/* Where the printed form stands: the key of the line, as om_conf_each() calls it. */
struct place {
	char section[OM_CONF_KEY_MAX]; /* "log", "backends[disk]"; "" top */
	char key[2 * OM_CONF_KEY_MAX];
};

static void follow(struct place *p, const char *line)
{
	const char *text = line + strspn(line, " -");
	size_t indent = strspn(line, " "), len = strcspn(text, ":\n");
	char id[OM_TIER_NAME_MAX];

	p->key[0] = '\0';
	if (sscanf(line, "  # id: %31s", id) == 1)
		(void)snprintf(p->section, sizeof(p->section), "backends[%s]", id);
	else if (indent == 0 && text[len] == ':' && text[len + 1] == '\n')
		(void)snprintf(p->section, sizeof(p->section), "%.*s", (int)len, text);
	else if (indent == 0 && *p->section == '\0')
		(void)snprintf(p->key, sizeof(p->key), "%.*s", (int)len, text);
	else if (indent > 0)
		(void)snprintf(p->key, sizeof(p->key), "%s.%.*s", p->section, (int)len, text);
}

/* The printed form with the value of one line replaced. NULL: out of memory. */
static char *edited(const char *text, const char *key, const char *value)
{
	struct place p = { .section = "" };
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	if (!f)
		return NULL;
	for (const char *line = text; *line;) {
		size_t n = strcspn(line, "\n") + 1;
		follow(&p, line);
		if (p.key[0] && !strcmp(p.key, key))
			(void)fprintf(f, "%.*s: %s\n", (int)strcspn(line, ":"), line, value);
		else
			(void)fwrite(line, 1, n, f);
		line += n;
	}
	if (fclose(f) != 0) {
		free(out);
		return NULL;
	}
	return out;
}

int om_conf_set(const struct om_conf *conf, const char *key, const char *value, struct om_conf **ret, struct om_conf_report *rep)
{
	struct find find = { .key = key };
	OM_AUTO_FREE char *text = NULL;
	size_t len;
	int err = om_conf_each(conf, find_key, &find);

	if (err < 0)
		return err;
	if (!find.found)
		return -OBJM_STATUS_NOT_FOUND;
	if (!find.live || !strcmp(key, "access.rules"))
		return -OBJM_STATUS_UNSUPPORTED_OP;
	if (!one_line(value))
		return -OBJM_STATUS_INVALID_REQUEST;
	FILE *f = open_memstream(&text, &len);
	if (!f)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	err = om_conf_print(conf, f);
	if (fclose(f) != 0 || err < 0)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	OM_AUTO_FREE char *with = edited(text, key, value);
	OM_AUTO_FREE char *file = strdup(conf->file);
	if (!with || !file)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	err = om_conf_parse(with, strlen(with), key, "/", ret, rep);
	if (err < 0)
		return err;
	free((*ret)->file);
	(*ret)->file = OM_TAKE_PTR(file);
	return 0;
}
