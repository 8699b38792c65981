/*
 * sup_tier.c: opening a tier: is the directory the tier that it should be, what can its filesystem do, where is its
 * catalog. Main loop's thread at start; sup_tier_fail() and the ballast from other threads of the engine.
 *
 * A tier that cannot be opened is absent: said once in the log, and everything that may lie on it answers UNAVAILABLE.
 * It is never made anew in silence: a directory without a marker is new only when the installation does not know the
 * tier yet, or when the tier is a memory tier, whose objects are gone with the tmpfs.
 */
#include <dirent.h>
#include <sodium.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "backend/be.h"
#include "common/om_fs.h"
#include "index/cat/idx_tier_mark.h"
#include "supervisor/sup_cgroup.h"
#include "supervisor/sup_engine_owner.h"

#define BALLAST_NAME "ballast"
#define BALLAST_BYTES (UINT64_C(64) << 20)

static bool absent(struct sup_tier *t, const char *what, const char *why)
{
	om_log(OM_MSG_TIER_ABSENT, "tier %s (%s): %s: %s", t->conf->name, t->conf->path, what, why);
	(void)snprintf(t->why, sizeof(t->why), "%s: %s", what, why);
	return false;
}

/* ---- the directory ---- */

static bool open_dirs(struct sup_tier *t)
{
	t->rootfd = open(t->conf->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->rootfd < 0)
		return absent(t, "cannot open the directory", strerror(errno));
	return true;
}

static bool has_objects(const struct sup_tier *t)
{
	int fd = openat(t->rootfd, "objects", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	bool any = false;

	if (!dir) {
		om_close(&fd);
		return false;
	}
	for (struct dirent *d; !any && (d = readdir(dir));)
		any = d->d_name[0] != '.';
	(void)closedir(dir);
	return any;
}

/* ---- whose is it ---- */

/*
 * A marker for a directory that has none. It is written before the state environment knows the tier: a crash in between
 * leaves a marked, unknown tier, which the next start takes in; the other order would leave one that looks unmounted.
 */
static bool mark_new(struct sup_engine *e, struct sup_tier *t, struct idx_tier_mark *ret, bool replace)
{
	randombytes_buf(ret->tier_id, sizeof(ret->tier_id));
	memcpy(ret->install_id, idx_state_identity(e->state)->install_id, sizeof(ret->install_id));
	int err = idx_tier_mark_write(t->rootfd, ret, replace);
	return err == 0 || absent(t, "cannot write its marker", idx_cat_message());
}

/* The state environment learns number and id of a tier from its marker. */
static bool bind_tier(struct sup_engine *e, struct sup_tier *t, const struct idx_tier_mark *mark, struct idx_state_tier *ret)
{
	int err = idx_state_tier_get(e->state, t->conf->name, ret);

	e->raise_ids = true;
	if (err == 0) {
		memcpy(ret->tier_id, mark->tier_id, sizeof(ret->tier_id));
		err = idx_state_tier_bind(e->state, ret);
	}
	return err == 0 || absent(t, "the state environment does not take it", idx_cat_message());
}

/* The tier of the configuration whose directory this is, if that is not `t`: by a link or a bind mount two paths may lead to one. NULL: none. */
static const struct sup_tier *twin_of(const struct sup_engine *e, const struct sup_tier *t, bool known, const struct idx_tier_mark *mark)
{
	struct idx_state_tier row;

	for (unsigned i = 0; i < e->n_tiers; i++) {
		const struct sup_tier *o = &e->tiers[i];
		if (o->ix != t->ix && (!known || o->ix < t->ix) && idx_state_tier_known(e->state, o->conf->name, &row) == 1 &&
		    memcmp(row.tier_id, mark->tier_id, sizeof(row.tier_id)) == 0)
			return o;
	}
	return NULL;
}

/*
 * What is to be removed from the tier were files of another directory: here the same ids may be an object's only copy. What was deleted
 * while it was away (tombstones) still counts for what this installation has made, not for others' ids.
 */
static bool forget_removals(struct sup_engine *e, struct sup_tier *t, const struct idx_state_tier *known, bool ours)
{
	int err = idx_state_pending_clear(e->state, known->number);

	if (err == 0 && !ours)
		err = idx_state_tomb_clear(e->state, known->number, NULL, NULL);
	return err == 0 || absent(t, "the state environment cannot be written", idx_cat_message());
}

/* A directory without a marker: new, or taken over; else what is missing is said. */
static bool identify_unmarked(struct sup_engine *e, struct sup_tier *t, const struct idx_state_tier *known, bool adopt,
			      struct idx_state_tier *ret, bool *ret_new)
{
	struct idx_tier_mark mark;

	if (known && !t->is_volatile && !adopt)
		return absent(t, "no marker in the directory", "the disk is not mounted, or it is another directory (objmapperd --adopt "
			      "takes it over as it is)");
	if (has_objects(t) && !adopt)
		return absent(t, "there are objects, but no marker", "whose they are is not known; move objects/ away, or take them over "
			      "with objmapperd --adopt");
	if (known && !forget_removals(e, t, known, false))
		return false;
	*ret_new = !has_objects(t);
	return mark_new(e, t, &mark, adopt) && bind_tier(e, t, &mark, ret);
}

/* Decides by marker and state environment; *ret_new: it holds nothing yet. */
static bool identify(struct sup_engine *e, struct sup_tier *t, bool adopt, struct idx_state_tier *ret, bool *ret_new)
{
	struct idx_state_tier known;
	struct idx_tier_mark mark;
	int found, err = idx_tier_mark_read(t->rootfd, &mark);

	*ret_new = false;
	if (err < 0 && err != -OBJM_STATUS_NOT_FOUND && !adopt)
		return absent(t, "cannot read its marker", idx_cat_message());
	found = idx_state_tier_known(e->state, t->conf->name, &known);
	if (found < 0)
		return absent(t, "the state environment cannot be read", idx_cat_message());
	if (err < 0)
		return identify_unmarked(e, t, found ? &known : NULL, adopt, ret, ret_new);
	if (memcmp(mark.install_id, idx_state_identity(e->state)->install_id, sizeof(mark.install_id))) {
		if (!adopt)
			return absent(t, "it belongs to another installation", "use the state_dir that it was made with, or take it over "
				      "with objmapperd --adopt");
		return (!found || forget_removals(e, t, &known, false)) && mark_new(e, t, &mark, true) && bind_tier(e, t, &mark, ret);
	}
	const struct sup_tier *twin = twin_of(e, t, found, &mark);
	if (twin) {
		char what[OM_TIER_NAME_MAX + 64];
		t->is_twin = true;
		(void)snprintf(what, sizeof(what), "its directory is that of tier %s, or a copy of it", twin->conf->name);
		return absent(t, what, "give each tier a directory of its own (`path`)");
	}
	if (!found) /* the state environment was lost, or a crash came between marker and state */
		return bind_tier(e, t, &mark, ret);
	*ret = known;
	if (memcmp(mark.tier_id, known.tier_id, sizeof(mark.tier_id)) == 0)
		return true;
	if (!adopt)
		return absent(t, "it is another tier of this installation", "correct `path` in the configuration, or take it over with objmctl tier adopt");
	return forget_removals(e, t, &known, true) && bind_tier(e, t, &mark, ret);
}

/* ---- its catalog ---- */

/* A catalog that is not to be kept (persist_index). It was opened first: so it is known to be this tier's, and nobody else's. */
static int make_again(const struct idx_cat_params *p, struct idx_cat **cat)
{
	struct idx_cat_info info;

	idx_cat_info(*cat, &info);
	if (info.created)
		return 0;
	idx_cat_close(*cat);
	*cat = NULL;
	int err = idx_cat_discard(p->dir);
	return err < 0 ? err : idx_cat_open(p, cat);
}

static bool open_catalog(struct sup_engine *e, struct sup_tier *t, const struct idx_state_tier *id, bool is_new, bool adopt)
{
	char dir[SUP_RO_DIR_MAX], said[224];
	struct idx_cat_params p = { .dir = om_conf_catalog_dir(e->state_dir, t->conf, dir, sizeof(dir)), .tier = id->number };
	const char *fs = om_fs_remote(p.dir);
	bool frozen = atomic_load(&t->frozen);
	struct idx_cat_info info;

	if (fs) {
		(void)snprintf(said, sizeof(said), "it would lie on %s, where its database does not work: set index_path to a directory on a local "
			       "disk, or leave it out", fs);
		return absent(t, "its catalog cannot be opened", said);
	}
	if (t->is_volatile)
		p.flags |= IDX_CAT_VOLATILE;
	if (!frozen)
		sup_tier_ro_drop(e, t);
	else if (!sup_tier_ro_catalog(e, t, dir, said, sizeof(said)))
		return absent(t, "its catalog cannot be opened", said);
	else
		p.dir = dir;
	memcpy(p.secret, sup_engine_secret(e), sizeof(p.secret));
	memcpy(p.tier_id, id->tier_id, sizeof(p.tier_id));
	memcpy(p.install_id, idx_state_identity(e->state)->install_id, sizeof(p.install_id));
	struct idx_cat *cat = NULL;
	int err = idx_cat_open(&p, &cat);
	if (err == 0 && !t->conf->persist_index && !t->is_volatile && !frozen)
		err = make_again(&p, &cat);
	if (!frozen && (err == -OBJM_STATUS_CORRUPT || (err == -OBJM_STATUS_PRECONDITION_FAILED && adopt))) {
		om_log(OM_MSG_CATALOG, "tier %s: %s: it is set aside and made again from the files", t->conf->name, idx_cat_message());
		err = idx_cat_set_aside(p.dir);
		if (err == 0)
			err = idx_cat_open(&p, &cat);
	}
	if (err < 0)
		return absent(t, "its catalog cannot be opened", idx_cat_message());
	idx_cat_info(cat, &info);
	if (frozen && !info.complete) {
		idx_cat_close(cat);
		return absent(t, "its catalog is not whole", "it can only be made again once the filesystem can be written");
	}
	t->cat = cat;
	t->owes_rebuild = !info.complete && !is_new;
	if (is_new && !info.complete) {
		struct idx_cat_txn *txn;
		err = idx_cat_txn_begin(t->cat, &txn);
		if (err == 0)
			err = idx_cat_txn_complete(txn, true);
		if (err == 0)
			err = idx_cat_txn_commit(txn);
		if (err < 0)
			om_log(OM_MSG_CATALOG, "tier %s: %s", t->conf->name, idx_cat_message());
	}
	return true;
}

static void read_totals(struct sup_tier *t)
{
	struct idx_cat_snap *snap;
	struct idx_cat_totals totals;

	if (idx_cat_snap_open(t->cat, &snap) < 0)
		return;
	if (idx_cat_snap_totals(snap, &totals) == 0) {
		atomic_store(&t->used_bytes, totals.bytes);
		atomic_store(&t->objects, totals.objects);
	}
	if (idx_cat_snap_owners(snap, sup_owned_add, &t->owned) < 0) {
		om_log(OM_MSG_CATALOG, "tier %s: what its users own cannot be read, and is counted again: %s", t->conf->name, idx_cat_message());
		sup_owned_fini(&t->owned);
		t->owes_rebuild = true;
	}
	idx_cat_snap_close(snap);
}

/* ---- room ---- */

struct sup_tier_live sup_tier_live(const struct sup_tier *t)
{
	pthread_mutex_t *lock = &((struct sup_tier *)(uintptr_t)t)->live_lock;

	pthread_mutex_lock(lock);
	struct sup_tier_live live = t->live;
	pthread_mutex_unlock(lock);
	return live;
}

/* A configured capacity as bytes of a filesystem (0: its size is not known). */
static uint64_t capacity_of(const struct om_conf_capacity *c, uint64_t whole)
{
	if (c->pct)
		return whole / 100 * c->pct;
	return whole ? OM_MIN(c->bytes, whole) : c->bytes;
}

/* Under live_lock: a reload and a tier that comes may meet. */
static void size_it(struct sup_tier *t) { atomic_store(&t->capacity_bytes, capacity_of(&t->live.capacity, t->whole_bytes)); }

void sup_tier_live_set(struct sup_tier *t, const struct om_conf_backend *conf)
{
	pthread_mutex_lock(&t->live_lock);
	t->live = (struct sup_tier_live){ .capacity = conf->capacity, .perf_factor = conf->perf_factor, .durability = conf->durability };
	size_it(t);
	pthread_mutex_unlock(&t->live_lock);
	atomic_store(&t->flags, conf->flags);
}

void sup_tier_sized(struct sup_tier *t, uint64_t whole_bytes)
{
	pthread_mutex_lock(&t->live_lock);
	t->whole_bytes = whole_bytes;
	size_it(t);
	pthread_mutex_unlock(&t->live_lock);
}

void sup_tier_memory(struct sup_engine *e, const struct om_conf *conf)
{
	uint64_t limit = sup_cgroup_memory("/proc/self/cgroup", "/sys/fs/cgroup");

	atomic_store(&e->memory_limit, limit);
	atomic_store(&e->memory_room, sup_cgroup_room(conf, limit));
}

static void find_capacity(struct sup_engine *e, struct sup_tier *t)
{
	uint64_t whole = 0, limit = atomic_load(&e->memory_limit), room = atomic_load(&e->memory_room);
	struct statvfs vfs;

	if (fstatvfs(t->rootfd, &vfs) == 0)
		whole = (uint64_t)vfs.f_blocks * vfs.f_frsize;
	if (!t->is_volatile) {
		sup_tier_sized(t, whole);
		return;
	}
	sup_tier_sized(t, whole ? OM_MIN(whole, room) : room == UINT64_MAX ? 0 : room);
	const struct sup_tier_live live = sup_tier_live(t);
	if (capacity_of(&live.capacity, whole) > room)
		om_log(OM_MSG_LIMIT, "tier %s (%s): the memory limit of this control group, %llu MiB, leaves it %llu MiB beside the daemon's "
		       "processes: that is its capacity now; raise the limit (MemoryMax=), or lower `capacity`", t->conf->name, t->conf->path,
		       (unsigned long long)(limit >> 20), (unsigned long long)(room >> 20));
}

void sup_tier_catalog_size(struct sup_tier *t)
{
	size_t n = strlen(t->conf->path);
	struct idx_cat_info info;

	if (strncmp(idx_cat_dir(t->cat), t->conf->path, n) || idx_cat_dir(t->cat)[n] != '/')
		return; /* on another filesystem: not of this tier's room */
	idx_cat_info(t->cat, &info);
	atomic_store(&t->cat_bytes, info.file_bytes);
}

/* Room that is given up when the disk is full, so that deletes can always commit. */
static void make_ballast(struct sup_tier *t)
{
	off_t size = (off_t)OM_MIN(BALLAST_BYTES, atomic_load(&t->capacity_bytes) / 64);
	struct stat st;

	if (t->is_volatile || t->conf->type == OM_TIER_NETWORK)
		return;
	OM_AUTO_FD fd = openat(t->rootfd, BALLAST_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	t->ballast = fd >= 0 && fstat(fd, &st) == 0 && (st.st_size == size || posix_fallocate(fd, 0, size) == 0);
	if (fd >= 0 && !t->ballast)
		(void)unlinkat(t->rootfd, BALLAST_NAME, 0); /* half a ballast is none */
}

bool sup_tier_ballast_drop(struct sup_tier *t)
{
	if (!t->ballast)
		return false;
	t->ballast = false;
	if (unlinkat(t->rootfd, BALLAST_NAME, 0) < 0)
		return false;
	om_log(OM_MSG_CATALOG, "tier %s: the disk is full; its ballast was given up so that deletes can commit: make room",
	       t->conf->name);
	return true;
}

void sup_tier_fail(struct sup_tier *t, const char *why)
{
	if (atomic_exchange(&t->state, OM_TIERS_FAILED) != OM_TIERS_FAILED)
		om_log(OM_MSG_TIER_FAILED, "tier %s (%s): writes are stopped: %s", t->conf->name, t->conf->path, why);
}

/* ---- all of it ---- */

double sup_tier_factor(const struct sup_tier *t)
{
	const struct om_conf_backend usual = { .type = t->conf->type };
	double configured = sup_tier_live(t).perf_factor, measured = atomic_load(&t->measured);

	return configured > 0 ? configured : measured > 0 ? measured : om_conf_perf_factor(&usual);
}

static bool is_adopted(const struct sup_engine *e, const struct sup_tier *t)
{
	if (t->adopt)
		return true;
	for (unsigned i = 0; e->adopt && e->adopt[i]; i++)
		if (!strcmp(e->adopt[i], t->conf->name))
			return true;
	return false;
}

static bool open_all(struct sup_engine *e, struct sup_tier *t)
{
	struct idx_state_tier id;
	struct be_probe probe = { 0 };
	char why[256] = "";
	bool is_new = false, adopt = is_adopted(e, t);

	if (!open_dirs(t))
		return false;
	int err = be_probe(t->rootfd, t->conf->type, t->conf->allow_swap, &probe, why, sizeof(why));
	atomic_store(&t->frozen, err == -OBJM_STATUS_READ_ONLY && !t->is_volatile && sup_tier_ro_tried(t->rootfd));
	if (err < 0 && !atomic_load(&t->frozen))
		return absent(t, "it cannot be used", why);
	if (atomic_load(&t->frozen))
		why[0] = '\0';
	if (probe.swap_exposed)
		om_log(OM_MSG_TIER_SWAP, "tier %s (%s): swap is on and the filesystem is not mounted noswap: ephemeral bytes may reach a "
		       "disk (allow_swap)", t->conf->name, t->conf->path);
	if (*why)
		om_log(OM_MSG_TIER_PROBE, "tier %s (%s, %s): %s", t->conf->name, t->conf->path, probe.fs, why);
	if (!identify(e, t, adopt, &id, &is_new))
		return false;
	if (be_dir_prepare(t->rootfd, &t->objectsfd, &t->stagingfd) < 0)
		return absent(t, "cannot open objects/ and staging/, or make them", strerror(errno));
	if (t->is_volatile && be_dir_init(&t->be, t->objectsfd, t->stagingfd, probe.caps, 0) < 0)
		return absent(t, "cannot open its directories", strerror(errno));
	atomic_store(&t->late, be_removes_late(t->stagingfd));
	t->no = id.number;
	t->caps = probe.caps;
	double factor = 0;
	if (sup_tier_live(t).perf_factor <= 0 && !t->is_volatile && be_measure(t->rootfd, &factor) < 0)
		factor = 0; /* full, or it has no nameless files: the usual one of its type */
	atomic_store(&t->measured, factor);
	find_capacity(e, t);
	if (!open_catalog(e, t, &id, is_new, adopt))
		return false;
	read_totals(t);
	if (!atomic_load(&t->frozen))
		make_ballast(t);
	sup_tier_catalog_size(t);
	sup_tier_base(t);
	return true;
}

void sup_tier_open(struct sup_engine *e, struct sup_tier *t)
{
	struct idx_state_tier row;

	t->no = OM_TIER_NONE;
	t->is_twin = false;
	if (!open_all(e, t)) {
		/* one that is known, or refused with what lies there, may hold what a miss cannot see: it has a number */
		bool known = idx_state_tier_known(e->state, t->conf->name, &row) == 1;
		if (!known && !t->is_twin && t->rootfd >= 0 && has_objects(t))
			known = idx_state_tier_get(e->state, t->conf->name, &row) == 0;
		/* what a memory tier held is gone with it, unless it was refused with objects in it */
		t->hides = known && (!t->is_volatile || (t->rootfd >= 0 && has_objects(t)));
		if (known)
			t->no = row.number;
		om_close(&t->objectsfd);
		om_close(&t->stagingfd);
		atomic_store(&t->frozen, false);
		atomic_store(&t->state, OM_TIERS_ABSENT);
		return;
	}
	int state = t->owes_rebuild ? OM_TIERS_REBUILDING : OM_TIERS_READY;
	if (state == OM_TIERS_READY && !sup_tier_may_write(t))
		state = OM_TIERS_READONLY;
	atomic_store(&t->state, state);
	if (atomic_load(&t->frozen))
		om_log(OM_MSG_TIER_READONLY, "tier %s (%s): its filesystem is read-only: it serves what it holds and takes nothing; what is deleted or "
		       "replaced goes from its files when it can be written again, which is noticed by itself", t->conf->name, t->conf->path);
	om_log(OM_MSG_TIER_READY, "tier %s (%s, %s): %llu objects, %llu bytes of %llu", t->conf->name, t->conf->path,
	       om_tier_type_name(t->conf->type), (unsigned long long)atomic_load(&t->objects),
	       (unsigned long long)atomic_load(&t->used_bytes), (unsigned long long)atomic_load(&t->capacity_bytes));
}

int sup_tier_conf(struct sup_tier *t, const struct om_conf_backend *conf)
{
	t->own = *conf;
	t->own.label = strdup(conf->label);
	t->own.path = strdup(conf->path);
	t->own.index_path = strdup(conf->index_path);
	t->conf = &t->own;
	t->is_volatile = conf->type == OM_TIER_MEMORY;
	sup_tier_live_set(t, conf);
	return t->own.label && t->own.path && t->own.index_path ? 0 : -OBJM_STATUS_OUT_OF_MEMORY;
}

void sup_tier_close(struct sup_tier *t)
{
	be_fini(&t->be);
	idx_cat_close(t->cat);
	t->cat = NULL;
	sup_owned_fini(&t->owned);
	om_close(&t->rootfd);
	om_close(&t->objectsfd);
	om_close(&t->stagingfd);
	free(t->own.label);
	free(t->own.path);
	free(t->own.index_path);
}

uint64_t sup_tier_dirs_end(int rootfd)
{
	uint64_t end = 0;
	int fd = openat(rootfd, "objects", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		om_close(&fd);
		return 0;
	}
	for (struct dirent *d; (d = readdir(dir));) {
		char *rest;
		uint64_t n = strtoull(d->d_name, &rest, 16);
		if (*rest == '\0' && rest != d->d_name && n < UINT64_MAX >> OM_OBJ_DIR_SHIFT)
			end = OM_MAX(end, (n + 1) << OM_OBJ_DIR_SHIFT);
	}
	(void)closedir(dir);
	return end;
}
