/*
 * bench.h: objm-bench, inside: options, latencies, placement, the result.
 *
 * Load is made by threads of one process (get, put) or by a pair of processes (floor). Each thread has its own histogram;
 * they are added up at the end.
 */
#ifndef BENCH_H
#define BENCH_H

#include "common/om_base.h"

enum bench_exit { BENCH_OK = 0, BENCH_FAILED = 1, BENCH_USAGE = 2 };

#define BENCH_DEPTH_MAX 253u
#define BENCH_CONNECTIONS_MAX 1024u

struct bench_opts {
	const char *socket; /* NULL: the library's default */
	const char *prefix; /* of the objects that are made */
	uint64_t objects, size;
	uint32_t depth, connections;
	double seconds, zipf; /* zipf 0: uniform */
	bool copy, read, open, same_cpu, ephemeral, json, keep;
	int client_cpu, server_cpu; /* -1: wherever the kernel likes */
};

/*
 * Latencies from 1 ns to 2^40 ns, in steps of 1/64 of their power of two (under 1.6 % error): fixed memory, one
 * increment to record.
 */
#define BENCH_SUB_BITS 6
#define BENCH_BUCKETS ((40 - BENCH_SUB_BITS + 1) << BENCH_SUB_BITS)
struct bench_hist {
	uint64_t count;
	uint64_t bucket[BENCH_BUCKETS];
};
void bench_hist_add(struct bench_hist *h, uint64_t ns, uint64_t times);
void bench_hist_merge(struct bench_hist *to, const struct bench_hist *from);
/** The latency that `share` (0..1) of all are at most as long as; 0 when there are none. */
uint64_t bench_hist_ns(const struct bench_hist *h, double share);

/* What is reported. */
struct bench_result {
	struct bench_hist hist; /* a request's latency; with depth > 1, of its batch */
	uint64_t ops, errors, bytes;
	double seconds;
};
/** A table, or one JSON object with ops_per_s, p50_us, p99_us, p999_us, errors. BENCH_OK or BENCH_FAILED. */
int bench_print(const char *what, const struct bench_opts *opts, const struct bench_result *result);

/** Random numbers (xoshiro-like quality is not needed; splitmix64), one state a thread. */
uint64_t bench_random(uint64_t *state);
/** Picks object numbers below `n`: uniform, or by Zipf's law with exponent `zipf`. NULL: out of memory. */
struct bench_pick;
struct bench_pick *bench_pick_new(uint64_t n, double zipf);
uint64_t bench_pick_next(const struct bench_pick *pick, uint64_t *state);
void bench_pick_free(struct bench_pick *pick);

/** Bind the calling thread to a CPU; -1: nothing. 0 or -1 with errno. */
int bench_pin(int cpu);
/** Bind every thread of the workers behind a socket to a CPU: found as children of the process that listens there. 0, or BENCH_FAILED after a message. */
int bench_pin_server(const char *socket_path, int cpu);

int bench_get(const struct bench_opts *opts);
int bench_put(const struct bench_opts *opts);
int bench_floor(const struct bench_opts *opts);

int bench_fail(const char *fmt, ...) OM_PRINTF(1, 2);

#endif
