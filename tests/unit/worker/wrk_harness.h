/*
 * wrk_harness.h: a worker inside a test: its loop in one thread, a fake supervisor on the ring in another, the test's own
 * thread is the client. Real index, generations, rings, files; two tiers: 0 "mem" (memory type) and 1 "disk".
 */
#ifndef WRK_HARNESS_H
#define WRK_HARNESS_H

#include <pthread.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/om_counter.h"
#include "index/idx_genw.h"
#include "index/idxw.h"
#include "worker/wrk.h"

#define HARNESS_OBJ_MAX 4096

struct harness_obj {
	char uri[256];
	uint64_t id;
	uint64_t size;
	uint8_t tier;
	bool live;
};

struct harness {
	struct wrk w;
	char dir[64], sock[128], legacy[128];
	struct idxw *idx;
	struct idx_genw *gens;
	struct om_seg counters, alog;
	pthread_t loop_thread, sup_thread;
	pthread_mutex_t lock; /* idx, objs */
	struct om_ring sup; /* the supervisor's end */
	_Atomic bool stop, sup_hold;
	_Atomic unsigned lookups, deletes, lists, gones;
	int gone_home; /* GONE: the tier that serves from then on; -1: the object is gone for good */
	int poke_fd; /* runs `call` in the loop */
	struct wrk_src poke;
	void (*call)(struct harness *h);
	pthread_mutex_t call_lock;
	pthread_cond_t called;
	struct harness_obj objs[HARNESS_OBJ_MAX];
	unsigned n_objs;
	uint64_t next_id;
	_Atomic unsigned admit_max; /* connections that the fake supervisor admits; 0: any number */
	_Atomic unsigned admitted, verdicts;
	_Atomic unsigned watch_max, watching; /* the same of watches */
	struct om_op_watch watch; /* the last one asked for; under lock */
	_Atomic unsigned watches; /* so many were */
};

/* Start with limits changed by `tune` (may be NULL). `complete`: the index answers misses. */
struct harness *harness_start(void (*tune)(struct om_boot_limits *l), bool complete);
void harness_stop(struct harness *h);

/* An object with these bytes; 0: on tier 0 */
uint64_t harness_object(struct harness *h, const char *uri, const void *data, size_t len, unsigned tier);
/* The same, but the index does not know it: only the fake supervisor does. */
uint64_t harness_hidden(struct harness *h, const char *uri, const void *data, size_t len, unsigned tier);
/* A sparse object of `size` bytes (more than 4): "head" at its beginning, 'E' as its last byte, and where they lie below the
 * last 5 bytes "4GiB" at 2^32; zeros else. */
uint64_t harness_sparse(struct harness *h, const char *uri, uint64_t size, unsigned tier);
/* Write the file of an id. */
void harness_file(struct harness *h, uint64_t id, const void *data, size_t len, unsigned tier);
void harness_unlink(struct harness *h, uint64_t id, unsigned tier);
void harness_index(struct harness *h, const char *uri, uint64_t id, uint64_t size, unsigned tier, uint64_t expiry_s);
/* The supervisor tells of a change: `m` without its header and lengths; uri NULL: none. */
void harness_changed(struct harness *h, const struct om_op_changed *m, const char *uri);
/* Wait until the worker has asked for the feed `n` times; the last question. */
struct om_op_watch harness_watch(struct harness *h, unsigned n);
/* Run `fn` in the loop's thread and wait for it. */
void harness_call(struct harness *h, void (*fn)(struct harness *h));
uint64_t harness_counter(enum om_counter c);

/* The client's side. All fail the test on an error; reads have a time-out of 10 s. */
int harness_connect(struct harness *h);
int harness_connect_legacy(struct harness *h);
void harness_write(int fd, const void *p, size_t n);
void harness_read(int fd, void *p, size_t n); /* with read(2) */
int harness_read_fd_byte(int fd);	      /* recvmsg of `X` with its descriptor */
bool harness_at_end(int fd);		      /* read gives 0 */
bool harness_quiet(int fd, int ms);	      /* nothing to read for that long */

#endif
