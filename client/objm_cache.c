/*
 * objm_cache.c: see objm_cache.h. Runs in clients, on the session's thread.
 *
 * An open hash table of cache lines with five places each (linear probing by lines; a deletion moves up what was pushed on: no
 * tombstones) points into an array of entries. A place has the bucket, so the generation's word and the entry are fetched
 * side by side. Eviction: a hand goes
 * round the array; an entry that was used since it came by last is passed once (second chance).
 */
#include "client/objm_cache.h"

#include <sys/mman.h>
#include <sys/random.h>

#define XXH_INLINE_ALL /* a few instructions for a short URI; no library to link */
#include <xxhash.h>

static_assert(sizeof(struct objm_cache_entry) == 64, "one line");
static_assert(sizeof(struct objm_cache_line) == 64, "one line");

/* ---------------------------------------------------------------- memory */

/* Zeroed, page-aligned, huge pages where the kernel gives them: a hit on a large cache is otherwise two page walks more. */
static void *pages(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	(void)madvise(p, bytes, MADV_HUGEPAGE); /* refused: slower, not wrong */
	return p;
}

static size_t entries_bytes(const struct objm_cache *c) { return ((size_t)c->max + 1) * sizeof(*c->entries); }
static size_t rests_bytes(const struct objm_cache *c) { return ((size_t)c->max + 1) * sizeof(*c->rests); }
static size_t lines_bytes(const struct objm_cache *c) { return ((size_t)c->mask + 1) * sizeof(*c->lines); }

struct objm_cache *objm_cache_new(uint32_t max, uint32_t fds_max, uint64_t bytes_max)
{
	struct objm_cache *c = calloc(1, sizeof(*c));
	uint32_t lines = 16;

	if (!c)
		return NULL;
	/* At most four fifths of the places are taken: there is always a line that is not full. */
	while ((uint64_t)lines * (OBJM_CACHE_WAYS - 1) < max)
		lines *= 2;
	c->max = max;
	c->mask = lines - 1;
	c->fds_max = OM_MAX(fds_max, 1u);
	c->bytes_max = bytes_max;
	c->entries = pages(entries_bytes(c));
	c->rests = pages(rests_bytes(c));
	c->lines = pages(lines_bytes(c));
	if (!c->entries || !c->rests || !c->lines) {
		objm_cache_free(c);
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

/* What an entry holds goes. */
static void empty(struct objm_cache_entry *e)
{
	if (e->has & OBJM_CACHE_HAS_FD)
		om_close(&e->pub.fd);
	if (e->has & OBJM_CACHE_HAS_MAPPING)
		(void)munmap((void *)(uintptr_t)e->pub.data, (size_t)e->pub.size);
	else if (e->has & OBJM_CACHE_HAS_DATA)
		free((void *)(uintptr_t)e->pub.data);
	if (e->uri_len > OBJM_CACHE_INLINE)
		free((char *)(uintptr_t)objm_cache_uri(e));
	e->uri_len = 0;
	e->has = 0;
}

static void give_back(struct objm_cache *c, struct objm_cache_entry *e)
{
	empty(e);
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
		if (c->entries[i].uri_len)
			empty(&c->entries[i]);
	if (c->entries)
		(void)munmap(c->entries, entries_bytes(c));
	if (c->rests)
		(void)munmap(c->rests, rests_bytes(c));
	if (c->lines)
		(void)munmap(c->lines, lines_bytes(c));
	idx_gen_unmap(c->table);
	free(c);
}

/* ---------------------------------------------------------------- the hash table */

static uint32_t tag_of(const struct objm_cache *c, const char *uri, size_t len)
{
	uint32_t tag = (uint32_t)(XXH3_64bits_withSeed(uri, len, c->seed) >> 32);

	return tag ? tag : 1;
}

static bool full(const struct objm_cache_line *l) { return l->tag[OBJM_CACHE_WAYS - 1] != 0; }

static void place_copy(struct objm_cache_line *to, unsigned i, const struct objm_cache_line *from, unsigned j)
{
	to->tag[i] = from->tag[j];
	to->entry[i] = from->entry[j];
	to->bucket[i] = from->bucket[j];
}

/* Take place i out of a line: its last one moves there. */
static void place_drop(struct objm_cache_line *l, unsigned i)
{
	unsigned last = OBJM_CACHE_WAYS - 1;

	while (l->tag[last] == 0)
		last--;
	place_copy(l, i, l, last);
	l->tag[last] = l->entry[last] = 0;
}

/* The place of line `at` that was pushed on from line `hole` or before it; OBJM_CACHE_WAYS: none. */
static unsigned pushed_on(const struct objm_cache *c, uint32_t at, uint32_t hole)
{
	const struct objm_cache_line *l = &c->lines[at];

	for (unsigned i = 0; i < OBJM_CACHE_WAYS && l->tag[i]; i++)
		if (((at - l->tag[i]) & c->mask) >= ((at - hole) & c->mask))
			return i;
	return OBJM_CACHE_WAYS;
}

/* A line that was full has room: what was pushed on because of it comes back, and so on. */
static void pull_back(struct objm_cache *c, uint32_t hole)
{
	for (uint32_t at = (hole + 1) & c->mask;; at = (at + 1) & c->mask) {
		bool was_full = full(&c->lines[at]);
		unsigned i = pushed_on(c, at, hole);

		if (i < OBJM_CACHE_WAYS) {
			place_copy(&c->lines[hole], OBJM_CACHE_WAYS - 1, &c->lines[at], i);
			place_drop(&c->lines[at], i);
			hole = at;
		}
		if (!was_full)
			return;
	}
}

/* It is found no more; it goes with its last reference. */
static void unlink_entry(struct objm_cache *c, struct objm_cache_entry *e)
{
	struct objm_cache_rest *r = rest_of(c, e);
	uint32_t number = number_of(c, e), at = r->tag & c->mask;
	unsigned i;

	for (;; at = (at + 1) & c->mask) {
		for (i = 0; i < OBJM_CACHE_WAYS && c->lines[at].entry[i] != number; i++)
			;
		if (i < OBJM_CACHE_WAYS)
			break;
	}
	bool was_full = full(&c->lines[at]);
	place_drop(&c->lines[at], i);
	if (was_full)
		pull_back(c, at);
	r->linked = false;
	c->count--;
	c->bytes -= e->pub.size;
	if (e->has & OBJM_CACHE_HAS_FD)
		c->fds--;
	e->has |= OBJM_CACHE_HAS_LEFT;
	if (e->refs == 0)
		give_back(c, e);
}

/* Places of a line that have this tag, a bit each. */
static unsigned matches(const struct objm_cache_line *l, uint32_t tag)
{
	unsigned m = 0;

	for (unsigned i = 0; i < OBJM_CACHE_WAYS; i++)
		m |= (unsigned)(l->tag[i] == tag) << i;
	return m;
}

/* *ret_bucket: where its generation is. */
static struct objm_cache_entry *lookup(struct objm_cache *c, const char *uri, size_t len, uint32_t tag, uint32_t *ret_bucket)
{
	for (uint32_t at = tag & c->mask;; at = (at + 1) & c->mask) {
		const struct objm_cache_line *l = &c->lines[at];

		for (unsigned m = matches(l, tag); m; m &= m - 1) {
			unsigned i = (unsigned)__builtin_ctz(m);
			struct objm_cache_entry *e = &c->entries[l->entry[i]];

			__builtin_prefetch(&c->table->gen[l->bucket[i]]);
			if (OM_LIKELY(e->uri_len == len && memcmp(objm_cache_uri(e), uri, len) == 0)) {
				*ret_bucket = l->bucket[i];
				return e;
			}
		}
		if (!full(l))
			return NULL;
	}
}

static void link_entry(struct objm_cache *c, struct objm_cache_entry *e)
{
	struct objm_cache_rest *r = rest_of(c, e);
	uint32_t at = r->tag & c->mask;
	unsigned i = 0;

	while (full(&c->lines[at]))
		at = (at + 1) & c->mask;
	while (c->lines[at].tag[i])
		i++;
	c->lines[at].tag[i] = r->tag;
	c->lines[at].entry[i] = number_of(c, e);
	c->lines[at].bucket[i] = r->bucket;
	r->linked = true;
	c->count++;
	c->bytes += e->pub.size;
	if (e->has & OBJM_CACHE_HAS_FD)
		c->fds++;
}

/* ---------------------------------------------------------------- hits */

/* The proof: see the top of objm_cache.h. The generation is loaded before the table's life is looked at: a table that is alive
 * after the load was alive at it. */
static bool current(const struct objm_cache *c, const struct objm_cache_entry *e, uint32_t bucket, uint64_t *ret_now)
{
	bool same = idx_gen_load(c->table, bucket) == e->gen;
	uint64_t until = atomic_load_explicit(&c->table->valid_until_ns, memory_order_acquire);
	bool alive = atomic_load_explicit(&c->table->state, memory_order_acquire) == IDX_GEN_ALIVE;

	*ret_now = om_coarse_ns();
	return same && alive && *ret_now < until;
}

static bool expired(const struct objm_cache *c, const struct objm_cache_entry *e)
{
	return OM_UNLIKELY(e->has & OBJM_CACHE_HAS_EXPIRY) && om_wall_ns() / 1000000000u >= rest_of(c, e)->expiry_s;
}

struct objm_cache_entry *objm_cache_find(struct objm_cache *c, const char *uri, size_t len, uint32_t want, bool *ret_report)
{
	struct objm_cache_entry *e;
	uint32_t bucket;
	uint64_t now;

	if (OM_UNLIKELY(!c->table))
		return NULL;
	e = lookup(c, uri, len, tag_of(c, uri, len), &bucket);
	if (!e) {
		c->misses++;
		return NULL;
	}
	if (OM_UNLIKELY(!current(c, e, bucket, &now) || expired(c, e))) {
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
	e->visited = 1;
	if (e->touches == 0 && c->touched_count < OBJM_CACHE_TOUCHED_MAX)
		c->touched[c->touched_count++] = (uint32_t)(e - c->entries);
	e->touches += e->touches < UINT16_MAX;
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
		if (e->visited) {
			e->visited = 0;
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
		if (c->rests[c->hand].linked && (!current(c, e, c->rests[c->hand].bucket, &now) || expired(c, e)))
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
	uint32_t tag = tag_of(c, uri, len), bucket;
	bool lone;

	old = c->table ? lookup(c, uri, len, tag, &bucket) : NULL;
	if (old)
		unlink_entry(c, old);
	char *own = len > OBJM_CACHE_INLINE ? malloc(len) : NULL;
	if (!own && len > OBJM_CACHE_INLINE)
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
		.gen = info->gen,
		.refs = 1,
		.has = (uint8_t)(has | (info->expiry_s ? OBJM_CACHE_HAS_EXPIRY : 0) | (lone ? OBJM_CACHE_HAS_LEFT : 0))};
	e->uri_len = (uint16_t)len;
	if (own)
		memcpy(e->text, &own, sizeof(own));
	memcpy(own ? own : e->text, uri, len);
	*rest_of(c, e) = (struct objm_cache_rest){.id = info->id,
						  .mtime_ns = info->mtime_ns,
						  .expiry_s = info->expiry_s,
						  .rev = info->rev,
						  .tag = tag,
						  .bucket = info->bucket,
						  .tier = info->tier,
						  .home = info->home};
	if (!lone)
		link_entry(c, e);
	return e;
}

void objm_cache_entry_info(const struct objm_cache *c, const struct objm_cache_entry *e, struct objm_info *ret_info)
{
	const struct objm_cache_rest *r = rest_of(c, e);

	*ret_info = (struct objm_info){.id = r->id,
				       .size = e->pub.size,
				       .mtime_ns = r->mtime_ns,
				       .expiry_s = r->expiry_s,
				       .gen = e->gen,
				       .rev = r->rev,
				       .flags = e->pub.flags,
				       .bucket = r->bucket,
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
