/*
 * eng_fix.h: the real engine over two tiers ("memory" on a tmpfs, "disk" on a disk) in directories of its own, with a pretended
 * worker (place 1) and lifecycle process (place 0) on its rings. For tests of what the main loop asks of the engine.
 */
#ifndef ENG_FIX_H
#define ENG_FIX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/om_ring.h"
#include "index/idxr.h"
#include "supervisor/sup_engine.h"

struct peer {
	struct om_ring ring;
	struct idxr idx;
	uint64_t req;
	struct om_op_scan scan; /* the last one asked for */
	bool idle;		/* nothing is taken from the ring on the side */
	uint64_t reaped[256];
	unsigned n_reaped;
};

struct fix {
	char dir[64], mem[64];
	struct om_conf *conf;
	const char *adopt[3];
	struct sup_engine *e;
	struct peer w, l;
	_Atomic int killed; /* place + 1 */
};

int fix_setup(void **state);
int fix_teardown(void **state);
void fix_start(struct fix *x);
void fix_stop(struct fix *x);

/** Send a message of a child; `len` and `req` of its header are filled in. */
void fix_put_msg(struct peer *p, void *m, size_t len, const char *uri, const void *more, size_t more_len);
/** As a worker would: PREPARE and COMMIT of 5 bytes; no file is made. @return the id */
uint64_t fix_put(struct fix *x, const char *uri, const char *tier, uint32_t flags);
int fix_del(struct fix *x, const char *uri);
int fix_lookup(struct fix *x, const char *uri, struct om_op_record *ret);
int fix_index_get(struct fix *x, const char *uri, struct idx_ent *ret);
uint8_t fix_tier_no(struct fix *x, const char *name);
/** Until the index is complete and nothing is pending. */
void fix_wait_complete(struct fix *x);
/** Answer what waits for the lifecycle process. */
void fix_serve_reaps(struct fix *x);

#endif
