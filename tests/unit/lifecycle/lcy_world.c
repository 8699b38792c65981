/* lcy_world.c: see lcy_world.h. */
#include "lcy_world.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

static const uint8_t secret[IDX_SECRET_BYTES] = "0123456789abcdef";

struct world_msg {
	struct world_msg *next;
	size_t len;
	union {
		struct om_op_hdr hdr;
		struct om_op_move move;
		struct om_op_drop drop;
		struct om_op_tasked tasked;
		unsigned char bytes[1];
	};
};

static struct idx_key key_of(const char *uri, size_t len)
{
	struct idx_key key;
	idx_key_make(secret, uri, len, &key);
	return key;
}

/* ---- the supervisor ---- */

static void take(struct world *w, const struct iovec *iov, int n)
{
	size_t len = 0;
	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	struct world_msg *m = malloc(offsetof(struct world_msg, bytes) + len + 1);
	m->next = NULL;
	m->len = len;
	for (size_t at = 0, i = 0; i < (size_t)n; at += iov[i++].iov_len)
		memcpy(m->bytes + at, iov[i].iov_base, iov[i].iov_len);
	m->bytes[len] = '\0';
	pthread_mutex_lock(&w->lock);
	*w->msgs_end = m;
	w->msgs_end = &m->next;
	pthread_mutex_unlock(&w->lock);
	(void)eventfd_write(w->wakefd, 1);
}

static int world_send(struct lcy *l, const struct iovec *iov, int n)
{
	take((struct world *)l, iov, n); /* l is its first member */
	return 0;
}

static int moves_send(void *arg, const struct iovec *iov, int n) { return world_send(arg, iov, n); }
static void moves_wake(void *arg) { (void)eventfd_write(((struct world *)arg)->wakefd, 1); }

static void account(struct world *w, unsigned tier, int64_t bytes, int objects)
{
	struct idxr_tier row;

	assert_int_equal(idxr_tier(&w->l.idx, tier, &row), 0);
	row.used_bytes += (uint64_t)bytes;
	row.objects += (uint64_t)(int64_t)objects;
	idxw_tier(w->w, tier, &row);
}

static void remove_file(struct world *w, unsigned tier, uint64_t id)
{
	struct be_batch b = { 0 };
	assert_int_equal(be_remove(&w->tier[tier].be, id, &b), 0);
	assert_int_equal(be_remove_sync(&w->tier[tier].be, &b), 0);
}

static int begin_status(struct world *w, const struct om_op_move *m, const struct idx_ent *e)
{
	if (w->refuse) {
		int status = w->refuse;
		if (w->refuse_n && --w->refuse_n == 0)
			w->refuse = 0;
		return status;
	}
	if (e->id != m->id || e->rev != m->rev || e->home != m->from)
		return -OBJM_STATUS_PRECONDITION_FAILED;
	bool memory = m->to == MEM;
	if ((e->flags & OM_OBJ_PINNED) || m->to == m->from || ((e->flags & OM_OBJ_EPHEMERAL) && !memory) || (m->kind == OM_MOVE_COPY && !memory) ||
	    (m->kind == OM_MOVE_HOME && memory && !(e->flags & OM_OBJ_EPHEMERAL)))
		return -OBJM_STATUS_INVALID_REQUEST;
	struct idxr_tier row;
	assert_int_equal(idxr_tier(&w->l.idx, m->to, &row), 0);
	return row.used_bytes + m->size <= row.capacity_bytes ? 0 : -OBJM_STATUS_NO_SPACE;
}

static int commit_move(struct world *w, const struct om_op_move *m, const struct idx_key *key, struct idx_ent *e)
{
	int fd;

	if (e->id != m->id || e->home != m->from) {
		account(w, m->to, -(int64_t)m->size, 0);
		remove_file(w, m->to, m->id);
		return -OBJM_STATUS_PRECONDITION_FAILED;
	}
	/* its file is there, whole, before it is committed */
	assert_int_equal(be_open(&w->tier[m->to].be, m->id, &fd), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), e->size);
	om_close(&fd);
	account(w, m->to, 0, 1); /* its bytes were promised when it began */
	if (m->kind == OM_MOVE_COPY) {
		e->tier = m->to;
		w->copies++;
	} else {
		if (e->tier == e->home)
			e->tier = m->to;
		e->home = m->to;
		account(w, m->from, -(int64_t)e->size, -1);
		remove_file(w, m->from, m->id);
		w->moves++;
	}
	assert_int_equal(idxw_put(w->w, key, e), 0);
	return 0;
}

static int drop(struct world *w, const struct om_op_drop *m, const struct idx_key *key, struct idx_ent *e)
{
	if (e->id != m->id)
		return -OBJM_STATUS_PRECONDITION_FAILED;
	switch (m->why) {
	case OM_DROP_COPY:
		if (e->tier != m->tier || e->home == m->tier)
			return -OBJM_STATUS_INVALID_REQUEST;
		e->tier = e->home;
		assert_int_equal(idxw_put(w->w, key, e), 0);
		break;
	case OM_DROP_EXPIRED:
		if (e->expiry_s == 0 || e->expiry_s > w->clock_s)
			return -OBJM_STATUS_INVALID_REQUEST;
		if (e->tier != e->home) {
			account(w, e->tier, -(int64_t)e->size, -1);
			remove_file(w, e->tier, e->id);
		}
		assert_int_equal(idxw_del(w->w, key), 0);
		break;
	default:
		if (!(e->flags & OM_OBJ_EVICTABLE) || (e->flags & OM_OBJ_PINNED) || e->tier != e->home)
			return -OBJM_STATUS_INVALID_REQUEST;
		assert_int_equal(idxw_del(w->w, key), 0);
	}
	account(w, m->tier, -(int64_t)e->size, -1);
	remove_file(w, m->tier, e->id);
	w->drops++;
	w->dropped[m->why]++;
	return 0;
}

static void answer(struct world *w, const struct world_msg *m)
{
	struct om_op_verdict v = { .hdr = { .len = sizeof(v), .type = OM_OP_VERDICT, .req = m->hdr.req } };
	size_t fixed = m->hdr.type == OM_OP_DROP ? sizeof(m->drop) : sizeof(m->move);
	const char *uri = (const char *)m->bytes + fixed;
	struct idx_ent e = { 0 };

	if (m->hdr.type == OM_OP_TASKED) {
		w->answer_status = m->tasked.status;
		w->answer_req = m->hdr.req;
		(void)snprintf(w->answer, sizeof(w->answer), "%s", (const char *)m->bytes + sizeof(m->tasked));
		return;
	}
	assert_true(m->len > fixed); /* with a name */
	struct idx_key key = key_of(uri, m->len - fixed);
	int err = idxw_get(w->w, &key, &e, NULL);
	switch (m->hdr.type) {
	case OM_OP_MOVE_BEGIN:
		v.status = err < 0 ? err : begin_status(w, &m->move, &e);
		if (v.status == 0)
			account(w, m->move.to, (int64_t)m->move.size, 0);
		break;
	case OM_OP_MOVE_COMMIT:
		if (err < 0)
			account(w, m->move.to, -(int64_t)m->move.size, 0);
		v.status = err < 0 ? err : commit_move(w, &m->move, &key, &e);
		break;
	case OM_OP_DROP: v.status = err < 0 ? err : drop(w, &m->drop, &key, &e); break;
	case OM_OP_MOVE_ABORT:
		w->aborts++;
		account(w, m->move.to, -(int64_t)m->move.size, 0);
		remove_file(w, m->move.to, m->move.id);
		return;
	default: fail_msg("message of type %u", m->hdr.type);
	}
	lcy_order(&w->l, &v.hdr, sizeof(v));
}

static bool answer_all(struct world *w)
{
	pthread_mutex_lock(&w->lock);
	struct world_msg *m = w->msgs;
	w->msgs = NULL;
	w->msgs_end = &w->msgs;
	pthread_mutex_unlock(&w->lock);
	bool any = m != NULL;
	while (m) {
		struct world_msg *next = m->next;
		answer(w, m);
		free(m);
		m = next;
	}
	return any;
}

/* ---- turns ---- */

static void turn(struct world *w)
{
	struct lcy *l = &w->l;

	l->now_s = w->clock_s;
	(void)answer_all(w);
	lcy_moves_allowed(&l->moves);
	lcy_save_turn(l);
	lcy_turn(l);
	lcy_task_turn(l);
}

static bool idle(const struct world *w)
{
	const struct lcy *l = &w->l;

	return !l->plan.scanning && !l->plan.want && l->moves.n_jobs == 0 && l->plan.next_act == l->plan.n_acts && !w->msgs && !l->save.writing && !l->scrub.busy;
}

void world_settle(struct world *w)
{
	uint64_t end = om_now_ns() + UINT64_C(60000000000);

	do {
		turn(w);
		if (!idle(w) && !w->l.plan.scanning) {
			struct pollfd p = { .fd = w->wakefd, .events = POLLIN };
			eventfd_t v;
			if (poll(&p, 1, 20) == 1)
				(void)eventfd_read(w->wakefd, &v);
		}
		if (om_now_ns() > end)
			fail_msg("not settled after a minute: %u jobs, act %u of %u", w->l.moves.n_jobs, w->l.plan.next_act, w->l.plan.n_acts);
	} while (!idle(w));
}

void world_run(struct world *w, unsigned s)
{
	for (unsigned i = 0; i < s; i++) {
		w->clock_s++;
		w->l.now_ns += 1000000000u;
		world_settle(w);
	}
}

int world_task(struct world *w, enum om_task_kind kind, const char *uri, unsigned tier, uint64_t arg)
{
	static uint64_t req = 1000;
	struct {
		struct om_op_task t;
		char uri[OM_URI_MAX];
	} m = { .t = { .hdr = { .type = OM_OP_TASK, .req = ++req }, .kind = (uint8_t)kind, .tier = (uint8_t)tier, .arg = arg } };

	m.t.uri_len = uri ? (uint16_t)strlen(uri) : 0;
	m.t.hdr.len = (uint32_t)(sizeof(m.t) + m.t.uri_len);
	if (uri)
		memcpy(m.uri, uri, m.t.uri_len);
	w->answer_req = 0;
	lcy_order(&w->l, &m.t.hdr, m.t.hdr.len);
	world_settle(w);
	assert_int_equal(w->answer_req, req);
	if (kind == OM_TASK_DRAIN && w->answer_status == 0) /* the supervisor remembers it, and says so to the next process */
		w->l.boot.tiers[tier].draining = arg != 0;
	return w->answer_status;
}

void world_room(struct world *w, unsigned tier, uint64_t bytes)
{
	struct om_op_room m = { .hdr = { .len = sizeof(m), .type = OM_OP_ROOM }, .bytes = bytes, .tier = (uint8_t)tier };

	lcy_order(&w->l, &m.hdr, sizeof(m));
	world_settle(w);
}

/* ---- objects ---- */

uint64_t world_put(struct world *w, const char *uri, uint64_t size, unsigned tier, uint32_t flags, uint64_t expiry_s)
{
	struct om_rec rec = be_test_rec(uri);
	struct idx_key key = key_of(uri, strlen(uri));
	uint64_t id = w->next_id++;
	struct be_file f;

	rec.mtime_ns = w->clock_s * UINT64_C(1000000000);
	rec.flags = flags;
	rec.expiry_s = expiry_s;
	assert_int_equal(be_begin(&w->tier[tier].be, 0, &f), 0);
	assert_int_equal(ftruncate(f.rwfd, (off_t)size), 0);
	assert_true(size < 16 || pwrite(f.rwfd, uri, strlen(uri), 0) > 0);
	om_close(&f.rwfd);
	assert_int_equal(be_freeze(&w->tier[tier].be, &f, &rec), 0);
	assert_int_equal(be_link(&w->tier[tier].be, &f, id, &rec), 0);
	be_drop(&f);
	struct idx_ent e = { .id = id, .size = size, .mtime_ns = rec.mtime_ns, .rev = 1, .flags = (uint16_t)flags, .tier = (uint8_t)tier,
			     .home = (uint8_t)tier, .expiry_s = expiry_s };
	assert_int_equal(idxw_put(w->w, &key, &e), 0);
	account(w, tier, (int64_t)size, 1);
	return id;
}

bool world_get(struct world *w, const char *uri, struct idx_ent *ret)
{
	struct idx_key key = key_of(uri, strlen(uri));
	return idxw_get(w->w, &key, ret, NULL) == 0;
}

unsigned world_tier(struct world *w, const char *uri)
{
	struct idx_ent e;
	return world_get(w, uri, &e) ? e.tier : OM_TIER_NONE;
}

unsigned world_home(struct world *w, const char *uri)
{
	struct idx_ent e;
	return world_get(w, uri, &e) ? e.home : OM_TIER_NONE;
}

uint64_t world_used(struct world *w, unsigned tier)
{
	struct idxr_tier row;
	assert_int_equal(idxr_tier(&w->l.idx, tier, &row), 0);
	return row.used_bytes;
}

void world_delete(struct world *w, const char *uri)
{
	struct idx_key key = key_of(uri, strlen(uri));
	struct idx_ent e;

	assert_int_equal(idxw_get(w->w, &key, &e, NULL), 0);
	assert_int_equal(idxw_del(w->w, &key), 0);
	account(w, e.home, -(int64_t)e.size, -1);
	remove_file(w, e.home, e.id);
	if (e.tier != e.home) {
		account(w, e.tier, -(int64_t)e.size, -1);
		remove_file(w, e.tier, e.id);
	}
}

void world_access(struct world *w, const char *uri, unsigned n)
{
	struct idx_key key = key_of(uri, strlen(uri));
	struct idx_ent e;
	struct idx_heat_val v;
	uint32_t slot;

	assert_int_equal(idxw_get(w->w, &key, &e, &slot), 0);
	/* as lcy_heat.c does with what a worker has logged */
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(idx_heat_touch(&w->l.heat, slot, 1, w->clock_s, e.since_s), 0);
		assert_int_equal(idx_heat_get(&w->l.heat, slot, w->clock_s, e.since_s, &v), 0);
		lcy_cache_access(&w->l, slot, &e, v.heat);
	}
}

/* ---- opening ---- */

static void attach(struct world *w, const struct om_seg *heat)
{
	struct lcy *l = &w->l;

	assert_int_equal(lcy_heat_index(l, fcntl(idxw_fd(w->w), F_DUPFD_CLOEXEC, 3), fcntl(heat->fd, F_DUPFD_CLOEXEC, 3)), 0);
}

static int make_heat(struct world *w)
{
	struct om_seg heat = OM_SEG_INIT;
	struct idxr_stat st;

	idxw_stat(w->w, &st);
	assert_int_equal(idx_heat_create(st.slots, st.segment, w->l.boot.limits.decay_s, IDX_HEAT_REFERENCE, w->clock_s, &heat), 0);
	attach(w, &heat);
	int fd = fcntl(heat.fd, F_DUPFD_CLOEXEC, 3);
	om_seg_close(&heat);
	return fd;
}

static void lcy_begin(struct world *w, unsigned generation)
{
	struct lcy *l = &w->l;
	struct lcy_moves_conf conf = { .send = moves_send, .begun = lcy_act_begun, .wake = moves_wake, .ended = lcy_turn_ended, .arg = l };

	l->boot.generation = generation;
	l->send = world_send;
	l->now_s = w->clock_s;
	l->ring.kick_self = w->wakefd;
	lcy_save_init(l, open(w->heat_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), generation == 1);
	lcy_moves_init(&l->moves, &conf);
	l->seat.all = &l->moves.yield;
	for (unsigned i = 0; i < WORLD_TIERS; i++) {
		const struct be_test *t = &w->tier[i];
		l->tiers[i].on = true;
		assert_int_equal(lcy_moves_tier(&l->moves, (uint8_t)i, t->objects_fd, t->staging_fd, t->be.caps, i == MEM), 0);
		assert_int_equal(be_dir_init(&l->tiers[i].scrub, t->objects_fd, t->staging_fd, t->be.caps, 3), 0);
	}
	lcy_scrub_init(l);
	lcy_drain_resume(l);
	lcy_plan_init(l);
	assert_int_equal(lcy_moves_start(&l->moves), 0);
}

static void lcy_end(struct world *w)
{
	struct lcy *l = &w->l;

	lcy_scrub_fini(l);
	for (unsigned i = 0; i < WORLD_TIERS; i++)
		be_fini(&l->tiers[i].scrub);
	lcy_moves_stop(&l->moves);
	int dir = l->save.dirfd;
	lcy_save_fini(l);
	om_close(&dir);
	lcy_cache_reset(l);
	lcy_plan_fini(l);
	idx_heat_detach(&l->heat);
	idxr_detach(&l->idx);
}

void world_open(struct world *w, const uint64_t capacity[WORLD_TIERS])
{
	static const uint8_t types[WORLD_TIERS] = { OM_TIER_MEMORY, OM_TIER_SSD, OM_TIER_HDD };
	static const char *const names[WORLD_TIERS] = { "mem", "fast", "slow" };
	struct om_boot_lifecycle c = { .hot_threshold = 0.7, .cold_threshold = 0.3, .evict_when_full = 0.95, .evict_target = 0.85,
				       .migration_batch = 100, .interval_s = 10 };

	memset(w, 0, sizeof(*w));
	w->msgs_end = &w->msgs;
	w->next_id = 1;
	w->clock_s = 2000000000;
	pthread_mutex_init(&w->lock, NULL);
	w->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	(void)snprintf(w->heat_dir, sizeof(w->heat_dir), "/tmp/objm-heat.XXXXXX");
	assert_non_null(mkdtemp(w->heat_dir));
	w->l.boot.lifecycle = c;
	w->l.boot.limits.decay_s = 600;
	memcpy(w->l.boot.key_secret, secret, sizeof(secret));
	w->l.boot.cache_tier = MEM;
	w->l.boot.n_tiers = WORLD_TIERS;
	assert_int_equal(idxw_new(4000, &w->w), 0);
	idxw_fill_done(w->w);
	for (unsigned i = 0; i < WORLD_TIERS; i++) {
		struct om_boot_tier *b = &w->l.boot.tiers[i];
		be_test_open(&w->tier[i], i == MEM ? "/dev/shm" : NULL, types[i], 0);
		*b = (struct om_boot_tier){ .tier = (uint8_t)i, .type = types[i], .perf_factor = 1, .capacity_bytes = capacity[i], .state = OM_TIERS_READY,
					    .caps = w->tier[i].be.caps };
		b->flags = OM_TIERF_READABLE | OM_TIERF_WRITABLE | OM_TIERF_MIGRATION_SRC | OM_TIERF_MIGRATION_DST |
			   (i == MEM ? OM_TIERF_EPHEMERAL : OM_TIERF_PERSISTENT);
		(void)snprintf(b->name, sizeof(b->name), "%s", names[i]);
		idxw_tier(w->w, i, &(struct idxr_tier){ .capacity_bytes = capacity[i], .state = OM_TIERS_READY });
	}
	w->heat_fd_ro = make_heat(w);
	lcy_begin(w, 1);
}

int world_teardown(void **state)
{
	world_close(*state);
	free(*state);
	return 0;
}

const char *world_name(unsigned i)
{
	static char text[32];

	(void)snprintf(text, sizeof(text), "/o/%u", i);
	return text;
}

void world_files_of(rlim_t bytes)
{
	struct rlimit r;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
	r.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

void world_restart(struct world *w, bool fresh)
{
	struct om_proc_boot boot = w->l.boot;

	if (fresh) { /* a clean end */
		w->l.now_s = w->clock_s;
		lcy_scrub_last(&w->l);
		lcy_save_last(&w->l, 60000);
	}
	lcy_end(w);
	(void)answer_all; /* what it sent last is not answered: nobody is there */
	while (w->msgs) {
		struct world_msg *m = w->msgs;
		w->msgs = m->next;
		free(m);
	}
	w->msgs_end = &w->msgs;
	memset(&w->l, 0, sizeof(w->l));
	w->l.boot = boot;
	if (fresh) {
		om_close(&w->heat_fd_ro);
		w->heat_fd_ro = make_heat(w);
	} else {
		struct om_seg heat = { .fd = w->heat_fd_ro, .rofd = -1 };
		attach(w, &heat);
	}
	lcy_begin(w, fresh ? 1 : 2);
}

void world_close(struct world *w)
{
	lcy_end(w);
	for (unsigned i = 0; i < WORLD_TIERS; i++)
		be_test_close(&w->tier[i]);
	idxw_free(w->w);
	om_close(&w->heat_fd_ro);
	om_close(&w->wakefd);
	be_test_rm(w->heat_dir);
	while (w->msgs) {
		struct world_msg *m = w->msgs;
		w->msgs = m->next;
		free(m);
	}
}
