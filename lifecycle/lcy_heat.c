/*
 * lcy_heat.c: accesses that the workers logged become heat, 4 bytes a slot. Loop's thread of objmapper-lifecycle.
 *
 * When the index has grown, slots have new numbers: heat is taken over by key, in pieces, after the new segment has been
 * confirmed, since the supervisor waits for that.
 */
#include "common/om_counter.h"
#include "lifecycle/lcy.h"

static void touch(struct lcy *l, const struct idx_alog_access *a, uint64_t now_s)
{
	struct idxr_slot slot;
	struct idx_heat *heat = &l->heat;
	const struct idxr *idx = &l->idx;

	/* logged against the segment before: still good while that one is being taken over */
	if ((uint16_t)idx->segment != a->segment) {
		if (!l->copying || (uint16_t)l->old_idx.segment != a->segment)
			return;
		heat = &l->old_heat;
		idx = &l->old_idx;
	}
	if (idxr_slot(idx, a->slot, &slot) < 0 || slot.state != IDXR_LIVE)
		return;
	(void)idx_heat_touch(heat, a->slot, a->weight, now_s, slot.ent.since_s); /* fails for a slot that is none: checked above */
	struct idx_heat_val v;
	if (idx == &l->idx && idx_heat_get(heat, a->slot, now_s, slot.ent.since_s, &v) == 0)
		lcy_cache_access(l, a->slot, &slot.ent, v.heat);
}

/* Reads what a worker has logged. @return entries read, each of an access or more */
static unsigned drain(struct lcy *l, struct idx_alogr *log, uint64_t now_s)
{
	struct idx_alog_access a[256];
	uint64_t lost = log->lost;
	unsigned n, sum = 0;

	/* bounded by the log's size: a writer that is faster than us must not keep us here */
	for (unsigned turn = 0; turn < 2 * IDX_ALOG_CAP / OM_ARRAY_SIZE(a) && (n = idx_alogr_read(log, a, OM_ARRAY_SIZE(a))); turn++, sum += n)
		for (unsigned i = 0; i < n; i++)
			touch(l, &a[i], now_s);
	if (log->lost != lost)
		om_count(OM_C_ACCESSES_LOST, log->lost - lost);
	return sum;
}

static void copy_some(struct lcy *l)
{
	(void)idx_heat_copy(&l->old_heat, &l->old_idx, &l->heat, &l->idx, l->copied, LCY_HEAT_COPY);
	l->copied += LCY_HEAT_COPY;
	if (l->copied < l->old_idx.slots)
		return;
	idx_heat_detach(&l->old_heat);
	idxr_detach(&l->old_idx);
	l->copying = false;
}

unsigned lcy_heat_pause(unsigned pause_ms, unsigned found)
{
	return OM_MIN(OM_MAX(pause_ms * LCY_HEAT_LOOK / OM_MAX(found, 1u), LCY_HEAT_BUSY_MS), LCY_HEAT_MS);
}

void lcy_heat_turn(struct lcy *l, uint64_t now_ns)
{
	if (l->copying)
		copy_some(l);
	if (now_ns < l->heat_due_ns)
		return;
	unsigned most = 0;
	for (unsigned i = 0; i < LCY_ALOGS_MAX; i++)
		if (l->alog_on[i]) {
			unsigned found = drain(l, &l->alog[i], l->now_s);
			most = OM_MAX(most, found);
		}
	l->heat_ms = lcy_heat_pause(l->heat_ms, most);
	l->heat_due_ns = now_ns + l->heat_ms * UINT64_C(1000000);
}

int lcy_heat_index(struct lcy *l, int index_fd, int heat_fd)
{
	struct idxr idx;
	struct idx_heat heat;

	while (l->copying) /* the one before is not done: finish it now, rather than lose its heat */
		copy_some(l);
	int err = idxr_attach(index_fd, &idx);
	if (err < 0)
		return err;
	err = idx_heat_attach(heat_fd, true, &heat);
	if (err < 0) {
		idxr_detach(&idx);
		return err;
	}
	lcy_plan_forget(l); /* slots have other numbers now */
	l->copying = l->idx.base != NULL;
	l->copied = 0;
	l->old_idx = l->idx;
	l->old_heat = l->heat;
	l->idx = idx;
	l->heat = heat;
	return 0;
}

int lcy_heat_alog(struct lcy *l, uint32_t child, int fd)
{
	struct idx_alogr log;

	if (child >= LCY_ALOGS_MAX)
		return -OBJM_STATUS_INVALID_REQUEST;
	int err = idx_alogr_attach(fd, &log);
	if (err < 0)
		return err;
	lcy_heat_alog_gone(l, child);
	l->alog[child] = log;
	l->alog_on[child] = true;
	return 0;
}

void lcy_heat_alog_gone(struct lcy *l, uint32_t child)
{
	if (child >= LCY_ALOGS_MAX || !l->alog_on[child])
		return;
	(void)drain(l, &l->alog[child], l->now_s);
	idx_alogr_detach(&l->alog[child]);
	l->alog_on[child] = false;
}

uint64_t lcy_heat_asked(const struct lcy *l)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < LCY_ALOGS_MAX; i++)
		if (l->alog_on[i])
			sum += idx_alogr_asked(&l->alog[i]);
	return sum;
}
