/*
 * om_conf_value.c: single values: from the text of a file to a field, and back.
 *
 * Runs wherever a configuration is read or printed. Main structure: `ops`, a row of functions for each type of
 * OM_CONF_TYPE_MAP. Called by om_conf.c and om_conf_print.c. A setter writes its field only when it accepts the text;
 * what it prints, it reads back to the same value. Numbers are read with strtod: LC_NUMERIC must be "C", as it is in a
 * program that never calls setlocale.
 */
#include "common/conf/om_conf_priv.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <math.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <syslog.h>

/* One text on its way into a field. */
struct input {
	const char *text; /* no control characters, no NUL */
	const struct om_conf_row *row;
	const char *base_dir;
	char expect[OM_CONF_EXPECT_MAX]; /* set by a setter that knows better than the row what it expects */
	bool oom;
};

/* ---- names ---- */

struct name {
	const char *text;
	uint32_t value;
};

static const struct name tier_flag_names[] = {
	{ "ephemeral", OM_TIERF_EPHEMERAL },	 { "persistent", OM_TIERF_PERSISTENT },
	{ "readable", OM_TIERF_READABLE },	 { "writable", OM_TIERF_WRITABLE },
	{ "migration_src", OM_TIERF_MIGRATION_SRC }, { "migration_dst", OM_TIERF_MIGRATION_DST },
};
static const struct name right_names[] = {
	{ "read", OM_RIGHT_READ },	     { "write", OM_RIGHT_WRITE }, { "delete", OM_RIGHT_DELETE },
	{ "list", OM_RIGHT_LIST },	     { "pin", OM_RIGHT_PIN },	  { "ephemeral", OM_RIGHT_EPHEMERAL },
	{ "evictable", OM_RIGHT_EVICTABLE }, { "legacy", OM_RIGHT_LEGACY },
};
static const struct name durability_names[] = {
	{ "none", OM_DUR_NONE }, { "batch", OM_DUR_BATCH }, { "sync", OM_DUR_SYNC }, { "auto", OM_DUR_NONE },
};
static const struct name level_names[] = {
	{ "error", LOG_ERR }, { "warning", LOG_WARNING }, { "notice", LOG_NOTICE }, { "info", LOG_INFO }, { "debug", LOG_DEBUG },
};
static const struct name bool_names[] = {
	{ "true", 1 }, { "false", 0 }, { "yes", 1 }, { "no", 0 }, { "on", 1 }, { "off", 0 },
};

#define NAMES(a) a, OM_ARRAY_SIZE(a)

static bool name_find(const struct name *names, size_t n, const char *text, uint32_t *ret)
{
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(names[i].text, text) == 0) {
			*ret = names[i].value;
			return true;
		}
	}
	return false;
}

static const char *name_of(const struct name *names, size_t n, uint32_t value)
{
	for (size_t i = 0; i < n; i++)
		if (names[i].value == value)
			return names[i].text;
	return "?";
}

const char *om_conf_durability_name(unsigned durability) { return name_of(NAMES(durability_names), durability); }
const char *om_conf_tier_flag_name(unsigned flag) { return name_of(NAMES(tier_flag_names), flag); }

/* ---- numbers ---- */

struct suffix {
	const char *text;
	double factor;
};

static const struct suffix size_suffixes[] = {
	{ "", 1 },	 { "B", 1 },	  { "K", 0x1p10 }, { "KiB", 0x1p10 }, { "M", 0x1p20 }, { "MiB", 0x1p20 },
	{ "G", 0x1p30 }, { "GiB", 0x1p30 }, { "T", 0x1p40 }, { "TiB", 0x1p40 }, { "P", 0x1p50 }, { "PiB", 0x1p50 },
};
static const struct suffix gib_suffixes[] = { { "", 0x1p30 } };
static const struct suffix ms_suffixes[] = {
	{ "", 1 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
};
static const struct suffix secs_suffixes[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
static const struct suffix ratio_suffixes[] = { { "", 1 }, { "%", 0.01 } };

/* A plain decimal number that begins the text: no sign, no hexadecimal, no "inf". */
static bool scan_number(const char *text, double *ret, const char **ret_end)
{
	char *end = NULL;

	if (text[0] < '0' || text[0] > '9' || text[strspn(text, "0")] == 'x' || text[strspn(text, "0")] == 'X')
		return false;
	*ret = strtod(text, &end);
	*ret_end = end;
	return isfinite(*ret) && end[-1] != '.';
}

/* A number with one of the suffixes; a space may stand between. Case does not matter. */
static bool scan_scaled(const char *text, const struct suffix *sfx, size_t n, double *ret)
{
	const char *end;
	double v;

	if (!scan_number(text, &v, &end))
		return false;
	if (end[0] == ' ' && end[1])
		end++;
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(end, sfx[i].text) == 0) {
			/* Dividing keeps 95% the same number as 0.95. */
			*ret = sfx[i].factor < 1 ? v / (1 / sfx[i].factor) : v * sfx[i].factor;
			return true;
		}
	}
	return false;
}

/* Bytes: a fraction such as 1.1T need not come out whole, nobody means the rest. */
static bool scan_bytes(struct input *in, const struct suffix *sfx, size_t n, uint64_t *ret)
{
	double v;

	if (!scan_scaled(in->text, sfx, n, &v) || floor(v) < in->row->min || v > in->row->max)
		return false;
	*ret = (uint64_t)floor(v);
	return true;
}

static bool scan_whole(struct input *in, const struct suffix *sfx, size_t n, double *ret)
{
	double v;

	if (!scan_scaled(in->text, sfx, n, &v) || v != floor(v) || v < in->row->min || v > in->row->max)
		return false;
	*ret = v;
	return true;
}

static bool set_u32(struct input *in, void *field)
{
	double v;

	if (in->text[strspn(in->text, "0123456789")] || !scan_whole(in, ratio_suffixes, 1, &v))
		return false;
	*(uint32_t *)field = (uint32_t)v;
	return true;
}

static bool set_auto_u32(struct input *in, void *field)
{
	if (strcmp(in->text, "auto") != 0)
		return set_u32(in, field);
	*(uint32_t *)field = 0;
	return true;
}

static bool set_ratio(struct input *in, void *field)
{
	double v;

	if (!scan_scaled(in->text, NAMES(ratio_suffixes), &v) || v < in->row->min || v > in->row->max)
		return false;
	*(double *)field = v;
	return true;
}

static bool set_factor(struct input *in, void *field)
{
	double v;

	if (strcmp(in->text, "auto") == 0)
		v = 0;
	else if (!scan_scaled(in->text, ratio_suffixes, 1, &v) || v < in->row->min || v > in->row->max)
		return false;
	*(double *)field = v;
	return true;
}

static bool set_bool(struct input *in, void *field)
{
	uint32_t v;

	if (!name_find(NAMES(bool_names), in->text, &v))
		return false;
	*(bool *)field = v != 0;
	return true;
}

static bool set_auto_bool(struct input *in, void *field)
{
	if (strcmp(in->text, "auto") != 0)
		return set_bool(in, field);
	*(bool *)field = false; /* om_conf_check() decides */
	return true;
}

static bool set_size(struct input *in, void *field) { return scan_bytes(in, NAMES(size_suffixes), field); }

static bool set_capacity(struct input *in, void *field)
{
	struct om_conf_capacity cap = { 0 };
	size_t len = strlen(in->text);
	double v;

	if (len > 0 && in->text[len - 1] == '%') {
		const struct suffix pct = { "%", 1 };
		if (!scan_scaled(in->text, &pct, 1, &v) || v != floor(v) || v < 1 || v > 100)
			return false;
		cap.pct = (uint32_t)v;
	} else {
		if (!scan_bytes(in, NAMES(size_suffixes), &cap.bytes))
			return false;
	}
	*(struct om_conf_capacity *)field = cap;
	return true;
}

static bool set_capacity_gb(struct input *in, void *field)
{
	struct om_conf_capacity cap = { 0 };

	if (!scan_bytes(in, NAMES(gib_suffixes), &cap.bytes))
		return false;
	*(struct om_conf_capacity *)field = cap;
	return true;
}

static bool set_ms(struct input *in, void *field)
{
	double v;

	if (!scan_whole(in, NAMES(ms_suffixes), &v))
		return false;
	*(uint32_t *)field = (uint32_t)v;
	return true;
}

static bool set_secs(struct input *in, void *field)
{
	double v;

	if (!scan_whole(in, NAMES(secs_suffixes), &v))
		return false;
	*(uint32_t *)field = (uint32_t)v;
	return true;
}

static bool set_mode(struct input *in, void *field)
{
	const char *text = in->text;
	uint32_t v = 0;

	if (text[0] == '0' && (text[1] == 'o' || text[1] == 'O'))
		text += 2;
	if (!text[0] || strlen(text) > 5 || text[strspn(text, "01234567")])
		return false;
	for (; *text; text++)
		v = v * 8 + (uint32_t)(*text - '0');
	if (v > in->row->max)
		return false;
	*(uint32_t *)field = v;
	return true;
}

static void print_u32(const void *field, FILE *out) { (void)fprintf(out, "%" PRIu32, *(const uint32_t *)field); }
static void print_mode(const void *field, FILE *out) { (void)fprintf(out, "\"%04o\"", *(const uint32_t *)field); }
static void print_bool(const void *field, FILE *out) { (void)fputs(*(const bool *)field ? "true" : "false", out); }

/* In the largest unit that leaves a whole number. */
static void print_time(uint32_t v, const struct suffix *sfx, size_t n, FILE *out)
{
	size_t best = 1; /* 0 is the unit that is not written */

	for (size_t i = 1; i < n; i++)
		if (v > 0 && v % (uint32_t)sfx[i].factor == 0)
			best = i;
	(void)fprintf(out, "%" PRIu32 "%s", v / (uint32_t)sfx[best].factor, sfx[best].text);
}
static void print_ms(const void *field, FILE *out) { print_time(*(const uint32_t *)field, NAMES(ms_suffixes), out); }
static void print_secs(const void *field, FILE *out) { print_time(*(const uint32_t *)field, NAMES(secs_suffixes), out); }

static void print_auto_u32(const void *field, FILE *out)
{
	if (*(const uint32_t *)field == 0)
		(void)fputs("auto", out);
	else
		print_u32(field, out);
}

static void print_ratio(const void *field, FILE *out)
{
	char buf[40];

	/* The shortest that reads back to the same number. */
	for (int digits = 7; digits <= 17; digits++) {
		(void)snprintf(buf, sizeof(buf), "%.*g", digits, *(const double *)field);
		if (strtod(buf, NULL) == *(const double *)field)
			break;
	}
	(void)fputs(buf, out);
}

static void print_factor(const void *field, FILE *out)
{
	if (*(const double *)field == 0)
		(void)fputs("auto", out);
	else
		print_ratio(field, out);
}

static void print_bytes(uint64_t v, FILE *out)
{
	static const char units[] = "\0KMGTP";
	unsigned u = 0;

	for (; v > 0 && v % 1024 == 0 && u < 5; u++)
		v /= 1024;
	(void)fprintf(out, "%" PRIu64, v);
	if (u > 0)
		(void)fputc(units[u], out);
}

static void print_size(const void *field, FILE *out) { print_bytes(*(const uint64_t *)field, out); }

static void print_capacity(const void *field, FILE *out)
{
	const struct om_conf_capacity *cap = field;

	if (cap->pct > 0)
		(void)fprintf(out, "%" PRIu32 "%%", cap->pct);
	else
		print_bytes(cap->bytes, out);
}

/* ---- texts ---- */

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

static bool has_control(const char *text)
{
	const unsigned char *t = (const unsigned char *)text;

	while (*t) {
		uint32_t cp = next_code_point(&t);
		if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
			return true;
	}
	return false;
}

/* Replace a text field. */
static bool replace(struct input *in, void *field, const char *text)
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

static bool set_str(struct input *in, void *field)
{
	size_t len = strlen(in->text);

	if ((double)len < in->row->min || (double)len > in->row->max)
		return false;
	return replace(in, field, in->text);
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
static bool set_path_max(struct input *in, void *field, size_t max)
{
	if (!in->text[0])
		return in->row->min == 0 && replace(in, field, "");
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
	if (!om_uri_valid(path, strlen(path)) || has_control(path)) {
		(void)snprintf(in->expect, sizeof(in->expect), "a path in UTF-8 without control characters, from / on");
		return false;
	}
	return replace(in, field, path);
}

static bool set_path(struct input *in, void *field) { return set_path_max(in, field, (size_t)in->row->max); }

static bool set_socket(struct input *in, void *field)
{
	static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == 108, "the table and the pages say 107");
	if (in->text[0] == '@') {
		(void)snprintf(in->expect, sizeof(in->expect),
			       "a path: abstract sockets have no permissions and are refused");
		return false;
	}
	return set_path_max(in, field, (size_t)in->row->max);
}

static bool set_role(struct input *in, void *field)
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

/* ---- names from short lists ---- */

static bool set_tier_type(struct input *in, void *field)
{
	for (unsigned t = 0; t < OM_TIER_TYPE_COUNT; t++) {
		if (strcmp(om_tier_type_name(t), in->text) == 0) {
			*(uint8_t *)field = (uint8_t)t;
			return true;
		}
	}
	return false;
}

static bool set_durability(struct input *in, void *field)
{
	uint32_t v;

	if (!name_find(NAMES(durability_names), in->text, &v))
		return false;
	*(uint8_t *)field = (uint8_t)v;
	return true;
}

static bool set_level(struct input *in, void *field)
{
	uint32_t v;

	if (!name_find(NAMES(level_names), in->text, &v))
		return false;
	*(int *)field = (int)v;
	return true;
}

static bool set_tier_flags(struct input *in, void *field)
{
	uint32_t v = 0;

	if (!name_find(NAMES(tier_flag_names), in->text, &v))
		return false;
	*(uint32_t *)field |= v;
	return true;
}

static bool set_rights(struct input *in, void *field)
{
	uint32_t v = 0;

	if (!name_find(NAMES(right_names), in->text, &v))
		return false;
	*(uint32_t *)field |= v;
	return true;
}

static void print_names(const struct name *names, size_t n, uint32_t bits, FILE *out)
{
	const char *sep = "[";

	for (size_t i = 0; i < n; i++) {
		if (bits & names[i].value) {
			(void)fprintf(out, "%s%s", sep, names[i].text);
			sep = ", ";
		}
	}
	(void)fputs(sep[0] == '[' ? "[]" : "]", out);
}

static void print_tier_type(const void *field, FILE *out)
{
	(void)fputs(om_tier_type_name(*(const uint8_t *)field), out);
}
static void print_durability(const void *field, FILE *out)
{
	(void)fputs(om_conf_durability_name(*(const uint8_t *)field), out);
}
static void print_level(const void *field, FILE *out)
{
	(void)fputs(name_of(NAMES(level_names), (uint32_t) * (const int *)field), out);
}
static void print_tier_flags(const void *field, FILE *out)
{
	print_names(NAMES(tier_flag_names), *(const uint32_t *)field, out);
}
static void print_rights(const void *field, FILE *out)
{
	print_names(NAMES(right_names), *(const uint32_t *)field, out);
}

/* ---- users, groups, addresses ---- */

static bool set_id(struct input *in, void *field)
{
	struct om_conf_id *id = field;
	size_t len = strlen(in->text);
	enum om_conf_id_kind kind = OM_CONF_ID_NAME;
	uint64_t v = 0;

	if (len == 0) {
		if (in->row->type == OM_CONF_T_IDS)
			return false;
		kind = OM_CONF_ID_NONE;
	} else if (strcmp(in->text, "self") == 0) {
		kind = OM_CONF_ID_SELF;
	} else if (strcmp(in->text, "*") == 0) {
		kind = OM_CONF_ID_ANY;
	} else if (!in->text[strspn(in->text, "0123456789")]) {
		v = len > 10 ? UINT64_MAX : strtoull(in->text, NULL, 10);
		kind = OM_CONF_ID_ID;
		/* (uid_t)-1 means "no change" to chown and setresuid: it is nobody's number. */
		if (v >= UINT32_MAX) {
			(void)snprintf(in->expect, sizeof(in->expect), "a name, or a number of 0 to 4294967294");
			return false;
		}
	} else if (len > 256 || in->text[0] == '-' || strpbrk(in->text, ":/, *")) {
		(void)snprintf(in->expect, sizeof(in->expect), "a name of at most 256 bytes without space or any of : / , *");
		return false;
	}
	if (!replace(in, &id->name, kind == OM_CONF_ID_NAME ? in->text : ""))
		return false;
	id->kind = kind;
	id->id = (uint32_t)v;
	return true;
}

static void print_id(const void *field, FILE *out)
{
	const struct om_conf_id *id = field;

	switch (id->kind) {
	case OM_CONF_ID_NONE:
		(void)fputs("\"\"", out);
		break;
	case OM_CONF_ID_SELF:
		(void)fputs("self", out);
		break;
	case OM_CONF_ID_ANY:
		(void)fputs("\"*\"", out);
		break;
	case OM_CONF_ID_NAME:
		om_conf_text_print(id->name, out);
		break;
	case OM_CONF_ID_ID:
		(void)fprintf(out, "%" PRIu32, id->id);
		break;
	}
}

static bool add_id(struct input *in, void *field)
{
	struct om_conf_ids *ids = field;
	struct om_conf_id id = { .name = strdup("") };
	struct om_conf_id *v = realloc(ids->v, (ids->n + 1) * sizeof(*v));

	if (v)
		ids->v = v;
	if (!v || !id.name)
		in->oom = true;
	if (in->oom || !set_id(in, &id)) {
		free(id.name);
		return false;
	}
	ids->v[ids->n++] = id;
	return true;
}

static void print_ids(const void *field, FILE *out)
{
	const struct om_conf_ids *ids = field;

	(void)fputc('[', out);
	for (size_t i = 0; i < ids->n; i++) {
		(void)fputs(i > 0 ? ", " : "", out);
		print_id(&ids->v[i], out);
	}
	(void)fputc(']', out);
}

static bool set_net(struct input *in, void *field)
{
	struct om_conf_net net = { 0 };
	char addr[INET6_ADDRSTRLEN];
	size_t len = strcspn(in->text, "/");
	const char *bits = in->text[len] == '/' ? in->text + len + 1 : NULL;

	if (!in->text[0]) {
		*(struct om_conf_net *)field = net;
		return true;
	}
	if (len >= sizeof(addr))
		return false;
	memcpy(addr, in->text, len);
	addr[len] = 0;
	net.family = strchr(addr, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(net.family, addr, net.addr) != 1)
		return false;
	unsigned max = net.family == AF_INET ? 32 : 128;
	if (bits && (!bits[0] || strlen(bits) > 3 || bits[strspn(bits, "0123456789")] || strtoul(bits, NULL, 10) > max))
		return false;
	net.prefix_len = (uint8_t)(bits ? strtoul(bits, NULL, 10) : max);
	for (unsigned i = net.prefix_len; i < max; i++) {
		if (net.addr[i / 8] & (0x80u >> i % 8)) {
			(void)snprintf(in->expect, sizeof(in->expect), "a network: the bits after the first %u must be 0",
				       net.prefix_len);
			return false;
		}
	}
	*(struct om_conf_net *)field = net;
	return true;
}

static void print_net(const void *field, FILE *out)
{
	const struct om_conf_net *net = field;
	char addr[INET6_ADDRSTRLEN] = "";

	if (net->family == 0)
		(void)fputs("\"\"", out);
	else if (inet_ntop(net->family, net->addr, addr, sizeof(addr)))
		(void)fprintf(out, "\"%s/%u\"", addr, net->prefix_len);
}

/* ADDR:PORT, [ADDR]:PORT or PORT into an address. */
static bool scan_tcp(const char *text, struct om_conf_tcp *tcp)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)&tcp->addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&tcp->addr;
	const char *colon = strrchr(text, ':');
	const char *port = colon ? colon + 1 : text;
	size_t len = colon ? (size_t)(colon - text) : 0;
	char addr[INET6_ADDRSTRLEN + 2];

	if (!port[0] || strlen(port) > 5 || port[strspn(port, "0123456789")] || len >= sizeof(addr))
		return false;
	unsigned long number = strtoul(port, NULL, 10);
	if (number < 1 || number > 65535)
		return false;
	memcpy(addr, text, len);
	addr[len] = 0;
	if (len > 1 && addr[0] == '[' && addr[len - 1] == ']') {
		addr[len - 1] = 0;
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)number);
		tcp->addr_len = sizeof(*in6);
		if (inet_pton(AF_INET6, addr + 1, &in6->sin6_addr) != 1)
			return false;
		tcp->loopback = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
		return true;
	}
	in4->sin_family = AF_INET;
	in4->sin_port = htons((uint16_t)number);
	tcp->addr_len = sizeof(*in4);
	if (inet_pton(AF_INET, colon ? addr : "127.0.0.1", &in4->sin_addr) != 1)
		return false;
	tcp->loopback = ntohl(in4->sin_addr.s_addr) >> 24 == 127;
	return true;
}

/* The one way in which an address is written; NULL: out of memory. */
static char *tcp_text(const struct om_conf_tcp *tcp)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&tcp->addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&tcp->addr;
	bool six = tcp->addr.ss_family == AF_INET6;
	char addr[INET6_ADDRSTRLEN] = "";
	char *text = NULL;

	(void)inet_ntop(tcp->addr.ss_family, six ? (const void *)&in6->sin6_addr : &in4->sin_addr, addr, sizeof(addr));
	if (asprintf(&text, six ? "[%s]:%u" : "%s:%u", addr, ntohs(six ? in6->sin6_port : in4->sin_port)) < 0)
		return NULL;
	return text;
}

static bool add_tcp(struct input *in, void *field)
{
	struct om_conf_tcps *tcps = field;
	struct om_conf_tcp tcp = { 0 };

	if (!scan_tcp(in->text, &tcp)) {
		(void)snprintf(in->expect, sizeof(in->expect),
			       "ADDRESS:PORT such as 127.0.0.1:7070 or [::1]:7070 (no names), or a port of 1 to 65535");
		return false;
	}
	tcp.text = tcp_text(&tcp);
	struct om_conf_tcp *v = realloc(tcps->v, (tcps->n + 1) * sizeof(*v));
	if (v)
		tcps->v = v;
	if (!v || !tcp.text) {
		free(tcp.text);
		in->oom = true;
		return false;
	}
	for (size_t i = 0; i < tcps->n; i++) {
		if (strcmp(tcps->v[i].text, tcp.text) == 0) {
			(void)snprintf(in->expect, sizeof(in->expect), "each address once");
			free(tcp.text);
			return false;
		}
	}
	tcps->v[tcps->n++] = tcp;
	return true;
}

static void print_tcps(const void *field, FILE *out)
{
	const struct om_conf_tcps *tcps = field;

	(void)fputc('[', out);
	for (size_t i = 0; i < tcps->n; i++)
		(void)fprintf(out, "%s\"%s\"", i > 0 ? ", " : "", tcps->v[i].text);
	(void)fputc(']', out);
}

/* ---- types ---- */

enum shape { SHAPE_SCALAR, SHAPE_LIST, SHAPE_LIST_OR_AUTO };

struct ops {
	bool (*set)(struct input *in, void *field); /* of a list: add one element */
	void (*print)(const void *field, FILE *out);
	enum shape shape;
	size_t size;
};

#define OPS(type, set, print, shape) [OM_CONF_T_##type] = { set, print, shape, sizeof(om_conf_##type) }
static const struct ops ops[OM_CONF_T_COUNT] = {
	OPS(U32, set_u32, print_u32, SHAPE_SCALAR),
	OPS(AUTO_U32, set_auto_u32, print_auto_u32, SHAPE_SCALAR),
	OPS(RATIO, set_ratio, print_ratio, SHAPE_SCALAR),
	OPS(FACTOR, set_factor, print_factor, SHAPE_SCALAR),
	OPS(BOOL, set_bool, print_bool, SHAPE_SCALAR),
	OPS(AUTO_BOOL, set_auto_bool, print_bool, SHAPE_SCALAR),
	OPS(SIZE, set_size, print_size, SHAPE_SCALAR),
	OPS(CAPACITY, set_capacity, print_capacity, SHAPE_SCALAR),
	OPS(CAPACITY_GB, set_capacity_gb, print_capacity, SHAPE_SCALAR),
	OPS(MS, set_ms, print_ms, SHAPE_SCALAR),
	OPS(SECS, set_secs, print_secs, SHAPE_SCALAR),
	OPS(MODE, set_mode, print_mode, SHAPE_SCALAR),
	OPS(STR, set_str, print_str, SHAPE_SCALAR),
	OPS(PATH, set_path, print_str, SHAPE_SCALAR),
	OPS(SOCKET, set_socket, print_str, SHAPE_SCALAR),
	OPS(ROLE, set_role, print_role, SHAPE_SCALAR),
	OPS(TIER_TYPE, set_tier_type, print_tier_type, SHAPE_SCALAR),
	OPS(TIER_FLAGS, set_tier_flags, print_tier_flags, SHAPE_LIST_OR_AUTO),
	OPS(DURABILITY, set_durability, print_durability, SHAPE_SCALAR),
	OPS(LOG_LEVEL, set_level, print_level, SHAPE_SCALAR),
	OPS(ID, set_id, print_id, SHAPE_SCALAR),
	OPS(IDS, add_id, print_ids, SHAPE_LIST),
	OPS(NET, set_net, print_net, SHAPE_SCALAR),
	OPS(TCPS, add_tcp, print_tcps, SHAPE_LIST),
	OPS(RIGHTS, set_rights, print_rights, SHAPE_LIST),
};

/* The text inside a field that owns one; NULL for other types. */
static char **owned_text(enum om_conf_type type, void *field)
{
	switch (type) {
	case OM_CONF_T_STR:
	case OM_CONF_T_PATH:
	case OM_CONF_T_SOCKET:
		return field;
	case OM_CONF_T_ROLE:
		return &((struct om_conf_role *)field)->name;
	case OM_CONF_T_ID:
		return &((struct om_conf_id *)field)->name;
	default:
		return NULL;
	}
}

bool om_conf_value_init(enum om_conf_type type, void *field)
{
	memset(field, 0, ops[type].size);
	char **text = owned_text(type, field);
	if (type == OM_CONF_T_ROLE)
		((struct om_conf_role *)field)->tier = OM_TIER_NONE;
	if (text)
		*text = strdup("");
	return !text || *text;
}

void om_conf_value_clear(enum om_conf_type type, void *field)
{
	struct om_conf_ids *ids = field;
	struct om_conf_tcps *tcps = field;
	char **text = owned_text(type, field);

	if (text)
		free(*text);
	if (type == OM_CONF_T_IDS) {
		for (size_t i = 0; i < ids->n; i++)
			free(ids->v[i].name);
		free(ids->v);
	} else if (type == OM_CONF_T_TCPS) {
		for (size_t i = 0; i < tcps->n; i++)
			free(tcps->v[i].text);
		free(tcps->v);
	}
	memset(field, 0, ops[type].size);
}

void om_conf_value_print(enum om_conf_type type, const void *field, FILE *out) { ops[type].print(field, out); }

/* The bounds of a number as they would be written: the value goes through the type's own printer. */
static void print_bound(enum om_conf_type type, double v, FILE *out)
{
	uint32_t u32 = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;

	if (type == OM_CONF_T_SIZE || type == OM_CONF_T_CAPACITY)
		print_bytes((uint64_t)v, out);
	else if (type == OM_CONF_T_RATIO || type == OM_CONF_T_FACTOR)
		print_ratio(&v, out);
	else if (type == OM_CONF_T_CAPACITY_GB)
		(void)fprintf(out, "%g", v / 0x1p30);
	else
		ops[type].print(&u32, out);
}

static bool is_number(enum om_conf_type type)
{
	return type == OM_CONF_T_U32 || type == OM_CONF_T_AUTO_U32 || type == OM_CONF_T_RATIO ||
	       type == OM_CONF_T_FACTOR || type == OM_CONF_T_SIZE || type == OM_CONF_T_CAPACITY ||
	       type == OM_CONF_T_CAPACITY_GB || type == OM_CONF_T_MS || type == OM_CONF_T_SECS;
}

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
	if (is_number(row->type)) {
		(void)fputs(", from ", out);
		print_bound(row->type, row->min, out);
		(void)fputs(" to ", out);
		print_bound(row->type, row->max, out);
	} else if (row->type == OM_CONF_T_STR && row->min == 0) {
		(void)fprintf(out, " of at most %g bytes", row->max);
	} else if (row->type == OM_CONF_T_STR) {
		(void)fprintf(out, " of %g to %g bytes", row->min, row->max);
	} else if (ops[row->type].shape == SHAPE_LIST && row->type != OM_CONF_T_RIGHTS) {
		(void)fprintf(out, ", at most %g", row->max);
	} else if (ops[row->type].shape == SHAPE_LIST_OR_AUTO) {
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
	struct input in = { .text = node->text, .row = row, .base_dir = ctx->base_dir };

	if (node->bad)
		return false;
	if (node->kind != OM_CONF_SCALAR || om_conf_node_null(node))
		return reject(ctx, row, node, "");
	if (strlen(node->text) != node->len || has_control(node->text))
		return reject(ctx, row, node, "a text without control characters");
	if (ops[row->type].set(&in, field))
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
	const struct ops *op = &ops[row->type];

	if (op->shape == SHAPE_SCALAR)
		return set_one(ctx, row, node, field);
	om_conf_value_clear(row->type, field); /* a list takes the place of the default */
	if (op->shape == SHAPE_LIST_OR_AUTO && node->kind == OM_CONF_SCALAR && !node->bad && strcmp(node->text, "auto") == 0)
		return true; /* om_conf_check() decides */
	return set_list(ctx, row, node, field);
}
