/*
 * lcy_main.c: objmapper-lifecycle: takes BOOT, narrows itself, then waits for orders: files to remove, tiers to scan, logs of
 * accesses to turn into heat; and every interval it looks at all objects and moves some (lcy_plan.c, lcy_act.c).
 *
 * Whatever happens to it, nothing is lost: the supervisor keeps every order until it is answered and gives it to the next one.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "common/om_counter.h"
#include "common/om_oom.h"
#include "common/om_fault.h"
#include "common/om_fdpass.h"
#include "common/om_runq.h"
#include "lifecycle/lcy_task.h"

#define LCY_SAVE_LAST_MS 200u /* of the time that a stop has */

static struct lcy lcy; /* one to a process: too large for the stack */

/* ---- talking to the supervisor ---- */

static void log_up(enum om_msg id, enum om_log_prio prio, const char *text, void *arg)
{
	struct lcy *l = arg;
	struct om_proc_log m;

	om_proc_log_pack(&m, id, text, om_log_fields());
	if (om_fdpass_send(l->ctl_fd, &m, sizeof(m), NULL, 0) < 0)
		om_log_stderr(id, prio, text, NULL); /* the socket is full or the supervisor gone */
}

/* @param wake  else the supervisor need not see it before the next kick, unless the ring is full */
static int put(struct lcy *l, const struct iovec *iov, int n, bool wake)
{
	for (;;) {
		pthread_mutex_lock(&l->ring_lock);
		int err = om_ring_put(&l->ring, iov, n);
		if (wake || err < 0)
			om_ring_kick(&l->ring);
		pthread_mutex_unlock(&l->ring_lock);
		if (err != -OBJM_STATUS_WOULD_BLOCK)
			return err;
		struct timespec ts = { .tv_nsec = 1000000 };
		(void)nanosleep(&ts, NULL);
	}
}

int lcy_send(struct lcy *l, const struct iovec *iov, int n) { return put(l, iov, n, true); }

static int send_up(void *arg, const struct iovec *iov, int n) { return put(arg, iov, n, false); }

static void kick_up(void *arg)
{
	struct lcy *l = arg;

	pthread_mutex_lock(&l->ring_lock);
	om_ring_kick(&l->ring);
	pthread_mutex_unlock(&l->ring_lock);
}

static void wake_up(void *arg) { (void)eventfd_write(((struct lcy *)arg)->ring.kick_self, 1); }

static int tell(struct lcy *l, uint16_t type, uint32_t seq)
{
	struct om_proc_index m = { .hdr = { .magic = OM_PROC_MAGIC, .len = sizeof(m), .type = type, .layout = OM_PROC_LAYOUT },
				   .seq = seq };

	if (type == OM_PROC_READY)
		m.hdr.len = sizeof(m.hdr);
	return om_fdpass_send(l->ctl_fd, &m, m.hdr.len, NULL, 0);
}

/* ---- BOOT ---- */

static int take_rings(struct lcy *l, int *fds)
{
	struct om_seg own, peer;
	int err = om_seg_attach(fds[OM_BOOT_RING_OWN], sizeof(struct om_ring_hdr), true, &own);

	if (err < 0)
		return err;
	fds[OM_BOOT_RING_OWN] = -1;
	err = om_seg_attach(fds[OM_BOOT_RING_PEER], sizeof(struct om_ring_hdr), false, &peer);
	if (err < 0) {
		om_seg_close(&own);
		return err;
	}
	fds[OM_BOOT_RING_PEER] = -1;
	err = om_ring_init(&l->ring, own, peer, om_take_fd(&fds[OM_BOOT_KICK_PEER]), om_take_fd(&fds[OM_BOOT_KICK_SELF]));
	return err;
}

/* Without a directory of its own it is given the generations, which are of no use here. */
static void keep_dir(struct lcy *l, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
		om_close(&fd);
	lcy_save_init(l, fd, l->boot.generation == 1);
}

static int take_segments(struct lcy *l, int *fds)
{
	static struct om_seg counters; /* kept for ever */
	int err = take_rings(l, fds);

	if (err == 0)
		err = om_seg_attach(fds[OM_BOOT_COUNTERS], 1, true, &counters);
	if (err == 0) {
		fds[OM_BOOT_COUNTERS] = -1;
		err = om_counter_use(&counters);
	}
	if (err == 0)
		err = lcy_heat_index(l, fds[OM_BOOT_INDEX], fds[OM_BOOT_OWN_SEG]);
	if (err == 0)
		fds[OM_BOOT_INDEX] = fds[OM_BOOT_OWN_SEG] = -1;
	keep_dir(l, om_take_fd(&fds[OM_BOOT_GENS]));
	om_close(&fds[OM_BOOT_RULES]);
	l->run_lock_fd = om_take_fd(&fds[OM_BOOT_RUN_LOCK]);
	return err;
}

static int take_tiers(struct lcy *l, const int *fds, unsigned nfds, int (*dirs)[2], unsigned *ret_n)
{
	unsigned at = 0;

	*ret_n = 0;
	for (unsigned i = 0; i < l->boot.n_tiers; i++) {
		const struct om_boot_tier *row = &l->boot.tiers[i];
		if (row->state == OM_TIERS_ABSENT)
			continue;
		if (row->tier >= OM_TIERS_MAX || nfds - at < 2)
			return -OBJM_STATUS_CORRUPT;
		struct lcy_tier *t = &l->tiers[row->tier];
		dirs[*ret_n][0] = fds[at];
		dirs[*ret_n][1] = fds[at + 1];
		at += 2;
		int err = be_dir_init(&t->be, dirs[*ret_n][0], dirs[*ret_n][1], row->caps, 0);
		if (err == 0)
			err = be_dir_init(&t->scan, dirs[*ret_n][0], dirs[*ret_n][1], row->caps, 1);
		if (err == 0)
			err = be_dir_init(&t->attr, dirs[*ret_n][0], dirs[*ret_n][1], row->caps, 2);
		if (err == 0)
			err = be_dir_init(&t->scrub, dirs[*ret_n][0], dirs[*ret_n][1], row->caps, 3);
		if (err == 0)
			err = lcy_moves_tier(&l->moves, row->tier, dirs[*ret_n][0], dirs[*ret_n][1], row->caps, row->type == OM_TIER_MEMORY);
		if (err < 0)
			return err;
		t->on = true;
		++*ret_n;
	}
	return at == nfds ? 0 : -OBJM_STATUS_CORRUPT;
}

static void set_clock(struct lcy *l)
{
	l->now_ns = om_coarse_ns();
	l->now_s = om_wall_ns() / 1000000000u;
}

static int boot(struct lcy *l)
{
	int fds[OM_FDPASS_MAX], dirs[OM_TIERS_MAX][2];
	unsigned nfds, n_dirs = 0;
	size_t len;

	set_clock(l);
	(void)fcntl(l->ctl_fd, F_SETFL, 0); /* BOOT is waited for */
	int err = om_fdpass_recv(l->ctl_fd, &l->boot, sizeof(l->boot), &len, fds, OM_FDPASS_MAX, &nfds);
	if (err < 0)
		return err;
	const struct om_proc_boot *b = &l->boot;
	if (len != sizeof(*b) || b->hdr.magic != OM_PROC_MAGIC || b->hdr.layout != OM_PROC_LAYOUT || b->hdr.type != OM_PROC_BOOT ||
	    b->role != OM_ROLE_LIFECYCLE || b->n_listen != 0 || b->n_tiers > OM_TIERS_MAX || nfds < OM_BOOT_FD_COUNT)
		return -OBJM_STATUS_CORRUPT;
	(void)fcntl(l->ctl_fd, F_SETFL, O_NONBLOCK);
	om_log_sink(log_up, l);
	om_log_level((enum om_log_prio)b->log_level);
	err = take_segments(l, fds);
	if (err == 0)
		err = take_tiers(l, fds + OM_BOOT_FD_COUNT, nfds - OM_BOOT_FD_COUNT, dirs, &n_dirs);
	if (err < 0)
		return err;
	l->moves.yield.tasks_fd = om_runq_dir();
	lcy_sandbox(l, (const int (*)[2])dirs, n_dirs);
	/* The first of a run: what has a name from before it belongs to nobody. Workers start beside us, hence the margin. */
	uint64_t before_s = l->boot.generation == 1 ? om_wall_ns() / 1000000000u - LCY_START_MARGIN_S : 0;
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		if (l->tiers[i].on)
			(void)be_dir_sweep_staging(&l->tiers[i].be, before_s);
	lcy_drain_resume(l);
	lcy_scrub_init(l);
	lcy_plan_init(l);
	lcy_conf_applied(l);
	l->seat.all = &l->moves.yield;
	lcy_yield_open(&l->seat);
	err = lcy_moves_start(&l->moves);
	if (err == 0) /* all that is kept open is: what comes later comes and goes */
		lcy_yield_opened(&l->moves.yield, 1 + (unsigned)OM_ARRAY_SIZE(l->moves.mover) + lcy_scrub_start(l));
	return err < 0 ? err : tell(l, OM_PROC_READY, 0);
}

void lcy_conf_applied(struct lcy *l)
{
	atomic_store(&l->moves.rate.per_s, l->boot.lifecycle.bandwidth);
	lcy_yield_conf(&l->moves.yield, l->boot.lifecycle.share_while_serving);
	if (l->boot.limits.decay_s > 0)
		(void)idx_heat_tune(&l->heat, l->boot.limits.decay_s, IDX_HEAT_REFERENCE); /* both are in range: the configuration saw to it */
}

/* ---- the loop ---- */

static bool take_control(struct lcy *l)
{
	union {
		struct om_proc_hdr hdr;
		struct om_proc_index index;
		struct om_proc_alog alog;
		struct om_proc_conf conf;
		unsigned char bytes[8192];
	} m;
	int fds[4];
	unsigned nfds;
	size_t len;

	for (;;) {
		int err = om_fdpass_recv(l->ctl_fd, m.bytes, sizeof(m.bytes), &len, fds, OM_ARRAY_SIZE(fds), &nfds);
		if (err == -OBJM_STATUS_WOULD_BLOCK)
			return true;
		if (err < 0)
			return false; /* the supervisor is gone */
		if (len < sizeof(m.hdr) || m.hdr.len != len || m.hdr.magic != OM_PROC_MAGIC)
			return false;
		if (m.hdr.type == OM_PROC_DRAIN) {
			l->draining = true;
		} else if (m.hdr.type == OM_PROC_INDEX && len == sizeof(m.index) && nfds == 2) {
			(void)om_fault(OM_FAULT_SEGMENT_ACK);
			if (lcy_heat_index(l, fds[0], fds[1]) < 0 || tell(l, OM_PROC_INDEX_ACK, m.index.seq) < 0)
				return false;
			nfds = 0;
		} else if (m.hdr.type == OM_PROC_ALOG && len == sizeof(m.alog) && nfds == 1) {
			if (lcy_heat_alog(l, m.alog.child, fds[0]) == 0)
				nfds = 0;
		} else if (m.hdr.type == OM_PROC_CONF && len == sizeof(m.conf) && m.conf.live.n_tiers <= OM_TIERS_MAX) {
			l->boot.live = m.conf.live; /* thresholds are read where they are used */
			om_log_level((enum om_log_prio)l->boot.log_level);
			lcy_conf_applied(l);
			if (tell(l, OM_PROC_CONF_ACK, m.conf.seq) < 0)
				return false;
		} else if (m.hdr.type == OM_PROC_ALOG_GONE && len == sizeof(m.alog)) {
			lcy_heat_alog_gone(l, m.alog.child);
		}
		while (nfds)
			om_close(&fds[--nfds]);
	}
}

static void wait_for_work(struct lcy *l)
{
	struct pollfd p[2] = { { .fd = l->ctl_fd, .events = POLLIN }, { .fd = l->ring.kick_self, .events = POLLIN } };

	/* while all objects are looked at: a slice, then a moment for others, if there are any */
	bool alone = lcy_yield_watch(&l->moves.yield);
	int ms = l->copying ? 0 : l->plan.scanning ? !alone : (int)l->heat_ms;
	if ((l->moves.n_jobs || l->scrub.busy) && alone)
		ms = OM_MIN(ms, (int)LCY_YIELD_LOOK_MS);
	if (l->reaps.n)
		ms = OM_MIN(ms, (int)LCY_REAP_WAIT_MS);
	if (om_ring_sleep(&l->ring))
		(void)poll(p, 2, ms);
	om_ring_awake(&l->ring);
}

static int loop(struct lcy *l)
{
	while (!l->draining) {
		set_clock(l);
		if (!take_control(l))
			return 0; /* the end of the control socket is how a supervisor's end is told */
		if (!lcy_order_turn(l))
			return 1;
		if (l->draining)
			break; /* a restart waits for us */
		lcy_files_sweep(l, l->now_ns);
		lcy_scan_turn(l);
		lcy_heat_turn(l, l->now_ns);
		lcy_save_turn(l);
		lcy_act_yield(l);
		lcy_turn(l);
		lcy_task_turn(l);
		om_count(OM_C_LOOP_TURNS, 1);
		wait_for_work(l);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct lcy *l = &lcy;

	if (argc == 2 && !strcmp(argv[1], "--version")) { /* objmapperd --preflight asks whether they belong together */
		(void)puts("objmapper-lifecycle " OM_VERSION);
		return 0;
	}
	om_log_ident("objmapper-lifecycle");
	om_oom_rather(200);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGIO, SIG_IGN); /* a lease break would end us otherwise */
	(void)signal(SIGINT, SIG_IGN); /* a Ctrl-C at the supervisor's terminal: it decides when we end */
	(void)prctl(PR_SET_NAME, "objmapper-lcy");
	l->ctl_fd = OM_PROC_FD;
	l->run_lock_fd = -1;
	l->scans_end = &l->scans;
	l->send = lcy_send;
	l->save.dirfd = -1;
	lcy_moves_init(&l->moves, &(struct lcy_moves_conf){ .send = send_up, .kick = kick_up, .begun = lcy_act_begun, .wake = wake_up, .ended = lcy_turn_ended, .arg = l });
	l->heat_ms = LCY_HEAT_MS;
	pthread_mutex_init(&l->ring_lock, NULL);
	if (fcntl(OM_PROC_FD, F_GETFD) < 0) {
		(void)fprintf(stderr, "objmapper-lifecycle is started by objmapperd, not by hand\n");
		return 2;
	}
	(void)fcntl(OM_PROC_FD, F_SETFD, FD_CLOEXEC);
	if (om_fault_init() < 0)
		om_log(OM_MSG_NOTE, "lifecycle: OBJM_FAULT names no fault point, ignored");
	int err = boot(l);
	if (err < 0) {
		om_log(OM_MSG_FATAL, "lifecycle: cannot start: %s (%m)", om_status_text(err));
		return 1;
	}
	int status = loop(l);
	if (l->draining) {
		lcy_scrub_last(l);
		lcy_save_last(l, LCY_SAVE_LAST_MS);
	}
	_exit(status); /* a scan thread may be in the middle of a file: nothing to wait for */
}
