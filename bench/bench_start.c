/*
 * bench_start.c: how soon a daemon with many records answers: after a clean end and after SIGKILL.
 *
 * A daemon makes its directories and a few real objects and is ended; then the catalog is filled with N records that have no
 * files, by the catalog's own writer; then it is started twice. Times are from the fork before exec to the first GET that
 * was answered, and to the index being complete. Meanwhile one client keeps asking, at depth 1. With --cold a third time, with nothing in
 * the page cache. As much memory as the index will take is touched and given back just before: what a virtual machine does not use has to be
 * found by its hypervisor first (4 ms for 2 MiB where 0.1 are enough), and that would be measured instead.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#include "bench/bench_daemon.h"
#include "client/objm.h"
#include "index/cat/idx_cat.h"
#include "index/cat/idx_state.h"

#define REAL 9u /* objects with files, spread over the order in which the index is filled: asked for by turns */
#define FIRST UINT64_C(1000000000) /* record: numbers of one length */
#define TXN_RECORDS 100000u
#define INDEX_BYTES 110u /* of shared memory for each record, and some more */
#define START_TIMEOUT_NS 120000000000u

/* ---------------------------------------------------------------- records without files */

static int cat_failed(const char *what) { return bench_fail("start: %s: %s", what, idx_cat_message()); }

static int fill_catalog(struct idx_cat *cat, uint8_t tier, uint64_t first_id, uint64_t n)
{
	static const struct bench_opts names = {.prefix = "/objm-bench/start"};
	struct om_rec rec = {.size = 4096, .mtime_ns = om_wall_ns(), .rev = 1, .tier = tier, .home = tier};
	struct idx_cat_txn *txn = NULL;
	char uri[BENCH_URI_MAX];

	for (uint64_t i = 0; i < n; i++) {
		if (!txn && idx_cat_txn_begin(cat, &txn) < 0)
			return cat_failed("records");
		rec.id = first_id + i;
		rec.uri = uri;
		/* Numbers of one length: records come in the order of their keys, as fast as the writer goes. */
		rec.uri_len = (uint16_t)bench_uri(&names, FIRST + i, uri);
		if (idx_cat_txn_put(txn, &rec, 0, NULL) < 0) {
			(void)cat_failed("records");
			idx_cat_txn_abort(txn);
			return BENCH_FAILED;
		}
		if (i % TXN_RECORDS == TXN_RECORDS - 1 || i == n - 1) {
			if (idx_cat_txn_commit(OM_TAKE_PTR(txn)) < 0)
				return cat_failed("records");
		}
	}
	return BENCH_OK;
}

static int fill_state(const struct bench_daemon *d, struct idx_state *state, uint64_t n)
{
	struct idx_cat_params p = {.dir = NULL};
	struct idx_state_tier tier;
	struct idx_cat *cat = NULL;
	uint64_t first = 0;
	char dir[320];
	int r;

	(void)snprintf(dir, sizeof(dir), "%s/catalog", d->tier);
	if (idx_state_tier_get(state, "disk", &tier) < 0 || idx_state_ids_reserve(state, n, 0, &first) < 0)
		return cat_failed("state");
	p.dir = dir;
	p.tier = tier.number;
	memcpy(p.secret, idx_state_identity(state)->secret, sizeof(p.secret));
	memcpy(p.tier_id, tier.tier_id, sizeof(p.tier_id));
	memcpy(p.install_id, idx_state_identity(state)->install_id, sizeof(p.install_id));
	if (idx_cat_open(&p, &cat) < 0)
		return cat_failed("catalog");
	r = fill_catalog(cat, tier.number, first, n);
	idx_cat_close(cat);
	if (r == BENCH_OK && idx_state_clean(state, first + n) < 0)
		return cat_failed("state");
	return r;
}

static int fill(const struct bench_daemon *d, uint64_t n)
{
	struct idx_state *state = NULL;
	int r;

	if (idx_state_open(d->state, &state) < 0)
		return cat_failed("state");
	r = fill_state(d, state, n);
	idx_state_close(state);
	return r;
}

/* ---------------------------------------------------------------- asking */

static objm_t *session(const struct bench_daemon *d, uint32_t wait_ms)
{
	struct objm_options opt = OBJM_OPTIONS_INIT;
	objm_t *s = NULL;

	opt.promise = OBJM_PROMISE_POSITIONED;
	opt.retry_ms = wait_ms ? 0 : OBJM_NO_RETRY;
	opt.wait_ms = wait_ms;
	return objm_open(d->data, &opt, &s) < 0 ? NULL : s;
}

static const char *real_uri(uint64_t objects, unsigned i)
{
	static char uri[BENCH_URI_MAX];

	(void)snprintf(uri, sizeof(uri), "/objm-bench/start/%llu.real", (unsigned long long)(FIRST + (objects - 1) * i / (REAL - 1)));
	return uri;
}

static bool answered(objm_t *s, uint64_t objects)
{
	static unsigned turn;
	int fd;

	if (objm_get(s, real_uri(objects, turn++ % REAL), 0, NULL, &fd) < 0)
		return false;
	(void)close(fd);
	return true;
}

/* The first GET that is answered, asked for every fifth of a millisecond. */
static int first_get(const struct bench_opts *o, const struct bench_daemon *d, uint64_t since, objm_t **ret_s, double *ret_ms)
{
	const struct timespec nap = {.tv_nsec = 200000};
	objm_t *s = NULL;

	while (om_now_ns() - since < START_TIMEOUT_NS) {
		if (!s)
			s = session(d, 0);
		if (s && answered(s, o->objects)) {
			*ret_ms = (double)(om_now_ns() - since) / 1e6;
			*ret_s = s;
			return BENCH_OK;
		}
		if (s && objm_ping(s) < 0) {
			objm_close(s);
			s = NULL;
		}
		(void)nanosleep(&nap, NULL);
	}
	objm_close(s);
	return bench_fail("start: no answer within two minutes");
}

static void gets(const struct bench_opts *o, objm_t *s, struct bench_hist *h, uint64_t for_ns)
{
	uint64_t until = om_now_ns() + for_ns, before;

	while ((before = om_now_ns()) < until)
		if (answered(s, o->objects))
			bench_hist_add(h, om_now_ns() - before, 1);
}

struct figures {
	double first_ms, complete_ms, get_meanwhile_us, get_after_us, p99_meanwhile_us, p99_after_us, index_bytes, worker_bytes;
};

/* Memory that is a process' own and no mapping of anything shared. */
static double private_bytes(json_int_t pid)
{
	char path[64], line[128];
	unsigned long long kb = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%lld/status", (long long)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %llu kB", &kb) == 1)
			break;
	if (f)
		(void)fclose(f);
	return (double)kb * 1024;
}

static void read_status(json_t *status, struct figures *ret)
{
	json_t *index = json_object_get(status, "index"), *worker = json_array_get(json_object_get(status, "workers"), 0);

	ret->index_bytes = json_number_value(json_object_get(index, "bytes")); /* heat and generations are in it */
	ret->worker_bytes = private_bytes(json_integer_value(json_object_get(worker, "pid")));
}

/* GETs until the index says that it is complete, and some more. */
static int until_complete(const struct bench_opts *o, const struct bench_daemon *d, objm_t *s, uint64_t since, struct figures *ret)
{
	static struct bench_hist meanwhile, after;
	bool complete = false;

	memset(&meanwhile, 0, sizeof(meanwhile));
	memset(&after, 0, sizeof(after));
	while (!complete) {
		json_t *status = bench_daemon_status(d);

		complete = json_is_true(json_object_get(json_object_get(status, "index"), "complete"));
		ret->complete_ms = (double)(om_now_ns() - since) / 1e6;
		if (complete)
			read_status(status, ret);
		json_decref(status);
		if (!complete)
			gets(o, s, &meanwhile, 10000000);
		if (om_now_ns() - since > START_TIMEOUT_NS)
			return bench_fail("start: the index is not complete after two minutes");
	}
	gets(o, s, &after, 500000000);
	ret->get_meanwhile_us = (double)bench_hist_ns(&meanwhile, 0.5) / 1000;
	ret->get_after_us = (double)bench_hist_ns(&after, 0.5) / 1000;
	ret->p99_meanwhile_us = (double)bench_hist_ns(&meanwhile, 0.99) / 1000;
	ret->p99_after_us = (double)bench_hist_ns(&after, 0.99) / 1000;
	return BENCH_OK;
}

/* Where client and worker run decides what a GET takes: the same meanwhile and afterwards. The daemon's other processes run where they like. */
static int place(const struct bench_opts *o, const struct bench_daemon *d)
{
	if (bench_pin(o->client_cpu) < 0)
		return bench_fail("start: --client-cpu %d: %s", o->client_cpu, strerror(errno));
	return o->server_cpu < 0 ? BENCH_OK : bench_pin_server(d->data, o->server_cpu, true);
}

/* Memory that the kernel has is as good as used. Failing to is no failure: it is measured all the same. */
static void warm_memory(uint64_t objects)
{
	size_t n = (size_t)objects * INDEX_BYTES + (64u << 20);
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return;
	(void)madvise(p, n, MADV_HUGEPAGE);
	(void)madvise(p, n, MADV_POPULATE_WRITE);
	(void)munmap(p, n);
}

static int start(const struct bench_opts *o, struct bench_daemon *d, struct figures *ret)
{
	warm_memory(o->objects);

	uint64_t since = om_now_ns();
	objm_t *s = NULL;
	cpu_set_t all;
	int r = sched_getaffinity(0, sizeof(all), &all) < 0 ? bench_fail("start: %s", strerror(errno)) : bench_daemon_spawn(d);

	if (r == BENCH_OK)
		r = first_get(o, d, since, &s, &ret->first_ms);
	if (r == BENCH_OK)
		r = place(o, d);
	if (r == BENCH_OK)
		r = until_complete(o, d, s, since, ret);
	objm_close(s);
	(void)sched_setaffinity(0, sizeof(all), &all); /* what it was */
	return r;
}

/* ---------------------------------------------------------------- the whole */

/* Everything is read from the disk again. */
static int drop_caches(void)
{
	OM_AUTO_FD fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	sync();
	return fd >= 0 && write(fd, "3", 1) == 1 ? BENCH_OK : bench_fail("start: --cold: the page cache cannot be dropped: %s", strerror(errno));
}

static int end_clean(struct bench_daemon *d, double *ret_ms)
{
	uint64_t since = om_now_ns();
	int r = bench_daemon_end(d, SIGTERM);

	*ret_ms = (double)(om_now_ns() - since) / 1e6;
	return r;
}

static int make(struct bench_daemon *d, uint64_t n)
{
	objm_t *s;
	int r = bench_daemon_spawn(d);

	if (r != BENCH_OK)
		return r;
	s = session(d, 10000);
	for (unsigned i = 0; i < REAL && r == BENCH_OK; i++)
		if (!s || objm_put_buf(s, real_uri(n, i), "z", 1, NULL, NULL) < 0)
			r = bench_fail("start: %s", objm_error(s));
	objm_close(s);
	if (r == BENCH_OK)
		r = bench_daemon_end(d, SIGTERM);
	return r == BENCH_OK ? fill(d, n) : r;
}

int bench_start(const struct bench_opts *o)
{
	struct figures clean = {0}, killed = {0}, cold = {0};
	double stop_ms = 0;
	struct bench_daemon d;
	int r = bench_daemon_make(o, &d);

	if (r == BENCH_OK)
		r = make(&d, o->objects);
	if (r == BENCH_OK)
		r = start(o, &d, &clean);
	if (r == BENCH_OK)
		r = bench_daemon_end(&d, SIGKILL);
	if (r == BENCH_OK)
		r = start(o, &d, &killed);
	if (r == BENCH_OK)
		r = end_clean(&d, &stop_ms);
	if (r == BENCH_OK && o->cold) {
		r = drop_caches();
		if (r == BENCH_OK)
			r = start(o, &d, &cold);
		if (r == BENCH_OK)
			r = bench_daemon_end(&d, SIGTERM);
	}
	if (r != BENCH_OK)
		bench_daemon_show_log(&d);
	bench_daemon_remove(&d);
	if (r != BENCH_OK)
		return r;
	const struct bench_value v[] = {
		{"objects", (double)o->objects},
		{"first_get_ms_clean", clean.first_ms},
		{"first_get_ms_kill", killed.first_ms},
		{"complete_ms", OM_MAX(clean.complete_ms, killed.complete_ms)},
		{"complete_ms_clean", clean.complete_ms},
		{"complete_ms_kill", killed.complete_ms},
		{"ram_bytes_per_object", clean.index_bytes / (double)o->objects},
		{"get_us_meanwhile", OM_MAX(clean.get_meanwhile_us, killed.get_meanwhile_us)},
		{"get_us_after", OM_MIN(clean.get_after_us, killed.get_after_us)},
		{"get_p99_us_meanwhile", OM_MAX(clean.p99_meanwhile_us, killed.p99_meanwhile_us)},
		{"get_p99_us_after", OM_MIN(clean.p99_after_us, killed.p99_after_us)},
		{"worker_bytes", clean.worker_bytes},
		{"stop_ms", stop_ms},
		{"first_get_ms_cold", cold.first_ms},
		{"complete_ms_cold", cold.complete_ms},
	};
	return bench_print_values("start", o, v, OM_ARRAY_SIZE(v) - (o->cold ? 0 : 2));
}
