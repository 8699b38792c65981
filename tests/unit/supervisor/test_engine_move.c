/*
 * test_engine_move.c: moves and cached copies, drops, lost files, and what a restart makes of what they left.
 */
#include "engine_world.h"

static int l_verdict(struct world *x)
{
	for (int i = 0; i < 10000; i++) {
		serve_reaps(x);
		if (x->l.verdict.hdr.req == x->l.req)
			return x->l.verdict.status;
		usleep(500);
	}
	fail_msg("no verdict for the lifecycle process");
	return 0;
}

struct mv {
	const char *uri;
	uint64_t id;
	uint32_t rev;
	uint8_t from, to, kind;
};

static void send_move(struct world *x, uint16_t type, const struct mv *m)
{
	struct om_op_move o = { .hdr.type = type, .id = m->id, .size = 5, .rev = m->rev, .from = m->from, .to = m->to,
				.kind = m->kind, .uri_len = (uint16_t)strlen(m->uri) };

	put_msg(&x->l, &o, sizeof(o), m->uri, NULL, 0);
}

static int begin(struct world *x, const struct mv *m)
{
	send_move(x, OM_OP_MOVE_BEGIN, m);
	int status = l_verdict(x);
	if (status == 0)
		world_file_make(x, m->to, m->id);
	return status;
}

static int finish(struct world *x, const struct mv *m)
{
	send_move(x, OM_OP_MOVE_COMMIT, m);
	return l_verdict(x);
}

static struct mv mv(struct world *x, const char *uri, uint64_t id, const char *from, const char *to, uint8_t kind)
{
	return (struct mv){ uri, id, 1, tier_no(x, from), tier_no(x, to), kind };
}

static void move_to(struct world *x, const char *uri, uint64_t id, const char *from, const char *to, uint8_t kind)
{
	struct mv m = mv(x, uri, id, from, to, kind);
	int status = -OBJM_STATUS_TRY_AGAIN;

	/* while an older file of this name is on its way out, a move there waits */
	for (int i = 0; i < 5000 && status == -OBJM_STATUS_TRY_AGAIN; i++) {
		if (i > 0)
			usleep(1000);
		status = begin(x, &m);
	}
	assert_int_equal(status, 0);
	assert_int_equal(finish(x, &m), 0);
}

static int drop(struct world *x, const char *uri, uint64_t id, const char *tier, uint8_t why)
{
	struct om_op_drop m = { .hdr.type = OM_OP_DROP, .id = id, .rev = 1, .tier = tier_no(x, tier), .why = why,
				.uri_len = (uint16_t)strlen(uri) };

	put_msg(&x->l, &m, sizeof(m), uri, NULL, 0);
	return l_verdict(x);
}

static int gone(struct world *x, const char *uri, uint64_t id, const char *tier)
{
	struct om_op_gone m = { .hdr.type = OM_OP_GONE, .id = id, .tier = tier_no(x, tier), .uri_len = (uint16_t)strlen(uri) };

	put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	return verdict(x)->status;
}

static void check_at(struct world *x, const char *uri, uint64_t id, const char *tier, const char *home)
{
	struct idx_ent ent;

	assert_int_equal(index_get(x, uri, &ent), 0);
	assert_int_equal(ent.id, id);
	assert_int_equal(ent.tier, tier_no(x, tier));
	assert_int_equal(ent.home, tier_no(x, home));
	assert_true(world_file_is(x, ent.tier, id));
	assert_true(world_file_is(x, ent.home, id));
}

static void check_none(struct world *x, const char *uri, uint64_t id)
{
	struct om_op_record rec;
	struct idx_ent ent;

	wait_complete(x);
	assert_int_equal(index_get(x, uri, &ent), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(lookup(x, uri, &rec), -OBJM_STATUS_NOT_FOUND);
	assert_false(world_file_is(x, tier_no(x, "memory"), id));
	assert_false(world_file_is(x, tier_no(x, "disk"), id));
	assert_false(world_file_is(x, tier_no(x, "slow"), id));
}

static void wait_file_gone(struct world *x, const char *tier, uint64_t id)
{
	for (int i = 0; i < 10000 && world_file_is(x, tier_no(x, tier), id); i++, usleep(500))
		serve_reaps(x);
	assert_false(world_file_is(x, tier_no(x, tier), id));
}

static uint64_t objects_on(struct world *x, const char *tier)
{
	struct sup_engine_stat st;

	sup_engine_stat(x->e, &st);
	for (unsigned i = 0; i < st.n_tiers; i++)
		if (!strcmp(st.tiers[i].name, tier))
			return st.tiers[i].objects;
	return UINT64_MAX;
}

static void test_home_moves(void **state)
{
	struct world *x = *state;
	struct om_op_record rec;

	uint64_t a = put(x, "/a", "disk", 0);
	move_to(x, "/a", a, "disk", "slow", OM_MOVE_HOME);
	check_at(x, "/a", a, "slow", "slow");
	wait_complete(x);
	assert_false(world_file_is(x, tier_no(x, "disk"), a));
	assert_int_equal(objects_on(x, "disk"), 0);
	assert_int_equal(objects_on(x, "slow"), 1);
	assert_int_equal(lookup(x, "/a", &rec), 0);
	assert_int_equal(rec.type_len, 4); /* the record that stood, not what the mover says */
	assert_int_equal(rec.mtime_ns, 7);
	move_to(x, "/a", a, "slow", "disk", OM_MOVE_HOME); /* and back, under the same name */
	check_at(x, "/a", a, "disk", "disk");
	assert_int_equal(del(x, "/a"), 0);
	check_none(x, "/a", a);
}

static void test_copy(void **state)
{
	struct world *x = *state;
	bool more;
	char last[64] = "";

	uint64_t a = put(x, "/a", "disk", 0);
	move_to(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	check_at(x, "/a", a, "memory", "disk");
	assert_int_equal(list_count(x, "/", 10, last, &more), 1);
	/* one copy is enough */
	struct mv again = mv(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(begin(x, &again), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(drop(x, "/a", a, "memory", OM_DROP_COPY), 0);
	check_at(x, "/a", a, "disk", "disk");
	assert_int_equal(objects_on(x, "memory"), 0);
	wait_complete(x);
	assert_false(world_file_is(x, tier_no(x, "memory"), a));
	assert_int_equal(drop(x, "/a", a, "memory", OM_DROP_COPY), -OBJM_STATUS_INVALID_REQUEST);
	/* its home moves: the copy goes with it */
	move_to(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	move_to(x, "/a", a, "disk", "slow", OM_MOVE_HOME);
	check_at(x, "/a", a, "slow", "slow");
	assert_int_equal(objects_on(x, "memory"), 0);
	/* replaced, deleted */
	move_to(x, "/a", a, "slow", "memory", OM_MOVE_COPY);
	uint64_t b = put(x, "/a", "disk", 0);
	check_at(x, "/a", b, "disk", "disk");
	assert_int_equal(objects_on(x, "memory") + objects_on(x, "slow"), 0);
	move_to(x, "/a", b, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(del(x, "/a"), 0);
	check_none(x, "/a", a);
	check_none(x, "/a", b);
	assert_int_equal(objects_on(x, "memory") + objects_on(x, "slow") + objects_on(x, "disk"), 0);
}

static void test_refused(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0), e = put(x, "/e", "memory", OM_OBJ_EPHEMERAL), p = put(x, "/p", "disk", OM_OBJ_PINNED);
	const struct {
		struct mv m;
		int status;
	} rows[] = {
		{ mv(x, "/e", e, "memory", "disk", OM_MOVE_HOME), -OBJM_STATUS_INVALID_REQUEST },
		{ mv(x, "/e", e, "memory", "disk", OM_MOVE_COPY), -OBJM_STATUS_INVALID_REQUEST },
		{ mv(x, "/a", a, "disk", "memory", OM_MOVE_HOME), -OBJM_STATUS_INVALID_REQUEST },
		{ mv(x, "/a", a, "disk", "slow", OM_MOVE_COPY), -OBJM_STATUS_INVALID_REQUEST },
		{ mv(x, "/a", a, "disk", "disk", OM_MOVE_HOME), -OBJM_STATUS_INVALID_REQUEST },
		{ mv(x, "/p", p, "disk", "slow", OM_MOVE_HOME), -OBJM_STATUS_INVALID_REQUEST },
		{ mv(x, "/a", a, "slow", "disk", OM_MOVE_HOME), -OBJM_STATUS_PRECONDITION_FAILED },
		{ mv(x, "/a", p, "disk", "slow", OM_MOVE_HOME), -OBJM_STATUS_PRECONDITION_FAILED },
		{ mv(x, "/none", a, "disk", "slow", OM_MOVE_HOME), -OBJM_STATUS_PRECONDITION_FAILED },
	};

	for (size_t i = 0; i < OM_ARRAY_SIZE(rows); i++)
		assert_int_equal(begin(x, &rows[i].m), rows[i].status);
	struct mv m = mv(x, "/a", a, "disk", "slow", OM_MOVE_HOME), other = mv(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	m.rev = 2;
	assert_int_equal(begin(x, &m), -OBJM_STATUS_PRECONDITION_FAILED);
	m.rev = 1;
	m.to = 30;
	assert_int_equal(begin(x, &m), -OBJM_STATUS_INVALID_REQUEST);
	m.to = tier_no(x, "slow");
	assert_int_equal(begin(x, &m), 0);
	assert_int_equal(begin(x, &other), -OBJM_STATUS_TRY_AGAIN); /* one move of an object at a time */
	assert_int_equal(finish(x, &m), 0);
	assert_int_equal(x->killed, 0);
	send_move(x, OM_OP_MOVE_COMMIT, &m); /* a second time: a process that forgot what it did is not trusted */
	for (int i = 0; i < 5000 && !x->killed; i++)
		usleep(1000);
	assert_int_equal(x->killed, SUP_CHILD_LIFECYCLE + 1);
}

/* No room: what a move takes is reserved from its begin on. */
static void test_room(void **state)
{
	struct world *x = *state;
	char uri[8];
	uint64_t id;
	struct mv m[3];

	for (int i = 0; i < 3; i++) {
		snprintf(uri, sizeof(uri), "/%d", i);
		struct om_op_prepare p = { .hdr.type = OM_OP_PREPARE, .tier = tier_no(x, "disk"), .size = 140u << 20, .uri_len = 2 };
		put_msg(&x->w, &p, sizeof(p), uri, NULL, 0);
		id = verdict(x)->id;
		world_file_make(x, p.tier, id);
		struct om_op_commit c = { .hdr.type = OM_OP_COMMIT, .tier = p.tier, .size = p.size, .id = id, .uri_len = 2 };
		put_msg(&x->w, &c, sizeof(c), uri, NULL, 0);
		assert_int_equal(verdict(x)->status, 0);
		m[i] = mv(x, i == 0 ? "/0" : i == 1 ? "/1" : "/2", id, "disk", "memory", OM_MOVE_COPY);
	}
	assert_int_equal(begin(x, &m[0]), 0);
	assert_int_equal(begin(x, &m[1]), 0);
	assert_int_equal(begin(x, &m[2]), -OBJM_STATUS_NO_SPACE); /* 300 MiB hold two of 140 */
	send_move(x, OM_OP_MOVE_ABORT, &m[0]);
	int status = -OBJM_STATUS_NO_SPACE; /* until the file that was given up is gone */
	for (int i = 0; i < 5000 && status == -OBJM_STATUS_NO_SPACE; i++, usleep(1000))
		status = begin(x, &m[2]);
	assert_int_equal(status, 0);
	assert_int_equal(finish(x, &m[1]), 0);
	assert_int_equal(finish(x, &m[2]), 0);
	wait_complete(x);
	assert_false(world_file_is(x, tier_no(x, "memory"), m[0].id));
	check_at(x, "/2", m[2].id, "memory", "disk");
	check_at(x, "/0", m[0].id, "disk", "disk");
}

static void test_abort(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0);
	struct mv m = mv(x, "/a", a, "disk", "slow", OM_MOVE_HOME);

	assert_int_equal(begin(x, &m), 0);
	x->l.idle = true;
	send_move(x, OM_OP_MOVE_ABORT, &m);
	x->l.idle = false; /* the removal is on its way: its name is not free before it is done */
	int status = -OBJM_STATUS_TRY_AGAIN;
	for (int i = 0; i < 5000 && status == -OBJM_STATUS_TRY_AGAIN; i++, usleep(1000))
		status = begin(x, &m);
	assert_int_equal(status, 0);
	assert_true(was_reaped(x, a));
	assert_int_equal(finish(x, &m), 0);
	check_at(x, "/a", a, "slow", "slow");
}

/* The process dies, with moves begun and one committed but unanswered. */
static void test_lifecycle_dies(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "disk", 0);
	struct mv m = mv(x, "/a", a, "disk", "slow", OM_MOVE_HOME), n = mv(x, "/b", b, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(begin(x, &m), 0);
	assert_int_equal(begin(x, &n), 0);
	world_lifecycle_again(x);
	wait_file_gone(x, "slow", a);
	wait_file_gone(x, "memory", b);
	check_at(x, "/a", a, "disk", "disk");
	check_at(x, "/b", b, "disk", "disk");
	assert_int_equal(x->killed, 0);
	move_to(x, "/a", a, "disk", "slow", OM_MOVE_HOME); /* nothing of the first is in the way */
	check_at(x, "/a", a, "slow", "slow");
}

/* What changed between BEGIN and COMMIT is not overwritten. */
static void test_changed_meanwhile(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "disk", 0);
	struct mv m = mv(x, "/a", a, "disk", "slow", OM_MOVE_HOME), n = mv(x, "/b", b, "disk", "memory", OM_MOVE_COPY);

	assert_int_equal(begin(x, &m), 0);
	assert_int_equal(begin(x, &n), 0);
	uint64_t a2 = put(x, "/a", "disk", 0);
	assert_int_equal(del(x, "/b"), 0);
	assert_int_equal(finish(x, &m), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(finish(x, &n), -OBJM_STATUS_PRECONDITION_FAILED);
	check_none(x, "/b", b);
	check_at(x, "/a", a2, "disk", "disk");
	assert_false(world_file_is(x, tier_no(x, "slow"), a));
}

static uint64_t put_with(struct world *x, const char *uri, const char *tier, uint32_t flags, uint64_t expiry_s)
{
	uint64_t id;

	assert_int_equal(prepare(x, uri, tier_no(x, tier), flags, (struct om_op_cond){ 0 }, &id), 0);
	struct om_op_commit m = { .hdr.type = OM_OP_COMMIT, .tier = tier_no(x, tier), .flags = flags, .size = 5, .id = id,
				  .expiry_s = expiry_s, .uri_len = (uint16_t)strlen(uri) };
	put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	assert_int_equal(verdict(x)->status, 0);
	return id;
}

static void test_drops(void **state)
{
	struct world *x = *state;
	uint64_t now = om_wall_ns() / 1000000000u;
	struct om_op_record rec;
	uint64_t only = put(x, "/only", "disk", 0), ev = put(x, "/ev", "disk", OM_OBJ_EVICTABLE),
		 evp = put(x, "/evp", "disk", OM_OBJ_EVICTABLE | OM_OBJ_PINNED), old = put_with(x, "/old", "disk", 0, now - 1),
		 later = put_with(x, "/later", "disk", 0, now + 1000);

	/* nothing removes an only copy that did not agree to it */
	assert_int_equal(drop(x, "/only", only, "disk", OM_DROP_EVICT), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(drop(x, "/only", only, "disk", OM_DROP_COPY), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(drop(x, "/only", only, "disk", OM_DROP_EXPIRED), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(drop(x, "/later", later, "disk", OM_DROP_EXPIRED), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(drop(x, "/evp", evp, "disk", OM_DROP_EVICT), -OBJM_STATUS_INVALID_REQUEST);
	assert_int_equal(drop(x, "/ev", ev + 1000, "disk", OM_DROP_EVICT), -OBJM_STATUS_PRECONDITION_FAILED);
	assert_int_equal(drop(x, "/nothing", ev, "disk", OM_DROP_EVICT), -OBJM_STATUS_PRECONDITION_FAILED);
	check_at(x, "/only", only, "disk", "disk");
	check_at(x, "/evp", evp, "disk", "disk");
	move_to(x, "/ev", ev, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(drop(x, "/ev", ev, "disk", OM_DROP_EVICT), 0); /* with its copy */
	check_none(x, "/ev", ev);
	assert_int_equal(lookup(x, "/old", &rec), -OBJM_STATUS_NOT_FOUND); /* before it is reaped */
	move_to(x, "/later", later, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(drop(x, "/old", old, "disk", OM_DROP_EXPIRED), 0);
	check_none(x, "/old", old);
	check_at(x, "/later", later, "memory", "disk");
	/* a delete of what has expired finds nothing, and leaves nothing */
	uint64_t gone_by = put_with(x, "/by", "disk", 0, now - 1);
	assert_int_equal(del(x, "/by"), -OBJM_STATUS_NOT_FOUND);
	check_none(x, "/by", gone_by);
}

static void test_gone(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "disk", 0);
	char path[160], aside[160];

	assert_int_equal(gone(x, "/a", a, "disk"), -OBJM_STATUS_INVALID_REQUEST); /* a child's word is not enough */
	assert_int_equal(gone(x, "/a", a, "memory"), 0);			      /* the slot says otherwise by now */
	assert_int_equal(gone(x, "/a", a + 1, "disk"), 0);
	check_at(x, "/a", a, "disk", "disk");
	move_to(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	world_file_remove(x, tier_no(x, "memory"), a);
	assert_int_equal(gone(x, "/a", a, "memory"), 0);
	check_at(x, "/a", a, "disk", "disk");
	assert_int_equal(objects_on(x, "memory"), 0);
	/* a tier that shows nothing at all proves nothing */
	snprintf(path, sizeof(path), "%s/disk/.objmapper-tier", x->dir);
	snprintf(aside, sizeof(aside), "%s/aside", x->dir);
	assert_int_equal(rename(path, aside), 0);
	world_file_remove(x, tier_no(x, "disk"), b);
	assert_int_equal(gone(x, "/b", b, "disk"), -OBJM_STATUS_UNAVAILABLE);
	assert_int_equal(rename(aside, path), 0);
	assert_int_equal(gone(x, "/b", b, "disk"), -OBJM_STATUS_NOT_FOUND);
	check_none(x, "/b", b);
}

/* ---- restarts ---- */

static void wipe(const char *root)
{
	char path[160];

	for (const char *const *name = (const char *const[]){ "objects", "catalog", "staging", ".objmapper-tier", NULL }; *name; name++) {
		snprintf(path, sizeof(path), "%s/%s", root, *name);
		nftw(path, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	}
}

static void test_restart_with_copies(void **state)
{
	struct world *x = *state;
	bool more;
	char last[64] = "";
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "slow", 0), e = put(x, "/e", "memory", OM_OBJ_EPHEMERAL);

	move_to(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	move_to(x, "/b", b, "slow", "memory", OM_MOVE_COPY);
	stop(x);
	start(x);
	wait_complete(x);
	check_at(x, "/a", a, "memory", "disk");
	check_at(x, "/b", b, "memory", "slow");
	check_at(x, "/e", e, "memory", "memory");
	assert_int_equal(list_count(x, "/", 10, last, &more), 3);
	assert_int_equal(drop(x, "/b", b, "memory", OM_DROP_COPY), 0);
	/* the memory tier is emptied while we are down */
	stop(x);
	wipe(x->mem);
	start(x);
	wait_complete(x);
	check_at(x, "/a", a, "disk", "disk");
	check_at(x, "/b", b, "slow", "slow");
	check_none(x, "/e", e);
}

/* Its files are deleted, its catalog is not: each copy is found out when it is read. */
static void test_memory_files_vanish(void **state)
{
	struct world *x = *state;
	char path[160];
	uint64_t a = put(x, "/a", "disk", 0), e = put(x, "/e", "memory", OM_OBJ_EPHEMERAL);

	move_to(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	stop(x);
	snprintf(path, sizeof(path), "%s/objects", x->mem);
	nftw(path, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	start(x);
	wait_complete(x);
	assert_int_equal(gone(x, "/a", a, "memory"), 0);
	assert_int_equal(gone(x, "/e", e, "memory"), -OBJM_STATUS_NOT_FOUND);
	check_at(x, "/a", a, "disk", "disk");
	check_none(x, "/e", e);
}

/* The supervisor ends with moves begun: the next one removes what they made. */
static void test_restart_with_open_moves(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "disk", 0);
	struct mv m = mv(x, "/a", a, "disk", "slow", OM_MOVE_HOME), n = mv(x, "/b", b, "disk", "memory", OM_MOVE_COPY);

	assert_int_equal(begin(x, &m), 0);
	assert_int_equal(begin(x, &n), 0);
	x->l.idle = true;
	stop(x);
	start(x);
	wait_complete(x);
	assert_false(world_file_is(x, tier_no(x, "slow"), a));
	assert_false(world_file_is(x, tier_no(x, "memory"), b));
	check_at(x, "/a", a, "disk", "disk");
	check_at(x, "/b", b, "disk", "disk");
}

static void copy_dir(const char *from, const char *to)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s' && cp -a '%s' '%s'", to, from, to);
	assert_int_equal(system(cmd), 0);
}

/* Both records of a move, as a crash between the two commits leaves them: one stays, wherever it is; its file with it. */
static void test_two_records(void **state)
{
	struct world *x = *state;
	char cat[160], saved[160], list[64] = "";
	bool more;
	struct idx_ent ent;
	uint64_t a = put(x, "/a", "disk", 0);
	uint8_t disk = tier_no(x, "disk"), slow = tier_no(x, "slow");

	wait_complete(x);
	snprintf(cat, sizeof(cat), "%s/disk/catalog", x->dir);
	snprintf(saved, sizeof(saved), "%s/saved", x->dir);
	stop(x);
	copy_dir(cat, saved);
	start(x);
	wait_complete(x);
	x->l.idle = true; /* the source's file stays, as if the crash came before its record went */
	send_move(x, OM_OP_MOVE_BEGIN, &(struct mv){ "/a", a, 1, disk, slow, OM_MOVE_HOME });
	usleep(200000);
	x->l.idle = false;
	assert_int_equal(l_verdict(x), 0);
	world_file_make(x, slow, a);
	send_move(x, OM_OP_MOVE_COMMIT, &(struct mv){ "/a", a, 1, disk, slow, OM_MOVE_HOME });
	assert_int_equal(l_verdict(x), 0);
	wait_complete(x);
	stop(x);
	copy_dir(saved, cat);
	start(x);
	wait_complete(x);
	for (int i = 0; i < 10000 && !was_reaped(x, a); i++, usleep(500))
		serve_reaps(x);
	assert_true(was_reaped(x, a));
	wait_complete(x);
	assert_int_equal(index_get(x, "/a", &ent), 0);
	assert_int_equal(ent.tier, ent.home);
	assert_int_equal(list_count(x, "/", 10, list, &more), 1);
	assert_int_equal(objects_on(x, "disk") + objects_on(x, "slow"), 1);
	assert_int_equal(del(x, "/a"), 0);
	check_none(x, "/a", a);
}

/* ---- ways in for what must not be there ---- */

static void found(struct world *x, const char *tier, const char *uri, uint64_t id, uint32_t flags)
{
	struct om_op_found m = { .hdr.type = OM_OP_FOUND, .id = id, .size = 5, .rev = 1, .tier = tier_no(x, tier), .flags = flags,
				 .uri_len = (uint16_t)strlen(uri) };

	put_msg(&x->l, &m, sizeof(m), uri, NULL, 0);
}

/* A rebuild finds an ephemeral object's file on a disk (a backup copied it there), and the copy of one whose home is a disk. */
static void test_rebuild_takes_no_strangers(void **state)
{
	struct world *x = *state;
	uint64_t s = put(x, "/s", "disk", 0), a = put(x, "/a", "disk", 0), e = put(x, "/e", "memory", OM_OBJ_EPHEMERAL);
	struct om_op_record rec;

	move_to(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(del(x, "/s"), 0);
	world_file_make(x, tier_no(x, "memory"), s); /* of a copy whose record was lost with its catalog */
	world_file_make(x, tier_no(x, "slow"), e);
	stop(x);
	start(x); /* only what is older than the run is asked about */
	wait_complete(x);
	for (const char *const *name = (const char *const[]){ "slow", "memory", NULL }; *name; name++) {
		memset(&x->l.scan, 0, sizeof(x->l.scan));
		assert_int_equal(sup_engine_rebuild(x->e, *name), 0);
		for (int i = 0; i < 2000 && !x->l.scan.id_to; i++, usleep(1000))
			serve_reaps(x);
		assert_int_equal(x->l.scan.mode, OM_SCAN_REBUILD);
		if (!strcmp(*name, "slow")) {
			found(x, "slow", "/e", e, OM_OBJ_EPHEMERAL);
		} else {
			found(x, "memory", "/e", e, OM_OBJ_EPHEMERAL);
			found(x, "memory", "/stray", s, 0);
			found(x, "memory", "/a", a, 0); /* its record stands: it stays what it is */
		}
		struct om_op_scanned d = { .hdr.type = OM_OP_SCANNED, .tier = tier_no(x, *name), .files = 1 };
		put_msg(&x->l, &d, sizeof(d), "", NULL, 0);
		wait_complete(x);
	}
	assert_false(world_file_is(x, tier_no(x, "slow"), e));
	assert_int_equal(objects_on(x, "slow"), 0);
	check_at(x, "/e", e, "memory", "memory");
	check_at(x, "/a", a, "memory", "disk");
	assert_int_equal(lookup(x, "/stray", &rec), -OBJM_STATUS_NOT_FOUND);
	assert_false(world_file_is(x, tier_no(x, "memory"), s));
}

/* A home that a rebuild finds again does not lose its copy. */
static void test_rebuilt_home_keeps_its_copy(void **state)
{
	struct world *x = *state;
	char cat[160];
	uint64_t a = put(x, "/a", "disk", 0);

	move_to(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	stop(x);
	snprintf(cat, sizeof(cat), "%s/disk/catalog", x->dir);
	nftw(cat, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	start(x);
	for (int i = 0; i < 2000 && !x->l.scan.id_to; i++, usleep(1000))
		serve_reaps(x);
	assert_int_equal(drop(x, "/a", a, "memory", OM_DROP_COPY), -OBJM_STATUS_PRECONDITION_FAILED); /* all there is, as far as is known */
	found(x, "disk", "/a", a, 0);
	struct om_op_scanned d = { .hdr.type = OM_OP_SCANNED, .tier = tier_no(x, "disk"), .files = 1 };
	put_msg(&x->l, &d, sizeof(d), "", NULL, 0);
	wait_complete(x);
	check_at(x, "/a", a, "memory", "disk");
	assert_int_equal(drop(x, "/a", a, "memory", OM_DROP_COPY), 0);
	check_at(x, "/a", a, "disk", "disk");
}

/* A file that a scan finds while a move is making it is the move's. */
static void test_scan_meets_move(void **state)
{
	struct world *x = *state;
	uint64_t a = put(x, "/a", "disk", 0);

	stop(x);
	start(x);
	wait_complete(x);
	memset(&x->l.scan, 0, sizeof(x->l.scan));
	struct mv m = mv(x, "/a", a, "disk", "slow", OM_MOVE_HOME), n = mv(x, "/a", a, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(begin(x, &n), 0);
	assert_int_equal(sup_engine_rebuild(x->e, "memory"), 0);
	for (int i = 0; i < 2000 && !x->l.scan.id_to; i++, usleep(1000))
		serve_reaps(x);
	found(x, "memory", "/a", a, 0);
	/* a tier that is being rebuilt takes no move */
	assert_int_equal(finish(x, &n), -OBJM_STATUS_UNAVAILABLE);
	struct om_op_scanned d = { .hdr.type = OM_OP_SCANNED, .tier = tier_no(x, "memory"), .files = 1 };
	put_msg(&x->l, &d, sizeof(d), "", NULL, 0);
	wait_complete(x);
	assert_false(world_file_is(x, tier_no(x, "memory"), a));
	assert_int_equal(begin(x, &m), 0);
	assert_int_equal(finish(x, &m), 0);
	check_at(x, "/a", a, "slow", "slow");
}

static void wait_state(struct world *x, const char *tier, int state)
{
	struct sup_engine_stat st;

	for (int n = 0; n < 20000; n++, usleep(1000)) {
		serve_reaps(x);
		sup_engine_stat(x->e, &st);
		for (unsigned i = 0; i < st.n_tiers; i++)
			if (!strcmp(st.tiers[i].name, tier) && st.tiers[i].state == state)
				return;
	}
	fail_msg("tier %s does not become %s", tier, om_tier_state_name((unsigned)state));
}

/* The source goes away between BEGIN and COMMIT, and so does the home of a copy: nothing is lost, and it all is there again. */
static void test_tier_leaves(void **state)
{
	struct world *x = *state;
	char path[160], away[160];
	struct idx_ent ent;
	uint64_t a = put(x, "/a", "disk", 0), b = put(x, "/b", "disk", 0);
	struct mv m = mv(x, "/a", a, "disk", "slow", OM_MOVE_HOME);

	move_to(x, "/b", b, "disk", "memory", OM_MOVE_COPY);
	assert_int_equal(begin(x, &m), 0);
	uint8_t slow = m.to;
	snprintf(path, sizeof(path), "%s/disk", x->dir);
	snprintf(away, sizeof(away), "%s/away", x->dir);
	assert_int_equal(rename(path, away), 0);
	wait_state(x, "disk", OM_TIERS_ABSENT);
	assert_int_equal(finish(x, &m), -OBJM_STATUS_UNAVAILABLE);
	for (int i = 0; i < 10000 && world_file_is(x, slow, a); i++, usleep(500))
		serve_reaps(x);
	assert_false(world_file_is(x, slow, a));
	/* the copy is all there is now */
	assert_int_equal(index_get(x, "/b", &ent), 0);
	assert_int_equal(ent.tier, tier_no(x, "memory"));
	assert_int_equal(drop(x, "/b", b, "memory", OM_DROP_COPY), -OBJM_STATUS_UNAVAILABLE);
	assert_int_equal(rename(away, path), 0);
	wait_state(x, "disk", OM_TIERS_READY);
	wait_complete(x);
	check_at(x, "/a", a, "disk", "disk");
	check_at(x, "/b", b, "memory", "disk");
	assert_int_equal(drop(x, "/b", b, "memory", OM_DROP_COPY), 0);
	move_to(x, "/a", a, "disk", "slow", OM_MOVE_HOME);
	check_at(x, "/a", a, "slow", "slow");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_home_moves),
		T(test_copy),
		T(test_refused),
		T(test_room),
		T(test_abort),
		T(test_lifecycle_dies),
		T(test_changed_meanwhile),
		T(test_drops),
		T(test_gone),
		T(test_restart_with_copies),
		T(test_memory_files_vanish),
		T(test_restart_with_open_moves),
		T(test_two_records),
		T(test_rebuild_takes_no_strangers),
		T(test_rebuilt_home_keeps_its_copy),
		T(test_scan_meets_move),
		T(test_tier_leaves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
