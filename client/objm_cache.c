/*
 * objm_cache.c: see objm_cache.h. Runs in clients, on the session's thread.
 *
 * The hash table (objm_cache_lines.h) gives the number of an entry in an array. What a hit needs of an object is in the entry, one
 * cache line; what else is known of it in an array of its own. Eviction: a hand goes round the array; an entry that was used since
 * it came by last is passed once (second chance).
 */
#include "client/objm_cache.h"

#include <sys/mman.h>
#include <sys/random.h>

#define XXH_INLINE_ALL /* a few instructions for a short URI; no library to link */
#include <xxhash.h>

#define HUGE_BYTES (2u << 20)

/* ---------------------------------------------------------------- memory */

static size_t entries_bytes(const struct objm_cache *c) { return ((size_t)c->max + 1) * sizeof(*c->entries); }
static size_t rests_bytes(const struct objm_cache *c) { return ((size_t)c->max + 1) * sizeof(*c->rests); }
static size_t lines_bytes(const struct objm_cache *c) { return (size_t)c->lines.count * sizeof(*c->lines.line); }

/* Of a large cache whole huge pages: a hit is otherwise a page walk or two more. */
static size_t memory_bytes(const struct objm_cache *c)
{
	size_t n = lines_bytes(c) + entries_bytes(c) + rests_bytes(c);

	return n < HUGE_BYTES ? n : (n + HUGE_BYTES - 1) & ~(size_t)(HUGE_BYTES - 1);
}

/* Zeroed and page-aligned, in one piece: a large one is aligned to huge pages by the kernel. */
static bool memory_new(struct objm_cache *c)
{
	size_t n = memory_bytes(c);
	char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return false;
	if (n >= HUGE_BYTES)
		(void)madvise(p, n, MADV_HUGEPAGE); /* refused: slower, not wrong */
	c->memory = p;
	c->lines.line = (struct objm_cache_line *)(void *)p;
	c->entries = (struct objm_cache_entry *)(void *)(p + lines_bytes(c));
	c->rests = (struct objm_cache_rest *)(void *)(p + lines_bytes(c) + entries_bytes(c));
	c->lines.hashes = &c->rests[0].hash;
	c->lines.stride = sizeof(c->rests[0]);
	return true;
}

struct objm_cache *objm_cache_new(uint32_t max, uint32_t fds_max, uint64_t bytes_max)
{
	struct objm_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->max = max;
	c->fds_max = OM_MAX(fds_max, 1u);
	c->bytes_max = bytes_max;
	c->lines.count = objm_cache_lines_for(max);
	if (!memory_new(c)) {
		free(c);
		return NULL;
	}
	/* Without random bytes the table is still right, only easier to fill badly on purpose. */
	if (getrandom(&c->seed, sizeof(c->seed), GRND_NONBLOCK) != (ssize_t)sizeof(c->seed))
		c->seed = om_now_ns();
	return c;
}

static bool is_lone(const struct objm_cache *c, const struct objm_cache_entry *e) { return e < c->entries || e > c->entries + c->max; }
static uint32_t number_of(const struct objm_cache *c, const struct objm_cache_entry *e) { return (uint32_t)(e - c->entries); }

static struct objm_cache_rest *rest_of(const struct objm_cache *c, const struct objm_cache_entry *e)
{
	return is_lone(c, e) ? &((struct objm_cache_lone *)(uintptr_t)e)->r : &c->rests[number_of(c, e)];
}

/* ---------------------------------------------------------------- URIs */

static uint8_t short_len(size_t len) { return (uint8_t)OM_MIN(len, (size_t)UINT8_MAX); }

static const char *uri_at(const struct objm_cache_entry *e, const struct objm_cache_rest *r)
{
	const char *p;

	if (OM_LIKELY(e->len <= OBJM_CACHE_INLINE))
		return e->text;
	if (e->len <= OBJM_CACHE_NEAR)
		return r->text;
	memcpy(&p, r->text, sizeof(p));
	return p;
}

const char *objm_cache_uri(const struct objm_cache *c, const struct objm_cache_entry *e, size_t *ret_len)
{
	*ret_len = rest_of(c, e)->uri_len;
	return uri_at(e, rest_of(c, e));
}

/* `own`: memory for one that fits nowhere. The lengths are set. */
static void uri_set(struct objm_cache_entry *e, struct objm_cache_rest *r, const char *uri, char *own)
{
	if (own)
		memcpy(r->text, &own, sizeof(own));
	memcpy((char *)(uintptr_t)uri_at(e, r), uri, r->uri_len);
}

/* Words that overlap at the end instead of a call: nearly all URIs are of this kind. */
static inline bool same_bytes(const char *a, const char *b, size_t len)
{
	uint64_t x, y, differ = 0;

	if (OM_UNLIKELY(len < sizeof(x) || len > OBJM_CACHE_NEAR))
		return memcmp(a, b, len) == 0;
	for (size_t i = 0; i + sizeof(x) < len; i += sizeof(x)) {
		memcpy(&x, a + i, sizeof(x));
		memcpy(&y, b + i, sizeof(y));
		differ |= x ^ y;
	}
	memcpy(&x, a + len - sizeof(x), sizeof(x));
	memcpy(&y, b + len - sizeof(y), sizeof(y));
	return (differ | (x ^ y)) == 0;
}

/* ---------------------------------------------------------------- what is let go */

/* What an entry holds goes. */
static void empty(struct objm_cache *c, struct objm_cache_entry *e)
{
	if (e->has & OBJM_CACHE_HAS_FD)
		om_close(&e->pub.fd);
	if (e->has & OBJM_CACHE_HAS_MAPPING)
		(void)munmap((void *)(uintptr_t)e->pub.data, (size_t)e->pub.size);
	else if (e->has & OBJM_CACHE_HAS_DATA)
		free((void *)(uintptr_t)e->pub.data);
	if (e->len > OBJM_CACHE_NEAR)
		free((char *)(uintptr_t)uri_at(e, rest_of(c, e)));
	e->len = 0;
	e->has = 0;
}

static void give_back(struct objm_cache *c, struct objm_cache_entry *e)
{
	empty(c, e);
	if (is_lone(c, e)) {
		free(e);
		return;
	}
	rest_of(c, e)->next_free = c->free_head;
	c->free_head = number_of(c, e);
}

void objm_cache_free(struct objm_cache *c)
{
	if (!c)
		return;
	for (uint32_t i = 1; i <= c->used; i++)
		if (c->entries[i].len)
			empty(c, &c->entries[i]);
	(void)munmap(c->memory, memory_bytes(c));
	idx_gen_unmap(c->table);
	free(c);
}

/* It is found no more; it goes with its last reference. */
static void unlink_entry(struct objm_cache *c, struct objm_cache_entry *e)
{
	struct objm_cache_rest *r = rest_of(c, e);

	objm_cache_lines_drop(&c->lines, r->hash, number_of(c, e));
	r->linked = false;
	c->count--;
	c->bytes -= e->pub.size;
	if (e->has & OBJM_CACHE_HAS_FD)
		c->fds--;
	e->has |= OBJM_CACHE_HAS_LEFT;
	if (e->refs == 0)
		give_back(c, e);
}

/* ---------------------------------------------------------------- the hash table */

static struct objm_cache_place place_of(const struct objm_cache *c, const char *uri, size_t len)
{
	return objm_cache_place(XXH3_64bits_withSeed(uri, len, c->seed));
}

static inline bool named(const struct objm_cache_entry *e, const struct objm_cache_rest *r, const char *uri, size_t len)
{
	return e->len == short_len(len) && (OM_LIKELY(len <= OBJM_CACHE_NEAR) || r->uri_len == len) && same_bytes(uri_at(e, r), uri, len);
}

/* Inline: what the compiler can keep in registers here counts in a hit. */
static inline __attribute__((always_inline)) struct objm_cache_entry *lookup(struct objm_cache *c, const char *uri, size_t len, struct objm_cache_place p)
{
	for (uint32_t at = objm_cache_home(&c->lines, p.hash);; at = objm_cache_next(&c->lines, at)) {
		const struct objm_cache_line *l = &c->lines.line[at];

		for (uint64_t m = objm_cache_matches(l, p.tag); m; m &= m - 1) {
			uint32_t number = objm_cache_number(l, objm_cache_first(m));
			struct objm_cache_entry *e = &c->entries[number];

			if (len > OBJM_CACHE_INLINE) /* both lines at once */
				__builtin_prefetch(c->rests[number].text);
			if (OM_LIKELY(named(e, &c->rests[number], uri, len)))
				return e;
		}
		if (!objm_cache_full(l))
			return NULL;
	}
}

static void link_entry(struct objm_cache *c, struct objm_cache_entry *e, struct objm_cache_place p)
{
	struct objm_cache_rest *r = rest_of(c, e);

	objm_cache_lines_add(&c->lines, p, number_of(c, e));
	r->linked = true;
	c->count++;
	c->bytes += e->pub.size;
	if (e->has & OBJM_CACHE_HAS_FD)
		c->fds++;
}

/* ---------------------------------------------------------------- hits */

/* The group's word has moved, or nothing was compared yet: the bucket's own. */
static __attribute__((noinline)) bool prove(const struct objm_cache *c, struct objm_cache_entry *e, uint32_t group)
{
	if (((idx_gen_load(c->table, (uint32_t)e->bucket) ^ e->gen) & ((UINT64_C(1) << OBJM_CACHE_GEN_BITS) - 1)) != 0)
		return false;
	if (group != 0)
		e->proven = group;
	return true;
}

/* The proof: see the top of objm_cache.h. Words are loaded before the table's life is looked at: a table that is alive
 * after the load was alive at it. */
static inline bool current(const struct objm_cache *c, struct objm_cache_entry *e, uint64_t *ret_now)
{
	uint32_t group = idx_gen_group_load(c->table, (uint32_t)e->bucket); /* before prove() loads the bucket's */
	bool same = OM_LIKELY(group == e->proven) || prove(c, e, group);
	uint64_t until = atomic_load_explicit(&c->table->valid_until_ns, memory_order_acquire);
	bool alive = atomic_load_explicit(&c->table->state, memory_order_acquire) == IDX_GEN_ALIVE;

	*ret_now = om_coarse_ns();
	return same && alive && *ret_now < until;
}

static bool expired(const struct objm_cache *c, const struct objm_cache_entry *e)
{
	return OM_UNLIKELY(e->has & OBJM_CACHE_HAS_EXPIRY) && om_wall_ns() / 1000000000u >= rest_of(c, e)->expiry_s;
}

/* For the next report. What it has no room for is not counted: counted, it would never be the first hit of a later one. */
static inline void touch(struct objm_cache *c, struct objm_cache_entry *e)
{
	if (e->touches == 0) {
		if (c->touched_count == OBJM_CACHE_TOUCHED_MAX)
			return;
		c->touched[c->touched_count++] = number_of(c, e);
	}
	e->touches += e->touches < UINT16_MAX;
}

struct objm_cache_entry *objm_cache_find(struct objm_cache *c, const char *uri, size_t len, uint32_t want, bool *ret_report)
{
	struct objm_cache_entry *e;
	uint64_t now;

	if (OM_UNLIKELY(!c->table))
		return NULL;
	e = lookup(c, uri, len, place_of(c, uri, len));
	if (!e) {
		c->misses++;
		return NULL;
	}
	if (OM_UNLIKELY(!current(c, e, &now) || expired(c, e))) {
		c->stale++;
		c->misses++;
		unlink_entry(c, e);
		return NULL;
	}
	if (OM_UNLIKELY((e->has & want) != want)) {
		c->misses++;
		return NULL;
	}
	c->hits++;
	e->refs++;
	e->has |= OBJM_CACHE_VISITED;
	touch(c, e);
	if (OM_UNLIKELY(now >= c->report_at_ns))
		*ret_report = true;
	return e;
}

void objm_cache_unref(struct objm_cache *c, struct objm_cache_entry *e)
{
	if (OM_UNLIKELY(e->refs == 0))
		abort(); /* the program released what it did not hold: going on would hand out closed descriptors */
	if (--e->refs == 0 && OM_UNLIKELY(e->has & OBJM_CACHE_HAS_LEFT))
		give_back(c, e);
}

/* ---------------------------------------------------------------- room */

bool objm_cache_shrink(struct objm_cache *c, uint32_t n)
{
	bool any = false;

	/* Two turns: the first may only have taken second chances away. */
	for (uint64_t left = 2 * (uint64_t)c->used; left > 0 && n > 0 && c->count > 0; left--) {
		struct objm_cache_entry *e;

		c->hand = c->hand >= c->used ? 1 : c->hand + 1;
		e = &c->entries[c->hand];
		if (!c->rests[c->hand].linked || e->refs > 0)
			continue;
		if (e->has & OBJM_CACHE_VISITED) {
			e->has &= (uint8_t)~OBJM_CACHE_VISITED;
			continue;
		}
		unlink_entry(c, e);
		any = true;
		n--;
	}
	return any;
}

void objm_cache_sweep(struct objm_cache *c, uint32_t n)
{
	uint64_t now;

	for (n = OM_MIN(n, c->used); n > 0 && c->table; n--) {
		struct objm_cache_entry *e;

		c->hand = c->hand >= c->used ? 1 : c->hand + 1;
		e = &c->entries[c->hand];
		if (c->rests[c->hand].linked && (!current(c, e, &now) || expired(c, e)))
			unlink_entry(c, e);
	}
}

void objm_cache_drop_all(struct objm_cache *c)
{
	for (uint32_t i = 1; i <= c->used && c->count > 0; i++)
		if (c->rests[i].linked)
			unlink_entry(c, &c->entries[i]);
	c->touched_count = 0;
}

/* A free entry of the array, if need be for another one; NULL: all are referenced. */
static struct objm_cache_entry *entry_new(struct objm_cache *c, uint64_t size, bool fd)
{
	struct objm_cache_entry *e;

	while (c->count > 0 && (c->bytes_max - c->bytes < size || (fd && c->fds >= c->fds_max)))
		if (!objm_cache_shrink(c, 1))
			return NULL;
	if (c->free_head == 0 && c->used == c->max && !objm_cache_shrink(c, 1))
		return NULL;
	if (c->free_head) {
		e = &c->entries[c->free_head];
		c->free_head = c->rests[c->free_head].next_free;
	} else if (c->used < c->max) {
		e = &c->entries[++c->used];
	} else {
		return NULL;
	}
	return e;
}

static bool keepable(const struct objm_cache *c, const struct objm_info *info)
{
	return c->table && idx_gen_keepable(info->gen) && info->bucket < IDX_GEN_BUCKETS && info->size <= c->bytes_max;
}

struct objm_cache_entry *objm_cache_insert(struct objm_cache *c, const char *uri, size_t len, const struct objm_info *info, int fd,
					   void *data, uint32_t has)
{
	struct objm_cache_entry *e = NULL, *old;
	struct objm_cache_place place = place_of(c, uri, len);
	bool lone;

	old = c->table ? lookup(c, uri, len, place) : NULL;
	if (old)
		unlink_entry(c, old);
	char *own = len > OBJM_CACHE_NEAR ? malloc(len) : NULL;
	if (!own && len > OBJM_CACHE_NEAR)
		return NULL;
	if (keepable(c, info))
		e = entry_new(c, info->size, has & OBJM_CACHE_HAS_FD);
	lone = !e;
	if (lone && !(e = aligned_alloc(64, sizeof(struct objm_cache_lone)))) {
		free(own);
		return NULL;
	}
	*e = (struct objm_cache_entry){
		.pub = {.data = data, .size = info->size, .fd = has & OBJM_CACHE_HAS_FD ? fd : -1, .flags = info->flags},
		.gen = info->gen & ((UINT64_C(1) << OBJM_CACHE_GEN_BITS) - 1),
		.bucket = info->bucket & (IDX_GEN_BUCKETS - 1),
		.proven = OBJM_CACHE_UNPROVEN,
		.refs = 1,
		.len = short_len(len),
		.has = (uint8_t)(has | (info->expiry_s ? OBJM_CACHE_HAS_EXPIRY : 0) | (lone ? OBJM_CACHE_HAS_LEFT : 0))};
	*rest_of(c, e) = (struct objm_cache_rest){.id = info->id,
						  .mtime_ns = info->mtime_ns,
						  .expiry_s = info->expiry_s,
						  .gen = info->gen,
						  .rev = info->rev,
						  .hash = place.hash,
						  .uri_len = (uint16_t)len,
						  .tier = info->tier,
						  .home = info->home};
	uri_set(e, rest_of(c, e), uri, own);
	if (!lone)
		link_entry(c, e, place);
	return e;
}

void objm_cache_entry_info(const struct objm_cache *c, const struct objm_cache_entry *e, struct objm_info *ret_info)
{
	const struct objm_cache_rest *r = rest_of(c, e);

	*ret_info = (struct objm_info){.id = r->id,
				       .size = e->pub.size,
				       .mtime_ns = r->mtime_ns,
				       .expiry_s = r->expiry_s,
				       .gen = r->gen,
				       .rev = r->rev,
				       .flags = e->pub.flags,
				       .bucket = (uint32_t)e->bucket,
				       .tier = r->tier,
				       .home = r->home};
}

/* ---------------------------------------------------------------- the table */

int objm_cache_attach(struct objm_cache *c, int fd)
{
	const struct idx_gen_table *t = NULL;
	int r = fd >= 0 ? idx_gen_map(fd, &t) : 0;

	if (t && c->table && t->epoch == c->epoch) {
		idx_gen_unmap(t); /* another connection to the same supervisor */
		return 0;
	}
	objm_cache_drop_all(c);
	idx_gen_unmap(c->table);
	c->table = t;
	c->epoch = t ? t->epoch : 0;
	return r;
}
