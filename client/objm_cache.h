/*
 * objm_cache.h: the client cache's memory: which objects a session holds, and the proof that they are still current.
 *
 * Inside libobjm, one thread at a time, as its session. No system call on a hit; no connection here: objm_cached.c fetches.
 *
 * WHY A HIT IS NEVER STALE. The generation table (index/idx_gen.h) is written by the supervisor alone. For every change, in
 * this order: (1) the word of the URI's bucket goes odd; (2) the catalog commits; (3) the slot is published; (4) the word goes
 * to the next even number (release); (5) the change is acknowledged. A worker loads the word g (acquire) BEFORE it looks the
 * object up, and g comes with the answer. The cache keeps that g, never one that it loads itself, and only an even one. A hit
 * is: the word, loaded now (acquire), equals g, and the table is alive.
 *  - Suppose a change was acknowledged to anyone before this get began. Its step 4 then happened before our load (through the
 *    acknowledgement, however it reached us), so we load a word at least as high as the one that step 4 stored, call it h.
 *    If it equals g, then g >= h: the worker that gave us g loaded h or a later word, by release and acquire it saw the slot of
 *    step 3 when it looked afterwards, and what we hold is the new version or a later one. Otherwise it is a miss.
 *  - A word that was even when the worker loaded it and whose change began afterwards is another number by step 1, so what was
 *    looked up half way through a change does not prove anything later; an odd g proves nothing at all and is not kept.
 *  - Nobody gets the new version while another still trusts the old one: the slot is stored after the word went odd.
 *  - Most hits look at the word of the bucket's group instead, which is in the processor's first cache when the bucket's is not:
 *    as long as it is the one that was loaded before the bucket's word was last compared with g, the comparison still holds
 *    (GROUPS in idx_gen.h). Else the bucket's word is compared again.
 *  - A table whose supervisor is gone does not move any more: it is alive only while the coarse monotonic clock is below
 *    valid_until, which the supervisor renews, and its successor acknowledges nothing before that time (and a tick) has passed,
 *    unless the table was RETIRED. Entries belong to one table, known by its epoch; another table drops them all.
 *  - A connection is attached to one worker of one supervisor, so an answer's g belongs to the table that came with ATTACH of
 *    the same connection. Answers that came over two connections, of two supervisors, are not kept (objm_cached.c: fill).
 * What a hit returns are descriptors or bytes of one object id, and bytes under an id never change.
 */
#ifndef OBJM_CACHE_H
#define OBJM_CACHE_H

#include "client/objm.h"
#include "client/objm_cache_lines.h"
#include "common/om_base.h"
#include "index/idx_gen.h"

#define OBJM_CACHE_TOUCHED_MAX 1024u /* objects of one report: what a server takes in one TOUCH */

/* What an entry holds. */
#define OBJM_CACHE_HAS_FD 0x1u	   /* = OBJM_CACHE_FD */
#define OBJM_CACHE_HAS_DATA 0x2u   /* = OBJM_CACHE_DATA */
#define OBJM_CACHE_HAS_MAPPING 0x4u /* data is a mapping; else it is from malloc */
#define OBJM_CACHE_HAS_EXPIRY 0x8u
#define OBJM_CACHE_HAS_LEFT 0x10u /* not found by its URI (any more): it goes with its last reference */
#define OBJM_CACHE_VISITED 0x20u  /* since the hand came by */

#define OBJM_CACHE_INLINE 20u /* bytes of a URI in the entry itself */
#define OBJM_CACHE_NEAR 64u   /* in the rest of it; longer ones have memory of their own */
#define OBJM_CACHE_GEN_BITS 44u
#define OBJM_CACHE_UNPROVEN UINT32_MAX /* a group's word is never this */

/* What a hit looks at and hands out: one cache line. */
struct objm_cache_entry {
	struct objm_cached pub; /* must be first */
	uint64_t gen : OBJM_CACHE_GEN_BITS; /* of the answer; the word moves by 2: to be the same again takes 2^43 changes */
	uint64_t bucket : 64 - OBJM_CACHE_GEN_BITS;
	uint32_t proven;	/* the group's word when the generation was last compared; or OBJM_CACHE_UNPROVEN */
	uint32_t refs;
	uint16_t touches; /* hits since they were last reported; stops at its maximum; 0 unless it is in `touched` */
	uint8_t has;	  /* OBJM_CACHE_HAS_..., VISITED */
	uint8_t len;	  /* of the URI, 255: 255 or more; 0: the entry is free */
	char text[OBJM_CACHE_INLINE]; /* the URI, if it fits: objm_cache_uri() */
} __attribute__((aligned(64)));
static_assert(sizeof(struct objm_cache_entry) == 64, "one line");
static_assert(IDX_GEN_BUCKETS <= UINT64_C(1) << (64 - OBJM_CACHE_GEN_BITS), "a bucket has room");

/* The rest of it, in an array of its own. */
struct objm_cache_rest {
	char text[OBJM_CACHE_NEAR]; /* a URI that the entry has no room for, or the pointer to it */
	uint64_t id, mtime_ns, expiry_s, gen;
	uint32_t rev;
	uint32_t hash;	    /* half of the URI's: where it is found */
	uint32_t next_free; /* number of the next free entry; 0: none */
	uint16_t uri_len;
	bool linked; /* found by its URI */
	uint8_t tier, home;
} __attribute__((aligned(64)));

/* An entry that cannot be kept. */
struct objm_cache_lone {
	struct objm_cache_entry e; /* must be first */
	struct objm_cache_rest r;
};

struct objm_cache {
	const struct idx_gen_table *table; /* NULL: nothing can be kept */
	uint64_t epoch;
	struct objm_cache_lines lines;
	struct objm_cache_entry *entries; /* [1..max] */
	struct objm_cache_rest *rests;	  /* of the same numbers */
	void *memory;			  /* of lines, entries and rests */
	uint32_t max, used, free_head, hand; /* used: entries [1..used] were in use once */
	uint32_t count, fds, fds_max;
	uint64_t bytes, bytes_max, seed;
	uint64_t hits, misses, stale, reported;
	uint64_t report_at_ns; /* coarse clock; a hit at or after it asks for a report */
	uint32_t touched[OBJM_CACHE_TOUCHED_MAX], touched_count;
};

/** @param max entries, 1..2^24  @param fds_max  descriptors  @param bytes_max  sum of the objects' sizes. NULL: out of memory */
struct objm_cache *objm_cache_new(uint32_t max, uint32_t fds_max, uint64_t bytes_max);
/** Everything is closed and unmapped, references notwithstanding. NULL is fine. */
void objm_cache_free(struct objm_cache *c);
/** Another table (fd stays the caller's; -1: none): entries of another epoch are dropped. @return 0 or as idx_gen_map() */
int objm_cache_attach(struct objm_cache *c, int fd);
/** Forget everything; what is referenced lives until it is released. */
void objm_cache_drop_all(struct objm_cache *c);

/**
 * The entry of a URI if it is current and holds all of `want`: one reference for the caller. NULL: a miss. No system call.
 * @param ret_report  set to true if it is time to report (objm_cached.c); else not touched
 */
struct objm_cache_entry *objm_cache_find(struct objm_cache *c, const char *uri, size_t len, uint32_t want, bool *ret_report);
/**
 * Keep what a server's answer brought; one reference for the caller. The entry takes over *fd and *data as `has` says, and
 * another entry of this URI is dropped. What cannot be kept (odd generation, no table, too large, all others are
 * referenced) lives until it is released.
 * @return NULL: out of memory; fd and data stay the caller's
 */
struct objm_cache_entry *objm_cache_insert(struct objm_cache *c, const char *uri, size_t len, const struct objm_info *info, int fd,
					   void *data, uint32_t has);
/** Its URI, which has no NUL at its end. */
const char *objm_cache_uri(const struct objm_cache *c, const struct objm_cache_entry *e, size_t *ret_len);
/** What was said of it. */
void objm_cache_entry_info(const struct objm_cache *c, const struct objm_cache_entry *e, struct objm_info *ret_info);
/** A reference less. */
void objm_cache_unref(struct objm_cache *c, struct objm_cache_entry *e);
/** Drop up to `n` entries that the hand finds (all but referenced ones); true if any went. */
bool objm_cache_shrink(struct objm_cache *c, uint32_t n);
/** Look at the next `n` entries of the array and drop what is no longer current. */
void objm_cache_sweep(struct objm_cache *c, uint32_t n);

#endif
