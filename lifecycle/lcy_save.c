/*
 * lcy_save.c: heat and what the policy remembers, over a restart of the daemon. Loop's thread of objmapper-lifecycle; the file is
 * written by a thread of its own (lcy_keep.c).
 *
 * Collected along with a scan, so it costs no pass of its own: the hottest LCY_KEEP_MAX objects; when there were more, the next
 * collection asks for a higher count. Restored along with the first scan that meets a whole index. A process that is replaced
 * within a run of the daemon finds heat in its segment and restores nothing.
 */
#include "lifecycle/lcy.h"

#include <sys/eventfd.h>

#define SECOND UINT64_C(1000000000)
#define COLD 0.05 /* counts below are as good as none */
#define ROOM_FIRST 4096u

void lcy_save_init(struct lcy *l, int dirfd, bool first)
{
	struct lcy_save *s = &l->save;

	memset(s, 0, sizeof(*s));
	s->dirfd = dirfd;
	s->least = COLD;
	s->due_ns = l->now_ns + LCY_KEEP_S * SECOND;
	if (dirfd < 0 || lcy_keep_read(dirfd, &s->old) < 0)
		return;
	s->seq = s->old.head.seq;
	s->now.head.written_s = s->old.head.written_s;
	if (!first) {
		free(s->old.entry);
		s->old = (struct lcy_keep){ 0 };
		return;
	}
	s->stage = LCY_SAVE_HEAT;
}

const struct lcy_keep_entry *lcy_save_known(const struct lcy *l, uint64_t id) { return lcy_keep_find(&l->save.old, id); }

/* ---- restoring ---- */

static void restore(struct lcy *l, uint32_t slot, const struct idx_ent *e, uint64_t now_s)
{
	const struct lcy_save *s = &l->save;
	const struct lcy_keep_entry *k = lcy_keep_find(&s->old, e->id);
	struct idx_heat_val v;

	if (!k || k->heat_q == 0 || idx_heat_get(&l->heat, slot, now_s, e->since_s, &v) < 0)
		return;
	if (v.last_s != 0 && s->again)
		return; /* the scan before came this far */
	uint64_t written = OM_MIN(s->old.head.written_s, now_s), ago = (uint64_t)k->ago_min * 60;
	uint64_t last = OM_MAX(written > ago ? written - ago : 0, e->since_s);
	double count = lcy_keep_value(k->heat_q);
	if (v.last_s != 0) { /* accessed since the start: what was comes on top */
		uint64_t minutes = (now_s > last ? now_s - last : 0) / 60;
		double half_life = OM_MAX((double)l->boot.limits.decay_s, 1.0);
		count = v.count + count * exp2(-(double)minutes * 60 / half_life);
		last = now_s;
	}
	(void)idx_heat_set(&l->heat, slot, count, last); /* the slot is one: it was just read */
}

void lcy_save_done(struct lcy *l)
{
	if (l->save.stage != LCY_SAVE_POLICY)
		return;
	free(l->save.old.entry);
	l->save.old.entry = NULL;
	l->save.stage = LCY_SAVE_NONE;
}

/* ---- collecting ---- */

static void collect(struct lcy *l, uint32_t slot, const struct idx_ent *e, uint64_t now_s)
{
	struct lcy_save *s = &l->save;
	struct lcy_policy_memory m;
	struct idx_heat_val v;
	const struct lcy_cache *c = &l->cache;

	if (idx_heat_get(&l->heat, slot, now_s, e->since_s, &v) < 0 || v.last_s == 0 || v.count < s->least)
		return;
	if (s->now.head.n == LCY_KEEP_MAX) {
		s->over++;
		return;
	}
	if ((s->now.head.n & (s->now.head.n - 1)) == 0 && (s->now.head.n >= ROOM_FIRST || !s->now.entry)) {
		uint64_t room = OM_MAX(s->now.head.n * 2, ROOM_FIRST);
		struct lcy_keep_entry *more = realloc(s->now.entry, OM_MIN(room, LCY_KEEP_MAX) * sizeof(*more));
		if (!more) {
			s->over++;
			return;
		}
		s->now.entry = more;
	}
	uint64_t minutes = now_s > v.last_s ? (now_s / 60 - v.last_s / 60) : 0;
	double then = v.count * exp2((double)minutes * 60 / OM_MAX((double)l->boot.limits.decay_s, 1.0));
	struct lcy_keep_entry k = { .id = e->id, .heat_q = lcy_keep_q(OM_MIN(then, 4e9)), .ago_min = (uint16_t)OM_MIN(minutes, UINT16_MAX),
				    .count_q = UINT16_MAX };
	if (c->policy && !c->seeding && slot < c->slots && lcy_policy_recall(lcy_blend_ranks(c->policy), slot, &m)) {
		k.count_q = lcy_keep_q(m.count);
		k.ago_q = lcy_keep_q((double)m.ago);
		k.lanes = m.lanes;
		k.sampled = m.sampled;
	}
	s->now.entry[s->now.head.n++] = k;
}

void lcy_save_see(struct lcy *l, uint32_t slot, const struct idx_ent *e, uint64_t now_s)
{
	if (l->save.restoring)
		restore(l, slot, e, now_s);
	if (l->save.collecting)
		collect(l, slot, e, now_s);
}

static void start_collecting(struct lcy_save *s)
{
	free(s->now.entry);
	uint64_t written = s->now.head.written_s;
	s->now = (struct lcy_keep){ .head = { .written_s = written } };
	s->over = 0;
	s->collecting = true;
}

void lcy_save_begin(struct lcy *l, uint64_t now_ns)
{
	struct lcy_save *s = &l->save;

	s->restoring = s->stage == LCY_SAVE_HEAT && idxr_complete(&l->idx);
	if (s->dirfd < 0 || s->writing || s->stage != LCY_SAVE_NONE || now_ns < s->due_ns)
		return;
	s->due_ns = now_ns + LCY_KEEP_S * SECOND;
	start_collecting(s);
}

static void finish(struct lcy *l)
{
	struct lcy_save *s = &l->save;

	s->collecting = false;
	s->now.head.seq = s->seq + 1;
	s->now.head.written_s = l->now_s;
	if (l->cache.policy && !l->cache.seeding)
		lcy_policy_trial(lcy_blend_ranks(l->cache.policy), &s->now.head.trial);
	/* next time: about as many as there is room for */
	if (s->over > 0)
		s->least = OM_MAX(s->least * 2, COLD);
	else if (s->now.head.n < LCY_KEEP_MAX / 4)
		s->least = OM_MAX(s->least / 2, COLD);
}

static void *write_main(void *arg)
{
	struct lcy *l = arg;

	atomic_store(&l->save.status, lcy_keep_write(l->save.dirfd, &l->save.now));
	atomic_store(&l->save.written, true);
	(void)eventfd_write(l->ring.kick_self, 1);
	return NULL;
}

void lcy_save_end(struct lcy *l, bool whole)
{
	struct lcy_save *s = &l->save;

	if (s->restoring) {
		s->restoring = false;
		s->again = true;
		if (whole)
			s->stage = LCY_SAVE_POLICY; /* the next scan seeds the policy with the same entries */
	} else if (whole && s->stage == LCY_SAVE_POLICY && ++s->spare_scans > 2) {
		lcy_save_done(l); /* no policy came that wanted them */
	}
	if (!s->collecting)
		return;
	if (!whole) {
		s->collecting = false;
		return;
	}
	finish(l);
	atomic_store(&s->written, false);
	if (pthread_create(&s->thread, NULL, write_main, l) == 0)
		s->writing = true;
}

/* Until one is whole, what is written goes over the same file: the other one is the last that was. */
static void ended(struct lcy_save *s, int status)
{
	if (status == 0)
		s->seq = s->now.head.seq;
	if (status < 0 && s->said != status)
		om_log(OM_MSG_NOTE, "heat could not be written to state_dir/heat.d: %s; after a restart older figures count", om_status_text(status));
	s->said = status;
}

void lcy_save_turn(struct lcy *l)
{
	struct lcy_save *s = &l->save;

	if (!s->writing || !atomic_load(&s->written))
		return;
	(void)pthread_join(s->thread, NULL);
	s->writing = false;
	ended(s, atomic_load(&s->status));
}

void lcy_save_last(struct lcy *l, unsigned ms)
{
	struct lcy_save *s = &l->save;
	uint64_t end = om_now_ns() + ms * UINT64_C(1000000), now_s = l->now_s;
	struct idxr_slot slot;

	if (s->dirfd < 0 || !l->idx.base || s->stage != LCY_SAVE_NONE)
		return; /* what was kept before is still the best that there is */
	if (s->writing) {
		(void)pthread_join(s->thread, NULL);
		s->writing = false;
		ended(s, atomic_load(&s->status));
	}
	start_collecting(s);
	for (uint64_t i = 0; i < l->idx.slots; i++) {
		if (idxr_slot(&l->idx, i, &slot) == 0 && slot.state == IDXR_LIVE)
			collect(l, (uint32_t)i, &slot.ent, now_s);
		if (i % LCY_SLICE == 0 && om_now_ns() > end) {
			s->collecting = false; /* too many for the time there is: the last file is a few minutes old */
			return;
		}
	}
	finish(l);
	ended(s, lcy_keep_write(s->dirfd, &s->now));
}

void lcy_save_fini(struct lcy *l)
{
	struct lcy_save *s = &l->save;

	if (s->writing)
		(void)pthread_join(s->thread, NULL);
	free(s->now.entry);
	free(s->old.entry);
	memset(s, 0, sizeof(*s));
	s->dirfd = -1;
}
