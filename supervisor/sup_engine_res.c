/*
 * sup_engine_res.c: reservations: ids given out whose fate is open. Publisher's thread.
 */
#include "supervisor/sup_engine_owner.h"
#include "supervisor/sup_engine_reap.h"
#include "supervisor/sup_engine_room.h"

/* The next id; 0 when none is durably reserved right now. */
static uint64_t take_id(struct sup_engine *e)
{
	if (e->id_next == e->id_end) {
		e->id_next = e->id2_next;
		e->id_end = e->id2_end;
		e->id2_next = e->id2_end = 0;
	}
	return e->id_next == e->id_end ? 0 : e->id_next++;
}

struct sup_res *sup_res_new(struct sup_engine *e, unsigned place, struct sup_key *key, struct sup_tier *t, uint64_t size,
			    bool conditional)
{
	/* a worker has as many as it has puts: one that asks on and on is not to have all of our memory */
	bool many = e->child[place].n_res >= atomic_load(&e->rooms_max) + OM_OPS_MAX;
	struct sup_res *res = many ? NULL : calloc(1, sizeof(*res));

	if (!res)
		return NULL;
	res->id = take_id(e);
	if (!res->id) {
		free(res);
		return NULL;
	}
	res->place = place;
	res->key = key;
	res->tier = t;
	res->size = size;
	sup_room_take(e, t, sup_room_of(size));
	key->n_res++;
	if (conditional)
		key->cond_res = res;
	*sup_res_slot(e, res->id) = res;
	struct sup_child *c = &e->child[place];
	res->cnext = c->res;
	res->cprev = &c->res;
	if (c->res)
		c->res->cprev = &res->cnext;
	c->res = res;
	c->n_res++;
	return res;
}

/* The reservation ends; its key's queue may go on. */
void sup_res_free(struct sup_engine *e, struct sup_res *res)
{
	struct sup_res **p = sup_res_slot(e, res->id);
	struct sup_key *key = res->key;

	OM_ASSERT(*p == res);
	*p = res->hnext;
	*res->cprev = res->cnext;
	if (res->cnext)
		res->cnext->cprev = res->cprev;
	if (res->place < SUP_CHILDREN_MAX)
		e->child[res->place].n_res--;
	sup_room_give(e, res->tier, sup_room_of(res->size));
	sup_owner_release(e, res);
	res->tier->reserved_pins -= res->pins ? res->size : 0;
	key->n_res--;
	if (key->cond_res == res)
		key->cond_res = NULL;
	free(res);
}

void sup_res_give_back(struct sup_engine *e, struct sup_res *res)
{
	struct sup_key *key = res->key;

	sup_reap_add(e, res->tier, res->id, res->size, SUP_RM_UNSETTLED);
	sup_res_free(e, res);
	sup_key_go(e, key);
}

static bool op_names(const struct sup_op *op, const struct sup_tier *t)
{
	if (op->rec.tier == t->no || op->rec.home == t->no)
		return true;
	for (unsigned i = 0; i < op->n_stages; i++)
		if (op->stages[i].tier == t)
			return true;
	return false;
}

bool sup_key_names(const struct sup_engine *e, const struct sup_tier *t)
{
	for (unsigned i = 0; i < SUP_KEY_BUCKETS; i++)
		for (const struct sup_key *key = e->keys[i]; key; key = key->hnext) {
			if (key->running && op_names(key->running, t))
				return true;
			for (const struct sup_op *op = key->wait; op; op = op->next)
				if (op_names(op, t))
					return true;
		}
	for (unsigned i = 0; i < SUP_RES_BUCKETS; i++)
		for (const struct sup_res *r = e->res[i]; r; r = r->hnext)
			if (r->tier == t)
				return true;
	return false;
}

/* The lowest id whose fate is open: a reservation, or a file of an aborted one. Called once per block of ids. */
uint64_t sup_res_oldest(struct sup_engine *e)
{
	uint64_t oldest = e->recovered ? 0 : e->recovery.oldest_unsettled;

	for (unsigned i = 0; i < SUP_RES_BUCKETS; i++)
		for (const struct sup_res *r = e->res[i]; r; r = r->hnext)
			if (!oldest || r->id < oldest)
				oldest = r->id;
	const struct sup_removal *const lists[] = { e->rm, e->rm_flight, e->rm_failed };
	for (unsigned i = 0; i < OM_ARRAY_SIZE(lists); i++)
		for (const struct sup_removal *r = lists[i]; r; r = r->next)
			if (r->kind == SUP_RM_UNSETTLED && (!oldest || r->id < oldest))
				oldest = r->id;
	return oldest;
}
