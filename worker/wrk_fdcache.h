/*
 * wrk_fdcache.h: open descriptors of objects, shared by the clients of one uid who promised positioned access.
 *
 * Linked by objmapper-worker only. The loop's thread calls; wrk_fdcache_sweep(), wrk_fdcache_count() and wrk_fdcache_close() may be
 * called by one that is registered with liburcu (memb) beside it. Looking up takes no lock.
 * Key: (object id, tier, uid of the reader). An id's bytes never change, so an entry is never stale.
 *
 * OWNERSHIP  an entry owns its descriptor; the cache holds one reference to an entry that is in its table, each get() one
 *            more. The descriptor is closed with the last reference.
 * BOUND      at most `max` entries in the table; at the bound SIEVE evicts, for what wrk_fdcache_wants() lets in. What was evicted and is still referenced lives
 *            until its answer has left: that is bounded by the connections' queues.
 */
#ifndef WRK_FDCACHE_H
#define WRK_FDCACHE_H

#include "common/om_base.h"

struct wrk_fdcache;
struct wrk_fde; /* an entry */

struct wrk_fdkey {
	uint64_t id;
	uint32_t uid;
	uint8_t tier;
};

/** Owners of no uid of their own never share: root may be anybody, and 65534 is whoever could not be mapped. */
static inline bool wrk_fdcache_shareable(uint32_t uid) { return uid != 0 && uid != 65534 && uid != UINT32_MAX; }

/** Make a cache for at most `max` (at least 1) descriptors. Starts liburcu's helper thread: call it before the sandbox.
 * @return 0; -OBJM_STATUS_OUT_OF_MEMORY */
int wrk_fdcache_new(unsigned max, struct wrk_fdcache **ret) OM_MUST_USE;
/** Drop all and wait until everything is closed. No other thread may be inside a call; no reference may be left. */
void wrk_fdcache_free(struct wrk_fdcache *c);

/** Threads that call anything here register first and unregister before they end. */
void wrk_fdcache_thread_in(void);
void wrk_fdcache_thread_out(void);

/** Look up: a reference (wrk_fdcache_put() it), or NULL. No lock, no system call. */
struct wrk_fde *wrk_fdcache_get(struct wrk_fdcache *c, const struct wrk_fdkey *key);

/**
 * The same for `n` keys at once: their cache misses overlap. A key of id 0 is passed over.
 * @param ret  a reference each, or NULL; those are not counted as misses: the caller has not given up yet
 */
void wrk_fdcache_get_many(struct wrk_fdcache *c, const struct wrk_fdkey *keys, unsigned n, struct wrk_fde **ret);

/**
 * Is this one worth an entry? A full cache takes only what was asked for a short while ago, too: else a walk over
 * many objects would push out what is hot, and each of its descriptors would be closed when its file has long left the processor's
 * caches, which takes longer than opening it. Remembers that it was asked.
 */
bool wrk_fdcache_wants(struct wrk_fdcache *c, const struct wrk_fdkey *key);

/**
 * Insert `fd` under `key` and return a reference to the entry. If there is one already it is returned and `fd`
 * is closed. Takes over `fd` on success only.
 * @param large  wrk_fdcache_large() of the object: it is closed as by wrk_fdcache_close()
 * @return NULL: out of memory
 */
struct wrk_fde *wrk_fdcache_add(struct wrk_fdcache *c, const struct wrk_fdkey *key, int fd, bool large);

/** The descriptor of an entry that the caller holds a reference to. Sent only, never read from. */
int wrk_fdcache_fd(const struct wrk_fde *e);
/** Give a reference back. */
void wrk_fdcache_put(struct wrk_fdcache *c, struct wrk_fde *e);

/**
 * Close a descriptor of an object that was read from. One of a large file that has no name any more is closed by the helper thread of
 * the grace periods: it may be the last, which frees all of the file (0.1 s and more for a GiB). @return true: there
 */
bool wrk_fdcache_close(int fd);

/** May closing the last descriptor of an object of so many bytes take long? */
static inline bool wrk_fdcache_large(uint64_t size) { return size > 1u << 20; }

/** Look at up to `n` entries for those whose file has no name any more (deleted, replaced or moved), so that the space of dead
 * objects comes back. Makes system calls that may block on a network tier: I/O thread, one at a time. @return found: tidy() drops them */
unsigned wrk_fdcache_sweep(struct wrk_fdcache *c, unsigned n);
/** Drop what sweeps have found. The loop's thread, after each. */
void wrk_fdcache_tidy(struct wrk_fdcache *c);

/** Evict `n` (out of descriptors): they leave the table now, a descriptor is closed with the last reference to it. */
void wrk_fdcache_shrink(struct wrk_fdcache *c, unsigned n);

/** Entries in the table. */
unsigned wrk_fdcache_count(const struct wrk_fdcache *c);

#endif
