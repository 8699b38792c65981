/*
 * om_conf_print.c: writes a configuration in its effective form, and the reference of all keys.
 *
 * Runs in the supervisor (--print-config, --dump-conf-doc). No state. Both walk the table, so neither can miss a key.
 */
#include "common/conf/om_conf_priv.h"

static bool is_default_index(enum om_conf_section_id section, const void *base, const struct om_conf_row *row)
{
	return section == OM_CONF_S_backend && row->offset == offsetof(struct om_conf_backend, index_path) &&
	       !((const struct om_conf_backend *)base)->index_given;
}

static void print_rows(enum om_conf_section_id section, const void *base, const char *first, const char *indent, FILE *out)
{
	for (size_t i = 0; i < om_conf_n_rows; i++) {
		const struct om_conf_row *row = &om_conf_rows[i];

		if (row->section != section || row->kind != OM_CONF_ROW_KEY)
			continue;
		/* One that was left out is said, but stays left out when this is read again: the catalog's directory depends on the filesystem, too. */
		bool quiet = is_default_index(section, base, row);
		(void)fprintf(out, "%s%s%s: ", first, quiet ? "# " : "", row->key);
		om_conf_value_print(row->type, (const char *)base + row->offset, out);
		(void)fputc('\n', out);
		first = indent;
	}
}

int om_conf_print(const struct om_conf *conf, FILE *out)
{
	(void)fputs("# objmapper: the effective configuration\n", out);
	print_rows(OM_CONF_S_top, conf, "", "", out);
	for (unsigned s = 0; s < OM_CONF_S_COUNT; s++) {
		if (om_conf_sections[s].list || s == OM_CONF_S_top)
			continue;
		(void)fprintf(out, "%s:\n", om_conf_sections[s].path);
		print_rows((enum om_conf_section_id)s, (const char *)conf + om_conf_sections[s].offset, "  ", "  ", out);
		if (s == OM_CONF_S_access && conf->access.n_rules > 0) {
			(void)fputs("  rules:\n", out);
			for (size_t i = 0; i < conf->access.n_rules; i++)
				print_rows(OM_CONF_S_rule, &conf->access.rules[i], "    - ", "      ", out);
		}
	}
	(void)fputs("backends:\n", out);
	for (size_t i = 0; i < conf->n_backends; i++) {
		(void)fprintf(out, "  # id: %s\n", conf->backends[i].name);
		print_rows(OM_CONF_S_backend, &conf->backends[i], "  - ", "    ", out);
	}
	return fflush(out) != 0 || ferror(out) ? -OBJM_STATUS_STORAGE : 0;
}

static void doc_key(const struct om_conf_row *row, const char *path, FILE *out)
{
	char expect[OM_CONF_EXPECT_MAX];

	om_conf_value_expect(row, expect, sizeof(expect));
	(void)fprintf(out, "\n#### `%s%s%s`\n\n", path, path[0] ? "." : "", row->key);
	(void)fprintf(out, "%c%s.", row->help[0] >= 'a' && row->help[0] <= 'z' ? row->help[0] - 'a' + 'A' : row->help[0],
		      row->help + 1);
	if (row->text[0])
		(void)fprintf(out, " %s", row->text);
	(void)fprintf(out, "\n\n- Value: %s.\n", expect);
	if (!row->def)
		(void)fputs("- Must be given.\n", out);
	else if (row->def[0])
		(void)fprintf(out, "- Default: `%s`.\n", row->def);
	(void)fprintf(out, "- Change: %s.\n", row->live ? "by a reload" : "by a restart");
}

static void doc_others(enum om_conf_section_id section, const char *path, FILE *out)
{
	for (size_t i = 0; i < om_conf_n_rows; i++) {
		const struct om_conf_row *row = &om_conf_rows[i];

		if (row->section != section || row->kind == OM_CONF_ROW_KEY)
			continue;
		if (row->kind == OM_CONF_ROW_ALIAS)
			(void)fprintf(out, "\n#### `%s.%s`\n\nAnother way to write `%s`: %s.\n", path, row->key, row->canonical,
				      row->text);
		else
			(void)fprintf(out, "\n#### `%s.%s` (no effect)\n\nAccepted with a warning: %s.\n", path, row->key,
				      row->text);
	}
}

static void doc_section(enum om_conf_section_id section, FILE *out)
{
	const struct om_conf_section *s = &om_conf_sections[section];

	if (s->path[0])
		(void)fprintf(out, "\n### `%s`\n\n%s\n", s->path, s->text);
	else
		(void)fprintf(out, "\n### Top level\n\n%s\n", s->text);
	if (s->list)
		(void)fprintf(out, "\nA list of at most %zu.\n", s->max);
	for (size_t i = 0; i < om_conf_n_rows; i++)
		if (om_conf_rows[i].section == section && om_conf_rows[i].kind == OM_CONF_ROW_KEY)
			doc_key(&om_conf_rows[i], s->path, out);
	doc_others(section, s->path, out);
}

int om_conf_dump_doc(FILE *out)
{
	static const enum om_conf_section_id first[] = { OM_CONF_S_backend, OM_CONF_S_top };

	/* What everybody needs comes first. */
	for (size_t i = 0; i < OM_ARRAY_SIZE(first); i++)
		doc_section(first[i], out);
	for (unsigned s = 0; s < OM_CONF_S_COUNT; s++)
		if (s != OM_CONF_S_backend && s != OM_CONF_S_top)
			doc_section((enum om_conf_section_id)s, out);
	return fflush(out) != 0 || ferror(out) ? -OBJM_STATUS_STORAGE : 0;
}
