/*
 * wrk_fdcache.c: the descriptor cache (process objmapper-worker, any of its threads).
 *
 * A hash table with chains, which belongs to the loop's thread: it alone looks up, inserts, evicts. So a look-up, and a
 * reference that it takes or gives back, is a plain load and a plain count: with a locked instruction each, 253 of them to a message,
 * these two were a fifth of what the worker itself spends on a GET.
 * One other thread may look for files without a name (sweep): it takes entries off the list under the mutex, with a counted reference,
 * and leaves the dead ones to the loop (tidy).
 *
 * Eviction is SIEVE: entries in order of their insertion, one bit "used since the hand passed", a hand that walks from the
 * oldest to the newest, clears bits and evicts the first entry without one. A hit writes nothing but that bit, once.
 * Before it stands a doorkeeper: a full cache takes only keys that missed shortly before.
 *
 * REFERENCES  held: the loop's own, a plain count. refs: one of the loop's side, which it gives up when the entry is out of the table
 *             and nothing is held any more, and one for the sweep while it looks; the last one closes the descriptor and frees.
 * ORDER       sweep finds an entry on the list, under the mutex, so before the loop has taken it out, so before the loop's side gives
 *             its reference up: refs is not 0 then. refs: increment relaxed (under the mutex), decrement acq_rel.
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
	uint32_t held;	      /* the loop's references */
	bool used;	      /* since the hand passed */
	bool linked;	      /* in the table */
	bool large;
	struct wrk_fde *next; /* chain */
	_Atomic uint32_t refs;
	struct wrk_fde *newer, *older; /* order of insertion; under the mutex */
	bool dead;		       /* on the list of the dead, with the sweep's reference; under the mutex */
	struct wrk_fde *next_dead;
};

struct wrk_fdcache {
	unsigned max;
	uint64_t mask;
	uint32_t *asked; /* hashes of what was asked and not there, each in the place of an older one; mask + 1 of them */
	pthread_mutex_t lock;
	_Atomic unsigned count;
	struct wrk_fde *newest, *oldest, *hand, *sweep;
	struct wrk_fde *dead; /* found by the sweep */
	struct wrk_fde *bucket[];
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

/* By the helper thread. @return false: no memory for that, it was closed here */
static bool wrk_fd_close_late(int fd)
{
	struct wrk_fd_late *l = malloc(sizeof(*l));

	if (!l) {
		(void)close(fd);
		return false;
	}
	l->fd = fd;
	WRK_FDCACHE_RELEASE();
	urcu_memb_call_rcu(&l->rcu, wrk_fd_late_close);
	return true;
}

bool wrk_fdcache_close(int fd)
{
	struct statx st;

	/* what is known here: a network filesystem must not be asked */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_NLINK | STATX_BLOCKS, &st) == 0 && st.stx_nlink == 0 &&
	    wrk_fdcache_large(st.stx_blocks * 512u))
		return wrk_fd_close_late(fd);
	(void)close(fd);
	return false;
}

/* Any thread: one of `refs` less. */
static void wrk_fde_unref(struct wrk_fde *e)
{
	if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
		return;
	OM_ASSERT(e->magic == WRK_FDE_MAGIC && !e->linked && !e->held);
	if (OM_UNLIKELY(e->dead)) /* the last descriptor, perhaps: whatever its filesystem does about that is not for the loop */
		(void)wrk_fd_close_late(om_take_fd(&e->fd));
	else if (OM_UNLIKELY(e->large))
		(void)wrk_fdcache_close(om_take_fd(&e->fd));
	else
		om_close(&e->fd);
	e->magic = 0;
	free(e);
}

/* It is out of the table: the loop's side lets go of it, now or with what is held last. */
static void wrk_fde_give_up(struct wrk_fde *e)
{
	if (!e->held)
		wrk_fde_unref(e);
}

void wrk_fdcache_put(struct wrk_fdcache *c, struct wrk_fde *e)
{
	(void)c;
	OM_ASSERT(e->held > 0);
	if (--e->held == 0 && OM_UNLIKELY(!e->linked))
		wrk_fde_unref(e);
}

int wrk_fdcache_fd(const struct wrk_fde *e)
{
	OM_ASSERT(e->magic == WRK_FDE_MAGIC);
	return e->fd;
}

/* ---- looking up */

static struct wrk_fde *wrk_fdcache_find(struct wrk_fdcache *c, const struct wrk_fdkey *key)
{
	struct wrk_fde *e = c->bucket[wrk_fdcache_slot(c, key)];

	while (e && !wrk_fdcache_same(&e->key, key))
		e = e->next;
	return e;
}

struct wrk_fde *wrk_fdcache_get(struct wrk_fdcache *c, const struct wrk_fdkey *key)
{
	struct wrk_fde *e = wrk_fdcache_find(c, key);

	if (e) {
		e->held++;
		e->used = true;
	}
	om_count(e ? OM_C_FD_CACHE_HIT : OM_C_FD_CACHE_MISS, 1);
	return e;
}

/* A part of get_many(). @return how many were found */
static unsigned wrk_fdcache_get_part(struct wrk_fdcache *c, const struct wrk_fdkey *keys, unsigned n, struct wrk_fde **ret)
{
	struct wrk_fde **at[WRK_FDCACHE_PART];
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++) {
		at[i] = &c->bucket[wrk_fdcache_slot(c, &keys[i])];
		__builtin_prefetch(at[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		ret[i] = keys[i].id ? *at[i] : NULL;
		__builtin_prefetch(ret[i], 1);
	}
	for (unsigned i = 0; i < n; i++) {
		struct wrk_fde *e = ret[i];

		while (e && !wrk_fdcache_same(&e->key, &keys[i]))
			e = e->next;
		ret[i] = e;
		if (!e)
			continue;
		e->held++;
		e->used = true;
		found++;
	}
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

/* ---- changing the table: the loop's thread, with the mutex held for the sweep's sake */

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

/* The caller gives it up, without the mutex. */
static void wrk_fdcache_unlink(struct wrk_fdcache *c, struct wrk_fde *e)
{
	struct wrk_fde **at = &c->bucket[wrk_fdcache_slot(c, &e->key)];

	while (*at != e) {
		OM_ASSERT(*at);
		at = &(*at)->next;
	}
	*at = e->next;
	wrk_fdcache_list_out(c, e);
	e->linked = false;
	om_gauge(OM_C_FD_CACHE, atomic_fetch_sub_explicit(&c->count, 1, memory_order_relaxed) - 1);
}

static struct wrk_fde *wrk_fdcache_victim(struct wrk_fdcache *c)
{
	struct wrk_fde *e = c->hand ? c->hand : c->oldest;

	while (e && e->used) { /* ends: each step clears a bit */
		e->used = false;
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
	/* Two keys may meet here: a wrong answer costs an entry, or the lack of one. */
	if (c->asked[h & c->mask] == mark)
		return true;
	c->asked[h & c->mask] = mark;
	return false;
}

struct wrk_fde *wrk_fdcache_add(struct wrk_fdcache *c, const struct wrk_fdkey *key, int fd, bool large)
{
	struct wrk_fde **head = &c->bucket[wrk_fdcache_slot(c, key)], *e = wrk_fdcache_find(c, key), *victim = NULL;

	if (e) {
		(void)close(fd);
		e->held++;
		return e;
	}
	e = aligned_alloc(OM_CACHELINE, sizeof(*e));
	if (!e)
		return NULL;
	memset(e, 0, sizeof(*e));
	e->magic = WRK_FDE_MAGIC;
	e->fd = fd;
	e->large = large;
	e->key = *key;
	e->held = 1; /* the caller's */
	atomic_init(&e->refs, 1);
	(void)pthread_mutex_lock(&c->lock);
	if (atomic_load_explicit(&c->count, memory_order_relaxed) >= c->max) {
		victim = wrk_fdcache_victim(c);
		wrk_fdcache_unlink(c, victim);
		om_count(OM_C_FD_CACHE_EVICT, 1);
	}
	e->linked = true;
	wrk_fdcache_list_in(c, e);
	om_gauge(OM_C_FD_CACHE, atomic_fetch_add_explicit(&c->count, 1, memory_order_relaxed) + 1);
	e->next = *head;
	*head = e;
	(void)pthread_mutex_unlock(&c->lock);
	if (victim)
		wrk_fde_give_up(victim);
	return e;
}

static void wrk_fdcache_out(struct wrk_fdcache *c, struct wrk_fde *e)
{
	(void)pthread_mutex_lock(&c->lock);
	wrk_fdcache_unlink(c, e);
	(void)pthread_mutex_unlock(&c->lock);
	wrk_fde_give_up(e);
}

void wrk_fdcache_shrink(struct wrk_fdcache *c, unsigned n)
{
	while (n-- > 0) {
		struct wrk_fde *e = wrk_fdcache_victim(c);

		if (!e)
			return;
		om_count(OM_C_FD_CACHE_EVICT, 1);
		wrk_fdcache_out(c, e);
	}
}

/* ---- sweep: another thread */

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
		(void)atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return e;
}

/* @return it is left to the loop, with our reference; false: the loop has it already, from an earlier round */
static bool wrk_fdcache_sweep_dead(struct wrk_fdcache *c, struct wrk_fde *e)
{
	bool first;

	(void)pthread_mutex_lock(&c->lock);
	first = !e->dead;
	if (first) {
		e->dead = true;
		e->next_dead = c->dead;
		c->dead = e;
	}
	(void)pthread_mutex_unlock(&c->lock);
	return first;
}

unsigned wrk_fdcache_sweep(struct wrk_fdcache *c, unsigned n)
{
	unsigned dead = 0;

	for (unsigned i = 0; i < n; i++) {
		struct wrk_fde *e = wrk_fdcache_sweep_next(c, i == 0);
		struct stat st;

		if (!e)
			break;
		/* the mutex is not held: this may wait for a server */
		if (fstat(e->fd, &st) == 0 && st.st_nlink == 0 && wrk_fdcache_sweep_dead(c, e))
			dead++;
		else
			wrk_fde_unref(e);
	}
	return dead;
}

void wrk_fdcache_tidy(struct wrk_fdcache *c)
{
	struct wrk_fde *e, *next;

	(void)pthread_mutex_lock(&c->lock);
	e = c->dead;
	c->dead = NULL;
	(void)pthread_mutex_unlock(&c->lock);
	for (; e; e = next) {
		next = e->next_dead;
		if (!e->linked) {
			wrk_fde_unref(e);
			continue;
		}
		(void)atomic_fetch_sub_explicit(&e->refs, 1, memory_order_release); /* not the last: the loop's is there */
		wrk_fdcache_out(c, e);
	}
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
	wrk_fdcache_tidy(c);
	wrk_fdcache_shrink(c, UINT32_MAX);
	urcu_memb_barrier(); /* every callback queued so far has run: what was to be closed late is closed */
	(void)pthread_mutex_destroy(&c->lock);
	free(c->asked);
	free(c);
}
