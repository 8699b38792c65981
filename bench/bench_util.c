/*
 * bench_util.c: latencies, random choice, names and bytes of objects.
 */
#include "bench/bench.h"

#include <math.h>
#include <stdarg.h>

#include "client/objm.h"

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

/* ---------------------------------------------------------------- objects */

const char *bench_socket(const struct bench_opts *o)
{
	const char *env = getenv("OBJM_SOCKET");

	return o->socket ? o->socket : env && *env ? env : OBJM_SOCKET_DEFAULT;
}

uint32_t bench_uri(const struct bench_opts *o, uint64_t i, char *ret_uri)
{
	size_t n = strlen(o->prefix), digits = 0;
	char rev[20];

	do {
		rev[digits++] = (char)('0' + i % 10);
		i /= 10;
	} while (i);
	memcpy(ret_uri, o->prefix, n);
	ret_uri[n++] = '/';
	while (digits > 0)
		ret_uri[n++] = rev[--digits];
	ret_uri[n] = '\0';
	return (uint32_t)n;
}

static _Thread_local volatile uint64_t sink;

void bench_consume(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t a = 0, b = 0, w[2];

	for (; len >= sizeof(w); p += sizeof(w), len -= sizeof(w)) {
		memcpy(w, p, sizeof(w));
		a += w[0];
		b += w[1];
	}
	while (len-- > 0)
		a += *p++;
	sink = sink + a + b;
}

#define READ_BUFFER (256u << 10) /* stays in the second cache; a mapping costs its page faults, at any size */

bool bench_consume_fd(int fd, uint64_t size)
{
	static _Thread_local char buf[READ_BUFFER];

	for (uint64_t at = 0; at < size;) {
		ssize_t n = pread(fd, buf, (size_t)OM_MIN(size - at, (uint64_t)sizeof(buf)), (off_t)at);

		if (n <= 0)
			return false;
		bench_consume(buf, (size_t)n);
		at += (uint64_t)n;
	}
	return true;
}
