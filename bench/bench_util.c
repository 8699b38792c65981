/*
 * bench_util.c: latencies, random choice, placement on CPUs, and the report of objm-bench.
 */
#include "bench/bench.h"

#include <dirent.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <jansson.h>

int bench_fail(const char *fmt, ...)
{
	va_list ap;

	fputs("objm-bench: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return BENCH_FAILED;
}

/* ---------------------------------------------------------------- latencies */

static size_t bucket_of(uint64_t ns)
{
	unsigned top;

	ns = OM_MIN(ns, (UINT64_C(1) << 40) - 1);
	if (ns < (1u << BENCH_SUB_BITS))
		return (size_t)ns;
	top = 63u - (unsigned)__builtin_clzll(ns);
	return ((size_t)(top - BENCH_SUB_BITS + 1) << BENCH_SUB_BITS) + ((ns >> (top - BENCH_SUB_BITS)) & ((1u << BENCH_SUB_BITS) - 1));
}

/* Middle of a bucket. */
static uint64_t value_of(size_t bucket)
{
	unsigned shift;

	if (bucket < (1u << BENCH_SUB_BITS))
		return bucket;
	shift = (unsigned)(bucket >> BENCH_SUB_BITS) - 1;
	return (((bucket & ((1u << BENCH_SUB_BITS) - 1)) + (UINT64_C(1) << BENCH_SUB_BITS)) << shift) + ((UINT64_C(1) << shift) >> 1);
}

void bench_hist_add(struct bench_hist *h, uint64_t ns, uint64_t times)
{
	h->count += times;
	h->bucket[bucket_of(ns)] += times;
}

void bench_hist_merge(struct bench_hist *to, const struct bench_hist *from)
{
	to->count += from->count;
	for (size_t i = 0; i < BENCH_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
}

uint64_t bench_hist_ns(const struct bench_hist *h, double share)
{
	uint64_t want = (uint64_t)ceil((double)h->count * share), seen = 0;

	for (size_t i = 0; i < BENCH_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= want && seen > 0)
			return value_of(i);
	}
	return 0;
}

/* ---------------------------------------------------------------- report */

int bench_print(const char *what, const struct bench_opts *opts, const struct bench_result *r)
{
	double ops = r->seconds > 0 ? (double)r->ops / r->seconds : 0;
	double p50 = (double)bench_hist_ns(&r->hist, 0.5) / 1000, p99 = (double)bench_hist_ns(&r->hist, 0.99) / 1000;
	double p999 = (double)bench_hist_ns(&r->hist, 0.999) / 1000;

	if (opts->json) {
		json_t *o = json_pack("{s:s, s:f, s:f, s:f, s:f, s:I, s:I, s:f, s:I, s:I}", "what", what, "ops_per_s", ops, "p50_us", p50,
				      "p99_us", p99, "p999_us", p999, "errors", (json_int_t)r->errors, "ops", (json_int_t)r->ops,
				      "seconds", r->seconds, "depth", (json_int_t)opts->depth, "bytes", (json_int_t)r->bytes);

		if (!o || json_dumpf(o, stdout, JSON_REAL_PRECISION(9)) < 0)
			return bench_fail("cannot print the result");
		json_decref(o);
		putchar('\n');
	} else {
		printf("%s: %.0f/s in %.2f s (%llu, %llu errors)\n", what, ops, r->seconds, (unsigned long long)r->ops,
		       (unsigned long long)r->errors);
		printf("%s: median %.1f us, 99 %% %.1f us, 99.9 %% %.1f us\n", opts->depth > 1 ? "latency of a batch" : "latency", p50, p99, p999);
	}
	return fflush(stdout) == 0 ? BENCH_OK : bench_fail("cannot print the result: %s", strerror(errno));
}

/* ---------------------------------------------------------------- choice */

uint64_t bench_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

struct bench_pick {
	uint64_t n;
	double *cumulated; /* NULL: uniform */
};

struct bench_pick *bench_pick_new(uint64_t n, double zipf)
{
	struct bench_pick *p = calloc(1, sizeof(*p));
	double sum = 0;

	if (!p)
		return NULL;
	p->n = n;
	if (zipf > 0) {
		p->cumulated = malloc(n * sizeof(double));
		if (!p->cumulated) {
			free(p);
			return NULL;
		}
		for (uint64_t i = 0; i < n; i++)
			p->cumulated[i] = sum += pow((double)(i + 1), -zipf);
	}
	return p;
}

uint64_t bench_pick_next(const struct bench_pick *p, uint64_t *state)
{
	uint64_t r = bench_random(state), low = 0, high = p->n - 1;
	double x;

	if (!p->cumulated)
		return (uint64_t)((unsigned __int128)r * p->n >> 64);
	x = (double)(r >> 11) * 0x1p-53 * p->cumulated[p->n - 1];
	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (p->cumulated[mid] > x)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

void bench_pick_free(struct bench_pick *p)
{
	if (p)
		free(p->cumulated);
	free(p);
}

/* ---------------------------------------------------------------- placement */

static int pin_task(pid_t tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(tid, sizeof(set), &set);
}

int bench_pin(int cpu)
{
	return cpu < 0 ? 0 : pin_task(0, cpu);
}

/* The process that listens at a socket: the kernel says who called listen(). */
static pid_t listener_of(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ucred cred;
	socklen_t len = sizeof(cred);
	OM_AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(addr.sun_path))
		return -1;
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -1;
	return cred.pid;
}

/* Every thread of one process; false if there was none that could be bound. */
static bool pin_process(pid_t pid, int cpu)
{
	char path[64];
	struct dirent *e;
	bool any = false;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.' && pin_task((pid_t)strtol(e->d_name, NULL, 10), cpu) == 0)
			any = true;
	if (dir)
		(void)closedir(dir);
	return any;
}

int bench_pin_server(const char *socket_path, int cpu)
{
	pid_t supervisor = listener_of(socket_path), child;
	char path[64], comm[32];
	unsigned pinned = 0;
	FILE *children;

	if (supervisor <= 0)
		return bench_fail("--server-cpu: nobody listens at %s", socket_path);
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)supervisor, (int)supervisor);
	children = fopen(path, "re");
	while (children && fscanf(children, "%d", &child) == 1) {
		OM_AUTO_FILE f = NULL;

		(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)child);
		f = fopen(path, "re");
		/* The kernel cuts names at 15 characters. */
		if (f && fgets(comm, sizeof(comm), f) && strncmp(comm, "objmapper-worke", 15) == 0)
			pinned += pin_process(child, cpu);
	}
	if (children)
		(void)fclose(children);
	return pinned ? BENCH_OK : bench_fail("--server-cpu: no worker of process %d could be bound to CPU %d", (int)supervisor, cpu);
}
