/*
 * objm_cache_lines.c: see objm_cache_lines.h. Runs in clients, on the session's thread.
 */
#include "client/objm_cache_lines.h"

#define LOAD 10u /* entries to a line, of OBJM_CACHE_WAYS */

uint32_t objm_cache_lines_for(uint32_t max) { return max / LOAD + 2; }

static uint16_t tag_at(const struct objm_cache_line *l, unsigned i) { return (uint16_t)(l->tags[i / 4] >> (i % 4 * 16)); }

static void tag_set(struct objm_cache_line *l, unsigned i, uint16_t tag)
{
	unsigned shift = i % 4 * 16;

	l->tags[i / 4] = (l->tags[i / 4] & ~((uint64_t)0xffff << shift)) | (uint64_t)tag << shift;
}

static void number_set(struct objm_cache_line *l, unsigned i, uint32_t number)
{
	for (unsigned b = 0; b < OBJM_CACHE_NUMBER_BYTES; b++)
		l->numbers[i * OBJM_CACHE_NUMBER_BYTES + b] = (uint8_t)(number >> 8 * b);
}

static void copy(struct objm_cache_line *to, unsigned i, const struct objm_cache_line *from, unsigned j)
{
	tag_set(to, i, tag_at(from, j));
	number_set(to, i, objm_cache_number(from, j));
}

/* Take place i out of a line: its last one moves there. */
static void take_out(struct objm_cache_line *l, unsigned i)
{
	unsigned last = OBJM_CACHE_WAYS - 1;

	while (tag_at(l, last) == 0)
		last--;
	copy(l, i, l, last);
	tag_set(l, last, 0);
	number_set(l, last, 0);
}

static uint32_t hash_of(const struct objm_cache_lines *t, uint32_t number)
{
	return *(const uint32_t *)((const char *)t->hashes + (size_t)number * t->stride);
}

/* Lines from `from` on to `at`. */
static uint32_t distance(const struct objm_cache_lines *t, uint32_t from, uint32_t at)
{
	return at >= from ? at - from : at + t->count - from;
}

/* The place of line `at` that was pushed on from line `hole` or before it; OBJM_CACHE_WAYS: none. */
static unsigned pushed_on(const struct objm_cache_lines *t, uint32_t at, uint32_t hole)
{
	const struct objm_cache_line *l = &t->line[at];

	for (unsigned i = 0; i < OBJM_CACHE_WAYS && tag_at(l, i); i++)
		if (distance(t, objm_cache_home(t, hash_of(t, objm_cache_number(l, i))), at) >= distance(t, hole, at))
			return i;
	return OBJM_CACHE_WAYS;
}

/* A line that was full has room: what was pushed on because of it comes back, and so on. */
static void pull_back(struct objm_cache_lines *t, uint32_t hole)
{
	for (uint32_t at = objm_cache_next(t, hole);; at = objm_cache_next(t, at)) {
		bool was_full = objm_cache_full(&t->line[at]);
		unsigned i = pushed_on(t, at, hole);

		if (i < OBJM_CACHE_WAYS) {
			copy(&t->line[hole], OBJM_CACHE_WAYS - 1, &t->line[at], i);
			take_out(&t->line[at], i);
			hole = at;
		}
		if (!was_full)
			return;
	}
}

void objm_cache_lines_add(struct objm_cache_lines *t, struct objm_cache_place p, uint32_t number)
{
	uint32_t at = objm_cache_home(t, p.hash);
	struct objm_cache_line *l;
	unsigned i = 0;

	while (objm_cache_full(&t->line[at]))
		at = objm_cache_next(t, at);
	l = &t->line[at];
	while (tag_at(l, i))
		i++;
	tag_set(l, i, p.tag);
	number_set(l, i, number);
}

void objm_cache_lines_drop(struct objm_cache_lines *t, uint32_t hash, uint32_t number)
{
	uint32_t at = objm_cache_home(t, hash);
	unsigned i;

	for (;; at = objm_cache_next(t, at)) {
		for (i = 0; i < OBJM_CACHE_WAYS && objm_cache_number(&t->line[at], i) != number; i++)
			;
		if (i < OBJM_CACHE_WAYS)
			break;
	}
	bool was_full = objm_cache_full(&t->line[at]);
	take_out(&t->line[at], i);
	if (was_full)
		pull_back(t, at);
}
