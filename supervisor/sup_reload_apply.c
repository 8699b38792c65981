/*
 * sup_reload_apply.c: see sup_reload_apply.h.
 */
#include "supervisor/sup_reload_apply.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include "common/conf/om_conf_diff.h"
#include "common/om_log.h"
#include "supervisor/sup.h"
#include "supervisor/sup_dir.h"
#include "supervisor/sup_roll.h"
#include "supervisor/sup_start.h"

struct diff {
	json_t *applied, *restart;
	bool access; /* who may do what has changed */
	bool sized;  /* something that a running worker has made room for at its start */
};

static void note(void *arg, const char *key, bool live, const char *was, const char *is)
{
	struct diff *d = arg;

	(void)json_array_append_new(live ? d->applied : d->restart,
				    json_pack("{s:o, s:o, s:o}", "key", sup_admin_text(key), "was", sup_admin_text(was), "is",
					      sup_admin_text(is)));
	if (!live)
		return;
	d->access |= !strncmp(key, "access.", 7);
	d->sized |= !strcmp(key, "index.max_open_fds") || !strcmp(key, "limits.put_sessions") || !strcmp(key, "limits.connections") ||
		    !strcmp(key, "thread_pool.max_workers");
}

/* As many workers as there are to be at the least; those beyond the most are drained. */
static void follow_workers(struct sup *sup)
{
	unsigned n = 0;

	sup_scale_init(&sup->scale, OM_MIN(sup->conf->thread_pool.min_workers, sup->max_workers), sup->max_workers,
		       sup->conf->thread_pool.idle_ms);
	for (unsigned i = 1; i < sup->kids.n; i++)
		n += sup_fsm_wanted(sup->kids.place[i].state);
	for (unsigned i = 1; i < sup->kids.n && n < sup->scale.min; i++)
		if (sup->kids.place[i].state == SUP_STATE_EMPTY) {
			sup_child_start(&sup->kids, i);
			n++;
		}
	for (unsigned i = sup->kids.n - 1; i > SUP_CHILD_LIFECYCLE && n > sup->scale.max; i--)
		if (sup_fsm_wanted(sup->kids.place[i].state)) {
			sup->kids.place[i].drain_ms = SUP_ROLL_DRAIN_MS;
			sup_child_drain(&sup->kids, i);
			n--;
		}
}

static void in_force(struct sup *sup, const struct diff *d)
{
	om_log_level((enum om_log_prio)sup->conf->log.level);
	sup_start_limits(sup);
	follow_workers(sup);
	sup_child_conf(&sup->kids);
	sup->bump |= d->access; /* what a client has cached it may no longer be allowed to read: once nobody goes by the old rules */
	if (d->sized)
		sup_roll(sup);
}

int sup_reload_apply(struct sup *sup, struct om_conf **conf, struct om_seg *rules, json_t *result)
{
	struct diff d = { .applied = json_array(), .restart = json_array() };
	struct om_conf *was = sup->conf;
	int err = om_conf_diff(was, *conf, note, &d);

	if (err == 0)
		err = om_conf_keep(was, *conf);
	if (err < 0) {
		json_decref(d.applied);
		json_decref(d.restart);
		return err;
	}
	sup->conf = OM_TAKE_PTR(*conf);
	sup->env.conf = sup->conf;
	om_seg_close(&sup->rules);
	sup->rules = *rules;
	*rules = OM_SEG_INIT;
	sup->env.rules_fd = sup->rules.rofd;
	sup_engine_conf(sup->engine, sup->conf);
	om_conf_free(was);
	in_force(sup, &d);
	(void)json_object_set_new(result, "applied", d.applied);
	(void)json_object_set_new(result, "restart", d.restart);
	return 0;
}

/* ---- new tiers ---- */

static bool read_only(const char *dir, char *ret_why, size_t cap)
{
	const struct sup_owner owner = { .change = false };
	struct statvfs vfs;
	int err = sup_dir_make(dir, 0700, &owner);
	bool ro = err < 0 ? errno == EROFS : statvfs(dir, &vfs) == 0 && (vfs.f_flag & ST_RDONLY) != 0;

	if (ro)
		(void)snprintf(ret_why, cap, "%.100s is read-only for the daemon (ProtectSystem=?): make a drop-in with "
			       "\"objmapperd --systemd-dropin\", then restart", dir);
	return ro;
}

int sup_reload_tier_path(const struct om_conf_backend *b, char *ret_why, size_t cap)
{
	if (read_only(b->path, ret_why, cap) || (*b->index_path && read_only(b->index_path, ret_why, cap)))
		return -OBJM_STATUS_READ_ONLY;
	return 0;
}
