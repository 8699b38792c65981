/*
 * sup_owner_table.c: see sup_owner_table.h. Any thread that holds the table's lock.
 */
#include "supervisor/sup_owner_table.h"

#include <unistd.h>

int sup_owners_new(struct sup_owners **ret)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	pthread_mutex_init(&(*ret)->lock, NULL);
	return 0;
}

void sup_owners_free(struct sup_owners *o)
{
	for (unsigned i = 0; o && i < SUP_OWNER_BUCKETS; i++) {
		while (o->rows[i]) {
			struct sup_owner_row *r = o->rows[i];
			o->rows[i] = r->next;
			free(r);
		}
		while (o->parts[i]) {
			struct sup_owner_part *p = o->parts[i];
			o->parts[i] = p->next;
			free(p);
		}
	}
	if (o)
		free(o->some);
	free(o);
}

/* ---- limits ---- */

static int limit_cmp(const void *a, const void *b)
{
	const struct sup_owner_limit *x = a, *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

/* Of several rules for a user the most generous one counts, as with rights; 0: the rule says nothing. */
static size_t limits_of_rules(const struct om_conf_access *a, struct sup_owner_limit *to)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n_rules; i++) {
		const struct om_conf_rule *r = &a->rules[i];
		size_t k = 0;
		if (r->user.kind == OM_CONF_ID_NONE || r->user.kind == OM_CONF_ID_ANY)
			continue;
		if (!r->max_bytes && !r->max_objects)
			continue;
		while (k < n && to[k].uid != r->user.id)
			k++;
		if (k == n)
			to[n++] = (struct sup_owner_limit){ .uid = r->user.id };
		to[k].bytes = OM_MAX(to[k].bytes, r->max_bytes);
		to[k].objects = OM_MAX(to[k].objects, (uint64_t)r->max_objects);
	}
	qsort(to, n, sizeof(*to), limit_cmp);
	return n;
}

void sup_owners_limits(struct sup_owners *o, const struct om_conf *conf)
{
	struct sup_owner_limit *some = calloc(conf->access.n_rules + 1, sizeof(*some));
	size_t n = some ? limits_of_rules(&conf->access, some) : 0;

	if (!OM_CHECK(some != NULL))
		return; /* those in force stay */
	pthread_mutex_lock(&o->lock);
	free(o->some);
	o->some = some;
	o->n_some = n;
	o->all = (struct sup_owner_limit){ .bytes = conf->limits.bytes_per_uid, .objects = conf->limits.objects_per_uid };
	pthread_mutex_unlock(&o->lock);
}

/* Who has a rule has its numbers; what it leaves open, and everybody else, is held by limits.*_per_uid, but for root and the daemon's own
 * user. What is from before owners were kept is nobody's. */
struct sup_owner_limit sup_owners_limit(const struct sup_owners *o, uint32_t uid)
{
	struct sup_owner_limit key = { .uid = uid }, ret = { .uid = uid };
	const struct sup_owner_limit *own = o->n_some ? bsearch(&key, o->some, o->n_some, sizeof(key), limit_cmp) : NULL;

	if (uid == OM_UID_OLD)
		return ret;
	if (uid != 0 && uid != (uint32_t)geteuid()) {
		ret.bytes = o->all.bytes;
		ret.objects = o->all.objects;
	}
	if (own && own->bytes)
		ret.bytes = own->bytes;
	if (own && own->objects)
		ret.objects = own->objects;
	return ret;
}

/* ---- the table ---- */

struct sup_owner_row **sup_owners_row(struct sup_owners *o, uint32_t uid)
{
	struct sup_owner_row **p = &o->rows[uid * 2654435761u % SUP_OWNER_BUCKETS];

	while (*p && (*p)->uid != uid)
		p = &(*p)->next;
	return p;
}

static struct sup_owner_part **part_at(struct sup_owners *o, uint32_t uid, unsigned ix)
{
	struct sup_owner_part **p = &o->parts[(uid * 2654435761u ^ ix * 40503u) % SUP_OWNER_BUCKETS];

	while (*p && ((*p)->uid != uid || (*p)->ix != ix))
		p = &(*p)->next;
	return p;
}

struct sup_owner_row *sup_owners_row_get(struct sup_owners *o, uint32_t uid)
{
	struct sup_owner_row **p = sup_owners_row(o, uid), *r = *p;

	if (r)
		return r;
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->uid = uid;
	*p = r;
	o->n_rows++;
	return r;
}

void sup_owners_row_put(struct sup_owners *o, uint32_t uid)
{
	struct sup_owner_row **p = sup_owners_row(o, uid), *r = *p;

	if (!r || r->objects || r->bytes || r->held_objects || r->held_bytes || r->credit_objects || r->credit_bytes ||
	    r->twice_objects || r->twice_bytes || r->room_bytes)
		return;
	*p = r->next;
	free(r);
	o->n_rows--;
}

void sup_owners_add(struct sup_owners *o, unsigned ix, const struct idx_cat_owner *by)
{
	struct sup_owner_part **p = part_at(o, by->uid, ix);
	struct sup_owner_row *r = sup_owners_row_get(o, by->uid);

	if (!*p && (*p = calloc(1, sizeof(**p))))
		**p = (struct sup_owner_part){ .uid = by->uid, .ix = ix };
	if (!OM_CHECK(r && *p))
		return; /* counted too little until the next start */
	(*p)->objects += by->objects;
	(*p)->bytes += by->bytes;
	r->objects += by->objects;
	r->bytes += by->bytes;
}

void sup_owners_sub(struct sup_owners *o, unsigned ix, const struct idx_cat_owner *by)
{
	struct sup_owner_part **p = part_at(o, by->uid, ix), *part = *p;
	struct sup_owner_row *r = *sup_owners_row(o, by->uid);

	if (!OM_CHECK(r && part && part->objects >= by->objects && part->bytes >= by->bytes))
		return;
	part->objects -= by->objects;
	part->bytes -= by->bytes;
	r->objects -= by->objects;
	r->bytes -= by->bytes;
	if (!part->objects && !part->bytes) {
		*p = part->next;
		free(part);
	}
	sup_owners_row_put(o, by->uid);
}

void sup_owners_clear(struct sup_owners *o, unsigned ix)
{
	for (unsigned i = 0; i < SUP_OWNER_BUCKETS; i++)
		for (struct sup_owner_part **p = &o->parts[i], *part; (part = *p);) {
			if (part->ix != ix) {
				p = &part->next;
				continue;
			}
			struct sup_owner_row *r = *sup_owners_row(o, part->uid);
			uint32_t uid = part->uid;
			if (r) {
				sup_owners_less(&r->objects, part->objects);
				sup_owners_less(&r->bytes, part->bytes);
			}
			*p = part->next;
			free(part);
			sup_owners_row_put(o, uid);
		}
}
