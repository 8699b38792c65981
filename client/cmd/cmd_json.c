/*
 * cmd_json.c: objects as JSON, and their flags in words.
 */
#include "client/cmd/cmd_json.h"

#include "client/cmd/cmd.h"

static const struct {
	uint32_t flag;
	const char *name;
} flag_names[] = {{OBJM_EPHEMERAL, "ephemeral"}, {OBJM_PINNED, "pinned"}, {OBJM_EVICTABLE, "evictable"}};

void cmd_flags_text(uint32_t flags, char ret_text[static CMD_FLAGS_TEXT])
{
	size_t len = 0;

	for (size_t i = 0; i < OM_ARRAY_SIZE(flag_names); i++)
		if (flags & flag_names[i].flag)
			len += (size_t)snprintf(ret_text + len, CMD_FLAGS_TEXT - len, "%s%s", len ? "," : "", flag_names[i].name);
	if (len == 0)
		(void)snprintf(ret_text, CMD_FLAGS_TEXT, "-");
}

static json_t *json_flags(uint32_t flags)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < OM_ARRAY_SIZE(flag_names); i++)
		if (flags & flag_names[i].flag && json_array_append_new(list, json_string(flag_names[i].name)) < 0) {
			json_decref(list);
			list = NULL;
		}
	return list;
}

json_t *cmd_json_info(const char *uri, const struct objm_info *info)
{
	/* The library checks sizes and ids against the protocol, whose numbers fit a JSON integer here (63 bits). */
	return json_pack("{s:s, s:I, s:I, s:I, s:o, s:I, s:I}", "uri", uri, "size", (json_int_t)info->size, "version",
			 (json_int_t)info->id, "revision", (json_int_t)info->rev, "flags", json_flags(info->flags), "mtime",
			 (json_int_t)(info->mtime_ns / 1000000000u), "expiry", (json_int_t)info->expiry_s);
}

static json_t *base64(const unsigned char *data, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	OM_AUTO_FREE char *text = malloc((len + 2) / 3 * 4 + 1);
	char *out = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i += 3) {
		size_t have = OM_MIN(len - i, (size_t)3);
		uint32_t v = (uint32_t)data[i] << 16 | (have > 1 ? (uint32_t)data[i + 1] << 8 : 0) | (have > 2 ? data[i + 2] : 0u);

		*out++ = digits[v >> 18 & 63];
		*out++ = digits[v >> 12 & 63];
		*out++ = have > 1 ? digits[v >> 6 & 63] : '=';
		*out++ = have > 2 ? digits[v & 63] : '=';
	}
	*out = '\0';
	return json_pack("{s:s}", "base64", text);
}

json_t *cmd_json_text(const void *data, size_t len)
{
	json_t *text = json_stringn(data, len);

	return text ? text : base64(data, len);
}

json_t *cmd_json_meta(const struct objm_meta *meta, size_t count)
{
	json_t *map = json_object();

	for (size_t i = 0; map && i < count; i++) {
		json_t *value = cmd_json_text(meta[i].value, meta[i].value_len);

		/* A key that is no UTF-8 can not stand in JSON; its place in the list can. */
		if (json_object_set(map, meta[i].key, value) < 0) {
			OM_AUTO_FREE char *key = NULL;

			if (asprintf(&key, "entry-%zu", i) < 0 || json_object_set(map, key, value) < 0) {
				json_decref(value);
				json_decref(map);
				return NULL;
			}
		}
		json_decref(value);
	}
	return map;
}

int cmd_json_print(json_t *value)
{
	int r = value ? json_dumpf(value, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) : -1;

	json_decref(value);
	if (r < 0)
		return cmd_fail("write", "standard output", "cannot print JSON: %s", errno ? strerror(errno) : "out of memory");
	fputc('\n', stdout);
	return CMD_OK;
}
