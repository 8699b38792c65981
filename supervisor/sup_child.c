/*
 * sup_child.c: see sup_child.h. In the supervisor's main thread.
 *
 * Every change of a place's state goes through child_event(): it asks the table (sup_fsm.c), takes the new state, carries
 * out the action. What is said over the control sockets is in sup_place.c.
 */
#include "supervisor/sup_child.h"

#include <signal.h>
#include <sys/pidfd.h>

#include "common/om_log.h"
#include "index/idx_alog.h"

#define MS 1000000u
#define CTL_TURN 32 /* control messages taken from one child in a turn */

static void child_event(struct sup_place *p, enum sup_event ev, const char *why);
static void on_ctl(struct sup_ev *ev, uint32_t events);
static void on_pid(struct sup_ev *ev, uint32_t events);

/* A child that does not take what it is told is as good as stuck. */
static void told(struct sup_place *p, const char *why)
{
	if (why)
		child_event(p, SUP_EVENT_BROKE, why);
}

/* ---- actions ---- */

static void close_engine_fds(struct sup_engine_child *ec)
{
	om_close(&ec->ring_own);
	om_close(&ec->ring_peer);
	om_close(&ec->kick_peer);
	om_close(&ec->kick_self);
	om_close(&ec->index);
	om_close(&ec->gens);
	om_close(&ec->heat);
}

static int make_segs(struct sup_place *p)
{
	int err = om_counter_create(&p->counters);

	if (err == 0 && p->role == OM_ROLE_WORKER)
		err = idx_alog_create(&p->alog);
	return err;
}

/* Start the process and register its descriptors; the place's fields are set only on success. */
static int launch(struct sup_place *p)
{
	struct sup_children *c = p->all;
	struct sup_spawned s;
	int err = sup_spawn(&c->exe[p->role], p->generation == 1, &s);

	if (err < 0)
		return err;
	p->pid = s.pid;
	p->pidfd = s.pidfd;
	p->ctl = s.ctl;
	err = sup_loop_add(c->loop, &p->pid_ev, p->pidfd, EPOLLIN, on_pid, p);
	if (err == 0)
		err = sup_loop_add(c->loop, &p->ctl_ev, p->ctl, EPOLLIN, on_ctl, p);
	if (err < 0) { /* a child that we cannot watch: end it here and now */
		(void)pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
		while (sup_spawn_reap(p->pidfd) < 0)
			(void)usleep(1000);
	}
	return err;
}

static int boot(struct sup_place *p, struct sup_engine_child *ec)
{
	struct sup_boot_child bc = {
		.role = p->role, .place = p->no, .generation = p->generation, .engine = ec,
		.counters = p->counters.fd, .own_seg = p->alog.fd,
	};
	struct om_proc_boot msg;
	int fds[OM_FDPASS_MAX];
	unsigned nfds;

	sup_boot_fill(p->all->env, &bc, &msg, fds, &nfds);
	p->index_seq = p->index_want = ec->index_seq;
	int err = om_fdpass_send(p->ctl, &msg, sizeof(msg), fds, nfds);
	explicit_bzero(msg.key_secret, sizeof(msg.key_secret));
	sup_boot_done(&msg, fds, nfds);
	/* one that has died already is reaped in a moment and says why then */
	return err == -OBJM_STATUS_GONE ? 0 : err;
}

static void act_spawn(struct sup_place *p)
{
	struct sup_children *c = p->all;
	struct sup_engine_child ec = { -1, -1, -1, -1, -1, -1, -1, 0, 0 };
	const char *step = "its rings cannot be made";
	char name[32];

	p->generation++;
	p->epoch = c->epoch;
	p->conf_want = p->conf_seq = 0;
	p->conf_due_ns = 0;
	p->drain_ms = 0;
	p->started_ns = om_now_ns();
	p->due_ns = p->started_ns + (uint64_t)SUP_CHILD_BOOT_MS * MS;
	int err = sup_engine_child_open(c->env->engine, p->no, p->role, &ec);
	p->serial = ec.serial;
	if (err == 0) {
		step = "its segments cannot be made";
		err = make_segs(p);
		if (err == 0) {
			step = "its process cannot be started";
			err = launch(p);
		}
		if (err < 0)
			sup_engine_child_close(c->env->engine, p->no);
	}
	if (err < 0)
		p->pid = 0; /* started and not watched: it has been ended and reaped */
	sup_place_name(p, name);
	if (err < 0) {
		om_log(OM_MSG_CHILD_DIED, "%s: %s: %s (%m)", name, step, om_status_text(err));
		close_engine_fds(&ec);
		child_event(p, SUP_EVENT_FAILED, NULL);
		return;
	}
	om_log(OM_MSG_CHILD_STARTED, "%s started, pid %ld", name, (long)p->pid);
	err = boot(p, &ec);
	close_engine_fds(&ec);
	if (err < 0) {
		child_event(p, SUP_EVENT_BROKE, "BOOT could not be sent");
		return;
	}
	if (p->role == OM_ROLE_WORKER) {
		told(&c->place[SUP_CHILD_LIFECYCLE], sup_place_tell_alog(&c->place[SUP_CHILD_LIFECYCLE], p, false));
		return;
	}
	for (unsigned i = 1; i < c->n; i++)
		if (c->place[i].pid)
			told(p, sup_place_tell_alog(p, &c->place[i], false));
}

static void act_serve(struct sup_place *p)
{
	p->turns = (struct sup_pulse_count){ 0 };
	p->ready_ns = om_now_ns();
	p->due_ns = 0;
	if (p->conf_want != p->conf_seq)
		p->conf_due_ns = p->ready_ns + (uint64_t)SUP_CHILD_ACK_MS * MS;
	if (p->index_want != p->index_seq) {
		p->ack_due_ns = p->ready_ns + (uint64_t)SUP_CHILD_ACK_MS * MS;
		p->ack_why = "it did not confirm a new index segment";
	}
}

static void act_drain(struct sup_place *p)
{
	uint32_t ms = p->drain_ms ? p->drain_ms : p->all->env->conf->drain_timeout_ms;

	p->due_ns = om_now_ns() + (uint64_t)ms * MS;
	told(p, sup_place_tell_drain(p, ms));
}

static void act_kill(struct sup_place *p, const char *why)
{
	char name[32];

	p->due_ns = p->ack_due_ns = p->conf_due_ns = 0;
	p->killed_why = why ? why : "it was told to end at once";
	if (why) {
		sup_place_name(p, name);
		om_log(OM_MSG_CHILD_KILLED, "%s (pid %ld) is killed: %s", name, (long)p->pid, why);
	}
	(void)pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0); /* fails only when it has ended already */
}

/* Give everything of an ended process back. */
static void release(struct sup_place *p)
{
	struct sup_children *c = p->all;

	if (p->pid) {
		for (unsigned i = 0; i < OM_C_COUNT; i++)
			if (!om_counter_table[i].gauge)
				c->ended[i] += om_counter_read(&p->counters, (enum om_counter)i);
		for (unsigned i = 0; i < OM_H_COUNT; i++)
			om_hist_read(&p->counters, (enum om_hist)i, &c->ended_hist[i]);
		for (unsigned i = 0; i < OM_TIERS_MAX; i++)
			c->ended_gets[i] += om_counter_tier(&p->counters, i);
		sup_engine_child_close(c->env->engine, p->no);
	}
	sup_loop_del(c->loop, &p->pid_ev);
	sup_loop_del(c->loop, &p->ctl_ev);
	om_close(&p->pidfd);
	om_close(&p->ctl);
	if (p->pid && p->role == OM_ROLE_WORKER)
		told(&c->place[SUP_CHILD_LIFECYCLE], sup_place_tell_alog(&c->place[SUP_CHILD_LIFECYCLE], p, true));
	om_seg_close(&p->counters);
	om_seg_close(&p->alog);
	p->pid = 0;
	p->due_ns = p->ack_due_ns = p->conf_due_ns = 0;
	p->killed_why = NULL;
}

static void act_replace(struct sup_place *p)
{
	uint64_t now = om_now_ns();

	if (p->ready_ns && now - p->ready_ns >= (uint64_t)SUP_GOOD_LIFE_MS * MS)
		p->deaths = 0;
	p->deaths++;
	p->restarts++;
	release(p);
	p->ready_ns = 0;
	p->due_ns = now + (uint64_t)sup_fsm_backoff_ms(p->deaths) * MS;
}

static void child_event(struct sup_place *p, enum sup_event ev, const char *why)
{
	enum sup_state was = p->state;
	struct sup_step step = sup_fsm_step(was, ev);
	const bool possible = false; /* for the one line in the log: this state cannot have this event */

	p->state = step.next; /* before the action, which may bring about the next event */
	switch (step.action) {
	case SUP_ACTION_SPAWN:
		act_spawn(p);
		break;
	case SUP_ACTION_SERVE:
		act_serve(p);
		break;
	case SUP_ACTION_DRAIN:
		act_drain(p);
		break;
	case SUP_ACTION_KILL:
		act_kill(p, why);
		break;
	case SUP_ACTION_REPLACE:
		act_replace(p);
		break;
	case SUP_ACTION_RETIRE:
		release(p);
		p->ready_ns = 0;
		p->deaths = 0;
		break;
	case SUP_ACTION_FORGET:
		p->due_ns = 0;
		p->deaths = 0;
		break;
	case SUP_ACTION_NONE:
		break;
	case SUP_ACTION_BUG:
	case SUP_ACTION_COUNT:
		(void)!OM_CHECK(possible);
		break;
	}
	if (was != p->state && p->all->changed)
		p->all->changed(p->all->changed_arg, p);
}

/* ---- what comes from children and from the engine ---- */

static void on_ctl(struct sup_ev *ev, uint32_t events)
{
	struct sup_place *p = ev->arg;
	const char *why = NULL;

	(void)events;
	for (int i = 0; i < CTL_TURN && ev->fd >= 0; i++)
		switch (sup_place_hear(p, &why)) {
		case SUP_HEARD_ALL:
			return;
		case SUP_HEARD_ONE:
			break;
		case SUP_HEARD_READY:
			why = p->state == SUP_STATE_READY || p->state == SUP_STATE_DRAINING ? "it said READY twice" : NULL;
			child_event(p, SUP_EVENT_READY, why);
			break;
		case SUP_HEARD_END: /* normally its end follows at once; if not, it is told what to do */
			sup_loop_del(p->all->loop, ev);
			p->ack_due_ns = om_now_ns() + (uint64_t)SUP_CHILD_ACK_MS * MS;
			p->ack_why = "it closed its control socket";
			return;
		case SUP_HEARD_WRONG:
			sup_loop_del(p->all->loop, ev); /* nothing more of it is read */
			child_event(p, SUP_EVENT_BROKE, why);
			return;
		}
}

static void on_pid(struct sup_ev *ev, uint32_t events)
{
	struct sup_place *p = ev->arg;
	int status = sup_spawn_reap(p->pidfd);
	char name[32], how[96];

	(void)events;
	if (status < 0)
		return;
	if (p->ctl_ev.fd >= 0)
		on_ctl(&p->ctl_ev, EPOLLIN); /* its last words */
	sup_place_name(p, name);
	sup_spawn_why(status, how, sizeof(how));
	if (p->state == SUP_STATE_DRAINING || p->state == SUP_STATE_ENDING)
		om_log(OM_MSG_CHILD_ENDED, "%s (pid %ld) has ended: %s", name, (long)p->pid, how);
	else
		om_log(OM_MSG_CHILD_DIED, "%s (pid %ld) died: %s%s%s", name, (long)p->pid, how,
		       p->killed_why ? ", by the supervisor, because " : status == 0 ? ", though nobody asked it to end" : "",
		       p->killed_why ? p->killed_why : "");
	child_event(p, SUP_EVENT_EXITED, NULL);
	if (p->state == SUP_STATE_BACKOFF && p->due_ns <= om_now_ns())
		child_event(p, SUP_EVENT_TIMEOUT, NULL); /* the first death: at once */
}

static void on_post(struct sup_ev *ev, uint32_t events)
{
	struct sup_children *c = ev->arg;
	struct sup_post_index ix;
	struct sup_post_kill kill;

	(void)events;
	sup_post_awake(&c->post);
	while (sup_post_take_kill(&c->post, &kill)) /* one that has ended meanwhile leaves its successor alone */
		if (kill.place < c->n && c->place[kill.place].serial == kill.serial)
			child_event(&c->place[kill.place], SUP_EVENT_BROKE, kill.why);
	if (sup_post_take_tiers(&c->post) && c->tiers_changed)
		c->tiers_changed(c->changed_arg);
	if (sup_post_take_index(&c->post, &ix)) {
		for (unsigned i = 0; i < c->n; i++)
			told(&c->place[i], sup_place_tell_index(&c->place[i], &ix));
		om_close(&ix.index_rofd);
		om_close(&ix.heatfd);
	}
}

/* ---- the table of places ---- */

void sup_child_conf(struct sup_children *c)
{
	struct om_proc_conf m = { .seq = ++c->conf_seq };
	int dirs[OM_TIERS_MAX][2];

	sup_boot_live(c->env, &m.live, dirs); /* without descriptors: what is new to a child's sandbox it cannot use */
	for (uint32_t i = 0; i < m.live.n_tiers; i++) {
		om_close(&dirs[i][0]);
		om_close(&dirs[i][1]);
	}
	for (unsigned i = 0; i < c->n; i++)
		told(&c->place[i], sup_place_tell_conf(&c->place[i], &m, c->env->rules_fd));
}

bool sup_child_conf_settled(const struct sup_children *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->place[i].pid && c->place[i].conf_want != c->place[i].conf_seq)
			return false;
	return true;
}

bool sup_child_ask_conns(struct sup_place *p, uint32_t seq)
{
	if (p->role != OM_ROLE_WORKER || p->ctl < 0 || (p->state != SUP_STATE_READY && p->state != SUP_STATE_DRAINING))
		return false;
	told(p, sup_place_tell_conns(p, seq));
	return true;
}

int sup_child_init(struct sup_children *c, struct sup_loop *loop, const struct sup_boot_env *env,
		   const struct sup_spawn_exe exe[2], unsigned max_workers)
{
	OM_ASSERT(max_workers >= 1 && max_workers < SUP_CHILDREN_MAX);
	*c = (struct sup_children){ .loop = loop, .env = env, .n = 1 + max_workers };
	c->exe[0] = exe[0];
	c->exe[1] = exe[1];
	c->place = calloc(c->n, sizeof(*c->place));
	if (!c->place)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	for (unsigned i = 0; i < c->n; i++) {
		c->place[i] = (struct sup_place){
			.all = c, .no = i, .role = i == SUP_CHILD_LIFECYCLE ? OM_ROLE_LIFECYCLE : OM_ROLE_WORKER,
			.pidfd = -1, .ctl = -1, .pid_ev = { .fd = -1 }, .ctl_ev = { .fd = -1 },
			.counters = OM_SEG_INIT, .alog = OM_SEG_INIT,
		};
	}
	int err = sup_post_init(&c->post);
	if (err == 0)
		err = sup_loop_add(loop, &c->post_ev, c->post.wakefd, EPOLLIN, on_post, c);
	return err;
}

void sup_child_fini(struct sup_children *c)
{
	for (unsigned i = 0; c->place && i < c->n; i++)
		OM_ASSERT(!c->place[i].pid);
	sup_loop_del(c->loop, &c->post_ev);
	sup_post_fini(&c->post);
	om_close(&c->exe[0].fd);
	om_close(&c->exe[1].fd);
	free(c->place);
	c->place = NULL;
}

void sup_child_start(struct sup_children *c, unsigned place)
{
	OM_ASSERT(place < c->n);
	child_event(&c->place[place], SUP_EVENT_START, NULL);
}

void sup_child_drain(struct sup_children *c, unsigned place)
{
	OM_ASSERT(place < c->n);
	child_event(&c->place[place], SUP_EVENT_DRAIN, NULL);
}

void sup_child_end_all(struct sup_children *c, bool at_once)
{
	uint64_t due = om_now_ns() + (uint64_t)c->env->conf->drain_timeout_ms * MS;

	for (unsigned i = 0; i < c->n; i++) {
		struct sup_place *p = &c->place[i];
		if (p->state == SUP_STATE_DRAINING && p->due_ns > due)
			p->due_ns = due; /* it had longer than the end has */
		child_event(p, at_once ? SUP_EVENT_STOP : SUP_EVENT_DRAIN, NULL);
	}
}

void sup_child_tick(struct sup_children *c, uint64_t now_ns)
{
	for (unsigned i = 0; i < c->n; i++) {
		struct sup_place *p = &c->place[i];
		if (p->ack_due_ns && now_ns >= p->ack_due_ns) {
			p->ack_due_ns = 0;
			child_event(p, SUP_EVENT_BROKE, p->ack_why);
		}
		if (p->conf_due_ns && now_ns >= p->conf_due_ns) {
			p->conf_due_ns = 0;
			child_event(p, SUP_EVENT_BROKE, "it did not confirm a new configuration");
		}
		if (p->due_ns && now_ns >= p->due_ns) {
			bool drain = p->state == SUP_STATE_DRAINING;
			p->due_ns = 0;
			child_event(p, SUP_EVENT_TIMEOUT, drain ? "it did not end within drain_timeout" : "it was not READY in time");
		}
	}
}

unsigned sup_child_progress(struct sup_children *c, uint64_t span_ns)
{
	unsigned silent = 0;

	for (unsigned i = 0; i < c->n; i++) {
		struct sup_place *p = &c->place[i];
		uint64_t limit_ms = p->role == OM_ROLE_LIFECYCLE ? SUP_PULSE_LCY_MS : SUP_PULSE_WORKER_MS;
		if (p->state != SUP_STATE_READY && p->state != SUP_STATE_DRAINING)
			continue; /* the others have clocks of their own */
		if (sup_pulse_count(&p->turns, om_counter_read(&p->counters, OM_C_LOOP_TURNS), span_ns) < limit_ms * MS)
			continue;
		child_event(p, SUP_EVENT_BROKE, "its loop makes no progress");
		silent += p->state == SUP_STATE_READY || p->state == SUP_STATE_DRAINING;
	}
	return silent;
}

unsigned sup_child_count(const struct sup_children *c, enum om_role role, enum sup_state state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n; i++)
		if (c->place[i].role == role && (state == SUP_STATE_COUNT ? c->place[i].pid != 0 : c->place[i].state == state))
			n++;
	return n;
}
