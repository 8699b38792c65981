/*
 * om_conf_word.c: values that are words from a short list, one or several.
 *
 * Runs wherever a configuration is read or printed. No state but the lists. Called by om_conf_value.c through the
 * om_conf_ops at the end.
 */
#include "common/conf/om_conf_value.h"

#include <syslog.h>

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

static bool set_bool(struct om_conf_input *in, void *field)
{
	uint32_t v;

	if (!name_find(NAMES(bool_names), in->text, &v))
		return false;
	*(bool *)field = v != 0;
	return true;
}

static bool set_auto_bool(struct om_conf_input *in, void *field)
{
	if (strcmp(in->text, "auto") != 0)
		return set_bool(in, field);
	*(bool *)field = false; /* om_conf_check() decides */
	return true;
}

static void print_bool(const void *field, FILE *out) { (void)fputs(*(const bool *)field ? "true" : "false", out); }

static bool set_tier_type(struct om_conf_input *in, void *field)
{
	for (unsigned t = 0; t < OM_TIER_TYPE_COUNT; t++) {
		if (strcmp(om_tier_type_name(t), in->text) == 0) {
			*(uint8_t *)field = (uint8_t)t;
			return true;
		}
	}
	return false;
}

static bool set_durability(struct om_conf_input *in, void *field)
{
	uint32_t v;

	if (!name_find(NAMES(durability_names), in->text, &v))
		return false;
	*(uint8_t *)field = (uint8_t)v;
	return true;
}

static bool set_level(struct om_conf_input *in, void *field)
{
	uint32_t v;

	if (!name_find(NAMES(level_names), in->text, &v))
		return false;
	*(int *)field = (int)v;
	return true;
}

static bool set_tier_flags(struct om_conf_input *in, void *field)
{
	uint32_t v = 0;

	if (!name_find(NAMES(tier_flag_names), in->text, &v))
		return false;
	*(uint32_t *)field |= v;
	return true;
}

static bool set_rights(struct om_conf_input *in, void *field)
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

const struct om_conf_ops om_conf_ops_BOOL = { set_bool, print_bool, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_BOOL) };
const struct om_conf_ops om_conf_ops_AUTO_BOOL = { set_auto_bool, print_bool, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_AUTO_BOOL) };
const struct om_conf_ops om_conf_ops_TIER_TYPE = { set_tier_type, print_tier_type, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_TIER_TYPE) };
const struct om_conf_ops om_conf_ops_TIER_FLAGS = { set_tier_flags, print_tier_flags, OM_CONF_SHAPE_LIST_OR_AUTO, sizeof(om_conf_TIER_FLAGS) };
const struct om_conf_ops om_conf_ops_DURABILITY = { set_durability, print_durability, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_DURABILITY) };
const struct om_conf_ops om_conf_ops_LOG_LEVEL = { set_level, print_level, OM_CONF_SHAPE_SCALAR, sizeof(om_conf_LOG_LEVEL) };
const struct om_conf_ops om_conf_ops_RIGHTS = { set_rights, print_rights, OM_CONF_SHAPE_LIST, sizeof(om_conf_RIGHTS) };
