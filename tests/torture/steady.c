/*
 * steady.c: clients that never stop, for restarts that nobody should notice. Each makes one call after the other through
 * libobjm: puts on disk, in memory and through a descriptor of its own, gets (checked byte for byte), listings. It knows for
 * each of its objects what was acknowledged last; anything else that it ever reads, and any call that fails, is a fault.
 *
 *   steady SOCKET CLIENTS STOP_FILE [NAME]
 *
 * Runs until STOP_FILE exists, then every client reads all of its objects once more. A line a fault ("failed: ", "wrong: ");
 * the last line is a JSON object: clients, calls by kind, failed, wrong, seconds, latency (count of calls at most so long, in
 * ms), longest_ms. Exit status 0: no fault.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/objm.h"

#define OBJECTS 64u /* of a client and kind */
#define CLIENTS_MAX 64u
#define BYTES_MAX 20000u
#define FAULTS_SHOWN 20u

enum kind { PUT_DISK, PUT_MEMORY, PUT_STEPS, GET, READ, LIST, KINDS };
static const char *const kind_names[KINDS] = { "put_disk", "put_memory", "put_steps", "get", "read", "list" };
static const unsigned steps_ms[] = { 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, UINT32_MAX };
#define STEPS (sizeof(steps_ms) / sizeof(steps_ms[0]))

struct result {
	_Atomic uint64_t calls[KINDS], latency[STEPS], failed, wrong, longest_us;
};
static struct result *sum;

struct client {
	unsigned no;
	const char *name;
	objm_t *s;
	uint64_t rng, n;
	uint64_t acked[2][OBJECTS]; /* version last acknowledged; 0: none */
	unsigned count[2];	    /* of them, objects that exist */
	char want[BYTES_MAX], got[BYTES_MAX + 1];
};

static uint64_t now_us(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static uint64_t next(struct client *c)
{
	c->rng ^= c->rng << 13;
	c->rng ^= c->rng >> 7;
	c->rng ^= c->rng << 17;
	return c->rng;
}

static void uri_of(const struct client *c, unsigned where, unsigned i, char *ret, size_t cap)
{
	(void)snprintf(ret, cap, "/steady/%s/%u/%s/%03u", c->name, c->no, where ? "memory" : "disk", i);
}

/* The bytes of a version follow from its number. */
static size_t bytes_of(uint64_t version, unsigned i, char *ret)
{
	size_t len = (size_t)((version * 2654435761u + i * 97u) % BYTES_MAX);
	for (size_t k = 0; k < len; k++)
		ret[k] = (char)(version * 31u + i + k * 7u + (k >> 8));
	return len;
}

static void fault(_Atomic uint64_t *which, const char *what, const char *uri, const char *why)
{
	if (atomic_fetch_add(which, 1) < FAULTS_SHOWN)
		(void)printf("%s: %s: %s\n", what, uri, why);
	(void)fflush(stdout);
}

static void timed(enum kind kind, uint64_t from_us)
{
	uint64_t us = now_us() - from_us, was = atomic_load(&sum->longest_us);
	unsigned i = 0;

	while (us > (uint64_t)steps_ms[i] * 1000u && i + 1 < STEPS)
		i++;
	(void)atomic_fetch_add(&sum->latency[i], 1);
	(void)atomic_fetch_add(&sum->calls[kind], 1);
	while (us > was && !atomic_compare_exchange_weak(&sum->longest_us, &was, us)) {
	}
}

static int put_steps(struct client *c, const char *uri, size_t len)
{
	objm_put_t *put;
	int err = objm_put_begin(c->s, uri, NULL, &put);

	if (err < 0)
		return err;
	for (size_t at = 0; at < len;) { /* in pieces: a restart may come in between */
		size_t n = len - at < 4096 ? len - at : 4096;
		ssize_t w = pwrite(objm_put_writefd(put), c->want + at, n, (off_t)at);
		if (w <= 0) {
			objm_put_abort(put);
			return -OBJM_STATUS_STORAGE;
		}
		at += (size_t)w;
	}
	return objm_put_commit(put, NULL);
}

static void do_put(struct client *c, enum kind kind)
{
	struct objm_put_options opt = OBJM_PUT_OPTIONS_INIT;
	unsigned where = kind == PUT_MEMORY, i = (unsigned)(next(c) % OBJECTS);
	uint64_t version = ++c->n, from;
	size_t len = bytes_of(version, i, c->want);
	char uri[128];
	int err;

	uri_of(c, where, i, uri, sizeof(uri));
	opt.flags = where ? OBJM_EPHEMERAL : 0;
	from = now_us();
	err = kind == PUT_STEPS ? put_steps(c, uri, len) : objm_put_buf(c->s, uri, c->want, len, &opt, NULL);
	timed(kind, from);
	if (err < 0) {
		fault(&sum->failed, "failed", uri, objm_error(c->s));
		return; /* whether it took effect is not known; the next one of this object tells */
	}
	c->count[where] += c->acked[where][i] == 0;
	c->acked[where][i] = version;
}

static void check(struct client *c, unsigned where, unsigned i, enum kind kind, bool last)
{
	uint64_t from = now_us(), version = c->acked[where][i];
	size_t size = 0, len;
	char uri[128];
	int err, fd = -1;

	uri_of(c, where, i, uri, sizeof(uri));
	if (kind == READ) {
		err = objm_read(c->s, uri, c->got, sizeof(c->got), &size, NULL);
	} else {
		err = objm_get(c->s, uri, 0, NULL, &fd);
		if (err == 0) {
			ssize_t n = pread(fd, c->got, sizeof(c->got), 0);
			size = n < 0 ? 0 : (size_t)n;
			(void)close(fd);
		}
	}
	timed(kind, from);
	if (err < 0) {
		fault(err == -OBJM_STATUS_NOT_FOUND ? &sum->wrong : &sum->failed, last ? "lost" : "failed", uri, objm_error(c->s));
		return;
	}
	len = bytes_of(version, i, c->want);
	if (size != len || memcmp(c->got, c->want, len))
		fault(&sum->wrong, "wrong", uri, "not the bytes that were acknowledged last");
}

static void do_get(struct client *c, enum kind kind)
{
	unsigned where = (unsigned)(next(c) & 1u), i = (unsigned)(next(c) % OBJECTS);

	for (unsigned k = 0; k < OBJECTS && !c->acked[where][i]; k++)
		i = (i + 1) % OBJECTS;
	if (c->acked[where][i])
		check(c, where, i, kind, false);
}

static void do_list(struct client *c)
{
	struct objm_list_options opt = { .size = sizeof(opt) };
	const struct objm_entry *e;
	objm_list_t *list;
	unsigned n = 0, want = c->count[0] + c->count[1];
	char prefix[128], text[64];
	uint64_t from = now_us();
	int err;

	(void)snprintf(prefix, sizeof(prefix), "/steady/%s/%u/", c->name, c->no);
	opt.prefix = prefix;
	err = objm_list_open(c->s, &opt, &list);
	if (err == 0) {
		while ((err = objm_list_next(list, &e)) == 1)
			n++;
		objm_list_close(list);
	}
	timed(LIST, from);
	(void)snprintf(text, sizeof(text), "%u objects, expected %u", n, want);
	if (err < 0)
		fault(&sum->failed, "failed", prefix, objm_error(c->s));
	else if (n != want)
		fault(&sum->wrong, "wrong", prefix, text);
}

static void run(struct client *c, const char *stop)
{
	while (access(stop, F_OK) < 0) {
		unsigned what = (unsigned)(next(c) % 16);
		if (what < 3)
			do_put(c, (enum kind)what);
		else if (what == 3)
			do_list(c);
		else
			do_get(c, what & 1u ? GET : READ);
	}
	for (unsigned where = 0; where < 2; where++)
		for (unsigned i = 0; i < OBJECTS; i++)
			if (c->acked[where][i])
				check(c, where, i, READ, true);
}

static int client(unsigned no, const char *path, const char *stop, const char *name)
{
	struct objm_options opt = OBJM_OPTIONS_INIT;
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return 1;
	c->no = no;
	c->name = name;
	c->rng = 88172645463325252u + no * 7919u;
	opt.wait_ms = 10000;
	if (objm_open(path, &opt, &c->s) < 0) {
		(void)printf("failed: open: %s\n", objm_error(NULL));
		(void)atomic_fetch_add(&sum->failed, 1);
		free(c);
		return 1;
	}
	run(c, stop);
	objm_close(c->s);
	free(c);
	return 0;
}

static void print(unsigned clients, uint64_t from_us)
{
	(void)printf("{\"clients\": %u", clients);
	for (unsigned i = 0; i < KINDS; i++)
		(void)printf(", \"%s\": %" PRIu64, kind_names[i], atomic_load(&sum->calls[i]));
	(void)printf(", \"failed\": %" PRIu64 ", \"wrong\": %" PRIu64 ", \"seconds\": %.1f, \"latency_ms\": {", atomic_load(&sum->failed),
		     atomic_load(&sum->wrong), (double)(now_us() - from_us) / 1e6);
	for (unsigned i = 0; i < STEPS; i++)
		if (i + 1 < STEPS)
			(void)printf("%s\"%u\": %" PRIu64, i ? ", " : "", steps_ms[i], atomic_load(&sum->latency[i]));
		else
			(void)printf(", \"more\": %" PRIu64, atomic_load(&sum->latency[i]));
	(void)printf("}, \"longest_ms\": %.1f}\n", (double)atomic_load(&sum->longest_us) / 1e3);
}

int main(int argc, char **argv)
{
	unsigned clients = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
	const char *name = argc > 4 ? argv[4] : "a";
	uint64_t from = now_us();
	int status, bad = 0;

	if (argc < 4 || argc > 5 || clients < 1 || clients > CLIENTS_MAX) {
		(void)fprintf(stderr, "usage: steady SOCKET CLIENTS STOP_FILE [NAME]\n");
		return 2;
	}
	sum = mmap(NULL, sizeof(*sum), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sum == MAP_FAILED)
		return 1;
	for (unsigned i = 0; i < clients; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			int r = client(i, argv[1], argv[3], name);
			(void)fflush(stdout);
			_exit(r);
		}
		bad |= pid < 0;
	}
	while (wait(&status) > 0 || errno == EINTR)
		bad |= status != 0;
	print(clients, from);
	return bad || atomic_load(&sum->failed) || atomic_load(&sum->wrong);
}
