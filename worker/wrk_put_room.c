/*
 * wrk_put_room.c: room for put sessions, promised by the supervisor. Process objmapper-worker, loop thread.
 *
 *	choose a tier -> RESERVE -> (no room: the next tier) -> (none has any: RESERVE again where room may be made, and wait)
 *
 * While a quarter of the tier is free, a session that is small beside it goes without: its PREPARE gets the room, and what all such
 * sessions of this worker together announce is bounded. One that grows beyond what it announced is found by wrk_put_watch.c and asks for more here.
 */
#include "worker/wrk_put_int.h"

#define UNASKED_MAX (16ull << 20) /* announced by this worker's sessions on a tier, without a RESERVE; and 1/64 of the tier */

static uint64_t wanted(const struct wrk_put *p) { return OM_MAX(p->hint, (uint64_t)1); }

static bool small(const struct wrk_put *p)
{
	const struct om_boot_tier *row = &p->set->w->tiers[p->tier->no].row;
	struct idxr_tier now;

	/* Workers do not know of each other's: where room is short, every session is promised its own. */
	if (idxr_tier(&p->set->w->idx, p->tier->no, &now) < 0 || now.used_bytes > now.capacity_bytes / 4 * 3)
		return false;
	return p->tier->hinted <= OM_MIN(UNASKED_MAX, row->capacity_bytes / 64); /* p's own is in it */
}

static void ask(struct wrk_put *p);

/* No tier has room now. One that can make some is waited for, once. */
static void none(struct wrk_put *p, int status)
{
	if (status != -OBJM_STATUS_NO_SPACE || !p->full || p->room_wait) {
		wrk_put_answer(p, status);
		return;
	}
	p->room_wait = true;
	wrk_put_use_tier(p, p->full);
	ask(p);
}

static void refused(struct wrk_put *p, const struct om_op_verdict *v)
{
	char why[sizeof(p->why)];
	int status = v->status;

	if (wrk_put_owner_limit(p, v)) { /* another tier makes no difference */
		wrk_put_answer(p, status);
		return;
	}
	if (p->room_wait)
		(void)snprintf(p->why, sizeof(p->why), "tier %s has no space for %llu bytes, and none became free in time: delete objects, or "
			       "try again", wrk_put_tier_name(p), (unsigned long long)wanted(p));
	else if (status == -OBJM_STATUS_NO_SPACE)
		(void)snprintf(p->why, sizeof(p->why), "tier %s has no space for %llu bytes", wrk_put_tier_name(p),
			       (unsigned long long)wanted(p));
	else if (status == -OBJM_STATUS_LIMIT_EXCEEDED && (p->rec.flags & OM_OBJ_PINNED))
		(void)snprintf(p->why, sizeof(p->why), "tier %s: pinned objects may take half of it, and do", wrk_put_tier_name(p));
	else
		(void)snprintf(p->why, sizeof(p->why), "tier %s gives no room: %s", wrk_put_tier_name(p), om_status_text(status));
	if (status == -OBJM_STATUS_NO_SPACE && !p->full)
		p->full = p->tier;
	if (p->room_wait) {
		wrk_put_answer(p, status);
		return;
	}
	(void)snprintf(why, sizeof(why), "%s", p->why);
	wrk_put_unchoose(p);
	if (wrk_put_choose(p) == 0) {
		ask(p);
		return;
	}
	(void)snprintf(p->why, sizeof(p->why), "%s", why); /* of the first tier that was asked */
	none(p, status);
}

static void on_reserved(void *arg, const struct om_op_verdict *v)
{
	struct wrk_put *p = arg;

	if (p->dead) {
		wrk_put_end(p);
		return;
	}
	if (v->status < 0) {
		refused(p, v);
		return;
	}
	p->why[0] = '\0';
	wrk_put_unhint(p);
	p->room_bytes = wanted(p);
	p->room_go(p);
}

static void ask(struct wrk_put *p)
{
	struct wrk_put_tier *t = p->tier;

	if (!p->room_wait && small(p)) {
		p->room_go(p);
		return;
	}
	p->state = WRK_PUT_ROOM;
	p->room_asked = true;
	if (wrk_ring_reserve(p->set->w->ring, wrk_put_room_no(p), wanted(p), t->no, p->rec.uid, p->rec.flags, p->room_wait, on_reserved, p, NULL) < 0) {
		(void)snprintf(p->why, sizeof(p->why), "too many changes are under way: try again");
		wrk_put_answer(p, -OBJM_STATUS_TRY_AGAIN);
	}
}

void wrk_put_room(struct wrk_put *p, int status, void (*go)(struct wrk_put *))
{
	p->room_go = go;
	if (status < 0)
		none(p, status);
	else
		ask(p);
}

/* ---- sessions that grow ---- */

static void on_grown(void *arg, const struct om_op_verdict *v)
{
	struct wrk_put *p = arg;

	p->grow_req = 0;
	if (v->status == 0) {
		p->room_bytes = p->grow_bytes;
		wrk_put_unhint(p);
	} else {
		p->grow_refused = true; /* the next look cuts it, unless it has ended */
	}
}

void wrk_put_room_grow(struct wrk_put *p, uint64_t bytes)
{
	if (p->grow_req || p->grow_refused)
		return;
	p->grow_bytes = bytes + OM_MIN(bytes / 4, UNASKED_MAX); /* it will go on */
	p->room_asked = true;
	if (wrk_ring_reserve(p->set->w->ring, wrk_put_room_no(p), p->grow_bytes, p->tier->no, p->rec.uid, p->rec.flags, false, on_grown, p,
			     &p->grow_req) < 0)
		p->grow_req = 0; /* the ring is at its bound: the next look asks again */
}
