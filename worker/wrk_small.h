/*
 * wrk_small.h: the bytes of small objects that are asked for as bytes (copy), kept in the worker, so that such an answer needs no
 * system call of its own.
 *
 * Linked by objmapper-worker only; loop thread only. Keyed by object id, whose bytes never change: nothing here is ever stale, and
 * who may read, and whether the object still is, has been decided before. What is asked for twice is kept, in a ring of
 * WRK_SMALL_BYTES, over the oldest. The ring is locked into memory as it fills: bytes of a memory tier must not reach a
 * swap device. Where it can not be locked (RLIMIT_MEMLOCK) those are not kept.
 */
#ifndef WRK_SMALL_H
#define WRK_SMALL_H

#include "common/om_base.h"

#define WRK_SMALL_MAX 8192u	  /* bytes of an object */
#define WRK_SMALL_BYTES (4u << 20) /* of all; 0.4 MiB of table come on top */

struct wrk_small;

/** Before the sandbox, which does not let memory be locked. 0; -OBJM_STATUS_OUT_OF_MEMORY */
int wrk_small_new(struct wrk_small **ret) OM_MUST_USE;
void wrk_small_free(struct wrk_small *s);
/** Forget all of it. */
void wrk_small_clear(struct wrk_small *s);

/** The `len` bytes of an object, or NULL. Good until the next wrk_small_put(). */
const void *wrk_small_get(const struct wrk_small *s, uint64_t id, size_t len);
/** Here they are: kept, if they were asked for a short while ago, too. `memory`: they are of a memory tier. */
void wrk_small_put(struct wrk_small *s, uint64_t id, const void *data, size_t len, bool memory);

#endif
