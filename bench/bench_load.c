/*
 * bench_load.c: get, put and mix: threads that each drive one connection of a driver, closed loop or at a fixed rate.
 *
 * get and mix store their objects first, PREFIX/0 to PREFIX/N-1, and remove them at the end unless they are to be kept.
 * Names are made before a clock starts (of few objects all of them, of many a batch at a time). Closed loop: a latency is that of a
 * batch of --depth requests. At a fixed rate
 * (open loop): requests are due at fixed times whether earlier ones are answered or not, and a latency counts from the
 * time at which the request was due, so a server that stalls is charged for everything that it kept waiting. What the generator itself was
 * late, and what a request took from when it was sent, are kept apart: who is late tells them apart.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "bench/bench.h"

#define PREPARE_THREADS 8u
#define PREPARE_DEPTH 64u
#define NAMES_MAX 16384u /* that are made before the clock starts; of more objects each name is made when it is chosen */

struct batch {
	struct bench_item items[BENCH_DEPTH_MAX];
	char uris[BENCH_DEPTH_MAX][BENCH_URI_MAX];
	uint64_t due[BENCH_DEPTH_MAX];
};

/* Threads connect, and fill what they fill, at their own pace; then all begin together. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned ready;
	bool alone;	   /* there is one thread: it waits for nobody */
	uint64_t start_ns; /* 0: not yet */
};

/* What to ask for is the generator's business and should not cost its client time. */
struct names {
	struct spot {
		uint32_t at, len; /* in `text` */
	} *spots;		  /* by object; NULL: too many. Small, because the clients' caches hold them, too */
	char *text;
};

struct load {
	const struct bench_opts *o;
	const struct names *names;
	struct gate *gate;
	const struct bench_driver *driver;
	const struct bench_pick *pick;
	double puts; /* share of batches that are puts */
	unsigned number;
	uint64_t start_ns, end_ns, done_ns, random, next_put;
	struct batch *batch;
	struct bench_result result;
	pthread_t thread;
	bool failed; /* a message was printed */
};

/* ---------------------------------------------------------------- one batch */

static bool make_names(const struct bench_opts *o, struct names *ret)
{
	uint32_t at = 0;

	if (o->objects > NAMES_MAX)
		return true;
	ret->spots = calloc(o->objects, sizeof(*ret->spots));
	ret->text = malloc(o->objects * BENCH_URI_MAX);
	for (uint64_t i = 0; ret->text && ret->spots && i < o->objects; i++) {
		ret->spots[i] = (struct spot){.at = at, .len = bench_uri(o, i, ret->text + at)};
		at += ret->spots[i].len + 1; /* one behind the other: as a program has its names, not a page each */
	}
	return ret->text && ret->spots;
}

static void free_names(struct names *n)
{
	free(n->spots);
	free(n->text);
}

static void name(struct load *l, unsigned i, uint64_t number)
{
	struct bench_item *item = &l->batch->items[i];

	item->number = number;
	if (l->names->spots) {
		item->uri = l->names->text + l->names->spots[number].at;
		item->uri_len = l->names->spots[number].len;
		return;
	}
	item->uri = l->batch->uris[i];
	item->uri_len = bench_uri(l->o, number, l->batch->uris[i]);
}

/* Threads take turns in the names that they write, so that no two ever write the same one. */
static uint64_t put_number(struct load *l)
{
	uint64_t mine = (l->o->objects + l->o->connections - 1 - l->number) / l->o->connections;

	return mine ? l->number + (l->next_put++ % mine) * l->o->connections : l->number % l->o->objects;
}

static enum bench_kind choose(struct load *l, unsigned n)
{
	bool put = l->puts >= 1 || (l->puts > 0 && (double)(bench_random(&l->random) >> 11) * 0x1p-53 < l->puts);

	for (unsigned i = 0; i < n; i++)
		name(l, i, put ? put_number(l) : bench_pick_next(l->pick, &l->random));
	return put ? BENCH_PUTS : BENCH_GETS;
}

static bool once(struct load *l, void *h, enum bench_kind kind, unsigned n)
{
	return (kind == BENCH_PUTS ? l->driver->put : l->driver->get)(h, l->batch->items, n, &l->result);
}

static void closed_loop(struct load *l, void *h)
{
	unsigned n = l->driver->block && l->o->depth == 1 ? l->driver->block : l->o->depth;
	uint64_t before, after;

	do {
		enum bench_kind kind = choose(l, n);

		before = om_now_ns();
		if (!once(l, h, kind, n)) {
			l->failed = true;
			return;
		}
		after = om_now_ns();
		if (l->driver->block)
			bench_hist_add(&l->result.hist[kind], (after - before + n / 2) / n, n);
		else
			bench_hist_add(&l->result.hist[kind], after - before, 1);
	} while (after < l->end_ns);
}

/*
 * Sleeps, as a program does that has nothing to do, and wakes up as late as it does. Who wants to be on time spins for the last
 * `spin_ns`: but a processor on which somebody spins is not there for those whom the server, or the kernel, would have run on it.
 */
static void sleep_until(uint64_t ns, uint64_t spin_ns)
{
	uint64_t wake = ns - spin_ns;

	while (om_now_ns() < wake) {
		struct timespec ts = {.tv_sec = (time_t)(wake / 1000000000u), .tv_nsec = (long)(wake % 1000000000u)};
		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	}
	while (om_now_ns() < ns)
		(void)sched_yield();
}

static void open_loop(struct load *l, void *h)
{
	double step = 1e9 * l->o->connections / l->o->rate; /* between two requests of this thread */
	double first = (double)l->start_ns + step * l->number / l->o->connections;
	uint64_t sent = 0, due;

	(void)prctl(PR_SET_TIMERSLACK, 1UL); /* 50 us otherwise */
	for (;;) {
		unsigned n = 0;
		enum bench_kind kind;
		uint64_t now, sent_ns;

		due = (uint64_t)(first + step * (double)sent);
		if (due >= l->end_ns)
			return;
		if (om_now_ns() < due) { /* else what was before took too long: it is not the generator that is late */
			sleep_until(due, l->o->spin_us * 1000);
			bench_hist_add(&l->result.late, om_now_ns() - due, 1);
		}
		now = om_now_ns();
		while (n < l->o->depth && due <= now && due < l->end_ns) {
			l->batch->due[n++] = due;
			due = (uint64_t)(first + step * (double)++sent);
		}
		kind = choose(l, n);
		sent_ns = om_now_ns();
		if (!once(l, h, kind, n)) {
			l->failed = true;
			return;
		}
		now = om_now_ns();
		bench_hist_add(&l->result.call, now - sent_ns, n);
		for (unsigned i = 0; i < n; i++)
			bench_hist_add(&l->result.hist[kind], now - l->batch->due[i], 1);
		/* A server that does not keep up is told apart by its latencies; nobody waits for the backlog for ever. */
		if (now > l->end_ns + 2000000000u)
			return;
	}
}

static void pass_gate(struct load *l)
{
	(void)pthread_mutex_lock(&l->gate->lock);
	l->gate->ready++;
	if (l->gate->alone)
		l->gate->start_ns = om_now_ns();
	(void)pthread_cond_broadcast(&l->gate->moved);
	while (l->gate->start_ns == 0)
		(void)pthread_cond_wait(&l->gate->moved, &l->gate->lock);
	l->start_ns = l->gate->start_ns;
	l->end_ns = l->start_ns + (uint64_t)(l->o->seconds * 1e9);
	(void)pthread_mutex_unlock(&l->gate->lock);
}

/* When all of `n` threads are ready: go. */
static uint64_t open_gate(struct gate *g, unsigned n)
{
	(void)pthread_mutex_lock(&g->lock);
	while (g->ready < n)
		(void)pthread_cond_wait(&g->moved, &g->lock);
	g->start_ns = om_now_ns() + 1000000u;
	(void)pthread_cond_broadcast(&g->moved);
	(void)pthread_mutex_unlock(&g->lock);
	return g->start_ns;
}

static void *load_thread(void *arg)
{
	struct load *l = arg;
	void *h = NULL;

	l->random = (l->number + 1) * UINT64_C(0x9e3779b97f4a7c15);
	l->batch = malloc(sizeof(*l->batch));
	if (!l->batch)
		(void)bench_fail("out of memory");
	else if (bench_pin(l->o->client_cpu) < 0)
		(void)bench_fail("--client-cpu %d: %s", l->o->client_cpu, strerror(errno));
	else
		h = l->driver->open(l->o, l->number);
	l->failed = !h;
	pass_gate(l);
	if (h) {
		sleep_until(l->start_ns, 0);
		if (l->o->rate > 0)
			open_loop(l, h);
		else
			closed_loop(l, h);
		l->done_ns = om_now_ns();
		l->driver->close(h);
	}
	free(l->batch);
	return NULL;
}

/* ---------------------------------------------------------------- objects that are there before, and gone after */

struct prepare {
	const struct bench_opts *o;
	const struct bench_driver *driver;
	unsigned number, threads;
	bool remove, failed;
	pthread_t thread;
};

static bool prepare_all(struct prepare *p, void *h, struct batch *b)
{
	struct bench_result r = {.how = NULL};
	uint64_t per = (p->o->objects + p->threads - 1) / p->threads, from = per * p->number;
	uint64_t to = OM_MIN(p->o->objects, from + per);
	/* Bounded in bytes too: large objects go one by one. */
	unsigned depth = p->o->size > (64u << 10) ? 1 : PREPARE_DEPTH;

	while (from < to) {
		unsigned n = 0;

		for (; n < depth && from < to; n++, from++) {
			b->items[n] = (struct bench_item){.number = from, .uri = b->uris[n]};
			b->items[n].uri_len = bench_uri(p->o, from, b->uris[n]);
		}
		if (!(p->remove ? p->driver->remove : p->driver->put)(h, b->items, n, &r) || r.errors)
			return false;
	}
	return true;
}

static void *prepare_thread(void *arg)
{
	struct prepare *p = arg;
	struct batch *b = malloc(sizeof(*b));
	void *h = b ? p->driver->open(p->o, p->number) : NULL;

	p->failed = !h || !prepare_all(p, h, b);
	if (h)
		p->driver->close(h);
	free(b);
	return NULL;
}

static int prepare(const struct bench_opts *o, const struct bench_driver *driver, bool remove)
{
	struct prepare p[PREPARE_THREADS];
	unsigned threads = (unsigned)OM_MIN((uint64_t)PREPARE_THREADS, o->objects), n = 0;
	int r = BENCH_OK;

	for (; n < threads; n++) {
		p[n] = (struct prepare){.o = o, .driver = driver, .number = n, .threads = threads, .remove = remove};
		if (pthread_create(&p[n].thread, NULL, prepare_thread, &p[n]) != 0) {
			r = bench_fail("cannot start a thread");
			break;
		}
	}
	for (unsigned i = 0; i < n; i++) {
		(void)pthread_join(p[i].thread, NULL);
		if (p[i].failed)
			r = BENCH_FAILED;
	}
	return r == BENCH_OK ? r : bench_fail("the objects could not be %s", remove ? "removed" : "stored");
}

/* In a process of its own, which takes its threads with it: see run(). */
static int prepare_apart(const struct bench_opts *o, const struct bench_driver *driver, bool remove)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(prepare(o, driver, remove) == BENCH_OK ? 0 : 1);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0)
		return bench_fail("fork: %s", strerror(errno));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? BENCH_OK : BENCH_FAILED;
}

/* ---------------------------------------------------------------- the run */

static int run(const struct bench_opts *o, const char *what, const struct bench_driver *driver, double puts, const struct bench_pick *pick,
	       const struct names *names)
{
	struct load *loads = calloc(o->connections, sizeof(*loads));
	static struct bench_result sum;
	struct gate gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};
	uint64_t start, done = 0;
	int r = BENCH_OK;
	unsigned n = 0;
	/*
	 * One connection is driven by a process with one thread, like the floor's: with a second one each close() would cost what
	 * glibc does for threads that may be cancelled, and each call on a socket a count.
	 */
	bool alone = o->connections == 1;

	if (!loads)
		return bench_fail("out of memory");
	for (; n < o->connections; n++) {
		loads[n] = (struct load){.o = o, .driver = driver, .pick = pick, .names = names, .puts = puts, .number = n, .gate = &gate};
		if (!alone && pthread_create(&loads[n].thread, NULL, load_thread, &loads[n]) != 0) {
			r = bench_fail("cannot start a thread");
			break;
		}
	}
	if (alone) {
		gate.alone = true;
		(void)load_thread(&loads[0]);
		start = gate.start_ns;
	} else {
		start = open_gate(&gate, n);
	}
	for (unsigned i = 0; i < n; i++) {
		if (!alone)
			(void)pthread_join(loads[i].thread, NULL);
		for (int k = 0; k < BENCH_KIND_COUNT; k++)
			bench_hist_merge(&sum.hist[k], &loads[i].result.hist[k]);
		bench_hist_merge(&sum.late, &loads[i].result.late);
		bench_hist_merge(&sum.call, &loads[i].result.call);
		sum.ops += loads[i].result.ops;
		sum.errors += loads[i].result.errors;
		sum.bytes += loads[i].result.bytes;
		sum.how = loads[i].result.how;
		done = OM_MAX(done, loads[i].done_ns);
		if (loads[i].failed)
			r = BENCH_FAILED;
	}
	sum.seconds = (double)(OM_MAX(done, start + 1) - start) / 1e9; /* as the floor's: without what closing a connection takes */
	free(loads);
	return r == BENCH_OK ? bench_print(what, o, &sum) : r;
}

/* Which driver a command line means. */
static const struct bench_driver *driver_of(const struct bench_opts *o)
{
	static const struct bench_driver *const peers[] = {&bench_redis, &bench_memcached, &bench_http, &bench_path, &bench_bare, &bench_rename};

	for (size_t i = 0; o->peer && i < OM_ARRAY_SIZE(peers); i++)
		if (strcmp(peers[i]->name, o->peer) == 0)
			return peers[i];
	if (o->peer) {
		(void)bench_fail("--peer %s: not one of redis, memcached, http, path, bare, rename", o->peer);
		return NULL;
	}
	return o->cache ? &bench_objm_cache : o->copy ? &bench_objm_copy : &bench_objm;
}

static int load(const struct bench_opts *o, const char *what, double puts, bool objects)
{
	const struct bench_driver *driver = driver_of(o), *store;
	struct bench_pick *pick = NULL;
	struct names names = {.spots = NULL};
	int r = BENCH_OK;

	if (!driver)
		return BENCH_USAGE;
	if ((puts < 1 && !driver->get) || (puts > 0 && !driver->put))
		return bench_fail("%s: not with %s", what, driver->name), BENCH_USAGE;
	store = driver->foreign ? driver : &bench_objm;
	objects = objects && !o->no_prepare && store->put;
	if (driver->begin && !driver->begin(o))
		return BENCH_FAILED;
	pick = bench_pick_new(o->objects, o->zipf);
	if (!pick || !make_names(o, &names))
		r = bench_fail("out of memory");
	if (r == BENCH_OK && o->server_cpu >= 0)
		r = bench_pin_server(bench_socket(o), o->server_cpu, !driver->foreign);
	if (r == BENCH_OK && objects)
		r = prepare_apart(o, store, false);
	if (r == BENCH_OK)
		r = run(o, what, driver, puts, pick, &names);
	bool removes = !o->keep && !bench_was_gone() && (objects || puts > 0) && store->remove;
	if (removes && prepare_apart(o, store, true) != BENCH_OK)
		r = BENCH_FAILED;
	bench_pick_free(pick);
	free_names(&names);
	return r;
}

int bench_get(const struct bench_opts *o) { return load(o, "get", 0, true); }
int bench_put(const struct bench_opts *o) { return load(o, "put", 1, false); }
int bench_mix(const struct bench_opts *o) { return load(o, "mix", o->puts, true); }
