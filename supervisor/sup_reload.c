/*
 * sup_reload.c: see sup_reload.h. In the supervisor's main thread, but for load(), which runs on a thread of its own and touches
 * nothing but its job and the configuration in force, which does not change meanwhile.
 */
#include "supervisor/sup_reload.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "common/conf/om_conf_diff.h"
#include "common/om_log.h"
#include "common/om_sd.h"
#include "supervisor/sup.h"
#include "supervisor/sup_reload_apply.h"
#include "supervisor/sup_rules.h"

struct sup_reload {
	struct sup_ev ev;
	int fd; /* eventfd: the thread has ended */
	bool running, again;
	pthread_t thread;
	json_t *overrides;

	/* the job: the thread's between its start and the eventfd */
	const struct om_conf *base;
	uint32_t self_uid;
	char *key, *value; /* NULL: the file */
	struct om_conf *conf;
	struct om_conf_report rep;
	struct om_seg rules;
	int status;
	char text[512];

	sup_reload_done_fn *done;
	void *arg;
};

/* ---- the thread ---- */

static int say(struct sup_reload *r, int status, const char *fmt, ...) OM_PRINTF(3, 4);
static int say(struct sup_reload *r, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
	return status;
}

/* The first error of the report, with its line and key, and how many more there are. */
static int say_report(struct sup_reload *r, int status)
{
	const struct om_conf_msg *m = NULL;
	char more[48] = "", line[16] = "";

	for (size_t i = 0; i < r->rep.n && !m; i++)
		if (r->rep.v[i].error)
			m = &r->rep.v[i];
	if (!m)
		return say(r, status, "%s", om_status_text(status));
	if (r->rep.n_errors > 1)
		(void)snprintf(more, sizeof(more), " (and %zu more errors)", r->rep.n_errors - 1);
	if (m->line && !r->key) /* `set` parses a text of its own: its lines are nobody's */
		(void)snprintf(line, sizeof(line), "%u", m->line);
	return say(r, status, "%.200s%s%s: %s%s%.250s%s; nothing has been changed", r->key ? r->key : m->file, *line ? ":" : "", line,
		   m->key && *m->key && !(r->key && !strcmp(r->key, m->key)) ? m->key : "",
		   m->key && *m->key && !(r->key && !strcmp(r->key, m->key)) ? ": " : "", m->text, more);
}

static int load_conf(struct sup_reload *r)
{
	int err;

	if (!r->key) {
		err = om_conf_load(r->base->file, &r->conf, &r->rep);
		return err < 0 ? say_report(r, err) : 0;
	}
	err = om_conf_set(r->base, r->key, r->value, &r->conf, &r->rep);
	if (err == -OBJM_STATUS_NOT_FOUND)
		return say(r, -OBJM_STATUS_INVALID_REQUEST, "there is no key \"%.100s\"; config --effective lists them (a tier's are backends[NAME].KEY)", r->key);
	if (err == -OBJM_STATUS_UNSUPPORTED_OP)
		return say(r, err, "%.100s cannot be set while the daemon runs: change it in %.200s", r->key, r->base->file);
	if (err < 0 && r->rep.n_errors == 0)
		return say(r, err, "%.100s: the value must be one line without a comment", r->key);
	return err < 0 ? say_report(r, err) : 0;
}

static bool known_tier(const struct om_conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n_backends; i++)
		if (!strcmp(conf->backends[i].name, name))
			return true;
	return false;
}

/* A directory that ProtectSystem= keeps read-only will not become writable while we run. */
static int check_new_tiers(struct sup_reload *r)
{
	char why[256];

	for (size_t i = 0; i < r->conf->n_backends; i++) {
		const struct om_conf_backend *b = &r->conf->backends[i];
		if (known_tier(r->base, b->name) || sup_reload_tier_path(b, why, sizeof(why)) == 0)
			continue;
		return say(r, -OBJM_STATUS_READ_ONLY, "tier %s: %s; nothing has been changed", b->name, why);
	}
	return 0;
}

static int load(struct sup_reload *r)
{
	int err = load_conf(r);

	if (err == 0) {
		err = om_conf_resolve_ids(r->conf, r->self_uid, &r->rep);
		if (err < 0)
			err = say_report(r, -OBJM_STATUS_INVALID_REQUEST);
	}
	if (err == 0)
		err = check_new_tiers(r);
	if (err == 0) {
		err = sup_rules_seg(r->conf, &r->rules);
		if (err < 0)
			err = say(r, err, "the access rules: %s", om_status_text(err));
	}
	return err;
}

static void *load_main(void *arg)
{
	struct sup_reload *r = arg;

	r->status = load(r);
	(void)eventfd_write(r->fd, 1);
	return NULL;
}

/* ---- the main loop ---- */

static void clear_job(struct sup_reload *r)
{
	om_conf_free(OM_TAKE_PTR(r->conf));
	om_conf_report_free(&r->rep);
	om_seg_close(&r->rules);
	free(r->key);
	free(r->value);
	r->key = r->value = NULL;
	r->text[0] = '\0';
}

static json_t *warnings(const struct om_conf_report *rep)
{
	json_t *a = json_array();
	char text[640];

	for (size_t i = 0; i < rep->n; i++) {
		const struct om_conf_msg *m = &rep->v[i];
		(void)snprintf(text, sizeof(text), "%s:%u: %s: %s", m->file, m->line, m->key, m->text);
		(void)json_array_append_new(a, sup_admin_text(text));
	}
	return a;
}

/* What was loaded is put in force. */
static int apply(struct sup *sup, struct sup_reload *r, json_t **ret)
{
	json_t *result = json_object();
	bool file = r->key == NULL;
	int err = sup_reload_apply(sup, &r->conf, &r->rules, result);

	if (err < 0) {
		json_decref(result);
		return say(r, err, "%s: nothing has been changed", om_status_text(err));
	}
	(void)json_object_set_new(result, "warnings", file ? warnings(&r->rep) : json_array());
	if (file)
		(void)json_object_clear(r->overrides);
	else
		(void)json_object_set_new(r->overrides, r->key, sup_admin_text(r->value));
	*ret = result;
	return 0;
}

static void log_result(const struct sup_reload *r, int status, const json_t *result)
{
	size_t applied = json_array_size(json_object_get(result, "applied")), later = json_array_size(json_object_get(result, "restart"));
	const json_t *one;
	size_t i;

	if (status < 0) {
		om_log(OM_MSG_RELOAD_FAILED, "%s", r->text);
		return;
	}
	om_log(OM_MSG_RELOADED, "%s: %zu keys changed%s", r->key ? r->key : "configuration", applied,
	       later ? "; others need a restart:" : "");
	json_array_foreach(json_object_get(result, "restart"), i, one)
		om_log(OM_MSG_CONFIG, "%s has changed in the file: it needs a restart", json_string_value(json_object_get(one, "key")));
}

static void on_loaded(struct sup_ev *ev, uint32_t events)
{
	struct sup *sup = ev->arg;
	struct sup_reload *r = sup->reload;
	sup_reload_done_fn *done = r->done;
	json_t *result = NULL;
	char text[sizeof(r->text)];
	eventfd_t n;

	(void)events;
	if (eventfd_read(r->fd, &n) < 0)
		return;
	(void)pthread_join(r->thread, NULL);
	int status = r->status < 0 ? r->status : sup->stopping ? say(r, -OBJM_STATUS_UNAVAILABLE, "the daemon is ending")
								: apply(sup, r, &result);
	log_result(r, status, result);
	memcpy(text, r->text, sizeof(text));
	clear_job(r);
	r->running = false;
	r->done = NULL;
	if (!sup->stopping && !om_sd_ready(status < 0 ? "the configuration could not be used: the one before stays in force" :
							"configuration read again"))
		sup->notify.unsaid = true;
	if (done)
		done(r->arg, status, text, result);
	json_decref(result);
	if (r->again && !sup->stopping) {
		r->again = false;
		sup_reload_signal(sup);
	}
}

static int begin(struct sup *sup, const char *key, const char *value, sup_reload_done_fn *done, void *arg)
{
	struct sup_reload *r = sup->reload;

	if (r->running)
		return -OBJM_STATUS_TRY_AGAIN;
	if (!key && sup->conf->file[0] == '(')
		return -OBJM_STATUS_INVALID_REQUEST;
	r->key = key ? strdup(key) : NULL;
	r->value = value ? strdup(value) : NULL;
	r->base = sup->conf;
	r->self_uid = (uint32_t)sup->user.uid;
	r->rules = OM_SEG_INIT;
	if ((key && (!r->key || !r->value)) || pthread_create(&r->thread, NULL, load_main, r) != 0) {
		clear_job(r);
		return -OBJM_STATUS_OUT_OF_MEMORY;
	}
	(void)om_sd_reloading();
	r->running = true;
	r->done = done;
	r->arg = arg;
	return 0;
}

int sup_reload_file(struct sup *sup, sup_reload_done_fn *done, void *arg) { return begin(sup, NULL, NULL, done, arg); }

int sup_reload_key(struct sup *sup, const char *key, const char *value, sup_reload_done_fn *done, void *arg)
{
	return begin(sup, key, value, done, arg);
}

void sup_reload_signal(struct sup *sup)
{
	int err = sup_reload_file(sup, NULL, NULL);

	if (err == -OBJM_STATUS_TRY_AGAIN)
		sup->reload->again = true;
	else if (err < 0)
		om_log(OM_MSG_RELOAD_FAILED, "SIGHUP: %s", err == -OBJM_STATUS_INVALID_REQUEST ?
						       "the daemon was started without a configuration file" : om_status_text(err));
}

const json_t *sup_reload_overrides(const struct sup *sup) { return sup->reload->overrides; }

int sup_reload_init(struct sup *sup)
{
	struct sup_reload *r = calloc(1, sizeof(*r));

	if (!r)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	sup->reload = r;
	r->ev.fd = -1;
	r->rules = OM_SEG_INIT;
	r->overrides = json_object();
	r->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return r->fd < 0 ? -OBJM_STATUS_SYSTEM : sup_loop_add(&sup->loop, &r->ev, r->fd, EPOLLIN, on_loaded, sup);
}

void sup_reload_fini(struct sup *sup)
{
	struct sup_reload *r = sup->reload;

	if (!r)
		return;
	sup_loop_del(&sup->loop, &r->ev);
	if (r->running) {
		sup_reload_done_fn *done = r->done;
		(void)pthread_join(r->thread, NULL);
		clear_job(r);
		if (done)
			done(r->arg, -OBJM_STATUS_UNAVAILABLE, "the daemon has ended", NULL);
	}
	om_close(&r->fd);
	json_decref(r->overrides);
	free(r);
	sup->reload = NULL;
}
