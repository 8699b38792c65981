/*
 * bench_report.c: results for people and as JSON.
 */
#include <jansson.h>

#include "bench/bench.h"

static int dump(json_t *o)
{
	bool done = o && json_dumpf(o, stdout, JSON_REAL_PRECISION(9)) == 0 && putchar('\n') != EOF && fflush(stdout) == 0;

	json_decref(o);
	return done ? BENCH_OK : bench_fail("cannot print the result: %s", o ? strerror(errno) : "out of memory");
}

static double us(const struct bench_hist *h, double share) { return (double)bench_hist_ns(h, share) / 1000; }

static json_t *quantiles(const struct bench_hist *h)
{
	return json_pack("{s:f, s:f, s:f}", "p50_us", us(h, 0.5), "p99_us", us(h, 0.99), "p999_us", us(h, 0.999));
}

static int print_json(const char *what, const struct bench_opts *opts, const struct bench_result *r, const struct bench_hist *all, double ops)
{
	json_t *o = json_pack("{s:s, s:f, s:f, s:f, s:f, s:I, s:I, s:f, s:I, s:I, s:I}", "what", what, "ops_per_s", ops, "p50_us", us(all, 0.5),
			      "p99_us", us(all, 0.99), "p999_us", us(all, 0.999), "errors", (json_int_t)r->errors, "ops", (json_int_t)r->ops,
			      "seconds", r->seconds, "depth", (json_int_t)opts->depth, "connections", (json_int_t)opts->connections, "bytes",
			      (json_int_t)r->bytes);

	if (o && opts->rate > 0) {
		(void)json_object_set_new(o, "rate", json_real(opts->rate));
		(void)json_object_set_new(o, "late", quantiles(&r->late));
		(void)json_object_set_new(o, "call", quantiles(&r->call));
	}
	if (o && r->how)
		(void)json_object_set_new(o, "how", json_string(r->how));
	if (o && opts->peer)
		(void)json_object_set_new(o, "peer", json_string(opts->peer));
	for (int k = 0; o && r->hist[BENCH_GETS].count && r->hist[BENCH_PUTS].count && k < BENCH_KIND_COUNT; k++)
		(void)json_object_set_new(o, k == BENCH_GETS ? "get" : "put", quantiles(&r->hist[k]));
	return dump(o);
}

static void print_hist(const char *of, const struct bench_hist *h)
{
	printf("%s: median %.3g us, 99 %% %.3g us, 99.9 %% %.3g us\n", of, us(h, 0.5), us(h, 0.99), us(h, 0.999));
}

int bench_print(const char *what, const struct bench_opts *opts, const struct bench_result *r)
{
	static struct bench_hist all;
	double ops = r->seconds > 0 ? (double)r->ops / r->seconds : 0;
	bool both = r->hist[BENCH_GETS].count && r->hist[BENCH_PUTS].count;

	for (int k = 0; k < BENCH_KIND_COUNT; k++)
		bench_hist_merge(&all, &r->hist[k]);
	if (opts->json) {
		if (print_json(what, opts, r, &all, ops) != BENCH_OK)
			return BENCH_FAILED;
	} else {
		printf("%s%s%s: %.0f/s in %.2f s (%llu, %llu errors)\n", what, r->how ? ", " : "", r->how ? r->how : "", ops, r->seconds,
		       (unsigned long long)r->ops, (unsigned long long)r->errors);
		print_hist(opts->depth > 1 && opts->rate <= 0 ? "latency of a batch" : "latency", &all);
		if (opts->rate > 0) {
			print_hist("  the generator was late", &r->late);
			print_hist("  from when it was sent", &r->call);
		}
		if (both) {
			print_hist("  of gets", &r->hist[BENCH_GETS]);
			print_hist("  of puts", &r->hist[BENCH_PUTS]);
		}
	}
	return fflush(stdout) == 0 ? BENCH_OK : bench_fail("cannot print the result: %s", strerror(errno));
}

int bench_print_values(const char *what, const struct bench_opts *opts, const struct bench_value *values, size_t n)
{
	json_t *o;

	if (!opts->json) {
		for (size_t i = 0; i < n; i++)
			printf("%s: %s %.6g\n", what, values[i].name, values[i].value);
		return fflush(stdout) == 0 ? BENCH_OK : bench_fail("cannot print the result: %s", strerror(errno));
	}
	o = json_pack("{s:s}", "what", what);
	for (size_t i = 0; o && i < n; i++)
		(void)json_object_set_new(o, values[i].name, json_real(values[i].value));
	return dump(o);
}
