/*
 * om_conf_ids.c: from the names of users and groups to their numbers.
 *
 * Runs in the supervisor, at start and at a reload, before anything depends on it: the name service may block. A file of
 * its own, so that nothing else drags the name service in.
 */
#include "common/conf/om_conf_priv.h"

#include <grp.h>
#include <pwd.h>

#define OM_CONF_NSS_MAX (1u << 20) /* bytes of one entry of the name service */

/* 0; -NOT_FOUND; -OUT_OF_MEMORY; -STORAGE: the name service failed, errno says why. */
static int look_up(const char *name, bool group, uint32_t *ret_id)
{
	size_t size = 4096;
	int rc = ERANGE;

	for (; rc == ERANGE && size <= OM_CONF_NSS_MAX; size *= 4) {
		OM_AUTO_FREE char *buf = malloc(size);
		struct passwd pw, *found_pw = NULL;
		struct group gr, *found_gr = NULL;

		if (!buf)
			return -OBJM_STATUS_OUT_OF_MEMORY;
		rc = group ? getgrnam_r(name, &gr, buf, size, &found_gr) : getpwnam_r(name, &pw, buf, size, &found_pw);
		if (found_pw || found_gr) {
			*ret_id = group ? gr.gr_gid : pw.pw_uid;
			return 0;
		}
	}
	/* What the manual lists as other ways to say "no such name". */
	if (rc == 0 || rc == ENOENT || rc == ESRCH || rc == EBADF || rc == EPERM)
		return -OBJM_STATUS_NOT_FOUND;
	errno = rc;
	return -OBJM_STATUS_STORAGE;
}

static int resolve(struct om_conf_ctx *ctx, struct om_conf_id *id, bool group, uint32_t self_uid, const char *key)
{
	if (id->kind == OM_CONF_ID_SELF) {
		id->kind = OM_CONF_ID_ID;
		id->id = self_uid;
	}
	if (id->kind != OM_CONF_ID_NAME)
		return 0;
	int rc = look_up(id->name, group, &id->id);
	if (rc == -OBJM_STATUS_NOT_FOUND)
		om_conf_say_at(ctx, true, id->line, 0, key, "found `%s`, expected the name of a %s: there is none of that name", id->name,
			       group ? "group" : "user");
	else if (rc == -OBJM_STATUS_STORAGE)
		om_conf_say_at(ctx, true, id->line, 0, key, "cannot look up `%s`: %s", id->name, strerror(errno));
	else if (rc == 0)
		id->kind = OM_CONF_ID_ID;
	return rc == -OBJM_STATUS_STORAGE ? -OBJM_STATUS_NOT_FOUND : rc;
}

static int resolve_list(struct om_conf_ctx *ctx, struct om_conf_ids *ids, uint32_t self_uid, const char *path)
{
	int ret = 0;

	for (size_t i = 0; i < ids->n; i++) {
		char key[OM_CONF_KEY_MAX];
		(void)snprintf(key, sizeof(key), "%s[%zu]", path, i);
		int rc = resolve(ctx, &ids->v[i], false, self_uid, key);
		ret = rc < 0 ? rc : ret;
	}
	return ret;
}

int om_conf_resolve_ids(struct om_conf *conf, uint32_t self_uid, struct om_conf_report *rep)
{
	struct om_conf_ctx ctx = { .name = conf->file, .rep = rep, .conf = conf };
	int ret = resolve_list(&ctx, &conf->access.trusted_writers, self_uid, "access.trusted_writers");
	int rc = resolve_list(&ctx, &conf->access.legacy, self_uid, "access.legacy");

	ret = rc < 0 ? rc : ret;
	for (size_t i = 0; i < conf->access.n_rules; i++) {
		char key[OM_CONF_KEY_MAX];
		(void)snprintf(key, sizeof(key), "access.rules[%zu].user", i);
		rc = resolve(&ctx, &conf->access.rules[i].user, false, self_uid, key);
		ret = rc < 0 ? rc : ret;
		(void)snprintf(key, sizeof(key), "access.rules[%zu].group", i);
		rc = resolve(&ctx, &conf->access.rules[i].group, true, self_uid, key);
		ret = rc < 0 ? rc : ret;
	}
	return ret;
}
