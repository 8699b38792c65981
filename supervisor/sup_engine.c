/*
 * sup_engine.c: the engine's life: opening, starting, stopping. Main loop's thread.
 */
#include <sys/eventfd.h>

#include "supervisor/sup_engine_admit.h"
#include "supervisor/sup_engine_ask.h"
#include "supervisor/sup_engine_mail.h"
#include "supervisor/sup_engine_owner.h"
#include "supervisor/sup_engine_reap.h"
#include "supervisor/sup_engine_recover.h"
#include "supervisor/sup_engine_room.h"
#include "supervisor/sup_engine_watch.h"
#include "supervisor/sup_owner_table.h"

/* ---- opening ---- */

static int open_state(struct sup_engine *e)
{
	int err = idx_state_open(e->state_dir, &e->state);

	if (err == -OBJM_STATUS_CORRUPT) {
		om_log(OM_MSG_CATALOG, "%s: %s; setting it aside and going on: pending removals are lost", e->state_dir,
		       idx_cat_message());
		err = idx_state_set_aside(e->state_dir);
		if (err == 0)
			err = idx_state_open(e->state_dir, &e->state);
	}
	if (err < 0) {
		om_log(OM_MSG_FATAL, "state_dir %s cannot be used: %s", e->state_dir, idx_cat_message());
		return err;
	}
	e->recovery = *idx_state_recovery(e->state);
	return 0;
}

static int raise_max(void *ctx, const struct om_rec *rec)
{
	(void)ctx;
	(void)rec;
	return 0; /* the scan itself keeps the highest id */
}

/*
 * The state was lost, or a tier came that it did not know: no id of any record or file may ever be given out again. Tiers
 * that were refused count, too.
 */
static int raise_ids(struct sup_engine *e)
{
	uint64_t floor = 1;

	for (unsigned i = 0; i < e->n_tiers; i++) {
		struct sup_tier *t = &e->tiers[i];
		struct idx_cat_snap *snap;
		struct idx_cat_scan_res res = { 0 };
		uint64_t end = t->rootfd >= 0 ? sup_tier_dirs_end(t->rootfd) : 0;
		floor = OM_MAX(floor, end);
		if (!t->cat)
			continue;
		if (idx_cat_snap_open(t->cat, &snap) == 0) {
			(void)idx_cat_scan(snap, raise_max, NULL, &res); /* a damaged tree: its files' names still count */
			idx_cat_snap_close(snap);
		}
		floor = OM_MAX(floor, res.max_id + 1);
	}
	return idx_state_ids_raise(e->state, floor);
}

static int first_ids(struct sup_engine *e)
{
	int err = e->recovery.first || e->raise_ids ? raise_ids(e) : 0;
	uint64_t first, oldest = e->recovery.first || e->recovery.clean ? 0 : e->recovery.oldest_unsettled;

	if (err == 0)
		err = idx_state_ids_reserve(e->state, SUP_ID_BLOCK, oldest, &first);
	if (err < 0) {
		om_log(OM_MSG_FATAL, "state_dir %s: no ids could be reserved: %s", e->state_dir, idx_cat_message());
		return err;
	}
	e->id_next = e->run_first_id = first;
	e->id_end = first + SUP_ID_BLOCK;
	return 0;
}

/* What was never drained nor forgotten may hold objects: nobody looks for them any more, nor remembers what happens to them. */
static int say_left_out(void *arg, const struct idx_state_tier *row)
{
	struct sup_engine *e = arg;

	if (!sup_tier_named(e, row->name))
		om_log(OM_MSG_TIER_LEFT_OUT, "tier %s: it is known from before and is not in the configuration: objects that only it holds are missing, and what is "
		       "deleted or replaced meanwhile comes back with it", row->name);
	return 0;
}

static int open_tiers(struct sup_engine *e)
{
	for (unsigned i = 0; i < (unsigned)e->conf->n_backends; i++) {
		int err = sup_tiers_slot(e, &e->conf->backends[i]);
		if (err < 0)
			return err;
	}
	for (unsigned i = 0; i < e->n_tiers; i++) {
		struct sup_tier *t = &e->tiers[i];
		sup_tier_open(e, t);
		if (t->no != OM_TIER_NONE)
			e->tier_by_no[t->no] = t;
		t->phase = t->cat ? SUP_PHASE_PRESENT : SUP_PHASE_ABSENT;
		sup_owner_tier(e, t, &t->owned);
		sup_owned_fini(&t->owned);
	}
	if (idx_state_tier_iter(e->state, say_left_out, e) < 0)
		om_log(OM_MSG_CATALOG, "%s", idx_cat_message());
	return 0;
}

/* Index, heat, generations; sized for what the catalogs hold. */
static int make_segments(struct sup_engine *e)
{
	uint64_t objects = 0;
	struct om_seg heat = OM_SEG_INIT;
	struct idxr_stat st;

	for (unsigned i = 0; i < e->n_tiers; i++)
		objects += atomic_load(&e->tiers[i].objects);
	/* Not less than what a small installation fills in a day, and room for a burst while the first growth is under way; a large one
	 * has that by its load, which may rise from 0.75 to 0.85 before it grows. */
	uint64_t more = objects < UINT64_C(1) << 20 ? objects / 16 : 0;
	int err = idxw_new(OM_MAX(objects + more, UINT64_C(49152)), &e->index);
	if (err < 0)
		return err;
	err = idx_genw_new(&e->gens);
	if (err < 0)
		return err;
	idxw_stat(e->index, &st);
	err = idx_heat_create(st.slots, st.segment, atomic_load(&e->decay_s), IDX_HEAT_REFERENCE,
			      om_wall_ns() / 1000000000u, &heat);
	if (err < 0)
		return err;
	e->cur_index_fd = fcntl(idxw_fd(e->index), F_DUPFD_CLOEXEC, 3);
	e->cur_heat_fd = om_take_fd(&heat.fd);
	e->cur_seq = st.segment;
	int view = fcntl(idxw_fd(e->index), F_DUPFD_CLOEXEC, 3);
	err = view < 0 || e->cur_index_fd < 0 ? -OBJM_STATUS_SYSTEM : idxr_attach(view, &e->heat_idx);
	if (err < 0)
		om_close(&view);
	else
		err = idx_heat_attach(heat.rofd, false, &e->heat);
	if (err == 0)
		heat.rofd = -1;
	om_seg_close(&heat);
	for (unsigned i = 0; i < e->n_tiers && err == 0; i++)
		sup_pub_rows(e, &e->tiers[i]);
	return err;
}

static struct sup_engine *engine_new(const struct om_conf *conf, const struct sup_engine_cb *cb)
{
	struct sup_engine *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->state_dir = strdup(conf->state_dir);
	if (!e->state_dir) {
		free(e);
		return NULL;
	}
	e->conf = conf;
	sup_tier_memory(e, conf);
	atomic_store(&e->decay_s, conf->lifecycle.hotness_decay_s);
	e->cb = *cb;
	e->lives = &sup_op_lives;
	e->cur_index_fd = e->cur_heat_fd = -1;
	e->heat = IDX_HEAT_INIT;
	e->heat_idx = IDXR_INIT;
	e->grow_heat = OM_SEG_INIT;
	e->inbox_end = &e->inbox;
	e->stalled_end = &e->stalled;
	e->set_wait_end = &e->set_wait;
	e->deferred_end = &e->deferred;
	e->rm_end = &e->rm;
	e->rm_late_end = &e->rm_late;
	atomic_init(&e->late_ns, SUP_LATE_NS);
	atomic_init(&e->late_from, SUP_LATE_FROM);
	atomic_init(&e->rm_max, SUP_REAP_QUEUE_MAX);
	e->jobs_end = &e->jobs;
	pthread_mutex_init(&e->seg_lock, NULL);
	pthread_mutex_init(&e->inbox_lock, NULL);
	pthread_mutex_init(&e->job_lock, NULL);
	pthread_cond_init(&e->job_wake, NULL);
	pthread_mutex_init(&e->fill_lock, NULL);
	pthread_cond_init(&e->fill_wake, NULL);
	pthread_rwlock_init(&e->cats, NULL);
	pthread_mutex_init(&e->dirs_lock, NULL);
	pthread_mutex_init(&e->multi_lock, NULL);
	pthread_cond_init(&e->multi_wake, NULL);
	e->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	e->inbox_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return e;
}

int sup_engine_open(const struct om_conf *conf, const char *const *adopt, const struct sup_engine_cb *cb, struct sup_engine **ret)
{
	struct sup_engine *e = engine_new(conf, cb);
	int err = -OBJM_STATUS_OUT_OF_MEMORY;

	if (!e || e->kick_fd < 0 || e->inbox_fd < 0 || sup_watch_new(&e->watch) < 0 || sup_admit_new(&e->admit) < 0 ||
	    sup_owners_new(&e->owners) < 0)
		goto fail;
	e->adopt = adopt;
	om_place_init(&e->place);
	err = sup_asks_new(&e->asks);
	if (err == 0)
		err = sup_rooms_new(&e->rooms);
	sup_rooms_conf(e, conf);
	sup_admit_conf(e, conf);
	sup_owners_conf(e, conf);
	if (err < 0)
		goto fail;
	err = open_state(e);
	if (err < 0)
		goto fail;
	err = open_tiers(e);
	if (err == 0)
		err = first_ids(e);
	if (err < 0)
		goto fail;
	err = make_segments(e);
	if (err < 0) {
		om_log(OM_MSG_FATAL, "no memory for the shared index: %s (%m)", om_status_text(err));
		goto fail;
	}
	err = sup_recover_load(e);
	if (err < 0) {
		om_log(OM_MSG_FATAL, "pending removals of the last run cannot be read: %s", idx_cat_message());
		goto fail;
	}
	*ret = e;
	return 0;
fail:
	sup_engine_close(e);
	return err;
}

int sup_engine_start(struct sup_engine *e)
{
	int err = pthread_create(&e->pub, NULL, sup_pub_main, e);

	e->pub_on = err == 0;
	for (unsigned i = 0; i < e->n_tiers && err == 0; i++) {
		struct sup_tier *t = &e->tiers[i];
		if (!t->cat)
			continue;
		err = pthread_create(&t->thread, NULL, sup_commit_main, t);
		t->thread_on = err == 0;
	}
	for (unsigned i = 0; i < SUP_READERS && err == 0; i++) {
		err = pthread_create(&e->reader[i], NULL, sup_read_main, e);
		e->n_readers += err == 0;
	}
	if (err == 0) {
		err = pthread_create(&e->filler, NULL, sup_fill_main, e);
		e->filler_on = err == 0;
	}
	if (err == 0)
		err = sup_tierd_start(e);
	if (err == 0)
		return 0;
	om_log(OM_MSG_FATAL, "no thread could be started: %s; raise LimitNPROC=, TasksMax= or the memory of the unit", strerror(err));
	return -OBJM_STATUS_OUT_OF_MEMORY;
}

/* ---- closing ---- */

static void stop_threads(struct sup_engine *e)
{
	for (unsigned i = 0; i < SUP_CHILDREN_MAX; i++)
		if (e->place_serial[i])
			sup_engine_child_close(e, i);
	atomic_store(&e->stopping, true);
	pthread_mutex_lock(&e->fill_lock);
	pthread_cond_broadcast(&e->fill_wake);
	pthread_mutex_unlock(&e->fill_lock);
	if (e->filler_on)
		(void)pthread_join(e->filler, NULL);
	sup_tierd_stop(e); /* while the publisher still takes its mail */
	(void)eventfd_write(e->inbox_fd, 1);
	if (e->pub_on)
		(void)pthread_join(e->pub, NULL); /* ends when no change is under way any more */
	pthread_mutex_lock(&e->job_lock);
	pthread_cond_broadcast(&e->job_wake);
	pthread_mutex_unlock(&e->job_lock);
	for (unsigned i = 0; i < e->n_readers; i++)
		(void)pthread_join(e->reader[i], NULL);
	for (unsigned i = 0; i < e->n_tiers; i++) {
		struct sup_tier *t = &e->tiers[i];
		pthread_mutex_lock(&t->lock);
		t->stop = true;
		pthread_cond_broadcast(&t->wake);
		pthread_mutex_unlock(&t->lock);
		if (t->thread_on)
			(void)pthread_join(t->thread, NULL);
	}
}

/* True if no id given out has an open fate: then the next start need not look at files. */
static bool all_settled(struct sup_engine *e)
{
	uint64_t oldest = sup_res_oldest(e);

	for (unsigned i = 0; i < e->n_tiers; i++)
		if (sup_tier_state(&e->tiers[i]) == OM_TIERS_FAILED)
			return false;
	return e->recovered && oldest == 0 && e->fill_done;
}

static void free_tables(struct sup_engine *e)
{
	sup_mails_free(e->inbox);
	for (struct sup_job *job = e->jobs, *next; job; job = next) {
		next = job->next;
		free(job);
	}
	for (unsigned i = 0; i < SUP_RES_BUCKETS; i++)
		while (e->res[i]) {
			struct sup_res *r = e->res[i];
			e->res[i] = r->hnext;
			free(r);
		}
	for (unsigned i = 0; i < SUP_KEY_BUCKETS; i++)
		while (e->keys[i]) {
			struct sup_key *k = e->keys[i];
			e->keys[i] = k->hnext;
			free(k);
		}
	sup_watch_free(e->watch);
	sup_admit_free(e->admit);
	sup_move_free(e);
	sup_rooms_free(e->rooms);
	sup_owners_free(e->owners);
	sup_reap_free(e);
	sup_recover_free(e);
	while (e->fills) {
		struct sup_fill *f = e->fills;
		e->fills = f->next;
		free(f);
	}
}

void sup_engine_close(struct sup_engine *e)
{
	if (!e)
		return;
	stop_threads(e);
	if (e->gens)
		idx_genw_free(e->gens); /* stores RETIRED: no client trusts the table from now on */
	if (e->state && e->pub_on && all_settled(e) && idx_state_clean(e->state, e->id_next) < 0)
		om_log(OM_MSG_CATALOG, "the clean end could not be recorded: %s", idx_cat_message());
	for (unsigned i = 0; i < e->n_tiers; i++)
		sup_tier_close(&e->tiers[i]);
	free_tables(e);
	sup_asks_free(e->asks);
	idxw_free(e->index);
	idx_heat_detach(&e->heat);
	idxr_detach(&e->heat_idx);
	om_seg_close(&e->grow_heat);
	om_close(&e->cur_index_fd);
	om_close(&e->cur_heat_fd);
	om_close(&e->kick_fd);
	om_close(&e->inbox_fd);
	idx_state_close(e->state);
	free(e->state_dir);
	free(e);
}

/* ---- the rest of its life ---- */

void sup_engine_heartbeat(struct sup_engine *e) { idx_genw_renew(e->gens); }
void sup_engine_gens_bump_all(struct sup_engine *e) { idx_genw_bump_all(e->gens); }
