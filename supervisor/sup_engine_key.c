/*
 * sup_engine_key.c: the tables of keys for which something is under way, and of reservations. Publisher's thread. How changes of a key go
 * on is sup_engine_op.c's, how reservations begin and end sup_engine_res.c's.
 */
#include "supervisor/sup_engine_int.h"

/* ---- keys ---- */

static struct sup_key **key_slot(struct sup_engine *e, const struct idx_key *k)
{
	struct sup_key **p = &e->keys[k->lo % SUP_KEY_BUCKETS];

	while (*p && !idx_key_equal(&(*p)->ikey, k))
		p = &(*p)->hnext;
	return p;
}

struct sup_key *sup_key_find(struct sup_engine *e, const struct idx_key *k, bool make)
{
	struct sup_key **p = key_slot(e, k);

	if (*p || !make)
		return *p;
	struct sup_key *key = calloc(1, sizeof(*key));
	if (!key)
		return NULL;
	key->ikey = *k;
	key->wait_end = &key->wait;
	*p = key;
	return key;
}

bool sup_key_busy(const struct sup_key *key) { return key->running || key->wait || key->n_res; }

/* Forget a key for which nothing is under way. */
void sup_key_drop(struct sup_engine *e, struct sup_key *key)
{
	if (sup_key_busy(key))
		return;
	struct sup_key **p = key_slot(e, &key->ikey);
	OM_ASSERT(*p == key);
	*p = key->hnext;
	free(key);
}

/* ---- reservations ---- */

struct sup_res **sup_res_slot(struct sup_engine *e, uint64_t id)
{
	struct sup_res **p = &e->res[id % SUP_RES_BUCKETS];

	while (*p && (*p)->id != id)
		p = &(*p)->hnext;
	return p;
}

struct sup_res *sup_res_find(struct sup_engine *e, uint64_t id) { return *sup_res_slot(e, id); }
