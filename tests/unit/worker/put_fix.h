/*
 * put_fix.h: put sessions under test: a worker's loop, pool, ring and tiers in this thread, a fake supervisor that answers
 * between two turns of the loop. Tiers: 0 "mem" on /dev/shm, 1 "disk" and 2 "spare" in $TMPDIR or /tmp.
 */
#ifndef PUT_FIX_H
#define PUT_FIX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "index/idxw.h"
#include "worker/wrk_legacy.h"
#include "worker/wrk_put_int.h"

#define PUT_FIX_TIERS 3u

struct put_fix {
	struct wrk w;
	struct idxw *idx;
	char dirs[PUT_FIX_TIERS][64];
	struct om_ring sup;
	/* the fake supervisor */
	uint64_t next_id;
	int prepare_status, commit_status; /* verdicts given, 0: OK */
	int prepare_busy;		   /* so many PREPAREs get TRY_AGAIN first */
	bool hold;			   /* takes nothing from the ring */
	unsigned keep;			   /* PREPAREs behind so many get no answer before put_fix_let(); 0: all do */
	uint64_t kept[16];		   /* their requests */
	unsigned n_kept;
	bool keep_commits;		   /* COMMITs get no answer before put_fix_let_commits() */
	struct put_fix_kept { uint64_t req, id; } kept_commits[16];
	unsigned n_kept_commits;
	unsigned prepares, commits, aborts, reserves, releases;
	int reserve_status[PUT_FIX_TIERS], wait_status; /* verdicts on RESERVE, without and with `wait` */
	struct om_op_reserve last_reserve;
	uint32_t last_room; /* of PREPARE */
	int abort_status;
	struct om_op_commit last; /* COMMIT */
	char last_uri[OM_URI_MAX + 1];
	/* answers */
	unsigned n_begun, n_done;
	struct wrk_put_begun begun;
	struct wrk_put_done done;
	char text[512];
};

/** Start; `durability` of the disk tiers; `tune` may change the boot message before anything is made (NULL: no). */
void put_fix_start(struct put_fix *f, unsigned durability, void (*tune)(struct om_proc_boot *));
void put_fix_stop(struct put_fix *f);
void put_fix_row(struct put_fix *f, unsigned tier, uint64_t used, uint64_t capacity, enum om_tier_state state);
/** Turn the loop (and the supervisor) until *n is `want`, or fail after 10 s. */
void put_fix_until(struct put_fix *f, const unsigned *n, unsigned want);
/** Answer the PREPAREs that were kept, and keep none any more. */
void put_fix_let(struct put_fix *f);
/** Answer the COMMITs that were kept, and keep none any more. */
void put_fix_let_commits(struct put_fix *f);
/** Turn for so long. */
void put_fix_for(struct put_fix *f, unsigned ms);
/** The callbacks: note what came in f; arg is f. */
void put_fix_begun(void *arg, const struct wrk_put_begun *b);
void put_fix_done(void *arg, const struct wrk_put_done *d);
struct wrk_put_req put_fix_req(const char *uri);
/** Begin and wait: the writable descriptor. Fails the test unless it begins. */
int put_fix_begin(struct put_fix *f, struct wrk_put_owner *o, const struct wrk_put_req *req);
/** Commit the session begun last and wait for the answer: its status. */
int put_fix_commit(struct put_fix *f, struct wrk_put_owner *o);
/** Bytes of the object's file, -1: not there. Its mode goes to *ret_mode if not NULL. */
ssize_t put_fix_read(struct put_fix *f, unsigned tier, uint64_t id, char *buf, size_t len, unsigned *ret_mode);
/** Files below objects/ of a tier. */
unsigned put_fix_files(struct put_fix *f, unsigned tier);

#endif
