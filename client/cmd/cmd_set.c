/*
 * cmd_set.c: objm set, objm pin, objm unpin: what is told of an object changes.
 */
#include "client/cmd/cmd.h"

#define PIN_TRIES 16

int cmd_set(struct cmd_ctx *ctx)
{
	const struct cmd_opts *c = &ctx->opts;
	struct objm_set_options o = OBJM_SET_OPTIONS_INIT;
	int r, result = CMD_OK;
	objm_t *s;

	o.which = (c->type ? OBJM_SET_TYPE : 0) | (c->meta_count ? OBJM_SET_META : 0) | (c->ttl_s ? OBJM_SET_TTL : 0);
	if (!o.which)
		return cmd_usage("set", "nothing to change: give --type, --meta or --ttl (flags: objm pin)");
	o.type = c->type;
	o.meta = c->meta;
	o.meta_count = c->meta_count;
	o.ttl_s = c->ttl_s;
	s = cmd_connect(c);
	if (!s)
		return CMD_FAILED;
	r = objm_set(s, ctx->argv[0], &o, NULL);
	if (r < 0)
		result = cmd_fail_lib(s, "set", ctx->argv[0], r);
	objm_close(s);
	return result;
}

/* The other flags stay: so what stands is read, and changed on the condition that it is still that. */
static int pin_one(objm_t *s, const char *uri, bool pinned)
{
	struct objm_set_options o = OBJM_SET_OPTIONS_INIT;
	int r = -OBJM_STATUS_PRECONDITION_FAILED;

	for (unsigned i = 0; i < PIN_TRIES && (r == -OBJM_STATUS_PRECONDITION_FAILED || r == -OBJM_STATUS_TRY_AGAIN); i++) {
		struct objm_stat *st;

		r = objm_stat(s, uri, &st);
		if (r < 0)
			return r;
		o.which = OBJM_SET_FLAGS;
		o.flags = pinned ? st->info.flags | OBJM_PINNED : st->info.flags & ~OBJM_PINNED;
		o.cond = (struct objm_cond){OBJM_COND_VERSION, st->info.id, st->info.rev};
		if (o.flags != st->info.flags)
			r = objm_set(s, uri, &o, NULL);
		objm_stat_free(st);
	}
	return r;
}

static int pin_all(struct cmd_ctx *ctx, bool pinned)
{
	int result = CMD_OK;
	objm_t *s = cmd_connect(&ctx->opts);

	if (!s)
		return CMD_FAILED;
	for (int i = 0; i < ctx->argc; i++) {
		int r = pin_one(s, ctx->argv[i], pinned);

		if (r < 0)
			result = cmd_fail_lib(s, pinned ? "pin" : "unpin", ctx->argv[i], r);
	}
	objm_close(s);
	return result;
}

int cmd_pin(struct cmd_ctx *ctx) { return pin_all(ctx, true); }
int cmd_unpin(struct cmd_ctx *ctx) { return pin_all(ctx, false); }
