/*
 * lcy_attr.c: what files say of themselves changes (ATTR, of a SET). A thread of objmapper-lifecycle, started with the first order:
 * a disk that is slow to make it durable holds nothing else up. What has come while the last batch was under way is one batch,
 * made durable with one sync where the filesystem can.
 *
 * Two orders for one file are never under way at once: the supervisor has one change of a key at a time.
 */
#include "common/om_fault.h"
#include "lifecycle/lcy.h"

#define BATCH 64u /* the supervisor has no more under way */

struct lcy_attr_order {
	struct lcy_attr_order *next;
	int status;
	_Alignas(8) unsigned char bytes[]; /* struct om_op_attr and its strings */
};

static struct om_op_attr *order_of(struct lcy_attr_order *o) { return (struct om_op_attr *)o->bytes; }

static bool shape_ok(const struct om_op_attr *m, size_t len)
{
	return len == sizeof(*m) + (size_t)m->uri_len + m->type_len + m->meta_len && om_uri_valid(m + 1, m->uri_len) &&
	       m->type_len <= OM_TYPE_MAX && m->meta_len <= OM_META_MAX;
}

static int replace(struct lcy *l, const struct om_op_attr *m, enum be_when when)
{
	const char *uri = (const char *)(m + 1);
	struct om_rec rec = { .id = m->id, .mtime_ns = m->mtime_ns, .expiry_s = m->expiry_s, .flags = m->flags, .rev = m->rev, .uid = m->uid,
			      .uri_len = m->uri_len, .type_len = m->type_len, .meta_len = m->meta_len, .uri = uri,
			      .type = uri + m->uri_len, .meta = (const unsigned char *)uri + m->uri_len + m->type_len };

	return be_attr_replace(&l->tiers[m->tier].attr, m->id, &rec, when);
}

static void tell(struct lcy *l, const struct om_op_attr *m, int status)
{
	int err = om_fault(OM_FAULT_ATTR_WRITTEN);
	struct om_op_attred done = { .hdr = { .len = sizeof(done), .type = OM_OP_ATTRED, .req = m->hdr.req }, .id = m->id,
				     .status = err ? -om_status_errno(err) : status, .tier = m->tier };
	struct iovec iov = { &done, sizeof(done) };

	if (l->send(l, &iov, 1) < 0)
		om_log(OM_MSG_NOTE, "lifecycle: the end of a SET could not be told: the ring is broken"); /* the loop sees it too */
}

/* Those of one tier: replaced, then made durable together if they are enough for that to be cheaper. */
static void work_tier(struct lcy *l, struct lcy_attr_order *batch, unsigned tier)
{
	struct be *be = &l->tiers[tier].attr;
	unsigned durable = 0;
	int synced = 0;

	for (struct lcy_attr_order *o = batch; o; o = o->next)
		durable += order_of(o)->tier == tier && order_of(o)->durable;
	bool together = durable >= BE_SYNCFS_MIN && be_attr_can_wait(be);
	for (struct lcy_attr_order *o = batch; o; o = o->next)
		if (order_of(o)->tier == tier)
			o->status = replace(l, order_of(o), !order_of(o)->durable ? BE_NEVER : together ? BE_LATER : BE_NOW);
	if (together)
		synced = be_attr_sync(be);
	for (struct lcy_attr_order *o = batch; o && synced < 0; o = o->next)
		if (order_of(o)->tier == tier && order_of(o)->durable && o->status == 0)
			o->status = synced;
}

static void work(struct lcy *l, struct lcy_attr_order *batch)
{
	uint32_t tiers = 0;

	for (struct lcy_attr_order *o = batch; o; o = o->next)
		tiers |= UINT32_C(1) << order_of(o)->tier;
	for (; tiers; tiers &= tiers - 1)
		work_tier(l, batch, (unsigned)__builtin_ctz(tiers));
	while (batch) {
		struct lcy_attr_order *o = batch;
		batch = o->next;
		tell(l, order_of(o), o->status);
		free(o);
	}
}

static void *attr_main(void *arg)
{
	struct lcy *l = arg;
	struct lcy_attrs *a = &l->attrs;

	pthread_mutex_lock(&a->lock);
	while (!a->stop) {
		struct lcy_attr_order *batch = a->first;
		if (!batch) {
			pthread_cond_wait(&a->wake, &a->lock);
			continue;
		}
		a->first = NULL;
		a->last = &a->first;
		a->n = 0;
		pthread_mutex_unlock(&a->lock);
		work(l, batch);
		pthread_mutex_lock(&a->lock);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

static int start(struct lcy *l)
{
	struct lcy_attrs *a = &l->attrs;

	if (a->on)
		return 0;
	a->last = &a->first;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->wake, NULL);
	a->on = pthread_create(&a->thread, NULL, attr_main, l) == 0;
	return a->on ? 0 : -OBJM_STATUS_OUT_OF_MEMORY;
}

static int queue(struct lcy *l, const struct om_op_attr *m, size_t len)
{
	struct lcy_attrs *a = &l->attrs;

	if (!shape_ok(m, len))
		return -OBJM_STATUS_INVALID_REQUEST;
	if (m->tier >= OM_TIERS_MAX || !l->tiers[m->tier].on)
		return -OBJM_STATUS_UNAVAILABLE;
	int err = start(l);
	struct lcy_attr_order *o = err == 0 ? malloc(sizeof(*o) + len) : NULL;
	if (!o)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	o->next = NULL;
	o->status = 0;
	memcpy(o->bytes, m, len);
	pthread_mutex_lock(&a->lock);
	bool room = a->n < BATCH;
	if (room) {
		*a->last = o;
		a->last = &o->next;
		a->n++;
		pthread_cond_signal(&a->wake);
	}
	pthread_mutex_unlock(&a->lock);
	if (!room)
		free(o);
	return room ? 0 : -OBJM_STATUS_LIMIT_EXCEEDED;
}

void lcy_attr(struct lcy *l, const struct om_op_attr *m, size_t len)
{
	int err = queue(l, m, len);

	if (err < 0)
		tell(l, m, err);
}

void lcy_attr_stop(struct lcy *l)
{
	struct lcy_attrs *a = &l->attrs;

	if (!a->on)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
	(void)pthread_join(a->thread, NULL);
	while (a->first) {
		struct lcy_attr_order *o = a->first;
		a->first = o->next;
		free(o);
	}
	a->on = a->stop = false;
}
