/*
 * objm_cache_lines.h: the client cache's hash table: from the hash of a URI to the number of an entry.
 *
 * Inside libobjm, one thread at a time. Twelve places to a cache line, linear probing by lines; a deletion moves back what was pushed
 * on: no tombstones. Six and a half bytes an object: it stays nearer to the processor than the entries do, also where others use the
 * third-level cache. It knows nothing of entries; what finds them compares their URIs.
 */
#ifndef OBJM_CACHE_LINES_H
#define OBJM_CACHE_LINES_H

#include <endian.h>

#include "common/om_base.h"

#define OBJM_CACHE_WAYS 12u
#define OBJM_CACHE_NUMBER_BYTES 3u /* of an entry's number */

/*
 * Filled from the front; full: the last place is taken, and the search goes on in the next line. The tags of a line are compared at
 * once: a branch for each would be guessed wrong so often that the processor could not fetch for the next look-up meanwhile.
 */
struct objm_cache_line {
	uint64_t tags[OBJM_CACHE_WAYS / 4];				/* 16 bits of the hash each, never 0; 0: empty */
	uint8_t numbers[OBJM_CACHE_WAYS * OBJM_CACHE_NUMBER_BYTES + 1]; /* of entries, low byte first; read four bytes at a time */
} __attribute__((aligned(64)));
static_assert(sizeof(struct objm_cache_line) == 64, "one line");

struct objm_cache_lines {
	struct objm_cache_line *line;
	uint32_t count;
	const uint32_t *hashes; /* of entries by number: half of their hash, as in struct objm_cache_place; the owner's */
	size_t stride;		/* bytes between two of them */
};

/* Where the search for a URI begins, and what it looks for. */
struct objm_cache_place {
	uint32_t hash; /* a part of it, which gives the line */
	uint16_t tag;
};

static inline struct objm_cache_place objm_cache_place(uint64_t hash)
{
	uint16_t tag = (uint16_t)hash;

	return (struct objm_cache_place){.hash = (uint32_t)(hash >> 32), .tag = tag ? tag : 1};
}

static inline uint32_t objm_cache_home(const struct objm_cache_lines *t, uint32_t hash)
{
	return (uint32_t)(((uint64_t)hash * t->count) >> 32);
}

static inline uint32_t objm_cache_next(const struct objm_cache_lines *t, uint32_t at) { return at + 1 == t->count ? 0 : at + 1; }

/* High bit of each 16-bit lane that is 0, and of no other. */
static inline uint64_t objm_cache_zeros(uint64_t x)
{
	const uint64_t low = 0x7fff7fff7fff7fffu;

	return ~(((x & low) + low) | x | low);
}

/* Places of a line that have this tag: objm_cache_first() says which, m & (m - 1) takes that one away. */
static inline uint64_t objm_cache_matches(const struct objm_cache_line *l, uint16_t tag)
{
	uint64_t all = 0x0001000100010001u * tag;

	return objm_cache_zeros(l->tags[0] ^ all) >> 15 | objm_cache_zeros(l->tags[1] ^ all) >> 14 |
	       objm_cache_zeros(l->tags[2] ^ all) >> 13;
}

static inline unsigned objm_cache_first(uint64_t m)
{
	unsigned bit = (unsigned)__builtin_ctzll(m);

	return bit % 16 * 4 + bit / 16;
}

static inline bool objm_cache_full(const struct objm_cache_line *l) { return l->tags[OBJM_CACHE_WAYS / 4 - 1] >> 48 != 0; }

static inline uint32_t objm_cache_number(const struct objm_cache_line *l, unsigned i)
{
	uint32_t n;

	memcpy(&n, &l->numbers[i * OBJM_CACHE_NUMBER_BYTES], sizeof(n));
	return le32toh(n) & ((1u << 8 * OBJM_CACHE_NUMBER_BYTES) - 1);
}

/** Lines for `max` entries: ten to a line, so few are full and there is always one that is not. */
uint32_t objm_cache_lines_for(uint32_t max);
/** There must be room: at most the entries that it was made for. */
void objm_cache_lines_add(struct objm_cache_lines *t, struct objm_cache_place p, uint32_t number);
/** It must be there. */
void objm_cache_lines_drop(struct objm_cache_lines *t, uint32_t hash, uint32_t number);

#endif
