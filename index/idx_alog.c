/*
 * idx_alog.c: access logs, see idx_alog.h. The writing half runs in a worker, the reading half in the lifecycle process,
 * which trusts nothing that a worker wrote: positions are compared by difference, indexes are masked, and what an entry says is
 * for the caller to check.
 */
#include "index/idx_alog.h"

#define MASK (IDX_ALOG_CAP - 1)

int idx_alog_create(struct om_seg *ret_seg)
{
	struct om_seg seg = OM_SEG_INIT;
	struct idx_alog_seg *s;
	int err = om_seg_create("objm-access", sizeof(*s), OM_SEG_SHARED, &seg);

	if (err < 0)
		return err;
	s = (struct idx_alog_seg *)seg.base;
	s->magic = IDX_ALOG_MAGIC;
	s->layout = IDX_ALOG_LAYOUT;
	s->capacity = IDX_ALOG_CAP;
	*ret_seg = seg;
	return 0;
}

static int attach(int fd, bool writable, struct om_seg *ret_seg)
{
	struct om_seg seg = OM_SEG_INIT;
	const struct idx_alog_seg *s;
	int err = om_seg_attach(fd, sizeof(*s), writable, &seg);

	if (err < 0)
		return err;
	s = (const struct idx_alog_seg *)seg.base;
	if (s->magic != IDX_ALOG_MAGIC || s->layout != IDX_ALOG_LAYOUT || s->capacity != IDX_ALOG_CAP) {
		seg.fd = seg.rofd = -1; /* stays the caller's */
		om_seg_close(&seg);
		return -OBJM_STATUS_CORRUPT;
	}
	*ret_seg = seg;
	return 0;
}

static struct idx_alog_seg *segment_of(const struct om_seg *seg) { return (struct idx_alog_seg *)seg->base; }

int idx_alogw_attach(int fd, uint32_t every, struct idx_alogw *ret_log)
{
	struct om_seg seg;
	int err;

	if (every == 0 || every > IDX_ALOG_WEIGHT_MAX)
		return -OBJM_STATUS_INVALID_REQUEST;
	err = attach(fd, true, &seg);
	if (err < 0)
		return err;
	*ret_log = (struct idx_alogw){
		.seg = seg,
		.head = atomic_load_explicit(&segment_of(&seg)->head, memory_order_relaxed),
		.every = every,
		.rng = (uint32_t)om_now_ns() | 1,
	};
	return 0;
}

void idx_alogw_detach(struct idx_alogw *log)
{
	if (log->seg.base)
		idx_alogw_flush(log);
	om_seg_close(&log->seg);
}

void idx_alogw_flush(struct idx_alogw *log)
{
	struct idx_alog_seg *s = segment_of(&log->seg);

	/* Release on each entry: a reader that finds one of these in the place of an old entry also sees the head that was
	 * published before it, and so knows that the old entry may be gone. */
	for (uint32_t i = 0; i < log->pending; i++)
		atomic_store_explicit(&s->entry[(log->head + i) & MASK], log->batch[i], memory_order_release);
	log->head += log->pending;
	log->pending = 0;
	atomic_store_explicit(&s->head, log->head, memory_order_release);
}

void idx_alogw_add_n(struct idx_alogw *log, uint32_t segment, uint32_t slot, uint32_t n)
{
	uint64_t weight = OM_MIN(n, IDX_ALOG_WEIGHT_MAX);

	if (weight == 0)
		return;
	log->batch[log->pending++] = slot | (uint64_t)(segment & 0xffff) << 32 | weight << 48;
	if (log->pending == IDX_ALOG_BATCH)
		idx_alogw_flush(log);
}

void idx_alogw_sample(struct idx_alogw *log, uint32_t segment, uint32_t slot)
{
	idx_alogw_add_n(log, segment, slot, log->every);
	if (log->every == 1)
		return;
	/* Random gaps of the right mean: a fixed one would always pick the same object of a client that loops over a few. */
	log->rng ^= log->rng << 13;
	log->rng ^= log->rng >> 17;
	log->rng ^= log->rng << 5;
	log->skip = log->rng % (2 * log->every - 1);
}

static void add_all(struct idx_alogw *log, uint32_t segment, const uint32_t *slots, unsigned n)
{
	const uint64_t rest = (uint64_t)(segment & 0xffff) << 32 | UINT64_C(1) << 48;

	for (unsigned k; n > 0; slots += k, n -= k) {
		k = OM_MIN(n, IDX_ALOG_BATCH - log->pending);
		for (unsigned i = 0; i < k; i++)
			log->batch[log->pending + i] = slots[i] | rest;
		log->pending += k;
		if (log->pending == IDX_ALOG_BATCH)
			idx_alogw_flush(log);
	}
}

void idx_alogw_add_many(struct idx_alogw *log, uint32_t segment, const uint32_t *slots, unsigned n)
{
	unsigned i = 0;

	if (log->every == 1) {
		add_all(log, segment, slots, n);
		return;
	}
	for (; n - i > log->skip; i++) {
		i += log->skip;
		log->skip = 0;
		idx_alogw_sample(log, segment, slots[i]);
	}
	log->skip -= n - i;
}

int idx_alogr_attach(int fd, struct idx_alogr *ret_log)
{
	struct om_seg seg;
	int err = attach(fd, false, &seg);

	if (err < 0)
		return err;
	*ret_log = (struct idx_alogr){
		.seg = seg, .pos = atomic_load_explicit(&segment_of(&seg)->head, memory_order_acquire)};
	return 0;
}

void idx_alogr_detach(struct idx_alogr *log) { om_seg_close(&log->seg); }

/* Move on to the oldest entry that the writer can not have begun to overwrite. It may be writing a whole batch beyond `head`. */
static void skip_overwritten(struct idx_alogr *log, uint64_t head)
{
	uint64_t behind = head - log->pos;

	if (behind > UINT64_MAX / 2) { /* the head went back: no worker of ours does that */
		log->resets++;
		log->pos = head;
	} else if (behind > IDX_ALOG_CAP - IDX_ALOG_BATCH) {
		log->lost += behind - (IDX_ALOG_CAP - IDX_ALOG_BATCH);
		log->pos = head - (IDX_ALOG_CAP - IDX_ALOG_BATCH);
	}
}

unsigned idx_alogr_read(struct idx_alogr *log, struct idx_alog_access *ret_accesses, unsigned max)
{
	const struct idx_alog_seg *s = segment_of(&log->seg);
	uint64_t head = atomic_load_explicit(&s->head, memory_order_acquire), first;
	unsigned n, dropped;

	skip_overwritten(log, head);
	first = log->pos;
	for (n = 0; n < max && first + n != head; n++) {
		uint64_t e = atomic_load_explicit(&s->entry[(first + n) & MASK], memory_order_acquire);
		uint16_t weight = (uint16_t)(e >> 48);

		ret_accesses[n] = (struct idx_alog_access){
			.slot = (uint32_t)e, .segment = (uint16_t)(e >> 32), .weight = weight ? weight : 1};
	}
	/* Relaxed: the acquires above keep it behind them. What may have been overwritten while we copied goes. */
	skip_overwritten(log, atomic_load_explicit(&s->head, memory_order_relaxed));
	dropped = log->pos - first < n ? (unsigned)(log->pos - first) : n;
	if (log->pos == first || dropped < n)
		log->pos = first + n;
	memmove(ret_accesses, ret_accesses + dropped, (n - dropped) * sizeof(*ret_accesses));
	return n - dropped;
}
