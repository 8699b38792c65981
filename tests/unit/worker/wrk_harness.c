/*
 * wrk_harness.c: see wrk_harness.h.
 */
#include "backend/be.h"
#include "wrk_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "worker/wrk_accept.h"
#include "worker/wrk_access.h"
#include "worker/wrk_conn_set.h"
#include "worker/wrk_fdcache.h"
#include "worker/wrk_small.h"
#include "worker/wrk_io.h"
#include "worker/wrk_legacy.h"
#include "worker/wrk_put.h"
#include "worker/wrk_reap.h"
#include "worker/wrk_req.h"
#include "worker/wrk_watch.h"

static const unsigned char harness_secret[16] = "0123456789abcde";

/* ---------------------------------------------------------------- the fake supervisor */

static void sup_put(struct harness *h, void *msg, size_t fixed, const void *more, size_t n)
{
	struct iovec iov[2] = { { msg, fixed }, { (void *)(uintptr_t)more, n } };
	struct om_op_hdr *hdr = msg;

	hdr->len = (uint32_t)(fixed + n);
	while (om_ring_put(&h->sup, iov, n ? 2 : 1) == -OBJM_STATUS_WOULD_BLOCK)
		om_ring_kick(&h->sup);
}

static struct harness_obj *sup_find(struct harness *h, const char *uri, size_t len)
{
	for (unsigned i = 0; i < h->n_objs; i++)
		if (h->objs[i].live && strlen(h->objs[i].uri) == len && memcmp(h->objs[i].uri, uri, len) == 0)
			return &h->objs[i];
	return NULL;
}

static void sup_lookup(struct harness *h, const struct om_op_lookup *m)
{
	const struct harness_obj *o = sup_find(h, (const char *)(m + 1), m->uri_len);
	struct om_op_record rec = { .hdr = { .type = OM_OP_RECORD, .req = m->hdr.req }, .status = -OBJM_STATUS_NOT_FOUND };

	atomic_fetch_add(&h->lookups, 1);
	if (o) {
		rec.status = 0;
		rec.id = o->id;
		rec.rev = 1;
		rec.size = o->size;
		rec.mtime_ns = 1700000000ull * 1000000000u;
		rec.tier = rec.home = o->tier;
		if (m->full) {
			rec.type_len = 9;
			rec.heat_ppm = 250000;
			rec.access_count = 12;
		}
	}
	sup_put(h, &rec, sizeof(rec), "image/png", rec.type_len);
}

/* Forget an object, its file too: a test may put and delete for ever. */
static void sup_drop(struct harness *h, struct harness_obj *o)
{
	char path[OM_OBJ_PATH_MAX];
	struct idx_key key;

	o->live = false;
	idx_key_make(harness_secret, o->uri, strlen(o->uri), &key);
	(void)idxw_del(h->idx, &key);
	om_obj_path(o->id, path);
	(void)unlinkat(h->w.tiers[o->tier].objects_fd, path, 0);
}

/* Where a new object goes; the oldest put one gives way when the table is full. */
static struct harness_obj *sup_place(struct harness *h)
{
	static unsigned turn;

	if (h->n_objs < HARNESS_OBJ_MAX / 2)
		return &h->objs[h->n_objs++];
	for (unsigned i = 0; i < h->n_objs; i++)
		if (!h->objs[i].live)
			return &h->objs[i];
	turn = turn < HARNESS_OBJ_MAX / 2 - 1 ? turn + 1 : 16; /* the first few are a test's own */
	sup_drop(h, &h->objs[turn]);
	return &h->objs[turn];
}

static void sup_delete(struct harness *h, const struct om_op_delete *m)
{
	struct harness_obj *o = sup_find(h, (const char *)(m + 1), m->uri_len);
	struct om_op_verdict v = { .hdr = { .type = OM_OP_VERDICT, .req = m->hdr.req }, .status = -OBJM_STATUS_NOT_FOUND };

	atomic_fetch_add(&h->deletes, 1);
	if (o) {
		sup_drop(h, o);
		v.status = 0;
		v.id = o->id;
	}
	sup_put(h, &v, sizeof(v), NULL, 0);
}

/* As the supervisor does it: is the file there? Else the home serves, or nothing. */
static void sup_gone(struct harness *h, const struct om_op_gone *m)
{
	struct om_op_verdict v = { .hdr = { .type = OM_OP_VERDICT, .req = m->hdr.req }, .status = -OBJM_STATUS_NOT_FOUND };
	struct idx_ent ent;
	struct idx_key key;
	int fd;

	atomic_fetch_add(&h->gones, 1);
	idx_key_make(harness_secret, m + 1, m->uri_len, &key);
	if (be_dir_open(h->w.tiers[m->tier].objects_fd, m->id, &fd) == 0) {
		om_close(&fd);
		v.status = -OBJM_STATUS_INVALID_REQUEST;
	} else if (idxw_get(h->idx, &key, &ent, NULL) < 0 || ent.id != m->id || ent.tier != m->tier) {
		v.status = 0;
	} else if (h->gone_home >= 0) {
		ent.tier = ent.home = (uint8_t)h->gone_home;
		OM_ASSERT(idxw_put(h->idx, &key, &ent) == 0);
		v.status = 0;
	} else {
		(void)idxw_del(h->idx, &key);
	}
	sup_put(h, &v, sizeof(v), NULL, 0);
}

static void sup_list(struct harness *h, const struct om_op_list *m)
{
	struct om_op_list_end end = { .hdr = { .type = OM_OP_LIST_END, .req = m->hdr.req } };
	const char *prefix = (const char *)(m + 1), *after = prefix + m->prefix_len;
	uint32_t n = 0;

	atomic_fetch_add(&h->lists, 1);
	for (unsigned i = 0; i < h->n_objs; i++) { /* tests put them in order */
		const struct harness_obj *o = &h->objs[i];
		size_t len = strlen(o->uri);

		if (!o->live || len < m->prefix_len || memcmp(o->uri, prefix, m->prefix_len) != 0)
			continue;
		if (m->after_len && strncmp(o->uri, after, m->after_len) <= 0 &&
		    !(len > m->after_len && strncmp(o->uri, after, m->after_len) == 0))
			continue;
		if (n++ == m->limit) {
			end.more = 1;
			break;
		}
		struct om_op_entry e = { .hdr = { .type = OM_OP_ENTRY, .req = m->hdr.req }, .id = o->id, .size = o->size,
					 .rev = 1, .tier = o->tier, .home = o->tier, .uri_len = (uint16_t)len };
		sup_put(h, &e, sizeof(e), o->uri, len);
	}
	sup_put(h, &end, sizeof(end), NULL, 0);
}

static void sup_admit(struct harness *h, const struct om_op_admit *m)
{
	struct om_op_verdict v = { .hdr = { .type = OM_OP_VERDICT, .req = m->hdr.req } };

	bool watch = m->what == OM_ADMIT_WATCH;
	unsigned max = watch ? h->watch_max : h->admit_max;
	_Atomic unsigned *n = watch ? &h->watching : &h->admitted;

	if (max && *n >= max) {
		v.status = -OBJM_STATUS_LIMIT_EXCEEDED;
		v.cur_rev = OM_ADMIT_LIMIT_UID;
	} else {
		++*n;
	}
	h->verdicts += !watch;
	sup_put(h, &v, sizeof(v), NULL, 0);
}

static void sup_prepare(struct harness *h, const struct om_op_prepare *m)
{
	struct om_op_verdict v = { .hdr = { .type = OM_OP_VERDICT, .req = m->hdr.req }, .id = ++h->next_id, .rev = 1 };

	sup_put(h, &v, sizeof(v), NULL, 0);
}

static void sup_commit(struct harness *h, const struct om_op_commit *m)
{
	struct om_op_verdict v = { .hdr = { .type = OM_OP_VERDICT, .req = m->hdr.req }, .id = m->id, .rev = 1 };
	struct idx_ent ent = { .id = m->id, .size = m->size, .mtime_ns = m->mtime_ns, .rev = 1, .tier = m->tier,
			       .home = m->tier, .flags = (uint16_t)m->flags };
	struct harness_obj *o = sup_find(h, (const char *)(m + 1), m->uri_len);
	struct idx_key key;

	if (m->uri_len >= sizeof(o->uri)) { /* more than this table keeps */
		v.status = -OBJM_STATUS_NO_SPACE;
		sup_put(h, &v, sizeof(v), NULL, 0);
		return;
	}
	if (o)
		sup_drop(h, o);
	else
		o = sup_place(h);
	*o = (struct harness_obj){ .id = m->id, .size = m->size, .tier = m->tier, .live = true };
	memcpy(o->uri, m + 1, m->uri_len);
	idx_key_make(harness_secret, m + 1, m->uri_len, &key);
	OM_ASSERT(idxw_put(h->idx, &key, &ent) == 0);
	sup_put(h, &v, sizeof(v), NULL, 0);
}

/* Changes nothing: the revision stays. */
static void sup_set(struct harness *h, const struct om_op_set *m)
{
	const struct harness_obj *o = sup_find(h, (const char *)(m + 1), m->uri_len);
	struct om_op_verdict v = { .hdr = { .type = OM_OP_VERDICT, .req = m->hdr.req }, .status = -OBJM_STATUS_NOT_FOUND };

	if (o) {
		v.status = 0;
		v.id = o->id;
		v.rev = 1;
	}
	sup_put(h, &v, sizeof(v), NULL, 0);
}

static void sup_agree(struct harness *h, const struct om_op_hdr *m)
{
	struct om_op_verdict v = { .hdr = { .type = OM_OP_VERDICT, .req = m->req } };

	sup_put(h, &v, sizeof(v), NULL, 0);
}

static void sup_take(struct harness *h, const void *buf)
{
	const struct om_op_hdr *hdr = buf;

	(void)pthread_mutex_lock(&h->lock);
	switch (hdr->type) {
	case OM_OP_LOOKUP: sup_lookup(h, buf); break;
	case OM_OP_DELETE: sup_delete(h, buf); break;
	case OM_OP_LIST: sup_list(h, buf); break;
	case OM_OP_SET: sup_set(h, buf); break;
	case OM_OP_GONE: sup_gone(h, buf); break;
	case OM_OP_PREPARE: sup_prepare(h, buf); break;
	case OM_OP_COMMIT: sup_commit(h, buf); break;
	case OM_OP_ADMIT: sup_admit(h, buf); break;
	case OM_OP_LEAVE: --*(((const struct om_op_admit *)buf)->what == OM_ADMIT_WATCH ? &h->watching : &h->admitted); break;
	case OM_OP_RESERVE: sup_agree(h, buf); break;
	case OM_OP_WATCH:
		h->watch = *(const struct om_op_watch *)buf;
		h->watches++;
		break;
	default: break; /* ABORT, RELEASE: no answer */
	}
	(void)pthread_mutex_unlock(&h->lock);
}

void harness_changed(struct harness *h, const struct om_op_changed *m, const char *uri)
{
	struct om_op_changed c = *m;

	c.hdr.type = OM_OP_CHANGED;
	c.uri_len = (uint16_t)(uri ? strlen(uri) : 0);
	(void)pthread_mutex_lock(&h->lock);
	sup_put(h, &c, sizeof(c), uri, c.uri_len);
	om_ring_kick(&h->sup);
	(void)pthread_mutex_unlock(&h->lock);
}

struct om_op_watch harness_watch(struct harness *h, unsigned n)
{
	struct om_op_watch w = { .on = 0 };

	for (int i = 0; i < 10000; i++) {
		(void)pthread_mutex_lock(&h->lock);
		bool there = h->watches >= n;
		w = h->watch;
		(void)pthread_mutex_unlock(&h->lock);
		if (there)
			return w;
		(void)usleep(1000);
	}
	fail_msg("the feed was not asked for %u times", n);
	return w;
}

static void *sup_run(void *arg)
{
	static _Alignas(16) char buf[OM_RING_MSG_MAX];
	struct harness *h = arg;

	while (!h->stop) {
		struct pollfd p = { .fd = h->sup.kick_self, .events = POLLIN };
		size_t len;

		while (!h->sup_hold && om_ring_get(&h->sup, buf, sizeof(buf), &len) == 0)
			sup_take(h, buf);
		(void)pthread_mutex_lock(&h->lock); /* harness_changed() puts, too */
		om_ring_kick(&h->sup);
		(void)pthread_mutex_unlock(&h->lock);
		if (h->sup_hold || om_ring_sleep(&h->sup))
			(void)poll(&p, 1, 5);
		om_ring_awake(&h->sup);
	}
	return NULL;
}

/* ---------------------------------------------------------------- the worker */

static bool harness_before_wait(void *arg) { return wrk_ring_before_wait(((struct harness *)arg)->w.ring); }
static void harness_after_wait(void *arg) { wrk_ring_after_wait(((struct harness *)arg)->w.ring); }

static void harness_poked(void *arg, uint32_t events)
{
	struct harness *h = arg;
	eventfd_t v;

	(void)events;
	(void)eventfd_read(h->poke_fd, &v);
	(void)pthread_mutex_lock(&h->call_lock);
	if (h->call)
		h->call(h);
	h->call = NULL;
	(void)pthread_cond_signal(&h->called);
	(void)pthread_mutex_unlock(&h->call_lock);
}

void harness_call(struct harness *h, void (*fn)(struct harness *h))
{
	(void)pthread_mutex_lock(&h->call_lock);
	h->call = fn;
	(void)eventfd_write(h->poke_fd, 1);
	while (h->call)
		(void)pthread_cond_wait(&h->called, &h->call_lock);
	(void)pthread_mutex_unlock(&h->call_lock);
}

static void *harness_loop(void *arg)
{
	struct harness *h = arg;

	wrk_fdcache_thread_in();
	wrk_loop_run(&h->w.loop);
	wrk_fdcache_thread_out();
	return NULL;
}

static void harness_tiers(struct harness *h)
{
	static const char *const names[] = { "mem", "disk" };

	for (unsigned i = 0; i < OM_TIERS_MAX; i++)
		h->w.tiers[i] = (struct wrk_tier){ .objects_fd = -1, .staging_fd = -1 };
	for (unsigned i = 0; i < 2; i++) {
		struct wrk_tier *t = &h->w.tiers[i];
		struct idxr_tier row = { .capacity_bytes = 1ull << 30, .state = OM_TIERS_READY };
		char path[128];

		(void)snprintf(path, sizeof(path), "%s/%s.objects", h->dir, names[i]);
		assert_int_equal(mkdir(path, 0700), 0);
		t->objects_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)snprintf(path, sizeof(path), "%s/%s.staging", h->dir, names[i]);
		assert_int_equal(mkdir(path, 0700), 0);
		t->staging_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		t->known = true;
		t->row = (struct om_boot_tier){ .tier = (uint8_t)i, .state = OM_TIERS_READY,
						.type = i ? OM_TIER_SSD : OM_TIER_MEMORY, .capacity_bytes = 1ull << 30,
						.caps = OM_TIERC_TMPFILE | OM_TIERC_XATTR,
						.flags = OM_TIERF_READABLE | OM_TIERF_WRITABLE |
							 (i ? OM_TIERF_PERSISTENT : OM_TIERF_EPHEMERAL) };
		(void)snprintf(t->row.name, sizeof(t->row.name), "%s", names[i]);
		h->w.boot.tiers[i] = t->row;
		idxw_tier(h->idx, i, &row);
	}
	h->w.boot.n_tiers = 2;
	h->w.boot.default_tier = 1;
	h->w.boot.ephemeral_tier = 0;
	h->w.boot.cache_tier = OM_TIER_NONE;
}

static void harness_rings(struct harness *h)
{
	struct om_seg to_sup, to_wrk, a, b;
	struct om_ring ring;
	int kick_sup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), kick_wrk = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_int_equal(om_ring_seg_create("to-sup", OM_RING_BYTES, &to_sup), 0);
	assert_int_equal(om_ring_seg_create("to-wrk", OM_RING_BYTES, &to_wrk), 0);
	assert_int_equal(om_seg_attach(dup(to_wrk.rofd), 4096, false, &a), 0);
	assert_int_equal(om_seg_attach(dup(to_sup.rofd), 4096, false, &b), 0);
	assert_int_equal(om_ring_init(&ring, to_sup, a, dup(kick_sup), dup(kick_wrk)), 0);
	assert_int_equal(om_ring_init(&h->sup, to_wrk, b, kick_wrk, kick_sup), 0);
	assert_int_equal(wrk_ring_new(&h->w.loop, &ring, &h->w.ring), 0);
}

static void harness_room(void *arg) { wrk_conn_wake_all(((struct harness *)arg)->w.conns); }

static int harness_listen(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static void harness_segments(struct harness *h, bool complete)
{
	assert_int_equal(idxw_new(HARNESS_OBJ_MAX, &h->idx), 0);
	if (complete)
		idxw_fill_done(h->idx);
	assert_int_equal(idx_genw_new(&h->gens), 0);
	assert_int_equal(idxr_attach(dup(idxw_fd(h->idx)), &h->w.idx), 0);
	h->w.gens_fd = dup(idx_genw_fd(h->gens));
	assert_int_equal(idx_gen_map(h->w.gens_fd, &h->w.gens), 0);
	assert_int_equal(om_counter_create(&h->counters), 0);
	assert_int_equal(om_counter_use(&h->counters), 0);
	assert_int_equal(idx_alog_create(&h->alog), 0);
	assert_int_equal(idx_alogw_attach(dup(h->alog.fd), 1, &h->w.alog), 0);
}

static void harness_limits(struct om_boot_limits *l)
{
	*l = (struct om_boot_limits){ .max_open_fds = 64, .connections = 1000, .connections_per_uid = 1000,
				      .queue_bytes = 1u << 20, .unread_fds = 512, .put_sessions = 64,
				      .put_sessions_per_uid = 32, .frame_bytes = 65536, .idle_timeout_ms = 0,
				      .request_timeout_ms = 0, .commit_wait_ms = 100, .drain_ms = 1000, .io_threads = 2,
				      .inline_bytes = 1u << 20, .alog_sample = 1, .list_page = 1000, .compression = 1 };
}

struct harness *harness_start(void (*tune)(struct om_boot_limits *l), bool complete)
{
	struct harness *h = calloc(1, sizeof(*h));
	struct wrk *w = &h->w;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(h->dir, sizeof(h->dir), "%s/objm-wrk-XXXXXX", getenv("WRK_DIR") ? getenv("WRK_DIR") : "/tmp");
	assert_non_null(mkdtemp(h->dir));
	h->next_id = 1000000;
	harness_limits(&w->boot.limits);
	if (tune)
		tune(&w->boot.limits);
	memcpy(w->boot.key_secret, harness_secret, sizeof(harness_secret));
	w->boot.n_trusted = w->boot.n_legacy = 1;
	w->boot.trusted_uid[0] = w->boot.legacy_uid[0] = (uint32_t)getuid();
	(void)pthread_mutex_init(&h->lock, NULL);
	(void)pthread_mutex_init(&h->call_lock, NULL);
	(void)pthread_cond_init(&h->called, NULL);
	w->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	w->ctl_fd = w->run_lock_fd = -1;
	harness_segments(h, complete);
	assert_int_equal(wrk_access_load(w, -1), 0);
	harness_tiers(h);
	assert_int_equal(wrk_loop_init(&w->loop), 0);
	harness_rings(h);
	wrk_ring_on_room(w->ring, harness_room, h);
	assert_int_equal(wrk_fdcache_new(w->boot.limits.max_open_fds, &w->fdcache), 0);
	assert_int_equal(wrk_small_new(&w->small), 0);
	assert_int_equal(wrk_reap_new(&w->reap), 0);
	assert_int_equal(wrk_io_new(&w->loop, 2, wrk_fdcache_thread_in, wrk_fdcache_thread_out, &w->io), 0);
	assert_int_equal(wrk_put_new(w, &w->puts), 0);
	assert_int_equal(wrk_legacy_new(w, &w->legacy), 0);
	assert_int_equal(wrk_watch_set_new(w, &w->watches), 0);
	assert_int_equal(wrk_conn_set_new(w, &w->conns), 0);
	assert_int_equal(wrk_accept_new(w, &w->accept), 0);
	(void)snprintf(h->sock, sizeof(h->sock), "%s/sock", h->dir);
	(void)snprintf(h->legacy, sizeof(h->legacy), "%s/legacy", h->dir);
	wrk_accept_add(w->accept, harness_listen(h->sock), OM_LISTEN_DATA);
	wrk_accept_add(w->accept, harness_listen(h->legacy), OM_LISTEN_LEGACY);
	w->loop.before_wait = harness_before_wait;
	w->loop.after_wait = harness_after_wait;
	w->loop.hook_arg = h;
	h->poke_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	h->poke = WRK_SRC_INIT(harness_poked, h);
	assert_int_equal(wrk_loop_add(&w->loop, &h->poke, h->poke_fd, EPOLLIN), 0);
	assert_int_equal(wrk_accept_start(w->accept), 0);
	assert_int_equal(pthread_create(&h->sup_thread, NULL, sup_run, h), 0);
	assert_int_equal(pthread_create(&h->loop_thread, NULL, harness_loop, h), 0);
	return h;
}

static void harness_end_loop(struct harness *h) { h->w.loop.stop = true; }

void harness_stop(struct harness *h)
{
	struct wrk *w = &h->w;
	char cmd[128];

	harness_call(h, harness_end_loop);
	(void)pthread_join(h->loop_thread, NULL);
	h->stop = true;
	(void)pthread_join(h->sup_thread, NULL);
	wrk_accept_free(w->accept);
	wrk_io_free(w->io);
	w->io = NULL;
	wrk_conn_set_free(w->conns);
	wrk_access_free(w);
	wrk_watch_set_free(w->watches);
	wrk_legacy_free(w->legacy);
	wrk_put_free(w->puts);
	wrk_reap_free(w->reap);
	wrk_fdcache_free(w->fdcache);
	wrk_small_free(w->small);
	wrk_req_fini();
	wrk_ring_free(w->ring);
	om_ring_fini(&h->sup);
	wrk_loop_del(&w->loop, &h->poke);
	wrk_loop_fini(&w->loop);
	(void)close(h->poke_fd);
	(void)close(w->null_fd);
	for (unsigned i = 0; i < 2; i++) {
		(void)close(w->tiers[i].objects_fd);
		(void)close(w->tiers[i].staging_fd);
	}
	idxr_detach(&w->idx);
	idx_gen_unmap(w->gens);
	(void)close(w->gens_fd);
	idx_alogw_detach(&w->alog);
	idxw_free(h->idx);
	idx_genw_free(h->gens);
	om_seg_close(&h->alog);
	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", h->dir);
	assert_int_equal(system(cmd), 0);
	free(h); /* the counters stay mapped: om_count() may be called for ever */
}

/* ---------------------------------------------------------------- objects */

static void harness_path(char path[OM_OBJ_PATH_MAX], int dirfd, uint64_t id)
{
	om_obj_dir(id, path);
	(void)mkdirat(dirfd, path, 0700);
	om_obj_path(id, path);
}

void harness_file(struct harness *h, uint64_t id, const void *data, size_t len, unsigned tier)
{
	char path[OM_OBJ_PATH_MAX];
	int dirfd = h->w.tiers[tier].objects_fd, fd;

	harness_path(path, dirfd, id);
	fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	(void)close(fd);
}

void harness_unlink(struct harness *h, uint64_t id, unsigned tier)
{
	char path[OM_OBJ_PATH_MAX];

	om_obj_path(id, path);
	assert_int_equal(unlinkat(h->w.tiers[tier].objects_fd, path, 0), 0);
}

void harness_index(struct harness *h, const char *uri, uint64_t id, uint64_t size, unsigned tier, uint64_t expiry_s)
{
	struct idx_ent ent = { .id = id, .size = size, .mtime_ns = 1700000000ull * 1000000000u, .rev = 1,
			       .tier = (uint8_t)tier, .home = (uint8_t)tier, .expiry_s = expiry_s };
	struct idx_key key;

	idx_key_make(harness_secret, uri, strlen(uri), &key);
	(void)pthread_mutex_lock(&h->lock);
	assert_int_equal(idxw_put(h->idx, &key, &ent), 0);
	(void)pthread_mutex_unlock(&h->lock);
}

uint64_t harness_hidden(struct harness *h, const char *uri, const void *data, size_t len, unsigned tier)
{
	struct harness_obj *o;
	uint64_t id;

	(void)pthread_mutex_lock(&h->lock);
	assert_true(h->n_objs < HARNESS_OBJ_MAX);
	o = &h->objs[h->n_objs++];
	*o = (struct harness_obj){ .id = ++h->next_id, .size = len, .tier = (uint8_t)tier, .live = true };
	(void)snprintf(o->uri, sizeof(o->uri), "%s", uri);
	id = o->id;
	(void)pthread_mutex_unlock(&h->lock);
	harness_file(h, id, data, len, tier);
	return id;
}

uint64_t harness_object(struct harness *h, const char *uri, const void *data, size_t len, unsigned tier)
{
	uint64_t id = harness_hidden(h, uri, data, len, tier);

	harness_index(h, uri, id, len, tier, 0);
	return id;
}

uint64_t harness_sparse(struct harness *h, const char *uri, uint64_t size, unsigned tier)
{
	uint64_t id = harness_hidden(h, uri, "", 0, tier);
	char path[OM_OBJ_PATH_MAX];
	int dirfd = h->w.tiers[tier].objects_fd, fd;

	harness_path(path, dirfd, id);
	assert_int_equal(unlinkat(dirfd, path, 0), 0);
	fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(pwrite(fd, "head", 4, 0), 4);
	if (size > (1ull << 32) + 5)
		assert_int_equal(pwrite(fd, "4GiB", 4, (off_t)(1ull << 32)), 4);
	assert_int_equal(pwrite(fd, "E", 1, (off_t)size - 1), 1);
	(void)close(fd);
	harness_index(h, uri, id, size, tier, 0);
	return id;
}

uint64_t harness_counter(enum om_counter c) { return atomic_load(&om_counter_self->v[c]); }

/* ---------------------------------------------------------------- the client */

/* Returns when the fake supervisor has admitted or refused it, so that a test may hold its answers from then on. */
static int harness_connect_to(struct harness *h, const char *path)
{
	unsigned before = h->verdicts;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = 10 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	for (int i = 0; i < 5000 && h->verdicts == before && !h->sup_hold; i++)
		(void)usleep(1000);
	return fd;
}

int harness_connect(struct harness *h) { return harness_connect_to(h, h->sock); }
int harness_connect_legacy(struct harness *h) { return harness_connect_to(h, h->legacy); }

void harness_write(int fd, const void *p, size_t n)
{
	while (n) {
		ssize_t k = write(fd, p, n);

		assert_true(k > 0);
		p = (const char *)p + k;
		n -= (size_t)k;
	}
}

void harness_read(int fd, void *p, size_t n)
{
	while (n) {
		ssize_t k = read(fd, p, n);

		if (k <= 0)
			print_error("# %zu bytes missing, read: %zd, %s\n", n, k, k < 0 ? strerror(errno) : "end");
		assert_true(k > 0);
		p = (char *)p + k;
		n -= (size_t)k;
	}
}

int harness_read_fd_byte(int fd)
{
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(sizeof(int) * 4)];
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c;
	int got;

	assert_int_equal(recvmsg(fd, &h, MSG_CMSG_CLOEXEC), 1);
	assert_int_equal(byte, 'X');
	c = CMSG_FIRSTHDR(&h);
	assert_non_null(c);
	assert_int_equal(c->cmsg_len, CMSG_LEN(sizeof(int))); /* exactly one */
	memcpy(&got, CMSG_DATA(c), sizeof(got));
	return got;
}

bool harness_at_end(int fd)
{
	char byte;
	ssize_t n = read(fd, &byte, 1);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

bool harness_quiet(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 0;
}
