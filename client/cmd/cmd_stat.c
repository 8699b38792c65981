/*
 * cmd_stat.c: objm stat: everything that is known of an object.
 */
#include "client/cmd/cmd.h"
#include "client/cmd/cmd_json.h"
#include "common/om_text.h"

static json_t *stat_json(const char *uri, const struct objm_stat *st)
{
	json_t *o = cmd_json_info(uri, &st->info);
	json_t *more = json_pack("{s:s, s:s, s:f, s:I, s:I, s:o, s:o}", "tier", st->info.tier_name, "home", st->info.home_name, "heat",
				 st->heat, "access_count", (json_int_t)st->access_count, "last_access",
				 (json_int_t)st->last_access_s, "type",
				 cmd_json_text(st->type, strlen(st->type)), "meta", cmd_json_meta(st->meta, st->meta_count));

	if (!o || !more || json_object_update(o, more) < 0) {
		json_decref(o);
		o = NULL;
	}
	json_decref(more);
	return o;
}

static void line(const char *name, const char *value, size_t len)
{
	OM_AUTO_FREE char *quoted = om_text_quote(value, len);

	printf("%-13s%s\n", name, quoted ? quoted : "?");
}

static void print_times(const struct objm_stat *st)
{
	char text[OM_TEXT_SHORT];

	om_text_time(st->info.mtime_ns / 1000000000u, text);
	line("stored", text, strlen(text));
	if (st->info.expiry_s) {
		om_text_time(st->info.expiry_s, text);
		line("expires", text, strlen(text));
	}
	printf("%-13s%.3f (about %u accesses", "heat", st->heat, st->access_count);
	if (st->last_access_s) {
		om_text_time(st->last_access_s, text);
		printf(", last %s", text);
	}
	puts(")");
}

static void print_stat(const char *uri, const struct objm_stat *st)
{
	char size[OM_TEXT_SHORT], flags[CMD_FLAGS_TEXT];

	om_text_size(st->info.size, size);
	cmd_flags_text(st->info.flags, flags);
	line("uri", uri, strlen(uri));
	printf("%-13s%llu bytes", "size", (unsigned long long)st->info.size);
	printf(st->info.size >= 1000 ? " (%s)\n" : "\n", size);
	printf("%-13s%llu.%u\n", "version", (unsigned long long)st->info.id, st->info.rev);
	printf("%-13s%s", "tier", st->info.tier_name);
	if (strcmp(st->info.tier_name, st->info.home_name) != 0)
		printf(" (a copy; home: %s)", st->info.home_name);
	printf("\n%-13s%s\n", "flags", flags);
	print_times(st);
	if (*st->type)
		line("type", st->type, strlen(st->type));
	for (size_t i = 0; i < st->meta_count; i++) {
		OM_AUTO_FREE char *key = om_text_quote(st->meta[i].key, strlen(st->meta[i].key));
		OM_AUTO_FREE char *value = om_text_quote(st->meta[i].value, st->meta[i].value_len);

		printf("%-13s%s=%s\n", "meta", key ? key : "?", value ? value : "?");
	}
}

int cmd_stat(struct cmd_ctx *ctx)
{
	objm_t *s = cmd_connect(&ctx->opts);
	int result = CMD_OK, r;

	if (!s)
		return CMD_FAILED;
	for (int i = 0; i < ctx->argc; i++) {
		struct objm_stat *st;

		r = objm_stat(s, ctx->argv[i], &st);
		if (r < 0) {
			result = cmd_fail_lib(s, "stat", ctx->argv[i], r);
			continue;
		}
		if (ctx->opts.json) {
			if (cmd_json_print(stat_json(ctx->argv[i], st)) != CMD_OK)
				result = CMD_FAILED;
		} else {
			if (i > 0)
				putchar('\n');
			print_stat(ctx->argv[i], st);
		}
		objm_stat_free(st);
	}
	objm_close(s);
	r = cmd_flush();
	return result ? result : r;
}
