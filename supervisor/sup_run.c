/*
 * sup_run.c: see sup_run.h. The supervisor's main thread: the engine, one loop, and the end in the reverse order of the
 * start (sup_start.c). Its events: children and their control sockets (sup_child.c), signals, the admin socket, a tick.
 */
#include "supervisor/sup_run.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "common/om_log.h"
#include "common/om_sd.h"
#include "supervisor/sup_admin_cmd.h"
#include "supervisor/sup_conns.h"
#include "supervisor/sup_drain.h"
#include "supervisor/sup_reload.h"
#include "supervisor/sup_roll.h"
#include "supervisor/sup_start.h"
#include "supervisor/sup_rules.h"

#define MS 1000000u
#define TICK_MS 50 /* heartbeat of the engine, clocks of the children */
#define GIVE_UP_MS 5000u /* from SIGKILL to every child's end: longer is a process stuck in the kernel */

/* ---- the loop ---- */

static void on_child_changed(void *arg, struct sup_place *p)
{
	struct sup *sup = arg;

	if (p->role == OM_ROLE_WORKER && !sup_fsm_alive(p->state))
		sup_scale_forget(&sup->scale, p->no);
	sup_notify_changed(sup);
}

/* Running processes know the tiers of their start: their sandboxes cannot be widened, and what they hold of a tier that went
 * keeps its filesystem busy. */
static void on_tiers_changed(void *arg)
{
	struct sup *sup = arg;

	if (sup->stopping)
		return;
	sup_child_conf(&sup->kids);
	sup_roll(sup);
}

static void stop(struct sup *sup)
{
	sup->at_once = sup->stopping; /* the second time */
	if (!sup->stopping) {
		sup_notify_stopping(sup);
		om_log(OM_MSG_STOPPING, "ending: requests under way have %u ms", sup->conf->drain_timeout_ms);
		sup->stopping = true;
		sup->give_up_ns = om_now_ns() + ((uint64_t)sup->conf->drain_timeout_ms + GIVE_UP_MS) * MS;
		sup_sock_close(&sup->socks);
		sup_admin_close(OM_TAKE_PTR(sup->admin));
	}
	sup_child_end_all(&sup->kids, sup->at_once);
}

static void on_signal(struct sup_ev *ev, uint32_t events)
{
	struct signalfd_siginfo si;

	(void)events;
	while (read(ev->fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGHUP)
			sup_reload_signal(ev->arg);
		else
			stop(ev->arg);
	}
}

static void scale(struct sup *sup)
{
	struct sup_scale_row rows[SUP_CHILDREN_MAX];
	unsigned n = 0, wanted = 0, place = 0, empty = 0;

	for (unsigned i = sup->kids.n - 1; i > SUP_CHILD_LIFECYCLE; i--) {
		const struct sup_place *p = &sup->kids.place[i];
		wanted += sup_fsm_wanted(p->state);
		if (p->state == SUP_STATE_EMPTY)
			empty = i; /* the lowest */
		if (p->state == SUP_STATE_READY)
			rows[n++] = (struct sup_scale_row){ i, om_counter_read(&p->counters, OM_C_BUSY_NS),
							    om_counter_read(&p->counters, OM_C_CONNECTIONS) };
	}
	switch (sup_scale_look(&sup->scale, om_now_ns(), rows, n, wanted, &place)) {
	case SUP_SCALE_MORE:
		if (empty)
			sup_child_start(&sup->kids, empty);
		break;
	case SUP_SCALE_LESS:
		sup_child_drain(&sup->kids, place);
		break;
	case SUP_SCALE_STAY:
		break;
	}
}

/* Every 50 ms. The heartbeat stands in this loop on purpose: a supervisor that is stuck must not be trusted by caches; they
 * miss until it is back. */
static void on_tick(struct sup_ev *ev, uint32_t events)
{
	struct sup *sup = ev->arg;
	uint64_t n, now = om_now_ns();

	(void)events;
	(void)!read(ev->fd, &n, sizeof(n)); /* how many ticks were missed does not matter */
	sup_engine_heartbeat(sup->engine);
	sup_child_tick(&sup->kids, now);
	if (sup->bump && sup_child_conf_settled(&sup->kids)) {
		sup_engine_gens_bump_all(sup->engine);
		sup->bump = false;
	}
	sup_notify_tick(sup, now);
	if (now < sup->scale_due_ns || sup->stopping)
		return;
	sup->scale_due_ns = now + (uint64_t)SUP_SCALE_PERIOD_MS * MS;
	if (!sup_roll_tick(sup)) /* meanwhile there is one worker more, on purpose */
		scale(sup);
	sup_engine_asks(sup->engine, now);
	sup_rates_tick(sup, now);
	sup_conns_tick(sup, now);
	if (sup->admin)
		sup_admin_tick(sup->admin, now);
}

static void on_asks(struct sup_ev *ev, uint32_t events)
{
	(void)events;
	sup_engine_asks(((struct sup *)ev->arg)->engine, om_now_ns());
}

static int add_events(struct sup *sup)
{
	const struct itimerspec every = { .it_interval = { .tv_nsec = TICK_MS * (long)MS }, .it_value = { .tv_nsec = TICK_MS * (long)MS } };
	struct sup_sock *admin = sup_sock_find(&sup->socks, SUP_SOCK_ADMIN);
	int err = 0;

	sup_rates_tick(sup, om_now_ns()); /* the first look, before anything is served */
	sup->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (sup->timerfd < 0 || timerfd_settime(sup->timerfd, 0, &every, NULL) < 0)
		err = -OBJM_STATUS_SYSTEM;
	if (err == 0)
		err = sup_loop_add(&sup->loop, &sup->timer_ev, sup->timerfd, EPOLLIN, on_tick, sup);
	if (err == 0)
		err = sup_loop_add(&sup->loop, &sup->signal_ev, sup->signalfd, EPOLLIN, on_signal, sup);
	if (err == 0)
		err = sup_loop_add(&sup->loop, &sup->asks_ev, sup_engine_asks_fd(sup->engine), EPOLLIN, on_asks, sup);
	if (err == 0)
		err = sup_reload_init(sup);
	if (err == 0 && admin)
		err = sup_admin_open(&sup->loop, admin->fd, sup_admin_cmd_answer, sup, &sup->admin);
	if (err < 0)
		om_log(OM_MSG_FATAL, "cannot set the event loop up: %m");
	return err;
}

static unsigned alive(const struct sup *sup)
{
	return sup_child_count(&sup->kids, OM_ROLE_WORKER, SUP_STATE_COUNT) +
	       sup_child_count(&sup->kids, OM_ROLE_LIFECYCLE, SUP_STATE_COUNT);
}

/* Serve until told to stop, then until the last child is gone. False: one is stuck in the kernel and was left. */
static bool serve(struct sup *sup)
{
	for (unsigned i = 0; i <= sup->scale.min; i++)
		sup_child_start(&sup->kids, i);
	while (!sup->stopping || alive(sup) > 0) {
		sup_loop_turn(&sup->loop, -1); /* the tick wakes it */
		if (sup->stopping && om_now_ns() >= sup->give_up_ns) {
			om_log(OM_MSG_FATAL, "%u killed processes do not end (stuck in the kernel?); the next start waits for them", alive(sup));
			return false;
		}
	}
	return true;
}

/* ---- from start to end ---- */

static int work(struct sup *sup, const struct sup_spawn_exe exe[2])
{
	struct sup_engine_cb cb;
	bool whole = false;
	int err = sup_loop_init(&sup->loop);

	if (err == 0)
		err = sup_child_init(&sup->kids, &sup->loop, &sup->env, exe, SUP_CHILDREN_MAX - 1);
	if (err < 0) {
		om_log(OM_MSG_FATAL, "cannot set the event loop up: %m");
		return SUP_EXIT_FAILED;
	}
	sup->kids.changed = on_child_changed;
	sup->kids.tiers_changed = on_tiers_changed;
	sup->kids.conns = sup_conns_take;
	sup->kids.changed_arg = sup;
	sup_scale_init(&sup->scale, OM_MIN(sup->conf->thread_pool.min_workers, sup->max_workers), sup->max_workers,
		       sup->conf->thread_pool.idle_ms);
	sup_notify_init(&sup->notify);
	(void)om_sd_notify("STATUS=opening the catalogs");
	cb = sup_post_cb(&sup->kids.post);
	err = sup_engine_open(sup->conf, sup->adopt, &cb, &sup->engine);
	if (err == 0) {
		sup->env.engine = sup->engine;
		sup_drain_load(sup);
		err = sup_engine_start(sup->engine);
		if (err == 0)
			err = add_events(sup);
		if (err == 0)
			whole = serve(sup);
	}
	sup_admin_close(OM_TAKE_PTR(sup->admin));
	if (err == 0 && !whole)
		return SUP_EXIT_FAILED; /* what a stuck child still uses is left to the end of the process */
	sup_notify_closing();
	sup_conns_tick(sup, UINT64_MAX);
	sup_reload_fini(sup);
	sup_loop_del(&sup->loop, &sup->asks_ev);
	sup_engine_close(sup->engine);
	sup_loop_del(&sup->loop, &sup->timer_ev);
	sup_loop_del(&sup->loop, &sup->signal_ev);
	sup_child_fini(&sup->kids);
	sup_loop_fini(&sup->loop);
	return err < 0 ? SUP_EXIT_FAILED : SUP_EXIT_OK;
}

/* The access rules as the children get them. */
static int make_rules(struct sup *sup)
{
	int err = sup_rules_seg(sup->conf, &sup->rules);

	if (err < 0)
		om_log(OM_MSG_FATAL, "no memory for the access rules: %s (%m)", om_status_text(err));
	sup->env.rules_fd = sup->rules.rofd;
	return err;
}

int sup_run(struct om_conf *conf, const struct sup_run_opt *opt)
{
	struct sup sup = {
		.conf = conf, .adopt = opt->adopt, .state_dirfd = -1, .heat_dirfd = -1, .run_lock = -1, .signalfd = -1, .timerfd = -1, .started_ns = om_now_ns(),
		.rules = OM_SEG_INIT, .env = { .rules_fd = -1 }, .signal_ev = { .fd = -1 }, .timer_ev = { .fd = -1 }, .asks_ev = { .fd = -1 },
	};
	struct sup_spawn_exe exe[2] = { { .fd = -1 }, { .fd = -1 } };

	om_log_level((enum om_log_prio)conf->log.level);
	int status = sup_start(&sup, opt, exe);
	if (status == SUP_EXIT_OK) {
		sup.env.conf = conf;
		sup.env.socks = &sup.socks;
		sup.env.run_lock = sup.run_lock;
		sup.env.heat_dir = sup.heat_dirfd;
		status = make_rules(&sup) < 0 ? SUP_EXIT_FAILED : work(&sup, exe);
	}
	sup_sock_fini(&sup.socks); /* before the lock: a successor binds the same paths */
	om_seg_close(&sup.rules);
	om_close(&sup.signalfd);
	om_close(&sup.timerfd);
	om_close(&sup.heat_dirfd);
	om_close(&sup.state_dirfd);
	om_close(&sup.run_lock);
	om_conf_free(sup.conf); /* a reload may have brought another one */
	return status;
}
