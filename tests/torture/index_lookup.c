/*
 * index_lookup.c: what the index costs: filling, single and batched look-ups of random present keys, growth. Prints only.
 * Usage: index_lookup [OBJECTS], 10,000,000 by default (needs about 2 GB during growth).
 */
#include <stdio.h>

#include "index/idxr.h"
#include "index/idxw.h"

enum { LOOKUPS = 4000000, BATCH = 64 };

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static struct idx_key key_of(uint64_t n) { return (struct idx_key){.lo = mix(2 * n), .hi = mix(2 * n + 1)}; }

static void die(const char *what, int err)
{
	(void)fprintf(stderr, "index_lookup: %s: %s\n", what, om_status_text(err));
	exit(1);
}

static double ns_each(uint64_t since, uint64_t n) { return (double)(om_now_ns() - since) / (double)n; }

static void measure(const struct idxr *r, uint64_t objects, const char *name)
{
	static struct idx_key keys[LOOKUPS];
	struct idx_ent ents[BATCH];
	uint32_t slots[BATCH];
	uint64_t start, x = 1, missing = 0;

	for (unsigned i = 0; i < LOOKUPS; i++)
		keys[i] = key_of((x = mix(x)) % objects);
	start = om_now_ns();
	for (unsigned i = 0; i < LOOKUPS; i++)
		missing += idxr_get(r, &keys[i], &ents[0], NULL) != 0;
	(void)printf("%s: single %.0f ns", name, ns_each(start, LOOKUPS));
	/* Each look-up depends on the one before, as a request depends on the one before it. */
	start = om_now_ns();
	for (unsigned i = 0, at = 0; i < LOOKUPS; i++) {
		missing += idxr_get(r, &keys[at], &ents[0], NULL) != 0;
		at = (i + 1 + (unsigned)(ents[0].size & 1)) % LOOKUPS;
	}
	(void)printf(", dependent %.0f ns", ns_each(start, LOOKUPS));
	start = om_now_ns();
	for (unsigned i = 0; i + BATCH <= LOOKUPS; i += BATCH) {
		for (unsigned j = 0; j < BATCH; j++)
			idxr_prefetch(r, &keys[i + j]);
		idxr_get_many(r, &keys[i], BATCH, ents, slots);
		for (unsigned j = 0; j < BATCH; j++)
			missing += slots[j] == IDXR_NO_SLOT;
	}
	(void)printf(", batched by %d %.0f ns, missing %llu\n", BATCH, ns_each(start, LOOKUPS),
		     (unsigned long long)missing);
}

int main(int argc, char **argv)
{
	uint64_t objects = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000, start = om_now_ns(), left = 1;
	struct idxw *w = NULL;
	struct idxr_stat st;
	struct idxr r;
	int err;

	if (objects == 0)
		return 2;
	err = idxw_new(objects, &w);
	if (err < 0)
		die("create", err);
	while (idxw_collapse(w, 32u << 20))
		;
	(void)printf("huge pages: %.0f ms\n", (double)(om_now_ns() - start) / 1e6);
	start = om_now_ns();
	for (uint64_t i = 0; i < objects; i++) {
		struct idx_key k = key_of(i + 16);

		idxw_prefetch(w, &k);
		k = key_of(i);
		err = idxw_fill(w, &k, &(struct idx_ent){.id = i + 1, .size = i});
		if (err < 0)
			die("fill", err);
	}
	idxw_fill_done(w);
	idxw_stat(w, &st);
	(void)printf("fill: %.0f ns an object, %.1f bytes an object\n", ns_each(start, objects),
		     (double)st.bytes / (double)objects);
	idxw_view(w, &r);
	measure(&r, objects, "filled");
	start = om_now_ns();
	err = idxw_grow_begin(w);
	if (err < 0)
		die("grow", err);
	while (idxw_collapse(w, 32u << 20))
		;
	while (left && err == 0)
		err = idxw_grow_step(w, 16384, &left);
	if (err < 0)
		die("copy", err);
	(void)idxw_grow_done(w);
	(void)printf("growth: %.0f ms, %llu slots\n", (double)(om_now_ns() - start) / 1e6,
		     (unsigned long long)idxw_grow_slots(w));
	idxw_grow_finish(w);
	idxw_view(w, &r);
	measure(&r, objects, "grown");
	idxw_free(w);
	return 0;
}
