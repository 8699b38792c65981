/*
 * cmd_session.c: how `objm` reaches the daemon.
 */
#include "client/cmd/cmd.h"

objm_t *cmd_connect(const struct cmd_opts *opts)
{
	struct objm_options o = OBJM_OPTIONS_INIT;
	objm_t *s;
	int r;

	if (cmd_is_tcp(opts)) {
		cmd_note(NULL, "over TCP objects are only got: get, cat and exec; everything else needs the daemon's Unix socket");
		return NULL;
	}
	r = objm_open(opts->socket, &o, &s);
	if (r == 0)
		return s;
	cmd_note(NULL, "%s%s", objm_error(NULL),
		 r == -OBJM_STATUS_UNAVAILABLE	       ? "; start it with \"systemctl start objmapper\" or \"./tools/run\", or name its "
							 "socket with -s or $OBJM_SOCKET"
		 : r == -OBJM_STATUS_PERMISSION_DENIED ? "; the socket's owner, group and mode say who may (listen.mode, listen.group)"
						       : "");
	return NULL;
}

struct objm_put_options cmd_put_options(const struct cmd_opts *opts)
{
	struct objm_put_options o = OBJM_PUT_OPTIONS_INIT;

	o.flags = opts->flags;
	o.ttl_s = opts->ttl_s;
	o.type = opts->type;
	o.meta = opts->meta;
	o.meta_count = opts->meta_count;
	if (opts->no_clobber)
		o.cond.kind = OBJM_COND_ABSENT;
	return o;
}
