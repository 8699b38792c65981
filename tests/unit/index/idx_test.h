/*
 * idx_test.h: what the tests of the index share. Keys that land where a test wants them, entries whose words all follow
 * from one number, so that an entry made of parts of two shows.
 */
#ifndef IDX_TEST_H
#define IDX_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "index/idx_layout.h"
#include "index/idxr.h"
#include "index/idxw.h"

#define KEY_BITS 20 /* of an id: the number of its key */

static inline uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* Key number n, anywhere. */
static inline struct idx_key key_any(uint64_t n) { return (struct idx_key){.lo = mix(2 * n), .hi = mix(2 * n + 1)}; }

/* Key number n with this home in a table of `slots`. */
static inline struct idx_key key_at(uint64_t slots, uint64_t home, uint64_t n)
{
	struct idx_key k = {.lo = n + 1};

	k.hi = (uint64_t)((((unsigned __int128)home << 64) + slots - 1) / slots) + n;
	OM_ASSERT(idx_key_home(&k, slots) == home);
	return k;
}

/* The entry that follows from `id`. */
static inline struct idx_ent ent_of(uint64_t id)
{
	return (struct idx_ent){
		.id = id,
		.size = mix(id),
		.mtime_ns = mix(id + 1),
		.expiry_s = mix(id + 2) & IDX_EXPIRY_MAX,
		.rev = (uint32_t)mix(id + 3),
		.flags = id % 8,
		.tier = (uint8_t)(mix(id + 4) % OM_TIERS_MAX),
		.home = (uint8_t)(mix(id + 5) % OM_TIERS_MAX),
	};
}

static inline bool ent_same(const struct idx_ent *a, const struct idx_ent *b)
{
	return a->id == b->id && a->size == b->size && a->mtime_ns == b->mtime_ns && a->expiry_s == b->expiry_s &&
	       a->rev == b->rev && a->flags == b->flags && a->tier == b->tier && a->home == b->home;
}

static inline bool ent_whole(const struct idx_ent *e)
{
	struct idx_ent want = ent_of(e->id);

	return ent_same(e, &want);
}

static inline struct idxw *index_new(uint64_t objects, bool filled)
{
	struct idxw *w = NULL;

	assert_int_equal(idxw_new(objects, &w), 0);
	if (filled)
		idxw_fill_done(w);
	return w;
}

/* A mapping like a worker's. */
static inline struct idxr reader_of(int rofd)
{
	struct idxr r = IDXR_INIT;
	int fd = dup(rofd);

	assert_true(fd >= 0);
	assert_int_equal(idxr_attach(fd, &r), 0);
	return r;
}

#endif
