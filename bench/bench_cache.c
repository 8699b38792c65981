/* bench_cache.c: the client cache. */
#include "bench/bench.h"

static void *start(const struct bench_opts *o, unsigned thread)
{
	(void)o, (void)thread;
	(void)bench_fail("--cache: libobjm has no cache yet");
	return NULL;
}

static bool get(void *h, const struct bench_item *items, unsigned n, struct bench_result *r)
{
	(void)h, (void)items, (void)n, (void)r;
	return false;
}

static void shut(void *h) { (void)h; }

const struct bench_driver bench_objm_cache = {.name = "cache", .open = start, .get = get, .close = shut, .block = 64};
