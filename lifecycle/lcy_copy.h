/*
 * lcy_copy.h: the bytes of one object from one tier to another, and the proof that they arrived.
 *
 * Linked by objmapper-lifecycle and its tests. No state but what the caller passes; blocks as the disks do: mover threads only.
 *
 * The page cache is left alone: what is large is read and written past it (O_DIRECT) where the filesystem can, what is small is
 * written through it in batches, dropped from it after it is durable, and read back past it. Holes stay holes.
 */
#ifndef LCY_COPY_H
#define LCY_COPY_H

#include <stdatomic.h>

#include "backend/be.h"
#include "lifecycle/lcy_yield.h"

#define LCY_COPY_CHUNK ((size_t)1 << 20)
#define LCY_COPY_ALIGN ((size_t)2 << 20) /* a huge page: to pin 256 small ones for each call takes a tenth of a copy's time */
#define LCY_COPY_DIRECT (UINT64_C(256) << 10) /* from this size on past the page cache */

/* Bytes a second over all movers: a bucket that fills with time. */
struct lcy_rate {
	_Atomic uint64_t per_s;	  /* 0: no bound */
	_Atomic uint64_t free_ns; /* CLOCK_MONOTONIC: when the next bytes may go */
};
/** Wait until `bytes` may go; at most about a second at a time is owed. Any thread; no call where there is no bound. */
void lcy_rate_take(struct lcy_rate *rate, uint64_t bytes);

struct lcy_copy {
	const struct be *from, *to;
	bool from_memory, to_memory; /* O_DIRECT makes no sense there */
	struct lcy_rate *rate;	     /* NULL: no bound */
	struct lcy_yield_seat *seat; /* NULL: at full speed, whoever is served */
	const _Atomic bool *stop;    /* true: end with -OBJM_STATUS_GONE; NULL: never */
	const _Atomic bool *hold;    /* lcy_copy_sum(): true: read nothing now; NULL: never */
	int from_fd;		     /* in: the source of the next lcy_copy_object(), which closes it; -1: it opens it */
	uint64_t behind;	     /* own: bytes written since they were last written out */
	bool sums, named;	     /* own: lcy_copy_sum() is under way; its file had a name when it began */
	void *buf;		     /* LCY_COPY_CHUNK bytes, aligned to 4096 at least; the thread's own */
	bool no_clone;		     /* in: known not to be possible between these two; out: found out now */
	const uint8_t *was;	     /* in: the sum that the source's file tells, BE_SUM_BYTES; NULL: it tells none */
	/* of lcy_copy_object(), and for lcy_copy_verify(): */
	bool sparse; /* it has holes */
	bool shared; /* the blocks are the source's own: nothing was copied */
	uint8_t sum[BE_SUM_BYTES]; /* of the source's bytes; not set when shared */
	bool has_sum; /* sum is set: of bytes that were copied, or what the file of a shared one told */
};

/**
 * Make a file on `to` with the bytes of object `id` of `size` bytes, not frozen yet, rwfd closed; its checksum in c->sum.
 * @return 0; -OBJM_STATUS_CORRUPT: the source is not what it was (its checksum or its length differs); -OBJM_STATUS_NOT_FOUND: its file
 *         is gone; -OBJM_STATUS_GONE: stopped; others of om_status_errno(): *ret_reading says whether reading failed, else writing did
 */
int lcy_copy_object(struct lcy_copy *c, uint64_t id, uint64_t size, struct be_file *ret_file, bool *ret_reading) OM_MUST_USE;

/**
 * Read back what `to` holds under the id, after it is durable, and compare it with c->sum. Not needed for one that is shared: its
 * blocks are the very blocks that were the source's. `file` is what was linked in under that id, and still open.
 * @return 0; -OBJM_STATUS_CORRUPT: it differs; others of om_status_errno()
 */
int lcy_copy_verify(struct lcy_copy *c, const struct be_file *file, uint64_t id, uint64_t size) OM_MUST_USE;

/**
 * Read an open file of `size` bytes whole, past the page cache, which is afterwards as it was, and without an access time. What is read counts
 * for c->rate. Between two pieces it waits as long as c->hold says, but not once the file has lost its name: its room is wanted.
 * @param memory  it is no disk's
 * @return 0; -OBJM_STATUS_CORRUPT: it has another length; -OBJM_STATUS_GONE: stopped, or removed meanwhile; others of om_status_errno()
 */
int lcy_copy_sum(struct lcy_copy *c, int fd, uint64_t size, bool memory, uint8_t ret_sum[static BE_SUM_BYTES]) OM_MUST_USE;

#endif
