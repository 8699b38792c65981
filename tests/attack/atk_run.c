/*
 * atk_run.c: one weapon against one target: put an object, let the weapon pin its pages, unmap, close, commit, fire, and
 * look whether its bytes are still what they were at its commit.
 */
#include "tests/attack/atk.h"

#include <fcntl.h>
#include <sys/mman.h>

enum outcome {
	UNCHANGED,
	CHANGED,
	NOT_HERE, /* the weapon does not take this target's pages */
	BROKEN,	  /* something else failed, after a note */
};

bool atk_run_args(int argc, char **argv, struct atk_args *ret)
{
	char *end;
	unsigned long uid;

	*ret = (struct atk_args){0};
	if (argc == 1)
		return true;
	if (argc == 4 && (strcmp(argv[1], "daemon") == 0 || strcmp(argv[1], "lax") == 0)) {
		uid = strtoul(argv[3], &end, 10);
		*ret = (struct atk_args){.socket = argv[2], .uid = (uid_t)uid, .lax = argv[1][0] == 'l'};
		if (*end == '\0' && uid > 0 && uid < (uid_t)-1)
			return true;
	}
	fprintf(stderr, "usage: %s [daemon|lax SOCKET UID]\n", argv[0]);
	return false;
}

/* ---------------------------------------------------------------- one strike */

static void pattern(unsigned char *at)
{
	for (size_t i = 0; i < ATK_LEN; i++)
		at[i] = (unsigned char)('a' + i % 23);
}

/*
 * An object whose pages are pinned and whose mapping is gone. `ret_pathfd` keeps the inode that the writer had, and so the
 * pages' place in it, without being open in the sense of leases: it is what lets changed pages reach the disk, where a
 * copy that shares its blocks would meet them.
 */
static enum outcome take_aim(struct atk_target *t, struct atk_weapon *w, int *ret_pathfd)
{
	unsigned char *at;
	char path[32];
	int fd, rc;

	if (atk_target_begin(t, ATK_LEN, &fd) < 0)
		return BROKEN;
	at = mmap(NULL, ATK_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		atk_tap_note("%s: mmap: %s", t->name, strerror(errno));
		return BROKEN;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*ret_pathfd = open(path, O_PATH | O_CLOEXEC);
	pattern(at);
	rc = w->aim(w, at);
	(void)munmap(at, ATK_LEN);
	return rc < 0 ? NOT_HERE : UNCHANGED;
}

static bool same(struct atk_target *t, int fd, uint64_t want)
{
	OM_AUTO_FD fresh = -1;

	if (atk_target_sum_fd(fd) != want)
		return false;
	/* In the cache it is whole: on the disk too? Anybody may ask for both of these. */
	sync();
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return atk_target_sum_fd(fd) == want && atk_target_get(t, &fresh) == 0 && atk_target_sum_fd(fresh) == want;
}

static enum outcome shoot(struct atk_target *t, struct atk_weapon *w)
{
	unsigned char want[ATK_LEN];
	OM_AUTO_FD fd = -1;
	uint64_t sum;
	unsigned shots = w->again ? 3 : 1;

	pattern(want);
	sum = atk_target_sum(want, sizeof(want));
	if (atk_target_get(t, &fd) < 0 || !same(t, fd, sum)) {
		atk_tap_note("%s: the object is not what was put even before the attack", t->name);
		return BROKEN;
	}
	for (unsigned i = 0; i < shots; i++) {
		ssize_t n = w->fire(w, (unsigned char)('X' + i));

		if (n != (ssize_t)ATK_LEN) {
			atk_tap_note("%s: the attack itself failed: %zd", t->name, n);
			return BROKEN;
		}
		if (!same(t, fd, sum))
			return CHANGED;
	}
	return UNCHANGED;
}

static enum outcome strike(struct atk_target *t, struct atk_weapon *w)
{
	OM_AUTO_FD path_fd = -1;
	enum outcome out = take_aim(t, w, &path_fd);

	if (out == UNCHANGED) {
		int rc = atk_target_commit(t);

		if (rc < 0)
			atk_tap_note("%s: commit: %s", t->name, om_status_text(rc));
		out = rc < 0 ? BROKEN : shoot(t, w);
	}
	w->lower(w);
	atk_target_end(t);
	return out;
}

/* ---------------------------------------------------------------- against backend/ and against a daemon */

typedef void more_fn(struct atk_target *t, struct atk_weapon *w);

/* False: the copy need not be tried, its result would mean nothing. */
static bool control(struct atk_weapon *w, const char *parent)
{
	struct atk_target t;
	enum outcome out = atk_target_dir(&t, ATK_PLAIN, parent) < 0 ? BROKEN : strike(&t, w);
	char what[256];

	(void)snprintf(what, sizeof(what), "control: %s changes an object after a %s", w->name, t.name);
	if (out == CHANGED)
		(void)atk_tap_ok(true, "%s", what);
	else if (out == BROKEN)
		(void)atk_tap_ok(false, "%s", what);
	else
		atk_tap_skip(what, "%s", out == NOT_HERE ? w->why : "this kernel does not let it");
	atk_target_close(&t);
	return out == CHANGED;
}

static void defended(struct atk_target *t, struct atk_weapon *w, more_fn *more)
{
	enum outcome out = strike(t, w);
	char what[256];

	(void)snprintf(what, sizeof(what), "%s changes nothing: %s", w->name, t->name);
	if (out == NOT_HERE) {
		atk_tap_skip(what, "%s", w->why);
		return;
	}
	(void)atk_tap_ok(out == UNCHANGED, "%s", what);
	if (more)
		more(t, w);
}

static void against_backend(struct atk_weapon *w, more_fn *more)
{
	const char *tmp = getenv("TMPDIR");
	const char *const parents[] = {"/dev/shm", tmp ? tmp : "/var/tmp"};

	for (size_t i = 0; i < OM_ARRAY_SIZE(parents); i++) {
		struct atk_target t;

		if (!control(w, parents[i]))
			continue;
		if (atk_target_dir(&t, ATK_COPY, parents[i]) < 0)
			(void)atk_tap_ok(false, "a tier in %s", parents[i]);
		else
			defended(&t, w, more);
		atk_target_close(&t);
	}
}

static void against_daemon(const struct atk_args *a, struct atk_weapon *w, more_fn *more)
{
	int rc = atk_user_become(a->uid);

	if (!atk_tap_ok(rc == 0, "become uid %u", (unsigned)a->uid))
		return;
	for (int memory = 1; memory >= 0; memory--) {
		struct atk_target t;

		if (atk_tap_ok(atk_target_daemon(&t, a->socket, memory) == 0, "connect"))
			defended(&t, w, more);
		atk_target_close(&t);
	}
}

int atk_run_weapon(int argc, char **argv, struct atk_weapon *w, more_fn *more)
{
	struct atk_args a;

	if (!atk_run_args(argc, argv, &a))
		return 2;
	atk_tap_init();
	if (w->load(w) < 0)
		atk_tap_skip(w->name, "%s", w->why);
	else if (a.socket)
		against_daemon(&a, w, more);
	else
		against_backend(w, more);
	w->unload(w);
	return atk_tap_done();
}
