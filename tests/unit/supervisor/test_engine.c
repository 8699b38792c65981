/*
 * test_engine.c: the engine with a pretended worker and lifecycle process on its rings: reservations, commits, replaces,
 * preconditions, deletes, listings, removals, what a restart finds, a lost catalog, a hostile child.
 */
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/stat.h>

#include "common/om_ring.h"
#include "index/idxr.h"
#include "supervisor/sup_engine.h"

struct peer {
	struct om_ring ring;
	struct idxr idx;
	uint64_t req;
	struct om_op_scan scan; /* the last one asked for */
	bool idle; /* removals are not worked on */
	uint64_t reaped[256];
	unsigned n_reaped;
};

struct world {
	char dir[64], mem[64];
	struct om_conf *conf;
	const char *adopt[3];
	struct sup_engine *e;
	struct peer w, l;
	_Atomic int killed; /* place + 1 */
};

static void on_kill(void *arg, unsigned place, const char *why)
{
	struct world *x = arg;
	(void)why;
	x->killed = (int)place + 1;
}

static void on_index(void *arg, uint32_t seq, int index_rofd, int heatfd)
{
	struct world *x = arg;
	om_close(&index_rofd);
	om_close(&heatfd);
	sup_engine_index_ack(x->e, 0, seq);
	sup_engine_index_ack(x->e, 1, seq);
}

static void attach(struct world *x, struct peer *p, unsigned place, enum om_role role)
{
	struct sup_engine_child c;
	struct om_seg own, peer;

	assert_int_equal(sup_engine_child_open(x->e, place, role, &c), 0);
	assert_int_equal(om_seg_attach(c.ring_own, 1, true, &own), 0);
	assert_int_equal(om_seg_attach(c.ring_peer, 1, false, &peer), 0);
	assert_int_equal(om_ring_init(&p->ring, own, peer, c.kick_peer, c.kick_self), 0);
	assert_int_equal(idxr_attach(c.index, &p->idx), 0);
	om_close(&c.gens);
	om_close(&c.heat);
}

static void start(struct world *x)
{
	struct sup_engine_cb cb = { on_kill, on_index, x };

	assert_int_equal(sup_engine_open(x->conf, x->adopt, &cb, &x->e), 0);
	assert_int_equal(sup_engine_start(x->e), 0);
	memset(&x->w, 0, sizeof(x->w));
	memset(&x->l, 0, sizeof(x->l));
	attach(x, &x->l, 0, OM_ROLE_LIFECYCLE);
	attach(x, &x->w, 1, OM_ROLE_WORKER);
}

static void stop(struct world *x)
{
	sup_engine_close(x->e);
	x->e = NULL;
	om_ring_fini(&x->w.ring);
	om_ring_fini(&x->l.ring);
	idxr_detach(&x->w.idx);
	idxr_detach(&x->l.idx);
}

static int setup(void **state)
{
	struct world *x = calloc(1, sizeof(*x));
	struct om_conf_report rep = { 0 };

	assert_non_null(x);
	strcpy(x->dir, "/tmp/om-engine-XXXXXX");
	strcpy(x->mem, "/dev/shm/om-engine-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	assert_non_null(mkdtemp(x->mem));
	assert_int_equal(om_conf_default(x->dir, x->mem, &x->conf, &rep), 0);
	om_conf_report_free(&rep);
	char path[128];
	snprintf(path, sizeof(path), "%s/disk", x->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/state", x->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	om_log_level(OM_LOG_ERR);
	start(x);
	*state = x;
	return 0;
}

static int rm_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct world *x = *state;

	if (x->e)
		stop(x);
	om_conf_free(x->conf);
	nftw(x->dir, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	nftw(x->mem, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	free(x);
	return 0;
}

static union {
	struct om_op_hdr hdr;
	unsigned char b[OM_RING_MSG_MAX];
} msg;

/* Waits for the next message; the lifecycle's REAPs are answered on the side. */
static void serve_reaps(struct world *x)
{
	static union {
		struct om_op_hdr hdr;
		struct om_op_reap reap;
		unsigned char b[OM_RING_MSG_MAX];
	} m;
	size_t len;

	while (!x->l.idle && om_ring_get(&x->l.ring, m.b, sizeof(m.b), &len) == 0) {
		if (m.hdr.type == OM_OP_SCAN)
			memcpy(&x->l.scan, m.b, sizeof(x->l.scan));
		if (m.hdr.type != OM_OP_REAP)
			continue;
		if (x->l.n_reaped < 256)
			x->l.reaped[x->l.n_reaped++] = m.reap.id;
		struct om_op_reaped r = { .hdr = { .len = sizeof(r), .type = OM_OP_REAPED, .req = m.hdr.req }, .id = m.reap.id,
					  .tier = m.reap.tier };
		struct iovec iov = { &r, sizeof(r) };
		assert_int_equal(om_ring_put(&x->l.ring, &iov, 1), 0);
		om_ring_kick(&x->l.ring);
	}
}

static void next(struct world *x)
{
	size_t len;

	for (int i = 0; i < 10000; i++) {
		serve_reaps(x);
		if (om_ring_get(&x->w.ring, msg.b, sizeof(msg.b), &len) == 0) {
			assert_int_equal(len, msg.hdr.len);
			return;
		}
		usleep(500);
	}
	fail_msg("no answer");
}

static void put_msg(struct peer *p, void *m, size_t len, const char *uri, const void *more, size_t more_len)
{
	struct om_op_hdr *h = m;
	struct iovec iov[] = { { m, len }, { (void *)(uintptr_t)uri, strlen(uri) }, { (void *)(uintptr_t)more, more_len } };

	h->len = (uint32_t)(len + strlen(uri) + more_len);
	h->req = ++p->req;
	assert_int_equal(om_ring_put(&p->ring, iov, 3), 0);
	om_ring_kick(&p->ring);
}

static uint8_t tier_no(struct world *x, const char *name)
{
	struct sup_engine_stat st;

	sup_engine_stat(x->e, &st);
	for (unsigned i = 0; i < st.n_tiers; i++)
		if (!strcmp(st.tiers[i].name, name))
			return st.tiers[i].tier;
	fail_msg("no tier %s", name);
	return 0;
}

static const struct om_op_verdict *verdict(struct world *x)
{
	next(x);
	assert_int_equal(msg.hdr.type, OM_OP_VERDICT);
	assert_int_equal(msg.hdr.req, x->w.req);
	return (const void *)msg.b;
}

static int prepare(struct world *x, const char *uri, uint8_t tier, uint32_t flags, struct om_op_cond cond, uint64_t *ret_id)
{
	struct om_op_prepare m = { .hdr.type = OM_OP_PREPARE, .tier = tier, .flags = flags, .size = 5, .cond = cond,
				   .uri_len = (uint16_t)strlen(uri) };

	put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	const struct om_op_verdict *v = verdict(x);
	*ret_id = v->id;
	return v->status;
}

static int commit(struct world *x, const char *uri, uint8_t tier, uint32_t flags, uint64_t id)
{
	struct om_op_commit m = { .hdr.type = OM_OP_COMMIT, .tier = tier, .flags = flags, .size = 5, .id = id, .mtime_ns = 7,
				  .uri_len = (uint16_t)strlen(uri), .type_len = 4 };

	put_msg(&x->w, &m, sizeof(m), uri, "text", 4);
	return verdict(x)->status;
}

static uint64_t put(struct world *x, const char *uri, const char *tier, uint32_t flags)
{
	uint64_t id;

	assert_int_equal(prepare(x, uri, tier_no(x, tier), flags, (struct om_op_cond){ 0 }, &id), 0);
	assert_int_equal(commit(x, uri, tier_no(x, tier), flags, id), 0);
	return id;
}

static int del(struct world *x, const char *uri)
{
	struct om_op_delete m = { .hdr.type = OM_OP_DELETE, .uri_len = (uint16_t)strlen(uri) };

	put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	return verdict(x)->status;
}

static int lookup(struct world *x, const char *uri, struct om_op_record *ret)
{
	struct om_op_lookup m = { .hdr.type = OM_OP_LOOKUP, .uri_len = (uint16_t)strlen(uri), .full = 1 };

	put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	next(x);
	assert_int_equal(msg.hdr.type, OM_OP_RECORD);
	memcpy(ret, msg.b, sizeof(*ret));
	return ret->status;
}

static int index_get(struct world *x, const char *uri, struct idx_ent *ret)
{
	struct idx_key key;

	idx_key_make(sup_engine_secret(x->e), uri, strlen(uri), &key);
	return idxr_get(&x->w.idx, &key, ret, NULL);
}

static void wait_complete(struct world *x)
{
	struct sup_engine_stat st;

	for (int i = 0; i < 5000; i++) {
		serve_reaps(x);
		sup_engine_stat(x->e, &st);
		if (st.complete && st.pending_removals == 0 && st.pending_ops == 0)
			return;
		usleep(1000);
	}
	fail_msg("not complete: ops %llu removals %llu", (unsigned long long)st.pending_ops, (unsigned long long)st.pending_removals);
}

static bool was_reaped(const struct world *x, uint64_t id)
{
	for (unsigned i = 0; i < x->l.n_reaped; i++)
		if (x->l.reaped[i] == id)
			return true;
	return false;
}

static void test_put_replace_delete(void **state)
{
	struct world *x = *state;
	struct om_op_record rec;
	struct idx_ent ent;

	uint64_t a = put(x, "/a", "disk", 0);
	assert_int_equal(index_get(x, "/a", &ent), 0);
	assert_int_equal(ent.id, a);
	uint64_t b = put(x, "/a", "disk", 0);
	assert_true(b > a);
	assert_int_equal(index_get(x, "/a", &ent), 0);
	assert_int_equal(ent.id, b);
	wait_complete(x);
	assert_true(was_reaped(x, a));
	assert_int_equal(lookup(x, "/a", &rec), 0);
	assert_int_equal(rec.id, b);
	assert_int_equal(rec.type_len, 4);
	assert_int_equal(del(x, "/a"), 0);
	assert_int_equal(index_get(x, "/a", &ent), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(del(x, "/a"), -OBJM_STATUS_NOT_FOUND);
	wait_complete(x);
	assert_true(was_reaped(x, b));
}

static void test_ephemeral_never_persistent(void **state)
{
	struct world *x = *state;
	uint64_t id;

	assert_int_equal(prepare(x, "/e", tier_no(x, "disk"), OM_OBJ_EPHEMERAL, (struct om_op_cond){ 0 }, &id),
			 -OBJM_STATUS_INVALID_REQUEST);
	/* a worker that lies at COMMIT is stopped at the commit itself */
	assert_int_equal(prepare(x, "/e", tier_no(x, "disk"), 0, (struct om_op_cond){ 0 }, &id), 0);
	assert_int_equal(commit(x, "/e", tier_no(x, "disk"), OM_OBJ_EPHEMERAL, id), -OBJM_STATUS_INVALID_REQUEST);
	wait_complete(x);
	assert_true(was_reaped(x, id));
}

static void test_replace_across_tiers(void **state)
{
	struct world *x = *state;
	struct idx_ent ent;
	struct om_op_record rec;

	uint64_t a = put(x, "/x", "disk", 0);
	uint64_t b = put(x, "/x", "memory", OM_OBJ_EPHEMERAL);
	wait_complete(x);
	assert_true(was_reaped(x, a));
	assert_int_equal(index_get(x, "/x", &ent), 0);
	assert_int_equal(ent.id, b);
	assert_int_equal(ent.tier, tier_no(x, "memory"));
	assert_int_equal(del(x, "/x"), 0);
	assert_int_equal(lookup(x, "/x", &rec), -OBJM_STATUS_NOT_FOUND);
}

static void test_conditions(void **state)
{
	struct world *x = *state;
	uint64_t id, id2;
	struct om_op_cond none = { 0 }, absent = { .kind = OM_COND_ABSENT };

	assert_int_equal(prepare(x, "/c", tier_no(x, "memory"), 0, absent, &id), 0);
	assert_int_equal(prepare(x, "/c", tier_no(x, "memory"), 0, absent, &id2), -OBJM_STATUS_TRY_AGAIN);
	assert_int_equal(commit(x, "/c", tier_no(x, "memory"), 0, id), 0);
	assert_int_equal(prepare(x, "/c", tier_no(x, "memory"), 0, absent, &id2), -OBJM_STATUS_PRECONDITION_FAILED);
	struct om_op_cond same = { .kind = OM_COND_VERSION, .id = id };
	assert_int_equal(prepare(x, "/c", tier_no(x, "memory"), 0, same, &id2), 0);
	/* an unconditional change waits for the conditional one, and comes after it */
	uint64_t id3;
	assert_int_equal(prepare(x, "/c", tier_no(x, "memory"), 0, none, &id3), 0);
	struct om_op_commit m = { .hdr.type = OM_OP_COMMIT, .tier = tier_no(x, "memory"), .size = 5, .id = id3, .uri_len = 2 };
	put_msg(&x->w, &m, sizeof(m), "/c", NULL, 0);
	uint64_t req3 = x->w.req;
	struct om_op_commit m2 = { .hdr.type = OM_OP_COMMIT, .tier = tier_no(x, "memory"), .size = 5, .id = id2, .uri_len = 2 };
	put_msg(&x->w, &m2, sizeof(m2), "/c", NULL, 0);
	next(x);
	assert_int_equal(msg.hdr.req, x->w.req);
	assert_int_equal(((struct om_op_verdict *)msg.b)->status, 0);
	next(x);
	assert_int_equal(msg.hdr.req, req3);
	assert_int_equal(((struct om_op_verdict *)msg.b)->status, 0);
	struct idx_ent ent;
	assert_int_equal(index_get(x, "/c", &ent), 0);
	assert_int_equal(ent.id, id3);
}

static unsigned list_count(struct world *x, const char *prefix, uint32_t limit, char last[static 64], bool *ret_more)
{
	struct om_op_list m = { .hdr.type = OM_OP_LIST, .limit = limit, .prefix_len = (uint16_t)strlen(prefix),
				.after_len = (uint16_t)strlen(last) };
	unsigned n = 0;

	put_msg(&x->w, &m, sizeof(m), prefix, last, strlen(last));
	for (;;) {
		next(x);
		if (msg.hdr.type == OM_OP_LIST_END)
			break;
		assert_int_equal(msg.hdr.type, OM_OP_ENTRY);
		const struct om_op_entry *ent = (const void *)msg.b;
		char name[64];
		snprintf(name, sizeof(name), "%.*s", (int)ent->uri_len, (const char *)(ent + 1));
		assert_true(strcmp(name, last) > 0);
		strcpy(last, name);
		n++;
	}
	const struct om_op_list_end *end = (const void *)msg.b;
	assert_int_equal(end->status, 0);
	*ret_more = end->more;
	return n;
}

static void test_list_pages(void **state)
{
	struct world *x = *state;
	char uri[32], last[64] = "";
	unsigned total = 0;
	bool more = true;

	for (int i = 0; i < 25; i++) {
		snprintf(uri, sizeof(uri), "/l/%03d", i);
		put(x, uri, i % 2 ? "disk" : "memory", 0);
	}
	put(x, "/m", "memory", 0);
	while (more)
		total += list_count(x, "/l/", 10, last, &more);
	assert_int_equal(total, 25);
}

static void test_restart_keeps(void **state)
{
	struct world *x = *state;
	struct idx_ent ent;
	uint64_t orphan;

	uint64_t a = put(x, "/keep", "disk", 0), b = put(x, "/eph", "memory", OM_OBJ_EPHEMERAL);
	assert_int_equal(prepare(x, "/never", tier_no(x, "disk"), 0, (struct om_op_cond){ 0 }, &orphan), 0);
	stop(x);
	start(x);
	for (int i = 0; i < 1000 && index_get(x, "/keep", &ent) == -OBJM_STATUS_BUSY; i++)
		usleep(1000);
	assert_int_equal(index_get(x, "/keep", &ent), 0);
	assert_int_equal(ent.id, a);
	assert_int_equal(index_get(x, "/eph", &ent), 0);
	assert_int_equal(ent.id, b);
	assert_true(put(x, "/new", "disk", 0) > orphan);
	/* the reservation was open when it ended: the unsettled range is scanned */
	for (int i = 0; i < 2000 && !x->l.scan.id_to; i++, usleep(1000))
		serve_reaps(x);
	assert_int_equal(x->l.scan.mode, OM_SCAN_ORPHANS);
	assert_true(x->l.scan.id_from <= orphan && orphan < x->l.scan.id_to);
}

static void found(struct world *x, uint8_t tier, const char *uri, uint64_t id)
{
	struct om_op_found m = { .hdr.type = OM_OP_FOUND, .id = id, .size = 5, .rev = 1, .tier = tier,
				 .uri_len = (uint16_t)strlen(uri) };
	put_msg(&x->l, &m, sizeof(m), uri, NULL, 0);
}

static void test_lost_catalog_is_rebuilt(void **state)
{
	struct world *x = *state;
	struct om_op_record rec;
	struct idx_ent ent;
	char path[128];

	x->l.idle = true; /* the files of what is replaced and deleted are still there when it ends */
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/a", "disk", 0), c = put(x, "/gone", "disk", 0);
	assert_int_equal(del(x, "/gone"), 0);
	stop(x);
	snprintf(path, sizeof(path), "%s/disk/catalog", x->dir);
	nftw(path, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	start(x);
	uint8_t disk = tier_no(x, "disk");
	for (int i = 0; i < 2000 && !x->l.scan.id_to; i++, usleep(1000))
		serve_reaps(x);
	assert_int_equal(x->l.scan.mode, OM_SCAN_REBUILD);
	assert_int_equal(lookup(x, "/a", &rec), -OBJM_STATUS_UNAVAILABLE);
	found(x, disk, "/a", b);
	found(x, disk, "/a", a); /* the replaced one is still there: the higher id wins, in any order */
	found(x, disk, "/gone", c);
	struct om_op_scanned d = { .hdr.type = OM_OP_SCANNED, .tier = disk, .files = 3 };
	put_msg(&x->l, &d, sizeof(d), "", NULL, 0);
	wait_complete(x);
	assert_int_equal(index_get(x, "/a", &ent), 0);
	assert_int_equal(ent.id, b);
	assert_int_equal(lookup(x, "/gone", &rec), -OBJM_STATUS_NOT_FOUND);
	assert_true(was_reaped(x, a));
	assert_true(was_reaped(x, c));
	struct sup_engine_stat st;
	sup_engine_stat(x->e, &st);
	for (unsigned i = 0; i < st.n_tiers; i++)
		assert_int_equal(st.tiers[i].state, OM_TIERS_READY);
}

/* The state is lost: what lies on the tiers is unavailable, not missing, until somebody says that it is ours. */
static void test_lost_state_is_adopted(void **state)
{
	struct world *x = *state;
	struct om_op_record rec;
	struct idx_ent ent;
	char path[128];

	uint64_t a = put(x, "/a", "disk", 0);
	stop(x);
	snprintf(path, sizeof(path), "%s/disk/objects/000000000", x->dir); /* what a worker would have made for the file */
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/state", x->dir);
	nftw(path, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkdir(path, 0700), 0);
	start(x);
	assert_int_equal(lookup(x, "/a", &rec), -OBJM_STATUS_UNAVAILABLE);
	stop(x);
	x->adopt[0] = "disk";
	start(x);
	for (int i = 0; i < 2000 && !x->l.scan.id_to; i++, usleep(1000))
		serve_reaps(x);
	assert_int_equal(x->l.scan.mode, OM_SCAN_REBUILD);
	assert_true(a < x->l.scan.id_to); /* no id of the tier is given out again */
	uint8_t disk = tier_no(x, "disk");
	found(x, disk, "/a", a);
	struct om_op_scanned d = { .hdr.type = OM_OP_SCANNED, .tier = disk, .files = 1 };
	put_msg(&x->l, &d, sizeof(d), "", NULL, 0);
	wait_complete(x);
	assert_int_equal(index_get(x, "/a", &ent), 0);
	assert_int_equal(ent.id, a);
}

/* What was deleted and replaced while a tier was away does not come back with it. */
static void test_deleted_while_away(void **state)
{
	struct world *x = *state;
	struct idx_ent ent;
	char path[128], away[128];

	put(x, "/gone", "disk", 0);
	put(x, "/other", "disk", 0);
	stop(x);
	snprintf(path, sizeof(path), "%s/disk", x->dir);
	snprintf(away, sizeof(away), "%s/away", x->dir);
	assert_int_equal(rename(path, away), 0);
	start(x);
	assert_int_equal(del(x, "/gone"), 0);
	put(x, "/other", "memory", OM_OBJ_EPHEMERAL);
	assert_int_equal(del(x, "/other"), 0); /* put and deleted again: the tier's own must not resurface either */
	stop(x);
	assert_int_equal(rename(away, path), 0);
	for (int round = 0; round < 2; round++) { /* the second start has no tombstones left to lean on */
		start(x);
		wait_complete(x);
		assert_int_equal(index_get(x, "/gone", &ent), -OBJM_STATUS_NOT_FOUND);
		assert_int_equal(index_get(x, "/other", &ent), -OBJM_STATUS_NOT_FOUND);
		stop(x);
	}
}

static void test_hostile_child_is_killed(void **state)
{
	struct world *x = *state;
	struct om_op_commit m = { .hdr.type = OM_OP_COMMIT, .tier = 0, .size = 5, .id = 12345, .uri_len = 2 };

	put_msg(&x->w, &m, sizeof(m), "/c", NULL, 0);
	for (int i = 0; i < 2000 && !x->killed; i++)
		usleep(1000);
	assert_int_equal(x->killed, 2);
}

static void test_grows(void **state)
{
	struct world *x = *state;
	struct sup_engine_stat st;
	uint64_t before;

	sup_engine_stat(x->e, &st);
	before = st.slots;
	/* the pipeline of a busy worker: many PREPAREs and COMMITs at once */
	unsigned todo = 60000, sent = 0, prepared = 0, done = 0;
	uint8_t mem = tier_no(x, "memory");
	char uri[32];
	size_t len;
	while (done < todo) {
		serve_reaps(x);
		if (sent < todo && sent - done < 512) {
			int n = snprintf(uri, sizeof(uri), "/g/%u", sent);
			struct om_op_prepare p = { .hdr = { .len = (uint32_t)(sizeof(p) + (size_t)n), .type = OM_OP_PREPARE, .req = sent },
						   .tier = mem, .size = 1, .uri_len = (uint16_t)n };
			struct iovec iov[] = { { &p, sizeof(p) }, { uri, (size_t)n } };
			if (om_ring_put(&x->w.ring, iov, 2) == 0)
				sent++;
			om_ring_kick(&x->w.ring);
		}
		if (om_ring_get(&x->w.ring, msg.b, sizeof(msg.b), &len) < 0)
			continue;
		struct om_op_verdict v;
		memcpy(&v, msg.b, sizeof(v));
		assert_int_equal(v.status, 0);
		if (v.hdr.req & 1u << 31) {
			done++;
			continue;
		}
		int n = snprintf(uri, sizeof(uri), "/g/%u", (unsigned)v.hdr.req);
		struct om_op_commit c = { .hdr = { .len = (uint32_t)(sizeof(c) + (size_t)n), .type = OM_OP_COMMIT,
						   .req = v.hdr.req | 1u << 31 },
					  .id = v.id, .tier = mem, .size = 1, .uri_len = (uint16_t)n };
		struct iovec iov[] = { { &c, sizeof(c) }, { uri, (size_t)n } };
		while (om_ring_put(&x->w.ring, iov, 2) < 0)
			om_ring_kick(&x->w.ring);
		om_ring_kick(&x->w.ring);
		prepared++;
	}
	assert_int_equal(prepared, todo);
	for (int i = 0; i < 3000; i++) {
		sup_engine_stat(x->e, &st);
		if (st.slots > before && st.objects >= todo)
			break;
		usleep(1000);
	}
	assert_int_equal(st.objects, todo);
	assert_true(st.slots > before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_put_replace_delete),
		T(test_ephemeral_never_persistent),
		T(test_replace_across_tiers),
		T(test_conditions),
		T(test_list_pages),
		T(test_restart_keeps),
		T(test_lost_catalog_is_rebuilt),
		T(test_lost_state_is_adopted),
		T(test_deleted_while_away),
		T(test_hostile_child_is_killed),
		T(test_grows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
