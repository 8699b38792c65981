/*
 * objm_cache.c: see objm_cache.h. Runs in clients, on the session's thread.
 *
 * An open hash table of 16-byte slots (linear probing, backward-shift deletion: no tombstones) points into an array of entries.
 * The slot has the bucket, so the generation's word, the entry and its URI are fetched side by side. Eviction: a hand goes
 * round the array; an entry that was used since it came by last is passed once (second chance).
 */
#include "client/objm_cache.h"

#include <sys/mman.h>
#include <sys/random.h>

#define XXH_INLINE_ALL /* a few instructions for a short URI; no library to link */
#include <xxhash.h>

static_assert(offsetof(struct objm_cache_entry, expiry_s) == 64, "what a hit writes lies on one line, what it compares on the other");
static_assert(sizeof(struct objm_cache_entry) == 128, "two lines");
static_assert(sizeof(struct objm_cache_slot) == 16, "four to a line");

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
static size_t slots_bytes(const struct objm_cache *c) { return ((size_t)c->mask + 1) * sizeof(*c->slots); }

struct objm_cache *objm_cache_new(uint32_t max, uint32_t fds_max, uint64_t bytes_max)
{
	struct objm_cache *c = calloc(1, sizeof(*c));
	uint32_t slots = 64;

	if (!c)
		return NULL;
	while (slots < 2 * (uint64_t)max)
		slots *= 2;
	c->max = max;
	c->mask = slots - 1;
	c->fds_max = OM_MAX(fds_max, 1u);
	c->bytes_max = bytes_max;
	c->entries = pages(entries_bytes(c));
	c->slots = pages(slots_bytes(c));
	if (!c->entries || !c->slots) {
		objm_cache_free(c);
		return NULL;
	}
	/* Without random bytes the table is still right, only easier to fill badly on purpose. */
	if (getrandom(&c->seed, sizeof(c->seed), GRND_NONBLOCK) != (ssize_t)sizeof(c->seed))
		c->seed = om_now_ns();
	return c;
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
	if (e->uri != e->inline_uri)
		free(e->uri);
	e->uri = NULL;
	e->has = 0;
}

static void give_back(struct objm_cache *c, struct objm_cache_entry *e)
{
	empty(e);
	if (e->heap) {
		free(e);
		return;
	}
	e->next_free = c->free_head;
	c->free_head = (uint32_t)(e - c->entries);
}

void objm_cache_free(struct objm_cache *c)
{
	if (!c)
		return;
	for (uint32_t i = 1; i <= c->used; i++)
		if (c->entries[i].uri)
			empty(&c->entries[i]);
	if (c->entries)
		(void)munmap(c->entries, entries_bytes(c));
	if (c->slots)
		(void)munmap(c->slots, slots_bytes(c));
	idx_gen_unmap(c->table);
	free(c);
}

/* ---------------------------------------------------------------- the hash table */

static uint32_t tag_of(const struct objm_cache *c, const char *uri, size_t len)
{
	return (uint32_t)(XXH3_64bits_withSeed(uri, len, c->seed) >> 32);
}

/* Close the gap at slot `hole`: what follows moves up unless it would stand before its home. */
static void shift_back(struct objm_cache *c, uint32_t hole)
{
	uint32_t at = hole;

	for (;;) {
		at = (at + 1) & c->mask;
		if (c->slots[at].entry == 0)
			break;
		if (((at - c->slots[at].tag) & c->mask) >= ((at - hole) & c->mask)) {
			c->slots[hole] = c->slots[at];
			hole = at;
		}
	}
	c->slots[hole].entry = 0;
}

/* It is found no more; it goes with its last reference. */
static void unlink_entry(struct objm_cache *c, struct objm_cache_entry *e)
{
	uint32_t number = (uint32_t)(e - c->entries), at = e->tag & c->mask;

	while (c->slots[at].entry != number)
		at = (at + 1) & c->mask;
	shift_back(c, at);
	e->linked = false;
	c->count--;
	c->bytes -= e->pub.size;
	if (e->has & OBJM_CACHE_HAS_FD)
		c->fds--;
	if (e->refs == 0)
		give_back(c, e);
}

static struct objm_cache_entry *lookup(struct objm_cache *c, const char *uri, size_t len, uint32_t tag)
{
	const struct objm_cache_slot *slot;

	for (uint32_t at = tag & c->mask;; at = (at + 1) & c->mask) {
		slot = &c->slots[at];
		if (slot->entry == 0)
			return NULL;
		if (slot->tag != tag || slot->uri_len != len)
			continue;
		struct objm_cache_entry *e = &c->entries[slot->entry];

		__builtin_prefetch(&c->table->gen[slot->bucket]);
		__builtin_prefetch(e, 1);
		if (OM_LIKELY(memcmp(e->uri, uri, len) == 0))
			return e;
	}
}

static void link_entry(struct objm_cache *c, struct objm_cache_entry *e)
{
	uint32_t at = e->tag & c->mask;

	while (c->slots[at].entry != 0)
		at = (at + 1) & c->mask;
	c->slots[at] = (struct objm_cache_slot){
		.tag = e->tag, .entry = (uint32_t)(e - c->entries), .bucket = e->bucket, .uri_len = e->uri_len};
	e->linked = true;
	c->count++;
	c->bytes += e->pub.size;
	if (e->has & OBJM_CACHE_HAS_FD)
		c->fds++;
}

/* ---------------------------------------------------------------- hits */

/* The proof: see the top of objm_cache.h. The generation is loaded before the table's life is looked at: a table that is alive
 * after the load was alive at it. */
static bool current(const struct objm_cache *c, const struct objm_cache_entry *e, uint64_t *ret_now)
{
	bool same = idx_gen_load(c->table, e->bucket) == e->gen;
	uint64_t until = atomic_load_explicit(&c->table->valid_until_ns, memory_order_acquire);
	bool alive = atomic_load_explicit(&c->table->state, memory_order_acquire) == IDX_GEN_ALIVE;

	*ret_now = om_coarse_ns();
	return same && alive && *ret_now < until;
}

static bool expired(const struct objm_cache_entry *e) { return e->expiry_s && om_wall_ns() / 1000000000u >= e->expiry_s; }

struct objm_cache_entry *objm_cache_find(struct objm_cache *c, const char *uri, size_t len, uint32_t want, bool *ret_report)
{
	struct objm_cache_entry *e;
	uint64_t now;

	if (OM_UNLIKELY(!c->table))
		return NULL;
	e = lookup(c, uri, len, tag_of(c, uri, len));
	if (!e) {
		c->misses++;
		return NULL;
	}
	if (OM_UNLIKELY(!current(c, e, &now) || expired(e))) {
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
	if (--e->refs == 0 && OM_UNLIKELY(!e->linked))
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
		if (!e->linked || e->refs > 0)
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
		if (e->linked && (!current(c, e, &now) || expired(e)))
			unlink_entry(c, e);
	}
}

void objm_cache_drop_all(struct objm_cache *c)
{
	for (uint32_t i = 1; i <= c->used && c->count > 0; i++)
		if (c->entries[i].linked)
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
		c->free_head = e->next_free;
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
	uint32_t tag = tag_of(c, uri, len);
	char *own = NULL;
	bool heap;

	old = c->table ? lookup(c, uri, len, tag) : NULL;
	if (old)
		unlink_entry(c, old);
	if (len > sizeof(e->inline_uri) && !(own = malloc(len)))
		return NULL;
	if (keepable(c, info))
		e = entry_new(c, info->size, has & OBJM_CACHE_HAS_FD);
	heap = !e;
	if (heap && !(e = aligned_alloc(64, sizeof(*e)))) {
		free(own);
		return NULL;
	}
	*e = (struct objm_cache_entry){.pub = {.data = data,
					       .size = info->size,
					       .id = info->id,
					       .mtime_ns = info->mtime_ns,
					       .rev = info->rev,
					       .flags = info->flags,
					       .fd = has & OBJM_CACHE_HAS_FD ? fd : -1},
				       .has = (uint8_t)has,
				       .gen = info->gen,
				       .refs = 1,
				       .expiry_s = info->expiry_s,
				       .tag = tag,
				       .bucket = info->bucket,
				       .uri_len = (uint16_t)len,
				       .heap = heap};
	e->uri = own ? own : e->inline_uri;
	memcpy(e->uri, uri, len);
	if (!heap)
		link_entry(c, e);
	return e;
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
