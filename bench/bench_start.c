/* bench_start.c: how soon a daemon with many records answers. */
#include "bench/bench.h"

int bench_start(const struct bench_opts *o)
{
	(void)o;
	return bench_fail("start: comes later");
}
