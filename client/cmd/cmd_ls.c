/*
 * cmd_ls.c: objm ls: URIs, one a line, or what is known of each.
 *
 * A listing names tiers by number. Their names are asked for once a tier, with a stat of the first object that shows it.
 */
#include "client/cmd/cmd.h"
#include "client/cmd/cmd_json.h"
#include "common/om_obj.h"
#include "common/om_text.h"

struct ls {
	objm_t *s;
	const struct cmd_opts *opts;
	bool terminal;
	char tier[OM_TIERS_MAX][OBJM_TIER_NAME_MAX];
};

static void learn_tiers(struct ls *ls, const struct objm_entry *e)
{
	struct objm_stat *st;

	if ((e->info.tier < OM_TIERS_MAX && !ls->tier[e->info.tier][0]) || (e->info.home < OM_TIERS_MAX && !ls->tier[e->info.home][0])) {
		if (objm_stat(ls->s, e->uri, &st) < 0)
			return; /* gone since; the next object will do */
		/* The object may have moved since: each name is stored under the number that came with it. */
		if (st->info.tier < OM_TIERS_MAX)
			(void)snprintf(ls->tier[st->info.tier], OBJM_TIER_NAME_MAX, "%s", st->info.tier_name);
		if (st->info.home < OM_TIERS_MAX)
			(void)snprintf(ls->tier[st->info.home], OBJM_TIER_NAME_MAX, "%s", st->info.home_name);
		objm_stat_free(st);
	}
}

static const char *tier_name(const struct ls *ls, uint8_t tier)
{
	return tier < OM_TIERS_MAX ? ls->tier[tier] : "";
}

static int print_json(struct ls *ls, const struct objm_entry *e)
{
	json_t *o = cmd_json_info(e->uri, &e->info);

	if (o && (json_object_set_new(o, "tier", json_string(tier_name(ls, e->info.tier))) < 0 ||
		  json_object_set_new(o, "home", json_string(tier_name(ls, e->info.home))) < 0 ||
		  json_object_set_new(o, "type", cmd_json_text(e->type, strlen(e->type))) < 0)) {
		json_decref(o);
		o = NULL;
	}
	return cmd_json_print(o);
}

static void print_long(struct ls *ls, const struct objm_entry *e)
{
	char when[OM_TEXT_SHORT], size[OM_TEXT_SHORT];

	om_text_time(e->info.mtime_ns / 1000000000u, when);
	if (ls->terminal)
		om_text_size(e->info.size, size);
	else
		(void)snprintf(size, sizeof(size), "%llu", (unsigned long long)e->info.size);
	printf("%c%c%c %10s %s %-10s ", e->info.flags & OBJM_EPHEMERAL ? 'e' : '-', e->info.flags & OBJM_PINNED ? 'p' : '-',
	       e->info.flags & OBJM_EVICTABLE ? 'v' : '-', size, when, tier_name(ls, e->info.tier));
}

static int print_entry(struct ls *ls, const struct objm_entry *e)
{
	if (ls->opts->json || ls->opts->long_form)
		learn_tiers(ls, e);
	if (ls->opts->json)
		return print_json(ls, e);
	if (ls->opts->long_form)
		print_long(ls, e);
	cmd_put_uri(stdout, ls->terminal && !ls->opts->zero, e->uri);
	putchar(ls->opts->zero ? '\0' : '\n');
	return ferror(stdout) ? CMD_FAILED : CMD_OK; /* cmd_flush() says why */
}

int cmd_ls(struct cmd_ctx *ctx)
{
	const char *prefix = ctx->argc > 0 ? ctx->argv[0] : "";
	struct objm_list_options o = OBJM_LIST_OPTIONS_INIT;
	struct ls ls = {.opts = &ctx->opts, .terminal = isatty(STDOUT_FILENO) == 1};
	const struct objm_entry *e;
	objm_list_t *list;
	int r, result = CMD_OK, flushed;

	if (ctx->opts.json && (ctx->opts.zero || ctx->opts.long_form))
		return cmd_usage("ls", "--json goes with neither --long nor -0: it has everything already");
	ls.s = cmd_connect(&ctx->opts);
	if (!ls.s)
		return CMD_FAILED;
	o.prefix = prefix;
	o.flags = ctx->opts.json ? OBJM_WANT_META : 0;
	r = objm_list_open(ls.s, &o, &list);
	if (r < 0) {
		result = cmd_fail_lib(ls.s, "ls", prefix, r);
	} else {
		while (result == CMD_OK && (r = objm_list_next(list, &e)) > 0)
			result = print_entry(&ls, e);
		if (r < 0)
			result = cmd_fail_lib(ls.s, "ls", prefix, r);
		objm_list_close(list);
	}
	objm_close(ls.s);
	flushed = cmd_flush();
	return result ? result : flushed;
}
