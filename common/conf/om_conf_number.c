/*
 * om_conf_number.c: numbers, shares, sizes, times, permissions.
 *
 * Runs wherever a configuration is read or printed. No state. Called by om_conf_value.c through the om_conf_ops at the
 * end. Numbers are read with strtod: LC_NUMERIC must be "C", as it is in a program that never calls setlocale.
 */
#include "common/conf/om_conf_value.h"

#include <inttypes.h>
#include <math.h>

#define LIST(a) a, OM_ARRAY_SIZE(a)

struct suffix {
	const char *text;
	double factor;
};

static const struct suffix no_suffix[] = { { "", 1 } };
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
static bool scan_bytes(struct om_conf_input *in, const struct suffix *sfx, size_t n, uint64_t *ret)
{
	double v;

	if (!scan_scaled(in->text, sfx, n, &v) || floor(v) < in->row->min || v > in->row->max)
		return false;
	*ret = (uint64_t)floor(v);
	return true;
}

static bool scan_whole(struct om_conf_input *in, const struct suffix *sfx, size_t n, double *ret)
{
	double v;

	if (!scan_scaled(in->text, sfx, n, &v) || v != floor(v) || v < in->row->min || v > in->row->max)
		return false;
	*ret = v;
	return true;
}

static bool set_u32(struct om_conf_input *in, void *field)
{
	double v;

	if (in->text[strspn(in->text, "0123456789")] || !scan_whole(in, LIST(no_suffix), &v))
		return false;
	*(uint32_t *)field = (uint32_t)v;
	return true;
}

static bool set_auto_u32(struct om_conf_input *in, void *field)
{
	if (strcmp(in->text, "auto") != 0)
		return set_u32(in, field);
	*(uint32_t *)field = 0;
	return true;
}

static bool set_ratio(struct om_conf_input *in, void *field)
{
	double v;

	if (!scan_scaled(in->text, LIST(ratio_suffixes), &v) || v < in->row->min || v > in->row->max)
		return false;
	*(double *)field = v;
	return true;
}

static bool set_factor(struct om_conf_input *in, void *field)
{
	double v;

	if (strcmp(in->text, "auto") == 0)
		v = 0;
	else if (!scan_scaled(in->text, LIST(no_suffix), &v) || v < in->row->min || v > in->row->max)
		return false;
	*(double *)field = v;
	return true;
}

static bool set_size(struct om_conf_input *in, void *field) { return scan_bytes(in, LIST(size_suffixes), field); }

static bool set_capacity(struct om_conf_input *in, void *field)
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
		if (!scan_bytes(in, LIST(size_suffixes), &cap.bytes))
			return false;
	}
	*(struct om_conf_capacity *)field = cap;
	return true;
}

static bool set_capacity_gb(struct om_conf_input *in, void *field)
{
	struct om_conf_capacity cap = { 0 };

	if (!scan_bytes(in, LIST(gib_suffixes), &cap.bytes))
		return false;
	*(struct om_conf_capacity *)field = cap;
	return true;
}

static bool set_ms(struct om_conf_input *in, void *field)
{
	double v;

	if (!scan_whole(in, LIST(ms_suffixes), &v))
		return false;
	*(uint32_t *)field = (uint32_t)v;
	return true;
}

static bool set_secs(struct om_conf_input *in, void *field)
{
	double v;

	if (!scan_whole(in, LIST(secs_suffixes), &v))
		return false;
	*(uint32_t *)field = (uint32_t)v;
	return true;
}

static bool set_mode(struct om_conf_input *in, void *field)
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

/* In the largest unit that leaves a whole number. */
static void print_time(uint32_t v, const struct suffix *sfx, size_t n, FILE *out)
{
	size_t best = 1; /* 0 is the unit that is not written */

	for (size_t i = 1; i < n; i++)
		if (v > 0 && v % (uint32_t)sfx[i].factor == 0)
			best = i;
	(void)fprintf(out, "%" PRIu32 "%s", v / (uint32_t)sfx[best].factor, sfx[best].text);
}
static void print_ms(const void *field, FILE *out) { print_time(*(const uint32_t *)field, LIST(ms_suffixes), out); }
static void print_secs(const void *field, FILE *out) { print_time(*(const uint32_t *)field, LIST(secs_suffixes), out); }

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

bool om_conf_number_is(enum om_conf_type type)
{
	return type == OM_CONF_T_U32 || type == OM_CONF_T_AUTO_U32 || type == OM_CONF_T_RATIO ||
	       type == OM_CONF_T_FACTOR || type == OM_CONF_T_SIZE || type == OM_CONF_T_CAPACITY ||
	       type == OM_CONF_T_CAPACITY_GB || type == OM_CONF_T_MS || type == OM_CONF_T_SECS;
}

void om_conf_number_print_bound(enum om_conf_type type, double v, FILE *out)
{
	uint32_t u32 = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;

	if (type == OM_CONF_T_SIZE || type == OM_CONF_T_CAPACITY)
		print_bytes((uint64_t)v, out);
	else if (type == OM_CONF_T_RATIO || type == OM_CONF_T_FACTOR)
		print_ratio(&v, out);
	else if (type == OM_CONF_T_CAPACITY_GB)
		(void)fprintf(out, "%g", v / 0x1p30);
	else if (type == OM_CONF_T_MS)
		print_ms(&u32, out);
	else if (type == OM_CONF_T_SECS)
		print_secs(&u32, out);
	else
		print_u32(&u32, out);
}

const struct om_conf_ops om_conf_ops_U32 = { set_u32, print_u32, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_U32) };
const struct om_conf_ops om_conf_ops_AUTO_U32 = { set_auto_u32, print_auto_u32, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_AUTO_U32) };
const struct om_conf_ops om_conf_ops_RATIO = { set_ratio, print_ratio, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_RATIO) };
const struct om_conf_ops om_conf_ops_FACTOR = { set_factor, print_factor, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_FACTOR) };
const struct om_conf_ops om_conf_ops_SIZE = { set_size, print_size, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_SIZE) };
const struct om_conf_ops om_conf_ops_CAPACITY = { set_capacity, print_capacity, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_CAPACITY) };
const struct om_conf_ops om_conf_ops_CAPACITY_GB = { set_capacity_gb, print_capacity, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_CAPACITY_GB) };
const struct om_conf_ops om_conf_ops_MS = { set_ms, print_ms, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_MS) };
const struct om_conf_ops om_conf_ops_SECS = { set_secs, print_secs, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_SECS) };
const struct om_conf_ops om_conf_ops_MODE = { set_mode, print_mode, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_MODE) };
