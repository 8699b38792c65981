/*
 * wrk_loop.c: the worker's event loop (process objmapper-worker, its only loop thread).
 *
 * Sources are told apart by the pointer that epoll carries; a source taken out in the middle of a turn is wiped from the
 * events not yet handed out, so a callback never runs for what is gone. Timers are a pairing heap through the owners' own
 * structures: no allocation, no bound of its own. Called by wrk_main.c; sources belong to everybody else.
 */
#include "worker/wrk_loop.h"

#include <sched.h>
#include <sys/timerfd.h>

#define WRK_LOOP_SHARED_NS 3000u /* another one ran in between looks if they are further apart */

/*
 * Timers wake the loop through a timerfd that is set only for a time earlier than the one it is set for: with a timeout of
 * epoll_wait() the kernel would begin and end a timer of its own for every wait. One that fires for a timer that has moved on is
 * an empty turn.
 */
static void wrk_loop_alarm(struct wrk_loop *loop)
{
	uint64_t due = loop->timers ? loop->timers->due_ns : 0;
	struct itimerspec at = { .it_value = { .tv_sec = (time_t)(due / 1000000000u), .tv_nsec = (long)(due % 1000000000u) } };

	if (!due || (loop->alarm_ns && loop->alarm_ns <= due))
		return;
	OM_ASSERT(timerfd_settime(loop->alarm.fd, TFD_TIMER_ABSTIME, &at, NULL) == 0); /* the arguments are in order */
	loop->alarm_ns = due;
}

static void wrk_loop_rang(void *arg, uint32_t events)
{
	struct wrk_loop *loop = arg;
	uint64_t times;

	(void)events;
	(void)!read(loop->alarm.fd, &times, sizeof(times));
	loop->alarm_ns = 0; /* the timers that are due fire at the end of this turn */
}

int wrk_loop_init(struct wrk_loop *loop)
{
	int fd;

	*loop = (struct wrk_loop){ .epfd = epoll_create1(EPOLL_CLOEXEC), .now_ns = om_now_ns() };
	loop->tasks_tail = &loop->tasks;
	loop->alarm = WRK_SRC_INIT(wrk_loop_rang, loop);
	if (loop->epfd < 0)
		return -OBJM_STATUS_SYSTEM;
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd >= 0 && wrk_loop_add(loop, &loop->alarm, fd, EPOLLIN) == 0)
		return 0;
	om_close(&fd);
	om_close(&loop->epfd);
	return -OBJM_STATUS_SYSTEM;
}

void wrk_loop_fini(struct wrk_loop *loop)
{
	om_close(&loop->alarm.fd);
	om_close(&loop->epfd);
	loop->timers = NULL;
	loop->tasks = NULL;
}

int wrk_loop_add(struct wrk_loop *loop, struct wrk_src *src, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	OM_ASSERT(src->fd < 0 && src->fn);
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -OBJM_STATUS_SYSTEM;
	src->fd = fd;
	src->events = events;
	return 0;
}

void wrk_loop_mod(struct wrk_loop *loop, struct wrk_src *src, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = src };

	if (src->fd < 0 || src->events == events)
		return;
	/* Fails only for want of memory in the kernel, which MOD does not need, or for a bug of ours. */
	OM_ASSERT(epoll_ctl(loop->epfd, EPOLL_CTL_MOD, src->fd, &ev) == 0);
	src->events = events;
}

void wrk_loop_del(struct wrk_loop *loop, struct wrk_src *src)
{
	if (src->fd < 0)
		return;
	(void)epoll_ctl(loop->epfd, EPOLL_CTL_DEL, src->fd, NULL); /* a descriptor just closed is out already */
	src->fd = -1;
	for (int i = loop->ev_i; i < loop->ev_n; i++)
		if (loop->ev[i].data.ptr == src)
			loop->ev[i].data.ptr = NULL;
}

/* ---- timers: a pairing heap; `prev` is the left sibling, or the parent of a first child */

static struct wrk_timer *wrk_loop_meld(struct wrk_timer *a, struct wrk_timer *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (b->due_ns < a->due_ns) {
		struct wrk_timer *t = a;
		a = b;
		b = t;
	}
	b->prev = a;
	b->sibling = a->child;
	if (a->child)
		a->child->prev = b;
	a->child = b;
	a->prev = a->sibling = NULL;
	return a;
}

/* Meld a list of siblings pairwise, then the pairs from right to left: the two passes that make the heap fast. */
static struct wrk_timer *wrk_loop_meld_list(struct wrk_timer *t)
{
	struct wrk_timer *pairs = NULL, *root = NULL;

	while (t) {
		struct wrk_timer *a = t, *b = t->sibling, *m;

		t = b ? b->sibling : NULL;
		a->prev = a->sibling = NULL;
		if (b)
			b->prev = b->sibling = NULL;
		m = wrk_loop_meld(a, b);
		m->sibling = pairs;
		pairs = m;
	}
	while (pairs) {
		struct wrk_timer *next = pairs->sibling;

		pairs->sibling = NULL;
		root = wrk_loop_meld(root, pairs);
		pairs = next;
	}
	return root;
}

void wrk_timer_disarm(struct wrk_loop *loop, struct wrk_timer *t)
{
	struct wrk_timer *sub;

	if (!t->due_ns)
		return;
	sub = wrk_loop_meld_list(t->child);
	if (loop->timers == t) {
		loop->timers = sub;
	} else {
		if (t->prev->child == t)
			t->prev->child = t->sibling;
		else
			t->prev->sibling = t->sibling;
		if (t->sibling)
			t->sibling->prev = t->prev;
		loop->timers = wrk_loop_meld(loop->timers, sub);
	}
	t->child = t->sibling = t->prev = NULL;
	t->due_ns = 0;
}

void wrk_timer_arm(struct wrk_loop *loop, struct wrk_timer *t, uint64_t due_ns)
{
	OM_ASSERT(t->fn);
	wrk_timer_disarm(loop, t);
	t->due_ns = due_ns ? due_ns : 1;
	loop->timers = wrk_loop_meld(loop->timers, t);
}

static void wrk_loop_fire_timers(struct wrk_loop *loop)
{
	while (loop->timers && loop->timers->due_ns <= loop->now_ns) {
		struct wrk_timer *t = loop->timers;

		wrk_timer_disarm(loop, t);
		t->fn(t->arg); /* may arm itself again, later than now: callers never arm for the past in a circle */
	}
}

/* ---- tasks */

void wrk_task_queue(struct wrk_loop *loop, struct wrk_task *task)
{
	OM_ASSERT(task->fn);
	if (task->prevp)
		return;
	task->next = NULL;
	task->prevp = loop->tasks_tail;
	*loop->tasks_tail = task;
	loop->tasks_tail = &task->next;
}

void wrk_task_cancel(struct wrk_loop *loop, struct wrk_task *task)
{
	if (!task->prevp)
		return;
	*task->prevp = task->next;
	if (task->next)
		task->next->prevp = task->prevp;
	else
		loop->tasks_tail = task->prevp;
	task->next = NULL;
	task->prevp = NULL;
}

static void wrk_loop_run_tasks(struct wrk_loop *loop)
{
	for (unsigned n = 0; loop->tasks && n < WRK_LOOP_TASKS_MAX; n++) {
		struct wrk_task *task = loop->tasks;

		wrk_task_cancel(loop, task);
		task->fn(task->arg);
	}
}

/* ---- turns */

void wrk_loop_busy_poll(struct wrk_loop *loop, unsigned us)
{
	loop->spin_ns = (uint64_t)us * 1000u;
	loop->spin_vain = loop->spin_rest = 0;
}

/* @return events found by looking; 0: none: sleep */
static int wrk_loop_spin(struct wrk_loop *loop)
{
	uint64_t until, now, before;
	int n;

	if (loop->spin_rest > 0) {
		loop->spin_rest--;
		return 0;
	}
	now = om_now_ns();
	until = now + loop->spin_ns;
	if (loop->timers)
		until = OM_MIN(until, loop->timers->due_ns);
	while (now < until) {
		n = epoll_wait(loop->epfd, loop->ev, WRK_LOOP_EVENTS, 0);
		if (n != 0) {
			loop->spin_vain = 0;
			return n;
		}
		before = now;
		(void)sched_yield(); /* whom we wait for may need this very CPU */
		now = om_now_ns();
		if (now - before > WRK_LOOP_SHARED_NS) { /* somebody did */
			loop->spin_vain = 16;
			break;
		}
	}
	loop->spin_rest = OM_MIN(1u << OM_MIN(loop->spin_vain, 16u), WRK_LOOP_REST_MAX);
	loop->spin_vain++;
	return 0;
}

void wrk_loop_turn(struct wrk_loop *loop, int max_ms)
{
	int timeout = loop->tasks ? 0 : max_ms, n = 0;

	wrk_loop_alarm(loop);

	if (loop->before_wait && !loop->before_wait(loop->hook_arg))
		timeout = 0;
	if (loop->spin_ns && timeout != 0)
		n = wrk_loop_spin(loop);
	if (n == 0)
		n = epoll_wait(loop->epfd, loop->ev, WRK_LOOP_EVENTS, timeout);
	loop->now_ns = om_now_ns();
	if (loop->after_wait)
		loop->after_wait(loop->hook_arg);
	loop->ev_n = OM_MAX(n, 0); /* EINTR: an empty turn */
	for (loop->ev_i = 0; loop->ev_i < loop->ev_n;) {
		struct epoll_event *ev = &loop->ev[loop->ev_i++];
		struct wrk_src *src = ev->data.ptr;

		if (src)
			src->fn(src->arg, ev->events);
	}
	loop->ev_n = loop->ev_i = 0;
	wrk_loop_fire_timers(loop);
	wrk_loop_run_tasks(loop);
}

void wrk_loop_run(struct wrk_loop *loop)
{
	while (!loop->stop)
		wrk_loop_turn(loop, -1);
}
