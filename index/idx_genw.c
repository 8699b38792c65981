/*
 * idx_genw.c: the supervisor's side of the table of generations, see idx_genw.h; the order and why it suffices are in
 * idx_gen.h. Any thread of the supervisor.
 *
 * How many changes are under way in a bucket is known here only. A word is odd exactly while that number is not 0.
 */
#include "index/idx_genw.h"

#include <pthread.h>
#include <sys/random.h>

#include "common/om_seg.h"

struct idx_genw {
	struct om_seg seg;
	struct idx_gen_table *table;
	pthread_mutex_t lock;	 /* in_flight, and the words that follow from it */
	uint32_t *in_flight;	 /* IDX_GEN_BUCKETS */
};

static uint64_t new_epoch(void)
{
	uint64_t epoch = 0;

	if (getrandom(&epoch, sizeof(epoch), GRND_NONBLOCK) != (ssize_t)sizeof(epoch) || epoch == 0)
		epoch = om_wall_ns() | 1; /* only has to differ from the tables before */
	return epoch;
}

int idx_genw_new(struct idx_genw **ret_g)
{
	struct idx_genw *g = (struct idx_genw *)calloc(1, sizeof(*g));
	int err = -OBJM_STATUS_OUT_OF_MEMORY;

	if (!g)
		return err;
	g->seg = OM_SEG_INIT;
	g->in_flight = (uint32_t *)calloc(IDX_GEN_BUCKETS, sizeof(*g->in_flight));
	if (g->in_flight)
		err = om_seg_create("objm-generations", sizeof(struct idx_gen_table), OM_SEG_FROZEN, &g->seg);
	if (err < 0) {
		free(g->in_flight);
		free(g);
		return err;
	}
	(void)pthread_mutex_init(&g->lock, NULL); /* never fails for a default mutex on Linux */
	g->table = (struct idx_gen_table *)g->seg.base;
	g->table->magic = IDX_GEN_MAGIC;
	g->table->layout = IDX_GEN_LAYOUT;
	g->table->buckets = IDX_GEN_BUCKETS;
	g->table->epoch = new_epoch();
	for (uint32_t i = 0; i < IDX_GEN_GROUPS; i++)
		atomic_store_explicit(&g->table->group[i], 1, memory_order_relaxed); /* the state below is stored with release */
	atomic_store_explicit(&g->table->valid_until_ns, om_coarse_ns() + IDX_GEN_VALID_NS, memory_order_release);
	atomic_store_explicit(&g->table->state, IDX_GEN_ALIVE, memory_order_release);
	*ret_g = g;
	return 0;
}

void idx_genw_free(struct idx_genw *g)
{
	if (!g)
		return;
	idx_genw_retire(g);
	om_seg_close(&g->seg);
	(void)pthread_mutex_destroy(&g->lock);
	free(g->in_flight);
	free(g);
}

int idx_genw_fd(const struct idx_genw *g) { return g->seg.rofd; }
const struct idx_gen_table *idx_genw_table(const struct idx_genw *g) { return g->table; }

/* Callers hold the lock. */
static void raise_by(struct idx_genw *g, uint32_t bucket, uint64_t by)
{
	_Atomic uint64_t *word = &g->table->gen[bucket];

	atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + by, memory_order_release);
}

static void raise_group(struct idx_genw *g, uint32_t group)
{
	_Atomic uint32_t *word = &g->table->group[group];
	uint32_t was = atomic_load_explicit(word, memory_order_relaxed);

	if (was != 0)
		atomic_store_explicit(word, was == IDX_GEN_GROUP_LAST ? 0 : was + 1, memory_order_release);
}

void idx_genw_open(struct idx_genw *g, uint32_t bucket)
{
	OM_ASSERT(bucket < IDX_GEN_BUCKETS);
	(void)pthread_mutex_lock(&g->lock);
	OM_ASSERT(g->in_flight[bucket] < UINT32_MAX);
	/* The slots are stored with release after this, so who sees a new slot sees the odd word: nobody gets the new version
	 * while another still trusts its copy of the old one. */
	if (g->in_flight[bucket]++ == 0) {
		raise_by(g, bucket, 1);
		/* After it: who loads the new word of the group finds the bucket odd, or later. */
		raise_group(g, idx_gen_group(bucket));
	}
	(void)pthread_mutex_unlock(&g->lock);
}

void idx_genw_close(struct idx_genw *g, uint32_t bucket)
{
	OM_ASSERT(bucket < IDX_GEN_BUCKETS);
	(void)pthread_mutex_lock(&g->lock);
	OM_ASSERT(g->in_flight[bucket] > 0);
	/* Release: a worker that loads the new even word finds the new slots. */
	if (--g->in_flight[bucket] == 0)
		raise_by(g, bucket, 1);
	(void)pthread_mutex_unlock(&g->lock);
}

void idx_genw_renew(struct idx_genw *g)
{
	(void)pthread_mutex_lock(&g->lock);
	if (atomic_load_explicit(&g->table->state, memory_order_relaxed) == IDX_GEN_ALIVE)
		atomic_store_explicit(&g->table->valid_until_ns, om_coarse_ns() + IDX_GEN_VALID_NS, memory_order_release);
	(void)pthread_mutex_unlock(&g->lock);
}

void idx_genw_retire(struct idx_genw *g)
{
	(void)pthread_mutex_lock(&g->lock);
	atomic_store_explicit(&g->table->valid_until_ns, 0, memory_order_release);
	atomic_store_explicit(&g->table->state, IDX_GEN_RETIRED, memory_order_release);
	(void)pthread_mutex_unlock(&g->lock);
}

void idx_genw_bump_all(struct idx_genw *g)
{
	(void)pthread_mutex_lock(&g->lock);
	for (uint32_t b = 0; b < IDX_GEN_BUCKETS; b++)
		if (g->in_flight[b] == 0) /* an odd one moves on by itself, to an even one that nobody has seen */
			raise_by(g, b, 2);
	for (uint32_t i = 0; i < IDX_GEN_GROUPS; i++)
		raise_group(g, i);
	(void)pthread_mutex_unlock(&g->lock);
}
