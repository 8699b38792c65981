/*
 * wrk_small.c: see wrk_small.h (process objmapper-worker, loop thread). Called by wrk_get.c.
 *
 * Positions in the ring only grow; an entry is there as long as the ring has not come round to it. The table has one place for each
 * hash, and who comes later takes it: a place without a position is one that was asked for once.
 */
#include "worker/wrk_small.h"

#include <sys/mman.h>

#define WRK_SMALL_PLACES 16384u

struct wrk_small_place {
	uint64_t id;
	uint64_t pos; /* 0: not kept */
	uint64_t len;
};

struct wrk_small {
	uint8_t *ring;
	bool locked;
	uint64_t head; /* position of the next one */
	struct wrk_small_place place[WRK_SMALL_PLACES];
};

static uint32_t wrk_small_hash(uint64_t id)
{
	return (uint32_t)(id * 0x9e3779b97f4a7c15u >> 32) % WRK_SMALL_PLACES;
}

int wrk_small_new(struct wrk_small **ret)
{
	struct wrk_small *s = calloc(1, sizeof(*s));
	void *ring = mmap(NULL, WRK_SMALL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (!s || ring == MAP_FAILED) {
		free(s);
		if (ring != MAP_FAILED)
			(void)munmap(ring, WRK_SMALL_BYTES);
		return -OBJM_STATUS_OUT_OF_MEMORY;
	}
	s->ring = ring;
	s->head = WRK_SMALL_BYTES; /* so that no position is 0 */
	s->locked = mlock2(ring, WRK_SMALL_BYTES, MLOCK_ONFAULT) == 0;
	*ret = s;
	return 0;
}

void wrk_small_free(struct wrk_small *s)
{
	if (!s)
		return;
	(void)munmap(s->ring, WRK_SMALL_BYTES);
	free(s);
}

void wrk_small_clear(struct wrk_small *s) { memset(s->place, 0, sizeof(s->place)); }

const void *wrk_small_get(const struct wrk_small *s, uint64_t id, size_t len)
{
	const struct wrk_small_place *p = &s->place[wrk_small_hash(id)];

	if (p->id != id || !p->pos || p->len != len || s->head - p->pos > WRK_SMALL_BYTES)
		return NULL;
	return s->ring + p->pos % WRK_SMALL_BYTES;
}

void wrk_small_put(struct wrk_small *s, uint64_t id, const void *data, size_t len, bool memory)
{
	struct wrk_small_place *p = &s->place[wrk_small_hash(id)];
	uint64_t left = WRK_SMALL_BYTES - s->head % WRK_SMALL_BYTES;

	OM_ASSERT(len > 0 && len <= WRK_SMALL_MAX);
	if (memory && !s->locked)
		return;
	if (p->id != id) {
		*p = (struct wrk_small_place){ .id = id };
		return;
	}
	if (left < len) /* never in two pieces */
		s->head += left;
	memcpy(s->ring + s->head % WRK_SMALL_BYTES, data, len);
	*p = (struct wrk_small_place){ .id = id, .pos = s->head, .len = len };
	s->head += (len + 63) & ~(uint64_t)63; /* at most to the end of the ring, whose size is a multiple of that */
}
