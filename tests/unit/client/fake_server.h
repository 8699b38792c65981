/*
 * fake_server.h: a server of the extension in a process of its own, with its objects in memory and a knob for each
 * fault.
 *
 * For tests of libobjm's sessions. Serves one connection at a time. Everything in struct fake lies in memory shared
 * with the
 * server process: the test sets knobs and reads counters while it runs.
 */
#ifndef FAKE_SERVER_H
#define FAKE_SERVER_H

#include <stdatomic.h>

#include "common/om_base.h"
#include "common/proto/om_proto.h"

struct fake {
	/* Knobs. */
	atomic_int chunk;	   /* bytes to a send; 0: all at once */
	atomic_int cut_after;	   /* close the connection after this many bytes have been sent on it; -1: never */
	atomic_int cut_conns;	   /* ... on this many connections, then no more */
	atomic_int refuse_op;	   /* answer this operation with refuse_status ... */
	atomic_int refuse_status;
	atomic_int refuse_count;   /* ... this many times */
	atomic_int die_op;	   /* close the connection on this operation ... */
	atomic_int die_count;	   /* ... this many times ... */
	atomic_int die_applied;	   /* ... after it was applied (not only before) */
	atomic_int stall_op;	   /* never answer this operation */
	atomic_int no_extension;   /* do not grant it */
	atomic_int garbage_op;	   /* answer this operation with bytes that are no message */
	atomic_int no_fd;	   /* announce a descriptor and send none */
	atomic_int index_off;	   /* GET of many: added to each INDEX */
	atomic_int index_same;	   /* ... every INDEX is that of the first */
	atomic_int surplus_fd;	   /* send one descriptor more than announced */
	atomic_int inline_max;	   /* of LIMITS; default 1 MiB */
	atomic_int uris_max;	   /* of LIMITS; default 253 */
	atomic_int page_max;
	atomic_int say_close;	   /* send CLOSE(shutdown) before an answer, this many times; serve nothing more on that connection */
	atomic_int close_behind;   /* ... behind an answer ... */
	atomic_int close_behind_op; /* ... to this operation alone; 0: to any */
	atomic_int list_loop;	   /* pages whose NEXT does not advance */
	atomic_int tables;	   /* each connection has a table of generations of its own, as if another supervisor answered */
	atomic_int gen;		   /* of answers; default 2 */
	atomic_int rev_conn;	   /* the revision that answers give is the number of their connection */
	/* Counters. */
	atomic_int leaves; /* CLOSEs that have left */
	atomic_int connections, requests, applied, begun, aborted, frames_in_get_max;
	/* Fixed. */
	char path[100];
	char dir[64];
	int pid;
};

/** Start one: never NULL (a failure ends the test program). */
struct fake *fake_start(void);
void fake_stop(struct fake *f);
/** Kill the server and start another one at the same path, with no objects and the same knobs. */
void fake_restart(struct fake *f);

#endif
