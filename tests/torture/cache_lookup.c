/*
 * cache_lookup.c: what a hit in the client cache costs, without a server: the least of several passes, for runs on a machine
 * that is not quiet. Prints only. Usage: cache_lookup [OBJECTS [PASSES]], 100,000 and 20 by default.
 */
#include "client/objm_cache.h"
#include "index/idx_genw.h"

enum { URI_LEN_MAX = 64, BLOCK = 64, BLOCKS = 2000 };

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static uint32_t uri_of(uint64_t n, char uri[URI_LEN_MAX]) { return (uint32_t)snprintf(uri, URI_LEN_MAX, "/objm-bench/%llu", (unsigned long long)n); }

static int by_value(const void *a, const void *b) { return *(const uint64_t *)a < *(const uint64_t *)b ? -1 : 1; }

/* Median of the blocks of one pass, in tenths of a nanosecond. */
static uint64_t pass(struct objm_cache *c, struct idx_genw *g, uint64_t n, uint64_t seed)
{
	static uint64_t took[BLOCKS];
	static char uris[BLOCK][URI_LEN_MAX];
	uint32_t lens[BLOCK];
	bool report;

	for (int b = 0; b < BLOCKS; b++) {
		for (int i = 0; i < BLOCK; i++)
			lens[i] = uri_of((seed = mix(seed)) % n, uris[i]);
		idx_genw_renew(g);
		uint64_t before = om_now_ns();
		for (int i = 0; i < BLOCK; i++) {
			struct objm_cache_entry *e = objm_cache_find(c, uris[i], lens[i], OBJM_CACHE_DATA, &report);

			OM_ASSERT(e);
			objm_cache_unref(c, e);
		}
		took[b] = (om_now_ns() - before) * 10 / BLOCK;
	}
	qsort(took, BLOCKS, sizeof(took[0]), by_value);
	return took[BLOCKS / 2];
}

int main(int argc, char **argv)
{
	uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000, passes = argc > 2 ? strtoull(argv[2], NULL, 10) : 20, least = UINT64_MAX;
	struct objm_cache *c = objm_cache_new((uint32_t)n, 1, UINT64_MAX / 2);
	struct idx_genw *g;
	char uri[URI_LEN_MAX];

	OM_ASSERT(n > 0 && c && idx_genw_new(&g) == 0 && objm_cache_attach(c, idx_genw_fd(g)) == 0);
	for (uint64_t i = 0; i < n; i++) {
		struct objm_info info = {.id = i + 1, .size = 1, .bucket = (uint32_t)(mix(i) % IDX_GEN_BUCKETS)};
		uint32_t len = uri_of(i, uri);
		struct objm_cache_entry *e = objm_cache_insert(c, uri, len, &info, -1, malloc(1), OBJM_CACHE_HAS_DATA);

		OM_ASSERT(e && !(e->has & OBJM_CACHE_HAS_LEFT));
		objm_cache_unref(c, e);
	}
	for (uint64_t i = 0; i < passes; i++)
		least = OM_MIN(least, pass(c, g, n, i));
	printf("%llu objects: a hit %.1f ns (median of blocks of %d, least of %llu passes)\n", (unsigned long long)n, (double)least / 10, BLOCK,
	       (unsigned long long)passes);
	objm_cache_free(c);
	idx_genw_free(g);
	return 0;
}
