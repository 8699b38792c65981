/*
 * wrk_put_hold.c: what a put session holds besides its file, and gives back: bytes announced on its tier, room that the supervisor
 * promised, the payload of an inline put, its user's row. Process objmapper-worker, loop thread. Who takes it is wrk_put_tier.c,
 * wrk_put_room.c and wrk_put_inline.c; nobody is called from here but the ring.
 */
#include "worker/wrk_put_int.h"

/* ---- the tier */

const char *wrk_put_tier_name(const struct wrk_put *p)
{
	return p->tier ? p->set->w->tiers[p->tier->no].row.name : "?";
}

void wrk_put_unhint(struct wrk_put *p)
{
	if (!p->in_hinted)
		return;
	OM_ASSERT(p->tier->hinted >= p->hint);
	p->tier->hinted -= p->hint;
	p->in_hinted = false;
}

void wrk_put_unchoose(struct wrk_put *p)
{
	if (!p->tier)
		return;
	wrk_put_unhint(p);
	wrk_put_room_end(p);
	p->tier = NULL;
}

/* ---- room */

uint32_t wrk_put_room_no(const struct wrk_put *p) { return p->room_asked ? p->slot + 1 : 0; }

static void forget_grow(struct wrk_put *p)
{
	if (p->grow_req)
		wrk_ring_forget(p->set->w->ring, p->grow_req);
	p->grow_req = 0;
}

void wrk_put_room_end(struct wrk_put *p)
{
	uint32_t no = wrk_put_room_no(p);

	forget_grow(p);
	p->room_asked = false;
	p->room_bytes = 0;
	if (no)
		wrk_ring_release(p->set->w->ring, no);
}

void wrk_put_room_taken(struct wrk_put *p)
{
	forget_grow(p);
	p->room_asked = false;
	p->room_bytes = 0;
	wrk_put_unhint(p);
}

/* ---- payload */

void wrk_put_inline_drop(struct wrk_put *p)
{
	if (!p->buf)
		return;
	p->set->inline_bytes -= p->len;
	p->user->inline_bytes -= p->len;
	free(p->buf);
	p->buf = NULL;
}

/* ---- users */

static struct wrk_put_user **user_place(struct wrk_put_set *s, uint32_t uid)
{
	struct wrk_put_user **u = &s->users[(uid * 2654435761u) >> 24];

	while (*u && (*u)->uid != uid)
		u = &(*u)->next;
	return u;
}

struct wrk_put_user *wrk_put_user_get(struct wrk_put_set *s, uint32_t uid)
{
	struct wrk_put_user **place = user_place(s, uid);

	if (!*place) {
		*place = calloc(1, sizeof(**place));
		if (*place)
			(*place)->uid = uid;
	}
	return *place;
}

void wrk_put_user_put(struct wrk_put_set *s, struct wrk_put_user *u)
{
	if (u->n > 0 || u->refused_until_ns > om_now_ns())
		return; /* one that is refused stays until it is looked up after that */
	struct wrk_put_user **place = user_place(s, u->uid);
	OM_ASSERT(*place == u);
	*place = u->next;
	free(u);
}
