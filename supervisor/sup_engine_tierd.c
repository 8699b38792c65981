/*
 * sup_engine_tierd.c: a thread for what blocks when tiers come and go: looking whether they are there, opening, reading a
 * catalog into the index again, closing. It decides nothing about objects: what it finds goes to the publisher as mail.
 *
 *   phase     who moves it on
 *   ABSENT    here: it looks now and then, and when it is told to; -> COMING
 *   COMING    the publisher, once all records are in the index: -> PRESENT
 *   PRESENT   here: root, marker or objects/ are not what they were: -> LEAVING
 *   LEAVING   the publisher stops lending it work; here: its committer ends, its catalog and directories are closed: -> ABSENT
 */
#include <sys/stat.h>

#include "index/cat/idx_tier_mark.h"
#include "supervisor/sup_engine_int.h"

#define LOOK_MS 2000u
#define BACK_CHUNK 1024u
#define BACK_AHEAD 8192u /* ops of a tier that comes back under way at once */

struct order {
	struct order *next;
	enum sup_order kind;
	struct sup_tier *tier;
	uint64_t cookie; /* of a question; 0: nobody waits */
	bool lost;
};

/* What a path looked like when the last try to open it failed: nothing is tried again before it looks otherwise. */
struct sight {
	bool known;
	int error;
	dev_t dev;
	ino_t ino, mark;
};

struct sup_tierd {
	struct sup_engine *e;
	pthread_t thread;
	bool on, stop;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct order *orders, **orders_end;
	struct sight failed[OM_TIERS_MAX];
};

static void mail(struct sup_engine *e, enum sup_mail_kind kind, struct sup_tier *t, struct sup_coming *coming)
{
	struct sup_mail *m = calloc(1, sizeof(*m));

	OM_ASSERT(m); /* 48 bytes; without them the tier would hang between two phases */
	m->kind = kind;
	m->tier = t;
	m->coming = coming;
	sup_mail_post(e, m);
}

static void answer(struct sup_engine *e, uint64_t cookie, int status, const char *text)
{
	if (cookie)
		sup_ask_text(e, cookie, status, text);
}

static bool stopping(struct sup_tierd *d)
{
	pthread_mutex_lock(&d->lock);
	bool stop = d->stop;
	pthread_mutex_unlock(&d->lock);
	return stop;
}

/* ---- looking ---- */

static struct sight look_at(const struct sup_tier *t)
{
	struct sight s = { .known = true };
	char path[4200];
	struct stat st;

	if (stat(t->conf->path, &st) < 0) {
		s.error = errno;
		return s;
	}
	s.dev = st.st_dev;
	s.ino = st.st_ino;
	(void)snprintf(path, sizeof(path), "%s/%s", t->conf->path, IDX_TIER_MARK_NAME);
	s.mark = lstat(path, &st) == 0 ? st.st_ino : 0;
	return s;
}

static bool same_sight(const struct sight *a, const struct sight *b)
{
	return a->known == b->known && a->error == b->error && a->dev == b->dev && a->ino == b->ino && a->mark == b->mark;
}

/* Why a tier that is open is not there any more; NULL: it is. */
static const char *gone(const struct sup_tier *t, char *buf, size_t cap)
{
	struct stat path, root, dir, named;

	if (stat(t->conf->path, &path) < 0) {
		if (errno == EACCES || errno == ENOMEM || errno == EINTR)
			return NULL; /* says nothing about the tier */
		(void)snprintf(buf, cap, "its directory: %s", strerror(errno));
		return buf;
	}
	if (fstat(t->rootfd, &root) < 0 || path.st_dev != root.st_dev || path.st_ino != root.st_ino)
		return "another directory is at its path: it was unmounted or moved";
	if (fstatat(t->rootfd, IDX_TIER_MARK_NAME, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return "its marker is gone";
	if (fstat(t->objectsfd, &dir) < 0 || fstatat(t->rootfd, "objects", &named, AT_SYMLINK_NOFOLLOW) < 0 ||
	    dir.st_dev != named.st_dev || dir.st_ino != named.st_ino)
		return "its directory objects/ is gone";
	return NULL;
}

static void leave(struct sup_engine *e, struct sup_tier *t, const char *why)
{
	atomic_store(&t->phase, SUP_PHASE_LEAVING);
	om_log(OM_MSG_TIER_ABSENT, "tier %s (%s): %s: it is absent from now on; it comes back by itself when it is there again",
	       t->conf->name, t->conf->path, why);
	mail(e, SUP_MAIL_AWAY, t, NULL);
}

/* ---- coming ---- */

static int any_rec(void *arg, const struct om_rec *rec)
{
	(void)arg, (void)rec;
	return 0; /* the scan itself keeps the highest id */
}

/* A tier that the state did not know: no id of a record or file on it may ever be given out. */
static int raise_ids(struct sup_engine *e, struct sup_coming *c)
{
	struct idx_cat_scan_res res = { 0 };
	struct idx_cat_snap *snap;

	if (idx_cat_snap_open(c->fresh.cat, &snap) == 0) {
		(void)idx_cat_scan(snap, any_rec, NULL, &res);
		idx_cat_snap_close(snap);
	}
	c->id_floor = OM_MAX(sup_tier_dirs_end(c->fresh.rootfd), res.max_id + 1);
	return idx_state_ids_raise(e->state, c->id_floor);
}

static int add_tomb(void *arg, uint8_t tier, const uint8_t key[static IDX_STATE_KEY_BYTES], uint64_t id)
{
	struct sup_coming *c = arg;
	struct sup_tomb *v = c->n_tombs % 256 ? c->tombs : realloc(c->tombs, (c->n_tombs + 256) * sizeof(*v));

	if (!v)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	c->tombs = v;
	v += c->n_tombs++;
	*v = (struct sup_tomb){ .id = id, .tier = tier };
	memcpy(&v->key.lo, key, 8);
	memcpy(&v->key.hi, key + 8, 8);
	return 0;
}

static int add_pending(struct sup_coming *c, uint64_t id)
{
	uint64_t *v = c->n_pending % 256 ? c->pending : realloc(c->pending, (c->n_pending + 256) * sizeof(*v));

	if (!v)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	c->pending = v;
	v[c->n_pending++] = id;
	return 0;
}

static int state_pending(void *arg, uint8_t tier, uint64_t id)
{
	(void)tier;
	return add_pending(arg, id);
}

static int cat_pending(void *arg, uint64_t id) { return add_pending(arg, id); }

static int id_cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* What was removed while it was away, and files that were still to be removed when it left. */
static int read_past(struct sup_engine *e, struct sup_tier *t, struct sup_coming *c)
{
	struct idx_state_txn *txn;
	struct idx_cat_snap *snap;
	int err = idx_state_txn_begin(e->state, true, &txn);

	if (err < 0)
		return err;
	err = idx_state_tomb_iter(txn, t->no, add_tomb, c);
	if (err == 0)
		err = idx_state_pending_iter(txn, t->no, 0, state_pending, c);
	idx_state_txn_abort(txn);
	if (err == 0 && t->is_volatile && (err = idx_cat_snap_open(t->cat, &snap)) == 0) {
		err = idx_cat_removed_iter(snap, cat_pending, c);
		idx_cat_snap_close(snap);
	}
	if (c->n_tombs)
		qsort(c->tombs, c->n_tombs, sizeof(*c->tombs), sup_tomb_cmp);
	if (c->n_pending)
		qsort(c->pending, c->n_pending, sizeof(*c->pending), id_cmp);
	c->stands = calloc(c->n_pending + 1, sizeof(*c->stands));
	return err == 0 && !c->stands ? -OBJM_STATUS_OUT_OF_MEMORY : err;
}

void sup_coming_free(struct sup_coming *c)
{
	free(c->tombs);
	free(c->pending);
	free(c->stands);
	sup_owned_fini(&c->fresh.owned);
	free(c);
}

/* ---- its records into the index ---- */

struct reading {
	struct sup_tierd *d;
	struct sup_tier *t;
	struct sup_coming *c; /* NULL: only files are looked for */
	struct sup_op *ops;
	unsigned n;
	uint32_t hits;
};

static void send_ops(struct reading *r, bool last)
{
	struct sup_mail *m = calloc(1, sizeof(*m));

	OM_ASSERT(m);
	atomic_fetch_add(&r->t->back_flight, r->n);
	m->kind = SUP_MAIL_BACK;
	m->tier = r->t;
	m->ops = r->ops;
	m->seq = last;
	r->ops = NULL;
	r->n = 0;
	sup_mail_post(r->d->e, m);
	while (atomic_load(&r->t->back_flight) > BACK_AHEAD && !stopping(r->d))
		(void)usleep(1000);
}

static int add_op(struct reading *r, enum sup_op_kind kind, const struct om_rec *rec, bool dead)
{
	struct sup_op *op = sup_op_new(kind, rec);

	if (!op)
		return -OBJM_STATUS_OUT_OF_MEMORY;
	idx_key_make(sup_engine_secret(r->d->e), rec->uri, rec->uri_len, &op->ikey);
	op->dead = dead;
	op->of_back = true;
	op->next = r->ops;
	r->ops = op;
	if (++r->n == BACK_CHUNK)
		send_ops(r, false);
	return stopping(r->d) ? -OBJM_STATUS_GONE : 0;
}

static int back_rec(void *arg, const struct om_rec *rec)
{
	struct reading *r = arg;
	struct sup_tomb probe = { .tier = rec->tier };

	const uint64_t *pending = r->c->n_pending ? bsearch(&rec->id, r->c->pending, r->c->n_pending, sizeof(rec->id), id_cmp) : NULL;
	if (pending)
		r->c->stands[pending - r->c->pending] = true;
	if (r->c->n_tombs) {
		idx_key_make(sup_engine_secret(r->d->e), rec->uri, rec->uri_len, &probe.key);
		const struct sup_tomb *tomb = bsearch(&probe, r->c->tombs, r->c->n_tombs, sizeof(probe), sup_tomb_cmp);
		if (tomb && tomb->id >= rec->id) {
			atomic_fetch_or(&r->d->e->tombs_hit, 1u << r->t->ix);
			return add_op(r, SUP_OP_STALE, rec, true);
		}
	}
	return add_op(r, SUP_OP_BACK, rec, false);
}

static int missing_rec(void *arg, const struct om_rec *rec)
{
	struct reading *r = arg;
	char path[OM_OBJ_PATH_MAX];
	struct stat st;

	om_obj_path(rec->id, path);
	if (fstatat(r->t->objectsfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
		return stopping(r->d) ? -OBJM_STATUS_GONE : 0;
	return add_op(r, SUP_OP_GONE, rec, false);
}

static int read_all(struct sup_tierd *d, struct sup_tier *t, struct sup_coming *c)
{
	struct reading r = { .d = d, .t = t, .c = c };
	struct idx_cat_scan_res res = { 0 };
	struct idx_cat_snap *snap;
	int err = idx_cat_snap_open(t->cat, &snap);

	if (err == 0) {
		err = idx_cat_scan(snap, c ? back_rec : missing_rec, &r, &res);
		idx_cat_snap_close(snap);
	}
	if (err < 0 && err != -OBJM_STATUS_GONE)
		om_log(OM_MSG_CATALOG, "tier %s: its catalog cannot be read to the end: %s", t->conf->name, idx_cat_message());
	send_ops(&r, true);
	if (err == 0 && res.damaged)
		mail(d->e, SUP_MAIL_REBUILD, t, NULL);
	return err;
}

/* ---- orders ---- */

static struct sup_coming *coming_new(struct sup_engine *e, struct sup_tier *t, bool adopt)
{
	struct sup_coming *c = calloc(1, sizeof(*c));
	struct sup_tier *n = c ? &c->fresh : NULL;

	if (!c)
		return NULL;
	n->e = e;
	n->ix = t->ix;
	n->conf = t->conf; /* name, paths and type never change */
	atomic_store(&n->flags, atomic_load(&t->flags));
	n->rootfd = n->objectsfd = n->stagingfd = -1;
	n->adopt = adopt;
	return c;
}

static int open_tier(struct sup_tierd *d, struct sup_tier *t, bool adopt, char *ret_why, size_t cap)
{
	struct sup_engine *e = d->e;
	struct sup_coming *c = coming_new(e, t, adopt);
	int err = c ? 0 : -OBJM_STATUS_OUT_OF_MEMORY;

	if (err == 0) {
		e->raise_ids = false;
		sup_tier_open(e, &c->fresh);
		if (!c->fresh.cat) {
			(void)snprintf(ret_why, cap, "%s", c->fresh.why);
			err = -OBJM_STATUS_UNAVAILABLE;
		}
	}
	if (err == 0 && e->raise_ids)
		err = raise_ids(e, c);
	if (err < 0) {
		if (c) {
			c->fresh.conf = NULL;
			sup_tier_close(&c->fresh);
			sup_coming_free(c);
		}
		atomic_store(&t->phase, SUP_PHASE_ABSENT);
		return err;
	}
	atomic_store(&t->attached, false);
	mail(e, SUP_MAIL_COMING, t, c);
	while (!atomic_load(&t->attached) && !stopping(d))
		(void)usleep(1000);
	if (!atomic_load(&t->attached))
		return -OBJM_STATUS_UNAVAILABLE; /* the daemon ends; `c` goes with the process */
	err = read_past(e, t, c);
	if (err == 0)
		err = read_all(d, t, c);
	if (err < 0) { /* what was removed from it meanwhile is not known: it cannot be used */
		(void)snprintf(ret_why, cap, "its past cannot be read: %s", idx_cat_message());
		leave(e, t, ret_why);
		sup_coming_free(c);
		return err;
	}
	mail(e, SUP_MAIL_COME, t, c); /* the publisher frees what it came with */
	return 0;
}

static void try_open(struct sup_tierd *d, struct sup_tier *t, bool adopt, uint64_t cookie)
{
	int absent = SUP_PHASE_ABSENT;
	char why[256] = "";

	if (!atomic_compare_exchange_strong(&t->phase, &absent, SUP_PHASE_COMING)) {
		answer(d->e, cookie, absent == SUP_PHASE_PRESENT ? -OBJM_STATUS_PRECONDITION_FAILED : -OBJM_STATUS_TRY_AGAIN,
		       absent == SUP_PHASE_PRESENT ? "it is there already" : "it is just coming or going");
		return;
	}
	while (!atomic_load(&d->e->filled) && !stopping(d))
		(void)usleep(10000); /* the index is being built from what was there at the start */
	struct sight s = look_at(t);
	int err = open_tier(d, t, adopt, why, sizeof(why));
	d->failed[t->ix] = err < 0 ? s : (struct sight){ .known = false };
	answer(d->e, cookie, err, why);
}

static void close_tier(struct sup_tierd *d, struct sup_tier *t)
{
	struct sup_engine *e = d->e;

	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->wake);
	pthread_mutex_unlock(&t->lock);
	if (t->thread_on)
		(void)pthread_join(t->thread, NULL);
	t->thread_on = t->stop = false;
	(void)pthread_rwlock_wrlock(&e->cats); /* until everybody who reads it has ended */
	struct idx_cat *cat = t->cat;
	t->cat = NULL;
	(void)pthread_rwlock_unlock(&e->cats);
	be_fini(&t->be);
	memset(&t->be, 0, sizeof(t->be));
	idx_cat_close(cat);
	pthread_mutex_lock(&e->dirs_lock);
	om_close(&t->rootfd);
	om_close(&t->objectsfd);
	om_close(&t->stagingfd);
	pthread_mutex_unlock(&e->dirs_lock);
	d->failed[t->ix] = (struct sight){ .known = false };
	atomic_store(&t->phase, SUP_PHASE_ABSENT);
}

static void forget(struct sup_tierd *d, struct sup_tier *t, bool lost, uint64_t cookie)
{
	uint64_t left = atomic_load(&t->stat_used);

	if (atomic_load(&t->phase) != SUP_PHASE_ABSENT) {
		answer(d->e, cookie, -OBJM_STATUS_PRECONDITION_FAILED, "it is there: drain it, take it out of the configuration and unmount "
		       "it (or move its directory away) first");
		return;
	}
	if (t->no == OM_TIER_NONE) {
		answer(d->e, cookie, -OBJM_STATUS_NOT_FOUND, "it never was here");
		return;
	}
	if (!lost && (t->hides || left)) {
		answer(d->e, cookie, -OBJM_STATUS_PRECONDITION_FAILED, "it may still hold objects: --lost says that they are lost");
		return;
	}
	int err = idx_state_tier_forget(d->e->state, t->conf->name);
	if (err < 0 && err != -OBJM_STATUS_NOT_FOUND) {
		answer(d->e, cookie, err, idx_cat_message());
		return;
	}
	mail(d->e, SUP_MAIL_FORGET, t, NULL);
	answer(d->e, cookie, 0, "");
}

static void obey(struct sup_tierd *d, const struct order *o)
{
	switch (o->kind) {
	case SUP_ORDER_OPEN:
	case SUP_ORDER_ADOPT:
		try_open(d, o->tier, o->kind == SUP_ORDER_ADOPT, o->cookie);
		break;
	case SUP_ORDER_FORGET:
		forget(d, o->tier, o->lost, o->cookie);
		break;
	case SUP_ORDER_CLOSE:
		close_tier(d, o->tier);
		break;
	case SUP_ORDER_VERIFY:
		if (atomic_load(&o->tier->phase) == SUP_PHASE_PRESENT)
			(void)read_all(d, o->tier, NULL);
		break;
	}
}

static void look_all(struct sup_tierd *d)
{
	struct sup_engine *e = d->e;
	char buf[128];

	if (!atomic_load(&e->filled))
		return; /* the catalogs are being read as they were at the start */
	for (unsigned i = 0; i < e->n_tiers && !stopping(d); i++) {
		struct sup_tier *t = &e->tiers[i];
		int phase = atomic_load(&t->phase);
		const char *why = phase == SUP_PHASE_PRESENT ? gone(t, buf, sizeof(buf)) : NULL;
		if (why)
			leave(e, t, why);
		if (phase != SUP_PHASE_ABSENT || t->forgotten)
			continue;
		struct sight now = look_at(t);
		if (now.error == 0 && !same_sight(&now, &d->failed[i]))
			try_open(d, t, false, 0);
	}
}

/* ---- the thread ---- */

static void *tierd_main(void *arg)
{
	struct sup_tierd *d = arg;

	pthread_mutex_lock(&d->lock);
	while (!d->stop) {
		struct order *o = d->orders;
		if (o) {
			d->orders = o->next;
			if (!d->orders)
				d->orders_end = &d->orders;
			pthread_mutex_unlock(&d->lock);
			obey(d, o);
			free(o);
			pthread_mutex_lock(&d->lock);
			continue;
		}
		struct timespec until;
		(void)clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += LOOK_MS / 1000u;
		if (pthread_cond_timedwait(&d->wake, &d->lock, &until) != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&d->lock);
		look_all(d);
		pthread_mutex_lock(&d->lock);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

int sup_tierd_start(struct sup_engine *e)
{
	struct sup_tierd *d = calloc(1, sizeof(*d));
	pthread_condattr_t attr;

	if (!d)
		return ENOMEM;
	d->e = e;
	d->orders_end = &d->orders;
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	for (unsigned i = 0; i < e->n_tiers; i++)
		if (!e->tiers[i].cat)
			d->failed[i] = look_at(&e->tiers[i]);
	int err = pthread_create(&d->thread, NULL, tierd_main, d);
	if (err) {
		free(d);
		return err;
	}
	d->on = true;
	e->tierd = d;
	return 0;
}

void sup_tierd_stop(struct sup_engine *e)
{
	struct sup_tierd *d = e->tierd;

	if (!d)
		return;
	pthread_mutex_lock(&d->lock);
	d->stop = true;
	pthread_cond_broadcast(&d->wake);
	pthread_mutex_unlock(&d->lock);
	(void)pthread_join(d->thread, NULL);
	while (d->orders) {
		struct order *o = d->orders;
		d->orders = o->next;
		free(o);
	}
	free(d);
	e->tierd = NULL;
}

void sup_tierd_order(struct sup_engine *e, enum sup_order kind, struct sup_tier *t, bool lost, uint64_t cookie)
{
	struct sup_tierd *d = e->tierd;
	struct order *o = d ? calloc(1, sizeof(*o)) : NULL;

	if (!o) {
		answer(e, cookie, -OBJM_STATUS_UNAVAILABLE, "the daemon is starting or ending");
		return;
	}
	*o = (struct order){ .kind = kind, .tier = t, .lost = lost, .cookie = cookie };
	pthread_mutex_lock(&d->lock);
	*d->orders_end = o;
	d->orders_end = &o->next;
	pthread_cond_broadcast(&d->wake);
	pthread_mutex_unlock(&d->lock);
}
