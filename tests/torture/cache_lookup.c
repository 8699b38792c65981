/*
 * cache_lookup.c: what a hit in the client cache costs, without a server: the least of several passes, for runs on a machine
 * that is not quiet. Prints only. Usage: cache_lookup [OBJECTS [PASSES [URI_BYTES [CHANGES]]]], 100,000 and 20 by default.
 * CHANGES: buckets that change between two blocks of 64 hits; none of them holds an object.
 *
 * In a row: hits that do not wait for each other, so the processor begins the next while memory is still to answer the last. One
 * after the other: the name asked for depends on what the hit before gave, as in a program that uses each object at once.
 */
#include "client/objm_cache.h"
#include "index/idx_genw.h"

enum { URI_LEN_MAX = 256, BLOCK = 64, BLOCKS = 2000 };

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static int uri_bytes;

/* Filled up with zeros to uri_bytes. */
static uint32_t uri_of(uint64_t n, char uri[URI_LEN_MAX])
{
	return (uint32_t)snprintf(uri, URI_LEN_MAX, "/objm-bench/%0*llu", uri_bytes > 12 ? uri_bytes - 12 : 1, (unsigned long long)n);
}

static int by_value(const void *a, const void *b) { return *(const uint64_t *)a < *(const uint64_t *)b ? -1 : 1; }

static uint64_t hits(struct objm_cache *c, char uris[BLOCK][URI_LEN_MAX], const uint32_t lens[BLOCK], bool chained)
{
	uint64_t before = om_now_ns(), last = 0;
	bool report;

	for (uint64_t i = 0; i < BLOCK; i++) {
		/* Sizes are below 2^63: nothing is added, but the processor has to wait for it. */
		uint64_t at = chained ? i + (last >> 63) : i;
		struct objm_cache_entry *e = objm_cache_find(c, uris[at], lens[at], OBJM_CACHE_DATA, &report);

		OM_ASSERT(e);
		last = e->pub.size;
		objm_cache_unref(c, e);
	}
	return om_now_ns() - before;
}

/* Median of the blocks of one pass, in tenths of a nanosecond. */
static uint64_t pass(struct objm_cache *c, struct idx_genw *g, uint64_t n, uint64_t seed, bool chained, uint64_t changes)
{
	static uint64_t took[BLOCKS];
	static char uris[BLOCK][URI_LEN_MAX];
	uint32_t lens[BLOCK];

	for (int b = 0; b < BLOCKS; b++) {
		for (int i = 0; i < BLOCK; i++)
			lens[i] = uri_of((seed = mix(seed)) % n, uris[i]);
		for (uint64_t i = 0; i < changes; i++) {
			uint32_t bucket = (uint32_t)(mix(seed + i) % IDX_GEN_BUCKETS) | 1;

			idx_genw_open(g, bucket);
			idx_genw_close(g, bucket);
		}
		idx_genw_renew(g);
		took[b] = hits(c, uris, lens, chained) * 10 / BLOCK;
	}
	qsort(took, BLOCKS, sizeof(took[0]), by_value);
	return took[BLOCKS / 2];
}

int main(int argc, char **argv)
{
	uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000, passes = argc > 2 ? strtoull(argv[2], NULL, 10) : 20;
	uint64_t changes = argc > 4 ? strtoull(argv[4], NULL, 10) : 0, least[2] = {UINT64_MAX, UINT64_MAX};
	struct objm_cache *c = objm_cache_new((uint32_t)n, 1, UINT64_MAX / 2);
	struct idx_genw *g;
	char uri[URI_LEN_MAX];

	uri_bytes = argc > 3 ? atoi(argv[3]) : 0;
	OM_ASSERT(n > 0 && uri_bytes < URI_LEN_MAX && c && idx_genw_new(&g) == 0 && objm_cache_attach(c, idx_genw_fd(g)) == 0);
	for (uint64_t i = 0; i < n; i++) {
		struct objm_info info = {.id = i + 1, .size = 1, .bucket = (uint32_t)(mix(i) % IDX_GEN_BUCKETS) & ~1u};
		uint32_t len = uri_of(i, uri);
		struct objm_cache_entry *e = objm_cache_insert(c, uri, len, &info, -1, malloc(1), OBJM_CACHE_HAS_DATA);

		OM_ASSERT(e && !(e->has & OBJM_CACHE_HAS_LEFT));
		objm_cache_unref(c, e);
	}
	for (uint64_t i = 0; i < 2 * passes; i++)
		least[i % 2] = OM_MIN(least[i % 2], pass(c, g, n, i, i % 2, changes));
	printf("%llu objects: a hit %.1f ns in a row, %.1f ns one after the other (medians of blocks of %d, least of %llu passes)\n",
	       (unsigned long long)n, (double)least[0] / 10, (double)least[1] / 10, BLOCK, (unsigned long long)passes);
	objm_cache_free(c);
	idx_genw_free(g);
	return 0;
}
