/*
 * sup_engine_tierd.c: a thread for what blocks when tiers come and go: looking whether they are there, opening, reading what
 * they hold (sup_engine_past.c), closing. It decides nothing about objects: what it finds goes to the publisher as mail.
 *
 *   phase     who moves it on
 *   ABSENT    here: it looks now and then, and when it is told to; -> COMING
 *   COMING    the publisher, once all records are in the index: -> PRESENT
 *   PRESENT   here: root, marker or objects/ are not what they were: -> LEAVING
 *   LEAVING   the publisher stops lending it work; here: its committer ends, its catalog and directories are closed: -> ABSENT
 */
#include <sys/stat.h>

#include "common/om_fault.h"
#include "index/cat/idx_tier_mark.h"
#include "supervisor/sup_engine_ask.h"
#include "supervisor/sup_engine_mail.h"

#define LOOK_MS 2000u

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
	bool ro;
};

struct sup_tierd {
	struct sup_engine *e;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct order *orders, **orders_end;
	struct sight failed[OM_TIERS_MAX];
};

static void answer(struct sup_engine *e, uint64_t cookie, int status, const char *text)
{
	if (cookie)
		sup_ask_text(e, cookie, status, text);
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
	OM_AUTO_FD fd = open(t->conf->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	s.ro = fd >= 0 && sup_tier_ro_said(fd);
	return s;
}

static bool same_sight(const struct sight *a, const struct sight *b)
{
	return a->known == b->known && a->error == b->error && a->dev == b->dev && a->ino == b->ino && a->mark == b->mark && a->ro == b->ro;
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

/* Its filesystem can be written no more, or again: the tier goes and comes, each time with the catalog for it. */
static void turn(struct sup_engine *e, struct sup_tier *t)
{
	bool frozen = atomic_load(&t->frozen), ro = sup_tier_ro_said(t->rootfd);

	if (!ro && (frozen || sup_tier_state(t) == OM_TIERS_FAILED))
		ro = sup_tier_ro_tried(t->rootfd);
	if (t->is_volatile || ro == frozen)
		return;
	t->turns = true;
	atomic_store(&t->phase, SUP_PHASE_LEAVING);
	om_log(OM_MSG_NOTE, "tier %s (%s): its filesystem %s: it is opened again", t->conf->name, t->conf->path,
	       frozen ? "can be written again" : "has become read-only");
	sup_mail_tier(e, SUP_MAIL_AWAY, t, NULL);
}

static void leave(struct sup_engine *e, struct sup_tier *t, const char *why)
{
	atomic_store(&t->phase, SUP_PHASE_LEAVING);
	om_log(OM_MSG_TIER_ABSENT, "tier %s (%s): %s: it is absent from now on; it comes back by itself when it is there again",
	       t->conf->name, t->conf->path, why);
	sup_mail_tier(e, SUP_MAIL_AWAY, t, NULL);
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
	n->conf = t->conf; /* it never changes */
	n->is_volatile = t->is_volatile;
	pthread_mutex_init(&n->live_lock, NULL);
	n->live = sup_tier_live(t);
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
		err = sup_past_ids(e, c);
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
	(void)om_fault(OM_FAULT_TIER_OPENED);
	sup_mail_tier(e, SUP_MAIL_COMING, t, c);
	while (!atomic_load(&t->attached) && !sup_tierd_stopping(d->e))
		(void)usleep(1000);
	if (!atomic_load(&t->attached))
		return -OBJM_STATUS_UNAVAILABLE; /* the daemon ends; `c` goes with the process */
	err = sup_past_read(e, t, c);
	if (err == 0)
		err = sup_past_records(e, t, c);
	(void)om_fault(OM_FAULT_TIER_READ);
	if (err < 0) { /* what was removed from it meanwhile is not known: it cannot be used */
		(void)snprintf(ret_why, cap, "its past cannot be read: %s", idx_cat_message());
		leave(e, t, ret_why);
		sup_coming_free(c);
		return err;
	}
	sup_mail_tier(e, SUP_MAIL_COME, t, c); /* the publisher frees what it came with */
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
	while (!atomic_load(&d->e->filled) && !sup_tierd_stopping(d->e))
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
	(void)om_fault(OM_FAULT_TIER_CLOSED);
	atomic_store(&t->phase, SUP_PHASE_ABSENT);
	if (t->turns) /* it is there */
		sup_tierd_order(e, SUP_ORDER_OPEN, t, false, 0);
	t->turns = false;
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
	sup_mail_tier(d->e, SUP_MAIL_FORGET, t, NULL);
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
			(void)sup_past_records(d->e, o->tier, NULL);
		break;
	}
}

static void look_all(struct sup_tierd *d)
{
	struct sup_engine *e = d->e;
	char buf[128];

	if (!atomic_load(&e->filled))
		return; /* the catalogs are being read as they were at the start */
	for (unsigned i = 0; i < e->n_tiers && !sup_tierd_stopping(d->e); i++) {
		struct sup_tier *t = &e->tiers[i];
		int phase = atomic_load(&t->phase);
		const char *why = phase == SUP_PHASE_PRESENT ? gone(t, buf, sizeof(buf)) : NULL;
		if (why)
			leave(e, t, why);
		else if (phase == SUP_PHASE_PRESENT)
			turn(e, t);
		if (phase == SUP_PHASE_PRESENT && !why && atomic_load(&t->own_fs) && !sup_tier_alone(t))
			atomic_store(&t->own_fs, false); /* until it is opened again: what others took meanwhile is not known */
		if (phase == SUP_PHASE_PRESENT && t->cat) /* only we close it. Somebody else's mdb_stat that was killed would keep old pages for good */
			(void)idx_cat_reader_check(t->cat);
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
	while (!sup_tierd_stopping(d->e)) {
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
	e->tierd = d; /* before the thread is: orders of its own come by way of the engine */
	int err = pthread_create(&d->thread, NULL, tierd_main, d);
	if (err) {
		e->tierd = NULL;
		free(d);
	}
	return err;
}

void sup_tierd_stop(struct sup_engine *e)
{
	struct sup_tierd *d = e->tierd;

	if (!d)
		return;
	pthread_mutex_lock(&d->lock);
	atomic_store(&e->tierd_stops, true);
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
