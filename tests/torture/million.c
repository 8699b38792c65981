/*
 * million.c: a million small objects put, listed, got and deleted through pipelined connections, against a running daemon.
 * Prints speed, latencies and what each of the daemon's processes weighs, slice by slice; fails (exit status 1) when a count
 * is wrong, when a worker's private memory grows with the number of objects, or when it does not come back.
 *
 *	million [-n OBJECTS] [-c CONNECTIONS] [-w WINDOW] [-s SIZE] [-p] [-d OBJECTS_DIR] SOCKET
 *
 *	-p  on the default tier instead of the memory tier
 *	-d  the tier's objects/ directory: waits, at the end, until the files of what was deleted are gone
 *
 * Descriptors of the processes are counted only where we may look: as root.
 */
#include "tests/torture/million.h"

#include <pthread.h>
#include <stdarg.h>

#include "client/objm.h"

#define SLICES 10u
#define CONNECTIONS_MAX 64u
#define GET_BATCH 253u
#define WARM_UP 2000u	       /* objects: what is made on first use is there before the first sample */
#define GROWTH_KIB (24u << 10) /* a worker may grow by so much: buffers, caches with a bound */
#define FDS_KEPT 256
#define REAP_S 180u

struct options {
	const char *socket, *objects_dir;
	uint64_t n;
	unsigned connections, window;
	size_t size;
	bool persistent;
};

struct thread {
	pthread_t id;
	const struct options *o;
	const struct million_change *change; /* NULL: get */
	struct million_conn conn;
	objm_t *session;
	uint64_t lo, hi;
	uint32_t *us; /* hi - lo latencies */
	int rc;
	uint64_t wrong; /* objects whose bytes were not theirs */
};

struct run {
	struct options o;
	pid_t supervisor;
	struct thread threads[CONNECTIONS_MAX];
	uint32_t *us; /* of a slice */
	struct million_sample base, now;
	uint64_t peak_anon_kib;
	unsigned failures;
};

static void check(struct run *r, bool ok, const char *fmt, ...) OM_PRINTF(3, 4);
static void check(struct run *r, bool ok, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs(ok ? "ok: " : "FAILED: ", stdout);
	(void)vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	r->failures += !ok;
}

/* ---------------------------------------------------------------- one thread's part of a slice */

static void change_part(struct thread *t)
{
	for (uint64_t i = t->lo; t->rc == 0 && i < t->hi;) {
		unsigned n = (unsigned)OM_MIN(t->o->window, t->hi - i);

		t->rc = million_conn_change(&t->conn, t->change, i, n, t->us + (i - t->lo));
		i += n;
	}
}

static bool right_bytes(const struct options *o, uint64_t i, int fd)
{
	uint8_t want[MILLION_SIZE_MAX], got[MILLION_SIZE_MAX + 1];

	million_conn_bytes(i, o->size, want);
	return pread(fd, got, o->size + 1, 0) == (ssize_t)o->size && memcmp(got, want, o->size) == 0;
}

static int get_batch(struct thread *t, uint64_t first, unsigned n)
{
	char uris[GET_BATCH][MILLION_URI_MAX];
	const char *list[GET_BATCH];
	struct objm_result results[GET_BATCH];
	uint64_t before;
	int rc;

	for (unsigned k = 0; k < n; k++) {
		million_conn_uri(first + k, uris[k]);
		list[k] = uris[k];
	}
	before = om_now_ns();
	rc = objm_get_many(t->session, list, n, 0, results);
	for (unsigned k = 0; k < n; k++) {
		t->us[first - t->lo + k] = (uint32_t)((om_now_ns() - before) / 1000);
		if (rc == 0 && results[k].status < 0)
			rc = results[k].status;
		if (results[k].status == 0) {
			t->wrong += !right_bytes(t->o, first + k, results[k].fd);
			(void)close(results[k].fd);
		}
	}
	return rc;
}

static void get_part(struct thread *t)
{
	for (uint64_t i = t->lo; t->rc == 0 && i < t->hi;) {
		unsigned n = (unsigned)OM_MIN(GET_BATCH, t->hi - i);

		t->rc = get_batch(t, i, n);
		i += n;
	}
}

static void *part_thread(void *arg)
{
	struct thread *t = arg;

	if (t->change)
		change_part(t);
	else
		get_part(t);
	return NULL;
}

/* ---------------------------------------------------------------- slices and phases */

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void report_slice(struct run *r, const char *phase, uint64_t lo, uint64_t hi, uint64_t took_ns)
{
	uint64_t n = hi - lo;

	qsort(r->us, n, sizeof(r->us[0]), by_value);
	million_proc_sample(r->supervisor, &r->now);
	r->peak_anon_kib = OM_MAX(r->peak_anon_kib, million_proc_worker_anon_kib(&r->now));
	printf("%-7s %9llu: %8.0f/s  p50 %6u us  p99 %6u us  worst %7u us\n", phase, (unsigned long long)hi,
	       (double)n * 1e9 / (double)took_ns, r->us[n / 2], r->us[n * 99 / 100], r->us[n - 1]);
	million_proc_print(&r->now);
	(void)fflush(stdout);
}

/* Objects lo..hi by all threads. 0 or the first error. */
static int slice(struct run *r, const struct million_change *change, uint64_t lo, uint64_t hi)
{
	unsigned threads = r->o.connections;
	int rc = 0;

	for (unsigned k = 0; k < threads; k++) {
		struct thread *t = &r->threads[k];

		t->change = change;
		t->lo = lo + (hi - lo) * k / threads;
		t->hi = lo + (hi - lo) * (k + 1) / threads;
		t->us = r->us + (t->lo - lo);
		t->rc = 0;
		if (pthread_create(&t->id, NULL, part_thread, t) != 0) {
			perror("million: thread");
			exit(1);
		}
	}
	for (unsigned k = 0; k < threads; k++) {
		(void)pthread_join(r->threads[k].id, NULL);
		rc = rc ? rc : r->threads[k].rc;
	}
	return rc;
}

static bool phase(struct run *r, const char *name, const struct million_change *change)
{
	uint64_t start = om_now_ns();
	int rc = 0;

	for (unsigned s = 0; rc == 0 && s < SLICES; s++) {
		uint64_t lo = r->o.n * s / SLICES, hi = r->o.n * (s + 1) / SLICES, before = om_now_ns();

		rc = slice(r, change, lo, hi);
		if (rc == 0)
			report_slice(r, name, lo, hi, om_now_ns() - before);
	}
	check(r, rc == 0, "%s: %llu objects in %.1f s (%s)", name, (unsigned long long)r->o.n, (double)(om_now_ns() - start) / 1e9,
	      om_status_name(rc));
	return rc == 0;
}

/* ---------------------------------------------------------------- listing */

static uint64_t list_all(struct run *r, bool *ret_sorted)
{
	struct objm_list_options opt = OBJM_LIST_OPTIONS_INIT;
	const struct objm_entry *e;
	objm_list_t *list;
	char last[MILLION_URI_MAX] = "";
	uint64_t n = 0;
	int rc;

	opt.prefix = "/million/";
	rc = objm_list_open(r->threads[0].session, &opt, &list);
	if (rc < 0)
		return UINT64_MAX;
	*ret_sorted = true;
	while ((rc = objm_list_next(list, &e)) == 1) {
		*ret_sorted = *ret_sorted && strcmp(last, e->uri) < 0;
		(void)snprintf(last, sizeof(last), "%s", e->uri);
		n++;
	}
	objm_list_close(list);
	return rc < 0 ? UINT64_MAX : n;
}

static void list_phase(struct run *r, uint64_t want)
{
	uint64_t start = om_now_ns(), n;
	bool sorted = false;

	n = list_all(r, &sorted);
	check(r, n == want && sorted, "list: %llu objects in order, %llu expected, in %.1f s", (unsigned long long)n, (unsigned long long)want,
	      (double)(om_now_ns() - start) / 1e9);
}

/* ---------------------------------------------------------------- the run */

static bool connect_all(struct run *r)
{
	for (unsigned k = 0; k < r->o.connections; k++) {
		struct thread *t = &r->threads[k];
		struct objm_options opt = OBJM_OPTIONS_INIT;
		int rc;

		opt.promise = OBJM_PROMISE_POSITIONED;
		t->o = &r->o;
		rc = million_conn_open(r->o.socket, &t->conn);
		if (rc == 0)
			rc = objm_open(r->o.socket, &opt, &t->session);
		if (rc < 0) {
			fprintf(stderr, "million: %s: %s\n", r->o.socket, om_status_text(rc));
			return false;
		}
	}
	return true;
}

static void disconnect_all(struct run *r)
{
	for (unsigned k = 0; k < r->o.connections; k++) {
		million_conn_close(&r->threads[k].conn);
		objm_close(r->threads[k].session);
	}
}

static bool warm_up(struct run *r, const struct million_change *put, const struct million_change *del)
{
	uint64_t n = OM_MIN(r->o.n, WARM_UP);

	if (slice(r, put, 0, n) < 0 || slice(r, NULL, 0, n) < 0 || slice(r, del, 0, n) < 0)
		return false;
	million_proc_sample(r->supervisor, &r->base);
	r->peak_anon_kib = million_proc_worker_anon_kib(&r->base);
	puts("after warming up:");
	million_proc_print(&r->base);
	return true;
}

static void wait_for_reaping(struct run *r)
{
	uint64_t start = om_now_ns(), left = 0;

	if (r->o.objects_dir) {
		while ((left = million_proc_files(r->o.objects_dir)) > 0 && om_now_ns() - start < REAP_S * UINT64_C(1000000000))
			(void)usleep(200000);
		check(r, left == 0, "files of deleted objects gone %.1f s after the last delete (%llu left)", (double)(om_now_ns() - start) / 1e9,
		      (unsigned long long)left);
	}
	(void)sleep(2); /* sweeps of descriptor caches */
}

static void judge_memory(struct run *r)
{
	uint64_t base = million_proc_worker_anon_kib(&r->base), end;
	int fds_base = million_proc_worker_fds(&r->base), fds;

	million_proc_sample(r->supervisor, &r->now);
	puts("at the end:");
	million_proc_print(&r->now);
	end = million_proc_worker_anon_kib(&r->now);
	fds = million_proc_worker_fds(&r->now);
	check(r, r->peak_anon_kib <= base + GROWTH_KIB, "a worker's private memory: %llu KiB at first, %llu KiB at most, %llu KiB at the end",
	      (unsigned long long)base, (unsigned long long)r->peak_anon_kib, (unsigned long long)end);
	if (fds_base >= 0)
		check(r, fds <= fds_base + FDS_KEPT, "a worker's descriptors: %d at first, %d at the end", fds_base, fds);
}

static int million(struct run *r)
{
	struct million_change put = {.op = OM_PROTO_OP_PUT_INLINE, .put_flags = r->o.persistent ? 0 : OM_OBJ_EPHEMERAL, .size = r->o.size};
	struct million_change del = {.op = OM_PROTO_OP_DELETE};
	uint64_t wrong = 0, retries = 0;

	if (!connect_all(r) || !warm_up(r, &put, &del))
		return 1;
	list_phase(r, 0);
	if (phase(r, "put", &put)) {
		list_phase(r, r->o.n);
		(void)phase(r, "get", NULL);
		(void)phase(r, "delete", &del);
		list_phase(r, 0);
	}
	for (unsigned k = 0; k < r->o.connections; k++) {
		wrong += r->threads[k].wrong;
		retries += r->threads[k].conn.retries;
	}
	check(r, wrong == 0, "%llu objects had bytes that were not theirs", (unsigned long long)wrong);
	printf("%llu changes were answered TRY_AGAIN and repeated\n", (unsigned long long)retries);
	disconnect_all(r);
	wait_for_reaping(r);
	judge_memory(r);
	return r->failures > 0;
}

static bool read_options(int argc, char **argv, struct options *o)
{
	int c;

	*o = (struct options){.n = 1000000, .connections = 8, .window = 64, .size = 100};
	while ((c = getopt(argc, argv, "n:c:w:s:pd:")) != -1) {
		if (c == 'n')
			o->n = strtoull(optarg, NULL, 10);
		else if (c == 'c')
			o->connections = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'w')
			o->window = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 's')
			o->size = strtoul(optarg, NULL, 10);
		else if (c == 'p')
			o->persistent = true;
		else if (c == 'd')
			o->objects_dir = optarg;
		else
			return false;
	}
	if (optind + 1 != argc)
		return false;
	o->socket = argv[optind];
	return o->n >= 1000 && o->n <= UINT32_MAX && o->connections >= 1 && o->connections <= CONNECTIONS_MAX && o->window >= 1 &&
	       o->window <= MILLION_WINDOW_MAX && o->size <= MILLION_SIZE_MAX;
}

int main(int argc, char **argv)
{
	static struct run r;
	int rc = 1;

	if (!read_options(argc, argv, &r.o)) {
		fprintf(stderr, "usage: %s [-n OBJECTS] [-c 1..64] [-w 1..256] [-s 0..4096] [-p] [-d OBJECTS_DIR] SOCKET\n", argv[0]);
		return 2;
	}
	r.supervisor = million_proc_find(r.o.socket);
	r.us = calloc(r.o.n / SLICES + WARM_UP + 1, sizeof(r.us[0]));
	if (r.supervisor > 0 && r.us)
		rc = million(&r);
	free(r.us);
	return rc;
}
