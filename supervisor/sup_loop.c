/*
 * sup_loop.c: see sup_loop.h. A thin layer over epoll, in the supervisor's main thread. Timers are timerfds of their
 * owners, other threads wake it with an eventfd, so there is nothing but descriptors here.
 */
#include "supervisor/sup_loop.h"

int sup_loop_init(struct sup_loop *loop)
{
	*loop = (struct sup_loop){ .epfd = epoll_create1(EPOLL_CLOEXEC) };
	return loop->epfd < 0 ? -OBJM_STATUS_SYSTEM : 0;
}

void sup_loop_fini(struct sup_loop *loop)
{
	om_close(&loop->epfd);
}

int sup_loop_add(struct sup_loop *loop, struct sup_ev *ev, int fd, uint32_t events, sup_ev_fn *fn, void *arg)
{
	struct epoll_event ee = { .events = events, .data.ptr = ev };

	*ev = (struct sup_ev){ .fd = -1 };
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ee) < 0)
		return -OBJM_STATUS_SYSTEM;
	*ev = (struct sup_ev){ .fd = fd, .fn = fn, .arg = arg };
	return 0;
}

void sup_loop_mod(struct sup_loop *loop, struct sup_ev *ev, uint32_t events)
{
	struct epoll_event ee = { .events = events, .data.ptr = ev };

	OM_ASSERT(ev->fd >= 0);
	OM_ASSERT(epoll_ctl(loop->epfd, EPOLL_CTL_MOD, ev->fd, &ee) == 0); /* it is in the set */
}

void sup_loop_del(struct sup_loop *loop, struct sup_ev *ev)
{
	if (ev->fd < 0)
		return;
	(void)epoll_ctl(loop->epfd, EPOLL_CTL_DEL, ev->fd, NULL); /* fails only for what is not in the set */
	ev->fd = -1;
	for (int i = loop->next; i < loop->n; i++)
		if (loop->batch[i].data.ptr == ev)
			loop->batch[i].data.ptr = NULL;
}

void sup_loop_turn(struct sup_loop *loop, int timeout_ms)
{
	int n = epoll_wait(loop->epfd, loop->batch, SUP_LOOP_BATCH, timeout_ms);

	loop->n = n > 0 ? n : 0; /* EINTR: nothing fetched, the caller turns again */
	for (loop->next = 0; loop->next < loop->n;) {
		struct epoll_event *ee = &loop->batch[loop->next++];
		struct sup_ev *ev = ee->data.ptr;
		if (ev)
			ev->fn(ev, ee->events);
	}
	loop->n = loop->next = 0;
}
