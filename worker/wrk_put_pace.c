/*
 * wrk_put_pace.c: when a tier's next batch begins. Process objmapper-worker, loop thread.
 *
 * A batch waits a little for puts that are being made: who came together is synced together.
 *
 * Where a sync takes long whatever it carries (a disk whose flush takes milliseconds), that wait is longer. Such a disk does one flush
 * after the other, so a sync beside the commit of the batch before only splits the same clients into two batches, each with all of the
 * flushes. So there the next batch begins when the last one has its verdicts and those who had them have come again, if they do at
 * once. Where a flush costs little it is work that takes the time, and to sync one batch while the other is committed is quicker.
 */
#include "worker/wrk_put_int.h"

static void again(struct wrk_put_tier *t)
{
	if (t->queue.n > 0)
		wrk_task_queue(&t->set->w->loop, &t->task);
}

static void on_due(void *arg) { again(arg); }

void wrk_put_pace_init(struct wrk_put_tier *t) { t->gather = WRK_TIMER_INIT(on_due, t); }

static bool is_slow(const struct wrk_put_tier *t) { return !t->hurry && t->sync_ns >= WRK_PUT_SLOW_NS; }

/* So long somebody is waited for. */
static uint64_t window_ns(const struct wrk_put_tier *t)
{
	return is_slow(t) ? OM_MAX(t->sync_ns / 4, (uint64_t)WRK_PUT_GATHER_NS) : WRK_PUT_GATHER_NS;
}

/* When the wait is over at the latest; 0: there is nothing to wait for. */
static uint64_t waits_until(const struct wrk_put_tier *t)
{
	if (is_slow(t) && t->n_out > 0)
		return t->wait_ns + WRK_PUT_OUT_MAX_NS;
	if (t->queue.n < t->n_coming)
		return OM_MAX(t->wait_ns, is_slow(t) ? t->back_ns : 0) + window_ns(t);
	return is_slow(t) && t->n_back > 0 ? t->back_ns + window_ns(t) : 0;
}

bool wrk_put_pace_waits(struct wrk_put_tier *t)
{
	uint64_t until = 0, now = om_now_ns();

	if (t->queue.n > 0 && t->queue.n < WRK_PUT_BATCH_MAX) {
		t->wait_ns = t->wait_ns ? t->wait_ns : now;
		until = waits_until(t);
	}
	if (until > now) {
		wrk_timer_arm(&t->set->w->loop, &t->gather, until);
		return true;
	}
	t->wait_ns = 0;
	t->n_back = 0;
	t->hurry = false;
	wrk_timer_disarm(&t->set->w->loop, &t->gather);
	return false;
}

void wrk_put_pace_synced(struct wrk_put_tier *t)
{
	if (t->took_ns == 0)
		return;
	/* what it takes at least: others that use the disk make single ones longer */
	if (t->sync_ns == 0 || t->took_ns < t->sync_ns)
		t->sync_ns = t->took_ns;
	else
		t->sync_ns += (t->took_ns - t->sync_ns) / 8;
}

void wrk_put_pace_joined(struct wrk_put *p)
{
	struct wrk_put_tier *t = p->tier;

	t->n_back -= t->n_back > 0;
	t->hurry |= p->durability != OM_DUR_SYNC;
}

void wrk_put_pace_out(struct wrk_put *p)
{
	p->is_out = p->synced;
	p->tier->n_out += p->is_out;
}

void wrk_put_pace_back(struct wrk_put *p)
{
	if (!p->is_out)
		return;
	p->is_out = false;
	p->tier->n_out--;
	p->tier->n_back++;
	p->tier->back_ns = om_now_ns();
	if (p->tier->n_out == 0)
		again(p->tier);
}

void wrk_put_coming(struct wrk_put *p)
{
	wrk_put_not_coming(p);
	if (p->durability != OM_DUR_SYNC)
		return;
	p->coming = p->tier;
	p->coming->n_coming++;
}

void wrk_put_not_coming(struct wrk_put *p)
{
	struct wrk_put_tier *t = p->coming;

	if (!t)
		return;
	p->coming = NULL;
	t->n_coming--;
	again(t);
}
