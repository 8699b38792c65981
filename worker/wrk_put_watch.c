/*
 * wrk_put_watch.c: open sessions that take more than they may. Process objmapper-worker, loop thread.
 *
 * A writable descriptor that is out cannot be bounded. So what open sessions take on the disk is looked at every 100 ms, every 10 ms
 * where room is short: one that passed its announced size by WRK_PUT_SLACK, or that takes room which the tier has not got, is cut to
 * nothing and its user refused for a while. Its writer may go on writing: it is cut again, as long as its connection lives. The cut frees what was
 * taken, gigabytes perhaps: an I/O thread does it.
 */
#include "common/om_counter.h"
#include "worker/wrk_put_int.h"

static void cut_run(struct wrk_io_job *job)
{
	struct wrk_put *p = wrk_put_of_job(job);

	p->status = be_cut(&p->tier->be, &p->file);
	p->err = p->status < 0 ? errno : 0;
}

static void cut_done(struct wrk_io_job *job)
{
	struct wrk_put *p = wrk_put_of_job(job);

	if (p->status < 0)
		om_log(OM_MSG_OBJECT_IO, "tier %s: the file of a put that took too much cannot be cut: %s", wrk_put_tier_name(p), strerror(p->err));
	if (p->dead)
		wrk_put_end(p);
	else if (p->commit_asked)
		wrk_put_answer(p, -OBJM_STATUS_TOO_LARGE);
}

static void cut(struct wrk_put *p, uint64_t bytes, const char *why)
{
	struct wrk_put_user *u = p->user;
	bool again = p->state == WRK_PUT_CUT;

	p->state = WRK_PUT_CUT;
	wrk_put_work(p, bytes, cut_run, cut_done); /* p lives: nobody has asked for its end */
	if (again)
		return;
	u->refused_until_ns = om_now_ns() + WRK_PUT_REFUSE_NS;
	(void)snprintf(p->why, sizeof(p->why), "the put was given up: it took %llu bytes on tier %s, %s",
		       (unsigned long long)bytes, wrk_put_tier_name(p), why);
	om_count(OM_C_PEER_LIMIT, 1);
	om_log(OM_MSG_PEER_LIMIT, "uid %u: %s; more of its puts are refused for %u s", u->uid, p->why,
	       (unsigned)(WRK_PUT_REFUSE_NS / 1000000000u));
}

/* Of what it takes, what the supervisor does not know of. */
static uint64_t unpromised(const struct wrk_put *p, uint64_t bytes) { return bytes - OM_MIN(bytes, p->room_bytes); }

/* Room by the supervisor's accounts, the promises to sessions taken off. */
static uint64_t account_room(const struct wrk_put_tier *t)
{
	struct idxr_tier row;

	if (idxr_tier(&t->set->w->idx, t->no, &row) < 0 || row.capacity_bytes <= row.used_bytes)
		return 0;
	return row.capacity_bytes - row.used_bytes;
}

static bool watched(const struct wrk_put *p)
{
	return p && p->begun && !p->frozen && !p->dead && !p->job.busy && (p->state == WRK_PUT_OPEN || p->state == WRK_PUT_CUT) &&
	       /* a network filesystem may keep us waiting: not from the loop */
	       p->set->w->tiers[p->tier->no].row.type != OM_TIER_NETWORK;
}

static void look(struct wrk_put_set *s, struct wrk_put *p, uint64_t *taken, uint64_t bytes)
{
	uint64_t *sum = &taken[p->tier->no];

	if (p->state == WRK_PUT_CUT && bytes > 0) {
		cut(p, bytes, "");
	} else if (p->hint > 0 && bytes > p->hint && bytes - p->hint > WRK_PUT_SLACK) {
		cut(p, bytes, "far beyond the size that it announced");
		*sum -= unpromised(p, bytes);
	} else if (bytes > p->hint && (p->grow_refused || *sum > account_room(&s->tiers[p->tier->no]))) {
		cut(p, bytes, "more than there is room for");
		*sum -= unpromised(p, bytes);
	} else if (bytes > OM_MAX(p->hint, p->room_bytes)) {
		wrk_put_room_grow(p, bytes);
	}
}

/* Until the next look: where a tier has little room left, what is written meanwhile is soon more than that. */
static uint64_t pause_ns(const struct wrk_put_set *s, unsigned watched_n)
{
	for (unsigned i = 0; i < OM_TIERS_MAX && watched_n <= WRK_PUT_TIGHT_MAX; i++) {
		const struct wrk_put_tier *t = &s->tiers[i];

		if (t->have && s->w->tiers[i].row.type != OM_TIER_NETWORK && account_room(t) < WRK_PUT_TIGHT_BYTES)
			return WRK_PUT_TIGHT_NS;
	}
	return WRK_PUT_WATCH_NS;
}

static void on_watch(void *arg)
{
	struct wrk_put_set *s = arg;
	uint64_t taken[OM_TIERS_MAX] = { 0 };
	unsigned n = 0;

	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < s->n_slots; i++) {
			struct wrk_put *p = s->slots[i];

			if (!watched(p))
				continue;
			uint64_t bytes = be_allocated(&p->file);
			n += pass == 0;
			if (pass == 0)
				taken[p->tier->no] += unpromised(p, bytes);
			else
				look(s, p, taken, bytes);
		}
	if (n && !s->watch.due_ns)
		wrk_timer_arm(&s->w->loop, &s->watch, om_now_ns() + pause_ns(s, n));
}

void wrk_put_watch_init(struct wrk_put_set *s) { s->watch = WRK_TIMER_INIT(on_watch, s); }

void wrk_put_watch(struct wrk_put_set *s)
{
	if (!s->watch.due_ns)
		wrk_timer_arm(&s->w->loop, &s->watch, om_now_ns() + pause_ns(s, 0));
}
