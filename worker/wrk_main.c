/*
 * wrk_main.c: objmapper-worker: start, loop, end.
 *
 * Started by the supervisor with descriptor OM_PROC_FD and nothing else; never by hand. Order of the start, which matters:
 * BOOT; segments; files that the sandbox would not let us open; Landlock, while there is one thread; the threads; seccomp;
 * READY; and only then the first accept.
 */
#include "worker/wrk.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include "common/om_counter.h"
#include "common/om_fault.h"
#include "common/om_oom.h"
#include "worker/wrk_accept.h"
#include "worker/wrk_access.h"
#include "worker/wrk_conn_set.h"
#include "worker/wrk_ctl.h"
#include "worker/wrk_dir.h"
#include "worker/wrk_fdcache.h"
#include "worker/wrk_io.h"
#include "worker/wrk_legacy.h"
#include "worker/wrk_put.h"
#include "worker/wrk_reap.h"
#include "worker/wrk_req.h"
#include "worker/wrk_sandbox.h"
#include "worker/wrk_small.h"
#include "worker/wrk_watch.h"

#define WRK_MAIN_TICK_NS 1000000000u
#define WRK_MAIN_DRAIN_NS 10000000u /* how often a drain looks whether it is done */
#define WRK_MAIN_SWEEP_MIN 256u	    /* entries of the descriptor cache looked at in a second, at least */

static struct wrk wrk_self;

static struct {
	struct wrk_timer tick, drain;
	struct wrk_src sigterm;
	struct wrk_io_job sweep;
	struct om_seg counters;
	uint64_t awake_ns;
} wrk_main;

_Noreturn static void wrk_main_fail(const char *what, int rc)
{
	om_log(OM_MSG_FATAL, "worker %u cannot start: %s: %s%s%s", wrk_self.boot.child, what, om_status_text(rc),
	       rc == -OBJM_STATUS_SYSTEM ? ": " : "", rc == -OBJM_STATUS_SYSTEM ? strerror(errno) : "");
	_exit(1);
}

/* ---------------------------------------------------------------- the loop's hooks */

static bool wrk_main_before_wait(void *arg)
{
	struct wrk *w = arg;

	uint64_t now = om_now_ns();

	wrk_req_turn(w, now);
	om_count_own(OM_C_BUSY_NS, now - wrk_main.awake_ns);
	om_count_own(OM_C_LOOP_TURNS, 1);
	idx_alogw_asked(&w->alog, atomic_load_explicit(&om_counter_self->v[OM_C_REQUESTS], memory_order_relaxed));
	return wrk_ring_before_wait(w->ring);
}

static void wrk_main_after_wait(void *arg)
{
	struct wrk *w = arg;

	wrk_main.awake_ns = w->loop.now_ns;
	wrk_ring_after_wait(w->ring);
}

static void wrk_main_sweep_run(struct wrk_io_job *job)
{
	unsigned n = wrk_fdcache_count(wrk_self.fdcache);

	(void)job;
	(void)wrk_fdcache_sweep(wrk_self.fdcache, OM_MAX(n / 8, WRK_MAIN_SWEEP_MIN));
}

static void wrk_main_sweep_done(struct wrk_io_job *job)
{
	(void)job;
	wrk_fdcache_tidy(wrk_self.fdcache);
}

static void wrk_main_tick(void *arg)
{
	struct wrk *w = arg;

	idx_alogw_flush(&w->alog);
	wrk_accept_look(w->accept);
	if (!wrk_main.sweep.busy && wrk_fdcache_count(w->fdcache) &&
	    wrk_io_submit(w->io, WRK_IO_WRITE, &wrk_main.sweep) < 0)
		wrk_main.sweep.busy = false; /* the pool is full: in a second again */
	wrk_timer_arm(&w->loop, &wrk_main.tick, w->loop.now_ns + WRK_MAIN_TICK_NS);
}

static void wrk_main_room(void *arg)
{
	wrk_conn_wake_all(((struct wrk *)arg)->conns);
}

/* ---------------------------------------------------------------- the end */

static void wrk_main_drain_look(void *arg)
{
	struct wrk *w = arg;
	bool done = wrk_conn_count(w->conns) == 0 && wrk_put_count(w->puts) == 0;

	if (done || w->loop.now_ns >= w->drain_due_ns)
		w->loop.stop = true;
	else
		wrk_timer_arm(&w->loop, &wrk_main.drain, w->loop.now_ns + WRK_MAIN_DRAIN_NS);
}

static void wrk_main_drain(struct wrk *w)
{
	if (w->draining)
		return;
	w->draining = true;
	w->drain_due_ns = om_now_ns() + (uint64_t)w->boot.limits.drain_ms * 1000000u;
	wrk_accept_stop(w->accept);
	wrk_conn_drain(w->conns);
	wrk_timer_arm(&w->loop, &wrk_main.drain, w->loop.now_ns + WRK_MAIN_DRAIN_NS);
}

static void wrk_main_sigterm(void *arg, uint32_t events)
{
	struct signalfd_siginfo si;

	(void)events;
	if (read(wrk_main.sigterm.fd, &si, sizeof(si)) == (ssize_t)sizeof(si))
		wrk_main_drain(arg);
}

/* ---------------------------------------------------------------- the start */

/* SIGTERM drains (systemd may send it to all processes at once); the terminal's signals are the supervisor's to handle. */
static int wrk_main_signals(void)
{
	static const int ignored[] = { SIGPIPE, SIGIO, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };
	sigset_t term;

	for (size_t i = 0; i < OM_ARRAY_SIZE(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)sigemptyset(&term);
	(void)sigaddset(&term, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &term, NULL);
	return signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void wrk_main_segments(struct wrk *w, struct wrk_ctl_boot *b)
{
	int *fds = b->fds;
	int rc;

	rc = om_seg_attach(fds[OM_BOOT_COUNTERS], sizeof(struct om_counter_block), true, &wrk_main.counters);
	if (rc == 0)
		rc = om_counter_use(&wrk_main.counters);
	if (rc < 0)
		wrk_main_fail("counters", rc);
	rc = idxr_attach(fds[OM_BOOT_INDEX], &w->idx);
	if (rc < 0)
		wrk_main_fail("index segment", rc);
	w->gens_fd = fds[OM_BOOT_GENS];
	rc = idx_gen_map(w->gens_fd, &w->gens);
	if (rc < 0)
		wrk_main_fail("generations", rc);
	rc = wrk_access_load(w, fds[OM_BOOT_RULES]);
	if (rc < 0)
		wrk_main_fail("access rules", rc);
	rc = idx_alogw_attach(fds[OM_BOOT_OWN_SEG], OM_MIN(OM_MAX(w->boot.limits.alog_sample, 1u), 65535u), &w->alog);
	if (rc < 0)
		wrk_main_fail("access log", rc);
}

static void wrk_main_ring(struct wrk *w, struct wrk_ctl_boot *b)
{
	struct om_seg own, peer;
	struct om_ring ring;
	int rc = om_seg_attach(b->fds[OM_BOOT_RING_OWN], sizeof(struct om_ring_hdr), true, &own);

	if (rc == 0)
		rc = om_seg_attach(b->fds[OM_BOOT_RING_PEER], sizeof(struct om_ring_hdr), false, &peer);
	if (rc == 0)
		rc = om_ring_init(&ring, own, peer, b->fds[OM_BOOT_KICK_PEER], b->fds[OM_BOOT_KICK_SELF]);
	if (rc == 0)
		rc = wrk_ring_new(&w->loop, &ring, &w->ring);
	if (rc < 0)
		wrk_main_fail("ring", rc);
	wrk_ring_on_room(w->ring, wrk_main_room, w);
}

static uint64_t wrk_main_nofile(void)
{
	struct rlimit rl;

	return getrlimit(RLIMIT_NOFILE, &rl) < 0 ? 1024 : rl.rlim_cur;
}

/* The descriptor cache leaves room under RLIMIT_NOFILE for the rest: see wrk_conn.h, Bounds. */
static unsigned wrk_main_cache_max(const struct om_boot_limits *l)
{
	return (unsigned)OM_MIN((uint64_t)l->max_open_fds, wrk_main_nofile() / 8 * 3);
}

/* Everything that has threads, or that its threads use: after Landlock, before seccomp. */
static void wrk_main_parts(struct wrk *w)
{
	const struct om_boot_limits *l = &w->boot.limits;
	unsigned threads = OM_MIN(OM_MAX(l->io_threads, 1u), WRK_IO_THREADS_MAX);
	int rc;

	wrk_fdcache_thread_in();
	rc = wrk_fdcache_new(wrk_main_cache_max(l), &w->fdcache);
	if (rc < 0)
		wrk_main_fail("descriptor cache", rc);
	rc = wrk_dirs_new(wrk_main_nofile(), &w->dirs);
	if (rc < 0)
		wrk_main_fail("directories", rc);
	rc = wrk_small_new(&w->small);
	if (rc < 0)
		wrk_main_fail("small objects", rc);
	rc = wrk_reap_new(&w->reap);
	if (rc < 0)
		wrk_main_fail("thread", rc);
	rc = wrk_io_new(&w->loop, threads, wrk_fdcache_thread_in, wrk_fdcache_thread_out, &w->io);
	if (rc < 0)
		wrk_main_fail("I/O threads", rc);
	rc = wrk_put_new(w, &w->puts);
	if (rc < 0)
		wrk_main_fail("put sessions", rc);
	rc = wrk_legacy_new(w, &w->legacy);
	if (rc < 0)
		wrk_main_fail("writes of existing clients", rc);
	rc = wrk_watch_set_new(w, &w->watches);
	if (rc < 0)
		wrk_main_fail("watches", rc);
	rc = wrk_conn_set_new(w, &w->conns);
	if (rc < 0)
		wrk_main_fail("connections", rc);
	rc = wrk_accept_new(w, &w->accept);
	if (rc < 0)
		wrk_main_fail("listeners", rc);
}

static void wrk_main_loop(struct wrk *w, int sigfd)
{
	int rc = wrk_loop_init(&w->loop);

	if (rc < 0)
		wrk_main_fail("epoll", rc);
	w->loop.before_wait = wrk_main_before_wait;
	w->loop.after_wait = wrk_main_after_wait;
	w->loop.hook_arg = w;
	wrk_loop_busy_poll(&w->loop, w->boot.limits.busy_poll_us);
	wrk_main.tick = WRK_TIMER_INIT(wrk_main_tick, w);
	wrk_main.drain = WRK_TIMER_INIT(wrk_main_drain_look, w);
	wrk_main.sigterm = WRK_SRC_INIT(wrk_main_sigterm, w);
	wrk_main.sweep = (struct wrk_io_job){ .run = wrk_main_sweep_run, .done = wrk_main_sweep_done };
	if (sigfd < 0 || wrk_loop_add(&w->loop, &wrk_main.sigterm, sigfd, EPOLLIN) < 0)
		wrk_main_fail("signals", -OBJM_STATUS_SYSTEM);
}

static void wrk_main_start(struct wrk *w)
{
	struct wrk_ctl_boot boot;
	int sigfd = wrk_main_signals();
	int rc;

	w->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (w->null_fd < 0)
		wrk_main_fail("/dev/null", -OBJM_STATUS_SYSTEM);
	rc = wrk_ctl_boot(w, OM_PROC_FD, &boot);
	if (rc < 0)
		wrk_main_fail("it is started by objmapperd, with a control socket as descriptor 3", rc);
	(void)fcntl(OM_PROC_FD, F_SETFD, FD_CLOEXEC);
	if (fcntl(OM_PROC_FD, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		wrk_main_fail("control socket", -OBJM_STATUS_SYSTEM);
	wrk_ctl_log_start(w);
	wrk_main_segments(w, &boot);
	wrk_main_loop(w, sigfd);
	(void)wrk_sandbox_files(w, boot.listeners); /* what is missing has been logged */
	wrk_main_ring(w, &boot);
	wrk_main_parts(w);
	for (uint32_t i = 0; i < w->boot.n_listen; i++)
		wrk_accept_add(w->accept, boot.listeners[i], (enum om_listen_kind)w->boot.listen_kind[i]);
	rc = wrk_sandbox_calls();
	if (rc == -OBJM_STATUS_SYSTEM)
		wrk_main_fail("sandbox", rc);
	rc = wrk_ctl_start(w, wrk_main_drain);
	if (rc == 0)
		rc = wrk_ctl_ready(w);
	if (rc == 0)
		rc = wrk_accept_start(w->accept);
	if (rc < 0)
		wrk_main_fail("start", rc);
}

int main(int argc, char **argv)
{
	struct wrk *w = &wrk_self;

	if (argc == 2 && !strcmp(argv[1], "--version")) { /* objmapperd --preflight asks whether they belong together */
		(void)puts("objmapper-worker " OM_VERSION);
		return 0;
	}
	om_log_ident("objmapper-worker");
	om_oom_rather(300);
	if (om_fault_init() < 0) {
		om_log(OM_MSG_FATAL, "OBJM_FAULT: no such fault point or action (objmapperd --list-faults)");
		return 1;
	}
	wrk_main_start(w);
	wrk_main.awake_ns = om_now_ns();
	wrk_timer_arm(&w->loop, &wrk_main.tick, w->loop.now_ns + WRK_MAIN_TICK_NS);
	wrk_loop_run(&w->loop);
	/* Drained. Threads may still be inside a call that blocks, so nothing is taken down: the kernel does it. */
	idx_alogw_flush(&w->alog);
	_exit(0);
}
