/*
 * sup_engine_admit.c: what clients hold, counted over all workers: connections, open puts and watches, in all and by user.
 * Publisher's thread.
 *
 * Workers ask before they serve (ADMIT) and tell when it is over (LEAVE). One table: a row for each (place, uid) that holds anything, and one for each uid in all; so a worker that dies
 * gives back what it held. The limits are those of the configuration in force; one that is lowered closes nothing.
 */
#include "supervisor/sup_engine_admit.h"
#include "supervisor/sup_engine_answer.h"

#define BUCKETS 1024u
#define ALL UINT32_MAX /* place of the rows that sum up */

struct admit_row {
	struct admit_row *next;
	uint32_t place, uid;
	uint32_t n[OM_ADMITS];
};

struct sup_admit {
	uint64_t n[OM_ADMITS]; /* in all */
	_Atomic uint32_t max[OM_ADMITS], max_uid[OM_ADMITS]; /* a reload sets them from the main loop */
	struct admit_row *rows[BUCKETS];
};

int sup_admit_new(struct sup_admit **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -OBJM_STATUS_OUT_OF_MEMORY;
}

void sup_admit_conf(struct sup_engine *e, const struct om_conf *conf)
{
	atomic_store(&e->admit->max[OM_ADMIT_CONN], conf->limits.connections);
	atomic_store(&e->admit->max_uid[OM_ADMIT_CONN], conf->limits.connections_per_uid);
	atomic_store(&e->admit->max[OM_ADMIT_PUT], conf->limits.put_sessions);
	atomic_store(&e->admit->max_uid[OM_ADMIT_PUT], conf->limits.put_sessions_per_uid);
	atomic_store(&e->admit->max[OM_ADMIT_WATCH], UINT32_MAX); /* a connection has so many, and connections are bounded */
	atomic_store(&e->admit->max_uid[OM_ADMIT_WATCH], conf->limits.watches_per_uid);
}

void sup_admit_free(struct sup_admit *a)
{
	for (unsigned i = 0; a && i < BUCKETS; i++)
		while (a->rows[i]) {
			struct admit_row *r = a->rows[i];
			a->rows[i] = r->next;
			free(r);
		}
	free(a);
}

static bool holds_any(const struct admit_row *r)
{
	for (unsigned what = 0; what < OM_ADMITS; what++)
		if (r->n[what])
			return true;
	return false;
}

static struct admit_row **row_at(struct sup_admit *a, uint32_t place, uint32_t uid)
{
	struct admit_row **p = &a->rows[(uid * 2654435761u ^ place * 40503u) % BUCKETS];

	while (*p && ((*p)->place != place || (*p)->uid != uid))
		p = &(*p)->next;
	return p;
}

static struct admit_row *row_get(struct sup_admit *a, uint32_t place, uint32_t uid)
{
	struct admit_row **p = row_at(a, place, uid), *r = *p;

	if (r)
		return r;
	r = calloc(1, sizeof(*r));
	if (r)
		*r = (struct admit_row){ .place = place, .uid = uid };
	*p = r;
	return r;
}

static void row_put(struct sup_admit *a, uint32_t place, uint32_t uid)
{
	struct admit_row **p = row_at(a, place, uid), *r = *p;

	if (!r || holds_any(r))
		return;
	*p = r->next;
	free(r);
}

/* Root and the daemon's own user are held by no limit on connections and watches of one user. TCP is no user: its connections are
 * bounded in all, its puts by them; but all that it watches counts as one user's, since each change is told to each watch. */
static bool exempt(uint32_t uid, enum om_admit what)
{
	if (uid == UINT32_MAX)
		return what != OM_ADMIT_WATCH;
	return what != OM_ADMIT_PUT && (uid == 0 || uid == (uint32_t)geteuid());
}

static enum om_admit_limit admit(struct sup_engine *e, uint32_t place, uint32_t uid, enum om_admit what)
{
	uint32_t total = atomic_load_explicit(&e->admit->max[what], memory_order_relaxed);
	uint32_t per_uid = atomic_load_explicit(&e->admit->max_uid[what], memory_order_relaxed);
	struct admit_row *mine, *all;

	if (e->admit->n[what] >= total)
		return OM_ADMIT_LIMIT_ALL;
	mine = row_get(e->admit, place, uid);
	all = row_get(e->admit, ALL, uid);
	if (!mine || !all || (!exempt(uid, what) && all->n[what] >= per_uid)) {
		row_put(e->admit, place, uid);
		row_put(e->admit, ALL, uid);
		return mine && all ? OM_ADMIT_LIMIT_UID : OM_ADMIT_LIMIT_ALL;
	}
	mine->n[what]++;
	all->n[what]++;
	e->admit->n[what]++;
	return OM_ADMIT_OK;
}

/* False: it was not admitted. */
static bool leave(struct sup_engine *e, uint32_t place, uint32_t uid, enum om_admit what)
{
	struct admit_row *mine = *row_at(e->admit, place, uid), *all = *row_at(e->admit, ALL, uid);

	if (!mine || !all || !mine->n[what])
		return false;
	mine->n[what]--;
	all->n[what]--;
	e->admit->n[what]--;
	row_put(e->admit, place, uid);
	row_put(e->admit, ALL, uid);
	return true;
}

void sup_admit_gone(struct sup_engine *e, uint32_t place)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		for (struct admit_row *r = e->admit->rows[i]; r;) {
			uint32_t uid = r->uid;
			bool one = r->place == place && holds_any(r);

			if (!one) {
				r = r->next;
				continue;
			}
			const struct admit_row was = *r; /* it is freed with its last */
			for (unsigned what = 0; what < OM_ADMITS; what++)
				for (uint32_t n = was.n[what]; n; n--)
					(void)leave(e, place, uid, (enum om_admit)what);
			r = e->admit->rows[i]; /* the row is gone with its last */
		}
}

bool sup_admit_take(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_admit *m = msg;

	if (len != sizeof(*m) || m->what >= OM_ADMITS)
		return sup_msg_broken(c, "bad ADMIT");
	enum om_admit_limit hit = admit(c->e, c->place, m->uid, (enum om_admit)m->what);
	sup_pub_verdict(c->e, c->place, c->child->serial, m->hdr.req, hit ? -OBJM_STATUS_LIMIT_EXCEEDED : 0, 0, 0, 0, hit);
	return true;
}

bool sup_admit_take_leave(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_admit *m = msg;

	if (len != sizeof(*m) || m->what >= OM_ADMITS)
		return sup_msg_broken(c, "bad LEAVE");
	return leave(c->e, c->place, m->uid, (enum om_admit)m->what) || sup_msg_broken(c, "LEAVE without its ADMIT");
}
