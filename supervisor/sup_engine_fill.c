/*
 * sup_engine_fill.c: the shared index is built from the catalogs while the daemon serves: a thread that reads them and ends, and the
 * publisher, which takes what it has read between its other work. See sup_engine_int.h for who owns what.
 */
#include "common/om_fault.h"
#include "common/om_slice.h"
#include "supervisor/sup_engine_fill.h"
#include "supervisor/sup_engine_mail.h"
#include "supervisor/sup_engine_recover.h"
#include "supervisor/sup_engine_room.h"
#include "supervisor/sup_engine_scan.h"

/* ---- publisher ---- */

/*
 * Another record of the key is in the index: a crash between the commits of two tiers left both, or one is a cached copy. Records
 * that lose must go for good. Persistent tiers are read first, so the home of a copy is known when the copy comes.
 * True: this one loses.
 */
static bool fill_meets(struct sup_engine *e, const struct idx_ent *have, const struct idx_ent *ent)
{
	bool copy = ent->tier != ent->home;

	if (have->tier == ent->tier)
		return false; /* read before it was replaced */
	if (have->id < ent->id) {
		sup_recover_loser(e, have->tier, have->id, false);
		if (have->home != have->tier && have->home < OM_TIERS_MAX)
			sup_recover_loser(e, have->home, have->id, false);
		return false;
	}
	if (have->id == ent->id && have->home == ent->tier)
		return false; /* the home of the copy that came first */
	if (have->id == ent->id && copy && have->tier == have->home)
		return false; /* the first copy of it */
	if (have->id == ent->id && !copy && have->tier == have->home &&
	    (ent->rev > have->rev || (ent->rev == have->rev && ent->tier < have->tier))) { /* as idx_cat_rec_wins() */
		sup_recover_loser(e, have->tier, have->id, false);
		return false;
	}
	sup_recover_loser(e, ent->tier, ent->id, false);
	return true;
}

static void fill_row(struct sup_engine *e, const struct sup_fill_row *row)
{
	const struct idx_ent *ent = &row->ent;
	struct idx_ent have;

	sup_recover_live(e, ent->tier, ent->id);
	if (sup_recover_dead(e, row)) {
		sup_recover_loser(e, ent->tier, ent->id, true);
		return;
	}
	bool met = idxw_get(e->index, &row->key, &have, NULL) == 0;
	if (met && fill_meets(e, &have, ent))
		return;
	int err = sup_index_fill(e, &row->key, ent, met ? &have : NULL);
	if (err < 0 && err != -OBJM_STATUS_PRECONDITION_FAILED)
		om_log(OM_MSG_CHECK, "the index has no room for object %llu", (unsigned long long)ent->id); /* it was made for all */
}

void sup_fill_end(struct sup_engine *e)
{
	struct idxr_stat st;

	if (!e->fill_last || e->fill_done || e->n_held)
		return;
	idxw_fill_done(e->index);
	e->fill_done = true;
	om_slice(0);
	atomic_store(&e->filled, true);
	idxw_stat(e->index, &st);
	om_log(OM_MSG_INDEX, "index complete: %llu objects in %llu slots", (unsigned long long)st.live, (unsigned long long)st.slots);
	for (unsigned i = 0; i < e->n_tiers; i++)
		sup_pub_rows(e, &e->tiers[i]); /* what they hold is known exactly from now on */
	sup_recover_filled(e);
	sup_scan_start(e);
}

/* A change of this key is under way: the row waits for its end. False: no change, or no memory to wait with. */
static bool fill_hold(struct sup_engine *e, const struct sup_fill_row *row)
{
	struct sup_key *key = sup_key_find(e, &row->key, false);
	struct sup_held *h = key && key->running ? malloc(sizeof(*h)) : NULL;

	if (!h)
		return false;
	h->row = *row;
	h->next = key->running->held;
	key->running->held = h;
	e->n_held++;
	return true;
}

void sup_fill_held(struct sup_engine *e, struct sup_op *op)
{
	while (op->held) { /* a newer version that stands keeps its place */
		struct sup_held *h = op->held;
		op->held = h->next;
		fill_row(e, &h->row);
		free(h);
		e->n_held--;
	}
}

#define FILL_PREFETCH 16u /* rows ahead: their lines are on the way while others are put (147 instead of 669 ns a row) */

void sup_fill_later(struct sup_engine *e, struct sup_fill *f)
{
	struct sup_fill **end = &e->fills;

	while (*end) /* SUP_FILL_AHEAD at the most */
		end = &(*end)->next;
	f->next = NULL;
	*end = f;
}

bool sup_fill_turn(struct sup_engine *e)
{
	struct sup_fill *f = e->fills;

	if (!f)
		return false;
	e->fills = f->next;
	for (unsigned i = 0; i < f->n; i++) {
		if (i + FILL_PREFETCH < f->n)
			idxw_prefetch(e->index, &f->rows[i + FILL_PREFETCH].key);
		if (!fill_hold(e, &f->rows[i]))
			fill_row(e, &f->rows[i]);
	}
	if (f->last) {
		e->fill_last = true;
		sup_fill_end(e);
	}
	free(f);
	pthread_mutex_lock(&e->fill_lock);
	e->fill_ahead--;
	pthread_cond_signal(&e->fill_wake);
	pthread_mutex_unlock(&e->fill_lock);
	return true;
}

/* ---- the thread ---- */

struct fill_ctx {
	struct sup_engine *e;
	struct sup_fill *chunk;
};

/* Bounded ahead: the publisher takes chunks between its batches. */
static void fill_send(struct fill_ctx *c, bool last)
{
	struct sup_engine *e = c->e;
	struct sup_mail *mail = sup_mail_new(SUP_MAIL_FILL);

	pthread_mutex_lock(&e->fill_lock);
	while (e->fill_ahead >= SUP_FILL_AHEAD && !atomic_load(&e->stopping))
		pthread_cond_wait(&e->fill_wake, &e->fill_lock);
	e->fill_ahead++;
	pthread_mutex_unlock(&e->fill_lock);
	c->chunk->last = last;
	mail->fill = c->chunk;
	c->chunk = NULL;
	sup_mail_post(e, mail);
}

static int fill_rec(void *arg, const struct om_rec *rec)
{
	struct fill_ctx *c = arg;

	if (atomic_load_explicit(&c->e->stopping, memory_order_relaxed))
		return -OBJM_STATUS_GONE;
	if (!c->chunk) {
		c->chunk = malloc(sizeof(*c->chunk));
		if (!c->chunk)
			return -OBJM_STATUS_OUT_OF_MEMORY;
		c->chunk->n = 0;
	}
	struct sup_fill_row *row = &c->chunk->rows[c->chunk->n++];
	idx_key_make(sup_engine_secret(c->e), rec->uri, rec->uri_len, &row->key);
	row->ent = (struct idx_ent){ .id = rec->id, .size = rec->size, .mtime_ns = rec->mtime_ns, .expiry_s = rec->expiry_s,
				     .rev = rec->rev, .flags = (uint16_t)rec->flags, .tier = rec->tier, .home = rec->home };
	if (c->chunk->n == SUP_FILL_CHUNK)
		fill_send(c, false);
	return 0;
}

static void fill_tier(struct fill_ctx *c, struct sup_tier *t)
{
	struct idx_cat_snap *snap;
	struct idx_cat_scan_res res = { 0 };
	int injected = om_fault(OM_FAULT_SUP_FILL);
	int err = injected ? -om_status_errno(injected) : idx_cat_snap_open(t->cat, &snap);

	if (err == 0) {
		err = idx_cat_scan(snap, fill_rec, c, &res);
		idx_cat_snap_close(snap);
	}
	if (err < 0 && err != -OBJM_STATUS_GONE) { /* before the last row: what was not read is not taken for what is not there */
		atomic_store(&t->hides, true);
		om_log(OM_MSG_CATALOG, "tier %s: its catalog cannot be read to the end: %s: restart the daemon to have it rebuilt",
		       t->conf->name, idx_cat_message());
		sup_tier_fail(t, om_status_text(err));
	}
	if (!res.damaged)
		return;
	om_log(OM_MSG_CATALOG, "tier %s: %llu records are damaged: they are made again from their files", t->conf->name,
	       (unsigned long long)res.damaged);
	struct sup_mail *mail = sup_mail_new(SUP_MAIL_REBUILD);
	mail->tier = t;
	sup_mail_post(c->e, mail);
}

/*
 * Huge pages before the rows come: filling touches the index in no order, and a fault for each small page would cost more. Here and
 * not before the start, because zeroing a gigabyte takes longer than the first answer may. Through a mapping of our own: the
 * publisher's goes with its segment, should that grow meanwhile.
 */
static void index_huge(struct sup_engine *e)
{
	struct idxr view = IDXR_INIT;
	size_t at = 0;

	pthread_mutex_lock(&e->seg_lock);
	int fd = fcntl(e->cur_index_fd, F_DUPFD_CLOEXEC, 3);
	pthread_mutex_unlock(&e->seg_lock);
	if (fd < 0 || idxr_attach(fd, &view) < 0) { /* small pages do */
		om_close(&fd);
		return;
	}
	while (view.bytes >= SUP_HUGE_FROM && !atomic_load(&e->stopping) &&
	       om_seg_huge((void *)(uintptr_t)view.base, view.bytes, &at, SUP_HUGE_PIECE))
		;
	idxr_detach(&view);
}

/* Catalogs that are not in the page cache are read in the order in which they lie, ahead of the thread that follows their trees. */
struct ahead {
	struct sup_engine *e;
	pthread_t thread;
	bool on;
	_Atomic bool stop;
};

static bool ahead_stops(const struct ahead *a) { return atomic_load(&a->stop) || atomic_load(&a->e->stopping); }

static void *ahead_main(void *arg)
{
	const struct timespec nap = { .tv_nsec = 10000000 };
	struct ahead *a = arg;
	/* not more than half of the memory that nobody uses: the rest is for what the daemon is there for */
	uint64_t left = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 2;

	/* The disk is the children's first, who come from it too, and that of the first answers. */
	for (unsigned i = 0; i < SUP_AHEAD_AFTER && !ahead_stops(a); i++)
		(void)nanosleep(&nap, NULL);
	for (unsigned i = 0; i < a->e->n_tiers; i++) {
		struct idx_cat *cat = a->e->tiers[i].is_volatile ? NULL : a->e->tiers[i].cat;
		uint64_t at = 0;
		bool more = cat != NULL;

		for (; more && left >= SUP_AHEAD_BYTES && !ahead_stops(a); left -= SUP_AHEAD_BYTES)
			more = idx_cat_read_ahead(cat, &at, SUP_AHEAD_BYTES);
	}
	return NULL;
}

static void ahead_end(struct ahead *a)
{
	atomic_store(&a->stop, true);
	if (a->on)
		(void)pthread_join(a->thread, NULL);
}

void *sup_fill_main(void *arg)
{
	struct fill_ctx c = { .e = arg };
	struct ahead ahead = { .e = arg };

	ahead.on = pthread_create(&ahead.thread, NULL, ahead_main, &ahead) == 0;
	om_slice(OM_SLICE_LONG_US); /* all that it can take, but requests first: so does the publisher */
	index_huge(c.e);
	/* homes first: what is met on a memory tier after them is known to be a copy, or not to be one (fill_meets) */
	for (int is_volatile = 0; is_volatile < 2; is_volatile++)
		for (unsigned i = 0; i < c.e->n_tiers; i++)
			if (c.e->tiers[i].cat && c.e->tiers[i].is_volatile == is_volatile)
				fill_tier(&c, &c.e->tiers[i]); /* nothing comes or goes before the last row */
	ahead_end(&ahead);
	if (!c.chunk) {
		c.chunk = malloc(sizeof(*c.chunk));
		OM_ASSERT(c.chunk); /* without it the index would never be complete */
		c.chunk->n = 0;
	}
	fill_send(&c, true);
	return NULL;
}
