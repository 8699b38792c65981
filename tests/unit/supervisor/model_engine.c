/*
 * model_engine.c: the engine against a reference map: random puts, replaces, deletes, moves, copies, drops and lost files, with the
 * supervisor killed at random times and at fault points, round after round on the same directories; now and then the memory tier is
 * empty when the next one starts.
 *
 *	model_engine [SEED [ROUNDS]]    (OBJM_TEST_LONG=1: 300 rounds by default, else 10)
 *
 * Each round is a process of its own: it starts the engine on what the last one left, checks everything against the map, and
 * changes things until it is killed or ends. The map lies in memory shared by all rounds: what was acknowledged, and what was
 * asked for and not yet answered. After a start an object is the acknowledged one, or what the unanswered change would have made
 * of it; it is listed once; its file is where the index says; and no other file is there.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "common/om_fault.h"
#include "engine_world.h"

#define URIS 24u
#define UIDS 3u /* users who put */
#define UID_FIRST 1000u
#define OBJECTS_MAX 6u /* of each */
#define OPS 80u /* of a round that nobody kills */

enum { NOTHING, CHANGE, REMOVE }; /* unanswered: another id, or none */

struct entry {
	uint64_t id; /* acknowledged; 0: none */
	uint64_t next; /* of the unanswered change */
	uint32_t flags, next_flags;
	uint32_t uid, next_uid;
	uint8_t open;
	bool wiped; /* memory was emptied while the unanswered change, an ephemeral put, may have been there */
};

static struct shared {
	struct entry map[URIS];
	uint64_t ops, moves, copies, drops, refused, checks;
	unsigned step; /* where the round was, for the report */
} *led;

static uint64_t rnd_state;

static uint64_t rnd(void)
{
	uint64_t z = (rnd_state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static const char *name(unsigned i)
{
	static char buf[32];

	(void)snprintf(buf, sizeof(buf), "/m/%02u", i);
	return buf;
}

#define CHECK(cond, ...) \
	do { \
		if (!(cond)) { \
			printf("# wrong: " __VA_ARGS__); \
			printf(" (%s, step %u)\n", #cond, led->step); \
			(void)fflush(stdout); \
			_exit(3); \
		} \
	} while (0)

static const char *const tiers[] = { "memory", "disk", "slow" };

/* ---- the pretended processes ---- */

static int l_verdict(struct world *x)
{
	for (int i = 0; i < 20000; i++) {
		serve_reaps(x);
		if (x->l.verdict.hdr.req == x->l.req)
			return x->l.verdict.status;
		usleep(200);
	}
	CHECK(false, "no verdict for the lifecycle process");
	return 0;
}

static int send_move(struct world *x, uint16_t type, unsigned i, const struct idx_ent *ent, uint8_t to, uint8_t kind)
{
	const char *uri = name(i);
	struct om_op_move m = { .hdr.type = type, .id = ent->id, .size = 5, .rev = ent->rev, .from = ent->home, .to = to, .kind = kind,
				.uri_len = (uint16_t)strlen(uri) };

	put_msg(&x->l, &m, sizeof(m), uri, NULL, 0);
	return type == OM_OP_MOVE_ABORT ? 0 : l_verdict(x);
}

/* ---- checks ---- */

static unsigned n_files;

static int count_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)st;
	(void)ftw;
	n_files += type == FTW_F;
	return 0;
}

static unsigned files(struct world *x)
{
	char path[160];

	n_files = 0;
	for (unsigned t = 0; t < 3; t++) {
		(void)snprintf(path, sizeof(path), "%s/objects", world_root(x, tier_no(x, tiers[t])));
		(void)nftw(path, count_file, 16, FTW_PHYS);
	}
	return n_files;
}

static uint64_t records(struct world *x)
{
	struct sup_engine_stat st;
	uint64_t n = 0;

	sup_engine_stat(x->e, &st);
	for (unsigned i = 0; i < st.n_tiers; i++)
		n += st.tiers[i].objects;
	return n;
}

static void check_one(struct world *x, unsigned i, struct idx_ent *ent, unsigned *ret_live, unsigned *ret_records)
{
	struct entry *e = &led->map[i];
	struct om_op_record rec;
	int rc = index_get(x, name(i), ent);
	uint64_t id = rc == 0 ? ent->id : 0;

	CHECK(rc == 0 || rc == -OBJM_STATUS_NOT_FOUND, "%s: the index says %d", name(i), rc);
	CHECK(id == e->id || (e->open == CHANGE && id == e->next) || (e->open == REMOVE && id == 0) || (e->wiped && id == 0),
	      "%s is %llu, was %llu, asked for: %u %llu", name(i), (unsigned long long)id, (unsigned long long)e->id, e->open,
	      (unsigned long long)e->next);
	if (id && id == e->next && e->open == CHANGE) {
		e->flags = e->next_flags;
		e->uid = e->next_uid;
	}
	*e = (struct entry){ .id = id, .flags = e->flags, .uid = e->uid };
	CHECK((lookup(x, name(i), &rec) == 0) == (id != 0), "%s: the catalogs say otherwise", name(i));
	if (!id)
		return;
	CHECK(rec.id == id, "%s: the catalogs have %llu", name(i), (unsigned long long)rec.id);
	CHECK(ent->flags == e->flags, "%s: its flags are %x", name(i), ent->flags);
	CHECK(!(ent->flags & OM_OBJ_EPHEMERAL) || (ent->tier == tier_no(x, "memory") && ent->home == ent->tier),
	      "%s: ephemeral, on tier %u", name(i), ent->tier);
	CHECK((ent->flags & OM_OBJ_EPHEMERAL) || ent->home != tier_no(x, "memory"), "%s: its home is memory", name(i));
	CHECK(world_file_is(x, ent->tier, id), "%s: no file on its tier %u", name(i), ent->tier);
	CHECK(world_file_is(x, ent->home, id), "%s: no file at home on tier %u", name(i), ent->home);
	++*ret_live;
	*ret_records += 1 + (ent->tier != ent->home);
}

/* Each object is five bytes of its owner's, wherever it is and however often. */
static void check_owners(struct world *x)
{
	for (uint32_t uid = UID_FIRST; uid < UID_FIRST + UIDS; uid++) {
		struct sup_engine_owner o = world_owns(x, uid);
		uint64_t n = 0;
		for (unsigned i = 0; i < URIS; i++)
			n += led->map[i].id && led->map[i].uid == uid;
		CHECK(o.objects == n && o.bytes == 5 * n, "uid %u owns %llu objects and %llu bytes, it should be %llu", uid,
		      (unsigned long long)o.objects, (unsigned long long)o.bytes, (unsigned long long)n);
		CHECK(o.reserved_bytes == 0, "uid %u still has %llu bytes reserved", uid, (unsigned long long)o.reserved_bytes);
		CHECK(o.objects <= OBJECTS_MAX, "uid %u owns %llu objects", uid, (unsigned long long)o.objects);
	}
}

/* Nothing is under way: all that is there is what the map says. */
static void check_all(struct world *x)
{
	unsigned live = 0, recs = 0;
	struct idx_ent ent;
	char last[64] = "";
	bool more;

	wait_complete(x);
	for (unsigned i = 0; i < URIS; i++)
		check_one(x, i, &ent, &live, &recs);
	for (int n = 0; n < 20000 && (records(x) != recs || files(x) != recs); n++) { /* leftovers go behind */
		serve_reaps(x);
		usleep(500);
	}
	wait_complete(x);
	CHECK(records(x) == recs, "%u records are needed, there are %llu", recs, (unsigned long long)records(x));
	CHECK(files(x) == recs, "%u files are needed, there are %u", recs, files(x));
	unsigned listed = list_count(x, "/m/", 1000, last, &more);
	CHECK(listed == live, "%u are listed, %u live", listed, live);
	check_owners(x);
	led->checks++;
}

/* ---- changes ---- */

static void do_put(struct world *x, unsigned i)
{
	struct entry *e = &led->map[i];
	unsigned t = (unsigned)(rnd() % 8); /* an eighth is ephemeral */
	t = t == 0 ? 0 : 1 + t % 2;
	uint32_t flags = t == 0 ? OM_OBJ_EPHEMERAL : rnd() % 3 == 0 ? OM_OBJ_EVICTABLE : 0;
	uint64_t id;

	x->uid = UID_FIRST + (uint32_t)(rnd() % UIDS);
	struct sup_engine_owner o = world_owns(x, x->uid);
	int prepared = prepare(x, name(i), tier_no(x, tiers[t]), flags, (struct om_op_cond){ 0 }, &id);
	bool may = o.objects < OBJECTS_MAX || (e->id && e->uid == x->uid);
	CHECK((prepared == -OBJM_STATUS_LIMIT_EXCEEDED) == !may, "%s: uid %u with %llu objects puts another: %d", name(i), x->uid,
	      (unsigned long long)o.objects, prepared);
	led->refused += !may;
	if (prepared < 0)
		return;
	if (rnd() % 8 == 0) { /* given up */
		struct om_op_abort a = { .hdr.type = OM_OP_ABORT, .id = id };
		put_msg(&x->w, &a, sizeof(a), "", NULL, 0);
		return;
	}
	e->next = id;
	e->next_flags = flags;
	e->next_uid = x->uid;
	e->open = CHANGE;
	int status = commit(x, name(i), tier_no(x, tiers[t]), flags, id);
	if (status == 0)
		*e = (struct entry){ .id = id, .flags = flags, .uid = x->uid };
	else
		e->open = NOTHING;
}

static void do_del(struct world *x, unsigned i)
{
	struct entry *e = &led->map[i];

	e->open = REMOVE;
	int status = del(x, name(i));
	CHECK(status == 0 || (status == -OBJM_STATUS_NOT_FOUND && !e->id), "%s: delete says %d", name(i), status);
	*e = (struct entry){ 0 };
}

static void do_move(struct world *x, unsigned i)
{
	struct idx_ent ent;
	uint8_t to = tier_no(x, tiers[rnd() % 3]);
	uint8_t kind;
	uint64_t how = rnd();

	if (index_get(x, name(i), &ent) < 0)
		return;
	if (to == ent.home && rnd() % 8)
		to = tier_no(x, ent.home == tier_no(x, "disk") ? "slow" : "disk");
	kind = to == tier_no(x, "memory") ? OM_MOVE_COPY : OM_MOVE_HOME;
	int status = send_move(x, OM_OP_MOVE_BEGIN, i, &ent, to, kind);
	if (status < 0) {
		CHECK(status == -OBJM_STATUS_TRY_AGAIN || status == -OBJM_STATUS_INVALID_REQUEST ||
			      status == -OBJM_STATUS_PRECONDITION_FAILED, "%s: a move says %d", name(i), status);
		return;
	}
	CHECK(!(ent.flags & OM_OBJ_EPHEMERAL), "%s: an ephemeral object may move", name(i));
	world_file_make_uri(x, to, ent.id, name(i), ent.flags);
	if (how % 8 == 0) { /* left open: the process dies, or the supervisor */
		world_lifecycle_again(x);
		return;
	}
	if (how % 8 == 1) {
		(void)send_move(x, OM_OP_MOVE_ABORT, i, &ent, to, kind);
		return;
	}
	if (how % 8 == 2)
		do_put(x, i); /* it changes while it is copied */
	else if (how % 8 == 3)
		do_del(x, i);
	status = send_move(x, OM_OP_MOVE_COMMIT, i, &ent, to, kind);
	bool same = led->map[i].id == ent.id;
	CHECK((status == 0) == same || status == -OBJM_STATUS_TRY_AGAIN, "%s: a move of %llu ends with %d, what stands is %llu", name(i),
	      (unsigned long long)ent.id, status, (unsigned long long)led->map[i].id);
	led->moves += status == 0 && kind == OM_MOVE_HOME;
	led->copies += status == 0 && kind == OM_MOVE_COPY;
}

static int send_drop(struct world *x, unsigned i, const struct idx_ent *ent, uint8_t tier, uint8_t why)
{
	const char *uri = name(i);
	struct om_op_drop m = { .hdr.type = OM_OP_DROP, .id = ent->id, .rev = ent->rev, .tier = tier, .why = why,
				.uri_len = (uint16_t)strlen(uri) };

	put_msg(&x->l, &m, sizeof(m), uri, NULL, 0);
	return l_verdict(x);
}

static void do_drop(struct world *x, unsigned i)
{
	struct entry *e = &led->map[i];
	struct idx_ent ent;

	if (index_get(x, name(i), &ent) < 0)
		return;
	if (rnd() % 2) {
		bool copy = ent.tier != ent.home;
		int status = send_drop(x, i, &ent, ent.tier, OM_DROP_COPY);
		CHECK((status == 0) == copy, "%s: dropping its copy says %d", name(i), status);
		led->drops += status == 0;
		return;
	}
	bool may = ent.flags & OM_OBJ_EVICTABLE;
	if (may)
		e->open = REMOVE;
	int status = send_drop(x, i, &ent, ent.home, OM_DROP_EVICT);
	CHECK((status == 0) == may, "%s: evicting it says %d, its flags are %x", name(i), status, ent.flags);
	if (status == 0)
		*e = (struct entry){ 0 };
	led->drops += status == 0;
}

/* The file of a copy vanishes, and a reader finds that out; or a reader is wrong. */
static void do_gone(struct world *x, unsigned i)
{
	const char *uri = name(i);
	struct idx_ent ent;

	if (index_get(x, uri, &ent) < 0)
		return;
	bool copy = ent.tier != ent.home;
	if (copy)
		world_file_remove(x, ent.tier, ent.id);
	struct om_op_gone m = { .hdr.type = OM_OP_GONE, .id = ent.id, .tier = ent.tier, .uri_len = (uint16_t)strlen(uri) };
	put_msg(&x->w, &m, sizeof(m), uri, NULL, 0);
	int status = verdict(x)->status;
	CHECK(status == (copy ? 0 : -OBJM_STATUS_INVALID_REQUEST), "%s: GONE says %d", uri, status);
	CHECK(index_get(x, uri, &ent) == 0 && ent.tier == ent.home, "%s: its copy is still named", uri);
}

static void round_run(struct world *x)
{
	setbuf(stdout, NULL);
	if (om_fault_init() < 0)
		_exit(4);
	start(x);
	wait_complete(x);
	check_all(x);
	for (unsigned n = 0; n < OPS; n++) {
		unsigned i = (unsigned)(rnd() % URIS);
		uint64_t what = rnd() % 100;
		led->step = n;
		serve_reaps(x);
		if (what < 25)
			do_put(x, i);
		else if (what < 30)
			do_del(x, i);
		else if (what < 80)
			do_move(x, i);
		else if (what < 93)
			do_drop(x, i);
		else if (what < 98)
			do_gone(x, i);
		else
			check_all(x);
		led->ops++;
	}
	check_all(x);
	if (rnd() % 4) { /* after it the next start looks at no file whose id is older */
		stop(x);
		_exit(0);
	}
	(void)kill(getpid(), SIGKILL); /* nothing under way, and yet no clean end */
}

/* ---- rounds ---- */

static const char *const points[] = { "sup.state", "sup.state_done", "sup.commit", "sup.committed", "sup.published", "del.second",
				      "sup.move_intent", "sup.move_commit", "sup.move_commit", "sup.move_target", "sup.prepare" };

/* As after a reboot: the memory tier is empty. */
static void wipe_memory(struct world *x)
{
	for (const char *const *part = (const char *const[]){ "objects", "catalog", "staging", ".objmapper-tier", NULL }; *part; part++) {
		char path[128];
		(void)snprintf(path, sizeof(path), "%s/%s", x->mem, *part);
		(void)nftw(path, rm_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	for (unsigned i = 0; i < URIS; i++) {
		struct entry *e = &led->map[i];
		if (e->flags & OM_OBJ_EPHEMERAL)
			e->id = 0;
		e->wiped = e->open == CHANGE && (e->next_flags & OM_OBJ_EPHEMERAL);
	}
}

/* True if it ended as a round may end. */
static bool one_round(struct world *x, unsigned n)
{
	uint64_t how = rnd();
	char fault[64] = "";
	int status;

	if (how % 2 != 0 && OM_FAULTS) {
		const char *point = points[rnd() % OM_ARRAY_SIZE(points)];
		unsigned often = strstr(point, "move") ? 6 : 20; /* so often it comes by in a round */
		(void)snprintf(fault, sizeof(fault), "%s:kill:%u", point, 1 + (unsigned)(rnd() % often));
	}
	uint64_t after_us = 30000 + rnd() % 400000;
	if (rnd() % 8 == 0)
		wipe_memory(x);
	pid_t pid = fork();
	if (pid == 0) {
		if (*fault)
			(void)setenv("OBJM_FAULT", fault, 1);
		rnd_state += n;
		round_run(x);
	}
	if (pid < 0)
		return false;
	if (!*fault && how % 8 == 0) {
		usleep((useconds_t)after_us);
		(void)kill(pid, SIGKILL);
	}
	if (waitpid(pid, &status, 0) < 0)
		return false;
	bool ok = (WIFEXITED(status) && WEXITSTATUS(status) == 0) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	if (!ok)
		printf("# round %u (%s): status %x\n", n, *fault ? fault : "no fault", (unsigned)status);
	return ok;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : om_wall_ns();
	unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : getenv("OBJM_TEST_LONG") ? 300 : 10, n = 0;
	bool ok = true;

	(void)signal(SIGIO, SIG_IGN);
	led = mmap(NULL, sizeof(*led), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (led == MAP_FAILED)
		return 1;
	struct world *x = world_make();
	x->scans = true;
	x->conf->limits.objects_per_uid = OBJECTS_MAX;
	rnd_state = seed;
	for (; n < rounds && ok; n++)
		ok = one_round(x, n);
	printf("1..1\n%sok 1 - seed %llu: %u rounds, %llu changes, %llu moves, %llu copies, %llu drops, %llu over a limit, %llu checks\n", ok ? "" : "not ",
	       (unsigned long long)seed, n, (unsigned long long)led->ops, (unsigned long long)led->moves,
	       (unsigned long long)led->copies, (unsigned long long)led->drops, (unsigned long long)led->refused,
	       (unsigned long long)led->checks);
	if (ok)
		world_unmake(x);
	else
		printf("# left for a look: %s %s\n", x->dir, x->mem);
	return ok ? 0 : 1;
}
