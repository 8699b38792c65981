/* Scrubs: pace and position against a clock of the test's, what is found and what is done about it, the file with the state. */
#include "lcy_world.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define KB UINT64_C(1024)
#define MB (KB * KB)
#define HOUR 3600u
#define DAY (24 * HOUR)

static const uint64_t caps[WORLD_TIERS] = { 2 * MB, 16 * MB, 64 * MB };

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	world_open(w, caps);
	w->l.boot.lifecycle.scrub_days = 1;
	/* objects stay where the test puts them */
	w->l.boot.lifecycle.hot_threshold = 1;
	w->l.boot.lifecycle.cold_threshold = 0;
	*state = w;
	return 0;
}

static const struct lcy_scrub_sums *cur(const struct world *w, unsigned tier) { return &w->l.scrub.state.row[tier].cur; }
static const struct lcy_scrub_sums *last(const struct world *w, unsigned tier) { return &w->l.scrub.state.row[tier].last; }

/* Let time pass in steps of a minute. */
static void pass(struct world *w, unsigned seconds)
{
	for (unsigned s = 0; s < seconds; s += 60) {
		w->clock_s += 60;
		w->l.now_ns += UINT64_C(60000000000);
		world_settle(w);
	}
}

/* Every object now, to the end. */
static void scrub(struct world *w)
{
	assert_int_equal(world_task(w, OM_TASK_SCRUB, NULL, 0, 1), 0);
	for (unsigned i = 0; i < 120 && (w->l.scrub.state.row[FAST].now || w->l.scrub.state.row[SLOW].now); i++)
		world_run(w, 1);
	assert_false(w->l.scrub.state.row[FAST].now || w->l.scrub.state.row[SLOW].now);
}

/* What the index says of it is `e` from now on. */
static void index_says(struct world *w, const char *uri, const struct idx_ent *e)
{
	struct idx_key key;

	idx_key_make(w->l.boot.key_secret, uri, strlen(uri), &key);
	assert_int_equal(idxw_put(w->w, &key, e), 0);
}

static void path_of(struct world *w, const char *uri, char *ret)
{
	struct idx_ent e;

	assert_true(world_get(w, uri, &e));
	om_obj_path(e.id, ret);
}

/* One byte of the object's file on a tier becomes another. */
static void flip(struct world *w, const char *uri, unsigned tier)
{
	char path[OM_OBJ_PATH_MAX];
	uint8_t byte;

	path_of(w, uri, path);
	assert_int_equal(fchmodat(w->tier[tier].objects_fd, path, 0600, 0), 0);
	int fd = openat(w->tier[tier].objects_fd, path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, 100), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, 100), 1);
	assert_int_equal(fsync(fd), 0);
	om_close(&fd);
}

/* Put, and moved once: its file has a checksum. */
static uint64_t moved(struct world *w, const char *uri, uint64_t size)
{
	uint64_t id = world_put(w, uri, size, FAST, 0, 0);

	assert_int_equal(world_task(w, OM_TASK_MIGRATE, uri, SLOW, 0), 0);
	assert_int_equal(world_home(w, uri), SLOW);
	return id;
}

static void test_share(void **state)
{
	const double day = 86400e9;

	(void)state;
	/* ten alike: a tenth of the time each; one of ten times the work: as much more */
	assert_int_equal(lcy_scrub_share(30, 1000, 10 * lcy_scrub_cost(1000)), (uint64_t)(3 * day));
	assert_int_equal(lcy_scrub_share(30, 10 * LCY_SCRUB_EACH - LCY_SCRUB_EACH, 100.0 * LCY_SCRUB_EACH), (uint64_t)(3 * day));
	assert_int_equal(lcy_scrub_share(0, 1000, 1e9), 0);
	assert_int_equal(lcy_scrub_share(1, 1000, 0), (uint64_t)day); /* the only one, whatever was counted */
	assert_int_equal(lcy_scrub_left(100, 200), 0);
	assert_int_equal(lcy_scrub_left(300, 200), 100);
	assert_int_equal(lcy_scrub_left(UINT64_MAX, 200), LCY_SCRUB_LATE_NS); /* what was missed for long is not caught up with */
}

/* 24 objects in a day: one an hour, in the order of their ids, each once; then from the beginning. */
static void test_pace(void **state)
{
	struct world *w = *state;
	uint64_t id[24];

	for (unsigned i = 0; i < 24; i++)
		id[i] = world_put(w, world_name(i), 20 * KB, FAST, 0, 0);
	world_run(w, 15); /* a scan */
	assert_int_equal(cur(w, FAST)->objects, 0);
	for (unsigned h = 1; h < 24; h++) {
		pass(w, HOUR);
		assert_in_range(cur(w, FAST)->objects, h - 1, h + 1);
		if (cur(w, FAST)->objects)
			assert_int_equal(w->l.scrub.state.row[FAST].pos, id[cur(w, FAST)->objects - 1]);
	}
	pass(w, 2 * HOUR);
	assert_int_equal(last(w, FAST)->objects, 24);
	assert_int_equal(last(w, FAST)->bytes, 24 * 20 * KB);
	assert_int_equal(last(w, FAST)->no_sum, 24);
	assert_int_equal(last(w, FAST)->damaged + last(w, FAST)->unreadable, 0);
	assert_in_range(cur(w, FAST)->objects, 0, 2);
	assert_int_equal(cur(w, SLOW)->objects + last(w, SLOW)->ended_s, 0); /* nothing is there */
}

/* Who looks every fifty minutes begins one object at a time, and is not late at the end of the day. */
static void test_catches_up(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 24; i++)
		(void)world_put(w, world_name(i), 20 * KB, FAST, 0, 0);
	world_run(w, 15);
	for (unsigned i = 0; i < 24; i++) {
		w->clock_s += 3000;
		w->l.now_ns += UINT64_C(3000000000000);
		world_settle(w);
	}
	assert_in_range(cur(w, FAST)->objects, 19, 20);
}

/* A large one waits as long as its bytes take of the day, and nothing is read while paused. */
static void test_large_and_pause(void **state)
{
	struct world *w = *state;

	(void)world_put(w, "/large", 7 * MB - LCY_SCRUB_EACH, FAST, 0, 0);
	(void)world_put(w, "/small", MB - LCY_SCRUB_EACH, FAST, 0, 0);
	world_run(w, 15);
	pass(w, 20 * HOUR);
	assert_int_equal(cur(w, FAST)->objects, 0);
	pass(w, 90 * 60); /* 21 hours are seven eighths */
	assert_int_equal(cur(w, FAST)->objects, 1);
	assert_int_equal(world_task(w, OM_TASK_PAUSE, NULL, 0, 0), 0);
	pass(w, 4 * DAY);
	assert_int_equal(cur(w, FAST)->objects, 1);
	assert_int_equal(world_task(w, OM_TASK_RESUME, NULL, 0, 0), 0);
	pass(w, 2 * HOUR); /* and the pause does not count */
	assert_int_equal(cur(w, FAST)->objects, 1);
	pass(w, HOUR);
	assert_int_equal(last(w, FAST)->objects, 2);
}

static void test_off(void **state)
{
	struct world *w = *state;

	w->l.boot.lifecycle.scrub_days = 0;
	(void)world_put(w, "/a", KB, FAST, 0, 0);
	world_run(w, 15);
	pass(w, 5 * DAY);
	assert_int_equal(cur(w, FAST)->objects + last(w, FAST)->objects, 0);
	scrub(w); /* but by hand */
	assert_int_equal(last(w, FAST)->objects, 1);
}

/* A restart goes on where it was: nothing twice, nothing left out, and the hours waited count, however often it happens. */
static void test_restart(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 3; i++) /* eight hours each */
		(void)world_put(w, world_name(i), 20 * KB, FAST, 0, 0);
	world_run(w, 15);
	for (unsigned h = 1; h < 24; h++) {
		pass(w, HOUR);
		world_restart(w, true);
		world_settle(w); /* a turn before it is known what comes next */
		world_run(w, 15);
		assert_int_equal(cur(w, FAST)->objects, h / 8);
	}
	pass(w, HOUR);
	assert_int_equal(last(w, FAST)->objects, 3);
	w->l.boot.lifecycle.scrub_days = 0;
	assert_int_equal(world_task(w, OM_TASK_PAUSE, NULL, 0, 0), 0);
	assert_int_equal(world_task(w, OM_TASK_SCRUB, NULL, 0, 1), 0);
	world_restart(w, true); /* so does a pass that was asked for */
	for (unsigned i = 0; i < 30 && w->l.scrub.state.row[FAST].now; i++)
		world_run(w, 1);
	assert_int_equal(last(w, FAST)->objects, 3);
	assert_in_range(last(w, FAST)->ended_s, w->clock_s - 60, w->clock_s);
}

static void rot(struct world *w, const char *file, off_t at)
{
	char path[128];
	uint8_t byte;

	(void)snprintf(path, sizeof(path), "%s/%s", w->heat_dir, file);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	om_close(&fd);
}

/* What is damaged is not used: the older file, or the start. So is one that was cut, or lies. */
static void test_state_file(void **state)
{
	struct lcy_scrub_state *s = calloc(1, sizeof(*s)), *r = calloc(1, sizeof(*r));
	struct world *w = *state;
	int dir = w->l.save.dirfd, fd;

	assert_int_equal(lcy_scrub_read(dir, r), -OBJM_STATUS_NOT_FOUND);
	s->row[3].pos = 77;
	assert_int_equal(lcy_scrub_write(dir, s, true), 0); /* scrub.1 */
	s->row[3].pos = 78;
	assert_int_equal(lcy_scrub_write(dir, s, false), 0); /* scrub.0 */
	assert_int_equal(lcy_scrub_read(dir, r), 0);
	assert_int_equal(r->row[3].pos, 78);
	for (unsigned i = 0; i < 3; i++) { /* a disk that stays full */
		world_files_of(100);
		s->row[3].pos = 79;
		assert_int_not_equal(lcy_scrub_write(dir, s, true), 0);
		world_files_of(RLIM_INFINITY);
		assert_int_equal(lcy_scrub_read(dir, r), 0);
		assert_int_equal(r->row[3].pos, 78);
	}
	s->row[3].pos = 77; /* and is not */
	assert_int_equal(lcy_scrub_write(dir, s, true), 0); /* scrub.1 */
	s->row[3].pos = 78;
	assert_int_equal(lcy_scrub_write(dir, s, false), 0); /* scrub.0 */
	for (off_t at = 0; at < (off_t)sizeof(*s); at += 97) {
		rot(w, "scrub.0", at);
		assert_int_equal(lcy_scrub_read(dir, r), 0);
		assert_int_equal(r->row[3].pos, 77);
		rot(w, "scrub.0", at); /* and back */
	}
	assert_int_equal(lcy_scrub_read(dir, r), 0);
	assert_int_equal(r->row[3].pos, 78);
	rot(w, "scrub.0", 5000);
	fd = openat(dir, "scrub.1", O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)sizeof(*s) - 1), 0);
	om_close(&fd);
	assert_int_equal(lcy_scrub_read(dir, r), -OBJM_STATUS_NOT_FOUND);
	assert_int_equal(r->row[3].pos, 0);
	s->n_bad = LCY_SCRUB_BAD_MAX + 1; /* whole, and not to be believed */
	assert_int_equal(lcy_scrub_write(dir, s, false), 0);
	assert_int_equal(lcy_scrub_read(dir, r), -OBJM_STATUS_NOT_FOUND);
	free(s);
	free(r);
}

/* One byte: it is noticed, named, counted, told, and left where it is; the others are fine. */
static void test_flip(void **state)
{
	struct world *w = *state;
	uint64_t id = 0;

	for (unsigned i = 0; i < 5; i++)
		id = i == 3 ? moved(w, world_name(i), 300 * KB) : (moved(w, world_name(i), 300 * KB), id);
	(void)world_put(w, "/never-moved", KB, FAST, 0, 0);
	scrub(w);
	assert_int_equal(last(w, SLOW)->objects, 5);
	assert_int_equal(last(w, SLOW)->damaged + last(w, SLOW)->no_sum, 0);
	assert_int_equal(last(w, FAST)->no_sum, 1);
	flip(w, world_name(3), SLOW);
	scrub(w);
	assert_int_equal(last(w, SLOW)->objects, 5);
	assert_int_equal(last(w, SLOW)->damaged, 1);
	assert_int_equal(last(w, SLOW)->unreadable, 0);
	assert_int_equal(w->l.scrub.state.n_bad, 1);
	assert_int_equal(w->l.scrub.state.bad[0].id, id);
	assert_int_equal(w->l.scrub.state.bad[0].what, LCY_SCRUB_BYTES);
	assert_int_equal(world_home(w, world_name(3)), SLOW);
	assert_int_equal(world_task(w, OM_TASK_EXPLAIN, world_name(3), 0, 0), 0);
	assert_non_null(strstr(w->answer, "\"damaged\":\"its bytes differ from their checksum\""));
	assert_int_equal(world_task(w, OM_TASK_EXPLAIN, world_name(2), 0, 0), 0);
	assert_non_null(strstr(w->answer, "\"damaged\":null"));
	world_restart(w, true); /* it is still known */
	assert_non_null(lcy_scrub_bad(&w->l, id));
	flip(w, world_name(3), SLOW); /* the disk was mended */
	scrub(w);
	assert_int_equal(last(w, SLOW)->damaged, 0);
	assert_null(lcy_scrub_bad(&w->l, id));
}

/* What else may be wrong with a file. */
static void test_kinds(void **state)
{
	static const unsigned what[7] = { LCY_SCRUB_SIZE, LCY_SCRUB_ATTR, LCY_SCRUB_NAME, 0, LCY_SCRUB_MISSING, 0, LCY_SCRUB_OLD };
	struct om_rec rec = be_test_rec("/o/5");
	struct world *w = *state;
	uint64_t id[7];
	char path[OM_OBJ_PATH_MAX], other[OM_OBJ_PATH_MAX];
	int dir = w->tier[FAST].objects_fd, fd;
	struct idx_ent e;

	for (unsigned i = 0; i < 7; i++)
		id[i] = world_put(w, world_name(i), 2000, FAST, 0, 0);
	/* 0: another size than the index says */
	assert_true(world_get(w, world_name(0), &e));
	e.size = 1999;
	index_says(w, world_name(0), &e);
	/* 1: cut */
	path_of(w, world_name(1), path);
	assert_int_equal(fchmodat(dir, path, 0600, 0), 0);
	fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, 10), 0);
	om_close(&fd);
	/* 2: the file of 4, whose own is then missing: 3 stays as it is */
	path_of(w, world_name(2), path);
	path_of(w, world_name(4), other);
	assert_int_equal(renameat(dir, other, dir, path), 0);
	/* 5: ahead of its record, by a SET that was cut off: no damage. 6: behind it */
	rec.rev = 2;
	assert_int_equal(be_attr_replace(&w->tier[FAST].be, id[5], &rec, BE_NEVER), 0);
	assert_true(world_get(w, world_name(6), &e));
	e.rev = 2;
	index_says(w, world_name(6), &e);
	scrub(w);
	assert_int_equal(last(w, FAST)->objects, 7);
	assert_int_equal(last(w, FAST)->damaged, 5);
	for (unsigned i = 0; i < 7; i++) {
		const struct lcy_scrub_bad *b = lcy_scrub_bad(&w->l, id[i]);
		assert_int_equal(b ? b->what : 0, what[i]);
	}
	world_delete(w, world_name(1)); /* the next pass forgets what is not there any more */
	world_run(w, 2);
	scrub(w);
	assert_null(lcy_scrub_bad(&w->l, id[1]));
	assert_int_equal(w->l.scrub.state.n_bad, 4);
}

/* A copy that is damaged goes, if its home is whole. */
static void test_copy(void **state)
{
	struct world *w = *state;

	(void)moved(w, "/a", 100 * KB);
	(void)moved(w, "/b", 100 * KB);
	assert_int_equal(world_task(w, OM_TASK_MIGRATE, "/a", MEM, 0), 0);
	assert_int_equal(world_task(w, OM_TASK_MIGRATE, "/b", MEM, 0), 0);
	assert_int_equal(world_tier(w, "/a"), MEM);
	flip(w, "/a", MEM);
	scrub(w);
	world_run(w, 2);
	assert_int_equal(w->dropped[OM_DROP_COPY], 1);
	assert_int_equal(world_tier(w, "/a"), SLOW);
	assert_int_equal(world_tier(w, "/b"), MEM);
	assert_int_equal(last(w, SLOW)->damaged, 0);
}

/* Where the home is damaged the copy stays, whole or not: nothing else may be left of the object. */
static void test_only_copy(void **state)
{
	struct world *w = *state;
	static const char *const uri[2] = { "/whole", "/both" };

	for (unsigned i = 0; i < 2; i++) {
		(void)moved(w, uri[i], 100 * KB);
		assert_int_equal(world_task(w, OM_TASK_MIGRATE, uri[i], MEM, 0), 0);
		flip(w, uri[i], SLOW);
	}
	flip(w, "/both", MEM);
	for (unsigned full = 2; full-- > 0;) { /* also if there are more such objects than the list holds */
		struct lcy_scrub_state *st = &w->l.scrub.state;
		st->n_bad = full ? LCY_SCRUB_BAD_MAX : 0;
		for (uint32_t i = 0; i < st->n_bad; i++)
			st->bad[i] = (struct lcy_scrub_bad){ .id = 1000000 + i, .seen_s = w->clock_s, .tier = MEM, .what = LCY_SCRUB_BYTES };
		scrub(w);
		world_run(w, 2);
		assert_int_equal(last(w, SLOW)->damaged, 2);
		assert_int_equal(w->drops, 0);
		assert_int_equal(st->n_bad, full ? LCY_SCRUB_BAD_MAX : 2);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct idx_ent e;
		struct lcy_cand c = { .kind = LCY_JOB_DROP, .drop_why = OM_DROP_COPY, .from = MEM, .why = LCY_WHY_ROOM };
		assert_true(world_get(w, uri[i], &e));
		assert_int_equal(e.tier, MEM);
		struct idx_key key;
		idx_key_make(w->l.boot.key_secret, uri[i], strlen(uri[i]), &key);
		assert_int_equal(idxr_get(&w->l.idx, &key, NULL, &c.slot), 0);
		c.id = e.id;
		assert_int_equal(lcy_act_start(&w->l, &c, NULL), -OBJM_STATUS_PRECONDITION_FAILED);
		c.why = LCY_WHY_TASK; /* by hand it may */
		assert_int_equal(lcy_act_start(&w->l, &c, NULL), 0);
	}
	world_settle(w);
}

/* The object's damaged file is read to its end, and the loop has not looked at that yet. `look`: the first or the second time. */
static void until_read(struct world *w, unsigned look)
{
	struct lcy *l = &w->l;
	struct lcy_cand c;

	assert_int_equal(world_task(w, OM_TASK_SCRUB, NULL, 0, 1), 0);
	for (unsigned i = 0; i < 2000 && !(l->scrub.look == look && l->scrub.busy && atomic_load(&l->scrub.done)); i++) {
		if (!l->scrub.busy || atomic_load(&l->scrub.done)) {
			l->now_ns += 100000000u;
			if (lcy_plan_turn(l))
				lcy_act_scanned(l, l->now_ns);
			assert_false(lcy_scrub_turn(l, &c));
		}
		(void)usleep(1000);
	}
	assert_true(l->scrub.look == look && atomic_load(&l->scrub.done));
}

/* Changed between the reading and the judgement: no damage, whatever was read. */
static void test_changed_meanwhile(void **state)
{
	struct world *w = *state;
	struct idx_ent e;

	for (unsigned i = 0; i < 3; i++) {
		(void)moved(w, "/x", 50 * KB);
		flip(w, "/x", SLOW);
		assert_int_equal(world_task(w, OM_TASK_SCRUB, NULL, 0, 0), 0);
		w->l.scrub.state.row[SLOW].now = 0;
		until_read(w, 2);
		if (i == 0) { /* deleted */
			world_delete(w, "/x");
		} else if (i == 1) { /* replaced */
			world_delete(w, "/x");
			(void)moved(w, "/x", 60 * KB);
		} else { /* set */
			assert_true(world_get(w, "/x", &e));
			e.rev++;
			index_says(w, "/x", &e);
		}
		world_settle(w);
		assert_int_equal(cur(w, SLOW)->damaged + last(w, SLOW)->damaged, 0);
		assert_int_equal(w->l.scrub.state.n_bad, 0);
		if (i > 0)
			world_delete(w, "/x");
		scrub(w);
	}
}

/* Wrong at the first look, right at the second: it was being changed. */
static void test_second_look(void **state)
{
	struct world *w = *state;

	(void)moved(w, "/x", 50 * KB);
	flip(w, "/x", SLOW);
	until_read(w, 1);
	flip(w, "/x", SLOW);
	for (unsigned i = 0; i < 5; i++)
		world_run(w, 1);
	assert_int_equal(last(w, SLOW)->objects, 1);
	assert_int_equal(last(w, SLOW)->damaged, 0);
}

/* Begun and ended by hand; told while it runs. */
static void test_now(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 4; i++)
		(void)world_put(w, world_name(i), KB, i % 2 ? FAST : SLOW, 0, 0);
	(void)world_put(w, "/mem", KB, MEM, OM_OBJ_EPHEMERAL, 0);
	world_run(w, 15);
	assert_int_equal(world_task(w, OM_TASK_PAUSE, NULL, 0, 0), 0);
	assert_int_equal(world_task(w, OM_TASK_SCRUB, NULL, 0, 1), 0);
	assert_non_null(strstr(w->answer, "\"name\":\"fast\",\"now\":true"));
	assert_null(strstr(w->answer, "\"name\":\"mem\""));
	world_run(w, 20);
	assert_int_equal(cur(w, FAST)->objects + last(w, FAST)->objects, 0); /* paused */
	assert_int_equal(world_task(w, OM_TASK_SCRUB, NULL, 0, 0), 0);
	assert_non_null(strstr(w->answer, "\"name\":\"fast\",\"now\":false"));
	assert_int_equal(world_task(w, OM_TASK_RESUME, NULL, 0, 0), 0);
	world_run(w, 20);
	assert_int_equal(cur(w, FAST)->objects + last(w, FAST)->objects, 0); /* the usual pace */
	scrub(w);
	assert_int_equal(last(w, FAST)->objects, 2);
	assert_int_equal(last(w, SLOW)->objects, 2);
	assert_int_equal(last(w, MEM)->objects, 0);
	assert_int_equal(world_task(w, OM_TASK_STATUS, NULL, 0, 0), 0);
	assert_non_null(strstr(w->answer, "\"scrub\":{\"days\":1"));
}

/* Nothing is read of a tier that is drained, or that went. */
static void test_left_out(void **state)
{
	struct world *w = *state;
	struct idxr_tier row;

	(void)world_put(w, "/a", KB, FAST, 0, 0);
	(void)world_put(w, "/b", KB, SLOW, 0, 0);
	assert_int_equal(idxr_tier(&w->l.idx, SLOW, &row), 0);
	row.state = OM_TIERS_ABSENT;
	idxw_tier(w->w, SLOW, &row);
	scrub(w);
	assert_int_equal(last(w, FAST)->objects, 1);
	assert_int_equal(last(w, SLOW)->objects + cur(w, SLOW)->objects, 0);
}

/* Another index: where objects were in the old one means nothing, nor does what was being read. */
static void test_index_changes(void **state)
{
	struct world *w = *state;

	(void)moved(w, "/x", 50 * KB);
	(void)moved(w, "/y", 50 * KB);
	flip(w, "/x", SLOW);
	until_read(w, 2);
	assert_int_equal(w->l.scrub.tier[SLOW].batch.n, 2);
	lcy_plan_forget(&w->l);
	assert_int_equal(w->l.scrub.tier[SLOW].batch.n, 0);
	struct lcy_cand c;
	assert_false(lcy_scrub_turn(&w->l, &c));
	assert_int_equal(cur(w, SLOW)->objects, 0);
	assert_int_equal(w->l.scrub.state.row[SLOW].pos, 0);
	scrub(w); /* and the pass goes on in the new one */
	assert_int_equal(last(w, SLOW)->objects, 2);
	assert_int_equal(last(w, SLOW)->damaged, 1);
}

/* Nothing is begun while a put waits for room. */
static void test_room_first(void **state)
{
	struct world *w = *state;

	(void)world_put(w, "/a", KB, FAST, 0, 0);
	w->l.tiers[SLOW].asked = 1; /* else the wish is fulfilled, and forgotten */
	assert_int_equal(world_task(w, OM_TASK_SCRUB, NULL, 0, 1), 0);
	for (unsigned i = 0; i < 10; i++) {
		w->l.tiers[SLOW].hurry = true;
		w->l.tiers[SLOW].asked = 1;
		w->l.now_ns += UINT64_C(1000000000);
		struct lcy_cand c;
		if (lcy_plan_turn(&w->l))
			lcy_act_scanned(&w->l, w->l.now_ns);
		assert_false(lcy_scrub_turn(&w->l, &c));
		assert_false(w->l.scrub.look);
		assert_true(w->l.scrub.hold);
	}
	w->l.tiers[SLOW].hurry = false;
	w->l.tiers[SLOW].asked = 0;
	world_run(w, 5);
	assert_int_equal(last(w, FAST)->objects, 1);
}

static struct held {
	struct lcy_copy copy;
	struct lcy_scrub_job job;
	_Atomic bool hold, stop, done;
} held;

static void *look_main(void *arg)
{
	static uint8_t attr[BE_ATTR_MAX];

	(void)arg;
	lcy_scrub_look(&held.copy, &held.job, attr);
	atomic_store(&held.done, true);
	return NULL;
}

/* In the middle of an object it waits when there is something better to do, goes on afterwards, and ends when the object is deleted: an
 * open file would keep the room that somebody waits for. */
static void test_hold(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 2; i++) {
		pthread_t thread;
		uint64_t id = world_put(w, "/a", 3 * MB, FAST, 0, 0);
		memset(&held, 0, sizeof(held));
		held.copy = (struct lcy_copy){ .hold = &held.hold, .stop = &held.stop, .from_fd = -1, .buf = aligned_alloc(LCY_COPY_ALIGN, LCY_COPY_ALIGN) };
		held.job = (struct lcy_scrub_job){ .id = id, .size = 3 * MB, .rev = 1 };
		held.job.file[LCY_SCRUB_HOME] = (struct lcy_scrub_file){ .be = &w->tier[FAST].be, .tier = FAST };
		atomic_store(&held.hold, true);
		assert_int_equal(pthread_create(&thread, NULL, look_main, NULL), 0);
		(void)usleep(150000);
		assert_false(atomic_load(&held.done));
		if (i == 0)
			atomic_store(&held.hold, false);
		else
			world_delete(w, "/a");
		for (unsigned k = 0; k < 10000 && !atomic_load(&held.done); k++)
			(void)usleep(1000);
		assert_true(atomic_load(&held.done));
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(held.job.file[LCY_SCRUB_HOME].found, i == 0 ? LCY_SCRUB_NO_SUM : LCY_SCRUB_LATER);
		lcy_scrub_job_fini(&held.job);
		free(held.copy.buf);
		if (i == 0)
			world_delete(w, "/a");
	}
}

/* What could not be opened for a moment is looked at once more, and what is never to be had is passed over. */
static void test_later(void **state)
{
	struct world *w = *state;
	char path[OM_OBJ_PATH_MAX];

	(void)signal(SIGIO, SIG_IGN);
	for (unsigned i = 0; i < 2; i++) {
		(void)world_put(w, "/a", KB, FAST, 0, 0);
		path_of(w, "/a", path);
		assert_int_equal(fchmodat(w->tier[FAST].objects_fd, path, 0600, 0), 0);
		int fd = openat(w->tier[FAST].objects_fd, path, O_RDWR | O_CLOEXEC);
		assert_int_equal(fcntl(fd, F_SETLEASE, F_WRLCK), 0); /* who opens it without waiting is told to come again */
		assert_int_equal(world_task(w, OM_TASK_SCRUB, NULL, 0, 1), 0);
		world_run(w, 5);
		assert_true(w->l.scrub.state.row[FAST].now); /* it has not been given up */
		assert_int_equal(cur(w, FAST)->objects, 0);
		assert_int_equal(w->l.scrub.state.row[FAST].pos, 0);
		if (i == 0)
			om_close(&fd);
		scrub(w);
		assert_int_equal(last(w, FAST)->objects, i == 0);
		assert_int_equal(last(w, FAST)->damaged + last(w, FAST)->unreadable, 0);
		om_close(&fd);
		world_delete(w, "/a");
	}
}

static unsigned resident(int fd, size_t len)
{
	unsigned char page[64];
	unsigned n = 0;
	void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);

	assert_true(p != MAP_FAILED && len <= sizeof(page) * 4096);
	assert_int_equal(mincore(p, len, page), 0);
	(void)munmap(p, len);
	for (size_t i = 0; i < len / 4096; i++)
		n += page[i] & 1;
	return n;
}

/* The page cache is what it was, be the file in it or not, and so is the access time. */
static void test_leaves_no_trace(void **state)
{
	struct world *w = *state;
	static char buf[256 * KB];
	char path[OM_OBJ_PATH_MAX];
	struct stat before, after;
	struct statfs fs;

	assert_int_equal(fstatfs(w->tier[FAST].objects_fd, &fs), 0);
	if (fs.f_type == 0x01021994) /* tmpfs: the files are the page cache */
		skip();
	(void)world_put(w, "/a", sizeof(buf), FAST, 0, 0);
	path_of(w, "/a", path);
	int fd = openat(w->tier[FAST].objects_fd, path, O_RDONLY | O_CLOEXEC | O_NOATIME);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0600), 0);
	int wr = openat(w->tier[FAST].objects_fd, path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(wr, buf, sizeof(buf), 0), sizeof(buf)); /* not a hole: that is not read */
	assert_int_equal(fsync(wr), 0);
	om_close(&wr);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	assert_int_equal(resident(fd, sizeof(buf)), 0);
	assert_int_equal(fstat(fd, &before), 0);
	scrub(w);
	assert_int_equal(last(w, FAST)->objects, 1);
	assert_int_equal(resident(fd, sizeof(buf)), 0);
	assert_int_equal(fstat(fd, &after), 0);
	assert_memory_equal(&before.st_atim, &after.st_atim, sizeof(before.st_atim));
	assert_int_equal(pread(fd, buf, sizeof(buf), 0), sizeof(buf));
	assert_int_equal(resident(fd, sizeof(buf)), sizeof(buf) / 4096);
	scrub(w);
	assert_int_equal(resident(fd, sizeof(buf)), sizeof(buf) / 4096);
	om_close(&fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, world_teardown)
		cmocka_unit_test(test_share),
		T(test_pace),
		T(test_catches_up),
		T(test_large_and_pause),
		T(test_off),
		T(test_restart),
		T(test_state_file),
		T(test_flip),
		T(test_kinds),
		T(test_copy),
		T(test_only_copy),
		T(test_changed_meanwhile),
		T(test_second_look),
		T(test_index_changes),
		T(test_now),
		T(test_left_out),
		T(test_room_first),
		T(test_hold),
		T(test_later),
		T(test_leaves_no_trace),
	};
	return cmocka_run_group_tests_name("lifecycle/scrub", tests, NULL, NULL);
}
