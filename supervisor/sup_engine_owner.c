/*
 * sup_engine_owner.c: what each user owns, over all tiers, and how much that may be. Publisher's thread; the limits are set, and the
 * table is read for figures, by the main loop.
 *
 * An object is its writer's: the uid of the PREPARE, kept in its record and in its file. Home records count, cached copies do not.
 * The sums of a tier are rows of its catalog, committed with the records, so they are exact as soon as it is open; here they are
 * kept up stage by stage as the committers hand them back, which is the order of the commits.
 *
 *   used  =  objects  -  those that are counted twice  +  promises (PREPARE)  -  credits
 *
 * Nothing is promised that would bring `used` above the limit, and no step afterwards raises it: a commit turns a promise into an
 * object. A credit is what a promise will give back: the object of the same user that it replaces. At most one promise of a key has
 * one, and it goes when that object goes, whoever removes it. While a home moves its bytes are counted on both tiers, and
 * so once too often. A promise that is no larger than its credit is given even above the limit (which may have been lowered).
 *
 * What open puts have reserved is not in it, because which object they will replace is not known yet: it has the same limit
 * once more for itself.
 */
#include "supervisor/sup_engine_owner.h"
#include "supervisor/sup_owner_table.h"

#define USERS_MAX 65536u /* rows: each costs some 150 bytes */

void sup_owners_conf(struct sup_engine *e, const struct om_conf *conf) { sup_owners_limits(e->owners, conf); }

void sup_owner_tier(struct sup_engine *e, const struct sup_tier *t, const struct sup_owned *owned)
{
	struct sup_owners *o = e->owners;

	pthread_mutex_lock(&o->lock);
	sup_owners_clear(o, t->ix);
	for (size_t i = 0; owned && i < owned->n; i++)
		sup_owners_add(o, t->ix, &owned->v[i]);
	pthread_mutex_unlock(&o->lock);
}

int sup_owned_add(void *arg, const struct idx_cat_owner *owner)
{
	struct sup_owned *w = arg;

	if (w->n == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 16;
		struct idx_cat_owner *v = realloc(w->v, cap * sizeof(*v));
		if (!v)
			return -OBJM_STATUS_OUT_OF_MEMORY;
		w->v = v;
		w->cap = cap;
	}
	w->v[w->n++] = *owner;
	return 0;
}

void sup_owned_fini(struct sup_owned *w)
{
	free(w->v);
	*w = (struct sup_owned){ 0 };
}

/* ---- promises ---- */

static void credit_end(struct sup_owners *o, struct sup_res *res)
{
	struct sup_owner_row *r = *sup_owners_row(o, res->uid);

	if (!res->credit)
		return;
	res->credit = false;
	res->key->credit = NULL;
	sup_owners_less(&r->credit_objects, 1);
	sup_owners_less(&r->credit_bytes, res->credit_bytes);
}

static void held_end(struct sup_owners *o, struct sup_res *res)
{
	struct sup_owner_row *r = *sup_owners_row(o, res->uid);

	if (!res->held)
		return;
	res->held = false;
	sup_owners_less(&r->held_objects, 1);
	sup_owners_less(&r->held_bytes, res->size);
}

static uint64_t used(uint64_t has, uint64_t twice, uint64_t held, uint64_t credit)
{
	uint64_t all = has - OM_MIN(twice, has) + held;

	return all - OM_MIN(credit, all);
}

/* Is there room under the limit for this, when `credit` comes back? */
static bool under(uint64_t limit, uint64_t now, uint64_t more, uint64_t credit)
{
	if (!limit || more <= credit)
		return true;
	return now <= limit && limit - now >= more - credit;
}

enum om_owner_limit sup_owner_fits(struct sup_engine *e, const struct sup_key *key, uint32_t uid, uint64_t size,
				   const struct sup_standing *stands, uint64_t *ret_limit)
{
	static const struct sup_owner_row none;
	struct sup_owners *o = e->owners;
	bool own = stands && stands->uid == uid && !(key && key->credit);
	enum om_owner_limit hit = OM_OWNER_OK;

	pthread_mutex_lock(&o->lock);
	struct sup_owner_limit l = sup_owners_limit(o, uid);
	const struct sup_owner_row *there = *sup_owners_row(o, uid), *r = there ? there : &none;
	*ret_limit = 0;
	if (!under(l.bytes, used(r->bytes, r->twice_bytes, r->held_bytes, r->credit_bytes), size, own ? stands->size : 0)) {
		hit = OM_OWNER_BYTES;
		*ret_limit = l.bytes;
	} else if (!under(l.objects, used(r->objects, r->twice_objects, r->held_objects, r->credit_objects), 1, own)) {
		hit = OM_OWNER_OBJECTS;
		*ret_limit = l.objects;
	} else if (!there && o->n_rows >= USERS_MAX) {
		hit = OM_OWNER_USERS;
		*ret_limit = USERS_MAX;
	}
	pthread_mutex_unlock(&o->lock);
	return hit;
}

bool sup_owner_hold(struct sup_engine *e, struct sup_res *res, uint32_t uid, const struct sup_standing *stands)
{
	struct sup_owners *o = e->owners;
	struct sup_owner_row *r;

	pthread_mutex_lock(&o->lock);
	r = sup_owners_row_get(o, uid);
	if (r) {
		res->uid = uid;
		res->held = true;
		r->held_objects++;
		r->held_bytes += res->size;
	}
	if (r && stands && stands->uid == uid && !res->key->credit) {
		res->credit = true;
		res->credit_bytes = stands->size;
		res->key->credit = res;
		r->credit_objects++;
		r->credit_bytes += stands->size;
	}
	pthread_mutex_unlock(&o->lock);
	return r != NULL;
}

void sup_owner_release(struct sup_engine *e, struct sup_res *res)
{
	struct sup_owners *o = e->owners;

	if (!res->held && !res->credit)
		return;
	pthread_mutex_lock(&o->lock);
	credit_end(o, res);
	held_end(o, res);
	sup_owners_row_put(o, res->uid);
	pthread_mutex_unlock(&o->lock);
}

/* ---- rooms of put sessions ---- */

enum om_owner_limit sup_owner_room(struct sup_engine *e, uint32_t uid, uint64_t more, uint64_t *ret_limit)
{
	struct sup_owners *o = e->owners;
	enum om_owner_limit hit = OM_OWNER_OK;

	pthread_mutex_lock(&o->lock);
	struct sup_owner_limit l = sup_owners_limit(o, uid);
	struct sup_owner_row *r = sup_owners_row_get(o, uid);
	*ret_limit = l.bytes;
	if (!r || !under(l.bytes, r->room_bytes, more, 0))
		hit = OM_OWNER_ROOM;
	else
		r->room_bytes += more;
	sup_owners_row_put(o, uid);
	pthread_mutex_unlock(&o->lock);
	return hit;
}

void sup_owner_room_end(struct sup_engine *e, uint32_t uid, uint64_t bytes)
{
	struct sup_owners *o = e->owners;

	pthread_mutex_lock(&o->lock);
	struct sup_owner_row *r = *sup_owners_row(o, uid);
	if (OM_CHECK(r != NULL))
		sup_owners_less(&r->room_bytes, bytes);
	sup_owners_row_put(o, uid);
	pthread_mutex_unlock(&o->lock);
}

/* ---- what the committers have done ---- */

/* The object that a promise would have given back is gone. */
static void gone(struct sup_owners *o, struct sup_op *op)
{
	if (op->key && op->key->credit)
		credit_end(o, op->key->credit);
	if (op->kind == SUP_OP_MOVE && op->move->twice) {
		struct sup_owner_row *r = *sup_owners_row(o, op->move->uid);
		op->move->twice = false;
		sup_owners_less(&r->twice_objects, 1);
		sup_owners_less(&r->twice_bytes, op->move->size);
	}
}

/* A home record came: by a put its promise ends with it, by a move it is there twice for a moment. */
static void came(struct sup_engine *e, struct sup_op *op, const struct idx_cat_owner *by)
{
	struct sup_owners *o = e->owners;
	struct sup_res *res = op->kind == SUP_OP_PUT ? sup_res_find(e, op->rec.id) : NULL;

	sup_owners_add(o, op->stages[op->stage].tier->ix, by);
	if (res)
		held_end(o, res);
	if (op->kind != SUP_OP_MOVE)
		return;
	struct sup_owner_row *r = *sup_owners_row(o, by->uid);
	op->move->twice = r != NULL;
	op->move->uid = by->uid;
	if (r) {
		r->twice_objects++;
		r->twice_bytes += by->bytes;
	}
}

void sup_owner_stage(struct sup_engine *e, struct sup_op *op)
{
	const struct sup_stage *s = &op->stages[op->stage];
	const struct sup_tier *t = s->tier;
	const struct idx_cat_old *old = &s->old;
	struct sup_owners *o = e->owners;
	bool went = old->existed && !old->damaged && old->home == t->no;
	bool put = s->act == SUP_ACT_PUT || s->act == SUP_ACT_MOVE || s->act == SUP_ACT_SET || (s->act == SUP_ACT_FOUND && s->made);
	const struct idx_cat_owner was = { old->uid, 1, old->size }, is = { op->rec.uid, 1, op->rec.size };

	if (s->act == SUP_ACT_SETTLE && op->complete)
		sup_owner_tier(e, t, &op->owned);
	if (!went && !put)
		return;
	pthread_mutex_lock(&o->lock);
	if (put && op->rec.home == t->no)
		came(e, op, &is);
	if (went) {
		sup_owners_sub(o, t->ix, &was);
		if (s->act != SUP_ACT_SET)
			gone(o, op);
	}
	pthread_mutex_unlock(&o->lock);
}

void sup_owner_move_end(struct sup_engine *e, struct sup_move *m)
{
	struct sup_owners *o = e->owners;

	if (!m->twice)
		return;
	pthread_mutex_lock(&o->lock);
	struct sup_owner_row *r = *sup_owners_row(o, m->uid);
	if (OM_CHECK(r != NULL)) {
		sup_owners_less(&r->twice_objects, 1);
		sup_owners_less(&r->twice_bytes, m->size);
	}
	m->twice = false;
	sup_owners_row_put(o, m->uid);
	pthread_mutex_unlock(&o->lock);
}

/* ---- figures ---- */

static void figure(const struct sup_owners *o, const struct sup_owner_row *r, struct sup_engine_owner *ret)
{
	struct sup_owner_limit l = sup_owners_limit(o, r->uid);

	*ret = (struct sup_engine_owner){
		.uid = r->uid, .objects = r->objects - OM_MIN(r->objects, r->twice_objects),
		.bytes = r->bytes - OM_MIN(r->bytes, r->twice_bytes), .reserved_bytes = r->held_bytes + r->room_bytes,
		.max_bytes = l.bytes, .max_objects = l.objects,
	};
}

static int by_bytes(const void *a, const void *b)
{
	const struct sup_engine_owner *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return (x->uid > y->uid) - (x->uid < y->uid);
}

int sup_engine_owners(struct sup_engine *e, struct sup_engine_owner **ret, size_t *ret_n)
{
	struct sup_owners *o = e->owners;
	size_t n = 0;

	pthread_mutex_lock(&o->lock);
	struct sup_engine_owner *v = malloc((o->n_rows + 1) * sizeof(*v));
	for (unsigned i = 0; v && i < SUP_OWNER_BUCKETS; i++)
		for (const struct sup_owner_row *r = o->rows[i]; r; r = r->next)
			figure(o, r, &v[n++]);
	pthread_mutex_unlock(&o->lock);
	if (!v)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	qsort(v, n, sizeof(*v), by_bytes);
	*ret = v;
	*ret_n = n;
	return 0;
}
