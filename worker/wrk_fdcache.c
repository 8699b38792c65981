/*
 * wrk_fdcache.c: the descriptor cache (process objmapper-worker, any of its threads).
 *
 * A hash table with chains. Readers walk a chain inside an RCU read-side section and then take a reference, which fails on
 * an entry whose last one is gone; writers (insert, evict, drop) hold a mutex and never free: the descriptor is closed with
 * the last reference, the memory freed by liburcu's helper thread after a grace period.
 * Publication goes through C11 atomics instead of liburcu's inline assembly, so that TSan can follow it.
 *
 * Eviction is SIEVE: entries in order of their insertion, one bit "used since the hand passed", a hand that walks from the
 * oldest to the newest, clears bits and evicts the first entry without one. A hit writes nothing but that bit, once.
 * Before it stands a doorkeeper: a full cache takes only keys that missed shortly before.
 *
 * ORDER  insert: entry filled; bucket head (release). Look-up: head and next (acquire). Unlink: previous next (release);
 *        the entry's own next stays, so a reader standing on it walks on. References: increment only from non-zero
 *        (acquire), decrement (acq_rel); the one that reaches zero hands the entry to call_rcu.
 */
#include "worker/wrk_fdcache.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <urcu/urcu-memb.h>

#include "common/om_counter.h"

/* liburcu's own barriers are invisible to TSan: tell it that a grace period orders readers before the callback. */
#if defined(__SANITIZE_THREAD__)
#define WRK_FDCACHE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WRK_FDCACHE_TSAN 1
#endif
#endif
#ifdef WRK_FDCACHE_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
static char wrk_fdcache_tag;
#define WRK_FDCACHE_RELEASE() __tsan_release(&wrk_fdcache_tag) /* the end of a read-side section; handing over to call_rcu */
#define WRK_FDCACHE_GRACE_OVER() __tsan_acquire(&wrk_fdcache_tag)
/* What the library itself does with malloc, free and poll: its locking is not visible either. */
const char *__tsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void)
{
	return "called_from_lib:liburcu-memb.so\n";
}
#else
#define WRK_FDCACHE_RELEASE() ((void)0)
#define WRK_FDCACHE_GRACE_OVER() ((void)0)
#endif

#define WRK_FDCACHE_PART 64u /* keys whose cache misses overlap */
#define WRK_FDE_MAGIC 0x6564662du

struct wrk_fde { /* what a look-up touches lies in the first cache line */
	_Alignas(OM_CACHELINE) uint32_t magic;
	int fd;
	struct wrk_fdkey key;
	_Atomic uint32_t refs;
	_Atomic bool used;	       /* since the hand passed */
	bool linked;		       /* in the table; under the mutex */
	bool large;
	_Atomic(struct wrk_fde *) next; /* chain */
	struct wrk_fde *newer, *older; /* order of insertion; under the mutex */
	struct wrk_fdcache *cache;
	struct rcu_head rcu;
};

struct wrk_fdcache {
	unsigned max;
	uint64_t mask;
	_Atomic uint32_t *asked; /* hashes of what was asked and not there, each in the place of an older one; mask + 1 of them */
	pthread_mutex_t lock;
	_Atomic unsigned count;
	_Atomic unsigned dying; /* entries waiting for their grace period */
	struct wrk_fde *newest, *oldest, *hand, *sweep;
	_Atomic(struct wrk_fde *) bucket[];
};

static uint64_t wrk_fdcache_hash(const struct wrk_fdkey *key)
{
	uint64_t h = (key->id ^ (uint64_t)key->uid << 32 ^ (uint64_t)key->tier << 56) * 0x9e3779b97f4a7c15u;

	return h ^ h >> 29;
}

static uint64_t wrk_fdcache_slot(const struct wrk_fdcache *c, const struct wrk_fdkey *key)
{
	return wrk_fdcache_hash(key) & c->mask;
}

static bool wrk_fdcache_same(const struct wrk_fdkey *a, const struct wrk_fdkey *b)
{
	return a->id == b->id && a->uid == b->uid && a->tier == b->tier;
}

/* ---- references */

static bool wrk_fde_ref(struct wrk_fde *e)
{
	uint32_t n = atomic_load_explicit(&e->refs, memory_order_relaxed);

	while (n)
		if (atomic_compare_exchange_weak_explicit(&e->refs, &n, n + 1, memory_order_acquire, memory_order_relaxed))
			return true;
	return false;
}

static void wrk_fde_free(struct rcu_head *head)
{
	struct wrk_fde *e = caa_container_of(head, struct wrk_fde, rcu);
	struct wrk_fdcache *c;

	WRK_FDCACHE_GRACE_OVER();
	c = e->cache;
	OM_ASSERT(e->magic == WRK_FDE_MAGIC && e->fd < 0);
	e->magic = 0;
	free(e);
	(void)atomic_fetch_sub_explicit(&c->dying, 1, memory_order_release);
}

void wrk_fdcache_put(struct wrk_fdcache *c, struct wrk_fde *e)
{
	if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
		return;
	OM_ASSERT(e->magic == WRK_FDE_MAGIC && !e->linked);
	/* Nobody can get a reference any more, so the descriptor goes now: waiting for the grace period would let thousands
	 * pile up. Only the memory, which a reader may still be looking at, has to wait. */
	if (OM_UNLIKELY(e->large))
		(void)wrk_fdcache_close(om_take_fd(&e->fd));
	else
		om_close(&e->fd);
	(void)atomic_fetch_add_explicit(&c->dying, 1, memory_order_relaxed);
	WRK_FDCACHE_RELEASE();
	urcu_memb_call_rcu(&e->rcu, wrk_fde_free);
}

struct wrk_fd_late {
	struct rcu_head rcu;
	int fd;
};

static void wrk_fd_late_close(struct rcu_head *head)
{
	struct wrk_fd_late *l = caa_container_of(head, struct wrk_fd_late, rcu);

	WRK_FDCACHE_GRACE_OVER();
	(void)close(l->fd);
	free(l);
}

bool wrk_fdcache_close(int fd)
{
	struct wrk_fd_late *l = NULL;
	struct statx st;

	/* what is known here: a network filesystem must not be asked */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_NLINK | STATX_BLOCKS, &st) == 0 && st.stx_nlink == 0 &&
	    wrk_fdcache_large(st.stx_blocks * 512u))
		l = malloc(sizeof(*l));
	if (!l) {
		(void)close(fd);
		return false;
	}
	l->fd = fd;
	WRK_FDCACHE_RELEASE();
	urcu_memb_call_rcu(&l->rcu, wrk_fd_late_close);
	return true;
}

int wrk_fdcache_fd(const struct wrk_fde *e)
{
	OM_ASSERT(e->magic == WRK_FDE_MAGIC);
	return e->fd;
}

/* ---- looking up */

static struct wrk_fde *wrk_fdcache_find(struct wrk_fdcache *c, const struct wrk_fdkey *key)
{
	struct wrk_fde *e = atomic_load_explicit(&c->bucket[wrk_fdcache_slot(c, key)], memory_order_acquire);

	while (e && !wrk_fdcache_same(&e->key, key))
		e = atomic_load_explicit(&e->next, memory_order_acquire);
	return e;
}

struct wrk_fde *wrk_fdcache_get(struct wrk_fdcache *c, const struct wrk_fdkey *key)
{
	struct wrk_fde *e;

	urcu_memb_read_lock();
	e = wrk_fdcache_find(c, key);
	if (e && !wrk_fde_ref(e))
		e = NULL;
	WRK_FDCACHE_RELEASE();
	urcu_memb_read_unlock();
	if (e && !atomic_load_explicit(&e->used, memory_order_relaxed))
		atomic_store_explicit(&e->used, true, memory_order_relaxed);
	om_count(e ? OM_C_FD_CACHE_HIT : OM_C_FD_CACHE_MISS, 1);
	return e;
}

/* A part of get_many(). @return how many were found */
static unsigned wrk_fdcache_get_part(struct wrk_fdcache *c, const struct wrk_fdkey *keys, unsigned n, struct wrk_fde **ret)
{
	_Atomic(struct wrk_fde *) *at[WRK_FDCACHE_PART];
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++) {
		at[i] = &c->bucket[wrk_fdcache_slot(c, &keys[i])];
		__builtin_prefetch(at[i]);
	}
	urcu_memb_read_lock();
	for (unsigned i = 0; i < n; i++) {
		ret[i] = keys[i].id ? atomic_load_explicit(at[i], memory_order_acquire) : NULL;
		__builtin_prefetch(ret[i], 1);
	}
	for (unsigned i = 0; i < n; i++) {
		struct wrk_fde *e = ret[i];

		while (e && !wrk_fdcache_same(&e->key, &keys[i]))
			e = atomic_load_explicit(&e->next, memory_order_acquire);
		if (e && !wrk_fde_ref(e))
			e = NULL;
		if (e && !atomic_load_explicit(&e->used, memory_order_relaxed))
			atomic_store_explicit(&e->used, true, memory_order_relaxed);
		ret[i] = e;
		found += e != NULL;
	}
	WRK_FDCACHE_RELEASE();
	urcu_memb_read_unlock();
	return found;
}

void wrk_fdcache_get_many(struct wrk_fdcache *c, const struct wrk_fdkey *keys, unsigned n, struct wrk_fde **ret)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i += WRK_FDCACHE_PART)
		found += wrk_fdcache_get_part(c, keys + i, OM_MIN(n - i, WRK_FDCACHE_PART), ret + i);
	if (found)
		om_count(OM_C_FD_CACHE_HIT, found);
}

/* ---- changing the table; all with the mutex held */

static void wrk_fdcache_list_in(struct wrk_fdcache *c, struct wrk_fde *e)
{
	e->older = c->newest;
	e->newer = NULL;
	if (c->newest)
		c->newest->newer = e;
	else
		c->oldest = e;
	c->newest = e;
}

static void wrk_fdcache_list_out(struct wrk_fdcache *c, struct wrk_fde *e)
{
	if (c->hand == e)
		c->hand = e->newer;
	if (c->sweep == e)
		c->sweep = e->newer;
	if (e->newer)
		e->newer->older = e->older;
	else
		c->newest = e->older;
	if (e->older)
		e->older->newer = e->newer;
	else
		c->oldest = e->newer;
}

/* The table's reference passes to the caller, who gives it back without the mutex. */
static void wrk_fdcache_unlink(struct wrk_fdcache *c, struct wrk_fde *e)
{
	_Atomic(struct wrk_fde *) *at = &c->bucket[wrk_fdcache_slot(c, &e->key)];
	struct wrk_fde *p;

	while ((p = atomic_load_explicit(at, memory_order_relaxed)) != e) {
		OM_ASSERT(p);
		at = &p->next;
	}
	atomic_store_explicit(at, atomic_load_explicit(&e->next, memory_order_relaxed), memory_order_release);
	wrk_fdcache_list_out(c, e);
	e->linked = false;
	om_gauge(OM_C_FD_CACHE, atomic_fetch_sub_explicit(&c->count, 1, memory_order_relaxed) - 1);
}

static struct wrk_fde *wrk_fdcache_victim(struct wrk_fdcache *c)
{
	struct wrk_fde *e = c->hand ? c->hand : c->oldest;

	/* Ends: each step clears a bit, and readers can set them again at most once a pass; two passes bound it. */
	for (uint64_t left = 2 * (uint64_t)c->max; e && left > 0; left--) {
		if (!atomic_load_explicit(&e->used, memory_order_relaxed))
			break;
		atomic_store_explicit(&e->used, false, memory_order_relaxed);
		e = e->newer ? e->newer : c->oldest;
	}
	if (e)
		c->hand = e; /* unlinking moves it on */
	return e;
}

bool wrk_fdcache_wants(struct wrk_fdcache *c, const struct wrk_fdkey *key)
{
	uint64_t h = wrk_fdcache_hash(key);
	uint32_t mark = (uint32_t)(h >> 32) | 1;

	if (atomic_load_explicit(&c->count, memory_order_relaxed) < c->max)
		return true;
	/* Two threads, or two keys, may meet here: a wrong answer costs an entry, or the lack of one. */
	if (atomic_load_explicit(&c->asked[h & c->mask], memory_order_relaxed) == mark)
		return true;
	atomic_store_explicit(&c->asked[h & c->mask], mark, memory_order_relaxed);
	return false;
}

struct wrk_fde *wrk_fdcache_add(struct wrk_fdcache *c, const struct wrk_fdkey *key, int fd, bool large)
{
	struct wrk_fde *e = aligned_alloc(OM_CACHELINE, sizeof(*e)), *old, *victim = NULL;
	_Atomic(struct wrk_fde *) *head = &c->bucket[wrk_fdcache_slot(c, key)];

	if (!e)
		return NULL;
	memset(e, 0, sizeof(*e));
	e->magic = WRK_FDE_MAGIC;
	e->fd = fd;
	e->large = large;
	e->key = *key;
	e->cache = c;
	atomic_init(&e->refs, 2); /* the table's and the caller's */
	(void)pthread_mutex_lock(&c->lock);
	old = wrk_fdcache_find(c, key);
	if (old && wrk_fde_ref(old)) { /* linked, so the table's reference keeps it: this cannot fail */
		(void)pthread_mutex_unlock(&c->lock);
		free(e);
		(void)close(fd);
		return old;
	}
	if (atomic_load_explicit(&c->count, memory_order_relaxed) >= c->max) {
		victim = wrk_fdcache_victim(c);
		wrk_fdcache_unlink(c, victim);
		om_count(OM_C_FD_CACHE_EVICT, 1);
	}
	atomic_init(&e->next, atomic_load_explicit(head, memory_order_relaxed));
	e->linked = true;
	wrk_fdcache_list_in(c, e);
	om_gauge(OM_C_FD_CACHE, atomic_fetch_add_explicit(&c->count, 1, memory_order_relaxed) + 1);
	atomic_store_explicit(head, e, memory_order_release); /* everything above before a reader can find it */
	(void)pthread_mutex_unlock(&c->lock);
	if (victim)
		wrk_fdcache_put(c, victim);
	return e;
}

void wrk_fdcache_drop(struct wrk_fdcache *c, uint64_t id, uint8_t tier, uint32_t uid)
{
	struct wrk_fdkey key = { .id = id, .uid = uid, .tier = tier };
	struct wrk_fde *e;

	(void)pthread_mutex_lock(&c->lock);
	e = wrk_fdcache_find(c, &key);
	if (e)
		wrk_fdcache_unlink(c, e);
	(void)pthread_mutex_unlock(&c->lock);
	if (e)
		wrk_fdcache_put(c, e);
}

void wrk_fdcache_shrink(struct wrk_fdcache *c, unsigned n)
{
	while (n-- > 0) {
		struct wrk_fde *e;

		(void)pthread_mutex_lock(&c->lock);
		e = wrk_fdcache_victim(c);
		if (e)
			wrk_fdcache_unlink(c, e);
		(void)pthread_mutex_unlock(&c->lock);
		if (!e)
			return;
		om_count(OM_C_FD_CACHE_EVICT, 1);
		wrk_fdcache_put(c, e);
	}
}

/* The next entry of the sweep, referenced, or NULL at the end of a round. */
static struct wrk_fde *wrk_fdcache_sweep_next(struct wrk_fdcache *c, bool first)
{
	struct wrk_fde *e;

	(void)pthread_mutex_lock(&c->lock);
	if (first && !c->sweep)
		c->sweep = c->oldest;
	e = c->sweep;
	if (e) {
		c->sweep = e->newer;
		OM_ASSERT(wrk_fde_ref(e)); /* linked: the table holds one */
	}
	(void)pthread_mutex_unlock(&c->lock);
	return e;
}

unsigned wrk_fdcache_sweep(struct wrk_fdcache *c, unsigned n)
{
	unsigned dropped = 0;

	for (unsigned i = 0; i < n; i++) {
		struct wrk_fde *e = wrk_fdcache_sweep_next(c, i == 0);
		struct stat st;
		bool dead;

		if (!e)
			break;
		dead = fstat(e->fd, &st) == 0 && st.st_nlink == 0; /* the mutex is not held: this may wait for a server */
		if (dead) {
			(void)pthread_mutex_lock(&c->lock);
			dead = e->linked;
			if (dead)
				wrk_fdcache_unlink(c, e);
			(void)pthread_mutex_unlock(&c->lock);
		}
		if (dead) {
			wrk_fdcache_put(c, e); /* the table's */
			dropped++;
		}
		wrk_fdcache_put(c, e);
	}
	return dropped;
}

unsigned wrk_fdcache_count(const struct wrk_fdcache *c)
{
	return atomic_load_explicit(&c->count, memory_order_relaxed);
}

/* ---- life */

void wrk_fdcache_thread_in(void) { urcu_memb_register_thread(); }
void wrk_fdcache_thread_out(void) { urcu_memb_unregister_thread(); }

int wrk_fdcache_new(unsigned max, struct wrk_fdcache **ret)
{
	struct wrk_fdcache *c;
	uint64_t buckets = 16;

	max = OM_MIN(OM_MAX(max, 1u), 1u << 24);
	while (buckets < max)
		buckets *= 2;
	c = calloc(1, sizeof(*c) + buckets * sizeof(c->bucket[0]));
	if (!c)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	c->asked = calloc(buckets, sizeof(c->asked[0]));
	if (!c->asked) {
		free(c);
		return -OBJM_STATUS_OUT_OF_MEMORY;
	}
	c->max = max;
	c->mask = buckets - 1;
	(void)pthread_mutex_init(&c->lock, NULL); /* cannot fail for a default mutex */
	if (!urcu_memb_get_default_call_rcu_data()) { /* starts the helper thread now */
		free(c->asked);
		free(c);
		return -OBJM_STATUS_OUT_OF_MEMORY;
	}
	*ret = c;
	return 0;
}

void wrk_fdcache_free(struct wrk_fdcache *c)
{
	if (!c)
		return;
	wrk_fdcache_shrink(c, UINT32_MAX);
	urcu_memb_barrier(); /* every callback queued so far has run */
	OM_ASSERT(atomic_load_explicit(&c->dying, memory_order_acquire) == 0);
	(void)pthread_mutex_destroy(&c->lock);
	free(c->asked);
	free(c);
}
