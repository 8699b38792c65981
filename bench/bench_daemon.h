/*
 * bench_daemon.h: a daemon of the bench's own, in a directory of its own. One at a time; main thread only.
 */
#ifndef BENCH_DAEMON_H
#define BENCH_DAEMON_H

#include <jansson.h>

#include "bench/bench.h"

struct bench_daemon {
	char dir[256];	   /* of everything; removed by bench_daemon_remove() */
	char program[512]; /* objmapperd */
	char conf[300], data[300], admin[300], state[300], tier[300];
	pid_t pid;	   /* 0: not running */
};

/** Make the directory below opts->dir and the configuration. BENCH_OK, or BENCH_FAILED after a message. */
int bench_daemon_make(const struct bench_opts *o, struct bench_daemon *d);
/** Start it; does not wait for anything. */
int bench_daemon_spawn(struct bench_daemon *d);
/** End it with a signal and collect it; SIGTERM: it must end with status 0. */
int bench_daemon_end(struct bench_daemon *d, int sig);
/** {"cmd":"status"} over the admin socket; NULL: no answer (yet). The caller's reference. */
json_t *bench_daemon_status(const struct bench_daemon *d);
/** The end of its log to standard error: behind the message of what failed, before the directory goes. */
void bench_daemon_show_log(const struct bench_daemon *d);
/** Kill it if it runs, remove the directory. */
void bench_daemon_remove(struct bench_daemon *d);

#endif
