/*
 * bench.h: objm-bench, inside: options, latencies, placement, drivers, the result.
 *
 * Load is made by threads of one process, each with a driver's connection of its own (bench_load.c), or by a pair of processes
 * (floor). Each thread has its own histogram; they are added up at the end.
 */
#ifndef BENCH_H
#define BENCH_H

#include "common/om_base.h"

enum bench_exit { BENCH_OK = 0, BENCH_FAILED = 1, BENCH_USAGE = 2 };

#define BENCH_DEPTH_MAX 253u
#define BENCH_CONNECTIONS_MAX 1024u
#define BENCH_URI_MAX 256u

struct bench_opts {
	const char *socket;    /* NULL: the library's default */
	const char *prefix;    /* of the objects that are made */
	const char *peer;      /* NULL: objmapper; else the name of another system */
	const char *files;     /* floor --open, peer path: directory whose files are opened */
	const char *programs;  /* start: directory of the built programs; NULL: found by itself */
	const char *dir;       /* start, index: where scratch data goes; NULL: /var/tmp, /dev/shm */
	const char *durability; /* put: none, batch, sync; NULL: the tier's own */
	uint64_t objects, size;
	uint64_t spin_us; /* with a rate: look at the clock all the time for so long before a request is due, instead of sleeping */
	uint32_t depth, connections;
	double seconds, zipf; /* zipf 0: uniform */
	double rate;	      /* operations a second in all; 0: as fast as they go */
	double puts;	      /* mix: share of puts */
	bool copy, cache, cache_data, read, open, same_cpu, ephemeral, json, keep, no_prepare, cold;
	int client_cpu, server_cpu; /* -1: wherever the kernel likes */
};

/*
 * Latencies from 1 ns to 2^40 ns, in steps of 1/64 of their power of two (under 1.6 % error): fixed memory, one
 * increment to record. (The HdrHistogram library for C is not in Debian 12; this has its shape.)
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
enum bench_kind { BENCH_GETS, BENCH_PUTS, BENCH_KIND_COUNT };
struct bench_result {
	struct bench_hist hist[BENCH_KIND_COUNT]; /* a request's latency; closed loop with depth > 1: of its batch */
	struct bench_hist late; /* open loop: how long after a request was due the generator, which slept, went on */
	struct bench_hist call; /* open loop: a request's latency from when it was sent, however late that was */
	uint64_t ops, errors, bytes;
	double seconds;
	const char *how; /* which of several ways a driver took; NULL: it has one */
};
/** A table, or one JSON object with ops_per_s, p50_us, p99_us, p999_us, errors. BENCH_OK or BENCH_FAILED. */
int bench_print(const char *what, const struct bench_opts *opts, const struct bench_result *result);

/* A number of the commands that measure other things than operations. */
struct bench_value {
	const char *name;
	double value;
};
/** Named numbers: lines, or one JSON object. `what` goes in front. BENCH_OK or BENCH_FAILED. */
int bench_print_values(const char *what, const struct bench_opts *opts, const struct bench_value *values, size_t n);

/** Random numbers (splitmix64), one state a thread. */
uint64_t bench_random(uint64_t *state);
/** Picks object numbers below `n`: uniform, or by Zipf's law with exponent `zipf`. NULL: out of memory. */
struct bench_pick;
struct bench_pick *bench_pick_new(uint64_t n, double zipf);
uint64_t bench_pick_next(const struct bench_pick *pick, uint64_t *state);
void bench_pick_free(struct bench_pick *pick);

/** Bind the calling thread to a CPU; -1: nothing. 0 or -1 with errno. */
int bench_pin(int cpu);
/**
 * Bind every thread of what serves a socket to a CPU: objmapper's workers, which are children of the process that listens;
 * of another system the process that listens and its children. BENCH_OK, or BENCH_FAILED after a message.
 */
int bench_pin_server(const char *socket_path, int cpu, bool workers_only);

/** URI of object number i: its length; `ret_uri` has BENCH_URI_MAX bytes. Quick: it stands beside a 30 ns look-up. */
uint32_t bench_uri(const struct bench_opts *o, uint64_t i, char *ret_uri);
/** Read every byte once: adds 64-bit words to a sum that the compiler cannot leave out. */
void bench_consume(const void *data, size_t len);
/** Every byte of a descriptor, by pread through a buffer. False: it is shorter than `size`. */
bool bench_consume_fd(int fd, uint64_t size);
/** The socket that the command line, the environment or the library says. */
const char *bench_socket(const struct bench_opts *o);

/* ---------------------------------------------------------------- drivers (bench_load.c runs them) */

struct bench_item {
	uint64_t number;
	const char *uri;
	uint32_t uri_len;
};

/*
 * How one system is asked. Every thread has a handle of its own. get and put ask for n items at once, wait for all answers
 * and add to r->ops, r->errors and r->bytes; with o->read every byte has been read when they return. False: the connection
 * broke, a message was printed. NULL: this system has no such operation.
 */
struct bench_driver {
	const char *name;
	bool foreign; /* not objmapper: its objects are stored through `put` */
	void *(*open)(const struct bench_opts *o, unsigned thread);
	bool (*get)(void *h, const struct bench_item *items, unsigned n, struct bench_result *r);
	bool (*put)(void *h, const struct bench_item *items, unsigned n, struct bench_result *r);
	bool (*remove)(void *h, const struct bench_item *items, unsigned n, struct bench_result *r);
	void (*close)(void *h);
	bool (*begin)(const struct bench_opts *o); /* once before all; may be NULL */
	unsigned block; /* not 0: latencies are those of this many operations, divided: they are shorter than a clock's reading */
};
extern const struct bench_driver bench_objm, bench_objm_cache, bench_objm_copy, bench_redis, bench_memcached, bench_http, bench_path,
	bench_bare, bench_rename;

struct objm_put_options;
struct objm_options;
struct objm;
/** Of sessions with objmapper: what every driver of it wants. */
void bench_options(struct objm_options *ret);
/**
 * A call failed with `status`. True: because the server has gone, or cannot serve; that was said, once for all connections, and the run is
 * to end.
 */
bool bench_gone(struct objm *s, int status);
/** Some connection found that. */
bool bench_was_gone(void);
/** Of objmapper's puts: what --ephemeral and --durability say. */
void bench_put_options(const struct bench_opts *o, struct objm_put_options *ret);

/** Objects as plain files under o->files, named by their URIs: for the drivers path and http. */
bool bench_path_begin(const struct bench_opts *o);
bool bench_path_store(const struct bench_opts *o, const struct bench_item *items, unsigned n, const void *data, struct bench_result *r);
bool bench_path_remove(const struct bench_opts *o, const struct bench_item *items, unsigned n, struct bench_result *r);

int bench_get(const struct bench_opts *opts);
int bench_put(const struct bench_opts *opts);
int bench_mix(const struct bench_opts *opts);
int bench_floor(const struct bench_opts *opts);
int bench_index(const struct bench_opts *opts);
int bench_start(const struct bench_opts *opts);

int bench_fail(const char *fmt, ...) OM_PRINTF(1, 2);

#endif
