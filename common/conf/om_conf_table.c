/*
 * om_conf_table.c: the rows of common/tbl/conf.def as arrays, and look-ups in them.
 *
 * Runs wherever a configuration is read. No state: the arrays are constant. Called by the other files here and by the
 * test that walks all rows.
 */
#include "common/conf/om_conf_priv.h"

#define LIVE true
#define RESTART false
#define MAP_OFFSET(section) offsetof(struct om_conf, section)
#define LIST_OFFSET(section) 0
#define MAP_IS_LIST false
#define LIST_IS_LIST true

const struct om_conf_section om_conf_sections[OM_CONF_S_COUNT] = {
#define OM_CONF_SECTION(id, path_, kind, max_, text_) \
	[OM_CONF_S_##id] = { path_, kind##_IS_LIST, max_, kind##_OFFSET(id), sizeof(struct om_conf_##id), text_ },
#define OM_CONF_TOP_LEFT_OUT
#include "common/tbl/conf.def"
#define OM_CONF_SECTION(id, path_, kind, max_, text_) \
	[OM_CONF_S_##id] = { path_, kind##_IS_LIST, max_, 0, sizeof(struct om_conf), text_ },
#define OM_CONF_TOP_ONLY
#include "common/tbl/conf.def"
};

#define ALIAS_ROW(section_, key_, type_, canonical_, text_) \
	{ .kind = OM_CONF_ROW_ALIAS, .section = OM_CONF_S_##section_, .key = key_, .type = OM_CONF_T_##type_, \
	  .canonical = canonical_, .text = text_ },
#define OBSOLETE_ROW(section_, key_, text_) \
	{ .kind = OM_CONF_ROW_OBSOLETE, .section = OM_CONF_S_##section_, .key = key_, .text = text_ },
#define KEY_ROW(section_, key_, offset_, type_, unit_, min_, max_, def_, reload_, help_, text_) \
	{ .kind = OM_CONF_ROW_KEY, .section = OM_CONF_S_##section_, .key = key_, .type = OM_CONF_T_##type_, \
	  .offset = offset_, .unit = unit_, .min = min_, .max = max_, .def = def_, .live = reload_, .help = help_, \
	  .text = text_ },

const struct om_conf_row om_conf_rows[] = {
#define OM_CONF(section, key, field, type, unit, min, max, def, reload, help, text) \
	KEY_ROW(section, key, offsetof(struct om_conf_##section, field), type, unit, min, max, def, reload, help, text)
#define OM_CONF_ALIAS ALIAS_ROW
#define OM_CONF_OBSOLETE OBSOLETE_ROW
#define OM_CONF_TOP_LEFT_OUT
#include "common/tbl/conf.def"
#define OM_CONF(section, key, field, type, unit, min, max, def, reload, help, text) \
	KEY_ROW(section, key, offsetof(struct om_conf, field), type, unit, min, max, def, reload, help, text)
#define OM_CONF_ALIAS ALIAS_ROW
#define OM_CONF_OBSOLETE OBSOLETE_ROW
#define OM_CONF_TOP_ONLY
#include "common/tbl/conf.def"
};
const size_t om_conf_n_rows = OM_ARRAY_SIZE(om_conf_rows);

const struct om_conf_row *om_conf_row_find(enum om_conf_section_id section, const char *key)
{
	for (size_t i = 0; i < om_conf_n_rows; i++)
		if (om_conf_rows[i].section == section && strcmp(om_conf_rows[i].key, key) == 0)
			return &om_conf_rows[i];
	return NULL;
}

const struct om_conf_row *om_conf_row_canonical(const struct om_conf_row *row)
{
	return row->kind == OM_CONF_ROW_ALIAS ? om_conf_row_find(row->section, row->canonical) : row;
}

bool om_conf_section_parent(enum om_conf_section_id section, enum om_conf_section_id *ret_parent, char *ret_key,
			    size_t size)
{
	const char *path = om_conf_sections[section].path;
	const char *dot = strrchr(path, '.');
	const char *key = dot ? dot + 1 : path;

	if (!path[0])
		return false;
	(void)snprintf(ret_key, size, "%.*s", (int)strcspn(key, "["), key);
	*ret_parent = OM_CONF_S_top;
	for (unsigned s = 0; dot && s < OM_CONF_S_COUNT; s++) {
		const char *p = om_conf_sections[s].path;

		if (strlen(p) == (size_t)(dot - path) && strncmp(p, path, (size_t)(dot - path)) == 0)
			*ret_parent = (enum om_conf_section_id)s;
	}
	return true;
}

bool om_conf_section_child(enum om_conf_section_id parent, const char *key, enum om_conf_section_id *ret_section)
{
	for (unsigned s = 0; s < OM_CONF_S_COUNT; s++) {
		enum om_conf_section_id up;
		char name[64];

		if (om_conf_section_parent((enum om_conf_section_id)s, &up, name, sizeof(name)) && up == parent &&
		    strcmp(name, key) == 0) {
			*ret_section = (enum om_conf_section_id)s;
			return true;
		}
	}
	return false;
}

/* Letters to add, drop, change or swap to make b of a: at most 64 letters of each are looked at. */
static unsigned distance(const char *a, const char *b)
{
	enum { N = 64 };
	size_t la = strnlen(a, N), lb = strnlen(b, N);
	unsigned row[3][N + 1]; /* the one before last, the last, this */

	for (size_t k = 0; k <= lb; k++)
		row[1][k] = (unsigned)k;
	for (size_t i = 1; i <= la; i++) {
		row[2][0] = (unsigned)i;
		for (size_t k = 1; k <= lb; k++) {
			unsigned best = row[1][k - 1] + (a[i - 1] != b[k - 1]);
			best = OM_MIN(best, OM_MIN(row[1][k], row[2][k - 1]) + 1);
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
				best = OM_MIN(best, row[0][k - 2] + 1);
			row[2][k] = best;
		}
		memcpy(row[0], row[1], sizeof(row[0]));
		memcpy(row[1], row[2], sizeof(row[1]));
	}
	return row[1][lb];
}

struct nearest {
	const char *key; /* what was written */
	unsigned best;	 /* distance; only nearer ones are taken */
	char *text;
	size_t size;
};

static void consider(struct nearest *n, enum om_conf_section_id section, const char *key, unsigned penalty)
{
	unsigned d = distance(n->key, key) + penalty;
	const char *path = om_conf_sections[section].path;

	if (d >= n->best)
		return;
	n->best = d;
	(void)snprintf(n->text, n->size, "%s%s%s", path, path[0] ? "." : "", key);
}

void om_conf_suggest(enum om_conf_section_id section, const char *key, char *ret_text, size_t size)
{
	/* A third of the letters may differ; a key of another section must be nearer by one. */
	struct nearest n = { key, (unsigned)OM_MAX(strnlen(key, 64) / 3, 1u) + 1, ret_text, size };

	ret_text[0] = 0;
	for (size_t i = 0; i < om_conf_n_rows; i++) {
		const struct om_conf_row *row = &om_conf_rows[i];
		if (row->kind != OM_CONF_ROW_OBSOLETE)
			consider(&n, row->section, row->key, row->section != section);
	}
	for (unsigned s = 0; s < OM_CONF_S_COUNT; s++) {
		enum om_conf_section_id up;
		char name[64];
		if (om_conf_section_parent((enum om_conf_section_id)s, &up, name, sizeof(name)))
			consider(&n, up, name, up != section);
	}
}
