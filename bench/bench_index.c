/*
 * bench_index.c: what a look-up costs in the shared index, and the same keys in LMDB.
 *
 * No daemon: the index is filled by its own writer in this process, LMDB holds the same 16-byte keys with entries of the same
 * size, loaded in order (the tree is as dense as it gets) and read in one transaction, which is as fast as LMDB goes. Keys to
 * be looked up lie in a row, so that fetching them is not what is measured. Medians over blocks of look-ups.
 */
#include <lmdb.h>
#include <sys/stat.h>

#include "bench/bench.h"
#include "index/idx_alog.h"
#include "index/idx_gen.h"
#include "index/idx_heat.h"
#include "index/idxr.h"
#include "index/idxw.h"

#define LOOKUPS (1u << 20)
#define BLOCK 64u
#define FILL_AHEAD 16u

struct keys {
	struct idx_key *all; /* of object i */
	uint64_t n;
	struct idx_key *some; /* LOOKUPS of them, at random */
};

static int make_keys(uint64_t n, struct keys *ret)
{
	static const struct bench_opts names = {.prefix = "/objm-bench/index"};
	unsigned char secret[IDX_SECRET_BYTES];
	uint64_t random = 42;
	char uri[BENCH_URI_MAX];

	memset(secret, 7, sizeof(secret));
	ret->n = n;
	ret->all = malloc(n * sizeof(*ret->all));
	ret->some = malloc(LOOKUPS * sizeof(*ret->some));
	if (!ret->all || !ret->some)
		return bench_fail("index: out of memory");
	for (uint64_t i = 0; i < n; i++)
		idx_key_make(secret, uri, bench_uri(&names, i, uri), &ret->all[i]);
	for (uint64_t i = 0; i < LOOKUPS; i++)
		ret->some[i] = ret->all[(uint64_t)((unsigned __int128)bench_random(&random) * n >> 64)];
	return BENCH_OK;
}

/* ---------------------------------------------------------------- the index */

static int fill(const struct keys *k, struct idxw **ret_w)
{
	struct idxw *w = NULL;
	int err = idxw_new(k->n, &w);

	while (err == 0 && idxw_collapse(w, 32u << 20))
		;
	for (uint64_t i = 0; err == 0 && i < k->n; i++) {
		idxw_prefetch(w, &k->all[OM_MIN(i + FILL_AHEAD, k->n - 1)]);
		err = idxw_fill(w, &k->all[i], &(struct idx_ent){.id = i + 1, .size = i});
	}
	if (err < 0) {
		idxw_free(w);
		return bench_fail("index: %s", om_status_text(err));
	}
	idxw_fill_done(w);
	*ret_w = w;
	return BENCH_OK;
}

struct lookups {
	struct bench_hist single, dependent, batched, lmdb;
	struct bench_hist heat; /* tenths of a nanosecond */
	uint64_t missing;
};

static void add(struct bench_hist *h, uint64_t before) { bench_hist_add(h, (om_now_ns() - before + BLOCK / 2) / BLOCK, 1); }

static void measure_index(const struct idxr *r, const struct keys *k, struct lookups *l)
{
	struct idx_ent ents[BLOCK];
	uint32_t slots[BLOCK];
	uint64_t before;

	for (unsigned at = 0; at < LOOKUPS; at += BLOCK) {
		before = om_now_ns();
		for (unsigned i = 0; i < BLOCK; i++)
			l->missing += idxr_get(r, &k->some[at + i], &ents[0], NULL) != 0;
		add(&l->single, before);
	}
	/* Each waits for the one before, as a request does that comes after its predecessor's answer. The turn is by half the
	 * array, so that no line is still in the cache. */
	for (unsigned at = 0; at < LOOKUPS; at += BLOCK) {
		unsigned n = (at + LOOKUPS / 2) % LOOKUPS;

		ents[0].size = 0;
		before = om_now_ns();
		for (unsigned i = 0; i < BLOCK; i++)
			l->missing += idxr_get(r, &k->some[n + (i + (unsigned)(ents[0].size >> 63)) % BLOCK], &ents[0], NULL) != 0;
		add(&l->dependent, before);
	}
	for (unsigned at = 0; at < LOOKUPS; at += BLOCK) {
		unsigned n = (at + LOOKUPS / 4) % LOOKUPS;

		before = om_now_ns();
		for (unsigned i = 0; i < BLOCK; i++)
			idxr_prefetch(r, &k->some[n + i]);
		idxr_get_many(r, &k->some[n], BLOCK, ents, slots);
		add(&l->batched, before);
		for (unsigned i = 0; i < BLOCK; i++)
			l->missing += slots[i] == IDXR_NO_SLOT;
	}
}

/* What heat costs a GET: the access is noted in the worker's log. */
static int measure_heat(struct lookups *l)
{
	struct om_seg seg = OM_SEG_INIT;
	struct idx_alogw log;

	if (idx_alog_create(&seg) < 0 || idx_alogw_attach(om_take_fd(&seg.fd), 1, &log) < 0)
		return bench_fail("index: no access log: %m");
	for (unsigned at = 0; at < LOOKUPS; at += 16 * BLOCK) {
		uint64_t before = om_now_ns();
		for (unsigned i = 0; i < 16 * BLOCK; i++)
			idx_alogw_add(&log, 1, at + i);
		bench_hist_add(&l->heat, (om_now_ns() - before) * 10 / (16 * BLOCK), 1);
	}
	idx_alogw_detach(&log);
	om_seg_close(&seg);
	return BENCH_OK;
}

/* ---------------------------------------------------------------- growth */

struct growth {
	double before, peak, after; /* bytes an object: index and heat, of both segments while there are two */
	double ms, longest_us;	    /* the whole, and its longest step */
};

static double segment_bytes(uint64_t slots) { return (double)slots * (OM_CACHELINE + 4) + 4096 + IDX_HEAT_HEADER_BYTES; }

/* Objects are added until it wants to grow; then it grows as the supervisor lets it, step by step. */
static int measure_growth(struct idxw *w, uint64_t n, struct growth *ret)
{
	static const struct bench_opts names = {.prefix = "/objm-bench/grow"};
	unsigned char secret[IDX_SECRET_BYTES] = {7};
	struct idxr_stat st;
	uint64_t left = 1, began, step;
	char uri[BENCH_URI_MAX];
	struct idx_key key;

	for (; !idxw_want_grow(w); n++) {
		idx_key_make(secret, uri, bench_uri(&names, n, uri), &key);
		if (idxw_put(w, &key, &(struct idx_ent){.id = n + 1}) < 0)
			return bench_fail("index: it takes no more objects and does not want to grow");
	}
	idxw_stat(w, &st);
	ret->before = segment_bytes(st.slots) / (double)n;
	ret->peak = ret->before + segment_bytes(idxw_grow_slots(w)) / (double)n;
	began = om_now_ns();
	if (idxw_grow_begin(w) < 0)
		return bench_fail("index: it does not grow: %m");
	while (idxw_collapse(w, 32u << 20))
		;
	while (left) {
		step = om_now_ns();
		if (idxw_grow_step(w, 16384, &left) < 0)
			return bench_fail("index: it does not grow");
		ret->longest_us = OM_MAX(ret->longest_us, (double)(om_now_ns() - step) / 1000);
	}
	(void)idxw_grow_done(w);
	idxw_grow_finish(w);
	ret->ms = (double)(om_now_ns() - began) / 1e6;
	idxw_stat(w, &st);
	ret->after = segment_bytes(st.slots) / (double)n;
	return st.live == n ? BENCH_OK : bench_fail("index: objects were lost while it grew");
}

/* ---------------------------------------------------------------- LMDB */

static int by_bytes(const void *a, const void *b) { return memcmp(a, b, sizeof(struct idx_key)); }

static int lmdb_fail(const char *what, int rc) { return bench_fail("index: LMDB: %s: %s", what, mdb_strerror(rc)); }

static int lmdb_load(MDB_env *env, const struct keys *k, MDB_dbi *ret_dbi)
{
	struct idx_ent ent = {.id = 1};
	MDB_val val = {sizeof(ent), &ent};
	MDB_txn *txn = NULL;
	int rc = mdb_txn_begin(env, NULL, 0, &txn);

	if (rc == 0)
		rc = mdb_dbi_open(txn, NULL, 0, ret_dbi);
	for (uint64_t i = 0; rc == 0 && i < k->n; i++) {
		MDB_val key = {sizeof(k->all[i]), &k->all[i]};

		ent.size = i;
		rc = mdb_put(txn, *ret_dbi, &key, &val, MDB_APPEND);
	}
	if (rc == 0) {
		rc = mdb_txn_commit(txn);
		return rc == 0 ? BENCH_OK : lmdb_fail("commit", rc);
	}
	if (txn)
		mdb_txn_abort(txn);
	return lmdb_fail("load", rc);
}

static int lmdb_measure(MDB_env *env, MDB_dbi dbi, const struct keys *k, struct lookups *l)
{
	MDB_txn *txn;
	MDB_val val;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

	if (rc)
		return lmdb_fail("read", rc);
	for (unsigned at = 0; at < LOOKUPS; at += BLOCK) {
		uint64_t before = om_now_ns();

		for (unsigned i = 0; i < BLOCK; i++) {
			MDB_val key = {sizeof(k->some[at + i]), &k->some[at + i]};
			struct idx_ent ent;

			if (mdb_get(txn, dbi, &key, &val) == 0 && val.mv_size == sizeof(ent))
				memcpy(&ent, val.mv_data, sizeof(ent));
			else
				l->missing++;
		}
		add(&l->lmdb, before);
	}
	mdb_txn_abort(txn);
	return BENCH_OK;
}

static int lmdb(const struct bench_opts *o, struct keys *k, struct lookups *l)
{
	char path[512];
	MDB_env *env = NULL;
	MDB_dbi dbi;
	int rc, r;

	if (snprintf(path, sizeof(path), "%s/objm-bench-lmdb-%d", o->dir ? o->dir : "/dev/shm", (int)getpid()) >= (int)sizeof(path))
		return bench_fail("--dir: too long");
	qsort(k->all, k->n, sizeof(*k->all), by_bytes);
	rc = mdb_env_create(&env);
	if (rc == 0)
		rc = mdb_env_set_mapsize(env, (size_t)k->n * 256 + (64u << 20));
	if (rc == 0)
		rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOLOCK | MDB_NOTLS, 0600);
	r = rc ? lmdb_fail(path, rc) : lmdb_load(env, k, &dbi);
	if (r == BENCH_OK)
		r = lmdb_measure(env, dbi, k, l);
	if (env)
		mdb_env_close(env);
	(void)unlink(path);
	return r;
}

/* ---------------------------------------------------------------- the whole */

#define VALUES 15

static void values(const struct lookups *l, const struct idxr_stat *st, uint64_t n, double fill_ns, const struct growth *g, struct bench_value v[VALUES])
{
	double heat = (double)st->slots * 4 + IDX_HEAT_HEADER_BYTES, gens = sizeof(struct idx_gen_table);
	double batch = (double)bench_hist_ns(&l->batched, 0.5), got = (double)bench_hist_ns(&l->lmdb, 0.5);

	v[0] = (struct bench_value){"objects", (double)n};
	v[1] = (struct bench_value){"lookup_ns", (double)bench_hist_ns(&l->single, 0.5)};
	v[2] = (struct bench_value){"lookup_dependent_ns", (double)bench_hist_ns(&l->dependent, 0.5)};
	v[3] = (struct bench_value){"lookup_batch_ns", batch};
	v[4] = (struct bench_value){"lmdb_get_ns", got};
	v[5] = (struct bench_value){"lmdb_over_batch", batch > 0 ? got / batch : 0};
	v[6] = (struct bench_value){"bytes_per_object", ((double)st->bytes + heat + gens) / (double)n};
	v[7] = (struct bench_value){"index_bytes_per_object", (double)st->bytes / (double)n};
	v[8] = (struct bench_value){"fill_ns", fill_ns};
	v[9] = (struct bench_value){"heat_ns", (double)bench_hist_ns(&l->heat, 0.5) / 10};
	v[10] = (struct bench_value){"bytes_per_object_before_growth", g->before + gens / (double)n};
	v[11] = (struct bench_value){"bytes_per_object_while_growing", g->peak + gens / (double)n};
	v[12] = (struct bench_value){"bytes_per_object_after_growth", g->after + gens / (double)n};
	v[13] = (struct bench_value){"growth_ms", g->ms};
	v[14] = (struct bench_value){"growth_longest_step_us", g->longest_us};
}

int bench_index(const struct bench_opts *o)
{
	static struct lookups l;
	struct bench_value v[VALUES];
	struct growth g = {0};
	struct keys k = {.n = 0};
	struct idxw *w = NULL;
	struct idxr_stat st = {.bytes = 0};
	uint64_t before;
	double fill_ns = 0;
	int r = make_keys(o->objects, &k);

	before = om_now_ns();
	if (r == BENCH_OK)
		r = fill(&k, &w);
	if (r == BENCH_OK) {
		struct idxr view;

		fill_ns = (double)(om_now_ns() - before) / (double)k.n;
		idxw_stat(w, &st);
		idxw_view(w, &view);
		measure_index(&view, &k, &l);
		r = measure_growth(w, k.n, &g);
		idxw_free(w);
		if (r == BENCH_OK)
			r = measure_heat(&l);
		if (r == BENCH_OK)
			r = lmdb(o, &k, &l);
	}
	free(k.all);
	free(k.some);
	if (r == BENCH_OK && l.missing > 0)
		r = bench_fail("index: %llu keys that are there were not found", (unsigned long long)l.missing);
	if (r != BENCH_OK)
		return r;
	values(&l, &st, o->objects, fill_ns, &g, v);
	return bench_print_values("index", o, v, OM_ARRAY_SIZE(v));
}
