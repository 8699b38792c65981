/*
 * sup_engine_room.c: what each tier holds, what of it is promised, and who waits for room. Publisher's thread.
 *
 * A tier's room is its capacity less:
 *   what its objects take, as allocated, home records and cached copies  (kept with every change of the index)
 *   files without a record that are still to be removed                  (sup_reap_add .. REAPED)
 *   its catalog
 *   promises: PREPAREs, moves, and rooms: what RESERVE gave to put sessions
 * Nothing is promised beyond that, so two workers cannot both have the last bytes. Who finds no room, where copies or
 * evictable objects could go, waits, first come first served: while somebody waits nobody else gets what becomes free.
 */
#include "supervisor/sup_engine_answer.h"
#include "supervisor/sup_engine_now.h"
#include "supervisor/sup_engine_owner.h"
#include "supervisor/sup_engine_room.h"

#define ROOM_MARGIN (UINT64_C(1) << 20)
#define ROOM_BUCKETS 4096u
#define ROOM_WAITERS_MAX 1024u	   /* of a tier; past it NO_SPACE */
#define PIN_SHARE 2u /* of a tier's capacity, one part in so many may be pinned */
#define ROOM_ASK_NS UINT64_C(100000000) /* the lifecycle process is asked again, while somebody waits */

/* A promise to a put session. */
struct sup_room {
	struct sup_room *hnext;
	struct sup_tier *tier;
	uint64_t bytes;
	uint64_t asked; /* of these bytes, as the owner's are counted */
	unsigned place;
	uint32_t no; /* the worker's */
	uint32_t uid;
};

struct sup_rooms {
	struct sup_room *slot[ROOM_BUCKETS];
	struct {
		struct sup_waiter *first, **last;
		unsigned n;
		uint64_t need; /* of all of them */
		uint64_t ask_ns;
		bool above; /* its high-water mark, and told */
	} tier[OM_TIERS_MAX];
};

int sup_rooms_new(struct sup_rooms **ret)
{
	struct sup_rooms *r = calloc(1, sizeof(*r));

	if (!r)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		r->tier[i].last = &r->tier[i].first;
	*ret = r;
	return 0;
}

void sup_rooms_free(struct sup_rooms *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < ROOM_BUCKETS; i++)
		while (r->slot[i]) {
			struct sup_room *one = r->slot[i];
			r->slot[i] = one->hnext;
			free(one);
		}
	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		while (r->tier[i].first) {
			struct sup_waiter *w = r->tier[i].first;
			r->tier[i].first = w->next;
			free(w);
		}
	free(r);
}

void sup_rooms_conf(struct sup_engine *e, const struct om_conf *conf)
{
	atomic_store(&e->room_wait_ms, conf->limits.room_wait_ms);
	atomic_store(&e->rooms_max, conf->limits.put_sessions);
	atomic_store(&e->full_ppm, (uint32_t)(conf->lifecycle.evict_when_full * 1e6));
}

/* ---- accounts ---- */

uint64_t sup_room_of(uint64_t size)
{
	return size > UINT64_MAX - 4095 ? UINT64_MAX & ~UINT64_C(4095) : (size + 4095) & ~UINT64_C(4095);
}

static void count(struct sup_engine *e, const struct idx_ent *ent, bool add)
{
	struct sup_tier *home = sup_msg_tier(e, ent->home), *copy = ent->tier != ent->home ? sup_msg_tier(e, ent->tier) : NULL;
	uint64_t n = sup_room_of(ent->size), by = add ? n : -n; /* unsigned: wraps around and back */

	if (copy) {
		copy->acct.bytes += by;
		copy->acct.copies += by;
	}
	if (!home)
		return;
	home->acct.bytes += by;
	if (ent->flags & OM_OBJ_PINNED)
		home->acct.pinned += by;
	else if (ent->flags & OM_OBJ_EVICTABLE)
		home->acct.evictable += by;
}

int sup_index_put(struct sup_engine *e, const struct idx_key *key, const struct idx_ent *ent)
{
	struct idx_ent old;
	bool had = idxw_get(e->index, key, &old, NULL) == 0;
	int err = idxw_put(e->index, key, ent);

	if (err < 0)
		return err;
	if (had)
		count(e, &old, false);
	count(e, ent, true);
	return 0;
}

int sup_index_del(struct sup_engine *e, const struct idx_key *key)
{
	struct idx_ent old;
	bool had = idxw_get(e->index, key, &old, NULL) == 0;
	int err = idxw_del(e->index, key);

	if (err == 0 && had)
		count(e, &old, false);
	return err;
}

int sup_index_fill(struct sup_engine *e, const struct idx_key *key, const struct idx_ent *ent, const struct idx_ent *have)
{
	struct idx_ent now = *ent;
	int err = idxw_fill(e->index, key, ent);

	if (err < 0)
		return err;
	if (have) {
		count(e, have, false);
		if (idxw_get(e->index, key, &now, NULL) < 0)
			return 0;
	}
	count(e, &now, true);
	return 0;
}

uint64_t sup_room_used(const struct sup_engine *e, const struct sup_tier *t)
{
	uint64_t bytes = t->acct.bytes;

	if (!e->fill_done) /* not all of it has been seen: half a page an object is what rounding takes on average */
		bytes = OM_MAX(bytes, atomic_load(&t->used_bytes) + 2048 * atomic_load(&t->objects));
	return bytes + t->acct.removals + atomic_load(&t->cat_bytes);
}

void sup_pub_rows(struct sup_engine *e, struct sup_tier *t)
{
	struct idxr_tier row = {
		.used_bytes = sup_room_used(e, t) + t->reserved_bytes, .capacity_bytes = t->capacity_bytes,
		.objects = atomic_load(&t->objects), .state = (enum om_tier_state)sup_tier_state(t),
	};

	atomic_store(&t->stat_used, row.used_bytes - t->reserved_bytes);
	atomic_store(&t->stat_reserved, t->reserved_bytes);
	atomic_store(&t->stat_copies, t->acct.copies);
	atomic_store(&t->stat_evictable, t->acct.evictable);
	atomic_store(&t->stat_pinned, t->acct.pinned);
	atomic_store(&t->stat_removals, t->acct.removals);
	if (t->no == OM_TIER_NONE)
		return;
	/* workers take an absent tier for one that hides something */
	if (row.state == OM_TIERS_ABSENT && !t->hides)
		row.state = OM_TIERS_FAILED;
	else if (row.state == OM_TIERS_FAILED && t->hides)
		row.state = OM_TIERS_ABSENT;
	idxw_tier(e->index, t->no, &row);
}

/* What the catalog may take while the next promises become objects: without it the tier could not commit what it has taken in. */
static uint64_t margin(const struct sup_tier *t) { return OM_MIN(ROOM_MARGIN, t->capacity_bytes / 64); }

static uint64_t room_left(const struct sup_engine *e, const struct sup_tier *t)
{
	uint64_t used = sup_room_used(e, t) + t->reserved_bytes + margin(t);

	return used < t->capacity_bytes ? t->capacity_bytes - used : 0;
}

int sup_pin_fits(const struct sup_engine *e, const struct sup_tier *t, uint64_t size)
{
	uint64_t pinned = idxw_pinned(e->index, t->no) + t->reserved_pins, most = t->capacity_bytes / PIN_SHARE;

	return pinned > most || most - pinned < size ? -OBJM_STATUS_LIMIT_EXCEEDED : 0;
}

bool sup_room_fits(const struct sup_engine *e, const struct sup_tier *t, uint64_t bytes, bool waited)
{
	return room_left(e, t) >= bytes && (waited || !e->rooms->tier[t->ix].first);
}

void sup_room_take(struct sup_engine *e, struct sup_tier *t, uint64_t bytes)
{
	t->reserved_bytes += bytes;
	sup_pub_rows(e, t);
}

void sup_room_give(struct sup_engine *e, struct sup_tier *t, uint64_t bytes)
{
	OM_ASSERT(t->reserved_bytes >= bytes);
	t->reserved_bytes -= bytes;
	sup_pub_rows(e, t);
}

/* ---- rooms of put sessions ---- */

static struct sup_room **room_slot(struct sup_rooms *r, unsigned place, uint32_t no)
{
	struct sup_room **p = &r->slot[(no * 2654435761u ^ place * 40503u) % ROOM_BUCKETS];

	while (*p && ((*p)->no != no || (*p)->place != place))
		p = &(*p)->hnext;
	return p;
}

static void room_end(struct sup_engine *e, struct sup_room **p)
{
	struct sup_room *r = *p;

	*p = r->hnext;
	e->child[r->place].n_rooms--;
	sup_room_give(e, r->tier, r->bytes);
	sup_owner_room_end(e, r->uid, r->asked);
	free(r);
}

uint64_t sup_room_has(struct sup_engine *e, unsigned place, uint32_t no, const struct sup_tier *t)
{
	const struct sup_room *r = no ? *room_slot(e->rooms, place, no) : NULL;

	return r && r->tier == t ? r->bytes : 0;
}

void sup_room_end(struct sup_engine *e, unsigned place, uint32_t no)
{
	struct sup_room **p = no ? room_slot(e->rooms, place, no) : NULL;

	if (p && *p)
		room_end(e, p);
}

void sup_room_lost(struct sup_engine *e, unsigned place)
{
	for (unsigned i = 0; i < ROOM_BUCKETS && e->child[place].n_rooms; i++)
		for (struct sup_room **p = &e->rooms->slot[i]; *p;)
			if ((*p)->place == place)
				room_end(e, p);
			else
				p = &(*p)->hnext;
	for (unsigned i = 0; i < e->n_tiers; i++)
		for (struct sup_waiter **p = &e->rooms->tier[i].first; *p;) {
			struct sup_waiter *w = *p;
			if (w->place != place) {
				p = &w->next;
				continue;
			}
			*p = w->next;
			if (!*p)
				e->rooms->tier[i].last = p;
			e->rooms->tier[i].n--;
			e->rooms->tier[i].need -= w->need;
			free(w);
		}
}

/* ---- waiting ---- */

/* Tell the lifecycle process how much room is wanted, what is free already included; `bytes` 0: the tier is above its high-water mark. */
static void ask(struct sup_engine *e, struct sup_tier *t, uint64_t bytes)
{
	const struct sup_child *c = &e->child[SUP_CHILD_LIFECYCLE];
	struct om_op_room m = { .hdr = { .len = sizeof(m), .type = OM_OP_ROOM }, .bytes = bytes, .tier = t->no };

	if (c->on && !c->doomed)
		sup_pub_answer(e, SUP_CHILD_LIFECYCLE, c->serial, &m, sizeof(m), false);
	e->rooms->tier[t->ix].ask_ns = om_coarse_ns();
}

/* Could waiting help? Copies, evictable objects and removals that are under way are what may go. */
static bool may_get(const struct sup_engine *e, const struct sup_tier *t, uint64_t need)
{
	uint64_t left = room_left(e, t), more = t->acct.copies + t->acct.evictable + t->acct.removals;

	return e->fill_done && e->child[SUP_CHILD_LIFECYCLE].on && more > 0 && need <= t->capacity_bytes &&
	       (left >= need || more >= need - left) && e->rooms->tier[t->ix].n < ROOM_WAITERS_MAX &&
	       atomic_load(&e->room_wait_ms) > 0;
}

bool sup_room_wait(struct sup_msg *c, struct sup_tier *t, uint64_t need, const struct om_op_hdr *msg)
{
	struct sup_engine *e = c->e;
	struct sup_waiter *w = may_get(e, t, need) ? malloc(sizeof(*w) + msg->len) : NULL;

	if (!w)
		return false;
	*w = (struct sup_waiter){ .place = c->place, .serial = c->child->serial, .req = msg->req, .need = need, .len = msg->len,
				  .due_ns = om_now_ns() + atomic_load(&e->room_wait_ms) * UINT64_C(1000000) };
	memcpy(w->msg, msg, msg->len);
	*e->rooms->tier[t->ix].last = w;
	e->rooms->tier[t->ix].last = &w->next;
	e->rooms->tier[t->ix].n++;
	e->rooms->tier[t->ix].need += need;
	ask(e, t, e->rooms->tier[t->ix].need + margin(t));
	return true;
}

static struct sup_waiter *waiter_take(struct sup_engine *e, struct sup_tier *t)
{
	struct sup_waiter *w = e->rooms->tier[t->ix].first;

	e->rooms->tier[t->ix].first = w->next;
	if (!w->next)
		e->rooms->tier[t->ix].last = &e->rooms->tier[t->ix].first;
	e->rooms->tier[t->ix].n--;
	e->rooms->tier[t->ix].need -= w->need;
	return w;
}

struct sup_waiter *sup_room_next(struct sup_engine *e)
{
	uint64_t now = om_now_ns();

	for (unsigned i = 0; i < e->n_tiers; i++)
		for (struct sup_waiter *w; (w = e->rooms->tier[i].first);) {
			bool fits = room_left(e, &e->tiers[i]) >= w->need;
			if (!fits && now < w->due_ns)
				break;
			(void)waiter_take(e, &e->tiers[i]);
			const struct sup_child *c = &e->child[w->place];
			if (fits && c->on && c->serial == w->serial && !c->doomed)
				return w;
			sup_pub_verdict(e, w->place, w->serial, w->req, -OBJM_STATUS_NO_SPACE, 0, 0, 0, 0);
			free(w);
		}
	return NULL;
}

void sup_room_turn(struct sup_engine *e)
{
	for (unsigned i = 0; i < e->n_tiers; i++) {
		struct sup_tier *t = &e->tiers[i];
		if (e->rooms->tier[i].first && om_coarse_ns() - e->rooms->tier[i].ask_ns > ROOM_ASK_NS)
			ask(e, t, e->rooms->tier[i].need + margin(t));
		if (!t->cat || !e->fill_done)
			continue;
		bool above = (double)(sup_room_used(e, t) + t->reserved_bytes) * 1e6 >
			     (double)atomic_load(&e->full_ppm) * (double)t->capacity_bytes;
		if (above && !e->rooms->tier[i].above)
			ask(e, t, 0);
		e->rooms->tier[i].above = above;
	}
}

bool sup_room_waited(const struct sup_engine *e)
{
	for (unsigned i = 0; i < e->n_tiers; i++)
		if (e->rooms->tier[i].first)
			return true;
	return false;
}

/* ---- messages ---- */

bool sup_room_take_reserve(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_reserve *m = msg;
	struct sup_engine *e = c->e;
	struct sup_tier *t = sup_msg_tier(e, m->tier);

	if (len != sizeof(*m) || !m->room || !m->bytes || m->bytes > INT64_MAX)
		return sup_msg_broken(c, "bad RESERVE");
	struct sup_room **p = room_slot(e->rooms, c->place, m->room), *r = *p;
	uint64_t want = sup_room_of(m->bytes);
	if (r && (r->tier != t || r->uid != sup_owner_of(m->uid)))
		return sup_msg_broken(c, "RESERVE of a room on two tiers or for two users");
	int err = sup_msg_tier_fit(t, m->flags, false);
	if (err == 0 && !r && c->child->n_rooms >= atomic_load(&e->rooms_max))
		err = -OBJM_STATUS_LIMIT_EXCEEDED;
	if (err == 0 && (m->flags & OM_OBJ_PINNED))
		err = sup_pin_fits(e, t, m->bytes);
	uint64_t have = r ? r->bytes : 0, need = want > have ? want - have : 0;
	if (err == 0 && need && !sup_room_fits(e, t, need, c->waited)) {
		if (m->wait && sup_room_wait(c, t, need, &m->hdr))
			return true;
		err = -OBJM_STATUS_NO_SPACE;
	}
	uint64_t asked = r ? r->asked : 0, more = m->bytes > asked ? m->bytes - asked : 0, limit = 0;
	enum om_owner_limit hit = err == 0 ? sup_owner_room(e, sup_owner_of(m->uid), more, &limit) : OM_OWNER_OK;
	if (hit) {
		sup_pub_verdict(e, c->place, c->child->serial, m->hdr.req, -OBJM_STATUS_LIMIT_EXCEEDED, 0, 0, limit, hit);
		return true;
	}
	if (err == 0 && !r) {
		r = *p = calloc(1, sizeof(*r));
		if (r) {
			*r = (struct sup_room){ .tier = t, .place = c->place, .no = m->room, .uid = sup_owner_of(m->uid) };
			c->child->n_rooms++;
		} else {
			sup_owner_room_end(e, sup_owner_of(m->uid), more);
			err = -OBJM_STATUS_OUT_OF_MEMORY;
		}
	}
	if (err == 0) {
		r->asked += more;
		r->bytes += need;
		sup_room_take(e, t, need);
	}
	sup_msg_answer(c, m->hdr.req, err);
	return true;
}

bool sup_room_take_release(struct sup_msg *c, const void *msg, size_t len)
{
	const struct om_op_release *m = msg;

	if (len != sizeof(*m))
		return sup_msg_broken(c, "bad RELEASE");
	sup_room_end(c->e, c->place, m->room); /* none: its PREPARE ended it */
	return true;
}
