/*
 * wrk_hot.c: see wrk_hot.h (process objmapper-worker, loop thread). Called by wrk_decode.c.
 *
 * ORDER  generation of the bucket (acquire), then the index: as in wrk_get.c, so that what a client keeps under a generation is
 *        never older than it says.
 */
#include "worker/wrk_hot.h"

#include "common/om_counter.h"
#include "worker/wrk_access.h"
#include "worker/wrk_conn_int.h"
#include "worker/wrk_fdcache.h"
#include "worker/wrk_open.h"

/*
 * Looked up together: GETs of one, as many as are decoded at once; of a GET of several a part, enough for their cache misses to
 * overlap, few enough for what is written here to stay in the first cache.
 */
#define WRK_HOT_MAX WRK_DECODE_BATCH
#define WRK_HOT_PART 32u
static_assert(WRK_HOT_PART <= WRK_HOT_MAX, "a part is looked up as a batch is");

/* A part of a batch. The loop's thread alone comes here, and nothing here is entered twice. */
static struct {
	struct idx_key key[WRK_HOT_MAX];
	uint64_t gen[WRK_HOT_MAX];
	struct idx_ent ent[WRK_HOT_MAX];
	uint32_t slot[WRK_HOT_MAX];
	struct wrk_fdkey fdkey[WRK_HOT_MAX];
	struct wrk_fde *fde[WRK_HOT_MAX]; /* found: a reference */
	unsigned item[WRK_HOT_MAX];
	struct wrk_out_fd fd[WRK_HOT_MAX];
	uint8_t done[OM_PROTO_URIS_MAX]; /* of a GET of several: answered */
} wrk_hot;

/* May this peer's GETs be answered here now? Answers that must keep their order wait for those before them. */
static bool wrk_hot_open(const struct wrk_conn *c)
{
	return c->promise && wrk_conn_is_unix(c) && wrk_fdcache_shareable(c->uid) && (!wrk_conn_in_order(c) || !c->reqs);
}

static bool wrk_hot_may(const struct wrk_conn *c, const struct om_proto_str *uri)
{
	return wrk_access_may(c->access, OM_RIGHT_READ, uri->p, uri->len);
}

static bool wrk_hot_expired(const struct idx_ent *e, uint64_t *now_s)
{
	struct timespec now;

	if (OM_LIKELY(!e->expiry_s))
		return false;
	if (!*now_s) {
		(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
		*now_s = (uint64_t)now.tv_sec;
	}
	return e->expiry_s <= *now_s;
}

/* wrk_hot.key[0..n) -> gen, ent, slot, fde. The keys' lines are on their way. */
static void wrk_hot_look(const struct wrk_conn *c, unsigned n)
{
	const struct wrk *w = c->w;
	uint64_t now_s = 0;

	for (unsigned i = 0; i < n; i++)
		wrk_hot.gen[i] = idx_gen_load(w->gens, idx_key_bucket(&wrk_hot.key[i]));
	idxr_get_many(&w->idx, wrk_hot.key, n, wrk_hot.ent, wrk_hot.slot);
	for (unsigned i = 0; i < n; i++) {
		const struct idx_ent *e = &wrk_hot.ent[i];
		bool found = wrk_hot.slot[i] != IDXR_NO_SLOT && !wrk_hot_expired(e, &now_s);

		wrk_hot.fdkey[i] = found ? (struct wrk_fdkey){ .id = e->id, .uid = c->uid, .tier = e->tier } : (struct wrk_fdkey){ 0 };
	}
	wrk_fdcache_get_many(w->fdcache, wrk_hot.fdkey, n, wrk_hot.fde);
}

/* A new descriptor of what was found. @return false: that takes more than a moment, or more than one try */
static __attribute__((noinline)) bool wrk_hot_fd_new(const struct wrk_conn *c, const struct idx_ent *e, struct wrk_out_fd *ret)
{
	const struct wrk_fdkey key = { .id = e->id, .uid = c->uid, .tier = e->tier };
	struct wrk_fde *fde = NULL;
	int fd;

	if (wrk_open_now(c->w, e->tier, e->id, &fd) < 0)
		return false;
	om_count(OM_C_FD_CACHE_MISS, 1);
	if (wrk_fdcache_wants(c->w->fdcache, &key))
		fde = wrk_fdcache_add(c->w->fdcache, &key, fd, wrk_fdcache_large(e->size));
	if (fde)
		*ret = (struct wrk_out_fd){ .fd = wrk_fdcache_fd(fde), .ref = fde };
	else
		*ret = (struct wrk_out_fd){ .fd = fd, .own = true, .large = wrk_fdcache_large(e->size) };
	return true;
}

/* `fde`, or a new one. */
static inline bool wrk_hot_fd(const struct wrk_conn *c, struct wrk_fde *fde, const struct idx_ent *e, struct wrk_out_fd *ret)
{
	if (OM_UNLIKELY(!fde))
		return wrk_hot_fd_new(c, e, ret);
	*ret = (struct wrk_out_fd){ .fd = wrk_fdcache_fd(fde), .ref = fde };
	return true;
}

static void wrk_hot_count(struct wrk *w, const uint32_t *slots, unsigned n)
{
	om_count_own(OM_C_GET_HIT, n);
	if (w->reqlog_every)
		w->reqlog_left -= n; /* not to 0: wrk_hot_unlogged() */
	idx_alogw_add_many(&w->alog, w->idx.segment, slots, n);
}

static size_t wrk_hot_encode(uint8_t *p, uint32_t id, uint16_t flags, int index, const struct idx_ent *e, uint32_t bucket,
			     uint64_t gen)
{
	const struct om_proto_obj obj = { .id = e->id, .size = e->size, .mtime_ns = e->mtime_ns, .expiry_s = e->expiry_s,
					  .gen = gen, .rev = e->rev, .flags = e->flags, .bucket = bucket, .tier = e->tier,
					  .home = e->home };

	return om_proto_get_answer(id, flags, index, &obj, p);
}

/* Queue wrk_hot.fd[0..n) with the frames that lie in the room. @return false: out of memory, the connection was closed */
static bool wrk_hot_queue(struct wrk_conn *c, size_t len, unsigned n)
{
	if (wrk_out_frames(&c->out, len, wrk_hot.fd, n, wrk_conn_max_fds(c)) == 0)
		return true;
	for (unsigned i = 0; i < n; i++)
		wrk_out_fd_drop(c->w->fdcache, &wrk_hot.fd[i]);
	om_log(OM_MSG_PEER_LIMIT, "out of memory for an answer to uid %d: the connection is closed", (int)c->uid);
	wrk_conn_close(c);
	return false;
}

/* ---------------------------------------------------------------- GETs of one */

void wrk_hot_find(struct wrk_conn *c, struct wrk_req_item *items, unsigned n)
{
	unsigned k = 0;

	if (!wrk_hot_open(c))
		return;
	for (unsigned i = 0; i < n; i++) {
		if (items[i].plain != 1 || !wrk_hot_may(c, &items[i].uri))
			continue;
		wrk_hot.key[k] = items[i].key;
		wrk_hot.item[k++] = i;
	}
	wrk_hot_look(c, k);
	for (unsigned i = 0; i < k; i++) {
		struct wrk_req_item *it = &items[wrk_hot.item[i]];

		it->found = wrk_hot.fdkey[i].id != 0;
		it->fde = wrk_hot.fde[i];
		it->gen = wrk_hot.gen[i];
		it->ent = wrk_hot.ent[i];
		it->slot = wrk_hot.slot[i];
	}
}

void wrk_hot_drop(struct wrk_conn *c, struct wrk_req_item *items, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (items[i].fde)
			wrk_fdcache_put(c->w->fdcache, items[i].fde);
		items[i].fde = NULL;
	}
}

/* How many of `n` may be answered before one is to be logged: that goes the long way, which logs. */
static unsigned wrk_hot_unlogged(const struct wrk *w, unsigned n)
{
	return w->reqlog_every ? (unsigned)OM_MIN((uint64_t)n, (uint64_t)w->reqlog_left - 1) : n;
}

/* As many of the first `n` as are found and opened. */
static unsigned wrk_hot_singles(struct wrk_conn *c, struct wrk_req_item *items, unsigned n)
{
	uint8_t *p = n ? wrk_out_room(&c->out, (size_t)n * OM_PROTO_GET_ANSWER) : NULL;
	unsigned k = 0;

	if (!p)
		return 0; /* the long way says it */
	for (; k < n && items[k].found && wrk_hot_fd(c, items[k].fde, &items[k].ent, &wrk_hot.fd[k]); k++) {
		struct wrk_req_item *it = &items[k];

		it->fde = NULL;
		om_count_tier(it->ent.tier, 1);
		(void)wrk_hot_encode(p + k * OM_PROTO_GET_ANSWER, it->in.u.ext.id, 0, -1, &it->ent, idx_key_bucket(&it->key), it->gen);
		wrk_hot.slot[k] = it->slot;
	}
	if (!k)
		return 0;
	om_count_own(OM_C_REQUESTS, k);
	c->w->turn_ended[OM_H_GET] += k;
	wrk_hot_count(c->w, wrk_hot.slot, k);
	(void)wrk_hot_queue(c, OM_PROTO_GET_ANSWER, k);
	return k;
}

/* ---------------------------------------------------------------- a GET of several */

static void wrk_hot_keys(const struct wrk *w, const struct om_proto_str *uris, unsigned n)
{
	idx_key_make_many(w->boot.key_secret, uris, n, wrk_hot.key);
	for (unsigned i = 0; i < n; i++) {
		idxr_prefetch(&w->idx, &wrk_hot.key[i]);
		idx_gen_prefetch(w->gens, idx_key_bucket(&wrk_hot.key[i]));
	}
}

/*
 * Queue the answers of those of `n` URIs that are hot; done says which. *left: URIs of the whole request without an answer.
 * @return false: the connection was closed
 */
static bool wrk_hot_part(struct wrk_conn *c, uint32_t id, const struct om_proto_str *uris, unsigned first, unsigned n, unsigned *left)
{
	uint8_t *p = wrk_out_room(&c->out, (size_t)n * OM_PROTO_GET_ANSWER_MAX);
	unsigned k = 0, counted = 0;
	uint8_t tier = 0;

	if (!p) { /* the long way says it */
		memset(wrk_hot.done + first, 0, n);
		return true;
	}
	wrk_hot_keys(c->w, uris + first, n);
	wrk_hot_look(c, n);
	for (unsigned i = 0; i < n; i++) {
		const struct idx_ent *e = &wrk_hot.ent[i];
		bool hot = wrk_hot.fdkey[i].id && wrk_hot_fd(c, wrk_hot.fde[i], e, &wrk_hot.fd[k]);

		wrk_hot.done[first + i] = hot;
		if (!hot)
			continue;
		if (e->tier != tier) { /* it rarely is another one */
			om_count_tier(tier, k - counted);
			tier = e->tier;
			counted = k;
		}
		p += wrk_hot_encode(p, id, --*left ? OM_PROTO_F_MORE : 0, (int)(first + i), e, idx_key_bucket(&wrk_hot.key[i]),
				    wrk_hot.gen[i]);
		wrk_hot.slot[k++] = wrk_hot.slot[i];
	}
	om_count_tier(tier, k - counted);
	wrk_hot_count(c->w, wrk_hot.slot, k);
	return k == 0 || wrk_hot_queue(c, OM_PROTO_GET_ANSWER_MAX, k);
}

static unsigned wrk_hot_uris(const struct wrk_conn *c, const struct om_proto_ext *ext, struct om_proto_str *uris)
{
	unsigned n = om_proto_get_uris(ext, uris, OM_PROTO_URIS_MAX);

	for (unsigned i = 0; i < n; i++)
		if (!wrk_hot_may(c, &uris[i]))
			return 0;
	return n;
}

/* Answer those found; the others are left to a group. @return true: none is left */
static bool wrk_hot_group(struct wrk_conn *c, struct wrk_req_item *it)
{
	static struct om_proto_str uris[OM_PROTO_URIS_MAX];
	unsigned n = wrk_hot_uris(c, &it->in.u.ext, uris), left = n;

	if (!n || wrk_hot_unlogged(c->w, n) < n)
		return false; /* the long way says it */
	for (unsigned first = 0, k; first < n; first += k) {
		k = OM_MIN(n - first, WRK_HOT_PART);
		if (first && wrk_hint_apart(&c->hint)) /* the peer takes these while we look for the next */
			(void)wrk_conn_flush(c);
		if (c->state == WRK_CONN_DEAD || !wrk_hot_part(c, it->in.u.ext.id, uris, first, k, &left))
			return true;
	}
	if (left == n)
		return false;
	it->done = wrk_hot.done;
	if (left)
		return false;
	om_count_own(OM_C_REQUESTS, 1);
	c->w->turn_ended[OM_H_GET]++;
	return true;
}

/* ---------------------------------------------------------------- both */

unsigned wrk_hot_answer(struct wrk_conn *c, struct wrk_req_item *items, unsigned n)
{
	if (!wrk_hot_open(c))
		return 0;
	if (items[0].plain > 1)
		return wrk_hot_group(c, &items[0]) ? 1 : 0;
	return items[0].found ? wrk_hot_singles(c, items, wrk_hot_unlogged(c->w, OM_MIN(n, wrk_conn_room(c)))) : 0;
}
