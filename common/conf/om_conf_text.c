/*
 * om_conf_text.c: texts, paths, sockets, names of tiers.
 *
 * Runs wherever a configuration is read or printed. No state. Called by om_conf_value.c through the om_conf_ops at the
 * end; om_conf_text_print() and om_conf_path_join() by others here too.
 */
#include "common/conf/om_conf_value.h"

#include <sys/un.h>

/* Code points that a YAML reader would not give back as they stand in quotes: line breaks and what it refuses. */
static bool needs_escape(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029 || cp == 0xfeff || cp == 0xfffe ||
	       cp == 0xffff;
}

/* The code point at *text, which moves on; invalid bytes count as one each. */
static uint32_t next_code_point(const unsigned char **text)
{
	const unsigned char *t = *text;
	unsigned more = t[0] >= 0xf0 ? 3 : t[0] >= 0xe0 ? 2 : t[0] >= 0xc0 ? 1 : 0;
	uint32_t cp = more == 0 ? t[0] : t[0] & (0x3fu >> more);

	t++;
	for (; more > 0 && (*t & 0xc0) == 0x80; more--)
		cp = cp << 6 | (*t++ & 0x3f);
	*text = t;
	return cp;
}

void om_conf_text_print(const char *text, FILE *out)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
	const unsigned char *t = (const unsigned char *)text;

	if ((text[0] == '/' || (text[0] >= 'a' && text[0] <= 'z')) && !text[strspn(text, safe)] &&
	    strcmp(text, "null") != 0) {
		(void)fputs(text, out);
		return;
	}
	(void)fputc('"', out);
	while (*t) {
		const unsigned char *from = t;
		uint32_t cp = next_code_point(&t);

		if (cp == '"' || cp == '\\')
			(void)fprintf(out, "\\%c", (char)cp);
		else if (needs_escape(cp))
			(void)fprintf(out, "\\u%04x", cp);
		else
			(void)fwrite(from, 1, (size_t)(t - from), out);
	}
	(void)fputc('"', out);
}

bool om_conf_text_has_control(const char *text)
{
	const unsigned char *t = (const unsigned char *)text;

	while (*t) {
		uint32_t cp = next_code_point(&t);
		if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
			return true;
	}
	return false;
}

bool om_conf_text_replace(struct om_conf_input *in, void *field, const char *text)
{
	char *copy = strdup(text);

	if (!copy) {
		in->oom = true;
		return false;
	}
	free(*(char **)field);
	*(char **)field = copy;
	return true;
}

static bool set_str(struct om_conf_input *in, void *field)
{
	size_t len = strlen(in->text);

	if ((double)len < in->row->min || (double)len > in->row->max)
		return false;
	return om_conf_text_replace(in, field, in->text);
}

static void print_str(const void *field, FILE *out) { om_conf_text_print(*(char *const *)field, out); }

char *om_conf_path_join(const char *base, const char *path)
{
	char *all = NULL;

	OM_ASSERT(path[0] == '/' || base[0] == '/'); /* so that every part has a slash before it, in whose place ours goes */
	if (asprintf(&all, "%s/%s", path[0] == '/' ? "" : base, path) < 0)
		return NULL;
	/* The path never grows: it is made in place, one part after the other. */
	size_t len = 0;
	for (const char *p = all; *p;) {
		size_t part = strcspn(p, "/");
		if (part == 2 && p[0] == '.' && p[1] == '.') {
			while (len > 0 && all[--len] != '/')
				;
		} else if (part > 0 && !(part == 1 && p[0] == '.')) {
			all[len++] = '/';
			memmove(all + len, p, part);
			len += part;
			p = p + part;
			p += *p == '/';
			continue;
		}
		p += part;
		p += *p == '/';
	}
	if (len == 0)
		all[len++] = '/';
	all[len] = 0;
	return all;
}

/* An absolute path of at most `max` bytes. */
static bool set_path_max(struct om_conf_input *in, void *field, size_t max)
{
	if (!in->text[0])
		return in->row->min == 0 && om_conf_text_replace(in, field, "");
	OM_AUTO_FREE char *path = om_conf_path_join(in->base_dir, in->text);
	if (!path) {
		in->oom = true;
		return false;
	}
	if (strlen(path) > max) {
		(void)snprintf(in->expect, sizeof(in->expect), "a path of at most %zu bytes (from / on it has %zu)", max,
			       strlen(path));
		return false;
	}
	/* A base directory comes from the system and need not be UTF-8; then it could not be printed and read again. */
	if (!om_uri_valid(path, strlen(path)) || om_conf_text_has_control(path)) {
		(void)snprintf(in->expect, sizeof(in->expect), "a path in UTF-8 without control characters, from / on");
		return false;
	}
	return om_conf_text_replace(in, field, path);
}

static bool set_path(struct om_conf_input *in, void *field) { return set_path_max(in, field, (size_t)in->row->max); }

static bool set_socket(struct om_conf_input *in, void *field)
{
	static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == 108, "the table and the pages say 107");
	if (in->text[0] == '@') {
		(void)snprintf(in->expect, sizeof(in->expect),
			       "a path: abstract sockets have no permissions and are refused");
		return false;
	}
	return set_path_max(in, field, (size_t)in->row->max);
}

static bool set_role(struct om_conf_input *in, void *field)
{
	struct om_conf_role *role = field;

	if (!set_str(in, &role->name))
		return false;
	role->tier = OM_TIER_NONE; /* om_conf_check() finds it */
	return true;
}

static void print_role(const void *field, FILE *out)
{
	om_conf_text_print(((const struct om_conf_role *)field)->name, out);
}

const struct om_conf_ops om_conf_ops_STR = { set_str, print_str, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_STR), .owns_text = true };
const struct om_conf_ops om_conf_ops_PATH = { set_path, print_str, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_PATH), .owns_text = true };
const struct om_conf_ops om_conf_ops_SOCKET = { set_socket, print_str, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_SOCKET), .owns_text = true };
const struct om_conf_ops om_conf_ops_ROLE = { set_role, print_role, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_ROLE), .owns_text = true,
	.text_offset = offsetof(struct om_conf_role, name) };
