/*
 * wrk_io.c: see wrk_io.h. Process objmapper-worker.
 *
 * One mutex guards both queues of waiting jobs and the list of finished ones. Threads finish into that list and ring an
 * eventfd when it was empty; the loop takes the whole list at once. With some ten thousand jobs a second at most, the mutex
 * is not worth avoiding.
 */
#include "worker/wrk_io.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

struct queue {
	struct wrk_io_job *first, **last;
	unsigned waiting;
	unsigned running;
};

struct wrk_io {
	struct wrk_loop *loop;
	struct wrk_src bell; /* loop */
	void (*thread_in)(void);
	void (*thread_out)(void);
	pthread_t threads[WRK_IO_THREADS_MAX];
	unsigned n_threads;
	unsigned under_way[WRK_IO_CLASS_COUNT]; /* submitted, done() not called; loop */

	pthread_mutex_t lock; /* of all that follows */
	pthread_cond_t work;
	struct queue q[WRK_IO_CLASS_COUNT];
	unsigned urgent_run; /* urgent jobs picked in a row while others waited */
	struct wrk_io_job *finished, **finished_last;
	bool stop;
};

static void push(struct wrk_io_job ***last, struct wrk_io_job *job)
{
	job->next = NULL;
	**last = job;
	*last = &job->next;
}

static bool may_start(const struct wrk_io *io, unsigned cls)
{
	if (cls == WRK_IO_URGENT)
		return io->urgent_run < WRK_IO_URGENT_RUN || !io->q[WRK_IO_READ].first;
	if (cls == WRK_IO_READ || io->n_threads == 1)
		return true;
	if (cls == WRK_IO_CODE && io->q[cls].running >= io->n_threads / 2)
		return false;
	return io->q[WRK_IO_WRITE].running + io->q[WRK_IO_CODE].running < io->n_threads - 1;
}

static bool any_waits(const struct wrk_io *io)
{
	for (unsigned c = 0; c < WRK_IO_CLASS_COUNT; c++)
		if (io->q[c].first)
			return true;
	return false;
}

/* Under the lock: the next job that may start, readers first; the others leave one thread alone. */
static struct wrk_io_job *pick(struct wrk_io *io)
{
	for (unsigned c = 0; c < WRK_IO_CLASS_COUNT; c++) {
		struct queue *q = &io->q[c];
		struct wrk_io_job *job = q->first;

		if (!job || !may_start(io, c))
			continue;
		io->urgent_run = c == WRK_IO_URGENT && io->q[WRK_IO_READ].first ? io->urgent_run + 1 : 0;
		q->first = job->next;
		if (!q->first)
			q->last = &q->first;
		q->waiting--;
		q->running++;
		return job;
	}
	return NULL;
}

static void ring(struct wrk_io *io)
{
	uint64_t one = 1;

	(void)!write(io->bell.fd, &one, sizeof(one)); /* full: it rings already */
}

static void *thread_main(void *arg)
{
	struct wrk_io *io = arg;
	struct wrk_io_job *job;

	if (io->thread_in)
		io->thread_in();
	(void)pthread_mutex_lock(&io->lock);
	for (;;) {
		job = pick(io);
		if (!job && io->stop && !any_waits(io))
			break;
		if (!job) {
			(void)pthread_cond_wait(&io->work, &io->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&io->lock);
		job->run(job);
		(void)pthread_mutex_lock(&io->lock);
		struct queue *q = &io->q[job->cls];
		bool first = io->finished == NULL;
		q->running--;
		push(&io->finished_last, job); /* from here on the job may be gone */
		if (first)
			ring(io);
		if (q >= &io->q[WRK_IO_WRITE] && (io->q[WRK_IO_WRITE].first || io->q[WRK_IO_CODE].first))
			(void)pthread_cond_signal(&io->work); /* one that waited for its share of threads */
	}
	(void)pthread_cond_broadcast(&io->work);
	(void)pthread_mutex_unlock(&io->lock);
	if (io->thread_out)
		io->thread_out();
	return NULL;
}

static void on_bell(void *arg, uint32_t events)
{
	struct wrk_io *io = arg;
	uint64_t n;

	(void)events;
	(void)!read(io->bell.fd, &n, sizeof(n));
	(void)pthread_mutex_lock(&io->lock);
	struct wrk_io_job *job = io->finished;
	io->finished = NULL;
	io->finished_last = &io->finished;
	(void)pthread_mutex_unlock(&io->lock);
	while (job) {
		struct wrk_io_job *next = job->next;
		OM_ASSERT(io->under_way[job->cls] > 0 && job->busy);
		io->under_way[job->cls]--;
		job->busy = false;
		job->done(job);
		job = next;
	}
}

static int start_threads(struct wrk_io *io, unsigned threads)
{
	sigset_t all, old;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old); /* inherited: signals are the loop's */
	for (; io->n_threads < threads; io->n_threads++) {
		int err = pthread_create(&io->threads[io->n_threads], NULL, thread_main, io);
		if (err != 0) {
			(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
			errno = err;
			return -OBJM_STATUS_SYSTEM;
		}
	}
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return 0;
}

int wrk_io_new(struct wrk_loop *loop, unsigned threads, void (*thread_in)(void), void (*thread_out)(void),
	       struct wrk_io **ret)
{
	struct wrk_io *io = calloc(1, sizeof(*io));
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), rc;

	if (!io || fd < 0) {
		free(io);
		om_close(&fd);
		return io ? -OBJM_STATUS_SYSTEM : -OBJM_STATUS_OUT_OF_MEMORY;
	}
	io->loop = loop;
	io->bell = WRK_SRC_INIT(on_bell, io);
	io->thread_in = thread_in;
	io->thread_out = thread_out;
	(void)pthread_mutex_init(&io->lock, NULL);
	(void)pthread_cond_init(&io->work, NULL);
	for (unsigned c = 0; c < WRK_IO_CLASS_COUNT; c++)
		io->q[c].last = &io->q[c].first;
	io->finished_last = &io->finished;
	rc = wrk_loop_add(loop, &io->bell, fd, EPOLLIN);
	if (rc < 0) {
		om_close(&fd);
		free(io);
		return rc;
	}
	rc = start_threads(io, OM_MAX(1u, OM_MIN(threads, WRK_IO_THREADS_MAX)));
	if (rc < 0) {
		wrk_io_free(io);
		return rc;
	}
	*ret = io;
	return 0;
}

void wrk_io_free(struct wrk_io *io)
{
	if (!io)
		return;
	(void)pthread_mutex_lock(&io->lock);
	io->stop = true;
	(void)pthread_cond_broadcast(&io->work);
	(void)pthread_mutex_unlock(&io->lock);
	for (unsigned i = 0; i < io->n_threads; i++)
		(void)pthread_join(io->threads[i], NULL);
	int fd = io->bell.fd;
	wrk_loop_del(io->loop, &io->bell);
	om_close(&fd);
	(void)pthread_cond_destroy(&io->work);
	(void)pthread_mutex_destroy(&io->lock);
	free(io);
}

int wrk_io_submit(struct wrk_io *io, enum wrk_io_class cls, struct wrk_io_job *job)
{
	OM_ASSERT(!job->busy && cls < WRK_IO_CLASS_COUNT);
	if (io->under_way[cls] >= WRK_IO_QUEUE_MAX)
		return -OBJM_STATUS_TRY_AGAIN;
	io->under_way[cls]++;
	job->cls = (uint8_t)cls;
	job->busy = true;
	(void)pthread_mutex_lock(&io->lock);
	push(&io->q[cls].last, job);
	io->q[cls].waiting++;
	(void)pthread_cond_signal(&io->work);
	(void)pthread_mutex_unlock(&io->lock);
	return 0;
}

unsigned wrk_io_under_way(const struct wrk_io *io, enum wrk_io_class cls) { return io->under_way[cls]; }

unsigned wrk_io_pending(const struct wrk_io *io)
{
	unsigned n = 0;

	for (unsigned c = 0; c < WRK_IO_CLASS_COUNT; c++)
		n += io->under_way[c];
	return n;
}
