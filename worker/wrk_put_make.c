/*
 * wrk_put_make.c: files of small inline puts on tiers that may block are made several to a job: a thread that is woken for each of them
 * costs more than the file. Process objmapper-worker; make_run on I/O threads, the rest in the loop.
 *
 * At most two jobs of a tier are under way, so that one slow file does not hold all others up; what comes meanwhile is the next
 * job's. A single put waits for nobody.
 */
#include "worker/wrk_put_int.h"

static void make_run(struct wrk_io_job *job)
{
	struct wrk_put_make *m = (struct wrk_put_make *)((char *)job - offsetof(struct wrk_put_make, job));

	for (unsigned i = 0; i < m->n; i++)
		m->batch[i]->job.run(&m->batch[i]->job);
}

static void make_done(struct wrk_io_job *job)
{
	struct wrk_put_make *m = (struct wrk_put_make *)((char *)job - offsetof(struct wrk_put_make, job));
	struct wrk_put_tier *t = m->tier;
	unsigned n = m->n;

	m->n = 0; /* nothing begins before the task runs */
	for (unsigned i = 0; i < n; i++)
		m->batch[i]->job.done(&m->batch[i]->job);
	if (t->make_queue.n > 0)
		wrk_task_queue(&t->set->w->loop, &t->make_task);
}

static void make_go(void *arg)
{
	struct wrk_put_tier *t = arg;

	for (unsigned i = 0; i < WRK_PUT_MAKE_JOBS && t->make_queue.n > 0; i++) {
		struct wrk_put_make *m = &t->make[i];

		if (m->n > 0)
			continue;
		while (m->n < WRK_PUT_MAKE_MAX && t->make_queue.n > 0)
			m->batch[m->n++] = wrk_put_queue_take(&t->make_queue);
		if (wrk_io_submit(t->set->w->io, WRK_IO_WRITE, &m->job) == 0)
			continue;
		make_run(&m->job); /* the pool is full to its bound: nothing better is left */
		make_done(&m->job);
	}
}

void wrk_put_make_add(struct wrk_put *p)
{
	wrk_put_coming(p);
	wrk_put_queue_add(&p->tier->make_queue, p);
	wrk_task_queue(&p->set->w->loop, &p->tier->make_task); /* at the end of the turn: what else came in it joins */
}

void wrk_put_make_init(struct wrk_put_tier *t)
{
	wrk_put_queue_init(&t->make_queue);
	t->make_task = WRK_TASK_INIT(make_go, t);
	for (unsigned i = 0; i < WRK_PUT_MAKE_JOBS; i++)
		t->make[i] = (struct wrk_put_make){ .tier = t, .job = { .run = make_run, .done = make_done } };
}
